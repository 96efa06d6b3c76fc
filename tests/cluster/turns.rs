//! Two objects that write to one environment at the same time: the second call waits until Zadig is done with the first.

use serde_json::json;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{FaultAction, FaultRule};

use crate::support::{EnvironmentFixture, Setup, World, is_ready, simulated_with};

/// Zadig is busy for a while after an update of services: long enough for a call that does not ask.
fn slow() -> Setup {
    Setup::default().simulator(|options| {
        options.pace.update_background = std::time::Duration::from_secs(2);
    })
}

/// The next update of services is under way for this long, with the environment idle meanwhile.
fn hold_up_the_update(sim: &zadig_sim::Sim) {
    let delay = FaultAction::Delay { milliseconds: 3000 };
    sim.fault(FaultRule::always(delay).on("service.update").times(1));
}

async fn two_owners(world: &World, key: &str) {
    world
        .apply(&inline(world, "registry.example.com/reg-main/plain:v1"))
        .await;
    world.await_ready("dev").await;
    world.apply(&binding(world, "info")).await;
    world
        .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
        .await;
    assert_eq!(world.zadig.services(key).await, ["plain", "web"]);
}

fn inline(world: &World, image: &str) -> ZadigEnvironment {
    world
        .environment("dev")
        .service("plain")
        .image("plain", "plain", image)
}

fn binding(world: &World, level: &str) -> ZadigServiceBinding {
    let variables = json!([{"key": "logLevel", "value": level}]);
    world.binding(
        "dev",
        &json!({"name": "web", "variables": variables}),
        json!({}),
    )
}

// What is sent to a busy environment fails any scenario (`judge::reckless`); these two make it likely.

#[test]
fn an_image_waits_while_zadig_works_on_the_variables_of_a_binding() {
    simulated_with(slow(), async |world, sim| {
        let key = world.env_key("dev");
        two_owners(world, &key).await;
        hold_up_the_update(sim);
        let mark = world.mark();
        world.apply(&binding(world, "debug")).await;
        let newer = "registry.example.com/reg-main/plain:v2";
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        world.apply(&inline(world, newer)).await;
        world
            .eventually("both changes are there", async || {
                let image = world.zadig.running_image(&key, "plain", "plain").await;
                image.as_deref() == Some(newer)
                    && world.zadig.rendered(&key, "web").await.contains("debug")
            })
            .await;
        assert_eq!(
            world.our_changes_since(mark),
            ["service.update", "image.deployment"]
        );
        world.await_ready("dev").await;
    });
}

/// A change that waits behind another one is not sent after the switch that stops it was thrown.
#[test]
fn what_waits_for_its_turn_is_not_sent_after_its_switch_was_thrown() {
    simulated_with(slow(), async |world, sim| {
        let declared = |name: &str, level: &str| {
            world
                .environment(name)
                .service("web")
                .variable("web", "logLevel", level)
        };
        for name in ["dev", "qa", "uat"] {
            world.apply(&declared(name, "info")).await;
            world.await_ready(name).await;
        }
        hold_up_the_update(sim);
        let mark = world.mark();
        world.apply(&declared("dev", "debug")).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        // These wait for the project, whose one call at a time is taken.
        world.apply(&declared("qa", "debug")).await;
        world.apply(&declared("uat", "debug")).await;
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
        world
            .apply(&declared("qa", "debug").field("suspend", json!(true)))
            .await;
        world
            .apply(&declared("uat", "debug").field("management", json!("Observe")))
            .await;
        world.await_ready("dev").await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        assert_eq!(world.our_changes_since(mark), ["service.update"]);
        // Nothing of it is forgotten.
        world.apply(&declared("qa", "debug")).await;
        world.await_ready("qa").await;
        let rendered = world.zadig.rendered(&world.env_key("qa"), "web").await;
        assert!(rendered.contains("debug"), "{rendered}");
    });
}

#[test]
fn the_end_of_a_binding_waits_while_zadig_works_on_the_variables_of_the_environment() {
    simulated_with(slow(), async |world, sim| {
        let key = world.env_key("dev");
        let declared = |level: &str| {
            world
                .environment("dev")
                .service("web")
                .variable("web", "logLevel", level)
        };
        world.apply(&declared("info")).await;
        world.await_ready("dev").await;
        let plain = world.binding("dev", &json!({"name": "plain"}), json!({}));
        world.apply(&plain).await;
        world
            .await_that::<ZadigServiceBinding>("plain", "Ready", is_ready)
            .await;
        hold_up_the_update(sim);
        let mark = world.mark();
        world.apply(&declared("debug")).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        world.delete::<ZadigServiceBinding>("plain").await;
        world.await_gone::<ZadigServiceBinding>("plain").await;
        assert_eq!(
            world.our_changes_since(mark),
            ["service.update", "service.delete"]
        );
        assert_eq!(world.zadig.services(&key).await, ["web"]);
        world.await_ready("dev").await;
    });
}
