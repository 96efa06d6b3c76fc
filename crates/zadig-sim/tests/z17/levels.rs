//! What differs between Zadig 4.2, 4.3 and 5.0: Z§12 and the levels named in Z§1.2, Z§4.15 and Z§4.16.

use reqwest::Method;
use serde_json::{Value, json};
use zadig_sim::{Level, Options};

use crate::support::{
    CLUSTER, REGISTRY, Zadig, coded, creation_with, empty, success, virtual_time,
};

const NAMESPACE: &str = "shop-env-dev";

async fn level(level: Level) -> Zadig {
    Zadig::with(Options {
        level: Some(level),
        ..virtual_time()
    })
    .await
}

fn scaling(replicas: i64) -> Value {
    json!({
        "project_key": "shop", "env_key": "dev", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": replicas
    })
}

#[tokio::test]
async fn scaling_has_a_permission_of_its_own_from_4_3_on() {
    for (at, keeper, scaler) in [
        (Level::V42, true, false),
        (Level::V43, false, true),
        (Level::V50, false, true),
    ] {
        let zadig = level(at).await;
        zadig.create("dev", &["web"]).await;
        for (user, allowed) in [("keeper", keeper), ("scaler", scaler)] {
            let answer = zadig
                .user(user)
                .post("/environments/scale", &scaling(2))
                .await;
            assert_eq!(
                answer.status,
                if allowed { 200 } else { 403 },
                "{at:?} {user}"
            );
        }
    }
}

#[tokio::test]
async fn scaling_rewrites_a_global_variable_from_4_3_on() {
    let zadig = level(Level::V43).await;
    let fields = json!({
        "global_variables": [{"key": "replicas", "value": "2"}],
        "services": [{"service_name": "web", "variable_kvs": [{"key": "replicas", "use_global_variable": true}]}]
    });
    zadig.create_with(creation_with("dev", &[], &fields)).await;
    assert_eq!(
        zadig.post("/environments/scale", &scaling(3)).await.whole(),
        success()
    );
    zadig.settle();
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "web")["spec"]["replicas"],
        3
    );
    let value = zadig.globals("dev").await["replicas"]["value"].clone();
    assert!(value == "3" || value == 3, "{value}");
}

#[tokio::test]
async fn the_pods_routes_exist_from_4_3_on() {
    let path = "/environments/dev/service/web/pods?projectKey=shop";
    let zadig = level(Level::V42).await;
    zadig.create("dev", &["web"]).await;
    assert_eq!(zadig.get(path).await.status, 404);
    let zadig = level(Level::V43).await;
    zadig.create("dev", &["web", "plain"]).await;
    let answer = zadig.get(path).await.ok();
    let pods = zadig.pods(NAMESPACE, "web-");
    assert_eq!(answer["service_name"], "web");
    let pod = &answer["pods"][0];
    let keys: Vec<_> = {
        let mut keys: Vec<_> = pod.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(
        keys,
        [
            "containers_ready",
            "create_time",
            "images",
            "ip",
            "pod_name",
            "pod_ready",
            "status",
            "workload_name",
            "workload_type"
        ]
    );
    assert_eq!(
        (&pod["pod_name"], &pod["workload_type"]),
        (&json!(pods[0]), &json!("Deployment"))
    );
    let foreign = zadig.pods(NAMESPACE, "plain-").remove(0);
    let restart =
        |pod: &str| format!("/environments/dev/service/web/pod/{pod}/restart?projectKey=shop");
    let answer = zadig.post(&restart(&foreign), &Value::Null).await;
    let text = format!("pod {foreign} does not belong to service web");
    assert_eq!(answer.whole(), coded(400, &text));
    assert_eq!(
        zadig.post(&restart(&pods[0]), &Value::Null).await.whole(),
        success()
    );
    zadig.settle();
    assert_ne!(zadig.pods(NAMESPACE, "web-"), pods);
}

#[tokio::test]
async fn a_token_that_may_not_be_used_is_401_from_4_3_on() {
    let path = "/environments?projectKey=shop";
    let zadig = level(Level::V42).await;
    assert_eq!(
        zadig.user("blocked").get(path).await.whole(),
        (200, json!([]))
    );
    let zadig = level(Level::V43).await;
    assert_eq!(zadig.user("blocked").get(path).await.bare(), empty(401));
}

#[tokio::test]
async fn a_missing_second_factor_is_403_with_a_reason_from_4_3_on() {
    let path = "/environments?projectKey=shop";
    let zadig = level(Level::V42).await;
    assert_eq!(zadig.user("careful").get(path).await.status, 200);
    let zadig = level(Level::V43).await;
    let answer = zadig
        .user("careful")
        .request(Method::GET, path)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let reason = answer.headers()["x-zadig-auth-reason"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body, json!({"reason": reason}));
    assert!(reason.starts_with("mfa_"), "{reason}");
}

#[tokio::test]
async fn update_by_is_kept_up_from_5_0_on() {
    for (at, expected) in [
        (Level::V42, "admin"),
        (Level::V43, "admin"),
        (Level::V50, "editor"),
    ] {
        let zadig = level(at).await;
        zadig.create("dev", &["web"]).await;
        let body = json!({"service_list": [{"service_name": "web"}]});
        let answer = zadig
            .user("editor")
            .put("/environments/dev/services?projectKey=shop", &body)
            .await;
        assert_eq!(answer.whole(), success(), "{at:?}");
        zadig.settle();
        assert_eq!(zadig.listed("dev").await["update_by"], expected, "{at:?}");
    }
}

#[tokio::test]
async fn a_stateful_set_is_restarted_from_5_0_on() {
    for (at, restarted) in [(Level::V42, false), (Level::V43, false), (Level::V50, true)] {
        let zadig = level(at).await;
        zadig.create("dev", &["db"]).await;
        let uid = || zadig.object(NAMESPACE, "Pod", "db-0")["metadata"]["uid"].clone();
        let before = uid();
        let path = "/environments/dev/service/db/restart?projectKey=shop";
        assert_eq!(zadig.post(path, &Value::Null).await.whole(), success());
        zadig.settle();
        assert_eq!(uid() != before, restarted, "{at:?}");
        assert_eq!(zadig.services("dev").await["db"], "running");
    }
}

#[tokio::test]
async fn a_daemon_set_is_shown_and_restarted_from_5_0_on() {
    for (at, shown) in [(Level::V43, false), (Level::V50, true)] {
        let zadig = level(at).await;
        let yaml = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: agent\nspec:\n  selector:\n    matchLabels: {app: agent}\n  template:\n    metadata:\n      labels: {app: agent}\n    spec:\n      containers:\n      - {name: agent, image: a}\n";
        let body = json!({"service_name": "agent", "yaml": yaml, "variable_yaml": []});
        let made = zadig.post("/service/yaml/raw?projectKey=shop", &body).await;
        assert_eq!(made.whole(), success());
        zadig.create("dev", &["agent"]).await;
        let scales = zadig.service("dev", "agent").await["scales"].clone();
        assert_eq!(scales.as_array().unwrap().len() == 1, shown, "{at:?}");
        let before = zadig.pods(NAMESPACE, "agent-");
        let path = "/environments/dev/service/agent/restart?projectKey=shop";
        assert_eq!(zadig.post(path, &Value::Null).await.whole(), success());
        zadig.settle();
        assert_eq!(
            zadig.pods(NAMESPACE, "agent-") != before,
            shown,
            "{at:?} {before:?}"
        );
    }
}

#[tokio::test]
async fn the_name_of_the_cluster_is_a_system_variable_from_5_0_on() {
    for (at, expected) in [(Level::V43, "$ClusterName$"), (Level::V50, "local")] {
        let zadig = level(at).await;
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  cluster: $ClusterName$\n";
        let body = json!({"type": "k8s", "yaml": yaml});
        assert_eq!(
            zadig
                .put("/service/yaml/settings?projectKey=shop", &body)
                .await
                .whole(),
            success()
        );
        zadig.create("dev", &["settings"]).await;
        let live = zadig.object(NAMESPACE, "ConfigMap", "settings");
        assert_eq!(live["data"]["cluster"], expected, "{at:?}");
    }
}

#[tokio::test]
async fn a_draft_is_recorded_and_not_installed_from_4_3_on() {
    let zadig = level(Level::V43).await;
    let body = json!({
        "env_name": "dev", "cluster_id": CLUSTER, "namespace": NAMESPACE, "registry_id": REGISTRY, "production": false
    });
    zadig
        .post("/environments/helm?projectKey=shop-helm", &body)
        .await;
    zadig.settle();
    let body = json!({
        "env_name": "dev", "production": false, "services": [{"service_name": "hweb", "deploy_strategy": "draft"}]
    });
    let answer = zadig
        .post(
            "/environments/helm/dev/services?projectKey=shop-helm",
            &body,
        )
        .await;
    assert_eq!(answer.status, 200);
    zadig.settle();
    assert_eq!(zadig.object(NAMESPACE, "Deployment", "hweb"), Value::Null);
}
