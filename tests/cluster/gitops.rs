//! What Argo CD and Flux make of our objects, as the API server holds them.
//!
//! Argo CD's scripts are those that a person adds to `argocd-cm`, run by the interpreter that Argo CD has in it; Flux waits by kstatus, of
//! its own library. Both are in `xtask/gitops`.

mod actions;
mod applied;
mod examples;
mod states;

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};
use xtask::argocd;
use xtask::gitops::Judge;
use zadig_operator::api::GROUP;

use crate::support::{Namespaced, World};

static JUDGE: LazyLock<Judge> =
    LazyLock::new(|| Judge::find().unwrap_or_else(|error| panic!("{error:#}")));

/// The entries of `argocd-cm`, by what follows `resource.customizations.`.
static ENTRIES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let text = fs::read_to_string(argocd::config_map()).expect("it is generated");
    let map: ConfigMap = serde_saphyr::from_str(&text).expect("a ConfigMap");
    let entries = map.data.unwrap_or_default().into_iter();
    entries
        .map(|(key, text)| {
            let key = key.strip_prefix("resource.customizations.");
            (key.expect("nothing else is set").to_owned(), text)
        })
        .collect()
});

fn entry(what: &str, object: &Value) -> &'static str {
    let kind = object["kind"].as_str().expect("an object has a kind");
    &ENTRIES[&format!("{what}.{GROUP}_{kind}")]
}

fn ask(what: &str, script: &str, object: &Value) -> Value {
    let question = json!({"script": script, "object": object});
    let answer = JUDGE.ask(what, &question);
    answer.unwrap_or_else(|error| panic!("{error:#}\n{object:#}"))
}

/// An object with everything that the API server tells of it.
async fn raw<K: Namespaced>(world: &World, name: &str) -> Value {
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let found = api.get(name).await;
    let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(found).expect("an object is JSON")
}

/// An object as the API server would make it of a manifest.
async fn tried<K: Namespaced>(world: &World, object: &K) -> Value {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let manifest = serde_json::to_value(object).expect("a manifest is JSON");
    let manifest = serde_json::from_value(manifest).expect("an object");
    let made = api.create(&params, &manifest).await;
    serde_json::to_value(made.expect("it is taken")).expect("an object is JSON")
}

/// Waits until a condition of an object gives this reason, for its present spec; the object as it is then.
async fn with_reason<K: Namespaced>(world: &World, name: &str, reason: &str) -> Value {
    let mut found = Value::Null;
    world
        .eventually(&format!("{name}: {reason}"), async || {
            found = raw::<K>(world, name).await;
            let status = &found["status"];
            let conditions = status["conditions"].as_array();
            status["observedGeneration"] == found["metadata"]["generation"]
                && conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| condition["reason"] == reason)
        })
        .await;
    found
}

/// What an object is for Argo CD, and for Flux.
fn seen(object: &Value) -> [String; 2] {
    let health = ask("health", entry("health", object), object);
    let status = ask("kstatus", "", object);
    [health, status].map(|said| said["status"].as_str().unwrap_or_default().to_owned())
}
