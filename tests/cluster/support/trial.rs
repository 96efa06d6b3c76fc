//! Trying objects of any kind at the API server without keeping them.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams, ValidationDirective};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::OnceCell;
use xtask::definitions;

use super::lab::install;
use super::world::World;

/// The objects of the kind that this is of; what has a namespace is moved to the scenario's.
pub(crate) fn place(world: &World, object: &mut Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().expect("every object has it").to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    if kind == "NetworkPolicy" {
        "networkpolicies".clone_into(&mut resource.plural);
    }
    if object["metadata"]["namespace"].is_null() {
        return Api::all_with(world.client.clone(), &resource);
    }
    object["metadata"]["namespace"] = world.namespace.clone().into();
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// Fails unless the API server would take an object as it is; a field that it does not know is a mistake, not to be dropped in silence.
pub(crate) async fn is_taken(world: &World, mut object: Value) {
    let api = place(world, &mut object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let params = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("scenario").force()
    };
    let tried = api.patch(name, &params, &Patch::Apply(&object)).await;
    tried.unwrap_or_else(|error| panic!("{error}\n{object:#}"));
}

/// Has the API server know the kinds of the Prometheus operator, Argo CD and Flux.
pub(crate) async fn know_others(world: &World) {
    static KNOWN: OnceCell<Result<(), String>> = OnceCell::const_new();
    let learn = async || {
        let learnt = learn(&world.client).await;
        learnt.map_err(|error| format!("{error:#}"))
    };
    if let Err(reason) = KNOWN.get_or_init(learn).await {
        panic!("the definitions of others cannot be installed: {reason}");
    }
}

async fn learn(client: &Client) -> Result<()> {
    let files = tokio::task::spawn_blocking(definitions::find).await??;
    for file in files {
        let read = || -> Result<CustomResourceDefinition> {
            Ok(serde_saphyr::from_str(&fs::read_to_string(&file)?)?)
        };
        let crd = read().with_context(|| file.display().to_string())?;
        install(client, &crd).await?;
        for version in crd.spec.versions.iter().filter(|version| version.served) {
            let names = &crd.spec.names;
            let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &names.plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            // An established kind is served a moment later.
            while let Err(error) = api.list_metadata(&ListParams::default().limit(1)).await {
                anyhow::ensure!(is_passing(&error), "{error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

fn is_passing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [404, 429, 503].contains(&status.code))
}
