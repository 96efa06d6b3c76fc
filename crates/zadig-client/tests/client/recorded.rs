//! Every example of the contract and every recorded exchange goes through the client: the request
//! that it sends is the one on record, the answer is understood without loss, a refusal gets its
//! class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::Value;
use zadig_client::{Client, Error};

use crate::dispatch::Request;
use crate::server::{Asked, Server, TOKEN, answer};

/// An example of Z§16, with what the client has to make of it: `ok`, or the class of its error.
#[derive(Deserialize)]
struct Example {
    name: String,
    request: String,
    request_body: Option<Value>,
    status: u16,
    content_type: Option<String>,
    response_body: Value,
    outcome: String,
}

/// A line of the recording. Other kinds than exchanges have no method.
#[derive(Deserialize)]
struct Record {
    name: String,
    method: Option<String>,
    #[serde(default)]
    path: String,
    query: Option<BTreeMap<String, String>>,
    request_body: Option<Value>,
    status: Option<u16>,
    response_headers: Option<BTreeMap<String, Option<String>>>,
    response_body: Option<Value>,
    kind: Option<String>,
}

/// A server that gives the answers on record, one after the other, and its client.
struct Stage {
    server: Server,
    client: Client,
    next: Arc<Mutex<(u16, Option<String>, String)>>,
}

impl Stage {
    async fn new() -> Self {
        let next = Arc::new(Mutex::new((500, None, String::new())));
        let told = Arc::clone(&next);
        let server = Server::start(move |_, _| {
            let (status, content_type, body) = told.lock().unwrap().clone();
            async move { answer(status, content_type.as_deref(), body) }
        })
        .await;
        let client = server.client();
        Self {
            server,
            client,
            next,
        }
    }

    /// Sends the request; the server gives the answer. What was sent comes back too.
    async fn exchange(
        &self,
        request: &Request<'_>,
        status: u16,
        content_type: Option<&str>,
        body: &Value,
    ) -> (Result<Value, Error>, Option<Asked>) {
        let text = match body {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        *self.next.lock().unwrap() = (status, content_type.map(str::to_owned), text);
        let before = self.server.asked().len();
        let result = request.send(&self.client).await;
        (result, self.server.asked().into_iter().nth(before))
    }
}

/// What an answer says: without what Go leaves out or fills in at will, and without what the client
/// leaves unread on purpose.
fn said(value: &Value) -> Value {
    // A word of Zadig's other products, a button of its pages, ages for people, and parts of
    // Kubernetes objects that nobody has asked for.
    const UNREAD: &[&str] = &[
        "zadigx_release_type",
        "zadigx_release_tag",
        "enable_debug_container",
        "group_name",
        "age",
        "hostPort",
        "hostIP",
        "create_time",
        "active",
    ];
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !UNREAD.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), said(value)))
            .filter(|(_, value)| !is_nothing(value))
            .collect(),
        Value::Array(list) => list.iter().map(said).collect(),
        other => other.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What a request says: without what Zadig ignores in it.
fn asked_for(value: &Value) -> Value {
    match said(value) {
        Value::Object(mut fields) => {
            // The type of a service to be created (Z§4.6).
            fields.retain(|name, value| !(name == "type" && value == "k8s"));
            // The project of a Helm environment stands in the query (Z§4.21).
            if fields.contains_key("env_name") && fields.contains_key("cluster_id") {
                fields.remove("project_key");
            }
            fields
                .into_iter()
                .map(|(name, value)| (name, asked_for(&value)))
                .collect()
        }
        Value::Array(list) => list.iter().map(asked_for).collect(),
        other => other,
    }
}

fn query_of(target: &str) -> BTreeMap<String, String> {
    let url: url::Url = format!("http://h{target}").parse().unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn every_example_of_the_contract_is_sent_and_understood_as_documented() {
    let text = include_str!("../examples/exchanges.json");
    let examples: Vec<Example> = serde_json::from_str(text).unwrap();
    let stage = Stage::new().await;
    let mut numbers = BTreeSet::new();
    for Example {
        name,
        request,
        request_body,
        status,
        content_type,
        response_body,
        outcome,
    } in examples
    {
        numbers.insert(name.split(' ').next().unwrap().to_owned());
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let body = request_body.clone().unwrap_or_default();
        let call = Request::parse(method, path, query, body).unwrap();
        let (result, asked) = stage
            .exchange(&call, status, content_type.as_deref(), &response_body)
            .await;

        let sent = asked.unwrap_or_else(|| panic!("{name}: nothing was sent"));
        assert_eq!(
            (
                sent.method.as_str(),
                sent.target.split('?').next().unwrap(),
                query_of(&sent.target)
            ),
            (method, path, query_of(target)),
            "{name}: request"
        );
        match request_body {
            Some(body) => assert_eq!(asked_for(&sent.json()), asked_for(&body), "{name}: body"),
            None => assert!(sent.body.is_empty(), "{name}: a body was sent"),
        }
        match result {
            Ok(value) => {
                assert_eq!(outcome, "ok", "{name}: outcome");
                let expected = match name.as_str() {
                    "E48" => log_lines(&response_body),
                    _ => said(&response_body),
                };
                assert_eq!(said(&value), expected, "{name}: answer");
            }
            Err(error) => {
                assert_eq!(error.class().as_str(), outcome, "{name}: {error}");
                assert!(!format!("{error} {error:?}").contains(TOKEN), "{name}");
            }
        }
    }
    assert_eq!(numbers.len(), 52);
}

fn log_lines(stream: &Value) -> Value {
    let lines = stream.as_str().unwrap().lines();
    lines
        .filter_map(|line| line.strip_prefix("data:"))
        .collect()
}

#[tokio::test]
async fn every_recorded_exchange_is_understood() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/v4.2.1.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let stage = Stage::new().await;
    let (mut understood, mut wrong) = (0, Vec::new());
    let (mut without_route, mut refused, mut otherwise) = (Vec::new(), Vec::new(), Vec::new());
    for record in records.filter(|record: &Record| record.kind.is_none()) {
        match replay(&stage, &record).await {
            Replay::WithoutRoute => without_route.push(record.name),
            Replay::NotSent => refused.push(record.name),
            Replay::Understood => understood += 1,
            Replay::SentOtherwise(_) if SENT_OTHERWISE.contains(&&*record.name) => {
                otherwise.push(record.name);
            }
            Replay::SentOtherwise(what) | Replay::Wrong(what) => {
                wrong.push(format!("{}: {what}", record.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(understood > 300, "only {understood} exchanges were found");
    // Routes that no version has, and those that are not for environments.
    assert_eq!(without_route, WITHOUT_ROUTE);
    assert_eq!(otherwise, SENT_OTHERWISE);
    // The client refuses what Zadig would ignore, and what would reach another route.
    assert_eq!(
        refused,
        ["env.put.alias", "production.services.yaml.documented-path"]
    );
}

const WITHOUT_ROUTE: &[&str] = &[
    "auth.unknown-path",
    "auth.method-not-allowed",
    "yaml.documented-path",
    "check.workloads.documented-path",
    "template.update",
    "image.unknown-kind",
    "template.stuck",
    "template.badspec",
    "template.imm",
    "sleep.enable",
    "sleep.disable",
    "restart-aslan.stuck-service",
];

enum Replay {
    WithoutRoute,
    NotSent,
    Understood,
    SentOtherwise(String),
    Wrong(String),
}

async fn replay(stage: &Stage, record: &Record) -> Replay {
    let status = record.status.unwrap();
    let pairs = record.query.iter().flatten();
    let query = pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let body = record.request_body.clone().unwrap_or_default();
    let method = record.method.as_deref().unwrap();
    let Some(call) = Request::parse(method, &record.path, query, body) else {
        return Replay::WithoutRoute;
    };
    let headers = record.response_headers.as_ref();
    let content_type = headers.and_then(|headers| headers.get("content-type")?.as_deref());
    let response = record.response_body.clone().unwrap_or_default();
    let (result, asked) = stage.exchange(&call, status, content_type, &response).await;
    let Some(sent) = asked else {
        return Replay::NotSent;
    };

    let class = result
        .as_ref()
        .err()
        .map_or("ok", |error| error.class().as_str());
    let expected = match (status, call.route.operation) {
        (200, _) => "ok",
        (400, _) => "rejected",
        (401, _) => "unauthorized",
        (403, _) => "forbidden",
        (404, "add_services" | "update_services") => "environment_not_found",
        (404 | 405, _) => "route_not_found",
        (500, _) => "internal",
        // The recording does not say where to.
        (301, _) => "redirect_refused",
        _ => "a class for this status",
    };
    if class != expected {
        return Replay::Wrong(format!("{class} instead of {expected}"));
    }
    let Ok(value) = result else {
        return Replay::Understood;
    };
    if call.route.operation == "pod_log" {
        return Replay::Understood;
    }
    if said(&value) != said(&response) {
        return Replay::Wrong(format!("{} instead of {}", said(&value), said(&response)));
    }
    if let Some(body) = record
        .request_body
        .as_ref()
        .filter(|_| !sent.body.is_empty())
    {
        let (ours, theirs) = (asked_for(&sent.json()), asked_for(body));
        if ours != theirs {
            return Replay::SentOtherwise(format!("sent {ours} instead of {theirs}"));
        }
    }
    Replay::Understood
}

/// Requests that were accepted although they lack something or hold something that is ignored; the
/// client does not send them like that.
const SENT_OTHERWISE: &[&str] = &[
    "service.add.empty-list",
    "services.update.empty-list",
    "services.update.empty-object",
    "scale.no-replicas",
    "image.deployment.no-env-in-body",
    "service.delete.empty-list",
];
