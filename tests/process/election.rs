//! One of several processes works, and never two of them.

use serde_json::Value;
use zadig_sim::{FaultAction, FaultRule};

use crate::support::{SECRET, eventually, test};

const CREATE: &str = "environment.create";
const IMAGE: &str = "image.deployment";
const SHORT_LEASE: [&str; 2] = ["--lease-duration", "3s"];

#[test]
fn a_second_process_stands_by_and_takes_over_when_the_first_is_killed() {
    test("takes-over", async |place| {
        let first = place.operator("first", &SHORT_LEASE);
        first.says("leading").await;
        let second = place.operator("second", &SHORT_LEASE);
        second.says("standing by, first_").await;
        place.declare().await;
        place.ready().await;
        assert_eq!(place.changes(), [CREATE]);
        let leader = "zadig_operator_leader";
        assert_eq!(
            (first.metric(leader).await, second.metric(leader).await),
            (1, 0)
        );

        first.signal("KILL");
        second.says("leading").await;
        assert_eq!(place.lease().await, ("second".to_owned(), 1));
        place.change().await;
        place.ready().await;
        assert_eq!(
            place.changes(),
            [CREATE, IMAGE],
            "what the first did is not done again"
        );
        assert_eq!(second.metric(leader).await, 1);
    });
}

#[test]
fn a_process_that_was_frozen_for_longer_than_its_lease_writes_no_more() {
    test("frozen", async |place| {
        let mut first = place.operator("first", &SHORT_LEASE);
        first.says("leading").await;
        place.declare().await;
        place.ready().await;
        let second = place.operator("second", &SHORT_LEASE);
        second.says("standing by").await;

        first.signal("STOP");
        // The change is known to the first when it is woken, and so is that its lease has run out.
        place.change().await;
        second.says("leading").await;
        place.ready().await;
        first.signal("CONT");
        let status = first.ends().await;
        assert_eq!(status.code(), Some(1), "{}", first.log());
        assert!(first.log().contains("leads no more"), "{}", first.log());
        assert_eq!(place.changes(), [CREATE, IMAGE]);
        assert_eq!(place.lease().await, ("second".to_owned(), 1));
    });
}

#[test]
fn a_stop_finishes_the_call_in_flight_tells_it_and_hands_over_at_once() {
    test("graceful", async |place| {
        // Longer than any lease would be waited for, so that an immediate hand-over shows.
        let lease = ["--lease-duration", "60s"];
        let mut first = place.operator("first", &lease);
        first.says("leading").await;
        let second = place.operator("second", &lease);
        second.says("standing by").await;
        let delay = FaultAction::Delay {
            milliseconds: 30_000,
        };
        place.zadig.sim.fault(FaultRule::always(delay).on(CREATE));
        place.declare().await;
        let mut before = 0;
        eventually("the create call is in flight", async || {
            let sent = first
                .metric("zadig_operator_zadig_throttle_seconds_count")
                .await;
            let answered = first.metric("zadig_operator_zadig_requests_total").await;
            let lists = place.zadig.sim.calls().len();
            let is_waiting = sent == answered + 1 && sent == before && lists > 5;
            before = sent;
            is_waiting
        })
        .await;
        assert_eq!(place.changes(), [""; 0], "it is not answered yet");
        first.signal("TERM");
        eventually("it was told to stop", async || {
            first
                .log()
                .contains("stopping: finishing what is in flight")
        })
        .await;
        place.zadig.sim.clear_faults();
        let status = first.ends().await;
        assert_eq!(status.code(), Some(0), "{}", first.log());
        assert_eq!(place.changes(), [CREATE]);
        second.says("leading").await;
        place.ready().await;
        assert_eq!(
            place.changes(),
            [CREATE],
            "its successor does not create it again"
        );
        assert_eq!(place.lease().await.0, "second");
    });
}

#[test]
fn endpoints_answer_and_nothing_secret_is_logged_or_measured() {
    test("secrets", async |place| {
        let operator = place.operator("only", &["--log-format", "json", "--log-level", "trace"]);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        place.change().await;
        place.ready().await;
        assert_eq!(
            operator.get("/healthz").await,
            Some((200, "ok\n".to_owned()))
        );
        let (status, metrics) = operator.get("/metrics").await.expect("it listens");
        assert_eq!(status, 200);
        let log = operator.log();
        for line in log.lines() {
            let parsed: Result<Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok_and(|line| line["level"].is_string()), "{line}");
        }
        let token = place.zadig.sim.token("admin").expect("an administrator");
        for secret in [token.as_str(), SECRET] {
            assert!(!log.contains(secret) && !metrics.contains(secret));
        }
    });
}
