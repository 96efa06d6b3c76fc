//! Releases: what Helm keeps of a deployment in Secrets of the namespace, and how it changes the objects of a chart.
//!
//! The Secrets hold what Helm's own would, without the chart's templates and without compression.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chart::{Chart, Occasion};
use crate::kube::apply::is_native;
use crate::kube::{Cluster, Cx, entry, merge, seconds_text, validate};
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
/// The error is Helm's. What cannot be rendered or decoded leaves no trace; what the cluster refuses leaves a failed revision.
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
        validate::decode(kind_and_name(object).0, object).map_err(|error| {
            format!("unable to build kubernetes objects from release manifest: {error}")
        })?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::seed::{ChartFiles, ServiceSeed};

    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {app: {{ .Values.app }}}}\n  template:\n    metadata: {labels: {app: {{ .Values.app }}}}\n    spec: {containers: [{name: web, image: r/web}]}\n";
    const SERVICE: &str = "{{ if .Values.service }}\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n{{ end }}\n";

    fn chart() -> Chart {
        let files = ChartFiles {
            metadata: json!({"name": "web", "version": "1.0.0"}),
            values: json!({"replicas": 2, "app": "web", "service": true}),
            templates: vec![
                ("deployment.yaml".to_owned(), DEPLOYMENT.to_owned()),
                ("service.yaml".to_owned(), SERVICE.to_owned()),
            ],
        };
        Chart::new(&files, &ServiceSeed::default())
    }

    struct Bench {
        kube: Cluster,
        rng: fastrand::Rng,
    }

    impl Bench {
        fn new() -> Self {
            let mut bench = Self {
                kube: Cluster::new(false, true, vec!["node-0".to_owned()], String::new()),
                rng: fastrand::Rng::with_seed(1),
            };
            bench
                .act(|kube, cx| kube.create_namespace(cx, "ns", &[]))
                .unwrap();
            bench
        }

        fn act<T>(&mut self, act: impl FnOnce(&mut Cluster, &mut Cx<'_>) -> T) -> T {
            let mut cx = Cx {
                now: Timestamp::from_second(100).unwrap(),
                pod_ready: Duration::from_secs(1),
                rng: &mut self.rng,
                wake: Vec::new(),
            };
            act(&mut self.kube, &mut cx)
        }

        fn deploy(&mut self, config: &Value) -> Result<(), String> {
            self.act(|kube, cx| deploy(kube, cx, "ns", "web", &chart(), config))
        }

        /// Each revision with its status.
        fn revisions(&self) -> Vec<String> {
            let all = history(&self.kube, "ns", "web").into_iter();
            all.map(|it| format!("{} {}", it.version, it.info.status))
                .collect()
        }

        fn has(&self, kind: &str) -> bool {
            self.kube.object("ns", kind, "web").is_some()
        }
    }

    #[test]
    fn each_deployment_makes_a_revision_and_supersedes_the_one_before() {
        let mut bench = Bench::new();
        bench.deploy(&json!({})).unwrap();
        bench.deploy(&json!({"service": false})).unwrap();
        assert_eq!(bench.revisions(), ["1 superseded", "2 deployed"]);
        assert_eq!(
            (bench.has("Deployment"), bench.has("Service")),
            (true, false)
        );
        let newest = history(&bench.kube, "ns", "web").pop().unwrap();
        assert_eq!(newest.config, json!({"service": false}));
        assert_eq!(
            newest.computed,
            json!({"replicas": 2.0, "app": "web", "service": false})
        );
    }

    #[test]
    fn foreign_replicas_are_put_back_and_deleted_objects_come_back() {
        let mut bench = Bench::new();
        bench.deploy(&json!({})).unwrap();
        bench
            .act(|kube, cx| kube.scale(cx, "ns", "Deployment", "web", 7))
            .unwrap();
        bench.kube.remove("ns", "Service", "web");
        bench.deploy(&json!({})).unwrap();
        let live = bench.kube.object("ns", "Deployment", "web").unwrap();
        assert_eq!((live.replicas(), bench.has("Service")), (2, true));
        assert_eq!(owner(&live.manifest), Some("web"));
        assert_eq!(live.label("app.kubernetes.io/managed-by"), Some("Helm"));
    }

    #[test]
    fn what_the_cluster_refuses_leaves_a_failed_revision_and_nothing_new() {
        let mut bench = Bench::new();
        bench.deploy(&json!({"app": "not a label!"})).unwrap_err();
        assert_eq!(bench.revisions(), ["1 failed"]);
        assert!(!bench.has("Service"), "created before, and removed again");
        bench.deploy(&json!({})).unwrap();
        bench.deploy(&json!({"app": "other"})).unwrap_err();
        assert_eq!(bench.revisions(), ["1 failed", "2 deployed", "3 failed"]);
        assert!(bench.has("Service"), "it was there before");
    }

    #[test]
    fn what_cannot_be_rendered_or_decoded_leaves_no_trace() {
        let mut bench = Bench::new();
        bench.deploy(&json!({"replicas": "many"})).unwrap_err();
        assert_eq!(
            (bench.revisions(), bench.has("Service")),
            (Vec::new(), false)
        );
    }

    #[test]
    fn an_object_that_belongs_to_nobody_is_not_taken_over() {
        let mut bench = Bench::new();
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}});
        bench
            .act(|kube, cx| kube.create(cx, "ns", &foreign))
            .unwrap();
        let error = bench.deploy(&json!({})).unwrap_err();
        assert!(error.contains("invalid ownership metadata"), "{error}");
        assert_eq!(
            (bench.revisions(), bench.has("Deployment")),
            (Vec::new(), false)
        );
    }

    #[test]
    fn ten_revisions_are_kept() {
        let mut bench = Bench::new();
        for _ in 0..12 {
            bench.deploy(&json!({})).unwrap();
        }
        let kept = bench.revisions();
        assert_eq!((kept.len(), kept[0].as_str()), (10, "3 superseded"));
    }

    #[test]
    fn a_release_goes_with_its_objects_and_revisions() {
        let mut bench = Bench::new();
        bench.deploy(&json!({})).unwrap();
        bench.deploy(&json!({})).unwrap();
        assert!(uninstall(&mut bench.kube, "ns", "web"));
        assert_eq!(bench.revisions(), Vec::<String>::new());
        assert!(!bench.has("Deployment") && !bench.has("Service"));
        assert!(!uninstall(&mut bench.kube, "ns", "web"));
    }
}
