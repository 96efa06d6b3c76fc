//! What a user does with an environment, and what happens to it behind the operator's back.

use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{EnvironmentFixture, has_reason, is_stalled, scenario};

#[test]
fn every_declared_field_reaches_zadig() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("web")
            .variable("web", "logLevel", "debug")
            .image("web", "web", "registry.example.com/reg-main/web:v7")
            .replicas("web", 2)
            .service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        assert_eq!(
            world.zadig.running_image(&key, "web", "web").await,
            Some("registry.example.com/reg-main/web:v7".to_owned())
        );
        assert_eq!(world.zadig.replicas(&key, "web").await, Some(2));
        assert!(world.zadig.rendered(&key, "web").await.contains("debug"));
        let status = world
            .get::<ZadigEnvironment>("dev")
            .await
            .status
            .unwrap_or_default();
        assert_eq!(status.services_ready.as_deref(), Some("2/2"));
    });
}

#[test]
fn a_foreign_image_and_foreign_replicas_are_repaired() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("web")
            .image("web", "web", "registry.example.com/reg-main/web:v2")
            .replicas("web", 1);
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world
            .zadig
            .set_image(&key, "web", "web", "registry.example.com/reg-main/web:hand")
            .await;
        world
            .eventually("the image is repaired", async || {
                let image = world.zadig.running_image(&key, "web", "web").await;
                image.as_deref() == Some("registry.example.com/reg-main/web:v2")
            })
            .await;
        world.zadig.scale(&key, "web", 3).await;
        world
            .eventually("the replicas are repaired", async || {
                world.zadig.replicas(&key, "web").await == Some(1)
            })
            .await;
        world.await_ready("dev").await;
    });
}

#[test]
fn a_foreign_image_on_an_undeclared_container_causes_no_write() {
    scenario(async |world| {
        world.apply(&world.environment("dev").service("web")).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let mark = world.mark();
        world
            .zadig
            .set_image(&key, "web", "web", "registry.example.com/reg-main/web:ci")
            .await;
        let Some(sim) = world.needs_sim() else { return };
        world
            .eventually("the operator looked at the change", async || {
                sim.calls()
                    .iter()
                    .filter(|call| call.operation == "environment.get")
                    .count()
                    > 2
            })
            .await;
        // A few more lists, so that a late reaction is seen too.
        let lists = || {
            sim.calls()
                .iter()
                .filter(|c| c.operation == "environment.list")
                .count()
        };
        let before = lists();
        world
            .eventually("five lists later", async || lists() >= before + 5)
            .await;
        let writes = world
            .calls_since(mark)
            .into_iter()
            .filter(|call| call.mutating)
            .count();
        assert_eq!(
            (writes, world.operator_writes_since(mark)),
            (1, vec![]),
            "only our own image call"
        );
    });
}

#[test]
fn an_idle_environment_is_silent() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("web").replicas("web", 1))
            .await;
        world.apply(&world.environment("qa").service("plain")).await;
        world.await_ready("dev").await;
        world.await_ready("qa").await;
        let Some(sim) = world.needs_sim() else { return };
        let lists = || {
            sim.calls()
                .iter()
                .filter(|c| c.operation == "environment.list")
                .count()
        };
        // Whatever follows the last change is over after the next list.
        let settled = lists() + 1;
        world
            .eventually("one list later", async || lists() > settled)
            .await;
        let (mark, before) = (world.mark(), lists());
        world
            .eventually("ten lists later", async || lists() >= before + 10)
            .await;
        let writes: Vec<_> = world
            .calls_since(mark)
            .into_iter()
            .filter(|call| call.mutating)
            .collect();
        assert_eq!(
            (writes, world.operator_writes_since(mark)),
            (vec![], vec![])
        );
    });
}

#[test]
fn a_service_that_is_no_longer_declared_is_removed_and_a_foreign_one_stays() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("web").service("plain"))
            .await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world.zadig.add_service(&key, "job").await;
        world.apply(&world.environment("dev").service("web")).await;
        world
            .eventually("plain is gone and job stays", async || {
                world.zadig.services(&key).await == ["job", "web"]
            })
            .await;
        world.await_ready("dev").await;
        assert_eq!(world.zadig.services(&key).await, ["job", "web"]);
    });
}

#[test]
fn an_environment_that_exists_is_taken_over_only_when_asked_and_left_when_the_object_goes() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["plain"]).await;
        let mut env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world
            .await_that::<ZadigEnvironment>("dev", "EnvironmentExists", |env| {
                has_reason(env, Reason::EnvironmentExists) && is_stalled(env)
            })
            .await;
        env = env.field("creation", "CreateOrAdopt");
        world.apply(&env).await;
        world.await_ready("dev").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert!(
            world.zadig.environment(&key).await.is_some(),
            "an adopted environment stays"
        );
        world.zadig.delete(&key).await;
    });
}

#[test]
fn an_adopted_environment_whose_variables_are_as_declared_is_not_updated() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["web"]).await;
        let mark = world.mark();
        // The template's own values.
        let mut env = world
            .environment("dev")
            .service("web")
            .variable("web", "logLevel", "info")
            .variable("web", "port", "8080")
            .field("creation", "Adopt");
        world.apply(&env).await;
        world.await_ready("dev").await;
        if world.needs_sim().is_some() {
            let writes = world.calls_since(mark);
            assert!(writes.iter().all(|call| !call.mutating), "{writes:?}");
        }
        env = env.variable("web", "logLevel", "debug");
        world.apply(&env).await;
        world
            .eventually("the changed value is sent", async || {
                world.zadig.rendered(&key, "web").await.contains("debug")
            })
            .await;
        world.await_ready("dev").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.zadig.delete(&key).await;
    });
}

#[test]
fn a_change_that_the_cluster_refuses_is_told_and_a_good_one_mends_it() {
    scenario(async |world| {
        // A project that others use keeps its templates.
        if world.needs_sim().is_none() {
            return;
        }
        // A selector cannot be changed, and Zadig says success (Z§14.23).
        let yaml = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: imm}\nspec:\n  selector: {matchLabels: {app: \"{{.label}}\"}}\n  template:\n    metadata: {labels: {app: \"{{.label}}\"}}\n    spec: {containers: [{name: imm, image: imm:1}]}\n";
        let variables = json!([{"key": "label", "value": "one", "type": "string"}]);
        let body = json!({"service_name": "imm", "yaml": yaml, "variable_yaml": variables});
        let path = "/openapi/service/yaml/raw";
        world
            .zadig
            .change(http::Method::POST, path, &[], Some(body))
            .await;

        let env = world.environment("dev").service("imm");
        let good = env.clone().variable("imm", "label", "one");
        world.apply(&good).await;
        world.await_ready("dev").await;
        // Pods tell their age in whole seconds: a change in the second of their making cannot be told from it.
        let key = world.env_key("dev");
        world
            .eventually("the pod is of a second before", async || {
                let live = world.zadig.live_service(&key, "imm").await;
                let made = live["scales"][0]["pods"][0]["createtime"].as_i64();
                made.is_some_and(|made| made < jiff::Timestamp::now().as_second())
            })
            .await;
        let mark = world.mark();
        world.apply(&env.variable("imm", "label", "two")).await;
        world
            .await_that::<ZadigEnvironment>("dev", "NotApplied", |env| {
                has_reason(env, Reason::NotApplied) && is_stalled(env)
            })
            .await;
        let calls = world.calls_since(mark);
        let writes = calls.iter().filter(|call| call.mutating).count();
        assert_eq!(writes, 1, "the refused value is not sent again: {calls:?}");
        world.apply(&good).await;
        world.await_ready("dev").await;
    });
}

#[test]
fn orphan_leaves_the_environment_and_detach_leaves_its_workloads() {
    scenario(async |world| {
        for (name, policy) in [("left", "Orphan"), ("detached", "Detach")] {
            let env = world
                .environment(name)
                .service("plain")
                .field("deletion", policy);
            world.apply(&env).await;
            world.await_ready(name).await;
            world.delete::<ZadigEnvironment>(name).await;
            world.await_gone::<ZadigEnvironment>(name).await;
        }
        let left = world.env_key("left");
        assert!(world.zadig.environment(&left).await.is_some());
        assert!(
            world
                .zadig
                .environment(&world.env_key("detached"))
                .await
                .is_none()
        );
        world.zadig.delete(&left).await;
    });
}

#[test]
fn the_younger_of_two_objects_waits_and_takes_over_nothing() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mut younger = world.environment("dev").service("plain");
        younger.metadata.name = Some("younger".to_owned());
        // Ages are whole seconds; the name decides within one.
        world.apply(&younger).await;
        world
            .await_that::<ZadigEnvironment>("younger", "Conflict", |env| {
                has_reason(env, Reason::Conflict)
            })
            .await;
        world.delete::<ZadigEnvironment>("younger").await;
        world.await_gone::<ZadigEnvironment>("younger").await;
        assert!(
            world
                .zadig
                .environment(&world.env_key("dev"))
                .await
                .is_some()
        );
    });
}

#[test]
fn a_lost_status_is_rebuilt_without_a_write_to_zadig() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("web")
            .variable("web", "logLevel", "debug");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let before = world
            .get::<ZadigEnvironment>("dev")
            .await
            .status
            .unwrap_or_default();
        let mark = world.mark();
        let api = world.api::<ZadigEnvironment>();
        let patch = kube::api::Patch::Merge(json!({"status": null}));
        api.patch_status("dev", &kube::api::PatchParams::default(), &patch)
            .await
            .unwrap();
        world
            .patch::<ZadigEnvironment>(
                "dev",
                json!({"metadata": {"annotations": {"zadig-operator.io/reconcile-requested-at": "now"}}}),
            )
            .await;
        world.await_ready("dev").await;
        let after = world
            .get::<ZadigEnvironment>("dev")
            .await
            .status
            .unwrap_or_default();
        assert_eq!(after.inventory, before.inventory);
        let writes: Vec<_> = world
            .calls_since(mark)
            .into_iter()
            .filter(|call| call.mutating)
            .collect();
        assert_eq!(writes, []);
    });
}

#[test]
fn a_whole_namespace_with_everything_in_it_ends() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(world.client.clone());
        namespaces
            .delete(&world.namespace, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigConnection>("default").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}
