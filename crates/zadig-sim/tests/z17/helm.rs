//! Helm environments: Z§17 nos. 11 and 28, Z§10.

use serde_json::{Value, json};

use crate::support::{CLUSTER, REGISTRY, Zadig, coded, image, success, wrapped};

pub(crate) const NAMESPACE: &str = "shop-helm-env-dev";
pub(crate) const CREATE: &str = "/environments/helm?projectKey=shop-helm";
pub(crate) const ADD: &str = "/environments/helm/dev/services?projectKey=shop-helm";

pub(crate) fn creation() -> Value {
    json!({
        "env_name": "dev", "alias": "Dev", "cluster_id": CLUSTER, "namespace": NAMESPACE, "registry_id": REGISTRY,
        "production": false
    })
}

pub(crate) fn service(fields: &Value) -> Value {
    let mut service = json!({"service_name": "hweb", "deploy_strategy": "deploy"});
    for (key, value) in fields.as_object().unwrap() {
        service[key] = value.clone();
    }
    json!({"env_name": "dev", "production": false, "services": [service]})
}

pub(crate) fn updating() -> (u16, Value) {
    (
        200,
        json!([{"env_name": "dev", "status": "Updating", "err_message": ""}]),
    )
}

pub(crate) async fn empty_environment() -> Zadig {
    let zadig = Zadig::start().await;
    assert_eq!(zadig.post(CREATE, &creation()).await.whole(), success());
    zadig.settle();
    zadig
}

pub(crate) async fn running() -> Zadig {
    let zadig = empty_environment().await;
    let body = service(&json!({
        "values_yaml": "replicaCount: 2\n", "override_kvs": [{"key": "port", "value": 9090}]
    }));
    assert_eq!(zadig.post(ADD, &body).await.whole(), updating());
    zadig.settle();
    zadig
}

pub(crate) async fn status(zadig: &Zadig) -> String {
    let list = zadig.get("/environments?projectKey=shop-helm").await.ok();
    list[0]["status"].as_str().unwrap_or("absent").to_owned()
}

pub(crate) async fn values(zadig: &Zadig) -> Value {
    let path = "/environments/service/values?projectKey=shop-helm&envName=dev&serviceName=hweb";
    let answer = zadig.get(path).await;
    assert_eq!(answer.bare().1, Some("text/plain; charset=utf-8"));
    serde_saphyr::from_str(&answer.text).unwrap()
}

fn releases(zadig: &Zadig) -> usize {
    let secrets = zadig.objects(NAMESPACE, "Secret");
    let names = secrets
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    names
        .filter(|name| name.starts_with("sh.helm.release.v1.hweb."))
        .count()
}

pub(crate) fn deployment(zadig: &Zadig) -> Value {
    zadig.object(NAMESPACE, "Deployment", "hweb")
}

#[tokio::test]
async fn z17_11_adding_to_a_missing_environment_is_200_with_an_empty_list() {
    let zadig = empty_environment().await;
    let mut body = service(&json!({}));
    body["env_name"] = json!("nope");
    assert_eq!(
        zadig.post(ADD, &body).await.whole(),
        (200, json!([])),
        "the body's name counts"
    );
    let mut body = service(&json!({}));
    body["production"] = json!(true);
    assert_eq!(
        zadig.post(ADD, &body).await.whole(),
        (200, json!([])),
        "another kind is missing too"
    );
    zadig.settle();
    assert_eq!(deployment(&zadig), Value::Null);
}

#[tokio::test]
async fn z17_28_a_helm_environment_is_created_empty_with_its_alias() {
    let zadig = empty_environment().await;
    let list = zadig.get("/environments?projectKey=shop-helm").await.ok();
    assert_eq!(
        (&list[0]["envName"], &list[0]["status"]),
        (&json!("Dev"), &json!("success"))
    );
    let again = zadig.post(CREATE, &creation()).await;
    assert_eq!(again.status, 500);
    for (key, text) in [
        ("env_name", "env key is required"),
        ("cluster_id", "cluster name is required"),
        ("namespace", "namespace is required"),
        ("registry_id", "registry address is required"),
    ] {
        let mut body = creation();
        body.as_object_mut().unwrap().remove(key);
        assert_eq!(zadig.post(CREATE, &body).await.whole(), wrapped(text));
    }
    let answer = zadig
        .post("/environments/helm?projectKey=ghost", &creation())
        .await;
    assert_eq!(
        answer.whole(),
        coded(6074, "failed to query product ghost ")
    );
}

#[tokio::test]
async fn z17_28_an_added_service_is_installed_with_values_and_overrides_and_has_no_status() {
    let zadig = empty_environment().await;
    let body = service(&json!({
        "values_yaml": "replicaCount: 2\n", "override_kvs": [{"key": "port", "value": 9090}]
    }));
    assert_eq!(zadig.post(ADD, &body).await.whole(), updating());
    assert_eq!(status(&zadig).await, "updating");
    zadig.settle();
    assert_eq!(status(&zadig).await, "success");
    assert_eq!(
        values(&zadig).await,
        json!({"image": {"repository": image("hweb"), "tag": "v1"}, "port": 9090, "replicaCount": 2})
    );
    assert_eq!(deployment(&zadig)["status"]["readyReplicas"], 2);
    let detail = zadig
        .get("/environments/dev?projectKey=shop-helm")
        .await
        .ok();
    let shown = &detail["services"][0];
    assert_eq!(
        (&shown["service_name"], &shown["status"], &shown["type"]),
        (&json!("hweb"), &json!(""), &json!("helm"))
    );
}

#[tokio::test]
async fn z17_28_every_call_makes_a_new_release_revision() {
    let zadig = running().await;
    assert_eq!(releases(&zadig), 1);
    let body = service(
        &json!({"values_yaml": "replicaCount: 2\n", "override_kvs": [{"key": "port", "value": 9090}]}),
    );
    assert_eq!(zadig.post(ADD, &body).await.whole(), updating());
    zadig.settle();
    assert_eq!(releases(&zadig), 2);
}

#[tokio::test]
async fn z17_28_overrides_are_replaced_and_a_lone_image_tag_is_without_effect() {
    let zadig = running().await;
    let body = service(&json!({"values_yaml": "replicaCount: 1\nimage:\n  tag: v2\n"}));
    zadig.post(ADD, &body).await;
    zadig.settle();
    assert_eq!(
        values(&zadig).await,
        json!({"image": {"repository": image("hweb"), "tag": "v1"}, "port": 8080, "replicaCount": 1})
    );
    let live = deployment(&zadig);
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        image("hweb:v1")
    );
}

#[tokio::test]
async fn z17_28_broken_values_end_in_failed_and_a_good_call_repairs() {
    let zadig = running().await;
    assert_eq!(
        zadig
            .post(ADD, &service(&json!({"values_yaml": "a: [b"})))
            .await
            .whole(),
        updating()
    );
    zadig.advance(1_000);
    assert_eq!(status(&zadig).await, "failed");
    assert_eq!(
        zadig
            .post(ADD, &service(&json!({"values_yaml": "replicaCount: 3\n"})))
            .await
            .whole(),
        updating()
    );
    zadig.settle();
    assert_eq!(status(&zadig).await, "success");
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 3);
}

#[tokio::test]
async fn z17_28_scaling_is_undone_by_the_next_upgrade() {
    let zadig = running().await;
    let body = json!({
        "project_key": "shop-helm", "env_key": "dev", "service_name": "hweb", "workload_name": "hweb",
        "workload_type": "Deployment", "target_replicas": 4
    });
    assert_eq!(
        zadig.post("/environments/scale", &body).await.whole(),
        success()
    );
    zadig.settle();
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 4);
    zadig
        .post(ADD, &service(&json!({"values_yaml": "replicaCount: 2\n"})))
        .await;
    zadig.settle();
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 2);
}

#[tokio::test]
async fn z17_28_an_image_call_upgrades_but_the_image_stays() {
    let zadig = running().await;
    let body = json!({
        "project_key": "shop-helm", "env_key": "dev", "service_name": "hweb", "workload_name": "hweb",
        "workload_type": "Deployment", "target_replicas": 4
    });
    zadig.post("/environments/scale", &body).await;
    let update = json!({"service_list": [{"service_name": "hweb"}]});
    zadig
        .put("/environments/dev/services?projectKey=shop-helm", &update)
        .await;
    zadig.settle();
    let body = json!({
        "product_name": "shop-helm", "env_name": "dev", "service_name": "hweb", "name": "hweb", "container_name": "hweb",
        "image": image("hweb:v3")
    });
    assert_eq!(
        zadig
            .post("/environments/image/deployment/dev", &body)
            .await
            .whole(),
        success()
    );
    zadig.settle();
    let live = deployment(&zadig);
    assert_eq!(live["spec"]["replicas"], 2, "the upgrade ran");
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        image("hweb:v1")
    );
}

#[tokio::test]
async fn z17_28_k8s_routes_answer_200_without_effect() {
    let zadig = running().await;
    let before = (deployment(&zadig), releases(&zadig));
    let body = json!({"service_list": [{"service_name": "hweb"}]});
    let answer = zadig
        .put("/environments/dev/services?projectKey=shop-helm", &body)
        .await;
    assert_eq!(answer.whole(), success());
    assert_eq!(status(&zadig).await, "updating");
    zadig.settle();
    assert_eq!(status(&zadig).await, "success");
    assert_eq!((deployment(&zadig), releases(&zadig)), before);
    let path = "/environments/dev/variable?projectKey=shop-helm";
    assert_eq!(zadig.get(path).await.whole(), (200, json!([])));
    let path = "/environments/service/yaml?projectKey=shop-helm&envName=dev&serviceName=hweb";
    assert_eq!(
        zadig.get(path).await.bare(),
        (200, Some("text/plain; charset=utf-8"), "")
    );
}

#[tokio::test]
async fn z17_28_values_of_what_is_unknown_are_500() {
    let zadig = running().await;
    let path = "/environments/service/values?projectKey=shop-helm&envName=nope&serviceName=hweb";
    let (status, answer) = zadig.get(path).await.whole();
    let text = "failed get chart values, projectKey: shop-helm, envName: nope, serviceName: hweb, err: failed to find project: shop-helm, err: mongo: no documents in result";
    assert_eq!((status, answer), wrapped(text));
    let body = service(&json!({"service_name": "ghost"}));
    let answer = zadig.post(ADD, &body).await;
    assert_eq!(
        answer.whole(),
        wrapped("failed to find service: ghost in product template")
    );
}

#[tokio::test]
async fn z17_28_an_unknown_strategy_is_taken_like_import() {
    let zadig = empty_environment().await;
    assert_eq!(
        zadig
            .post(ADD, &service(&json!({"deploy_strategy": "fly"})))
            .await
            .whole(),
        updating()
    );
    zadig.settle();
    assert_eq!(status(&zadig).await, "success");
    assert_eq!(deployment(&zadig), Value::Null, "recorded, not installed");
}

#[tokio::test]
async fn z17_28_a_sleeping_helm_environment_refuses_and_a_deletion_uninstalls() {
    let zadig = running().await;
    assert!(zadig.sim.sleep_environment("shop-helm", "dev"));
    zadig.settle();
    let answer = zadig.post(ADD, &service(&json!({}))).await;
    assert_eq!(
        answer.whole(),
        coded(6076, "Environment is sleeping, cannot update")
    );
    let path = "/environments/dev?projectKey=shop-helm&isDelete=true";
    assert_eq!(zadig.delete(path).await.whole(), success());
    zadig.advance(450);
    assert_eq!(deployment(&zadig), Value::Null, "before the namespace goes");
    zadig.settle();
    assert_eq!(zadig.namespace(NAMESPACE), Value::Null);
}
