//! One Zadig as one connection sees it: a client, one list per project that serves every object of the project, and what is
//! looked up by name.
//!
//! Looking is cheap by design (design §6): a list is fetched once for all who ask at the same time, and again only when
//! somebody needs one that is younger. Thorough looks that nobody asked for draw on a budget of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use zadig_client::limit::{Governor, Limits, Stats};
use zadig_client::{Client, EnvironmentStatus, EnvironmentSummary, Gate};

use super::connection::Words;
use super::driver::Rest;
use super::secrets::Secrets;
use crate::api::environment::{DeployType, Scope};
use crate::error::Error;
use crate::plan::environment::{Cluster, EnvKey, EnvStatus, Registry, Template, TemplateVariable};
use crate::plan::{Level, Licence};

/// A connection, by namespace and name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct ConnectionKey {
    /// Namespace of the ZadigConnection.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How often a Zadig is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Intervals {
    /// Between lists of one project.
    pub list: Duration,
    /// Between thorough looks at one environment.
    pub deep: Duration,
    /// How long Zadig's own work is believed.
    pub stuck: Duration,
}

/// The environments of one project at one moment.
#[derive(Debug)]
pub(super) struct List {
    /// Environments by key.
    pub environments: BTreeMap<String, EnvironmentSummary>,
}

/// The environments of a project that one list shows.
pub(super) type Listed = (Scope, String);

/// What calls for one thing came to. It is locked during a call: whoever comes second finds the first one's answer.
struct Slot<T> {
    /// The last answer, and when its call was sent.
    known: Option<(Instant, Arc<T>)>,
    /// The failure since, and when it was told.
    failed: Option<(Instant, zadig_client::Error)>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            known: None,
            failed: None,
        }
    }
}

impl<T> Slot<T> {
    /// What was answered to a call that was sent since then, or what one comes to that is sent now.
    ///
    /// A failure is told to all who asked before it was there: each of them would wait as long for the same. Whoever asks later
    /// may do so because its cause is gone.
    ///
    /// # Errors
    /// What the call answers.
    async fn since(
        slot: &tokio::sync::Mutex<Self>,
        since: Instant,
        call: impl Future<Output = Result<T, zadig_client::Error>>,
    ) -> Result<Arc<T>, zadig_client::Error> {
        let asked = Instant::now();
        let mut slot = slot.lock().await;
        if let Some((_, value)) = slot.known.as_ref().filter(|(sent, _)| *sent >= since) {
            return Ok(Arc::clone(value));
        }
        if let Some((told, error)) = &slot.failed
            && *told >= asked
        {
            return Err(error.clone());
        }
        let sent = Instant::now();
        match call.await {
            Ok(value) => {
                let value = Arc::new(value);
                slot.known = Some((sent, Arc::clone(&value)));
                slot.failed = None;
                Ok(value)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

type Slots<K, T> = Mutex<HashMap<K, Arc<tokio::sync::Mutex<Slot<T>>>>>;
type Cached<T> = Slots<String, T>;

/// One Zadig as one connection sees it, with a client of whoever looks at it or writes to it.
#[derive(Clone)]
pub(super) struct Zadig {
    /// The client. It writes nothing unless it is a [`Writer`](super::write::Writer)'s.
    pub client: Client,
    site: Arc<Site>,
}

impl Deref for Zadig {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// What is known of one Zadig as one connection sees it.
pub(super) struct Site {
    /// The client, with the connection's token and the governor of this Zadig.
    client: Client,
    /// The connection.
    pub connection: ConnectionKey,
    /// The Zadig's identity: its normalised URL.
    pub identity: String,
    server: Arc<Server>,
    /// How often it is looked at.
    pub intervals: Intervals,
    /// The governor of the connection, and its bounds.
    pub governor: Arc<Governor>,
    limits: Limits,
    /// Digest over everything the connection was built from.
    pub fingerprint: String,
    /// Budget of looks that nothing asked for.
    pub budget: Budget,
    /// The time until the server is probed again, and the reconcile-now annotation that was handled with the last probe.
    pub probed: tokio::sync::Mutex<Option<(Rest, Option<String>)>>,
    lists: Slots<Listed, List>,
    clusters: Cached<Vec<Cluster>>,
    registries: Cached<Vec<Registry>>,
    projects: Cached<String>,
    templates: Cached<BTreeMap<String, BTreeSet<String>>>,
    template: Cached<ServiceTemplate>,
    globals: Cached<Vec<TemplateVariable>>,
    licence: Arc<Mutex<Licence>>,
    level: Mutex<Level>,
    enterprise_refused_at: Mutex<Option<Instant>>,
}

/// One Zadig, whatever connection leads to it, and for as long as one does: a connection that is made anew, with another token say, does
/// not begin with nothing under way.
pub(super) struct Server {
    /// What all connections may do together: as much as the one that may do most, of those that can be used. A connection has limits and
    /// a breaker of its own besides, so that whoever may make one can neither slow down nor unleash the others.
    pub governor: Arc<Governor>,
    /// The values that it was sent and may repeat.
    pub secrets: Arc<Secrets>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            governor: Governor::new(Limits::default()),
            secrets: Arc::default(),
            turns: Mutex::default(),
        }
    }
}

impl Server {
    /// The lock that all changes of one environment share: one at a time, whatever kind they come from.
    #[must_use]
    pub(super) fn turn(&self, key: &EnvKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key.to_string()).or_default())
    }
}

/// A service's template as Zadig keeps it.
#[derive(Debug)]
pub(super) struct ServiceTemplate {
    /// Text with placeholders.
    pub yaml: String,
    /// What the decision needs of it.
    pub template: Template,
}

impl Zadig {
    /// The same Zadig through another client.
    #[must_use]
    pub(super) fn through(&self, client: Client) -> Self {
        Self {
            client,
            site: Arc::clone(&self.site),
        }
    }

    /// The same Zadig, whose calls wait in the line of this namespace.
    #[must_use]
    pub(super) fn for_tenant(&self, namespace: &str) -> Self {
        self.through(self.client.for_tenant(namespace))
    }

    /// A Zadig that nothing is known of.
    #[must_use]
    pub(super) fn new(
        client: &Client,
        connection: ConnectionKey,
        (identity, server): (String, Arc<Server>),
        intervals: Intervals,
        limits: Limits,
        fingerprint: String,
        licence: Arc<Mutex<Licence>>,
    ) -> Self {
        let governor = Governor::new(limits);
        let client = client
            .with_governor(Arc::clone(&governor))
            .within(Arc::clone(&server.governor))
            .for_tenant(connection.namespace.as_str())
            .behind(Arc::new(Shut));
        let site = Site {
            client: client.clone(),
            connection,
            identity,
            server,
            intervals,
            governor,
            limits,
            fingerprint,
            budget: Budget::new(limits.requests_per_second),
            probed: tokio::sync::Mutex::default(),
            lists: Mutex::default(),
            clusters: Cached::default(),
            registries: Cached::default(),
            projects: Cached::default(),
            templates: Cached::default(),
            template: Cached::default(),
            globals: Cached::default(),
            licence,
            level: Mutex::default(),
            enterprise_refused_at: Mutex::default(),
        };
        Self {
            client,
            site: Arc::new(site),
        }
    }
}

/// Whoever looks does not write.
struct Shut;

impl Gate for Shut {
    fn is_open(&self) -> bool {
        false
    }
}

impl Site {
    /// The environments of a project in one scope, as of `since` or later: from memory, or by one call for all who wait.
    ///
    /// # Errors
    /// What the call answers. An empty list is no error: it can mean that the token may not look (Z§1.2).
    pub(super) async fn list(
        &self,
        scope: Scope,
        project: &str,
        since: Instant,
    ) -> Result<Arc<List>, Error> {
        let slot = Arc::clone(
            lock(&self.lists)
                .entry((scope, project.to_owned()))
                .or_default(),
        );
        let call = async {
            let listed = self.client.list_environments(scope.into(), project).await?;
            Ok(List {
                environments: listed
                    .into_iter()
                    .filter(|environment| environment.production == (scope == Scope::Production))
                    .map(|environment| (environment.env_key.clone(), environment))
                    .collect(),
            })
        };
        Slot::since(&slot, since, call)
            .await
            .map_err(Error::zadig(format!(
                "list the {}environments of project {project}",
                match scope {
                    Scope::Test => "",
                    Scope::Production => "production ",
                }
            )))
    }

    /// Makes the connection's next reconcile look at the server again; one that is looking already need not be told.
    pub(super) fn forget_probe(&self) {
        if let Ok(mut probed) = self.probed.try_lock() {
            *probed = None;
        }
    }

    /// Forgets the lists that nobody needs any more.
    pub(super) fn keep_lists(&self, wanted: &BTreeSet<Listed>) {
        lock(&self.lists).retain(|listed, _| wanted.contains(listed));
    }

    /// What all connections to this Zadig share.
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// What is known of the professional licence.
    #[must_use]
    pub(super) fn licence(&self) -> Licence {
        *lock(&self.licence)
    }

    /// Remembers what is known of the professional licence.
    pub(super) fn set_licence(&self, licence: Licence) {
        *lock(&self.licence) = licence;
    }

    /// Which API the server speaks, as far as it was probed.
    #[must_use]
    pub(super) fn level(&self) -> Level {
        *lock(&self.level)
    }

    /// Remembers which API the server speaks.
    pub(super) fn set_level(&self, level: Level) {
        *lock(&self.level) = level;
    }

    /// Whether the enterprise licence is known to be refused. Nothing but a call that needs it shows that (Z§1.3), so it is
    /// asked for again after an hour.
    #[must_use]
    pub(super) fn enterprise_refused(&self) -> bool {
        let refused = |at: Instant| at.elapsed() < ENTERPRISE_REFUSED_FOR;
        self.licence() == Licence::Refused || lock(&self.enterprise_refused_at).is_some_and(refused)
    }

    /// Remembers that the enterprise licence was refused.
    pub(super) fn refuse_enterprise(&self) {
        *lock(&self.enterprise_refused_at) = Some(Instant::now());
    }

    /// Forgets that, as a person asks for another attempt.
    pub(super) fn forget_enterprise(&self) {
        *lock(&self.enterprise_refused_at) = None;
    }

    /// That an environment is missing, which a list alone does not prove: any valid token may read the detail, while a list
    /// without permission is empty (Z§1.2, Z§14.9).
    ///
    /// # Errors
    /// [`Error::Hidden`] when it can be read, and whatever else the call answers.
    pub(super) async fn require_absent(&self, key: &EnvKey) -> Result<(), Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = key;
        match self.client.environment((*scope).into(), project, env).await {
            Ok(_) => Err(Error::Hidden {
                project: project.clone(),
                env: env.clone(),
            }),
            Err(error) if error.is_absence_shape() => Ok(()),
            Err(error) => Err(Error::zadig(format!(
                "read environment {env} of project {project}"
            ))(error)),
        }
    }

    /// Whether an environment of the other scope has the key: Zadig has one for both (Z§9, 1).
    ///
    /// Any valid token may read an environment's global variables, in either scope and without a licence (Z§3, #23 and #24). Only
    /// an answer counts: a refusal proves nothing, and Zadig refuses a second environment of a key itself.
    ///
    /// # Errors
    /// When Zadig does not answer.
    pub(super) async fn is_key_taken(&self, key: &EnvKey) -> Result<bool, Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = key;
        let other = match scope {
            Scope::Test => zadig_client::Scope::Production,
            Scope::Production => zadig_client::Scope::Test,
        };
        match self.client.global_variables(other, project, env).await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = Error::zadig(format!("look whether the key {env} is free"))(error);
                if error.is_outage() {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// Zadig's clusters, at most `max_age` old.
    ///
    /// # Errors
    /// What the call answers.
    pub(super) async fn clusters(&self, max_age: Duration) -> Result<Arc<Vec<Cluster>>, Error> {
        cached(&self.clusters, "", max_age, async {
            let clusters = self.client.clusters().await?;
            Ok(clusters
                .into_iter()
                .map(|c| Cluster {
                    id: c.cluster_id,
                    name: c.name,
                    local: c.local,
                })
                .collect())
        })
        .await
        .map_err(Error::zadig("list the clusters"))
    }

    /// Zadig's registries, at most `max_age` old.
    ///
    /// # Errors
    /// What the call answers.
    pub(super) async fn registries(&self, max_age: Duration) -> Result<Arc<Vec<Registry>>, Error> {
        cached(&self.registries, "", max_age, async {
            let registries = self.client.registries().await?;
            Ok(registries
                .into_iter()
                .map(|r| Registry {
                    id: r.registry_id,
                    address: r.address,
                    namespace: r.namespace,
                    is_default: r.is_default,
                })
                .collect())
        })
        .await
        .map_err(Error::zadig("list the registries"))
    }

    /// That a project exists, may be seen, and deploys as declared. Zadig makes a Helm environment of a YAML project, too
    /// (Z§4.21).
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`] and [`Error::DeployType`]. A token without permission is answered as for a missing project
    /// (Z§15).
    pub(super) async fn require_project(
        &self,
        project: &str,
        declared: DeployType,
        max_age: Duration,
    ) -> Result<(), Error> {
        let found = cached(&self.projects, project, max_age, async {
            Ok(self.client.project(project).await?.deploy_type)
        })
        .await
        .map_err(|source| Error::ProjectNotFound {
            project: project.to_owned(),
            source,
        })?;
        let (wanted, declared) = match declared {
            DeployType::KubernetesYaml => ("k8s", "KubernetesYAML"),
            DeployType::Helm => ("helm", "Helm"),
        };
        if found.as_str() == wanted {
            return Ok(());
        }
        Err(Error::DeployType {
            project: project.to_owned(),
            declared,
            found: (*found).clone(),
        })
    }

    /// The services that a project has templates of in one scope, with their containers. A test template is not visible to
    /// production, nor the other way round (Z§9, 1).
    ///
    /// # Errors
    /// What the call answers.
    pub(super) async fn templates(
        &self,
        scope: Scope,
        project: &str,
        max_age: Duration,
    ) -> Result<Arc<BTreeMap<String, BTreeSet<String>>>, Error> {
        cached(
            &self.templates,
            &format!("{scope:?}/{project}"),
            max_age,
            async {
                let templates = self.client.service_templates(scope.into(), project).await?;
                Ok(templates
                    .into_iter()
                    .map(|t| {
                        (
                            t.service_name,
                            t.containers.into_iter().map(|c| c.name).collect(),
                        )
                    })
                    .collect())
            },
        )
        .await
        .map_err(Error::zadig(format!(
            "list the services of project {project}"
        )))
    }

    /// The newest template of one service.
    ///
    /// # Errors
    /// What the call answers.
    pub(super) async fn template(
        &self,
        scope: Scope,
        project: &str,
        service: &str,
        max_age: Duration,
    ) -> Result<Arc<ServiceTemplate>, Error> {
        cached(
            &self.template,
            &format!("{scope:?}/{project}/{service}"),
            max_age,
            async {
                let found = self
                    .client
                    .service_template(scope.into(), project, service)
                    .await?;
                Ok(ServiceTemplate {
                    template: Template {
                        variables: found.variables.iter().map(template_variable).collect(),
                        containers: found.containers.into_iter().map(|c| c.name).collect(),
                        workloads: super::rendered::template_workloads(&found.yaml),
                        digest: String::new(),
                    },
                    yaml: found.yaml,
                })
            },
        )
        .await
        .map_err(Error::zadig(format!(
            "read service {service} of project {project}"
        )))
    }

    /// The global variables that a project declares for one scope.
    ///
    /// # Errors
    /// What the call answers.
    pub(super) async fn declared_variables(
        &self,
        scope: Scope,
        project: &str,
        max_age: Duration,
    ) -> Result<Arc<Vec<TemplateVariable>>, Error> {
        cached(
            &self.globals,
            &format!("{scope:?}/{project}"),
            max_age,
            async {
                let declared = self.client.declared_variables(project).await?;
                Ok(declared
                    .of(scope.into())
                    .iter()
                    .map(template_variable)
                    .collect())
            },
        )
        .await
        .map_err(Error::zadig(format!(
            "read the global variables of project {project}"
        )))
    }
}

impl From<Scope> for zadig_client::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Test => Self::Test,
            Scope::Production => Self::Production,
        }
    }
}

/// Zadig's word in ours.
pub(super) fn env_status(word: &EnvironmentStatus) -> EnvStatus {
    match word {
        EnvironmentStatus::Creating => EnvStatus::Creating,
        EnvironmentStatus::Updating => EnvStatus::Updating,
        EnvironmentStatus::Deleting => EnvStatus::Deleting,
        EnvironmentStatus::Success => EnvStatus::Success,
        EnvironmentStatus::Failed => EnvStatus::Failed,
        EnvironmentStatus::Unstable => EnvStatus::Unstable,
        EnvironmentStatus::Sleeping => EnvStatus::Sleeping,
        other => EnvStatus::Other(other.as_str().to_owned()),
    }
}

/// A template's variable in our words.
pub(super) fn template_variable(variable: &zadig_client::TemplateVariable) -> TemplateVariable {
    TemplateVariable {
        key: variable.key.clone(),
        kind: variable.kind.as_str().to_owned(),
        options: variable.options.clone(),
    }
}

/// A looked-up value, at most `max_age` old: from memory, or by one look-up for all who wait.
async fn cached<T>(
    cache: &Cached<T>,
    key: &str,
    max_age: Duration,
    look_up: impl Future<Output = Result<T, zadig_client::Error>>,
) -> Result<Arc<T>, zadig_client::Error> {
    let slot = {
        let mut slots = lock(cache);
        // Slots that nobody is using and that are old enough to be of no use are dropped.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1
                || slot.try_lock().is_ok_and(|slot| {
                    let known = slot.known.as_ref().map(|(sent, _)| *sent);
                    let failed = slot.failed.as_ref().map(|(told, _)| *told);
                    known
                        .max(failed)
                        .is_some_and(|at| at.elapsed() < FORGOTTEN_AFTER)
                })
        });
        Arc::clone(slots.entry(key.to_owned()).or_default())
    };
    let now = Instant::now();
    let since = now.checked_sub(max_age).unwrap_or(now);
    Slot::since(&slot, since, look_up).await
}

/// How long a refused enterprise licence is believed.
const ENTERPRISE_REFUSED_FOR: Duration = Duration::from_hours(1);

/// How long a looked-up value is kept at most.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Calls that may be spent on looks that nothing asked for: a tenth of what the connection allows (design §6).
///
/// A line, not a lottery: whoever comes gets a time, so that a thousand objects that are due at once come back once each,
/// not again and again until something is left.
pub(super) struct Budget {
    per_second: f64,
    /// When everything that was promised so far is paid for.
    paid_up: Mutex<Instant>,
}

impl Budget {
    /// How much of the past may be made up for.
    const SAVED: Duration = Duration::from_secs(10);

    fn new(calls_per_second: f64) -> Self {
        let now = Instant::now();
        Self {
            per_second: calls_per_second / 10.0,
            paid_up: Mutex::new(now.checked_sub(Self::SAVED).unwrap_or(now)),
        }
    }

    /// When a look of so many calls may begin. The place in the line is taken, whether it is used or not.
    pub(super) fn reserve(&self, calls: usize) -> Instant {
        let now = Instant::now();
        let mut paid_up = lock(&self.paid_up);
        let begin = (*paid_up).max(now.checked_sub(Self::SAVED).unwrap_or(now));
        *paid_up = begin + self.cost(calls);
        begin.max(now)
    }

    /// How long one round of looks at `environments` takes at least, at `calls` each.
    #[must_use]
    pub(super) fn round(&self, environments: usize, calls: usize) -> Duration {
        self.cost(environments.saturating_mul(calls))
    }

    fn cost(&self, calls: usize) -> Duration {
        Duration::from_secs_f64(calls_f64(calls) / self.per_second)
    }
}

fn calls_f64(calls: usize) -> f64 {
    f64::from(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// What is known of a connection.
#[derive(Clone)]
pub(super) enum Link {
    /// It can be used.
    Up(Arc<Zadig>),
    /// It cannot be used.
    Down {
        /// Why.
        reason: crate::api::condition::Reason,
        /// The same for a person.
        words: Words,
        /// What it led to before: deletions go on with the token that was last read.
        last: Option<Arc<Zadig>>,
        /// Since when.
        since: Instant,
    },
}

/// All connections of this process.
#[derive(Default)]
pub(super) struct Hub {
    links: Mutex<HashMap<ConnectionKey, Link>>,
    servers: Mutex<HashMap<String, Arc<Server>>>,
}

impl Hub {
    /// What is known of a connection; `None` before it was looked at.
    #[must_use]
    pub(super) fn link(&self, key: &ConnectionKey) -> Option<Link> {
        lock(&self.links).get(key).cloned()
    }

    /// Notes what is known of a connection.
    pub(super) fn set(&self, key: ConnectionKey, link: Link) {
        let mut links = lock(&self.links);
        links.insert(key, link);
        set_common_limits(&links);
    }

    /// The Zadig that a connection leads to, or led to before it went down.
    #[must_use]
    pub(super) fn known(&self, key: &ConnectionKey) -> Option<Arc<Zadig>> {
        match lock(&self.links).get(key)? {
            Link::Up(zadig) => Some(Arc::clone(zadig)),
            Link::Down { last, .. } => last.clone(),
        }
    }

    /// Forgets a connection.
    pub(super) fn remove(&self, key: &ConnectionKey) {
        let mut links = lock(&self.links);
        links.remove(key);
        set_common_limits(&links);
    }

    /// One Zadig. Those that nothing leads to any more are forgotten.
    #[must_use]
    pub(super) fn server(&self, identity: &str) -> Arc<Server> {
        let mut servers = lock(&self.servers);
        servers.retain(|_, server| Arc::strong_count(server) > 1);
        Arc::clone(servers.entry(identity.to_owned()).or_default())
    }

    /// How the governor of a connection is; nothing of one that never could be used.
    #[must_use]
    pub(super) fn stats(&self, key: &ConnectionKey) -> Option<Stats> {
        Some(self.known(key)?.governor.stats())
    }

    /// Every connection that can be used.
    #[must_use]
    pub(super) fn up(&self) -> Vec<(ConnectionKey, Arc<Zadig>)> {
        lock(&self.links)
            .iter()
            .filter_map(|(key, link)| match link {
                Link::Up(zadig) => Some((key.clone(), Arc::clone(zadig))),
                Link::Down { .. } => None,
            })
            .collect()
    }
}

/// Bounds what all connections to each Zadig do together by the widest limits among those that can be used.
fn set_common_limits(links: &HashMap<ConnectionKey, Link>) {
    let mut widest: HashMap<&str, (&Server, Limits)> = HashMap::new();
    for link in links.values() {
        let Link::Up(zadig) = link else { continue };
        let (_, limits) = widest
            .entry(&zadig.identity)
            .or_insert((&zadig.server, zadig.limits));
        let Limits {
            requests_per_second,
            burst,
            max_in_flight,
        } = zadig.limits;
        limits.requests_per_second = limits.requests_per_second.max(requests_per_second);
        limits.burst = limits.burst.max(burst);
        limits.max_in_flight = limits.max_in_flight.max(max_in_flight);
    }
    for (server, limits) in widest.into_values() {
        if server.governor.stats().limits != limits {
            server.governor.set_limits(limits);
        }
    }
}

/// A lock whose holder cannot have left it half-written: poison carries no news.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The identity of a Zadig: scheme, host, port and path of its URL, in one spelling.
#[must_use]
pub(super) fn identity(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url
        .port_or_known_default()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{host}{port}{}",
        url.scheme(),
        url.path().trim_end_matches('/')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url_have_one_identity() {
        let of = |text: &str| identity(&text.parse().unwrap());
        assert_eq!(
            of("https://Zadig.example.com/"),
            "https://zadig.example.com:443"
        );
        assert_eq!(
            of("https://zadig.example.com:443"),
            of("https://zadig.example.com/")
        );
        assert_eq!(
            of("http://z.example.com/base/"),
            "http://z.example.com:80/base"
        );
    }

    /// Nobody listens at port 1 of loopback; no call of these tests gets there.
    fn failure(text: &str) -> zadig_client::Error {
        let url = format!("http://{text}@127.0.0.1:1");
        let token = zadig_client::Token::new("t").unwrap();
        Client::new(zadig_client::Config::new(url.parse().unwrap(), token)).unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_fails_is_made_once_for_all_who_wait_for_it() {
        const SLOW: Duration = Duration::from_secs(20);
        let slot = tokio::sync::Mutex::new(Slot::<()>::default());
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let count = || calls.load(std::sync::atomic::Ordering::Relaxed);
        let ask = async |after: Duration| {
            tokio::time::sleep(after).await;
            let call = async {
                calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::time::sleep(SLOW).await;
                Err(failure("a"))
            };
            Slot::since(&slot, Instant::now(), call).await.unwrap_err();
            Instant::now()
        };
        let begun = Instant::now();
        let told = futures::future::join_all((0..16).map(|n| ask(Duration::from_secs(n)))).await;
        assert_eq!(count(), 1);
        assert!(
            told.iter().all(|at| *at - begun < SLOW + SLOW / 2),
            "{told:?}"
        );
        ask(Duration::from_millis(1)).await;
        assert_eq!(count(), 2, "whoever asks later sees for himself");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_young_enough_outlives_a_failure() {
        let slot = tokio::sync::Mutex::new(Slot::default());
        let first = Instant::now();
        Slot::since(&slot, first, async { Ok(1) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let fails = async { Err(failure("a")) };
        Slot::since(&slot, Instant::now(), fails).await.unwrap_err();
        let known = Slot::since(&slot, first, async { Ok(2) }).await.unwrap();
        assert_eq!(*known, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        let value = Slot::since(&slot, Instant::now(), async { Ok(3) })
            .await
            .unwrap();
        assert_eq!(*value, 3);
    }

    #[tokio::test]
    async fn no_connection_slows_down_or_unleashes_another_to_the_same_zadig() {
        let hub = Hub::default();
        let url = "http://127.0.0.1:1";
        let up = |name: &str, requests_per_second: f64| {
            let limits = Limits {
                requests_per_second,
                ..Limits::default()
            };
            let key = ConnectionKey {
                namespace: name.to_owned(),
                name: "default".to_owned(),
            };
            let token = zadig_client::Token::new("t").unwrap();
            let config = zadig_client::Config::new(url.parse().unwrap(), token);
            let zadig = Zadig::new(
                &Client::new(config).unwrap(),
                key.clone(),
                (url.to_owned(), hub.server(url)),
                Intervals {
                    list: Duration::ZERO,
                    deep: Duration::ZERO,
                    stuck: Duration::ZERO,
                },
                limits,
                String::new(),
                Arc::default(),
            );
            hub.set(key.clone(), Link::Up(Arc::new(zadig)));
            key
        };
        let rate = |stats: Stats| stats.limits.requests_per_second.to_string();
        let together = || rate(hub.server(url).governor.stats());
        let own = |key: &ConnectionKey| hub.stats(key).map(rate);
        let platform = up("platform", 20.0);
        assert_eq!(
            (own(&platform), together()),
            (Some("20".into()), "20".into())
        );
        let tenant = up("tenant", 1.0);
        assert_eq!(
            (own(&platform), own(&tenant)),
            (Some("20".into()), Some("1".into()))
        );
        assert_eq!(together(), "20");
        up("tenant", 1000.0);
        assert_eq!(
            (own(&platform), together()),
            (Some("20".into()), "1000".into())
        );
        let down = Link::Down {
            reason: crate::api::condition::Reason::Unauthorized,
            words: Words {
                text: String::new(),
                is_first_hand: true,
            },
            last: None,
            since: Instant::now(),
        };
        hub.set(tenant.clone(), down);
        assert_eq!(
            together(),
            "20",
            "a token that Zadig refuses widens nothing"
        );
        hub.remove(&platform);
        hub.remove(&tenant);
        let last = hub.server(url);
        assert_eq!(
            Arc::strong_count(&last),
            2,
            "nothing else leads there any more"
        );
    }

    #[test]
    fn one_environment_has_one_turn_whatever_connection_it_is_reached_by_and_for_as_long_as_one_is_there()
     {
        let key = EnvKey {
            project: "shop".to_owned(),
            env: "dev".to_owned(),
            scope: Scope::Test,
        };
        let hub = Hub::default();
        let before = hub.server("https://zadig.example.com:443");
        let turn = before.turn(&key);
        let held = turn.try_lock().unwrap();
        // The token was changed, or somebody else's connection leads to the same Zadig.
        let after = hub.server("https://zadig.example.com:443");
        assert!(after.turn(&key).try_lock().is_err());
        let other = hub.server("https://other.example.com:443");
        assert!(other.turn(&key).try_lock().is_ok());
        drop(held);
        assert!(after.turn(&key).try_lock().is_ok());
        drop((before, after));
        drop(hub.server("https://other.example.com:443"));
        assert_eq!(
            lock(&hub.servers).len(),
            1,
            "nothing is kept of what is gone"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn thorough_looks_stay_within_a_tenth_of_the_calls() {
        let budget = Budget::new(20.0);
        let start = Instant::now();
        let begins: Vec<Duration> = (0..400)
            .map(|_| budget.reserve(3).duration_since(start))
            .collect();
        // 2 calls a second, and ten seconds of them that were saved up.
        let until = |second| {
            let looks = begins.iter().filter(|begin| begin.as_secs() < second);
            3 * looks.count()
        };
        assert_eq!((until(1), until(60), until(600)), (24, 141, 1200));
        tokio::time::advance(Duration::from_hours(1)).await;
        let waits: Vec<u64> = (0..9)
            .map(|_| budget.reserve(3).duration_since(Instant::now()).as_secs())
            .collect();
        assert_eq!(
            waits,
            [0, 0, 0, 0, 0, 0, 0, 0, 2],
            "an hour of rest saves up ten seconds"
        );
    }
}
