//! Releases: what Helm keeps of a deployment in Secrets of the namespace, and how it changes the objects of a chart.
//!
//! The Secrets hold what Helm's own would, without the chart's templates and without compression.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chart::{Chart, Occasion};
use crate::kube::apply::is_native;
use crate::kube::{Cluster, Cx, entry, merge, seconds_text};
use crate::render::id_of;

/// Zadig lets Helm keep this many revisions.
const HISTORY: usize = 10;

/// One revision of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) namespace: String,
    pub(crate) info: Info,
    /// The values it was deployed with, besides the chart's own.
    pub(crate) config: Value,
    /// The chart's own values with those over them.
    pub(crate) computed: Value,
    /// Its objects.
    pub(crate) manifest: Vec<Value>,
}

/// What became of a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    /// `deployed`, `superseded` or `failed`.
    pub(crate) status: String,
    pub(crate) last_deployed: String,
    pub(crate) description: String,
}

/// All revisions of a release, oldest first.
pub(crate) fn history(kube: &Cluster, namespace: &str, name: &str) -> Vec<Release> {
    let mut releases: Vec<Release> = kube
        .of_kind(namespace, "Secret")
        .filter(|(_, object)| object.manifest["type"] == "helm.sh/release.v1")
        .filter_map(|(_, object)| read(&object.manifest))
        .filter(|release| release.name == name)
        .collect();
    releases.sort_by_key(|release| release.version);
    releases
}

/// Installs a chart, or upgrades the release that is there, to a new revision.
///
/// The error is Helm's. A manifest that cannot be rendered leaves no trace; one that the cluster refuses leaves a failed revision.
pub(crate) fn deploy(
    kube: &mut Cluster,
    cx: &mut Cx<'_>,
    namespace: &str,
    name: &str,
    chart: &Chart,
    config: &Value,
) -> Result<(), String> {
    let before = history(kube, namespace, name);
    let version = before.last().map_or(1, |release| release.version + 1);
    let computed = chart.coalesce(config);
    let occasion = Occasion {
        name,
        namespace,
        revision: version,
    };
    let mut manifest = chart.render(occasion, &computed)?;
    for object in &mut manifest {
        own(object, namespace, name);
    }
    // An upgrade is measured against what was deployed last, or else against what was tried last.
    let old = before
        .iter()
        .rfind(|release| release.info.status == "deployed")
        .or(before.last())
        .map(|release| release.manifest.clone())
        .unwrap_or_default();
    adoptable(kube, namespace, name, &old, &manifest)?;
    let outcome = apply(kube, cx, namespace, &old, &manifest);
    if outcome.is_ok() {
        for mut release in before
            .iter()
            .filter(|it| it.info.status == "deployed")
            .cloned()
        {
            "superseded".clone_into(&mut release.info.status);
            store(kube, cx, &release)?;
        }
    }
    let (status, description) = match &outcome {
        Ok(()) if version == 1 => ("deployed", "Install complete".to_owned()),
        Ok(()) => ("deployed", "Upgrade complete".to_owned()),
        Err(error) => ("failed", error.clone()),
    };
    let release = Release {
        name: name.to_owned(),
        version,
        namespace: namespace.to_owned(),
        info: Info {
            status: status.to_owned(),
            last_deployed: seconds_text(cx.now),
            description,
        },
        config: config.clone(),
        computed,
        manifest,
    };
    store(kube, cx, &release)?;
    for old in before.iter().rev().skip(HISTORY - 1) {
        kube.remove(namespace, "Secret", &secret_name(&old.name, old.version));
    }
    outcome
}

/// Removes a release with its objects and all its revisions; whether there was one.
pub(crate) fn uninstall(kube: &mut Cluster, namespace: &str, name: &str) -> bool {
    let releases = history(kube, namespace, name);
    for release in &releases {
        kube.remove(namespace, "Secret", &secret_name(name, release.version));
    }
    for object in releases.last().iter().flat_map(|release| &release.manifest) {
        let (kind, name) = kind_and_name(object);
        kube.remove(namespace, kind, name);
    }
    !releases.is_empty()
}

/// The release that an object says it belongs to.
pub(crate) fn owner(manifest: &Value) -> Option<&str> {
    manifest["metadata"]["annotations"]["meta.helm.sh/release-name"].as_str()
}

fn own(object: &mut Value, namespace: &str, name: &str) {
    entry(object, "metadata");
    let metadata = &mut object["metadata"];
    entry(metadata, "labels").insert("app.kubernetes.io/managed-by".to_owned(), json!("Helm"));
    let annotations = entry(metadata, "annotations");
    annotations.insert("meta.helm.sh/release-name".to_owned(), json!(name));
    annotations.insert(
        "meta.helm.sh/release-namespace".to_owned(),
        json!(namespace),
    );
}

/// Helm takes no object over that was there before and does not say it is the release's.
fn adoptable(
    kube: &Cluster,
    namespace: &str,
    release: &str,
    old: &[Value],
    new: &[Value],
) -> Result<(), String> {
    for object in new {
        let (kind, name) = kind_and_name(object);
        let known = old.iter().any(|old| id_of(old) == id_of(object));
        let live = kube.object(namespace, kind, name);
        if live.is_some_and(|live| !known && owner(&live.manifest) != Some(release)) {
            return Err(format!(
                "rendered manifests contain a resource that already exists. Unable to continue with install: {kind} \"{name}\" in namespace \"{namespace}\" exists and cannot be imported into the current release: invalid ownership metadata"
            ));
        }
    }
    Ok(())
}

/// Creates, patches and deletes until the objects are the new manifest's. After an error what was created is removed again.
fn apply(
    kube: &mut Cluster,
    cx: &mut Cx<'_>,
    namespace: &str,
    old: &[Value],
    new: &[Value],
) -> Result<(), String> {
    let mut created = Vec::new();
    for object in new {
        let (kind, name) = kind_and_name(object);
        let before = old.iter().find(|old| id_of(old) == id_of(object));
        let live = kube.object(namespace, kind, name);
        let outcome = if let Some(live) = live {
            let strategic = is_native(object["apiVersion"].as_str().unwrap_or(""));
            let mut live = live.manifest.clone();
            merge::three_way(&mut live, before.unwrap_or(&Value::Null), object, strategic);
            kube.replace(cx, namespace, live)
        } else {
            created.push((kind, name));
            kube.create(cx, namespace, object)
        };
        if let Err(error) = outcome {
            for (kind, name) in created {
                kube.remove(namespace, kind, name);
            }
            return Err(error);
        }
    }
    for gone in old
        .iter()
        .filter(|old| new.iter().all(|object| id_of(object) != id_of(old)))
    {
        let (kind, name) = kind_and_name(gone);
        kube.remove(namespace, kind, name);
    }
    Ok(())
}

fn kind_and_name(object: &Value) -> (&str, &str) {
    (
        object["kind"].as_str().unwrap_or(""),
        object["metadata"]["name"].as_str().unwrap_or(""),
    )
}

fn secret_name(name: &str, version: u64) -> String {
    format!("sh.helm.release.v1.{name}.v{version}")
}

fn read(secret: &Value) -> Option<Release> {
    let outer = STANDARD.decode(secret["data"]["release"].as_str()?).ok()?;
    let inner = STANDARD.decode(outer).ok()?;
    serde_json::from_slice(&inner).ok()
}

fn store(kube: &mut Cluster, cx: &mut Cx<'_>, release: &Release) -> Result<(), String> {
    let text = serde_json::to_vec(release).map_err(|error| error.to_string())?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": secret_name(&release.name, release.version),
            "labels": {
                "modifiedAt": cx.now.as_second().to_string(),
                "name": release.name,
                "owner": "helm",
                "status": release.info.status,
                "version": release.version.to_string(),
            },
        },
        "data": { "release": STANDARD.encode(STANDARD.encode(text)) },
    });
    let name = secret_name(&release.name, release.version);
    if kube.object(&release.namespace, "Secret", &name).is_some() {
        kube.replace(cx, &release.namespace, secret)
    } else {
        kube.create(cx, &release.namespace, &secret)
    }
}
