//! What was not captured, and what makes no sense.
use super::super::body::End;
use super::super::exchange::HttpExchange;
use super::super::head::{self, Parsed};
use super::{Http1Connection, Place, Side};

impl Http1Connection {
    /// Whatever was answered, and however: a request may follow.
    pub(super) fn allow_request(&mut self, side: Side) {
        if side == Side::Responses
            && let Place::Seek { allowed } = &mut self.requests.place
        {
            *allowed = true;
        }
    }

    /// Bytes that can't be framed. Those of a response whose framing was lost still are its bytes.
    pub(super) fn unframed(&mut self, side: Side, bytes: u64, time_ns: u64) {
        self.allow_request(side);
        match self.queue.answered_next() {
            Some(pending) if side == Side::Responses && pending.response_begun => {
                pending.exchange.response.body += bytes;
                pending.last_response_ns = time_ns;
            }
            _ => self.unparsed += bytes,
        }
    }

    /// Bytes that were moved but not captured, at the end of a call.
    pub(super) fn hole(&mut self, side: Side, bytes: u64, time_ns: u64, out: &mut Vec<HttpExchange>) {
        self.whole = false;
        let place = self.half(side).place;
        match place {
            Place::Body(mut body) => {
                let progress = body.skip(bytes);
                self.count(side, progress.content, time_ns);
                self.half(side).place = Place::Body(body);
                match progress.end {
                    End::Open => {}
                    End::Done => {
                        self.end_body(side, time_ns, out);
                        let beyond = bytes - progress.consumed;
                        if beyond > 0 {
                            self.hole(side, beyond, time_ns, out);
                        }
                    }
                    End::Lost => self.lost(side, bytes - progress.content, time_ns, out),
                }
            }
            Place::Tunnel { bytes: before } => {
                self.half(side).place = Place::Tunnel { bytes: before + bytes };
                self.unparsed += bytes;
            }
            Place::Head if !self.half(side).held.bytes.is_empty() => {
                self.cut_head(side, time_ns, out);
                self.unframed(side, bytes, time_ns);
            }
            Place::Head => self.lost(side, bytes, time_ns, out),
            Place::Seek { .. } => self.unframed(side, bytes, time_ns),
        }
    }

    /// The rest of the head that is held will not be seen, or is too long: what there is counts, its framing is lost.
    pub(super) fn cut_head(&mut self, side: Side, time_ns: u64, out: &mut Vec<HttpExchange>) {
        let bytes = std::mem::take(&mut self.half(side).held.bytes);
        if side == Side::Responses
            && let Some(pending) = self.queue.answered_next()
        {
            pending.exchange.partial = true;
        }
        let parsed = match head::close_cut_head(&bytes) {
            Some(whole) => self.parse(side, &whole, time_ns, out),
            None => Parsed::Invalid,
        };
        match (parsed, side) {
            (Parsed::Whole(..), Side::Requests) => {
                if let Some(pending) = self.queue.sent_last() {
                    pending.exchange.partial = true;
                }
                self.lose_request(out);
            }
            (Parsed::Whole(..), Side::Responses) => self.lose_response(),
            _ => self.lost(side, bytes.len() as u64, time_ns, out),
        }
    }

    /// Loses the framing in the middle of a call: no start can be proven before the next one.
    pub(super) fn lose<'a>(
        &mut self,
        side: Side,
        rest: &'a [u8],
        time_ns: u64,
        out: &mut Vec<HttpExchange>,
    ) -> &'a [u8] {
        self.lost(side, rest.len() as u64, time_ns, out);
        &[]
    }

    /// Loses the framing; `bytes` of the side went by since.
    pub(super) fn lost(&mut self, side: Side, bytes: u64, time_ns: u64, out: &mut Vec<HttpExchange>) {
        match side {
            Side::Requests => {
                self.unparsed += bytes;
                self.lose_request(out);
            }
            Side::Responses => {
                match self.queue.answered_next().filter(|pending| pending.response_begun) {
                    Some(pending) => pending.exchange.partial = true,
                    None => self.response_junk = true,
                }
                self.lose_response();
                self.unframed(side, bytes, time_ns);
            }
        }
    }

    pub(super) fn lose_request(&mut self, out: &mut Vec<HttpExchange>) {
        let mut allowed = false;
        if let Some(pending) = self.queue.sent_last() {
            pending.exchange.partial |= !pending.request_done;
            pending.request_done = true;
            allowed = pending.response_begun;
        }
        self.requests.held.clear();
        self.requests.place = Place::Seek { allowed };
        self.queue.settle(out);
    }

    pub(super) fn lose_response(&mut self) {
        if std::mem::take(&mut self.orphan)
            && let Some(early) = self.early.last()
        {
            early.partial = true;
            early.done = true;
        }
        self.responses.held.clear();
        self.responses.place = Place::Seek { allowed: false };
    }
}
