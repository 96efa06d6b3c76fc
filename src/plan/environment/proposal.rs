//! An environment's plan as it is put before a person: what is declared, what was seen of it, and the steps.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::lifetime::Lifetime;
use super::{
    Action, Desired, Environment, Existence, Moved, Observed, ObservedService, Service, Variable,
    decide, subject,
};
use crate::api::environment::FieldPolicy;
use crate::plan::Plan;
use crate::plan::management::{self, Draft};
use crate::plan::secret::SecretText;

/// The plan with what follows from it, as it would be sent: whether the connection is suspended is another matter.
#[must_use]
pub fn ahead(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let mut observed = Observed {
        connection_suspended: false,
        ..observed.clone()
    };
    management::ahead(decide::plan(desired, &observed), |actions| {
        record(desired, &mut observed, actions)?;
        Some(decide::plan(desired, &observed))
    })
}

/// The observation after a record of ownership; `None` for anything else.
fn record(desired: &Desired, observed: &mut Observed, actions: &[Action]) -> Option<()> {
    let [action @ Action::RecordOwnership(ownership)] = actions else {
        return None;
    };
    let environment = match desired {
        Desired::Present(environment) => Some(environment),
        Desired::Absent { .. } => None,
    };
    observed.memory.sent(action, environment, observed.now);
    observed.record = Some(ownership.clone());
    if observed.moved == Moved::SameZadig {
        observed.moved = Moved::No;
    }
    Some(())
}

/// What is put before a person. `changed_at` is when this object last changed anything: an approval is for once.
#[must_use]
pub fn draft(
    declared: &Environment,
    observed: &Observed,
    actions: &[Action],
    changed_at: Option<Timestamp>,
) -> Draft {
    Draft {
        declared: declared_texts(declared),
        seen: seen_texts(declared, observed, changed_at),
        summary: actions
            .iter()
            .filter(|action| !steps(action, declared).is_empty())
            .map(Action::summary)
            .collect(),
        steps: actions
            .iter()
            .flat_map(|action| steps(action, declared))
            .collect(),
    }
}

/// What is put before a person of the end of an environment whose time is over.
#[must_use]
pub fn ending(
    over: &Lifetime,
    observed: &Observed,
    actions: &[Action],
    changed_at: Option<Timestamp>,
) -> Draft {
    let summary = |action: &Action| match action {
        Action::DeleteEnvironment { .. } => format!("{}, as its ttl is over", action.summary()),
        _ => action.summary(),
    };
    Draft {
        // A later end would be another matter.
        declared: vec![SecretText::new(over.ends.to_string())],
        seen: seen_at_all(observed, changed_at)
            .into_iter()
            .map(SecretText::new)
            .collect(),
        summary: actions.iter().map(summary).collect(),
        steps: actions.iter().flat_map(Action::subjects).collect(),
    }
}

/// Everything that is declared. What does not print stands for itself: variables of services by their keyed digest, and global
/// variables here.
fn declared_texts(declared: &Environment) -> Vec<SecretText> {
    let globals = declared.global_variables.values().cloned();
    let configs = format!("{declared:?}");
    globals.chain([SecretText::new(configs)]).collect()
}

/// What was seen of all that is declared and held, without what moves by itself.
fn seen_texts(
    declared: &Environment,
    observed: &Observed,
    changed_at: Option<Timestamp>,
) -> Vec<SecretText> {
    let mut texts = seen_at_all(observed, changed_at);
    let Some(detail) = observed.detail() else {
        return texts.into_iter().map(SecretText::new).collect();
    };
    if declared.registry.is_some() {
        texts.push(detail.registry_id.clone());
    }
    for key in declared.global_variables.keys() {
        if let Some(stored) = detail.global_variables.get(key) {
            texts.push(format!("{key} {} {:?}", stored.value, stored.related));
        }
    }
    for (name, service) in &declared.services {
        let seen = detail.services.get(name);
        texts.push(seen.map_or_else(
            || format!("{name} absent"),
            |seen| service_text(name, service, seen),
        ));
    }
    texts.into_iter().map(SecretText::new).collect()
}

/// Which environment was seen, if any.
fn seen_at_all(observed: &Observed, changed_at: Option<Timestamp>) -> Vec<String> {
    let mut texts = vec![
        observed.zadig.clone(),
        changed_at.map_or_else(String::new, |at| at.as_second().to_string()),
    ];
    if let Existence::Present(present) = &observed.existence {
        texts.extend([present.cluster_id.clone(), present.namespace.clone()]);
    }
    texts
}

fn service_text(name: &str, service: &Service, seen: &ObservedService) -> String {
    let held = |container: &&String| {
        service
            .containers
            .get(*container)
            .is_some_and(|image| image.policy == FieldPolicy::Enforce)
    };
    let recorded: Vec<_> = seen
        .images
        .iter()
        .filter(|(container, _)| held(container))
        .collect();
    let live: Vec<_> = seen
        .live
        .iter()
        .flatten()
        .map(|workload| {
            let images = workload.images.iter();
            let images: Vec<_> = images.filter(|(container, _)| held(container)).collect();
            let scaled = service.workloads.iter().any(|((kind, name), wanted)| {
                wanted.policy == FieldPolicy::Enforce
                    && workload.is(&(format!("{kind:?}"), name.clone()))
            });
            let replicas = workload.replicas.filter(|_| scaled);
            (&workload.kind, &workload.name, images, replicas)
        })
        .filter(|(.., images, replicas)| !images.is_empty() || replicas.is_some())
        .collect();
    let texts = service
        .digest
        .as_ref()
        .map(|_| (&seen.rendered, &seen.template_digest));
    format!("{name} {recorded:?} {live:?} {texts:?}")
}

/// What an action does, one by one, and what follows from it. Values are part of what is declared.
#[must_use]
pub fn steps(action: &Action, declared: &Environment) -> BTreeSet<String> {
    let follows = |name: &String| follows(name, declared);
    let more: Vec<String> = match action {
        // Written to Kubernetes alone, and wanted by whoever declared `creation` or `liveDrift`.
        Action::RecordOwnership(_) | Action::NoteRestore { .. } => return BTreeSet::new(),
        Action::TakeOut {
            service,
            restore,
            upgrade,
            ..
        } => {
            let images = restore.images.iter();
            let images = images.map(|it| subject::image(service, &it.container));
            let replicas = restore.replicas.iter();
            let replicas = replicas.map(|it| subject::replicas(service, it.kind, &it.name));
            let added = [subject::added(service)].into_iter();
            let template = upgrade.map(|_| subject::template(service));
            added
                .chain(images)
                .chain(replicas)
                .chain(template)
                .collect()
        }
        // In whichever workload of the service has the container.
        Action::SetImage {
            service, container, ..
        } => return [subject::image(service, container)].into(),
        Action::CreateEnvironment(create) => create.services.keys().flat_map(follows).collect(),
        Action::AddServices { services, .. } => services.keys().flat_map(follows).collect(),
        Action::UpdateServices {
            services, upgrades, ..
        } => services
            .keys()
            .flat_map(follows)
            .chain(upgrades.keys().map(|name| subject::template(name)))
            .collect(),
        Action::PutGlobalVariables { changed, .. } => binds(changed, declared),
        _ => Vec::new(),
    };
    action.subjects().into_iter().chain(more).collect()
}

/// What a service that is made or moved to the newest template is given afterwards: its template's images and replicas are
/// not those that are declared (Z§14.15).
fn follows(name: &str, declared: &Environment) -> Vec<String> {
    let Some(service) = declared.services.get(name) else {
        return Vec::new();
    };
    let images = service
        .containers
        .keys()
        .map(|container| subject::image(name, container));
    let replicas = service
        .workloads
        .keys()
        .map(|(kind, workload)| subject::replicas(name, *kind, workload));
    images.chain(replicas).collect()
}

/// The services that can be bound once the global variables are there (Z§14.22).
fn binds(keys: &BTreeSet<String>, declared: &Environment) -> Vec<String> {
    let bound = |service: &Service| {
        keys.iter()
            .any(|key| service.variables.get(key) == Some(&Variable::Global))
    };
    let services = declared.services.iter();
    services
        .filter(|(_, service)| bound(service))
        .flat_map(|(name, _)| {
            let variables = [subject::variables(name)].into_iter();
            variables.chain(follows(name, declared))
        })
        .collect()
}
