//! What the chart has for Prometheus and Grafana: every alert has its runbook and its case, and no query asks for a metric that the
//! operator does not have. Promtool, where there is one, says whether the rules are well-formed, and runs the cases.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use xtask::prometheus::Prometheus;
use xtask::{paths, tools};

use super::render::{Chart, objects};
use super::{dir, output};

/// The cases of `promtool test rules`.
const TESTS: &str = "tests/alerts.yaml";
const RUNBOOKS: &str = "docs/src/runbooks";
/// The parts of every runbook, in order.
const PARTS: [&str; 4] = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];
const METRICS: &str = "docs/src/reference/metrics.md";

/// Checks what needs no other tool than Helm.
pub(crate) fn check() -> Result<()> {
    let chart = Chart::new(dir(), tools::find()?);
    let default = chart.render("default")?;
    for kind in ["ServiceMonitor", "PrometheusRule", "grafana_dashboard"] {
        ensure!(
            !default.contains(kind),
            "{kind} is rendered without being asked for"
        );
    }
    let rendered = objects(&chart.render("monitored")?)?;
    let rules = rules(&rendered.into_values().collect::<Vec<_>>())?;
    let alerts = rules["groups"][0]["rules"]
        .as_array()
        .context("the rules hold no alert")?;
    let linked = chart.render_with(
        "monitored",
        r#"prometheusRule.runbooks="https://docs.example.com/{alert}.html?from=alert""#,
    )?;
    let linked = self::rules(&objects(&linked)?.into_values().collect::<Vec<_>>())?;
    let linked = linked["groups"][0]["rules"].as_array();
    let linked = linked.context("the rules hold no alert")?;
    let cases: Value = serde_saphyr::from_str(&read(TESTS)?)?;
    let cases: BTreeSet<&str> = cases["tests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|case| case["name"].as_str())
        .collect();
    let known = metrics()?;
    let mut names = BTreeSet::new();
    for alert in alerts {
        let name = alert["alert"].as_str().context("a rule is no alert")?;
        let annotation = |of: &Value, what: &str| -> Result<String> {
            let text = of["annotations"][what].as_str().unwrap_or_default();
            ensure!(!text.is_empty(), "{name} has no {what}");
            Ok(text.to_owned())
        };
        annotation(alert, "summary")?;
        // Whoever is called finds the page: at the address, or else in the source.
        let page = format!("{RUNBOOKS}/{name}.md");
        let unserved = annotation(alert, "description")?;
        let described = annotation(&linked[names.len()], "description")?;
        ensure!(
            unserved == format!("{described} Runbook: {page}")
                && alert["annotations"]["runbook_url"].is_null(),
            "{name} does not name {page}: {unserved:?}"
        );
        let url = annotation(&linked[names.len()], "runbook_url")?;
        ensure!(
            url == format!("https://docs.example.com/{name}.html?from=alert"),
            "{name} has the runbook {url:?}"
        );
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(
            ["critical", "warning"].contains(&severity),
            "{name} has the severity {severity:?}"
        );
        names.insert(name.to_owned());
        let page = read(&page)?;
        let found: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        ensure!(found == PARTS, "the runbook of {name} has {found:?}");
        ensure!(cases.contains(name), "{TESTS} has no case of {name}");
        known_only(name, alert["expr"].as_str().unwrap_or_default(), &known)?;
    }
    for entry in fs::read_dir(paths::workspace().join(RUNBOOKS))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".md");
        ensure!(names.contains(name), "{RUNBOOKS}/{file} is of no alert");
    }
    let (file, dashboard) = dashboard(&chart, "dashboard.enabled=true")?;
    let (other, second) = self::dashboard(&chart, r#"fullnameOverride="second""#)?;
    ensure!(
        file != other && dashboard["uid"] != second["uid"] && dashboard["title"] != second["title"],
        "the dashboards of two releases take each other's place"
    );
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        let title = panel["title"].as_str().context("a panel has no title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            known_only(title, target["expr"].as_str().unwrap_or_default(), &known)?;
        }
    }
    Ok(())
}

/// Has promtool read the rules and run the cases.
pub(crate) fn check_rules(tools: &Prometheus) -> Result<()> {
    let chart = Chart::new(dir(), tools::find()?);
    let rendered = objects(&chart.render("monitored")?)?;
    let rules = rules(&rendered.into_values().collect::<Vec<_>>())?;
    let place = tempfile::tempdir()?;
    // JSON is YAML as well.
    fs::write(place.path().join("rules.yaml"), rules.to_string())?;
    fs::write(place.path().join("alerts.yaml"), read(TESTS)?)?;
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "alerts.yaml"],
    ] {
        let mut command = Command::new(&tools.promtool);
        command.args(arguments).current_dir(place.path());
        print!("{}", output(command)?);
    }
    Ok(())
}

/// The rules among rendered objects, as Prometheus reads them.
fn rules(objects: &[Value]) -> Result<Value> {
    let rule = objects
        .iter()
        .find(|object| object["kind"] == "PrometheusRule");
    let rule = rule.context("the chart renders no PrometheusRule")?;
    Ok(rule["spec"].clone())
}

/// The dashboard, and the name of its file.
fn dashboard(chart: &Chart, value: &str) -> Result<(String, Value)> {
    let rendered = objects(&chart.render_with("monitored", value)?)?;
    let found = rendered
        .values()
        .filter(|object| object["kind"] == "ConfigMap")
        .find_map(|object| object["data"].as_object()?.iter().next());
    let (name, text) = found.context("the chart renders no dashboard")?;
    let text = text.as_str().context("a dashboard is text")?;
    let dashboard: Value = serde_json::from_str(text)?;
    // Grafana takes up to 40 characters.
    let uid = dashboard["uid"].as_str().unwrap_or_default();
    ensure!((1..=40).contains(&uid.len()), "the uid {uid:?}");
    Ok((name.clone(), dashboard))
}

fn read(file: &str) -> Result<String> {
    let path = paths::workspace().join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The names in the document of the metrics, which is that of the operator's table.
fn metrics() -> Result<BTreeSet<String>> {
    let text = read(METRICS)?;
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `zadig_operator_"));
    Ok(rows
        .filter_map(|row| Some(format!("zadig_operator_{}", row.split_once('`')?.0)))
        .collect())
}

/// Fails when a query asks for what is not known.
fn known_only(whose: &str, query: &str, known: &BTreeSet<String>) -> Result<()> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let mut asked = 0;
    for word in words.filter(|word| word.starts_with("zadig_operator_")) {
        asked += 1;
        let name = word.trim_end_matches("_bucket");
        if !known.contains(name) {
            bail!("{whose} asks for {word}, which {METRICS} does not have");
        }
    }
    ensure!(asked > 0, "{whose} asks for no metric: {query:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_an_unknown_metric_is_refused() {
        let known = BTreeSet::from(["zadig_operator_a_seconds".to_owned()]);
        let ask = |query| known_only("it", query, &known);
        assert!(ask("rate(zadig_operator_a_seconds_bucket{x=\"zadig\"}[5m]) > 1").is_ok());
        let refused = ask("zadig_operator_a_seconds / zadig_operator_b").unwrap_err();
        let expected =
            "it asks for zadig_operator_b, which docs/src/reference/metrics.md does not have";
        assert_eq!(refused.to_string(), expected);
        assert!(ask("up").is_err());
    }
}
