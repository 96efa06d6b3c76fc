//! ZadigConnection: where a Zadig is, with whose token, and who may use it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::environment::Scope;
use super::{KeyRef, schema};

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
    derive = "PartialEq",
    doc = "A Zadig: its address, the token to use there, and who may use it for what. No other kind can name a host or a token.",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether Zadig answers and accepts the token."}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why, in one word."}"#,
    printcolumn = r#"{"name": "URL", "type": "string", "jsonPath": ".spec.url", "description": "Address of the Zadig."}"#,
    printcolumn = r#"{"name": "API", "type": "string", "jsonPath": ".status.server.apiLevel", "description": "Level of Zadig's API."}"#,
    printcolumn = r#"{"name": "Licence", "type": "string", "jsonPath": ".status.server.licence", "description": "Licence of the Zadig."}"#,
    printcolumn = r#"{"name": "Environments", "type": "integer", "jsonPath": ".status.environments", "description": "Environments that are declared through this connection."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since the object was created."}"#,
    printcolumn = r#"{"name": "Projects", "type": "integer", "jsonPath": ".status.projects", "priority": 1, "description": "Projects that the token may see."}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1, "description": "Why, for a person."}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::without_null)]
#[schemars(extend("x-kubernetes-validations" = [
schema::rule(
        "url",
        "self.url.matches('^https?://')",
        "url must start with https:// or http://",
    ),
    schema::rule(
        "url",
        "!self.url.matches('^[a-z]+://[^/?#]*@')",
        "url must not contain a user name or password: the token belongs in the Secret of tokenSecretRef",
    ),
    schema::rule(
        "url",
        "!self.url.matches('[?#]')",
        "url must end before the first '?' or '#': only scheme, host, port and path prefix are used",
    ),
    schema::rule(
        "url",
        "!self.url.matches('^https?://') || (isURL(self.url) && url(self.url).getHostname() != '')",
        "url must be an address with a host, such as https://zadig.example.com",
    )
]))]
pub struct ZadigConnectionSpec {
    /// Address of the Zadig, as people open it in the browser: scheme (https or http), host, port and path prefix, for example
    /// `https://zadig.example.com`. It may change when the same Zadig moves; if the environments recorded so far are not found at
    /// the new address, everything behind the connection stops with the reason DifferentZadig and nothing is written.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The Secret key that holds an API token of Zadig. A changed token is used at once, without a restart.
    pub token_secret_ref: TokenRef,
    /// Certificate authorities to trust beside the system's, when Zadig's certificate comes from a private one. Absent: only the
    /// system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// Who may use this connection, for what; one matching entry is enough. The token is usually an administrator's and Zadig
    /// accepts any namespace, so this is the only fence. Absent: the connection's own namespace, all projects, every target
    /// namespace but `kube-*`, `istio-system`, `default` and the operator's own. An empty list: nobody. When an entry goes, the environments that
    /// needed it are no longer changed, and say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub access: Option<Vec<AccessGrant>>,
    /// How hard Zadig may be driven through this connection, by all objects behind it together. Each connection to one Zadig has limits of
    /// its own; together they stay within the largest of them. Absent: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How often Zadig is looked at. Absent: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// How many deletions may be sent to Zadig within an hour, for all objects behind the connection together: environments whose
    /// objects are deleted, services that are pruned, services whose ZadigServiceBinding is deleted, and bases that are no longer
    /// shared, once each however many sub-environments that takes along. What exceeds it waits for
    /// the next hour with the reason DeletionBudget. An hour begins with the first deletion after the last one ended. Environments
    /// whose `ttl` is over are not counted. Between 0, with which nothing is deleted, and 100000. Default: 60.
    #[serde(default = "default_deletions")]
    #[schemars(range(min = 0, max = 100_000), extend("format" = "int32"))]
    pub max_deletions_per_hour: u32,
    /// The big switch: while true, nothing behind this connection is written. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

fn default_deletions() -> u32 {
    60
}

/// The Secret key that holds the token.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::object_name("name", "the name of a Secret"),
    schema::data_key("key")
]))]
pub struct TokenRef {
    /// Name of the Secret, in the connection's namespace.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Key within its data. Default: `token`.
    #[serde(default = "default_token_key")]
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub key: String,
}

fn default_token_key() -> String {
    "token".to_owned()
}

/// Certificate authorities in PEM, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
schema::exactly_one_of(&["configMapRef", "secretRef", "inline"])
]))]
pub struct CaBundle {
    /// A key of a ConfigMap in the connection's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyRef>,
    /// A key of a Secret in the connection's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyRef>,
    /// The PEM text itself: one or more certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 262_144))]
    pub inline: Option<String>,
}

/// One grant: these namespaces may use the connection for these projects, scopes and target namespaces.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
schema::rule(
        "projects",
        "!has(self.projects) || self.projects.all(glob, glob.matches('^[a-z0-9*-]+$'))",
        "projects must be keys of Zadig projects: lower-case letters, digits and '-', and '*' for any characters",
    ),
    schema::rule(
        "targetNamespaces",
        "!has(self.targetNamespaces) || self.targetNamespaces.all(glob, glob.matches('^[a-z0-9*-]+$'))",
        "targetNamespaces must be names of namespaces: lower-case letters, digits and '-', and '*' for any characters",
    )
]))]
pub struct AccessGrant {
    /// Which namespaces may refer to the connection. Absent: its own.
    #[serde(default)]
    pub namespaces: NamespaceGrant,
    /// Keys of the projects that may be used; `*` stands for any characters. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = schema::LABEL_MAX)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub projects: Option<Vec<String>>,
    /// Families of environments that may be used. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Option<Vec<Scope>>,
    /// Namespaces in which environments may live; `*` stands for any characters. Absent: all but `kube-*`, `istio-system`,
    /// `default` and the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = schema::LABEL_MAX)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub target_namespaces: Option<Vec<String>>,
}

/// Which namespaces a grant is for, as in the Gateway API.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::rule(
        "selector",
        "(self.from == 'Selector') == has(self.selector)",
        "selector goes with from: Selector, and only with it",
    )
]))]
pub struct NamespaceGrant {
    /// Same: the connection's own namespace. All: every namespace. Selector: the namespaces with the labels of `selector`.
    /// Default: Same.
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
    /// Label keys and their values; a namespace must carry all of them. To grant to every namespace, use `from: All` instead.
    #[schemars(
        extend("minProperties" = 1, "maxProperties" = 16),
        schema_with = "label_values"
    )]
    pub match_labels: std::collections::BTreeMap<String, String>,
}

fn label_values(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": schema::LABEL_MAX},
    })
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
    /// Calls per second, on average. Lower values protect Zadig and slow everything down. Default: 20.
    #[serde(default = "default_rps")]
    #[schemars(range(min = 1, max = 1000), extend("format" = "int32"))]
    pub requests_per_second: u32,
    /// Calls that may be made at once after a pause. Default: 40.
    #[serde(default = "default_burst")]
    #[schemars(range(min = 1, max = 10_000), extend("format" = "int32"))]
    pub burst: u32,
    /// Calls under way at the same time. Default: 8.
    #[serde(default = "default_in_flight")]
    #[schemars(range(min = 1, max = 256), extend("format" = "int32"))]
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

/// How often Zadig is looked at. Durations as in Go, of whole numbers: `30s`, `15m`, `1h30m`.
// Zadig's times have the resolution of a second (Z§6.3), so looking more often than that tells nothing more.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(extend("x-kubernetes-validations" = [
schema::duration("list"),
    schema::duration("deep"),
    schema::duration("stuck"),
    schema::duration_between("list", "1s", "24h", "Zadig tells times in seconds, and drift must not stay unseen"),
    schema::duration_between("deep", "1s", "168h", "Zadig tells times in seconds, and drift must not stay unseen"),
    schema::duration_between("stuck", "1s", "24h", "a change takes seconds at least, and a stuck one must be told")
]))]
pub struct Intervals {
    /// The cheap look: one list call per project and interval, whatever the number of environments. Changes made in Zadig by
    /// others are noticed after this time at the latest. Between 1s and 24h. Default: 30s.
    #[serde(default = "default_list")]
    #[schemars(length(min = 1, max = 20))]
    pub list: String,
    /// The thorough look at one environment, for what the list does not show. Between 1s and 168h. Default: 15m; stretched when
    /// all of them would take more than a tenth of `requestsPerSecond`.
    #[serde(default = "default_deep")]
    #[schemars(length(min = 1, max = 20))]
    pub deep: String,
    /// How long Zadig's `creating` or `updating` is believed before the environment is reported with the reason ZadigStuck. Zadig
    /// itself waits up to five minutes for pods. Between 1s and 24h. Default: 10m.
    #[serde(default = "default_stuck")]
    #[schemars(length(min = 1, max = 20))]
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
#[schemars(transform = schema::without_null)]
pub struct ZadigConnectionStatus {
    /// The generation of the object this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// What can be said of the connection as a whole: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// What the server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// Number of projects that the token may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub projects: Option<i64>,
    /// Number of environments that are declared through this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub environments: Option<i64>,
    /// The interval of the thorough look as it is really kept, where `intervals.deep` would exceed its share of
    /// `requestsPerSecond`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::LABEL_MAX))]
    pub deep_interval: Option<String>,
    /// The deletions of the hour that `maxDeletionsPerHour` was last counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Deletions>,
    /// The value of the annotation `zadig-operator.io/reconcile-requested-at` that was last handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_handled_reconcile_at: Option<String>,
}

/// Deletions that were sent within an hour.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Deletions {
    /// When the hour began: with its first deletion.
    pub since: Time,
    /// How many were sent since.
    #[schemars(range(min = 0), extend("format" = "int32"))]
    pub count: u32,
}

/// What a Zadig server can do, probed by reads.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Level of the API: `4.2`, or `4.3+` for that and anything newer. Probed with each thorough look, so an upgrade of Zadig is
    /// noticed without a restart.
    #[schemars(length(max = schema::LABEL_MAX))]
    pub api_level: String,
    /// `None`, `Professional` (or better), or `Unknown` where the licence service does not answer.
    #[schemars(length(max = schema::LABEL_MAX))]
    pub licence: String,
}
