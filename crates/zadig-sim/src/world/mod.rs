//! The state of a Zadig with its clusters, and the passing of time in it.
//!
//! Background work is an event with a time; a virtual and a real clock run the same events (`event`). What an environment is and what
//! is applied for it is in `environment`, the work behind the routes in `creation`, `update`, `removal`, `sleep`, `helm` and `share`, what
//! Zadig shows of the clusters in `view`, the whole state in `snapshot`.

pub(crate) mod configs;
mod creation;
mod crowd;
pub(crate) mod environment;
mod event;
pub(crate) mod helm;
mod kubectl;
mod namespace;
mod project;
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

use crate::auth::User;
use crate::clock::{Queue, later};
use crate::fault::Faults;
use crate::journal::Journal;
use crate::kube::{Cluster, Cx};
use crate::options::{ClockMode, Level, Licence, Options, Pace};
use crate::scope::Scope;
use crate::seed::{ClusterSeed, RegistrySeed, Seed};
use crate::world::configs::ConfigRecords;
use crate::world::crowd::{Bucket, Locks};
use crate::world::environment::Environment;

pub(crate) use event::Event;
pub(crate) use namespace::NoGround;
pub(crate) use project::{Project, Revision, Service, global};
pub(crate) use replicas::Origin;

/// Zadig's own default of `SERVICE_START_TIMEOUT` (Z§4.6).
const START_TIMEOUT: Duration = Duration::from_mins(5);

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
    /// Names of the code hosts by number.
    pub(crate) codehosts: BTreeMap<i64, String>,
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
                let istio = options.istio.or(cluster.istio).unwrap_or(kubernetes.istio);
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
            .map(|project| (project.project_key.clone(), Project::of(seed, project)))
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
            codehosts: document.codehosts.clone(),
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

    /// When a pod becomes ready next; `None` when none is on its way.
    pub(crate) fn next_readiness(&self) -> Option<Timestamp> {
        let now = self.now();
        let namespaces = self.clusters.values().flat_map(|it| it.namespaces.values());
        let kinds = namespaces.flat_map(|namespace| namespace.objects.values());
        let pods = kinds.flat_map(|kind| kind.values().flat_map(|object| &object.pods));
        let ready = pods.filter_map(|pod| pod.ready_at);
        ready.filter(|at| *at > now).min()
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
