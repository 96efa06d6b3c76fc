//! `zadig-operator` as a program: its command line, and several of its processes on one real kube-apiserver.
//!
//! What the controllers do is shown by the cluster tests, which run them in their own process.

mod command;
mod election;
mod lifetime;
mod metrics;
mod prometheus;
mod rights;
mod shards;
mod support;
mod traces;
mod watches;
