//! A Zadig that is not there: at the start, later, and when something is to be deleted.

use std::time::Duration;

use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{FaultAction, FaultRule, Options, Sim};

use crate::support::zadig::seed_of_the_recordings;
use crate::support::{EnvironmentFixture, Setup, is_ready, is_stalled, simulated, simulated_with};

/// Nobody answers any more.
fn take_down(sim: &Sim) {
    sim.fault(FaultRule::always(FaultAction::DropRequest));
}

#[test]
fn a_zadig_that_is_down_at_the_start_is_told_and_all_begins_when_it_is_up() {
    let setup = Setup::default().without_connection();
    simulated_with(setup, async |world, sim| {
        take_down(sim);
        world.apply(&world.token_secret(&world.zadig.token)).await;
        world.apply(&world.connection()).await;
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        let on_connection = world
            .await_reason::<ZadigConnection>("default", Reason::ZadigUnreachable)
            .await;
        assert!(
            on_connection.starts_with(
                "failed to list the projects: projects (GET /openapi/projects/project"
            ),
            "{on_connection}"
        );
        let on_object = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigUnreachable)
            .await;
        assert!(
            on_object.starts_with("the connection cannot be used: failed to list the projects: "),
            "{on_object}"
        );
        sim.clear_faults();
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        world.await_ready("dev").await;
    });
}

#[test]
fn an_outage_is_told_on_the_connection_while_its_objects_keep_their_ready() {
    // Thorough looks are far apart, as in real life: the lists tell.
    let setup = Setup::default().intervals("1s", "15m", "30s");
    simulated_with(setup, async |world, sim| {
        for name in ["dev", "qa"] {
            world.apply(&world.environment(name).service("plain")).await;
            world.await_ready(name).await;
        }
        world.await_lists(sim, 2).await;
        let before = world.get::<ZadigEnvironment>("dev").await.status;
        let mark = world.mark();
        take_down(sim);
        world
            .await_reason::<ZadigConnection>("default", Reason::ZadigUnreachable)
            .await;
        // Of several looks more, not all of which are even sent, nothing is told anew.
        let told = world.mark();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(world.operator_writes_since(told), []);
        // A spec that changes meanwhile waits as well.
        world
            .apply(&world.environment("dev").service("plain").service("db"))
            .await;
        sim.clear_faults();
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["db", "plain"]);
        assert_eq!(world.changes_since(mark), ["service.add"]);
        assert!(before.is_some());
        let told: Vec<_> = world
            .operator_writes_since(mark)
            .into_iter()
            .filter(|write| write.name == "qa")
            .collect();
        assert_eq!(told, [], "the other object says nothing of it");
    });
}

#[test]
fn deleting_while_zadig_is_down_is_told_and_ends_when_it_is_up() {
    let setup = Setup::default().intervals("1s", "15m", "30s");
    simulated_with(setup, async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        take_down(sim);
        world.delete::<ZadigEnvironment>("dev").await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigUnreachable)
            .await;
        assert!(!told.is_empty());
        let kept = world.get::<ZadigEnvironment>("dev").await;
        assert!(kept.metadata.finalizers.is_some(), "it waits");
        assert!(
            is_stalled(&kept),
            "only a person can tell whether Zadig comes back"
        );
        sim.clear_faults();
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn a_change_in_zadig_is_noticed_although_a_list_fails_in_between() {
    let setup = Setup::default().intervals("1s", "15m", "30s");
    simulated_with(setup, async |world, sim| {
        let image = |tag: &str| format!("registry.example.com/reg-main/plain:{tag}");
        let env = world
            .environment("dev")
            .image("plain", "plain", &image("v1"));
        world.apply(&env).await;
        world.await_ready("dev").await;
        world.await_lists(sim, 3).await;
        let busy = FaultAction::Refuse {
            status: 500,
            body: String::new(),
        };
        let key = world.env_key("dev");
        let failing = FaultRule::always(busy).on("environment.list");
        sim.fault(failing);
        world
            .zadig
            .set_image(&key, "plain", "plain", &image("hand"))
            .await;
        world.await_lists(sim, 1).await;
        sim.clear_faults();
        world
            .eventually("the image is repaired", async || {
                let running = world.zadig.running_image(&key, "plain", "plain").await;
                running == Some(image("v1"))
            })
            .await;
    });
}

#[test]
fn a_zadig_that_does_not_answer_holds_up_no_other() {
    simulated(async |world, sim| {
        let slow = zadig_sim::start(&seed_of_the_recordings(), Options::default())
            .await
            .expect("there is a free port");
        let mut other = world.connection();
        other.metadata.name = Some("slow".to_owned());
        other.spec.url = slow.url.clone();
        world.apply(&other).await;
        world
            .await_that::<ZadigConnection>("slow", "Ready", is_ready)
            .await;
        let hour = FaultAction::Delay {
            milliseconds: 3_600_000,
        };
        slow.sim
            .fault(FaultRule::always(hour).on("environment.list"));
        let waiting = world
            .environment("waiting")
            .field("connectionRef", json!({"name": "slow"}));
        world.apply(&waiting).await;
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        // One each second, where a list that is not answered takes at least ten.
        world.await_lists(sim, 10).await;
    });
}
