//! The functions of text/template and the common ones of the library that charts use.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::yaml;

/// Go's truth: not empty.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// The value as `fmt` prints it with `%v`.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => print_number(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(print).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Object(map) => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", print(value)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// The value with its whole floats as integers, as they are in JSON's text.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and small enough"
            )]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                json!(float as i64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(whole).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), whole(value)))
            .collect(),
        _ => value.clone(),
    }
}

/// Integers plainly; floats as Go's shortest form, with an exponent from 21 digits on.
fn print_number(number: &serde_json::Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let value = number.as_f64().unwrap_or(0.0);
    crate::variables::go_float(value)
}

pub(super) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let arg = |at: usize| args.get(at).unwrap_or(&Value::Null);
    let text = |at: usize| print_text(arg(at));
    let last = args.last().unwrap_or(&Value::Null);
    Ok(match name {
        "not" | "empty" => json!(!truth(arg(0))),
        "eq" => json!(
            args[1.min(args.len())..]
                .iter()
                .any(|other| equal(arg(0), other))
        ),
        "ne" => json!(!equal(arg(0), arg(1))),
        "lt" => json!(compare(arg(0), arg(1))? == Ordering::Less),
        "le" => json!(compare(arg(0), arg(1))? != Ordering::Greater),
        "gt" => json!(compare(arg(0), arg(1))? == Ordering::Greater),
        "ge" => json!(compare(arg(0), arg(1))? != Ordering::Less),
        "len" => json!(length(arg(0))?),
        "index" | "get" => args
            .iter()
            .skip(1)
            .fold(arg(0).clone(), |value, key| element(&value, key)),
        "print" => json!(args.iter().map(print).collect::<String>()),
        "println" => json!(format!(
            "{}\n",
            args.iter().map(print).collect::<Vec<_>>().join(" ")
        )),
        "printf" => json!(printf(&text(0), args.get(1..).unwrap_or_default())),
        "html" => json!(
            text(0)
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        ),
        "default" => {
            if args.len() > 1 && truth(arg(1)) {
                arg(1).clone()
            } else {
                arg(0).clone()
            }
        }
        "coalesce" => args
            .iter()
            .find(|value| truth(value))
            .unwrap_or(&Value::Null)
            .clone(),
        "required" => {
            if matches!(arg(1), Value::Null) || arg(1) == "" {
                return Err(text(0));
            }
            arg(1).clone()
        }
        "fail" => return Err(text(0)),
        "ternary" => {
            if truth(arg(2)) {
                arg(0).clone()
            } else {
                arg(1).clone()
            }
        }
        "quote" => json!(each(args, |text| Value::from(text).to_string())),
        "squote" => json!(each(args, |text| format!("'{text}'"))),
        "toString" => json!(text(0)),
        "int" | "int64" | "atoi" => json!(integer(arg(0))),
        "float64" => json!(number(arg(0))),
        "add" => json!(args.iter().map(integer).sum::<i64>()),
        "add1" => json!(integer(arg(0)) + 1),
        "sub" => json!(integer(arg(0)) - integer(arg(1))),
        "mul" => json!(args.iter().map(integer).product::<i64>()),
        "div" => json!(
            integer(arg(0))
                .checked_div(integer(arg(1)))
                .ok_or("division by zero")?
        ),
        "mod" => json!(
            integer(arg(0))
                .checked_rem(integer(arg(1)))
                .ok_or("division by zero")?
        ),
        "max" => json!(args.iter().map(integer).max()),
        "min" => json!(args.iter().map(integer).min()),
        "upper" => json!(text(0).to_uppercase()),
        "lower" => json!(text(0).to_lowercase()),
        "title" => json!(title(&text(0))),
        "trim" => json!(text(0).trim()),
        "trimSuffix" => json!(text(1).strip_suffix(text(0).as_str()).unwrap_or(&text(1))),
        "trimPrefix" => json!(text(1).strip_prefix(text(0).as_str()).unwrap_or(&text(1))),
        "trimAll" => json!(text(1).trim_matches(|c| text(0).contains(c))),
        "trunc" => json!(truncated(&text(1), integer(arg(0)))),
        "replace" => json!(text(2).replace(&text(0), &text(1))),
        "contains" => json!(text(1).contains(&text(0))),
        "hasPrefix" => json!(text(1).starts_with(&text(0))),
        "hasSuffix" => json!(text(1).ends_with(&text(0))),
        "repeat" => json!(text(1).repeat(usize::try_from(integer(arg(0))).unwrap_or(0))),
        "join" => json!(
            list(arg(1))
                .iter()
                .map(print_text)
                .collect::<Vec<_>>()
                .join(&text(0))
        ),
        "split" | "splitList" => {
            json!(text(1).split(text(0).as_str()).collect::<Vec<_>>())
        }
        "indent" => json!(indented(&text(1), integer(arg(0)))),
        "nindent" => json!(format!("\n{}", indented(&text(1), integer(arg(0))))),
        "toYaml" => json!(yaml::emit(&whole(arg(0)), 2).trim_end_matches('\n')),
        "fromYaml" | "fromYamlArray" => yaml::document(&text(0))?,
        "toJson" | "toRawJson" => json!(crate::reply::go_json(&whole(arg(0)))),
        "toPrettyJson" => {
            json!(serde_json::to_string_pretty(&whole(arg(0))).map_err(|e| e.to_string())?)
        }
        "fromJson" | "fromJsonArray" => {
            serde_json::from_str(&text(0)).map_err(|error| error.to_string())?
        }
        "b64enc" => json!(STANDARD.encode(text(0))),
        "b64dec" => json!(STANDARD.decode(text(0)).map_or_else(
            |error| error.to_string(),
            |bytes| { String::from_utf8_lossy(&bytes).into_owned() }
        )),
        "sha256sum" => json!(hex(&Sha256::digest(text(0)))),
        "list" | "tuple" => json!(args),
        "dict" => json!(
            args.chunks(2)
                .map(|pair| (print(&pair[0]), pair.get(1).cloned().unwrap_or_default()))
                .collect::<Map<String, Value>>()
        ),
        "hasKey" => json!(arg(0).get(text(1)).is_some()),
        "keys" => json!(
            arg(0)
                .as_object()
                .map(|map| map.keys().cloned().collect::<Vec<_>>())
        ),
        "merge" | "mergeOverwrite" => merged(args, name == "mergeOverwrite"),
        "first" => list(arg(0)).first().cloned().unwrap_or_default(),
        "last" => list(arg(0)).last().cloned().unwrap_or_default(),
        "has" => json!(list(arg(1)).contains(arg(0))),
        "append" => json!([list(arg(0)), std::slice::from_ref(arg(1))].concat()),
        "until" => json!((0..integer(arg(0))).collect::<Vec<_>>()),
        "kindIs" => json!(kind(arg(1)) == text(0)),
        "kindOf" => json!(kind(arg(0))),
        "lookup" => json!({}),
        "deepCopy" | "toDate" => last.clone(),
        _ => {
            let plain = name.strip_prefix("must").filter(|rest| !rest.is_empty());
            return match (super::sprig::call(name, args), plain) {
                (Some(result), _) => result,
                (None, Some(plain)) => {
                    let mut chars = plain.chars();
                    let first = chars.next().into_iter().flat_map(char::to_lowercase);
                    call(&first.chain(chars).collect::<String>(), args)
                }
                (None, None) => Err(format!("function {name:?} not defined")),
            };
        }
    })
}

pub(super) fn print_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => print(value),
    }
}

fn each(args: &[Value], show: impl Fn(String) -> String) -> String {
    args.iter()
        .filter(|value| !value.is_null())
        .map(|value| show(print(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(_), Some(_)) => compare(a, b) == Ok(Ordering::Equal),
        _ => a == b,
    }
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        _ => number(a)
            .partial_cmp(&number(b))
            .ok_or_else(|| "not comparable".to_owned()),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        other => Err(format!("len of {}", print(other))),
    }
}

fn element(value: &Value, key: &Value) -> Value {
    let found = match key.as_u64() {
        Some(at) if value.is_array() => usize::try_from(at).ok().and_then(|at| value.get(at)),
        _ => value.get(print(key)),
    };
    found.cloned().unwrap_or_default()
}

pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        Value::Bool(true) => 1.0,
        _ => 0.0,
    }
}

pub(super) fn integer(value: &Value) -> i64 {
    match value.as_i64() {
        Some(integer) => integer,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Go cuts the fraction off as well"
        )]
        None => number(value) as i64,
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let upper = if start { c.to_ascii_uppercase() } else { c };
            start = c.is_whitespace();
            upper
        })
        .collect()
}

fn truncated(text: &str, length: i64) -> String {
    let count = text.chars().count();
    let keep = usize::try_from(length.unsigned_abs())
        .unwrap_or(usize::MAX)
        .min(count);
    if length < 0 {
        text.chars().skip(count - keep).collect()
    } else {
        text.chars().take(keep).collect()
    }
}

fn indented(text: &str, spaces: i64) -> String {
    let pad = " ".repeat(usize::try_from(spaces).unwrap_or(0));
    text.split('\n')
        .map(|line| format!("{pad}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// All maps in one: the first one's values win, or with `overwrite` the last one's.
fn merged(args: &[Value], overwrite: bool) -> Value {
    let mut result = Map::new();
    for map in args.iter().filter_map(Value::as_object) {
        merge_into(&mut result, map, overwrite);
    }
    Value::Object(result)
}

fn merge_into(result: &mut Map<String, Value>, map: &Map<String, Value>, overwrite: bool) {
    for (key, value) in map {
        match (result.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge_into(known, more, overwrite),
            (Some(_), _) if !overwrite => {}
            _ => {
                result.insert(key.clone(), value.clone());
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn printf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| c.is_ascii_digit() || "+-# .".contains(*c)) {
            flags.push(flag);
        }
        match chars.next() {
            Some('%') | None => out.push('%'),
            Some(verb) => {
                let value = args.next().unwrap_or(&Value::Null);
                let shown = match verb {
                    'q' => Value::from(print(value)).to_string(),
                    'd' => integer(value).to_string(),
                    'f' => {
                        let digits = flags.split_once('.').and_then(|(_, d)| d.parse().ok());
                        format!("{:.*}", digits.unwrap_or(6), number(value))
                    }
                    't' => truth(value).to_string(),
                    _ => print(value),
                };
                let width = flags.split('.').next().unwrap_or("");
                let zero = width.starts_with('0');
                let size: usize = width
                    .trim_start_matches(['-', '+', '0'])
                    .parse()
                    .unwrap_or(0);
                let missing = size.saturating_sub(shown.chars().count());
                let pad = if zero { "0" } else { " " }.repeat(missing);
                if width.starts_with('-') {
                    out.push_str(&shown);
                    out.push_str(&pad);
                } else {
                    out.push_str(&pad);
                    out.push_str(&shown);
                }
            }
        }
    }
    out
}
