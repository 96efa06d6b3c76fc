//! `tests/coverage.yaml` is held to what the operator really calls: the scenario that it names for a route calls it, and no scenario
//! calls one of which it says that nothing does.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::thread;

use xtask::coverage::Coverage;
use zadig_sim::Sim;

use super::observe::is_ours;

static COVERAGE: LazyLock<Coverage> =
    LazyLock::new(|| Coverage::load().expect("tests/coverage.yaml is complete"));

/// Judges the scenario of this thread, which has succeeded.
pub(super) fn check(sim: &Sim) {
    // The harness names the thread of a test after it.
    let scenario = thread::current().name().unwrap_or_default().to_owned();
    let called: BTreeSet<u8> = sim
        .calls()
        .iter()
        .filter(|call| is_ours(call))
        .filter_map(|call| COVERAGE.find(&call.method, &call.path))
        .map(|(route, _)| route.number)
        .collect();
    for (route, entry) in &COVERAGE.0 {
        let number = route.number;
        let is_called = called.contains(&number);
        assert!(
            is_called || entry.test.as_ref() != Some(&scenario),
            "tests/coverage.yaml says that this scenario proves route {number}, but the operator never called it"
        );
        assert!(
            !is_called || entry.unused.is_none(),
            "the operator called route {number}, of which tests/coverage.yaml says that nothing uses it; name the field and this scenario there"
        );
    }
}
