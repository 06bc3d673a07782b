//! Whatever a target writes into its ring, the decoder neither panics nor stays in a loop.
use super::support::{Scene, scratch_ring, session_of};
use crate::call;
use crate::synthetic::{Call, sockaddr_in};
use proptest::prelude::*;
use scope_abi as abi;

const NUMBERS: &[u16] = &[
    call::READ,
    call::WRITE,
    call::OPEN,
    call::CLOSE,
    call::WRITEV,
    call::PIPE,
    call::DUP,
    call::DUP2,
    call::SENDFILE,
    call::SOCKET,
    call::CONNECT,
    call::ACCEPT,
    call::SENDTO,
    call::RECVFROM,
    call::RECVMSG,
    call::SHUTDOWN,
    call::BIND,
    call::LISTEN,
    call::SOCKETPAIR,
    call::CLONE,
    call::VFORK,
    call::EXECVE,
    call::EXIT,
    call::FCNTL,
    call::RENAME,
    call::UNLINK,
    call::EXIT_GROUP,
    call::OPENAT,
    call::SPLICE,
    call::ACCEPT4,
    call::RECVMMSG,
    call::SENDMMSG,
    call::COPY_FILE_RANGE,
    call::CLONE3,
    call::CLOSE_RANGE,
    call::OPENAT2,
];

fn chunk() -> impl Strategy<Value = (u16, u16, Vec<u8>)> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        Just(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".to_vec()),
        Just(sockaddr_in([1, 2, 3, 4], 53)),
    ];
    (0u16..9, 0u16..3, bytes)
}

fn any_call() -> impl Strategy<Value = Call> {
    let result = prop_oneof![-200i64..20, any::<i64>()];
    let small = || prop_oneof![0u64..12, any::<u64>()];
    let parts = (
        proptest::sample::select(NUMBERS),
        any::<bool>(),
        prop_oneof![0u32..12, any::<u32>()],
        result,
        small(),
        small(),
        proptest::collection::vec(chunk(), 0..4),
        0u64..3,
    );
    parts.prop_map(|(number, is_pre, a1, result, a2, a3, chunks, who)| {
        let call = if is_pre { Call::pre(number, a1) } else { Call::post(number, a1, result) };
        let call = call.a2(a2).a3(a3).a4(a3 as u32).thread(who);
        chunks.into_iter().fold(call, |call, (kind, index, bytes)| call.chunk(kind, index, &bytes))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_well_formed_records(calls in proptest::collection::vec(any_call(), 1..80)) {
        let mut scene = Scene::new(2);
        for (number, call) in calls.iter().enumerate() {
            scene.ring.write(number % 2, call).expect("the file takes it");
        }
        scene.events();
        scene.end();
    }

    #[test]
    fn any_bytes_over_what_was_well_formed(
        calls in proptest::collection::vec(any_call(), 1..40),
        scribbles in proptest::collection::vec((any::<proptest::sample::Index>(), any::<[u8; 8]>()), 1..40),
        head in prop_oneof![Just(None), any::<u64>().prop_map(Some), (0u64..20_000).prop_map(|n| Some(n * 16))],
    ) {
        let mut ring = scratch_ring(1, 8192);
        let mut session = session_of(&ring);
        for call in &calls {
            ring.write(0, call).expect("the file takes it");
        }
        let length = ring.len().expect("a length") as usize;
        // Not the header: it was read, and what is changed afterwards is not looked at again. The ring itself, densely.
        let start = length - 8192;
        for (at, bytes) in &scribbles {
            ring.scribble((start + at.index(8192 - 8)) as u64, bytes).expect("written");
        }
        if let Some(head) = head {
            ring.set_head(0, head).expect("written");
        }
        let mut scene = Scene { ring, session: { session.step(); session } };
        scene.events();
        scene.end();
    }

    #[test]
    fn any_header(words in proptest::collection::vec((0usize..40, any::<u64>()), 0..6)) {
        let mut ring = scratch_ring(1, 4096);
        for (index, word) in words {
            ring.scribble(8 * index as u64, &word.to_le_bytes()).expect("written");
        }
        let json = format!(r#"{{"pid":2147483647,"ring":"{}","process":{{}}}}"#, ring.path().display());
        let config = crate::config::Config::parse(json.as_bytes()).expect("well formed");
        if let Ok(mut session) = crate::session::Session::open(config, &std::sync::Arc::default()) {
            session.step();
        }
    }
}

#[test]
fn a_chunk_that_claims_too_much_ends_the_list() {
    let mut bytes = Call::post(call::READ, 1, 5).data(b"12345").bytes(0);
    let length_at = size_of::<abi::Record>() + 4;
    bytes[length_at..length_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let record = crate::record::Record::parse(&bytes, 1).expect("a record");
    assert_eq!(record.chunk(abi::CHUNK_DATA), None);
}
