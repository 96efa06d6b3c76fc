//! A chart: its default values and its templates, rendered as Helm's engine does it.
//!
//! Left out: subcharts and their conditions, value schemas, `.Files`, and a live cluster behind `lookup`.

use serde_json::{Map, Value, json};

use super::image::{self, ImagePath};
use crate::render::{Container, Place};
use crate::seed::{ChartFiles, ServiceSeed};
use crate::template::{Defined, Template};
use crate::yaml;

/// Zadig's rule for the names of releases.
const RELEASE_NAMING: &str = "$Service$";

/// The order in which Helm installs kinds; those it does not know come last, by name.
const INSTALL_ORDER: [&str; 24] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
];

/// A chart as a service template holds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// `Chart.yaml`.
    pub(crate) metadata: Value,
    /// `values.yaml`.
    pub(crate) values: Value,
    templates: Vec<(String, String)>,
    /// Zadig's naming rule for its releases.
    pub(crate) release_naming: String,
    /// Containers and where the values name their images, as Zadig found them.
    pub(crate) images: Vec<(String, ImagePath)>,
}

/// What a template can ask about its release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) revision: u64,
}

impl Chart {
    /// The chart of a service template.
    pub(crate) fn new(files: &ChartFiles, service: &ServiceSeed) -> Self {
        Self {
            metadata: files.metadata.clone(),
            values: files.values.clone(),
            templates: files.templates.clone(),
            release_naming: service
                .release_naming
                .clone()
                .unwrap_or_else(|| RELEASE_NAMING.to_owned()),
            images: service
                .images
                .iter()
                .map(|image| (image.container.clone(), image.image_path.clone()))
                .collect(),
        }
    }

    /// The release of a service in an environment (Z§10).
    pub(crate) fn release_name(&self, place: Place<'_>) -> String {
        self.release_naming
            .replace("$Product$", place.project)
            .replace("$Namespace$", place.namespace)
            .replace("$EnvName$", place.env)
            .replace("$Service$", place.service)
    }

    /// The containers that Zadig found, with the images of the chart's own values.
    pub(crate) fn containers(&self) -> Vec<Container> {
        image::containers(&self.images, &self.values)
    }

    /// The chart's values with `config` over them: maps are merged, a null takes a default away.
    pub(crate) fn coalesce(&self, config: &Value) -> Value {
        let mut values = config.clone();
        coalesce(&mut values, &self.values);
        floats(&mut values);
        values
    }

    /// The objects of a release, in the order in which they are installed. Hooks and notes are none of them.
    ///
    /// The error names the template.
    pub(crate) fn render(
        &self,
        occasion: Occasion<'_>,
        values: &Value,
    ) -> Result<Vec<Value>, String> {
        let chart = self.metadata["name"].as_str().unwrap_or("");
        let mut shared = Defined::new();
        let mut parsed = Vec::new();
        for (name, text) in &self.templates {
            let path = format!("{chart}/templates/{name}");
            let template = Template::parse(text)
                .map_err(|error| format!("parse error at ({path}): {error}"))?;
            shared.extend(template.defined().clone());
            parsed.push((path, template));
        }
        let mut objects = Vec::new();
        for (path, template) in &parsed {
            let file = path.rsplit('/').next().unwrap_or(path);
            if file.starts_with('_') || file == "NOTES.txt" {
                continue;
            }
            let data = self.data(occasion, values, path);
            let text = template
                .render(&data, &shared)
                .map_err(|error| format!("template: {path}: {error}"))?
                // A missing value is printed as nothing.
                .replace("<no value>", "");
            let documents = yaml::documents(&text)
                .map_err(|error| format!("YAML parse error on {path}: {error}"))?;
            for object in documents {
                if object["kind"].as_str().is_none() {
                    return Err(format!(
                        "unable to build kubernetes objects from release manifest: error validating \"\": {path}: kind not set"
                    ));
                }
                if object["metadata"]["annotations"]
                    .get("helm.sh/hook")
                    .is_none()
                {
                    objects.push(object);
                }
            }
        }
        objects.sort_by_key(|object| order(object["kind"].as_str().unwrap_or("")));
        Ok(objects)
    }

    fn data(&self, occasion: Occasion<'_>, values: &Value, path: &str) -> Value {
        // Templates spell the fields of `Chart.yaml` with a capital.
        let chart: Map<String, Value> = self
            .metadata
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (capital(key), value.clone()))
            .collect();
        let base = format!("{}/templates", self.metadata["name"].as_str().unwrap_or(""));
        json!({
            "Values": values,
            "Chart": chart,
            "Release": {
                "Name": occasion.name,
                "Namespace": occasion.namespace,
                "Revision": occasion.revision,
                "IsInstall": occasion.revision == 1,
                "IsUpgrade": occasion.revision > 1,
                "Service": "Helm",
            },
            "Capabilities": {
                "KubeVersion": { "Version": "v1.36.1", "GitVersion": "v1.36.1", "Major": "1", "Minor": "36" },
                "APIVersions": [
                    "v1", "apps/v1", "batch/v1", "autoscaling/v2", "networking.k8s.io/v1", "policy/v1",
                    "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "apiextensions.k8s.io/v1"
                ],
                "HelmVersion": { "Version": "v3.14.4" },
            },
            "Template": { "Name": path, "BasePath": base },
            "Files": {},
            "Subcharts": {},
        })
    }
}

fn order(kind: &str) -> (usize, String) {
    let place = INSTALL_ORDER.iter().position(|known| *known == kind);
    (place.unwrap_or(INSTALL_ORDER.len()), kind.to_owned())
}

fn capital(word: &str) -> String {
    let mut rest = word.chars();
    match (word, rest.next()) {
        ("apiVersion", _) => "APIVersion".to_owned(),
        (_, Some(first)) => first.to_uppercase().chain(rest).collect(),
        (_, None) => String::new(),
    }
}

/// Fills in what `values` lacks.
fn coalesce(values: &mut Value, defaults: &Value) {
    let Some(defaults) = defaults.as_object() else {
        return;
    };
    if values.is_null() {
        *values = json!({});
    }
    let Some(values) = values.as_object_mut() else {
        return;
    };
    for (key, default) in defaults {
        match values.get_mut(key) {
            None => {
                values.insert(key.clone(), default.clone());
            }
            Some(Value::Null) => {
                values.remove(key);
            }
            Some(value) if value.is_object() && default.is_object() => coalesce(value, default),
            Some(_) => {}
        }
    }
}

/// Every number of a chart's values is a float in Go, which shows in how a template prints a million.
fn floats(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64() {
                *value = json!(float);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(floats),
        Value::Object(map) => map.values_mut().for_each(floats),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &str, templates: &[(&str, &str)]) -> Chart {
        let files = ChartFiles {
            metadata: json!({"apiVersion": "v2", "name": "web", "version": "1.2.3", "appVersion": "v7"}),
            values: yaml::document(values).unwrap(),
            templates: templates
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        };
        Chart::new(&files, &ServiceSeed::default())
    }

    const OCCASION: Occasion<'_> = Occasion {
        name: "shop",
        namespace: "ns",
        revision: 2,
    };

    fn rendered(chart: &Chart, config: &Value) -> Result<Vec<Value>, String> {
        chart.render(OCCASION, &chart.coalesce(config))
    }

    #[test]
    fn values_are_merged_over_the_defaults_and_a_null_takes_one_away() {
        let chart = chart("a: {b: 1, c: 2}\nlist: [1, 2]\ngone: x\nkept: here\n", &[]);
        assert_eq!(
            chart.coalesce(&json!({"a": {"b": 9}, "list": [3], "gone": null, "new": 1})),
            json!({"a": {"b": 9.0, "c": 2.0}, "list": [3.0], "kept": "here", "new": 1.0})
        );
    }

    #[test]
    fn helpers_are_shared_and_only_manifests_become_objects() {
        let chart = chart(
            "replicas: 2\nlabels: {team: a}\n",
            &[
                (
                    "_helpers.tpl",
                    "{{- define \"web.labels\" -}}\napp: {{ .Release.Name }}\nchart: {{ .Chart.Name }}-{{ .Chart.Version }}\n{{- with .Values.labels }}\n{{ toYaml . }}\n{{- end }}\n{{- end }}",
                ),
                ("NOTES.txt", "Installed {{ .Release.Name }}."),
                (
                    "deployment.yaml",
                    "kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\n  labels:\n    {{- include \"web.labels\" . | nindent 4 }}\nspec:\n  replicas: {{ .Values.replicas }}\n  note: \"{{ .Values.missing }}\"\n",
                ),
                (
                    "more.yaml",
                    "{{- if .Release.IsUpgrade }}\nkind: ConfigMap\nmetadata: {name: cm}\n{{- end }}\n---\n# nothing\n---\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n",
                ),
            ],
        );
        assert_eq!(
            rendered(&chart, &json!({})).unwrap(),
            [
                json!({"kind": "ConfigMap", "metadata": {"name": "cm"}}),
                json!({
                    "kind": "Deployment",
                    "metadata": {
                        "name": "shop", "namespace": "ns",
                        "labels": {"app": "shop", "chart": "web-1.2.3", "team": "a"}
                    },
                    "spec": {"replicas": 2, "note": ""}
                }),
            ],
            "ConfigMaps are installed before Deployments"
        );
    }

    #[test]
    fn numbers_are_printed_as_go_prints_the_floats_that_values_are() {
        let chart = chart(
            "n: 2\nbig: 1000000\n",
            &[(
                "a.yaml",
                "kind: A\nplain: {{ .Values.n }}\nbig: \"{{ .Values.big }}\"\nint: {{ int .Values.big }}\nyaml:\n  {{- toYaml .Values | nindent 2 }}\n",
            )],
        );
        assert_eq!(
            rendered(&chart, &json!({})).unwrap(),
            [
                json!({"kind": "A", "plain": 2, "big": "1e+06", "int": 1_000_000, "yaml": {"n": 2, "big": 1_000_000}})
            ]
        );
    }

    #[test]
    fn a_template_that_fails_is_named() {
        let broken = [
            ("{{ .Values.a.b.c }}", "nil pointer"),
            (
                "{{ required \"a tag is needed\" .Values.tag }}",
                "a tag is needed",
            ),
            ("{{ nonsense }}", "function \"nonsense\" not defined"),
            ("{{ if }}", "parse error"),
            ("a: [b", "YAML parse error"),
            ("a: b", "kind not set"),
        ];
        for (text, reason) in broken {
            let error = rendered(&chart("", &[("a.yaml", text)]), &json!({})).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("web/templates/a.yaml"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn releases_are_named_by_the_template_s_rule() {
        let place = Place {
            project: "shop",
            env: "dev",
            namespace: "ns",
            service: "web",
            cluster: None,
        };
        let mut chart = chart("", &[]);
        assert_eq!(chart.release_name(place), "web");
        chart.release_naming = "$Product$-$Namespace$-$EnvName$-$Service$".to_owned();
        assert_eq!(chart.release_name(place), "shop-ns-dev-web");
    }
}
