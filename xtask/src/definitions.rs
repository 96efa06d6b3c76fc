//! Definitions of resources that are not ours, from the releases of their projects: what the chart and the examples tell the Prometheus
//! operator, Argo CD and Flux is judged by these at the API server.
//!
//! Each release is a Go module, whose proxy serves it to everybody; nothing of it is compiled. A digest pins each.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::console::{Task, tail};
use crate::once::Once;

/// One release, and the files of it that define resources.
struct Release {
    module: &'static str,
    version: &'static str,
    /// Digest of the module, as a `go.sum` has it.
    sum: &'static str,
    files: &'static [&'static str],
}

const RELEASES: [Release; 4] = [
    Release {
        module: "github.com/prometheus-operator/prometheus-operator",
        version: "v0.85.0",
        sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        files: &[
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    },
    Release {
        module: "github.com/argoproj/argo-cd/v3",
        version: "v3.5.0",
        sum: "h1:iqnPFSKaQ0l3hREMH2Rk55VDcxrvBFaSO0g9bifZKzc=",
        files: &[
            "manifests/crds/application-crd.yaml",
            "manifests/crds/applicationset-crd.yaml",
        ],
    },
    Release {
        module: "github.com/fluxcd/kustomize-controller",
        version: "v1.9.6",
        sum: "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
        files: &["config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"],
    },
    Release {
        module: "github.com/fluxcd/source-controller",
        version: "v1.9.6",
        sum: "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=",
        files: &["config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"],
    },
];

/// What `go mod download -json` prints; the names are its own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: Option<PathBuf>,
    sum: Option<String>,
    error: Option<String>,
}

/// The files with the definitions, fetched once into the user's cache.
///
/// # Errors
/// When they have to be fetched and there is no Go, no proxy, or a release that is not the pinned one.
pub fn find() -> Result<Vec<PathBuf>> {
    let names = || RELEASES.iter().flat_map(|release| release.files);
    let place = |dir: &Path, file: &str| dir.join(file.rsplit('/').next().unwrap_or(file));
    let dir = Once {
        name: "definitions",
        key: &key(),
        shown: "definitions of others",
    }
    .found_or(
        |dir| names().all(|file| place(dir, file).is_file()),
        |draft| {
            let mut task = Task::start("Fetching definitions of others");
            task.steps(RELEASES.len() as u64);
            for release in &RELEASES {
                let from = release.fetch()?;
                for file in release.files {
                    // Contents alone: what is in Go's cache may not be written.
                    let text = fs::read(from.join(file))
                        .with_context(|| format!("{} has no {file}", release.module))?;
                    fs::write(place(draft, file), text)?;
                }
                task.advance();
            }
            task.done();
            Ok(())
        },
    )?;
    Ok(names().map(|file| place(&dir, file)).collect())
}

fn key() -> String {
    let mut digest = Sha256::new();
    for release in &RELEASES {
        digest.update(release.sum);
        for file in release.files {
            digest.update(file);
        }
    }
    let mut start = [0; 8];
    start[2..].copy_from_slice(&digest.finalize()[..6]);
    format!("definitions-{:012x}", u64::from_be_bytes(start))
}

impl Release {
    /// Where the release is unpacked.
    fn fetch(&self) -> Result<PathBuf> {
        let Self {
            module,
            version,
            sum,
            ..
        } = self;
        let output = Command::new("go")
            .args(["mod", "download", "-json"])
            .arg(format!("{module}@{version}"))
            // Outside any module: none of our pins is about these.
            .current_dir(env::temp_dir())
            .env("GOWORK", "off")
            .env("GOFLAGS", "")
            .output()
            .context("cannot run go; install Go 1.26 or newer (https://go.dev/dl)")?;
        let said = || tail(&String::from_utf8_lossy(&output.stderr), 5);
        let download: Download = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("go cannot fetch {module} {version}: {}", said()))?;
        if let Some(error) = download.error {
            bail!("go cannot fetch {module} {version}: {error}");
        }
        if download.sum.as_deref() != Some(sum) {
            bail!(
                "{module} {version} is not what it was: its digest is {}, not {sum}",
                download.sum.unwrap_or_default()
            );
        }
        download.dir.context("go does not say where it put it")
    }
}
