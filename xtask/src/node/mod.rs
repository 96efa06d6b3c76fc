//! A real Kubernetes of one node: etcd, API server, controller manager, scheduler, kubelet, kube-proxy, containerd and CoreDNS, all as
//! programs of this machine. No registry, no container engine, no network but the node's own.
//!
//! It runs in namespaces of its own (processes, mounts, network): firewall rules, bridges and mounts are invisible outside, and
//! when the first process in there ends, by whatever signal, the kernel ends everything else. [`enclosure`] makes them and removes
//! what is no part of a namespace; [`Node`] is what runs inside.

pub mod enclosure;
mod files;
mod machine;
mod pki;
mod programs;
mod run;

pub use machine::Machine;
#[cfg(test)]
pub(crate) use programs::MODULE;
pub use programs::{Programs, find};
pub use run::Node;
