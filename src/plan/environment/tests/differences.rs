//! What differs in an environment that can be changed, and the calls that repair it (design §2, rule 1; §3).

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;

use super::super::fixture::{
    ago, allowance, environment, exhaust, looked_at, observed, planned, service,
};
use super::super::moving::GRACE;
use super::super::{Action, Bound, Desired, Environment, LiveWorkload, Observed, plan, subject};
use crate::api::environment::Prune;
use crate::plan::Plan;

/// Created by this object, and idle.
fn owned() -> Observed {
    observed().present().owned()
}

#[test]
fn nothing_is_sent_when_everything_is_as_declared() {
    let api = service()
        .variable("LOG", "debug")
        .image("api", "api:1")
        .replicas("api", 2)
        .restart_token("1");
    let observed = owned()
        .stored_global("LOG", "debug", &[])
        .running("api", &api);
    let desired = environment()
        .global("LOG", "debug")
        .registry_at("registry.example.com/shop")
        .service("api", api);
    assert_snapshot!(planned(&desired, &observed), @"in sync");
}

#[test]
fn what_is_not_declared_is_left_alone() {
    let observed = owned()
        .stored_global("LOG", "somebody's", &["api"])
        .running("api", &service())
        .runs_image("api", "somebody's:1")
        .runs_replicas("api", 7)
        .seen_with("api", |seen| {
            seen.rendered = Some("rendered-2".to_owned());
            seen.template_digest = Some("template-2".to_owned());
        })
        .detail_with(|detail| detail.registry_id = "somebody's".to_owned());
    assert_snapshot!(planned(&environment().service("api", service()), &observed), @"in sync");
}

#[test]
fn everything_is_repaired_in_the_order_of_the_design() {
    let api = service()
        .variable("LOG", "debug")
        .image("api", "api:1")
        .replicas("api", 2);
    let web = service().restart_token("2");
    let observed = owned()
        .with(|o| {
            let template = o.catalog.templates["api"].clone();
            o.catalog.templates.insert("new".to_owned(), template);
        })
        .stored_global("LOG", "info", &[])
        .running("api", &service())
        .runs_image("api", "api:0")
        .runs_replicas("api", 1)
        .running("web", &service().restart_token("1"))
        .running("old", &service())
        .detail_with(|detail| detail.registry_id = "r-other".to_owned());
    let desired = environment()
        .registry_id("r-default")
        .global("LOG", "debug")
        .service("api", api)
        .service("web", web)
        .service("new", service().variable("MODE", "fast"));
    assert_snapshot!(planned(&desired, &observed), @r#"
    registry r-default
    put globals, changed {"LOG"}
      LOG:string="debug" [] "about LOG" {}
    remove services {"old"}
    update services
      api [LOG:string=debug]
    add services
      new [MODE:enum=fast]
    image api Deployment/api/api Some("api:0") -> api:1
    scale api Deployment/api 1 -> 2
    restart web for 2
    "#);
}

#[test]
fn undeclared_services_go_by_the_prune_policy() {
    let observed = owned().running("ours", &service()).foreign("theirs");
    let planned_by = |prune| planned(&environment().prune(prune), &observed);
    assert_snapshot!(planned_by(Prune::Owned), @r#"remove services {"ours"}"#);
    assert_snapshot!(planned_by(Prune::All), @r#"remove services {"ours", "theirs"}"#);
    assert_snapshot!(planned_by(Prune::None), @"in sync");
}

#[test]
fn a_service_that_nobody_declares_any_more_stays_for_a_moment_and_holds_nothing_up() {
    let api = service().image("api", "api:1");
    let seen = owned().running("api", &api).running("web", &service());
    let desired = Environment {
        grace: GRACE,
        ..environment().service("api", api)
    };
    let since = |seconds| {
        seen.clone().with(|observed| {
            observed.memory.undeclared = [("web".to_owned(), ago(seconds))].into();
        })
    };
    let waits = "wait 10s Applying spec.services: services that are not declared any more are removed in a moment, unless they are declared again or a ZadigServiceBinding claims them: web";
    assert_eq!(planned(&desired, &seen), waits);
    assert_eq!(planned(&desired, &since(0)), waits);
    assert_eq!(planned(&desired, &since(7)), waits.replace("10s", "3s"));
    assert_snapshot!(planned(&desired, &since(10)), @r#"remove services {"web"}"#);
    assert_snapshot!(planned(&desired, &since(3).runs_image("api", "api:0")), @r#"image api Deployment/api/api Some("api:0") -> api:1"#);
    let claimed = since(10).with(|o| o.bound = [("web".to_owned(), Bound::Claimed)].into());
    assert_snapshot!(planned(&desired, &claimed), @"in sync");
    let kept = desired.prune(Prune::None);
    assert_snapshot!(planned(&kept, &seen), @"in sync");
}

#[test]
fn what_may_take_over_objects_of_a_service_that_goes_waits_until_it_is_gone() {
    let renamed = Environment {
        grace: GRACE,
        ..environment().service("api", service())
    };
    let seen = owned().running("old-api", &service());
    assert!(planned(&renamed, &seen).starts_with("wait 10s Applying"));
    let later = seen.with(|o| o.memory.undeclared = [("old-api".to_owned(), ago(10))].into());
    assert!(planned(&renamed, &later).starts_with("remove services {\"old-api\"}\nadd "));
}

#[test]
fn the_moment_begins_when_a_service_is_first_seen_undeclared_and_anew_after_it_was_declared() {
    let seen = owned().running("web", &service().variable("LOG", "debug"));
    let detail = seen.detail().expect("it is there");
    let mut memory = seen.memory.clone();
    let mut look = |environment: &Environment, bound: &[(String, Bound)], seconds| {
        let bound = bound.iter().cloned().collect();
        memory.undeclared(environment, detail, &bound, ago(seconds));
        memory.undeclared.get("web").copied()
    };
    let (without, with) = (environment(), environment().service("web", service()));
    assert_eq!(look(&with, &[], 60), None);
    assert_eq!(look(&without, &[], 50), Some(ago(50)));
    assert_eq!(look(&without, &[], 45), Some(ago(50)));
    assert_eq!(look(&without, &[("web".into(), Bound::Claimed)], 40), None);
    assert_eq!(look(&without, &[], 30), Some(ago(30)));
    // What was sent to it is not forgotten meanwhile: its next owner asks for it.
    memory.seen(
        &without,
        detail,
        0,
        true,
        &BTreeSet::new(),
        &BTreeMap::new(),
    );
    assert!(memory.applied.contains_key("web"));
}

#[test]
fn services_that_exceed_the_budget_of_deletions_stay_for_now_and_hold_nothing_else_up() {
    let api = service().image("api", "api:1");
    let running = owned()
        .running("a", &service())
        .running("b", &service())
        .running("c", &service());
    let left = |left| running.clone().with(|o| o.deletions = allowance(60, left));
    let pruned = |observed: &Observed| planned(&environment(), observed);
    assert_snapshot!(pruned(&left(2)), @r#"remove services {"a", "b"}"#);
    assert_snapshot!(pruned(&left(0)), @"wait 300s DeletionBudget spec.maxDeletionsPerHour of the ZadigConnection: its 60 deletions of this hour were sent; removing services a, b, c waits until 2026-09-21T14:33:20Z. Raise it there to go on at once");
    // One whose answer was lost was counted.
    let again = left(1).with(|o| {
        o.memory.counted.insert(subject::removed("b"));
    });
    assert_snapshot!(pruned(&again), @r#"remove services {"a", "b"}"#);
    let drifted = left(0).running("api", &api).runs_image("api", "api:0");
    let desired = environment().service("api", api);
    assert_snapshot!(planned(&desired, &drifted), @r#"image api Deployment/api/api Some("api:0") -> api:1"#);
}

#[test]
fn a_service_that_a_binding_claims_is_never_pruned() {
    let observed = owned()
        .running("ours", &service())
        .foreign("theirs")
        .with(|observed| {
            observed.bound = [
                ("ours".into(), Bound::Claimed),
                ("theirs".into(), Bound::Added),
            ]
            .into();
        });
    assert_snapshot!(planned(&environment().prune(Prune::All), &observed), @"in sync");
}

#[test]
fn what_is_remembered_of_a_service_is_kept_until_its_binding_took_it_over() {
    let api = service().variable("LOG", "debug");
    let with = |bound| {
        let claimed = owned().running("api", &api).with(|observed| {
            observed.bound = [("api".into(), bound)].into();
        });
        let memory = looked_at(&environment(), &claimed).memory;
        (memory.services.len(), memory.applied.len())
    };
    assert_eq!(with(Bound::Claimed), (1, 1));
    assert_eq!(with(Bound::Added), (0, 0));
    assert_eq!(with(Bound::Adopted), (0, 0));
}

#[test]
fn after_a_lost_status_nothing_is_pruned_as_owned() {
    let observed = owned().running("ours", &service()).forgotten();
    assert_snapshot!(planned(&environment(), &observed), @"in sync");
}

#[test]
fn a_removed_field_is_no_longer_managed() {
    let api = service().variable("LOG", "debug").image("api", "api:1");
    let observed = owned()
        .running("api", &api)
        .runs_image("api", "api:2")
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()));
    assert_snapshot!(planned(&environment().service("api", service()), &observed), @"in sync");
}

#[test]
fn variables_are_sent_when_they_are_declared_otherwise_than_last_sent() {
    let observed = owned().running("api", &service().variable("LOG", "info"));
    let desired = environment().service("api", service().variable("LOG", "debug"));
    assert_snapshot!(planned(&desired, &observed), @"
    update services
      api [LOG:string=debug]
    ");
}

#[test]
fn variables_are_sent_again_when_somebody_changed_what_zadig_renders() {
    let api = service().variable("LOG", "debug");
    let observed = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()))
        .present_with(|present| present.update_time += 1);
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"
    update services
      api [LOG:string=debug]
    ");
}

#[test]
fn another_rendering_without_an_edit_is_another_renderer_and_no_change() {
    let api = service().variable("LOG", "debug");
    let observed = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.rendered = Some("rendered-2".to_owned()));
    assert_snapshot!(planned(&environment().service("api", api.clone()), &observed), @"in sync");
    let restarted = observed.with(|o| o.memory.seen_update_time = None);
    assert_snapshot!(planned(&environment().service("api", api), &restarted), @"in sync");
}

#[test]
fn an_upgrade_of_the_template_is_announced_with_the_variables() {
    let observed = owned()
        .running("api", &service().variable("LOG", "info"))
        .seen_with("api", |seen| {
            seen.template_digest = Some("template-2".to_owned());
        });
    let desired = environment().service("api", service().variable("LOG", "debug"));
    assert_snapshot!(planned(&desired, &observed), @"
    update services
      api [LOG:string=debug] and its template
    ");
}

#[test]
fn a_newer_template_alone_is_not_rolled_out() {
    let api = service().variable("LOG", "debug");
    let observed = owned().running("api", &api).seen_with("api", |seen| {
        seen.template_digest = Some("template-2".to_owned());
    });
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn bindings_to_global_variables_are_made_and_undone() {
    let bound = service().global_variable("LOG");
    let observed = owned()
        .stored_global("LOG", "info", &[])
        .running("api", &bound);
    assert_snapshot!(planned(&environment().service("api", bound), &observed), @"
    update services
      api [LOG:string=(global)]
    ");
    let unbound = service().variable("LOG", "debug");
    let observed = owned()
        .stored_global("LOG", "info", &["api"])
        .running("api", &unbound);
    assert_snapshot!(planned(&environment().service("api", unbound), &observed), @"
    update services
      api [LOG:string=debug]
    ");
}

#[test]
fn variables_that_the_template_does_not_take_are_refused_beside_the_rest() {
    let api = service()
        .variable("NONE", "x")
        .variable("MODE", "medium")
        .variable("TRACE", "1")
        .global_variable("LOG")
        .image("api", "api:1");
    let observed = owned()
        .running("api", &service())
        .runs_image("api", "api:0");
    assert_snapshot!(planned(&environment().service("api", api), &observed), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    blocked VariableInvalid spec.services[api].variables[LOG].useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables
    blocked VariableInvalid spec.services[api].variables[MODE]: the value is none of the options fast, slow
    blocked VariableInvalid spec.services[api].variables[NONE]: the service's template has no such variable; it has: LOG, MODE, TRACE
    blocked VariableInvalid spec.services[api].variables[TRACE]: the value must be "true" or "false"
    "#);
}

#[test]
fn enum_and_bool_values_pass_when_they_fit() {
    let api = service()
        .variable("MODE", "slow")
        .variable("TRACE", "false");
    let observed = owned().running("api", &service());
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"
    update services
      api [MODE:enum=slow, TRACE:bool=false]
    ");
}

#[test]
fn global_variables_are_put_whole_with_ours_merged_in() {
    let observed = owned()
        .stored_global("LOG", "info", &["api"])
        .stored_global("REGION", "eu", &["db"])
        .with(|o| {
            o.catalog
                .global_variables
                .push(super::super::fixture::of_kind("TRACE", "bool", &[]));
        });
    let desired = environment().global("LOG", "debug").global("TRACE", "true");
    assert_snapshot!(planned(&desired, &observed), @r#"
    put globals, changed {"LOG", "TRACE"}
      LOG:string="debug" [] "about LOG" {"api"}
      REGION:string="eu" [] "about REGION" {"db"}
      TRACE:bool=true [] "" {}
    "#);
}

#[test]
fn stored_global_variables_are_compared_as_text() {
    let observed = owned()
        .stored_global("LOG", "info", &[])
        .detail_with(|detail| {
            let log = detail.global_variables["LOG"].clone();
            for (key, value) in [
                ("FLAG", serde_json::json!(true)),
                ("COUNT", serde_json::json!(3)),
                ("EMPTY", serde_json::Value::Null),
            ] {
                let variable = super::super::GlobalVariable {
                    value,
                    ..log.clone()
                };
                detail.global_variables.insert(key.to_owned(), variable);
            }
        });
    let desired = environment()
        .global("FLAG", "true")
        .global("COUNT", "3")
        .global("EMPTY", "");
    assert_snapshot!(planned(&desired, &observed), @"in sync");
}

#[test]
fn global_variables_that_do_not_fit_are_refused() {
    let observed = owned().with(|o| {
        o.catalog.global_variables = vec![
            super::super::fixture::of_kind("MODE", "enum", &["fast", "slow"]),
            super::super::fixture::of_kind("TRACE", "bool", &[]),
        ];
    });
    let desired = environment()
        .global("MODE", "medium")
        .global("TRACE", "1")
        .global("UNKNOWN", "x");
    assert_snapshot!(planned(&desired, &observed), @r#"
    blocked VariableInvalid spec.globalVariables[MODE]: the value is none of the options fast, slow
    blocked VariableInvalid spec.globalVariables[TRACE]: the value must be "true" or "false"
    blocked VariableInvalid spec.globalVariables[UNKNOWN]: the project declares no such global variable
    "#);
}

#[test]
fn a_refused_licence_does_not_hold_up_the_other_repairs() {
    let api = service().image("api", "api:1");
    let observed = owned()
        .stored_global("LOG", "info", &[])
        .running("api", &api)
        .runs_image("api", "api:0")
        .with(|o| o.licence_refused = true);
    let desired = environment().global("LOG", "debug").service("api", api);
    assert_snapshot!(planned(&desired, &observed), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    blocked LicenceRequired spec.globalVariables[LOG]: changing a global variable after creation needs Zadig's professional licence (Zadig refused with code 7050); without it, set the value per service under spec.services[].variables
    "#);
    let repaired = observed.runs_image("api", "api:1");
    assert_snapshot!(planned(&desired, &repaired), @"blocked LicenceRequired spec.globalVariables[LOG]: changing a global variable after creation needs Zadig's professional licence (Zadig refused with code 7050); without it, set the value per service under spec.services[].variables");
}

#[test]
fn an_image_is_set_in_every_workload_that_has_the_container() {
    let api = service().image("api", "api:1");
    let worker = |kind: &str, name: &str, image: &str| LiveWorkload {
        kind: kind.to_owned(),
        name: name.to_owned(),
        images: [("api".to_owned(), image.to_owned())].into(),
        ..LiveWorkload::default()
    };
    let observed = owned().running("api", &api).seen_with("api", |seen| {
        let live = seen.live.as_mut().unwrap();
        live.push(worker("StatefulSet", "queue", "api:0"));
        live.push(worker("CronJob", "nightly", "api:1"));
        live.push(worker("CronJob", "weekly", "api:0"));
    });
    assert_snapshot!(planned(&environment().service("api", api), &observed), @r#"
    image api StatefulSet/queue/api Some("api:0") -> api:1
    image api CronJob/weekly/api Some("api:0") -> api:1
    "#);
}

#[test]
fn an_image_that_only_zadigs_record_has_otherwise_is_set_once() {
    let api = service().image("api", "api:1");
    let observed = owned().running("api", &api).seen_with("api", |seen| {
        seen.images.insert("api".to_owned(), "api:0".to_owned());
    });
    assert_snapshot!(planned(&environment().service("api", api), &observed), @r#"image api Deployment/api/api Some("api:0") -> api:1"#);
}

#[test]
fn an_image_is_not_compared_with_the_empty_record_of_a_failed_create() {
    let api = service().image("api", "api:1");
    let observed = owned()
        .running("api", &api)
        .seen_with("api", |seen| seen.images.clear());
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn an_unknown_container_or_workload_is_named_with_those_that_exist() {
    let api = service()
        .image("sidecar", "sidecar:1")
        .replicas("worker", 2);
    let observed = owned().running("api", &service());
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"
    blocked ContainerNotFound spec.services[api].containers[sidecar]: the service has no such container; it has: api
    blocked WorkloadNotFound spec.services[api].workloads[Deployment/worker]: the service has no such workload; it has: Deployment/api
    ");
}

#[test]
fn a_container_of_a_lost_workload_is_not_called_unknown() {
    let api = service()
        .image("sidecar", "sidecar:1")
        .replicas("worker", 2);
    let observed = owned()
        .running("api", &service())
        .seen_with("api", |seen| seen.live = Some(Vec::new()));
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn what_was_not_looked_at_is_not_compared() {
    let api = service().image("api", "api:1").replicas("api", 2);
    let observed = owned()
        .running("api", &service())
        .seen_with("api", |seen| seen.live = None);
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn fields_with_policy_on_create_are_set_while_the_service_is_new_and_never_again() {
    let api = service()
        .image_on_create("api", "api:1")
        .replicas_on_create("api", 2);
    let observed = owned()
        .running("api", &api)
        .runs_image("api", "api:0")
        .runs_replicas("api", 1);
    let desired = environment().service("api", api);
    assert_snapshot!(planned(&desired, &observed), @"in sync");
    let new = observed.with(|o| o.memory.applied.get_mut("api").unwrap().initial = true);
    assert_snapshot!(planned(&desired, &new), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    scale api Deployment/api 1 -> 2
    "#);
}

#[test]
fn a_changed_restart_token_restarts_once_and_a_forgotten_one_never() {
    let desired = environment().service("api", service().restart_token("2"));
    let observed = owned().running("api", &service().restart_token("1"));
    assert_snapshot!(planned(&desired, &observed), @"restart api for 2");
    let first = owned().running("api", &service());
    assert_snapshot!(planned(&desired, &first), @"restart api for 2");
    assert_snapshot!(planned(&desired, &observed.forgotten()), @"in sync");
}

#[test]
fn a_restart_waits_for_the_variables_of_the_same_service() {
    let observed = owned().running("api", &service());
    let desired =
        environment().service("api", service().variable("LOG", "debug").restart_token("1"));
    assert_snapshot!(planned(&desired, &observed), @"
    update services
      api [LOG:string=debug]
    ");
}

#[test]
fn an_added_service_is_checked_against_its_template_first() {
    let api = service()
        .variable("LOG", "debug")
        .image("api", "api:1")
        .replicas("api", 2);
    assert_snapshot!(planned(&environment().service("api", api), &owned()), @"
    add services
      api [LOG:string=debug]
    ");
    let wrong = service()
        .variable("NONE", "x")
        .image("sidecar", "sidecar:1")
        .replicas("worker", 2);
    let desired = environment()
        .service("api", wrong)
        .service("ghost", service());
    assert_snapshot!(planned(&desired, &owned()), @"
    blocked VariableInvalid spec.services[api].variables[NONE]: the service's template has no such variable; it has: LOG, MODE, TRACE
    blocked ContainerNotFound spec.services[api].containers[sidecar]: the service has no such container; it has: api
    blocked WorkloadNotFound spec.services[api].workloads[Deployment/worker]: the service has no such workload; it has: Deployment/api
    blocked ServiceNotFound spec.services[ghost]: the project has no such service; it has: api
    ");
}

#[test]
fn an_unknown_registry_does_not_hold_up_the_other_repairs() {
    let api = service().image("api", "api:1");
    let observed = owned().running("api", &api).runs_image("api", "api:0");
    let desired = environment()
        .registry_at("registry.example.com/unknown")
        .service("api", api);
    assert_snapshot!(planned(&desired, &observed), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows: registry.example.com/shop (r-default)
    "#);
}

#[test]
fn a_difference_that_comes_back_is_left_to_a_person_beside_the_rest() {
    let api = service().image("api", "api:1").replicas("api", 2);
    let observed = owned()
        .running("api", &api)
        .runs_image("api", "api:0")
        .runs_replicas("api", 1)
        .with(|o| {
            exhaust(
                &mut o.memory.repairs,
                "services[api].workloads[Deployment/api].replicas",
            );
        });
    assert_snapshot!(planned(&environment().service("api", api), &observed), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    blocked DriftDoesNotConverge spec.services[api].workloads[Deployment/api].replicas: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at
    "#);
}

#[test]
fn variables_that_can_be_told_and_are_as_declared_are_not_sent() {
    let api = service().variable("LOG", "debug").variable("MODE", "slow");
    let desired = environment().service("api", api.clone());
    let as_declared = [("LOG", "debug"), ("MODE", "slow"), ("TRACE", "true")];
    let cases: [(&str, &str, Observed); 4] = [
        (
            "declared later",
            " and maybe its template",
            owned().foreign("api"),
        ),
        ("taken over", "", {
            let entry =
                |o: &mut Observed| o.memory.applied.get_mut("api").unwrap().variables = None;
            owned().adopted().running("api", &api).with(entry)
        }),
        ("declared otherwise before", "", {
            owned().running("api", &service().variable("LOG", "debug"))
        }),
        ("another variable was edited", "", {
            let edited = |seen: &mut super::super::ObservedService| {
                seen.rendered = Some("rendered-2".to_owned());
            };
            owned()
                .running("api", &api)
                .seen_with("api", edited)
                .present_with(|present| present.update_time += 1)
        }),
    ];
    for (case, upgrade, observed) in cases {
        let put = format!("update services\n  api [LOG:string=debug, MODE:enum=slow]{upgrade}");
        let told = observed.clone().told("api", &as_declared);
        assert_eq!(planned(&desired, &told), "in sync", "{case}");
        let after = looked_at(&desired, &told).told("api", &[]);
        assert_eq!(planned(&desired, &after), "in sync", "{case}: remembered");
        for short in [&as_declared[..1], &[("LOG", "debug"), ("MODE", "fast")]] {
            let unsure = observed.clone().told("api", short);
            assert_eq!(planned(&desired, &unsure), put, "{case}: {short:?}");
        }
        assert_eq!(planned(&desired, &observed), put, "{case}: nothing told");
    }
}

#[test]
fn a_told_value_in_another_spelling_is_sent_once_and_not_for_ever() {
    let api = service().variable("LOG", "0.5");
    let desired = environment().service("api", api.clone());
    let settled = owned().running("api", &api).told("api", &[("LOG", "500m")]);
    assert_eq!(planned(&desired, &settled), "in sync");
}

#[test]
fn a_difference_of_one_service_that_comes_back_does_not_hold_up_the_others() {
    let old = service().variable("LOG", "info");
    let new = service().variable("LOG", "debug");
    let observed = owned()
        .stored_global("LOG", "info", &[])
        .stored_global("REGION", "eu", &[])
        .running("a", &old)
        .running("b", &old)
        .with(|o| {
            for subject in ["services[a].variables", "globalVariables[REGION]"] {
                exhaust(&mut o.memory.repairs, subject);
            }
        });
    let desired = environment()
        .global("LOG", "debug")
        .global("REGION", "us")
        .service("a", new.clone())
        .service("b", new);
    assert_snapshot!(planned(&desired, &observed), @r#"
    put globals, changed {"LOG"}
      LOG:string="debug" [] "about LOG" {}
      REGION:string="eu" [] "about REGION" {}
    update services
      b [LOG:string=debug]
    blocked DriftDoesNotConverge spec.globalVariables[REGION]: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at
    blocked DriftDoesNotConverge spec.services[a].variables: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at
    "#);
}

#[test]
fn what_zadig_refuses_is_sent_after_the_rest() {
    let old = service().variable("LOG", "info");
    let api = service()
        .variable("LOG", "debug")
        .image("api", "api:1")
        .replicas("api", 2);
    let desired = environment()
        .registry_id("r-default")
        .global("LOG", "debug")
        .service("api", api);
    let mut observed = owned()
        .stored_global("LOG", "info", &[])
        .running("api", &old)
        .runs_image("api", "api:0")
        .runs_replicas("api", 1)
        .running("old", &service())
        .detail_with(|detail| detail.registry_id = "r-other".to_owned());
    let mut order = || {
        let Plan::Act(act) = plan(&Desired::Present(desired.clone()), &observed) else {
            panic!("nothing is planned");
        };
        let subjects: Vec<String> = act.actions.iter().map(Action::subject).collect();
        // Each time Zadig refuses the first.
        observed.memory.was_refused(&act.actions[0]);
        subjects
    };
    let image = "services[api].containers[api].image in Deployment/api";
    let scale = "services[api].workloads[Deployment/api].replicas";
    let (globals, removed) = ("globalVariables[LOG]", "services[old] removed");
    let variables = "services[api].variables";
    assert_eq!(
        order(),
        ["registry", globals, removed, variables, image, scale]
    );
    assert_eq!(
        order(),
        [globals, removed, variables, image, scale, "registry"]
    );
    assert_eq!(
        order(),
        [removed, variables, image, scale, "registry", globals]
    );
    // Updates stay behind the removal.
    assert_eq!(
        order(),
        [image, scale, "registry", globals, removed, variables]
    );
}

#[test]
fn an_image_that_no_call_can_set_is_told() {
    let api = service().image("api", "api:1");
    let observed = owned().running("api", &api).seen_with("api", |seen| {
        let live = seen.live.as_mut().unwrap();
        live[0].kind = "CloneSet".to_owned();
    });
    let desired = environment().service("api", api);
    assert_snapshot!(planned(&desired, &observed), @"in sync");
    assert_snapshot!(planned(&desired, &observed.runs_image("api", "api:0")), @"blocked InvalidSpec spec.services[api].containers[api]: it runs in CloneSet/api, and Zadig has no call that sets an image there; set it in the template of the service, and leave it out here");
}

#[test]
fn an_image_of_a_job_is_taken_at_creation_and_told_when_it_differs_later() {
    let api = service().image("migrate", "migrate:1");
    let desired = environment().service("api", api);
    let recorded = |image: &str| {
        owned().running("api", &service()).seen_with("api", |seen| {
            seen.images.insert("migrate".to_owned(), image.to_owned());
        })
    };
    assert_snapshot!(planned(&desired, &recorded("migrate:1")), @"in sync");
    assert_snapshot!(planned(&desired, &recorded("migrate:0")), @"blocked InvalidSpec spec.services[api].containers[migrate]: it runs in a workload that Zadig does not show, such as a Job, and Zadig has no call that sets an image there; set it in the template of the service, and leave it out here");
}
