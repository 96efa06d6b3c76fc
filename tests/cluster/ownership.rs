//! The edges of ownership: the first environment and the last, restored objects, lost records, another Zadig, several claims.

use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::{Inventory, ZadigEnvironment};
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_operator::api::{DELETION_ANNOTATION, OWNERSHIP_ANNOTATION};
use zadig_sim::{Licence, Options};

use crate::support::zadig::seed_of_the_recordings;
use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, is_stalled, scenario, simulated,
    simulated_with,
};

#[test]
fn the_first_environment_of_an_empty_project_is_created_and_the_last_is_released() {
    simulated(async |world, _| {
        assert_eq!(
            world.zadig.environments().await,
            Vec::<serde_json::Value>::new()
        );
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(
            world.zadig.environments().await,
            Vec::<serde_json::Value>::new()
        );
    });
}

#[test]
fn an_object_restored_from_a_backup_owns_its_environment() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .variable("web", "logLevel", "debug");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let backup = world.get::<ZadigEnvironment>("dev").await;
        let owned = inventory(&backup);
        lose(world, "dev").await;

        let mark = world.mark();
        let mut restored = env;
        restored.metadata.annotations = backup.metadata.annotations;
        world.apply(&restored).await;
        let ready = world.await_ready("dev").await;
        assert_eq!(inventory(&ready), owned);
        assert_eq!(world.changes_since(mark), Vec::<String>::new());

        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None, "it was its own");
    });
}

#[test]
fn an_object_restored_without_its_record_takes_nothing_over() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        lose(world, "dev").await;
        world.apply(&env).await;
        world
            .await_that::<ZadigEnvironment>("dev", "EnvironmentExists", |env| {
                has_reason(env, Reason::EnvironmentExists) && is_stalled(env)
            })
            .await;
        world.zadig.delete(&world.env_key("dev")).await;
    });
}

#[test]
fn a_sync_that_drops_the_annotation_changes_nothing() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        let before = inventory(&world.await_ready("dev").await);
        let mark = world.mark();
        let dropped = json!({"metadata": {"annotations": {OWNERSHIP_ANNOTATION: null}}});
        world.patch::<ZadigEnvironment>("dev", dropped).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        let handled = world
            .await_that::<ZadigEnvironment>("dev", "looked at again", |env| {
                let status = env.status.as_ref();
                status.is_some_and(|status| status.last_handled_reconcile_at.is_some())
            })
            .await;
        assert!(is_ready(&handled));
        assert_eq!(inventory(&handled), before);
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn a_connection_that_is_moved_to_another_zadig_writes_nothing_there() {
    simulated(async |world, sim| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let other = zadig_sim::start(&seed_of_the_recordings(), Options::default())
            .await
            .expect("there is a free port");
        let mark = world.mark();
        let url = |url: &str| json!({"spec": {"url": url}});
        world
            .patch::<ZadigConnection>("default", url(&other.url))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::DifferentZadig)
            .await;
        let expected = format!(
            "spec.connectionRef: this environment lives in {}, the connection now leads to {}, and not every environment \
             that was made through it is found there as recorded; nothing is written. Point the connection back, \
             or release the objects with deletion: Orphan",
            world.zadig.url, other.url
        );
        assert_eq!(told, expected);
        // Neither a change nor a deletion gets through.
        world.apply(&env.clone().service("db")).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::DifferentZadig)
            .await;
        world
            .patch::<ZadigConnection>("default", url(&world.zadig.url))
            .await;
        world.await_ready("dev").await;
        assert_eq!(world.changes_since(mark), ["service.add"]);
        let there = other.sim.calls().into_iter();
        let written: Vec<_> = there.filter(|call| call.mutating).collect();
        assert_eq!(written, []);
        assert_eq!(
            sim.calls().iter().filter(|call| call.status == 0).count(),
            0
        );
    });
}

#[test]
fn a_new_address_of_the_same_zadig_changes_nothing_there() {
    simulated(async |world, _| {
        let env = world
            .environment("dev")
            .variable("web", "logLevel", "debug");
        world.apply(&env).await;
        let before = inventory(&world.await_ready("dev").await);
        let mark = world.mark();
        let url = world.zadig.url.replace("127.0.0.1", "localhost");
        world
            .patch::<ZadigConnection>("default", json!({"spec": {"url": url}}))
            .await;
        let moved = world
            .await_that::<ZadigEnvironment>("dev", "known at the new address", |env| {
                is_ready(env) && inventory(env).zadig == url
            })
            .await;
        let expected = Inventory {
            zadig: url,
            ..before
        };
        assert_eq!(inventory(&moved), expected);
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn what_is_deleted_while_its_environment_is_in_doubt_is_deleted_once_that_is_settled() {
    let setup = Setup::default().simulator(|it| it.licence = Some(Licence::Enterprise));
    simulated_with(setup, async |world, _| {
        let dev = world.environment("dev").service("plain");
        world.apply_inhabited(dev).await;
        world
            .apply(&world.environment("lost").service("plain"))
            .await;
        world.await_inhabited().await;
        world.await_ready("lost").await;
        // One that is not found there makes all of them doubtful.
        let suspend = json!({"spec": {"suspend": true}});
        world.patch::<ZadigEnvironment>("lost", suspend).await;
        world.zadig.delete(&world.env_key("lost")).await;
        let mark = world.mark();
        let url = world.zadig.url.replace("127.0.0.1", "localhost");
        let moved = json!({"spec": {"url": url}});
        world.patch::<ZadigConnection>("default", moved).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::DifferentZadig)
            .await;
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        let told = [
            world
                .await_reason::<ZadigEnvConfig>("app", Reason::EnvironmentNotReady)
                .await,
            world
                .await_reason::<ZadigServiceBinding>("web", Reason::EnvironmentNotReady)
                .await,
        ];
        for told in told {
            assert_eq!(
                told,
                "spec.environmentRef: the environment in Zadig is not (yet) that of the ZadigEnvironment; see there. \
                 What is inside is deleted once it is; to release this object and leave it there, \
                 set the annotation zadig-operator.io/deletion=Orphan"
            );
        }
        assert_eq!(world.changes_since(mark), [""; 0]);
        lose(world, "lost").await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        assert_eq!(world.zadig.config(&key, "ConfigMap", "app").await, None);
    });
}

#[test]
fn what_is_deleted_inside_an_environment_that_is_not_ours_any_more_stays_and_says_so() {
    scenario(async |world| {
        let dev = world.environment("dev").service("plain");
        world.apply_inhabited(dev.clone()).await;
        world.await_inhabited().await;
        lose(world, "dev").await;
        world.apply(&dev).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::EnvironmentExists)
            .await;
        let mark = world.mark();
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(world.changes_since(mark), [""; 0]);
        for (name, what) in [("app", "the object"), ("web", "the service")] {
            let note = format!(
                "deleted while the environment in Zadig is not that of the ZadigEnvironment: {what} stays in Zadig"
            );
            let told = world.events(name).await;
            assert!(
                told.contains(&("EnvironmentNotReady".to_owned(), note)),
                "{told:?}"
            );
        }
        world.zadig.delete(&world.env_key("dev")).await;
    });
}

#[test]
fn when_the_older_of_two_objects_goes_the_younger_makes_an_environment_of_its_own() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mut younger = world.environment("dev").service("web");
        younger.metadata.name = Some("younger".to_owned());
        world.apply(&younger).await;
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("younger", Reason::Conflict)
                .await,
            format!(
                "spec.envKey: {}/dev is older and owns environment {} of project {}; delete one of the two",
                world.namespace,
                world.env_key("dev"),
                world.zadig.project
            )
        );
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.await_ready("younger").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["web"]);
    });
}

#[test]
fn an_environment_that_somebody_deletes_is_made_again_once_and_then_a_person_is_asked() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world.zadig.delete(&key).await;
        world
            .await_that::<ZadigEnvironment>("dev", "made again", |env| {
                is_ready(env) && inventory(env).recreated_at.is_some()
            })
            .await;
        world.zadig.delete(&key).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletedElsewhere)
            .await;
        assert!(
            told.starts_with(&format!("environment {key} disappeared twice within a day")),
            "{told}"
        );
        assert_eq!(world.zadig.environment(&key).await, None);
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_ready("dev").await;
        assert!(world.zadig.environment(&key).await.is_some());
    });
}

#[test]
fn an_environment_in_another_namespace_than_recorded_is_another_one() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        // Suspended, so that it is not made again before the other one is there.
        world
            .patch::<ZadigEnvironment>("dev", json!({"spec": {"suspend": true}}))
            .await;
        world.zadig.delete(&key).await;
        let elsewhere = format!("{}-elsewhere", world.namespace);
        world.zadig.create_in(&key, &elsewhere, &["plain"]).await;
        world.apply(&env).await;
        world
            .patch::<ZadigEnvironment>("dev", json!({"spec": {"suspend": false}}))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::IdentityMismatch)
            .await;
        assert!(
            told.starts_with(&format!(
                "environment {key} lives in namespace {elsewhere} of cluster "
            )),
            "{told}"
        );
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert!(
            world.zadig.environment(&key).await.is_some(),
            "another one is left alone"
        );
        world.zadig.delete(&key).await;
    });
}

fn inventory(env: &ZadigEnvironment) -> Inventory {
    let status = env.status.as_ref();
    status
        .and_then(|status| status.inventory.clone())
        .unwrap_or_default()
}

/// The object goes and its environment stays, as when a cluster is lost.
async fn lose(world: &World, name: &str) {
    let orphan = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
    world.patch::<ZadigEnvironment>(name, orphan).await;
    world.delete::<ZadigEnvironment>(name).await;
    world.await_gone::<ZadigEnvironment>(name).await;
}
