//! Looks at the cluster until something is so.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::earlier::Definitions;
use super::helm::RELEASE;
use super::scenes::TEAM;
use crate::objects::{self, CONNECTION, ENVIRONMENT};

/// The kinds, what belongs to others before the others.
pub(super) const KINDS: [&str; 4] = [
    "ZadigEnvConfig",
    "ZadigServiceBinding",
    ENVIRONMENT,
    CONNECTION,
];
/// Seconds are normal; a machine that compiles at the same time needs more.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(200);

/// The objects of this run.
pub(super) struct Cluster {
    pub(super) client: Client,
}

/// A pod, as long as it is this one.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Identity {
    pub(super) name: String,
    uid: Option<String>,
    restarts: i32,
}

impl Cluster {
    /// Looks until an answer is there.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("not within {PATIENCE:?}: {what}");
            }
            sleep(PAUSE).await;
        }
    }

    /// The team's objects of a kind.
    pub(super) fn team(&self, kind: &str) -> Api<DynamicObject> {
        objects::api(&self.client, TEAM, kind)
    }

    /// All objects of the team, of every kind.
    pub(super) async fn all(&self) -> Result<Vec<DynamicObject>> {
        let mut all = Vec::new();
        for kind in KINDS {
            all.extend(self.team(kind).list(&ListParams::default()).await?);
        }
        Ok(all)
    }

    /// Waits until every object of the team is Ready.
    pub(super) async fn all_ready(&self) -> Result<usize> {
        let mut last = String::new();
        let ready = self
            .until("every object is Ready", async || {
                let all = self.all().await?;
                let waiting = all.iter().filter(|object| !objects::is_ready(object));
                let waiting: Vec<String> = waiting.map(described).collect();
                last = waiting.join("; ");
                Ok(waiting.is_empty().then_some(all.len()))
            })
            .await;
        ready.with_context(|| format!("waiting for {last}"))
    }

    /// Asks for a look at every object and waits until it has been taken.
    pub(super) async fn look_at_all(&self) -> Result<()> {
        let asked = objects::tag();
        for kind in KINDS {
            for object in self.team(kind).list(&ListParams::default()).await? {
                self.ask_for_a_look(kind, &object.name_any(), &asked)
                    .await?;
            }
        }
        self.until("every object was looked at", async || {
            let all = self.all().await?;
            let handled = |object: &DynamicObject| {
                object.data["status"]["lastHandledReconcileAt"] == asked.as_str()
            };
            Ok(all.iter().all(handled).then_some(()))
        })
        .await
    }

    pub(super) async fn ask_for_a_look(&self, kind: &str, name: &str, value: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {
            "zadig-operator.io/reconcile-requested-at": value,
        }}});
        let params = PatchParams::default();
        self.team(kind)
            .patch(name, &params, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Applies objects, those that name no namespace in the one given.
    pub(super) async fn apply(&self, namespace: &str, objects: &[DynamicObject]) -> Result<()> {
        for object in objects {
            objects::apply(&self.client, Some(namespace), object).await?;
        }
        Ok(())
    }

    pub(super) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(super) async fn pod_ready(&self, namespace: &str, name: &str) -> Result<()> {
        let pods = self.pods(namespace);
        let what = format!("the pod {name} is Ready");
        self.until(&what, async || {
            Ok(pods
                .get(name)
                .await
                .is_ok_and(|pod| is_ready(&pod))
                .then_some(()))
        })
        .await
    }

    /// Where a Service is reached.
    pub(super) async fn address(&self, namespace: &str, name: &str) -> Result<String> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let service = services.get(name).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip);
        address.with_context(|| format!("the Service {name} has an address"))
    }

    /// The operator's pods; the chart's test has another name.
    pub(super) async fn operators(&self) -> Result<Vec<Pod>> {
        let selected = ListParams::default().labels("app.kubernetes.io/name=zadig-operator");
        Ok(self.pods(RELEASE).list(&selected).await?.items)
    }

    /// The one operator that runs and is ready.
    pub(super) async fn operator(&self) -> Result<Identity> {
        self.until("one operator is Ready", async || {
            let pods = self.operators().await?;
            let [pod] = pods.as_slice() else {
                return Ok(None);
            };
            Ok(is_ready(pod).then(|| identity(pod)))
        })
        .await
    }

    /// The log of the operator.
    pub(super) async fn log(&self, pod: &str) -> Result<String> {
        Ok(self.pods(RELEASE).logs(pod, &LogParams::default()).await?)
    }

    /// Removes a pod without asking its programs.
    pub(super) async fn kill(&self, pod: &str) -> Result<()> {
        let at_once = DeleteParams::default().grace_period(0);
        self.pods(RELEASE).delete(pod, &at_once).await?;
        Ok(())
    }

    /// Our definitions.
    pub(super) async fn definitions(&self) -> Result<Definitions> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let all = api.list(&ListParams::default()).await?;
        let ours = all
            .into_iter()
            .filter(|crd| crd.spec.group == "zadig-operator.io");
        Ok(ours.map(|crd| (crd.name_any(), crd)).collect())
    }

    /// Removes our definitions and waits until they are gone.
    pub(super) async fn remove_definitions(&self) -> Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for name in self.definitions().await?.keys() {
            api.delete(name, &DeleteParams::default()).await?;
        }
        self.until("the definitions are gone", async || {
            Ok(self.definitions().await?.is_empty().then_some(()))
        })
        .await
    }

    /// Removes namespaces and waits until they are gone.
    pub(super) async fn remove_namespaces(&self, names: &[&str]) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        for name in names {
            api.delete(name, &DeleteParams::default()).await?;
        }
        let what = format!("the namespaces {} are gone", names.join(", "));
        self.until(&what, async || {
            for name in names {
                if api.get_opt(name).await?.is_some() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }
}

/// An object with what it says of itself.
pub(super) fn described(object: &DynamicObject) -> String {
    let kind = object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str());
    let reason = objects::reason(object, "Ready").unwrap_or_default();
    let message = objects::message(object, "Ready").unwrap_or_default();
    format!("{kind} {}: {reason} {message}", object.name_any())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref());
    let mut all = conditions.flatten();
    pod.metadata.deletion_timestamp.is_none()
        && all.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn identity(pod: &Pod) -> Identity {
    let containers = pod
        .status
        .iter()
        .filter_map(|status| status.container_statuses.as_ref());
    Identity {
        name: pod.name_any(),
        uid: pod.uid(),
        restarts: containers
            .flatten()
            .map(|container| container.restart_count)
            .sum(),
    }
}
