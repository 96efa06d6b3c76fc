//! Production environments: Z§17 no. 10 and Z§9.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, MESH, REGISTRY, Zadig, coded, creation_with, empty, success, wrapped,
};

const LIST: &str = "/environments/production?projectKey=shop";
const PROD: &str = "/environments/production/prod?projectKey=shop";

async fn running() -> Zadig {
    let zadig = Zadig::start().await;
    let body = creation_with(
        "prod",
        &["web"],
        &json!({"env_name": "Production", "namespace": "shop-prod"}),
    );
    assert_eq!(zadig.post(LIST, &body).await.whole(), success());
    zadig.settle();
    zadig
}

async fn listed(zadig: &Zadig) -> Value {
    zadig.get(LIST).await.ok()[0].clone()
}

async fn add_web(zadig: &Zadig) {
    let body = json!({"env_key": "prod", "service_list": [{"service_name": "web"}]});
    let answer = zadig
        .post(
            "/environments/production/service/yaml?projectKey=shop",
            &body,
        )
        .await;
    assert_eq!(answer.whole(), success());
    zadig.settle();
}

#[tokio::test]
async fn z17_10_a_production_environment_starts_empty_and_has_its_own_list() {
    let zadig = running().await;
    let item = listed(&zadig).await;
    assert_eq!(
        (
            &item["env_key"],
            &item["envName"],
            &item["production"],
            &item["status"]
        ),
        (
            &json!("prod"),
            &json!("Production"),
            &json!(true),
            &json!("success")
        )
    );
    assert_eq!(
        zadig.status("prod").await,
        "absent",
        "not among the test environments"
    );
    let detail = zadig.get(PROD).await.ok();
    assert_eq!(
        (&detail["env_name"], &detail["services"]),
        (&json!("Production"), &json!([]))
    );
    let again = creation_with("prod", &[], &json!({}));
    assert_eq!(
        zadig
            .post("/environments?projectKey=shop", &again)
            .await
            .status,
        500,
        "one key for both"
    );
}

#[tokio::test]
async fn z17_10_an_edit_overwrites_the_alias_also_with_nothing() {
    let zadig = running().await;
    let both = json!({"registry_id": REGISTRY, "env_name": "Other"});
    assert_eq!(zadig.put(PROD, &both).await.whole(), success());
    assert_eq!(listed(&zadig).await["envName"], "Other");
    assert_eq!(
        zadig
            .put(PROD, &json!({"registry_id": REGISTRY}))
            .await
            .whole(),
        success()
    );
    assert_eq!(listed(&zadig).await.get("envName"), None);
    let missing = "/environments/production/nope?projectKey=shop";
    assert_eq!(
        zadig.put(missing, &json!({"env_name": "x"})).await.whole(),
        success()
    );
    let answer = zadig
        .put(missing, &json!({"registry_id": REGISTRY, "env_name": "x"}))
        .await;
    assert_eq!(answer.whole(), coded(6076, "环境不存在"));
}

#[tokio::test]
async fn z17_10_creating_and_updating_configs_always_fails() {
    let zadig = running().await;
    let body = json!({
        "name": "c1", "env_key": "prod", "common_env_cfg_type": "ConfigMap",
        "yaml_data": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c1\ndata:\n  k: v\n"
    });
    let create = zadig
        .post(
            "/environments/production/prod/envcfgs?projectKey=shop",
            &body,
        )
        .await;
    assert_eq!(create.whole(), coded(6095, "mongo: no documents in result"));
    let (status, update) = zadig
        .put("/environments/production/envcfgs?projectKey=shop", &body)
        .await
        .whole();
    assert_eq!((status, &update["code"]), (400, &json!(6089)));
    assert_eq!(zadig.object("shop-prod", "ConfigMap", "c1"), Value::Null);
}

#[tokio::test]
async fn z17_10_configs_can_be_listed_read_and_deleted() {
    let zadig = running().await;
    add_web(&zadig).await;
    let path = "/environments/production/prod/envcfg/web-config?projectKey=shop&type=ConfigMap";
    assert_eq!(
        zadig.get(path).await.ok()["configMap_detail"]["name"],
        "web-config"
    );
    assert_eq!(zadig.delete(path).await.whole(), success());
    zadig.advance(1_000);
    assert_eq!(zadig.get(path).await.whole(), wrapped("not found"));
    let of_test = "/environments/prod/envcfg/web-config?projectKey=shop&type=ConfigMap";
    let text = "environment prod is production environment, cannot delete it";
    assert_eq!(zadig.delete(of_test).await.whole(), coded(6077, text));
}

#[tokio::test]
async fn z17_10_production_services_come_from_production_templates_without_test_labels() {
    let zadig = running().await;
    add_web(&zadig).await;
    let detail = zadig.get(PROD).await.ok();
    assert_eq!(detail["services"][0]["service_name"], "web");
    let labels = zadig.object("shop-prod", "Deployment", "web")["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"app": "web"}));
    let body = json!({"env_key": "prod", "service_list": [{"service_name": "db"}]});
    let answer = zadig
        .post(
            "/environments/production/service/yaml?projectKey=shop",
            &body,
        )
        .await;
    assert_ne!(answer.status, 200, "a test template is not visible");
    let path = "/environments/production/prod/services/web?projectKey=shop";
    assert_eq!(zadig.get(path).await.ok()["scales"][0]["replicas"], 1);
}

#[tokio::test]
async fn z17_10_deleting_production_leaves_everything_in_the_cluster() {
    let zadig = running().await;
    add_web(&zadig).await;
    assert_eq!(zadig.delete(PROD).await.whole(), success());
    assert_eq!(
        zadig.get(LIST).await.ok(),
        json!([]),
        "done when it is answered"
    );
    zadig.settle();
    let namespace = zadig.namespace("shop-prod");
    assert_eq!(namespace["phase"], "Active");
    assert_eq!(
        namespace["labels"],
        json!({"kubernetes.io/metadata.name": "shop-prod"})
    );
    assert_ne!(zadig.object("shop-prod", "Deployment", "web"), Value::Null);
}

#[tokio::test]
async fn z17_10_a_reserved_namespace_is_refused() {
    let zadig = Zadig::start().await;
    let body = creation_with("prod", &[], &json!({"namespace": "kube-system"}));
    let text = "namespace kube-system is invalid, production environment namespace cannot be set to these three namespaces: kube-node-lease, kube-public, kube-system";
    assert_eq!(zadig.post(LIST, &body).await.whole(), coded(400, text));
}

#[tokio::test]
async fn z17_10_a_test_route_refuses_a_production_environment() {
    let zadig = running().await;
    let text = "env:prod is invalid, the env production field is: true, but the request env production field is: false";
    let update = zadig
        .put_services("prod", json!([{"service_name": "web"}]))
        .await;
    assert_eq!(update.whole(), wrapped(text));
    let body = json!({"env_key": "prod", "service_list": [{"service_name": "web"}]});
    let add = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    let text = "environment prod is invalid, the env production field is: true, but the request env production field is: false";
    assert_eq!(add.whole(), wrapped(text));
    assert_eq!(
        zadig
            .get("/environments/prod?projectKey=shop")
            .await
            .whole(),
        wrapped("mongo: no documents in result")
    );
}

#[tokio::test]
async fn z17_10_scaling_and_images_know_no_production() {
    let zadig = running().await;
    add_web(&zadig).await;
    let body = json!({
        "project_key": "shop", "env_key": "prod", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    });
    let scale = zadig.post("/environments/scale", &body).await;
    assert_eq!(scale.whole(), coded(6081, "mongo: no documents in result"));
    let restart = zadig
        .post(
            "/environments/production/prod/service/web/restart?projectKey=shop",
            &Value::Null,
        )
        .await;
    assert_eq!(restart.whole(), success());
}

/// What each route of a kind answers for an environment of the other kind: status and code.
async fn asked_for(zadig: &Zadig, root: &str, env: &str) -> Vec<(&'static str, u16, Value)> {
    let q = "?projectKey=shop";
    let config = json!({
        "name": "c", "env_key": env, "common_env_cfg_type": "ConfigMap",
        "yaml_data": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  k: v\n"
    });
    let services = json!({"env_key": env, "service_list": [{"service_name": "plain"}]});
    let removal = json!({"env_key": env, "service_names": ["web"]});
    let registry = json!({"registry_id": REGISTRY});
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let mut found = Vec::new();
    for (name, method, path, body) in [
        (
            "detail",
            get.clone(),
            format!("{root}/{env}{q}"),
            Value::Null,
        ),
        (
            "service",
            get.clone(),
            format!("{root}/{env}/services/web{q}"),
            Value::Null,
        ),
        (
            "registry",
            put.clone(),
            format!("{root}/{env}{q}"),
            registry,
        ),
        (
            "nothing",
            put.clone(),
            format!("{root}/{env}{q}"),
            json!({}),
        ),
        (
            "add",
            post.clone(),
            format!("{root}/service/yaml{q}"),
            services.clone(),
        ),
        (
            "update",
            put.clone(),
            format!("{root}/{env}/services{q}"),
            services,
        ),
        (
            "remove",
            delete.clone(),
            format!("{root}/service/yaml{q}"),
            removal,
        ),
        (
            "variables",
            get.clone(),
            format!("{root}/{env}/variable{q}"),
            Value::Null,
        ),
        (
            "set",
            put.clone(),
            format!("{root}/{env}/variable{q}"),
            json!({}),
        ),
        (
            "configs",
            get.clone(),
            format!("{root}/{env}/envcfgs{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "secrets",
            get.clone(),
            format!("{root}/{env}/envcfgs{q}&type=Secret"),
            Value::Null,
        ),
        (
            "config",
            get,
            format!("{root}/{env}/envcfg/web-config{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "create config",
            post.clone(),
            format!("{root}/{env}/envcfgs{q}"),
            config.clone(),
        ),
        ("update config", put, format!("{root}/envcfgs{q}"), config),
        (
            "delete config",
            delete.clone(),
            format!("{root}/{env}/envcfg/c{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "restart",
            post,
            format!("{root}/{env}/service/web/restart{q}"),
            Value::Null,
        ),
        (
            "delete",
            delete,
            format!("{root}/{env}{q}&isDelete=true"),
            Value::Null,
        ),
    ] {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, body) = zadig.send(method, &path, body).await.whole();
        found.push((name, status, body["code"].clone()));
        zadig.advance(2_000);
    }
    found
}

#[tokio::test]
async fn z17_10_each_test_route_has_its_own_refusal_for_a_production_environment() {
    let zadig = running().await;
    add_web(&zadig).await;
    let expected = [
        ("detail", 500, json!(500)),
        ("service", 400, json!(6083)),
        ("registry", 400, json!(6076)),
        ("nothing", 200, Value::Null),
        ("add", 500, json!(500)),
        ("update", 500, json!(500)),
        ("remove", 500, json!(500)),
        ("variables", 400, json!(6078)),
        ("set", 500, json!(500)),
        ("configs", 400, json!(6088)),
        ("secrets", 400, json!(6094)),
        ("config", 400, json!(6088)),
        ("create config", 400, json!(6095)),
        ("update config", 400, json!(6089)),
        ("delete config", 400, json!(6077)),
        ("restart", 500, json!(500)),
        ("delete", 500, json!(500)),
    ];
    assert_eq!(asked_for(&zadig, "/environments", "prod").await, expected);
    let workloads = "/environments/prod/check/workloads/k8services?projectKey=shop";
    assert_eq!(zadig.get(workloads).await.status, 500);
    let image = json!({
        "product_name": "shop", "env_name": "prod", "service_name": "web", "name": "web", "container_name": "web",
        "image": "web:v2"
    });
    let answer = zadig
        .post("/environments/image/deployment/prod", &image)
        .await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(6082)));
    assert_eq!(
        listed(&zadig).await["status"],
        "success",
        "nothing has changed"
    );
}

#[tokio::test]
async fn z17_10_each_production_route_has_its_own_refusal_for_a_test_environment() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let expected = [
        ("detail", 500, json!(500)),
        ("service", 400, json!(6083)),
        ("registry", 400, json!(6076)),
        ("nothing", 200, Value::Null),
        ("add", 500, json!(500)),
        ("update", 500, json!(500)),
        ("remove", 500, json!(500)),
        ("variables", 400, json!(6078)),
        ("set", 500, json!(500)),
        ("configs", 400, json!(6088)),
        ("secrets", 400, json!(6094)),
        ("config", 400, json!(6088)),
        // These two find test environments alone (Z§9 nos. 8 and 9).
        ("create config", 200, Value::Null),
        ("update config", 200, Value::Null),
        ("delete config", 400, json!(6077)),
        ("restart", 500, json!(500)),
        ("delete", 400, json!(6077)),
    ];
    let found = asked_for(&zadig, "/environments/production", "dev").await;
    assert_eq!(found, expected);
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.listed("dev").await.get("envName"), None);
}

#[tokio::test]
async fn z17_10_yaml_events_and_readiness_do_not_tell_the_kinds_apart() {
    let zadig = running().await;
    add_web(&zadig).await;
    zadig.create("dev", &["web"]).await;
    for root in ["/environments", "/environments/production"] {
        for env in ["dev", "prod"] {
            let path = format!("{root}/service/yaml?projectKey=shop&envName={env}&serviceName=web");
            let answer = zadig.get(&path).await;
            assert!(
                answer.text.contains("kind: Deployment"),
                "{path}: {answer:?}"
            );
        }
    }
    let events = "/environments/kube/events?projectKey=shop&envName=prod&name=web&type=Deployment";
    assert_eq!(zadig.get(events).await.status, 200);
    let ready = "/environments/prod/check/sharenv/enable/ready?projectKey=shop";
    assert_eq!(zadig.get(ready).await.status, 200);
}

#[tokio::test]
async fn z17_10_production_variables_are_declared_apart_and_shown_with_the_options_of_test() {
    let zadig = running().await;
    let path = "/environments/production/prod/variable?projectKey=shop";
    let variable = |key: &str| json!({"key": key, "value": "quiet", "type": "enum", "options": ["quiet", "loud"], "desc": ""});
    let put = async |key: &str| {
        zadig
            .put(path, &json!({"global_variables": [variable(key)]}))
            .await
            .whole()
    };
    let text = "added global variable port is not in project's global variable list";
    assert_eq!(put("port").await, coded(6076, text));
    assert_eq!(put("logLevel").await, success());
    let shown = zadig.get(path).await.ok();
    assert_eq!(
        (&shown[0]["value"], &shown[0]["options"]),
        (&json!("quiet"), &json!(["debug", "info", "warn"]))
    );
    assert_eq!(zadig.get(PROD).await.ok()["global_variables"], shown);
    let body = json!({"env_key": "prod", "service_list": [{"service_name": "web", "variable_kvs": [
        {"key": "logLevel", "use_global_variable": true}, {"key": "replicas", "value": "2"}
    ]}]});
    let add = "/environments/production/service/yaml?projectKey=shop";
    assert_eq!(zadig.post(add, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(
        zadig.get(path).await.ok()[0]["related_services"],
        json!(["web"])
    );
    let view = "/environments/production/prod/services/web?projectKey=shop";
    assert_eq!(zadig.get(view).await.ok()["scales"][0]["replicas"], 2);
    let update = json!({"service_list": [{"service_name": "web", "variable_kvs": [{"key": "replicas", "value": "3"}]}]});
    let services = "/environments/production/prod/services?projectKey=shop";
    assert_eq!(zadig.put(services, &update).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.get(view).await.ok()["scales"][0]["replicas"], 3);
    assert_eq!(zadig.get(path).await.ok()[0]["related_services"], json!([]));
    let removal = json!({"env_key": "prod", "service_names": ["web"]});
    assert_eq!(zadig.delete_with(add, &removal).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.get(PROD).await.ok()["services"], json!([]));
    assert_eq!(zadig.object("shop-prod", "Deployment", "web"), Value::Null);
}

#[tokio::test]
async fn z17_10_each_production_route_asks_for_its_own_permission() {
    let zadig = running().await;
    add_web(&zadig).await;
    let allowed = async |path: &str, method: Method, body: Value| {
        let mut names = Vec::new();
        for name in [
            "reader",
            "editor",
            "prod-reader",
            "prod-editor",
            "prod-keeper",
            "partner",
            "owner",
        ] {
            let caller: Caller = zadig.user(name);
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let answer: Answer = caller.send(method.clone(), path, body).await;
            if answer.bare() != empty(403) {
                names.push(name);
            }
            zadig.settle();
        }
        names.join(" ")
    };
    let root = "/environments/production";
    let q = "?projectKey=shop";
    let none = || Value::Null;
    let missing = json!({"env_key": "prod", "service_names": ["nope"]});
    let nothing = json!({"env_key": "prod", "service_list": []});
    let found = [
        allowed(&format!("{root}/prod/services/web{q}"), Method::GET, none()).await,
        allowed(
            &format!("{root}/service/yaml{q}&envName=prod&serviceName=web"),
            Method::GET,
            none(),
        )
        .await,
        allowed(
            &format!("{root}{q}"),
            Method::POST,
            creation_with("prod", &[], &json!({})),
        )
        .await,
        allowed(
            &format!("{root}/prod{q}"),
            Method::PUT,
            json!({"env_name": "x"}),
        )
        .await,
        allowed(
            &format!("{root}/service/yaml{q}"),
            Method::POST,
            nothing.clone(),
        )
        .await,
        allowed(&format!("{root}/prod/services{q}"), Method::PUT, nothing).await,
        allowed(&format!("{root}/service/yaml{q}"), Method::DELETE, missing).await,
        allowed(&format!("{root}/prod/variable{q}"), Method::PUT, json!({})).await,
        allowed(
            &format!("{root}/prod/envcfg/nope{q}&type=Secret"),
            Method::DELETE,
            none(),
        )
        .await,
        allowed(
            &format!("{root}/prod/service/web/restart{q}"),
            Method::POST,
            none(),
        )
        .await,
        allowed(&format!("{root}/nope{q}"), Method::DELETE, none()).await,
    ];
    assert_eq!(
        found,
        [
            "prod-reader prod-keeper owner",
            "reader editor partner owner",
            "prod-editor owner",
            "owner",
            "prod-editor partner owner",
            "prod-editor owner",
            "prod-editor partner owner",
            "prod-editor owner",
            "prod-editor owner",
            "prod-keeper owner",
            "prod-editor owner",
        ]
    );
}

#[tokio::test]
async fn z17_10_the_production_list_is_empty_without_permission_and_narrowed_by_a_collaboration() {
    let zadig = running().await;
    let other = creation_with("other", &[], &json!({"namespace": "shop-other"}));
    assert_eq!(zadig.post(LIST, &other).await.whole(), success());
    zadig.settle();
    let keys = async |name: &str| {
        let list = zadig.user(name).get(LIST).await.ok();
        let items = list.as_array().unwrap().iter();
        let mut keys: Vec<String> = items
            .map(|it| it["env_key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("reader").await, Vec::<String>::new());
    assert_eq!(keys("prod-reader").await, ["other", "prod"]);
    assert_eq!(keys("partner").await, ["prod"]);
}

#[tokio::test]
async fn z17_10_production_templates_have_their_own_routes_but_for_deletion() {
    let zadig = Zadig::start().await;
    let names = async |path: &str| {
        let list = zadig.get(&format!("{path}?projectKey=shop")).await.ok();
        let items = list.as_array().unwrap().iter();
        items
            .map(|it| it["service_name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let raw = json!({"service_name": "extra", "yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n"});
    let answer = zadig
        .post("/service/yaml/production/raw?projectKey=shop", &raw)
        .await;
    assert_eq!(answer.whole(), success());
    assert_eq!(
        names("/service/yaml/production/services").await,
        ["extra", "web"]
    );
    assert!(
        !names("/service/yaml/services")
            .await
            .contains(&"extra".to_owned())
    );
    let answer = zadig
        .post("/service/yaml/production/raw?projectKey=shop", &raw)
        .await;
    assert_eq!(answer.whole(), wrapped("service:extra already exists"));
    let text = json!({"type": "k8s", "yaml": "kind: ConfigMap\nmetadata: {name: other}\n"});
    let path = "/service/yaml/production/extra?projectKey=shop";
    assert_eq!(zadig.put(path, &text).await.status, 200);
    assert_eq!(zadig.get(path).await.ok()["yaml"], text["yaml"]);
    let path = "/service/yaml/production/web?projectKey=shop";
    assert_eq!(zadig.delete(path).await.status, 200);
    assert_eq!(zadig.get(path).await.status, 200, "it is there");
    assert!(
        !names("/service/yaml/services")
            .await
            .contains(&"web".to_owned())
    );
}

#[tokio::test]
async fn z17_10_an_environment_that_a_collaboration_is_based_on_stays() {
    let zadig = Zadig::start().await;
    let text = "this is a base environment, collaborations:[pair trio] is related";
    zadig.create("basis", &[]).await;
    let path = "/environments/basis?projectKey=shop&isDelete=true";
    assert_eq!(zadig.delete(path).await.whole(), wrapped(text));
    let zadig = Zadig::start().await;
    zadig
        .post(LIST, &creation_with("basis", &[], &json!({})))
        .await;
    zadig.settle();
    let path = "/environments/production/basis?projectKey=shop";
    assert_eq!(zadig.delete(path).await.whole(), coded(6076, text));
}

#[tokio::test]
async fn z17_10_a_deleted_grayscale_environment_leaves_the_mesh() {
    let zadig = Zadig::start().await;
    let base = creation_with(
        "prod",
        &[],
        &json!({"cluster_id": MESH, "namespace": "shop-prod"}),
    );
    zadig.post(LIST, &base).await;
    zadig.settle();
    add_web(&zadig).await;
    let gray = json!({"cluster_id": MESH, "sub_env": {"enable": true, "base_env": "prod"}, "namespace": "shop-gray"});
    zadig.post(LIST, &creation_with("gray", &[], &gray)).await;
    zadig.settle();
    assert_eq!(
        zadig.namespace("shop-gray")["labels"]["istio-injection"],
        "enabled"
    );
    assert_ne!(
        zadig.object("shop-gray", "VirtualService", "zadig-web"),
        Value::Null
    );
    let path = "/environments/production/gray?projectKey=shop";
    assert_eq!(zadig.delete(path).await.whole(), success());
    let labels = zadig.namespace("shop-gray")["labels"].clone();
    assert_eq!(labels, json!({"kubernetes.io/metadata.name": "shop-gray"}));
    assert_eq!(
        zadig.objects("shop-gray", "VirtualService"),
        Vec::<Value>::new()
    );
    assert_ne!(zadig.object("shop-gray", "Service", "web"), Value::Null);
}
