//! ZadigEnvConfig: one ConfigMap, Secret, Ingress or PersistentVolumeClaim inside an environment, as it is declared.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::condition::Condition;
use super::environment::{Creation, LastChange};
use super::management::ProposedPlan;
use super::schema;

/// One object inside an environment that is no part of a service.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "zadig-operator.io",
    version = "v1alpha1",
    kind = "ZadigEnvConfig",
    plural = "zadigenvconfigs",
    shortname = "zcfg",
    category = "zadig",
    namespaced,
    status = "ZadigEnvConfigStatus",
    derive = "PartialEq",
    selectable = ".spec.environmentRef.name",
    doc = "One ConfigMap, Secret, Ingress or PersistentVolumeClaim inside an environment of Zadig. Zadig restarts every service that refers to the object at each write, so nothing is written without a real change, and what something else changes back is left alone after three repairs (DriftDoesNotConverge).",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether the object in the environment is as declared."}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why, in one word."}"#,
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".spec.type", "description": "Kind of the object."}"#,
    printcolumn = r#"{"name": "Object", "type": "string", "jsonPath": ".spec.name", "description": "Name of the object in the environment's namespace."}"#,
    printcolumn = r#"{"name": "Environment", "type": "string", "jsonPath": ".spec.environmentRef.name", "description": "The ZadigEnvironment it belongs to."}"#,
    printcolumn = r#"{"name": "Drifted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Drifted\")].status", "description": "True while something differs and is left as it is; empty otherwise."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since this object was created."}"#,
    printcolumn = r#"{"name": "Plan", "type": "string", "jsonPath": ".status.plan.hash", "priority": 1, "description": "The plan that is shown and not carried out, for spec.approvedPlan."}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1, "description": "Why, for a person."}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::immutable("environmentRef", "the object would be another one; create a new ZadigEnvConfig"),
    schema::immutable("type", "the object would be another one; create a new ZadigEnvConfig"),
    schema::immutable("name", "the object would be another one; create a new ZadigEnvConfig"),
    schema::object_name("name", "the name of a Kubernetes object"),
    schema::exactly_one_of(&["manifest", "configMapRef", "secretRef"]),
    schema::immutable("git", "Zadig takes it only inside the creation of an environment; create a new ZadigEnvConfig"),
    schema::rule(
        "git",
        "!has(self.git) || has(self.manifest)",
        "git goes with manifest, which Zadig makes the object from before it follows the file",
    ),
    schema::rule(
        "configMapRef",
        "!has(self.configMapRef) || self.type == 'ConfigMap'",
        "configMapRef goes with type: ConfigMap",
    ),
    schema::rule(
        "secretRef",
        "has(self.secretRef) == (self.type == 'Secret')",
        "secretRef goes with type: Secret and is its only source, so that no secret stands in this object",
    ),
    schema::rule(
        "manifest",
        "!has(self.manifest) || self.manifest.kind == (self.type == 'PVC' ? 'PersistentVolumeClaim' : self.type)",
        "manifest must be an object of the kind that type names (PVC stands for PersistentVolumeClaim)",
    ),
    schema::rule(
        "manifest",
        "!has(self.manifest) || !has(self.manifest.metadata) || !has(self.manifest.metadata.name) || self.manifest.metadata.name == self.name",
        "manifest must have the name that spec.name says, or none",
    )
]))]
pub struct ZadigEnvConfigSpec {
    /// The ZadigEnvironment it belongs to, in the same namespace. Required. Immutable.
    pub environment_ref: EnvironmentRef,
    /// Kind of the object: ConfigMap, Secret, Ingress or PVC. Required. Immutable.
    #[serde(rename = "type")]
    pub type_: ConfigType,
    /// Name of the object in the environment's namespace. Required. Immutable.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// The object itself, of that kind and name; a ConfigMap, an Ingress or a PersistentVolumeClaim. Its namespace is the
    /// environment's, whatever stands here. In the data of a ConfigMap Zadig replaces `$Namespace$`, `$EnvName$` and `$Product$`.
    /// An Ingress and a PersistentVolumeClaim are compared by what is written here; what the cluster adds is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "embedded_object")]
    pub manifest: Option<Map<String, Value>>,
    /// A ConfigMap in this object's namespace whose data is copied, and followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<SourceRef>,
    /// A Secret in this object's namespace whose type and data are copied, and followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SourceRef>,
    /// A file in Git that Zadig shows as the source of the object and may follow. Zadig takes it only inside the creation of an
    /// environment, so this object has to be named under `spec.configRefs` of the ZadigEnvironment before that is created; it is
    /// stalled with the reason OnlyAtCreation otherwise. The object is made from `manifest`; afterwards its content is Zadig's, and is
    /// neither compared nor written. Absent: no source. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitFile>,
    /// What to do about an object that is there already, or not there yet. Create: create it; one that exists and was not made by
    /// this object is refused with the reason ConfigExists, and so is one that the environment's creation would carry into a
    /// `spec.namespace` that may be there already, as it would overwrite what is there. CreateOrAdopt: create it, or take over the one
    /// that exists; what was carried into such a namespace counts as taken over. Adopt: take over the one that exists, never create.
    /// Default: Create. Without effect once the object is owned.
    #[serde(default)]
    pub creation: Creation,
    /// What happens to the object in the environment when this one is deleted. Delete: it is deleted. Orphan: nothing is called.
    /// Absent: Delete if this object created it, Orphan if it took it over. The annotation `zadig-operator.io/deletion: Orphan`
    /// overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<ConfigDeletion>,
    /// The `status.plan.hash` of the plan that may be carried out where the environment has `management: Approve`. Another plan
    /// waits for another approval. Without effect otherwise. Deleting this object needs no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::LABEL_MAX))]
    pub approved_plan: Option<String>,
    /// While true, nothing is written to Zadig for this object, and deleting it calls nothing. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// An object of any kind, checked by the API server as far as any object is.
fn embedded_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// Reference to a ZadigEnvironment in the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::object_name("name", "the name of a ZadigEnvironment")
]))]
pub struct EnvironmentRef {
    /// Name of the ZadigEnvironment. Immutable.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
}

/// Reference to a Secret or ConfigMap in the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::object_name("name", "the name of a Secret or ConfigMap")
]))]
pub struct SourceRef {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
}

/// A file in Git, by a code host of Zadig's.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GitFile {
    /// Zadig's number of the code host, from 1 to 999999, as its page of code hosts and its API show it.
    #[schemars(range(min = 1, max = 999_999))]
    pub codehost_id: u32,
    /// Owner of the repository: a user, an organisation or a group.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub owner: String,
    /// Name of the repository.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub repo: String,
    /// Branch that the file is read from.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub branch: String,
    /// Path of the file within the repository. It has to hold an object of the same type and name.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Whether Zadig replaces the object when the file changes, without restarting what refers to it. Default: false.
    #[serde(default)]
    pub auto_sync: bool,
}

/// Kind of an object inside an environment.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum ConfigType {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// An Ingress.
    Ingress,
    /// A PersistentVolumeClaim.
    #[serde(rename = "PVC")]
    Pvc,
}

impl ConfigType {
    /// The word in `spec.type`, which is also Zadig's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Ingress => "Ingress",
            Self::Pvc => "PVC",
        }
    }
}

/// What happens to the object in the environment when this one is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConfigDeletion {
    /// It is deleted.
    Delete,
    /// Nothing is called.
    Orphan,
}

/// What is known of the object in the environment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
pub struct ZadigEnvConfigStatus {
    /// The generation of the object this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// What can be said of it as a whole: Ready, Reconciling, Stalled, Synced, Drifted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Whose object it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ConfigInventory>,
    /// Workloads that refer to the object, as Zadig sees them: they are restarted at each change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::SERVICES_MAX),
        inner(length(max = schema::NAME_MAX)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub used_by: Vec<String>,
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

/// Whose object it is. The same facts stand in the ownership annotation; either is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigInventory {
    /// Whether this object created the one in the environment (false: adopted).
    pub created: bool,
    /// The Zadig it lives in: scheme, host, port and path of its URL, normalised.
    #[schemars(length(max = 2048))]
    pub zadig: String,
    /// Key of the Zadig project.
    #[schemars(length(max = schema::NAME_MAX))]
    pub project: String,
    /// Key of the environment.
    #[schemars(length(max = schema::NAME_MAX))]
    pub env: String,
    /// Zadig's id of the cluster it lives in.
    #[schemars(length(max = schema::NAME_MAX))]
    pub cluster_id: String,
    /// The namespace it lives in.
    #[schemars(length(max = schema::NAME_MAX))]
    pub namespace: String,
}
