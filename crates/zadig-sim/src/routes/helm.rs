//! Helm environments, their services and values (#51, #52, #9, #10; Z§4.21, Z§4.5).

use serde::Deserialize;
use serde_json::{Value, json};

use super::create::{self, SentSub, Site};
use crate::helm::{KeyValue, Overrides, image, release};
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope, allowed};
use crate::world::World;
use crate::world::environment::{Deployed, Environment};
use crate::world::helm::Source;
use crate::yaml;

#[derive(Default, Deserialize)]
#[serde(default)]
struct CreateArgs {
    /// The key, whatever it is called.
    env_name: String,
    alias: String,
    cluster_id: String,
    namespace: String,
    registry_id: String,
    production: bool,
    /// A sub-environment of a shared one, also where it is a production environment.
    sub_env: Option<SentSub>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Outcome {
    let args: CreateArgs = request.decode_or_500("service.OpenAPICreateHelmEnvArgs")?;
    // The body's project key is overwritten, also by nothing.
    let project = request.query("projectKey");
    let required = [
        (project, "project key is required"),
        (&args.env_name, "env key is required"),
        (&args.cluster_id, "cluster name is required"),
        (&args.namespace, "namespace is required"),
        (&args.registry_id, "registry address is required"),
    ];
    if let Some((_, text)) = required.into_iter().find(|(value, _)| value.is_empty()) {
        return Err(Fail::wrapped(text));
    }
    let scope = scope_of(args.production);
    create::check_namespace(scope, &args.namespace)?;
    allowed(request.user.may(project, Permission::Create.verb(scope)))?;
    if args.production && !request.user.system_admin {
        world.licensed(false)?;
    }
    if !world.clusters.contains_key(&args.cluster_id) {
        let text = format!("failed to find cluster {}: {NO_DOCUMENTS}", args.cluster_id);
        return Err(Fail::code(6074, text));
    }
    // Nothing asks whether it is a Helm project.
    if !world.projects.contains_key(project) {
        let text = format!("failed to query product {project} ");
        return Err(Fail::code(6074, text));
    }
    let site = Site {
        project,
        env: &args.env_name,
        cluster_id: &args.cluster_id,
        namespace: &args.namespace,
        registry_id: &args.registry_id,
        sub_env: args.sub_env.as_ref(),
    };
    let environment = Environment {
        scope,
        source: Source::Helm,
        alias: args.alias.clone(),
        ..create::begun(world, request, site)
    };
    create::place(world, environment, Vec::new())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AddArgs {
    /// The key; the path's segment is not read.
    env_name: String,
    production: bool,
    services: Option<Vec<Sent>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    service_name: String,
    override_kvs: Option<Vec<KeyValue>>,
    values_yaml: String,
    deploy_strategy: String,
    import_values_from_git: Option<FromGit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FromGit {
    codehost_name: String,
}

pub(crate) fn add(world: &mut World, request: &Request) -> Outcome {
    let args: AddArgs = request
        .decode("service.OpenAPIAddHelmServicesToEnvRequest")
        .map_err(Fail::bad_request)?;
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let scope = scope_of(args.production);
    let verb = Permission::EditConfig.verb(scope);
    let user = &request.user;
    allowed(user.may(project, verb) || user.collaborates(project, &args.env_name, verb))?;
    world.licensed_for(scope)?;
    let sent = args.services.unwrap_or_default();
    // Read during the call, and no code host is known here.
    if let Some(git) = sent
        .iter()
        .find_map(|it| it.import_values_from_git.as_ref())
    {
        let text = format!(
            "failed to find codehost {}: {NO_DOCUMENTS}",
            git.codehost_name
        );
        return Err(Fail::bad_request(text));
    }
    world.check_lock(project, 6076)?;
    let environment = world
        .environment_in(scope, project, &args.env_name)
        .filter(|environment| environment.status != "deleting");
    let Some(environment) = environment else {
        // A silent nothing (Z§17 no. 11).
        return Ok(Reply::json(&json!([])));
    };
    let templates = world
        .projects
        .get(project)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?
        .templates(scope);
    let unknown = |it: &&Sent| !templates.contains_key(&it.service_name);
    if let Some(unknown) = sent.iter().find(unknown) {
        return Err(Fail::wrapped(format!(
            "failed to find service: {} in product template",
            unknown.service_name
        )));
    }
    if environment.status == "sleeping" {
        return Err(Fail::code(6076, "Environment is sleeping, cannot update"));
    }
    let mut services: Vec<Deployed> = Vec::new();
    for sent in sent {
        let newest = templates
            .get(&sent.service_name)
            .and_then(|service| service.revisions.last());
        let Some(newest) = newest else { continue };
        // A service that is listed twice is deployed once, as it stands last.
        services.retain(|known| known.name != sent.service_name);
        let mut service = Deployed::of(&sent.service_name, newest.clone());
        let containers = newest.chart.as_ref().map(|it| it.containers());
        service.containers = containers.unwrap_or_default();
        if let Some(known) = environment.service(&sent.service_name) {
            let current = known.revision.chart.as_ref().map(|it| it.containers());
            let current = current.unwrap_or_default();
            service.containers = image::kept(service.containers, &known.containers, &current);
        }
        service.overrides = Overrides {
            yaml: sent.values_yaml,
            kvs: sent.override_kvs.unwrap_or_default(),
            strategy: sent.deploy_strategy,
        };
        services.push(service);
    }
    installed_elsewhere(world, environment, &services)?;
    let env = (environment.project.clone(), environment.key.clone());
    world.hold_lock(project, world.pace().other_answer);
    world.begin_rollout(&env, services, &request.user.name);
    let answer = json!([{"env_name": env.1, "status": "Updating", "err_message": ""}]);
    Ok(Reply::json(&answer).after(world.pace().other_answer))
}

/// Two environments of one namespace cannot have the same release (Z§10).
fn installed_elsewhere(
    world: &World,
    environment: &Environment,
    services: &[Deployed],
) -> Result<(), Fail> {
    let wanted: Vec<String> = services
        .iter()
        .filter_map(|service| environment.release(service))
        .collect();
    let used: Vec<String> = world
        .environments
        .values()
        .filter(|other| other.life != environment.life)
        .filter(|other| {
            (&other.cluster_id, &other.namespace)
                == (&environment.cluster_id, &environment.namespace)
        })
        .flat_map(|other| {
            let releases = other.services.iter().filter_map(|it| other.release(it));
            releases.map(|release| (release, format!("{}/{}", other.project, other.key)))
        })
        .filter(|(release, _)| wanted.contains(release))
        .map(|(release, by)| format!("{release}: {by}"))
        .collect();
    if used.is_empty() {
        return Ok(());
    }
    let text = format!("release is installed by other envs: {}", used.join(","));
    Err(Fail::code(6076, text))
}

/// The values that the release really has, with the chart's own (Z§4.5).
pub(crate) fn values(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey cannot be empty")?;
    let env = request.required("envName", "envName cannot be empty")?;
    let service = request.required("serviceName", "serviceName cannot be empty")?;
    // The production route, too, asks a collaboration mode for the test verb (Z§9 no. 6).
    request.permitted_on(project, env, Permission::View, Scope::Test)?;
    let values = computed(world, request.scope, project, env, service).map_err(|error| {
        Fail::wrapped(format!(
            "failed get chart values, projectKey: {project}, envName: {env}, serviceName: {service}, err: {error}"
        ))
    })?;
    Ok(Reply::text(yaml::emit(&values, 4)))
}

fn computed(
    world: &World,
    scope: Scope,
    project: &str,
    env: &str,
    service: &str,
) -> Result<Value, String> {
    let environment = world
        .environment_in(scope, project, env)
        .ok_or_else(|| format!("failed to find project: {project}, err: {NO_DOCUMENTS}"))?;
    // What is no chart has a release by the default rule, which nobody installed.
    let name = environment
        .service(service)
        .and_then(|service| environment.release(service))
        .unwrap_or_else(|| service.to_owned());
    let releases = world
        .clusters
        .get(&environment.cluster_id)
        .map(|kube| release::history(kube, &environment.namespace, &name))
        .unwrap_or_default();
    let newest = releases.into_iter().next_back();
    newest
        .map(|release| release.computed)
        .ok_or_else(|| "release: not found".to_owned())
}

fn scope_of(production: bool) -> Scope {
    if production {
        Scope::Production
    } else {
        Scope::Test
    }
}
