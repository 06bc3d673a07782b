//! How fast rings are read, for four mixes of records: a line of JSON each. `bench-decode [SHARE]`: a SHARE-th of the
//! records. The ring is filled, then drained, by turns: only the hub's thread is timed (its CPU clock), and all that it
//! does, from the ring to finished lines.
//!   reads        of 64 bytes, from a connection that speaks no protocol we know
//!   writes       of 64 bytes to it: a record before the call with the data, one behind it
//!   exchanges    of HTTP/1.1 on one connection: a read, a write's two records
//!   connections  of one such exchange each: accepted and closed as well, three events
use scope_decoder::synthetic::{Call, SyntheticRing, sockaddr_in};
use scope_decoder::{BatchKind, Hub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const READ: u16 = 0;
const WRITE: u16 = 1;
const CLOSE: u16 = 3;
const SOCKET: u16 = 41;
const ACCEPT4: u16 = 288;
const RING_BYTES: u64 = 4 << 20;
const REQUEST: &[u8] = b"GET /orders/17?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nX-Request-Id: 0123456789abcdef\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: 27\r\nConnection: keep-alive\r\n\r\n{\"orders\":[1,2,3,4,5,6,7]}\n";

/// CPU time of the thread that calls the callback, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Run {
    records: u64,
    events: u64,
    bytes: u64,
    cpu_ns: u64,
}

/// Writes `rounds` times the records that `round` makes, as fast as the ring takes them.
fn run(name: &str, setup: &[Call], round: &[Call], rounds: usize) -> Run {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("scope-bench-{}-{name}", std::process::id()));
    let mut ring = SyntheticRing::create(&path, 1, RING_BYTES).expect("a scratch file");
    let (events, bytes, cpu, ended) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let seen = (Arc::clone(&events), Arc::clone(&bytes), Arc::clone(&cpu), Arc::clone(&ended));
    let batches = Arc::<AtomicU64>::default();
    let handed_on = Arc::clone(&batches);
    let hub = Hub::new(u32::MAX, move |batch| {
        seen.2.store(thread_cpu_ns(), Ordering::Release);
        handed_on.fetch_add(1, Ordering::AcqRel);
        match batch.kind {
            BatchKind::Events => {
                seen.0.fetch_add(batch.events, Ordering::AcqRel);
                seen.1.fetch_add(batch.bytes.len() as u64, Ordering::AcqRel);
            }
            BatchKind::End => {
                if std::env::var_os("BENCH_COUNTS").is_some() {
                    println!("{}", String::from_utf8_lossy(batch.bytes));
                }
                seen.3.store(1, Ordering::Release);
            }
        }
    })
    .expect("a thread");
    let config = format!(
        r#"{{"pid":2147483647,"ring":"{}","process":{{"pid":4242,"name":"bench","executable":"/usr/bin/bench","container":"app","pod":"bench-7d9f","namespace":"shop","node":"node-1"}},"capture":{{"fs":{{}},"net":{{}},"http":{{"headers":["x-request-id"]}}}}}}"#,
        path.display()
    );
    let session = hub.open(config.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    ring.write_all(0, setup).expect("written");
    let mut taken = 0;
    let mut acknowledge = || {
        while taken < batches.load(Ordering::Acquire) {
            hub.ack();
            taken += 1;
        }
    };
    let chunk: Vec<Call> = round.iter().cycle().take(round.len() * rounds.min(5_000)).cloned().collect();
    let total = round.len() * rounds;
    let mut written = 0;
    while written < total {
        let at = written % chunk.len();
        let until = chunk.len().min(at + total - written);
        let now = ring.write_all(0, &chunk[at..until]).expect("written");
        acknowledge();
        if now == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        written += now;
    }
    hub.close(session);
    while ended.load(Ordering::Acquire) == 0 {
        acknowledge();
        std::thread::sleep(Duration::from_millis(1));
    }
    Run {
        records: (written + setup.len()) as u64,
        events: events.load(Ordering::Acquire),
        bytes: bytes.load(Ordering::Acquire),
        cpu_ns: cpu.load(Ordering::Acquire),
    }
}

fn report(mix: &str, run: &Run) {
    let Run { records, events, bytes, cpu_ns } = run;
    println!(r#"{{"mix":"{mix}","records":{records},"events":{events},"bytes":{bytes},"cpuNs":{cpu_ns}}}"#);
}

fn main() {
    let share: usize = std::env::args().nth(1).map_or(1, |word| word.parse().expect("a number"));
    let accept = || Call::post(ACCEPT4, 3, 4).address(&sockaddr_in([127, 0, 0, 1], 5555));
    let setup = [Call::post(SOCKET, 2, 3).a2(1), accept()];
    let small = [Call::post(READ, 4, 64).data(&[b'x'; 64])];
    report("reads", &run("reads", &setup, &small, 6_000_000 / share));
    let pairs = [Call::pre(WRITE, 4).a2(1).data(&[b'x'; 64]), Call::post(WRITE, 4, 64).a2(1)];
    report("writes", &run("writes", &setup, &pairs, 3_000_000 / share));
    let exchange = [
        Call::post(READ, 4, REQUEST.len() as i64).a3(4096).data(REQUEST),
        Call::pre(WRITE, 4).a2(1).data(ANSWER),
        Call::post(WRITE, 4, ANSWER.len() as i64).a2(1),
    ];
    report("exchanges", &run("exchanges", &setup, &exchange, 400_000 / share));
    let [request, answer, answered] = exchange;
    let connection = [accept(), request, answer, answered, Call::pre(CLOSE, 4)];
    report("connections", &run("connections", &setup[..1], &connection, 200_000 / share));
}
