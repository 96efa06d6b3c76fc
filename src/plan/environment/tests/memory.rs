//! What is remembered after a look and after a call, and what a lost memory leads to (design §3).

use super::super::fixture::{
    environment, exhaust, looked_at, observed, planned, sent, sent_first, service,
};
use super::super::{Moved, Observed};

/// Created by this object, and idle.
fn owned() -> Observed {
    observed().present().owned()
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
            exhaust(&mut o.memory.repairs, &subject);
        });
    let before = planned(&desired, &edited);
    assert!(
        before.starts_with("blocked DriftDoesNotConverge"),
        "{before}"
    );
    let after = looked_at(&desired, &edited);
    assert_eq!(planned(&desired, &after), before);
    let retried = after.with(|o| o.memory.repairs.forget());
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

#[test]
fn the_variables_of_a_service_that_is_declared_later_are_sent_once_without_a_restart() {
    let api = service().variable("LOG", "debug").restart_token("1");
    let desired = environment().service("api", api.clone());
    let before = owned().foreign("api");
    assert_eq!(
        planned(&desired, &before),
        "update services\n  api [LOG:string=debug] and maybe its template"
    );
    let after = sent(&desired, &before);
    assert_eq!(planned(&desired, &after), "in sync");
    assert_eq!(planned(&desired, &looked_at(&desired, &after)), "in sync");
}

#[test]
fn a_lost_memory_is_filled_by_looking_and_nothing_is_sent() {
    let api = service().variable("LOG", "debug").restart_token("1");
    let desired = environment().service("api", api.clone());
    let remembered = owned().running("api", &api);
    let lost = remembered.clone().forgotten();
    assert_eq!(planned(&desired, &lost), "in sync");
    let found = looked_at(&desired, &lost);
    // No look tells which template the service was made from.
    let without = remembered.with(|o| o.memory.applied.get_mut("api").unwrap().template = None);
    assert_eq!(found.memory, without.memory);
    assert_eq!(planned(&desired, &found), "in sync");
}

#[test]
fn a_lost_memory_beside_a_difference_that_can_be_read_restarts_nothing() {
    let api = service().global_variable("LOG").restart_token("1");
    let desired = environment().service("api", api.clone());
    let lost = owned()
        .stored_global("LOG", "info", &[])
        .running("api", &api)
        .forgotten();
    assert_eq!(
        planned(&desired, &lost),
        "update services\n  api [LOG:string=(global)] and maybe its template"
    );
    let bound = sent(&desired, &lost).stored_global("LOG", "info", &["api"]);
    assert_eq!(planned(&desired, &bound), "in sync");
}

#[test]
fn fields_with_policy_on_create_wait_for_their_workload_to_be_seen() {
    let api = service()
        .image_on_create("api", "api:1")
        .replicas_on_create("api", 2);
    let desired = environment().service("api", api.clone());
    let new = owned()
        .running("api", &api)
        .runs_replicas("api", 1)
        .with(|o| o.memory.applied.get_mut("api").unwrap().initial = true);
    let unseen = new
        .clone()
        .seen_with("api", |seen| seen.live = Some(Vec::new()));
    assert_eq!(planned(&desired, &unseen), "in sync");
    let memory = looked_at(&desired, &unseen).memory;
    let seen = new.with(|o| o.memory = memory);
    assert_eq!(planned(&desired, &seen), "scale api Deployment/api 1 -> 2");
    let scaled = seen.runs_replicas("api", 2);
    let done = looked_at(&desired, &scaled).runs_replicas("api", 5);
    assert_eq!(planned(&desired, &done), "in sync");
}

#[test]
fn a_create_whose_answer_was_lost_is_remembered_like_one_that_was_answered() {
    let api = service()
        .variable("LOG", "debug")
        .replicas_on_create("api", 2)
        .restart_token("1");
    let desired = environment().service("api", api.clone());
    // A former life of the environment left other things in memory.
    let gone = observed()
        .present()
        .owned()
        .running("api", &service().restart_token("0"))
        .running("old", &service())
        .gone();
    let answered = sent(&desired, &gone);
    let lost = sent_first(1, &desired, &gone).present().pending();
    let found = sent(&desired, &lost);
    assert_eq!(found.memory.services, answered.memory.services);
    assert_eq!(found.memory.applied, answered.memory.applied);
    assert_eq!(found.memory.recreated_at, Some(gone.now));
    assert_eq!(answered.memory.recreated_at, Some(gone.now));
    assert!(found.memory.known && answered.memory.known);
}

#[test]
fn what_was_declared_after_a_create_call_of_unknown_fate_is_sent_once_it_is_found() {
    let before = environment().service("api", service().variable("LOG", "info"));
    let api = service().variable("LOG", "debug").restart_token("1");
    let desired = environment().service("api", api.clone());
    let lost = sent_first(1, &before, &observed());
    let found = sent(&desired, &lost.present().pending())
        .running_as_before("api", &api)
        .owned();
    let put = "update services\n  api [LOG:string=debug]";
    assert_eq!(planned(&desired, &found), put);
    // The process ended meanwhile, and with it what the call carried.
    let forgotten = observed().present().pending().forgotten();
    let found = sent(&desired, &forgotten)
        .running_as_before("api", &api)
        .owned();
    let put = format!("{put} and maybe its template");
    assert_eq!(planned(&desired, &found), put);
}

#[test]
fn what_an_update_of_unknown_fate_left_is_not_taken_for_what_was_sent_before() {
    let (old, new) = (
        service().variable("LOG", "info"),
        service().variable("LOG", "debug"),
    );
    let before = owned().running("api", &old);
    let lost = sent_first(0, &environment().service("api", new), &before);
    assert_eq!(
        planned(&environment().service("api", old), &lost),
        "update services\n  api [LOG:string=info]"
    );
}

#[test]
fn a_refused_create_does_not_hide_that_the_environment_had_disappeared() {
    let desired = environment();
    let gone = observed().owned().gone();
    // Zadig refuses while the namespace is terminating (Z§14.11), and the claim is taken back.
    let refused = sent_first(1, &desired, &gone).with(|o| o.record = None);
    let again = planned(&desired, &refused);
    assert!(again.contains("\ncreate again in "), "{again}");
    let created = sent(&desired, &refused);
    assert_eq!(created.memory.recreated_at, Some(gone.now));
}

#[test]
fn a_first_create_that_is_refused_is_not_taken_for_a_disappearance() {
    let desired = environment();
    let new = observed().forgotten();
    let refused = sent_first(1, &desired, &new).with(|o| o.record = None);
    assert_eq!(refused.memory, new.memory);
    assert_eq!(sent(&desired, &refused).memory.recreated_at, None);
}

#[test]
fn another_address_of_the_connection_changes_nothing_in_memory() {
    let api = service().replicas_on_create("api", 2);
    let desired = environment()
        .service("api", api.clone())
        .service("db", service());
    let moved = owned()
        .running("api", &api)
        .foreign("db")
        .with(|o| o.moved = Moved::SameZadig);
    assert_eq!(sent(&desired, &moved).memory, moved.memory);
}
