//! Sub-environments and their routes: Z§4.19 and Z§11.

use serde_json::{Value, json};

use crate::support::{CLUSTER, MESH, Zadig, coded_as, creation_with, success, words, wrapped};

const NAMESPACE: &str = "shop-env-base";
const ENABLE: &str = "/environments/base/share/enable?projectKey=shop";

async fn base_in(cluster: &str) -> Zadig {
    let zadig = Zadig::start().await;
    zadig
        .create_with(creation_with(
            "base",
            &["web"],
            &json!({"cluster_id": cluster}),
        ))
        .await;
    zadig
}

async fn shared() -> Zadig {
    let zadig = base_in(MESH).await;
    assert_eq!(zadig.post(ENABLE, &Value::Null).await.whole(), success());
    zadig.settle();
    zadig
}

fn sub(cluster: &str) -> Value {
    let fields = json!({"cluster_id": cluster, "sub_env": {"enable": true, "base_env": "base"}});
    creation_with("sub", &["web"], &fields)
}

async fn ready(zadig: &Zadig, operation: &str) -> Value {
    let path = format!("/environments/base/check/sharenv/{operation}/ready?projectKey=shop");
    zadig.get(&path).await.ok()
}

#[tokio::test]
async fn share_readiness_can_be_asked_in_a_cluster_without_a_mesh() {
    let zadig = base_in(CLUSTER).await;
    let checks = json!({
        "namespace_has_istio_label": false, "virtualservice_deployed": false, "pods_have_istio_proxy": false,
        "workloads_ready": true, "workloads_have_k8s_service": true
    });
    assert_eq!(
        ready(&zadig, "enable").await,
        json!({"is_ready": false, "checks": checks})
    );
    assert_eq!(
        ready(&zadig, "anything").await,
        json!({"is_ready": true, "checks": checks})
    );
}

#[tokio::test]
async fn workloads_without_a_service_are_listed() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "db", "plain"]).await;
    let path = "/environments/dev/check/workloads/k8services?projectKey=shop";
    assert_eq!(
        zadig.get(path).await.whole(),
        (200, json!(["plain.Deployment"]))
    );
}

#[tokio::test]
async fn sharing_labels_the_namespace_restarts_pods_and_becomes_ready() {
    let zadig = base_in(MESH).await;
    let before = zadig.pods(NAMESPACE, "web-");
    assert_eq!(zadig.post(ENABLE, &Value::Null).await.whole(), success());
    zadig.settle();
    assert_eq!(
        zadig.namespace(NAMESPACE)["labels"]["istio-injection"],
        "enabled"
    );
    assert_ne!(zadig.pods(NAMESPACE, "web-"), before);
    assert_eq!(ready(&zadig, "enable").await["is_ready"], true);
    assert_eq!(zadig.services("base").await, words([("web", "running")]));
}

#[tokio::test]
async fn a_sub_environment_of_a_shared_base_succeeds_and_fails_without_a_mesh() {
    let zadig = shared().await;
    zadig.create_with(sub(MESH)).await;
    assert_eq!(zadig.status("sub").await, "success");
    assert_eq!(
        zadig.namespace("shop-env-sub")["labels"]["istio-injection"],
        "enabled"
    );
    let zadig = base_in(CLUSTER).await;
    zadig.create_with(sub(CLUSTER)).await;
    assert_eq!(zadig.status("sub").await, "failed");
    assert_eq!(
        zadig.services("sub").await,
        words([("web", "running")]),
        "its services run"
    );
}

#[tokio::test]
async fn ending_the_sharing_deletes_all_sub_environments() {
    let zadig = shared().await;
    zadig.create_with(sub(MESH)).await;
    assert_eq!(zadig.delete(ENABLE).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.status("sub").await, "absent");
    assert_eq!(zadig.namespace("shop-env-sub"), Value::Null);
    assert_eq!(zadig.status("base").await, "success");
    assert_eq!(ready(&zadig, "disable").await["is_ready"], true);
}

#[tokio::test]
async fn deleting_a_base_deletes_its_sub_environments() {
    let zadig = shared().await;
    zadig.create_with(sub(MESH)).await;
    let answer = zadig
        .delete("/environments/base?projectKey=shop&isDelete=true")
        .await;
    assert_eq!(answer.whole(), success());
    zadig.settle();
    assert_eq!(
        zadig.get("/environments?projectKey=shop").await.ok(),
        json!([])
    );
}

#[tokio::test]
async fn a_portal_is_refused_unless_the_environment_is_a_base_and_never_shown() {
    let zadig = base_in(MESH).await;
    let path = "/environments/base/share/portal/web?projectKey=shop";
    let text = "%s doesn't enable share environment or is not base environment";
    assert_eq!(
        zadig.get(path).await.whole(),
        coded_as(6079, "获取入口服务配置失败", text)
    );
    let missing = "/environments/nope/share/enable?projectKey=shop";
    assert_eq!(zadig.post(missing, &Value::Null).await.status, 500);
    zadig.post(ENABLE, &Value::Null).await;
    zadig.settle();
    let servers = json!([{"host": "web.example.com", "port_number": 80, "port_protocol": "HTTP"}]);
    assert_eq!(zadig.post(path, &servers).await.whole(), success());
    assert_eq!(
        zadig.get(path).await.whole(),
        success(),
        "the answer is lost"
    );
    assert_eq!(zadig.post(path, &json!([])).await.whole(), success());
    let (status, again) = zadig.post(path, &json!([])).await.whole();
    assert_eq!(
        (status, &again["code"]),
        (400, &json!(6079)),
        "removing is not idempotent"
    );
}

#[tokio::test]
async fn share_routes_of_a_missing_environment_are_500() {
    let zadig = Zadig::start().await;
    let path = "/environments/nope/check/workloads/k8services?projectKey=shop";
    let text = "failed to query env `nope` in project `shop`: mongo: no documents in result";
    assert_eq!(zadig.get(path).await.whole(), wrapped(text));
    let path = "/environments/nope/check/sharenv/enable/ready?projectKey=shop";
    assert_eq!(zadig.get(path).await.status, 500);
}
