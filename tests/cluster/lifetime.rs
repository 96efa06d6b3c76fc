//! How long an environment lives: what protects it against deletion, and what ends it.

use jiff::Timestamp;
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_operator::api::{DELETION_ANNOTATION, OWNERSHIP_ANNOTATION};
use zadig_sim::{FaultAction, FaultRule};

use crate::support::{
    EnvironmentFixture, Observed, World, has_reason, is_ready, is_stalled, message, scenario,
    simulated,
};

#[test]
fn a_protected_environment_outlives_the_deletion_of_its_object_until_it_is_unprotected() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("deletionProtection", true);
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("dev").await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletionProtected)
            .await;
        let key = world.env_key("dev");
        let project = &world.zadig.project;
        assert_eq!(
            told,
            format!(
                "spec.deletionProtection: environment {key} of project {project} is protected, so nothing is deleted in Zadig; \
                 to delete it, set deletionProtection: false; to release this object and leave the environment there, \
                 set the annotation zadig-operator.io/deletion=Orphan"
            )
        );
        assert!(is_stalled(&world.get::<ZadigEnvironment>("dev").await));
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world
            .patch::<ZadigEnvironment>("dev", json!({"spec": {"deletionProtection": false}}))
            .await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn what_is_inside_a_protected_environment_stays_when_everything_is_deleted_at_once() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("deletionProtection", true);
        world.apply_inhabited(env).await;
        world.await_inhabited().await;
        let mark = world.mark();
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world
            .await_reason::<ZadigEnvConfig>("app", Reason::DeletionProtected)
            .await;
        world
            .await_reason::<ZadigServiceBinding>("web", Reason::DeletionProtected)
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletionProtected)
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        // Each goes its own way: by its own word, released, and unprotected.
        let delete = json!({"spec": {"deletion": "Delete"}});
        world.patch::<ZadigServiceBinding>("web", delete).await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        let orphan = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
        world.patch::<ZadigEnvConfig>("app", orphan.clone()).await;
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.patch::<ZadigEnvironment>("dev", orphan).await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        assert!(world.zadig.config(&key, "ConfigMap", "app").await.is_some());
        world.zadig.delete(&key).await;
    });
}

fn ttl(ttl: &str) -> Value {
    json!({"spec": {"ttl": ttl}})
}

/// Makes an object's time end so many seconds from now.
async fn ends_in(world: &World, name: &str, seconds: i64) -> Timestamp {
    let env = world.get::<ZadigEnvironment>(name).await;
    let created = env.metadata.creation_timestamp.expect("it was created").0;
    let age = Timestamp::now().as_second() - created.as_second();
    let ttl = self::ttl(&format!("{}s", age + seconds));
    world.patch::<ZadigEnvironment>(name, ttl).await;
    Timestamp::from_second(created.as_second() + age + seconds).expect("a time")
}

#[test]
fn with_approve_an_environment_whose_time_is_over_is_deleted_once_that_is_approved() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain").field("ttl", "1h");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let approve = json!({"spec": {"management": "Approve"}});
        world.patch::<ZadigEnvironment>("dev", approve).await;
        let mark = world.mark();
        ends_in(world, "dev", 3).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::AwaitingApproval)
            .await;
        assert!(told.contains("as its ttl is over"), "{told}");
        let env = world.get::<ZadigEnvironment>("dev").await;
        assert!(!is_stalled(&env) && !is_ready(&env));
        let key = world.env_key("dev");
        assert!(world.zadig.environment(&key).await.is_some());
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        let plan = env
            .status
            .and_then(|status| status.plan)
            .expect("it is shown");
        let approve = json!({"spec": {"approvedPlan": plan.hash}});
        world.patch::<ZadigEnvironment>("dev", approve).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::Expired)
            .await;
        assert_eq!(world.zadig.environment(&key).await, None);
        let status = world.get::<ZadigEnvironment>("dev").await.status;
        assert_eq!(status.expect("it has one").plan, None);
    });
}

#[test]
fn an_environment_whose_time_is_over_is_deleted_and_only_a_longer_ttl_brings_it_back() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain").field("ttl", "1h");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let ends = ends_in(world, "dev", 5).await;
        world
            .await_that::<ZadigEnvironment>("dev", "to end", |env| {
                let status = env.status.as_ref();
                status
                    .and_then(|status| status.expires_at.as_ref())
                    .map(|at| at.0)
                    == Some(ends)
            })
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::Expired)
            .await;
        assert!(Timestamp::now() >= ends, "before its time");
        let (key, project) = (world.env_key("dev"), &world.zadig.project);
        assert_eq!(
            told,
            format!(
                "spec.ttl: its time was over at {ends}, and environment {key} of project {project} is not kept any longer; \
                 to have it back, made anew, make ttl longer or remove it; else delete this object"
            )
        );
        assert_eq!(world.zadig.environment(&key).await, None);
        let env = world.get::<ZadigEnvironment>("dev").await;
        assert!(is_stalled(&env) && !is_ready(&env));
        let meta = &env.metadata;
        assert_eq!(meta.finalizers, None, "nothing is left to clean up");
        let annotations = meta.annotations.iter().flatten();
        let mut names = annotations.map(|(name, _)| name.as_str());
        assert!(!names.any(|name| name == OWNERSHIP_ANNOTATION));
        let status = env.status.expect("it has one");
        assert!(status.expired && status.services.is_empty() && status.inventory.is_none());
        let events = world.events("dev").await;
        assert!(
            events
                .iter()
                .any(|(reason, note)| reason == "ExpiresSoon" && note.contains(&ends.to_string())),
            "{events:?}"
        );
        if let Some(sim) = world.sim() {
            assert_eq!(
                world.changes_since(mark),
                ["service.delete", "environment.delete"]
            );
            // It is left at that, without a call or a write.
            let mark = world.mark();
            world.reconcile_now::<ZadigEnvironment>("dev").await;
            world.await_lists(sim, 3).await;
            assert_eq!(world.changes_since(mark), Vec::<String>::new());
        }
        // Somebody else's environment under the key is not ours to delete.
        world.zadig.create(&key, &["web"]).await;
        let mark = world.mark();
        world.patch::<ZadigEnvironment>("dev", ttl("1s")).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        if let Some(sim) = world.sim() {
            world.await_lists(sim, 3).await;
        }
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world.zadig.delete(&key).await;
        world
            .eventually("theirs is gone", async || {
                world.zadig.environment(&key).await.is_none()
            })
            .await;
        world.patch::<ZadigEnvironment>("dev", ttl("1h")).await;
        let back = world.await_ready("dev").await;
        assert!(!back.status.expect("it has one").expired);
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn what_is_inside_an_environment_waits_when_its_time_is_over_and_comes_back_with_it() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain").field("ttl", "1h");
        world.apply_inhabited(env).await;
        world.await_inhabited().await;
        world.patch::<ZadigEnvironment>("dev", ttl("1s")).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::Expired)
            .await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None);
        let why = "spec.environmentRef: the ttl of the ZadigEnvironment is over; make it longer there, or delete this object";
        let told = world
            .await_that::<ZadigEnvConfig>("app", "told", |it| message_is(it, why))
            .await;
        assert!(!is_stalled(&told));
        world
            .await_that::<ZadigServiceBinding>("web", "told", |it| message_is(it, why))
            .await;
        world
            .patch::<ZadigEnvironment>("dev", json!({"spec": {"ttl": null}}))
            .await;
        world.await_inhabited().await;
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        world.patch::<ZadigEnvironment>("dev", ttl("1s")).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::Expired)
            .await;
        // Nothing is left that any of them could wait for.
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
    });
}

fn message_is(object: &impl Observed, text: &str) -> bool {
    has_reason(object, Reason::EnvironmentNotReady)
        && message(object, Reason::EnvironmentNotReady) == text
}

#[test]
fn an_environment_that_was_taken_over_or_is_orphaned_outlives_its_ttl() {
    scenario(async |world| {
        let (adopted, orphaned) = (world.env_key("adopted"), world.env_key("orphaned"));
        world.zadig.create(&adopted, &["plain"]).await;
        let env = |name: &str| world.environment(name).service("plain").field("ttl", "1h");
        let adopting = env("adopted").field("creation", "CreateOrAdopt");
        world.apply(&adopting).await;
        world.apply(&env("orphaned")).await;
        world.await_ready("adopted").await;
        world.await_ready("orphaned").await;
        let orphan = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
        world.patch::<ZadigEnvironment>("orphaned", orphan).await;
        let mark = world.mark();
        for name in ["adopted", "orphaned"] {
            world.patch::<ZadigEnvironment>(name, ttl("1s")).await;
            world.await_ready(name).await;
        }
        if let Some(sim) = world.sim() {
            world.await_lists(sim, 3).await;
        }
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        for (name, key) in [("adopted", &adopted), ("orphaned", &orphaned)] {
            world.delete::<ZadigEnvironment>(name).await;
            world.await_gone::<ZadigEnvironment>(name).await;
            assert!(world.zadig.environment(key).await.is_some(), "{name}");
            world.zadig.delete(key).await;
        }
    });
}

fn budget(most: u32) -> Value {
    json!({"spec": {"maxDeletionsPerHour": most}})
}

#[test]
fn deletions_beyond_the_hours_budget_wait_until_it_is_raised() {
    simulated(async |world, sim| {
        let names = ["one", "two", "three"];
        for name in names {
            world.apply(&world.environment(name).service("plain")).await;
        }
        let old = world.environment("old").service("plain").field("ttl", "1h");
        world.apply(&old).await;
        let pruned = world
            .environment("pruned")
            .service("plain")
            .service("web")
            .service("db");
        world.apply(&pruned).await;
        for name in names.iter().chain(&["old", "pruned"]) {
            world.await_ready(name).await;
        }
        world.patch::<ZadigConnection>("default", budget(2)).await;
        // The first call is lost, or its answer, who knows: sent again, it counts once.
        let lost = FaultRule::always(FaultAction::DropRequest).on("environment.delete");
        sim.fault(lost.nth(1));
        world.delete::<ZadigEnvironment>("one").await;
        world.await_gone::<ZadigEnvironment>("one").await;
        // One of two services fits.
        let less = world.environment("pruned").service("plain");
        world.apply(&less).await;
        let told = world
            .await_reason::<ZadigEnvironment>("pruned", Reason::DeletionBudget)
            .await;
        assert!(
            told.starts_with("spec.maxDeletionsPerHour of the ZadigConnection: its 2 deletions of this hour were sent; removing services web waits until ")
                && told.ends_with(". Raise it there to go on at once"),
            "{told}"
        );
        let key = world.env_key("pruned");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        world.delete::<ZadigEnvironment>("two").await;
        world
            .await_reason::<ZadigEnvironment>("two", Reason::DeletionBudget)
            .await;
        let count = async || {
            let connection = world.get::<ZadigConnection>("default").await;
            let deletions = connection.status.and_then(|status| status.deletions);
            deletions.map(|deletions| deletions.count)
        };
        assert_eq!(count().await, Some(2));
        // What its ttl ends is not held up and not counted, nor what calls nothing.
        world.patch::<ZadigEnvironment>("old", ttl("1s")).await;
        world
            .await_reason::<ZadigEnvironment>("old", Reason::Expired)
            .await;
        world
            .patch::<ZadigEnvironment>("three", json!({"spec": {"deletion": "Orphan"}}))
            .await;
        world.delete::<ZadigEnvironment>("three").await;
        world.await_gone::<ZadigEnvironment>("three").await;
        assert_eq!(count().await, Some(2));
        world
            .await_that::<ZadigConnection>("default", "settled", |connection| {
                let status = connection.status.as_ref();
                status.and_then(|status| status.environments) == Some(3)
            })
            .await;
        // Whoever waits writes nothing.
        let mark = world.mark();
        world.await_lists(sim, 5).await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(world.operator_writes_since(mark), []);
        world.patch::<ZadigConnection>("default", budget(4)).await;
        world.await_gone::<ZadigEnvironment>("two").await;
        world.await_ready("pruned").await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        assert_eq!(count().await, Some(4));
    });
}

#[test]
fn a_service_of_a_deleted_binding_counts_too_and_none_goes_without_a_budget() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        let binding = world.binding("dev", &json!({"name": "web"}), json!({}));
        world.apply(&binding).await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        world.patch::<ZadigConnection>("default", budget(0)).await;
        world.delete::<ZadigServiceBinding>("web").await;
        assert_eq!(
            world
                .await_reason::<ZadigServiceBinding>("web", Reason::DeletionBudget)
                .await,
            "spec.maxDeletionsPerHour of the ZadigConnection: it is 0; deleting it waits. Raise it there to go on at once"
        );
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        world.patch::<ZadigConnection>("default", budget(1)).await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        world.delete::<ZadigEnvironment>("dev").await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletionBudget)
            .await;
    });
}
