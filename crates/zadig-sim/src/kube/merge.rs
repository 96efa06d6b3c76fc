//! Patches: the two-way strategic merge that Zadig computes between two texts, and its relatives.
//!
//! Only what differs between the old and the new text reaches the live object (Z§4.11), so fields of others survive.

use serde_json::{Map, Value};

/// Changes `live` by the difference between `old` and `new`.
///
/// With `strategic`, lists whose elements have a name are merged by it, as for the kinds Kubernetes brings along; else lists are
/// replaced.
pub(crate) fn two_way(live: &mut Value, old: &Value, new: &Value, strategic: bool) {
    let empty = Map::new();
    let Some(new) = new.as_object() else { return };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    if let Some(live) = live.as_object_mut() {
        merge_map(live, old.as_object().unwrap_or(&empty), new, strategic);
    }
}

/// Changes `live` as Helm does: all that `new` says is set, what only `old` said goes, and what neither says is left alone.
pub(crate) fn three_way(live: &mut Value, old: &Value, new: &Value, strategic: bool) {
    two_way(live, old, new, strategic);
    two_way(live, &Value::Null, new, strategic);
}

fn merge_map(
    live: &mut Map<String, Value>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    strategic: bool,
) {
    for (key, wanted) in new {
        let before = old.get(key);
        if before == Some(wanted) {
            continue;
        }
        match (wanted, live.get_mut(key)) {
            (Value::Null, _) => {
                live.remove(key);
            }
            (Value::Object(wanted), Some(Value::Object(live))) => {
                let empty = Map::new();
                let before = before.and_then(Value::as_object).unwrap_or(&empty);
                merge_map(live, before, wanted, strategic);
            }
            (Value::Array(wanted), Some(Value::Array(live))) if strategic => {
                let before = before
                    .and_then(Value::as_array)
                    .map_or(&[][..], Vec::as_slice);
                match merge_key(key, wanted) {
                    Some(name) => merge_list(live, before, wanted, name),
                    None => live.clone_from(wanted),
                }
            }
            _ => {
                live.insert(key.clone(), wanted.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        live.remove(key);
    }
}

fn merge_list(live: &mut Vec<Value>, old: &[Value], new: &[Value], name: &str) {
    let find = |list: &[Value], id: &Value| list.iter().position(|item| &item[name] == id);
    for wanted in new {
        let id = &wanted[name];
        let before = find(old, id).map(|at| &old[at]);
        if before == Some(wanted) {
            continue;
        }
        match find(live, id) {
            Some(at) => two_way(&mut live[at], before.unwrap_or(&Value::Null), wanted, true),
            None => live.push(wanted.clone()),
        }
    }
    for gone in old.iter().filter(|item| find(new, &item[name]).is_none()) {
        if let Some(at) = find(live, &gone[name]) {
            live.remove(at);
        }
    }
}

/// The field that names the elements of a list in Kubernetes' own types.
fn merge_key(list: &str, elements: &[Value]) -> Option<&'static str> {
    let key = match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        "ports"
            if elements
                .iter()
                .any(|port| port.get("containerPort").is_some()) =>
        {
            "containerPort"
        }
        "ports" => "port",
        _ => return None,
    };
    elements
        .iter()
        .all(|element| element.get(key).is_some())
        .then_some(key)
}

/// A JSON merge patch.
pub(crate) fn merge_patch(live: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *live = patch.clone();
        return;
    };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    let Some(live) = live.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            live.remove(key);
        } else {
            merge_patch(live.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(live: Value, old: &Value, new: &Value) -> Value {
        let mut live = live;
        two_way(&mut live, old, new, true);
        live
    }

    #[test]
    fn what_did_not_change_keeps_its_foreign_value() {
        let old = json!({ "spec": { "replicas": 2, "image": "a" } });
        let new = json!({ "spec": { "replicas": 2, "image": "b" } });
        let live = json!({ "spec": { "replicas": 5, "image": "x", "foreign": 1 } });
        assert_eq!(
            merged(live, &old, &new),
            json!({ "spec": { "replicas": 5, "image": "b", "foreign": 1 } })
        );
    }

    #[test]
    fn a_three_way_merge_puts_back_what_the_text_says_and_leaves_the_rest() {
        let old = json!({ "replicas": 2, "gone": 1, "list": [{ "name": "a", "v": 1 }] });
        let new = json!({ "replicas": 2, "containers": [{ "name": "a", "image": "b" }] });
        let mut live = json!({
            "replicas": 5, "gone": 9, "foreign": 1,
            "containers": [{ "name": "own", "image": "x" }, { "name": "a", "image": "foreign", "args": ["y"] }],
        });
        three_way(&mut live, &old, &new, true);
        assert_eq!(
            live,
            json!({
                "replicas": 2, "foreign": 1,
                "containers": [{ "name": "own", "image": "x" }, { "name": "a", "image": "b", "args": ["y"] }],
            })
        );
    }

    #[test]
    fn containers_are_merged_by_name_and_a_foreign_one_stays() {
        let old = json!({ "containers": [{ "name": "web", "image": "a", "args": ["x"] }] });
        let new = json!({ "containers": [{ "name": "web", "image": "b" }] });
        let live = json!({ "containers": [
            { "name": "nope", "image": "n" },
            { "name": "web", "image": "foreign", "args": ["x"] },
        ] });
        assert_eq!(
            merged(live, &old, &new),
            json!({ "containers": [
                { "name": "nope", "image": "n" },
                { "name": "web", "image": "b" },
            ] })
        );
    }

    #[test]
    fn what_the_old_text_had_and_the_new_one_lacks_goes() {
        let old = json!({ "data": { "a": "1", "b": "2" } });
        let new = json!({ "data": { "a": "1" } });
        let live = json!({ "data": { "a": "9", "b": "9", "c": "9" } });
        assert_eq!(
            merged(live, &old, &new),
            json!({ "data": { "a": "9", "c": "9" } })
        );
    }

    #[test]
    fn without_an_old_text_everything_named_is_set_and_the_rest_left() {
        let new = json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "schedule": "x" } });
        let live =
            json!({ "metadata": { "labels": { "mine": "1" } }, "spec": { "suspend": true } });
        assert_eq!(
            merged(live, &Value::Null, &new),
            json!({
                "metadata": { "labels": { "mine": "1", "app": "a" } },
                "spec": { "suspend": true, "schedule": "x" },
            })
        );
    }
}
