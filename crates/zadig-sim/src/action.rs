//! What somebody else does to a cluster with kubectl.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing done to a cluster behind Zadig's back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum KubeAction {
    /// Creates an object.
    Create {
        /// The kind, such as `Namespace` or `ConfigMap`.
        kind: String,
        /// The namespace; none for a namespace and other cluster-wide kinds.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
        /// The rest of the object; kind and name are filled in.
        #[serde(default)]
        manifest: Option<Value>,
        /// The cluster id; the first cluster if absent.
        #[serde(default)]
        cluster: Option<String>,
    },
    /// Merges a JSON merge patch into an object.
    Patch {
        /// The kind.
        kind: String,
        /// The namespace; none for a namespace.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
        /// The patch.
        patch: Value,
        /// The cluster id; the first cluster if absent.
        #[serde(default)]
        cluster: Option<String>,
    },
    /// Deletes an object; a namespace goes with all it holds, after its time as `Terminating`.
    Delete {
        /// The kind; `Pod` deletes one pod of a workload.
        kind: String,
        /// The namespace; none for a namespace.
        #[serde(default)]
        namespace: Option<String>,
        /// The name.
        name: String,
        /// Whether kubectl waits until it is gone; the caller has to let that time pass.
        #[serde(default)]
        wait: bool,
        /// The cluster id; the first cluster if absent.
        #[serde(default)]
        cluster: Option<String>,
    },
    /// Sets the number of replicas of a Deployment or StatefulSet.
    Scale {
        /// The kind.
        kind: String,
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The number.
        replicas: i64,
        /// The cluster id; the first cluster if absent.
        #[serde(default)]
        cluster: Option<String>,
    },
    /// Sets the image of a container of a workload.
    SetImage {
        /// The kind.
        kind: String,
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The container.
        container: String,
        /// The image.
        image: String,
        /// The cluster id; the first cluster if absent.
        #[serde(default)]
        cluster: Option<String>,
    },
}

/// Why an action was refused, in the words of an API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KubeActionError {
    /// The reason.
    pub message: String,
}

impl KubeActionError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}
