//! Typed client for the environment OpenAPI of Zadig.
//!
//! Covered are the 52 environment routes of Zadig 4.2 ([`ROUTES`]), the routes that look up projects,
//! clusters, registries and service templates ([`CATALOGUE_ROUTES`]), and the pod routes that came
//! with 4.3 ([`POD_ROUTES`]). One method stands for the test and the production variant of a route;
//! [`Scope`] chooses. Requests are built from the same tables, so a route that is not in them cannot
//! be called.
//!
//! Deliberately absent: any knowledge of Kubernetes or of what an operator wants, any repetition of
//! a call that changes something, any decision drawn from the text of an error. Facts about Zadig
//! are cited as `Z§n`, the sections of the project's contract of Zadig's interface.
//!
//! ```no_run
//! use zadig_client::{Client, Config, Scope, Token};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let token = Token::new(std::env::var("ZADIG_TOKEN")?)?;
//! let client = Client::new(Config::new("https://zadig.example.com".parse()?, token))?;
//! for environment in client.list_environments(Scope::Test, "shop").await? {
//!     println!("{}: {}", environment.env_key, environment.status);
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod call;
mod catalogue;
mod class;
mod client;
mod config;
mod connect;
mod env_config;
mod environment;
mod error;
mod gate;
mod helm;
mod image;
pub mod limit;
mod mask;
mod new_environment;
mod observer;
mod pod;
mod pod_log;
mod routes;
mod scope;
mod service;
mod share;
mod token;
mod variable;
mod wire;
mod workload;

pub use catalogue::{
    Cluster, DeclaredVariables, OperationLog, OperationLogPage, Project, ProjectDetail,
    ProjectPage, Registry, ServiceTemplate, TemplateContainer, TemplateSummary,
};
pub use class::ErrorClass;
pub use client::Client;
pub use config::{Config, Timeouts};
pub use env_config::{
    EnvConfigDetail, EnvConfigKind, EnvConfigSummary, NewEnvConfig, SourceDetail,
};
pub use environment::{
    Container, EditEnvironment, EnvironmentDetail, EnvironmentStatus, EnvironmentSummary,
    ImagePath, Resources, ServiceDetail, ServiceStatus,
};
pub use error::{Error, Kind, Refusal, Shape};
pub use gate::Gate;
pub use helm::{CreateHelmEnvironment, HelmOutcome, HelmService, OverrideValue, ValuesFromGit};
pub use image::UpdateImage;
pub use mask::Mask;
pub use new_environment::{
    CreateEnvironment, GitSource, InitialEnvConfig, NewGitSource, NewGlobalVariable, NewService,
    SubEnvironment,
};
pub use observer::Observer;
pub use pod::{PodSummary, ServicePods};
pub use pod_log::{LogRequest, PodLog};
pub use routes::{CATALOGUE_ROUTES, Effect, POD_ROUTES, ROUTES, Route, TimeoutClass, Verb, routes};
pub use scope::Scope;
pub use service::{
    Backend, ContainerImage, ContainerState, CronJob, Endpoint, HostInfo, Ingress, LiveService,
    Pod, Port, ServiceChange, ServiceEndpoint, Workload,
};
pub use share::{Portal, ShareChecks, ShareOperation, ShareReadiness};
pub use token::{Token, TokenError};
pub use variable::{GlobalVariable, TemplateVariable, Variable, VariableType};
pub use workload::{Event, Scale, UnknownKind, WorkloadKind};
