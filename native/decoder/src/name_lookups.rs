//! DNS traffic: what is sent to and received from port 53, over datagrams and streams.
use crate::address::Address;
use crate::call;
use crate::descriptors::{Description, Key};
use crate::event_writer::Event;
use crate::protocols::Direction;
use crate::protocols::dns::{DnsQuery, DnsStream};
use crate::record::Record;
use crate::session::Session;
use crate::socket::{Socket, Transport};
use scope_abi as abi;

const PORT: u16 = 53;

/// A stream's two directions.
#[derive(Default)]
pub struct DnsStreams {
    read: DnsStream,
    write: DnsStream,
}

fn is_dns(address: Option<&Address>) -> bool {
    address.and_then(Address::port) == Some(PORT)
}

/// Whether messages to or from a name server may go through a stream.
pub fn may_use(socket: &Socket) -> bool {
    let is_known = socket.is_settled();
    socket.transport == Transport::Tcp && (!is_known || is_dns(socket.peer.as_ref()) || is_dns(socket.local.as_ref()))
}

impl Session {
    /// `record` tells lengths of messages, `data` holds the bytes; `bytes` were moved in all.
    pub(crate) fn dns_messages(&mut self, key: Key, direction: Direction, record: &Record, data: &Record, bytes: u64) {
        let time_ns = self.clock.wall_of(record.time);
        let Self { fds, dns, queries, .. } = self;
        let description = fds.at(key);
        let flow = description.serial;
        let Some(socket) = description.socket() else { return };
        let is_ours = is_dns(socket.peer.as_ref()) || is_dns(socket.local.as_ref());
        match socket.transport {
            Transport::Tcp if is_ours => {
                let copied = data.chunk(abi::CHUNK_DATA).unwrap_or_default();
                let piece = &copied[..copied.len().min(bytes as usize)];
                let streams = socket.dns.get_or_insert_default();
                let stream = if direction == Direction::Read { &mut streams.read } else { &mut streams.write };
                stream.feed(piece, bytes, |message| dns.message(direction, message, time_ns, flow, queries));
            }
            Transport::Udp => {
                let many = matches!(record.number, call::SENDMMSG | call::RECVMMSG);
                for chunk in data.chunks().filter(|chunk| chunk.kind == abi::CHUNK_DATA) {
                    let length = if many { record.message_length(usize::from(chunk.index)) } else { Some(bytes) };
                    let peer = data.chunk_at(abi::CHUNK_ADDR, chunk.index).and_then(Address::parse);
                    if let Some(length) = length
                        && (is_ours || is_dns(peer.as_ref()))
                    {
                        let message = &chunk.bytes[..chunk.bytes.len().min(length as usize)];
                        dns.message(direction, message, time_ns, flow, queries);
                    }
                }
            }
            _ => return,
        }
        if !self.queries.is_empty() {
            self.tell_queries();
        }
    }

    fn tell_queries(&mut self) {
        for query in self.queries.drain(..) {
            let DnsQuery { role, name, kind, class, rcode, answers, start_ns, duration_ns } = query;
            let mut line = self.writer.event(Event::DnsQuery, start_ns);
            line.text("dns.question.name", name.as_bytes())
                .text("scope.dns.question.type", kind.as_bytes())
                .text("scope.dns.role", role.as_str().as_bytes());
            if class != "IN" {
                line.text("scope.dns.question.class", class.as_bytes());
            }
            if !answers.is_empty() {
                line.texts("dns.answers", answers.iter().map(String::as_bytes));
            }
            match rcode.as_deref() {
                Some("NOERROR") => {}
                Some(code) => drop(line.text("error.type", code.as_bytes())),
                None => drop(line.text("error.type", b"timeout")),
            }
            if let Some(code) = &rcode {
                line.text("scope.dns.response.code", code.as_bytes());
            }
            if let Some(duration) = duration_ns {
                line.seconds("scope.dns.duration", duration);
            }
        }
    }

    /// Tells the questions that nobody answers any more.
    pub(crate) fn expire_queries(&mut self, now: u64) {
        self.dns.expire(self.clock.wall_of(now), &mut self.queries);
        self.tell_queries();
    }

    /// The same, of a socket that was closed.
    pub(crate) fn end_lookups(&mut self, description: &mut Description) {
        let flow = description.serial;
        if description.socket().is_some_and(|socket| matches!(socket.transport, Transport::Udp | Transport::Tcp)) {
            self.dns.close(flow, &mut self.queries);
            self.tell_queries();
        }
    }
}
