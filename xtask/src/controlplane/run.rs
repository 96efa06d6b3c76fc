//! Starts a control plane and hands out access to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use super::audit::{self, Write};
use super::binaries::{Binaries, find};
use super::pki::{self, Pki};
use crate::console::{Task, tail};
use crate::paths;
use crate::supervise::{self, Ending, Group, Lifetime, write_private};

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
    /// The operator: may do everything, under a name of its own.
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
    audit_log: PathBuf,
}

impl Access {
    fn of(dir: &Path) -> Self {
        Self {
            kubeconfig: dir.join("kubeconfig"),
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
    supervise::end_detached(&dir)?;
    for path in [dir.join("kubeconfig"), dir.join("tokens.csv")] {
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

fn etcd(binaries: &Binaries, dir: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (url(port), url(peer_port));
    vec![
        binaries.etcd.display().to_string(),
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // The data does not outlive the process.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn apiserver(binaries: &Binaries, dir: &Path, pki: &Pki, etcd: u16, port: u16) -> Vec<String> {
    vec![
        binaries.apiserver.display().to_string(),
        format!("--etcd-servers={}", url(etcd)),
        "--bind-address=127.0.0.1".to_owned(),
        // Needed where the machine has no default route.
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", pki.serving_certificate.display()),
        format!("--tls-private-key-file={}", pki.serving_key.display()),
        format!(
            "--service-account-key-file={}",
            pki.service_account_public_key.display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            pki.service_account_key.display()
        ),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", dir.join("tokens.csv").display()),
        // No pods run here, so nobody makes the service accounts that this plug-in waits for.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        // A loopback address in the kubernetes Endpoints object is refused, and nobody needs the object.
        "--endpoint-reconciler-type=none".to_owned(),
        format!(
            "--audit-policy-file={}",
            dir.join("audit-policy.yaml").display()
        ),
        format!("--audit-log-path={}", dir.join("audit.log").display()),
    ]
}

fn controller_manager(binaries: &Binaries, dir: &Path, pki: &Pki) -> Vec<String> {
    vec![
        binaries.controller_manager.display().to_string(),
        format!(
            "--kubeconfig={}",
            dir.join("kubeconfig-controller-manager").display()
        ),
        "--controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller"
            .to_owned(),
        format!(
            "--service-account-private-key-file={}",
            pki.service_account_key.display()
        ),
        format!("--root-ca-file={}", pki.authority.display()),
        "--leader-elect=false".to_owned(),
        // Nobody looks at it, and a port less cannot collide.
        "--secure-port=0".to_owned(),
        // Many tests delete their namespaces at the same time.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        "--concurrent-namespace-syncs=20".to_owned(),
    ]
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is known, so that no two are the same.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn write_config(dir: &Path, pki: &Pki, port: u16) -> Result<()> {
    const CONTROLLER_MANAGER: &str = "kube-controller-manager";
    let authority = fs::read_to_string(&pki.authority)?;
    let (admin, operator, own) = (pki::token()?, pki::token()?, pki::token()?);
    let people = [
        (User::Admin.name(), &admin),
        (User::Operator.name(), &operator),
    ];
    let tokens = format!(
        "{admin},{},1,system:masters\n{operator},{},2,system:masters\n{own},{CONTROLLER_MANAGER},3,\"system:masters,{}\"\n",
        User::Admin.name(),
        User::Operator.name(),
        audit::CONTROL_PLANE,
    );
    write_private(&dir.join("tokens.csv"), tokens.as_bytes())?;
    fs::write(dir.join("audit-policy.yaml"), audit::policy())?;
    let own = kubeconfig(port, &authority, &[(CONTROLLER_MANAGER, &own)]);
    write_private(&dir.join("kubeconfig-controller-manager"), own.as_bytes())?;
    write_private(
        &dir.join("kubeconfig"),
        kubeconfig(port, &authority, &people).as_bytes(),
    )
}

/// A kubeconfig with a context for each user; the first is the current one. JSON is YAML.
fn kubeconfig(port: u16, authority: &str, users: &[(&str, &String)]) -> String {
    let cluster = "zadig-operator";
    let authority = k8s_openapi::ByteString(authority.as_bytes().to_vec());
    let contexts = users.iter().map(|(name, _)| {
        json!({"name": name, "context": {"cluster": cluster, "user": name, "namespace": "default"}})
    });
    let credentials = users
        .iter()
        .map(|(name, token)| json!({"name": name, "user": {"token": token}}));
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority-data": authority,
            },
        }],
        "users": credentials.collect::<Vec<_>>(),
        "contexts": contexts.collect::<Vec<_>>(),
        "current-context": users.first().map(|(name, _)| name),
    });
    format!("{value:#}\n")
}
