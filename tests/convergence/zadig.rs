//! A Zadig of plain values: how it reacts to each action, and what it shows of itself (Z§4, Z§5).
//!
//! It knows no error but the ones a test asks for, and it works for one second on what goes on after an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use zadig_operator::api::environment::{Ownership, Scope, WorkloadKind};
use zadig_operator::plan::Level;
use zadig_operator::plan::budget::Allowance;
use zadig_operator::plan::environment::helm::values::Values;
use zadig_operator::plan::environment::helm::{self, ObservedHelm, Source};
use zadig_operator::plan::environment::memory::Memory;
use zadig_operator::plan::environment::sharing::Around;
use zadig_operator::plan::environment::{
    Action, Catalog, Cluster, CreateEnvironment, Desired, Detail, EnvKey, EnvStatus, Existence,
    GlobalVariable, LiveWorkload, Moved, Observed, ObservedService, Present, RecordedWorkload,
    Registry, Template, TemplateVariable, Variable, VariableValue,
};
use zadig_operator::plan::secret::SecretText;

pub(crate) const URL: &str = "https://zadig.example.com";
pub(crate) const NAMESPACE: &str = "shop-env-dev";
pub(crate) const SERVICES: [&str; 3] = ["api", "db", "web"];
/// The values of every chart.
pub(crate) const VALUES: [&str; 2] = ["pods", "port"];
/// How long Zadig is believed to work.
pub(crate) const STUCK: i64 = 600;

/// One project with one environment at most.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zadig {
    pub(crate) now: i64,
    /// The newest revision of each service's template.
    pub(crate) revisions: BTreeMap<String, u32>,
    pub(crate) env: Option<Env>,
    /// Lists in a row that did not show the environment, as far as somebody looked.
    pub(crate) missed: u32,
    /// Which family the environment belongs to.
    pub(crate) scope: Scope,
    /// Services whose workloads stayed in the cluster when a production environment left Zadig.
    pub(crate) left: BTreeSet<String>,
    /// The templates are plain enough for the values to be told from what is rendered.
    pub(crate) tells: bool,
    /// The project's services are charts.
    pub(crate) is_helm: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Env {
    pub(crate) status: EnvStatus,
    pub(crate) since: i64,
    /// When Zadig's work ends; `None` while it works on nothing, or for ever.
    pub(crate) done_at: Option<i64>,
    pub(crate) namespace: String,
    pub(crate) registry: String,
    pub(crate) alias: String,
    pub(crate) update_time: i64,
    pub(crate) globals: BTreeMap<String, GlobalVariable>,
    pub(crate) services: BTreeMap<String, Running>,
}

/// A service with one Deployment and one container, both of its own name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Running {
    pub(crate) revision: u32,
    pub(crate) values: BTreeMap<String, String>,
    /// What the pods have, and since when they all have it.
    pub(crate) effective: BTreeMap<String, String>,
    pub(crate) pods: i64,
    /// The cluster has lost its workload.
    pub(crate) lost: bool,
    /// The cluster refuses every patch, and Zadig says success (Z§14.23).
    pub(crate) jammed: bool,
    pub(crate) recorded: String,
    pub(crate) image: String,
    pub(crate) replicas: i32,
    /// What Zadig records: it does not see who scales in the cluster.
    pub(crate) recorded_replicas: i32,
    pub(crate) restarts: u32,
    /// In a project of charts.
    pub(crate) release: Option<Release>,
}

/// A release of a chart whose own values are all 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Release {
    /// What was last sent: everything else is the chart's (Z§10).
    pub(crate) sent: BTreeMap<String, i64>,
    /// Somebody else sent it.
    pub(crate) theirs: bool,
    /// Revisions so far.
    pub(crate) revision: u32,
}

impl Release {
    /// One that was sent once, with these values.
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            sent: numbers(values),
            ..Self::default()
        }
    }

    pub(crate) fn deploy(&mut self, sent: BTreeMap<String, i64>, theirs: bool) {
        self.sent = sent;
        self.theirs = theirs;
        self.revision += 1;
    }

    pub(crate) fn show(&self) -> Values {
        let chart = VALUES.map(|key| (key.to_owned(), 1));
        let mut all = BTreeMap::from(chart);
        all.extend(self.sent.clone());
        let all = all.into_iter().map(|(key, value)| (key, value.into()));
        Values::new(all.collect())
    }
}

/// What stands in the declared values.
fn numbers(values: &Values) -> BTreeMap<String, i64> {
    let values = values.expose().iter();
    values
        .filter_map(|(key, value)| Some((key.clone(), value.as_i64()?)))
        .collect()
}

/// The variables of every template.
pub(crate) fn template() -> Vec<TemplateVariable> {
    let variable = |key: &str, kind: &str, options: &[&str]| TemplateVariable {
        key: key.to_owned(),
        kind: kind.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    };
    vec![
        variable("LOG", "string", &[]),
        variable("MODE", "enum", &["fast", "slow"]),
        variable("TRACE", "bool", &[]),
    ]
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl Zadig {
    pub(crate) fn new() -> Self {
        Self {
            now: 1_790_000_000,
            revisions: SERVICES.map(|name| (name.to_owned(), 1)).into(),
            env: None,
            missed: 0,
            scope: Scope::Test,
            left: BTreeSet::new(),
            tells: false,
            is_helm: false,
        }
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).expect("a time of this century")
    }

    /// An environment that somebody else made.
    pub(crate) fn make(&mut self, namespace: &str) {
        self.env = Some(Env {
            status: EnvStatus::Success,
            since: self.now,
            done_at: None,
            namespace: namespace.to_owned(),
            registry: "r-default".to_owned(),
            alias: "by hand".to_owned(),
            update_time: self.now,
            globals: BTreeMap::new(),
            services: BTreeMap::new(),
        });
    }

    /// A service as a create or an add makes it.
    pub(crate) fn fresh(&self, name: &str) -> Running {
        let values = [("LOG", "info"), ("MODE", "fast"), ("TRACE", "false")];
        let values = BTreeMap::from(values.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let image = format!("{name}:template");
        Running {
            revision: self.revisions[name],
            effective: values.clone(),
            values,
            pods: self.now,
            jammed: false,
            lost: false,
            recorded: image.clone(),
            image,
            replicas: 1,
            recorded_replicas: 1,
            restarts: 0,
            release: self.is_helm.then(Release::default),
        }
    }

    /// Lets time pass; what Zadig was working at may end meanwhile.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        if let Some(env) = &mut self.env
            && env.done_at.is_some_and(|at| at <= self.now)
        {
            env.done_at = None;
            env.status = EnvStatus::Success;
            env.since = self.now;
            env.update_time = self.now;
        }
    }

    /// What one action does. The caller answers for sending it.
    pub(crate) fn react(&mut self, action: &Action) {
        let now = self.now;
        if let Action::CreateEnvironment(create) = action {
            return self.create(create);
        }
        let revisions = self.revisions.clone();
        let fresh: BTreeMap<_, _> = SERVICES.map(|name| (name, self.fresh(name))).into();
        let Some(env) = &mut self.env else { return };
        let is_test = self.scope == Scope::Test;
        match action {
            Action::DeployReleases { services } => {
                for (name, deployment) in services {
                    let sent = match &deployment.source {
                        Source::Values(values) => numbers(values),
                        Source::Git(_) => BTreeMap::new(),
                    };
                    let known = env.services.entry(name.clone());
                    let service = known.or_insert_with(|| fresh[name.as_str()].clone());
                    if let Some(release) = &mut service.release {
                        release.deploy(sent, false);
                    }
                }
                env.work(EnvStatus::Updating, now);
            }
            // These are not for an environment that is there, and of the others nothing is declared here.
            Action::RecordOwnership(_)
            | Action::NoteRestore { .. }
            | Action::CreateEnvironment(_)
            | Action::EnableSharing
            | Action::DisableSharing
            | Action::SetPortal { .. } => {}
            Action::TakeOut { service, .. } => {
                env.services.remove(service);
                for variable in env.globals.values_mut() {
                    variable.related.remove(service);
                }
                env.update_time = now;
            }
            Action::SetRegistry { registry_id, alias } => {
                env.registry.clone_from(registry_id);
                if !is_test {
                    // Whatever is sent, also nothing (Z§4.8).
                    env.alias = alias.clone().unwrap_or_default();
                }
            }
            Action::SetAlias { alias } => {
                assert!(!is_test, "there is no such call of a test environment");
                env.alias.clone_from(alias);
            }
            Action::PutGlobalVariables { variables, .. } => {
                env.globals.clone_from(variables);
                let mut affected = false;
                for (key, variable) in variables {
                    for name in &variable.related {
                        affected = true;
                        if let Some(service) = env.services.get_mut(name) {
                            service.set(key, text(&variable.value), now);
                        }
                    }
                }
                if affected {
                    env.work(EnvStatus::Updating, now);
                }
            }
            Action::RemoveServices { services } => {
                env.services.retain(|name, _| !services.contains(name));
                for variable in env.globals.values_mut() {
                    variable.related.retain(|name| !services.contains(name));
                }
                env.update_time = now;
            }
            Action::UpdateServices { services, .. } => {
                for (name, sent) in services {
                    env.write(name, sent, now);
                    if let Some(service) = env.services.get_mut(name)
                        && service.revision != revisions[name]
                    {
                        service.revision = revisions[name];
                        // A newer template takes its own number of replicas along (Z§14.15).
                        (service.replicas, service.recorded_replicas) = (1, 1);
                    }
                }
                env.work(EnvStatus::Updating, now);
            }
            Action::AddServices { services, .. } => {
                for (name, sent) in services {
                    env.services
                        .insert(name.clone(), fresh[name.as_str()].clone());
                    env.write(name, sent, now);
                }
                env.work(EnvStatus::Updating, now);
            }
            Action::SetImage { service, image, .. } => {
                assert!(is_test, "there is no such call in production");
                if let Some(service) = env.services.get_mut(service) {
                    service.image.clone_from(image);
                    service.recorded.clone_from(image);
                    service.pods = now;
                }
                env.update_time = now;
            }
            Action::ScaleWorkload {
                service, replicas, ..
            } => {
                assert!(is_test, "there is no such call in production");
                if let Some(service) = env.services.get_mut(service) {
                    service.replicas = *replicas;
                    service.recorded_replicas = *replicas;
                }
                env.update_time = now;
            }
            Action::RestartService { service, .. } => {
                if let Some(service) = env.services.get_mut(service) {
                    service.restarts += 1;
                    service.pods = now;
                }
            }
            Action::DeleteEnvironment { keep_resources } => {
                if !is_test {
                    assert!(keep_resources, "there is no other call in production");
                    self.left = env.services.keys().cloned().collect();
                }
                self.env = None;
            }
        }
    }

    fn create(&mut self, create: &CreateEnvironment) {
        assert!(self.env.is_none(), "Zadig refuses a second create");
        self.make(&create.namespace);
        let fresh: BTreeMap<_, _> = SERVICES.map(|name| (name, self.fresh(name))).into();
        let now = self.now;
        let Some(env) = &mut self.env else { return };
        env.registry.clone_from(&create.registry_id);
        env.alias = create.alias.clone().unwrap_or_default();
        let is_empty = create.services.is_empty() && create.global_variables.is_empty();
        assert!(
            is_empty || self.scope == Scope::Test,
            "production ignores what the creation carries"
        );
        for (key, value) in &create.global_variables {
            let variable = GlobalVariable {
                value: Value::String(value.expose().to_owned()),
                kind: "string".to_owned(),
                ..GlobalVariable::default()
            };
            env.globals.insert(key.clone(), variable);
        }
        for (name, (sent, images)) in &create.services {
            let mut service = fresh[name.as_str()].clone();
            if let Some(image) = images.get(name) {
                service.image.clone_from(image);
                service.recorded.clone_from(image);
            }
            env.services.insert(name.clone(), service);
            env.write(name, sent, now);
        }
        env.work(EnvStatus::Creating, now);
    }

    /// What a look finds, as far as the driver looks.
    pub(crate) fn show(
        &mut self,
        desired: &Desired,
        record: Option<&Ownership>,
        memory: &Memory,
    ) -> Observed {
        let existence = match &self.env {
            None => {
                self.missed += 1;
                Existence::Absent {
                    confirmed: self.missed > 1,
                }
            }
            Some(env) => {
                self.missed = 0;
                Existence::Present(Box::new(env.show(desired, self)))
            }
        };
        let workload = |name: &str| BTreeSet::from([("Deployment".to_owned(), name.to_owned())]);
        Observed {
            now: self.time(),
            key: EnvKey {
                project: "shop".to_owned(),
                env: "dev".to_owned(),
                scope: self.scope,
            },
            zadig: URL.to_owned(),
            moved: Moved::No,
            connection_suspended: false,
            rival: None,
            record: record.cloned(),
            existence,
            catalog: Catalog {
                key_taken: false,
                clusters: vec![Cluster {
                    id: "c-local".to_owned(),
                    name: "local".to_owned(),
                    local: true,
                }],
                configs: BTreeMap::new(),
                registries: ["r-default", "r-other"]
                    .map(|id| Registry {
                        id: id.to_owned(),
                        address: format!("https://{id}.example.com"),
                        namespace: "shop".to_owned(),
                        is_default: id == "r-default",
                    })
                    .into(),
                services: SERVICES.map(str::to_owned).into(),
                templates: SERVICES
                    .map(|name| {
                        let template = Template {
                            variables: template(),
                            containers: BTreeSet::from([name.to_owned()]),
                            workloads: Some(workload(name)),
                            digest: format!("revision {}", self.revisions[name]),
                        };
                        (name.to_owned(), template)
                    })
                    .into(),
                global_variables: template(),
            },
            deletions: Allowance {
                most: 60,
                left: 60,
                until: None,
                remaining: Duration::ZERO,
            },
            licence_refused: false,
            level: Level::V43,

            bound: BTreeMap::new(),
            memory: memory.clone(),
            around: Around::default(),
            stuck_after: Duration::from_secs(STUCK.unsigned_abs()),
        }
    }
}

impl Env {
    fn work(&mut self, status: EnvStatus, now: i64) {
        self.status = status;
        self.since = now;
        self.done_at = Some(now + 1);
        self.update_time = now;
    }

    /// Variables as they were sent: a bound key that is left out is unbound and keeps its value (Z§4.11).
    fn write(&mut self, name: &str, sent: &[VariableValue], now: i64) {
        for variable in self.globals.values_mut() {
            variable.related.remove(name);
        }
        let Some(service) = self.services.get_mut(name) else {
            return;
        };
        for VariableValue { key, value, .. } in sent {
            let value = match value {
                Variable::Value(text) => text.expose().to_owned(),
                Variable::Global => {
                    let global = self.globals.get_mut(key);
                    // Z§14.22: from here on every update of the service would fail.
                    assert!(
                        global.is_some(),
                        "{name} is poisoned: {key} is bound to nothing"
                    );
                    let Some(global) = global else { continue };
                    global.related.insert(name.to_owned());
                    text(&global.value)
                }
            };
            service.set(key, value, now);
        }
    }

    fn is_lost(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(|service| service.lost)
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(
            self.status,
            EnvStatus::Success | EnvStatus::Failed | EnvStatus::Unstable
        )
    }

    fn show(&self, desired: &Desired, zadig: &Zadig) -> Present {
        let looks = self.is_idle() || matches!(desired, Desired::Absent { .. });
        let detail = looks.then(|| Detail {
            creation_failed: false,
            registry_id: self.registry.clone(),
            alias: self.alias.clone(),
            global_variables: self.globals.clone(),
            services: self
                .services
                .iter()
                .map(|(name, service)| {
                    let declared = match desired {
                        Desired::Present(environment) => environment.services.get(name),
                        Desired::Absent { .. } => None,
                    };
                    // More than the driver looks at: a look too many must not make a difference.
                    let live = declared.is_some();
                    let variables = declared.is_some_and(|d| !d.variables.is_empty());
                    let looks = variables || self.is_lost(name);
                    let shown = service.show(name, zadig, live, looks);
                    (name.clone(), shown)
                })
                .collect(),
            sharing: None,
        });
        Present {
            status: self.status.clone(),
            since: Timestamp::from_second(self.since).expect("a time of this century"),
            cluster_id: "c-local".to_owned(),
            namespace: self.namespace.clone(),
            update_time: self.update_time,
            neighbours: Vec::new(),
            detail,
        }
    }
}

impl Running {
    /// One variable, in Zadig's record and, unless the cluster refuses the patch, in new pods.
    pub(crate) fn set(&mut self, key: &str, value: String, now: i64) {
        let old = self.values.insert(key.to_owned(), value.clone());
        if old != Some(value) && !self.jammed {
            // A changed text of what is missing is applied anew (Z§6.5).
            self.lost = false;
            self.effective.clone_from(&self.values);
            self.pods = now;
        }
    }

    fn show(&self, name: &str, zadig: &Zadig, live: bool, variables: bool) -> ObservedService {
        let workload = LiveWorkload {
            kind: format!("{:?}", WorkloadKind::Deployment),
            name: name.to_owned(),
            replicas: Some(self.replicas),
            ready: self.replicas,
            images: BTreeMap::from([(name.to_owned(), self.image.clone())]),
            pods: Vec::new(),
            newest_pod: Some(self.pods),
            oldest_ready_pod: Some(self.pods),
        };
        ObservedService {
            status: "running".to_owned(),
            images: BTreeMap::from([(name.to_owned(), self.recorded.clone())]),
            template: template(),
            rendered: variables.then(|| format!("{} {:?}", self.revision, self.values)),
            template_digest: variables.then(|| format!("revision {}", zadig.revisions[name])),
            expected: variables.then(|| {
                let workload = ("Deployment".to_owned(), name.to_owned());
                BTreeMap::from([(workload, Some(format!("{:?}", self.values)))])
            }),
            // Only the template of the environment's own revision can be laid beside it.
            told: if variables && zadig.tells && self.revision == zadig.revisions[name] {
                let told = |(key, value): (&String, &String)| (key.clone(), SecretText::new(value));
                self.values.iter().map(told).collect()
            } else {
                BTreeMap::new()
            },
            helm: self.release.as_ref().map(|release| ObservedHelm {
                images: Vec::new(),
                release: Some(helm::Release::Values(release.show())),
            }),
            record: BTreeMap::from([(
                ("Deployment".to_owned(), name.to_owned()),
                RecordedWorkload {
                    replicas: self.recorded_replicas,
                    containers: BTreeSet::from([name.to_owned()]),
                    init_containers: BTreeSet::new(),
                },
            )]),
            live: live.then(|| {
                if self.lost {
                    Vec::new()
                } else {
                    vec![workload]
                }
            }),
        }
    }
}
