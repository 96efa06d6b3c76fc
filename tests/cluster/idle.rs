//! Idle is silent (design §4, §6): what is Ready and stays as it is costs list calls, thorough looks within their budget, and
//! no write anywhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{Call, Sim};

use crate::support::{EnvironmentFixture, Mark, Setup, World, is_ready, scenario_with};

/// The interval of lists in these scenarios, and of thorough looks before the budget stretches it.
const LIST: Duration = Duration::from_secs(1);
/// The lists after which idle is believed.
const LISTS: usize = 20;
/// What a call of a thorough look costs, at a tenth of the default of `requestsPerSecond`; so much may have been saved up.
const LOOK: Duration = Duration::from_millis(500);
const SAVED: Duration = Duration::from_secs(10);
/// Calls of the dearest look of the fleet: the detail, and both views of the one service.
const DEAREST: u32 = 3;
/// An operator that was given work does not stay quiet for longer than this.
const QUIET: Duration = Duration::from_secs(3);
const FLEET_PATIENCE: Duration = Duration::from_mins(5);

#[test]
fn fifty_idle_environments_cause_no_write_and_foreign_images_neither() {
    scenario_with(setup(), async |world| {
        let Some(sim) = world.needs_sim() else { return };
        fleet_is_ready(world, 50).await;
        let idle = Idle::begin(world).await;
        idle.last(sim, LISTS).await;
        idle.assert_silent().await;
        idle.assert_looks_in_budget();

        let idle = Idle::begin(world).await;
        let others: Vec<String> = (0..50).step_by(5).map(name).collect();
        for name in &others {
            let image = "registry.example.com/reg-main/sidecar:ci";
            let key = world.env_key(name);
            world.zadig.set_image(&key, "web", "sidecar", image).await;
        }
        world
            .eventually("the operator looked at each change", async || {
                let calls = world.calls_since(idle.mark);
                let looked = |name: &&String| {
                    let path = format!("/openapi/environments/{}", world.env_key(name));
                    calls.iter().any(|call| call.path == path)
                };
                others.iter().filter(looked).count() == others.len()
            })
            .await;
        idle.last(sim, idle.lists() + 3).await;
        idle.assert_no_kubernetes_write().await;
        assert_eq!(idle.writes().len(), others.len(), "the test's own calls");
    });
}

fn setup() -> Setup {
    Setup::default()
        .simulator(|_| {})
        .intervals("1s", "5s", "30s")
}

fn name(index: usize) -> String {
    format!("e{index:04}")
}

/// Environments that need every kind of look, in turn. The first of each five leaves its container `sidecar` to others.
fn environment(world: &World, index: usize) -> ZadigEnvironment {
    let environment = world.environment(&name(index));
    let image = "registry.example.com/reg-main/web:v7";
    match index % 5 {
        0 => environment
            .service("web")
            .image("web", "web", image)
            .variable("web", "logLevel", "debug"),
        1 => environment.service("web").replicas("web", 2),
        2 => environment.service("web").variable("web", "port", "9090"),
        _ => environment.service("plain"),
    }
}

/// Declares a fleet, and waits until it is Ready and the operator rests under its usual limits.
async fn fleet_is_ready(world: &World, count: usize) {
    limit(
        world,
        json!({"requestsPerSecond": 1000, "burst": 1000, "maxInFlight": 64}),
    )
    .await;
    stream::iter(0..count)
        .for_each_concurrent(16, async |index| {
            world.apply(&environment(world, index)).await;
        })
        .await;
    let waiting = async {
        loop {
            let asked = Instant::now();
            let list = world
                .api::<ZadigEnvironment>()
                .list(&ListParams::default())
                .await
                .expect("the API server answers");
            if list.iter().all(is_ready) {
                return;
            }
            // Reading a thousand objects takes time that the operator needs.
            tokio::time::sleep(asked.elapsed() * 9 + LIST / 2).await;
        }
    };
    let waited = tokio::time::timeout(FLEET_PATIENCE, waiting).await;
    assert!(
        waited.is_ok(),
        "the fleet is not Ready after {FLEET_PATIENCE:?}"
    );
    limit(world, json!(null)).await;
    let count = i64::try_from(count).expect("few");
    world
        .await_that::<ZadigConnection>("default", "up to date", |connection| {
            let status = connection.status.as_ref();
            is_ready(connection)
                && status.is_some_and(|status| {
                    status.environments == Some(count) && status.deep_interval.is_some()
                })
        })
        .await;
}

async fn limit(world: &World, limits: serde_json::Value) {
    let patch = json!({"spec": {"limits": limits}});
    world.patch::<ZadigConnection>("default", patch).await;
}

/// A time in which nothing happens.
struct Idle<'a> {
    world: &'a World,
    mark: Mark,
    versions: BTreeMap<String, Option<String>>,
}

impl<'a> Idle<'a> {
    /// Begins when the operator has done what it was asked for.
    async fn begin(world: &'a World) -> Self {
        let mut mark = world.mark();
        world
            .eventually("the operator rests", async || {
                if !world.all_operator_writes_since(mark).is_empty() {
                    mark = world.mark();
                }
                mark.age() >= QUIET
            })
            .await;
        Self {
            world,
            versions: versions(world).await,
            mark: world.mark(),
        }
    }

    /// Waits until so many lists were asked for.
    async fn last(&self, sim: &Sim, lists: usize) {
        let patience = Duration::from_secs(30) + LIST * u32::try_from(lists).expect("few") * 3;
        let waiting = async {
            while self.lists() < lists {
                tokio::time::sleep(LIST / 4).await;
            }
        };
        let waited = tokio::time::timeout(patience, waiting).await;
        assert!(
            waited.is_ok(),
            "{} lists of {lists}: {:?}",
            self.lists(),
            sim.calls().last()
        );
    }

    fn lists(&self) -> usize {
        let calls = self.world.calls_since(self.mark);
        calls.iter().filter(|call| is_list(call)).count()
    }

    fn writes(&self) -> Vec<Call> {
        let mut calls = self.world.calls_since(self.mark);
        calls.retain(|call| call.mutating);
        calls
    }

    async fn assert_no_kubernetes_write(&self) {
        let writes = self.world.all_operator_writes_since(self.mark);
        assert_eq!(writes, [], "writes to Kubernetes");
        assert_eq!(versions(self.world).await, self.versions);
    }

    async fn assert_silent(&self) {
        self.assert_no_kubernetes_write().await;
        assert_eq!(self.writes(), [], "writes to Zadig");
    }

    /// One list for each interval, and looks for a tenth of the allowed calls; that they happen at all shows that they are counted.
    fn assert_looks_in_budget(&self) {
        let calls = self.world.calls_since(self.mark);
        let time = self.mark.age();
        let count = |is_wanted: fn(&&Call) -> bool| {
            u32::try_from(calls.iter().filter(is_wanted).count()).expect("few")
        };
        let lists = count(|call| is_list(call));
        // Each interval is shortened by up to a twentieth, so that connections do not keep step.
        let least = LIST * 19 / 20 * (lists - 1);
        assert!(time >= least, "{lists} lists in {time:?}");
        let looks = count(|call| !is_list(call));
        let spent = LOOK * looks;
        assert!(
            time / 2 <= spent && spent <= time + SAVED + LOOK * DEAREST,
            "{looks} calls besides lists in {time:?}"
        );
    }
}

fn is_list(call: &Call) -> bool {
    call.operation == "environment.list"
}

/// Versions of all objects of ours, by kind and name.
async fn versions(world: &World) -> BTreeMap<String, Option<String>> {
    let params = ListParams::default();
    let environments = world.api::<ZadigEnvironment>().list_metadata(&params).await;
    let connections = world.api::<ZadigConnection>().list_metadata(&params).await;
    let environments = environments.expect("the API server answers");
    let connections = connections.expect("the API server answers");
    let of = |name: String, version: Option<String>| (name, version);
    let environments = environments.items.iter();
    let connections = connections.items.iter();
    environments
        .map(|object| {
            of(
                format!("zenv/{}", object.name_any()),
                object.resource_version(),
            )
        })
        .chain(connections.map(|object| {
            of(
                format!("zconn/{}", object.name_any()),
                object.resource_version(),
            )
        }))
        .collect()
}
