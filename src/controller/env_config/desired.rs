//! From the spec to a declared object with its content: the source read, Zadig's own placeholders filled in.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::api::condition::Reason;
use crate::api::env_config::{ConfigType, ZadigEnvConfig, ZadigEnvConfigSpec};
use crate::api::environment::ZadigEnvironment;
use crate::controller::context::Context;
use crate::controller::desired::{SourceKind, target_namespace};
use crate::controller::outcome::Outcome;
use crate::error::Error;
use crate::plan::env_config::{Config, Object};

/// The Secrets and ConfigMaps that a spec refers to, by kind and name.
pub(in crate::controller) fn sources(spec: &ZadigEnvConfigSpec) -> Vec<(SourceKind, String)> {
    let map = spec.config_map_ref.iter();
    let secret = spec.secret_ref.iter();
    map.map(|source| (SourceKind::ConfigMap, source.name.clone()))
        .chain(secret.map(|source| (SourceKind::Secret, source.name.clone())))
        .collect()
}

/// The object as declared, or what has to come first.
///
/// # Errors
/// When Kubernetes does not answer; a missing source is no error.
pub(in crate::controller) async fn content(
    ctx: &Context,
    object: &ZadigEnvConfig,
    environment: &ZadigEnvironment,
) -> Result<Result<Config, Outcome>, Error> {
    let ZadigEnvConfigSpec {
        environment_ref: _,
        type_,
        name,
        manifest,
        config_map_ref,
        secret_ref,
        git,
        creation,
        deletion: _,
        approved_plan: _,
        suspend: _,
    } = &object.spec;
    let namespace = object.namespace().unwrap_or_default();
    let content = if let Some(source) = config_map_ref {
        let found = config_map(&ctx.client, &namespace, &source.name).await?;
        found.ok_or_else(|| missing("configMapRef", "ConfigMap", &source.name))
    } else if let Some(source) = secret_ref {
        let found = secret(&ctx.client, &namespace, &source.name).await?;
        found.ok_or_else(|| missing("secretRef", "Secret", &source.name))
    } else {
        Ok(Value::Object(manifest.clone().unwrap_or_default()))
    };
    let mut content = match content {
        Ok(content) => content,
        Err(outcome) => return Ok(Err(outcome)),
    };
    identify(&mut content, name);
    if *type_ == ConfigType::ConfigMap
        && let Err(outcome) = fill_in(&mut content, environment)
    {
        return Ok(Err(outcome));
    }
    Ok(Ok(Config {
        kind: *type_,
        name: name.clone(),
        object: Object(content),
        git: git.clone(),
        creation: *creation,
    }))
}

fn missing(field: &str, kind: &str, name: &str) -> Outcome {
    Outcome::Working(
        Reason::SourceNotFound,
        format!("spec.{field}: waiting for {kind} {name} in this namespace"),
    )
}

async fn config_map(client: &Client, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = maps
        .get_opt(name)
        .await
        .map_err(Error::kubernetes("read a referenced ConfigMap"))?;
    Ok(found.map(|map| {
        let mut content = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        if let Some(data) = map.data {
            content["data"] = json!(data);
        }
        if let Some(data) = map.binary_data {
            content["binaryData"] = encoded(data);
        }
        content
    }))
}

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets
        .get_opt(name)
        .await
        .map_err(Error::kubernetes("read a referenced Secret"))?;
    Ok(found.map(|secret| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": secret.type_.unwrap_or_else(|| "Opaque".to_owned()),
            "data": encoded(secret.data.unwrap_or_default()),
        })
    }))
}

fn encoded(data: BTreeMap<String, ByteString>) -> Value {
    data.into_iter()
        .map(|(key, value)| (key, Value::from(STANDARD.encode(value.0))))
        .collect()
}

/// Gives the object its name, and takes away what belongs to the place where it was written down.
fn identify(content: &mut Value, name: &str) {
    if let Some(object) = content.as_object_mut() {
        object.remove("status");
    }
    let metadata = content["metadata"].take();
    let mut kept = json!({"name": name});
    for field in ["labels", "annotations"] {
        if metadata[field].is_object() {
            kept[field] = metadata[field].clone();
        }
    }
    content["metadata"] = kept;
}

/// Fills in what Zadig fills in when it updates a ConfigMap, but not when it creates one (Z§4.14): so both come out the same.
fn fill_in(content: &mut Value, environment: &ZadigEnvironment) -> Result<(), Outcome> {
    let spec = &environment.spec;
    let namespace = target_namespace(spec.namespace.as_ref(), &spec.project_key, &spec.env_key);
    let Some(data) = content["data"].as_object_mut() else {
        return Ok(());
    };
    for (key, value) in data {
        let Some(text) = value.as_str() else { continue };
        if text.contains("$Service$") {
            return Err(Outcome::Stalled(
                Reason::InvalidSpec,
                format!(
                    "data[{key}]: Zadig would put nothing in the place of $Service$, as this object belongs to no service; write the service's name"
                ),
            ));
        }
        *value = text
            .replace("$Namespace$", &namespace.to_lowercase())
            .replace("$EnvName$", &spec.env_key.to_lowercase())
            .replace("$Product$", &spec.project_key.to_lowercase())
            .into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> ZadigEnvironment {
        serde_json::from_value(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvironment",
            "metadata": {"name": "dev"},
            "spec": {"connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev"},
        }))
        .unwrap()
    }

    #[test]
    fn only_the_name_labels_and_annotations_of_a_manifest_are_taken() {
        let mut content = json!({
            "kind": "Ingress",
            "metadata": {
                "name": "other", "namespace": "elsewhere", "uid": "1", "labels": {"a": "b"},
                "ownerReferences": [{"name": "x"}],
            },
            "spec": {},
            "status": {"loadBalancer": {}},
        });
        identify(&mut content, "web");
        assert_eq!(
            content,
            json!({"kind": "Ingress", "metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {}})
        );
    }

    #[test]
    fn zadigs_placeholders_are_filled_in_as_it_would() {
        let mut content =
            json!({"data": {"url": "http://api.$Namespace$/$Product$?env=$EnvName$"}});
        fill_in(&mut content, &environment()).unwrap();
        assert_eq!(
            content["data"]["url"],
            "http://api.shop-env-dev/shop?env=dev"
        );
    }

    #[test]
    fn a_placeholder_that_zadig_would_empty_is_refused() {
        let mut content = json!({"data": {"url": "http://$Service$"}});
        assert!(fill_in(&mut content, &environment()).is_err());
    }
}
