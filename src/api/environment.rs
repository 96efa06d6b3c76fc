//! ZadigEnvironment: one environment of one Zadig project, as it is declared.
//!
//! What runs inside it is in `service`, its part in sharing in `sharing`, what is reported of it in `status`.

mod diagnosis;
mod helm;
mod live;
mod production;
mod service;
mod sharing;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connection::NamespaceGrant;
use super::management::Management;
use super::schema;

pub use diagnosis::{Diagnosis, LastEvent};
pub use helm::{GitValues, Helm, HelmOverride, HelmStrategy};
pub use live::{LiveDrift, Restore, RestoreImage, RestoreReplicas};
pub use service::{
    Container, FieldPolicy, GlobalVariable, Service, ValueFrom, Variable, Workload, WorkloadKind,
};
pub use sharing::{
    Portal, PortalProtocol, PortalServer, Sharing, SharingState, SharingStatus, SubEnvironmentOf,
};
pub use status::{
    AppliedService, Inventory, LastChange, Ownership, OwnershipState, ROLLOUTS_MAX, Rollout,
    ServiceStatus, ZadigEnvironmentStatus,
};

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
    derive = "PartialEq",
    selectable = ".spec.projectKey",
    selectable = ".spec.envKey",
    doc = "One environment of one Zadig project: where it lives, which services it runs, and how. What is declared here is kept so; what is left out is left alone.",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether everything declared is so and healthy."}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why, in one word."}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.zadigStatus", "description": "Zadig's own word for the environment."}"#,
    printcolumn = r#"{"name": "Synced", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Synced\")].status", "description": "Whether what Zadig records equals what is declared."}"#,
    printcolumn = r#"{"name": "Drifted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Drifted\")].status", "description": "True while something differs and is left as it is; empty otherwise."}"#,
    printcolumn = r#"{"name": "Services", "type": "string", "jsonPath": ".status.servicesReady", "description": "Healthy and declared services."}"#,
    printcolumn = r#"{"name": "Project", "type": "string", "jsonPath": ".spec.projectKey", "description": "Key of the Zadig project."}"#,
    printcolumn = r#"{"name": "Env", "type": "string", "jsonPath": ".spec.envKey", "description": "Key of the environment in its project."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since the object was created."}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".status.expiresAt", "priority": 1, "description": "When its ttl ends."}"#,
    printcolumn = r#"{"name": "Target", "type": "string", "jsonPath": ".status.inventory.namespace", "priority": 1, "description": "Namespace that the environment lives in."}"#,
    printcolumn = r#"{"name": "Connection", "type": "string", "jsonPath": ".spec.connectionRef.name", "priority": 1, "description": "The ZadigConnection in use."}"#,
    printcolumn = r#"{"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1, "description": "The page of the environment in Zadig."}"#,
    printcolumn = r#"{"name": "Management", "type": "string", "jsonPath": ".spec.management", "priority": 1, "description": "Whether what is declared is carried out."}"#,
    printcolumn = r#"{"name": "Plan", "type": "string", "jsonPath": ".status.plan.hash", "priority": 1, "description": "The plan that is shown and not carried out, for spec.approvedPlan."}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1, "description": "Why, for a person."}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
#[schemars(extend("x-kubernetes-validations" = [
schema::immutable(
        "connectionRef",
        "the environment would be another one; create a new ZadigEnvironment, or change the url of the connection",
    ),
    schema::immutable("projectKey", "an environment cannot move to another project; create a new ZadigEnvironment"),
    schema::immutable("envKey", "Zadig cannot rename an environment; create a new ZadigEnvironment"),
    schema::immutable("scope", "Zadig cannot turn one family into the other; create a new ZadigEnvironment"),
    schema::immutable("deployType", "it belongs to the project; create a new ZadigEnvironment"),
    schema::immutable("cluster", "Zadig cannot move an environment; create a new ZadigEnvironment"),
    schema::immutable("namespace", "Zadig cannot move an environment; create a new ZadigEnvironment"),
    schema::rule(
        "subEnvironmentOf",
        "has(self.subEnvironmentOf) == has(oldSelf.subEnvironmentOf) && (!has(self.subEnvironmentOf) || self.subEnvironmentOf.name == oldSelf.subEnvironmentOf.name)",
        "subEnvironmentOf cannot be added or removed, and its name cannot be changed: Zadig cannot move an environment to another base; create a new ZadigEnvironment",
    ),
    schema::rule(
        "sharing",
        "!(has(self.sharing) && has(self.subEnvironmentOf))",
        "sharing and subEnvironmentOf exclude each other: a sub-environment cannot be the base of another one",
    ),
    schema::rule(
        "sharing",
        "!(has(self.sharing) || has(self.subEnvironmentOf)) || (self.deployType == 'KubernetesYAML' && self.scope == 'Test')",
        "sharing and subEnvironmentOf are for test environments of Kubernetes YAML projects; remove them",
    ),
    schema::label("projectKey", "the key of a Zadig project"),
    schema::label("envKey", "the key of an environment"),
    schema::label("namespace", "the name of a namespace"),
    schema::rule(
        "envKey",
        // These keys would be read as a part of Zadig's own paths (Z§1.4).
        "!(self.envKey in ['production', 'variable', 'services', 'envcfgs', 'envcfg', 'service', 'helm', 'kube', 'image', 'scale'])",
        "envKey is a word that Zadig reserves; none of production, variable, services, envcfgs, envcfg, service, helm, kube, image, scale can be used",
    ),
    schema::rule(
        "namespace",
        "has(self.__namespace__) || size(self.projectKey) + size(self.envKey) <= 58",
        "namespace must be set here, because its default, <projectKey>-env-<envKey>, would be longer than 63 characters",
    ),
    schema::rule(
        "globalVariables",
        "!has(self.globalVariables) || self.deployType != 'Helm'",
        "globalVariables cannot be set with deployType: Helm, which has none; use services[].helm.values",
    ),
    schema::rule(
        "configRefs",
        "!has(self.configRefs) || self.deployType != 'Helm'",
        "configRefs cannot be set with deployType: Helm, as the creation of a Helm environment carries no objects; they are made once it is there",
    ),
    schema::rule(
        "services",
        "!has(self.services) || self.deployType == 'Helm' || self.services.all(service, !has(service.helm))",
        "services take helm with deployType: Helm only",
    ),
    schema::rule(
        "services",
        "!has(self.services) || self.deployType != 'Helm' || self.services.all(service, !has(service.variables) && !has(service.containers) && !has(service.workloads) && !has(service.restartToken))",
        "services take no variables, containers, workloads or restartToken with deployType: Helm, as Zadig keeps none of them for a release; use helm.values",
    ),
    schema::duration("ttl"),
    schema::duration_between("ttl", "1s", "8760h", "leave it out for an environment that is to stay"),
    schema::rule(
        "ttl",
        "!has(self.ttl) || !has(self.deletionProtection) || !self.deletionProtection",
        "ttl ends in the deletion of the environment, so it does not go with deletionProtection: true; remove one of the two",
    ),
    schema::rule(
        "ttl",
        "!has(self.ttl) || !has(self.deletion) || self.deletion == 'Delete'",
        "ttl ends in the deletion of the environment, so it does not go with deletion: Detach or Orphan; remove one of the two",
    ),
    production::no_images(),
    production::no_replicas(),
    production::no_config_refs(),
    production::no_system_namespace(),
    production::alias(),
    production::no_ttl()
]))]
pub struct ZadigEnvironmentSpec {
    /// The ZadigConnection to use: which Zadig, with whose token. Required. Immutable.
    pub connection_ref: ConnectionRef,
    /// Key of the Zadig project, as its pages show it in their address; not its display name. The project must exist. Required.
    /// Immutable.
    // Zadig's own rule (Z§15), and a label value of the namespace (Z§4.6), hence no '-' at the ends.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub project_key: String,
    /// Key of the environment, unique within its project across test and production. Lower-case letters, digits and '-'; words
    /// that Zadig reserves for its own paths are refused. Required. Immutable.
    // Zadig itself checks nothing (Z§4.6), but the default namespace and labels are made of it.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub env_key: String,
    /// Family of the environment. Test: the usual one. Production: made empty and filled then, from the project's production
    /// service templates; its images and replicas cannot be set here, only by variables and templates; deleting it removes its
    /// services and Zadig's record, and the namespace stays. Everything about it needs Zadig's professional licence. Default:
    /// Test. Immutable.
    #[serde(default)]
    pub scope: Scope,
    /// How the project deploys its services: KubernetesYAML or Helm. With Helm, Ready says that each release is deployed with the
    /// declared values; whether its pods are ready is not told, as Zadig does not say which workloads a release has. Default:
    /// KubernetesYAML. Immutable.
    // Not the detail (status empty, Z§4.2), not the live service (asks for kind and name of a workload, Z§4.3), not the rendered
    // YAML (empty, Z§4.4), not the workloads without a Service (those alone, Z§4.19). What the pods route of 4.3 (Z§12) answers
    // for a release is not recorded, and 4.2 has none.
    #[serde(default)]
    pub deploy_type: DeployType,
    /// The cluster to live in, by name or by id. Absent: Zadig's local cluster. Immutable, so it can neither be added nor removed
    /// later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterRef>,
    /// The namespace to live in, in that cluster; the connection's `access` must admit it. Created when missing; one that was
    /// there before is used and is not deleted with the environment. Absent: `<projectKey>-env-<envKey>`, as Zadig's own pages
    /// propose. Immutable, so it can neither be added nor removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub namespace: Option<String>,
    /// The image registry whose pull secret the namespace gets, by address or by id. Absent: Zadig's default at creation, later
    /// left alone. A change takes effect without restarting anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryRef>,
    /// Name that Zadig's pages show for the environment; with scope: Production or deployType: Helm only. In production it is held
    /// like any other field; of a Helm test environment Zadig takes it at the creation and has no call that changes it. Absent: left
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub alias: Option<String>,
    /// Values of the project's global variables in this environment. The project must declare them. One that is not listed is
    /// left alone. Changing one after the creation needs Zadig's professional licence and updates the services that use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::SERVICES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub global_variables: Vec<GlobalVariable>,
    /// ZadigEnvConfigs in this namespace that the creation of the environment waits for and carries, so that they are there
    /// before the services. Without Zadig's professional licence this is the only way to a ConfigMap or a PersistentVolumeClaim.
    /// Where `namespace` is set to another than Zadig's own, an object in it may be there already and would be overwritten, so that
    /// the ZadigEnvConfig has to say `creation: CreateOrAdopt`. Without effect once the environment exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::SERVICES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub config_refs: Vec<ConfigRef>,
    /// The services that run in the environment. A new entry is deployed; what happens when one goes is decided by `prune`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::SERVICES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub services: Vec<Service>,
    /// Whether the environment is a base, on top of which sub-environments are made that run a few services of their own and
    /// share the rest of it. Enabled: its namespace is made a part of the Istio mesh, and its pods are replaced once to get a
    /// proxy. Disabled: it is none; **all its sub-environments are deleted with their namespaces**, also those that nobody
    /// declared here, which is why `deletionProtection: false` has to be written beside it. Absent: left alone. Needs Istio in
    /// the cluster, a Kubernetes Service for every workload, and Zadig's enterprise licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// Makes it a sub-environment: it runs the services that are declared here and takes all others from its base; requests
    /// with the header `x-env: <envKey>` are led to it. It can only run services that its base runs as well. Zadig deletes it
    /// together with its base. Absent: it is none. Immutable, but for `portals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_environment_of: Option<SubEnvironmentOf>,
    /// What to do about an environment that is there already, or not there yet. Create: create it; one that exists and was not
    /// made by this object is refused with the reason EnvironmentExists. CreateOrAdopt: create it, or take over the one that
    /// exists. Adopt: take over the one that exists, never create. Default: Create. Without effect once the environment is
    /// owned.
    #[serde(default)]
    pub creation: Creation,
    /// What happens in Zadig when this object is deleted. Delete: the services and the environment are deleted, with its namespace
    /// if Zadig made it. Detach: the environment leaves Zadig, its workloads run on. Orphan: nothing is called. Absent: Delete if
    /// this object created the environment, Orphan if it took it over. The annotation `zadig-operator.io/deletion: Orphan`
    /// overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// While true, deleting this object deletes nothing in Zadig: it waits with the reason DeletionProtected until this is false, or
    /// until it is released by `deletion: Orphan` or the annotation of the same meaning. The objects inside the environment
    /// (ZadigEnvConfig, ZadigServiceBinding) are held in the same way when they are deleted, but for one that says
    /// `deletion: Delete` itself. `prune` is not held up. Absent: false for test environments, true for production; but a base
    /// (`sharing`) is only deleted, or made none any more, where false is written: all its sub-environments go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// How long the environment lives, from the creation of this object on: `72h`, `1h30m`. Then it is deleted in Zadig with its
    /// services, and this object stays with the reason Expired; only a longer `ttl`, or none, brings the environment back, made
    /// anew. An environment that was taken over is never deleted for this. An hour ahead, or a tenth of short times, an event
    /// warns. With `management: Approve` that deletion waits for an approval like any other change. Between 1s and 8760h; not with `deletionProtection: true` or another `deletion` than Delete. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub ttl: Option<String>,
    /// Which services are removed from the environment, with their resources, when they are not declared, here or by a
    /// ZadigServiceBinding, for ten seconds. Owned: those that this object added. All: every one. None: none. Default: Owned.
    #[serde(default)]
    pub prune: Prune,
    /// Whether what is declared is carried out. Enforce: at once. Approve: once the plan in `status.plan` is approved by
    /// `approvedPlan`. Observe: never; what would be done is shown in `status.plan`, nothing is written to Zadig, and deleting
    /// this object calls nothing. It holds for the ZadigEnvConfigs and ZadigServiceBindings of this environment too. Default:
    /// Enforce.
    #[serde(default)]
    pub management: Management,
    /// The `status.plan.hash` of the plan that may be carried out, to its end, with `management: Approve`. Another plan waits
    /// for another approval. Without effect otherwise. Deleting this object needs no approval; the end of its `ttl` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::LABEL_MAX))]
    pub approved_plan: Option<String>,
    /// What is done when the cluster lost workloads of a service that Zadig still believes in. Report: they are named, with the
    /// reason LiveDrift. Repair: the service is taken out of the environment while its objects stay, and added again, which brings
    /// all its objects back and rolls them out; only where every variable of its template is declared or follows a global
    /// variable, as Zadig shows no others. Images and numbers of pods that are not declared are put back afterwards. Default:
    /// Report.
    #[serde(default)]
    pub live_drift: LiveDrift,
    /// Which namespaces may own a service of this environment by a ZadigServiceBinding. Absent: this object's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bindings: Option<NamespaceGrant>,
    /// While true, nothing is written to Zadig for this object and what is bound to it, and deleting it calls nothing. Default:
    /// false.
    #[serde(default)]
    pub suspend: bool,
}

/// Reference to a ZadigConnection.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::object_name("name", "the name of a ZadigConnection"),
    schema::label("namespace", "the name of a namespace")
]))]
pub struct ConnectionRef {
    /// Name of the connection. Immutable.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Namespace of the connection, where its `access` admits this one. Absent: the same namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub namespace: Option<String>,
}

/// Reference to a ZadigEnvConfig in the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ConfigRef {
    /// Name of the ZadigEnvConfig.
    #[schemars(
        length(min = 1, max = schema::NAME_MAX),
        extend("pattern" = schema::SUBDOMAIN)
    )]
    pub name: String,
}

/// Which of Zadig's two families of environments.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
pub enum Scope {
    /// A test environment.
    #[default]
    Test,
    /// A production environment.
    Production,
}

/// How a project's services are deployed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeployType {
    /// Services are Kubernetes YAML templates.
    #[default]
    #[serde(rename = "KubernetesYAML")]
    KubernetesYaml,
    /// Services are Helm charts.
    Helm,
}

/// A cluster that Zadig knows, by exactly one of name and id.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::exactly_one_of(&["name", "id"]),
    schema::object_id("id")
]))]
pub struct ClusterRef {
    /// Name as Zadig's cluster list shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: Option<String>,
    /// Zadig's id: 24 hexadecimal digits in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub id: Option<String>,
}

/// A registry that Zadig knows, by exactly one of address and id.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::exactly_one_of(&["address", "id"]),
    schema::object_id("id")
]))]
pub struct RegistryRef {
    /// Address with the registry's namespace: `registry.example.com/shop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub address: Option<String>,
    /// Zadig's id: 24 hexadecimal digits in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub id: Option<String>,
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
