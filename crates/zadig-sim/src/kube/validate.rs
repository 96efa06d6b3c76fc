//! What a decoder or an API server refuses: types that do not fit, names that are none, fields that may not change.
//!
//! The wording follows Kubernetes where Zadig's answers carry it, and need not match word for word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{configs, quantity, template_of};

/// The rule of DNS labels in the words of the API server.
pub(crate) const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Fields that are integers wherever they stand in a workload or Service.
const INTEGERS: [&str; 19] = [
    "replicas",
    "containerPort",
    "hostPort",
    "port",
    "nodePort",
    "minReadySeconds",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "failureThreshold",
    "successThreshold",
    "backoffLimit",
    "completions",
    "parallelism",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
];

/// Fields that are texts.
const STRINGS: [&str; 14] = [
    "image",
    "name",
    "value",
    "schedule",
    "serviceName",
    "mountPath",
    "restartPolicy",
    "imagePullPolicy",
    "serviceAccountName",
    "key",
    "clusterIP",
    "protocol",
    "concurrencyPolicy",
    "workingDir",
];

/// Maps whose values are texts.
const STRING_MAPS: [&str; 5] = [
    "labels",
    "annotations",
    "matchLabels",
    "nodeSelector",
    "stringData",
];

/// Whether the manifest fits the types of its kind; kinds that Kubernetes does not bring along fit always.
pub(crate) fn decode(kind: &str, manifest: &Value) -> Result<(), String> {
    match kind {
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "CronJob"
        | "Job"
        | "Service"
        | "PersistentVolumeClaim"
        | "Pod"
        | "CloneSet" => walk(manifest, "", kind),
        "ConfigMap" => {
            named(manifest, kind).and_then(|()| strings(&manifest["data"], kind, "data"))
        }
        "Secret" => named(manifest, kind)
            .and_then(|()| strings(&manifest["stringData"], kind, "stringData"))
            .and_then(|()| encoded(&manifest["data"], kind)),
        _ => Ok(()),
    }
    .map_err(|error| format!("error unmarshaling JSON: while decoding JSON: {error}"))
}

/// Whether labels and annotations are texts.
fn named(manifest: &Value, kind: &str) -> Result<(), String> {
    ["labels", "annotations"]
        .iter()
        .try_for_each(|field| strings(&manifest["metadata"][*field], kind, field))
}

fn walk(value: &Value, field: &str, kind: &str) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if matches!(field, "limits" | "requests") {
                return map.values().try_for_each(quantity_fits);
            }
            if STRING_MAPS.contains(&field) {
                return strings(value, kind, field);
            }
            // A probe's port may be the name of one.
            let named_port = |key: &str, value: &Value| {
                matches!(field, "httpGet" | "tcpSocket") && key == "port" && value.is_string()
            };
            map.iter()
                .filter(|(key, value)| !named_port(key, value))
                .try_for_each(|(key, value)| walk(value, key, kind))
        }
        Value::Array(items) => items.iter().try_for_each(|item| {
            if matches!(field, "args" | "command") {
                string(item, kind, field)
            } else {
                walk(item, field, kind)
            }
        }),
        Value::Null => Ok(()),
        scalar if INTEGERS.contains(&field) => match scalar {
            Value::Number(number) if number.is_i64() || number.is_u64() => Ok(()),
            _ => Err(mismatch(scalar, kind, field, "int32")),
        },
        scalar if STRINGS.contains(&field) => string(scalar, kind, field),
        scalar if field == "suspend" && !scalar.is_boolean() => {
            Err(mismatch(scalar, kind, field, "bool"))
        }
        scalar if matches!(field, "spec" | "template" | "metadata" | "resources") => {
            Err(mismatch(scalar, kind, field, "object"))
        }
        _ => Ok(()),
    }
}

fn quantity_fits(value: &Value) -> Result<(), String> {
    let fits = match value {
        Value::String(text) => quantity::canonical(text).is_some(),
        Value::Number(_) | Value::Null => true,
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(quantity::RULE.to_owned())
    }
}

fn strings(map: &Value, kind: &str, field: &str) -> Result<(), String> {
    map.as_object()
        .into_iter()
        .flatten()
        .try_for_each(|(_, value)| string(value, kind, field))
}

/// Values of a Secret's data are base64.
fn encoded(data: &Value, kind: &str) -> Result<(), String> {
    for (_, value) in data.as_object().into_iter().flatten() {
        string(value, kind, "data")?;
        let text = value.as_str().unwrap_or("");
        if STANDARD.decode(text).is_err() {
            return Err("illegal base64 data at input byte 0".to_owned());
        }
    }
    Ok(())
}

fn string(value: &Value, kind: &str, field: &str) -> Result<(), String> {
    if value.is_string() || value.is_null() {
        Ok(())
    } else {
        Err(mismatch(value, kind, field, "string"))
    }
}

fn mismatch(value: &Value, kind: &str, field: &str, wanted: &str) -> String {
    let found = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    };
    format!("json: cannot unmarshal {found} into Go struct field {kind}.{field} of type {wanted}")
}

/// Whether the API server takes the object, new or in the place of `live`.
pub(crate) fn admit(kind: &str, manifest: &Value, live: Option<&Value>) -> Result<(), String> {
    let name = manifest["metadata"]["name"].as_str().unwrap_or("");
    let group = manifest["apiVersion"]
        .as_str()
        .and_then(|it| it.split_once('/'));
    let full_kind = match group {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    };
    let invalid = |what: &str| format!("{full_kind} \"{name}\" is invalid: {what}");
    decode(kind, manifest).map_err(|error| {
        format!("{kind} in version \"v1\" cannot be handled as a {kind}: {error}")
    })?;
    if !is_subdomain(name) {
        return Err(invalid(&format!(
            "metadata.name: Invalid value: \"{name}\": {SUBDOMAIN_RULE}"
        )));
    }
    for place in [
        "/metadata/labels",
        "/spec/template/metadata/labels",
        "/spec/selector/matchLabels",
    ] {
        for value in manifest
            .pointer(place)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let text = value.1.as_str().unwrap_or("");
            if !is_label_value(text) {
                return Err(invalid(&format!(
                    "metadata.labels: Invalid value: \"{text}\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
                )));
            }
        }
    }
    if matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet") {
        let selector = &manifest["spec"]["selector"];
        let labels = &manifest["spec"]["template"]["metadata"]["labels"];
        let wanted = selector["matchLabels"].as_object();
        if wanted.is_none_or(serde_json::Map::is_empty) && selector["matchExpressions"].is_null() {
            return Err(invalid("spec.selector: Required value"));
        }
        if wanted
            .into_iter()
            .flatten()
            .any(|(key, value)| &labels[key] != value)
        {
            return Err(invalid(
                "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`",
            ));
        }
        if live.is_some_and(|live| &live["spec"]["selector"] != selector) {
            return Err(invalid("spec.selector: Invalid value: field is immutable"));
        }
        if manifest["spec"]["replicas"]
            .as_i64()
            .is_some_and(|replicas| replicas < 0)
        {
            return Err(invalid(
                "spec.replicas: Invalid value: must be greater than or equal to 0",
            ));
        }
    }
    if matches!(
        kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob" | "Job"
    ) {
        containers_fit(manifest).map_err(|what| invalid(&what))?;
    }
    if kind == "StatefulSet" && live.is_some_and(|live| frozen(live) != frozen(manifest)) {
        return Err(invalid(
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    configs::fits(kind, manifest, live).map_err(|what| invalid(&what))?;
    if kind == "CronJob" {
        let schedule = manifest["spec"]["schedule"].as_str().unwrap_or("");
        if !is_schedule(schedule) {
            return Err(invalid(&format!(
                "spec.schedule: Invalid value: \"{schedule}\": expected exactly 5 fields"
            )));
        }
    }
    Ok(())
}

pub(super) const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

fn containers_fit(manifest: &Value) -> Result<(), String> {
    let containers = template_of(manifest)["spec"]["containers"].as_array();
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        return Err("spec.template.spec.containers: Required value".to_owned());
    };
    for (index, container) in containers.iter().enumerate() {
        let at = format!("spec.template.spec.containers[{index}]");
        if container["image"].as_str().unwrap_or("").is_empty() {
            return Err(format!("{at}.image: Required value"));
        }
        let name = container["name"].as_str().unwrap_or("");
        if !is_label(name) {
            return Err(format!(
                "{at}.name: Invalid value: \"{name}\": {LABEL_RULE}"
            ));
        }
        for port in container["ports"].as_array().into_iter().flatten() {
            let number = port["containerPort"].as_i64().unwrap_or(0);
            if !(1..=65_535).contains(&number) {
                return Err(format!(
                    "{at}.ports[0].containerPort: Invalid value: {number}: must be between 1 and 65535, inclusive"
                ));
            }
        }
    }
    Ok(())
}

/// The part of a StatefulSet's spec that may not change.
fn frozen(manifest: &Value) -> Value {
    let mut spec = manifest["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            spec.remove(field);
        }
    }
    spec
}

fn is_schedule(text: &str) -> bool {
    text.starts_with('@') || text.split_whitespace().count() == 5
}

/// A DNS label: up to 63 lower-case letters, digits and dashes, not at the ends.
pub(crate) fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| ends(c) || c == '-')
        && text.starts_with(ends)
        && text.ends_with(ends)
}

/// A DNS subdomain: labels joined with dots.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.chars().all(|c| ends(c) || "-_.".contains(c))
            && text.starts_with(ends)
            && text.ends_with(ends))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "a:v1" }] },
                },
            },
        })
    }

    #[test]
    fn values_of_the_wrong_type_cannot_be_decoded() {
        let mut bad = deployment();
        bad["spec"]["template"]["spec"]["containers"][0]["resources"] =
            json!({ "limits": { "cpu": "not-a-quantity" } });
        assert!(
            decode("Deployment", &bad)
                .unwrap_err()
                .contains("quantities must match")
        );
        let mut bad = deployment();
        bad["spec"]["replicas"] = json!("<nil>");
        assert_eq!(
            decode("Deployment", &bad).unwrap_err(),
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field Deployment.replicas of type int32"
        );
        assert_eq!(decode("Deployment", &deployment()), Ok(()));
    }

    #[test]
    fn a_probe_may_name_its_port_and_a_container_not() {
        let mut probed = deployment();
        let container = &mut probed["spec"]["template"]["spec"]["containers"][0];
        container["livenessProbe"] = json!({ "httpGet": { "path": "/", "port": "http" } });
        assert_eq!(decode("Deployment", &probed), Ok(()));
        let container = &mut probed["spec"]["template"]["spec"]["containers"][0];
        container["ports"] = json!([{ "containerPort": "http" }]);
        assert!(decode("Deployment", &probed).is_err());
    }

    #[test]
    fn a_selector_must_match_and_stay() {
        let mut other = deployment();
        other["spec"]["selector"]["matchLabels"]["app"] = json!("other");
        assert!(
            admit("Deployment", &other, None)
                .unwrap_err()
                .contains("does not match")
        );
        other["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
        assert_eq!(admit("Deployment", &other, None), Ok(()));
        assert!(
            admit("Deployment", &other, Some(&deployment()))
                .unwrap_err()
                .contains("immutable")
        );
    }

    #[test]
    fn names_follow_dns() {
        assert!(is_label("golden-env-a1"));
        assert!(!is_label("Bad_NS"));
        assert!(!is_label("-a"));
    }
}
