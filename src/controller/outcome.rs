//! From an outcome to the conditions: the one place where conditions are made. The same facts give the same bytes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::condition::{Condition, ConditionStatus, ConditionType, Reason};
use crate::error::bounded;

/// Longest message of a condition, in characters; Kubernetes takes 32 KiB.
const MESSAGE: usize = 1500;

/// What a reconcile came to, in the terms of the conditions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Everything declared is so, and healthy.
    Ready,
    /// Everything declared is so, but services are not healthy yet.
    Progressing(String),
    /// Everything declared is so, but services are not healthy, and not for a moment only.
    Unhealthy(Reason, String),
    /// Something is under way, or waited for.
    Working(Reason, String),
    /// Waited for, with nothing under way that a tool should wait for.
    Resting(Reason, String),
    /// Only a person can help.
    Stalled(Reason, String),
    /// A step failed and will be tried again.
    Failing(Reason, String),
    /// Something differs, and it is not for us to change it (now).
    Held(Held),
}

/// What is not changed, and how things are meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// Why.
    pub(super) reason: Reason,
    /// The same for a person.
    pub(super) message: String,
    /// A plan is shown; otherwise there cannot be one.
    pub(super) is_plan: bool,
    /// How the services are.
    pub(super) sight: Sight,
}

/// How services are, whatever is declared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sight {
    /// There is nothing to be seen.
    Unknown,
    /// Healthy.
    Healthy,
    /// Not healthy.
    Unhealthy(Reason, String),
}

impl Held {
    /// Ready follows the services, but where a person is waited for (design §4).
    fn conditions(&self) -> Vec<(ConditionType, ConditionStatus, Reason, String)> {
        use ConditionStatus::{False, True};
        use ConditionType::{Drifted, Healthy, Ready, Synced};
        let Self {
            reason,
            message,
            is_plan,
            sight,
        } = self;
        let healthy = match sight {
            Sight::Unknown => None,
            Sight::Healthy => Some((
                True,
                Reason::Ready,
                "all declared services are healthy".to_owned(),
            )),
            Sight::Unhealthy(reason, message) => Some((False, *reason, message.clone())),
        };
        let ready = match &healthy {
            Some(ready) if *reason != Reason::AwaitingApproval => ready.clone(),
            _ => (False, *reason, message.clone()),
        };
        let mut conditions = vec![
            (Ready, ready.0, ready.1, ready.2),
            (Synced, False, *reason, message.clone()),
        ];
        if *is_plan {
            conditions.push((Drifted, True, *reason, message.clone()));
        }
        if let Some((status, reason, message)) = healthy {
            conditions.push((Healthy, status, reason, message));
        }
        conditions
    }
}

impl Outcome {
    /// What is told to a person; nothing of an object that is as it should be.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Ready => "",
            Self::Progressing(message)
            | Self::Unhealthy(_, message)
            | Self::Working(_, message)
            | Self::Resting(_, message)
            | Self::Stalled(_, message)
            | Self::Failing(_, message)
            | Self::Held(Held { message, .. }) => message,
        }
    }

    /// How services are by this outcome.
    pub(super) fn sight(self) -> Sight {
        match self {
            Self::Ready => Sight::Healthy,
            Self::Progressing(message) => Sight::Unhealthy(Reason::Progressing, message),
            Self::Unhealthy(reason, message) => Sight::Unhealthy(reason, message),
            Self::Held(held) => held.sight,
            Self::Working(..) | Self::Resting(..) | Self::Stalled(..) | Self::Failing(..) => {
                Sight::Unknown
            }
        }
    }

    /// The outcome's word in metrics; a closed set.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Progressing(_) | Self::Working(..) => "working",
            Self::Unhealthy(..) => "unhealthy",
            Self::Resting(..) => "resting",
            Self::Stalled(..) => "stalled",
            Self::Failing(..) => "error",
            Self::Held(_) => "held",
        }
    }
}

/// A time as Kubernetes writes it: whole seconds.
pub(super) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The conditions of an outcome; `Reconciling`, `Stalled` and `Drifted` are there only while true (kstatus).
pub(super) fn conditions(
    old: &[Condition],
    outcome: &Outcome,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Drifted, Healthy, Ready, Reconciling, Stalled, Synced};
    let synced = (
        Synced,
        True,
        Reason::InSync,
        "everything declared is recorded in Zadig".to_owned(),
    );
    let wanted: Vec<(ConditionType, ConditionStatus, Reason, String)> = match outcome {
        Outcome::Ready => vec![
            (
                Ready,
                True,
                Reason::Ready,
                "everything declared is so and healthy".to_owned(),
            ),
            synced,
            (
                Healthy,
                True,
                Reason::Ready,
                "all declared services are healthy".to_owned(),
            ),
        ],
        Outcome::Progressing(message) => vec![
            (Ready, False, Reason::Progressing, message.clone()),
            (Reconciling, True, Reason::Progressing, message.clone()),
            synced,
            (Healthy, False, Reason::Progressing, message.clone()),
        ],
        Outcome::Unhealthy(reason, message) => {
            let mut conditions = vec![
                (Ready, False, *reason, message.clone()),
                synced,
                (Healthy, False, *reason, message.clone()),
            ];
            match reason {
                Reason::LiveDrift => {
                    conditions.push((Drifted, True, *reason, message.clone()));
                    conditions.push((Stalled, True, *reason, message.clone()));
                }
                Reason::NotApplied => conditions.push((Stalled, True, *reason, message.clone())),
                _ => {}
            }
            conditions
        }
        Outcome::Working(reason, message) => vec![
            (Ready, False, *reason, message.clone()),
            (Reconciling, True, *reason, message.clone()),
            (Synced, False, *reason, message.clone()),
        ],
        Outcome::Resting(reason, message) => vec![
            (Ready, False, *reason, message.clone()),
            (Synced, Unknown, *reason, message.clone()),
        ],
        Outcome::Stalled(reason, message) => vec![
            (Ready, False, *reason, message.clone()),
            (Stalled, True, *reason, message.clone()),
            (Synced, False, *reason, message.clone()),
        ],
        Outcome::Failing(reason, message) => vec![
            (Ready, Unknown, *reason, message.clone()),
            (Reconciling, True, *reason, message.clone()),
            (Synced, Unknown, *reason, message.clone()),
        ],
        Outcome::Held(held) => held.conditions(),
    };
    wanted
        .into_iter()
        .map(|(type_, status, reason, message)| {
            let since = old
                .iter()
                .find(|condition| condition.type_ == type_ && condition.status == status)
                .map_or_else(
                    || time(now),
                    |condition| condition.last_transition_time.clone(),
                );
            Condition {
                type_,
                status,
                reason,
                message: bounded(&message, MESSAGE),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(outcome: &Outcome) -> String {
        let made = conditions(&[], outcome, 1, Timestamp::UNIX_EPOCH);
        let texts = made.iter().map(|it| {
            let (type_, status, reason) = (it.type_, it.status, it.reason);
            format!("{type_:?}={status:?}/{reason:?}")
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    fn held(reason: Reason, is_plan: bool, sight: Sight) -> Outcome {
        Outcome::Held(Held {
            reason,
            message: "2 changes".to_owned(),
            is_plan,
            sight,
        })
    }

    /// Nothing of it is Stalled or Reconciling: a tool that waits has nothing to wait for, and nothing failed (design §4).
    #[test]
    fn what_is_only_shown_follows_the_services_unless_a_person_is_waited_for() {
        use Reason::{
            AwaitingApproval, EnvironmentExists, EnvironmentNotFound, NotReady, ObserveOnly,
        };
        let broken = || Sight::Unhealthy(NotReady, "api: no pods".to_owned());
        let rows = [
            (
                held(ObserveOnly, true, Sight::Healthy),
                "Ready=True/Ready Synced=False/ObserveOnly Drifted=True/ObserveOnly Healthy=True/Ready",
            ),
            (
                held(ObserveOnly, true, broken()),
                "Ready=False/NotReady Synced=False/ObserveOnly Drifted=True/ObserveOnly Healthy=False/NotReady",
            ),
            (
                held(EnvironmentNotFound, true, Sight::Unknown),
                "Ready=False/EnvironmentNotFound Synced=False/EnvironmentNotFound Drifted=True/EnvironmentNotFound",
            ),
            (
                held(EnvironmentExists, false, Sight::Healthy),
                "Ready=True/Ready Synced=False/EnvironmentExists Healthy=True/Ready",
            ),
            (
                held(AwaitingApproval, true, Sight::Healthy),
                "Ready=False/AwaitingApproval Synced=False/AwaitingApproval Drifted=True/AwaitingApproval Healthy=True/Ready",
            ),
            (
                held(AwaitingApproval, true, Sight::Unknown),
                "Ready=False/AwaitingApproval Synced=False/AwaitingApproval Drifted=True/AwaitingApproval",
            ),
        ];
        for (outcome, expected) in rows {
            assert_eq!(told(&outcome), expected, "{outcome:?}");
        }
    }
}
