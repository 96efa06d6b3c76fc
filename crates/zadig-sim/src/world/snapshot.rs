//! The whole state as JSON, for assertions and debugging: Zadig's records, and every object of every namespace as `kubectl get -o json`
//! shows it. It holds no Secret's content.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::environment::Environment;
use crate::kube::workload::{Pod, hash_of, ready_count};
use crate::kube::{Cluster, Namespace, Object, address_text, seconds_text};

impl World {
    /// `environments` with their records, `namespaces` with their objects.
    pub(crate) fn snapshot(&self) -> Value {
        let environments: Vec<Value> = self
            .environments
            .values()
            .map(|environment| self.recorded(environment))
            .collect();
        let now = self.now();
        let namespaces: Vec<Value> = self
            .clusters
            .iter()
            .flat_map(|(id, kube)| {
                kube.namespaces
                    .iter()
                    .map(move |(name, namespace)| shown(id, kube, name, namespace, now))
            })
            .collect();
        json!({ "environments": environments, "namespaces": namespaces })
    }

    /// The namespaces of that name alone, as the snapshot shows them.
    pub(crate) fn namespaces_named(&self, wanted: &str) -> Vec<Value> {
        let now = self.now();
        self.clusters
            .iter()
            .filter_map(|(id, kube)| {
                let (name, namespace) = kube.namespaces.get_key_value(wanted)?;
                Some(shown(id, kube, name, namespace, now))
            })
            .collect()
    }

    fn recorded(&self, environment: &Environment) -> Value {
        let services: Vec<Value> = environment
            .services
            .iter()
            .map(|service| {
                json!({
                    "name": service.name,
                    "status": self.service_status(environment, service),
                    "images": service.images,
                    "replicas": service.replicas,
                    "variables": service.variables,
                    "deploy_strategy": service.overrides.strategy,
                })
            })
            .collect();
        json!({
            "project": environment.project,
            "env_key": environment.key,
            "status": environment.status,
            "update_by": environment.update_by,
            "update_time": environment.update_time,
            "cluster_id": environment.cluster_id,
            "namespace": environment.namespace,
            "registry_id": environment.registry_id,
            "global_variables": environment.globals,
            "services": services,
        })
    }
}

fn shown(
    cluster_id: &str,
    kube: &Cluster,
    name: &str,
    namespace: &Namespace,
    now: Timestamp,
) -> Value {
    let mut objects = Vec::new();
    for (kind, of_kind) in &namespace.objects {
        for object in of_kind.values() {
            objects.push(object_shown(kind, object, now));
            objects.extend(
                object
                    .pods
                    .iter()
                    .map(|pod| pod_shown(kube, name, object, pod, now)),
            );
        }
    }
    json!({
        "cluster_id": cluster_id,
        "name": name,
        "uid": namespace.uid,
        "created": seconds_text(namespace.created),
        "phase": if namespace.terminating { "Terminating" } else { "Active" },
        "labels": namespace.labels,
        "objects": objects,
    })
}

fn object_shown(kind: &str, object: &Object, now: Timestamp) -> Value {
    let mut live = object.live();
    match kind {
        "Secret" => {
            if let Some(fields) = live.as_object_mut() {
                fields.remove("data");
                fields.remove("stringData");
            }
            // Tools keep the whole text there.
            if let Some(annotations) = live["metadata"]["annotations"].as_object_mut() {
                annotations.retain(|key, _| !key.ends_with("last-applied-configuration"));
            }
        }
        "Deployment" | "StatefulSet" | "CloneSet" => {
            let hash = hash_of(object);
            let updated = object.pods.iter().filter(|pod| pod.hash == hash).count();
            live["status"] = json!({
                "observedGeneration": object.generation,
                "replicas": object.pods.len(),
                "readyReplicas": ready_count(object, now),
                "updatedReplicas": updated,
            });
        }
        _ => {}
    }
    live
}

fn pod_shown(kube: &Cluster, namespace: &str, owner: &Object, pod: &Pod, now: Timestamp) -> Value {
    let mut spec = pod.template["spec"].clone();
    let mut status = json!({ "phase": "Pending" });
    if pod.is_scheduled() {
        spec["nodeName"] = json!(kube.nodes.first());
        status["podIP"] = json!(address_text(pod.address));
        status["hostIP"] = json!(kube.host_ip);
    }
    if pod.is_ready(now) {
        status["phase"] = json!("Running");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": namespace,
            "uid": pod.uid,
            "creationTimestamp": seconds_text(pod.created),
            "labels": pod.labels(owner),
            "annotations": pod.template["metadata"]["annotations"],
            "ownerReferences": [{
                "kind": owner.kind(),
                "name": owner.manifest["metadata"]["name"],
                "uid": owner.uid,
            }],
        },
        "spec": spec,
        "status": status,
    })
}
