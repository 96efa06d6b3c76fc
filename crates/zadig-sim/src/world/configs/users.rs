//! Which workloads use a configuration object, and what a write does to their pods (Z§4.14).

use serde_json::Value;

use super::ConfigKind;
use crate::kube::{Object, template_of};
use crate::world::{Key, World};

/// A workload that uses a configuration object.
pub(crate) struct User {
    pub(crate) workload: String,
    service: String,
}

impl World {
    /// The workloads of an environment that use the object, the oldest first (Z§4.14).
    ///
    /// Zadig's index knows Deployments and StatefulSets of K8s YAML services alone, and only in namespaces that it made.
    pub(crate) fn users_of(&self, env: &Key, kind: ConfigKind, name: &str) -> Vec<User> {
        let Some(environment) = self.environments.get(env) else {
            return Vec::new();
        };
        let yaml_services = self
            .projects
            .get(&env.0)
            .is_some_and(|project| project.deploy_type == "k8s");
        let kube = self.clusters.get(&environment.cluster_id);
        let namespace = kube.and_then(|kube| kube.namespaces.get(&environment.namespace));
        let (Some(kube), Some(namespace), true) = (kube, namespace, yaml_services) else {
            return Vec::new();
        };
        if namespace.labels.get("createdBy").map(String::as_str) != Some("koderover") {
            return Vec::new();
        }
        let mut found: Vec<(&Object, usize, User)> = kube
            .workloads(&environment.namespace)
            .filter(|(kind, ..)| matches!(*kind, "Deployment" | "StatefulSet"))
            .filter_map(|(_, workload, object)| {
                let label = object.label("s-service").unwrap_or("");
                let position = environment
                    .services
                    .iter()
                    .position(|service| service.name == label || service.name == *workload)?;
                let user = User {
                    workload: workload.clone(),
                    service: label.to_owned(),
                };
                Some((object, position, user))
            })
            .filter(|(object, ..)| refers(template_of(&object.manifest), kind, name))
            .collect();
        found.sort_by_key(|(object, position, _)| (object.created, *position));
        found.into_iter().map(|(.., user)| user).collect()
    }

    /// Deletes the pods of every service that uses the object; their owners make new ones.
    pub(crate) fn restart_users(&mut self, env: &Key, kind: ConfigKind, name: &str) {
        // The look-up for a PVC goes through the wrong list (Z§4.14).
        let listed = match kind {
            ConfigKind::Pvc => ConfigKind::Secret,
            ConfigKind::Ingress => return,
            kind => kind,
        };
        let users = self.users_of(env, listed, name);
        let Some(environment) = self.environments.get(env) else {
            return;
        };
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let project = &env.0;
        self.in_cluster(&cluster, |kube, cx| {
            let owners: Vec<(&'static str, String)> = kube
                .workloads(&namespace)
                .map(|(kind, name, _)| (kind, name.clone()))
                .collect();
            for (kind, name) in owners {
                kube.delete_pods(cx, &namespace, kind, &name, |pod| {
                    let labels = &pod.template["metadata"]["labels"];
                    labels["s-product"] == *project
                        && users.iter().any(|user| labels["s-service"] == user.service)
                });
            }
        });
    }
}

/// Whether a pod template refers to the object of this type and name.
fn refers(template: &Value, kind: ConfigKind, name: &str) -> bool {
    let spec = &template["spec"];
    let is = |value: &Value| value == name;
    let items = |value: &Value, list: &str| value[list].as_array().cloned().unwrap_or_default();
    let in_containers = || {
        ["initContainers", "containers", "ephemeralContainers"]
            .iter()
            .flat_map(|list| items(spec, list))
            .any(|container| {
                let (from, key) = match kind {
                    ConfigKind::ConfigMap => ("configMapRef", "configMapKeyRef"),
                    ConfigKind::Secret => ("secretRef", "secretKeyRef"),
                    ConfigKind::Ingress | ConfigKind::Pvc => return false,
                };
                items(&container, "envFrom")
                    .iter()
                    .any(|source| is(&source[from]["name"]))
                    || items(&container, "env")
                        .iter()
                        .any(|variable| is(&variable["valueFrom"][key]["name"]))
            })
    };
    let in_volumes = || {
        items(spec, "volumes").iter().any(|volume| {
            let projected = || items(&volume["projected"], "sources");
            match kind {
                ConfigKind::ConfigMap => {
                    is(&volume["configMap"]["name"])
                        || projected().iter().any(|it| is(&it["configMap"]["name"]))
                }
                ConfigKind::Secret => {
                    is(&volume["secret"]["secretName"])
                        || projected().iter().any(|it| is(&it["secret"]["name"]))
                }
                ConfigKind::Pvc => is(&volume["persistentVolumeClaim"]["claimName"]),
                ConfigKind::Ingress => false,
            }
        })
    };
    let in_pull_secrets = || {
        kind == ConfigKind::Secret
            && items(spec, "imagePullSecrets")
                .iter()
                .any(|secret| is(&secret["name"]))
    };
    in_containers() || in_volumes() || in_pull_secrets()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_refers_to_objects_from_variables_volumes_and_pull_secrets() {
        let template = json!({ "spec": {
            "imagePullSecrets": [{ "name": "pull" }],
            "initContainers": [{ "envFrom": [{ "configMapRef": { "name": "init" } }] }],
            "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "key" } } }] }],
            "volumes": [
                { "configMap": { "name": "mounted" } },
                { "secret": { "secretName": "file" } },
                { "projected": { "sources": [{ "configMap": { "name": "part" } }] } },
                { "persistentVolumeClaim": { "claimName": "data" } },
            ],
        } });
        let found = |kind: ConfigKind| -> Vec<&str> {
            let names = ["pull", "init", "key", "mounted", "file", "part", "data"];
            let mut names = names.to_vec();
            names.retain(|name| refers(&template, kind, name));
            names
        };
        assert_eq!(found(ConfigKind::ConfigMap), ["init", "mounted", "part"]);
        assert_eq!(found(ConfigKind::Secret), ["pull", "key", "file"]);
        assert_eq!(found(ConfigKind::Pvc), ["data"]);
        assert_eq!(found(ConfigKind::Ingress), Vec::<&str>::new());
    }
}
