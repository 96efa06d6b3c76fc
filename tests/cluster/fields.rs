//! No field is dead: each leaf of each schema, given another value, changes what is asked of Zadig or what is told of the object.
//!
//! Objects live a life in phases: they are applied, other people change things in Zadig, the declaration changes, they are deleted.
//! Of each leaf there is a twin of a base whose life differs from the base's, or the leaf is dead; of a leaf that takes one of a few
//! words, one for each word. Leaves, and other values for them, are found by walking the definitions, so a new field is tried as soon
//! as a base has a value for it.

mod bases;
mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use self::bases::{Base, bases};
use self::life::{Effects, live};
use crate::admission::kinds;
use crate::support::{Setup, simulated_with};

/// What shows in the moments of calls alone, which no life of an object tells, or only where something was there before, with the
/// scenario that proves each: leaves, and words of leaves. Its file names the field, or the word.
const ELSEWHERE: [(&str, &str); 8] = [
    (
        "ZadigConnection.limits.requestsPerSecond",
        "limits::requests_per_second_are_not_exceeded_once_the_burst_is_used_up",
    ),
    (
        "ZadigConnection.limits.burst",
        "limits::a_burst_goes_through_at_once",
    ),
    (
        "ZadigConnection.limits.maxInFlight",
        "limits::no_more_calls_are_in_flight_than_the_limit_says",
    ),
    (
        "ZadigConnection.access[].namespaces.from: \"All\"",
        "access::every_part_of_a_grant_fences_and_a_refusal_reveals_nothing",
    ),
    (
        "ZadigEnvironment.creation: \"CreateOrAdopt\"",
        "environment::an_environment_that_exists_is_taken_over_only_when_asked_and_left_when_the_object_goes",
    ),
    (
        "ZadigEnvironment.prune: \"All\"",
        "declared::prune_decides_about_services_that_are_not_declared",
    ),
    (
        "ZadigEnvConfig.creation: \"CreateOrAdopt\"",
        "env_config::an_object_that_was_there_is_taken_over_only_when_asked_and_left_when_ours_goes",
    ),
    (
        "ZadigServiceBinding.creation: \"CreateOrAdopt\"",
        "service_binding::a_service_that_somebody_added_in_zadig_is_taken_over_only_when_asked",
    ),
];

/// A leaf of a schema: its path, with `[]` for any item and `{}` for any entry, and its schema.
type Leaf = (String, Value);

fn leaves(path: &str, schema: &Value, found: &mut Vec<Leaf>) {
    if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields {
            leaves(&format!("{path}.{name}"), field, found);
        }
    } else if schema["items"].is_object() {
        leaves(&format!("{path}[]"), &schema["items"], found);
    } else if schema["additionalProperties"].is_object() {
        leaves(
            &format!("{path}{{}}"),
            &schema["additionalProperties"],
            found,
        );
    } else {
        found.push((path.to_owned(), schema.clone()));
    }
}

/// Every leaf of every spec that may have more than one value.
fn all_leaves() -> Vec<Leaf> {
    let mut found = Vec::new();
    for kind in kinds() {
        leaves(&kind.name, &kind.spec, &mut found);
    }
    found.retain(|(_, schema)| {
        schema["enum"]
            .as_array()
            .is_none_or(|words| words.len() > 1)
    });
    assert!(found.len() > 60, "only {} leaves were found", found.len());
    found
}

/// The value at a leaf in a spec, in the first item or entry of lists and maps on the way.
fn at<'a>(spec: &'a mut Value, leaf: &str) -> Option<&'a mut Value> {
    let path = leaf.split_once('.').map_or("", |(_, path)| path);
    let mut place = spec;
    for segment in path.split('.') {
        let name = segment.trim_end_matches("[]").trim_end_matches("{}");
        place = place.get_mut(name)?;
        if segment.ends_with("[]") {
            place = place.get_mut(0)?;
        } else if segment.ends_with("{}") {
            place = place.as_object_mut()?.values_mut().next()?;
        }
    }
    Some(place)
}

/// Other values that a leaf may have, by its schema.
fn others(schema: &Value, value: &Value) -> Vec<Value> {
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .filter(|word| *word != value)
            .cloned()
            .collect();
    }
    match value {
        Value::Bool(claim) => vec![json!(!claim)],
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or_default();
            vec![json!(number + 1)]
        }
        Value::String(text) => {
            let mut other = text.clone();
            let last = other.pop();
            other.push(if last == Some('1') { '2' } else { '1' });
            vec![json!(other)]
        }
        Value::Object(object) => {
            let mut other = object.clone();
            other.insert("data".to_owned(), json!({"another": "value"}));
            vec![other.into()]
        }
        Value::Null | Value::Array(_) => Vec::new(),
    }
}

/// A base, or a twin of one that differs in one leaf.
pub(crate) struct Twin {
    /// The base that it is a twin of.
    base: usize,
    /// The leaf, and its value; none for the base itself.
    differs: Option<(String, Value)>,
    object: Base,
}

/// The bases, twice each so that chance is seen, and for each leaf the twins of the first base that has a value for it.
fn twins() -> Vec<Twin> {
    let mut twins = Vec::new();
    let mut tried = BTreeSet::new();
    for (index, base) in bases().into_iter().enumerate() {
        for _ in 0..2 {
            twins.push(Twin {
                base: index,
                differs: None,
                object: base.clone(),
            });
        }
        for (leaf, schema) in all_leaves() {
            if !leaf.starts_with(&format!("{}.", base.kind)) || tried.contains(&leaf) {
                continue;
            }
            let mut spec = base.spec.clone();
            let Some(value) = at(&mut spec, &leaf).map(|value| value.clone()) else {
                continue;
            };
            let values = match base.other.iter().find(|(other, _)| *other == leaf) {
                Some((_, value)) => vec![value.clone()],
                None => others(&schema, &value),
            };
            tried.insert(leaf.clone());
            for value in values {
                let mut object = base.clone();
                if let Some(place) = at(&mut object.spec, &leaf) {
                    *place = value.clone();
                }
                twins.push(Twin {
                    base: index,
                    differs: Some((leaf.clone(), value)),
                    object,
                });
            }
        }
    }
    twins
}

#[test]
fn a_field_that_is_proven_elsewhere_is_named_there() {
    for (subject, scenario) in ELSEWHERE {
        let (module, name) = scenario
            .split_once("::")
            .expect("a scenario is in a module");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cluster/{module}.rs"));
        let text = fs::read_to_string(file).expect("there is the module");
        let named = match subject.split_once(": ") {
            Some((_, word)) => word,
            None => subject.rsplit('.').next().unwrap_or_default(),
        };
        assert!(text.contains(&format!("fn {name}()")), "{scenario} is gone");
        assert!(text.contains(named), "{scenario} does not name {named}");
    }
}

#[test]
fn another_value_of_any_field_changes_what_is_asked_or_told() {
    let twins = twins();
    let tried: BTreeSet<&str> = twins
        .iter()
        .filter_map(|twin| Some(twin.differs.as_ref()?.0.as_str()))
        .chain(ELSEWHERE.iter().map(|(leaf, _)| *leaf))
        .collect();
    let leaves = all_leaves();
    let untried: Vec<&String> = leaves
        .iter()
        .map(|(leaf, _)| leaf)
        .filter(|leaf| !tried.contains(leaf.as_str()))
        .collect();
    assert!(
        untried.is_empty(),
        "no base has a value for these; give one in tests/cluster/fields/bases.rs in which it matters: {untried:#?}"
    );
    simulated_with(
        Setup::default().demo().without_connection(),
        async |world, sim| {
            let effects = live(world, sim, &twins).await;
            let mut usual: BTreeMap<usize, &Effects> = BTreeMap::new();
            for (twin, effects) in twins.iter().zip(&effects) {
                if twin.differs.is_none() {
                    let same = usual.entry(twin.base).or_insert(effects);
                    assert_eq!(
                        *same, effects,
                        "two equal lives of base {} differ",
                        twin.base
                    );
                }
            }
            let of_words: BTreeSet<&str> = leaves
                .iter()
                .filter(|(_, schema)| schema["enum"].is_array())
                .map(|(leaf, _)| leaf.as_str())
                .collect();
            let mut alive = BTreeSet::new();
            let mut unseen = BTreeMap::new();
            for (twin, effects) in twins.iter().zip(&effects) {
                let Some((leaf, value)) = &twin.differs else {
                    continue;
                };
                // A field of many values is alive by any of them, a word by itself.
                let subject = if of_words.contains(leaf.as_str()) {
                    format!("{leaf}: {value}")
                } else {
                    leaf.clone()
                };
                if usual[&twin.base] == effects {
                    unseen.entry(subject).or_insert(value);
                } else {
                    alive.insert(subject);
                }
            }
            let elsewhere = |leaf: &str| ELSEWHERE.iter().any(|(proven, _)| *proven == leaf);
            unseen.retain(|subject, _| !alive.contains(subject) && !elsewhere(subject));
            assert!(
                unseen.is_empty(),
                "these values change nothing in any life. Either the field is dead, or it matters where no base and no phase of \
             tests/cluster/fields/ leads to: {unseen:#?}"
            );
        },
    );
}
