//! Deleting environments and taking services out of them (Z§4.9, Z§4.12).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::variables::nullable;
use crate::world::World;
use crate::world::share::Share;

pub(crate) fn delete(world: &mut World, request: &Request) -> Outcome {
    let project = match request.query("projectKey") {
        "" => {
            return Err(Fail::coded(
                6096,
                "删除对象资源失败",
                "projectKey can't be empty",
            ));
        }
        project => project.to_owned(),
    };
    let with_resources = match request.query("isDelete") {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        other => {
            return Err(Fail::code(
                6096,
                format!("strconv.ParseBool: parsing {other:?}: invalid syntax"),
            ));
        }
    };
    request.permitted(&project, Permission::Delete)?;
    let env = (project, request.param(0).to_owned());
    if world.environment_in(Scope::Test, &env.0, &env.1).is_none() {
        return Err(Fail::wrapped(format!("find product error: {NO_DOCUMENTS}")));
    }
    no_collaboration(world, &env.0, &env.1).map_err(Fail::wrapped)?;
    world.begin_delete(&env, with_resources);
    Ok(Reply::success().after(world.pace().other_answer))
}

/// An environment that a collaboration mode is based on stays (Z§4.9).
fn no_collaboration(world: &World, project: &str, env: &str) -> Result<(), String> {
    let modes = world
        .projects
        .get(project)
        .and_then(|project| project.collaboration_bases.get(env));
    match modes {
        Some(modes) => Err(format!(
            "this is a base environment, collaborations:[{}] is related",
            modes.join(" ")
        )),
        None => Ok(()),
    }
}

/// Takes the record and the namespace's labels away before it answers, and nothing else (Z§4.9).
pub(crate) fn delete_production(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let env = request.param(0);
    request.permitted(project, Permission::Delete)?;
    world.licensed(false)?;
    if world
        .environment_in(Scope::Production, project, env)
        .is_none()
    {
        return Err(Fail::code(
            6077,
            format!(
                "failed to find product from db, project:{project} envName:{env} error:{NO_DOCUMENTS}: {NO_DOCUMENTS}"
            ),
        ));
    }
    no_collaboration(world, project, env).map_err(|text| Fail::code(6076, text))?;
    let env = (project.to_owned(), env.to_owned());
    world.leave_grayscale(&env);
    world.release(&env);
    Ok(Reply::success().after(world.pace().other_answer))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    env_key: String,
    #[serde(deserialize_with = "nullable")]
    service_names: Vec<String>,
    not_delete_resource: bool,
}

pub(crate) fn services(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.bind()?;
    if args.env_key.is_empty() {
        return Err(Fail::wrapped("env_key is required"));
    }
    let project = request
        .required("projectKey", "projectKey cannot be empty")?
        .to_owned();
    if request.scope == Scope::Test {
        in_no_sub_environment(world, &project, &args)?;
    }
    // The production route, too, asks a collaboration mode for the test verb (Z§9 no. 6).
    request.permitted_on(&project, &args.env_key, Permission::EditConfig, Scope::Test)?;
    world.licensed_for(request.scope)?;
    if world
        .environment_in(request.scope, &project, &args.env_key)
        .is_none()
    {
        return Err(Fail::wrapped(NO_DOCUMENTS));
    }
    let env = (project, args.env_key);
    let names = args.service_names;
    let keep = args.not_delete_resource;
    let removed = world.remove_services(&env, &names, keep, &request.user.name);
    // Each one is waited for (Z§4.12).
    let answer = world.pace().other_answer + world.pace().object_removal * removed;
    Ok(Reply::success().after(answer))
}

/// Refuses services of a base that its sub-environments have, before it is asked who wants it (Z§4.12).
fn in_no_sub_environment(world: &World, project: &str, args: &Args) -> Result<(), Fail> {
    let env = (project.to_owned(), args.env_key.clone());
    let environment = world.environments.get(&env).ok_or_else(|| {
        Fail::wrapped(format!(
            "failed to query env {} of product {project}: {NO_DOCUMENTS}",
            args.env_key
        ))
    })?;
    if environment.share != Share::Base {
        return Ok(());
    }
    let subs = world.subs_of(&env);
    let mut found: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for name in &args.service_names {
        for sub in &subs {
            if world
                .environments
                .get(sub)
                .is_some_and(|environment| environment.service(name).is_some())
            {
                found.entry(name).or_default().push(&sub.1);
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Fail::Coded {
        code: 6094,
        message: "删除服务失败，待删除服务存在于子环境中",
        description: String::new(),
        extra: json!(found),
    })
}
