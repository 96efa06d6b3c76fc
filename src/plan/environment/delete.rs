//! The way out of an environment (design §2, rule 6). Deletion always ends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decide::{busy, different_zadig, elapsed};
use super::{
    Action, Bound, EnvStatus, Existence, Moved, Observed, Present, is_own_namespace, lifetime,
    production, sharing,
};
use crate::api::condition::Reason;
use crate::api::environment::{Deletion, OwnershipState, Scope};
use crate::plan::{Plan, budget};

/// How long an answered delete call is waited for before it is sent again: the record goes within 30 ms (Z§19).
const DELETE_TAKES: Duration = Duration::from_secs(30);

/// What may hold a deletion up.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// The environment is protected.
    pub(super) protected: bool,
    /// The deletion counts towards the connection's budget.
    pub(super) counted: bool,
}

/// What is to be done about an environment that is to go; in sync: nothing is left to do, release its object.
pub(super) fn plan(
    policy: Option<Deletion>,
    declared: &BTreeSet<String>,
    held: Held,
    observed: &Observed,
) -> Plan<Action> {
    let Some(record) = &observed.record else {
        return Plan::InSync;
    };
    let policy = policy.unwrap_or(match record.state {
        OwnershipState::Created | OwnershipState::Pending => Deletion::Delete,
        OwnershipState::Adopted => Deletion::Orphan,
    });
    if policy == Deletion::Orphan || observed.rival.is_some() {
        return Plan::InSync;
    }
    if observed.moved == Moved::DifferentZadig {
        return Plan::blocked(Reason::DifferentZadig, different_zadig(observed));
    }
    let present = match &observed.existence {
        Existence::Absent { confirmed: true } => return Plan::InSync,
        Existence::Absent { confirmed: false } => {
            return Plan::wait(
                Reason::Deleting,
                "the environment is no longer listed; looking once more",
                Duration::from_secs(2),
            );
        }
        Existence::Present(present) => present,
    };
    if record.cluster_id != present.cluster_id || record.namespace != present.namespace {
        return Plan::InSync;
    }
    if held.protected {
        return lifetime::protected(&observed.key);
    }
    if observed.connection_suspended {
        return Plan::wait(
            Reason::ConnectionSuspended,
            "the connection is suspended; the environment is deleted when it is resumed",
            Duration::from_mins(5),
        );
    }
    // A second call would answer 500 although the first one worked (Z§14.10).
    let just_sent = observed
        .memory
        .delete_sent
        .is_some_and(|sent| elapsed(sent, observed.now) < DELETE_TAKES);
    let stuck = elapsed(present.since, observed.now) >= observed.stuck_after;
    if just_sent {
        return Plan::wait(
            Reason::Deleting,
            "the environment is being deleted",
            Duration::from_secs(1),
        );
    }
    // A deletion that a restart of Zadig cut off stays `deleting` for ever; another call ends it (Z§5.1).
    if present.status == EnvStatus::Deleting && !stuck {
        return busy(Reason::Deleting, observed, present);
    }
    let counted = observed.memory.counted.contains(budget::ENVIRONMENT);
    if held.counted && observed.deletions.left == 0 && !counted {
        return Plan::Wait(observed.deletions.wait());
    }
    match policy {
        Deletion::Delete => {
            if let Some(plan) = sharing::holds_deletion(observed) {
                return plan;
            }
            let created = record.state != OwnershipState::Adopted;
            // After a lost answer or a lost status, what was declared in what we made is ours, and nothing else.
            let ours = if created && !observed.memory.known {
                declared
            } else {
                &observed.memory.services
            };
            let ours = match observed.key.scope {
                Scope::Test => ours.clone(),
                Scope::Production => production::services_to_delete(ours, declared, created),
            };
            delete(observed, present, stuck, &ours)
        }
        Deletion::Detach => Plan::of(
            vec![Action::DeleteEnvironment {
                keep_resources: true,
            }],
            Vec::new(),
        ),
        Deletion::Orphan => Plan::InSync,
    }
}

/// Services first, then the environment.
///
/// Zadig deletes a namespace only if it made it and nobody else uses it, and it never deletes the workloads in any other
/// (Z§4.9). No route tells which case it is, so the services always go first. Only an environment that Zadig still works on,
/// in a namespace that looks like its own, is deleted at once: nothing else helps a stuck one (Z§14.12), and what still runs
/// goes with the namespace.
fn delete(
    observed: &Observed,
    present: &Present,
    stuck: bool,
    ours: &BTreeSet<String>,
) -> Plan<Action> {
    let working = matches!(present.status, EnvStatus::Creating | EnvStatus::Updating);
    let is_production = observed.key.scope == Scope::Production;
    let own_namespace = !is_production
        && present.neighbours.is_empty()
        && is_own_namespace(&observed.key.project, &observed.key.env, &present.namespace);
    if working && !own_namespace && !stuck {
        return busy(Reason::Deleting, observed, present);
    }
    let mut actions = sharing::before_deletion(observed);
    if let (false, Some(detail)) = (working && own_namespace, &present.detail) {
        let services: BTreeSet<String> = detail
            .services
            .keys()
            .filter(|name| ours.contains(*name) || observed.bound.get(*name) == Some(&Bound::Added))
            .cloned()
            .collect();
        let any = !services.is_empty();
        let removal = Action::RemoveServices { services };
        // Sub-environments that nobody declared hold services of their base (Z§4.12), and go together with it.
        let held = sharing::is_base(observed) && observed.memory.refusal(&removal).is_some();
        if any && !held {
            actions.push(removal);
        }
    }
    // In production the call takes Zadig's record away and touches nothing in the cluster (Z§9, 4).
    actions.push(Action::DeleteEnvironment {
        keep_resources: is_production,
    });
    Plan::of(actions, Vec::new())
}
