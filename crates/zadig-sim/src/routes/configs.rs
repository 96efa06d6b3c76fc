//! Configuration objects of an environment: ConfigMap, Secret, Ingress and PVC (Z§4.14).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::kube::Object;
use crate::kube::apply::plural;
use crate::render::Place;
use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::scope::{Permission, Scope};
use crate::world::configs::{self, ConfigKind, DuplicateKey};
use crate::world::environment::Environment;
use crate::world::{Key, World};
use crate::yaml;

/// What Zadig makes of a violated unique index.
const DUPLICATE: &str = "mongo duplicate key error";
const UNREACHABLE: &str = "failed to get kube client: connection refused";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    name: String,
    env_key: String,
    common_env_cfg_type: String,
    yaml_data: String,
    service_name: String,
}

impl Args {
    /// The description of the first field that is missing.
    fn missing(&self, project: &str) -> Option<&'static str> {
        let required = [
            (self.name.as_str(), "name is required"),
            (&self.env_key, "env_key is required"),
            (project, "projectKey is required"),
            (&self.common_env_cfg_type, "common_env_cfg_type is required"),
            (&self.yaml_data, "yaml_data is required"),
        ];
        let found = required.into_iter().find(|(value, _)| value.is_empty());
        found.map(|(_, text)| text)
    }

    /// The object of the text, which has to be of the type that the body names; `verb` is what is done with it.
    fn manifest(&self, verb: &str) -> Result<(ConfigKind, Value), Fail> {
        let refused = |text: String| Fail::code(6095, text);
        let manifest = configs::manifest(&self.yaml_data).map_err(refused)?;
        let kind = manifest["kind"].as_str().unwrap_or("");
        let expected = match self.common_env_cfg_type.as_str() {
            "PVC" => "PersistentVolumeClaim",
            name => name,
        };
        if kind != expected {
            return Err(refused(format!(
                "param commonEnvCfgType:{} not match yaml kind {kind} ",
                self.common_env_cfg_type
            )));
        }
        match ConfigKind::of_name(&self.common_env_cfg_type) {
            Some(kind) => Ok((kind, manifest)),
            None => Err(refused(format!("{kind} is not support {verb}"))),
        }
    }
}

/// Where objects are written, and by whom.
struct Target {
    env: Key,
    cluster: String,
    namespace: String,
    by: String,
}

impl Target {
    /// Only test environments are found, by the production routes too (Z§9 nos. 8 and 9).
    fn find(world: &World, env: Key, request: &Request, code: u16) -> Result<Self, Fail> {
        let environment = world
            .environment_in(Scope::Test, &env.0, &env.1)
            .ok_or_else(|| Fail::code(code, NO_DOCUMENTS))?;
        reach(world, environment, code)?;
        Ok(Self {
            cluster: environment.cluster_id.clone(),
            namespace: environment.namespace.clone(),
            by: request.user.name.clone(),
            env,
        })
    }

    fn write(
        &self,
        world: &mut World,
        write: impl FnOnce(&mut crate::kube::Cluster, &mut crate::kube::Cx<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        world
            .in_cluster(&self.cluster, write)
            .unwrap_or_else(|| Err(UNREACHABLE.to_owned()))
    }

    /// Notes a write in the cluster that has been made already.
    fn note(&self, world: &mut World, kind: ConfigKind, name: &str) -> Result<(), DuplicateKey> {
        let at = world.now().as_second();
        world
            .config_records
            .note(&self.env, kind, name, &self.by, at)
    }

    /// `NAMESPACE/NAME`, as messages call an object.
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }
}

fn reach(world: &World, environment: &Environment, code: u16) -> Result<(), Fail> {
    let kube = world.clusters.get(&environment.cluster_id);
    if kube.is_some_and(|kube| kube.reachable) {
        Ok(())
    } else {
        Err(Fail::code(code, UNREACHABLE))
    }
}

fn name_of(manifest: &Value) -> &str {
    manifest["metadata"]["name"].as_str().unwrap_or("")
}

pub(crate) fn create(world: &mut World, request: &Request) -> Outcome {
    let mut args: Args = request.decode_or_500("service.OpenAPIEnvCfgArgs")?;
    let project = request.required("projectKey", "projectKey can't be empty")?;
    request.param(0).clone_into(&mut args.env_key);
    if let Some(text) = args.missing(project) {
        return Err(Fail::wrapped(text));
    }
    request.permitted_on(project, &args.env_key, Permission::EditConfig, Scope::Test)?;
    world.licensed(false)?;
    let refused = |text: String| Fail::code(6095, text);
    yaml::documents(&args.yaml_data).map_err(refused)?;
    let env = (project.to_owned(), args.env_key.clone());
    let target = Target::find(world, env, request, 6095)?;
    let (kind, manifest) = args.manifest("create")?;
    let mut manifest = configs::typed(kind, manifest).map_err(refused)?;
    configs::label(&mut manifest, "s-product", project);
    let name = name_of(&manifest).to_owned();
    let path = target.path(&name);
    let exists = world
        .clusters
        .get(&target.cluster)
        .is_some_and(|kube| kube.object(&target.namespace, kind.kind(), &name).is_some());
    target
        .write(world, |kube, cx| match kind {
            ConfigKind::Secret | ConfigKind::Ingress if exists => {
                kube.replace(cx, &target.namespace, manifest.clone())
            }
            _ => kube.create(cx, &target.namespace, &manifest),
        })
        .map_err(|error| match kind {
            ConfigKind::ConfigMap => format!("failed to create configmap {path}: {error}"),
            ConfigKind::Secret => secret_error(exists, &path, &error),
            ConfigKind::Ingress => ingress_error(&manifest, &error),
            ConfigKind::Pvc => format!("failed to create PVC {path}: {error}"),
        })
        .map_err(refused)?;
    target
        .note(world, kind, &name)
        .map_err(|DuplicateKey| Fail::code(6095, DUPLICATE))?;
    Ok(Reply::success().after(world.pace().other_answer))
}

fn secret_error(exists: bool, path: &str, error: &str) -> String {
    let verb = if exists { "update" } else { "create" };
    format!("failed to {verb} secret {path}: {error}")
}

fn ingress_error(manifest: &Value, error: &str) -> String {
    format!(
        "Failed to UpdateOrCreateIngress Ingress, manifest is\n{}\n, error: {error}",
        configs::go_object(manifest)
    )
}

pub(crate) fn update(world: &mut World, request: &Request) -> Outcome {
    let invalid = |text: String| Fail::coded(6076, "更新环境资源配置失败", text);
    let args: Args = request
        .decode("service.OpenAPIEnvCfgArgs")
        .map_err(|error| invalid(format!("failed to unmarshal request data err : {error}")))?;
    let project = request.query("projectKey");
    if let Some(text) = args.missing(project) {
        return Err(invalid(format!(
            "failed to validate request data err : {text}"
        )));
    }
    // The production route, too, asks a collaboration mode for the test verb.
    request.permitted_on(project, &args.env_key, Permission::EditConfig, Scope::Test)?;
    world.licensed_for(request.scope)?;
    let (kind, manifest) = args.manifest("update")?;
    let code = match kind {
        ConfigKind::ConfigMap => 6089,
        _ => 6095,
    };
    let refused = |text: String| Fail::code(code, text);
    let mut manifest = configs::typed(kind, manifest).map_err(refused)?;
    if name_of(&manifest) != args.name {
        let prefix = match kind {
            ConfigKind::ConfigMap => "configMap",
            ConfigKind::Secret => "secret",
            ConfigKind::Ingress => "ingress",
            ConfigKind::Pvc => "pvc",
        };
        return Err(refused(format!("{prefix} Yaml Name is incorrect")));
    }
    let env = (project.to_owned(), args.env_key.clone());
    let target = Target::find(world, env, request, code)?;
    if kind == ConfigKind::ConfigMap {
        let place = Place {
            project,
            env: &args.env_key,
            namespace: &target.namespace,
            service: &args.service_name,
            cluster: None,
        };
        configs::fill(&mut manifest, place);
    }
    configs::label(&mut manifest, "s-product", project);
    overwrite(world, &target, kind, &manifest).map_err(refused)?;
    // The cluster is changed already when the record is refused (Z§4.14).
    target
        .note(world, kind, &args.name)
        .map_err(|DuplicateKey| match kind {
            ConfigKind::ConfigMap => Fail::code(6089, DUPLICATE),
            _ => Fail::panicked(),
        })?;
    world.restart_users(&target.env, kind, &args.name);
    Ok(Reply::success().after(world.pace().other_answer))
}

/// Writes the manifest in the way of its type: a full replacement but for an Ingress, which is merged.
fn overwrite(
    world: &mut World,
    target: &Target,
    kind: ConfigKind,
    manifest: &Value,
) -> Result<(), String> {
    let name = name_of(manifest);
    let path = target.path(name);
    let exists = world
        .clusters
        .get(&target.cluster)
        .is_some_and(|kube| kube.object(&target.namespace, kind.kind(), name).is_some());
    let namespace = &target.namespace;
    let written = target.write(world, |kube, cx| match kind {
        ConfigKind::ConfigMap => kube.replace(cx, namespace, manifest.clone()),
        ConfigKind::Secret if exists => kube.replace(cx, namespace, manifest.clone()),
        ConfigKind::Secret => kube.create(cx, namespace, manifest),
        ConfigKind::Ingress => kube.merge_ingress(cx, namespace, manifest),
        ConfigKind::Pvc if exists => kube.edit(cx, namespace, kind.kind(), name, |live| {
            live["spec"] = manifest["spec"].clone();
            for field in ["labels", "annotations"] {
                live["metadata"][field] = manifest["metadata"][field].clone();
            }
        }),
        ConfigKind::Pvc => Err(format!("{} \"{name}\" not found", plural(kind.kind()))),
    });
    written.map_err(|error| match kind {
        ConfigKind::ConfigMap => format!("failed to update configmap {path}: {error}"),
        ConfigKind::Secret => secret_error(exists, &path, &error),
        ConfigKind::Ingress => ingress_error(manifest, &error),
        ConfigKind::Pvc if exists => error,
        ConfigKind::Pvc => format!("failed to get live PVC: {error}"),
    })
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Outcome {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    let (env, name) = (request.param(0), request.param(1));
    let kind = request.required("type", "type is empty")?;
    request.permitted(project, Permission::EditConfig)?;
    world.licensed_for(request.scope)?;
    let environment = world.environment(project, env).ok_or_else(|| {
        Fail::code(
            6077,
            format!("failed to find product {project}: {NO_DOCUMENTS}"),
        )
    })?;
    if environment.scope != request.scope {
        let state = match environment.scope {
            Scope::Production => "is production",
            Scope::Test => "is not production",
        };
        return Err(Fail::code(
            6077,
            format!("environment {env} {state} environment, cannot delete it"),
        ));
    }
    reach(world, environment, 6096)?;
    let Some(kind) = ConfigKind::of_name(kind) else {
        return Err(Fail::code(6096, format!("{kind} is not support delete")));
    };
    world.delete_config(&(project.to_owned(), env.to_owned()), kind, name);
    Ok(Reply::success().after(world.pace().other_answer))
}

/// The environment and type of a read, in the order in which the server looks for them.
fn asked<'a>(
    world: &'a World,
    request: &'a Request,
) -> Result<(&'a Environment, ConfigKind), Fail> {
    let project = request.required("projectKey", "projectKey can't be empty")?;
    world.licensed_for(request.scope)?;
    let kind = request.query("type");
    let kind = ConfigKind::of_name(kind)
        .ok_or_else(|| Fail::wrapped(format!("invalid common env cfg type: {kind}")))?;
    let code = match kind {
        ConfigKind::ConfigMap => 6088,
        _ => 6094,
    };
    let environment = world
        .environment_in(request.scope, project, request.param(0))
        .ok_or_else(|| Fail::code(code, NO_DOCUMENTS))?;
    reach(world, environment, code)?;
    Ok((environment, kind))
}

/// All objects of a type in the environment's namespace, whoever made them, by name.
fn objects<'a>(
    world: &'a World,
    environment: &'a Environment,
    kind: ConfigKind,
) -> impl Iterator<Item = (&'a String, &'a Object)> {
    let kube = world.clusters.get(&environment.cluster_id);
    kube.into_iter()
        .flat_map(move |kube| kube.of_kind(&environment.namespace, kind.kind()))
}

pub(crate) fn list(world: &mut World, request: &Request) -> Outcome {
    let (environment, kind) = asked(world, request)?;
    let env = (environment.project.clone(), environment.key.clone());
    let shown: Vec<Value> = objects(world, environment, kind)
        .map(|(name, object)| {
            let mut item = json!({
                "name": name,
                "env_name": environment.key,
                "project_name": environment.project,
                "common_env_cfg_type": kind.name(),
                "update_time": object.created.as_second(),
            });
            let records = &world.config_records;
            if let Some(by) = records.writer(&env, kind, name) {
                item["update_by"] = json!(by);
            } else if let Some((at, by)) = records.last(&env, kind, name) {
                item["update_by"] = json!(by);
                item["update_time"] = json!(at);
            }
            item
        })
        .collect();
    Ok(Reply::json(&shown))
}

pub(crate) fn get(world: &mut World, request: &Request) -> Outcome {
    let (environment, kind) = asked(world, request)?;
    let name = request.param(1);
    let (_, object) = objects(world, environment, kind)
        .find(|(found, _)| *found == name)
        .ok_or_else(|| Fail::wrapped("not found"))?;
    let env = (environment.project.clone(), environment.key.clone());
    let source = match world.config_records.source(&env, kind, name) {
        Some(source) => source.shown(&world.codehosts).map_err(Fail::wrapped)?,
        None => Value::Null,
    };
    let mut detail = json!({
        "name": name,
        "project_key": environment.project,
        "env_key": environment.key,
        "common_env_cfg_type": kind.name(),
        "created_time": object.created.as_second(),
        "yaml_data": yaml::emit(&object.live(), 2),
        "source_detail": source,
    });
    if let Some(by) = world.config_records.writer(&env, kind, name) {
        detail["update_by"] = json!(by);
    }
    let users: Vec<String> = world
        .users_of(&env, kind, name)
        .into_iter()
        .map(|user| user.workload)
        .collect();
    if !users.is_empty() {
        detail["services"] = json!(users);
    }
    let extra = match kind {
        ConfigKind::ConfigMap | ConfigKind::Secret => Vec::new(),
        ConfigKind::Ingress => about_ingress(&object.manifest),
        ConfigKind::Pvc => about_claim(&object.manifest),
    };
    for (field, text) in extra {
        if !text.is_empty() {
            detail[field] = json!(text);
        }
    }
    let field = match kind {
        ConfigKind::ConfigMap => "configMap_detail",
        ConfigKind::Secret => "secret_detail",
        ConfigKind::Ingress => "ingress_detail",
        ConfigKind::Pvc => "pvc_detail",
    };
    Ok(Reply::json(&json!({ field: detail })))
}

/// Texts of a list, joined with commas.
fn joined(values: &Value, pick: impl Fn(&Value) -> &Value) -> String {
    let texts: Vec<&str> = values
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| pick(value).as_str().unwrap_or(""))
        .collect();
    texts.join(",")
}

/// No load balancer ever takes it, so address, ports and errors stay empty.
fn about_ingress(manifest: &Value) -> Vec<(&'static str, String)> {
    let hosts = joined(&manifest["spec"]["rules"], |rule| &rule["host"]);
    vec![("host_info", hosts)]
}

/// No volume is ever bound to it, so it has no capacity but zero.
fn about_claim(manifest: &Value) -> Vec<(&'static str, String)> {
    let spec = &manifest["spec"];
    let text = |field: &str| spec[field].as_str().unwrap_or("").to_owned();
    vec![
        ("status", "Pending".to_owned()),
        ("volume", text("volumeName")),
        ("access_modes", joined(&spec["accessModes"], |mode| mode)),
        ("storage_class", text("storageClassName")),
        ("capacity", "0".to_owned()),
    ]
}
