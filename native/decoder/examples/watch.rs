//! Watches one ring without the agent: `watch PID RING [SECONDS]`. Lines on stdout, the end and the counts on stderr.
use scope_decoder::{BatchKind, Hub};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, pid, ring, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: watch PID RING [SECONDS]");
        std::process::exit(64);
    };
    let seconds = rest.first().and_then(|text| text.parse().ok()).unwrap_or(5.0);
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = Arc::clone(&ended);
    let hub = Hub::new(u32::MAX, move |batch| match batch.kind {
        // A closed pipe ends the show.
        BatchKind::Events => drop(std::io::stdout().write_all(batch.bytes)),
        BatchKind::End => {
            eprintln!("{}", String::from_utf8_lossy(batch.bytes));
            has_ended.store(true, Ordering::Release);
        }
    })
    .expect("a thread");
    let config = format!(
        r#"{{"pid":{pid},"ring":"{ring}","process":{{"pid":{pid}}},"capture":{{"fs":{{}},"net":{{}},"dns":{{}},"http":{{"headers":["x-request-id"]}},"console":{{"mode":"Lines"}}}},"progressSeconds":2}}"#
    );
    match hub.open(config.as_bytes()) {
        Ok(session) => {
            let mut left = seconds;
            while left > 0.0 && !ended.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(50));
                left -= 0.05;
            }
            hub.close(session);
            while !ended.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Err(refusal) => {
            eprintln!("{refusal:?}");
            std::process::exit(1);
        }
    }
}
