//! The order of checks, licences and routing: Z§17 no. 24 and Z§1.3-1.4.

use reqwest::Method;
use serde_json::{Value, json};
use zadig_sim::{Licence, Options};

use crate::support::{
    REGISTRY, Zadig, coded, creation_with, empty, success, virtual_time, wrapped,
};

const TEXT: &str = "text/plain; charset=utf-8";

async fn licensed(licence: Licence) -> Zadig {
    Zadig::with(Options {
        licence: Some(licence),
        ..virtual_time()
    })
    .await
}

#[tokio::test]
async fn z17_24_authentication_comes_before_routing_and_routing_before_all_else() {
    let zadig = Zadig::start().await;
    let nobody = zadig.authorization(None);
    assert_eq!(
        nobody
            .get("/environments/dev/check/workloads/k8sservices")
            .await
            .bare(),
        empty(401)
    );
    let viewer = zadig.user("viewer");
    let path = "/environments/dev/check/workloads/k8sservices?projectKey=shop";
    assert_eq!(
        viewer.get(path).await.bare(),
        (
            404,
            Some(TEXT),
            "Invalid path: /openapi/environments/dev/check/workloads/k8sservices"
        )
    );
    let answer = viewer
        .send(
            Method::PATCH,
            "/environments/dev?projectKey=shop",
            String::new(),
        )
        .await;
    assert_eq!(
        answer.bare(),
        (
            405,
            Some(TEXT),
            "Method not allowed: PATCH /openapi/environments/dev"
        )
    );
}

#[tokio::test]
async fn z17_24_required_fields_are_checked_before_permission_on_create() {
    let zadig = Zadig::start().await;
    let viewer = zadig.user("viewer");
    let mut body = creation_with("dev", &[], &json!({}));
    body.as_object_mut().unwrap().remove("namespace");
    let path = "/environments?projectKey=shop";
    assert_eq!(
        viewer.post(path, &body).await.whole(),
        wrapped("namespace is required")
    );
    body["namespace"] = json!("ns");
    assert_eq!(viewer.post(path, &body).await.bare(), empty(403));
}

#[tokio::test]
async fn z17_24_permission_comes_before_the_licence_and_the_licence_before_the_look_up() {
    let zadig = licensed(Licence::None).await;
    let path = "/environments/production/nope?projectKey=shop";
    assert_eq!(zadig.user("viewer").delete(path).await.bare(), empty(403));
    assert_eq!(zadig.delete(path).await.whole(), coded(7050, ""));
    let path = "/environments/nope/variable?projectKey=shop";
    let body = json!({"global_variables": []});
    assert_eq!(zadig.put(path, &body).await.whole(), coded(7050, ""));
    let no_key = zadig.put("/environments/nope/variable", &body).await;
    assert_eq!(no_key.whole(), coded(400, "projectKey can't be empty"));
    let half = zadig.send(Method::PUT, path, "{".to_owned()).await;
    assert_eq!(half.status, 500);
}

/// One call of each gated kind; environments and services need not exist.
async fn gated(zadig: &Zadig) -> Vec<(&'static str, (u16, Value))> {
    let create = creation_with("p1", &[], &json!({}));
    let config = json!({
        "name": "c", "env_key": "p1", "common_env_cfg_type": "ConfigMap", "yaml_data": "kind: ConfigMap\n"
    });
    let portal = json!([{"host": "a.example.com", "port_number": 80, "port_protocol": "HTTP"}]);
    let list = json!({"service_list": []});
    let add = json!({"env_key": "p1", "service_list": []});
    let names = json!({"env_key": "p1", "service_names": []});
    let variables = json!({"global_variables": []});
    let edit = json!({"registry_id": REGISTRY, "env_name": "x"});
    let mut answers = Vec::new();
    let p = "/environments/production";
    let q = "?projectKey=shop";
    for (name, method, path, body) in [
        ("list", Method::GET, format!("{p}{q}"), Value::Null),
        ("detail", Method::GET, format!("{p}/p1{q}"), Value::Null),
        ("create", Method::POST, format!("{p}{q}"), create),
        ("edit", Method::PUT, format!("{p}/p1{q}"), edit),
        ("delete", Method::DELETE, format!("{p}/p1{q}"), Value::Null),
        ("add", Method::POST, format!("{p}/service/yaml{q}"), add),
        ("update", Method::PUT, format!("{p}/p1/services{q}"), list),
        (
            "remove",
            Method::DELETE,
            format!("{p}/service/yaml{q}"),
            names,
        ),
        (
            "variables",
            Method::PUT,
            format!("{p}/p1/variable{q}"),
            variables.clone(),
        ),
        (
            "test variables",
            Method::PUT,
            format!("/environments/dev/variable{q}"),
            variables,
        ),
        (
            "config create",
            Method::POST,
            format!("/environments/dev/envcfgs{q}"),
            config.clone(),
        ),
        (
            "config create P",
            Method::POST,
            format!("{p}/p1/envcfgs{q}"),
            config.clone(),
        ),
        (
            "config list",
            Method::GET,
            format!("{p}/p1/envcfgs{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "config get",
            Method::GET,
            format!("{p}/p1/envcfg/c{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "config update",
            Method::PUT,
            format!("{p}/envcfgs{q}"),
            config,
        ),
        (
            "config delete",
            Method::DELETE,
            format!("{p}/p1/envcfg/c{q}&type=ConfigMap"),
            Value::Null,
        ),
        (
            "restart",
            Method::POST,
            format!("{p}/p1/service/web/restart{q}"),
            Value::Null,
        ),
        (
            "share",
            Method::POST,
            format!("/environments/dev/share/enable{q}"),
            Value::Null,
        ),
        (
            "unshare",
            Method::DELETE,
            format!("/environments/dev/share/enable{q}"),
            Value::Null,
        ),
        (
            "portal",
            Method::POST,
            format!("/environments/dev/share/portal/web{q}"),
            portal,
        ),
    ] {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        answers.push((name, zadig.send(method, &path, body).await.whole()));
    }
    answers
}

#[tokio::test]
async fn z17_24_without_a_licence_every_gated_route_is_7050() {
    let zadig = licensed(Licence::None).await;
    for (name, answer) in gated(&zadig).await {
        assert_eq!(answer, coded(7050, ""), "{name}");
    }
}

#[tokio::test]
async fn z17_24_with_an_unreachable_licence_service_every_gated_route_is_500() {
    let zadig = licensed(Licence::Unreachable).await;
    for (name, (status, body)) in gated(&zadig).await {
        let text = body["description"].as_str().unwrap();
        assert_eq!((status, &body["code"]), (500, &json!(500)), "{name}");
        assert!(
            text.starts_with("failed to validate zadig license status, error: "),
            "{name}: {text}"
        );
    }
}

#[tokio::test]
async fn z17_24_a_professional_licence_opens_all_but_the_share_routes() {
    let zadig = licensed(Licence::Professional).await;
    for (name, answer) in gated(&zadig).await {
        let is_enterprise = ["share", "unshare", "portal"].contains(&name);
        assert_eq!(
            answer == coded(7050, ""),
            is_enterprise,
            "{name}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn z17_24_an_enterprise_licence_opens_everything() {
    let zadig = licensed(Licence::Enterprise).await;
    for (name, answer) in gated(&zadig).await {
        assert_ne!(answer, coded(7050, ""), "{name}");
    }
}

#[tokio::test]
async fn z17_24_the_licence_free_set_works_without_a_licence() {
    let zadig = licensed(Licence::None).await;
    zadig.create("dev", &["web"]).await;
    zadig
        .set("dev", "web", json!([{"key": "port", "value": "9090"}]))
        .await;
    for path in [
        "/environments/production/service/yaml?projectKey=shop&envName=p1&serviceName=web",
        "/environments/dev/check/sharenv/enable/ready?projectKey=shop",
        "/environments/dev/check/workloads/k8services?projectKey=shop",
    ] {
        assert_eq!(zadig.get(path).await.status, 200, "{path}");
    }
    let path = "/environments/production/p1/variable?projectKey=shop";
    let text = "failed to find env from db, project:shop env:p1";
    assert_eq!(zadig.get(path).await.whole(), coded(6078, text));
}

#[tokio::test]
async fn z17_24_a_trailing_slash_is_redirected() {
    let zadig = Zadig::start().await;
    let get = zadig.get("/environments/?projectKey=shop").await;
    assert_eq!(
        (get.status, get.content_type.as_deref()),
        (301, Some("text/html; charset=utf-8"))
    );
    assert_eq!(
        get.location.as_deref(),
        Some("/openapi/environments?projectKey=shop")
    );
    let post = zadig
        .post("/environments/?projectKey=shop", &json!({}))
        .await;
    assert_eq!(post.status, 307);
}

#[tokio::test]
async fn z17_24_static_segments_win_over_names() {
    let zadig = Zadig::start().await;
    zadig.create("production", &["web"]).await;
    let answer = zadig.get("/environments/production?projectKey=shop").await;
    assert_eq!(
        answer.whole(),
        (200, json!([])),
        "that is the production list"
    );
    let path = "/environments/production/services/yaml?projectKey=shop&envName=p1&serviceName=web";
    let view = zadig.get(path).await.ok();
    assert_eq!(
        view["service_name"], "yaml",
        "a service of the test environment `production`"
    );
    let path = "/environments/services/yaml?projectKey=shop&envName=dev&serviceName=web";
    assert_eq!(
        zadig.get(path).await.bare(),
        (
            404,
            Some(TEXT),
            "Invalid path: /openapi/environments/services/yaml"
        )
    );
}

#[tokio::test]
async fn z17_24_the_image_route_of_deployments_refuses_all_but_administrators_and_collaborators() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "db"]).await;
    let body = json!({
        "product_name": "shop", "env_name": "dev", "service_name": "web", "name": "web", "container_name": "web",
        "image": crate::support::image("web:v2")
    });
    let path = "/environments/image/deployment/dev";
    for user in ["owner", "editor", "viewer"] {
        assert_eq!(
            zadig.user(user).post(path, &body).await.bare(),
            empty(403),
            "{user}"
        );
    }
    for user in ["guest", "admin"] {
        assert_eq!(
            zadig.user(user).post(path, &body).await.whole(),
            success(),
            "{user}"
        );
    }
    let body = json!({
        "product_name": "shop", "env_name": "dev", "service_name": "db", "name": "db", "container_name": "db",
        "image": crate::support::image("db:v2")
    });
    let path = "/environments/image/statefulset/dev";
    assert_eq!(
        zadig.user("editor").post(path, &body).await.whole(),
        success()
    );
}

#[tokio::test]
async fn z17_24_collaborators_see_their_environments_alone() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig.create("other", &["web"]).await;
    let list = zadig
        .user("guest")
        .get("/environments?projectKey=shop")
        .await
        .ok();
    let keys: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["env_key"])
        .collect();
    assert_eq!(keys, ["dev"]);
    let list = zadig
        .user("reader")
        .get("/environments?projectKey=shop")
        .await
        .ok();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn z17_24_the_project_of_a_creation_is_that_of_the_query_alone() {
    let zadig = Zadig::start().await;
    let body = creation_with("dev", &[], &json!({"project_key": "shop"}));
    for path in ["/environments", "/environments/production"] {
        let answer = zadig.post(path, &body).await;
        assert_eq!(answer.whole(), wrapped("project key is required"), "{path}");
    }
}

#[tokio::test]
async fn z17_24_an_addition_looks_at_the_query_first_and_in_production_at_the_body() {
    let zadig = Zadig::start().await;
    let nothing = json!({"service_list": []});
    let test = zadig.post("/environments/service/yaml", &nothing).await;
    assert_eq!(test.whole(), coded(400, "projectKey cannot be empty"));
    let path = "/environments/production/service/yaml";
    let production = zadig.post(path, &nothing).await;
    assert_eq!(production.whole(), wrapped("env_key is required"));
}

#[tokio::test]
async fn z17_24_a_portal_asks_for_the_permission_before_it_decodes() {
    let zadig = Zadig::start().await;
    let path = "/environments/dev/share/portal/web?projectKey=shop";
    let answer = zadig
        .user("viewer")
        .send(Method::POST, path, "{".to_owned())
        .await;
    assert_eq!(answer.bare(), empty(403));
}
