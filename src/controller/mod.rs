//! The only module that touches the network: watches, queues, the drivers of each kind, and the watcher of Zadig's lists.

mod connection;
mod context;
mod deletions;
mod desired;
mod digest;
mod driver;
mod env_config;
mod environment;
mod fence;
mod home;
mod link;
mod management;
mod metrics;
mod outcome;
mod queue;
mod rendered;
mod secrets;
mod service_binding;
mod shard;
mod watch;
mod write;
mod written;
mod zadig;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PartialObjectMeta;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::context::Context;
use self::deletions::Tallies;
use self::desired::SourceKind;
use self::digest::DigestKey;
use self::driver::Locals;
use self::metrics::Births;
use self::written::Written;
use self::zadig::{ConnectionKey, Hub, List, Listed, Zadig};
use crate::api::connection::ZadigConnection;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::environment::ZadigEnvironment;
use crate::api::service_binding::ZadigServiceBinding;
use crate::api::{CONNECTION_FINALIZER, FINALIZER};
use crate::leader::Tenure;
use crate::plan::environment::production::licence_missing;
use crate::telemetry;

/// How often it is checked which lists are due.
const TICK: Duration = Duration::from_millis(250);
/// How soon a list is sent again that was refused as when the licence service does not answer.
const LICENCE_RETRY: Duration = Duration::from_mins(2);
/// How often a connection is told that its users changed: a thousand that come at once are one change.
const USERS_TICK: Duration = Duration::from_secs(1);
/// How many changed Secrets or ConfigMaps are looked up together.
const SOURCES_AT_ONCE: usize = 1000;

/// What the controllers need to know of their process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the operator's own objects (Lease, digest key).
    pub namespace: String,
    /// Namespaces to watch; empty: all.
    pub watch_namespaces: Vec<String>,
    /// The shard whose connections are looked after; `None`: the connections that name none.
    pub shard: Option<String>,
    /// Whether Secrets are watched; otherwise a changed one is noticed at the next thorough look.
    pub watch_secrets: bool,
    /// Reconciles of one kind at the same time.
    pub concurrency: u16,
}

/// Why the controllers could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key of the digests can be neither read nor made.
    #[error("failed to load the digest key")]
    DigestKey(#[source] crate::error::Error),
}

/// Runs the controllers until `shutdown`; calls that are under way then are finished, and what came of them is told. `listed` is called
/// once every object is known: nothing is done before.
///
/// # Guarantees
/// No change is sent to Zadig after `shutdown`, and nothing is written at all once the `tenure` is over: both are asked when a request has
/// waited for everything else.
///
/// # Errors
/// When they cannot start.
pub async fn run(
    client: Client,
    settings: Settings,
    tenure: Tenure,
    shutdown: CancellationToken,
    listed: impl FnOnce() + Send,
) -> Result<(), Error> {
    let client = fence::fenced(client, tenure.clone());
    let digests = DigestKey::load(&client, &settings.namespace)
        .await
        .map_err(Error::DigestKey)?;
    let (environments, environments_writer) = reflector::store();
    let (configs, configs_writer) = reflector::store();
    let (bindings, bindings_writer) = reflector::store();
    let (connections, connections_writer) = reflector::store();
    let (wake_environment, environments_woken) = mpsc::unbounded_channel();
    let (wake_config, configs_woken) = mpsc::unbounded_channel();
    let (wake_binding, bindings_woken) = mpsc::unbounded_channel();
    let (wake_connection, connections_woken) = mpsc::unbounded_channel();
    let ctx = Arc::new_cyclic(|this| Context {
        this: Weak::clone(this),
        reporter: Reporter {
            controller: "zadig-operator".to_owned(),
            instance: None,
        },
        client: client.clone(),
        environments: environments.clone(),
        configs: configs.clone(),
        bindings: bindings.clone(),
        connections: connections.clone(),
        hub: Hub::default(),
        tallies: Tallies::default(),
        digests,
        locals: Locals::default(),
        config_locals: Locals::default(),
        binding_locals: Locals::default(),
        wake_environment,
        wake_config,
        wake_binding,
        connection_wakes: wake_connection,
        told: Mutex::default(),
        all_listed: AtomicBool::default(),
        made: Mutex::default(),
        written: Written::default(),
        births: Births::default(),
        changed_users: Mutex::default(),
        namespace: settings.namespace.clone(),
        shard: settings.shard.clone(),
        tenure,
        stopping: shutdown.clone(),
    });
    let source: Weak<Context> = Arc::downgrade(&ctx);
    telemetry::sampled::ask(source);

    let environment_changes = {
        let ctx = Arc::clone(&ctx);
        watch::own(&client, &settings.watch_namespaces, environments_writer).map(move |object| {
            if ctx.has_listed_all() {
                on_environment(&ctx, &object);
            }
            ObjectRef::from_obj(&*object)
        })
    };
    let config_changes = {
        let ctx = Arc::clone(&ctx);
        watch::own(&client, &settings.watch_namespaces, configs_writer).map(
            move |object: Arc<ZadigEnvConfig>| {
                if ctx.has_listed_all() {
                    on_config(&ctx, &object);
                }
                ObjectRef::from_obj(&*object)
            },
        )
    };
    let binding_changes = {
        let ctx = Arc::clone(&ctx);
        watch::own(&client, &settings.watch_namespaces, bindings_writer).map(
            move |object: Arc<ZadigServiceBinding>| {
                if ctx.has_listed_all() {
                    on_binding(&ctx, &object);
                }
                ObjectRef::from_obj(&*object)
            },
        )
    };
    let connection_changes = {
        let ctx = Arc::clone(&ctx);
        watch::own(&client, &settings.watch_namespaces, connections_writer).map(
            move |object: Arc<ZadigConnection>| {
                let key = connection::key(&object);
                if ctx.connection(&key).is_none() || !ctx.has(&key) {
                    // Deleted, or another shard's now, which needs no reconcile: its token is not used any more.
                    ctx.hub.remove(&key);
                    ctx.tallies.remove(&key);
                }
                if ctx.has_listed_all() {
                    ctx.wake_users(&key);
                }
                ObjectRef::from_obj(&*object)
            },
        )
    };
    let environments_done = queue::run(
        environments,
        all_listed(&ctx),
        stream::select(environment_changes, woken(environments_woken)),
        settings.concurrency.into(),
        &shutdown,
        |object| shard::reconcile(object, &ctx, environment::reconcile),
    );
    let configs_done = queue::run(
        configs,
        all_listed(&ctx),
        stream::select(config_changes, woken(configs_woken)),
        settings.concurrency.into(),
        &shutdown,
        |object| shard::reconcile(object, &ctx, env_config::reconcile),
    );
    let bindings_done = queue::run(
        bindings,
        all_listed(&ctx),
        stream::select(binding_changes, woken(bindings_woken)),
        settings.concurrency.into(),
        &shutdown,
        |object| shard::reconcile(object, &ctx, service_binding::reconcile),
    );
    let connections_done = queue::run(
        connections,
        all_listed(&ctx),
        stream::select(connection_changes, woken(connections_woken)),
        settings.concurrency.into(),
        &shutdown,
        |object| shard::reconcile(object, &ctx, connection::reconcile),
    );
    let watching = async {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = async {
                tokio::join!(
                    async {
                        all_listed(&ctx).await;
                        listed();
                    },
                    async {
                        if settings.watch_secrets {
                            source_changes::<Secret>(&client, &settings, &ctx, SourceKind::Secret).await;
                        }
                    },
                    source_changes::<ConfigMap>(&client, &settings, &ctx, SourceKind::ConfigMap),
                    watch_lists(&ctx),
                    tell_connections(&ctx),
                );
            } => {}
        }
    };
    tokio::join!(
        environments_done,
        configs_done,
        bindings_done,
        connections_done,
        watching
    );
    Ok(())
}

/// Waits until every store shows what is there: what is not listed yet would be taken for what does not exist, and a service
/// whose binding is not seen for one that may be pruned.
async fn all_listed(ctx: &Context) {
    // An error means that the watch ended, and with it the process.
    let _ = tokio::join!(
        ctx.connections.wait_until_ready(),
        ctx.environments.wait_until_ready(),
        ctx.configs.wait_until_ready(),
        ctx.bindings.wait_until_ready(),
    );
    ctx.all_listed.store(true, Ordering::Relaxed);
}

/// An object that changed may be what an environment waits for, and may end another's conflict.
fn on_config(ctx: &Context, object: &ZadigEnvConfig) {
    let namespace = object.namespace().unwrap_or_default();
    let reference = &object.spec.environment_ref;
    let home = Context::environment_of(object);
    if let Some(environment) = ctx.environments.get(&home)
        && environment
            .spec
            .config_refs
            .iter()
            .any(|config| config.name == object.name_any())
    {
        let _ = ctx.wake_environment.send(home);
    }
    for other in ctx.configs.state() {
        let same = other.namespace().as_deref() == Some(&namespace)
            && other.spec.environment_ref == *reference
            && other.spec.name == object.spec.name
            && other.uid() != object.uid();
        if same {
            let _ = ctx.wake_config.send(ObjectRef::from_obj(&*other));
        }
    }
}

/// A binding that changed decides what its environment may prune, and may end another's conflict.
fn on_binding(ctx: &Context, object: &ZadigServiceBinding) {
    let home = Context::home_of(object);
    for other in ctx.bindings.state() {
        let same = Context::home_of(&other) == home
            && other.spec.service.name == object.spec.service.name
            && other.uid() != object.uid();
        if same {
            let _ = ctx.wake_binding.send(ObjectRef::from_obj(&*other));
        }
    }
    let _ = ctx.wake_environment.send(home);
}

/// A changed environment may end another's conflict, the need for its connection, and what is inside it waits for it.
fn on_environment(ctx: &Context, object: &ZadigEnvironment) {
    let key = Context::connection_key(object);
    let needs = object.finalizers().iter().any(|name| name == FINALIZER);
    let kept = ctx.connection(&key).is_none_or(|connection| {
        let finalizers = connection.finalizers();
        finalizers.iter().any(|name| name == CONNECTION_FINALIZER)
    });
    if needs && !kept {
        ctx.wake_connection(&key);
    } else {
        ctx.users_changed(key);
    }
    ctx.wake_inside(object);
    environment::wake_related(ctx, object);
    for other in ctx.environments.state() {
        let same = other.spec.project_key == object.spec.project_key
            && other.spec.env_key == object.spec.env_key
            && other.uid() != object.uid();
        if same {
            let _ = ctx.wake_environment.send(ObjectRef::from_obj(&*other));
        }
    }
}

/// Those that somebody wants reconciled.
fn woken<T>(mut woken: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |cx| woken.poll_recv(cx))
}

/// Wakes whoever refers to a Secret or ConfigMap that changed. Only metadata is watched; values are read by name.
async fn source_changes<K>(client: &Client, settings: &Settings, ctx: &Context, kind: SourceKind)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let apis = watch::apis::<PartialObjectMeta<K>>(client, &settings.watch_namespaces);
    let changes = stream::select_all(apis.into_iter().map(|api| {
        Box::pin(
            kube::runtime::watcher(api, watcher::Config::default())
                .default_backoff()
                .touched_objects(),
        )
    }));
    // A list of thousands is one look through our objects, not thousands.
    let mut changes = changes.ready_chunks(SOURCES_AT_ONCE);
    while let Some(chunk) = changes.next().await {
        let mut by_namespace: HashMap<Option<String>, HashSet<(SourceKind, String)>> =
            HashMap::new();
        for change in chunk {
            match change {
                Ok(object) => {
                    let of_namespace = by_namespace.entry(object.namespace()).or_default();
                    of_namespace.insert((kind, object.name_any()));
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    let kind = K::kind(&());
                    tracing::warn!(%kind, error, "a watch failed and begins anew");
                }
            }
        }
        let in_namespace = |namespace: Option<String>| by_namespace.get(&namespace);
        for environment in ctx.environments.state() {
            if let Some(changed) = in_namespace(environment.namespace())
                && names_one(changed, desired::sources(&environment.spec))
            {
                let _ = ctx
                    .wake_environment
                    .send(ObjectRef::from_obj(&*environment));
            }
        }
        for config in ctx.configs.state() {
            if let Some(changed) = in_namespace(config.namespace())
                && names_one(changed, env_config::sources(&config.spec))
            {
                let _ = ctx.wake_config.send(ObjectRef::from_obj(&*config));
            }
        }
        for binding in ctx.bindings.state() {
            if let Some(changed) = in_namespace(binding.namespace())
                && names_one(changed, service_binding::sources(&binding.spec))
            {
                let _ = ctx.wake_binding.send(ObjectRef::from_obj(&*binding));
            }
        }
        for connection in ctx.connections.state() {
            if let Some(changed) = in_namespace(connection.namespace())
                && names_one(changed, connection::sources(&connection))
            {
                ctx.wake_connection(&connection::key(&connection));
            }
        }
    }
}

fn names_one(
    changed: &HashSet<(SourceKind, String)>,
    sources: impl IntoIterator<Item = (SourceKind, String)>,
) -> bool {
    sources.into_iter().any(|source| changed.contains(&source))
}

/// Has the connections reconciled whose users changed.
async fn tell_connections(ctx: &Context) {
    loop {
        tokio::time::sleep(USERS_TICK).await;
        for key in ctx.take_changed_users() {
            ctx.wake_connection(&key);
        }
    }
}

/// The environments of a project in one scope, as one connection sees them.
type Place = (ConnectionKey, Listed);

/// What a look at a list came to.
type ListResult = Result<Arc<List>, crate::error::Error>;

/// When the next list of each is due, `None` while one is under way, and the last one.
type Due = HashMap<Place, (Option<Instant>, Option<Arc<List>>)>;

/// Keeps one list per project and scope fresh and wakes the objects whose environment changed in it (design §6).
async fn watch_lists(ctx: &Arc<Context>) {
    let mut due: Due = HashMap::new();
    let mut looks = FuturesUnordered::new();
    let mut ticks: u32 = 0;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A Zadig that is slow to answer holds up nobody else's lists.
        tokio::select! {
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                if ticks % 240 == 1 {
                    forget_gone(ctx);
                }
                let links = ctx.hub.up();
                due.retain(|(connection, _), _| links.iter().any(|(key, _)| key == connection));
                looks.extend(due_lists(ctx, links, &mut due).into_iter().map(look));
            }
            Some((place, zadig, list)) = looks.next() => {
                listed(ctx, place, &zadig, list, &mut due);
            }
        }
    }
}

/// Forgets what was remembered of objects that are gone.
fn forget_gone(ctx: &Context) {
    let environments = ctx.environments.state();
    let uids: BTreeSet<String> = environments.iter().filter_map(|it| it.uid()).collect();
    let configs = ctx.configs.state();
    let configs: BTreeSet<String> = configs.iter().filter_map(|it| it.uid()).collect();
    let bindings = ctx.bindings.state();
    let bindings: BTreeSet<String> = bindings.iter().filter_map(|it| it.uid()).collect();
    ctx.locals.keep(&uids);
    ctx.config_locals.keep(&configs);
    ctx.binding_locals.keep(&bindings);
    let is_there =
        |uid: &str| uids.contains(uid) || configs.contains(uid) || bindings.contains(uid);
    zadig::lock(&ctx.told).retain(|uid, _| is_there(uid));
    zadig::lock(&ctx.made).retain(|uid, _| uids.contains(uid));
    let connections = ctx.connections.state();
    let connections: BTreeSet<String> = connections.iter().filter_map(|it| it.uid()).collect();
    let is_there = |uid: &str| is_there(uid) || connections.contains(uid);
    ctx.births.keep(is_there);
    ctx.written.keep(is_there);
}

/// The lists that are due, which are noted as under way.
fn due_lists(
    ctx: &Context,
    links: Vec<(ConnectionKey, Arc<Zadig>)>,
    due: &mut Due,
) -> Vec<(Place, Arc<Zadig>)> {
    let mut used: HashMap<ConnectionKey, BTreeSet<Listed>> = HashMap::new();
    for environment in ctx.environments.state() {
        if !environment.spec.suspend {
            used.entry(Context::connection_key(&environment))
                .or_default()
                .insert((environment.spec.scope, environment.spec.project_key.clone()));
        }
    }
    let now = Instant::now();
    let mut looks = Vec::new();
    for (key, zadig) in links {
        let mut wanted = used.remove(&key).unwrap_or_default();
        wanted.retain(|(scope, _)| licence_missing(*scope, zadig.licence()).is_none());
        zadig.keep_lists(&wanted);
        due.retain(|(connection, listed), _| connection != &key || wanted.contains(listed));
        for listed in wanted {
            let place = (key.clone(), listed);
            let slot = due.entry(place.clone()).or_insert_with(|| {
                let first = zadig.intervals.list.mul_f64(0.5 + fastrand::f64() / 2.0);
                (Some(now + first), None)
            });
            if slot.0.is_some_and(|at| at <= now) {
                slot.0 = None;
                looks.push((place, Arc::clone(&zadig)));
            }
        }
    }
    looks
}

async fn look((place, zadig): (Place, Arc<Zadig>)) -> (Place, Arc<Zadig>, ListResult) {
    let now = Instant::now();
    let since = now.checked_sub(zadig.intervals.list / 2).unwrap_or(now);
    let (scope, project) = &place.1;
    let list = zadig.list(*scope, project, since).await;
    (place, zadig, list)
}

/// Notes when the next list is due, and wakes whose environment is not as in the last one.
fn listed(ctx: &Context, place: Place, zadig: &Zadig, list: ListResult, due: &mut Due) {
    let Some(slot) = due.get_mut(&place) else {
        // Nobody works in the project any more.
        return;
    };
    let next = Instant::now() + zadig.intervals.list.mul_f64(1.0 - fastrand::f64() / 20.0);
    slot.0 = Some(next);
    let (key, (scope, project)) = place;
    let list = match list {
        Ok(list) => list,
        Err(error) => {
            if error.may_be_licence() {
                // It is asked for at each production list and says nothing of Zadig as a whole (Z§1.3).
                slot.0 = Some(next.max(Instant::now() + LICENCE_RETRY));
            } else {
                // Whether it is the list, the token or Zadig as a whole is told by the connection.
                zadig.forget_probe();
                ctx.wake_connection(&key);
            }
            slot.1 = None;
            return;
        }
    };
    let before = slot.1.replace(Arc::clone(&list));
    for environment in ctx.users(&key) {
        let env = &environment.spec.env_key;
        // After a failure everybody looks again, whose own retry may be minutes away.
        let changed = before
            .as_ref()
            .is_none_or(|before| before.environments.get(env) != list.environments.get(env));
        let listed = environment.spec.project_key == project && environment.spec.scope == scope;
        if listed && changed {
            let _ = ctx
                .wake_environment
                .send(ObjectRef::from_obj(&*environment));
            ctx.wake_bindings(&environment);
            environment::wake_related(ctx, &environment);
        }
    }
}
