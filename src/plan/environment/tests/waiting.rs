//! When nothing may be sent: Zadig is busy, asleep, stuck or says something new; the connection is suspended (design §3).

use insta::assert_snapshot;

use super::super::fixture::{environment, observed, planned, service};
use super::super::{EnvStatus, Observed};

/// An owned environment with a declared image that differs.
fn drifted() -> (super::super::Environment, Observed) {
    let api = service().image("api", "api:1");
    let observed = observed()
        .present()
        .owned()
        .running("api", &api)
        .runs_image("api", "api:0");
    (environment().service("api", api), observed)
}

#[test]
fn an_idle_environment_is_repaired_whatever_its_last_operation_came_to() {
    let (desired, observed) = drifted();
    for status in [EnvStatus::Success, EnvStatus::Failed, EnvStatus::Unstable] {
        let observed = observed.clone().status(status, 1);
        assert_eq!(
            planned(&desired, &observed),
            r#"image api Deployment/api/api Some("api:0") -> api:1"#
        );
    }
}

#[test]
fn a_busy_environment_is_left_alone_and_looked_at_ever_more_slowly() {
    let (desired, observed) = drifted();
    let planned_in = |status, seconds| planned(&desired, &observed.clone().status(status, seconds));
    assert_snapshot!(planned_in(EnvStatus::Creating, 1), @"wait 1s Creating Zadig reports creating");
    assert_snapshot!(planned_in(EnvStatus::Updating, 60), @"wait 3s Updating Zadig reports updating");
    assert_snapshot!(planned_in(EnvStatus::Deleting, 599), @"wait 30s Deleting Zadig reports deleting");
}

#[test]
fn the_thorough_look_may_be_there_and_busy_is_still_busy() {
    let (desired, observed) = drifted();
    for status in [
        EnvStatus::Creating,
        EnvStatus::Updating,
        EnvStatus::Deleting,
    ] {
        let observed = observed.clone().present_with(|p| p.status = status.clone());
        let observed = observed.present_with(|p| p.since = super::super::fixture::ago(5));
        assert!(planned(&desired, &observed).starts_with("wait 3s "));
    }
}

#[test]
fn a_clock_that_went_back_counts_as_no_time() {
    let (desired, observed) = drifted();
    let observed = observed.status(EnvStatus::Updating, -3600);
    assert_snapshot!(planned(&desired, &observed), @"wait 1s Updating Zadig reports updating");
}

#[test]
fn a_sleeping_environment_is_not_drift() {
    let (desired, observed) = drifted();
    let observed = observed.status(EnvStatus::Sleeping, 1_000_000);
    assert_snapshot!(planned(&desired, &observed), @"wait 300s Sleeping the environment sleeps; nothing is changed until somebody wakes it in Zadig");
}

#[test]
fn an_unknown_word_is_waited_out_and_then_told() {
    let (desired, observed) = drifted();
    let planned_after = |seconds| {
        let word = EnvStatus::Other("hibernating".to_owned());
        planned(&desired, &observed.clone().status(word, seconds))
    };
    assert_snapshot!(planned_after(10), @"wait 3s Updating Zadig reports hibernating");
    assert_snapshot!(planned_after(600), @"blocked ZadigStuck Zadig has reported hibernating since 2026-09-21T14:03:20Z; it does not recover from this by itself after a restart of its server. Only deleting the environment helps: delete this object, or the environment in Zadig");
}

#[test]
fn a_change_between_the_two_looks_is_looked_at_again() {
    let (desired, observed) = drifted();
    let observed = observed.present_with(|present| present.detail = None);
    assert_snapshot!(planned(&desired, &observed), @"wait 1s Updating the environment changed while it was looked at");
}

#[test]
fn a_suspended_connection_holds_back_every_write_and_says_which() {
    let (desired, drifted) = drifted();
    let suspended = |o: &mut Observed| o.connection_suspended = true;
    assert_snapshot!(planned(&desired, &drifted.clone().with(suspended)), @"wait 300s ConnectionSuspended the connection is suspended; waiting: set image api/api api:0 → api:1");
    assert_snapshot!(planned(&environment(), &observed().with(suspended)), @"wait 300s ConnectionSuspended the connection is suspended; waiting: record the environment as pending; create the environment in namespace shop-env-dev with 0 services");
    let settled = drifted.runs_image("api", "api:1");
    assert_snapshot!(planned(&desired, &settled.with(suspended)), @"in sync");
}
