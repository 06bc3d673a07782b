//! Name lookups: questions and their answers, over datagrams and over streams (RFC 1035).
//!
//! Messages may be cut (not captured to their end): what can be read counts. Memory is bounded by
//! [`MAX_WAITING`] questions; the oldest gives way.
use std::collections::VecDeque;
use std::fmt::Write;

use domain::base::iana::Opcode;
use domain::base::{Message, ParsedName, Rtype, UnknownRecordData};
use domain::rdata::AllRecordData;

use super::{Direction, Role};

/// A question without an answer is told after this.
pub const TIMEOUT_NS: u64 = 5_000_000_000;
pub const MAX_WAITING: usize = 1024;
pub const MAX_ANSWERS: usize = 16;
/// An answer's text is cut after this many bytes (a TXT record may hold 64 KiB).
const MAX_ANSWER_BYTES: usize = 512;

/// One question and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// Client: the program asked. Server: it was asked.
    pub role: Role,
    /// Without the final dot; the root is `.`. Bytes that are no host name's are escaped as in a zone file.
    pub name: String,
    /// `A`, `AAAA`, … or `TYPE1234`.
    pub kind: String,
    /// `IN`, … or `CLASS1234`.
    pub class: String,
    /// `NOERROR`, `NXDOMAIN`, …; `None`: no answer was seen.
    pub rcode: Option<String>,
    /// Data of the answer section's records as a zone file has them, at most [`MAX_ANSWERS`].
    pub answers: Vec<String>,
    /// When the question was moved, nanoseconds since 1970.
    pub start_ns: u64,
    /// From the question to its answer.
    pub duration_ns: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    flow: u64,
    id: u16,
    /// Lower case: answers may change a name's case.
    folded_name: String,
    query: DnsQuery,
}

/// Pairs answers with questions by flow, id, and question.
#[derive(Debug, Default)]
pub struct DnsTracker {
    /// By time of the question.
    waiting: VecDeque<Waiting>,
}

impl DnsTracker {
    /// Takes one message without its length prefix. `flow` tells apart what can't answer each other: a socket, or a
    /// socket and its peer. What is no DNS message is left out. An answer without a question that was seen is too.
    pub fn message(&mut self, direction: Direction, bytes: &[u8], time_ns: u64, flow: u64, out: &mut Vec<DnsQuery>) {
        let Ok(message) = Message::from_slice(bytes) else { return };
        let header = message.header();
        if header.opcode() != Opcode::QUERY {
            return;
        }
        let Some(Ok(question)) = message.question().next() else { return };
        let role = match (direction, header.qr()) {
            (Direction::Write, false) | (Direction::Read, true) => Role::Client,
            (Direction::Read, false) | (Direction::Write, true) => Role::Server,
        };
        let name = name_text(question.qname());
        let kind = kind_text(question.qtype());
        let class = question.qclass().to_string();
        let folded_name = name.to_ascii_lowercase();
        let same = |waiting: &Waiting| {
            waiting.flow == flow
                && waiting.id == header.id()
                && waiting.query.role == role
                && waiting.folded_name == folded_name
                && waiting.query.kind == kind
                && waiting.query.class == class
        };
        if header.qr() {
            let Some(mut query) =
                self.waiting.iter().position(same).and_then(|at| self.waiting.remove(at)).map(|waiting| waiting.query)
            else {
                return;
            };
            query.rcode = Some(message.opt_rcode().to_string());
            query.answers = answers(message);
            query.duration_ns = Some(time_ns.saturating_sub(query.start_ns));
            out.push(query);
        } else if !self.waiting.iter().any(same) {
            if self.waiting.len() >= MAX_WAITING
                && let Some(oldest) = self.waiting.pop_front()
            {
                out.push(oldest.query);
            }
            let query = DnsQuery {
                role,
                name,
                kind,
                class,
                rcode: None,
                answers: Vec::new(),
                start_ns: time_ns,
                duration_ns: None,
            };
            self.waiting.push_back(Waiting { flow, id: header.id(), folded_name, query });
        }
    }

    /// Tells the questions that have waited for longer than [`TIMEOUT_NS`].
    pub fn expire(&mut self, now_ns: u64, out: &mut Vec<DnsQuery>) {
        while let Some(first) = self.waiting.front()
            && now_ns.saturating_sub(first.query.start_ns) >= TIMEOUT_NS
        {
            out.extend(self.waiting.pop_front().map(|waiting| waiting.query));
        }
    }

    /// Tells the questions of a flow that ended.
    pub fn close(&mut self, flow: u64, out: &mut Vec<DnsQuery>) {
        self.waiting.retain_mut(|waiting| {
            let ended = waiting.flow == flow;
            if ended {
                out.push(waiting.query.clone());
            }
            !ended
        });
    }
}

/// Messages of one direction of a stream: each has its length, 2 bytes, before it (RFC 1035, section 4.2.2).
/// After bytes that were not captured it gives nothing more: there is no telling where messages begin.
#[derive(Debug, Default)]
pub struct DnsStream {
    held: Vec<u8>,
    lost: bool,
}

impl DnsStream {
    /// Calls `message` with each whole message. `total`: bytes that were moved, at least as many as are given.
    pub fn feed(&mut self, bytes: &[u8], total: u64, mut message: impl FnMut(&[u8])) {
        if self.lost {
            return;
        }
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.held);
            joined.as_slice()
        };
        while let Some((length, after)) = rest.split_first_chunk::<2>()
            && let Some((whole, next)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        {
            message(whole);
            rest = next;
        }
        if total > bytes.len() as u64 {
            self.lost = true;
            // Its beginning may say enough.
            if let Some((_, cut)) = rest.split_first_chunk::<2>() {
                message(cut);
            }
        } else {
            self.held = rest.to_vec();
        }
    }
}

fn answers(message: &Message<[u8]>) -> Vec<String> {
    let Ok(section) = message.answer() else { return Vec::new() };
    let mut texts = Vec::new();
    for record in section {
        let Ok(record) = record else { break };
        if texts.len() == MAX_ANSWERS {
            break;
        }
        // Data that can't be read by its type is told as RFC 3597 has it for unknown types.
        let text = match record.to_any_record::<AllRecordData<_, ParsedName<_>>>() {
            Ok(known) => data_text(known.data()),
            Err(_) => match record.to_record::<UnknownRecordData<_>>() {
                Ok(Some(raw)) => raw.data().to_string(),
                _ => continue,
            },
        };
        texts.push(cut(text));
    }
    texts
}

fn data_text<O: AsRef<[u8]> + domain::dep::octseq::Octets>(data: &AllRecordData<O, ParsedName<O>>) -> String {
    match data {
        AllRecordData::Cname(name) => name_text(name.cname()),
        AllRecordData::Ptr(name) => name_text(name.ptrdname()),
        AllRecordData::Ns(name) => name_text(name.nsdname()),
        other => {
            let mut text = String::new();
            // A Display that fails leaves what it wrote; it must not take the event with it.
            let _ = write!(text, "{other}");
            text
        }
    }
}

fn name_text(name: &impl std::fmt::Display) -> String {
    let mut text = name.to_string();
    if text.is_empty() {
        text.push('.');
    } else if text.len() > 1 && text.ends_with('.') && !text.ends_with("\\.") {
        text.pop();
    }
    text
}

fn kind_text(kind: Rtype) -> String {
    kind.to_string()
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_ANSWER_BYTES {
        let end = text.floor_char_boundary(MAX_ANSWER_BYTES);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests;
