//! Helm environments and their services (#51, #52; Z§4.21, Z§10).
//!
//! Values may come from Secrets, so no `Debug` shows them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::new_environment::SubEnvironment;
use crate::scope::{Scope, row};
use crate::wire::or_default;

/// A Helm environment to be created: `OpenAPICreateHelmEnvArgs` of 4.2.1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateHelmEnvironment {
    /// The identifier. Here Zadig calls it `env_name`.
    #[serde(rename = "env_name")]
    pub env_key: String,
    /// The display name.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub alias: String,
    /// The cluster.
    pub cluster_id: String,
    /// The namespace.
    pub namespace: String,
    /// The registry.
    pub registry_id: String,
    /// Makes it a sub-environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_env: Option<SubEnvironment>,
}

/// A service to be installed or upgraded (Z§4.21). What it leaves out goes back to the chart's value, but for an image.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelmService {
    /// Its name.
    pub service_name: String,
    /// `deploy`, or `import` to record it alone; Zadig takes any other word for `import`. From 4.3 on there is
    /// `draft` as well, which is recorded and not applied (Z§12).
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub deploy_strategy: String,
    /// Values. Zadig does not read them before it answers: broken ones end the call in `failed`.
    ///
    /// An image counts only when it is spelt completely. A tag alone changes nothing of a service that is
    /// there already: the image that Zadig has recorded is put over it. So repository and tag belong together.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub values_yaml: String,
    /// Single values that stand above `values_yaml`.
    #[serde(
        default,
        rename = "override_kvs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub overrides: Vec<OverrideValue>,
    /// Values in Git, in place of `values_yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_values_from_git: Option<ValuesFromGit>,
}

impl fmt::Debug for HelmService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelmService")
            .field("service_name", &self.service_name)
            .field("deploy_strategy", &self.deploy_strategy)
            .finish_non_exhaustive()
    }
}

/// One value beneath a path of keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideValue {
    /// The path, with dots.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
}

impl fmt::Debug for OverrideValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverrideValue")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Values in Git (Z§4.21).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuesFromGit {
    /// The code host.
    pub codehost_name: String,
    /// The owner of the repository.
    pub namespace: String,
    /// The repository.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The file.
    pub value_path: String,
    /// Whether Zadig follows it: then values change by themselves.
    #[serde(default, deserialize_with = "or_default")]
    pub auto_sync: bool,
}

/// What #52 says of the environment (Z§5.4). Its words differ from those of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelmOutcome {
    /// The environment. Zadig writes `env_name` and means the key.
    #[serde(rename = "env_name")]
    pub env_key: String,
    /// `Updating` and others, with capitals, or `failed`.
    pub status: String,
    /// Why it failed.
    #[serde(default, deserialize_with = "or_default")]
    pub err_message: String,
}

impl Client {
    /// Creates a Helm environment without services (#51). Zadig does not check that the project is
    /// one of Helm: check it first.
    pub async fn create_helm_environment(
        &self,
        scope: Scope,
        project: &str,
        environment: &CreateHelmEnvironment,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            environment: &'a CreateHelmEnvironment,
            production: bool,
        }
        let call = Call::new(row(51))
            .project(project)
            .named("env_key", &environment.env_key)
            .named("cluster_id", &environment.cluster_id)
            .named("namespace", &environment.namespace)
            .named("registry_id", &environment.registry_id);
        self.done(call.json(&Body {
            environment,
            production: scope.is_production(),
        }))
        .await
    }

    /// Installs or upgrades Helm services (#52); goes on after the answer. Each call makes a new
    /// revision of the release, an equal one too.
    ///
    /// **An empty answer means that nothing was done**: the environment is missing, or it is of the
    /// other scope (Z§4.21).
    pub async fn apply_helm_services(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        services: &[HelmService],
    ) -> Result<Vec<HelmOutcome>, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            env_name: &'a str,
            production: bool,
            services: &'a [HelmService],
        }
        let call = Call::new(row(52))
            // Zadig ignores this segment; what counts is the body (Z§4.21).
            .segment("any", env)
            .project(project)
            .require(!services.is_empty(), || "no service is given".to_owned());
        let call = services.iter().fold(call, |call, service| {
            call.named("service_name", &service.service_name)
        });
        let body = Body {
            env_name: env,
            production: scope.is_production(),
            services,
        };
        let list: Option<_> = self.json(call.json(&body)).await?;
        Ok(list.unwrap_or_default())
    }
}
