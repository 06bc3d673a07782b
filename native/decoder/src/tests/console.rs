use super::support::Scene;
use crate::call;
use crate::synthetic::{Call, sockaddr_in};
use scope_abi as abi;
use serde_json::Value;

fn write(fd: u32, text: &str) -> [Call; 2] {
    [Call::pre(call::WRITE, fd).data(text.as_bytes()), Call::post(call::WRITE, fd, text.len() as i64)]
}

/// Stream and text of each line.
fn lines(events: &[Value]) -> Vec<String> {
    let lines = events.iter().filter(|event| event["event"] == "console.line");
    let word = |event: &Value, key: &str| event["attributes"][key].as_str().unwrap_or("absent").to_owned();
    lines.map(|event| word(event, "scope.console.stream") + " " + &word(event, "scope.console.line")).collect()
}

#[test]
fn lines_of_the_console() {
    let mut scene = Scene::new(1);
    scene.write(&write(2, "one\nt"));
    scene.write(&write(2, "wo\n"));
    assert_eq!(lines(&scene.events()), ["stderr one", "stderr two"]);
}

#[test]
fn a_unix_stream_is_a_console_too() {
    let mut scene = Scene::new(1);
    let pair = [5, 0, 0, 0, 6, 0, 0, 0];
    scene.write(&[
        Call::post(call::SOCKETPAIR, 1, 0).a2(0o2_000_001).chunk(abi::CHUNK_FDS, 0, &pair),
        Call::post(call::DUP2, 5, 1).a2(1),
    ]);
    scene.write(&write(1, "through a socket\n"));
    scene.write(&write(5, "not the console\n"));
    let sent = "sent\nopen";
    scene.write(&[
        Call::pre(call::SENDTO, 1).data(sent.as_bytes()),
        Call::post(call::SENDTO, 1, sent.len() as i64),
        Call::pre(call::CLOSE, 5),
        Call::pre(call::CLOSE, 1),
    ]);
    assert_eq!(lines(&scene.events()), ["stdout through a socket", "stdout sent", "stdout open"]);
}

#[test]
fn a_connection_and_a_datagram_socket_are_none() {
    let mut scene = Scene::new(1);
    scene.write(&[
        Call::post(call::SOCKET, 2, 1).a2(1),
        Call::pre(call::CONNECT, 1).address(&sockaddr_in([10, 0, 0, 9], 8080)),
        Call::post(call::CONNECT, 1, 0),
        Call::post(call::SOCKET, 1, 2).a2(2),
    ]);
    scene.write(&write(1, "x\n"));
    scene.write(&write(2, "y\n"));
    assert_eq!(lines(&scene.events()), [""; 0]);
}

#[test]
fn two_numbers_of_one_stream_keep_their_lines_apart() {
    let mut scene = Scene::new(1);
    scene.write(&write(1, "out"));
    scene.write(&[Call::post(call::DUP2, 1, 2).a2(2)]);
    scene.write(&write(2, "err\n"));
    scene.write(&write(1, "put\n"));
    assert_eq!(lines(&scene.events()), ["stderr err", "stdout output"]);
}
