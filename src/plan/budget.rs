//! How much may still be deleted behind a connection (design §2, ZadigConnection `maxDeletionsPerHour`).
//!
//! A plan holds back what exceeds the budget. The driver counts what it sends, on all objects together, and plans anew when
//! another object was faster.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Wait;
use super::environment::{Action, join};
use crate::api::condition::Reason;

/// How long deletions are counted together.
pub const HOUR: Duration = Duration::from_hours(1);
/// How often an object is looked at that has more to do than wait.
const LOOK: Duration = Duration::from_mins(5);

/// What may still be deleted within the hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// How many deletions may be sent within an hour.
    pub most: u32,
    /// How many of them are left.
    pub left: u32,
    /// When the hour ends; none has begun without a deletion.
    pub until: Option<Timestamp>,
    /// How long that is from now, whatever the clock says.
    pub remaining: Duration,
}

impl Allowance {
    /// How many of so many new deletions fit.
    #[must_use]
    pub fn fitting(&self, wanted: usize) -> usize {
        wanted.min(usize::try_from(self.left).unwrap_or(usize::MAX))
    }

    /// Waiting with the deletion of the whole object.
    pub(super) fn wait(&self) -> Wait {
        // Delays are jittered to be shorter, and those that wait together are to come back one after the other.
        let after = Duration::from_secs(self.remaining.as_secs() * 10 / 9 + 1);
        Wait {
            reason: Reason::DeletionBudget,
            message: self.message("deleting it"),
            after: if self.until.is_some() { after } else { HOUR },
        }
    }

    /// Waiting with the removal of these services, of an object that is cared for meanwhile.
    pub(super) fn wait_for(&self, services: &BTreeSet<String>) -> Wait {
        self.wait_with(&format!("removing services {}", join(services)))
    }

    /// Waiting with this, of an object that is cared for meanwhile.
    pub(super) fn wait_with(&self, what: &str) -> Wait {
        Wait {
            message: self.message(what),
            after: self.wait().after.min(LOOK),
            ..self.wait()
        }
    }

    fn message(&self, what: &str) -> String {
        let Self { most, until, .. } = self;
        let sent = match until {
            Some(until) => {
                format!("its {most} deletions of this hour were sent; {what} waits until {until}")
            }
            None => format!("it is {most}; {what} waits"),
        };
        format!(
            "spec.maxDeletionsPerHour of the ZadigConnection: {sent}. Raise it there to go on at once"
        )
    }
}

/// What an action adds to the count, each subject once: also when the answer was lost and it is sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// The environment as a whole, with the services that go before it.
    Environment,
    /// What goes of an environment that stays: each service by itself, and all sub-environments together, as nobody can tell
    /// how many those are (Z§6.1).
    Parts,
}

impl Counted {
    /// The subjects of an action that count.
    #[must_use]
    pub fn subjects(self, action: &Action) -> Vec<String> {
        match (self, action) {
            (
                Self::Environment,
                Action::RemoveServices { .. } | Action::DeleteEnvironment { .. },
            ) => {
                vec![ENVIRONMENT.to_owned()]
            }
            (Self::Parts, Action::RemoveServices { .. } | Action::DisableSharing) => {
                action.subjects()
            }
            _ => Vec::new(),
        }
    }
}

/// The subject that stands for an environment as a whole.
pub const ENVIRONMENT: &str = "environment deleted";
