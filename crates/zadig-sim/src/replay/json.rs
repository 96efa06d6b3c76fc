//! Compares two JSON values field by field.
//!
//! Says what differs and where; which parts count is decided in `rules`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::rules::{self, Circumstances, Order, Rule};
use super::yaml;

/// Finds the differences between two values.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    circumstances: &'a Circumstances<'a>,
    /// Keys on the way to the current value, without indices of lists.
    keys: Vec<String>,
    /// The same way as the reader sees it.
    way: Vec<String>,
    /// Path and text of each difference.
    found: Vec<(String, String)>,
}

/// Compares two bodies and returns path and text of each difference.
pub(crate) fn compare(
    expected: &Value,
    got: &Value,
    circumstances: &Circumstances<'_>,
) -> Vec<(String, String)> {
    let mut comparison = Comparison {
        circumstances,
        keys: Vec::new(),
        way: vec!["body".to_owned()],
        found: Vec::new(),
    };
    comparison.value(expected, got);
    comparison.found
}

/// Compares the documents of two YAML texts.
pub(crate) fn compare_yaml(
    expected: &str,
    got: &str,
    circumstances: &Circumstances<'_>,
) -> Vec<(String, String)> {
    let mut comparison = Comparison {
        circumstances,
        keys: Vec::new(),
        way: vec!["body".to_owned()],
        found: Vec::new(),
    };
    comparison.documents(expected, got);
    comparison.found
}

impl Comparison<'_> {
    fn differs(&mut self, text: impl Into<String>) {
        self.found.push((self.way.concat(), text.into()));
    }

    fn values_differ(&mut self, expected: &Value, got: &Value) {
        self.differs(format!("expected {}, got {}", short(expected), short(got)));
    }

    fn at_key(&mut self, key: &str, compare: impl FnOnce(&mut Self)) {
        self.keys.push(key.to_owned());
        self.way.push(format!(".{key}"));
        compare(self);
        self.way.pop();
        self.keys.pop();
    }

    fn at_item(&mut self, label: &str, compare: impl FnOnce(&mut Self)) {
        self.way.push(format!("[{label}]"));
        compare(self);
        self.way.pop();
    }

    fn value(&mut self, expected: &Value, got: &Value) {
        match rules::rule(self.circumstances, &self.keys) {
            Rule::Value => self.walk(expected, got),
            Rule::Kind => self.same_kind(expected, got),
            Rule::Emptiness => {
                let empty = |value: &Value| value.as_str().map(str::is_empty);
                if empty(expected) != empty(got) {
                    self.values_differ(expected, got);
                }
            }
            Rule::Near(tolerance) => match (expected.as_i64(), got.as_i64()) {
                (Some(a), Some(b)) if a.abs_diff(b) <= tolerance.unsigned_abs() => {}
                (Some(a), Some(b)) => {
                    self.differs(format!(
                        "expected {a} within {tolerance} s, got {b} ({:+} s)",
                        b - a
                    ));
                }
                _ => self.same_kind(expected, got),
            },
            Rule::Description => match (expected.as_str(), got.as_str()) {
                (Some(a), Some(b)) => {
                    if let Err(wanted) = rules::description(a, b) {
                        self.differs(format!("expected {wanted}, got {b:?}"));
                    }
                }
                _ => self.same_kind(expected, got),
            },
            Rule::Yaml => match (expected.as_str(), got.as_str()) {
                (Some(a), Some(b)) => self.documents(a, b),
                _ => self.same_kind(expected, got),
            },
            Rule::Pods => match (expected.as_array(), got.as_array()) {
                (Some(a), Some(b)) => self.pods(a, b),
                _ => self.same_kind(expected, got),
            },
            Rule::Events => match (expected.as_array(), got.as_array()) {
                (Some(a), Some(b)) => self.events(a, b),
                _ => self.walk(expected, got),
            },
        }
    }

    fn same_kind(&mut self, expected: &Value, got: &Value) {
        if kind(expected) != kind(got) {
            self.differs(format!(
                "expected {}, got {} {}",
                kind(expected),
                kind(got),
                short(got)
            ));
        }
    }

    fn walk(&mut self, expected: &Value, got: &Value) {
        match (expected, got) {
            (Value::Object(a), Value::Object(b)) => self.objects(a, b),
            (Value::Array(a), Value::Array(b)) => self.lists(a, b),
            _ if kind(expected) != kind(got) => self.same_kind(expected, got),
            _ if expected != got => self.values_differ(expected, got),
            _ => {}
        }
    }

    fn objects(&mut self, expected: &Map<String, Value>, got: &Map<String, Value>) {
        for (key, value) in expected {
            match got.get(key) {
                Some(other) => self.at_key(key, |it| it.value(value, other)),
                None => self.differs(format!("missing key {key:?}, expected {}", short(value))),
            }
        }
        for (key, value) in got.iter().filter(|(key, _)| !expected.contains_key(*key)) {
            self.differs(format!("extra key {key:?}: {}", short(value)));
        }
    }

    fn lists(&mut self, expected: &[Value], got: &[Value]) {
        let order = rules::order(self.circumstances, &self.keys);
        if let Some(identity) = identity(expected, got) {
            self.by_identity(identity, order, expected, got);
        } else if order == Order::Free && expected.iter().chain(got).all(|it| !it.is_object()) {
            let set = |items: &[Value]| items.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            if set(expected) != set(got) || expected.len() != got.len() {
                self.values_differ(&expected.to_vec().into(), &got.to_vec().into());
            }
        } else if expected.iter().chain(got).any(Value::is_object) && expected.len() == got.len() {
            for (index, (a, b)) in expected.iter().zip(got).enumerate() {
                self.at_item(&index.to_string(), |it| it.value_of_item(a, b));
            }
        } else if expected != got {
            self.values_differ(&expected.to_vec().into(), &got.to_vec().into());
        }
    }

    /// Items that name themselves are compared with their namesake; the order counts where it is part of the answer.
    fn by_identity(&mut self, identity: &str, order: Order, expected: &[Value], got: &[Value]) {
        let label = |item: &Value| match &item[identity] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut left: Vec<Option<&Value>> = got.iter().map(Some).collect();
        for item in expected {
            let name = label(item);
            let found = left
                .iter_mut()
                .find(|other| other.is_some_and(|other| label(other) == name))
                .and_then(Option::take);
            match found {
                Some(other) => self.at_item(&name, |it| it.value_of_item(item, other)),
                None => self.differs(format!("missing item {name:?}")),
            }
        }
        for item in left.into_iter().flatten() {
            self.differs(format!("extra item {:?}", label(item)));
        }
        let names = |items: &[Value]| items.iter().map(label).collect::<Vec<_>>();
        let (wanted, there) = (names(expected), names(got));
        let same_items = {
            let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
            wanted.len() == there.len() && sorted(&wanted) == sorted(&there)
        };
        if order == Order::Kept && same_items && wanted != there {
            self.differs(format!(
                "expected the order {}, got {}",
                wanted.join(", "),
                there.join(", ")
            ));
        }
    }

    /// An item has the keys of its list, so the rule of the list must not be asked again.
    fn value_of_item(&mut self, expected: &Value, got: &Value) {
        self.walk(expected, got);
    }

    fn pods(&mut self, expected: &[Value], got: &[Value]) {
        if self.circumstances.rolling {
            // Old and new pods stand side by side; only their form is known.
            if let Some(form) = expected.first() {
                for (index, pod) in got.iter().enumerate() {
                    self.at_item(&index.to_string(), |it| it.form(form, pod));
                }
            }
            return;
        }
        if expected.len() != got.len() {
            self.differs(format!(
                "expected {} pods, got {}",
                expected.len(),
                got.len()
            ));
            return;
        }
        for (index, (a, b)) in expected.iter().zip(got).enumerate() {
            self.at_item(&index.to_string(), |it| it.walk(a, b));
        }
    }

    /// Kubernetes words its events and merges them; Zadig decides whether there are any and their form.
    fn events(&mut self, expected: &[Value], got: &[Value]) {
        match (expected.first(), got.is_empty()) {
            (Some(_), true) => {
                self.differs(format!("expected {} events, got none", expected.len()));
            }
            (None, false) => self.differs(format!("expected no event, got {}", got.len())),
            (None, true) => {}
            (Some(form), false) => {
                for (index, event) in got.iter().enumerate() {
                    self.at_item(&index.to_string(), |it| it.form(form, event));
                }
            }
        }
    }

    /// Compares key sets and kinds; of lists, only the first items.
    fn form(&mut self, expected: &Value, got: &Value) {
        match (expected, got) {
            (Value::Object(a), Value::Object(b)) => {
                for (key, value) in a {
                    match b.get(key) {
                        Some(other) => self.at_key(key, |it| it.form(value, other)),
                        None if MAY_LACK.contains(&key.as_str()) => {}
                        None => {
                            self.differs(format!("missing key {key:?}, expected {}", short(value)));
                        }
                    }
                }
                let known = |key: &str| a.contains_key(key) || MAY_LACK.contains(&key);
                for key in b.keys().filter(|key| !known(key)) {
                    self.differs(format!("extra key {key:?}"));
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                if let (Some(a), Some(b)) = (a.first(), b.first()) {
                    self.at_item("0", |it| it.form(a, b));
                }
            }
            _ => self.same_kind(expected, got),
        }
    }

    fn documents(&mut self, expected: &str, got: &str) {
        match (yaml::documents(expected), yaml::documents(got)) {
            (Ok(a), Ok(b)) if a.len() == b.len() => {
                for (index, (a, b)) in a.iter().zip(&b).enumerate() {
                    let label = b["kind"]
                        .as_str()
                        .map_or_else(|| index.to_string(), str::to_owned);
                    self.at_item(&label, |it| it.walk(a, b));
                }
            }
            (Ok(a), Ok(b)) => {
                self.differs(format!("expected {} documents, got {}", a.len(), b.len()));
            }
            (Ok(_), Err(what)) => {
                self.differs(format!("expected YAML, got a text that is none: {what}"));
            }
            // The recording itself holds no YAML: then the text counts.
            (Err(_), _) if expected == got => {}
            (Err(_), _) => self.differs(format!("expected {expected:?}, got {got:?}")),
        }
    }
}

/// Fields that a container has only once it has started or ended (Z§4.3).
const MAY_LACK: [&str; 2] = ["started_at", "finished_at"];

/// The field that names the items of two lists, if all have one.
fn identity(expected: &[Value], got: &[Value]) -> Option<&'static str> {
    if expected.is_empty() && got.is_empty() {
        return None;
    }
    ["env_key", "service_name", "key", "name"]
        .into_iter()
        .find(|field| {
            expected
                .iter()
                .chain(got)
                .all(|item| item.get(field).is_some())
        })
}

/// The kind of a JSON value, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value in a line of bearable length.
pub(crate) fn short(value: &Value) -> String {
    excerpt(&value.to_string())
}

/// The beginning of a text that fits in a line.
pub(crate) fn excerpt(text: &str) -> String {
    const LENGTH: usize = 160;
    let line = text.replace('\n', "\\n");
    match line.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
