//! Runs this program inside the namespaces of the target, from memory: nothing is needed of the container's file
//! system, not even a /proc. The outer process waits and passes the result on; if it dies, the inner one dies with it.
use crate::procfs::Process;
use crate::refusal::{Reason, Refusal, Result};
use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Namespaces in the order of joining; the mount namespace last, since it takes our /proc away.
const NAMESPACES: &[(&str, i32)] = &[
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("mnt", libc::CLONE_NEWNS),
];

/// Joins and executes; returns the inner program's exit code.
pub fn enter(process: &Process, arguments: &[String]) -> Result<i32> {
    let fail = |what: &str| {
        let error = Error::last_os_error();
        let reason =
            if error.raw_os_error() == Some(libc::EPERM) { Reason::MissingCapability } else { Reason::InternalError };
        Refusal::new(
            reason,
            format!("{what} of process {}: {error}; CAP_SYS_ADMIN and CAP_SYS_CHROOT are needed", process.pid),
        )
    };
    let status = process.status()?;
    let inner_pid = status.ns_pids.last().copied().unwrap_or(process.pid);
    let start_time = process.start_time()?;
    let mut namespaces = Vec::new();
    for (name, kind) in NAMESPACES {
        if let Ok(file) = process.file(&format!("ns/{name}"), libc::O_RDONLY) {
            namespaces.push((file, *kind, *name));
        }
    }
    let program = own_program()?;
    // The process may have ended and its number may have gone to another while we collected these.
    if process.start_time()? != start_time {
        return Err(Refusal::new(Reason::ProcessExited, format!("process {} ended meanwhile", process.pid)));
    }
    let mut argv = vec!["scope-inject".to_owned()];
    argv.extend(arguments.iter().cloned());
    argv.extend(["--pid".into(), inner_pid.to_string(), "--report-pid".into(), process.pid.to_string()]);
    argv.extend(["--start-time".into(), start_time.to_string(), "--own-proc".into()]);
    let argv: Vec<CString> = argv.into_iter().filter_map(|a| CString::new(a).ok()).collect();
    let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: plain system calls on descriptors that live through them. After fork only async-signal-safe calls are
    // made until exec: the program has one thread.
    unsafe {
        for (file, kind, name) in &namespaces {
            if *kind == libc::CLONE_NEWPID && libc::setns(file.as_raw_fd(), *kind) != 0 {
                return Err(fail(&format!("joining the {name} namespace")));
            }
        }
        let child = libc::fork();
        if child < 0 {
            return Err(fail("forking into the namespaces"));
        }
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for (file, kind, _) in &namespaces {
                if *kind != libc::CLONE_NEWPID && libc::setns(file.as_raw_fd(), *kind) != 0 {
                    // Tell it by exit code; the outer process has the words.
                    libc::_exit(120);
                }
            }
            let environment = [std::ptr::null::<libc::c_char>()];
            libc::fexecve(program.as_raw_fd(), pointers.as_ptr(), environment.as_ptr());
            libc::_exit(121);
        }
        let mut status = 0;
        while libc::waitpid(child, &raw mut status, 0) < 0 {
            if Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return Err(fail("waiting inside the namespaces"));
            }
        }
        if libc::WIFEXITED(status) {
            match libc::WEXITSTATUS(status) {
                120 => Err(Refusal::new(
                    Reason::MissingCapability,
                    format!(
                        "joining the namespaces of process {}: refused; CAP_SYS_ADMIN and CAP_SYS_CHROOT are needed",
                        process.pid
                    ),
                )),
                121 => {
                    Err(Refusal::internal(format!("executing inside the namespaces of process {} failed", process.pid)))
                }
                code => Ok(code),
            }
        } else {
            Err(Refusal::internal(format!("the injector inside the namespaces of process {} was killed", process.pid)))
        }
    }
}

/// A copy of this executable in anonymous memory.
fn own_program() -> Result<OwnedFd> {
    let failed = |e: Error| Refusal::internal(format!("copying this program to memory: {e}"));
    let mut bytes = Vec::new();
    File::open("/proc/self/exe").and_then(|mut f| f.read_to_end(&mut bytes)).map_err(failed)?;
    // SAFETY: a NUL-terminated name; the descriptor is owned at once.
    let mut file = unsafe {
        let mut fd = libc::memfd_create(c"scope-inject".as_ptr(), libc::MFD_CLOEXEC | 0x10);
        if fd < 0 {
            fd = libc::memfd_create(c"scope-inject".as_ptr(), libc::MFD_CLOEXEC);
        }
        if fd < 0 {
            return Err(failed(Error::last_os_error()));
        }
        File::from_raw_fd(fd)
    };
    file.write_all(&bytes).map_err(failed)?;
    Ok(file.into())
}

/// A procfs of the PID namespace that we are in, mounted nowhere.
pub fn private_proc() -> std::io::Result<OwnedFd> {
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const CLOEXEC: libc::c_uint = 1;
    // SAFETY: plain system calls with constant strings; each descriptor is owned at once.
    unsafe {
        let own = |fd: i64| -> std::io::Result<OwnedFd> {
            if fd < 0 { Err(Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1))) }
        };
        let context = own(libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), CLOEXEC))?;
        let null = std::ptr::null::<libc::c_void>();
        if libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0) < 0 {
            return Err(Error::last_os_error());
        }
        own(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0))
    }
}

/// The procfs at /proc.
pub fn mounted_proc() -> std::io::Result<OwnedFd> {
    Ok(File::open("/proc")?.into())
}
