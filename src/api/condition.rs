//! Condition types and reasons: closed sets, stable API. What to do about a reason is in `docs/reasons.yaml`, for the manual.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Type of a condition (kstatus: `Reconciling` and `Stalled` are present only when true).
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum ConditionType {
    /// Everything declared is so, and Zadig reports it healthy.
    Ready,
    /// Work is going on, or something is waited for.
    Reconciling,
    /// Only a person can help.
    Stalled,
    /// What Zadig records equals what is declared.
    Synced,
    /// Something differs and is not changed: a plan is only shown, or the cluster differs from what Zadig believes.
    Drifted,
    /// Zadig's view of the services: all are running.
    Healthy,
}

/// Truth of a condition.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Nothing can be said.
    Unknown,
}

/// One condition, in the form of `metav1.Condition`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about. Ready: everything declared is so, and Zadig reports it healthy. Reconciling: work is going
    /// on, or something is waited for. Stalled: only a person can help. Synced: what Zadig records equals what is declared.
    /// Drifted: something differs and is left as it is; a plan is only shown (`management` Observe and Approve), or the cluster
    /// differs from Zadig's record. Healthy: Zadig reports all services as running. Reconciling, Stalled and Drifted are present
    /// only while they are true.
    #[serde(rename = "type")]
    #[schemars(with = "String", length(min = 1, max = schema::LABEL_MAX))]
    pub type_: ConditionType,
    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, in one word from a closed, documented list.
    // A string in the schema, so that a newer operator can report before the definitions are upgraded too.
    #[schemars(with = "String", length(min = 1, max = schema::LABEL_MAX))]
    pub reason: Reason,
    /// Why, for a person: what happened, where, what to do.
    #[schemars(length(max = schema::MESSAGE_MAX))]
    pub message: String,
    /// The generation of the object this was said about.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When the status of this condition last changed.
    pub last_transition_time: Time,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Why a condition is as it is.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum Reason {
    /// Everything declared is so and healthy.
    Ready,
    /// Calls are being sent to Zadig.
    Applying,
    /// Zadig is creating the environment.
    Creating,
    /// Zadig is updating the environment.
    Updating,
    /// Zadig is deleting the environment, or we are.
    Deleting,
    /// The environment sleeps; nothing is changed until somebody wakes it in Zadig.
    Sleeping,
    /// Declared and recorded agree; pods are still starting.
    Progressing,
    /// A service is not healthy, and the time to become so is over.
    NotReady,
    /// Zadig says success but the cluster does not run what was declared.
    NotApplied,
    /// The object or its connection is suspended.
    Suspended,
    /// The connection is suspended.
    ConnectionSuspended,
    /// The connection does not exist, or may not be used from here.
    ConnectionNotFound,
    /// The connection's grants do not admit this use of it.
    AccessDenied,
    /// The connection exists but cannot be used yet.
    ConnectionNotReady,
    /// The object is being deleted, or a base is to be none any more, and its environment is protected against that.
    DeletionProtected,
    /// The connection's deletions of this hour are used up.
    DeletionBudget,
    /// The connection is gone while the object is being deleted.
    ConnectionGone,
    /// A referenced Secret or ConfigMap, or its key, is missing.
    SourceNotFound,
    /// The token's Secret is missing, empty or unusable.
    CredentialsMissing,
    /// The token's Secret is gone while the object is being deleted.
    CredentialsGone,
    /// Zadig does not answer.
    ZadigUnreachable,
    /// Zadig, or something before it, asks us to slow down.
    Throttled,
    /// The token is refused or has no permission.
    Unauthorized,
    /// Zadig refused the call; its description is shown.
    Rejected,
    /// Zadig answered with an internal error; its description is shown.
    ZadigError,
    /// Zadig answered something that is not its API.
    UnexpectedResponse,
    /// Zadig has been busy for longer than `intervals.stuck`.
    ZadigStuck,
    /// The change needs a licence that this Zadig does not have.
    LicenceRequired,
    /// The spec cannot be carried out as written.
    InvalidSpec,
    /// Zadig has no such project, or the token may not see it.
    ProjectNotFound,
    /// Zadig has no such cluster.
    ClusterNotFound,
    /// Zadig has no such registry.
    RegistryNotFound,
    /// The project has no such service.
    ServiceNotFound,
    /// The service is in the environment already and is not ours.
    ServiceExists,
    /// The service has no such container.
    ContainerNotFound,
    /// The service has no such workload.
    WorkloadNotFound,
    /// The service's template has no such variable, or not with this value.
    VariableInvalid,
    /// The environment to adopt does not exist.
    EnvironmentNotFound,
    /// An environment with this key exists and is not ours.
    EnvironmentExists,
    /// The environment that the object belongs to is not there yet.
    EnvironmentNotReady,
    /// The base of a sub-environment is not there yet, or not shared.
    BaseNotReady,
    /// Sub-environments stand in the way.
    HasSubEnvironments,
    /// Sharing was enabled, and something of it is still missing.
    SharingNotReady,
    /// The cluster has no Istio.
    IstioMissing,
    /// A workload has no Kubernetes Service.
    WorkloadWithoutService,
    /// Two portals would take each other's ports.
    PortalConflict,
    /// The environment in Zadig lives in another cluster or namespace than the one declared or recorded.
    IdentityMismatch,
    /// Objects that the creation of the environment carries are not there yet.
    ConfigNotReady,
    /// An object of this kind and name exists in the environment and is not ours.
    ConfigExists,
    /// The object to adopt does not exist.
    ConfigNotFound,
    /// What is declared can only be set while the environment is created.
    OnlyAtCreation,
    /// The environment's `ttl` is over; it is deleted, or about to be.
    Expired,
    /// An older object claims the same environment.
    Conflict,
    /// Something else deleted the environment, twice.
    DeletedElsewhere,
    /// The connection's URL leads to another Zadig than the one that was written to.
    DifferentZadig,
    /// A difference came back each time it was repaired.
    DriftDoesNotConverge,
    /// A Helm release could not be deployed with the values that were sent.
    ReleaseFailed,
    /// This Zadig is too old for what is declared.
    NeedsNewerZadig,
    /// The cluster differs from Zadig's record and no call repairs it.
    LiveDrift,
    /// Changes are shown and not made, as `management` is Observe.
    ObserveOnly,
    /// Changes wait for a person to approve them.
    AwaitingApproval,
    /// Nothing differs.
    InSync,
    /// A Kubernetes request failed.
    KubernetesError,
}

impl Reason {
    /// The reason as it is written in conditions, events and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Applying => "Applying",
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
            Self::Sleeping => "Sleeping",
            Self::Progressing => "Progressing",
            Self::NotReady => "NotReady",
            Self::NotApplied => "NotApplied",
            Self::Suspended => "Suspended",
            Self::ConnectionSuspended => "ConnectionSuspended",
            Self::ConnectionNotFound => "ConnectionNotFound",
            Self::AccessDenied => "AccessDenied",
            Self::ConnectionNotReady => "ConnectionNotReady",
            Self::DeletionProtected => "DeletionProtected",
            Self::DeletionBudget => "DeletionBudget",
            Self::ConnectionGone => "ConnectionGone",
            Self::SourceNotFound => "SourceNotFound",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::CredentialsGone => "CredentialsGone",
            Self::ZadigUnreachable => "ZadigUnreachable",
            Self::Throttled => "Throttled",
            Self::Unauthorized => "Unauthorized",
            Self::Rejected => "Rejected",
            Self::ZadigError => "ZadigError",
            Self::UnexpectedResponse => "UnexpectedResponse",
            Self::ZadigStuck => "ZadigStuck",
            Self::LicenceRequired => "LicenceRequired",
            Self::InvalidSpec => "InvalidSpec",
            Self::ProjectNotFound => "ProjectNotFound",
            Self::ClusterNotFound => "ClusterNotFound",
            Self::RegistryNotFound => "RegistryNotFound",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServiceExists => "ServiceExists",
            Self::ContainerNotFound => "ContainerNotFound",
            Self::WorkloadNotFound => "WorkloadNotFound",
            Self::VariableInvalid => "VariableInvalid",
            Self::EnvironmentNotFound => "EnvironmentNotFound",
            Self::EnvironmentExists => "EnvironmentExists",
            Self::EnvironmentNotReady => "EnvironmentNotReady",
            Self::BaseNotReady => "BaseNotReady",
            Self::HasSubEnvironments => "HasSubEnvironments",
            Self::SharingNotReady => "SharingNotReady",
            Self::IstioMissing => "IstioMissing",
            Self::WorkloadWithoutService => "WorkloadWithoutService",
            Self::PortalConflict => "PortalConflict",
            Self::IdentityMismatch => "IdentityMismatch",
            Self::ConfigNotReady => "ConfigNotReady",
            Self::ConfigExists => "ConfigExists",
            Self::ConfigNotFound => "ConfigNotFound",
            Self::OnlyAtCreation => "OnlyAtCreation",
            Self::Expired => "Expired",
            Self::Conflict => "Conflict",
            Self::DeletedElsewhere => "DeletedElsewhere",
            Self::DifferentZadig => "DifferentZadig",
            Self::DriftDoesNotConverge => "DriftDoesNotConverge",
            Self::ReleaseFailed => "ReleaseFailed",
            Self::NeedsNewerZadig => "NeedsNewerZadig",
            Self::LiveDrift => "LiveDrift",
            Self::ObserveOnly => "ObserveOnly",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::InSync => "InSync",
            Self::KubernetesError => "KubernetesError",
        }
    }
}
