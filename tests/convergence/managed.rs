//! How an object is managed: who may send what.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use zadig_operator::api::management::{Management, ProposedPlan};
use zadig_operator::plan::Plan;
use zadig_operator::plan::environment::{Action, Desired, EnvStatus, Observed, proposal};
use zadig_operator::plan::management::{Rules, Ruling, judge};

use crate::zadig::Env;

/// The mode, and what is remembered of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managed {
    pub(crate) management: Management,
    pub(crate) approved: Option<String>,
    /// What the status shows.
    pub(crate) shown: Option<ProposedPlan>,
    pub(crate) changed_at: Option<Timestamp>,
    /// Everything that the plan under way was approved for, in plain words.
    covered: BTreeSet<String>,
}

/// What stands for the keyed digest.
fn digest(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

impl Managed {
    /// The plan that may be carried out, or told; `None` when it is only shown.
    pub(crate) fn judge(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        planned: Plan<Action>,
    ) -> Option<Plan<Action>> {
        let Desired::Present(declared) = desired else {
            return Some(planned);
        };
        let rules = Rules {
            management: self.management,
            approved: self.approved.as_deref(),
            known: self.shown.as_ref(),
        };
        let mut steps = BTreeSet::new();
        let ruling = judge(
            rules,
            planned,
            || proposal::ahead(desired, observed),
            |actions| {
                let draft = proposal::draft(declared, observed, actions, self.changed_at);
                steps.clone_from(&draft.steps);
                draft.propose(digest)
            },
        );
        match ruling {
            Ruling::Free(plan, kept) => {
                let begins = kept.as_ref().is_some_and(|kept| kept.approved)
                    && kept.as_ref().map(|kept| &kept.hash)
                        != self
                            .shown
                            .as_ref()
                            .filter(|shown| shown.approved)
                            .map(|shown| &shown.hash);
                if begins {
                    self.covered = steps;
                }
                self.shown = kept;
                Some(plan)
            }
            Ruling::Shown(shown) => {
                self.shown = Some(shown.plan);
                None
            }
        }
    }

    /// Nothing is sent, or recorded, that the mode does not admit.
    pub(crate) fn watch(&self, desired: &Desired, action: &Action) -> Result<(), TestCaseError> {
        let Desired::Present(declared) = desired else {
            return Ok(());
        };
        match self.management {
            Management::Enforce => {}
            Management::Observe => prop_assert!(false, "{:?} is only observed", action),
            Management::Approve => {
                let steps = proposal::steps(action, declared);
                prop_assert!(
                    steps.is_subset(&self.covered),
                    "{:?} of {:?} was not approved: {:?}",
                    action,
                    steps,
                    self.covered
                );
            }
        }
        Ok(())
    }
}

/// Whether only what Zadig was working at went on.
pub(crate) fn same_but_for_zadigs_own_work(before: Option<&Env>, after: Option<&Env>) -> bool {
    let still = |env: Option<&Env>| {
        env.cloned().map(|mut env| {
            if env.status != EnvStatus::Sleeping {
                env.status = EnvStatus::Success;
            }
            (env.since, env.done_at, env.update_time) = (0, None, 0);
            env
        })
    };
    still(before) == still(after)
}
