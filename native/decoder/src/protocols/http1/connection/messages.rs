//! Messages whose framing is intact.
use super::super::MAX_HEAD_BYTES;
use super::super::body::{Body, Chunked, End};
use super::super::early::Early;
use super::super::exchange::{HttpError, HttpExchange, MessageSize};
use super::super::head::{self, Framing, Parsed, RequestHead, ResponseHead};
use super::{Http1Connection, Place, Side, State};
use crate::protocols::Role;

impl Http1Connection {
    pub(super) fn head<'a>(
        &mut self,
        side: Side,
        rest: &'a [u8],
        time_ns: u64,
        out: &mut Vec<HttpExchange>,
    ) -> &'a [u8] {
        let began_ns = self.began_ns;
        let held = &mut self.half(side).held;
        let before = held.bytes.len();
        if before == 0 {
            // Empty lines before a message are to be ignored (RFC 9112, section 2.2).
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let rest = &rest[blank..];
            if rest.is_empty() {
                return rest;
            }
            held.since_ns = began_ns;
            return match self.parse(side, rest, time_ns, out) {
                Parsed::Whole((), length) => &rest[length..],
                Parsed::NotYet => self.hold(side, rest, time_ns, out),
                Parsed::Invalid => self.lose(side, rest, time_ns, out),
            };
        }
        let taken = rest.len().min(MAX_HEAD_BYTES - before);
        held.bytes.extend_from_slice(&rest[..taken]);
        // The line end that an empty line follows is at most two bytes back.
        let Some(end) = head::head_end(&held.bytes, before.saturating_sub(2)) else {
            if held.bytes.len() >= MAX_HEAD_BYTES {
                self.cut_head(side, time_ns, out);
                self.unframed(side, (rest.len() - taken) as u64, time_ns);
            }
            return &[];
        };
        let bytes = std::mem::take(&mut held.bytes);
        let parsed = self.parse(side, &bytes[..end], time_ns, out);
        let held = &mut self.half(side).held;
        held.bytes = bytes;
        held.clear();
        match parsed {
            Parsed::Whole((), length) if length == end && end > before => &rest[end - before..],
            _ => self.lose(side, rest, time_ns, out),
        }
    }

    /// Keeps the beginning of a head.
    pub(super) fn hold<'a>(
        &mut self,
        side: Side,
        rest: &'a [u8],
        time_ns: u64,
        out: &mut Vec<HttpExchange>,
    ) -> &'a [u8] {
        let taken = rest.len().min(MAX_HEAD_BYTES);
        self.half(side).held.bytes.extend_from_slice(&rest[..taken]);
        if taken == MAX_HEAD_BYTES {
            self.cut_head(side, time_ns, out);
            self.unframed(side, (rest.len() - taken) as u64, time_ns);
        }
        &[]
    }

    /// Parses a head and, if it is whole, goes on to what follows it.
    pub(super) fn parse(&mut self, side: Side, bytes: &[u8], time_ns: u64, out: &mut Vec<HttpExchange>) -> Parsed<()> {
        match side {
            Side::Requests => {
                head::parse_request(bytes, &self.options).then(|head, size| self.request(head, size, out))
            }
            Side::Responses => {
                head::parse_response(bytes, &self.options).then(|head, size| self.response(head, size, time_ns, out))
            }
        }
    }

    pub(super) fn request(&mut self, head: RequestHead, size: usize, out: &mut Vec<HttpExchange>) {
        self.state = State::Http;
        let role = self.role.unwrap_or(Role::Server);
        let start_ns = self.requests.held.since_ns;
        if self.responses.place == (Place::Seek { allowed: false }) {
            self.queue.give_up(HttpError::Unseen, start_ns, out);
            self.responses.place = Place::Seek { allowed: true };
        }
        let RequestHead { method, target, version_minor, host, user_agent, trace, fields } = head;
        self.requests.place = match fields.framing {
            _ if method == "CONNECT" => Place::Tunnel { bytes: 0 },
            Framing::Unstated | Framing::Length(0) => Place::Head,
            Framing::Length(bytes) => Place::Body(Body::Length(bytes)),
            Framing::Chunked => Place::Body(Body::Chunked(Chunked::START)),
            Framing::UntilClose | Framing::Invalid => Place::Seek { allowed: false },
        };
        let request_done = !matches!(self.requests.place, Place::Body(_));
        self.queue.push(
            HttpExchange {
                role,
                start_ns,
                first_response_ns: None,
                end_ns: start_ns,
                method,
                target,
                version_minor,
                status: None,
                error: None,
                request: MessageSize { head: size as u64, body: 0 },
                response: MessageSize::default(),
                host,
                user_agent,
                request_content_type: fields.content_type,
                response_content_type: None,
                request_headers: fields.wanted,
                response_headers: Vec::new(),
                trace,
                partial: matches!(self.requests.place, Place::Seek { .. }),
            },
            request_done,
            out,
        );
        if let Some(early) = self.early.answer_to(start_ns) {
            self.answered_early(early, out);
        }
    }

    /// Pairs the request that was taken last with an answer that came before it, wholly or so far.
    fn answered_early(&mut self, early: Early, out: &mut Vec<HttpExchange>) {
        let Some(pending) = self.queue.answered_next() else { return };
        let goes_on = !early.done;
        let empty_so_far = early.size.body == 0;
        let last_ns = early.last_ns;
        early.give_to(pending);
        let headless = pending.exchange.method == "HEAD";
        self.orphans -= 1;
        if goes_on {
            self.orphan = false;
            if headless && empty_so_far {
                self.responses.place = Place::Head;
                self.end_response(last_ns, out);
            }
        }
        self.queue.settle(out);
    }

    pub(super) fn response(&mut self, head: ResponseHead, size: usize, time_ns: u64, out: &mut Vec<HttpExchange>) {
        const SWITCHING_PROTOCOLS: u16 = 101;
        self.state = State::Http;
        self.answered = true;
        let ResponseHead { status, fields } = head;
        if status < 200 && status != SWITCHING_PROTOCOLS {
            self.responses.place = Place::Head;
            return;
        }
        let first_response_ns = self.responses.held.since_ns;
        let (mut headless, mut connect) = (false, false);
        if let Some(pending) = self.queue.answered_next() {
            pending.response_begun = true;
            pending.last_response_ns = time_ns;
            let exchange = &mut pending.exchange;
            exchange.status = Some(status);
            exchange.first_response_ns = Some(first_response_ns);
            exchange.response.head = size as u64;
            exchange.response_content_type = fields.content_type;
            exchange.response_headers = fields.wanted;
            headless = exchange.method == "HEAD";
            connect = exchange.method == "CONNECT";
            self.orphan = false;
        } else {
            self.orphan = true;
            self.orphans += 1;
            self.early.push(Early {
                status,
                first_ns: first_response_ns,
                last_ns: time_ns,
                size: MessageSize { head: size as u64, body: 0 },
                content_type: fields.content_type,
                headers: fields.wanted,
                done: false,
                partial: false,
            });
        }
        self.allow_request(Side::Responses);
        if status == SWITCHING_PROTOCOLS || (connect && (200..300).contains(&status)) {
            if let Some(pending) = self.queue.answered_next() {
                pending.request_done = true;
            }
            self.end_response(time_ns, out);
            self.requests.place = Place::Tunnel { bytes: 0 };
            self.responses.place = Place::Tunnel { bytes: 0 };
            self.requests.held.clear();
            return;
        }
        if connect && let Place::Tunnel { bytes } = self.requests.place {
            self.requests.place = if bytes == 0 { Place::Head } else { Place::Seek { allowed: true } };
        }
        self.responses.place = match fields.framing {
            _ if headless || matches!(status, 204 | 304) => Place::Head,
            Framing::Length(0) => Place::Head,
            Framing::Length(bytes) => Place::Body(Body::Length(bytes)),
            Framing::Chunked => Place::Body(Body::Chunked(Chunked::START)),
            Framing::Unstated | Framing::UntilClose => Place::Body(Body::UntilClose),
            Framing::Invalid => {
                self.lose_response();
                return;
            }
        };
        if self.responses.place == Place::Head {
            self.end_response(time_ns, out);
        }
    }

    pub(super) fn body<'a>(
        &mut self,
        side: Side,
        mut body: Body,
        rest: &'a [u8],
        time_ns: u64,
        out: &mut Vec<HttpExchange>,
    ) -> &'a [u8] {
        let progress = body.take(rest);
        self.count(side, progress.content, time_ns);
        self.half(side).place = Place::Body(body);
        let after = &rest[progress.consumed as usize..];
        match progress.end {
            End::Open => {}
            End::Done => self.end_body(side, time_ns, out),
            End::Lost => return self.lose(side, after, time_ns, out),
        }
        after
    }

    pub(super) fn count(&mut self, side: Side, content: u64, time_ns: u64) {
        match side {
            Side::Requests => {
                if let Some(pending) = self.queue.sent_last() {
                    pending.exchange.request.body += content;
                }
            }
            Side::Responses if !self.orphan => {
                if let Some(pending) = self.queue.answered_next() {
                    pending.exchange.response.body += content;
                    pending.last_response_ns = time_ns;
                }
            }
            Side::Responses => {
                if let Some(early) = self.early.last() {
                    early.size.body += content;
                    early.last_ns = time_ns;
                }
            }
        }
    }

    pub(super) fn end_body(&mut self, side: Side, time_ns: u64, out: &mut Vec<HttpExchange>) {
        self.half(side).place = Place::Head;
        match side {
            Side::Requests => {
                if let Some(pending) = self.queue.sent_last() {
                    pending.request_done = true;
                }
                self.queue.settle(out);
            }
            Side::Responses => self.end_response(time_ns, out),
        }
    }

    pub(super) fn end_response(&mut self, time_ns: u64, out: &mut Vec<HttpExchange>) {
        if std::mem::take(&mut self.orphan) {
            if let Some(early) = self.early.last() {
                early.last_ns = time_ns;
                early.done = true;
            }
        } else if let Some(pending) = self.queue.answered_next() {
            pending.exchange.end_ns = time_ns;
            pending.response_done = true;
            self.queue.settle(out);
        }
    }

    pub(super) fn end_unbounded_response(&mut self, out: &mut Vec<HttpExchange>) {
        if self.responses.place == Place::Body(Body::UntilClose) {
            self.responses.place = Place::Head;
            let last_ns = if self.orphan {
                self.early.last().map_or(0, |early| early.last_ns)
            } else {
                self.queue.answered_next().map_or(0, |pending| pending.last_response_ns)
            };
            self.end_response(last_ns, out);
        }
    }
}
