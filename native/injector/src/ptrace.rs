//! Thin, typed calls of ptrace(2), each counted so that tests can end this program after any one of them.
//!
//! The rules that keep a target safe when this program dies at any point:
//!   PTRACE_SEIZE only (nothing is stopped by it, no signal is sent), never EXITKILL;
//!   a thread's registers are only ever set to something that runs on by itself (see remote.rs).
use crate::refusal::{Reason, Refusal, Result};
use std::collections::BTreeMap;
use std::io::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub type Registers = libc::user_regs_struct;

/// Threads that are ours although no `Tracee` stands for them: those that could not be let go since they did not stop in
/// time, and those that are kept stopped between two pieces of work. Whoever seizes one of them takes it up again.
static HELD: Mutex<BTreeMap<i32, Held>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy)]
struct Held {
    stopped: bool,
    kept: bool,
    signal: i32,
}
static FAULT_AT: AtomicI64 = AtomicI64::new(-1);
static OPERATIONS: AtomicI64 = AtomicI64::new(0);

/// Ends this program with SIGKILL right after its n-th operation on the target (1 is the first). For tests.
pub fn fault_at(n: i64) {
    FAULT_AT.store(n, Ordering::Relaxed);
}

/// How many operations there were so far.
pub fn operations() -> i64 {
    OPERATIONS.load(Ordering::Relaxed)
}

/// Counts one operation on the target.
pub fn operation() {
    let n = OPERATIONS.fetch_add(1, Ordering::Relaxed) + 1;
    if n == FAULT_AT.load(Ordering::Relaxed) {
        // SAFETY: plain system calls.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

const SEIZE: u32 = 0x4206;
const INTERRUPT: u32 = 0x4207;
const LISTEN: u32 = 0x4208;
const SETOPTIONS: u32 = 0x4200;
const GETEVENTMSG: u32 = 0x4201;
const GET_SYSCALL_INFO: u32 = 0x420e;
const GETSIGMASK: u32 = 0x420a;
const SETSIGMASK: u32 = 0x420b;
/// The register set that is the XSAVE area (linux/elf.h).
const NT_X86_XSTATE: usize = 0x202;
const O_TRACESYSGOOD: usize = 1;
const O_SUSPEND_SECCOMP: usize = 1 << 21;
/// Children and threads are taken from their birth, and an execve stops.
const O_FOLLOW: usize = 1 << libc::PTRACE_EVENT_FORK
    | 1 << libc::PTRACE_EVENT_VFORK
    | 1 << libc::PTRACE_EVENT_CLONE
    | 1 << libc::PTRACE_EVENT_EXEC;
const EVENT_STOP: i32 = 128;
/// Set in the signal of a stop at a system call (PTRACE_O_TRACESYSGOOD).
const SYSCALL_BIT: i32 = 0x80;
/// How waitpid says that a thread is stopped.
const STOPPED: i32 = 0x7f;

fn call(request: u32, tid: i32, address: usize, data: usize) -> std::result::Result<i64, Error> {
    // SAFETY: every caller passes memory that lives through the call and fits what the request reads or writes.
    let r = unsafe { libc::ptrace(request, tid, address, data) };
    let result = if r == -1 { Err(Error::last_os_error()) } else { Ok(r) };
    operation();
    result
}

/// A thread past its end can't be taken any more, and a moment later there is none of that number. Where there is no
/// /proc, the answer is no until then. It is asked for by its number last: it may go while its status is looked for.
fn is_ending(tid: i32) -> bool {
    const NO_SIGNAL: i32 = 0;
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    if status.lines().any(|l| l.starts_with("State:") && (l.contains("Z (") || l.contains("X ("))) {
        return true;
    }
    // SAFETY: a plain system call; it only looks whether there is such a thread.
    let r = unsafe { libc::syscall(libc::SYS_tkill, tid, NO_SIGNAL) };
    r == -1 && Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Of whom a report is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Of(i32),
    Any,
}

/// Who has something to report, and what, as waitpid says it; `None` where nobody has. A thread that is about to get a signal is
/// only looked at: the signal stays with it, and the kernel delivers it should we die before the thread goes on. A report
/// that is taken takes the signal along (wait_task_stopped in kernel/exit.c clears it), and it would be lost with us.
///
/// # Errors
/// There is no such thread of ours, or none at all.
pub fn next_report(whose: Whose) -> std::result::Result<Option<(i32, i32)>, Error> {
    loop {
        let (kind, id) = match whose {
            Whose::Of(tid) => (libc::P_PID, tid.cast_unsigned()),
            Whose::Any => (libc::P_ALL, 0),
        };
        // SAFETY: plain integers; zeroed means that nobody reports.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let look = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
        // SAFETY: info outlives the call.
        if unsafe { libc::waitid(kind, id, &raw mut info, look) } != 0 {
            let error = Error::last_os_error();
            if error.raw_os_error() == Some(libc::EINTR) {
                continue;
            }
            return Err(error);
        }
        // SAFETY: what waitid filled in is a report of a child; zero where it filled in none.
        let (tid, said) = unsafe { (info.si_pid(), info.si_status()) };
        if tid == 0 {
            return Ok(None);
        }
        let is_event = said >> 8 != 0 || said == libc::SIGTRAP | SYSCALL_BIT;
        if info.si_code == libc::CLD_TRAPPED && !is_event {
            return Ok(Some((tid, said << 8 | STOPPED)));
        }
        let mut status = 0;
        // SAFETY: status outlives the call.
        let taken = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
        if taken == tid {
            return Ok(Some((tid, status)));
        }
        // A SIGKILL ended that stop: the end is what it reports next.
        if taken < 0 && Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return Err(Error::last_os_error());
        }
    }
}

/// What a thread reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Because of our interrupt (or the process is stopped by job control).
    Event,
    /// It has just made a child or a thread, whose id this is. Only of threads that are followed, like the next.
    Birth(i32),
    /// It runs another program now; its thread's id was this one before.
    Exec(i32),
    /// Entering or leaving a system call, while stepping by system calls.
    Syscall,
    /// A signal is about to be delivered.
    Signal(i32),
    /// The thread is gone.
    Gone,
}

/// A thread under our control, running or stopped. Dropping it releases it; one that is `kept` stays stopped.
pub struct Tracee {
    pub tid: i32,
    stopped: bool,
    gone: bool,
    kept: bool,
    /// A signal that it was about to get: delivered when it is released.
    signal: i32,
    /// What job control stopped it with, at a stop because of that.
    stopped_by: Option<i32>,
}

/// A stop at a system call, as PTRACE_GET_SYSCALL_INFO tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallStop {
    Entry { number: u64, first_argument: u64, pc: u64 },
    Exit,
}

impl Tracee {
    /// Takes the thread, without stopping it. `Ok(None)`: it is already gone.
    pub fn seize(tid: i32, suspend_seccomp: bool) -> Result<Option<Self>> {
        if let Some(held) = Self::take_up(tid) {
            return Ok(Some(held));
        }
        Self::seize_with(tid, O_TRACESYSGOOD | if suspend_seccomp { O_SUSPEND_SECCOMP } else { 0 })
    }

    /// Takes the thread for long, with the children and threads that it makes from now on, without stopping it.
    pub fn follow(tid: i32) -> Result<Option<Self>> {
        Self::seize_with(tid, O_TRACESYSGOOD | O_FOLLOW)
    }

    /// One that became ours by being born.
    pub fn born(tid: i32) -> Self {
        Self { tid, stopped: false, gone: false, kept: false, signal: 0, stopped_by: None }
    }

    fn take_up(tid: i32) -> Option<Self> {
        let held = HELD.lock().ok()?.remove(&tid)?;
        Some(Self { tid, stopped: held.stopped, gone: false, kept: held.kept, signal: held.signal, stopped_by: None })
    }

    /// Leaves a stopped thread to the work on its process that comes next: everything that seizes it finds it stopped,
    /// and leaves it stopped.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Ends that. `None`: it has ended meanwhile.
    pub fn take_back(tid: i32) -> Option<Self> {
        let mut tracee = Self::take_up(tid)?;
        tracee.kept = false;
        Some(tracee)
    }

    pub fn is_kept(tid: i32) -> bool {
        HELD.lock().is_ok_and(|held| held.get(&tid).is_some_and(|h| h.kept))
    }

    fn seize_with(tid: i32, options: usize) -> Result<Option<Self>> {
        match call(SEIZE, tid, 0, options) {
            Ok(_) => Ok(Some(Self::born(tid))),
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(e) if e.raw_os_error() == Some(libc::EPERM) && is_ending(tid) => Ok(None),
            Err(e) => Err(e).map_err(|e| match e.raw_os_error() {
                Some(libc::EPERM) => Refusal::new(
                    Reason::MissingCapability,
                    format!(
                        "taking hold of thread {tid} with ptrace: not permitted; another tracer may have it, or CAP_SYS_PTRACE \
                         (and CAP_SYS_ADMIN, for a process under a seccomp filter) is missing"
                    ),
                ),
                _ => Refusal::internal(format!("taking hold of thread {tid} with ptrace: {e}")),
            }),
        }
    }

    pub fn interrupt(&self) {
        let _ = call(INTERRUPT, self.tid, 0, 0);
    }

    /// Tells it to stop, unless it stands still already; `wait` is next.
    pub fn halt(&self) {
        if !self.stopped {
            self.interrupt();
        }
    }

    /// Waits until the thread reports, at most until `deadline`. One that stands still needs no waiting.
    pub fn wait(&mut self, deadline: Instant) -> Result<Stop> {
        if self.stopped {
            return Ok(Stop::Event);
        }
        let mut rounds = 0u32;
        loop {
            match next_report(Whose::Of(self.tid)) {
                Ok(Some((_, status))) => return Ok(self.classify(status)),
                Ok(None) => {}
                Err(_) => {
                    self.gone = true;
                    return Ok(Stop::Gone);
                }
            }
            if Instant::now() > deadline {
                return Err(Refusal::new(
                    Reason::Timeout,
                    format!("thread {} did not stop in time: it may be in uninterruptible sleep; try again", self.tid),
                ));
            }
            rounds += 1;
            if rounds < 200 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    /// Takes note of what waitpid said of this thread.
    pub fn classify(&mut self, status: i32) -> Stop {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            self.gone = true;
            return Stop::Gone;
        }
        self.stopped = true;
        let signal = libc::WSTOPSIG(status);
        self.stopped_by = (status >> 16 == EVENT_STOP && signal != libc::SIGTRAP).then_some(signal);
        if signal == libc::SIGTRAP | SYSCALL_BIT {
            return Stop::Syscall;
        }
        match status >> 16 {
            EVENT_STOP => Stop::Event,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                Stop::Birth(self.event_message())
            }
            libc::PTRACE_EVENT_EXEC => Stop::Exec(self.event_message()),
            _ => {
                self.signal = signal;
                Stop::Signal(signal)
            }
        }
    }

    fn event_message(&self) -> i32 {
        let mut message = 0u64;
        let _ = call(GETEVENTMSG, self.tid, 0, (&raw mut message) as usize);
        i32::try_from(message).unwrap_or(0)
    }

    /// At a `Stop::Syscall`: which side of which call (struct ptrace_syscall_info, Linux 5.3).
    pub fn syscall_stop(&self) -> Result<SyscallStop> {
        const ENTRY: u64 = 1;
        let mut words = [0u64; 11];
        call(GET_SYSCALL_INFO, self.tid, size_of_val(&words), words.as_mut_ptr() as usize)
            .map_err(|e| self.lost("reading its system call", &e))?;
        let [head, pc, _, number, first_argument, ..] = words;
        Ok(if head & 0xff == ENTRY { SyscallStop::Entry { number, first_argument, pc } } else { SyscallStop::Exit })
    }

    /// Of a followed thread that stands still: whether its seccomp filter is suspended.
    pub fn suspend_seccomp(&self, suspended: bool) -> Result<()> {
        let options = O_TRACESYSGOOD | O_FOLLOW | if suspended { O_SUSPEND_SECCOMP } else { 0 };
        call(SETOPTIONS, self.tid, 0, options).map(drop).map_err(|e| self.lost("suspending its seccomp filter", &e))
    }

    /// At a `Stop::Event`: job control has stopped the process, and it must stay stopped.
    pub fn is_stopped_by_job_control(&self) -> bool {
        self.stopped_by.is_some()
    }

    /// At a `Stop::Signal`: the signal is on its way, and no longer among those that wait.
    pub fn is_about_to_get_a_signal(&self) -> bool {
        self.stopped && self.signal != 0
    }

    /// Leaves a thread of a process that job control has stopped as it is: it reports when it is continued.
    pub fn listen(&mut self) {
        self.stopped = false;
        let _ = call(LISTEN, self.tid, 0, 0);
    }

    pub fn registers(&self) -> Result<Registers> {
        let mut r = std::mem::MaybeUninit::<Registers>::zeroed();
        call(libc::PTRACE_GETREGS, self.tid, 0, r.as_mut_ptr() as usize)
            .map_err(|e| self.lost("reading its registers", &e))?;
        // SAFETY: plain integers, zeroed and then filled in by the kernel.
        Ok(unsafe { r.assume_init() })
    }

    pub fn set_registers(&self, r: &Registers) -> Result<()> {
        call(libc::PTRACE_SETREGS, self.tid, 0, std::ptr::from_ref(r) as usize)
            .map(drop)
            .map_err(|e| self.lost("setting its registers", &e))
    }

    /// The x87 and SSE state, as FXSAVE lays it out.
    pub fn float_registers(&self) -> Result<[u8; 512]> {
        let mut area = [0u8; 512];
        call(libc::PTRACE_GETFPREGS, self.tid, 0, area.as_mut_ptr() as usize)
            .map_err(|e| self.lost("reading its vector registers", &e))?;
        Ok(area)
    }

    /// The whole vector state as a signal frame holds it: XSAVE area, with the words that tell rt_sigreturn so
    /// (struct _fpx_sw_bytes, arch/x86/include/uapi/asm/sigcontext.h).
    pub fn extended_registers(&self) -> Result<Vec<u8>> {
        const MAGIC1: u32 = 0x4650_5853;
        const MAGIC2: u32 = 0x4650_5845;
        const SOFTWARE: usize = 464;
        let mut area = self.vector_state()?;
        let size = u32::try_from(area.len()).unwrap_or(0);
        if size < 576 {
            return self.float_registers().map(|f| f.to_vec());
        }
        // Which features there are: the kernel leaves them in the words that software may use.
        let features: [u8; 8] = area[SOFTWARE..SOFTWARE + 8].try_into().unwrap_or_default();
        let mut software = Vec::with_capacity(48);
        software.extend_from_slice(&MAGIC1.to_le_bytes());
        software.extend_from_slice(&(size + 4).to_le_bytes());
        software.extend_from_slice(&features);
        software.extend_from_slice(&size.to_le_bytes());
        software.resize(48, 0);
        area[SOFTWARE..SOFTWARE + 48].copy_from_slice(&software);
        area.extend_from_slice(&MAGIC2.to_le_bytes());
        area.resize(area.len().next_multiple_of(64), 0);
        Ok(area)
    }

    /// The whole vector state as the kernel hands it out (the XSAVE area), for `set_vector_state`.
    pub fn vector_state(&self) -> Result<Vec<u8>> {
        let mut area = vec![0u8; 16 << 10];
        let mut vector = libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() };
        call(libc::PTRACE_GETREGSET, self.tid, NT_X86_XSTATE, (&raw mut vector) as usize)
            .map_err(|e| self.lost("reading its vector registers", &e))?;
        area.truncate(vector.iov_len);
        Ok(area)
    }

    pub fn set_vector_state(&self, area: &[u8]) -> Result<()> {
        let vector = libc::iovec { iov_base: area.as_ptr().cast_mut().cast(), iov_len: area.len() };
        call(libc::PTRACE_SETREGSET, self.tid, NT_X86_XSTATE, (&raw const vector) as usize)
            .map(drop)
            .map_err(|e| self.lost("setting its vector registers", &e))
    }

    /// Where the thread's `struct rseq` is, if it has registered one.
    pub fn rseq_area(&self) -> Option<u64> {
        const GET_RSEQ_CONFIGURATION: u32 = 0x420f;
        let mut words = [0u64; 3];
        call(GET_RSEQ_CONFIGURATION, self.tid, size_of_val(&words), words.as_mut_ptr() as usize).ok()?;
        (words[0] != 0).then_some(words[0])
    }

    /// Signals that it blocks, as its program set them (not a temporary mask of ppoll or its like).
    pub fn signal_mask(&self) -> Result<u64> {
        let mut mask = 0u64;
        call(GETSIGMASK, self.tid, 8, (&raw mut mask) as usize)
            .map_err(|e| self.lost("reading its signal mask", &e))?;
        Ok(mask)
    }

    pub fn set_signal_mask(&self, mask: u64) -> Result<()> {
        call(SETSIGMASK, self.tid, 8, (&raw const mask) as usize)
            .map(drop)
            .map_err(|e| self.lost("setting its signal mask", &e))
    }

    /// Lets it run to the next entry or exit of a system call.
    pub fn step_syscall(&mut self) -> Result<()> {
        self.resume(libc::PTRACE_SYSCALL)
    }

    pub fn cont(&mut self) -> Result<()> {
        self.resume(libc::PTRACE_CONT)
    }

    fn resume(&mut self, request: u32) -> Result<()> {
        self.stopped = false;
        let signal = std::mem::take(&mut self.signal);
        call(request, self.tid, 0, signal as usize).map(drop).map_err(|e| self.lost("letting it run on", &e))
    }

    fn lost(&self, what: &str, error: &Error) -> Refusal {
        Refusal::io(self.tid, what, error)
    }

    /// Somebody has waited for its end already.
    pub fn has_ended(mut self) {
        self.gone = true;
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped && !self.gone
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        if !self.stopped {
            // Only a stopped thread can be let go.
            self.interrupt();
            let _ = self.wait(Instant::now() + Duration::from_millis(20));
        }
        if self.gone {
            return;
        }
        if self.kept || !self.stopped {
            // Whoever tries again finds it here; at the latest our own end releases it.
            if let Ok(mut held) = HELD.lock() {
                held.insert(self.tid, Held { stopped: self.stopped, kept: self.kept, signal: self.signal });
            }
            return;
        }
        let _ = call(libc::PTRACE_DETACH, self.tid, 0, self.signal as usize);
    }
}
