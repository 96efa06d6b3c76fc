//! Logs, metrics and traces of the process: where they go, and what every metric means.
//!
//! What happens is counted where it happens; how things are is told when somebody asks. Both go by the entries of [`table`].

mod document;
pub mod labels;
pub mod sampled;
pub mod table;
mod traces;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::Gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use self::table::Form;
use crate::config::LogFormat;

pub use self::document::document;
pub use self::traces::Traces;

/// How often old samples of histograms are folded. The exporter's own choice for its listener, which we do not use.
const UPKEEP: Duration = Duration::from_secs(5);

/// Targets whose debug output can hold request headers, hence tokens. They are kept at `info` under any filter.
const NEVER_VERBOSE: [&str; 2] = ["h2", "hyper"];

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
    /// The environment names a collector that cannot be used.
    #[error("cannot set up traces")]
    Traces(#[from] traces::Error),
    /// The metrics registry was refused.
    #[error("cannot set up metrics")]
    Metrics(#[from] BuildError),
}

/// Sends log lines to standard error, and traces where the environment says, once per process; to be called within the runtime.
///
/// # Errors
///
/// When the filter cannot be read, the collector cannot be used, or logging has been set up before.
pub fn begin(format: LogFormat, filter: &str) -> Result<Option<Traces>, Error> {
    let mut levels = EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    for target in NEVER_VERBOSE {
        if let Ok(directive) = format!("{target}=info").parse() {
            levels = levels.add_directive(directive);
        }
    }
    let lines = tracing_subscriber::fmt::layer::<Registry>().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = Traces::from_env()?;
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .with(traces.as_ref().map(Traces::layer))
        .try_init()?;
    Ok(traces)
}

/// The metrics of this process: what was counted, and how things are.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// All of it in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render() + &sampled::taken()
    }
}

/// The metrics of this process; the registry is made at the first call.
///
/// # Errors
///
/// When the buckets are refused, which no input of a user can cause.
pub fn metrics() -> Result<Metrics, Error> {
    // Made under the lock: a second recorder, made at the same time, would be read but never written.
    static METRICS: Mutex<Option<Metrics>> = Mutex::new(None);
    let mut made = METRICS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metrics) = made.as_ref() {
        return Ok(metrics.clone());
    }
    let mut builder = PrometheusBuilder::new();
    for metric in table::METRICS {
        if let Form::Histogram(bounds) = metric.form {
            builder =
                builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        for metric in table::METRICS {
            metric.describe();
        }
    }
    Ok(made.insert(Metrics(handle)).clone())
}

/// Tells which process this is: its version and its shard, and that it does not lead. The gauge is that of the leadership.
pub fn identify(shard: Option<&str>) -> Gauge {
    // As long as the process itself, like every label.
    let shard: &'static str = shard.unwrap_or_default().to_owned().leak();
    table::BUILD_INFO
        .gauge(&[env!("CARGO_PKG_VERSION"), shard])
        .set(1.0);
    let leader = table::LEADER.gauge(&[shard]);
    leader.set(0.0);
    leader
}

/// Folds old samples for ever, so that histograms do not grow between two scrapes.
pub async fn upkeep(metrics: Metrics) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_tells_the_version_and_who_leads() {
        let metrics = metrics().unwrap();
        let leader = identify(Some("b"));
        let version = env!("CARGO_PKG_VERSION");
        let info = format!("zadig_operator_build_info{{version=\"{version}\",shard=\"b\"}} 1");
        let text = metrics.render();
        assert!(text.contains(&info), "{text}");
        for leads in ["0", "1"] {
            let told = format!("zadig_operator_leader{{shard=\"b\"}} {leads}");
            let text = metrics.render();
            assert!(text.contains(&told), "{text}");
            leader.set(1.0);
        }
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = begin(LogFormat::Human, "info,=,zadig==x").err().unwrap();
        assert_eq!(
            error.to_string(),
            "cannot read the log filter \"info,=,zadig==x\""
        );
    }
}
