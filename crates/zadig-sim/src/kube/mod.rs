//! A small Kubernetes: namespaces, objects as JSON, pods behind the workloads, readiness and rollouts over time.
//!
//! It has the behaviours that are visible through Zadig (Z§4, Z§17) and no others: no scheduling beyond node selectors, no
//! controllers besides those of workloads, no admission besides validation.

pub(crate) mod apply;
mod configs;
pub(crate) mod istio;
pub(crate) mod merge;
pub(crate) mod quantity;
pub(crate) mod validate;
pub(crate) mod workload;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ailment::Ailment;
use crate::clock::later;
use crate::kube::workload::Pod;

/// Events of a namespace beyond this many are forgotten, oldest first.
const EVENTS_KEPT: usize = 100;

/// Kinds whose pods are made here; a DaemonSet's one for the one node.
const KINDS_WITH_PODS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CloneSet"];

/// One cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) istio: bool,
    /// Whether Zadig can reach it (Z§2.3, 6065).
    pub(crate) reachable: bool,
    pub(crate) nodes: Vec<String>,
    pub(crate) host_ip: String,
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    /// Objects without a namespace, by kind and name.
    pub(crate) global: Objects,
    /// What is wrong with images.
    ailments: BTreeMap<String, Ailment>,
    next_address: u32,
}

/// Objects by kind and name.
pub(crate) type Objects = BTreeMap<String, BTreeMap<String, Object>>;

/// A namespace with what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) terminating: bool,
    pub(crate) objects: Objects,
    pub(crate) events: VecDeque<KubeEvent>,
}

/// An object; its manifest holds neither uid nor times nor generation.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) manifest: Value,
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    pub(crate) generation: i64,
    /// Set while a foreground deletion is under way (Z§4.14).
    pub(crate) deleting: Option<Timestamp>,
    pub(crate) pods: Vec<Pod>,
}

/// An event of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KubeEvent {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// `Warning`, not `Normal`.
    pub(crate) is_warning: bool,
    pub(crate) at: Timestamp,
}

/// What changing a cluster needs besides the cluster.
pub(crate) struct Cx<'a> {
    pub(crate) now: Timestamp,
    pub(crate) pod_ready: Duration,
    pub(crate) rng: &'a mut fastrand::Rng,
    /// Workloads to be looked at again: when, namespace, kind, name.
    pub(crate) wake: Vec<(Timestamp, String, String, String)>,
}

impl Cx<'_> {
    /// A random UUID.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.rng.u64(..), self.rng.u64(..));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48 & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

impl Cluster {
    pub(crate) fn new(istio: bool, reachable: bool, nodes: Vec<String>, host_ip: String) -> Self {
        let mut cluster = Self {
            istio,
            reachable,
            nodes,
            host_ip,
            namespaces: BTreeMap::new(),
            global: Objects::new(),
            ailments: BTreeMap::new(),
            next_address: 2,
        };
        cluster.nodes.retain(|node| !node.is_empty());
        cluster
    }

    /// Makes a namespace with these labels.
    ///
    /// The error is that of an API server for a name it does not take.
    pub(crate) fn create_namespace(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<(), String> {
        if !validate::is_label(name) {
            return Err(format!(
                "Namespace \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\": {}",
                validate::LABEL_RULE
            ));
        }
        if self.namespaces.contains_key(name) {
            return Err(format!("namespaces \"{name}\" already exists"));
        }
        let mut all = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]);
        all.extend(
            labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let mut namespace = Namespace {
            uid: cx.uid(),
            created: cx.now,
            labels: all,
            terminating: false,
            objects: Objects::new(),
            events: VecDeque::new(),
        };
        // Every namespace gets this one from the cluster itself.
        let root = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "kube-root-ca.crt",
                "namespace": name,
                "annotations": {
                    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver."
                },
            },
            "data": { "ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" },
        });
        let object = Object::new(cx, root);
        namespace.insert("ConfigMap", "kube-root-ca.crt", object);
        self.namespaces.insert(name.to_owned(), namespace);
        Ok(())
    }

    /// Marks a namespace as going; nothing new is made in it.
    pub(crate) fn terminate(&mut self, name: &str) -> Option<String> {
        let namespace = self
            .namespaces
            .get_mut(name)
            .filter(|namespace| !namespace.terminating)?;
        namespace.terminating = true;
        Some(namespace.uid.clone())
    }

    /// The object, if there is one.
    pub(crate) fn object(&self, namespace: &str, kind: &str, name: &str) -> Option<&Object> {
        self.objects_of(namespace, kind)?.get(kind)?.get(name)
    }

    /// The object to be changed, if there is one.
    pub(crate) fn object_mut(
        &mut self,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Option<&mut Object> {
        let objects = if is_global(kind) {
            &mut self.global
        } else {
            &mut self.namespaces.get_mut(namespace)?.objects
        };
        objects.get_mut(kind)?.get_mut(name)
    }

    /// All objects of a kind in a namespace, by name.
    pub(crate) fn of_kind<'a>(
        &'a self,
        namespace: &str,
        kind: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Object)> + use<'a> {
        self.objects_of(namespace, kind)
            .and_then(|objects| objects.get(kind))
            .into_iter()
            .flatten()
    }

    fn objects_of(&self, namespace: &str, kind: &str) -> Option<&Objects> {
        if is_global(kind) {
            Some(&self.global)
        } else {
            self.namespaces
                .get(namespace)
                .map(|namespace| &namespace.objects)
        }
    }

    /// Puts a new object in its place; the caller has validated it.
    pub(crate) fn insert(&mut self, namespace: &str, kind: &str, name: &str, object: Object) {
        if is_global(kind) {
            self.global
                .entry(kind.to_owned())
                .or_default()
                .insert(name.to_owned(), object);
        } else if let Some(namespace) = self.namespaces.get_mut(namespace) {
            namespace.insert(kind, name, object);
        }
    }

    /// Removes an object with its pods; whether there was one.
    pub(crate) fn remove(&mut self, namespace: &str, kind: &str, name: &str) -> bool {
        let objects = if is_global(kind) {
            Some(&mut self.global)
        } else {
            self.namespaces
                .get_mut(namespace)
                .map(|namespace| &mut namespace.objects)
        };
        let Some(of_kind) = objects.and_then(|objects| objects.get_mut(kind)) else {
            return false;
        };
        of_kind.remove(name).is_some()
    }

    /// Lets the workload's controller run until it has to wait for a pod.
    pub(crate) fn settle(&mut self, cx: &mut Cx<'_>, namespace: &str, kind: &str, name: &str) {
        if !KINDS_WITH_PODS.contains(&kind) {
            return;
        }
        let injects = self
            .namespaces
            .get(namespace)
            .and_then(|found| found.labels.get("istio-injection"))
            .is_some_and(|value| value == "enabled")
            && self.istio;
        let mut next_address = self.next_address;
        let Some(space) = self
            .namespaces
            .get_mut(namespace)
            .filter(|space| !space.terminating)
        else {
            return;
        };
        let Some(object) = space
            .objects
            .get_mut(kind)
            .and_then(|objects| objects.get_mut(name))
            .filter(|object| object.deleting.is_none())
        else {
            return;
        };
        let mut events = Vec::new();
        let again = workload::settle(
            cx,
            kind,
            name,
            object,
            &mut next_address,
            injects,
            &mut events,
        );
        self.next_address = next_address;
        let mut noted: Vec<KubeEvent> = events
            .into_iter()
            .map(|(reason, message)| KubeEvent {
                kind: kind.to_owned(),
                name: name.to_owned(),
                reason,
                message,
                is_warning: false,
                at: cx.now,
            })
            .collect();
        for pod in &mut object.pods {
            let ailing = pod.ailments(&self.ailments);
            let before = std::mem::replace(&mut pod.ailing, ailing);
            for (container, ailment) in &pod.ailing {
                if !before.contains_key(container) {
                    noted.push(KubeEvent {
                        kind: "Pod".to_owned(),
                        name: pod.name.clone(),
                        reason: ailment.event(),
                        message: ailment.message.clone(),
                        is_warning: true,
                        at: cx.now,
                    });
                }
            }
        }
        for event in noted {
            space.note(event);
        }
        if let Some(at) = again {
            cx.wake
                .push((at, namespace.to_owned(), kind.to_owned(), name.to_owned()));
        }
    }

    /// Changes what is wrong with an image; `None`: nothing any more. Every workload is looked at again.
    pub(crate) fn ail(&mut self, cx: &mut Cx<'_>, image: &str, ailment: Option<Ailment>) {
        match ailment {
            Some(ailment) => self.ailments.insert(image.to_owned(), ailment),
            None => self.ailments.remove(image),
        };
        let workloads: Vec<(String, &'static str, String)> = self
            .namespaces
            .keys()
            .flat_map(|namespace| {
                self.workloads(namespace)
                    .map(|(kind, name, _)| (namespace.clone(), kind, name.clone()))
            })
            .collect();
        for (namespace, kind, name) in workloads {
            self.settle(cx, &namespace, kind, &name);
            // Once more, now that its pods are known to be well or not.
            self.settle(cx, &namespace, kind, &name);
        }
    }

    /// Deletes the pods of a workload for which `chosen` holds; their owner makes new ones.
    pub(crate) fn delete_pods(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        kind: &str,
        name: &str,
        chosen: impl Fn(&Pod) -> bool,
    ) -> usize {
        let Some(object) = self.object_mut(namespace, kind, name) else {
            return 0;
        };
        let before = object.pods.len();
        object.pods.retain(|pod| !chosen(pod));
        let deleted = before - object.pods.len();
        if deleted > 0 {
            self.settle(cx, namespace, kind, name);
        }
        deleted
    }

    /// The workloads with pods of a namespace: kind, name, object.
    pub(crate) fn workloads(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&'static str, &String, &Object)> {
        let objects = self
            .namespaces
            .get(namespace)
            .map(|namespace| &namespace.objects);
        KINDS_WITH_PODS.into_iter().flat_map(move |kind| {
            objects
                .and_then(|objects| objects.get(kind))
                .into_iter()
                .flatten()
                .map(move |(name, object)| (kind, name, object))
        })
    }
}

impl Namespace {
    fn insert(&mut self, kind: &str, name: &str, object: Object) {
        self.objects
            .entry(kind.to_owned())
            .or_default()
            .insert(name.to_owned(), object);
    }

    fn note(&mut self, event: KubeEvent) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Object {
    pub(crate) fn new(cx: &mut Cx<'_>, manifest: Value) -> Self {
        Self {
            manifest,
            uid: cx.uid(),
            created: cx.now,
            generation: 1,
            deleting: None,
            pods: Vec::new(),
        }
    }

    /// Begins a foreground deletion, which takes the pods first; whether it had not begun before.
    pub(crate) fn mark_deleted(&mut self, now: Timestamp) -> bool {
        if self.deleting.is_some() {
            return false;
        }
        self.deleting = Some(now);
        self.generation += 1;
        self.pods.clear();
        true
    }

    /// A label's value.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.manifest["metadata"]["labels"][key].as_str()
    }

    /// The object as the API server gives it, without `managedFields` and `resourceVersion`.
    pub(crate) fn live(&self) -> Value {
        let mut live = self.manifest.clone();
        let metadata = entry(&mut live, "metadata");
        metadata.insert("uid".to_owned(), json!(self.uid));
        metadata.insert(
            "creationTimestamp".to_owned(),
            json!(seconds_text(self.created)),
        );
        if has_generation(self.kind()) {
            metadata.insert("generation".to_owned(), json!(self.generation));
        }
        if self.kind() == "PersistentVolumeClaim" {
            metadata.insert(
                "finalizers".to_owned(),
                json!(["kubernetes.io/pvc-protection"]),
            );
        }
        if let Some(at) = self.deleting {
            metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
            metadata.insert("deletionTimestamp".to_owned(), json!(seconds_text(at)));
            let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
            if let Some(finalizers) = finalizers.as_array_mut() {
                finalizers.push(json!("foregroundDeletion"));
            }
        }
        match self.kind() {
            "PersistentVolumeClaim" => live["status"] = json!({ "phase": "Pending" }),
            "Ingress" => live["status"] = json!({ "loadBalancer": {} }),
            _ => {}
        }
        live
    }

    pub(crate) fn kind(&self) -> &str {
        self.manifest["kind"].as_str().unwrap_or("")
    }

    /// `spec.replicas`, which the API server sets to 1 where it is absent.
    pub(crate) fn replicas(&self) -> i64 {
        self.manifest["spec"]["replicas"].as_i64().unwrap_or(1)
    }

    /// The pod template, wherever the kind has it.
    pub(crate) fn template(&self) -> &Value {
        template_of(&self.manifest)
    }
}

/// The pod template of a workload's manifest; null if it has none.
pub(crate) fn template_of(manifest: &Value) -> &Value {
    if manifest["kind"] == "CronJob" {
        &manifest["spec"]["jobTemplate"]["spec"]["template"]
    } else {
        &manifest["spec"]["template"]
    }
}

/// The pod template to be changed, if the manifest has one.
pub(crate) fn template_of_mut(manifest: &mut Value) -> Option<&mut Value> {
    let path = if manifest["kind"] == "CronJob" {
        "/spec/jobTemplate/spec/template"
    } else {
        "/spec/template"
    };
    manifest
        .pointer_mut(path)
        .filter(|template| template.is_object())
}

/// The object at `key`, made if there is none.
pub(crate) fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let slot = &mut value[key];
    if !slot.is_object() {
        *slot = json!({});
    }
    // The branch above made it an object.
    slot.as_object_mut().expect("an object was just put here")
}

/// A time as Kubernetes writes it.
pub(crate) fn seconds_text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Kinds that have a namespace of their own or none.
pub(crate) fn is_global(kind: &str) -> bool {
    matches!(
        kind,
        "ClusterRole"
            | "ClusterRoleBinding"
            | "CustomResourceDefinition"
            | "Namespace"
            | "PersistentVolume"
            | "StorageClass"
            | "PriorityClass"
            | "IngressClass"
    )
}

fn has_generation(kind: &str) -> bool {
    !matches!(
        kind,
        "ConfigMap" | "Secret" | "Service" | "PersistentVolumeClaim" | "ServiceAccount"
    )
}

/// An age as `kubectl` shows it in short.
pub(crate) fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match (seconds, seconds / 60, seconds / 3600, seconds / 86_400) {
        (seconds, 0, ..) => format!("{seconds}s"),
        (_, minutes, 0, _) => format!("{minutes}m"),
        (_, _, hours, 0) => format!("{hours}h"),
        (.., days) if days < 365 => format!("{days}d"),
        (.., days) => format!("{}y", days / 365),
    }
}

/// A pod's address in the cluster's range.
pub(crate) fn address_text(number: u32) -> String {
    format!("10.244.{}.{}", (number >> 8) & 0xff, number & 0xff)
}

/// When something that begins now is over.
pub(crate) fn in_time(cx: &Cx<'_>, duration: Duration) -> Timestamp {
    later(cx.now, duration)
}
