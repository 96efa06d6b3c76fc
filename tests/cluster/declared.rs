//! What can be declared, and how few calls a change of it takes.

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::KubeAction;

use crate::support::{EnvironmentFixture, Mark, World, is_ready, scenario, simulated};

/// Exactly these calls changed Zadig, where that can be counted.
fn changed_by(world: &World, mark: Mark, operations: &[&str]) {
    if world.sim().is_some() {
        assert_eq!(world.changes_since(mark), operations);
    }
}

#[test]
fn a_changed_secret_or_config_map_is_applied_by_one_call() {
    scenario(async |world| {
        world.apply(&world.secret("db", "storage", "1Gi")).await;
        world.apply(&world.config_map("web", "level", "info")).await;
        let env = world
            .environment("dev")
            .variable_from(
                "db",
                "storage",
                json!({"secretKeyRef": {"name": "db", "key": "storage"}}),
            )
            .variable_from(
                "web",
                "logLevel",
                json!({"configMapKeyRef": {"name": "web", "key": "level"}}),
            )
            .service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let shows = async |service: &str, text: &str| {
            world.zadig.rendered(&key, service).await.contains(text)
        };
        assert!(shows("db", "storage: 1Gi").await && shows("web", "value: info").await);

        let mark = world.mark();
        world.apply(&world.secret("db", "storage", "2Gi")).await;
        world
            .eventually("the Secret is applied", async || {
                shows("db", "storage: 2Gi").await
            })
            .await;
        world.await_ready("dev").await;
        changed_by(world, mark, &["service.update"]);

        let mark = world.mark();
        world
            .apply(&world.config_map("web", "level", "debug"))
            .await;
        world
            .eventually("the ConfigMap is applied", async || {
                shows("web", "value: debug").await
            })
            .await;
        world.await_ready("dev").await;
        changed_by(world, mark, &["service.update"]);
    });
}

#[test]
fn a_source_that_is_missing_is_waited_for_and_one_that_goes_changes_nothing() {
    scenario(async |world| {
        let source = json!({"secretKeyRef": {"name": "db", "key": "storage"}});
        let env = world
            .environment("dev")
            .variable_from("db", "storage", source);
        world.apply(&env).await;
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("dev", Reason::SourceNotFound)
                .await,
            "spec.services[db].variables[storage].valueFrom: waiting for Secret db in this namespace"
        );
        world.apply(&world.secret("db", "other", "1Gi")).await;
        world
            .eventually("the missing key is told", async || {
                let told = world
                    .await_reason::<ZadigEnvironment>("dev", Reason::SourceNotFound)
                    .await;
                told == "spec.services[db].variables[storage].valueFrom: Secret db has no text under key storage"
            })
            .await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None);
        world.apply(&world.secret("db", "storage", "3Gi")).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world
            .delete::<k8s_openapi::api::core::v1::Secret>("db")
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::SourceNotFound)
            .await;
        assert!(
            world
                .zadig
                .rendered(&key, "db")
                .await
                .contains("storage: 3Gi")
        );
        changed_by(world, mark, &[]);
    });
}

#[test]
fn a_secret_value_shows_nowhere_on_the_object() {
    scenario(async |world| {
        // Zadig repeats a value that it cannot decode (Z§4.11), so this one is told about.
        let value = "correct-horse-battery";
        world.apply(&world.secret("db", "cpu", value)).await;
        let source = json!({"secretKeyRef": {"name": "db", "key": "cpu"}});
        world.apply(&world.environment("dev").service("db")).await;
        world.await_ready("dev").await;
        world
            .apply(
                &world
                    .environment("dev")
                    .variable_from("db", "cpuLimit", source),
            )
            .await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "refused", |env| {
                crate::support::has_reason(env, Reason::ZadigError)
            })
            .await;
        let printed = serde_json::to_string(&told).expect("an object is JSON");
        assert!(!printed.contains(value), "{printed}");
        for (reason, note) in world.events("dev").await {
            assert!(!note.contains(value), "{reason}: {note}");
        }
    });
}

#[test]
fn a_registry_is_found_by_its_address_and_a_change_restarts_nothing() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        let at = |address: &str| env.clone().field("registry", json!({"address": address}));
        world.apply(&at("registry.example.com/reg-main")).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let stored = async || {
            let detail = world.zadig.detail(&key).await;
            let id = detail["registry_id"].as_str().unwrap_or_default();
            id.to_owned()
        };
        let main = stored().await;
        assert_eq!(main, world.zadig.registry_id);
        let mark = world.mark();
        world
            .apply(&at("https://registry.example.com/reg-alt/"))
            .await;
        world
            .eventually("the other registry is stored", async || {
                stored().await != main
            })
            .await;
        world.await_ready("dev").await;
        changed_by(world, mark, &["environment.edit"]);
        // No longer declared is left alone.
        world.apply(&env).await;
        world.await_ready("dev").await;
        assert_ne!(stored().await, main);
        changed_by(world, mark, &["environment.edit"]);
    });
}

#[test]
fn a_cluster_is_found_by_its_name() {
    scenario(async |world| {
        let clusters = world.zadig.get("/openapi/system/cluster", &[]).await;
        let id = world.zadig.cluster_id.as_str();
        let name = clusters
            .as_array()
            .into_iter()
            .flatten()
            .find(|cluster| cluster["cluster_id"] == id)
            .and_then(|cluster| cluster["name"].as_str())
            .expect("Zadig lists the cluster with its name");
        let by_name = world.environment("by-name").service("plain");
        world
            .apply(&by_name.field("cluster", json!({"name": name})))
            .await;
        let mut local = world.environment("local").service("plain");
        local.spec.cluster = None;
        world.apply(&local).await;
        for name in ["by-name", "local"] {
            world.await_ready(name).await;
            let found = world.zadig.environment(&world.env_key(name)).await;
            let found = found.expect("it is there");
            assert_eq!(found["cluster_id"], json!(id), "{name}");
        }
    });
}

#[test]
fn prune_decides_about_services_that_are_not_declared() {
    scenario(async |world| {
        let env = |prune: &str| {
            world
                .environment("dev")
                .service("plain")
                .field("prune", prune)
        };
        let key = world.env_key("dev");
        world.apply(&env("None").service("web")).await;
        world.await_ready("dev").await;
        world.zadig.add_service(&key, "job").await;
        world
            .eventually("the foreign service is in", async || {
                world
                    .zadig
                    .environment(&key)
                    .await
                    .is_some_and(|env| env["status"] == "success")
            })
            .await;

        let handled = async || {
            world.reconcile_now::<ZadigEnvironment>("dev").await;
            let asked = world.get::<ZadigEnvironment>("dev").await;
            let asked = asked.metadata.annotations.unwrap_or_default();
            let asked = asked
                .get("zadig-operator.io/reconcile-requested-at")
                .cloned();
            world
                .await_that::<ZadigEnvironment>("dev", "handled", |env| {
                    let status = env.status.clone().unwrap_or_default();
                    is_ready(env) && status.last_handled_reconcile_at == asked
                })
                .await;
        };
        world.apply(&env("None")).await;
        handled().await;
        assert_eq!(world.zadig.services(&key).await, ["job", "plain", "web"]);
        world.apply(&env("Owned")).await;
        handled().await;
        assert_eq!(world.zadig.services(&key).await, ["job", "plain"]);
        world.apply(&env("All")).await;
        handled().await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
    });
}

#[test]
fn a_bound_variable_stays_bound_when_another_changes() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .global("logLevel", "warn")
            .bound("web", "logLevel")
            .variable("web", "port", "8081");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let bound = async || {
            let globals = world.zadig.globals(&key).await;
            globals["logLevel"]["related_services"].clone()
        };
        assert_eq!(bound().await, json!(["web"]));
        assert!(
            world
                .zadig
                .rendered(&key, "web")
                .await
                .contains("value: warn")
        );

        let mark = world.mark();
        let env = env.variable("web", "port", "8082");
        world.apply(&env).await;
        world.await_ready("dev").await;
        assert!(
            world
                .zadig
                .rendered(&key, "web")
                .await
                .contains("port: 8082")
        );
        assert_eq!(bound().await, json!(["web"]));
        changed_by(world, mark, &["service.update"]);

        // A value of its own takes it off the global one.
        let env = env.variable("web", "logLevel", "debug");
        world.apply(&env).await;
        world
            .eventually("it has a value of its own", async || {
                world
                    .zadig
                    .rendered(&key, "web")
                    .await
                    .contains("value: debug")
            })
            .await;
        world.await_ready("dev").await;
        assert_eq!(bound().await, json!([]));
        world.apply(&env.bound("web", "logLevel")).await;
        world
            .eventually("it is bound again", async || {
                bound().await == json!(["web"])
            })
            .await;
        world.await_ready("dev").await;
        changed_by(
            world,
            mark,
            &["service.update", "service.update", "service.update"],
        );
    });
}

#[test]
fn a_restart_token_restarts_once_for_each_change() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        let token = |token: &str| env.clone().restart_token("plain", token);
        world.apply(&token("monday")).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let pods = async || {
            let live = world.zadig.live_service(&key, "plain").await;
            let pods = live["scales"][0]["pods"].as_array().cloned();
            let names = pods.unwrap_or_default().into_iter();
            let mut names: Vec<Value> = names.map(|pod| pod["name"].clone()).collect();
            names.sort_by_key(Value::to_string);
            names
        };
        let first = pods().await;
        let mark = world.mark();
        world.apply(&token("tuesday")).await;
        world
            .eventually("another pod runs", async || {
                let now = pods().await;
                now != first && now.len() == 1
            })
            .await;
        world.await_ready("dev").await;
        let second = pods().await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.apply(&env).await;
        world.await_ready("dev").await;
        assert_eq!(
            pods().await,
            second,
            "neither a look nor a removed token restarts"
        );
        changed_by(world, mark, &["service.restart"]);
    });
}

#[test]
fn what_is_set_on_create_is_left_alone_later_and_what_is_enforced_is_not() {
    scenario(async |world| {
        let image = |tag: &str| format!("registry.example.com/reg-main/web:{tag}");
        let env = world
            .environment("dev")
            .image_once("web", "web", &image("v2"))
            .replicas_once("web", 2)
            .image("plain", "plain", "registry.example.com/reg-main/plain:v2");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let web = async || {
            (
                world.zadig.running_image(&key, "web", "web").await,
                world.zadig.replicas(&key, "web").await,
            )
        };
        assert_eq!(web().await, (Some(image("v2")), Some(2)));

        world
            .zadig
            .set_image(&key, "web", "web", &image("ci"))
            .await;
        world.zadig.scale(&key, "web", 1).await;
        let by_hand = "registry.example.com/reg-main/plain:hand";
        world.zadig.set_image(&key, "plain", "plain", by_hand).await;
        world
            .eventually("the enforced image is back", async || {
                let running = world.zadig.running_image(&key, "plain", "plain").await;
                running.as_deref() == Some("registry.example.com/reg-main/plain:v2")
            })
            .await;
        world.await_ready("dev").await;
        assert_eq!(web().await, (Some(image("ci")), Some(1)));

        // A changed value of such a field asks for nothing either; enforcing it does.
        let env = env.image_once("web", "web", &image("v3"));
        world.apply(&env).await;
        world.await_ready("dev").await;
        assert_eq!(web().await, (Some(image("ci")), Some(1)));
        world.apply(&env.image("web", "web", &image("v3"))).await;
        world
            .eventually("the image is enforced", async || {
                web().await == (Some(image("v3")), Some(1))
            })
            .await;
    });
}

#[test]
fn a_workload_that_the_cluster_lost_is_told_and_nothing_is_sent_again_and_again() {
    simulated(async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain").replicas("web", 1))
            .await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let found = world.zadig.environment(&world.env_key("dev")).await;
        let namespace = found.expect("it is there")["namespace"]
            .as_str()
            .map(str::to_owned);
        let lost = KubeAction::Delete {
            kind: "Deployment".to_owned(),
            namespace,
            name: "web".to_owned(),
            wait: false,
            cluster: None,
        };
        sim.kube(lost).expect("it is there");
        // Told once the time is over that a roll-out by somebody else may take.
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world
            .eventually("the operator looked", async || {
                world.count_since(mark, "environment.get") >= 2
            })
            .await;
        world.await_lists(sim, 5).await;
        changed_by(world, mark, &[]);
    });
}
