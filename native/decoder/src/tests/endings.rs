//! Somebody else notices first that the process is not what it was, and has the session ended.
use super::support::{Scene, names};
use crate::session::Ending;
use scope_abi as abi;
use std::process::{Child, Command};

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

#[test]
fn of_a_process_that_was_let_go_before_it_ended_is_a_detach() {
    let child = child();
    let mut scene = Scene::of_process(child.id());
    scene.ring.set_phase(abi::PHASE_DETACHED).expect("written");
    end(child);
    assert_eq!(scene.session.ending_unseen(), Ending::Detached);
}
