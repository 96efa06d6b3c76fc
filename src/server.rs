//! Health, readiness and metrics over HTTP, for the kubelet and Prometheus.
//!
//! Three fixed paths and no input, so plain hyper and no framework. It decides nothing: what it tells is set by
//! [`crate::process`].

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::Metrics;

/// Connections at the same time. The kubelet and a few scrapers need one each; the rest waits.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send its request, or keep an idle connection.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests after a failure, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How far the renewal of the Lease may be behind before the process is taken for dead. The process stops by itself
/// long before; this is for one that hangs.
const RENEWAL_TOLERANCE: Duration = Duration::from_secs(20);

/// How far the process has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Nothing is known yet.
    Starting,
    /// Definitions of custom resources are missing in the cluster.
    WaitingForDefinitions {
        /// Their names.
        missing: Vec<String>,
    },
    /// The API server cannot be asked for the definitions.
    WaitingForApiServer,
    /// Trying to become the leader.
    Electing,
    /// Another process leads; this one takes over when that one stops.
    StandingBy {
        /// Name of the other process.
        leader: String,
    },
    /// This process leads and reads what there is: nothing is done before all of it is known.
    Listing,
    /// This process leads and its controllers run.
    Leading,
    /// On the way out.
    Stopping,
}

impl Phase {
    /// Whether the process does what it should at this point. Standing by is what a second process is for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self {
            Self::StandingBy { .. } | Self::Leading => true,
            Self::Starting
            | Self::WaitingForDefinitions { .. }
            | Self::WaitingForApiServer
            | Self::Electing
            | Self::Listing
            | Self::Stopping => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::WaitingForDefinitions { missing } => write!(
                f,
                "waiting for the custom resource definitions {}; `zadig-operator crds` prints them",
                missing.join(", ")
            ),
            Self::WaitingForApiServer => f.write_str("waiting for the API server"),
            Self::Electing => f.write_str("waiting to become the leader"),
            Self::StandingBy { leader } => write!(f, "standing by, {leader} leads"),
            Self::Listing => f.write_str(
                "leading, and waiting for the first list of every kind in every watched namespace; what refuses one is in the log",
            ),
            Self::Leading => f.write_str("leading"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

/// What the endpoints tell, shared with those who know.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Until when the Lease is held, if this process leads by a Lease.
    lease_until: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                phase: Phase::Starting,
                lease_until: None,
            })),
        }
    }
}

impl Health {
    /// Sets how far the process has come.
    pub fn set(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Sets how far the process has come, if it is still there.
    pub fn replace(&self, from: &Phase, to: Phase) {
        let mut state = self.lock();
        if state.phase == *from {
            state.phase = to;
        }
    }

    /// Tells until when the Lease is held; `None` when it is not.
    pub fn set_lease_until(&self, until: Option<Instant>) {
        self.lock().lease_until = until;
    }

    /// How far the process has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.lock()
            .lease_until
            .is_none_or(|until| now < until + RENEWAL_TOLERANCE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody leaves the state half changed, so a panic elsewhere does not make it unusable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until `stop`, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, health.clone(), metrics.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, health: Health, metrics: Metrics, stop: CancellationToken) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let response = answer(request.method(), request.uri().path(), &health, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a health connection ended early");
    }
}

fn answer(
    method: &Method,
    path: &str,
    health: &Health,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET and HEAD only\n".to_owned(),
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match path {
        "/healthz" if health.is_alive(Instant::now()) => text(StatusCode::OK, "ok\n".to_owned()),
        "/healthz" => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the lease ran out and this process did not stop\n".to_owned(),
        ),
        "/readyz" => {
            let phase = health.phase();
            let status = if phase.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            text(status, format!("{phase}\n"))
        }
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics.render());
            let exposition = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, exposition);
            response
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "/healthz, /readyz or /metrics\n".to_owned(),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn get(path: &str, health: &Health) -> (u16, String) {
        let metrics = crate::telemetry::metrics().unwrap();
        let response = answer(&Method::GET, path, health, &metrics);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_says_what_is_waited_for() {
        let health = Health::default();
        let table = [
            (Phase::Starting, 503, "starting\n"),
            (
                Phase::WaitingForDefinitions {
                    missing: vec!["a.example.com".to_owned(), "b.example.com".to_owned()],
                },
                503,
                "waiting for the custom resource definitions a.example.com, b.example.com; \
                 `zadig-operator crds` prints them\n",
            ),
            (Phase::Electing, 503, "waiting to become the leader\n"),
            (
                Phase::StandingBy {
                    leader: "pod-0".to_owned(),
                },
                200,
                "standing by, pod-0 leads\n",
            ),
            (
                Phase::Listing,
                503,
                "leading, and waiting for the first list of every kind in every watched namespace; what refuses one is in the log\n",
            ),
            (Phase::Leading, 200, "leading\n"),
            (Phase::Stopping, 503, "stopping\n"),
        ];
        for (phase, status, body) in table {
            health.set(phase);
            assert_eq!(get("/readyz", &health).await, (status, body.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_process_whose_lease_ran_out_long_ago_is_dead() {
        let health = Health::default();
        assert_eq!(get("/healthz", &health).await, (200, "ok\n".to_owned()));
        let now = Instant::now();
        health.set_lease_until(Some(now));
        assert!(health.is_alive(now + RENEWAL_TOLERANCE / 2));
        assert!(!health.is_alive(now + RENEWAL_TOLERANCE));
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let health = Health::default();
        assert_eq!(get("/", &health).await.0, 404);
        let metrics = crate::telemetry::metrics().unwrap();
        let response = answer(&Method::POST, "/healthz", &health, &metrics);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn stopping_closes_idle_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let metrics = crate::telemetry::metrics().unwrap();
        let server = tokio::spawn(serve(listener, Health::default(), metrics, stop.clone()));
        let idle = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        tokio::time::timeout(READ_TIMEOUT / 2, server)
            .await
            .expect("the server stops although a client keeps a connection open")
            .unwrap();
        drop(idle);
    }
}
