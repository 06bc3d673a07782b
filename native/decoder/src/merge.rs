//! The records of all rings in the order of their times.
//!
//! Each drain takes t0 = now - TSC_SLACK first and the heads after it: whatever has a time up to t0 was reserved before,
//! so it lies below a head, and what is taken in this drain is older than what any later drain takes.
//!
//! A reservation that is not committed holds up its ring; the others wait for it a little (a preempted writer) and then
//! go on. After two seconds it counts as abandoned (a signal handler that never returned, a thread that was killed),
//! unless the process is stopped.
use crate::clock::ticks;
use crate::cursor::LaneCursor;
use crate::ring::{LOSS_COUNTERS, Losses, Next, RingFile, RingReader, TAIL_STEP};
use scope_abi::TSC_SLACK;

/// How long one ring's uncommitted reservation holds up the others, and how long its own ring, in nanoseconds.
const OTHERS_WAIT_NS: u64 = 10_000_000;
const RING_WAIT_NS: u64 = 2_000_000_000;

/// No counter grows by more between two drains, or since an agent was there: hours of a processor's whole memory bandwidth.
const MOST_LOST: u64 = 1 << 50;

struct Lane {
    reader: RingReader,
    /// Time of its last record: what a record without a time takes.
    last: u64,
    /// The next one, when it may be taken in this drain.
    ready: Option<(u64, u32)>,
    /// Since when it waits for the same reservation.
    stalled_since: Option<u64>,
    losses: Losses,
    done: bool,
}

/// What a drain found besides records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    pub abandoned: u64,
    pub corrupt: u64,
}

pub struct Merge {
    file: RingFile,
    lanes: Vec<Lane>,
    /// While draining.
    limit: u64,
    now: u64,
    wait_others: u64,
    wait_ring: u64,
    glance: Vec<u8>,
    took_glanced: bool,
    owes: bool,
    pub trouble: Trouble,
    /// Bytes that lay in the fullest ring when the last drain began.
    pub fullest: u64,
}

impl Merge {
    /// `from`: where another decoder of this ring has come to; empty: it is ours from its tail on. `ticks_of`: ticks of so
    /// many nanoseconds.
    pub fn new(file: RingFile, from: &[LaneCursor], ticks_of: impl Fn(u64) -> u64) -> Self {
        let mut trouble = Trouble::default();
        let lanes = (0..file.layout().ring_count)
            .map(|number| {
                let before = from.get(number);
                let continued = before.and_then(|lane| file.ring_from(number, lane.position));
                trouble.corrupt += u64::from(before.is_some() && continued.is_none());
                let reader = continued.unwrap_or_else(|| file.ring(number));
                // What was lost before we came is no loss of this session's, unless it is another's that we go on with.
                let losses = before.map_or_else(|| reader.losses(&file), |lane| lane.losses);
                let last = before.map_or_else(ticks, |lane| lane.last);
                Lane { reader, last, ready: None, stalled_since: None, losses, done: false }
            })
            .collect();
        Self {
            file,
            lanes,
            limit: 0,
            now: 0,
            wait_others: ticks_of(OTHERS_WAIT_NS),
            wait_ring: ticks_of(RING_WAIT_NS),
            glance: Vec::new(),
            took_glanced: false,
            owes: false,
            trouble,
            fullest: 0,
        }
    }

    /// How far each ring was read.
    pub fn cursors(&self) -> impl ExactSizeIterator<Item = LaneCursor> {
        self.lanes.iter().map(|Lane { reader, last, losses, .. }| LaneCursor {
            position: reader.position(),
            last: *last,
            losses: *losses,
        })
    }

    /// Whether so much was read since the writers last got their space back that they should have it.
    #[inline]
    pub fn owes_room(&self) -> bool {
        self.owes
    }

    pub fn file(&self) -> &RingFile {
        &self.file
    }

    /// Begins a drain; gives what the writers have lost since the last one.
    pub fn begin(&mut self) -> Losses {
        self.limit = ticks().saturating_sub(TSC_SLACK);
        let mut lost: Losses = [0; LOSS_COUNTERS];
        self.fullest = 0;
        for lane in &mut self.lanes {
            if !lane.reader.refresh(&self.file) {
                self.trouble.corrupt += 1;
            }
            lane.ready = None;
            lane.done = false;
            self.fullest = self.fullest.max(lane.reader.waiting());
            let losses = lane.reader.losses(&self.file);
            let grown: Losses = std::array::from_fn(|number| losses[number].wrapping_sub(lane.losses[number]));
            lane.losses = losses;
            // Counters that go back, or jump, are nobody's losses.
            if grown.iter().any(|&count| count > MOST_LOST) {
                self.trouble.corrupt += 1;
                continue;
            }
            for (sum, count) in lost.iter_mut().zip(grown) {
                *sum = sum.saturating_add(count);
            }
        }
        self.now = ticks();
        lost
    }

    /// Whether the last drain left something uncommitted behind, and for how many ticks the oldest waits.
    pub fn stalled_for(&self) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.stalled_since).map(|since| self.now.saturating_sub(since)).max()
    }

    /// Whether somebody should say, by `pass_over_abandoned`, that the waiting is over.
    pub fn is_overdue(&self) -> bool {
        self.stalled_for().is_some_and(|ticks| ticks >= self.wait_ring)
    }

    /// Steps over every reservation that is overdue. Between drains.
    pub fn pass_over_abandoned(&mut self) {
        for lane in &mut self.lanes {
            if lane.stalled_since.is_some_and(|since| self.now.saturating_sub(since) >= self.wait_ring) {
                lane.stalled_since = None;
                lane.reader.skip(&self.file);
                self.trouble.abandoned += 1;
            }
        }
    }

    /// The stopped process's clock stands still: waiting begins anew.
    pub fn forgive(&mut self) {
        for lane in &mut self.lanes {
            if lane.stalled_since.is_some() {
                lane.stalled_since = Some(self.now);
            }
        }
    }

    /// The next record of this drain and its time, copied into `into`; None: the drain is over.
    #[inline]
    pub fn take(&mut self, into: &mut Vec<u8>) -> Option<u64> {
        let mut first: Option<(usize, u64, u32)> = None;
        for number in 0..self.lanes.len() {
            if let Some((time, size)) = self.look(number) {
                if first.is_none_or(|(_, earliest, _)| time < earliest) {
                    first = Some((number, time, size));
                }
            } else if self.lanes[number]
                .stalled_since
                .is_some_and(|since| self.now.saturating_sub(since) < self.wait_others)
            {
                return None;
            }
        }
        let (number, time, size) = first?;
        let lane = &mut self.lanes[number];
        self.took_glanced = lane.reader.has_looked_ahead(&self.file);
        lane.reader.take(&self.file, size, into);
        self.owes |= lane.reader.untold() >= TAIL_STEP;
        lane.last = time;
        lane.ready = None;
        Some(time)
    }

    #[inline]
    fn look(&mut self, number: usize) -> Option<(u64, u32)> {
        let lane = &mut self.lanes[number];
        if lane.ready.is_some() || lane.done {
            return lane.ready;
        }
        let next = lane.reader.next(&self.file);
        if next != Next::Uncommitted {
            lane.stalled_since = None;
        }
        match next {
            Next::Record { tsc, size } => {
                // A time in the future is a lie: it must not hold up the ring.
                let time = if tsc == 0 || tsc > self.now { lane.last } else { tsc };
                if time <= self.limit {
                    lane.ready = Some((time, size));
                    return lane.ready;
                }
            }
            Next::Empty => {}
            Next::Uncommitted => {
                lane.stalled_since.get_or_insert(self.now);
            }
            Next::Corrupt => self.trouble.corrupt += 1,
        }
        lane.done = true;
        None
    }

    /// Shows the beginning of every record that is reserved by now, of this drain or later ones, unless it was shown
    /// before; takes none. False: some are not written yet, or were lost since this drain began.
    pub fn look_ahead(&mut self, mut show: impl FnMut(&[u8])) -> bool {
        let mut is_whole = true;
        for lane in &mut self.lanes {
            is_whole &= lane.reader.look_ahead(&self.file, &mut self.glance, &mut show);
            is_whole &= lane.reader.lost_records(&self.file) == lane.losses[0];
        }
        is_whole
    }

    /// Whether the record that was taken last had been shown by `look_ahead`.
    #[inline]
    pub fn took_glanced(&self) -> bool {
        self.took_glanced
    }

    /// Whether any record that waits has been shown.
    pub fn has_looked_ahead(&self) -> bool {
        self.lanes.iter().any(|lane| lane.reader.has_looked_ahead(&self.file))
    }

    /// All that waits will be shown anew.
    pub fn forget_look(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.reader.forget_look());
    }

    /// The writers get their space back.
    pub fn give_room(&mut self) {
        self.owes = false;
        for lane in &mut self.lanes {
            lane.reader.tell(&self.file);
        }
    }

    /// Whether everything up to this drain's time limit was taken.
    pub fn is_complete(&self) -> bool {
        self.lanes.iter().all(|lane| lane.stalled_since.is_none() && lane.ready.is_none())
    }

    /// The time up to which the current drain takes records.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}
