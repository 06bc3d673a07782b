use super::support::{Scene, names};
use crate::call;
use crate::synthetic::{Call, sockaddr_in};
use scope_abi as abi;

fn socket(kind: u64, fd: i64) -> Call {
    Call::post(call::SOCKET, 2, fd).a2(kind)
}

fn client(result: i64) -> [Call; 3] {
    let address = sockaddr_in([10, 0, 0, 9], 8080);
    [socket(1, 5), Call::pre(call::CONNECT, 5).address(&address), Call::post(call::CONNECT, 5, result)]
}

#[test]
fn a_connection_from_its_opening_to_its_close() {
    let mut scene = Scene::new(1);
    scene.write(&client(0));
    scene.write(&[
        Call::post(call::RECVFROM, 5, 20),
        Call::post(call::RECVFROM, 5, 20).a4(2), // a peek
        Call::post(call::RECVFROM, 5, 0).a3(20),
        Call::post(call::SENDTO, 5, 30),
        Call::pre(call::CLOSE, 5),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.open", "net.close"]);
    let opened = &events[0]["attributes"];
    assert_eq!(opened["network.peer.address"], "10.0.0.9");
    assert_eq!(opened["network.peer.port"], 8080);
    assert_eq!((&opened["network.transport"], &opened["scope.net.role"]), (&"tcp".into(), &"client".into()));
    let closed = &events[1]["attributes"];
    assert_eq!((&closed["scope.net.receive.bytes"], &closed["scope.net.transmit.bytes"]), (&20.into(), &30.into()));
    assert_eq!((&closed["scope.net.receive.calls"], &closed["scope.net.transmit.calls"]), (&2.into(), &1.into()));
    assert_eq!((&closed["scope.net.close.reason"], closed.get("error.type")), (&"peer".into(), None));
}

#[test]
fn a_connection_that_an_error_ends_says_which() {
    let mut scene = Scene::new(1);
    for failed in [Call::post(call::WRITE, 5, -104), Call::post(call::SENDFILE, 5, -104).a2(9)] {
        scene.write(&client(0));
        scene.write(&[
            Call::post(call::READ, 5, 0).a3(20),
            failed,
            Call::post(call::WRITE, 5, -11),
            Call::pre(call::CLOSE, 5),
        ]);
        let closed = &scene.events()[1]["attributes"];
        assert_eq!(closed["scope.net.close.reason"], "error");
        assert_eq!((&closed["error.type"], &closed["scope.net.transmit.calls"]), (&"ECONNRESET".into(), &0.into()));
    }
}

#[test]
fn a_connect_that_fails_at_once_later_or_unseen() {
    let mut scene = Scene::new(1);
    scene.write(&client(-111));
    scene.write(&[Call::pre(call::CLOSE, 5)]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.error"]);
    assert_eq!(events[0]["attributes"]["error.type"], "ECONNREFUSED");

    scene.write(&client(-115));
    scene.write(&[Call::post(call::READ, 5, -110), Call::pre(call::CLOSE, 5)]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.error"]);
    assert_eq!(events[0]["attributes"]["error.type"], "ETIMEDOUT");

    scene.write(&client(-115));
    scene.write(&[Call::pre(call::CLOSE, 5)]);
    assert_eq!(scene.events()[0]["attributes"]["error.type"], "_OTHER");
}

#[test]
fn a_connect_under_way_is_open_with_its_first_bytes() {
    let mut scene = Scene::new(1);
    assert!(scene.names_after(&client(-115)).is_empty());
    assert_eq!(scene.names_after(&[Call::post(call::WRITE, 5, 4)]), ["net.open"]);
}

#[test]
fn a_listener_and_what_it_accepts() {
    let mut scene = Scene::new(1);
    scene.write(&[
        socket(0o2_000_001, 3),
        Call::pre(call::BIND, 3).address(&sockaddr_in([127, 0, 0, 1], 80)),
        Call::post(call::BIND, 3, 0),
        Call::post(call::LISTEN, 3, 0),
        Call::post(call::ACCEPT4, 3, 4).address(&sockaddr_in([127, 0, 0, 1], 5555)),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.listen", "net.open"]);
    let accepted = &events[1]["attributes"];
    assert_eq!(accepted["network.local.port"], 80);
    assert_eq!(accepted["network.peer.port"], 5555);
    assert_eq!(accepted["scope.net.role"], "server");
    assert_eq!(events[0]["attributes"]["scope.net.role"], "listener");
}

#[test]
fn batches_of_messages_count_their_bytes() {
    let mut scene = Scene::new(1);
    let lengths = [3u32, 4].map(u32::to_le_bytes).concat();
    scene.write(&[
        Call::post(call::SOCKETPAIR, 1, 0).a2(2).chunk(abi::CHUNK_FDS, 0, &[5, 0, 0, 0, 6, 0, 0, 0]),
        Call::pre(call::SENDMMSG, 5).data(b"abc"),
        Call::post(call::SENDMMSG, 5, 2).chunk(abi::CHUNK_LENS, 0, &lengths),
        Call::post(call::RECVMMSG, 6, 2).chunk(abi::CHUNK_LENS, 0, &lengths).data(b"abc"),
        Call::pre(call::CLOSE, 5),
        Call::pre(call::CLOSE, 6),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.open", "net.open", "net.close", "net.close"]);
    assert!(events.iter().all(|event| event["attributes"]["scope.net.role"] == "peer"));
    assert_eq!(events[2]["attributes"]["scope.net.transmit.bytes"], 7);
    assert_eq!(events[3]["attributes"]["scope.net.receive.bytes"], 7);
}

#[test]
fn a_name_lookup() {
    let mut scene = Scene::new(1);
    let question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
    let mut answer = question.to_vec();
    answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04");
    scene.write(&[
        socket(2, 5),
        Call::pre(call::CONNECT, 5).address(&sockaddr_in([10, 0, 0, 2], 53)),
        Call::post(call::CONNECT, 5, 0),
        Call::pre(call::SENDTO, 5).data(question),
        Call::post(call::SENDTO, 5, question.len() as i64),
        Call::post(call::RECVFROM, 5, answer.len() as i64).data(&answer),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["net.open", "dns.query"]);
    assert_eq!(events[1]["attributes"]["dns.question.name"], "a.test");
    assert_eq!(events[1]["attributes"]["dns.answers"], serde_json::json!(["1.2.3.4"]));
}

fn unix_listener() -> Call {
    Call::post(call::SOCKET, 1, 3).a2(1)
}

/// Whether hooks still copy what goes through descriptor 4.
fn is_copied(scene: &Scene) -> bool {
    scene.ring.class(4).expect("a class") == abi::CLASS_UNKNOWN
}

#[test]
fn nobody_copies_what_nobody_looks_at() {
    let mut scene = Scene::new(1);
    let accepted = Call::post(call::ACCEPT4, 3, 4);
    scene.write(&[unix_listener(), accepted.clone()]);
    scene.write(&[Call::post(call::READ, 4, 4).a3(99).data(b"\x16\x03\x01\x02")]);
    scene.events();
    assert!(is_copied(&scene), "what is a stream of another protocol is known behind its first bytes");
    scene.write(&[Call::post(call::READ, 4, 4).a3(99).data(b"1234")]);
    scene.events();
    assert!(!is_copied(&scene));
    // A number that changed hands unseen: a connection of which nothing is known yet has calls without bytes.
    scene.write(&[Call::pre(call::CLOSE, 4), Call::post(call::CLOSE, 4, 0), accepted]);
    scene.write(&[Call::post(call::READ, 4, 4).a3(99)]);
    scene.events();
    assert!(is_copied(&scene));
}

#[test]
fn a_number_that_changes_hands_meanwhile_is_not_spared() {
    let mut scene = Scene::new(1);
    let accepted = Call::post(call::ACCEPT4, 3, 4);
    scene.write(&[unix_listener(), accepted.clone()]);
    let read = Call::post(call::READ, 4, 4).a3(99).data(b"\x16\x03\x01\x02");
    scene.write(&[read.clone(), read, Call::pre(call::CLOSE, 4), Call::post(call::CLOSE, 4, 0), accepted]);
    scene.events();
    assert!(is_copied(&scene));
}
