//! One scoped process: its ring drained, its calls understood, its events written.
use crate::ahead::Ahead;
use crate::call;
use crate::capture::CapturePlan;
use crate::clock::{Clock, ticks};
use crate::config::Config;
use crate::cursor::{self, Account, Cursor, Left};
use crate::descriptors::{Description, Descriptors, Key, What};
use crate::event_writer::{Delivery, Event, EventWriter};
use crate::heap;
use crate::looks::WorkingDirectory;
use crate::merge::Merge;
use crate::opening::{Refusal, open_cursor, open_ring};
use crate::protocols::dns::{DnsQuery, DnsTracker};
use crate::protocols::http1::HttpExchange;
use crate::protocols::{Direction, console};
use crate::record::{Record, When};
use crate::settle::Unsettled;
use crate::signals::signal_name;
use crate::sockets::{Budget, SocketTables};
use crate::stats::{Io, Lost, Moved, Stats, Tally};
use crate::target::{Exit, Life, Target};
use crate::thread_state::{Step, Threads};
use scope_abi as abi;
use std::sync::Arc;

const CLONE_THREAD: u64 = 0x10000;
/// Asking whether the program was replaced, and adopting anew after losses: no more often than this.
const LOOK_NS: u64 = 200_000_000;
/// After a loss: how long what looks like a vfork child is taken for one. Longer ones are rare, and what they do is mended
/// by adopting anew.
const CHILD_NS: u64 = 100_000_000;
const EXIT_LOOK_NS: u64 = 10_000_000;
/// A drain stops after so many records, so that other sessions get their turn and batches leave.
const RECORDS_A_STEP: usize = 20_000;
/// … or after so long, looked at every few records.
const STEP_NS: u64 = 10_000_000;
const RECORDS_A_LOOK: usize = 64;
/// What a session may hold in memory. Past that it forgets what it was parsing; past that still, no further descriptor is
/// followed. Some hundred thousand connections at once come to less.
const MOST_BYTES: i64 = 128 << 20;
/// Lines that wait for delivery stop a drain.
const WAITING_BYTES: usize = 1 << 20;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Detached,
    Exited,
    Exec,
}

impl Ending {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Exited => "exited",
            Self::Exec => "exec",
        }
    }
}

/// What a step found to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub records: u64,
    /// More records wait than one step takes.
    pub more: bool,
    /// Bytes that lay in the fullest ring, out of how many.
    pub fullest: (u64, u64),
    pub ending: Option<Ending>,
}

pub struct Session {
    pub(crate) target: Target,
    pub(crate) clock: Clock,
    pub(crate) capture: CapturePlan,
    pub(crate) writer: EventWriter,
    pub(crate) fds: Descriptors,
    pub(crate) tables: SocketTables,
    pub(crate) unsettled: Unsettled,
    pub(crate) cwd: WorkingDirectory,
    /// What records do that wait, as far as `merge` has shown them.
    pub(crate) ahead: Ahead,
    pub(crate) merge: Merge,
    /// Records were lost whose effects on descriptors were not looked for yet.
    pub(crate) adopt_again: bool,
    pub(crate) io: Io,
    /// Ticks at the end of the first adoption.
    pub(crate) adopted_at: u64,
    /// Grows with each loss: until then streams are seen from their start.
    pub(crate) lost_generation: u64,
    pub(crate) unparsed: u64,
    /// Rings of its own that it talks to the kernel by, as far as they were met.
    pub(crate) io_urings: u64,
    pub(crate) exchanges: Vec<HttpExchange>,
    pub(crate) console_lines: Vec<console::Line>,
    pub(crate) dns: DnsTracker,
    pub(crate) queries: Vec<DnsQuery>,
    threads: Threads,
    buffer: Vec<u8>,
    records: u64,
    lost: Lost,
    /// On descriptors whose close is told: what was counted, and how much of it no close can tell any more or did.
    counted: (Moved, Moved),
    settled: (Moved, Moved),
    cursor: Option<Cursor>,
    /// Bytes in memory when its last turn ended, and the thread's when this one began.
    held: i64,
    turn_began: i64,
    /// What the decoder before us left, until that is told.
    left: Option<Left>,
    resumes: bool,
    /// Lines that there were at the last step of the cursor.
    events_stepped: u64,
    progress_ns: u64,
    /// Ticks of the last time that each was done.
    told_progress: u64,
    looked: u64,
    looked_for_exit: u64,
    is_adopted: bool,
    exit_code: Option<u32>,
    flush_asked: Option<(u64, u64)>,
    flushed: u64,
}

impl Session {
    /// Opens the ring and checks it. Cheap: what is slow is done by the first step, but of a process that is held meanwhile. `budget`: one for all sessions.
    pub fn open(config: Config, budget: &Arc<Budget>) -> Result<Self, Refusal> {
        let (target, ring) = open_ring(config.pid, &config.ring)?;
        let clock = Clock::new();
        let now = ticks();
        let left = config.resume.as_ref().and_then(|resume| {
            let layout = ring.layout();
            let path = config.cursor.as_deref()?;
            cursor::read_left(path.as_ref(), layout.key, layout.ring_count, resume.mark.as_deref())
        });
        let lanes = left.as_ref().map(|left| left.lanes.as_slice()).unwrap_or_default();
        let merge = Merge::new(ring, lanes, |ns| clock.ticks_of(ns));
        let told = left.as_ref().map(|left| left.told).unwrap_or_default();
        let mut session = Self {
            writer: EventWriter::new(config.process.get()),
            capture: CapturePlan::new(config.capture),
            merge,
            target,
            clock,
            fds: Descriptors::default(),
            tables: SocketTables::new(Arc::clone(budget)),
            unsettled: Unsettled::default(),
            cwd: WorkingDirectory::default(),
            ahead: Ahead::default(),
            io: Io::default(),
            adopted_at: 0,
            lost_generation: 0,
            unparsed: 0,
            io_urings: 0,
            exchanges: Vec::new(),
            console_lines: Vec::new(),
            dns: DnsTracker::default(),
            queries: Vec::new(),
            threads: Threads::new(config.born),
            buffer: Vec::new(),
            records: 0,
            lost: told,
            counted: Default::default(),
            settled: Default::default(),
            cursor: None,
            held: 0,
            turn_began: 0,
            left: None,
            resumes: config.resume.is_some(),
            events_stepped: 0,
            progress_ns: config.progress_seconds.saturating_mul(1_000_000_000),
            told_progress: now,
            looked: now,
            looked_for_exit: now,
            is_adopted: false,
            adopt_again: false,
            exit_code: None,
            flush_asked: None,
            flushed: 0,
        };
        if let Some(left) = &left {
            session.count_lost(&left.untold);
        }
        session.left = left;
        if let Some(path) = &config.cursor {
            session.cursor = Some(open_cursor(path, &session.merge, &told, &session.account())?);
        }
        if config.held {
            session.is_adopted = true;
            session.adopt_all();
        }
        Ok(session)
    }

    /// `number`: told by `stats().flushed` once everything recorded up to now has been handed to the writer.
    pub fn ask_flush(&mut self, number: u64) {
        self.flush_asked = Some((number, ticks()));
    }

    pub fn stats(&self) -> Stats {
        Stats {
            records: self.records,
            events: self.writer.total(),
            by_name: *self.writer.by_name(),
            lost: self.lost,
            unparsed_bytes: self.unparsed,
            io_urings: self.io_urings,
            io: self.io,
            flushed: self.flushed,
            descriptors: self.fds.len() as u64,
            threads: self.threads.len() as u64,
        }
    }

    /// Lines that wait for delivery.
    pub fn waiting_bytes(&self) -> usize {
        self.writer.waiting_bytes()
    }

    /// Behind the lines of a session with a cursor stands a mark of `MARK_BYTES`.
    pub fn deliver(&mut self, to: impl FnOnce(Delivery)) {
        let mark = self.cursor.as_ref().map(|cursor| cursor::mark(cursor.epoch(), &self.told()));
        self.writer.drain(mark.as_ref().map(<[u8; _]>::as_slice).unwrap_or_default(), to);
    }

    /// What came of the records that were taken.
    fn account(&self) -> Account {
        let (read, write) = self.counted;
        Account { events: self.writer.total(), read, write, lost: self.lost }
    }

    /// What the lines made so far tell of it.
    fn told(&self) -> Account {
        let (read, write) = self.settled;
        Account { events: self.writer.total(), read, write, lost: self.lost.beyond(self.writer.untold_lost()) }
    }

    /// Counts a call that moved so much on a description, and took so many nanoseconds, where that is known.
    #[inline]
    pub(crate) fn count(&mut self, key: Key, direction: Direction, bytes: u64, took: Option<u64>) {
        let description = self.fds.at(key);
        let (here, time, all) = match direction {
            Direction::Read => (&mut description.read, &mut description.read_time, &mut self.counted.0),
            Direction::Write => (&mut description.write, &mut description.write_time, &mut self.counted.1),
        };
        here.add(bytes);
        took.into_iter().for_each(|ns| time.add(ns));
        if description.is_told {
            all.add(bytes);
        }
    }

    /// The same of many calls at once.
    pub(crate) fn count_all(&mut self, key: Key, tally: Tally) {
        let description = self.fds.at(key);
        description.read.add_all(tally.read);
        description.write.add_all(tally.write);
        if description.is_told {
            self.counted.0.add_all(tally.read);
            self.counted.1.add_all(tally.write);
        }
    }

    /// A description's counts are told, or will never be.
    pub(crate) fn settle_counts(&mut self, description: &Description) {
        if description.is_told {
            self.settled.0.add_all(description.read);
            self.settled.1.add_all(description.write);
        }
    }

    /// Whether a close will tell what was counted on such a description.
    pub(crate) fn tells_of(&self, what: &What) -> bool {
        match what {
            What::Socket(_) => self.capture.net,
            What::Path { path, .. } => self.capture.path(path),
        }
    }

    /// A bounded piece of work: drains, tells what is due, looks whether the process lives.
    pub fn step(&mut self) -> Progress {
        self.in_turn(Self::step_now)
    }

    fn in_turn<T>(&mut self, turn: impl FnOnce(&mut Self) -> T) -> T {
        self.turn_began = heap::held();
        let result = turn(self);
        self.held += heap::held() - self.turn_began;
        result
    }

    /// Bytes that it holds in memory, in its turn.
    fn memory(&self) -> i64 {
        self.held + heap::held() - self.turn_began
    }

    /// Whether there is room for one more thing that is remembered for long.
    pub(crate) fn has_room(&self) -> bool {
        self.memory() < MOST_BYTES
    }

    /// Forgets what it was in the middle of: requests, lines, lookups, calls under way. Counts go on.
    fn shed(&mut self) {
        self.count_lost(&Lost { shed: 1, ..Lost::default() });
        for description in self.fds.all() {
            description.consoles = None;
            if let Some(socket) = description.socket()
                && let Some(http) = socket.http.take()
            {
                self.unparsed += http.unparsed_bytes();
                socket.http_off = true;
            }
        }
        self.dns = DnsTracker::default();
        self.threads.forget_calls(ticks());
    }

    fn step_now(&mut self) -> Progress {
        if !self.is_adopted {
            self.is_adopted = true;
            self.adopt_all();
        }
        let mut progress = self.drain();
        self.settle_waiting();
        let now = ticks();
        self.clock.tend(now);
        if let Some(cursor) = &self.cursor {
            cursor.seen(self.clock.wall_of(now));
        }
        if self.is_due(self.told_progress, now, self.progress_ns.max(1)) && self.progress_ns > 0 {
            self.told_progress = now;
            if !progress.more {
                self.take_tallies(now);
            }
            self.tell_progress(now);
            self.expire_queries(now);
        }
        if !progress.more {
            progress.ending = self.look(now);
        }
        if self.writer.total() != self.events_stepped {
            self.step_cursor();
        }
        progress
    }

    /// Notes how far this has come: then what was read may be overwritten.
    pub(crate) fn step_cursor(&mut self) {
        self.count_trouble();
        let account = self.account();
        self.events_stepped = account.events;
        if let Some(cursor) = &mut self.cursor {
            cursor.step(&account, self.merge.cursors());
        }
        self.merge.give_room();
    }

    fn count_trouble(&mut self) {
        let trouble = std::mem::take(&mut self.merge.trouble);
        self.count_lost(&Lost { abandoned: trouble.abandoned, corrupt: trouble.corrupt, ..Lost::default() });
    }

    /// Says from when on nobody read, and what is missing of that.
    fn tell_resumed(&mut self) {
        let now = self.clock.wall_of(ticks());
        let left = self.left.take();
        let mut line = self.writer.event(Event::ScopeLost, now);
        line.text("scope.lost.where", b"agent");
        match left {
            Some(Left { seen, .. }) => {
                let since = crate::event_writer::time_text(seen);
                line.text("scope.lost.since", &since).seconds("scope.lost.duration", now.saturating_sub(seen));
            }
            // How far the one before has come, and what it told, is not known.
            None => drop(line.truth("scope.lost.exact", false)),
        }
    }

    fn is_due(&self, last: u64, now: u64, ns: u64) -> bool {
        self.clock.ns_of(now.saturating_sub(last)) >= ns
    }

    /// What became of the process; after a loss also of its descriptors.
    fn look(&mut self, now: u64) -> Option<Ending> {
        if self.is_due(self.looked_for_exit, now, EXIT_LOOK_NS) {
            self.looked_for_exit = now;
            if self.target.has_exited() {
                return Some(Ending::Exited);
            }
        }
        if !self.is_due(self.looked, now, LOOK_NS) {
            return None;
        }
        self.looked = now;
        if self.merge.is_overdue() {
            if self.target.is_stopped() {
                self.merge.forgive();
            } else {
                self.merge.pass_over_abandoned();
            }
        }
        match self.target.life() {
            Life::Exited => return Some(Ending::Exited),
            Life::Replaced if self.merge.file().phase() == abi::PHASE_DETACHED => return Some(Ending::Detached),
            Life::Replaced => return Some(Ending::Exec),
            Life::Running => {}
        }
        if std::mem::take(&mut self.adopt_again) {
            self.adopt_again = !self.adopt_again(now);
        }
        None
    }

    fn drain(&mut self) -> Progress {
        let losses = self.merge.begin();
        self.count_lost(&Lost::from(&losses));
        if std::mem::take(&mut self.resumes) {
            self.tell_resumed();
        }
        let fullest = (self.merge.fullest, self.merge.file().layout().ring_bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut taken = 0;
        let mut more = false;
        let until = ticks().saturating_add(self.clock.ticks_of(STEP_NS));
        while let Some(time) = self.merge.take(&mut buffer) {
            let glanced = self.merge.took_glanced();
            self.record(&buffer, time, glanced);
            taken += 1;
            if self.merge.owes_room() {
                self.step_cursor();
                if !self.has_room() {
                    self.shed();
                }
            }
            let is_late = taken % RECORDS_A_LOOK == 0 && ticks() > until;
            if is_late || taken == RECORDS_A_STEP || self.writer.waiting_bytes() >= WAITING_BYTES {
                more = true;
                break;
            }
        }
        self.buffer = buffer;
        self.records += taken as u64;
        let is_complete = self.merge.is_complete();
        if !self.merge.has_looked_ahead() {
            self.ahead.clear();
        }
        self.step_cursor();
        if let Some((number, asked)) = self.flush_asked
            && !more
            && (is_complete || self.clock.ns_of(ticks().saturating_sub(asked)) > 3_000_000_000)
            && self.merge.limit() >= asked
        {
            self.tell_due_opens();
            self.take_tallies(ticks());
            self.flushed = number;
            self.flush_asked = None;
        }
        Progress { records: taken as u64, more, fullest, ending: None }
    }

    pub(crate) fn count_lost(&mut self, lost: &Lost) {
        if lost.is_nothing() {
            return;
        }
        self.lost.add(lost);
        self.writer.add_lost(lost);
        // Some of what was shown may never come.
        self.merge.forget_look();
        self.ahead.clear();
        if lost.missed_calls() {
            self.lost_generation += 1;
            self.threads.forget_calls(ticks().saturating_add(self.clock.ticks_of(CHILD_NS)));
            self.adopt_again = true;
        }
    }

    /// One record. Whatever its bytes are, nothing worse than a wrong event comes of it.
    fn record(&mut self, bytes: &[u8], time: u64, glanced: bool) {
        let Some(record) = Record::parse(bytes, time) else { return };
        if glanced {
            self.ahead.remove(&record);
        }
        if let Some(tally) = record.tally() {
            return self.tallied(record.a1 as i32, tally, record.time);
        }
        match self.threads.step(&record, bytes) {
            Step::Childs | Step::Kept => {}
            Step::Act(None) => self.act(&record, None),
            Step::Act(Some((pre, began))) => {
                self.act(&record, Record::parse(&pre, began).as_ref());
                self.threads.reuse(pre);
            }
        }
    }

    fn act(&mut self, record: &Record, pre: Option<&Record>) {
        match record.number {
            call::READ | call::PREAD64 | call::READV | call::PREADV | call::PREADV2 => self.received(record, pre),
            call::RECVFROM | call::RECVMSG | call::RECVMMSG => self.received(record, pre),
            call::WRITE | call::PWRITE64 | call::WRITEV | call::PWRITEV | call::PWRITEV2 => self.sent(record, pre),
            call::SENDTO | call::SENDMSG | call::SENDMMSG => self.sent(record, pre),
            call::SENDFILE | call::SPLICE | call::COPY_FILE_RANGE => self.transferred(record, pre),
            call::OPEN | call::OPENAT | call::OPENAT2 | call::CREAT => self.opened(record, pre),
            call::CLOSE | call::CLOSE_RANGE => self.closed(record),
            call::DUP | call::DUP2 | call::DUP3 | call::FCNTL => self.copied(record),
            call::PIPE | call::PIPE2 | call::SOCKETPAIR => self.paired(record),
            call::SOCKET => self.socket_made(record),
            call::IO_URING_SETUP => self.io_uring_made(record),
            call::ACCEPT | call::ACCEPT4 => self.accepted(record),
            call::CONNECT => self.connected(record, pre),
            call::BIND => self.bound(record, pre),
            call::LISTEN => self.listened(record),
            call::SHUTDOWN => self.shut_down(record),
            call::UNLINK | call::UNLINKAT => self.deleted(record, pre),
            call::RENAME | call::RENAMEAT | call::RENAMEAT2 => self.renamed(record, pre),
            call::FORK | call::VFORK | call::CLONE | call::CLONE3 => self.forked(record),
            call::EXIT => self.threads.forget(record.who),
            call::EXIT_GROUP if record.when == When::Pre => self.exit_code = Some(record.a1),
            _ => {}
        }
    }

    fn forked(&mut self, record: &Record) {
        let flags = match record.number {
            call::CLONE => u64::from(record.a1),
            // Where its flags are not there it may be a thread.
            call::CLONE3 => record.argument(0).unwrap_or(CLONE_THREAD),
            _ => 0,
        };
        if record.when == When::Pre || record.result <= 0 || flags & CLONE_THREAD != 0 {
            return;
        }
        let wall = self.clock.wall_of(record.time);
        self.writer.event(Event::ProcessFork, wall).signed("scope.child.pid", record.result);
    }

    /// How it ends when it is told to: whoever tells may have seen sooner that the process ended, or became another program.
    pub fn ending_unseen(&self) -> Ending {
        if self.merge.file().phase() == abi::PHASE_DETACHED {
            return Ending::Detached;
        }
        match self.target.life() {
            Life::Exited => Ending::Exited,
            Life::Replaced => Ending::Exec,
            Life::Running => Ending::Detached,
        }
    }

    /// Drains what is left and tells of everything still open. True: nothing more will come of this session; false: it
    /// must be called again, once what waits has been delivered.
    pub fn end(&mut self, ending: Ending) -> bool {
        self.in_turn(|session| session.end_now(ending))
    }

    fn end_now(&mut self, ending: Ending) -> bool {
        if !self.is_adopted {
            self.is_adopted = true;
            self.adopt_all();
        }
        if self.drain().more {
            return false;
        }
        // One more look: what was written while the last drain's time limit had passed already.
        std::thread::sleep(std::time::Duration::from_micros(20));
        if self.drain().more {
            return false;
        }
        if let Some(cursor) = &self.cursor {
            cursor.seen(self.clock.wall_of(ticks()));
        }
        let now = ticks();
        self.take_all_tallies(now);
        let wall = self.clock.wall_of(now);
        let reason = match ending {
            Ending::Detached => "unscoped",
            Ending::Exited => "exit",
            Ending::Exec => "exec",
        };
        self.tell_all_closed(now, reason);
        match ending {
            Ending::Detached => {}
            Ending::Exited => {
                // What it said itself, by exit_group, may have been overtaken by a signal.
                let exit = self.target.exit().or(self.exit_code.map(|code| Exit::Code(code as u8)));
                let mut line = self.writer.event(Event::ProcessExit, wall);
                match exit {
                    Some(Exit::Code(code)) => drop(line.number("process.exit.code", u64::from(code))),
                    Some(Exit::Signal(number)) => drop(line.text("scope.exit.signal", signal_name(number).as_bytes())),
                    None => {}
                }
            }
            Ending::Exec => {
                let executable = self.target.executable().unwrap_or_default();
                let command = self.target.command_line().unwrap_or_default();
                self.writer
                    .event(Event::ProcessExec, wall)
                    .text("process.executable.path", &executable)
                    .text("process.command_line", &command);
            }
        }
        true
    }
}
