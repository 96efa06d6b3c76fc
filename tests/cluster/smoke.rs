//! The shortest way through everything: the parts fit together.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{EnvironmentFixture, is_ready, scenario};

#[test]
fn an_environment_becomes_ready_and_goes_with_its_object() {
    scenario(async |world| {
        let dev = world.environment("dev").service("plain");
        world.apply(&dev).await;
        world
            .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
            .await;
        let found = world.zadig.environment(&world.env_key("dev")).await;
        let status = found.as_ref().and_then(|env| env["status"].as_str());
        assert_eq!(status, Some("success"));

        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn a_connection_becomes_ready_without_a_write_to_zadig() {
    scenario(async |world| {
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        let Some(sim) = world.needs_sim() else { return };
        let writes: Vec<_> = sim
            .calls()
            .into_iter()
            .filter(|call| call.mutating)
            .collect();
        assert_eq!(writes, []);
    });
}

#[test]
fn writes_are_counted_by_who_made_them() {
    scenario(async |world| {
        // The connection's own first status is not what is counted here.
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        let mark = world.mark();
        world
            .apply(&world.config_map("by-hand", "key", "value"))
            .await;
        let by_hand = world.operator_writes_since(mark).len();
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world
            .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
            .await;
        let resources: BTreeSet<String> = world
            .operator_writes_since(mark)
            .into_iter()
            .map(|write| write.resource)
            .collect();
        let counted = resources.contains("zadigenvironments/status");
        assert_eq!((by_hand, counted), (0, true), "{resources:?}");
    });
}

#[test]
fn a_scenario_that_fails_leaves_nothing_behind() {
    let world_of_it = Mutex::new(None);
    let failed = catch_unwind(AssertUnwindSafe(|| {
        scenario(async |world| {
            world
                .apply(&world.environment("dev").service("plain"))
                .await;
            *world_of_it.lock().unwrap() = Some((world.client.clone(), world.namespace.clone()));
            panic!("on purpose");
        });
    }));
    assert!(failed.is_err());
    let (client, namespace) = world_of_it.lock().unwrap().take().unwrap();
    scenario(async |world| {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let gone = async || namespaces.get_opt(&namespace).await.unwrap().is_none();
        world
            .eventually("the namespace of the failed scenario is gone", gone)
            .await;
    });
}
