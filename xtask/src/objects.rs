//! Kubernetes objects as manifests have them: applied and read without any type of the operator's.

use std::path::Path;
use std::time::Duration;
use std::{fs, iter};

use anyhow::{Context, Result, bail};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The operator's kinds.
pub(crate) const ENVIRONMENT: &str = "ZadigEnvironment";
/// Where their Zadig is.
pub(crate) const CONNECTION: &str = "ZadigConnection";
/// Owner of the fields that we apply.
const FIELD_MANAGER: &str = "xtask";
/// A CRD is established within a second; a loaded machine takes longer.
const CRD_PATIENCE: Duration = Duration::from_secs(30);

/// Every document of a YAML file, or of every YAML file of a directory.
pub(crate) fn read(path: &Path) -> Result<Vec<DynamicObject>> {
    let mut files = if path.is_dir() {
        let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        entries.collect::<Result<Vec<_>, _>>()?
    } else {
        vec![path.to_owned()]
    };
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        objects.extend(parse(&text).with_context(|| file.display().to_string())?);
    }
    Ok(objects)
}

/// Every document of a YAML text.
pub(crate) fn parse(text: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let objects = documents.into_iter().filter(|document| !document.is_null());
    objects
        .map(|document| Ok(serde_json::from_value(document)?))
        .collect()
}

/// The objects of a kind in a namespace.
pub(crate) fn api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("zadig-operator.io", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&gvk))
}

/// Applies an object on the server's side; what names no namespace goes into `namespace`.
pub(crate) async fn apply(
    client: &Client,
    namespace: Option<&str>,
    object: &DynamicObject,
) -> Result<()> {
    let name = object.name_any();
    let types = object
        .types
        .clone()
        .with_context(|| format!("{name} has no kind"))?;
    let resource = ApiResource::from_gvk(&group_version_kind(&types)?);
    let own = object.namespace();
    let api: Api<DynamicObject> = match own.as_deref().or(namespace) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("the API server refused {} {name}", types.kind))?;
    Ok(())
}

fn group_version_kind(types: &TypeMeta) -> Result<GroupVersionKind> {
    GroupVersionKind::try_from(types)
        .with_context(|| format!("{} is no apiVersion", types.api_version))
}

/// Applies the CRDs of `crds/` and waits until they can be used.
pub(crate) async fn install_crds(client: &Client, dir: &Path) -> Result<()> {
    let crds = read(dir)?;
    if crds.is_empty() {
        bail!("there are no CRDs in {}", dir.display());
    }
    for crd in &crds {
        apply(client, None, crd).await?;
    }
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
    for crd in &crds {
        let name = crd.name_any();
        let deadline = Instant::now() + CRD_PATIENCE;
        while condition(&api.get(&name).await?, "Established").as_deref() != Some("True") {
            if Instant::now() > deadline {
                bail!("the CRD {name} was not established within {CRD_PATIENCE:?}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Makes a namespace.
pub(crate) async fn create_namespace(client: &Client, name: &str) -> Result<()> {
    let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
    for object in parse(&manifest)? {
        apply(client, None, &object).await?;
    }
    Ok(())
}

/// Deletes every environment of a namespace and waits until all are gone.
pub(crate) async fn delete_environments(
    client: &Client,
    namespace: &str,
    patience: Duration,
) -> Result<()> {
    let api = api(client, namespace, ENVIRONMENT);
    api.delete_collection(&DeleteParams::background(), &ListParams::default())
        .await?;
    let deadline = Instant::now() + patience;
    loop {
        let left = api.list(&ListParams::default()).await?.items;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let names: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
            bail!("not gone after {patience:?}: {}", names.join(", "));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Deletes what an earlier run left in a namespace, without anybody's help: its operator and its Zadig are gone.
pub(crate) async fn forget(client: &Client, namespace: &str) -> Result<()> {
    for kind in [ENVIRONMENT, CONNECTION] {
        let api = api(client, namespace, kind);
        for object in api.list(&ListParams::default()).await? {
            let name = object.name_any();
            let none = Patch::Merge(serde_json::json!({"metadata": {"finalizers": null}}));
            api.delete(&name, &DeleteParams::background()).await?;
            // Without finalizers it is gone already.
            let _ = api.patch(&name, &PatchParams::default(), &none).await;
        }
    }
    Ok(())
}

/// The status of a condition: `True`, `False` or `Unknown`.
pub(crate) fn condition(object: &DynamicObject, type_: &str) -> Option<String> {
    text(condition_of(object, type_)?, &["status"])
}

/// The reason of a condition.
pub(crate) fn reason(object: &DynamicObject, type_: &str) -> Option<String> {
    text(condition_of(object, type_)?, &["reason"])
}

/// The message of a condition.
pub(crate) fn message(object: &DynamicObject, type_: &str) -> Option<String> {
    text(condition_of(object, type_)?, &["message"])
}

/// Whether the status says Ready about the present spec.
pub(crate) fn is_ready(object: &DynamicObject) -> bool {
    let observed = object.data["status"]["observedGeneration"].as_i64();
    observed == object.metadata.generation && condition(object, "Ready").as_deref() == Some("True")
}

fn condition_of<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == type_)
}

/// The text at a path of keys.
pub(crate) fn text(value: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().fold(value, |value, key| &value[*key]);
    found.as_str().map(ToOwned::to_owned)
}

/// A name that no other run uses: six letters and digits from the clock.
pub(crate) fn tag() -> String {
    let now = jiff::Timestamp::now().as_microsecond().unsigned_abs();
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let letters = iter::successors(Some(now), |rest| Some(rest / 36));
    letters
        .take(6)
        .map(|rest| char::from(digits[usize::try_from(rest % 36).unwrap_or(0)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        let text = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n";
        let names: Vec<String> = parse(text)
            .unwrap()
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn ready_for_an_older_spec_is_not_ready() {
        let text = "apiVersion: a/v1\nkind: B\nmetadata: {name: c, generation: 2}\nstatus: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}\n";
        let old = parse(text).unwrap().remove(0);
        let new = parse(&text.replace("Generation: 1", "Generation: 2"))
            .unwrap()
            .remove(0);
        assert_eq!((is_ready(&old), is_ready(&new)), (false, true));
    }
}
