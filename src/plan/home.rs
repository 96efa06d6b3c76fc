//! The environment that something declared apart from it belongs to: an object inside it, or a service.

use std::time::Duration;

use jiff::Timestamp;

use super::Plan;
use super::environment::EnvStatus;
use super::environment::decide::elapsed;
use crate::api::condition::Reason;
use crate::api::environment::{Ownership, Scope};

/// How soon to look again while Zadig works.
const SOON: Duration = Duration::from_secs(2);

/// The environment that something declared apart from it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum Home {
    /// It does not exist.
    Missing {
        /// The same for a person.
        why: String,
        /// The environment will be created, and the call will carry this object (`spec.configRefs`).
        carried: Option<Ownership>,
    },
    /// It is not, or not yet as far as is known, that of its ZadigEnvironment.
    Other {
        /// The same for a person.
        why: String,
    },
    /// It is there.
    Present(Box<Place>),
}

impl Home {
    /// Zadig's word for it, if it is there.
    #[must_use]
    pub fn status(&self) -> Option<&EnvStatus> {
        match self {
            Self::Present(place) => Some(&place.status),
            Self::Missing { .. } | Self::Other { .. } => None,
        }
    }
}

/// An environment that is there and owned by its ZadigEnvironment.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Which: what a record of ownership has to agree with.
    pub identity: Ownership,
    /// Which family of routes leads to it.
    pub scope: Scope,
    /// Zadig's word for it.
    pub status: EnvStatus,
    /// Since when it has that status, as far as was seen.
    pub since: Timestamp,
    /// How long Zadig's own work is believed.
    pub stuck_after: Duration,
}

impl Place {
    /// Whether what is inside may be changed now.
    #[must_use]
    pub fn can_change(&self) -> bool {
        self.status.can_change()
    }

    /// Whether Zadig's own work is not believed any more (Z§14.12).
    #[must_use]
    pub fn is_stuck(&self, now: Timestamp) -> bool {
        elapsed(self.since, now) >= self.stuck_after
    }
}

/// Whether a record is about this environment, wherever its Zadig is reached by now.
#[must_use]
pub fn same_place(record: &Ownership, identity: &Ownership) -> bool {
    let Ownership {
        zadig: _,
        project,
        env,
        cluster_id,
        namespace,
        state: _,
    } = record;
    (project, env, cluster_id, namespace)
        == (
            &identity.project,
            &identity.env,
            &identity.cluster_id,
            &identity.namespace,
        )
}

/// Waiting while Zadig works on the environment.
#[must_use]
pub fn busy<A>(status: &EnvStatus) -> Plan<A> {
    let reason = match status {
        EnvStatus::Creating => Reason::Creating,
        EnvStatus::Deleting => Reason::Deleting,
        _ => Reason::Updating,
    };
    Plan::wait(
        reason,
        format!("Zadig reports the environment as {}", status.as_str()),
        SOON,
    )
}
