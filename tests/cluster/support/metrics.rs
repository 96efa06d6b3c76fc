//! One External metric, served as an aggregated API of the cluster: a number that a scenario sets and an autoscaler reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::World;

/// Name of the metric.
pub(crate) const METRIC: &str = "queue_length";
const GROUP_VERSION: &str = "external.metrics.k8s.io/v1beta1";
/// Name of the cluster's APIService object for it.
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
const SERVICE: &str = "metrics";
const PATIENCE: Duration = Duration::from_secs(30);

/// A metrics server behind the API server's aggregation layer.
pub(crate) struct Metrics {
    value: Arc<AtomicU32>,
    client: Client,
    server: JoinHandle<()>,
}

impl Metrics {
    /// Starts the server and registers it. There can be one in a cluster.
    pub(crate) async fn start(world: &World) -> Self {
        let host = format!("{SERVICE}.{}.svc", world.namespace);
        let (acceptor, certificate) = tls(&host);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let value = Arc::new(AtomicU32::new(0));
        let server = tokio::spawn(serve(listener, acceptor, Arc::clone(&value)));
        // A Service with addresses may not lead to this machine itself; a name may.
        world
            .apply::<Service>(&world.read(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": SERVICE},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            })))
            .await;
        let (group, version) = GROUP_VERSION.split_once('/').expect("a group");
        let registration = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": API_SERVICE},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": ByteString(certificate.into_bytes()),
                "service": {"namespace": world.namespace, "name": SERVICE, "port": port},
            },
        });
        let metrics = Self {
            value,
            client: world.client.clone(),
            server,
        };
        metrics
            .api()
            .patch(
                API_SERVICE,
                &PatchParams::apply("scenarios").force(),
                &Patch::Apply(registration),
            )
            .await
            .expect("the API server aggregates other APIs");
        metrics
    }

    /// The metric has this value from now on.
    pub(crate) fn set(&self, value: u32) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// Whether the API server reaches the server; and what it says otherwise.
    pub(crate) async fn is_reached(&self) -> bool {
        let found = self.api().get(API_SERVICE).await;
        let status = found.expect("it was registered").status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition.type_ == "Available" && condition.status == "True")
    }

    /// Takes the API away again: while one is registered that nobody serves, no namespace of the cluster can be deleted.
    pub(crate) async fn remove(self) {
        remove(&self.client).await;
        self.server.abort();
    }

    fn api(&self) -> Api<APIService> {
        Api::all(self.client.clone())
    }
}

/// Takes away what a run that was killed may have left.
pub(super) async fn remove(client: &Client) {
    let api: Api<APIService> = Api::all(client.clone());
    let _ = api.delete(API_SERVICE, &DeleteParams::default()).await;
    let gone = async {
        while api.get_opt(API_SERVICE).await.ok().flatten().is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, gone).await;
}

/// TLS under this name, and the certificate by which it is known.
fn tls(host: &str) -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![host.to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("they belong together");
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, value: Arc<AtomicU32>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, value) = (acceptor.clone(), Arc::clone(&value));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request.uri().path(), value.load(Ordering::Relaxed));
                async move { Ok::<_, Infallible>(answer) }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Discovery, and the value for any namespace and selector.
fn answer(path: &str, value: u32) -> Response<Full<Bytes>> {
    let body = match path
        .strip_prefix("/apis/")
        .and_then(|path| path.strip_prefix(GROUP_VERSION))
    {
        Some("") => Some(json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": GROUP_VERSION,
            "resources": [{
                "name": METRIC, "singularName": METRIC, "namespaced": true,
                "kind": "ExternalMetricValueList", "verbs": ["get"],
            }],
        })),
        Some(below) if below.ends_with(&format!("/{METRIC}")) => Some(json!({
            "kind": "ExternalMetricValueList",
            "apiVersion": GROUP_VERSION,
            "metadata": {},
            "items": [{
                "metricName": METRIC, "metricLabels": {},
                "timestamp": Timestamp::now().to_string(), "value": value.to_string(),
            }],
        })),
        _ => None,
    };
    let status = if body.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let text = body.unwrap_or(Value::Null).to_string();
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(text)))
        .expect("an answer")
}
