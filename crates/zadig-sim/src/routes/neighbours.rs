//! Routes for looking up projects, clusters, registries and templates, and for changing templates (Z§15).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::reply::{Fail, NO_DOCUMENTS, Outcome, Reply};
use crate::request::Request;
use crate::variables::Variable;
use crate::world::{Revision, Service, World};

#[expect(clippy::unnecessary_wraps, reason = "all handlers have one form")]
pub(crate) fn projects(world: &mut World, request: &Request) -> Outcome {
    let number = |name: &str, default: usize| request.query(name).parse().unwrap_or(default);
    let (size, page) = (number("pageSize", 20).max(1), number("pageNum", 1).max(1));
    let all: Vec<Value> = world
        .projects
        .values()
        .filter(|project| request.user.belongs_to(&project.key))
        .map(|project| {
            json!({
                "project_name": project.name,
                "project_key": project.key,
                "description": project.description,
                "deploy_type": project.deploy_type,
            })
        })
        .collect();
    let shown: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    Ok(Reply::json(
        &json!({ "total": all.len(), "projects": shown }),
    ))
}

pub(crate) fn project(world: &mut World, request: &Request) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    if !request.user.belongs_to(key) {
        return Err(Fail::Empty(403));
    }
    let project = world
        .projects
        .get(key)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    Ok(Reply::json(&json!({
        "project_name": project.name,
        "project_key": project.key,
        "is_public": false,
        "desc": project.description,
        "deploy_type": project.deploy_type,
        "create_time": "0",
        "created_by": "admin",
    })))
}

pub(crate) fn project_variables(world: &mut World, request: &Request) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    let project = world
        .projects
        .get(key)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    Ok(Reply::json(&json!({
        "variables": project.globals,
        "production_variables": project.production_globals,
    })))
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have one form")]
pub(crate) fn clusters(world: &mut World, _request: &Request) -> Outcome {
    let shown: Vec<Value> = world
        .cluster_list
        .iter()
        .map(|cluster| {
            json!({
                "cluster_id": cluster.cluster_id,
                "name": cluster.name,
                "production": cluster.production,
                "description": "",
                "provider": 0,
                "provider_name": "",
                "created_by": "system",
                "created_time": 0,
                "local": cluster.local,
                "status": cluster.status.clone().unwrap_or_else(|| "normal".to_owned()),
                "type": "kubeconfig",
                "project_names": [],
            })
        })
        .collect();
    Ok(Reply::json(&shown))
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have one form")]
pub(crate) fn registries(world: &mut World, _request: &Request) -> Outcome {
    let shown: Vec<Value> = world
        .registries
        .iter()
        .map(|registry| {
            json!({
                "registry_id": registry.registry_id,
                "address": registry.address,
                "provider": registry.provider,
                "region": registry.region,
                "namespace": registry.namespace,
                "is_default": registry.is_default,
            })
        })
        .collect();
    Ok(Reply::json(&shown))
}

fn containers(revision: &Revision) -> Vec<Value> {
    let place = crate::render::Place {
        project: "p",
        env: "e",
        namespace: "n",
        service: "s",
        cluster: None,
    };
    let none = std::collections::BTreeMap::new();
    let input = crate::render::Input {
        text: &revision.text,
        variables: &revision.variables,
        images: &none,
        replicas: &std::collections::BTreeMap::new(),
    };
    let objects = crate::render::objects(place, input, crate::variables::EnumCheck::Lenient)
        .unwrap_or_default();
    crate::render::containers(&objects)
        .into_iter()
        .map(|container| {
            json!({
                "name": container.name,
                "image": container.image,
                "image_name": crate::render::image_name(&container.image),
            })
        })
        .collect()
}

/// The newest revision of a template that is text; charts have routes of their own.
fn text_of(service: &Service) -> Option<&Revision> {
    service
        .revisions
        .last()
        .filter(|revision| revision.chart.is_none())
}

pub(crate) fn templates(world: &mut World, request: &Request) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    world.licensed_for(request.scope)?;
    let shown: Vec<Value> = world
        .projects
        .get(key)
        .into_iter()
        .flat_map(|project| project.templates(request.scope))
        .filter_map(|(name, service)| {
            let revision = text_of(service)?;
            Some(json!({
                "service_name": name,
                "source": "spock",
                "type": "k8s",
                "containers": containers(revision),
            }))
        })
        .collect();
    Ok(Reply::json(&shown))
}

pub(crate) fn template(world: &mut World, request: &Request) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    let name = request.param(0);
    world.licensed_for(request.scope)?;
    let revision = world
        .projects
        .get(key)
        .and_then(|project| text_of(project.templates(request.scope).get(name)?))
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    Ok(Reply::json(&json!({
        "service_name": name,
        "source": "spock",
        "type": "k8s",
        "template_name": "",
        "created_by": "admin",
        "created_time": 0,
        "yaml": revision.text,
        "containers": containers(revision),
        "service_variable_kvs": revision.variables,
    })))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    service_name: String,
    yaml: String,
    variable_yaml: Option<Vec<Variable>>,
}

pub(crate) fn create_template(world: &mut World, request: &Request) -> Outcome {
    let raw: Raw = request.decode_or_500("service.OpenAPILoadServiceFromYamlTemplateReq")?;
    let key = request.required("projectKey", "projectKey can't be empty")?;
    let project = world
        .projects
        .get_mut(key)
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    let templates = project.templates_mut(request.scope);
    if templates.contains_key(&raw.service_name) {
        return Err(Fail::wrapped(format!(
            "service:{} already exists",
            raw.service_name
        )));
    }
    let revision = Revision {
        text: raw.yaml,
        variables: raw.variable_yaml.unwrap_or_default(),
        chart: None,
    };
    templates.insert(
        raw.service_name,
        Service {
            revisions: vec![revision],
        },
    );
    world.changes += 1;
    Ok(Reply::success())
}

pub(crate) fn update_template(world: &mut World, request: &Request) -> Outcome {
    let raw: Raw = request.decode_or_500("service.OpenAPIUpdateServiceConfigArgs")?;
    revise(world, request, |revision| revision.text = raw.yaml)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Variables {
    service_variable_kvs: Option<Vec<Variable>>,
}

pub(crate) fn update_template_variables(world: &mut World, request: &Request) -> Outcome {
    let sent: Variables = request.decode_or_500("service.OpenAPIUpdateServiceVariableRequest")?;
    revise(world, request, |revision| {
        for variable in sent.service_variable_kvs.unwrap_or_default() {
            if let Some(known) = revision
                .variables
                .iter_mut()
                .find(|v| v.key == variable.key)
            {
                *known = variable;
            }
        }
    })
}

fn revise(world: &mut World, request: &Request, change: impl FnOnce(&mut Revision)) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    let service = world
        .projects
        .get_mut(key)
        .and_then(|project| {
            project
                .templates_mut(request.scope)
                .get_mut(request.param(0))
                .filter(|service| text_of(service).is_some())
        })
        .ok_or_else(|| Fail::wrapped(NO_DOCUMENTS))?;
    let mut revision = service.revisions.last().cloned().unwrap_or_default();
    change(&mut revision);
    service.revisions.push(revision);
    world.changes += 1;
    Ok(Reply::success())
}

pub(crate) fn delete_template(world: &mut World, request: &Request) -> Outcome {
    let key = request.required("projectKey", "projectKey can't be empty")?;
    if let Some(project) = world.projects.get_mut(key) {
        project.services.remove(request.param(0));
    }
    world.changes += 1;
    Ok(Reply::success())
}
