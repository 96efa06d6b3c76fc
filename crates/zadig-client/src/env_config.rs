//! ConfigMaps, Secrets, Ingresses and PVCs inside an environment (#27-#36).
//!
//! Every update deletes the pods of all services that refer to the object, an equal one too
//! (Z§4.14). Their YAML may be a Secret's, so no `Debug` shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Kind};
use crate::new_environment::GitSource;
use crate::scope::{self, Scope};
use crate::wire::or_default;

/// The kinds of object, as Zadig spells them (Z§4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnvConfigKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// An Ingress.
    Ingress,
    /// A PersistentVolumeClaim.
    #[serde(rename = "PVC")]
    Pvc,
}

impl EnvConfigKind {
    /// The word in queries and bodies; any other case of it is refused.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Ingress => "Ingress",
            Self::Pvc => "PVC",
        }
    }
}

impl fmt::Display for EnvConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object to be written: `OpenAPIEnvCfgArgs` of 4.2.1 (Z§4.14).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEnvConfig {
    /// Its name, equal to `metadata.name` in the YAML.
    pub name: String,
    /// Its kind, equal to `kind` in the YAML.
    #[serde(rename = "common_env_cfg_type")]
    pub kind: EnvConfigKind,
    /// The object.
    pub yaml_data: String,
}

impl fmt::Debug for NewEnvConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEnvConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An object in a list: `OpenAPIEnvCfgBrief` of 4.2.1. Here `env_name` is the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvConfigSummary {
    /// Its name.
    pub name: String,
    /// The environment.
    #[serde(default, rename = "env_name", deserialize_with = "or_default")]
    pub env_key: String,
    /// The project.
    #[serde(default, rename = "project_name", deserialize_with = "or_default")]
    pub project_key: String,
    /// Its kind.
    #[serde(rename = "common_env_cfg_type")]
    pub kind: EnvConfigKind,
    /// Who wrote it last through Zadig; empty if nobody did.
    #[serde(default, deserialize_with = "or_default")]
    pub update_by: String,
    /// When the object was created, in spite of its name; 0 if unknown.
    #[serde(default, deserialize_with = "or_default")]
    pub update_time: i64,
}

/// An object as the cluster has it: one of the four details of Z§4.14.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvConfigDetail {
    /// Its name.
    pub name: String,
    /// The project. The documentation says `product_key`.
    #[serde(default, deserialize_with = "or_default")]
    pub project_key: String,
    /// The environment.
    #[serde(default, deserialize_with = "or_default")]
    pub env_key: String,
    /// Its kind.
    #[serde(rename = "common_env_cfg_type")]
    pub kind: EnvConfigKind,
    /// When the object was created, in seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub created_time: i64,
    /// Who wrote it last through Zadig; empty if nobody did.
    #[serde(default, deserialize_with = "or_default")]
    pub update_by: String,
    /// The live object, with what the server adds (uid, times, labels, status).
    #[serde(default, deserialize_with = "or_default")]
    pub yaml_data: String,
    /// The workloads that refer to it.
    #[serde(default, deserialize_with = "or_default")]
    pub services: Vec<String>,
    /// Where in Git it comes from, if it does.
    #[serde(default)]
    pub source_detail: Option<SourceDetail>,
    /// PVC: its phase.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// PVC: its volume.
    #[serde(default, deserialize_with = "or_default")]
    pub volume: String,
    /// PVC: joined with commas.
    #[serde(default, deserialize_with = "or_default")]
    pub access_modes: String,
    /// PVC: its class.
    #[serde(default, deserialize_with = "or_default")]
    pub storage_class: String,
    /// PVC: its size.
    #[serde(default, deserialize_with = "or_default")]
    pub capacity: String,
    /// Ingress: its hosts, joined with commas.
    #[serde(default, deserialize_with = "or_default")]
    pub host_info: String,
    /// Ingress: its addresses, joined with commas.
    #[serde(default, deserialize_with = "or_default")]
    pub address: String,
    /// Ingress: its ports, joined with commas.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: String,
    /// Ingress: what is wrong with it.
    #[serde(default, deserialize_with = "or_default")]
    pub error_reason: String,
}

impl fmt::Debug for EnvConfigDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvConfigDetail")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("created_time", &self.created_time)
            .field("update_by", &self.update_by)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// The source in Git of an object (Z§4.14).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDetail {
    /// The repository.
    #[serde(default)]
    pub git_repo_config: Option<GitSource>,
    /// The file in it.
    #[serde(default, deserialize_with = "or_default")]
    pub load_path: String,
}

/// The answer of the detail: one field is there.
#[derive(Deserialize)]
struct Details {
    #[serde(default, rename = "configMap_detail")]
    config_map: Option<EnvConfigDetail>,
    #[serde(default, rename = "secret_detail")]
    secret: Option<EnvConfigDetail>,
    #[serde(default, rename = "ingress_detail")]
    ingress: Option<EnvConfigDetail>,
    #[serde(default, rename = "pvc_detail")]
    pvc: Option<EnvConfigDetail>,
}

impl Client {
    /// Creates an object (#27, #28). Needs a licence. A Secret or an Ingress that exists is
    /// **overwritten**; for production it cannot work in any version (Z§9, 8).
    pub async fn create_env_config(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        config: &NewEnvConfig,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::CREATE_CONFIG))
            .env(env)
            .project(project);
        self.done(checked(call, config).json(config)).await
    }

    /// Lists **all** objects of a kind in the environment's namespace (#29, #30), whoever made them.
    pub async fn env_configs(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        kind: EnvConfigKind,
    ) -> Result<Vec<EnvConfigSummary>, Error> {
        let call = Call::new(scope.of(&scope::CONFIGS))
            .env(env)
            .project(project)
            .required("type", kind.as_str());
        let list: Option<_> = self.json(call).await?;
        Ok(list.unwrap_or_default())
    }

    /// Reads an object (#31, #32). A missing one is 500, like other trouble: the list tells.
    pub async fn env_config(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        kind: EnvConfigKind,
        name: &str,
    ) -> Result<EnvConfigDetail, Error> {
        let route = scope.of(&scope::CONFIG);
        let call = Call::new(route)
            .env(env)
            .segment("name", name)
            .project(project)
            .required("type", kind.as_str());
        let Details {
            config_map,
            secret,
            ingress,
            pvc,
        } = self.json(call).await?;
        let detail = match kind {
            EnvConfigKind::ConfigMap => config_map,
            EnvConfigKind::Secret => secret,
            EnvConfigKind::Ingress => ingress,
            EnvConfigKind::Pvc => pvc,
        };
        detail.ok_or_else(|| {
            let reason = format!("no detail of a {kind}");
            Error::new(
                route,
                route.path,
                Kind::Undecodable {
                    reason,
                    excerpt: String::new(),
                },
            )
        })
    }

    /// Replaces an object (#33, #34) and deletes the pods of all that refer to it. A Secret or an
    /// Ingress that is missing is created.
    pub async fn update_env_config(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        config: &NewEnvConfig,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            env_key: &'a str,
            #[serde(flatten)]
            config: &'a NewEnvConfig,
        }
        let call = Call::new(scope.of(&scope::UPDATE_CONFIG))
            .project(project)
            .named("env_key", env);
        self.done(checked(call, config).json(&Body {
            env_key: env,
            config,
        }))
        .await
    }

    /// Deletes an object (#35, #36). One that is missing is success too; it is gone some
    /// milliseconds after the answer.
    pub async fn delete_env_config(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        kind: EnvConfigKind,
        name: &str,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::DELETE_CONFIG))
            .env(env)
            .segment("name", name)
            .project(project)
            .required("type", kind.as_str());
        self.done(call).await
    }
}

fn checked(call: Call, config: &NewEnvConfig) -> Call {
    call.named("name", &config.name)
        .named("yaml_data", &config.yaml_data)
}
