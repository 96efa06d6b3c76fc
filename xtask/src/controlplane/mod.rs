//! A real Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager on free loopback ports.
//!
//! There are no nodes: nothing schedules or runs pods, as only the API, garbage collection, the deletion of namespaces and
//! autoscalers are wanted. [`up`] starts one that stays and [`shared`] finds it; [`private`] starts one that ends with its owner;
//! [`exclusive`] gives a test run whichever it can have for itself.

mod audit;
mod binaries;
mod build;
mod pki;
mod programs;
mod rights;
mod run;

pub use audit::{Refusals, Request, Write};
pub use binaries::{Binaries, find};
#[cfg(test)]
pub(crate) use build::MODULE;
pub(crate) use build::stamp;
pub use rights::{RELEASE, Right, grant, grant_rendered, rendered, rights, unneeded};
pub use run::{
    Access, Exclusive, Private, Started, User, demo_dir, down, exclusive, private, shared, status,
    up,
};
