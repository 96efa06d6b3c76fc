//! The process around the controllers: health, waiting for the definitions, leader election, and the stop.
//!
//! It starts the controllers when this process may work and stops them when it may not; what they do is theirs.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use metrics::Gauge;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::RunConfig;
use crate::leader::{self, Elector, Lost, News, Tenure};
use crate::server::{self, Health, Phase};
use crate::{api, controller, telemetry};

/// Time between two looks whether the definitions are there. Short enough for somebody who has just applied them.
const DEFINITIONS_PAUSE: Duration = Duration::from_secs(2);
/// How long one such look may take.
const DEFINITIONS_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the process ended otherwise than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The metrics could not be set up.
    #[error("cannot set up telemetry")]
    Telemetry(#[from] telemetry::Error),
    /// The address of the health checks is not to be had.
    #[error("cannot listen on {address} for health checks")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The controllers could not start or had to stop.
    #[error("the controllers stopped")]
    Controllers(#[from] controller::Error),
    /// The controllers ended although nobody had asked.
    #[error("the controllers ended by themselves")]
    ControllersEnded,
    /// The controllers ended by a panic.
    #[error("the controllers broke down")]
    ControllersPanicked(#[source] JoinError),
    /// Another process may lead now.
    #[error("this process leads no more: {0}")]
    LeadershipLost(Lost),
    /// What was in flight did not end in time.
    #[error("requests were still in flight {} seconds after the stop", .0.as_secs())]
    GraceExceeded(Duration),
}

/// Runs the operator until `shutdown` is cancelled or it may not go on.
///
/// # Guarantees
///
/// The controllers run in at most one process per Lease at a time, as far as clocks can tell (see [`leader`]). After
/// `shutdown`, no new work is begun, what is in flight ends within the grace period, and the Lease is free.
///
/// # Errors
///
/// When the process cannot listen, loses the Lease, or its controllers fail; never while it waits for definitions or
/// the API server.
pub async fn run(
    config: RunConfig,
    client: kube::Client,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let metrics = telemetry::metrics()?;
    let leader = telemetry::identify(config.shard.as_deref());
    let address = config.health_addr;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "answering /healthz, /readyz and /metrics");
    }
    let health = Health::default();
    let closed = CancellationToken::new();
    let server = server::serve(listener, health.clone(), metrics.clone(), closed.clone());
    let server = AbortOnDropHandle::new(tokio::spawn(server));
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(telemetry::upkeep(metrics)));

    let result = work(&config, client, &health, leader, &shutdown).await;
    health.set(Phase::Stopping);
    closed.cancel();
    if let Err(error) = server.await {
        tracing::warn!(
            error = &error as &dyn StdError,
            "the health server broke down"
        );
    }
    result
}

async fn work(
    config: &RunConfig,
    client: kube::Client,
    health: &Health,
    leader: Gauge,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let waiting = shutdown.run_until_cancelled(wait_for_definitions(&client, health));
    if waiting.await.is_none() {
        return Ok(());
    }
    let namespace = config
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let settings = controller::Settings {
        namespace: namespace.clone(),
        watch_namespaces: config
            .watch_namespaces
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        shard: config.shard.clone(),
        watch_secrets: config.watch_secrets,
        concurrency: config.concurrency,
    };
    if !config.leader_election {
        tracing::info!("leading without an election");
        let controllers = Controllers {
            client,
            settings,
            tenure: Tenure::default(),
            config,
            leader,
        };
        return controllers
            .run(health, shutdown, std::future::pending())
            .await;
    }

    let election = leader::Settings {
        namespace,
        name: lease_name(config),
        me: identity(config.pod_name.as_deref()),
        duration: config.lease_duration,
    };
    tracing::info!(
        namespace = election.namespace,
        lease = election.name,
        me = election.me,
        "standing for election"
    );
    let mut elector = Elector::new(client.clone(), election);
    let leading = elector.lead(|news| tell(health, news));
    let result = if shutdown.run_until_cancelled(leading).await.is_some() {
        let controllers = Controllers {
            client,
            settings,
            tenure: elector.tenure(),
            config,
            leader,
        };
        let lost = elector.hold(|until| health.set_lease_until(Some(until)));
        let result = controllers.run(health, shutdown, lost).await;
        health.set_lease_until(None);
        result
    } else {
        Ok(())
    };
    elector.release().await;
    result
}

/// The Lease of the process' shard.
fn lease_name(config: &RunConfig) -> String {
    match &config.shard {
        Some(shard) => format!("{}-{shard}", config.lease_name),
        None => config.lease_name.clone(),
    }
}

struct Controllers<'a> {
    client: kube::Client,
    settings: controller::Settings,
    tenure: Tenure,
    config: &'a RunConfig,
    leader: Gauge,
}

impl Controllers<'_> {
    /// Runs the controllers until they have stopped, by `shutdown` or because the leadership is `lost`.
    ///
    /// `lost` is kept running while the controllers finish after `shutdown`: the Lease is still needed then.
    async fn run(
        self,
        health: &Health,
        shutdown: &CancellationToken,
        lost: impl Future<Output = Lost>,
    ) -> Result<(), Error> {
        let stop = shutdown.child_token();
        let listed = {
            let health = health.clone();
            move || health.replace(&Phase::Listing, Phase::Leading)
        };
        health.set(Phase::Listing);
        let controllers = controller::run(
            self.client,
            self.settings,
            self.tenure,
            stop.clone(),
            listed,
        );
        let mut controllers = AbortOnDropHandle::new(tokio::spawn(controllers));
        self.leader.set(1.0);
        tracing::info!("leading");
        let grace = self.config.shutdown_grace;
        let too_late = async {
            shutdown.cancelled().await;
            health.set(Phase::Stopping);
            tracing::info!("stopping: finishing what is in flight");
            tokio::time::sleep(grace).await;
        };
        let result = tokio::select! {
            ended = &mut controllers => match ended {
                Ok(Ok(())) if shutdown.is_cancelled() => Ok(()),
                Ok(Ok(())) => Err(Error::ControllersEnded),
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(Error::ControllersPanicked(error)),
            },
            lost = lost => {
                health.set(Phase::Stopping);
                stop.cancel();
                // Another process may begin after the last third of the duration.
                let rest = self.config.lease_duration / 3;
                if tokio::time::timeout(rest, &mut controllers).await.is_err() {
                    tracing::warn!("requests were cut off, as another process may lead now");
                }
                Err(Error::LeadershipLost(lost))
            }
            () = too_late => Err(Error::GraceExceeded(grace)),
        };
        self.leader.set(0.0);
        result
    }
}

/// Waits until the API server serves every kind, and says what is missing.
async fn wait_for_definitions(client: &kube::Client, health: &Health) {
    loop {
        let look = missing_definitions(client);
        let phase = match tokio::time::timeout(DEFINITIONS_TIMEOUT, look).await {
            Ok(Ok(missing)) if missing.is_empty() => return,
            Ok(Ok(missing)) => {
                let phase = Phase::WaitingForDefinitions { missing };
                if health.phase() != phase {
                    tracing::warn!("{phase}");
                }
                phase
            }
            Ok(Err(error)) => {
                if health.phase() != Phase::WaitingForApiServer {
                    tracing::warn!(
                        error = &error as &dyn StdError,
                        "waiting for the API server"
                    );
                }
                Phase::WaitingForApiServer
            }
            Err(_) => Phase::WaitingForApiServer,
        };
        health.set(phase);
        tokio::time::sleep(DEFINITIONS_PAUSE).await;
    }
}

/// Names of the definitions that the API server does not serve.
///
/// Asked of discovery, which everybody may read; reading the definitions themselves would need a right of its own.
async fn missing_definitions(client: &kube::Client) -> Result<Vec<String>, kube::Error> {
    let group_version = format!("{}/{}", api::GROUP, api::VERSION);
    let served: BTreeSet<String> = match client.list_api_group_resources(&group_version).await {
        Ok(list) => list.resources.into_iter().map(|kind| kind.name).collect(),
        Err(kube::Error::Api(status)) if status.code == 404 => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    Ok(api::custom_resource_definitions()
        .into_iter()
        .filter(|crd| !served.contains(&crd.spec.names.plural))
        .filter_map(|crd| crd.metadata.name)
        .collect())
}

fn tell(health: &Health, news: News) {
    let phase = match news {
        News::Electing => Phase::Electing,
        News::StandingBy { leader } => Phase::StandingBy { leader },
    };
    if health.phase() != phase {
        tracing::info!("{phase}");
        health.set(phase);
    }
}

/// A name that no other process has, nor had: a Pod that restarts keeps its name but not what it believed.
fn identity(pod_name: Option<&str>) -> String {
    let host = std::env::var("HOSTNAME").ok();
    let name = pod_name.or(host.as_deref()).unwrap_or("zadig-operator");
    format!("{name}_{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};

    /// The arguments that a rendering of the chart starts the program with, and the Leases that its Roles are about.
    fn rendered(file: &std::path::Path) -> (Vec<String>, Vec<String>) {
        let text = std::fs::read_to_string(file).unwrap();
        let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let words = |value: &serde_json::Value| -> Vec<String> {
            let words = value.as_array().into_iter().flatten();
            words
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        let deployment = objects
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let rules = objects
            .iter()
            .filter_map(|object| object["rules"].as_array());
        let named = rules
            .flatten()
            .filter(|rule| words(&rule["resources"]) == ["leases"]);
        let named = named.flat_map(|rule| words(&rule["resourceNames"]));
        (words(&container["args"]), named.collect())
    }

    #[test]
    fn the_chart_grants_the_lease_that_its_arguments_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart");
        let mut shards = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let (arguments, granted) = rendered(&file);
            let command = std::iter::once("zadig-operator".to_owned()).chain(arguments);
            let Command::Run(config) = Cli::try_parse_from(command).unwrap().command else {
                panic!("{}: it does not run", file.display());
            };
            shards += usize::from(config.shard.is_some());
            assert_eq!(granted, [lease_name(&config)], "{}", file.display());
        }
        assert!(shards > 1, "no shard was rendered");
    }

    #[test]
    fn a_restarted_pod_has_another_identity() {
        let first = identity(Some("pod-0"));
        assert!(first.starts_with("pod-0_"), "{first}");
        assert_ne!(first, identity(Some("pod-0")));
    }
}
