//! `cargo xtask generate`: the files that follow from code, and whether they still do.
//!
//! The source of `crds/` is `zadig-operator crds --output-dir`, that of `docs/coverage.md` is `tests/coverage.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use xtask::coverage::{self, Coverage};
use xtask::paths;

use crate::cargo::{Profile, build_programs, run};

/// Writes every generated file; says what changed.
pub(crate) fn write() -> Result<()> {
    let wanted = wanted()?;
    let mut changed = 0;
    for difference in differences(&wanted)? {
        let path = difference.path();
        match &difference {
            Difference::Stale(path) | Difference::Missing(path) => fs::write(path, &wanted[path])?,
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

/// Fails when a generated file is not what the code says.
pub(crate) fn check() -> Result<()> {
    let differences = differences(&wanted()?)?;
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

/// Path and content of every generated file.
fn wanted() -> Result<BTreeMap<PathBuf, String>> {
    let programs = build_programs(Profile::Dev)?;
    let fresh = tempfile::tempdir()?;
    let mut command = Command::new(&programs.operator);
    command.args(["crds", "--output-dir"]).arg(fresh.path());
    run(command)?;
    let dir = paths::workspace().join("crds");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(fresh.path())? {
        let entry = entry?;
        files.insert(
            dir.join(entry.file_name()),
            fs::read_to_string(entry.path())?,
        );
    }
    let coverage = Coverage::load()?;
    files.insert(
        paths::workspace().join(coverage::DOCUMENT),
        coverage.document(),
    );
    Ok(files)
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
    for entry in fs::read_dir(paths::workspace().join("crds"))? {
        let path = entry?.path();
        let generated = path
            .extension()
            .is_some_and(|extension| extension == "yaml");
        if generated && !wanted.contains_key(&path) {
            differences.push(Difference::Surplus(path));
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
