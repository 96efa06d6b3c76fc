//! The page of one kind, from its definition: every field of spec and status with its type, bounds, default and description, the
//! rules beside them, the columns of kubectl, and the samples.

use std::collections::VecDeque;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{head, prose, row};
use crate::paths;

/// Path of the samples within the workspace.
const SAMPLES: &str = "deploy/samples";

/// Name and text of the page.
pub(super) fn page(definition: &Value) -> Result<(String, String)> {
    let names = &definition["spec"]["names"];
    let kind = names["kind"].as_str().context("a definition has no kind")?;
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = text(&names["shortNames"][0]);
    let mut page = format!(
        "# {kind}\n\n{}\n\n`apiVersion: {}/{}`, namespaced. Short name `{short}`, among `kubectl get zadig`.\n",
        prose(&text(&schema["description"])),
        text(&definition["spec"]["group"]),
        text(&version["name"]),
    );
    let selectable = version["selectableFields"].as_array();
    let selectable: Vec<String> = selectable
        .into_iter()
        .flatten()
        .map(|field| format!("`{}`", text(&field["jsonPath"]).trim_start_matches('.')))
        .collect();
    if !selectable.is_empty() {
        page.push_str(&format!(
            "`--field-selector` takes {}.\n",
            selectable.join(" and ")
        ));
    }
    if let Some(replicas) = version["subresources"]["scale"]["specReplicasPath"].as_str() {
        let replicas = replicas.trim_start_matches('.');
        page.push_str(&format!(
            "It has the scale subresource, for `{replicas}`: `kubectl scale` and autoscalers work on it.\n"
        ));
    }
    for part in ["spec", "status"] {
        fields(&mut page, part, &schema["properties"][part]);
    }
    columns(&mut page, &version["additionalPrinterColumns"]);
    page.push_str("\n## Samples\n");
    for (file, sample) in samples(kind)? {
        page.push_str(&format!("\n`{SAMPLES}/{file}`:\n\n```yaml\n{sample}```\n"));
    }
    Ok((format!("{}.md", kind.to_lowercase()), page))
}

/// A table for an object, and then one for each object in it, breadth first.
fn fields(page: &mut String, part: &str, schema: &Value) {
    let mut waiting = VecDeque::from([(part.to_owned(), schema)]);
    while let Some((path, object)) = waiting.pop_front() {
        let level = if path == part { "##" } else { "###" };
        page.push_str(&format!("\n{level} {path}\n\n"));
        if let Some(said) = object["description"].as_str() {
            page.push_str(&format!("{}\n\n", prose(said)));
        }
        head(page, &["field", "type", "bounds", "default", "description"]);
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            let inner = inner(&path, name, field);
            row(
                page,
                &[
                    &named(object, name),
                    &kind(field, inner.as_ref().map(|(path, _)| path.as_str())),
                    &bounds(field),
                    &default(field),
                    &prose(field["description"].as_str().unwrap_or_default()),
                ],
            );
            waiting.extend(inner);
        }
        rules(page, object);
    }
}

/// The object that a field holds, or a list of it, where its fields are known.
fn inner<'a>(path: &str, name: &str, field: &'a Value) -> Option<(String, &'a Value)> {
    let (path, object) = match field["type"].as_str()? {
        "array" => (format!("{path}.{name}[]"), &field["items"]),
        _ => (format!("{path}.{name}"), field),
    };
    object["properties"].is_object().then_some((path, object))
}

/// A field's name, with whether it must be there and may change.
fn named(object: &Value, name: &str) -> String {
    let mut said = format!("`{name}`");
    let required = object["required"].as_array();
    if required.into_iter().flatten().any(|it| it == name) {
        said.push_str(" required");
    }
    let place = format!(".{name}");
    let rules = object["x-kubernetes-validations"].as_array();
    let about = rules
        .into_iter()
        .flatten()
        .filter(|rule| rule["fieldPath"] == place.as_str())
        .filter_map(|rule| rule["rule"].as_str())
        .filter(|rule| rule.contains("oldSelf"));
    for rule in about {
        let whole = ["", "__"]
            .map(|fence| format!("self.{fence}{name}{fence} == oldSelf.{fence}{name}{fence}"));
        let is_whole = whole
            .iter()
            .filter_map(|whole| rule.split_once(whole.as_str()))
            .any(|(_, after)| !after.starts_with('.'));
        said.push_str(if is_whole {
            " immutable"
        } else {
            " immutable in part"
        });
    }
    said
}

fn kind(field: &Value, inner: Option<&str>) -> String {
    let linked = |word: &str| match inner {
        Some(path) => format!("[{word}](#{})", anchor(path)),
        None => word.to_owned(),
    };
    match field["type"].as_str().unwrap_or_default() {
        "array" if inner.is_some() => linked("list of objects"),
        "array" => format!("list of {}s", kind(&field["items"], None)),
        "object" if field["x-kubernetes-embedded-resource"] == true => {
            "Kubernetes object".to_owned()
        }
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}s", kind(&field["additionalProperties"], None))
        }
        "object" if inner.is_none() => "any object".to_owned(),
        "string" if field["format"] == "date-time" => "time".to_owned(),
        word => linked(word),
    }
}

/// As mdBook names the heading of a path.
fn anchor(path: &str) -> String {
    path.to_lowercase().replace(['.', '[', ']'], "")
}

fn bounds(field: &Value) -> String {
    let mut bounds = Vec::new();
    if let Some(words) = field["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str);
        bounds.push(
            words
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", "),
        );
    }
    let number = |key: &str| field[key].as_number().map(ToString::to_string);
    let mut between = |least: &str, most: &str, unit: &str| {
        bounds.extend(match (number(least), number(most)) {
            (Some(least), Some(most)) if least == most => Some(format!("{least}{unit}")),
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (Some(least), None) => Some(format!("at least {least}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (None, None) => None,
        });
    };
    between("minimum", "maximum", "");
    between("minLength", "maxLength", " characters");
    between("minItems", "maxItems", " entries");
    between("minProperties", "maxProperties", " keys");
    if let Some(pattern) = field["pattern"].as_str() {
        bounds.push(format!("`{pattern}`"));
    }
    let keys: Vec<String> = field["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|key| format!("`{key}`"))
        .collect();
    if !keys.is_empty() {
        bounds.push(format!("one for each {}", keys.join(" and ")));
    }
    if field["x-kubernetes-list-type"] == "set" {
        bounds.push("each once".to_owned());
    }
    for items in ["items", "additionalProperties"] {
        let inner = &field[items];
        if inner.is_object() && !inner["properties"].is_object() {
            let each = self::bounds(inner);
            if !each.is_empty() {
                bounds.push(format!("each {each}"));
            }
        }
    }
    bounds.join("; ")
}

fn default(field: &Value) -> String {
    match &field["default"] {
        Value::Null => String::new(),
        Value::String(word) => format!("`{word}`"),
        value => format!("`{value}`"),
    }
}

/// What the API server refuses beyond types and bounds, in the words in which it does.
fn rules(page: &mut String, object: &Value) {
    let rules = object["x-kubernetes-validations"].as_array();
    let messages: Vec<&str> = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["message"].as_str())
        .collect();
    if messages.is_empty() {
        return;
    }
    page.push_str("\nRefused by the API server otherwise:\n\n");
    for message in messages {
        // Words of fields stand without quotes in these sentences, and `*` with others.
        page.push_str(&format!("- {}\n", prose(message).replace('*', "\\*")));
    }
}

fn columns(page: &mut String, columns: &Value) {
    page.push_str("\n## Columns\n\nOf `kubectl get`; the last ones with `-o wide` only.\n\n");
    head(page, &["column", "what it shows", "from"]);
    let mut columns: Vec<&Value> = columns.as_array().into_iter().flatten().collect();
    columns.sort_by_key(|column| column["priority"].as_i64().unwrap_or_default());
    for column in columns {
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        let wide = if column["priority"].as_i64().unwrap_or_default() > 0 {
            " (wide)"
        } else {
            ""
        };
        row(
            page,
            &[
                &format!("{}{wide}", text("name")),
                &prose(text("description")),
                &format!("`{}`", text("jsonPath")),
            ],
        );
    }
}

/// The samples whose first object of ours is of this kind, by name of the file.
fn samples(kind: &str) -> Result<Vec<(String, String)>> {
    let dir = paths::workspace().join(SAMPLES);
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        let first = documents.iter().find(|document| {
            let version = document["apiVersion"].as_str().unwrap_or_default();
            version.starts_with("zadig-operator.io/")
        });
        if first.is_some_and(|first| first["kind"] == kind) {
            found.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_told_with_type_bounds_default_and_whether_it_may_change() {
        let schema = json!({
            "description": "What is wanted.",
            "type": "object",
            "required": ["namespace"],
            "properties": {
                "namespace": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Where."},
                "mode": {"type": "string", "enum": ["A", "B"], "default": "A", "description": "How."},
                "parts": {
                    "type": "array", "maxItems": 3, "x-kubernetes-list-map-keys": ["name"], "description": "Parts.",
                    "items": {"type": "object", "properties": {"name": {"type": "string", "description": "Name."}}},
                },
                "words": {"type": "array", "items": {"type": "string", "maxLength": 5}, "description": "Words."},
            },
            "x-kubernetes-validations": [
                {"fieldPath": ".namespace", "rule": "self.__namespace__ == oldSelf.__namespace__", "message": "namespace cannot be changed"},
                {"fieldPath": ".parts", "rule": "self.parts.name == oldSelf.parts.name", "message": "parts keep *"},
            ],
        });
        let mut page = String::new();
        fields(&mut page, "spec", &schema);
        let expected = "
## spec

What is wanted.

| field | type | bounds | default | description |
| --- | --- | --- | --- | --- |
| `mode` | string | `A`, `B` | `A` | How. |
| `namespace` required immutable | string | 1 to 63 characters |  | Where. |
| `parts` immutable in part | [list of objects](#specparts) | at most 3 entries; one for each `name` |  | Parts. |
| `words` | list of strings | each at most 5 characters |  | Words. |

Refused by the API server otherwise:

- namespace cannot be changed
- parts keep \\*

### spec.parts[]

| field | type | bounds | default | description |
| --- | --- | --- | --- | --- |
| `name` | string |  |  | Name. |
";
        assert_eq!(page, expected);
    }
}
