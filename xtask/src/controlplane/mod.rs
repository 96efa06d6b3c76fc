//! A real Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager on free loopback ports.
//!
//! There are no nodes: nothing schedules or runs pods, as only the API, garbage collection and the deletion of namespaces
//! are wanted. [`shared`] finds the one that `cargo xtask cluster up` left running, [`Private`] starts one that ends with
//! its owner.

mod audit;
mod binaries;
mod build;
mod pki;
mod run;

pub use audit::Write;
pub use binaries::{Binaries, find};
pub use run::{Access, Private, Started, User, down, private, shared, status, up};
