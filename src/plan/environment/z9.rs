//! The quirks of production environments (Z§9): each has a test that is named after it. So has Z§14.7, which is the third.
//!
//! | no. | where |
//! |---|---|
//! | 1, 3, 4, 11, 12, 15, 16 | here |
//! | 2 | here; `tests/cluster/production.rs` |
//! | 5, 6, 7 | `tests/cluster/production.rs` |
//! | 8, 9, 10 | `plan/env_config/tests.rs`; `tests/cluster/production.rs` |
//! | 11 | `plan/service_binding/tests.rs`; `tests/cluster/admission/rules.rs` holds the sentences |
//! | 13 | `tests/cluster/production.rs` |
//! | 14 | `controller/service_binding/mod.rs` |

use std::collections::BTreeSet;

use insta::assert_snapshot;
use serde_json::json;

use super::fixture::{
    ago, environment, observed, of_kind, planned, planned_deletion, sent, service,
};
use super::lifetime::is_protected;
use super::production::licence_missing;
use super::{EnvStatus, GlobalVariable, Observed, Registry};
use crate::api::environment::{Creation, Deletion, Scope, ZadigEnvironmentSpec};
use crate::plan::Licence;

/// Created by this object as a production environment, and idle.
fn owned() -> Observed {
    observed().in_production().present().owned()
}

fn two_registries(observed: &mut Observed) {
    observed.catalog.registries.push(Registry {
        id: "r-other".to_owned(),
        address: "https://other.example.com".to_owned(),
        namespace: "shop".to_owned(),
        is_default: false,
    });
}

#[test]
fn z9_01_a_service_needs_a_template_of_its_own_in_production() {
    // The catalogue is that of the scope: `web` has a test template alone.
    let desired = environment().service("web", service());
    assert_snapshot!(planned(&desired, &owned()), @"blocked ServiceNotFound spec.services[web]: the project has no such service in production; it has: api");
    assert_snapshot!(planned(&desired, &observed().present().owned()), @"blocked ServiceNotFound spec.services[web]: the project has no such service; it has: api");
}

#[test]
fn z9_02_it_is_created_empty_and_filled_afterwards() {
    let desired = environment()
        .alias("Shop")
        .global("LOG", "debug")
        .service("api", service().global_variable("LOG"));
    assert_snapshot!(planned(&desired, &observed().in_production()), @r"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default as Shop
    ");
    let created = sent(&desired, &observed().in_production())
        .present()
        .owned();
    // The binding waits for its global variable, as Zadig would bind it to nothing (Z§14.22).
    assert_snapshot!(planned(&desired, &created), @r#"
    alias "Shop"
    put globals, changed {"LOG"}
      LOG:string="debug" [] "" {}
    blocked VariableInvalid spec.services[api].variables[LOG].useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables
    "#);
    let named = created.detail_with(|detail| "Shop".clone_into(&mut detail.alias));
    let filled = named.stored_global("LOG", "debug", &[]);
    assert_snapshot!(planned(&desired, &filled), @r"
    add services
      api [LOG:string=(global)]
    ");
}

#[test]
fn z9_02_what_is_wrong_is_told_before_it_is_created() {
    let desired = environment()
        .global("NONE", "x")
        .service("api", service().variable("MODE", "odd"));
    assert_snapshot!(planned(&desired, &observed().in_production()), @r"
    blocked VariableInvalid spec.globalVariables[NONE]: the project declares no such global variable
    blocked VariableInvalid spec.services[api].variables[MODE]: the value is none of the options fast, slow
    ");
}

#[test]
fn z14_07_a_registry_is_never_set_without_the_alias() {
    let aliased = owned()
        .with(two_registries)
        .detail_with(|detail| "By hand".clone_into(&mut detail.alias));
    let registry = environment().registry_id("r-other");
    assert_snapshot!(planned(&registry, &aliased), @r#"registry r-other with alias "By hand""#);
    let nameless = owned().with(two_registries);
    assert_snapshot!(planned(&registry, &nameless), @r#"registry r-other with alias """#);
    let both = environment().registry_id("r-other").alias("Shop");
    assert_snapshot!(planned(&both, &aliased), @r#"registry r-other with alias "Shop""#);
    assert_snapshot!(planned(&environment().alias("Shop"), &aliased), @r#"alias "Shop""#);
    assert_snapshot!(planned(&environment().alias("By hand"), &aliased), @"in sync");
    assert_snapshot!(planned(&environment(), &aliased), @"in sync");
    // A test environment has one call for the registry, and none for the alias.
    let test = observed().present().owned().with(two_registries);
    assert_snapshot!(planned(&registry, &test), @"registry r-other");
}

#[test]
fn z9_03_what_others_named_it_is_kept() {
    let aliased = owned().detail_with(|detail| "By hand".clone_into(&mut detail.alias));
    assert_snapshot!(planned(&environment(), &aliased), @"in sync");
    assert_snapshot!(planned(&environment().alias("Shop"), &aliased), @r#"alias "Shop""#);
}

#[test]
fn z9_03_an_alias_that_does_not_stay_ends_in_a_condition() {
    let mut observed = owned();
    for _ in 0..3 {
        observed = sent(&environment().alias("Shop"), &observed);
    }
    assert_snapshot!(planned(&environment().alias("Shop"), &observed), @"blocked DriftDoesNotConverge spec.alias: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at");
}

#[test]
fn z9_04_services_go_before_zadigs_record_as_nothing_else_removes_them() {
    let api = service();
    let running = owned().running("api", &api).foreign("other");
    assert_snapshot!(planned_deletion(None, &running), @r#"
    remove services {"api"}
    delete, keep resources: true
    "#);
    assert_snapshot!(planned_deletion(Some(Deletion::Detach), &running), @"delete, keep resources: true");
    assert_snapshot!(planned_deletion(Some(Deletion::Orphan), &running), @"in sync");
    // The answer of the call that added it was lost: what is declared in what we made is ours.
    let unsure = owned().running_as_before("api", &api);
    assert_snapshot!(planned_deletion(None, &unsure), @r#"
    remove services {"api"}
    delete, keep resources: true
    "#);
    let adopted = observed()
        .in_production()
        .present()
        .adopted()
        .running_as_before("api", &api);
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &adopted), @"delete, keep resources: true");
}

#[test]
fn z9_04_what_still_runs_would_stay_so_it_is_waited_for() {
    for status in [EnvStatus::Creating, EnvStatus::Updating] {
        let busy = owned().running("api", &service()).present_with(|present| {
            present.status = status;
            present.since = ago(10);
        });
        assert!(planned_deletion(None, &busy).starts_with("wait 3s Deleting "));
        let stuck = busy.present_with(|present| present.since = ago(600));
        assert_eq!(
            planned_deletion(None, &stuck),
            "remove services {\"api\"}\ndelete, keep resources: true"
        );
    }
}

#[test]
fn z9_04_a_second_delete_is_not_sent() {
    let sent = owned().with(|o| o.memory.delete_sent = Some(ago(0)));
    assert_snapshot!(planned_deletion(None, &sent), @"wait 1s Deleting the environment is being deleted");
    assert_snapshot!(planned_deletion(None, &sent.gone()), @"in sync");
}

#[test]
fn production_is_protected_unless_the_opposite_is_spelt_out() {
    let declared = |scope: &str, protection: Option<bool>| {
        let mut spec = json!({
            "connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev", "scope": scope,
        });
        if let Some(protection) = protection {
            spec["deletionProtection"] = protection.into();
        }
        let spec: ZadigEnvironmentSpec = serde_json::from_value(spec).unwrap();
        is_protected(&spec)
    };
    for scope in ["Test", "Production"] {
        assert!(declared(scope, Some(true)), "{scope}");
        assert!(!declared(scope, Some(false)), "{scope}");
    }
    assert!(!declared("Test", None));
    assert!(declared("Production", None));
}

#[test]
fn z9_11_images_and_replicas_are_told_and_nothing_is_sent_for_them() {
    let api = service().image("api", "api:2").replicas("api", 3);
    let running = owned().running("api", &service());
    assert_snapshot!(planned(&environment().service("api", api), &running), @r"
    blocked InvalidSpec spec.services[api].containers: Zadig has no call that sets images of a production service; make them variables of its production template, or set them there, and remove the field
    blocked InvalidSpec spec.services[api].workloads: Zadig has no call that sets replicas of a production service; make them variables of its production template, or set them there, and remove the field
    ");
}

#[test]
fn z9_12_a_service_is_restarted_in_production_too() {
    let before = service().restart_token("1");
    let desired = environment().service("api", service().restart_token("2"));
    assert_snapshot!(planned(&desired, &owned().running("api", &before)), @"restart api for 2");
}

#[test]
fn z9_15_options_of_test_variables_are_not_sent_back() {
    let stored = |key: &str, value: &str| GlobalVariable {
        value: value.into(),
        kind: "enum".to_owned(),
        // As the detail shows them: those of the project's test variable.
        options: vec!["debug".to_owned(), "info".to_owned()],
        description: format!("about {key}"),
        related: BTreeSet::new(),
    };
    let observed = owned()
        .with(|o| {
            o.catalog.global_variables = vec![
                of_kind("LOG", "enum", &["loud", "quiet"]),
                of_kind("OTHER", "enum", &["loud", "quiet"]),
            ];
        })
        .detail_with(|detail| {
            for (key, value) in [("LOG", "quiet"), ("OTHER", "quiet"), ("OLD", "info")] {
                let variable = stored(key, value);
                detail.global_variables.insert(key.to_owned(), variable);
            }
        });
    assert_snapshot!(planned(&environment().global("LOG", "loud"), &observed), @r#"
    put globals, changed {"LOG"}
      LOG:enum="loud" ["loud", "quiet"] "about LOG" {}
      OLD:enum="info" ["debug", "info"] "about OLD" {}
      OTHER:enum="quiet" ["loud", "quiet"] "about OTHER" {}
    "#);
    assert_snapshot!(planned(&environment().global("LOG", "quiet"), &observed), @"in sync");
    assert_snapshot!(planned(&environment().global("LOG", "debug"), &observed), @"blocked VariableInvalid spec.globalVariables[LOG]: the value is none of the options loud, quiet");
}

#[test]
fn z9_16_a_key_of_the_other_scope_is_told_and_not_asked_for_again() {
    let taken = |observed: Observed| observed.with(|o| o.catalog.key_taken = true);
    assert_snapshot!(planned(&environment(), &taken(observed().in_production())), @"blocked EnvironmentExists spec.envKey: dev is the key of a test environment of project shop, and Zadig keeps one key for both scopes; create another ZadigEnvironment with another envKey or with that scope");
    assert_snapshot!(planned(&environment(), &taken(observed())), @"blocked EnvironmentExists spec.envKey: dev is the key of a production environment of project shop, and Zadig keeps one key for both scopes; create another ZadigEnvironment with another envKey or with that scope");
    // It cannot be taken over either, and what was ours and is gone is not made anew beside it.
    for observed in [observed().in_production(), owned().gone()] {
        let adopts = environment().creation(Creation::CreateOrAdopt);
        let planned = planned(&adopts, &taken(observed));
        assert!(
            planned.starts_with("blocked EnvironmentExists "),
            "{planned}"
        );
    }
    assert_snapshot!(planned_deletion(None, &taken(owned().gone())), @"in sync");
}

#[test]
fn everything_of_production_waits_for_a_licence_that_is_refused_and_nothing_else_does() {
    let needs = |scope, licence| licence_missing(scope, licence).is_some();
    for licence in [Licence::Professional, Licence::Unknown] {
        assert!(!needs(Scope::Production, licence), "{licence:?}");
    }
    assert!(needs(Scope::Production, Licence::Refused));
    assert!(!needs(Scope::Test, Licence::Refused));
    let told = licence_missing(Scope::Production, Licence::Refused).unwrap();
    assert_snapshot!(told.message, @"spec.scope: production environments need Zadig's professional licence, and Zadig refused with code 7050; once there is one, set the annotation zadig-operator.io/reconcile-requested-at on the connection, or wait for its next look");
}
