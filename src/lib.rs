//! zadig-operator keeps the environments of a Zadig equal to what is declared in Kubernetes.
//!
//! `observe → plan → act → status`: see `ARCHITECTURE.md`. [`api`] is what users write, [`plan`] decides without
//! any input or output, [`controller`] is the only part that touches the network.

pub mod api;
pub mod config;
pub mod controller;
pub mod crds;
pub mod error;
pub mod leader;
pub mod plan;
pub mod probe;
pub mod process;
pub mod server;
pub mod telemetry;
