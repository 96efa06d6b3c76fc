//! Traces over OTLP (HTTP, protobuf), where the standard variables name a collector: a span for each reconcile, and in it one for
//! each call to Zadig.
//!
//! Only spans of the two names below are sent, without log lines: what they bear is said where they begin, and holds neither a
//! token nor a body. A collector that does not answer costs a log line, not more.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The spans that are sent: reconciles, and calls to Zadig.
const SPANS: [&str; 2] = ["reconcile", "zadig"];
/// The variables that name a collector; the second one only for traces.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// How long one transfer may take, in milliseconds; the second one only for traces.
const TIMEOUTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
];
/// The standard's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last spans may take at a stop. The kubelet's patience is for the calls in flight.
const FLUSH: Duration = Duration::from_secs(3);

/// Traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be made.
    #[error("cannot set up the connection to the collector")]
    Client(#[from] reqwest::Error),
    /// A variable has a value that is none.
    #[error("cannot set up traces as the variables OTEL_* say")]
    Exporter(#[from] ExporterBuildError),
}

/// Where spans go.
#[derive(Clone)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Traces, if the environment names a collector. To be called within the runtime.
    ///
    /// # Errors
    /// When the variables cannot be used.
    pub fn from_env() -> Result<Option<Self>, Error> {
        let is = |name: &str, value: &str| {
            env::var(name).is_ok_and(|found| found.eq_ignore_ascii_case(value))
        };
        let is_named = ENDPOINTS
            .iter()
            .any(|name| env::var(name).is_ok_and(|url| !url.is_empty()));
        if !is_named || is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let timeout = TIMEOUTS
            .iter()
            .rev()
            .find_map(|name| env::var(name).ok()?.parse().ok());
        let client = reqwest::Client::builder()
            .timeout(timeout.map_or(TIMEOUT, Duration::from_millis))
            .build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Sender {
                client,
                runtime: Handle::current(),
                is_failing: Arc::default(),
            })
            .build()?;
        let mut resource = Resource::builder();
        if env::var("OTEL_SERVICE_NAME").is_err() {
            resource = resource.with_service_name("zadig-operator");
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.with_attribute(version).build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What makes spans of those that [`SPANS`] names.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("zadig-operator"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|meta| {
                meta.is_span() && SPANS.contains(&meta.name())
            }))
    }

    /// Sends what has not been sent yet, for a short time.
    pub async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH));
        if let Ok(Err(error)) = stopping.await {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Sends spans from the thread that gathers them, by this process's own runtime.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    is_failing: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, is_failing) = (self.client.clone(), Arc::clone(&self.is_failing));
        let sending = self.runtime.spawn(async move {
            let sent = send(&client, request).await;
            let why = match &sent {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(response.status().to_string()),
                // Without the address, which may hold a password.
                Err(error) => Some(crate::error::chain(&**error)),
            };
            match (is_failing.swap(why.is_some(), Ordering::Relaxed), why) {
                (false, Some(why)) => {
                    tracing::warn!(why, "traces are lost until the collector takes them");
                }
                (true, None) => tracing::info!("the collector takes traces again"),
                (true, Some(_)) | (false, None) => {}
            }
            sent
        });
        sending.await?
    }
}

async fn send(
    client: &reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let answer = client
        .execute(request.try_into()?)
        .await
        .map_err(reqwest::Error::without_url)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    Ok(response)
}
