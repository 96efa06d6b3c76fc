//! What the commands of `cargo xtask` and the cluster tests share: a real Kubernetes control plane and the places on disk.
//!
//! It runs the operator and the simulator as programs and depends on neither crate, so that both can depend on it in tests.

pub mod argocd;
pub mod console;
pub mod controlplane;
pub mod coverage;
pub mod definitions;
pub mod gitops;
mod go;
pub mod kubectl;
pub mod node;
mod once;
pub mod paths;
pub mod prometheus;
pub mod reference;
pub mod site;
pub mod supervise;
pub mod tools;
