//! The object and its driver: what they remember, and how they lose it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::TestCaseError;
use zadig_operator::api::environment::{AppliedService, Deletion, Ownership, OwnershipState};
use zadig_operator::api::management::ProposedPlan;
use zadig_operator::plan::environment::memory::{Memory, Retry};
use zadig_operator::plan::environment::{
    Action, Desired, EnvStatus, Environment, Existence, Observed, plan,
};
use zadig_operator::plan::{Act, Blocked, Plan};

use crate::declared::Interruption;
use crate::managed::Managed;
use crate::rules;
use crate::zadig::{Env, Zadig};

/// How one reconcile ended.
pub(crate) enum Step {
    InSync,
    Waits,
    Acted,
    /// A call failed, as far as the driver knows.
    Failed,
    Blocked(Vec<Blocked>),
    /// A plan is shown and not carried out.
    Shown,
}

/// What the API server keeps.
#[derive(Clone, Debug, Default)]
struct Stored {
    annotation: Option<Ownership>,
    status: Option<Status>,
}

#[derive(Clone, Debug)]
struct Status {
    /// `inventory`: only of an environment that was seen.
    owned: Option<(Ownership, BTreeSet<String>, Option<Timestamp>)>,
    applied: Vec<AppliedService>,
    shown: Option<ProposedPlan>,
}

/// One object, and the process that cares for it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) desired: Desired,
    pub(crate) record: Option<Ownership>,
    pub(crate) memory: Memory,
    stored: Stored,
    disturbance: Option<Interruption>,
    /// Services whose last change the cluster refused, as far as this process and those before it can know.
    refused: BTreeSet<String>,
    /// How it is managed, and what of that it remembers.
    pub(crate) managed: Managed,
    /// A memory was lost: what the environment holds need not be what was declared then.
    pub(crate) forgot: bool,
}

impl Object {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            desired: Desired::Present(environment),
            record: None,
            memory: Memory::default(),
            stored: Stored::default(),
            disturbance: None,
            refused: BTreeSet::new(),
            managed: Managed::default(),
            forgot: false,
        }
    }

    pub(crate) fn environment(&self) -> Option<&Environment> {
        match &self.desired {
            Desired::Present(environment) => Some(environment),
            Desired::Absent { .. } => None,
        }
    }

    /// The next call meets this.
    pub(crate) fn disturb(&mut self, how: Interruption) {
        self.disturbance = Some(how);
    }

    pub(crate) fn calm(&mut self) {
        self.disturbance = None;
    }

    /// A person changes the declaration.
    pub(crate) fn declare(&mut self, environment: Environment) {
        self.desired = Desired::Present(environment);
        self.speak();
    }

    /// A person approves what is shown.
    pub(crate) fn approve(&mut self) {
        if let Some(shown) = &self.managed.shown {
            self.managed.approved = Some(shown.hash.clone());
        }
        self.speak();
    }

    /// A person asks for another look.
    pub(crate) fn speak(&mut self) {
        self.memory.repairs.forget();
        self.memory.recreated_at = None;
        self.memory.retry = Retry::Now;
    }

    pub(crate) fn delete(&mut self, policy: Option<Deletion>) {
        let declared = self
            .environment()
            .into_iter()
            .flat_map(|environment| environment.services.keys().cloned())
            .collect();
        self.desired = Desired::Absent {
            policy,
            declared,
            protected: false,
            expired: false,
        };
    }

    pub(crate) fn lose_status(&mut self) {
        self.stored.status = None;
        self.forgot = true;
        self.refused.clear();
    }

    pub(crate) fn lose_annotation(&mut self) {
        self.stored.annotation = None;
    }

    pub(crate) fn has_annotation(&self) -> bool {
        self.stored.annotation.is_some()
    }

    /// The process starts with what is stored.
    pub(crate) fn restart(&mut self) {
        // What a service was like before a call is known to the process that sent it, until the next look.
        let before = std::mem::take(&mut self.memory.before);
        self.refused.retain(|name| !before.contains_key(name));
        let owned = self.stored.status.as_ref().and_then(|s| s.owned.clone());
        self.record = self
            .stored
            .annotation
            .clone()
            .or_else(|| owned.as_ref().map(|(record, ..)| record.clone()));
        let known = owned.is_some();
        let (_, services, recreated_at) = owned.unzip3();
        self.memory = Memory {
            services: services.unwrap_or_default(),
            recreated_at: recreated_at.flatten(),
            applied: self
                .stored
                .status
                .iter()
                .flat_map(|status| &status.applied)
                .map(|entry| (entry.name.clone(), entry.clone()))
                .collect(),
            known,
            ..Memory::default()
        };
        self.forgot |= !known;
        let status = self.stored.status.as_ref();
        self.managed.shown = status.and_then(|status| status.shown.clone());
    }

    fn write_status(&mut self) {
        let record = self
            .record
            .clone()
            .filter(|record| record.state != OwnershipState::Pending);
        self.stored.status = Some(Status {
            owned: record.map(|record| {
                (
                    record,
                    self.memory.services.clone(),
                    self.memory.recreated_at,
                )
            }),
            applied: self.memory.applied.values().cloned().collect(),
            shown: self.managed.shown.clone(),
        });
    }

    /// What a look finds.
    pub(crate) fn observe(&self, zadig: &mut Zadig) -> Observed {
        zadig.show(&self.desired, self.record.as_ref(), &self.memory)
    }

    /// Observe, plan, act, status.
    pub(crate) fn reconcile(&mut self, zadig: &mut Zadig) -> Result<Step, TestCaseError> {
        // Without a pod there is nothing that a change could be missing from.
        let runs = |name: &String| {
            let env = zadig.env.as_ref();
            env.is_some_and(|env| env.services.get(name).is_some_and(|s| s.replicas > 0))
        };
        self.refused.retain(runs);
        let mut observed = self.observe(zadig);
        if let (Desired::Present(environment), Some(detail)) = (&self.desired, observed.detail()) {
            let now = observed.now;
            self.memory
                .undeclared(environment, detail, &BTreeMap::new(), now);
            observed
                .memory
                .undeclared
                .clone_from(&self.memory.undeclared);
        }
        let planned = plan(&self.desired, &observed);
        rules::hold(&self.desired, &observed, &planned)?;
        let Some(planned) = self.managed.judge(&self.desired, &observed, planned) else {
            self.write_status();
            zadig.pass(30);
            return Ok(Step::Shown);
        };
        let (step, after) = match planned {
            Plan::InSync => {
                self.take_in(&observed);
                (Step::InSync, Duration::from_secs(30))
            }
            Plan::Blocked(blocked) => {
                self.take_in(&observed);
                (Step::Blocked(blocked), Duration::from_mins(2))
            }
            Plan::Wait(wait) => (Step::Waits, wait.after),
            Plan::Act(Act { actions, .. }) => {
                let crash = matches!(self.disturbance, Some(Interruption::Crash));
                let step = self.carry_out(&actions, &observed, zadig)?;
                if crash && self.disturbance.is_none() {
                    self.restart();
                    zadig.pass(1);
                    return Ok(Step::Failed);
                }
                (step, Duration::from_secs(1))
            }
        };
        self.write_status();
        zadig.pass(i64::try_from(after.as_secs()).unwrap_or(1).max(1));
        Ok(step)
    }

    /// Takes a look into memory after which nothing was sent.
    fn take_in(&mut self, observed: &Observed) {
        let (Desired::Present(environment), Existence::Present(present), Some(record)) =
            (&self.desired, &observed.existence, &self.record)
        else {
            return;
        };
        let (Some(detail), false) = (
            &present.detail,
            record.state == OwnershipState::Pending || record.namespace != present.namespace,
        ) else {
            return;
        };
        let created = record.state == OwnershipState::Created;
        self.memory.seen(
            environment,
            detail,
            present.update_time,
            created,
            &BTreeSet::new(),
            &BTreeMap::new(),
        );
    }

    fn carry_out(
        &mut self,
        actions: &[Action],
        observed: &Observed,
        zadig: &mut Zadig,
    ) -> Result<Step, TestCaseError> {
        let claimed_before = self.record.is_some();
        let environment = self.environment().cloned();
        for action in actions {
            if let Action::RecordOwnership(ownership) = action {
                self.managed.watch(&self.desired, action)?;
                self.stored.annotation = Some(ownership.clone());
                self.record = Some(ownership.clone());
                self.memory.sent(action, environment.as_ref(), zadig.time());
                continue;
            }
            self.memory.sending(
                action,
                environment.as_ref(),
                observed.detail(),
                zadig.time(),
            );
            match self.disturbance.take() {
                Some(Interruption::Refuse) => {
                    self.memory.was_refused(action);
                    if matches!(action, Action::CreateEnvironment(_))
                        && !(claimed_before && zadig.env.is_some())
                    {
                        self.record = None;
                        self.stored.annotation = None;
                    }
                    return Ok(Step::Failed);
                }
                Some(how @ (Interruption::LoseAnswer | Interruption::Crash)) => {
                    // An install of which nothing was written down cannot be told from somebody else's.
                    self.forgot |= matches!(how, Interruption::Crash) && installs(action);
                    self.react(action, zadig)?;
                    return Ok(Step::Failed);
                }
                _ => self.react(action, zadig)?,
            }
            self.memory.sent(action, environment.as_ref(), zadig.time());
            if action.continues() {
                break;
            }
        }
        Ok(Step::Acted)
    }

    /// Whether the cluster refused the last change of a service.
    pub(crate) fn refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    fn react(&mut self, action: &Action, zadig: &mut Zadig) -> Result<(), TestCaseError> {
        self.managed.watch(&self.desired, action)?;
        self.managed.changed_at = Some(zadig.time());
        let before = zadig.clone();
        zadig.react(action);
        self.note_refusals(action, &before, zadig);
        let state = self.record.as_ref().map(|record| record.state);
        rules::only_what_is_ours_changed(
            &self.desired,
            &self.memory,
            state == Some(OwnershipState::Created),
            action,
            &before,
            zadig,
        )
    }

    /// New pods of any other origin hide that an earlier change is not in them.
    fn note_refusals(&mut self, action: &Action, before: &Zadig, after: &Zadig) {
        let (Some(was), Some(is)) = (&before.env, &after.env) else {
            return self.refused.clear();
        };
        self.refused.retain(|name| {
            let pods = |env: &Env| env.services.get(name).map(|service| service.pods);
            pods(was) == pods(is)
        });
        if let Action::UpdateServices { services, .. } = action {
            for name in services.keys() {
                let changed = was.services[name].values != is.services[name].values;
                if changed && is.services[name].jammed {
                    self.refused.insert(name.clone());
                }
            }
        }
    }

    /// Whether the environment that is there is this object's.
    pub(crate) fn owns(&self, zadig: &Zadig) -> bool {
        let here = zadig.env.as_ref().map(|env| env.namespace.as_str());
        self.record
            .as_ref()
            .is_some_and(|record| Some(record.namespace.as_str()) == here)
    }
}

impl Zadig {
    /// Whoever put the environment to sleep wakes it.
    pub(crate) fn wake(&mut self) {
        if let Some(env) = &mut self.env
            && env.status == EnvStatus::Sleeping
        {
            env.status = EnvStatus::Success;
        }
    }
}

fn installs(action: &Action) -> bool {
    let Action::DeployReleases { services } = action else {
        return false;
    };
    services.values().any(|deployment| deployment.is_new)
}

trait Unzip3<A, B, C> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>);
}

impl<A, B, C> Unzip3<A, B, C> for Option<(A, B, C)> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>) {
        match self {
            Some((a, b, c)) => (Some(a), Some(b), Some(c)),
            None => (None, None, None),
        }
    }
}
