//! Counts the calls to Zadig, by route and class of answer; both are closed sets. A licence that is refused to any call of a
//! production environment is remembered here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zadig_client::{ErrorClass, Observer, Route, Scope};

use super::zadig::lock;
use crate::plan::Licence;

/// The client's observer.
pub(super) struct Calls {
    /// What is known of the licence of the connection's Zadig.
    pub licence: Arc<Mutex<Licence>>,
}

impl Observer for Calls {
    fn called(&self, route: &'static Route, outcome: &'static str, elapsed: Duration) {
        // Other calls may ask for more than the professional licence (Z§3).
        let is_production = route.scope == Some(Scope::Production);
        if is_production && outcome == ErrorClass::LicenceRefused.as_str() {
            *lock(&self.licence) = Licence::Refused;
        }
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
