//! Every rule with a sentence of ours (CEL): what breaks it, at which field it is told, and the whole sentence.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::{Kind, kinds, suspended, with};
use crate::support::{Setup, World, scenario_with};

/// A rule: kind, field with `[]` for any index, sentence.
type Rule = (String, String, String);

const LABEL: &str = "lower-case letters, digits and '-', with a letter or digit at both ends";
const SUBDOMAIN: &str =
    "lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
const ID: &str = "id must be an id of Zadig: 24 hexadecimal digits in lower case; to use a name, set the other field";
const DURATION: &str =
    "must be a duration of whole numbers with the units h, m, s or ms, such as 30s or 1h30m";
const SOURCE: &str = "set exactly one of secretKeyRef, configMapKeyRef";
const SELECTOR: &str = "selector goes with from: Selector, and only with it";
const DRIFT: &str = "Zadig tells times in seconds, and drift must not stay unseen";

/// What somebody writes.
enum Try {
    /// A new object: the valid one with this at that path.
    New(String, Value),
    /// A change of the object that has every optional identity field.
    Change(Value),
    /// A change of the object that has none.
    ChangeBare(Value),
}

struct Case {
    kind: &'static str,
    field: String,
    sentence: String,
    tries: Vec<Try>,
}

fn case(
    kind: &'static str,
    field: impl Into<String>,
    sentence: impl Into<String>,
    tries: impl Into<Vec<Try>>,
) -> Case {
    Case {
        kind,
        field: field.into(),
        sentence: sentence.into(),
        tries: tries.into(),
    }
}

fn new(path: impl Into<String>, value: Value) -> Try {
    Try::New(path.into(), value)
}

fn valid(kind: &str) -> Value {
    suspended(match kind {
        "ZadigConnection" => json!({
            "url": "https://zadig.example.com",
            "tokenSecretRef": {"name": "zadig-token"},
            "access": [{"projects": ["shop*"], "targetNamespaces": ["shop-*"], "namespaces": {"from": "Same"}}],
            "intervals": {"list": "30s", "deep": "15m", "stuck": "10m"},
            "caBundle": {"inline": "x"},
        }),
        "ZadigEnvironment" => json!({
            "connectionRef": {"name": "default", "namespace": "zadig"},
            "projectKey": "shop",
            "envKey": "dev",
            "cluster": {"name": "blue"},
            "namespace": "shop-dev",
            "registry": {"address": "registry.example.com/shop"},
            "globalVariables": [{"key": "a", "value": "x"}],
            "services": [{
                "name": "api",
                "variables": [{"key": "a", "value": "x"}],
                "containers": [{"name": "api", "image": "api:1"}],
                "workloads": [{"kind": "Deployment", "name": "api", "replicas": 1}],
            }],
            "subEnvironmentOf": {
                "name": "base",
                "portals": [{"service": "api", "servers": [{"host": "a.example.com", "port": 80}]}],
            },
        }),
        "ZadigEnvConfig" => json!({
            "environmentRef": {"name": "dev"},
            "type": "ConfigMap",
            "name": "app",
            "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
            "git": git_file(),
        }),
        "ZadigServiceBinding" => json!({
            "environmentRef": {"name": "dev", "namespace": "zadig"},
            "service": {
                "name": "api",
                "variables": [{"key": "a", "value": "x"}],
                "containers": [{"name": "api", "image": "api:1"}],
                "workloads": [{"kind": "Deployment", "name": "api", "replicas": 1}],
            },
            "scaleTarget": {"kind": "StatefulSet", "name": "db"},
        }),
        other => panic!("there is no valid spec of {other}"),
    })
}

fn git_file() -> Value {
    json!({
        "codehostId": 7, "owner": "shop", "repo": "config", "branch": "main", "path": "dev/app.yaml",
    })
}

fn bare() -> Value {
    suspended(json!({
        "connectionRef": {"name": "default"},
        "projectKey": "shop",
        "envKey": "bare",
    }))
}

fn connection_cases() -> Vec<Case> {
    let case =
        |field, sentence: &str, tries: Vec<Try>| case("ZadigConnection", field, sentence, tries);
    let url = |url: &str| vec![new("url", json!(url))];
    let interval = |path, value: &str| vec![new(path, json!(value))];
    vec![
        case(
            "spec.url",
            "url must start with https:// or http://",
            url("zadig.example.com"),
        ),
        case(
            "spec.url",
            "url must not contain a user name or password: the token belongs in the Secret of tokenSecretRef",
            url("https://admin:secret@zadig.example.com"),
        ),
        case(
            "spec.url",
            "url must end before the first '?' or '#': only scheme, host, port and path prefix are used",
            vec![
                new("url", json!("https://zadig.example.com?token=x")),
                new("url", json!("https://zadig.example.com#top")),
            ],
        ),
        case(
            "spec.url",
            "url must be an address with a host, such as https://zadig.example.com",
            url("https:///zadig"),
        ),
        case(
            "spec.tokenSecretRef.name",
            &format!("name must be the name of a Secret: {SUBDOMAIN}"),
            vec![new("tokenSecretRef.name", json!("Zadig_Token"))],
        ),
        case(
            "spec.tokenSecretRef.key",
            "key must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'",
            vec![new("tokenSecretRef.key", json!("a key"))],
        ),
        case(
            "spec.caBundle",
            "set exactly one of configMapRef, secretRef, inline",
            vec![
                new("caBundle", json!({})),
                new("caBundle.secretRef", json!({"name": "ca", "key": "ca.crt"})),
            ],
        ),
        case(
            "spec.access[].projects",
            "projects must be keys of Zadig projects: lower-case letters, digits and '-', and '*' for any characters",
            vec![new("access.0.projects", json!(["Shop"]))],
        ),
        case(
            "spec.access[].targetNamespaces",
            "targetNamespaces must be names of namespaces: lower-case letters, digits and '-', and '*' for any characters",
            vec![new("access.0.targetNamespaces", json!(["shop_1"]))],
        ),
        case(
            "spec.access[].namespaces.selector",
            SELECTOR,
            vec![
                new("access.0.namespaces.from", json!("Selector")),
                new(
                    "access.0.namespaces.selector",
                    json!({"matchLabels": {"team": "blue"}}),
                ),
            ],
        ),
        case(
            "spec.intervals.list",
            &format!("list {DURATION}"),
            interval("intervals.list", "0.5m"),
        ),
        case(
            "spec.intervals.deep",
            &format!("deep {DURATION}"),
            interval("intervals.deep", "1d"),
        ),
        case(
            "spec.intervals.stuck",
            &format!("stuck {DURATION}"),
            interval("intervals.stuck", "often"),
        ),
        case(
            "spec.intervals.list",
            &format!("list must be between 1s and 24h: {DRIFT}"),
            interval("intervals.list", "999ms"),
        ),
        case(
            "spec.intervals.deep",
            &format!("deep must be between 1s and 168h: {DRIFT}"),
            interval("intervals.deep", "169h"),
        ),
        case(
            "spec.intervals.stuck",
            "stuck must be between 1s and 24h: a change takes seconds at least, and a stuck one must be told",
            interval("intervals.stuck", "25h"),
        ),
    ]
}

fn environment_identity_cases() -> Vec<Case> {
    let fixed = |field, name: &str, why: &str, tries: Vec<Try>| {
        let sentence = format!("{name} cannot be changed, added or removed: {why}");
        case("ZadigEnvironment", field, sentence, tries)
    };
    let moved = "Zadig cannot move an environment; create a new ZadigEnvironment";
    vec![
        fixed(
            "spec.connectionRef",
            "connectionRef",
            "the environment would be another one; create a new ZadigEnvironment, or change the url of the connection",
            vec![
                Try::Change(json!({"connectionRef": {"name": "other"}})),
                Try::Change(json!({"connectionRef": {"namespace": "other"}})),
                Try::Change(json!({"connectionRef": {"namespace": null}})),
                Try::ChangeBare(json!({"connectionRef": {"namespace": "zadig"}})),
            ],
        ),
        fixed(
            "spec.projectKey",
            "projectKey",
            "an environment cannot move to another project; create a new ZadigEnvironment",
            vec![Try::Change(json!({"projectKey": "other"}))],
        ),
        fixed(
            "spec.envKey",
            "envKey",
            "Zadig cannot rename an environment; create a new ZadigEnvironment",
            vec![Try::Change(json!({"envKey": "other"}))],
        ),
        fixed(
            "spec.deployType",
            "deployType",
            "it belongs to the project; create a new ZadigEnvironment",
            vec![
                Try::Change(json!({"deployType": "Helm"})),
                Try::ChangeBare(json!({"deployType": "Helm"})),
            ],
        ),
        fixed(
            "spec.scope",
            "scope",
            "Zadig cannot turn one family into the other; create a new ZadigEnvironment",
            vec![Try::Change(json!({"scope": "Production"}))],
        ),
        fixed(
            "spec.cluster",
            "cluster",
            moved,
            vec![
                Try::Change(json!({"cluster": {"name": "green"}})),
                Try::Change(json!({"cluster": {"name": null, "id": "0123456789abcdef01234567"}})),
                Try::Change(json!({"cluster": null})),
                Try::ChangeBare(json!({"cluster": {"name": "blue"}})),
            ],
        ),
        fixed(
            "spec.namespace",
            "namespace",
            moved,
            vec![
                Try::Change(json!({"namespace": "other"})),
                Try::Change(json!({"namespace": null})),
                Try::ChangeBare(json!({"namespace": "shop-env-bare"})),
            ],
        ),
    ]
}

/// What an environment's part in sharing is held to.
fn sharing_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigEnvironment", field, sentence, tries)
    };
    let one = |path: &str, value: Value| vec![new(path, value)];
    let portal = |service: &str, port: i32| json!({"service": service, "servers": [{"host": "a.example.com", "port": port}]});
    let hosts = ["a_b.example.com", "A.example.com", "a.*.com", "http://a"];
    vec![
        case(
            "spec.subEnvironmentOf",
            "subEnvironmentOf cannot be added or removed, and its name cannot be changed: Zadig cannot move an environment to another base; create a new ZadigEnvironment",
            vec![
                Try::Change(json!({"subEnvironmentOf": {"name": "other"}})),
                Try::Change(json!({"subEnvironmentOf": null})),
                Try::ChangeBare(json!({"subEnvironmentOf": {"name": "base"}})),
            ],
        ),
        case(
            "spec.sharing",
            "sharing and subEnvironmentOf exclude each other: a sub-environment cannot be the base of another one",
            one("sharing", json!("Enabled")),
        ),
        case(
            "spec.sharing",
            "sharing and subEnvironmentOf are for test environments of Kubernetes YAML projects; remove them",
            one(
                "",
                json!({
                    "connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev",
                    "deployType": "Helm", "sharing": "Enabled",
                }),
            ),
        ),
        case(
            "spec.subEnvironmentOf.name",
            &format!("name must be the name of a ZadigEnvironment: {SUBDOMAIN}"),
            one("subEnvironmentOf.name", json!("Base")),
        ),
        case(
            "spec.subEnvironmentOf.portals",
            "portals of several services can only use the ports 80 and 443: Zadig keeps other ports of one service at a time",
            one(
                "subEnvironmentOf.portals",
                json!([portal("api", 80), portal("web", 8443)]),
            ),
        ),
        case(
            "spec.subEnvironmentOf.portals[].service",
            "service must be the name of a service of the environment: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            one("subEnvironmentOf.portals.0.service", json!("my api")),
        ),
        case(
            "spec.subEnvironmentOf.portals[].servers[].host",
            "host must be a host name such as web.example.com or *.example.com, in lower case",
            hosts
                .map(|host| new("subEnvironmentOf.portals.0.servers.0.host", json!(host)))
                .into(),
        ),
    ]
}

/// The two ways to name none or both of a Secret and a ConfigMap.
fn sources(path: &str) -> Vec<Try> {
    let both = json!({
        "secretKeyRef": {"name": "a", "key": "a"},
        "configMapKeyRef": {"name": "a", "key": "a"},
    });
    [json!({}), both]
        .map(|source| new(path, json!({"key": "a", "valueFrom": source})))
        .into()
}

/// What a service is held to, wherever it is declared: at this field of a kind, by this path in its valid spec.
fn service_cases(kind: &'static str, at: &str, path: &str) -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case(kind, format!("{at}{field}"), sentence, tries)
    };
    let one = |field: &str, value: Value| vec![new(format!("{path}{field}"), value)];
    let variables = [
        json!({"key": "a"}),
        json!({"key": "a", "useGlobal": false}),
        json!({"key": "a", "value": "x", "useGlobal": true}),
    ];
    let images = ["api", "registry.example.com:5000/api", "api:", "a pi:1"];
    vec![
        case(
            ".name",
            "name must be the name of a service of the project: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            one(".name", json!("my service")),
        ),
        case(
            ".variables[]",
            "set exactly one of value, valueFrom, useGlobal: true",
            variables
                .map(|variable| new(format!("{path}.variables.0"), variable))
                .into(),
        ),
        case(
            ".variables[].valueFrom",
            SOURCE,
            sources(&format!("{path}.variables.0")),
        ),
        case(
            ".containers[].name",
            &format!("name must be the name of a container: {LABEL}"),
            one(".containers.0.name", json!("Api")),
        ),
        case(
            ".containers[].image",
            "image must be an image with a tag or a digest, such as registry.example.com/shop/api:1.4.2",
            images
                .map(|image| new(format!("{path}.containers.0.image"), json!(image)))
                .into(),
        ),
        case(
            ".workloads[].name",
            &format!("name must be the name of a workload: {SUBDOMAIN}"),
            one(".workloads.0.name", json!("Api")),
        ),
    ]
}

/// What the release of a service is held to, wherever the service is declared.
fn helm_cases(kind: &'static str, at: &str, path: &str) -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case(kind, format!("{at}.helm{field}"), sentence, tries)
    };
    let helm = |helm: Value| new(format!("{path}.helm"), helm);
    let git = json!({
        "codehost": "gitlab", "owner": "team", "repo": "values", "branch": "main", "path": "web.yaml",
    });
    let both = json!({
        "secretKeyRef": {"name": "a", "key": "a"},
        "configMapKeyRef": {"name": "a", "key": "a"},
    });
    vec![
        case(
            ".git",
            "git takes the place of values and valuesFrom: Zadig would leave them out; use overrides beside it",
            vec![
                helm(json!({"git": git, "values": {"a": 1}})),
                helm(
                    json!({"git": git, "valuesFrom": [{"secretKeyRef": {"name": "a", "key": "a"}}]}),
                ),
            ],
        ),
        case(
            ".valuesFrom[]",
            SOURCE,
            vec![
                helm(json!({"valuesFrom": [{}]})),
                helm(json!({"valuesFrom": [both]})),
            ],
        ),
        case(
            ".overrides[]",
            "set exactly one of value, valueFrom",
            vec![helm(json!({"overrides": [{"key": "a"}]}))],
        ),
        case(
            ".overrides[].valueFrom",
            SOURCE,
            vec![helm(
                json!({"overrides": [{"key": "a", "valueFrom": both}]}),
            )],
        ),
    ]
}

/// What an environment's way to deploy knows nothing of.
fn deploy_type_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigEnvironment", field, sentence, tries)
    };
    let helm = |fields: Value| {
        let mut spec = json!({
            "connectionRef": {"name": "default"}, "projectKey": "shop", "envKey": "dev", "deployType": "Helm",
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        new("", spec)
    };
    let with_service = |field: &str, value: Value| {
        helm(json!({"services": [{"name": "web", field: value, "helm": {}}]}))
    };
    vec![
        case(
            "spec.globalVariables",
            "globalVariables cannot be set with deployType: Helm, which has none; use services[].helm.values",
            vec![helm(
                json!({"globalVariables": [{"key": "a", "value": "x"}]}),
            )],
        ),
        case(
            "spec.configRefs",
            "configRefs cannot be set with deployType: Helm, as the creation of a Helm environment carries no objects; they are made once it is there",
            vec![helm(json!({"configRefs": [{"name": "app"}]}))],
        ),
        case(
            "spec.services",
            "services take helm with deployType: Helm only",
            vec![new("services.0.helm", json!({}))],
        ),
        case(
            "spec.services",
            "services take no variables, containers, workloads or restartToken with deployType: Helm, as Zadig keeps none of them for a release; use helm.values",
            vec![
                with_service("variables", json!([{"key": "a", "value": "x"}])),
                with_service("containers", json!([{"name": "web", "image": "web:1"}])),
                with_service(
                    "workloads",
                    json!([{"kind": "Deployment", "name": "web", "replicas": 1}]),
                ),
                with_service("restartToken", json!("1")),
            ],
        ),
    ]
}

fn environment_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigEnvironment", field, sentence, tries)
    };
    let one = |path: &str, value: Value| vec![new(path, value)];
    let label = |what: &str| format!("{what}: {LABEL}");
    let id = "0123456789abcdef01234567";
    let keys = ["Dev", "dev_1", "-dev", "dev-", "dev.1"];
    let reserved = [
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
    let ttl = with(&valid("ZadigEnvironment"), "ttl", json!("72h"));
    let long = json!({
        "connectionRef": {"name": "default"}, "projectKey": "p".repeat(29), "envKey": "e".repeat(30),
    });
    vec![
        case(
            "spec.projectKey",
            &label("projectKey must be the key of a Zadig project"),
            one("projectKey", json!("Shop")),
        ),
        case(
            "spec.envKey",
            &label("envKey must be the key of an environment"),
            keys.map(|key| new("envKey", json!(key))).into(),
        ),
        case(
            "spec.envKey",
            "envKey is a word that Zadig reserves; none of production, variable, services, envcfgs, envcfg, service, helm, kube, image, scale can be used",
            reserved.map(|key| new("envKey", json!(key))).into(),
        ),
        case(
            "spec.namespace",
            &label("namespace must be the name of a namespace"),
            one("namespace", json!("Shop.dev")),
        ),
        case(
            "spec.namespace",
            "namespace must be set here, because its default, <projectKey>-env-<envKey>, would be longer than 63 characters",
            one("", long),
        ),
        case(
            "spec.connectionRef.name",
            &format!("name must be the name of a ZadigConnection: {SUBDOMAIN}"),
            one("connectionRef.name", json!("De fault")),
        ),
        case(
            "spec.connectionRef.namespace",
            &label("namespace must be the name of a namespace"),
            one("connectionRef.namespace", json!("a.b")),
        ),
        case(
            "spec.cluster",
            "set exactly one of name, id",
            vec![new("cluster", json!({})), new("cluster.id", json!(id))],
        ),
        case("spec.cluster.id", ID, one("cluster", json!({"id": "blue"}))),
        case(
            "spec.registry",
            "set exactly one of address, id",
            vec![new("registry", json!({})), new("registry.id", json!(id))],
        ),
        case(
            "spec.registry.id",
            ID,
            one("registry", json!({"id": id.to_uppercase()})),
        ),
        case(
            "spec.globalVariables[]",
            "set exactly one of value, valueFrom",
            one("globalVariables.0", json!({"key": "a"})),
        ),
        case(
            "spec.globalVariables[].valueFrom",
            SOURCE,
            sources("globalVariables.0"),
        ),
        case(
            "spec.ttl",
            &format!("ttl {DURATION}"),
            vec![new("ttl", json!("3d")), new("ttl", json!("72"))],
        ),
        case(
            "spec.ttl",
            "ttl must be between 1s and 8760h: leave it out for an environment that is to stay",
            vec![new("ttl", json!("0s")), new("ttl", json!("8761h"))],
        ),
        case(
            "spec.ttl",
            "ttl ends in the deletion of the environment, so it does not go with deletionProtection: true; remove one of the two",
            vec![
                new("", with(&ttl, "deletionProtection", json!(true))),
                Try::Change(json!({"ttl": "72h", "deletionProtection": true})),
            ],
        ),
        case(
            "spec.ttl",
            "ttl ends in the deletion of the environment, so it does not go with deletion: Detach or Orphan; remove one of the two",
            vec![
                new("", with(&ttl, "deletion", json!("Detach"))),
                new("", with(&ttl, "deletion", json!("Orphan"))),
            ],
        ),
        case(
            "spec.bindings.selector",
            SELECTOR,
            vec![
                new("bindings", json!({"from": "Selector"})),
                new(
                    "bindings",
                    json!({"from": "All", "selector": {"matchLabels": {"team": "blue"}}}),
                ),
            ],
        ),
    ]
}

/// What no version of Zadig can do in production (Z§9).
fn production_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigEnvironment", field, sentence, tries)
    };
    let production = |field: &str, value: Value| {
        let mut spec = bare();
        spec["scope"] = json!("Production");
        spec[field] = value;
        new("", spec)
    };
    vec![
        case(
            "spec.services",
            "services cannot have containers with scope: Production: Zadig has no call that sets images there; make them variables of the service's production template, or set them in it",
            vec![production(
                "services",
                json!([{"name": "web"}, {"name": "api", "containers": [{"name": "api", "image": "api:1"}]}]),
            )],
        ),
        case(
            "spec.services",
            "services cannot have workloads with scope: Production: Zadig has no call that scales there; make the replicas a variable of the service's production template, or set them in it",
            vec![production(
                "services",
                json!([{"name": "api", "workloads": [{"kind": "Deployment", "name": "api", "replicas": 1}]}]),
            )],
        ),
        case(
            "spec.configRefs",
            "configRefs cannot be set with scope: Production: Zadig creates a production environment empty; create the objects in its namespace by other means",
            vec![production("configRefs", json!([{"name": "app"}]))],
        ),
        case(
            "spec.namespace",
            "namespace cannot be kube-node-lease, kube-public or kube-system with scope: Production: Zadig refuses them",
            ["kube-node-lease", "kube-public", "kube-system"]
                .map(|namespace| production("namespace", json!(namespace)))
                .into(),
        ),
        case(
            "spec.ttl",
            "ttl ends in the deletion of the environment, so it does not go with scope: Production; remove it",
            vec![production("ttl", json!("72h"))],
        ),
        case(
            "spec.alias",
            "alias can be set with scope: Production or deployType: Helm only: Zadig keeps none for other environments",
            vec![new("alias", json!("Shop"))],
        ),
    ]
}

fn binding_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigServiceBinding", field, sentence, tries)
    };
    let other = "the service would be another one; create a new ZadigServiceBinding";
    vec![
        case(
            "spec.environmentRef",
            &format!("environmentRef cannot be changed, added or removed: {other}"),
            vec![
                Try::Change(json!({"environmentRef": {"name": "other"}})),
                Try::Change(json!({"environmentRef": {"namespace": null}})),
            ],
        ),
        case(
            "spec.service",
            &format!("service.name cannot be changed: {other}"),
            vec![Try::Change(json!({"service": {"name": "other"}}))],
        ),
        case(
            "spec.scaleTarget",
            "scaleTarget is scaled by spec.replicas, so service.workloads must not name it too",
            vec![new(
                "scaleTarget",
                json!({"kind": "Deployment", "name": "api"}),
            )],
        ),
        case(
            "spec.scaleTarget",
            "scaleTarget cannot be set with service.helm, as the next upgrade of the release would undo it; use helm.values",
            vec![new("service", json!({"name": "api", "helm": {}}))],
        ),
        case(
            "spec.replicas",
            "replicas cannot be set with service.helm, as the next upgrade of the release would undo it; use helm.values",
            vec![new(
                "",
                json!({
                    "environmentRef": {"name": "dev"}, "replicas": 1,
                    "service": {"name": "api", "helm": {}},
                }),
            )],
        ),
        case(
            "spec.service",
            "service takes no variables, containers, workloads or restartToken beside helm, as Zadig keeps none of them for a release; use helm.values",
            vec![new("service.helm", json!({}))],
        ),
        case(
            "spec.scaleTarget.name",
            &format!("name must be the name of a workload: {SUBDOMAIN}"),
            vec![new("scaleTarget.name", json!("Api"))],
        ),
        case(
            "spec.environmentRef.name",
            &format!("name must be the name of a ZadigEnvironment: {SUBDOMAIN}"),
            vec![new("environmentRef.name", json!("a b"))],
        ),
        case(
            "spec.environmentRef.namespace",
            &format!("namespace must be the name of a namespace: {LABEL}"),
            vec![new("environmentRef.namespace", json!("a.b"))],
        ),
    ]
}

fn config_cases() -> Vec<Case> {
    let case = |field: &str, sentence: &str, tries: Vec<Try>| {
        case("ZadigEnvConfig", field, sentence, tries)
    };
    let fixed = |name: &str| {
        format!(
            "{name} cannot be changed, added or removed: the object would be another one; create a new ZadigEnvConfig"
        )
    };
    let name = |what: &str| format!("name must be the name of {what}: {SUBDOMAIN}");
    let whole = |spec: Value| vec![new("", spec)];
    let from = |type_: &str, source: &str| {
        json!({
            "environmentRef": {"name": "dev"}, "type": type_, "name": "app", source: {"name": "app"},
        })
    };
    let misnamed = |type_: &str, source: &str| {
        with(
            &from(type_, source),
            &format!("{source}.name"),
            json!("a b"),
        )
    };
    vec![
        case(
            "spec.environmentRef",
            &fixed("environmentRef"),
            vec![Try::Change(json!({"environmentRef": {"name": "other"}}))],
        ),
        case(
            "spec.type",
            &fixed("type"),
            vec![Try::Change(json!({"type": "PVC"}))],
        ),
        case(
            "spec.name",
            &fixed("name"),
            vec![Try::Change(json!({"name": "other"}))],
        ),
        case(
            "spec.name",
            &name("a Kubernetes object"),
            vec![new("name", json!("a b"))],
        ),
        case(
            "spec.environmentRef.name",
            &name("a ZadigEnvironment"),
            vec![new("environmentRef.name", json!("a b"))],
        ),
        case(
            "spec.configMapRef.name",
            &name("a Secret or ConfigMap"),
            whole(misnamed("ConfigMap", "configMapRef")),
        ),
        case(
            "spec.secretRef.name",
            &name("a Secret or ConfigMap"),
            whole(misnamed("Secret", "secretRef")),
        ),
        case(
            "spec",
            "set exactly one of manifest, configMapRef, secretRef",
            vec![
                new("manifest", Value::Null),
                new("configMapRef", json!({"name": "app"})),
            ],
        ),
        case(
            "spec.configMapRef",
            "configMapRef goes with type: ConfigMap",
            whole(from("Ingress", "configMapRef")),
        ),
        case(
            "spec.secretRef",
            "secretRef goes with type: Secret and is its only source, so that no secret stands in this object",
            vec![
                new("", from("ConfigMap", "secretRef")),
                new("type", json!("Secret")),
            ],
        ),
        case(
            "spec.git",
            "git cannot be changed, added or removed: Zadig takes it only inside the creation of an environment; create a new ZadigEnvConfig",
            vec![
                Try::Change(json!({"git": {"path": "qa/app.yaml"}})),
                Try::Change(json!({"git": {"autoSync": true}})),
                Try::Change(json!({"git": null})),
            ],
        ),
        case(
            "spec.git",
            "git goes with manifest, which Zadig makes the object from before it follows the file",
            whole(with(&from("ConfigMap", "configMapRef"), "git", git_file())),
        ),
        case(
            "spec.manifest",
            "manifest must have the name that spec.name says, or none",
            vec![new("manifest.metadata", json!({"name": "other"}))],
        ),
        case(
            "spec.manifest",
            "manifest must be an object of the kind that type names (PVC stands for PersistentVolumeClaim)",
            vec![new("manifest.kind", json!("Service"))],
        ),
    ]
}

/// Every rule of every kind.
fn rules() -> BTreeSet<Rule> {
    fn collect(kind: &str, path: &str, schema: &Value, rules: &mut BTreeSet<Rule>) {
        let own = schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten();
        for rule in own {
            let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
            rules.insert((
                kind.to_owned(),
                format!("{path}{}", text("fieldPath")),
                text("message"),
            ));
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            collect(kind, &format!("{path}.{name}"), field, rules);
        }
        if schema["items"].is_object() {
            collect(kind, &format!("{path}[]"), &schema["items"], rules);
        }
    }
    let mut rules = BTreeSet::new();
    for kind in kinds() {
        collect(&kind.name, "spec", &kind.spec, &mut rules);
    }
    rules
}

/// Rules that nothing can break so far: the field has one value only, which is its default.
fn unbreakable() -> BTreeSet<Rule> {
    let one_value = |(kind, field, sentence): &Rule| {
        let name = field.trim_start_matches("spec.");
        let schema = &Kind::of(kind).spec["properties"][name];
        let values = schema["enum"].as_array().map(Vec::len);
        sentence.contains("cannot be changed") && values == Some(1) && !schema["default"].is_null()
    };
    rules().into_iter().filter(one_value).collect()
}

async fn read(world: &World, case: &Case) {
    let kind = Kind::of(case.kind);
    let index = |field: &str| field.replace("[]", "[0]");
    for attempt in &case.tries {
        let (what, told) = match attempt {
            Try::New(path, spec) if path.is_empty() => (
                spec.clone(),
                kind.try_create(world, &suspended(spec.clone())).await,
            ),
            Try::New(path, value) => {
                let spec = with(&valid(case.kind), path, value.clone());
                (json!({path: value}), kind.try_create(world, &spec).await)
            }
            Try::Change(patch) => (patch.clone(), kind.try_change(world, "full", patch).await),
            Try::ChangeBare(patch) => (patch.clone(), kind.try_change(world, "bare", patch).await),
        };
        let read = told.iter().any(|cause| {
            cause.field == index(&case.field) && cause.message.ends_with(&case.sentence)
        });
        assert!(
            read,
            "{} {what}: expected at {} {:?}, read {told:#?}",
            case.kind, case.field, case.sentence
        );
    }
}

#[test]
fn every_rule_is_broken_and_its_sentence_read() {
    let cases: Vec<Case> = [
        connection_cases(),
        environment_identity_cases(),
        environment_cases(),
        deploy_type_cases(),
        sharing_cases(),
        production_cases(),
        service_cases("ZadigEnvironment", "spec.services[]", "services.0"),
        helm_cases("ZadigEnvironment", "spec.services[]", "services.0"),
        config_cases(),
        binding_cases(),
        service_cases("ZadigServiceBinding", "spec.service", "service"),
        helm_cases("ZadigServiceBinding", "spec.service", "service"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let tried: BTreeSet<Rule> = cases
        .iter()
        .map(|case| {
            (
                case.kind.to_owned(),
                case.field.clone(),
                case.sentence.clone(),
            )
        })
        .chain(unbreakable())
        .collect();
    assert_eq!(tried, rules(), "the table and the definitions differ");
    scenario_with(Setup::default().without_connection(), async |world| {
        for kind in kinds() {
            kind.create(world, "full", &valid(&kind.name)).await;
        }
        Kind::of("ZadigEnvironment")
            .create(world, "bare", &bare())
            .await;
        stream::iter(&cases)
            .for_each_concurrent(8, |case| read(world, case))
            .await;
    });
}
