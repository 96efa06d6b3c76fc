//! What never ends and what has no order: Z§17 no. 12.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Zadig, coded, creation_with};

/// How long a stream is listened to in real time.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn z17_12_the_log_stream_of_what_is_missing_never_ends_and_says_nothing() {
    let zadig = Zadig::start().await;
    let path = "/logs/sse/pods/nope/containers/web?projectKey=shop&envName=nope&tails=5";
    let mut response = zadig.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers().get("content-type"), None);
    let waited = tokio::time::timeout(A_WHILE, response.chunk()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn z17_12_the_log_stream_of_a_pod_gives_frames_and_stays_open() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let pod = zadig.pods("shop-env-dev", "web-").remove(0);
    let path = format!("/logs/sse/pods/{pod}/containers/web?projectKey=shop&envName=dev&tails=2");
    let mut response = zadig.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while let Ok(chunk) = tokio::time::timeout(A_WHILE, response.chunk()).await {
        let chunk = chunk.unwrap().expect("the stream must stay open");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(
        text.starts_with("event:message\ndata:") && text.ends_with("\n\n"),
        "{text:?}"
    );
    assert_eq!(text.matches("event:message\n").count(), 2, "{text:?}");
}

#[tokio::test]
async fn z17_12_a_malformed_duration_of_the_log_stream_is_refused() {
    let zadig = Zadig::start().await;
    let path = "/logs/sse/pods/p/containers/c?projectKey=shop&envName=dev&since=long";
    let text = "invalid since: time: invalid duration \"long\"";
    assert_eq!(zadig.get(path).await.whole(), coded(400, text));
}

#[tokio::test]
async fn z17_12_the_list_does_not_keep_the_order_of_creation() {
    let zadig = Zadig::start().await;
    let names: Vec<String> = (0..12).map(|number| format!("e{number:02}")).collect();
    for name in &names {
        zadig.create(name, &[]).await;
    }
    zadig
        .delete("/environments/e03?projectKey=shop&isDelete=true")
        .await;
    zadig.settle();
    zadig.create("e03", &[]).await;
    let list = zadig.get("/environments?projectKey=shop").await.ok();
    let listed: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["env_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        listed.iter().collect::<BTreeSet<_>>(),
        names.iter().collect::<BTreeSet<_>>()
    );
    let mut created = names.clone();
    created.retain(|name| name != "e03");
    created.push("e03".to_owned());
    assert_ne!(listed, created);
}

#[tokio::test]
async fn z17_12_global_variables_change_their_order_with_updates() {
    let zadig = Zadig::start().await;
    let fields = json!({"global_variables": [
        {"key": "cpuLimit", "value": "1"}, {"key": "logLevel", "value": "info"}, {"key": "port", "value": "1"},
        {"key": "replicas", "value": "1"}
    ]});
    zadig
        .create_with(creation_with("dev", &["web"], &fields))
        .await;
    let mut orders = BTreeSet::new();
    for round in 0..40 {
        zadig
            .set(
                "dev",
                "web",
                json!([{"key": "port", "value": round.to_string()}]),
            )
            .await;
        let list = zadig
            .get("/environments/dev/variable?projectKey=shop")
            .await
            .ok();
        let keys: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["key"].to_string())
            .collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 4);
        orders.insert(keys);
    }
    assert!(orders.len() > 1, "{orders:?}");
}
