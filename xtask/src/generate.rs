//! `cargo xtask generate`: the files that follow from code, and whether they still do.
//!
//! The source of `crds/` is `zadig-operator crds`; one file for each kind, named by its plural.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::console::tail;
use xtask::paths;

use crate::cargo::{Profile, build_programs};

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
    let output = Command::new(&programs.operator).arg("crds").output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("`zadig-operator crds` failed:\n{}", tail(&reason, 10));
    }
    let text = String::from_utf8(output.stdout).context("the CRDs are not text")?;
    let dir = paths::workspace().join("crds");
    let mut files = BTreeMap::new();
    for document in documents(&text) {
        let name = plural(&document)?;
        files.insert(dir.join(format!("{name}.yaml")), document);
    }
    Ok(files)
}

/// The non-empty documents of a YAML stream, each with a final line break.
fn documents(stream: &str) -> Vec<String> {
    let stream = format!("\n{stream}");
    let documents = stream.split("\n---").map(|text| text.trim_matches('\n'));
    documents
        .filter(|text| !text.trim().is_empty())
        .map(|text| format!("{text}\n"))
        .collect()
}

fn plural(document: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Definition {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        names: Names,
    }
    #[derive(Deserialize)]
    struct Names {
        plural: String,
    }
    let definition: Definition =
        serde_saphyr::from_str(document).context("`zadig-operator crds` printed no CRD")?;
    Ok(definition.spec.names.plural)
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
    fn a_stream_is_cut_into_documents_whatever_surrounds_them() {
        let expected = ["a: 1\n", "b: 2\n"];
        assert_eq!(documents("---\na: 1\n---\nb: 2\n"), expected);
        assert_eq!(documents("a: 1\n\n---\n\nb: 2"), expected);
    }

    #[test]
    fn a_file_is_named_by_the_plural_of_its_kind() {
        let text = "kind: CustomResourceDefinition\nspec:\n  names:\n    plural: zadigthings\n";
        assert_eq!(plural(text).unwrap(), "zadigthings");
    }
}
