//! Looks at the simulator as the recorder looked at the real server: the list and the detail over HTTP, the cluster from outside.
//!
//! Gives facets with the names of `probe`; does not compare.

use serde_json::{Value, json};

use super::caller::Caller;
use super::focus::Focus;
use super::probe::{self, Facets, Form, PRESENT};

/// The present value of a probe.
pub(crate) async fn observe(
    caller: &Caller,
    form: &Form,
    focus: &Focus,
    namespace: Option<&str>,
) -> Facets {
    match form {
        Form::ListOne | Form::ListAll | Form::UpdateTime => list(caller, form, focus).await,
        Form::Detail => detail(caller, focus).await,
        _ => {
            let found = namespace.map(|name| caller.sim().lock().namespaces_named(name));
            let found = found.unwrap_or_default();
            cluster(found.first(), form, focus)
        }
    }
}

async fn list(caller: &Caller, form: &Form, focus: &Focus) -> Facets {
    let mut facets = Facets::new();
    let (_, body) = caller.get("/openapi/environments", &focus.project).await;
    for item in body.as_array().into_iter().flatten() {
        let Some(env) = item["env_key"].as_str() else {
            continue;
        };
        match form {
            Form::ListAll => {}
            _ if env == focus.env => {}
            _ => continue,
        }
        if *form == Form::UpdateTime {
            facets.insert("update_time".to_owned(), item["update_time"].clone());
            facets.insert("update_by".to_owned(), item["update_by"].clone());
        } else {
            facets.insert(format!("list[{env}]"), item["status"].clone());
        }
    }
    facets
}

async fn detail(caller: &Caller, focus: &Focus) -> Facets {
    let path = format!("/openapi/environments/{}", focus.env);
    let (status, body) = caller.get(&path, &focus.project).await;
    let mut facets = Facets::from([("detail.http".to_owned(), json!(status))]);
    if status == 200 {
        facets.insert("detail.status".to_owned(), body["status"].clone());
        for service in body["services"].as_array().into_iter().flatten() {
            if let Some(name) = service["service_name"].as_str() {
                facets.insert(
                    format!("detail.services[{name}]"),
                    service["status"].clone(),
                );
            }
        }
    } else {
        facets.insert("detail.error".to_owned(), body["description"].clone());
    }
    facets
}

/// Kinds that the recorder counted as workloads.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "CronJob"];

fn cluster(namespace: Option<&Value>, form: &Form, focus: &Focus) -> Facets {
    let mut facets = Facets::new();
    let Some(found) = namespace else {
        if *form == Form::Namespace {
            facets.insert("ns".to_owned(), json!("NotFound"));
        }
        return facets;
    };
    let objects: Vec<&Value> = found["objects"].as_array().into_iter().flatten().collect();
    let of_kind = |kinds: &[&str]| {
        objects
            .iter()
            .filter(|it| {
                it["kind"]
                    .as_str()
                    .is_some_and(|kind| kinds.contains(&kind))
            })
            .copied()
            .collect::<Vec<_>>()
    };
    match form {
        Form::ListOne | Form::ListAll | Form::UpdateTime | Form::Detail => {}
        Form::Namespace => {
            facets.insert("ns".to_owned(), found["phase"].clone());
            facets.insert("ns.labels".to_owned(), found["labels"].clone());
        }
        Form::Labels => {
            facets.insert("labels".to_owned(), found["labels"].clone());
        }
        Form::Workloads => {
            for workload in of_kind(&WORKLOADS) {
                let name = format!("k8s[{}/{}]", text(&workload["kind"]), object_name(workload));
                let replicas = workload["spec"]["replicas"].clone();
                let ready = if replicas.is_null() {
                    Value::Null
                } else {
                    ready(workload)
                };
                facets.insert(
                    format!("{name}.generation"),
                    workload["metadata"]["generation"].clone(),
                );
                facets.insert(format!("{name}.replicas"), replicas);
                facets.insert(format!("{name}.ready"), ready);
                facets.insert(name, json!(PRESENT));
            }
        }
        Form::Deployments => {
            for workload in of_kind(&["Deployment"]) {
                let name = format!("deploy[{}]", object_name(workload));
                facets.insert(
                    format!("{name}.replicas"),
                    workload["spec"]["replicas"].clone(),
                );
                facets.insert(format!("{name}.images"), json!(images(workload)));
                facets.insert(format!("{name}.ready"), ready(workload));
                facets.insert(name, json!(PRESENT));
            }
        }
        Form::AllImages => {
            for workload in of_kind(&WORKLOADS[..2]) {
                facets.insert(
                    format!("images[{}]", object_name(workload)),
                    json!(images(workload)),
                );
            }
        }
        Form::Images | Form::Containers | Form::Annotations => {
            if let Some(workload) = in_focus(&of_kind(&WORKLOADS), focus) {
                let (name, value) = match form {
                    Form::Images => ("images", json!(images(workload))),
                    Form::Containers => ("containers", json!(named_images(workload))),
                    _ => {
                        let annotations = workload["metadata"]["annotations"].clone();
                        ("annotations", probe::without_controllers_own(annotations))
                    }
                };
                facets.insert(name.to_owned(), value);
            }
        }
        Form::Config => {
            let wanted = focus.config.as_deref();
            let configs = of_kind(&["ConfigMap", "Secret"]);
            if let Some(config) = configs.iter().find(|it| Some(object_name(it)) == wanted) {
                facets.insert("config.data".to_owned(), config["data"].clone());
                facets.insert(
                    "config.labels".to_owned(),
                    config["metadata"]["labels"].clone(),
                );
            }
        }
        Form::Releases => {
            for secret in of_kind(&["Secret"]) {
                let name = object_name(secret);
                if name.starts_with("sh.helm.release.") {
                    facets.insert(format!("releases[{name}]"), json!(PRESENT));
                }
            }
        }
    }
    facets
}

/// The workload that the call before was about, or else the only one.
fn in_focus<'a>(workloads: &[&'a Value], focus: &Focus) -> Option<&'a Value> {
    let named = workloads
        .iter()
        .find(|it| Some(object_name(it)) == focus.workload.as_deref())
        .copied();
    named.or(match workloads {
        [only] => Some(*only),
        _ => None,
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn object_name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

fn ready(workload: &Value) -> Value {
    json!(workload["status"]["readyReplicas"].as_i64().unwrap_or(0))
}

fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    let spec = match text(&workload["kind"]) {
        "CronJob" => &workload["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        _ => &workload["spec"]["template"]["spec"],
    };
    spec["containers"].as_array().into_iter().flatten()
}

fn images(workload: &Value) -> String {
    containers(workload)
        .map(|it| text(&it["image"]))
        .collect::<Vec<_>>()
        .join(" ")
}

fn named_images(workload: &Value) -> String {
    let pairs = containers(workload).map(|it| [text(&it["name"]), "=", text(&it["image"]), ";"]);
    pairs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Value {
        json!({"name": "ns", "phase": "Active", "labels": {"a": "b"}, "objects": [
            {"kind": "Deployment", "metadata": {"name": "web", "generation": 2},
             "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "web", "image": "i:1"}]}}},
             "status": {"readyReplicas": 1}},
            {"kind": "CronJob", "metadata": {"name": "job", "generation": 1}, "spec": {}},
            {"kind": "Secret", "metadata": {"name": "sh.helm.release.v1.web.v1"}},
        ]})
    }

    fn facets(form: &Form) -> Value {
        let focus = Focus {
            workload: Some("web".to_owned()),
            ..Focus::default()
        };
        json!(cluster(Some(&namespace()), form, &focus))
    }

    #[test]
    fn a_cluster_gives_the_facets_of_a_recording() {
        assert_eq!(
            facets(&Form::Workloads),
            json!({
                "k8s[Deployment/web]": "present", "k8s[Deployment/web].generation": 2,
                "k8s[Deployment/web].replicas": 3, "k8s[Deployment/web].ready": 1,
                "k8s[CronJob/job]": "present", "k8s[CronJob/job].generation": 1,
                "k8s[CronJob/job].replicas": null, "k8s[CronJob/job].ready": null
            })
        );
        assert_eq!(
            facets(&Form::Namespace),
            json!({"ns": "Active", "ns.labels": {"a": "b"}})
        );
        assert_eq!(facets(&Form::Containers), json!({"containers": "web=i:1;"}));
        assert_eq!(
            facets(&Form::Releases),
            json!({"releases[sh.helm.release.v1.web.v1]": "present"})
        );
    }

    #[test]
    fn a_namespace_that_is_gone_is_not_found() {
        let gone = cluster(None, &Form::Namespace, &Focus::default());
        assert_eq!(json!(gone), json!({"ns": "NotFound"}));
    }
}
