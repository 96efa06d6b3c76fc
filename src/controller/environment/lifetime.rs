//! The time of an environment that has a `ttl`: whether it is over, the warning before, and what is left afterwards.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::events::EventType;

use super::{Local, Step, Told, owner};
use crate::api::condition::Reason;
use crate::api::environment::{Ownership, ZadigEnvironment};
use crate::api::management::Management;
use crate::controller::context::Context;
use crate::controller::outcome::Outcome;
use crate::controller::{driver, home};
use crate::error::Error;
use crate::plan::environment::lifetime::Lifetime;
use crate::plan::environment::memory::Memory;

/// How often an object is looked at whose time is over: whatever ends that tells by itself.
const OVER_LOOK: Duration = Duration::from_hours(1);
/// How much later than due something may be begun, so that what was made together does not end together.
const LATEST: Duration = Duration::from_secs(10);

/// The time of an object's environment, if it has an end.
pub(super) fn of(object: &ZadigEnvironment, record: Option<&Ownership>) -> Option<Lifetime> {
    let created = object.metadata.creation_timestamp.as_ref();
    Lifetime::of(&object.spec, created.map(|time| time.0), record)
}

/// The end that was told to be over.
pub(super) fn told(object: &ZadigEnvironment) -> Option<Timestamp> {
    let status = object.status.as_ref().filter(|status| status.expired)?;
    status.expires_at.as_ref().map(|time| time.0)
}

/// Whether the time of an environment is over, as far as its object tells.
pub(in crate::controller) fn time_is_over(object: &ZadigEnvironment) -> bool {
    let record = owner(object);
    let lifetime = of(object, record.as_ref());
    lifetime.is_some_and(|lifetime| {
        lifetime.is_over(told(object), Timestamp::now()) && !is_spared(object, record.as_ref())
    })
}

/// An environment that is only observed, or whose object is to be released without a call, is not deleted for its age either.
fn is_spared(object: &ZadigEnvironment, record: Option<&Ownership>) -> bool {
    object.spec.management == Management::Observe
        || (record.is_some() && driver::is_orphaned(object))
}

/// The time of an environment if it is over, which is remembered; none while its object is being deleted anyway.
pub(super) fn over(
    object: &ZadigEnvironment,
    local: &mut Local,
    now: Timestamp,
) -> Option<Lifetime> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let record = local.record.as_ref();
    let over = of(object, record).filter(|lifetime| {
        lifetime.is_over(local.memory.expired, now) && !is_spared(object, record)
    });
    local.memory.expired = over.map(|lifetime| lifetime.ends);
    over
}

/// What is told of an object whose environment is gone because its time was over.
pub(super) fn expired(object: &ZadigEnvironment, over: &Lifetime) -> Step {
    let outcome = driver::stalled(vec![over.over(&home::key(object))]);
    Step::Tell(outcome, Told::default(), OVER_LOOK)
}

/// What is told while the environment is deleted because its time is over.
pub(super) fn ending(sent: &str) -> Outcome {
    Outcome::Working(
        Reason::Deleting,
        format!("spec.ttl: its time is over; sent to Zadig: {sent}"),
    )
}

/// Gives up the claim on an environment that is gone: if another is made under its key, that is not ours.
///
/// # Errors
/// When Kubernetes refuses it.
pub(super) async fn give_up(
    object: &ZadigEnvironment,
    ctx: &Context,
    local: &mut Local,
    over: &Lifetime,
) -> Result<Step, Error> {
    driver::disclaim(object, ctx).await?;
    local.record = None;
    local.rest = None;
    local.memory = Memory {
        expired: Some(over.ends),
        ..Memory::default()
    };
    ctx.wake_connection(&Context::connection_key(object));
    Ok(expired(object, over))
}

/// Warns of the end when that is due, once in this process, and tells how soon something is due.
pub(super) async fn watch(
    object: &ZadigEnvironment,
    ctx: &Context,
    local: &mut Local,
) -> Option<Duration> {
    let lifetime = of(object, local.record.as_ref())?;
    if object.spec.suspend || object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let now = Timestamp::now();
    let due = local.record.is_some() && lifetime.warn <= now && now < lifetime.ends;
    if due && local.warned != Some(lifetime.ends) {
        local.warned = Some(lifetime.ends);
        let note = lifetime.warning();
        ctx.event(
            object,
            EventType::Warning,
            "ExpiresSoon",
            "Reconcile",
            &note,
        )
        .await;
    }
    let next = lifetime.next(now)?;
    Some(next + Duration::from_millis(5) + (next / 20).min(LATEST).mul_f64(fastrand::f64()))
}
