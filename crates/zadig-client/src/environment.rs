//! Environments: list, look at, create, edit, delete.
//!
//! `env_key` is the identifier and `alias` the display name in every type here. Zadig spells the
//! alias `envName` in the list and `env_name` in the detail and in requests (Z§4.1, Z§4.2, Z§4.6).

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::new_environment::CreateEnvironment;
use crate::scope::{self, Scope};
use crate::variable::{GlobalVariable, TemplateVariable, Variable};
use crate::wire::{open_words, or_default};

open_words! {
    /// The stored status of an environment (Z§5.1). It says nothing of the health of its services.
    pub enum EnvironmentStatus {
        /// Being created; may stay for ever when Zadig restarts meanwhile.
        Creating = "creating",
        /// The last creation or update ended. Not that it worked (Z§5.2).
        Success = "success",
        /// The creation, or a Helm update, ended with an error.
        Failed = "failed",
        /// An update is running.
        Updating = "updating",
        /// Being deleted; hardly ever seen.
        Deleting = "deleting",
        /// Put to sleep by somebody: most updates are refused.
        Sleeping = "sleeping",
        /// The first status of environments of other kinds.
        Unstable = "unstable",
        /// What a failed deletion leaves.
        Unknown = "unknown",
    }
}

open_words! {
    /// The status of one service, computed from its pods (Z§5.3).
    pub enum ServiceStatus {
        /// All pods are ready.
        Running = "running",
        /// Some pod is not ready.
        Unstable = "unstable",
        /// There are neither pods nor CronJobs; also with zero replicas.
        Unstart = "unstart",
        /// Nothing to run, or all pods completed.
        Succeeded = "succeeded",
        /// The recorded template revision cannot be read.
        Failed = "failed",
        /// The workloads could not be evaluated.
        Error = "error",
        /// The environment is being created and the workloads could not be evaluated.
        Pending = "pending",
        /// Zadig does not watch the namespace.
        Unknown = "unknown",
        /// Only CronJobs, all of them suspended.
        AllSuspended = "allsuspend",
        /// Only CronJobs, some of them suspended.
        PartlySuspended = "partsuspend",
        /// Only CronJobs, none of them suspended.
        NotSuspended = "nosuspend",
        /// Not told: Helm projects, and look-ups that failed inside Zadig.
        Untold = "",
    }
}

/// One environment in a list: `OpenAPIListEnvBrief` of 4.2.1 (Z§4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentSummary {
    /// The identifier.
    pub env_key: String,
    /// The display name; empty if there is none.
    #[serde(default, rename = "envName", deserialize_with = "or_default")]
    pub alias: String,
    /// The cluster.
    pub cluster_id: String,
    /// The namespace in it.
    pub namespace: String,
    /// Whether it is a production environment.
    #[serde(default, deserialize_with = "or_default")]
    pub production: bool,
    /// The registry. Where none is stored this is the default one, unlike in the detail.
    #[serde(default, deserialize_with = "or_default")]
    pub registry_id: String,
    /// The stored status.
    pub status: EnvironmentStatus,
    /// Who created it; from 5.0 on who wrote it last (Z§12).
    #[serde(default, deserialize_with = "or_default")]
    pub update_by: String,
    /// Seconds since 1970 by Zadig's clock. What moves it: Z§6.3.
    pub update_time: i64,
}

/// One environment in full: `OpenAPIEnvDetail` of 4.2.1 (Z§4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentDetail {
    /// The project.
    pub project_key: String,
    /// The identifier.
    pub env_key: String,
    /// The display name; empty if there is none.
    #[serde(default, rename = "env_name", deserialize_with = "or_default")]
    pub alias: String,
    /// Who created it; from 5.0 on who wrote it last.
    #[serde(default, deserialize_with = "or_default")]
    pub update_by: String,
    /// Seconds since 1970 by Zadig's clock.
    pub update_time: i64,
    /// The cluster.
    pub cluster_id: String,
    /// The namespace in it.
    pub namespace: String,
    /// The stored registry; empty if none is.
    #[serde(default, deserialize_with = "or_default")]
    pub registry_id: String,
    /// The environment's own global variables, in no order.
    #[serde(default, deserialize_with = "or_default")]
    pub global_variables: Vec<GlobalVariable>,
    /// Its services, in no order.
    #[serde(default, deserialize_with = "or_default")]
    pub services: Vec<ServiceDetail>,
    /// The stored status.
    pub status: EnvironmentStatus,
}

/// One service in an environment's detail: `OpenAPIServiceDetail` of 4.2.1 (Z§4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceDetail {
    /// Its name.
    pub service_name: String,
    /// `k8s`, `helm`, `helm_chart` or `pm`.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The images last written through Zadig, not the running ones. Empty after a failed creation.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// The defaults of the newest template, not the environment's values (Z§6.1).
    #[serde(default, rename = "variable_kvs", deserialize_with = "or_default")]
    pub template_variables: Vec<TemplateVariable>,
    /// Its health.
    pub status: ServiceStatus,
}

/// A container and its image (Z§4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// Empty, or `init`.
    #[serde(
        default,
        rename = "type",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub kind: String,
    /// The image with its tag.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// The image's name without repository and tag.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub image_name: String,
    /// Helm: where in the chart's values the image stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_path: Option<ImagePath>,
}

/// Paths into a chart's values (Z§4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePath {
    /// Of the repository.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub repo: String,
    /// Of the repository's namespace.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub namespace: String,
    /// Of the image.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub image: String,
    /// Of the tag.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub tag: String,
}

/// What can be changed of an environment itself: `EnvBasicInfoArgs` of 4.2.1 (Z§4.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditEnvironment {
    /// The new registry. Look it up first: an unknown one is refused **and** stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_id: Option<String>,
    /// The display name. Required for production, where leaving it out would clear it; impossible
    /// for test environments.
    #[serde(default, rename = "env_name", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// What becomes of the objects in the cluster when something is taken out of Zadig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resources {
    /// They are deleted as well, as far as Zadig does that (Z§4.9, Z§4.12).
    Delete,
    /// They stay.
    Keep,
}

impl Client {
    /// Lists the environments of a project (#1, #2).
    ///
    /// An empty list proves nothing: without permission, and for an unknown project, it is empty too.
    pub async fn list_environments(
        &self,
        scope: Scope,
        project: &str,
    ) -> Result<Vec<EnvironmentSummary>, Error> {
        let list: Option<_> = self
            .json(Call::new(scope.of(&scope::LIST)).project(project))
            .await?;
        Ok(list.unwrap_or_default())
    }

    /// Reads one environment (#3, #4). Each call draws on Zadig's own small budget of calls to the
    /// cluster (Z§8); to wait for something, list.
    pub async fn environment(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
    ) -> Result<EnvironmentDetail, Error> {
        self.json(
            Call::new(scope.of(&scope::DETAIL))
                .env(env)
                .project(project),
        )
        .await
    }

    /// Creates an environment (#11, #12); it goes on after the answer.
    ///
    /// # Errors
    ///
    /// Also when the scope would ignore a field that is set, and for a variable without a value.
    pub async fn create_environment(
        &self,
        scope: Scope,
        project: &str,
        environment: &CreateEnvironment,
    ) -> Result<(), Error> {
        let CreateEnvironment {
            env_key,
            alias,
            cluster_id,
            namespace,
            registry_id,
            global_variables,
            services,
            env_configs,
            sub_env: _,
        } = environment;
        let starts_empty =
            global_variables.is_empty() && services.is_empty() && env_configs.is_empty();
        let call = Call::new(scope.of(&scope::CREATE))
            .project(project)
            .named("env_key", env_key)
            .named("cluster_id", cluster_id)
            .named("namespace", namespace)
            .named("registry_id", registry_id)
            .require(scope != Scope::Test || alias.is_empty(), || {
                "a test environment has no alias".to_owned()
            })
            .require(scope != Scope::Production || starts_empty, || {
                "a production environment is created without content".to_owned()
            });
        let call = services.iter().fold(call, |call, service| {
            let call = call.named("service_name", &service.service_name);
            service.variables.iter().fold(call, Variable::check)
        });
        self.done(call.json(environment)).await
    }

    /// Changes the registry or the alias of an environment (#13, #14).
    pub async fn edit_environment(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        edit: &EditEnvironment,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::EDIT))
            .env(env)
            .project(project)
            .require((scope == Scope::Production) == edit.alias.is_some(), || {
                format!(
                    "the alias of a {scope} environment {}",
                    match scope {
                        Scope::Test => "cannot be changed",
                        Scope::Production => "must be sent with every edit",
                    }
                )
            });
        self.done(call.json(edit)).await
    }

    /// Deletes an environment (#15, #16); a test environment disappears after the answer.
    ///
    /// A production environment only leaves Zadig, so it takes [`Resources::Keep`] alone.
    pub async fn delete_environment(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        resources: Resources,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::DELETE))
            .env(env)
            .project(project);
        let call = match (scope, resources) {
            (Scope::Test, Resources::Delete) => call.required("isDelete", "true"),
            (Scope::Test, Resources::Keep) => call.required("isDelete", "false"),
            (Scope::Production, resources) => call.require(resources == Resources::Keep, || {
                "zadig never deletes the resources of a production environment".to_owned()
            }),
        };
        self.done(call).await
    }
}
