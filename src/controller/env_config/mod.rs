//! The driver of an object inside an environment: observe, plan, act, status.

mod act;
mod desired;
mod observe;
mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio::time::Instant;

pub(super) use self::act::kind;
pub(super) use self::desired::{content, sources};
use self::observe::Seen;
use self::status::Facts;
pub(super) use self::status::inventory;
use super::context::Context;
use super::driver::{self, Failures, Managed, Rest};
use super::link::{Unlinked, link};
use super::outcome::{Held, Outcome, Sight};
use super::queue::Requeue;
use super::write::{Needs, Sent, Writer};
use super::{home, management};
use crate::api::condition::{Condition, Reason};
use crate::api::env_config::{
    ConfigDeletion, ConfigInventory, ZadigEnvConfig, ZadigEnvConfigStatus,
};
use crate::api::environment::{Ownership, OwnershipState, ZadigEnvironment};
use crate::api::management::{Management, ProposedPlan};
use crate::api::{FINALIZER, RECONCILE_ANNOTATION};
use crate::error::Error;
use crate::plan::claim::{Claim, rival};
use crate::plan::env_config::{
    Action, Config, Desired, Existence, Memory, Observed, plan, proposal,
};
use crate::plan::environment::lifetime::is_protected;
use crate::plan::management::Rules;
use crate::plan::{Licence, Plan};

/// Calls of one thorough look: the object itself.
const CALLS_PER_LOOK: usize = 1;

impl Managed for ZadigEnvConfig {
    type Status = ZadigEnvConfigStatus;

    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.configs
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }
}

/// What this process remembers of one object between reconciles.
pub(super) struct Local {
    memory: Memory,
    record: Option<Ownership>,
    /// The plan that was last shown, or is carried out after an approval.
    plan: Option<ProposedPlan>,
    loaded: bool,
    /// What was declared at the last complete look: generation, digest of the content, reconcile-now annotation.
    declared: Option<(i64, String, Option<String>)>,
    /// Nothing is under way: the next look is due when something changes, or when the rest is over.
    rest: Option<Rest>,
    /// How often this process had made the environment at the last look.
    made: u32,
    failures: Failures,
}

impl Local {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::default(),
            record: None,
            plan: None,
            loaded: false,
            declared: None,
            rest: None,
            made: 0,
            failures: Failures::default(),
        }
    }
}

/// How one reconcile ended.
type Step = driver::Step<Told>;

/// What a step found besides its outcome.
#[derive(Default)]
struct Told {
    used_by: Option<Vec<String>>,
    change: Option<String>,
}

/// Reconciles one object.
pub(super) async fn reconcile(object: Arc<ZadigEnvConfig>, ctx: Arc<Context>) -> Requeue {
    let Some(uid) = object.uid() else {
        return Requeue::when_asked();
    };
    if let Some(wait) = ctx.written.wait(&*object) {
        return Requeue::after(wait);
    }
    let local = ctx.config_locals.of(&uid, Local::new);
    let local = &mut *local.lock().await;
    let started = Instant::now();
    let step = attempt(&object, &ctx, local).await;
    let (record, plan) = (local.record.as_ref(), local.plan.as_ref());
    let wrote_at = local.memory.wrote_at;
    let judged = (&mut local.failures, &mut local.rest);
    driver::conclude(
        &*object,
        &ctx,
        judged,
        started,
        step,
        |outcome, told, now| {
            let facts = Facts {
                generation: object.metadata.generation.unwrap_or_default(),
                now,
                record,
                plan,
                wrote_at,
                used_by: told.used_by,
                change: told.change,
                handled: object.annotations().get(RECONCILE_ANNOTATION),
            };
            status::status(object.status.as_ref(), outcome, facts)
        },
    )
    .await
}

/// One attempt: it never loops back, the next one observes afresh.
async fn attempt(object: &ZadigEnvConfig, ctx: &Context, local: &mut Local) -> Result<Step, Error> {
    load(object, local);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if deleting && !object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Step::Released("nothing was ever written"));
    }
    let policy = deletion_policy(object);
    if deleting && (policy == Some(ConfigDeletion::Orphan) || local.record.is_none()) {
        return release(object, ctx, "orphaned: nothing was called").await;
    }
    let Some(environment) = environment(object, ctx) else {
        if deleting {
            return release(object, ctx, "its ZadigEnvironment is gone").await;
        }
        return Ok(told(Outcome::Working(
            Reason::EnvironmentNotFound,
            format!(
                "spec.environmentRef: waiting for ZadigEnvironment {} in this namespace",
                object.spec.environment_ref.name
            ),
        )));
    };
    if let (true, Some(why)) = (
        deleting,
        management::hands_off(object.spec.suspend, &environment),
    ) {
        management::tell_stays(object, ctx, why, "the object stays in the environment").await;
        return release(object, ctx, "left in Zadig: nothing was called").await;
    }
    if object.spec.suspend || environment.spec.suspend {
        return Ok(Step::Quiet(driver::jittered(Duration::from_hours(1))));
    }
    if let (false, Some(over)) = (deleting, home::over(&environment, ctx)) {
        return Ok(told(over));
    }
    let content = if deleting {
        None
    } else {
        match desired::content(ctx, object, &environment).await? {
            Ok(config) => Some(config),
            Err(outcome) => return Ok(told(outcome)),
        }
    };
    let management = environment.spec.management;
    let declared = declared(object, content.as_ref(), management, ctx);
    let person_spoke = local
        .declared
        .as_ref()
        .is_some_and(|known| known != &declared);
    let now = Timestamp::now();
    if person_spoke {
        local.memory.repairs.forget();
    }
    local.memory.repairs.fade(local.memory.wrote_at, now);
    let zadig = match link(&environment, ctx, object.namespace(), deleting).await? {
        Ok(zadig) => zadig,
        Err(Unlinked::Unknown) => return Ok(Step::Quiet(Duration::from_secs(5))),
        Err(Unlinked::Tell(outcome)) => return Ok(told(outcome)),
    };
    if !person_spoke && let Some(wait) = local.failures.hold() {
        return Ok(Step::Quiet(wait));
    }
    let made = ctx.times_made(&environment);
    if local.made != made {
        // It may have been there, and is not in a new environment.
        local.made = made;
        local.rest = None;
    }
    if !person_spoke
        && let Some(rest) = &mut local.rest
        && let Some(wait) = rest.remaining(&zadig.budget, CALLS_PER_LOOK)
    {
        return Ok(Step::Quiet(wait));
    }
    let rests = local.rest.is_some() && !deleting;
    let since = driver::list_since(rests, zadig.intervals.list, []);
    let Seen {
        home,
        live,
        source,
        used_by,
    } = observe::look(object, &environment, &zadig, since, deleting).await?;
    let desired = match content {
        None => Desired::Absent {
            policy,
            protected: is_protected(&environment.spec),
        },
        Some(config) => Desired::Present(config),
    };
    let observed = Observed {
        now,
        environment: home,
        rival: rival_of(object, ctx),
        record: local.record.clone(),
        live,
        source,
        listed: observe::is_listed(object, &environment),
        licence: zadig.licence(),
        connection_suspended: ctx.is_suspended(&environment),
        memory: local.memory.clone(),
    };
    let planned = plan(&desired, &observed);
    let is_so = planned == Plan::InSync;
    local.memory.repairs.looked(is_so, now);
    local.declared = Some(declared);
    local.rest = None;
    let (planned, proposed, shown) = match &desired {
        Desired::Present(config) => {
            let rules = Rules {
                management,
                approved: object.spec.approved_plan.as_deref(),
                known: local.plan.as_ref(),
            };
            let ahead = || proposal::ahead(&desired, &observed);
            let draft = |actions: &[Action]| proposal::draft(config, &observed, actions);
            management::rule(object, ctx, rules, planned, ahead, draft).await
        }
        // Whoever deletes the object has said so.
        Desired::Absent { .. } => (planned, None, None),
    };
    local.plan = proposed;
    let mut found = Told {
        used_by,
        change: None,
    };
    let look_after = driver::jittered(zadig.intervals.deep);
    if let Some(held) = shown.or_else(|| management::blocked(management, &planned)) {
        // An object has no health: it is there, or not.
        let sight = match observed.live {
            Existence::Present(_) => Sight::Healthy,
            Existence::Absent => Sight::Unknown,
        };
        local.rest = Some(Rest::new(look_after));
        let held = Outcome::Held(Held { sight, ..held });
        return Ok(Step::Tell(held, found, look_after));
    }
    Ok(match planned {
        Plan::InSync if deleting => {
            let (record, home) = (local.record.as_ref(), &observed.environment);
            home::tell_left_behind(object, ctx, record, home, "the object").await;
            return release(object, ctx, "cleaned up").await;
        }
        Plan::InSync => {
            if management != Management::Observe {
                driver::keep_claim(object, ctx, local.record.as_ref()).await?;
            }
            local.rest = Some(Rest::new(look_after));
            Step::Tell(Outcome::Ready, found, look_after)
        }
        Plan::Act(act) => {
            let key = home::key(&environment);
            let needs = Needs::after(observed.environment.status());
            let writer = Writer::new(ctx, (object, &*environment), (&zadig, &key), needs);
            match carry_out(&writer, local, act.actions).await? {
                None => Step::Quiet(Duration::from_millis(10)),
                Some(change) => {
                    let outcome = writer.sent(&change);
                    found.change = Some(change);
                    Step::Tell(outcome, found, Duration::from_millis(200))
                }
            }
        }
        // What was refused is still what there is to tell.
        Plan::Wait(wait) if wait.reason == Reason::Applying && local.failures.last() => {
            Step::Quiet(wait.after)
        }
        told @ (Plan::Wait(_) | Plan::Blocked(_)) => match driver::outcome_of(told) {
            Some((outcome, after)) => Step::Tell(outcome, found, after),
            None => Step::Quiet(Duration::from_secs(1)),
        },
    })
}

/// Sends the actions in order; the first failure ends the attempt. What was sent, if anything was.
async fn carry_out(
    writer: &Writer<'_, ZadigEnvConfig>,
    local: &mut Local,
    actions: Vec<Action>,
) -> Result<Option<String>, Error> {
    let mut done = Vec::new();
    for action in actions {
        if let Action::RecordOwnership(ownership) = &action {
            if !writer.claim(ownership).await? {
                break;
            }
            local.record = Some(ownership.clone());
            continue;
        }
        let call = act::send(&writer.zadig, writer.key, &writer.object.spec, &action);
        let Sent::Answered(sent) = writer.send(call).await? else {
            break;
        };
        local.memory.sent(&action, Timestamp::now());
        if let Err(error) = sent {
            if !error.is_outage() {
                local.memory.was_refused(&action);
            }
            if error.is_licence_refused() {
                writer.zadig.set_licence(Licence::Refused);
                return Ok(None);
            }
            return Err(error);
        }
        let summary = action.summary();
        let word = match &action {
            Action::RecordOwnership(_) => "OwnershipRecorded",
            Action::Create { .. } => "ConfigCreated",
            Action::Replace { .. } => "ConfigReplaced",
            Action::Delete => "ConfigDeleted",
        };
        writer.tell(word, &summary).await;
        done.push(summary);
    }
    Ok((!done.is_empty()).then(|| done.join("; ")))
}

/// Takes over what the object itself remembers, once.
fn load(object: &ZadigEnvConfig, local: &mut Local) {
    if local.loaded {
        return;
    }
    local.loaded = true;
    let status = object.status.as_ref();
    let inventory = status.and_then(|status| status.inventory.as_ref());
    local.record = driver::claimed(object).or_else(|| inventory.map(from_inventory));
    local.plan = status.and_then(|status| status.plan.clone());
    local.memory.wrote_at = status
        .and_then(|status| status.last_change.as_ref())
        .map(|change| change.time.0);
}

pub(super) fn from_inventory(inventory: &ConfigInventory) -> Ownership {
    let ConfigInventory {
        created,
        zadig,
        project,
        env,
        cluster_id,
        namespace,
    } = inventory.clone();
    Ownership {
        zadig,
        project,
        env,
        cluster_id,
        namespace,
        state: if created {
            OwnershipState::Created
        } else {
            OwnershipState::Adopted
        },
    }
}

async fn release(object: &ZadigEnvConfig, ctx: &Context, how: &'static str) -> Result<Step, Error> {
    driver::release(object, ctx).await?;
    Ok(Step::Released(how))
}

fn told(outcome: Outcome) -> Step {
    Step::Tell(outcome, Told::default(), driver::BLOCKED_RETRY)
}

fn deletion_policy(object: &ZadigEnvConfig) -> Option<ConfigDeletion> {
    if driver::is_orphaned(object) {
        return Some(ConfigDeletion::Orphan);
    }
    object.spec.deletion
}

fn environment(object: &ZadigEnvConfig, ctx: &Context) -> Option<Arc<ZadigEnvironment>> {
    ctx.environments.get(&Context::environment_of(object))
}

/// What is declared, in a form that can be compared: a change is a person speaking.
fn declared(
    object: &ZadigEnvConfig,
    content: Option<&Config>,
    management: Management,
    ctx: &Context,
) -> (i64, String, Option<String>) {
    let text = content.map(|config| config.object.0.to_string());
    (
        object.metadata.generation.unwrap_or_default(),
        ctx.digests
            .digest(text.as_deref().into_iter().chain([management.as_str()])),
        object.annotations().get(RECONCILE_ANNOTATION).cloned(),
    )
}

/// An older object that claims the same one.
fn rival_of(object: &ZadigEnvConfig, ctx: &Context) -> Option<String> {
    let same = |other: &ZadigEnvConfig| {
        other.uid() != object.uid()
            && other.namespace() == object.namespace()
            && other.spec.environment_ref == object.spec.environment_ref
            && (other.spec.type_, &other.spec.name) == (object.spec.type_, &object.spec.name)
    };
    let others: Vec<Claim> = ctx
        .configs
        .state()
        .iter()
        .filter(|other| same(other))
        .filter_map(|other| driver::age(&**other))
        .collect();
    rival(&driver::age(object)?, &others).map(|claim| format!("{}/{}", claim.namespace, claim.name))
}
