//! What happened outside the exchanges: read from `actions.yaml`, done before the record it names.
//!
//! An action says what was done, not when; `Entry::lead` tells how long before the record it is done. Notes of
//! things that need no doing here (a user that the seed already has) are read and left alone.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::ReplayError;
use crate::KubeAction;

/// Something done before a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The record's name.
    pub(crate) before: String,
    pub(crate) action: Action,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Done with kubectl; `wait` tells that kubectl waited until the object was gone.
    Kube { action: KubeAction, wait: bool },
    /// A call through the gateway that was not recorded.
    Call {
        method: String,
        path: String,
        query: Vec<(String, String)>,
    },
    /// Zadig's process was killed and started.
    Restart,
    /// Told for the reader.
    Note,
    /// Something this replay cannot do, and why: a difference of the record it belongs to.
    Unknown(String),
}

impl Entry {
    /// How long before the record it was done: what says "just before" is done a moment before, what takes its time or cuts
    /// something off (`None`) right after the record before it.
    pub(crate) fn lead(&self) -> Option<Duration> {
        match &self.action {
            Action::Kube { wait: false, .. }
            | Action::Call { .. }
            | Action::Note
            | Action::Unknown(_) => Some(Duration::from_millis(100)),
            Action::Kube { wait: true, .. } | Action::Restart => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "before")]
    _before: String,
    kube: Option<Value>,
    api: Option<RawCall>,
    process: Option<RawProcess>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    method: Option<String>,
    project: Option<String>,
    #[serde(default)]
    envs: Vec<String>,
    #[serde(rename = "isDelete")]
    is_delete: Option<bool>,
    path: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProcess {
    verb: String,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// Reads the actions; a missing file means none.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, ReplayError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|what| ReplayError::Beside {
            path: path.to_owned(),
            what,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(ReplayError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    // An environment may be called `y`.
    let options = serde_saphyr::options! { strict_booleans: true };
    let raw: Option<Vec<Value>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    for value in raw.unwrap_or_default() {
        let before = value["before"]
            .as_str()
            .ok_or_else(|| format!("no record is named by before: {value}"))?
            .to_owned();
        let actions = understood(value).unwrap_or_else(|what| vec![Action::Unknown(what)]);
        entries.extend(actions.into_iter().map(|action| Entry {
            before: before.clone(),
            action,
        }));
    }
    Ok(entries)
}

fn understood(value: Value) -> Result<Vec<Action>, String> {
    let raw: Raw =
        serde_json::from_value(without_rests_of_notes(value)).map_err(|error| error.to_string())?;
    match (raw.kube, raw.api, raw.process) {
        (Some(kube), None, None) => Ok(vec![of_kube(kube)?]),
        (None, Some(api), None) => of_call(api),
        (None, None, Some(process)) if process.verb == "restart" => Ok(vec![Action::Restart]),
        (None, None, Some(process)) => Err(format!("unknown verb {}", process.verb)),
        _ => Err("needs one of kube, api and process".to_owned()),
    }
}

/// A note in a flow mapping ends at its first comma; YAML reads what follows as a key without a value.
fn without_rests_of_notes(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_rests_of_notes(value)))
            .collect(),
        other => other,
    }
}

fn of_kube(kube: Value) -> Result<Action, String> {
    let wait = kube
        .get("wait")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    let action = serde_json::from_value(kube).map_err(|error| error.to_string())?;
    Ok(Action::Kube { action, wait })
}

fn of_call(call: RawCall) -> Result<Vec<Action>, String> {
    let Some(method) = call.method else {
        return Ok(vec![Action::Note]);
    };
    let project = call.project.ok_or("a call without a project")?;
    let with_project = |rest: Vec<(String, String)>| {
        let mut query = vec![("projectKey".to_owned(), project.clone())];
        query.extend(rest);
        query
    };
    if let Some(path) = call.path {
        return Ok(vec![Action::Call {
            method,
            path,
            query: with_project(Vec::new()),
        }]);
    }
    if call.envs.is_empty() {
        return Err("a call with neither path nor environments".to_owned());
    }
    let is_delete: Vec<_> = call
        .is_delete
        .map(|it| ("isDelete".to_owned(), it.to_string()))
        .into_iter()
        .collect();
    Ok(call
        .envs
        .iter()
        .map(|env| Action::Call {
            method: method.clone(),
            path: format!("/openapi/environments/{env}"),
            query: with_project(is_delete.clone()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_action_is_read() {
        let text = "
- {before: a, kube: {verb: scale, kind: Deployment, namespace: ns, name: web, replicas: 4}}
- {before: b, api: {method: DELETE, project: p, envs: [x, y], isDelete: true}} # two calls
- {before: c, api: {note: made elsewhere}}
- {before: d, process: {verb: restart, name: aslan, note: killed, and started again}}
";
        let call = |env: &str| Action::Call {
            method: "DELETE".to_owned(),
            path: format!("/openapi/environments/{env}"),
            query: vec![
                ("projectKey".to_owned(), "p".to_owned()),
                ("isDelete".to_owned(), "true".to_owned()),
            ],
        };
        let scale = KubeAction::Scale {
            kind: "Deployment".to_owned(),
            namespace: "ns".to_owned(),
            name: "web".to_owned(),
            replicas: 4,
            cluster: None,
        };
        let entry = |before: &str, action: Action| Entry {
            before: before.to_owned(),
            action,
        };
        assert_eq!(
            parse(text),
            Ok(vec![
                entry(
                    "a",
                    Action::Kube {
                        action: scale,
                        wait: false
                    }
                ),
                entry("b", call("x")),
                entry("b", call("y")),
                entry("c", Action::Note),
                entry("d", Action::Restart),
            ])
        );
    }

    #[test]
    fn what_is_not_understood_is_kept_with_the_reason() {
        let text = "
- {before: a, process: {verb: upgrade}}
- {before: b, kube: {verb: explode}}
- {before: c, api: {note: x, env: y}}
- {before: d, kube: {verb: scale, kind: Deployment, namespace: ns, name: web, replicas: 4}}
";
        let entries = parse(text).unwrap();
        let unknown: Vec<_> = entries
            .iter()
            .map(|entry| matches!(entry.action, Action::Unknown(_)))
            .collect();
        assert_eq!(unknown, [true, true, true, false]);
        assert_eq!(
            entries[0].action,
            Action::Unknown("unknown verb upgrade".to_owned())
        );
    }

    #[test]
    fn an_action_that_names_no_record_is_refused() {
        assert!(parse("- {kube: {verb: scale}}").is_err());
    }
}
