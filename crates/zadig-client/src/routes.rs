//! The tables of routes: what can be called, and nothing else.
//!
//! Every request is built from a row of these tables, and `examples/routes.rs` prints them. The
//! numbers, verbs and paths are those of Z§3, Z§12 and Z§15; where Zadig's own documentation says
//! otherwise (Z§13), it is wrong.

use std::fmt;

use crate::scope::Scope;

/// An HTTP verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

impl Verb {
    /// The verb as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Verb> for http::Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Delete => Self::DELETE,
        }
    }
}

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It only reads, so it may be repeated.
    Read,
    /// It changes something, so it is sent once.
    Write,
}

/// How long a call may take (Z§8, last but four).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutClass {
    /// Reads that touch Zadig's database alone.
    List,
    /// Reads that touch a cluster.
    Detail,
    /// Writes whose long part runs after the answer.
    Write,
    /// Writes that wait for the cluster before they answer.
    Slow,
    /// Streams, which never end by themselves; the caller sets the deadline.
    Stream,
}

/// One row: a route of Zadig and what the client must know of it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The number in Z§3; 0 for the routes of the other tables.
    pub number: u8,
    /// The verb.
    pub verb: Verb,
    /// The path with `{placeholders}`, without query.
    pub path: &'static str,
    /// The name of the method of [`Client`](crate::Client), the same for both scopes.
    pub operation: &'static str,
    /// The scope of the route; `None` where it has no variants.
    pub scope: Option<Scope>,
    /// Whether it changes anything.
    pub effect: Effect,
    /// How long it may take.
    pub timeout: TimeoutClass,
    /// Whether an answer may hold Secrets, so that no part of it may appear in an error.
    pub confidential: bool,
    /// Whether Zadig holds the project's lock during the call, so that a second one waits (Z§7.1).
    pub locks_project: bool,
}

impl Route {
    const fn new(number: u8, verb: Verb, path: &'static str, operation: &'static str) -> Self {
        let (effect, timeout) = match verb {
            Verb::Get => (Effect::Read, TimeoutClass::Detail),
            Verb::Post | Verb::Put | Verb::Delete => (Effect::Write, TimeoutClass::Write),
        };
        Self {
            number,
            verb,
            path,
            operation,
            scope: None,
            effect,
            timeout,
            confidential: false,
            locks_project: false,
        }
    }

    const fn test(self) -> Self {
        Self {
            scope: Some(Scope::Test),
            ..self
        }
    }

    const fn production(self) -> Self {
        Self {
            scope: Some(Scope::Production),
            ..self
        }
    }

    const fn takes(self, timeout: TimeoutClass) -> Self {
        Self { timeout, ..self }
    }

    const fn locks_project(self) -> Self {
        Self {
            locks_project: true,
            ..self
        }
    }

    const fn confidential(self) -> Self {
        Self {
            confidential: true,
            ..self
        }
    }
}

use TimeoutClass::{List, Slow, Stream};
use Verb::{Delete, Get, Post, Put};

/// The 52 environment routes, in the order of Z§3.
#[rustfmt::skip] // A table is read by its columns.
pub const ROUTES: &[Route; 52] = &[
    Route::new(1, Get, "/openapi/environments", "list_environments").test().takes(List),
    Route::new(2, Get, "/openapi/environments/production", "list_environments").production().takes(List),
    Route::new(3, Get, "/openapi/environments/{env}", "environment").test().confidential(),
    Route::new(4, Get, "/openapi/environments/production/{env}", "environment").production().confidential(),
    Route::new(5, Get, "/openapi/environments/{env}/services/{svc}", "service").test(),
    Route::new(6, Get, "/openapi/environments/production/{env}/services/{svc}", "service").production(),
    Route::new(7, Get, "/openapi/environments/service/yaml", "service_yaml").test().confidential(),
    Route::new(8, Get, "/openapi/environments/production/service/yaml", "service_yaml").production().confidential(),
    Route::new(9, Get, "/openapi/environments/service/values", "helm_values").test().confidential(),
    Route::new(10, Get, "/openapi/environments/production/service/values", "helm_values").production().confidential(),
    Route::new(11, Post, "/openapi/environments", "create_environment").test(),
    Route::new(12, Post, "/openapi/environments/production", "create_environment").production(),
    Route::new(13, Put, "/openapi/environments/{env}", "edit_environment").test(),
    Route::new(14, Put, "/openapi/environments/production/{env}", "edit_environment").production(),
    Route::new(15, Delete, "/openapi/environments/{env}", "delete_environment").test(),
    Route::new(16, Delete, "/openapi/environments/production/{env}", "delete_environment").production(),
    Route::new(17, Post, "/openapi/environments/service/yaml", "add_services").test().locks_project(),
    Route::new(18, Post, "/openapi/environments/production/service/yaml", "add_services").production().locks_project(),
    Route::new(19, Put, "/openapi/environments/{env}/services", "update_services").test().locks_project(),
    Route::new(20, Put, "/openapi/environments/production/{env}/services", "update_services").production().locks_project(),
    Route::new(21, Delete, "/openapi/environments/service/yaml", "delete_services").test().takes(Slow),
    Route::new(22, Delete, "/openapi/environments/production/service/yaml", "delete_services").production().takes(Slow),
    Route::new(23, Get, "/openapi/environments/{env}/variable", "global_variables").test().confidential(),
    Route::new(24, Get, "/openapi/environments/production/{env}/variable", "global_variables").production().confidential(),
    Route::new(25, Put, "/openapi/environments/{env}/variable", "put_global_variables").test(),
    Route::new(26, Put, "/openapi/environments/production/{env}/variable", "put_global_variables").production(),
    Route::new(27, Post, "/openapi/environments/{env}/envcfgs", "create_env_config").test(),
    Route::new(28, Post, "/openapi/environments/production/{env}/envcfgs", "create_env_config").production(),
    Route::new(29, Get, "/openapi/environments/{env}/envcfgs", "env_configs").test(),
    Route::new(30, Get, "/openapi/environments/production/{env}/envcfgs", "env_configs").production(),
    Route::new(31, Get, "/openapi/environments/{env}/envcfg/{name}", "env_config").test().confidential(),
    Route::new(32, Get, "/openapi/environments/production/{env}/envcfg/{name}", "env_config").production().confidential(),
    Route::new(33, Put, "/openapi/environments/envcfgs", "update_env_config").test(),
    Route::new(34, Put, "/openapi/environments/production/envcfgs", "update_env_config").production(),
    Route::new(35, Delete, "/openapi/environments/{env}/envcfg/{name}", "delete_env_config").test(),
    Route::new(36, Delete, "/openapi/environments/production/{env}/envcfg/{name}", "delete_env_config").production(),
    Route::new(37, Post, "/openapi/environments/scale", "scale").locks_project(),
    Route::new(38, Post, "/openapi/environments/{env}/service/{svc}/restart", "restart_service").test(),
    Route::new(39, Post, "/openapi/environments/production/{env}/service/{svc}/restart", "restart_service").production(),
    Route::new(40, Post, "/openapi/environments/image/deployment/{any}", "update_image"),
    Route::new(41, Post, "/openapi/environments/image/statefulset/{any}", "update_image"),
    Route::new(42, Post, "/openapi/environments/image/cronjob/{any}", "update_image"),
    Route::new(43, Get, "/openapi/environments/kube/events", "events"),
    Route::new(44, Get, "/openapi/environments/{env}/check/workloads/k8services", "workloads_without_service"),
    Route::new(45, Post, "/openapi/environments/{env}/share/enable", "enable_sharing").takes(Slow),
    Route::new(46, Delete, "/openapi/environments/{env}/share/enable", "disable_sharing").takes(Slow),
    Route::new(47, Get, "/openapi/environments/{env}/check/sharenv/{op}/ready", "sharing_ready"),
    Route::new(48, Get, "/openapi/environments/{env}/share/portal/{svc}", "portal"),
    Route::new(49, Post, "/openapi/environments/{env}/share/portal/{svc}", "set_portal").takes(Slow),
    Route::new(50, Get, "/openapi/logs/sse/pods/{pod}/containers/{container}", "pod_log").takes(Stream).confidential(),
    Route::new(51, Post, "/openapi/environments/helm", "create_helm_environment"),
    Route::new(52, Post, "/openapi/environments/helm/{any}/services", "apply_helm_services").locks_project(),
];

/// Neighbouring routes that look up what an environment refers to (Z§15).
#[rustfmt::skip]
pub const CATALOGUE_ROUTES: &[Route; 11] = &[
    Route::new(0, Get, "/openapi/projects/project", "projects").takes(List),
    Route::new(0, Get, "/openapi/projects/project/detail", "project").takes(List),
    Route::new(0, Get, "/openapi/projects/project/globalVariable", "declared_variables").takes(List).confidential(),
    Route::new(0, Get, "/openapi/system/cluster", "clusters").takes(List),
    Route::new(0, Get, "/openapi/system/registry", "registries").takes(List),
    Route::new(0, Get, "/openapi/cluster/istio/check/{cluster}", "istio_installed"),
    Route::new(0, Get, "/openapi/service/yaml/services", "service_templates").test().takes(List),
    Route::new(0, Get, "/openapi/service/yaml/production/services", "service_templates").production().takes(List),
    Route::new(0, Get, "/openapi/service/yaml/{svc}", "service_template").test().takes(List).confidential(),
    Route::new(0, Get, "/openapi/service/yaml/production/{svc}", "service_template").production().takes(List).confidential(),
    Route::new(0, Get, "/openapi/system/operation/env", "operation_log").takes(List).confidential(),
];

/// Routes that exist from Zadig 4.3 on (Z§12); on 4.2 they are unknown paths.
#[rustfmt::skip]
pub const POD_ROUTES: &[Route; 4] = &[
    Route::new(0, Get, "/openapi/environments/{env}/service/{svc}/pods", "service_pods").test(),
    Route::new(0, Get, "/openapi/environments/production/{env}/service/{svc}/pods", "service_pods").production(),
    Route::new(0, Post, "/openapi/environments/{env}/service/{svc}/pod/{pod}/restart", "restart_pod").test(),
    Route::new(0, Post, "/openapi/environments/production/{env}/service/{svc}/pod/{pod}/restart", "restart_pod").production(),
];

/// All rows of all tables, the numbered ones first.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(CATALOGUE_ROUTES).chain(POD_ROUTES)
}

// `scope::row` finds a route by its number.
const _: () = {
    let mut index = 0;
    while index < ROUTES.len() {
        assert!(ROUTES[index].number as usize == index + 1);
        index += 1;
    }
};
