//! How a status moves: Z§17 nos. 1, 13, 17, 18 and 26.

use std::time::Duration;

use serde_json::json;
use zadig_sim::{FaultAction, FaultRule, Options, Pace};

use crate::support::{BUSY, EXISTS, Zadig, creation, success, virtual_time, words, wrapped};

#[tokio::test]
async fn z17_01_a_creation_is_answered_before_it_is_done() {
    let zadig = Zadig::start().await;
    let answer = zadig
        .post("/environments?projectKey=shop", &creation("dev", &["web"]))
        .await;
    assert_eq!(answer.whole(), success());
    assert_eq!(zadig.status("dev").await, "creating");
    assert_eq!(zadig.services("dev").await, words([("web", "unstart")]));
    zadig.advance(950);
    assert_eq!(
        zadig.status("dev").await,
        "creating",
        "readiness is looked at once a second"
    );
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(zadig.services("dev").await, words([("web", "running")]));
}

#[tokio::test]
async fn z17_01_an_update_shows_updating_and_then_success() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let changed =
        json!([{"service_name": "web", "variable_kvs": [{"key": "port", "value": "9090"}]}]);
    assert_eq!(zadig.put_services("dev", changed).await.whole(), success());
    assert_eq!(zadig.status("dev").await, "updating");
    zadig.advance(1000);
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_01_an_added_service_enters_the_detail_when_the_update_ends() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let body = json!({"env_key": "dev", "service_list": [{"service_name": "db"}]});
    let answer = zadig
        .post("/environments/service/yaml?projectKey=shop", &body)
        .await;
    assert_eq!(answer.whole(), success());
    assert_eq!(zadig.status("dev").await, "updating");
    assert_eq!(zadig.services("dev").await, words([("web", "running")]));
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("web", "running"), ("db", "running")])
    );
}

#[tokio::test]
async fn z17_01_a_deleted_environment_is_absent_within_30_milliseconds() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let answer = zadig
        .delete("/environments/dev?projectKey=shop&isDelete=true")
        .await;
    assert_eq!(answer.whole(), success());
    let at_once = zadig.status("dev").await;
    assert!(
        ["deleting", "absent"].contains(&at_once.as_str()),
        "{at_once}"
    );
    zadig.advance(30);
    assert_eq!(zadig.status("dev").await, "absent");
}

#[tokio::test]
async fn z17_01_the_delays_are_configurable() {
    let pace = Pace {
        update_background: Duration::from_secs(40),
        ..Pace::default()
    };
    let zadig = Zadig::with(Options {
        pace,
        ..virtual_time()
    })
    .await;
    zadig.create("dev", &["web"]).await;
    zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    zadig.advance(39_000);
    assert_eq!(zadig.status("dev").await, "updating");
    zadig.advance(2_000);
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_13_a_stuck_update_never_ends_and_can_only_be_deleted() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .sim
        .fault(FaultRule::always(FaultAction::Stick).at("PUT", "/services$"));
    zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    zadig.advance(3_600_000);
    assert_eq!(zadig.status("dev").await, "updating");
    let again = zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    assert_eq!(again.whole(), wrapped(BUSY));
    zadig
        .delete("/environments/dev?projectKey=shop&isDelete=true")
        .await;
    zadig.advance(30);
    assert_eq!(zadig.status("dev").await, "absent");
}

#[tokio::test]
async fn z17_17_a_workload_that_never_becomes_ready_fails_the_creation_at_the_start_timeout() {
    let options = Options {
        start_timeout: Some(Duration::from_mins(1)),
        ..virtual_time()
    };
    let zadig = Zadig::with(options).await;
    zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["stuck", "plain"]),
        )
        .await;
    let inserted = zadig.update_time("dev").await;
    zadig.advance(59_000);
    assert_eq!(zadig.status("dev").await, "creating");
    assert_eq!(
        zadig.services("dev").await,
        words([("stuck", "unstable"), ("plain", "running")])
    );
    zadig.advance(3_000);
    assert_eq!(zadig.status("dev").await, "failed");
    assert_eq!(
        zadig.update_time("dev").await,
        inserted,
        "a failure moves no update_time"
    );
    for service in ["stuck", "plain"] {
        assert_eq!(
            zadig.detail_of("dev", service).await["containers"],
            json!([]),
            "{service}"
        );
    }
    zadig.advance(600_000);
    assert_eq!(zadig.status("dev").await, "failed", "nothing looks again");
}

#[tokio::test]
async fn z17_17_the_start_timeout_is_300_seconds_by_default() {
    let zadig = Zadig::start().await;
    zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["stuck"]),
        )
        .await;
    zadig.advance(298_000);
    assert_eq!(zadig.status("dev").await, "creating");
    zadig.advance(5_000);
    assert_eq!(zadig.status("dev").await, "failed");
}

#[tokio::test]
async fn z17_17_a_refused_manifest_fails_the_creation_at_once_and_the_others_are_applied() {
    let zadig = Zadig::start().await;
    let answer = zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["bad", "plain"]),
        )
        .await;
    assert_eq!(answer.whole(), success());
    zadig.advance(2_000);
    assert_eq!(zadig.status("dev").await, "failed");
    assert_eq!(
        zadig.services("dev").await,
        words([("bad", "unstart"), ("plain", "running")])
    );
    assert_eq!(
        zadig.detail_of("dev", "plain").await["containers"],
        json!([])
    );
    assert_eq!(zadig.service("dev", "bad").await["scales"], json!([]));
}

#[tokio::test]
async fn z17_17_an_update_does_not_wait_for_readiness() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    zadig
        .put_services("dev", json!([{"service_name": "stuck"}]))
        .await;
    zadig.advance(1_000);
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("plain", "running"), ("stuck", "unstable")])
    );
}

#[tokio::test]
async fn z17_18_a_failed_environment_becomes_success_with_any_later_update() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["bad", "plain"]).await;
    assert_eq!(zadig.status("dev").await, "failed");
    zadig
        .update("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        zadig.services("dev").await,
        words([("bad", "unstart"), ("plain", "running")])
    );
}

#[tokio::test]
async fn z17_18_a_failed_environment_takes_no_second_creation() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["bad"]).await;
    let again = zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["plain"]),
        )
        .await;
    assert_eq!(again.whole(), wrapped(EXISTS));
    assert_eq!(zadig.status("dev").await, "failed");
}

#[tokio::test]
async fn z17_26_a_restart_loses_a_creation_for_ever() {
    let zadig = Zadig::start().await;
    zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["plain"]),
        )
        .await;
    zadig.sim.restart();
    zadig.advance(3_600_000);
    assert_eq!(zadig.status("dev").await, "creating");
    let update = zadig
        .put_services("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(update.whole(), wrapped(BUSY));
    let create = zadig
        .post(
            "/environments?projectKey=shop",
            &creation("dev", &["plain"]),
        )
        .await;
    assert_eq!(create.whole(), wrapped(EXISTS));
    let delete = zadig
        .delete("/environments/dev?projectKey=shop&isDelete=true")
        .await;
    assert_eq!(delete.whole(), success());
    zadig.advance(30);
    assert_eq!(zadig.status("dev").await, "absent");
}

#[tokio::test]
async fn z17_26_a_restart_loses_an_update_but_not_what_is_stored() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    zadig.sim.restart();
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "updating");
    assert_eq!(zadig.services("dev").await, words([("web", "running")]));
}
