//! ZadigConnection: where a Zadig is, with whose token, and who may use it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyRef;
use super::condition::Condition;
use super::environment::Scope;

/// Where a Zadig is, with whose token, and who may use it for what.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "zadig-operator.io",
    version = "v1alpha1",
    kind = "ZadigConnection",
    plural = "zadigconnections",
    shortname = "zconn",
    category = "zadig",
    namespaced,
    status = "ZadigConnectionStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ZadigConnectionSpec {
    /// Address of the Zadig, as people open it in the browser: scheme, host, port and path prefix.
    pub url: String,
    /// The Secret key that holds an API token of Zadig.
    pub token_secret_ref: TokenRef,
    /// Certificate authorities to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// Who may use this connection, for what. Absent: the connection's own namespace, all projects, every target namespace but
    /// `kube-*`, `istio-system` and `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Vec<AccessGrant>>,
    /// How hard this Zadig may be driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How often Zadig is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// Nothing behind this connection is written while true. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// The Secret key that holds the token.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TokenRef {
    /// Name of the Secret, in the connection's namespace.
    pub name: String,
    /// Key within its data. Default: `token`.
    #[serde(default = "default_token_key")]
    pub key: String,
}

fn default_token_key() -> String {
    "token".to_owned()
}

/// Certificate authorities in PEM, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// A key of a ConfigMap in the connection's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyRef>,
    /// A key of a Secret in the connection's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyRef>,
    /// The PEM text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

/// One grant: these namespaces may use the connection for these projects, scopes and target namespaces.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrant {
    /// Which namespaces may refer to the connection. Absent: its own.
    #[serde(default)]
    pub namespaces: NamespaceGrant,
    /// Project keys; `*` stands for any characters. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<String>>,
    /// Test, Production or both. Absent: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// Namespaces in which environments may live; `*` stands for any characters. Absent: all but `kube-*`, `istio-system` and `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_namespaces: Option<Vec<String>>,
}

/// Which namespaces a grant is for, as in the Gateway API.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct NamespaceGrant {
    /// Same, All or Selector. Default: Same.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Labels that an object must carry, all of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Label keys and their values.
    pub match_labels: std::collections::BTreeMap<String, String>,
}

/// Kind of a namespace grant.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum NamespacesFrom {
    /// The connection's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces with the labels of `selector`.
    Selector,
}

/// How hard this Zadig may be driven.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Calls per second, on average. Default: 20.
    #[serde(default = "default_rps")]
    pub requests_per_second: u32,
    /// Calls that may be made at once after a pause. Default: 40.
    #[serde(default = "default_burst")]
    pub burst: u32,
    /// Calls under way at the same time. Default: 8.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: u32,
}

fn default_rps() -> u32 {
    20
}
fn default_burst() -> u32 {
    40
}
fn default_in_flight() -> u32 {
    8
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: default_rps(),
            burst: default_burst(),
            max_in_flight: default_in_flight(),
        }
    }
}

/// How often Zadig is looked at. Durations as in Go: `30s`, `15m`, `1h30m`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Intervals {
    /// The cheap look: one list call per project. Default: 30s.
    #[serde(default = "default_list")]
    pub list: String,
    /// The thorough look at one environment. Default: 15m; stretched when it would take more than a tenth of `requestsPerSecond`.
    #[serde(default = "default_deep")]
    pub deep: String,
    /// How long Zadig's `creating` or `updating` is believed. Default: 10m.
    #[serde(default = "default_stuck")]
    pub stuck: String,
}

fn default_list() -> String {
    "30s".to_owned()
}
fn default_deep() -> String {
    "15m".to_owned()
}
fn default_stuck() -> String {
    "10m".to_owned()
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            list: default_list(),
            deep: default_deep(),
            stuck: default_stuck(),
        }
    }
}

/// What is known of the Zadig behind the connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZadigConnectionStatus {
    /// The generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What the server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// Projects that the token may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<i64>,
    /// Environments that are declared through this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<i64>,
    /// The thorough look as it is really made, where `intervals.deep` would exceed its share of `requestsPerSecond`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep_interval: Option<String>,
    /// The reconcile-now annotation last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// What a Zadig server can do, probed by reads.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// `4.2` or `4.3+`.
    pub api_level: String,
    /// `None`, `Professional` (or better), or `Unknown` where the licence service does not answer.
    pub licence: String,
}
