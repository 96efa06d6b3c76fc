//! Base environments, sub-environments and their portals (Z§4.19, Z§11).
//!
//! No route shows whether an environment is shared, of which base it is, or its portals (Z§6.1). What is known is how its
//! namespace looks (#47), which objects say what they are, and what is remembered. A second enabling kills pods (Z§14.13), the
//! end of a sharing deletes every sub-environment, also those that nobody declared: so the first is sent only where #47 shows
//! that it is needed, the second only with an explicit word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::decide::elapsed;
use super::diff::Diff;
use super::health::PROGRESS_DEADLINE;
use super::{Action, Detail, Environment, Observed, join};
use crate::api::RECONCILE_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{Portal, PortalServer, Sharing, SharingState, SubEnvironmentOf};
use crate::plan::{Blocked, Plan, Wait};

/// The subject of both calls that change the sharing.
pub(super) const SHARING: &str = "sharing";
/// The subject under which enablings are counted that stopped half-way: each one replaces pods.
const HALF_WAY: &str = "sharing, half-way";
/// How often a base is asked for that is not ready yet; its own object wakes whoever waits for it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What is declared of an environment's part in sharing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Whether it is to be a base; `None`: left alone.
    pub sharing: Option<Sharing>,
    /// The ZadigEnvironment on top of which it is made.
    pub base: Option<String>,
    /// Servers of portals by service.
    pub portals: BTreeMap<String, Vec<PortalServer>>,
}

impl Declared {
    /// What a spec says.
    #[must_use]
    pub fn of(sharing: Option<Sharing>, sub: Option<&SubEnvironmentOf>) -> Self {
        Self {
            sharing,
            base: sub.map(|sub| sub.name.clone()),
            portals: sub.map_or_else(BTreeMap::new, |sub| by_service(&sub.portals)),
        }
    }
}

/// The servers of portals by service.
#[must_use]
pub fn by_service(portals: &[Portal]) -> BTreeMap<String, Vec<PortalServer>> {
    portals
        .iter()
        .map(|portal| (portal.service.clone(), portal.servers.clone()))
        .collect()
}

/// How the namespace of an environment looks (#47).
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a check of its own on the wire"
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checks {
    /// Pods get a proxy.
    pub labelled: bool,
    /// Every Service has its routes.
    pub routed: bool,
    /// Every pod has a proxy.
    pub proxied: bool,
    /// Every pod runs.
    pub running: bool,
}

impl Checks {
    /// Whether sharing is enabled, as far as its namespace tells. That of a sub-environment looks the same.
    #[must_use]
    pub fn look_shared(self) -> bool {
        self.labelled && self.routed
    }

    /// Whether nothing is left to come (Z§4.19).
    #[must_use]
    pub fn are_ready(self) -> bool {
        self.look_shared() && self.proxied && self.running
    }

    fn missing(self) -> String {
        let parts = [
            (self.labelled, "the label istio-injection of its namespace"),
            (self.routed, "VirtualServices of its Services"),
            (self.proxied, "pods that have Istio's proxy"),
            (self.running, "pods that run"),
        ];
        join(parts.iter().filter(|part| !part.0).map(|part| part.1))
    }
}

/// What is known of those around an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// What the object declares, also while it is being deleted.
    pub sharing: Option<Sharing>,
    /// The object declares a base.
    pub is_sub: bool,
    /// `deletionProtection: false` is written: whatever hangs on the environment may go with it.
    pub unprotected: bool,
    /// The declared base.
    pub base: Option<Base>,
    /// Objects that are made on top of this one, by name, with the services that each holds.
    pub subs: BTreeMap<String, BTreeSet<String>>,
    /// Whether the cluster has Istio; asked where sharing is to be enabled.
    pub istio: Option<bool>,
    /// Workloads without a Kubernetes Service (#44); asked where sharing is to be enabled.
    pub without_service: BTreeSet<String>,
    /// The enterprise licence is known to be refused.
    pub licence_refused: bool,
    /// Portals of other objects in the same cluster.
    pub portals: Vec<OtherPortal>,
}

/// The environment that another one is made on top of.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// It can become one; why it is none yet.
    NotReady(String),
    /// It never can.
    Unfit(String),
    /// It is one.
    Ready {
        /// Its key.
        env: String,
        /// Zadig's id of its cluster.
        cluster_id: String,
        /// Its services.
        services: BTreeSet<String>,
    },
}

/// A portal of another object.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherPortal {
    /// The object, as `namespace/name`.
    pub owner: String,
    /// The service.
    pub service: String,
    /// It needs a port of its own at the gateway.
    pub own_port: bool,
    /// It is set; otherwise declared only.
    pub set: bool,
    /// Its object is older than this one.
    pub older: bool,
}

/// What is remembered, as Zadig does not show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// How far the sharing has come.
    pub state: Option<SharingState>,
    /// When the last call that changes it was sent.
    pub since: Option<Timestamp>,
    /// The portals that this object set.
    pub portals: BTreeMap<String, Vec<PortalServer>>,
}

impl Remembered {
    /// What holds whatever becomes of `action`.
    pub(super) fn sending(&mut self, action: &Action, now: Timestamp) {
        let state = match action {
            Action::EnableSharing => SharingState::Enabling,
            Action::DisableSharing => SharingState::Disabling,
            _ => return,
        };
        (self.state, self.since) = (Some(state), Some(now));
    }

    /// What holds after `action` was answered well.
    pub(super) fn sent(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::EnableSharing => {
                (self.state, self.since) = (Some(SharingState::Restarting), Some(now));
            }
            Action::DisableSharing => {
                (self.state, self.since) = (Some(SharingState::Disabled), Some(now));
            }
            Action::SetPortal { service, servers } if servers.is_empty() => {
                self.portals.remove(service);
            }
            Action::SetPortal { service, servers } => {
                self.portals.insert(service.clone(), servers.clone());
            }
            _ => {}
        }
    }

    /// Takes a look into memory at which nothing was left to send. A call that was `refused` stays to be answered well.
    pub(super) fn seen(
        &mut self,
        declared: &Declared,
        checks: Option<Checks>,
        lost: bool,
        refused: bool,
    ) {
        match (declared.sharing, checks) {
            (None, _) => (self.state, self.since) = (None, None),
            (Some(Sharing::Enabled), Some(checks)) if checks.look_shared() && !refused => {
                let settles = matches!(
                    self.state,
                    Some(SharingState::Enabling | SharingState::Restarting)
                );
                if !settles || checks.are_ready() {
                    self.state = Some(SharingState::Enabled);
                }
            }
            (Some(Sharing::Disabled), Some(checks)) if !self.has_to_be_disabled(checks) => {
                self.state = Some(SharingState::Disabled);
            }
            _ => {}
        }
        if declared.base.is_none() {
            self.portals.clear();
        } else if lost {
            // A lost memory is not a change.
            self.portals.clone_from(&declared.portals);
        }
    }

    fn has_to_be_disabled(&self, checks: Checks) -> bool {
        // Half-way, as its last step is one that no check shows.
        checks.look_shared() || self.state == Some(SharingState::Disabling)
    }

    /// Whether the environment was made a base, as far as this object knows.
    fn was_base(&self) -> bool {
        matches!(
            self.state,
            Some(
                SharingState::Enabling
                    | SharingState::Restarting
                    | SharingState::Enabled
                    | SharingState::Disabling
            )
        )
    }
}

/// The key of the base that a new environment is made on top of; what of it cannot be is noted.
///
/// # Errors
/// The plan while there is no such base. Zadig would take the call and end in `failed` (Z§11).
pub(super) fn base(
    desired: &Environment,
    observed: &Observed,
    cluster_id: &str,
    blocked: &mut Vec<Blocked>,
) -> Result<Option<String>, Plan<Action>> {
    let Some(name) = &desired.sharing.base else {
        return Ok(None);
    };
    match &observed.around.base {
        Some(Base::Ready {
            env,
            cluster_id: its_cluster,
            services,
        }) => {
            if its_cluster != cluster_id {
                blocked.push(Blocked::new(
                    Reason::InvalidSpec,
                    format!(
                        "spec.cluster: the base {name} lives in cluster {its_cluster}, this environment is to live in {cluster_id}; a sub-environment shares the cluster of its base"
                    ),
                ));
            }
            for service in desired.services.keys() {
                if !services.contains(service) {
                    blocked.push(not_in_base(service, name, services));
                }
            }
            Ok(Some(env.clone()))
        }
        Some(Base::Unfit(why)) => Err(Plan::blocked(
            Reason::InvalidSpec,
            format!("spec.subEnvironmentOf.name: {why}"),
        )),
        Some(Base::NotReady(why)) => Err(not_ready(why)),
        None => Err(not_ready("it was not looked at yet")),
    }
}

fn not_ready(why: &str) -> Plan<Action> {
    Plan::wait(
        Reason::BaseNotReady,
        format!("spec.subEnvironmentOf.name: waiting for the base: {why}"),
        ASK_AGAIN,
    )
}

fn not_in_base(service: &str, base: &str, known: &BTreeSet<String>) -> Blocked {
    Blocked::new(
        Reason::ServiceNotFound,
        format!(
            "spec.services[{service}]: the base {base} does not run it, and Zadig applies nothing in a sub-environment that its base does not have; add it there first. The base runs: {}",
            join(known)
        ),
    )
}

/// Compares an environment's part in sharing, and takes back what its part forbids.
pub(super) fn diff(diff: &mut Diff, desired: &Environment, observed: &Observed, detail: &Detail) {
    only_what_the_base_runs(diff, desired, observed);
    match (desired.sharing.sharing, detail.sharing) {
        (Some(Sharing::Enabled), Some(checks)) => enable(diff, observed, checks),
        (Some(Sharing::Disabled), Some(checks)) => disable(diff, observed, checks),
        _ => {}
    }
    if observed.memory.known && desired.sharing.base.is_some() {
        portals(diff, desired, observed, detail);
    }
}

/// A sub-environment changes only services that its base runs: the others Zadig records and does not apply (Z§11).
fn only_what_the_base_runs(diff: &mut Diff, desired: &Environment, observed: &Observed) {
    let Some(base) = &desired.sharing.base else {
        return;
    };
    let known = match &observed.around.base {
        Some(Base::Ready { services, .. }) => Ok(services),
        Some(Base::NotReady(why) | Base::Unfit(why)) => Err(why.as_str()),
        None => Err("it was not looked at yet"),
    };
    let mut held = BTreeSet::new();
    diff.actions.retain_mut(|action| {
        let (services, upgrades) = match action {
            Action::UpdateServices {
                services, upgrades, ..
            } => (services, Some(upgrades)),
            Action::AddServices { services, .. } => (services, None),
            _ => return true,
        };
        services.retain(|name, _| {
            let runs = known.is_ok_and(|known| known.contains(name));
            if !runs {
                held.insert(name.clone());
            }
            runs
        });
        if let Some(upgrades) = upgrades {
            upgrades.retain(|name, _| services.contains_key(name));
        }
        !services.is_empty()
    });
    if held.is_empty() {
        return;
    }
    match known {
        Ok(known) => diff
            .blocked
            .extend(held.iter().map(|name| not_in_base(name, base, known))),
        Err(why) => diff.blocked.push(Blocked::new(
            Reason::BaseNotReady,
            format!(
                "spec.subEnvironmentOf.name: {why}; until then it is not known whether the base runs {}",
                join(&held)
            ),
        )),
    }
}

fn enable(diff: &mut Diff, observed: &Observed, checks: Checks) {
    let (memory, around) = (&observed.memory, &observed.around);
    let remembered = &memory.sharing;
    let refused = memory.refusal(&Action::EnableSharing).is_some();
    if checks.look_shared() && !refused {
        let settles = match remembered.state {
            Some(SharingState::Enabling | SharingState::Restarting) => !checks.are_ready(),
            _ => false,
        };
        if settles {
            settling(diff, observed, checks);
        }
        return;
    }
    if around.licence_refused {
        diff.blocked.push(licence("spec.sharing", "sharing"));
        return;
    }
    if around.istio == Some(false) {
        diff.blocked.push(Blocked::new(
            Reason::IstioMissing,
            "spec.sharing: the cluster of this environment has no Istio (istiod); install it, or remove the field",
        ));
        return;
    }
    if !around.without_service.is_empty() {
        diff.blocked.push(Blocked::new(
            Reason::WorkloadWithoutService,
            format!(
                "spec.sharing: {} have no Kubernetes Service, so no request could be led to them; add one to the template of each",
                join(&around.without_service)
            ),
        ));
        return;
    }
    if refused && checks.labelled && memory.exhausted(HALF_WAY) {
        diff.blocked.push(Blocked::new(
            Reason::DriftDoesNotConverge,
            format!(
                "spec.sharing: Zadig stopped half-way {} times, and each attempt replaces the pods that have no proxy; missing: {}. Find out what refuses it in the cluster, then set the annotation {RECONCILE_ANNOTATION}",
                crate::plan::repairs::REPAIRS,
                checks.missing()
            ),
        ));
        return;
    }
    diff.actions.push(Action::EnableSharing);
}

/// Enabled, and not all of it is to be seen yet.
fn settling(diff: &mut Diff, observed: &Observed, checks: Checks) {
    let age = observed
        .memory
        .sharing
        .since
        .map_or(PROGRESS_DEADLINE, |since| elapsed(since, observed.now));
    if age < PROGRESS_DEADLINE {
        diff.waiting = Some(Wait {
            reason: Reason::Progressing,
            message: format!("sharing is enabled; waiting for {}", checks.missing()),
            after: (age / 4).clamp(Duration::from_secs(1), Duration::from_secs(20)),
        });
        return;
    }
    diff.blocked.push(Blocked::new(
        Reason::SharingNotReady,
        format!(
            "spec.sharing: enabled {} minutes ago and still without {}; look at the pods of the namespace: those that opt out of Istio's injection never get a proxy",
            age.as_secs() / 60,
            checks.missing()
        ),
    ));
}

fn disable(diff: &mut Diff, observed: &Observed, checks: Checks) {
    let around = &observed.around;
    if !observed.memory.sharing.has_to_be_disabled(checks) {
        return;
    }
    if !around.unprotected {
        diff.blocked.push(Blocked::new(
            Reason::DeletionProtected,
            format!(
                "spec.sharing: Disabled {TAKES_SUBS}; to allow it, write deletionProtection: false as well"
            ),
        ));
    } else if let Some(wait) = subs_first(observed) {
        diff.waiting = Some(wait);
    } else if around.licence_refused {
        diff.blocked
            .push(licence("spec.sharing", "the end of sharing"));
    } else if observed.deletions.left == 0 && !observed.memory.counted.contains(SHARING) {
        // Whoever unshares many bases by one change is stopped like one who deletes many environments.
        let wait = observed.deletions.wait_with("disabling sharing");
        diff.waiting.get_or_insert(wait);
    } else {
        diff.actions.push(Action::DisableSharing);
    }
}

const TAKES_SUBS: &str =
    "deletes all sub-environments with their namespaces, also those that Zadig does not show";

fn licence(field: &str, what: &str) -> Blocked {
    Blocked::new(
        Reason::LicenceRequired,
        format!(
            "{field}: {what} needs Zadig's enterprise licence (Zadig refused with code 7050); get it and set the annotation {RECONCILE_ANNOTATION}, or remove the field"
        ),
    )
}

/// Objects on top of this one go before it.
fn subs_first(observed: &Observed) -> Option<Wait> {
    let subs = &observed.around.subs;
    (!subs.is_empty()).then(|| Wait {
        reason: Reason::HasSubEnvironments,
        message: format!(
            "waiting until the sub-environments are deleted: {}",
            join(subs.keys())
        ),
        after: Duration::from_mins(1),
    })
}

/// The sub-environments that hold a service, so that Zadig does not remove it from their base (400/6094).
pub(super) fn holders<'a>(observed: &'a Observed, service: &str) -> Vec<&'a String> {
    let subs = observed.around.subs.iter();
    subs.filter(|(_, services)| services.contains(service))
        .map(|(name, _)| name)
        .collect()
}

fn portals(diff: &mut Diff, desired: &Environment, observed: &Observed, detail: &Detail) {
    let (declared, set) = (&desired.sharing.portals, &observed.memory.sharing.portals);
    let mut actions = Vec::new();
    for (service, servers) in declared {
        if set.get(service) == Some(servers) {
            continue;
        }
        let field = format!("spec.subEnvironmentOf.portals[{service}]");
        if !detail.services.contains_key(service) {
            // One that is declared is on its way.
            if !desired.services.contains_key(service) {
                diff.blocked.push(Blocked::new(
                    Reason::ServiceNotFound,
                    format!(
                        "{field}: this environment does not run such a service; it runs: {}",
                        join(detail.services.keys())
                    ),
                ));
            }
        } else if observed.around.licence_refused {
            diff.blocked.push(licence(&field, "a portal"));
        } else if let Some(other) = in_the_way(servers, observed) {
            diff.blocked.push(Blocked::new(
                Reason::PortalConflict,
                format!(
                    "{field}: Zadig keeps ports other than 80 and 443 of one service of the whole cluster at a time, and {} has a portal of {}; use the ports 80 and 443, or remove one of the two",
                    other.owner, other.service
                ),
            ));
        } else {
            actions.push(Action::SetPortal {
                service: service.clone(),
                servers: servers.clone(),
            });
        }
    }
    diff.actions.extend(actions);
    let removals = set
        .keys()
        .filter(|service| !declared.contains_key(*service))
        .map(|service| remove_portal(service));
    if observed.around.licence_refused {
        diff.blocked.extend(
            removals.map(|action| licence(&format!("spec.{}", action.subject()), "its removal")),
        );
    } else {
        // Before the service itself may go: Zadig looks for it.
        diff.actions.splice(0..0, removals);
    }
}

fn remove_portal(service: &str) -> Action {
    Action::SetPortal {
        service: service.to_owned(),
        servers: Vec::new(),
    }
}

/// The portal that would lose its ports, or would take those that are about to be set (Z§14.14).
fn in_the_way<'a>(servers: &[PortalServer], observed: &'a Observed) -> Option<&'a OtherPortal> {
    let own_port = servers.iter().any(|server| !server.has_standard_port());
    observed.around.portals.iter().find(|other| {
        if own_port {
            !other.own_port || other.set || other.older
        } else {
            other.own_port && other.set
        }
    })
}

/// Whether an environment that is being deleted is a base, as far as can be told.
pub(super) fn is_base(observed: &Observed) -> bool {
    let around = &observed.around;
    let looks_shared = observed
        .detail()
        .and_then(|detail| detail.sharing)
        .is_some_and(Checks::look_shared);
    around.sharing == Some(Sharing::Enabled)
        || observed.memory.sharing.was_base()
        || (looks_shared && !around.is_sub)
}

/// What holds up the deletion of an environment with all that hangs on it.
pub(super) fn holds_deletion(observed: &Observed) -> Option<Plan<Action>> {
    if is_base(observed) && !observed.around.unprotected {
        return Some(Plan::blocked(
            Reason::DeletionProtected,
            format!(
                "the environment is a base, and deleting it {TAKES_SUBS}; to allow it: kubectl patch zadigenvironment <name> --type merge -p '{{\"spec\":{{\"deletionProtection\":false}}}}', or release the object with the annotation {}=Orphan",
                crate::api::DELETION_ANNOTATION
            ),
        ));
    }
    subs_first(observed).map(Plan::Wait)
}

/// What goes before the services of an environment that is deleted: ports at the gateway are not in its namespace. A removal
/// that was refused holds nothing up.
pub(super) fn before_deletion(observed: &Observed) -> Vec<Action> {
    if observed.around.licence_refused {
        return Vec::new();
    }
    let portals = observed.memory.sharing.portals.keys();
    portals
        .map(|service| remove_portal(service))
        .filter(|removal| observed.memory.refusal(removal).is_none())
        .collect()
}

/// The subject under which a refused call counts, where attempts are limited.
pub(super) fn counted_refusal(action: &Action) -> Option<&'static str> {
    (*action == Action::EnableSharing).then_some(HALF_WAY)
}
