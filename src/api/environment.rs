//! ZadigEnvironment: one environment of one Zadig project.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyRef;
use super::condition::Condition;

/// One environment of one Zadig project: where it lives, which services it runs, and how.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "zadig-operator.io",
    version = "v1alpha1",
    kind = "ZadigEnvironment",
    plural = "zadigenvironments",
    shortname = "zenv",
    category = "zadig",
    namespaced,
    status = "ZadigEnvironmentStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ZadigEnvironmentSpec {
    /// The ZadigConnection to use. Immutable.
    pub connection_ref: ConnectionRef,
    /// Key of the Zadig project. Immutable.
    pub project_key: String,
    /// Key of the environment within its project. Immutable.
    pub env_key: String,
    /// Test or Production. Default: Test. Immutable.
    #[serde(default)]
    pub scope: Scope,
    /// How the project deploys. Default: KubernetesYAML. Immutable.
    #[serde(default)]
    pub deploy_type: DeployType,
    /// The cluster to live in, by name or by id. Absent: Zadig's local cluster. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRef>,
    /// The namespace to live in. Absent: `<projectKey>-env-<envKey>`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The image registry, by address or by id. Absent: Zadig's default at creation, later left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryRef>,
    /// Values of the project's global variables. A variable that is not listed is left alone. Changing one after creation needs
    /// Zadig's professional licence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub global_variables: Vec<GlobalVariable>,
    /// The services that run in the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What to do about an environment that is there already, or not there yet. Default: Create.
    #[serde(default)]
    pub creation: Creation,
    /// What happens in Zadig when this object is deleted. Absent: Delete if this object created the environment, else Orphan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// Which services are removed from the environment when they are not declared. Default: Owned.
    #[serde(default)]
    pub prune: Prune,
    /// Nothing is read or written for this object while true. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// Reference to a ZadigConnection.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ConnectionRef {
    /// Name of the connection.
    pub name: String,
    /// Namespace of the connection, where its `access` admits this one. Absent: the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Which of Zadig's two families of environments.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum Scope {
    /// A test environment.
    #[default]
    Test,
}

/// How a project's services are deployed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeployType {
    /// Services are Kubernetes YAML templates.
    #[default]
    #[serde(rename = "KubernetesYAML")]
    KubernetesYaml,
}

/// A cluster that Zadig knows, by exactly one of name and id.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ClusterRef {
    /// Name as Zadig's cluster list shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Zadig's id: 24 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A registry that Zadig knows, by exactly one of address and id.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RegistryRef {
    /// Address with the registry's namespace: `registry.example.com/shop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Zadig's id: 24 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The value of a global variable in this environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct GlobalVariable {
    /// Key that the project declares.
    pub key: String,
    /// Value; a bool is `"true"` or `"false"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value comes from instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// One service of the environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name of the service in the project.
    pub name: String,
    /// Values of the service's variables. A variable that is not listed is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// Images of containers, in every workload of the service that has a container of that name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// Replicas of workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    /// Any change restarts the service (its first Deployment; before Zadig 5.0 a StatefulSet is not restarted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_token: Option<String>,
}

/// The value of a service's variable, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Key that the service's template declares.
    pub key: String,
    /// Value; a bool is `"true"` or `"false"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value comes from instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// Follow the environment's global variable of the same key instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_global: bool,
}

/// A value kept in a Secret or ConfigMap beside this object; exactly one of the two.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret. A change is applied by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap. A change is applied by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// The image of a container.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Container {
    /// Name of the container, not of an init container.
    pub name: String,
    /// Image with tag or digest.
    pub image: String,
    /// Enforce: always this image. OnCreate: set when the service is created, later left alone. Default: Enforce.
    #[serde(default)]
    pub policy: FieldPolicy,
}

/// The replicas of a workload.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Workload {
    /// Deployment or StatefulSet.
    pub kind: WorkloadKind,
    /// Name of the workload.
    pub name: String,
    /// Number of pods.
    pub replicas: i32,
    /// Enforce: always this number. OnCreate: set when the service is created, later left alone. Default: Enforce.
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

/// What to do about an environment that is there already, or not there yet.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Creation {
    /// Create it; one that exists and is not ours is refused.
    #[default]
    Create,
    /// Create it, or take over the one that exists.
    CreateOrAdopt,
    /// Take over the one that exists; never create.
    Adopt,
}

/// What happens in Zadig when the object is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Deletion {
    /// The services and the environment are deleted, with its namespace if Zadig made it.
    Delete,
    /// The environment leaves Zadig; its workloads run on.
    Detach,
    /// Nothing is called.
    Orphan,
}

/// Which undeclared services are removed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Prune {
    /// Those that this object added.
    #[default]
    Owned,
    /// All.
    All,
    /// None.
    None,
}

/// What is known of the environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZadigEnvironmentStatus {
    /// The generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, Synced, Drifted, Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Zadig's own word for the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zadig_status: Option<String>,
    /// Since when Zadig says so, as far as we saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zadig_status_since: Option<Time>,
    /// The page of the environment in Zadig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The declared services as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceStatus>,
    /// Healthy and declared services: `5/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services_ready: Option<String>,
    /// What this object owns in Zadig, hence may prune or delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// What was last sent and Zadig does not show again, by service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<AppliedService>,
    /// The last change that was made in Zadig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
    /// The reconcile-now annotation last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// One declared service as it is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ServiceStatus {
    /// Name of the service.
    pub name: String,
    /// Zadig's own word for the service.
    pub status: String,
    /// Pods that are ready, where they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
    /// Pods that are wanted, where they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Images of the declared containers as they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What is wrong, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What an object owns in Zadig. The same facts stand in the ownership annotation; either is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Whether this object created the environment (false: adopted).
    pub created: bool,
    /// The Zadig it lives in: scheme, host, port and path of its URL, normalised.
    pub zadig: String,
    /// Zadig's id of the cluster it lives in.
    pub cluster_id: String,
    /// The namespace it lives in.
    pub namespace: String,
    /// Services that this object added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    pub name: String,
    /// Digest of the variables as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<String>,
    /// Digest of the service as Zadig renders it, without images and replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
    /// Zadig's `update_time` when `rendered` was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered_at: Option<i64>,
    /// Digest of the service's template at our last write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The restart token that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_token: Option<String>,
    /// The fields with policy OnCreate still have to be set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initial: bool,
}

/// A change that was made in Zadig.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct LastChange {
    /// When.
    pub time: Time,
    /// What was done, secrets redacted.
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
