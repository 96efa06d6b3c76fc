//! Service variables and global variables: what may be sent, and what has to be sent along (Z§4.10, Z§4.11, Z§4.13).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{GlobalVariable, ObservedService, Service, TemplateVariable, Variable, VariableValue};
use crate::api::condition::Reason;
use crate::plan::Blocked;
use crate::plan::secret::SecretText;

/// Checks declared variables of a service against its template.
///
/// Zadig would drop an unknown key silently (Z§4.11), take an enum value outside its options and refuse every later scale
/// (Z§14.24), and bind to a global variable that is not there in a way that breaks every later update (Z§14.22).
#[must_use]
pub fn check(
    service: &str,
    declared: &BTreeMap<String, Variable>,
    template: &[TemplateVariable],
    globals: &BTreeSet<String>,
) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    for (key, value) in declared {
        let field = format!("spec.services[{service}].variables[{key}]");
        let Some(variable) = template.iter().find(|variable| &variable.key == key) else {
            let known: Vec<&str> = template.iter().map(|v| v.key.as_str()).collect();
            blocked.push(Blocked::new(
                Reason::VariableInvalid,
                format!(
                    "{field}: the service's template has no such variable; it has: {}",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        super::join(known)
                    }
                ),
            ));
            continue;
        };
        match value {
            Variable::Global if !globals.contains(key) => blocked.push(Blocked::new(
                Reason::VariableInvalid,
                format!(
                    "{field}.useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables"
                ),
            )),
            Variable::Global => {}
            Variable::Value(text) => {
                if let Some(problem) = unfit(text, variable) {
                    blocked.push(Blocked::new(Reason::VariableInvalid, format!("{field}: {problem}")));
                }
            }
        }
    }
    blocked
}

/// Why a value does not fit a variable's type. Never prints the value: it may come from a Secret.
#[must_use]
pub fn unfit(value: &SecretText, variable: &TemplateVariable) -> Option<String> {
    match variable.kind.as_str() {
        "enum"
            if !variable
                .options
                .iter()
                .any(|option| option == value.expose()) =>
        {
            Some(format!(
                "the value is none of the options {}",
                super::join(&variable.options)
            ))
        }
        "bool" if !matches!(value.expose(), "true" | "false") => {
            Some("the value must be \"true\" or \"false\"".to_owned())
        }
        _ => None,
    }
}

/// The list that an add or a create carries for a service: what is declared, with the template's types.
#[must_use]
pub fn declared(service: &Service, template: &[TemplateVariable]) -> Vec<VariableValue> {
    template
        .iter()
        .filter_map(|variable| {
            service
                .variables
                .get(&variable.key)
                .map(|value| VariableValue {
                    key: variable.key.clone(),
                    kind: variable.kind.clone(),
                    value: value.clone(),
                })
        })
        .collect()
}

/// The list that an update carries for a service: what is declared, and every bound key besides.
///
/// A key that is left out loses its binding to the global variable and keeps its value, so that nothing shows until the
/// global changes (Z§14.29).
#[must_use]
pub fn complete(
    name: &str,
    service: &Service,
    template: &[TemplateVariable],
    globals: &BTreeMap<String, GlobalVariable>,
) -> Vec<VariableValue> {
    template
        .iter()
        .filter_map(|variable| {
            let value = match service.variables.get(&variable.key) {
                Some(value) => value.clone(),
                None if is_bound(name, &variable.key, globals) => Variable::Global,
                None => return None,
            };
            Some(VariableValue {
                key: variable.key.clone(),
                kind: variable.kind.clone(),
                value,
            })
        })
        .collect()
}

/// Whether the service's variable follows the environment's global variable (Z§6.1: `related_services`).
#[must_use]
pub fn is_bound(service: &str, key: &str, globals: &BTreeMap<String, GlobalVariable>) -> bool {
    globals
        .get(key)
        .is_some_and(|global| global.related.contains(service))
}

/// Whether the bindings of the declared variables are as declared; this much of variables can be read.
#[must_use]
pub fn bindings_differ(
    name: &str,
    service: &Service,
    globals: &BTreeMap<String, GlobalVariable>,
) -> bool {
    service.variables.iter().any(|(key, value)| {
        let bound = is_bound(name, key, globals);
        match value {
            Variable::Global => !bound && globals.contains_key(key),
            Variable::Value(_) => bound,
        }
    })
}

/// Whether every declared value can be told from what Zadig renders, and is as declared. Bindings are read elsewhere.
#[must_use]
pub fn are_so(service: &Service, seen: &ObservedService) -> bool {
    service
        .variables
        .iter()
        .all(|(key, variable)| match variable {
            Variable::Value(declared) => seen.told.get(key) == Some(declared),
            Variable::Global => true,
        })
}

/// Whether a stored value is the declared one. Stored values may be strings, booleans or numbers (Z§1.1).
#[must_use]
pub fn same(stored: &Value, declared: &SecretText) -> bool {
    match stored {
        Value::String(text) => text == declared.expose(),
        Value::Bool(flag) => flag.to_string() == declared.expose(),
        Value::Number(number) => number.to_string() == declared.expose(),
        Value::Null => declared.expose().is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// The full set of global variables with the declared ones merged in, and the keys that change.
///
/// Writing replaces every field of every variable (Z§4.13), so each is carried over whole. A new key takes its type from the
/// project; one that the project does not declare is refused here, as Zadig would.
#[must_use]
pub fn merge_globals(
    declared: &BTreeMap<String, SecretText>,
    stored: &BTreeMap<String, GlobalVariable>,
    project: &[TemplateVariable],
) -> (
    BTreeMap<String, GlobalVariable>,
    BTreeSet<String>,
    Vec<Blocked>,
) {
    let mut merged = stored.clone();
    let mut changed = BTreeSet::new();
    let mut blocked = Vec::new();
    for (key, value) in declared {
        let template = match (
            stored.get(key),
            project.iter().find(|variable| &variable.key == key),
        ) {
            (Some(stored), _) => TemplateVariable {
                key: key.clone(),
                kind: stored.kind.clone(),
                options: stored.options.clone(),
            },
            (None, Some(variable)) => variable.clone(),
            (None, None) => {
                blocked.push(Blocked::new(
                    Reason::VariableInvalid,
                    format!(
                        "spec.globalVariables[{key}]: the project declares no such global variable"
                    ),
                ));
                continue;
            }
        };
        if let Some(problem) = unfit(value, &template) {
            blocked.push(Blocked::new(
                Reason::VariableInvalid,
                format!("spec.globalVariables[{key}]: {problem}"),
            ));
            continue;
        }
        if stored
            .get(key)
            .is_some_and(|stored| same(&stored.value, value))
        {
            continue;
        }
        changed.insert(key.clone());
        let entry = merged.entry(key.clone()).or_insert_with(|| GlobalVariable {
            kind: template.kind.clone(),
            options: template.options.clone(),
            ..GlobalVariable::default()
        });
        entry.value = typed(value, &template.kind);
    }
    (merged, changed, blocked)
}

/// A value as Zadig stores it for a type.
#[must_use]
pub fn typed(value: &SecretText, kind: &str) -> Value {
    match (kind, value.expose()) {
        ("bool", "true") => Value::Bool(true),
        ("bool", "false") => Value::Bool(false),
        (_, text) => Value::String(text.to_owned()),
    }
}
