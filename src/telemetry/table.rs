//! Every metric of the operator: its name, form, unit, labels and meaning, written down once.
//!
//! What is counted is counted through an entry of this table, so that a series can have no other name and no other labels. The
//! table is also `docs/src/reference/metrics.md` (`cargo xtask generate`).

use std::time::Duration;

use metrics::{Gauge, Histogram, Unit};

use super::labels::Label;

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Name, with the base unit where there is one.
    pub name: &'static str,
    /// What kind of series it is.
    pub form: Form,
    /// Labels of every series, in order.
    pub labels: &'static [Label],
    /// What it tells, for a person.
    pub help: &'static str,
}

/// The form of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// The distribution of durations, with these upper bounds of its buckets in seconds.
    Histogram(&'static [f64]),
}

impl Form {
    /// The word of the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// From an answer out of a cache to Zadig's slowest update. A bound that an alert compares with is one of them, or it would be guessed.
const CALLS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// From a small environment to one that a person had to help.
const LIVES: &[f64] = &[
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0,
];

/// The version of the program.
pub const BUILD_INFO: Metric = Metric {
    name: "zadig_operator_build_info",
    form: Form::Gauge,
    labels: &[Label::Version, Label::Shard],
    help: "Always 1; version and shard are its labels.",
};
/// Who leads.
pub const LEADER: Metric = Metric {
    name: "zadig_operator_leader",
    form: Form::Gauge,
    labels: &[Label::Shard],
    help: "1 while this process leads, else 0. The metrics of objects and connections are told by the process that leads.",
};
/// Reconciles.
pub const RECONCILES: Metric = Metric {
    name: "zadig_operator_reconciles_total",
    form: Form::Counter,
    labels: &[Label::Kind, Label::Outcome],
    help: "Reconciles by kind and outcome.",
};
/// Time of reconciles.
pub const RECONCILE_DURATION: Metric = Metric {
    name: "zadig_operator_reconcile_duration_seconds",
    form: Form::Histogram(CALLS),
    labels: &[Label::Kind],
    help: "Time of one reconcile, by kind.",
};
/// Who waits to be reconciled.
pub const QUEUE_DEPTH: Metric = Metric {
    name: "zadig_operator_queue_depth",
    form: Form::Gauge,
    labels: &[Label::Kind],
    help: "Objects that wait to be reconciled now, without those that come back later.",
};
/// How long they wait.
pub const QUEUE_WAIT: Metric = Metric {
    name: "zadig_operator_queue_wait_seconds",
    form: Form::Histogram(CALLS),
    labels: &[Label::Kind],
    help: "Time that an object waited to be reconciled, from when it was asked for or due.",
};
/// What is being reconciled.
pub const RECONCILES_RUNNING: Metric = Metric {
    name: "zadig_operator_reconciles_running",
    form: Form::Gauge,
    labels: &[Label::Kind],
    help: "Objects that are being reconciled; --concurrency bounds it for each kind.",
};
/// The wait of a new object.
pub const FIRST_RECONCILE: Metric = Metric {
    name: "zadig_operator_time_to_first_reconcile_seconds",
    form: Form::Histogram(LIVES),
    labels: &[Label::Kind],
    help: "Time from the creation of an object to the begin of its first reconcile.",
};
/// The time until a new object works.
pub const READY: Metric = Metric {
    name: "zadig_operator_time_to_ready_seconds",
    form: Form::Histogram(LIVES),
    labels: &[Label::Kind],
    help: "Time from the creation of an object until it was Ready for the first time, of objects whose first reconcile this process saw.",
};
/// The time that deletions take.
pub const DELETION: Metric = Metric {
    name: "zadig_operator_deletion_duration_seconds",
    form: Form::Histogram(LIVES),
    labels: &[Label::Kind],
    help: "Time from the request to delete an object until it was gone.",
};
/// Changes.
pub const ACTIONS: Metric = Metric {
    name: "zadig_operator_actions_total",
    form: Form::Counter,
    labels: &[Label::Action],
    help: "Changes that were made, by what they do; the same words as the reasons of events.",
};
/// Calls.
pub const REQUESTS: Metric = Metric {
    name: "zadig_operator_zadig_requests_total",
    form: Form::Counter,
    labels: &[Label::Operation, Label::CallOutcome],
    help: "Calls to Zadig by operation and class of answer. A read that is repeated counts each time.",
};
/// Time of calls.
pub const REQUEST_DURATION: Metric = Metric {
    name: "zadig_operator_zadig_request_duration_seconds",
    form: Form::Histogram(CALLS),
    labels: &[Label::Operation],
    help: "Time of one call to Zadig, by operation, without the wait for its turn.",
};
/// Time before calls.
pub const THROTTLE: Metric = Metric {
    name: "zadig_operator_zadig_throttle_seconds",
    form: Form::Histogram(CALLS),
    labels: &[],
    help: "Time that a call to Zadig waited for its turn, as spec.limits of the connection bounds calls.",
};
/// Connections.
pub const CONNECTION_UP: Metric = Metric {
    name: "zadig_operator_connection_up",
    form: Form::Gauge,
    labels: &[Label::ConnectionNamespace, Label::Connection, Label::Reason],
    help: "1 while a ZadigConnection can be used, else 0; with the reason of its Ready condition.",
};
/// Their circuit breakers.
pub const CIRCUIT: Metric = Metric {
    name: "zadig_operator_connection_circuit_state",
    form: Form::Gauge,
    labels: &[
        Label::ConnectionNamespace,
        Label::Connection,
        Label::Circuit,
    ],
    help: "1 for the present state of the circuit breaker before the Zadig of a connection, 0 for the others. Connections to the same address share it.",
};
/// Their calls.
pub const IN_FLIGHT: Metric = Metric {
    name: "zadig_operator_connection_requests_in_flight",
    form: Form::Gauge,
    labels: &[Label::ConnectionNamespace, Label::Connection],
    help: "Calls to the Zadig of a connection that are not answered yet. Connections to the same address share them.",
};
/// Those who wait for a call.
pub const WAITING: Metric = Metric {
    name: "zadig_operator_connection_requests_waiting",
    form: Form::Gauge,
    labels: &[Label::ConnectionNamespace, Label::Connection],
    help: "Calls to the Zadig of a connection that wait for their turn. Connections to the same address share them.",
};
/// Objects by Ready.
pub const OBJECTS: Metric = Metric {
    name: "zadig_operator_objects",
    form: Form::Gauge,
    labels: &[Label::Kind, Label::Ready, Label::Reason],
    help: "Objects by kind, and status and reason of their Ready condition.",
};
/// Objects in states to look at.
pub const OBJECT_STATES: Metric = Metric {
    name: "zadig_operator_object_states",
    form: Form::Gauge,
    labels: &[Label::Kind, Label::State, Label::Reason],
    help: "Objects by kind, the states they are in, and why. An object may be in several; where there are none there is no series.",
};
/// How long the oldest has been so.
pub const OLDEST: Metric = Metric {
    name: "zadig_operator_object_state_oldest_age_seconds",
    form: Form::Gauge,
    labels: &[Label::Kind, Label::State, Label::Reason],
    help: "How long the object has been in the state that has been so for the longest.",
};

/// All of them, in the order of the document.
pub const METRICS: [&Metric; 21] = [
    &OBJECTS,
    &OBJECT_STATES,
    &OLDEST,
    &CONNECTION_UP,
    &CIRCUIT,
    &IN_FLIGHT,
    &WAITING,
    &RECONCILES,
    &RECONCILE_DURATION,
    &QUEUE_DEPTH,
    &QUEUE_WAIT,
    &RECONCILES_RUNNING,
    &FIRST_RECONCILE,
    &READY,
    &DELETION,
    &ACTIONS,
    &REQUESTS,
    &REQUEST_DURATION,
    &THROTTLE,
    &LEADER,
    &BUILD_INFO,
];

impl Metric {
    /// The base unit, which the name tells; none of what is only counted.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        self.name.ends_with("_seconds").then_some(Unit::Seconds)
    }

    /// Counts one more. The values are those of the labels, in order; none of them is made at run time.
    pub fn increment(&self, values: &[&'static str]) {
        metrics::counter!(self.name, self.with(values)).increment(1);
    }

    /// The gauge with these labels.
    pub fn gauge(&self, values: &[&'static str]) -> Gauge {
        metrics::gauge!(self.name, self.with(values))
    }

    /// The distribution with these labels.
    pub fn histogram(&self, values: &[&'static str]) -> Histogram {
        metrics::histogram!(self.name, self.with(values))
    }

    /// Adds a duration to the distribution.
    pub fn record(&self, values: &[&'static str], time: Duration) {
        self.histogram(values).record(time.as_secs_f64());
    }

    fn with(&self, values: &[&'static str]) -> Vec<metrics::Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "labels of {}", self.name);
        self.labels
            .iter()
            .zip(values)
            .map(|(label, value)| metrics::Label::from_static_parts(label.name(), value))
            .collect()
    }

    /// Tells the recorder what it means.
    pub(super) fn describe(&self) {
        let unit = self.unit().unwrap_or(Unit::Count);
        match self.form {
            Form::Counter => metrics::describe_counter!(self.name, unit, self.help),
            Form::Gauge => metrics::describe_gauge!(self.name, unit, self.help),
            Form::Histogram(_) => metrics::describe_histogram!(self.name, unit, self.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for Metric { name, form, .. } in METRICS {
            assert!(name.starts_with("zadig_operator_"), "{name}");
            let ends = |suffix: &str| name.ends_with(suffix);
            assert_eq!(ends("_total"), *form == Form::Counter, "{name}");
            if matches!(form, Form::Histogram(_)) {
                assert!(ends("_seconds"), "{name}");
            }
        }
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn what_an_alert_compares_a_quantile_with_is_a_bound_of_its_buckets() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("charts/zadig-operator/files/alerts.yaml");
        let alerts: Vec<serde_json::Value> =
            serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let queries = alerts.iter().filter_map(|alert| alert["expr"].as_str());
        let mut count = 0;
        for query in queries.filter(|query| query.contains("histogram_quantile")) {
            count += 1;
            let metric = METRICS
                .iter()
                .find(|metric| query.contains(&format!("{}_bucket", metric.name)));
            let (_, compared) = query.rsplit_once("> ").expect("a comparison");
            let compared: f64 = compared.parse().expect("a number");
            let Some(Form::Histogram(bounds)) = metric.map(|metric| metric.form) else {
                panic!("{query} is about no distribution");
            };
            assert!(bounds.contains(&compared), "{query}: {bounds:?}");
        }
        assert!(count > 0, "no alert is about a quantile");
    }

    #[test]
    fn buckets_grow() {
        for metric in METRICS {
            if let Form::Histogram(bounds) = metric.form {
                assert!(bounds.is_sorted(), "{}", metric.name);
            }
        }
    }
}
