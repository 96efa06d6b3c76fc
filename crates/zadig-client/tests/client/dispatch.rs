//! Turns a request of a recording into a call of the client: the typed method of its route, with the
//! arguments that the request shows, and the answer as JSON again.
//!
//! What a recorded request lacks, or has in a form that the client cannot send, is filled in: then
//! the recording's answer is what the test is about.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zadig_client::{
    Client, CreateEnvironment, CreateHelmEnvironment, EditEnvironment, EnvConfigKind, Error,
    GlobalVariable, HelmService, LogRequest, NewEnvConfig, Portal, Resources, Route, Scale, Scope,
    ServiceChange, ShareOperation, UpdateImage, WorkloadKind, routes,
};

/// A request, taken apart.
pub(crate) struct Request<'a> {
    pub(crate) route: &'static Route,
    segments: BTreeMap<&'static str, &'a str>,
    query: BTreeMap<&'a str, &'a str>,
    body: Value,
}

/// What is filled in.
const MISSING: &str = "filled-in";

impl<'a> Request<'a> {
    /// Finds the route of a request; `None` if the client has none.
    pub(crate) fn parse(
        method: &str,
        path: &'a str,
        query: BTreeMap<&'a str, &'a str>,
        body: Value,
    ) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        routes()
            .filter(|route| route.verb.as_str() == method)
            .filter_map(|route| Some((route, matching(route.path, &parts)?)))
            // Fixed parts win over placeholders (Z§1.4).
            .min_by_key(|(_, segments)| segments.len())
            .map(|(route, segments)| Self {
                route,
                segments,
                query,
                body,
            })
    }

    fn scope(&self) -> Scope {
        self.route.scope.unwrap_or(Scope::Test)
    }

    fn segment(&self, name: &str) -> &'a str {
        self.segments
            .get(name)
            .copied()
            .filter(|value| !value.is_empty())
            .unwrap_or(MISSING)
    }

    fn query(&self, name: &str) -> &'a str {
        self.query
            .get(name)
            .copied()
            .filter(|value| !value.is_empty())
            .unwrap_or(MISSING)
    }

    fn project(&self) -> &'a str {
        self.query("projectKey")
    }

    fn env(&self) -> &'a str {
        self.segment("env")
    }

    fn text(&self, name: &str) -> &str {
        let value = self.body.get(name).and_then(Value::as_str);
        value.filter(|value| !value.is_empty()).unwrap_or(MISSING)
    }

    /// The body, or a part of it, if it is one that the client can send; else something that is.
    fn body<T: DeserializeOwned>(&self, part: Option<&str>, otherwise: Value) -> T {
        let body = part.map_or(Some(&self.body), |part| self.body.get(part));
        body.filter(|body| body.as_array().is_none_or(|list| !list.is_empty()))
            .and_then(|body| serde_json::from_value(body.clone()).ok())
            .unwrap_or_else(|| serde_json::from_value(otherwise).unwrap())
    }

    fn kind(&self) -> EnvConfigKind {
        serde_json::from_value(json!(self.query("type"))).unwrap_or(EnvConfigKind::ConfigMap)
    }

    /// Makes the call.
    pub(crate) async fn send(&self, client: &Client) -> Result<Value, Error> {
        let (scope, project, env) = (self.scope(), self.project(), self.env());
        let services = json!([{"service_name": MISSING}]);
        match self.route.operation {
            "list_environments" => value(client.list_environments(scope, project).await),
            "environment" => value(client.environment(scope, project, env).await),
            "service" => {
                let kind = self.query("workLoadType").parse::<WorkloadKind>().ok();
                value(
                    client
                        .service(scope, project, env, self.segment("svc"), kind)
                        .await,
                )
            }
            "service_yaml" => {
                let (env, service) = (self.query("envName"), self.query("serviceName"));
                let text = client.service_yaml(scope, project, env, service).await?;
                Ok(json!(text.unwrap_or_default()))
            }
            "helm_values" => {
                let (env, service) = (self.query("envName"), self.query("serviceName"));
                value(client.helm_values(scope, project, env, service).await)
            }
            "create_environment" => {
                let otherwise = json!({
                    "env_key": MISSING, "cluster_id": MISSING, "namespace": MISSING,
                    "registry_id": MISSING,
                });
                let body: CreateEnvironment = self.body(None, otherwise);
                done(client.create_environment(scope, project, &body).await)
            }
            "edit_environment" => {
                let otherwise = match scope {
                    Scope::Test => json!({}),
                    Scope::Production => json!({"env_name": MISSING}),
                };
                let mut body: EditEnvironment = self.body(None, otherwise);
                if scope == Scope::Production && body.alias.is_none() {
                    body.alias = Some(MISSING.to_owned());
                }
                done(client.edit_environment(scope, project, env, &body).await)
            }
            "delete_environment" => {
                let resources = match self.query.get("isDelete") {
                    Some(&"true") => Resources::Delete,
                    _ => Resources::Keep,
                };
                done(
                    client
                        .delete_environment(scope, project, env, resources)
                        .await,
                )
            }
            "add_services" => {
                let list: Vec<ServiceChange> = self.body(Some("service_list"), services);
                let list = named(list);
                done(
                    client
                        .add_services(scope, project, self.text("env_key"), &list)
                        .await,
                )
            }
            "update_services" => {
                let list: Vec<ServiceChange> = self.body(Some("service_list"), services);
                done(
                    client
                        .update_services(scope, project, env, &named(list))
                        .await,
                )
            }
            "delete_services" => {
                let names: Vec<String> = self.body(Some("service_names"), json!([MISSING]));
                let resources = match self.body.get("not_delete_resource") {
                    Some(Value::Bool(true)) => Resources::Keep,
                    _ => Resources::Delete,
                };
                let env = self.text("env_key");
                done(
                    client
                        .delete_services(scope, project, env, &names, resources)
                        .await,
                )
            }
            "global_variables" => value(client.global_variables(scope, project, env).await),
            "put_global_variables" => {
                let list: Vec<GlobalVariable> = self.body(Some("global_variables"), json!([]));
                done(
                    client
                        .put_global_variables(scope, project, env, &list)
                        .await,
                )
            }
            "create_env_config" | "update_env_config" => {
                let otherwise = json!({
                    "name": MISSING, "common_env_cfg_type": "ConfigMap", "yaml_data": MISSING,
                });
                let body: NewEnvConfig = self.body(None, otherwise);
                done(if self.route.operation == "create_env_config" {
                    client.create_env_config(scope, project, env, &body).await
                } else {
                    client
                        .update_env_config(scope, project, self.text("env_key"), &body)
                        .await
                })
            }
            "env_configs" => value(client.env_configs(scope, project, env, self.kind()).await),
            "env_config" => {
                let (kind, name) = (self.kind(), self.segment("name"));
                let detail = client.env_config(scope, project, env, kind, name).await?;
                let field = match kind {
                    EnvConfigKind::ConfigMap => "configMap_detail",
                    EnvConfigKind::Secret => "secret_detail",
                    EnvConfigKind::Ingress => "ingress_detail",
                    EnvConfigKind::Pvc => "pvc_detail",
                };
                Ok(json!({ field: detail }))
            }
            "delete_env_config" => {
                let (kind, name) = (self.kind(), self.segment("name"));
                done(
                    client
                        .delete_env_config(scope, project, env, kind, name)
                        .await,
                )
            }
            "scale" => {
                let otherwise = json!({
                    "env_key": MISSING, "service_name": MISSING, "workload_name": MISSING,
                    "workload_type": "Deployment", "target_replicas": 1,
                });
                let mut body: Scale = self.body(None, otherwise);
                if body.workload_kind == WorkloadKind::CronJob {
                    body.workload_kind = WorkloadKind::Deployment;
                }
                done(client.scale(self.text("project_key"), &body).await)
            }
            "restart_service" => done(
                client
                    .restart_service(scope, project, env, self.segment("svc"))
                    .await,
            ),
            "update_image" => {
                let kind = match self.route.number {
                    40 => WorkloadKind::Deployment,
                    41 => WorkloadKind::StatefulSet,
                    _ => WorkloadKind::CronJob,
                };
                let otherwise = json!({
                    "env_name": MISSING, "service_name": MISSING, "name": MISSING,
                    "container_name": MISSING, "image": MISSING,
                });
                let body: UpdateImage = self.body(None, otherwise);
                done(
                    client
                        .update_image(kind, self.text("product_name"), &body)
                        .await,
                )
            }
            "events" => {
                let (env, kind, name) = (
                    self.query("envName"),
                    self.query("type"),
                    self.query("name"),
                );
                value(client.events(project, env, kind, name).await)
            }
            "workloads_without_service" => {
                value(client.workloads_without_service(project, env).await)
            }
            "enable_sharing" => done(client.enable_sharing(project, env).await),
            "disable_sharing" => done(client.disable_sharing(project, env).await),
            "sharing_ready" => {
                let operation = match self.segment("op") {
                    "enable" => ShareOperation::Enable,
                    _ => ShareOperation::Disable,
                };
                value(client.sharing_ready(project, env, operation).await)
            }
            "portal" => done(client.portal(project, env, self.segment("svc")).await),
            "set_portal" => {
                let servers: Vec<Portal> = self.body(None, json!([]));
                done(
                    client
                        .set_portal(project, env, self.segment("svc"), &servers)
                        .await,
                )
            }
            "pod_log" => {
                let (pod, container) = (self.segment("pod"), self.segment("container"));
                let mut request = LogRequest::tail(pod, container, 2);
                let since = self
                    .query("since")
                    .strip_suffix('s')
                    .and_then(|text| text.parse().ok());
                request.since = since.map(std::time::Duration::from_secs);
                let log = client
                    .pod_log(project, self.query("envName"), &request)
                    .await?;
                Ok(json!(log.lines))
            }
            "create_helm_environment" => {
                let otherwise = json!({
                    "env_name": MISSING, "cluster_id": MISSING, "namespace": MISSING,
                    "registry_id": MISSING,
                });
                let body: CreateHelmEnvironment = self.body(None, otherwise);
                done(
                    client
                        .create_helm_environment(self.flag(), project, &body)
                        .await,
                )
            }
            "apply_helm_services" => {
                let list: Vec<HelmService> = self.body(Some("services"), services);
                let env = self.text("env_name");
                value(
                    client
                        .apply_helm_services(self.flag(), project, env, &list)
                        .await,
                )
            }
            other => panic!("no call for {other}"),
        }
    }

    fn flag(&self) -> Scope {
        match self.body.get("production") {
            Some(Value::Bool(true)) => Scope::Production,
            _ => Scope::Test,
        }
    }
}

/// The placeholders of a template, if the path fits.
fn matching<'a>(
    template: &'static str,
    parts: &[&'a str],
) -> Option<BTreeMap<&'static str, &'a str>> {
    let template: Vec<&str> = template.split('/').collect();
    if template.len() != parts.len() {
        return None;
    }
    let mut segments = BTreeMap::new();
    for (name, part) in template.into_iter().zip(parts) {
        match name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) => {
                segments.insert(name, *part);
            }
            None if name != *part => return None,
            None => {}
        }
    }
    Some(segments)
}

/// Fills in what the client would refuse to send.
fn named(mut services: Vec<ServiceChange>) -> Vec<ServiceChange> {
    for service in &mut services {
        if service.service_name.is_empty() {
            MISSING.clone_into(&mut service.service_name);
        }
        for variable in &mut service.variables {
            if variable.value.as_ref().is_none_or(Value::is_null) && !variable.use_global_variable {
                variable.value = Some(json!(MISSING));
            }
        }
    }
    services
}

fn value<T: Serialize>(result: Result<T, Error>) -> Result<Value, Error> {
    result.map(|answer| serde_json::to_value(answer).unwrap())
}

fn done(result: Result<(), Error>) -> Result<Value, Error> {
    result.map(|()| json!({"message": "success"}))
}
