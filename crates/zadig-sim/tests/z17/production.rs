//! Production environments: Z§17 no. 10 and Z§9.

use serde_json::{Value, json};

use crate::support::{REGISTRY, Zadig, coded, creation_with, success, wrapped};

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
