//! What is different about a production environment (Z§9): it starts empty, its alias is lost where it is not sent along, nothing
//! sets its images and replicas, deleting it touches nothing in the cluster, and all of it needs a licence.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::resolve_registry;
use super::diff::Diff;
use super::{
    Action, CreateEnvironment, Detail, EnvKey, Environment, GlobalVariable, Observed, Service,
    subject,
};
use crate::api::condition::Reason;
use crate::api::environment::Scope;
use crate::plan::{Blocked, Licence};

/// What stands in the way of everything about an environment of this scope: for production, a licence that is known to be
/// refused (Z§1.3).
#[must_use]
pub fn licence_missing(scope: Scope, licence: Licence) -> Option<Blocked> {
    (scope == Scope::Production && licence == Licence::Refused).then(|| {
        Blocked::new(
            Reason::LicenceRequired,
            format!(
                "spec.scope: production environments need Zadig's professional licence, and Zadig refused with code 7050; once there is one, set the annotation {} on the connection, or wait for its next look",
                crate::api::RECONCILE_ANNOTATION
            ),
        )
    })
}

/// The key belongs to an environment of the other scope: Zadig has one for both (Z§9, 1 and 16).
pub(super) fn key_taken(key: &EnvKey) -> Blocked {
    let EnvKey {
        project,
        env,
        scope,
    } = key;
    let other = match scope {
        Scope::Test => "production",
        Scope::Production => "test",
    };
    Blocked::new(
        Reason::EnvironmentExists,
        format!(
            "spec.envKey: {env} is the key of a {other} environment of project {project}, and Zadig keeps one key for both scopes; create another ZadigEnvironment with another envKey or with that scope"
        ),
    )
}

/// Registry and alias.
///
/// In production one call holds both and overwrites the alias with whatever it holds, also with nothing (Z§4.8, Z§14.7): the
/// registry goes with the alias that is declared, else with the one that is there.
pub(super) fn registry_and_alias(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
) {
    let registry = match desired
        .registry
        .as_ref()
        .map(|wanted| resolve_registry(Some(wanted), &observed.catalog))
        .transpose()
    {
        Ok(id) => id.filter(|id| id != &detail.registry_id),
        // An unknown id would be stored although the call is refused (Z§14.27).
        Err(blocked) => {
            diff.blocked.push(blocked);
            None
        }
    };
    let registry = registry.filter(|_| !diff.is_loop(subject::REGISTRY, observed));
    let mut alias = desired.alias.clone();
    alias.take_if(|alias| alias == &detail.alias);
    let is_production = observed.key.scope == Scope::Production;
    if let (Some(wanted), false) = (&alias, is_production) {
        diff.blocked.push(Blocked::new(
            Reason::InvalidSpec,
            format!(
                "spec.alias: the environment is called {:?} in Zadig, not {wanted:?}, and Zadig has no call that changes it; leave alias out, or change it in Zadig",
                detail.alias
            ),
        ));
    }
    alias.take_if(|_| !is_production || diff.is_loop(subject::ALIAS, observed));
    let kept = || is_production.then(|| detail.alias.clone());
    diff.actions.extend(match (registry, alias) {
        (Some(registry_id), alias) => Some(Action::SetRegistry {
            registry_id,
            alias: alias.or_else(kept),
        }),
        (None, Some(alias)) => Some(Action::SetAlias { alias }),
        (None, None) => None,
    });
}

/// What is declared of a service that Zadig has no call for in production (Z§9, 11). An environment's own fields are refused by
/// its schema; a binding does not know its environment's scope.
pub(super) fn without_call(name: &str, service: &Service) -> Vec<Blocked> {
    let no_call = |field: &str, what: &str| {
        Blocked::new(
            Reason::InvalidSpec,
            format!(
                "spec.services[{name}].{field}: Zadig has no call that sets {what} of a production service; make them variables of its production template, or set them there, and remove the field"
            ),
        )
    };
    let containers = (!service.containers.is_empty()).then(|| no_call("containers", "images"));
    let workloads = (!service.workloads.is_empty()).then(|| no_call("workloads", "replicas"));
    containers.into_iter().chain(workloads).collect()
}

/// The stored global variables, with options that may be sent back.
///
/// The detail shows the options of the project's test variables of the same keys, in production too (Z§9, 15). Whatever is sent is
/// stored, and checked against the value, so there the project's production options take their place.
pub(super) fn stored_globals(
    detail: &Detail,
    observed: &Observed,
) -> BTreeMap<String, GlobalVariable> {
    let mut stored = detail.global_variables.clone();
    if observed.key.scope == Scope::Production {
        for declared in &observed.catalog.global_variables {
            if let Some(variable) = stored.get_mut(&declared.key) {
                variable.options.clone_from(&declared.options);
            }
        }
    }
    stored
}

/// The creation as production takes it: services and global variables are ignored (Z§4.7), so they are checked before it and
/// sent after it.
pub(super) fn empty(create: CreateEnvironment) -> CreateEnvironment {
    CreateEnvironment {
        global_variables: BTreeMap::new(),
        configs: Vec::new(),
        services: BTreeMap::new(),
        ..create
    }
}

/// The services that are removed before an environment of ours leaves Zadig.
///
/// Nothing else ever removes their workloads, and each was added by a call of its own, whose answer may have been lost: so in
/// what we made, all that is declared goes.
pub(super) fn services_to_delete(
    ours: &BTreeSet<String>,
    declared: &BTreeSet<String>,
    created: bool,
) -> BTreeSet<String> {
    let declared = declared.iter().filter(|_| created);
    ours.iter().chain(declared).cloned().collect()
}
