//! The decision table of an environment (design §3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::diff::{check_new_service, diff};
use super::{
    Action, Catalog, CreateEnvironment, Desired, EnvStatus, Environment, Existence, Moved,
    Observed, Present, Service, delete, join, production, sharing, variables,
};
use crate::api::condition::Reason;
use crate::api::environment::{
    ClusterRef, Creation, DeployType, Ownership, OwnershipState, RegistryRef, Scope,
};
use crate::plan::env_config::Config;
use crate::plan::{Blocked, Plan};

/// A second disappearance within this time means that something else deletes the environment.
const DISAPPEARS_AGAIN: Duration = Duration::from_hours(24);

/// What is to be done about one environment.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let environment = match desired {
        Desired::Absent {
            policy,
            declared,
            protected,
            expired,
        } => {
            let held = delete::Held {
                protected: *protected,
                counted: !*expired,
            };
            return delete::plan(*policy, declared, held, observed);
        }
        Desired::Present(environment) => environment,
    };
    if let Some(rival) = &observed.rival {
        return Plan::blocked(
            Reason::Conflict,
            format!(
                "spec.envKey: {rival} is older and owns environment {} of project {}; delete one of the two",
                observed.key.env, observed.key.project
            ),
        );
    }
    if observed.moved == Moved::DifferentZadig {
        return Plan::blocked(Reason::DifferentZadig, different_zadig(observed));
    }
    let planned = match &observed.existence {
        Existence::Absent { confirmed } => absent(environment, observed, *confirmed),
        Existence::Present(present) => self::present(environment, observed, present),
    };
    planned.held(observed.connection_suspended, Action::summary)
}

/// The message of an object whose connection leads elsewhere.
pub(super) fn different_zadig(observed: &Observed) -> String {
    let recorded = observed
        .record
        .as_ref()
        .map_or("another Zadig", |record| record.zadig.as_str());
    format!(
        "spec.connectionRef: this environment lives in {recorded}, the connection now leads to {}, and not every environment that was made through it is found there as recorded; nothing is written. Point the connection back, or release the objects with deletion: Orphan",
        observed.zadig
    )
}

fn absent(desired: &Environment, observed: &Observed, confirmed: bool) -> Plan<Action> {
    if observed.catalog.key_taken {
        return Plan::Blocked(vec![production::key_taken(&observed.key)]);
    }
    let ours = observed
        .record
        .as_ref()
        .is_some_and(|record| record.state != OwnershipState::Pending);
    if !ours && desired.creation == Creation::Adopt {
        return Plan::wait(
            Reason::EnvironmentNotFound,
            format!(
                "spec.creation: Adopt, but project {} has no environment {}; create it in Zadig, or set creation: CreateOrAdopt",
                observed.key.project, observed.key.env
            ),
            Duration::from_mins(1),
        );
    }
    if observed.record.is_some() && !confirmed {
        return Plan::wait(
            Reason::Creating,
            if ours {
                "the environment is no longer listed; looking again before it is created anew"
            } else {
                "it is not known what became of the create call; looking again before another is sent"
            },
            Duration::from_secs(3),
        );
    }
    if ours {
        let again = observed
            .memory
            .recreated_at
            .is_some_and(|before| elapsed(before, observed.now) < DISAPPEARS_AGAIN);
        if again && observed.memory.was_ready_lately {
            return Plan::blocked(
                Reason::DeletedElsewhere,
                format!(
                    "environment {} disappeared twice within a day; something else deletes it (a person, or Zadig's recycling of old environments). Once that is settled, set the annotation {} or change the spec",
                    observed.key.env,
                    crate::api::RECONCILE_ANNOTATION
                ),
            );
        }
    }
    match create(desired, observed, ours || observed.memory.vanished) {
        Ok(create) => {
            let ownership = Ownership {
                zadig: observed.zadig.clone(),
                project: observed.key.project.clone(),
                env: observed.key.env.clone(),
                cluster_id: create.cluster_id.clone(),
                namespace: create.namespace.clone(),
                state: OwnershipState::Pending,
            };
            let mut actions = Vec::new();
            if observed.record.as_ref() != Some(&ownership) {
                actions.push(Action::RecordOwnership(ownership));
            }
            actions.push(Action::CreateEnvironment(Box::new(create)));
            Plan::of(actions, Vec::new())
        }
        Err(plan) => plan,
    }
}

/// The one call that makes the environment, or everything that speaks against it.
fn create(
    desired: &Environment,
    observed: &Observed,
    again: bool,
) -> Result<CreateEnvironment, Plan<Action>> {
    let catalog = &observed.catalog;
    let mut blocked = Vec::new();
    let mut settle = |result: Result<String, Blocked>| match result {
        Ok(id) => id,
        Err(problem) => {
            blocked.push(problem);
            String::new()
        }
    };
    let cluster_id = settle(resolve_cluster(desired.cluster.as_ref(), catalog));
    let registry_id = settle(resolve_registry(desired.registry.as_ref(), catalog));
    let (_, _, problems) = variables::merge_globals(
        &desired.global_variables,
        &BTreeMap::new(),
        &catalog.global_variables,
    );
    blocked.extend(problems);
    let globals: BTreeSet<String> = desired.global_variables.keys().cloned().collect();
    let (mut services, mut templates) = (BTreeMap::new(), BTreeMap::new());
    // A Helm environment begins without services (Z§4.21).
    let carried_services = desired
        .services
        .iter()
        .filter(|_| desired.deploy_type == DeployType::KubernetesYaml);
    for (name, service) in carried_services {
        let problems = check_new_service(name, service, observed, &globals);
        if let (Some(template), true) = (catalog.templates.get(name), problems.is_empty()) {
            templates.insert(name.clone(), template.digest.clone());
            services.insert(
                name.clone(),
                (
                    variables::declared(service, &template.variables),
                    images(service),
                ),
            );
        }
        blocked.extend(problems);
    }
    let base = sharing::base(desired, observed, &cluster_id, &mut blocked);
    if !blocked.is_empty() {
        return Err(Plan::Blocked(blocked));
    }
    let base = base?;
    let create = CreateEnvironment {
        deploy_type: desired.deploy_type,
        cluster_id,
        namespace: desired.namespace.clone(),
        registry_id,
        alias: desired.alias.clone(),
        global_variables: desired.global_variables.clone(),
        configs: carried(desired, catalog)?,
        services,
        templates,
        base,
        again,
    };
    Ok(match observed.key.scope {
        Scope::Test => create,
        Scope::Production => production::empty(create),
    })
}

/// The objects that the creation carries, once all of them are there: without a licence there is no other way for some of
/// them (Z§1.3), so it may not depend on which object was applied first.
fn carried(desired: &Environment, catalog: &Catalog) -> Result<Vec<Config>, Plan<Action>> {
    let mut configs = Vec::new();
    let mut missing = Vec::new();
    for name in &desired.configs {
        match catalog.configs.get(name) {
            Some(Ok(config)) => configs.push(config.clone()),
            Some(Err(why)) => missing.push(format!("{name} ({why})")),
            None => missing.push(format!("{name} (there is no ZadigEnvConfig of this name)")),
        }
    }
    if missing.is_empty() {
        return Ok(configs);
    }
    Err(Plan::wait(
        Reason::ConfigNotReady,
        format!(
            "spec.configRefs: the environment is created together with them; waiting for {}",
            join(missing)
        ),
        Duration::from_mins(1),
    ))
}

fn images(service: &Service) -> BTreeMap<String, String> {
    service
        .containers
        .iter()
        .map(|(name, image)| (name.clone(), image.image.clone()))
        .collect()
}

fn present(desired: &Environment, observed: &Observed, present: &Present) -> Plan<Action> {
    let declared_cluster = desired
        .cluster
        .as_ref()
        .map(|wanted| resolve_cluster(Some(wanted), &observed.catalog))
        .transpose();
    let (declared_cluster, unknown_cluster) = match declared_cluster {
        Ok(id) => (id, None),
        Err(blocked) => (None, Some(blocked)),
    };
    let elsewhere = present.namespace != desired.namespace
        || declared_cluster
            .as_ref()
            .is_some_and(|id| id != &present.cluster_id);
    let recorded = match &observed.record {
        Some(record)
            if record.cluster_id == present.cluster_id && record.namespace == present.namespace =>
        {
            record
        }
        Some(record) if record.state != OwnershipState::Pending => {
            return Plan::blocked(
                Reason::IdentityMismatch,
                format!(
                    "environment {} lives in namespace {} of cluster {}, but the one that this object owned lived in namespace {} of cluster {}: it is another environment and is left alone",
                    observed.key.env,
                    present.namespace,
                    present.cluster_id,
                    record.namespace,
                    record.cluster_id
                ),
            );
        }
        _ => {
            return match unknown_cluster {
                Some(blocked) => Plan::Blocked(vec![blocked]),
                None => unowned(desired, observed, present, elsewhere),
            };
        }
    };
    if elsewhere {
        return Plan::blocked(
            Reason::IdentityMismatch,
            mismatch(desired, observed, present),
        );
    }
    // The answer of our create call was lost, or the process ended before it was remembered: here is its effect. Or the
    // connection leads to the same Zadig under another name: that is noted once a lost memory is filled, as noting it must
    // not look like making or taking over the environment.
    let moved = observed.moved == Moved::SameZadig && observed.memory.known;
    if recorded.state == OwnershipState::Pending || moved {
        let state = match recorded.state {
            OwnershipState::Adopted => OwnershipState::Adopted,
            OwnershipState::Pending | OwnershipState::Created => OwnershipState::Created,
        };
        return Plan::of(
            vec![Action::RecordOwnership(Ownership {
                zadig: observed.zadig.clone(),
                state,
                ..recorded.clone()
            })],
            Vec::new(),
        );
    }
    match &present.status {
        EnvStatus::Creating => busy(Reason::Creating, observed, present),
        EnvStatus::Deleting => busy(Reason::Deleting, observed, present),
        EnvStatus::Sleeping => Plan::wait(
            Reason::Sleeping,
            "the environment sleeps; nothing is changed until somebody wakes it in Zadig",
            Duration::from_mins(5),
        ),
        EnvStatus::Updating | EnvStatus::Other(_) => busy(Reason::Updating, observed, present),
        EnvStatus::Success | EnvStatus::Failed | EnvStatus::Unstable => match &present.detail {
            Some(detail) => {
                let mut differences = diff(desired, observed, present, detail);
                // A cluster that was renamed is still the one on record.
                differences.blocked.extend(unknown_cluster);
                differences.plan()
            }
            None => Plan::wait(
                Reason::Updating,
                "the environment changed while it was looked at",
                Duration::from_secs(1),
            ),
        },
    }
}

/// An environment that exists and is not ours.
fn unowned(
    desired: &Environment,
    observed: &Observed,
    present: &Present,
    elsewhere: bool,
) -> Plan<Action> {
    if desired.creation == Creation::Create {
        return Plan::blocked(
            Reason::EnvironmentExists,
            format!(
                "environment {} exists in project {} and is not owned by this object; to take it over: kubectl patch zadigenvironment <name> --type merge -p '{{\"spec\":{{\"creation\":\"CreateOrAdopt\"}}}}'",
                observed.key.env, observed.key.project
            ),
        );
    }
    if elsewhere {
        return Plan::blocked(
            Reason::IdentityMismatch,
            mismatch(desired, observed, present),
        );
    }
    Plan::of(
        vec![Action::RecordOwnership(Ownership {
            zadig: observed.zadig.clone(),
            project: observed.key.project.clone(),
            env: observed.key.env.clone(),
            cluster_id: present.cluster_id.clone(),
            namespace: present.namespace.clone(),
            state: OwnershipState::Adopted,
        })],
        Vec::new(),
    )
}

fn mismatch(desired: &Environment, observed: &Observed, present: &Present) -> String {
    format!(
        "spec.namespace, spec.cluster: environment {} lives in namespace {} of cluster {}, declared are namespace {} and {}; Zadig cannot move an environment",
        observed.key.env,
        present.namespace,
        present.cluster_id,
        desired.namespace,
        desired.cluster.as_ref().map_or_else(
            || "Zadig's local cluster".to_owned(),
            |cluster| format!(
                "cluster {}",
                cluster
                    .name
                    .as_ref()
                    .or(cluster.id.as_ref())
                    .map_or("", String::as_str)
            )
        )
    )
}

/// An environment that Zadig works on. There is no watchdog in Zadig (Z§14.12), so belief ends.
pub(super) fn busy(reason: Reason, observed: &Observed, present: &Present) -> Plan<Action> {
    let age = elapsed(present.since, observed.now);
    if age >= observed.stuck_after {
        return Plan::blocked(
            Reason::ZadigStuck,
            format!(
                "Zadig has reported {} since {}; it does not recover from this by itself after a restart of its server. Only deleting the environment helps: delete this object, or the environment in Zadig",
                present.status.as_str(),
                present.since
            ),
        );
    }
    let seconds = match age.as_secs() {
        0..=1 => 1,
        2..=120 => 3,
        _ => 30,
    };
    Plan::wait(
        reason,
        format!("Zadig reports {}", present.status.as_str()),
        Duration::from_secs(seconds),
    )
}

/// Time between two moments; none when the clock went back.
pub(in crate::plan) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// The id of the declared cluster: an id or a name is looked up before it is sent, an empty one never is.
///
/// # Errors
/// That there is none, or more than one, with those that there are.
pub fn resolve_cluster(wanted: Option<&ClusterRef>, catalog: &Catalog) -> Result<String, Blocked> {
    let found = catalog.clusters.iter().filter(|cluster| match wanted {
        None => cluster.local,
        Some(ClusterRef {
            name: Some(name), ..
        }) => &cluster.name == name,
        Some(ClusterRef { id, .. }) => Some(&cluster.id) == id.as_ref(),
    });
    let found: Vec<_> = found.collect();
    match found.as_slice() {
        [cluster] if !cluster.id.is_empty() => Ok(cluster.id.clone()),
        [] | [_] => Err(Blocked::new(
            Reason::ClusterNotFound,
            format!(
                "spec.cluster: Zadig knows no such cluster; it knows: {}",
                join(
                    catalog
                        .clusters
                        .iter()
                        .map(|c| format!("{} ({})", c.name, c.id))
                )
            ),
        )),
        several => Err(Blocked::new(
            Reason::ClusterNotFound,
            format!(
                "spec.cluster.name: {} clusters have this name; use spec.cluster.id with one of {}",
                several.len(),
                join(several.iter().map(|c| c.id.as_str()))
            ),
        )),
    }
}

/// The id of the declared registry, or of Zadig's default.
///
/// Zadig takes any id that is not 24 hexadecimal digits for "the first registry" (Z§4.6), so only ids from its list are sent.
pub(super) fn resolve_registry(
    wanted: Option<&RegistryRef>,
    catalog: &Catalog,
) -> Result<String, Blocked> {
    let found: Vec<_> = catalog
        .registries
        .iter()
        .filter(|registry| match wanted {
            None => registry.is_default,
            Some(RegistryRef {
                address: Some(address),
                ..
            }) => {
                let host = bare(&registry.address);
                let wanted = bare(address);
                wanted == host || wanted == format!("{host}/{}", registry.namespace)
            }
            Some(RegistryRef { id, .. }) => Some(&registry.id) == id.as_ref(),
        })
        .collect();
    match found.as_slice() {
        [registry] if !registry.id.is_empty() => Ok(registry.id.clone()),
        [] | [_] => Err(Blocked::new(
            Reason::RegistryNotFound,
            format!(
                "spec.registry: Zadig knows no such registry; it knows: {}",
                join(catalog.registries.iter().map(|r| format!(
                    "{}/{} ({})",
                    bare(&r.address),
                    r.namespace,
                    r.id
                )))
            ),
        )),
        several => Err(Blocked::new(
            Reason::RegistryNotFound,
            format!(
                "spec.registry: {} registries fit; use spec.registry.id with one of {}",
                several.len(),
                join(several.iter().map(|r| r.id.as_str()))
            ),
        )),
    }
}

fn bare(address: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.trim_end_matches('/').to_owned()
}
