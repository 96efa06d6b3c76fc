//! What each program of the node is configured with. JSON is YAML.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::machine::Machine;

pub(super) const NODE: &str = "node1";
pub(super) const BRIDGE: &str = "zadig0";
/// Address of the bridge: that of the node, of the API server and of DNS, the same on every machine and reachable from pods.
pub(super) const NODE_IP: &str = "10.199.0.1";
pub(super) const NODE_PREFIX: &str = "10.199.0.1/24";
const PODS: &str = "10.199.0.0/24";
pub(super) const SERVICES: &str = "10.198.0.0/24";
/// Of the Service `kubernetes`.
pub(super) const SERVICE_IP: &str = "10.198.0.1";
const PAUSE: &str = "localhost/pause:1";
/// A file system of the enclosure alone, gone with it.
pub(super) const DATA: &str = "/run/node";
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Writes all files into `dir`.
pub(super) fn write(dir: &Path, machine: &Machine, group: &str) -> Result<()> {
    let pki = dir.join("pki");
    for user in [
        "admin",
        "kubelet",
        "controller-manager",
        "scheduler",
        "proxy",
    ] {
        write_json(
            &dir.join(format!("{user}.kubeconfig")),
            &kubeconfig(&pki, user),
        )?;
    }
    write_json(&dir.join("kubelet.yaml"), &kubelet(dir, group))?;
    write_json(&dir.join("proxy.yaml"), &proxy(dir))?;
    let network = dir.join("cni");
    fs::create_dir_all(&network)?;
    write_json(&network.join("10-pods.conflist"), &pod_network())?;
    fs::write(dir.join("containerd.toml"), containerd(machine, &network))?;
    fs::write(dir.join("Corefile"), corefile(dir))?;
    // Nothing outside has a name in here.
    fs::write(dir.join("resolv.conf"), "")?;
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    Ok(fs::write(path, format!("{value:#}\n"))?)
}

fn kubeconfig(pki: &Path, user: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "node", "cluster": {
            "server": "https://127.0.0.1:6443",
            "certificate-authority": pki.join("ca.crt"),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": pki.join(format!("{user}.crt")),
            "client-key": pki.join(format!("{user}.key")),
        }}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": user}}],
        "current-context": "node",
    })
}

fn kubelet(dir: &Path, group: &str) -> Value {
    let pki = dir.join("pki");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "address": NODE_IP,
        "tlsCertFile": pki.join("kubelet-server.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet-server.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [NODE_IP],
        "resolvConf": dir.join("resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        // Lower ones need a capability that containers lack.
        "oomScoreAdj": 0,
        "podLogsDir": dir.join("pods"),
        // The images cannot be pulled again: a full disk must not cost them.
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    })
}

fn proxy(dir: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": dir.join("proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "clusterCIDR": PODS,
        "oomScoreAdj": 0,
        // The machine's own settings stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        // Without bridge-nf-call-iptables an answer from pod to pod would go past the translation of addresses.
        "iptables": {"localhostNodePorts": false, "masqueradeAll": true},
    })
}

fn pod_network() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": PODS, "gateway": NODE_IP}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// Its data lie in memory, where nothing is under them: an overlay on an overlay, as in a CI container, is refused.
fn containerd(machine: &Machine, network: &Path) -> String {
    let (runc, plugins) = (machine.runc.display(), machine.plugins.display());
    let network = network.display();
    format!(
        r#"version = 3
root = "{DATA}/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[plugins.'io.containerd.internal.v1.opt']
  path = "{DATA}/opt"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  # A container may not have a lower score than we, where we lack the capability for it.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{network}"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
"#
    )
}

fn corefile(dir: &Path) -> String {
    let kubeconfig = dir.join("admin.kubeconfig");
    format!(
        ".:53 {{\n  bind {NODE_IP}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n  }}\n  cache 5\n}}\n",
        kubeconfig.display()
    )
}

/// Name of the image that holds a pod's namespaces.
pub(super) fn pause_image() -> &'static str {
    PAUSE
}
