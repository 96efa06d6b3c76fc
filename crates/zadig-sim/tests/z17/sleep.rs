//! Environments put to sleep from the web page: Z§17 no. 27.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{OTHER_REGISTRY, Zadig, coded, success, words, wrapped};

const NAMESPACE: &str = "shop-env-dev";

async fn asleep() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "db", "job"]).await;
    zadig.advance(5_000);
    assert!(zadig.sim.sleep_environment("shop", "dev"));
    zadig.settle();
    zadig
}

#[tokio::test]
async fn z17_27_sleeping_takes_replicas_to_zero_and_suspends_cron_jobs() {
    let zadig = asleep().await;
    assert_eq!(zadig.status("dev").await, "sleeping");
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "unstart"), ("db", "unstart"), ("job", "allsuspend")])
    );
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "web")["spec"]["replicas"],
        0
    );
    assert_eq!(
        zadig.object(NAMESPACE, "StatefulSet", "db")["spec"]["replicas"],
        0
    );
    assert_eq!(
        zadig.object(NAMESPACE, "CronJob", "cleanup")["spec"]["suspend"],
        true
    );
    assert_eq!(zadig.objects(NAMESPACE, "Pod"), Vec::<Value>::new());
}

#[tokio::test]
async fn z17_27_sleeping_and_waking_move_update_time() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig.advance(5_000);
    let created = zadig.update_time("dev").await;
    assert!(zadig.sim.sleep_environment("shop", "dev"));
    zadig.settle();
    let slept = zadig.update_time("dev").await;
    assert!(zadig.sim.wake_environment("shop", "dev"));
    zadig.settle();
    let woken = zadig.update_time("dev").await;
    assert!(
        created < slept && slept < woken,
        "{created} {slept} {woken}"
    );
}

#[tokio::test]
async fn z17_27_waking_puts_the_replicas_back() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "job"]).await;
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "3"}]))
        .await;
    assert!(zadig.sim.sleep_environment("shop", "dev"));
    zadig.settle();
    assert!(zadig.sim.wake_environment("shop", "dev"));
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("job", "nosuspend")])
    );
    assert_eq!(zadig.pods(NAMESPACE, "web-").len(), 3);
}

#[tokio::test]
async fn z17_27_a_sleeping_environment_refuses_updates_additions_scaling_and_restart() {
    let zadig = asleep().await;
    let sleeping = wrapped("1 error occurred:\n\t* 更新环境失败: environment is sleeping\n\n");
    let update = zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    assert_eq!(update.whole(), sleeping);
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "plain"}]});
    let add = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(add.whole(), sleeping);
    let body = json!({
        "project_key": "shop", "env_key": "dev", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    });
    let scale = zadig.post("/environments/scale", &body).await;
    assert_eq!(scale.whole(), coded(6081, "environment is sleeping"));
    let restart = zadig
        .post(
            "/environments/dev/service/web/restart?projectKey=shop",
            &Value::Null,
        )
        .await;
    assert_eq!(restart.whole(), coded(6081, "environment is sleeping"));
    assert_eq!(zadig.status("dev").await, "sleeping");
}

#[tokio::test]
async fn z17_27_a_sleeping_environment_takes_edits_configs_removals_and_deletion() {
    let zadig = asleep().await;
    let edit = zadig
        .put(
            "/environments/dev?projectKey=shop",
            &json!({"registry_id": OTHER_REGISTRY}),
        )
        .await;
    assert_eq!(edit.whole(), success());
    let path = "/environments/dev/envcfg/web-config?projectKey=shop&type=ConfigMap";
    assert_eq!(zadig.delete(path).await.whole(), success());
    let body = json!({"env_key": "dev", "service_names": ["job"]});
    let remove = zadig
        .delete_with("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(remove.whole(), success());
    let delete = zadig
        .delete("/environments/dev?projectKey=shop&isDelete=true")
        .await;
    assert_eq!(delete.whole(), success());
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "absent");
}

#[tokio::test]
async fn z17_27_the_web_page_s_own_route_puts_to_sleep_and_wakes() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    for (action, status) in [("enable", "sleeping"), ("disable", "success")] {
        let path = format!(
            "{}/api/aslan/environment/environments/dev/sleep?projectName=shop&action={action}",
            zadig.url
        );
        let token = zadig.sim.token("admin").unwrap();
        let answer = crate::support::http()
            .request(Method::POST, path)
            .header("authorization", format!("Bearer {token}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        zadig.settle();
        assert_eq!(zadig.status("dev").await, status);
    }
}
