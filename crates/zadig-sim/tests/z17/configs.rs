//! Configuration objects of an environment: Z§17 nos. 9 and 29.

use serde_json::{Value, json};

use crate::support::{Zadig, coded, coded_as, creation_with, empty, success, wrapped};

const NAMESPACE: &str = "shop-env-dev";
const PUT: &str = "/environments/envcfgs?projectKey=shop";
const POST: &str = "/environments/dev/envcfgs?projectKey=shop";

fn config_map(name: &str, value: &str) -> Value {
    json!({
        "name": name, "env_key": "dev", "common_env_cfg_type": "ConfigMap",
        "yaml_data": format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels:\n    mine: x\ndata:\n  k: {value}\n")
    })
}

fn secret(name: &str, value: &str) -> Value {
    json!({
        "name": name, "env_key": "dev", "common_env_cfg_type": "Secret",
        "yaml_data": format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\nstringData:\n  pw: {value}\n")
    })
}

async fn running() -> Zadig {
    let zadig = Zadig::start().await;
    let configs = json!({"env_configs": [{
        "name": "extra", "common_env_cfg_type": "ConfigMap",
        "yaml_data": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  k: v1\n"
    }]});
    zadig
        .create_with(creation_with("dev", &["web", "plain"], &configs))
        .await;
    zadig
}

async fn list(zadig: &Zadig, kind: &str) -> Vec<String> {
    let path = format!("/environments/dev/envcfgs?projectKey=shop&type={kind}");
    let list = zadig.get(&path).await.ok();
    let names = list.as_array().unwrap().iter();
    names
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn detail(zadig: &Zadig, kind: &str, name: &str) -> Value {
    zadig
        .get(&format!(
            "/environments/dev/envcfg/{name}?projectKey=shop&type={kind}"
        ))
        .await
        .ok()
}

#[tokio::test]
async fn z17_09_a_put_deletes_the_pods_of_the_services_that_use_the_object() {
    let zadig = running().await;
    let (web, plain) = (
        zadig.pods(NAMESPACE, "web-"),
        zadig.pods(NAMESPACE, "plain-"),
    );
    for round in ["changed", "equal"] {
        let before = zadig.pods(NAMESPACE, "web-");
        assert_eq!(
            zadig
                .put(PUT, &config_map("web-config", "v2"))
                .await
                .whole(),
            success()
        );
        zadig.settle();
        let after = zadig.pods(NAMESPACE, "web-");
        assert!(
            after.len() == 1 && after != before,
            "{round}: {before:?} {after:?}"
        );
    }
    assert_ne!(zadig.pods(NAMESPACE, "web-"), web);
    assert_eq!(
        zadig.pods(NAMESPACE, "plain-"),
        plain,
        "it uses another object"
    );
    assert_eq!(
        zadig.object(NAMESPACE, "Deployment", "web")["metadata"]["generation"],
        1
    );
}

#[tokio::test]
async fn z17_09_a_put_adds_the_projects_label_and_replaces_system_variables() {
    let zadig = running().await;
    let mut body = config_map("web-config", "$EnvName$-$Namespace$-$Product$");
    assert_eq!(zadig.put(PUT, &body).await.whole(), success());
    let live = zadig.object(NAMESPACE, "ConfigMap", "web-config");
    assert_eq!(live["data"], json!({"k": "dev-shop-env-dev-shop"}));
    assert_eq!(live["metadata"]["labels"]["s-product"], "shop");
    body["name"] = json!("another");
    assert_eq!(
        zadig.put(PUT, &body).await.whole(),
        coded(6089, "configMap Yaml Name is incorrect")
    );
}

#[tokio::test]
async fn z17_09_the_list_shows_foreign_objects_too_sorted_by_name() {
    let zadig = running().await;
    zadig.kubectl(json!({
        "verb": "create", "kind": "ConfigMap", "namespace": NAMESPACE, "name": "foreign", "manifest": {"data": {"a": "b"}}
    }));
    assert_eq!(
        list(&zadig, "ConfigMap").await,
        ["extra", "foreign", "kube-root-ca.crt", "web-config"]
    );
    assert_eq!(list(&zadig, "Secret").await, ["default-registry-secret"]);
    assert_eq!(list(&zadig, "PVC").await, Vec::<String>::new());
    let shown = detail(&zadig, "ConfigMap", "foreign").await["configMap_detail"].clone();
    assert_eq!(shown.get("update_by"), None);
    assert!(
        shown["yaml_data"].as_str().unwrap().contains("uid: "),
        "{shown}"
    );
}

#[tokio::test]
async fn z17_09_the_list_tells_the_last_writer_but_the_time_of_creation() {
    let zadig = running().await;
    let listed = async || {
        let list = zadig
            .get("/environments/dev/envcfgs?projectKey=shop&type=ConfigMap")
            .await
            .ok();
        list.as_array()
            .unwrap()
            .iter()
            .find(|item| item["name"] == "web-config")
            .unwrap()
            .clone()
    };
    let before = listed().await;
    assert_eq!(before.get("update_by"), None, "it came with a service");
    zadig.put(PUT, &config_map("web-config", "v2")).await;
    zadig.settle();
    let after = listed().await;
    assert_eq!(
        (&after["update_by"], &after["update_time"]),
        (&json!("admin"), &before["update_time"])
    );
}

#[tokio::test]
async fn z17_09_an_unknown_type_or_object_is_refused() {
    let zadig = running().await;
    for kind in ["configmap", "Foo", ""] {
        let path = format!("/environments/dev/envcfgs?projectKey=shop&type={kind}");
        let text = format!("invalid common env cfg type: {kind}");
        assert_eq!(zadig.get(&path).await.whole(), wrapped(&text));
    }
    let path = "/environments/dev/envcfg/nope?projectKey=shop&type=ConfigMap";
    assert_eq!(zadig.get(path).await.whole(), wrapped("not found"));
    assert_eq!(
        zadig.delete(path).await.whole(),
        success(),
        "deleting what is missing is success"
    );
    let path = "/environments/dev/envcfg/extra?projectKey=shop&type=Foo";
    assert_eq!(
        zadig.delete(path).await.whole(),
        coded(6096, "Foo is not support delete")
    );
    let path = "/environments/dev/envcfg/extra?projectKey=shop";
    assert_eq!(
        zadig.delete(path).await.whole(),
        coded(400, "type is empty")
    );
}

#[tokio::test]
async fn z17_09_a_post_creates_and_refuses_what_exists_but_overwrites_a_secret() {
    let zadig = running().await;
    assert_eq!(
        zadig
            .post(POST, &config_map("fresh", "$EnvName$"))
            .await
            .whole(),
        success()
    );
    let live = zadig.object(NAMESPACE, "ConfigMap", "fresh");
    assert_eq!(
        live["data"],
        json!({"k": "$EnvName$"}),
        "only PUT replaces system variables"
    );
    let (status, again) = zadig.post(POST, &config_map("fresh", "x")).await.whole();
    assert_eq!((status, &again["code"]), (400, &json!(6095)));
    let text = again["description"].as_str().unwrap();
    assert!(
        text.starts_with("failed to create configmap shop-env-dev/fresh: "),
        "{text}"
    );
    for value in ["one", "two"] {
        assert_eq!(
            zadig.post(POST, &secret("pass", value)).await.whole(),
            success()
        );
        zadig.advance(1_000);
    }
    let shown = detail(&zadig, "Secret", "pass").await["secret_detail"]["yaml_data"].clone();
    assert!(shown.as_str().unwrap().contains("pw: dHdv"), "{shown}");
}

#[tokio::test]
async fn z17_09_a_put_makes_a_missing_secret_but_no_config_map() {
    let zadig = running().await;
    assert_eq!(
        zadig.put(PUT, &secret("pass", "one")).await.whole(),
        success()
    );
    assert_eq!(
        list(&zadig, "Secret").await,
        ["default-registry-secret", "pass"]
    );
    let (status, answer) = zadig.put(PUT, &config_map("ghost", "x")).await.whole();
    assert_eq!((status, &answer["code"]), (400, &json!(6089)));
    let text = answer["description"].as_str().unwrap();
    assert!(
        text.starts_with("failed to update configmap shop-env-dev/ghost: "),
        "{text}"
    );
}

#[tokio::test]
async fn z17_09_each_refusal_of_a_put_has_its_code() {
    let zadig = running().await;
    let invalid = |text: &str| {
        coded_as(
            6076,
            "更新环境资源配置失败",
            &format!("failed to validate request data err : {text}"),
        )
    };
    let mut body = config_map("web-config", "x");
    body.as_object_mut().unwrap().remove("env_key");
    assert_eq!(
        zadig.put(PUT, &body).await.whole(),
        invalid("env_key is required")
    );
    let body = config_map("web-config", "x");
    assert_eq!(
        zadig.put("/environments/envcfgs", &body).await.whole(),
        invalid("projectKey is required")
    );
    let mut body = config_map("web-config", "x");
    body["common_env_cfg_type"] = json!("Secret");
    let text = "param commonEnvCfgType:Secret not match yaml kind ConfigMap ";
    assert_eq!(zadig.put(PUT, &body).await.whole(), coded(6095, text));
    let mut body = config_map("web-config", "x");
    body["yaml_data"] = json!("no object");
    let (status, answer) = zadig.put(PUT, &body).await.whole();
    assert_eq!((status, &answer["code"]), (400, &json!(6095)));
}

#[tokio::test]
async fn z17_09_objects_of_a_creation_carry_their_environments_label() {
    let zadig = running().await;
    let shown = detail(&zadig, "ConfigMap", "extra").await["configMap_detail"].clone();
    assert_eq!(
        (&shown["update_by"], &shown["source_detail"]),
        (&json!("admin"), &Value::Null)
    );
    assert_eq!(shown.get("services"), None, "nobody uses it");
    let live = zadig.object(NAMESPACE, "ConfigMap", "extra");
    assert_eq!(
        live["metadata"]["labels"],
        json!({"s-env": "dev", "s-product": "shop"})
    );
    let used =
        detail(&zadig, "ConfigMap", "web-config").await["configMap_detail"]["services"].clone();
    assert_eq!(used, json!(["web"]));
}

#[tokio::test]
async fn z17_29_a_deleted_object_is_shown_for_a_moment_with_its_deletion() {
    let zadig = running().await;
    let path = "/environments/dev/envcfg/extra?projectKey=shop&type=ConfigMap";
    assert_eq!(zadig.delete(path).await.whole(), success());
    let shown = zadig.get(path).await.ok()["configMap_detail"].clone();
    assert_eq!(shown.get("update_by"), None);
    assert!(
        shown["yaml_data"]
            .as_str()
            .unwrap()
            .contains("deletionTimestamp: "),
        "{shown}"
    );
    assert!(
        list(&zadig, "ConfigMap")
            .await
            .contains(&"extra".to_owned())
    );
    zadig.advance(1_000);
    assert_eq!(zadig.get(path).await.whole(), wrapped("not found"));
    assert_eq!(
        list(&zadig, "ConfigMap").await,
        ["kube-root-ca.crt", "web-config"]
    );
}

#[tokio::test]
async fn z17_29_a_put_replaces_labels_and_keeps_the_object() {
    let zadig = running().await;
    zadig.kubectl(json!({
        "verb": "patch", "kind": "ConfigMap", "namespace": NAMESPACE, "name": "extra",
        "patch": {"metadata": {"labels": {"own": "label"}}}
    }));
    let before = zadig.object(NAMESPACE, "ConfigMap", "extra");
    let mut body = config_map("extra", "v2");
    body["yaml_data"] =
        json!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  k: v2\n");
    assert_eq!(zadig.put(PUT, &body).await.whole(), success());
    let after = zadig.object(NAMESPACE, "ConfigMap", "extra");
    assert_eq!(after["metadata"]["labels"], json!({"s-product": "shop"}));
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["data"], json!({"k": "v2"}));
}

#[tokio::test]
async fn z17_29_a_second_write_in_one_second_is_made_and_then_refused() {
    let zadig = running().await;
    for (round, expected) in [
        ("first", success()),
        ("second", coded(6089, "mongo duplicate key error")),
    ] {
        let answer = zadig.put(PUT, &config_map("extra", round)).await;
        assert_eq!(answer.whole(), expected);
        let live = zadig.object(NAMESPACE, "ConfigMap", "extra");
        assert_eq!(live["data"], json!({"k": round}), "the cluster is changed");
    }
    assert_eq!(zadig.put(PUT, &secret("pass", "one")).await.status, 200);
    let panicked = zadig.put(PUT, &secret("pass", "two")).await;
    assert_eq!(panicked.bare(), empty(500));
    zadig.advance(1_000);
    assert_eq!(zadig.put(PUT, &secret("pass", "two")).await.status, 200);
}

fn ingress(host: &str, annotation: Option<&str>) -> Value {
    let annotations = annotation.map_or(String::new(), |text| {
        format!("  annotations:\n    note: {text}\n")
    });
    json!({
        "name": "front", "env_key": "dev", "common_env_cfg_type": "Ingress",
        "yaml_data": format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: front\n{annotations}spec:\n  rules:\n  - host: {host}\n"
        )
    })
}

fn claim(size: &str) -> Value {
    json!({
        "name": "data", "env_key": "dev", "common_env_cfg_type": "PVC",
        "yaml_data": format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: data\nspec:\n  accessModes: [ReadWriteOnce, ReadOnlyMany]\n  resources:\n    requests:\n      storage: {size}\n"
        )
    })
}

#[tokio::test]
async fn z17_29_a_put_merges_an_ingress_and_makes_a_missing_one() {
    let zadig = running().await;
    let first = zadig
        .put(PUT, &ingress("a.example.com", Some("kept")))
        .await;
    assert_eq!(first.whole(), success());
    zadig.advance(1_000);
    let second = zadig.put(PUT, &ingress("b.example.com", None)).await;
    assert_eq!(second.whole(), success());
    let live = zadig.object(NAMESPACE, "Ingress", "front");
    assert_eq!(
        (
            &live["metadata"]["annotations"],
            &live["metadata"]["labels"],
            &live["spec"]["rules"],
        ),
        (
            &json!({"note": "kept"}),
            &json!({"s-product": "shop"}),
            &json!([{"host": "b.example.com"}]),
        )
    );
    let shown = detail(&zadig, "Ingress", "front").await["ingress_detail"].clone();
    assert_eq!(
        (
            &shown["host_info"],
            shown.get("address"),
            &shown["update_by"]
        ),
        (&json!("b.example.com"), None, &json!("admin"))
    );
    zadig.advance(1_000);
    let (status, refused) = zadig.put(PUT, &ingress("$EnvName$.x", None)).await.whole();
    assert_eq!((status, &refused["code"]), (400, &json!(6095)));
    let posted = zadig.post(POST, &ingress("c.example.com", None)).await;
    assert_eq!(posted.whole(), success());
    let live = zadig.object(NAMESPACE, "Ingress", "front");
    assert_eq!(live["metadata"].get("annotations"), None, "POST replaces");
}

#[tokio::test]
async fn z17_29_a_claim_must_be_there_and_must_not_change() {
    let zadig = running().await;
    let (status, missing) = zadig.put(PUT, &claim("1Gi")).await.whole();
    assert_eq!((status, &missing["code"]), (400, &json!(6095)));
    let text = missing["description"].as_str().unwrap();
    assert!(text.starts_with("failed to get live PVC: "), "{text}");
    assert_eq!(zadig.post(POST, &claim("1Gi")).await.whole(), success());
    let (status, again) = zadig.post(POST, &claim("1Gi")).await.whole();
    assert_eq!((status, &again["code"]), (400, &json!(6095)));
    zadig.advance(1_000);
    let equal = zadig.put(PUT, &claim("1Gi")).await;
    assert_eq!(equal.whole(), success());
    let (status, grown) = zadig.put(PUT, &claim("2Gi")).await.whole();
    assert_eq!((status, &grown["code"]), (400, &json!(6095)));
    let shown = detail(&zadig, "PVC", "data").await["pvc_detail"].clone();
    assert_eq!(
        (
            &shown["status"],
            &shown["access_modes"],
            shown.get("volume")
        ),
        (
            &json!("Pending"),
            &json!("ReadWriteOnce,ReadOnlyMany"),
            None
        )
    );
    assert_eq!(list(&zadig, "PVC").await, ["data"]);
    let path = "/environments/dev/envcfg/data?projectKey=shop&type=PVC";
    assert_eq!(zadig.delete(path).await.whole(), success());
    zadig.advance(1_000);
    assert_eq!(list(&zadig, "PVC").await, Vec::<String>::new());
}

#[tokio::test]
async fn z17_29_a_put_loses_the_service_label_so_a_restart_needs_only_the_workloads_labels() {
    let zadig = running().await;
    for value in ["one", "two"] {
        let before = zadig.pods(NAMESPACE, "web-");
        zadig.put(PUT, &config_map("web-config", value)).await;
        zadig.settle();
        assert_ne!(zadig.pods(NAMESPACE, "web-"), before, "{value}");
    }
    let live = zadig.object(NAMESPACE, "ConfigMap", "web-config");
    assert_eq!(
        live["metadata"]["labels"],
        json!({"mine": "x", "s-product": "shop"})
    );
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9000"}]))
        .await;
    let live = zadig.object(NAMESPACE, "ConfigMap", "web-config");
    assert_eq!(
        live["data"],
        json!({"k": "two"}),
        "its own text did not change"
    );
}

#[tokio::test]
async fn z17_29_the_pull_secret_is_used_by_all_workloads_and_a_foreign_namespace_restarts_nothing()
{
    let zadig = running().await;
    let used = detail(&zadig, "Secret", "default-registry-secret").await;
    let mut used: Vec<String> =
        serde_json::from_value(used["secret_detail"]["services"].clone()).unwrap();
    used.sort();
    assert_eq!(used, ["plain", "web"]);
    zadig.kubectl(json!({"verb": "create", "kind": "Namespace", "name": "foreign"}));
    let body = creation_with("dev2", &["web"], &json!({"namespace": "foreign"}));
    zadig.create_with(body).await;
    let before = zadig.pods("foreign", "web-");
    let mut body = config_map("web-config", "v2");
    body["env_key"] = json!("dev2");
    assert_eq!(zadig.put(PUT, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(zadig.pods("foreign", "web-"), before);
}

#[tokio::test]
async fn z17_29_configs_of_a_creation_may_be_of_each_type_and_a_refused_one_refuses_the_creation() {
    let zadig = Zadig::start().await;
    let text = |body: Value| json!({"yaml_data": body["yaml_data"]});
    let configs = |host: &str| {
        let secret = text(secret("s", "x"));
        let map = text(config_map("m", "$EnvName$"));
        json!({"env_configs": [map, secret, text(claim("1Gi")), text(ingress(host, None))]})
    };
    let refused = zadig
        .post(
            "/environments?projectKey=shop",
            &creation_with("dev", &["web"], &configs("$EnvName$.example.com")),
        )
        .await;
    assert_eq!(refused.status, 500);
    let text = refused.description();
    let start =
        "1 error occurred:\n\t* 创建环境失败: 创建环境配置 dev 失败:failed to create ingress: ";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(zadig.status("dev").await, "absent");
    let left = zadig.object(NAMESPACE, "ConfigMap", "m");
    assert_eq!(
        left["data"],
        json!({"k": "$EnvName$"}),
        "written before, as it was sent"
    );
    zadig
        .create_with(creation_with("dev", &["web"], &configs("dev.example.com")))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    for (kind, name) in [("Ingress", "front"), ("PVC", "data")] {
        assert_eq!(list(&zadig, kind).await, [name]);
    }
    let labels = &zadig.object(NAMESPACE, "Ingress", "front")["metadata"]["labels"];
    assert_eq!(labels, &json!({"s-env": "dev", "s-product": "shop"}));
    let broken = json!({"env_configs": [
        {"yaml_data": "kind: ConfigMap\nmetadata: {name: a/b}\n"}, {"yaml_data": "kind: ConfigMap\ndata: {k: 1}\n"}
    ]});
    let refused = zadig
        .post(
            "/environments?projectKey=shop",
            &creation_with("other", &[], &broken),
        )
        .await
        .description();
    for text in [
        "创建环境配置 other 失败:\n* failed to create configmap: ",
        "\n* failed to unmarshal target JSON to ConfigMap: ",
    ] {
        assert!(refused.contains(text), "{refused}");
    }
    let foreign = json!({"env_configs": [{"yaml_data": "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"}]});
    let refused = zadig
        .post(
            "/environments?projectKey=shop",
            &creation_with("other", &[], &foreign),
        )
        .await;
    assert!(
        refused
            .description()
            .ends_with("error: kind not support\n\n"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn z17_09_a_service_variable_is_replaced_by_the_service_of_the_body() {
    let zadig = running().await;
    let mut body = config_map("extra", "$Service$");
    body["service_name"] = json!("Web");
    assert_eq!(zadig.put(PUT, &body).await.whole(), success());
    let live = zadig.object(NAMESPACE, "ConfigMap", "extra");
    assert_eq!(live["data"], json!({"k": "web"}));
}

#[tokio::test]
async fn z17_08_configs_are_taken_in_any_state_and_leave_the_record_alone() {
    let zadig = Zadig::start().await;
    let path = "/environments?projectKey=shop";
    zadig
        .post(path, &creation_with("dev", &["web"], &json!({})))
        .await;
    let before = zadig.listed("dev").await;
    assert_eq!(before["status"], "creating");
    for (answer, expected) in [
        (zadig.put(PUT, &secret("pass", "one")).await, success()),
        (zadig.post(POST, &config_map("fresh", "x")).await, success()),
        (
            zadig
                .delete("/environments/dev/envcfg/fresh?projectKey=shop&type=ConfigMap")
                .await,
            success(),
        ),
    ] {
        assert_eq!(answer.whole(), expected);
    }
    assert_eq!(zadig.listed("dev").await, before);
}

#[tokio::test]
async fn z17_09_a_missing_environment_has_the_code_of_the_type() {
    let zadig = Zadig::start().await;
    let mut bodies = [
        ("ConfigMap", 6088, 6089, config_map("c", "x")),
        ("Secret", 6094, 6095, secret("s", "x")),
        ("Ingress", 6094, 6095, ingress("a.example.com", None)),
        ("PVC", 6094, 6095, claim("1Gi")),
    ];
    for (kind, listed, updated, body) in &mut bodies {
        body["env_key"] = json!("nope");
        let text = "mongo: no documents in result";
        let coded_by = |code: u16| match code {
            6094 => coded_as(6094, "列出对象资源失败", text),
            code => coded(code, text),
        };
        for path in ["envcfgs?", "envcfg/c?"] {
            let path = format!("/environments/nope/{path}projectKey=shop&type={kind}");
            assert_eq!(zadig.get(&path).await.whole(), coded_by(*listed), "{path}");
        }
        assert_eq!(zadig.put(PUT, body).await.whole(), coded_by(*updated));
        let created = zadig
            .post("/environments/nope/envcfgs?projectKey=shop", body)
            .await;
        assert_eq!(created.whole(), coded_by(6095));
        let path = format!("/environments/nope/envcfg/c?projectKey=shop&type={kind}");
        let text = "failed to find product shop: mongo: no documents in result";
        assert_eq!(zadig.delete(&path).await.whole(), coded(6077, text));
    }
}

#[tokio::test]
async fn z17_09_anybody_reads_and_only_editors_write() {
    let zadig = running().await;
    let (viewer, editor) = (zadig.user("viewer"), zadig.user("editor"));
    let listed = viewer
        .get("/environments/dev/envcfgs?projectKey=shop&type=Secret")
        .await;
    assert_eq!(listed.status, 200);
    let path = "/environments/dev/envcfg/default-registry-secret?projectKey=shop&type=Secret";
    assert!(viewer.get(path).await.text.contains(".dockercfg"));
    let body = config_map("extra", "v2");
    assert_eq!(viewer.put(PUT, &body).await.bare(), empty(403));
    assert_eq!(
        viewer.post(POST, &config_map("c", "x")).await.bare(),
        empty(403)
    );
    assert_eq!(viewer.delete(path).await.bare(), empty(403));
    assert_eq!(editor.put(PUT, &body).await.whole(), success());
    assert_eq!(
        detail(&zadig, "ConfigMap", "extra").await["configMap_detail"]["update_by"],
        "editor"
    );
}

#[tokio::test]
async fn z17_29_of_several_documents_the_first_one_counts() {
    let zadig = running().await;
    let mut body = config_map("extra", "first");
    let text = body["yaml_data"].as_str().unwrap();
    body["yaml_data"] = json!(format!("---\n{text}---\nkind: Other\n"));
    assert_eq!(zadig.put(PUT, &body).await.whole(), success());
    let live = zadig.object(NAMESPACE, "ConfigMap", "extra");
    assert_eq!(live["data"], json!({"k": "first"}));
    body["yaml_data"] = json!("kind: ConfigMap\nmetadata: {name: extra, labels: {a: 1}}\n");
    let (status, refused) = zadig.put(PUT, &body).await.whole();
    assert_eq!((status, &refused["code"]), (400, &json!(6089)));
}

#[tokio::test]
async fn z17_29_a_secret_is_replaced_as_a_whole_and_keeps_its_type() {
    let zadig = running().await;
    let text = |fields: &str| {
        let mut body = secret("pass", "x");
        let start = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pass\n";
        body["yaml_data"] = json!(format!("{start}{fields}"));
        body
    };
    let mut put = Vec::new();
    for fields in [
        "stringData: {a: one, b: two}\n",
        "data: {b: dHdv}\n",
        "type: kubernetes.io/tls\nstringData: {b: two}\n",
        "data: {b: \"?\"}\n",
    ] {
        put.push(zadig.put(PUT, &text(fields)).await.status);
        zadig.advance(1_000);
    }
    assert_eq!(put, [200, 200, 400, 400]);
    let shown = detail(&zadig, "Secret", "pass").await["secret_detail"]["yaml_data"].clone();
    let shown: Value = serde_saphyr::from_str(shown.as_str().unwrap()).unwrap();
    assert_eq!(
        (&shown["data"], &shown["type"]),
        (&json!({"b": "dHdv"}), &json!("Opaque"))
    );
}

#[tokio::test]
async fn z17_29_a_deletion_takes_the_last_write_alone_out_of_force() {
    let zadig = running().await;
    for user in ["editor", "owner"] {
        let answer = zadig.user(user).put(PUT, &config_map("extra", user)).await;
        assert_eq!(answer.whole(), success());
        zadig.advance(1_000);
    }
    let writer = async || {
        let list = zadig
            .get("/environments/dev/envcfgs?projectKey=shop&type=ConfigMap")
            .await
            .ok();
        let items = list.as_array().unwrap();
        let item = items.iter().find(|it| it["name"] == "extra").unwrap();
        item["update_by"].clone()
    };
    assert_eq!(writer().await, "owner");
    zadig
        .delete("/environments/dev/envcfg/extra?projectKey=shop&type=ConfigMap")
        .await;
    assert_eq!(writer().await, "editor", "Zadig marks one record, not all");
}

#[tokio::test]
async fn z17_29_a_source_in_git_is_set_by_the_creation_alone_and_ended_by_a_put() {
    let zadig = Zadig::start().await;
    let from = |host: u32, name: &str| {
        json!({
            "yaml_data": config_map(name, "v1")["yaml_data"],
            "auto_sync": true,
            "git_repo_config": {
                "codehost_id": host, "owner": "shop", "repo": "config", "branch": "main",
                "values_paths": ["dev/app.yaml"],
            },
        })
    };
    let configs = json!({"env_configs": [from(7, "app"), from(8, "lost"), from(0, "plain")]});
    zadig.create_with(creation_with("dev", &[], &configs)).await;
    let shown = async |name: &str| {
        detail(&zadig, "ConfigMap", name).await["configMap_detail"]["source_detail"].clone()
    };
    let source = json!({
        "git_repo_config": {
            "codehost_key": "gitlab", "owner": "shop", "repo": "config", "branch": "main",
        },
        "load_path": "dev/app.yaml",
    });
    assert_eq!(shown("app").await, source);
    assert_eq!(shown("plain").await, Value::Null);
    let lost = "/environments/dev/envcfg/lost?projectKey=shop&type=ConfigMap";
    assert_eq!(zadig.get(lost).await.status, 500);
    assert_eq!(
        zadig.put(PUT, &config_map("app", "v2")).await.whole(),
        success()
    );
    assert_eq!(shown("app").await, Value::Null);
}
