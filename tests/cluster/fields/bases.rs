//! Objects in which, taken together, every field has a value that matters, in the project of the demo.
//!
//! `TAG` stands for a name of the object's own, `NAMESPACE` for the scenario's namespace, `URL` for the address of its Zadig,
//! `PEM` for a certificate.

use serde_json::{Value, json};

/// An object that lives, and what it needs beside it.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) kind: &'static str,
    pub(crate) spec: Value,
    /// Manifests that are applied with it, as kind and spec; all are named `TAG`.
    pub(crate) beside: Vec<(&'static str, Value)>,
    /// Other values of leaves for which not any other value will do.
    pub(crate) other: Vec<(&'static str, Value)>,
}

impl Base {
    fn new(kind: &'static str, spec: Value) -> Self {
        Self {
            kind,
            spec,
            beside: Vec::new(),
            other: Vec::new(),
        }
    }

    fn with(mut self, kind: &'static str, spec: Value) -> Self {
        self.beside.push((kind, spec));
        self
    }

    fn other(mut self, leaf: &'static str, value: Value) -> Self {
        self.other.push((leaf, value));
        self
    }
}

/// Every base.
pub(crate) fn bases() -> Vec<Base> {
    [
        connections(),
        environments(),
        releases(),
        configs(),
        bindings(),
    ]
    .concat()
}

fn key(of: &str) -> Value {
    match of {
        "secretKeyRef" => json!({of: {"name": "login", "key": "password"}}),
        _ => json!({of: {"name": "settings", "key": "level"}}),
    }
}

fn merged(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

fn service(fields: &Value) -> Value {
    let usual = json!({
        "name": "api",
        "restartToken": "morning",
        "containers": [{"name": "api", "image": "registry.example.com/shop/api:1.0.1", "policy": "Enforce"}],
        "workloads": [{"kind": "Deployment", "name": "api", "replicas": 2, "policy": "Enforce"}],
    });
    merged(usual, fields)
}

fn environment(fields: &Value) -> Value {
    let usual = json!({
        "connectionRef": {"name": "default", "namespace": "NAMESPACE"},
        "projectKey": "shop",
        "envKey": "TAG",
        "namespace": "TAG-ns",
        "services": [service(&json!({})), {"name": "web"}],
    });
    merged(usual, fields)
}

fn environments() -> Vec<Base> {
    let env = |fields: Value| Base::new("ZadigEnvironment", environment(&fields));
    let variables =
        |first: Value| json!([service(&json!({"variables": [first]})), {"name": "web"}]);
    let config = json!({
        "environmentRef": {"name": "TAG"}, "type": "ConfigMap", "name": "TAG",
        "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
    });
    vec![
        env(json!({
            "cluster": {"name": "dev-cluster"},
            "registry": {"address": "registry.example.com/mirror"},
            "globalVariables": [{"key": "LOG_LEVEL", "value": "debug"}],
            "configRefs": [{"name": "TAG"}],
            "services": variables(json!({"key": "LOG_LEVEL", "value": "debug"})),
            "creation": "Create", "deletion": "Delete", "prune": "Owned",
            "bindings": {"from": "Same"}, "suspend": false, "deletionProtection": false,
        }))
        .with("ZadigEnvConfig", config)
        .other("ZadigEnvironment.globalVariables[].value", json!("warn"))
        .other(
            "ZadigEnvironment.services[].variables[].value",
            json!("warn"),
        )
        .other("ZadigEnvironment.services[].restartToken", json!("evening"))
        .other(
            "ZadigEnvironment.services[].containers[].image",
            json!("registry.example.com/shop/api:1.0.2"),
        ),
        env(json!({
            "ttl": "100h",
            "cluster": {"id": "64b0c5e2f1a2b3c4d5e6f702"},
            "registry": {"id": "6b04620901383fca57a37f94"},
            "globalVariables": [{"key": "REGION", "valueFrom": key("secretKeyRef")}],
            "services": variables(json!({"key": "DB_PASSWORD", "valueFrom": key("secretKeyRef")})),
            "bindings": {"from": "Selector", "selector": {
                "matchLabels": {"team": "blue"},
            }},
        }))
        .other("ZadigEnvironment.ttl", json!("1s")),
        env(json!({
            "globalVariables": [
                {"key": "REGION", "valueFrom": key("configMapKeyRef")}, {"key": "LOG_LEVEL", "value": "debug"},
            ],
            "services": variables(json!({"key": "DB_PASSWORD", "valueFrom": key("configMapKeyRef")})),
            "bindings": {"from": "All"},
        })),
        env(json!({
            "globalVariables": [{"key": "LOG_LEVEL", "value": "debug"}],
            "services": variables(json!({"key": "LOG_LEVEL", "useGlobal": true})),
        })),
    ]
}

/// Services of a Helm environment, inline and of a binding.
fn releases() -> Vec<Base> {
    let file = |of: &str| json!({of: {"name": "values", "key": "values.yaml"}});
    let from = |of: &str, single: Value| {
        json!({
            "strategy": "Deploy", "values": {"replicaCount": 2}, "valuesFrom": [file(of)],
            "overrides": [merged(json!({"key": "ingress.hosts[0]"}), &single)],
        })
    };
    let git = json!({
        "git": {"codehost": "gitlab", "owner": "shop", "repo": "values", "branch": "main", "path": "web.yaml"},
        "overrides": [{"key": "ingress.hosts[0]", "valueFrom": key("configMapKeyRef")}],
    });
    let ways = [
        from("secretKeyRef", json!({"value": "a.example.com"})),
        from("configMapKeyRef", json!({"valueFrom": key("secretKeyRef")})),
        git,
    ];
    let home = |services: Value| {
        environment(&json!({
            "projectKey": "shop-charts", "deployType": "Helm", "alias": "TAG is mine", "services": services,
        }))
    };
    let inline = ways.clone().map(|helm| {
        Base::new(
            "ZadigEnvironment",
            home(json!([{"name": "web", "helm": helm}])),
        )
    });
    let bound = ways.map(|helm| {
        let spec = json!({
            "environmentRef": {"name": "TAG", "namespace": "NAMESPACE"},
            "service": {"name": "web", "helm": helm},
        });
        Base::new("ZadigServiceBinding", spec).with("ZadigEnvironment", home(json!([])))
    });
    inline.into_iter().chain(bound).collect()
}

fn configs() -> Vec<Base> {
    let config = |type_: &str, source: &str, value: Value| {
        let spec = json!({
            "environmentRef": {"name": "home"}, "type": type_, "name": "TAG", source: value,
            "creation": "Create", "deletion": "Delete", "suspend": false,
        });
        Base::new("ZadigEnvConfig", spec)
    };
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
    let mut from_git = config("ConfigMap", "manifest", manifest.clone()).with(
        "ZadigEnvironment",
        environment(&json!({"configRefs": [{"name": "TAG"}]})),
    );
    from_git.spec["environmentRef"]["name"] = "TAG".into();
    from_git.spec["git"] = json!({
        "codehostId": 7, "owner": "shop", "repo": "config", "branch": "main",
        "path": "dev/app.yaml", "autoSync": true,
    });
    vec![
        config("ConfigMap", "manifest", manifest),
        config("ConfigMap", "configMapRef", json!({"name": "settings"})),
        config("Secret", "secretRef", json!({"name": "login"})),
        from_git,
    ]
}

fn bindings() -> Vec<Base> {
    let binding = |first: Value, fields: &Value| {
        let api = service(&json!({"variables": [first]}));
        let spec = json!({
            "environmentRef": {"name": "TAG", "namespace": "NAMESPACE"},
            "service": api, "creation": "Create", "deletion": "Delete", "suspend": false,
        });
        let home = environment(&json!({
            "globalVariables": [{"key": "LOG_LEVEL", "value": "debug"}], "services": [{"name": "web"}],
        }));
        Base::new("ZadigServiceBinding", merged(spec, fields)).with("ZadigEnvironment", home)
    };
    let plain = json!({"key": "LOG_LEVEL", "value": "debug"});
    let scaled = json!({
        "service": {"name": "db"}, "scaleTarget": {"kind": "StatefulSet", "name": "db"}, "replicas": 2,
    });
    let from = |source: &str| json!({"key": "DB_PASSWORD", "valueFrom": key(source)});
    let bound = json!({"key": "LOG_LEVEL", "useGlobal": true});
    vec![
        binding(plain.clone(), &json!({}))
            .other(
                "ZadigServiceBinding.service.variables[].value",
                json!("warn"),
            )
            .other("ZadigServiceBinding.service.restartToken", json!("evening"))
            .other(
                "ZadigServiceBinding.service.containers[].image",
                json!("registry.example.com/shop/api:1.0.2"),
            ),
        binding(plain, &scaled),
        binding(bound, &json!({})),
        binding(from("secretKeyRef"), &json!({})),
        binding(from("configMapKeyRef"), &json!({})),
    ]
}

fn connections() -> Vec<Base> {
    let own = |fields: Value| {
        let spec = json!({
            "url": "URL",
            "tokenSecretRef": {"name": "zadig-token", "key": "token"},
            "intervals": {"list": "1s", "deep": "2s", "stuck": "30s"},
            "limits": {"requestsPerSecond": 200, "burst": 200, "maxInFlight": 32},
            "maxDeletionsPerHour": 60,
            "suspend": false,
        });
        let user = environment(&json!({"connectionRef": {"name": "TAG"}}));
        Base::new("ZadigConnection", merged(spec, &fields)).with("ZadigEnvironment", user)
    };
    let access = |from: Value| {
        json!({"access": [{
            "namespaces": from, "projects": ["shop"], "scopes": ["Test"], "targetNamespaces": ["TAG-ns"],
        }]})
    };
    let ca = |source: &str| json!({"caBundle": {source: {"name": "ca", "key": "ca.crt"}}});
    let labels = json!({"matchLabels": {"zadig-operator.io/scenario": "true"}});
    vec![
        own(access(json!({"from": "Same"})))
            .other("ZadigConnection.url", json!("http://127.0.0.1:1")),
        own(access(json!({"from": "Selector", "selector": labels}))),
        own(ca("configMapRef")),
        own(ca("secretRef")),
        own(json!({"caBundle": {"inline": "PEM"}})),
    ]
}
