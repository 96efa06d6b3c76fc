//! Services that went from their declaration: they may be about to come back under another owner.
//!
//! Whoever moves a service between the environment and a binding changes two objects, and nobody tells which of the two is seen
//! first. So a service stays for a moment after its last owner let go of it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::decide::elapsed;
use super::{Action, Environment, Observed, join};
use crate::api::condition::Reason;
use crate::plan::Wait;

/// How long a service stays that nobody declares any more, at least. What is applied together arrives within it.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long is left of the moment; none when it is over.
#[must_use]
pub(in crate::plan) fn left(since: Timestamp, grace: Duration, now: Timestamp) -> Option<Duration> {
    let left = grace.saturating_sub(elapsed(since, now));
    (!left.is_zero()).then_some(left)
}

/// Whether an action may give objects to a service that another one had: it would lose them if that is removed afterwards.
pub(super) fn may_take_objects(action: &Action) -> bool {
    matches!(
        action,
        Action::AddServices { .. } | Action::UpdateServices { .. } | Action::DeployReleases { .. }
    )
}

/// Takes the services out that are not to be removed yet; how long that is waited for.
pub(super) fn stay(
    services: &mut BTreeSet<String>,
    desired: &Environment,
    observed: &Observed,
) -> Option<Wait> {
    let memory = &observed.memory;
    let left = |name: &String| {
        let since = memory.undeclared.get(name).copied();
        left(since.unwrap_or(observed.now), desired.grace, observed.now)
    };
    let after = services.iter().filter_map(left).max()?;
    let staying: BTreeSet<String> = services
        .iter()
        .filter(|name| left(name).is_some())
        .cloned()
        .collect();
    services.retain(|name| !staying.contains(name));
    Some(Wait {
        reason: Reason::Applying,
        message: format!(
            "spec.services: services that are not declared any more are removed in a moment, unless they are declared again or a ZadigServiceBinding claims them: {}",
            join(&staying)
        ),
        after,
    })
}
