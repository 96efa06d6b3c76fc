//! The Helm chart: what is generated for it, and what `cargo xtask test --only chart` holds it to.
//!
//! Nothing here needs a cluster. What the API server says of the rendered objects is in `tests/cluster/chart.rs`, which reads the
//! same files that this keeps up to date.

pub(crate) mod monitoring;
mod plain;
mod refusals;
mod render;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use xtask::{paths, tools};

pub(crate) use self::render::output;
use self::render::{CASES, Chart, objects};
use crate::objects::text;

/// The chart.
pub(crate) fn dir() -> PathBuf {
    paths::workspace().join("charts/zadig-operator")
}

/// Files that follow from others of the repository without any tool: the definitions that the chart and deploy/ carry along, and the
/// table of values in the chart's README and in the manual.
pub(crate) fn copied(crds: &BTreeMap<String, String>) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::from([values::readme(&dir())?, values::page(&dir())?]);
    for target in crd_dirs() {
        let copies = crds.iter();
        files.extend(copies.map(|(name, content)| (target.join(name), content.clone())));
    }
    Ok(files)
}

/// Directories with nothing but definitions.
pub(crate) fn crd_dirs() -> [PathBuf; 2] {
    [
        dir().join("files/crds"),
        paths::workspace().join("deploy/base/crds"),
    ]
}

/// Files that Helm renders: what each case of `ci/` comes to, and the plain manifests.
pub(crate) fn rendered() -> Result<BTreeMap<PathBuf, String>> {
    let chart = Chart::new(dir(), tools::find()?);
    let golden = paths::workspace().join("tests/chart");
    let mut files = BTreeMap::new();
    for case in CASES {
        files.insert(golden.join(format!("{case}.yaml")), chart.render(case)?);
    }
    files.insert(golden.join("notes.txt"), chart.notes(None)?);
    files.extend(plain::files(&chart)?);
    Ok(files)
}

/// Checks the chart, and the plain manifests against it.
pub(crate) fn check() -> Result<()> {
    let tools = tools::find()?;
    let chart = Chart::new(dir(), tools.clone());
    chart.lint()?;
    refusals::check(&chart)?;
    check_definitions(&chart)?;
    check_notes(&chart)?;
    plain::check(&tools, &chart)
}

/// The chart carries the definitions whole, kept when it is uninstalled, and leaves them out when it is told to.
fn check_definitions(chart: &Chart) -> Result<()> {
    let mut wanted = BTreeMap::new();
    for entry in fs::read_dir(paths::workspace().join("crds"))? {
        for (id, crd) in objects(&fs::read_to_string(entry?.path())?)? {
            wanted.insert(id, crd["spec"].clone());
        }
    }
    let mut found = BTreeMap::new();
    for (id, crd) in objects(&chart.definitions()?)? {
        let policy = text(
            &crd,
            &["metadata", "annotations", "helm.sh/resource-policy"],
        );
        if policy.as_deref() != Some("keep") {
            bail!("{id} would go at `helm uninstall`, with every object of its kind");
        }
        found.insert(id, crd["spec"].clone());
    }
    for (id, spec) in &wanted {
        if found.get(id) != Some(spec) {
            bail!("the chart renders {id} otherwise than crds/ has it");
        }
    }
    if found.len() != wanted.len() {
        bail!(
            "the chart has {} definitions, crds/ {}",
            found.len(),
            wanted.len()
        );
    }
    Ok(())
}

/// What a person is told to apply is looked after by this release, and lies where it looks.
fn check_notes(chart: &Chart) -> Result<()> {
    let label = "labels: {zadig-operator.io/shard: b}";
    for (value, has_label, namespace) in [
        ("watchNamespaces=[]", false, render::NAME),
        ("watchNamespaces=null", false, render::NAME),
        (r#"watchNamespaces=["shop","web"]"#, false, "shop"),
        (r#"shard="b""#, true, render::NAME),
    ] {
        let notes = chart.notes(Some(value))?;
        let apply = format!("kubectl -n {namespace} apply");
        if notes.contains(label) != has_label || !notes.contains(&apply) {
            bail!("the notes are wrong with {value}:\n{notes}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_chart_has_the_version_of_the_program() {
        let chart = fs::read_to_string(dir().join("Chart.yaml")).unwrap();
        let chart: Value = serde_saphyr::from_str(&chart).unwrap();
        let program = env!("CARGO_PKG_VERSION");
        let versions = (chart["version"].as_str(), chart["appVersion"].as_str());
        assert_eq!(versions, (Some(program), Some(program)));
    }

    #[test]
    fn the_chart_tells_artifact_hub_of_every_kind() {
        let chart = fs::read_to_string(dir().join("Chart.yaml")).unwrap();
        let chart: Value = serde_saphyr::from_str(&chart).unwrap();
        let listed = chart["annotations"]["artifacthub.io/crds"]
            .as_str()
            .unwrap();
        let listed: Vec<Value> = serde_saphyr::from_str(listed).unwrap();
        let mut listed: Vec<&str> = listed
            .iter()
            .filter_map(|crd| crd["name"].as_str())
            .collect();
        listed.sort_unstable();
        let crds = fs::read_dir(paths::workspace().join("crds")).unwrap();
        let mut wanted: Vec<String> = crds
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.replace(".yaml", ".zadig-operator.io"))
            .collect();
        wanted.sort();
        assert_eq!(listed, wanted);
    }
}
