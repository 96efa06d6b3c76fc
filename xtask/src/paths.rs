//! Where things lie: the workspace, cargo's target directory, the user's cache.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the workspace.
#[must_use]
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        // As cargo does: a relative path is seen from where the command was typed.
        Some(dir) if !dir.is_empty() => {
            std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir))
        }
        _ => workspace().join("target"),
    }
}

/// Everything that belongs to control planes: kubeconfig, logs, audit log, data.
#[must_use]
pub fn cluster() -> PathBuf {
    target().join("cluster")
}

/// Our directory in the user's cache, so that `cargo clean` does not cost a build of Kubernetes.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => env::home_dir()
            .context("neither XDG_CACHE_HOME nor HOME says where to keep the built control plane")?
            .join(".cache"),
    };
    Ok(base.join("zadig-operator"))
}
