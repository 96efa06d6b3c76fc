//! What a deletion leaves and whose a namespace is: Z§17 nos. 14 and 19.

use serde_json::{Value, json};

use crate::support::{
    OTHER_REGISTRY, UNKNOWN_ID, Zadig, coded, creation, creation_with, success, words, wrapped,
};

const NAMESPACE: &str = "shop-env-dev";
const CREATE: &str = "/environments?projectKey=shop";
const DELETE: &str = "/environments/dev?projectKey=shop&isDelete=true";
const KEEP: &str = "/environments/dev?projectKey=shop&isDelete=false";

#[tokio::test]
async fn z17_14_the_record_goes_at_once_and_the_namespace_after_seconds() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    assert_eq!(zadig.delete(DELETE).await.whole(), success());
    zadig.advance(500);
    assert_eq!(zadig.status("dev").await, "absent");
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Terminating");
    zadig.advance(4_500);
    assert_eq!(
        zadig.namespace(NAMESPACE)["phase"],
        "Terminating",
        "it takes 6 to 12 s"
    );
    zadig.advance(7_000);
    assert_eq!(zadig.namespace(NAMESPACE), Value::Null);
    let again = zadig.delete(DELETE).await;
    assert_eq!(
        again.whole(),
        wrapped("find product error: mongo: no documents in result")
    );
}

#[tokio::test]
async fn z17_14_a_creation_is_refused_while_the_namespace_terminates_and_works_afterwards() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig.delete(DELETE).await;
    zadig.advance(1_000);
    let text = "1 error occurred:\n\t* 创建环境失败: 创建用户namespace失败: namespace `shop-env-dev` is in terminating state, please wait for a while and try again\n\n";
    assert_eq!(
        zadig.post(CREATE, &creation("dev", &["web"])).await.whole(),
        wrapped(text)
    );
    assert_eq!(zadig.status("dev").await, "absent");
    zadig.settle();
    zadig.create("dev", &["web"]).await;
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_14_a_namespace_that_zadig_did_not_make_stays_with_its_workloads() {
    let zadig = Zadig::start().await;
    zadig.kubectl(json!({"verb": "create", "kind": "Namespace", "name": NAMESPACE}));
    zadig.create("dev", &["plain"]).await;
    assert_eq!(zadig.delete(DELETE).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "plain")["status"]["readyReplicas"],
        1
    );
}

#[tokio::test]
async fn z17_14_a_namespace_that_another_environment_uses_stays_with_the_workloads() {
    let zadig = Zadig::start().await;
    zadig.create("other", &["web"]).await;
    let fields = json!({"namespace": "shop-env-other"});
    zadig
        .create_with(creation_with("dev", &["plain"], &fields))
        .await;
    assert_eq!(zadig.delete(DELETE).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.namespace("shop-env-other")["phase"], "Active");
    assert_ne!(
        zadig.object("shop-env-other", "Deployment", "plain"),
        Value::Null
    );
    assert_eq!(zadig.status("other").await, "success");
}

#[tokio::test]
async fn z17_14_an_environment_that_is_being_created_can_be_deleted() {
    let zadig = Zadig::start().await;
    zadig.post(CREATE, &creation("dev", &["web", "db"])).await;
    assert_eq!(zadig.delete(DELETE).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "absent");
    assert_eq!(zadig.namespace(NAMESPACE), Value::Null);
}

#[tokio::test]
async fn z17_14_the_parameter_is_required_and_must_be_a_boolean_of_go() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &[]).await;
    for (query, description) in [
        (
            "projectKey=shop",
            r#"strconv.ParseBool: parsing "": invalid syntax"#,
        ),
        (
            "projectKey=shop&isDelete=maybe",
            r#"strconv.ParseBool: parsing "maybe": invalid syntax"#,
        ),
        ("isDelete=true", "projectKey can't be empty"),
    ] {
        let answer = zadig.delete(&format!("/environments/dev?{query}")).await;
        assert_eq!(answer.whole(), coded(6096, description));
    }
    assert_eq!(
        zadig
            .delete("/environments/dev?projectKey=shop&isDelete=t")
            .await
            .whole(),
        success()
    );
}

#[tokio::test]
async fn z17_19_a_namespace_that_zadig_makes_carries_its_labels_and_an_existing_one_gets_none() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let labels = zadig.namespace(NAMESPACE)["labels"].clone();
    assert_eq!(
        (&labels["createdBy"], &labels["s-product"]),
        (&json!("koderover"), &json!("shop")),
        "{labels}"
    );
    zadig.kubectl(json!({"verb": "create", "kind": "Namespace", "name": "shop-env-foreign"}));
    zadig.create("foreign", &["plain"]).await;
    assert_eq!(
        zadig.namespace("shop-env-foreign")["labels"],
        json!({"kubernetes.io/metadata.name": "shop-env-foreign"})
    );
}

#[tokio::test]
async fn z17_19_keeping_takes_the_labels_off_and_nothing_puts_them_back() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    assert_eq!(zadig.delete(KEEP).await.whole(), success());
    zadig.settle();
    let bare = json!({"kubernetes.io/metadata.name": NAMESPACE});
    assert_eq!(zadig.namespace(NAMESPACE)["labels"], bare);
    assert_ne!(
        zadig.object(NAMESPACE, "Deployment", "plain"),
        Value::Null,
        "workloads stay"
    );
    zadig.create("dev", &["plain"]).await;
    assert_eq!(zadig.namespace(NAMESPACE)["labels"], bare);
    assert_eq!(zadig.delete(DELETE).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
    assert_ne!(zadig.object(NAMESPACE, "Deployment", "plain"), Value::Null);
}

#[tokio::test]
async fn z17_19_a_refused_creation_with_an_unknown_registry_leaves_its_namespace() {
    let zadig = Zadig::start().await;
    let body = creation_with("dev", &["plain"], &json!({"registry_id": UNKNOWN_ID}));
    let text = "1 error occurred:\n\t* 创建环境失败: 创建secret失败: 无法创建默认的镜像仓库\n\n";
    assert_eq!(zadig.post(CREATE, &body).await.whole(), wrapped(text));
    assert_eq!(zadig.status("dev").await, "absent");
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
    zadig.create("dev", &["plain"]).await;
    assert_eq!(
        zadig.status("dev").await,
        "success",
        "a retry with a good id reuses it"
    );
}

async fn without_namespace() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "plain"]).await;
    zadig.kubectl(json!({"verb": "delete", "kind": "Namespace", "name": NAMESPACE}));
    zadig.settle();
    assert_eq!(zadig.namespace(NAMESPACE), Value::Null);
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "unstart"), ("plain", "unstart")])
    );
    zadig
}

#[tokio::test]
async fn z17_19_an_update_makes_a_missing_namespace_anew_with_what_changed() {
    let zadig = without_namespace().await;
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "3"}]))
        .await;
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("plain", "unstart")])
    );
    assert_ne!(
        zadig.object(NAMESPACE, "Secret", "default-registry-secret"),
        Value::Null
    );
    assert_eq!(zadig.object(NAMESPACE, "Deployment", "plain"), Value::Null);
}

#[tokio::test]
async fn z17_19_an_addition_and_an_edit_make_a_missing_namespace_anew() {
    let zadig = without_namespace().await;
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "db"}]});
    assert_eq!(
        zadig
            .post("/environments/service/yaml?projectKey=shop", &body)
            .await
            .whole(),
        success()
    );
    zadig.settle();
    assert_eq!(zadig.services("dev").await["db"], "running");
    let zadig = without_namespace().await;
    let edit = json!({"registry_id": OTHER_REGISTRY});
    assert_eq!(
        zadig
            .put("/environments/dev?projectKey=shop", &edit)
            .await
            .whole(),
        success()
    );
    zadig.settle();
    assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
    assert_eq!(zadig.objects(NAMESPACE, "Deployment"), Vec::<Value>::new());
}
