//! Who may use a connection, for which projects and target namespaces: its grants, one after the other.

use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{EnvironmentFixture, World, scenario};

async fn grant(world: &World, access: Value) {
    let patch = json!({"spec": {"access": access}});
    world.patch::<ZadigConnection>("default", patch).await;
}

async fn says(world: &World, reason: Reason, sentence: &str) {
    let tells = |env: &ZadigEnvironment| {
        let conditions = env.status.iter().flat_map(|status| &status.conditions);
        conditions
            .into_iter()
            .any(|told| told.reason == reason && told.message == sentence)
    };
    world.await_that("dev", sentence, tells).await;
}

#[test]
fn every_part_of_a_grant_fences_and_a_refusal_reveals_nothing() {
    scenario(async |world| {
        world.label(&json!({"team": "blue"})).await;
        let project = &world.zadig.project;
        let key = world.env_key("dev");
        let team =
            |team: &str| json!({"from": "Selector", "selector": {"matchLabels": {"team": team}}});
        let unknown = format!(
            "spec.connectionRef: there is no ZadigConnection default in namespace {} that may be used from here",
            world.namespace
        );
        let denied = |field: &str| {
            format!("{field}: no grant under spec.access of the connection admits this value")
        };
        // Nobody, and another team: as if there were no connection.
        grant(world, json!([])).await;
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        says(world, Reason::ConnectionNotFound, &unknown).await;
        grant(world, json!([{"namespaces": team("green")}])).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        says(world, Reason::ConnectionNotFound, &unknown).await;
        // Ours, but for other projects, and then for other target namespaces.
        grant(
            world,
            json!([{"namespaces": team("blue"), "projects": ["no-such-*"]}]),
        )
        .await;
        says(world, Reason::AccessDenied, &denied("spec.projectKey")).await;
        let elsewhere = json!([
            {"namespaces": team("blue"), "projects": [format!("{project}*")], "targetNamespaces": ["elsewhere-*"]},
            {"namespaces": team("green"), "targetNamespaces": ["*"]},
        ]);
        grant(world, elsewhere).await;
        says(world, Reason::AccessDenied, &denied("spec.namespace")).await;
        assert_eq!(world.zadig.environment(&key).await, None);
        let target = format!("{project}-env-{key}");
        grant(
            world,
            json!([{"namespaces": team("blue"), "projects": [project], "targetNamespaces": [target]}]),
        )
        .await;
        world.await_ready("dev").await;
        // What was made stays when the grant goes, and is not changed any more.
        grant(
            world,
            json!([{"namespaces": {"from": "Same"}, "projects": ["other"]}]),
        )
        .await;
        says(world, Reason::AccessDenied, &denied("spec.projectKey")).await;
        assert!(world.zadig.environment(&key).await.is_some());
        grant(world, json!([{"namespaces": {"from": "All"}}])).await;
        world.await_ready("dev").await;
        // That is, from any namespace.
        let guests = world.namespace_beside("guests", json!({})).await;
        let mut guest = world.environment("guest").service("plain");
        guest.metadata.namespace = Some(guests.clone());
        guest.spec.connection_ref.namespace = Some(world.namespace.clone());
        let api: Api<ZadigEnvironment> = Api::namespaced(world.client.clone(), &guests);
        let made = api.create(&PostParams::default(), &guest).await;
        made.expect("anybody may try");
        let is_made = async || {
            world
                .zadig
                .environment(&world.env_key("guest"))
                .await
                .is_some()
        };
        world.eventually("a guest is admitted", is_made).await;
        let deleted = api.delete("guest", &DeleteParams::default()).await;
        deleted.expect("it is there");
        let is_gone = async || api.get_opt("guest").await.expect("it answers").is_none();
        world.eventually("the guest is gone", is_gone).await;
    });
}
