//! What is remembered after a look and after a call, and what a lost memory leads to (design §3).

use std::collections::BTreeSet;

use super::super::fixture::{environment, observed, planned, service};
use super::super::{Environment, Existence, Observed};
use crate::api::environment::OwnershipState;

/// Created by this object, and idle.
fn owned() -> Observed {
    observed().present().owned()
}

/// The same environment after the driver took this look into memory: nothing was sent.
fn looked_at(desired: &Environment, observed: &Observed) -> Observed {
    let Existence::Present(present) = &observed.existence else {
        panic!("there is nothing to look at");
    };
    let created = observed
        .record
        .as_ref()
        .is_some_and(|record| record.state == OwnershipState::Created);
    let mut observed = observed.clone();
    observed.memory.seen(
        desired,
        present.detail.as_ref().unwrap(),
        present.update_time,
        created,
        &BTreeSet::new(),
    );
    observed
}

#[test]
fn an_edit_that_was_not_repaired_is_still_one_at_the_next_look() {
    let api = service().variable("LOG", "debug");
    let desired = environment().service("api", api.clone());
    let subject = "services[api].variables".to_owned();
    let edited = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()))
        .present_with(|present| present.update_time += 1)
        .with(|o| {
            o.memory.repairs.insert(subject.clone(), 3);
        });
    let before = planned(&desired, &edited);
    assert!(
        before.starts_with("blocked DriftDoesNotConverge"),
        "{before}"
    );
    let after = looked_at(&desired, &edited);
    assert_eq!(planned(&desired, &after), before);
    let retried = after.with(|o| o.memory.repairs.clear());
    assert_eq!(
        planned(&desired, &retried),
        "update services\n  api [LOG:string=debug]"
    );
}

#[test]
fn another_renderer_is_taken_into_memory() {
    let api = service().variable("LOG", "debug");
    let desired = environment().service("api", api.clone());
    let rendered = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()));
    let after = looked_at(&desired, &rendered).present_with(|present| present.update_time += 1);
    assert_eq!(planned(&desired, &after), "in sync");
}
