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
            | Self::Failing(_, message) => message,
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
