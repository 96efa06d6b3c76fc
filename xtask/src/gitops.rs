//! What Argo CD and Flux make of an object, asked of the libraries that they use themselves: `xtask/gitops`.

use std::io::Write;
use std::path::PathBuf;
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
        let dir = fs::read_dir(paths::workspace().join("xtask/gitops")).unwrap();
        let paths = dir.map(|entry| entry.unwrap().path());
        let sources = paths.filter(|path| path.extension().is_some_and(|end| end == "go"));
        let missing: Vec<PathBuf> = sources
            .filter(|path| {
                let text = fs::read_to_string(path).unwrap();
                !MODULE.sources.contains(&text.as_str())
            })
            .collect();
        assert_eq!(missing, Vec::<PathBuf>::new());
    }
}
