//! How a service of a Helm environment is deployed: the values and overrides of its release.
//!
//! Facts: Z§4.21, Z§10.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ValueFrom;
use crate::api::schema;

/// Most sources of values of one service.
const SOURCES_MAX: u32 = 16;

/// How a Helm service is deployed. It is one whole: Zadig replaces all that it has stored of it at each call.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    schema::rule(
        "git",
        "!has(self.git) || (!has(self.values) && !has(self.valuesFrom))",
        "git takes the place of values and valuesFrom: Zadig would leave them out; use overrides beside it",
    )
]))]
pub struct Helm {
    /// Deploy: the release is installed, or upgraded. Import: the service is only recorded in Zadig; nothing is installed, its
    /// values are not compared, and removing the service does not uninstall anything. Draft: recorded and not applied, until it is
    /// Deploy; needs Zadig 4.3. Zadig does not show it again: a service that was there before is believed to have the declared
    /// one, and a change of it is sent like any other. Default: Deploy.
    #[serde(default)]
    pub strategy: HelmStrategy,
    /// Values over those of the chart, as in a values file. They are laid over `valuesFrom`. What is declared here has to be so in
    /// the release; other values are the chart's, and come back at the next change when something else has set them. A null takes
    /// a value of the chart away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub values: Option<Map<String, Value>>,
    /// Values files kept in Secrets or ConfigMaps beside this object, each laid over those before it. They are read as YAML 1.2, so
    /// that `on` and `yes` are text. A change of one is applied by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SOURCES_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values_from: Vec<ValueFrom>,
    /// Single values that stand above all others, as with `helm --set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::VARIABLES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub overrides: Vec<HelmOverride>,
    /// A values file in a code repository that Zadig knows. It is read when something of this service's `helm` changes, and its
    /// content is not compared: a new commit alone changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitValues>,
}

/// Whether a release is installed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum HelmStrategy {
    /// It is installed, or upgraded.
    #[default]
    Deploy,
    /// It is recorded alone.
    Import,
    /// It is recorded, and not applied.
    Draft,
}

/// A single value of a release, from exactly one source.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    schema::exactly_one_of(&["value", "valueFrom"])
]))]
pub struct HelmOverride {
    /// Path of the value, as in `helm --set`: keys with '.' between them and `[0]` for an item of a list; a '.' within a key is
    /// written `\.`.
    #[schemars(
        length(min = 1, max = schema::NAME_MAX),
        extend("pattern" = OVERRIDE_KEY)
    )]
    pub key: String,
    /// The value as text. As with `helm --set`, `true`, `false`, `null` and whole numbers are what they say, and everything else is
    /// text; commas and braces have no meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = schema::VALUE_MAX))]
    pub value: Option<String>,
    /// Where the value comes from instead: a Secret or ConfigMap beside this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// A values file in a code repository.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct GitValues {
    /// Name of the code source, as Zadig's integrations show it.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub codehost: String,
    /// Owner of the repository: a user or a group.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub owner: String,
    /// Name of the repository.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub repo: String,
    /// Branch to read from.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub branch: String,
    /// Path of the file within the repository.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// What `helm --set` reads as the path of one value: no '=', ',' or brace, which would end it, and an index in brackets.
const OVERRIDE_KEY: &str = r"^([^=,{}\[\]\\.\s]|\\[^\s])+(\[[0-9]{1,4}\])*(\.([^=,{}\[\]\\.\s]|\\[^\s])+(\[[0-9]{1,4}\])*)*$";

/// An object with any fields.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "maxProperties": schema::VARIABLES_MAX,
    })
}
