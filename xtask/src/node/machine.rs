//! Whether this machine can be a node, and if not, why.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::enclosure;

/// Programs that a node needs from the system, and the package of Debian and Ubuntu that has each.
const PROGRAMS: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
];
/// Plug-ins of the container network; not on PATH.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];
const PLUGIN_DIRS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// A machine that can be a node.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    pub(super) runc: PathBuf,
    pub(super) plugins: PathBuf,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// What is missing, for a person.
    pub fn look() -> Result<Self, String> {
        if env::consts::OS != "linux" {
            return Err(format!("a node runs on Linux, not on {}", env::consts::OS));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(
                "a node needs root: it makes namespaces, control groups and mounts".to_owned(),
            );
        }
        let mut packages: Vec<&str> = Vec::new();
        for (program, package) in PROGRAMS {
            if on_path(program).is_none() && !packages.contains(&package) {
                packages.push(package);
            }
        }
        let holds_all = |dir: &&Path| PLUGINS.iter().all(|plugin| dir.join(plugin).is_file());
        let plugins = PLUGIN_DIRS.iter().map(Path::new).find(holds_all);
        if plugins.is_none() {
            packages.push("containernetworking-plugins");
        }
        let (Some(runc), Some(plugins), true) = (on_path("runc"), plugins, packages.is_empty())
        else {
            let packages = packages.join(" ");
            return Err(format!("missing packages: apt-get install {packages}"));
        };
        let trial = Command::new("unshare")
            .args(enclosure::NAMESPACES)
            .arg("true")
            .output();
        if !trial.is_ok_and(|trial| trial.status.success()) {
            return Err(
                "namespaces cannot be made here; a container needs to be privileged for that"
                    .to_owned(),
            );
        }
        enclosure::check_cgroups()?;
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !known
            .lines()
            .any(|line| line.trim_end().ends_with("\toverlay"))
        {
            return Err("the kernel has no overlayfs (modprobe overlay)".to_owned());
        }
        Ok(Self {
            runc,
            plugins: plugins.to_owned(),
        })
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let candidates = env::split_paths(&path).chain(system);
    candidates
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
