//! Every bound of the schemas, found by walking them: a value just beyond it is refused at its field.

use futures::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use super::{kinds, suspended};
use crate::support::{Setup, scenario_with};

/// A step into a value.
#[derive(Clone)]
enum Step {
    Field(String),
    FirstItem,
    FirstEntry,
}

/// A bound and a way to break it.
struct Bound {
    at: Vec<Step>,
    /// Its name in the schema, for a test that fails.
    name: &'static str,
    /// Makes a value that breaks it of one that does not.
    broken: Box<dyn Fn(&Value) -> Value + Send + Sync>,
    /// What the API server's words contain.
    says: String,
    /// The field within the value that the words are about; usually the value itself.
    field: String,
}

/// Valid specs in which, taken together, every field has a value.
fn valid(kind: &str) -> Vec<Value> {
    let key = json!({"name": "app", "key": "ca.crt"});
    let specs = match kind {
        "ZadigConnection" => vec![
            json!({
                "url": "https://zadig.example.com",
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "caBundle": {"inline": "pem"},
                "access": [{
                    "namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "blue"}}},
                    "projects": ["shop"], "scopes": ["Test"], "targetNamespaces": ["shop"],
                }],
                "maxDeletionsPerHour": 60,
                "limits": {"requestsPerSecond": 20, "burst": 40, "maxInFlight": 8},
                "intervals": {"list": "30s", "deep": "15m", "stuck": "10m"},
            }),
            json!({
                "url": "https://zadig.example.com",
                "tokenSecretRef": {"name": "zadig-token"},
                "caBundle": {"configMapRef": key},
            }),
            json!({
                "url": "https://zadig.example.com",
                "tokenSecretRef": {"name": "zadig-token"},
                "caBundle": {"secretRef": key},
            }),
        ],
        "ZadigEnvironment" => {
            let environment = |cluster: Value, registry: Value, source: Value| {
                json!({
                    "connectionRef": {"name": "default", "namespace": "zadig"},
                    "projectKey": "shop", "envKey": "dev", "scope": "Test", "deployType": "KubernetesYAML",
                    "cluster": cluster, "namespace": "shop-dev", "registry": registry,
                    "globalVariables": [{"key": "a", "valueFrom": source}],
                    "configRefs": [{"name": "app"}],
                    "services": [{
                        "name": "api", "restartToken": "x",
                        "variables": [{"key": "a", "valueFrom": source}],
                        "containers": [{"name": "api", "image": "api:1", "policy": "Enforce"}],
                        "workloads": [{"kind": "Deployment", "name": "api", "replicas": 1, "policy": "Enforce"}],
                    }],
                    "creation": "Create", "deletion": "Delete", "deletionProtection": true, "prune": "Owned",
                    "liveDrift": "Repair",
                    "management": "Approve", "approvedPlan": "x",
                    "bindings": {"from": "Selector", "selector": {"matchLabels": {"team": "blue"}}},
                })
            };
            let id = json!({"id": "0123456789abcdef01234567"});
            let mut plain = environment(
                json!({"name": "blue"}),
                json!({"address": "r/shop"}),
                json!({}),
            );
            plain["sharing"] = json!("Enabled");
            for list in ["/globalVariables", "/services/0/variables"] {
                *plain.pointer_mut(list).expect("a list") = json!([{"key": "a", "value": "x"}]);
            }
            let production = json!({
                "connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "prod",
                "scope": "Production", "alias": "Shop",
            });
            let helm = helm(&key).map(|helm| {
                json!({
                    "connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev",
                    "deployType": "Helm", "alias": "Dev",
                    "services": [{"name": "web", "helm": helm}],
                })
            });
            let mut preview = plain.clone();
            preview["deletionProtection"] = false.into();
            preview["ttl"] = "72h".into();
            let mut sub = environment(id.clone(), id.clone(), json!({"secretKeyRef": key}));
            sub["subEnvironmentOf"] = json!({
                "name": "base",
                "portals": [{
                    "service": "api",
                    "servers": [{"host": "a.example.com", "port": 80, "protocol": "HTTP"}],
                }],
            });
            let yaml = [
                plain,
                preview,
                sub,
                production,
                environment(id.clone(), id, json!({"configMapKeyRef": key})),
            ];
            yaml.into_iter().chain(helm).collect()
        }
        "ZadigEnvConfig" => {
            let config = |type_: &str, source: &str, value: Value| {
                json!({
                    "environmentRef": {"name": "dev"}, "type": type_, "name": "app",
                    source: value, "creation": "Create", "deletion": "Delete", "approvedPlan": "x",
                })
            };
            let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap"});
            let mut from_git = config("ConfigMap", "manifest", manifest);
            from_git["git"] = json!({
                "codehostId": 7, "owner": "shop", "repo": "config", "branch": "main",
                "path": "dev/app.yaml", "autoSync": true,
            });
            vec![
                from_git,
                config("ConfigMap", "configMapRef", json!({"name": "app"})),
                config("Secret", "secretRef", json!({"name": "app"})),
            ]
        }
        "ZadigServiceBinding" => {
            let binding = |variable: Value| {
                json!({
                    "environmentRef": {"name": "dev", "namespace": "zadig"},
                    "service": {
                        "name": "api", "restartToken": "x", "variables": [variable],
                        "containers": [{"name": "api", "image": "api:1", "policy": "Enforce"}],
                        "workloads": [{"kind": "Deployment", "name": "api", "replicas": 1, "policy": "Enforce"}],
                    },
                    "scaleTarget": {"kind": "StatefulSet", "name": "db"}, "replicas": 1,
                    "creation": "Create", "deletion": "Delete", "approvedPlan": "x",
                })
            };
            let helm = helm(&key).map(|helm| {
                json!({"environmentRef": {"name": "dev"}, "service": {"name": "web", "helm": helm}})
            });
            let yaml = [
                binding(json!({"key": "a", "value": "x"})),
                binding(json!({"key": "a", "valueFrom": {"secretKeyRef": key}})),
                binding(json!({"key": "a", "valueFrom": {"configMapKeyRef": key}})),
            ];
            yaml.into_iter().chain(helm).collect()
        }
        other => panic!("there is no valid spec of {other}"),
    };
    specs.into_iter().map(suspended).collect()
}

/// Releases in which, taken together, every field has a value.
fn helm(key: &Value) -> [Value; 3] {
    let from = |source: &str| {
        let source = json!({source: key});
        json!({
            "strategy": "Deploy", "values": {"replicaCount": 2}, "valuesFrom": [source],
            "overrides": [{"key": r"a.b\.c[0]", "valueFrom": source}],
        })
    };
    let git = json!({
        "git": {"codehost": "gitlab", "owner": "team", "repo": "values", "branch": "main", "path": "web.yaml"},
        "overrides": [{"key": "a", "value": "x"}],
    });
    [from("secretKeyRef"), from("configMapKeyRef"), git]
}

fn bounds(at: &[Step], schema: &Value, found: &mut Vec<Bound>) {
    let mut add = |name, says: String, broken: Box<dyn Fn(&Value) -> Value + Send + Sync>| {
        found.push(Bound {
            at: at.to_vec(),
            name,
            broken,
            says,
            field: String::new(),
        });
    };
    let number = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(least) = number("minLength") {
        add(
            "minLength",
            format!("should be at least {least} chars long"),
            Box::new(|_| json!("")),
        );
    }
    if let Some(most) = number("maxLength") {
        let long = "a".repeat(most + 1);
        add(
            "maxLength",
            format!("may not be more than {most} bytes"),
            Box::new(move |_| json!(long)),
        );
    }
    if schema["enum"].is_array() {
        let says = "Unsupported value: \"Nonsense\": supported values: ".to_owned();
        add("enum", says, Box::new(|_| json!("Nonsense")));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        add(
            "pattern",
            format!("should match '{pattern}'"),
            Box::new(|_| json!("not this!")),
        );
    }
    if let Some(least) = schema["minimum"].as_f64() {
        let says = format!("should be greater than or equal to {least}");
        add("minimum", says, Box::new(move |_| json!(least - 1.0)));
    }
    if let Some(most) = schema["maximum"].as_f64() {
        let says = format!("should be less than or equal to {most}");
        add("maximum", says, Box::new(move |_| json!(most + 1.0)));
    }
    if let Some(most) = number("maxItems") {
        let many = move |list: &Value| Value::Array(vec![list[0].clone(); most + 1]);
        add(
            "maxItems",
            format!("must have at most {most} item"),
            Box::new(many),
        );
    }
    if let Some(least) = number("minItems") {
        add(
            "minItems",
            format!("should have at least {least} item"),
            Box::new(|_| json!([])),
        );
    }
    if let Some(least) = number("minProperties") {
        add(
            "minProperties",
            format!("should have at least {least} propert"),
            Box::new(|_| json!({})),
        );
    }
    if let Some(most) = number("maxProperties") {
        let many = move |_: &Value| {
            let entries = (0..=most).map(|n| (format!("k{n}"), json!("x")));
            Value::Object(entries.collect::<Map<_, _>>())
        };
        add(
            "maxProperties",
            format!("must have at most {most} items"),
            Box::new(many),
        );
    }
    if matches!(
        schema["x-kubernetes-list-type"].as_str(),
        Some("map" | "set")
    ) {
        let twice = |list: &Value| json!([list[0], list[0]]);
        add("list type", "Duplicate value".to_owned(), Box::new(twice));
        if let Some(bound) = found.last_mut() {
            "[1]".clone_into(&mut bound.field);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default().to_owned();
        let field = format!(".{name}");
        let without = move |object: &Value| {
            let mut object = object.clone();
            object
                .as_object_mut()
                .and_then(|object| object.remove(&name));
            object
        };
        found.push(Bound {
            at: at.to_vec(),
            name: "required",
            broken: Box::new(without),
            says: "Required value".to_owned(),
            field,
        });
    }
    let mut inside = |step: Step, schema: &Value| bounds(&[at, &[step]].concat(), schema, found);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        inside(Step::Field(name.clone()), field);
    }
    if schema["items"].is_object() {
        inside(Step::FirstItem, &schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        inside(Step::FirstEntry, &schema["additionalProperties"]);
    }
}

/// The place of a value in a spec and its path as the API server writes it; none if the spec has no such value.
fn find<'a>(spec: &'a mut Value, at: &[Step]) -> Option<(&'a mut Value, String)> {
    let (mut place, mut path) = (spec, "spec".to_owned());
    for step in at {
        place = match step {
            Step::Field(name) => {
                path = format!("{path}.{name}");
                place.get_mut(name.as_str())?
            }
            Step::FirstItem => {
                path = format!("{path}[0]");
                place.get_mut(0)?
            }
            Step::FirstEntry => {
                let (name, value) = place.as_object_mut()?.iter_mut().next()?;
                path = format!("{path}.{name}");
                value
            }
        };
    }
    Some((place, path))
}

#[test]
fn every_bound_is_broken_and_told_at_its_field() {
    scenario_with(Setup::default().without_connection(), async |world| {
        for kind in kinds() {
            for spec in valid(&kind.name) {
                let told = kind.try_create(world, &spec).await;
                assert_eq!(told.len(), 0, "{} {spec}: {told:#?}", kind.name);
            }
            let mut found = Vec::new();
            bounds(&[], &kind.spec, &mut found);
            let kind = &kind;
            stream::iter(found)
                .for_each_concurrent(8, async |bound| {
                    let mut specs = valid(&kind.name).into_iter();
                    let broken = specs.find_map(|mut spec| {
                        let (place, path) = find(&mut spec, &bound.at)?;
                        *place = (bound.broken)(place);
                        Some((spec, format!("{path}{}", bound.field)))
                    });
                    let at: Vec<String> = bound.at.iter().map(name).collect();
                    let what = format!("{} of {} {}", bound.name, kind.name, at.join("."));
                    let (spec, field) =
                        broken.unwrap_or_else(|| panic!("{what}: no valid spec has it"));
                    let told = kind.try_create(world, &spec).await;
                    let mut matching = told.iter().filter(|cause| {
                        cause.field == field && cause.message.contains(&bound.says)
                    });
                    assert!(
                        matching.next().is_some(),
                        "{what}: expected at {field} {:?}, read {told:#?}",
                        bound.says
                    );
                })
                .await;
        }
    });
}

fn name(step: &Step) -> String {
    match step {
        Step::Field(name) => name.clone(),
        Step::FirstItem => "0".to_owned(),
        Step::FirstEntry => "*".to_owned(),
    }
}
