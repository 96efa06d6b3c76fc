//! The election's decisions: what a process does next, given what the Lease says and how long it has said so.
//!
//! No clock, no network: both are arguments.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// How often a leader renews, and when it gives up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) duration: Duration,
}

impl Timing {
    /// Time between two renewals: a third, so that two may fail.
    pub(super) fn renewal(self) -> Duration {
        self.duration / 3
    }

    /// Time after the last success at which a leader no longer counts itself as one.
    pub(super) fn deadline(self) -> Duration {
        self.duration * 2 / 3
    }

    /// Time before a failed request is repeated.
    pub(super) fn retry(self) -> Duration {
        self.duration / 15
    }
}

/// What the Lease says, and since when it says so by our own clock.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// `None`: there is no Lease.
    pub(super) lease: Option<Lease>,
    pub(super) since: Instant,
}

/// What this process believes to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    Candidate,
    Leader {
        /// When the request of the last successful renewal was *sent*: from then on, at the earliest, others count.
        renewed: Instant,
        /// When to renew again.
        due: Instant,
    },
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Write the Lease as ours.
    Take,
    /// Write a new renewal time.
    Renew,
    /// Nothing before this time has passed, unless the Lease changes.
    Wait(Duration),
    /// This process leads no more.
    Lost(Lost),
}

/// Why a leader is none any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lost {
    /// Somebody else holds the Lease.
    Taken {
        /// Who.
        by: String,
    },
    /// The Lease could not be renewed in time.
    NotRenewed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { by } => write!(f, "the lease was taken by {by}"),
            Self::NotRenewed => f.write_str("the lease could not be renewed in time"),
        }
    }
}

pub(super) fn next(
    view: &View,
    me: &str,
    standing: Standing,
    timing: Timing,
    now: Instant,
) -> Step {
    let holder = view.lease.as_ref().and_then(holder);
    match standing {
        Standing::Leader { renewed, due } => {
            let give_up = renewed + timing.deadline();
            match holder {
                Some(other) if other != me => Step::Lost(Lost::Taken {
                    by: other.to_owned(),
                }),
                _ if now >= give_up => Step::Lost(Lost::NotRenewed),
                _ if now >= due => Step::Renew,
                _ => Step::Wait(due.min(give_up) - now),
            }
        }
        Standing::Candidate => match holder {
            Some(other) if other != me => {
                let duration = view.lease.as_ref().map_or(timing.duration, lease_duration);
                let abandoned = view.since + duration;
                if now >= abandoned {
                    Step::Take
                } else {
                    Step::Wait(abandoned - now)
                }
            }
            // Nobody's, released, or ours from a write whose answer was lost.
            _ => Step::Take,
        },
    }
}

/// The holder of a Lease; a released one has none.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    let spec = lease.spec.as_ref()?;
    spec.holder_identity
        .as_deref()
        .filter(|name| !name.is_empty())
}

/// What the holder promised. A nonsensical value is a promise of nothing.
fn lease_duration(lease: &Lease) -> Duration {
    let seconds = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds);
    Duration::from_secs(
        seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use k8s_openapi::jiff::Timestamp;
    use kube::api::ObjectMeta;

    use super::*;

    const TIMING: Timing = Timing {
        duration: Duration::from_secs(15),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lease(holder: &str, duration: i32) -> Lease {
        Lease {
            metadata: ObjectMeta::default(),
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(duration),
                // Far in the future: nobody may believe it.
                renew_time: Some(MicroTime(Timestamp::MAX)),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn a_candidate_takes_what_nobody_holds_and_waits_for_the_rest() {
        let start = Instant::now();
        let table = [
            ("no lease", None, 0, Step::Take),
            ("released", Some(lease("", 1)), 0, Step::Take),
            (
                "ours from a lost answer",
                Some(lease("me", 15)),
                0,
                Step::Take,
            ),
            (
                "held, just seen",
                Some(lease("other", 15)),
                0,
                Step::Wait(seconds(15)),
            ),
            (
                "held, seen a while ago",
                Some(lease("other", 15)),
                14,
                Step::Wait(seconds(1)),
            ),
            (
                "held, silent for its duration",
                Some(lease("other", 15)),
                15,
                Step::Take,
            ),
            (
                "the holder's duration counts, not ours",
                Some(lease("other", 60)),
                59,
                Step::Wait(seconds(1)),
            ),
            (
                "a nonsensical duration promises nothing",
                Some(lease("other", -1)),
                0,
                Step::Take,
            ),
        ];
        for (name, lease, age, expected) in table {
            let view = View {
                lease,
                since: start,
            };
            let step = next(
                &view,
                "me",
                Standing::Candidate,
                TIMING,
                start + seconds(age),
            );
            assert_eq!(step, expected, "{name}");
        }
    }

    #[test]
    fn a_leader_renews_in_time_or_stops() {
        let start = Instant::now();
        let taken = Step::Lost(Lost::Taken {
            by: "other".to_owned(),
        });
        // (what the lease says, age of the last renewal, when the next is due, what to do)
        let table = [
            (
                "not due",
                Some(lease("me", 15)),
                1,
                5,
                Step::Wait(seconds(4)),
            ),
            ("due", Some(lease("me", 15)), 5, 5, Step::Renew),
            (
                "failing, but not for long",
                Some(lease("me", 15)),
                9,
                9,
                Step::Renew,
            ),
            (
                "failing, waits no longer than the deadline",
                Some(lease("me", 15)),
                9,
                20,
                Step::Wait(seconds(1)),
            ),
            (
                "failing for too long",
                Some(lease("me", 15)),
                10,
                11,
                Step::Lost(Lost::NotRenewed),
            ),
            ("deleted by somebody", None, 5, 5, Step::Renew),
            (
                "emptied by somebody",
                Some(lease("", 15)),
                5,
                5,
                Step::Renew,
            ),
            ("taken by another", Some(lease("other", 15)), 1, 5, taken),
        ];
        for (name, lease, age, due, expected) in table {
            let view = View {
                lease,
                since: start,
            };
            let standing = Standing::Leader {
                renewed: start,
                due: start + seconds(due),
            };
            let step = next(&view, "me", standing, TIMING, start + seconds(age));
            assert_eq!(step, expected, "{name}");
        }
    }

    #[test]
    fn a_leader_stops_before_anybody_may_take_over() {
        for duration in [3, 15, 60, 3600] {
            let timing = Timing {
                duration: seconds(duration),
            };
            // Two renewals fit before the deadline, each with its own time-out, and a rest remains for the last requests.
            assert!(timing.renewal() * 2 <= timing.deadline());
            assert!(timing.deadline() + timing.renewal() <= timing.duration);
        }
    }
}
