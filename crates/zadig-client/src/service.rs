//! Services in an environment: the live view, the rendered text, adding, updating, removing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::environment::Resources;
use crate::error::Error;
use crate::scope::{self, Scope};
use crate::variable::Variable;
use crate::wire::or_default;
use crate::workload::WorkloadKind;

/// A service as the cluster has it now: `OpenAPIGetServiceResponse` of 4.2.1 (Z§4.3).
///
/// A service that is not in the environment looks like one without workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveService {
    /// Its name.
    pub service_name: String,
    /// Its workloads. One that Zadig expects but the cluster lacks is left out.
    #[serde(default, rename = "scales", deserialize_with = "or_default")]
    pub workloads: Vec<Workload>,
    /// Its Ingresses.
    #[serde(default, rename = "ingress", deserialize_with = "or_default")]
    pub ingresses: Vec<Ingress>,
    /// Its Kubernetes Services.
    #[serde(default, rename = "service_endpoints", deserialize_with = "or_default")]
    pub endpoints: Vec<ServiceEndpoint>,
    /// Its CronJobs.
    #[serde(default, deserialize_with = "or_default")]
    pub cron_jobs: Vec<CronJob>,
    /// The namespace.
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
    /// The environment. Zadig writes `env_name` and means the key.
    #[serde(default, rename = "env_name", deserialize_with = "or_default")]
    pub env_key: String,
    /// The project.
    #[serde(default, rename = "product_name", deserialize_with = "or_default")]
    pub project_key: String,
}

/// A Deployment or the like, with its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `Deployment`, `StatefulSet`, `CloneSet`; from 5.0 on `DaemonSet` and `Job` too.
    #[serde(rename = "type")]
    pub kind: String,
    /// The images in its pod template, without those of init containers.
    #[serde(default, deserialize_with = "or_default")]
    pub images: Vec<ContainerImage>,
    /// Its pods.
    #[serde(default, deserialize_with = "or_default")]
    pub pods: Vec<Pod>,
    /// The replicas asked for in the cluster.
    #[serde(default, deserialize_with = "or_default")]
    pub replicas: i32,
}

/// A container's image in a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerImage {
    /// The container.
    pub name: String,
    /// The image with its tag.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// The image's name alone.
    #[serde(default, deserialize_with = "or_default")]
    pub image_name: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The kind of its first owner.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: String,
    /// Its phase.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Its age, for people.
    #[serde(default, deserialize_with = "or_default")]
    pub age: String,
    /// Seconds since 1970.
    #[serde(default, rename = "createtime", deserialize_with = "or_default")]
    pub create_time: i64,
    /// Its address.
    #[serde(default, deserialize_with = "or_default")]
    pub ip: String,
    /// Its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Its containers; none until it is scheduled.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<ContainerState>,
    /// Where it runs.
    #[serde(default, deserialize_with = "or_default")]
    pub node_name: String,
    /// The address of that node.
    #[serde(default, deserialize_with = "or_default")]
    pub host_ip: String,
    /// Whether it is ready.
    #[serde(default, deserialize_with = "or_default")]
    pub pod_ready: bool,
    /// Whether all its containers are ready.
    #[serde(default, deserialize_with = "or_default")]
    pub containers_ready: bool,
    /// Why they are not.
    #[serde(default, deserialize_with = "or_default")]
    pub containers_message: String,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its name.
    pub name: String,
    /// The image in the pod's spec.
    #[serde(default, deserialize_with = "or_default")]
    pub image: String,
    /// How often it was started again.
    #[serde(default, deserialize_with = "or_default")]
    pub restart_count: i32,
    /// `running`, `waiting`, `terminated` or empty.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Whether it is ready.
    #[serde(default, deserialize_with = "or_default")]
    pub ready: bool,
    /// Its ports.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// Why it waits or ended, in words.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// Why it waits or ended, in one word.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub started_at: Option<i64>,
    /// Seconds since 1970.
    #[serde(default)]
    pub finished_at: Option<i64>,
}

/// A container's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The port in the container.
    pub container_port: i32,
    /// TCP if nothing is said.
    #[serde(default, deserialize_with = "or_default")]
    pub protocol: String,
}

/// An Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// What it serves.
    #[serde(default, deserialize_with = "or_default")]
    pub host_info: Vec<HostInfo>,
    /// Its addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub ips: Vec<String>,
}

/// A host of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// The host.
    #[serde(default, deserialize_with = "or_default")]
    pub host: String,
    /// Where its paths lead.
    #[serde(default, rename = "backend", deserialize_with = "or_default")]
    pub backends: Vec<Backend>,
}

/// A path of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The path.
    #[serde(default, deserialize_with = "or_default")]
    pub path: String,
    /// How it is compared.
    #[serde(default, deserialize_with = "or_default")]
    pub path_type: String,
    /// The Kubernetes Service behind it.
    #[serde(default, deserialize_with = "or_default")]
    pub service_name: String,
    /// Its port, by number or name.
    #[serde(default, deserialize_with = "or_default")]
    pub service_port: String,
}

/// A Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEndpoint {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Its ports.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
}

/// A port of a Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The Service.
    #[serde(default, deserialize_with = "or_default")]
    pub service_name: String,
    /// Its port.
    #[serde(default, deserialize_with = "or_default")]
    pub service_port: i32,
    /// The port on the nodes; 0 if there is none.
    #[serde(default, deserialize_with = "or_default")]
    pub node_port: i32,
}

/// A CronJob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronJob {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The images in its pod template.
    #[serde(default, deserialize_with = "or_default")]
    pub images: Vec<ContainerImage>,
    /// Its pods.
    #[serde(default, deserialize_with = "or_default")]
    pub pods: Vec<Pod>,
    /// Whether it is suspended.
    #[serde(default, deserialize_with = "or_default")]
    pub suspend: bool,
    /// When it runs.
    #[serde(default, deserialize_with = "or_default")]
    pub schedule: String,
    /// When it ran last, for people; `N/A` if never.
    #[serde(default, deserialize_with = "or_default")]
    pub last_schedule: String,
}

/// A service to be added or updated, with its variables (Z§4.10, Z§4.11).
///
/// An update has to carry every key that is bound to a global variable: one that is left out loses
/// its binding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// Its name.
    pub service_name: String,
    /// Its variables.
    #[serde(default, rename = "variable_kvs", deserialize_with = "or_default")]
    pub variables: Vec<Variable>,
}

impl Client {
    /// Reads what the cluster has of a service (#5, #6).
    ///
    /// `workload_type` is needed in Helm environments alone, where `service` is the name of a
    /// workload.
    pub async fn service(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
        workload_type: Option<WorkloadKind>,
    ) -> Result<LiveService, Error> {
        let call = Call::new(scope.of(&scope::SERVICE))
            .env(env)
            .segment("svc", service)
            .project(project)
            // With a capital L, unlike the documentation (Z§4.3).
            .optional("workLoadType", workload_type.map(WorkloadKind::as_str));
        self.json(call).await
    }

    /// Reads the YAML that Zadig believes it applied (#7, #8).
    ///
    /// Any failure inside Zadig, and a missing environment or service, is `None` (Z§4.4). Inside may
    /// be Secrets.
    pub async fn service_yaml(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
    ) -> Result<Option<String>, Error> {
        let call = Call::new(scope.of(&scope::SERVICE_YAML))
            .project(project)
            .required("envName", env)
            .required("serviceName", service);
        Ok(Some(self.text(call).await?).filter(|text| !text.is_empty()))
    }

    /// Reads the computed values of a service's Helm release (#9, #10). Inside may be Secrets.
    pub async fn helm_values(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
    ) -> Result<String, Error> {
        let call = Call::new(scope.of(&scope::HELM_VALUES))
            .project(project)
            .required("envName", env)
            .required("serviceName", service);
        self.text(call).await
    }

    /// Adds services from their newest templates (#17, #18); all or none; goes on after the answer.
    pub async fn add_services(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        services: &[ServiceChange],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            env_key: &'a str,
            service_list: &'a [ServiceChange],
        }
        let call = Call::new(scope.of(&scope::ADD_SERVICES))
            .project(project)
            .named("env_key", env);
        let call = checked(call, services);
        self.done(call.json(&Body {
            env_key: env,
            service_list: services,
        }))
        .await
    }

    /// Updates services, adding those that are missing (#19, #20); goes on after the answer.
    ///
    /// Each listed service also moves to the newest revision of its template (Z§4.11).
    pub async fn update_services(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        services: &[ServiceChange],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            service_list: &'a [ServiceChange],
        }
        let call = Call::new(scope.of(&scope::UPDATE_SERVICES))
            .env(env)
            .project(project);
        self.done(checked(call, services).json(&Body {
            service_list: services,
        }))
        .await
    }

    /// Takes services out of an environment (#21, #22). Names that are not in it are ignored.
    pub async fn delete_services<S: AsRef<str> + Sync>(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        services: &[S],
        resources: Resources,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            env_key: &'a str,
            service_names: &'a [&'a str],
            not_delete_resource: bool,
        }
        let names: Vec<&str> = services.iter().map(AsRef::as_ref).collect();
        let call = Call::new(scope.of(&scope::DELETE_SERVICES))
            .project(project)
            .named("env_key", env)
            .require(!names.is_empty(), || "no service is given".to_owned());
        let call = names
            .iter()
            .fold(call, |call, name| call.named("service_name", name));
        let body = Body {
            env_key: env,
            service_names: &names,
            not_delete_resource: resources == Resources::Keep,
        };
        self.done(call.json(&body)).await
    }

    /// Deletes the pods of a service's first Deployment (#38, #39). Of other services nothing
    /// happens, with success (Z§4.16).
    pub async fn restart_service(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::RESTART))
            .env(env)
            .segment("svc", service)
            .project(project);
        self.done(call).await
    }
}

/// An empty list would be accepted, and would still move the environment through `updating` (Z§4.11).
fn checked(call: Call, services: &[ServiceChange]) -> Call {
    let call = call.require(!services.is_empty(), || "no service is given".to_owned());
    services.iter().fold(call, |call, service| {
        let call = call.named("service_name", &service.service_name);
        service.variables.iter().fold(call, Variable::check)
    })
}
