//! The wire: what a route is, and the rules by which a path finds one; all of them are in `table`.
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
mod table;
mod variables;

use http::Method;

use self::table::ROUTES;
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
