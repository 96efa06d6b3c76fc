//! The time of an environment with a `ttl`: when it ends, and what is done then (design §2, ZadigEnvironment `ttl`).

use std::time::Duration;

use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::fixture::{ago, allowance, observed, pending, planned_expiry, service};
use super::super::lifetime::{Lifetime, is_protected};
use super::super::{EnvKey, EnvStatus, Moved, Observed};
use crate::api::environment::{Ownership, OwnershipState, Scope, ZadigEnvironmentSpec};
use crate::api::management::Management;

fn spec(fields: &Value) -> ZadigEnvironmentSpec {
    let mut spec =
        json!({"connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev"});
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// The time of an object that was made a hundred seconds ago.
fn lifetime(fields: &Value, record: Option<OwnershipState>) -> Option<Lifetime> {
    let record: Option<Ownership> = record.map(|state| pending().in_state(state));
    Lifetime::of(&spec(fields), Some(ago(100)), record.as_ref())
}

/// Created by this object, with a service of its own and a foreign one.
fn owned() -> Observed {
    observed()
        .present()
        .owned()
        .running("api", &service())
        .foreign("db")
}

#[test]
fn a_test_environment_is_protected_only_when_it_says_so() {
    let protected = |fields: Value| is_protected(&spec(&fields));
    assert!(!protected(json!({})));
    assert!(!protected(json!({"deletionProtection": false})));
    assert!(protected(json!({"deletionProtection": true})));
}

#[test]
fn the_time_is_counted_from_the_creation_of_the_object() {
    let found = lifetime(&json!({"ttl": "72h"}), None).unwrap();
    assert_eq!(found.ends, ago(100 - 72 * 3600));
    assert_eq!(found.warn, ago(100 - 71 * 3600), "an hour ahead");
    let short = lifetime(&json!({"ttl": "20m500ms"}), None).unwrap();
    assert_eq!(short.ends, ago(100 - 1200), "in whole seconds");
    assert_eq!(short.warn, ago(100 - 1080), "a tenth ahead");
}

#[test]
fn only_what_this_object_makes_has_an_end() {
    let ttl = json!({"ttl": "72h"});
    for (record, ends) in [
        (None, true),
        (Some(OwnershipState::Pending), true),
        (Some(OwnershipState::Created), true),
        (Some(OwnershipState::Adopted), false),
    ] {
        assert_eq!(lifetime(&ttl, record).is_some(), ends, "{record:?}");
    }
    for without in [
        json!({}),
        json!({"ttl": "72h", "creation": "Adopt"}),
        json!({"ttl": "72h", "deletionProtection": true}),
        json!({"ttl": "soon"}),
        json!({"ttl": "99999999h99999999h"}),
    ] {
        assert_eq!(lifetime(&without, None), None, "{without}");
    }
    assert_eq!(
        Lifetime::of(&spec(&ttl), None, None),
        None,
        "no creation time"
    );
}

#[test]
fn what_is_over_stays_over_whatever_the_clock_says_until_the_ttl_is_longer() {
    let ends = |ttl: &str| lifetime(&json!({"ttl": ttl}), None).unwrap();
    let told = Some(ends("60s").ends);
    let now = |seconds: i64| ago(-seconds);
    for (ttl, told, at, over) in [
        ("60s", None, now(-41), false),
        ("60s", None, now(-40), true),
        ("60s", None, now(0), true),
        // The clock goes back to before the end, or before the creation.
        ("60s", told, now(-41), true),
        ("60s", told, now(-1000), true),
        ("30s", told, now(-1000), true),
        ("300s", told, now(0), false),
        ("300s", told, now(200), true),
    ] {
        let lifetime = ends(ttl);
        assert_eq!(lifetime.is_over(told, at), over, "{ttl} {told:?} {at}");
    }
}

#[test]
fn the_object_comes_back_for_its_warning_and_for_its_end() {
    let lifetime = lifetime(&json!({"ttl": "1000s"}), None).unwrap();
    let next = |at: Timestamp| lifetime.next(at).map(|next| next.as_secs());
    assert_eq!(next(ago(0)), Some(800));
    assert_eq!(next(ago(-800)), Some(100));
    assert_eq!(next(ago(-900)), None);
    assert_eq!(next(ago(-5000)), None);
    assert_eq!(lifetime.next(ago(-899)), Some(Duration::from_secs(1)));
}

#[test]
fn an_expired_environment_is_deleted_like_one_whose_object_is_deleted_and_costs_no_budget() {
    let spent = owned().with(|o| o.deletions = allowance(60, 0));
    for observed in [owned(), spent, owned().forgotten()] {
        assert_eq!(
            planned_expiry(&observed),
            "remove services {\"api\"}\ndelete, keep resources: false"
        );
    }
    let creating = owned().status(EnvStatus::Creating, 1);
    assert_snapshot!(planned_expiry(&creating), @"delete, keep resources: false");
    let suspended = owned().with(|o| o.connection_suspended = true);
    assert_snapshot!(planned_expiry(&suspended), @"wait 300s ConnectionSuspended the connection is suspended; the environment is deleted when it is resumed");
}

#[test]
fn what_is_not_ours_or_in_doubt_is_not_deleted_for_its_age() {
    for released in [
        observed().present(),
        observed().owned().gone(),
        owned().present_with(|present| present.namespace = "other".to_owned()),
        owned().with(|o| o.rival = Some("team/older".to_owned())),
    ] {
        assert_eq!(planned_expiry(&released), "in sync");
    }
    assert_snapshot!(planned_expiry(&observed().owned()), @"wait 2s Deleting the environment is no longer listed; looking once more");
    let elsewhere = owned().with(|o| o.moved = Moved::DifferentZadig);
    assert!(planned_expiry(&elsewhere).starts_with("blocked DifferentZadig"));
}

#[test]
fn what_is_told_names_the_field_the_time_and_the_ways_out() {
    let lifetime = lifetime(&json!({"ttl": "60s"}), None).unwrap();
    let key = EnvKey {
        project: "shop".to_owned(),
        env: "dev".to_owned(),
        scope: Scope::Test,
    };
    assert_snapshot!(lifetime.over(&key).message, @"spec.ttl: its time was over at 2026-09-21T14:12:40Z, and environment dev of project shop is not kept any longer; to have it back, made anew, make ttl longer or remove it; else delete this object");
    assert_snapshot!(lifetime.warning(Management::Enforce), @"spec.ttl: the environment is deleted at 2026-09-21T14:12:40Z; to keep it, make ttl longer or remove it");
    assert_snapshot!(lifetime.warning(Management::Approve), @"spec.ttl: the environment is to be deleted, once that is approved, after 2026-09-21T14:12:40Z; to keep it, make ttl longer or remove it");
}
