//! Changing images (Z§4.17).

use serde::Deserialize;

use super::scale::refresh_applied;
use crate::helm::release;
use crate::render;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::world::World;
use crate::world::environment::Environment;
use crate::world::helm::Source;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    /// Stands above the kind that the path says.
    #[serde(rename = "type")]
    kind: String,
    product_name: String,
    env_name: String,
    service_name: String,
    name: String,
    container_name: String,
    image: String,
}

pub(crate) fn deployment(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.bind()?;
    // The permission defect: a project's roles do not count here (Z§4.17).
    let user = &request.user;
    if !user.system_admin
        && !user.collaborates(&args.product_name, &args.env_name, "manage_environment")
    {
        return Err(Fail::Empty(403));
    }
    image(world, request, "Deployment", &args)
}

pub(crate) fn stateful_set(world: &mut World, request: &Request) -> Outcome {
    // Malformed JSON is taken for success (Z§4.17).
    let Ok(args) = request.bind::<Args>() else {
        return Ok(Reply::success());
    };
    permitted(request, &args)?;
    image(world, request, "StatefulSet", &args)
}

pub(crate) fn cron_job(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.bind()?;
    permitted(request, &args)?;
    image(world, request, "CronJob", &args)
}

fn permitted(request: &Request, args: &Args) -> Result<(), Fail> {
    request.permitted_on(
        &args.product_name,
        &args.env_name,
        Permission::EditConfig,
        Scope::Test,
    )
}

fn image(world: &mut World, request: &Request, kind: &str, args: &Args) -> Outcome {
    let kind = match args.kind.as_str() {
        "" => kind,
        kind => kind,
    };
    // Empty names are no filter, for the environment (Z§14.25); the project is looked up by itself after that.
    let environment = world
        .environment_or_first(Some(Scope::Test), &args.product_name, &args.env_name)
        .ok_or_else(|| Fail::code(6082, NO_DOCUMENTS))?;
    if !world.projects.contains_key(&args.product_name) {
        return Err(Fail::code(
            6082,
            format!(
                "failed to find template project {}, error: {NO_DOCUMENTS}",
                args.product_name
            ),
        ));
    }
    let env = (environment.project.clone(), environment.key.clone());
    if environment.source == Source::Helm {
        let service = helm_service(world, environment, kind, &args.name)
            .map_err(|error| Fail::code(6082, error))?;
        world
            .upgrade_image(&env, &service, &args.image, &request.user.name)
            .map_err(|error| {
                Fail::code(
                    6082,
                    format!("failed to upgrade helm release, err: {error}"),
                )
            })?;
        return Ok(Reply::success().after(world.pace().other_answer));
    }
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    if !matches!(kind, "Deployment" | "StatefulSet" | "CronJob") {
        return Err(Fail::code(6082, format!("不支持的资源类型: {kind}")));
    }
    let refused = || Fail::code(6082, format!("更新 {kind} 容器镜像失败"));
    if args.image.is_empty() {
        return Err(refused());
    }
    world
        .in_cluster(&cluster, |kube, cx| {
            kube.set_image(
                cx,
                &namespace,
                kind,
                &args.name,
                &args.container_name,
                &args.image,
            )
        })
        .unwrap_or_else(|| Err(String::new()))
        .map_err(|_| refused())?;
    let environment = world.environments.get_mut(&env);
    let Some(service) = environment.and_then(|e| e.service_mut(&args.service_name)) else {
        // The cluster is changed already (Z§2.2 no. 7).
        return Err(Fail::code(
            6082,
            format!("服务 {} 不存在", args.service_name),
        ));
    };
    if service
        .containers
        .iter()
        .any(|container| container.name == args.container_name)
        || render::containers(&service.applied)
            .iter()
            .any(|c| c.name == args.container_name)
    {
        service
            .images
            .insert(args.container_name.clone(), args.image.clone());
    }
    for container in &mut service.containers {
        if container.name == args.container_name {
            container.image.clone_from(&args.image);
        }
    }
    if let Some(environment) = world.environments.get_mut(&env) {
        refresh_applied(environment, &args.service_name);
    }
    world.touch(&env, &request.user.name);
    Ok(Reply::success().after(world.pace().other_answer))
}

/// The service whose release a workload belongs to; the body's own is not read (Z§10).
fn helm_service(
    world: &World,
    environment: &Environment,
    kind: &str,
    name: &str,
) -> Result<String, String> {
    let live = world
        .clusters
        .get(&environment.cluster_id)
        .and_then(|kube| kube.object(&environment.namespace, kind, name))
        .ok_or_else(|| format!("failed to find resource {name}, type {kind}"))?;
    let owner = release::owner(&live.manifest);
    environment
        .services
        .iter()
        .find(|service| owner.is_some() && environment.release(service).as_deref() == owner)
        .map(|service| service.name.clone())
        .ok_or_else(|| format!("failed to get annotation from resource {name}, type {kind}"))
}
