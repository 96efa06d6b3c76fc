//! Runs Helm on the chart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::tools::Tools;

/// The values that the chart is rendered with: `ci/NAME-values.yaml`, or none for the first.
pub(super) const CASES: [&str; 6] = [
    "default",
    "everything",
    "namespaced",
    "highly-available",
    "monitored",
    "shard",
];
/// What `helm template` takes the cluster for; the version of the test control plane.
const KUBERNETES: &str = "1.36.1";
/// Release and namespace of every rendering.
pub(super) const NAME: &str = "zadig-operator";

pub(super) struct Chart {
    dir: PathBuf,
    tools: Tools,
}

impl Chart {
    pub(super) fn new(dir: PathBuf, tools: Tools) -> Self {
        Self { dir, tools }
    }

    /// Everything but the definitions, for one of the cases.
    pub(super) fn render(&self, case: &str) -> Result<String> {
        let mut command = self.template();
        command.args(["--set", "crds.install=false"]);
        let values = self.values(case);
        if values.is_file() {
            command.arg("--values").arg(values);
        }
        output(command)
    }

    /// The definitions alone.
    pub(super) fn definitions(&self) -> Result<String> {
        let mut command = self.template();
        command.args(["--show-only", "templates/crds.yaml"]);
        output(command)
    }

    /// Everything but the definitions, for one of the cases with further values given as JSON.
    pub(super) fn render_with(&self, case: &str, value: &str) -> Result<String> {
        let mut command = self.template();
        command.args(["--set", "crds.install=false", "--set-json", value]);
        let values = self.values(case);
        if values.is_file() {
            command.arg("--values").arg(values);
        }
        output(command)
    }

    /// What a person reads after an installation with the defaults, or with a value given as JSON.
    pub(super) fn notes(&self, value: Option<&str>) -> Result<String> {
        let mut command = self.helm();
        command.args(["install", NAME]).arg(&self.dir);
        command.args(["--namespace", NAME, "--dry-run=client"]);
        if let Some(value) = value {
            command.args(["--set-json", value]);
        }
        let all = output(command)?;
        let notes = all.split_once("NOTES:\n");
        let (_, notes) = notes.context("helm prints no notes")?;
        Ok(notes.trim_start_matches('\n').to_owned())
    }

    /// What Helm renders with values given as JSON, or else what it says of them.
    pub(super) fn attempt(&self, value: &str) -> Result<Result<String, String>> {
        let mut command = self.template();
        command.args(["--set-json", value]);
        let output = command.output().context("cannot run helm")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    /// `helm lint --strict`, for every case.
    pub(super) fn lint(&self) -> Result<()> {
        for case in CASES {
            let mut command = self.helm();
            command.args(["lint", "--strict", "--kube-version", KUBERNETES]);
            command.arg(&self.dir);
            let values = self.values(case);
            if values.is_file() {
                command.arg("--values").arg(values);
            }
            output(command)?;
        }
        Ok(())
    }

    fn values(&self, case: &str) -> PathBuf {
        self.dir.join(format!("ci/{case}-values.yaml"))
    }

    fn template(&self) -> Command {
        let mut command = self.helm();
        command.args(["template", NAME]).arg(&self.dir);
        command.args(["--namespace", NAME, "--kube-version", KUBERNETES]);
        command
    }

    /// Helm without anything that a person may have set up for theirs.
    fn helm(&self) -> Command {
        let mut command = Command::new(&self.tools.helm);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HELM_") {
                command.env_remove(name);
            }
        }
        command.env_remove("KUBECONFIG");
        command
    }
}

/// Standard output of a program that must succeed.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().with_context(|| {
        let program = command.get_program().to_string_lossy();
        format!("cannot run {program}")
    })?;
    if !status.success() {
        let (said, complained) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        bail!("{command:?} failed ({status}):\n{said}{complained}");
    }
    Ok(String::from_utf8(stdout)?)
}

/// The objects of a YAML text by kind, namespace and name.
pub(super) fn objects(text: &str) -> Result<BTreeMap<String, Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    let mut objects = BTreeMap::new();
    for object in documents {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        let id = [&object["kind"], &meta["namespace"], &meta["name"]].map(word);
        let id = id.join(" ");
        if objects.insert(id.clone(), object).is_some() {
            bail!("{id} is there twice");
        }
    }
    Ok(objects)
}
