//! When nothing is to be done now: suspended, asleep, busy, stuck; and how a person asks for a look.

use serde_json::json;
use zadig_operator::api::condition::{ConditionStatus, ConditionType, Reason};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{FaultAction, FaultRule, Pace};

use crate::support::{
    EnvironmentFixture, Setup, has_reason, is_ready, is_stalled, message, scenario, simulated,
    simulated_with,
};

#[test]
fn a_suspended_object_is_left_as_it_is_until_it_is_resumed() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        let before = world.await_ready("dev").await;
        let key = world.env_key("dev");
        let mark = world.mark();
        let changed = env.clone().service("web");
        world.apply(&changed.clone().field("suspend", true)).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        // Another object's way to Ready is time enough for a wrong reaction.
        world.apply(&world.environment("qa").service("plain")).await;
        world.await_ready("qa").await;
        let suspended = world.get::<ZadigEnvironment>("dev").await;
        assert_eq!(
            suspended.status, before.status,
            "as before, also the generation"
        );
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        if world.sim().is_some() {
            assert_eq!(world.changes_since(mark), ["environment.create"]);
        }
        world.apply(&changed).await;
        world.await_ready("dev").await;
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
    });
}

#[test]
fn a_suspended_connection_tells_what_waits_and_lets_it_through_when_resumed() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
        world
            .patch::<ZadigConnection>("default", suspend(true))
            .await;
        world.apply(&env.service("web")).await;
        world.apply(&world.environment("qa").service("plain")).await;
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionSuspended)
                .await,
            "the connection is suspended; waiting: add services web"
        );
        let told = world
            .await_reason::<ZadigEnvironment>("qa", Reason::ConnectionSuspended)
            .await;
        assert!(
            told.starts_with("the connection is suspended; waiting: ")
                && told.ends_with("with 1 services"),
            "{told}"
        );
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(world.zadig.environment(&world.env_key("qa")).await, None);
        world
            .patch::<ZadigConnection>("default", suspend(false))
            .await;
        world.await_ready("dev").await;
        world.await_ready("qa").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
    });
}

#[test]
fn a_request_for_a_look_is_handled_and_echoed() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let asked = |value: &str| json!({"metadata": {"annotations": {"zadig-operator.io/reconcile-requested-at": value}}});
        for value in ["2026-11-24T10:00:00Z", "and again"] {
            world.patch::<ZadigEnvironment>("dev", asked(value)).await;
            world
                .await_that::<ZadigEnvironment>("dev", "echoed", |env| {
                    let status = env.status.clone().unwrap_or_default();
                    is_ready(env) && status.last_handled_reconcile_at.as_deref() == Some(value)
                })
                .await;
            world
                .patch::<ZadigConnection>("default", asked(value))
                .await;
            world
                .await_that::<ZadigConnection>("default", "echoed", |connection| {
                    let status = connection.status.clone().unwrap_or_default();
                    status.last_handled_reconcile_at.as_deref() == Some(value)
                })
                .await;
        }
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_change_waits_while_somebody_else_updates_the_environment() {
    let setup = Setup::default().simulator(|options| {
        options.pace = Pace {
            update_background: std::time::Duration::from_secs(3),
            ..Pace::fast()
        };
    });
    simulated_with(setup, async |world, _| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let mark = world.mark();
        world.zadig.add_service(&key, "job").await;
        world.apply(&env.service("web")).await;
        let waiting = world
            .await_that::<ZadigEnvironment>("dev", "Updating", |env| {
                has_reason(env, Reason::Updating)
            })
            .await;
        assert_eq!(
            message(&waiting, Reason::Updating),
            "Zadig reports updating"
        );
        assert_eq!(
            world.changes_since(mark),
            ["service.add"],
            "that of somebody else"
        );
        world.await_ready("dev").await;
        assert_eq!(world.changes_since(mark), ["service.add", "service.add"]);
        assert_eq!(world.zadig.services(&key).await, ["job", "plain", "web"]);
    });
}

#[test]
fn a_sleeping_environment_is_neither_woken_nor_changed() {
    simulated(async |world, sim| {
        let image = "registry.example.com/reg-main/web:v5";
        let env = world.environment("dev").replicas("web", 2);
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let mark = world.mark();
        assert!(sim.sleep_environment(&world.zadig.project, &key));
        let asleep = world
            .await_that::<ZadigEnvironment>("dev", "Sleeping", |env| {
                has_reason(env, Reason::Sleeping)
            })
            .await;
        assert_eq!(
            message(&asleep, Reason::Sleeping),
            "the environment sleeps; nothing is changed until somebody wakes it in Zadig"
        );
        let conditions = asleep.status.unwrap_or_default().conditions;
        let told: Vec<_> = conditions
            .iter()
            .map(|condition| (condition.type_, condition.status))
            .collect();
        let expected = [
            (ConditionType::Ready, ConditionStatus::False),
            (ConditionType::Synced, ConditionStatus::Unknown),
        ];
        assert_eq!(told, expected, "neither at work nor failed");
        world.apply(&env.image("web", "web", image)).await;
        world
            .await_that::<ZadigEnvironment>("dev", "Sleeping", |env| {
                has_reason(env, Reason::Sleeping)
            })
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());

        assert!(sim.wake_environment(&world.zadig.project, &key));
        world.await_ready("dev").await;
        assert_eq!(
            world
                .zadig
                .running_image(&key, "web", "web")
                .await
                .as_deref(),
            Some(image)
        );
        assert_eq!(world.zadig.replicas(&key, "web").await, Some(2));
        assert_eq!(world.changes_since(mark), ["image.deployment"]);
    });
}

#[test]
fn a_sleeping_environment_can_be_deleted() {
    simulated(async |world, sim| {
        world.apply(&world.environment("dev").service("web")).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        assert!(sim.sleep_environment(&world.zadig.project, &key));
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn a_stuck_environment_that_somebody_deletes_is_made_anew() {
    let setup = Setup::default().intervals("1s", "5s", "2s");
    simulated_with(setup, async |world, sim| {
        let env = world.environment("dev").variable("web", "logLevel", "info");
        world.apply(&env).await;
        world.await_ready("dev").await;
        sim.fault(
            FaultRule::always(FaultAction::Stick)
                .on("service.update")
                .times(1),
        );
        world.apply(&env.variable("web", "logLevel", "debug")).await;
        world
            .await_that::<ZadigEnvironment>("dev", "ZadigStuck", |env| {
                has_reason(env, Reason::ZadigStuck) && is_stalled(env)
            })
            .await;
        let key = world.env_key("dev");
        world.zadig.delete(&key).await;
        world.await_ready("dev").await;
        assert!(world.zadig.rendered(&key, "web").await.contains("debug"));
    });
}
