//! Writing objects: create, replace, patch, scale; each refused as an API server would refuse it.

use serde_json::{Value, json};

use super::{Cluster, Cx, Object, entry, merge, template_of_mut, validate};

impl Cluster {
    /// Creates the object, or changes the one that is there by the difference between the two texts (Z§4.11).
    ///
    /// The error is the API server's.
    pub(crate) fn create_or_patch(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        old: Option<&Value>,
        new: &Value,
    ) -> Result<(), String> {
        let kind = new["kind"].as_str().unwrap_or("").to_owned();
        let name = new["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let Some(object) = self.object(namespace, &kind, &name) else {
            return self.create(cx, namespace, new);
        };
        let mut manifest = object.manifest.clone();
        let strategic = is_native(new["apiVersion"].as_str().unwrap_or(""));
        merge::two_way(&mut manifest, old.unwrap_or(&Value::Null), new, strategic);
        self.replace(cx, namespace, manifest)
    }

    /// Creates an object; it must not be there.
    pub(crate) fn create(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        manifest: &Value,
    ) -> Result<(), String> {
        let kind = manifest["kind"].as_str().unwrap_or("").to_owned();
        let name = manifest["metadata"]["name"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        if !super::is_global(&kind) {
            match self.namespaces.get(namespace) {
                None => return Err(format!("namespaces \"{namespace}\" not found")),
                Some(found) if found.terminating => {
                    return Err(format!(
                        "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                        plural(&kind)
                    ));
                }
                Some(_) => {}
            }
        }
        if self.object(namespace, &kind, &name).is_some() {
            return Err(format!("{} \"{name}\" already exists", plural(&kind)));
        }
        let mut manifest = manifest.clone();
        prepare(&mut manifest, namespace);
        validate::admit(&kind, &manifest, None)?;
        let object = Object::new(cx, manifest);
        self.insert(namespace, &kind, &name, object);
        self.settle(cx, namespace, &kind, &name);
        Ok(())
    }

    /// Puts another manifest in the place of an object's; uid and creation time stay.
    pub(crate) fn replace(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        mut manifest: Value,
    ) -> Result<(), String> {
        let kind = manifest["kind"].as_str().unwrap_or("").to_owned();
        let name = manifest["metadata"]["name"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        prepare(&mut manifest, namespace);
        let Some(object) = self.object_mut(namespace, &kind, &name) else {
            return Err(format!("{} \"{name}\" not found", plural(&kind)));
        };
        validate::admit(&kind, &manifest, Some(&object.manifest))?;
        if object.manifest == manifest {
            return Ok(());
        }
        if object.manifest["spec"] != manifest["spec"] {
            object.generation += 1;
        } else if kind == "Deployment"
            && object.manifest["metadata"]["annotations"] != manifest["metadata"]["annotations"]
        {
            // Deployments count a change of their own annotations as well.
            object.generation += 1;
        }
        object.manifest = manifest;
        self.settle(cx, namespace, &kind, &name);
        Ok(())
    }

    /// Changes an object in place by `change`; whether it is there.
    pub(crate) fn edit(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        kind: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), String> {
        let Some(object) = self.object(namespace, kind, name) else {
            return Err(format!("{} \"{name}\" not found", plural(kind)));
        };
        let mut manifest = object.manifest.clone();
        change(&mut manifest);
        self.replace(cx, namespace, manifest)
    }

    /// Sets `spec.replicas`.
    pub(crate) fn scale(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        kind: &str,
        name: &str,
        replicas: i64,
    ) -> Result<(), String> {
        self.edit(cx, namespace, kind, name, |manifest| {
            entry(manifest, "spec").insert("replicas".to_owned(), json!(replicas));
        })
    }

    /// Sets a container's image by a strategic merge patch: an unknown container is added as the first one (Z§4.17).
    pub(crate) fn set_image(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        kind: &str,
        name: &str,
        container: &str,
        image: &str,
    ) -> Result<(), String> {
        self.edit(cx, namespace, kind, name, |manifest| {
            let containers = template_of_mut(manifest)
                .and_then(|template| template.pointer_mut("/spec/containers"))
                .and_then(Value::as_array_mut);
            let Some(containers) = containers else { return };
            match containers
                .iter_mut()
                .find(|known| known["name"] == container)
            {
                Some(known) => known["image"] = json!(image),
                None => containers.insert(0, json!({ "name": container, "image": image })),
            }
        })
    }
}

/// What the API server itself changes in an object it stores.
fn prepare(manifest: &mut Value, namespace: &str) {
    let kind = manifest["kind"].as_str().unwrap_or("").to_owned();
    let metadata = entry(manifest, "metadata");
    metadata.remove("creationTimestamp");
    metadata.remove("uid");
    metadata.remove("resourceVersion");
    metadata.remove("managedFields");
    if !super::is_global(&kind) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    if let Some(object) = manifest.as_object_mut() {
        object.remove("status");
    }
    if kind == "Secret" {
        encode_string_data(manifest);
    }
    if kind == "PersistentVolumeClaim" && manifest["spec"]["volumeMode"].is_null() {
        entry(manifest, "spec").insert("volumeMode".to_owned(), json!("Filesystem"));
    }
    let containers = template_of_mut(manifest)
        .and_then(|template| template.pointer_mut("/spec/containers"))
        .and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let ports = container.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten() {
            entry_or(port, "protocol", json!("TCP"));
        }
    }
    if matches!(kind.as_str(), "Deployment" | "StatefulSet")
        && manifest["spec"].is_object()
        && manifest["spec"]["replicas"].is_null()
    {
        manifest["spec"]["replicas"] = json!(1);
    }
}

/// Sets a field that is absent.
fn entry_or(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.entry(field).or_insert(value);
    }
}

/// `stringData` becomes `data`, in base64.
fn encode_string_data(manifest: &mut Value) {
    use base64::Engine as _;
    let Some(object) = manifest.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(plain)) = object.remove("stringData") {
        let data = entry(manifest, "data");
        for (key, value) in plain {
            let text = value.as_str().unwrap_or("");
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            data.insert(key, json!(encoded));
        }
    }
    if manifest["type"].is_null() {
        manifest["type"] = json!("Opaque");
    }
}

/// Kubernetes' own groups, whose lists merge by name.
pub(crate) fn is_native(api_version: &str) -> bool {
    api_version
        .split_once('/')
        .is_none_or(|(group, _)| !group.contains('.') || group.ends_with(".k8s.io"))
}

/// The name of a kind in messages and paths.
pub(crate) fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    match lower.as_str() {
        "ingress" => "ingresses.networking.k8s.io".to_owned(),
        "deployment" | "statefulset" | "daemonset" | "replicaset" => format!("{lower}s.apps"),
        "job" | "cronjob" => format!("{lower}s.batch"),
        _ => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    fn with_cluster(test: impl FnOnce(&mut Cluster, &mut Cx<'_>)) {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut cx = Cx {
            now: Timestamp::from_second(100).unwrap(),
            pod_ready: Duration::from_secs(1),
            rng: &mut rng,
            wake: Vec::new(),
        };
        let mut cluster = Cluster::new(false, true, vec!["node-0".to_owned()], String::new());
        cluster.create_namespace(&mut cx, "ns", &[]).unwrap();
        test(&mut cluster, &mut cx);
    }

    fn deployment(image: &str) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": image }] },
                },
            },
        })
    }

    #[test]
    fn a_deleted_object_is_made_again_and_a_foreign_number_survives_a_patch() {
        with_cluster(|cluster, cx| {
            cluster
                .create_or_patch(cx, "ns", None, &deployment("a:v1"))
                .unwrap();
            cluster.scale(cx, "ns", "Deployment", "web", 5).unwrap();
            let (old, new) = (deployment("a:v1"), deployment("a:v2"));
            cluster.create_or_patch(cx, "ns", Some(&old), &new).unwrap();
            let object = cluster.object("ns", "Deployment", "web").unwrap();
            assert_eq!((object.replicas(), object.generation), (5, 3));
            cluster.remove("ns", "Deployment", "web");
            cluster.create_or_patch(cx, "ns", Some(&old), &new).unwrap();
            let object = cluster.object("ns", "Deployment", "web").unwrap();
            assert_eq!((object.replicas(), object.generation), (2, 1));
        });
    }

    #[test]
    fn an_image_for_an_unknown_container_adds_it_in_front() {
        with_cluster(|cluster, cx| {
            cluster.create(cx, "ns", &deployment("a:v1")).unwrap();
            cluster
                .set_image(cx, "ns", "Deployment", "web", "nope", "b:v1")
                .unwrap();
            let template = cluster
                .object("ns", "Deployment", "web")
                .unwrap()
                .template()
                .clone();
            assert_eq!(
                template["spec"]["containers"],
                json!([{ "name": "nope", "image": "b:v1" }, { "name": "web", "image": "a:v1" }])
            );
        });
    }

    #[test]
    fn secrets_are_stored_in_base64() {
        with_cluster(|cluster, cx| {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
                "stringData": { "pw": "s3cret" },
            });
            cluster.create(cx, "ns", &secret).unwrap();
            let stored = &cluster.object("ns", "Secret", "s").unwrap().manifest;
            assert_eq!(stored["data"], json!({ "pw": "czNjcmV0" }));
            assert_eq!(stored["type"], "Opaque");
        });
    }
}
