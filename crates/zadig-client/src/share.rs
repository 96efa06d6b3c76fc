//! Base environments and their portals (#45-#49; Z§4.19, Z§11). Test environments only: these routes
//! do not look at the scope, so never give them the key of a production environment.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::scope::row;
use crate::wire::or_default;

/// What [`Client::sharing_ready`] asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareOperation {
    /// Whether sharing is fully on.
    Enable,
    /// Whether sharing is fully off.
    Disable,
}

impl ShareOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

/// How far sharing is (Z§4.19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareReadiness {
    /// Whether it is done.
    pub is_ready: bool,
    /// The parts.
    #[serde(default, deserialize_with = "or_default")]
    pub checks: ShareChecks,
}

/// The parts of [`ShareReadiness`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the wire's own form")]
pub struct ShareChecks {
    /// The namespace has Istio's label.
    #[serde(deserialize_with = "or_default")]
    pub namespace_has_istio_label: bool,
    /// All VirtualServices are there.
    #[serde(deserialize_with = "or_default")]
    pub virtualservice_deployed: bool,
    /// All pods have the proxy.
    #[serde(deserialize_with = "or_default")]
    pub pods_have_istio_proxy: bool,
    /// All workloads are ready.
    #[serde(deserialize_with = "or_default")]
    pub workloads_ready: bool,
    /// All workloads have a Kubernetes Service; never part of `is_ready`.
    #[serde(deserialize_with = "or_default")]
    pub workloads_have_k8s_service: bool,
}

/// A server of a portal (Z§4.19, #49).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portal {
    /// The host.
    pub host: String,
    /// The port.
    #[serde(rename = "port_number")]
    pub port: u32,
    /// The protocol, in Istio's words.
    #[serde(rename = "port_protocol")]
    pub protocol: String,
}

impl Client {
    /// Makes an environment a base (#45). Needs the enterprise licence. Deletes every pod without
    /// proxy, at each call.
    pub async fn enable_sharing(&self, project: &str, env: &str) -> Result<(), Error> {
        self.done(Call::new(row(45)).env(env).project(project))
            .await
    }

    /// Ends that (#46) and **deletes all sub-environments with their namespaces**. Needs the
    /// enterprise licence.
    pub async fn disable_sharing(&self, project: &str, env: &str) -> Result<(), Error> {
        self.done(Call::new(row(46)).env(env).project(project))
            .await
    }

    /// Asks how far sharing is on, or off (#47).
    pub async fn sharing_ready(
        &self,
        project: &str,
        env: &str,
        operation: ShareOperation,
    ) -> Result<ShareReadiness, Error> {
        let call = Call::new(row(47))
            .env(env)
            .segment("op", operation.as_str())
            .project(project);
        self.json(call).await
    }

    /// Asks for a portal (#48). The answer is lost in Zadig (Z§4.19): success only says that the
    /// environment is a base.
    pub async fn portal(&self, project: &str, env: &str, service: &str) -> Result<(), Error> {
        self.done(
            Call::new(row(48))
                .env(env)
                .segment("svc", service)
                .project(project),
        )
        .await
    }

    /// Sets the servers of a portal (#49); none removes it, which fails when there is none. Needs
    /// the enterprise licence. Ports of other services on the same gateway are lost (Z§4.19).
    pub async fn set_portal(
        &self,
        project: &str,
        env: &str,
        service: &str,
        servers: &[Portal],
    ) -> Result<(), Error> {
        let call = Call::new(row(49))
            .env(env)
            .segment("svc", service)
            .project(project);
        self.done(call.json(&servers)).await
    }
}
