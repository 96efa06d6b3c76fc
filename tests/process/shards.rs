//! Two shards of the operator: each looks after its own connections, and a connection moves from one to the other.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use xtask::controlplane::{grant_rendered, rendered};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{Operator, Place, arguments, eventually, test};

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

/// The arguments by which the chart makes a release a shard: its name and its Lease.
fn arguments_of_the_chart() -> Vec<String> {
    let objects = rendered("shard").expect("the chart was rendered");
    let mut arguments: Vec<String> = arguments(&objects).map(str::to_owned).collect();
    arguments.retain(|argument| {
        argument.starts_with("--shard=") || argument.starts_with("--lease-name=")
    });
    assert_eq!(arguments.len(), 2, "{arguments:?}");
    arguments
}

/// Waits until the Lease of this holder was renewed for longer than a leader would go on without.
async fn is_kept(place: &Place, holder: &str, duration: Duration) {
    let leases: Api<Lease> = place.api();
    eventually("the Lease is kept", async || {
        let all = leases.list(&ListParams::default()).await;
        let specs = all.expect("leases can be listed").items.into_iter();
        let mut specs = specs.filter_map(|lease| lease.spec);
        let held = specs.find(|spec| {
            let held = spec.holder_identity.as_deref().unwrap_or_default();
            held.starts_with(holder)
        });
        held.is_some_and(|spec| {
            let (Some(taken), Some(renewed)) = (spec.acquire_time, spec.renew_time) else {
                return false;
            };
            renewed.0.duration_since(taken.0).unsigned_abs() > duration * 2 / 3
        })
    })
    .await;
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

        // With the rights of the release that it is, which name its Lease.
        let granted = grant_rendered(&place.client, &place.namespace, "shard").await;
        granted.expect("the shard gets the rights of the chart");
        let lease = Duration::from_secs(3);
        let mut arguments = arguments_of_the_chart();
        arguments.push(format!("--lease-duration={}s", lease.as_secs()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let shard = place.operator("shard", &arguments);
        shard.says("leading").await;
        let told = shard.get("/metrics").await.expect("it answers").1;
        for gauge in [
            r#"zadig_operator_leader{shard="b"} 1"#.to_owned(),
            format!(
                r#"zadig_operator_build_info{{version="{}",shard="b"}} 1"#,
                env!("CARGO_PKG_VERSION")
            ),
        ] {
            assert!(told.lines().any(|line| line == gauge), "{gauge}\n{told}");
        }
        is_kept(place, "shard_", lease).await;
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
