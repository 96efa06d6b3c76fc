//! Which environment and which objects a request is about.
//!
//! A timeline does not say what was polled; it was what the calls before it were about. Paths and fields as in Z§3 and Z§4.

use serde_json::Value;

use super::model::Exchange;

/// What a request, and the polling after it, is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) project: String,
    pub(crate) env: String,
    /// The workload or service, by name; both mostly have the same.
    pub(crate) workload: Option<String>,
    /// The configuration object.
    pub(crate) config: Option<String>,
}

impl Focus {
    /// The focus of a request; `None` if it is about no environment.
    pub(crate) fn of(exchange: &Exchange) -> Option<Self> {
        let project = ["projectKey", "projectName"]
            .iter()
            .find_map(|key| exchange.query(key))
            .or_else(|| {
                ["project_key", "product_name"]
                    .iter()
                    .find_map(|key| exchange.body(key))
            });
        let env = environment(exchange)?;
        Some(Self {
            project: project.unwrap_or_default().to_owned(),
            env,
            workload: workload(exchange),
            config: exchange
                .path
                .ends_with("/envcfgs")
                .then(|| exchange.body("name").map(str::to_owned))
                .flatten(),
        })
    }
}

/// Words in the place of an environment's name that are none (Z§1.4).
const STATIC: [&str; 8] = [
    "service",
    "services",
    "envcfgs",
    "kube",
    "image",
    "scale",
    "helm",
    "production",
];

fn environment(exchange: &Exchange) -> Option<String> {
    let path: Vec<&str> = exchange.path.trim_matches('/').split('/').collect();
    let (["openapi", "environments", "production" | "helm", rest @ ..]
    | ["openapi", "environments", rest @ ..]
    | ["api", "aslan", "environment", "environments", rest @ ..]) = path.as_slice()
    else {
        return None;
    };
    let in_body = || {
        ["env_key", "env_name"]
            .iter()
            .find_map(|key| exchange.body(key))
    };
    // The Helm and image routes do not read the name in the path (Z§4.17, Z§4.21).
    let is_helm = path.get(2) == Some(&"helm");
    let named = match rest.first() {
        Some(segment) if !is_helm && !STATIC.contains(segment) => Some(*segment),
        _ => in_body().or_else(|| exchange.query("envName")),
    };
    named.filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Whether the call deletes an environment, not something in it.
pub(crate) fn deletes_environment(exchange: &Exchange) -> bool {
    let path: Vec<&str> = exchange.path.trim_matches('/').split('/').collect();
    exchange.method == "DELETE"
        && matches!(
            path.as_slice(),
            ["openapi", "environments", _] | ["openapi", "environments", "production", _]
        )
}

fn workload(exchange: &Exchange) -> Option<String> {
    if let Some((_, rest)) = exchange.path.split_once("/service/")
        && let Some(service) = rest.strip_suffix("/restart")
    {
        return Some(service.to_owned());
    }
    let body = &exchange.request_body;
    let first = |list: &str| {
        body.get(list)
            .and_then(Value::as_array)
            .and_then(|items| items.first())
    };
    let named = |item: &Value| {
        item.get("service_name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if exchange.path.contains("/image/") {
        return exchange.body("name").map(str::to_owned);
    }
    exchange
        .body("workload_name")
        .map(str::to_owned)
        .or_else(|| first("service_list").and_then(named))
        .or_else(|| first("services").and_then(named))
        .or_else(|| {
            first("service_names")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
}

/// The namespace of each environment that was ever asked for, the one that was last about something last; it stays known when the
/// environment is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces(Vec<Place>);

#[derive(Debug, Clone)]
struct Place {
    project: String,
    env: String,
    namespace: String,
}

impl Namespaces {
    /// Remembers what a creation asks for, and which environment a change was about.
    pub(crate) fn learn(&mut self, exchange: &Exchange) {
        let Some(focus) = Focus::of(exchange) else {
            return;
        };
        if exchange.method == "POST"
            && let Some(namespace) = exchange.body("namespace")
        {
            self.insert(&focus.project, &focus.env, namespace);
        } else if exchange.is_mutation()
            && let Some(at) = self.find(&focus.project, &focus.env)
        {
            let place = self.0.remove(at);
            if deletes_environment(exchange) {
                self.0.insert(0, place);
            } else {
                self.0.push(place);
            }
        }
    }

    pub(crate) fn insert(&mut self, project: &str, env: &str, namespace: &str) {
        if let Some(at) = self.find(project, env) {
            self.0.remove(at);
        }
        self.0.push(Place {
            project: project.to_owned(),
            env: env.to_owned(),
            namespace: namespace.to_owned(),
        });
    }

    pub(crate) fn of(&self, project: &str, env: &str) -> Option<&str> {
        let at = self.find(project, env)?;
        Some(&self.0[at].namespace)
    }

    /// The environment of this namespace that was about something last.
    pub(crate) fn environment_in(&self, namespace: &str) -> Option<(&str, &str)> {
        let mut places = self.0.iter().rev();
        let place = places.find(|place| place.namespace == namespace)?;
        Some((&place.project, &place.env))
    }

    fn find(&self, project: &str, env: &str) -> Option<usize> {
        let mut places = self.0.iter();
        places.position(|place| place.project == project && place.env == env)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(method: &str, path: &str, body: &Value) -> Exchange {
        serde_json::from_value(json!({
            "name": "r", "method": method, "path": path, "query": {"projectKey": "p"}, "status": 200,
            "request_body": body, "ts": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }

    fn env(method: &str, path: &str, body: &Value) -> Option<String> {
        Focus::of(&request(method, path, body)).map(|focus| focus.env)
    }

    #[test]
    fn the_environment_is_found_in_path_or_body() {
        let cases = [
            env(
                "PUT",
                "/openapi/environments/dev",
                &json!({"env_name": "an alias"}),
            ),
            env("POST", "/openapi/environments", &json!({"env_key": "dev"})),
            env(
                "POST",
                "/openapi/environments/production",
                &json!({"env_key": "dev", "env_name": "alias"}),
            ),
            env(
                "DELETE",
                "/openapi/environments/production/dev",
                &Value::Null,
            ),
            env(
                "POST",
                "/openapi/environments/helm",
                &json!({"env_name": "dev"}),
            ),
            env(
                "POST",
                "/openapi/environments/helm/other/services",
                &json!({"env_name": "dev"}),
            ),
            env(
                "POST",
                "/openapi/environments/image/deployment/other",
                &json!({"env_name": "dev"}),
            ),
            env(
                "POST",
                "/openapi/environments/service/yaml",
                &json!({"env_key": "dev"}),
            ),
            env(
                "POST",
                "/api/aslan/environment/environments/dev/sleep",
                &Value::Null,
            ),
        ];
        assert_eq!(
            cases,
            [const { "dev" }; 9].map(|name| Some(name.to_owned()))
        );
    }

    #[test]
    fn a_list_and_another_route_are_about_no_environment() {
        assert_eq!(env("GET", "/openapi/environments", &Value::Null), None);
        assert_eq!(env("GET", "/openapi/service/yaml/web", &Value::Null), None);
    }

    #[test]
    fn the_workload_is_the_one_named_first() {
        let focus = Focus::of(&request(
            "PUT",
            "/openapi/environments/dev/services",
            &json!({"service_list": [{"service_name": "web"}, {"service_name": "db"}]}),
        ));
        assert_eq!(focus.and_then(|it| it.workload), Some("web".to_owned()));
        let focus = Focus::of(&request(
            "POST",
            "/openapi/environments/dev/service/api/restart",
            &Value::Null,
        ));
        assert_eq!(focus.and_then(|it| it.workload), Some("api".to_owned()));
    }

    #[test]
    fn a_namespace_stays_known() {
        let mut namespaces = Namespaces::default();
        namespaces.learn(&request(
            "POST",
            "/openapi/environments",
            &json!({"env_key": "dev", "namespace": "ns"}),
        ));
        assert_eq!(namespaces.of("p", "dev"), Some("ns"));
        assert_eq!(namespaces.environment_in("ns"), Some(("p", "dev")));
    }

    #[test]
    fn of_two_environments_in_a_namespace_the_one_that_is_still_used_counts() {
        let mut namespaces = Namespaces::default();
        for env in ["zz", "aa"] {
            namespaces.learn(&request(
                "POST",
                "/openapi/environments",
                &json!({"env_key": env, "namespace": "ns"}),
            ));
        }
        assert_eq!(namespaces.environment_in("ns"), Some(("p", "aa")));
        namespaces.learn(&request("DELETE", "/openapi/environments/aa", &Value::Null));
        assert_eq!(namespaces.environment_in("ns"), Some(("p", "zz")));
    }
}
