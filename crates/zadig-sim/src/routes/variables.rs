//! Global variables of an environment (Z§4.13).

use serde::Deserialize;

use crate::reply::{Fail, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::variables::Global;
use crate::world::World;

pub(crate) fn get(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let env = request.param(0);
    let environment = world
        .environment_in(request.scope, project, env)
        .ok_or_else(|| {
            Fail::code(
                6078,
                format!("failed to find env from db, project:{project} env:{env}"),
            )
        })?;
    Ok(Reply::json(&world.globals(environment)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    global_variables: Option<Vec<Global>>,
}

pub(crate) fn put(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.decode_or_500("service.OpenAPIEnvGlobalVariables")?;
    let project = request
        .required("projectKey", "projectKey can't be empty")?
        .to_owned();
    let env = request.param(0).to_owned();
    // The test route checks no permission (Z§1.2).
    if request.scope == Scope::Production {
        request.permitted(&project, Permission::EditConfig)?;
    }
    world.licensed(false)?;
    let mut environment = world
        .environment_in(request.scope, &project, &env)
        .ok_or_else(|| {
            Fail::wrapped(format!(
                "GetProductEnv envName:{env} productName: {project} error, error msg:mongo: no documents in result"
            ))
        })?
        .clone();
    match environment.status.as_str() {
        "creating" | "updating" | "deleting" => {
            return Err(Fail::code(6076, "更新环境失败: 环境正处于不能更新的状态"));
        }
        "sleeping" => return Err(Fail::code(6076, "environment is sleeping")),
        _ => {}
    }
    let sent = args.global_variables.unwrap_or_default();
    for stored in &environment.globals {
        let key = &stored.variable.key;
        let dropped = sent.iter().all(|global| &global.variable.key != key);
        if dropped && !stored.related_services.is_empty() {
            return Err(Fail::code(
                6076,
                format!(
                    "global variable {key} is used by service [{}], can't delete it",
                    stored.related_services.join(" ")
                ),
            ));
        }
    }
    let declared = world
        .projects
        .get(&project)
        .map(|p| p.declared(request.scope).to_vec())
        .unwrap_or_default();
    for global in &sent {
        let key = &global.variable.key;
        if environment
            .globals
            .iter()
            .any(|stored| &stored.variable.key == key)
        {
            continue;
        }
        if declared.iter().all(|variable| &variable.key != key) {
            return Err(Fail::code(
                6076,
                format!("added global variable {key} is not in project's global variable list"),
            ));
        }
        if !global.related_services.is_empty() {
            return Err(Fail::code(
                6076,
                format!(
                    "UNEXPECT ERROR: global variable {key} is new, but RelatedServices is not empty"
                ),
            ));
        }
    }
    let mut affected: Vec<String> = Vec::new();
    for global in &sent {
        let changed = environment.globals.iter().any(|stored| {
            stored.variable.key == global.variable.key
                && stored.variable.value != global.variable.value
        });
        if changed {
            for service in &global.related_services {
                if !affected.contains(service) {
                    affected.push(service.clone());
                }
            }
        }
    }
    // Stored as sent (Z§4.13).
    environment.globals = sent;
    if affected.is_empty() {
        world.environments.insert((project, env), environment);
        world.changes += 1;
        return Ok(Reply::success().after(world.pace().other_answer));
    }
    let globals = environment.globals.clone();
    for service in &mut environment.services {
        if affected.contains(&service.name) {
            service.bind(&globals);
        }
    }
    World::check_decodable(&environment)?;
    world.begin_update(environment, &affected, &request.user.name);
    Ok(Reply::success().after(world.pace().update_answer))
}
