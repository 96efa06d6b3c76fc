//! What somebody else does to a cluster with kubectl.

use serde_json::{Value, json};

use super::World;
use crate::action::{KubeAction, KubeActionError};
use crate::ailment::Ailment;
use crate::kube::{Cluster, Cx, merge};

impl World {
    /// What somebody does with kubectl.
    pub(crate) fn kube_action(&mut self, action: KubeAction) -> Result<(), KubeActionError> {
        let cluster = match &action {
            KubeAction::Create { cluster, .. }
            | KubeAction::Patch { cluster, .. }
            | KubeAction::Delete { cluster, .. }
            | KubeAction::Scale { cluster, .. }
            | KubeAction::SetImage { cluster, .. } => cluster.clone(),
        };
        let cluster = cluster
            .or_else(|| {
                self.cluster_list
                    .first()
                    .map(|cluster| cluster.cluster_id.clone())
            })
            .ok_or_else(|| KubeActionError::new("there is no cluster"))?;
        if let KubeAction::Delete { kind, name, .. } = &action
            && kind == "Namespace"
        {
            let is_there = self
                .clusters
                .get(&cluster)
                .is_some_and(|kube| kube.namespaces.contains_key(name));
            if !is_there {
                return Err(KubeActionError::new(format!(
                    "namespaces \"{name}\" not found"
                )));
            }
            self.terminate(cluster, name.clone());
            return Ok(());
        }
        self.in_cluster(&cluster, |kube, cx| kubectl(kube, cx, action))
            .unwrap_or_else(|| Err("there is no such cluster".to_owned()))
            .map_err(KubeActionError::new)
    }
}

impl World {
    /// Changes what is wrong with an image, in every cluster.
    pub(crate) fn ail(&mut self, image: &str, ailment: Option<&Ailment>) {
        let clusters: Vec<String> = self.clusters.keys().cloned().collect();
        for cluster in clusters {
            self.in_cluster(&cluster, |kube, cx| kube.ail(cx, image, ailment.cloned()));
        }
    }
}

fn kubectl(kube: &mut Cluster, cx: &mut Cx<'_>, action: KubeAction) -> Result<(), String> {
    match action {
        KubeAction::Create {
            kind,
            name,
            manifest,
            ..
        } if kind == "Namespace" => {
            kube.create_namespace(cx, &name, &[])?;
            relabel(kube, &name, &manifest.unwrap_or_default())
        }
        KubeAction::Patch {
            kind, name, patch, ..
        } if kind == "Namespace" => relabel(kube, &name, &patch),
        KubeAction::Delete {
            kind,
            namespace,
            name,
            ..
        } if kind == "Pod" => delete_pod(kube, cx, &namespace.unwrap_or_default(), &name),
        KubeAction::Create {
            kind,
            namespace,
            name,
            manifest,
            ..
        } => {
            let mut object = manifest.unwrap_or_else(|| json!({}));
            object["kind"] = json!(kind);
            object["metadata"]["name"] = json!(name);
            kube.create(cx, namespace.as_deref().unwrap_or(""), &object)
        }
        KubeAction::Patch {
            kind,
            namespace,
            name,
            patch,
            ..
        } => {
            let namespace = namespace.unwrap_or_default();
            kube.edit(cx, &namespace, &kind, &name, |manifest| {
                merge::merge_patch(manifest, &patch);
            })
        }
        KubeAction::Delete {
            kind,
            namespace,
            name,
            ..
        } => {
            let namespace = namespace.unwrap_or_default();
            if kube.remove(&namespace, &kind, &name) {
                Ok(())
            } else {
                Err(format!("{kind} {name} not found"))
            }
        }
        KubeAction::Scale {
            kind,
            namespace,
            name,
            replicas,
            ..
        } => kube.scale(cx, &namespace, &kind, &name, replicas),
        KubeAction::SetImage {
            kind,
            namespace,
            name,
            container,
            image,
            ..
        } => kube.set_image(cx, &namespace, &kind, &name, &container, &image),
    }
}

/// Sets the labels of a namespace that a manifest or a patch names; null takes one off.
fn relabel(kube: &mut Cluster, name: &str, change: &Value) -> Result<(), String> {
    let namespace = kube
        .namespaces
        .get_mut(name)
        .ok_or_else(|| format!("namespaces \"{name}\" not found"))?;
    for (key, value) in change["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        match value.as_str() {
            Some(value) => namespace.labels.insert(key.clone(), value.to_owned()),
            None => namespace.labels.remove(key),
        };
    }
    Ok(())
}

/// Deletes one pod; its owner makes another one.
fn delete_pod(
    kube: &mut Cluster,
    cx: &mut Cx<'_>,
    namespace: &str,
    pod: &str,
) -> Result<(), String> {
    let owner = kube
        .workloads(namespace)
        .find(|(_, _, object)| object.pods.iter().any(|known| known.name == pod))
        .map(|(kind, name, _)| (kind, name.clone()));
    let (kind, name) = owner.ok_or_else(|| format!("pods \"{pod}\" not found"))?;
    kube.delete_pods(cx, namespace, kind, &name, |known| known.name == pod);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{ClockMode, KubeAction, Options, Seed, Sim};
    use serde_json::{Value, json};

    fn sim() -> Sim {
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/z17/seed");
        let start = "2026-01-05T08:00:00Z".parse().unwrap();
        let options = Options {
            clock: ClockMode::Virtual { start },
            ..Options::default()
        };
        Sim::new(&Seed::load(&seed).unwrap(), options)
    }

    fn act(sim: &Sim, action: Value) -> Result<(), String> {
        let action: KubeAction = serde_json::from_value(action).unwrap();
        sim.kube(action).map_err(|error| error.message)
    }

    fn labels(sim: &Sim, name: &str) -> Value {
        let snapshot = sim.snapshot();
        let mut all = snapshot["namespaces"].as_array().unwrap().iter();
        all.find(|it| it["name"] == name).unwrap()["labels"].clone()
    }

    #[test]
    fn a_namespace_is_made_with_labels_and_relabelled() {
        let sim = sim();
        let manifest = json!({"metadata": {"labels": {"team": "a", "stage": "b"}}});
        let create =
            json!({"verb": "create", "kind": "Namespace", "name": "ns", "manifest": manifest});
        assert_eq!(act(&sim, create), Ok(()));
        let patch = json!({"metadata": {"labels": {"team": "c", "stage": null}}});
        let patch = json!({"verb": "patch", "kind": "Namespace", "name": "ns", "patch": patch});
        assert_eq!(act(&sim, patch), Ok(()));
        assert_eq!(
            labels(&sim, "ns"),
            json!({"kubernetes.io/metadata.name": "ns", "team": "c"})
        );
    }

    #[test]
    fn what_is_not_there_is_not_deleted() {
        let sim = sim();
        let namespace = json!({"verb": "delete", "kind": "Namespace", "name": "nope"});
        assert_eq!(
            act(&sim, namespace),
            Err("namespaces \"nope\" not found".to_owned())
        );
        let pod = json!({"verb": "delete", "kind": "Pod", "namespace": "nope", "name": "web-0"});
        assert_eq!(act(&sim, pod), Err("pods \"web-0\" not found".to_owned()));
    }
}
