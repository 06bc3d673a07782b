//! Somebody else notices first that the process is not what it was, and has the session ended.
use super::support::{Scene, names};
use crate::session::Ending;
use scope_abi as abi;
use serde_json::json;
use std::process::{Child, Command, Stdio};

fn child() -> Child {
    Command::new("/bin/sleep").arg("60").spawn().expect("started")
}

fn end(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("waited for");
}

#[test]
fn of_a_process_that_lives_is_a_detach() {
    let child = child();
    let scene = Scene::of_process(child.id());
    assert_eq!(scene.session.ending_unseen(), Ending::Detached);
    end(child);
}

#[test]
fn of_a_process_that_has_ended_is_told_as_its_exit() {
    let child = child();
    let mut scene = Scene::of_process(child.id());
    end(child);
    let ending = scene.session.ending_unseen();
    assert_eq!(ending, Ending::Exited);
    assert_eq!(names(&scene.end_as(ending)), ["process.exit"]);
}

/// What is told of a process that ended so; `is_reaped`: its parent has asked for it first.
fn told_of(command: &str, is_reaped: bool) -> serde_json::Value {
    let mut child = Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::piped()).spawn().expect("started");
    let mut scene = Scene::of_process(child.id());
    // It goes on once its input ends.
    drop(child.stdin.take());
    if is_reaped {
        child.wait().expect("waited for");
    }
    while scene.session.ending_unseen() != Ending::Exited {
        std::thread::yield_now();
    }
    let told = scene.end_as(Ending::Exited).pop().expect("its exit");
    child.wait().expect("waited for");
    told["attributes"].clone()
}

#[test]
fn tells_how_it_ended() {
    assert_eq!(told_of("read word; exit 3", false), json!({"process.exit.code": 3}));
    assert_eq!(told_of("read word; kill -KILL $$", false), json!({"scope.exit.signal": "SIGKILL"}));
}

#[test]
fn tells_it_after_its_parent_has_asked_where_the_kernel_remembers() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split('.').map(|word| word.parse::<u32>().unwrap_or(0));
    let remembers = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    let expected = |told| if remembers { told } else { json!({}) };
    assert_eq!(told_of("read word; exit 3", true), expected(json!({"process.exit.code": 3})));
    assert_eq!(told_of("read word; kill -TERM $$", true), expected(json!({"scope.exit.signal": "SIGTERM"})));
}

#[test]
fn of_a_process_that_was_let_go_before_it_ended_is_a_detach() {
    let child = child();
    let mut scene = Scene::of_process(child.id());
    scene.ring.set_phase(abi::PHASE_DETACHED).expect("written");
    end(child);
    assert_eq!(scene.session.ending_unseen(), Ending::Detached);
}
