//! What runs in an environment: services, their variables, images and replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Helm;
use crate::api::{KeyRef, schema};

/// The value of a global variable in this environment, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
schema::exactly_one_of(&["value", "valueFrom"])
]))]
pub struct GlobalVariable {
    /// Key that the project declares.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub key: String,
    /// The value as text, for every type; a bool is `"true"` or `"false"`, an enum one of its options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::VALUE_MAX))]
    pub value: Option<String>,
    /// Where the value comes from instead: a Secret or ConfigMap beside this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// One service of the environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
// Zadig labels the service's objects and pods with the name (Z§5.5).
#[schemars(extend("x-kubernetes-validations" = [
schema::label_value("name", "the name of a service of the project")
]))]
pub struct Service {
    /// Name of the service in the project. Its template must exist there.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub name: String,
    /// Values of the service's variables. One that is not listed is left alone. A change is rolled out, and takes the newest
    /// version of the service's template along, as Zadig offers no way without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::VARIABLES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub variables: Vec<Variable>,
    /// Images of containers, in every workload of the service that has a container of that name. A container that is not listed
    /// is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::PER_SERVICE_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub containers: Vec<Container>,
    /// Replicas of workloads. A workload that is not listed is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::PER_SERVICE_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"])
    )]
    pub workloads: Vec<Workload>,
    /// Any text; each change of it restarts the service once: its pods are deleted, all at once. Zadig 4.2 can
    /// restart a service only whose one workload is a Deployment; any other is told with the reason NeedsNewerZadig. Removing
    /// it restarts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub restart_token: Option<String>,
    /// How the service is deployed in a Helm environment, where it is the only field beside the name. Each change makes a new
    /// revision of the release, and takes the newest version of the service's chart along. Absent: the chart's own values at
    /// first, later left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
}

/// The value of a service's variable, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
schema::whole(
        "[has(self.value), has(self.valueFrom), has(self.useGlobal) && self.useGlobal].exists_one(set, set)",
        "set exactly one of value, valueFrom, useGlobal: true",
    )
]))]
pub struct Variable {
    /// Key that the service's template declares.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub key: String,
    /// The value as text, for every type; a bool is `"true"` or `"false"`, an enum one of its options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::VALUE_MAX))]
    pub value: Option<String>,
    /// Where the value comes from instead: a Secret or ConfigMap beside this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// True: follow the environment's global variable of the same key instead. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_global: bool,
}

/// A value kept in a Secret or ConfigMap beside this object; exactly one of the two.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
schema::exactly_one_of(&["secretKeyRef", "configMapKeyRef"])
]))]
pub struct ValueFrom {
    /// A key of a Secret in the same namespace. A change of the Secret is applied by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the same namespace. A change of the ConfigMap is applied by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// The image of a container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::label("name", "the name of a container"),
    schema::image("image")
]))]
pub struct Container {
    /// Name of the container, not of an init container.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub name: String,
    /// Image with tag or digest, such as `registry.example.com/shop/api:1.4.2`.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Enforce: always this image, repaired when something else changes it; what keeps coming back is left alone after three times,
    /// and told as DriftDoesNotConverge. OnCreate: set when the service is created, later left alone, for example to the project's
    /// workflows. Default: Enforce.
    #[serde(default)]
    pub policy: FieldPolicy,
}

/// The replicas of a workload.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::object_name("name", "the name of a workload")
]))]
pub struct Workload {
    /// Deployment or StatefulSet.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Number of pods, from 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Enforce: always this number, repaired when something else changes it; what keeps coming back is left alone after three
    /// times, and told as DriftDoesNotConverge. OnCreate: set when the service is created, later left alone, for example to an
    /// autoscaler. Default: Enforce.
    #[serde(default)]
    pub policy: FieldPolicy,
}

/// Kind of a workload that can be scaled.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
}

/// Whether a field is held or only set once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FieldPolicy {
    /// Repaired whenever it differs.
    #[default]
    Enforce,
    /// Set when the service is created, later left alone.
    OnCreate,
}
