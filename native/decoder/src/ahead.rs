//! What the records that wait will do to descriptors' numbers.
//!
//! A look from outside (/proc/PID/fd/N) sees what a number stands for now, while records tell of what was, some
//! milliseconds ago. Both are the same thing as long as no call lies in between that frees or gives away the number:
//!
//! ```text
//!     record at hand          look           heads
//!  ──────┬───────────────────┬──┬──────────────┬─────▶ time
//!        │   taken later     │  │              │
//!        └── any close, dup2, open … of N? ────┘   none: the look was at what the record speaks of
//! ```
//!
//! Rules:
//! - everything that had been reserved when the look was over must be known: a reservation that is not written yet, or
//!   a loss, makes every look worthless
//! - a number's end is recorded before the call (close), so it can't be missed; where it is recorded after it (dup2 over a
//!   number in use), its record is missed for some nanoseconds: who looks compares what was found with what is known
//! - a vfork child's calls count too, though they are none of ours: a look too few does no harm
use crate::call;
use crate::record::{Record, When};
use rustc_hash::FxHashMap;

const CLOSE_RANGE_CLOEXEC: u64 = 4;
/// More than that many numbers to remember: nothing is known of any.
const MOST: usize = 1 << 17;

/// Numbers that a call frees or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    Nothing,
    One(i32),
    Two(i32, i32),
    Range(u32, u32),
}

impl Touched {
    fn by(record: &Record) -> Self {
        let given = |record: &Record| if record.result >= 0 { Self::One(record.result as i32) } else { Self::Nothing };
        match (record.when, record.number) {
            (_, call::CLOSE) => Self::One(record.a1 as i32),
            (_, call::CLOSE_RANGE) if record.a3 & CLOSE_RANGE_CLOEXEC == 0 => Self::Range(record.a1, record.a2 as u32),
            // Another program's numbers are another story.
            (When::Pre, number) if call::is_exec(number) => Self::Range(0, u32::MAX),
            (When::Post, call::OPEN | call::OPENAT | call::OPENAT2 | call::CREAT) => given(record),
            (When::Post, call::SOCKET | call::ACCEPT | call::ACCEPT4 | call::IO_URING_SETUP) => given(record),
            (When::Post, call::DUP | call::DUP2 | call::DUP3 | call::FCNTL) => given(record),
            (When::Post, call::PIPE | call::PIPE2 | call::SOCKETPAIR) => match record.pair() {
                _ if record.result < 0 => Self::Nothing,
                Some((one, other)) => Self::Two(one, other),
                None => Self::Range(0, u32::MAX),
            },
            _ => Self::Nothing,
        }
    }
}

/// The numbers that are touched by records which `Merge::look_ahead` has shown and which were not acted on yet.
#[derive(Default)]
pub struct Ahead {
    numbers: FxHashMap<i32, u32>,
    ranges: Vec<(u32, u32)>,
    has_overflowed: bool,
}

impl Ahead {
    /// A record was shown.
    pub fn add(&mut self, record: &Record) {
        if self.numbers.len() + self.ranges.len() >= MOST {
            self.has_overflowed = true;
            return;
        }
        let mut one = |fd| *self.numbers.entry(fd).or_default() += 1;
        match Touched::by(record) {
            Touched::Nothing => {}
            Touched::One(fd) => one(fd),
            Touched::Two(fd, other) => {
                one(fd);
                one(other);
            }
            Touched::Range(first, last) => self.ranges.push((first, last)),
        }
    }

    /// A record that was shown is about to be acted on.
    pub fn remove(&mut self, record: &Record) {
        let mut one = |fd| {
            if let Some(count) = self.numbers.get_mut(&fd) {
                *count -= 1;
                if *count == 0 {
                    self.numbers.remove(&fd);
                }
            }
        };
        match Touched::by(record) {
            Touched::Nothing => {}
            Touched::One(fd) => one(fd),
            Touched::Two(fd, other) => {
                one(fd);
                one(other);
            }
            Touched::Range(first, last) => {
                if let Some(at) = self.ranges.iter().position(|range| *range == (first, last)) {
                    self.ranges.swap_remove(at);
                }
            }
        }
    }

    pub fn touches(&self, fd: i32) -> bool {
        self.has_overflowed
            || self.numbers.contains_key(&fd)
            || self.ranges.iter().any(|&(first, last)| (first..=last).contains(&(fd as u32)))
    }

    /// Nothing that was shown waits any more.
    pub fn clear(&mut self) {
        self.numbers.clear();
        self.ranges.clear();
        self.has_overflowed = false;
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Call;
    use scope_abi as abi;

    fn with(call: &Call, act: impl FnOnce(&Record)) {
        act(&Record::parse(&call.bytes(0), 1).expect("a record"));
    }

    #[test]
    fn knows_what_each_call_touches() {
        let pair = [7, 0, 0, 0, 8, 0, 0, 0];
        let cases: [(Call, &[i32], &[i32]); 11] = [
            (Call::pre(call::CLOSE, 5), &[5], &[6]),
            (Call::post(call::CLOSE, 5, 0), &[5], &[6]),
            (Call::pre(call::CLOSE_RANGE, 5).a2(u64::from(u32::MAX)), &[5, 6, i32::MAX], &[4]),
            (Call::pre(call::CLOSE_RANGE, 5).a2(9).a3(CLOSE_RANGE_CLOEXEC), &[], &[5]),
            (Call::post(call::DUP2, 5, 6).a2(6), &[6], &[5]),
            (Call::post(call::ACCEPT4, 5, 6), &[6], &[5]),
            (Call::post(call::OPENAT, 5, -2), &[], &[5, -2]),
            (Call::pre(call::OPENAT, 5), &[], &[5]),
            (Call::post(call::PIPE2, 5, 0).chunk(abi::CHUNK_FDS, 0, &pair), &[7, 8], &[5]),
            (Call::post(call::PIPE, 5, -24), &[], &[5]),
            (Call::pre(call::EXECVE, 5), &[0, 5], &[]),
        ];
        for (call, touched, untouched) in &cases {
            let mut ahead = Ahead::default();
            with(call, |record| ahead.add(record));
            for fd in *touched {
                assert!(ahead.touches(*fd), "{call:?} {fd}");
            }
            for fd in *untouched {
                assert!(!ahead.touches(*fd), "{call:?} {fd}");
            }
            with(call, |record| ahead.remove(record));
            assert!(ahead.is_empty(), "{call:?}");
        }
    }

    #[test]
    fn counts() {
        let mut ahead = Ahead::default();
        let close = Call::pre(call::CLOSE, 5);
        with(&close, |record| ahead.add(record));
        with(&close, |record| ahead.add(record));
        with(&close, |record| ahead.remove(record));
        assert!(ahead.touches(5));
        with(&close, |record| ahead.remove(record));
        with(&close, |record| ahead.remove(record));
        assert!(!ahead.touches(5));
    }

    #[test]
    fn gives_up_when_there_are_too_many() {
        let mut ahead = Ahead::default();
        for fd in 0..=MOST as u32 {
            with(&Call::pre(call::CLOSE, fd), |record| ahead.add(record));
        }
        assert!(ahead.touches(-5));
        ahead.clear();
        assert!(!ahead.touches(5));
    }
}
