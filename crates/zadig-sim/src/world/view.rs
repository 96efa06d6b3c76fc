//! What Zadig shows of its clusters: the status of a service, and the live look at it.

use serde_json::{Value, json};

use super::World;
use super::environment::{Deployed, Environment, kind_and_name};
use crate::kube::workload::ready_count;
use crate::kube::{Object, address_text, age, template_of};
use crate::options::Level;
use crate::render::{image_name, is_workload};
use crate::scope::Scope;
use crate::variables::Global;

impl World {
    /// An environment's global variables as they are shown: with the options of the project's test variables of the same keys,
    /// also in production (Z§9 no. 15).
    pub(crate) fn globals(&self, environment: &Environment) -> Vec<Global> {
        let declared = self
            .projects
            .get(&environment.project)
            .map(|project| project.declared(Scope::Test))
            .unwrap_or_default();
        let mut globals = environment.globals.clone();
        for global in &mut globals {
            let declared = declared.iter().find(|d| d.key == global.variable.key);
            if let Some(declared) = declared {
                global.variable.options.clone_from(&declared.options);
            }
        }
        globals
    }

    /// Zadig's word for a service, from its live pods (Z§5.3).
    pub(crate) fn service_status(
        &self,
        environment: &Environment,
        service: &Deployed,
    ) -> &'static str {
        if self.is_helm_project(&environment.project) {
            return "";
        }
        let Some(kube) = self.clusters.get(&environment.cluster_id) else {
            return "unknown";
        };
        let now = self.now();
        let (mut pods, mut ready, mut completed) = (0, 0, 0);
        let (mut containers, mut jobs, mut suspended) = (false, 0, 0);
        for object in &environment.objects(service) {
            let (kind, name) = kind_and_name(object);
            containers |= is_workload(object);
            let Some(live) = kube.object(&environment.namespace, &kind, &name) else {
                continue;
            };
            match kind.as_str() {
                "Deployment" | "StatefulSet" | "CloneSet" => {
                    pods += live.pods.len();
                    ready += ready_count(live, now);
                }
                "Job" => {
                    let done = ready_count(live, now);
                    completed += done;
                    pods += live.pods.len() - done;
                }
                "CronJob" => {
                    jobs += 1;
                    suspended += usize::from(live.manifest["spec"]["suspend"] == true);
                }
                _ => {}
            }
        }
        match (pods, jobs) {
            _ if !containers => "succeeded",
            (0, 0) if completed > 0 => "succeeded",
            (0, 0) => "unstart",
            (0, _) if suspended == jobs => "allsuspend",
            (0, _) if suspended > 0 => "partsuspend",
            (0, _) => "nosuspend",
            _ if ready == pods => "running",
            _ => "unstable",
        }
    }

    /// The live look at a service (Z§4.3).
    pub(crate) fn live(&self, environment: &Environment, name: &str) -> Value {
        let objects = environment
            .service(name)
            .map(|service| environment.objects(service))
            .unwrap_or_default();
        self.shown(environment, name, &objects)
    }

    /// The live look at a workload, with the first Service that leads to its pods; `None` if there is no such workload.
    pub(crate) fn live_workload(
        &self,
        environment: &Environment,
        kind: &str,
        name: &str,
    ) -> Option<Value> {
        let kube = self.clusters.get(&environment.cluster_id)?;
        let workload = kube.object(&environment.namespace, kind, name)?;
        let labels = &workload.template()["metadata"]["labels"];
        let leads = |service: &Object| {
            let selector = service.manifest["spec"]["selector"].as_object();
            let mut pairs = selector.into_iter().flatten();
            pairs.all(|(key, value)| labels.get(key) == Some(value))
        };
        let mut objects = vec![json!({ "kind": kind, "metadata": { "name": name } })];
        let mut services = kube.of_kind(&environment.namespace, "Service");
        if let Some((service, _)) = services.find(|(_, service)| leads(service))
            && kind != "CronJob"
        {
            objects.push(json!({ "kind": "Service", "metadata": { "name": service } }));
        }
        Some(self.shown(environment, name, &objects))
    }

    /// What is live of the objects.
    fn shown(&self, environment: &Environment, name: &str, objects: &[Value]) -> Value {
        let (mut scales, mut jobs, mut endpoints, mut ingresses) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let kube = self.clusters.get(&environment.cluster_id);
        for object in objects {
            let (kind, name) = kind_and_name(object);
            let Some(live) = kube.and_then(|k| k.object(&environment.namespace, &kind, &name))
            else {
                continue;
            };
            match kind.as_str() {
                "Job" | "DaemonSet" if self.level < Level::V50 => {}
                "Deployment" | "StatefulSet" | "CloneSet" | "Job" | "DaemonSet" => scales.push(json!({
                    "name": name,
                    "type": kind,
                    "images": images(live),
                    "pods": self.pods(live, &environment.cluster_id),
                    "replicas": live.replicas(),
                    "zadigx_release_type": "",
                    "zadigx_release_tag": "",
                })),
                "CronJob" => jobs.push(json!({
                    "name": name,
                    "labels": live.manifest["metadata"].get("labels").cloned().unwrap_or_else(|| json!({})),
                    "images": images(live),
                    "pods": [],
                    "create_time": live.created.as_second(),
                    "suspend": live.manifest["spec"]["suspend"] == true,
                    "schedule": live.manifest["spec"]["schedule"],
                    "last_schedule": "N/A",
                })),
                "Service" => {
                    let ports = live.manifest["spec"]["ports"].as_array().into_iter().flatten();
                    let found: Vec<Value> = ports
                        .map(|port| json!({"service_name": name, "service_port": port["port"], "node_port": 0}))
                        .collect();
                    endpoints.push(json!({
                        "name": name,
                        "age": age(self.now(), live.created),
                        "labels": live.manifest["metadata"].get("labels").cloned().unwrap_or_else(|| json!({})),
                        "endpoints": found,
                    }));
                }
                "Ingress" => ingresses.push(json!({
                    "name": name,
                    "labels": live.manifest["metadata"].get("labels").cloned().unwrap_or_else(|| json!({})),
                    "host_info": hosts(&live.manifest),
                    "ips": [],
                    "age": age(self.now(), live.created),
                })),
                _ => {}
            }
        }
        json!({
            "service_name": name,
            "scales": scales,
            "ingress": ingresses,
            "service_endpoints": endpoints,
            "cron_jobs": jobs,
            "namespace": environment.namespace,
            "env_name": environment.key,
            "product_name": environment.project,
            "group_name": "",
        })
    }

    fn pods(&self, object: &Object, cluster: &str) -> Vec<Value> {
        let now = self.now();
        let kube = self.clusters.get(cluster);
        let node = kube
            .and_then(|kube| kube.nodes.first())
            .cloned()
            .unwrap_or_default();
        let host = kube.map(|kube| kube.host_ip.clone()).unwrap_or_default();
        let owner = if object.kind() == "Deployment" {
            "ReplicaSet"
        } else {
            object.kind()
        };
        object
            .pods
            .iter()
            .map(|pod| {
                let ready = pod.is_ready(now);
                let placed = pod.is_scheduled();
                let containers: Vec<Value> = pod.template["spec"]["containers"]
                    .as_array()
                    .filter(|_| placed)
                    .into_iter()
                    .flatten()
                    .map(|container| {
                        let name = container["name"].as_str().unwrap_or_default();
                        let ready = pod.has_ready(name, now);
                        let ailment = pod.ailing.get(name).cloned().unwrap_or_default();
                        let mut shown = json!({
                            "name": container["name"],
                            "image": container["image"],
                            "restart_count": ailment.restarts,
                            "status": if ready { "running" } else { "waiting" },
                            "ready": ready,
                            "ports": container.get("ports").cloned().unwrap_or_else(|| json!([])),
                            "message": ailment.message,
                            "reason": ailment.reason,
                        });
                        if ready {
                            shown["started_at"] = json!(pod.created.as_second());
                        }
                        shown
                    })
                    .collect();
                json!({
                    "kind": owner,
                    "name": pod.name,
                    "status": pod.phase(now),
                    "age": age(now, pod.created),
                    "createtime": pod.created.as_second(),
                    "ip": if placed { address_text(pod.address) } else { String::new() },
                    "labels": pod.labels(object),
                    "containers": containers,
                    "node_name": if placed { node.clone() } else { String::new() },
                    "host_ip": if placed { host.clone() } else { String::new() },
                    "enable_debug_container": false,
                    "pod_ready": ready,
                    "containers_ready": ready,
                    "containers_message": "",
                })
            })
            .collect()
    }
}

/// Where an Ingress leads, host by host.
fn hosts(manifest: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&manifest["spec"]["rules"])
        .iter()
        .map(|rule| {
            let backends: Vec<Value> = list(&rule["http"]["paths"])
                .iter()
                .map(|path| {
                    let service = &path["backend"]["service"];
                    let port = match &service["port"]["number"] {
                        Value::Null => service["port"]["name"].as_str().unwrap_or("").to_owned(),
                        number => number.to_string(),
                    };
                    json!({
                        "path": path["path"].as_str().unwrap_or(""),
                        "path_type": path["pathType"],
                        "service_name": service["name"],
                        "service_port": port,
                    })
                })
                .collect();
            json!({ "host": rule["host"].as_str().unwrap_or(""), "backend": backends })
        })
        .collect()
}

fn images(object: &Object) -> Vec<Value> {
    template_of(&object.manifest)["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            let image = container["image"].as_str().unwrap_or("");
            json!({"name": container["name"], "image": image, "image_name": image_name(image)})
        })
        .collect()
}
