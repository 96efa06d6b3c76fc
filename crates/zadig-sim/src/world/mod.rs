//! The state of a Zadig with its clusters, and the passing of time in it.
//!
//! Background work is an event with a time; a virtual and a real clock run the same events. What routes do to environments is in
//! `environment`, what Zadig shows of the clusters in `view`, the whole state in `snapshot`.

pub(crate) mod configs;
mod crowd;
pub(crate) mod environment;
pub(crate) mod helm;
mod kubectl;
mod namespace;
mod removal;
mod replicas;
mod seeding;
pub(crate) mod share;
mod sleep;
mod snapshot;
mod update;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::auth::User;
use crate::clock::{Queue, later};
use crate::fault::Faults;
use crate::helm::chart::Chart;
use crate::helm::release;
use crate::journal::Journal;
use crate::kube::{Cluster, Cx};
use crate::options::{ClockMode, Level, Licence, Options, Pace};
use crate::scope::Scope;
use crate::seed::{ClusterSeed, RegistrySeed, Seed, ServiceSeed};
use crate::variables::{Global, Variable};
use crate::world::configs::ConfigRecords;
use crate::world::crowd::{Bucket, Locks};
use crate::world::environment::Environment;
use crate::world::helm::Rollout;
use crate::world::update::Update;

pub(crate) use namespace::NoGround;
pub(crate) use replicas::Origin;

/// Zadig's own default of `SERVICE_START_TIMEOUT` (Z§4.6).
const START_TIMEOUT: Duration = Duration::from_mins(5);

/// A project with its service templates.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) deploy_type: String,
    pub(crate) description: String,
    /// Names of the collaboration modes that are based on an environment, by its key.
    pub(crate) collaboration_bases: BTreeMap<String, Vec<String>>,
    /// The global variables that its test environments may have.
    pub(crate) globals: Vec<Variable>,
    /// The templates of its test environments.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) production_globals: Vec<Variable>,
    pub(crate) production_services: BTreeMap<String, Service>,
}

impl Project {
    /// The service templates of one kind of environments; the other kind does not see them (Z§9 no. 1).
    pub(crate) fn templates(&self, scope: Scope) -> &BTreeMap<String, Service> {
        match scope {
            Scope::Test => &self.services,
            Scope::Production => &self.production_services,
        }
    }

    pub(crate) fn templates_mut(&mut self, scope: Scope) -> &mut BTreeMap<String, Service> {
        match scope {
            Scope::Test => &mut self.services,
            Scope::Production => &mut self.production_services,
        }
    }

    /// The global variables that are declared for one kind of environments.
    pub(crate) fn declared(&self, scope: Scope) -> &[Variable] {
        match scope {
            Scope::Test => &self.globals,
            Scope::Production => &self.production_globals,
        }
    }
}

/// A service template with all its revisions, the newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) revisions: Vec<Revision>,
}

/// One revision of a service template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Revision {
    pub(crate) text: String,
    pub(crate) variables: Vec<Variable>,
    /// For a service of a Helm project, in place of a text.
    pub(crate) chart: Option<Arc<Chart>>,
}

/// Work that goes on after an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Apply what a creation brings.
    Create { env: Key, life: u64 },
    /// Look whether a created environment is ready.
    CreateLook {
        env: Key,
        life: u64,
        until: Timestamp,
    },
    /// A creation failed.
    CreateFailed { env: Key, life: u64 },
    /// Apply what an update changed.
    Update { env: Key, life: u64, update: Update },
    /// An update is over.
    Updated { env: Key, life: u64, by: String },
    /// Deploy the releases of a Helm add.
    Rollout {
        env: Key,
        life: u64,
        rollout: Rollout,
    },
    /// A Helm add is over.
    RolledOut {
        env: Key,
        life: u64,
        rollout: Rollout,
        failed: bool,
    },
    /// Uninstall releases.
    Uninstall {
        cluster: String,
        namespace: String,
        releases: Vec<String>,
    },
    /// Take the record of a deleted environment away.
    Delete {
        env: Key,
        life: u64,
        with_resources: bool,
    },
    /// Begin to delete a namespace.
    Terminate { cluster: String, namespace: String },
    /// A namespace has lost its pods, or everything and is gone.
    Gone {
        cluster: String,
        namespace: String,
        uid: String,
        emptied: bool,
    },
    /// A deleted object is gone.
    Erase {
        cluster: String,
        namespace: String,
        kind: String,
        name: String,
        uid: String,
    },
    /// A workload's controller has waited long enough.
    Settle {
        cluster: String,
        namespace: String,
        kind: String,
        name: String,
    },
}

impl Event {
    /// Whether it is done by Zadig's own process, and lost with it.
    fn is_zadigs(&self) -> bool {
        !matches!(
            self,
            Self::Gone { .. } | Self::Erase { .. } | Self::Settle { .. }
        )
    }
}

/// Project key and environment key.
pub(crate) type Key = (String, String);

/// Everything.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) level: Level,
    pub(crate) licence: Licence,
    pub(crate) start_timeout: Duration,
    pub(crate) users: Vec<Arc<User>>,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    /// Counts changes of the state, to tell whether a call had an effect.
    pub(crate) changes: u64,
    /// The call under way loses its background work.
    pub(crate) stuck: bool,
    pub(crate) cluster_list: Vec<ClusterSeed>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) registries: Vec<RegistrySeed>,
    pub(crate) projects: BTreeMap<String, Project>,
    pub(crate) environments: BTreeMap<Key, Environment>,
    pub(crate) config_records: ConfigRecords,
    locks: Locks,
    bucket: Bucket,
    queue: Queue<Event>,
    clock: Timestamp,
    rng: fastrand::Rng,
    lives: u64,
}

impl World {
    pub(crate) fn new(seed: &Seed, options: Options) -> Self {
        let document = &seed.document;
        let clusters = document
            .clusters
            .iter()
            .map(|cluster| {
                let kubernetes = &document.kubernetes;
                let istio = cluster.istio.unwrap_or(kubernetes.istio);
                let reachable = cluster
                    .status
                    .as_deref()
                    .is_none_or(|status| status == "normal");
                let kube = Cluster::new(
                    istio,
                    reachable,
                    kubernetes.nodes.clone(),
                    kubernetes.host_ip.clone(),
                );
                (cluster.cluster_id.clone(), kube)
            })
            .collect();
        let projects = document
            .projects
            .iter()
            .map(|project| {
                let templates = |services: &[ServiceSeed]| {
                    services
                        .iter()
                        .filter_map(|service| {
                            Some((service.name.clone(), template(seed, service)?))
                        })
                        .collect()
                };
                let declared =
                    |variables: &[Value]| variables.iter().filter_map(variable).collect();
                let project = Project {
                    name: project.project_name.clone(),
                    key: project.project_key.clone(),
                    deploy_type: project.deploy_type.clone(),
                    description: project.description.clone(),
                    collaboration_bases: project.collaboration_bases.clone(),
                    globals: declared(&project.global_variables),
                    services: templates(&project.services),
                    production_globals: declared(&project.production_global_variables),
                    production_services: templates(&project.production_services),
                };
                (project.key.clone(), project)
            })
            .collect();
        let clock = match options.clock {
            ClockMode::Real => Timestamp::now(),
            ClockMode::Virtual { start } => start,
        };
        let mut world = Self {
            level: options.level.or(document.zadig.level).unwrap_or_default(),
            licence: options
                .licence
                .or(document.zadig.licence)
                .unwrap_or_default(),
            start_timeout: options
                .start_timeout
                .or(document.zadig.start_timeout_s.map(Duration::from_secs))
                .unwrap_or(START_TIMEOUT),
            users: document
                .users
                .iter()
                .map(|user| Arc::new(User::from(user)))
                .collect(),
            faults: Faults::default(),
            journal: Journal::default(),
            changes: 0,
            stuck: false,
            cluster_list: document.clusters.clone(),
            clusters,
            registries: document.registries.clone(),
            projects,
            environments: BTreeMap::new(),
            config_records: ConfigRecords::default(),
            locks: Locks::default(),
            bucket: Bucket::new(clock),
            queue: Queue::default(),
            clock,
            rng: fastrand::Rng::with_seed(1),
            lives: 0,
            options,
        };
        let meshes: Vec<String> = world
            .clusters
            .iter()
            .filter(|(_, kube)| kube.istio)
            .map(|(id, _)| id.clone())
            .collect();
        for mesh in meshes {
            world.in_cluster(&mesh, Cluster::install_istio);
        }
        let local = document
            .clusters
            .iter()
            .find(|cluster| cluster.local)
            .map(|c| c.cluster_id.clone());
        for namespace in &document.namespaces {
            if let Some(local) = &local {
                let _ =
                    world.in_cluster(local, |kube, cx| kube.create_namespace(cx, namespace, &[]));
            }
        }
        world.make_seeded(seed);
        world
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.options.pace
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self.options.clock {
            ClockMode::Real => Timestamp::now(),
            ClockMode::Virtual { .. } => self.clock,
        }
    }

    pub(crate) fn token(&self, user: &str) -> Option<String> {
        self.users
            .iter()
            .find(|known| known.name == user)
            .map(|user| user.token())
    }

    /// The time from a call to its answer, for work that takes that long: none on a virtual clock.
    pub(crate) fn answer_time(&self, work: Duration) -> Duration {
        match self.options.clock {
            ClockMode::Real => work,
            ClockMode::Virtual { .. } => Duration::ZERO,
        }
    }

    /// Lets everything happen that is due.
    pub(crate) fn catch_up(&mut self) {
        let now = self.now();
        while let Some((at, event)) = self.queue.pop_due(now) {
            self.clock = self.clock.max(at);
            self.happen(at, event);
        }
        self.clock = self.clock.max(now);
    }

    pub(crate) fn advance_to(&mut self, t: Timestamp) {
        if matches!(self.options.clock, ClockMode::Virtual { .. }) {
            while let Some((at, event)) = self.queue.pop_due(t) {
                self.clock = self.clock.max(at);
                self.happen(at, event);
            }
            self.clock = self.clock.max(t);
        } else {
            self.catch_up();
        }
    }

    /// Plans background work; a call that is made to stick loses it (Z§5.1: no watchdog).
    pub(crate) fn plan(&mut self, after: Duration, event: Event) {
        if self.stuck && event.is_zadigs() {
            return;
        }
        let at = later(self.now(), after);
        self.queue.push(at, event);
    }

    /// When background work is due next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.queue.next_due()
    }

    /// A number that tells an environment from a later one of the same key.
    pub(crate) fn life(&mut self) -> u64 {
        self.lives += 1;
        self.lives
    }

    /// Does something in a cluster and plans what its controllers wait for.
    pub(crate) fn in_cluster<T>(
        &mut self,
        cluster: &str,
        act: impl FnOnce(&mut Cluster, &mut Cx<'_>) -> T,
    ) -> Option<T> {
        let now = self.now();
        let pod_ready = self.pace().pod_ready;
        let kube = self.clusters.get_mut(cluster)?;
        let mut cx = Cx {
            now,
            pod_ready,
            rng: &mut self.rng,
            wake: Vec::new(),
        };
        let result = act(kube, &mut cx);
        for (at, namespace, kind, name) in cx.wake {
            self.queue.push(
                at,
                Event::Settle {
                    cluster: cluster.to_owned(),
                    namespace,
                    kind,
                    name,
                },
            );
        }
        self.changes += 1;
        Some(result)
    }

    /// Kills Zadig's process: what it was doing is never finished (Z§5.1).
    pub(crate) fn restart(&mut self) {
        self.queue.retain(|event| !event.is_zadigs());
    }

    /// Zadig comes back with an empty database.
    pub(crate) fn lose_everything(&mut self) {
        self.environments.clear();
        self.config_records = ConfigRecords::default();
        self.changes += 1;
    }

    fn happen(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Create { env, life } => self.apply_created(&env, life),
            Event::CreateLook { env, life, until } => self.look_at_created(&env, life, until, at),
            Event::CreateFailed { env, life } => {
                if let Some(environment) = self.alive(&env, life) {
                    "failed".clone_into(&mut environment.status);
                }
            }
            Event::Update { env, life, update } => self.apply_update(&env, life, update),
            Event::Updated { env, life, by } => self.end_update(&env, life, &by),
            Event::Rollout { env, life, rollout } => self.roll_out(&env, life, rollout),
            Event::RolledOut {
                env,
                life,
                rollout,
                failed,
            } => self.end_rollout(&env, life, rollout, failed),
            Event::Uninstall {
                cluster,
                namespace,
                releases,
            } => {
                self.in_cluster(&cluster, |kube, _| {
                    for name in &releases {
                        release::uninstall(kube, &namespace, name);
                    }
                });
            }
            Event::Delete {
                env,
                life,
                with_resources,
            } => {
                self.finish_delete(&env, life, with_resources);
            }
            Event::Terminate { cluster, namespace } => self.terminate(cluster, namespace),
            Event::Gone {
                cluster,
                namespace,
                uid,
                emptied,
            } => self.lose_namespace(&cluster, &namespace, &uid, emptied),
            Event::Erase {
                cluster,
                namespace,
                kind,
                name,
                uid,
            } => {
                self.erase(&cluster, &namespace, &kind, &name, &uid);
                if kind == "Service" {
                    self.reroute_in(&cluster, &namespace);
                }
            }
            Event::Settle {
                cluster,
                namespace,
                kind,
                name,
            } => {
                self.in_cluster(&cluster, |kube, cx| {
                    kube.settle(cx, &namespace, &kind, &name);
                });
            }
        }
        self.changes += 1;
    }

    fn plan_always(&mut self, after: Duration, event: Event) {
        let at = later(self.clock.max(self.now()), after);
        self.queue.push(at, event);
    }

    fn alive(&mut self, env: &Key, life: u64) -> Option<&mut Environment> {
        self.environments
            .get_mut(env)
            .filter(|environment| environment.life == life)
    }

    /// The licence gate of routes that ask for a professional licence on their production side alone.
    pub(crate) fn licensed_for(&self, scope: Scope) -> Result<(), crate::reply::Fail> {
        match scope {
            Scope::Test => Ok(()),
            Scope::Production => self.licensed(false),
        }
    }

    /// The licence gate of Z§1.3; `enterprise` for the routes that need more than a professional one.
    pub(crate) fn licensed(&self, enterprise: bool) -> Result<(), crate::reply::Fail> {
        match (self.licence, enterprise) {
            (Licence::Enterprise, _) | (Licence::Professional, false) => Ok(()),
            (Licence::None | Licence::Professional, _) => Err(crate::reply::Fail::code(7050, "")),
            (Licence::Unreachable, _) => Err(crate::reply::Fail::wrapped(
                "failed to validate zadig license status, error: the licence service does not answer",
            )),
        }
    }
}

fn template(seed: &Seed, service: &ServiceSeed) -> Option<Service> {
    let text = service.yaml.as_ref().and_then(|it| seed.texts.get(it));
    let chart = service.chart.as_ref().and_then(|it| seed.charts.get(it));
    if text.is_none() && chart.is_none() {
        return None;
    }
    Some(Service {
        revisions: vec![Revision {
            text: text.cloned().unwrap_or_default(),
            variables: service.variables.iter().filter_map(variable).collect(),
            chart: chart.map(|files| Arc::new(Chart::new(files, service))),
        }],
    })
}

fn variable(value: &Value) -> Option<Variable> {
    serde_json::from_value(value.clone()).ok()
}

/// A global variable as an environment starts with it.
pub(crate) fn global(variable: &Variable) -> Global {
    Global {
        variable: variable.clone(),
        related_services: Vec::new(),
    }
}
