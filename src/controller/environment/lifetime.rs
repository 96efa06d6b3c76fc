//! The time of an environment that has a `ttl`: whether it is over, the warning before, and what is left afterwards.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
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
/// How far our clock and Zadig's may be apart before no time is believed to be over. One of both is wrong then, and an environment that
/// lives a while too long is the lesser harm.
const TRUSTED_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How often it is looked whether the clocks agree again.
const DOUBTED_LOOK: Duration = Duration::from_mins(1);
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
pub(in crate::controller) fn time_is_over(object: &ZadigEnvironment, ctx: &Context) -> bool {
    let record = owner(object);
    let lifetime = of(object, record.as_ref());
    lifetime.is_some_and(|lifetime| {
        is_over(lifetime, told(object), Timestamp::now(), skew(object, ctx))
            && !is_spared(object, record.as_ref())
    })
}

/// How far Zadig's clock is ahead of ours, as of its last answer.
fn skew(object: &ZadigEnvironment, ctx: &Context) -> Option<SignedDuration> {
    let zadig = ctx.hub.known(&Context::connection_key(object))?;
    zadig.client.clock_skew()
}

/// Whether clocks are too far apart for a time to be believed.
fn is_doubtful(skew: Option<SignedDuration>) -> bool {
    skew.is_some_and(|skew| skew.abs() > TRUSTED_SKEW)
}

/// Whether a time is over: it was told so, or a clock says so that nobody contradicts.
fn is_over(
    lifetime: Lifetime,
    told: Option<Timestamp>,
    now: Timestamp,
    skew: Option<SignedDuration>,
) -> bool {
    lifetime.is_over(told, Timestamp::MIN) || (lifetime.is_over(None, now) && !is_doubtful(skew))
}

/// An environment that is only observed, or whose object is to be released without a call, is not deleted for its age either.
fn is_spared(object: &ZadigEnvironment, record: Option<&Ownership>) -> bool {
    object.spec.management == Management::Observe
        || (record.is_some() && driver::is_orphaned(object))
}

/// The time of an environment if it is over, which is remembered; none while its object is being deleted anyway.
pub(super) fn over(
    object: &ZadigEnvironment,
    ctx: &Context,
    local: &mut Local,
    now: Timestamp,
) -> Option<Lifetime> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let record = local.record.as_ref();
    let over = of(object, record).filter(|lifetime| {
        is_over(*lifetime, local.memory.expired, now, skew(object, ctx))
            && !is_spared(object, record)
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

/// Why an environment is not deleted although its time is over by our clock.
fn doubt(skew: SignedDuration) -> String {
    let (seconds, word) = (
        skew.as_secs().unsigned_abs(),
        if skew.is_negative() {
            "behind"
        } else {
            "ahead of"
        },
    );
    format!(
        "spec.ttl: over by the clock of this operator, but Zadig's is {seconds} s {word} it, so nothing is deleted; set the clocks of the \
         operator's node and of Zadig right"
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
    let skew = skew(object, ctx).filter(|_| lifetime.is_over(None, now));
    if local.record.is_some()
        && is_doubtful(skew)
        && local.memory.expired.is_none()
        && local.doubted != Some(lifetime.ends)
    {
        local.doubted = Some(lifetime.ends);
        let note = doubt(skew.unwrap_or_default());
        tracing::warn!(note, "an environment is not deleted for its age");
        ctx.event(
            object,
            EventType::Warning,
            "ClocksDiffer",
            "Reconcile",
            &note,
        )
        .await;
    }
    if is_doubtful(skew) && local.memory.expired.is_none() {
        return Some(driver::jittered(DOUBTED_LOOK));
    }
    let due = local.record.is_some() && lifetime.warn <= now && now < lifetime.ends;
    if due && local.warned != Some(lifetime.ends) {
        local.warned = Some(lifetime.ends);
        let note = lifetime.warning(object.spec.management);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_over_when_no_clock_contradicts_or_when_it_was_told_so() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let lifetime = Lifetime {
            warn: at(900),
            ends: at(1000),
        };
        let minutes = SignedDuration::from_mins;
        let over = |told, now, skew| is_over(lifetime, told, at(now), skew);
        assert!(!over(None, 999, None));
        for skew in [None, Some(minutes(0)), Some(minutes(5)), Some(minutes(-5))] {
            assert!(over(None, 1000, skew), "{skew:?}");
        }
        // Our clock is a day ahead, or Zadig's a day behind: nobody knows which.
        for skew in [minutes(6), minutes(-6), minutes(-60 * 24)] {
            assert!(!over(None, 1000, Some(skew)), "{skew:?}");
            assert!(over(Some(at(1000)), 1000, Some(skew)), "it is gone already");
        }
        assert_eq!(
            doubt(minutes(-10)),
            "spec.ttl: over by the clock of this operator, but Zadig's is 600 s behind it, so nothing is deleted; set the clocks of the \
             operator's node and of Zadig right"
        );
    }
}
