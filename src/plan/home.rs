//! The environment that something declared apart from it belongs to: an object inside it, or a service.

use std::time::Duration;

use jiff::Timestamp;

use super::Plan;
use super::environment::EnvStatus;
use super::environment::decide::elapsed;
use crate::api::DELETION_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{Ownership, Scope};

/// How soon to look again while Zadig works.
const SOON: Duration = Duration::from_secs(2);
/// How soon to look again at what the ZadigEnvironment has to settle first; its change usually tells earlier.
const UNSETTLED_LOOK: Duration = Duration::from_mins(1);

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
        /// The one that the ZadigEnvironment has on record, where it is the very place that Zadig shows: it may only have to be
        /// recorded anew, as after a change of the connection's URL.
        recorded: Option<Ownership>,
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

/// What a deletion waits for where the environment is not known as that of its ZadigEnvironment at the moment, but may become so
/// again: what is inside is still there.
#[must_use]
pub fn unsettled<A>(record: &Ownership, home: &Home) -> Option<Plan<A>> {
    let Home::Other {
        why,
        recorded: Some(recorded),
    } = home
    else {
        return None;
    };
    same_place(record, recorded).then(|| {
        Plan::wait(
            Reason::EnvironmentNotReady,
            format!(
                "{why}. What is inside is deleted once it is; to release this object and leave it there, set the annotation {DELETION_ANNOTATION}=Orphan"
            ),
            UNSETTLED_LOOK,
        )
    })
}

/// Why what is inside an environment is left there by an object that is deleted, for a person; none where it is not.
#[must_use]
pub fn left_behind(record: &Ownership, home: &Home) -> Option<&'static str> {
    match home {
        Home::Missing { .. } => None,
        Home::Other { .. } => Some("the environment in Zadig is not that of the ZadigEnvironment"),
        Home::Present(home) => (!same_place(record, &home.identity)).then_some(
            "the ZadigEnvironment has another environment by now than the one that it was in",
        ),
    }
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
