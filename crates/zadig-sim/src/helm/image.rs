//! Images of Helm services: where a chart's values name them, and which of them a deployment uses (Z§4.21).
//!
//! Zadig knows of each container the paths in the values that make up its image. When it deploys, it puts the image that it has
//! recorded over the sent values unless they name an image of the same name, so a tag alone changes nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Overrides, set};
use crate::render::{Container, image_name};
use crate::variables::go_print;
use crate::yaml;

/// Paths in the values by the part of an image that stands there: `repo`, `namespace`, `image`, `tag`.
pub(crate) type ImagePath = BTreeMap<String, String>;

/// What Zadig knows of a container's image besides the image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChartImage {
    /// The image's name in the template revision; another image does not change it.
    pub(crate) name: String,
    pub(crate) path: ImagePath,
}

/// The values that a release is deployed with besides the chart's own. The containers become those it will run.
///
/// `images` come from an image call; each is used for the containers with an image of its name (Z§4.17).
pub(crate) fn deployed_values(
    overrides: &mut Overrides,
    containers: &mut [Container],
    images: &[&str],
) -> Result<Value, String> {
    let mut values = values_of(&overrides.yaml)?;
    let mut touched = false;
    for container in containers.iter_mut() {
        let Some(ChartImage { name, path }) = &container.chart else {
            return Err(format!(
                "failed to parse image for container:{}",
                container.image
            ));
        };
        let called = images.iter().find(|image| image_name(image) == *name);
        let named = image_name(&image_at(path, &values)?) == *name;
        if named && called.is_none() {
            continue;
        }
        if let Some(image) = called {
            (*image).clone_into(&mut container.image);
        }
        for (key, value) in parts(path, &container.image) {
            put(&mut values, key, value);
        }
        touched = true;
    }
    if touched {
        overrides.yaml = yaml::emit(&Value::Object(values.clone()), 2);
    }
    // Whatever else the text holds, these stand above it.
    let pairs: Vec<String> = overrides
        .kvs
        .iter()
        .map(|pair| format!("{}={}", pair.key, go_print(&pair.value)))
        .collect();
    set::set(&mut values, &pairs.join(","))?;
    for container in containers {
        if let Some(chart) = &container.chart {
            container.image = image_at(&chart.path, &values)?;
        }
    }
    Ok(Value::Object(values))
}

/// The containers of a template revision with the images of its chart.
pub(crate) fn containers(paths: &[(String, ImagePath)], values: &Value) -> Vec<Container> {
    let empty = Map::new();
    let values = values.as_object().unwrap_or(&empty);
    paths
        .iter()
        .map(|(name, path)| {
            let image = image_at(path, values).unwrap_or_default();
            Container {
                name: name.clone(),
                init: false,
                chart: Some(ChartImage {
                    name: image_name(&image),
                    path: path.clone(),
                }),
                image,
            }
        })
        .collect()
}

/// The containers of the newest revision; an image that was changed since the current one was deployed stays (Z§4.11).
pub(crate) fn kept(
    newest: Vec<Container>,
    recorded: &[Container],
    current: &[Container],
) -> Vec<Container> {
    let image_in = |list: &[Container], name: &str| {
        list.iter()
            .find(|container| container.name == name)
            .map(|container| container.image.clone())
    };
    newest
        .into_iter()
        .map(|mut container| {
            let before = image_in(recorded, &container.name);
            if before != image_in(current, &container.name) {
                container.image = before.unwrap_or(container.image);
            }
            container
        })
        .collect()
}

fn values_of(text: &str) -> Result<Map<String, Value>, String> {
    match yaml::document(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("Failed to unmarshall yaml, err the values are no map".to_owned()),
        Err(error) => Err(format!("Failed to unmarshall yaml, err {error}")),
    }
}

/// The image that values spell at a path; a part that is missing there reads `<nil>`, as in Go.
fn image_at(path: &ImagePath, values: &Map<String, Value>) -> Result<String, String> {
    let part = |name: &str| {
        let at = path.get(name).filter(|at| !at.is_empty())?;
        Some(go_print(get(values, at)))
    };
    let named: Vec<String> = ["repo", "namespace", "image"]
        .into_iter()
        .filter_map(part)
        .map(|text| text.trim_end_matches('/').to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    if named.is_empty() {
        return Err("failed to get image url for container: image name not found".to_owned());
    }
    let name = named.join("/");
    Ok(match part("tag") {
        Some(tag) if !tag.is_empty() => format!("{name}:{tag}"),
        _ => name,
    })
}

/// An image taken apart for its paths: what has no path of its own stays with its neighbour.
fn parts<'a>(path: &'a ImagePath, image: &str) -> Vec<(&'a str, String)> {
    let at = |name: &str| {
        path.get(name)
            .map(String::as_str)
            .filter(|at| !at.is_empty())
    };
    let mut found = Vec::new();
    let mut rest = image;
    let colon = image
        .rfind(':')
        .filter(|colon| !image[*colon..].contains('/'));
    if let Some(key) = at("tag") {
        let tag = colon.map_or("", |colon| &image[colon + 1..]);
        found.push((key, tag.to_owned()));
        rest = &image[..colon.unwrap_or(image.len())];
    }
    // The name is the last part; it is alone only if another path takes what stands before it.
    if let (Some(key), true) = (
        at("image"),
        at("repo").is_some() || at("namespace").is_some(),
    ) {
        let (before, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        found.push((key, name.to_owned()));
        rest = before;
    }
    match (at("repo"), at("namespace"), at("image")) {
        (Some(repo), Some(namespace), _) => {
            let (host, space) = rest.split_once('/').unwrap_or((rest, ""));
            found.push((repo, host.to_owned()));
            found.push((namespace, space.to_owned()));
        }
        (Some(only), None, _) | (None, Some(only), _) | (None, None, Some(only)) => {
            found.push((only, rest.to_owned()));
        }
        (None, None, None) => {}
    }
    found
}

fn get<'a>(values: &'a Map<String, Value>, path: &str) -> &'a Value {
    let mut keys = path.split('.');
    let first = keys.next().and_then(|key| values.get(key));
    keys.fold(first.unwrap_or(&Value::Null), |value, key| &value[key])
}

fn put(values: &mut Map<String, Value>, path: &str, value: String) {
    match path.split_once('.') {
        None => {
            values.insert(path.to_owned(), json!(value));
        }
        Some((key, rest)) => {
            let slot = values.entry(key.to_owned()).or_insert(Value::Null);
            if !slot.is_object() {
                *slot = json!({});
            }
            if let Some(below) = slot.as_object_mut() {
                put(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyValue;
    use super::*;

    fn path<const N: usize>(parts: [(&str, &str); N]) -> ImagePath {
        parts
            .map(|(part, at)| (part.to_owned(), at.to_owned()))
            .into()
    }

    fn web(image: &str) -> Vec<Container> {
        vec![Container {
            name: "web".to_owned(),
            init: false,
            image: image.to_owned(),
            chart: Some(ChartImage {
                name: "web".to_owned(),
                path: path([("image", "image.repository"), ("tag", "image.tag")]),
            }),
        }]
    }

    /// The values and the container's image of a deployment that follows one with `r/web:v1`.
    fn deployed(text: &str, pairs: &[(&str, Value)], images: &[&str]) -> (Value, String) {
        let mut overrides = Overrides {
            yaml: text.to_owned(),
            kvs: pairs
                .iter()
                .map(|(key, value)| KeyValue {
                    key: (*key).to_owned(),
                    value: value.clone(),
                })
                .collect(),
            ..Overrides::default()
        };
        let mut containers = web("r/web:v1");
        let values = deployed_values(&mut overrides, &mut containers, images).unwrap();
        (values, containers[0].image.clone())
    }

    #[test]
    fn the_recorded_image_stands_over_values_that_name_none() {
        let image = json!({"repository": "r/web", "tag": "v1"});
        assert_eq!(
            deployed("replicas: 2", &[], &[]),
            (
                json!({"image": image, "replicas": 2}),
                "r/web:v1".to_owned()
            )
        );
        assert_eq!(
            deployed("image: {tag: v2}", &[], &[]),
            (json!({"image": image}), "r/web:v1".to_owned()),
            "a tag alone names none"
        );
        assert_eq!(
            deployed("image: {repository: r/other, tag: v2}", &[], &[]).1,
            "r/web:v1",
            "nor does another name"
        );
    }

    #[test]
    fn values_that_name_the_image_decide() {
        assert_eq!(
            deployed("image: {repository: mirror/web, tag: v2}", &[], &[]).1,
            "mirror/web:v2"
        );
    }

    #[test]
    fn single_values_stand_above_all() {
        assert_eq!(
            deployed(
                "port: 1",
                &[("image.tag", json!("v3")), ("port", json!(9090))],
                &[]
            ),
            (
                json!({"image": {"repository": "r/web", "tag": "v3"}, "port": 9090}),
                "r/web:v3".to_owned()
            )
        );
    }

    #[test]
    fn an_image_call_changes_the_containers_with_an_image_of_that_name() {
        assert_eq!(deployed("", &[], &["mirror/web:v9"]).1, "mirror/web:v9");
        assert_eq!(deployed("", &[], &["mirror/db:v9"]).1, "r/web:v1");
    }

    #[test]
    fn broken_values_are_an_error() {
        let mut overrides = Overrides {
            yaml: "a: [b".to_owned(),
            ..Overrides::default()
        };
        assert!(deployed_values(&mut overrides, &mut web("r/web:v1"), &[]).is_err());
    }

    #[test]
    fn an_image_is_taken_apart_for_its_paths() {
        let image = "host:5000/space/deep/web:v1";
        let taken = |path: &ImagePath| {
            parts(path, image)
                .into_iter()
                .map(|(at, text)| format!("{at}={text}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            taken(&path([
                ("repo", "r"),
                ("namespace", "n"),
                ("image", "i"),
                ("tag", "t")
            ])),
            "t=v1 i=web r=host:5000 n=space/deep"
        );
        assert_eq!(
            taken(&path([("repo", "r"), ("image", "i"), ("tag", "t")])),
            "t=v1 i=web r=host:5000/space/deep"
        );
        assert_eq!(taken(&path([("image", "i")])), format!("i={image}"));
        assert_eq!(
            taken(&path([("repo", "r"), ("tag", "t")])),
            "t=v1 r=host:5000/space/deep/web"
        );
    }

    #[test]
    fn an_image_that_was_changed_survives_a_newer_revision() {
        let images = |recorded: &str| {
            let kept = kept(web("r/web:v3"), &web(recorded), &web("r/web:v2"));
            kept[0].image.clone()
        };
        assert_eq!(images("r/web:v2"), "r/web:v3", "untouched, so it follows");
        assert_eq!(images("r/web:hand"), "r/web:hand");
        let kept = kept(web("r/web:v3"), &[], &web("r/web:v2"));
        assert_eq!(kept[0].image, "r/web:v3", "nothing recorded");
    }
}
