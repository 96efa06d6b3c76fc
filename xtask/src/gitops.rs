//! What Argo CD and Flux make of an object, asked of the libraries that they use themselves (`xtask/gitops`), and what Flux writes into
//! files (`xtask/setters`, a module of its own, as that library is older than the others).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::go::Module;

pub(crate) const MODULE: Module = Module {
    name: "gitops",
    go_mod: include_str!("../gitops/go.mod"),
    go_sum: include_str!("../gitops/go.sum"),
    sources: &[
        include_str!("../gitops/main.go"),
        include_str!("../gitops/argocd.go"),
    ],
    main: "github.com/fluxcd/cli-utils",
    shown: "what judges as Argo CD and Flux do",
    takes: "half a minute",
    instead: "",
    stamp: |_| String::new(),
    programs: &[("gitops", "gitops")],
};

pub(crate) const SETTERS: Module = Module {
    name: "setters",
    go_mod: include_str!("../setters/go.mod"),
    go_sum: include_str!("../setters/go.sum"),
    sources: &[include_str!("../setters/main.go")],
    main: "sigs.k8s.io/kustomize/kyaml",
    shown: "the setters of Flux' image automation",
    takes: "half a minute",
    instead: "",
    stamp: |_| String::new(),
    programs: &[("setters", "setters")],
};

/// Writes an image into every field of a folder that is marked with a policy (`namespace:name`), as Flux' image automation does.
///
/// # Errors
/// When the program has to be built and cannot, or cannot read or write the files.
pub fn set_image(folder: &Path, policy: &str, image: &str) -> Result<()> {
    let program = setters()?;
    let output = Command::new(&program)
        .arg(folder)
        .args([policy, image])
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", folder.display(), said.trim_end());
    }
    Ok(())
}

/// Finds or builds the program of [`set_image`].
///
/// # Errors
/// When a build is needed and fails.
pub fn setters() -> Result<PathBuf> {
    Ok(SETTERS.cached_or_built()?.join("setters"))
}

/// The program that answers.
#[derive(Clone, Debug)]
pub struct Judge(PathBuf);

impl Judge {
    /// Finds or builds it.
    ///
    /// # Errors
    /// When a build is needed and fails.
    pub fn find() -> Result<Self> {
        Ok(Self(MODULE.cached_or_built()?.join("gitops")))
    }

    /// Asks one of its questions; `xtask/gitops/main.go` lists them.
    ///
    /// # Errors
    /// When it has no answer, with what it says of it.
    pub fn ask(&self, what: &str, question: &Value) -> Result<Value> {
        let mut child = Command::new(&self.0)
            .arg(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.0.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(question.to_string().as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "{what}: {}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::paths;

    /// A change of a file that is left out would be taken for the old build.
    #[test]
    fn every_source_is_part_of_the_key() {
        for module in [MODULE, SETTERS] {
            let dir = paths::workspace().join("xtask").join(module.name);
            let paths = fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let sources = paths.filter(|path| path.extension().is_some_and(|end| end == "go"));
            let missing: Vec<PathBuf> = sources
                .filter(|path| {
                    let text = fs::read_to_string(path).unwrap();
                    !module.sources.contains(&text.as_str())
                })
                .collect();
            assert_eq!(missing, Vec::<PathBuf>::new());
        }
    }
}
