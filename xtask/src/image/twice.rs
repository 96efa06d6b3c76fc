//! The second build of `--check-reproducible`: the same commit in another directory, with nothing of the first one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::paths;

use super::revision;

/// Fails where files differ from the commit: the copy would not be what was built.
pub(super) fn needs_a_commit() -> Result<()> {
    if revision()?.is_none() {
        bail!(
            "files differ from the last commit; commit them first, as the second build is of the commit"
        );
    }
    Ok(())
}

/// Unpacks the commit and builds it with `compile`, which is told where the sources are and where to build.
pub(super) fn build(compile: impl Fn(&Path, &Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let place = paths::target().join("image-again");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let source = place.join("a-copy-elsewhere");
    unpack("HEAD", &[], &source)?;
    compile(&source, &place.join("build"))
}

/// Writes what a commit holds into a directory: all of it, or the paths that are named.
pub(crate) fn unpack(revision: &str, only: &[&str], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut archive = Command::new("git")
        .args(["archive", "--format=tar", revision, "--"])
        .args(only)
        .current_dir(paths::workspace())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run git")?;
    let content = archive.stdout.take().context("git writes to a pipe")?;
    tar::Archive::new(content).unpack(dir)?;
    if !archive.wait()?.success() {
        bail!("git archive {revision} failed");
    }
    Ok(())
}
