//! What the control plane is built from where none is found: the pins of `xtask/controlplane`.

use crate::go::Module;

/// etcd, kube-apiserver and kube-controller-manager.
pub(crate) const MODULE: Module = Module {
    name: "controlplane",
    go_mod: include_str!("../../controlplane/go.mod"),
    go_sum: include_str!("../../controlplane/go.sum"),
    sources: &[],
    main: "k8s.io/kubernetes",
    shown: "etcd and Kubernetes",
    takes: "six minutes",
    instead: ", or point KUBEBUILDER_ASSETS at a directory with etcd, kube-apiserver and kube-controller-manager",
    stamp,
    programs: &[
        ("server", "etcd"), // The main package of etcd's module.
        ("kube-apiserver", "kube-apiserver"),
        ("kube-controller-manager", "kube-controller-manager"),
    ],
};

/// Without a version the server says v0.0.0-master, which client libraries refuse to parse.
pub(crate) fn stamp(version: &str) -> String {
    let minor = version.split('.').nth(1).unwrap_or_default();
    let place = "k8s.io/component-base/version";
    format!("-X {place}.gitVersion={version} -X {place}.gitMajor=1 -X {place}.gitMinor={minor}")
}
