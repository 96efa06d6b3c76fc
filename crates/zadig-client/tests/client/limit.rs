//! The governor, on paused time: rate, bound, turns, breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, advance};
use zadig_client::limit::{Circuit, Governor, Limits, Permit, Stats, Verdict};
use zadig_client::{ErrorClass, Gate, Kind, Scale, Scope, ServiceChange, WorkloadKind};

use crate::server::{Server, json};

fn limits(requests_per_second: f64, burst: u32, max_in_flight: usize) -> Limits {
    Limits {
        requests_per_second,
        burst,
        max_in_flight,
    }
}

fn tenant(name: &str) -> Arc<str> {
    Arc::from(name)
}

/// Lets all tasks run until none can go on.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Puts a request in line; its permit goes to the channel with the tenant's name.
fn ask(
    governor: &Arc<Governor>,
    name: &'static str,
    admitted: &mpsc::UnboundedSender<(&'static str, Permit)>,
) -> tokio::task::JoinHandle<()> {
    let (governor, admitted) = (Arc::clone(governor), admitted.clone());
    tokio::spawn(async move {
        let permit = governor.admit(&tenant(name)).await.unwrap();
        admitted.send((name, permit)).unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn after_a_burst_requests_come_at_the_rate() {
    let governor = Governor::new(limits(10.0, 3, 100));
    let begun = Instant::now();
    let mut times = Vec::new();
    for _ in 0..6 {
        governor
            .admit(&tenant("a"))
            .await
            .unwrap()
            .finish(Verdict::Reached);
        times.push(begun.elapsed().as_millis());
    }
    // A timer of tokio counts whole milliseconds.
    let expected = [0, 0, 0, 100, 200, 300];
    let late: Vec<_> = times
        .iter()
        .zip(expected)
        .map(|(time, due)| time.abs_diff(due))
        .collect();
    assert!(late.iter().all(|late| *late <= 3), "{times:?}");

    advance(Duration::from_hours(1)).await;
    let rested = Instant::now();
    for _ in 0..3 {
        governor
            .admit(&tenant("a"))
            .await
            .unwrap()
            .finish(Verdict::Reached);
    }
    assert_eq!(rested.elapsed(), Duration::ZERO);
    governor
        .admit(&tenant("a"))
        .await
        .unwrap()
        .finish(Verdict::Reached);
    assert!(
        rested.elapsed() >= Duration::from_millis(99),
        "no more than the burst is saved up"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_bound_are_in_flight_whoever_gives_up() {
    let governor = Governor::new(limits(1000.0, 1000, 2));
    let (sender, mut admitted) = mpsc::unbounded_channel();
    let waiting: Vec<_> = (0..5).map(|_| ask(&governor, "a", &sender)).collect();
    settle().await;
    assert_eq!(
        (governor.stats().in_flight, governor.stats().waiting),
        (2, 3)
    );

    waiting[2].abort();
    settle().await;
    assert_eq!(
        (governor.stats().in_flight, governor.stats().waiting),
        (2, 2)
    );

    // One is finished, one is dropped: both make room.
    admitted.recv().await.unwrap().1.finish(Verdict::Reached);
    drop(admitted.recv().await.unwrap());
    settle().await;
    assert_eq!(
        (governor.stats().in_flight, governor.stats().waiting),
        (2, 0)
    );
    drop((admitted.recv().await, admitted.recv().await));
    assert_eq!(
        governor.stats(),
        Stats {
            limits: limits(1000.0, 1000, 2),
            in_flight: 0,
            waiting: 0,
            waiting_tenants: 0,
            admitted: 4,
            refused: 0,
            circuit: Circuit::Closed,
        }
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_however_many_requests_each_has() {
    let governor = Governor::new(limits(1000.0, 1000, 1));
    let (sender, mut admitted) = mpsc::unbounded_channel();
    let first = governor.admit(&tenant("other")).await.unwrap();
    for name in ["big", "big", "big", "big", "big", "small", "mid", "mid"] {
        ask(&governor, name, &sender);
        settle().await;
    }
    assert_eq!(governor.stats().waiting_tenants, 3);
    first.finish(Verdict::Reached);
    let mut order = Vec::new();
    for _ in 0..8 {
        let (name, permit) = admitted.recv().await.unwrap();
        order.push(name);
        permit.finish(Verdict::Reached);
    }
    assert_eq!(
        order,
        ["big", "small", "mid", "big", "mid", "big", "big", "big"]
    );
}

#[tokio::test(start_paused = true)]
async fn wider_bounds_help_those_that_wait_already() {
    let governor = Governor::new(limits(0.01, 1, 1));
    let (sender, mut admitted) = mpsc::unbounded_channel();
    governor
        .admit(&tenant("a"))
        .await
        .unwrap()
        .finish(Verdict::Reached);
    // The next one would have to wait for 100 s.
    ask(&governor, "a", &sender);
    settle().await;
    assert_eq!(governor.stats().waiting, 1);
    let begun = Instant::now();
    governor.set_limits(limits(10.0, 5, 1));
    let (_, permit) = admitted.recv().await.unwrap();
    assert!(
        begun.elapsed() <= Duration::from_millis(110),
        "{:?}",
        begun.elapsed()
    );

    ask(&governor, "a", &sender);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        (governor.stats().in_flight, governor.stats().waiting),
        (1, 1)
    );
    governor.set_limits(limits(10.0, 5, 2));
    settle().await;
    assert_eq!(
        (governor.stats().in_flight, governor.stats().waiting),
        (2, 0)
    );
    drop(permit);
}

async fn fail(governor: &Arc<Governor>) {
    governor
        .admit(&tenant("a"))
        .await
        .unwrap()
        .finish(Verdict::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_failures_in_a_row_and_refuses_also_those_that_wait() {
    let governor = Governor::new(limits(1000.0, 1000, 1));
    for _ in 0..4 {
        fail(&governor).await;
    }
    governor
        .admit(&tenant("a"))
        .await
        .unwrap()
        .finish(Verdict::Reached);
    for _ in 0..4 {
        fail(&governor).await;
    }
    assert_eq!(
        governor.stats().circuit,
        Circuit::Closed,
        "an answer in between starts anew"
    );

    let last = governor.admit(&tenant("a")).await.unwrap();
    let waiting = tokio::spawn({
        let governor = Arc::clone(&governor);
        async move { governor.admit(&tenant("b")).await.map(drop) }
    });
    settle().await;
    last.finish(Verdict::Unreachable);
    let open = waiting.await.unwrap().unwrap_err();
    assert!(
        (750..=1250).contains(&open.retry_in.as_millis()),
        "{open:?}"
    );
    assert_eq!(governor.stats().circuit, Circuit::Open);
    governor.admit(&tenant("a")).await.unwrap_err();
    assert_eq!(governor.stats().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn the_pause_grows_until_one_probe_finds_somebody() {
    let governor = Governor::new(limits(1000.0, 1000, 8));
    for _ in 0..5 {
        fail(&governor).await;
    }
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let open = governor.admit(&tenant("a")).await.unwrap_err();
        let range = Duration::from_millis(750 * seconds)..=Duration::from_millis(1250 * seconds);
        assert!(
            range.contains(&open.retry_in),
            "{open:?} instead of {seconds} s or so"
        );
        advance(open.retry_in).await;

        let probe = governor.admit(&tenant("a")).await.unwrap();
        assert_eq!(governor.stats().circuit, Circuit::HalfOpen);
        governor.admit(&tenant("b")).await.unwrap_err();
        probe.finish(Verdict::Unreachable);
    }

    advance(Duration::from_secs(80)).await;
    // A probe that is given up tells nothing: the next call is the probe.
    drop(governor.admit(&tenant("a")).await.unwrap());
    let probe = governor.admit(&tenant("b")).await.unwrap();
    probe.finish(Verdict::Reached);
    assert_eq!(governor.stats().circuit, Circuit::Closed);
    fail(&governor).await;
    assert_eq!(governor.stats().circuit, Circuit::Closed);
}

#[tokio::test]
async fn a_client_stops_calling_a_zadig_that_is_not_there_and_says_so() {
    let server = Server::answering(503, None, "").await;
    let governor = Governor::new(Limits::default());
    let client = server
        .client()
        .with_governor(Arc::clone(&governor))
        .for_tenant("team-a");
    let restart = || client.restart_service(Scope::Test, "shop", "dev", "api");
    for _ in 0..5 {
        assert_eq!(
            restart().await.unwrap_err().class(),
            ErrorClass::Unreachable
        );
    }
    let error = restart().await.unwrap_err();
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::Unreachable, false)
    );
    assert!(
        error
            .retry_after()
            .is_some_and(|after| after <= Duration::from_millis(1250))
    );
    assert!(
        error
            .to_string()
            .ends_with(": not sent, as recent calls found no zadig"),
        "{error}: nothing in it that is different the next time"
    );
    // A read is not repeated against an open breaker.
    client
        .list_environments(Scope::Test, "shop")
        .await
        .unwrap_err();
    assert_eq!(server.asked().len(), 5);
    assert_eq!(
        (governor.stats().refused, governor.stats().in_flight),
        (2, 0)
    );
}

#[tokio::test]
async fn clients_of_one_server_have_limits_and_a_breaker_each_and_stay_within_a_common_bound() {
    let server = Server::answering(200, Some("application/json"), "[]").await;
    let all = Governor::new(limits(1000.0, 1000, 1));
    let client = |governor: &Arc<Governor>| {
        let client = server.client().with_governor(Arc::clone(governor));
        client.within(Arc::clone(&all))
    };
    let own = [(); 2].map(|()| Governor::new(limits(1000.0, 1000, 8)));
    // One of them finds nobody: its certificates are not those of the server, say.
    for _ in 0..5 {
        fail(&own[0]).await;
    }
    let refused = client(&own[0]).list_environments(Scope::Test, "shop").await;
    assert!(matches!(
        refused.unwrap_err().kind(),
        Kind::CircuitOpen { .. }
    ));
    let other = client(&own[1]);
    other.list_environments(Scope::Test, "shop").await.unwrap();
    assert_eq!(all.stats().circuit, Circuit::Closed);
    // The common bound holds whatever is left of its own.
    let permit = all.admit(&tenant("somebody")).await.unwrap();
    let waiting = tokio::spawn(async move {
        let list = other.list_environments(Scope::Test, "shop").await;
        list.unwrap().len()
    });
    settle().await;
    assert_eq!((all.stats().waiting, server.asked().len()), (1, 1));
    permit.finish(Verdict::Reached);
    waiting.await.unwrap();
    assert_eq!((all.stats().in_flight, own[1].stats().in_flight), (0, 0));
}

#[tokio::test]
async fn refusals_are_answers_and_leave_the_breaker_closed() {
    let server = Server::answering(500, None, "").await;
    let governor = Governor::new(Limits::default());
    let client = server.client().with_governor(Arc::clone(&governor));
    for _ in 0..10 {
        let error = client
            .restart_service(Scope::Test, "shop", "dev", "api")
            .await
            .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Internal);
    }
    assert_eq!(governor.stats().circuit, Circuit::Closed);
}

#[tokio::test]
async fn z14_20_one_call_of_a_project_is_in_flight_where_zadig_locks_the_project() {
    let busy = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (Arc::clone(&busy), Arc::clone(&most));
    let server = Server::start(move |_, _| {
        let (busy, most) = (Arc::clone(&counted), Arc::clone(&highest));
        async move {
            most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Long enough for whoever is free to come as well.
            tokio::time::sleep(Duration::from_millis(100)).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            json(200, &serde_json::json!({"message": "success"}))
        }
    })
    .await;
    // Two connections to one Zadig, for two tenants.
    let governor = Governor::new(Limits::default());
    let one = server.client().with_governor(Arc::clone(&governor));
    let two = server.client().with_governor(governor).for_tenant("team");
    let services = [ServiceChange {
        service_name: "api".to_owned(),
        variables: Vec::new(),
    }];
    let scale = Scale {
        env_key: "qa".to_owned(),
        service_name: "api".to_owned(),
        workload_name: "api".to_owned(),
        workload_kind: WorkloadKind::Deployment,
        replicas: 2,
    };
    let done = tokio::join!(
        one.add_services(Scope::Test, "shop", "dev", &services),
        two.update_services(Scope::Test, "shop", "qa", &services),
        two.scale("shop", &scale),
    );
    assert!(
        done.0.is_ok() && done.1.is_ok() && done.2.is_ok(),
        "{done:?}"
    );
    assert_eq!(most.swap(0, Ordering::SeqCst), 1);
    // Other projects, and calls that take no lock, do not wait.
    let done = tokio::join!(
        one.add_services(Scope::Test, "shop", "dev", &services),
        two.add_services(Scope::Test, "bank", "dev", &services),
        two.restart_service(Scope::Test, "shop", "qa", "api"),
    );
    assert!(
        done.0.is_ok() && done.1.is_ok() && done.2.is_ok(),
        "{done:?}"
    );
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// A gate that somebody closes.
#[derive(Default)]
struct Closes(AtomicBool);

impl Gate for Closes {
    fn is_open(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_change_that_waited_asks_the_gate_before_it_leaves_and_reads_do_not() {
    let server = Server::answering(200, Some("application/json"), "[]").await;
    let governor = Governor::new(limits(1000.0, 1000, 1));
    let gate = Arc::new(Closes::default());
    let client = server
        .client()
        .with_governor(Arc::clone(&governor))
        .behind(Arc::clone(&gate) as Arc<dyn Gate>);
    let turn = governor.turn_of("shop").await;
    let permit = governor.admit(&tenant("other")).await.unwrap();
    let waiting: Vec<_> = ["dev", "qa"]
        .map(|env| {
            let client = client.clone();
            tokio::spawn(async move {
                let services = [ServiceChange {
                    service_name: "api".to_owned(),
                    variables: Vec::new(),
                }];
                // One waits for the project, the other one for the governor.
                let answer = match env {
                    "dev" => {
                        client
                            .add_services(Scope::Test, "shop", env, &services)
                            .await
                    }
                    _ => {
                        client
                            .restart_service(Scope::Test, "shop", env, "api")
                            .await
                    }
                };
                answer.unwrap_err()
            })
        })
        .into();
    settle().await;
    gate.0.store(true, Ordering::Relaxed);
    drop(turn);
    permit.finish(Verdict::Reached);
    for call in waiting {
        let error = call.await.unwrap();
        assert!(matches!(error.kind(), Kind::Withheld), "{error}");
        assert_eq!(
            (error.class(), error.outcome_unknown()),
            (ErrorClass::InvalidRequest, false)
        );
    }
    assert_eq!(server.asked().len(), 0);
    let list = client.list_environments(Scope::Test, "shop").await;
    assert_eq!(list.unwrap().len(), 0);
    assert_eq!((server.asked().len(), governor.stats().in_flight), (1, 0));
}

#[test]
fn z14_20_the_locking_routes_are_those_that_add_update_or_scale() {
    let locking: Vec<u8> = zadig_client::routes()
        .filter(|route| route.locks_project)
        .map(|route| route.number)
        .collect();
    assert_eq!(locking, [17, 18, 19, 20, 37, 52]);
}
