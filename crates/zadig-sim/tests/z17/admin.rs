//! The journal and the admin routes: what a test or a benchmark may ask the simulator itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Zadig, creation, http};

const LIST: &str = "/environments?projectKey=shop";

/// Calls an admin route without any token.
async fn admin(zadig: &Zadig, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = http().request(method, format!("{}/sim{path}", zadig.url));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = request.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

async fn ask(zadig: &Zadig, path: &str) -> Value {
    let (status, body) = admin(zadig, Method::GET, path, &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn tell(zadig: &Zadig, method: Method, path: &str, body: Value) {
    let (status, answer) = admin(zadig, method, path, &body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn the_journal_tells_what_was_called_by_whom_and_what_changed() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    zadig.sim.clear_calls();
    zadig.get(LIST).await;
    zadig.user("viewer").post(LIST, &creation("new", &[])).await;
    zadig
        .put("/environments/dev?projectKey=shop", &json!({}))
        .await;
    zadig
        .put_services("dev", json!([{"service_name": "plain"}]))
        .await;
    zadig.authorization(None).get("/nowhere").await;
    let calls: Vec<_> = zadig
        .sim
        .calls()
        .into_iter()
        .map(|call| {
            (
                call.method,
                call.path,
                call.user,
                call.status,
                call.mutating,
                call.changed,
            )
        })
        .collect();
    let line = |method: &str, path: &str, user: Option<&str>, status: u16, mutating, changed| {
        (
            method.to_owned(),
            format!("/openapi{path}"),
            user.map(str::to_owned),
            status,
            mutating,
            changed,
        )
    };
    assert_eq!(
        calls,
        [
            line("GET", "/environments", Some("admin"), 200, false, false),
            line("POST", "/environments", Some("viewer"), 403, true, false),
            line("PUT", "/environments/dev", Some("admin"), 200, true, false),
            line(
                "PUT",
                "/environments/dev/services",
                Some("admin"),
                200,
                true,
                true
            ),
            line("GET", "/nowhere", None, 401, false, false),
        ]
    );
}

#[tokio::test]
async fn the_journal_holds_no_token() {
    let zadig = Zadig::start().await;
    let token = zadig.sim.token("admin").unwrap();
    zadig.get(LIST).await;
    zadig
        .authorization(None)
        .get(&format!("{LIST}&token={token}"))
        .await;
    let calls = ask(&zadig, "/calls").await.to_string();
    assert!(
        calls.contains("projectKey=shop") && !calls.contains(&token),
        "{calls}"
    );
}

#[tokio::test]
async fn the_admin_routes_do_what_the_library_does() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let scale = json!({
        "verb": "scale", "kind": "Deployment", "namespace": "shop-env-dev", "name": "plain", "replicas": 3
    });
    tell(&zadig, Method::POST, "/kube", scale).await;
    let before = zadig.sim.now();
    tell(
        &zadig,
        Method::POST,
        "/clock",
        json!({"milliseconds": 5_000}),
    )
    .await;
    assert_eq!(zadig.sim.now().duration_since(before).as_secs(), 5);
    let snapshot = ask(&zadig, "/snapshot").await;
    assert_eq!(snapshot, zadig.sim.snapshot());
    assert_eq!(zadig.pods("shop-env-dev", "plain-").len(), 3);
    tell(
        &zadig,
        Method::POST,
        "/sleep",
        json!({"project": "shop", "env": "dev"}),
    )
    .await;
    assert_eq!(zadig.status("dev").await, "sleeping");
    tell(
        &zadig,
        Method::POST,
        "/wake",
        json!({"project": "shop", "env": "dev"}),
    )
    .await;
    assert_eq!(zadig.status("dev").await, "success");
    let rule = json!({"operation": "environment.list", "action": {"kind": "unauthorized"}});
    tell(&zadig, Method::POST, "/fault", rule).await;
    assert_eq!(zadig.get(LIST).await.status, 401);
    tell(&zadig, Method::DELETE, "/fault", Value::Null).await;
    assert_eq!(zadig.get(LIST).await.status, 200);
    zadig.post(LIST, &creation("new", &[])).await;
    tell(&zadig, Method::POST, "/restart", Value::Null).await;
    zadig.settle();
    assert_eq!(zadig.status("new").await, "creating");
    tell(&zadig, Method::DELETE, "/calls", Value::Null).await;
    assert_eq!(
        ask(&zadig, "/calls").await,
        json!([]),
        "admin routes are not in the journal"
    );
    let token = ask(&zadig, "/token?user=viewer").await;
    assert_eq!(token, json!({"token": zadig.sim.token("viewer").unwrap()}));
}

#[tokio::test]
async fn a_wrong_admin_request_is_refused_with_a_reason() {
    let zadig = Zadig::start().await;
    let ghost = json!({"verb": "delete", "kind": "Deployment", "namespace": "nope", "name": "web"});
    for (method, path, body) in [
        (Method::POST, "/kube", ghost),
        (Method::POST, "/kube", json!({"verb": "explode"})),
        (
            Method::POST,
            "/fault",
            json!({"action": {"kind": "vanish"}}),
        ),
        (
            Method::POST,
            "/sleep",
            json!({"project": "shop", "env": "nope"}),
        ),
        (Method::GET, "/token?user=nobody", Value::Null),
        (Method::GET, "/nothing", Value::Null),
    ] {
        let (status, answer) = admin(&zadig, method, path, &body).await;
        assert!((400..500).contains(&status), "{path} {status}");
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{path} {answer}"
        );
    }
}

#[tokio::test]
async fn the_snapshot_holds_no_secret() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let body = json!({
        "name": "pass", "env_key": "dev", "common_env_cfg_type": "Secret",
        "yaml_data": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pass\nstringData:\n  pw: s3cret\n"
    });
    zadig
        .put("/environments/envcfgs?projectKey=shop", &body)
        .await;
    let snapshot = zadig.sim.snapshot().to_string();
    assert!(snapshot.contains("\"pass\""), "{snapshot}");
    assert!(
        !snapshot.contains("s3cret") && !snapshot.contains("czNjcmV0"),
        "{snapshot}"
    );
}
