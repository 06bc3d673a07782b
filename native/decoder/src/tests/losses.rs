use super::support::Scene;
use crate::call;
use crate::synthetic::Call;

#[test]
fn a_loss_is_told_with_the_next_event_and_in_the_counts() {
    let mut scene = Scene::new(2);
    scene.write(&[Call::post(call::CLONE, 0, 5)]);
    assert!(scene.events()[0].get("lost").is_none());
    scene.ring.lose(1, 0, 3).expect("written");
    scene.ring.lose(1, 3, 2).expect("written");
    scene.write(&[Call::post(call::CLONE, 0, 6), Call::post(call::CLONE, 0, 7)]);
    let events = scene.events();
    assert_eq!(events[0]["lost"], serde_json::json!({"records": 3, "writeCalls": 2}));
    assert!(events[1].get("lost").is_none());
    assert_eq!(scene.session.stats().lost.records, 3);
}

#[test]
fn a_full_ring_takes_no_more_until_it_was_drained() {
    let mut scene = Scene::new(1);
    let call = Call::post(call::READ, 5, 1);
    let mut written = 0;
    while scene.ring.write(0, &call).expect("the file takes it") {
        written += 1;
    }
    assert_eq!(written, super::support::RING_BYTES / call.size());
    scene.events();
    assert_eq!(scene.session.stats().records, written);
    assert!(scene.ring.write(0, &call).expect("the file takes it"));
}

#[test]
fn a_flush_is_done_once_what_was_there_is_read() {
    let mut scene = Scene::new(1);
    scene.write(&[Call::post(call::READ, 5, 1)]);
    scene.session.ask_flush(4);
    scene.events();
    assert_eq!(scene.session.stats().flushed, 4);
    assert_eq!(scene.session.stats().records, 1);
}
