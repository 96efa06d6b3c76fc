//! Objects in which, taken together, every field has a value that matters, in the project of the demo.
//!
//! `TAG` stands for a name of the object's own, `NAMESPACE` for the scenario's namespace, `URL` for the address of its Zadig,
//! `PEM` for a certificate, and `HASH` as an approved plan for the one that is shown when it is time to approve.

use serde_json::{Value, json};

/// An object that lives, and what it needs beside it.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) kind: &'static str,
    pub(crate) spec: Value,
    /// Manifests that are applied with it, as kind, name and spec.
    pub(crate) beside: Vec<(&'static str, &'static str, Value)>,
    /// What other people do to its environment.
    pub(crate) others: Others,
    /// Other values of leaves for which not any other value will do.
    pub(crate) other: Vec<(&'static str, Value)>,
}

/// What other people do to an environment.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Others {
    /// They set an image and pods in Zadig.
    SetInZadig,
    /// They set pods in the cluster, where Zadig does not notice.
    ScaleInCluster,
    /// They delete a Deployment in the cluster, and set an image in Zadig.
    LoseInCluster,
}

impl Base {
    fn new(kind: &'static str, spec: Value) -> Self {
        Self {
            kind,
            spec,
            beside: Vec::new(),
            others: Others::SetInZadig,
            other: Vec::new(),
        }
    }

    fn with(self, kind: &'static str, spec: Value) -> Self {
        self.with_named(kind, "TAG", spec)
    }

    fn with_named(mut self, kind: &'static str, name: &'static str, spec: Value) -> Self {
        self.beside.push((kind, name, spec));
        self
    }

    fn others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }

    fn other(mut self, leaf: &'static str, value: Value) -> Self {
        self.other.push((leaf, value));
        self
    }
}

/// What the key of an environment ends in whose creation never ends.
pub(crate) const STUCK: &str = "stuck";

/// Every base.
pub(crate) fn bases() -> Vec<Base> {
    [
        connections(),
        environments(),
        shared(),
        approved(),
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
        "creation": "CreateOrAdopt",
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
        env(json!({"management": "Enforce", "scope": "Test", "services": [{"name": "web"}]})),
        env(json!({
            "liveDrift": "Report",
            "services": [
                {"name": "api"}, {"name": "web", "variables": [{"key": "PORT", "value": "9090"}]},
            ],
        }))
        .others(Others::LoseInCluster),
    ]
}

/// A base, and an environment on top of one.
fn shared() -> Vec<Base> {
    let base = |fields: Value| {
        let usual = json!({"sharing": "Enabled", "deletionProtection": false});
        environment(&merged(usual, &fields))
    };
    let portal = json!({"service": "web", "servers": [{"host": "TAG.example.com", "port": 80, "protocol": "HTTP"}]});
    let sub = environment(&json!({
        "services": [{"name": "api"}, {"name": "web"}],
        "subEnvironmentOf": {"name": "TAG-base", "portals": [portal]},
    }));
    vec![
        Base::new("ZadigEnvironment", base(json!({}))),
        Base::new("ZadigEnvironment", sub)
            .with_named(
                "ZadigEnvironment",
                "TAG-base",
                base(json!({"envKey": "TAG-base", "namespace": "TAG-base-ns"})),
            )
            .other(
                "ZadigEnvironment.subEnvironmentOf.portals[].service",
                json!("api"),
            )
            // Any other port would be in the way of all other portals of the cluster.
            .other(
                "ZadigEnvironment.subEnvironmentOf.portals[].servers[].port",
                json!(443),
            ),
    ]
}

/// Objects whose plans wait for an approval.
fn approved() -> Vec<Base> {
    let approves = json!({"management": "Approve", "approvedPlan": "HASH"});
    let home = || environment(&merged(json!({"services": [{"name": "web"}]}), &approves));
    let inside = |kind: &'static str, spec: Value| {
        let spec = merged(spec, &json!({"approvedPlan": "HASH"}));
        Base::new(kind, spec).with("ZadigEnvironment", home())
    };
    vec![
        Base::new("ZadigEnvironment", home()),
        inside(
            "ZadigEnvConfig",
            json!({
                "environmentRef": {"name": "TAG"}, "type": "ConfigMap", "name": "TAG",
                "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
            }),
        ),
        inside(
            "ZadigServiceBinding",
            json!({
                "environmentRef": {"name": "TAG", "namespace": "NAMESPACE"}, "service": {"name": "api"},
            }),
        ),
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
    // The namespace may have been there.
    from_git.spec["creation"] = "CreateOrAdopt".into();
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
    let user = |fields: Value| {
        let connection = json!({"connectionRef": {"name": "TAG"}});
        environment(&merged(connection, &fields))
    };
    let own = |fields: Value| {
        let spec = json!({
            "url": "URL",
            "tokenSecretRef": {"name": "zadig-token", "key": "token"},
            "intervals": {"list": "1s"},
            "limits": {"requestsPerSecond": 200, "burst": 200, "maxInFlight": 32},
            "maxDeletionsPerHour": 60,
            "suspend": false,
        });
        let connection = Base::new("ZadigConnection", merged(spec, &fields));
        connection.with("ZadigEnvironment", user(json!({})))
    };
    let stuck = json!({"intervals": {"list": "1s", "stuck": "2s"}});
    let mut stuck = own(stuck).other("ZadigConnection.intervals.stuck", json!("1h"));
    stuck.beside[0].2 = user(json!({"envKey": format!("TAG-{STUCK}")}));
    let access = |from: Value| {
        json!({"access": [{
            "namespaces": from, "projects": ["shop"], "scopes": ["Test"], "targetNamespaces": ["TAG-ns"],
        }]})
    };
    let ca = |source: &str| json!({"caBundle": {source: {"name": "ca", "key": "ca.crt"}}});
    let labels = json!({"matchLabels": {"zadig-operator.io/scenario": "true"}});
    // A look that is due by itself would find what a list has to.
    let rests = json!({"intervals": {"list": "1s", "deep": "168h"}});
    vec![
        own(json!({"intervals": {"deep": "2s"}}))
            .others(Others::ScaleInCluster)
            .other("ZadigConnection.intervals.deep", json!("1h"))
            .other("ZadigConnection.url", json!("http://127.0.0.1:1"))
            .other("ZadigConnection.maxDeletionsPerHour", json!(0)),
        own(merged(access(json!({"from": "Same"})), &rests))
            .other("ZadigConnection.intervals.list", json!("1h")),
        stuck,
        own(access(json!({"from": "Selector", "selector": labels}))),
        own(ca("configMapRef")),
        own(ca("secretRef")),
        own(json!({"caBundle": {"inline": "PEM"}})),
    ]
}
