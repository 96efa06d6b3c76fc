//! Helm, as a person would use it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The release and its namespace.
pub(super) const RELEASE: &str = "zadig-operator";

/// Helm with a cluster to work on.
#[derive(Debug)]
pub(super) struct Helm {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// Where it keeps its own files.
    pub(super) home: PathBuf,
}

impl Helm {
    /// Installs a chart with its default values and waits until its pods are ready.
    pub(super) async fn install(&self, chart: &Path) -> Result<()> {
        let chart = chart.display().to_string();
        self.run(&["install", RELEASE, &chart, "--wait"]).await
    }

    /// Upgrades to a chart, likewise, with a value that replaces the pods, as another image would.
    pub(super) async fn upgrade(&self, chart: &Path) -> Result<()> {
        let chart = chart.display().to_string();
        let value = "podAnnotations.upgraded=yes";
        self.run(&["upgrade", RELEASE, &chart, "--set", value, "--wait"])
            .await
    }

    /// Runs the chart's own test.
    pub(super) async fn test(&self) -> Result<()> {
        self.run(&["test", RELEASE]).await
    }

    /// Removes the release and waits until its objects are gone.
    pub(super) async fn uninstall(&self) -> Result<()> {
        self.run(&["uninstall", RELEASE, "--wait"]).await
    }

    async fn run(&self, args: &[&str]) -> Result<()> {
        let output = Command::new(&self.program)
            .args(args)
            .args(["--namespace", RELEASE, "--timeout", "3m"])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"))
            .stdin(Stdio::null())
            .output()
            .await
            .context("cannot run helm")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("helm {}: {said}", args[0]);
        }
        Ok(())
    }
}
