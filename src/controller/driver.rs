//! What the drivers of all kinds have in common: the claim on an object and its end, its status and events, and delays.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::EventType;
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::context::{Context, NOTE};
use super::metrics;
use super::outcome::Outcome;
use super::queue::Requeue;
use super::zadig::{Budget, lock};
use crate::api::condition::{Condition, ConditionType, Reason};
use crate::api::environment::{Diagnosis, Ownership};
use crate::api::{DELETION_ANNOTATION, FIELD_MANAGER, FINALIZER, OWNERSHIP_ANNOTATION};
use crate::error::{Error, Retry};
use crate::plan::claim::Claim;
use crate::plan::environment::diagnosis;
use crate::plan::{Blocked, Plan};

/// How long an outage of Zadig is told on the connection alone before its objects say so too.
const OUTAGE_GRACE: Duration = Duration::from_mins(5);
/// Delay after a failure that only a person, or time, can mend. A 403 can be transient (Z§1.2).
const SLOW_RETRY: Duration = Duration::from_mins(2);
/// How often a blocked object is looked at without a reason.
pub(super) const BLOCKED_RETRY: Duration = Duration::from_mins(2);
/// How old a list may be while something is under way: all who wait for the same project share two calls a second.
const LIST_AGE_WHILE_BUSY: Duration = Duration::from_millis(500);
/// Longest delay after failures in a row.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// A kind that stands for something in Zadig.
pub(super) trait Managed:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What is reported of it.
    type Status: PartialEq + Serialize + Sync;

    /// The objects of this kind that are known.
    fn store(ctx: &Context) -> &Store<Self>;

    /// What was last reported.
    fn status(&self) -> Option<&Self::Status>;

    /// The conditions within a status.
    fn conditions(status: &Self::Status) -> &[Condition];

    /// What a status says of services that are not healthy.
    fn diagnoses(_status: &Self::Status) -> Vec<&Diagnosis> {
        Vec::new()
    }
}

/// What this process remembers of each object of a kind, by uid.
pub(super) struct Locals<L>(Mutex<HashMap<String, Arc<tokio::sync::Mutex<L>>>>);

impl<L> Default for Locals<L> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<L> Locals<L> {
    /// The memory of one object, `new` at the first call.
    pub(super) fn of(&self, uid: &str, new: impl FnOnce() -> L) -> Arc<tokio::sync::Mutex<L>> {
        let mut locals = lock(&self.0);
        let local = locals
            .entry(uid.to_owned())
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(new())));
        Arc::clone(local)
    }

    /// Forgets one object.
    pub(super) fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }

    /// Forgets objects that are gone.
    pub(super) fn keep(&self, uids: &BTreeSet<String>) {
        lock(&self.0).retain(|uid, _| uids.contains(uid));
    }
}

/// How young the list of a project has to be for an object that rests, or has something under way; `after` are moments that the
/// list must show.
pub(super) fn list_since(
    rests: bool,
    interval: Duration,
    after: impl IntoIterator<Item = Option<Instant>>,
) -> Instant {
    let now = Instant::now();
    let age = if rests {
        // The watcher of lists keeps it younger than this.
        interval * 2
    } else {
        LIST_AGE_WHILE_BUSY
    };
    let since = now.checked_sub(age).unwrap_or(now);
    after.into_iter().flatten().fold(since, Instant::max)
}

/// Failed attempts of one object in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    outage_since: Option<Timestamp>,
    /// Until when the same is not tried again, whoever asks.
    held_until: Option<Instant>,
    /// Statuses in a row that could not be written.
    unwritten: u32,
}

/// What comes of a failed attempt.
enum Judgement {
    /// Nothing is told; the word is for the metrics.
    Keep(&'static str, Duration),
    /// This is told, and the next attempt is due after this time.
    Tell(Outcome, Duration),
}

impl Failures {
    /// Whether the last attempt failed.
    pub(super) fn last(&self) -> bool {
        self.count > 0
    }

    /// How long what was refused is not tried again, unless something else is declared. Our own claim, which is made before a call
    /// and taken back after its refusal, is a change that wakes the object.
    pub(super) fn hold(&self) -> Option<Duration> {
        let wait = self.held_until?.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// Counts a failure and decides what is told of it.
    ///
    /// An outage of Zadig is told on the connection; an object that was Ready says nothing of it for a while, as thousands of
    /// equal messages help nobody (design §4). One that is being deleted says at once what it waits for.
    fn judge<K: Managed>(&mut self, error: &Error, object: &K, now: Timestamp) -> Judgement {
        self.count = self.count.saturating_add(1);
        let after = match error.retry() {
            Retry::Backoff => backoff(self.count),
            Retry::After(after) => after,
            Retry::Slowly => SLOW_RETRY,
        };
        tracing::warn!(
            reason = error.reason().as_str(),
            error = error.chain(),
            retry_in_s = after.as_secs(),
            "reconcile failed"
        );
        if error.is_outage() {
            let since = *self.outage_since.get_or_insert(now);
            let young =
                Duration::try_from(now.duration_since(since)).is_ok_and(|age| age < OUTAGE_GRACE);
            if object.meta().deletion_timestamp.is_some() {
                let told = format!(
                    "{}; it is cleaned up when Zadig answers again; to give that up, set the annotation {DELETION_ANNOTATION}=Orphan",
                    error.chain()
                );
                return Judgement::Tell(Outcome::Stalled(error.reason(), told), after);
            }
            if young && is_ready(object) {
                return Judgement::Keep("outage", jittered(after));
            }
        }
        if matches!(error.retry(), Retry::Backoff) && !error.is_outage() {
            // What is due is a tenth earlier at most.
            self.held_until = Some(Instant::now() + after.mul_f64(0.8));
        }
        let told = match error.retry() {
            Retry::After(_) if error.reason() == Reason::KubernetesError => {
                return Judgement::Keep("conflict", after);
            }
            Retry::Slowly => Outcome::Stalled(error.reason(), error.chain()),
            Retry::Backoff | Retry::After(_) => Outcome::Failing(error.reason(), error.chain()),
        };
        Judgement::Tell(told, after)
    }
}

/// The time between two thorough looks at an object at which nothing is under way.
#[derive(Debug)]
pub(super) struct Rest {
    look_at: Instant,
    granted: bool,
}

impl Rest {
    /// The next look is due after this time.
    pub(super) fn new(look_after: Duration) -> Self {
        Self {
            look_at: Instant::now() + look_after,
            granted: false,
        }
    }

    /// Whether the budget has given the time of the look.
    pub(super) fn is_granted(&self) -> bool {
        self.granted
    }

    /// How long the rest lasts, with the time that a look of so many calls waits for the budget; `None`: it is over.
    pub(super) fn remaining(&mut self, budget: &Budget, calls: usize) -> Option<Duration> {
        if self.look_at <= Instant::now() && !self.granted {
            self.look_at = budget.reserve(calls);
            self.granted = true;
        }
        let wait = self.look_at.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }
}

/// What is told of a plan that sends nothing, and when to look again; `None` for one that has nothing to tell.
pub(super) fn outcome_of<A>(plan: Plan<A>) -> Option<(Outcome, Duration)> {
    match plan {
        Plan::Wait(wait) => {
            let outcome = match wait.reason {
                Reason::Sleeping | Reason::ConnectionSuspended => {
                    Outcome::Resting(wait.reason, wait.message)
                }
                _ => Outcome::Working(wait.reason, wait.message),
            };
            Some((outcome, wait.after))
        }
        Plan::Blocked(blocked) => Some((stalled(blocked), BLOCKED_RETRY)),
        Plan::InSync | Plan::Act(_) => None,
    }
}

/// What only a person can mend, all of it in one message.
pub(super) fn stalled(blocked: Vec<Blocked>) -> Outcome {
    let reason = blocked
        .first()
        .map_or(Reason::InvalidSpec, |first| first.reason);
    let messages: Vec<String> = blocked.into_iter().map(|blocked| blocked.message).collect();
    Outcome::Stalled(reason, messages.join("; "))
}

/// How one reconcile ended; `T` is what it found besides its outcome.
pub(super) enum Step<T> {
    /// Nothing to tell; look again after this time, or when something changes.
    Quiet(Duration),
    /// Something to tell.
    Tell(Outcome, T, Duration),
    /// The object is released.
    Released(&'static str),
}

/// Tells how a reconcile ended, with status, event, log and metrics, and when to come back.
///
/// `status` makes the new status of an outcome and what was found; it is not called when there is nothing to tell. A status that
/// cannot be written is not lost: the object is looked at again, and does not rest.
pub(super) async fn conclude<K: Managed, T: Default>(
    object: &K,
    ctx: &Context,
    (failures, rest): (&mut Failures, &mut Option<Rest>),
    started: Instant,
    step: Result<Step<T>, Error>,
    status: impl FnOnce(&Outcome, T, Timestamp) -> K::Status,
) -> Requeue {
    let now = Timestamp::now();
    let (outcome, found, after) = match step {
        Ok(Step::Quiet(after)) => {
            metrics::reconciled::<K>("quiet", started);
            return Requeue::after(after);
        }
        Ok(Step::Released(how)) => {
            tracing::info!(how, "released");
            metrics::reconciled::<K>("released", started);
            return Requeue::when_asked();
        }
        Ok(Step::Tell(outcome, found, after)) => {
            *failures = Failures {
                unwritten: failures.unwritten,
                ..Failures::default()
            };
            (outcome, found, after)
        }
        Err(error) => {
            *rest = None;
            match failures.judge(&error, object, now) {
                Judgement::Keep(word, after) => {
                    metrics::reconciled::<K>(word, started);
                    return Requeue::after(after);
                }
                Judgement::Tell(outcome, after) => (outcome, T::default(), after),
            }
        }
    };
    let new = status(&outcome, found, now);
    if let Err(error) = write_status(object, ctx, &new, &outcome).await {
        // What was found is told after another look.
        *rest = None;
        failures.unwritten = failures.unwritten.saturating_add(1);
        let after = backoff(failures.unwritten);
        tracing::warn!(
            error = error.chain(),
            retry_in_s = after.as_secs(),
            "the status could not be written"
        );
        metrics::reconciled::<K>("unwritten", started);
        return Requeue::after(after);
    }
    failures.unwritten = 0;
    metrics::reconciled::<K>(outcome.word(), started);
    let is_ready = ready(K::conditions(&new)).is_some_and(Condition::is_true);
    let reported = object.status().map(K::conditions).unwrap_or_default();
    ctx.births
        .reconciled(object, !reported.is_empty(), is_ready, started);
    // Whoever rests comes back when the next look is due, not earlier in vain.
    Requeue::after(if rest.is_some() {
        after
    } else {
        jittered(after)
    })
}

/// Whose object it is, by its annotation.
pub(super) fn claimed<K: Managed>(object: &K) -> Option<Ownership> {
    let text = object.annotations().get(OWNERSHIP_ANNOTATION)?;
    serde_json::from_str(text).ok()
}

/// Whether a person asked for the object to be released without a call.
pub(super) fn is_orphaned<K: Managed>(object: &K) -> bool {
    let value = object.annotations().get(DELETION_ANNOTATION);
    value.is_some_and(|value| value == "Orphan")
}

/// What decides which of two objects came first.
pub(super) fn age<K: Managed>(object: &K) -> Option<Claim> {
    Some(Claim {
        since: object.meta().creation_timestamp.as_ref()?.0,
        namespace: object.namespace()?,
        name: object.name_any(),
    })
}

/// Stores whose object it is: annotation and finalizer in one patch, on the very version that was read.
///
/// False: it is being deleted meanwhile, and cannot get the finalizer any more. What is created for it now would be left behind.
pub(super) async fn claim<K: Managed>(
    object: &K,
    ctx: &Context,
    ownership: &Ownership,
) -> Result<bool, Error> {
    let current = api(object, ctx)
        .get_metadata(&object.name_any())
        .await
        .map_err(Error::kubernetes("read the object before it is claimed"))?;
    let mut finalizers = current.finalizers().to_vec();
    if !finalizers.iter().any(|name| name == FINALIZER) {
        if current.metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        finalizers.push(FINALIZER.to_owned());
    }
    let text = serde_json::to_string(ownership).unwrap_or_default();
    if current.finalizers() == finalizers
        && current.annotations().get(OWNERSHIP_ANNOTATION) == Some(&text)
    {
        return Ok(true);
    }
    let patch = json!({"metadata": {
        "uid": object.meta().uid,
        "resourceVersion": current.metadata.resource_version,
        "annotations": {OWNERSHIP_ANNOTATION: text},
        "finalizers": finalizers,
    }});
    patch_metadata(object, ctx, &patch, "record the ownership").await?;
    Ok(true)
}

/// Stores the claim anew on an object that lost it: restored from a backup, or replaced by a tool. Its deletion would
/// pass us by.
pub(super) async fn keep_claim<K: Managed>(
    object: &K,
    ctx: &Context,
    record: Option<&Ownership>,
) -> Result<(), Error> {
    let claimed = object.finalizers().iter().any(|name| name == FINALIZER)
        && object.annotations().contains_key(OWNERSHIP_ANNOTATION);
    match record {
        Some(record) if !claimed => {
            // One that is being deleted has no use for it.
            claim(object, ctx, record).await?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Takes the claim back: nothing came of it.
pub(super) async fn disclaim<K: Managed>(object: &K, ctx: &Context) -> Result<(), Error> {
    let current = api(object, ctx)
        .get_metadata(&object.name_any())
        .await
        .map_err(Error::kubernetes(
            "read the object before its claim is taken back",
        ))?;
    let patch = json!({"metadata": {
        "resourceVersion": current.metadata.resource_version,
        "annotations": {OWNERSHIP_ANNOTATION: null},
        "finalizers": others(current.finalizers()),
    }});
    patch_metadata(object, ctx, &patch, "take the claim back").await
}

/// Removes the finalizer; an object that is gone already is as good.
pub(super) async fn release<K: Managed>(object: &K, ctx: &Context) -> Result<(), Error> {
    let current = match api(object, ctx).get_metadata_opt(&object.name_any()).await {
        Ok(Some(current)) => current,
        Ok(None) => return Ok(()),
        Err(error) => {
            return Err(Error::kubernetes("read the object before it is released")(
                error,
            ));
        }
    };
    let patch = json!({"metadata": {
        "resourceVersion": current.metadata.resource_version,
        "finalizers": others(current.finalizers()),
    }});
    match patch_metadata(object, ctx, &patch, "release the object").await {
        Err(Error::Kubernetes { source, .. }) if is_gone(&source) => Ok(()),
        other => other,
    }
}

fn others(finalizers: &[String]) -> Vec<&String> {
    finalizers
        .iter()
        .filter(|name| *name != FINALIZER)
        .collect()
}

/// How a few fields of an object are set, whoever owns the others.
pub(super) fn merge() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

async fn patch_metadata<K: Managed>(
    object: &K,
    ctx: &Context,
    patch: &serde_json::Value,
    operation: &'static str,
) -> Result<(), Error> {
    api(object, ctx)
        .patch_metadata(&object.name_any(), &merge(), &Patch::Merge(patch))
        .await
        .map_err(Error::kubernetes(operation))?;
    Ok(())
}

/// Writes the status if it differs, and an event if the reason of its Ready condition does.
async fn write_status<K: Managed>(
    object: &K,
    ctx: &Context,
    new: &K::Status,
    outcome: &Outcome,
) -> Result<(), Error> {
    if ctx.tenure.is_over() {
        return Ok(());
    }
    let old = object.status();
    if old != Some(new) || ctx.written.is_ahead_of(object) {
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "status": new,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api(object, ctx)
            .patch_status(&object.name_any(), &params, &Patch::Apply(&patch))
            .await
        {
            Ok(written) => {
                let uid = object.uid().unwrap_or_default();
                ctx.written
                    .note(uid, written.meta().resource_version.as_deref());
            }
            // Gone meanwhile: nobody is left to tell.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(Error::kubernetes("write the status")(error)),
        }
    }
    let Some(ready) = ready(K::conditions(new)) else {
        return Ok(());
    };
    let uid = object.uid().unwrap_or_default();
    let before = lock(&ctx.told)
        .insert(uid, ready.reason)
        .or_else(|| Some(self::ready(K::conditions(old?))?.reason));
    // A plan has an event of its own.
    let is_plan =
        matches!(outcome, Outcome::Held(held) if held.is_plan && held.reason == ready.reason);
    if before == Some(ready.reason) || is_plan {
        return Ok(());
    }
    let type_ = match outcome {
        Outcome::Stalled(..) | Outcome::Failing(..) | Outcome::Unhealthy(..) => EventType::Warning,
        Outcome::Ready
        | Outcome::Progressing(_)
        | Outcome::Working(..)
        | Outcome::Resting(..)
        | Outcome::Held(_) => EventType::Normal,
    };
    let reason = ready.reason.as_str();
    // Without the log of anybody else's program.
    tracing::info!(reason, message = ready.message, "changed");
    let note = diagnosis::note(&ready.message, K::diagnoses(new), NOTE);
    ctx.event(object, type_, reason, "Reconcile", &note).await;
    Ok(())
}

/// The Ready condition.
pub(super) fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == ConditionType::Ready)
}

/// Whether an object was last reported as Ready.
pub(super) fn is_ready<K: Managed>(object: &K) -> bool {
    let conditions = object.status().map(K::conditions).unwrap_or_default();
    ready(conditions).is_some_and(Condition::is_true)
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn api<K: Managed>(object: &K, ctx: &Context) -> Api<K> {
    Api::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default())
}

/// Growing, jittered delay after `failures` in a row: 1 s, 2 s, 4 s … 5 min.
pub(super) fn backoff(failures: u32) -> Duration {
    let exponent = failures.saturating_sub(1).min(16);
    jittered(Duration::from_secs(1 << exponent).min(LONGEST_BACKOFF))
}

/// The duration, up to a tenth shorter: objects never all wake together.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(1.0 - fastrand::f64() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::environment::ZadigEnvironment;

    fn ready_environment() -> ZadigEnvironment {
        serde_json::from_value(json!({
            "metadata": {"name": "dev"},
            "spec": {"connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev"},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "observedGeneration": 1, "lastTransitionTime": "2026-11-24T00:00:00Z",
            }]},
        }))
        .unwrap()
    }

    fn outage() -> Error {
        Error::ConnectionDown {
            reason: Reason::ZadigUnreachable,
            message: "no answer".to_owned(),
        }
    }

    #[test]
    fn a_ready_object_says_nothing_of_an_outage_for_five_minutes() {
        let began = Timestamp::UNIX_EPOCH;
        let mut failures = Failures::default();
        let told: Vec<Option<Outcome>> = [0, 299, 301]
            .map(|seconds| {
                let now = began + Duration::from_secs(seconds);
                match failures.judge(&outage(), &ready_environment(), now) {
                    Judgement::Keep(..) => None,
                    Judgement::Tell(outcome, _) => Some(outcome),
                }
            })
            .into();
        let failing = Outcome::Failing(
            Reason::ZadigUnreachable,
            "the connection cannot be used: no answer".to_owned(),
        );
        assert_eq!(told, [None, None, Some(failing)]);
    }

    #[test]
    fn a_deletion_that_an_outage_holds_up_says_so_at_once() {
        let mut object = ready_environment();
        object.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
        );
        let judged = Failures::default().judge(&outage(), &object, Timestamp::UNIX_EPOCH);
        let Judgement::Tell(Outcome::Stalled(reason, message), _) = judged else {
            panic!("it is to be told")
        };
        assert_eq!(
            (reason, message.as_str()),
            (
                Reason::ZadigUnreachable,
                "the connection cannot be used: no answer; it is cleaned up when Zadig answers again; \
                 to give that up, set the annotation zadig-operator.io/deletion=Orphan"
            )
        );
    }

    #[test]
    fn z14_11_what_is_refused_again_and_again_is_tried_ever_more_rarely_but_for_ever() {
        // A namespace takes 6 to 12 s to go, and nothing tells when it is gone.
        let delays: Vec<f64> = (1..=20).map(|count| backoff(count).as_secs_f64()).collect();
        let full = |count: i32| 2_f64.powi(count).min(LONGEST_BACKOFF.as_secs_f64());
        for (count, delay) in (0..).zip(&delays) {
            assert!(
                (full(count) * 0.9..=full(count)).contains(delay),
                "{delays:?}"
            );
        }
        // Not hammered: at most 5 calls until the namespace is gone for sure.
        assert!(delays.iter().take(4).sum::<f64>() > 12.0, "{delays:?}");
    }
}
