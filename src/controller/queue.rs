//! Which object is reconciled next, and when again.
//!
//! Namespaces take turns, and the objects of one namespace come in the order in which they were asked for: a thousand that are
//! applied together delay another namespace's single one by a turn. kube's own applier takes whichever waiting object its hash
//! table shows first, and polls every running reconcile at each wake of one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{Gauge, Histogram};
use futures::{FutureExt, Stream, StreamExt};
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::metrics;
use crate::telemetry::table;

/// When an object is reconciled again whose reconcile panicked.
const AFTER_PANIC: Duration = Duration::from_mins(5);

/// When an object is reconciled again without being asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Requeue(Option<Duration>);

impl Requeue {
    /// After this time, if nobody asks earlier.
    pub(super) fn after(after: Duration) -> Self {
        // The timer ends the process beyond two years.
        Self(Some(after.min(Duration::from_hours(24 * 30))))
    }

    /// The same, but not later than this.
    pub(super) fn at_most(self, latest: Duration) -> Self {
        Self::after(self.0.map_or(latest, |after| after.min(latest)))
    }

    /// Only when somebody asks.
    pub(super) fn when_asked() -> Self {
        Self(None)
    }
}

/// Reconciles the objects that `asked` names, `concurrency` at the same time and each one never twice at once, from `ready`
/// until `shutdown`; what runs then is finished.
pub(super) async fn run<K, F>(
    store: Store<K>,
    ready: impl Future<Output = ()>,
    asked: impl Stream<Item = ObjectRef<K>>,
    concurrency: usize,
    shutdown: &CancellationToken,
    reconcile: impl Fn(Arc<K>) -> F,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    F: Future<Output = Requeue> + Send + 'static,
{
    let mut asked = pin!(asked.fuse());
    let mut ready = pin!(ready);
    let mut is_ready = false;
    let mut line = Line::default();
    let meter = Meter::of::<K>();
    let mut running: JoinSet<(ObjectRef<K>, Requeue)> = JoinSet::new();
    loop {
        while is_ready && running.len() < concurrency && !shutdown.is_cancelled() {
            let Some((object, asked)) = line.next() else {
                break;
            };
            let Some(found) = store.get(&object) else {
                line.done(&object, Requeue::when_asked());
                continue;
            };
            meter.wait.record(asked.elapsed().as_secs_f64());
            let span = tracing::info_span!("reconcile", %object);
            span.set_attribute("kind", metrics::kind::<K>());
            span.set_attribute("namespace", object.namespace.clone().unwrap_or_default());
            span.set_attribute("name", object.name.clone());
            let attempt = AssertUnwindSafe(reconcile(found)).catch_unwind();
            let began = Instant::now();
            let settled = async move {
                // One object that cannot be dealt with must not take the others along, restart after restart.
                let again = attempt.await.unwrap_or_else(|_| {
                    tracing::error!(
                        retry_in_s = AFTER_PANIC.as_secs(),
                        "a reconcile panicked, which is a defect of the operator: please report it"
                    );
                    metrics::reconciled::<K>("panicked", began);
                    Requeue::after(AFTER_PANIC)
                });
                (object, again)
            };
            running.spawn(settled.instrument(span));
        }
        meter.depth.set(metrics::number(line.len));
        meter.running.set(metrics::number(running.len()));
        tokio::select! {
            () = shutdown.cancelled(), if running.is_empty() => return,
            Some(done) = running.join_next() => {
                if let Ok((object, again)) = done {
                    line.done(&object, again);
                }
            }
            () = &mut ready, if !is_ready => is_ready = true,
            Some(object) = asked.next(), if !shutdown.is_cancelled() => line.ask(object),
            Some(object) = line.due(), if !shutdown.is_cancelled() => line.ask(object),
        }
    }
}

/// What the queue of a kind tells of itself.
struct Meter {
    depth: Gauge,
    running: Gauge,
    wait: Histogram,
}

impl Meter {
    fn of<K: Resource<DynamicType = ()>>() -> Self {
        let kind = [metrics::kind::<K>()];
        Self {
            depth: table::QUEUE_DEPTH.gauge(&kind),
            running: table::RECONCILES_RUNNING.gauge(&kind),
            wait: table::QUEUE_WAIT.histogram(&kind),
        }
    }
}

/// The objects that wait, run, or come back later.
struct Line<K: Resource> {
    known: HashMap<ObjectRef<K>, Place>,
    /// How many wait.
    len: usize,
    /// Those that wait, by namespace.
    waiting: BTreeMap<String, VecDeque<ObjectRef<K>>>,
    /// The namespaces in which some wait, in the order of their turns.
    turns: VecDeque<String>,
    later: DelayQueue<ObjectRef<K>>,
}

/// Where an object is.
enum Place {
    Waiting { since: Instant },
    Running { again: bool },
    Later(delay_queue::Key),
}

impl<K: Resource<DynamicType = ()>> Default for Line<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            len: 0,
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
            later: DelayQueue::new(),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Line<K> {
    /// Puts an object at the end of its namespace's line; one that runs comes back when it is done.
    fn ask(&mut self, object: ObjectRef<K>) {
        match self.known.get_mut(&object) {
            Some(Place::Waiting { .. }) => return,
            Some(Place::Running { again }) => {
                *again = true;
                return;
            }
            Some(Place::Later(key)) => {
                let key = *key;
                self.later.try_remove(&key);
            }
            None => {}
        }
        let since = Instant::now();
        self.known.insert(object.clone(), Place::Waiting { since });
        self.len += 1;
        let namespace = object.namespace.clone().unwrap_or_default();
        let line = self.waiting.entry(namespace.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(namespace);
        }
        line.push_back(object);
    }

    /// The next one, which runs from now on, and since when it waited.
    fn next(&mut self) -> Option<(ObjectRef<K>, Instant)> {
        let namespace = self.turns.pop_front()?;
        let line = self.waiting.get_mut(&namespace)?;
        let object = line.pop_front()?;
        if line.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        self.len -= 1;
        let before = self
            .known
            .insert(object.clone(), Place::Running { again: false });
        let since = match before {
            Some(Place::Waiting { since }) => since,
            Some(Place::Running { .. } | Place::Later(_)) | None => Instant::now(),
        };
        Some((object, since))
    }

    /// An object does not run any more.
    fn done(&mut self, object: &ObjectRef<K>, again: Requeue) {
        let asked = matches!(
            self.known.remove(object),
            Some(Place::Running { again: true })
        );
        match again {
            _ if asked => self.ask(object.clone()),
            Requeue(None) => {}
            Requeue(Some(after)) => {
                let key = self.later.insert(object.clone(), after);
                self.known.insert(object.clone(), Place::Later(key));
            }
        }
    }

    /// The next one whose time has come; none while there is none that comes back.
    async fn due(&mut self) -> Option<ObjectRef<K>> {
        let expired = self.later.next().await?;
        let object = expired.into_inner();
        self.known.remove(&object);
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::{reflector, watcher};
    use tokio::time::sleep;

    use super::*;

    fn object(namespace: &str, name: &str) -> ObjectRef<ConfigMap> {
        ObjectRef::new(name).within(namespace)
    }

    fn store(objects: &[ObjectRef<ConfigMap>]) -> Store<ConfigMap> {
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::Init);
        for object in objects {
            let mut map = ConfigMap::default();
            map.metadata.name = Some(object.name.clone());
            map.metadata.namespace.clone_from(&object.namespace);
            writer.apply_watcher_event(&watcher::Event::InitApply(map));
        }
        writer.apply_watcher_event(&watcher::Event::InitDone);
        store
    }

    type Seen = Arc<Mutex<Vec<(u64, String)>>>;

    /// Each reconcile takes a second; the seconds and names of those that began.
    async fn watch(
        objects: &[ObjectRef<ConfigMap>],
        again: Requeue,
        seconds: u64,
    ) -> Vec<(u64, String)> {
        let start = Instant::now();
        let seen = Seen::default();
        let shutdown = CancellationToken::new();
        let asked = stream::iter(objects.to_vec()).chain(stream::pending());
        let reconcile = |object: Arc<ConfigMap>| {
            let seen = Arc::clone(&seen);
            async move {
                let name = object.metadata.name.clone().unwrap();
                seen.lock().unwrap().push((start.elapsed().as_secs(), name));
                sleep(Duration::from_secs(1)).await;
                again
            }
        };
        let (store, ready) = (store(objects), std::future::ready(()));
        tokio::join!(run(store, ready, asked, 1, &shutdown, reconcile), async {
            sleep(Duration::from_millis(seconds * 1000 - 500)).await;
            shutdown.cancel();
        });
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(seconds),
            "what runs is finished"
        );
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    fn names(seen: &[(u64, String)]) -> Vec<&str> {
        seen.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns_and_each_keeps_its_order() {
        let many = ["a1", "a2", "a3", "a4"].map(|name| object("a", name));
        let mut objects = many.to_vec();
        objects.extend([object("b", "b1"), object("c", "c1"), object("a", "a1")]);
        let seen = watch(&objects, Requeue::when_asked(), 6).await;
        let names = names(&seen);
        let place = |name| names.iter().position(|found| *found == name).unwrap();
        assert!(place("b1") <= 2 && place("c1") <= 3, "{names:?}");
        let of_a: Vec<&&str> = names.iter().filter(|name| name.starts_with('a')).collect();
        assert_eq!(of_a, [&"a1", &"a2", &"a3", &"a4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_reconciled_before_everything_is_listed() {
        let start = Instant::now();
        let seen = Mutex::new(Vec::new());
        let shutdown = CancellationToken::new();
        let objects = [object("a", "a1")];
        let asked = stream::iter(objects.to_vec()).chain(stream::pending());
        let listed = sleep(Duration::from_secs(3));
        let reconcile = |_| {
            seen.lock().unwrap().push(start.elapsed().as_secs());
            async { Requeue::when_asked() }
        };
        tokio::join!(
            run(store(&objects), listed, asked, 1, &shutdown, reconcile),
            async {
                sleep(Duration::from_secs(5)).await;
                shutdown.cancel();
            }
        );
        assert_eq!(*seen.lock().unwrap(), [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_holds_up_the_one_object_and_ends_nothing() {
        let start = Instant::now();
        let seen = Mutex::new(Vec::new());
        let shutdown = CancellationToken::new();
        let objects = [object("a", "bad"), object("a", "good")];
        let asked = stream::iter(objects.to_vec()).chain(stream::pending());
        let reconcile = |object: Arc<ConfigMap>| {
            let name = object.metadata.name.clone().unwrap();
            seen.lock()
                .unwrap()
                .push((start.elapsed().as_secs(), name.clone()));
            async move {
                assert_ne!(name, "bad");
                Requeue::after(Duration::from_secs(200))
            }
        };
        let ready = std::future::ready(());
        tokio::join!(
            run(store(&objects), ready, asked, 1, &shutdown, reconcile),
            async {
                sleep(Duration::from_secs(301)).await;
                shutdown.cancel();
            }
        );
        let seen = seen.lock().unwrap();
        let of = |wanted: &str| -> Vec<u64> {
            let of = seen.iter().filter(|(_, name)| name == wanted);
            of.map(|(time, _)| *time).collect()
        };
        assert_eq!((of("bad"), of("good")), (vec![0, 300], vec![0, 200]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_comes_back_after_its_time() {
        let objects = [object("a", "a1")];
        let seen = watch(&objects, Requeue::after(Duration::from_secs(4)), 11).await;
        let times: Vec<u64> = seen.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, [0, 5, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_asked_for_while_it_runs_runs_again_and_never_twice_at_once() {
        let mut line: Line<ConfigMap> = Line::default();
        line.ask(object("a", "a1"));
        assert_eq!(line.len, 1);
        let (first, _) = line.next().unwrap();
        assert_eq!(line.len, 0);
        line.ask(object("a", "a1"));
        line.ask(object("a", "a1"));
        assert_eq!(line.next(), None);
        line.done(&first, Requeue::after(Duration::from_secs(60)));
        let (second, _) = line.next().unwrap();
        assert_eq!(second, object("a", "a1"));
        line.done(&first, Requeue::when_asked());
        assert_eq!(line.next(), None);
        assert!(line.known.is_empty());
    }
}
