//! Deleting environments and taking services out of them (Z§4.9, Z§4.12).

use serde::Deserialize;

use crate::reply::{Fail, Outcome, Reply};
use crate::request::Request;
use crate::world::{Event, World};

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
    if !request.user.may(&project, "delete_environment") {
        return Err(Fail::Empty(403));
    }
    let env = (project, request.param(0).to_owned());
    let Some(environment) = world.environments.get_mut(&env) else {
        return Err(Fail::wrapped(
            "find product error: mongo: no documents in result",
        ));
    };
    "deleting".clone_into(&mut environment.status);
    let life = environment.life;
    let after = world.pace().delete_background;
    world.plan(
        after,
        Event::Delete {
            env,
            life,
            with_resources,
        },
    );
    world.changes += 1;
    Ok(Reply::success().after(world.pace().other_answer))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    env_key: String,
    service_names: Option<Vec<String>>,
    not_delete_resource: bool,
}

pub(crate) fn services(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.bind()?;
    if args.env_key.is_empty() {
        return Err(Fail::wrapped("env_key is required"));
    }
    let project = request
        .required("projectKey", "projectKey can't be empty")?
        .to_owned();
    if !request.user.may(&project, "config_environment")
        && !request
            .user
            .collaborates(&project, &args.env_key, "config_environment")
    {
        return Err(Fail::Empty(403));
    }
    let env = (project, args.env_key);
    if !world.environments.contains_key(&env) {
        return Err(Fail::wrapped("mongo: no documents in result"));
    }
    let names = args.service_names.unwrap_or_default();
    let keep = args.not_delete_resource;
    world.remove_services(&env, &names, keep);
    let answer = if keep {
        world.pace().other_answer
    } else {
        world.pace().object_removal
    };
    Ok(Reply::success().after(answer))
}
