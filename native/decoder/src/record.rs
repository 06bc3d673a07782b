//! A record that was copied out, taken apart. Sizes inside it are as hostile as everything else.
use crate::stats::{Moved, Tally};
use scope_abi as abi;
use std::mem::{offset_of, size_of};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Before the call: what it was given.
    Pre,
    /// After it: what came of it.
    Post,
}

/// One record. `time` is in ticks, as merged: never 0 but for the very first.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub when: When,
    pub time: u64,
    /// Names the thread inside the target.
    pub who: u64,
    pub number: u16,
    pub result: i64,
    pub a1: u32,
    pub a2: u64,
    pub a3: u64,
    pub a4: u32,
    is_total: bool,
    chunks: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

impl<'a> Record<'a> {
    /// `bytes`: the whole record. None for a kind that we do not know.
    #[inline]
    pub fn parse(bytes: &'a [u8], time: u64) -> Option<Self> {
        let (fixed, chunks) = bytes.split_at_checked(size_of::<abi::Record>())?;
        let when = match fixed[offset_of!(abi::Record, kind)] {
            abi::KIND_PRE => When::Pre,
            abi::KIND_POST => When::Post,
            _ => return None,
        };
        let who = u64_at(fixed, offset_of!(abi::Record, who));
        Some(Self {
            when,
            time,
            who: who & 0xffff_ffff_ffff,
            number: (who >> 48) as u16,
            result: u64_at(fixed, offset_of!(abi::Record, result)) as i64,
            a1: u32_at(fixed, offset_of!(abi::Record, a1)),
            a2: u64_at(fixed, offset_of!(abi::Record, a2)),
            a3: u64_at(fixed, offset_of!(abi::Record, a3)),
            a4: u32_at(fixed, offset_of!(abi::Record, a4)),
            is_total: fixed[offset_of!(abi::Record, flags)] & abi::FLAG_TOTAL != 0,
            chunks,
        })
    }

    pub fn chunks(&self) -> Chunks<'a> {
        Chunks { rest: self.chunks }
    }

    /// The first chunk of that type.
    #[inline]
    pub fn chunk(&self, kind: u16) -> Option<&'a [u8]> {
        self.chunks().find(|chunk| chunk.kind == kind).map(|chunk| chunk.bytes)
    }

    /// The first chunk of that type and index.
    pub fn chunk_at(&self, kind: u16, index: u16) -> Option<&'a [u8]> {
        self.chunks().find(|chunk| chunk.kind == kind && chunk.index == index).map(|chunk| chunk.bytes)
    }

    /// One of the call-specific words.
    pub fn argument(&self, index: usize) -> Option<u64> {
        let bytes = self.chunk(abi::CHUNK_ARGS)?;
        (bytes.len() >= 8 * (index + 1)).then(|| u64_at(bytes, 8 * index))
    }

    /// No call, but what calls without records have moved by descriptor `a1` up to here.
    pub fn tally(&self) -> Option<Tally> {
        let word = |index| self.argument(index).unwrap_or(0);
        self.is_total.then(|| Tally {
            read: Moved { calls: word(0), bytes: word(1) },
            write: Moved { calls: word(2), bytes: word(3) },
        })
    }

    /// The two numbers of pipe, pipe2 and socketpair.
    pub fn pair(&self) -> Option<(i32, i32)> {
        let bytes = self.chunk(abi::CHUNK_FDS)?;
        (bytes.len() >= 8).then(|| (u32_at(bytes, 0) as i32, u32_at(bytes, 4) as i32))
    }

    /// Length of one message of sendmmsg and recvmmsg.
    pub fn message_length(&self, index: usize) -> Option<u64> {
        let bytes = self.chunk(abi::CHUNK_LENS)?;
        (bytes.len() >= 4 * (index + 1)).then(|| u64::from(u32_at(bytes, 4 * index)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub kind: u16,
    pub index: u16,
    pub bytes: &'a [u8],
}

/// The chunks of one record; a chunk that claims more than there is ends the list.
#[derive(Clone)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let (head, rest) = self.rest.split_at_checked(size_of::<abi::Chunk>())?;
        let kind = u16::from_le_bytes([head[0], head[1]]);
        let length = u32_at(head, offset_of!(abi::Chunk, length)) as usize;
        if kind == 0 {
            self.rest = &[];
            return None;
        }
        let Some(bytes) = rest.get(..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest.get(length.next_multiple_of(8)..).unwrap_or(&[]);
        Some(Chunk { kind, index: u16::from_le_bytes([head[2], head[3]]), bytes })
    }
}
