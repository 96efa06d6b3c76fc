//! The web page's own route for sleep, which is no part of the OpenAPI (Z§5.1).

use crate::reply::{Fail, Outcome, Reply};
use crate::request::Request;
use crate::scope::Permission;
use crate::world::World;

pub(crate) fn sleep(world: &mut World, request: &Request) -> Outcome {
    let (project, env) = (request.query("projectName"), request.param(0));
    request.permitted(project, Permission::ManagePods)?;
    let done = match request.query("action") {
        "enable" => world.sleep(project, env),
        "disable" => world.wake(project, env),
        other => return Err(Fail::bad_request(format!("invalid action: {other}"))),
    };
    if !done {
        return Err(Fail::code(6076, "环境正处于不能更新的状态"));
    }
    Ok(Reply::success().after(world.pace().other_answer))
}
