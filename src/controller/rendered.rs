//! What can be told from a service's YAML: its workloads, and a text that is the same as long as nobody changes a variable.

use std::collections::BTreeSet;

use serde_json::Value;

/// A service as Zadig renders it (Z§4.4), read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rendered {
    /// Workloads by kind and name.
    pub workloads: BTreeSet<(String, String)>,
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
    let mut workloads = BTreeSet::new();
    let mut normal: Vec<String> = Vec::with_capacity(documents.len());
    for mut document in documents {
        if let Some(workload) = workload(&document) {
            workloads.insert(workload);
            strip(&mut document);
        }
        // Maps of serde_json are sorted by key, so equal documents have equal texts.
        normal.push(document.to_string());
    }
    normal.sort();
    Some(Rendered { workloads, normal })
}

/// The workloads of a template, if its text can be read without rendering it.
///
/// Placeholders of Go templates are replaced by a number, which is valid wherever a scalar is. A template with control flow,
/// or with a placeholder in a kind or a name, tells nothing.
#[must_use]
pub(super) fn template_workloads(template: &str) -> Option<BTreeSet<(String, String)>> {
    const PLACEHOLDER: &str = "1";
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let end = start + rest[start..].find("}}")?;
        let inner = rest[start + 2..end].trim_matches(|c: char| c == '-' || c.is_whitespace());
        let plain = inner.strip_prefix('.').is_some_and(|key| {
            !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        });
        if !plain {
            return None;
        }
        text.push_str(&rest[..start]);
        text.push_str(PLACEHOLDER);
        rest = &rest[end + 2..];
    }
    text.push_str(rest);
    let workloads: BTreeSet<(String, String)> =
        documents(&text)?.iter().filter_map(workload).collect();
    // System variables such as `$EnvName$` in a name are filled in by Zadig.
    workloads
        .iter()
        .all(|(_, name)| !name.contains('$'))
        .then_some(workloads)
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
    let kind = document.get("kind")?.as_str()?;
    let name = document.pointer("/metadata/name")?;
    let name = name
        .as_str()
        .map_or_else(|| name.to_string(), str::to_owned);
    matches!(kind, "Deployment" | "StatefulSet" | "CronJob" | "CloneSet")
        .then(|| (kind.to_owned(), name))
}

/// Takes images and replica counts out of a workload.
fn strip(document: &mut Value) {
    if let Some(spec) = document.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    for base in [
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
    ] {
        for list in ["containers", "initContainers"] {
            let containers = document.pointer_mut(&format!("{base}/{list}"));
            for container in containers
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(container) = container.as_object_mut() {
                    container.remove("image");
                }
            }
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
        assert_eq!(
            before.workloads,
            BTreeSet::from([("Deployment".to_owned(), "api".to_owned())])
        );
        let deployed = API
            .replace("r/api:1", "r/api:2")
            .replace("replicas: 2", "replicas: 5");
        assert_eq!(read(&deployed).unwrap(), before);
        assert_ne!(read(&API.replace("info", "debug")).unwrap(), before);
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
