//! Whether changes are made, proposed or only shown; and the plan that is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Most lines of a plan that are shown.
pub const SUMMARY_MAX: u32 = 16;
/// Longest line of a plan, in characters.
pub const SUMMARY_LINE_MAX: u32 = 300;
/// Most steps that one approval covers; a longer plan needs another one for the rest.
pub const STEPS_MAX: u32 = 512;

/// Whether what is declared is carried out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Management {
    /// At once.
    #[default]
    Enforce,
    /// Once a person approved the plan.
    Approve,
    /// Never: differences are only shown.
    Observe,
}

impl Management {
    /// The word in `spec.management`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Approve => "Approve",
            Self::Observe => "Observe",
        }
    }
}

/// Changes that are not made (yet).
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposedPlan {
    /// Names the plan: `spec.approvedPlan` with this value approves it. It is keyed and tells nothing of any secret value.
    #[schemars(length(min = 1, max = schema::LABEL_MAX))]
    pub hash: String,
    /// Number of calls that would be made.
    #[schemars(range(min = 0))]
    pub actions: i64,
    /// The calls in order, one per line, secrets redacted; of a long plan the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SUMMARY_MAX),
        inner(length(max = 1024)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub summary: Vec<String>,
    /// The plan was approved and is being carried out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// What the approval of this plan covers, as keyed digests: a later call is made only when it is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = STEPS_MAX),
        inner(length(max = schema::LABEL_MAX)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub steps: Vec<String>,
}
