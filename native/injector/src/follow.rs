//! `scope-inject follow`: stays with a scoped process and scopes its children, each from its first call on.
//!
//! The rules that it lives by, beside those of ptrace.rs:
//!   it plants nothing in a program (no breakpoint, no debug register): when it is killed, the kernel lets all go on;
//!   whoever stops is let go on at once, but for a child that waits until its ring is read, and that not for ever;
//!   nothing here ever waits for whoever reads what we say.
//!
//! What a process is to us, after each of its events:
//!
//!   Running ──execve──▶ Entering (no loader to wait for) ──▶ attach ──▶ Waiting ──"go"──▶ Running
//!                   └─▶ Loading (calls of its loader pass by) ──┘
//!   birth: memory of its own ──▶ inherits its parent's scope ──▶ Waiting
//!          on its parent's memory (vfork, posix_spawn) ──▶ Running, unscoped until its execve
use crate::attach::{self, Attached, Options};
use crate::children::{self, Birth};
use crate::inherit::{self, Image};
use crate::loading::{self, Loading, Start};
use crate::mailbox::Mailbox;
use crate::preflight;
use crate::procfs::Process;
use crate::ptrace::{Stop, Tracee, Whose, next_report};
use crate::refusal::{Refusal, Result};
use crate::remote::{repair_ignored, repair_interrupted};
use crate::report;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Following {
    /// Of the process itself, when its program is replaced.
    pub own: Options,
    pub children: Options,
    /// Most children that are scoped at a time.
    pub most: usize,
}

/// How long a child stands still at most until somebody reads its ring.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long letting go of all may take: what can't be stopped by then is released by our end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Follows until it is told to end, or nobody is left to follow.
///
/// # Errors
/// Before anything was taken hold of: NotScoped, or what keeps the process from being traced.
pub fn follow(open_proc: &dyn Fn() -> Result<OwnedFd>, pid: i32, following: Following) -> Result<()> {
    let process = Process::open(open_proc()?, pid);
    let attached = attach::adopt(&process)?;
    let image = Rc::new(Image::of(&process, &attached)?);
    let mailbox = Mailbox::open()?;
    let mut follower = Follower {
        open_proc,
        root: pid,
        following,
        threads: BTreeMap::new(),
        processes: BTreeMap::new(),
        unborn: BTreeMap::new(),
        early: BTreeMap::new(),
        mailbox,
        passed: 0,
    };
    follower.take_root(&process, image)?;
    follower.run();
    follower.let_all_go();
    Ok(())
}

struct Thread {
    tracee: Tracee,
    pid: i32,
}

enum Phase {
    Running,
    /// On its way to its first instruction.
    Entering,
    Loading(Loading),
    /// Scoped, until somebody reads its ring.
    Waiting(Instant),
    /// To be let go, thread by thread, as they stop.
    Leaving,
}

struct Followed {
    parent: i32,
    phase: Phase,
    /// What a child that it forks inherits.
    image: Option<Rc<Image>>,
    is_scoped: bool,
}

struct Follower<'a> {
    open_proc: &'a dyn Fn() -> Result<OwnedFd>,
    root: i32,
    following: Following,
    threads: BTreeMap<i32, Thread>,
    processes: BTreeMap<i32, Followed>,
    /// Told of by their parent, not stopped yet.
    unborn: BTreeMap<i32, Birth>,
    /// Stopped already, not told of yet.
    early: BTreeMap<i32, Tracee>,
    mailbox: Mailbox,
    /// Children that found no place.
    passed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Birth,
    Exec,
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Exec => "exec",
        }
    }
}

impl Follower<'_> {
    fn process(&self, pid: i32) -> Result<Process> {
        Ok(Process::open((self.open_proc)()?, pid))
    }

    fn take_root(&mut self, process: &Process, image: Rc<Image>) -> Result<()> {
        loop {
            let known: BTreeSet<i32> = self.threads.keys().copied().collect();
            let fresh: Vec<i32> = process.threads()?.into_iter().filter(|t| !known.contains(t)).collect();
            let mut taken = 0;
            for tid in fresh {
                if let Some(tracee) = Tracee::follow(tid)? {
                    self.threads.insert(tid, Thread { tracee, pid: self.root });
                    taken += 1;
                }
            }
            if taken == 0 {
                break;
            }
        }
        let root = Followed { parent: 0, phase: Phase::Running, image: Some(image), is_scoped: true };
        self.processes.insert(self.root, root);
        self.tell(&json!({"event": "following", "pid": self.root, "threads": self.threads.len()}));
        Ok(())
    }

    fn tell(&mut self, event: &Value) {
        self.mailbox.tell(&event.to_string());
    }

    fn run(&mut self) {
        while !self.processes.is_empty() {
            while let Ok(Some((tid, status))) = next_report(Whose::Any) {
                self.handle(tid, status);
            }
            for command in self.mailbox.commands() {
                self.obey(&command);
            }
            if self.mailbox.is_closed() {
                return;
            }
            let most = self.release_those_who_waited_long();
            self.mailbox.wait(most);
        }
    }

    /// The time until the next one has waited long enough, if one waits.
    fn release_those_who_waited_long(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let waiting = self.processes.iter().filter_map(|(&pid, p)| match p.phase {
            Phase::Waiting(until) => Some((pid, until)),
            _ => None,
        });
        let (due, later): (Vec<_>, Vec<_>) = waiting.partition(|(_, until)| *until <= now);
        for (pid, _) in due {
            self.tell(&json!({"event": "late", "pid": pid}));
            self.go(pid);
        }
        later.into_iter().map(|(_, until)| until - now).min()
    }

    fn obey(&mut self, command: &str) {
        let mut words = command.split_whitespace();
        let (verb, pid) = (words.next(), words.next().and_then(|w| w.parse().ok()));
        match (verb, pid) {
            (Some("go"), Some(pid)) => self.go(pid),
            (Some("release"), Some(pid)) => self.release(pid),
            _ => self.tell(&json!({"event": "unknown", "command": command})),
        }
    }

    /// A child whose ring is read goes on.
    fn go(&mut self, pid: i32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if matches!(process.phase, Phase::Waiting(_)) {
            process.phase = Phase::Running;
            if let Some(thread) = self.threads.get_mut(&pid) {
                // Job control may have stopped it meanwhile: then the next stop says so.
                thread.tracee.interrupt();
                let _ = thread.tracee.cont();
            }
        }
    }

    /// Lets one process go, so that somebody else can work on it; what it starts from now on is not followed.
    fn release(&mut self, pid: i32) {
        let Some(process) = self.processes.get_mut(&pid) else {
            self.tell(&json!({"event": "released", "pid": pid}));
            return;
        };
        process.phase = Phase::Leaving;
        let (standing, going): (Vec<i32>, Vec<i32>) =
            self.tids(pid).into_iter().partition(|tid| self.threads.get(tid).is_some_and(|t| t.tracee.is_stopped()));
        let proc = self.process(pid);
        for tid in going {
            // A leader that has ended stays as a zombie until its threads are gone, and never stops.
            let is_zombie = proc.as_ref().is_ok_and(|p| p.thread_has_ended(tid));
            match self.threads.get(&tid) {
                Some(thread) if !is_zombie => thread.tracee.interrupt(),
                _ => self.threads.remove(&tid).into_iter().for_each(|t| t.tracee.has_ended()),
            }
        }
        for tid in standing {
            self.threads.remove(&tid);
        }
        self.gone_if_empty(pid);
    }

    fn tids(&self, pid: i32) -> Vec<i32> {
        self.threads.iter().filter(|(_, t)| t.pid == pid).map(|(&tid, _)| tid).collect()
    }

    fn gone_if_empty(&mut self, pid: i32) {
        if !self.tids(pid).is_empty() {
            return;
        }
        if let Some(Followed { phase: Phase::Leaving, .. }) = self.processes.remove(&pid) {
            self.tell(&json!({"event": "released", "pid": pid}));
        }
    }

    fn handle(&mut self, tid: i32, status: i32) {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            self.ended(tid, status);
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else {
            let mut tracee = Tracee::born(tid);
            tracee.classify(status);
            match self.unborn.remove(&tid) {
                Some(birth) => self.born(birth, tracee),
                None => drop(self.early.insert(tid, tracee)),
            }
            return;
        };
        let pid = thread.pid;
        let stop = thread.tracee.classify(status);
        if let Stop::Birth(child) = stop {
            self.birth(tid, pid, child);
        }
        if self.processes.get(&pid).is_some_and(|p| matches!(p.phase, Phase::Leaving)) {
            self.leave(tid, pid, stop);
            return;
        }
        match stop {
            Stop::Exec(former) => self.executed(pid, former),
            Stop::Event => self.event(tid, pid),
            Stop::Syscall => self.loading(pid),
            Stop::Signal(signal) => {
                if let (Some(thread), Ok(process)) = (self.threads.get(&tid), self.process(pid)) {
                    let _ = repair_ignored(&process, &thread.tracee, signal);
                }
                self.resume(tid);
            }
            Stop::Birth(_) => self.resume(tid),
            Stop::Gone => {}
        }
    }

    fn resume(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let is_loading = self.processes.get(&thread.pid).is_some_and(|p| matches!(p.phase, Phase::Loading(_)));
        // One that was killed meanwhile reports its end next.
        let _ = if is_loading { thread.tracee.step_syscall() } else { thread.tracee.cont() };
    }

    fn event(&mut self, tid: i32, pid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if thread.tracee.is_stopped_by_job_control() {
            thread.tracee.listen();
            return;
        }
        if self.processes.get(&pid).is_some_and(|p| matches!(p.phase, Phase::Entering)) {
            self.scope(pid, Cause::Exec);
            return;
        }
        self.resume(tid);
    }

    fn ended(&mut self, tid: i32, status: i32) {
        self.unborn.remove(&tid);
        self.early.remove(&tid).into_iter().for_each(Tracee::has_ended);
        let Some(thread) = self.threads.remove(&tid) else { return };
        thread.tracee.has_ended();
        if thread.pid == tid {
            for left in self.tids(tid) {
                self.threads.remove(&left).into_iter().for_each(|t| t.tracee.has_ended());
            }
            let was = self.processes.remove(&tid);
            if was.as_ref().is_some_and(|p| matches!(p.phase, Phase::Leaving)) {
                self.tell(&json!({"event": "released", "pid": tid}));
            }
            if was.is_some() {
                self.tell(&json!({"event": "ended", "pid": tid, "status": status}));
            }
        }
    }

    /// A thread has made another, or a child.
    fn birth(&mut self, tid: i32, pid: i32, child: i32) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let Ok(process) = self.process(pid) else { return };
        let birth = children::birth(&process, &thread.tracee, child);
        match self.early.remove(&child) {
            Some(tracee) => self.born(birth, tracee),
            None => drop(self.unborn.insert(child, birth)),
        }
    }

    fn born(&mut self, birth: Birth, tracee: Tracee) {
        let (parent, tid) = (birth.parent, tracee.tid);
        let leaving = self.processes.get(&parent).is_none_or(|p| matches!(p.phase, Phase::Leaving));
        if birth.is_thread {
            self.threads.insert(tid, Thread { tracee, pid: parent });
            if leaving {
                self.leave(tid, parent, Stop::Event);
            } else {
                self.resume(tid);
            }
            return;
        }
        if leaving {
            return; // Dropped, it goes on.
        }
        let image = self.processes.get(&parent).and_then(|p| p.image.clone());
        self.threads.insert(tid, Thread { tracee, pid: tid });
        self.processes.insert(tid, Followed { parent, phase: Phase::Running, image, is_scoped: false });
        if birth.shares_memory {
            self.resume(tid);
        } else {
            self.scope(tid, Cause::Birth);
        }
    }

    /// A thread that stands still is released; a call that our stop interrupted is made again.
    fn leave(&mut self, tid: i32, pid: i32, stop: Stop) {
        if let (Some(thread), Ok(process)) = (self.threads.remove(&tid), self.process(pid)) {
            let _ = match stop {
                Stop::Signal(signal) => repair_ignored(&process, &thread.tracee, signal),
                Stop::Event if !thread.tracee.is_stopped_by_job_control() => thread
                    .tracee
                    .registers()
                    .and_then(|mut r| repair_interrupted(&process, &thread.tracee, &mut r))
                    .map(drop),
                _ => Ok(()),
            };
        }
        self.gone_if_empty(pid);
    }

    /// It runs another program now, by the thread that was `former` until then; its other threads are no more.
    fn executed(&mut self, pid: i32, former: i32) {
        for tid in self.tids(pid).into_iter().filter(|&tid| tid != pid) {
            self.threads.remove(&tid).into_iter().for_each(|t| t.tracee.has_ended());
        }
        self.unborn.remove(&former);
        let Some(followed) = self.processes.get_mut(&pid) else { return };
        let was_scoped = std::mem::take(&mut followed.is_scoped);
        followed.image = None;
        followed.phase = Phase::Running;
        if was_scoped {
            self.tell(&json!({"event": "exec", "pid": pid}));
        }
        if self.is_full(pid) {
            self.pass(pid, Cause::Exec);
            return;
        }
        let start = self.process(pid).and_then(|process| {
            let (_, maps) = preflight::check(&process, true)?;
            loading::start(&process, &maps)
        });
        let Some(followed) = self.processes.get_mut(&pid) else { return };
        match start {
            Ok(Start::AtEntry) => {
                followed.phase = Phase::Entering;
                if let Some(thread) = self.threads.get(&pid) {
                    thread.tracee.interrupt();
                }
            }
            Ok(Start::ByLoader(loading)) => followed.phase = Phase::Loading(loading),
            Err(refusal) => self.refused(pid, Cause::Exec, &refusal),
        }
        self.resume(pid);
    }

    fn loading(&mut self, pid: i32) {
        let (Ok(process), Some(thread)) = (self.process(pid), self.threads.get(&pid)) else { return };
        let Some(Followed { phase: Phase::Loading(loading), .. }) = self.processes.get_mut(&pid) else {
            self.resume(pid);
            return;
        };
        match loading.step(&process, &thread.tracee) {
            Ok(false) => self.resume(pid),
            Ok(true) => self.scope(pid, Cause::Exec),
            Err(refusal) => {
                self.refused(pid, Cause::Exec, &refusal);
                self.resume(pid);
            }
        }
    }

    fn is_full(&self, pid: i32) -> bool {
        let scoped = self.processes.iter().filter(|(p, f)| f.is_scoped && **p != self.root).count();
        pid != self.root && scoped >= self.following.most || self.mailbox.is_clogged()
    }

    fn pass(&mut self, pid: i32, cause: Cause) {
        self.passed += 1;
        let parent = self.processes.get(&pid).map_or(0, |p| p.parent);
        let passed = self.passed;
        self.tell(&json!({"event": "passed", "pid": pid, "parent": parent, "cause": cause.word(), "passed": passed}));
        self.resume(pid);
    }

    fn refused(&mut self, pid: i32, cause: Cause, refusal: &Refusal) {
        let parent = match self.processes.get_mut(&pid) {
            Some(followed) => {
                followed.phase = Phase::Running;
                followed.parent
            }
            None => 0,
        };
        self.tell(&json!({
            "event": "refused", "pid": pid, "parent": parent, "cause": cause.word(),
            "reason": refusal.reason, "message": refusal.message,
        }));
    }

    /// Scopes a process whose only thread stands still, which then waits for its reader.
    fn scope(&mut self, pid: i32, cause: Cause) {
        if self.is_full(pid) {
            if let Some(followed) = self.processes.get_mut(&pid) {
                followed.phase = Phase::Running;
            }
            self.pass(pid, cause);
            return;
        }
        let Some(Thread { tracee, .. }) = self.threads.remove(&pid) else { return };
        let image = self.processes.get(&pid).and_then(|p| p.image.clone());
        let done = self.attach(pid, tracee, image);
        let Some(tracee) = Tracee::take_back(pid) else {
            self.processes.remove(&pid);
            self.tell(&json!({"event": "ended", "pid": pid}));
            return;
        };
        self.threads.insert(pid, Thread { tracee, pid });
        match done {
            Ok((attached, image)) => {
                let Some(followed) = self.processes.get_mut(&pid) else { return };
                followed.is_scoped = true;
                followed.image = Some(image);
                followed.phase = Phase::Waiting(Instant::now() + PATIENCE);
                let parent = followed.parent;
                self.tell(&json!({
                    "event": "attached", "pid": pid, "parent": parent, "cause": cause.word(),
                    "report": report::attached(&attached, pid),
                }));
            }
            Err(refusal) => {
                self.refused(pid, cause, &refusal);
                self.resume(pid);
            }
        }
    }

    fn attach(&self, pid: i32, tracee: Tracee, image: Option<Rc<Image>>) -> Result<(Attached, Rc<Image>)> {
        let process = self.process(pid)?;
        let options = if pid == self.root { &self.following.own } else { &self.following.children };
        let is_filtered = process.status().is_ok_and(|s| s.seccomp != 0);
        if is_filtered {
            tracee.suspend_seccomp(true)?;
        }
        tracee.keep();
        let inherited = image.map(|image| (inherit::inherit(&process, &image, options), image));
        let done = match inherited {
            Some((Ok(attached), image)) => Ok((attached, image)),
            Some((Err(refusal), _)) if !refusal.is_passing => Err(refusal),
            _ => attach::attach(&process, options).and_then(|attached| {
                let image = Rc::new(Image::of(&process, &attached)?);
                Ok((attached, image))
            }),
        };
        if is_filtered && let Some(tracee) = Tracee::take_back(pid) {
            tracee.suspend_seccomp(false)?;
            tracee.keep();
        }
        done
    }

    /// All go on by themselves. Scopes stay: their agent takes them out.
    fn let_all_go(mut self) {
        let pids: Vec<i32> = self.processes.keys().copied().collect();
        for pid in pids {
            self.release(pid);
        }
        let deadline = Instant::now() + FAREWELL;
        while !self.threads.is_empty() && Instant::now() < deadline {
            while let Ok(Some((tid, status))) = next_report(Whose::Any) {
                self.handle(tid, status);
            }
            self.mailbox.wait(Some(Duration::from_millis(50)));
        }
        self.mailbox.flush();
    }
}
