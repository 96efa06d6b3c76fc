//! What makes calls wait for each other: the lock of a project (Z§7.1) and the limit of Zadig's own Kubernetes client (Z§8).
//!
//! On a virtual clock every answer is immediate, so nothing waits.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::World;
use crate::clock::later;
use crate::options::ClockMode;
use crate::reply::Fail;

/// The lock is not renewed: after this long somebody else may take it (Z§7.1).
const LOCK_EXPIRY: Duration = Duration::from_secs(8);

/// Requests that the Kubernetes client makes at once before it is held back.
const BURST: f64 = 10.0;

/// Until when each project's lock is held.
pub(super) type Locks = BTreeMap<String, Timestamp>;

/// Requests that may be made at once; negative when some are waiting.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { left: BURST, at }
    }

    /// How long the last of these requests waits.
    fn take(&mut self, now: Timestamp, requests: u32, per_second: f64) -> Duration {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.left = (self.left + passed * per_second).min(BURST) - f64::from(requests);
        self.at = now;
        Duration::try_from_secs_f64(-self.left / per_second).unwrap_or_default()
    }
}

impl World {
    /// Refuses with `code` while another call holds the project's lock.
    pub(crate) fn check_lock(&self, project: &str, code: u16) -> Result<(), Fail> {
        match self.locks.get(project) {
            Some(until) if *until > self.now() => Err(Fail::LockTaken { code }),
            _ => Ok(()),
        }
    }

    /// Holds the project's lock until the answer of a call that works that long.
    pub(crate) fn hold_lock(&mut self, project: &str, work: Duration) {
        let until = later(self.now(), self.answer_time(work).min(LOCK_EXPIRY));
        self.locks.insert(project.to_owned(), until);
    }

    /// How long a call takes besides its own work, when it makes that many Kubernetes requests.
    pub(crate) fn held_up(&mut self, requests: u32) -> Duration {
        if self.options.clock != ClockMode::Real {
            return Duration::ZERO;
        }
        let limit = match self.pace().kube_requests_per_second {
            Some(limit) if requests > 0 && limit > 0.0 => {
                let now = self.now();
                self.bucket.take(now, requests, limit)
            }
            _ => Duration::ZERO,
        };
        limit + self.options.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_burst_wait_for_their_turn() {
        let begin = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket::new(begin);
        let waits: Vec<u128> = (0..12)
            .map(|_| bucket.take(begin, 1, 5.0).as_millis())
            .collect();
        assert_eq!(waits[8..], [0, 0, 200, 400]);
        let rested = begin.checked_add(Duration::from_secs(60)).unwrap();
        assert_eq!(bucket.take(rested, 10, 5.0), Duration::ZERO);
    }
}
