//! What is to be done about one object inside an environment: [`Desired`] and [`Observed`] in, [`Plan`] of [`Action`] out.
//!
//! Zadig deletes the pods of every service that refers to the object at each write, an equal one too (Z§14.1), so a write needs
//! a difference in content; [`compare`] finds it. There is no status of Zadig's own for these objects: the live one is what counts.

pub mod carried;
pub mod compare;
mod git;
mod production;
pub mod proposal;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::environment::decide::elapsed;
use super::environment::lifetime::protected_inside;
use super::environment::{EnvStatus, join};
use super::home::{Home, Place, busy, same_place, unsettled};
use super::repairs::{REPAIRS, Repairs};
use super::{Licence, Plan};
use crate::api::condition::Reason;
use crate::api::env_config::{ConfigDeletion, ConfigType, GitFile};
use crate::api::environment::{Creation, Ownership, OwnershipState, Scope};

/// Two writes of one object within the same second break a unique index of Zadig's, after the cluster was changed (Z§4.14).
/// Both clocks are somebody else's, hence more than one.
const BETWEEN_WRITES: Duration = Duration::from_secs(3);
/// How soon to look again at something that takes Zadig moments.
const SOON: Duration = Duration::from_secs(2);
/// How soon to look again at what somebody else has to do first; its change usually tells earlier.
const LATER: Duration = Duration::from_mins(1);

/// What the object asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// An object like this.
    Present(Config),
    /// No object: ours is being deleted.
    Absent {
        /// `spec.deletion`, or what the annotation says instead.
        policy: Option<ConfigDeletion>,
        /// Its environment is protected against deletion ([`super::environment::lifetime::is_protected`]).
        protected: bool,
    },
}

/// An object as declared, with its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its kind.
    pub kind: ConfigType,
    /// Its name.
    pub name: String,
    /// The whole of it.
    pub object: Object,
    /// The file in Git that Zadig shows as its source; its content is Zadig's then.
    pub git: Option<GitFile>,
    /// What to do when it exists or does not.
    pub creation: Creation,
}

impl Config {
    /// The object as it is sent: JSON, which is YAML in every version of it, as older ones read words like `on` or `012` of
    /// plain YAML in their own way.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}", self.object.0)
    }

    /// The values that may be secrets, as they are sent.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let data = self.object.0["data"].as_object();
        let values = data.into_iter().flat_map(serde_json::Map::values);
        values.filter_map(Value::as_str)
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// A Kubernetes object whose content may be a secret, so it does not print.
#[derive(Clone, PartialEq)]
pub struct Object(pub Value);

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Everything the decision depends on, the time included.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The time of the observation.
    pub now: Timestamp,
    /// The environment that the object belongs to.
    pub environment: Home,
    /// An older object that claims the same one, as `namespace/name`.
    pub rival: Option<String>,
    /// Whose object it is, by annotation or by status.
    pub record: Option<Ownership>,
    /// The object in the environment. Without meaning unless the environment is there.
    pub live: Existence,
    /// The file in Git that Zadig shows as the live object's source.
    pub source: Option<Source>,
    /// The environment names the object under `spec.configRefs`, so that its creation carries it.
    pub listed: bool,
    /// What is known of the licence.
    pub licence: Licence,
    /// The connection is suspended: nothing behind it is written.
    pub connection_suspended: bool,
    /// What was remembered.
    pub memory: Memory,
}

/// A file in Git as Zadig shows it: neither the number of the code host nor whether the file is followed (Z§4.14).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Owner of the repository.
    pub owner: String,
    /// Name of the repository.
    pub repo: String,
    /// Branch.
    pub branch: String,
    /// Path of the file.
    pub path: String,
}

/// Whether the object exists. Doubt is an error of the observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Existence {
    /// It does not.
    Absent,
    /// It does, and is like this.
    Present(Object),
}

/// What is remembered between observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// When the object was last written by us.
    pub wrote_at: Option<Timestamp>,
    /// By field path: how often the same difference was repaired.
    pub repairs: Repairs,
    /// When the delete call was answered.
    pub delete_sent: Option<Timestamp>,
}

impl Memory {
    /// The memory after `action` was sent at `now`, however it was answered.
    pub fn sent(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::RecordOwnership(_) => {}
            Action::Create { .. } | Action::Replace { .. } => self.wrote_at = Some(now),
            Action::Delete => self.delete_sent = Some(now),
        }
        for field in repaired(action) {
            self.repairs.note(field);
        }
    }

    /// The memory after `action`, which was sent, was refused: nothing was repaired by it.
    pub fn was_refused(&mut self, action: &Action) {
        for field in repaired(action) {
            self.repairs.take_back(&field);
        }
    }
}

/// The differences that an action repairs, by field path.
fn repaired(action: &Action) -> Vec<String> {
    match action {
        Action::RecordOwnership(_) | Action::Delete => Vec::new(),
        Action::Create { .. } => vec!["object".to_owned()],
        Action::Replace { fields, .. } => fields.clone(),
    }
}

/// One call, with everything it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store whose object it is, with the finalizer, before anything is written.
    RecordOwnership(Ownership),
    /// Create it.
    Create {
        /// The object.
        config: Config,
        /// By the route that updates (#33), which makes a missing Secret or Ingress without a licence; else by #27, which needs
        /// one and restarts nothing.
        by_update: bool,
    },
    /// Replace it; the pods of all that refer to it are deleted (#33).
    Replace {
        /// The new content.
        config: Config,
        /// What differs, by field path.
        fields: Vec<String>,
    },
    /// Delete it (#35).
    Delete,
}

impl Action {
    /// The action in one line for status, events and logs: never content.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::RecordOwnership(ownership) => {
                format!("record the object as {:?}", ownership.state).to_lowercase()
            }
            Self::Create { config, .. } => format!("create {config}"),
            Self::Replace { config, fields } => {
                format!(
                    "replace {config} ({}); what refers to it restarts",
                    join(fields)
                )
            }
            Self::Delete => "delete the object".to_owned(),
        }
    }
}

/// What is to be done about one object.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let planned = match desired {
        Desired::Absent { policy, protected } => absent(*policy, *protected, observed),
        Desired::Present(config) => present(config, observed),
    };
    planned.held(observed.connection_suspended, Action::summary)
}

/// The way out. It ends when the environment does: nothing is left of the object then.
fn absent(policy: Option<ConfigDeletion>, protected: bool, observed: &Observed) -> Plan<Action> {
    let Some(record) = &observed.record else {
        return Plan::InSync;
    };
    let deletes = match policy {
        Some(ConfigDeletion::Delete) => true,
        Some(ConfigDeletion::Orphan) => false,
        None => record.state != OwnershipState::Adopted,
    };
    let Home::Present(home) = &observed.environment else {
        let waits = unsettled(record, &observed.environment);
        return waits.filter(|_| deletes).unwrap_or(Plan::InSync);
    };
    if !deletes || !same_place(record, &home.identity) {
        return Plan::InSync;
    }
    let there = matches!(observed.live, Existence::Present(_));
    if there && protected && policy.is_none() {
        return protected_inside("the object");
    }
    match (&home.status, &observed.live) {
        // Zadig takes the call in any state, so only a belief that has ended does not hold it up.
        (status, _) if status.is_busy() && !home.is_stuck(observed.now) => busy(status),
        (_, Existence::Absent) => Plan::InSync,
        // The answer comes before the object is gone (Z§4.14).
        _ if since(observed.memory.delete_sent, observed.now) < BETWEEN_WRITES => {
            Plan::wait(Reason::Deleting, "the object is being deleted", SOON)
        }
        (_, Existence::Present(_)) => Plan::of(vec![Action::Delete], Vec::new()),
    }
}

fn present(config: &Config, observed: &Observed) -> Plan<Action> {
    if let Some(rival) = &observed.rival {
        return Plan::blocked(
            Reason::Conflict,
            format!(
                "spec.name: {rival} is older and owns {config} of this environment; delete one of the two"
            ),
        );
    }
    let home = match &observed.environment {
        Home::Other { why, .. } => return Plan::wait(Reason::EnvironmentNotReady, why, LATER),
        Home::Missing { why, carried } => {
            if let Some(blocked) = git::not_listed(config, observed) {
                return blocked;
            }
            return not_ready(config, why, carried.as_ref(), observed);
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
    if home.status.is_busy() {
        return busy(&home.status);
    }
    let record = observed
        .record
        .as_ref()
        .filter(|record| same_place(record, &home.identity));
    match &observed.live {
        Existence::Absent => missing(config, home, record, observed),
        Existence::Present(live) => there(config, home, record, live, observed),
    }
}

/// No environment yet. An object that its creation carries is claimed now, so that it is known as ours when it is seen.
fn not_ready(
    config: &Config,
    why: &str,
    carried: Option<&Ownership>,
    observed: &Observed,
) -> Plan<Action> {
    let waits = Plan::wait(Reason::EnvironmentNotReady, why, LATER);
    let Some(identity) = carried else {
        return waits;
    };
    let mut known = observed.record.iter();
    let known = known.find(|record| same_place(record, identity));
    if known.is_some_and(|record| record.state != OwnershipState::Pending) {
        return waits;
    }
    match carried::claim(config, identity) {
        Err(blocked) => Plan::Blocked(vec![blocked]),
        Ok(state) if known.is_some_and(|record| record.state == state) => waits,
        Ok(state) => record_as(identity, state),
    }
}

fn missing(
    config: &Config,
    home: &Place,
    record: Option<&Ownership>,
    observed: &Observed,
) -> Plan<Action> {
    let ours = record.is_some_and(|record| record.state != OwnershipState::Pending);
    if home.scope == Scope::Production {
        return production::missing(config, home, ours);
    }
    if !ours && config.creation == Creation::Adopt {
        return Plan::wait(
            Reason::ConfigNotFound,
            format!(
                "spec.creation: Adopt, but the environment has no {config}; set creation: CreateOrAdopt"
            ),
            LATER,
        );
    }
    if let Some(blocked) = git::not_carried(config) {
        return blocked;
    }
    if let Some(held) = held_back(&["object".to_owned()], observed) {
        return held;
    }
    let by_update = match (config.kind, observed.licence) {
        (_, Licence::Professional)
        | (ConfigType::ConfigMap | ConfigType::Pvc, Licence::Unknown) => false,
        (ConfigType::Secret | ConfigType::Ingress, Licence::Refused | Licence::Unknown) => true,
        (ConfigType::ConfigMap | ConfigType::Pvc, Licence::Refused) => {
            return Plan::blocked(
                Reason::LicenceRequired,
                format!(
                    "creating {config} in an environment that exists needs Zadig's professional licence (Zadig refused with code 7050); without it, name this object under spec.configRefs of the ZadigEnvironment before that is created, or create the object in the cluster and set creation: CreateOrAdopt"
                ),
            );
        }
    };
    let create = Action::Create {
        config: config.clone(),
        by_update,
    };
    // What was adopted and is created anew is ours from here on.
    let pending = home.identity.in_state(OwnershipState::Pending);
    let known =
        record.is_some_and(|record| record.state == OwnershipState::Created || record == &pending);
    let claim = (!known).then_some(Action::RecordOwnership(pending));
    Plan::of(claim.into_iter().chain([create]).collect(), Vec::new())
}

fn there(
    config: &Config,
    home: &Place,
    record: Option<&Ownership>,
    live: &Object,
    observed: &Observed,
) -> Plan<Action> {
    let Some(record) = record else {
        if config.creation == Creation::Create {
            return Plan::blocked(
                Reason::ConfigExists,
                format!(
                    "{config} exists in the environment and was not made by this object; to take it over: kubectl patch zadigenvconfig <name> --type merge -p '{{\"spec\":{{\"creation\":\"CreateOrAdopt\"}}}}'"
                ),
            );
        }
        return record_as(&home.identity, OwnershipState::Adopted);
    };
    let state = match record.state {
        // The answer of the create call was lost, or the environment's creation carried it: here is its effect.
        OwnershipState::Pending | OwnershipState::Created => OwnershipState::Created,
        OwnershipState::Adopted => OwnershipState::Adopted,
    };
    if record.state != state || record.zadig != home.identity.zadig {
        return record_as(&home.identity, state);
    }
    if let Some(git) = &config.git {
        return git::judge(git, config, observed.source.as_ref());
    }
    let fields = compare::differences(config.kind, &config.object.0, &live.0);
    if fields.is_empty() {
        return Plan::InSync;
    }
    if home.scope == Scope::Production {
        return production::differs(config, home, &fields);
    }
    if let Some(held) = held_back(&fields, observed) {
        return held;
    }
    Plan::of(
        vec![Action::Replace {
            config: config.clone(),
            fields,
        }],
        Vec::new(),
    )
}

/// Why a difference is not repaired now: too soon after the last write, or once too often.
fn held_back(fields: &[String], observed: &Observed) -> Option<Plan<Action>> {
    let memory = &observed.memory;
    let again = |field: &&String| memory.repairs.exhausted(field);
    let again: Vec<&String> = fields.iter().filter(again).collect();
    // An object is replaced as a whole, so one field that does not stay as it was written holds up all.
    if !again.is_empty() {
        return Some(Plan::blocked(
            Reason::DriftDoesNotConverge,
            format!(
                "{}: repaired {REPAIRS} times and different again; something else writes it, or the cluster does not keep it, so it is left alone. Settle who owns it, then set the annotation {}",
                join(again),
                crate::api::RECONCILE_ANNOTATION
            ),
        ));
    }
    let age = since(memory.wrote_at, observed.now);
    (age < BETWEEN_WRITES).then(|| {
        Plan::wait(
            Reason::Applying,
            "written a moment ago; looking again before it is written anew",
            BETWEEN_WRITES.saturating_sub(age),
        )
    })
}

fn record_as(identity: &Ownership, state: OwnershipState) -> Plan<Action> {
    let record = identity.in_state(state);
    Plan::of(vec![Action::RecordOwnership(record)], Vec::new())
}

/// Time since a moment; for ever when there was none.
fn since(from: Option<Timestamp>, to: Timestamp) -> Duration {
    from.map_or(Duration::MAX, |from| elapsed(from, to))
}
