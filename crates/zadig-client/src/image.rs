//! Images of running workloads (#40-#42). Test environments only.
//!
//! These calls are dangerous when a name is wrong: an unknown container is **added** to the pod, and
//! an unknown service is refused after the cluster was changed (Z§4.17). Check the names first.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::routes::Route;
use crate::scope::row;
use crate::workload::WorkloadKind;

/// Another image for a container: `OpenAPIUpdateContainerImageArgs` of 4.2.1 (Z§4.17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateImage {
    /// The environment. Zadig writes `env_name` and means the key.
    #[serde(rename = "env_name")]
    pub env_key: String,
    /// The service.
    pub service_name: String,
    /// The workload.
    #[serde(rename = "name")]
    pub workload_name: String,
    /// The container; not an init container.
    pub container_name: String,
    /// The image with its tag.
    pub image: String,
}

impl Client {
    /// Changes the image of a container (#40-#42). Every call is a write, an equal one too.
    ///
    /// # Errors
    ///
    /// Also for a kind that has no such route: only Deployments, StatefulSets and CronJobs do.
    pub async fn update_image(
        &self,
        kind: WorkloadKind,
        project: &str,
        update: &UpdateImage,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            product_name: &'a str,
            #[serde(flatten)]
            update: &'a UpdateImage,
        }
        let (route, has_route) = route_of(kind);
        let call = Call::new(route)
            .require(has_route, || {
                format!("the image of a {kind} cannot be changed")
            })
            // Zadig ignores this segment; what counts is the body (Z§4.17).
            .segment("any", &update.env_key)
            .named("product_name", project)
            .named("service_name", &update.service_name)
            .named("workload name", &update.workload_name)
            .named("container_name", &update.container_name)
            .named("image", &update.image);
        self.done(call.json(&Body {
            product_name: project,
            update,
        }))
        .await
    }
}

/// The route for a kind, and whether it is one.
const fn route_of(kind: WorkloadKind) -> (&'static Route, bool) {
    match kind {
        WorkloadKind::Deployment => (row(40), true),
        WorkloadKind::StatefulSet => (row(41), true),
        WorkloadKind::CronJob => (row(42), true),
        WorkloadKind::CloneSet => (row(40), false),
    }
}
