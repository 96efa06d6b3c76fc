//! What can be made to go wrong on purpose, and what happens to the state meanwhile.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use zadig_sim::{FaultAction, FaultRule, Options, Pace};

use crate::support::{Answer, Zadig, creation, empty, success};

const LIST: &str = "/environments?projectKey=shop";

fn on_create(action: FaultAction) -> FaultRule {
    FaultRule::always(action)
        .at("POST", "/environments$")
        .times(1)
}

fn on_list(action: FaultAction) -> FaultRule {
    FaultRule::always(action).on("environment.list").times(1)
}

async fn try_create(zadig: &Zadig) -> reqwest::Result<Answer> {
    zadig
        .try_send(Method::POST, LIST, creation("dev", &["plain"]).to_string())
        .await
}

#[tokio::test]
async fn a_refused_call_changes_nothing() {
    let zadig = Zadig::start().await;
    let body = r#"{"code":500}"#.to_owned();
    zadig.sim.fault(on_create(FaultAction::Refuse {
        status: 503,
        body: body.clone(),
    }));
    let refused = try_create(&zadig).await.unwrap();
    assert_eq!((refused.status, refused.text), (503, body));
    assert_eq!(zadig.status("dev").await, "absent");
    assert_eq!(
        try_create(&zadig).await.unwrap().whole(),
        success(),
        "only once"
    );
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_change_and_a_dropped_request_does_not() {
    let zadig = Zadig::start().await;
    zadig.sim.fault(on_create(FaultAction::DropRequest));
    assert!(try_create(&zadig).await.is_err());
    assert_eq!(zadig.status("dev").await, "absent");
    zadig.sim.clear_faults();
    zadig.sim.fault(on_create(FaultAction::DropAnswer));
    assert!(try_create(&zadig).await.is_err());
    assert_eq!(zadig.status("dev").await, "creating");
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn a_delay_comes_before_the_work() {
    let options = Options {
        pace: Pace::fast(),
        ..Options::default()
    };
    let zadig = Zadig::with(options).await;
    zadig
        .sim
        .fault(on_list(FaultAction::Delay { milliseconds: 200 }));
    let begin = Instant::now();
    assert_eq!(zadig.get(LIST).await.whole(), (200, json!([])));
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_delay_ends_when_the_rules_are_removed() {
    let zadig = Zadig::start().await;
    let hour = FaultAction::Delay {
        milliseconds: 3_600_000,
    };
    zadig.sim.fault(on_list(hour));
    let (answer, ()) = tokio::join!(zadig.get(LIST), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(zadig.sim.calls().is_empty(), "nothing is done yet");
        zadig.sim.clear_faults();
    });
    assert_eq!(answer.whole(), (200, json!([])));
}

#[tokio::test]
async fn a_web_page_a_half_body_and_a_huge_one_are_no_json() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let whole = zadig.get(LIST).await.text;
    zadig.sim.fault(on_list(FaultAction::Html));
    let page = zadig.get(LIST).await;
    assert!(page.content_type.unwrap().starts_with("text/html") && page.text.contains('<'));
    zadig.sim.clear_faults();
    zadig.sim.fault(on_list(FaultAction::Truncated));
    match zadig.try_send(Method::GET, LIST, String::new()).await {
        Ok(half) => assert!(whole.starts_with(&half.text) && half.text.len() < whole.len()),
        Err(error) => assert!(error.is_body() || error.is_decode(), "{error:?}"),
    }
    zadig.sim.clear_faults();
    zadig
        .sim
        .fault(on_list(FaultAction::HugeBody { bytes: 10_000_000 }));
    assert_eq!(zadig.get(LIST).await.text.len(), 10_000_000);
    assert_eq!(zadig.get(LIST).await.text, whole);
}

#[tokio::test]
async fn a_redirect_goes_where_it_is_told() {
    let zadig = Zadig::start().await;
    let location = "https://elsewhere.example.com/login".to_owned();
    zadig.sim.fault(on_list(FaultAction::Redirect {
        location: location.clone(),
    }));
    let answer = zadig.get(LIST).await;
    assert!((300..400).contains(&answer.status), "{answer:?}");
    assert_eq!(answer.location, Some(location));
}

#[tokio::test]
async fn a_description_can_be_that_of_another_request() {
    let zadig = Zadig::start().await;
    let (from, to) = (
        "环境不存在".to_owned(),
        "环境正处于不能更新的状态".to_owned(),
    );
    zadig.sim.fault(FaultRule::always(FaultAction::SwapText {
        from,
        to: to.clone(),
    }));
    let body = json!({"registry_id": crate::support::REGISTRY});
    let answer = zadig.put("/environments/nope?projectKey=shop", &body).await;
    assert_eq!((answer.status, answer.description()), (400, to));
}

#[tokio::test]
async fn a_token_can_be_refused_for_a_while() {
    let zadig = Zadig::start().await;
    zadig.sim.fault(on_list(FaultAction::Unauthorized));
    assert_eq!(zadig.get(LIST).await.bare(), empty(401));
    assert_eq!(zadig.get(LIST).await.whole(), (200, json!([])));
}

#[tokio::test]
async fn a_zadig_that_comes_back_empty_has_no_environments() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    zadig.sim.fault(on_list(FaultAction::RestartEmpty));
    assert_eq!(zadig.get(LIST).await.whole(), (200, json!([])));
    assert_eq!(
        zadig.get(LIST).await.whole(),
        (200, json!([])),
        "and stays so"
    );
    assert_ne!(
        zadig.object("shop-env-dev", "Deployment", "plain"),
        Value::Null,
        "clusters stay"
    );
}

#[tokio::test]
async fn a_crash_loses_answer_and_background_work() {
    let zadig = Zadig::start().await;
    zadig.sim.fault(on_create(FaultAction::Crash));
    assert!(try_create(&zadig).await.is_err());
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "creating");
}

#[tokio::test]
async fn a_rule_can_be_bound_to_a_user_a_text_and_the_nth_call() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let refuse = || FaultAction::Refuse {
        status: 418,
        body: String::new(),
    };
    zadig.sim.fault(FaultRule {
        user: Some("reader".to_owned()),
        ..FaultRule::always(refuse())
    });
    assert_eq!(zadig.user("reader").get(LIST).await.status, 418);
    assert_eq!(zadig.get(LIST).await.status, 200);
    zadig.sim.clear_faults();
    let rule = FaultRule {
        contains: Some("serviceName=plain".to_owned()),
        ..FaultRule::always(refuse())
    };
    zadig.sim.fault(rule.nth(2));
    let path = "/environments/service/yaml?projectKey=shop&envName=dev&serviceName=";
    let mut seen = Vec::new();
    for service in ["plain", "web", "plain", "plain"] {
        seen.push(zadig.get(&format!("{path}{service}")).await.status);
    }
    assert_eq!(seen, [200, 200, 418, 200]);
}
