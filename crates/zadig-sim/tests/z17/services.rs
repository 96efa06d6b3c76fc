//! What an update of services applies and what it leaves: Z§17 nos. 15 and 16.

use serde_json::{Value, json};

use crate::support::{Zadig, coded, image, success, words, wrapped};

const NAMESPACE: &str = "shop-env-dev";

async fn running() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "plain"]).await;
    zadig
}

fn web(zadig: &Zadig) -> Value {
    zadig.object(NAMESPACE, "Deployment", "web")
}

fn scale_by_hand(zadig: &Zadig, replicas: i64) {
    zadig.kubectl(json!({
        "verb": "scale", "kind": "Deployment", "namespace": NAMESPACE, "name": "web", "replicas": replicas
    }));
    zadig.settle();
}

#[tokio::test]
async fn z17_15_an_equal_update_touches_nothing_in_the_cluster() {
    let zadig = running().await;
    let (before, pods) = (web(&zadig), zadig.pods(NAMESPACE, "web-"));
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!((web(&zadig), zadig.pods(NAMESPACE, "web-")), (before, pods));
}

#[tokio::test]
async fn z17_15_foreign_replicas_survive_an_equal_update_and_one_of_another_key() {
    let zadig = running().await;
    scale_by_hand(&zadig, 4);
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!(web(&zadig)["spec"]["replicas"], 4);
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9090"}]))
        .await;
    assert_eq!(web(&zadig)["spec"]["replicas"], 4);
    assert_eq!(
        web(&zadig)["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"],
        9090
    );
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "2"}]))
        .await;
    assert_eq!(web(&zadig)["spec"]["replicas"], 2, "its own text changed");
}

#[tokio::test]
async fn z17_15_a_foreign_image_survives_an_equal_update() {
    let zadig = running().await;
    zadig.kubectl(json!({
        "verb": "set-image", "kind": "Deployment", "namespace": NAMESPACE, "name": "web", "container": "web",
        "image": image("web:foreign")
    }));
    zadig.settle();
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!(
        zadig.images("dev", "web").await[0],
        ("web".to_owned(), image("web:foreign"))
    );
    let recorded = zadig.detail_of("dev", "web").await["containers"][0]["image"].clone();
    assert_eq!(recorded, image("web:v1"), "the detail shows Zadig's record");
}

#[tokio::test]
async fn z17_15_a_foreign_container_survives_an_update() {
    let zadig = running().await;
    let body = json!({
        "product_name": "shop", "env_name": "dev", "service_name": "web", "name": "web", "container_name": "other",
        "image": image("other:v1")
    });
    zadig
        .post("/environments/image/deployment/dev", &body)
        .await;
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9090"}]))
        .await;
    let names: Vec<_> = zadig
        .images("dev", "web")
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["other", "web", "sidecar"]);
}

#[tokio::test]
async fn z17_15_a_deleted_workload_stays_away_until_its_own_text_changes() {
    let zadig = running().await;
    zadig.kubectl(
        json!({"verb": "delete", "kind": "Deployment", "namespace": NAMESPACE, "name": "web"}),
    );
    zadig.settle();
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "unstart"), ("plain", "running")])
    );
    assert_eq!(zadig.status("dev").await, "success");
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!(web(&zadig), Value::Null);
    assert_eq!(zadig.service("dev", "web").await["scales"], json!([]));
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "2"}]))
        .await;
    let made = web(&zadig);
    assert_eq!(
        (&made["spec"]["replicas"], &made["metadata"]["generation"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("plain", "running")])
    );
}

#[tokio::test]
async fn z17_15_any_change_of_a_workloads_text_rolls_it_out() {
    let zadig = running().await;
    let (pods, generation) = (
        zadig.pods(NAMESPACE, "web-"),
        web(&zadig)["metadata"]["generation"].clone(),
    );
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "2"}]))
        .await;
    let after = zadig.pods(NAMESPACE, "web-");
    assert_eq!(after.len(), 2);
    assert!(
        after.iter().all(|pod| !pods.contains(pod)),
        "{pods:?} {after:?}"
    );
    assert_eq!(
        web(&zadig)["metadata"]["generation"],
        json!(generation.as_i64().unwrap() + 1)
    );
    let annotations = &web(&zadig)["spec"]["template"]["metadata"]["annotations"];
    assert!(
        annotations["updated-by-koderover"].is_string(),
        "{annotations}"
    );
}

#[tokio::test]
async fn z17_15_a_rollout_shows_old_and_new_pods_side_by_side() {
    let zadig = running().await;
    let old = zadig.pods(NAMESPACE, "web-");
    zadig
        .put_services(
            "dev",
            json!([{"service_name": "web", "variable_kvs": [{"key": "port", "value": "1"}]}]),
        )
        .await;
    let mut most = 0;
    for _ in 0..200 {
        zadig.advance(10);
        most = most.max(zadig.pods(NAMESPACE, "web-").len());
    }
    let new = zadig.pods(NAMESPACE, "web-");
    assert_eq!((most, old.len(), new.len()), (2, 1, 1));
    assert_ne!(old, new);
}

#[tokio::test]
async fn z17_15_only_the_changed_objects_of_a_service_are_applied() {
    let zadig = running().await;
    zadig.kubectl(json!({
        "verb": "patch", "kind": "ConfigMap", "namespace": NAMESPACE, "name": "web-config", "patch": {"data": {"GREETING": "mine"}}
    }));
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9090"}]))
        .await;
    let config = zadig.object(NAMESPACE, "ConfigMap", "web-config");
    assert_eq!(config["data"], json!({"GREETING": "mine"}));
    assert_eq!(
        zadig.object(NAMESPACE, "Service", "web")["spec"]["ports"][0]["port"],
        9090
    );
}

#[tokio::test]
async fn z17_15_a_service_taken_out_with_its_resources_kept_and_added_again_is_repaired() {
    let zadig = running().await;
    zadig.kubectl(
        json!({"verb": "delete", "kind": "Deployment", "namespace": NAMESPACE, "name": "plain"}),
    );
    let body = json!({"env_key": "dev", "service_names": ["plain"], "not_delete_resource": true});
    let out = zadig
        .delete_with("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(out.whole(), success());
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "plain"}]});
    assert_eq!(
        zadig
            .post("/environments/service/yaml?projectKey=shop", &body)
            .await
            .whole(),
        success()
    );
    zadig.settle();
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("plain", "running")])
    );
}

#[tokio::test]
async fn z17_15_an_update_adds_a_service_that_is_not_in_the_environment() {
    let zadig = running().await;
    zadig
        .update("dev", json!([{"service_name": "settings"}]))
        .await;
    assert_eq!(zadig.services("dev").await["settings"], "succeeded");
    assert_eq!(
        zadig.object(NAMESPACE, "ConfigMap", "settings")["data"],
        json!({"colour": "blue"})
    );
}

#[tokio::test]
async fn z17_15_what_zadig_applies_carries_its_labels_and_the_pull_secret() {
    let zadig = running().await;
    let labels = json!({"app": "web", "s-product": "shop", "s-service": "web"});
    assert_eq!(web(&zadig)["metadata"]["labels"], labels);
    let template = &web(&zadig)["spec"]["template"];
    assert_eq!(template["metadata"]["labels"], labels);
    assert_eq!(
        template["spec"]["imagePullSecrets"],
        json!([{"name": "default-registry-secret"}])
    );
    assert_eq!(
        zadig.object(NAMESPACE, "ConfigMap", "web-config")["metadata"]["labels"],
        json!({"s-product": "shop", "s-service": "web"})
    );
}

#[tokio::test]
async fn z17_15_a_removed_service_goes_with_its_objects_and_a_missing_one_is_ignored() {
    let zadig = running().await;
    let path = "/environments/service/yaml?projectKey=shop";
    let remove = async |names: Value| {
        let answer = zadig
            .delete_with(path, &json!({"env_key": "dev", "service_names": names}))
            .await;
        zadig.settle();
        answer.whole()
    };
    assert_eq!(remove(json!(["web"])).await, success());
    assert_eq!(zadig.services("dev").await, words([("plain", "running")]));
    assert_eq!(
        [
            web(&zadig),
            zadig.object(NAMESPACE, "Service", "web"),
            zadig.object(NAMESPACE, "ConfigMap", "web-config")
        ],
        [Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(remove(json!(["web", "ghost"])).await, success());
    assert_eq!(remove(json!([])).await, success());
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_15_an_object_of_another_environment_in_the_namespace_is_refused() {
    let zadig = running().await;
    let fields = json!({"namespace": NAMESPACE});
    zadig
        .create_with(crate::support::creation_with("other", &["db"], &fields))
        .await;
    let body = json!({"env_key": "other", "service_list": [{"service_name": "plain"}]});
    let answer = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    let text = "1 error occurred:\n\t* 更新环境失败: resource is applied by other envs: Deployment/plain: shop/dev\n\n";
    assert_eq!(answer.whole(), wrapped(text));
}

#[tokio::test]
async fn z17_15_a_creation_over_an_object_of_another_environment_is_refused_before_that_one_is_done()
 {
    let zadig = Zadig::start().await;
    let body = crate::support::creation("dev", &["plain"]);
    let path = "/environments?projectKey=shop";
    assert_eq!(zadig.post(path, &body).await.whole(), success());
    let fields = json!({"namespace": NAMESPACE});
    let body = crate::support::creation_with("other", &["db", "plain"], &fields);
    let text = "1 error occurred:\n\t* 创建环境失败: 创建环境失败: resource is applied by other envs: Deployment/plain: shop/dev\n\n";
    assert_eq!(zadig.post(path, &body).await.whole(), wrapped(text));
    assert_eq!(zadig.status("other").await, "absent");
}

/// Makes a service template of one document.
async fn template(zadig: &Zadig, name: &str, yaml: &str) {
    let body = json!({"service_name": name, "yaml": yaml, "variable_yaml": []});
    let answer = zadig.post("/service/yaml/raw?projectKey=shop", &body).await;
    assert_eq!(answer.whole(), success());
}

#[tokio::test]
async fn z17_15_the_status_of_a_service_follows_what_it_is_made_of() {
    let zadig = Zadig::start().await;
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: once\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {name: once, image: a}\n";
    template(&zadig, "once", job).await;
    zadig
        .create("dev", &["once", "job", "settings", "plain"])
        .await;
    let mut expected = words([
        ("once", "succeeded"),
        ("job", "nosuspend"),
        ("settings", "succeeded"),
        ("plain", "running"),
    ]);
    assert_eq!(zadig.services("dev").await, expected);
    for (kind, name) in [
        ("CronJob", "cleanup"),
        ("Job", "once"),
        ("ConfigMap", "settings"),
    ] {
        zadig
            .kubectl(json!({"verb": "delete", "kind": kind, "namespace": NAMESPACE, "name": name}));
    }
    for gone in ["once", "job"] {
        expected.insert(gone.to_owned(), "unstart".to_owned());
    }
    assert_eq!(zadig.services("dev").await, expected);
}

#[tokio::test]
async fn z17_15_a_changed_job_is_made_anew_and_a_document_that_disappears_goes() {
    let zadig = Zadig::start().await;
    let job = |image: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: once\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {{name: once, image: {image}}}\n"
        )
    };
    let config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beside\n";
    template(&zadig, "once", &format!("{}{config}", job("a"))).await;
    zadig.create("dev", &["once"]).await;
    let uid = || zadig.object(NAMESPACE, "Job", "once")["metadata"]["uid"].clone();
    let first = uid();
    zadig.update("dev", json!([{"service_name": "once"}])).await;
    assert_eq!(uid(), first, "its text is the same");
    let body = json!({"type": "k8s", "yaml": job("b")});
    let revised = zadig.put("/service/yaml/once?projectKey=shop", &body).await;
    assert_eq!(revised.whole(), success());
    zadig.update("dev", json!([{"service_name": "once"}])).await;
    let made = zadig.object(NAMESPACE, "Job", "once");
    assert_ne!(made["metadata"]["uid"], first);
    assert_eq!(
        made["spec"]["template"]["spec"]["containers"][0]["image"],
        "b"
    );
    assert_eq!(zadig.object(NAMESPACE, "ConfigMap", "beside"), Value::Null);
}

#[tokio::test]
async fn z17_15_a_service_without_its_template_goes_with_the_next_update() {
    let zadig = running().await;
    let path = "/service/yaml/plain?projectKey=shop";
    assert_eq!(zadig.delete(path).await.whole(), success());
    assert_eq!(zadig.services("dev").await.len(), 2);
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!(zadig.services("dev").await, words([("web", "running")]));
    assert_ne!(
        zadig.object(NAMESPACE, "Deployment", "plain"),
        Value::Null,
        "its objects stay"
    );
}

async fn immutable() -> Zadig {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["imm", "plain"]).await;
    zadig
}

#[tokio::test]
async fn z17_16_an_update_that_the_api_server_refuses_ends_in_success_with_the_refused_value_shown()
{
    let zadig = immutable().await;
    let before = zadig.object(NAMESPACE, "Deployment", "imm");
    zadig
        .set("dev", "imm", json!([{"key": "label", "value": "two"}]))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("imm", "running"), ("plain", "running")])
    );
    let shown = zadig.yaml("dev", "imm").await[0]["spec"]["selector"]["matchLabels"]["app"].clone();
    assert_eq!(shown, "two");
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "imm"),
        before,
        "the cluster runs the old object"
    );
    zadig
        .set("dev", "imm", json!([{"key": "label", "value": "two"}]))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.object(NAMESPACE, "Deployment", "imm"), before);
}

#[tokio::test]
async fn z17_16_a_refused_update_is_repaired_by_removing_and_adding_the_service() {
    let zadig = immutable().await;
    zadig
        .set("dev", "imm", json!([{"key": "label", "value": "two"}]))
        .await;
    let body = json!({"env_key": "dev", "service_names": ["imm"]});
    zadig
        .delete_with("/environments/service/yaml?projectKey=shop", &body)
        .await;
    zadig.settle();
    let variables = json!([{"key": "label", "value": "two", "type": "string"}]);
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "imm", "variable_kvs": variables}]});
    zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    zadig.settle();
    let live = zadig.object(NAMESPACE, "Deployment", "imm");
    assert_eq!(live["spec"]["selector"]["matchLabels"]["app"], "two");
}

#[tokio::test]
async fn z17_16_a_workload_that_cannot_be_decoded_is_500_before_anything_is_stored() {
    let zadig = running().await;
    let (time, cluster) = (zadig.update_time("dev").await, zadig.namespace(NAMESPACE));
    zadig.advance(5_000);
    for (key, value) in [("cpuLimit", "not-a-quantity"), ("replicas", "many")] {
        let services =
            json!([{"service_name": "web", "variable_kvs": [{"key": key, "value": value}]}]);
        let answer = zadig.put_services("dev", services).await;
        let text = answer.description();
        let start = "1 error occurred:\n\t* 更新环境失败: failed to reconcile replica overrides for service web: unmarshal Deployment error: ";
        assert!(
            answer.status == 500 && text.starts_with(start),
            "{answer:?}"
        );
    }
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.update_time("dev").await, time);
    assert_eq!(zadig.namespace(NAMESPACE), cluster);
    assert_eq!(
        zadig.yaml("dev", "web").await[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
            ["limits"]["cpu"],
        "50m"
    );
}

#[tokio::test]
async fn z17_16_an_update_with_a_missing_project_or_an_undecodable_body_is_refused_in_its_way() {
    let zadig = running().await;
    let answer = zadig
        .put("/environments/dev/services", &json!({"service_list": []}))
        .await;
    assert_eq!(answer.whole(), coded(400, "projectKey can't be empty"));
    let half = zadig
        .send(
            reqwest::Method::PUT,
            "/environments/dev/services?projectKey=shop",
            "{".to_owned(),
        )
        .await;
    assert_eq!(half.status, 500);
    let nothing = zadig
        .put("/environments/dev/services?projectKey=shop", &json!({}))
        .await;
    assert_eq!(nothing.whole(), success());
}

#[tokio::test]
async fn the_live_view_of_a_service_shows_where_its_ingress_leads() {
    let zadig = Zadig::start().await;
    let path = json!({
        "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 8080}}}
    });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"},
        "spec": {"rules": [{"host": "dev.example.com", "http": {"paths": [path]}}]}
    });
    let raw = json!({"service_name": "front", "yaml": ingress.to_string()});
    let answer = zadig.post("/service/yaml/raw?projectKey=shop", &raw).await;
    assert_eq!(answer.status, 200);
    zadig.create("dev", &["front"]).await;
    let backend =
        json!({"path": "/", "path_type": "Prefix", "service_name": "web", "service_port": "8080"});
    let mut shown = zadig.service("dev", "front").await["ingress"].clone();
    assert!(shown[0]["age"].take().is_string());
    assert_eq!(
        shown,
        json!([{
            "name": "front", "labels": {"s-product": "shop", "s-service": "front"},
            "host_info": [{"host": "dev.example.com", "backend": [backend]}], "ips": [], "age": null
        }])
    );
}
