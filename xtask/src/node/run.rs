//! Starts a node, inside of an enclosure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};

use super::enclosure::{self, run};
use super::files::{
    self, BRIDGE, CONTAINERD, DATA, NODE, NODE_IP, NODE_PREFIX, SERVICE_IP, SERVICES,
};
use super::machine::Machine;
use super::pki;
use super::programs::Programs;
use crate::supervise::{Ending, Group, Lifetime};

/// Twenty seconds are normal; a machine that compiles at the same time needs many more.
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Settings of the kernel that kubelet would change for the whole machine. Inside it finds them as it wants them.
const TUNABLES: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// A running node. It ends with the enclosure.
pub struct Node {
    /// A client with all rights.
    pub client: Client,
    /// For Helm and kubectl.
    pub kubeconfig: PathBuf,
    programs: Group,
    ctr: PathBuf,
}

impl Node {
    /// Starts everything and waits until pods can run. Files and logs are in `dir`.
    ///
    /// # Errors
    /// When a program ends, or the node is not ready in time; the message holds the end of a log.
    pub async fn start(
        dir: &Path,
        machine: &Machine,
        programs: &Programs,
        group: &str,
    ) -> Result<Self> {
        enclosure::cover()?;
        fs::create_dir_all(DATA)?;
        keep_tunables()?;
        network()?;
        pki::make(&dir.join("pki"), NODE, NODE_IP, SERVICE_IP)?;
        files::write(dir, machine, group)?;

        let kubeconfig = dir.join("admin.kubeconfig");
        let mut node = Self {
            client: client(&kubeconfig).await?,
            kubeconfig,
            programs: Group::start(&dir.join("logs"), Lifetime::Tied, Ending::AtOnce, None)?,
            ctr: programs.node.join("ctr"),
        };
        let add = |node: &mut Self, name: &str, argv: Vec<String>| node.programs.add(name, &argv);
        add(&mut node, "etcd", etcd(programs))?;
        add(&mut node, "apiserver", api_server(programs, dir))?;
        let program = |name: &str| programs.node.join(name).display().to_string();
        let file = |name: &str| dir.join(name).display().to_string();
        let containerd = vec![
            program("containerd"),
            "-c".to_owned(),
            file("containerd.toml"),
        ];
        add(&mut node, "containerd", containerd)?;
        node.wait("the API server", async |client| {
            client.apiserver_version().await.is_ok() && is_ready(&client).await
        })
        .await?;
        add(
            &mut node,
            "controller-manager",
            controller_manager(programs, dir),
        )?;
        let scheduler = vec![
            program("kube-scheduler"),
            format!("--kubeconfig={}", file("scheduler.kubeconfig")),
            "--leader-elect=false".to_owned(),
        ];
        add(&mut node, "scheduler", scheduler)?;
        let coredns = vec![program("coredns"), "-conf".to_owned(), file("Corefile")];
        add(&mut node, "coredns", coredns)?;
        let kubelet = vec![
            program("kubelet"),
            format!("--config={}", file("kubelet.yaml")),
            format!("--kubeconfig={}", file("kubelet.kubeconfig")),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={NODE_IP}"),
        ];
        add(&mut node, "kubelet", kubelet)?;
        let nodes: Api<NodeObject> = Api::all(node.client.clone());
        node.wait("the Node object", async |_| nodes.get(NODE).await.is_ok())
            .await?;
        let proxy = vec![
            program("kube-proxy"),
            format!("--config={}", file("proxy.yaml")),
        ];
        add(&mut node, "proxy", proxy)?;
        node.wait("a node that is Ready", async |_| {
            nodes.get(NODE).await.is_ok_and(|node| node_is_ready(&node))
        })
        .await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(node.client.clone(), "default");
        node.wait("service accounts", async |_| {
            accounts.get("default").await.is_ok()
        })
        .await?;
        Ok(node)
    }

    /// Loads images from an archive, as no registry is there to pull from.
    ///
    /// # Errors
    /// When containerd refuses it.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let output = Command::new(&self.ctr)
            .args(["-a", CONTAINERD, "-n", "k8s.io", "images", "import"])
            .arg(archive)
            .output()
            .context("cannot run ctr")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("ctr images import {}: {said}", archive.display());
        }
        Ok(())
    }

    /// Name of the image that a node holds pods with.
    #[must_use]
    pub fn pause_image() -> &'static str {
        files::pause_image()
    }

    /// Fails when one of the programs has ended.
    ///
    /// # Errors
    /// When one has.
    pub fn check(&mut self) -> Result<()> {
        self.programs.check()
    }

    async fn wait(&mut self, what: &str, mut there: impl AsyncFnMut(Client) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !there(self.client.clone()).await {
            self.programs.check()?;
            if Instant::now() > deadline {
                bail!("{what} was not there after {PATIENCE:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    client.request_text(request).await.is_ok()
}

fn node_is_ready(node: &NodeObject) -> bool {
    let conditions = node
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref());
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A bridge for the pods, in a network that nothing else is in.
fn network() -> Result<()> {
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
    run("ip", &["address", "add", NODE_PREFIX, "dev", BRIDGE])?;
    run("ip", &["link", "set", BRIDGE, "up"])?;
    // Addresses that nobody has, such as that of a Service, must find a way before kube-proxy can change them.
    run("ip", &["route", "add", "default", "dev", BRIDGE])?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot forward between pods")?;
    Ok(())
}

fn keep_tunables() -> Result<()> {
    let dir = Path::new(DATA).join("tunables");
    fs::create_dir_all(&dir)?;
    for (name, value) in TUNABLES {
        let place = format!("/proc/sys/{name}");
        if !Path::new(&place).exists() {
            continue;
        }
        let file = dir.join(name.replace('/', "-"));
        fs::write(&file, value)?;
        run("mount", &["--bind", &file.display().to_string(), &place])?;
    }
    Ok(())
}

fn etcd(programs: &Programs) -> Vec<String> {
    vec![
        programs.etcd.display().to_string(),
        format!("--data-dir={DATA}/etcd"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(programs: &Programs, dir: &Path) -> Vec<String> {
    let pki = |name: &str| dir.join("pki").join(name).display().to_string();
    vec![
        programs.apiserver.display().to_string(),
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        // Becomes the endpoint of the Service `kubernetes`, so pods have to reach it.
        format!("--advertise-address={NODE_IP}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", pki("accounts.pub")),
        format!("--service-account-signing-key-file={}", pki("accounts.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!(
            "--kubelet-client-certificate={}",
            pki("apiserver-kubelet.crt")
        ),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
    ]
}

fn controller_manager(programs: &Programs, dir: &Path) -> Vec<String> {
    let pki = |name: &str| dir.join("pki").join(name).display().to_string();
    vec![
        programs.controller_manager.display().to_string(),
        format!(
            "--kubeconfig={}",
            dir.join("controller-manager.kubeconfig").display()
        ),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        // Without it no pod with a service account's token starts.
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--service-account-private-key-file={}", pki("accounts.key")),
    ]
}
