//! Which field or command uses each of Zadig's environment routes, and which test proves it: `tests/coverage.yaml`, and
//! `docs/coverage.md` for people, which is made from it.
//!
//! The routes themselves are read from the client's table. The scenarios hold the file to what the operator really calls.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// Path of the table of routes within the workspace.
const ROUTES: &str = "crates/zadig-client/src/routes.rs";
/// Path of what is written about each.
const USES: &str = "tests/coverage.yaml";
/// Path of the document within the workspace.
pub const DOCUMENT: &str = "docs/coverage.md";

/// A row of the client's table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Number in Z§3.
    pub number: u8,
    /// HTTP verb, in capitals.
    pub verb: String,
    /// Path with `{placeholders}`.
    pub path: String,
    /// Name of the client's method.
    pub operation: String,
}

/// What is written about one route.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Number in Z§3.
    pub route: u8,
    /// The field or command that uses it.
    #[serde(default)]
    pub used: Option<String>,
    /// The scenario that proves it: `module::name` of `tests/cluster`, or of `tests/process` with that in front.
    #[serde(default)]
    pub test: Option<String>,
    /// Why nothing uses it.
    #[serde(default)]
    pub unused: Option<String>,
}

/// The routes, each with what is written about it.
#[derive(Clone, Debug)]
pub struct Coverage(pub Vec<(Route, Use)>);

impl Coverage {
    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read or understood, or when a route has no entry, two, or one that says nothing.
    pub fn load() -> Result<Self> {
        let read = |path: &str| {
            let path = paths::workspace().join(path);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let routes = routes(&read(ROUTES)?);
        let uses: Vec<Use> = serde_saphyr::from_str(&read(USES)?)
            .with_context(|| format!("{USES} is not understood"))?;
        Self::join(routes, &uses)
    }

    fn join(routes: Vec<Route>, uses: &[Use]) -> Result<Self> {
        let mut joined = Vec::new();
        for route in routes {
            let mut entries = uses.iter().filter(|entry| entry.route == route.number);
            let (Some(entry), None) = (entries.next(), entries.next()) else {
                bail!("{USES} needs one entry for route {}", route.number);
            };
            match entry {
                Use {
                    used: Some(_),
                    test: Some(_),
                    unused: None,
                    ..
                }
                | Use {
                    used: None,
                    test: None,
                    unused: Some(_),
                    ..
                } => joined.push((route, entry.clone())),
                _ => bail!(
                    "{USES}, route {}: say `used` and `test`, or why it is `unused`",
                    route.number
                ),
            }
        }
        Ok(Self(joined))
    }

    /// The route that a call goes to: where several fit, the one that names most of the path.
    #[must_use]
    pub fn find(&self, verb: &str, path: &str) -> Option<&(Route, Use)> {
        let fits = |route: &Route| {
            let (wanted, found) = (route.path.split('/'), path.split('/'));
            wanted.clone().count() == found.clone().count()
                && wanted
                    .zip(found)
                    .all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
        };
        let candidates = self
            .0
            .iter()
            .filter(|(route, _)| route.verb == verb && fits(route));
        candidates.min_by_key(|(route, _)| route.path.matches('{').count())
    }

    /// The document for people.
    #[must_use]
    pub fn document(&self) -> String {
        let used = self
            .0
            .iter()
            .filter(|(_, entry)| entry.used.is_some())
            .count();
        let mut document = format!(
            "<!-- Made by `cargo xtask generate` from {USES}; do not edit. -->\n\n# Coverage of Zadig's environment OpenAPI\n\n\
             Each of the {} routes (Z§3), the field or command that uses it, and the scenario that fails when it is not called: at its \
             end every scenario compares this table with the calls of the operator. {used} are used.\n\n\
             | # | route | used by | proven by |\n|---|---|---|---|\n",
            self.0.len()
        );
        for (route, entry) in &self.0 {
            let Route {
                number, verb, path, ..
            } = route;
            let (by, proof) = match (&entry.used, &entry.test, &entry.unused) {
                (Some(used), Some(name), _) => (used.clone(), format!("`{name}`")),
                (_, _, unused) => (
                    format!("nothing: {}", unused.as_deref().unwrap_or_default()),
                    String::new(),
                ),
            };
            document.push_str(&format!(
                "| {number} | `{verb} {path}` | {by} | {proof} |\n"
            ));
        }
        document
    }
}

/// The numbered rows of the client's table: one for each line `Route::new(1, Get, "/path", "method")…`.
#[must_use]
pub fn routes(source: &str) -> Vec<Route> {
    let rows = source.lines().filter_map(|line| {
        let row = line.trim().strip_prefix("Route::new(")?;
        let mut quoted = row.split('"').skip(1).step_by(2);
        let mut words = row.split(',').map(str::trim);
        let number = words.next()?.parse().ok()?;
        Some(Route {
            number,
            verb: words.next()?.to_uppercase(),
            path: quoted.next()?.to_owned(),
            operation: quoted.next()?.to_owned(),
        })
    });
    rows.filter(|route| route.number > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        Route::new(1, Get, "/openapi/environments", "list_environments").test().takes(List),
        Route::new(2, Get, "/openapi/environments/{env}", "environment").test(),
        Route::new(3, Get, "/openapi/environments/production", "list_environments").production(),
        Route::new(0, Get, "/openapi/projects/project", "projects").takes(List),
    "#;

    fn entry(route: u8) -> Use {
        Use {
            route,
            used: None,
            test: None,
            unused: Some("nobody needs it".to_owned()),
        }
    }

    #[test]
    fn a_call_goes_to_the_route_that_names_most_of_its_path() {
        let uses = [entry(1), entry(2), entry(3)];
        let coverage = Coverage::join(routes(TABLE), &uses).unwrap();
        let number = |path: &str| coverage.find("GET", path).map(|(route, _)| route.number);
        assert_eq!(number("/openapi/environments"), Some(1));
        assert_eq!(number("/openapi/environments/dev"), Some(2));
        assert_eq!(number("/openapi/environments/production"), Some(3));
        assert_eq!(number("/openapi/projects/project"), None);
        assert!(coverage.find("POST", "/openapi/environments").is_none());
    }

    #[test]
    fn every_route_needs_one_entry_that_says_something() {
        assert!(Coverage::join(routes(TABLE), &[entry(1), entry(2)]).is_err());
        assert!(Coverage::join(routes(TABLE), &[entry(1), entry(2), entry(3), entry(3)]).is_err());
        let silent = Use {
            unused: None,
            ..entry(3)
        };
        assert!(Coverage::join(routes(TABLE), &[entry(1), entry(2), silent]).is_err());
    }
}
