//! ZadigServiceBinding: one service of one environment, owned apart from the environment, as it is declared.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::environment::{
    AppliedService, Creation, LastChange, Service, ServiceStatus, WorkloadKind,
};
use super::management::ProposedPlan;
use super::schema;

/// One service of one environment, owned by a team of its own.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "zadig-operator.io",
    version = "v1alpha1",
    kind = "ZadigServiceBinding",
    plural = "zadigservicebindings",
    shortname = "zsb",
    category = "zadig",
    namespaced,
    status = "ZadigServiceBindingStatus",
    derive = "PartialEq",
    selectable = ".spec.environmentRef.name",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    doc = "One service of one environment of Zadig, owned apart from the environment: its variables, images and replicas. What is declared here is kept so; what is left out is left alone.",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether everything declared is so and healthy."}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why, in one word."}"#,
    printcolumn = r#"{"name": "Service", "type": "string", "jsonPath": ".spec.service.name", "description": "Name of the service in its project."}"#,
    printcolumn = r#"{"name": "Environment", "type": "string", "jsonPath": ".spec.environmentRef.name", "description": "The ZadigEnvironment it runs in."}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.service.status", "description": "Zadig's own word for the service."}"#,
    printcolumn = r#"{"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas", "description": "Pods that the scaled workload asks for."}"#,
    printcolumn = r#"{"name": "Drifted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Drifted\")].status", "description": "True while something differs and is left as it is; empty otherwise."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since the object was created."}"#,
    printcolumn = r#"{"name": "Plan", "type": "string", "jsonPath": ".status.plan.hash", "priority": 1, "description": "The plan that is shown and not carried out, for spec.approvedPlan."}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1, "description": "Why, for a person."}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::immutable("environmentRef", "the service would be another one; create a new ZadigServiceBinding"),
    schema::rule(
        "service",
        "self.service.name == oldSelf.service.name",
        "service.name cannot be changed: the service would be another one; create a new ZadigServiceBinding",
    ),
    schema::rule(
        "scaleTarget",
        "!has(self.scaleTarget) || !has(self.service.workloads) || !self.service.workloads.exists(workload, workload.kind == self.scaleTarget.kind && workload.name == self.scaleTarget.name)",
        "scaleTarget is scaled by spec.replicas, so service.workloads must not name it too",
    ),
    schema::rule(
        "service",
        "!has(self.service.helm) || (!has(self.service.variables) && !has(self.service.containers) && !has(self.service.workloads) && !has(self.service.restartToken))",
        "service takes no variables, containers, workloads or restartToken beside helm, as Zadig keeps none of them for a release; use helm.values",
    ),
    schema::rule(
        "replicas",
        "!has(self.replicas) || !has(self.service.helm)",
        "replicas cannot be set with service.helm, as the next upgrade of the release would undo it; use helm.values",
    ),
    schema::rule(
        "scaleTarget",
        "!has(self.scaleTarget) || !has(self.service.helm)",
        "scaleTarget cannot be set with service.helm, as the next upgrade of the release would undo it; use helm.values",
    ),
]))]
pub struct ZadigServiceBindingSpec {
    /// The ZadigEnvironment it runs in. Required. Immutable.
    pub environment_ref: BoundEnvironmentRef,
    /// The service as declared; the environment must not declare it under its own `spec.services` as well. Its name is immutable.
    pub service: Service,
    /// Number of pods of `scaleTarget`, from 0 to 1000, which `kubectl scale` and autoscalers set. Absent: the number is left
    /// alone; where `scaleTarget` is set, the present number is written here once, as an autoscaler cannot start without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// The workload that `replicas` is for. Absent: the service's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_target: Option<ScaleTarget>,
    /// What to do about a service that is in the environment already, or not yet. Create: add it; one that is there and was not
    /// added by this object is refused with the reason ServiceExists, unless its ZadigEnvironment declared it before.
    /// CreateOrAdopt: add it, or take over the one that is there. Adopt: take over the one that is there, never add. Default:
    /// Create. Without effect once the service is owned.
    #[serde(default)]
    pub creation: Creation,
    /// What happens to the service when this object is deleted. Delete: it is removed from the environment with its workloads, ten
    /// seconds later and unless the ZadigEnvironment declares it itself by then. Orphan: nothing is called. Absent: Delete if this object added it, Orphan if it took it over. The annotation
    /// `zadig-operator.io/deletion: Orphan` overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<BindingDeletion>,
    /// The `status.plan.hash` of the plan that may be carried out where the environment has `management: Approve`. Another plan
    /// waits for another approval. Without effect otherwise. Deleting this object needs no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::LABEL_MAX))]
    pub approved_plan: Option<String>,
    /// While true, nothing is written to Zadig for this object, and deleting it calls nothing. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// Reference to a ZadigEnvironment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::object_name("name", "the name of a ZadigEnvironment"),
    schema::label("namespace", "the name of a namespace")
]))]
pub struct BoundEnvironmentRef {
    /// Name of the ZadigEnvironment. Immutable.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Namespace of the ZadigEnvironment, where its `bindings` admit this one. Absent: the same namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub namespace: Option<String>,
}

/// A workload of the service.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::object_name("name", "the name of a workload")
]))]
pub struct ScaleTarget {
    /// Deployment or StatefulSet.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
}

/// What happens to the service when the object is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum BindingDeletion {
    /// It is removed from the environment with its workloads.
    Delete,
    /// Nothing is called.
    Orphan,
}

/// What is known of the service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
pub struct ZadigServiceBindingStatus {
    /// The generation of the object this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// What can be said of the service as a whole: Ready, Reconciling, Stalled, Synced, Drifted, Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The service as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceStatus>,
    /// Pods that the scaled workload asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Selects the pods of the service in the environment's namespace, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// Whose service it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<super::env_config::ConfigInventory>,
    /// What was last sent and Zadig does not show again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedService>,
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
