//! The cluster loses what Zadig believes in (Z§6.5): it is named, or brought back with all that was there.

use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{KubeAction, Sim};

use crate::support::{EnvironmentFixture, World, is_ready, simulated};

const HAND: &str = "registry.example.com/reg-main/plain:hand";

/// Somebody deletes the Deployment of a service.
fn lose(world: &World, sim: &Sim, service: &str) {
    let namespace = format!("{}-env-{}", world.zadig.project, world.env_key("dev"));
    let lost = KubeAction::Delete {
        kind: "Deployment".to_owned(),
        namespace: Some(namespace),
        name: service.to_owned(),
        wait: false,
        cluster: None,
    };
    sim.kube(lost).expect("it is there");
}

#[test]
fn a_lost_deployment_is_brought_back_with_what_others_set() {
    simulated(async |world, sim| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("liveDrift", "Repair");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world.zadig.set_image(&key, "plain", "plain", HAND).await;
        world.zadig.scale(&key, "plain", 3).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        lose(world, sim, "plain");
        world
            .eventually("it is back as it was", async || {
                world
                    .zadig
                    .running_image(&key, "plain", "plain")
                    .await
                    .as_deref()
                    == Some(HAND)
                    && world.zadig.replicas(&key, "plain").await == Some(3)
            })
            .await;
        let ready = world
            .await_that::<ZadigEnvironment>("dev", "Ready, and nothing is kept in mind", |env| {
                let status = env.status.as_ref();
                let applied = status.map(|status| status.applied.as_slice());
                is_ready(env) && applied.is_some_and(|it| it.iter().all(|it| it.restore.is_none()))
            })
            .await;
        let inventory = ready.status.and_then(|status| status.inventory);
        assert_eq!(inventory.expect("it is ours").services, ["plain"]);
        assert_eq!(
            world.changes_since(mark),
            [
                "service.delete",
                "service.add",
                "image.deployment",
                "workload.scale"
            ]
        );
        // What others set stays theirs.
        world.zadig.scale(&key, "plain", 2).await;
        world.await_lists(sim, 8).await;
        assert_eq!(world.zadig.replicas(&key, "plain").await, Some(2));
    });
}

#[test]
fn what_cannot_be_put_back_is_named_and_left() {
    simulated(async |world, sim| {
        let env = world
            .environment("dev")
            .variable("web", "logLevel", "debug")
            .field("liveDrift", "Repair");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        lose(world, sim, "web");
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::LiveDrift)
            .await;
        assert!(
            told.contains("Deployment/web missing in the cluster")
                && told.contains("Repair does not bring it back, as Zadig does not show the values of variables, so all have to be declared; these are not: "),
            "{told}"
        );
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        // Once all are declared, it is.
        let env = ["replicas", "debug", "port", "cpuLimit"]
            .into_iter()
            .zip(["1", "false", "8080", "100m"])
            .fold(env, |env, (key, value)| env.variable("web", key, value));
        world.apply(&env).await;
        world.await_ready("dev").await;
    });
}
