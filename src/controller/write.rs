//! The one place where the writes of an object are let through: its claim in Kubernetes, and its calls of Zadig.

use kube::runtime::events::EventType;

use super::context::Context;
use super::driver::{self, Managed};
use super::home;
use super::outcome::Outcome;
use super::zadig::Zadig;
use crate::api::condition::Reason;
use crate::api::environment::Ownership;
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
    /// The Zadig that is written to.
    pub(super) zadig: &'a Zadig,
    /// The environment that is written to.
    pub(super) key: &'a EnvKey,
    /// How the environment is managed.
    pub(super) management: Management,
    /// What the environment has to be like at the moment of a call.
    pub(super) needs: Needs,
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

impl<K: Managed> Writer<'_, K> {
    /// Whether anything may be begun for this object. Of an environment that is only observed nothing that is planned gets
    /// here; this is the lock behind that door.
    pub(super) fn may_write(&self) -> bool {
        self.management != Management::Observe
            && self.ctx.may_act()
            && self.ctx.has(&self.zadig.connection)
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
        let turn = self.zadig.turn(self.key);
        let _turn = turn.lock().await;
        if self.needs == Needs::Idle && !home::can_change(self.zadig, self.key).await? {
            return Ok(Sent::Held);
        }
        if !self.may_write() {
            return Ok(Sent::Held);
        }
        Ok(Sent::Answered(call.await))
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
