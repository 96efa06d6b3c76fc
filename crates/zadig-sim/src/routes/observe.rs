//! Reads of environments: list, detail, live service, rendered YAML, events (Z§4.1-4.4, Z§4.18).

use serde_json::{Value, json};

use crate::options::Level;
use crate::render::{self, Container, image_name};
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::variables::EnumCheck;
use crate::world::World;
use crate::world::helm::Source;

pub(crate) fn list(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey is empty")?;
    let Some(visible) = visible(request, project) else {
        // Without permission the answer is empty, not a refusal, also where a licence is missing (Z§1.2).
        return Ok(Reply::json(&json!([])));
    };
    world.licensed_for(request.scope)?;
    let default = world
        .registries
        .iter()
        .find(|r| r.is_default)
        .map(|r| r.registry_id.clone());
    let shown: Vec<Value> = world
        .environments
        .values()
        .filter(|environment| environment.project == project)
        .filter(|environment| environment.scope == request.scope)
        .filter(|environment| match &visible {
            Visible::All => true,
            Visible::Only(keys) => keys.contains(&environment.key),
        })
        .map(|environment| {
            let registry = if environment.registry_id.is_empty() {
                default.clone().unwrap_or_default()
            } else {
                environment.registry_id.clone()
            };
            let mut item = json!({
                "env_key": environment.key,
                "cluster_id": environment.cluster_id,
                "namespace": environment.namespace,
                "production": environment.scope == Scope::Production,
                "registry_id": registry,
                "status": environment.status,
                "update_by": environment.update_by,
                "update_time": environment.update_time,
            });
            if !environment.alias.is_empty() {
                item["envName"] = json!(environment.alias);
            }
            item
        })
        .collect();
    Ok(Reply::json(&shown))
}

/// Which environments of a project a user's list shows.
enum Visible {
    All,
    Only(Vec<String>),
}

/// `None` where the user may see none (Z§4.1).
fn visible(request: &Request, project: &str) -> Option<Visible> {
    let all = request.may(project, Permission::View);
    // A collaboration mode narrows the production list of everybody, and widens the test list of those without a role.
    if all && request.scope == Scope::Test {
        return Some(Visible::All);
    }
    let granted = [Scope::Test, Scope::Production].map(|scope| Permission::View.verb(scope));
    let keys: Vec<String> = request
        .user
        .collaboration
        .get(project)
        .into_iter()
        .flatten()
        .filter(|(_, verbs)| verbs.iter().any(|verb| granted.contains(&verb.as_str())))
        .map(|(key, _)| key.clone())
        .collect();
    match (keys.is_empty(), all) {
        (false, _) => Some(Visible::Only(keys)),
        (true, true) => Some(Visible::All),
        (true, false) => None,
    }
}

pub(crate) fn detail(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    world.licensed_for(request.scope)?;
    let environment = world
        .environment_in(request.scope, project, request.param(0))
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
            let containers: Vec<Value> = service.containers.iter().map(container_shown).collect();
            // Template values, not the environment's (Z§4.2).
            let newest = templates
                .and_then(|project| {
                    project
                        .templates(environment.scope)
                        .get(&service.name)?
                        .revisions
                        .last()
                })
                .unwrap_or(&service.revision);
            json!({
                "service_name": service.name,
                "containers": containers,
                "variable_kvs": newest.variables,
                "status": world.service_status(environment, service),
                "type": if service.revision.chart.is_some() { "helm" } else { "k8s" },
            })
        })
        .collect();
    let mut detail = json!({
        "project_key": project,
        "env_key": environment.key,
        "update_by": environment.update_by,
        "update_time": environment.update_time,
        "cluster_id": environment.cluster_id,
        "namespace": environment.namespace,
        "registry_id": environment.registry_id,
        "global_variables": world.globals(environment),
        "services": services,
        "status": environment.status,
    });
    if !environment.alias.is_empty() {
        detail["env_name"] = json!(environment.alias);
    }
    Ok(Reply::json(&detail))
}

/// A container as Zadig records it; one of a chart with the paths of its image (Z§4.2).
fn container_shown(container: &Container) -> Value {
    let mut shown = json!({
        "name": container.name,
        "type": if container.init { "init" } else { "" },
        "image": container.image,
        "image_name": image_name(&container.image),
    });
    if let Some(chart) = &container.chart {
        shown["image_name"] = json!(chart.name);
        shown["image_path"] = json!(chart.path);
    }
    shown
}

pub(crate) fn service(world: &mut World, request: &Request) -> Outcome {
    let project = request.query("projectKey");
    let env = request.param(0);
    let manages =
        request.scope == Scope::Production && request.may(project, Permission::ManagePods);
    if !manages {
        request.permitted_on(project, env, Permission::View, request.scope)?;
    }
    let environment = world
        .environment_in(request.scope, project, env)
        .ok_or_else(|| Fail::code(6083, NO_DOCUMENTS))?;
    let name = request.param(1);
    if environment.source == Source::Yaml {
        return Ok(Reply::json(&world.live(environment, name)));
    }
    // In a Helm environment it is a workload's name, and its kind has to be said (Z§4.3).
    let kind = request.query("workLoadType");
    // How Zadig calls the kind, and the cache it looks into.
    let (called, resource) = match kind {
        "Deployment" => ("deployment", "deployment.apps"),
        "StatefulSet" => ("statuefulSet", "statefulset.apps"),
        "CronJob" => ("cronjob", "cronjob.batch"),
        "Job" if world.level >= Level::V50 => ("job", "job.batch"),
        _ => {
            let text = format!("service {name} not found, unknow type");
            return Err(Fail::code(6083, text));
        }
    };
    let shown = world
        .live_workload(environment, kind, name)
        .ok_or_else(|| {
            let text = format!(
                "service {name} not found for {called}, err: {resource} \"{name}\" not found"
            );
            Fail::code(6083, text)
        })?;
    Ok(Reply::json(&shown))
}

pub(crate) fn yaml(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey cannot be empty")?;
    let env = request.required("envName", "envName cannot be empty")?;
    let service = request.required("serviceName", "serviceName cannot be empty")?;
    request.permitted_on(project, env, Permission::View, Scope::Test)?;
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
    let environment = world
        .environment_or_first(None, project, request.query("envName"))
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    let (kind, name) = (request.query("type"), request.query("name"));
    let found: Vec<Value> = world
        .clusters
        .get(&environment.cluster_id)
        .and_then(|kube| kube.namespaces.get(&environment.namespace))
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
                "type": if event.is_warning { "Warning" } else { "Normal" },
            })
        })
        .collect();
    Ok(Reply::json(&found))
}
