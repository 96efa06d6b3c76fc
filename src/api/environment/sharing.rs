//! An environment's part in sharing: base environments, the sub-environments on top of them, and portals (Z§4.19, Z§11).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema;

/// Most portals of one environment.
const PORTALS_MAX: u32 = 32;
/// Most servers of one portal.
const SERVERS_MAX: u32 = 8;

/// Whether an environment is a base, on top of which sub-environments are made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Sharing {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

/// What makes an environment a sub-environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::object_name("name", "the name of a ZadigEnvironment"),
    schema::rule(
        "portals",
        // Each call drops the ports that another one added to the gateway (Z§14.14).
        "!has(self.portals) || size(self.portals) < 2 || self.portals.all(portal, portal.servers.all(server, server.port in [80, 443]))",
        "portals of several services can only use the ports 80 and 443: Zadig keeps other ports of one service at a time",
    )
]))]
pub struct SubEnvironmentOf {
    /// Name of the base's ZadigEnvironment: in the same namespace, of the same project, through the same connection, and in the
    /// same cluster. The creation waits until it is shared. Required. Immutable.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Services of this environment that can be reached from outside the cluster under host names of their own, through the
    /// Istio ingress gateway, which needs a load balancer. Needs Zadig's enterprise licence. A portal that is taken out of this
    /// list is removed; one that somebody else made is left alone. Zadig does not show portals, so a change made elsewhere is
    /// not noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = PORTALS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"])
    )]
    pub portals: Vec<Portal>,
}

/// The way to one service from outside the cluster.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::label_value("service", "the name of a service of the environment")
]))]
pub struct Portal {
    /// Name of the service. It must run in this environment.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub service: String,
    /// Where the gateway listens for it.
    #[schemars(
        length(min = 1, max = SERVERS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub servers: Vec<PortalServer>,
}

/// A host and port on which the gateway listens.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::host("host")
]))]
pub struct PortalServer {
    /// Host name that requests are for, such as `web.example.com`, or `*.example.com`.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub host: String,
    /// Port, from 1 to 65535. Zadig keeps ports other than 80 and 443 of one service of the whole cluster at a time: such a
    /// port is refused while another portal of the cluster is declared.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// HTTP, HTTP2 or GRPC. Default: HTTP.
    #[serde(default)]
    pub protocol: PortalProtocol,
}

impl PortalServer {
    /// Whether the gateway listens on the port anyway.
    #[must_use]
    pub fn has_standard_port(&self) -> bool {
        matches!(self.port, 80 | 443)
    }
}

/// Protocol of a portal, in Istio's words. Those that need a certificate are missing, as Zadig has no field for one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PortalProtocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP/2.
    #[serde(rename = "HTTP2")]
    Http2,
    /// gRPC.
    #[serde(rename = "GRPC")]
    Grpc,
}

impl PortalProtocol {
    /// The word as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
        }
    }
}

/// How far the sharing of an environment has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SharingState {
    /// The call that enables it was sent, and not answered well so far.
    Enabling,
    /// It is enabled, and its pods are being replaced by such with Istio's proxy.
    Restarting,
    /// It is enabled.
    Enabled,
    /// The call that disables it was sent, and not answered well so far.
    Disabling,
    /// It is disabled.
    Disabled,
}

/// What is remembered of an environment's part in sharing, as Zadig does not show it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SharingStatus {
    /// How far the declared sharing has come: Enabling, Restarting, Enabled, Disabling or Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SharingState>,
    /// When the last call that enables or disables sharing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The portals that were set for this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 2 * PORTALS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"])
    )]
    pub portals: Vec<Portal>,
}
