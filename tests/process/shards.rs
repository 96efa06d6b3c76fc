//! Two shards of the operator: each looks after its own connections, and a connection moves from one to the other.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{Operator, Place, eventually, test};

/// An environment behind a connection of another name, with an image.
fn environment(image: &str) -> Value {
    json!({
        "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvironment",
        "metadata": {"name": "second"},
        "spec": {
            "connectionRef": {"name": "second"}, "projectKey": "golden", "envKey": "second",
            "services": [{"name": "web", "containers": [{"name": "web", "image": image}]}],
        },
    })
}

async fn is_ready(place: &Place) -> bool {
    let environments: Api<ZadigEnvironment> = place.api();
    let found = environments.get("second").await.expect("it is there");
    let generation = found.metadata.generation;
    found.status.is_some_and(|status| {
        status.observed_generation == generation && status.conditions[0].reason == Reason::Ready
    })
}

async fn patch(place: &Place, patch: Value) {
    let connections: Api<ZadigConnection> = place.api();
    let params = PatchParams::default();
    let patched = connections
        .patch("second", &params, &Patch::Merge(patch))
        .await;
    patched.expect("the API server takes it");
}

/// How often an operator told of a change to the second environment.
fn changes(operator: &Operator) -> usize {
    let log = operator.log();
    let lines = log.lines().filter(|line| line.contains("sent to zadig"));
    lines.filter(|line| line.contains("second")).count()
}

#[test]
fn each_shard_looks_after_its_own_connections_and_one_moves() {
    test("shards", async |place| {
        place.declare().await;
        place
            .apply::<ZadigConnection>(json!({
                "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigConnection",
                "metadata": {"name": "second", "labels": {"zadig-operator.io/shard": "b"}},
                "spec": {
                    "url": place.zadig.url,
                    "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                    "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
                },
            }))
            .await;
        place
            .apply::<ZadigEnvironment>(environment("registry.example.com/reg-main/web:1"))
            .await;
        let plain = place.operator("plain", &[]);
        plain.says("leading").await;
        place.ready().await;
        let environments: Api<ZadigEnvironment> = place.api();
        let second = environments.get("second").await.expect("it is there");
        let told = second
            .status
            .is_some_and(|status| !status.conditions.is_empty());
        assert!(!told, "it is another shard's");
        let told = plain.get("/metrics").await.expect("it answers").1;
        assert!(
            told.contains(r#"connection="default""#) && !told.contains(r#"connection="second""#),
            "{told}"
        );

        let shard = place.operator("shard", &["--shard", "b"]);
        shard.says("leading").await;
        eventually("the shard makes it ready", async || is_ready(place).await).await;
        assert_eq!((changes(&plain), changes(&shard) > 0), (0, true));

        // As the manual says: suspended first.
        patch(place, json!({"spec": {"suspend": true}})).await;
        patch(
            place,
            json!({"metadata": {"labels": {"zadig-operator.io/shard": null}}}),
        )
        .await;
        patch(place, json!({"spec": {"suspend": false}})).await;
        let before = changes(&shard);
        place
            .apply::<ZadigEnvironment>(environment("registry.example.com/reg-main/web:2"))
            .await;
        eventually("the others make it ready", async || is_ready(place).await).await;
        assert_eq!((changes(&plain), changes(&shard)), (1, before));
        let made = place.changes();
        let created = made
            .iter()
            .filter(|operation| *operation == "environment.create");
        assert_eq!(created.count(), 2, "one of each: {made:?}");
    });
}
