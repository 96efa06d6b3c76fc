//! The one place where the writes of an object are let through: its claim in Kubernetes, and its calls of Zadig.
//!
//! A call can wait for minutes between the decision and its first byte. What it was decided on is asked for again when nothing is
//! left to wait for.

use std::sync::{Arc, Weak};

use kube::ResourceExt;
use kube::runtime::events::EventType;
use kube::runtime::reflector::{ObjectRef, Store};
use zadig_client::Gate;

use super::context::Context;
use super::driver::{self, Managed};
use super::home;
use super::outcome::Outcome;
use super::zadig::{ConnectionKey, Zadig};
use crate::api::DELETION_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{Ownership, ZadigEnvironment};
use crate::api::management::Management;
use crate::error::Error;
use crate::plan::environment::{EnvKey, EnvStatus};
use crate::telemetry::table;

/// Who writes, and where.
pub(super) struct Writer<'a, K> {
    /// The object that is written for.
    pub(super) object: &'a K,
    /// Clients and memory of the process.
    pub(super) ctx: &'a Context,
    /// The Zadig that is written to, through a client that writes while [`Self::may_write`].
    pub(super) zadig: Zadig,
    /// The environment that is written to.
    pub(super) key: &'a EnvKey,
    gate: Arc<dyn Gate>,
    needs: Needs,
}

/// Open as long as nothing is known of what a plan was made from but what was known then: this process may write, nobody has
/// changed the object or its environment (their switches are part of that), and the connection may be used.
struct Unchanged<K: Managed> {
    ctx: Weak<Context>,
    object: Version<K>,
    home: Version<ZadigEnvironment>,
    looks_on: bool,
    connection: ConnectionKey,
}

/// An object, and what was declared by it.
struct Version<K: Managed> {
    name: ObjectRef<K>,
    declared: Declared,
}

/// Uid, generation and the annotation that releases without a call.
type Declared = (Option<String>, Option<i64>, Option<String>);

impl<K: Managed> Version<K> {
    fn of(object: &K) -> Self {
        Self {
            name: ObjectRef::from_obj(object),
            declared: Self::declared(object),
        }
    }

    fn declared(object: &K) -> Declared {
        let way_out = object.annotations().get(DELETION_ANNOTATION).cloned();
        (object.uid(), object.meta().generation, way_out)
    }

    fn is_last(&self, known: &Store<K>) -> bool {
        let now = known.get(&self.name);
        now.is_some_and(|now| Self::declared(&now) == self.declared)
    }
}

impl<K: Managed> Gate for Unchanged<K> {
    fn is_open(&self) -> bool {
        let Some(ctx) = self.ctx.upgrade() else {
            return false;
        };
        let connection = ctx.connection(&self.connection);
        // Of an environment that is only observed nothing that is planned gets here; this is the lock behind that door.
        !self.looks_on
            && ctx.may_act()
            && ctx.has(&self.connection)
            && connection.is_some_and(|connection| !connection.spec.suspend)
            && self.object.is_last(K::store(&ctx))
            && self.home.is_last(&ctx.environments)
    }
}

/// What an environment has to be like at the moment of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Needs {
    /// Anything: it is created by the call, or only the call helps it.
    Nothing,
    /// Idle, by a list that is sent just before: Zadig takes most calls while it works, and writes the whole record from an older
    /// copy afterwards (Z§7.3).
    Idle,
}

impl Needs {
    /// What the calls of a plan need that was made of an environment with this status: one that was idle has to be so still, as
    /// somebody else may have been faster. A plan for any other knows what it is like.
    pub(super) fn after(status: Option<&EnvStatus>) -> Self {
        if status.is_some_and(EnvStatus::can_change) {
            Self::Idle
        } else {
            Self::Nothing
        }
    }
}

/// What became of a call.
pub(super) enum Sent {
    /// It was not made, as it may not be at this moment.
    Held,
    /// It was made, and this is the answer.
    Answered(Result<(), Error>),
}

impl<'a, K: Managed> Writer<'a, K> {
    /// One that writes for an object of `home`, to which `key` leads in `zadig`, what was planned when they were like this.
    pub(super) fn new(
        ctx: &'a Context,
        (object, home): (&'a K, &ZadigEnvironment),
        (zadig, key): (&Zadig, &'a EnvKey),
        needs: Needs,
    ) -> Self {
        let gate: Arc<dyn Gate> = Arc::new(Unchanged {
            ctx: Weak::clone(&ctx.this),
            object: Version::of(object),
            home: Version::of(home),
            looks_on: home.spec.management == Management::Observe,
            connection: zadig.connection.clone(),
        });
        let client = zadig.client.behind(Arc::clone(&gate));
        Self {
            object,
            ctx,
            zadig: zadig.through(client),
            key,
            gate,
            needs,
        }
    }

    /// Whether anything may be begun for this object. A call is asked this once more just before it leaves.
    pub(super) fn may_write(&self) -> bool {
        self.gate.is_open()
    }

    /// Stores whose object it is, with the finalizer; false: not now, or not any more.
    ///
    /// # Errors
    /// When Kubernetes refuses it.
    pub(super) async fn claim(&self, ownership: &Ownership) -> Result<bool, Error> {
        if !self.may_write() {
            return Ok(false);
        }
        driver::claim(self.object, self.ctx, ownership).await
    }

    /// Makes one call, once all changes of the same environment that came before it are answered.
    ///
    /// # Errors
    /// When it cannot be told whether the environment is as it has to be. The answer of the call itself is in [`Sent`].
    pub(super) async fn send(
        &self,
        call: impl Future<Output = Result<(), Error>> + Send,
    ) -> Result<Sent, Error> {
        self.send_if(async { Ok(true) }, call).await
    }

    /// The same if something `still` holds when its turn has come that the object and its environment do not tell.
    ///
    /// # Errors
    /// The same, and when that cannot be told.
    pub(super) async fn send_if(
        &self,
        still: impl Future<Output = Result<bool, Error>> + Send,
        call: impl Future<Output = Result<(), Error>> + Send,
    ) -> Result<Sent, Error> {
        let turn = self.zadig.server().turn(self.key);
        let _turn = turn.lock().await;
        if self.needs == Needs::Idle && !home::can_change(&self.zadig, self.key).await? {
            return Ok(Sent::Held);
        }
        if !still.await? || !self.may_write() {
            return Ok(Sent::Held);
        }
        Ok(match call.await {
            Err(error) if error.was_withheld() => Sent::Held,
            answer => Sent::Answered(answer),
        })
    }

    /// What is told of an object after these changes.
    pub(super) fn sent(&self, changes: &str) -> Outcome {
        let reason = match self.object.meta().deletion_timestamp {
            Some(_) => Reason::Deleting,
            None => Reason::Applying,
        };
        Outcome::Working(reason, format!("sent to Zadig: {changes}"))
    }

    /// Tells of a call that was answered well.
    pub(super) async fn tell(&self, word: &'static str, summary: &str) {
        tracing::info!(action = summary, "sent to zadig");
        table::ACTIONS.increment(&[word]);
        self.ctx
            .event(self.object, EventType::Normal, word, "Act", summary)
            .await;
    }
}
