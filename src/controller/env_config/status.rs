//! From an outcome and the facts to the status of an object inside an environment. The same facts give the same bytes.

use jiff::Timestamp;

use crate::api::env_config::{ConfigInventory, ZadigEnvConfigStatus};
use crate::api::environment::{LastChange, Ownership, OwnershipState};
use crate::api::management::ProposedPlan;
use crate::controller::outcome::{Outcome, conditions, time};
use crate::error::bounded;

/// Longest text of the last change, in characters.
const CHANGE: usize = 400;

/// What else the status tells.
pub(super) struct Facts<'a> {
    pub(super) generation: i64,
    pub(super) now: Timestamp,
    pub(super) record: Option<&'a Ownership>,
    pub(super) plan: Option<&'a ProposedPlan>,
    /// The same time in memory and in status: an approval depends on it.
    pub(super) wrote_at: Option<Timestamp>,
    pub(super) used_by: Option<Vec<String>>,
    pub(super) change: Option<String>,
    pub(super) handled: Option<&'a String>,
}

/// The new status.
pub(super) fn status(
    old: Option<&ZadigEnvConfigStatus>,
    outcome: &Outcome,
    facts: Facts<'_>,
) -> ZadigEnvConfigStatus {
    let old = old.cloned().unwrap_or_default();
    let change = facts.change.map(|action| LastChange {
        time: time(facts.wrote_at.unwrap_or(facts.now)),
        action: bounded(&action, CHANGE),
    });
    ZadigEnvConfigStatus {
        observed_generation: Some(facts.generation),
        conditions: conditions(&old.conditions, outcome, facts.generation, facts.now),
        inventory: facts.record.and_then(inventory),
        used_by: facts.used_by.unwrap_or(old.used_by),
        plan: facts.plan.cloned(),
        last_change: change.or(old.last_change),
        last_handled_reconcile_at: facts.handled.cloned().or(old.last_handled_reconcile_at),
    }
}

/// The ownership as the status repeats it; nothing is owned before it was seen.
pub(in crate::controller) fn inventory(record: &Ownership) -> Option<ConfigInventory> {
    let Ownership {
        zadig,
        project,
        env,
        cluster_id,
        namespace,
        state,
    } = record.clone();
    let created = match state {
        OwnershipState::Pending => return None,
        OwnershipState::Created => true,
        OwnershipState::Adopted => false,
    };
    Some(ConfigInventory {
        created,
        zadig,
        project,
        env,
        cluster_id,
        namespace,
    })
}
