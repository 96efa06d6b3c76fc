//! From an outcome and the facts to the status of a bound service. The same facts give the same bytes.

use jiff::Timestamp;

use super::Told;
use crate::api::environment::{LastChange, Ownership};
use crate::api::management::ProposedPlan;
use crate::api::service_binding::ZadigServiceBindingStatus;
use crate::controller::env_config::inventory;
use crate::controller::outcome::{Outcome, conditions, time};
use crate::error::bounded;
use crate::plan::environment::memory::Memory;

/// Longest text of the last change, in characters.
const CHANGE: usize = 400;

/// What else the status tells.
pub(super) struct Facts<'a> {
    pub(super) generation: i64,
    pub(super) now: Timestamp,
    pub(super) record: Option<&'a Ownership>,
    pub(super) memory: &'a Memory,
    pub(super) plan: Option<&'a ProposedPlan>,
    /// The same time in memory and in status: an approval depends on it.
    pub(super) wrote_at: Option<Timestamp>,
    pub(super) told: Told,
    pub(super) handled: Option<&'a String>,
}

/// The new status.
pub(super) fn status(
    old: Option<&ZadigServiceBindingStatus>,
    outcome: &Outcome,
    facts: Facts<'_>,
) -> ZadigServiceBindingStatus {
    let old = old.cloned().unwrap_or_default();
    let Told {
        service,
        replicas,
        selector,
        change,
    } = facts.told;
    let change = change.map(|action| LastChange {
        time: time(facts.wrote_at.unwrap_or(facts.now)),
        action: bounded(&action, CHANGE),
    });
    ZadigServiceBindingStatus {
        observed_generation: Some(facts.generation),
        conditions: conditions(&old.conditions, outcome, facts.generation, facts.now),
        service: service.or(old.service),
        replicas: replicas.or(old.replicas),
        selector: selector.or(old.selector),
        inventory: facts.record.and_then(inventory),
        applied: facts.memory.applied.values().next().cloned(),
        plan: facts.plan.cloned(),
        last_change: change.or(old.last_change),
        last_handled_reconcile_at: facts.handled.cloned().or(old.last_handled_reconcile_at),
    }
}
