//! Finds the three programs, in the order of the design: `KUBEBUILDER_ASSETS`, `PATH`, the cache, else a build with Go.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::build::MODULE;

/// The programs of a control plane.
pub(super) const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
/// From this minor version on custom resources have selectable fields without a feature gate, which our CRDs use.
const OLDEST_MINOR: u32 = 32;

/// A directory for each program.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
}

/// Finds or builds the programs. A build takes six minutes on two cores, shows its progress and happens once.
///
/// # Errors
/// When `KUBEBUILDER_ASSETS` is set but unusable, or when a build is needed and fails.
pub fn find() -> Result<Binaries> {
    if let Some(dir) = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        // Asked for by name: anything else in its place would be a surprise.
        let dir = PathBuf::from(dir);
        let found = Binaries::locate([&dir]).with_context(|| {
            format!(
                "KUBEBUILDER_ASSETS={} does not hold all of {PROGRAMS:?}",
                dir.display()
            )
        })?;
        let version = minor_version(&found.apiserver)?;
        if version < OLDEST_MINOR {
            bail!(
                "KUBEBUILDER_ASSETS holds Kubernetes 1.{version}; 1.{OLDEST_MINOR} or newer is needed"
            );
        }
        return Ok(found);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(found) = Binaries::locate(env::split_paths(&path)) {
        match minor_version(&found.apiserver) {
            Ok(version) if version >= OLDEST_MINOR => return Ok(found),
            Ok(version) => eprintln!("kube-apiserver 1.{version} on PATH is too old, not used"),
            Err(error) => eprintln!("kube-apiserver on PATH is not used: {error:#}"),
        }
    }
    let dir = MODULE.cached_or_built()?;
    Binaries::locate([&dir]).with_context(|| format!("{} is incomplete; delete it", dir.display()))
}

impl Binaries {
    /// The first directory that holds a program wins, program by program.
    pub(super) fn locate<P: AsRef<Path>>(dirs: impl IntoIterator<Item = P>) -> Option<Self> {
        let dirs: Vec<P> = dirs.into_iter().collect();
        let [etcd, apiserver, controller_manager] = PROGRAMS.map(|program| {
            dirs.iter()
                .map(|dir| dir.as_ref().join(program))
                .find(|path| path.is_file())
        });
        Some(Self {
            etcd: etcd?,
            apiserver: apiserver?,
            controller_manager: controller_manager?,
        })
    }
}

fn minor_version(apiserver: &Path) -> Result<u32> {
    let shown = apiserver.display();
    let output = Command::new(apiserver)
        .arg("--version")
        .output()
        .with_context(|| format!("{shown} cannot be started"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_minor(&text).with_context(|| format!("{shown} --version says {:?}", text.trim()))
}

fn parse_minor(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix("Kubernetes v1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_kubernetes_prints() {
        assert_eq!(parse_minor("Kubernetes v1.36.1\n"), Some(36));
        assert_eq!(parse_minor("Kubernetes v0.0.0-master+$Format:%H$"), None);
    }

    #[test]
    fn an_incomplete_directory_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("etcd"), "").unwrap();
        assert!(Binaries::locate([dir.path()]).is_none());
        for program in PROGRAMS {
            std::fs::write(dir.path().join(program), "").unwrap();
        }
        assert_eq!(
            Binaries::locate([dir.path()]).unwrap().etcd,
            dir.path().join("etcd")
        );
    }
}
