//! The probes of a timeline, taken apart into facets that can be compared one by one.
//!
//! A probe's value is a word, a table or a line of text, as the recorder happened to print it; a facet is one fact
//! with a name that recorded and observed values share. Nothing is compared here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::focus::Focus;

/// Facts by name; a fact that is not there is absent.
pub(crate) type Facets = BTreeMap<String, Value>;

/// The value of a facet that only says that something is there.
pub(crate) const PRESENT: &str = "present";

/// What a probe looks at, in the form its values have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// The status of one environment in the list.
    ListOne,
    /// The whole list.
    ListAll,
    /// The environment's detail.
    Detail,
    /// Generation, replicas and ready replicas of each workload of the namespace.
    Workloads,
    /// The namespace's phase, perhaps with its labels.
    Namespace,
    /// `update_time` and `update_by` in the list.
    UpdateTime,
    /// The namespace's labels.
    Labels,
    /// The workload's own annotations.
    Annotations,
    /// The images of the workload.
    Images,
    /// The images of each Deployment and StatefulSet of the namespace.
    AllImages,
    /// The containers of the workload with their images.
    Containers,
    /// Data and labels of a configuration object.
    Config,
    /// The Deployments of the namespace.
    Deployments,
    /// The Helm releases of the namespace.
    Releases,
}

impl Form {
    /// The form of a probe, and the environment if the probe bears its name; `None` if it is not understood.
    pub(crate) fn of(probe: &str, value: &Value) -> Option<(Self, Option<String>)> {
        let named = |form| Some((form, None));
        match (probe, value) {
            ("list", Value::String(_)) => named(Self::ListOne),
            ("list", Value::Object(_)) => named(Self::ListAll),
            ("detail", Value::Object(_)) => named(Self::Detail),
            ("k8s", Value::Object(_) | Value::String(_)) => named(Self::Workloads),
            ("ns", Value::String(_)) => named(Self::Namespace),
            (_, Value::Array(_)) => named(Self::UpdateTime),
            ("labels", Value::String(_)) => named(Self::Labels),
            ("annotations", Value::String(_)) => named(Self::Annotations),
            ("containers", Value::String(_)) => named(Self::Containers),
            ("cm", Value::String(_)) => named(Self::Config),
            ("deploy", Value::String(_)) => named(Self::Deployments),
            ("releases", Value::String(_)) => named(Self::Releases),
            ("images" | "image", Value::String(text)) if text.contains('=') => {
                named(Self::AllImages)
            }
            ("images" | "image", Value::String(_)) => named(Self::Images),
            (env, Value::String(text)) if text.contains('/') && text.contains(':') => {
                Some((Self::Images, Some(env.to_owned())))
            }
            _ => None,
        }
    }

    /// The facets of a recorded value; `None` if it is not written as this form is.
    pub(crate) fn facets(&self, value: &Value, focus: &Focus) -> Option<Facets> {
        let mut facets = Facets::new();
        let text = value.as_str();
        match self {
            Self::ListOne => {
                if text? != "absent" {
                    facets.insert(format!("list[{}]", focus.env), value.clone());
                }
            }
            Self::ListAll => {
                for (env, status) in value.as_object()? {
                    facets.insert(format!("list[{env}]"), status.clone());
                }
            }
            Self::Detail => detail(value, &mut facets)?,
            Self::Workloads => workloads(value, &mut facets)?,
            Self::Namespace => namespace(text?, &mut facets)?,
            Self::UpdateTime => {
                facets.insert("update_time".to_owned(), value.get(0)?.clone());
                facets.insert("update_by".to_owned(), value.get(1)?.clone());
            }
            Self::Labels => {
                facets.insert("labels".to_owned(), serde_json::from_str(text?).ok()?);
            }
            Self::Annotations => {
                let annotations = serde_json::from_str(text?).ok()?;
                facets.insert(
                    "annotations".to_owned(),
                    without_controllers_own(annotations),
                );
            }
            Self::Images => {
                facets.insert("images".to_owned(), json!(text?.trim()));
            }
            Self::AllImages => {
                for entry in entries(text?) {
                    let (name, images) = entry.split_once('=')?;
                    facets.insert(format!("images[{name}]"), json!(images));
                }
            }
            Self::Containers => {
                facets.insert("containers".to_owned(), json!(text?));
            }
            Self::Config => {
                let mut parts = serde_json::Deserializer::from_str(text?).into_iter::<Value>();
                for name in ["config.data", "config.labels"] {
                    facets.insert(name.to_owned(), parts.next()?.ok()?);
                }
            }
            Self::Deployments => {
                for entry in entries(text?) {
                    deployment(entry, &mut facets)?;
                }
            }
            Self::Releases => {
                for name in text?.lines().filter(|line| !line.is_empty()) {
                    let name = name.rsplit('/').next()?;
                    facets.insert(format!("releases[{name}]"), json!(PRESENT));
                }
            }
        }
        Some(facets)
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

fn detail(value: &Value, facets: &mut Facets) -> Option<()> {
    facets.insert("detail.http".to_owned(), value.get("http")?.clone());
    for key in ["status", "error"] {
        if let Some(known) = value.get(key).filter(|known| !known.is_null()) {
            facets.insert(format!("detail.{key}"), known.clone());
        }
    }
    for (service, status) in value
        .get("services")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        facets.insert(format!("detail.services[{service}]"), status.clone());
    }
    Some(())
}

fn workloads(value: &Value, facets: &mut Facets) -> Option<()> {
    let mut insert = |name: &str, generation: Value, replicas: Value, ready: Value| {
        // A workload without replicas (a CronJob) has no ready ones either.
        let ready = if replicas.is_null() || !ready.is_null() {
            ready
        } else {
            json!(0)
        };
        facets.insert(format!("k8s[{name}]"), json!(PRESENT));
        facets.insert(format!("k8s[{name}].generation"), generation);
        facets.insert(format!("k8s[{name}].replicas"), replicas);
        facets.insert(format!("k8s[{name}].ready"), ready);
    };
    if let Some(table) = value.as_object() {
        for (name, row) in table {
            insert(
                name,
                row.get(0)?.clone(),
                row.get(1)?.clone(),
                row.get(2)?.clone(),
            );
        }
        return Some(());
    }
    for entry in entries(value.as_str()?) {
        let mut words = entry.split_whitespace();
        let name = words.next()?;
        let fields: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
        let number = |key: &str| {
            fields
                .get(key)
                .and_then(|text| text.parse::<i64>().ok())
                .map_or(Value::Null, Value::from)
        };
        insert(name, number("gen"), number("replicas"), number("ready"));
    }
    Some(())
}

/// `Active`, `Terminating`, a refusal that ends in "not found", or a phase and labels.
fn namespace(text: &str, facets: &mut Facets) -> Option<()> {
    if text.contains("NotFound") || text.contains("not found") {
        facets.insert("ns".to_owned(), json!("NotFound"));
        return Some(());
    }
    let (phase, labels) = text
        .split_once(' ')
        .map_or((text, None), |(a, b)| (a, Some(b)));
    facets.insert("ns".to_owned(), json!(phase));
    if let Some(labels) = labels {
        facets.insert("ns.labels".to_owned(), serde_json::from_str(labels).ok()?);
    }
    Some(())
}

/// `NAME REPLICAS IMAGES ready=N`, or a resource's name alone.
fn deployment(entry: &str, facets: &mut Facets) -> Option<()> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    match words.as_slice() {
        [resource] => {
            let name = resource.rsplit('/').next()?;
            facets.insert(format!("deploy[{name}]"), json!(PRESENT));
        }
        [name, replicas, images @ .., ready] => {
            facets.insert(format!("deploy[{name}]"), json!(PRESENT));
            facets.insert(
                format!("deploy[{name}].replicas"),
                json!(replicas.parse::<i64>().ok()?),
            );
            facets.insert(format!("deploy[{name}].images"), json!(images.join(" ")));
            let ready = ready.strip_prefix("ready=")?.parse::<i64>().unwrap_or(0);
            facets.insert(format!("deploy[{name}].ready"), json!(ready));
        }
        _ => return None,
    }
    Some(())
}

/// Annotations without those that Kubernetes' own controllers keep.
pub(crate) fn without_controllers_own(annotations: Value) -> Value {
    match annotations {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !key.starts_with("deployment.kubernetes.io/"))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facets(probe: &str, value: &Value) -> Value {
        let focus = Focus {
            project: "p".to_owned(),
            env: "dev".to_owned(),
            ..Focus::default()
        };
        let (form, _) = Form::of(probe, value).unwrap();
        json!(form.facets(value, &focus).unwrap())
    }

    #[test]
    fn a_status_and_a_whole_list_give_the_same_facets() {
        assert_eq!(
            facets("list", &json!("success")),
            json!({"list[dev]": "success"})
        );
        assert_eq!(
            facets("list", &json!({"dev": "success"})),
            json!({"list[dev]": "success"})
        );
        assert_eq!(facets("list", &json!("absent")), json!({}));
    }

    #[test]
    fn a_detail_is_taken_apart_by_service() {
        assert_eq!(
            facets(
                "detail",
                &json!({"http": 200, "status": "success", "services": {"web": "running"}, "error": null})
            ),
            json!({"detail.http": 200, "detail.status": "success", "detail.services[web]": "running"})
        );
    }

    #[test]
    fn workloads_are_read_from_a_table_and_from_a_line() {
        let facets_of_web = json!({
            "k8s[Deployment/web]": "present", "k8s[Deployment/web].generation": 2,
            "k8s[Deployment/web].replicas": 3, "k8s[Deployment/web].ready": 0
        });
        assert_eq!(
            facets("k8s", &json!({"Deployment/web": [2, 3, null]})),
            facets_of_web
        );
        assert_eq!(
            facets("k8s", &json!("Deployment/web gen=2 replicas=3 ready=;")),
            facets_of_web
        );
    }

    #[test]
    fn a_namespace_is_read_in_each_of_its_forms() {
        assert_eq!(facets("ns", &json!("Active")), json!({"ns": "Active"}));
        assert_eq!(
            facets(
                "ns",
                &json!("server (NotFound): namespaces \"x\" not found")
            ),
            json!({"ns": "NotFound"})
        );
        assert_eq!(
            facets("ns", &json!("Active {\"a\":\"b\"}")),
            json!({"ns": "Active", "ns.labels": {"a": "b"}})
        );
    }

    #[test]
    fn images_are_read_for_one_workload_for_all_and_for_a_named_environment() {
        assert_eq!(
            facets("images", &json!("r/a:1 r/b:1")),
            json!({"images": "r/a:1 r/b:1"})
        );
        assert_eq!(
            facets("images", &json!("web=r/a:1 r/b:1;db=r/c:1;")),
            json!({"images[web]": "r/a:1 r/b:1", "images[db]": "r/c:1"})
        );
        assert_eq!(
            Form::of("g1", &json!("r/a:1")),
            Some((Form::Images, Some("g1".to_owned())))
        );
    }

    #[test]
    fn deployments_releases_and_configuration_are_read() {
        assert_eq!(
            facets("deploy", &json!("web 2 r/a:1 ready=2;")),
            json!({"deploy[web]": "present", "deploy[web].replicas": 2, "deploy[web].images": "r/a:1", "deploy[web].ready": 2})
        );
        assert_eq!(
            facets("deploy", &json!("deployment.apps/web\n")),
            json!({"deploy[web]": "present"})
        );
        assert_eq!(
            facets("releases", &json!("secret/r.v1\nsecret/r.v2\n")),
            json!({"releases[r.v1]": "present", "releases[r.v2]": "present"})
        );
        assert_eq!(
            facets("cm", &json!("{\"k\":\"v\"}{\"l\":\"m\"}")),
            json!({"config.data": {"k": "v"}, "config.labels": {"l": "m"}})
        );
        assert_eq!(
            facets(
                "annotations",
                &json!("{\"deployment.kubernetes.io/revision\":\"2\",\"a\":\"b\"}")
            ),
            json!({"annotations": {"a": "b"}})
        );
    }

    #[test]
    fn a_probe_that_is_not_understood_is_told_apart() {
        assert_eq!(Form::of("weather", &json!("fine")), None);
    }
}
