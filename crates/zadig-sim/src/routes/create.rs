//! Creating and editing environments (Z§4.6, Z§4.8).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::options::Level;
use crate::render::id_of;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope, allowed};
use crate::variables::{Bound, EnumCheck};
use crate::world::configs::GitFile;
use crate::world::environment::Environment;
use crate::world::helm::Source;
use crate::world::share::Share;
use crate::world::{NoGround, Project, World, global};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    env_key: String,
    cluster_id: String,
    namespace: String,
    registry_id: String,
    project_key: String,
    /// The alias; of production environments alone (Z§4.6).
    env_name: String,
    global_variables: Option<Vec<SentGlobal>>,
    services: Option<Vec<SentService>>,
    env_configs: Option<Vec<SentConfig>>,
    #[serde(deserialize_with = "object")]
    sub_env: Option<SentSub>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SentSub {
    enable: bool,
    base_env: String,
}

/// An object or null: Go does not take a list for it (Z§13 no. 6).
fn object<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<SentSub>, D::Error> {
    let sent = Option::<serde_json::Map<String, Value>>::deserialize(from)?;
    sent.map(|sent| serde_json::from_value(Value::Object(sent)))
        .transpose()
        .map_err(serde::de::Error::custom)
}

/// Name and type of the body are not used: the text decides (Z§4.6).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SentConfig {
    yaml_data: String,
    git_repo_config: Option<GitFile>,
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

/// The body of a create call with its required fields, from one who may make it.
fn admitted(request: &Request) -> Result<Args, Fail> {
    let mut args: Args = request.decode_or_500("service.OpenAPICreateEnvArgs")?;
    // The body's project key is overwritten, also by nothing.
    request
        .query("projectKey")
        .clone_into(&mut args.project_key);
    let required = [
        (&args.project_key, "project key is required"),
        (&args.env_key, "env key is required"),
        (&args.cluster_id, "cluster_id is required"),
        (&args.namespace, "namespace is required"),
        (&args.registry_id, "registry_id is required"),
    ];
    if let Some((_, text)) = required.into_iter().find(|(value, _)| value.is_empty()) {
        return Err(Fail::wrapped(text));
    }
    request.permitted(&args.project_key, Permission::Create)?;
    Ok(args)
}

fn project_of(world: &World, key: &str) -> Result<Project, Fail> {
    let project = world
        .projects
        .get(key)
        .ok_or_else(|| Fail::code(6074, NO_DOCUMENTS))?;
    if project.deploy_type != "k8s" {
        return Err(Fail::code(6074, "only support k8s type"));
    }
    Ok(project.clone())
}

/// What an environment is called and where it is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) project: &'a str,
    pub(super) env: &'a str,
    pub(super) cluster_id: &'a str,
    pub(super) namespace: &'a str,
    pub(super) registry_id: &'a str,
    pub(super) sub_env: Option<&'a SentSub>,
}

impl Args {
    fn site(&self) -> Site<'_> {
        Site {
            project: &self.project_key,
            env: &self.env_key,
            cluster_id: &self.cluster_id,
            namespace: &self.namespace,
            registry_id: &self.registry_id,
            sub_env: self.sub_env.as_ref(),
        }
    }
}

/// An environment as its create call begins it, without anything in it.
pub(super) fn begun(world: &mut World, request: &Request, site: Site<'_>) -> Environment {
    Environment {
        life: world.life(),
        project: site.project.to_owned(),
        key: site.env.to_owned(),
        scope: request.scope,
        source: Source::Yaml,
        share: match site.sub_env {
            Some(sub) if sub.enable => Share::Of(sub.base_env.clone()),
            _ => Share::Alone,
        },
        alias: String::new(),
        cluster_id: site.cluster_id.to_owned(),
        cluster_name: world.cluster_name(site.cluster_id),
        namespace: site.namespace.to_owned(),
        registry_id: site.registry_id.to_owned(),
        status: "creating".to_owned(),
        update_by: request.user.name.clone(),
        update_time: world.now().as_second(),
        globals: Vec::new(),
        services: Vec::new(),
        asleep: None,
    }
}

/// Refuses the namespaces that a production environment may not have.
pub(super) fn check_namespace(scope: Scope, namespace: &str) -> Result<(), Fail> {
    const FORBIDDEN: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];
    if scope == Scope::Test || !FORBIDDEN.contains(&namespace) {
        return Ok(());
    }
    Err(Fail::bad_request(format!(
        "namespace {namespace} is invalid, production environment namespace cannot be set to these three namespaces: {}",
        FORBIDDEN.join(", ")
    )))
}

/// Services, global variables and configuration objects of the body are ignored (Z§4.7).
pub(crate) fn create_production(world: &mut World, request: &Request) -> Outcome {
    let args = admitted(request)?;
    world.licensed(false)?;
    project_of(world, &args.project_key)?;
    check_namespace(Scope::Production, &args.namespace)?;
    let mut environment = begun(world, request, args.site());
    environment.alias = args.env_name;
    place(world, environment, Vec::new())
}

pub(crate) fn create(world: &mut World, request: &Request) -> Outcome {
    let mut args = admitted(request)?;
    let project = project_of(world, &args.project_key)?;
    let mut environment = begun(world, request, args.site());
    for sent in args.global_variables.take().unwrap_or_default() {
        let declared = project
            .globals
            .iter()
            .find(|declared| declared.key == sent.key)
            .ok_or_else(|| Fail::multi("global variables not match the definition"))?;
        let mut variable = global(declared);
        variable.variable.value = sent.value;
        environment.globals.push(variable);
    }
    for sent in args.services.take().unwrap_or_default() {
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
        let mut service =
            World::fresh_service(&project.services, &sent.service_name, &variables, images, true)
                .ok_or_else(|| {
                    Fail::code(
                        6074,
                        format!(
                            "failed to find service from db, serviceName:{}, projectName:{} error: {NO_DOCUMENTS}",
                            sent.service_name, args.project_key
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
        service.bind(&environment.globals);
        service
            .check_values(EnumCheck::Strict)
            .map_err(|error| Fail::code(6074, format!("failed to render variable: {error}")))?;
        environment
            .render(&service, EnumCheck::Strict)
            .map_err(|error| Fail::code(6074, error))?;
        environment.services.push(service);
    }
    place(world, environment, args.env_configs.unwrap_or_default())
}

/// Gives an environment its place in a cluster, with its configuration objects, and begins to create it.
pub(super) fn place(
    world: &mut World,
    environment: Environment,
    configs: Vec<SentConfig>,
) -> Outcome {
    let (texts, sources): (Vec<String>, Vec<Option<GitFile>>) = configs
        .into_iter()
        .map(|sent| (sent.yaml_data, sent.git_repo_config))
        .unzip();
    // One key for test and production environments (Z§4.6).
    if world
        .environment(&environment.project, &environment.key)
        .is_some()
    {
        return Err(Fail::multi("创建环境失败: 创建环境失败: 环境已存在"));
    }
    if !world.clusters.contains_key(&environment.cluster_id) {
        return Err(Fail::multi(format!(
            "创建环境失败: cluster {} not found",
            environment.cluster_id
        )));
    }
    // The namespace stays behind when the registry is unknown (Z§14.28).
    world
        .ensure_ground(
            &environment.cluster_id,
            &environment.namespace,
            &environment.project,
            &environment.registry_id,
        )
        .map_err(|error| error.within("创建环境失败"))?;
    // What was written stays behind in a refused create (Z§4.6).
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    if environment.share != Share::Alone {
        world.label_for_proxies(&cluster, &namespace);
    }
    let env = (environment.project.clone(), environment.key.clone());
    let written = world
        .apply_configs(&cluster, &namespace, &env, &texts)
        .map_err(|error| Fail::multi(format!("创建环境失败: {error}")))?;
    // As for an environment that exists, the coded error is wrapped in its own kind.
    conflict(world, &environment, "创建环境失败: 创建环境失败")?;
    let (by, at) = (environment.update_by.clone(), environment.update_time);
    world.begin_create(environment);
    for ((kind, name), source) in written.into_iter().zip(sources) {
        // A second record of one second is refused in the background, where nobody sees it.
        let noted = world.config_records.note(&env, kind, &name, &by, at);
        if let (Ok(()), Some(source)) = (noted, source) {
            world.config_records.note_source(&env, kind, &name, source);
        }
    }
    Ok(Reply::success().after(world.pace().create_answer))
}

/// Objects that another environment of the namespace has are not shared (Z§4.6); the refusal begins with `message`.
pub(super) fn conflict(
    world: &World,
    environment: &Environment,
    message: &str,
) -> Result<(), Fail> {
    let own: Vec<String> = ids(environment).collect();
    // From 5.0 on two kinds are looked for in the whole cluster (Z§12).
    let everywhere =
        |id: &str| id.starts_with("ClusterRole/") || id.starts_with("ClusterRoleBinding/");
    let has_everywhere = world.level >= Level::V50 && own.iter().any(|id| everywhere(id));
    for other in world.environments.values() {
        let is_itself = (&other.project, &other.key) == (&environment.project, &environment.key);
        let shares = other.namespace == environment.namespace;
        // Rendering is dear: only what can be in the way is looked at.
        if is_itself || other.cluster_id != environment.cluster_id || !(shares || has_everywhere) {
            continue;
        }
        let mut theirs = ids(other);
        if let Some(id) = theirs.find(|id| own.contains(id) && (shares || everywhere(id))) {
            return Err(Fail::multi(format!(
                "{message}: resource is applied by other envs: {id}: {}/{}",
                other.project, other.key
            )));
        }
    }
    Ok(())
}

/// `Kind/name` of everything an environment is to have.
fn ids(environment: &Environment) -> impl Iterator<Item = String> {
    environment
        .services
        .iter()
        .flat_map(|service| environment.objects(service))
        .map(|object| id_of(&object))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Edit {
    registry_id: String,
    env_name: String,
}

pub(crate) fn edit(world: &mut World, request: &Request) -> Outcome {
    let edit: Edit = request.decode_or_500("service.EnvBasicInfoArgs")?;
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let env = request.param(0);
    // The test route checks no permission (Z§1.2).
    if request.scope == Scope::Production {
        allowed(request.user.administers(project))?;
        world.licensed(false)?;
    }
    if !edit.registry_id.is_empty() {
        change_registry(world, request.scope, (project, env), &edit)?;
    }
    if request.scope == Scope::Production
        && world.environment_in(request.scope, project, env).is_some()
        && let Some(environment) = world.environment_mut(project, env)
    {
        // Overwritten by every call, also with nothing (Z§4.8).
        environment.alias = edit.env_name;
        world.changes += 1;
    }
    Ok(Reply::success().after(world.pace().other_answer))
}

fn change_registry(
    world: &mut World,
    scope: Scope,
    (project, env): (&str, &str),
    edit: &Edit,
) -> Result<(), Fail> {
    let environment = world
        .environment_in_mut(scope, project, env)
        .ok_or_else(|| Fail::code(6076, "环境不存在"))?;
    // Stored first, whatever comes of it (Z§14.27).
    environment.registry_id.clone_from(&edit.registry_id);
    let (cluster, namespace) = (
        environment.cluster_id.clone(),
        environment.namespace.clone(),
    );
    world.changes += 1;
    world
        .ensure_ground(&cluster, &namespace, project, &edit.registry_id)
        .map_err(NoGround::coded)
}
