//! The journal: every request that reached the OpenAPI, and what came of it.
//!
//! It never holds a token: the header is not recorded and the query parameter `token` is masked.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Beyond this the oldest entries go: a day of a quiet operator, or a benchmark of 10,000 environments.
const CAPACITY: usize = 200_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its number, from 1, over the life of the simulator.
    pub seq: u64,
    /// When it arrived, in the simulator's time.
    pub time: jiff::Timestamp,
    /// The HTTP method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, with a token masked.
    pub query: String,
    /// The body as sent.
    pub body: String,
    /// The user its token belongs to.
    pub user: Option<String>,
    /// What the caller calls itself: the header `User-Agent`.
    pub agent: String,
    /// The name of the operation, such as `environment.list`; empty without a route.
    pub operation: String,
    /// The environment that it names, as `project/key`.
    pub environment: Option<String>,
    /// The status of that environment when the call arrived; none if it was not there.
    pub found: Option<String>,
    /// The HTTP status of the answer; 0 if none was sent.
    pub status: u16,
    /// Whether the route is one that changes something when it succeeds.
    pub mutating: bool,
    /// Whether it changed Zadig's data or the cluster, or set such a change going.
    pub changed: bool,
}

/// What is known of a call before it has a number and a time.
#[derive(Debug)]
pub(crate) struct Journal {
    calls: VecDeque<Call>,
    next: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            calls: VecDeque::new(),
            next: 1,
        }
    }
}

impl Journal {
    /// Appends the call under the next number.
    pub(crate) fn record(&mut self, mut call: Call) {
        call.seq = self.next;
        self.next += 1;
        if self.calls.len() == CAPACITY {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.calls.clear();
    }
}

/// The query with the value of `token` replaced.
pub(crate) fn masked(query: &str) -> String {
    query
        .split('&')
        .map(|pair| {
            if pair.starts_with("token=") {
                "token=%3Cmasked%3E"
            } else {
                pair
            }
        })
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_token_in_the_query_is_masked() {
        assert_eq!(
            masked("projectKey=shop&token=abc"),
            "projectKey=shop&token=%3Cmasked%3E"
        );
    }
}
