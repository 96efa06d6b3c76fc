//! Which environment a request is about, for the journal alone: handlers find theirs by their own rules.

use serde::Deserialize;

use crate::world::Key;

/// The fields of any body that name a project and an environment.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    project_key: String,
    product_name: String,
    env_key: String,
    env_name: String,
}

/// Project and key of the environment that a request names: in the path, else in the query, else in the body.
pub(crate) fn named(
    pattern: &str,
    params: &[String],
    query: &[(String, String)],
    body: &str,
) -> Option<Key> {
    let body: Named = serde_json::from_str(body).unwrap_or_default();
    let asked = |name: &str| {
        let found = query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let segments = pattern
        .split('/')
        .filter(|segment| segment.starts_with('{'));
    let in_path = segments
        .zip(params)
        .find(|(segment, _)| *segment == "{env}")
        .map_or("", |(_, value)| value.as_str());
    let first = |names: &[&str]| {
        let named = names.iter().find(|name| !name.is_empty());
        named.map(|name| (*name).to_owned())
    };
    let project = first(&[asked("projectKey"), &body.project_key, &body.product_name])?;
    let env = first(&[in_path, asked("envName"), &body.env_key, &body.env_name])?;
    Some((project, env))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_found_where_each_route_has_it() {
        let query = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        let project = query(&[("projectKey", "shop")]);
        let found = [
            named(
                "/openapi/environments/{env}",
                &["dev".to_owned()],
                &project,
                "",
            ),
            named(
                "/openapi/environments/service/yaml",
                &[],
                &query(&[("projectKey", "shop"), ("envName", "dev")]),
                "",
            ),
            named(
                "/openapi/environments",
                &[],
                &project,
                r#"{"env_key": "dev"}"#,
            ),
            named(
                "/openapi/environments/image/deployment/{any}",
                &["x".to_owned()],
                &[],
                r#"{"product_name": "shop", "env_name": "dev"}"#,
            ),
        ];
        let dev = Some(("shop".to_owned(), "dev".to_owned()));
        assert_eq!(found, [dev.clone(), dev.clone(), dev.clone(), dev]);
        assert_eq!(named("/openapi/environments", &[], &project, ""), None);
    }
}
