//! One call in a whole life goes wrong, each call in turn: it converges, and nothing is made or deleted twice.
//!
//! The life is a create, a change of everything that can be changed, and a deletion. Every life has a world of its own, as a
//! crash of Zadig takes all its environments along.

use std::sync::Mutex;
use std::thread;

use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{Call, FaultAction, FaultRule};

use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_stalled, simulated, simulated_with,
};

const NEW_IMAGE: &str = "registry.example.com/reg-main/web:v2";
const OTHER_REGISTRY: &str = "6b04620901383fca57a37f94";

fn young(world: &World) -> ZadigEnvironment {
    world
        .environment("dev")
        .service("plain")
        .variable("web", "logLevel", "info")
        .image("web", "web", "registry.example.com/reg-main/web:v1")
        .replicas("web", 2)
}

fn old(world: &World) -> ZadigEnvironment {
    world
        .environment("dev")
        .service("job")
        .variable("web", "logLevel", "debug")
        .image("web", "web", NEW_IMAGE)
        .replicas("web", 1)
        .field("registry", serde_json::json!({"id": OTHER_REGISTRY}))
}

/// What an environment's life came to.
#[derive(Clone, Copy, PartialEq)]
enum Alive {
    AsDeclared,
    /// Zadig will never finish what it was at.
    Stuck,
}

/// Waits for the end of what was begun.
async fn settled(world: &World) -> Alive {
    let env = world
        .await_that::<ZadigEnvironment>("dev", "Ready or stuck", |env| {
            crate::support::is_ready(env)
                || (has_reason(env, Reason::ZadigStuck) && is_stalled(env))
        })
        .await;
    if has_reason(&env, Reason::ZadigStuck) {
        Alive::Stuck
    } else {
        Alive::AsDeclared
    }
}

/// A whole life; the calls of it that were to change something, in order.
async fn live(world: &World) -> (Alive, Vec<Call>) {
    let mark = world.mark();
    let key = world.env_key("dev");
    world.apply(&young(world)).await;
    let mut alive = settled(world).await;
    if alive == Alive::AsDeclared {
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        world.apply(&old(world)).await;
        alive = settled(world).await;
    }
    if alive == Alive::AsDeclared {
        let detail = world.zadig.detail(&key).await;
        let found = (
            world.zadig.services(&key).await,
            world.zadig.running_image(&key, "web", "web").await,
            world.zadig.replicas(&key, "web").await,
            world.zadig.rendered(&key, "web").await.contains("debug"),
            detail["registry_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
        let expected = (
            vec!["job".to_owned(), "web".to_owned()],
            Some(NEW_IMAGE.to_owned()),
            Some(1),
            true,
            OTHER_REGISTRY.to_owned(),
        );
        assert_eq!(found, expected);
    }
    world.delete::<ZadigEnvironment>("dev").await;
    world.await_gone::<ZadigEnvironment>("dev").await;
    assert_eq!(world.zadig.environment(&key).await, None);
    let calls = world.calls_since(mark).into_iter();
    (alive, calls.filter(|call| call.mutating).collect())
}

/// What was made or deleted, in order.
fn made(calls: &[Call]) -> Vec<&str> {
    calls
        .iter()
        .filter(|call| call.changed)
        .map(|call| call.operation.as_str())
        .filter(|operation| {
            matches!(
                *operation,
                "environment.create" | "environment.delete" | "service.add" | "service.delete"
            )
        })
        .collect()
}

fn setup() -> Setup {
    Setup::default().intervals("1s", "5s", "3s")
}

/// The operations of a life in which nothing goes wrong.
fn undisturbed() -> Vec<String> {
    let operations = Mutex::new(Vec::new());
    simulated_with(setup(), async |world, _| {
        let (alive, calls) = live(world).await;
        assert!(alive == Alive::AsDeclared);
        assert_eq!(made(&calls), MADE);
        let names = calls.into_iter().map(|call| call.operation);
        *operations.lock().expect("no one else") = names.collect();
    });
    operations.into_inner().expect("no one else")
}

/// What a whole life makes and deletes.
const MADE: [&str; 5] = [
    "environment.create",
    "service.delete",
    "service.add",
    "service.delete",
    "environment.delete",
];

/// Lives in which the n-th change goes wrong in this way, for each n; `check` is given the operation it fell on.
fn each_life(action: &FaultAction, check: impl Fn(&str, Alive, &[Call]) + Sync) {
    if crate::support::zadig::Zadig::is_real() {
        println!("skipped: needs the simulator");
        return;
    }
    let operations = undisturbed();
    let check = &check;
    thread::scope(|scope| {
        for (index, operation) in operations.iter().enumerate() {
            let nth = u64::try_from(index).unwrap_or_default() + 1;
            scope.spawn(move || {
                simulated_with(setup(), async |world, sim| {
                    let mut rule = FaultRule::always(action.clone()).nth(nth);
                    rule.mutating = Some(true);
                    sim.fault(rule);
                    let (alive, calls) = live(world).await;
                    check(operation, alive, &calls);
                });
            });
        }
    });
}

#[test]
fn a_lost_answer_is_found_out_by_looking() {
    each_life(&FaultAction::DropAnswer, |operation, alive, calls| {
        assert!(alive == Alive::AsDeclared, "{operation}");
        assert_eq!(made(calls), MADE, "{operation}");
    });
}

#[test]
fn a_lost_request_is_sent_again() {
    each_life(&FaultAction::DropRequest, |operation, alive, calls| {
        assert!(alive == Alive::AsDeclared, "{operation}");
        assert_eq!(made(calls), MADE, "{operation}");
    });
}

#[test]
fn a_refusal_that_passes_holds_up_and_loses_nothing() {
    let body = r#"{"code": 500, "description": "try again", "message": "Internal Error: "}"#;
    let action = FaultAction::Refuse {
        status: 500,
        body: body.to_owned(),
    };
    each_life(&action, |operation, alive, calls| {
        assert!(alive == Alive::AsDeclared, "{operation}");
        assert_eq!(made(calls), MADE, "{operation}");
    });
}

#[test]
fn a_crash_of_zadig_is_told_where_it_leaves_work_undone_and_deleting_helps() {
    each_life(&FaultAction::Crash, |operation, alive, calls| {
        let in_background = matches!(
            operation,
            "environment.create" | "service.update" | "service.add"
        );
        let expected = if in_background {
            Alive::Stuck
        } else {
            Alive::AsDeclared
        };
        assert!(alive == expected, "{operation}");
        let made = made(calls);
        let count = |name: &str| made.iter().filter(|operation| **operation == name).count();
        assert_eq!(count("environment.create"), 1, "{operation}");
        // A deletion that was cut off does not end by itself.
        let deletions = if operation == "environment.delete" {
            2
        } else {
            1
        };
        assert_eq!(count("environment.delete"), deletions, "{operation}");
    });
}

#[test]
fn a_zadig_that_comes_back_empty_gets_the_environment_back_once() {
    simulated(async |world, sim| {
        world.apply(&young(world)).await;
        assert!(settled(world).await == Alive::AsDeclared);
        let mark = world.mark();
        sim.fault(FaultRule::always(FaultAction::RestartEmpty).nth(1));
        world
            .await_that::<ZadigEnvironment>("dev", "made again", |env| {
                let inventory = env
                    .status
                    .as_ref()
                    .and_then(|status| status.inventory.as_ref());
                let again = inventory.is_some_and(|inventory| inventory.recreated_at.is_some());
                again && crate::support::is_ready(env)
            })
            .await;
        assert_eq!(world.count_since(mark, "environment.create"), 1);
    });
}
