//! What is found out about this very process, from outside, against records that say what it did.
use super::support::Scene;
use crate::call;
use crate::synthetic::{Call, sockaddr_in, sockaddr_in6};
use scope_abi as abi;
use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;

/// A copy of it under a number that no other test has ever had.
fn apart(it: &impl AsFd) -> OwnedFd {
    static NEXT: AtomicI32 = AtomicI32::new(500);
    let least = NEXT.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the new descriptor is ours alone.
    unsafe {
        let fd = libc::fcntl(it.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, least);
        assert_eq!(fd, least);
        OwnedFd::from_raw_fd(fd)
    }
}

fn sockaddr(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => sockaddr_in(v4.ip().octets(), v4.port()),
        SocketAddr::V6(v6) => sockaddr_in6(v6.ip().octets(), v6.port()),
    }
}

fn family(address: SocketAddr) -> u32 {
    if address.is_ipv4() { 2 } else { 10 }
}

/// The records of a client's socket and connect.
fn connect(fd: i32, to: SocketAddr) -> [Call; 3] {
    let number = fd as u32;
    [
        Call::post(call::SOCKET, family(to), i64::from(fd)).a2(STREAM),
        Call::pre(call::CONNECT, number).address(&sockaddr(to)),
        Call::post(call::CONNECT, number, 0),
    ]
}

fn bind(fd: i32, kind: u64, to: SocketAddr) -> [Call; 3] {
    let number = fd as u32;
    [
        Call::post(call::SOCKET, family(to), i64::from(fd)).a2(kind),
        Call::pre(call::BIND, number).address(&sockaddr(to)),
        Call::post(call::BIND, number, 0),
    ]
}

fn close(fd: i32) -> Call {
    Call::pre(call::CLOSE, fd as u32)
}

/// Until the budget for listings allows one at once.
fn rest() {
    std::thread::sleep(Duration::from_millis(100));
}

/// Writes, drains until everything that is to be tried again was, and gives the events about `fd`: until for a while no
/// more of them came, or for two seconds where none comes at all (other tests take this machine's time, too).
fn events_of(scene: &mut Scene, fd: i32, calls: &[Call]) -> Vec<Value> {
    const QUIET: u32 = 40;
    const MOST: u32 = 400;
    let about = |event: &Value| event["attributes"]["scope.fd"] == fd;
    scene.write(calls);
    let mut events: Vec<Value> = scene.events().into_iter().filter(about).collect();
    let mut quiet = 0;
    for _ in 0..MOST {
        std::thread::sleep(Duration::from_millis(5));
        let before = events.len();
        events.extend(scene.events().into_iter().filter(about));
        quiet = if events.len() == before { quiet + 1 } else { 0 };
        if quiet >= QUIET && !events.is_empty() {
            break;
        }
    }
    events
}

fn pair(ip: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind((ip, 0)).expect("a listener");
    let caller = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let called = listener.accept().expect("accepted").0;
    (listener, caller, called)
}

#[test]
fn a_client_that_lives_has_its_own_port_told() {
    for ip in ["127.0.0.1", "::1"] {
        let mut scene = Scene::of_this_process();
        let (listener, caller, _called) = pair(ip);
        let copy = apart(&caller);
        let fd = copy.as_raw_fd();
        let own = caller.local_addr().expect("an address");
        assert_eq!(events_of(&mut scene, fd, &connect(fd, listener.local_addr().expect("an address"))).len(), 1);
        let closed = events_of(&mut scene, fd, &[close(fd)]);
        assert_eq!(closed[0]["attributes"]["network.local.port"], own.port());
        assert_eq!(closed[0]["attributes"]["network.local.address"], ip);
    }
}

#[test]
fn an_accepted_one_has_its_peer_told_though_nobody_asked_for_it() {
    let mut scene = Scene::of_this_process();
    let (listener, caller, called) = pair("127.0.0.1");
    let (listening, copy) = (apart(&listener), apart(&called));
    let (listens, fd) = (listening.as_raw_fd(), copy.as_raw_fd());
    let wild = SocketAddr::from(([0, 0, 0, 0], listener.local_addr().expect("an address").port()));
    scene.write(&bind(listens, STREAM, wild));
    let calls = [Call::post(call::LISTEN, listens as u32, 0), Call::post(call::ACCEPT, listens as u32, i64::from(fd))];
    events_of(&mut scene, fd, &calls);
    let closed = events_of(&mut scene, fd, &[close(fd)]);
    let told = &closed[0]["attributes"];
    assert_eq!(told["network.peer.port"], caller.local_addr().expect("an address").port());
    assert_eq!(told["network.local.address"], "127.0.0.1");
}

#[test]
fn a_number_that_is_another_sockets_by_now_tells_nothing() {
    rest();
    // As it was seen: a datagram socket that lived for an instant, its number then a listener of the other family.
    let mut scene = Scene::of_this_process();
    let listener = TcpListener::bind("[::1]:0").expect("a listener");
    let copy = apart(&listener);
    let fd = copy.as_raw_fd();
    let mut calls = bind(fd, DATAGRAM, "127.0.0.1:0".parse().expect("an address")).to_vec();
    calls.extend([Call::post(call::SENDTO, fd as u32, 5), close(fd)]);
    calls.extend(bind(fd, STREAM, "[::1]:0".parse().expect("an address")));
    calls.push(Call::post(call::LISTEN, fd as u32, 0));
    let events = events_of(&mut scene, fd, &calls);
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["net.open", "net.close", "net.listen"]);
    for event in &events[..2] {
        assert_eq!(event["attributes"]["network.type"], "ipv4");
        assert_eq!(event["attributes"].get("network.local.port"), None);
    }
    let told = &events[2]["attributes"];
    assert_eq!(told["network.local.port"], listener.local_addr().expect("an address").port());
}

#[test]
fn nor_does_one_of_the_same_kind_when_a_close_waits() {
    let mut scene = Scene::of_this_process();
    let (listener, caller, _called) = pair("127.0.0.1");
    let to = listener.local_addr().expect("an address");
    let copy = apart(&caller);
    let fd = copy.as_raw_fd();
    rest();
    // Two connections to one place, one after the other: the first is over.
    let mut calls = connect(fd, to).to_vec();
    calls.push(close(fd));
    calls.extend(connect(fd, to));
    let first = events_of(&mut scene, fd, &calls);
    for event in &first[..2] {
        assert_eq!(event["attributes"].get("network.local.port"), None, "{event}");
    }
    let second = events_of(&mut scene, fd, &[close(fd)]);
    assert_eq!(second[0]["attributes"]["network.local.port"], caller.local_addr().expect("an address").port());
}

#[test]
fn nor_when_the_change_was_not_seen_but_shows() {
    let mut scene = Scene::of_this_process();
    let (listener, caller, _called) = pair("127.0.0.1");
    let copy = apart(&caller);
    let fd = copy.as_raw_fd();
    // The calls went somewhere else, and were of another kind.
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().expect("an address").port() ^ 1));
    let mut events = events_of(&mut scene, fd, &connect(fd, elsewhere));
    events.extend(events_of(&mut scene, fd, &[close(fd)]));
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let other_copy = apart(&datagrams);
    let other = other_copy.as_raw_fd();
    events.extend(events_of(&mut scene, other, &connect(other, elsewhere)));
    events.extend(events_of(&mut scene, other, &[close(other)]));
    assert_eq!(events.len(), 4);
    for event in events {
        assert_eq!(event["attributes"].get("network.local.port"), None, "{event}");
    }
}

#[test]
fn nor_when_the_hooks_are_gone() {
    let mut scene = Scene::of_this_process();
    let (listener, caller, _called) = pair("127.0.0.1");
    let copy = apart(&caller);
    let fd = copy.as_raw_fd();
    scene.ring.set_phase(abi::PHASE_DETACHED).expect("written");
    let mut events = events_of(&mut scene, fd, &connect(fd, listener.local_addr().expect("an address")));
    events.extend(events_of(&mut scene, fd, &[close(fd)]));
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event["attributes"].get("network.local.port"), None, "{event}");
    }
}

#[test]
fn after_a_loss_a_look_is_good_for_nothing_until_all_descriptors_were_looked_at() {
    let mut scene = Scene::of_this_process();
    let (listener, caller, _called) = pair("127.0.0.1");
    let copy = apart(&caller);
    let fd = copy.as_raw_fd();
    let calls = connect(fd, listener.local_addr().expect("an address"));
    scene.write(&calls[..1]);
    scene.events();
    scene.ring.lose(0, 0, 1).expect("written");
    scene.write(&calls[1..]);
    scene.events();
    scene.session.adopt_again = true;
    assert!(!scene.session.is_untouched(fd));
    let began = std::time::Instant::now();
    while !scene.session.is_untouched(fd) {
        assert!(began.elapsed() < Duration::from_secs(5), "it never recovers");
        scene.events();
    }
    events_of(&mut scene, fd, &[]);
    let closed = events_of(&mut scene, fd, &[close(fd)]);
    assert_eq!(closed[0]["attributes"]["network.local.port"], caller.local_addr().expect("an address").port());
}

#[test]
fn what_was_opened_unseen_is_adopted_unless_it_is_gone() {
    let mut scene = Scene::of_this_process();
    let here = File::open("/proc/self/status").expect("opened");
    let copy = apart(&here);
    let fd = copy.as_raw_fd();
    // Closed and used again before its record is read: what it was is not known.
    let read = Call::post(call::READ, fd as u32, 5);
    let events = events_of(&mut scene, fd, &[read.clone(), close(fd), read, close(fd)]);
    let paths: Vec<_> = events.iter().map(|event| event["attributes"]["file.path"].as_str().unwrap_or("")).collect();
    assert_eq!(paths, ["", ""]);

    let events = events_of(&mut scene, fd, &[Call::post(call::READ, fd as u32, 5)]);
    assert!(events.is_empty());
    let events = events_of(&mut scene, fd, &[close(fd)]);
    assert!(events[0]["attributes"]["file.path"].as_str().is_some_and(|path| path.ends_with("/status")), "{events:?}");
}

#[test]
fn what_a_number_was_before_the_session_began_is_not_what_it_is_now() {
    let here = File::open("/proc/self/status").expect("opened");
    let copy = apart(&here);
    let fd = copy.as_raw_fd();
    let mut scene = Scene::of_this_process_with(&[
        Call::post(call::READ, fd as u32, 7),
        close(fd),
        Call::pre(call::OPEN, 0).path("/proc/self/status"),
        Call::post(call::OPEN, 0, i64::from(fd)),
    ]);
    let events = events_of(&mut scene, fd, &[Call::post(call::READ, fd as u32, 9), close(fd)]);
    let told: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "fs.close")
        .map(|event| (&event["attributes"]["file.path"], &event["attributes"]["scope.fs.read.bytes"]))
        .collect();
    assert_eq!(told, [(&Value::from(""), &7.into()), (&"/proc/self/status".into(), &9.into())]);
}
