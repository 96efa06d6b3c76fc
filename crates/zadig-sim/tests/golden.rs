//! The recorded Zadig 4.2.1 and the simulator do the same.

use std::path::Path;

use zadig_sim::replay::{self, Input};

#[tokio::test]
async fn the_recording_of_zadig_4_2_1_is_replayed_without_a_difference() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let report = replay::run(&Input::beside(golden.join("v4.2.1.jsonl")))
        .await
        .unwrap();
    println!("{report}");
    assert_eq!((report.exchanges, report.timelines), (370, 105));
    assert!(
        report.differences.is_empty(),
        "{} differences",
        report.differences.len()
    );
}
