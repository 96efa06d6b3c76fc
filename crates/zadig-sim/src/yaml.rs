//! YAML in and out as Zadig has it: documents into JSON values, and the block style of Go's libraries.

use serde_json::Value;

use crate::variables::go_float;

/// The documents of a stream; empty ones are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let values: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| first_line(&error.to_string()))?;
    Ok(values
        .into_iter()
        .filter(|value| !value.is_null())
        .collect())
}

/// One document, null if there is none.
pub(crate) fn document(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_owned()
}

/// Block style with sorted keys; lists stand at the indentation of their key if `indent` is 2, else below it.
pub(crate) fn emit(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => emit_value(&mut out, value, 0, indent),
        Value::Array(items) if !items.is_empty() => emit_value(&mut out, value, 0, indent),
        _ => {
            emit_scalar(&mut out, value, 0);
            out.push('\n');
        }
    }
    out
}

fn emit_value(out: &mut String, value: &Value, depth: usize, indent: usize) {
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    pad(out, depth);
                }
                emit_text(out, key, depth);
                out.push(':');
                emit_member(out, value, depth, indent);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    pad(out, depth);
                }
                out.push_str("- ");
                if is_block(item) {
                    emit_value(out, item, depth + 2, indent);
                } else {
                    emit_scalar(out, item, depth);
                    out.push('\n');
                }
            }
        }
        _ => emit_scalar(out, value, depth),
    }
}

fn emit_member(out: &mut String, value: &Value, depth: usize, indent: usize) {
    if is_block(value) {
        out.push('\n');
        let below = if value.is_array() && indent == 2 {
            depth
        } else {
            depth + indent
        };
        pad(out, below);
        emit_value(out, value, below, indent);
    } else {
        out.push(' ');
        emit_scalar(out, value, depth);
        out.push('\n');
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn pad(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth));
}

fn emit_scalar(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&go_float(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => emit_text(out, text, depth),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn emit_text(out: &mut String, text: &str, depth: usize) {
    let printable = text.chars().all(|c| !c.is_control() || c == '\n');
    if text.contains('\n') && printable && !text.starts_with([' ', '\n']) {
        let kept = text.len() - text.trim_end_matches('\n').len();
        out.push_str(match kept {
            0 => "|-",
            1 => "|",
            _ => "|+",
        });
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(out, depth + 2);
                out.push_str(line);
            }
        }
    } else if !printable || text.contains('\n') {
        // JSON's escapes are YAML's.
        out.push_str(&Value::from(text).to_string());
    } else if is_plain(text) {
        out.push_str(text);
    } else if resolves(text) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Whether the text would be read back as something else than itself.
fn resolves(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "" | "~"
            | "null"
            | "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "y"
            | "n"
            | ".inf"
            | "-.inf"
            | "+.inf"
            | ".nan"
    ) || (text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && numeric(text))
}

fn numeric(text: &str) -> bool {
    let bare = text.replace('_', "");
    let unsigned = bare.trim_start_matches(['+', '-']);
    bare.parse::<f64>().is_ok()
        || ["0x", "0o", "0b"].iter().any(|prefix| unsigned.starts_with(prefix))
        // Times and dates, and numbers to the base 60, of the older YAML.
        || (unsigned.starts_with(|c: char| c.is_ascii_digit())
            && unsigned.chars().all(|c| c.is_ascii_digit() || ":-TZ. +".contains(c)))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !resolves(text)
        && !text.starts_with([
            ' ', '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"',
            '%', '@', '`', '=',
        ])
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        || text.strip_prefix('-').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && is_plain(rest)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({
            "schedule": "*/10 * * * *", "yes": "yes", "n": "1", "f": 1.5, "t": "true", "b": true,
            "empty": "", "list": [{ "a": 1, "b": ["x", "-y", "- z"] }, [], {}],
            "text": "a\nb\n", "bare": "a\nb", "odd": "a: b", "hash": "a #b", "q": "it's", "z": null,
            "time": "12:30", "colon": "http://x:80/y", "nil": "<nil>", "tab": "a\tb", "dash": "-c",
        });
        assert_eq!(document(&emit(&value, 2)).unwrap(), value);
        assert_eq!(document(&emit(&value, 4)).unwrap(), value);
    }

    #[test]
    fn lists_stand_at_their_key_and_deeper_with_four() {
        let value = json!({ "a": [{ "b": 1, "c": { "d": "2" } }] });
        assert_eq!(emit(&value, 2), "a:\n- b: 1\n  c:\n    d: \"2\"\n");
        assert_eq!(emit(&json!({ "a": { "b": 1 } }), 4), "a:\n    b: 1\n");
    }

    #[test]
    fn a_stream_has_many_documents() {
        assert_eq!(
            documents("a: 1\n---\n---\nb: 2\n").unwrap(),
            [json!({"a": 1}), json!({"b": 2})]
        );
        assert!(documents("a: [b").is_err());
    }
}
