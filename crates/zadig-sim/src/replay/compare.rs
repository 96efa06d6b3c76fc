//! Compares the answer to one exchange: status, content type and body.
//!
//! Does not send anything; the values inside a body are compared in `json`.

use serde_json::Value;

use super::Difference;
use super::json;
use super::model::Exchange;
use super::rules::Circumstances;

/// What the simulator answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The differences between what was recorded and what was answered.
pub(crate) fn compare(
    exchange: &Exchange,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Vec<Difference> {
    if circumstances.just_deleted && both_sides_of_a_deletion(exchange, answer) {
        return Vec::new();
    }
    let mut differences = Vec::new();
    let mut differs = |path: String, text: String| {
        differences.push(Difference::new(&exchange.name, path, text));
    };
    if exchange.status != answer.status {
        differs(
            "status".to_owned(),
            format!(
                "expected {} {}, got {} {}",
                exchange.status,
                json::short(&exchange.response_body),
                answer.status,
                json::excerpt(&String::from_utf8_lossy(&answer.body))
            ),
        );
    }
    if exchange.content_type() != answer.content_type.as_deref() {
        differs(
            "content-type".to_owned(),
            format!(
                "expected {}, got {}",
                exchange.content_type().unwrap_or("none"),
                answer.content_type.as_deref().unwrap_or("none")
            ),
        );
    }
    // A body under another status is another body: the line above shows both.
    if exchange.status == answer.status {
        for (path, text) in bodies(exchange, answer, circumstances) {
            differs(path, text);
        }
    }
    differences
}

fn bodies(
    exchange: &Exchange,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&answer.body);
    if exchange.response_is_json {
        return match serde_json::from_str::<Value>(&text) {
            Ok(body) => json::compare(&exchange.response_body, &body, circumstances),
            Err(_) => vec![(
                "body".to_owned(),
                format!(
                    "expected JSON {}, got {:?}",
                    json::short(&exchange.response_body),
                    json::excerpt(&text)
                ),
            )],
        };
    }
    let expected = exchange.response_body.as_str().unwrap_or_default();
    let is_yaml = exchange.status == 200
        && ["/service/yaml", "/service/values"]
            .iter()
            .any(|end| exchange.path.ends_with(end));
    if is_yaml && !expected.is_empty() && !text.is_empty() {
        json::compare_yaml(expected, &text, circumstances)
    } else if expected == text {
        Vec::new()
    } else {
        vec![(
            "body".to_owned(),
            format!(
                "expected {:?}, got {:?}",
                json::excerpt(expected),
                json::excerpt(&text)
            ),
        )]
    }
}

/// An object that was deleted a moment ago may still be shown, or be gone (Z§4.14).
fn both_sides_of_a_deletion(exchange: &Exchange, answer: &Answer) -> bool {
    let gone = |body: &Value| body["description"] == "not found";
    let answered = || serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    match (exchange.status, answer.status) {
        (200, 500) => gone(&answered()),
        (500, 200) => gone(&exchange.response_body),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
