//! What the follower says and hears: lines on its standard output and input, and the signals that wake it. It never waits
//! for its reader: what is not taken at once stays here.
use crate::refusal::{Refusal, Result};
use std::collections::VecDeque;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Unread beyond this, nothing is begun that would have to be told of.
const CLOGGED_BYTES: usize = 1 << 20;
/// No command is longer.
const MOST_HEARD: usize = 64 << 10;

pub struct Mailbox {
    signals: OwnedFd,
    heard: Vec<u8>,
    unsaid: VecDeque<u8>,
    is_closed: bool,
}

impl Mailbox {
    pub fn open() -> Result<Self> {
        let failed = |what: &str| Refusal::internal(format!("{what}: {}", Error::last_os_error()));
        // SAFETY: plain system calls on memory that outlives them; the descriptor is owned at once.
        unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(failed("opening a descriptor for signals"));
            }
            let signals = OwnedFd::from_raw_fd(fd);
            for fd in [0, 1] {
                let flags = libc::fcntl(fd, libc::F_GETFL);
                if flags < 0 || libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
                    return Err(failed("standard input and output must be there"));
                }
            }
            Ok(Self { signals, heard: Vec::new(), unsaid: VecDeque::new(), is_closed: false })
        }
    }

    pub fn tell(&mut self, line: &str) {
        self.unsaid.extend(line.bytes());
        self.unsaid.push_back(b'\n');
        self.flush();
    }

    pub fn flush(&mut self) {
        while !self.unsaid.is_empty() {
            let (first, _) = self.unsaid.as_slices();
            // SAFETY: the slice's length is passed along.
            let n = unsafe { libc::write(1, first.as_ptr().cast(), first.len()) };
            match usize::try_from(n) {
                Ok(n) => drop(self.unsaid.drain(..n)),
                Err(_) => {
                    let error = Error::last_os_error().raw_os_error();
                    self.is_closed |= !matches!(error, Some(libc::EAGAIN | libc::EINTR));
                    return;
                }
            }
        }
    }

    pub fn is_clogged(&self) -> bool {
        self.unsaid.len() > CLOGGED_BYTES
    }

    /// To be ended: by a signal, or since nobody is on the other side any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whole lines that came since the last time.
    pub fn commands(&mut self) -> Vec<String> {
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: the buffer's length is passed along.
            let n = unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
            match usize::try_from(n) {
                Ok(0) => {
                    self.is_closed = true;
                    break;
                }
                Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
                Err(_) => {
                    let error = Error::last_os_error().raw_os_error();
                    self.is_closed |= !matches!(error, Some(libc::EAGAIN | libc::EINTR));
                    break;
                }
            }
        }
        let end = self.heard.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let lines = String::from_utf8_lossy(&self.heard[..end]).lines().map(str::to_owned).collect();
        self.heard.drain(..end);
        self.is_closed |= self.heard.len() > MOST_HEARD;
        lines
    }

    /// Until a signal or a command comes, or what waits can be said; at most so long.
    pub fn wait(&mut self, most: Option<Duration>) {
        let listen = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut fds = [
            listen(self.signals.as_raw_fd(), libc::POLLIN),
            listen(if self.is_closed { -1 } else { 0 }, libc::POLLIN),
            listen(if self.unsaid.is_empty() || self.is_closed { -1 } else { 1 }, libc::POLLOUT),
        ];
        let timeout = most.map_or(-1, |d| i32::try_from(d.as_millis() + 1).unwrap_or(i32::MAX));
        // SAFETY: three entries, as told; the buffer is as large as the kernel writes.
        unsafe {
            libc::poll(fds.as_mut_ptr(), 3, timeout);
            let mut info = std::mem::zeroed::<libc::signalfd_siginfo>();
            while libc::read(self.signals.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info)) > 0 {
                self.is_closed |= info.ssi_signo.cast_signed() != libc::SIGCHLD;
            }
        }
        if fds[2].revents != 0 {
            self.flush();
        }
    }
}
