//! Images and registries: Z§17 nos. 21 and 23.

use serde_json::{Value, json};

use crate::support::{
    OTHER_REGISTRY, REGISTRY, UNKNOWN_ID, Zadig, coded, creation_with, image, success,
};

const IMAGE: &str = "/environments/image/deployment/dev";

async fn running() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "db", "job"]).await;
    zadig
}

fn call(service: &str, workload: &str, container: &str, tag: &str) -> Value {
    json!({
        "product_name": "shop", "env_name": "dev", "service_name": service, "name": workload, "container_name": container,
        "image": image(tag)
    })
}

fn named(name: &str, tag: &str) -> (String, String) {
    (name.to_owned(), image(tag))
}

#[tokio::test]
async fn z17_21_an_image_is_changed_in_the_cluster_and_in_the_record() {
    let zadig = running().await;
    zadig.advance(5_000);
    let before = zadig.update_time("dev").await;
    assert_eq!(
        zadig
            .post(IMAGE, &call("web", "web", "web", "web:v2"))
            .await
            .whole(),
        success()
    );
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.images("dev", "web").await,
        [named("web", "web:v2"), named("sidecar", "sidecar:v1")]
    );
    assert_eq!(
        zadig.detail_of("dev", "web").await["containers"][0]["image"],
        image("web:v2")
    );
    assert!(zadig.update_time("dev").await > before);
    let stored = zadig.yaml("dev", "web").await;
    assert_eq!(
        stored[0]["spec"]["template"]["spec"]["containers"][0]["image"],
        image("web:v2")
    );
}

#[tokio::test]
async fn z17_21_a_kind_in_the_body_stands_above_the_path_s() {
    let zadig = running().await;
    let path = "/environments/image/statefulset/dev";
    let mut body = call("web", "web", "web", "web:v2");
    body["type"] = json!("Deployment");
    assert_eq!(zadig.post(path, &body).await.whole(), success());
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v2"));
    body["type"] = json!("Pod");
    let answer = zadig.post(IMAGE, &body).await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(6082))
    );
}

#[tokio::test]
async fn z17_21_an_equal_image_moves_update_time_and_repairs_a_foreign_one() {
    let zadig = running().await;
    zadig.kubectl(json!({
        "verb": "set-image", "kind": "Deployment", "namespace": "shop-env-dev", "name": "web", "container": "web",
        "image": image("web:foreign")
    }));
    zadig.advance(5_000);
    let before = zadig.update_time("dev").await;
    assert_eq!(
        zadig
            .post(IMAGE, &call("web", "web", "web", "web:v1"))
            .await
            .whole(),
        success()
    );
    assert!(zadig.update_time("dev").await > before);
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v1"));
}

#[tokio::test]
async fn z17_21_an_unknown_container_is_added_as_the_first_one_and_the_detail_does_not_show_it() {
    let zadig = running().await;
    assert_eq!(
        zadig
            .post(IMAGE, &call("web", "web", "nope", "web:v4"))
            .await
            .whole(),
        success()
    );
    assert_eq!(
        zadig.images("dev", "web").await,
        [
            named("nope", "web:v4"),
            named("web", "web:v1"),
            named("sidecar", "sidecar:v1")
        ]
    );
    let shown = zadig.detail_of("dev", "web").await["containers"].clone();
    let names: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["web", "sidecar"]);
}

#[tokio::test]
async fn z17_21_an_unknown_service_is_400_after_the_patch() {
    let zadig = running().await;
    let answer = zadig
        .post(IMAGE, &call("nope", "web", "web", "web:v5"))
        .await;
    assert_eq!(answer.whole(), coded(6082, "服务 nope 不存在"));
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v5"));
    assert_eq!(
        zadig.detail_of("dev", "web").await["containers"][0]["image"],
        image("web:v1")
    );
}

#[tokio::test]
async fn z17_21_a_missing_workload_or_project_is_400() {
    let zadig = running().await;
    let answer = zadig
        .post(IMAGE, &call("web", "nope", "web", "web:v5"))
        .await;
    assert_eq!(answer.whole(), coded(6082, "更新 Deployment 容器镜像失败"));
    for (kind, text) in [("statefulset", "StatefulSet"), ("cronjob", "CronJob")] {
        let path = format!("/environments/image/{kind}/dev");
        let answer = zadig
            .post(&path, &call("web", "nope", "web", "web:v5"))
            .await;
        assert_eq!(
            answer.whole(),
            coded(6082, &format!("更新 {text} 容器镜像失败"))
        );
    }
    let mut body = call("web", "web", "web", "web:v5");
    body["product_name"] = json!("");
    let text = "failed to find template project , error: mongo: no documents in result";
    assert_eq!(zadig.post(IMAGE, &body).await.whole(), coded(6082, text));
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v1"));
}

#[tokio::test]
async fn z17_21_the_environment_in_the_body_counts_and_not_the_one_in_the_path() {
    let zadig = running().await;
    zadig.create("other", &["web"]).await;
    let path = "/environments/image/deployment/other";
    assert_eq!(
        zadig
            .post(path, &call("web", "web", "web", "web:v6"))
            .await
            .whole(),
        success()
    );
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v6"));
    assert_eq!(
        zadig.images("other", "web").await[0],
        named("web", "web:v1")
    );
}

#[tokio::test]
async fn z17_21_an_empty_environment_name_changes_the_first_environment() {
    let zadig = running().await;
    let mut body = call("web", "web", "web", "web:v7");
    body.as_object_mut().unwrap().remove("env_name");
    let path = "/environments/image/deployment/ghost";
    assert_eq!(zadig.post(path, &body).await.whole(), success());
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v7"));
    let events = zadig.get("/environments/kube/events?projectKey=shop").await;
    assert_eq!(events.status, 200, "an empty name is no filter here either");
}

#[tokio::test]
async fn z17_21_a_sleeping_environment_takes_an_image_and_has_it_after_waking() {
    let zadig = running().await;
    assert!(zadig.sim.sleep_environment("shop", "dev"));
    zadig.settle();
    assert_eq!(
        zadig
            .post(IMAGE, &call("web", "web", "web", "web:v8"))
            .await
            .whole(),
        success()
    );
    assert!(zadig.sim.wake_environment("shop", "dev"));
    zadig.settle();
    assert_eq!(zadig.images("dev", "web").await[0], named("web", "web:v8"));
    assert_eq!(zadig.services("dev").await["web"], "running");
}

#[tokio::test]
async fn z17_21_images_of_stateful_sets_and_cron_jobs_are_changed_too() {
    let zadig = running().await;
    let path = "/environments/image/statefulset/dev";
    assert_eq!(
        zadig
            .post(path, &call("db", "db", "db", "db:v2"))
            .await
            .whole(),
        success()
    );
    assert_eq!(zadig.images("dev", "db").await, [named("db", "db:v2")]);
    let path = "/environments/image/cronjob/dev";
    let body = call("job", "cleanup", "cleanup", "cleanup:v2");
    assert_eq!(zadig.post(path, &body).await.whole(), success());
    let view = zadig.service("dev", "job").await;
    assert_eq!(
        view["cron_jobs"][0]["images"][0]["image"],
        image("cleanup:v2")
    );
}

#[tokio::test]
async fn z17_23_an_unknown_registry_is_stored_although_the_edit_is_refused() {
    let zadig = running().await;
    let answer = zadig
        .put(
            "/environments/dev?projectKey=shop",
            &json!({"registry_id": UNKNOWN_ID}),
        )
        .await;
    assert_eq!(answer.whole(), coded(6401, "无法创建默认的镜像仓库"));
    assert_eq!(zadig.detail("dev").await["registry_id"], UNKNOWN_ID);
    let update = zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    assert_ne!(update.status, 200, "every update ensures the same secret");
    let repair = zadig
        .put(
            "/environments/dev?projectKey=shop",
            &json!({"registry_id": OTHER_REGISTRY}),
        )
        .await;
    assert_eq!(repair.whole(), success());
    assert_eq!(zadig.detail("dev").await["registry_id"], OTHER_REGISTRY);
    zadig.update("dev", json!([{"service_name": "web"}])).await;
}

#[tokio::test]
async fn z17_23_a_malformed_registry_passes_a_creation() {
    let zadig = Zadig::start().await;
    let fields = json!({"registry_id": "xyz"});
    zadig
        .create_with(creation_with("dev", &["plain"], &fields))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.detail("dev").await["registry_id"], "xyz");
}

#[tokio::test]
async fn z17_23_an_alias_of_a_test_environment_is_ignored() {
    let zadig = running().await;
    let body = json!({"registry_id": REGISTRY, "env_name": "An alias"});
    assert_eq!(
        zadig
            .put("/environments/dev?projectKey=shop", &body)
            .await
            .whole(),
        success()
    );
    let detail = zadig.detail("dev").await;
    assert_eq!(
        (
            detail.get("env_name"),
            zadig.listed("dev").await.get("envName")
        ),
        (None, None)
    );
}
