//! What an API server refuses of ConfigMaps, Secrets, Ingresses and volume claims, and the merging of an Ingress.

use serde_json::{Map, Value};

use super::validate::{SUBDOMAIN_RULE, is_subdomain};
use super::{Cluster, Cx, merge};

impl Cluster {
    /// Changes an Ingress by the manifest as a merge patch: what the manifest does not name stays.
    pub(crate) fn merge_ingress(
        &mut self,
        cx: &mut Cx<'_>,
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

/// Whether the manifest may be stored in the place of `live`; the error says what does not fit.
pub(super) fn fits(kind: &str, manifest: &Value, live: Option<&Value>) -> Result<(), String> {
    if matches!(kind, "ConfigMap" | "Secret")
        && live.is_some_and(|live| frozen(live) && content(live) != content(manifest))
    {
        return Err("data: Forbidden: field is immutable when `immutable` is set".to_owned());
    }
    match kind {
        "ConfigMap" => keys_fit(manifest),
        "Secret" => {
            if live.is_some_and(|live| live["type"] != manifest["type"]) {
                return Err("type: Invalid value: field is immutable".to_owned());
            }
            keys_fit(manifest)
        }
        "Ingress" => ingress_fits(&manifest["spec"]),
        "PersistentVolumeClaim" => claim_fits(manifest, live),
        _ => Ok(()),
    }
}

fn frozen(object: &Value) -> bool {
    object["immutable"] == true
}

fn content(object: &Value) -> [&Value; 3] {
    [&object["data"], &object["binaryData"], &object["immutable"]]
}

fn keys_fit(manifest: &Value) -> Result<(), String> {
    let keys = ["data", "binaryData"].iter().flat_map(|field| {
        let map = manifest[*field].as_object();
        map.into_iter().flat_map(Map::keys)
    });
    for key in keys {
        if !is_config_key(key) {
            return Err(format!(
                "data[{key}]: Invalid value: \"{key}\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            ));
        }
    }
    Ok(())
}

fn is_config_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !matches!(text, "." | "..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn ingress_fits(spec: &Value) -> Result<(), String> {
    if spec["rules"].is_null() && spec["defaultBackend"].is_null() {
        return Err(
            "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"
                .to_owned(),
        );
    }
    for (index, rule) in spec["rules"].as_array().into_iter().flatten().enumerate() {
        let at = format!("spec.rules[{index}]");
        let host = rule["host"].as_str().unwrap_or("");
        if !host.is_empty() && !is_subdomain(host.trim_start_matches("*.")) {
            return Err(format!(
                "{at}.host: Invalid value: \"{host}\": {SUBDOMAIN_RULE}"
            ));
        }
        let paths = rule["http"]["paths"].as_array();
        if paths
            .into_iter()
            .flatten()
            .any(|path| path["pathType"].is_null())
        {
            return Err(format!(
                "{at}.http.paths[0].pathType: Required value: pathType must be specified"
            ));
        }
    }
    Ok(())
}

/// A claim that is not bound may not change but for what grows it, and then only when bound (Z§19).
fn claim_fits(manifest: &Value, live: Option<&Value>) -> Result<(), String> {
    if manifest["spec"]["accessModes"]
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        return Err(
            "spec.accessModes: Required value: at least 1 access mode is required".to_owned(),
        );
    }
    if manifest["spec"]["resources"]["requests"]["storage"].is_null() {
        return Err("spec.resources[storage]: Required value".to_owned());
    }
    match live {
        Some(live) if live["spec"] != manifest["spec"] => Err(
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims".to_owned(),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(kind: &str, manifest: &Value, live: Option<&Value>) -> String {
        let refusal = fits(kind, manifest, live).err().unwrap_or_default();
        refusal.split(": ").next().unwrap_or("").to_owned()
    }

    #[test]
    fn each_type_is_refused_for_its_own_reasons() {
        let claim = |modes: Value, size: &str| {
            let requests = json!({ "requests": { "storage": size } });
            json!({ "spec": { "accessModes": modes, "resources": requests } })
        };
        let (claimed, opaque) = (
            claim(json!(["ReadWriteOnce"]), "1Gi"),
            json!({ "type": "Opaque" }),
        );
        let rule = |rule: Value| json!({ "spec": { "rules": [{}, rule] } });
        let found = [
            refusal("ConfigMap", &json!({ "data": { "a/b": "" } }), None),
            refusal("ConfigMap", &json!({ "data": { "a.b-c_D": "" } }), None),
            refusal(
                "Secret",
                &json!({ "type": "kubernetes.io/tls" }),
                Some(&opaque),
            ),
            refusal("Secret", &opaque, Some(&opaque)),
            refusal("ConfigMap", &json!({}), Some(&json!({ "immutable": true }))),
            refusal("Ingress", &json!({ "spec": {} }), None),
            refusal("Ingress", &rule(json!({ "host": "$EnvName$" })), None),
            refusal("Ingress", &rule(json!({ "http": { "paths": [{}] } })), None),
            refusal("Ingress", &rule(json!({ "host": "*.a.example.com" })), None),
            refusal("PersistentVolumeClaim", &claim(json!([]), "1Gi"), None),
            refusal(
                "PersistentVolumeClaim",
                &claim(json!(["ReadWriteOnce"]), "2Gi"),
                Some(&claimed),
            ),
            refusal("PersistentVolumeClaim", &claimed, Some(&claimed)),
        ];
        assert_eq!(
            found,
            [
                "data[a/b]",
                "",
                "type",
                "",
                "data",
                "spec",
                "spec.rules[1].host",
                "spec.rules[1].http.paths[0].pathType",
                "",
                "spec.accessModes",
                "spec",
                "",
            ]
        );
    }
}
