//! One memfd of rings, as `scope_abi.h` lays it out: the header is copied and checked once, then each ring is read from
//! our own copy of its tail up to its head, record by record.
use crate::mapping::Mapping;
use crate::stats::{Moved, Tally};
use scope_abi as abi;
use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering;

/// Bytes of a record's fixed part.
pub const FIXED: u64 = size_of::<abi::Record>() as u64;
/// A record's position and size are multiples of this.
pub const STEP: u64 = 16;
/// Of a record's bytes, those that tell which descriptors it is about: the fixed part, and a chunk of two numbers.
pub const GLANCE: usize = FIXED as usize + 16;
/// Moving the tail costs the writer a cache line: not after every record.
pub const TAIL_STEP: u64 = 64 * 1024;

/// The loss counters of one ring, in the header's order.
pub const LOSS_COUNTERS: usize = 13;
pub type Losses = [u64; LOSS_COUNTERS];

#[derive(Debug, PartialEq, Eq)]
pub enum RingError {
    /// Not a ring of ours, or damaged.
    Malformed(&'static str),
    /// Written by another version.
    Abi(u32),
}

/// What of the header is needed; checked against the mapping's length.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub ring_count: usize,
    pub ring_bytes: u64,
    rings_ctl: usize,
    rings: usize,
    classes: usize,
    tallies: usize,
    pub key: u64,
    pub start_time: u64,
}

impl Layout {
    fn read(map: &Mapping) -> Result<Self, RingError> {
        use RingError::Malformed;
        if map.len() < size_of::<abi::Shared>() {
            return Err(Malformed("it is shorter than a header"));
        }
        let word = |offset| map.load(offset, Ordering::Acquire);
        if word(offset_of!(abi::Shared, magic)) != abi::MAGIC {
            return Err(Malformed("it does not begin as a ring does"));
        }
        let version = word(offset_of!(abi::Shared, abi_version)) as u32;
        if version != abi::ABI_VERSION {
            return Err(RingError::Abi(version));
        }
        let ring_count = word(offset_of!(abi::Shared, ring_count)) as u32 as usize;
        if !ring_count.is_power_of_two() || ring_count > abi::MAX_RINGS {
            return Err(Malformed("its number of rings is impossible"));
        }
        let ring_bytes = word(offset_of!(abi::Shared, ring_bytes));
        if !ring_bytes.is_power_of_two() || !(4096..=1 << 32).contains(&ring_bytes) {
            return Err(Malformed("its rings have an impossible size"));
        }
        let rings_ctl = word(offset_of!(abi::Shared, rings_ctl));
        let rings = word(offset_of!(abi::Shared, rings));
        let fits = |start: u64, each: u64| {
            start.is_multiple_of(64)
                && each
                    .checked_mul(ring_count as u64)
                    .and_then(|bytes| bytes.checked_add(start))
                    .is_some_and(|end| end <= map.len() as u64)
        };
        let classes = word(offset_of!(abi::Shared, class_table));
        let tallies = classes.saturating_add(abi::CLASS_COUNT as u64);
        let fits_tallies = tallies.is_multiple_of(64)
            && tallies.saturating_add((abi::TALLIES * size_of::<abi::Tally>()) as u64) <= map.len() as u64;
        if !fits(rings_ctl, size_of::<abi::Ring>() as u64) || !fits(rings, ring_bytes) || !fits_tallies {
            return Err(Malformed("its parts lie outside of it"));
        }
        Ok(Self {
            ring_count,
            ring_bytes,
            rings_ctl: rings_ctl as usize,
            rings: rings as usize,
            classes: classes as usize,
            tallies: tallies as usize,
            key: word(offset_of!(abi::Shared, key)),
            start_time: word(offset_of!(abi::Shared, start_time)),
        })
    }
}

/// What stands at a ring's read position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing up to the head.
    Empty,
    /// A record that is whole: its time and size.
    Record { tsc: u64, size: u32 },
    /// Reserved and not committed (yet, or ever).
    Uncommitted,
    /// The cursors or the size make no sense. The ring was emptied; what it held is lost.
    Corrupt,
}

/// What stands at any position of a ring.
enum Found {
    /// Nothing: the head is there.
    End,
    /// A pad, or an end too short for a record: go on there.
    Skip(u64),
    Record {
        size: u32,
    },
    Uncommitted,
    Corrupt,
}

/// A mapped file of rings.
pub struct RingFile {
    map: Mapping,
    layout: Layout,
}

impl RingFile {
    pub fn new(map: Mapping) -> Result<Self, RingError> {
        let layout = Layout::read(&map)?;
        Ok(Self { map, layout })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the injector says of its own state: `PHASE_*`.
    pub fn phase(&self) -> u32 {
        let pair = self.map.load(offset_of!(abi::Shared, state_value) & !7, Ordering::Acquire);
        (pair >> 32) as u32
    }

    /// What was moved by a descriptor's number since its tally was last taken; `None` where it has none.
    pub fn take_tally(&self, fd: i32) -> Option<Tally> {
        let index = usize::try_from(fd).ok().filter(|&index| index < abi::TALLIES)?;
        let at = self.layout.tallies + index * size_of::<abi::Tally>();
        let take = |offset| self.map.take(at + offset);
        Some(Tally {
            read: Moved {
                calls: take(offset_of!(abi::Tally, read_calls)),
                bytes: take(offset_of!(abi::Tally, read_bytes)),
            },
            write: Moved {
                calls: take(offset_of!(abi::Tally, write_calls)),
                bytes: take(offset_of!(abi::Tally, write_bytes)),
            },
        })
    }

    /// Hooks copy no bytes any more of what goes through this number, until it changes hands. False: they didn't before.
    pub fn spare(&self, fd: i32) -> bool {
        self.class(fd, abi::CLASS_UNKNOWN, abi::CLASS_OPAQUE)
    }

    /// Takes back what `spare` did.
    pub fn look_again(&self, fd: i32) -> bool {
        self.class(fd, abi::CLASS_OPAQUE, abi::CLASS_UNKNOWN)
    }

    fn class(&self, fd: i32, from: u8, to: u8) -> bool {
        self.class_at(fd).is_some_and(|at| self.map.exchange_byte(at, from, to))
    }

    fn class_at(&self, fd: i32) -> Option<usize> {
        let index = usize::try_from(fd).ok().filter(|&index| index < abi::CLASS_COUNT)?;
        Some(self.layout.classes + index)
    }

    /// Whether hooks copy what goes through this number.
    pub fn is_copied(&self, fd: i32) -> bool {
        self.class_at(fd).is_some_and(|at| self.map.load_byte(at) == abi::CLASS_UNKNOWN)
    }

    pub fn ring(&self, number: usize) -> RingReader {
        let ctl = self.layout.rings_ctl + number * size_of::<abi::Ring>();
        let data = self.layout.rings + number * self.layout.ring_bytes as usize;
        let tail = self.map.load(ctl + offset_of!(abi::Ring, tail), Ordering::Acquire);
        RingReader { ctl, data, position: tail, told: tail, head: tail, ahead: tail }
    }

    /// The ring from where another reader has come to; None where that makes no sense: behind the tail, or past the head.
    pub fn ring_from(&self, number: usize, position: u64) -> Option<RingReader> {
        let ring = self.ring(number);
        let head = self.map.load(ring.ctl + offset_of!(abi::Ring, head), Ordering::Acquire);
        let ring_bytes = self.layout.ring_bytes;
        let fits = position.wrapping_sub(ring.told) <= ring_bytes && head.wrapping_sub(position) <= ring_bytes;
        fits.then_some(RingReader { position, head: position, ahead: position, ..ring })
    }
}

/// One ring's read side. The position is ours: the tail in shared memory is only ever written.
pub struct RingReader {
    ctl: usize,
    data: usize,
    position: u64,
    told: u64,
    head: u64,
    /// Up to where `look_ahead` has been; behind the position: nowhere.
    ahead: u64,
}

impl RingReader {
    /// How far the writers have come now, and whether that makes sense.
    fn load_head(&self, file: &RingFile) -> (u64, bool) {
        let head = file.map.load(self.ctl + offset_of!(abi::Ring, head), Ordering::Acquire);
        let fits = head.wrapping_sub(self.position) <= file.layout.ring_bytes;
        (head, fits && head.is_multiple_of(STEP) && self.position.is_multiple_of(STEP))
    }

    /// Looks how far the writers have come. False: the cursors make no sense; the ring was emptied.
    pub fn refresh(&mut self, file: &RingFile) -> bool {
        let (head, makes_sense) = self.load_head(file);
        self.head = head;
        if makes_sense {
            return true;
        }
        self.position = head & !(STEP - 1);
        self.head = self.position;
        false
    }

    /// Bytes between the position and the head of the last `refresh`.
    pub fn waiting(&self) -> u64 {
        self.head.wrapping_sub(self.position)
    }

    fn offset(&self, file: &RingFile, position: u64) -> usize {
        self.data + (position & (file.layout.ring_bytes - 1)) as usize
    }

    #[inline]
    fn find(&self, file: &RingFile, position: u64, head: u64) -> Found {
        if position == head {
            return Found::End;
        }
        let waiting = head.wrapping_sub(position);
        let until_end = file.layout.ring_bytes - (position & (file.layout.ring_bytes - 1));
        if until_end < FIXED {
            return if until_end > waiting { Found::Corrupt } else { Found::Skip(position.wrapping_add(until_end)) };
        }
        let at = self.offset(file, position);
        if file.map.load(at, Ordering::Acquire) != position ^ file.layout.key {
            return Found::Uncommitted;
        }
        let size = file.map.load(at + offset_of!(abi::Record, size), Ordering::Relaxed) as u32;
        let bytes = u64::from(size);
        if bytes < FIXED || bytes % STEP != 0 || bytes > until_end || bytes > waiting {
            return Found::Corrupt;
        }
        let kind = file.map.load(at + (offset_of!(abi::Record, kind) & !7), Ordering::Relaxed);
        if (kind >> (8 * (offset_of!(abi::Record, kind) & 7))) as u8 == abi::KIND_PAD {
            return Found::Skip(position.wrapping_add(bytes));
        }
        Found::Record { size }
    }

    /// What comes next; pads and short ends are stepped over.
    #[inline]
    pub fn next(&mut self, file: &RingFile) -> Next {
        loop {
            match self.find(file, self.position, self.head) {
                Found::End => return Next::Empty,
                Found::Skip(to) => self.position = to,
                Found::Record { size } => {
                    let at = self.offset(file, self.position);
                    let tsc = file.map.load(at + offset_of!(abi::Record, tsc), Ordering::Relaxed);
                    return Next::Record { tsc, size };
                }
                Found::Uncommitted => return Next::Uncommitted,
                Found::Corrupt => return self.give_up(),
            }
        }
    }

    /// Shows the beginning (at most `GLANCE` bytes) of each record that waits by now and was not shown before, and
    /// takes none. False: something that is reserved is not written, or makes no sense; what lies behind it was not shown.
    pub fn look_ahead(&mut self, file: &RingFile, glance: &mut Vec<u8>, mut show: impl FnMut(&[u8])) -> bool {
        let (head, makes_sense) = self.load_head(file);
        if !makes_sense {
            return false;
        }
        if !self.has_looked_ahead(file) {
            self.ahead = self.position;
        }
        loop {
            match self.find(file, self.ahead, head) {
                Found::End => return true,
                Found::Skip(to) => self.ahead = to,
                Found::Record { size } => {
                    file.map.copy_out(self.offset(file, self.ahead), (size as usize).min(GLANCE), glance);
                    show(glance);
                    self.ahead = self.ahead.wrapping_add(u64::from(size));
                }
                Found::Uncommitted | Found::Corrupt => return false,
            }
        }
    }

    /// Whether the record at the position was shown by `look_ahead`.
    #[inline]
    pub fn has_looked_ahead(&self, file: &RingFile) -> bool {
        let by = self.ahead.wrapping_sub(self.position);
        by != 0 && by <= file.layout.ring_bytes
    }

    /// What was shown will be shown again.
    pub fn forget_look(&mut self) {
        self.ahead = self.position;
    }

    /// Copies out the record that `next` has just told of, and steps behind it.
    #[inline]
    pub fn take(&mut self, file: &RingFile, size: u32, into: &mut Vec<u8>) {
        file.map.copy_out(self.offset(file, self.position), size as usize, into);
        self.position = self.position.wrapping_add(u64::from(size));
    }

    /// The position: everything before it was read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that were read and not given back.
    #[inline]
    pub fn untold(&self) -> u64 {
        self.position.wrapping_sub(self.told)
    }

    /// Gives the space read so far back to the writers.
    pub fn tell(&mut self, file: &RingFile) {
        if self.told != self.position {
            self.told = self.position;
            file.map.store(self.ctl + offset_of!(abi::Ring, tail), self.position, Ordering::Release);
        }
    }

    /// Steps over a reservation that was never committed: to the next record that is, or else to the head. Its room is given
    /// back by `tell`.
    pub fn skip(&mut self, file: &RingFile) {
        let mask = file.layout.ring_bytes - 1;
        let mut position = self.position;
        loop {
            position = position.wrapping_add(STEP);
            if self.head.wrapping_sub(position) > file.layout.ring_bytes || position == self.head {
                position = self.head;
                break;
            }
            let fits = file.layout.ring_bytes - (position & mask) >= FIXED;
            if fits && file.map.load(self.offset(file, position), Ordering::Acquire) == position ^ file.layout.key {
                break;
            }
        }
        self.position = position;
    }

    fn give_up(&mut self) -> Next {
        self.position = self.head;
        Next::Corrupt
    }

    /// The first of the counters below.
    pub fn lost_records(&self, file: &RingFile) -> u64 {
        file.map.load(self.ctl + offset_of!(abi::Ring, lost_records), Ordering::Relaxed)
    }

    /// The counters as they stand.
    pub fn losses(&self, file: &RingFile) -> Losses {
        let first = self.ctl + offset_of!(abi::Ring, lost_records);
        std::array::from_fn(|i| file.map.load(first + 8 * i, Ordering::Relaxed))
    }
}
