//! From the spec to [`Desired`]: every reference resolved, every default filled, every string checked once.

mod helm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use super::digest::DigestKey;
use crate::api::KeyRef;
use crate::api::condition::Reason;
use crate::api::environment::{Service as DeclaredService, ValueFrom, ZadigEnvironmentSpec};
use crate::api::management::Management;
use crate::error::Error;
use crate::plan::environment::{Environment, Image, Replicas, Service, Variable, moving, sharing};
use crate::plan::secret::SecretText;
use crate::plan::{Blocked, Plan};

/// The kind of an object that holds values.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum SourceKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// The Secrets and ConfigMaps that a spec refers to, by kind and name.
#[must_use]
pub(super) fn sources(spec: &ZadigEnvironmentSpec) -> BTreeSet<(SourceKind, String)> {
    let globals = spec
        .global_variables
        .iter()
        .map(|variable| &variable.value_from);
    of_values(globals)
        .chain(service_sources(&spec.services))
        .collect()
}

/// The Secrets and ConfigMaps that services refer to, by kind and name.
pub(super) fn service_sources(
    services: &[DeclaredService],
) -> impl Iterator<Item = (SourceKind, String)> {
    of_values(services.iter().flat_map(|service| {
        service
            .variables
            .iter()
            .map(|variable| &variable.value_from)
    }))
    .chain(helm::sources(services))
}

fn of_values<'a>(
    values: impl Iterator<Item = &'a Option<ValueFrom>>,
) -> impl Iterator<Item = (SourceKind, String)> {
    values
        .flatten()
        .filter_map(|from| source(from).map(|(kind, key)| (kind, key.name.clone())))
}

pub(super) fn source(from: &ValueFrom) -> Option<(SourceKind, &KeyRef)> {
    let ValueFrom {
        secret_key_ref,
        config_map_key_ref,
    } = from;
    match (secret_key_ref, config_map_key_ref) {
        (Some(key), _) => Some((SourceKind::Secret, key)),
        (None, Some(key)) => Some((SourceKind::ConfigMap, key)),
        (None, None) => None,
    }
}

/// The data of the referenced objects; `None` for one that does not exist.
pub(super) type Sources = BTreeMap<(SourceKind, String), Option<BTreeMap<String, SecretText>>>;

/// Reads the referenced objects from the object's own namespace.
///
/// # Errors
/// When Kubernetes does not answer; a missing object is no error.
pub(super) async fn read_sources(
    client: &Client,
    namespace: &str,
    wanted: BTreeSet<(SourceKind, String)>,
) -> Result<Sources, Error> {
    let mut sources = Sources::new();
    for (kind, name) in wanted {
        let data = match kind {
            SourceKind::Secret => {
                let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
                secrets
                    .get_opt(&name)
                    .await
                    .map_err(Error::kubernetes("read a referenced Secret"))?
                    .map(|secret| {
                        secret
                            .data
                            .unwrap_or_default()
                            .into_iter()
                            .filter_map(text)
                            .collect()
                    })
            }
            SourceKind::ConfigMap => {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                maps.get_opt(&name)
                    .await
                    .map_err(Error::kubernetes("read a referenced ConfigMap"))?
                    .map(|map| {
                        map.data
                            .unwrap_or_default()
                            .into_iter()
                            .map(|(key, value)| (key, SecretText::new(value)))
                            .collect()
                    })
            }
        };
        sources.insert((kind, name), data);
    }
    Ok(sources)
}

/// A Secret's value as text; binary data cannot be a variable.
fn text((key, value): (String, ByteString)) -> Option<(String, SecretText)> {
    String::from_utf8(value.0)
        .ok()
        .map(|value| (key, SecretText::new(value)))
}

/// What the spec asks for, or what has to come first.
///
/// # Errors
/// The plan for a spec whose sources are not there yet: waiting, since a person or a GitOps tool may be on the way.
pub(super) fn environment<A>(
    spec: &ZadigEnvironmentSpec,
    sources: &Sources,
    key: &DigestKey,
) -> Result<Environment, Plan<A>> {
    let ZadigEnvironmentSpec {
        connection_ref: _,
        project_key,
        env_key,
        scope: _,
        deploy_type,
        cluster,
        namespace,
        registry,
        alias,
        global_variables,
        config_refs,
        services,
        sharing,
        sub_environment_of,
        creation,
        deletion: _,
        deletion_protection: _,
        ttl: _,
        prune,
        management,
        approved_plan: _,
        live_drift,
        bindings: _,
        suspend: _,
    } = spec;
    let mut missing = Vec::new();
    let mut globals = BTreeMap::new();
    for variable in global_variables {
        let field = format!("spec.globalVariables[{}]", variable.key);
        match value(
            &field,
            variable.value.as_ref(),
            variable.value_from.as_ref(),
            sources,
        ) {
            Ok(value) => {
                globals.insert(variable.key.clone(), value);
            }
            Err(blocked) => missing.push(blocked),
        }
    }
    let declared = declare(services, sources, key, &mut missing);
    if let Some(plan) = first_of(missing) {
        return Err(plan);
    }
    Ok(Environment {
        deploy_type: *deploy_type,
        alias: alias.clone(),
        cluster: cluster.clone(),
        namespace: target_namespace(namespace.as_ref(), project_key, env_key),
        registry: registry.clone(),
        global_variables: globals,
        configs: config_refs.iter().map(|it| it.name.clone()).collect(),
        services: declared,
        sharing: sharing::Declared::of(*sharing, sub_environment_of.as_ref()),
        creation: *creation,
        prune: *prune,
        // A plan that a person looks at needs no more time than that.
        grace: match management {
            Management::Enforce => moving::GRACE,
            Management::Approve | Management::Observe => Duration::ZERO,
        },
        live_drift: *live_drift,
    })
}

/// Services with their values; what is missing of those is noted.
fn declare(
    services: &[DeclaredService],
    sources: &Sources,
    key: &DigestKey,
    missing: &mut Vec<Blocked>,
) -> BTreeMap<String, Service> {
    let mut declared = BTreeMap::new();
    for service in services {
        let mut variables = BTreeMap::new();
        for variable in &service.variables {
            if variable.use_global {
                variables.insert(variable.key.clone(), Variable::Global);
                continue;
            }
            let field = format!(
                "spec.services[{}].variables[{}]",
                service.name, variable.key
            );
            match value(
                &field,
                variable.value.as_ref(),
                variable.value_from.as_ref(),
                sources,
            ) {
                Ok(value) => {
                    variables.insert(variable.key.clone(), Variable::Value(value));
                }
                Err(blocked) => missing.push(blocked),
            }
        }
        let digest = (!variables.is_empty()).then(|| variables_digest(key, &variables));
        declared.insert(
            service.name.clone(),
            Service {
                variables,
                digest,
                containers: service
                    .containers
                    .iter()
                    .map(|c| {
                        (
                            c.name.clone(),
                            Image {
                                image: c.image.clone(),
                                policy: c.policy,
                            },
                        )
                    })
                    .collect(),
                workloads: service
                    .workloads
                    .iter()
                    .map(|w| {
                        let replicas = Replicas {
                            replicas: w.replicas,
                            policy: w.policy,
                        };
                        ((w.kind, w.name.clone()), replicas)
                    })
                    .collect(),
                restart_token: service.restart_token.clone(),
                helm: helm::declare(service, sources, key, missing),
            },
        );
    }
    declared
}

/// One service as declared, or what has to come first.
///
/// # Errors
/// As [`environment`].
pub(super) fn service<A>(
    service: &DeclaredService,
    sources: &Sources,
    key: &DigestKey,
) -> Result<BTreeMap<String, Service>, Plan<A>> {
    let mut missing = Vec::new();
    let declared = declare(std::slice::from_ref(service), sources, key, &mut missing);
    first_of(missing).map_or(Ok(declared), Err)
}

/// The plan for values that are not there yet, or cannot be read.
fn first_of<A>(missing: Vec<Blocked>) -> Option<Plan<A>> {
    let first = missing.into_iter().next()?;
    if first.reason == Reason::InvalidSpec {
        return Some(Plan::Blocked(vec![first]));
    }
    Some(Plan::wait(
        first.reason,
        first.message,
        std::time::Duration::from_mins(5),
    ))
}

/// The namespace an environment lives in: as declared, or as Zadig's own pages would name it.
#[must_use]
pub(super) fn target_namespace(declared: Option<&String>, project: &str, env: &str) -> String {
    declared
        .cloned()
        .unwrap_or_else(|| format!("{project}-env-{env}"))
}

pub(super) fn value(
    field: &str,
    plain: Option<&String>,
    from: Option<&ValueFrom>,
    sources: &Sources,
) -> Result<SecretText, Blocked> {
    if let Some(value) = plain {
        return Ok(SecretText::new(value));
    }
    let Some((kind, key)) = from.and_then(source) else {
        return Err(Blocked::new(
            Reason::InvalidSpec,
            format!("{field}: needs value or valueFrom"),
        ));
    };
    match sources.get(&(kind, key.name.clone())) {
        Some(Some(data)) => data.get(&key.key).cloned().ok_or_else(|| {
            Blocked::new(
                Reason::SourceNotFound,
                format!(
                    "{field}.valueFrom: {kind:?} {} has no text under key {}",
                    key.name, key.key
                ),
            )
        }),
        _ => Err(Blocked::new(
            Reason::SourceNotFound,
            format!(
                "{field}.valueFrom: waiting for {kind:?} {} in this namespace",
                key.name
            ),
        )),
    }
}

fn variables_digest(key: &DigestKey, variables: &BTreeMap<String, Variable>) -> String {
    key.digest(variables.iter().flat_map(|(name, value)| match value {
        Variable::Value(text) => [name.as_str(), "value", text.expose()],
        Variable::Global => [name.as_str(), "global", ""],
    }))
}
