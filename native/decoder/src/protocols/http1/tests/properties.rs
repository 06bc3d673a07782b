//! Any split gives the same exchanges; nothing gives exchanges that were not there.
use proptest::prelude::*;

use super::*;

/// One message of a conversation: who sends it, its head, its body; whether the body has a stated length.
#[derive(Clone, Debug)]
struct Message {
    direction: Direction,
    head: Vec<u8>,
    body: Vec<u8>,
    stated_length: bool,
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let look_alike = prop::sample::select(vec![GET.to_vec(), OK_EMPTY.to_vec(), b"\r\n\r\n0\r\n\r\n".to_vec()]);
    prop::collection::vec(prop_oneof![look_alike, prop::collection::vec(any::<u8>(), 0..40)], 0..4)
        .prop_map(|parts| parts.concat())
}

fn message(direction: Direction, start: String, headless: bool) -> impl Strategy<Value = Message> {
    (body(), 0..3u8, prop::collection::vec(1..20usize, 4)).prop_map(move |(content, form, sizes)| {
        let start = &start;
        let (head, body) = match form {
            _ if headless => (format!("{start}Content-Length: 77\r\n\r\n"), Vec::new()),
            0 => (format!("{start}Content-Length: 0\r\n\r\n"), Vec::new()),
            1 => (format!("{start}Content-Length: {}\r\n\r\n", content.len()), content),
            _ => {
                let mut chunks = Vec::new();
                let mut rest = content.as_slice();
                for size in sizes.iter().cycle() {
                    let (chunk, after) = rest.split_at((*size).min(rest.len()));
                    if chunk.is_empty() {
                        break;
                    }
                    chunks.extend_from_slice(format!("{:X};e=\"{size}\"\r\n", chunk.len()).as_bytes());
                    chunks.extend_from_slice(chunk);
                    chunks.extend_from_slice(b"\r\n");
                    rest = after;
                }
                chunks.extend_from_slice(if sizes[0] % 2 == 0 { b"0\r\n\r\n" } else { b"0\r\nT: 1\r\n\r\n" });
                (format!("{start}Transfer-Encoding: chunked\r\n\r\n"), chunks)
            }
        };
        Message { direction, head: head.into_bytes(), body, stated_length: form == 1 }
    })
}

fn exchange() -> impl Strategy<Value = Vec<Message>> {
    (prop::sample::select(vec!["GET", "POST", "HEAD", "QUERY"]), 200..600u16, any::<bool>()).prop_flat_map(
        |(method, status, interim)| {
            let request = message(Direction::Read, format!("{method} /x HTTP/1.1\r\nHost: h\r\n"), false);
            let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
            let headless = method == "HEAD" || status == 204 || status == 304;
            let response = message(Direction::Write, format!("{interim}HTTP/1.1 {status} W\r\n"), headless);
            (request, response).prop_map(|(request, response)| vec![request, response])
        },
    )
}

/// Exchanges one after the other, or all requests before all answers.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    (prop::collection::vec(exchange(), 1..5), any::<bool>()).prop_map(|(exchanges, pipelined)| {
        let mut messages = exchanges.concat();
        if pipelined {
            messages.sort_by_key(|message| message.direction == Direction::Write);
        }
        messages
    })
}

fn untimed(mut exchanges: Vec<HttpExchange>) -> Vec<HttpExchange> {
    for exchange in &mut exchanges {
        exchange.start_ns = 0;
        exchange.end_ns = 0;
        exchange.first_response_ns = exchange.first_response_ns.map(|_| 0);
    }
    exchanges
}

fn whole(messages: &[Message], mut talk: Talk) -> Vec<HttpExchange> {
    for message in messages {
        let bytes = [message.head.as_slice(), &message.body].concat();
        talk.piece(message.direction, &bytes, bytes.len() as u64);
    }
    untimed(talk.out)
}

/// Cuts bytes at `points`, taken around the length.
fn pieces<'a>(bytes: &'a [u8], points: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = points.iter().map(|point| point.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_exchanges(
        messages in conversation(),
        points in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        bytewise in any::<bool>(),
        adopted in any::<bool>(),
    ) {
        let talk = || if adopted { Talk::adopted() } else { Talk::fresh() };
        let expected = whole(&messages, talk());
        prop_assert_eq!(expected.len(), messages.len() / 2);
        prop_assert!(expected.iter().all(|one| !one.partial && one.error.is_none()));
        let mut split = talk();
        for message in &messages {
            let bytes = [message.head.as_slice(), &message.body].concat();
            let parts = if bytewise { bytes.chunks(1).collect() } else { pieces(&bytes, &points) };
            for part in parts {
                split.piece(message.direction, part, part.len() as u64);
            }
        }
        prop_assert_eq!(split.connection.unparsed_bytes(), 0);
        prop_assert_eq!(untimed(split.out), expected);
    }

    #[test]
    fn joined_calls_give_the_same_exchanges(messages in conversation()) {
        let expected = whole(&messages, Talk::fresh());
        let mut joined = Talk::fresh();
        for run in messages.chunk_by(|one, other| one.direction == other.direction) {
            let bytes: Vec<u8> = run.iter().flat_map(|message| message.head.iter().chain(&message.body)).copied().collect();
            joined.piece(run[0].direction, &bytes, bytes.len() as u64);
        }
        prop_assert_eq!(untimed(joined.out), expected);
    }

    #[test]
    fn bodies_of_stated_length_need_not_be_captured(
        messages in conversation(),
        points in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        captured in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let expected = whole(&messages, Talk::fresh());
        let mut cut = Talk::fresh();
        for message in &messages {
            if !message.stated_length {
                let bytes = [message.head.as_slice(), &message.body].concat();
                cut.piece(message.direction, &bytes, bytes.len() as u64);
                continue;
            }
            for (number, part) in pieces(&message.body, &points).into_iter().enumerate() {
                let kept = &part[..captured[number].index(part.len() + 1)];
                let (data, total) = if number == 0 {
                    let data = [message.head.as_slice(), kept].concat();
                    (data, message.head.len() + part.len())
                } else {
                    (kept.to_vec(), part.len())
                };
                cut.piece(message.direction, &data, total as u64);
            }
        }
        prop_assert_eq!(untimed(cut.out), expected);
    }

    #[test]
    fn junk_gives_nothing(
        calls in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200), 0..50u64), 0..20),
        fresh in any::<bool>(),
    ) {
        let mut talk = if fresh { Talk::fresh() } else { Talk::adopted() };
        let mut moved = 0;
        for (read, data, missing) in &calls {
            let direction = if *read { Direction::Read } else { Direction::Write };
            talk.piece(direction, data, data.len() as u64 + missing);
            moved += data.len() as u64 + missing;
        }
        talk.close();
        prop_assert_eq!(talk.out.len(), 0);
        prop_assert!(talk.connection.unparsed_bytes() <= moved);
    }

    /// Valid words in any order, cut anywhere: no panic, and never more exchanges than request lines.
    #[test]
    fn scrambled_http_is_survived(
        calls in prop::collection::vec((any::<bool>(), prop::collection::vec(0..12usize, 0..6), any::<prop::sample::Index>(), 0..3u64), 0..30),
    ) {
        const WORDS: [&[u8]; 12] = [
            GET, OK_EMPTY, b"\r\n", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n\r\n",
            b"5\r\nhello\r\n", b"0\r\n\r\n", b"POST / HTTP/1.1\r\n", b"HTTP/1.1 101 S\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"\xff\x00",
        ];
        let mut talk = Talk::adopted();
        let mut lines = 0;
        for (read, words, keep, missing) in &calls {
            let bytes: Vec<u8> = words.iter().flat_map(|&word| WORDS[word]).copied().collect();
            lines += words.iter().filter(|word| matches!(word, 0 | 8 | 10)).count();
            let kept = if *missing > 0 { &bytes[..keep.index(bytes.len() + 1)] } else { &bytes };
            let direction = if *read { Direction::Read } else { Direction::Write };
            talk.piece(direction, kept, bytes.len() as u64 + missing / 2);
        }
        talk.close();
        prop_assert!(talk.out.len() <= lines);
    }
}
