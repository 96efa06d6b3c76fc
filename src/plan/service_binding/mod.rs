//! What is to be done about one service that is owned apart from its environment: [`Desired`] and [`Observed`] in, [`Plan`] of
//! [`Action`] out.
//!
//! The comparison of the service itself is that of an environment with this service alone
//! ([`diff`](super::environment::diff)). Here is decided whose service it is, and when it may be touched.

pub mod proposal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::environment::diff::diff;
use super::environment::lifetime::protected_inside;
use super::environment::{
    self as env, EnvStatus, Environment, Existence, ObservedService, Replicas, moving,
};
use super::home::{Home, busy, same_place, unsettled};
use super::{Blocked, Plan};
use crate::api::condition::Reason;
use crate::api::environment::{
    Creation, DeployType, FieldPolicy, Ownership, OwnershipState, Scope, WorkloadKind,
};
use crate::api::service_binding::{BindingDeletion, ScaleTarget};

/// How soon to look again at what somebody else has to do first; its change usually tells earlier.
const LATER: Duration = Duration::from_mins(1);
/// The same where it is being done.
const SOON: Duration = Duration::from_secs(1);
/// How long the environment has to take over what is remembered of a service, from the deletion of its binding on.
const TAKEN_BACK: Duration = Duration::from_secs(30);

/// What the object asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// A service like this.
    Present(Box<Binding>),
    /// No service: ours is being deleted.
    Absent {
        /// `spec.deletion`, or what the annotation says instead.
        policy: Option<BindingDeletion>,
        /// Its environment is protected against deletion ([`env::lifetime::is_protected`]).
        protected: bool,
        /// When that was asked for; none where the ZadigEnvironment goes too, and so can take nothing back.
        asked: Option<Timestamp>,
    },
}

impl Desired {
    /// The same for an environment with this service alone.
    #[must_use]
    pub fn as_environment(&self) -> env::Desired {
        match self {
            Self::Present(binding) => env::Desired::Present(binding.environment.clone()),
            Self::Absent { .. } => env::Desired::Absent {
                policy: None,
                declared: BTreeSet::new(),
                protected: false,
                expired: false,
            },
        }
    }
}

/// A service as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// An environment with this service alone, and nothing else declared.
    pub environment: Environment,
    /// The number of pods of the scaled workload.
    pub replicas: Option<i32>,
    /// The scaled workload, where it is named.
    pub scale_target: Option<ScaleTarget>,
}

/// Everything the decision depends on, the time included.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Name of the service.
    pub service: String,
    /// The environment that the service runs in.
    pub home: Home,
    /// Its ZadigEnvironment declares the service itself.
    pub inline: bool,
    /// It remembers what was sent to the service; so does whoever has nothing to remember.
    pub taken_back: bool,
    /// Its ZadigEnvironment added the service, and no longer declares it.
    pub handed_over: bool,
    /// An older object that claims the same service, as `namespace/name`.
    pub rival: Option<String>,
    /// What an environment with this service alone would be decided by; the record is that of the service.
    pub inner: env::Observed,
}

/// One call, with everything it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A call of those that environments know, or the record of whose service it is.
    Environment(env::Action),
    /// Write the present number of pods into `spec.replicas`, as an autoscaler cannot start without one.
    SeedReplicas(i32),
}

impl Action {
    /// The action in one line for status, events and logs.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Environment(env::Action::RecordOwnership(ownership)) => {
                format!("record the service as {:?}", ownership.state).to_lowercase()
            }
            Self::Environment(action) => action.summary(),
            Self::SeedReplicas(replicas) => format!("take over {replicas} replicas"),
        }
    }
}

/// What is to be done about one service.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let planned = match desired {
        Desired::Absent {
            policy,
            protected,
            asked,
        } => absent(*policy, *protected, *asked, observed),
        Desired::Present(binding) => present(binding, observed),
    };
    planned.held(observed.inner.connection_suspended, Action::summary)
}

/// The way out. What the environment declares itself by now is its own.
fn absent(
    policy: Option<BindingDeletion>,
    protected: bool,
    asked: Option<Timestamp>,
    observed: &Observed,
) -> Plan<Action> {
    let Some(record) = &observed.inner.record else {
        return Plan::InSync;
    };
    let deletes = match policy {
        Some(BindingDeletion::Delete) => true,
        Some(BindingDeletion::Orphan) => false,
        None => record.state != OwnershipState::Adopted,
    };
    let Home::Present(home) = &observed.home else {
        let waits = unsettled(record, &observed.home);
        return waits
            .filter(|_| deletes && !observed.inline)
            .unwrap_or(Plan::InSync);
    };
    let left = |grace| moving::left(asked?, grace, observed.inner.now);
    if observed.inline {
        return match left(TAKEN_BACK) {
            Some(_) if !observed.taken_back => Plan::wait(
                Reason::Deleting,
                "the ZadigEnvironment declares the service itself, and takes over first what is remembered of it",
                SOON,
            ),
            _ => Plan::InSync,
        };
    }
    if !deletes || !same_place(record, &home.identity) {
        return Plan::InSync;
    }
    let there = match &observed.inner.existence {
        Existence::Present(present) => present
            .detail
            .as_ref()
            .is_none_or(|detail| detail.services.contains_key(&observed.service)),
        Existence::Absent { .. } => false,
    };
    if there && protected && policy.is_none() {
        return protected_inside(&format!("service {}", observed.service));
    }
    if home.status.is_busy() && !home.is_stuck(observed.inner.now) {
        return busy(&home.status);
    }
    if !there {
        return Plan::InSync;
    }
    if let Some(left) = left(moving::GRACE) {
        return Plan::wait(
            Reason::Deleting,
            "the service is removed in a moment, unless the ZadigEnvironment declares it itself by then",
            left,
        );
    }
    let removed = env::subject::removed(&observed.service);
    if observed.inner.deletions.left == 0 && !observed.inner.memory.counted.contains(&removed) {
        return Plan::Wait(observed.inner.deletions.wait());
    }
    Plan::of(
        vec![Action::Environment(env::Action::RemoveServices {
            services: [observed.service.clone()].into(),
        })],
        Vec::new(),
    )
}

fn present(binding: &Binding, observed: &Observed) -> Plan<Action> {
    let name = &observed.service;
    if let Some(rival) = &observed.rival {
        return Plan::blocked(
            Reason::Conflict,
            format!(
                "spec.service.name: {rival} is older and owns service {name} of this environment; delete one of the two"
            ),
        );
    }
    if observed.inline {
        return Plan::blocked(
            Reason::Conflict,
            format!(
                "spec.service.name: the ZadigEnvironment declares service {name} itself; remove it from spec.services there, and it is taken over without a restart"
            ),
        );
    }
    let home = match &observed.home {
        Home::Missing { why, .. } | Home::Other { why, .. } => {
            return Plan::wait(Reason::EnvironmentNotReady, why, LATER);
        }
        Home::Present(home) => home,
    };
    if home.status == EnvStatus::Sleeping {
        return Plan::wait(
            Reason::Sleeping,
            "the environment sleeps; nothing is changed until somebody wakes it in Zadig",
            LATER,
        );
    }
    let detail = match &observed.inner.existence {
        Existence::Present(present) => present.detail.as_ref().map(|detail| (present, detail)),
        Existence::Absent { .. } => None,
    };
    let (false, Some((present, detail))) = (home.status.is_busy(), detail) else {
        return busy(&home.status);
    };
    let known = observed
        .inner
        .record
        .as_ref()
        .filter(|record| same_place(record, &home.identity));
    let seen = detail.services.get(name);
    if let Some(claim) = claim(binding, observed, &home.identity, known, seen.is_some()) {
        return claim;
    }
    if let Some(blocked) = scales_a_release(binding) {
        return Plan::Blocked(vec![blocked]);
    }
    let (declared, taken_over, refused) = match home.scope {
        Scope::Test => match with_replicas(binding, name, seen) {
            Ok((declared, taken_over)) => (declared, taken_over, None),
            Err(blocked) => return Plan::Blocked(vec![blocked]),
        },
        Scope::Production => (binding.environment.clone(), None, unscalable(binding)),
    };
    let claim = (known.is_none()).then(|| record(&home.identity, OwnershipState::Pending));
    let number = taken_over.map(Action::SeedReplicas);
    match diff(&declared, &observed.inner, present, detail).plan() {
        Plan::InSync => Plan::of(number.into_iter().collect(), refused.into_iter().collect()),
        Plan::Act(act) => {
            let calls = act.actions.into_iter().map(Action::Environment);
            let actions = claim.into_iter().chain(calls).chain(number);
            Plan::of(actions.collect(), in_own_words(name, act.blocked, refused))
        }
        Plan::Wait(wait) => Plan::Wait(wait),
        Plan::Blocked(blocked) => Plan::Blocked(in_own_words(name, blocked, refused)),
    }
}

/// What an environment would say of its own field, said of ours, and what it has no field for.
fn in_own_words(name: &str, blocked: Vec<Blocked>, refused: Option<Blocked>) -> Vec<Blocked> {
    let service = format!("spec.services[{name}]");
    let base = "spec.subEnvironmentOf.name";
    blocked
        .into_iter()
        .map(|blocked| Blocked {
            message: blocked
                .message
                .replacen(&service, "spec.service", 1)
                .replacen(base, "subEnvironmentOf.name of the ZadigEnvironment", 1),
            ..blocked
        })
        .chain(refused)
        .collect()
}

/// The number of pods, which nothing sets in production (Z§9, 11).
fn unscalable(binding: &Binding) -> Option<Blocked> {
    (binding.replicas.is_some() || binding.scale_target.is_some()).then(|| {
        Blocked::new(
            Reason::InvalidSpec,
            "spec.replicas, spec.scaleTarget: Zadig has no call that scales a production service; make the number a variable of its production template, or set it there, and remove the fields",
        )
    })
}

fn record(identity: &Ownership, state: OwnershipState) -> Action {
    Action::Environment(env::Action::RecordOwnership(identity.in_state(state)))
}

/// What has to be settled about ownership before anything is compared; `None` when nothing has.
fn claim(
    binding: &Binding,
    observed: &Observed,
    identity: &Ownership,
    known: Option<&Ownership>,
    there: bool,
) -> Option<Plan<Action>> {
    let name = &observed.service;
    let creation = binding.environment.creation;
    let become_ = |state| Some(Plan::of(vec![record(identity, state)], Vec::new()));
    match (known, there) {
        (None, true) if observed.handed_over => become_(OwnershipState::Created),
        (None, true) if creation == Creation::Create => Some(Plan::blocked(
            Reason::ServiceExists,
            format!(
                "service {name} is in the environment and was not added by this object; to take it over: kubectl patch zadigservicebinding <name> --type merge -p '{{\"spec\":{{\"creation\":\"CreateOrAdopt\"}}}}'"
            ),
        )),
        (None, true) => become_(OwnershipState::Adopted),
        (None, false) if creation == Creation::Adopt => Some(Plan::wait(
            Reason::ServiceNotFound,
            format!(
                "spec.creation: Adopt, but the environment has no service {name}; set creation: CreateOrAdopt"
            ),
            LATER,
        )),
        // The answer of the call that added it was lost: here is its effect.
        (Some(known), true) if known.state == OwnershipState::Pending => {
            become_(OwnershipState::Created)
        }
        (Some(known), _) if known.zadig != identity.zadig => become_(known.state),
        (None, false) | (Some(_), _) => None,
    }
}

/// The number of pods of a release is its values' business: the next upgrade would undo any other (Z§4.15).
fn scales_a_release(binding: &Binding) -> Option<Blocked> {
    let fields = [
        ("spec.replicas", binding.replicas.is_some()),
        ("spec.scaleTarget", binding.scale_target.is_some()),
    ];
    let (field, _) = fields.into_iter().find(|(_, is_set)| *is_set)?;
    (binding.environment.deploy_type == DeployType::Helm).then(|| {
        Blocked::new(
            Reason::InvalidSpec,
            format!(
                "{field}: the environment deploys by Helm, and the next upgrade of the release would undo it; use spec.service.helm.values"
            ),
        )
    })
}

/// The declared environment with the number of pods in it, and the number to take over where none is declared.
fn with_replicas(
    binding: &Binding,
    name: &str,
    seen: Option<&ObservedService>,
) -> Result<(Environment, Option<i32>), Blocked> {
    let mut declared = binding.environment.clone();
    let target = match (&binding.scale_target, seen) {
        (Some(target), _) => Some((target.kind, target.name.clone())),
        (None, Some(seen)) if binding.replicas.is_some() => Some(only_workload(seen)?),
        (None, _) => None,
    };
    let Some(target) = target else {
        return Ok((declared, None));
    };
    let Some(replicas) = binding.replicas else {
        let live = seen.and_then(|seen| scaled(seen, &target));
        return Ok((declared, live));
    };
    if let Some(service) = declared.services.get_mut(name) {
        let replicas = Replicas {
            replicas,
            policy: FieldPolicy::Enforce,
        };
        if service.workloads.insert(target, replicas).is_some() {
            return Err(Blocked::new(
                Reason::InvalidSpec,
                "spec.replicas: spec.service.workloads declares the replicas of the same workload; remove one of the two",
            ));
        }
    }
    Ok((declared, None))
}

/// The number of pods that a workload asks for.
#[must_use]
pub fn scaled(seen: &ObservedService, target: &(WorkloadKind, String)) -> Option<i32> {
    let (kind, name) = target;
    let kind = format!("{kind:?}");
    let mut live = seen.live.iter().flatten();
    live.find(|workload| workload.kind == kind && &workload.name == name)?
        .replicas
}

/// The workload that `replicas` is for when none is named.
///
/// # Errors
/// When the service has none that can be scaled, or several.
pub fn only_workload(seen: &ObservedService) -> Result<(WorkloadKind, String), Blocked> {
    let scalable = |kind: &str| match kind {
        "Deployment" => Some(WorkloadKind::Deployment),
        "StatefulSet" => Some(WorkloadKind::StatefulSet),
        _ => None,
    };
    let mut found: Vec<(WorkloadKind, String)> = seen
        .live
        .iter()
        .flatten()
        .filter_map(|workload| Some((scalable(&workload.kind)?, workload.name.clone())))
        .collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(Blocked::new(
            Reason::WorkloadNotFound,
            "spec.replicas: the service has no Deployment or StatefulSet to scale",
        )),
        (Some(last), _) => Err(Blocked::new(
            Reason::InvalidSpec,
            format!(
                "spec.replicas: the service has several workloads; name one under spec.scaleTarget: {}",
                env::join(
                    found
                        .iter()
                        .chain([&last])
                        .map(|(kind, name)| format!("{kind:?}/{name}"))
                )
            ),
        )),
    }
}
