//! What users see of the services: ready or not, why, and what the cluster has lost.
//!
//! Health is always computed per service: the environment's own word hides a broken service after a later update of a good
//! one, and `success` is no proof that a patch was taken (Z§14.23).

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Detail, Environment, ObservedService, Service};
use crate::api::condition::Reason;
use crate::api::environment::{FieldPolicy, ServiceStatus};

/// How long pods may take after a change before their service counts as broken. Zadig's own start time-out is 300 s.
pub const PROGRESS_DEADLINE: Duration = Duration::from_mins(5);
/// How long a service may be unhealthy without a change of ours before it is told: a roll-out by somebody else is normal.
pub const GRACE: Duration = Duration::from_secs(30);

/// The services of an environment as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Every declared service.
    pub services: Vec<ServiceStatus>,
    /// How many of them are healthy.
    pub ready: usize,
    /// The worst that can be said, with the services it is about.
    pub trouble: Option<(Trouble, String)>,
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Trouble {
    /// Pods are not ready (yet).
    NotReady,
    /// An object is gone from the cluster, and no call of ours brings it back.
    LiveDrift,
    /// Zadig believes to have applied something that the cluster does not run.
    NotApplied,
}

impl Trouble {
    /// The reason of the condition.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::NotReady => Reason::NotReady,
            Self::LiveDrift => Reason::LiveDrift,
            Self::NotApplied => Reason::NotApplied,
        }
    }
}

/// The health of the declared services that are in the environment.
#[must_use]
pub fn health(desired: &Environment, detail: &Detail) -> Health {
    let mut health = Health::default();
    let mut troubles: Vec<(Trouble, String)> = Vec::new();
    for (name, service) in &desired.services {
        let Some(seen) = detail.services.get(name) else {
            continue;
        };
        let trouble = trouble(seen);
        if trouble.is_none() {
            health.ready += 1;
        }
        let (ready, wanted) = pods(seen);
        health.services.push(ServiceStatus {
            name: name.clone(),
            status: seen.status.clone(),
            ready,
            desired: wanted,
            images: running_images(service, seen),
            message: trouble.as_ref().map(|(_, message)| message.clone()),
        });
        if let Some((kind, message)) = trouble {
            troubles.push((kind, format!("{name}: {message}")));
        }
    }
    if let Some(worst) = troubles.iter().map(|(kind, _)| *kind).max() {
        let messages = troubles
            .iter()
            .filter(|(kind, _)| *kind == worst)
            .map(|(_, m)| m.as_str());
        let messages: Vec<&str> = messages.take(8).collect();
        health.trouble = Some((worst, messages.join("; ")));
    }
    health
}

/// Whether a service's word means that nothing has to be looked at (Z§5.3).
#[must_use]
pub fn is_healthy_word(status: &str) -> bool {
    matches!(
        status,
        "running" | "succeeded" | "nosuspend" | "partsuspend" | "allsuspend"
    )
}

fn trouble(seen: &ObservedService) -> Option<(Trouble, String)> {
    if let (Some(live), Some(expected)) = (&seen.live, &seen.expected) {
        let missing: BTreeSet<String> = expected
            .keys()
            .filter(|workload| !live.iter().any(|live| live.is(workload)))
            .map(|(kind, name)| format!("{kind}/{name}"))
            .collect();
        if !missing.is_empty() {
            return Some((
                Trouble::LiveDrift,
                format!(
                    "{} missing in the cluster: deleted, or never accepted by it; Zadig does not bring it back by itself. Remove the service from the spec and add it again, or repair the template",
                    super::join(&missing)
                ),
            ));
        }
    }
    if is_healthy_word(&seen.status) {
        return None;
    }
    let (ready, wanted) = pods(seen);
    if seen.status == "unstart" && seen.live.is_some() && wanted == Some(0) {
        // No pods because none are wanted.
        return None;
    }
    Some((
        Trouble::NotReady,
        match (ready, wanted) {
            (Some(ready), Some(wanted)) => {
                format!(
                    "Zadig reports {:?}, {ready} of {wanted} pods are ready",
                    seen.status
                )
            }
            _ => format!("Zadig reports {:?}", seen.status),
        },
    ))
}

fn pods(seen: &ObservedService) -> (Option<i32>, Option<i32>) {
    match &seen.live {
        Some(live) if live.iter().any(|workload| workload.replicas.is_some()) => (
            Some(
                live.iter()
                    .filter(|w| w.replicas.is_some())
                    .map(|w| w.ready)
                    .sum(),
            ),
            Some(live.iter().filter_map(|workload| workload.replicas).sum()),
        ),
        _ => (None, None),
    }
}

/// Images of the held containers only: what is not declared moves with every deployment by others, and status must not.
fn running_images(service: &Service, seen: &ObservedService) -> Vec<String> {
    let held = service
        .containers
        .iter()
        .filter(|(_, image)| image.policy == FieldPolicy::Enforce)
        .map(|(container, _)| container);
    let images: BTreeSet<String> = held
        .flat_map(|container| {
            seen.live
                .iter()
                .flatten()
                .filter_map(|workload| workload.images.get(container).cloned())
        })
        .collect();
    images.into_iter().collect()
}
