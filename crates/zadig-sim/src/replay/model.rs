//! The records of a recording, read from their JSON lines.
//!
//! Knows the fields of `tests/golden/README.md` ("Records").

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ReplayError;

/// A line of the recording.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// A request and what was answered.
    Exchange(Box<Exchange>),
    /// What polling saw over a time.
    Timeline(Timeline),
    /// Carries nothing that can be replayed.
    Skipped { name: String, why: &'static str },
    /// Of a kind that is not known: a difference, because leaving it out would claim too much.
    Unknown { name: String, kind: String },
}

impl Record {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Exchange(exchange) => &exchange.name,
            Self::Timeline(timeline) => &timeline.name,
            Self::Skipped { name, .. } | Self::Unknown { name, .. } => name,
        }
    }
}

/// A request and what was answered.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) query: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) request_headers: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) authorization: Authorization,
    /// A JSON value, or a string that was sent as it is.
    #[serde(default)]
    pub(crate) request_body: Value,
    pub(crate) status: u16,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) response_headers: Map<String, Value>,
    /// Parsed when `response_is_json`, else the text.
    #[serde(default)]
    pub(crate) response_body: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) response_is_json: bool,
    /// When it was sent.
    pub(crate) ts: Timestamp,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) elapsed_ms: f64,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) note: String,
}

/// Null is as good as absent.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Whose token went along.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Authorization {
    /// The administrator's.
    #[default]
    Valid,
    /// None.
    None,
    /// Told by the name or the note of the record.
    Other,
}

impl Exchange {
    /// When the answer had arrived.
    pub(crate) fn answered(&self) -> Timestamp {
        // A millisecond is the resolution of `ts`; microseconds keep the order of answers.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a wait of 2^63 microseconds is no recording"
        )]
        let micros = (self.elapsed_ms * 1000.0) as i64;
        self.ts
            .checked_add(jiff::SignedDuration::from_micros(micros))
            .unwrap_or(self.ts)
    }

    /// Whether the call asks for a change, whatever became of it.
    pub(crate) fn is_mutation(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    pub(crate) fn content_type(&self) -> Option<&str> {
        self.response_headers
            .get("content-type")
            .and_then(Value::as_str)
    }

    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.get(key).and_then(Value::as_str)
    }

    /// A string field of a JSON request body.
    pub(crate) fn body(&self, key: &str) -> Option<&str> {
        self.request_body.get(key).and_then(Value::as_str)
    }
}

/// What polling saw from `ts` on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Timeline {
    pub(crate) name: String,
    pub(crate) ts: Timestamp,
    pub(crate) changes: Vec<Change>,
    pub(crate) ended_ms: i64,
    /// How often the probes were looked at.
    #[serde(default = "default_interval")]
    pub(crate) interval_ms: i64,
}

fn default_interval() -> i64 {
    50
}

/// A probe had a new value.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Change {
    pub(crate) t_ms: i64,
    pub(crate) probe: String,
    pub(crate) value: Value,
}

/// Reads a recording.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>, ReplayError> {
    let text = std::fs::read_to_string(path).map_err(|source| ReplayError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let record = parse(line).map_err(|what| ReplayError::Record {
            path: path.to_owned(),
            line: index + 1,
            what,
        })?;
        records.push(record);
    }
    if !records
        .iter()
        .any(|record| matches!(record, Record::Exchange(_)))
    {
        return Err(ReplayError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(records)
}

fn parse(line: &str) -> Result<Record, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .ok_or("no name")?
        .to_owned();
    let from = |error: serde_json::Error| format!("{name}: {error}");
    match value.get("kind").and_then(Value::as_str) {
        None => serde_json::from_value(value)
            .map(|it| Record::Exchange(Box::new(it)))
            .map_err(from),
        Some("timeline") => serde_json::from_value(value)
            .map(Record::Timeline)
            .map_err(from),
        Some("timings") => Ok(Record::Skipped {
            name,
            why: "rounds of mutations on an environment that is gone at the end",
        }),
        Some("derived") => Ok(Record::Skipped {
            name,
            why: "not an exchange",
        }),
        Some(kind) => Ok(Record::Unknown {
            name,
            kind: kind.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_unknown_kind_is_kept_as_such() {
        let record = parse(r#"{"name":"x","kind":"guess"}"#);
        assert!(matches!(
            record,
            Ok(Record::Unknown { name, kind }) if name == "x" && kind == "guess"
        ));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let line = r#"{"name":"a","method":"GET","path":"/","status":200,"ts":"2026-01-01T00:00:00Z","query":null,
            "request_headers":null,"authorization":null,"note":null,"elapsed_ms":null}"#;
        let Ok(Record::Exchange(exchange)) = parse(line) else {
            panic!("an exchange")
        };
        assert_eq!(
            (exchange.authorization, exchange.note.as_str()),
            (Authorization::Valid, "")
        );
    }

    #[test]
    fn an_exchange_is_answered_after_the_time_it_took() {
        let line = r#"{"name":"a","method":"GET","path":"/","status":200,"ts":"2026-01-01T00:00:00.100+00:00","elapsed_ms":1.5}"#;
        let Ok(Record::Exchange(exchange)) = parse(line) else {
            panic!("an exchange")
        };
        assert_eq!(exchange.answered().to_string(), "2026-01-01T00:00:00.1015Z");
    }
}
