//! Logs and metrics of the process: where they go, and what every metric means.
//!
//! What is counted is counted where it happens, by the names below. Labels come from closed sets, never from texts,
//! names of objects or tokens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// 1 while this process leads, else 0.
pub const LEADER: &str = "zadig_operator_leader";
/// Always 1; the version is its label.
pub const BUILD_INFO: &str = "zadig_operator_build_info";

/// What is counted, and what it means.
const COUNTERS: [(&str, &str); 3] = [
    (
        "zadig_operator_reconciles_total",
        "Reconciles by kind and outcome.",
    ),
    (
        "zadig_operator_actions_total",
        "Changes sent to Zadig, by what they do.",
    ),
    (
        "zadig_operator_zadig_requests_total",
        "Calls to Zadig by operation and class of answer.",
    ),
];

/// What is measured, in seconds, and what it means.
const HISTOGRAMS: [(&str, &str); 3] = [
    (
        "zadig_operator_reconcile_duration_seconds",
        "Time of one reconcile, by kind.",
    ),
    (
        "zadig_operator_zadig_request_duration_seconds",
        "Time of one call to Zadig, by operation, without the wait for its turn.",
    ),
    (
        "zadig_operator_zadig_throttle_seconds",
        "Time that a call to Zadig waited for its turn.",
    ),
];

/// How often old samples of histograms are folded. The exporter's own choice for its listener, which we do not use.
const UPKEEP: Duration = Duration::from_secs(5);

/// Targets whose debug output can hold request headers, hence tokens. They are kept at `info` under any filter.
const NEVER_VERBOSE: [&str; 2] = ["h2", "hyper"];

/// Upper bounds of every histogram of seconds: from an answer out of a cache to Zadig's slowest update.
const SECONDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
];

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is no filter.
    #[error("cannot read the log filter {filter:?}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up before.
    #[error("cannot set up logging")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// The metrics registry was refused.
    #[error("cannot set up metrics")]
    Metrics(#[from] BuildError),
}

/// Sends log lines to standard error, once per process.
///
/// # Errors
///
/// When the filter cannot be read, or logging has been set up before.
pub fn log(format: LogFormat, filter: &str) -> Result<(), Error> {
    let mut levels = EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    for target in NEVER_VERBOSE {
        if let Ok(directive) = format!("{target}=info").parse() {
            levels = levels.add_directive(directive);
        }
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// The metrics of this process; the registry is made at the first call.
///
/// # Errors
///
/// When the buckets are refused, which no input of a user can cause.
pub fn metrics() -> Result<PrometheusHandle, Error> {
    // Made under the lock: a second recorder, made at the same time, would be read but never written.
    static METRICS: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut made = METRICS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = made.as_ref() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    Ok(made.insert(handle).clone())
}

/// Folds old samples for ever, so that histograms do not grow between two scrapes.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

fn describe() {
    describe_gauge!(LEADER, "1 while this process leads, else 0.");
    describe_gauge!(BUILD_INFO, "Always 1; the version is its label.");
    for (name, meaning) in COUNTERS {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
    gauge!(LEADER).set(0.0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_tells_the_version_and_who_leads() {
        let text = metrics().unwrap().render();
        let expected = concat!(
            "zadig_operator_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        );
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("zadig_operator_leader 0"), "{text}");
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = log(LogFormat::Human, "info,=,zadig==x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the log filter \"info,=,zadig==x\""
        );
    }
}
