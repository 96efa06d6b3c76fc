//! The wire: every route with its name and handler, and the rules by which a path finds one.
//!
//! One file per group. A handler decodes, checks in the order of Z§17 no. 24, changes the world and answers; it never waits.

mod configs;
pub(crate) mod create;
mod delete;
pub(crate) mod helm;
mod image;
mod logs;
mod neighbours;
mod observe;
mod pods;
mod scale;
mod services;
mod share;
mod sleep;
mod variables;

use http::Method;

use crate::options::Level;
use crate::reply::Outcome;
use crate::request::Request;
use crate::scope::Scope;
use crate::world::World;

/// One route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Segments; those in braces match anything.
    pub(crate) path: &'static str,
    /// The name in the journal and in fault rules.
    pub(crate) name: &'static str,
    pub(crate) mutating: bool,
    /// The kind of environment it is for.
    pub(crate) scope: Scope,
    /// How many requests to Kubernetes a successful call is made of (Z§8).
    pub(crate) requests: u32,
    /// The first level that has it.
    pub(crate) since: Level,
    pub(crate) handler: fn(&mut World, &Request) -> Outcome,
}

/// What a path leads to.
pub(crate) enum Matched {
    Route(&'static Route, Vec<String>),
    /// The same path without its trailing slash has a route.
    Redirect(String),
    WrongMethod,
    Nothing,
}

/// Finds the route of a path; static segments win over named ones (Z§1.4).
pub(crate) fn find(level: Level, method: &Method, path: &str) -> Matched {
    if let Some(matched) = best(level, method.as_str(), path) {
        return matched;
    }
    if path.len() > 1
        && let Some(shorter) = path.strip_suffix('/')
        && best(level, method.as_str(), shorter).is_some()
    {
        return Matched::Redirect(shorter.to_owned());
    }
    let elsewhere = ROUTES
        .iter()
        .any(|route| route.since <= level && params(route.path, path).is_some());
    if elsewhere {
        Matched::WrongMethod
    } else {
        Matched::Nothing
    }
}

fn best(level: Level, method: &str, path: &str) -> Option<Matched> {
    ROUTES
        .iter()
        .filter(|route| route.since <= level && route.method == method)
        .filter_map(|route| Some((route, params(route.path, path)?)))
        // From left to right the first static segment decides, as in a radix tree.
        .min_by_key(|(route, _)| {
            route
                .path
                .split('/')
                .map(|segment| segment.starts_with('{'))
                .collect::<Vec<bool>>()
        })
        .map(|(route, params)| Matched::Route(route, params))
}

fn params(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            found.push(segment.to_owned());
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(found)
}

const fn read(
    method: &'static str,
    path: &'static str,
    name: &'static str,
    handler: fn(&mut World, &Request) -> Outcome,
) -> Route {
    Route {
        method,
        path,
        name,
        mutating: false,
        scope: Scope::Test,
        requests: 0,
        since: Level::V42,
        handler,
    }
}

const fn write(
    method: &'static str,
    path: &'static str,
    name: &'static str,
    handler: fn(&mut World, &Request) -> Outcome,
) -> Route {
    Route {
        method,
        path,
        name,
        mutating: true,
        scope: Scope::Test,
        requests: 1,
        since: Level::V42,
        handler,
    }
}

impl Route {
    /// The same handler for production environments.
    const fn production(self) -> Self {
        Self {
            scope: Scope::Production,
            ..self
        }
    }

    /// The same route, which makes that many requests to Kubernetes.
    const fn asks_kubernetes(self, requests: u32) -> Self {
        Self { requests, ..self }
    }

    /// The same route, which only later releases have.
    const fn since(self, level: Level) -> Self {
        Self {
            since: level,
            ..self
        }
    }
}

/// Z§3 in its order, what later releases add, then the web page's own route for sleep and the neighbours of Z§15. What is missing here answers 404, as a route that Zadig does not have.
pub(crate) static ROUTES: &[Route] = &[
    read(
        "GET",
        "/openapi/environments",
        "environment.list",
        observe::list,
    ),
    read(
        "GET",
        "/openapi/environments/production",
        "production.environment.list",
        observe::list,
    )
    .production(),
    read(
        "GET",
        "/openapi/environments/{env}",
        "environment.get",
        observe::detail,
    )
    .asks_kubernetes(1),
    read(
        "GET",
        "/openapi/environments/production/{env}",
        "production.environment.get",
        observe::detail,
    )
    .asks_kubernetes(1)
    .production(),
    read(
        "GET",
        "/openapi/environments/{env}/services/{svc}",
        "service.get",
        observe::service,
    )
    .asks_kubernetes(1),
    read(
        "GET",
        "/openapi/environments/production/{env}/services/{svc}",
        "production.service.get",
        observe::service,
    )
    .asks_kubernetes(1)
    .production(),
    read(
        "GET",
        "/openapi/environments/service/yaml",
        "service.yaml",
        observe::yaml,
    ),
    // Asks for the test permission and finds either kind (Z§4.4), so it is no production route but by its path.
    read(
        "GET",
        "/openapi/environments/production/service/yaml",
        "production.service.yaml",
        observe::yaml,
    ),
    read(
        "GET",
        "/openapi/environments/service/values",
        "service.values",
        helm::values,
    )
    .asks_kubernetes(1),
    read(
        "GET",
        "/openapi/environments/production/service/values",
        "production.service.values",
        helm::values,
    )
    .production()
    .asks_kubernetes(1),
    write(
        "POST",
        "/openapi/environments",
        "environment.create",
        create::create,
    )
    .asks_kubernetes(2),
    write(
        "POST",
        "/openapi/environments/production",
        "production.environment.create",
        create::create_production,
    )
    .asks_kubernetes(2)
    .production(),
    write(
        "PUT",
        "/openapi/environments/{env}",
        "environment.edit",
        create::edit,
    ),
    write(
        "PUT",
        "/openapi/environments/production/{env}",
        "production.environment.edit",
        create::edit,
    )
    .production(),
    write(
        "DELETE",
        "/openapi/environments/{env}",
        "environment.delete",
        delete::delete,
    ),
    write(
        "DELETE",
        "/openapi/environments/production/{env}",
        "production.environment.delete",
        delete::delete_production,
    )
    .production(),
    write(
        "POST",
        "/openapi/environments/service/yaml",
        "service.add",
        services::add,
    )
    .asks_kubernetes(2),
    write(
        "POST",
        "/openapi/environments/production/service/yaml",
        "production.service.add",
        services::add,
    )
    .asks_kubernetes(2)
    .production(),
    write(
        "PUT",
        "/openapi/environments/{env}/services",
        "service.update",
        services::update,
    )
    .asks_kubernetes(2),
    write(
        "PUT",
        "/openapi/environments/production/{env}/services",
        "production.service.update",
        services::update,
    )
    .asks_kubernetes(2)
    .production(),
    write(
        "DELETE",
        "/openapi/environments/service/yaml",
        "service.delete",
        delete::services,
    ),
    write(
        "DELETE",
        "/openapi/environments/production/service/yaml",
        "production.service.delete",
        delete::services,
    )
    .production(),
    read(
        "GET",
        "/openapi/environments/{env}/variable",
        "variable.get",
        variables::get,
    ),
    read(
        "GET",
        "/openapi/environments/production/{env}/variable",
        "production.variable.get",
        variables::get,
    )
    .production(),
    write(
        "PUT",
        "/openapi/environments/{env}/variable",
        "variable.update",
        variables::put,
    ),
    write(
        "PUT",
        "/openapi/environments/production/{env}/variable",
        "production.variable.update",
        variables::put,
    )
    .production(),
    write(
        "POST",
        "/openapi/environments/{env}/envcfgs",
        "config.create",
        configs::create,
    )
    .asks_kubernetes(2),
    // The handler of the test route, so no production environment is ever found (Z§9 no. 8).
    write(
        "POST",
        "/openapi/environments/production/{env}/envcfgs",
        "production.config.create",
        configs::create,
    )
    .asks_kubernetes(2),
    read(
        "GET",
        "/openapi/environments/{env}/envcfgs",
        "config.list",
        configs::list,
    )
    .asks_kubernetes(1),
    read(
        "GET",
        "/openapi/environments/production/{env}/envcfgs",
        "production.config.list",
        configs::list,
    )
    .asks_kubernetes(1)
    .production(),
    read(
        "GET",
        "/openapi/environments/{env}/envcfg/{name}",
        "config.get",
        configs::get,
    )
    .asks_kubernetes(1),
    read(
        "GET",
        "/openapi/environments/production/{env}/envcfg/{name}",
        "production.config.get",
        configs::get,
    )
    .asks_kubernetes(1)
    .production(),
    write(
        "PUT",
        "/openapi/environments/envcfgs",
        "config.update",
        configs::update,
    )
    .asks_kubernetes(2),
    write(
        "PUT",
        "/openapi/environments/production/envcfgs",
        "production.config.update",
        configs::update,
    )
    .asks_kubernetes(2)
    .production(),
    write(
        "DELETE",
        "/openapi/environments/{env}/envcfg/{name}",
        "config.delete",
        configs::delete,
    )
    .asks_kubernetes(1),
    write(
        "DELETE",
        "/openapi/environments/production/{env}/envcfg/{name}",
        "production.config.delete",
        configs::delete,
    )
    .asks_kubernetes(1)
    .production(),
    write(
        "POST",
        "/openapi/environments/scale",
        "workload.scale",
        scale::scale,
    ),
    write(
        "POST",
        "/openapi/environments/{env}/service/{svc}/restart",
        "service.restart",
        scale::restart,
    ),
    write(
        "POST",
        "/openapi/environments/production/{env}/service/{svc}/restart",
        "production.service.restart",
        scale::restart,
    )
    .production(),
    write(
        "POST",
        "/openapi/environments/image/deployment/{any}",
        "image.deployment",
        image::deployment,
    ),
    write(
        "POST",
        "/openapi/environments/image/statefulset/{any}",
        "image.statefulset",
        image::stateful_set,
    ),
    write(
        "POST",
        "/openapi/environments/image/cronjob/{any}",
        "image.cronjob",
        image::cron_job,
    ),
    read(
        "GET",
        "/openapi/environments/kube/events",
        "events.list",
        observe::events,
    ),
    write(
        "POST",
        "/openapi/environments/helm",
        "helm.environment.create",
        helm::create,
    ),
    write(
        "POST",
        "/openapi/environments/helm/{any}/services",
        "helm.service.add",
        helm::add,
    ),
    read(
        "GET",
        "/openapi/environments/{env}/service/{svc}/pods",
        "pod.list",
        pods::list,
    )
    .asks_kubernetes(1)
    .since(Level::V43),
    read(
        "GET",
        "/openapi/environments/production/{env}/service/{svc}/pods",
        "production.pod.list",
        pods::list,
    )
    .production()
    .asks_kubernetes(1)
    .since(Level::V43),
    write(
        "POST",
        "/openapi/environments/{env}/service/{svc}/pod/{pod}/restart",
        "pod.restart",
        pods::restart,
    )
    .since(Level::V43),
    write(
        "POST",
        "/openapi/environments/production/{env}/service/{svc}/pod/{pod}/restart",
        "production.pod.restart",
        pods::restart,
    )
    .production()
    .since(Level::V43),
    write(
        "POST",
        "/api/aslan/environment/environments/{env}/sleep",
        "page.sleep",
        sleep::sleep,
    ),
    read(
        "GET",
        "/openapi/environments/{env}/check/workloads/k8services",
        "share.workloads",
        share::workloads,
    ),
    write(
        "POST",
        "/openapi/environments/{env}/share/enable",
        "share.enable",
        share::enable,
    ),
    write(
        "DELETE",
        "/openapi/environments/{env}/share/enable",
        "share.disable",
        share::disable,
    ),
    read(
        "GET",
        "/openapi/environments/{env}/check/sharenv/{op}/ready",
        "share.ready",
        share::ready,
    ),
    read(
        "GET",
        "/openapi/environments/{env}/share/portal/{svc}",
        "share.portal.get",
        share::portal,
    ),
    write(
        "POST",
        "/openapi/environments/{env}/share/portal/{svc}",
        "share.portal.set",
        share::set_portal,
    ),
    read(
        "GET",
        "/openapi/logs/sse/pods/{pod}/containers/{container}",
        "pod.log",
        logs::stream,
    ),
    read(
        "GET",
        "/openapi/projects/project",
        "project.list",
        neighbours::projects,
    ),
    read(
        "GET",
        "/openapi/projects/project/detail",
        "project.get",
        neighbours::project,
    ),
    read(
        "GET",
        "/openapi/projects/project/globalVariable",
        "project.variables",
        neighbours::project_variables,
    ),
    read(
        "GET",
        "/openapi/system/cluster",
        "cluster.list",
        neighbours::clusters,
    ),
    read(
        "GET",
        "/openapi/cluster/istio/check/{cluster}",
        "cluster.mesh",
        share::mesh,
    ),
    read(
        "GET",
        "/openapi/system/registry",
        "registry.list",
        neighbours::registries,
    ),
    read(
        "GET",
        "/openapi/service/yaml/services",
        "template.list",
        neighbours::templates,
    ),
    read(
        "GET",
        "/openapi/service/yaml/production/services",
        "production.template.list",
        neighbours::templates,
    )
    .production(),
    read(
        "GET",
        "/openapi/service/yaml/{svc}",
        "template.get",
        neighbours::template,
    ),
    read(
        "GET",
        "/openapi/service/yaml/production/{svc}",
        "production.template.get",
        neighbours::template,
    )
    .production(),
    write(
        "POST",
        "/openapi/service/yaml/raw",
        "template.create",
        neighbours::create_template,
    ),
    write(
        "POST",
        "/openapi/service/yaml/production/raw",
        "production.template.create",
        neighbours::create_template,
    )
    .production(),
    write(
        "PUT",
        "/openapi/service/yaml/{svc}",
        "template.update",
        neighbours::update_template,
    ),
    write(
        "PUT",
        "/openapi/service/yaml/production/{svc}",
        "production.template.update",
        neighbours::update_template,
    )
    .production(),
    write(
        "PUT",
        "/openapi/service/yaml/{svc}/variable",
        "template.variables",
        neighbours::update_template_variables,
    ),
    write(
        "PUT",
        "/openapi/service/yaml/production/{svc}/variable",
        "production.template.variables",
        neighbours::update_template_variables,
    )
    .production(),
    write(
        "DELETE",
        "/openapi/service/yaml/{svc}",
        "template.delete",
        neighbours::delete_template,
    ),
    // The production route takes the test template away (Z§15).
    write(
        "DELETE",
        "/openapi/service/yaml/production/{svc}",
        "production.template.delete",
        neighbours::delete_template,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> String {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match find(Level::V42, &method, path) {
            Matched::Route(route, params) => format!("{} {}", route.name, params.join(",")),
            Matched::Redirect(path) => format!("redirect {path}"),
            Matched::WrongMethod => "405".to_owned(),
            Matched::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn static_segments_win_over_named_ones() {
        let found = [
            name("GET", "/openapi/environments/production"),
            name("GET", "/openapi/environments/production/services/yaml"),
            name("GET", "/openapi/environments/services/yaml"),
            name("GET", "/openapi/environments/service/yaml"),
            name("GET", "/openapi/environments/"),
            name("PATCH", "/openapi/environments"),
            name("POST", "/openapi/environments/image/daemonset/g1"),
            name("GET", "/openapi/environments/dev/service/web/pods"),
        ];
        assert_eq!(
            found,
            [
                "production.environment.list ",
                "service.get production,yaml",
                "404",
                "service.yaml ",
                "redirect /openapi/environments",
                "405",
                "404",
                "404",
            ]
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ROUTES.iter().map(|route| route.name).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
