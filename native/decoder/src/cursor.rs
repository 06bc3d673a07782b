//! What outlives this process: how far each ring was read, and what was counted by then. The next agent's decoder begins
//! where it ends.
//!
//! ```text
//!   ring ──read──▶ counted on descriptors ──▶ lines ──▶ batch + mark ──▶ whoever keeps the lines, and the last mark
//!     ▲                  │                                 │
//!     └─ its room is given back only once the cursor's     └─ what those lines have told
//!        file says that it was read, and what came of it
//! ```
//!
//! What the file counts and the last kept mark does not was read and never told: it is lost, and exactly known. The file
//! is ours alone (a target can't write it), but it may be of another version, cut short, or not there.
//!
//! Words of the file: magic, number of rings, the ring's key, epoch, number of steps, time of the last look (ns since
//! 1970), two unused; `base`, what marks had told when the epoch began; two slots of an account and a lane for each ring.
//! Step n is written to slot n % 2 before the number of steps says so: a death leaves the one before whole.
use crate::mapping::Mapping;
use crate::ring::{LOSS_COUNTERS, Losses};
use crate::stats::{Lost, Moved};
use std::fs::{File, OpenOptions, rename};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::Ordering;

const MAGIC: u64 = 0x3152_5543_4550_4f43;
const STEPS: usize = 4;
const SEEN: usize = 5;
const BASE: usize = 8;
const LANE: usize = 2 + LOSS_COUNTERS;
const SLOTS: usize = BASE + Account::WORDS;

/// Of a mark: an epoch and an account. SCOPE_MARK_BYTES in the C header.
pub const MARK_BYTES: usize = 8 * (1 + Account::WORDS);

const _: () = assert!(MARK_BYTES == 216);

/// What was made of a session's records, up to some moment. `read`, `write`: on descriptors whose close is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub events: u64,
    pub read: Moved,
    pub write: Moved,
    pub lost: Lost,
}

impl Account {
    const WORDS: usize = 5 + Lost::FIELDS;

    fn words(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        let Self { events, read, write, lost } = self;
        words[..5].copy_from_slice(&[*events, read.calls, read.bytes, write.calls, write.bytes]);
        words[5..].copy_from_slice(&lost.counts());
        words
    }

    fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [events, read_calls, read_bytes, write_calls, write_bytes, lost @ ..] = words;
        let moved = |calls, bytes| Moved { calls, bytes };
        Self {
            events,
            read: moved(read_calls, read_bytes),
            write: moved(write_calls, write_bytes),
            lost: Lost::of(lost),
        }
    }

    /// What this has counted and `told` has not told.
    fn beyond(&self, told: &Self) -> Lost {
        let rest =
            |all: Moved, told: Moved| (all.calls.saturating_sub(told.calls), all.bytes.saturating_sub(told.bytes));
        let (read, write) = (rest(self.read, told.read), rest(self.write, told.write));
        let mut lost = self.lost.beyond(&told.lost);
        lost.add(&Lost {
            events: self.events.saturating_sub(told.events),
            untold_read_calls: read.0,
            untold_read_bytes: read.1,
            untold_write_calls: write.0,
            untold_write_bytes: write.1,
            ..Lost::default()
        });
        lost
    }
}

/// Where one ring was: the position of the next record, the time of the last one, its loss counters as they stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCursor {
    pub position: u64,
    pub last: u64,
    pub losses: Losses,
}

/// What a decoder that is gone has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    pub lanes: Vec<LaneCursor>,
    /// Nanoseconds since 1970: it lived then.
    pub seen: u64,
    /// What its lines have told, by the last mark that was kept.
    pub told: Lost,
    /// What it knew and no line that was kept has told.
    pub untold: Lost,
}

/// The mark that stands behind a batch's lines.
pub fn mark(epoch: u64, told: &Account) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    let words = std::iter::once(epoch).chain(told.words());
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn parse_mark(hex: &str) -> Option<(u64, Account)> {
    if hex.len() != 2 * MARK_BYTES || !hex.is_ascii() {
        return None;
    }
    let mut words = [0; 1 + Account::WORDS];
    for (number, word) in words.iter_mut().enumerate() {
        *word = u64::from_str_radix(&hex[16 * number..16 * number + 16], 16).ok()?.swap_bytes();
    }
    let [epoch, account @ ..] = words;
    Some((epoch, Account::from_words(account)))
}

/// The file at `path`, for this ring, against the last mark that was kept (in hexadecimal; None: none was). None: there is
/// nothing to go on from.
pub fn read_left(path: &Path, key: u64, rings: usize, last_mark: Option<&str>) -> Option<Left> {
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    let map = Mapping::new(&file).ok()?;
    let word = |number: usize| map.load(8 * number, Ordering::Acquire);
    if map.len() < 8 * words_of(rings) || (word(0), word(1), word(2)) != (MAGIC, rings as u64, key) || word(STEPS) == 0
    {
        return None;
    }
    let account_at = |start: usize| Account::from_words(std::array::from_fn(|number| word(start + number)));
    let slot = slot_of(word(STEPS), rings);
    let told = match last_mark.and_then(parse_mark) {
        Some((epoch, told)) if epoch == word(3) => told,
        _ => account_at(BASE),
    };
    let lanes = (0..rings)
        .map(|ring| {
            let at = slot + Account::WORDS + LANE * ring;
            LaneCursor { position: word(at), last: word(at + 1), losses: std::array::from_fn(|n| word(at + 2 + n)) }
        })
        .collect();
    Some(Left { lanes, seen: word(SEEN), told: told.lost, untold: account_at(slot).beyond(&told) })
}

fn slot_of(step: u64, rings: usize) -> usize {
    SLOTS + (step % 2) as usize * (Account::WORDS + LANE * rings)
}

fn words_of(rings: usize) -> usize {
    SLOTS + 2 * (Account::WORDS + LANE * rings)
}

/// The file of a decoder that lives.
pub struct Cursor {
    map: Mapping,
    epoch: u64,
    rings: usize,
    steps: u64,
}

impl Cursor {
    /// Takes the place of what is at `path`, as a whole. `told`: by whoever was there before; `epoch`: unlike any other.
    pub fn create(
        path: &Path,
        key: u64,
        epoch: u64,
        told: &Lost,
        account: &Account,
        lanes: impl ExactSizeIterator<Item = LaneCursor>,
    ) -> io::Result<Self> {
        let fresh = path.with_extension("cursor.new");
        let rings = lanes.len();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
        reserve(&file, 8 * words_of(rings))?;
        let mut cursor = Self { map: Mapping::new(&file)?, epoch, rings, steps: 0 };
        for (number, word) in [MAGIC, rings as u64, key, epoch].into_iter().enumerate() {
            cursor.put(number, word);
        }
        cursor.put_all(BASE, &Account { lost: *told, ..Account::default() }.words());
        cursor.step(account, lanes);
        rename(&fresh, path)?;
        Ok(cursor)
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn put(&self, number: usize, word: u64) {
        self.map.store(8 * number, word, Ordering::Relaxed);
    }

    fn put_all(&self, start: usize, words: &[u64]) {
        for (number, word) in words.iter().enumerate() {
            self.put(start + number, *word);
        }
    }

    /// Everything up to the lanes' positions was read, and this came of it.
    pub fn step(&mut self, account: &Account, lanes: impl Iterator<Item = LaneCursor>) {
        self.steps += 1;
        let slot = slot_of(self.steps, self.rings);
        self.put_all(slot, &account.words());
        for (ring, lane) in lanes.take(self.rings).enumerate() {
            let at = slot + Account::WORDS + LANE * ring;
            self.put_all(at, &[lane.position, lane.last]);
            self.put_all(at + 2, &lane.losses);
        }
        self.map.store(8 * STEPS, self.steps, Ordering::Release);
    }

    /// Somebody reads.
    pub fn seen(&self, wall_ns: u64) {
        self.put(SEEN, wall_ns);
    }
}

/// Room on the disk: a hole that can't be filled later would be a SIGBUS.
fn reserve(file: &File, bytes: usize) -> io::Result<()> {
    // SAFETY: a plain call on a descriptor that we hold.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes as libc::off_t) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
