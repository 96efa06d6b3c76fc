//! Reads of environments: list, detail, live service, rendered YAML, events (Z§4.1-4.4, Z§4.18).

use serde_json::{Value, json};

use crate::render::{self, image_name};
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::variables::EnumCheck;
use crate::world::World;

pub(crate) fn list(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey is empty")?;
    let user = &request.user;
    let all = user.may(project, "get_environment");
    let default = world
        .registries
        .iter()
        .find(|r| r.is_default)
        .map(|r| r.registry_id.clone());
    let shown: Vec<Value> = world
        .environments
        .values()
        .filter(|environment| environment.project == project)
        // Without permission the answer is empty, not a refusal (Z§1.2).
        .filter(|environment| {
            all || user.collaborates(project, &environment.key, "get_environment")
        })
        .map(|environment| {
            let registry = if environment.registry_id.is_empty() {
                default.clone().unwrap_or_default()
            } else {
                environment.registry_id.clone()
            };
            json!({
                "env_key": environment.key,
                "cluster_id": environment.cluster_id,
                "namespace": environment.namespace,
                "production": false,
                "registry_id": registry,
                "status": environment.status,
                "update_by": environment.update_by,
                "update_time": environment.update_time,
            })
        })
        .collect();
    Ok(Reply::json(&shown))
}

/// No production environment can be made here; what is left is the licence gate.
pub(crate) fn list_production(world: &mut World, request: &Request) -> Outcome {
    request.required("projectKey", "projectKey is empty")?;
    world.licensed(false)?;
    Ok(Reply::json(&json!([])))
}

pub(crate) fn detail(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let environment = world
        .environment(project, request.param(0))
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    if world
        .clusters
        .get(&environment.cluster_id)
        .is_some_and(|kube| !kube.reachable)
    {
        return Err(Fail::code(
            6065,
            "failed to get kube client: connection refused",
        ));
    }
    let templates = world.projects.get(project);
    let services: Vec<Value> = environment
        .services
        .iter()
        .map(|service| {
            let containers: Vec<Value> = service
                .containers
                .iter()
                .map(|container| {
                    json!({
                        "name": container.name,
                        "type": if container.init { "init" } else { "" },
                        "image": container.image,
                        "image_name": image_name(&container.image),
                    })
                })
                .collect();
            // Template values, not the environment's (Z§4.2).
            let newest = templates
                .and_then(|project| project.services.get(&service.name)?.revisions.last())
                .unwrap_or(&service.revision);
            json!({
                "service_name": service.name,
                "containers": containers,
                "variable_kvs": newest.variables,
                "status": world.service_status(environment, service),
                "type": "k8s",
            })
        })
        .collect();
    let detail = json!({
        "project_key": project,
        "env_key": environment.key,
        "update_by": environment.update_by,
        "update_time": environment.update_time,
        "cluster_id": environment.cluster_id,
        "namespace": environment.namespace,
        "registry_id": environment.registry_id,
        "global_variables": environment.globals,
        "services": services,
        "status": environment.status,
    });
    Ok(Reply::json(&detail))
}

pub(crate) fn service(world: &mut World, request: &Request) -> Outcome {
    let project = request.query("projectKey");
    let env = request.param(0);
    view(request, project, env)?;
    let environment = world
        .environment(project, env)
        .ok_or_else(|| Fail::code(6083, NO_DOCUMENTS))?;
    Ok(Reply::json(&world.live(environment, request.param(1))))
}

pub(crate) fn yaml(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey cannot be empty")?;
    let env = request.required("envName", "envName cannot be empty")?;
    let service = request.required("serviceName", "serviceName cannot be empty")?;
    view(request, project, env)?;
    // Errors are swallowed: any failure is 200 with an empty body (Z§4.4).
    let text = world
        .environment(project, env)
        .and_then(|environment| {
            let service = environment.service(service)?;
            environment.render(service, EnumCheck::Lenient).ok()
        })
        .map(|objects| render::text(&objects))
        .unwrap_or_default();
    Ok(Reply::text(text))
}

pub(crate) fn events(world: &mut World, request: &Request) -> Outcome {
    let project = request.query("projectKey");
    // An empty name is no filter (Z§2.2 no. 8).
    let environment = match request.query("envName") {
        "" => world
            .environments
            .values()
            .find(|environment| environment.project == project),
        env => Some(
            world
                .environment(project, env)
                .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?,
        ),
    };
    let (kind, name) = (request.query("type"), request.query("name"));
    let found: Vec<Value> = environment
        .and_then(|environment| {
            world
                .clusters
                .get(&environment.cluster_id)?
                .namespaces
                .get(&environment.namespace)
        })
        .into_iter()
        .flat_map(|namespace| &namespace.events)
        .filter(|event| event.kind == kind && event.name == name)
        .map(|event| {
            json!({
                "reason": event.reason,
                "message": event.message,
                "first_seen": event.at.as_second(),
                "last_seen": event.at.as_second(),
                "count": 1,
                "type": "Normal",
            })
        })
        .collect();
    Ok(Reply::json(&found))
}

/// Permission to look at one environment, by role or by collaboration.
fn view(request: &Request, project: &str, env: &str) -> Result<(), Fail> {
    let user = &request.user;
    if user.may(project, "get_environment") || user.collaborates(project, env, "get_environment") {
        Ok(())
    } else {
        Err(Fail::Empty(403))
    }
}
