//! `cargo xtask generate`: the files that follow from code, and whether they still do.
//!
//! The source of `crds/` is `zadig-operator crds --output-dir`, that of [`METRICS`] is `zadig-operator metrics`, that of `docs/coverage.md` is
//! `tests/coverage.yaml`, and the example `reference` makes the pages of the manual that follow from definitions, commands and reasons. The chart
//! and `deploy/` carry copies of `crds/`, and `deploy/argocd/lua` is laid out for each kind; what Helm makes of the chart is kept as well, which
//! shows in a review what a change of a template comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use xtask::coverage::{self, Coverage};
use xtask::{argocd, paths, reference};

use crate::cargo::{Profile, build_programs, cargo, run};
use crate::chart::{self, output};

/// The document of the metrics.
const METRICS: &str = "docs/src/reference/metrics.md";

/// Writes every generated file; says what changed.
pub(crate) fn write() -> Result<()> {
    write_all(&definitions()?)?;
    // Helm reads what was just written.
    write_all(&chart::rendered()?)
}

fn write_all(wanted: &BTreeMap<PathBuf, String>) -> Result<()> {
    let mut changed = 0;
    for difference in differences(wanted)? {
        let path = difference.path();
        match &difference {
            Difference::Stale(path) | Difference::Missing(path) => {
                if let Some(dir) = path.parent() {
                    fs::create_dir_all(dir)?;
                }
                fs::write(path, &wanted[path])?;
            }
            Difference::Surplus(path) => fs::remove_file(path)?,
        }
        println!(
            "{}",
            path.strip_prefix(paths::workspace())
                .unwrap_or(path)
                .display()
        );
        changed += 1;
    }
    println!("{} generated files, {changed} changed", wanted.len());
    Ok(())
}

/// Fails when a file that needs no other tool is not what the code says.
pub(crate) fn check() -> Result<()> {
    check_all(&definitions()?)
}

/// Fails when a file that Helm renders is not what the chart comes to.
pub(crate) fn check_rendered() -> Result<()> {
    check_all(&chart::rendered()?)
}

fn check_all(wanted: &BTreeMap<PathBuf, String>) -> Result<()> {
    let differences = differences(wanted)?;
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
    bail!("run `cargo xtask generate`; {}", list.join(", "))
}

enum Difference {
    Stale(PathBuf),
    Missing(PathBuf),
    Surplus(PathBuf),
}

impl Difference {
    fn path(&self) -> &Path {
        match self {
            Self::Stale(path) | Self::Missing(path) | Self::Surplus(path) => path,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path();
        let shown = path
            .strip_prefix(paths::workspace())
            .unwrap_or(path)
            .display();
        match self {
            Self::Stale(_) => write!(f, "{shown} is stale"),
            Self::Missing(_) => write!(f, "{shown} is missing"),
            Self::Surplus(_) => write!(f, "{shown} belongs to nothing"),
        }
    }
}

/// The definitions and what is copied from them.
fn definitions() -> Result<BTreeMap<PathBuf, String>> {
    let programs = build_programs(Profile::Dev)?;
    let fresh = tempfile::tempdir()?;
    let mut command = Command::new(&programs.operator);
    command.args(["crds", "--output-dir"]).arg(fresh.path());
    run(command)?;
    let dir = paths::workspace().join("crds");
    let mut crds = BTreeMap::new();
    for entry in fs::read_dir(fresh.path())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        crds.insert(name, fs::read_to_string(entry.path())?);
    }
    let mut files = chart::copied(&crds)?;
    files.extend(argocd::files(crds.values().map(String::as_str))?);
    files.extend(crds.into_iter().map(|(name, text)| (dir.join(name), text)));
    let mut command = Command::new(&programs.operator);
    command.arg("metrics");
    files.insert(paths::workspace().join(METRICS), output(command)?);
    files.extend(reference()?);
    let coverage = Coverage::load()?;
    files.insert(
        paths::workspace().join(coverage::DOCUMENT),
        coverage.document(),
    );
    Ok(files)
}

/// Pages of the manual that follow from the operator's types.
fn reference() -> Result<BTreeMap<PathBuf, String>> {
    run(cargo(&[
        "build",
        "--workspace",
        "--example",
        "reference",
        "--quiet",
    ]))?;
    let fresh = tempfile::tempdir()?;
    let mut command = Command::new(paths::target().join("debug/examples/reference"));
    command.arg(fresh.path());
    run(command)?;
    let dir = paths::workspace().join(reference::DIRECTORY);
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(fresh.path())? {
        let entry = entry?;
        pages.insert(
            dir.join(entry.file_name()),
            fs::read_to_string(entry.path())?,
        );
    }
    Ok(pages)
}

/// Whether a directory holds nothing but generated files.
fn is_ours(dir: &Path) -> bool {
    let root = paths::workspace();
    let ours = [root.join("crds"), root.join("tests/chart")];
    ours.iter()
        .chain(&chart::crd_dirs())
        .any(|path| path == dir)
        || dir.starts_with(argocd::customizations())
}

fn differences(wanted: &BTreeMap<PathBuf, String>) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for (path, content) in wanted {
        match fs::read_to_string(path) {
            Ok(found) if found == *content => {}
            Ok(_) => differences.push(Difference::Stale(path.clone())),
            Err(_) => differences.push(Difference::Missing(path.clone())),
        }
    }
    // A file beside those of ours belongs to something that is no more.
    let dirs: BTreeSet<&Path> = wanted.keys().filter_map(|path| path.parent()).collect();
    for dir in dirs.into_iter().filter(|dir| is_ours(dir) && dir.exists()) {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() && !wanted.contains_key(&path) {
                differences.push(Difference::Surplus(path));
            }
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_file_and_what_is_wrong_with_it() {
        let path = paths::workspace().join("crds/a.yaml");
        assert_eq!(
            Difference::Stale(path.clone()).to_string(),
            "crds/a.yaml is stale"
        );
        assert_eq!(
            Difference::Surplus(path).to_string(),
            "crds/a.yaml belongs to nothing"
        );
    }
}
