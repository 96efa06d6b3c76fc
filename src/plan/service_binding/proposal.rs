//! A binding's plan as it is put before a person: that of an environment with this service alone.

use jiff::Timestamp;

use super::{Action, Binding, Desired, Observed, env, plan};
use crate::api::environment::FieldPolicy;
use crate::plan::Plan;
use crate::plan::environment::{Replicas, proposal};
use crate::plan::management::{self, Draft};

/// The plan with what follows from it, as it would be sent.
#[must_use]
pub fn ahead(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let mut observed = observed.clone();
    observed.inner.connection_suspended = false;
    management::ahead(plan(desired, &observed), |actions| {
        let [Action::Environment(record)] = actions else {
            return None;
        };
        let env::Action::RecordOwnership(ownership) = record else {
            return None;
        };
        let declared = match desired {
            Desired::Present(binding) => Some(&binding.environment),
            Desired::Absent { .. } => None,
        };
        let inner = &mut observed.inner;
        inner.memory.sent(record, declared, inner.now);
        inner.record = Some(ownership.clone());
        Some(plan(desired, &observed))
    })
}

/// What is put before a person. `changed_at` is when this object last changed anything: an approval is for once.
#[must_use]
pub fn draft(
    binding: &Binding,
    observed: &Observed,
    actions: &[Action],
    changed_at: Option<Timestamp>,
) -> Draft {
    let mut declared = binding.environment.clone();
    if let (Some(target), Some(replicas)) = (&binding.scale_target, binding.replicas)
        && let Some(service) = declared.services.get_mut(&observed.service)
    {
        let policy = FieldPolicy::Enforce;
        let workload = (target.kind, target.name.clone());
        let replicas = Replicas { replicas, policy };
        service.workloads.insert(workload, replicas);
    }
    let calls: Vec<env::Action> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Environment(call) => Some(call.clone()),
            // Written into the object's own spec.
            Action::SeedReplicas(_) => None,
        })
        .collect();
    proposal::draft(&declared, &observed.inner, &calls, changed_at)
}
