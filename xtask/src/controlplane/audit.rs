//! The API server's audit log: who wrote what, and what the operator read.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::run::User;

/// Group of the users whose writes are not recorded.
pub(super) const CONTROL_PLANE: &str = "zadig-operator:control-plane";

/// Records every write once, when it is complete, and what the operator reads: a watch when it begins and when it ends. Kubernetes' own
/// components are left out: their leases and status say nothing about the operator.
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
- level: Metadata
  users: ['{}']
  verbs: [get, list, watch]
- level: None
",
        User::Operator.name()
    )
}

/// The verbs of a [`Write`].
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One request about objects, as a role would allow it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural name of the resource, with the subresource.
    pub resource: String,
    /// Namespace, empty for all and for what is not in one.
    pub namespace: String,
    /// Name, also where a list or a watch is of one object alone; empty for all.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// Whether no role allows it. A namespace that is ending answers 403 as well, to those who may.
    pub is_forbidden: bool,
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
    #[serde(default)]
    annotations: Annotations,
    request_received_timestamp: jiff::Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision")]
    decision: String,
}

/// What [`Annotations::decision`] is for a request that no role allows.
const FORBID: &str = "forbid";

#[derive(Deserialize)]
struct UserInfo {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
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
    let mut writes = lines(log)?;
    writes.retain(|line| line.stage == "ResponseComplete" && WRITES.contains(&line.verb.as_str()));
    Ok(writes.into_iter().map(Write::from).collect())
}

/// Every request of a user about objects that was answered, in order; a watch is answered when it begins, and again when it ends.
pub(super) fn requests(log: &Path, user: &str) -> Result<Vec<Request>> {
    let mut requests = lines(log)?;
    requests.retain(|line| line.user.username == user && !line.object_ref.resource.is_empty());
    Ok(requests.into_iter().map(Request::from).collect())
}

fn lines(log: &Path) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for line in BufReader::new(open(log)?).lines() {
        // The last line may be in the middle of being written.
        lines.extend(serde_json::from_str::<Line>(&line?));
    }
    Ok(lines)
}

fn open(log: &Path) -> Result<File> {
    File::open(log).with_context(|| format!("cannot read {}", log.display()))
}

/// What the operator was refused for want of a right, from a moment on; each look reads what was logged since the last one.
#[derive(Debug)]
pub struct Refusals {
    log: PathBuf,
    read: u64,
    found: Vec<Request>,
}

impl Refusals {
    /// From now on.
    pub(super) fn since_now(log: &Path) -> Result<Self> {
        Ok(Self {
            log: log.to_path_buf(),
            read: open(log)?.metadata()?.len(),
            found: Vec::new(),
        })
    }

    /// All so far.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn so_far(&mut self) -> Result<&[Request]> {
        let mut file = open(&self.log)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut log = BufReader::new(file);
        let mut line = String::new();
        // What has no end yet is read the next time.
        while log.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.read += line.len() as u64;
            // Most lines are of something else, and reading one takes time.
            if line.contains(FORBID)
                && let Ok(line) = serde_json::from_str::<Line>(&line)
                && line.user.username == User::Operator.name()
            {
                let request = Request::from(line);
                if request.is_forbidden {
                    self.found.push(request);
                }
            }
            line.clear();
        }
        Ok(&self.found)
    }
}

impl ObjectRef {
    /// Plural name of the resource, with the subresource.
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

impl From<Line> for Request {
    fn from(line: Line) -> Self {
        Self {
            resource: line.object_ref.full_resource(),
            verb: line.verb,
            group: line.object_ref.api_group,
            namespace: line.object_ref.namespace,
            name: line.object_ref.name,
            code: line.response_status.code,
            is_forbidden: line.annotations.decision == FORBID,
        }
    }
}

impl From<Line> for Write {
    fn from(line: Line) -> Self {
        let resource = line.object_ref.full_resource();
        let ObjectRef {
            namespace, name, ..
        } = line.object_ref;
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
    use std::io::Write as _;

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

    #[test]
    fn requests_are_those_of_one_user_and_a_watch_counts_from_its_beginning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let watch = r#"{"kind":"Event","stage":"ResponseStarted","verb":"watch","user":{"username":"zadig-operator"},"objectRef":{"resource":"leases","apiGroup":"coordination.k8s.io"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-24T00:00:00.123456Z"}"#;
        let other = watch.replace("zadig-operator", "admin");
        let discovery = watch.replace(
            r#""resource":"leases","apiGroup":"coordination.k8s.io""#,
            "",
        );
        std::fs::write(file.path(), format!("{watch}\n{other}\n{discovery}\n")).unwrap();
        let expected = Request {
            verb: "watch".into(),
            group: "coordination.k8s.io".into(),
            resource: "leases".into(),
            namespace: String::new(),
            name: String::new(),
            code: 200,
            is_forbidden: false,
        };
        assert_eq!(requests(file.path(), "zadig-operator").unwrap(), [expected]);
        assert_eq!(read(file.path()).unwrap(), []);
    }

    #[test]
    fn refusals_are_those_for_want_of_a_right_from_a_moment_on() {
        let line = |name: &str, code: u16, decision: &str| {
            format!(
                r#"{{"stage":"ResponseComplete","verb":"get","user":{{"username":"zadig-operator"}},"objectRef":{{"resource":"secrets","namespace":"a","name":"{name}"}},"responseStatus":{{"code":{code}}},"annotations":{{"authorization.k8s.io/decision":"{decision}"}},"requestReceivedTimestamp":"2026-11-24T00:00:00.123456Z"}}"#
            )
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = file.as_file();
        let before = line("before", 403, "forbid");
        writeln!(log, "{before}").unwrap();
        let mut refusals = Refusals::since_now(file.path()).unwrap();
        let of_admin = line("admin", 403, "forbid").replace("zadig-operator", "admin");
        // The second one is what a namespace answers that is ending.
        let ending = line("ending", 403, "allow").replace("secrets", "forbidden");
        let refused = line("refused", 403, "forbid");
        let (first, rest) = refused.split_at(50);
        write!(log, "{of_admin}\n{ending}\n{first}").unwrap();
        assert_eq!(refusals.so_far().unwrap(), []);
        writeln!(log, "{rest}").unwrap();
        for _ in 0..2 {
            let found = refusals.so_far().unwrap();
            let names: Vec<&str> = found.iter().map(|request| &request.name[..]).collect();
            assert_eq!(names, ["refused"], "each once");
        }
    }
}
