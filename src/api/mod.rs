//! What users write and read: the custom resources, their conditions and the names on them.
//!
//! Serde and schemars only. Nothing here decides anything; the rules that the API server can check by itself
//! (CEL, bounds, formats) sit on the types, so that a bad manifest fails at `kubectl apply`.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod condition;
pub mod connection;
pub mod env_config;
pub mod environment;
pub mod management;
mod schema;
pub mod service_binding;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// API group of every kind.
pub const GROUP: &str = "zadig-operator.io";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every write this operator makes.
pub const FIELD_MANAGER: &str = "zadig-operator";
/// Finalizer on an environment, present from just before the first write to Zadig until nothing is left to clean up.
pub const FINALIZER: &str = "zadig-operator.io/cleanup";
/// Finalizer on a connection, present while an object that carries ours still needs it.
pub const CONNECTION_FINALIZER: &str = "zadig-operator.io/in-use";
/// Annotation that records whose environment this is; see [`environment::Ownership`].
pub const OWNERSHIP_ANNOTATION: &str = "zadig-operator.io/ownership";
/// Annotation by which a person asks for a reconcile now; the handled value is echoed in status.
pub const RECONCILE_ANNOTATION: &str = "zadig-operator.io/reconcile-requested-at";
/// Annotation that overrides `spec.deletion`; the one value is `Orphan`.
pub const DELETION_ANNOTATION: &str = "zadig-operator.io/deletion";

/// Label of a connection that says which shard of the operator looks after it and what refers to it.
pub const SHARD_LABEL: &str = "zadig-operator.io/shard";

/// The definitions of every kind, in the order of their names.
#[must_use]
pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
    [
        connection::ZadigConnection::crd(),
        env_config::ZadigEnvConfig::crd(),
        environment::ZadigEnvironment::crd(),
        service_binding::ZadigServiceBinding::crd(),
    ]
    .map(schema::unseen)
    .into()
}

/// A key of a Secret or ConfigMap in the namespace of the object that names it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct KeyRef {
    /// Name of the Secret or ConfigMap, in the same namespace as this object.
    #[schemars(
        length(min = 1, max = schema::NAME_MAX),
        extend("pattern" = schema::SUBDOMAIN)
    )]
    pub name: String,
    /// Key within its data.
    #[schemars(
        length(min = 1, max = schema::NAME_MAX),
        extend("pattern" = schema::DATA_KEY)
    )]
    pub key: String,
}
