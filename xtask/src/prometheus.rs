//! Prometheus and promtool: from PATH, or from Debian's package, unpacked once into the user's cache without being installed.
//!
//! Prometheus has no Go module that builds as it is released, so unlike the others it is not pinned; any version from 2.40 on will do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::console::{Task, tail};
use crate::paths;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// The server.
    pub server: PathBuf,
    /// The program that checks rules and metrics.
    pub promtool: PathBuf,
}

/// Finds the programs; nothing where they have not been fetched yet.
#[must_use]
pub fn found() -> Option<Prometheus> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(cache());
    dirs.map(|dir| Prometheus {
        server: dir.join("prometheus"),
        promtool: dir.join("promtool"),
    })
    .find(|programs| programs.server.is_file() && programs.promtool.is_file())
}

/// Finds the programs, or fetches them.
///
/// # Errors
/// When they are not there and this machine cannot fetch them.
pub fn find() -> Result<Prometheus> {
    if let Some(found) = found() {
        return Ok(found);
    }
    let into = cache().context("there is no cache to put Prometheus into")?;
    let task = Task::start("Fetching Prometheus".to_owned());
    fetch(&into)?;
    task.done();
    found().context("the package of Prometheus does not hold its programs")
}

fn cache() -> Option<PathBuf> {
    Some(paths::cache().ok()?.join("prometheus"))
}

/// Downloads the package with lists and a cache of our own, which takes no rights, and unpacks it.
fn fetch(into: &Path) -> Result<()> {
    let parent = into.parent().context("the cache is in a directory")?;
    fs::create_dir_all(parent)?;
    let draft = tempfile::Builder::new()
        .prefix(".fetching-prometheus-")
        .tempdir_in(parent)?;
    let dir = draft.path();
    for name in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(dir.join(name))?;
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(dir).args(["-qq", "-o"]);
        command.arg(format!("Dir::State::Lists={}", dir.join("lists").display()));
        command.arg("-o");
        command.arg(format!("Dir::Cache={}", dir.join("cache").display()));
        command.args(["-o", "Acquire::Retries=1"]);
        command.args(["-o", "Acquire::http::Timeout=20"]);
        command.args(["-o", "APT::Sandbox::User=root"]);
        command.args(arguments);
        run(command)
    };
    apt(&["update"])?;
    apt(&["download", "prometheus"])?;
    let package = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .context("apt-get downloaded no package")?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(package).arg(dir.join("files"));
    run(unpack)?;
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    fs::rename(dir.join("files/usr/bin"), into)?;
    Ok(())
}

fn run(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed:\n{}", tail(&said, 5));
    }
    Ok(())
}
