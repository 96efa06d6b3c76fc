//! The pods of a service, one by one, from 4.3 on (Z§12).

use serde_json::{Value, json};

use crate::kube::workload::Pod;
use crate::kube::{Object, address_text};
use crate::options::Level;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::world::World;
use crate::world::environment::{Environment, kind_and_name};

pub(crate) fn list(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let (env, service) = (request.param(0), request.param(1));
    request.permitted_on(project, env, Permission::View, request.scope)?;
    if request.scope == Scope::Production {
        world.licensed(false)?;
    }
    let environment = world
        .environment_in(request.scope, project, env)
        .ok_or_else(|| Fail::code(6083, NO_DOCUMENTS))?;
    let now = world.now();
    let pods: Vec<Value> = workloads(world, environment, service)
        .flat_map(|(kind, name, object)| {
            let shown = move |pod: &Pod| {
                let containers = pod.template["spec"]["containers"].as_array();
                let images: Vec<&Value> =
                    containers.into_iter().flatten().map(|it| &it["image"]).collect();
                let ready = pod.is_ready(now);
                json!({
                    "pod_name": pod.name,
                    "status": pod.phase(now),
                    "pod_ready": ready,
                    "containers_ready": ready,
                    "create_time": pod.created.as_second(),
                    "ip": if pod.is_scheduled() { address_text(pod.address) } else { String::new() },
                    "images": images,
                    "workload_name": name,
                    "workload_type": kind,
                })
            };
            object.pods.iter().map(shown).collect::<Vec<_>>()
        })
        .collect();
    Ok(Reply::json(
        &json!({ "service_name": service, "pods": pods }),
    ))
}

pub(crate) fn restart(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let (env, service, pod) = (request.param(0), request.param(1), request.param(2));
    request.permitted_on(project, env, Permission::Restart, request.scope)?;
    if request.scope == Scope::Production {
        world.licensed(false)?;
    }
    let environment = world
        .environment_in(request.scope, project, env)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    let owner = workloads(world, environment, service)
        .find(|(_, _, object)| object.pods.iter().any(|known| known.name == pod))
        .map(|(kind, name, _)| (kind, name))
        .ok_or_else(|| {
            Fail::bad_request(format!("pod {pod} does not belong to service {service}"))
        })?;
    if owner.0 == "Job" && world.level >= Level::V50 {
        return Err(Fail::bad_request(format!("pod {pod} belongs to a Job")));
    }
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    let pod = pod.to_owned();
    world.in_cluster(&cluster, |kube, cx| {
        kube.delete_pods(cx, &namespace, &owner.0, &owner.1, |known| {
            known.name == pod
        })
    });
    Ok(Reply::success().after(world.pace().other_answer))
}

/// Kind, name and live object of the workloads of a service.
fn workloads<'a>(
    world: &'a World,
    environment: &'a Environment,
    service: &str,
) -> impl Iterator<Item = (String, String, &'a Object)> {
    let kube = world.clusters.get(&environment.cluster_id);
    let objects = environment
        .service(service)
        .map(|service| environment.objects(service))
        .unwrap_or_default();
    objects.into_iter().filter_map(move |object| {
        let (kind, name) = kind_and_name(&object);
        let live = kube?.object(&environment.namespace, &kind, &name)?;
        Some((kind, name, live))
    })
}
