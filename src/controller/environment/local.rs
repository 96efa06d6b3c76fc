//! What this process remembers of one object between reconciles. All of it may be lost; nothing that may not is kept here alone.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::act;
use crate::api::environment::Ownership;
use crate::api::management::ProposedPlan;
use crate::controller::driver::{self, Failures, Rest, Step};
use crate::controller::outcome::Outcome;
use crate::controller::write::Writer;
use crate::error::Error;
use crate::plan::environment::health::{self, Outlook, Trouble};
use crate::plan::environment::memory::{Memory, Retry};
use crate::plan::environment::{Action, Bound, Detail, Environment};

/// How often services are looked at that have been unhealthy for a while: the list does not show that they mend.
const UNHEALTHY_LOOK: Duration = Duration::from_mins(1);

/// What is remembered of one object.
pub(in crate::controller) struct Local {
    /// The remembered part of its status. Taken from the status once; afterwards this is newer than any copy of the object
    /// that a watch may still hold.
    pub(in crate::controller) memory: Memory,
    /// Whose environment it is; like `memory`.
    pub(in crate::controller) record: Option<Ownership>,
    /// The plan that was last shown, or is carried out after an approval; like `memory`.
    pub(in crate::controller) plan: Option<ProposedPlan>,
    /// Whether `memory`, `record` and `plan` were taken.
    pub(in crate::controller) loaded: bool,
    /// What was declared at the last complete look: generation, digest of the resolved values, reconcile-now annotation.
    pub(in crate::controller) declared: Option<(i64, String, Option<String>)>,
    /// Zadig's status and `update_time` at the last complete look.
    pub(in crate::controller) seen: Option<(String, i64)>,
    /// The services that bindings claimed at the last complete look.
    pub(in crate::controller) bound: BTreeMap<String, Bound>,
    /// Nothing is under way: the next look is due when something changes, or when the rest is over.
    pub(in crate::controller) rest: Option<Rest>,
    /// What a thorough look costs, in calls.
    pub(in crate::controller) calls_per_look: usize,
    /// The last plan was blocked: what was looked up by name is looked up again.
    pub(in crate::controller) blocked: bool,
    /// Failed attempts in a row.
    pub(in crate::controller) failures: Failures,
    /// When the environment was first missed in a list.
    pub(in crate::controller) absent_since: Option<Instant>,
    /// Lists must be younger than this: the moment of our last write.
    pub(in crate::controller) wrote: Option<Instant>,
    /// The moment of our last write, for people.
    pub(in crate::controller) wrote_at: Option<Timestamp>,
    /// Since when a service is unhealthy without a write of ours.
    pub(in crate::controller) unhealthy_since: Option<Timestamp>,
    /// The end of its `ttl` that was warned of.
    pub(in crate::controller) warned: Option<Timestamp>,
    /// The end of its `ttl` that was told not to be believed.
    pub(in crate::controller) doubted: Option<Timestamp>,
    /// Zadig's word, and since when.
    word: Option<(String, Timestamp)>,
}

impl Local {
    /// Nothing is known.
    pub(in crate::controller) fn new() -> Self {
        Self {
            memory: Memory::default(),
            record: None,
            plan: None,
            loaded: false,
            declared: None,
            seen: None,
            bound: BTreeMap::new(),
            rest: None,
            calls_per_look: 3,
            blocked: false,
            failures: Failures::default(),
            absent_since: None,
            wrote: None,
            wrote_at: None,
            unhealthy_since: None,
            warned: None,
            doubted: None,
            word: None,
        }
    }

    /// Takes over the word and its time from a status, once.
    pub(in crate::controller) fn load_word(&mut self, word: &str, since: Timestamp) {
        self.word.get_or_insert_with(|| (word.to_owned(), since));
    }

    /// Since when Zadig says `word`, as far as was seen.
    pub(in crate::controller) fn status_since(&mut self, word: &str, now: Timestamp) -> Timestamp {
        match &self.word {
            Some((known, since)) if known == word => *since,
            _ => {
                self.word = Some((word.to_owned(), now));
                now
            }
        }
    }

    /// Notes a write.
    pub(in crate::controller) fn wrote(&mut self, now: Timestamp) {
        self.wrote = Some(Instant::now());
        self.wrote_at = Some(now);
        self.unhealthy_since = None;
        self.rest = None;
    }

    /// Makes one call of an environment and remembers that it is under way, and then that it was answered; nothing of one that was
    /// not sent.
    pub(in crate::controller) async fn call<K>(
        &mut self,
        writer: &Writer<'_, K>,
        action: &Action,
        declared: Option<&Environment>,
        detail: Option<&Detail>,
    ) -> Result<(), Error> {
        let before = (self.memory.clone(), self.wrote_at);
        self.wrote(Timestamp::now());
        self.memory
            .sending(action, declared, detail, Timestamp::now());
        let sent = act::send(&writer.zadig, writer.key, action).await;
        self.wrote(Timestamp::now());
        if sent.as_ref().is_err_and(Error::was_withheld) {
            (self.memory, self.wrote_at) = before;
        }
        sent
    }

    /// How young the list of the project has to be.
    pub(in crate::controller) fn list_since(&self, interval: Duration, deleting: bool) -> Instant {
        // A list that was sent before our own write does not show it; one that follows the first sign of absence has to be new.
        let after = [self.wrote, self.absent_since];
        driver::list_since(self.rest.is_some() && !deleting, interval, after)
    }

    /// Before a look: forgets repairs that no longer count, and all of them when a person spoke.
    pub(in crate::controller) fn forget_repairs(&mut self, person_spoke: bool, now: Timestamp) {
        if person_spoke {
            self.memory.repairs.forget();
            self.memory.retry = Retry::Now;
        }
        self.memory.repairs.fade(self.wrote_at, now);
    }

    /// When the next thorough look is due, where one is due in every interval.
    pub(in crate::controller) fn look_after(&self, interval: Duration) -> Duration {
        if self.rest.as_ref().is_some_and(Rest::is_granted) {
            driver::jittered(interval)
        } else {
            // A thousand that settle together, as after a restart, are not to be due together ever after.
            interval.mul_f64(0.1 + 0.9 * fastrand::f64())
        }
    }

    /// What is told of the services once nothing is left to send; the next look at healthy ones is due after `look_after`.
    pub(in crate::controller) fn diagnose(
        &mut self,
        trouble: Option<(Trouble, String)>,
        was_ready: bool,
        look_after: Duration,
        now: Timestamp,
    ) -> Diagnosis {
        self.rest = Some(Rest::new(look_after));
        let Some((trouble, message)) = trouble else {
            self.unhealthy_since = None;
            return Diagnosis::Healthy;
        };
        let age =
            |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let since_change = self.wrote_at.map_or(Duration::MAX, age);
        let seen_for = age(*self.unhealthy_since.get_or_insert(now));
        match health::judge(Some(trouble), since_change, seen_for, was_ready) {
            Outlook::Ready => Diagnosis::Healthy,
            Outlook::Progressing => {
                self.rest = None;
                let after =
                    (since_change / 4).clamp(Duration::from_secs(1), Duration::from_secs(20));
                Diagnosis::Tell(Outcome::Progressing(message), after)
            }
            Outlook::Believed => {
                self.rest = None;
                Diagnosis::Quiet(Duration::from_secs(5))
            }
            Outlook::Unhealthy => {
                let look_after = driver::jittered(UNHEALTHY_LOOK);
                self.rest = Some(Rest::new(look_after));
                Diagnosis::Tell(Outcome::Unhealthy(trouble.reason(), message), look_after)
            }
        }
    }
}

/// What is told of services that nothing is left to be sent for.
pub(in crate::controller) enum Diagnosis {
    /// They are healthy.
    Healthy,
    /// Nothing is told yet.
    Quiet(Duration),
    /// This is told; the next look is due after this time.
    Tell(Outcome, Duration),
}

impl Diagnosis {
    /// The end of an attempt that found this; the next look at healthy services is due after `look_after`.
    pub(in crate::controller) fn step<T>(self, told: T, look_after: Duration) -> Step<T> {
        match self {
            Self::Healthy => Step::Tell(Outcome::Ready, told, look_after),
            Self::Quiet(after) => Step::Quiet(after),
            Self::Tell(outcome, after) => Step::Tell(outcome, told, after),
        }
    }
}
