//! A ring in a file, the session over it, and its events as JSON values.
use crate::clock::ticks;
use crate::config::Config;
use crate::event_writer::Delivery;
use crate::session::{Ending, Session};
use crate::synthetic::{Call, SyntheticRing};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub const RING_BYTES: u64 = 1 << 16;
const CAPTURE: &str = r#"{"fs":{},"net":{},"dns":{},"http":{"headers":["x-id"]},"console":{"mode":"Lines"}}"#;

pub fn scratch_ring(ring_count: u32, ring_bytes: u64) -> SyntheticRing {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("scope-ring-{}-{number}", std::process::id()));
    SyntheticRing::create(&path, ring_count, ring_bytes).expect("a scratch file")
}

/// No process has it.
const NOBODY: u32 = i32::MAX as u32;

/// Of a process that does not exist: nothing is adopted.
pub fn session_of(ring: &SyntheticRing) -> Session {
    session_of_process(ring, NOBODY)
}

fn session_of_process(ring: &SyntheticRing, pid: u32) -> Session {
    let json = format!(
        r#"{{"pid":{pid},"ring":"{}","process":{{"pid":1}},"capture":{CAPTURE},"progressSeconds":3600}}"#,
        ring.path().display()
    );
    let config = Config::parse(json.as_bytes()).expect("well formed");
    Session::open(config, &Arc::default()).unwrap_or_else(|refusal| panic!("{}: {}", refusal.reason, refusal.message))
}

pub struct Scene {
    pub ring: SyntheticRing,
    pub session: Session,
}

impl Scene {
    pub fn new(ring_count: u32) -> Self {
        let ring = scratch_ring(ring_count, RING_BYTES);
        let session = session_of(&ring);
        Self { ring, session }
    }

    /// Of this process: looks from outside see its descriptors. What it has open is adopted.
    pub fn of_this_process() -> Self {
        let mut scene = Self::of_this_process_with(&[]);
        scene.events();
        scene
    }

    pub fn of_process(pid: u32) -> Self {
        let ring = scratch_ring(1, RING_BYTES);
        let session = session_of_process(&ring, pid);
        Self { ring, session }
    }

    /// Of this one, with records that wait when it begins.
    pub fn of_this_process_with(calls: &[Call]) -> Self {
        let mut scene = Self::of_process(std::process::id());
        scene.write(calls);
        scene
    }

    pub fn write(&mut self, calls: &[Call]) {
        for call in calls {
            assert!(self.ring.write(0, call).expect("the file takes it"), "the ring is full");
        }
    }

    /// Drains and gives the events that came of it.
    pub fn events(&mut self) -> Vec<Value> {
        std::thread::sleep(Duration::from_micros(200));
        while self.session.step().more {}
        self.lines()
    }

    pub fn end(&mut self) -> Vec<Value> {
        self.end_as(Ending::Detached)
    }

    pub fn end_as(&mut self, ending: Ending) -> Vec<Value> {
        while !self.session.end(ending) {}
        self.lines()
    }

    fn lines(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        self.session.deliver(|Delivery { bytes, events: count, .. }| {
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                events.push(serde_json::from_slice(line).expect("each line is JSON"));
            }
            assert_eq!(events.len() as u64, count);
        });
        events
    }

    /// Writes, drains, and gives the events' names.
    pub fn names_after(&mut self, calls: &[Call]) -> Vec<String> {
        self.write(calls);
        names(&self.events())
    }
}

pub fn names(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Some ticks ago.
pub fn ago(ticks_ago: u64) -> u64 {
    ticks() - ticks_ago
}
