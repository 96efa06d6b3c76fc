//! Declared and observed environments that read aloud, and plans as text. For tests only.
//!
//! The project is `shop`, the environment `dev`. Zadig knows the local cluster `c-local`, the default registry `r-default`,
//! and a template of the service `api` with one Deployment `api`, one container `api` and one variable of each type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::health::{Trouble, health};
use super::helm::{Deployment, Source};
use super::memory::Memory;
use super::{
    Action, Catalog, Cluster, CreateEnvironment, Desired, Detail, EnvKey, EnvStatus, Environment,
    Existence, GlobalVariable, Image, LiveWorkload, Moved, Observed, ObservedService, Present,
    RecordedWorkload, Registry, Replicas, Service, Template, TemplateVariable, Upgrade, Variable,
    VariableValue, plan, sharing,
};
use crate::api::environment::{
    AppliedService, ClusterRef, Creation, Deletion, DeployType, FieldPolicy, LiveDrift, Ownership,
    OwnershipState, Prune, RegistryRef, Restore, Scope, WorkloadKind,
};
use crate::plan::budget::Allowance;
use crate::plan::repairs::{REPAIRS, Repairs};
use crate::plan::secret::SecretText;
use crate::plan::{Blocked, Level, Plan};

/// The difference was repaired so often that it is left to a person.
pub(in crate::plan) fn exhaust(repairs: &mut Repairs, subject: &str) {
    for _ in 0..REPAIRS {
        repairs.note(subject.to_owned());
    }
}

/// When everything is observed.
pub(in crate::plan) const NOW: i64 = 1_790_000_000;
/// Zadig's `update_time` of an environment that was left alone.
pub(in crate::plan) const UPDATED: i64 = NOW - 600;

/// The moment some seconds before the observation.
pub(in crate::plan) fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds).unwrap()
}

/// An environment as declared, still without services.
pub(in crate::plan) fn environment() -> Environment {
    Environment {
        deploy_type: DeployType::KubernetesYaml,
        alias: None,
        cluster: None,
        namespace: "shop-env-dev".to_owned(),
        registry: None,
        global_variables: BTreeMap::new(),
        configs: BTreeSet::new(),
        services: BTreeMap::new(),
        sharing: sharing::Declared::default(),
        creation: Creation::Create,
        prune: Prune::Owned,
        grace: Duration::ZERO,
        live_drift: LiveDrift::Report,
    }
}

impl Environment {
    pub(in crate::plan) fn service(mut self, name: &str, service: Service) -> Self {
        self.services.insert(name.to_owned(), service);
        self
    }

    pub(in crate::plan) fn global(mut self, key: &str, value: &str) -> Self {
        self.global_variables
            .insert(key.to_owned(), SecretText::new(value));
        self
    }

    pub(in crate::plan) fn alias(mut self, alias: &str) -> Self {
        self.alias = Some(alias.to_owned());
        self
    }

    pub(in crate::plan) fn creation(mut self, creation: Creation) -> Self {
        self.creation = creation;
        self
    }

    pub(in crate::plan) fn live_drift(mut self, live_drift: LiveDrift) -> Self {
        self.live_drift = live_drift;
        self
    }

    pub(in crate::plan) fn prune(mut self, prune: Prune) -> Self {
        self.prune = prune;
        self
    }

    pub(in crate::plan) fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    pub(in crate::plan) fn cluster_named(mut self, name: &str) -> Self {
        self.cluster = Some(ClusterRef {
            name: Some(name.to_owned()),
            id: None,
        });
        self
    }

    pub(in crate::plan) fn cluster_id(mut self, id: &str) -> Self {
        self.cluster = Some(ClusterRef {
            name: None,
            id: Some(id.to_owned()),
        });
        self
    }

    pub(in crate::plan) fn registry_at(mut self, address: &str) -> Self {
        self.registry = Some(RegistryRef {
            address: Some(address.to_owned()),
            id: None,
        });
        self
    }

    pub(in crate::plan) fn registry_id(mut self, id: &str) -> Self {
        self.registry = Some(RegistryRef {
            address: None,
            id: Some(id.to_owned()),
        });
        self
    }
}

/// A service as declared, with nothing but its name.
pub(in crate::plan) fn service() -> Service {
    Service::default()
}

impl Service {
    pub(in crate::plan) fn variable(self, key: &str, value: &str) -> Self {
        self.declares(key, Variable::Value(SecretText::new(value)))
    }

    pub(in crate::plan) fn global_variable(self, key: &str) -> Self {
        self.declares(key, Variable::Global)
    }

    fn declares(mut self, key: &str, variable: Variable) -> Self {
        self.variables.insert(key.to_owned(), variable);
        self.digest = Some(digest(&self.variables));
        self
    }

    pub(in crate::plan) fn image(self, container: &str, image: &str) -> Self {
        self.container(container, image, FieldPolicy::Enforce)
    }

    pub(in crate::plan) fn image_on_create(self, container: &str, image: &str) -> Self {
        self.container(container, image, FieldPolicy::OnCreate)
    }

    fn container(mut self, container: &str, image: &str, policy: FieldPolicy) -> Self {
        let image = image.to_owned();
        self.containers
            .insert(container.to_owned(), Image { image, policy });
        self
    }

    pub(in crate::plan) fn replicas(self, deployment: &str, replicas: i32) -> Self {
        self.workload(deployment, replicas, FieldPolicy::Enforce)
    }

    pub(in crate::plan) fn replicas_on_create(self, deployment: &str, replicas: i32) -> Self {
        self.workload(deployment, replicas, FieldPolicy::OnCreate)
    }

    fn workload(mut self, deployment: &str, replicas: i32, policy: FieldPolicy) -> Self {
        self.workloads.insert(
            (WorkloadKind::Deployment, deployment.to_owned()),
            Replicas { replicas, policy },
        );
        self
    }

    pub(in crate::plan) fn restart_token(mut self, token: &str) -> Self {
        self.restart_token = Some(token.to_owned());
        self
    }
}

/// What stands for the keyed digest of declared variables.
fn digest(variables: &BTreeMap<String, Variable>) -> String {
    let parts: Vec<String> = variables
        .iter()
        .map(|(key, variable)| format!("{key}={}", text(variable)))
        .collect();
    parts.join(",")
}

/// No environment yet, in a project whose catalogue is as the module says.
pub(in crate::plan) fn observed() -> Observed {
    Observed {
        now: ago(0),
        key: EnvKey {
            project: "shop".to_owned(),
            env: "dev".to_owned(),
            scope: Scope::Test,
        },
        zadig: "https://zadig.example.com".to_owned(),
        moved: Moved::No,
        connection_suspended: false,
        rival: None,
        record: None,
        existence: Existence::Absent { confirmed: false },
        catalog: Catalog {
            key_taken: false,
            clusters: vec![Cluster {
                id: "c-local".to_owned(),
                name: "local".to_owned(),
                local: true,
            }],
            registries: vec![Registry {
                id: "r-default".to_owned(),
                address: "https://registry.example.com".to_owned(),
                namespace: "shop".to_owned(),
                is_default: true,
            }],
            services: BTreeSet::from(["api".to_owned()]),
            templates: BTreeMap::from([("api".to_owned(), template())]),
            global_variables: vec![of_kind("LOG", "string", &[])],
            configs: BTreeMap::new(),
        },
        deletions: allowance(60, 60),
        licence_refused: false,
        level: Level::V43,
        bound: BTreeMap::new(),
        around: sharing::Around::default(),
        memory: Memory {
            known: true,
            ..Memory::default()
        },
        stuck_after: Duration::from_mins(10),
    }
}

/// What a connection may still delete within the hour, which ends in twenty minutes.
pub(in crate::plan) fn allowance(most: u32, left: u32) -> Allowance {
    Allowance {
        most,
        left,
        until: (left < most).then(|| ago(-1200)),
        remaining: Duration::from_secs(1200),
    }
}

fn template() -> Template {
    Template {
        variables: template_variables(),
        containers: BTreeSet::from(["api".to_owned()]),
        workloads: Some(BTreeSet::from([deployment("api")])),
        digest: "template-1".to_owned(),
    }
}

fn template_variables() -> Vec<TemplateVariable> {
    vec![
        of_kind("LOG", "string", &[]),
        of_kind("MODE", "enum", &["fast", "slow"]),
        of_kind("TRACE", "bool", &[]),
    ]
}

/// A variable of a template or of the project.
pub(in crate::plan) fn of_kind(key: &str, kind: &str, options: &[&str]) -> TemplateVariable {
    TemplateVariable {
        key: key.to_owned(),
        kind: kind.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}

fn deployment(name: &str) -> (String, String) {
    ("Deployment".to_owned(), name.to_owned())
}

impl Observed {
    /// Looked at as a production environment.
    pub(in crate::plan) fn in_production(mut self) -> Self {
        self.key.scope = Scope::Production;
        self
    }

    /// Any other change.
    pub(in crate::plan) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Absent in two lists.
    pub(in crate::plan) fn gone(mut self) -> Self {
        self.existence = Existence::Absent { confirmed: true };
        self
    }

    /// There and idle, still without services.
    pub(in crate::plan) fn present(mut self) -> Self {
        self.existence = Existence::Present(Box::new(Present {
            status: EnvStatus::Success,
            since: ago(600),
            cluster_id: "c-local".to_owned(),
            namespace: "shop-env-dev".to_owned(),
            update_time: UPDATED,
            neighbours: Vec::new(),
            detail: Some(Detail {
                registry_id: "r-default".to_owned(),
                ..Detail::default()
            }),
        }));
        self
    }

    /// In this state for so many seconds; the thorough look is there only where the state admits changes.
    pub(in crate::plan) fn status(self, status: EnvStatus, seconds: i64) -> Self {
        self.present_with(|present| {
            if !matches!(
                status,
                EnvStatus::Success | EnvStatus::Failed | EnvStatus::Unstable
            ) {
                present.detail = None;
            }
            present.status = status;
            present.since = ago(seconds);
        })
    }

    pub(in crate::plan) fn present_with(mut self, change: impl FnOnce(&mut Present)) -> Self {
        let Existence::Present(present) = &mut self.existence else {
            panic!("the environment is to be present first");
        };
        change(present);
        self
    }

    pub(in crate::plan) fn detail_with(self, change: impl FnOnce(&mut Detail)) -> Self {
        self.present_with(|present| change(present.detail.as_mut().unwrap()))
    }

    /// The service runs, as this object had declared it.
    pub(in crate::plan) fn running(self, name: &str, declared: &Service) -> Self {
        let seen = seen(name, declared);
        let entry = AppliedService {
            name: name.to_owned(),
            variables: declared.digest.clone(),
            rendered: declared.digest.as_ref().map(|_| "rendered-1".to_owned()),
            rendered_at: declared.digest.as_ref().map(|_| UPDATED),
            template: Some("template-1".to_owned()),
            restart_token: declared.restart_token.clone(),
            rollouts: Vec::new(),
            helm: None,
            helm_in_doubt: false,
            restore: None,
            initial: false,
        };
        self.with(|observed| {
            observed.memory.services.insert(name.to_owned());
            observed.memory.applied.insert(name.to_owned(), entry);
            observed.memory.seen_update_time = Some(UPDATED);
        })
        .detail_with(|detail| {
            detail.services.insert(name.to_owned(), seen);
        })
    }

    /// The service runs, and this object has nothing to do with it.
    pub(in crate::plan) fn foreign(self, name: &str) -> Self {
        self.running_as_before(name, &service())
    }

    /// The service runs, and nothing new is remembered of it.
    pub(in crate::plan) fn running_as_before(self, name: &str, declared: &Service) -> Self {
        let seen = seen(name, declared);
        self.detail_with(|detail| {
            detail.services.insert(name.to_owned(), seen);
        })
    }

    /// A change in what was seen of one service.
    pub(in crate::plan) fn seen_with(
        self,
        name: &str,
        change: impl FnOnce(&mut ObservedService),
    ) -> Self {
        self.detail_with(|detail| change(detail.services.get_mut(name).unwrap()))
    }

    /// Zadig renders the service's workload like this now.
    pub(super) fn renders(self, name: &str, text: &str) -> Self {
        self.seen_with(name, |seen| {
            seen.rendered = Some(format!("rendered {text}"));
            for digest in seen.expected.iter_mut().flat_map(BTreeMap::values_mut) {
                *digest = Some(text.to_owned());
            }
        })
    }

    /// When the service's newest pod and its oldest ready one were made.
    pub(super) fn pods_made(self, name: &str, newest: i64, oldest_ready: i64) -> Self {
        self.seen_with(name, |seen| {
            for workload in seen.live.iter_mut().flatten() {
                workload.newest_pod = Some(newest);
                workload.oldest_ready_pod = Some(oldest_ready);
            }
        })
    }

    /// The values that the rendered text tells of a service.
    pub(in crate::plan) fn told(self, name: &str, values: &[(&str, &str)]) -> Self {
        self.seen_with(name, |seen| {
            seen.told = values
                .iter()
                .map(|&(key, value)| (key.to_owned(), SecretText::new(value)))
                .collect();
        })
    }

    /// The live image of the service's container of the same name.
    pub(in crate::plan) fn runs_image(self, name: &str, image: &str) -> Self {
        self.seen_with(name, |seen| {
            for workload in seen.live.iter_mut().flatten() {
                workload.images.insert(name.to_owned(), image.to_owned());
            }
        })
    }

    /// The live replicas of the service's workload.
    pub(in crate::plan) fn runs_replicas(self, name: &str, replicas: i32) -> Self {
        self.seen_with(name, |seen| {
            for workload in seen.live.iter_mut().flatten() {
                workload.replicas = Some(replicas);
            }
        })
    }

    /// A stored global variable and the services bound to it.
    pub(in crate::plan) fn stored_global(self, key: &str, value: &str, related: &[&str]) -> Self {
        let variable = GlobalVariable {
            value: Value::String(value.to_owned()),
            kind: "string".to_owned(),
            options: Vec::new(),
            description: format!("about {key}"),
            related: related.iter().map(|&name| name.to_owned()).collect(),
        };
        self.detail_with(|detail| {
            detail.global_variables.insert(key.to_owned(), variable);
        })
    }

    fn recorded(mut self, state: OwnershipState) -> Self {
        self.record = Some(record(state));
        self
    }

    /// This object created it.
    pub(in crate::plan) fn owned(self) -> Self {
        self.recorded(OwnershipState::Created)
    }

    /// This object took it over.
    pub(in crate::plan) fn adopted(self) -> Self {
        self.recorded(OwnershipState::Adopted)
    }

    /// The create call was about to be sent.
    pub(in crate::plan) fn pending(self) -> Self {
        self.recorded(OwnershipState::Pending)
    }

    /// The status is gone.
    pub(in crate::plan) fn forgotten(mut self) -> Self {
        self.memory = Memory::default();
        self
    }
}

fn record(state: OwnershipState) -> Ownership {
    Ownership {
        zadig: "https://zadig.example.com".to_owned(),
        project: "shop".to_owned(),
        env: "dev".to_owned(),
        cluster_id: "c-local".to_owned(),
        namespace: "shop-env-dev".to_owned(),
        state,
    }
}

/// The record of an environment whose create call is about to be sent.
pub(in crate::plan) fn pending() -> Ownership {
    record(OwnershipState::Pending)
}

/// The same environment after the driver took this look into memory: nothing was sent.
pub(in crate::plan) fn looked_at(desired: &Environment, observed: &Observed) -> Observed {
    let Existence::Present(present) = &observed.existence else {
        panic!("there is nothing to look at");
    };
    let created = observed
        .record
        .as_ref()
        .is_some_and(|record| record.state == OwnershipState::Created);
    let mut observed = observed.clone();
    observed.memory.seen(
        desired,
        present.detail.as_ref().unwrap(),
        present.update_time,
        created,
        &BTreeSet::new(),
        &observed.bound.clone(),
    );
    observed
}

/// The same environment after every planned call was answered well, as far as memory goes.
pub(super) fn sent(desired: &Environment, observed: &Observed) -> Observed {
    sent_first(usize::MAX, desired, observed)
}

/// The same when only so many were answered.
pub(in crate::plan) fn sent_first(
    count: usize,
    desired: &Environment,
    observed: &Observed,
) -> Observed {
    let Plan::Act(act) = plan(&Desired::Present(desired.clone()), observed) else {
        panic!("nothing is planned");
    };
    let mut after = observed.clone();
    let (memory, detail, now) = (&mut after.memory, observed.detail(), observed.now);
    for (number, action) in act.actions.iter().enumerate() {
        if number <= count {
            memory.sending(action, Some(desired), detail, now);
        }
        if number < count {
            memory.sent(action, Some(desired), now);
        }
    }
    after
}

/// How many declared services are healthy, and the worst that is told of the others.
pub(super) fn health_of(desired: &Environment, observed: &Observed) -> (usize, Option<Trouble>) {
    let detail = observed.detail().unwrap();
    let health = health(desired, detail, &observed.memory);
    (health.ready, health.trouble.map(|(trouble, _)| trouble))
}

/// A service as Zadig shows it when it runs as declared.
fn seen(name: &str, declared: &Service) -> ObservedService {
    let mut images = BTreeMap::from([(name.to_owned(), format!("{name}:template"))]);
    images.extend(
        declared
            .containers
            .iter()
            .map(|(container, image)| (container.clone(), image.image.clone())),
    );
    let replicas = declared
        .workloads
        .values()
        .next()
        .map_or(1, |wanted| wanted.replicas);
    ObservedService {
        status: "running".to_owned(),
        images: images.clone(),
        template: template_variables(),
        rendered: Some("rendered-1".to_owned()),
        template_digest: Some("template-1".to_owned()),
        expected: Some(BTreeMap::from([(
            deployment(name),
            Some("text-1".to_owned()),
        )])),
        record: BTreeMap::from([(
            deployment(name),
            RecordedWorkload {
                replicas,
                containers: images.keys().cloned().collect(),
                init_containers: BTreeSet::new(),
            },
        )]),
        told: BTreeMap::new(),
        live: Some(vec![LiveWorkload {
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            replicas: Some(replicas),
            ready: replicas,
            images,
            pods: Vec::new(),
            newest_pod: Some(NOW - 3600),
            oldest_ready_pod: Some(NOW - 3600),
        }]),
        helm: None,
    }
}

/// The plan for a declared environment, as text.
pub(in crate::plan) fn planned(desired: &Environment, observed: &Observed) -> String {
    show(&plan(&Desired::Present(desired.clone()), observed))
}

/// The plan for an object that declared `api` and is being deleted, as text.
pub(in crate::plan) fn planned_deletion(policy: Option<Deletion>, observed: &Observed) -> String {
    show(&plan(&leaving(policy, false), observed))
}

/// The same while deletion protection is on, as text.
pub(in crate::plan) fn planned_protected(policy: Option<Deletion>, observed: &Observed) -> String {
    show(&plan(&leaving(policy, true), observed))
}

pub(in crate::plan) fn leaving(policy: Option<Deletion>, protected: bool) -> Desired {
    Desired::Absent {
        policy,
        declared: BTreeSet::from(["api".to_owned()]),
        protected,
        expired: false,
    }
}

/// The plan for an object that declared `api` and whose time is over, as text.
pub(in crate::plan) fn planned_expiry(observed: &Observed) -> String {
    let expired = Desired::Absent {
        policy: Some(Deletion::Delete),
        declared: BTreeSet::from(["api".to_owned()]),
        protected: false,
        expired: true,
    };
    show(&plan(&expired, observed))
}

/// A plan as text: every value in it, secrets included, so that an expected text is the whole value.
pub(in crate::plan) fn show(plan: &Plan<Action>) -> String {
    let mut lines = Vec::new();
    match plan {
        Plan::InSync => lines.push("in sync".to_owned()),
        Plan::Act(act) => {
            lines.extend(act.actions.iter().map(show_action));
            lines.extend(act.blocked.iter().map(show_blocked));
        }
        Plan::Wait(wait) => lines.push(format!(
            "wait {:?} {:?} {}",
            wait.after, wait.reason, wait.message
        )),
        Plan::Blocked(blocked) => lines.extend(blocked.iter().map(show_blocked)),
    }
    lines.join("\n")
}

fn show_blocked(blocked: &Blocked) -> String {
    format!("blocked {:?} {}", blocked.reason, blocked.message)
}

pub(in crate::plan) fn show_action(action: &Action) -> String {
    match action {
        Action::RecordOwnership(Ownership {
            zadig,
            project,
            env,
            cluster_id,
            namespace,
            state,
        }) => format!("record {state:?}: {zadig} {project}/{env} in {cluster_id}/{namespace}"),
        Action::CreateEnvironment(create) => {
            let CreateEnvironment {
                deploy_type,
                alias,
                cluster_id,
                namespace,
                registry_id,
                global_variables,
                configs,
                services,
                templates: _,
                base,
                again,
            } = create.as_ref();
            let again = if *again { " again" } else { "" };
            let kind = match deploy_type {
                DeployType::KubernetesYaml => "",
                DeployType::Helm => " for Helm",
            };
            let on = base.iter().map(|base| format!(" on {base}"));
            let on: String = on.collect();
            let mut line =
                format!("create{again}{kind}{on} in {cluster_id}/{namespace} with {registry_id}");
            if let Some(alias) = alias {
                let _ = write!(line, " as {alias}");
            }
            for (key, value) in global_variables {
                let _ = write!(line, "\n  global {key}={}", value.expose());
            }
            for config in configs {
                let _ = write!(line, "\n  {config}");
            }
            for (name, (variables, images)) in services {
                let _ = write!(
                    line,
                    "\n  {name} [{}] {images:?}",
                    show_variables(variables)
                );
            }
            line
        }
        Action::SetRegistry { registry_id, alias } => match alias {
            Some(alias) => format!("registry {registry_id} with alias {alias:?}"),
            None => format!("registry {registry_id}"),
        },
        Action::SetAlias { alias } => format!("alias {alias:?}"),
        Action::PutGlobalVariables { variables, changed } => {
            let mut line = format!("put globals, changed {changed:?}");
            for (key, variable) in variables {
                let GlobalVariable {
                    value,
                    kind,
                    options,
                    description,
                    related,
                } = variable;
                let _ = write!(
                    line,
                    "\n  {key}:{kind}={value} {options:?} {description:?} {related:?}"
                );
            }
            line
        }
        Action::RemoveServices { services } => format!("remove services {services:?}"),
        Action::UpdateServices {
            services,
            templates: _,
            upgrades,
        } => {
            let mut line = "update services".to_owned();
            for (name, variables) in services {
                let upgrade = show_upgrade(upgrades.get(name).copied());
                let _ = write!(line, "\n  {name} [{}]{upgrade}", show_variables(variables));
            }
            line
        }
        Action::AddServices {
            services,
            templates: _,
        } => {
            let mut line = "add services".to_owned();
            for (name, variables) in services {
                let _ = write!(line, "\n  {name} [{}]", show_variables(variables));
            }
            line
        }
        Action::DeployReleases { services } => {
            let mut line = "deploy releases".to_owned();
            for (name, deployment) in services {
                let _ = write!(line, "\n  {name} {}", show_deployment(deployment));
            }
            line
        }
        Action::NoteRestore { service, restore } => {
            format!("note of {service}: {}", show_restore(restore))
        }
        Action::TakeOut {
            service,
            missing,
            restore,
            upgrade,
        } => format!(
            "take out {service}, missing {missing:?}, {}{}",
            show_restore(restore),
            show_upgrade(*upgrade)
        ),
        Action::SetImage {
            service,
            kind,
            workload,
            container,
            from,
            image,
        } => format!("image {service} {kind}/{workload}/{container} {from:?} -> {image}"),
        Action::ScaleWorkload {
            service,
            kind,
            workload,
            from,
            replicas,
        } => format!("scale {service} {kind:?}/{workload} {from} -> {replicas}"),
        Action::RestartService {
            service,
            token,
            pods,
        } if pods.is_empty() => format!("restart {service} for {token}"),
        Action::RestartService {
            service,
            token,
            pods,
        } => format!("restart {pods:?} of {service} for {token}"),
        Action::EnableSharing => "enable sharing".to_owned(),
        Action::DisableSharing => "disable sharing".to_owned(),
        Action::SetPortal { service, servers } => {
            let servers: Vec<String> = servers
                .iter()
                .map(|it| format!("{}://{}:{}", it.protocol.as_str(), it.host, it.port))
                .collect();
            format!("portal {service} {servers:?}")
        }
        Action::DeleteEnvironment { keep_resources } => {
            format!("delete, keep resources: {keep_resources}")
        }
    }
}

fn show_deployment(deployment: &Deployment) -> String {
    let Deployment {
        strategy,
        source,
        overrides,
        is_new,
    } = deployment;
    let source = match source {
        Source::Values(values) => Value::Object(values.expose().clone()).to_string(),
        Source::Git(git) => format!("{git:?}"),
    };
    let overrides: Vec<String> = overrides
        .iter()
        .map(|(key, value)| format!("{key}={}", value.expose()))
        .collect();
    let new = if *is_new { "new " } else { "" };
    format!("{new}{strategy:?} {source} {overrides:?}")
}

fn show_upgrade(upgrade: Option<Upgrade>) -> &'static str {
    match upgrade {
        Some(Upgrade::Certain) => " and its template",
        Some(Upgrade::Possible) => " and maybe its template",
        None => "",
    }
}

fn show_restore(restore: &Restore) -> String {
    let Restore {
        ours,
        bound,
        images,
        replicas,
    } = restore;
    let images: Vec<String> = images
        .iter()
        .map(|it| format!("{}={}", it.container, it.image))
        .collect();
    let replicas: Vec<String> = replicas
        .iter()
        .map(|it| format!("{:?}/{}={}", it.kind, it.name, it.replicas))
        .collect();
    format!("ours {ours}, bound {bound:?}, {images:?}, {replicas:?}")
}

fn show_variables(variables: &[VariableValue]) -> String {
    let parts: Vec<String> = variables
        .iter()
        .map(|VariableValue { key, kind, value }| format!("{key}:{kind}={}", text(value)))
        .collect();
    parts.join(", ")
}

fn text(variable: &Variable) -> &str {
    match variable {
        Variable::Value(text) => text.expose(),
        Variable::Global => "(global)",
    }
}
