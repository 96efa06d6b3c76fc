//! What a node is built from: the pins of `xtask/node`, and the control plane's programs of the same version.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::controlplane::{self, stamp};
use crate::go::Module;

/// kubelet, kube-proxy, kube-scheduler, containerd and CoreDNS.
pub(crate) const MODULE: Module = Module {
    name: "node",
    go_mod: include_str!("../../node/go.mod"),
    go_sum: include_str!("../../node/go.sum"),
    sources: &[
        include_str!("../../node/coredns/main.go"),
        include_str!("../../node/pause/main.go"),
    ],
    main: "k8s.io/kubernetes",
    shown: "kubelet and containerd",
    takes: "ten minutes",
    instead: "",
    stamp,
    programs: &[
        ("kubelet", "kubelet"),
        ("kube-proxy", "kube-proxy"),
        ("kube-scheduler", "kube-scheduler"),
        ("containerd", "containerd"),
        ("containerd-shim-runc-v2", "containerd-shim-runc-v2"),
        ("ctr", "ctr"),
        ("coredns", "coredns"),
        ("pause", "pause"),
    ],
};

/// Where the programs are.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Programs {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// The directory of all others.
    pub node: PathBuf,
}

/// Finds or builds them.
///
/// # Errors
/// When a build is needed and fails.
pub fn find() -> Result<Programs> {
    let control_plane = controlplane::find()?;
    Ok(Programs {
        etcd: control_plane.etcd,
        apiserver: control_plane.apiserver,
        controller_manager: control_plane.controller_manager,
        node: MODULE.cached_or_built()?,
    })
}
