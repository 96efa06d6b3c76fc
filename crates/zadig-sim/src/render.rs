//! From a service template and its values to the objects of an environment, and to the text that Zadig shows of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::helm::image::ChartImage;
use crate::kube::{entry, quantity, template_of, template_of_mut};
use crate::variables::{EnumCheck, Variable, values};
use crate::{template, yaml};

/// Where a service is rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) env: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) service: &'a str,
    /// From 5.0 on (Z§12).
    pub(crate) cluster: Option<&'a str>,
}

/// What is put into a template besides its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) text: &'a str,
    pub(crate) variables: &'a [Variable],
    /// Images by container name.
    pub(crate) images: &'a BTreeMap<String, String>,
    /// Replicas by `Kind/name`.
    pub(crate) replicas: &'a BTreeMap<String, i64>,
}

/// The objects of a service: template, system variables, images, replicas, in that order (Z§4.4).
///
/// The error is Zadig's own for a variable, the template's or YAML's otherwise.
pub(crate) fn objects(
    place: Place<'_>,
    input: Input<'_>,
    check: EnumCheck,
) -> Result<Vec<Value>, String> {
    let data = values(input.variables, check)?;
    let text = template::render(input.text, &data)?;
    let text = system_variables(&text, place);
    let mut objects = yaml::documents(&text)?;
    for object in &mut objects {
        if !object.is_object() {
            return Err(format!("service {} is no object: {object}", place.service));
        }
        set_images(object, input.images);
        if let Some(replicas) = input.replicas.get(&id_of(object)) {
            entry(object, "spec").insert("replicas".to_owned(), json!(replicas));
        }
    }
    Ok(objects)
}

/// `Kind/name`.
pub(crate) fn id_of(object: &Value) -> String {
    format!(
        "{}/{}",
        object["kind"].as_str().unwrap_or(""),
        object["metadata"]["name"].as_str().unwrap_or("")
    )
}

/// Replaces `$Namespace$` and its relatives, lower-cased (Z§4.4).
pub(crate) fn system_variables(text: &str, place: Place<'_>) -> String {
    if !text.contains('$') {
        return text.to_owned();
    }
    let text = text
        .replace("$Namespace$", &place.namespace.to_lowercase())
        .replace("$EnvName$", &place.env.to_lowercase())
        .replace("$Product$", &place.project.to_lowercase())
        .replace("$Service$", &place.service.to_lowercase());
    match place.cluster {
        Some(cluster) => text.replace("$ClusterName$", &cluster.to_lowercase()),
        None => text,
    }
}

/// A container of a workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) init: bool,
    pub(crate) image: String,
    /// For a container of a Helm service, where its image comes from.
    pub(crate) chart: Option<ChartImage>,
}

/// The containers of the workloads among the objects, in their order.
pub(crate) fn containers(objects: &[Value]) -> Vec<Container> {
    let mut found: Vec<Container> = Vec::new();
    for object in objects.iter().filter(|object| is_workload(object)) {
        let spec = &template_of(object)["spec"];
        for (list, init) in [("containers", false), ("initContainers", true)] {
            for container in spec[list].as_array().into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or("").to_owned();
                if found.iter().all(|known| known.name != name) {
                    let image = container["image"].as_str().unwrap_or("").to_owned();
                    found.push(Container {
                        name,
                        init,
                        image,
                        chart: None,
                    });
                }
            }
        }
    }
    found
}

/// Whether Zadig looks for containers in it.
pub(crate) fn is_workload(object: &Value) -> bool {
    matches!(
        object["kind"].as_str().unwrap_or(""),
        "Deployment" | "StatefulSet" | "CloneSet" | "CronJob" | "Job" | "DaemonSet"
    )
}

fn set_images(object: &mut Value, images: &BTreeMap<String, String>) {
    if images.is_empty() || !is_workload(object) {
        return;
    }
    let Some(template) = template_of_mut(object) else {
        return;
    };
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let image = container["name"].as_str().and_then(|name| images.get(name));
            if let Some(image) = image {
                container["image"] = json!(image);
            }
        }
    }
}

/// The name of an image: the last part of its path, without tag and digest.
pub(crate) fn image_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let bare = last.split('@').next().unwrap_or(last);
    bare.split(':').next().unwrap_or(bare).to_owned()
}

/// What Zadig adds to an object of a test environment when it applies it (Z§5.5).
pub(crate) fn inject(object: &mut Value, project: &str, service: &str, env: Option<&str>) {
    let mut labels = vec![("s-product", project), ("s-service", service)];
    if let Some(env) = env.filter(|_| crate::kube::is_global(object["kind"].as_str().unwrap_or("")))
    {
        labels.push(("s-env", env));
    }
    let add = |labelled: &mut Value| {
        let metadata = labelled_metadata(labelled);
        for (key, value) in &labels {
            metadata.insert((*key).to_owned(), json!(value));
        }
    };
    add(object);
    if is_workload(object)
        && let Some(template) = template_of_mut(object)
    {
        add(template);
    }
}

fn labelled_metadata(object: &mut Value) -> &mut Map<String, Value> {
    entry(object, "metadata");
    entry(&mut object["metadata"], "labels")
}

/// The pull secret's entry in the pod template, of both kinds of environments (Z§5.5).
pub(crate) fn inject_pull_secret(object: &mut Value) {
    if !is_workload(object) {
        return;
    }
    let Some(template) = template_of_mut(object) else {
        return;
    };
    let spec = entry(template, "spec");
    let secret = json!({ "name": "default-registry-secret" });
    let secrets = spec.entry("imagePullSecrets").or_insert_with(|| json!([]));
    if let Some(secrets) = secrets.as_array_mut()
        && !secrets.contains(&secret)
    {
        secrets.push(secret);
    }
}

/// The annotation that makes every applied change a rollout (Z§4.11).
pub(crate) fn stamp(object: &mut Value, seconds: i64) {
    if !matches!(
        object["kind"].as_str(),
        Some("Deployment" | "StatefulSet" | "CloneSet")
    ) {
        return;
    }
    if let Some(template) = template_of_mut(object) {
        entry(template, "metadata");
        entry(&mut template["metadata"], "annotations").insert(
            "updated-by-koderover".to_owned(),
            json!(seconds.to_string()),
        );
    }
}

/// The text of #7: keys sorted, workloads with the fields their Go types always write (Z§4.4).
pub(crate) fn text(objects: &[Value]) -> String {
    objects
        .iter()
        .map(|object| yaml::emit(&typed(object), 2))
        .collect::<Vec<_>>()
        .join("\n---\n")
}

/// A workload as its Go type writes it; other objects as they are.
fn typed(object: &Value) -> Value {
    let mut object = object.clone();
    let kind = object["kind"].as_str().unwrap_or("").to_owned();
    let status = match kind.as_str() {
        "Deployment" => {
            always(&mut object, "spec", "strategy", json!({}));
            json!({})
        }
        "StatefulSet" => {
            always(&mut object, "spec", "updateStrategy", json!({}));
            always(&mut object, "spec", "serviceName", json!(""));
            if let Some(claims) = object
                .pointer_mut("/spec/volumeClaimTemplates")
                .and_then(Value::as_array_mut)
            {
                for claim in claims {
                    always(claim, "metadata", "creationTimestamp", Value::Null);
                    always(claim, "spec", "resources", json!({}));
                    claim["status"] = json!({});
                }
            }
            json!({ "availableReplicas": 0, "replicas": 0 })
        }
        "CronJob" => {
            entry(&mut object, "spec");
            let job = &mut object["spec"]["jobTemplate"];
            always(job, "metadata", "creationTimestamp", Value::Null);
            json!({})
        }
        _ => return object,
    };
    canonical(&mut object, "");
    if kind != "CronJob" {
        entry(&mut object, "spec");
    }
    if let Some(template) = template_of_mut(&mut object) {
        always(template, "metadata", "creationTimestamp", Value::Null);
        for list in ["/spec/containers", "/spec/initContainers"] {
            let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                entry(container, "resources");
            }
        }
    }
    always(&mut object, "metadata", "creationTimestamp", Value::Null);
    if kind == "CronJob" {
        always(
            &mut object["spec"]["jobTemplate"],
            "metadata",
            "creationTimestamp",
            Value::Null,
        );
    }
    object["status"] = status;
    object
}

fn always(object: &mut Value, parent: &str, field: &str, value: Value) {
    entry(object, parent).entry(field).or_insert(value);
}

/// Drops nulls and writes quantities in their canonical form.
fn canonical(value: &mut Value, field: &str) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            let quantities = matches!(field, "limits" | "requests");
            for (key, value) in map {
                if quantities {
                    let text = match &*value {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    if let Some(text) = quantity::canonical(&text) {
                        *value = json!(text);
                    }
                } else {
                    canonical(value, key);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| canonical(item, field)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        project: "Golden",
        env: "g1",
        namespace: "golden-env-g1",
        service: "web",
        cluster: None,
    };

    fn deployment() -> &'static str {
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: {{.replicas}}\n  selector:\n    matchLabels:\n      app: web\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n        - name: web\n          image: r/web:v1\n          resources:\n            limits:\n              cpu: 0.5\n        - name: sidecar\n          image: r/sidecar:v1\n"
    }

    fn variable(value: Value) -> Vec<Variable> {
        vec![Variable {
            key: "replicas".to_owned(),
            value,
            kind: "string".to_owned(),
            options: Vec::new(),
            desc: String::new(),
        }]
    }

    #[test]
    fn workloads_are_shown_as_their_go_types_write_them() {
        let images = BTreeMap::from([("web".to_owned(), "r/web:v2".to_owned())]);
        let input = Input {
            text: deployment(),
            variables: &variable(json!("2")),
            images: &images,
            replicas: &BTreeMap::new(),
        };
        let objects = objects(PLACE, input, EnumCheck::Strict).unwrap();
        assert_eq!(
            text(&objects),
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  creationTimestamp: null\n  name: web\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: web\n  strategy: {}\n  template:\n    metadata:\n      creationTimestamp: null\n      labels:\n        app: web\n    spec:\n      containers:\n      - image: r/web:v2\n        name: web\n        resources:\n          limits:\n            cpu: 500m\n      - image: r/sidecar:v1\n        name: sidecar\n        resources: {}\nstatus: {}\n"
        );
    }

    #[test]
    fn system_variables_are_replaced_in_lower_case() {
        assert_eq!(
            system_variables("$EnvName$ in $Namespace$ ($Product$/$Service$)", PLACE),
            "g1 in golden-env-g1 (golden/web)"
        );
    }

    #[test]
    fn an_override_wins_over_the_template_s_number() {
        let overrides = BTreeMap::from([("Deployment/web".to_owned(), 7)]);
        let input = Input {
            text: deployment(),
            variables: &variable(json!("2")),
            images: &BTreeMap::new(),
            replicas: &overrides,
        };
        let objects = objects(PLACE, input, EnumCheck::Strict).unwrap();
        assert_eq!(objects[0]["spec"]["replicas"], 7);
    }

    #[test]
    fn image_names_are_cut_from_images() {
        let names = ["r.example.com:5000/a/web:v1", "web", "a/web@sha256:0"].map(image_name);
        assert_eq!(names, ["web", "web", "web"]);
    }
}
