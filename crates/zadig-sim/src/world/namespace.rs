//! What an environment stands on: its namespace and the pull secret in it (Z§4.6, Z§4.8, Z§4.11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::World;
use crate::options::Level;
use crate::reply::Fail;
use crate::seed::RegistrySeed;

/// The name of the pull secret in every namespace of Zadig.
const PULL_SECRET: &str = "default-registry-secret";

/// Why an environment has nothing to stand on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoGround {
    /// Code 6400: the namespace can not be made or is going.
    Namespace(String),
    /// Code 6401: the registry is unknown; the namespace is there.
    Registry,
}

impl NoGround {
    /// As a coded error of its own.
    pub(crate) fn coded(self) -> Fail {
        match self {
            Self::Namespace(description) => Fail::code(6400, description),
            Self::Registry => Fail::code(6401, NO_REGISTRY),
        }
    }

    /// As text inside a multi-error that begins with `message`.
    pub(crate) fn within(self, message: &str) -> Fail {
        Fail::multi(match self {
            Self::Namespace(description) => {
                format!("{message}: 创建用户namespace失败: {description}")
            }
            Self::Registry => format!("{message}: 创建secret失败: {NO_REGISTRY}"),
        })
    }
}

const NO_REGISTRY: &str = "无法创建默认的镜像仓库";

impl World {
    /// Makes the namespace with Zadig's labels unless it is there, and writes the pull secret.
    pub(crate) fn ensure_ground(
        &mut self,
        cluster: &str,
        namespace: &str,
        project: &str,
        registry_id: &str,
    ) -> Result<(), NoGround> {
        let labels = [("createdBy", "koderover"), ("s-product", project)];
        self.in_cluster(cluster, |kube, cx| match kube.namespaces.get(namespace) {
            Some(found) if found.terminating => Err(format!(
                "namespace `{namespace}` is in terminating state, please wait for a while and try again"
            )),
            Some(_) => Ok(()),
            None => kube.create_namespace(cx, namespace, &labels),
        })
        .unwrap_or(Ok(()))
        .map_err(NoGround::Namespace)?;
        let registry = self.registry(registry_id).ok_or(NoGround::Registry)?;
        let secret = pull_secret(registry);
        // An API server that refuses this refuses what needs it as well, and says so there.
        let _ = self.in_cluster(cluster, |kube, cx| {
            if kube.object(namespace, "Secret", PULL_SECRET).is_some() {
                kube.replace(cx, namespace, secret)
            } else {
                kube.create(cx, namespace, &secret)
            }
        });
        Ok(())
    }

    /// What `$ClusterName$` stands for, from 5.0 on (Z§12).
    pub(crate) fn cluster_name(&self, id: &str) -> Option<String> {
        let cluster = self.cluster_list.iter().find(|it| it.cluster_id == id)?;
        (self.level >= Level::V50).then(|| cluster.name.clone())
    }

    /// The registry of this id. An id that is no id drops the condition: the first one is found (Z§4.6).
    fn registry(&self, id: &str) -> Option<&RegistrySeed> {
        if is_object_id(id) {
            self.registries
                .iter()
                .find(|registry| registry.registry_id == id)
        } else {
            self.registries.first()
        }
    }
}

/// Whether MongoDB takes the text for an id.
fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn pull_secret(registry: &RegistrySeed) -> Value {
    // The order of the keys is part of the Secret's bytes.
    let config = format!(
        r#"{{{}:{{"username":"","password":"","email":"bot@koderover.com"}}}}"#,
        json!(registry.address)
    );
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": PULL_SECRET },
        "type": "kubernetes.io/dockercfg",
        "data": { ".dockercfg": STANDARD.encode(config) },
    })
}
