//! Which objects this process looks after: the connections of its shard, and what refers to them (design §7).
//!
//! Every process watches all objects, since a conflict between two of them does not end at a shard; it reconciles its own.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::connection;
use super::context::Context;
use super::queue::Requeue;
use super::zadig::{ConnectionKey, lock};
use crate::api::SHARD_LABEL;
use crate::api::connection::ZadigConnection;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::environment::ZadigEnvironment;
use crate::api::service_binding::ZadigServiceBinding;

/// An object that belongs to a shard.
pub(super) trait Sharded: Resource<DynamicType = ()> {
    /// Whether this process looks after it. What refers to nothing that is there belongs to the processes without a shard.
    fn is_ours(&self, ctx: &Context) -> bool;
}

impl Sharded for ZadigConnection {
    fn is_ours(&self, ctx: &Context) -> bool {
        ctx.has(&connection::key(self))
    }
}

impl Sharded for ZadigEnvironment {
    fn is_ours(&self, ctx: &Context) -> bool {
        ctx.has(&Context::connection_key(self))
    }
}

impl Sharded for ZadigEnvConfig {
    fn is_ours(&self, ctx: &Context) -> bool {
        ctx.has_inside(&Context::environment_of(self))
    }
}

impl Sharded for ZadigServiceBinding {
    fn is_ours(&self, ctx: &Context) -> bool {
        ctx.has_inside(&Context::home_of(self))
    }
}

impl Context {
    /// Whether a connection belongs to the shard of this process; one that is not there names none.
    pub(super) fn has(&self, key: &ConnectionKey) -> bool {
        let connection = self.connection(key);
        let named = connection
            .as_ref()
            .and_then(|it| it.labels().get(SHARD_LABEL));
        named.filter(|name| !name.is_empty()) == self.shard.as_ref()
    }

    fn has_inside(&self, home: &ObjectRef<ZadigEnvironment>) -> bool {
        match self.environments.get(home) {
            Some(environment) => environment.is_ours(self),
            None => self.shard.is_none(),
        }
    }
}

/// Reconciles an object of ours. Of another's nothing is remembered: it has moved on when it comes back.
pub(super) fn reconcile<K, F>(
    object: Arc<K>,
    ctx: &Arc<Context>,
    attempt: impl FnOnce(Arc<K>, Arc<Context>) -> F,
) -> impl Future<Output = Requeue> + Send + 'static
where
    K: Sharded + ResourceExt,
    F: Future<Output = Requeue> + Send + 'static,
{
    let ours = object.is_ours(ctx);
    if !ours {
        let uid = object.uid().unwrap_or_default();
        ctx.locals.forget(&uid);
        ctx.config_locals.forget(&uid);
        ctx.binding_locals.forget(&uid);
        lock(&ctx.told).remove(&uid);
    }
    let attempt = ours.then(|| attempt(object, Arc::clone(ctx)));
    async move {
        match attempt {
            Some(attempt) => attempt.await,
            None => Requeue::when_asked(),
        }
    }
}
