//! Variables: of a service in an environment, of a template, of an environment as a whole.
//!
//! Values are whatever JSON holds (Z§1.1). They may come from a Secret, so no `Debug` shows them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::scope::{self, Scope};
use crate::wire::{open_words, or_default};

open_words! {
    /// The type of a variable (Z§4).
    pub enum VariableType {
        /// Any scalar, printed as it is.
        String = "string",
        /// `true` or `false`, also as text.
        Bool = "bool",
        /// One of `options`; not checked by every route.
        Enum = "enum",
        /// Text that holds YAML.
        Yaml = "yaml",
    }
}

/// A variable of a service, as it is sent: `RenderVariableKV` of 4.2.1 (Z§4).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// The top-level key.
    pub key: String,
    /// The value. A number is printed in Go's way, so send text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The type. Without it a key that is new in the template gets the template's default instead
    /// of the value (Z§4.11, 1).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<VariableType>,
    /// Whether the value is that of the environment's global variable of the same key.
    #[serde(default, deserialize_with = "or_default")]
    pub use_global_variable: bool,
}

impl Variable {
    /// A variable with a value of its own.
    #[must_use]
    pub fn own(key: impl Into<String>, value: impl Into<Value>, kind: VariableType) -> Self {
        Self {
            key: key.into(),
            value: Some(value.into()),
            kind: Some(kind),
            use_global_variable: false,
        }
    }

    /// A variable that follows the global one.
    #[must_use]
    pub fn global(key: impl Into<String>, kind: VariableType) -> Self {
        Self {
            key: key.into(),
            value: None,
            kind: Some(kind),
            use_global_variable: true,
        }
    }

    /// Refuses what Zadig would render as the text `<nil>` (Z§4).
    pub(crate) fn check(call: Call, variable: &Self) -> Call {
        let has_value = variable
            .value
            .as_ref()
            .is_some_and(|value| !value.is_null());
        call.named("a variable's key", &variable.key)
            .require(has_value || variable.use_global_variable, || {
                format!("variable {} has no value", variable.key)
            })
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("use_global_variable", &self.use_global_variable)
            .finish_non_exhaustive()
    }
}

/// A variable with the default of a template or of the project: `ServiceVariableKV` of 4.2.1.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TemplateVariable {
    /// The top-level key.
    pub key: String,
    /// The default.
    #[serde(default)]
    pub value: Value,
    /// The type.
    #[serde(rename = "type")]
    pub kind: VariableType,
    /// What an [`VariableType::Enum`] may be.
    #[serde(default, deserialize_with = "or_default")]
    pub options: Vec<String>,
    /// For people.
    #[serde(default, deserialize_with = "or_default")]
    pub desc: String,
}

impl fmt::Debug for TemplateVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateVariable")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A global variable of an environment: `GlobalVariableKV` of 4.2.1 (Z§4.13).
///
/// Zadig stores it as it is sent, so all fields are always sent: a partial one would lose its type
/// and its bindings.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalVariable {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: Value,
    /// The type; empty where somebody stored it without one.
    #[serde(default = "no_type", rename = "type")]
    pub kind: VariableType,
    /// What an [`VariableType::Enum`] may be.
    #[serde(default, deserialize_with = "or_default")]
    pub options: Vec<String>,
    /// For people.
    #[serde(default, deserialize_with = "or_default")]
    pub desc: String,
    /// The services that are bound to it. Send back what was read, and nothing for a new key.
    #[serde(default, deserialize_with = "or_default")]
    pub related_services: Vec<String>,
}

fn no_type() -> VariableType {
    VariableType::Other(String::new())
}

impl fmt::Debug for GlobalVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalVariable")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("related_services", &self.related_services)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the global variables of an environment (#23, #24), in no order.
    pub async fn global_variables(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
    ) -> Result<Vec<GlobalVariable>, Error> {
        let list: Option<_> = self
            .json(
                Call::new(scope.of(&scope::VARIABLES))
                    .env(env)
                    .project(project),
            )
            .await?;
        Ok(list.unwrap_or_default())
    }

    /// Replaces **all** global variables of an environment (#25, #26): a key that is not sent is
    /// deleted. Needs a licence. Goes on after the answer if services are bound.
    pub async fn put_global_variables(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        variables: &[GlobalVariable],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            global_variables: &'a [GlobalVariable],
        }
        let call = Call::new(scope.of(&scope::PUT_VARIABLES))
            .env(env)
            .project(project);
        let call = variables.iter().fold(call, |call, variable| {
            call.named("a variable's key", &variable.key)
                .require(!variable.value.is_null(), || {
                    format!("variable {} has no value", variable.key)
                })
        });
        self.done(call.json(&Body {
            global_variables: variables,
        }))
        .await
    }
}
