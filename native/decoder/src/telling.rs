//! The events about descriptors: opened, moved, closed.
use crate::clock::Clock;
use crate::descriptors::{Description, Key, What};
use crate::event_writer::{Attributes, Event};
use crate::session::Session;
use crate::socket::{Phase, Socket, Transport};

/// The names of what a descriptor's events count.
struct Names {
    read_bytes: &'static str,
    read_calls: &'static str,
    write_bytes: &'static str,
    write_calls: &'static str,
    read_duration: &'static str,
    read_longest: &'static str,
    write_duration: &'static str,
    write_longest: &'static str,
    duration: &'static str,
}

const FS: Names = Names {
    read_bytes: "scope.fs.read.bytes",
    read_calls: "scope.fs.read.calls",
    write_bytes: "scope.fs.write.bytes",
    write_calls: "scope.fs.write.calls",
    read_duration: "scope.fs.read.duration",
    read_longest: "scope.fs.read.duration_max",
    write_duration: "scope.fs.write.duration",
    write_longest: "scope.fs.write.duration_max",
    duration: "scope.fs.duration",
};

const NET: Names = Names {
    read_bytes: "scope.net.receive.bytes",
    read_calls: "scope.net.receive.calls",
    write_bytes: "scope.net.transmit.bytes",
    write_calls: "scope.net.transmit.calls",
    read_duration: "scope.net.receive.duration",
    read_longest: "scope.net.receive.duration_max",
    write_duration: "scope.net.transmit.duration",
    write_longest: "scope.net.transmit.duration_max",
    duration: "scope.net.duration",
};

/// What moved since the open or the attach, and how long ago that is.
#[inline]
fn put_life(attributes: &mut Attributes, names: &Names, description: &Description, clock: &Clock, time: u64) {
    attributes
        .number(names.read_bytes, description.read.bytes)
        .number(names.read_calls, description.read.calls)
        .number(names.write_bytes, description.write.bytes)
        .number(names.write_calls, description.write.calls);
    if description.read_time.longest > 0 {
        attributes
            .seconds(names.read_duration, description.read_time.sum)
            .seconds(names.read_longest, description.read_time.longest);
    }
    if description.write_time.longest > 0 {
        attributes
            .seconds(names.write_duration, description.write_time.sum)
            .seconds(names.write_longest, description.write_time.longest);
    }
    attributes.seconds(names.duration, clock.ns_of(time.saturating_sub(description.opened)));
    if description.adopted {
        attributes.truth("scope.adopted", true);
    }
}

fn put_error(attributes: &mut Attributes, description: &Description) {
    if let Some(error) = description.error {
        attributes.text("error.type", error.as_bytes());
    }
}

/// Whether it came to anything that is worth a net.close.
fn was_used(socket: &Socket) -> bool {
    socket.told || matches!(socket.phase, Phase::Open | Phase::Listening)
}

impl Session {
    /// net.open or net.listen, once. Not at once, where its addresses are not known and may be soon.
    pub(crate) fn tell_open(&mut self, key: Key, time: u64) {
        if !self.capture.net {
            return;
        }
        if self.fds.at(key).socket().is_none_or(|socket| socket.told) {
            return;
        }
        self.settle(key);
        let Some(socket) = self.fds.at(key).socket() else { return };
        socket.told = true;
        socket.opens_at = Some(time);
        if !socket.settling.waits {
            self.tell_due_open(key);
        }
    }

    /// What `tell_open` has put off.
    pub(crate) fn tell_due_open(&mut self, key: Key) {
        let description = self.fds.at(key);
        let (fd, adopted) = (description.fd, description.adopted);
        let Some(socket) = description.socket() else { return };
        let Some(time) = socket.opens_at.take() else { return };
        if matches!(socket.transport, Transport::Other(_)) {
            return;
        }
        let event = if socket.phase == Phase::Listening { Event::NetListen } else { Event::NetOpen };
        let mut line = self.writer.event(event, self.clock.wall_of(time));
        line.fragment(socket.fragment(fd));
        if adopted {
            line.truth("scope.adopted", true);
        }
    }

    pub(crate) fn tell_net_error(&mut self, key: Key, time: u64, operation: &str, error: &str) {
        if !self.capture.net {
            return;
        }
        let wall = self.clock.wall_of(time);
        let description = self.fds.at(key);
        let fd = description.fd;
        let Some(socket) = description.socket() else { return };
        let mut line = self.writer.event(Event::NetError, wall);
        line.fragment(socket.fragment(fd))
            .text("scope.net.operation", operation.as_bytes())
            .text("error.type", error.as_bytes());
    }

    /// What must be told before the description leaves the table. `is_open`: it goes on, and only we leave.
    pub(crate) fn before_close(&mut self, key: Key, time: u64, is_open: bool) {
        if is_open && self.capture.net && self.fds.at(key).socket().is_some_and(|socket| was_used(socket)) {
            self.settle(key);
        }
        self.tell_due_open(key);
        let Some(socket) = self.fds.at(key).socket() else { return };
        if socket.phase == Phase::Connecting {
            socket.phase = Phase::Failed;
            // Its end was asked for by getsockopt(SO_ERROR), or not waited for.
            self.tell_net_error(key, time, "connect", "_OTHER");
        }
    }

    /// fs.close or net.close, and what the protocols still hold. The description is no longer in the table.
    pub(crate) fn tell_close(&mut self, description: &mut Description, time: u64, reason: &'static str) {
        self.end_protocols(description, time, reason == "close" || reason == "replaced");
        self.settle_counts(description);
        let wall = self.clock.wall_of(time);
        let (fd, calls) = (description.fd, description.calls());
        if let Some(socket) = description.socket() {
            if !self.capture.net || !(was_used(socket) || calls > 0) {
                return;
            }
            let is_ended_by_peer = socket.is_ended_by_peer;
            let mut line = self.writer.event(Event::NetClose, wall);
            line.fragment(socket.fragment(fd));
            put_life(&mut line, &NET, description, &self.clock, time);
            let reason = match reason {
                "close" if description.error.is_some() => "error",
                "close" if is_ended_by_peer => "peer",
                _ => reason,
            };
            line.text("scope.net.close.reason", reason.as_bytes());
            put_error(&mut line, description);
        } else if let What::Path { path, .. } = &description.what {
            if !self.capture.path(path) {
                return;
            }
            let mut line = self.writer.event(Event::FsClose, wall);
            line.text("file.path", path).signed("scope.fd", i64::from(fd));
            put_life(&mut line, &FS, description, &self.clock, time);
            line.text("scope.fs.close.reason", reason.as_bytes());
            put_error(&mut line, description);
        }
    }

    /// fs.io and net.io of everything that moved since it was last told of. Counts are totals.
    pub(crate) fn tell_progress(&mut self, time: u64) {
        let wall = self.clock.wall_of(time);
        let Self { fds, writer, capture, clock, .. } = self;
        for description in fds.all() {
            let calls = description.calls();
            if calls == description.told_calls {
                continue;
            }
            description.told_calls = calls;
            let fd = description.fd;
            match &mut description.what {
                What::Socket(socket) => {
                    if !capture.net {
                        continue;
                    }
                    let mut line = writer.event(Event::NetIo, wall);
                    line.fragment(socket.fragment(fd));
                    put_life(&mut line, &NET, description, clock, time);
                }
                What::Path { path, .. } => {
                    if !capture.path(path) {
                        continue;
                    }
                    let mut line = writer.event(Event::FsIo, wall);
                    line.text("file.path", path).signed("scope.fd", i64::from(fd));
                    put_life(&mut line, &FS, description, clock, time);
                }
            }
        }
    }

    /// Everything that is still open ends with the session.
    pub(crate) fn tell_all_closed(&mut self, time: u64, reason: &'static str) {
        for fd in self.fds.numbers(0, u32::MAX) {
            self.close_number(fd, time, reason);
        }
    }
}
