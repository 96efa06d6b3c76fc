//! What differs between a declared environment and one that can be changed, and the fewest right calls that repair it.
//!
//! Order: registry, global variables, removed services, updated, added, images, replicas, restarts, sharing (design §3). Removal comes
//! first among services, since an object that moves from one service to another would otherwise be deleted with the old one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::restart::{self, Way};
use super::{
    Action, Detail, Environment, LiveWorkload, Observed, ObservedService, Present, Service, helm,
    join, live, moving, production, sharing, subject, template, variables,
};
use crate::api::condition::Reason;
use crate::api::environment::{DeployType, FieldPolicy, Prune, Scope, WorkloadKind};
use crate::plan::repairs::REPAIRS;
use crate::plan::{Blocked, Plan, Wait};

/// A comparison in the making.
#[derive(Default)]
pub(in crate::plan) struct Diff {
    pub(super) actions: Vec<Action>,
    pub(super) blocked: Vec<Blocked>,
    /// Asked for a moment ago: the live look may be behind.
    pending: Vec<Action>,
    /// What has to wait, however little is left to do besides.
    pub(super) waiting: Option<Wait>,
    /// Services stay for a moment before they are removed, and what comes after that waits too.
    staying: bool,
}

impl Diff {
    /// The plan that repairs the differences.
    pub(in crate::plan) fn plan(self) -> Plan<Action> {
        let Self {
            actions,
            blocked,
            pending,
            waiting,
            staying: _,
        } = self;
        if actions.is_empty() && !pending.is_empty() {
            let summaries: Vec<String> = pending.iter().map(Action::summary).collect();
            return Plan::wait(
                Reason::Progressing,
                format!("waiting for the cluster to show: {}", join(summaries)),
                Duration::from_secs(1),
            );
        }
        match waiting {
            Some(waiting) if actions.is_empty() && blocked.is_empty() => Plan::Wait(waiting),
            _ => Plan::of(actions, blocked),
        }
    }

    fn block(&mut self, reason: Reason, message: impl Into<String>) {
        self.blocked.push(Blocked::new(reason, message));
    }

    /// Whether a difference came back each time it was repaired. Then it is left to a person, with its name, instead of a loop
    /// (Z§14.4).
    pub(super) fn is_loop(&mut self, subject: &str, observed: &Observed) -> bool {
        let is_loop = observed.memory.exhausted(subject);
        if is_loop {
            self.block(
                Reason::DriftDoesNotConverge,
                format!(
                    "spec.{subject}: repaired {} times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation {}",
                    REPAIRS,
                    crate::api::RECONCILE_ANNOTATION
                ),
            );
        }
        is_loop
    }
}

/// Compares everything that is declared and can be read.
pub(in crate::plan) fn diff(
    desired: &Environment,
    observed: &Observed,
    present: &Present,
    detail: &Detail,
) -> Diff {
    let mut diff = Diff::default();
    diff.blocked.extend(helm::misfits(desired, detail));
    if !diff.blocked.is_empty() {
        return diff;
    }
    production::registry_and_alias(&mut diff, desired, detail, observed);
    global_variables(&mut diff, desired, detail, observed);
    let removed = removals(&mut diff, desired, detail, observed);
    if desired.deploy_type == DeployType::Helm {
        helm::releases(&mut diff, desired, detail, observed, present);
    } else {
        services(&mut diff, desired, detail, observed, present, &removed);
    }
    if diff.staying {
        diff.actions
            .retain(|action| !moving::may_take_objects(action));
    }
    sharing::diff(&mut diff, desired, observed, detail);
    hold_back_what_was_just_asked(&mut diff, observed);
    hold_back_loops(&mut diff, observed);
    put_refused_ones_last(&mut diff, observed);
    let is_yaml = desired.deploy_type == DeployType::KubernetesYaml;
    if is_yaml && !diff.staying && diff.actions.is_empty() && diff.pending.is_empty() {
        live::repair(&mut diff, desired, detail, observed, present);
    }
    diff
}

/// What differs in the services of an environment of Kubernetes YAML.
fn services(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
    present: &Present,
    removed: &BTreeSet<String>,
) {
    let written = service_variables(diff, desired, detail, observed, present);
    additions(diff, desired, detail, observed);
    for (name, service) in &desired.services {
        let Some(seen) = detail.services.get(name) else {
            continue;
        };
        if removed.contains(name) {
            continue;
        }
        if observed.key.scope == Scope::Production {
            diff.blocked.extend(production::without_call(name, service));
        } else {
            let initial = observed.memory.is_initial(name);
            let whole = live::restored(service, observed.memory.applied.get(name));
            images(diff, name, &whole, seen, initial);
            replicas(diff, name, &whole, seen, initial);
        }
        if !written.contains(name) {
            restarts(diff, name, service, seen, observed);
        }
    }
}

fn global_variables(diff: &mut Diff, desired: &Environment, detail: &Detail, observed: &Observed) {
    let mut declared = desired.global_variables.clone();
    let project = &observed.catalog.global_variables;
    let stored = production::stored_globals(detail, observed);
    let (_, changed, blocked) = variables::merge_globals(&declared, &stored, project);
    diff.blocked.extend(blocked);
    for key in changed {
        if diff.is_loop(&subject::global(&key), observed) {
            declared.remove(&key);
        }
    }
    let (variables, changed, _) = variables::merge_globals(&declared, &stored, project);
    if changed.is_empty() {
        return;
    }
    if observed.licence_refused {
        diff.block(
            Reason::LicenceRequired,
            format!(
                "spec.globalVariables[{}]: changing a global variable after creation needs Zadig's professional licence (Zadig refused with code 7050); without it, set the value per service under spec.services[].variables",
                join(&changed)
            ),
        );
        return;
    }
    diff.actions
        .push(Action::PutGlobalVariables { variables, changed });
}

fn removals(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
) -> BTreeSet<String> {
    let undeclared = detail.services.keys().filter(|name| {
        !desired.services.contains_key(*name) && !observed.bound.contains_key(*name)
    });
    let mut services: BTreeSet<String> = match desired.prune {
        Prune::None => BTreeSet::new(),
        Prune::All => undeclared.cloned().collect(),
        Prune::Owned => undeclared
            .filter(|name| observed.memory.services.contains(*name))
            .cloned()
            .collect(),
    };
    let staying = moving::stay(&mut services, desired, observed);
    services.retain(|name| !is_held(diff, name, observed));
    services.retain(|name| !diff.is_loop(&subject::removed(name), observed));
    let counted = |name: &String| observed.memory.counted.contains(&subject::removed(name));
    let uncounted: BTreeSet<String> = services.iter().filter(|it| !counted(it)).cloned().collect();
    let fitting = observed.deletions.fitting(uncounted.len());
    let waiting: BTreeSet<String> = uncounted.into_iter().skip(fitting).collect();
    if !waiting.is_empty() {
        diff.waiting = Some(observed.deletions.wait_for(&waiting));
        services.retain(|name| !waiting.contains(name));
    }
    diff.staying = staying.is_some();
    // It ends first.
    diff.waiting = staying.or(diff.waiting.take());
    if !services.is_empty() {
        diff.actions.push(Action::RemoveServices {
            services: services.clone(),
        });
    }
    services
}

/// Whether sub-environments hold a service, so that Zadig would refuse to remove it from their base (Z§4.12).
fn is_held(diff: &mut Diff, name: &str, observed: &Observed) -> bool {
    let holders = sharing::holders(observed, name);
    if !holders.is_empty() {
        diff.block(
            Reason::HasSubEnvironments,
            format!(
                "spec.services: {name} cannot be removed from the base while sub-environments run it: {}; remove it there first, or declare it here again",
                join(&holders)
            ),
        );
    }
    !holders.is_empty()
}

/// Services whose variables have to be sent; the names are returned.
fn service_variables(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
    present: &Present,
) -> BTreeSet<String> {
    let globals: BTreeSet<String> = detail.global_variables.keys().cloned().collect();
    let mut services = BTreeMap::new();
    let (mut templates, mut upgrades) = (BTreeMap::new(), BTreeMap::new());
    for (name, service) in &desired.services {
        let Some(seen) = detail.services.get(name) else {
            continue;
        };
        if service.variables.is_empty() {
            continue;
        }
        let problems = variables::check(name, &service.variables, &seen.template, &globals);
        if !problems.is_empty() {
            diff.blocked.extend(problems);
            continue;
        }
        if !variables_differ(name, service, seen, detail, observed, present)
            || diff.is_loop(&subject::variables(name), observed)
        {
            continue;
        }
        services.insert(
            name.clone(),
            variables::complete(name, service, &seen.template, &detail.global_variables),
        );
        let newest = seen.template_digest.as_ref();
        templates.extend(newest.map(|newest| (name.clone(), newest.clone())));
        let upgrade = template::upgrade(&observed.memory, name, newest);
        upgrades.extend(upgrade.map(|upgrade| (name.clone(), upgrade)));
    }
    let names = services.keys().cloned().collect();
    if !services.is_empty() {
        diff.actions.push(Action::UpdateServices {
            services,
            templates,
            upgrades,
        });
    }
    names
}

/// Whether the variables of a service have to be sent again.
///
/// Their values cannot be read (Z§14.5). Where all of them can be told from the rendered documents, and are as declared,
/// nothing has to be sent. For the rest, the digest of what was last sent is compared with what is declared, and the digest of
/// what Zadig rendered after that with what it renders now. A told value that differs is no reason of its own: a value can be
/// spelt in several ways, and would be sent again for ever.
fn variables_differ(
    name: &str,
    service: &Service,
    seen: &ObservedService,
    detail: &Detail,
    observed: &Observed,
    present: &Present,
) -> bool {
    if variables::bindings_differ(name, service, &detail.global_variables) {
        return true;
    }
    if variables::are_so(service, seen) {
        return false;
    }
    let Some(entry) = observed.memory.applied.get(name) else {
        // Lost memory is not a change: it is recorded, and nothing is sent. But a service that was declared only after the
        // environment became ours never got its variables from us.
        return observed.memory.known;
    };
    if entry.variables != service.digest {
        return true;
    }
    observed.memory.edited(name, seen, present.update_time)
}

fn additions(diff: &mut Diff, desired: &Environment, detail: &Detail, observed: &Observed) {
    let catalog = &observed.catalog;
    let globals: BTreeSet<String> = detail.global_variables.keys().cloned().collect();
    let (mut services, mut templates) = (BTreeMap::new(), BTreeMap::new());
    for (name, service) in &desired.services {
        if detail.services.contains_key(name) {
            continue;
        }
        let problems = check_new_service(name, service, observed, &globals);
        let known = observed.memory.applied.get(name);
        // One that was taken out has to come back, however often.
        let taken_out = known.is_some_and(|known| known.restore.is_some());
        if let (Some(template), true) = (catalog.templates.get(name), problems.is_empty())
            && (taken_out || !diff.is_loop(&subject::added(name), observed))
        {
            let service = live::with_bindings(service, known, &globals);
            templates.insert(name.clone(), template.digest.clone());
            services.insert(
                name.clone(),
                variables::declared(&service, &template.variables),
            );
        }
        diff.blocked.extend(problems);
    }
    if !services.is_empty() {
        diff.actions.push(Action::AddServices {
            services,
            templates,
        });
    }
}

/// Checks a service that is to be created or added against its template, before anything is sent.
pub(super) fn check_new_service(
    name: &str,
    service: &Service,
    observed: &Observed,
    globals: &BTreeSet<String>,
) -> Vec<Blocked> {
    let catalog = &observed.catalog;
    let Some(template) = catalog.templates.get(name) else {
        return vec![Blocked::new(
            Reason::ServiceNotFound,
            format!(
                "spec.services[{name}]: the project has no such service{}; it has: {}",
                match observed.key.scope {
                    Scope::Test => "",
                    Scope::Production => " in production",
                },
                join(&catalog.services)
            ),
        )];
    };
    let mut problems = variables::check(name, &service.variables, &template.variables, globals);
    for container in service.containers.keys() {
        if !template.containers.contains(container) {
            problems.push(unknown_container(name, container, &template.containers));
        }
    }
    if let Some(workloads) = &template.workloads {
        for (kind, workload) in service.workloads.keys() {
            if !workloads.contains(&(format!("{kind:?}"), workload.clone())) {
                problems.push(unknown_workload(name, *kind, workload, workloads));
            }
        }
    }
    problems
}

fn unknown_container(service: &str, container: &str, known: &BTreeSet<String>) -> Blocked {
    Blocked::new(
        Reason::ContainerNotFound,
        format!(
            "spec.services[{service}].containers[{container}]: the service has no such container; it has: {}",
            join(known)
        ),
    )
}

fn unknown_workload(
    service: &str,
    kind: WorkloadKind,
    workload: &str,
    known: &BTreeSet<(String, String)>,
) -> Blocked {
    let known: Vec<String> = known
        .iter()
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect();
    Blocked::new(
        Reason::WorkloadNotFound,
        format!(
            "spec.services[{service}].workloads[{kind:?}/{workload}]: the service has no such workload; it has: {}",
            join(known)
        ),
    )
}

/// Images, in every workload of the service that has the container.
///
/// Both what runs and what Zadig records are compared; the image route repairs either (Z§19). A name that no workload has is
/// never sent: Zadig would add a container for good (Z§14.25).
fn images(diff: &mut Diff, name: &str, service: &Service, seen: &ObservedService, initial: bool) {
    let Some(live) = &seen.live else { return };
    for (container, image) in &service.containers {
        if image.policy == FieldPolicy::OnCreate && !initial {
            continue;
        }
        let holders: Vec<&LiveWorkload> = live
            .iter()
            .filter(|workload| workload.images.contains_key(container))
            .collect();
        if holders.is_empty() {
            // A workload that the cluster has lost is live drift, told by `health`.
            if is_complete(seen) {
                hidden_container(diff, name, container, &image.image, seen, live);
            }
            continue;
        }
        let (holders, others): (Vec<_>, Vec<_>) = holders
            .into_iter()
            .partition(|workload| has_image_route(&workload.kind));
        for workload in others {
            if workload.images.get(container) != Some(&image.image) {
                diff.block(
                    Reason::InvalidSpec,
                    no_image_route(
                        name,
                        container,
                        &format!("{}/{}", workload.kind, workload.name),
                    ),
                );
            }
        }
        let recorded = seen.images.get(container);
        let record_differs = recorded.is_some_and(|recorded| recorded != &image.image);
        let runs_elsewhere = holders
            .iter()
            .any(|w| w.images.get(container) != Some(&image.image));
        for (index, workload) in holders.iter().enumerate() {
            let running = workload.images.get(container);
            let repairs_record = record_differs && !runs_elsewhere && index == 0;
            if running != Some(&image.image) || repairs_record {
                diff.actions.push(Action::SetImage {
                    service: name.to_owned(),
                    kind: workload.kind.clone(),
                    workload: workload.name.clone(),
                    container: container.clone(),
                    from: if repairs_record {
                        recorded.cloned()
                    } else {
                        running.cloned()
                    },
                    image: image.image.clone(),
                });
            }
        }
    }
}

/// A declared container that no workload has which the live look shows: a mistake, or a container of a Job.
fn hidden_container(
    diff: &mut Diff,
    service: &str,
    container: &str,
    wanted: &str,
    seen: &ObservedService,
    live: &[LiveWorkload],
) {
    match seen.images.get(container) {
        Some(recorded) if recorded == wanted => {}
        Some(_) => diff.block(
            Reason::InvalidSpec,
            no_image_route(
                service,
                container,
                "a workload that Zadig does not show, such as a Job",
            ),
        ),
        None => {
            let known: BTreeSet<String> = live
                .iter()
                .flat_map(|workload| workload.images.keys().cloned())
                .chain(seen.images.keys().cloned())
                .collect();
            diff.blocked
                .push(unknown_container(service, container, &known));
        }
    }
}

/// Whether Zadig can set images of workloads of this kind (#40-#42).
fn has_image_route(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "CronJob")
}

fn no_image_route(service: &str, container: &str, workload: &str) -> String {
    format!(
        "spec.services[{service}].containers[{container}]: it runs in {workload}, and Zadig has no call that sets an image there; set it in the template of the service, and leave it out here"
    )
}

fn replicas(diff: &mut Diff, name: &str, service: &Service, seen: &ObservedService, initial: bool) {
    let Some(live) = &seen.live else { return };
    for ((kind, workload), wanted) in &service.workloads {
        if wanted.policy == FieldPolicy::OnCreate && !initial {
            continue;
        }
        let found = live
            .iter()
            .find(|w| w.kind == format!("{kind:?}") && &w.name == workload);
        match found.and_then(|found| found.replicas) {
            Some(from) if from != wanted.replicas => diff.actions.push(Action::ScaleWorkload {
                service: name.to_owned(),
                kind: *kind,
                workload: workload.clone(),
                from,
                replicas: wanted.replicas,
            }),
            Some(_) => {}
            None => {
                let known: BTreeSet<(String, String)> = seen
                    .expected
                    .iter()
                    .flatten()
                    .map(|(workload, _)| workload.clone())
                    .chain(live.iter().map(|w| (w.kind.clone(), w.name.clone())))
                    .collect();
                if is_complete(seen) && !known.contains(&(format!("{kind:?}"), workload.clone())) {
                    diff.blocked
                        .push(unknown_workload(name, *kind, workload, &known));
                }
            }
        }
    }
}

/// Whether nothing that Zadig expects is missing from the live look, so that an unknown name is a mistake and not a loss.
fn is_complete(seen: &ObservedService) -> bool {
    seen.expected.is_some() && seen.is_all_there()
}

fn restarts(
    diff: &mut Diff,
    name: &str,
    service: &Service,
    seen: &ObservedService,
    observed: &Observed,
) {
    let Some(token) = &service.restart_token else {
        return;
    };
    let Some(entry) = observed.memory.applied.get(name) else {
        return;
    };
    if entry.restart_token.as_ref() == Some(token) {
        return;
    }
    let pods = match restart::way(seen.live.as_deref(), observed.level) {
        Way::Service => BTreeSet::new(),
        Way::Pods(pods) => pods,
        Way::None(workloads) => {
            diff.blocked.push(Blocked::new(
                Reason::NeedsNewerZadig,
                format!(
                    "spec.services[{name}].restartToken: before 4.3 Zadig restarts the only Deployment of a service and nothing else, and says success; here it would have to restart {}; upgrade Zadig, or restart by other means and put the token back",
                    join(&workloads)
                ),
            ));
            return;
        }
    };
    diff.actions.push(Action::RestartService {
        service: name.to_owned(),
        token: token.clone(),
        pods,
    });
}

/// What an answered call changed may take a moment to be seen (Z§4.3); sending it again would count as a repair.
fn hold_back_what_was_just_asked(diff: &mut Diff, observed: &Observed) {
    (diff.pending, diff.actions) = std::mem::take(&mut diff.actions)
        .into_iter()
        .partition(|action| observed.memory.was_just_asked(action, observed.now));
}

/// The actions about one thing each; those about several were looked through when they were made.
fn hold_back_loops(diff: &mut Diff, observed: &Observed) {
    for action in std::mem::take(&mut diff.actions) {
        let held = match &action {
            Action::SetImage { .. }
            | Action::ScaleWorkload { .. }
            | Action::RestartService { .. }
            | Action::EnableSharing
            | Action::DisableSharing
            | Action::SetPortal { .. } => diff.is_loop(&action.subject(), observed),
            _ => false,
        };
        if !held {
            diff.actions.push(action);
        }
    }
}

/// A call that Zadig refused does not hold up the others: it is sent after them, and of several the one that was refused first.
///
/// What updates or adds services stays behind their removal, see the head of this file.
fn put_refused_ones_last(diff: &mut Diff, observed: &Observed) {
    let rank = |action: &Action| observed.memory.refusal(action);
    let removal = diff
        .actions
        .iter()
        .find(|action| matches!(action, Action::RemoveServices { .. }))
        .and_then(rank);
    diff.actions.sort_by_key(|action| match action {
        Action::UpdateServices { .. }
        | Action::AddServices { .. }
        | Action::DeployReleases { .. } => rank(action).max(removal),
        other => rank(other),
    });
}
