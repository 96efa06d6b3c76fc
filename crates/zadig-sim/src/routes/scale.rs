//! Scaling and restarting (Z§4.15, Z§4.16).

use serde::Deserialize;
use serde_json::json;

use crate::options::Level;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::variables::EnumCheck;
use crate::world::environment::kind_and_name;
use crate::world::helm::Source;
use crate::world::{Key, Origin, World};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    project_key: String,
    env_key: String,
    service_name: String,
    workload_name: String,
    workload_type: String,
    target_replicas: i64,
}

pub(crate) fn scale(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.bind()?;
    let required = [
        (&args.project_key, "project_key"),
        (&args.env_key, "env_key"),
        (&args.service_name, "service_name"),
        (&args.workload_name, "workload_name"),
        (&args.workload_type, "workload_type"),
    ];
    if let Some((_, name)) = required.into_iter().find(|(value, _)| value.is_empty()) {
        return Err(Fail::wrapped(format!("{name} is required")));
    }
    if !matches!(
        args.workload_type.as_str(),
        "Deployment" | "StatefulSet" | "CloneSet"
    ) {
        return Err(Fail::wrapped(format!(
            "unsupported workload type: {}",
            args.workload_type
        )));
    }
    if args.target_replicas < 0 {
        return Err(Fail::wrapped(
            "target_replicas must be greater than or equal to 0",
        ));
    }
    let permission = if world.level >= Level::V43 {
        Permission::Scale
    } else {
        Permission::ManagePods
    };
    request.permitted_on(&args.project_key, &args.env_key, permission, Scope::Test)?;
    let env = (args.project_key.clone(), args.env_key.clone());
    world.check_lock(&args.project_key, 6081)?;
    let environment = world
        .environment_in(Scope::Test, &args.project_key, &args.env_key)
        .ok_or_else(|| Fail::code(6081, NO_DOCUMENTS))?;
    if environment.status == "sleeping" {
        return Err(Fail::code(6081, "environment is sleeping"));
    }
    if world.is_helm_project(&args.project_key) {
        return scale_directly(world, &env, &args);
    }
    let service = environment
        .service(&args.service_name)
        .ok_or_else(|| Fail::code(6081, format!("service {} not found", args.service_name)))?;
    // An enum outside its options breaks every scale of the service (Z§14.24).
    service
        .check_values(EnumCheck::Strict)
        .map_err(|error| {
            let name = &service.name;
            Fail::code(
                6081,
                format!("failed to merge render variables for service {name}: failed to convert render variable kv to yaml, err: {error}"),
            )
        })?;
    let objects = environment
        .render(service, EnumCheck::Strict)
        .map_err(|error| Fail::code(6081, error))?;
    let id = format!("{}/{}", args.workload_type, args.workload_name);
    if objects
        .iter()
        .all(|object| crate::render::id_of(object) != id)
    {
        return Err(Fail::code(
            6081,
            format!(
                "workload {id} does not belong to service {}",
                args.service_name
            ),
        ));
    }
    let variable = match environment.replicas_origin(service, &id) {
        Origin::Literal => None,
        Origin::Variable(key) => Some(key),
        Origin::Expression => {
            return Err(Fail::code(
                6081,
                format!(
                    "replicas of workload {id} is rendered by a template expression and cannot be updated by scale"
                ),
            ));
        }
        Origin::Shared(key) => {
            return Err(Fail::code(
                6081,
                format!(
                    "replicas of workload {id} is sourced from variable {key} that is shared by several workloads and cannot be updated by scale"
                ),
            ));
        }
    };
    let bound = variable.as_ref().and_then(|key| {
        service
            .variables
            .iter()
            .find(|bound| &bound.variable.key == key)
    });
    if bound.is_some_and(|bound| bound.use_global_variable) && world.level < Level::V43 {
        return Err(Fail::code(
            6081,
            format!(
                "replicas of workload {id} is sourced from environment global variables and cannot be updated by scale"
            ),
        ));
    }
    let global = bound.is_some_and(|bound| bound.use_global_variable);
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    let replicas = args.target_replicas;
    world
        .in_cluster(&cluster, |kube, cx| {
            kube.scale(
                cx,
                &namespace,
                &args.workload_type,
                &args.workload_name,
                replicas,
            )
        })
        .unwrap_or_else(|| Err("cluster not found".to_owned()))
        .map_err(|error| Fail::code(6081, error))?;
    if let Some(environment) = world.environments.get_mut(&env) {
        let value = json!(replicas.to_string());
        if let (Some(key), true) = (&variable, global) {
            for stored in &mut environment.globals {
                if &stored.variable.key == key {
                    stored.variable.value = value.clone();
                }
            }
        }
        if let Some(service) = environment.service_mut(&args.service_name) {
            match variable.and_then(|key| {
                service
                    .variables
                    .iter_mut()
                    .find(|bound| bound.variable.key == key)
            }) {
                Some(bound) => bound.variable.value = value,
                None => {
                    service.replicas.insert(id, replicas);
                }
            }
        }
        refresh_applied(environment, &args.service_name);
    }
    world.touch(&env, &request.user.name);
    world.hold_lock(&args.project_key, world.pace().other_answer);
    Ok(Reply::success().after(world.pace().other_answer))
}

/// In a Helm project the workload is scaled whatever service it is of, and nothing is recorded (Z§4.15).
fn scale_directly(world: &mut World, env: &Key, args: &Args) -> Outcome {
    let Some(environment) = world.environments.get(env) else {
        return Err(Fail::code(6081, NO_DOCUMENTS));
    };
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    let (kind, name) = (&args.workload_type, &args.workload_name);
    world
        .in_cluster(&cluster, |kube, cx| {
            kube.scale(cx, &namespace, kind, name, args.target_replicas)
        })
        .unwrap_or_else(|| Err("cluster not found".to_owned()))
        .map_err(Fail::wrapped)?;
    Ok(Reply::success().after(world.pace().other_answer))
}

/// What Zadig believes to have applied follows a call that changed the cluster directly.
pub(super) fn refresh_applied(
    environment: &mut crate::world::environment::Environment,
    name: &str,
) {
    let rendered = environment
        .service(name)
        .and_then(|service| environment.render(service, EnumCheck::Lenient).ok());
    if let (Some(objects), Some(service)) = (rendered, environment.service_mut(name)) {
        service.applied = objects;
    }
}

pub(crate) fn restart(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let (env, service) = (request.param(0), request.param(1));
    request.permitted_on(project, env, Permission::Restart, request.scope)?;
    world.licensed_for(request.scope)?;
    let environment = world
        .environment_in(request.scope, project, env)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    if environment.status == "sleeping" {
        return Err(Fail::code(6081, "environment is sleeping"));
    }
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    if environment.source == Source::Helm {
        // The name is a Deployment's, or else a StatefulSet's.
        world.in_cluster(&cluster, |kube, cx| {
            let kind = ["Deployment", "StatefulSet"]
                .into_iter()
                .find(|kind| kube.object(&namespace, kind, service).is_some());
            if let Some(kind) = kind {
                kube.delete_pods(cx, &namespace, kind, service, |_| true);
            }
        });
        return Ok(Reply::success().after(world.pace().other_answer));
    }
    // Only the first workload counts, and before 5.0 only a Deployment does anything (Z§4.16).
    let later = world.level >= Level::V50;
    let first = environment.service(service).and_then(|service| {
        let objects = environment.objects(service);
        let mut workloads = objects.iter().map(kind_and_name);
        workloads.find(|(kind, _)| {
            matches!(kind.as_str(), "Deployment" | "StatefulSet") || (later && kind == "DaemonSet")
        })
    });
    if let Some((kind, name)) = first
        && (kind == "Deployment" || later)
    {
        world.in_cluster(&cluster, |kube, cx| {
            kube.delete_pods(cx, &namespace, &kind, &name, |_| true);
        });
    }
    Ok(Reply::success().after(world.pace().other_answer))
}
