//! Pods of a service: routes that Zadig has from 4.3 on (Z§12). On 4.2 each call fails as
//! [`NotFoundRoute`](crate::ErrorClass::NotFoundRoute), which tells the two apart.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::scope::{self, Scope};
use crate::wire::or_default;

/// The pods of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePods {
    /// The service.
    pub service_name: String,
    /// Its pods.
    #[serde(default, deserialize_with = "or_default")]
    pub pods: Vec<PodSummary>,
}

/// One pod of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSummary {
    /// Its name.
    pub pod_name: String,
    /// Its phase.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Whether it is ready.
    #[serde(default, deserialize_with = "or_default")]
    pub pod_ready: bool,
    /// Whether all its containers are ready.
    #[serde(default, deserialize_with = "or_default")]
    pub containers_ready: bool,
    /// Seconds since 1970.
    #[serde(default, deserialize_with = "or_default")]
    pub create_time: i64,
    /// Its address.
    #[serde(default, deserialize_with = "or_default")]
    pub ip: String,
    /// Its images.
    #[serde(default, deserialize_with = "or_default")]
    pub images: Vec<String>,
    /// The workload it belongs to.
    #[serde(default, deserialize_with = "or_default")]
    pub workload_name: String,
    /// The kind of that workload.
    #[serde(default, deserialize_with = "or_default")]
    pub workload_type: String,
}

impl Client {
    /// Lists the pods of a service (4.3 and later).
    pub async fn service_pods(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
    ) -> Result<ServicePods, Error> {
        let call = Call::new(scope.of(&scope::SERVICE_PODS))
            .env(env)
            .segment("svc", service)
            .project(project);
        self.json(call).await
    }

    /// Deletes a pod of a service, so that another takes its place (4.3 and later).
    pub async fn restart_pod(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
        service: &str,
        pod: &str,
    ) -> Result<(), Error> {
        let call = Call::new(scope.of(&scope::RESTART_POD))
            .env(env)
            .segment("svc", service)
            .segment("pod", pod)
            .project(project);
        self.done(call).await
    }
}
