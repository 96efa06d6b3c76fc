//! What the operator asks of Kubernetes and what the Helm chart lets it do are the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use crate::support::{Place, eventually, test};

/// The operator looks at everything within seconds; a machine that compiles at the same time needs more.
const PATIENCE: Duration = Duration::from_mins(1);

/// Group, resource and verb.
type Right = (String, String, String);

/// What the chart grants by default.
fn granted() -> BTreeSet<Right> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/default.yaml");
    let text = fs::read_to_string(file).expect("the chart was rendered");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let bound: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["subjects"].is_array())
        .filter_map(|object| object["roleRef"]["name"].as_str())
        .collect();
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().into_iter().flatten();
        words
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    };
    let mut rights = BTreeSet::new();
    for role in &objects {
        let is_role = role["kind"] == "Role" || role["kind"] == "ClusterRole";
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        if !is_role || !bound.contains(name) {
            continue;
        }
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        rights.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    rights
}

/// What operators were allowed to do so far.
fn used(place: &Place) -> BTreeSet<Right> {
    let requests = place.requests().into_iter();
    let allowed = requests.filter(|request| request.code != 403);
    allowed
        .map(|request| (request.group, request.resource, request.verb))
        .collect()
}

/// Objects of every kind, that use whatever takes a right of its own.
async fn declare_everything(place: &Place) {
    place.declare().await;
    // Admitted by label, which is read from the namespace.
    place
        .apply::<ZadigConnection>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigConnection",
            "metadata": {"name": "default"},
            "spec": {
                "url": place.zadig.url,
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "access": [{"namespaces": {"from": "Selector", "selector": {
                    "matchLabels": {"kubernetes.io/metadata.name": place.namespace},
                }}}],
                "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
            },
        }))
        .await;
    place
        .apply::<ConfigMap>(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"},
            "data": {"new-basket": "true"},
        }))
        .await;
    place
        .apply::<ZadigEnvConfig>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvConfig",
            "metadata": {"name": "flags"},
            "spec": {
                "environmentRef": {"name": "dev"}, "type": "ConfigMap", "name": "flags",
                "configMapRef": {"name": "flags"},
            },
        }))
        .await;
    // Its number of pods is taken over from what runs.
    place
        .apply::<ZadigServiceBinding>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigServiceBinding",
            "metadata": {"name": "plain"},
            "spec": {
                "environmentRef": {"name": "dev"}, "service": {"name": "plain"},
                "scaleTarget": {"kind": "Deployment", "name": "plain"},
            },
        }))
        .await;
}

#[test]
fn the_chart_grants_what_is_used_and_no_more() {
    test("rights", async |place| {
        let leader = place.operator("leader", &[]);
        leader.says("leading").await;
        let other = place.operator("other", &[]);
        other.says("standing by").await;
        declare_everything(place).await;
        place.ready().await;
        let granted = granted();
        let unused = || -> Vec<Right> { granted.difference(&used(place)).cloned().collect() };
        let deadline = Instant::now() + PATIENCE;
        while !unused().is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(200)).await;
        }
        let refused = place
            .requests()
            .into_iter()
            .filter(|request| request.code == 403);
        assert_eq!(
            refused.collect::<Vec<_>>(),
            [],
            "rights that the chart lacks"
        );
        assert_eq!(unused(), [], "rights that nothing uses");
    });
}

#[test]
fn without_watching_secrets_a_rotated_one_is_noticed_at_the_next_thorough_look() {
    test("unwatched", async |place| {
        let operator = place.operator("only", &["--watch-secrets", "false"]);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        let before = place.changes().len();
        place
            .apply::<Secret>(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"},
                "stringData": {"cpu": "2468m"},
            }))
            .await;
        eventually("the new value is sent", async || {
            place.changes().len() > before
        })
        .await;
        let mut looks = place.requests();
        looks.retain(|request| {
            request.resource == "secrets" && request.namespace == place.namespace
        });
        let verbs: BTreeSet<String> = looks.into_iter().map(|request| request.verb).collect();
        let expected = ["create", "get"].map(str::to_owned);
        assert_eq!(
            verbs,
            BTreeSet::from(expected),
            "by name alone; one is made for the digests"
        );
    });
}
