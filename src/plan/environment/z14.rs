//! The traps of Z§14 whose guard is the planner: each test is named after its trap and fails without the guard. Whoever adds
//! one takes the guard out once and sees it fail.
//!
//! The others are guarded where the calls are made or the answers are read, and tested there.

use insta::assert_snapshot;

use super::fixture::{
    NOW, ago, environment, health_of, looked_at, observed, of_kind, pending, planned,
    planned_deletion, sent, service,
};
use super::health::Trouble;
use super::{Action, Desired, EnvStatus, Observed, Registry, plan};
use crate::plan::Plan;

/// Created by this object, and idle.
fn owned() -> Observed {
    observed().present().owned()
}

#[test]
fn z14_03_services_are_not_put_again_because_update_time_moved() {
    let api = service().variable("LOG", "debug");
    let desired = environment().service("api", api.clone());
    let observed = owned()
        .running("api", &api)
        .present_with(|present| present.update_time += 1);
    assert_snapshot!(planned(&desired, &observed), @"in sync");
}

#[test]
fn z14_04_a_repair_that_does_not_last_ends_in_a_condition() {
    let api = service().variable("LOG", "debug").image("api", "api:1");
    let desired = environment().service("api", api.clone());
    let mut observed = owned()
        .running("api", &api)
        .runs_image("api", "api:0")
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()))
        .present_with(|present| present.update_time += 1);
    let mut calls = 0;
    while let Plan::Act(act) = plan(&Desired::Present(desired.clone()), &observed) {
        calls += act.actions.len();
        assert!(calls < 100, "it goes on for ever");
        for action in &act.actions {
            observed.memory.sent(action, Some(&desired), observed.now);
        }
        // Zadig answers well each time, and a while later somebody has changed it back.
        observed.now = ago(-100 * i64::try_from(calls).unwrap());
        observed.memory.applied.get_mut("api").unwrap().rendered = Some("rendered-1".to_owned());
    }
    assert_snapshot!(planned(&desired, &observed), @"
    blocked DriftDoesNotConverge spec.services[api].variables: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at
    blocked DriftDoesNotConverge spec.services[api].containers[api].image in Deployment/api: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at
    ");
    assert_eq!(calls, 6);
}

#[test]
fn z14_05_variables_are_not_compared_with_what_the_detail_shows() {
    let api = service().variable("MODE", "slow");
    let desired = environment().service("api", api.clone());
    // The detail shows the newest template, whatever the environment holds.
    let observed = owned().running("api", &api).seen_with("api", |seen| {
        seen.template.push(of_kind("NEW", "string", &[]));
        seen.template_digest = Some("template-2".to_owned());
    });
    assert_snapshot!(planned(&desired, &observed), @"in sync");
}

#[test]
fn z14_06_global_variables_are_put_back_whole() {
    let observed = owned()
        .stored_global("LOG", "info", &["api", "web"])
        .stored_global("REGION", "eu", &["db"]);
    let desired = environment().global("LOG", "debug");
    assert_snapshot!(planned(&desired, &observed), @r#"
    put globals, changed {"LOG"}
      LOG:string="debug" [] "about LOG" {"api", "web"}
      REGION:string="eu" [] "about REGION" {"db"}
    "#);
}

#[test]
fn z14_03_a_change_of_variables_never_takes_a_new_template_along_in_silence() {
    let (old, new) = (service(), service().variable("LOG", "debug"));
    let desired = environment().service("api", new.clone());
    let newer = |observed: Observed| {
        observed.seen_with("api", |seen| {
            seen.template_digest = Some("template-2".to_owned());
        })
    };
    let bound = service().global_variable("LOG");
    let rows = [
        // Made by this object, without a variable so far.
        (owned().running("api", &old), ""),
        (newer(owned().running("api", &old)), " and its template"),
        // Nobody looked for the newest one.
        (
            owned()
                .running("api", &old)
                .seen_with("api", |seen| seen.template_digest = None),
            " and maybe its template",
        ),
        // Somebody else's, or taken over, or forgotten: which template it has cannot be told.
        (owned().foreign("api"), " and maybe its template"),
        (newer(owned().foreign("api")), " and maybe its template"),
        (
            looked_at(
                &environment().service("api", old.clone()),
                &owned().foreign("api"),
            ),
            " and maybe its template",
        ),
        (
            looked_at(
                &environment().service("api", old.clone()),
                &owned().running("api", &old).forgotten(),
            ),
            " and maybe its template",
        ),
    ];
    for (observed, upgrade) in rows {
        let put = format!("update services\n  api [LOG:string=debug]{upgrade}");
        assert_eq!(planned(&desired, &observed), put);
        // What was the newest then is the one of the next change.
        let seen = observed.detail().unwrap().services["api"]
            .template_digest
            .clone();
        let after = looked_at(&desired, &sent(&desired, &observed));
        assert_eq!(after.memory.applied["api"].template, seen);
    }
    // A binding that somebody undid is a change of variables, too.
    let undone = owned()
        .stored_global("LOG", "info", &[])
        .running("api", &bound);
    assert_eq!(
        planned(&environment().service("api", bound), &newer(undone)),
        "update services\n  api [LOG:string=(global)] and its template"
    );
}

#[test]
fn z14_03_the_template_of_a_service_is_remembered_when_it_is_made() {
    let desired = environment().service("api", service());
    let made = [
        sent(&desired, &observed().gone()).present().owned(),
        sent(&desired, &owned()),
    ];
    for made in made {
        let made = made.running_as_before("api", &service());
        let known = looked_at(&desired, &made).memory.applied;
        assert_eq!(known["api"].template.as_deref(), Some("template-1"));
    }
}

#[test]
fn z14_09_an_environment_that_is_missing_once_is_not_created_again() {
    assert!(planned(&environment(), &observed().owned()).starts_with("wait "));
    assert!(planned_deletion(None, &observed().owned()).starts_with("wait "));
}

#[test]
fn z14_10_an_answered_delete_is_not_sent_again_while_it_works() {
    let sent = owned().with(|o| o.memory.delete_sent = Some(ago(0)));
    assert_snapshot!(planned_deletion(None, &sent), @"wait 1s Deleting the environment is being deleted");
    assert_snapshot!(planned_deletion(None, &sent.gone()), @"in sync");
}

#[test]
fn z14_11_a_create_that_is_refused_while_the_namespace_goes_is_planned_again_and_counts_for_nothing()
 {
    let gone = owned().running("api", &service()).gone();
    let mut observed = gone.with(|o| o.memory.was_ready_lately = true);
    for _ in 0..5 {
        let planned = planned(&environment(), &observed);
        assert!(planned.contains("\ncreate again in "), "{planned}");
        // Zadig refuses, and the claim is taken back.
        let claim = Action::RecordOwnership(pending());
        observed.memory.sent(&claim, None, observed.now);
        observed.record = None;
        assert_eq!(observed.memory.recreated_at, None);
    }
}

#[test]
fn z14_12_a_stuck_environment_is_told_and_can_be_deleted() {
    for status in [
        EnvStatus::Creating,
        EnvStatus::Updating,
        EnvStatus::Deleting,
    ] {
        let stuck = owned().status(status.clone(), 600);
        let plan = planned(&environment(), &stuck);
        assert!(
            plan.starts_with("blocked ZadigStuck "),
            "{status:?}: {plan}"
        );
        assert_eq!(
            planned_deletion(None, &stuck),
            "delete, keep resources: false",
            "{status:?}"
        );
    }
}

#[test]
fn z14_15_replicas_of_a_scaler_are_left_to_it() {
    let api = service().replicas_on_create("api", 2);
    let desired = environment().service("api", api.clone());
    let scaled = owned().running("api", &api).runs_replicas("api", 7);
    assert_snapshot!(planned(&desired, &scaled), @"in sync");
    // What the template's newest revision reset is put back only where it is enforced.
    let enforced = environment().service("api", service().replicas("api", 2));
    assert_snapshot!(planned(&enforced, &scaled.runs_replicas("api", 1)), @"scale api Deployment/api 1 -> 2");
}

#[test]
fn z14_16_an_image_that_runs_is_not_set_again() {
    let api = service().image("api", "api:1");
    let observed = owned().running("api", &api);
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn z14_18_a_sleeping_environment_is_left_asleep() {
    let api = service().image("api", "api:1").replicas("api", 2);
    let observed = owned()
        .running("api", &api)
        .runs_replicas("api", 0)
        .present_with(|present| present.status = EnvStatus::Sleeping);
    assert!(
        planned(&environment().service("api", api), &observed).starts_with("wait 300s Sleeping")
    );
}

#[test]
fn z14_19_what_is_as_declared_causes_no_call_however_often_it_is_looked_at() {
    let api = service()
        .variable("MODE", "slow")
        .global_variable("LOG")
        .image("api", "api:1")
        .replicas("api", 2)
        .restart_token("1");
    let desired = environment()
        .registry_id("r-default")
        .global("LOG", "debug")
        .service("api", api.clone());
    let mut observed = owned()
        .stored_global("LOG", "debug", &["api"])
        .running("api", &api)
        .foreign("theirs");
    for look in 1..50 {
        assert_eq!(planned(&desired, &observed), "in sync");
        observed = looked_at(&desired, &observed).present_with(|p| p.update_time += look % 2);
    }
}

#[test]
fn z14_20_all_services_of_an_environment_share_one_call() {
    let old = service().variable("LOG", "info");
    let new = service().variable("LOG", "debug");
    let mut observed = owned().with(|o| {
        let template = o.catalog.templates["api"].clone();
        for name in ["new-1", "new-2"] {
            o.catalog
                .templates
                .insert(name.to_owned(), template.clone());
        }
    });
    let mut desired = environment();
    for name in ["a", "b", "c"] {
        observed = observed.running(name, &old);
        desired = desired.service(name, new.clone());
    }
    for name in ["old-1", "old-2"] {
        observed = observed.running(name, &old);
    }
    let desired = desired
        .service("new-1", service())
        .service("new-2", service());
    assert_snapshot!(planned(&desired, &observed), @r#"
    remove services {"old-1", "old-2"}
    update services
      a [LOG:string=debug]
      b [LOG:string=debug]
      c [LOG:string=debug]
    add services
      new-1 []
      new-2 []
    "#);
}

#[test]
fn z14_21_a_failed_operation_is_not_sent_again_unless_something_differs() {
    let api = service().variable("LOG", "debug").image("api", "api:1");
    let desired = environment().service("api", api.clone());
    let failed = owned()
        .running("api", &api)
        .seen_with("api", |seen| "unstable".clone_into(&mut seen.status))
        .status(EnvStatus::Failed, 5);
    assert_snapshot!(planned(&desired, &failed), @"in sync");
}

#[test]
fn z14_22_nothing_is_bound_to_a_global_variable_that_will_not_be_there() {
    let bound = service().global_variable("LOG");
    let desired = environment().service("api", bound.clone());
    let refused = "blocked VariableInvalid spec.services[api].variables[LOG].useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables";
    assert_eq!(planned(&desired, &observed()), refused);
    assert_eq!(planned(&desired, &owned()), refused);
    assert_eq!(planned(&desired, &owned().running("api", &bound)), refused);
}

#[test]
fn z14_23_success_is_no_proof_and_the_same_put_is_no_repair() {
    let api = service().variable("LOG", "debug").image("api", "api:1");
    let desired = environment().service("api", api.clone());
    // The cluster refused the object: status, detail and rendered text agree with the request, the live look does not.
    let observed = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.live = Some(Vec::new()));
    assert_snapshot!(planned(&desired, &observed), @"in sync");
    let seen = health_of(&desired, &observed);
    assert_eq!(seen.0, 0);
    assert_eq!(seen.1, Some(Trouble::LiveDrift));
}

#[test]
fn z14_23_a_change_that_got_no_new_pods_is_told_and_not_sent_again() {
    let old = service().variable("LOG", "info");
    let new = service().variable("LOG", "debug");
    let desired = environment().service("api", new.clone());
    // Zadig says success and shows the refused value; the pods are those from before.
    let refused = sent(&desired, &owned().running("api", &old))
        .renders("api", "text-2")
        .present_with(|present| present.update_time += 2);
    assert_snapshot!(planned(&desired, &refused), @"in sync");
    let told = looked_at(&desired, &refused);
    assert_eq!(health_of(&desired, &told), (0, Some(Trouble::NotApplied)));
    // Also by the next process, which knows the status alone, and however long it takes.
    let later = looked_at(&desired, &told.with(|o| o.memory.before.clear()));
    assert_snapshot!(planned(&desired, &later), @"in sync");
    assert_eq!(health_of(&desired, &later), (0, Some(Trouble::NotApplied)));
    let rolled_out = looked_at(&desired, &later.pods_made("api", NOW, NOW));
    assert_eq!(health_of(&desired, &rolled_out), (1, None));
}

#[test]
fn z14_23_a_good_service_does_not_hide_a_broken_one() {
    let desired = environment()
        .service("bad", service())
        .service("good", service());
    let observed = owned()
        .running("bad", &service())
        .running("good", &service())
        .seen_with("bad", |seen| "unstable".clone_into(&mut seen.status));
    assert_eq!(health_of(&desired, &observed), (1, Some(Trouble::NotReady)));
}

#[test]
fn z14_24_a_value_outside_the_options_is_not_sent() {
    let wrong = service().variable("MODE", "medium");
    let desired = environment().service("api", wrong);
    let refused = "blocked VariableInvalid spec.services[api].variables[MODE]: the value is none of the options fast, slow";
    assert_eq!(planned(&desired, &observed()), refused);
    assert_eq!(planned(&desired, &owned()), refused);
    assert_eq!(
        planned(&desired, &owned().running("api", &service())),
        refused
    );
}

#[test]
fn z14_25_an_image_is_only_sent_for_a_container_that_is_there() {
    let wrong = service().image("sidecar", "sidecar:1");
    let desired = environment().service("api", wrong);
    let refused = "blocked ContainerNotFound spec.services[api].containers[sidecar]: the service has no such container; it has: api";
    assert_eq!(planned(&desired, &observed()), refused);
    assert_eq!(planned(&desired, &owned()), refused);
    assert_eq!(
        planned(&desired, &owned().running("api", &service())),
        refused
    );
}

#[test]
fn z14_26_a_busy_environment_needs_no_thorough_look() {
    let api = service().image("api", "api:1");
    let observed = owned().running("api", &api).status(EnvStatus::Updating, 5);
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"wait 3s Updating Zadig reports updating");
}

#[test]
fn z14_27_only_ids_of_zadigs_own_list_are_sent_as_registry() {
    for id in ["", "r-unknown", "not-24-hex-digits"] {
        let desired = environment().registry_id(id);
        for observed in [observed(), owned()] {
            let plan = planned(&desired, &observed);
            assert!(
                plan.starts_with("blocked RegistryNotFound "),
                "{id}: {plan}"
            );
        }
    }
    let nameless = observed().with(|o| {
        o.catalog.registries = vec![Registry {
            is_default: true,
            ..Registry::default()
        }];
    });
    let plan = planned(&environment(), &nameless);
    assert!(plan.starts_with("blocked RegistryNotFound "), "{plan}");
}

#[test]
fn z14_28_a_create_that_zadig_would_refuse_late_is_not_sent() {
    let desired = environment().registry_at("registry.example.com/unknown");
    assert_snapshot!(planned(&desired, &observed()), @"blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows: registry.example.com/shop (r-default)");
}

#[test]
fn z14_29_a_put_carries_every_bound_key_of_the_service() {
    let observed = owned()
        .stored_global("LOG", "info", &["api"])
        .stored_global("TRACE", "true", &["web"])
        .running("api", &service().variable("MODE", "fast"));
    let desired = environment().service("api", service().variable("MODE", "slow"));
    assert_snapshot!(planned(&desired, &observed), @"
    update services
      api [LOG:string=(global), MODE:enum=slow]
    ");
}
