//! Builds the control plane from Go modules, once, into the user's cache.
//!
//! `controlplane/go.mod` pins everything; a changed pin is another directory, so an old build is never taken for a new one.
//! The build happens in a directory beside and is renamed when it is complete; a file lock keeps two processes apart.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::binaries::Binaries;
use crate::console::{Task, tail};
use crate::paths;

const GO_MOD: &str = include_str!("../../controlplane/go.mod");
const GO_SUM: &str = include_str!("../../controlplane/go.sum");
/// The go line of `go.mod`; a Go of 1.21 or newer fetches the right one by itself.
const GO_NEEDED: (u32, u32) = (1, 26);
const GO_SWITCHES_SINCE: (u32, u32) = (1, 21);

/// The directory with the three programs, building them if need be.
pub(super) fn cached_or_built() -> Result<PathBuf> {
    let cache = paths::cache()?;
    let dir = cache.join(key()?);
    if Binaries::locate([&dir]).is_some() {
        return Ok(dir);
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join("controlplane.lock"))?;
    if lock.try_lock().is_err() {
        let task = Task::start("Waiting for another process that builds the control plane");
        lock.lock()?;
        task.done();
    }
    // Somebody else may have built it while we waited.
    if Binaries::locate([&dir]).is_none() {
        remove_leftovers(&cache)?;
        let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&cache)?;
        build(draft.path())?;
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::rename(draft.keep(), &dir)?;
    }
    Ok(dir)
}

const DRAFT: &str = ".building-";

/// While we hold the lock, a directory in the making belongs to a process that was killed.
fn remove_leftovers(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn kubernetes_version() -> Result<&'static str> {
    let words = |line: &'static str| line.trim().trim_start_matches("require").trim();
    GO_MOD
        .lines()
        .filter_map(|line| words(line).strip_prefix("k8s.io/kubernetes "))
        .find_map(|rest| rest.split_whitespace().next())
        .context("xtask/controlplane/go.mod requires k8s.io/kubernetes")
}

fn key() -> Result<String> {
    let digest = Sha256::new()
        .chain_update(GO_MOD)
        .chain_update(GO_SUM)
        .finalize();
    let mut start = [0; 8];
    start[2..].copy_from_slice(&digest[..6]);
    let hex = u64::from_be_bytes(start);
    Ok(format!("controlplane-{}-{hex:012x}", kubernetes_version()?))
}

fn build(out: &Path) -> Result<()> {
    check_go()?;
    let version = kubernetes_version()?;
    eprintln!(
        "Building etcd and Kubernetes {version} from source; this happens once and takes about six minutes on two cores."
    );
    let module = paths::workspace().join("xtask/controlplane");
    let task = Task::start("Fetching Go modules");
    let list = go(&module)
        .args(["list", "-deps", "-f", "{{.ImportPath}}", "tool"])
        .output()
        .context("cannot run go list")?;
    if !list.status.success() {
        let reason = String::from_utf8_lossy(&list.stderr).into_owned();
        bail!(
            "go cannot fetch the modules of the control plane:\n{}",
            tail(&reason, 15)
        );
    }
    let packages = String::from_utf8_lossy(&list.stdout).lines().count();
    task.done();

    let mut task = Task::start(format!("Compiling etcd and Kubernetes {version}"));
    task.steps(packages as u64);
    let minor = version.split('.').nth(1).unwrap_or_default();
    let stamp = "k8s.io/component-base/version";
    // Without a version the server says v0.0.0-master, which client libraries refuse to parse.
    let ldflags = format!(
        "-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={minor}"
    );
    let mut child = go(&module)
        .args(["build", "-v", "-trimpath", "-ldflags", &ldflags, "-o"])
        .arg(out.join("bin/"))
        .arg("tool")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run go build")?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if line.contains(' ') {
                said.push_str(&line);
                said.push('\n');
            } else {
                task.advance();
            }
        }
    }
    if !child.wait()?.success() {
        bail!("go build failed:\n{}", tail(&said, 20));
    }
    task.done();
    for (built, wanted) in [
        ("server", "etcd"), // The main package of etcd's module.
        ("kube-apiserver", "kube-apiserver"),
        ("kube-controller-manager", "kube-controller-manager"),
    ] {
        fs::rename(out.join("bin").join(built), out.join(wanted))
            .with_context(|| format!("go built no {built}"))?;
    }
    fs::remove_dir(out.join("bin"))?;
    Ok(())
}

fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    // A go.work or vendoring of the user's own must not change what is built.
    command
        .current_dir(module)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly");
    command.env("CGO_ENABLED", "0");
    command
}

fn check_go() -> Result<()> {
    let advice = "Install Go 1.26 or newer (https://go.dev/dl), or point KUBEBUILDER_ASSETS at a directory with etcd, \
                  kube-apiserver and kube-controller-manager.";
    let Ok(output) = Command::new("go")
        .arg("version")
        .current_dir(env::temp_dir())
        .output()
    else {
        bail!("Kubernetes has to be built once, and there is no Go on PATH. {advice}");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = parse_go(&text)
        .with_context(|| format!("`go version` says {:?}. {advice}", text.trim()))?;
    let fixed = env::var("GOTOOLCHAIN").is_ok_and(|value| value == "local");
    if version < GO_NEEDED && (version < GO_SWITCHES_SINCE || fixed) {
        bail!(
            "Kubernetes has to be built once, and {} is too old. {advice}",
            text.trim()
        );
    }
    Ok(())
}

fn parse_go(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut parts = version.split(['.', 'r', 'b']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_from_what_it_prints() {
        assert_eq!(parse_go("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(parse_go("go version go1.27rc1 linux/amd64"), Some((1, 27)));
        assert_eq!(parse_go("gcc version 12"), None);
    }

    #[test]
    fn the_cache_is_keyed_by_version_and_pins() {
        let key = key().unwrap();
        let version = kubernetes_version().unwrap();
        assert!(
            key.starts_with(&format!("controlplane-{version}-")),
            "{key}"
        );
        assert_eq!(key.len(), "controlplane-".len() + version.len() + 1 + 12);
    }
}
