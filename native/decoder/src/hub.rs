//! One thread that drains every session: it looks at their rings, hands on what they wrote, and sleeps when there is
//! nothing to do.
//!
//! Callers talk to it through `Shared`; a session itself belongs to the thread alone. A panic ends the session that it
//! struck and no other.
use crate::config::Config;
use crate::event_writer::Delivery;
use crate::opening::Refusal;
use crate::session::{Ending, Progress, Session};
use crate::sockets::Budget;
use crate::stats::{Lost, Stats};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines are handed on when there are so many bytes of them, or when they are that old.
const BATCH_BYTES: usize = 256 * 1024;
/// So many bytes that were handed on and not taken hold the drain up.
const MOST_BYTES_IN_FLIGHT: usize = 8 << 20;
const DECODER_NICE: i32 = -10;
const BATCH_AGE: Duration = Duration::from_millis(5);
/// The pause between two looks at the rings: from the first, where much comes, to the second, where little does, and the
/// third, where nothing does.
const BUSY_PAUSE: Duration = Duration::from_micros(500);
const CALM_PAUSE: Duration = Duration::from_millis(4);
const IDLE_PAUSE: Duration = Duration::from_millis(8);
/// A look takes a processor from somebody who works, and whoever works with them soon waits, too: for a short while both go
/// on with what is queued between them. So rather many short looks than few long ones, but none for next to nothing.
const LONG_LOOK: Duration = Duration::from_micros(100);
const SHORT_LOOK: Duration = Duration::from_micros(30);
/// With nothing to watch over, a command wakes the thread up.
const NO_SESSION_PAUSE: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    Events,
    End,
}

/// What is handed on: whole lines, or a session's end.
pub struct Batch<'a> {
    pub session: u64,
    pub kind: BatchKind,
    pub bytes: &'a [u8],
    pub events: u64,
    /// What the lines come to, as JSON (`Summary`); of a session's end nothing.
    pub summary: &'a [u8],
}

enum Command {
    Open(u64, Box<Session>),
    Flush(u64, u64),
    Close(u64),
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    stats: FxHashMap<u64, Stats>,
    stop: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    in_flight: Mutex<InFlight>,
    /// The thread waits for batches to be taken.
    is_held_up: AtomicBool,
}

/// The sizes of the batches that were handed on and not taken. They are taken in their order, or nearly: what counts is how
/// many are left.
#[derive(Default)]
struct InFlight {
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl InFlight {
    fn add(&mut self, bytes: usize) {
        self.sizes.push_back(bytes);
        self.bytes += bytes;
    }

    fn take(&mut self) {
        self.bytes -= self.sizes.pop_front().unwrap_or(0);
    }
}

impl Shared {
    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Hub {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    next_session: AtomicU64,
    next_flush: AtomicU64,
    budget: Arc<Budget>,
}

impl Hub {
    /// `deliver` is called on the hub's own thread. None: the thread could not be started.
    pub fn new(max_in_flight: u32, deliver: impl FnMut(Batch) + Send + 'static) -> Option<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            in_flight: Mutex::default(),
            is_held_up: AtomicBool::new(false),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            deliver,
            max_in_flight: max_in_flight.max(1) as usize,
            sessions: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("scope-decoder".into()).spawn(move || worker.run()).ok()?;
        Some(Self {
            shared,
            thread: Some(thread),
            next_session: AtomicU64::new(1),
            next_flush: AtomicU64::new(1),
            budget: Arc::default(),
        })
    }

    /// Opens a session by its JSON configuration.
    pub fn open(&self, config: &[u8]) -> Result<u64, Refusal> {
        let config = Config::parse(config).map_err(|error| Refusal {
            reason: "InvalidArgument",
            message: format!("The decoder was given a configuration that it can't read: {error}."),
        })?;
        let session = Box::new(Session::open(config, &self.budget)?);
        let id = self.next_session.fetch_add(1, Ordering::Relaxed);
        let mut state = self.shared.lock();
        state.stats.insert(id, session.stats());
        state.commands.push(Command::Open(id, session));
        self.shared.wake.notify_one();
        Ok(id)
    }

    fn send(&self, session: u64, command: Command) -> bool {
        let mut state = self.shared.lock();
        if !state.stats.contains_key(&session) {
            return false;
        }
        state.commands.push(command);
        self.shared.wake.notify_one();
        true
    }

    /// The number that `flushed` of the session's stats reaches when it is done; 0 where there is no such session.
    pub fn flush(&self, session: u64) -> u64 {
        let number = self.next_flush.fetch_add(1, Ordering::Relaxed);
        if self.send(session, Command::Flush(session, number)) { number } else { 0 }
    }

    pub fn stats(&self, session: u64) -> Option<Stats> {
        self.shared.lock().stats.get(&session).copied()
    }

    /// False: no such session.
    pub fn close(&self, session: u64) -> bool {
        self.send(session, Command::Close(session))
    }

    /// One batch was taken further.
    pub fn ack(&self) {
        self.shared.in_flight().take();
        if self.shared.is_held_up.load(Ordering::Acquire) {
            drop(self.shared.lock());
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It panics only when `deliver` does.
            drop(thread.join());
        }
    }
}

struct Running {
    id: u64,
    session: Box<Session>,
    ending: Option<Ending>,
    /// When the oldest waiting line came.
    waiting_since: Option<Instant>,
    flush: bool,
    /// As the stats that were last given out say it.
    lost: Lost,
}

struct Worker<D: FnMut(Batch)> {
    shared: Arc<Shared>,
    deliver: D,
    max_in_flight: usize,
    sessions: Vec<Running>,
}

impl<D: FnMut(Batch)> Worker<D> {
    fn run(mut self) {
        // A target that keeps all processors busy must not keep its own records from being read. Best effort: it takes
        // CAP_SYS_NICE.
        // SAFETY: a plain system call; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, DECODER_NICE) };
        let mut pause = Duration::ZERO;
        loop {
            if !self.wait(pause) {
                return;
            }
            let began = Instant::now();
            let mut busy = Busy::default();
            let mut number = 0;
            while number < self.sessions.len() {
                if self.is_full() {
                    busy.is_held_up = true;
                    break;
                }
                if self.turn(number, &mut busy) { number += 1 } else { drop(self.sessions.swap_remove(number)) }
            }
            pause = busy.pause(pause, began.elapsed(), self.sessions.is_empty());
        }
    }

    fn is_full(&self) -> bool {
        let in_flight = self.shared.in_flight();
        // A step may fill a batch with far more than its share: then fewer of them are out at once.
        in_flight.sizes.len() >= self.max_in_flight || in_flight.bytes >= MOST_BYTES_IN_FLIGHT
    }

    /// Takes the commands, after a pause or as soon as there are some. False: it is over.
    fn wait(&mut self, pause: Duration) -> bool {
        let held_up = self.is_full();
        self.shared.is_held_up.store(held_up, Ordering::Release);
        let mut state = self.shared.lock();
        if !state.stop && state.commands.is_empty() && !pause.is_zero() && (!held_up || self.is_full()) {
            state = self.shared.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        let commands = std::mem::take(&mut state.commands);
        let stop = state.stop;
        drop(state);
        for command in commands {
            self.obey(command);
        }
        !stop
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(id, session) => {
                self.sessions.push(Running {
                    id,
                    session,
                    ending: None,
                    waiting_since: None,
                    flush: false,
                    lost: Lost::default(),
                });
            }
            Command::Flush(id, number) => {
                if let Some(running) = self.sessions.iter_mut().find(|running| running.id == id) {
                    running.session.ask_flush(number);
                    running.flush = true;
                }
            }
            Command::Close(id) => {
                if let Some(running) = self.sessions.iter_mut().find(|running| running.id == id) {
                    running.ending.get_or_insert(running.session.ending_unseen());
                }
            }
        }
    }

    /// One session's turn. False: it has ended.
    fn turn(&mut self, number: usize, busy: &mut Busy) -> bool {
        let running = &mut self.sessions[number];
        let turned = catch_unwind(AssertUnwindSafe(|| match running.ending {
            Some(ending) => (Progress { more: true, ..Progress::default() }, running.session.end(ending)),
            None => (running.session.step(), false),
        }));
        let (progress, is_over) = match turned {
            Ok(turned) => turned,
            Err(panic) => {
                self.end(number, "error", Some(&panic_text(&*panic)));
                return false;
            }
        };
        busy.add(&progress);
        if let Some(ending) = progress.ending {
            running.ending.get_or_insert(ending);
            busy.more = true;
        }
        let waiting = running.session.waiting_bytes();
        let stats = running.session.stats();
        let flushed =
            running.flush && self.shared.lock().stats.get(&running.id).is_none_or(|s| s.flushed < stats.flushed);
        if waiting > 0 {
            let since = *running.waiting_since.get_or_insert_with(Instant::now);
            if waiting >= BATCH_BYTES || flushed || is_over || since.elapsed() >= BATCH_AGE {
                self.deliver(number);
            }
        }
        if flushed {
            self.sessions[number].flush = false;
        }
        if is_over {
            let reason = self.sessions[number].ending.unwrap_or(Ending::Detached).as_str();
            self.end(number, reason, None);
            return false;
        }
        let has_lost = self.sessions[number].lost != stats.lost;
        if progress.records > 0 || flushed || progress.more || waiting > 0 || has_lost {
            let id = self.sessions[number].id;
            self.sessions[number].lost = stats.lost;
            self.shared.lock().stats.insert(id, stats);
        }
        true
    }

    fn deliver(&mut self, number: usize) {
        let Running { id, session, waiting_since, .. } = &mut self.sessions[number];
        *waiting_since = None;
        session.deliver(|Delivery { bytes, events, summary }| {
            self.shared.in_flight().add(bytes.len() + summary.len());
            (self.deliver)(Batch { session: *id, kind: BatchKind::Events, bytes, events, summary });
        });
    }

    fn end(&mut self, number: usize, reason: &str, message: Option<&str>) {
        let Running { id, session, .. } = &mut self.sessions[number];
        let stats = session.stats();
        let mut text = format!("{{\"reason\":\"{reason}\"").into_bytes();
        if let Some(message) = message {
            text.extend_from_slice(b",\"message\":");
            crate::event_writer::put_string(&mut text, message.as_bytes());
        }
        text.extend_from_slice(b",\"stats\":");
        text.extend_from_slice(stats.to_json().as_bytes());
        text.push(b'}');
        let id = *id;
        self.shared.lock().stats.remove(&id);
        self.shared.in_flight().add(text.len());
        (self.deliver)(Batch { session: id, kind: BatchKind::End, bytes: &text, events: 0, summary: &[] });
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("The decoder met a bug of its own and gave this session up: {}", said.unwrap_or("no text"))
}

/// What one round over all sessions found.
#[derive(Default)]
struct Busy {
    records: u64,
    more: bool,
    is_held_up: bool,
    is_filling: bool,
}

impl Busy {
    fn add(&mut self, progress: &Progress) {
        self.records += progress.records;
        self.more |= progress.more;
        // Rings that fill by an eighth within a pause could fill whole within a longer one.
        let (waiting, of) = progress.fullest;
        self.is_filling |= progress.records > 0 && waiting > of / 8;
    }

    /// After a look that took so long.
    fn pause(&self, last: Duration, took: Duration, no_session: bool) -> Duration {
        match self {
            _ if no_session => NO_SESSION_PAUSE,
            Self { is_held_up: true, .. } => IDLE_PAUSE,
            Self { more: true, .. } | Self { is_filling: true, .. } => Duration::ZERO,
            Self { records: 0, .. } => (last + last / 2).clamp(BUSY_PAUSE, IDLE_PAUSE),
            _ if took < SHORT_LOOK => (last + last / 2).clamp(BUSY_PAUSE, CALM_PAUSE),
            _ if took < LONG_LOOK => last.clamp(BUSY_PAUSE, CALM_PAUSE),
            _ => (last / 2).clamp(BUSY_PAUSE, CALM_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(max_in_flight: usize) -> Worker<impl FnMut(Batch)> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            in_flight: Mutex::default(),
            is_held_up: AtomicBool::new(false),
        });
        Worker { shared, deliver: |_: Batch| {}, max_in_flight, sessions: Vec::new() }
    }

    #[test]
    fn looks_the_more_often_the_more_there_is_to_do() {
        let after = |records, filled, took, last| {
            let mut busy = Busy::default();
            busy.add(&Progress { records, fullest: (filled, 64), ..Progress::default() });
            busy.pause(last, took, false)
        };
        assert_eq!(after(9, 1, SHORT_LOOK / 2, BUSY_PAUSE), BUSY_PAUSE * 3 / 2);
        assert_eq!(after(9, 1, SHORT_LOOK / 2, IDLE_PAUSE), CALM_PAUSE);
        assert_eq!(after(9, 1, SHORT_LOOK, CALM_PAUSE), CALM_PAUSE);
        assert_eq!(after(9, 1, LONG_LOOK, CALM_PAUSE), CALM_PAUSE / 2);
        assert_eq!(after(9, 9, SHORT_LOOK, CALM_PAUSE), Duration::ZERO, "a ring is filling");
        assert_eq!(after(0, 0, SHORT_LOOK, CALM_PAUSE), CALM_PAUSE * 3 / 2);
        assert_eq!(after(9, 0, LONG_LOOK, Duration::ZERO), BUSY_PAUSE);
    }

    #[test]
    fn waits_for_many_batches_or_for_large_ones() {
        let worker = worker(4);
        let add = |bytes| worker.shared.in_flight().add(bytes);
        for _ in 0..3 {
            add(10);
        }
        assert!(!worker.is_full());
        add(10);
        assert!(worker.is_full(), "four are out");
        worker.shared.in_flight().take();
        assert!(!worker.is_full());
        worker.shared.in_flight().take();
        add(MOST_BYTES_IN_FLIGHT);
        assert!(worker.is_full(), "one is as large as all may be");
        for _ in 0..3 {
            worker.shared.in_flight().take();
        }
        assert!(!worker.is_full());
        worker.shared.in_flight().take();
        assert_eq!(worker.shared.in_flight().bytes, 0, "one too many takes nothing");
    }
}
