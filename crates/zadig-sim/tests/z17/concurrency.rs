//! Calls at the same time and calls that crowd: Z§17 nos. 25 and 30. These need real time, so all durations are short.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zadig_sim::{Options, Pace};

use crate::support::{Answer, BUSY, Caller, EXISTS, Zadig, coded, creation, success, wrapped};

/// How long a test waits for a status before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

async fn real(pace: Pace) -> Zadig {
    Zadig::with(Options {
        pace,
        ..Options::default()
    })
    .await
}

async fn until_success(zadig: &Zadig, env: &str) {
    let begin = Instant::now();
    while zadig.status(env).await != "success" {
        assert!(
            begin.elapsed() < PATIENCE,
            "{env} is {}",
            zadig.status(env).await
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn create(zadig: &Zadig, env: &str, service: &str) {
    let answer = zadig
        .post("/environments?projectKey=shop", &creation(env, &[service]))
        .await;
    assert_eq!(answer.whole(), success());
    until_success(zadig, env).await;
}

async fn set_replicas(caller: Caller, env: &str, value: &str) -> Answer {
    let path = format!("/environments/{env}/services?projectKey=shop");
    let variables = json!([{"key": "replicas", "value": value}]);
    let body = json!({"service_list": [{"service_name": "web", "variable_kvs": variables}]});
    caller.put(&path, &body).await
}

#[tokio::test]
async fn z17_25_updates_of_one_project_queue_and_the_last_one_through_decides() {
    let pace = Pace {
        update_answer: Duration::from_millis(150),
        update_background: Duration::from_millis(1),
        lock_retry: Duration::from_millis(40),
        ..Pace::fast()
    };
    let zadig = real(pace).await;
    create(&zadig, "dev", "web").await;
    let begin = Instant::now();
    let (a, b, c) = tokio::join!(
        set_replicas(zadig.clone(), "dev", "2"),
        set_replicas(zadig.clone(), "dev", "3"),
        set_replicas(zadig.clone(), "dev", "4"),
    );
    let accepted = [&a, &b, &c]
        .iter()
        .filter(|answer| answer.whole() == success())
        .count();
    let busy = [&a, &b, &c]
        .iter()
        .filter(|answer| answer.whole() == wrapped(BUSY))
        .count();
    assert_eq!(accepted + busy, 3, "{a:?} {b:?} {c:?}");
    assert!(accepted >= 1);
    let queued = Duration::from_millis(150) * u32::try_from(accepted).unwrap();
    assert!(begin.elapsed() >= queued, "{:?}", begin.elapsed());
    until_success(&zadig, "dev").await;
    let stored = zadig.yaml("dev", "web").await[0]["spec"]["replicas"].clone();
    let live = zadig.object("shop-env-dev", "Deployment", "web")["spec"]["replicas"].clone();
    assert!([2, 3, 4].contains(&stored.as_i64().unwrap()), "{stored}");
    assert_eq!(stored, live);
}

#[tokio::test]
async fn z17_25_the_second_update_is_busy_while_the_first_one_goes_on_in_the_background() {
    let pace = Pace {
        update_answer: Duration::from_millis(50),
        update_background: Duration::from_secs(5),
        lock_retry: Duration::from_millis(10),
        ..Pace::fast()
    };
    let zadig = real(pace).await;
    create(&zadig, "dev", "web").await;
    let (a, b) = tokio::join!(
        set_replicas(zadig.clone(), "dev", "2"),
        set_replicas(zadig.clone(), "dev", "3"),
    );
    let mut answers = [a.whole(), b.whole()];
    answers.sort_by_key(|(status, _)| *status);
    assert_eq!(answers, [success(), wrapped(BUSY)]);
}

#[tokio::test]
async fn z17_25_environments_of_one_project_share_the_lock() {
    let pace = Pace {
        update_answer: Duration::from_millis(200),
        lock_retry: Duration::from_millis(10),
        ..Pace::fast()
    };
    let zadig = real(pace).await;
    create(&zadig, "one", "web").await;
    create(&zadig, "two", "web").await;
    let begin = Instant::now();
    let (a, b) = tokio::join!(
        set_replicas(zadig.clone(), "one", "2"),
        set_replicas(zadig.clone(), "two", "3"),
    );
    assert_eq!((a.whole(), b.whole()), (success(), success()));
    assert!(
        begin.elapsed() >= Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn z17_25_a_lock_that_is_not_acquired_is_6076_and_6081() {
    let pace = Pace {
        update_answer: Duration::from_secs(3),
        lock_retry: Duration::from_millis(5),
        ..Pace::fast()
    };
    let zadig = real(pace).await;
    create(&zadig, "dev", "web").await;
    create(&zadig, "other", "web").await;
    let held = tokio::spawn({
        let caller = zadig.clone();
        async move { set_replicas(caller, "dev", "2").await.whole() }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let text = "failed to acquire lock, err: lock already taken, locked nodes: [0]";
    let update = set_replicas(zadig.clone(), "other", "2").await;
    assert_eq!(update.whole(), coded(6076, text));
    let body = json!({
        "project_key": "shop", "env_key": "other", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    });
    assert_eq!(
        zadig.post("/environments/scale", &body).await.whole(),
        coded(6081, text)
    );
    assert_eq!(held.await.unwrap(), success());
}

#[tokio::test]
async fn z17_25_of_two_creations_at_the_same_time_one_wins() {
    let zadig = real(Pace {
        create_answer: Duration::from_millis(100),
        ..Pace::fast()
    })
    .await;
    let body = creation("dev", &["plain"]);
    let path = "/environments?projectKey=shop";
    let (a, b) = tokio::join!(zadig.post(path, &body), zadig.post(path, &body));
    let mut answers = [a.whole(), b.whole()];
    answers.sort_by_key(|(status, _)| *status);
    assert_eq!(answers, [success(), wrapped(EXISTS)]);
    until_success(&zadig, "dev").await;
}

async fn time_of(zadig: &Zadig, path: &str, times: u32) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        assert_eq!(zadig.get(path).await.status, 200);
    }
    begin.elapsed()
}

#[tokio::test]
async fn z17_30_many_details_are_slow_and_slow_down_mutations_while_lists_are_not() {
    let detail = "/environments/dev?projectKey=shop";
    let list = "/environments?projectKey=shop";
    let limited = real(Pace {
        kube_requests_per_second: Some(5.0),
        ..Pace::fast()
    })
    .await;
    create(&limited, "dev", "web").await;
    let crowded = time_of(&limited, detail, 18).await;
    assert!(crowded >= Duration::from_secs(1), "{crowded:?}");
    let begin = Instant::now();
    let update = set_replicas(limited.clone(), "dev", "2").await;
    assert_eq!(update.whole(), success());
    assert!(
        begin.elapsed() >= Duration::from_millis(40),
        "{:?}",
        begin.elapsed()
    );
    assert!(time_of(&limited, list, 18).await < crowded);
}

#[tokio::test]
async fn z17_25_a_server_on_real_time_moves_on_by_itself() {
    let zadig = real(Pace::fast()).await;
    create(&zadig, "dev", "web").await;
    let answer = zadig
        .delete("/environments/dev?projectKey=shop&isDelete=true")
        .await;
    assert_eq!(answer.whole(), success());
    let begin = Instant::now();
    while zadig.namespace("shop-env-dev") != Value::Null {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(zadig.status("dev").await, "absent");
}
