//! The writer's side of a ring, for tests and benches: records as the payload would write them, in a file.
use crate::clock::ticks;
use scope_abi as abi;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PAGE: u64 = 4096;

/// One record in the making.
#[derive(Clone, Debug)]
pub struct Call {
    record: abi::Record,
    chunks: Vec<u8>,
}

impl Call {
    fn new(kind: u8, number: u16, a1: u32, result: i64) -> Self {
        let who = u64::from(number) << 48 | 0x7000;
        Self { record: abi::Record { who, a1, result, kind, ..abi::Record::default() }, chunks: Vec::new() }
    }

    pub fn pre(number: u16, a1: u32) -> Self {
        Self::new(abi::KIND_PRE, number, a1, 0)
    }

    pub fn post(number: u16, a1: u32, result: i64) -> Self {
        Self::new(abi::KIND_POST, number, a1, result)
    }

    pub fn a2(mut self, value: u64) -> Self {
        self.record.a2 = value;
        self
    }

    pub fn a3(mut self, value: u64) -> Self {
        self.record.a3 = value;
        self
    }

    pub fn a4(mut self, value: u32) -> Self {
        self.record.a4 = value;
        self
    }

    pub fn thread(mut self, who: u64) -> Self {
        self.record.who = self.record.who & !0xffff_ffff_ffff | who;
        self
    }

    /// A time of one's own: otherwise that of the writing.
    pub fn at(mut self, tsc: u64) -> Self {
        self.record.tsc = tsc;
        self
    }

    pub fn flags(mut self, flags: u8) -> Self {
        self.record.flags = flags;
        self
    }

    pub fn chunk(mut self, kind: u16, index: u16, bytes: &[u8]) -> Self {
        self.chunks.extend_from_slice(&kind.to_le_bytes());
        self.chunks.extend_from_slice(&index.to_le_bytes());
        self.chunks.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.chunks.extend_from_slice(bytes);
        self.chunks.resize(self.chunks.len().next_multiple_of(8), 0);
        self
    }

    /// No call: a tally as it was taken.
    pub fn total(fd: u32, words: [u64; 4]) -> Self {
        Self::pre(0, fd).flags(abi::FLAG_TOTAL).chunk(abi::CHUNK_ARGS, 0, words.map(u64::to_le_bytes).as_flattened())
    }

    pub fn data(self, bytes: &[u8]) -> Self {
        self.chunk(abi::CHUNK_DATA, 0, bytes)
    }

    pub fn path(self, path: &str) -> Self {
        self.chunk(abi::CHUNK_PATH, 0, path.as_bytes())
    }

    pub fn address(self, sockaddr: &[u8]) -> Self {
        self.chunk(abi::CHUNK_ADDR, 0, sockaddr)
    }

    pub fn size(&self) -> u64 {
        (size_of::<abi::Record>() + self.chunks.len()).next_multiple_of(16) as u64
    }

    /// The record's bytes, with that commit word.
    pub fn bytes(&self, commit: u64) -> Vec<u8> {
        let r = &self.record;
        let mut out = Vec::with_capacity(self.size() as usize);
        for word in [commit, r.tsc, r.who, r.result as u64] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&(self.size() as u32).to_le_bytes());
        out.extend_from_slice(&r.a1.to_le_bytes());
        out.extend_from_slice(&r.a2.to_le_bytes());
        out.extend_from_slice(&r.a3.to_le_bytes());
        out.extend_from_slice(&r.a4.to_le_bytes());
        out.extend_from_slice(&[r.kind, r.flags, 0, 0]);
        out.extend_from_slice(&self.chunks);
        out.resize(self.size() as usize, 0);
        out
    }
}

/// `struct sockaddr_in`.
pub fn sockaddr_in(ip: [u8; 4], port: u16) -> Vec<u8> {
    let mut out = vec![2, 0];
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&ip);
    out.resize(16, 0);
    out
}

/// `struct sockaddr_in6`.
pub fn sockaddr_in6(ip: [u8; 16], port: u16) -> Vec<u8> {
    let mut out = vec![10, 0];
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&ip);
    out.extend_from_slice(&[0; 4]);
    out
}

/// A file of rings, removed when dropped.
pub struct SyntheticRing {
    file: File,
    path: PathBuf,
    pub ring_bytes: u64,
    heads: Vec<u64>,
    classes: u64,
    pub key: u64,
}

impl SyntheticRing {
    pub fn create(path: &Path, ring_count: u32, ring_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let rings = PAGE + u64::from(abi::MAX_RINGS as u32) * 256;
        let classes = (rings + ring_bytes * u64::from(ring_count)).next_multiple_of(64);
        let total = classes + (abi::CLASS_COUNT + abi::TALLIES * size_of::<abi::Tally>()) as u64;
        file.set_len(total)?;
        let key = 0x5eed_0000_1234_5678;
        let heads = vec![0; ring_count as usize];
        let mut ring = Self { file, path: path.to_owned(), ring_bytes, heads, classes, key };
        ring.put(offset_of!(abi::Shared, magic), abi::MAGIC)?;
        ring.put(offset_of!(abi::Shared, abi_version), u64::from(abi::ABI_VERSION))?;
        ring.put(offset_of!(abi::Shared, ring_count), u64::from(ring_count))?;
        ring.put(offset_of!(abi::Shared, total_bytes), total)?;
        ring.put(offset_of!(abi::Shared, ring_bytes), ring_bytes)?;
        ring.put(offset_of!(abi::Shared, rings_ctl), PAGE)?;
        ring.put(offset_of!(abi::Shared, class_table), classes)?;
        ring.put(offset_of!(abi::Shared, rings), rings)?;
        ring.put(offset_of!(abi::Shared, key), key)?;
        Ok(ring)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn put(&mut self, offset: usize, value: u64) -> io::Result<()> {
        self.file.write_all_at(&value.to_le_bytes(), offset as u64)
    }

    fn get(&self, offset: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, offset)?;
        Ok(u64::from_le_bytes(word))
    }

    fn ctl(ring: usize) -> u64 {
        PAGE + 256 * ring as u64
    }

    fn data(&self, ring: usize, position: u64) -> u64 {
        PAGE + 256 * abi::MAX_RINGS as u64 + self.ring_bytes * ring as u64 + (position & (self.ring_bytes - 1))
    }

    /// What calls without records have moved by a descriptor's number: read calls and bytes, write calls and bytes.
    pub fn set_tally(&mut self, fd: u32, words: [u64; 4]) -> io::Result<()> {
        let tallies = self.classes + abi::CLASS_COUNT as u64;
        let at = tallies + u64::from(fd) * size_of::<abi::Tally>() as u64;
        self.file.write_all_at(words.map(u64::to_le_bytes).as_flattened(), at)
    }

    /// What a descriptor's number stands for, as hooks have it: `CLASS_*`.
    pub fn class(&self, fd: u32) -> io::Result<u8> {
        let mut class = [0];
        self.file.read_exact_at(&mut class, self.classes + u64::from(fd))?;
        Ok(class[0])
    }

    pub fn tail(&self, ring: usize) -> io::Result<u64> {
        self.get(Self::ctl(ring) + offset_of!(abi::Ring, tail) as u64)
    }

    pub fn set_head(&mut self, ring: usize, head: u64) -> io::Result<()> {
        self.heads[ring] = head;
        self.file.write_all_at(&head.to_le_bytes(), Self::ctl(ring))
    }

    /// What the injector says of its own state: `PHASE_*`.
    pub fn set_phase(&mut self, phase: u32) -> io::Result<()> {
        self.file.write_all_at(&phase.to_le_bytes(), offset_of!(abi::Shared, state_value) as u64)
    }

    /// Adds to the `index`-th loss counter.
    pub fn lose(&mut self, ring: usize, index: usize, count: u64) -> io::Result<()> {
        let at = Self::ctl(ring) + offset_of!(abi::Ring, lost_records) as u64 + 8 * index as u64;
        let sum = self.get(at)?.wrapping_add(count);
        self.file.write_all_at(&sum.to_le_bytes(), at)
    }

    /// Any bytes anywhere: what a hostile target could do.
    pub fn scribble(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reserves room as the payload does and gives the record's position; None when the ring is full.
    pub fn reserve(&mut self, ring: usize, size: u64) -> io::Result<Option<u64>> {
        let head = self.heads[ring];
        let offset = head & (self.ring_bytes - 1);
        let rest = if offset + size > self.ring_bytes { self.ring_bytes - offset } else { 0 };
        let end = head.wrapping_add(rest + size);
        if end.wrapping_sub(self.tail(ring)?) > self.ring_bytes {
            return Ok(None);
        }
        if rest >= size_of::<abi::Record>() as u64 {
            let mut pad = Call::new(abi::KIND_PAD, 0, 0, 0).bytes(head ^ self.key);
            pad[32..36].copy_from_slice(&(rest as u32).to_le_bytes());
            self.file.write_all_at(&pad, self.data(ring, head))?;
        }
        self.set_head(ring, end)?;
        Ok(Some(head.wrapping_add(rest)))
    }

    /// Writes one record; false when the ring is full.
    pub fn write(&mut self, ring: usize, call: &Call) -> io::Result<bool> {
        let Some(position) = self.reserve(ring, call.size())? else { return Ok(false) };
        self.commit(ring, position, call)?;
        Ok(true)
    }

    /// Stamped with the time of now, unless it has a time.
    pub fn commit(&mut self, ring: usize, position: u64, call: &Call) -> io::Result<()> {
        let mut call = call.clone();
        if call.record.tsc == 0 {
            call.record.tsc = ticks();
        }
        self.commit_untimed(ring, position, &call)
    }

    /// Any bytes from a position on; they must not go over the ring's end.
    pub fn put_bytes(&mut self, ring: usize, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.data(ring, position))
    }

    /// As it is.
    pub fn commit_untimed(&mut self, ring: usize, position: u64, call: &Call) -> io::Result<()> {
        self.file.write_all_at(&call.bytes(position ^ self.key), self.data(ring, position))
    }

    /// Writes the same bytes of many records at once (all positions computed here): for benches.
    pub fn write_all(&mut self, ring: usize, calls: &[Call]) -> io::Result<usize> {
        let mut written = 0;
        let mut run: Vec<u8> = Vec::new();
        let mut start = self.heads[ring];
        for call in calls {
            let position = start + run.len() as u64;
            if position & (self.ring_bytes - 1) == 0 && !run.is_empty() {
                self.flush_run(ring, start, &run)?;
                run.clear();
                start = self.heads[ring];
            }
            if (position & (self.ring_bytes - 1)) + call.size() > self.ring_bytes {
                self.flush_run(ring, start, &run)?;
                run.clear();
                if !self.write(ring, call)? {
                    return Ok(written);
                }
                start = self.heads[ring];
            } else {
                if position + call.size() - self.tail(ring)? > self.ring_bytes {
                    break;
                }
                let mut stamped = call.clone();
                if stamped.record.tsc == 0 {
                    stamped.record.tsc = ticks();
                }
                run.extend_from_slice(&stamped.bytes(position ^ self.key));
            }
            written += 1;
        }
        self.flush_run(ring, start, &run)?;
        Ok(written)
    }

    fn flush_run(&mut self, ring: usize, start: u64, run: &[u8]) -> io::Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(run, self.data(ring, start))?;
        self.set_head(ring, start + run.len() as u64)
    }
}

impl Drop for SyntheticRing {
    fn drop(&mut self) {
        // Left behind at worst.
        drop(std::fs::remove_file(&self.path));
    }
}
