//! How long an environment lives: what ends its time, and what protects it against deletion (design §2, rule 6).

use std::time::Duration;

use jiff::Timestamp;

use super::EnvKey;
use crate::api::DELETION_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{Creation, Ownership, OwnershipState, Scope, ZadigEnvironmentSpec};
use crate::api::management::Management;
use crate::plan::{Blocked, Plan, duration};

/// How long before its end a warning is due at most.
const WARNING: Duration = Duration::from_hours(1);

/// Whether deleting the object, or one inside its environment, deletes nothing in Zadig.
#[must_use]
pub fn is_protected(spec: &ZadigEnvironmentSpec) -> bool {
    spec.deletion_protection.unwrap_or(match spec.scope {
        Scope::Test => false,
        Scope::Production => true,
    })
}

/// The plan for a protected environment whose object is being deleted.
pub(super) fn protected<A>(key: &EnvKey) -> Plan<A> {
    Plan::blocked(
        Reason::DeletionProtected,
        format!(
            "spec.deletionProtection: environment {} of project {} is protected, so nothing is deleted in Zadig; to delete it, set deletionProtection: false; to release this object and leave the environment there, set the annotation {DELETION_ANNOTATION}=Orphan",
            key.env, key.project
        ),
    )
}

/// The plan for something inside a protected environment whose object is being deleted and does not ask for it by itself.
pub(in crate::plan) fn protected_inside<A>(what: &str) -> Plan<A> {
    Plan::blocked(
        Reason::DeletionProtected,
        format!(
            "spec.deletion: deletionProtection of the ZadigEnvironment holds for what is inside too, so {what} stays; to delete it, set deletion: Delete here; to release this object and leave it there, set the annotation {DELETION_ANNOTATION}=Orphan"
        ),
    )
}

/// The time of an environment that has a `ttl`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetime {
    /// When it ends, in whole seconds.
    pub ends: Timestamp,
    /// From when on a warning is due.
    pub warn: Timestamp,
}

impl Lifetime {
    /// The time of an environment whose object was made at `created`; none of one that stays.
    ///
    /// One that was taken over is never deleted for its age, and a protected one neither, whatever the schema let through.
    #[must_use]
    pub fn of(
        spec: &ZadigEnvironmentSpec,
        created: Option<Timestamp>,
        record: Option<&Ownership>,
    ) -> Option<Self> {
        let adopts = spec.creation == Creation::Adopt
            || record.is_some_and(|record| record.state == OwnershipState::Adopted);
        if adopts || is_protected(spec) {
            return None;
        }
        let ttl = duration::parse(spec.ttl.as_ref()?)?;
        let ttl = Duration::from_secs(ttl.as_secs());
        let ends = created?.checked_add(ttl).ok()?;
        let warn = ends.checked_sub((ttl / 10).min(WARNING)).ok()?;
        Some(Self { ends, warn })
    }

    /// Whether it is over.
    ///
    /// What was told to be over once stays so when the clock goes back (`told`: the end that was told); only a later end is another
    /// matter.
    #[must_use]
    pub fn is_over(&self, told: Option<Timestamp>, now: Timestamp) -> bool {
        now >= self.ends || told.is_some_and(|told| told >= self.ends)
    }

    /// How long it is until something is due; none when nothing is any more.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Duration> {
        [self.warn, self.ends]
            .into_iter()
            .find(|due| *due > now)
            .and_then(|due| Duration::try_from(due.duration_since(now)).ok())
    }

    /// What is told of an object whose environment is gone because its time is over.
    #[must_use]
    pub fn over(&self, key: &EnvKey) -> Blocked {
        Blocked::new(
            Reason::Expired,
            format!(
                "spec.ttl: its time was over at {}, and environment {} of project {} is not kept any longer; to have it back, made anew, make ttl longer or remove it; else delete this object",
                self.ends, key.env, key.project
            ),
        )
    }

    /// The warning before it ends.
    #[must_use]
    pub fn warning(&self, management: Management) -> String {
        let how = match management {
            Management::Approve => "is to be deleted, once that is approved, after",
            Management::Enforce | Management::Observe => "is deleted at",
        };
        format!(
            "spec.ttl: the environment {how} {}; to keep it, make ttl longer or remove it",
            self.ends
        )
    }
}
