//! A circuit breaker: after several calls in a row that found nobody, nobody is called for a while.
//!
//! It has no clock; each call is told the time.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it. Fewer would take one dropped connection for an outage.
const THRESHOLD: u32 = 5;

/// The pause at first and at most. A restart of Zadig takes some seconds; after a longer outage a
/// probe a minute is little enough for the server and soon enough for people.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// What others are told to wait while the one probe is out.
const DURING_PROBE: Duration = Duration::from_secs(1);

/// The state, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// One call is out to see whether others may pass again.
    HalfOpen,
}

#[derive(Debug)]
pub(super) enum Breaker {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { pause: Duration },
}

/// What the breaker says to one who wants to call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Pass,
    /// Pass, and everything depends on how it goes.
    Probe,
    Wait(Duration),
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    pub(super) const fn circuit(&self) -> Circuit {
        match self {
            Self::Closed { .. } => Circuit::Closed,
            Self::Open { .. } => Circuit::Open,
            Self::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    /// What a call would be told; changes nothing.
    pub(super) fn ask(&self, now: Instant) -> Word {
        match self {
            Self::Closed { .. } => Word::Pass,
            Self::Open { until, .. } if now < *until => Word::Wait(*until - now),
            Self::Open { .. } => Word::Probe,
            Self::HalfOpen { .. } => Word::Wait(DURING_PROBE),
        }
    }

    /// The probe leaves.
    pub(super) fn probe(&mut self) {
        if let Self::Open { pause, .. } = self {
            *self = Self::HalfOpen { pause: *pause };
        }
    }

    /// A call found Zadig.
    pub(super) fn reached(&mut self) {
        *self = Self::new();
    }

    /// A call found nobody.
    pub(super) fn unreachable(&mut self, was_probe: bool, now: Instant) {
        match self {
            Self::Closed { failures } if *failures + 1 < THRESHOLD => *failures += 1,
            Self::Closed { .. } => self.open(FIRST_PAUSE, now),
            Self::HalfOpen { pause } if was_probe => {
                let pause = (*pause * 2).min(LAST_PAUSE);
                self.open(pause, now);
            }
            // A straggler from before tells nothing new.
            Self::Open { .. } | Self::HalfOpen { .. } => {}
        }
    }

    /// The probe was given up before it told anything: the next call is the probe.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if let Self::HalfOpen { pause } = self {
            *self = Self::Open {
                until: now,
                pause: *pause,
            };
        }
    }

    /// Jitter keeps several processes from probing in step.
    fn open(&mut self, pause: Duration, now: Instant) {
        let jittered = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        *self = Self::Open {
            until: now + jittered,
            pause,
        };
    }
}
