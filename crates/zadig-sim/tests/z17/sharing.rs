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

/// The VirtualService of `web` in a namespace, or null.
fn route(zadig: &Zadig, namespace: &str) -> Value {
    zadig.object(namespace, "VirtualService", "zadig-web")["spec"]["http"].clone()
}

fn to(namespace: &str) -> Value {
    json!([{"destination": {"host": format!("web.{namespace}.svc.cluster.local")}}])
}

#[tokio::test]
async fn requests_reach_a_sub_environment_by_header_until_it_is_deleted() {
    let zadig = shared().await;
    assert_eq!(route(&zadig, NAMESPACE), json!([{"route": to(NAMESPACE)}]));
    zadig.create_with(sub(MESH)).await;
    let matched = json!([{"headers": {"x-env": {"exact": "sub"}}}]);
    assert_eq!(
        route(&zadig, NAMESPACE),
        json!([{"match": matched, "route": to("shop-env-sub")}, {"route": to(NAMESPACE)}])
    );
    zadig
        .delete("/environments/sub?projectKey=shop&isDelete=true")
        .await;
    zadig.settle();
    assert_eq!(route(&zadig, NAMESPACE), json!([{"route": to(NAMESPACE)}]));
    assert_eq!(zadig.status("base").await, "success");
}

#[tokio::test]
async fn a_sub_environment_has_the_services_of_its_base_and_applies_no_others() {
    let zadig = base_in(MESH).await;
    zadig
        .post(
            "/environments/service/yaml?projectKey=shop",
            &json!({"env_key": "base", "service_list": [{"service_name": "db"}]}),
        )
        .await;
    zadig.settle();
    zadig.post(ENABLE, &Value::Null).await;
    zadig.settle();
    zadig.create_with(sub(MESH)).await;
    let copy = zadig.object("shop-env-sub", "Service", "db");
    assert_eq!(copy["spec"]["selector"], json!({"app": "db"}));
    for name in ["db", "plain"] {
        zadig.update("sub", json!([{"service_name": name}])).await;
        assert_eq!(zadig.detail_of("sub", name).await["service_name"], name);
    }
    assert_ne!(
        zadig.object("shop-env-sub", "StatefulSet", "db"),
        Value::Null
    );
    assert_eq!(
        zadig.object("shop-env-sub", "Deployment", "plain"),
        Value::Null
    );
}

#[tokio::test]
async fn routes_follow_the_services_of_a_base_and_its_sub_environments() {
    let zadig = shared().await;
    zadig.create_with(sub(MESH)).await;
    let add = "/environments/service/yaml?projectKey=shop";
    let of = |env: &str| json!({"env_key": env, "service_list": [{"service_name": "db"}], "service_names": ["db"]});
    let leads = |namespace: &str| {
        let http = zadig.object(namespace, "VirtualService", "zadig-db")["spec"]["http"].clone();
        let routes = http.as_array().cloned().unwrap_or_default();
        let hosts = routes
            .iter()
            .map(|it| it["route"][0]["destination"]["host"].clone());
        hosts
            .map(|it| it.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (base, own) = (
        "db.shop-env-base.svc.cluster.local",
        "db.shop-env-sub.svc.cluster.local",
    );
    let mut seen = Vec::new();
    for (env, adds) in [
        ("base", true),
        ("sub", true),
        ("sub", false),
        ("base", false),
    ] {
        let answer = if adds {
            zadig.post(add, &of(env)).await
        } else {
            zadig.delete_with(add, &of(env)).await
        };
        assert_eq!(answer.whole(), success());
        zadig.settle();
        seen.push((leads(NAMESPACE), leads("shop-env-sub")));
        assert_eq!(ready(&zadig, "enable").await["is_ready"], true, "{env}");
    }
    let none = Vec::<String>::new;
    assert_eq!(
        seen,
        [
            (vec![base.to_owned()], vec![base.to_owned()]),
            (vec![own.to_owned(), base.to_owned()], vec![own.to_owned()]),
            (vec![base.to_owned()], vec![base.to_owned()]),
            (none(), none()),
        ]
    );
}

#[tokio::test]
async fn a_sub_environment_of_a_missing_base_fails() {
    let zadig = Zadig::start().await;
    zadig.create_with(sub(MESH)).await;
    assert_eq!(zadig.status("sub").await, "failed");
}

#[tokio::test]
async fn sharing_moves_the_time_once_and_restarts_pods_that_opt_out_each_time() {
    let zadig = base_in(MESH).await;
    zadig.kubectl(json!({
        "verb": "patch", "kind": "Deployment", "namespace": NAMESPACE, "name": "web", "cluster": MESH,
        "patch": {"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}}}}
    }));
    zadig.settle();
    let before = zadig.update_time("base").await;
    zadig.post(ENABLE, &Value::Null).await;
    zadig.settle();
    let (pods, time) = (
        zadig.pods(NAMESPACE, "web-"),
        zadig.update_time("base").await,
    );
    assert!(time > before, "{time} {before}");
    assert_eq!(
        ready(&zadig, "enable").await["checks"]["pods_have_istio_proxy"],
        false
    );
    zadig.post(ENABLE, &Value::Null).await;
    zadig.settle();
    assert_ne!(zadig.pods(NAMESPACE, "web-"), pods);
    assert_eq!(zadig.update_time("base").await, time);
}

#[tokio::test]
async fn sharing_in_a_cluster_without_a_mesh_stops_half_way() {
    let zadig = base_in(CLUSTER).await;
    let (status, refused) = zadig.post(ENABLE, &Value::Null).await.whole();
    assert_eq!((status, &refused["code"]), (500, &json!(500)));
    let namespace = zadig.namespace(NAMESPACE);
    assert_eq!(namespace["labels"]["istio-injection"], "enabled");
    let portal = "/environments/base/share/portal/web?projectKey=shop";
    assert_eq!(zadig.get(portal).await.status, 400, "it is no base");
}

#[tokio::test]
async fn ending_the_sharing_needs_the_gateway_of_the_mesh() {
    let zadig = shared().await;
    zadig.create_with(sub(MESH)).await;
    zadig.kubectl(json!({
        "verb": "delete", "kind": "Service", "namespace": "istio-system", "name": "istio-ingressgateway", "cluster": MESH
    }));
    assert_eq!(zadig.delete(ENABLE).await.status, 500);
    zadig.settle();
    assert_eq!(
        zadig.status("sub").await,
        "absent",
        "done before the step that failed"
    );
    assert_eq!(ready(&zadig, "enable").await["is_ready"], true);
}

#[tokio::test]
async fn the_ports_of_one_portal_are_lost_to_the_next() {
    let zadig = shared().await;
    zadig
        .post(
            "/environments/service/yaml?projectKey=shop",
            &json!({"env_key": "base", "service_list": [{"service_name": "db"}]}),
        )
        .await;
    zadig.settle();
    let ports = || {
        let gateway = zadig.object("istio-system", "Service", "istio-ingressgateway");
        let ports = gateway["spec"]["ports"].as_array().unwrap().clone();
        let numbers: Vec<i64> = ports
            .iter()
            .map(|it| it["port"].as_i64().unwrap())
            .collect();
        numbers
    };
    for (service, port) in [("web", 8001), ("db", 8002)] {
        let path = format!("/environments/base/share/portal/{service}?projectKey=shop");
        let servers =
            json!([{"host": "a.example.com", "port_number": port, "port_protocol": "HTTP"}]);
        assert_eq!(zadig.post(&path, &servers).await.whole(), success());
        assert_eq!(ports(), [80, 443, port]);
    }
    let spec = zadig.object(NAMESPACE, "VirtualService", "zadig-web")["spec"].clone();
    assert_eq!(
        (&spec["hosts"], &spec["gateways"]),
        (
            &json!(["web", "a.example.com"]),
            &json!(["zadig-gateway-web"])
        )
    );
    let malformed = zadig
        .send(
            reqwest::Method::POST,
            "/environments/base/share/portal/web?projectKey=shop",
            "{".to_owned(),
        )
        .await;
    assert_eq!(malformed.status, 400);
    assert_eq!(malformed.json()["code"], 400);
}

#[tokio::test]
async fn a_sleeping_environment_is_not_shared() {
    let zadig = base_in(MESH).await;
    assert!(zadig.sim.sleep_environment("shop", "base"));
    zadig.settle();
    let refused = wrapped("Environment is sleeping");
    assert_eq!(zadig.post(ENABLE, &Value::Null).await.whole(), refused);
    assert_eq!(zadig.delete(ENABLE).await.whole(), refused);
}

#[tokio::test]
async fn a_service_without_a_selector_hides_one_workload() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    zadig.kubectl(json!({
        "verb": "create", "kind": "Service", "namespace": "shop-env-dev", "name": "any",
        "manifest": {"apiVersion": "v1", "spec": {"ports": [{"port": 1}]}}
    }));
    let path = "/environments/dev/check/workloads/k8services?projectKey=shop";
    assert_eq!(zadig.get(path).await.whole(), (200, json!([])));
}

#[tokio::test]
async fn a_cluster_tells_whether_it_is_a_mesh() {
    let zadig = Zadig::start().await;
    for (cluster, mesh) in [(CLUSTER, false), (MESH, true)] {
        let path = format!("/cluster/istio/check/{cluster}");
        assert_eq!(zadig.get(&path).await.whole(), (200, json!(mesh)));
    }
}

#[tokio::test]
async fn an_environment_that_is_no_base_keeps_what_was_made_on_top_of_it() {
    let zadig = base_in(CLUSTER).await;
    zadig.create_with(sub(CLUSTER)).await;
    let portal = "/environments/sub/share/portal/web?projectKey=shop";
    let text = "failed to get default istio ingress gateway address: failed to get istio default ingress gateway istio-ingressgateway in ns istio-system, err: services \"istio-ingressgateway\" not found";
    assert_eq!(
        zadig.get(portal).await.whole(),
        coded_as(6079, "获取入口服务配置失败", text)
    );
    zadig
        .delete("/environments/base?projectKey=shop&isDelete=true")
        .await;
    zadig.settle();
    assert_eq!(zadig.status("base").await, "absent");
    assert_eq!(zadig.status("sub").await, "failed");
}
