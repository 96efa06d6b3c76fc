//! Scaling and restarting: Z§17 no. 22, and the part of Z§4.16 that a stand-in must show.

use serde_json::{Value, json};

use crate::support::{Zadig, coded, creation_with, success, words, wrapped};

const NAMESPACE: &str = "shop-env-dev";
const SCALE: &str = "/environments/scale";

fn to(service: &str, kind: &str, replicas: i64) -> Value {
    json!({
        "project_key": "shop", "env_key": "dev", "service_name": service, "workload_name": service,
        "workload_type": kind, "target_replicas": replicas
    })
}

async fn running() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "plain", "db"]).await;
    zadig
}

fn replicas(zadig: &Zadig, name: &str) -> Value {
    zadig.object(NAMESPACE, "Deployment", name)["spec"]["replicas"].clone()
}

#[tokio::test]
async fn z17_22_a_missing_number_is_zero() {
    let zadig = running().await;
    let mut body = to("plain", "Deployment", 0);
    body.as_object_mut().unwrap().remove("target_replicas");
    assert_eq!(zadig.post(SCALE, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(replicas(&zadig, "plain"), 0);
    assert_eq!(zadig.services("dev").await["plain"], "unstart");
    assert_eq!(
        zadig.service("dev", "plain").await["scales"][0]["pods"],
        json!([])
    );
}

#[tokio::test]
async fn z17_22_a_literal_number_is_kept_as_an_override() {
    let zadig = running().await;
    assert_eq!(
        zadig
            .post(SCALE, &to("plain", "Deployment", 3))
            .await
            .whole(),
        success()
    );
    assert_eq!(zadig.yaml("dev", "plain").await[0]["spec"]["replicas"], 3);
    zadig
        .update("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(
        replicas(&zadig, "plain"),
        3,
        "an update of the same revision does not undo it"
    );
}

#[tokio::test]
async fn z17_22_a_number_that_is_calculated_or_shared_is_refused() {
    let zadig = Zadig::start().await;
    let workload = |name: &str, replicas: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: {replicas}\n  selector:\n    matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      labels: {{app: {name}}}\n    spec:\n      containers:\n      - {{name: {name}, image: a}}\n"
        )
    };
    let calculated = "{{ if eq .size \"big\" }}3{{ else }}1{{ end }}";
    let text = [
        workload("calculated", calculated),
        workload("one", "{{ .many }}"),
        workload("two", "{{ .many }}"),
        workload("own", "{{.own}}"),
    ]
    .join("---\n");
    let variable = |key: &str, value: &str| json!({"key": key, "value": value, "type": "string"});
    let body = json!({
        "service_name": "many", "yaml": text,
        "variable_yaml": [variable("size", "big"), variable("many", "2"), variable("own", "2")]
    });
    let made = zadig.post("/service/yaml/raw?projectKey=shop", &body).await;
    assert_eq!(made.whole(), success());
    zadig.create("dev", &["many"]).await;
    for (name, status) in [
        ("calculated", 400),
        ("one", 400),
        ("two", 400),
        ("own", 200),
    ] {
        let mut body = to(name, "Deployment", 5);
        body["service_name"] = json!("many");
        assert_eq!(zadig.post(SCALE, &body).await.status, status, "{name}");
    }
    let numbers = ["calculated", "one", "two", "own"].map(|name| replicas(&zadig, name));
    assert_eq!(numbers, [json!(3), json!(2), json!(2), json!(5)]);
}

#[tokio::test]
async fn z17_22_a_variable_is_rewritten() {
    let zadig = running().await;
    assert_eq!(
        zadig.post(SCALE, &to("web", "Deployment", 3)).await.whole(),
        success()
    );
    assert_eq!(replicas(&zadig, "web"), 3);
    assert_eq!(zadig.yaml("dev", "web").await[0]["spec"]["replicas"], 3);
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9090"}]))
        .await;
    assert_eq!(replicas(&zadig, "web"), 3);
}

#[tokio::test]
async fn z17_22_the_live_number_is_set_even_if_the_stored_one_is_equal() {
    let zadig = running().await;
    zadig.post(SCALE, &to("web", "Deployment", 2)).await;
    zadig.kubectl(json!({
        "verb": "scale", "kind": "Deployment", "namespace": NAMESPACE, "name": "web", "replicas": 5
    }));
    zadig.settle();
    assert_eq!(
        zadig.post(SCALE, &to("web", "Deployment", 2)).await.whole(),
        success()
    );
    zadig.settle();
    assert_eq!(replicas(&zadig, "web"), 2);
    assert_eq!(zadig.pods(NAMESPACE, "web-").len(), 2);
}

#[tokio::test]
async fn z17_22_scaling_is_done_when_it_is_answered_and_rolls_nothing_out() {
    let zadig = running().await;
    zadig.advance(5_000);
    let (pods, time) = (
        zadig.pods(NAMESPACE, "web-"),
        zadig.update_time("dev").await,
    );
    zadig.post(SCALE, &to("web", "Deployment", 2)).await;
    assert_eq!(zadig.status("dev").await, "success");
    assert!(zadig.update_time("dev").await > time);
    zadig.settle();
    assert!(
        pods.iter()
            .all(|pod| zadig.pods(NAMESPACE, "web-").contains(pod))
    );
}

#[tokio::test]
async fn z17_22_a_stateful_set_is_scaled_and_other_kinds_are_refused() {
    let zadig = running().await;
    assert_eq!(
        zadig.post(SCALE, &to("db", "StatefulSet", 2)).await.whole(),
        success()
    );
    zadig.settle();
    assert_eq!(zadig.pods(NAMESPACE, "db-"), ["db-0", "db-1"]);
    let answer = zadig.post(SCALE, &to("web", "CronJob", 2)).await;
    assert_eq!(
        answer.whole(),
        wrapped("unsupported workload type: CronJob")
    );
    let answer = zadig.post(SCALE, &to("web", "Deployment", -1)).await;
    assert_eq!(
        answer.whole(),
        wrapped("target_replicas must be greater than or equal to 0")
    );
}

#[tokio::test]
async fn z17_22_a_workload_must_belong_to_its_service() {
    let zadig = running().await;
    let mut body = to("web", "Deployment", 2);
    body["workload_name"] = json!("plain");
    let text = "workload Deployment/plain does not belong to service web";
    assert_eq!(zadig.post(SCALE, &body).await.whole(), coded(6081, text));
    let (status, answer) = zadig
        .post(SCALE, &to("ghost", "Deployment", 2))
        .await
        .whole();
    assert_eq!((status, &answer["code"]), (400, &json!(6081)));
    assert_eq!(replicas(&zadig, "plain"), 1);
}

#[tokio::test]
async fn z17_22_a_number_from_a_global_variable_is_refused() {
    let zadig = Zadig::start().await;
    let fields = json!({
        "global_variables": [{"key": "replicas", "value": "2"}],
        "services": [{"service_name": "web", "variable_kvs": [{"key": "replicas", "use_global_variable": true}]}]
    });
    zadig.create_with(creation_with("dev", &[], &fields)).await;
    assert_eq!(replicas(&zadig, "web"), 2);
    let text = "replicas of workload Deployment/web is sourced from environment global variables and cannot be updated by scale";
    assert_eq!(
        zadig.post(SCALE, &to("web", "Deployment", 3)).await.whole(),
        coded(6081, text)
    );
    assert_eq!(replicas(&zadig, "web"), 2);
}

#[tokio::test]
async fn z17_22_a_restart_kills_the_pods_of_the_first_deployment_only() {
    let zadig = running().await;
    let (web, db) = (
        zadig.pods(NAMESPACE, "web-"),
        zadig.objects(NAMESPACE, "StatefulSet"),
    );
    let uid = || zadig.object(NAMESPACE, "Pod", "db-0")["metadata"]["uid"].clone();
    let pod = uid();
    for service in ["web", "db", "job", "ghost"] {
        let path = format!("/environments/dev/service/{service}/restart?projectKey=shop");
        assert_eq!(
            zadig.post(&path, &Value::Null).await.whole(),
            success(),
            "{service}"
        );
    }
    zadig.settle();
    let after = zadig.pods(NAMESPACE, "web-");
    assert!(after.len() == 1 && after != web, "{web:?} {after:?}");
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "web")["metadata"]["generation"],
        1
    );
    assert_eq!((zadig.objects(NAMESPACE, "StatefulSet"), uid()), (db, pod));
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("plain", "running"), ("db", "running")])
    );
}
