//! Calls that make, copy and end descriptors, and that give sockets their addresses.
use crate::address::Address;
use crate::call;
use crate::descriptors::{Description, Key, What};
use crate::errno;
use crate::event_writer::{Attributes, Event};
use crate::paths;
use crate::protocols::{Direction, Role};
use crate::record::Record;
use crate::session::Session;
use crate::socket::{Phase, Socket, Transport};
use scope_abi as abi;

const AT_FDCWD: i32 = -100;
const O_PATH: u64 = 0o10_000_000;
const AT_REMOVEDIR: u64 = 0x200;
const CLOSE_RANGE_CLOEXEC: u64 = 4;
const SOCK_KIND: u32 = 0xf;
/// How /proc/PID/fd names one.
pub(crate) const IO_URING: &[u8] = b"anon_inode:[io_uring]";

/// How long the call took, where that is known.
fn put_duration(attributes: &mut Attributes, ns: Option<u64>) {
    if let Some(ns) = ns {
        attributes.seconds("scope.fs.call.duration", ns);
    }
}

impl Session {
    /// A path that a call was given, made absolute; None where it was not copied.
    fn path_of(&mut self, pre: Option<&Record>, index: u16, directory: i32) -> Option<Box<[u8]>> {
        let pre = pre?;
        let name = pre.chunk_at(abi::CHUNK_PATH, index)?;
        if name.starts_with(b"/") {
            return Some(paths::absolute(None, name));
        }
        if directory == AT_FDCWD {
            return Some(paths::absolute(self.cwd.at(pre.time, &self.target), name));
        }
        if let Some(What::Path { path, .. }) = self.fds.get(directory).map(|description| &description.what) {
            return Some(paths::absolute(Some(path), name));
        }
        Some(paths::absolute(self.look_at(directory).as_deref(), name))
    }

    /// open, openat, openat2, creat.
    pub(crate) fn opened(&mut self, record: &Record, pre: Option<&Record>) {
        let (directory, flags) = match record.number {
            call::OPEN => (AT_FDCWD, record.a2),
            call::CREAT => (AT_FDCWD, (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64),
            call::OPENAT => (record.a1 as i32, record.a3),
            _ => (record.a1 as i32, pre.and_then(|pre| pre.argument(0)).unwrap_or_default()),
        };
        let given = self.path_of(pre, 0, directory);
        if record.result < 0 {
            self.tell_failure(record, pre, "open", given.as_deref());
            return;
        }
        let fd = record.result as i32;
        let path = given.or_else(|| self.look_at(fd).map(Into::into)).unwrap_or_default();
        if self.capture.path(&path) {
            let wall = self.clock.wall_of(record.time);
            let took = self.took(record, pre);
            let mut line = self.writer.event(Event::FsOpen, wall);
            line.text("file.path", &path).signed("scope.fd", i64::from(fd));
            let access = match flags as i32 & libc::O_ACCMODE {
                _ if flags & O_PATH != 0 => "path",
                libc::O_RDONLY => "read",
                libc::O_WRONLY => "write",
                _ => "read-write",
            };
            line.text("scope.fs.access", access.as_bytes());
            put_duration(&mut line, took);
        }
        self.put(fd, What::Path { path, is_regular: true }, record.time);
    }

    fn tell_failure(&mut self, record: &Record, pre: Option<&Record>, operation: &str, path: Option<&[u8]>) {
        let path = path.unwrap_or_default();
        if !self.capture.path(path) || record.result == errno::EINTR {
            return;
        }
        let wall = self.clock.wall_of(record.time);
        let took = self.took(record, pre);
        let mut line = self.writer.event(Event::FsError, wall);
        line.text("file.path", path)
            .text("scope.fs.operation", operation.as_bytes())
            .text("error.type", errno::name(record.result).as_bytes());
        put_duration(&mut line, took);
    }

    /// unlink, unlinkat.
    pub(crate) fn deleted(&mut self, record: &Record, pre: Option<&Record>) {
        let directory = if record.number == call::UNLINK { AT_FDCWD } else { record.a1 as i32 };
        let Some(path) = self.path_of(pre, 0, directory) else { return };
        if record.result < 0 {
            return self.tell_failure(record, pre, "delete", Some(&path));
        }
        if self.capture.path(&path) {
            let wall = self.clock.wall_of(record.time);
            let took = self.took(record, pre);
            let mut line = self.writer.event(Event::FsDelete, wall);
            line.text("file.path", &path);
            if record.number == call::UNLINKAT && record.a3 & AT_REMOVEDIR != 0 {
                line.truth("scope.fs.directory", true);
            }
            put_duration(&mut line, took);
        }
    }

    /// rename, renameat, renameat2.
    pub(crate) fn renamed(&mut self, record: &Record, pre: Option<&Record>) {
        let (from, to) =
            if record.number == call::RENAME { (AT_FDCWD, AT_FDCWD) } else { (record.a1 as i32, record.a3 as i32) };
        let (Some(old), Some(new)) = (self.path_of(pre, 0, from), self.path_of(pre, 1, to)) else { return };
        if record.result < 0 {
            return self.tell_failure(record, pre, "rename", Some(&old));
        }
        if self.capture.path(&old) || self.capture.path(&new) {
            let wall = self.clock.wall_of(record.time);
            let took = self.took(record, pre);
            let mut line = self.writer.event(Event::FsRename, wall);
            line.text("file.path", &old).text("scope.fs.new_path", &new);
            put_duration(&mut line, took);
        }
    }

    /// Lets a number that a call has just returned stand for something new.
    fn put(&mut self, fd: i32, what: What, time: u64) -> Option<Key> {
        if self.fds.key(fd).is_some() {
            self.close_number(fd, time, "unseen");
        }
        self.insert(fd, Description::new(what, fd, time, false))
    }

    pub(crate) fn insert(&mut self, fd: i32, mut description: Description) -> Option<Key> {
        if !self.has_room() {
            return None;
        }
        description.is_told = self.tells_of(&description.what);
        self.fds.insert(fd, description)
    }

    /// close, close_range.
    pub(crate) fn closed(&mut self, record: &Record) {
        if record.number == call::CLOSE {
            self.close_number(record.a1 as i32, record.time, "close");
        } else if record.a3 & CLOSE_RANGE_CLOEXEC == 0 {
            for fd in self.fds.numbers(record.a1, record.a2 as u32) {
                self.close_number(fd, record.time, "close");
            }
        }
    }

    /// Frees a number; tells of the description's end, when it was the last one.
    pub(crate) fn close_number(&mut self, fd: i32, time: u64, reason: &'static str) {
        if let Some(key) = self.fds.key(fd) {
            self.before_close(key, time, reason == "unscoped");
        }
        let Some(mut description) = self.fds.remove(fd) else { return };
        // What was adopted as it is now can't have been closed earlier: this is about the number's former life.
        if description.adopted && time < self.adopted_at && description.calls() == 0 {
            return;
        }
        self.tell_close(&mut description, time, reason);
    }

    /// dup, dup2, dup3, fcntl(F_DUPFD…).
    pub(crate) fn copied(&mut self, record: &Record) {
        let (from, to) = (record.a1 as i32, record.result as i32);
        if record.result < 0 || from == to {
            return;
        }
        let Some(key) = self.known(from, record.time) else { return };
        if self.fds.key(to) == Some(key) {
            return;
        }
        if self.fds.key(to).is_some() {
            self.close_number(to, record.time, "replaced");
        }
        self.fds.alias(key, to);
    }

    /// pipe, pipe2, socketpair.
    pub(crate) fn paired(&mut self, record: &Record) {
        let (Some((one, other)), true) = (record.pair(), record.result == 0) else { return };
        for fd in [one, other] {
            let what = if record.number == call::SOCKETPAIR {
                let kind = record.a2 as u32;
                let mut socket =
                    Socket::new(Transport::of(record.a1, kind), false, kind & SOCK_KIND == libc::SOCK_STREAM as u32);
                socket.phase = Phase::Open;
                socket.is_peer = true;
                What::Socket(Box::new(socket))
            } else {
                let link = self.look_at(fd).filter(|link| link.starts_with(b"pipe:"));
                What::Path { path: link.unwrap_or_else(|| b"pipe:".to_vec()).into(), is_regular: false }
            };
            let key = self.put(fd, what, record.time);
            if let (Some(key), call::SOCKETPAIR) = (key, record.number) {
                self.tell_open(key, record.time);
            }
        }
    }

    pub(crate) fn socket_made(&mut self, record: &Record) {
        if record.result < 0 {
            return;
        }
        let kind = record.a2 as u32;
        let mut socket = Socket::new(
            Transport::of(record.a1, kind),
            record.a1 as i32 == libc::AF_INET6,
            kind & SOCK_KIND == libc::SOCK_STREAM as u32,
        );
        socket.is_peer = kind & SOCK_KIND == libc::SOCK_DGRAM as u32;
        socket.moved(record.time);
        self.put(record.result as i32, What::Socket(Box::new(socket)), record.time);
    }

    pub(crate) fn io_uring_made(&mut self, record: &Record) {
        if record.result < 0 {
            return;
        }
        self.io_urings += 1;
        let what = What::Path { path: IO_URING.into(), is_regular: false };
        self.put(record.result as i32, what, record.time);
    }

    pub(crate) fn bound(&mut self, record: &Record, pre: Option<&Record>) {
        let address = pre.and_then(|pre| pre.chunk(abi::CHUNK_ADDR)).and_then(Address::parse);
        if record.result < 0 {
            return self.tell_socket_error(record, "bind", address.as_ref(), None);
        }
        let Some(key) = self.known(record.a1 as i32, record.time) else { return };
        if let Some(socket) = self.fds.at(key).socket() {
            socket.moved(record.time);
            socket.local = address;
        }
    }

    pub(crate) fn listened(&mut self, record: &Record) {
        if record.result < 0 {
            return self.tell_socket_error(record, "listen", None, None);
        }
        let Some(key) = self.known(record.a1 as i32, record.time) else { return };
        let Some(socket) = self.fds.at(key).socket() else { return };
        if socket.phase == Phase::Listening {
            return;
        }
        socket.phase = Phase::Listening;
        socket.told = false;
        // Whoever has not bound it is given a port.
        socket.moved(record.time);
        self.tell_open(key, record.time);
    }
    pub(crate) fn accepted(&mut self, record: &Record) {
        if record.result < 0 {
            return;
        }
        let Some(listener) = self.known(record.a1 as i32, record.time) else { return };
        let (mut transport, mut is_v6, mut local) = (Transport::Other(0), false, None);
        self.settle(listener);
        if let Some(socket) = self.fds.at(listener).socket() {
            (transport, is_v6, local) = (socket.transport, socket.is_v6, socket.local.clone());
        }
        let mut socket = Socket::new(transport, is_v6, true);
        socket.local = local;
        socket.peer = record.chunk(abi::CHUNK_ADDR).and_then(Address::parse);
        socket.role = Some(Role::Server);
        socket.phase = Phase::Open;
        socket.moved(record.time);
        let Some(key) = self.put(record.result as i32, What::Socket(Box::new(socket)), record.time) else { return };
        self.tell_open(key, record.time);
    }

    pub(crate) fn connected(&mut self, record: &Record, pre: Option<&Record>) {
        let bytes = pre.and_then(|pre| pre.chunk(abi::CHUNK_ADDR));
        let address = bytes.and_then(Address::parse);
        let wait = matches!(record.result, errno::EINPROGRESS | errno::EALREADY | errno::EINTR | errno::EAGAIN);
        if record.result < 0 && !wait && record.result != errno::EISCONN {
            self.tell_socket_error(record, "connect", address.as_ref(), Some(Phase::Failed));
            return;
        }
        let Some(key) = self.known(record.a1 as i32, record.time) else { return };
        let Some(socket) = self.fds.at(key).socket() else { return };
        if address.is_none() && bytes.is_some() {
            // AF_UNSPEC: a datagram socket forgets its peer.
            socket.peer = None;
            socket.moved(record.time);
            return;
        }
        if address.is_some() && socket.peer != address {
            socket.peer = address;
            socket.moved(record.time);
        }
        if socket.role.is_none() && socket.transport != Transport::Udp {
            socket.role = Some(Role::Client);
        }
        socket.changed();
        if socket.phase == Phase::Open {
            return;
        }
        socket.phase = if wait { Phase::Connecting } else { Phase::Open };
        if socket.phase == Phase::Open && socket.transport != Transport::Udp {
            self.tell_open(key, record.time);
        }
    }

    pub(crate) fn shut_down(&mut self, record: &Record) {
        if record.result < 0 || record.a2 as i32 == libc::SHUT_RD {
            return;
        }
        if let Some(key) = self.known(record.a1 as i32, record.time) {
            self.end_of_stream(key, Direction::Write);
        }
    }

    /// net.error. `phase`: what becomes of the socket.
    fn tell_socket_error(&mut self, record: &Record, operation: &str, address: Option<&Address>, phase: Option<Phase>) {
        let Some(key) = self.known(record.a1 as i32, record.time) else { return };
        let Some(socket) = self.fds.at(key).socket() else { return };
        match (operation, address) {
            ("connect", Some(address)) => socket.peer = Some(address.clone()),
            ("bind", Some(address)) => socket.local = Some(address.clone()),
            _ => {}
        }
        socket.changed();
        if let Some(phase) = phase {
            socket.phase = phase;
        }
        self.tell_net_error(key, record.time, operation, errno::name(record.result));
        if operation == "bind"
            && let Some(socket) = self.fds.at(key).socket()
        {
            socket.local = None;
            socket.changed();
        }
    }
}
