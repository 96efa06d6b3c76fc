//! Decisions, as ordinary functions of plain values: no input or output, no clock, no randomness, no logging.
//!
//! Rules that every plan obeys (`tests/convergence.rs` checks them):
//! it never acts on an environment that Zadig reports as creating, updating or deleting (deletion excepted, Z§5.1);
//! it never updates or deletes what the object does not own; applied to the state that its own actions lead to, it says
//! [`Plan::InSync`] within a bounded number of steps; the same input gives the same plan, in the same order.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod access;
pub mod budget;
pub mod claim;
pub mod duration;
pub mod env_config;
pub mod environment;
pub mod home;
pub mod management;
pub mod redact;
pub mod repairs;
pub mod secret;
pub mod service_binding;

use std::time::Duration;

use crate::api::condition::Reason;

/// What to do next; each variant has one meaning for the user.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan<A> {
    /// Nothing differs: nothing to send.
    InSync,
    /// Send these in order, then look again.
    Act(Act<A>),
    /// Zadig is busy, or a prerequisite is not there yet; look again after a while.
    Wait(Wait),
    /// Only a person can help.
    Blocked(Vec<Blocked>),
}

/// Actions, and what could not be planned beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Act<A> {
    /// What to send, in order; never empty.
    pub actions: Vec<A>,
    /// Differences that a person has to settle; they do not hold up the actions.
    pub blocked: Vec<Blocked>,
}

/// What is known of Zadig's professional licence.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Licence {
    /// Gated routes answer.
    Professional,
    /// Gated routes are refused.
    Refused,
    /// The licence service did not answer.
    #[default]
    Unknown,
}

/// Which API a Zadig speaks, as far as reads tell (Z§12). Nothing tells 5.0 from 4.3, so whoever needs to know bears both.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// 4.2, or not known yet: what can be relied on.
    #[default]
    V42,
    /// 4.3 or later.
    V43,
}

impl Level {
    /// The level as the connection shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V42 => "4.2",
            Self::V43 => "4.3+",
        }
    }
}

/// Something that ends by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wait {
    /// What is waited for.
    pub reason: Reason,
    /// The same for a person.
    pub message: String,
    /// When to look again, if nothing tells earlier.
    pub after: Duration,
}

/// Something that does not end by itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Blocked {
    /// What stands in the way.
    pub reason: Reason,
    /// The same for a person, with the field path first and what to do last.
    pub message: String,
}

impl Blocked {
    /// Something that only a person can settle.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl<A> Plan<A> {
    /// A plan that waits.
    pub fn wait(reason: Reason, message: impl Into<String>, after: Duration) -> Self {
        Self::Wait(Wait {
            reason,
            message: message.into(),
            after,
        })
    }

    /// A plan that one thing blocks.
    pub fn blocked(reason: Reason, message: impl Into<String>) -> Self {
        Self::Blocked(vec![Blocked::new(reason, message)])
    }

    /// The same, unless the connection is suspended: then what it would send is told instead.
    #[must_use]
    pub fn held(self, connection_suspended: bool, summary: impl Fn(&A) -> String) -> Self {
        match self {
            Self::Act(act) if connection_suspended => {
                let waiting: Vec<String> = act.actions.iter().map(summary).collect();
                Self::wait(
                    Reason::ConnectionSuspended,
                    format!(
                        "the connection is suspended; waiting: {}",
                        waiting.join("; ")
                    ),
                    Duration::from_mins(5),
                )
            }
            other => other,
        }
    }

    /// The plan for `actions` beside `blocked`; in sync when both are empty.
    #[must_use]
    pub fn of(actions: Vec<A>, blocked: Vec<Blocked>) -> Self {
        if !actions.is_empty() {
            Self::Act(Act { actions, blocked })
        } else if !blocked.is_empty() {
            Self::Blocked(blocked)
        } else {
            Self::InSync
        }
    }
}
