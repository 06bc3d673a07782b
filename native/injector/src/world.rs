//! All threads of the target, stopped together for the moment in which its text changes.
use crate::procfs::Process;
use crate::ptrace::{Registers, Stop, Tracee};
use crate::refusal::{Reason, Refusal, Result};
use crate::remote::repair_interrupted;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a stop may take before it is called off. Threads that compute need a processor to notice it.
const PATIENCE: Duration = Duration::from_millis(250);
/// For a thread that is stopped alone, nobody else waits.
const PATIENCE_ALONE: Duration = Duration::from_secs(3);
const PATIENCE_PER_THREAD: Duration = Duration::from_millis(2);

/// Every thread stands still. Dropping it lets them all go on.
pub struct World {
    threads: Vec<(Tracee, Registers)>,
    /// When the first of them was told to stop.
    pub since: Instant,
}

impl World {
    /// Stops all threads, with some patience for those that can't be stopped just now (in uninterruptible sleep, or
    /// waiting for a vfork child): until none is left, nobody is made to wait for them.
    ///
    /// # Errors
    /// Timeout where it can't be had within some seconds; all threads go on.
    pub fn stop(process: &Process, suspend_seccomp: bool) -> Result<Self> {
        const ATTEMPTS: u32 = 6;
        let mut attempt = 0;
        loop {
            wait_for_uninterruptible(process)?;
            attempt += 1;
            match Self::try_stop(process, suspend_seccomp) {
                Err(e) if e.reason == Reason::Timeout && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(20) * attempt);
                }
                other => return other,
            }
        }
    }

    /// Takes hold of all threads first, which stops none, then stops them together.
    fn try_stop(process: &Process, suspend_seccomp: bool) -> Result<Self> {
        let mut running: Vec<Tracee> = Vec::new();
        let mut known: BTreeSet<i32> = BTreeSet::new();
        seize_new(process, suspend_seccomp, &mut known, &mut running)?;
        let mut world = Self { threads: Vec::with_capacity(running.len()), since: Instant::now() };
        loop {
            for t in &running {
                t.halt();
            }
            let deadline =
                Instant::now() + PATIENCE + PATIENCE_PER_THREAD * u32::try_from(running.len()).unwrap_or(1000);
            for mut t in running.drain(..) {
                if t.wait(deadline)? == Stop::Gone {
                    continue;
                }
                let mut r = t.registers()?;
                repair_interrupted(process, &t, &mut r)?;
                world.threads.push((t, r));
            }
            // A thread that was still running may have started others.
            seize_new(process, suspend_seccomp, &mut known, &mut running)?;
            if running.is_empty() {
                break;
            }
        }
        if world.threads.is_empty() {
            return Err(Refusal::new(
                Reason::ProcessExited,
                format!("process {} ended meanwhile; nothing is left to scope", process.pid),
            ));
        }
        Ok(world)
    }

    pub fn registers(&self) -> impl Iterator<Item = &Registers> {
        self.threads.iter().map(|(_, r)| r)
    }

    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Lets all go on; the time that they stood still.
    pub fn resume(self) -> Duration {
        let since = self.since;
        drop(self);
        since.elapsed()
    }
}

/// Stops one thread alone. `None`: it is gone, or can't be stopped just now and runs none of its code meanwhile.
pub fn stop_one(process: &Process, tid: i32, suspend_seccomp: bool) -> Result<Option<(Tracee, Registers)>> {
    let Some(mut tracee) = Tracee::seize(tid, suspend_seccomp)? else { return Ok(None) };
    tracee.halt();
    match tracee.wait(Instant::now() + PATIENCE_ALONE) {
        Ok(Stop::Gone) => Ok(None),
        Ok(_) => {
            let mut r = tracee.registers()?;
            repair_interrupted(process, &tracee, &mut r)?;
            Ok(Some((tracee, r)))
        }
        Err(e) => Err(e),
    }
}

/// Waits, without touching anything, while a thread is in a sleep that no stop reaches; goes on after two seconds.
fn wait_for_uninterruptible(process: &Process) -> Result<()> {
    for _ in 0..400 {
        let threads = process.threads()?;
        let stuck = |tid: &i32| process.status_of(&format!("task/{tid}/status")).is_ok_and(|s| s.state == 'D');
        if !threads.iter().any(stuck) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn seize_new(
    process: &Process,
    suspend_seccomp: bool,
    known: &mut BTreeSet<i32>,
    into: &mut Vec<Tracee>,
) -> Result<()> {
    loop {
        let fresh: Vec<i32> = process.threads()?.into_iter().filter(|t| known.insert(*t)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        for tid in fresh {
            if process.thread_has_ended(tid) {
                continue;
            }
            into.extend(Tracee::seize(tid, suspend_seccomp)?);
        }
    }
}
