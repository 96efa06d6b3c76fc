//! The labels of the metrics, and what their values can be. All come from closed sets but the names of connections: those are few,
//! made by administrators, and each stands for a Zadig of its own.

use zadig_client::ErrorClass;

use crate::api;
use crate::api::condition::Reason;
use crate::config;

/// What stands for a reason where nothing was reported of an object yet.
pub const UNREPORTED: &str = "Unreported";

/// How a reconcile can end, for metrics.
pub const OUTCOMES: [&str; 15] = [
    "quiet",
    "ready",
    "working",
    "unhealthy",
    "resting",
    "held",
    "stalled",
    "error",
    "outage",
    "conflict",
    "released",
    "up",
    "down",
    "unwritten",
    "panicked",
];

/// The states of a circuit breaker.
pub const CIRCUITS: [&str; 3] = ["closed", "open", "half_open"];

/// A state of an object that somebody may want to look at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Only a person can help.
    Stalled,
    /// Work is going on.
    Reconciling,
    /// Something differs and is left as it is.
    Drifted,
    /// What is declared is not so in Zadig, or nobody knows.
    Unsynced,
    /// It is being deleted.
    Deleting,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Stalled,
        Self::Reconciling,
        Self::Drifted,
        Self::Unsynced,
        Self::Deleting,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Reconciling => "reconciling",
            Self::Drifted => "drifted",
            Self::Unsynced => "unsynced",
            Self::Deleting => "deleting",
        }
    }
}

/// A label.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Label {
    /// Kind of an object.
    Kind,
    /// How a reconcile ended.
    Outcome,
    /// What was changed.
    Action,
    /// A call of Zadig's API.
    Operation,
    /// Class of its answer.
    CallOutcome,
    /// Status of a Ready condition.
    Ready,
    /// Reason of a condition.
    Reason,
    /// State of an object.
    State,
    /// Namespace of a connection.
    ConnectionNamespace,
    /// Name of a connection.
    Connection,
    /// State of a circuit breaker.
    Circuit,
    /// Version of the program.
    Version,
    /// Shard of the process.
    Shard,
}

impl Label {
    /// Every label, in the order of the document.
    pub const ALL: [Self; 13] = [
        Self::Kind,
        Self::Ready,
        Self::Reason,
        Self::State,
        Self::ConnectionNamespace,
        Self::Connection,
        Self::Circuit,
        Self::Outcome,
        Self::Action,
        Self::Operation,
        Self::CallOutcome,
        Self::Version,
        Self::Shard,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Outcome | Self::CallOutcome => "outcome",
            Self::Action => "action",
            Self::Operation => "operation",
            Self::Ready => "ready",
            Self::Reason => "reason",
            Self::State | Self::Circuit => "state",
            // Not `namespace`, which Prometheus sets to that of the operator.
            Self::ConnectionNamespace => "connection_namespace",
            Self::Connection => "connection",
            Self::Version => "version",
            Self::Shard => "shard",
        }
    }

    /// What its values are, for a person.
    #[must_use]
    pub fn values(self) -> String {
        let list = |words: &[&str]| format!("`{}`", words.join("`, `"));
        match self {
            Self::Kind => list(&kinds().iter().map(String::as_str).collect::<Vec<_>>()),
            Self::Outcome => format!(
                "how a reconcile ended: {}. `quiet`: nothing to tell; `error`: it failed and is tried again; `outage`: the same, while an outage of \
                 Zadig is told on the connection alone; `conflict`: another write to the object came first; `released`: a deletion is done; `up` and \
                 `down` are those of connections",
                list(&OUTCOMES)
            ),
            Self::Action => "what was done, such as `ImageSet`; one for each call that changes something".to_owned(),
            Self::Operation => "a call of Zadig's API, such as `list_environments`, the same for test and production; bounded by the API".to_owned(),
            Self::CallOutcome => format!(
                "class of the answer to a call: `ok`, {}",
                list(&ErrorClass::ALL.map(ErrorClass::as_str))
            ),
            Self::Ready => "status of the Ready condition: `True`, `False`, `Unknown`".to_owned(),
            Self::Reason => format!(
                "reason of a condition, one of the [closed list](reasons.md); `{UNREPORTED}` where nothing was reported yet"
            ),
            Self::State => format!(
                "state of an object: {}. `unsynced`: Synced is not True; `deleting`: deletion was asked for",
                list(&State::ALL.map(State::as_str))
            ),
            Self::ConnectionNamespace => {
                "namespace of a ZadigConnection; `namespace` is the operator's, as Prometheus sets it".to_owned()
            }
            Self::Connection => {
                "name of a ZadigConnection: the only objects that metrics name, as each is a Zadig and a token".to_owned()
            }
            Self::Circuit => format!("state of a circuit breaker: {}", list(&CIRCUITS)),
            Self::Version => "version of the operator".to_owned(),
            Self::Shard => "shard of the process (`--shard`); empty, which Prometheus leaves out, for the one that has none".to_owned(),
        }
    }

    /// Whether a value can occur. Of names it is only told whether Kubernetes would take them.
    #[must_use]
    pub fn admits(self, value: &str) -> bool {
        let is_name = |value: &str| {
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            (1..=253).contains(&value.len()) && value.chars().all(allowed)
        };
        match self {
            Self::Kind => kinds().iter().any(|kind| kind == value),
            Self::Outcome => OUTCOMES.contains(&value),
            Self::Action => {
                value.starts_with(|first: char| first.is_ascii_uppercase())
                    && value.chars().all(|letter| letter.is_ascii_alphabetic())
            }
            Self::Operation => zadig_client::routes().any(|route| route.operation == value),
            Self::CallOutcome => {
                value == "ok" || ErrorClass::ALL.iter().any(|class| class.as_str() == value)
            }
            Self::Ready => ["True", "False", "Unknown"].contains(&value),
            Self::Reason => {
                value == UNREPORTED || serde_json::from_value::<Reason>(value.into()).is_ok()
            }
            Self::State => State::ALL.iter().any(|state| state.as_str() == value),
            Self::ConnectionNamespace | Self::Connection => is_name(value),
            Self::Circuit => CIRCUITS.contains(&value),
            Self::Version => value == env!("CARGO_PKG_VERSION"),
            Self::Shard => value.is_empty() || config::shard(value).is_ok(),
        }
    }
}

fn kinds() -> Vec<String> {
    let definitions = api::custom_resource_definitions();
    definitions
        .into_iter()
        .map(|definition| definition.spec.names.kind)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_set_is_not_admitted() {
        let table = [
            (Label::Kind, "ZadigEnvironment", "ConfigMap"),
            (Label::Outcome, "quiet", "slow"),
            (Label::Action, "ImageSet", "image web"),
            (
                Label::Operation,
                "list_environments",
                "/openapi/environments",
            ),
            (Label::CallOutcome, "timed_out", "500"),
            (Label::Ready, "False", "false"),
            (Label::Reason, "ZadigStuck", "because"),
            (Label::State, "drifted", "sleepy"),
            (Label::Connection, "default", "a b"),
            (Label::Circuit, "half_open", "broken"),
            (Label::Version, env!("CARGO_PKG_VERSION"), "latest"),
            (Label::Shard, "team-b", "Team B"),
            (Label::Shard, "", "-"),
        ];
        for (label, good, bad) in table {
            assert_eq!(
                (label.admits(good), label.admits(bad)),
                (true, false),
                "{label:?}"
            );
        }
    }
}
