//! What users see of the services: ready or not, why, and what the cluster has lost.
//!
//! Health is always computed per service: the environment's own word hides a broken service after a later update of a good
//! one, and `success` is no proof that a patch was taken (Z§14.23).

use std::collections::BTreeSet;
use std::time::Duration;

use super::diagnosis;
use super::memory::Memory;
use super::rollout::{self, Progress};
use super::{Detail, Environment, ObservedService, Service, helm, live};
use crate::api::condition::Reason;
use crate::api::environment::{FieldPolicy, LiveDrift, Rollout, ServiceStatus};

/// How long pods may take after a change before their service counts as broken. Zadig's own start time-out is 300 s.
pub const PROGRESS_DEADLINE: Duration = Duration::from_mins(5);
/// How long a workload may take after a change until its first new pod is made. Kubernetes makes it at once; that it becomes
/// ready takes longer.
pub const APPLY_DEADLINE: Duration = Duration::from_secs(15);
/// How far Zadig's live look may be behind the cluster (Z§4.3: it reads an informer's cache).
pub const LIVE_LAG: Duration = Duration::from_secs(5);
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
    /// Pods are not ready, and Zadig has given up waiting for them.
    NeverReady,
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
            Self::NotReady | Self::NeverReady => Reason::NotReady,
            Self::LiveDrift => Reason::LiveDrift,
            Self::NotApplied => Reason::NotApplied,
        }
    }
}

/// What is told of the services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outlook {
    /// They are healthy.
    Ready,
    /// They are becoming so after a change of ours.
    Progressing,
    /// Somebody else rolls something out, most likely: what was told before stands a little longer.
    Believed,
    /// They are not healthy.
    Unhealthy,
}

/// Judges the worst trouble by the time since our last change and since it was first seen.
#[must_use]
pub fn judge(
    trouble: Option<Trouble>,
    since_change: Duration,
    seen_for: Duration,
    was_ready: bool,
) -> Outlook {
    let patience = match trouble {
        None => return Outlook::Ready,
        Some(Trouble::NotReady) => PROGRESS_DEADLINE,
        Some(Trouble::NeverReady) => Duration::ZERO,
        Some(Trouble::NotApplied) => APPLY_DEADLINE,
        Some(Trouble::LiveDrift) => LIVE_LAG,
    };
    if since_change < patience {
        Outlook::Progressing
    } else if was_ready && seen_for < GRACE {
        Outlook::Believed
    } else {
        Outlook::Unhealthy
    }
}

/// The health of the declared services that are in the environment.
#[must_use]
pub fn health(desired: &Environment, detail: &Detail, memory: &Memory) -> Health {
    let mut health = Health::default();
    let mut troubles: Vec<(Trouble, String)> = Vec::new();
    for (name, service) in &desired.services {
        let Some(seen) = detail.services.get(name) else {
            continue;
        };
        let rollouts = memory.applied.get(name).map(|entry| &entry.rollouts);
        let lost = match desired.live_drift {
            LiveDrift::Report => {
                Some("Zadig does not bring it back by itself. Set spec.liveDrift: Repair, remove the service from the spec and add it again, or repair the template".to_owned())
            }
            LiveDrift::Repair => live::restore(name, service, seen, detail)
                .err()
                .map(|why| format!("spec.liveDrift: Repair does not bring it back, as {why}")),
        };
        let trouble = trouble(seen, rollouts.map_or(&[], Vec::as_slice), lost.as_deref());
        let trouble = trouble.map(|(kind, message)| match kind {
            Trouble::NotReady if detail.creation_failed => (
                Trouble::NeverReady,
                format!("{message}; Zadig has given up waiting for them, its creation failed"),
            ),
            _ => (kind, message),
        });
        let diagnosis = trouble
            .as_ref()
            .and_then(|_| diagnosis::known(name, seen, memory));
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
            diagnosis: diagnosis.cloned(),
        });
        if let Some((kind, message)) = trouble {
            let found = diagnosis.map(|found| format!("; {}", found.sentence()));
            let found = found.unwrap_or_default();
            troubles.push((kind, format!("{name}: {message}{found}")));
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

fn trouble(
    seen: &ObservedService,
    rollouts: &[Rollout],
    lost: Option<&str>,
) -> Option<(Trouble, String)> {
    if let Some(seen) = &seen.helm {
        return helm::trouble(seen).map(|message| (Trouble::LiveDrift, message));
    }
    let missing = live::missing(seen);
    if !missing.is_empty() {
        return Some((
            Trouble::LiveDrift,
            format!(
                "{} missing in the cluster: deleted, or never accepted by it; {}",
                super::join(&missing),
                lost.unwrap_or("spec.liveDrift: Repair brings it back")
            ),
        ));
    }
    let at = |wanted: Progress| {
        let here = rollouts
            .iter()
            .filter(move |rollout| rollout::progress(rollout, seen.live.as_ref()) == wanted);
        here.map(|rollout| format!("{}/{}", rollout.kind, rollout.name))
            .collect::<Vec<_>>()
    };
    let not_begun = at(Progress::NotBegun);
    if !not_begun.is_empty() {
        return Some((
            Trouble::NotApplied,
            format!(
                "{} got no new pod by our last change of variables although Zadig reports success: the cluster did not take it. Zadig keeps the reason to itself; sending the same again does not help. Change the value to one that the cluster takes, or remove the service from the spec and add it again",
                super::join(not_begun)
            ),
        ));
    }
    let (ready, wanted) = pods(seen);
    if is_healthy_word(&seen.status) {
        let rolling: Vec<String> = [at(Progress::Partial), at(Progress::Unseen)].concat();
        return (!rolling.is_empty()).then(|| {
            (
                Trouble::NotReady,
                format!(
                    "{} still has pods from before our last change of variables",
                    super::join(rolling)
                ),
            )
        });
    }
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
