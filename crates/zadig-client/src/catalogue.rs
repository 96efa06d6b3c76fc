//! What environments refer to: projects, clusters, registries, service templates, and the log of
//! operations (Z§15). Reads only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::routes::{CATALOGUE_ROUTES, Route};
use crate::scope::{self, Scope};
use crate::variable::TemplateVariable;
use crate::wire::or_default;

const PROJECTS: &Route = &CATALOGUE_ROUTES[0];
const PROJECT: &Route = &CATALOGUE_ROUTES[1];
const DECLARED_VARIABLES: &Route = &CATALOGUE_ROUTES[2];
const CLUSTERS: &Route = &CATALOGUE_ROUTES[3];
const REGISTRIES: &Route = &CATALOGUE_ROUTES[4];
const ISTIO: &Route = &CATALOGUE_ROUTES[5];
const OPERATION_LOG: &Route = &CATALOGUE_ROUTES[10];

/// How many projects are asked for at a time, and how many pages at most: 20,000 projects.
const PAGE_SIZE: u32 = 200;
const MAX_PAGES: u32 = 100;

/// A page of projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPage {
    /// How many there are in all.
    #[serde(default, deserialize_with = "or_default")]
    pub total: u64,
    /// Those of this page.
    #[serde(default, deserialize_with = "or_default")]
    pub projects: Vec<Project>,
}

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The identifier.
    pub project_key: String,
    /// The display name.
    #[serde(default, deserialize_with = "or_default")]
    pub project_name: String,
    /// For people.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// `k8s`, `helm` and others.
    #[serde(default, deserialize_with = "or_default")]
    pub deploy_type: String,
}

/// A project in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectDetail {
    /// The identifier.
    pub project_key: String,
    /// The display name.
    #[serde(default, deserialize_with = "or_default")]
    pub project_name: String,
    /// Whether everybody may see it.
    #[serde(default, deserialize_with = "or_default")]
    pub is_public: bool,
    /// For people.
    #[serde(default, rename = "desc", deserialize_with = "or_default")]
    pub description: String,
    /// `k8s` or `helm`.
    #[serde(default, deserialize_with = "or_default")]
    pub deploy_type: String,
}

/// The global variables that a project declares, with defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredVariables {
    #[serde(default, deserialize_with = "or_default")]
    variables: Vec<TemplateVariable>,
    #[serde(default, deserialize_with = "or_default")]
    production_variables: Vec<TemplateVariable>,
}

impl DeclaredVariables {
    /// Those of one scope.
    #[must_use]
    pub fn of(&self, scope: Scope) -> &[TemplateVariable] {
        scope.choose(
            self.variables.as_slice(),
            self.production_variables.as_slice(),
        )
    }
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The identifier.
    pub cluster_id: String,
    /// Its name, by which people know it.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Whether it is meant for production environments.
    #[serde(default, deserialize_with = "or_default")]
    pub production: bool,
    /// Whether it is the one that Zadig runs in.
    #[serde(default, deserialize_with = "or_default")]
    pub local: bool,
    /// `normal`, or that it cannot be reached.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The projects that may use it.
    #[serde(default, deserialize_with = "or_default")]
    pub project_names: Vec<String>,
}

/// An image registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The identifier.
    pub registry_id: String,
    /// Its address, with scheme.
    #[serde(default, deserialize_with = "or_default")]
    pub address: String,
    /// Its vendor.
    #[serde(default, deserialize_with = "or_default")]
    pub provider: String,
    /// Its region.
    #[serde(default, deserialize_with = "or_default")]
    pub region: String,
    /// The namespace in it.
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
    /// Whether Zadig takes it where none is named.
    #[serde(default, deserialize_with = "or_default")]
    pub is_default: bool,
}

/// A service template in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSummary {
    /// The service.
    pub service_name: String,
    /// Where its text comes from.
    #[serde(default, deserialize_with = "or_default")]
    pub source: String,
    /// `k8s` and others.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The containers in it.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<TemplateContainer>,
}

/// A container in a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateContainer {
    /// Its name.
    pub name: String,
    /// Its image.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// The image's name alone.
    #[serde(default, deserialize_with = "or_default")]
    pub image_name: String,
}

/// A service template: its newest text and the defaults of its variables. Its revision is not told.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceTemplate {
    /// The service.
    pub service_name: String,
    /// Where its text comes from.
    #[serde(default, deserialize_with = "or_default")]
    pub source: String,
    /// `k8s` and others.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The library template it was made from.
    #[serde(default, deserialize_with = "or_default")]
    pub template_name: String,
    /// Who wrote it.
    #[serde(default, deserialize_with = "or_default")]
    pub created_by: String,
    /// When, in seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub created_time: i64,
    /// The text, unrendered.
    #[serde(default, deserialize_with = "or_default")]
    pub yaml: String,
    /// The containers in it.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<TemplateContainer>,
    /// Its variables with defaults.
    #[serde(
        default,
        rename = "service_variable_kvs",
        deserialize_with = "or_default"
    )]
    pub variables: Vec<TemplateVariable>,
}

impl fmt::Debug for ServiceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTemplate")
            .field("service_name", &self.service_name)
            .field("kind", &self.kind)
            .field("containers", &self.containers)
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

/// A page of the log of operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationLogPage {
    /// The entries of this page.
    #[serde(default, rename = "operation_logs", deserialize_with = "or_default")]
    pub logs: Vec<OperationLog>,
    /// How many there are in all.
    #[serde(default, deserialize_with = "or_default")]
    pub total: u64,
}

/// Who did what. The request body, which holds Secrets in clear text (Z§3), is left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationLog {
    /// Who.
    #[serde(default, deserialize_with = "or_default")]
    pub username: String,
    /// In which project.
    #[serde(default, deserialize_with = "or_default")]
    pub project_key: String,
    /// The verb.
    #[serde(default, deserialize_with = "or_default")]
    pub method: String,
    /// What was done.
    #[serde(default, deserialize_with = "or_default")]
    pub function: String,
    /// Where in Zadig.
    #[serde(default, deserialize_with = "or_default")]
    pub scene: String,
    /// To which environments.
    #[serde(default, deserialize_with = "or_default")]
    pub targets: Vec<String>,
    /// Details in words.
    #[serde(default, deserialize_with = "or_default")]
    pub detail: String,
    /// The HTTP status of the answer.
    #[serde(default, deserialize_with = "or_default")]
    pub status: i32,
    /// When, in seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub created_at: i64,
}

impl Client {
    /// Reads one page of the projects that the token may see. Pages count from 1.
    pub async fn project_page(&self, page: u32, size: u32) -> Result<ProjectPage, Error> {
        let call = Call::new(PROJECTS)
            .required("pageSize", &size.to_string())
            .required("pageNum", &page.to_string());
        self.json(call).await
    }

    /// Reads all projects that the token may see, page by page.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        let mut all = Vec::new();
        for number in 1..=MAX_PAGES {
            let page = self.project_page(number, PAGE_SIZE).await?;
            let last = page.projects.len() < PAGE_SIZE as usize;
            all.extend(page.projects);
            if last || all.len() as u64 >= page.total {
                break;
            }
        }
        Ok(all)
    }

    /// Reads a project. Without membership this is 403.
    pub async fn project(&self, project: &str) -> Result<ProjectDetail, Error> {
        self.json(Call::new(PROJECT).project(project)).await
    }

    /// Reads the global variables that a project declares.
    pub async fn declared_variables(&self, project: &str) -> Result<DeclaredVariables, Error> {
        self.json(Call::new(DECLARED_VARIABLES).project(project))
            .await
    }

    /// Lists all clusters.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, Error> {
        // Its optional parameter `projectName` wakes a middleware that synchronises data (Z§1.4).
        let list: Option<_> = self.json(Call::new(CLUSTERS)).await?;
        Ok(list.unwrap_or_default())
    }

    /// Lists all registries.
    pub async fn registries(&self) -> Result<Vec<Registry>, Error> {
        let list: Option<_> = self.json(Call::new(REGISTRIES)).await?;
        Ok(list.unwrap_or_default())
    }

    /// Asks whether a cluster has Istio.
    pub async fn istio_installed(&self, cluster: &str) -> Result<bool, Error> {
        self.json(Call::new(ISTIO).segment("cluster", cluster))
            .await
    }

    /// Lists the service templates of a project.
    pub async fn service_templates(
        &self,
        scope: Scope,
        project: &str,
    ) -> Result<Vec<TemplateSummary>, Error> {
        let list: Option<_> = self
            .json(Call::new(scope.of(&scope::TEMPLATES)).project(project))
            .await?;
        Ok(list.unwrap_or_default())
    }

    /// Reads a service template.
    pub async fn service_template(
        &self,
        scope: Scope,
        project: &str,
        service: &str,
    ) -> Result<ServiceTemplate, Error> {
        let call = Call::new(scope.of(&scope::TEMPLATE))
            .segment("svc", service)
            .project(project);
        self.json(call).await
    }

    /// Reads a page of the log of operations on an environment, newest first. For administrators.
    pub async fn operation_log(
        &self,
        project: &str,
        env: &str,
        page: u32,
        size: u32,
    ) -> Result<OperationLogPage, Error> {
        let call = Call::new(OPERATION_LOG)
            .project(project)
            .required("envName", env)
            .required("perPage", &size.to_string())
            .required("page", &page.to_string())
            .required("searchType", "all");
        self.json(call).await
    }
}
