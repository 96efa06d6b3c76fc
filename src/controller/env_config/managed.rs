//! The part of an inner object's reconcile that is about plans which are not carried out.

use super::Local;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::management::Management;
use crate::controller::context::Context;
use crate::plan::Plan;
use crate::plan::env_config::{Action, Desired, Observed, proposal};
use crate::plan::management::{Rules, Ruling, judge};

/// Whether the plan may be carried out, where the environment is managed like this.
pub(super) fn ruling(
    object: &ZadigEnvConfig,
    ctx: &Context,
    management: Management,
    local: &Local,
    (desired, observed): (&Desired, &Observed),
    planned: Plan<Action>,
) -> Ruling<Action> {
    let Desired::Present(config) = desired else {
        // Whoever deletes the object has said so.
        return Ruling::Free(planned, None);
    };
    let rules = Rules {
        management,
        approved: object.spec.approved_plan.as_deref(),
        known: local.plan.as_ref(),
    };
    let propose = |actions: &[Action]| {
        let draft = proposal::draft(config, observed, actions);
        draft.propose(|parts| ctx.digests.digest(parts.iter().copied()))
    };
    judge(
        rules,
        planned,
        || proposal::ahead(desired, observed),
        propose,
    )
}
