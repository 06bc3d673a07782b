//! Names of signals, as signal(7) has them for x86-64.
use std::borrow::Cow;

/// By number, from 1 on.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];
/// glibc's; it keeps two of the kernel's for itself.
const FIRST_REAL_TIME: u8 = 34;

/// `SIGTERM`, `SIGRTMIN+1`.
pub fn signal_name(number: u8) -> Cow<'static, str> {
    match NAMES.get(usize::from(number).wrapping_sub(1)) {
        Some(name) => Cow::Borrowed(name),
        None if number >= FIRST_REAL_TIME => Cow::Owned(format!("SIGRTMIN+{}", number - FIRST_REAL_TIME)),
        None => Cow::Owned(format!("SIG{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::signal_name;

    #[test]
    fn names_each_kind() {
        let names = [libc::SIGHUP, libc::SIGKILL, libc::SIGSYS, 33, libc::SIGRTMIN(), libc::SIGRTMIN() + 3];
        let names = names.map(|number| signal_name(number as u8).into_owned());
        assert_eq!(names, ["SIGHUP", "SIGKILL", "SIGSYS", "SIG33", "SIGRTMIN+0", "SIGRTMIN+3"]);
    }
}
