//! One connection: which bytes are heads, which are bodies, and which answer belongs to which request.
mod loss;
mod messages;

use std::sync::Arc;

use super::MAX_UNDECIDED_PIECES;
use super::body::Body;
use super::early::EarlyAnswers;
use super::exchange::{HttpError, HttpExchange, HttpOptions};
use super::head::{self, Probe};
use super::pending::Queue;
use super::start::{Held, Start, find_start, proxy_header};
use crate::protocols::{Direction, Piece, Role};

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No proven start yet.
    Undecided,
    Http,
    /// Another protocol: nothing is looked at any more.
    NotHttp,
}

/// The two directions by what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Requests,
    Responses,
}

/// ```text
///          proven start            head whole                body over
///   Seek ──────────────► Head ───────────────► Body ──────────────────► Head …
///    ▲                    │ │                    │
///    └────── lost ────────┴─│────────────────────┘
///                           └─ CONNECT, 101 ───► Tunnel
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between calls that can't be framed. A start counts when `allowed`: for responses, once a new request was seen;
    /// for requests, once the last one was answered.
    Seek {
        allowed: bool,
    },
    Head,
    Body(Body),
    /// Bytes of another protocol, counted.
    Tunnel {
        bytes: u64,
    },
}

#[derive(Debug)]
struct Half {
    place: Place,
    /// The beginning of a head whose end has not come.
    held: Held,
}

impl Half {
    fn new() -> Self {
        Self { place: Place::Seek { allowed: true }, held: Held::default() }
    }
}

/// Feed it every piece of the connection in order; it appends what it makes of them to `out`.
#[derive(Debug)]
pub struct Http1Connection {
    role: Option<Role>,
    options: Arc<HttpOptions>,
    state: State,
    /// Everything was seen from the first byte on: a first byte that is not HTTP's decides.
    whole: bool,
    /// Until the role is known: what was read.
    requests: Half,
    /// Until the role is known: what was written.
    responses: Half,
    queue: Queue,
    early: EarlyAnswers,
    /// When the call that is being fed began.
    began_ns: u64,
    /// The response that goes by has no request that was seen.
    orphan: bool,
    orphans: u64,
    /// A response head was parsed, ever.
    answered: bool,
    /// Responses had bytes that made no sense.
    response_junk: bool,
    undecided_pieces: u32,
    unparsed: u64,
}

impl Http1Connection {
    /// A connection whose beginning may have been missed. The role is found if it isn't given.
    pub fn new(role: Option<Role>, options: &Arc<HttpOptions>) -> Self {
        Self {
            role,
            options: Arc::clone(options),
            state: State::Undecided,
            whole: false,
            requests: Half::new(),
            responses: Half::new(),
            queue: Queue::default(),
            early: EarlyAnswers::default(),
            began_ns: 0,
            orphan: false,
            orphans: 0,
            answered: false,
            response_junk: false,
            undecided_pieces: 0,
            unparsed: 0,
        }
    }

    /// The connection is seen from its first byte: what does not begin as HTTP is not HTTP.
    #[must_use]
    pub fn seen_from_start(mut self) -> Self {
        self.whole = true;
        self
    }

    pub const fn state(&self) -> State {
        self.state
    }

    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// Bytes that were not taken for any message: another protocol's, a tunnel's, or what came before a proven start.
    pub const fn unparsed_bytes(&self) -> u64 {
        self.unparsed
    }

    /// Final responses without a request that was seen.
    pub const fn orphans(&self) -> u64 {
        self.orphans
    }

    /// A piece of a call that moved it at once.
    pub fn feed(&mut self, piece: &Piece<'_>, out: &mut Vec<HttpExchange>) {
        self.feed_call(piece, piece.time_ns, out);
    }

    /// A piece of a call that began at `began_ns` and ended at the piece's time. The first byte of a message is said to
    /// have been moved at the beginning, the last one at the end. Calls are fed in the order of their ends; give the
    /// beginning of writes, and an answer that another thread read before the write of its request had ended is
    /// paired with it all the same. For reads both are the end: when a wait began says nothing.
    pub fn feed_call(&mut self, piece: &Piece<'_>, began_ns: u64, out: &mut Vec<HttpExchange>) {
        if moved(piece) == 0 {
            return;
        }
        if self.state == State::Undecided {
            if !self.may_be_http(piece) {
                self.refuse();
            } else if self.undecided_pieces == 1
                && let Some(bytes) = proxy_header(piece.data)
            {
                self.unparsed += bytes as u64;
                let total = moved(piece) - bytes as u64;
                return self.feed_call(&Piece { data: &piece.data[bytes..], total, ..*piece }, began_ns, out);
            }
        }
        if self.state == State::NotHttp {
            self.unparsed += moved(piece);
            return;
        }
        self.began_ns = began_ns;
        let Some(side) = self.enter(piece) else { return };
        let mut rest = piece.data;
        while !rest.is_empty() {
            rest = match self.half(side).place {
                Place::Seek { .. } => {
                    self.unframed(side, rest.len() as u64, piece.time_ns);
                    &[]
                }
                Place::Head => self.head(side, rest, piece.time_ns, out),
                Place::Body(body) => self.body(side, body, rest, piece.time_ns, out),
                Place::Tunnel { bytes } => {
                    self.half(side).place = Place::Tunnel { bytes: bytes + rest.len() as u64 };
                    self.unparsed += rest.len() as u64;
                    &[]
                }
            };
        }
        let hole = moved(piece) - piece.data.len() as u64;
        if hole > 0 {
            self.hole(side, hole, piece.time_ns, out);
        }
    }

    /// The end of one direction: a read that returned nothing, or a shutdown for writing. Ends a response that lasts
    /// as long as its connection. The end of requests says nothing about their answers.
    pub fn end_of(&mut self, direction: Direction, out: &mut Vec<HttpExchange>) {
        if self.role.is_some_and(|role| side_of(role, direction) == Side::Responses) {
            self.end_unbounded_response(out);
        }
    }

    /// The end of the connection: what waits for an answer gets none. A detach is no such end; drop the connection then.
    pub fn close(&mut self, time_ns: u64, out: &mut Vec<HttpExchange>) {
        self.end_unbounded_response(out);
        if self.answered || !self.response_junk {
            self.queue.give_up(HttpError::ClosedBeforeResponse, time_ns, out);
        }
        self.queue.clear();
        self.requests = Half::new();
        self.responses = Half::new();
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Requests => &mut self.requests,
            Side::Responses => &mut self.responses,
        }
    }

    fn refuse(&mut self) {
        self.state = State::NotHttp;
        self.unparsed += (self.requests.held.bytes.len() + self.responses.held.bytes.len()) as u64;
        self.queue.clear();
        self.requests = Half::new();
        self.responses = Half::new();
    }

    fn may_be_http(&mut self, piece: &Piece<'_>) -> bool {
        self.undecided_pieces += 1;
        let tls_record = matches!(piece.data, [0x14..=0x17, 0x03, 0..=4, ..]);
        !tls_record && !piece.data.starts_with(b"PRI * HTTP/2.0") && self.undecided_pieces <= MAX_UNDECIDED_PIECES
    }

    /// At the start of a call: which side its bytes are of. `None`: nothing more to do with them.
    fn enter(&mut self, piece: &Piece<'_>) -> Option<Side> {
        let Some(role) = self.role else { return self.find_role(piece) };
        let side = side_of(role, piece.direction);
        let place = self.half(side).place;
        match place {
            Place::Seek { allowed: true } => self.seek(side, piece),
            Place::Seek { allowed: false } => {
                self.unframed(side, moved(piece), piece.time_ns);
                None
            }
            // A response without a request that was seen is framed by guess (its request may have been HEAD).
            Place::Body(_)
                if side == Side::Responses
                    && self.orphan
                    && self.queue.answered_next().is_some()
                    && head::probe_response(piece.data) == Probe::Yes =>
            {
                self.lose_response();
                self.responses.place = Place::Head;
                Some(side)
            }
            _ => Some(side),
        }
    }

    fn find_role(&mut self, piece: &Piece<'_>) -> Option<Side> {
        let half = match piece.direction {
            Direction::Read => &mut self.requests,
            Direction::Write => &mut self.responses,
        };
        let either = |bytes: &[u8]| match head::probe_request(bytes) {
            Probe::Yes => (Probe::Yes, Side::Requests),
            Probe::Maybe => (Probe::Maybe, Side::Requests),
            Probe::No => (head::probe_response(bytes), Side::Responses),
        };
        match find_start(&mut half.held, piece, self.began_ns, &mut self.unparsed, either) {
            Start::Proven(side) => {
                half.place = Place::Head;
                let role = match (side, piece.direction) {
                    (Side::Requests, Direction::Read) | (Side::Responses, Direction::Write) => Role::Server,
                    (Side::Requests, Direction::Write) | (Side::Responses, Direction::Read) => Role::Client,
                };
                if role == Role::Client {
                    std::mem::swap(&mut self.requests, &mut self.responses);
                }
                self.role = Some(role);
                Some(side)
            }
            Start::Open => None,
            Start::No => {
                self.no_start(piece);
                None
            }
        }
    }

    fn seek(&mut self, side: Side, piece: &Piece<'_>) -> Option<Side> {
        let probe: fn(&[u8]) -> Probe = match side {
            Side::Requests => head::probe_request,
            Side::Responses => head::probe_response,
        };
        let half = match side {
            Side::Requests => &mut self.requests,
            Side::Responses => &mut self.responses,
        };
        match find_start(&mut half.held, piece, self.began_ns, &mut self.unparsed, |bytes| (probe(bytes), ())) {
            Start::Proven(()) => {
                half.place = Place::Head;
                Some(side)
            }
            Start::Open => None,
            Start::No => {
                if side == Side::Responses {
                    self.response_junk |= !piece.data.is_empty();
                    // An answer went by unseen; the next one is told from it only by a new request. Before the first
                    // answer it may as well be the rest of what was under way when the connection was first seen.
                    if self.answered && self.queue.answered_next().is_some() {
                        self.responses.place = Place::Seek { allowed: false };
                    }
                }
                if self.state == State::Undecided || (side == Side::Responses && !self.answered) {
                    self.allow_request(side);
                    self.no_start(piece);
                } else {
                    self.unframed(side, moved(piece), piece.time_ns);
                }
                None
            }
        }
    }

    /// Bytes that begin no message, before there was any.
    fn no_start(&mut self, piece: &Piece<'_>) {
        self.unparsed += moved(piece);
        if piece.data.is_empty() {
            self.whole = false;
        } else if self.whole {
            self.refuse();
        }
    }
}

const fn side_of(role: Role, direction: Direction) -> Side {
    match (role, direction) {
        (Role::Server, Direction::Read) | (Role::Client, Direction::Write) => Side::Requests,
        (Role::Server, Direction::Write) | (Role::Client, Direction::Read) => Side::Responses,
    }
}

/// Bytes that the call moved.
fn moved(piece: &Piece<'_>) -> u64 {
    piece.total.max(piece.data.len() as u64)
}
