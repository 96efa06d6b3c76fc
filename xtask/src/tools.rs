//! Helm and Kustomize, built from the pins of `xtask/tools`: what they print is compared with files, so no other version will do.

use std::path::PathBuf;

use anyhow::Result;

use crate::go::Module;

pub(crate) const MODULE: Module = Module {
    name: "tools",
    go_mod: include_str!("../tools/go.mod"),
    go_sum: include_str!("../tools/go.sum"),
    sources: &[],
    main: "helm.sh/helm/v4",
    shown: "Helm and Kustomize",
    takes: "two minutes",
    instead: "",
    stamp: |version| format!("-X helm.sh/helm/v4/internal/version.version={version}"),
    programs: &[("helm", "helm"), ("kustomize", "kustomize")],
};

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Helm.
    pub helm: PathBuf,
    /// Kustomize, as it is in kubectl.
    pub kustomize: PathBuf,
}

/// Finds or builds them.
///
/// # Errors
/// When a build is needed and fails.
pub fn find() -> Result<Tools> {
    let dir = MODULE.cached_or_built()?;
    Ok(Tools {
        helm: dir.join("helm"),
        kustomize: dir.join("kustomize"),
    })
}
