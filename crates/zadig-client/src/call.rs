//! One request, built from a row of the route table.
//!
//! Names are checked here, before anything is sent: Zadig takes an empty name for "any" and changes
//! the first environment it finds (Z§2.2, 8), and a name that is a fixed part of another route calls
//! that route instead (Z§1.4).

use bytes::Bytes;
use serde::Serialize;
use url::Url;

use crate::error::{Error, Kind};
use crate::routes::Route;

/// Words that Zadig's router takes for a part of a path where an environment key stands (Z§1.4).
const RESERVED_ENV_KEYS: &[&str] = &[
    "production",
    "variable",
    "services",
    "envcfgs",
    "envcfg",
    "service",
    "helm",
    "kube",
    "image",
    "scale",
];

/// A request that is being put together. The first wrong argument is kept and told when it is sent.
pub(crate) struct Call {
    pub(crate) route: &'static Route,
    pub(crate) body: Option<Bytes>,
    /// The project that the call is about, where it is known.
    pub(crate) project: Option<String>,
    segments: Vec<(&'static str, String)>,
    query: Vec<(&'static str, String)>,
    wrong: Option<String>,
}

impl Call {
    pub(crate) fn new(route: &'static Route) -> Self {
        Self {
            route,
            body: None,
            project: None,
            segments: vec![],
            query: vec![],
            wrong: None,
        }
    }

    /// Fills the placeholder `{name}` of the path.
    pub(crate) fn segment(self, name: &'static str, value: &str) -> Self {
        let mut call = self.named(name, value);
        // A dot segment would be resolved away and shorten the path.
        if matches!(value, "." | "..") {
            call = call.refuse(format!("{name} must not be {value:?}"));
        }
        call.segments.push((name, value.to_owned()));
        call
    }

    /// Fills `{env}`, which must not collide with another route.
    pub(crate) fn env(self, value: &str) -> Self {
        let call = self.segment("env", value);
        if RESERVED_ENV_KEYS.contains(&value) {
            return call.refuse(format!(
                "{value:?} is reserved and cannot be an environment key"
            ));
        }
        call
    }

    /// Adds `projectKey`, the parameter of nearly every route. Never `projectName`: a middleware
    /// reacts to that (Z§1.4).
    pub(crate) fn project(self, value: &str) -> Self {
        self.required("projectKey", value).about(value)
    }

    /// Tells the project that a call is about which names it in its body alone.
    pub(crate) fn about(mut self, project: &str) -> Self {
        self.project = Some(project.to_owned());
        self
    }

    /// Adds a parameter that must not be empty.
    pub(crate) fn required(self, name: &'static str, value: &str) -> Self {
        self.named(name, value).optional(name, Some(value))
    }

    /// Adds a parameter if there is one.
    pub(crate) fn optional(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query
            .extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// Requires that something which goes into the body is not empty.
    pub(crate) fn named(self, what: &str, value: &str) -> Self {
        self.require(!value.trim().is_empty(), || format!("{what} is empty"))
    }

    /// Requires that something holds.
    pub(crate) fn require(self, holds: bool, what: impl FnOnce() -> String) -> Self {
        if holds { self } else { self.refuse(what()) }
    }

    fn refuse(mut self, what: String) -> Self {
        self.wrong.get_or_insert(what);
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(text) => {
                self.body = Some(text.into());
                self
            }
            Err(_) => self.refuse("the body cannot be written as json".to_owned()),
        }
    }

    /// The URL to call beneath `base`.
    ///
    /// # Errors
    ///
    /// The first wrong argument, or a placeholder that nothing fills.
    pub(crate) fn url(&self, base: &Url) -> Result<Url, Error> {
        let invalid = |what| Error::new(self.route, self.route.path, Kind::Invalid(what));
        if let Some(wrong) = &self.wrong {
            return Err(invalid(wrong.clone()));
        }
        let mut url = base.clone();
        {
            let mut path = url
                .path_segments_mut()
                .map_err(|()| invalid("the url of zadig has no path".to_owned()))?;
            path.pop_if_empty();
            for part in self.route.path.split('/').skip(1) {
                let name = part
                    .strip_prefix('{')
                    .and_then(|part| part.strip_suffix('}'));
                let Some(name) = name else {
                    path.push(part);
                    continue;
                };
                let filled = self.segments.iter().find(|(key, _)| *key == name);
                let (_, value) = filled.ok_or_else(|| invalid(format!("{name} is not given")))?;
                path.push(value);
            }
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::row;

    fn base(url: &str) -> Url {
        url.parse().unwrap()
    }

    #[test]
    fn names_are_percent_encoded_beneath_the_base_path() {
        let call = Call::new(row(5))
            .env("a/b%2F?#")
            .segment("svc", "ü x")
            .project("s&p=1");
        for (root, prefix) in [
            ("https://h", ""),
            ("https://h/zadig", "/zadig"),
            ("https://h/z/", "/z"),
        ] {
            assert_eq!(
                call.url(&base(root)).unwrap().as_str(),
                format!(
                    "https://h{prefix}/openapi/environments/a%2Fb%252F%3F%23/services/%C3%BC%20x?projectKey=s%26p%3D1"
                )
            );
        }
    }

    #[test]
    fn empty_dotted_and_reserved_names_are_refused_before_anything_is_sent() {
        let wrong = [
            Call::new(row(3)).env("").project("shop"),
            Call::new(row(3)).env(" ").project("shop"),
            Call::new(row(3)).env("..").project("shop"),
            Call::new(row(3)).env("production").project("shop"),
            Call::new(row(3)).env("dev").project(""),
            Call::new(row(5)).env("dev").project("shop"),
        ];
        let told: Vec<_> = wrong
            .iter()
            .map(|call| call.url(&base("http://h")).unwrap_err().kind().to_string())
            .collect();
        assert_eq!(
            told,
            [
                "not sent, as env is empty",
                "not sent, as env is empty",
                "not sent, as env must not be \"..\"",
                "not sent, as \"production\" is reserved and cannot be an environment key",
                "not sent, as projectKey is empty",
                "not sent, as svc is not given",
            ]
        );
    }
}
