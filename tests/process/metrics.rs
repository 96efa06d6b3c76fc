//! `/metrics` of a running operator is what the table of metrics says: nothing else, nothing missing, and no series of what is
//! gone.

use std::collections::{BTreeMap, BTreeSet};

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::telemetry::labels::Label;
use zadig_operator::telemetry::table::{Form, METRICS, Metric};

use crate::support::{Operator, Place, SECRET, eventually, test};

/// One line of the exposition.
#[derive(Debug)]
struct Series {
    metric: &'static Metric,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads the exposition; fails where the table does not have what stands there.
fn read(text: &str) -> Vec<Series> {
    let mut series = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (what, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
        let metric = METRICS.into_iter().find(|metric| match metric.form {
            Form::Histogram(_) => name
                .strip_prefix(metric.name)
                .is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix)),
            Form::Counter | Form::Gauge => name == metric.name,
        });
        assert!(metric.is_some(), "the table has no {name}");
        let Some(metric) = metric else { continue };
        let pairs = labels.trim_end_matches('}').split(',');
        let mut labels: BTreeMap<String, String> = pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        if name.ends_with("_bucket") {
            labels.remove("le").expect("the bound of a bucket");
        }
        let value = value.parse().expect("a number");
        series.push(Series {
            metric,
            labels,
            value,
        });
    }
    series
}

/// Holds every series against the table; the names of all.
fn check(text: &str) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    for Series {
        metric,
        labels,
        value,
    } in read(text)
    {
        let Metric { name, help, .. } = metric;
        seen.insert(*name);
        let wanted: BTreeSet<&str> = metric.labels.iter().map(|label| label.name()).collect();
        let found: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(found, wanted, "{name}");
        for label in metric.labels {
            let value = &labels[label.name()];
            assert!(label.admits(value), "{name} {label:?} {value}");
        }
        assert!(value.is_finite() && value >= 0.0, "{name}");
        let about = [
            format!("# HELP {name} {help}\n"),
            format!("# TYPE {name} {}\n", metric.form.as_str()),
        ];
        for line in about {
            assert!(text.contains(&line), "{line}");
        }
    }
    seen
}

async fn scrape(operator: &Operator) -> String {
    let (status, text) = operator.get("/metrics").await.expect("it listens");
    assert_eq!(status, 200);
    text
}

/// The value of the series with these labels among others.
async fn value(operator: &Operator, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let series = read(&scrape(operator).await);
    let found = series.iter().find(|series| {
        let has = |(name, value): &(&str, &str)| {
            series.labels.get(*name).map(String::as_str) == Some(*value)
        };
        series.metric.name == name && labels.iter().all(has)
    });
    found.map(|series| series.value)
}

async fn is(operator: &Operator, name: &str, labels: &[(&str, &str)], wanted: Option<f64>) {
    let what = format!("{name} {labels:?} is {wanted:?}");
    eventually(&what, async || {
        value(operator, name, labels).await == wanted
    })
    .await;
}

/// Declares an environment of a service that the project does not have.
async fn declare_wrong(place: &Place) {
    place
        .apply::<ZadigEnvironment>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvironment",
            "metadata": {"name": "wrong"},
            "spec": {
                "connectionRef": {"name": "default"}, "projectKey": "golden", "envKey": "wrong",
                "services": [{"name": "nothing-of-ours"}],
            },
        }))
        .await;
}

#[test]
fn every_series_is_in_the_table_and_nothing_stays_of_what_is_gone() {
    test("metrics", async |place| {
        let operator = place.operator("only", &[]);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        let ready = [("kind", "ZadigEnvironment"), ("ready", "True")];
        is(&operator, "zadig_operator_objects", &ready, Some(1.0)).await;

        // One that only a person can help, and one that is left as it is.
        declare_wrong(place).await;
        let state = "zadig_operator_object_states";
        let stalled = [
            ("kind", "ZadigEnvironment"),
            ("state", "stalled"),
            ("reason", Reason::ServiceNotFound.as_str()),
        ];
        is(&operator, state, &stalled, Some(1.0)).await;
        let environments: Api<ZadigEnvironment> = place.api();
        let observe = Patch::Merge(json!({"spec": {"management": "Observe"}}));
        let patched = environments
            .patch("dev", &PatchParams::default(), &observe)
            .await;
        patched.expect("the API server takes it");
        place.change().await;
        let drifted = [
            ("kind", "ZadigEnvironment"),
            ("state", "drifted"),
            ("reason", Reason::ObserveOnly.as_str()),
        ];
        is(&operator, state, &drifted, Some(1.0)).await;
        let oldest = "zadig_operator_object_state_oldest_age_seconds";
        let age = value(&operator, oldest, &drifted).await;
        assert!(age.is_some_and(|age| (0.0..60.0).contains(&age)), "{age:?}");

        let mut seen = check(&scrape(&operator).await);

        let deleted = environments.delete("wrong", &DeleteParams::default()).await;
        deleted.expect("it is there");
        is(&operator, state, &stalled, None).await;
        is(&operator, oldest, &stalled, None).await;
        let enforce = Patch::Merge(json!({"spec": {"management": "Enforce"}}));
        let patched = environments
            .patch("dev", &PatchParams::default(), &enforce)
            .await;
        patched.expect("the API server takes it");
        place.ready().await;
        is(&operator, state, &drifted, None).await;
        let deleted = environments.delete("dev", &DeleteParams::default()).await;
        deleted.expect("it is there");
        is(
            &operator,
            "zadig_operator_objects",
            &[("kind", "ZadigEnvironment")],
            None,
        )
        .await;
        let text = scrape(&operator).await;
        seen.extend(check(&text));
        let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(seen, all);
        let token = place.zadig.sim.token("admin").expect("an administrator");
        for secret in [token.as_str(), SECRET, "golden", "\"dev\"", "\"wrong\""] {
            assert!(!text.contains(secret), "{secret}");
        }
    });
}

#[test]
fn a_process_that_stands_by_tells_nothing_of_objects() {
    test("metrics-standby", async |place| {
        let first = place.operator("first", &[]);
        first.says("leading").await;
        let second = place.operator("second", &[]);
        second.says("standing by").await;
        place.declare().await;
        place.ready().await;
        let told = |text: &str| -> BTreeSet<&'static str> {
            let of_objects = |series: &Series| series.metric.labels.contains(&Label::Kind);
            let series = read(text).into_iter().filter(of_objects);
            series.map(|series| series.metric.name).collect()
        };
        assert!(told(&scrape(&first).await).contains("zadig_operator_objects"));
        assert_eq!(told(&scrape(&second).await), BTreeSet::new());
    });
}
