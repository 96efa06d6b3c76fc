//! What is to be done about one environment: [`Desired`] and [`Observed`] in, [`Plan`](crate::plan::Plan) of [`Action`] out.
//!
//! The types and their vocabulary. [`decide`] holds the decision table (design §3), [`diff`] the comparison of an environment
//! that can be changed, [`variables`] the rules of service variables (Z§4.11), [`helm`] the releases of a Helm environment,
//! [`production`] what is different in production, [`delete`] the way out, [`lifetime`] when it is taken, [`memory`] what has to be
//! remembered because Zadig never shows it again, [`proposal`] how a plan is put before a person, [`rollout`] the proof that a change
//! reached the pods, [`health`] what users see of the services, [`diagnosis`] why one of them is not healthy, [`live`] what the
//! cluster has lost of them, [`sharing`] base environments and what is made on top of them, [`template`] what a change of variables
//! takes along.

pub mod decide;
pub mod delete;
pub mod diagnosis;
pub mod diff;
pub mod health;
pub mod helm;
pub mod lifetime;
pub mod live;
pub mod memory;
pub mod moving;
pub mod production;
pub mod proposal;
pub mod restart;
pub mod rollout;
pub mod sharing;
pub mod template;
pub mod variables;

#[cfg(test)]
pub(in crate::plan) mod fixture;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod z14;
#[cfg(test)]
mod z9;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

pub use decide::plan;
pub use template::Upgrade;

use super::Level;
use super::budget::{Allowance, ENVIRONMENT};
use super::env_config::Config;
use super::secret::SecretText;
use crate::api::environment::{
    ClusterRef, Creation, Deletion, DeployType, FieldPolicy, LiveDrift, Ownership, PortalServer,
    Prune, RegistryRef, Restore, Scope, WorkloadKind,
};

/// What the object asks for.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them while an object is looked at, and it is nowhere kept"
)]
pub enum Desired {
    /// An environment like this.
    Present(Environment),
    /// No environment: the object is being deleted, or its time is over.
    Absent {
        /// `spec.deletion`, or what the annotation says instead.
        policy: Option<Deletion>,
        /// Services that were declared to the last.
        declared: BTreeSet<String>,
        /// Nothing may be deleted in Zadig ([`lifetime::is_protected`]).
        protected: bool,
        /// Its time is over, while the object itself stays.
        expired: bool,
    },
}

/// An environment as declared, every string checked and every default filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// How its services are deployed.
    pub deploy_type: DeployType,
    /// Name that Zadig's pages show; `None`: left alone.
    pub alias: Option<String>,
    /// Cluster; `None`: Zadig's local one.
    pub cluster: Option<ClusterRef>,
    /// Namespace.
    pub namespace: String,
    /// Registry; `None`: the default at creation, later left alone.
    pub registry: Option<RegistryRef>,
    /// Declared global variables.
    pub global_variables: BTreeMap<String, SecretText>,
    /// ZadigEnvConfigs that the creation waits for and carries, by name.
    pub configs: BTreeSet<String>,
    /// Declared services.
    pub services: BTreeMap<String, Service>,
    /// Its part in sharing.
    pub sharing: sharing::Declared,
    /// What to do when it exists or does not.
    pub creation: Creation,
    /// Which undeclared services are removed.
    pub prune: Prune,
    /// How long those stay at least after they were first seen undeclared.
    pub grace: Duration,
    /// What is done about objects that the cluster lost.
    pub live_drift: LiveDrift,
}

/// A service as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Declared variables.
    pub variables: BTreeMap<String, Variable>,
    /// Keyed digest over `variables`; `None` when none are declared.
    pub digest: Option<String>,
    /// Declared images by container.
    pub containers: BTreeMap<String, Image>,
    /// Declared replicas by workload.
    pub workloads: BTreeMap<(WorkloadKind, String), Replicas>,
    /// Any change restarts.
    pub restart_token: Option<String>,
    /// The release of a Helm environment.
    pub helm: Option<helm::Helm>,
}

impl Service {
    /// The keyed digests of what is declared of it.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        let helm = self.helm.as_ref().map(|helm| helm.digest.as_str());
        self.digest.as_deref().into_iter().chain(helm)
    }
}

/// The value of a declared variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Variable {
    /// This text.
    Value(SecretText),
    /// The environment's global variable of the same key.
    Global,
}

/// A declared image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Image with tag or digest.
    pub image: String,
    /// Whether it is held or only set once.
    pub policy: FieldPolicy,
}

/// A declared number of replicas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replicas {
    /// Number of pods.
    pub replicas: i32,
    /// Whether it is held or only set once.
    pub policy: FieldPolicy,
}

/// Everything the decision depends on, the time included.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The time of the observation.
    pub now: Timestamp,
    /// Project key and environment key.
    pub key: EnvKey,
    /// Identity of the Zadig that was looked at: its normalised URL.
    pub zadig: String,
    /// Whether the connection is the one the environment was made through.
    pub moved: Moved,
    /// The connection is suspended: nothing behind it is written.
    pub connection_suspended: bool,
    /// An older object that claims the same environment, as `namespace/name`.
    pub rival: Option<String>,
    /// Whose environment it is, by annotation or by status.
    pub record: Option<Ownership>,
    /// The environment in Zadig.
    pub existence: Existence,
    /// What Zadig knows besides; read only as far as the decision needs it.
    pub catalog: Catalog,
    /// What may still be deleted behind the connection.
    pub deletions: Allowance,
    /// The professional licence is known to be refused.
    pub licence_refused: bool,
    /// Which API the server speaks (Z§12).
    pub level: Level,
    /// What was remembered.
    pub memory: memory::Memory,
    /// Services that a ZadigServiceBinding claims and the environment does not declare itself.
    pub bound: BTreeMap<String, Bound>,
    /// What stands around it in sharing.
    pub around: sharing::Around,
    /// How long Zadig's `creating`, `updating` and `deleting` is believed.
    pub stuck_after: Duration,
}

impl Observed {
    /// The thorough look, where there was one.
    #[must_use]
    pub fn detail(&self) -> Option<&Detail> {
        match &self.existence {
            Existence::Present(present) => present.detail.as_ref(),
            Existence::Absent { .. } => None,
        }
    }
}

/// How far the claim of a ZadigServiceBinding on a service has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// It is declared: the service is not pruned, and what is remembered of it is kept for the binding to take over.
    Claimed,
    /// The binding has added the service, or taken it over from the environment.
    Added,
    /// The binding has taken over a service that was there before.
    Adopted,
}

/// An environment's key within a Zadig, and the routes that it is found by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EnvKey {
    /// Project key.
    pub project: String,
    /// Environment key; one for both scopes (Z§9, 1).
    pub env: String,
    /// Which family of routes.
    pub scope: Scope,
}

impl fmt::Display for EnvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.env)
    }
}

/// Whether the connection's URL still leads to the Zadig that was written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moved {
    /// The recorded URL is the connection's.
    No,
    /// Another URL, but every owned environment is found there as recorded.
    SameZadig,
    /// Another URL, and some owned environment is not found there as recorded.
    DifferentZadig,
}

/// Whether the environment exists. Doubt is not a value here: it is an error of the observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Existence {
    /// It does not.
    Absent {
        /// Seen in two lists some seconds apart, not in one only (design §2, rule 5).
        confirmed: bool,
    },
    /// It does.
    Present(Box<Present>),
}

impl Existence {
    /// Zadig's word for it, if it is there.
    #[must_use]
    pub fn status(&self) -> Option<&EnvStatus> {
        match self {
            Self::Present(present) => Some(&present.status),
            Self::Absent { .. } => None,
        }
    }
}

/// An environment as Zadig reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    /// Zadig's word for it (Z§5.1).
    pub status: EnvStatus,
    /// Since when it has that status, as far as we saw.
    pub since: Timestamp,
    /// Zadig's id of its cluster.
    pub cluster_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Zadig's `update_time`, seconds.
    pub update_time: i64,
    /// Other environments in the same cluster and namespace.
    pub neighbours: Vec<String>,
    /// The thorough look; `None` while the environment cannot be changed.
    pub detail: Option<Detail>,
}

/// Zadig's word for an environment (Z§5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EnvStatus {
    /// Being created.
    Creating,
    /// Being updated.
    Updating,
    /// Being deleted.
    Deleting,
    /// The last operation ended well.
    Success,
    /// The last operation failed.
    Failed,
    /// Initial word of environments that Zadig did not create.
    Unstable,
    /// Put to sleep by somebody.
    Sleeping,
    /// Anything else.
    Other(String),
}

impl EnvStatus {
    /// Whether nothing is under way, so that the environment may be changed (Z§7.2).
    #[must_use]
    pub fn can_change(&self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Unstable => true,
            Self::Creating | Self::Updating | Self::Deleting | Self::Sleeping | Self::Other(_) => {
                false
            }
        }
    }

    /// Whether Zadig works on the environment, as far as can be told.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.can_change() && *self != Self::Sleeping
    }

    /// Zadig's word as it is shown in status.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Creating => "creating",
            Self::Updating => "updating",
            Self::Deleting => "deleting",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Unstable => "unstable",
            Self::Sleeping => "sleeping",
            Self::Other(word) => word,
        }
    }
}

/// The thorough look at an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detail {
    /// Name that Zadig's pages show; empty where there is none.
    pub alias: String,
    /// Registry id as stored (Z§6.1).
    pub registry_id: String,
    /// Global variables as stored.
    pub global_variables: BTreeMap<String, GlobalVariable>,
    /// Services as recorded.
    pub services: BTreeMap<String, ObservedService>,
    /// The creation ended in `failed`, and nothing has mended that since: no service has images on record (Z§4.2).
    pub creation_failed: bool,
    /// How its namespace looks to one who shares; read where that matters.
    pub sharing: Option<sharing::Checks>,
}

/// A global variable as stored in the environment: every field, because writing replaces every field (Z§4.13).
///
/// Its value may come from a Secret, so it does not print.
#[derive(Clone, Default, PartialEq)]
pub struct GlobalVariable {
    /// Value, untyped.
    pub value: Value,
    /// `string`, `bool`, `enum` or `yaml`.
    pub kind: String,
    /// Options of an enum.
    pub options: Vec<String>,
    /// Description.
    pub description: String,
    /// Services that are bound to it.
    pub related: BTreeSet<String>,
}

impl fmt::Debug for GlobalVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            value: _,
            kind,
            options,
            description,
            related,
        } = self;
        f.debug_struct("GlobalVariable")
            .field("value", &format_args!("<redacted>"))
            .field("kind", kind)
            .field("options", options)
            .field("description", description)
            .field("related", related)
            .finish()
    }
}

/// A service as Zadig records it, and as far as it was looked at, as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedService {
    /// Zadig's word for it (Z§5.3).
    pub status: String,
    /// Recorded images by container; empty after a failed create (Z§4.2).
    pub images: BTreeMap<String, String>,
    /// Variables of the newest template (Z§4.2: template defaults, not the environment's values).
    pub template: Vec<TemplateVariable>,
    /// Keyed digest of the rendered documents without images and replicas.
    pub rendered: Option<String>,
    /// Keyed digest of the newest template's text.
    pub template_digest: Option<String>,
    /// Workloads that the rendered documents hold, by kind and name. With a keyed digest of the text, without images and
    /// replicas, where a change of it replaces all pods by itself.
    pub expected: Option<BTreeMap<(String, String), Option<String>>>,
    /// The workloads of `expected` as Zadig records them.
    pub record: BTreeMap<(String, String), RecordedWorkload>,
    /// Values of variables, as far as they can be told from the template and the rendered documents.
    pub told: BTreeMap<String, SecretText>,
    /// The live look.
    pub live: Option<Vec<LiveWorkload>>,
    /// What is known besides of a service that is deployed by Helm.
    pub helm: Option<helm::ObservedHelm>,
}

impl ObservedService {
    /// Whether the service was looked at live, and no workload that is known to belong to it was missing.
    #[must_use]
    pub fn is_all_there(&self) -> bool {
        self.live.as_ref().is_some_and(|live| {
            self.expected
                .iter()
                .flatten()
                .all(|(workload, _)| live.iter().any(|live| live.is(workload)))
        })
    }
}

/// A workload as Zadig records it: what it would be without the cluster's own changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordedWorkload {
    /// Number of pods.
    pub replicas: i32,
    /// Names of its containers.
    pub containers: BTreeSet<String>,
    /// Names of its init containers.
    pub init_containers: BTreeSet<String>,
}

/// A workload as it is in the cluster (Z§4.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveWorkload {
    /// `Deployment`, `StatefulSet`, `CronJob` or another kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Replicas of its spec; `None` for a `CronJob`.
    pub replicas: Option<i32>,
    /// Pods that are ready.
    pub ready: i32,
    /// Images of its spec by container.
    pub images: BTreeMap<String, String>,
    /// Its pods, but those that have done their work.
    pub pods: Vec<LivePod>,
    /// When its newest pod was made, Unix seconds.
    pub newest_pod: Option<i64>,
    /// When the oldest of its ready pods was made, Unix seconds.
    pub oldest_ready_pod: Option<i64>,
}

impl LiveWorkload {
    /// Whether it is the workload of this kind and name.
    #[must_use]
    pub fn is(&self, (kind, name): &(String, String)) -> bool {
        &self.kind == kind && &self.name == name
    }
}

/// A pod as it is in the cluster (Z§4.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LivePod {
    /// Name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// When it was made, Unix seconds.
    pub created: i64,
    /// Its containers that are not ready.
    pub unready: Vec<LiveContainer>,
    /// Why not all of them are, in words.
    pub message: String,
}

/// A container of a pod that is not ready (Z§4.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveContainer {
    /// Name.
    pub name: String,
    /// `running`, `waiting`, `terminated` or empty.
    pub state: String,
    /// How often it was started again.
    pub restarts: i32,
    /// Why it waits or ended, in one word; empty where that is not told.
    pub reason: String,
    /// The same in words.
    pub message: String,
}

/// A variable that a service's template declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateVariable {
    /// Key.
    pub key: String,
    /// `string`, `bool`, `enum` or `yaml`.
    pub kind: String,
    /// Options of an enum.
    pub options: Vec<String>,
}

/// What Zadig knows besides the environment; each part is read only when the decision needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// The key belongs to an environment of the other scope, as far as anybody looked.
    pub key_taken: bool,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Registries.
    pub registries: Vec<Registry>,
    /// Names of the services that the project has.
    pub services: BTreeSet<String>,
    /// Templates of services that are to be added; a name that is asked for and absent here does not exist in the project.
    pub templates: BTreeMap<String, Template>,
    /// Global variables that the project declares.
    pub global_variables: Vec<TemplateVariable>,
    /// The ZadigEnvConfigs that the creation carries, by name, or what they wait for themselves.
    pub configs: BTreeMap<String, Result<Config, String>>,
}

/// A cluster that Zadig knows (Z§15).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cluster {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Zadig's own cluster.
    pub local: bool,
}

/// A registry that Zadig knows (Z§15).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Registry {
    /// Id.
    pub id: String,
    /// Address with scheme.
    pub address: String,
    /// Namespace within the registry.
    pub namespace: String,
    /// The one that is taken when none is named.
    pub is_default: bool,
}

/// The newest revision of a service's template (Z§15).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Declared variables.
    pub variables: Vec<TemplateVariable>,
    /// Containers.
    pub containers: BTreeSet<String>,
    /// Workloads, where the text can be read without rendering it.
    pub workloads: Option<BTreeSet<(String, String)>>,
    /// Keyed digest of the text.
    pub digest: String,
}

/// One call, with everything it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write on the object whose environment this is (Kubernetes, not Zadig).
    RecordOwnership(Ownership),
    /// Create the environment with all that is declared (#11), or empty: in production (#12), and for Helm (#51).
    CreateEnvironment(Box<CreateEnvironment>),
    /// Change the registry (#13, #14).
    SetRegistry {
        /// Registry id, taken from Zadig's list.
        registry_id: String,
        /// The alias that goes along in production, as it would be lost otherwise.
        alias: Option<String>,
    },
    /// Change the alias of a production environment (#14).
    SetAlias {
        /// The display name.
        alias: String,
    },
    /// Replace the global variables by the full observed set with ours merged in (#25).
    PutGlobalVariables {
        /// The full set.
        variables: BTreeMap<String, GlobalVariable>,
        /// Keys that change.
        changed: BTreeSet<String>,
    },
    /// Remove services with their resources (#21).
    RemoveServices {
        /// Names.
        services: BTreeSet<String>,
    },
    /// Remember what a service holds, before it is taken out to be added anew (Kubernetes, not Zadig).
    NoteRestore {
        /// Service.
        service: String,
        /// What it holds that is not declared.
        restore: Restore,
    },
    /// Take a service out of the environment while its resources stay, to add it anew at once (#21).
    TakeOut {
        /// Service.
        service: String,
        /// What the cluster has lost of it.
        missing: BTreeSet<String>,
        /// What is put back afterwards.
        restore: Restore,
        /// Whether it comes back with another template.
        upgrade: Option<Upgrade>,
    },
    /// Send variables of services that are there; also moves them to the newest template (#19).
    UpdateServices {
        /// By service: the complete list.
        services: BTreeMap<String, Vec<VariableValue>>,
        /// Digests of their newest templates.
        templates: BTreeMap<String, String>,
        /// Services that this brings another template, as far as is known.
        upgrades: BTreeMap<String, Upgrade>,
    },
    /// Add services (#17).
    AddServices {
        /// By service: the declared variables.
        services: BTreeMap<String, Vec<VariableValue>>,
        /// Digests of their newest templates.
        templates: BTreeMap<String, String>,
    },
    /// Install or upgrade the releases of services (#52): a new revision of each, and the newest chart.
    DeployReleases {
        /// By service: all that Zadig is to store of it.
        services: BTreeMap<String, helm::Deployment>,
    },
    /// Set the image of one container of one workload (#40-#42).
    SetImage {
        /// Service.
        service: String,
        /// `Deployment`, `StatefulSet` or `CronJob`.
        kind: String,
        /// Workload.
        workload: String,
        /// Container.
        container: String,
        /// What runs now, where it is known.
        from: Option<String>,
        /// What is to run.
        image: String,
    },
    /// Set the replicas of one workload (#37).
    ScaleWorkload {
        /// Service.
        service: String,
        /// Kind.
        kind: WorkloadKind,
        /// Workload.
        workload: String,
        /// What the cluster has now.
        from: i32,
        /// What it is to have.
        replicas: i32,
    },
    /// Restart one service (#38), or these pods of it, one call each.
    RestartService {
        /// Service.
        service: String,
        /// The token that asks for it.
        token: String,
        /// Its pods, where the service's own route would leave some out.
        pods: BTreeSet<String>,
    },
    /// Make the environment a base (#45): replaces every pod without a proxy.
    EnableSharing,
    /// End that (#46): deletes every sub-environment.
    DisableSharing,
    /// Set the servers of a service's portal; none: remove it (#49).
    SetPortal {
        /// Service.
        service: String,
        /// Servers.
        servers: Vec<PortalServer>,
    },
    /// Delete the environment (#15).
    DeleteEnvironment {
        /// Let the workloads and the namespace live on.
        keep_resources: bool,
    },
}

/// The one call that makes an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateEnvironment {
    /// How its services will be deployed.
    pub deploy_type: DeployType,
    /// Name that Zadig's pages show.
    pub alias: Option<String>,
    /// Cluster id.
    pub cluster_id: String,
    /// Namespace.
    pub namespace: String,
    /// Registry id.
    pub registry_id: String,
    /// Declared global variables.
    pub global_variables: BTreeMap<String, SecretText>,
    /// Objects that are made before the services.
    pub configs: Vec<Config>,
    /// Declared services: variables and images.
    pub services: BTreeMap<String, (Vec<VariableValue>, BTreeMap<String, String>)>,
    /// Digests of their newest templates.
    pub templates: BTreeMap<String, String>,
    /// Key of the base that it is made on top of.
    pub base: Option<String>,
    /// It is created for the second time: something else had deleted it.
    pub again: bool,
}

/// A variable as it is sent for a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VariableValue {
    /// Key.
    pub key: String,
    /// Type of the template's variable: Zadig takes the value only when it is named (Z§4.11).
    pub kind: String,
    /// The value, or the binding to the global variable.
    pub value: Variable,
}

impl Action {
    /// Whether Zadig goes on working after the answer, so that nothing else may be sent (Z§3, mode A).
    #[must_use]
    pub fn continues(&self) -> bool {
        match self {
            Self::CreateEnvironment(_)
            | Self::PutGlobalVariables { .. }
            | Self::UpdateServices { .. }
            | Self::AddServices { .. }
            | Self::DeployReleases { .. }
            | Self::DeleteEnvironment { .. } => true,
            Self::RecordOwnership(_)
            | Self::NoteRestore { .. }
            | Self::TakeOut { .. }
            | Self::SetRegistry { .. }
            | Self::SetAlias { .. }
            | Self::RemoveServices { .. }
            | Self::SetImage { .. }
            | Self::ScaleWorkload { .. }
            | Self::RestartService { .. }
            | Self::EnableSharing
            | Self::DisableSharing
            | Self::SetPortal { .. } => false,
        }
    }

    /// Whether Zadig asks for its enterprise licence (Z§1.3); all other gates are the professional one's.
    #[must_use]
    pub fn needs_enterprise(&self) -> bool {
        matches!(
            self,
            Self::EnableSharing | Self::DisableSharing | Self::SetPortal { .. }
        )
    }

    /// Services that are there and whose text the action may change.
    pub(crate) fn rewrites(&self) -> BTreeSet<&String> {
        match self {
            Self::UpdateServices { services, .. } => services.keys().collect(),
            Self::PutGlobalVariables { variables, changed } => changed
                .iter()
                .filter_map(|key| variables.get(key))
                .flat_map(|variable| &variable.related)
                .collect(),
            Self::RecordOwnership(_)
            | Self::NoteRestore { .. }
            | Self::TakeOut { .. }
            | Self::CreateEnvironment(_)
            | Self::SetRegistry { .. }
            | Self::SetAlias { .. }
            | Self::RemoveServices { .. }
            | Self::AddServices { .. }
            | Self::DeployReleases { .. }
            | Self::SetImage { .. }
            | Self::ScaleWorkload { .. }
            | Self::RestartService { .. }
            | Self::EnableSharing
            | Self::DisableSharing
            | Self::SetPortal { .. }
            | Self::DeleteEnvironment { .. } => BTreeSet::new(),
        }
    }

    /// What the action makes of the cluster, where the live look shows it.
    pub(crate) fn wish(&self) -> Option<String> {
        match self {
            Self::SetImage { image, .. } => Some(format!("{} = {image}", self.subject())),
            Self::ScaleWorkload { replicas, .. } => {
                Some(format!("{} = {replicas}", self.subject()))
            }
            Self::RecordOwnership(_)
            | Self::NoteRestore { .. }
            | Self::TakeOut { .. }
            | Self::CreateEnvironment(_)
            | Self::SetRegistry { .. }
            | Self::SetAlias { .. }
            | Self::PutGlobalVariables { .. }
            | Self::RemoveServices { .. }
            | Self::UpdateServices { .. }
            | Self::AddServices { .. }
            | Self::DeployReleases { .. }
            | Self::RestartService { .. }
            | Self::EnableSharing
            | Self::DisableSharing
            | Self::SetPortal { .. }
            | Self::DeleteEnvironment { .. } => None,
        }
    }

    /// What the action is about, without its value: the same difference has the same subject.
    #[must_use]
    pub fn subject(&self) -> String {
        let subjects = self.subjects();
        join(subjects)
    }

    /// The same one by one, where the action is about several things.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        match self {
            Self::RecordOwnership(_) => vec!["ownership".to_owned()],
            Self::NoteRestore { .. } => Vec::new(),
            Self::TakeOut { service, .. } => vec![subject::live(service)],
            Self::CreateEnvironment(_) => vec![subject::ENVIRONMENT.to_owned()],
            Self::SetRegistry { .. } => vec![subject::REGISTRY.to_owned()],
            Self::SetAlias { .. } => vec![subject::ALIAS.to_owned()],
            Self::PutGlobalVariables { changed, .. } => {
                changed.iter().map(|key| subject::global(key)).collect()
            }
            Self::RemoveServices { services } => {
                services.iter().map(|name| subject::removed(name)).collect()
            }
            Self::UpdateServices { services, .. } => services
                .keys()
                .map(|name| subject::variables(name))
                .collect(),
            Self::AddServices { services, .. } => {
                services.keys().map(|name| subject::added(name)).collect()
            }
            Self::DeployReleases { services } => {
                services.keys().map(|name| subject::helm(name)).collect()
            }
            Self::SetImage {
                service,
                kind,
                workload,
                container,
                ..
            } => vec![format!(
                "{} in {kind}/{workload}",
                subject::image(service, container)
            )],
            Self::ScaleWorkload {
                service,
                kind,
                workload,
                ..
            } => vec![subject::replicas(service, *kind, workload)],
            Self::RestartService { service, .. } => {
                vec![format!("services[{service}].restartToken")]
            }
            Self::EnableSharing | Self::DisableSharing => vec![sharing::SHARING.to_owned()],
            Self::SetPortal { service, .. } => {
                vec![format!("subEnvironmentOf.portals[{service}]")]
            }
            Self::DeleteEnvironment { .. } => vec![ENVIRONMENT.to_owned()],
        }
    }

    /// The action in one line for status, events and logs: never a value that may be a secret.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::RecordOwnership(ownership) => {
                format!("record the environment as {:?}", ownership.state).to_lowercase()
            }
            Self::CreateEnvironment(create) => format!(
                "create the environment in namespace {} with {} services",
                create.namespace,
                create.services.len()
            ),
            Self::SetRegistry { registry_id, .. } => format!("set the registry to {registry_id}"),
            Self::SetAlias { alias } => format!("set the alias to {alias}"),
            Self::PutGlobalVariables { changed, .. } => {
                format!("set global variables {}", join(changed))
            }
            Self::NoteRestore { service, .. } => {
                format!("note what {service} holds, to put it back after a repair")
            }
            Self::TakeOut {
                service,
                missing,
                upgrade,
                ..
            } => format!(
                "take {service} out of the environment, its objects stay, to add it anew: {} missing in the cluster{}",
                join(missing),
                template::summary(upgrade.iter().map(|upgrade| (service, *upgrade)))
            ),
            Self::RemoveServices { services } => format!("remove services {}", join(services)),
            Self::UpdateServices {
                services, upgrades, ..
            } => {
                let names = join(services.keys());
                format!(
                    "set variables of {names}{}",
                    template::summary(upgrades.iter().map(|(name, upgrade)| (name, *upgrade)))
                )
            }
            Self::AddServices { services, .. } => format!("add services {}", join(services.keys())),
            Self::DeployReleases { services } => helm::summary(services),
            Self::SetImage {
                workload,
                container,
                from,
                image,
                ..
            } => match from {
                Some(from) => format!("set image {workload}/{container} {from} → {image}"),
                None => format!("set image {workload}/{container} → {image}"),
            },
            Self::ScaleWorkload {
                kind,
                workload,
                from,
                replicas,
                ..
            } => {
                format!("scale {kind:?}/{workload} {from} → {replicas}")
            }
            Self::RestartService { service, .. } => format!("restart {service}"),
            Self::EnableSharing => {
                "enable sharing; replaces the pods that have no proxy".to_owned()
            }
            Self::DisableSharing => {
                "disable sharing; deletes all sub-environments with their namespaces".to_owned()
            }
            Self::SetPortal { service, servers } if servers.is_empty() => {
                format!("remove the portal of {service}")
            }
            Self::SetPortal { service, servers } => format!(
                "set the portal of {service} to {}",
                join(servers.iter().map(|server| format!(
                    "{}:{} ({})",
                    server.host,
                    server.port,
                    server.protocol.as_str()
                )))
            ),
            Self::DeleteEnvironment {
                keep_resources: false,
            } => "delete the environment".to_owned(),
            Self::DeleteEnvironment {
                keep_resources: true,
            } => "take the environment out of Zadig, its workloads stay".to_owned(),
        }
    }
}

/// The names of differences that one action repairs several of.
pub(crate) mod subject {
    use crate::api::environment::WorkloadKind;

    /// The environment as a whole.
    pub(crate) const ENVIRONMENT: &str = "environment";

    /// The registry.
    pub(crate) const REGISTRY: &str = "registry";

    /// The display name.
    pub(crate) const ALIAS: &str = "alias";

    /// The value of a global variable.
    pub(crate) fn global(key: &str) -> String {
        format!("globalVariables[{key}]")
    }

    /// A service that is there and should not be.
    pub(crate) fn removed(service: &str) -> String {
        format!("services[{service}] removed")
    }

    /// The variables of a service.
    pub(crate) fn variables(service: &str) -> String {
        format!("services[{service}].variables")
    }

    /// The release of a service.
    pub(crate) fn helm(service: &str) -> String {
        format!("services[{service}].helm")
    }

    /// A service that is not there.
    pub(crate) fn added(service: &str) -> String {
        format!("services[{service}]")
    }

    /// What the cluster has lost of a service.
    pub(crate) fn live(service: &str) -> String {
        format!("services[{service}] in the cluster")
    }

    /// The image of a container.
    pub(crate) fn image(service: &str, container: &str) -> String {
        format!("services[{service}].containers[{container}].image")
    }

    /// The replicas of a workload.
    pub(crate) fn replicas(service: &str, kind: WorkloadKind, workload: &str) -> String {
        format!("services[{service}].workloads[{kind:?}/{workload}].replicas")
    }

    /// The revision of a service's template.
    pub(crate) fn template(service: &str) -> String {
        format!("services[{service}] template")
    }
}

/// Names in one line, the first few of many.
/// Whether a namespace is the one that Zadig names after an environment, and so makes for it.
pub(in crate::plan) fn is_own_namespace(project: &str, env: &str, namespace: &str) -> bool {
    namespace == format!("{project}-env-{env}")
}

pub(crate) fn join<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<T> = names.into_iter().collect();
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        text.push_str(" and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}
