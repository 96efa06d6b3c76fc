//! Counts the calls to Zadig, by route and class of answer; both are closed sets.

use std::time::Duration;

use zadig_client::{Observer, Route};

/// The client's observer.
pub(super) struct Calls;

impl Observer for Calls {
    fn called(&self, route: &'static Route, outcome: &'static str, elapsed: Duration) {
        metrics::counter!(
            "zadig_operator_zadig_requests_total", "operation" => route.operation, "outcome" => outcome
        )
        .increment(1);
        metrics::histogram!(
            "zadig_operator_zadig_request_duration_seconds", "operation" => route.operation
        )
        .record(elapsed.as_secs_f64());
    }

    fn waited(&self, _route: &'static Route, elapsed: Duration) {
        metrics::histogram!("zadig_operator_zadig_throttle_seconds").record(elapsed.as_secs_f64());
    }
}
