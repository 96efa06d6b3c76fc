//! The states of an object, and what they are for Argo CD and for Flux (design §4).

use serde_json::{Value, json};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Ailment, FaultAction, FaultRule, Pace};

use super::{ask, entry, raw, seen, with_reason};
use crate::support::{
    EnvironmentFixture, Namespaced, Setup, World, scenario, simulated, simulated_with,
};

fn config_map() -> Value {
    json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}})
}

/// Waits for the reason, and asks both.
async fn told<K: Namespaced>(world: &World, name: &str, reason: &str) -> [String; 2] {
    seen(&with_reason::<K>(world, name, reason).await)
}

/// Environment `dev`, a config and a binding inside it, and the connection of all.
async fn all_seen(world: &World, reason: &str) -> [[String; 2]; 3] {
    [
        told::<ZadigEnvironment>(world, "dev", reason).await,
        told::<ZadigEnvConfig>(world, "app", reason).await,
        told::<ZadigServiceBinding>(world, "web", reason).await,
    ]
}

#[test]
fn what_is_as_declared_is_healthy_and_current() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply_inhabited(env).await;
        world.await_inhabited().await;
        assert_eq!(
            all_seen(world, "Ready").await,
            [
                ["Healthy", "Current"],
                ["Healthy", "Current"],
                ["Healthy", "Current"]
            ]
        );
        let connection = told::<ZadigConnection>(world, "default", "Ready").await;
        assert_eq!(connection, ["Healthy", "Current"]);
        // A newer spec is another matter until the operator has looked at it; of a suspended object it never does.
        let env = world.get::<ZadigEnvironment>("dev").await;
        world.apply(&env.service("db").field("suspend", true)).await;
        let mut changed = raw::<ZadigEnvironment>(world, "dev").await;
        assert_eq!(seen(&changed), ["Suspended", "InProgress"]);
        changed["spec"]["suspend"] = false.into();
        assert_eq!(seen(&changed), ["Progressing", "InProgress"]);
    });
}

#[test]
fn what_is_under_way_or_waited_for_progresses() {
    let setup = Setup::default().simulator(|options| {
        options.pace = Pace {
            create_background: std::time::Duration::from_secs(5),
            ..Pace::fast()
        };
    });
    simulated_with(setup, async |world, sim| {
        world
            .apply_inhabited(world.environment("dev").service("plain"))
            .await;
        let under_way = ["Progressing", "InProgress"];
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "Creating").await,
            under_way
        );
        assert_eq!(
            told::<ZadigServiceBinding>(world, "web", "Creating").await,
            under_way
        );
        assert_eq!(
            told::<ZadigEnvConfig>(world, "app", "Creating").await,
            under_way
        );
        world.await_inhabited().await;
        let source = json!({"configMapRef": {"name": "none"}});
        world
            .apply(&world.config("dev", "ConfigMap", "late", source))
            .await;
        assert_eq!(
            told::<ZadigEnvConfig>(world, "late", "SourceNotFound").await,
            under_way
        );
        sim.fault(FaultRule::always(FaultAction::Stick).on("environment.delete"));
        world.delete::<ZadigEnvironment>("dev").await;
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "Deleting").await,
            ["Progressing", "Terminating"]
        );
    });
}

#[test]
fn what_only_a_person_can_help_is_degraded_and_failed() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["web"]).await;
        world.apply(&world.environment("dev").service("web")).await;
        let failed = ["Degraded", "Failed"];
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "EnvironmentExists").await,
            failed
        );
        world.zadig.delete(&key).await;
        world
            .apply_inhabited(world.environment("dev").service("plain"))
            .await;
        world.await_inhabited().await;
        let binding = world.binding("dev", &json!({"name": "job"}), json!({}));
        world.zadig.add_service(&key, "job").await;
        world.apply(&binding).await;
        assert_eq!(
            told::<ZadigServiceBinding>(world, "job", "ServiceExists").await,
            failed
        );
        let mut late = config_map();
        late["git"] = json!({
            "codehostId": 1, "owner": "shop", "repo": "config", "branch": "main", "path": "app.yaml",
        });
        world
            .apply(&world.config("dev", "ConfigMap", "late", late))
            .await;
        assert_eq!(
            told::<ZadigEnvConfig>(world, "late", "OnlyAtCreation").await,
            failed
        );
        let mut connection = world.connection();
        connection.metadata.name = Some("other".to_owned());
        connection.spec.token_secret_ref.name = "none".to_owned();
        world.apply(&connection).await;
        assert_eq!(
            told::<ZadigConnection>(world, "other", "CredentialsMissing").await,
            failed
        );
    });
}

/// Nothing is under way, and no tool can wait for it: Flux knows no word for that.
#[test]
fn a_service_that_stays_unhealthy_is_degraded() {
    simulated(async |world, sim| {
        let image = "registry.example.com/reg-main/web:broken";
        sim.ail(image, Some(&Ailment::crash_loop(&["no"])));
        world
            .apply(&world.environment("dev").image("web", "web", image))
            .await;
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "NotReady").await,
            ["Degraded", "InProgress"]
        );
    });
}

#[test]
fn what_rests_is_suspended() {
    simulated(async |world, sim| {
        world
            .apply_inhabited(world.environment("dev").service("plain"))
            .await;
        world.await_inhabited().await;
        let resting = ["Suspended", "InProgress"];
        let key = world.env_key("dev");
        assert!(sim.sleep_environment(&world.zadig.project, &key));
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "Sleeping").await,
            resting
        );
        assert!(sim.wake_environment(&world.zadig.project, &key));
        world.await_ready("dev").await;
        let suspend = json!({"spec": {"suspend": true}});
        world.patch::<ZadigConnection>("default", suspend).await;
        let connection = raw::<ZadigConnection>(world, "default").await;
        assert_eq!(seen(&connection)[0], "Suspended");
        let env = world.get::<ZadigEnvironment>("dev").await;
        world.apply(&env.service("db")).await;
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "ConnectionSuspended").await,
            resting
        );
    });
}

#[test]
fn an_environment_whose_time_is_over_is_suspended_and_failed() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain").field("ttl", "1s"))
            .await;
        assert_eq!(
            told::<ZadigEnvironment>(world, "dev", "Expired").await,
            ["Suspended", "Failed"]
        );
    });
}

#[test]
fn what_is_only_observed_is_as_its_services_are() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["web"]).await;
        let env = world
            .environment("dev")
            .replicas("web", 3)
            .field("creation", "Adopt")
            .field("management", "Observe");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let object = with_reason::<ZadigEnvironment>(world, "dev", "ObserveOnly").await;
        assert_eq!(seen(&object), ["Healthy", "Current"]);
    });
}

#[test]
fn what_is_protected_against_its_deletion_is_degraded() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world
            .apply_inhabited(env.field("deletionProtection", true))
            .await;
        world.await_inhabited().await;
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.delete::<ZadigEnvironment>("dev").await;
        let hangs = ["Degraded", "Terminating"];
        assert_eq!(
            all_seen(world, "DeletionProtected").await,
            [hangs, hangs, hangs]
        );
        world.delete::<ZadigConnection>("default").await;
        let connection = raw::<ZadigConnection>(world, "default").await;
        assert_eq!(seen(&connection), ["Progressing", "Terminating"]);
    });
}

/// The sentence that a person reads in Argo CD is the operator's.
#[test]
fn the_reason_and_its_sentence_are_shown() {
    scenario(async |world| {
        let env = world.environment("dev").field("projectKey", "none");
        world.apply(&env).await;
        let object = with_reason::<ZadigEnvironment>(world, "dev", "ProjectNotFound").await;
        let health = ask("health", entry("health", &object), &object);
        let conditions = object["status"]["conditions"].as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Ready");
        let sentence = ready.and_then(|ready| ready["message"].as_str());
        let expected = format!("ProjectNotFound: {}", sentence.expect("it says why"));
        assert_eq!(health["message"], expected);
    });
}

/// As it comes from a manifest, before the operator has looked: a tool that waits has to wait.
#[test]
fn what_nobody_has_looked_at_yet_progresses() {
    scenario(async |world| {
        let mut connection = world.connection();
        // Nobody looks at what the API server only tried.
        connection.metadata.name = Some("tried".to_owned());
        for tried in [
            super::tried(world, &connection).await,
            super::tried(world, &world.environment("dev")).await,
            super::tried(
                world,
                &world.config("dev", "ConfigMap", "app", config_map()),
            )
            .await,
            super::tried(
                world,
                &world.binding("dev", &json!({"name": "web"}), json!({})),
            )
            .await,
        ] {
            assert_eq!(seen(&tried), ["Progressing", "InProgress"], "{tried:#}");
        }
    });
}
