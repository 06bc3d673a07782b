use crate::call;
use crate::synthetic::Call;
use crate::tests::support::{Scene, names};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        super::ring(&bytes);
        super::header(&bytes);
        super::http1(&bytes);
        super::dns(&bytes);
        super::console(&bytes);
    }
}

#[test]
fn calls_that_claim_to_have_moved_more_than_any_can() {
    let mut scene = Scene::new(1);
    for _ in 0..3 {
        scene.write(&[
            Call::post(call::SOCKET, 2, 5).a2(1),
            Call::post(call::READ, 5, i64::MAX),
            Call::post(call::READ, 5, i64::MAX),
            Call::post(call::SPLICE, 5, i64::MAX).a3(5),
            Call::pre(call::CLOSE, 5),
        ]);
    }
    assert_eq!(names(&scene.events()), ["net.open", "net.close"].repeat(3));
}
