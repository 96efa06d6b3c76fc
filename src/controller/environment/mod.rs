//! The driver of an environment: observe, plan, act, status, in one readable chain.

mod act;
mod diagnose;
mod helm;
mod lifetime;
mod local;
mod managed;
mod observe;
mod sharing;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::time::Instant;

pub(super) use self::diagnose::Case;
pub(super) use self::lifetime::time_is_over;
pub(super) use self::local::{Diagnosis, Local};
pub(super) use self::observe::{Looker, View};
pub(super) use self::sharing::{base_of, wake_related};
use self::status::Facts;
use super::context::Context;
use super::deletions;
use super::desired;
use super::driver::{self, Managed, Rest};
use super::link::{Unlinked, link};
use super::management;
use super::queue::Requeue;
use super::write::{Needs, Sent, Writer};
use super::zadig::{Zadig, identity};
use super::{env_config, home};
use crate::api::condition::{Condition, ConditionStatus, ConditionType};
use crate::api::environment::{
    self as api, Deletion, Inventory, Ownership, OwnershipState, Scope, ServiceStatus,
    ZadigEnvironment, ZadigEnvironmentStatus,
};
use crate::api::management::Management;
use crate::api::{FINALIZER, RECONCILE_ANNOTATION};
use crate::error::Error;
use crate::plan::access::Verdict;
use crate::plan::budget::Counted;
use crate::plan::claim::rival;
use crate::plan::env_config::Config;
use crate::plan::env_config::carried::may_be_carried;
use crate::plan::environment::health::health;
use crate::plan::environment::lifetime::is_protected;
use crate::plan::environment::live;
use crate::plan::environment::memory::Memory;
use crate::plan::environment::{
    Action, Bound, Desired, Detail, EnvKey, Environment, Existence, Moved, Observed, Present, plan,
    proposal,
};
use crate::plan::management::Rules;
use crate::plan::{Blocked, Licence, Plan};

impl Managed for ZadigEnvironment {
    type Status = ZadigEnvironmentStatus;

    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.environments
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }

    fn diagnoses(status: &Self::Status) -> Vec<&api::Diagnosis> {
        let services = status.services.iter();
        services.filter_map(|it| it.diagnosis.as_ref()).collect()
    }
}

/// How one reconcile ended.
type Step = driver::Step<Told>;

/// What a step found besides its outcome.
#[derive(Default)]
struct Told {
    zadig_status: Option<(String, Timestamp)>,
    url: Option<String>,
    services: Option<(Vec<ServiceStatus>, usize, usize)>,
    change: Option<String>,
}

/// Reconciles one environment.
pub(super) async fn reconcile(object: Arc<ZadigEnvironment>, ctx: Arc<Context>) -> Requeue {
    let Some(uid) = object.uid() else {
        return Requeue::when_asked();
    };
    if let Some(wait) = ctx.written.wait(&*object) {
        return Requeue::after(wait);
    }
    let local = ctx.locals.of(&uid, Local::new);
    let local = &mut *local.lock().await;
    let started = Instant::now();
    let step = attempt(&object, &ctx, local).await;
    let due = lifetime::watch(&object, &ctx, local).await;
    let (record, memory) = (local.record.as_ref(), &local.memory);
    let (plan, wrote_at) = (local.plan.as_ref(), local.wrote_at);
    let judged = (&mut local.failures, &mut local.rest);
    let again = driver::conclude(
        &*object,
        &ctx,
        judged,
        started,
        step,
        |outcome, told, now| {
            let old = object.status.as_ref();
            let kept = old.and_then(|old| {
                let word = old.zadig_status.clone()?;
                Some((word, old.zadig_status_since.as_ref()?.0))
            });
            let zadig_status = told.zadig_status.or(kept);
            let facts = Facts {
                generation: object.metadata.generation.unwrap_or_default(),
                now,
                record,
                memory,
                plan,
                zadig_status: zadig_status
                    .as_ref()
                    .map(|(word, since)| (word.as_str(), *since)),
                url: told.url,
                services: told.services,
                // The same time in memory and in status: an approval depends on it.
                change: told.change.map(|change| (wrote_at.unwrap_or(now), change)),
                lifetime: lifetime::of(&object, record),
                handled: object
                    .annotations()
                    .get(RECONCILE_ANNOTATION)
                    .map(String::as_str),
            };
            status::status(old, outcome, facts)
        },
    )
    .await;
    match due {
        Some(due) => again.at_most(due),
        None => again,
    }
}

/// One attempt: it never loops back, the next one observes afresh.
async fn attempt(
    object: &ZadigEnvironment,
    ctx: &Context,
    local: &mut Local,
) -> Result<Step, Error> {
    let deleting = object.metadata.deletion_timestamp.is_some();
    load(object, local);
    if deleting && !object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Step::Released("nothing was ever written"));
    }
    let policy = deletion_policy(object, local.record.as_ref());
    if deleting && (policy == Some(Deletion::Orphan) || local.record.is_none()) {
        return release(object, ctx, "orphaned: nothing was called").await;
    }
    if let (true, Some(why)) = (deleting, management::hands_off(object.spec.suspend, object)) {
        management::tell_stays(object, ctx, why, "the environment stays in Zadig").await;
        return release(object, ctx, "left in Zadig: nothing was called").await;
    }
    if object.spec.suspend {
        return Ok(Step::Quiet(driver::jittered(Duration::from_hours(1))));
    }
    let over = lifetime::over(object, ctx, local, Timestamp::now());
    if let (Some(over), None) = (&over, &local.record) {
        return Ok(lifetime::expired(object, over));
    }
    let leaving = deleting || over.is_some();
    let zadig = match link(object, ctx, object.namespace(), deleting).await? {
        Ok(zadig) => zadig,
        Err(Unlinked::Unknown) => return Ok(Step::Quiet(Duration::from_secs(5))),
        Err(Unlinked::Tell(outcome)) => {
            return Ok(Step::Tell(outcome, Told::default(), driver::BLOCKED_RETRY));
        }
    };
    let key = home::key(object);
    let desired = if leaving {
        Desired::Absent {
            policy: over.map_or(policy, |_| Some(Deletion::Delete)),
            declared: object
                .spec
                .services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
            protected: is_protected(&object.spec),
            expired: over.is_some(),
        }
    } else {
        let wanted = desired::sources(&object.spec);
        let namespace = object.namespace().unwrap_or_default();
        let sources = desired::read_sources(&ctx.client, &namespace, wanted).await?;
        match desired::environment::<Action>(&object.spec, &sources, &ctx.digests) {
            Ok(environment) => Desired::Present(environment),
            Err(plan) => return Ok(told_plan(plan, Told::default())),
        }
    };
    let declared = declared(object, &desired, ctx);
    let person_spoke = local
        .declared
        .as_ref()
        .is_some_and(|known| known != &declared);
    if !person_spoke && let Some(wait) = local.failures.hold() {
        return Ok(Step::Quiet(wait));
    }
    if person_spoke {
        local.memory.recreated_at = None;
        sharing::ask_again(object, &zadig);
    }
    local.forget_repairs(person_spoke, Timestamp::now());
    if local.blocked && object.spec.sub_environment_of.is_some() {
        // Its base may have what was missing: whoever asks has seen something of it move, maybe before any list shows it.
        local.rest = None;
    }

    let bound = bound(object, ctx).await?;
    if local.bound != bound {
        // Which services may be pruned has changed.
        local.rest = None;
    }
    let list = zadig
        .list(
            key.scope,
            &key.project,
            local.list_since(zadig.intervals.list, leaving),
        )
        .await?;
    let entry = list.environments.get(&key.env);
    let seen = entry.map(|entry| (entry.status.to_string(), entry.update_time));
    if !person_spoke
        && local.declared.is_some()
        && seen.is_some()
        && local.seen == seen
        && let Some(rest) = &mut local.rest
        && let Some(wait) = rest.remaining(&zadig.budget, local.calls_per_look)
    {
        return Ok(Step::Quiet(wait));
    }
    let now = Timestamp::now();
    let looker = Looker {
        zadig: &zadig,
        key: &key,
        digests: &ctx.digests,
        always_live: false,
    };
    let neighbours = entry
        .map(|entry| observe::neighbours(&list.environments, entry))
        .unwrap_or_default();
    let mut view = looker.look(&desired, entry, neighbours, local, now).await?;
    if let (Desired::Present(environment), Existence::Absent { .. }) = (&desired, &view.existence) {
        view.catalog.configs = carried(object, environment, ctx).await?;
    }
    let around = sharing::look(
        object,
        ctx,
        (&zadig, &key),
        &desired,
        &mut view.existence,
        local,
    )
    .await?;
    take_back(object, ctx, &mut local.memory);
    if let (Desired::Present(environment), Existence::Present(present)) =
        (&desired, &view.existence)
        && let Some(detail) = &present.detail
    {
        local.memory.undeclared(environment, detail, &bound, now);
    }
    let mut memory = local.memory.clone();
    memory.was_ready_lately = was_ready_lately(object, now);
    let observed = Observed {
        now,
        key: key.clone(),
        zadig: zadig.identity.clone(),
        moved: moved(object, ctx, local, &zadig).await?,
        connection_suspended: ctx.is_suspended(object),
        rival: rival_of(object, ctx).await?,
        record: local.record.clone(),
        existence: view.existence,
        catalog: view.catalog,
        deletions: deletions::allowance(ctx, &zadig.connection).await,
        licence_refused: zadig.licence() == Licence::Refused,
        level: zadig.level(),
        memory,
        bound: bound.clone(),
        around,
        stuck_after: zadig.intervals.stuck,
    };
    let planned = plan(&desired, &observed);
    let is_so = planned == Plan::InSync;
    local.memory.repairs.looked(is_so, now);
    let rules = Rules {
        management: object.spec.management,
        approved: object.spec.approved_plan.as_deref(),
        known: local.plan.as_ref(),
    };
    let ahead = || proposal::ahead(&desired, &observed);
    let (mut planned, proposed, shown) = match (&desired, &over) {
        (Desired::Present(environment), _) => {
            let draft = |actions: &[Action]| {
                proposal::draft(environment, &observed, actions, local.wrote_at)
            };
            management::rule(object, ctx, rules, planned, ahead, draft).await
        }
        (Desired::Absent { .. }, Some(over)) => {
            let draft =
                |actions: &[Action]| proposal::ending(over, &observed, actions, local.wrote_at);
            management::rule(object, ctx, rules, planned, ahead, draft).await
        }
        // Whoever deletes the object has said so.
        (Desired::Absent { .. }, None) => (planned, None, None),
    };
    local.plan = proposed;
    if let Some((ownership, memory)) = only_ownership(&desired, &observed, &planned)
        && ctx.may_act()
    {
        driver::claim(object, ctx, &ownership).await?;
        local.record = Some(ownership);
        local.memory = memory;
        planned = Plan::InSync;
    }
    let looks_on = object.spec.management == Management::Observe;
    let mut told = Told::default();
    if let Existence::Present(present) = &observed.existence {
        told.zadig_status = Some((present.status.as_str().to_owned(), present.since));
        told.url = Some(observe::page(&zadig, &key));
    }
    if let (false, Existence::Present(present)) = (leaving, &observed.existence)
        && owned(local, present)
        && observed.rival.is_none()
        && !looks_on
    {
        driver::keep_claim(object, ctx, local.record.as_ref()).await?;
    }
    local.blocked = matches!(&planned, Plan::Blocked(_));
    local.declared = Some(declared);
    local.seen = seen;
    local.bound.clone_from(&bound);
    let environment = match &desired {
        Desired::Present(environment) => Some(environment),
        Desired::Absent { .. } => None,
    };
    let looked_at = match &observed.existence {
        Existence::Present(present) => environment.map(|environment| (environment, &**present)),
        Existence::Absent { .. } => None,
    };
    let held = shown.or_else(|| management::blocked(object.spec.management, &planned));
    let is_foreign = looked_at.is_some_and(|(_, present)| !owned(local, present));
    if held.is_some() || (looks_on && is_foreign && planned == Plan::InSync) {
        let look_after = local.look_after(deep_interval(&zadig, ctx, object, local));
        let place = (ctx, &*zadig, &key);
        let shown = managed::show(object, place, local, looked_at, held, look_after, told);
        return Ok(shown.await);
    }
    let detail = observed.detail();
    if let (Plan::InSync, Some(over)) = (&planned, &over) {
        return lifetime::give_up(object, ctx, local, over).await;
    }
    let blocked = match planned {
        Plan::InSync if deleting => return release(object, ctx, "cleaned up").await,
        Plan::Act(act) => {
            let needs = Needs::after(observed.existence.status());
            let writer = Writer::new(ctx, (object, object), (&zadig, &key), needs);
            let mut step = carry_out(&writer, local, environment, detail, act.actions).await?;
            if let Step::Tell(_, into, _) = &mut step {
                let change = into.change.take();
                *into = told;
                into.change = change;
                if let (Some(environment), Some(detail)) = (environment, detail) {
                    let health = health(environment, detail, &local.memory);
                    into.services =
                        Some((health.services, health.ready, environment.services.len()));
                }
            }
            return Ok(step);
        }
        Plan::InSync => Vec::new(),
        Plan::Blocked(blocked) => blocked,
        wait @ Plan::Wait(_) => {
            local.rest = None;
            return Ok(told_plan(wait, told));
        }
    };
    match (environment, &observed.existence) {
        (Some(environment), Existence::Present(present)) if owned(local, present) => Ok(settle(
            object,
            local,
            &zadig,
            &key,
            environment,
            present,
            &bound,
            blocked,
            told,
            ctx,
            now,
        )
        .await),
        _ => {
            local.rest = None;
            Ok(told_plan(Plan::Blocked(blocked), told))
        }
    }
}

/// What to record and to remember, where that is all there is to do about an environment that is there. No call is sent for it,
/// so the look that showed it still holds.
fn only_ownership(
    desired: &Desired,
    observed: &Observed,
    planned: &Plan<Action>,
) -> Option<(Ownership, Memory)> {
    let (Desired::Present(environment), Existence::Present(_), Plan::Act(act)) =
        (desired, &observed.existence, planned)
    else {
        return None;
    };
    let [action @ Action::RecordOwnership(ownership)] = act.actions.as_slice() else {
        return None;
    };
    let mut after = observed.clone();
    after.record = Some(ownership.clone());
    after.memory.sent(action, Some(environment), observed.now);
    (plan(desired, &after) == Plan::InSync).then(|| (ownership.clone(), after.memory))
}

/// Takes over what the object itself remembers, once.
fn load(object: &ZadigEnvironment, local: &mut Local) {
    if local.loaded {
        return;
    }
    local.loaded = true;
    let status = object.status.as_ref();
    let inventory = status.and_then(|status| status.inventory.as_ref());
    local.record = owner(object);
    local.plan = status.and_then(|status| status.plan.clone());
    local.memory = Memory {
        services: inventory
            .map(|i| i.services.iter().cloned().collect())
            .unwrap_or_default(),
        recreated_at: inventory
            .and_then(|i| i.recreated_at.as_ref())
            .map(|time| time.0),
        applied: status
            .map(|status| {
                status
                    .applied
                    .iter()
                    .map(|entry| (entry.name.clone(), entry.clone()))
                    .collect()
            })
            .unwrap_or_default(),
        sharing: sharing::load(status.and_then(|status| status.sharing.as_ref())),
        known: inventory.is_some(),
        diagnoses: status
            .map(|status| status.services.iter())
            .into_iter()
            .flatten()
            .filter_map(|it| Some((it.name.clone(), it.diagnosis.clone()?)))
            .collect(),
        expired: lifetime::told(object),
        ..Memory::default()
    };
    local.wrote_at = status
        .and_then(|status| status.last_change.as_ref())
        .map(|c| c.time.0);
    if let Some((word, since)) =
        status.and_then(|s| Some((s.zadig_status.as_ref()?, s.zadig_status_since.as_ref()?)))
    {
        local.load_word(word, since.0);
    }
}

/// Whose environment it is, as the object itself tells.
pub(super) fn owner(object: &ZadigEnvironment) -> Option<Ownership> {
    let inventory = || {
        Some(from_inventory(
            object,
            object.status.as_ref()?.inventory.as_ref()?,
        ))
    };
    driver::claimed(object).or_else(inventory)
}

fn from_inventory(object: &ZadigEnvironment, inventory: &Inventory) -> Ownership {
    Ownership {
        zadig: inventory.zadig.clone(),
        project: object.spec.project_key.clone(),
        env: object.spec.env_key.clone(),
        cluster_id: inventory.cluster_id.clone(),
        namespace: inventory.namespace.clone(),
        state: if inventory.created {
            OwnershipState::Created
        } else {
            OwnershipState::Adopted
        },
    }
}

fn owned(local: &Local, present: &Present) -> bool {
    local.record.as_ref().is_some_and(|record| {
        record.state != OwnershipState::Pending
            && record.cluster_id == present.cluster_id
            && record.namespace == present.namespace
    })
}

/// What deletion means for this object; the default depends on who made the environment.
fn deletion_policy(object: &ZadigEnvironment, record: Option<&Ownership>) -> Option<Deletion> {
    if driver::is_orphaned(object) {
        return Some(Deletion::Orphan);
    }
    object.spec.deletion.or_else(|| {
        record
            .filter(|record| record.state == OwnershipState::Adopted)
            .map(|_| Deletion::Orphan)
    })
}

/// What is declared, in a form that can be compared: a change is a person speaking.
fn declared(
    object: &ZadigEnvironment,
    desired: &Desired,
    ctx: &Context,
) -> (i64, String, Option<String>) {
    let digest = match desired {
        Desired::Absent {
            policy,
            declared: _,
            protected,
            expired,
        } => format!("{policy:?} {protected} {expired}"),
        Desired::Present(environment) => {
            let globals = environment
                .global_variables
                .iter()
                .flat_map(|(key, value)| [key.as_str(), value.expose()]);
            let services = environment.services.iter().flat_map(|(name, service)| {
                std::iter::once(name.as_str()).chain(service.digests())
            });
            ctx.digests.digest(globals.chain(services))
        }
    };
    (
        object.metadata.generation.unwrap_or_default(),
        digest,
        object.annotations().get(RECONCILE_ANNOTATION).cloned(),
    )
}

/// The objects that the creation of the environment carries, as far as they are there and claimed.
async fn carried(
    object: &ZadigEnvironment,
    environment: &Environment,
    ctx: &Context,
) -> Result<BTreeMap<String, Result<Config, String>>, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let mut found = BTreeMap::new();
    for name in &environment.configs {
        let Some(config) = ctx.configs.get(&ObjectRef::new(name).within(&namespace)) else {
            continue;
        };
        let claimed = driver::claimed(&*config).is_some_and(|record| {
            may_be_carried(config.spec.creation, &record)
                && record.project == object.spec.project_key
                && record.env == object.spec.env_key
                && record.namespace == environment.namespace
        });
        let ready = if config.spec.environment_ref.name != object.name_any() {
            Err("it belongs to another environment".to_owned())
        } else if config.metadata.deletion_timestamp.is_some() {
            Err("it is being deleted".to_owned())
        } else if !claimed {
            Err("it is not ready; see there".to_owned())
        } else {
            let content = env_config::content(ctx, &config, object).await?;
            content.map_err(|outcome| outcome.message().to_owned())
        };
        found.insert(name.clone(), ready);
    }
    Ok(found)
}

/// The services that bindings claim, and how far their claims have come.
async fn bound(object: &ZadigEnvironment, ctx: &Context) -> Result<BTreeMap<String, Bound>, Error> {
    let mut bound = BTreeMap::new();
    for binding in ctx.bindings_of(object) {
        let service = &binding.spec.service.name;
        let inline = object.spec.services.iter().any(|it| &it.name == service);
        if inline || !ctx.may_bind(&binding, object).await? {
            continue;
        }
        let claim = match driver::claimed(&*binding).map(|record| record.state) {
            Some(OwnershipState::Created) => Bound::Added,
            Some(OwnershipState::Adopted) => Bound::Adopted,
            Some(OwnershipState::Pending) | None => Bound::Claimed,
        };
        bound.insert(service.clone(), claim);
    }
    Ok(bound)
}

/// Whether no binding claims what an action removes from an environment that stays, at the last moment: its turn may have been long
/// in coming.
async fn is_still_nobodys(
    writer: &Writer<'_, ZadigEnvironment>,
    environment: Option<&Environment>,
    action: &Action,
) -> Result<bool, Error> {
    let (Some(_), Action::RemoveServices { services }) = (environment, action) else {
        return Ok(true);
    };
    let bound = bound(writer.object, writer.ctx).await?;
    Ok(!bound.keys().any(|name| services.contains(name)))
}

/// Takes over what bindings remember of services that the environment declares itself by now: moving a service costs no restart.
fn take_back(object: &ZadigEnvironment, ctx: &Context, memory: &mut Memory) {
    for binding in ctx.all_bindings_of(object) {
        let service = &binding.spec.service.name;
        let inline = object.spec.services.iter().any(|it| &it.name == service);
        let Some(applied) = binding.status.as_ref().and_then(|it| it.applied.clone()) else {
            continue;
        };
        if !inline || !memory.known || memory.applied.contains_key(service) {
            continue;
        }
        memory.applied.insert(service.clone(), applied);
        if driver::claimed(&*binding).is_some_and(|record| record.state == OwnershipState::Created)
        {
            memory.services.insert(service.clone());
        }
    }
}

/// An older object that claims the same environment and may do so.
async fn rival_of(object: &ZadigEnvironment, ctx: &Context) -> Result<Option<String>, Error> {
    let Some(mine) = driver::age(object) else {
        return Ok(None);
    };
    let Some(zadig) = zadig_identity(object, ctx) else {
        return Ok(None);
    };
    let mut others = Vec::new();
    for other in ctx.environments.state() {
        let same = other.spec.project_key == object.spec.project_key
            && other.spec.env_key == object.spec.env_key
            && other.uid() != object.uid()
            && zadig_identity(&other, ctx).as_ref() == Some(&zadig);
        // Whoever only looks on claims nothing.
        let claims_nothing =
            other.spec.management == Management::Observe && owner(&other).is_none();
        if !same || claims_nothing {
            continue;
        }
        let Some(connection) = ctx.connection(&Context::connection_key(&other)) else {
            continue;
        };
        if ctx.may_use(&other, &connection).await? == Verdict::Admitted {
            others.extend(driver::age(&*other));
        }
    }
    Ok(rival(&mine, &others).map(|claim| format!("{}/{}", claim.namespace, claim.name)))
}

fn zadig_identity(object: &ZadigEnvironment, ctx: &Context) -> Option<String> {
    let connection = ctx.connection(&Context::connection_key(object))?;
    Some(identity(&connection.spec.url.parse().ok()?))
}

/// Whether the connection leads to the Zadig that the environment was made in.
///
/// A changed URL counts as the same Zadig only when every environment that was made through the connection is found there as
/// recorded (design §2).
async fn moved(
    object: &ZadigEnvironment,
    ctx: &Context,
    local: &Local,
    zadig: &Zadig,
) -> Result<Moved, Error> {
    let elsewhere = |record: &Ownership| record.zadig != zadig.identity;
    if !local.record.as_ref().is_some_and(elsewhere) {
        return Ok(Moved::No);
    }
    let of = |scope| move |record: Ownership| (scope, record);
    let mine = local.record.clone().map(of(object.spec.scope));
    let mut records: Vec<(Scope, Ownership)> = mine.into_iter().collect();
    for other in ctx.users(&Context::connection_key(object)) {
        let mut known = Local::new();
        load(&other, &mut known);
        let record = known.record.filter(elsewhere);
        records.extend(record.map(of(other.spec.scope)));
    }
    let since = Instant::now()
        .checked_sub(Duration::from_secs(10))
        .unwrap_or_else(Instant::now);
    for (scope, record) in records
        .iter()
        .filter(|(_, record)| record.state != OwnershipState::Pending)
    {
        let list = zadig.list(*scope, &record.project, since).await?;
        let found = list.environments.get(&record.env).is_some_and(|entry| {
            entry.cluster_id == record.cluster_id && entry.namespace == record.namespace
        });
        if !found {
            return Ok(Moved::DifferentZadig);
        }
    }
    Ok(Moved::SameZadig)
}

/// Sends the actions up to the first that Zadig goes on working at; the first failure ends the attempt.
async fn carry_out(
    writer: &Writer<'_, ZadigEnvironment>,
    local: &mut Local,
    environment: Option<&Environment>,
    detail: Option<&Detail>,
    actions: Vec<Action>,
) -> Result<Step, Error> {
    let mut done = Vec::new();
    let mut refused = None;
    let mut after = Duration::from_millis(50);
    let claimed_before = local.record.is_some();
    let deleting = writer.object.metadata.deletion_timestamp.is_some();
    for action in actions {
        if let Action::RecordOwnership(ownership) = &action {
            if !writer.claim(ownership).await? {
                break;
            }
            local.record = Some(ownership.clone());
            local.memory.sent(&action, environment, Timestamp::now());
            local.rest = None;
            if ownership.state != OwnershipState::Pending {
                // What is remembered from here on is stored at once: without it, the next process would take whatever is
                // declared then for what the environment holds.
                done.push(action.summary());
            }
            continue;
        }
        if let Action::NoteRestore { .. } = &action {
            // Stored with the status, before anything is done that it is needed after.
            local.memory.sent(&action, environment, Timestamp::now());
            local.rest = None;
            done.push(action.summary());
            after = live::NOTED;
            continue;
        }
        let counted = match environment {
            Some(_) => Some(Counted::Parts),
            None if deleting => Some(Counted::Environment),
            None => None,
        };
        let subjects = counted.map_or_else(Vec::new, |counted| counted.subjects(&action));
        if !deletions::count(writer, &mut local.memory, subjects).await? {
            break;
        }
        let still = is_still_nobodys(writer, environment, &action);
        let call = Box::pin(local.call(writer, &action, environment, detail));
        let Sent::Answered(sent) = writer.send_if(still, call).await? else {
            break;
        };
        if let Err(error) = sent {
            let again = local.memory.refusal(&action).is_some();
            if !error.is_outage() {
                local.memory.was_refused(&action);
            }
            if error.is_licence_refused() {
                if action.needs_enterprise() {
                    writer.zadig.refuse_enterprise();
                } else {
                    writer.zadig.set_licence(Licence::Refused);
                }
                return Ok(Step::Quiet(Duration::from_millis(10)));
            }
            if sharing::gives_up(writer.object, &action, &error, again) {
                sharing::tell_given_up(writer.object, writer.ctx, &action, &error).await;
                local.memory.sent(&action, environment, Timestamp::now());
                continue;
            }
            if matches!(action, Action::CreateEnvironment(_)) && !error.outcome_unknown() {
                refused_create(writer, local, claimed_before).await?;
            }
            if matches!(action, Action::PutGlobalVariables { .. })
                && !error.outcome_unknown()
                && !error.is_outage()
            {
                // Only this call asks for a licence (Z§1.3). What depends on it is not planned before it took effect.
                refused = Some(error);
                continue;
            }
            return Err(error);
        }
        local.memory.sent(&action, environment, Timestamp::now());
        if matches!(action, Action::CreateEnvironment(_)) {
            writer.ctx.was_made(writer.object);
        }
        let summary = action.summary();
        writer.tell(action_word(&action), &summary).await;
        done.push(summary);
        if action.continues() {
            after = Duration::from_secs(1);
            break;
        }
    }
    if done.is_empty() {
        return match refused {
            Some(error) => Err(error),
            None => Ok(Step::Quiet(Duration::from_millis(10))),
        };
    }
    let summary = done.join("; ");
    let told = Told {
        change: Some(summary.clone()),
        ..Told::default()
    };
    let outcome = match environment {
        None if !deleting => lifetime::ending(&summary),
        _ => writer.sent(&summary),
    };
    Ok(Step::Tell(outcome, told, after))
}

/// The action's word in events and metrics; a closed set.
pub(super) fn action_word(action: &Action) -> &'static str {
    match action {
        Action::RecordOwnership(_) => "OwnershipRecorded",
        Action::CreateEnvironment(_) => "EnvironmentCreated",
        Action::SetRegistry { .. } => "RegistrySet",
        Action::SetAlias { .. } => "AliasSet",
        Action::PutGlobalVariables { .. } => "GlobalVariablesSet",
        Action::NoteRestore { .. } => "RestoreNoted",
        Action::TakeOut { .. } => "ServiceTakenOut",
        Action::RemoveServices { .. } => "ServicesRemoved",
        Action::UpdateServices { .. } => "ServicesUpdated",
        Action::AddServices { .. } => "ServicesAdded",
        Action::DeployReleases { .. } => "ReleasesDeployed",
        Action::SetImage { .. } => "ImageSet",
        Action::ScaleWorkload { .. } => "WorkloadScaled",
        Action::RestartService { .. } => "ServiceRestarted",
        Action::EnableSharing => "SharingEnabled",
        Action::DisableSharing => "SharingDisabled",
        Action::SetPortal { .. } => "PortalSet",
        Action::DeleteEnvironment { .. } => "EnvironmentDeleted",
    }
}

/// A refused create takes the claim away again, unless an earlier call of ours may still have worked.
async fn refused_create(
    writer: &Writer<'_, ZadigEnvironment>,
    local: &mut Local,
    claimed_before: bool,
) -> Result<(), Error> {
    let Writer { zadig, key, .. } = writer;
    if claimed_before {
        let list = zadig.list(key.scope, &key.project, Instant::now()).await?;
        if list.environments.contains_key(&key.env) {
            return Ok(());
        }
    }
    driver::disclaim(writer.object, writer.ctx).await?;
    local.record = None;
    Ok(())
}

/// Removes the finalizer, and tells the connection that one user less needs it.
async fn release(
    object: &ZadigEnvironment,
    ctx: &Context,
    how: &'static str,
) -> Result<Step, Error> {
    driver::release(object, ctx).await?;
    ctx.wake_connection(&Context::connection_key(object));
    Ok(Step::Released(how))
}

/// Nothing is left to send: remember what was seen, and tell how the services are.
#[expect(
    clippy::too_many_arguments,
    reason = "the end of the chain holds all its results"
)]
async fn settle(
    object: &ZadigEnvironment,
    local: &mut Local,
    zadig: &Zadig,
    key: &EnvKey,
    environment: &Environment,
    present: &Present,
    bound: &BTreeMap<String, Bound>,
    blocked: Vec<Blocked>,
    mut told: Told,
    ctx: &Context,
    now: Timestamp,
) -> Step {
    let Some(detail) = &present.detail else {
        local.rest = None;
        return told_plan(Plan::Blocked(blocked), told);
    };
    let created = local
        .record
        .as_ref()
        .is_some_and(|record| record.state == OwnershipState::Created);
    local.memory.seen(
        environment,
        detail,
        present.update_time,
        created,
        &BTreeSet::new(),
        bound,
    );
    if !blocked.is_empty() {
        let health = health(environment, detail, &local.memory);
        told.services = Some((health.services, health.ready, environment.services.len()));
        // What was looked up by name may appear without anything in the environment moving.
        let look_after = driver::jittered(driver::BLOCKED_RETRY);
        local.rest = Some(Rest::new(look_after));
        return Step::Tell(driver::stalled(blocked), told, look_after);
    }
    // Something was under way: whoever waits for this environment can go on.
    let arrives = local.rest.is_none();
    let look_after = local.look_after(deep_interval(zadig, ctx, object, local));
    let case = Case {
        ctx,
        zadig,
        key,
        home: object,
        binding: None,
        declared: environment,
        detail,
    };
    let was_ready = driver::is_ready(object);
    let (health, diagnosis) = case.judge(local, was_ready, look_after, now).await;
    told.services = Some((health.services, health.ready, environment.services.len()));
    if arrives && matches!(diagnosis, Diagnosis::Healthy) {
        sharing::wake_related(ctx, object);
    }
    diagnosis.step(told, look_after)
}

/// The time between thorough looks: as configured, or as long as the budget makes it (design §6).
fn deep_interval(
    zadig: &Zadig,
    ctx: &Context,
    object: &ZadigEnvironment,
    local: &Local,
) -> Duration {
    let users = ctx.users(&Context::connection_key(object)).len();
    zadig
        .intervals
        .deep
        .max(zadig.budget.round(users, local.calls_per_look))
}

/// A plan that is told as it is.
fn told_plan(plan: Plan<Action>, told: Told) -> Step {
    match driver::outcome_of(plan) {
        Some((outcome, after)) => Step::Tell(outcome, told, after),
        None => Step::Quiet(Duration::from_secs(1)),
    }
}

/// Whether the environment was Ready within the last day.
fn was_ready_lately(object: &ZadigEnvironment, now: Timestamp) -> bool {
    const LATELY: Duration = Duration::from_hours(24);
    object
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .any(|condition| {
            condition.type_ == ConditionType::Ready
                && (condition.status == ConditionStatus::True
                    || Duration::try_from(now.duration_since(condition.last_transition_time.0))
                        .is_ok_and(|age| age < LATELY))
        })
}
