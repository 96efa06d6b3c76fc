//! The shapes of refusals: Z§17 nos. 2, 3 and 4.

use reqwest::Method;
use serde_json::{Value, json};
use zadig_sim::{FaultAction, FaultRule, Licence, Options};

use crate::support::{
    BUSY, CLUSTER, EXISTS, REGISTRY, UNKNOWN_ID, Zadig, coded, coded_as, creation, creation_with,
    empty, success, virtual_time, wrapped,
};

const CREATE: &str = "/environments?projectKey=shop";

fn scaling() -> Value {
    json!({
        "project_key": "shop", "env_key": "dev", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    })
}

fn without(mut body: Value, key: &str) -> Value {
    body.as_object_mut().unwrap().remove(key);
    body
}

#[tokio::test]
async fn z17_02_a_creation_without_a_required_field_is_500() {
    let zadig = Zadig::start().await;
    for (key, description) in [
        ("env_key", "env key is required"),
        ("cluster_id", "cluster_id is required"),
        ("namespace", "namespace is required"),
        ("registry_id", "registry_id is required"),
    ] {
        let answer = zadig
            .post(CREATE, &without(creation("dev", &[]), key))
            .await;
        assert_eq!(answer.whole(), wrapped(description));
    }
    let answer = zadig.post("/environments", &creation("dev", &[])).await;
    assert_eq!(answer.whole(), wrapped("project key is required"));
}

#[tokio::test]
async fn z17_02_a_creation_that_cannot_be_decoded_is_500() {
    let zadig = Zadig::start().await;
    for body in ["{not json", "", "[]", r#"{"env_key": 1}"#] {
        let answer = zadig.send(Method::POST, CREATE, body.to_owned()).await;
        let (status, json) = answer.whole();
        assert_eq!(
            (status, &json["code"], &json["message"]),
            (500, &json!(500), &json!("Internal Error: "))
        );
        assert_ne!(json["description"], "", "{body}");
    }
    let sub_env = json!({"sub_env": [{"enable": true, "base_env": "base"}]});
    let answer = zadig
        .post(CREATE, &creation_with("dev", &[], &sub_env))
        .await;
    assert_eq!(answer.status, 500, "sub_env is an object");
    assert_eq!(zadig.status("dev").await, "absent");
}

#[tokio::test]
async fn z17_02_a_scaling_without_a_required_field_is_500() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    for key in [
        "project_key",
        "env_key",
        "service_name",
        "workload_name",
        "workload_type",
    ] {
        let answer = zadig
            .post("/environments/scale", &without(scaling(), key))
            .await;
        assert_eq!(answer.whole(), wrapped(&format!("{key} is required")));
    }
}

#[tokio::test]
async fn z17_02_an_environment_that_exists_is_500_whatever_the_request_says() {
    let zadig = Zadig::start().await;
    zadig.post(CREATE, &creation("dev", &["plain"])).await;
    let again = zadig.post(CREATE, &creation("dev", &["plain"])).await;
    assert_eq!(again.whole(), wrapped(EXISTS), "while it is being created");
    zadig.settle();
    let elsewhere = creation_with("dev", &["web"], &json!({"namespace": "shop-elsewhere"}));
    assert_eq!(
        zadig.post(CREATE, &elsewhere).await.whole(),
        wrapped(EXISTS)
    );
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_02_an_unknown_cluster_is_500_and_leaves_nothing() {
    let zadig = Zadig::start().await;
    for cluster in [UNKNOWN_ID, "xyz"] {
        let body = creation_with("dev", &["plain"], &json!({"cluster_id": cluster}));
        let expected =
            format!("1 error occurred:\n\t* 创建环境失败: cluster {cluster} not found\n\n");
        assert_eq!(zadig.post(CREATE, &body).await.whole(), wrapped(&expected));
    }
    assert_eq!(zadig.get(CREATE).await.whole(), (200, json!([])));
    assert_eq!(zadig.namespace("shop-env-dev"), Value::Null);
}

#[tokio::test]
async fn z17_02_adding_a_service_twice_is_500_and_adds_nothing() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "db"}, {"service_name": "web"}]});
    let answer = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    let text = "service web already exist in env, cannot repeatedly add the same service to the environment";
    assert_eq!(answer.whole(), wrapped(text));
    zadig.settle();
    assert_eq!(
        zadig.services("dev").await.into_keys().collect::<Vec<_>>(),
        ["web"]
    );
}

#[tokio::test]
async fn z17_02_a_missing_environment_is_500_on_detail_delete_and_restart() {
    let zadig = Zadig::start().await;
    assert_eq!(
        zadig
            .get("/environments/nope?projectKey=shop")
            .await
            .whole(),
        wrapped("mongo: no documents in result")
    );
    assert_eq!(
        zadig
            .delete("/environments/nope?projectKey=shop&isDelete=true")
            .await
            .whole(),
        wrapped("find product error: mongo: no documents in result")
    );
    assert_eq!(
        zadig
            .post(
                "/environments/nope/service/web/restart?projectKey=shop",
                &Value::Null
            )
            .await
            .whole(),
        wrapped("mongo: no documents in result")
    );
    assert_eq!(
        zadig
            .get("/environments/nope/check/workloads/k8services?projectKey=shop")
            .await
            .whole(),
        wrapped("failed to query env `nope` in project `shop`: mongo: no documents in result")
    );
}

#[tokio::test]
async fn z17_02_a_busy_environment_is_500_on_add_and_update() {
    let zadig = Zadig::start().await;
    zadig.post(CREATE, &creation("dev", &["plain"])).await;
    let update = zadig
        .put_services("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(update.whole(), wrapped(BUSY));
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "db"}]});
    let add = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(add.whole(), wrapped(BUSY));
}

#[tokio::test]
async fn z17_03_a_busy_or_sleeping_environment_is_6076_on_variables() {
    let zadig = Zadig::start().await;
    let body = creation_with(
        "dev",
        &[],
        &json!({"global_variables": [{"key": "cpuLimit", "value": "1"}]}),
    );
    zadig.post(CREATE, &body).await;
    let path = "/environments/dev/variable?projectKey=shop";
    let variables = json!({"global_variables": [{"key": "cpuLimit", "value": "2"}]});
    assert_eq!(
        zadig.put(path, &variables).await.whole(),
        coded(6076, "更新环境失败: 环境正处于不能更新的状态")
    );
    zadig.settle();
    assert!(zadig.sim.sleep_environment("shop", "dev"));
    assert_eq!(
        zadig.put(path, &variables).await.whole(),
        coded(6076, "environment is sleeping")
    );
}

#[tokio::test]
async fn z17_03_a_missing_environment_has_another_code_on_each_route() {
    let zadig = Zadig::start().await;
    let none = "mongo: no documents in result";
    let edit = json!({"registry_id": REGISTRY});
    assert_eq!(
        zadig
            .put("/environments/nope?projectKey=shop", &edit)
            .await
            .whole(),
        coded(6076, "环境不存在")
    );
    assert_eq!(
        zadig
            .put("/environments/nope?projectKey=shop", &json!({}))
            .await
            .whole(),
        success()
    );
    assert_eq!(
        zadig
            .delete("/environments/production/nope?projectKey=shop")
            .await
            .whole(),
        coded(
            6077,
            &format!(
                "failed to find product from db, project:shop envName:nope error:{none}: {none}"
            )
        )
    );
    assert_eq!(
        zadig
            .get("/environments/nope/variable?projectKey=shop")
            .await
            .whole(),
        coded(6078, "failed to find env from db, project:shop env:nope")
    );
    assert_eq!(
        zadig
            .get("/environments/nope/services/web?projectKey=shop")
            .await
            .whole(),
        coded(6083, none)
    );
    let scale = json!({
        "project_key": "shop", "env_key": "nope", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    });
    assert_eq!(
        zadig.post("/environments/scale", &scale).await.whole(),
        coded(6081, none)
    );
    assert_eq!(
        zadig
            .get("/environments/nope/envcfgs?projectKey=shop&type=ConfigMap")
            .await
            .whole(),
        coded(6088, none)
    );
}

#[tokio::test]
async fn z17_03_a_missing_environment_is_404_with_a_body_on_add_and_update() {
    let zadig = Zadig::start().await;
    let expected = coded(404, "mongo: no documents in result");
    let update = zadig
        .put_services("nope", json!([{"service_name": "web"}]))
        .await;
    assert_eq!(update.whole(), expected);
    let body = json!({"env_key": "nope", "service_list": [{"service_name": "web"}]});
    let add = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(add.whole(), expected);
}

#[tokio::test]
async fn z17_03_a_missing_template_has_its_own_refusal_on_create_add_and_update() {
    let zadig = Zadig::start().await;
    let create = zadig.post(CREATE, &creation("dev", &["ghost"])).await;
    let text = "failed to find service from db, serviceName:ghost, projectName:shop error: mongo: no documents in result";
    assert_eq!(create.whole(), coded(6074, text));
    zadig.create("dev", &["web"]).await;
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "ghost"}]});
    let add = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(
        add.whole(),
        coded(6092, "更新环境失败: service ghost not found from db")
    );
    let update = zadig
        .put_services(
            "dev",
            json!([{"service_name": "ghost", "variable_kvs": []}]),
        )
        .await;
    let text = "1 error occurred:\n\t* 更新环境失败: failed to get latest service template ghost, err: mongo: no documents in result\n\n";
    assert_eq!(update.whole(), wrapped(text));
}

#[tokio::test]
async fn z17_03_an_unreachable_cluster_is_6065_on_the_detail() {
    let zadig = Zadig::start().await;
    let (status, body) = zadig
        .get("/environments/lost?projectKey=remote")
        .await
        .whole();
    assert_eq!(
        (status, &body["code"], &body["message"], &body["type"]),
        (400, &json!(6065), &json!("列出服务组失败"), &json!("error"))
    );
    let list = zadig.get("/environments?projectKey=remote").await.ok();
    assert_eq!(
        list[0]["status"], "success",
        "the list reads the database alone"
    );
}

#[tokio::test]
async fn z17_03_an_insufficient_licence_is_7050_with_an_empty_description() {
    let options = Options {
        licence: Some(Licence::None),
        ..virtual_time()
    };
    let zadig = Zadig::with(options).await;
    let answer = zadig.get("/environments/production?projectKey=shop").await;
    assert_eq!(answer.whole(), coded(7050, ""));
}

#[tokio::test]
async fn z17_03_a_service_of_a_sub_environment_cannot_be_deleted_from_its_base() {
    let zadig = Zadig::start().await;
    zadig
        .create_with(creation_with(
            "base",
            &["web"],
            &json!({"cluster_id": crate::support::MESH}),
        ))
        .await;
    zadig
        .post(
            "/environments/base/share/enable?projectKey=shop",
            &Value::Null,
        )
        .await;
    zadig.settle();
    let fields = json!({
        "cluster_id": crate::support::MESH, "sub_env": {"enable": true, "base_env": "base"}
    });
    zadig
        .create_with(creation_with("sub", &["web"], &fields))
        .await;
    let body = json!({"env_key": "base", "service_names": ["web"]});
    let (status, answer) = zadig
        .delete_with("/environments/service/yaml?projectKey=shop", &body)
        .await
        .whole();
    let mut expected = coded_as(6094, "删除服务失败，待删除服务存在于子环境中", "").1;
    expected["extra"] = json!({"web": ["sub"]});
    assert_eq!((status, answer), (400, expected));
}

#[tokio::test]
async fn z17_04_a_missing_or_bad_token_is_401_without_a_body() {
    let zadig = Zadig::start().await;
    let token = zadig.sim.token("admin").unwrap();
    let cut = &token[..token.len() - 4];
    let tampered = format!("Bearer {cut}AAAA");
    for header in [
        None,
        Some("Bearer nonsense"),
        Some(token.as_str()),
        Some(tampered.as_str()),
    ] {
        let caller = zadig.authorization(header);
        assert_eq!(
            caller.get("/environments?projectKey=shop").await.bare(),
            empty(401)
        );
        assert_eq!(
            caller.get("/nowhere").await.bare(),
            empty(401),
            "before routing"
        );
    }
    let other_word = zadig.authorization(Some(&format!("Token {token}")));
    assert_eq!(
        other_word
            .get("/environments?projectKey=shop")
            .await
            .whole(),
        (200, json!([]))
    );
    let in_query = format!("/environments?projectKey=shop&token={token}");
    assert_eq!(
        zadig.authorization(None).get(&in_query).await.whole(),
        (200, json!([]))
    );
}

#[tokio::test]
async fn z17_04_missing_permission_is_an_empty_list_or_403_without_a_body() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let viewer = zadig.user("viewer");
    assert_eq!(
        viewer.get("/environments?projectKey=shop").await.whole(),
        (200, json!([]))
    );
    assert_eq!(
        viewer.post(CREATE, &creation("new", &[])).await.bare(),
        empty(403)
    );
    assert_eq!(
        viewer
            .get("/environments/dev/services/web?projectKey=shop")
            .await
            .bare(),
        empty(403)
    );
    assert_eq!(
        viewer
            .delete("/environments/dev?projectKey=shop&isDelete=true")
            .await
            .bare(),
        empty(403)
    );
    assert_eq!(
        viewer.post("/environments/scale", &scaling()).await.bare(),
        empty(403)
    );
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_04_some_routes_ask_for_no_permission_at_all() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let viewer = zadig.user("viewer");
    for path in [
        "/environments/dev?projectKey=shop",
        "/environments/dev/variable?projectKey=shop",
        "/environments/dev/envcfgs?projectKey=shop&type=Secret",
        "/environments/dev/envcfg/default-registry-secret?projectKey=shop&type=Secret",
        "/environments/kube/events?projectKey=shop&envName=dev&name=web&type=Deployment",
    ] {
        assert_eq!(viewer.get(path).await.status, 200, "{path}");
    }
    let edit = viewer
        .put(
            "/environments/dev?projectKey=shop",
            &json!({"registry_id": REGISTRY}),
        )
        .await;
    assert_eq!(edit.whole(), success());
}

#[tokio::test]
async fn z17_04_a_body_that_cannot_be_bound_is_400_without_a_body() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let half = || "{".to_owned();
    for (method, path) in [
        (Method::POST, "/environments/service/yaml?projectKey=shop"),
        (Method::DELETE, "/environments/service/yaml?projectKey=shop"),
        (Method::POST, "/environments/scale"),
        (Method::POST, "/environments/image/deployment/dev"),
    ] {
        assert_eq!(
            zadig.send(method, path, half()).await.bare(),
            empty(400),
            "{path}"
        );
    }
    let absent = zadig
        .delete("/environments/service/yaml?projectKey=shop")
        .await;
    assert_eq!(absent.bare(), empty(400));
}

#[tokio::test]
async fn z17_04_permission_can_be_forgotten_for_single_calls() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig.sim.fault(
        FaultRule::always(FaultAction::ForgetPermission)
            .nth(1)
            .times(2),
    );
    assert_eq!(
        zadig.get("/environments?projectKey=shop").await.whole(),
        (200, json!([]))
    );
    assert_eq!(
        zadig
            .get("/environments/dev/services/web?projectKey=shop")
            .await
            .bare(),
        empty(403)
    );
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.listed("dev").await["cluster_id"], CLUSTER);
}
