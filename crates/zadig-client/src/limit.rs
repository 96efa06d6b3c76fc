//! The governor of one Zadig: how often it is called, by how many at once, and whether at all.
//!
//! A request asks [`Governor::admit`] and keeps the [`Permit`] until it is answered. Three things
//! decide: a token bucket, a bound on requests in flight, and a circuit breaker. Among those that
//! wait, tenants take turns. Calls that Zadig serves one after the other within a project wait for
//! [`Governor::turn_of`] first. It knows nothing of HTTP and nothing of what a request is for; that one
//! governor stands for one Zadig, not for one process, is up to the caller.
//!
//! Time is tokio's, so that tests run on paused time.

mod breaker;
mod bucket;
mod line;
mod projects;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use breaker::{Breaker, Word};
use bucket::Bucket;
use line::Lines;
use projects::Projects;

pub use breaker::Circuit;
pub use projects::ProjectTurn;

/// The bounds of a [`Governor`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Requests a second in the long run. Not below 0.01.
    pub requests_per_second: f64,
    /// Requests at once after a rest. At least 1.
    pub burst: u32,
    /// Requests that are not answered yet. At least 1.
    pub max_in_flight: usize,
}

impl Default for Limits {
    /// Zadig itself limits nothing but its own calls to the cluster, to 5 a second (Z§8); its
    /// database bears more.
    fn default() -> Self {
        Self {
            requests_per_second: 20.0,
            burst: 40,
            max_in_flight: 8,
        }
    }
}

impl Limits {
    /// Bounds that let something through at all.
    fn sane(self) -> Self {
        let per_second = self.requests_per_second;
        Self {
            requests_per_second: if per_second.is_finite() {
                per_second.max(0.01)
            } else {
                0.01
            },
            burst: self.burst.max(1),
            max_in_flight: self.max_in_flight.max(1),
        }
    }
}

/// How a request went, as far as the breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody answered, whatever the answer.
    Reached,
    /// Nobody did.
    Unreachable,
}

/// The breaker is open: the request must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// When the next request will be let through, at the earliest.
    pub retry_in: Duration,
}

/// A look at a [`Governor`], for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// The bounds in force.
    pub limits: Limits,
    /// Requests that are not answered yet.
    pub in_flight: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Tenants that they belong to.
    pub waiting_tenants: usize,
    /// Requests admitted so far.
    pub admitted: u64,
    /// Requests refused so far, because the breaker was open.
    pub refused: u64,
    /// The state of the breaker.
    pub circuit: Circuit,
}

/// Where one who waits is told.
type Waiter = oneshot::Sender<Result<Permit, Open>>;

/// Admits requests to one Zadig.
#[derive(Debug)]
pub struct Governor {
    state: Mutex<State>,
    projects: Projects,
    this: Weak<Self>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    bucket: Bucket,
    breaker: Breaker,
    lines: Lines<Waiter>,
    in_flight: usize,
    admitted: u64,
    refused: u64,
    last_number: u64,
    /// When the next task wakes that sleeps until the bucket has something again.
    wakes_at: Option<Instant>,
}

/// The right to one request. Dropping it without [`finish`](Self::finish) says that nothing was
/// learnt, as when the caller gave up.
#[derive(Debug)]
#[must_use = "the request counts as in flight until the permit is finished or dropped"]
pub struct Permit {
    governor: Weak<Governor>,
    probe: bool,
    finished: bool,
}

impl Governor {
    /// A governor with nothing in flight and a full bucket.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        let limits = limits.sane();
        let bucket = Bucket::new(
            limits.requests_per_second,
            limits.burst.into(),
            Instant::now(),
        );
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            projects: Projects::default(),
            state: Mutex::new(State {
                limits,
                bucket,
                breaker: Breaker::new(),
                lines: Lines::new(),
                in_flight: 0,
                admitted: 0,
                refused: 0,
                last_number: 0,
                wakes_at: None,
            }),
        })
    }

    /// Changes the bounds, also for those that wait already.
    pub fn set_limits(&self, limits: Limits) {
        let limits = limits.sane();
        {
            let mut state = self.state();
            state.limits = limits;
            let burst = limits.burst.into();
            state
                .bucket
                .reshape(limits.requests_per_second, burst, Instant::now());
        }
        self.dispatch();
    }

    /// A look at the present state.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            limits: state.limits,
            in_flight: state.in_flight,
            waiting: state.lines.len(),
            waiting_tenants: state.lines.tenants(),
            admitted: state.admitted,
            refused: state.refused,
            circuit: state.breaker.circuit(),
        }
    }

    /// Waits for a turn. Waiting has no bound of its own.
    ///
    /// # Errors
    ///
    /// At once, and for all that wait, when the breaker is open.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the line.
    pub async fn admit(&self, tenant: &Arc<str>) -> Result<Permit, Open> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.state();
            if let Word::Wait(retry_in) = state.breaker.ask(Instant::now()) {
                state.refused += 1;
                return Err(Open { retry_in });
            }
            state.last_number += 1;
            let number = state.last_number;
            state.lines.push(tenant, number, sender);
            number
        };
        let _leaves = Leaves {
            governor: self,
            tenant,
            number,
        };
        self.dispatch();
        // The sender is dropped with the governor alone, which outlives this borrow.
        receiver.await.unwrap_or(Err(Open {
            retry_in: Duration::ZERO,
        }))
    }

    /// Waits until no other such call of the project is in flight.
    ///
    /// Adding, updating and scaling within a project take one lock in Zadig, which gives up after
    /// 15.5 s (Z§7.1): of many at once most would be refused.
    pub async fn turn_of(&self, project: &str) -> ProjectTurn {
        self.projects.turn(project).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go whoever may, and sees to it that somebody comes back for the others.
    fn dispatch(&self) {
        // Permits are handed over outside the lock: one that nobody takes is dropped, and that
        // takes the lock again.
        loop {
            let (sender, word) = {
                let mut state = self.state();
                match self.next(&mut state) {
                    Some(next) => next,
                    None => return,
                }
            };
            // If the receiver is gone, so is the permit, and its place is free again.
            drop(sender.send(word));
        }
    }

    fn next(&self, state: &mut State) -> Option<(Waiter, Result<Permit, Open>)> {
        let now = Instant::now();
        if state.lines.is_empty() {
            return None;
        }
        let probe = match state.breaker.ask(now) {
            Word::Pass => false,
            Word::Probe => true,
            Word::Wait(retry_in) => {
                let sender = state.lines.pop()?;
                state.refused += 1;
                return Some((sender, Err(Open { retry_in })));
            }
        };
        if state.in_flight >= state.limits.max_in_flight {
            return None;
        }
        if let Err(wait) = state.bucket.take(now) {
            self.wake_in(state, wait);
            return None;
        }
        let sender = state.lines.pop()?;
        if probe {
            state.breaker.probe();
        }
        state.in_flight += 1;
        state.admitted += 1;
        let permit = Permit {
            governor: Weak::clone(&self.this),
            probe,
            finished: false,
        };
        Some((sender, Ok(permit)))
    }

    /// One task sleeps for the bucket, however many wait; a second one only to wake earlier, after
    /// the bounds were widened.
    fn wake_in(&self, state: &mut State, wait: Duration) {
        let at = Instant::now() + wait;
        if state.wakes_at.is_some_and(|earlier| earlier <= at) {
            return;
        }
        // Whoever waits does so in a runtime, and comes here first; only bounds can be changed from
        // without.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        state.wakes_at = Some(at);
        let this = Weak::clone(&self.this);
        runtime.spawn(async move {
            tokio::time::sleep_until(at).await;
            if let Some(governor) = this.upgrade() {
                governor.state().wakes_at.take_if(|waking| *waking == at);
                governor.dispatch();
            }
        });
    }

    fn release(&self, probe: bool, verdict: Option<Verdict>) {
        {
            let mut state = self.state();
            let now = Instant::now();
            state.in_flight -= 1;
            match verdict {
                Some(Verdict::Reached) => state.breaker.reached(),
                Some(Verdict::Unreachable) => state.breaker.unreachable(probe, now),
                None if probe => state.breaker.abandoned(now),
                None => {}
            }
        }
        self.dispatch();
    }
}

impl Permit {
    /// Says how the request went and gives its place to the next.
    pub fn finish(mut self, verdict: Verdict) {
        self.finished = true;
        if let Some(governor) = self.governor.upgrade() {
            governor.release(self.probe, Some(verdict));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.finished
            && let Some(governor) = self.governor.upgrade()
        {
            governor.release(self.probe, None);
        }
    }
}

/// Takes one who gave up out of the line.
struct Leaves<'a> {
    governor: &'a Governor,
    tenant: &'a Arc<str>,
    number: u64,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.governor.state().lines.remove(self.tenant, self.number);
    }
}
