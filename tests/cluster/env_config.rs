//! What a user does with an object inside an environment.

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{KubeAction, Licence};

use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, is_stalled, scenario, scenario_with,
    simulated,
};

async fn ready(world: &World, name: &str) {
    world
        .await_that::<ZadigEnvConfig>(name, "Ready", is_ready)
        .await;
}

/// An environment `dev` that runs `plain` and is Ready.
async fn environment(world: &World) -> String {
    world
        .apply(&world.environment("dev").service("plain"))
        .await;
    world
        .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
        .await;
    world.env_key("dev")
}

fn config_map(data: &Value) -> Value {
    json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": data}})
}

/// Waits until the object inside the environment has this data.
async fn holds(world: &World, key: &str, type_: &str, name: &str, data: &Value) {
    world
        .eventually("the object has the declared data", async || {
            let found = world.zadig.config(key, type_, name).await;
            found.is_some_and(|object| object["data"] == *data)
        })
        .await;
}

fn licensed() -> Setup {
    Setup::default().simulator(|options| options.licence = Some(Licence::Enterprise))
}

/// How often the object was written since the scenario began.
fn writes(world: &World, operation: &str) -> usize {
    let calls = world.sim().map(zadig_sim::Sim::calls).unwrap_or_default();
    calls
        .iter()
        .filter(|call| call.operation == operation)
        .count()
}

/// How often an object was replaced by one that holds this text.
fn replaced_with(world: &World, text: &str) -> usize {
    let calls = world.sim().map(zadig_sim::Sim::calls).unwrap_or_default();
    calls
        .iter()
        .filter(|call| call.operation == "config.update" && call.body.contains(text))
        .count()
}

#[test]
fn objects_are_carried_by_the_creation_whichever_is_applied_first_and_without_a_licence() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain").field(
            "configRefs",
            json!([{"name": "settings"}, {"name": "login"}]),
        );
        world.apply(&env).await;
        world
            .await_that::<ZadigEnvironment>("dev", "ConfigNotReady", |env| {
                has_reason(env, Reason::ConfigNotReady)
            })
            .await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None);
        let data = json!({"env": "$EnvName$"});
        world
            .apply(&world.config("dev", "ConfigMap", "settings", config_map(&data)))
            .await;
        let source = json!({"secretRef": {"name": "source"}});
        world
            .apply(&world.config("dev", "Secret", "login", source))
            .await;
        world
            .apply::<k8s_openapi::api::core::v1::Secret>(&world.read(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source"},
                "stringData": {"password": "hunter22"},
            })))
            .await;
        world
            .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
            .await;
        ready(world, "settings").await;
        ready(world, "login").await;
        holds(world, &key, "ConfigMap", "settings", &json!({"env": key})).await;
        let secret = json!({"password": "aHVudGVyMjI="});
        holds(world, &key, "Secret", "login", &secret).await;
        if world.sim().is_some() {
            let calls = (
                writes(world, "config.create"),
                writes(world, "config.update"),
            );
            assert_eq!(calls, (0, 0), "the creation carried them");
        }
        // Deleted with its object, as this one made it; a Secret needs no licence for that.
        world.delete::<ZadigEnvConfig>("login").await;
        world.await_gone::<ZadigEnvConfig>("login").await;
        assert_eq!(world.zadig.config(&key, "Secret", "login").await, None);
    });
}

#[test]
fn what_is_in_a_namespace_before_the_environment_is_overwritten_only_when_asked_and_stays_afterwards()
 {
    simulated(async |world, sim| {
        let namespace = format!("legacy-{}", world.env_key("dev"));
        let create = |kind: &str, namespace: Option<&String>, name: &str, manifest: Value| {
            let action = KubeAction::Create {
                kind: kind.to_owned(),
                namespace: namespace.cloned(),
                name: name.to_owned(),
                manifest: Some(manifest),
                cluster: None,
            };
            sim.kube(action).expect("it is made");
        };
        create("Namespace", None, &namespace, json!({}));
        create(
            "ConfigMap",
            Some(&namespace),
            "login",
            json!({"data": {"a": "theirs"}}),
        );
        let data = json!({"a": "ours"});
        let config = world.config("dev", "ConfigMap", "login", config_map(&data));
        world.apply(&config).await;
        let env = world
            .environment("dev")
            .service("plain")
            .field("namespace", namespace.clone())
            .field("configRefs", json!([{"name": "login"}]));
        world.apply(&env).await;
        let told = world
            .await_reason::<ZadigEnvConfig>("login", Reason::ConfigExists)
            .await;
        assert!(
            told.contains(&format!(
                "spec.namespace of the ZadigEnvironment is {namespace}"
            )),
            "{told}"
        );
        assert!(is_stalled(&world.get::<ZadigEnvConfig>("login").await));
        let adopting = json!({"spec": {"creation": "Adopt"}});
        world.patch::<ZadigEnvConfig>("login", adopting).await;
        world
            .await_reason::<ZadigEnvConfig>("login", Reason::ConfigNotFound)
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ConfigNotReady)
            .await;
        assert!(
            told.contains("login (it is not ready; see there)"),
            "{told}"
        );
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None);
        let asked = json!({"spec": {"creation": "CreateOrAdopt"}});
        world.patch::<ZadigEnvConfig>("login", asked).await;
        world.await_ready("dev").await;
        ready(world, "login").await;
        holds(world, &key, "ConfigMap", "login", &data).await;
        let inventory = world.get::<ZadigEnvConfig>("login").await.status;
        assert!(
            !inventory
                .and_then(|it| it.inventory)
                .expect("it is known")
                .created
        );
        world.delete::<ZadigEnvConfig>("login").await;
        world.await_gone::<ZadigEnvConfig>("login").await;
        holds(world, &key, "ConfigMap", "login", &data).await;
    });
}

#[test]
fn a_config_map_that_comes_later_needs_a_licence_and_says_what_else_helps() {
    let setup = Setup::default().simulator(|options| options.licence = Some(Licence::None));
    scenario_with(setup, async |world| {
        environment(world).await;
        let config = world.config("dev", "ConfigMap", "late", config_map(&json!({"a": "b"})));
        world.apply(&config).await;
        let blocked = world
            .await_that::<ZadigEnvConfig>("late", "LicenceRequired", |config| {
                has_reason(config, Reason::LicenceRequired) && is_stalled(config)
            })
            .await;
        let conditions = blocked.status.unwrap_or_default().conditions;
        let message = &conditions[0].message;
        assert!(message.contains("under spec.configRefs"), "{message}");
    });
}

#[test]
fn a_secret_that_comes_later_is_made_and_a_rotated_one_is_followed() {
    scenario(async |world| {
        let key = environment(world).await;
        let source = |password: &str| -> k8s_openapi::api::core::v1::Secret {
            world.read(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source"},
                "stringData": {"password": password},
            }))
        };
        world.apply(&source("first-one")).await;
        let from = json!({"secretRef": {"name": "source"}});
        world
            .apply(&world.config("dev", "Secret", "login", from))
            .await;
        ready(world, "login").await;
        let first = json!({"password": "Zmlyc3Qtb25l"});
        holds(world, &key, "Secret", "login", &first).await;
        world.apply(&source("other-one")).await;
        let other = json!({"password": "b3RoZXItb25l"});
        holds(world, &key, "Secret", "login", &other).await;
        ready(world, "login").await;
    });
}

#[test]
fn a_change_is_written_once_and_an_edit_in_zadig_is_repaired() {
    scenario_with(licensed(), async |world| {
        let key = environment(world).await;
        let app = |level: &str| {
            let data = json!({"level": level});
            world.config("dev", "ConfigMap", "app", config_map(&data))
        };
        world.apply(&app("info")).await;
        ready(world, "app").await;
        holds(world, &key, "ConfigMap", "app", &json!({"level": "info"})).await;
        assert_eq!(writes(world, "config.update"), 0, "it was created");
        world.apply(&app("debug")).await;
        holds(world, &key, "ConfigMap", "app", &json!({"level": "debug"})).await;
        ready(world, "app").await;
        assert_eq!(replaced_with(world, "debug"), 1);
        world
            .zadig
            .replace_config_map(&key, "app", json!({"level": "hand"}))
            .await;
        holds(world, &key, "ConfigMap", "app", &json!({"level": "debug"})).await;
        ready(world, "app").await;
        assert_eq!(replaced_with(world, "debug"), 2);
    });
}

#[test]
fn an_object_that_was_there_is_taken_over_only_when_asked_and_left_when_ours_goes() {
    scenario_with(licensed(), async |world| {
        let key = environment(world).await;
        let body = json!({
            "name": "old", "common_env_cfg_type": "ConfigMap",
            "yaml_data": json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"a": "1"},
            }).to_string(),
        });
        let path = format!("/openapi/environments/{key}/envcfgs");
        world
            .zadig
            .change(http::Method::POST, &path, &[], Some(body))
            .await;
        let mut config = world.config("dev", "ConfigMap", "old", config_map(&json!({"a": "2"})));
        world.apply(&config).await;
        world
            .await_that::<ZadigEnvConfig>("old", "ConfigExists", |config| {
                has_reason(config, Reason::ConfigExists) && is_stalled(config)
            })
            .await;
        holds(world, &key, "ConfigMap", "old", &json!({"a": "1"})).await;
        config.spec.creation = zadig_operator::api::environment::Creation::CreateOrAdopt;
        world.apply(&config).await;
        ready(world, "old").await;
        holds(world, &key, "ConfigMap", "old", &json!({"a": "2"})).await;
        world.delete::<ZadigEnvConfig>("old").await;
        world.await_gone::<ZadigEnvConfig>("old").await;
        holds(world, &key, "ConfigMap", "old", &json!({"a": "2"})).await;
    });
}

#[test]
fn an_object_ends_with_its_environment_in_any_order() {
    scenario(async |world| {
        environment(world).await;
        world
            .apply::<k8s_openapi::api::core::v1::Secret>(&world.read(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source"},
                "stringData": {"a": "some-value"},
            })))
            .await;
        let from = json!({"secretRef": {"name": "source"}});
        world
            .apply(&world.config("dev", "Secret", "login", from))
            .await;
        ready(world, "login").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.delete::<ZadigEnvConfig>("login").await;
        world.await_gone::<ZadigEnvConfig>("login").await;
    });
}

#[test]
fn an_idle_object_is_silent() {
    scenario_with(licensed(), async |world| {
        environment(world).await;
        let config = world.config("dev", "ConfigMap", "app", config_map(&json!({"a": "b"})));
        world.apply(&config).await;
        ready(world, "app").await;
        let reads = || writes(world, "config.get");
        let settled = reads();
        world
            .eventually("a thorough look later", async || reads() > settled)
            .await;
        let mark = world.mark();
        world
            .eventually("two thorough looks later", async || reads() > settled + 2)
            .await;
        let changes: Vec<_> = world
            .calls_since(mark)
            .into_iter()
            .filter(|call| call.mutating)
            .collect();
        assert_eq!(
            (changes, world.operator_writes_since(mark)),
            (vec![], vec![])
        );
    });
}

#[test]
fn an_object_restored_from_a_backup_owns_what_it_made() {
    scenario_with(licensed(), async |world| {
        let key = environment(world).await;
        let data = json!({"a": "b"});
        let config = world.config("dev", "ConfigMap", "settings", config_map(&data));
        world.apply(&config).await;
        ready(world, "settings").await;
        let backup = world.get::<ZadigEnvConfig>("settings").await;
        let orphan = json!({"metadata": {"annotations": {"zadig-operator.io/deletion": "Orphan"}}});
        world.patch::<ZadigEnvConfig>("settings", orphan).await;
        world.delete::<ZadigEnvConfig>("settings").await;
        world.await_gone::<ZadigEnvConfig>("settings").await;
        let mark = world.mark();
        let mut restored = config;
        restored.metadata.annotations = backup.metadata.annotations;
        world.apply(&restored).await;
        ready(world, "settings").await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world.delete::<ZadigEnvConfig>("settings").await;
        world.await_gone::<ZadigEnvConfig>("settings").await;
        assert_eq!(
            world.zadig.config(&key, "ConfigMap", "settings").await,
            None
        );
    });
}
