//! What a scenario asks of an object, and points in time to count from.

use std::time::Duration;

use jiff::Timestamp;
use zadig_operator::api::condition::{Condition, ConditionStatus, ConditionType, Reason};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::Call;

/// A point in time: writes and calls are counted from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(super) time: Timestamp,
    pub(super) seq: u64,
}

impl Mark {
    /// How long ago it was.
    pub(crate) fn age(self) -> Duration {
        Duration::try_from(Timestamp::now().duration_since(self.time)).unwrap_or_default()
    }
}

/// What the operator's client calls itself.
const OURS: &str = "zadig-operator/";

/// Whether a call of the simulator is the operator's.
pub(crate) fn is_ours(call: &Call) -> bool {
    call.agent.starts_with(OURS)
}

/// An object with conditions.
pub(crate) trait Observed {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// Whether its status is about its present spec.
    fn is_current(&self) -> bool;
}

macro_rules! observed {
    ($kind:ty) => {
        impl Observed for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status
                    .as_ref()
                    .map_or(&[], |status| &status.conditions)
            }

            fn is_current(&self) -> bool {
                let observed = self
                    .status
                    .as_ref()
                    .and_then(|status| status.observed_generation);
                observed == self.metadata.generation
            }
        }
    };
}

observed!(ZadigConnection);
observed!(ZadigEnvConfig);
observed!(ZadigEnvironment);
observed!(ZadigServiceBinding);

/// Ready, for the present spec.
pub(crate) fn is_ready(object: &impl Observed) -> bool {
    object.is_current() && holds(object, ConditionType::Ready).is_some()
}

/// Stalled, for the present spec.
pub(crate) fn is_stalled(object: &impl Observed) -> bool {
    object.is_current() && holds(object, ConditionType::Stalled).is_some()
}

/// Any condition gives this reason, for the present spec.
pub(crate) fn has_reason(object: &impl Observed, reason: Reason) -> bool {
    let mut reasons = object.conditions().iter().map(|condition| condition.reason);
    object.is_current() && reasons.any(|found| found == reason)
}

/// The sentence that goes with a reason; empty if no condition gives it.
pub(crate) fn message(object: &impl Observed, reason: Reason) -> &str {
    let mut conditions = object.conditions().iter();
    let found = conditions.find(|condition| condition.reason == reason);
    found.map_or("", |condition| &condition.message)
}

fn holds(object: &impl Observed, type_: ConditionType) -> Option<&Condition> {
    let mut conditions = object.conditions().iter();
    conditions.find(|found| found.type_ == type_ && found.status == ConditionStatus::True)
}
