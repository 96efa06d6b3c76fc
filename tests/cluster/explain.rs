//! `kubectl explain`: every field of every kind is there, with its whole explanation.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use serde_json::Value;
use xtask::kubectl;
use zadig_operator::api::custom_resource_definitions;

use crate::support::{Setup, scenario_with};

/// How many kubectl run at the same time.
const AT_ONCE: usize = 4;

/// Fields of an object by name, with their explanations.
type Fields = BTreeMap<String, String>;

/// The objects within a schema that have fields, by their path as kubectl takes it.
fn objects(path: &str, schema: &Value, found: &mut BTreeMap<String, Fields>) {
    let fields = schema["properties"].as_object();
    for (name, field) in fields.into_iter().flatten() {
        let explanation = field["description"].as_str().unwrap_or_default();
        found
            .entry(path.to_owned())
            .or_default()
            .insert(name.clone(), explanation.to_owned());
        objects(&format!("{path}.{name}"), field, found);
    }
    for inside in ["items", "additionalProperties"] {
        if schema[inside].is_object() {
            objects(path, &schema[inside], found);
        }
    }
}

/// The words, wherever the lines of a terminal break.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn kubectl_explains_every_field_of_every_kind() {
    if !kubectl::is_there() {
        return;
    }
    scenario_with(Setup::default().without_connection(), async |world| {
        let mut found = BTreeMap::new();
        for definition in custom_resource_definitions() {
            let plural = definition.spec.names.plural.clone();
            let definition = serde_json::to_value(definition).expect("a definition is JSON");
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                let path = format!("{plural}.{part}");
                objects(&path, &schema["properties"][part], &mut found);
            }
            // The API server publishes a definition some moments after it is established.
            world
                .eventually(&format!("{plural} are explained"), async || {
                    world.kubectl(&["explain", &plural]).await.is_ok()
                })
                .await;
            let whole = world.kubectl(&["explain", &plural, "--recursive"]).await;
            let whole = whole.expect("kubectl explains");
            let of_this = found.iter().filter(|(path, _)| path.starts_with(&plural));
            for (path, fields) in of_this {
                for name in fields.keys() {
                    let line = format!("{name}\t<");
                    assert!(whole.contains(&line), "{path}.{name} is not in\n{whole}");
                }
            }
        }
        assert!(found.len() > 30, "only {} objects were found", found.len());
        stream::iter(&found)
            .for_each_concurrent(AT_ONCE, async |(path, fields)| {
                let told = world.kubectl(&["explain", path]).await;
                let told = words(&told.expect("kubectl explains"));
                for (name, explanation) in fields {
                    assert!(
                        told.contains(&words(explanation)),
                        "{path}.{name}: {explanation:?} is not in {told:?}"
                    );
                }
            })
            .await;
    });
}
