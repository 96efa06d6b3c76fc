//! What is refused is tried again ever more rarely, and what could not be done at one time is not forgotten until the next look.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{FaultAction, FaultRule, Sim};

use crate::support::{
    EnvironmentFixture, Policy, Setup, World, is_ready, simulated, simulated_with,
};

/// Tries after 0, 1, 3, 7 and 15 seconds at the earliest, less a fifth.
const WHILE: Duration = Duration::from_secs(11);
const TRIES: usize = 4;

fn refuse(sim: &Sim, operation: &str) {
    let refused = FaultAction::Refuse {
        status: 500,
        body: r#"{"code": 500, "description": "no", "message": "Internal Error: "}"#.to_owned(),
    };
    sim.fault(FaultRule::always(refused).on(operation));
}

fn tries(sim: &Sim, operation: &str) -> usize {
    let calls = sim.calls();
    let tries = calls.iter().filter(|call| call.operation == operation);
    tries.count()
}

#[test]
fn a_refused_creation_is_not_hurried_by_the_claim_that_is_taken_back() {
    simulated(async |world, sim| {
        refuse(sim, "environment.create");
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigError)
            .await;
        tokio::time::sleep(WHILE).await;
        let tries = tries(sim, "environment.create");
        assert!((2..=TRIES).contains(&tries), "{tries} in {WHILE:?}");
    });
}

/// Applies a Secret of the environment `dev`; one is made without a licence.
async fn apply_secret(world: &World) {
    world.apply(&world.secret("source", "a", "b")).await;
    let source = json!({"secretRef": {"name": "source"}});
    world
        .apply(&world.config("dev", "Secret", "app", source))
        .await;
}

#[test]
fn a_refused_object_is_told_once() {
    simulated(async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        refuse(sim, "config.update");
        apply_secret(world).await;
        world
            .await_reason::<ZadigEnvConfig>("app", Reason::ZadigError)
            .await;
        tokio::time::sleep(WHILE).await;
        let tries = tries(sim, "config.update");
        assert!((2..=TRIES).contains(&tries), "{tries} in {WHILE:?}");
        let events = world.events("app").await;
        let reasons: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
        let failing = reasons.iter().filter(|reason| **reason == "ZadigError");
        assert_eq!(failing.count(), 1, "{reasons:?}");
        assert!(!reasons.contains(&"Applying"), "{reasons:?}");
    });
}

#[test]
fn what_was_inside_an_environment_comes_back_with_it() {
    let rarely = Setup::default().intervals("1s", "1h", "30s");
    simulated_with(rarely, async |world, _| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        apply_secret(world).await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        let key = world.env_key("dev");
        world.zadig.delete(&key).await;
        let is_there = async || {
            world.zadig.environment(&key).await.is_some()
                && world.zadig.config(&key, "Secret", "app").await.is_some()
        };
        let gone = async || world.zadig.environment(&key).await.is_none();
        // It may be back before anybody looks.
        let _ = tokio::time::timeout(Duration::from_secs(5), world.eventually("gone", gone)).await;
        world.eventually("both are back", is_there).await;
    });
}

#[test]
fn a_status_that_could_not_be_written_is_written_later() {
    let rarely = Setup::default().intervals("1s", "1h", "30s");
    simulated_with(rarely, async |world, _| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let is_refused = async || {
            let params = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let some = Patch::Merge(json!({"status": {"observedGeneration": 0}}));
            let api = world.api::<ZadigEnvironment>();
            api.patch_status("dev", &params, &some).await.is_err()
        };
        let no = ("false", "not now");
        let refusing = Policy::install(world, "zadigenvironments/status", no, is_refused).await;
        let key = world.env_key("dev");
        world.apply(&env.service("web")).await;
        world
            .eventually("the service is added", async || {
                world.zadig.services(&key).await.contains(&"web".to_owned())
            })
            .await;
        // Until nothing is under way and there is no reason to look again for an hour.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let told = world.get::<ZadigEnvironment>("dev").await;
        assert!(!is_ready(&told), "nothing was told of the second service");
        refusing.remove().await;
        world.await_ready("dev").await;
    });
}
