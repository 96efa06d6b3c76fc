//! What a reconcile is given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::deletions::Tallies;
use super::digest::DigestKey;
use super::driver::Locals;
use super::environment::Local;
use super::metrics::Births;
use super::written::Written;
use super::zadig::{ConnectionKey, Hub, lock};
use crate::api::condition::Reason;
use crate::api::connection::ZadigConnection;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::environment::ZadigEnvironment;
use crate::api::service_binding::ZadigServiceBinding;
use crate::error::{Error, bounded_bytes};
use crate::leader::Tenure;
use crate::plan::access::{Use, Verdict, admits, judge};

/// Longest note of an event, in bytes; Kubernetes takes 1 KiB.
pub(super) const NOTE: usize = 1000;

/// Clients, stores and memory of the controllers.
pub(super) struct Context {
    /// This very one, for what has to ask it later.
    pub(super) this: Weak<Self>,
    pub(super) client: Client,
    pub(super) environments: Store<ZadigEnvironment>,
    pub(super) connections: Store<ZadigConnection>,
    pub(super) hub: Hub,
    /// The deletions behind each connection.
    pub(super) tallies: Tallies,
    pub(super) digests: DigestKey,
    pub(super) reporter: Reporter,
    pub(super) configs: Store<ZadigEnvConfig>,
    pub(super) bindings: Store<ZadigServiceBinding>,
    pub(super) locals: Locals<Local>,
    pub(super) binding_locals: Locals<Local>,
    pub(super) config_locals: Locals<super::env_config::Local>,
    /// Asks for a reconcile of an environment.
    pub(super) wake_environment: UnboundedSender<ObjectRef<ZadigEnvironment>>,
    /// Asks for a reconcile of an object inside an environment.
    pub(super) wake_config: UnboundedSender<ObjectRef<ZadigEnvConfig>>,
    /// Asks for a reconcile of a bound service.
    pub(super) wake_binding: UnboundedSender<ObjectRef<ZadigServiceBinding>>,
    /// Asks for a reconcile of a connection.
    pub(super) connection_wakes: UnboundedSender<ObjectRef<ZadigConnection>>,
    /// When each environment's Ready reason was last told in an event, by uid.
    pub(super) told: Mutex<HashMap<String, Reason>>,
    /// Whether every store shows what is there.
    pub(super) all_listed: AtomicBool,
    /// How often this process made each environment, by uid.
    pub(super) made: Mutex<HashMap<String, u32>>,
    /// What of each status was written last.
    pub(super) written: Written,
    /// The objects that came into being under the eyes of this process.
    pub(super) births: Births,
    /// The connections whose users changed since they were last told.
    pub(super) changed_users: Mutex<BTreeSet<ConnectionKey>>,
    /// Namespace of the operator's own objects.
    pub(super) namespace: String,
    /// Whose connections this process looks after; `None`: those that name no shard.
    pub(super) shard: Option<String>,
    /// Until when this process may write at all.
    pub(super) tenure: Tenure,
    /// Cancelled when nothing new may be begun.
    pub(super) stopping: CancellationToken,
}

impl Context {
    /// The connection that an environment refers to.
    pub(super) fn connection_key(environment: &ZadigEnvironment) -> ConnectionKey {
        let reference = &environment.spec.connection_ref;
        ConnectionKey {
            namespace: reference
                .namespace
                .clone()
                .or_else(|| environment.metadata.namespace.clone())
                .unwrap_or_default(),
            name: reference.name.clone(),
        }
    }

    /// A connection as last seen.
    pub(super) fn connection(&self, key: &ConnectionKey) -> Option<Arc<ZadigConnection>> {
        self.connections
            .get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// Whether an environment may use its connection.
    ///
    /// # Errors
    /// When a grant selects by labels and the namespace's cannot be read.
    pub(super) async fn may_use(
        &self,
        environment: &ZadigEnvironment,
        connection: &ZadigConnection,
    ) -> Result<Verdict, Error> {
        let spec = &environment.spec;
        let from = environment
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default();
        let home = connection.metadata.namespace.as_deref().unwrap_or_default();
        let grants = connection.spec.access.as_deref();
        let by_labels = grants.is_some_and(|grants| {
            grants
                .iter()
                .any(|grant| grant.namespaces.selector.is_some())
        });
        let from_labels: BTreeMap<String, String> = if by_labels {
            self.labels(from).await?
        } else {
            BTreeMap::new()
        };
        let target = super::desired::target_namespace(
            spec.namespace.as_ref(),
            &spec.project_key,
            &spec.env_key,
        );
        let wanted = Use {
            from,
            from_labels: &from_labels,
            project: &spec.project_key,
            scope: spec.scope,
            target: &target,
            operator: &self.namespace,
        };
        Ok(judge(home, grants, &wanted))
    }

    async fn labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = namespaces
            .get_metadata_opt(namespace)
            .await
            .map_err(Error::kubernetes("read the labels of a namespace"))?;
        Ok(found
            .and_then(|namespace| namespace.metadata.labels)
            .unwrap_or_default())
    }

    /// Every environment that refers to a connection.
    pub(super) fn users(&self, key: &ConnectionKey) -> Vec<Arc<ZadigEnvironment>> {
        self.environments
            .state()
            .into_iter()
            .filter(|environment| &Self::connection_key(environment) == key)
            .collect()
    }

    /// Asks for a reconcile of every environment that refers to a connection.
    pub(super) fn wake_users(&self, key: &ConnectionKey) {
        for environment in self.users(key) {
            let _ = self
                .wake_environment
                .send(ObjectRef::from_obj(&*environment));
            self.wake_inside(&environment);
        }
    }

    /// The environment that a config refers to.
    pub(super) fn environment_of(config: &ZadigEnvConfig) -> ObjectRef<ZadigEnvironment> {
        let namespace = config.namespace().unwrap_or_default();
        ObjectRef::new(&config.spec.environment_ref.name).within(&namespace)
    }

    /// The environment that a binding refers to.
    pub(super) fn home_of(binding: &ZadigServiceBinding) -> ObjectRef<ZadigEnvironment> {
        let reference = &binding.spec.environment_ref;
        let namespace = reference.namespace.clone().or_else(|| binding.namespace());
        ObjectRef::new(&reference.name).within(&namespace.unwrap_or_default())
    }

    /// The bindings of an environment's services that are not being deleted, admitted or not.
    pub(super) fn bindings_of(
        &self,
        environment: &ZadigEnvironment,
    ) -> Vec<Arc<ZadigServiceBinding>> {
        let mut bindings = self.all_bindings_of(environment);
        bindings.retain(|it| it.metadata.deletion_timestamp.is_none());
        bindings
    }

    /// The same with those that are being deleted.
    pub(super) fn all_bindings_of(
        &self,
        environment: &ZadigEnvironment,
    ) -> Vec<Arc<ZadigServiceBinding>> {
        let home = ObjectRef::from_obj(environment);
        let mut bindings = self.bindings.state();
        bindings.retain(|it| Self::home_of(it) == home);
        bindings
    }

    /// Whether an environment admits a binding of one of its services.
    ///
    /// # Errors
    /// When it selects namespaces by labels and those cannot be read.
    pub(super) async fn may_bind(
        &self,
        binding: &ZadigServiceBinding,
        environment: &ZadigEnvironment,
    ) -> Result<bool, Error> {
        let grant = environment.spec.bindings.clone().unwrap_or_default();
        let home = environment.namespace().unwrap_or_default();
        let from = binding.namespace().unwrap_or_default();
        let labels = if grant.selector.is_some() {
            self.labels(&from).await?
        } else {
            BTreeMap::new()
        };
        Ok(admits(&grant, &home, &from, &labels))
    }

    /// Whether the connection of an environment is suspended.
    pub(super) fn is_suspended(&self, environment: &ZadigEnvironment) -> bool {
        self.connection(&Self::connection_key(environment))
            .is_some_and(|connection| connection.spec.suspend)
    }

    /// Whether every store shows what is there. Before that everything is asked for by its own list, and nothing is reconciled:
    /// nobody needs to be woken by another's.
    pub(super) fn has_listed_all(&self) -> bool {
        self.all_listed.load(Ordering::Relaxed)
    }

    /// Notes that an environment was made, by which what was inside it is gone.
    pub(super) fn was_made(&self, environment: &ZadigEnvironment) {
        if let Some(uid) = environment.uid() {
            *lock(&self.made).entry(uid).or_default() += 1;
        }
        self.wake_inside(environment);
    }

    /// How often this process made an environment.
    pub(super) fn times_made(&self, environment: &ZadigEnvironment) -> u32 {
        let uid = environment.uid().unwrap_or_default();
        lock(&self.made).get(&uid).copied().unwrap_or_default()
    }

    /// Asks for a reconcile of everything that is declared apart from an environment and belongs to it.
    pub(super) fn wake_inside(&self, environment: &ZadigEnvironment) {
        let (namespace, name) = (environment.namespace(), environment.name_any());
        for config in self.configs.state() {
            if config.namespace() == namespace && config.spec.environment_ref.name == name {
                let _ = self.wake_config.send(ObjectRef::from_obj(&*config));
            }
        }
        self.wake_bindings(environment);
    }

    /// Asks for a reconcile of every bound service of an environment.
    pub(super) fn wake_bindings(&self, environment: &ZadigEnvironment) {
        let home = ObjectRef::from_obj(environment);
        for binding in self.bindings.state() {
            if Self::home_of(&binding) == home {
                let _ = self.wake_binding.send(ObjectRef::from_obj(&*binding));
            }
        }
    }

    /// Whether a change may be sent to Zadig.
    pub(super) fn may_act(&self) -> bool {
        !self.stopping.is_cancelled() && !self.tenure.is_over()
    }

    /// Asks for a reconcile of a connection.
    pub(super) fn wake_connection(&self, key: &ConnectionKey) {
        let _ = self
            .connection_wakes
            .send(ObjectRef::new(&key.name).within(&key.namespace));
    }

    /// Notes that an environment came to a connection, changed, or went.
    pub(super) fn users_changed(&self, key: ConnectionKey) {
        lock(&self.changed_users).insert(key);
    }

    /// The connections whose users changed, once each.
    pub(super) fn take_changed_users(&self) -> BTreeSet<ConnectionKey> {
        std::mem::take(&mut *lock(&self.changed_users))
    }

    /// Sends an event. One that is lost is no reason to fail: in a namespace that is being deleted none can be written.
    pub(super) async fn event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(bounded_bytes(note, NOTE)),
            action: action.to_owned(),
            secondary: None,
        };
        // A recorder that lives longer would count an event of the same reason up and keep the first one's note.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(error = crate::error::chain(&error), "event not written");
        }
    }
}
