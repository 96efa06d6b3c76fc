//! What the three programs are started with: arguments, ports, tokens, kubeconfigs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::audit;
use super::binaries::Binaries;
use super::pki::{self, Pki};
use super::run::User;
use crate::supervise::write_private;

pub(super) fn etcd(binaries: &Binaries, dir: &Path, port: u16, peer_port: u16) -> Vec<String> {
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

pub(super) fn apiserver(
    binaries: &Binaries,
    dir: &Path,
    pki: &Pki,
    etcd: u16,
    port: u16,
) -> Vec<String> {
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
        // In megabytes; by default it is put away after a hundred, and what it told would be gone.
        "--audit-log-maxsize=10000".to_owned(),
    ]
}

pub(super) fn controller_manager(binaries: &Binaries, dir: &Path, pki: &Pki) -> Vec<String> {
    vec![
        binaries.controller_manager.display().to_string(),
        format!(
            "--kubeconfig={}",
            dir.join("kubeconfig-controller-manager").display()
        ),
        "--controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller,horizontal-pod-autoscaler-controller"
            .to_owned(),
        // Every 15 seconds by default.
        "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
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

pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
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

pub(super) fn write_config(dir: &Path, pki: &Pki, port: u16) -> Result<()> {
    const CONTROLLER_MANAGER: &str = "kube-controller-manager";
    let authority = fs::read_to_string(&pki.authority)?;
    let (admin, operator, own) = (pki::token()?, pki::token()?, pki::token()?);
    let people = [
        (User::Admin.name(), &admin),
        (User::Operator.name(), &operator),
    ];
    let tokens = format!(
        "{admin},{},1,system:masters\n{operator},{},2\n{own},{CONTROLLER_MANAGER},3,\"system:masters,{}\"\n",
        User::Admin.name(),
        User::Operator.name(),
        audit::CONTROL_PLANE,
    );
    write_private(&dir.join("tokens.csv"), tokens.as_bytes())?;
    fs::write(dir.join("audit-policy.yaml"), audit::policy())?;
    for (name, users) in [
        (
            "kubeconfig-controller-manager",
            vec![(CONTROLLER_MANAGER, &own)],
        ),
        ("kubeconfig-operator", vec![people[1]]),
        ("kubeconfig", people.to_vec()),
    ] {
        write_private(
            &dir.join(name),
            kubeconfig(port, &authority, &users).as_bytes(),
        )?;
    }
    Ok(())
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
