//! The handle on a simulator, and a server around it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::action::{KubeAction, KubeActionError};
use crate::ailment::Ailment;
use crate::fault::FaultRule;
use crate::journal::Call;
use crate::options::{Level, Licence, Options};
use crate::seed::Seed;
use crate::server;
use crate::world::World;

/// How often the background work of a real clock is looked at when nobody asks for anything.
const TICK: Duration = Duration::from_millis(20);

/// A Zadig with its clusters; clones share it.
#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
}

impl Sim {
    /// A simulator in the state of the seed; the seed's environments are there and settled.
    #[must_use]
    pub fn new(seed: &Seed, options: Options) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new(seed, options))),
        }
    }

    /// The OpenAPI, the web page's sleep route, and the admin routes beneath `/sim/`.
    pub fn router(&self) -> axum::Router {
        server::router(self.clone())
    }

    /// A valid token of a user of the seed.
    #[must_use]
    pub fn token(&self, user: &str) -> Option<String> {
        self.lock().token(user)
    }

    /// The simulator's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().now()
    }

    /// Moves a virtual clock on to `t`, letting everything due by then happen in order; an earlier `t` changes nothing.
    ///
    /// With a real clock only what is due by now happens.
    pub fn advance_to(&self, t: Timestamp) {
        self.lock().advance_to(t);
    }

    /// When background work is due next; `None` when nothing is under way.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lock().next_due()
    }

    /// Moves a virtual clock on by `d`.
    pub fn advance(&self, d: Duration) {
        let mut world = self.lock();
        let t = crate::clock::later(world.now(), d);
        world.advance_to(t);
    }

    /// Does something to a cluster with kubectl's hand.
    ///
    /// # Errors
    ///
    /// What the API server would refuse, with its reason.
    pub fn kube(&self, action: KubeAction) -> Result<(), KubeActionError> {
        self.lock().kube_action(action)
    }

    /// Changes what is wrong with an image: every container of it fails in this way from now on; `None` mends it.
    pub fn ail(&self, image: &str, ailment: Option<&Ailment>) {
        self.lock().ail(image, ailment);
    }

    /// Upgrades Zadig, or takes it back; data and clusters stay.
    pub fn set_level(&self, level: Level) {
        self.lock().level = level;
    }

    /// Changes what the licence service says.
    pub fn set_licence(&self, licence: Licence) {
        self.lock().licence = licence;
    }

    /// Kills Zadig's process and starts it again: its background work is lost, its data and the clusters are not.
    pub fn restart(&self) {
        self.lock().restart();
    }

    /// Puts an environment to sleep, as the web page does; `false` if there is no such environment awake.
    #[must_use]
    pub fn sleep_environment(&self, project: &str, env: &str) -> bool {
        self.lock().sleep(project, env)
    }

    /// Wakes an environment; `false` if there is no such environment asleep.
    #[must_use]
    pub fn wake_environment(&self, project: &str, env: &str) -> bool {
        self.lock().wake(project, env)
    }

    /// Adds a fault rule behind those in force.
    pub fn fault(&self, rule: FaultRule) {
        self.lock().faults.add(rule);
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Every request to the OpenAPI since the start or the last [`Sim::clear_calls`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().journal.calls()
    }

    /// Empties the journal; numbers go on.
    pub fn clear_calls(&self) {
        self.lock().journal.clear();
    }

    /// The whole state as JSON, for assertions and debugging; it holds no Secret's content.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        self.lock().snapshot()
    }

    /// The state, with everything due by now done.
    ///
    /// A poisoned lock is used as it is: no request can leave half a change that a later one could not live with.
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.catch_up();
        world
    }
}

/// A served simulator; it stops when this is dropped.
pub struct Running {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The simulator behind it.
    pub sim: Sim,
    server: JoinHandle<()>,
    ticker: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
        self.ticker.abort();
    }
}

impl Running {
    /// Waits until the server ends, which it does not do by itself.
    pub async fn ended(&mut self) {
        // An aborted server has ended as well.
        (&mut self.server).await.ok();
    }
}

/// Serves a new simulator on a free port of the loopback interface.
///
/// # Errors
///
/// The listener's.
pub async fn start(seed: &Seed, options: Options) -> io::Result<Running> {
    serve(
        TcpListener::bind("127.0.0.1:0").await?,
        Sim::new(seed, options),
    )
}

/// Serves a simulator on a listener.
///
/// # Errors
///
/// If the listener's address cannot be read.
pub fn serve(listener: TcpListener, sim: Sim) -> io::Result<Running> {
    let url = format!("http://{}", listener.local_addr()?);
    let router = sim.router();
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the server ended");
        }
    });
    let ticking = sim.clone();
    let ticker = tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            drop(ticking.lock());
        }
    });
    Ok(Running {
        url,
        sim,
        server,
        ticker,
    })
}
