//! What the cluster has lost of a service, and the one way to bring it back (Z§6.5).
//!
//! Equal calls repair nothing. Taking the service out of the environment while its objects stay, and adding it again, does; but
//! it resets whatever is not sent again. So it is done only where all of that is known: it is noted first, and put back
//! afterwards by the ordinary comparison, to which it looks like a declaration.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decide::elapsed;
use super::diff::Diff;
use super::health::LIVE_LAG;
use super::{
    Action, Detail, Environment, Image, Observed, ObservedService, Present, Replicas, Service,
    Variable, VariableValue, join, subject, template, variables,
};
use crate::api::condition::Reason;
use crate::api::environment::{
    AppliedService, FieldPolicy, LiveDrift, ROLLOUTS_MAX, Restore, RestoreImage, RestoreReplicas,
    Scope, WorkloadKind,
};
use crate::plan::Blocked;

/// Workloads that Zadig expects and the cluster does not have.
#[must_use]
pub fn missing(seen: &ObservedService) -> BTreeSet<String> {
    let Some(live) = &seen.live else {
        return BTreeSet::new();
    };
    seen.expected
        .iter()
        .flat_map(BTreeMap::keys)
        .filter(|workload| !live.iter().any(|live| live.is(workload)))
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect()
}

/// What a service holds that adding it anew would reset.
///
/// # Errors
/// Why not all of it could be put back, for a person.
pub fn restore(
    name: &str,
    service: &Service,
    seen: &ObservedService,
    detail: &Detail,
) -> Result<Restore, String> {
    let bound: Vec<String> = seen
        .template
        .iter()
        .map(|variable| &variable.key)
        .filter(|key| !service.variables.contains_key(*key))
        .filter(|key| variables::is_bound(name, key, &detail.global_variables))
        .cloned()
        .collect();
    let unknown = seen.template.iter().map(|variable| &variable.key);
    let unknown: Vec<&String> = unknown
        .filter(|key| !service.variables.contains_key(*key) && !bound.contains(key))
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "Zadig does not show the values of variables, so all have to be declared; these are not: {}",
            join(unknown)
        ));
    }
    let mut replicas = Vec::new();
    let mut sendable = BTreeSet::new();
    for ((kind, workload), recorded) in &seen.record {
        if !recorded.init_containers.is_empty() {
            return Err(format!(
                "no call sets the images of init containers: {}",
                join(&recorded.init_containers)
            ));
        }
        sendable.extend(&recorded.containers);
        let scalable = match kind.as_str() {
            "Deployment" => Some(WorkloadKind::Deployment),
            "StatefulSet" => Some(WorkloadKind::StatefulSet),
            "CronJob" => None,
            other => return Err(format!("no call sets the image of a {other}: {workload}")),
        };
        let Some(kind) = scalable else { continue };
        let held = service.workloads.get(&(kind, workload.clone()));
        if held.is_some_and(|wanted| wanted.policy == FieldPolicy::Enforce) {
            continue;
        }
        let of_kind = format!("{kind:?}");
        let live = seen.live.iter().flatten();
        let live = live
            .filter(|live| live.kind == of_kind && &live.name == workload)
            .find_map(|live| live.replicas);
        replicas.push(RestoreReplicas {
            kind,
            name: workload.clone(),
            replicas: live.unwrap_or(recorded.replicas),
        });
    }
    let lost = seen.images.keys().filter(|name| !sendable.contains(name));
    let lost: Vec<&String> = lost.collect();
    if !lost.is_empty() {
        return Err(format!(
            "no call sets the image of what is in no workload, such as a Job: {}",
            join(lost)
        ));
    }
    let held = |container: &String| {
        let image = service.containers.get(container);
        image.is_some_and(|image| image.policy == FieldPolicy::Enforce)
    };
    let images: Vec<RestoreImage> = seen
        .images
        .iter()
        .filter(|(container, _)| !held(container))
        .map(|(container, image)| RestoreImage {
            container: container.clone(),
            image: image.clone(),
        })
        .collect();
    let most = ROLLOUTS_MAX as usize;
    if images.len() > most || replicas.len() > most {
        return Err(format!("it has more than {most} containers or workloads"));
    }
    Ok(Restore {
        ours: false,
        bound,
        images,
        replicas,
    })
}

/// Plans the repair of services of which the cluster lost objects, where nothing else is left to be done.
///
/// First what they hold is noted, then, once that is stored and the objects are still missing, they are taken out and added
/// anew.
pub(super) fn repair(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
    present: &Present,
) {
    // What Zadig made a moment ago may not be in its own view of the cluster yet.
    let settled = elapsed(present.since, observed.now) >= LIVE_LAG;
    if desired.live_drift == LiveDrift::Report || !settled {
        return;
    }
    let (mut first, mut then) = (Vec::new(), Vec::new());
    let mut added = BTreeMap::new();
    let mut templates = BTreeMap::new();
    for (name, service) in &desired.services {
        let Some(seen) = detail.services.get(name) else {
            continue;
        };
        let missing = missing(seen);
        // Why it cannot be repaired is told with the health of the services.
        let Ok(mut restore) = restore(name, service, seen, detail) else {
            continue;
        };
        if missing.is_empty() || !may_repair(diff, name, observed, present) {
            continue;
        }
        restore.ours = observed.memory.services.contains(name);
        let noted = observed.memory.applied.get(name);
        if noted.and_then(|noted| noted.restore.as_ref()) == Some(&restore) {
            added.insert(name.clone(), complete(service, seen, &restore));
            let newest = seen.template_digest.as_ref();
            templates.extend(newest.map(|newest| (name.clone(), newest.clone())));
            then.push(Action::TakeOut {
                service: name.clone(),
                missing,
                restore,
                upgrade: template::upgrade(&observed.memory, name, newest),
            });
        } else {
            first.push(Action::NoteRestore {
                service: name.clone(),
                restore,
            });
        }
    }
    if !first.is_empty() {
        diff.actions = first;
    } else if !then.is_empty() {
        diff.actions = then;
        let services = added;
        diff.actions.push(Action::AddServices {
            services,
            templates,
        });
    }
}

/// Whether nothing that would be in the way afterwards is known, and it was not tried in vain too often.
fn may_repair(diff: &mut Diff, name: &str, observed: &Observed, present: &Present) -> bool {
    let why = if observed.key.scope == Scope::Production {
        "its images and replicas would be the template's then, and Zadig has no call that sets them in production"
    } else if !observed.catalog.services.contains(name) {
        "the project has no template of it any more"
    } else if !present.neighbours.is_empty() {
        "other environments use the namespace, and Zadig adds no service whose objects another one applied"
    } else {
        return !diff.is_loop(&subject::live(name), observed);
    };
    diff.blocked.push(Blocked::new(
        Reason::LiveDrift,
        format!("spec.services[{name}]: objects are missing in the cluster and cannot be brought back: {why}"),
    ));
    false
}

/// All variables that an add has to carry.
fn complete(service: &Service, seen: &ObservedService, restore: &Restore) -> Vec<VariableValue> {
    let mut whole = service.clone();
    whole.variables.extend(bound(restore));
    variables::declared(&whole, &seen.template)
}

fn bound(restore: &Restore) -> impl Iterator<Item = (String, Variable)> {
    let keys = restore.bound.iter().cloned();
    keys.map(|key| (key, Variable::Global))
}

/// A service as declared, with what has to be put back after it was added anew.
#[must_use]
pub fn restored<'a>(service: &'a Service, known: Option<&AppliedService>) -> Cow<'a, Service> {
    let Some(restore) = known.and_then(|known| known.restore.as_ref()) else {
        return Cow::Borrowed(service);
    };
    let mut service = service.clone();
    let policy = FieldPolicy::Enforce;
    let is_held = |held: Option<FieldPolicy>| held == Some(FieldPolicy::Enforce);
    for RestoreImage { container, image } in &restore.images {
        if !is_held(service.containers.get(container).map(|it| it.policy)) {
            let image = image.clone();
            let image = Image { image, policy };
            service.containers.insert(container.clone(), image);
        }
    }
    for RestoreReplicas {
        kind,
        name,
        replicas,
    } in &restore.replicas
    {
        let key = (*kind, name.clone());
        if !is_held(service.workloads.get(&key).map(|it| it.policy)) {
            let replicas = *replicas;
            service.workloads.insert(key, Replicas { replicas, policy });
        }
    }
    Cow::Owned(service)
}

/// The variables of a service that is to be added, with those that were bound before it was taken out.
#[must_use]
pub fn with_bindings<'a>(
    service: &'a Service,
    known: Option<&AppliedService>,
    globals: &BTreeSet<String>,
) -> Cow<'a, Service> {
    let Some(restore) = known.and_then(|known| known.restore.as_ref()) else {
        return Cow::Borrowed(service);
    };
    let mut service = service.clone();
    for (key, variable) in bound(restore) {
        if globals.contains(&key) {
            service.variables.entry(key).or_insert(variable);
        }
    }
    Cow::Owned(service)
}

/// How soon a service is looked at again whose repair was noted.
pub const NOTED: Duration = LIVE_LAG;
