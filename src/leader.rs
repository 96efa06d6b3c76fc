//! Leader election by a Lease, as client-go does it: who holds the Lease works, the others stand by.
//!
//! What to do next is decided in `step`, without clock or network. Other processes' clocks are never compared with
//! ours: a Lease counts as abandoned when it has not changed for its duration by our own monotonic clock, however
//! wrong its `renewTime` may be. Every write carries the resourceVersion it was decided on, so of two that take over
//! at the same time one is refused.
//!
//! This fences by time, not by token: a leader that cannot renew stops after two thirds of the duration, and the rest
//! is what its last requests have to end in. Who writes asks [`Tenure`] before each request.

mod step;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::time::Instant;

use self::step::{Standing, Step, Timing, View, holder, next};
use crate::api::FIELD_MANAGER;

pub use self::step::Lost;

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

/// One process's part in the election.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    settings: Settings,
    timing: Timing,
    view: View,
    standing: Standing,
    tenure: Tenure,
}

/// For how long this process may write; clones share it.
///
/// A process that was frozen is woken with its work, and may be about to write before it learns that it leads no more. So
/// whoever writes asks first.
#[derive(Clone, Debug, Default)]
pub struct Tenure {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Tenure {
    /// Whether somebody else may lead by now. Never without an election.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() >= until)
    }

    /// One that is over.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        let tenure = Self::default();
        tenure.set(Instant::now());
        tenure
    }

    fn set(&self, until: Instant) {
        let mut place = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(until);
    }
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
            tenure: Tenure::default(),
            settings,
        }
    }

    /// For how long this process may write; once it leads, this ends when the Lease is not renewed.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Waits until this process leads, telling `tell` what it waits for.
    ///
    /// # Cancellation
    ///
    /// May be dropped at any point. A Lease that was taken by a write whose answer nobody read is released by
    /// [`Self::release`] all the same.
    pub async fn lead(&mut self, mut tell: impl FnMut(News)) {
        // What cannot be read may be there and be held: it is not made anew.
        while !self.look().await {
            tell(News::Electing);
            tokio::time::sleep(jittered(self.timing.retry() * 2)).await;
        }
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
    pub async fn hold(&mut self, mut tell: impl FnMut(std::time::Instant)) -> Lost {
        loop {
            if let Standing::Leader { renewed, .. } = self.standing {
                tell((renewed + self.timing.duration).into_std());
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
                    let Standing::Leader { renewed, .. } = self.standing else {
                        return Lost::NotRenewed;
                    };
                    // A request that hangs may not keep this process from stopping in time.
                    let give_up = renewed + self.timing.deadline();
                    let written = tokio::time::timeout_at(give_up, self.write()).await;
                    if !matches!(written, Ok(true)) {
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

    /// Learns what the Lease says; false if that did not succeed, and what was known before still counts.
    async fn look(&mut self) -> bool {
        match self.bounded(self.api.get_opt(&self.settings.name)).await {
            Ok(lease) => {
                self.observe(lease);
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    lease = self.settings.name,
                    "cannot read the lease"
                );
                false
            }
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
                self.tenure.set(sent + self.timing.deadline());
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
                        lease = self.settings.name,
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
        // Others wait for what is written here, so it may not be less than what we count on.
        let seconds = self.settings.duration.as_millis().div_ceil(1000);
        *lease_duration_seconds = i32::try_from(seconds).ok();
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
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenure_ends_before_anybody_may_take_over() {
        let echo = service_fn(async |request: Request<Body>| {
            let body = request.into_body().collect_bytes().await.unwrap();
            Ok::<_, kube::Error>(Response::new(Body::from(body)))
        });
        let mut elector = elector(kube::Client::new(echo, "default"));
        let tenure = elector.tenure();
        assert!(!tenure.is_over(), "nobody has to be elected to begin with");
        assert!(elector.write().await);
        tokio::time::advance(Duration::from_millis(9_900)).await;
        assert!(!tenure.is_over());
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(tenure.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_may_not_be_read_is_not_taken_for_none() {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let refuse = service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.method().clone());
            let refusal = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}"#;
            let answer = Response::builder().status(403);
            let answer = answer.body(Body::from(refusal.as_bytes().to_vec()));
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        let mut elector = elector(kube::Client::new(refuse, "default"));
        let mut news = Vec::new();
        let leading = elector.lead(|told| news.push(told));
        let leads = tokio::time::timeout(Duration::from_mins(1), leading).await;
        assert!(leads.is_err(), "what it cannot read it cannot keep");
        assert!(
            news.iter().all(|told| *told == News::Electing) && !news.is_empty(),
            "{news:?}"
        );
        let requests = requests.lock().unwrap();
        assert!(
            requests.len() > 10 && requests.iter().all(|method| method == http::Method::GET),
            "{requests:?}"
        );
    }

    fn elector(client: kube::Client) -> Elector {
        let settings = Settings {
            namespace: "default".to_owned(),
            name: "lease".to_owned(),
            me: "me".to_owned(),
            duration: Duration::from_secs(15),
        };
        Elector::new(client, settings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_whose_requests_hang_gives_up_at_the_deadline() {
        let silence = service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let mut elector = elector(kube::Client::new(silence, "default"));
        let renewed = Instant::now();
        elector.standing = Standing::Leader {
            renewed,
            due: renewed + elector.timing.renewal(),
        };
        let lost = elector.hold(|_| {}).await;
        let after = renewed.elapsed();
        assert_eq!(lost, Lost::NotRenewed);
        assert!(
            after >= Duration::from_secs(10) && after < Duration::from_millis(10_100),
            "{after:?}"
        );
    }
}
