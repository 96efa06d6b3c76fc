//! Sub-environments: checks, sharing, portals (Z§4.19). Only the first check tells test from production environments.

use serde_json::json;

use crate::kube::Cluster;
use crate::kube::istio::Server;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::world::share::Share;
use crate::world::{Key, World};

/// As the server says it: the place for the name is never filled.
const NO_BASE: &str = "%s doesn't enable share environment or is not base environment";
const SET_PORTAL: &str = "设置入口服务失败";

fn missing(env: &str, project: &str) -> Fail {
    Fail::wrapped(format!(
        "failed to query env `{env}` in project `{project}`: {NO_DOCUMENTS}"
    ))
}

/// The environment that is asked about, by one who may ask.
fn asked(request: &Request) -> Result<Key, Fail> {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let env = request.param(0);
    request.permitted_on(project, env, Permission::EditConfig, Scope::Test)?;
    Ok((project.to_owned(), env.to_owned()))
}

pub(crate) fn workloads(world: &mut World, request: &Request) -> Outcome {
    let (project, env) = asked(request)?;
    let environment = world
        .environment_in(Scope::Test, &project, &env)
        .ok_or_else(|| missing(&env, &project))?;
    let kube = world.clusters.get(&environment.cluster_id);
    let found = kube
        .map(|kube| kube.workloads_without_service(&environment.namespace))
        .unwrap_or_default();
    Ok(Reply::json(&found))
}

pub(crate) fn ready(world: &mut World, request: &Request) -> Outcome {
    let (project, env) = asked(request)?;
    let environment = world
        .environment(&project, &env)
        .ok_or_else(|| missing(&env, &project))?;
    let checks = world
        .share_checks(&environment.cluster_id, &environment.namespace)
        .map_err(Fail::wrapped)?;
    let shared = [checks.labelled, checks.virtual_services, checks.proxies];
    // Every word but one asks for the end of the sharing.
    let wanted = request.param(1) == "enable";
    let ready = checks.workloads && shared.iter().all(|holds| *holds == wanted);
    Ok(Reply::json(&json!({
        "is_ready": ready,
        "checks": {
            "namespace_has_istio_label": checks.labelled,
            "virtualservice_deployed": checks.virtual_services,
            "pods_have_istio_proxy": checks.proxies,
            "workloads_ready": checks.workloads,
            "workloads_have_k8s_service": checks.services,
        },
    })))
}

/// The environment whose sharing is to be changed, with the licence for it.
fn changeable(world: &World, request: &Request) -> Result<Key, Fail> {
    let env = asked(request)?;
    world.licensed(true)?;
    let environment = world
        .environments
        .get(&env)
        .ok_or_else(|| missing(&env.1, &env.0))?;
    if environment.status == "sleeping" {
        return Err(Fail::wrapped("Environment is sleeping"));
    }
    Ok(env)
}

pub(crate) fn enable(world: &mut World, request: &Request) -> Outcome {
    let env = changeable(world, request)?;
    world
        .share(&env, &request.user.name)
        .map_err(Fail::wrapped)?;
    Ok(Reply::success().after(world.pace().other_answer))
}

pub(crate) fn disable(world: &mut World, request: &Request) -> Outcome {
    let env = changeable(world, request)?;
    world
        .unshare(&env, &request.user.name)
        .map_err(Fail::wrapped)?;
    Ok(Reply::success().after(world.pace().other_answer))
}

/// The answer is built and then lost (Z§13 no. 22).
pub(crate) fn portal(world: &mut World, request: &Request) -> Outcome {
    let env = asked(request)?;
    let refused = |text: String| Fail::code(6079, text);
    shared(world, &env).map_err(refused)?;
    world
        .environments
        .get(&env)
        .and_then(|environment| world.clusters.get(&environment.cluster_id))
        .map_or(Ok(()), Cluster::ingress_gateway)
        .map_err(|error| {
            refused(format!(
                "failed to get default istio ingress gateway address: {error}"
            ))
        })?;
    Ok(Reply::success())
}

pub(crate) fn set_portal(world: &mut World, request: &Request) -> Outcome {
    // Unlike elsewhere the permission comes first.
    let env = asked(request)?;
    let servers: Vec<Server> = request
        .decode("[]service.SetupPortalServiceRequest")
        .map_err(Fail::bad_request)?;
    world.licensed(true)?;
    let refused = |text: String| Fail::coded(6079, SET_PORTAL, text);
    shared(world, &env).map_err(refused)?;
    world
        .set_portal(&env, request.param(1), &servers)
        .map_err(refused)?;
    Ok(Reply::success().after(world.pace().other_answer))
}

fn shared(world: &World, env: &Key) -> Result<(), String> {
    let environment = world.environments.get(env).ok_or_else(|| {
        format!(
            "failed to query env {} of product {}: {NO_DOCUMENTS}",
            env.1, env.0
        )
    })?;
    if environment.share == Share::Alone {
        return Err(NO_BASE.to_owned());
    }
    Ok(())
}

/// Whether a cluster is a mesh (Z§15).
pub(crate) fn mesh(world: &mut World, request: &Request) -> Outcome {
    let id = request.param(0);
    let kube = world
        .clusters
        .get(id)
        .ok_or_else(|| Fail::wrapped(format!("cluster {id} not found")))?;
    Ok(Reply::json(&kube.istio))
}
