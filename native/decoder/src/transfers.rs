//! Calls that move bytes: counted on their descriptors, and what they carried given to the protocols.
use crate::call;
use crate::descriptors::{Key, What};
use crate::errno;
use crate::name_lookups;
use crate::protocols::http1::{Http1Connection, State};
use crate::protocols::{Direction, MOST_BYTES, Piece};
use crate::record::Record;
use crate::session::Session;
use crate::socket::{Phase, Transport};
use crate::stats::{Lost, Moved, Tally};
use scope_abi as abi;

const MSG_PEEK: u64 = 2;
const MSG_ERRQUEUE: u64 = 0x2000;

/// What it returned is no part of what the socket received: a look ahead, or the datagram that an error is about.
fn is_aside(record: &Record) -> bool {
    let flags = match record.number {
        call::RECVFROM | call::RECVMMSG => u64::from(record.a4),
        call::RECVMSG => record.a3,
        _ => 0,
    };
    flags & (MSG_PEEK | MSG_ERRQUEUE) != 0
}

impl Session {
    /// read, recv and their kin.
    pub(crate) fn received(&mut self, record: &Record, pre: Option<&Record>) {
        if is_aside(record) {
            return;
        }
        let bytes = moved(record);
        let io = &mut self.io;
        let family = if is_recv(record.number) { &mut io.recv } else { &mut io.read };
        family.add(bytes);
        let Some(key) = self.used(record) else {
            return self.passed_by(record, Direction::Read, bytes);
        };
        let took = self.took(record, pre);
        self.count(key, Direction::Read, bytes, took);
        self.carried(key, Direction::Read, record, record, bytes);
        let asked_for_some = !matches!(record.number, call::READ | call::RECVFROM) || record.a3 > 0;
        if bytes == 0 && asked_for_some {
            self.end_of_stream(key, Direction::Read);
        }
    }

    /// write, send and their kin; `pre` holds the data.
    pub(crate) fn sent(&mut self, record: &Record, pre: Option<&Record>) {
        let bytes = moved(record);
        let io = &mut self.io;
        let family = if is_send(record.number) { &mut io.send } else { &mut io.write };
        family.add(bytes);
        let Some(key) = self.used(record) else {
            return self.passed_by(record, Direction::Write, bytes);
        };
        let took = self.took(record, pre);
        self.count(key, Direction::Write, bytes, took);
        self.carried(key, Direction::Write, record, pre.unwrap_or(record), bytes);
    }

    /// How long a call took, in nanoseconds; `None` where that was not asked for, or no hook fits before the call.
    pub(crate) fn took(&self, record: &Record, pre: Option<&Record>) -> Option<u64> {
        let began = pre.filter(|pre| self.capture.timing && pre.time > 0)?.time;
        Some(self.clock.ns_of(record.time.saturating_sub(began)))
    }

    /// What calls without records have moved by a descriptor's number.
    pub(crate) fn tallied(&mut self, fd: i32, tally: Tally, time: u64) {
        if tally.is_nothing() {
            return;
        }
        self.io.read.add_all(tally.read);
        self.io.write.add_all(tally.write);
        let Some(key) = self.known(fd, time) else {
            self.moved_unfollowed(Direction::Read, tally.read);
            return self.moved_unfollowed(Direction::Write, tally.write);
        };
        self.count_all(key, tally);
    }

    /// Takes a number's tally: nobody else has it then, so that it is noted at once.
    fn take_tally(&mut self, fd: i32, time: u64) {
        let Some(tally) = self.merge.file().take_tally(fd).filter(|tally| !tally.is_nothing()) else { return };
        self.tallied(fd, tally, time);
        self.step_cursor();
    }

    /// What was moved without records by all that is open, up to now. Only where every record was read: a number whose
    /// changing hands is still unread would have its next owner's counts put on the last one.
    pub(crate) fn take_tallies(&mut self, time: u64) {
        for fd in self.fds.numbers(0, abi::TALLIES as u32 - 1) {
            self.take_tally(fd, time);
        }
    }

    /// The same of every number, also of those that nothing is known of.
    pub(crate) fn take_all_tallies(&mut self, time: u64) {
        for fd in 0..abi::TALLIES as i32 {
            self.take_tally(fd, time);
        }
    }

    /// sendfile, splice, copy_file_range: from one descriptor to another, unseen.
    pub(crate) fn transferred(&mut self, record: &Record, pre: Option<&Record>) {
        let (from, to) = match record.number {
            call::SENDFILE => (record.a2 as i32, record.a1 as i32),
            _ => (record.a1 as i32, record.a3 as i32),
        };
        let bytes = moved(record);
        let io = &mut self.io;
        if record.number == call::SPLICE {
            io.splice.add(bytes)
        } else {
            io.transfer.add(bytes)
        }
        if record.result < 0 {
            // Whose error it is isn't told; what goes away is mostly who should get it.
            return self.failed(to, record);
        }
        // Counted once: as time that went into writing.
        let took = self.took(record, pre);
        if let Some(key) = self.known(from, record.time) {
            self.count(key, Direction::Read, bytes, None);
            self.moved_unseen(key, Direction::Read, record.time, bytes);
        }
        if let Some(key) = self.known(to, record.time) {
            self.count(key, Direction::Write, bytes, took);
            self.moved_unseen(key, Direction::Write, record.time, bytes);
        }
    }

    /// Moved by a descriptor for which there is no room.
    fn passed_by(&mut self, record: &Record, direction: Direction, bytes: u64) {
        if record.result >= 0 && record.a1.cast_signed() >= 0 {
            self.moved_unfollowed(direction, Moved { calls: 1, bytes });
        }
    }

    fn moved_unfollowed(&mut self, direction: Direction, tally: Moved) {
        self.count_lost(&match direction {
            Direction::Read => {
                Lost { untold_read_calls: tally.calls, untold_read_bytes: tally.bytes, ..Lost::default() }
            }
            Direction::Write => {
                Lost { untold_write_calls: tally.calls, untold_write_bytes: tally.bytes, ..Lost::default() }
            }
        });
    }

    /// The description of a transfer that worked. One that failed may say how a connect ended.
    fn used(&mut self, record: &Record) -> Option<Key> {
        let fd = record.a1 as i32;
        if record.result >= 0 {
            return self.known(fd, record.time);
        }
        self.failed(fd, record);
        None
    }

    /// A transfer by `fd` failed.
    fn failed(&mut self, fd: i32, record: &Record) {
        let Some(key) = self.fds.key(fd) else { return };
        if matches!(record.result, errno::EAGAIN | errno::EINTR) {
            return;
        }
        let description = self.fds.at(key);
        if let Some(socket) = description.socket()
            && socket.phase == Phase::Connecting
        {
            socket.phase = Phase::Failed;
            self.tell_net_error(key, record.time, "connect", errno::name(record.result));
        } else {
            description.error = errno::ending(record.result).or(description.error);
        }
    }

    fn moved_unseen(&mut self, key: Key, direction: Direction, time: u64, bytes: u64) {
        if bytes > 0 && self.is_stream_to_parse(key) {
            let piece = Piece { direction, data: &[], total: bytes, time_ns: self.clock.wall_of(time) };
            self.feed_http(key, &piece, piece.time_ns);
        }
    }

    /// Whether a socket's bytes go to the HTTP decoder. Its first bytes also say that a connect has worked.
    fn is_stream_to_parse(&mut self, key: Key) -> bool {
        let Some(socket) = self.fds.at(key).socket() else { return false };
        let parse = socket.is_stream && !socket.http_off;
        parse && self.capture.http.is_some()
    }

    /// `data`: the record with the data, if any was copied.
    #[inline]
    fn carried(&mut self, key: Key, direction: Direction, record: &Record, data: &Record, bytes: u64) {
        if self.capture.console && direction == Direction::Write && bytes > 0 && self.is_console(key, record) {
            let piece = data.chunk(abi::CHUNK_DATA).unwrap_or_default();
            self.console(key, record.a1 as i32, &piece[..piece.len().min(bytes as usize)], bytes, record.time);
        }
        let description = self.fds.at(key);
        let Some(socket) = description.socket() else { return };
        if bytes > 0 && !socket.told {
            if socket.phase != Phase::Listening {
                socket.phase = Phase::Open;
            }
            self.tell_open(key, record.time);
        }
        if self.capture.dns {
            self.dns_messages(key, direction, record, data, bytes);
        }
        if bytes == 0 {
            return;
        }
        if !self.is_stream_to_parse(key) {
            return self.watch(key, record.a1 as i32, data.chunk(abi::CHUNK_DATA).is_some());
        }
        let time_ns = self.clock.wall_of(record.time);
        let began_ns = self.clock.wall_of(data.time);
        if matches!(record.number, call::SENDMMSG | call::RECVMMSG) {
            let mut left = bytes;
            for chunk in data.chunks().filter(|chunk| chunk.kind == abi::CHUNK_DATA) {
                let total = record.message_length(usize::from(chunk.index)).unwrap_or_default().min(left);
                let data = &chunk.bytes[..chunk.bytes.len().min(total as usize)];
                left -= total;
                self.feed_http(key, &Piece { direction, data, total, time_ns }, began_ns);
            }
            if left > 0 {
                self.feed_http(key, &Piece { direction, data: &[], total: left, time_ns }, began_ns);
            }
            return;
        }
        let copied = data.chunk(abi::CHUNK_DATA).unwrap_or_default();
        if copied.is_empty() {
            self.watch(key, record.a1 as i32, false);
        }
        let piece = Piece { direction, data: &copied[..copied.len().min(bytes as usize)], total: bytes, time_ns };
        self.feed_http(key, &piece, began_ns);
    }

    /// Marks a number whose bytes nobody looks at, so that hooks copy none of them; and takes a mark off that stands where
    /// somebody does. A close is told before it is made: a number of which no close waits once the mark stands is still the
    /// same connection's, and whatever hook gives it away later overwrites the mark. It can be wrong only where a number
    /// changes hands unseen, and is taken off by the first call that comes without bytes.
    #[inline(never)]
    fn watch(&mut self, key: Key, fd: i32, is_copied: bool) {
        const STANDARD_ERROR: i32 = 2;
        let is_marked = !self.merge.file().is_copied(fd);
        if is_copied {
            // What is marked already has waited in the ring.
            let may_be_marked = !is_marked && fd > STANDARD_ERROR && !self.is_looked_at(key);
            if may_be_marked && self.is_untouched(fd) && self.merge.file().spare(fd) && !self.is_untouched(fd) {
                self.merge.file().look_again(fd);
            }
        } else if is_marked && self.is_looked_at(key) {
            self.merge.file().look_again(fd);
        }
    }

    /// Whether anything is made of the bytes that go through it.
    fn is_looked_at(&mut self, key: Key) -> bool {
        if self.is_stream_to_parse(key) {
            return true;
        }
        let may_be_dns = self.capture.dns;
        self.fds
            .at(key)
            .socket()
            .is_none_or(|socket| !socket.is_stream || (may_be_dns && name_lookups::may_use(socket)))
    }

    fn feed_http(&mut self, key: Key, piece: &Piece, began_ns: u64) {
        let Some(options) = &self.capture.http else { return };
        let description = self.fds.at(key);
        let seen_from_start = !description.adopted && self.lost_generation == 0;
        let Some(socket) = description.socket() else { return };
        let role = socket.role;
        let http = socket.http.get_or_insert_with(|| {
            let connection = Http1Connection::new(role, options);
            Box::new(if seen_from_start { connection.seen_from_start() } else { connection })
        });
        http.feed_call(piece, began_ns, &mut self.exchanges);
        if http.state() == State::NotHttp {
            self.unparsed += http.unparsed_bytes();
            socket.http = None;
            socket.http_off = true;
        }
        if !self.exchanges.is_empty() {
            self.tell_exchanges(key);
        }
    }

    /// The end of one direction of a stream.
    pub(crate) fn end_of_stream(&mut self, key: Key, direction: Direction) {
        let Some(socket) = self.fds.at(key).socket() else { return };
        if direction == Direction::Read && socket.is_stream {
            socket.is_ended_by_peer = true;
        }
        if let Some(http) = &mut socket.http {
            http.end_of(direction, &mut self.exchanges);
            if !self.exchanges.is_empty() {
                self.tell_exchanges(key);
            }
        }
    }

    /// Descriptors 1 and 2, whatever they are but for a network's sockets: the journal and many a parent give a unix
    /// stream.
    fn is_console(&mut self, key: Key, record: &Record) -> bool {
        matches!(record.a1, 1 | 2)
            && match &self.fds.at(key).what {
                What::Path { .. } => true,
                What::Socket(socket) => socket.is_stream && socket.transport == Transport::Unix,
            }
    }

    fn console(&mut self, key: Key, fd: i32, data: &[u8], bytes: u64, time: u64) {
        let wall = self.clock.wall_of(time);
        let consoles = self.fds.at(key).consoles.get_or_insert_default();
        let console = &mut consoles[usize::from(fd == 2)];
        console.feed(data, wall, &mut self.console_lines);
        if (data.len() as u64) < bytes {
            console.gap(&mut self.console_lines);
        }
        self.tell_console(fd);
    }
}

fn is_recv(number: u16) -> bool {
    matches!(number, call::RECVFROM | call::RECVMSG | call::RECVMMSG)
}

fn is_send(number: u16) -> bool {
    matches!(number, call::SENDTO | call::SENDMSG | call::SENDMMSG)
}

/// Bytes that a call says it moved: at most what any can move. recvmmsg and sendmmsg return messages, whose lengths stand
/// in the POST record.
fn moved(record: &Record) -> u64 {
    if record.result <= 0 {
        return 0;
    }
    if !matches!(record.number, call::RECVMMSG | call::SENDMMSG) {
        return (record.result as u64).min(MOST_BYTES);
    }
    let sum: u64 = (0..record.result.min(1024) as usize).map_while(|index| record.message_length(index)).sum();
    sum.min(MOST_BYTES)
}

impl Moved {
    /// Whether anything was counted.
    pub fn is_nothing(&self) -> bool {
        self.calls == 0
    }
}
