//! What the controllers count, and how the objects and connections are when somebody asks; labels come from closed sets.
//!
//! A licence that is refused to any call of a production environment is remembered here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use zadig_client::limit::Circuit;
use zadig_client::{ErrorClass, Observer, Route, Scope};

use super::connection;
use super::context::Context;
use super::driver::ready;
use super::shard::Sharded;
use super::zadig::{Link, lock};
use crate::api::condition::{Condition, ConditionStatus, ConditionType, Reason};
use crate::plan::Licence;
use crate::telemetry::labels::{CIRCUITS, State, UNREPORTED};
use crate::telemetry::sampled::{Samples, Source};
use crate::telemetry::table;

/// The client's observer.
pub(super) struct Calls {
    /// What is known of the licence of the connection's Zadig.
    pub licence: Arc<Mutex<Licence>>,
}

impl Observer for Calls {
    fn called(&self, route: &'static Route, outcome: &'static str, elapsed: Duration) {
        // Other calls may ask for more than the professional licence (Z§3).
        let is_production = route.scope == Some(Scope::Production);
        if is_production && outcome == ErrorClass::LicenceRefused.as_str() {
            *lock(&self.licence) = Licence::Refused;
        }
        table::REQUESTS.increment(&[route.operation, outcome]);
        table::REQUEST_DURATION.record(&[route.operation], elapsed);
    }

    fn waited(&self, _route: &'static Route, elapsed: Duration) {
        table::THROTTLE.record(&[], elapsed);
    }
}

/// The name of a kind.
pub(super) fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        Cow::Borrowed(name) => name,
        // Kinds with a name that is made up at run time are not ours.
        Cow::Owned(_) => "",
    }
}

/// Counts a reconcile and its time; its span tells the outcome.
pub(super) fn reconciled<K: Resource<DynamicType = ()>>(outcome: &'static str, started: Instant) {
    tracing::Span::current().set_attribute("outcome", outcome);
    table::RECONCILES.increment(&[kind::<K>(), outcome]);
    table::RECONCILE_DURATION.record(&[kind::<K>()], started.elapsed());
}

/// Measures how long it took to delete an object that is gone now.
pub(super) fn gone<K: Resource<DynamicType = ()>>(object: &K) {
    if let Some(asked) = &object.meta().deletion_timestamp {
        table::DELETION.record(&[kind::<K>()], since(asked.0));
    }
}

/// The objects that came into being under the eyes of this process, by uid, and whether they have been Ready.
#[derive(Default)]
pub(super) struct Births(Mutex<HashMap<String, bool>>);

impl Births {
    /// Notes the end of a reconcile that `started` then, after which the object is Ready or not.
    pub(super) fn reconciled<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        is_reported: bool,
        is_ready: bool,
        started: Instant,
    ) {
        let (Some(uid), Some(born)) = (object.uid(), &object.meta().creation_timestamp) else {
            return;
        };
        let age = since(born.0);
        let mut births = lock(&self.0);
        if !is_reported && !births.contains_key(&uid) {
            births.insert(uid.clone(), false);
            let first = age.saturating_sub(started.elapsed());
            table::FIRST_RECONCILE.record(&[kind::<K>()], first);
        }
        if let Some(was_ready) = births.get_mut(&uid)
            && is_ready
            && !std::mem::replace(was_ready, true)
        {
            table::READY.record(&[kind::<K>()], age);
        }
    }

    /// Forgets objects that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|uid, _| is_there(uid));
    }
}

/// The time since then; none if clocks disagree.
fn since(then: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(then)).unwrap_or_default()
}

impl Source for Context {
    fn sample(&self, samples: &mut Samples) {
        tally(samples, self, &self.environments, |it| {
            it.status.as_ref().map(|status| &*status.conditions)
        });
        tally(samples, self, &self.configs, |it| {
            it.status.as_ref().map(|status| &*status.conditions)
        });
        tally(samples, self, &self.bindings, |it| {
            it.status.as_ref().map(|status| &*status.conditions)
        });
        tally(samples, self, &self.connections, |it| {
            it.status.as_ref().map(|status| &*status.conditions)
        });
        for connection in self.connections.state() {
            if !connection.is_ours(self) {
                continue;
            }
            let key = connection::key(&connection);
            let link = self.hub.link(&key);
            let (up, reason) = match &link {
                Some(Link::Up(_)) => (1.0, Reason::Ready.as_str()),
                Some(Link::Down { reason, .. }) => (0.0, reason.as_str()),
                None => (0.0, UNREPORTED),
            };
            let whose = [&*key.namespace, &*key.name];
            samples.add(&table::CONNECTION_UP, &[whose[0], whose[1], reason], up);
            let Some(stats) = self.hub.stats(&key) else {
                continue;
            };
            let present = match stats.circuit {
                Circuit::Closed => "closed",
                Circuit::Open => "open",
                Circuit::HalfOpen => "half_open",
            };
            for state in CIRCUITS {
                let is_it = if state == present { 1.0 } else { 0.0 };
                samples.add(&table::CIRCUIT, &[whose[0], whose[1], state], is_it);
            }
            samples.add(&table::IN_FLIGHT, &whose, number(stats.in_flight));
            samples.add(&table::WAITING, &whose, number(stats.waiting));
        }
    }
}

/// As metrics count.
pub(super) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Counts the objects of a kind by what was last reported of them.
fn tally<K: Sharded + Clone + 'static>(
    samples: &mut Samples,
    ctx: &Context,
    store: &Store<K>,
    conditions: impl Fn(&K) -> Option<&[Condition]>,
) {
    let kind = kind::<K>();
    for object in store.state() {
        if !object.is_ours(ctx) {
            continue;
        }
        let conditions = conditions(&object).unwrap_or_default();
        let ready = ready(conditions);
        let reason = ready.map_or(UNREPORTED, |ready| ready.reason.as_str());
        let status = match ready.map(|ready| ready.status) {
            Some(ConditionStatus::True) => "True",
            Some(ConditionStatus::False) => "False",
            Some(ConditionStatus::Unknown) | None => "Unknown",
        };
        samples.add(&table::OBJECTS, &[kind, status, reason], 1.0);
        let mut add = |state: State, reason: &str, from: Timestamp| {
            let labels = [kind, state.as_str(), reason];
            samples.add(&table::OBJECT_STATES, &labels, 1.0);
            samples.raise(&table::OLDEST, &labels, since(from).as_secs_f64());
        };
        for condition in conditions {
            if let Some(state) = state(condition) {
                let from = condition.last_transition_time.0;
                add(state, condition.reason.as_str(), from);
            }
        }
        if let Some(asked) = &object.meta().deletion_timestamp {
            add(State::Deleting, reason, asked.0);
        }
    }
}

/// The state that a condition shows; most show none.
fn state(condition: &Condition) -> Option<State> {
    use ConditionType::{Drifted, Healthy, Ready, Reconciling, Stalled, Synced};
    let is_true = condition.status == ConditionStatus::True;
    match condition.type_ {
        Stalled => is_true.then_some(State::Stalled),
        Reconciling => is_true.then_some(State::Reconciling),
        Drifted => is_true.then_some(State::Drifted),
        Synced => (!is_true).then_some(State::Unsynced),
        Ready | Healthy => None,
    }
}
