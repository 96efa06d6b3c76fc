//! Looks at what stands around an environment in sharing: its base, what is made on top of it, and its namespace (Z§4.19).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use zadig_client::ShareOperation;

use super::local::Local;
use crate::api::FINALIZER;
use crate::api::condition::Reason;
use crate::api::environment::{
    Deletion, Ownership, OwnershipState, Portal, Scope, Sharing, SharingStatus, ZadigEnvironment,
};
use crate::controller::context::Context;
use crate::controller::driver;
use crate::controller::outcome::time;
use crate::controller::zadig::{Zadig, env_status};
use crate::error::Error;
use crate::plan::environment::memory::Memory;
use crate::plan::environment::sharing::{
    Around, Base, Checks, OtherPortal, Remembered, by_service,
};
use crate::plan::environment::{Action, Desired, EnvKey, Existence};

/// Age of the list that shows whether a base is there.
const LIST_AGE: Duration = Duration::from_secs(1);

/// What is known of those around an environment; how its own namespace looks is put beside its detail.
///
/// # Errors
/// What the calls answer. While the object is being deleted, only an outage is an error: deletion always ends.
pub(super) async fn look(
    object: &ZadigEnvironment,
    ctx: &Context,
    (zadig, key): (&Zadig, &EnvKey),
    desired: &Desired,
    existence: &mut Existence,
    local: &mut Local,
) -> Result<Around, Error> {
    let spec = &object.spec;
    let mut around = Around {
        sharing: spec.sharing,
        is_sub: spec.sub_environment_of.is_some(),
        unprotected: spec.deletion_protection == Some(false),
        subs: subs(object, ctx),
        licence_refused: zadig.enterprise_refused(),
        ..Around::default()
    };
    match desired {
        Desired::Absent { policy, .. } => {
            // A base that does not say so is one as well, and takes its sub-environments along.
            let tells = spec.sharing == Some(Sharing::Enabled) || around.is_sub;
            let deletes = !matches!(policy, Some(Deletion::Orphan | Deletion::Detach));
            if let (false, true, Existence::Present(present)) = (tells, deletes, existence)
                && let Some(detail) = &mut present.detail
            {
                detail.sharing = match checks(zadig, key).await {
                    Ok(checks) => Some(checks),
                    Err(error) if error.is_outage() => return Err(error),
                    Err(_) => None,
                };
            }
        }
        Desired::Present(environment) => {
            let declared = &environment.sharing;
            if let Some(name) = &declared.base {
                let creating = matches!(existence, Existence::Absent { .. });
                let base = look_base(object, ctx, zadig, name, creating);
                around.base = Some(base.await?);
                local.calls_per_look += 1;
            }
            if !declared.portals.is_empty() {
                around.portals = other_portals(object, ctx, zadig, local);
            }
            if let (Some(sharing), Existence::Present(present)) = (declared.sharing, existence)
                && let Some(detail) = &mut present.detail
            {
                let found = checks(zadig, key).await?;
                local.calls_per_look += 1;
                detail.sharing = Some(found);
                if sharing == Sharing::Enabled && !found.look_shared() {
                    around.istio = Some(istio(zadig, &present.cluster_id).await?);
                    around.without_service = without_service(zadig, key).await?;
                }
            }
        }
    }
    Ok(around)
}

/// The base of a sub-environment, for one who changes services inside it; `None` where it is no sub-environment.
pub(in crate::controller) async fn base_of(
    object: &ZadigEnvironment,
    ctx: &Context,
    zadig: &Zadig,
) -> Result<Option<Base>, Error> {
    match base_name(object) {
        Some(name) => look_base(object, ctx, zadig, name, false).await.map(Some),
        None => Ok(None),
    }
}

async fn checks(zadig: &Zadig, key: &EnvKey) -> Result<Checks, Error> {
    let EnvKey { project, env, .. } = key;
    let ready = zadig
        .client
        .sharing_ready(project, env, ShareOperation::Enable)
        .await
        .map_err(Error::zadig(format!("ask how far {env} is shared")))?;
    Ok(Checks {
        labelled: ready.checks.namespace_has_istio_label,
        routed: ready.checks.virtualservice_deployed,
        proxied: ready.checks.pods_have_istio_proxy,
        running: ready.checks.workloads_ready,
    })
}

async fn istio(zadig: &Zadig, cluster: &str) -> Result<bool, Error> {
    zadig
        .client
        .istio_installed(cluster)
        .await
        .map_err(Error::zadig(format!(
            "ask whether cluster {cluster} has Istio"
        )))
}

async fn without_service(zadig: &Zadig, key: &EnvKey) -> Result<BTreeSet<String>, Error> {
    let EnvKey { project, env, .. } = key;
    let found = zadig.client.workloads_without_service(project, env).await;
    let found = found.map_err(Error::zadig(format!(
        "list the workloads of {env} without a Service"
    )))?;
    Ok(found.into_iter().collect())
}

/// The declared base as it is. Where the sub-environment is still to be made, it has to be shared by then (Z§11).
async fn look_base(
    object: &ZadigEnvironment,
    ctx: &Context,
    zadig: &Zadig,
    name: &str,
    creating: bool,
) -> Result<Base, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let Some(base) = ctx
        .environments
        .get(&ObjectRef::new(name).within(&namespace))
    else {
        return Ok(Base::NotReady(format!(
            "there is no ZadigEnvironment {name} in this namespace; for an environment that was made in Zadig, apply one with creation: Adopt"
        )));
    };
    if let Some(why) = unfit(object, &base, name) {
        return Ok(Base::Unfit(why));
    }
    if base.metadata.deletion_timestamp.is_some() {
        return Ok(Base::NotReady(format!("{name} is being deleted")));
    }
    let Some(record) = super::owner(&base).filter(|it| it.state != OwnershipState::Pending) else {
        return Ok(Base::NotReady(format!("{name} is not there yet")));
    };
    let env = &base.spec.env_key;
    let now = Instant::now();
    let since = now.checked_sub(LIST_AGE).unwrap_or(now);
    let list = zadig.list(Scope::Test, &record.project, since).await?;
    let entry = list.environments.get(env).filter(|entry| {
        entry.cluster_id == record.cluster_id && entry.namespace == record.namespace
    });
    let Some(entry) = entry else {
        return Ok(Base::NotReady(format!("{name} is not there")));
    };
    if !env_status(&entry.status).can_change() {
        return Ok(Base::NotReady(format!(
            "Zadig reports {name} as {}",
            entry.status
        )));
    }
    let key = EnvKey {
        project: record.project.clone(),
        env: env.clone(),
        scope: Scope::Test,
    };
    if creating && !checks(zadig, &key).await?.look_shared() {
        return Ok(Base::NotReady(format!(
            "{name} is not shared; it is with sharing: Enabled there"
        )));
    }
    let detail = zadig
        .client
        .environment(Scope::Test.into(), &key.project, env)
        .await
        .map_err(Error::zadig(format!("read the base {env}")))?;
    Ok(Base::Ready {
        env: env.clone(),
        cluster_id: record.cluster_id,
        services: detail
            .services
            .into_iter()
            .map(|service| service.service_name)
            .collect(),
    })
}

/// Why an environment can never be the base of another; what it follows from cannot be changed.
fn unfit(object: &ZadigEnvironment, base: &ZadigEnvironment, name: &str) -> Option<String> {
    if base.spec.scope != Scope::Test {
        return Some(format!(
            "{name} is a production environment, and Zadig shares test environments alone; name another one"
        ));
    }
    if base.spec.project_key != object.spec.project_key {
        return Some(format!(
            "{name} belongs to project {}, this environment to {}; a base is one of the same project",
            base.spec.project_key, object.spec.project_key
        ));
    }
    if Context::connection_key(base) != Context::connection_key(object) {
        return Some(format!(
            "{name} is reached through another connection; use the same one"
        ));
    }
    base.spec
        .sub_environment_of
        .is_some()
        .then(|| format!("{name} is a sub-environment itself; name its base, or another one"))
}

/// The objects that are made on top of this one, as far as anything of them may be in Zadig, with the services of each.
fn subs(object: &ZadigEnvironment, ctx: &Context) -> BTreeMap<String, BTreeSet<String>> {
    on_top_of(object, ctx)
        .into_iter()
        .filter(|sub| {
            sub.finalizers().iter().any(|name| name == FINALIZER) || super::owner(sub).is_some()
        })
        .map(|sub| {
            let status = sub.status.as_ref();
            let owned = status
                .and_then(|status| status.inventory.as_ref())
                .map(|inventory| inventory.services.clone());
            let shown = status.into_iter().flat_map(|status| &status.services);
            let services = owned
                .into_iter()
                .flatten()
                .chain(shown.map(|service| service.name.clone()))
                .collect();
            (sub.name_any(), services)
        })
        .collect()
}

fn on_top_of(object: &ZadigEnvironment, ctx: &Context) -> Vec<Arc<ZadigEnvironment>> {
    let (namespace, name) = (object.namespace(), object.name_any());
    let mut found = ctx.environments.state();
    found.retain(|other| other.namespace() == namespace && base_name(other) == Some(&name));
    found
}

fn base_name(object: &ZadigEnvironment) -> Option<&String> {
    Some(&object.spec.sub_environment_of.as_ref()?.name)
}

/// Asks for a reconcile of what may wait for an environment: those on top of it with the services bound there, and its base.
pub(in crate::controller) fn wake_related(ctx: &Context, object: &ZadigEnvironment) {
    for sub in on_top_of(object, ctx) {
        let _ = ctx.wake_environment.send(ObjectRef::from_obj(&*sub));
        ctx.wake_bindings(&sub);
    }
    if let Some(base) = base_name(object) {
        let namespace = object.namespace().unwrap_or_default();
        let base = ObjectRef::new(base).within(&namespace);
        let _ = ctx.wake_environment.send(base);
    }
}

/// Forgets that the enterprise licence was refused, as a person who needs it asks for another attempt.
pub(super) fn ask_again(object: &ZadigEnvironment, zadig: &Zadig) {
    if object.spec.sharing.is_some() || object.spec.sub_environment_of.is_some() {
        zadig.forget_enterprise();
    }
}

/// Whether a refused call is not sent again: the removal of a portal, which Zadig refuses for good when there is none (Z§14.14),
/// and which holds up no deletion.
pub(super) fn gives_up(
    object: &ZadigEnvironment,
    action: &Action,
    error: &Error,
    again: bool,
) -> bool {
    let removes = matches!(action, Action::SetPortal { servers, .. } if servers.is_empty());
    let deleting = object.metadata.deletion_timestamp.is_some();
    let may_be_gone = again && error.reason() == Reason::Rejected;
    removes && !error.is_outage() && (deleting || may_be_gone)
}

/// Tells that a call is not sent again.
pub(super) async fn tell_given_up(
    object: &ZadigEnvironment,
    ctx: &Context,
    action: &Action,
    error: &Error,
) {
    let note = format!(
        "gave up to {}, as Zadig refuses the same way when there is none: {}",
        action.summary(),
        error.chain()
    );
    let reason = error.reason().as_str();
    ctx.event(object, EventType::Warning, reason, "Act", &note)
        .await;
}

/// Portals of other objects in the same cluster of the same Zadig, declared or set.
fn other_portals(
    object: &ZadigEnvironment,
    ctx: &Context,
    zadig: &Zadig,
    local: &Local,
) -> Vec<OtherPortal> {
    let Some(here) = local.record.as_ref().map(|record| &record.cluster_id) else {
        return Vec::new();
    };
    let mine = driver::age(object);
    let mut found = Vec::new();
    for other in ctx.environments.state() {
        let same_place =
            |record: Ownership| record.zadig == zadig.identity && &record.cluster_id == here;
        if other.uid() == object.uid() || !super::owner(&other).is_some_and(same_place) {
            continue;
        }
        let declared = other
            .spec
            .sub_environment_of
            .iter()
            .flat_map(|it| &it.portals);
        let status = other.status.as_ref().and_then(|it| it.sharing.as_ref());
        let set = status.into_iter().flat_map(|it| &it.portals);
        let older = driver::age(&*other) < mine;
        let owner = format!(
            "{}/{}",
            other.namespace().unwrap_or_default(),
            other.name_any()
        );
        let portal = |portal: &Portal, set| OtherPortal {
            owner: owner.clone(),
            service: portal.service.clone(),
            own_port: portal.servers.iter().any(|it| !it.has_standard_port()),
            set,
            older,
        };
        found.extend(declared.map(|it| portal(it, false)));
        found.extend(set.map(|it| portal(it, true)));
    }
    found
}

/// What a status remembers.
pub(super) fn load(status: Option<&SharingStatus>) -> Remembered {
    let Some(status) = status else {
        return Remembered::default();
    };
    Remembered {
        state: status.state,
        since: status.since.as_ref().map(|time| time.0),
        portals: by_service(&status.portals),
    }
}

/// The same in a status; `None` when there is nothing to remember.
pub(super) fn store(memory: &Memory) -> Option<SharingStatus> {
    let Remembered {
        state,
        since,
        portals,
    } = &memory.sharing;
    if state.is_none() && portals.is_empty() {
        return None;
    }
    Some(SharingStatus {
        state: *state,
        since: since.map(time),
        portals: portals
            .iter()
            .map(|(service, servers)| Portal {
                service: service.clone(),
                servers: servers.clone(),
            })
            .collect(),
    })
}
