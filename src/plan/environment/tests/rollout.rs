//! Whether a change of variables reached the pods, and what is told meanwhile (design §3).

use std::time::Duration;

use super::super::fixture::{
    NOW, ago, environment, health_of, looked_at, observed, planned, sent, service,
};
use super::super::health::{Outlook, Trouble, judge};
use super::super::{Environment, Observed};

/// Running with a value, and its digest declared otherwise by now.
fn changed() -> (Environment, Observed) {
    let before = observed()
        .present()
        .owned()
        .running("api", &service().variable("LOG", "info"));
    let desired = environment().service("api", service().variable("LOG", "debug"));
    (desired, before)
}

#[test]
fn every_pod_has_to_be_newer_than_those_that_were_there_before() {
    let (desired, before) = changed();
    let updated = looked_at(&desired, &sent(&desired, &before).renders("api", "text-2"));
    for (newest, oldest_ready, trouble) in [
        (NOW - 3600, NOW - 3600, Some(Trouble::NotApplied)),
        // A scaler, or a roll-out under way.
        (NOW + 5, NOW - 3600, Some(Trouble::NotReady)),
        (NOW + 5, NOW + 1, None),
        // The cluster's clock is late.
        (NOW - 3000, NOW - 3599, None),
    ] {
        let seen = updated.clone().pods_made("api", newest, oldest_ready);
        let told = health_of(&desired, &looked_at(&desired, &seen)).1;
        assert_eq!(told, trouble, "{newest} {oldest_ready}");
    }
}

#[test]
fn a_workload_that_did_not_change_or_wants_no_pods_needs_no_new_ones() {
    let (desired, before) = changed();
    let same = looked_at(&desired, &sent(&desired, &before));
    assert_eq!(health_of(&desired, &same), (1, None));
    let none = sent(&desired, &before)
        .renders("api", "text-2")
        .runs_replicas("api", 0);
    assert_eq!(health_of(&desired, &looked_at(&desired, &none)), (1, None));
}

#[test]
fn a_workload_that_does_not_roll_by_itself_is_not_waited_for() {
    let (desired, before) = changed();
    let held = before.seen_with("api", |seen| {
        for text in seen.expected.iter_mut().flat_map(|e| e.values_mut()) {
            *text = None;
        }
    });
    let updated = sent(&desired, &held)
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()));
    assert_eq!(
        health_of(&desired, &looked_at(&desired, &updated)),
        (1, None)
    );
}

#[test]
fn a_roll_out_is_not_believed_unseen() {
    let (desired, before) = changed();
    let unseen = looked_at(&desired, &sent(&desired, &before).renders("api", "text-2"))
        .seen_with("api", |seen| seen.live = None);
    let told = health_of(&desired, &looked_at(&desired, &unseen)).1;
    assert_eq!(told, Some(Trouble::NotReady));
}

#[test]
fn a_pod_of_before_a_second_change_does_not_prove_it() {
    let (desired, before) = changed();
    let rolled_out = looked_at(&desired, &sent(&desired, &before).renders("api", "text-2"))
        .pods_made("api", NOW + 5, NOW + 5)
        .with(|o| o.now = ago(-10));
    let again = environment().service("api", service().variable("LOG", "odd"));
    let refused = sent(&again, &looked_at(&desired, &rolled_out)).renders("api", "text-3");
    let told = health_of(&again, &looked_at(&again, &refused)).1;
    assert_eq!(told, Some(Trouble::NotApplied));
    // The next value is taken.
    let cured = sent(&desired, &looked_at(&again, &refused)).renders("api", "text-2");
    let cured = looked_at(&desired, &cured).pods_made("api", NOW + 20, NOW + 20);
    assert_eq!(health_of(&desired, &looked_at(&desired, &cured)), (1, None));
}

#[test]
fn variables_that_are_no_longer_declared_are_not_watched() {
    let (desired, before) = changed();
    let refused = looked_at(&desired, &sent(&desired, &before).renders("api", "text-2"));
    let undeclared = environment().service("api", service());
    let left_alone = looked_at(&undeclared, &refused);
    assert_eq!(health_of(&undeclared, &left_alone), (1, None));
}

#[test]
fn what_an_image_or_scale_call_changed_may_take_a_moment_to_be_seen() {
    let api = service().image("api", "api:1").replicas("api", 2);
    let desired = environment().service("api", api.clone());
    let before = observed()
        .present()
        .owned()
        .running("api", &api)
        .runs_image("api", "api:0")
        .runs_replicas("api", 1);
    let asked = sent(&desired, &before);
    assert_eq!(
        planned(&desired, &asked),
        "wait 1s Progressing waiting for the cluster to show: set image api/api api:0 → api:1, scale Deployment/api 1 → 2"
    );
    // Something else is still sent, and so is another wish.
    let other = environment().service("api", api.clone().image("api", "api:2"));
    assert_eq!(
        planned(&other, &asked),
        "image api Deployment/api/api Some(\"api:0\") -> api:2"
    );
    let late = asked.with(|o| o.now = ago(-5));
    assert_eq!(planned(&desired, &late), planned(&desired, &before));
}

#[test]
fn trouble_is_told_once_the_time_for_it_to_pass_is_over() {
    let seconds = Duration::from_secs;
    let rows = [
        (None, 0, 0, false, Outlook::Ready),
        (
            Some(Trouble::NotReady),
            299,
            299,
            false,
            Outlook::Progressing,
        ),
        (Some(Trouble::NotReady), 300, 299, false, Outlook::Unhealthy),
        (
            Some(Trouble::NotApplied),
            14,
            14,
            false,
            Outlook::Progressing,
        ),
        (Some(Trouble::NotApplied), 15, 15, false, Outlook::Unhealthy),
        (Some(Trouble::LiveDrift), 4, 4, false, Outlook::Progressing),
        (Some(Trouble::LiveDrift), 5, 5, false, Outlook::Unhealthy),
        (Some(Trouble::NotReady), 9999, 29, true, Outlook::Believed),
        (Some(Trouble::LiveDrift), 9999, 30, true, Outlook::Unhealthy),
    ];
    for (trouble, since_change, seen_for, was_ready, verdict) in rows {
        let judged = judge(trouble, seconds(since_change), seconds(seen_for), was_ready);
        assert_eq!(
            judged, verdict,
            "{trouble:?} {since_change} {seen_for} {was_ready}"
        );
    }
}
