//! What is reported of an environment, and the record of whose it is.
//!
//! The bounds here are far above what the specs' bounds can lead to, as a status that the API server refuses helps nobody.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Diagnosis;
use super::live::Restore;
use super::sharing::SharingStatus;
use crate::api::condition::Condition;
use crate::api::management::ProposedPlan;
use crate::api::schema;

/// Most services in status: declared ones and those that are on their way out.
const SERVICES_MAX: u32 = 5 * schema::SERVICES_MAX;

/// Most roll-outs of one service that are kept.
pub const ROLLOUTS_MAX: u32 = 64;

/// What is known of the environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
pub struct ZadigEnvironmentStatus {
    /// The generation of the object this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// What can be said of the environment as a whole: Ready, Reconciling, Stalled, Synced, Drifted, Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Zadig's own word for the environment: success, creating, updating, deleting, sleeping, failed, unstable and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub zadig_status: Option<String>,
    /// Since when Zadig says so, as far as we saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zadig_status_since: Option<Time>,
    /// The page of the environment in Zadig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub url: Option<String>,
    /// The declared services as they are, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SERVICES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub services: Vec<ServiceStatus>,
    /// Healthy and declared services: `5/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::LABEL_MAX))]
    pub services_ready: Option<String>,
    /// When its `ttl` ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Its `ttl` is over. It stays so until the `ttl` is made longer or removed, whatever the clock says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// What this object owns in Zadig, hence may prune or delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// What was last sent and Zadig does not show again, by service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SERVICES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub applied: Vec<AppliedService>,
    /// What is remembered of the environment's part in sharing, as Zadig does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<SharingStatus>,
    /// The plan that is shown and not carried out (`management` Observe and Approve), or is carried out after its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ProposedPlan>,
    /// The last change that was made in Zadig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
    /// The value of the annotation `zadig-operator.io/reconcile-requested-at` that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reconcile_at: Option<String>,
}

/// One declared service as it is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ServiceStatus {
    /// Name of the service.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Zadig's own word for the service.
    #[schemars(length(max = schema::NAME_MAX))]
    pub status: String,
    /// Pods that are ready, where they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
    /// Pods that are wanted, where they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Images of the declared containers as they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::PER_SERVICE_MAX),
        inner(length(max = 1024)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub images: Vec<String>,
    /// What is wrong, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::MESSAGE_MAX))]
    pub message: Option<String>,
    /// Which pod that shows in, and what it says, once the time to become healthy is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// What an object owns in Zadig. The same facts stand in the ownership annotation; either is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Whether this object created the environment (false: adopted).
    pub created: bool,
    /// The Zadig it lives in: scheme, host, port and path of its URL, normalised.
    #[schemars(length(max = 2048))]
    pub zadig: String,
    /// Zadig's id of the cluster it lives in.
    #[schemars(length(max = schema::NAME_MAX))]
    pub cluster_id: String,
    /// The namespace it lives in.
    #[schemars(length(max = schema::NAME_MAX))]
    pub namespace: String,
    /// Services that this object added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SERVICES_MAX),
        inner(length(max = schema::NAME_MAX)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub services: Vec<String>,
    /// When the environment was created anew after something else had deleted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreated_at: Option<Time>,
}

/// What was last sent for one service and Zadig does not show again. Digests are keyed and tell nothing to a reader.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedService {
    /// Name of the service.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Digest of the variables as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub variables: Option<String>,
    /// Digest of the service as Zadig renders it, without images and replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub rendered: Option<String>,
    /// Zadig's `update_time` when `rendered` was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered_at: Option<i64>,
    /// Digest of the service's template at our last write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub template: Option<String>,
    /// The restart token that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub restart_token: Option<String>,
    /// Workloads that our last change of variables has to roll out, until all their pods are newer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ROLLOUTS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub rollouts: Vec<Rollout>,
    /// Digest of the service's `helm` as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::NAME_MAX))]
    pub helm: Option<String>,
    /// A call with another `helm` was sent, and it is not known what became of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub helm_in_doubt: bool,
    /// What has to be put back after the service is added anew (`liveDrift: Repair`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// The fields with policy OnCreate still have to be set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initial: bool,
}

/// A workload that a change has to roll out.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Rollout {
    /// Kind of the workload.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub kind: String,
    /// Name of the workload.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Unix seconds: pods made from then on have the change.
    pub after: i64,
}

/// A change that was made in Zadig.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct LastChange {
    /// When it was made.
    pub time: Time,
    /// What was done, secrets redacted.
    #[schemars(length(max = schema::MESSAGE_MAX))]
    pub action: String,
}

/// How far the ownership of an environment has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnershipState {
    /// A create call is about to be sent, or its answer was lost.
    Pending,
    /// This object created the environment.
    Created,
    /// This object took over an environment that was there.
    Adopted,
}

/// Whose environment it is: the value of the ownership annotation, as JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// The Zadig, as in [`Inventory::zadig`].
    pub zadig: String,
    /// Project key.
    pub project: String,
    /// Environment key.
    pub env: String,
    /// Zadig's id of the cluster.
    pub cluster_id: String,
    /// Namespace in that cluster.
    pub namespace: String,
    /// How far it has come.
    pub state: OwnershipState,
}

impl Ownership {
    /// The same in another state.
    #[must_use]
    pub fn in_state(&self, state: OwnershipState) -> Self {
        Self {
            state,
            ..self.clone()
        }
    }
}
