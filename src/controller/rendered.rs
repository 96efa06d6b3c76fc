//! What can be told from a service's YAML: its workloads, and a text that is the same as long as nobody changes a variable.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::environment::RecordedWorkload;

pub(super) use values::{Place, values};

/// Where the pods of a workload are described.
const PODS: [&str; 2] = [
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
];

/// A service as Zadig renders it (Z§4.4), read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rendered {
    /// Workloads by kind and name, with their text where a change of it replaces all their pods.
    pub workloads: BTreeMap<(String, String), Option<String>>,
    /// The same workloads, as Zadig records them.
    pub record: BTreeMap<(String, String), RecordedWorkload>,
    /// The documents in a fixed form, without images and replica counts: workflows and people change those all day.
    pub normal: Vec<String>,
}

/// Reads rendered YAML; `None` for an empty body, which is how Zadig swallows errors (Z§4.4), and for text that is no YAML.
#[must_use]
pub(super) fn read(yaml: &str) -> Option<Rendered> {
    let documents = documents(yaml)?;
    if documents.is_empty() {
        return None;
    }
    let mut workloads = BTreeMap::new();
    let mut record = BTreeMap::new();
    let mut normal: Vec<String> = Vec::with_capacity(documents.len());
    for mut document in documents {
        let workload = workload(&document);
        if let Some(workload) = &workload {
            record.insert(workload.clone(), recorded(&document));
            remove(&mut document, "/spec", "replicas");
            each_container(&mut document, |container| {
                container.remove("image");
            });
        }
        // Maps of serde_json are sorted by key, so equal documents have equal texts.
        let text = document.to_string();
        if let Some(workload) = workload {
            workloads.insert(workload, rolls(&document).then(|| text.clone()));
        }
        normal.push(text);
    }
    normal.sort();
    Some(Rendered {
        workloads,
        record,
        normal,
    })
}

/// The workloads of a template, if its text can be read without rendering it.
///
/// Placeholders of Go templates are replaced by a number, which is valid wherever a scalar is. A template with control flow,
/// or with a placeholder in a kind or a name, tells nothing.
#[must_use]
pub(super) fn template_workloads(template: &str) -> Option<BTreeSet<(String, String)>> {
    let text = fill(template, |_| "1".to_owned())?;
    let workloads: BTreeSet<(String, String)> =
        documents(&text)?.iter().filter_map(workload).collect();
    // System variables such as `$EnvName$` in a name are filled in by Zadig.
    workloads
        .iter()
        .all(|(_, name)| !name.contains('$'))
        .then_some(workloads)
}

/// A template with its plain placeholders, `{{.key}}`, filled; `None` when it has any other action.
fn fill(template: &str, mut value: impl FnMut(&str) -> String) -> Option<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let end = start + rest[start..].find("}}")?;
        let (before, inner) = (&rest[..start], &rest[start + 2..end]);
        rest = &rest[end + 2..];
        let (inner, trims_left) = match inner.strip_prefix("- ") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let (inner, trims_right) = match inner.strip_suffix(" -") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let key = inner.trim().strip_prefix('.').filter(|key| {
            !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        })?;
        text.push_str(before);
        if trims_left {
            text.truncate(text.trim_end().len());
        }
        text.push_str(&value(key));
        if trims_right {
            rest = rest.trim_start();
        }
    }
    text.push_str(rest);
    Some(text)
}

fn documents(yaml: &str) -> Option<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).ok()?;
    Some(
        documents
            .into_iter()
            .filter(|document| !document.is_null())
            .collect(),
    )
}

fn workload(document: &Value) -> Option<(String, String)> {
    let name = document.pointer("/metadata/name")?;
    let name = name
        .as_str()
        .map_or_else(|| name.to_string(), str::to_owned);
    let kind = document.get("kind")?.as_str()?;
    is_workload(document).then(|| (kind.to_owned(), name))
}

fn recorded(workload: &Value) -> RecordedWorkload {
    let replicas = workload.pointer("/spec/replicas").and_then(Value::as_i64);
    let names = |list: &str| {
        let found = PODS
            .iter()
            .filter_map(|pods| workload.pointer(&format!("{pods}/{list}")));
        let containers = found.filter_map(Value::as_array).flatten();
        containers
            .filter_map(|container| Some(container.get("name")?.as_str()?.to_owned()))
            .collect()
    };
    RecordedWorkload {
        // As the cluster takes it where nothing is said.
        replicas: replicas.and_then(|it| i32::try_from(it).ok()).unwrap_or(1),
        containers: names("containers"),
        init_containers: names("initContainers"),
    }
}

/// Whether Zadig shows images and replicas of it, and stores them beside the variables.
fn is_workload(document: &Value) -> bool {
    matches!(
        document.get("kind").and_then(Value::as_str),
        Some("Deployment" | "StatefulSet" | "CronJob" | "CloneSet")
    )
}

/// Whether a change of the workload replaces all its pods by itself.
fn rolls(workload: &Value) -> bool {
    let at = |path| workload.pointer(path);
    let held = at("/spec/paused").and_then(Value::as_bool) == Some(true)
        || at("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete")
        || at("/spec/updateStrategy/rollingUpdate/partition")
            .is_some_and(|partition| partition.as_u64() != Some(0));
    let kind = workload.get("kind").and_then(Value::as_str);
    matches!(kind, Some("Deployment" | "StatefulSet")) && !held
}

/// Takes a field out of the object at `path`.
fn remove(document: &mut Value, path: &str, field: &str) {
    if let Some(object) = document.pointer_mut(path).and_then(Value::as_object_mut) {
        object.remove(field);
    }
}

fn each_container(document: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    for base in PODS {
        for list in ["containers", "initContainers"] {
            let containers = document.pointer_mut(&format!("{base}/{list}"));
            containers
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .filter_map(Value::as_object_mut)
                .for_each(&mut change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "kind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas: 2\n  template:\n    spec:\n      containers:\n      - name: api\n        image: r/api:1\n        env:\n        - name: LOG\n          value: info\n---\nkind: Service\nmetadata:\n  name: api\n";

    #[test]
    fn images_and_replicas_do_not_count_and_a_variable_does() {
        let before = read(API).unwrap();
        let workloads: Vec<_> = before.workloads.keys().collect();
        assert_eq!(workloads, [&("Deployment".to_owned(), "api".to_owned())]);
        let deployed = API
            .replace("r/api:1", "r/api:2")
            .replace("replicas: 2", "replicas: 5");
        let deployed = read(&deployed).unwrap();
        assert_eq!(
            (&deployed.normal, &deployed.workloads),
            (&before.normal, &before.workloads)
        );
        let replicas = |read: &Rendered| read.record.values().map(|it| it.replicas).sum::<i32>();
        assert_eq!((replicas(&before), replicas(&deployed)), (2, 5));
        assert_ne!(read(&API.replace("info", "debug")).unwrap(), before);
    }

    #[test]
    fn a_change_rolls_out_by_itself_unless_the_workload_is_held() {
        let rolls = |yaml: &str| {
            let workloads = read(yaml).unwrap().workloads;
            workloads.values().all(Option::is_some)
        };
        let api = API.split("---").next().unwrap();
        assert!(rolls(api));
        assert!(rolls(&api.replace("Deployment", "StatefulSet")));
        assert!(!rolls(&api.replace("Deployment", "CronJob")));
        for held in [
            "paused: true",
            "updateStrategy: {type: OnDelete}",
            "updateStrategy: {rollingUpdate: {partition: 1}}",
        ] {
            assert!(!rolls(&api.replace("replicas: 2", held)), "{held}");
        }
    }

    #[test]
    fn an_empty_body_tells_nothing() {
        assert_eq!(read(""), None);
        assert_eq!(read("\n"), None);
    }

    #[test]
    fn a_template_tells_its_workloads_unless_it_has_control_flow() {
        let plain = "kind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas: {{.replicas}}\n  x: \"{{ .log }}\"\n";
        assert_eq!(
            template_workloads(plain),
            Some(BTreeSet::from([(
                "Deployment".to_owned(),
                "api".to_owned()
            )]))
        );
        assert_eq!(template_workloads("{{if .debug}}kind: Job{{end}}"), None);
        assert_eq!(
            template_workloads(&plain.replace("name: api", "name: api-$EnvName$")),
            None
        );
        assert_eq!(template_workloads("kind: {{.broken"), None);
    }
}
