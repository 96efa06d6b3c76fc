//! What has to be remembered because Zadig never shows it again: ownership of services, and what was last sent.
//!
//! It lives in the object's status. A lost memory is not a change (design §3): what is missing is recorded, not sent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::decide::elapsed;
use super::health::LIVE_LAG;
use super::rollout::{self, Before, Progress};
use super::{Action, Bound, Detail, Environment, ObservedService, sharing, variables};
use crate::api::environment::{
    AppliedService, DeployType, Diagnosis, FieldPolicy, Ownership, OwnershipState, ROLLOUTS_MAX,
    Rollout,
};
use crate::plan::budget::ENVIRONMENT;
use crate::plan::repairs::Repairs;

/// When a Helm release that could not be deployed is sent again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Retry {
    /// When something else is declared.
    #[default]
    WhenChanged,
    /// At the next look: a person changed something, or asked for it, and no release was sent since.
    Now,
}

/// The remembered part of an object's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Services that this object added.
    pub services: BTreeSet<String>,
    /// By service: since when one that is there is declared by nobody. Kept in the process only.
    pub undeclared: BTreeMap<String, Timestamp>,
    /// When the environment was created anew after something else had deleted it.
    pub recreated_at: Option<Timestamp>,
    /// The end of its `ttl` that was told to be over.
    pub expired: Option<Timestamp>,
    /// By service: what was last sent. While `known`, a service without an entry is one that was not declared so far; while
    /// not, these are what a create call of unknown fate carried.
    pub applied: BTreeMap<String, AppliedService>,
    /// Its part in sharing.
    pub sharing: sharing::Remembered,
    /// The status that holds all this was found; without it everything above is lost, not empty. Nothing may be stored that
    /// makes this true at the next start while it is not.
    pub known: bool,
    /// By service: what it was like before a call that may still be rolling out. Kept in the process only.
    pub before: BTreeMap<String, Before>,
    /// By wish: when an image or a scale call was answered well. Kept in the process only.
    pub asked: BTreeMap<String, Timestamp>,
    /// By subject: how often the same difference was repaired. Kept in the process only.
    pub repairs: Repairs,
    /// By subject: calls that were refused and not answered well since, in the order of their refusal. Kept in the process
    /// only.
    pub refused: BTreeMap<String, u64>,
    /// By service: what was found out about its ill health.
    pub diagnoses: BTreeMap<String, Diagnosis>,
    /// Subjects of deletions that were counted towards the connection's budget and not answered well since. Kept in the process
    /// only.
    pub counted: BTreeSet<String>,
    /// When the environment's delete call was answered. Kept in the process only.
    pub delete_sent: Option<Timestamp>,
    /// `update_time` at the last thorough look. Kept in the process only.
    pub seen_update_time: Option<i64>,
    /// When a release that failed is sent again. Kept in the process only.
    pub retry: Retry,
    /// An environment of this object disappeared, and no other was made since. Kept in the process only.
    pub vanished: bool,
    /// The environment was Ready less than a day before it disappeared.
    pub was_ready_lately: bool,
}

impl Memory {
    /// The memory before `action` is sent: what holds whatever becomes of it.
    ///
    /// An environment that is found after a create call of unknown fate holds what the call carried, not what is declared by
    /// then. And what a service's variables are after an update of unknown fate cannot be told.
    ///
    /// `detail` is the look that the action was planned on: whether a change of variables reaches the pods is judged by it.
    pub fn sending(
        &mut self,
        action: &Action,
        desired: Option<&Environment>,
        detail: Option<&Detail>,
        now: Timestamp,
    ) {
        for name in action.rewrites() {
            let seen = detail.and_then(|detail| detail.services.get(name));
            if let Some(seen) = seen {
                // A call that is sent again after a lost answer is judged by what was there before the first.
                let before = self.before.entry(name.clone());
                before.or_insert_with(|| Before::of(seen, now));
            }
        }
        self.unsettle(action, desired);
        self.sharing.sending(action, now);
    }

    /// What is no longer known once `action` is on its way.
    fn unsettle(&mut self, action: &Action, desired: Option<&Environment>) {
        match action {
            Action::CreateEnvironment(create) => {
                self.carried(create.services.keys(), &create.templates, desired);
            }
            Action::UpdateServices { services, .. } => {
                for name in services.keys() {
                    if let Some(entry) = self.applied.get_mut(name) {
                        entry.variables = None;
                    }
                    self.renders_anew(name);
                }
            }
            Action::PutGlobalVariables { .. } => {
                for service in action.rewrites() {
                    self.renders_anew(service);
                }
            }
            Action::DeployReleases { services } => {
                for (name, deployment) in services {
                    let helm = desired.and_then(|d| d.services.get(name)?.helm.as_ref());
                    let digest = helm.map(|helm| helm.digest.clone());
                    if deployment.is_new {
                        // If it is there at the next look, it came from this call and holds nothing else.
                        self.services.insert(name.clone());
                        self.entry(name).helm = digest;
                    } else if let (Some(entry), Some(digest)) = (self.applied.get_mut(name), digest)
                    {
                        let sent = entry.helm.as_ref();
                        entry.helm_in_doubt |= sent.is_some_and(|sent| sent != &digest);
                    }
                }
            }
            // Where the number comes from a variable, Zadig rewrites the variable (Z§4.15).
            Action::ScaleWorkload { service, .. } => self.renders_anew(service),
            Action::RecordOwnership(_)
            | Action::NoteRestore { .. }
            | Action::TakeOut { .. }
            | Action::SetRegistry { .. }
            | Action::SetAlias { .. }
            | Action::RemoveServices { .. }
            | Action::AddServices { .. }
            | Action::SetImage { .. }
            | Action::RestartService { .. }
            | Action::EnableSharing
            | Action::DisableSharing
            | Action::SetPortal { .. }
            | Action::DeleteEnvironment { .. } => {}
        }
    }

    /// The memory after `action` was answered well at `now`.
    ///
    /// An action whose answer was lost must not be remembered like this: what it did is seen at the next observation.
    pub fn sent(&mut self, action: &Action, desired: Option<&Environment>, now: Timestamp) {
        self.unsettle(action, desired);
        match action {
            Action::RecordOwnership(ownership) => self.recorded(ownership, desired, now),
            Action::CreateEnvironment(create) => {
                self.vanished |= create.again;
                self.made(now);
            }
            Action::AddServices {
                services,
                templates,
            } => {
                for name in services.keys() {
                    let known = self.applied.get(name);
                    let restore = known.and_then(|known| known.restore.clone());
                    // What was not ours does not become so by being added anew.
                    if restore.as_ref().is_none_or(|restore| restore.ours) {
                        self.services.insert(name.clone());
                    }
                    self.fresh(name, templates.get(name), desired);
                    if restore.is_some() {
                        let entry = self.entry(name);
                        (entry.restore, entry.initial) = (restore, false);
                    }
                }
            }
            Action::DeployReleases { services } => {
                self.retry = Retry::WhenChanged;
                for (name, deployment) in services {
                    if deployment.is_new {
                        self.fresh(name, None, desired);
                    }
                    let helm = desired.and_then(|d| d.services.get(name)?.helm.as_ref());
                    let entry = self.entry(name);
                    entry.helm = helm.map(|helm| helm.digest.clone());
                    entry.helm_in_doubt = false;
                }
            }
            Action::NoteRestore { service, restore } => {
                self.entry(service).restore = Some(restore.clone());
            }
            Action::RemoveServices { services } => {
                for name in services {
                    self.services.remove(name);
                    self.applied.remove(name);
                }
            }
            Action::UpdateServices {
                services,
                templates,
                ..
            } => {
                for name in services.keys() {
                    let declared = desired.and_then(|d| d.services.get(name));
                    let new = !self.applied.contains_key(name);
                    let entry = self.entry(name);
                    if new {
                        entry.restart_token =
                            declared.and_then(|service| service.restart_token.clone());
                    }
                    entry.variables = declared.and_then(|service| service.digest.clone());
                    entry.template = templates.get(name).cloned();
                }
            }
            Action::RestartService { service, token, .. } => {
                self.entry(service).restart_token = Some(token.clone());
            }
            Action::DeleteEnvironment { .. } => self.delete_sent = Some(now),
            Action::EnableSharing | Action::DisableSharing | Action::SetPortal { .. } => {
                self.sharing.sent(action, now);
            }
            Action::SetRegistry { .. }
            | Action::TakeOut { .. }
            | Action::SetAlias { .. }
            | Action::PutGlobalVariables { .. }
            | Action::SetImage { .. }
            | Action::ScaleWorkload { .. } => {}
        }
        if let Some(wish) = action.wish() {
            self.asked.retain(|_, at| elapsed(*at, now) < LIVE_LAG);
            self.asked.insert(wish, now);
        }
        if !matches!(action, Action::RecordOwnership(_)) {
            for subject in action.subjects() {
                self.refused.remove(&subject);
                // An environment is deleted once, however often the call has to be sent.
                if subject != ENVIRONMENT {
                    self.counted.remove(&subject);
                }
                self.repairs.note(subject);
            }
        }
    }

    /// The memory of which services nobody declares, after a look at `now`.
    pub fn undeclared(
        &mut self,
        desired: &Environment,
        detail: &Detail,
        bound: &BTreeMap<String, Bound>,
        now: Timestamp,
    ) {
        let is_nobodys =
            |name: &String| !desired.services.contains_key(name) && !bound.contains_key(name);
        let there = detail.services.keys();
        let before = std::mem::take(&mut self.undeclared);
        self.undeclared = there
            .filter(|name| is_nobodys(name))
            .map(|name| (name.clone(), before.get(name).copied().unwrap_or(now)))
            .collect();
    }

    /// The memory after the environment was seen in a state that can be changed, where `touched` services are about to be written.
    ///
    /// Fills what was lost or has to be taken anew after a write, and forgets what is no longer declared. `created` tells
    /// whether this object made the environment: then the declared services that are there are taken as its own when the
    /// memory is lost, and nothing else, so that nothing is pruned by mistake. What is remembered of a service goes to the binding
    /// that takes it over.
    pub fn seen(
        &mut self,
        desired: &Environment,
        detail: &Detail,
        update_time: i64,
        created: bool,
        touched: &BTreeSet<String>,
        bound: &BTreeMap<String, Bound>,
    ) {
        self.retry = Retry::WhenChanged;
        let lost = !self.known;
        if created && lost {
            self.services = desired.services.keys().cloned().collect();
        }
        self.known = true;
        let refused = self.refused.contains_key(sharing::SHARING);
        self.sharing
            .seen(&desired.sharing, detail.sharing, lost, refused);
        self.services.retain(|name| {
            detail.services.contains_key(name)
                && matches!(bound.get(name), None | Some(Bound::Claimed))
        });
        self.applied.retain(|name, _| {
            desired.services.contains_key(name)
                || self.undeclared.contains_key(name)
                || bound.get(name) == Some(&Bound::Claimed)
        });
        let mut all_taken = true;
        for (name, service) in &desired.services {
            let Some(observed) = detail.services.get(name) else {
                continue;
            };
            let is_so = service.digest.is_some() && variables::are_so(service, observed);
            let edited =
                service.digest.is_some() && !is_so && self.edited(name, observed, update_time);
            all_taken &= !edited;
            if touched.contains(name) {
                continue;
            }
            let before = match &observed.expected {
                Some(_) => self.before.remove(name),
                None => None,
            };
            let new = !self.applied.contains_key(name);
            let entry = self.entry(name);
            let begun = before.map_or_else(Vec::new, |before| before.rollouts(observed));
            entry.rollouts.retain(|older| {
                let newer = |rollout: &Rollout| {
                    (&rollout.kind, &rollout.name) == (&older.kind, &older.name)
                };
                !begun.iter().any(newer)
            });
            entry.rollouts.extend(begun);
            entry.rollouts.retain(|rollout| {
                service.digest.is_some()
                    && rollout::progress(rollout, observed.live.as_ref()) != Progress::Done
            });
            entry.rollouts.truncate(ROLLOUTS_MAX as usize);
            if is_so || (new && lost) {
                entry.variables.clone_from(&service.digest);
            }
            if new {
                // Declaring a token asks for nothing: a change of it does.
                entry.restart_token.clone_from(&service.restart_token);
            }
            if service.restart_token.is_none() {
                entry.restart_token = None;
            }
            match &service.helm {
                None => (entry.helm, entry.helm_in_doubt) = (None, false),
                Some(helm) if entry.helm.is_none() && (helm.is_so(observed) || (new && lost)) => {
                    entry.helm = Some(helm.digest.clone());
                }
                Some(_) => {}
            }
            if service.digest.is_none() {
                (entry.variables, entry.rendered, entry.rendered_at) = (None, None, None);
            } else if observed.rendered.is_some() && entry.rendered != observed.rendered && !edited
            {
                entry.rendered.clone_from(&observed.rendered);
                entry.rendered_at = Some(update_time);
            }
            // A workload that the live look does not show yet still has to get its fields.
            entry.initial &= !observed.is_all_there();
            if observed.is_all_there() {
                // Whatever was taken out is back, and as it was.
                entry.restore = None;
            }
        }
        // An edit that is still to be repaired is told from another renderer by this time, so it stands until then.
        if all_taken {
            self.seen_update_time = Some(update_time);
        }
    }

    /// Whether somebody changed what Zadig renders for the service since it was last taken into memory.
    ///
    /// Every edit moves `update_time` (Z§6.3). A digest that changed without one is another renderer after an upgrade of Zadig.
    #[must_use]
    pub fn edited(&self, name: &str, seen: &ObservedService, update_time: i64) -> bool {
        let Some(entry) = self.applied.get(name) else {
            return false;
        };
        let (Some(before), Some(now)) = (&entry.rendered, &seen.rendered) else {
            return false;
        };
        before != now && self.seen_update_time.or(entry.rendered_at) != Some(update_time)
    }

    /// Whether the fields with policy OnCreate of `service` still have to be set.
    #[must_use]
    pub fn is_initial(&self, service: &str) -> bool {
        self.applied.get(service).is_some_and(|entry| entry.initial)
    }

    /// Whether the cluster was told to do what `action` asks for only a moment ago, so that the live look may not show it yet.
    #[must_use]
    pub fn was_just_asked(&self, action: &Action, now: Timestamp) -> bool {
        action
            .wish()
            .and_then(|wish| self.asked.get(&wish))
            .is_some_and(|at| elapsed(*at, now) < LIVE_LAG)
    }

    /// The memory after `action` was refused.
    pub fn was_refused(&mut self, action: &Action) {
        if let Action::DeployReleases { services } = action {
            for (name, _) in services.iter().filter(|(_, it)| it.is_new) {
                self.services.remove(name);
                self.applied.remove(name);
            }
        }
        let next = self.refused.values().max().map_or(0, |last| last + 1);
        for subject in action.subjects() {
            self.refused.insert(subject, next);
        }
        if let Some(subject) = sharing::counted_refusal(action) {
            self.repairs.note(subject.to_owned());
        }
    }

    /// Whether a call about this was refused, and none was answered well since.
    #[must_use]
    pub fn is_refused(&self, subject: &str) -> bool {
        self.refused.contains_key(subject)
    }

    /// The place of an action's refusal among all; `None` when none of what it is about was refused.
    pub(crate) fn refusal(&self, action: &Action) -> Option<u64> {
        let places = action.subjects().into_iter();
        places
            .filter_map(|subject| self.refused.get(&subject))
            .max()
            .copied()
    }

    /// Whether the difference with this subject came back too often.
    #[must_use]
    pub fn exhausted(&self, subject: &str) -> bool {
        self.repairs.exhausted(subject)
    }

    /// What Zadig renders for the service is about to change, and is taken anew at the next look.
    fn renders_anew(&mut self, name: &str) {
        if let Some(entry) = self.applied.get_mut(name) {
            entry.rendered = None;
            entry.rendered_at = None;
        }
    }

    fn entry(&mut self, name: &str) -> &mut AppliedService {
        self.applied
            .entry(name.to_owned())
            .or_insert_with(|| AppliedService {
                name: name.to_owned(),
                ..AppliedService::default()
            })
    }

    /// A service that was just created from its declaration, and from this template.
    fn fresh(&mut self, name: &str, template: Option<&String>, desired: Option<&Environment>) {
        let declared = desired.and_then(|d| d.services.get(name));
        let entry = AppliedService {
            name: name.to_owned(),
            variables: declared.and_then(|service| service.digest.clone()),
            template: template.cloned(),
            restart_token: declared.and_then(|service| service.restart_token.clone()),
            initial: declared.is_some_and(|service| {
                service
                    .workloads
                    .values()
                    .any(|w| w.policy == FieldPolicy::OnCreate)
                    || service
                        .containers
                        .values()
                        .any(|c| c.policy == FieldPolicy::OnCreate)
            }),
            ..AppliedService::default()
        };
        self.applied.insert(name.to_owned(), entry);
    }

    /// A create call carries these services as they are declared, and nothing else is remembered.
    fn carried<'a>(
        &mut self,
        services: impl Iterator<Item = &'a String>,
        templates: &BTreeMap<String, String>,
        desired: Option<&Environment>,
    ) {
        self.services.clear();
        self.applied.clear();
        for name in services {
            self.services.insert(name.clone());
            self.fresh(name, templates.get(name), desired);
        }
    }

    /// The environment holds what the create call carried.
    fn made(&mut self, now: Timestamp) {
        self.known = true;
        if self.vanished {
            self.recreated_at = Some(now);
            self.vanished = false;
        }
    }

    fn recorded(&mut self, ownership: &Ownership, desired: Option<&Environment>, now: Timestamp) {
        let first = !self.known;
        match ownership.state {
            OwnershipState::Pending => {
                // What is remembered belongs to the environment that is gone. A refused create takes the record away
                // again, so that it was there must not be forgotten with it.
                self.vanished |= self.known;
                self.known = false;
                self.sharing = sharing::Remembered::default();
                self.services.clear();
                self.applied.clear();
            }
            OwnershipState::Adopted if first => {
                self.known = true;
                self.vanished = false;
                self.services.clear();
                self.applied.clear();
                // Nothing was ever sent to what we take over: its variables cannot be told (Z§6.1), so the declared
                // ones are sent once. The token is taken as carried out: adopting restarts nothing.
                for (name, service) in desired.iter().flat_map(|d| d.services.iter()) {
                    let restart_token = service.restart_token.clone();
                    self.entry(name).restart_token = restart_token;
                }
            }
            // The answer of the create call was lost. What it carried may be lost too, if the process ended: then the services
            // are those that are declared, and their variables are sent once, as they cannot be told.
            OwnershipState::Created if first => {
                if self.applied.is_empty() {
                    // A Helm environment begins without services (Z§4.21).
                    let begins_with =
                        |d: &&Environment| d.deploy_type == DeployType::KubernetesYaml;
                    let carried = desired.filter(begins_with).into_iter();
                    let services = carried.flat_map(|d| d.services.keys());
                    self.carried(services, &BTreeMap::new(), desired);
                    for entry in self.applied.values_mut() {
                        entry.variables = None;
                    }
                } else {
                    self.services = self.applied.keys().cloned().collect();
                }
                self.made(now);
            }
            // Our create was answered, or the connection got another address: nothing is new.
            OwnershipState::Adopted | OwnershipState::Created => {}
        }
    }
}
