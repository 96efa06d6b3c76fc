//! Whether a plan is carried out, proposed or only shown (design §4): `management` Enforce, Approve and Observe.
//!
//! A proposed plan has a hash over what is declared, what was seen of it, and the calls. An approval names the hash. While it is
//! carried out, what was seen changes with every call, so each later plan is held against the steps that were approved instead.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::secret::SecretText;
use super::{Act, Blocked, Plan};
use crate::api::condition::Reason;
use crate::api::management::{Management, ProposedPlan, STEPS_MAX, SUMMARY_LINE_MAX, SUMMARY_MAX};

/// A plan as it is put before a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// What is declared, without the fields that only control how it is carried out.
    pub declared: Vec<SecretText>,
    /// What was seen of that.
    pub seen: Vec<SecretText>,
    /// The calls in one line each, without secrets.
    pub summary: Vec<String>,
    /// What the calls do, one by one, and what follows from them; without secrets, as those are part of what is declared. A
    /// plan without any changes nothing that anybody would have to be asked about.
    pub steps: BTreeSet<String>,
}

impl Draft {
    /// The plan as it is shown, with keyed digests; nothing where nobody has to be asked.
    #[must_use]
    pub fn propose(&self, digest: impl Fn(&[&str]) -> String) -> Option<ProposedPlan> {
        if self.steps.is_empty() {
            return None;
        }
        let declared: Vec<&str> = self.declared.iter().map(SecretText::expose).collect();
        let declared = digest(&declared);
        let seen: Vec<&str> = self.seen.iter().map(SecretText::expose).collect();
        let mut whole = vec![declared.as_str()];
        let seen = digest(&seen);
        whole.push(&seen);
        whole.extend(self.summary.iter().map(String::as_str));
        whole.extend(self.steps.iter().map(String::as_str));
        let steps = self.steps.iter().take(STEPS_MAX as usize);
        Some(ProposedPlan {
            hash: digest(&whole),
            actions: i64::try_from(self.summary.len()).unwrap_or(i64::MAX),
            summary: self
                .summary
                .iter()
                .take(SUMMARY_MAX as usize)
                .map(|line| bounded(line, SUMMARY_LINE_MAX as usize))
                .collect(),
            approved: false,
            // What is declared is part of every step: an approval ends when something else is.
            steps: steps.map(|step| digest(&[&declared, step])).collect(),
        })
    }
}

/// How an object wants its plans to be treated.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `spec.management` of the environment.
    pub management: Management,
    /// `spec.approvedPlan` of the object.
    pub approved: Option<&'a str>,
    /// The plan that was last shown, or is under way.
    pub known: Option<&'a ProposedPlan>,
}

/// What becomes of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling<A> {
    /// It is carried out, or told, as it is; this much stays in the status.
    Free(Plan<A>, Option<ProposedPlan>),
    /// It is shown, and nothing is sent.
    Shown(Shown),
}

/// A plan that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Why nothing is sent.
    pub reason: Reason,
    /// The plan.
    pub plan: ProposedPlan,
    /// What could not be planned beside it.
    pub blocked: Vec<Blocked>,
}

/// Decides whether a plan may be carried out.
///
/// `ahead` is the plan with what follows from it, see [`ahead`]; `propose` makes what is shown of actions, and answers nothing
/// for those that nobody has to be asked about.
#[must_use]
pub fn judge<A>(
    rules: Rules<'_>,
    planned: Plan<A>,
    ahead: impl FnOnce() -> Plan<A>,
    propose: impl FnOnce(&[A]) -> Option<ProposedPlan>,
) -> Ruling<A> {
    let reason = match rules.management {
        Management::Enforce => return Ruling::Free(planned, None),
        Management::Approve => Reason::AwaitingApproval,
        Management::Observe => Reason::ObserveOnly,
    };
    let under_way = rules
        .known
        .filter(|known| known.approved && rules.approved == Some(known.hash.as_str()));
    match ahead() {
        Plan::Act(Act { actions, blocked }) => match (propose(&actions), rules.management) {
            (None, Management::Observe) => Ruling::Free(Plan::of(Vec::new(), blocked), None),
            (None, _) => Ruling::Free(planned, under_way.cloned()),
            (Some(plan), Management::Approve) if rules.approved == Some(plan.hash.as_str()) => {
                let approved = true;
                Ruling::Free(planned, Some(ProposedPlan { approved, ..plan }))
            }
            (Some(plan), Management::Approve)
                if under_way.is_some_and(|known| covers(known, &plan)) =>
            {
                Ruling::Free(planned, under_way.cloned())
            }
            (Some(plan), _) => Ruling::Shown(Shown {
                reason,
                plan,
                blocked,
            }),
        },
        other => {
            let kept = match &other {
                // What was shown stays while Zadig works.
                Plan::Wait(_) => rules.known.cloned(),
                Plan::InSync | Plan::Act(_) | Plan::Blocked(_) => None,
            };
            // They differ where only a record is to be made.
            let told = match rules.management {
                Management::Observe => other,
                Management::Approve | Management::Enforce => planned,
            };
            Ruling::Free(told, kept)
        }
    }
}

/// Whether a plan holds only what was approved with another one.
fn covers(approved: &ProposedPlan, plan: &ProposedPlan) -> bool {
    let complete = plan.steps.len() < STEPS_MAX as usize;
    complete && plan.steps.iter().all(|step| approved.steps.contains(step))
}

/// A plan that only records whose something is, together with the one that comes after it: the record is no change of
/// anything in Zadig, and nobody could judge it alone. Where nothing is to be sent afterwards, that is the plan.
///
/// `after` answers nothing for actions that are more than a record.
#[must_use]
pub fn ahead<A>(planned: Plan<A>, after: impl FnOnce(&[A]) -> Option<Plan<A>>) -> Plan<A> {
    let Plan::Act(mut first) = planned else {
        return planned;
    };
    match after(&first.actions) {
        Some(Plan::Act(then)) => {
            first.actions.extend(then.actions);
            first.blocked.extend(then.blocked);
        }
        Some(other) => return other,
        None => {}
    }
    Plan::Act(first)
}

fn bounded(line: &str, longest: usize) -> String {
    if line.chars().count() <= longest {
        return line.to_owned();
    }
    let shown = line.chars().take(longest - 1);
    shown.chain(['…']).collect()
}
