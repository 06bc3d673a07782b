//! What /proc says about a process. Everything goes through one directory descriptor, so that the same code works
//! inside another mount namespace, where the name /proc may mean nothing or something else.
use crate::refusal::{Reason, Refusal, Result};
use std::ffi::CString;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A mounted procfs, and the process in it that this run is about.
pub struct Process {
    root: OwnedFd,
    /// The process as this procfs, and ptrace in this PID namespace, call it.
    pub pid: i32,
}

/// One line of /proc/PID/maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub read: bool,
    pub write: bool,
    pub execute: bool,
    pub shared: bool,
    pub offset: u64,
    pub inode: u64,
    pub device: String,
    pub path: String,
}

impl Mapping {
    pub fn is_file(&self) -> bool {
        self.inode != 0 && self.path.starts_with('/')
    }
    pub fn is_ring(&self) -> bool {
        self.path.starts_with(&format!("/memfd:{}", scope_abi::MEMFD_NAME))
    }
}

/// The fields of /proc/PID/status that decide about an attach.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub state: char,
    pub tracer: i32,
    pub seccomp: u32,
    pub ns_pids: Vec<i32>,
    pub signals_pending: u64,
    pub signals_blocked: u64,
    pub signals_ignored: u64,
    pub signals_caught: u64,
    pub shadow_stack: bool,
}

impl Status {
    /// Whether the signal does nothing to the process: it is ignored, or has no handler and no effect without one.
    pub fn ignores(&self, signal: i32) -> bool {
        const HARMLESS: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
        let bit = 1u64 << (signal - 1).clamp(0, 63);
        self.signals_ignored & bit != 0 || HARMLESS.contains(&signal) && self.signals_caught & bit == 0
    }
}

impl Process {
    pub fn open(root: OwnedFd, pid: i32) -> Self {
        Self { root, pid }
    }

    fn path(&self, name: &str) -> CString {
        CString::new(format!("{}/{}", self.pid, name)).unwrap_or_default()
    }

    /// Opens `/proc/PID/name` with `flags`.
    pub fn file(&self, name: &str, flags: i32) -> std::io::Result<File> {
        // SAFETY: a valid directory descriptor and a NUL-terminated path; the result is owned at once.
        unsafe {
            let fd = libc::openat(self.root.as_raw_fd(), self.path(name).as_ptr(), flags | libc::O_CLOEXEC);
            if fd < 0 { Err(Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
        }
    }

    pub fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        // A file of /proc has no size to be asked for, and mostly fits: two reads instead of eight and two questions.
        let mut bytes = Vec::with_capacity(4096);
        self.file(name, libc::O_RDONLY)?.take(u64::MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub fn text(&self, name: &str) -> std::io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(name)?).into_owned())
    }

    pub fn link(&self, name: &str) -> std::io::Result<String> {
        let mut buffer = vec![0u8; 4096];
        // SAFETY: the buffer's length is passed along.
        let n = unsafe {
            libc::readlinkat(self.root.as_raw_fd(), self.path(name).as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
        };
        if n < 0 {
            return Err(Error::last_os_error());
        }
        buffer.truncate(n as usize);
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }

    /// Names in the directory `/proc/PID/name` that are numbers.
    pub fn numbers(&self, name: &str) -> std::io::Result<Vec<i32>> {
        let dir = self.file(name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
        match std::fs::read_dir(&path) {
            Ok(entries) => Ok(entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()),
            // No /proc here: read the directory itself.
            Err(_) => list_numbers(&dir),
        }
    }

    /// /proc/PID/maps, parsed. `Err(Zombie-like)` never: an empty list means the memory is gone.
    pub fn maps(&self) -> Result<Vec<Mapping>> {
        let text = self.text("maps").map_err(|e| Refusal::io(self.pid, "reading its memory map", &e))?;
        Ok(text.lines().filter_map(parse_mapping).collect())
    }

    pub fn status(&self) -> Result<Status> {
        self.status_of("status")
    }

    pub fn status_of(&self, name: &str) -> Result<Status> {
        let text = self.text(name).map_err(|e| {
            if matches!(e.kind(), ErrorKind::NotFound) || e.raw_os_error() == Some(libc::ESRCH) {
                Refusal::new(Reason::NoSuchProcess, format!("no process {}; `scope ps` lists what runs", self.pid))
            } else {
                Refusal::io(self.pid, "reading its status", &e)
            }
        })?;
        Ok(parse_status(&text))
    }

    /// Clock ticks since boot at which it started: with the pid, its identity.
    pub fn start_time(&self) -> Result<u64> {
        let text = self.text("stat").map_err(|e| Refusal::io(self.pid, "reading its start time", &e))?;
        parse_start_time(&text)
            .ok_or_else(|| Refusal::internal(format!("process {}: stat is not as documented", self.pid)))
    }

    /// A process that is about to end has no program any more, either: only its flags tell it from one of these.
    pub fn is_kernel_thread(&self) -> bool {
        self.text("stat").is_ok_and(|stat| says_kernel_thread(&stat))
    }

    /// Whether a thread of it runs no code any more: a leader stays as a zombie until the others are gone.
    pub fn thread_has_ended(&self, tid: i32) -> bool {
        self.status_of(&format!("task/{tid}/status")).is_ok_and(|s| s.state == 'Z' || s.state == 'X')
    }

    pub fn threads(&self) -> Result<Vec<i32>> {
        self.numbers("task").map_err(|e| Refusal::io(self.pid, "listing its threads", &e))
    }
}

fn list_numbers(dir: &File) -> std::io::Result<Vec<i32>> {
    // SAFETY: fdopendir takes over a duplicate of the descriptor; entries are read until NULL, then closed.
    unsafe {
        let stream = libc::fdopendir(libc::dup(dir.as_raw_fd()));
        if stream.is_null() {
            return Err(Error::last_os_error());
        }
        let mut found = Vec::new();
        loop {
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break;
            }
            let name = std::ffi::CStr::from_ptr((*entry).d_name.as_ptr());
            if let Some(n) = name.to_str().ok().and_then(|s| s.parse().ok()) {
                found.push(n);
            }
        }
        libc::closedir(stream);
        Ok(found)
    }
}

/// `7f00-7f10 r-xp 00001000 fe:00 1234    /lib/x.so`
fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut next = || {
        let trimmed = rest.trim_start();
        let (word, tail) = trimmed.split_at(trimmed.find(' ').unwrap_or(trimmed.len()));
        rest = tail;
        word
    };
    let (start, end) = next().split_once('-')?;
    let modes = next().as_bytes();
    let offset = u64::from_str_radix(next(), 16).ok()?;
    let device = next().to_owned();
    let inode = next().parse().ok()?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        read: modes.first() == Some(&b'r'),
        write: modes.get(1) == Some(&b'w'),
        execute: modes.get(2) == Some(&b'x'),
        shared: modes.get(3) == Some(&b's'),
        offset,
        inode,
        device,
        path: rest.trim_start().to_owned(),
    })
}

fn parse_status(text: &str) -> Status {
    let mut status = Status { state: '?', ..Status::default() };
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let hex = || u64::from_str_radix(value, 16).unwrap_or(0);
        match key {
            "State" => status.state = value.chars().next().unwrap_or('?'),
            "TracerPid" => status.tracer = value.parse().unwrap_or(0),
            "Seccomp" => status.seccomp = value.parse().unwrap_or(0),
            "NSpid" => status.ns_pids = value.split_whitespace().filter_map(|v| v.parse().ok()).collect(),
            "SigPnd" | "ShdPnd" => status.signals_pending |= hex(),
            "SigIgn" => status.signals_ignored = hex(),
            "SigCgt" => status.signals_caught = hex(),
            "SigBlk" => status.signals_blocked = hex(),
            "x86_Thread_features" => status.shadow_stack = value.contains("shstk"),
            _ => {}
        }
    }
    status
}

fn parse_start_time(stat: &str) -> Option<u64> {
    stat_field(stat, 22)
}

/// A field of proc_pid_stat(5), from the third on; the name in field 2 may hold spaces and parentheses.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let after = &stat[stat.rfind(')')? + 1..];
    after.split_whitespace().nth(number - 3)?.parse().ok()
}

/// include/linux/sched.h.
fn says_kernel_thread(stat: &str) -> bool {
    const PF_KTHREAD: u64 = 0x0020_0000;
    stat_field(stat, 9).is_some_and(|flags| flags & PF_KTHREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_line_with_and_without_a_name() {
        let m = parse_mapping("7f1000-7f2000 r-xp 0001a000 fe:00 42                 /lib/a b.so (deleted)");
        let m = m.expect("parses");
        assert_eq!((m.start, m.end, m.offset, m.inode), (0x7f_1000, 0x7f_2000, 0x1_a000, 42));
        assert!(m.read && !m.write && m.execute && !m.shared && m.is_file());
        assert_eq!(m.path, "/lib/a b.so (deleted)");
        let anonymous = parse_mapping("1000-2000 rw-s 00000000 00:00 0").expect("parses");
        assert!(anonymous.shared && !anonymous.is_file() && anonymous.path.is_empty());
        assert_eq!(parse_mapping("nonsense"), None);
    }

    #[test]
    fn start_time_survives_a_hostile_name() {
        let fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        assert_eq!(parse_start_time(&format!("7 (a) b ) {}", fields.join(" "))), Some(22));
    }

    #[test]
    fn a_thread_of_the_kernel_is_told_by_its_flags() {
        let stat = |flags: &str| format!("7 (a) S 2 0 0 0 -1 {flags} 0 0");
        assert!(says_kernel_thread(&stat("2129984")));
        assert!(!says_kernel_thread(&stat("4194304")));
        assert!(!says_kernel_thread("7 (a"));
    }

    #[test]
    fn status_fields() {
        let s = parse_status(
            "State:\tS (sleeping)\nTracerPid:\t7\nNSpid:\t90\t4\nSeccomp:\t2\nSigPnd:\t0\nShdPnd:\t4000\n",
        );
        assert_eq!((s.state, s.tracer, s.seccomp, s.signals_pending), ('S', 7, 2, 0x4000));
        assert_eq!(s.ns_pids, [90, 4]);
    }
}
