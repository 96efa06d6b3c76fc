//! Scenarios on a real kube-apiserver: the operator in this process, custom resources from outside, and a Zadig behind.
//!
//! Each scenario has its own namespace and its own simulator, so all run in parallel. With `ZADIG_URL` and `ZADIG_TOKEN`
//! the same scenarios run against that server; see `support::zadig`. The control plane is found or started by `xtask`.

#![expect(
    clippy::panic,
    reason = "scenarios fail by panicking, also in what they share"
)]

mod access;
mod admission;
mod answers;
mod autoscaler;
mod backoff;
mod chart;
mod credentials;
mod day;
mod declared;
mod deletion;
mod diagnosis;
mod env_config;
mod environment;
mod explain;
mod fault;
mod fields;
mod git_source;
mod gitops;
mod helm;
mod idle;
mod images;
mod ingress;
mod judge;
mod kubectl;
mod levels;
mod lifetime;
mod limits;
mod live_drift;
mod management;
mod mistakes;
mod outage;
mod ownership;
mod production;
mod refusals;
mod samples;
mod service_binding;
mod sharing;
mod smoke;
#[allow(
    dead_code,
    reason = "a vocabulary: a scenario that goes does not take its words along"
)]
mod support;
mod turns;
mod waiting;
