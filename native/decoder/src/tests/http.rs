use super::support::{Scene, names};
use crate::call;
use crate::synthetic::{Call, sockaddr_in};

const REQUEST: &[u8] = b"GET /a?b=c HTTP/1.1\r\nHost: h:81\r\nX-Id: 7\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn accept() -> [Call; 2] {
    [Call::post(call::SOCKET, 2, 3).a2(1), Call::post(call::ACCEPT4, 3, 4).address(&sockaddr_in([127, 0, 0, 1], 5555))]
}

fn read(bytes: &[u8]) -> Call {
    Call::post(call::READ, 4, bytes.len() as i64).a3(4096).data(bytes)
}

fn write(bytes: &[u8]) -> [Call; 2] {
    [Call::pre(call::WRITE, 4).data(bytes), Call::post(call::WRITE, 4, bytes.len() as i64)]
}

#[test]
fn a_request_and_its_answer() {
    let mut scene = Scene::new(1);
    scene.write(&accept());
    scene.write(&[read(REQUEST)]);
    scene.write(&write(ANSWER));
    let events = scene.events();
    assert_eq!(names(&events), ["net.open", "http.exchange"]);
    let told = &events[1]["attributes"];
    let expected = serde_json::json!({
        "http.request.method": "GET", "http.response.status_code": 200, "url.path": "/a", "url.query": "b=c",
        "server.address": "h", "server.port": 81, "scope.http.role": "server", "http.response.body.size": 5,
        "http.request.header.x-id": ["7"], "network.peer.port": 5555, "network.protocol.version": "1.1",
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&told[key], value, "{key}");
    }
}

#[test]
fn a_body_that_never_passed_through_the_program() {
    let mut scene = Scene::new(1);
    scene.write(&accept());
    for _ in 0..2 {
        scene.write(&[read(REQUEST)]);
        scene.write(&write(&ANSWER[..ANSWER.len() - 5]));
        scene.write(&[Call::post(call::SENDFILE, 4, 5).a2(9)]);
    }
    let events = scene.events();
    let exchanges: Vec<_> = events.iter().filter(|event| event["event"] == "http.exchange").collect();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[1]["attributes"]["http.response.body.size"], 5);
}

#[test]
fn a_write_counts_as_far_as_it_went() {
    let mut scene = Scene::new(1);
    scene.write(&accept());
    scene.write(&[read(REQUEST)]);
    scene.write(&[Call::pre(call::WRITE, 4).data(ANSWER), Call::post(call::WRITE, 4, 10)]);
    scene.write(&write(&ANSWER[10..]));
    let events = scene.events();
    assert_eq!(names(&events), ["net.open", "http.exchange"]);
    assert_eq!(events[1]["attributes"]["http.response.status_code"], 200);
}

#[test]
fn a_method_that_the_conventions_do_not_know_is_other() {
    let mut scene = Scene::new(1);
    scene.write(&accept());
    for method in ["QUERY", "PROPFIND", "get"] {
        scene.write(&[read(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())]);
        scene.write(&write(ANSWER));
    }
    let told: Vec<_> = scene.events().split_off(1).into_iter().map(|event| event["attributes"].clone()).collect();
    let words = |key| told.iter().map(|told| told[key].as_str().unwrap_or("absent")).collect::<Vec<_>>();
    assert_eq!(words("http.request.method"), ["QUERY", "_OTHER", "_OTHER"]);
    assert_eq!(words("http.request.method_original"), ["absent", "PROPFIND", "get"]);
}
