//! The API server's audit log: who wrote what. Reads are not recorded.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Group of the users whose writes are not recorded.
pub(super) const CONTROL_PLANE: &str = "zadig-operator:control-plane";

/// Records every write once, when it is complete. Kubernetes' own components are left out: their leases and status say
/// nothing about the operator.
pub(super) fn policy() -> String {
    format!(
        "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ['system:apiserver']
- level: None
  userGroups: ['{CONTROL_PLANE}']
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
"
    )
}

/// One write that the API server was asked for, successful or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write {
    /// When the request arrived.
    pub time: jiff::Timestamp,
    /// Who asked.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Plural name of the resource, with the subresource: `zadigenvironments/status`.
    pub resource: String,
    /// Namespace, empty for what is not in one.
    pub namespace: String,
    /// Name, empty where the server chose it.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: UserInfo,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: jiff::Timestamp,
}

#[derive(Deserialize)]
struct UserInfo {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// Every complete write in the log, in order.
pub(super) fn read(log: &Path) -> Result<Vec<Write>> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    let mut writes = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        // The last line may be in the middle of being written.
        let Ok(line) = serde_json::from_str::<Line>(&line) else {
            continue;
        };
        if line.stage == "ResponseComplete" {
            writes.push(line.into());
        }
    }
    Ok(writes)
}

impl From<Line> for Write {
    fn from(line: Line) -> Self {
        let ObjectRef {
            resource,
            subresource,
            namespace,
            name,
        } = line.object_ref;
        let resource = if subresource.is_empty() {
            resource
        } else {
            format!("{resource}/{subresource}")
        };
        Self {
            time: line.request_received_timestamp,
            user: line.user.username,
            verb: line.verb,
            resource,
            namespace,
            name,
            code: line.response_status.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_writes_are_read_and_a_half_written_line_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let complete = r#"{"kind":"Event","stage":"ResponseComplete","verb":"patch","user":{"username":"zadig-operator"},"objectRef":{"resource":"zadigenvironments","subresource":"status","namespace":"a","name":"b"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-24T00:00:00.123456Z"}"#;
        let started = complete.replace("ResponseComplete", "ResponseStarted");
        std::fs::write(
            file.path(),
            format!("{started}\n{complete}\n{}", &complete[..40]),
        )
        .unwrap();
        let expected = Write {
            time: "2026-11-24T00:00:00.123456Z".parse().unwrap(),
            user: "zadig-operator".into(),
            verb: "patch".into(),
            resource: "zadigenvironments/status".into(),
            namespace: "a".into(),
            name: "b".into(),
            code: 200,
        };
        assert_eq!(read(file.path()).unwrap(), [expected]);
    }
}
