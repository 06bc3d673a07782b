use super::support::{Scene, names};
use crate::call;
use crate::synthetic::Call;
use scope_abi as abi;
use serde_json::Value;

const HERE: u32 = -100i32 as u32;

fn open(path: &str, result: i64) -> [Call; 2] {
    [Call::pre(call::OPENAT, HERE).path(path), Call::post(call::OPENAT, HERE, result)]
}

#[test]
fn a_file_is_opened_moved_and_closed() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x//y", 5));
    scene.write(&[
        Call::post(call::READ, 5, 100),
        Call::post(call::PREAD64, 5, 11),
        Call::post(call::READ, 5, 0),
        Call::post(call::READ, 5, -11),
        Call::post(call::WRITEV, 5, 7),
        Call::pre(call::CLOSE, 5),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.open", "fs.close"]);
    assert_eq!(events[0]["attributes"]["file.path"], "/x/y");
    let closed = &events[1]["attributes"];
    assert_eq!((&closed["scope.fs.read.bytes"], &closed["scope.fs.read.calls"]), (&111.into(), &3.into()));
    assert_eq!((&closed["scope.fs.write.bytes"], &closed["scope.fs.write.calls"]), (&7.into(), &1.into()));
    assert_eq!(closed["scope.fs.close.reason"], "close");
    let io = scene.session.stats().io;
    assert_eq!((io.read.calls, io.read.bytes, io.write.calls, io.write.bytes), (4, 111, 1, 7));
}

#[test]
fn what_an_error_ended_says_which() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    scene.write(&[Call::post(call::WRITE, 5, -28), Call::post(call::READ, 5, -22), Call::pre(call::CLOSE, 5)]);
    let closed = &scene.events()[1]["attributes"];
    assert_eq!((&closed["error.type"], &closed["scope.fs.close.reason"]), (&"ENOSPC".into(), &"close".into()));
}

#[test]
fn a_ring_for_calls_that_nobody_sees_is_counted_and_known_by_its_name() {
    let mut scene = Scene::new(1);
    scene.write(&[Call::post(call::IO_URING_SETUP, 8, -1), Call::post(call::IO_URING_SETUP, 8, 5)]);
    scene.write(&[Call::pre(call::CLOSE, 5)]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.close"]);
    assert_eq!(events[0]["attributes"]["file.path"], "anon_inode:[io_uring]");
    assert_eq!(scene.session.stats().io_urings, 1);
}

#[test]
fn what_has_no_records_counts_on_the_life_in_which_it_was_moved() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    scene.write(&[Call::total(5, [3, 300, 1, 10]), Call::pre(call::CLOSE, 5)]);
    scene.write(&open("/y", 5));
    let mut events = scene.events();
    scene.ring.set_tally(5, [7, 70, 0, 0]).expect("the file takes it");
    scene.ring.set_tally(4095, [1, 2, 3, 4]).expect("the file takes it");
    events.extend(scene.end());
    let counts = |path: &str| {
        let of = |event: &&Value| event["event"] == "fs.close" && event["attributes"]["file.path"] == path;
        let closed = &events.iter().find(of).expect("it was closed")["attributes"];
        ["scope.fs.read.calls", "scope.fs.read.bytes", "scope.fs.write.calls", "scope.fs.write.bytes"]
            .map(|name| closed[name].clone())
    };
    assert_eq!(counts("/x"), [3, 300, 1, 10]);
    assert_eq!(counts("/y"), [7, 70, 0, 0]);
    let io = scene.session.stats().io;
    assert_eq!((io.read.calls, io.read.bytes, io.write.calls, io.write.bytes), (11, 372, 4, 14));
}

#[test]
fn a_flush_takes_what_has_no_records() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    scene.events();
    scene.ring.set_tally(5, [2, 20, 0, 0]).expect("the file takes it");
    assert_eq!(scene.session.stats().io.read.calls, 0);
    scene.session.ask_flush(1);
    scene.events();
    assert_eq!((scene.session.stats().flushed, scene.session.stats().io.read.bytes), (1, 20));
}

#[test]
fn a_tally_of_impossible_counts_is_no_overflow() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    scene.write(&[Call::total(5, [u64::MAX; 4]), Call::total(5, [u64::MAX; 4]), Call::post(call::READ, 5, 100)]);
    scene.write(&[Call::total(u32::MAX, [1; 4]), Call::pre(call::CLOSE, 5)]);
    assert_eq!(names(&scene.events()), ["fs.open", "fs.close"]);
}

#[test]
fn an_open_that_fails_says_why() {
    let mut scene = Scene::new(1);
    scene.write(&open("/no", -2));
    let events = scene.events();
    assert_eq!(names(&events), ["fs.error"]);
    assert_eq!(events[0]["attributes"]["error.type"], "ENOENT");
    assert_eq!(events[0]["attributes"]["file.path"], "/no");
}

#[test]
fn a_description_is_closed_with_its_last_number() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    let copies = [
        Call::post(call::DUP, 5, 6),
        Call::post(call::DUP2, 6, 900).a2(900),
        Call::pre(call::CLOSE, 5),
        Call::post(call::WRITE, 6, 10),
    ];
    assert_eq!(scene.names_after(&copies), ["fs.open"]);
    scene.write(&[Call::pre(call::CLOSE_RANGE, 6).a2(u64::from(u32::MAX))]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.close"]);
    assert_eq!(events[0]["attributes"]["scope.fs.write.bytes"], 10);
}

#[test]
fn dup2_closes_what_it_replaces() {
    let mut scene = Scene::new(1);
    scene.write(&open("/a", 5));
    scene.write(&open("/b", 6));
    scene.write(&[Call::post(call::DUP2, 6, 5).a2(5)]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.open", "fs.open", "fs.close"]);
    assert_eq!(events[2]["attributes"]["file.path"], "/a");
}

#[test]
fn relative_paths_are_seen_from_their_directory() {
    let mut scene = Scene::new(1);
    scene.write(&open("/dir/.", 3));
    scene.write(&[
        Call::pre(call::OPENAT2, 3).path("x").chunk(abi::CHUNK_ARGS, 0, &[2, 0, 0, 0, 0, 0, 0, 0]),
        Call::post(call::OPENAT2, 3, 4),
        Call::pre(call::UNLINKAT, 3).path("y"),
        Call::post(call::UNLINKAT, 3, 0),
    ]);
    let events = scene.events();
    assert_eq!(events[1]["attributes"]["file.path"], "/dir/x");
    assert_eq!(events[1]["attributes"]["scope.fs.access"], "read-write");
    assert_eq!((&events[2]["event"], &events[2]["attributes"]["file.path"]), (&"fs.delete".into(), &"/dir/y".into()));
}

#[test]
fn a_rename_tells_both_paths() {
    let mut scene = Scene::new(1);
    let pre = Call::pre(call::RENAME, 1).chunk(abi::CHUNK_PATH, 0, b"/old").chunk(abi::CHUNK_PATH, 1, b"/new");
    scene.write(&[pre, Call::post(call::RENAME, 1, 0)]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.rename"]);
    assert_eq!(events[0]["attributes"]["file.path"], "/old");
    assert_eq!(events[0]["attributes"]["scope.fs.new_path"], "/new");
}

#[test]
fn a_copy_counts_on_both_files() {
    let mut scene = Scene::new(1);
    scene.write(&open("/from", 5));
    scene.write(&open("/to", 6));
    scene.write(&[
        Call::post(call::SENDFILE, 6, 50).a2(5),
        Call::post(call::COPY_FILE_RANGE, 5, 60).a3(6),
        Call::pre(call::CLOSE, 5),
        Call::pre(call::CLOSE, 6),
    ]);
    let events = scene.events();
    assert_eq!(events[2]["attributes"]["scope.fs.read.bytes"], 110);
    assert_eq!(events[3]["attributes"]["scope.fs.write.bytes"], 110);
    assert_eq!(scene.session.stats().io.transfer.calls, 2);
}

#[test]
fn what_a_vfork_child_does_to_descriptors_is_its_own() {
    let mut scene = Scene::new(1);
    scene.write(&open("/x", 5));
    scene.write(&[
        Call::pre(call::VFORK, 0),
        Call::pre(call::CLOSE, 5),
        Call::pre(call::EXECVE, 9).path("/bin/true"),
        Call::post(call::VFORK, 0, 4321),
        Call::post(call::WRITE, 5, 3),
    ]);
    let events = scene.events();
    assert_eq!(names(&events), ["fs.open", "process.fork"]);
    assert_eq!(events[1]["attributes"]["scope.child.pid"], 4321);
    let ended = scene.end();
    assert_eq!(names(&ended), ["fs.close"]);
    assert_eq!(ended[0]["attributes"]["scope.fs.write.bytes"], 3);
    assert_eq!(ended[0]["attributes"]["scope.fs.close.reason"], "unscoped");
}

#[test]
fn a_thread_is_no_child() {
    let mut scene = Scene::new(1);
    assert!(scene.names_after(&[Call::post(call::CLONE, 0x0001_0f00, 55)]).is_empty());
}
