//! The limits of a connection, measured where they matter: at the server.

use std::time::Duration;

use serde_json::{Value, json};
use zadig_operator::api::connection::ZadigConnection;
use zadig_sim::Call;

use crate::support::{EnvironmentFixture, Setup, is_ours, simulated_with};

/// How long each answer takes.
const LATENCY: Duration = Duration::from_millis(100);
/// A rate at which so many calls in a row take a second.
const RATE: usize = 5;
/// Most of a second: the server's clock is read when a call arrives, not when it is sent.
const SECOND: Duration = Duration::from_millis(800);

/// Three environments are made by a connection that had these limits from the beginning; the operator's calls.
fn calls_under(limits: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    let setup = Setup::default().simulator(|options| options.latency = LATENCY);
    simulated_with(setup.without_connection(), async |world, sim| {
        world.apply(&world.token_secret(&world.zadig.token)).await;
        let connection: ZadigConnection = world.read(json!({
            "apiVersion": "zadig-operator.io/v1alpha1",
            "kind": "ZadigConnection",
            "metadata": {"name": "default"},
            "spec": {
                "url": world.zadig.url,
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
                "limits": limits,
            },
        }));
        world.apply(&connection).await;
        let names = ["a", "b", "c"];
        for name in names {
            let env = world.environment(name).service("plain").service("web");
            world.apply(&env).await;
        }
        for name in names {
            world.await_ready(name).await;
        }
        calls = sim.calls();
        // A route that the server does not have is refused at once, whatever its latency.
        calls.retain(|call| is_ours(call) && call.status != 404);
    });
    calls
}

/// The shortest time in which `count` calls in a row came after another one.
fn fastest(calls: &[Call], count: usize) -> Duration {
    let spans = calls.windows(count + 1).map(|window| {
        let span = window[count].time.duration_since(window[0].time);
        Duration::try_from(span).unwrap_or_default()
    });
    spans.min().expect("there were enough calls")
}

#[test]
fn requests_per_second_are_not_exceeded_once_the_burst_is_used_up() {
    let limits = json!({"requestsPerSecond": RATE, "burst": 1, "maxInFlight": 8});
    let fastest = fastest(&calls_under(&limits), RATE);
    assert!(fastest >= SECOND, "{RATE} calls in {fastest:?}");
}

#[test]
fn a_burst_goes_through_at_once() {
    let limits = json!({"requestsPerSecond": RATE, "burst": 40, "maxInFlight": 8});
    let calls = calls_under(&limits);
    assert!(
        fastest(&calls, RATE) < SECOND,
        "{:?}",
        fastest(&calls, RATE)
    );
    assert!(fastest(&calls, 1) < LATENCY / 2, "{:?}", fastest(&calls, 1));
}

#[test]
fn no_more_calls_are_in_flight_than_the_limit_says() {
    let limits = json!({"requestsPerSecond": 500, "burst": 500, "maxInFlight": 1});
    let fastest = fastest(&calls_under(&limits), 1);
    assert!(fastest >= LATENCY * 9 / 10, "two calls within {fastest:?}");
}
