//! Workloads: replicas, events, and the check for Kubernetes Services.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::scope::row;
use crate::wire::or_default;

/// The kinds of workload that calls can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// `Deployment`
    Deployment,
    /// `StatefulSet`
    StatefulSet,
    /// `CloneSet`, of OpenKruise
    CloneSet,
    /// `CronJob`
    CronJob,
}

impl WorkloadKind {
    /// The word as Kubernetes and Zadig spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::CloneSet => "CloneSet",
            Self::CronJob => "CronJob",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkloadKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        [
            Self::Deployment,
            Self::StatefulSet,
            Self::CloneSet,
            Self::CronJob,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or(UnknownKind)
    }
}

/// A word that names no [`WorkloadKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of workload")]
pub struct UnknownKind;

/// Another number of replicas: the body of #37 (Z§4.15). Test environments only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// The environment.
    pub env_key: String,
    /// The service. The documentation forgets it.
    pub service_name: String,
    /// The workload.
    pub workload_name: String,
    /// Its kind: a Deployment, StatefulSet or CloneSet.
    #[serde(rename = "workload_type")]
    pub workload_kind: WorkloadKind,
    /// The number.
    #[serde(rename = "target_replicas")]
    pub replicas: u32,
}

/// A Kubernetes event (Z§4.18).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Why, in one word.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// Why, in words of Kubernetes.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// Seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub first_seen: i64,
    /// Seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub last_seen: i64,
    /// How often.
    #[serde(default, deserialize_with = "or_default")]
    pub count: i32,
    /// `Normal` or `Warning`.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
}

impl Client {
    /// Scales a workload of a test environment (#37). Every call is a write, an equal one too.
    pub async fn scale(&self, project: &str, scale: &Scale) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            project_key: &'a str,
            #[serde(flatten)]
            scale: &'a Scale,
        }
        let call = Call::new(row(37))
            .about(project)
            .named("project_key", project)
            .named("env_key", &scale.env_key)
            .named("service_name", &scale.service_name)
            .named("workload_name", &scale.workload_name)
            .require(scale.workload_kind != WorkloadKind::CronJob, || {
                "a CronJob has no replicas".to_owned()
            });
        self.done(call.json(&Body {
            project_key: project,
            scale,
        }))
        .await
    }

    /// Reads the events of an object (#43), in either scope. `kind` is its Kubernetes kind.
    pub async fn events(
        &self,
        project: &str,
        env: &str,
        kind: &str,
        name: &str,
    ) -> Result<Vec<Event>, Error> {
        let call = Call::new(row(43))
            .project(project)
            .required("envName", env)
            .required("name", name)
            .required("type", kind);
        let list: Option<_> = self.json(call).await?;
        Ok(list.unwrap_or_default())
    }

    /// Lists the workloads of a test environment that no Kubernetes Service selects, as
    /// `<name>.<Kind>` (#44).
    pub async fn workloads_without_service(
        &self,
        project: &str,
        env: &str,
    ) -> Result<Vec<String>, Error> {
        let list: Option<_> = self
            .json(Call::new(row(44)).env(env).project(project))
            .await?;
        Ok(list.unwrap_or_default())
    }
}
