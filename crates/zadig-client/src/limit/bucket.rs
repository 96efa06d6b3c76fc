//! A token bucket: how many requests a second, and how many at once after a rest.
//!
//! It has no clock; each call is told the time.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self {
            per_second,
            burst,
            level: burst,
            filled_at: now,
        }
    }

    /// Other bounds from now on; what has been used stays used.
    pub(super) fn reshape(&mut self, per_second: f64, burst: f64, now: Instant) {
        self.fill(now);
        // More burst is not a gift: the difference has to flow in.
        self.level = self.level.min(burst);
        (self.per_second, self.burst) = (per_second, burst);
    }

    /// Takes one, or says how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        // Sums of small additions fall short of whole numbers; a millionth of a request is noise.
        const NOISE: f64 = 1e-6;
        self.fill(now);
        if self.level + NOISE >= 1.0 {
            self.level = (self.level - 1.0).max(0.0);
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.level) / self.per_second,
        ))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.level = passed.mul_add(self.per_second, self.level).min(self.burst);
        self.filled_at = now;
    }
}
