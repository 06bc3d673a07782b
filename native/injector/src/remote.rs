//! System calls made by the target on our behalf, in a way that survives our own death at any instruction.
//!
//! The parachute. Before a thread is turned to our purposes, a complete signal frame that describes it as it was is
//! written below its stack, and its stack pointer is set to it:
//!
//!      rsp ->  address of `mov $15,%eax; syscall`        the target's own rt_sigreturn (or of `pop %rax; ret`, 15, and the
//!                                                         `syscall` once more, where it has none)
//!              struct ucontext                            its registers, signal mask, where its vector state is
//!              FXSAVE area                                x87 and SSE state
//!
//! and it is sent to a `syscall` instruction of the target's own that a `ret` follows. While we live we stop it right
//! behind the call and take the result. If we die anywhere in between, the kernel lets the thread go: it makes the call
//! (a harmless one, or one whose effect the next attach cleans up), returns into rt_sigreturn, and is back where it was,
//! about to make its own system call again. Signals are blocked meanwhile, and the frame restores the mask, too.
use crate::plan::{Back, Gadgets};
use crate::procfs::{Process, Status};
use crate::ptrace::{self, Registers, Stop, Tracee};
use crate::refusal::{Reason, Refusal, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// The kernel's own results for interrupted calls (include/linux/errno.h); they never reach a program.
const ERESTARTSYS: i64 = -512;
const ERESTARTNOINTR: i64 = -513;
const ERESTARTNOHAND: i64 = -514;
const ERESTART_RESTARTBLOCK: i64 = -516;
const EINTR: i64 = -4;

const RED_ZONE: u64 = 128;
const SCHED_YIELD: u64 = 24;
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// Writes into the target's memory, read-only pages too (ptrace permits it). One `pwrite` within one page is all or
/// nothing, also when we are killed.
pub struct Memory {
    file: File,
    pid: i32,
}

impl Memory {
    pub fn open(process: &Process) -> Result<Self> {
        let file = process.file("mem", libc::O_RDWR).map_err(|e| Refusal::io(process.pid, "opening its memory", &e))?;
        Ok(Self { file, pid: process.pid })
    }

    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(bytes, at)
            .map_err(|e| Refusal::io(self.pid, &format!("reading {} bytes of its memory at {at:#x}", bytes.len()), &e))
    }

    /// `None`: nothing is mapped there.
    pub fn word(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let result = self.file.write_all_at(bytes, at);
        ptrace::operation();
        result.map_err(|e| {
            Refusal::new(
                Reason::TextWriteRefused,
                format!(
                    "writing {} bytes of process {}'s memory at {at:#x}: {e}; the kernel may forbid it (proc_mem.force_override)",
                    bytes.len(),
                    self.pid
                ),
            )
        })
    }
}

/// Makes good what our interrupt did to a thread: some calls (epoll_wait, recv with a timeout, sigtimedwait, semtimedop)
/// report EINTR for it, although no signal came. Such a thread is set to make its call again. Not when a signal waits
/// for it, or is about to be delivered: then EINTR is the truth.
pub fn repair_interrupted(process: &Process, tracee: &Tracee, r: &mut Registers) -> Result<bool> {
    if r.orig_rax.cast_signed() < 0 || r.rax.cast_signed() != EINTR || tracee.is_about_to_get_a_signal() {
        return Ok(false);
    }
    let status: Status = process.status_of(&format!("task/{}/status", tracee.tid))?;
    if status.signals_pending & !status.signals_blocked != 0 {
        return Ok(false);
    }
    again(tracee, r)?;
    Ok(true)
}

/// The same for a thread that is about to get a signal which it ignores. Only a process that is traced notices it at all.
pub fn repair_ignored(process: &Process, tracee: &Tracee, signal: i32) -> Result<()> {
    let mut r = tracee.registers()?;
    if r.orig_rax.cast_signed() < 0 || r.rax.cast_signed() != EINTR {
        return Ok(());
    }
    let status: Status = process.status_of(&format!("task/{}/status", tracee.tid))?;
    let waiting = status.signals_pending & !status.signals_blocked;
    let matters = |other: i32| waiting >> (other - 1) & 1 == 1 && !status.ignores(other);
    if status.ignores(signal) && !(1..=64).any(matters) {
        again(tracee, &mut r)?;
    }
    Ok(())
}

/// The thread makes its call again.
fn again(tracee: &Tracee, r: &mut Registers) -> Result<()> {
    r.rax = r.orig_rax;
    r.rip -= 2;
    r.orig_rax = u64::MAX;
    tracee.set_registers(r)
}

/// The registers with which an interrupted thread makes its call again by itself.
fn restarted(r: &Registers) -> Registers {
    let mut again = *r;
    let restart = [ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK];
    if r.orig_rax.cast_signed() >= 0 && restart.contains(&r.rax.cast_signed()) {
        again.rax = r.orig_rax;
        again.rip -= 2;
    }
    again.orig_rax = u64::MAX;
    again
}

/// One stopped thread of the target that makes system calls for us.
pub struct Worker<'a> {
    process: &'a Process,
    tracee: Tracee,
    memory: &'a Memory,
    gadgets: Gadgets,
    original: Registers,
    mask: u64,
    /// What of its vector state the frame does not hold.
    vector: Option<Vec<u8>>,
    /// Scratch bytes in the target that calls may point to; below the frame.
    scratch: u64,
    rsp: u64,
}

pub const SCRATCH: u64 = 64;

impl<'a> Worker<'a> {
    /// Finds a thread to work with, stops it and hangs it into its parachute: one that sleeps in a system call; else one
    /// that is caught making one; else, in a program that only computes, one stopped between two instructions.
    ///
    /// # Errors
    /// Timeout where for two seconds none was found.
    pub fn find(
        process: &'a Process,
        memory: &'a Memory,
        gadgets: Gadgets,
        suspend_seccomp: bool,
        avoid: &[std::ops::Range<u64>],
    ) -> Result<Self> {
        let start = Instant::now();
        let search = Search { process, memory, gadgets, suspend_seccomp, avoid };
        let mut wait = Duration::from_micros(100);
        loop {
            let threads = process.threads()?;
            let is_fit = |&&tid: &&i32| Tracee::is_kept(tid) || sleeps_in_call(process, tid, avoid);
            for &tid in threads.iter().filter(is_fit) {
                if let Some(worker) = search.take(tid, false)? {
                    return Ok(worker);
                }
            }
            if start.elapsed() > Duration::from_millis(3) {
                for &tid in &threads {
                    if let Some(worker) = search.take(tid, true)? {
                        return Ok(worker);
                    }
                }
            }
            if start.elapsed() > Duration::from_secs(2) {
                return Err(Refusal::new(
                    Reason::Timeout,
                    format!(
                        "process {}: no thread could be stopped at a safe place for two seconds; try again",
                        process.pid
                    ),
                ));
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(10));
        }
    }

    /// Writes the frame and turns the thread to it. From here on it lives without us. False: it was not to be turned.
    fn hang(&mut self, float: &[u8]) -> Result<bool> {
        let float_at = (self.original.rsp - RED_ZONE - float.len() as u64) & !63;
        let frame = signal_frame(&restarted(&self.original), self.mask, float_at, self.gadgets);
        self.rsp = (float_at - frame.len() as u64) & !15;
        self.scratch = self.rsp - SCRATCH;
        self.memory.write(float_at, float)?;
        self.memory.write(self.rsp, &frame)?;
        if is_to_be_cancelled(self.process, &self.tracee)? {
            return Ok(false);
        }
        self.tracee.set_registers(&self.turned(SCHED_YIELD, [0; 6]))?;
        self.tracee.set_signal_mask(u64::MAX)?;
        Ok(true)
    }

    fn turned(&self, number: u64, args: [u64; 6]) -> Registers {
        let mut r = self.original;
        r.rip = self.gadgets.call;
        r.rsp = self.rsp;
        r.orig_rax = u64::MAX;
        r.rax = number;
        [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] = args;
        r
    }

    /// Puts bytes (at most SCRATCH) where a call's argument may point; returns their address in the target.
    pub fn put(&self, bytes: &[u8]) -> Result<u64> {
        debug_assert!(bytes.len() as u64 <= SCRATCH);
        self.memory.write(self.scratch, bytes)?;
        Ok(self.scratch)
    }

    /// Makes one system call; its result as the kernel gave it, a negative errno as `Err`.
    pub fn call(&mut self, number: i64, args: [u64; 6]) -> Result<std::result::Result<u64, i32>> {
        self.tracee.set_registers(&self.turned(number.cast_unsigned(), args))?;
        for _ in 0..2 {
            if !self.step()? {
                return Err(Refusal::new(
                    Reason::ProcessExited,
                    "the process ended while it was being prepared; nothing is left",
                ));
            }
        }
        let result = self.tracee.registers()?.rax.cast_signed();
        Ok(if (-4095..0).contains(&result) {
            Err(i32::try_from(-result).unwrap_or(0))
        } else {
            Ok(result.cast_unsigned())
        })
    }

    /// Lets it run to the next entry or exit of a system call. False: it is gone.
    fn step(&mut self) -> Result<bool> {
        self.tracee.step_syscall()?;
        loop {
            match self.tracee.wait(Instant::now() + CALL_LIMIT)? {
                Stop::Syscall => return Ok(true),
                Stop::Gone => return Ok(false),
                // Everything is blocked but SIGKILL and SIGSTOP: those keep their effect when we let go.
                Stop::Event | Stop::Birth(_) | Stop::Exec(_) | Stop::Signal(_) => self.tracee.step_syscall()?,
            }
        }
    }

    /// Puts the thread back as it was and lets it go on: in a fresh stop, so that the kernel itself restarts the call
    /// that was interrupted, with its remaining time, or reports the signal that came meanwhile.
    pub fn release(mut self) -> Result<()> {
        self.restore()
    }

    fn restore(&mut self) -> Result<()> {
        self.tracee.set_registers(&self.turned(SCHED_YIELD, [0; 6]))?;
        let waits_on = self.original.rax.cast_signed() == ERESTART_RESTARTBLOCK && in_call(&self.original);
        if waits_on { self.put_back() } else { self.send_home() }
    }

    /// The thread goes home by its frame, which restores registers and signal mask at once: a signal that waits is delivered
    /// at home and nowhere else, whenever we die. There its call, which it would make again, becomes the one that our
    /// stop interrupted: a signal with a handler must find it so.
    fn send_home(&mut self) -> Result<()> {
        const STOPS_ON_THE_WAY: u32 = 4; // entry and exit of sched_yield and of rt_sigreturn
        for _ in 0..STOPS_ON_THE_WAY {
            if !self.step()? {
                return Ok(());
            }
        }
        self.tracee.interrupt();
        self.tracee.cont()?;
        if self.tracee.wait(Instant::now() + CALL_LIMIT)? != Stop::Event
            || self.tracee.registers()?.rip != restarted(&self.original).rip
        {
            return Ok(());
        }
        if let Some(vector) = &self.vector {
            self.tracee.set_vector_state(vector)?;
        }
        self.tracee.set_registers(&self.original)
    }

    /// rt_sigreturn would have the kernel forget how to go on with this call (restart_block): it would begin its timeout anew.
    fn put_back(&mut self) -> Result<()> {
        self.tracee.interrupt();
        self.tracee.cont()?;
        let deadline = Instant::now() + CALL_LIMIT;
        while self.tracee.wait(deadline)? != Stop::Event {
            if !self.tracee.is_stopped() {
                return Ok(());
            }
            self.tracee.cont()?;
        }
        if is_to_be_cancelled(self.process, &self.tracee)? {
            return Ok(());
        }
        // The frame still stands: whichever of the next two is our last, the thread ends up with both.
        self.tracee.set_signal_mask(self.mask)?;
        self.tracee.set_registers(&self.original)
    }
}

impl Worker<'_> {
    /// Releases after a failure; the failure is what is told.
    pub fn abandon(mut self) {
        let _ = self.restore();
    }
}

struct Search<'a, 'p> {
    process: &'a Process,
    memory: &'a Memory,
    gadgets: Gadgets,
    suspend_seccomp: bool,
    avoid: &'p [std::ops::Range<u64>],
}

impl<'a> Search<'a, '_> {
    /// Stops the thread at a safe place and hangs it. `None`: not this one, not now; it runs on as before.
    /// `running`: it need not sleep; it is then followed to its next system call, if it makes one soon.
    fn take(&self, tid: i32, running: bool) -> Result<Option<Worker<'a>>> {
        let Some(mut tracee) = Tracee::seize(tid, self.suspend_seccomp)? else { return Ok(None) };
        let stood = tracee.is_stopped();
        tracee.halt();
        if tracee.wait(Instant::now() + CALL_LIMIT)? != Stop::Event {
            return Ok(None); // released; the next one
        }
        let mut original = tracee.registers()?;
        let running = running || stood;
        if running && !stood && !in_call(&original) {
            match follow_to_call(&mut tracee)? {
                Some(r) => original = r,
                None => return Ok(None),
            }
        }
        repair_interrupted(self.process, &tracee, &mut original)?;
        if self.avoid.iter().any(|range| range.contains(&original.rip)) {
            return Ok(None);
        }
        // In a system call, or right at its start, a thread is in no restartable sequence and its vector state is at
        // rest: the control words are all that must come back. Between any two instructions it is all of it.
        let mut code = [0u8; 2];
        let place = if in_call(&original) { original.rip.wrapping_sub(2) } else { original.rip };
        let at_call = self.memory.read(place, &mut code).is_ok() && code == [0x0f, 0x05];
        if stood && !at_call {
            original.orig_rax = u64::MAX; // behind an execve: the call was another program's
        }
        let (float, vector) = match (at_call, running) {
            (true, _) => (tracee.float_registers()?.to_vec(), tracee.vector_state().ok()),
            (false, true) if !in_call(&original) && !self.in_restartable_sequence(&tracee)? => {
                (tracee.extended_registers()?, None)
            }
            _ => return Ok(None),
        };
        let mask = tracee.signal_mask()?;
        let (process, memory, gadgets) = (self.process, self.memory, self.gadgets);
        let mut worker = Worker { process, tracee, memory, gadgets, original, mask, vector, scratch: 0, rsp: 0 };
        Ok(worker.hang(&float)?.then_some(worker))
    }

    /// Whether `struct rseq` (linux/rseq.h) of the thread names a critical section.
    fn in_restartable_sequence(&self, tracee: &Tracee) -> Result<bool> {
        const RSEQ_CS: u64 = 8;
        let Some(area) = tracee.rseq_area() else { return Ok(false) };
        let mut section = [0u8; 8];
        self.memory.read(area + RSEQ_CS, &mut section)?;
        Ok(section != [0u8; 8])
    }
}

/// Whether glibc's signal for cancellation waits for the thread. Its handler unwinds the stack, and no unwinder knows the way
/// out of a parachute: such a thread is not turned to our purposes.
fn is_to_be_cancelled(process: &Process, tracee: &Tracee) -> Result<bool> {
    const SIGCANCEL: u32 = 32;
    let status = process.status_of(&format!("task/{}/status", tracee.tid))?;
    Ok(status.signals_pending >> (SIGCANCEL - 1) & 1 == 1)
}

fn in_call(r: &Registers) -> bool {
    r.orig_rax.cast_signed() >= 0
}

/// Lets a stopped thread run to the end of its next system call, or into its sleep there. Its registers then; the ones it
/// had where it makes none for a while (it is stopped all the same). `None`: it ended.
fn follow_to_call(tracee: &mut Tracee) -> Result<Option<Registers>> {
    const PATIENCE: Duration = Duration::from_millis(20);
    let mut calls = 0;
    while calls < 2 {
        tracee.step_syscall()?;
        match tracee.wait(Instant::now() + PATIENCE) {
            Ok(Stop::Syscall) => calls += 1,
            Ok(Stop::Gone) => return Ok(None),
            Ok(Stop::Event | Stop::Birth(_) | Stop::Exec(_) | Stop::Signal(_)) => {}
            Err(_) => {
                tracee.interrupt();
                let deadline = Instant::now() + CALL_LIMIT;
                loop {
                    match tracee.wait(deadline)? {
                        Stop::Event => break,
                        Stop::Gone => return Ok(None),
                        Stop::Syscall | Stop::Birth(_) | Stop::Exec(_) | Stop::Signal(_) => tracee.cont()?,
                    }
                }
                break;
            }
        }
    }
    tracee.registers().map(Some)
}

/// Whether the thread sleeps in a system call, outside the ranges to avoid: /proc/PID/task/TID/syscall says "running" or
/// the number, six arguments, stack pointer and program counter.
fn sleeps_in_call(process: &Process, tid: i32, avoid: &[std::ops::Range<u64>]) -> bool {
    let Ok(text) = process.text(&format!("task/{tid}/syscall")) else { return false };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let hex = |s: &str| u64::from_str_radix(s.trim_start_matches("0x"), 16).ok();
    match (fields.first().and_then(|f| f.parse::<i64>().ok()), fields.get(8).and_then(|f| hex(f))) {
        (Some(number), Some(pc)) => number >= 0 && !avoid.iter().any(|r| r.contains(&pc)),
        _ => false,
    }
}

/// `struct rt_sigframe` without its siginfo (arch/x86/include/asm/sigframe.h), as rt_sigreturn reads it.
fn signal_frame(r: &Registers, mask: u64, float_at: u64, gadgets: Gadgets) -> Vec<u8> {
    const UC_SIGCONTEXT_SS: u64 = 2;
    const UC_STRICT_RESTORE_SS: u64 = 4;
    const NO_SUCH_STACK_FLAG: u64 = 0x5c0e; // sigaltstack refuses it, so the alternate stack stays as it is
    let segments = (r.cs & 0xffff) | (r.ss & 0xffff) << 48;
    const SIGRETURN_NUMBER: u64 = 15;
    let way_back = match gadgets.back {
        Back::Sigreturn(at) => vec![at],
        Back::PopRax(at) => vec![at, SIGRETURN_NUMBER, gadgets.call],
    };
    let context = [
        UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        0,
        0,
        NO_SUCH_STACK_FLAG,
        0,
        r.r8,
        r.r9,
        r.r10,
        r.r11,
        r.r12,
        r.r13,
        r.r14,
        r.r15,
        r.rdi,
        r.rsi,
        r.rbp,
        r.rbx,
        r.rdx,
        r.rax,
        r.rcx,
        r.rsp,
        r.rip,
        r.eflags,
        segments,
        0,
        0,
        0,
        0,
        float_at,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        mask,
        0, // keeps the frame's size a multiple of 16
    ];
    way_back.iter().chain(&context).flat_map(|w| w.to_le_bytes()).collect()
}
