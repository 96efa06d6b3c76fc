//! Starts a control plane and hands out access to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::audit::{self, Refusals, Request, Write};
use super::binaries::{Binaries, find};
use super::pki::{self, Pki};
use super::programs::{apiserver, controller_manager, etcd, free_ports, write_config};
use crate::console::{Task, tail};
use crate::paths;
use crate::supervise::{self, Ending, Group, Lifetime};

/// Three seconds are normal; a machine that compiles at the same time needs many more.
const READY_PATIENCE: Duration = Duration::from_mins(2);
/// Another process may take a port between the look and the start; thrice in a row it does not.
const ATTEMPTS: u32 = 3;
/// A server that does not answer this simple question in time is not one to work with.
const PROBE: Duration = Duration::from_secs(5);

/// Whose credentials a client uses; the audit log tells them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum User {
    /// The person at the keyboard: may do everything.
    Admin,
    /// The operator: may do nothing until it is granted the rights of the chart ([`super::grant`]).
    Operator,
}

impl User {
    /// Name of the user and of the kubeconfig's context.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "zadig-operator",
        }
    }
}

/// How to reach a running control plane.
#[derive(Clone, Debug)]
pub struct Access {
    /// A kubeconfig with one context for each [`User`]; the current one is the administrator's.
    pub kubeconfig: PathBuf,
    /// The same with the operator's as current context.
    pub operator_kubeconfig: PathBuf,
    audit_log: PathBuf,
}

impl Access {
    fn of(dir: &Path) -> Self {
        Self {
            kubeconfig: dir.join("kubeconfig"),
            operator_kubeconfig: dir.join("kubeconfig-operator"),
            audit_log: dir.join("audit.log"),
        }
    }

    /// A client with the credentials of `user`.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self, user: User) -> Result<kube::Client> {
        // Fails when the process has chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        let context = Some(user.name().to_owned());
        let options = KubeConfigOptions {
            context,
            ..KubeConfigOptions::default()
        };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Every write so far, but those of Kubernetes' own components.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn writes(&self) -> Result<Vec<Write>> {
        audit::read(&self.audit_log)
    }

    /// Every request of the operator so far, reads included.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn operator_requests(&self) -> Result<Vec<Request>> {
        audit::requests(&self.audit_log, User::Operator.name())
    }

    /// What the operator is refused from now on, for want of a right.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn refusals(&self) -> Result<Refusals> {
        Refusals::since_now(&self.audit_log)
    }

    /// Whether the API server is there and ready.
    pub async fn answers(&self) -> bool {
        let Ok(client) = self.client(User::Admin).await else {
            return false;
        };
        let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
            return false;
        };
        let answer = tokio::time::timeout(PROBE, client.request_text(request)).await;
        matches!(answer, Ok(Ok(text)) if text == "ok")
    }
}

/// A control plane that ends with its owner: when the value is dropped, and when the process dies in whatever way.
#[derive(Debug)]
pub struct Private {
    /// How to reach it.
    pub access: Access,
    group: Group,
}

impl Private {
    /// Says which of its programs died, if one did.
    ///
    /// # Errors
    /// When one died; with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        self.group.check()
    }
}

/// The control plane of `cargo xtask cluster up`, if it runs.
pub async fn shared() -> Option<Access> {
    let access = Access::of(&paths::cluster());
    (access.kubeconfig.exists() && access.answers().await).then_some(access)
}

/// Starts a control plane of our own, beside any other.
///
/// # Errors
/// When the programs cannot be found or built, or do not become ready.
pub async fn private() -> Result<Private> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let home = paths::cluster().join("private");
    remove_orphans(&home);
    let binaries = find()?;
    let name = format!(
        "{}-{}",
        process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let dir = home.join(name);
    let group = start(&binaries, &dir, Lifetime::Tied).await?;
    Ok(Private {
        access: Access::of(&dir),
        group,
    })
}

/// A control plane for one run of tests, which nobody else uses meanwhile.
///
/// Two operators on one API server would both act on each other's objects.
#[derive(Debug)]
pub struct Exclusive {
    /// How to reach it.
    pub access: Access,
    private: Option<Private>,
    _lock: Option<fs::File>,
}

impl Exclusive {
    /// Whether objects of earlier runs may be there.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.private.is_some()
    }
}

/// The shared control plane if it runs and is not in use, else a private one.
///
/// # Errors
/// When none runs and none can be started.
pub async fn exclusive() -> Result<Exclusive> {
    if let Some(access) = shared().await
        && supervise::running(&demo_dir()).is_empty()
    {
        let lock = fs::File::create(paths::cluster().join("in-use.lock"))?;
        if lock.try_lock().is_ok() {
            return Ok(Exclusive {
                access,
                private: None,
                _lock: Some(lock),
            });
        }
    }
    let private = private().await?;
    Ok(Exclusive {
        access: private.access.clone(),
        private: Some(private),
        _lock: None,
    })
}

/// Where the programs of a demo that was kept are recorded.
#[must_use]
pub fn demo_dir() -> PathBuf {
    paths::cluster().join("demo")
}

/// Makes sure that the shared control plane runs; it stays until [`down`].
///
/// # Errors
/// When the programs cannot be found or built, or do not become ready.
pub async fn up() -> Result<(Access, Started)> {
    let dir = paths::cluster();
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let lock = fs::File::create(dir.join("up.lock"))?;
    lock.lock()?;
    if let Some(access) = shared().await {
        return Ok((access, Started::Before));
    }
    let binaries = find()?;
    // What is left of one that was killed, or whose machine was restarted.
    supervise::end_detached(&dir)?;
    start(&binaries, &dir, Lifetime::Detached).await?;
    Ok((Access::of(&dir), Started::Now))
}

/// Whether [`up`] had something to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Started {
    /// It was running.
    Before,
    /// It was started.
    Now,
}

/// Ends the shared control plane and removes its data; the logs stay.
///
/// # Errors
/// When a program survives or the data cannot be removed.
pub fn down() -> Result<bool> {
    let dir = paths::cluster();
    let was_running = !supervise::running(&dir).is_empty();
    // First those who would only complain that their API server is gone.
    supervise::end_detached(&demo_dir())?;
    supervise::end_detached(&dir)?;
    for path in [
        "kubeconfig",
        "kubeconfig-operator",
        "kubeconfig-controller-manager",
        "tokens.csv",
    ]
    .map(|name| dir.join(name))
    {
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    for path in [dir.join("etcd"), dir.join("pki")] {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(was_running)
}

/// The running programs of the shared control plane with their process ids.
#[must_use]
pub fn status() -> Vec<(String, i32)> {
    supervise::running(&paths::cluster())
}

/// Directories of private control planes whose owner and supervisor were both killed.
fn remove_orphans(home: &Path) {
    let Ok(entries) = fs::read_dir(home) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > READY_PATIENCE));
        if old && !supervise::is_held(&entry.path()) {
            // Another process may be doing the same.
            let _ = supervise::end_detached(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

async fn start(binaries: &Binaries, dir: &Path, lifetime: Lifetime) -> Result<Group> {
    let task = Task::start("Starting the control plane");
    let mut attempt = 1;
    loop {
        match try_start(binaries, dir, lifetime).await {
            Ok(group) => {
                task.done();
                return Ok(group);
            }
            Err(error)
                if attempt < ATTEMPTS && format!("{error}").contains("address already in use") =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_start(binaries: &Binaries, dir: &Path, lifetime: Lifetime) -> Result<Group> {
    for part in ["etcd", "pki"] {
        let path = dir.join(part);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let _ = fs::remove_file(dir.join("audit.log"));
    let pki = pki::make(&dir.join("pki"))?;
    let ports = free_ports::<3>()?;
    write_config(dir, &pki, ports[2])?;
    let remove = match lifetime {
        Lifetime::Tied => Some(dir),
        Lifetime::Detached => None,
    };
    let mut group = Group::start(dir, lifetime, Ending::AtOnce, remove)?;
    let outcome = bring_up(&mut group, binaries, dir, &pki, ports).await;
    if outcome.is_err() {
        group.end();
    }
    outcome.map(|()| group)
}

async fn bring_up(
    group: &mut Group,
    binaries: &Binaries,
    dir: &Path,
    pki: &Pki,
    [etcd_port, peer_port, port]: [u16; 3],
) -> Result<()> {
    group.add("etcd", &etcd(binaries, dir, etcd_port, peer_port))?;
    group.add(
        "kube-apiserver",
        &apiserver(binaries, dir, pki, etcd_port, port),
    )?;
    let access = Access::of(dir);
    let deadline = Instant::now() + READY_PATIENCE;
    while !access.answers().await {
        group.check()?;
        if Instant::now() > deadline {
            let log = fs::read(group.log("kube-apiserver")).unwrap_or_default();
            let log = tail(&String::from_utf8_lossy(&log), 15);
            bail!(
                "kube-apiserver was not ready within {READY_PATIENCE:?}; the end of its log:\n{log}"
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It gives up when the API server is not ready ten seconds after its own start, so it comes last.
    group.add(
        "kube-controller-manager",
        &controller_manager(binaries, dir, pki),
    )
}
