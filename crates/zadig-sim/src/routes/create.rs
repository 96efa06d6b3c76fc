//! Creating and editing environments (Z§4.6, Z§4.8).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::reply::{Fail, Outcome, Reply};
use crate::request::Request;
use crate::variables::{Bound, EnumCheck};
use crate::world::environment::Environment;
use crate::world::{World, global};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    env_key: String,
    cluster_id: String,
    namespace: String,
    registry_id: String,
    project_key: String,
    global_variables: Option<Vec<SentGlobal>>,
    services: Option<Vec<SentService>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentGlobal {
    key: String,
    value: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentService {
    service_name: String,
    containers: Option<Vec<SentContainer>>,
    variable_kvs: Option<Vec<Bound>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentContainer {
    name: String,
    image: String,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Outcome {
    let args: Args = request.decode_or_500("service.OpenAPICreateEnvArgs")?;
    let project_key = match request.query("projectKey") {
        "" => args.project_key.clone(),
        key => key.to_owned(),
    };
    let required = [
        (&project_key, "project key is required"),
        (&args.env_key, "env key is required"),
        (&args.cluster_id, "cluster_id is required"),
        (&args.namespace, "namespace is required"),
        (&args.registry_id, "registry_id is required"),
    ];
    if let Some((_, text)) = required.into_iter().find(|(value, _)| value.is_empty()) {
        return Err(Fail::wrapped(text));
    }
    if !request.user.may(&project_key, "create_environment") {
        return Err(Fail::Empty(403));
    }
    let project = world
        .projects
        .get(&project_key)
        .ok_or_else(|| {
            Fail::code(
                6074,
                format!("failed to find project {project_key}, err: mongo: no documents in result"),
            )
        })?
        .clone();
    if project.deploy_type != "k8s" {
        return Err(Fail::code(6074, "only support k8s type"));
    }
    let mut globals = Vec::new();
    for sent in args.global_variables.unwrap_or_default() {
        let declared = project
            .globals
            .iter()
            .find(|declared| declared.key == sent.key)
            .ok_or_else(|| Fail::wrapped("global variables not match the definition"))?;
        let mut variable = global(declared);
        variable.variable.value = sent.value;
        globals.push(variable);
    }
    let mut environment = Environment {
        life: world.life(),
        project: project_key.clone(),
        key: args.env_key.clone(),
        cluster_id: args.cluster_id.clone(),
        namespace: args.namespace.clone(),
        registry_id: args.registry_id.clone(),
        status: "creating".to_owned(),
        update_by: request.user.name.clone(),
        update_time: world.now().as_second(),
        globals,
        services: Vec::new(),
        asleep: None,
    };
    for sent in args.services.unwrap_or_default() {
        if environment.service(&sent.service_name).is_some() {
            continue;
        }
        let images: BTreeMap<String, String> = sent
            .containers
            .unwrap_or_default()
            .into_iter()
            .filter(|container| !container.image.is_empty())
            .map(|container| (container.name, container.image))
            .collect();
        let variables = sent.variable_kvs.unwrap_or_default();
        let service =
            World::fresh_service(&project, &sent.service_name, &variables, images, true)
                .ok_or_else(|| {
                    Fail::code(
                        6074,
                        format!(
                            "failed to find service from db, serviceName:{}, projectName:{project_key} error: mongo: no documents in result",
                            sent.service_name
                        ),
                    )
                })?;
        for bound in service
            .variables
            .iter()
            .filter(|bound| bound.use_global_variable)
        {
            let name = &service.name;
            if let Some(found) = environment
                .globals
                .iter_mut()
                .find(|g| g.variable.key == bound.variable.key)
            {
                found.relate(name, true);
            }
        }
        environment
            .render(&service, EnumCheck::Strict)
            .map_err(|error| Fail::code(6074, error))?;
        environment.services.push(service);
    }
    if world.environment(&project_key, &args.env_key).is_some() {
        return Err(Fail::multi("创建环境失败: 创建环境失败: 环境已存在"));
    }
    if !world.clusters.contains_key(&args.cluster_id) {
        return Err(Fail::wrapped(format!(
            "cluster {} not found",
            args.cluster_id
        )));
    }
    world
        .ensure_namespace(&args.cluster_id, &args.namespace, &project_key)
        .map_err(|error| Fail::multi(format!("创建环境失败: {error}")))?;
    // The namespace stays behind (Z§14.28); an id that is no id means the first registry (Z§4.6).
    if is_object_id(&args.registry_id)
        && world
            .registries
            .iter()
            .all(|registry| registry.registry_id != args.registry_id)
    {
        return Err(Fail::multi(
            "创建环境失败: 创建secret失败: 无法创建默认的镜像仓库",
        ));
    }
    conflict(world, &environment)?;
    world.begin_create(environment);
    Ok(Reply::success().after(world.pace().create_answer))
}

/// Objects that another environment of the namespace applied are not shared (Z§4.6).
pub(super) fn conflict(world: &World, environment: &Environment) -> Result<(), Fail> {
    for service in &environment.services {
        let objects = environment
            .render(service, EnumCheck::Lenient)
            .unwrap_or_default();
        for object in &objects {
            let id = crate::render::id_of(object);
            let other = world.environments.values().find(|other| {
                (&other.project, &other.key) != (&environment.project, &environment.key)
                    && other.cluster_id == environment.cluster_id
                    && other.namespace == environment.namespace
                    && other
                        .services
                        .iter()
                        .flat_map(|service| &service.applied)
                        .any(|applied| crate::render::id_of(applied) == id)
            });
            if let Some(other) = other {
                return Err(Fail::multi(format!(
                    "更新环境失败: resource is applied by other envs: {id}: {}/{}",
                    other.project, other.key
                )));
            }
        }
    }
    Ok(())
}

fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.chars().all(|c| c.is_ascii_hexdigit())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Edit {
    registry_id: String,
}

pub(crate) fn edit(world: &mut World, request: &Request) -> Outcome {
    let edit: Edit = request.decode_or_500("service.EnvBasicInfoArgs")?;
    if edit.registry_id.is_empty() {
        return Ok(Reply::success());
    }
    let project = request.query("projectKey");
    let env = request.param(0);
    let environment = world
        .environment(project, env)
        .ok_or_else(|| Fail::code(6076, "环境不存在"))?;
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    if let Some(environment) = world.environment_mut(project, env) {
        // Stored first, whatever comes of it (Z§14.27).
        environment.registry_id.clone_from(&edit.registry_id);
    }
    world.changes += 1;
    world
        .ensure_namespace(&cluster, &namespace, project)
        .map_err(|error| Fail::code(6400, error))?;
    if is_object_id(&edit.registry_id)
        && world
            .registries
            .iter()
            .all(|registry| registry.registry_id != edit.registry_id)
    {
        return Err(Fail::code(
            6401,
            "failed to find registry: mongo: no documents in result",
        ));
    }
    Ok(Reply::success().after(world.pace().other_answer))
}
