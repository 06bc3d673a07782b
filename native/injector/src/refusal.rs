//! Why an attach or detach did not happen: one reason of a closed list, and a text that says what to do.
use serde::Serialize;

/// The reasons that this program can give; the same words as in the resources' conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    NoSuchProcess,
    ProcessExited,
    KernelThread,
    Zombie,
    AlreadyTraced,
    AlreadyScoped,
    NotScoped,
    UnsupportedArchitecture,
    ThirtyTwoBit,
    MissingCapability,
    NotRoot,
    MemoryMapRefused,
    NoHookableSites,
    TextWriteRefused,
    Timeout,
    Stopped,
    ABIMismatch,
    InternalError,
    InvalidArgument,
}

/// A refusal leaves the target as it was.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub message: String,
    /// Something moved between the plan and its execution: a new plan may do.
    pub is_passing: bool,
}

pub type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), is_passing: false }
    }

    /// One that need not come again at the next attempt.
    pub fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self { is_passing: true, ..Self::new(reason, message) }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::InternalError, message)
    }

    /// An error of a call about process `pid` while doing `what`: a vanished process is told apart.
    pub fn io(pid: i32, what: &str, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) => Self::new(
                Reason::ProcessExited,
                format!("{what}: process {pid} ended meanwhile; nothing is left to scope"),
            ),
            Some(libc::EPERM | libc::EACCES) => Self::new(
                Reason::MissingCapability,
                format!("{what}, process {pid}: {error}; run as root with CAP_SYS_PTRACE and CAP_SYS_ADMIN"),
            ),
            _ => Self::internal(format!("{what}, process {pid}: {error}")),
        }
    }
}
