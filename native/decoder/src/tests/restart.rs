//! A decoder that is gone without a word, and the next one on the same ring: what the first told, what the second tells and
//! what is lost between are all that happened, whatever the moment.
use super::support::{RING_BYTES, scratch_ring};
use crate::call;
use crate::config::Config;
use crate::cursor::MARK_BYTES;
use crate::event_writer::Delivery;
use crate::session::{Ending, Session};
use crate::synthetic::{Call, SyntheticRing};
use proptest::prelude::*;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What is kept outside of the decoder: lines, and the mark behind the last of them.
#[derive(Default)]
struct Kept {
    lines: Vec<Value>,
    mark: Option<String>,
}

impl Kept {
    fn deliver(&mut self, session: &mut Session) {
        session.deliver(|Delivery { bytes, events, .. }| {
            let (lines, mark) = bytes.split_at(bytes.len() - MARK_BYTES);
            let before = self.lines.len();
            for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                self.lines.push(serde_json::from_slice(line).expect("each line is JSON"));
            }
            assert_eq!((self.lines.len() - before) as u64, events);
            self.mark = Some(mark.iter().map(|byte| format!("{byte:02x}")).collect());
        });
    }

    fn sum(&self, of: impl Fn(&Value) -> &Value) -> u64 {
        self.lines.iter().map(|line| of(line).as_u64().unwrap_or_default()).sum()
    }

    fn lost(&self, name: &str) -> u64 {
        self.sum(|line| &line["lost"][name])
    }
}

struct Lives {
    ring: SyntheticRing,
    cursor: PathBuf,
    kept: Kept,
}

impl Lives {
    fn new() -> Self {
        let ring = scratch_ring(2, RING_BYTES);
        let cursor = ring.path().with_extension("cursor");
        Self { ring, cursor, kept: Kept::default() }
    }

    fn open(&self, capture: &str, resumes: bool) -> Session {
        let resume = match (&self.kept.mark, resumes) {
            (Some(mark), true) => format!(r#","resume":{{"mark":"{mark}"}}"#),
            (None, true) => r#","resume":{}"#.to_owned(),
            _ => String::new(),
        };
        let json = format!(
            r#"{{"pid":2147483647,"ring":"{}","process":{{}},"capture":{capture},"progressSeconds":3600,"cursor":"{}"{resume}}}"#,
            self.ring.path().display(),
            self.cursor.display()
        );
        let config = Config::parse(json.as_bytes()).expect("well formed");
        Session::open(config, &Arc::default()).unwrap_or_else(|refusal| panic!("{}", refusal.message))
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.cursor));
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Read(u32, u32),
    Write(u32, u32),
    Close(u32),
    /// The payload finds no room for a read of so much.
    Lose(u32),
    Step,
    Deliver,
    Die,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (3u32..8, 0u32..5000).prop_map(|(fd, bytes)| Act::Read(fd, bytes)),
        6 => (3u32..8, 0u32..5000).prop_map(|(fd, bytes)| Act::Write(fd, bytes)),
        3 => (3u32..8).prop_map(Act::Close),
        1 => (1u32..5000).prop_map(Act::Lose),
        4 => Just(Act::Step),
        2 => Just(Act::Deliver),
        2 => Just(Act::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_told_twice_and_nothing_is_missing(acts in proptest::collection::vec(act(), 1..60)) {
        let mut lives = Lives::new();
        let mut session = lives.open(r#"{"fs":{}}"#, false);
        let (mut read, mut written, mut calls, mut missed) = (0, 0, 0, 0);
        for (number, act) in acts.iter().enumerate() {
            match *act {
                Act::Read(fd, bytes) => {
                    lives.ring.write(number % 2, &Call::post(call::READ, fd, i64::from(bytes))).expect("written");
                    (read, calls) = (read + u64::from(bytes), calls + 1);
                }
                Act::Write(fd, bytes) => {
                    lives.ring.write(number % 2, &Call::post(call::WRITE, fd, i64::from(bytes))).expect("written");
                    (written, calls) = (written + u64::from(bytes), calls + 1);
                }
                Act::Close(fd) => {
                    lives.ring.write(number % 2, &Call::pre(call::CLOSE, fd)).expect("written");
                }
                Act::Lose(bytes) => {
                    for (counter, count) in [(0, 1), (1, 1), (2, u64::from(bytes))] {
                        lives.ring.lose(number % 2, counter, count).expect("written");
                    }
                    missed += u64::from(bytes);
                }
                Act::Step => {
                    std::thread::sleep(std::time::Duration::from_micros(20));
                    session.step();
                }
                Act::Deliver => lives.kept.deliver(&mut session),
                Act::Die => session = lives.open(r#"{"fs":{}}"#, true),
            }
        }
        while !session.end(Ending::Detached) {}
        lives.kept.deliver(&mut session);
        let kept = &lives.kept;
        let told = |name: &'static str| kept.sum(|line| &line["attributes"][name]);
        prop_assert_eq!(told("scope.fs.read.bytes") + kept.lost("untoldReadBytes"), read);
        prop_assert_eq!(told("scope.fs.write.bytes") + kept.lost("untoldWriteBytes"), written);
        let untold = kept.lost("untoldReadCalls") + kept.lost("untoldWriteCalls");
        prop_assert_eq!(told("scope.fs.read.calls") + told("scope.fs.write.calls") + untold, calls);
        // What was missed last may have found no line to stand on: the session's totals have it.
        let lost: Value = serde_json::from_str(&session.stats().to_json()).expect("JSON");
        prop_assert_eq!(lost["lost"]["readBytes"].as_u64().unwrap_or_default(), missed);
        prop_assert!(kept.lost("readBytes") <= missed);
        prop_assert_eq!(kept.lost("corrupt") + kept.lost("abandoned"), 0);
    }
}

#[test]
fn the_next_one_says_since_when_nobody_read_and_begins_where_the_last_one_ended() {
    let mut lives = Lives::new();
    let mut session = lives.open(r#"{"fs":{}}"#, false);
    lives.ring.write(0, &Call::post(call::READ, 5, 100)).expect("written");
    std::thread::sleep(std::time::Duration::from_micros(200));
    session.step();
    drop(session);
    lives.ring.write(0, &Call::post(call::READ, 5, 7)).expect("written");
    let mut session = lives.open(r#"{"fs":{}}"#, true);
    std::thread::sleep(std::time::Duration::from_micros(200));
    while !session.end(Ending::Detached) {}
    lives.kept.deliver(&mut session);
    let [gap, close] = lives.kept.lines.as_slice() else { panic!("{:?}", lives.kept.lines) };
    assert_eq!((&gap["event"], &gap["attributes"]["scope.lost.where"]), (&"scope.lost".into(), &"agent".into()));
    assert!(gap["attributes"]["scope.lost.since"].as_str() < gap["time"].as_str());
    assert_eq!(gap["lost"], serde_json::json!({"untoldReadCalls": 1, "untoldReadBytes": 100}));
    assert_eq!(close["attributes"]["scope.fs.read.bytes"], 7);
}

#[test]
fn a_close_that_is_not_asked_for_is_not_missed() {
    let mut lives = Lives::new();
    let mut session = lives.open(r#"{"net":{}}"#, false);
    lives.ring.write(0, &Call::post(call::READ, 5, 100)).expect("written");
    std::thread::sleep(std::time::Duration::from_micros(200));
    session.step();
    drop(session);
    let mut session = lives.open(r#"{"net":{}}"#, true);
    session.step();
    lives.kept.deliver(&mut session);
    assert!(lives.kept.lines[0].get("lost").is_none(), "{:?}", lives.kept.lines);
}

#[test]
fn without_a_cursor_it_says_that_it_does_not_know() {
    let mut lives = Lives::new();
    lives.ring.write(0, &Call::post(call::READ, 5, 100)).expect("written");
    std::fs::write(&lives.cursor, b"something else").expect("written");
    let mut session = lives.open(r#"{"fs":{}}"#, true);
    session.step();
    lives.kept.deliver(&mut session);
    assert_eq!(lives.kept.lines[0]["attributes"]["scope.lost.exact"], false);
}
