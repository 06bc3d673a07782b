use super::support::{RING_BYTES, Scene, ago, scratch_ring};
use crate::call;
use crate::clock::ticks;
use crate::mapping::Mapping;
use crate::merge::Merge;
use crate::record::Record;
use crate::ring::RingFile;
use crate::synthetic::{Call, SyntheticRing};
use std::fs::OpenOptions;

fn merge_of(ring: &SyntheticRing, ticks_per_ns: u64) -> Merge {
    let file = OpenOptions::new().read(true).write(true).open(ring.path()).expect("it is there");
    let file = RingFile::new(Mapping::new(&file).expect("it maps")).expect("it is a ring");
    Merge::new(file, &[], |ns| ns * ticks_per_ns)
}

fn drain(merge: &mut Merge) -> Vec<u32> {
    std::thread::sleep(std::time::Duration::from_micros(100));
    merge.begin();
    let mut buffer = Vec::new();
    let mut seen = Vec::new();
    while let Some(time) = merge.take(&mut buffer) {
        seen.push(Record::parse(&buffer, time).expect("a record").a1);
    }
    merge.give_room();
    seen
}

#[test]
fn records_come_in_the_order_of_their_times() {
    let mut ring = scratch_ring(4, RING_BYTES);
    let mut merge = merge_of(&ring, 1);
    let start = ago(1_000_000);
    for number in 0..100u32 {
        let call = Call::post(call::READ, number, 0).at(start + u64::from(number));
        ring.write((number * 7 % 4) as usize, &call).expect("written");
    }
    assert_eq!(drain(&mut merge), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_record_without_a_time_comes_right_after_the_one_before_it() {
    let mut ring = scratch_ring(2, RING_BYTES);
    let mut merge = merge_of(&ring, 1);
    let start = ago(1_000_000);
    ring.write(0, &Call::post(call::READ, 1, 0).at(start)).expect("written");
    ring.write(1, &Call::post(call::READ, 3, 0).at(start + 5)).expect("written");
    let untimed = Call::pre(call::WRITE, 2);
    let position = ring.reserve(0, untimed.size()).expect("written").expect("room");
    ring.commit_untimed(0, position, &untimed).expect("written");
    assert_eq!(drain(&mut merge), [1, 2, 3]);
}

#[test]
fn what_lies_in_the_future_by_its_own_word_holds_nothing_up() {
    let mut ring = scratch_ring(1, RING_BYTES);
    let mut merge = merge_of(&ring, 1);
    ring.write(0, &Call::post(call::READ, 1, 0).at(ticks() + (1 << 50))).expect("written");
    ring.write(0, &Call::post(call::READ, 2, 0)).expect("written");
    assert_eq!(drain(&mut merge), [1, 2]);
}

#[test]
fn a_reservation_holds_up_its_ring_until_it_counts_as_abandoned() {
    let mut ring = scratch_ring(2, RING_BYTES);
    // A nanosecond is a thousandth of a tick: others wait 10,000 ticks, the ring itself 2 million.
    let mut merge = {
        let file = OpenOptions::new().read(true).write(true).open(ring.path()).expect("it is there");
        Merge::new(RingFile::new(Mapping::new(&file).expect("it maps")).expect("a ring"), &[], |ns| ns / 1000)
    };
    let held = ring.reserve(0, 96).expect("written").expect("room");
    ring.write(0, &Call::post(call::READ, 1, 0)).expect("written");
    ring.write(1, &Call::post(call::READ, 2, 0)).expect("written");
    assert!(drain(&mut merge).is_empty(), "the others wait a little");
    assert_eq!(drain(&mut merge), [2], "but not long");
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert!(drain(&mut merge).is_empty());
    assert!(merge.is_overdue());
    merge.pass_over_abandoned();
    assert_eq!(drain(&mut merge), [1]);
    assert_eq!(merge.trouble.abandoned, 1);
    assert_eq!(held, 0);
}

#[test]
fn a_late_commit_ends_the_wait() {
    let mut ring = scratch_ring(1, RING_BYTES);
    let mut merge = merge_of(&ring, 10);
    let first = Call::post(call::READ, 1, 0).data(b"abc");
    let position = ring.reserve(0, first.size()).expect("written").expect("room");
    ring.write(0, &Call::post(call::READ, 2, 0)).expect("written");
    assert!(drain(&mut merge).is_empty());
    ring.commit(0, position, &first).expect("written");
    assert_eq!(drain(&mut merge), [1, 2]);
    assert!(merge.stalled_for().is_none());
}

#[test]
fn rings_wrap_with_pads_and_with_ends_too_short_for_one() {
    let mut scene = Scene::new(1);
    let sizes = [0usize, 16, 40, 100, 333];
    let mut written = 0;
    for round in 0..3000usize {
        let data = vec![b'x'; sizes[round % sizes.len()]];
        let call = Call::post(call::READ, 7, data.len() as i64).data(&data);
        if !scene.ring.write(0, &call).expect("the file takes it") {
            scene.events();
            assert!(scene.ring.write(0, &call).expect("the file takes it"));
        }
        written += 1;
    }
    scene.events();
    let stats = scene.session.stats();
    assert_eq!(stats.records, written);
    assert!(stats.lost.is_nothing());
}

/// The a1 of each record that is shown, and whether all were.
fn look_ahead(merge: &mut Merge) -> (Vec<u32>, bool) {
    let mut seen = Vec::new();
    let is_whole = merge.look_ahead(|bytes| seen.push(Record::parse(bytes, 0).expect("a record").a1));
    (seen, is_whole)
}

#[test]
fn what_waits_is_shown_once_and_still_taken() {
    let mut ring = scratch_ring(2, RING_BYTES);
    let mut merge = merge_of(&ring, 1);
    ring.write(0, &Call::post(call::READ, 1, 0)).expect("written");
    ring.write(1, &Call::post(call::READ, 2, 0).data(&[7; 500])).expect("written");
    assert_eq!(look_ahead(&mut merge), (vec![1, 2], true));
    assert!(merge.has_looked_ahead());
    ring.write(0, &Call::post(call::READ, 3, 0)).expect("written");
    assert_eq!(look_ahead(&mut merge), (vec![3], true));
    assert_eq!(drain(&mut merge), [1, 2, 3]);
    assert!(!merge.has_looked_ahead());
    ring.write(0, &Call::post(call::READ, 4, 0)).expect("written");
    assert_eq!(drain(&mut merge), [4]);
    assert!(!merge.took_glanced());
    assert_eq!(look_ahead(&mut merge), (vec![], true));
}

#[test]
fn what_is_reserved_but_not_written_or_was_lost_is_no_whole_view() {
    let mut ring = scratch_ring(2, RING_BYTES);
    let mut merge = merge_of(&ring, 1);
    let late = Call::post(call::READ, 1, 0);
    let position = ring.reserve(0, late.size()).expect("written").expect("room");
    ring.write(0, &Call::post(call::READ, 2, 0)).expect("written");
    ring.write(1, &Call::post(call::READ, 3, 0)).expect("written");
    assert_eq!(look_ahead(&mut merge), (vec![3], false));
    ring.commit(0, position, &late).expect("written");
    assert_eq!(look_ahead(&mut merge), (vec![1, 2], true));
    ring.lose(1, 0, 1).expect("written");
    assert_eq!(look_ahead(&mut merge), (vec![], false));
    merge.begin();
    assert_eq!(look_ahead(&mut merge), (vec![], true));
    merge.forget_look();
    assert_eq!(look_ahead(&mut merge), (vec![1, 2, 3], true));
}

#[test]
fn what_was_shown_is_known_as_such_over_the_rings_end() {
    let mut ring = scratch_ring(1, 4096);
    let mut merge = merge_of(&ring, 1);
    let mut next = 0;
    for round in 0..200usize {
        let mut written = Vec::new();
        for size in [0usize, 16, 40, 333] {
            let call = Call::post(call::READ, next, 0).data(&vec![b'x'; size + round % 7 * 16]);
            assert!(ring.write(0, &call).expect("the file takes it"));
            written.push(next);
            next += 1;
        }
        assert_eq!(look_ahead(&mut merge), (written.clone(), true));
        assert_eq!(drain(&mut merge), written);
        assert!(merge.took_glanced() && !merge.has_looked_ahead());
    }
}
