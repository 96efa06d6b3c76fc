//! A control plane with our CRDs, a Zadig and the operator, all as programs: what the demo and the benchmarks play on.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::time::{Instant, sleep};
use xtask::console::tail;
use xtask::controlplane::{self, Private, User, Write, demo_dir};
use xtask::paths;
use xtask::supervise::{self, Ending, Group, Lifetime};

use crate::cargo::Programs;
use crate::objects;
use crate::zadig::Zadig;

/// The simulator listens within milliseconds, the operator is ready when its caches are filled.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// Which control plane to play on.
#[derive(Debug)]
pub(crate) enum Cluster {
    /// One of our own, which ends with us.
    Own,
    /// The shared one, left running.
    Kept,
    /// The current context of this file.
    Given(PathBuf),
}

/// The running parts.
pub(crate) struct Stage {
    /// A client with all rights.
    pub(crate) client: Client,
    /// For kubectl.
    pub(crate) kubeconfig: PathBuf,
    operator_kubeconfig: PathBuf,
    programs: Group,
    binaries: Programs,
    dir: PathBuf,
    // After the programs, so that they end before their API server does.
    control_plane: Option<Private>,
}

impl Stage {
    /// Starts or finds the control plane and installs the CRDs.
    pub(crate) async fn open(cluster: Cluster, binaries: Programs) -> Result<Self> {
        let mut control_plane = None;
        let (client, kubeconfig, operator_kubeconfig) = match &cluster {
            Cluster::Own => {
                let own = controlplane::private().await?;
                let access = own.access.clone();
                control_plane = Some(own);
                (
                    access.client(User::Admin).await?,
                    access.kubeconfig,
                    access.operator_kubeconfig,
                )
            }
            Cluster::Kept => {
                // One demo at a time: a second operator would work on the same objects.
                supervise::end_detached(&demo_dir())?;
                let (access, _) = controlplane::up().await?;
                (
                    access.client(User::Admin).await?,
                    access.kubeconfig,
                    access.operator_kubeconfig,
                )
            }
            Cluster::Given(path) => {
                let path = fs::canonicalize(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let config = Kubeconfig::read_from(&path)?;
                let options = KubeConfigOptions::default();
                let config = kube::Config::from_custom_kubeconfig(config, &options).await?;
                (Client::try_from(config)?, path.clone(), path)
            }
        };
        let (dir, lifetime) = match cluster {
            Cluster::Kept => (demo_dir(), Lifetime::Detached),
            _ => (
                paths::cluster().join(format!("run-{}", std::process::id())),
                Lifetime::Tied,
            ),
        };
        let programs = Group::start(&dir, lifetime, Ending::Graceful, None)?;
        objects::install_crds(&client, &paths::workspace().join("crds")).await?;
        Ok(Self {
            client,
            kubeconfig,
            operator_kubeconfig,
            programs,
            binaries,
            dir,
            control_plane,
        })
    }

    /// Starts a simulator from a seed.
    pub(crate) async fn start_simulator(&mut self, seed: &Path, options: &[&str]) -> Result<Zadig> {
        let name = "zadig-sim";
        let mut argv: Vec<OsString> = vec![self.binaries.simulator.clone().into(), "--seed".into()];
        argv.push(seed.into());
        argv.extend(
            ["--listen", "127.0.0.1:0"]
                .iter()
                .chain(options)
                .map(Into::into),
        );
        self.programs.add(name, &argv)?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            self.programs.check()?;
            let said = fs::read_to_string(self.programs.log(name)).unwrap_or_default();
            let prefix = "listening on ";
            if let Some(url) = said.lines().find_map(|line| line.strip_prefix(prefix)) {
                return Zadig::simulated(url.trim()).await;
            }
            if Instant::now() > deadline {
                bail!(
                    "the simulator does not listen after {START_PATIENCE:?}:\n{}",
                    tail(&said, 15)
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the operator and waits until it is ready. Its own objects are in `namespace`.
    pub(crate) async fn start_operator(&mut self, namespace: &str) -> Result<()> {
        let name = "zadig-operator";
        if self.operator_kubeconfig != self.kubeconfig {
            controlplane::grant(&self.client, namespace).await?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut kubeconfig = OsString::from("KUBECONFIG=");
        kubeconfig.push(&self.operator_kubeconfig);
        // Colours are for a terminal, not for a log file.
        let mut argv = vec![OsString::from("env"), "NO_COLOR=1".into(), kubeconfig];
        argv.push(self.binaries.operator.clone().into());
        let health = format!("127.0.0.1:{port}");
        argv.extend(["run", "--namespace", namespace, "--health-addr", &health].map(Into::into));
        self.programs.add(name, &argv)?;
        let ready = format!("http://{health}/readyz");
        let deadline = Instant::now() + START_PATIENCE;
        while !answers(&ready).await {
            self.check()?;
            if Instant::now() > deadline {
                bail!(
                    "the operator is not ready after {START_PATIENCE:?}:\n{}",
                    self.operator_log(20)
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What the operator wrote to Kubernetes so far; known of a control plane of our own only.
    pub(crate) fn operator_writes(&self) -> Result<Vec<Write>> {
        let own = self.control_plane.as_ref();
        let own = own.context("somebody else's API server keeps its log to itself")?;
        let mut writes = own.access.writes()?;
        writes.retain(|write| write.user == User::Operator.name());
        Ok(writes)
    }

    /// Process id of the operator.
    pub(crate) fn operator_pid(&self) -> Option<i32> {
        self.programs.pid("zadig-operator")
    }

    /// Fails when a program died.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.programs.check()
    }

    /// The end of the operator's log.
    pub(crate) fn operator_log(&self, lines: usize) -> String {
        let log = fs::read(self.programs.log("zadig-operator")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log), lines)
    }

    /// Where the logs are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends the programs, unless they are to be kept. The logs stay after a failure.
    pub(crate) fn close_unless(mut self, keep: bool, succeeded: bool) {
        if keep {
            return;
        }
        self.programs.end();
        if succeeded {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

async fn answers(url: &str) -> bool {
    let answer = reqwest::get(url).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// The value of an environment variable; nothing if it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
