//! Configuration objects of an environment: their types, what a write makes of a manifest, and those of a create call (Z§4.6,
//! Z§4.14).
//!
//! The objects live in the cluster alone. What Zadig notes of each write is in `records`, who uses an object in `users`.

mod records;
mod source;
mod users;

use serde_json::{Value, json};

use super::{Key, World};
use crate::kube::entry;
use crate::render::{Place, system_variables};
use crate::request::kind_of;
use crate::variables::go_print;
use crate::yaml;

pub(crate) use records::{ConfigRecords, DuplicateKey};
pub(crate) use source::GitFile;

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
    entry(manifest, "metadata");
    entry(&mut manifest["metadata"], "labels").insert(key.to_owned(), json!(value));
}

/// Replaces system variables in the values of a ConfigMap, as PUT alone does.
pub(crate) fn fill(manifest: &mut Value, place: Place<'_>) {
    for value in manifest["data"].as_object_mut().into_iter().flatten() {
        if let Value::String(text) = value.1 {
            *text = system_variables(text, place);
        }
    }
}

impl World {
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
        let object = typed(kind, object).map_err(|error| {
            let kind = kind.kind();
            format!("failed to unmarshal target JSON to {kind}: {error}")
        })?;
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let word = match kind {
            ConfigKind::ConfigMap => "configmap",
            ConfigKind::Secret => "secret",
            ConfigKind::Ingress => "ingress",
            ConfigKind::Pvc => "PVC",
        };
        self.in_cluster(cluster, |kube, cx| {
            let exists = kube.object(namespace, kind.kind(), &name).is_some();
            kube.create_or_patch(cx, namespace, None, &object)
                .map_err(|error| {
                    if exists {
                        format!("{word} patch failed: {error}")
                    } else {
                        format!("failed to create {word}: {error}")
                    }
                })
        })
        .unwrap_or_else(|| Err("cluster not found".to_owned()))?;
        Ok((kind, name))
    }
}
