//! The driver of a service that is owned apart from its environment: observe, plan, act, status.
//!
//! It looks and sends as the driver of environments does, for an environment with this service alone.

mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Patch;
use kube::runtime::events::EventType;
use kube::runtime::reflector::Store;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use self::status::Facts;
use super::context::Context;
use super::driver::{self, Managed, Rest};
use super::environment::{Case, Local, Looker, View, action_word, base_of};
use super::home::{self, Found};
use super::link::{Unlinked, link};
use super::outcome::{Held, Outcome};
use super::queue::Requeue;
use super::write::{Needs, Sent, Writer};
use super::zadig::Zadig;
use super::{deletions, desired, env_config, management};
use crate::api::condition::{Condition, Reason};
use crate::api::environment::{
    self as api, AppliedService, DeployType, OwnershipState, Prune, Scope, ServiceStatus,
    WorkloadKind, ZadigEnvironment,
};
use crate::api::management::Management;
use crate::api::service_binding::{
    BindingDeletion, ZadigServiceBinding, ZadigServiceBindingSpec, ZadigServiceBindingStatus,
};
use crate::api::{FINALIZER, RECONCILE_ANNOTATION};
use crate::error::Error;
use crate::plan::budget::Counted;
use crate::plan::claim::rival;
use crate::plan::environment::health::health;
use crate::plan::environment::lifetime::is_protected;
use crate::plan::environment::memory::Memory;
use crate::plan::environment::{
    self as env, Detail, EnvKey, Environment, Existence, Moved, Present, sharing,
};
use crate::plan::home::Home;
use crate::plan::management::Rules;
use crate::plan::service_binding::{
    Action, Binding, Desired, Observed, only_workload, plan, proposal, scaled,
};
use crate::plan::{Blocked, Licence, Plan};

impl Managed for ZadigServiceBinding {
    type Status = ZadigServiceBindingStatus;

    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.bindings
    }

    fn status(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }

    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }

    fn diagnoses(status: &Self::Status) -> Vec<&api::Diagnosis> {
        let service = status.service.iter();
        service.filter_map(|it| it.diagnosis.as_ref()).collect()
    }
}

/// How one reconcile ended.
type Step = driver::Step<Told>;

/// What a step found besides its outcome.
#[derive(Default)]
struct Told {
    service: Option<ServiceStatus>,
    replicas: Option<i32>,
    selector: Option<String>,
    change: Option<String>,
}

/// Reconciles one binding.
pub(super) async fn reconcile(object: Arc<ZadigServiceBinding>, ctx: Arc<Context>) -> Requeue {
    let Some(uid) = object.uid() else {
        return Requeue::when_asked();
    };
    if let Some(wait) = ctx.written.wait(&*object) {
        return Requeue::after(wait);
    }
    let local = ctx.binding_locals.of(&uid, Local::new);
    let local = &mut *local.lock().await;
    let started = Instant::now();
    let step = attempt(&object, &ctx, local).await;
    let (record, memory) = (local.record.as_ref(), &local.memory);
    let (plan, wrote_at) = (local.plan.as_ref(), local.wrote_at);
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
                memory,
                plan,
                wrote_at,
                told,
                handled: object.annotations().get(RECONCILE_ANNOTATION),
            };
            status::status(object.status.as_ref(), outcome, facts)
        },
    )
    .await
}

/// One attempt: it never loops back, the next one observes afresh.
async fn attempt(
    object: &ZadigServiceBinding,
    ctx: &Context,
    local: &mut Local,
) -> Result<Step, Error> {
    load(object, local);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if deleting && !object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Step::Released("nothing was ever written"));
    }
    let policy = deletion_policy(object);
    if deleting && (policy == Some(BindingDeletion::Orphan) || local.record.is_none()) {
        return release(object, ctx, "orphaned: nothing was called").await;
    }
    let home = Context::home_of(object);
    let environment = match ctx.environments.get(&home) {
        Some(environment) if ctx.may_bind(object, &environment).await? => environment,
        // Whether there is one is nobody's business from where it is not admitted.
        _ if deleting => {
            let note = format!(
                "deleted while no ZadigEnvironment {} in namespace {} admits this namespace: where its environment is there, service {} stays in it",
                home.name,
                home.namespace.unwrap_or_default(),
                object.spec.service.name
            );
            let reason = Reason::EnvironmentNotFound.as_str();
            ctx.event(object, EventType::Normal, reason, "Release", &note)
                .await;
            return release(
                object,
                ctx,
                "no ZadigEnvironment admits it: nothing was called",
            )
            .await;
        }
        _ => {
            return Ok(told(Outcome::Working(
                Reason::EnvironmentNotFound,
                format!(
                    "spec.environmentRef: waiting for a ZadigEnvironment {} in namespace {} that admits this one under its bindings",
                    home.name,
                    home.namespace.unwrap_or_default()
                ),
            )));
        }
    };
    if let (true, Some(why)) = (
        deleting,
        management::hands_off(object.spec.suspend, &environment),
    ) {
        management::tell_stays(object, ctx, why, "the service stays in the environment").await;
        return release(object, ctx, "left in Zadig: nothing was called").await;
    }
    if object.spec.suspend || environment.spec.suspend {
        return Ok(Step::Quiet(driver::jittered(Duration::from_hours(1))));
    }
    if let (false, Some(over)) = (deleting, home::over(&environment, ctx)) {
        return Ok(told(over));
    }
    let desired = if deleting {
        Desired::Absent {
            policy,
            protected: is_protected(&environment.spec),
            asked: object
                .metadata
                .deletion_timestamp
                .as_ref()
                .filter(|_| environment.metadata.deletion_timestamp.is_none())
                .map(|time| time.0),
        }
    } else {
        match binding(object, &environment, ctx).await? {
            Ok(binding) => Desired::Present(Box::new(binding)),
            Err(plan) => return Ok(told_plan(plan, Told::default())),
        }
    };
    let zadig = match link(&environment, ctx, object.namespace(), deleting).await? {
        Ok(zadig) => zadig,
        Err(Unlinked::Unknown) => return Ok(Step::Quiet(Duration::from_secs(5))),
        Err(Unlinked::Tell(outcome)) => return Ok(told(outcome)),
    };
    let key = home::key(&environment);
    let management = environment.spec.management;
    let declared = declared(object, &desired, management, ctx);
    let person_spoke = local
        .declared
        .as_ref()
        .is_some_and(|known| known != &declared);
    local.forget_repairs(person_spoke, Timestamp::now());
    if local.blocked && environment.spec.sub_environment_of.is_some() {
        // The base may have what was missing, as for the environment itself.
        local.rest = None;
    }
    let since = local.list_since(zadig.intervals.list, deleting);
    let list = zadig.list(key.scope, &key.project, since).await?;
    let entry = list.environments.get(&key.env);
    let seen = entry.map(|entry| (entry.status.to_string(), entry.update_time));
    let inline = declares(&environment, &object.spec.service.name);
    if !person_spoke
        && !inline
        && seen.is_some()
        && local.seen == seen
        && let Some(rest) = &mut local.rest
        && let Some(wait) = rest.remaining(&zadig.budget, local.calls_per_look)
    {
        return Ok(Step::Quiet(wait));
    }
    let now = Timestamp::now();
    let home = match home::find(&environment, &key, &zadig, since, deleting).await? {
        Found::Here(place) => Home::Present(place),
        Found::Other(why, recorded) => Home::Other { why, recorded },
        Found::Missing(why) => Home::Missing { why, carried: None },
    };
    let looker = Looker {
        zadig: &zadig,
        key: &key,
        digests: &ctx.digests,
        always_live: true,
    };
    let view = match &home {
        Home::Present(_) => {
            let wanted = desired.as_environment();
            let view = looker.look(&wanted, entry, Vec::new(), local, now);
            view.await?
        }
        Home::Missing { .. } | Home::Other { .. } => View::default(),
    };
    let mut around = sharing::Around::default();
    if let (Home::Present(_), Desired::Present(_)) = (&home, &desired) {
        around.base = base_of(&environment, ctx, &zadig).await?;
        local.calls_per_look += usize::from(around.base.is_some());
    }
    let handed_over = !inline && owns(&environment, &object.spec.service.name);
    if handed_over && local.record.is_none() {
        take_over(object, &environment, local);
    }
    let observed = Observed {
        service: object.spec.service.name.clone(),
        home,
        inline,
        taken_back: remembers(&environment, object),
        handed_over,
        rival: rival_of(object, &environment, ctx).await?,
        inner: env::Observed {
            now,
            key: key.clone(),
            zadig: zadig.identity.clone(),
            moved: Moved::No,
            connection_suspended: ctx.is_suspended(&environment),
            rival: None,
            record: local.record.clone(),
            existence: view.existence,
            catalog: view.catalog,
            deletions: deletions::allowance(ctx, &zadig.connection).await,
            licence_refused: zadig.licence() == Licence::Refused,
            level: zadig.level(),
            memory: local.memory.clone(),
            bound: BTreeMap::new(),
            around,
            stuck_after: zadig.intervals.stuck,
        },
    };
    let planned = plan(&desired, &observed);
    let is_so = planned == Plan::InSync;
    local.memory.repairs.looked(is_so, now);
    let (planned, proposed, shown) = match &desired {
        Desired::Present(binding) => {
            let rules = Rules {
                management,
                approved: object.spec.approved_plan.as_deref(),
                known: local.plan.as_ref(),
            };
            let ahead = || proposal::ahead(&desired, &observed);
            let draft =
                |actions: &[Action]| proposal::draft(binding, &observed, actions, local.wrote_at);
            management::rule(object, ctx, rules, planned, ahead, draft).await
        }
        // Whoever deletes the object has said so.
        Desired::Absent { .. } => (planned, None, None),
    };
    local.plan = proposed;
    local.blocked = matches!(&planned, Plan::Blocked(_));
    local.declared = Some(declared);
    local.seen = seen;
    let look_after = local.look_after(zadig.intervals.deep);
    local.rest = None;
    let declared = match &desired {
        Desired::Present(binding) => Some(&binding.environment),
        Desired::Absent { .. } => None,
    };
    let looked_at = match (&observed.inner.existence, declared) {
        (Existence::Present(present), Some(environment)) => Some((&**present, environment)),
        _ => None,
    };
    let mut found = Told::default();
    if let Some((present, environment)) = looked_at
        && let Some(detail) = &present.detail
    {
        found.service = health(environment, detail, &local.memory)
            .services
            .into_iter()
            .next();
        found.replicas = replicas(object, detail);
        // Zadig labels no pods of a release (Z§5.5).
        if environment.deploy_type == DeployType::KubernetesYaml {
            found.selector = selector(&key, &object.spec.service.name);
        }
    }
    let owned = local
        .record
        .as_ref()
        .is_some_and(|record| record.state != OwnershipState::Pending);
    let looks_on = management == Management::Observe;
    let held = shown.or_else(|| management::blocked(management, &planned));
    if held.is_some() || (looks_on && planned == Plan::InSync && !owned) {
        let whose = (object, &*environment);
        let place = (ctx, &*zadig, &key);
        let shown = show(whose, place, local, looked_at, held, look_after, found);
        return Ok(shown.await);
    }
    let blocked = match planned {
        Plan::InSync if deleting => {
            let (record, home) = (local.record.as_ref(), &observed.home);
            home::tell_left_behind(object, ctx, record, home, "the service").await;
            return release(object, ctx, "cleaned up").await;
        }
        Plan::InSync => {
            if !looks_on {
                driver::keep_claim(object, ctx, local.record.as_ref()).await?;
            }
            Vec::new()
        }
        Plan::Blocked(blocked) => blocked,
        Plan::Act(act) => {
            let detail = observed.inner.detail();
            let needs = Needs::after(observed.home.status());
            let writer = Writer::new(ctx, (object, &*environment), (&zadig, &key), needs);
            let change = carry_out(&writer, local, declared, detail, act.actions).await?;
            let Some(change) = change else {
                return Ok(Step::Quiet(Duration::from_millis(10)));
            };
            let outcome = writer.sent(&change);
            found.change = Some(change);
            return Ok(Step::Tell(outcome, found, Duration::from_secs(1)));
        }
        wait @ Plan::Wait(_) => return Ok(told_plan(wait, found)),
    };
    match looked_at {
        Some((present, declared)) if owned && !inline => Ok(settle(
            local,
            look_after,
            (present, declared),
            blocked,
            found,
            (ctx, &zadig, &key),
            (object, &environment),
            now,
        )
        .await),
        _ => Ok(told_plan(Plan::<Action>::Blocked(blocked), found)),
    }
}

/// Tells how the service is, and what is not done about it.
async fn show(
    (object, home): (&ZadigServiceBinding, &ZadigEnvironment),
    (ctx, zadig, key): (&Context, &Zadig, &EnvKey),
    local: &mut Local,
    looked_at: Option<(&Present, &Environment)>,
    held: Option<Held>,
    look_after: Duration,
    mut found: Told,
) -> Step {
    let detail = looked_at.and_then(|(present, environment)| {
        found.service.as_ref()?;
        Some((present.detail.as_ref()?, environment))
    });
    let Some((detail, environment)) = detail else {
        // There is no such service, so nothing can be said of it.
        local.rest = Some(Rest::new(look_after));
        return match held {
            Some(held) => Step::Tell(Outcome::Held(held), found, look_after),
            None => Step::Quiet(look_after),
        };
    };
    let case = Case {
        ctx,
        zadig,
        key,
        home,
        binding: Some(object),
        declared: environment,
        detail,
    };
    let was_ready = driver::is_ready(object);
    let judged = case.judge(local, was_ready, look_after, Timestamp::now());
    let (health, diagnosis) = judged.await;
    found.service = health.services.into_iter().next();
    management::held(held, diagnosis, look_after).step(found, look_after)
}

/// Nothing is left to send: remember what was seen, and tell how the service is.
#[expect(
    clippy::too_many_arguments,
    reason = "the end of the chain holds all its results"
)]
async fn settle(
    local: &mut Local,
    look_after: Duration,
    (present, environment): (&Present, &Environment),
    blocked: Vec<Blocked>,
    mut found: Told,
    (ctx, zadig, key): (&Context, &Zadig, &EnvKey),
    (object, home): (&ZadigServiceBinding, &ZadigEnvironment),
    now: Timestamp,
) -> Step {
    let Some(detail) = &present.detail else {
        return told_plan(Plan::<Action>::Blocked(blocked), found);
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
        &BTreeMap::new(),
    );
    if !blocked.is_empty() {
        // What was looked up by name may appear without anything in the environment moving.
        local.rest = Some(Rest::new(driver::BLOCKED_RETRY));
        return told_plan(Plan::<Action>::Blocked(blocked), found);
    }
    let case = Case {
        ctx,
        zadig,
        key,
        home,
        binding: Some(object),
        declared: environment,
        detail,
    };
    let was_ready = driver::is_ready(object);
    let (health, diagnosis) = case.judge(local, was_ready, look_after, now).await;
    found.service = health.services.into_iter().next();
    diagnosis.step(found, look_after)
}

/// Sends the actions up to the first that Zadig goes on working at; the first failure ends the attempt. What was sent, if
/// anything was.
async fn carry_out(
    writer: &Writer<'_, ZadigServiceBinding>,
    local: &mut Local,
    declared: Option<&Environment>,
    detail: Option<&Detail>,
    actions: Vec<Action>,
) -> Result<Option<String>, Error> {
    let mut done = Vec::new();
    for action in actions {
        let call = match &action {
            Action::SeedReplicas(replicas) => {
                if !writer.may_write() {
                    break;
                }
                seed(writer.object, writer.ctx, *replicas).await?;
                continue;
            }
            Action::Environment(env::Action::RecordOwnership(ownership)) => {
                if !writer.claim(ownership).await? {
                    break;
                }
                local.record = Some(ownership.clone());
                let record = env::Action::RecordOwnership(ownership.clone());
                local.memory.sent(&record, declared, Timestamp::now());
                if ownership.state != OwnershipState::Pending {
                    // What is remembered from here on is stored at once, as for an environment.
                    done.push(action.summary());
                }
                continue;
            }
            Action::Environment(note @ env::Action::NoteRestore { .. }) => {
                local.memory.sent(note, declared, Timestamp::now());
                done.push(action.summary());
                continue;
            }
            Action::Environment(call) => call,
        };
        let subjects = Counted::Parts.subjects(call);
        if !deletions::count(writer, &mut local.memory, subjects).await? {
            break;
        }
        let sending = Box::pin(local.call(writer, call, declared, detail));
        let Sent::Answered(sent) = writer.send(sending).await? else {
            break;
        };
        if let Err(error) = sent {
            if !error.is_outage() {
                local.memory.was_refused(call);
            }
            return Err(error);
        }
        local.memory.sent(call, declared, Timestamp::now());
        let summary = call.summary();
        writer.tell(action_word(call), &summary).await;
        done.push(summary);
        if call.continues() {
            break;
        }
    }
    Ok((!done.is_empty()).then(|| done.join("; ")))
}

/// Writes the present number of pods into the spec, once: the one exception to never writing there (design §2, rule 4). The
/// very version that was read is meant, so that nobody's own number is overwritten.
async fn seed(object: &ZadigServiceBinding, ctx: &Context, replicas: i32) -> Result<(), Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<ZadigServiceBinding> = Api::namespaced(ctx.client.clone(), &namespace);
    let patch = json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "spec": {"replicas": replicas},
    });
    api.patch(&object.name_any(), &driver::merge(), &Patch::Merge(&patch))
        .await
        .map_err(Error::kubernetes("take over the number of replicas"))?;
    Ok(())
}

/// Takes over what the object itself remembers, once.
fn load(object: &ZadigServiceBinding, local: &mut Local) {
    if local.loaded {
        return;
    }
    local.loaded = true;
    let status = object.status.as_ref();
    let inventory = status.and_then(|status| status.inventory.as_ref());
    local.record = driver::claimed(object).or_else(|| inventory.map(env_config::from_inventory));
    let applied = status.and_then(|status| status.applied.clone());
    local.memory = remembered(applied, inventory.is_some());
    let service = status.and_then(|status| status.service.as_ref());
    local.memory.diagnoses = service
        .and_then(|it| Some((it.name.clone(), it.diagnosis.clone()?)))
        .into_iter()
        .collect();
    local.plan = status.and_then(|status| status.plan.clone());
    local.wrote_at = status
        .and_then(|status| status.last_change.as_ref())
        .map(|change| change.time.0);
}

fn remembered(applied: Option<AppliedService>, known: bool) -> Memory {
    Memory {
        services: applied.iter().map(|entry| entry.name.clone()).collect(),
        applied: applied
            .into_iter()
            .map(|entry| (entry.name.clone(), entry))
            .collect(),
        known,
        ..Memory::default()
    }
}

/// Takes over what the environment remembers of the service, so that moving it costs no restart.
fn take_over(object: &ZadigServiceBinding, environment: &ZadigEnvironment, local: &mut Local) {
    let name = &object.spec.service.name;
    let applied = environment
        .status
        .iter()
        .flat_map(|status| &status.applied)
        .find(|entry| &entry.name == name)
        .cloned();
    let known = applied.is_some();
    local.memory = remembered(applied, known);
}

fn owns(environment: &ZadigEnvironment, service: &String) -> bool {
    let inventory = environment
        .status
        .as_ref()
        .and_then(|status| status.inventory.as_ref());
    inventory.is_some_and(|inventory| inventory.services.contains(service))
}

/// Whether an environment remembers what was sent to the service of a binding, if anything was.
fn remembers(environment: &ZadigEnvironment, binding: &ZadigServiceBinding) -> bool {
    let known = |status: &ZadigServiceBindingStatus| status.applied.is_some();
    let mut applied = environment.status.iter().flat_map(|it| &it.applied);
    !binding.status.as_ref().is_some_and(known)
        || applied.any(|entry| entry.name == binding.spec.service.name)
}

fn declares(environment: &ZadigEnvironment, service: &String) -> bool {
    let mut services = environment.spec.services.iter();
    services.any(|declared| &declared.name == service)
}

/// The service as declared, within an environment that declares nothing else; or what has to come first.
async fn binding(
    object: &ZadigServiceBinding,
    environment: &ZadigEnvironment,
    ctx: &Context,
) -> Result<Result<Binding, Plan<Action>>, Error> {
    let ZadigServiceBindingSpec {
        environment_ref: _,
        service,
        replicas,
        scale_target,
        creation,
        deletion: _,
        approved_plan: _,
        suspend: _,
    } = &object.spec;
    let wanted = sources(&object.spec).collect();
    let namespace = object.namespace().unwrap_or_default();
    let sources = desired::read_sources(&ctx.client, &namespace, wanted).await?;
    let services = match desired::service(service, &sources, &ctx.digests) {
        Ok(services) => services,
        Err(plan) => return Ok(Err(plan)),
    };
    let spec = &environment.spec;
    Ok(Ok(Binding {
        environment: Environment {
            deploy_type: spec.deploy_type,
            alias: None,
            cluster: None,
            namespace: desired::target_namespace(
                spec.namespace.as_ref(),
                &spec.project_key,
                &spec.env_key,
            ),
            registry: None,
            global_variables: BTreeMap::new(),
            configs: BTreeSet::new(),
            services,
            sharing: sharing::Declared {
                base: spec.sub_environment_of.as_ref().map(|sub| sub.name.clone()),
                ..sharing::Declared::default()
            },
            creation: *creation,
            prune: Prune::None,
            grace: Duration::ZERO,
            live_drift: spec.live_drift,
        },
        replicas: *replicas,
        scale_target: scale_target.clone(),
    }))
}

/// The Secrets and ConfigMaps that a spec refers to, by kind and name.
pub(super) fn sources(
    spec: &ZadigServiceBindingSpec,
) -> impl Iterator<Item = (desired::SourceKind, String)> {
    desired::service_sources(std::slice::from_ref(&spec.service))
}

/// What is declared, in a form that can be compared: a change is a person speaking.
fn declared(
    object: &ZadigServiceBinding,
    desired: &Desired,
    management: Management,
    ctx: &Context,
) -> (i64, String, Option<String>) {
    let digests: Vec<&str> = match desired {
        Desired::Absent { .. } => Vec::new(),
        Desired::Present(binding) => binding
            .environment
            .services
            .values()
            .flat_map(env::Service::digests)
            .collect(),
    };
    (
        object.metadata.generation.unwrap_or_default(),
        ctx.digests
            .digest(digests.into_iter().chain([management.as_str()])),
        object.annotations().get(RECONCILE_ANNOTATION).cloned(),
    )
}

/// The pods that the scaled workload asks for.
fn replicas(object: &ZadigServiceBinding, detail: &Detail) -> Option<i32> {
    let seen = detail.services.get(&object.spec.service.name)?;
    let target: (WorkloadKind, String) = match &object.spec.scale_target {
        Some(target) => (target.kind, target.name.clone()),
        None => only_workload(seen).ok()?,
    };
    scaled(seen, &target)
}

/// Selects the pods of a service by the labels that Zadig gives them (Z§5.5); in production it gives none (Z§9, 14).
fn selector(key: &EnvKey, service: &str) -> Option<String> {
    (key.scope == Scope::Test).then(|| format!("s-product={},s-service={service}", key.project))
}

/// An older object that claims the same service and may do so.
async fn rival_of(
    object: &ZadigServiceBinding,
    environment: &ZadigEnvironment,
    ctx: &Context,
) -> Result<Option<String>, Error> {
    let Some(mine) = driver::age(object) else {
        return Ok(None);
    };
    let home = Context::home_of(object);
    let mut others = Vec::new();
    for other in ctx.bindings.state() {
        let same = other.uid() != object.uid()
            && Context::home_of(&other) == home
            && other.spec.service.name == object.spec.service.name;
        if same && ctx.may_bind(&other, environment).await? {
            others.extend(driver::age(&*other));
        }
    }
    Ok(rival(&mine, &others).map(|claim| format!("{}/{}", claim.namespace, claim.name)))
}

fn deletion_policy(object: &ZadigServiceBinding) -> Option<BindingDeletion> {
    if driver::is_orphaned(object) {
        return Some(BindingDeletion::Orphan);
    }
    object.spec.deletion
}

async fn release(
    object: &ZadigServiceBinding,
    ctx: &Context,
    how: &'static str,
) -> Result<Step, Error> {
    driver::release(object, ctx).await?;
    Ok(Step::Released(how))
}

fn told(outcome: Outcome) -> Step {
    Step::Tell(outcome, Told::default(), driver::BLOCKED_RETRY)
}

fn told_plan(plan: Plan<Action>, found: Told) -> Step {
    match driver::outcome_of(plan) {
        Some((outcome, after)) => Step::Tell(outcome, found, after),
        None => Step::Quiet(Duration::from_secs(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z9_14_nothing_selects_the_pods_of_a_production_service_by_labels_it_lacks() {
        let selected = |scope| {
            let key = EnvKey {
                project: "shop".to_owned(),
                env: "dev".to_owned(),
                scope,
            };
            selector(&key, "api")
        };
        assert_eq!(
            selected(Scope::Test).as_deref(),
            Some("s-product=shop,s-service=api")
        );
        assert_eq!(selected(Scope::Production), None);
    }
}
