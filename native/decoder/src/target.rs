//! The scoped process as /proc shows it. Everything here may fail at any moment: the process may be gone.
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// More open descriptors are learnt of when they are used: listing and following each takes time that is everybody's.
pub const MOST_LOOKED_FOR: usize = 1 << 15;

pub struct Target {
    proc: PathBuf,
    pidfd: Option<OwnedFd>,
    /// /proc/PID/map_files/…: there as long as the program that was attached to is.
    mapping: Option<PathBuf>,
}

/// What became of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Running,
    Exited,
    /// It runs another program: the ring's mapping is gone.
    Replaced,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(u8),
    Signal(u8),
}

impl Exit {
    /// By the word that wait(2) gives.
    fn of_status(status: u32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) as u8),
            signal => Self::Signal(signal as u8),
        }
    }
}

/// `struct pidfd_info` of linux/pidfd.h, as it was first.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xff, 11, struct pidfd_info)`
const PIDFD_GET_INFO: libc::c_ulong = 3 << 30 | (size_of::<PidfdInfo>() as libc::c_ulong) << 16 | 0xff << 8 | 11;

impl Target {
    /// `ring`: the path that it was opened by. A ring that is a plain file belongs to no process that must live.
    pub fn open(pid: i32, ring: &Path) -> io::Result<Self> {
        let mapping = ring.starts_with("/proc").then(|| ring.to_owned());
        // SAFETY: a plain call; the descriptor is ours alone.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
        };
        if pidfd.is_none() && mapping.is_some() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { proc: PathBuf::from(format!("/proc/{pid}")), pidfd, mapping })
    }

    pub fn proc(&self, name: &str) -> PathBuf {
        self.proc.join(name)
    }

    /// Whether it has exited; cheap.
    pub fn has_exited(&self) -> bool {
        let Some(pidfd) = &self.pidfd else { return false };
        let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, as told.
        unsafe { libc::poll(&mut poll, 1, 0) > 0 }
    }

    /// How it ended, where that can be known: from the kernel, which remembers it from Linux 6.15 on, or from what is left of it
    /// until its parent has asked.
    pub fn exit(&self) -> Option<Exit> {
        self.reaped().or_else(|| self.unreaped()).or_else(|| self.reaped()).map(Exit::of_status)
    }

    fn reaped(&self) -> Option<u32> {
        let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the kernel writes as many bytes as the request's number says: those of `info`.
        let answer = unsafe { libc::ioctl(self.pidfd.as_ref()?.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
        (answer == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code.cast_unsigned())
    }

    /// Field 52 of a zombie's stat.
    fn unreaped(&self) -> Option<u32> {
        let stat = self.stat().filter(|stat| stat.starts_with('Z'))?;
        stat.trim_end().split(' ').nth(49)?.parse().ok()
    }

    /// Asks whether it still runs the program with the ring. Dearer than `has_exited`: some times a second.
    pub fn life(&self) -> Life {
        if self.has_exited() {
            return Life::Exited;
        }
        match &self.mapping {
            Some(path) if matches!(fs::symlink_metadata(path), Err(e) if e.kind() == io::ErrorKind::NotFound) => {
                // Its /proc may have gone in between.
                if self.has_exited() { Life::Exited } else { Life::Replaced }
            }
            _ => Life::Running,
        }
    }

    /// Whether a signal or a debugger has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state(), Some(b'T' | b't'))
    }

    fn stat(&self) -> Option<String> {
        let text = fs::read(self.proc("stat")).ok()?;
        let after_name = memchr::memrchr(b')', &text)? + 2;
        String::from_utf8(text.get(after_name..)?.to_vec()).ok()
    }

    fn state(&self) -> Option<u8> {
        self.stat()?.bytes().next()
    }

    /// Field 22 of its stat: ticks since boot.
    pub fn start_time(&self) -> Option<u64> {
        self.stat()?.split(' ').nth(19)?.parse().ok()
    }

    fn link(&self, name: &str) -> Option<Vec<u8>> {
        fs::read_link(self.proc(name)).ok().map(|path| path.into_os_string().into_vec())
    }

    /// What a descriptor's number stands for now: a path, `socket:[…]`, `pipe:[…]`, `anon_inode:…`.
    pub fn descriptor(&self, number: i32) -> Option<Vec<u8>> {
        self.link(&format!("fd/{number}"))
    }

    /// `net:[…]`.
    pub fn network_namespace(&self) -> Option<Vec<u8>> {
        self.link("ns/net")
    }

    pub fn working_directory(&self) -> Option<Vec<u8>> {
        self.link("cwd")
    }

    pub fn executable(&self) -> Option<Vec<u8>> {
        self.link("exe")
    }

    /// Its arguments, at most 4096 bytes of them, separated by blanks.
    pub fn command_line(&self) -> Option<Vec<u8>> {
        let mut text = fs::read(self.proc("cmdline")).ok()?;
        text.truncate(4096);
        while text.last() == Some(&0) {
            text.pop();
        }
        text.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        Some(text)
    }

    /// Numbers of the descriptors that are open now, as far as they are looked for: `MOST_LOOKED_FOR`.
    pub fn descriptors(&self) -> Vec<i32> {
        let Ok(entries) = fs::read_dir(self.proc("fd")) else { return Vec::new() };
        entries.flatten().take(MOST_LOOKED_FOR).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}
