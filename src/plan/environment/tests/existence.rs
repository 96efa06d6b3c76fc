//! Whether there is an environment, and whose it is (design §2, rules 2, 3 and 5).

use insta::assert_snapshot;

use super::super::fixture::{ago, environment, observed, planned, service};
use super::super::{Cluster, EnvStatus, Moved, Registry, Template};
use crate::api::env_config::ConfigType;
use crate::api::environment::Creation;
use crate::plan::env_config::{Config, Object};

#[test]
fn a_wanted_environment_is_created_in_one_call_after_its_ownership_is_recorded() {
    let desired = environment().global("LOG", "debug").service(
        "api",
        service()
            .global_variable("LOG")
            .variable("MODE", "fast")
            .image("api", "api:1")
            .replicas("api", 2),
    );
    assert_snapshot!(planned(&desired, &observed()), @r#"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
      global LOG=debug
      api [LOG:string=(global), MODE:enum=fast] {"api": "api:1"}
    "#);
}

#[test]
fn the_creation_waits_for_the_objects_that_it_carries() {
    let mut desired = environment();
    desired.configs = ["app".into(), "tls".into()].into();
    let mut observed = observed();
    let config = Config {
        kind: ConfigType::ConfigMap,
        name: "app-config".to_owned(),
        object: Object(serde_json::json!({"data": {"level": "debug"}})),
        git: None,
        creation: Creation::Create,
    };
    let waits = Err("spec.secretRef: waiting for Secret tls in this namespace".to_owned());
    observed.catalog.configs = [("tls".into(), waits)].into();
    assert_snapshot!(planned(&desired, &observed), @"wait 60s ConfigNotReady spec.configRefs: the environment is created together with them; waiting for app (there is no ZadigEnvConfig of this name), tls (spec.secretRef: waiting for Secret tls in this namespace)");
    let tls = Config {
        kind: ConfigType::Secret,
        name: "tls".to_owned(),
        ..config.clone()
    };
    observed.catalog.configs = [("app".into(), Ok(config)), ("tls".into(), Ok(tls))].into();
    assert_snapshot!(planned(&desired, &observed), @r"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
      ConfigMap app-config
      Secret tls
    ");
}

#[test]
fn a_project_without_any_environment_gets_its_first_one() {
    assert_snapshot!(planned(&environment(), &observed()), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
    ");
}

#[test]
fn after_a_refusal_or_a_crash_before_the_call_the_create_is_sent_once_absence_is_sure() {
    assert_snapshot!(planned(&environment(), &observed().pending().gone()), @"create in c-local/shop-env-dev with r-default");
}

#[test]
fn a_create_call_of_unknown_fate_is_not_sent_again_before_absence_is_sure() {
    assert_snapshot!(planned(&environment(), &observed().pending()), @"wait 3s Creating it is not known what became of the create call; looking again before another is sent");
}

#[test]
fn a_lost_answer_of_the_create_call_is_resolved_by_looking() {
    let observed = observed()
        .present()
        .status(EnvStatus::Creating, 1)
        .pending();
    assert_snapshot!(planned(&environment(), &observed), @"record Created: https://zadig.example.com shop/dev in c-local/shop-env-dev");
}

#[test]
fn nothing_is_created_when_the_spec_only_adopts() {
    let desired = environment().creation(Creation::Adopt);
    assert_snapshot!(planned(&desired, &observed().gone()), @"wait 60s EnvironmentNotFound spec.creation: Adopt, but project shop has no environment dev; create it in Zadig, or set creation: CreateOrAdopt");
}

#[test]
fn an_environment_that_is_there_and_not_ours_is_refused_with_the_command_that_adopts_it() {
    assert_snapshot!(planned(&environment(), &observed().present()), @r#"blocked EnvironmentExists environment dev exists in project shop and is not owned by this object; to take it over: kubectl patch zadigenvironment <name> --type merge -p '{"spec":{"creation":"CreateOrAdopt"}}'"#);
}

#[test]
fn an_environment_is_taken_over_only_when_asked() {
    for creation in [Creation::Adopt, Creation::CreateOrAdopt] {
        let desired = environment().creation(creation);
        assert_eq!(
            planned(&desired, &observed().present()),
            "record Adopted: https://zadig.example.com shop/dev in c-local/shop-env-dev"
        );
    }
}

#[test]
fn taking_over_needs_the_declared_namespace_and_cluster() {
    let desired = environment().creation(Creation::Adopt).namespace("other");
    assert_snapshot!(planned(&desired, &observed().present()), @"blocked IdentityMismatch spec.namespace, spec.cluster: environment dev lives in namespace shop-env-dev of cluster c-local, declared are namespace other and Zadig's local cluster; Zadig cannot move an environment");
    let observed = observed().present().with(|o| {
        o.catalog.clusters.push(Cluster {
            id: "c-far".to_owned(),
            name: "far".to_owned(),
            local: false,
        });
    });
    let desired = environment().creation(Creation::Adopt).cluster_named("far");
    assert_snapshot!(planned(&desired, &observed), @"blocked IdentityMismatch spec.namespace, spec.cluster: environment dev lives in namespace shop-env-dev of cluster c-local, declared are namespace shop-env-dev and cluster far; Zadig cannot move an environment");
}

#[test]
fn a_pending_record_of_another_place_owns_nothing() {
    let observed = observed()
        .present()
        .pending()
        .present_with(|present| present.namespace = "elsewhere".to_owned());
    assert_snapshot!(planned(&environment(), &observed), @r#"blocked EnvironmentExists environment dev exists in project shop and is not owned by this object; to take it over: kubectl patch zadigenvironment <name> --type merge -p '{"spec":{"creation":"CreateOrAdopt"}}'"#);
}

#[test]
fn an_environment_in_another_place_than_recorded_is_another_one() {
    for observed in [observed().present().owned(), observed().present().adopted()] {
        let moved = observed
            .clone()
            .present_with(|present| present.namespace = "elsewhere".to_owned());
        assert_eq!(
            planned(&environment(), &moved),
            "blocked IdentityMismatch environment dev lives in namespace elsewhere of cluster c-local, but the one that this object owned lived in namespace shop-env-dev of cluster c-local: it is another environment and is left alone"
        );
        let moved = observed.present_with(|present| present.cluster_id = "c-far".to_owned());
        assert_eq!(
            planned(&environment(), &moved),
            "blocked IdentityMismatch environment dev lives in namespace shop-env-dev of cluster c-far, but the one that this object owned lived in namespace shop-env-dev of cluster c-local: it is another environment and is left alone"
        );
    }
}

#[test]
fn an_owned_environment_in_another_place_than_declared_is_left_alone() {
    let observed = observed().present().owned();
    assert_snapshot!(planned(&environment().namespace("other"), &observed), @"blocked IdentityMismatch spec.namespace, spec.cluster: environment dev lives in namespace shop-env-dev of cluster c-local, declared are namespace other and Zadig's local cluster; Zadig cannot move an environment");
}

#[test]
fn a_cluster_that_was_renamed_is_told_and_does_not_hold_up_the_repairs() {
    let api = service().image("api", "api:1");
    let desired = environment()
        .cluster_named("before")
        .service("api", api.clone());
    let drifted = observed()
        .present()
        .owned()
        .running("api", &api)
        .runs_image("api", "api:0");
    assert_snapshot!(planned(&desired, &drifted), @r#"
    image api Deployment/api/api Some("api:0") -> api:1
    blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows: local (c-local)
    "#);
    let foreign = observed().present();
    assert_snapshot!(planned(&desired.creation(Creation::Adopt), &foreign), @"blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows: local (c-local)");
}

#[test]
fn a_backup_that_kept_only_the_annotation_owns_its_environment() {
    let api = service().variable("LOG", "debug").restart_token("1");
    let observed = observed()
        .present()
        .owned()
        .running("api", &api)
        .forgotten();
    assert_snapshot!(planned(&environment().service("api", api), &observed), @"in sync");
}

#[test]
fn the_younger_of_two_objects_does_nothing_and_names_the_older() {
    let rival = |o: &mut super::super::Observed| o.rival = Some("team/older".to_owned());
    for observed in [observed(), observed().present().owned()] {
        assert_eq!(
            planned(&environment(), &observed.with(rival)),
            "blocked Conflict spec.envKey: team/older is older and owns environment dev of project shop; delete one of the two"
        );
    }
}

#[test]
fn one_list_without_an_owned_environment_is_no_proof() {
    for observed in [observed().owned(), observed().adopted()] {
        assert_eq!(
            planned(&environment(), &observed),
            "wait 3s Creating the environment is no longer listed; looking again before it is created anew"
        );
    }
}

#[test]
fn an_owned_environment_that_is_gone_is_created_again() {
    assert_snapshot!(planned(&environment(), &observed().owned().gone()), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create again in c-local/shop-env-dev with r-default
    ");
}

#[test]
fn an_environment_that_goes_twice_within_a_day_is_left_to_a_person() {
    let gone = |hours: i64, ready: bool| {
        observed().owned().gone().with(|o| {
            o.memory.recreated_at = Some(ago(hours * 3600));
            o.memory.was_ready_lately = ready;
        })
    };
    assert_snapshot!(planned(&environment(), &gone(23, true)), @"blocked DeletedElsewhere environment dev disappeared twice within a day; something else deletes it (a person, or Zadig's recycling of old environments). Once that is settled, set the annotation zadig-operator.io/reconcile-requested-at or change the spec");
    assert_snapshot!(planned(&environment(), &gone(24, true)), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create again in c-local/shop-env-dev with r-default
    ");
    assert_snapshot!(planned(&environment(), &gone(23, false)), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create again in c-local/shop-env-dev with r-default
    ");
}

#[test]
fn another_address_of_the_same_zadig_is_recorded_and_nothing_is_sent() {
    let observed = observed().present().owned().with(|o| {
        o.moved = Moved::SameZadig;
        o.zadig = "https://new.example.com".to_owned();
    });
    assert_snapshot!(planned(&environment(), &observed), @"record Created: https://new.example.com shop/dev in c-local/shop-env-dev");
    let adopted = observed.clone().adopted();
    assert_snapshot!(planned(&environment(), &adopted), @"record Adopted: https://new.example.com shop/dev in c-local/shop-env-dev");
    assert_snapshot!(planned(&environment(), &observed.forgotten()), @"in sync");
}

#[test]
fn nothing_is_written_to_another_zadig() {
    let moved = |o: &mut super::super::Observed| {
        o.moved = Moved::DifferentZadig;
        o.zadig = "https://new.example.com".to_owned();
    };
    for observed in [observed().owned().gone(), observed().present().owned()] {
        assert_eq!(
            planned(&environment(), &observed.with(moved)),
            "blocked DifferentZadig spec.connectionRef: this environment lives in https://zadig.example.com, the connection now leads to https://new.example.com, and not every environment that was made through it is found there as recorded; nothing is written. Point the connection back, or release the objects with deletion: Orphan"
        );
    }
}

#[test]
fn the_cluster_is_found_by_name_or_id_and_never_guessed() {
    let observed = observed().with(|o| {
        for (id, name) in [("c-far", "far"), ("c-twin-1", "twin"), ("c-twin-2", "twin")] {
            o.catalog.clusters.push(Cluster {
                id: id.to_owned(),
                name: name.to_owned(),
                local: false,
            });
        }
    });
    assert_snapshot!(planned(&environment().cluster_named("far"), &observed), @"
    record Pending: https://zadig.example.com shop/dev in c-far/shop-env-dev
    create in c-far/shop-env-dev with r-default
    ");
    assert_snapshot!(planned(&environment().cluster_id("c-far"), &observed), @"
    record Pending: https://zadig.example.com shop/dev in c-far/shop-env-dev
    create in c-far/shop-env-dev with r-default
    ");
    assert_snapshot!(planned(&environment().cluster_named("twin"), &observed), @"blocked ClusterNotFound spec.cluster.name: 2 clusters have this name; use spec.cluster.id with one of c-twin-1, c-twin-2");
    assert_snapshot!(planned(&environment().cluster_named("nowhere"), &observed), @"blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows: local (c-local), far (c-far), twin (c-twin-1), twin (c-twin-2)");
    assert_snapshot!(planned(&environment().cluster_id("nowhere"), &observed), @"blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows: local (c-local), far (c-far), twin (c-twin-1), twin (c-twin-2)");
    let unnamed = observed.with(|o| o.catalog.clusters.clear());
    assert_snapshot!(planned(&environment(), &unnamed), @"blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows:");
}

#[test]
fn the_registry_is_found_by_address_or_id_and_never_guessed() {
    let observed = observed().with(|o| {
        for (id, namespace) in [("r-other", "other"), ("r-twin", "other")] {
            o.catalog.registries.push(Registry {
                id: id.to_owned(),
                address: "https://second.example.com/".to_owned(),
                namespace: namespace.to_owned(),
                is_default: false,
            });
        }
    });
    let planned_with = |address: &str| planned(&environment().registry_at(address), &observed);
    assert_snapshot!(planned_with("registry.example.com/shop"), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
    ");
    assert_snapshot!(planned_with("https://registry.example.com/"), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
    ");
    assert_snapshot!(planned_with("second.example.com/other"), @"blocked RegistryNotFound spec.registry: 2 registries fit; use spec.registry.id with one of r-other, r-twin");
    assert_snapshot!(planned_with("registry.example.com/unknown"), @"blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows: registry.example.com/shop (r-default), second.example.com/other (r-other), second.example.com/other (r-twin)");
    assert_snapshot!(planned(&environment().registry_id("r-twin"), &observed), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-twin
    ");
    assert_snapshot!(planned(&environment().registry_id("unknown"), &observed), @"blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows: registry.example.com/shop (r-default), second.example.com/other (r-other), second.example.com/other (r-twin)");
    let without = observed.with(|o| o.catalog.registries.clear());
    assert_snapshot!(planned(&environment(), &without), @"blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows:");
}

#[test]
fn everything_that_speaks_against_creating_is_told_at_once_and_nothing_is_sent() {
    let desired = environment()
        .cluster_named("nowhere")
        .registry_id("unknown")
        .global("UNKNOWN", "x")
        .service("ghost", service())
        .service(
            "api",
            service()
                .variable("NONE", "x")
                .variable("MODE", "medium")
                .variable("TRACE", "yes")
                .global_variable("LOG")
                .image("sidecar", "sidecar:1")
                .replicas("worker", 2),
        );
    assert_snapshot!(planned(&desired, &observed()), @r#"
    blocked ClusterNotFound spec.cluster: Zadig knows no such cluster; it knows: local (c-local)
    blocked RegistryNotFound spec.registry: Zadig knows no such registry; it knows: registry.example.com/shop (r-default)
    blocked VariableInvalid spec.globalVariables[UNKNOWN]: the project declares no such global variable
    blocked VariableInvalid spec.services[api].variables[LOG].useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables
    blocked VariableInvalid spec.services[api].variables[MODE]: the value is none of the options fast, slow
    blocked VariableInvalid spec.services[api].variables[NONE]: the service's template has no such variable; it has: LOG, MODE, TRACE
    blocked VariableInvalid spec.services[api].variables[TRACE]: the value must be "true" or "false"
    blocked ContainerNotFound spec.services[api].containers[sidecar]: the service has no such container; it has: api
    blocked WorkloadNotFound spec.services[api].workloads[Deployment/worker]: the service has no such workload; it has: Deployment/api
    blocked ServiceNotFound spec.services[ghost]: the project has no such service; it has: api
    "#);
}

#[test]
fn a_template_whose_text_cannot_be_read_unrendered_does_not_hold_up_the_creation() {
    let desired = environment().service("api", service().replicas("worker", 2));
    let observed = observed().with(|o| {
        let template = o.catalog.templates.get_mut("api").unwrap();
        *template = Template {
            workloads: None,
            ..template.clone()
        };
    });
    assert_snapshot!(planned(&desired, &observed), @"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create in c-local/shop-env-dev with r-default
      api [] {}
    ");
}
