//! A hook for metrics: the client says what it called, the embedder counts.

use std::time::Duration;

use crate::routes::Route;

/// Is told about every request that left the client.
///
/// Called from the task that made the call, so an implementation must be quick. Its labels come from
/// closed sets; nothing it is given can hold a token or a Secret.
pub trait Observer: Send + Sync {
    /// One request was answered or failed: `outcome` is `ok` or
    /// [`ErrorClass::as_str`](crate::ErrorClass::as_str). A repeated read is told once per request.
    fn called(&self, route: &'static Route, outcome: &'static str, elapsed: Duration);

    /// A request waited this long for its turn at the [governor](crate::limit::Governor).
    fn waited(&self, route: &'static Route, elapsed: Duration) {
        let _ = (route, elapsed);
    }
}
