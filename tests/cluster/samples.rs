//! Every file of `deploy/samples` and every manifest of the manual, as a reader applies them: none can rot.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use xtask::site::Site;
use zadig_operator::api::{GROUP, VERSION};
use zadig_sim::Licence;

use crate::support::{Setup, World, scenario_with};

/// A document, with the name of its file.
type Sample = (String, DynamicObject);

/// The documents of all samples.
fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the samples are readable")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&file).expect("a sample is readable");
        let documents: Vec<DynamicObject> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.extend(
            documents
                .into_iter()
                .map(|object| (name.clone().into_owned(), object)),
        );
    }
    assert!(found.len() >= 8, "only {} samples were found", found.len());
    found
}

fn kind(object: &DynamicObject) -> GroupVersionKind {
    let types = object.types.as_ref().expect("a sample has a kind");
    GroupVersionKind::try_from(types).expect("of a group and version")
}

fn is_ours(object: &DynamicObject) -> bool {
    let kind = kind(object);
    (kind.group.as_str(), kind.version.as_str()) == (GROUP, VERSION)
}

/// Where it belongs: to the namespace that it names, or to the scenario's.
fn api(world: &World, object: &DynamicObject) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&kind(object));
    let namespace = object.namespace();
    let namespace = namespace.as_deref().unwrap_or(&world.namespace);
    Api::namespaced_with(world.client.clone(), namespace, &resource)
}

/// The samples in the scenario's namespaces: one for each that they make, and its own for any other.
async fn placed(world: &World, samples: Vec<Sample>) -> Vec<Sample> {
    let is_namespace = |(_, object): &Sample| kind(object).kind == "Namespace";
    let (made, mut others): (Vec<_>, Vec<_>) = samples.into_iter().partition(is_namespace);
    let mut namespaces = BTreeMap::new();
    for (_, namespace) in made {
        let name = namespace.name_any();
        let beside = world
            .namespace_beside(&name, json!(namespace.labels()))
            .await;
        namespaces.insert(name, beside);
    }
    let place = |name: &str| namespaces.get(name).unwrap_or(&world.namespace).clone();
    for (_, object) in &mut others {
        object.metadata.namespace = object.metadata.namespace.as_deref().map(place);
        let reference = object.data.pointer_mut("/spec/environmentRef/namespace");
        if let Some(Value::String(name)) = reference {
            *name = place(name);
        }
    }
    others
}

/// A person approves the plan that is shown.
async fn approve(world: &World, object: &DynamicObject) {
    let (api, name) = (api(world, object), object.name_any());
    let hash = async || {
        let seen = api.get(&name).await.expect("it was applied");
        let hash = seen.data["status"]["plan"]["hash"].as_str();
        hash.map(str::to_owned)
    };
    let shown = async || hash().await.is_some();
    world.eventually("a plan is shown", shown).await;
    let approved = json!({"spec": {"approvedPlan": hash().await}});
    let patched = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(approved))
        .await;
    patched.expect("an approval is taken");
}

async fn apply(world: &World, file: &str, object: &DynamicObject, dry_run: bool) {
    let mut params = PatchParams::apply("reader");
    params.dry_run = dry_run;
    let applied = api(world, object)
        .patch(&object.name_any(), &params, &Patch::Apply(object))
        .await;
    if let Err(error) = applied {
        panic!("{file}: {}: {error}", object.name_any());
    }
}

/// Whether all that is declared is so, for the present spec.
fn is_ready(object: &DynamicObject) -> bool {
    let status = &object.data["status"];
    let conditions = status["conditions"].as_array();
    status["observedGeneration"] == json!(object.metadata.generation)
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[test]
fn every_sample_is_taken_by_the_api_server_and_becomes_ready() {
    scenario_with(
        Setup::default()
            .demo()
            .simulator(|options| options.licence = Some(Licence::Enterprise))
            .without_connection(),
        async |world| {
            let samples = placed(world, samples()).await;
            for (file, object) in &samples {
                apply(world, file, object, true).await;
            }
            for (_, object) in &samples {
                let spec = &object.data["spec"];
                if let (Some(key), Some("Observe")) =
                    (spec["envKey"].as_str(), spec["management"].as_str())
                {
                    // What is only observed is somebody else's.
                    world.zadig.create(key, &["api"]).await;
                }
            }
            world.apply(&world.token_secret(&world.zadig.token)).await;
            for (file, object) in &samples {
                let mut object = object.clone();
                if kind(&object).kind == "ZadigConnection" {
                    // The one thing that a reader has to fill in, beside the token.
                    object.data["spec"]["url"] = Value::from(world.zadig.url.as_str());
                }
                apply(world, file, &object, false).await;
            }
            for (_, object) in &samples {
                if object.data["spec"]["management"] == "Approve" {
                    approve(world, object).await;
                }
            }
            for (file, object) in samples.iter().filter(|(_, object)| is_ours(object)) {
                let (api, name) = (api(world, object), object.name_any());
                let what = format!("{file}: {} {name} is Ready", kind(object).kind);
                let ready = async || is_ready(&api.get(&name).await.expect("it was applied"));
                world.eventually(&what, ready).await;
            }
        },
    );
}

/// Those of our kinds: what else the manual shows belongs to tools that are not here.
#[test]
fn every_manifest_of_the_manual_is_taken_by_the_api_server() {
    scenario_with(Setup::default().without_connection(), async |world| {
        let site = Site::load().expect("the manual is readable");
        let mut kinds = BTreeSet::new();
        for (place, block) in site.blocks(&["yaml"]) {
            let documents: Vec<Value> = serde_saphyr::from_multiple(&block.text)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let ours = format!("{GROUP}/{VERSION}");
            for document in documents {
                if document["apiVersion"] != ours.as_str() {
                    continue;
                }
                let mut object: DynamicObject = serde_json::from_value(document)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                object.metadata.namespace = None;
                kinds.insert(kind(&object).kind);
                apply(world, &place, &object, true).await;
            }
        }
        assert_eq!(kinds.len(), 4, "the manual shows only {kinds:?}");
    });
}
