//! How long an environment lives: what protects it against deletion (design §2, rule 6).

use super::EnvKey;
use crate::api::DELETION_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{Scope, ZadigEnvironmentSpec};
use crate::plan::Plan;

/// Whether deleting the object, or one inside its environment, deletes nothing in Zadig.
#[must_use]
pub fn is_protected(spec: &ZadigEnvironmentSpec) -> bool {
    spec.deletion_protection.unwrap_or(match spec.scope {
        Scope::Test => false,
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
