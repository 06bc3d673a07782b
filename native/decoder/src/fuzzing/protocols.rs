//! Streams and messages in pieces of any size, with gaps.
use super::input::Input;
use crate::protocols::console::{ConsoleLines, Line, MAX_LINE_BYTES};
use crate::protocols::dns::{DnsStream, DnsTracker};
use crate::protocols::http1::{Http1Connection, HttpExchange, HttpOptions, State};
use crate::protocols::{Direction, MOST_BYTES, Piece, Role};
use std::sync::Arc;

fn direction(bit: u8) -> Direction {
    if bit & 1 == 0 { Direction::Read } else { Direction::Write }
}

/// One connection: calls of either direction, whole or captured in part, ends, and the close.
pub fn http1(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let options =
        Arc::new(HttpOptions { headers: vec!["x-id".into(), "cookie".into()], redact: vec!["cookie".into()] });
    let kind = input.byte();
    let role = [None, Some(Role::Server), Some(Role::Client)][usize::from(kind % 3)];
    let mut connection = Http1Connection::new(role, &options);
    if kind & 0x80 != 0 {
        connection = connection.seen_from_start();
    }
    let mut exchanges = Vec::new();
    let mut now = 1000;
    while !input.is_empty() && connection.state() != State::NotHttp {
        let what = input.byte();
        now += u64::from(what >> 4);
        let direction = direction(what);
        if what & 0x0e == 0x0e {
            connection.end_of(direction, &mut exchanges);
            continue;
        }
        let unseen = if what & 0x0e == 0x0c { input.number() } else { 0 };
        let data = input.bytes();
        let total = (data.len() as u64).saturating_add(unseen).min(MOST_BYTES);
        let piece = Piece { direction, data, total, time_ns: now };
        connection.feed_call(&piece, now - u64::from(what >> 6), &mut exchanges);
        check_exchanges(&mut exchanges);
    }
    connection.close(now, &mut exchanges);
    check_exchanges(&mut exchanges);
}

fn check_exchanges(exchanges: &mut Vec<HttpExchange>) {
    for exchange in exchanges.drain(..) {
        assert!(!exchange.method.is_empty(), "an exchange without a request");
        assert!(exchange.status.is_none_or(|status| (100..1000).contains(&status)));
        assert!(exchange.status.is_some() || exchange.error.is_some(), "no answer, and no word why");
        assert!(exchange.end_ns >= exchange.start_ns);
    }
}

/// Messages over datagrams, and over a stream in pieces.
pub fn dns(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut tracker = DnsTracker::default();
    let mut streams = [DnsStream::default(), DnsStream::default()];
    let mut told = Vec::new();
    let mut now = 1000;
    while !input.is_empty() {
        let what = input.byte();
        now += u64::from(what >> 4) << 28;
        let direction = direction(what);
        match what & 0x0e {
            0x0e => tracker.expire(now, &mut told),
            0x0c => tracker.close(u64::from(what >> 6), &mut told),
            0x08 | 0x0a => {
                let data = input.bytes();
                let unseen = if what & 0x0e == 0x0a { input.number() } else { 0 };
                let total = (data.len() as u64).saturating_add(unseen).min(MOST_BYTES);
                streams[usize::from(what & 1)].feed(data, total, |message| {
                    tracker.message(direction, message, now, 9, &mut told);
                });
            }
            _ => tracker.message(direction, input.bytes(), now, u64::from(what >> 6), &mut told),
        }
        for query in told.drain(..) {
            assert!(query.duration_ns.is_some() == query.rcode.is_some(), "a duration without an answer");
        }
    }
}

/// Pieces of a stream: however they are cut, the lines are the same.
pub fn console(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (mut pieces, mut whole, mut lines, mut same) = <(ConsoleLines, ConsoleLines, Vec<Line>, Vec<Line>)>::default();
    let mut joined = Vec::new();
    let mut long = 0;
    while !input.is_empty() {
        match input.byte() {
            0 => {
                whole.feed(&joined, 0, &mut same);
                joined.clear();
                pieces.gap(&mut lines);
                whole.gap(&mut same);
            }
            1 => {
                whole.feed(&joined, 0, &mut same);
                joined.clear();
                pieces.flush(&mut lines);
                whole.flush(&mut same);
            }
            // Lines that are as long as they may be, and longer, are worth trying.
            2 if long < 8 => {
                long += 1;
                let piece = [input.byte(); MAX_LINE_BYTES / 4];
                for _ in 0..3 {
                    pieces.feed(&piece, 0, &mut lines);
                    joined.extend_from_slice(&piece);
                }
            }
            _ => {
                let piece = input.bytes();
                pieces.feed(piece, 0, &mut lines);
                joined.extend_from_slice(piece);
            }
        }
    }
    whole.feed(&joined, 0, &mut same);
    pieces.flush(&mut lines);
    whole.flush(&mut same);
    assert_eq!(lines, same);
    for line in lines {
        assert!(line.text.len() <= 4 * MAX_LINE_BYTES && !line.text.contains('\n'));
    }
}
