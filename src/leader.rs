//! Leader election by a Lease, as client-go does it: who holds the Lease works, the others stand by.
//!
//! The decision is `next`, a function without clock or network. Other processes' clocks are never compared with
//! ours: a Lease counts as abandoned when it has not changed for its duration by our own monotonic clock, however
//! wrong its `renewTime` may be. Every write carries the resourceVersion it was decided on, so of two that take over
//! at the same time one is refused.
//!
//! This fences by time, not by token: a leader that cannot renew stops after two thirds of the duration, and the rest
//! is what its last requests have to end in.

use std::fmt;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};

use crate::api::FIELD_MANAGER;

/// What an election is about.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Name of this process, different from that of every other, also of its own predecessor.
    pub me: String,
    /// How long a leader that died is waited for.
    pub duration: Duration,
}

/// How often a leader renews, and when it gives up.
#[derive(Clone, Copy, Debug)]
struct Timing {
    duration: Duration,
}

impl Timing {
    /// Time between two renewals: a third, so that two may fail.
    fn renewal(self) -> Duration {
        self.duration / 3
    }

    /// Time after the last success at which a leader no longer counts itself as one.
    fn deadline(self) -> Duration {
        self.duration * 2 / 3
    }

    /// Time before a failed request is repeated.
    fn retry(self) -> Duration {
        self.duration / 15
    }
}

/// What the Lease says, and since when it says so by our own clock.
#[derive(Clone, Debug)]
struct View {
    /// `None`: there is no Lease.
    lease: Option<Lease>,
    since: Instant,
}

/// What this process believes to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
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
enum Step {
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

fn next(view: &View, me: &str, standing: Standing, timing: Timing, now: Instant) -> Step {
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
fn holder(lease: &Lease) -> Option<&str> {
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

/// One process's part in the election.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    settings: Settings,
    timing: Timing,
    view: View,
    standing: Standing,
}

/// A view of the election that others may be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// Somebody else leads.
    StandingBy {
        /// Who.
        leader: String,
    },
    /// Nobody is known to lead.
    Electing,
}

impl Elector {
    /// A candidate; nothing is sent yet.
    #[must_use]
    pub fn new(client: kube::Client, settings: Settings) -> Self {
        Self {
            api: Api::namespaced(client, &settings.namespace),
            timing: Timing {
                duration: settings.duration,
            },
            view: View {
                lease: None,
                since: Instant::now(),
            },
            standing: Standing::Candidate,
            settings,
        }
    }

    /// Waits until this process leads, telling `tell` what it waits for.
    ///
    /// # Cancellation
    ///
    /// May be dropped at any point. A Lease that was taken by a write whose answer nobody read is released by
    /// [`Self::release`] all the same.
    pub async fn lead(&mut self, mut tell: impl FnMut(News)) {
        self.look().await;
        let mut changes = watcher::watch_object(self.api.clone(), &self.settings.name)
            .default_backoff()
            .boxed();
        loop {
            match next(
                &self.view,
                &self.settings.me,
                self.standing,
                self.timing,
                Instant::now(),
            ) {
                Step::Take => {
                    tell(News::Electing);
                    if self.write().await {
                        return;
                    }
                    tokio::time::sleep(jittered(self.timing.retry() * 2)).await;
                }
                Step::Wait(pause) => {
                    if let Some(leader) = self.view.lease.as_ref().and_then(holder) {
                        tell(News::StandingBy {
                            leader: leader.to_owned(),
                        });
                    }
                    // The watch makes a hand-over immediate. Without it, for want of the right to watch, the time
                    // alone decides, and a refused write tells what was missed.
                    tokio::select! {
                        () = tokio::time::sleep(pause + self.timing.retry().mul_f64(fastrand::f64())) => {}
                        Some(change) = changes.next() => match change {
                            Ok(lease) => self.observe(lease),
                            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot watch the lease"),
                        },
                    }
                }
                // A candidate can neither renew nor lose.
                Step::Renew | Step::Lost(_) => return,
            }
        }
    }

    /// Keeps the Lease until it is lost, telling `tell` until when it is held.
    ///
    /// # Cancellation
    ///
    /// May be dropped at any point; the Lease is then still held until [`Self::release`] or its end.
    pub async fn hold(&mut self, mut tell: impl FnMut(Instant)) -> Lost {
        loop {
            if let Standing::Leader { renewed, .. } = self.standing {
                tell(renewed + self.timing.duration);
            }
            match next(
                &self.view,
                &self.settings.me,
                self.standing,
                self.timing,
                Instant::now(),
            ) {
                Step::Lost(lost) => {
                    self.standing = Standing::Candidate;
                    return lost;
                }
                Step::Wait(pause) => tokio::time::sleep(pause).await,
                Step::Renew | Step::Take => {
                    if !self.write().await
                        && let Standing::Leader { renewed, .. } = self.standing
                    {
                        let due = Instant::now() + jittered(self.timing.retry());
                        self.standing = Standing::Leader { renewed, due };
                    }
                }
            }
        }
    }

    /// Gives the Lease back, so that another process can lead at once. Nothing is told when that fails: the Lease then ends by
    /// itself.
    pub async fn release(mut self) {
        self.look().await;
        let Some(mut lease) = self.view.lease.take() else {
            return;
        };
        if holder(&lease) != Some(&self.settings.me) {
            return;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        // Others take a Lease without a holder at once; the API server wants a positive number here.
        spec.lease_duration_seconds = Some(1);
        let released = self.replace(&lease).await;
        if let Err(error) = released {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot release the lease"
            );
        }
    }

    fn observe(&mut self, lease: Option<Lease>) {
        let spec = |lease: &Option<Lease>| lease.as_ref().and_then(|lease| lease.spec.clone());
        let is_news = spec(&self.view.lease) != spec(&lease);
        self.view.lease = lease;
        if is_news {
            self.view.since = Instant::now();
        }
    }

    async fn look(&mut self) {
        match self.bounded(self.api.get_opt(&self.settings.name)).await {
            Ok(lease) => self.observe(lease),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read the lease"
            ),
        }
    }

    /// Writes the Lease as ours; false if that did not succeed, after having looked what it says instead.
    async fn write(&mut self) -> bool {
        let sent = Instant::now();
        let lease = self.ours();
        let written = if lease.metadata.resource_version.is_some() {
            self.replace(&lease).await
        } else {
            self.bounded(self.api.create(&parameters(), &lease)).await
        };
        match written {
            Ok(lease) => {
                self.observe(Some(lease));
                self.standing = Standing::Leader {
                    renewed: sent,
                    due: sent + shortened(self.timing.renewal()),
                };
                true
            }
            Err(error) => {
                if error.is_conflict() {
                    tracing::debug!("the lease has changed meanwhile");
                } else {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot write the lease"
                    );
                }
                self.look().await;
                false
            }
        }
    }

    /// The Lease as it should be: held by us, renewed now, all else left as it is.
    fn ours(&self) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = self.view.lease.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let is_ours = holder(&lease) == Some(&self.settings.me);
        let exists = lease.spec.is_some();
        let LeaseSpec {
            acquire_time,
            holder_identity,
            lease_duration_seconds,
            lease_transitions,
            renew_time,
            preferred_holder: _,
            strategy: _,
        } = lease.spec.get_or_insert_default();
        if !is_ours {
            *acquire_time = Some(now.clone());
            *lease_transitions = Some(lease_transitions.unwrap_or(0) + i32::from(exists));
        }
        *holder_identity = Some(self.settings.me.clone());
        *lease_duration_seconds = i32::try_from(self.settings.duration.as_secs()).ok();
        *renew_time = Some(now);
        lease
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        self.bounded(self.api.replace(&self.settings.name, &parameters(), lease))
            .await
    }

    /// A request may take as long as the time between two renewals: a second one then still fits before the deadline.
    async fn bounded<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.timing.renewal(), request).await {
            Ok(answer) => answer.map_err(Error::Kubernetes),
            Err(_) => Err(Error::TimedOut),
        }
    }
}

/// A request about the Lease did not succeed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server refused the request or cannot be reached")]
    Kubernetes(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    TimedOut,
}

impl Error {
    fn is_conflict(&self) -> bool {
        // 409 is both a stale resourceVersion and a Lease that was created meanwhile.
        matches!(self, Self::Kubernetes(kube::Error::Api(status)) if status.code == 409)
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Up to half of `pause` more, so that several processes do not ask at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// Up to a fifth of `pause` less, for what must not come late.
fn shortened(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
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
