//! A real Prometheus scrapes a running operator and is asked everything that the chart's dashboard and alerts ask: a query that
//! nothing answers shows nothing, and an alert on it never fires.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use xtask::prometheus::{self, Prometheus};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{FaultAction, FaultRule};

use crate::support::{Operator, Place, eventually, test};

/// What holds while everything works.
const SILENT: [&str; 1] = ["ZadigOperatorDown"];

/// A Prometheus that scrapes one operator; it is killed when this is dropped.
struct Server {
    child: Child,
    url: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(programs: &Prometheus, operator: &Operator, rules: &Value) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let path = |name: &str| data.path().join(name);
        // JSON is YAML as well.
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{
                "job_name": "zadig-operator",
                "static_configs": [{
                    "targets": [operator.address()],
                    "labels": {"namespace": "zadig-operator", "pod": "only"},
                }],
            }],
        });
        fs::write(path("prometheus.yaml"), config.to_string()).expect("a file");
        fs::write(path("rules.yaml"), rules.to_string()).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let child = Command::new(&programs.server)
            .arg(format!(
                "--config.file={}",
                path("prometheus.yaml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn();
        Self {
            child: child.expect("Prometheus starts"),
            url: format!("http://{address}/api/v1"),
            _data: data,
        }
    }

    /// What an endpoint of the API answers; nothing while nobody listens.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let client = reqwest::Client::new();
        let request = client.get(format!("{}/{path}", self.url)).query(query);
        request.send().await.ok()?.json().await.ok()
    }

    /// How many series a query has; fails when Prometheus refuses it.
    async fn series(&self, query: &str) -> usize {
        let answer = self.get("query", &[("query", query)]).await;
        let answer = answer.expect("it listens");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules and the dashboard as the chart renders them.
fn rendered() -> (Value, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/monitored.yaml");
    let text = fs::read_to_string(path).expect("the chart was rendered");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind);
    let rules = of("PrometheusRule").expect("there are rules")["spec"].clone();
    let dashboard = of("ConfigMap").expect("there is a dashboard");
    let mut files = dashboard["data"].as_object().expect("files").values();
    let dashboard = files.next().and_then(Value::as_str).expect("text");
    let dashboard = serde_json::from_str(dashboard).expect("JSON");
    (rules, dashboard)
}

/// The queries of the panels, as Grafana would send them, but for the zero that stands for what nothing answers.
fn panels(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| {
            let query = target["expr"].as_str().expect("a query");
            query
                .replace("$__rate_interval", "5m")
                .replace("$namespace", ".*")
                .replace(" or vector(0)", "")
        })
        .collect()
}

/// The queries of the alerts without the threshold: what they watch has to be there.
fn watched(rules: &Value) -> Vec<(String, String)> {
    let alerts = rules["groups"][0]["rules"].as_array().expect("alerts");
    alerts
        .iter()
        .map(|alert| {
            let (name, query) = (alert["alert"].as_str(), alert["expr"].as_str());
            let query = query.expect("a query");
            let (watched, _) = query.split_once(['>', '<']).unwrap_or((query, ""));
            (name.expect("a name").to_owned(), watched.to_owned())
        })
        .collect()
}

async fn connect(place: &Place, name: &str, url: &str, secret: &str, more: Value) {
    let mut spec = json!({"url": url, "tokenSecretRef": {"name": secret, "key": "token"}});
    if !more.is_null() {
        spec["caBundle"] = more;
    }
    place
        .apply::<ZadigConnection>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigConnection",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
}

/// Brings about everything that somebody might want to see.
async fn trouble(place: &Place) {
    place.declare().await;
    place.ready().await;
    let environments: Api<ZadigEnvironment> = place.api();
    let delete = async |name: &str| {
        let deleted = environments.delete(name, &DeleteParams::default()).await;
        deleted.expect("it is there");
    };
    for name in ["gone", "stuck"] {
        place.declare_other(name, "plain").await;
        place.is_ready(name).await;
    }
    delete("gone").await;
    eventually("it is gone", async || {
        let found = environments.get_opt("gone").await;
        found.expect("the API server answers").is_none()
    })
    .await;
    let refuse = FaultAction::Refuse {
        status: 500,
        body: r#"{"code":500,"description":"no"}"#.to_owned(),
    };
    let rule = FaultRule::always(refuse).on("environment.delete");
    place.zadig.sim.fault(rule);
    delete("stuck").await;
    place.declare_other("wrong", "nothing-of-ours").await;
    let approve = Patch::Merge(json!({"spec": {"management": "Approve"}}));
    let patched = environments
        .patch("dev", &PatchParams::default(), &approve)
        .await;
    patched.expect("the API server takes it");
    place.change().await;

    place
        .apply::<Secret>(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "stranger"},
            "stringData": {"token": "nobody-knows-it"},
        }))
        .await;
    let url = &place.zadig.url;
    connect(
        place,
        "dark",
        "http://127.0.0.1:9",
        "zadig-token",
        Value::Null,
    )
    .await;
    connect(place, "stranger", url, "stranger", Value::Null).await;
    let ca = json!({"configMapRef": {"name": "nothing", "key": "ca.crt"}});
    connect(place, "mistaken", url, "zadig-token", ca).await;
}

#[test]
fn every_query_of_dashboard_and_alerts_is_answered() {
    // `cargo xtask test` fetches it, or tells that this is left out.
    let Some(programs) = prometheus::found() else {
        return;
    };
    test("prometheus", async |place| {
        let operator = place.operator("only", &[]);
        operator.says("leading").await;
        let (rules, dashboard) = rendered();
        let server = Server::start(&programs, &operator, &rules);
        eventually("Prometheus is ready", async || {
            server.get("status/runtimeinfo", &[]).await.is_some()
        })
        .await;
        trouble(place).await;

        let panels = panels(&dashboard);
        assert!(panels.len() > 20, "{panels:?}");
        for query in panels {
            eventually(&query, async || server.series(&query).await > 0).await;
        }
        for (alert, query) in watched(&rules) {
            if SILENT.contains(&alert.as_str()) {
                assert_eq!(server.series(&query).await, 0, "{alert}: {query}");
            } else {
                eventually(&format!("{alert}: {query}"), async || {
                    server.series(&query).await > 0
                })
                .await;
            }
        }
        let told = server.get("rules", &[]).await.expect("it listens");
        let groups = told["data"]["groups"].as_array().expect("groups");
        for rule in groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
        {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }

        let (_, text) = operator.get("/metrics").await.expect("it listens");
        let mut lint = Command::new(&programs.promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool starts");
        let mut input = lint.stdin.take().expect("it reads");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let said = lint.wait_with_output().expect("it ends");
        let words = [&said.stdout[..], &said.stderr[..]].concat();
        let words = String::from_utf8_lossy(&words);
        assert!(said.status.success() && words.is_empty(), "{words}");
    });
}
