//! A real HorizontalPodAutoscaler on the scale subresource of a service binding, driven by an External metric.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use xtask::kubectl;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use crate::support::{EnvironmentFixture, METRIC, Metrics, World, is_ready, scenario};

/// The binding as it lies in Git: without a number of pods.
fn in_git(world: &World) -> Value {
    json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": "ZadigServiceBinding",
        "metadata": {"name": "web", "namespace": world.namespace},
        "spec": {
            "environmentRef": {"name": "dev"},
            "service": {"name": "web"},
            "scaleTarget": {"kind": "Deployment", "name": "web"},
        },
    })
}

/// As a GitOps tool applies it: with a name of its own, and without forcing anything.
async fn apply_from_git(world: &World) -> ZadigServiceBinding {
    let applied = world
        .api::<ZadigServiceBinding>()
        .patch(
            "web",
            &PatchParams::apply("gitops"),
            &Patch::Apply(in_git(world)),
        )
        .await;
    applied.unwrap_or_else(|error| panic!("the tool and the autoscaler are in conflict: {error}"))
}

/// One pod for each ten of the metric, up and down at once.
fn autoscaler(world: &World) -> HorizontalPodAutoscaler {
    let at_once = json!({
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}],
    });
    world.read(json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigServiceBinding", "name": "web",
            },
            "minReplicas": 1,
            "maxReplicas": 6,
            "behavior": {"scaleUp": at_once, "scaleDown": at_once},
            "metrics": [{
                "type": "External",
                "external": {
                    "metric": {"name": METRIC},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            }],
        },
    }))
}

/// Who wrote the number of pods, by what an object says of its fields.
fn owners_of_replicas(binding: &ZadigServiceBinding) -> Vec<(String, String)> {
    let entries = binding.managed_fields().iter();
    let wrote = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields["f:spec"]["f:replicas"].is_object())
    });
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    wrote
        .map(|entry| (text(&entry.manager), text(&entry.subresource)))
        .collect()
}

/// Waits until Zadig was told to run this many pods and the binding is Ready with them.
async fn runs(world: &World, replicas: i32) {
    let key = world.env_key("dev");
    world
        .eventually(&format!("{replicas} pods are asked for"), async || {
            world.zadig.replicas(&key, "web").await == Some(replicas.into())
        })
        .await;
    world
        .await_that::<ZadigServiceBinding>("web", "Ready with them", |binding| {
            let seen = binding.status.as_ref().and_then(|status| status.replicas);
            is_ready(binding) && seen == Some(replicas)
        })
        .await;
}

async fn follows_the_metric(world: &World, metrics: &Metrics) {
    let env = world.environment("dev").service("plain");
    world.apply(&env).await;
    world.await_ready("dev").await;
    apply_from_git(world).await;
    runs(world, 1).await;
    world
        .eventually("the metrics are reached", async || {
            metrics.is_reached().await
        })
        .await;

    metrics.set(30);
    world.apply(&autoscaler(world)).await;
    for (value, replicas) in [(30, 3), (55, 6), (12, 2), (900, 6), (0, 1)] {
        metrics.set(value);
        runs(world, replicas).await;
    }

    let scaled = world.get::<ZadigServiceBinding>("web").await;
    let theirs = ("kube-controller-manager".to_owned(), "scale".to_owned());
    assert_eq!(owners_of_replicas(&scaled), std::slice::from_ref(&theirs));
    let generation = scaled.metadata.generation;
    let applied = apply_from_git(world).await;
    assert_eq!(applied.spec.replicas, Some(1), "Git has no such field");
    assert_eq!(
        applied.metadata.generation, generation,
        "nothing is changed"
    );
    assert_eq!(owners_of_replicas(&applied), [theirs]);

    world.delete::<HorizontalPodAutoscaler>("web").await;
    if kubectl::is_there() {
        let scaled = world.kubectl(&["scale", "zsb/web", "--replicas", "4"]);
        scaled.await.expect("kubectl scales");
        runs(world, 4).await;
    }
}

#[test]
fn an_autoscaler_starts_from_a_manifest_without_replicas_and_owns_their_number() {
    scenario(async |world| {
        let metrics = Metrics::start(world).await;
        let outcome = AssertUnwindSafe(Box::pin(follows_the_metric(world, &metrics)))
            .catch_unwind()
            .await;
        metrics.remove().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    });
}
