//! Traces reach a collector: a stand-in takes what a running operator sends and reads it as the protocol says.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{SECRET, test};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    server: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bodies = Arc::<Mutex<Vec<Bytes>>>::default();
        let server = tokio::spawn(serve(listener, Arc::clone(&bodies)));
        Self {
            url,
            bodies,
            server,
        }
    }

    /// What came so far.
    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().expect("nobody panics").clone()
    }

    /// The spans that came so far; all are of one service.
    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for body in self.bodies() {
            let request = ExportTraceServiceRequest::decode(body).expect("the protocol is kept");
            for of_service in request.resource_spans {
                let resource = of_service.resource.expect("it says whose they are");
                let service = attribute(&resource.attributes, "service.name");
                assert_eq!(service.as_deref(), Some("zadig-operator"));
                let scopes = of_service.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, bodies: Arc<Mutex<Vec<Bytes>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let bodies = Arc::clone(&bodies);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let bodies = Arc::clone(&bodies);
                async move {
                    assert_eq!(request.uri().path(), "/v1/traces");
                    let body = request.into_body().collect().await.expect("a body");
                    bodies.lock().expect("nobody panics").push(body.to_bytes());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn keys(span: &Span) -> BTreeSet<&str> {
    let attributes = span.attributes.iter();
    attributes.map(|attribute| attribute.key.as_str()).collect()
}

fn is(span: &Span, wanted: &[(&str, &str)]) -> bool {
    let has =
        |(key, value): &(&str, &str)| attribute(&span.attributes, key).as_deref() == Some(*value);
    wanted.iter().all(has)
}

#[test]
fn each_reconcile_is_a_span_with_its_calls_and_the_last_ones_are_sent_at_a_stop() {
    test("traces", async |place| {
        let collector = Collector::start().await;
        let variables = [
            (ENDPOINT, collector.url.as_str()),
            // Nothing is sent but full batches, until the end.
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        ];
        let mut operator = place.operator_with("only", &[], &variables);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        let before = collector.bodies().len();
        operator.signal("TERM");
        let status = operator.ends().await;
        assert_eq!(status.code(), Some(0), "{}", operator.log());
        assert!(collector.bodies().len() > before, "{}", operator.log());

        let spans = collector.spans();
        let reconciles: Vec<&Span> = spans.iter().filter(|it| it.name == "reconcile").collect();
        let calls: Vec<&Span> = spans.iter().filter(|it| it.name == "zadig").collect();
        assert_eq!(reconciles.len() + calls.len(), spans.len());
        let dev = [
            ("kind", "ZadigEnvironment"),
            ("namespace", place.namespace.as_str()),
            ("name", "dev"),
        ];
        let last = reconciles
            .iter()
            .rfind(|span| is(span, &dev) && is(span, &[("outcome", "ready")]));
        assert!(last.is_some(), "{reconciles:#?}");
        let create = [("operation", "create_environment"), ("outcome", "ok")];
        let create = calls.iter().find(|span| is(span, &create));
        let create = create.expect("the environment was created");
        assert_eq!(create.kind(), SpanKind::Client);
        let parent = reconciles
            .iter()
            .find(|span| span.span_id == create.parent_span_id);
        let parent = parent.expect("a reconcile created it");
        assert!(is(parent, &dev), "{parent:#?}");
        assert_eq!(parent.trace_id, create.trace_id);
        assert!(
            parent.start_time_unix_nano <= create.start_time_unix_nano
                && create.end_time_unix_nano <= parent.end_time_unix_nano
        );

        let of_reconciles = ["kind", "name", "namespace", "object", "outcome"];
        let of_calls = ["operation", "outcome"];
        for span in &spans {
            assert!(span.events.is_empty(), "{span:#?}");
            let known: &[&str] = if span.name == "zadig" {
                &of_calls
            } else {
                &of_reconciles
            };
            let unknown = keys(span).into_iter().find(|key| !known.contains(key));
            assert_eq!(unknown, None, "{span:#?}");
        }
        let token = place.zadig.sim.token("admin").expect("an administrator");
        for secret in [token.as_str(), SECRET, place.zadig.url.as_str()] {
            let holds = |body: &Bytes| {
                body.windows(secret.len())
                    .any(|window| window == secret.as_bytes())
            };
            assert!(!collector.bodies().iter().any(holds), "{secret}");
        }
    });
}

#[test]
fn a_collector_that_does_not_answer_costs_one_line() {
    test("traces-lost", async |place| {
        let variables = [
            (ENDPOINT, "http://127.0.0.1:9"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let mut operator = place.operator_with("only", &[], &variables);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        operator.signal("TERM");
        let status = operator.ends().await;
        let log = operator.log();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{log}");
        let lost = log.lines().filter(|line| line.contains("traces are lost"));
        assert_eq!(lost.count(), 1, "{log}");
    });
}
