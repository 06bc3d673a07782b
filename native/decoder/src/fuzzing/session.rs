//! A whole session over rings that a hostile target writes: anything in records that are committed as they should be,
//! and anything at all anywhere.
use super::input::Input;
use crate::config::Config;
use crate::event_writer::Delivery;
use crate::session::{Ending, Session};
use crate::synthetic::{Call, SyntheticRing};
use scope_abi as abi;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const RINGS: usize = 2;
const RING_BYTES: u64 = 8192;
/// Ended with a step's `more` it may go on for ever: never more often than this.
const MOST_STEPS: usize = 1000;
const CAPTURE: &str = r#"{"fs":{"exclude":["/proc/*"]},"net":{},"dns":{},"http":{"headers":["x-id"],"redact":["cookie"]},"console":{"mode":"Lines"}}"#;
/// The calls that are acted on; bytes pick from them.
const NUMBERS: [u16; 48] = {
    use crate::call::*;
    [
        READ,
        WRITE,
        OPEN,
        CLOSE,
        PREAD64,
        PWRITE64,
        READV,
        WRITEV,
        PIPE,
        DUP,
        DUP2,
        SENDFILE,
        SOCKET,
        CONNECT,
        ACCEPT,
        SENDTO,
        RECVFROM,
        SENDMSG,
        RECVMSG,
        SHUTDOWN,
        BIND,
        LISTEN,
        SOCKETPAIR,
        CLONE,
        FORK,
        VFORK,
        EXECVE,
        EXIT,
        FCNTL,
        RENAME,
        CREAT,
        UNLINK,
        EXIT_GROUP,
        OPENAT,
        UNLINKAT,
        RENAMEAT,
        SPLICE,
        ACCEPT4,
        DUP3,
        PIPE2,
        RECVMMSG,
        SENDMMSG,
        RENAMEAT2,
        COPY_FILE_RANGE,
        CLONE3,
        CLOSE_RANGE,
        OPENAT2,
        EXECVEAT,
    ]
};

fn scratch() -> PathBuf {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("scope-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()))
}

fn open(ring: &SyntheticRing) -> Result<Session, crate::opening::Refusal> {
    let json = format!(
        r#"{{"pid":2147483647,"ring":"{}","process":{{"pid":1}},"capture":{CAPTURE},"progressSeconds":1}}"#,
        ring.path().display()
    );
    let config = Config::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    Session::open(config, &Arc::default())
}

/// A record that is as it should be, but for what it says.
fn call(input: &mut Input, time: u64) -> Call {
    let number = match input.byte() {
        byte @ 0..0xf0 => NUMBERS[usize::from(byte) % NUMBERS.len()],
        _ => input.number() as u16,
    };
    let shape = input.byte();
    let a1 = input.number() as u32;
    let mut call = if shape & 1 == 0 {
        Call::pre(number, a1)
    } else {
        let result = input.number();
        Call::post(number, a1, if shape & 2 == 0 { result as i64 } else { (result as i64).wrapping_neg() })
    };
    if shape & 4 != 0 {
        call = call.a2(input.number()).a3(input.number()).a4(input.number() as u32);
    }
    call = call.thread(u64::from(shape >> 6)).at(time);
    for _ in 0..(shape >> 3) & 3 {
        let kind = input.byte();
        call = call.chunk(u16::from(kind & 15), u16::from(kind >> 4), input.bytes());
    }
    call
}

/// Lets the bytes say what happens to two rings, and when they are read.
pub fn ring(bytes: &[u8]) {
    let path = scratch();
    let Ok(mut ring) = SyntheticRing::create(&path, RINGS as u32, RING_BYTES) else { panic!("no scratch file") };
    let Ok(mut session) = open(&ring) else { panic!("a ring that is well formed is refused") };
    let mut input = Input::new(bytes);
    let mut time = 1;
    while !input.is_empty() {
        let what = input.byte();
        let number = usize::from(what & 1);
        let done = match what >> 1 & 31 {
            // A ring that is full takes nothing: the session empties it.
            0..20 => {
                time += u64::from(what >> 6);
                ring.write(number, &call(&mut input, time)).map(|taken| {
                    if !taken {
                        session.step();
                    }
                })
            }
            20..23 => {
                let mut bytes = input.bytes().to_vec();
                bytes.resize(bytes.len().clamp(64, 1024).next_multiple_of(16), 0);
                ring.reserve(number, bytes.len() as u64).and_then(|position| {
                    let Some(position) = position else { return Ok(()) };
                    bytes[..8].copy_from_slice(&(position ^ ring.key).to_le_bytes());
                    ring.put_bytes(number, position, &bytes)
                })
            }
            23 => ring.reserve(number, 64 + input.number() % 8 * 16).map(drop),
            24 => ring.lose(number, usize::from(input.byte() % 11), input.number()),
            25 => ring.set_head(number, input.word()),
            26 => {
                let offset = input.number() % (RING_BYTES - 256);
                ring.put_bytes(number, offset, input.bytes())
            }
            27 => ring.set_phase(u32::from(input.byte() & 7)),
            28 => {
                session.ask_flush(1);
                Ok(())
            }
            29 => {
                session.know_what_waits();
                Ok(())
            }
            _ => {
                session.step();
                Ok(())
            }
        };
        if let Err(error) = done {
            panic!("the scratch file: {error}");
        }
        check(&mut session);
    }
    let endings = [Ending::Detached, Ending::Exited, Ending::Exec];
    for _ in 0..MOST_STEPS {
        let is_over = session.end(endings[bytes.len() % endings.len()]);
        check(&mut session);
        if is_over {
            return;
        }
    }
    panic!("it does not end");
}

/// A summary, as far as it is checked.
#[derive(serde::Deserialize)]
struct Told {
    events: BTreeMap<String, u64>,
    exchanges: Vec<ToldKind>,
}

#[derive(serde::Deserialize)]
struct ToldKind {
    ns: Vec<u64>,
}

/// Every line is JSON, and there are as many as it says.
fn check(session: &mut Session) {
    session.deliver(|Delivery { bytes, events, summary }| {
        let mut lines = 0;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(line) {
                panic!("{error}: {}", String::from_utf8_lossy(line));
            }
            lines += 1;
        }
        assert_eq!(lines, events);
        let summary: Told = match serde_json::from_slice(summary) {
            Ok(summary) => summary,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(summary)),
        };
        assert_eq!(summary.events.values().sum::<u64>(), events);
        let exchanges: usize = summary.exchanges.iter().map(|kind| kind.ns.len()).sum();
        assert_eq!(exchanges as u64, summary.events.get("http.exchange").copied().unwrap_or_default());
    });
}

/// The header itself, before it is opened.
pub fn header(bytes: &[u8]) {
    let path = scratch();
    let Ok(mut ring) = SyntheticRing::create(&path, RINGS as u32, RING_BYTES) else { panic!("no scratch file") };
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let offset = u64::from(input.byte()) % (size_of::<abi::Shared>() as u64 / 8) * 8;
        let word = input.word();
        if let Err(error) = ring.scribble(offset, &word.to_le_bytes()) {
            panic!("the scratch file: {error}");
        }
    }
    if let Ok(mut session) = open(&ring) {
        session.step();
        check(&mut session);
    }
}
