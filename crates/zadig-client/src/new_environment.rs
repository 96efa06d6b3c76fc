//! What a new environment is made of: the body of #11 and #12 (Z§4.6, Z§4.7).
//!
//! Types only; which scope takes which field is checked where the call is made. Values and YAML may
//! come from Secrets, so no `Debug` shows them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env_config::EnvConfigKind;
use crate::environment::Container;
use crate::variable::Variable;
use crate::wire::or_default;

/// An environment to be created: `OpenAPICreateEnvArgs` of 4.2.1 (Z§4.6, Z§4.7).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CreateEnvironment {
    /// The identifier, unique in the project over both scopes.
    pub env_key: String,
    /// The display name. Only production environments take one.
    #[serde(
        default,
        rename = "env_name",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub alias: String,
    /// The cluster. Look it up first.
    pub cluster_id: String,
    /// The namespace; made if it is missing.
    pub namespace: String,
    /// The registry. Look it up first: a malformed id silently means the first one (Z§4.6).
    pub registry_id: String,
    /// Values of variables that the project declares. Test only.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub global_variables: Vec<NewGlobalVariable>,
    /// The services. Test only; production environments start empty.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub services: Vec<NewService>,
    /// Objects that are made before the services. Test only.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub env_configs: Vec<InitialEnvConfig>,
    /// Makes it a sub-environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_env: Option<SubEnvironment>,
}

/// The value of a global variable in a new environment. Zadig fills in the rest from the project.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct NewGlobalVariable {
    /// The key, which the project declares.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl fmt::Debug for NewGlobalVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewGlobalVariable")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A service of a new environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewService {
    /// Its name, for which the project has a template.
    pub service_name: String,
    /// Images that differ from the template's.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub containers: Vec<Container>,
    /// Values that differ from the template's.
    #[serde(default, rename = "variable_kvs", deserialize_with = "or_default")]
    pub variables: Vec<Variable>,
}

/// An object that is made with an environment (Z§4.6).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct InitialEnvConfig {
    /// Not used by Zadig, which takes the name from the YAML; send the same.
    pub name: String,
    /// Not used by Zadig, which takes the kind from the YAML; send the same.
    #[serde(rename = "common_env_cfg_type")]
    pub kind: EnvConfigKind,
    /// The object: a ConfigMap, Secret, Ingress or PersistentVolumeClaim.
    #[serde(default, deserialize_with = "or_default")]
    pub yaml_data: String,
    /// Whether Zadig follows the source in Git.
    #[serde(default, deserialize_with = "or_default")]
    pub auto_sync: bool,
    /// The source in Git, beside `yaml_data`, which the object is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_repo_config: Option<NewGitSource>,
}

impl fmt::Debug for InitialEnvConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitialEnvConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A file in Git that Zadig may follow: `GitRepoConfig` of 4.2.1. Not what is read again, where the code host has a name
/// ([`GitSource`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGitSource {
    /// Zadig's number of the code host. One that Zadig does not know is stored too, and the object cannot be read then.
    pub codehost_id: u32,
    /// The owner of the repository.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The file; Zadig uses the first.
    pub values_paths: Vec<String>,
}

/// A file in Git, in Zadig's terms (Z§4.14).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSource {
    /// The code host, as Zadig names it.
    #[serde(default, deserialize_with = "or_default")]
    pub codehost_key: String,
    /// The owner of the repository.
    #[serde(default, deserialize_with = "or_default")]
    pub owner: String,
    /// The repository.
    #[serde(default, deserialize_with = "or_default")]
    pub repo: String,
    /// The branch.
    #[serde(default, deserialize_with = "or_default")]
    pub branch: String,
    /// The files.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub values_paths: Vec<String>,
}

/// What makes an environment a sub-environment (Z§11). An object, not the documented array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubEnvironment {
    /// Whether it is one.
    pub enable: bool,
    /// The key of the base environment.
    pub base_env: String,
}
