//! From an outcome and the facts to the status of an environment. The same facts give the same bytes.

use jiff::Timestamp;

use super::sharing;
use crate::api::environment::{
    Inventory, LastChange, Ownership, OwnershipState, ServiceStatus, ZadigEnvironmentStatus,
};
use crate::api::management::ProposedPlan;
use crate::controller::outcome::{Outcome, conditions, time};
use crate::error::bounded;
use crate::plan::environment::lifetime::Lifetime;
use crate::plan::environment::memory::Memory;

/// What else the status tells.
pub(super) struct Facts<'a> {
    pub(super) generation: i64,
    pub(super) now: Timestamp,
    pub(super) record: Option<&'a Ownership>,
    pub(super) memory: &'a Memory,
    pub(super) plan: Option<&'a ProposedPlan>,
    pub(super) zadig_status: Option<(&'a str, Timestamp)>,
    pub(super) url: Option<String>,
    pub(super) services: Option<(Vec<ServiceStatus>, usize, usize)>,
    pub(super) change: Option<(Timestamp, String)>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) handled: Option<&'a str>,
}

/// The new status.
pub(super) fn status(
    old: Option<&ZadigEnvironmentStatus>,
    outcome: &Outcome,
    facts: Facts<'_>,
) -> ZadigEnvironmentStatus {
    let old = old.cloned().unwrap_or_default();
    let mut status = ZadigEnvironmentStatus {
        observed_generation: Some(facts.generation),
        conditions: conditions(&old.conditions, outcome, facts.generation, facts.now),
        zadig_status: facts.zadig_status.map(|(word, _)| word.to_owned()),
        zadig_status_since: facts.zadig_status.map(|(_, since)| time(since)),
        url: facts.url.or(old.url),
        services: old.services,
        services_ready: old.services_ready,
        expires_at: facts.lifetime.map(|lifetime| time(lifetime.ends)),
        expired: facts.memory.expired.is_some(),
        inventory: facts
            .record
            .and_then(|record| inventory(record, facts.memory)),
        applied: facts.memory.applied.values().cloned().collect(),
        sharing: sharing::store(facts.memory),
        plan: facts.plan.cloned(),
        last_change: old.last_change,
        last_handled_reconcile_at: facts
            .handled
            .map(str::to_owned)
            .or(old.last_handled_reconcile_at),
    };
    if status.expired && facts.record.is_none() {
        // Nothing of it is left to be told of.
        status.zadig_status = None;
        status.zadig_status_since = None;
        status.url = None;
        status.services.clear();
        status.services_ready = None;
    }
    if let Some((services, ready, declared)) = facts.services {
        status.services = services;
        status.services_ready = Some(format!("{ready}/{declared}"));
    }
    if let Some((at, action)) = facts.change {
        status.last_change = Some(LastChange {
            time: time(at),
            action: bounded(&action, 400),
        });
    }
    status
}

fn inventory(record: &Ownership, memory: &Memory) -> Option<Inventory> {
    let created = match record.state {
        // Nothing is owned before it was seen.
        OwnershipState::Pending => return None,
        OwnershipState::Created => true,
        OwnershipState::Adopted => false,
    };
    Some(Inventory {
        created,
        zadig: record.zadig.clone(),
        cluster_id: record.cluster_id.clone(),
        namespace: record.namespace.clone(),
        services: memory.services.iter().cloned().collect(),
        recreated_at: memory.recreated_at.map(time),
    })
}
