//! Configuration objects of an environment: who wrote them last, which workloads use them, and what a write makes of them (Z§4.14).
//!
//! The objects themselves live in the cluster alone; Zadig keeps a copy of each write, which nothing ever prunes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Key, World};
use crate::kube::{Cluster, Object, entry, merge, template_of};
use crate::render::{Place, system_variables};
use crate::request::kind_of;
use crate::variables::go_print;
use crate::yaml;

/// A type of configuration objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConfigKind {
    ConfigMap,
    Secret,
    Ingress,
    Pvc,
}

impl ConfigKind {
    /// The type of this name; names are case-sensitive.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match name {
            "ConfigMap" => Some(Self::ConfigMap),
            "Secret" => Some(Self::Secret),
            "Ingress" => Some(Self::Ingress),
            "PVC" => Some(Self::Pvc),
            _ => None,
        }
    }

    fn of_object(object: &Value) -> Option<Self> {
        match object["kind"].as_str()? {
            "PersistentVolumeClaim" => Some(Self::Pvc),
            kind => Self::of_name(kind).filter(|kind| *kind != Self::Pvc),
        }
    }

    /// Zadig's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Ingress => "Ingress",
            Self::Pvc => "PVC",
        }
    }

    /// Kubernetes' word for it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Pvc => "PersistentVolumeClaim",
            other => other.name(),
        }
    }

    /// The fields its Go type has; others of a manifest are lost. An Ingress goes through no type.
    fn fields(self) -> Option<&'static [&'static str]> {
        match self {
            Self::ConfigMap => Some(&["data", "binaryData", "immutable"]),
            Self::Secret => Some(&["data", "stringData", "immutable", "type"]),
            Self::Pvc => Some(&["spec", "status"]),
            Self::Ingress => None,
        }
    }
}

/// Records of one object.
type Records = Vec<Record>;

/// A write that Zadig has noted.
#[derive(Debug, Clone, PartialEq)]
struct Record {
    at: i64,
    by: String,
    deleted: bool,
}

/// All that Zadig has noted about configuration objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigRecords {
    by_object: BTreeMap<(Key, ConfigKind, String), Records>,
}

/// The unique index on object and second (Z§4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuplicateKey;

impl ConfigRecords {
    /// Notes a write.
    pub(crate) fn note(
        &mut self,
        env: &Key,
        kind: ConfigKind,
        name: &str,
        by: &str,
        at: i64,
    ) -> Result<(), DuplicateKey> {
        let records = self
            .by_object
            .entry((env.clone(), kind, name.to_owned()))
            .or_default();
        if records.iter().any(|record| record.at == at) {
            return Err(DuplicateKey);
        }
        records.push(Record {
            at,
            by: by.to_owned(),
            deleted: false,
        });
        Ok(())
    }

    /// Notes a deletion: the last write does not count any more.
    pub(crate) fn note_deletion(&mut self, env: &Key, kind: ConfigKind, name: &str) {
        let records = self
            .by_object
            .get_mut(&(env.clone(), kind, name.to_owned()));
        if let Some(record) = records.and_then(|records| records.last_mut()) {
            record.deleted = true;
        }
    }

    /// Who wrote it last, as far as the object was not deleted since.
    pub(crate) fn writer(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<&str> {
        let records = self.by_object.get(&(env.clone(), kind, name.to_owned()))?;
        let active = records.iter().rfind(|record| !record.deleted)?;
        Some(&active.by)
    }

    /// The last write whether or not the object was deleted since: time and writer.
    pub(crate) fn last(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<(i64, &str)> {
        let records = self.by_object.get(&(env.clone(), kind, name.to_owned()))?;
        records.last().map(|record| (record.at, record.by.as_str()))
    }
}

/// The manifest of a text, as Zadig's decoder takes it: an object with a kind.
pub(crate) fn manifest(text: &str) -> Result<Value, String> {
    // More documents than one are not looked at.
    let object = yaml::documents(text)?
        .into_iter()
        .next()
        .unwrap_or_default();
    if !object.is_object() && !object.is_null() {
        return Err(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string; Kind string }}",
            kind_of(&object)
        ));
    }
    if object["kind"].as_str().unwrap_or("").is_empty() {
        return Err(format!("Object 'Kind' is missing in '{object}'"));
    }
    Ok(object)
}

/// An object as Go prints it with `%v`.
pub(crate) fn go_object(object: &Value) -> String {
    format!("&{{{}}}", go_print(object))
}

/// The manifest as its Go type holds it.
pub(crate) fn typed(kind: ConfigKind, mut manifest: Value) -> Result<Value, String> {
    crate::kube::validate::decode(kind.kind(), &manifest)?;
    if let (Some(fields), Some(object)) = (kind.fields(), manifest.as_object_mut()) {
        object.retain(|field, _| {
            matches!(field.as_str(), "apiVersion" | "kind" | "metadata")
                || fields.contains(&field.as_str())
        });
        object.insert("apiVersion".to_owned(), json!("v1"));
    }
    Ok(manifest)
}

/// Puts the label on that everything of a project carries.
pub(crate) fn label(manifest: &mut Value, key: &str, value: &str) {
    entry(entry_value(manifest, "metadata"), "labels").insert(key.to_owned(), json!(value));
}

fn entry_value<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    entry(value, key);
    &mut value[key]
}

/// Replaces system variables in the values of a ConfigMap, as PUT alone does.
pub(crate) fn fill(manifest: &mut Value, place: Place<'_>) {
    for value in manifest["data"].as_object_mut().into_iter().flatten() {
        if let Value::String(text) = value.1 {
            *text = system_variables(text, place);
        }
    }
}

/// The names of the objects of a kind that a pod template refers to.
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

    /// Begins the foreground deletion of an object, which goes a moment later; nothing if it is missing.
    pub(crate) fn delete_config(&mut self, env: &Key, kind: ConfigKind, name: &str) {
        let Some(environment) = self.environments.get(env) else {
            return;
        };
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let after = self.pace().config_deletion;
        self.begin_deletion(&cluster, &namespace, kind.kind(), name, after);
        self.config_records.note_deletion(env, kind, name);
    }

    /// Writes the objects of a create call; what was written before a refused one stays (Z§19).
    pub(crate) fn apply_configs(
        &mut self,
        cluster: &str,
        namespace: &str,
        env: &Key,
        texts: &[String],
    ) -> Result<Vec<(ConfigKind, String)>, String> {
        let mut written = Vec::new();
        let mut errors = Vec::new();
        for text in texts {
            match self.apply_config(cluster, namespace, env, text) {
                Ok(object) => written.push(object),
                Err(error) => errors.push(error),
            }
        }
        match errors.as_slice() {
            [] => Ok(written),
            [error] => Err(format!("创建环境配置 {} 失败:{error}", env.1)),
            errors => {
                let lines: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
                Err(format!(
                    "创建环境配置 {} 失败:\n{}",
                    env.1,
                    lines.join("\n")
                ))
            }
        }
    }

    fn apply_config(
        &mut self,
        cluster: &str,
        namespace: &str,
        env: &Key,
        text: &str,
    ) -> Result<(ConfigKind, String), String> {
        let mut object = manifest(text)?;
        let Some(kind) = ConfigKind::of_object(&object) else {
            return Err(format!(
                "Failed to initEnvConfigSet {}, manifest is\n{}\n, error: kind not support",
                object["kind"].as_str().unwrap_or(""),
                go_object(&object)
            ));
        };
        label(&mut object, "s-product", &env.0);
        label(&mut object, "s-env", &env.1);
        let object = typed(kind, object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        self.in_cluster(cluster, |kube, cx| {
            kube.create_or_patch(cx, namespace, None, &object)
        })
        .unwrap_or_else(|| Err("cluster not found".to_owned()))
        .map_err(|error| match kind {
            ConfigKind::ConfigMap => format!("configmap operation failed after retries: {error}"),
            ConfigKind::Secret => format!("failed to create secret: {error}"),
            ConfigKind::Ingress => format!("failed to create ingress: {error}"),
            ConfigKind::Pvc => format!("failed to create PVC: {error}"),
        })?;
        Ok((kind, name))
    }
}

impl Cluster {
    /// Changes an Ingress by the manifest as a merge patch: what the manifest does not name stays.
    pub(crate) fn merge_ingress(
        &mut self,
        cx: &mut crate::kube::Cx<'_>,
        namespace: &str,
        manifest: &Value,
    ) -> Result<(), String> {
        let name = manifest["metadata"]["name"].as_str().unwrap_or("");
        if self.object(namespace, "Ingress", name).is_none() {
            return self.create(cx, namespace, manifest);
        }
        self.edit(cx, namespace, "Ingress", name, |live| {
            merge::merge_patch(live, manifest);
        })
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_deletion_takes_the_last_record_alone_out_of_force() {
        let env = ("shop".to_owned(), "dev".to_owned());
        let mut records = ConfigRecords::default();
        let kind = ConfigKind::Secret;
        assert_eq!(records.note(&env, kind, "s", "ann", 1), Ok(()));
        assert_eq!(records.note(&env, kind, "s", "bob", 1), Err(DuplicateKey));
        assert_eq!(records.note(&env, kind, "s", "bob", 2), Ok(()));
        records.note_deletion(&env, kind, "s");
        assert_eq!(records.writer(&env, kind, "s"), Some("ann"));
        assert_eq!(records.last(&env, kind, "s"), Some((2, "bob")));
        assert_eq!(records.writer(&env, ConfigKind::ConfigMap, "s"), None);
    }
}
