//! What is reported of a service that is not healthy.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema;

/// What keeps a service from being healthy, as far as its pods tell. Read once when the trouble begins, or becomes another.
#[derive(Clone, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Kind and name of the workload: `Deployment/api`.
    #[schemars(length(min = 1, max = 512))]
    pub workload: String,
    /// Its pod that is not ready; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub pod: Option<String>,
    /// The container that is not ready; absent where the pod runs none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub container: Option<String>,
    /// Why the container waits or ended, in Kubernetes' one word: CrashLoopBackOff, ImagePullBackOff, OOMKilled and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub reason: Option<String>,
    /// The same in Kubernetes' words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// The last event of the pod, or of the workload where it has no such pod: the last warning, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<LastEvent>,
    /// The last lines of the container's log, oldest first. Values of referenced Secrets are masked, and so is what looks like
    /// a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(max = 1024)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub log: Vec<String>,
}

// What programs log may hold anything, and must not reach ours.
impl fmt::Debug for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workload,
            pod,
            container,
            reason,
            message: _,
            event: _,
            log,
        } = self;
        f.debug_struct("Diagnosis")
            .field("workload", workload)
            .field("pod", pod)
            .field("container", container)
            .field("reason", reason)
            .field("log_lines", &log.len())
            .finish_non_exhaustive()
    }
}

/// An event of Kubernetes.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct LastEvent {
    /// Why, in one word: FailedScheduling, BackOff, Unhealthy and others.
    #[schemars(length(max = schema::NAME_MAX))]
    pub reason: String,
    /// The same in Kubernetes' words.
    #[schemars(length(max = 1024))]
    pub message: String,
}
