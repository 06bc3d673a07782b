//! One test a rule. `Talk` is a connection whose pieces are whole calls, each a microsecond after the last.
use std::sync::Arc;

use super::*;
use crate::protocols::{Direction, Piece, Role};

mod faults;
mod properties;

pub const GET: &[u8] = b"GET /a?b=1 HTTP/1.1\r\nHost: example.test\r\nUser-Agent: t/1\r\n\r\n";
pub const OK_EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub struct Talk {
    pub connection: Http1Connection,
    pub out: Vec<HttpExchange>,
    pub now: u64,
}

impl Talk {
    /// A server's connection that was there before it was seen.
    pub fn adopted() -> Self {
        Self::with(None, HttpOptions::default())
    }

    /// A server's connection from its first byte.
    pub fn fresh() -> Self {
        let mut talk = Self::with(Some(Role::Server), HttpOptions::default());
        talk.connection = talk.connection.seen_from_start();
        talk
    }

    pub fn with(role: Option<Role>, options: HttpOptions) -> Self {
        Self { connection: Http1Connection::new(role, &Arc::new(options)), out: Vec::new(), now: 0 }
    }

    pub fn piece(&mut self, direction: Direction, data: &[u8], total: u64) -> &mut Self {
        self.now += 1000;
        self.connection.feed(&Piece { direction, data, total, time_ns: self.now }, &mut self.out);
        self
    }

    pub fn read(&mut self, data: &[u8]) -> &mut Self {
        self.piece(Direction::Read, data, data.len() as u64)
    }

    pub fn write(&mut self, data: &[u8]) -> &mut Self {
        self.piece(Direction::Write, data, data.len() as u64)
    }

    pub fn close(&mut self) -> &mut Self {
        self.now += 1000;
        self.connection.close(self.now, &mut self.out);
        self
    }

    /// Method, target, status of each exchange so far.
    pub fn told(&self) -> Vec<(&str, &str, Option<u16>)> {
        self.out.iter().map(|one| (one.method.as_str(), one.target.as_str(), one.status)).collect()
    }

    pub fn only(&self) -> &HttpExchange {
        assert_eq!(self.out.len(), 1, "{:?}", self.told());
        &self.out[0]
    }
}

#[test]
fn an_exchange_has_all_that_the_messages_say() {
    let options = HttpOptions {
        headers: vec!["x-request-id".into(), "authorization".into(), "server".into()],
        redact: vec!["authorization".into()],
    };
    let mut talk = Talk::with(None, options);
    let request = b"POST /in HTTP/1.1\r\nHOST: h.test\r\nUser-Agent: agent\r\nContent-Type: text/plain\r\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nAuthorization: Bearer secret\r\n\
        X-Request-Id: 7\r\nContent-Length: 5\r\n\r\nhello";
    let response = b"HTTP/1.1 201 Created\r\nServer: s\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok";
    talk.read(request).write(response);
    let wanted = |name, value: &str| HeaderValue { name, value: value.into() };
    let expected = HttpExchange {
        role: Role::Server,
        start_ns: 1000,
        first_response_ns: Some(2000),
        end_ns: 2000,
        method: "POST".into(),
        target: "/in".into(),
        version_minor: 1,
        status: Some(201),
        error: None,
        request: MessageSize { head: request.len() as u64 - 5, body: 5 },
        response: MessageSize { head: response.len() as u64 - 2, body: 2 },
        host: Some("h.test".into()),
        user_agent: Some("agent".into()),
        request_content_type: Some("text/plain".into()),
        response_content_type: Some("text/html".into()),
        request_headers: vec![wanted(1, "REDACTED"), wanted(0, "7")],
        response_headers: vec![wanted(2, "s")],
        trace: Some(TraceContext {
            trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
            span_id: "b7ad6b7169203331".into(),
            sampled: true,
        }),
        partial: false,
    };
    assert_eq!(talk.only(), &expected);
    assert_eq!(talk.connection.state(), State::Http);
    assert_eq!(talk.connection.unparsed_bytes(), 0);
}

#[test]
fn the_role_is_found_by_who_asks() {
    let mut server = Talk::adopted();
    server.read(GET).write(OK_EMPTY);
    assert_eq!(server.only().role, Role::Server);
    let mut client = Talk::adopted();
    client.write(GET).read(OK_EMPTY);
    assert_eq!(client.only().role, Role::Client);
}

#[test]
fn a_connection_is_kept_alive() {
    let mut talk = Talk::fresh();
    for _ in 0..3 {
        talk.read(GET).write(OK_EMPTY);
    }
    assert_eq!(talk.told(), vec![("GET", "/a?b=1", Some(200)); 3]);
}

#[test]
fn pipelined_answers_are_matched_in_order() {
    let mut talk = Talk::fresh();
    talk.read(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n\r\n");
    talk.write(b"HTTP/1.1 201 A\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 202 B\r\nContent-Length: 0\r\n\r\n");
    talk.write(b"HTTP/1.1 203 C\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(talk.told(), [("GET", "/1", Some(201)), ("POST", "/2", Some(202)), ("GET", "/3", Some(203))]);
}

#[test]
fn chunks_extensions_and_trailers() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5;name=\"v\"\r\nhello\r\n00A ; x\r\n0123456789\r\n\
          0\r\nExpires: never\r\nX: y\r\n\r\n",
    );
    talk.read(GET).write(OK_EMPTY);
    assert_eq!(talk.told().len(), 2);
    assert_eq!(talk.out[0].response.body, 15);
    assert!(!talk.out[0].partial);
}

#[test]
fn answers_that_have_no_body_whatever_their_head_says() {
    let mut talk = Talk::fresh();
    talk.read(b"HEAD /h HTTP/1.1\r\n\r\n").write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    talk.read(GET).write(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
    talk.read(GET).write(b"HTTP/1.1 204 No Content\r\n\r\n");
    talk.read(GET).write(OK_EMPTY);
    let statuses: Vec<_> = talk.out.iter().map(|one| (one.status, one.response.body)).collect();
    assert_eq!(statuses, [(Some(200), 0), (Some(304), 0), (Some(204), 0), (Some(200), 0)]);
}

#[test]
fn interim_answers_are_no_answers() {
    let mut talk = Talk::fresh();
    talk.read(b"PUT /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .write(b"HTTP/1.1 100 Continue\r\n\r\n")
        .read(b"body")
        .write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        .write(OK_EMPTY);
    let exchange = talk.only();
    assert_eq!((exchange.status, exchange.request.body, exchange.first_response_ns), (Some(200), 4, Some(5000)));
}

#[test]
fn connect_and_upgrade_end_in_a_tunnel() {
    for (request, response) in [
        (&b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n"[..], &b"HTTP/1.1 200 OK\r\n\r\n"[..]),
        (b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ] {
        let mut talk = Talk::fresh();
        talk.read(request).write(response).read(GET).write(OK_EMPTY).read(b"\x00\x01").close();
        assert_eq!(talk.told().len(), 1);
        assert_eq!(talk.connection.unparsed_bytes(), (GET.len() + OK_EMPTY.len() + 2) as u64);
    }
}

#[test]
fn a_refused_connect_is_followed_by_requests() {
    let mut talk = Talk::fresh();
    talk.read(b"CONNECT a.test:1 HTTP/1.1\r\n\r\n").write(b"HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx");
    talk.read(GET).write(OK_EMPTY);
    assert_eq!(talk.told(), [("CONNECT", "a.test:1", Some(403)), ("GET", "/a?b=1", Some(200))]);
}

#[test]
fn a_body_that_ends_with_its_connection() {
    for by_end_of_writes in [false, true] {
        let mut talk = Talk::fresh();
        talk.read(b"GET / HTTP/1.0\r\n\r\n").write(b"HTTP/1.0 200 OK\r\n\r\nabc").write(OK_EMPTY);
        assert!(talk.out.is_empty());
        if by_end_of_writes {
            talk.connection.end_of(Direction::Read, &mut talk.out);
            assert!(talk.out.is_empty());
            talk.connection.end_of(Direction::Write, &mut talk.out);
        }
        talk.close();
        let exchange = talk.only();
        assert_eq!((exchange.response.body, exchange.end_ns), (3 + OK_EMPTY.len() as u64, 3000));
        assert_eq!((exchange.error, exchange.partial, exchange.version_minor), (None, false, 0));
    }
}

#[test]
fn a_close_before_and_inside_an_answer() {
    let mut before = Talk::fresh();
    before.read(GET).close();
    let exchange = before.only();
    assert_eq!((exchange.status, exchange.error), (None, Some(HttpError::ClosedBeforeResponse)));
    assert_eq!(exchange.end_ns, 2000);
    let mut inside = Talk::fresh();
    inside.read(GET).write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close();
    let exchange = inside.only();
    assert_eq!((exchange.status, exchange.error), (Some(200), Some(HttpError::ClosedInResponse)));
    assert_eq!((exchange.end_ns, exchange.partial), (2000, true));
}

#[test]
fn an_early_answer_waits_for_the_rest_of_its_request() {
    let mut talk = Talk::fresh();
    talk.read(b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc")
        .write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
    assert!(talk.out.is_empty());
    talk.read(b"def");
    let exchange = talk.only();
    assert_eq!((exchange.request.body, exchange.status, exchange.end_ns), (6, Some(413), 2000));
}

#[test]
fn look_alikes_in_bodies_are_bodies() {
    let body = [GET, OK_EMPTY].concat();
    let mut talk = Talk::fresh();
    talk.read(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
        .read(GET)
        .read(OK_EMPTY)
        .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
        .write(OK_EMPTY)
        .write(GET);
    talk.read(b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .read(format!("{:x}\r\n", GET.len()).as_bytes())
        .read(GET)
        .read(b"\r\n0\r\n\r\n")
        .write(b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .write(format!("{:x}\r\n", OK_EMPTY.len()).as_bytes())
        .write(OK_EMPTY)
        .write(b"\r\n0\r\n\r\n");
    assert_eq!(talk.told(), [("POST", "/", Some(200)), ("POST", "/c", Some(202))]);
    assert_eq!(talk.out[0].response.body, body.len() as u64);
}

#[test]
fn seen_from_the_middle_of_an_answer() {
    let mut talk = Talk::adopted();
    talk.write(b"the rest of an old body, and ").write(b"more HTTP/1.1 200 OK\r\n");
    assert_eq!(talk.connection.state(), State::Undecided);
    talk.read(GET).write(OK_EMPTY).read(GET).write(OK_EMPTY);
    assert_eq!(talk.told().len(), 2);
    assert_eq!(talk.out[0].role, Role::Server);
}

#[test]
fn seen_between_a_request_and_its_answer() {
    let mut talk = Talk::adopted();
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((talk.connection.orphans(), talk.out.len()), (1, 0));
    talk.read(GET).write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(talk.only().status, Some(404));
}

#[test]
fn an_answer_read_before_the_write_of_its_request_ended() {
    let head = b"HEAD /h HTTP/1.1\r\n\r\n";
    let headed = b"HTTP/1.1 201 A\r\nContent-Length: 9\r\n\r\n";
    let halves = OK_EMPTY.split_at(10);
    let mut talk = Talk::with(Some(Role::Client), HttpOptions::default());
    talk.connection = talk.connection.seen_from_start();
    let mut feed = |direction, data: &[u8], began_ns, time_ns| {
        let piece = Piece { direction, data, total: data.len() as u64, time_ns };
        talk.connection.feed_call(&piece, began_ns, &mut talk.out);
    };
    feed(Direction::Read, OK_EMPTY, 20, 20);
    feed(Direction::Write, GET, 10, 30);
    feed(Direction::Read, headed, 50, 50);
    feed(Direction::Write, head, 40, 60);
    feed(Direction::Read, halves.0, 80, 80);
    feed(Direction::Write, GET, 70, 90);
    feed(Direction::Read, halves.1, 95, 95);
    // This one answers something that was not seen: the next request began later.
    feed(Direction::Read, headed, 100, 100);
    feed(Direction::Write, GET, 110, 120);
    feed(Direction::Read, OK_EMPTY, 130, 130);
    let told: Vec<_> = talk.out.iter().map(|one| (one.start_ns, one.status, one.end_ns)).collect();
    assert_eq!(told, [(10, Some(200), 20), (40, Some(201), 50), (70, Some(200), 95), (110, Some(200), 130)]);
    assert_eq!(talk.connection.orphans(), 1);
}

#[test]
fn the_answer_to_an_unseen_head_request_hides_nothing() {
    let mut talk = Talk::adopted();
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n").read(GET).write(OK_EMPTY);
    assert_eq!((talk.told(), talk.connection.orphans()), (vec![("GET", "/a?b=1", Some(200))], 1));
}

#[test]
fn other_protocols_give_nothing() {
    for first in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"SSH-2.0-x\r\n",
    ] {
        let mut talk = Talk::fresh();
        talk.read(first).read(GET).write(OK_EMPTY).close();
        assert_eq!((talk.connection.state(), talk.out.len()), (State::NotHttp, 0));
    }
    let mut greeting = Talk::fresh();
    greeting.write(b"220 mail.test ESMTP\r\n").read(GET).write(OK_EMPTY).close();
    assert_eq!((greeting.connection.state(), greeting.out.len()), (State::NotHttp, 0));
    let mut ninth = Talk::fresh();
    ninth.read(GET).write(b"<html>").close();
    assert_eq!((ninth.connection.state(), ninth.out.len()), (State::NotHttp, 0));
}

#[test]
fn a_line_that_is_not_whole_or_not_first_proves_nothing() {
    for junk in [
        &b"} GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..].to_vec(),
        &b"GET  / HTTP/1.1\r\n\r\n".to_vec(),
        &b"GET / HTTP/2.0\r\n\r\n".to_vec(),
        &b"GET / HTTP/1.1 x\r\n\r\n".to_vec(),
        &b"GET foo HTTP/1.1\r\n\r\n".to_vec(),
        &b"HTTP/1.1 20 OK\r\n\r\n".to_vec(),
    ] {
        let mut talk = Talk::adopted();
        talk.read(junk).write(OK_EMPTY).close();
        assert_eq!(talk.out, [], "{}", String::from_utf8_lossy(junk));
    }
}

#[test]
fn empty_lines_between_messages_are_no_messages() {
    let mut talk = Talk::fresh();
    talk.read(GET).write(OK_EMPTY).read(b"\r\n").read(b"\r").read(b"\n").read(GET).write(OK_EMPTY);
    assert_eq!(talk.told().len(), 2);
}

#[test]
fn a_load_balancer_may_speak_first() {
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd";
    for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n"[..], second] {
        for joined in [true, false] {
            let mut talk = Talk::fresh();
            if joined {
                talk.read(&[header, GET].concat());
            } else {
                talk.read(header).read(GET);
            }
            talk.write(OK_EMPTY);
            assert_eq!(talk.only().target, "/a?b=1");
        }
    }
}

#[test]
fn a_call_that_moved_nothing_says_nothing() {
    let mut talk = Talk::fresh();
    talk.read(b"").write(b"").read(GET).read(b"").write(OK_EMPTY);
    assert_eq!(talk.told().len(), 1);
}

#[test]
fn many_headers_are_read() {
    let mut request = b"GET / HTTP/1.1\r\n".to_vec();
    for number in 0..500 {
        request.extend_from_slice(format!("X-{number}: y\r\n").as_bytes());
    }
    request.extend_from_slice(b"Host: last\r\n\r\n");
    let mut talk = Talk::fresh();
    talk.read(&request).write(OK_EMPTY);
    assert_eq!(talk.only().host.as_deref(), Some("last"));
}

#[test]
fn a_trace_parent_is_whole_or_none() {
    let trace = |value: &str| {
        let mut talk = Talk::fresh();
        talk.read(format!("GET / HTTP/1.1\r\ntraceparent: {value}\r\n\r\n").as_bytes()).write(OK_EMPTY);
        talk.only().trace.clone()
    };
    let (id, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    assert_eq!(trace(&format!("00-{id}-{span}-00")).map(|found| found.sampled), Some(false));
    assert!(trace(&format!("01-{id}-{span}-01-more")).is_some());
    for bad in [
        format!("00-{id}-{span}-01-more"),
        format!("ff-{id}-{span}-01"),
        format!("00-{}-{span}-01", "0".repeat(32)),
        format!("00-{id}-{}-01", "0".repeat(16)),
        format!("00-{}-{span}-01", id.to_uppercase()),
        format!("00-{id}-{span}"),
        String::new(),
    ] {
        assert_eq!(trace(&bad), None, "{bad}");
    }
}
