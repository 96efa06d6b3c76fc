//! Helm: charts that are really rendered, the values they are rendered with, and releases that live in the cluster (Z§4.21, Z§10).
//!
//! Nothing here knows environments; what Zadig does with them is in `world::helm`.

pub(crate) mod chart;
pub(crate) mod image;
pub(crate) mod release;
pub(crate) mod set;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an environment deploys a chart with: each call replaces all of it (Z§10).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    /// Values as YAML.
    pub(crate) yaml: String,
    /// Single values that stand above them.
    pub(crate) kvs: Vec<KeyValue>,
    /// `deploy` or empty; any other word is stored and only recorded (Z§4.21).
    pub(crate) strategy: String,
}

/// A value beneath a path of keys, in the syntax of `helm --set`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: Value,
}

impl Overrides {
    /// Whether the release is installed, and uninstalled later, or the service just recorded.
    pub(crate) fn deploys(&self) -> bool {
        matches!(self.strategy.as_str(), "" | "deploy")
    }
}
