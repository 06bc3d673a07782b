use proptest::prelude::*;

use super::*;

const QUESTION_BIT: u16 = 0x0100;
const ANSWER_BITS: u16 = 0x8180;

fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A message with one question, and answers of the question's own name.
fn message(id: u16, flags: u16, asked: &str, kind: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut wire = Vec::new();
    for word in [id, flags, 1, records.len() as u16, 0, 0] {
        wire.extend_from_slice(&word.to_be_bytes());
    }
    wire.extend_from_slice(&name(asked));
    wire.extend_from_slice(&kind.to_be_bytes());
    wire.extend_from_slice(&[0, 1]);
    for (kind, data) in records {
        wire.extend_from_slice(&[0xc0, 12]);
        wire.extend_from_slice(&kind.to_be_bytes());
        wire.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        wire.extend_from_slice(&(data.len() as u16).to_be_bytes());
        wire.extend_from_slice(data);
    }
    wire
}

fn ask(id: u16, asked: &str, kind: u16) -> Vec<u8> {
    message(id, QUESTION_BIT, asked, kind, &[])
}

#[derive(Default)]
struct Talk {
    tracker: DnsTracker,
    out: Vec<DnsQuery>,
}

impl Talk {
    fn write(&mut self, bytes: &[u8], time_ns: u64) -> &mut Self {
        self.tracker.message(Direction::Write, bytes, time_ns, 1, &mut self.out);
        self
    }

    fn read(&mut self, bytes: &[u8], time_ns: u64) -> &mut Self {
        self.tracker.message(Direction::Read, bytes, time_ns, 1, &mut self.out);
        self
    }
}

#[test]
fn a_question_and_its_answer() {
    let mut talk = Talk::default();
    let answer = message(
        7,
        ANSWER_BITS,
        "www.Example.test",
        1,
        &[
            (5, &name("cdn.example.test")),
            (1, &[192, 0, 2, 1]),
            (28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ],
    );
    talk.write(&ask(7, "www.example.test", 1), 100).read(&answer, 350);
    let expected = DnsQuery {
        role: Role::Client,
        name: "www.example.test".into(),
        kind: "A".into(),
        class: "IN".into(),
        rcode: Some("NOERROR".into()),
        answers: vec!["cdn.example.test".into(), "192.0.2.1".into(), "2001:db8::1".into()],
        start_ns: 100,
        duration_ns: Some(250),
    };
    assert_eq!(talk.out, [expected]);
}

#[test]
fn a_server_is_asked_and_answers() {
    let mut talk = Talk::default();
    talk.read(&ask(7, "a.test", 28), 1).write(&message(7, ANSWER_BITS | 3, "a.test", 28, &[]), 2);
    let told: Vec<_> = talk.out.iter().map(|one| (one.role, one.rcode.as_deref(), one.kind.as_str())).collect();
    assert_eq!(told, [(Role::Server, Some("NXDOMAIN"), "AAAA")]);
}

#[test]
fn an_answer_needs_its_own_question() {
    let mut talk = Talk::default();
    talk.write(&ask(7, "a.test", 1), 1)
        .read(&message(8, ANSWER_BITS, "a.test", 1, &[]), 2)
        .read(&message(7, ANSWER_BITS, "b.test", 1, &[]), 2)
        .read(&message(7, ANSWER_BITS, "a.test", 28, &[]), 2);
    talk.tracker.message(Direction::Read, &message(7, ANSWER_BITS, "a.test", 1, &[]), 2, 99, &mut talk.out);
    assert_eq!(talk.out, []);
    talk.read(&message(7, ANSWER_BITS, "a.test", 1, &[]), 3).read(&message(7, ANSWER_BITS, "a.test", 1, &[]), 4);
    assert_eq!(talk.out.len(), 1);
}

#[test]
fn two_questions_of_one_id_and_a_question_asked_again() {
    let mut talk = Talk::default();
    talk.write(&ask(7, "a.test", 1), 1).write(&ask(7, "a.test", 28), 2).write(&ask(7, "a.test", 1), 3);
    talk.read(&message(7, ANSWER_BITS, "a.test", 28, &[]), 4).read(&message(7, ANSWER_BITS, "a.test", 1, &[]), 5);
    let told: Vec<_> = talk.out.iter().map(|one| (one.kind.as_str(), one.duration_ns)).collect();
    assert_eq!(told, [("AAAA", Some(2)), ("A", Some(4))]);
}

#[test]
fn a_question_without_answer_is_told_after_its_time() {
    let mut talk = Talk::default();
    talk.write(&ask(7, "a.test", 1), 10);
    talk.tracker.expire(9 + TIMEOUT_NS, &mut talk.out);
    assert_eq!(talk.out, []);
    talk.tracker.expire(10 + TIMEOUT_NS, &mut talk.out);
    assert_eq!((talk.out.len(), &talk.out[0].rcode, talk.out[0].duration_ns), (1, &None, None));
    talk.write(&ask(8, "b.test", 1), 10);
    talk.tracker.close(1, &mut talk.out);
    assert_eq!(talk.out[1].name, "b.test");
}

#[test]
fn types_and_codes_without_a_name_have_numbers() {
    let mut talk = Talk::default();
    talk.write(&ask(7, ".", 65280), 1).read(&message(7, ANSWER_BITS, ".", 65280, &[(65280, &[0xab, 0xcd])]), 2);
    assert_eq!((talk.out[0].name.as_str(), talk.out[0].kind.as_str()), (".", "TYPE65280"));
    assert_eq!(talk.out[0].answers, ["\\# 2 ab cd"]);
}

#[test]
fn a_cut_answer_tells_what_it_has() {
    let answer = message(7, ANSWER_BITS, "a.test", 1, &[(1, &[192, 0, 2, 1]), (1, &[192, 0, 2, 2])]);
    let mut talk = Talk::default();
    talk.write(&ask(7, "a.test", 1), 1).read(&answer[..answer.len() - 3], 2);
    assert_eq!(talk.out[0].answers, ["192.0.2.1"]);
}

#[test]
fn answers_and_questions_are_bounded() {
    let records: Vec<(u16, &[u8])> = vec![(1, &[192, 0, 2, 1]); 40];
    let mut talk = Talk::default();
    talk.write(&ask(7, "a.test", 1), 1).read(&message(7, ANSWER_BITS, "a.test", 1, &records), 2);
    assert_eq!(talk.out[0].answers.len(), MAX_ANSWERS);
    let text = [&[255u8][..], &[b'x'; 255]].concat().repeat(8);
    talk.write(&ask(8, "a.test", 16), 1).read(&message(8, ANSWER_BITS, "a.test", 16, &[(16, &text)]), 2);
    assert!(talk.out[1].answers[0].len() <= MAX_ANSWER_BYTES);
    for id in 0..MAX_WAITING as u16 + 5 {
        talk.write(&ask(id, "b.test", 1), 3);
    }
    assert_eq!(talk.out.len(), 2 + 5);
}

#[test]
fn hostile_names_end() {
    let mut talk = Talk::default();
    let mut loops = ask(7, "a.test", 1);
    loops.truncate(12);
    loops.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    talk.write(&loops, 1).write(&loops[..11], 1).write(&[], 1);
    talk.tracker.close(1, &mut talk.out);
    assert_eq!(talk.out, []);
}

#[test]
fn a_stream_has_messages_behind_their_lengths() {
    let messages = [ask(1, "a.test", 1), ask(2, "b.test", 1)];
    let wire: Vec<u8> = messages.iter().flat_map(|one| [&(one.len() as u16).to_be_bytes()[..], one].concat()).collect();
    for size in 1..wire.len() {
        let (mut stream, mut found) = (DnsStream::default(), Vec::new());
        for part in wire.chunks(size) {
            stream.feed(part, part.len() as u64, |message| found.push(message.to_vec()));
        }
        assert_eq!(found, messages);
    }
}

#[test]
fn a_stream_ends_where_its_bytes_were_not_captured() {
    let (mut stream, mut found) = (DnsStream::default(), Vec::new());
    stream.feed(b"\x00\x01a\x00\x09cut", 12, |message| found.push(message.to_vec()));
    stream.feed(b"\x00\x01b", 3, |message| found.push(message.to_vec()));
    assert_eq!(found, [b"a".to_vec(), b"cut".to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(calls in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20)) {
        let mut talk = Talk::default();
        for (read, bytes) in &calls {
            if *read { talk.read(bytes, 1) } else { talk.write(bytes, 1) };
        }
    }

    /// A true answer with a few bytes changed: whatever is told stays within its bounds.
    #[test]
    fn damaged_answers_are_survived(
        kind in 0..300u16,
        data in prop::collection::vec(any::<u8>(), 0..60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut answer = message(7, ANSWER_BITS, "a.test", 1, &[(kind, &data), (kind, &data)]);
        for (at, byte) in damage {
            let at = at.index(answer.len());
            answer[at] = byte;
        }
        let mut talk = Talk::default();
        talk.write(&ask(7, "a.test", 1), 1).read(&answer, 2);
        for query in &talk.out {
            prop_assert!(query.answers.len() <= MAX_ANSWERS);
            prop_assert!(query.answers.iter().all(|text| text.len() <= MAX_ANSWER_BYTES));
        }
    }
}
