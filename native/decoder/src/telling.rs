//! The events about descriptors: opened, moved, closed.
use crate::clock::Clock;
use crate::descriptors::{Description, Key, What};
use crate::event_writer::{Attributes, Event};
use crate::session::Session;
use crate::socket::{Phase, Socket, Transport};

fn put_counts(attributes: &mut Attributes, description: &Description) {
    attributes
        .number("scope.read.bytes", description.read.bytes)
        .number("scope.read.calls", description.read.calls)
        .number("scope.write.bytes", description.write.bytes)
        .number("scope.write.calls", description.write.calls);
    if description.read_time.longest > 0 {
        attributes
            .seconds("scope.read.duration", description.read_time.sum)
            .seconds("scope.read.duration_max", description.read_time.longest);
    }
    if description.write_time.longest > 0 {
        attributes
            .seconds("scope.write.duration", description.write_time.sum)
            .seconds("scope.write.duration_max", description.write_time.longest);
    }
}

fn put_life(attributes: &mut Attributes, description: &Description, clock: &Clock, time: u64) {
    attributes.seconds("scope.duration", clock.ns_of(time.saturating_sub(description.opened)));
    if description.adopted {
        attributes.truth("scope.adopted", true);
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
        let fd = description.fd;
        if let Some(socket) = description.socket() {
            if !self.capture.net || !(was_used(socket) || description.calls() > 0) {
                return;
            }
            let reason = match description.socket().and_then(|socket| socket.close_reason) {
                Some(earlier) if reason == "close" => earlier,
                _ => reason,
            };
            let mut line = self.writer.event(Event::NetClose, wall);
            if let Some(socket) = description.socket() {
                line.fragment(socket.fragment(fd));
            }
            put_counts(&mut line, description);
            put_life(&mut line, description, &self.clock, time);
            line.text("scope.close.reason", reason.as_bytes());
        } else if let What::Path { path, .. } = &description.what {
            if !self.capture.path(path) {
                return;
            }
            let mut line = self.writer.event(Event::FsClose, wall);
            line.text("file.path", path).signed("scope.fd", i64::from(fd));
            put_counts(&mut line, description);
            put_life(&mut line, description, &self.clock, time);
            line.text("scope.close.reason", reason.as_bytes());
        }
    }

    /// fs.progress and net.progress of everything that moved since it was last told of. Counts are totals.
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
                    let mut line = writer.event(Event::NetProgress, wall);
                    line.fragment(socket.fragment(fd));
                    put_counts(&mut line, description);
                    put_life(&mut line, description, clock, time);
                }
                What::Path { path, .. } => {
                    if !capture.path(path) {
                        continue;
                    }
                    let mut line = writer.event(Event::FsProgress, wall);
                    line.text("file.path", path).signed("scope.fd", i64::from(fd));
                    put_counts(&mut line, description);
                    put_life(&mut line, description, clock, time);
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
