//! What is done about a cluster that differs from what Zadig believes, and what a repair has to put back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ROLLOUTS_MAX;
use crate::api::schema;

/// What is done about objects of a service that the cluster has lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LiveDrift {
    /// They are named.
    #[default]
    Report,
    /// The service is added anew.
    Repair,
}

/// What a service holds that is not declared, noted before it is taken out of the environment and added anew.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Restore {
    /// The service was added by this object.
    pub ours: bool,
    /// Variables that follow the global variable of the same key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::VARIABLES_MAX),
        inner(length(max = schema::NAME_MAX)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub bound: Vec<String>,
    /// Images of containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ROLLOUTS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub images: Vec<RestoreImage>,
    /// Pods of workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ROLLOUTS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub replicas: Vec<RestoreReplicas>,
}

/// An image that is put back.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RestoreImage {
    /// Name of the container.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub container: String,
    /// Its image.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
}

/// A number of pods that is put back.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RestoreReplicas {
    /// Kind of the workload.
    pub kind: super::WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = schema::NAME_MAX))]
    pub name: String,
    /// Number of pods.
    #[schemars(range(min = 0))]
    pub replicas: i32,
}
