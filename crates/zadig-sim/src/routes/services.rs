//! Adding and updating services (Z§4.10, Z§4.11).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::variables::{Bound, EnumCheck, Variable};
use crate::world::environment::{Deployed, Environment};
use crate::world::{Project, World};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    service_name: String,
    variable_kvs: Option<Vec<Bound>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AddArgs {
    env_key: String,
    service_list: Option<Vec<Sent>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UpdateArgs {
    service_list: Option<Vec<Sent>>,
}

pub(crate) fn add(world: &mut World, request: &Request) -> Outcome {
    let args: AddArgs = request.bind()?;
    let sent = args.service_list.unwrap_or_default();
    let missing = if args.env_key.is_empty() {
        Some("env_key is required")
    } else if sent.iter().any(|service| service.service_name.is_empty()) {
        Some("service_name is required for all services")
    } else {
        None
    };
    let no_project = "projectKey cannot be empty";
    // The production route looks at the body first, the test route at the query.
    let project = match (request.scope, missing) {
        (Scope::Production, Some(text)) => return Err(Fail::wrapped(text)),
        _ => request.required("projectKey", no_project)?.to_owned(),
    };
    if let Some(text) = missing {
        return Err(Fail::wrapped(text));
    }
    // The production route, too, asks a collaboration mode for the test verb (Z§9 no. 6).
    request.permitted_on(&project, &args.env_key, Permission::EditConfig, Scope::Test)?;
    world.licensed_for(request.scope)?;
    let mut environment = world
        .environment(&project, &args.env_key)
        .ok_or_else(|| Fail::code(404, NO_DOCUMENTS))?
        .clone();
    if environment.scope != request.scope {
        let text = mismatch(&environment, request.scope);
        return Err(Fail::wrapped(format!(
            "environment {} is invalid, {text}",
            environment.key
        )));
    }
    if let Some(known) = sent
        .iter()
        .find(|s| environment.service(&s.service_name).is_some())
    {
        return Err(Fail::wrapped(format!(
            "service {} already exist in env, cannot repeatedly add the same service to the environment",
            known.service_name
        )));
    }
    let project = project_of(world, &project)?;
    for service in &sent {
        let variables = with_known_globals(service, &environment);
        let fresh = World::fresh_service(
            project.templates(request.scope),
            &service.service_name,
            &variables,
            BTreeMap::new(),
            false,
        )
        .ok_or_else(|| {
            Fail::code(
                6092,
                format!(
                    "更新环境失败: service {} not found from db",
                    service.service_name
                ),
            )
        })?;
        enter(&mut environment, fresh)?;
    }
    begin(world, request, environment, &sent)
}

pub(crate) fn update(world: &mut World, request: &Request) -> Outcome {
    let args: UpdateArgs = request.decode_or_500("service.OpenAPIServiceVariablesReq")?;
    let sent = args.service_list.unwrap_or_default();
    let project = request
        .required("projectKey", "projectKey can't be empty")?
        .to_owned();
    let env = request.param(0);
    request.permitted(&project, Permission::EditConfig)?;
    world.licensed_for(request.scope)?;
    let mut environment = world
        .environment(&project, env)
        .ok_or_else(|| Fail::code(404, NO_DOCUMENTS))?
        .clone();
    if environment.scope != request.scope {
        let text = mismatch(&environment, request.scope);
        return Err(Fail::wrapped(format!("env:{env} is invalid, {text}")));
    }
    let project = project_of(world, &project)?;
    for service in &sent {
        let newest = project
            .templates(request.scope)
            .get(&service.service_name)
            .and_then(|service| service.revisions.last())
            .ok_or_else(|| {
                Fail::multi(format!(
                    "更新环境失败: failed to get latest service template {}, err: {NO_DOCUMENTS}",
                    service.service_name
                ))
            })?
            .clone();
        match environment.service(&service.service_name).cloned() {
            // An update is an upsert (Z§4.11).
            None => {
                let mut variables = with_known_globals(service, &environment);
                // Types are filled in only for what the environment stores: without one a value is lost (Z§4.11 rule 1).
                variables.retain(|bound| {
                    bound.use_global_variable
                        || newest.variables.iter().any(|template| {
                            template.key == bound.variable.key
                                && template.kind == bound.variable.kind
                        })
                });
                if let Some(fresh) = World::fresh_service(
                    project.templates(request.scope),
                    &service.service_name,
                    &variables,
                    BTreeMap::new(),
                    false,
                ) {
                    enter(&mut environment, fresh)?;
                }
            }
            Some(mut deployed) => {
                if is_poisoned(&deployed, &environment) {
                    return Err(Fail::panicked());
                }
                deployed.variables = merged(&deployed, service, &newest.variables, &environment);
                if deployed.revision != newest {
                    forget_template_images(&environment, &mut deployed);
                    // A newer template brings its own replicas (Z§14.15).
                    deployed.replicas.clear();
                    deployed.revision = newest;
                }
                enter(&mut environment, deployed)?;
            }
        }
    }
    begin(world, request, environment, &sent)
}

/// The synchronous part of both: the lock, the state, the namespace, what can be decoded, in that order (Z§4.11).
fn begin(world: &mut World, request: &Request, environment: Environment, sent: &[Sent]) -> Outcome {
    world.check_lock(&environment.project, 6076)?;
    World::check_updatable(&environment)?;
    world
        .ensure_ground(
            &environment.cluster_id,
            &environment.namespace,
            &environment.project,
            &environment.registry_id,
        )
        .map_err(|error| error.within("更新环境失败"))?;
    super::create::conflict(world, &environment, "更新环境失败")?;
    World::check_decodable(&environment)?;
    let names: Vec<String> = sent
        .iter()
        .map(|service| service.service_name.clone())
        .collect();
    world.hold_lock(&environment.project, world.pace().update_answer);
    world.begin_update(environment, &names, &request.user.name);
    Ok(Reply::success().after(world.pace().update_answer))
}

/// How a route of one kind refuses an environment of the other.
fn mismatch(environment: &Environment, asked: Scope) -> String {
    format!(
        "the env production field is: {}, but the request env production field is: {}",
        environment.scope == Scope::Production,
        asked == Scope::Production
    )
}

fn project_of(world: &World, project: &str) -> Result<Project, Fail> {
    world
        .projects
        .get(project)
        .cloned()
        .ok_or_else(|| Fail::code(6076, NO_DOCUMENTS))
}

/// A binding to a global variable that the environment lacks is silently dropped (Z§4.10, Z§4.11).
fn with_known_globals(sent: &Sent, environment: &Environment) -> Vec<Bound> {
    let mut variables = sent.variable_kvs.clone().unwrap_or_default();
    for bound in &mut variables {
        bound.use_global_variable &= environment
            .globals
            .iter()
            .any(|global| global.variable.key == bound.variable.key);
    }
    variables
}

/// The merge rules of Z§4.11.
fn merged(
    deployed: &Deployed,
    sent: &Sent,
    newest: &[Variable],
    environment: &Environment,
) -> Vec<Bound> {
    let sent = with_known_globals(sent, environment);
    newest
        .iter()
        .map(|template| {
            let known = deployed
                .variables
                .iter()
                .find(|b| b.variable.key == template.key);
            let Some(bound) = sent.iter().find(|b| b.variable.key == template.key) else {
                // Not sent: the value stays, the binding goes (Z§14.29).
                let value = known.map_or_else(
                    || template.value.clone(),
                    |known| known.variable.value.clone(),
                );
                return Bound {
                    variable: Variable {
                        value,
                        ..template.clone()
                    },
                    use_global_variable: false,
                };
            };
            let kind = match (&bound.variable.kind, known) {
                (kind, Some(known)) if kind.is_empty() => known.variable.kind.clone(),
                (kind, _) => kind.clone(),
            };
            let value = if kind == template.kind {
                bound.variable.value.clone()
            } else {
                // A type that differs from the template's loses the value (Z§4.11 rule 1).
                template.value.clone()
            };
            let value = if bound.use_global_variable && value == Value::Null {
                template.value.clone()
            } else {
                value
            };
            Bound {
                variable: Variable {
                    value,
                    ..template.clone()
                },
                use_global_variable: bound.use_global_variable,
            }
        })
        .collect()
}

/// Images follow the template unless they differ from those of the revision that was deployed (Z§4.11).
fn forget_template_images(environment: &Environment, deployed: &mut Deployed) {
    let bare = Deployed {
        images: BTreeMap::new(),
        ..deployed.clone()
    };
    let template = crate::render::containers(&environment.objects(&bare));
    deployed.images.retain(|name, image| {
        template
            .iter()
            .all(|container| &container.name != name || &container.image != image)
    });
}

/// Bound to a global variable that the environment lacks, which creation allows: Zadig panics over it (Z§4.6).
fn is_poisoned(service: &Deployed, environment: &Environment) -> bool {
    let known = |key: &str| environment.globals.iter().any(|g| g.variable.key == key);
    let mut bound = service.variables.iter().filter(|b| b.use_global_variable);
    bound.any(|bound| !known(&bound.variable.key))
}

/// Puts a service into the environment: its bound values, the global variables' lists of services, the record.
fn enter(environment: &mut Environment, mut service: Deployed) -> Result<(), Fail> {
    service.bind(&environment.globals);
    service
        .check_values(EnumCheck::Lenient)
        .map_err(|error| Fail::code(6076, error))?;
    for global in &mut environment.globals {
        let bound = service
            .variables
            .iter()
            .any(|b| b.use_global_variable && b.variable.key == global.variable.key);
        global.relate(&service.name, bound);
    }
    environment.put(service);
    Ok(())
}
