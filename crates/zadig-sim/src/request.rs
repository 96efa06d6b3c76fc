//! A request as the handlers see it: routed, with its user, its query and its body.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::User;
use crate::reply::Fail;
use crate::scope::Scope;

/// One routed request.
#[derive(Debug)]
pub(crate) struct Request {
    /// The segments of the path that the route names, in order.
    pub(crate) params: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) user: Arc<User>,
    /// The kind of environment the route is for.
    pub(crate) scope: Scope,
}

impl Request {
    /// The n-th named segment; empty if the route has none.
    pub(crate) fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }

    /// A query value; empty if absent, as in Go.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// A query value that must not be empty, else 400/400 with this description.
    pub(crate) fn required(&self, name: &str, description: &str) -> Result<&str, Fail> {
        match self.query(name) {
            "" => Err(Fail::bad_request(description)),
            value => Ok(value),
        }
    }

    /// The body decoded, or the text of Go's decoder.
    pub(crate) fn decode<T: DeserializeOwned>(&self, go_type: &str) -> Result<T, String> {
        decode(&self.body, go_type)
    }

    /// The body decoded, else shape B.
    pub(crate) fn decode_or_500<T: DeserializeOwned>(&self, go_type: &str) -> Result<T, Fail> {
        self.decode(go_type).map_err(Fail::Wrapped)
    }

    /// The body decoded by gin's binder, else 400 without a body.
    pub(crate) fn bind<T: DeserializeOwned>(&self) -> Result<T, Fail> {
        self.decode("").map_err(|_| Fail::Empty(400))
    }
}

/// Decodes JSON with the messages of Go's decoder as far as they are simple; their wording is Go's and not compared.
pub(crate) fn decode<T: DeserializeOwned>(body: &str, go_type: &str) -> Result<T, String> {
    if body.trim().is_empty() {
        return Err("unexpected end of JSON input".to_owned());
    }
    let value: Value = serde_json::from_str(body).map_err(|error| {
        if error.is_eof() {
            "unexpected end of JSON input".to_owned()
        } else {
            syntax_error(body, &error)
        }
    })?;
    let value = without_nulls(value);
    if value.is_null() {
        return empty().map_err(|error| error.to_string());
    }
    let kind = kind_of(&value);
    let mismatch = || format!("json: cannot unmarshal {kind} into Go value of type {go_type}");
    // Serde takes a list for a structure, Go does not.
    if value.is_array() && empty::<T>().is_ok() {
        return Err(mismatch());
    }
    serde_json::from_value(value).map_err(|error| {
        if kind == "object" {
            format!("json: cannot unmarshal into Go value of type {go_type}: {error}")
        } else {
            mismatch()
        }
    })
}

/// What Go has when nothing was sent.
fn empty<T: DeserializeOwned>() -> serde_json::Result<T> {
    serde_json::from_value(Value::Object(serde_json::Map::new()))
}

/// Go leaves a field alone that is null, as one that is absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn syntax_error(body: &str, error: &serde_json::Error) -> String {
    let line = body
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or("");
    let found = line
        .chars()
        .nth(error.column().saturating_sub(1))
        .unwrap_or(' ');
    let place = if body.trim_start().starts_with('{') {
        "looking for beginning of object key string"
    } else {
        "looking for beginning of value"
    };
    format!("invalid character '{found}' {place}")
}

/// Go's word for a JSON value's type.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Splits a query string, decoding what is percent-encoded.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_percent(key, true), decode_percent(value, true))
        })
        .collect()
}

/// Decodes `%xx`, and `+` as a space where that is the custom.
pub(crate) fn decode_percent(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (b'+', _) if plus => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn queries_are_decoded() {
        assert_eq!(
            parse_query("a=b%20c&d=%2A%2F+x&e"),
            [
                ("a".to_owned(), "b c".to_owned()),
                ("d".to_owned(), "*/ x".to_owned()),
                ("e".to_owned(), String::new())
            ]
        );
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Args {
        name: String,
        list: Vec<String>,
    }

    #[test]
    fn null_is_as_good_as_absent_and_a_list_is_no_structure() {
        assert_eq!(
            decode(r#"{"name": null, "list": ["a"]}"#, "service.Args"),
            Ok(Args {
                list: vec!["a".to_owned()],
                ..Args::default()
            })
        );
        assert_eq!(decode("null", "service.Args"), Ok(Args::default()));
        assert_eq!(
            decode::<Args>("[]", "service.Args"),
            Err("json: cannot unmarshal array into Go value of type service.Args".to_owned())
        );
        assert_eq!(decode::<Vec<Args>>("[{}]", ""), Ok(vec![Args::default()]));
    }

    #[test]
    fn decoding_fails_in_the_words_of_go() {
        let errors: Vec<String> = ["", "{", "{not json", "[]"]
            .iter()
            .map(|body| {
                decode::<std::collections::BTreeMap<String, Value>>(body, "service.Args")
                    .unwrap_err()
            })
            .collect();
        assert_eq!(
            errors,
            [
                "unexpected end of JSON input",
                "unexpected end of JSON input",
                "invalid character 'n' looking for beginning of object key string",
                "json: cannot unmarshal array into Go value of type service.Args",
            ]
        );
    }
}
