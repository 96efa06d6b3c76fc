//! Service and global variables: their wire forms and how they become values of a template (Z§4).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::yaml;

/// A variable of a service template (`ServiceVariableKV`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Variable {
    #[serde(default)]
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: Value,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) options: Vec<String>,
    #[serde(default)]
    pub(crate) desc: String,
}

/// A variable of a service in an environment (`RenderVariableKV`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bound {
    #[serde(flatten)]
    pub(crate) variable: Variable,
    #[serde(default)]
    pub(crate) use_global_variable: bool,
}

/// A global variable of an environment (`GlobalVariableKV`), stored as it was sent (Z§4.13).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Global {
    #[serde(flatten)]
    pub(crate) variable: Variable,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) related_services: Vec<String>,
}

/// Go takes null for an empty list.
pub(crate) fn nullable<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Global {
    /// Makes `service` one of the related ones, or not.
    pub(crate) fn relate(&mut self, service: &str, related: bool) {
        self.related_services.retain(|known| known != service);
        if related {
            self.related_services.push(service.to_owned());
        }
    }
}

/// Whether enum values are checked against their options: on create and scale, not on add and update (Z§4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnumCheck {
    Strict,
    Lenient,
}

/// The values a template is rendered with.
///
/// The error names the variable that does not fit its type.
pub(crate) fn values(variables: &[Variable], check: EnumCheck) -> Result<Value, String> {
    let mut map = Map::new();
    for variable in variables {
        map.insert(variable.key.clone(), value_of(variable, check)?);
    }
    Ok(Value::Object(map))
}

fn value_of(variable: &Variable, check: EnumCheck) -> Result<Value, String> {
    let text = go_print(&variable.value);
    match variable.kind.as_str() {
        "yaml" => yaml::document(&text).map_err(|error| {
            format!(
                "failed to unmarshal yaml, key: {}, err: {error}",
                variable.key
            )
        }),
        "bool" => match text.as_str() {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err(format!(
                "invaild value for bool, key: {}, value: {text}",
                variable.key
            )),
        },
        "enum" if check == EnumCheck::Strict && !variable.options.contains(&text) => Err(format!(
            "invaild value for enum, key: {}, value: {text}, options: [{}]",
            variable.key,
            variable.options.join(" ")
        )),
        _ => Ok(scalar(&text)),
    }
}

/// The scalar that YAML makes of a text, where it is printed as the same text again.
fn scalar(text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => json!(number),
            _ => json!(text),
        },
    }
}

/// A value as Go prints it with `%v`; JSON's numbers are floats there.
pub(crate) fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => go_float(number.as_f64().unwrap_or(0.0)),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(go_print).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Object(map) => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_print(value)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(flag) => flag.to_string(),
    }
}

/// A float as Go's `%v`: the shortest digits, with an exponent below -4 and from 6 on, so a million is `1e+06` (Z§4).
pub(crate) fn go_float(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(kind: &str, value: Value) -> Variable {
        Variable {
            key: "k".to_owned(),
            value,
            kind: kind.to_owned(),
            options: vec!["a".to_owned(), "b".to_owned()],
            desc: String::new(),
        }
    }

    fn render(kind: &str, value: Value) -> Result<Value, String> {
        value_of(&variable(kind, value), EnumCheck::Strict)
    }

    #[test]
    fn values_become_what_their_type_says() {
        assert_eq!(render("string", json!("2")), Ok(json!(2)));
        assert_eq!(render("string", json!("0123")), Ok(json!("0123")));
        assert_eq!(render("string", json!(2)), Ok(json!(2)));
        assert_eq!(render("string", Value::Null), Ok(json!("<nil>")));
        assert_eq!(render("bool", json!("true")), Ok(json!(true)));
        assert_eq!(render("yaml", json!("x: [1]")), Ok(json!({ "x": [1] })));
        assert_eq!(render("enum", json!("a")), Ok(json!("a")));
    }

    #[test]
    fn a_value_outside_its_options_is_refused_only_where_zadig_checks() {
        assert_eq!(
            render("enum", json!("loud")),
            Err("invaild value for enum, key: k, value: loud, options: [a b]".to_owned())
        );
        let lenient = value_of(&variable("enum", json!("loud")), EnumCheck::Lenient);
        assert_eq!(lenient, Ok(json!("loud")));
        assert!(render("bool", json!("maybe")).is_err());
    }

    #[test]
    fn numbers_are_printed_as_go_prints_floats() {
        let shown: Vec<String> = [1_000_000.0, 2.0, 0.5, 123_456.0, 1e21, 0.00001]
            .map(go_float)
            .to_vec();
        assert_eq!(shown, ["1e+06", "2", "0.5", "123456", "1e+21", "1e-05"]);
    }
}
