//! What is told of plans that are not carried out, and why nothing is called at all for an object that goes.

use std::time::Duration;

use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::context::Context;
use super::driver::Managed;
use super::environment::Diagnosis;
use super::outcome::{Held, Outcome, Sight};
use crate::api::condition::Reason;
use crate::api::environment::ZadigEnvironment;
use crate::api::management::{Management, ProposedPlan};
use crate::plan::management::{Draft, Rules, Ruling, Shown, judge};
use crate::plan::{Blocked, Plan};

/// Why nothing is called in Zadig when an object goes, if nothing is (design §2, rule 6): it or its environment is suspended, or
/// the environment is only observed.
pub(super) fn hands_off(suspended: bool, environment: &ZadigEnvironment) -> Option<Reason> {
    if suspended || environment.spec.suspend {
        Some(Reason::Suspended)
    } else if environment.spec.management == Management::Observe {
        Some(Reason::ObserveOnly)
    } else {
        None
    }
}

/// Tells that an object goes and `what` stays.
pub(super) async fn tell_stays<K: Managed>(object: &K, ctx: &Context, why: Reason, what: &str) {
    let how = match why {
        Reason::Suspended => "suspended",
        _ => "only observed",
    };
    let note = format!("deleted while {how}: {what}");
    ctx.event(object, EventType::Normal, why.as_str(), "Release", &note)
        .await;
}

/// What becomes of a plan: what is carried out or told of it, what of it stays in the status, and what is told in its place where
/// it is only shown.
///
/// `ahead` is the plan with what follows from it, and `draft` what is put before a person of actions.
pub(super) async fn rule<K: Managed, A>(
    object: &K,
    ctx: &Context,
    rules: Rules<'_>,
    planned: Plan<A>,
    ahead: impl FnOnce() -> Plan<A>,
    draft: impl FnOnce(&[A]) -> Draft,
) -> (Plan<A>, Option<ProposedPlan>, Option<Held>) {
    let digest = |parts: &[&str]| ctx.digests.digest(parts.iter().copied());
    match judge(rules, planned, ahead, |actions| {
        draft(actions).propose(digest)
    }) {
        Ruling::Free(planned, kept) => (planned, kept, None),
        Ruling::Shown(shown) => {
            let held = tell(object, ctx, rules.known, &shown).await;
            (Plan::InSync, Some(shown.plan), Some(held))
        }
    }
}

/// What is told of a plan that is shown; an event the first time.
async fn tell<K: Managed>(
    object: &K,
    ctx: &Context,
    known: Option<&ProposedPlan>,
    shown: &Shown,
) -> Held {
    let Shown {
        reason,
        plan,
        blocked,
    } = shown;
    let message = message(object, *reason, plan, blocked);
    if known.is_none_or(|known| known.hash != plan.hash) {
        ctx.event(object, EventType::Normal, reason.as_str(), "Plan", &message)
            .await;
    }
    Held {
        reason: *reason,
        message,
        is_plan: true,
        sight: Sight::Unknown,
    }
}

/// What is told where nothing is written and only a person could help; nothing where it is about something else than what is
/// meant.
pub(super) fn blocked<A>(management: Management, plan: &Plan<A>) -> Option<Held> {
    let Plan::Blocked(blocked) = plan else {
        return None;
    };
    let first = blocked.first()?;
    let about_another = matches!(
        first.reason,
        Reason::Conflict | Reason::DifferentZadig | Reason::IdentityMismatch
    );
    if management != Management::Observe || about_another {
        return None;
    }
    let messages: Vec<&str> = blocked.iter().map(|it| it.message.as_str()).collect();
    Some(Held {
        reason: first.reason,
        message: messages.join("; "),
        is_plan: false,
        sight: Sight::Unknown,
    })
}

/// A diagnosis, with what is not done about it.
pub(super) fn held(held: Option<Held>, diagnosis: Diagnosis, look_after: Duration) -> Diagnosis {
    let Some(held) = held else {
        return diagnosis;
    };
    let (sight, after) = match diagnosis {
        Diagnosis::Quiet(after) => return Diagnosis::Quiet(after),
        Diagnosis::Healthy => (Sight::Healthy, look_after),
        Diagnosis::Tell(outcome, after) => (outcome.sight(), after),
    };
    Diagnosis::Tell(Outcome::Held(Held { sight, ..held }), after)
}

fn message<K: Resource<DynamicType = ()>>(
    object: &K,
    reason: Reason,
    plan: &ProposedPlan,
    blocked: &[Blocked],
) -> String {
    let ProposedPlan {
        hash,
        actions,
        summary,
        ..
    } = plan;
    let mut lines = summary.join("; ");
    if usize::try_from(*actions).is_ok_and(|actions| actions > summary.len()) {
        lines.push_str("; …");
    }
    let mut text = match reason {
        Reason::AwaitingApproval => format!(
            "spec.approvedPlan: {actions} changes wait for an approval: {lines}. To approve them: kubectl patch {} {} --type merge -p '{{\"spec\":{{\"approvedPlan\":\"{hash}\"}}}}'",
            K::kind(&()).to_lowercase(),
            object.name_any()
        ),
        _ => format!(
            "spec.management: Observe, so {actions} changes are shown and not made: {lines}"
        ),
    };
    for Blocked { message, .. } in blocked {
        text.push_str("; besides, ");
        text.push_str(message);
    }
    text
}
