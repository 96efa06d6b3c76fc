//! Values of a release as a tree: one laid over another, a single one put into it, and whether one holds another.
//!
//! As Helm does it: maps are merged and everything else is replaced; a null takes away; paths and types of single values are those
//! of `helm --set`. Numbers are compared as the floats that they become on their way through Helm.

use std::fmt;

use serde_json::{Map, Value};

/// A tree of values. It may hold secrets, so it does not print.
#[derive(Clone, Default, PartialEq)]
pub struct Values(Map<String, Value>);

impl Values {
    /// Takes a tree; from here on it prints as a mask.
    #[must_use]
    pub fn new(values: Map<String, Value>) -> Self {
        Self(values)
    }

    /// The tree itself, for the request body and the keyed digest only.
    #[must_use]
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Lays others over these.
    pub fn lay_over(&mut self, over: Map<String, Value>) {
        merge(&mut self.0, over);
    }

    /// Every text within.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.values().for_each(|value| texts(value, &mut found));
        found
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Values(<redacted>)")
    }
}

fn merge(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether the live values hold the declared ones. A declared null is there when nothing is.
#[must_use]
pub fn contains(live: &Values, declared: &Values) -> bool {
    holds_all(&live.0, &declared.0)
}

fn holds_all(live: &Map<String, Value>, declared: &Map<String, Value>) -> bool {
    declared
        .iter()
        .all(|(key, value)| holds(live.get(key), value))
}

fn holds(live: Option<&Value>, declared: &Value) -> bool {
    match (declared, live) {
        (Value::Null, live) => live.is_none_or(Value::is_null),
        (Value::Object(declared), Some(Value::Object(live))) => holds_all(live, declared),
        (declared, Some(live)) => equal(declared, live),
        (_, None) => false,
    }
}

/// Whether two values are the same.
#[must_use]
pub fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| equal(value, other)))
        }
        (one, other) => one == other,
    }
}

/// One step of a path.
#[derive(Debug, Eq, PartialEq)]
enum Step {
    Key(String),
    Item(usize),
}

/// The steps of a path such as `a.b[0].c\.d`.
fn steps(path: &str) -> Vec<Step> {
    let (mut steps, mut key) = (Vec::new(), String::new());
    let mut rest = path.chars();
    let end = |key: &mut String, steps: &mut Vec<Step>| {
        if !key.is_empty() {
            steps.push(Step::Key(std::mem::take(key)));
        }
    };
    while let Some(char) = rest.next() {
        match char {
            '\\' => key.extend(rest.next()),
            '.' => end(&mut key, &mut steps),
            '[' => {
                end(&mut key, &mut steps);
                let index: String = rest.by_ref().take_while(|char| *char != ']').collect();
                steps.extend(index.parse().ok().map(Step::Item));
            }
            other => key.push(other),
        }
    }
    end(&mut key, &mut steps);
    steps
}

/// What stands at a path.
#[must_use]
pub fn get<'a>(values: &'a Values, path: &str) -> Option<&'a Value> {
    let mut steps = steps(path).into_iter();
    let Some(Step::Key(first)) = steps.next() else {
        return None;
    };
    steps.try_fold(values.0.get(&first)?, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Item(index) => value.get(index),
    })
}

/// Puts a value at a path, and what is missing on the way; whether the path fits what is there.
pub fn put(values: &mut Values, path: &str, value: Value) -> bool {
    let steps = steps(path);
    let mut tree = Value::Object(std::mem::take(&mut values.0));
    let fits = put_at(&mut tree, &steps, value);
    if let Value::Object(tree) = tree {
        values.0 = tree;
    }
    fits
}

fn put_at(at: &mut Value, steps: &[Step], value: Value) -> bool {
    let Some((first, rest)) = steps.split_first() else {
        *at = value;
        return true;
    };
    match first {
        Step::Key(key) => {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return false };
            put_at(map.entry(key.clone()).or_insert(Value::Null), rest, value)
        }
        Step::Item(index) => {
            if at.is_null() {
                *at = Value::Array(Vec::new());
            }
            let Value::Array(items) = at else {
                return false;
            };
            if items.len() <= *index {
                items.resize(index + 1, Value::Null);
            }
            put_at(&mut items[*index], rest, value)
        }
    }
}

/// What `helm --set` makes of a text.
#[must_use]
pub fn typed(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "0" => Value::from(0),
        // With a zero in front it is a text, such as a telephone number.
        text if text.starts_with('0') => Value::from(text),
        text => text
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
    }
}

/// A value that is no map and no list, as the text of a single value.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(value: Value) -> Values {
        match value {
            Value::Object(map) => Values::new(map),
            other => panic!("no map: {other}"),
        }
    }

    #[test]
    fn maps_are_merged_and_everything_else_is_replaced() {
        let mut under = values(json!({"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}, "kept": true}));
        let over = values(json!({"a": {"c": [3]}, "d": null, "new": "x"}));
        under.lay_over(over.expose().clone());
        let expected = json!({"a": {"b": 1, "c": [3]}, "d": null, "kept": true, "new": "x"});
        assert_eq!(Value::Object(under.expose().clone()), expected);
    }

    #[test]
    fn declared_values_are_looked_for_in_the_live_ones() {
        let live = values(json!({
            "replicaCount": 2.0, "big": 1e6, "image": {"repository": "r/web", "tag": "1"},
            "list": [{"a": 1, "b": 2}], "empty": {},
        }));
        let held = [
            json!({}),
            json!({"replicaCount": 2}),
            json!({"big": 1_000_000}),
            json!({"image": {"tag": "1"}}),
            json!({"image": {}}),
            json!({"empty": {}}),
            json!({"list": [{"b": 2, "a": 1}]}),
            json!({"gone": null}),
        ];
        for declared in held {
            assert!(contains(&live, &values(declared.clone())), "{declared}");
        }
        let not_held = [
            json!({"replicaCount": "2"}),
            json!({"image": {"tag": 1}}),
            json!({"image": {"tag": null}}),
            json!({"image": "r/web:1"}),
            // A list is one value: an item is not searched in another.
            json!({"list": [{"a": 1}]}),
            json!({"list": []}),
            json!({"missing": {}}),
        ];
        for declared in not_held {
            assert!(!contains(&live, &values(declared.clone())), "{declared}");
        }
    }

    #[test]
    fn a_single_value_is_put_where_its_path_leads() {
        let mut tree = values(json!({"image": {"tag": "v1"}, "list": ["a"], "n": 1}));
        for (path, value) in [
            ("image.repository", json!("r/web")),
            ("list[2].name", json!("c")),
            (r"annotations.example\.com/x", json!(true)),
        ] {
            assert!(put(&mut tree, path, value.clone()), "{path}");
            assert_eq!(get(&tree, path), Some(&value), "{path}");
        }
        let expected = json!({
            "image": {"tag": "v1", "repository": "r/web"}, "list": ["a", null, {"name": "c"}], "n": 1,
            "annotations": {"example.com/x": true},
        });
        assert_eq!(Value::Object(tree.expose().clone()), expected);
        for path in ["n.deep", "image[0]", "list.name"] {
            assert!(!put(&mut tree, path, json!(1)), "{path}");
        }
    }

    #[test]
    fn a_text_is_typed_as_helm_does() {
        for (text, value) in [
            ("true", json!(true)),
            ("null", Value::Null),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("20261127", json!(20_261_127)),
            ("007", json!("007")),
            ("1.5", json!("1.5")),
            ("", json!("")),
            ("a,b", json!("a,b")),
        ] {
            assert_eq!(typed(text), value, "{text}");
        }
    }

    #[test]
    fn a_tree_does_not_print() {
        let tree = values(json!({"password": "hunter22"}));
        assert_eq!(format!("{tree:?}"), "Values(<redacted>)");
        assert_eq!(tree.texts(), ["hunter22"]);
    }
}
