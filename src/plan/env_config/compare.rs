//! Whether an object in the environment is as declared, by meaning: text never converges (Z§14.2).
//!
//! The content of a ConfigMap or Secret is compared whole, since a write replaces it whole. Of an Ingress and a
//! PersistentVolumeClaim, what is declared has to be there; the cluster fills in the rest. Labels and annotations likewise, as
//! Zadig and controllers add their own. Paths are returned, never values.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api::env_config::ConfigType;

/// The paths at which the live object differs from the declared one, in order.
#[must_use]
pub fn differences(kind: ConfigType, declared: &Value, live: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["labels", "annotations"] {
        let path = format!("metadata.{field}");
        part(
            &path,
            &declared["metadata"][field],
            &live["metadata"][field],
            &mut found,
        );
    }
    match kind {
        ConfigType::ConfigMap => {
            entries("data", declared, live, &mut found);
            entries("binaryData", declared, live, &mut found);
        }
        ConfigType::Secret => {
            let word = |object: &Value| object["type"].as_str().unwrap_or("Opaque").to_owned();
            if word(declared) != word(live) {
                found.push("type".to_owned());
            }
            entries("data", declared, live, &mut found);
        }
        ConfigType::Ingress | ConfigType::Pvc => {
            part("spec", &declared["spec"], &live["spec"], &mut found);
        }
    }
    found
}

/// A map that has to be equal, missing and empty being the same.
fn entries(field: &str, declared: &Value, live: &Value, found: &mut Vec<String>) {
    let empty = Map::new();
    let map = |object: &Value| object[field].as_object().unwrap_or(&empty).clone();
    let (declared, live) = (map(declared), map(live));
    let keys: BTreeSet<&String> = declared.keys().chain(live.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| declared.get(*key) != live.get(*key));
    found.extend(differ.map(|key| format!("{field}[{key}]")));
}

/// Everything that is declared has to be there. Lists are as long as declared: order and length carry meaning in both kinds.
fn part(path: &str, declared: &Value, live: &Value, found: &mut Vec<String>) {
    match (declared, live) {
        (Value::Null, _) => {}
        (Value::Object(fields), Value::Object(live)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                part(&path, value, live.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Object(fields), Value::Null) if fields.is_empty() => {}
        (Value::Array(items), Value::Null) if items.is_empty() => {}
        (Value::Array(items), Value::Array(live)) if items.len() == live.len() => {
            for (index, (item, live)) in items.iter().zip(live).enumerate() {
                part(&format!("{path}[{index}]"), item, live, found);
            }
        }
        _ if same_scalar(path, declared, live) => {}
        _ => found.push(path.to_owned()),
    }
}

fn same_scalar(path: &str, declared: &Value, live: &Value) -> bool {
    if declared == live {
        return true;
    }
    // The API server writes quantities in its own form: 1024Mi becomes 1Gi.
    path.starts_with("spec.resources.")
        && matches!((quantity(declared), quantity(live)), (Some(a), Some(b)) if a == b)
}

/// A Kubernetes quantity in thousandths; `None` for what is none.
fn quantity(value: &Value) -> Option<i128> {
    const KI: i128 = 1024;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1000_i128.pow(2),
        "M" => 1000_i128.pow(3),
        "G" => 1000_i128.pow(4),
        "T" => 1000_i128.pow(5),
        "P" => 1000_i128.pow(6),
        "Ki" => 1000 * KI,
        "Mi" => 1000 * KI.pow(2),
        "Gi" => 1000 * KI.pow(3),
        "Ti" => 1000 * KI.pow(4),
        "Pi" => 1000 * KI.pow(5),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(digits.checked_mul(factor)? / scale)
}
