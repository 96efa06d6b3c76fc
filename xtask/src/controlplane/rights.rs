//! The operator's user gets the rights of the Helm chart and no others, so that a test which passes shows that they suffice.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::run::User;
use crate::paths;

/// The API server's authorizer learns of a role within milliseconds; a loaded machine takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Grants an operator whose own objects are in `namespace` what the chart's default grants; may be repeated for other namespaces.
///
/// # Errors
/// When the chart was not rendered, or the API server does not take its roles.
pub async fn grant(client: &Client, namespace: &str) -> Result<()> {
    grant_rendered(client, namespace, "default").await
}

/// Grants what a rendering of the chart grants, which is `tests/chart/CASE.yaml`.
///
/// # Errors
/// As of [`grant`].
pub async fn grant_rendered(client: &Client, namespace: &str, case: &str) -> Result<()> {
    let file = paths::workspace().join(format!("tests/chart/{case}.yaml"));
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let operator = Subject {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "User".to_owned(),
        name: User::Operator.name().to_owned(),
        namespace: None,
    };
    let lease = lease(&objects);
    for mut object in objects {
        if object["subjects"].is_array() {
            object["subjects"] = json!([operator]);
        }
        match object["kind"].as_str().unwrap_or_default() {
            "ClusterRole" => apply::<ClusterRole>(Api::all(client.clone()), object).await?,
            "ClusterRoleBinding" => {
                apply::<ClusterRoleBinding>(Api::all(client.clone()), object).await?;
            }
            "Role" => {
                object["metadata"]["namespace"] = namespace.into();
                apply::<Role>(Api::namespaced(client.clone(), namespace), object).await?;
            }
            "RoleBinding" => {
                object["metadata"]["namespace"] = namespace.into();
                apply::<RoleBinding>(Api::namespaced(client.clone(), namespace), object).await?;
            }
            _ => {}
        }
    }
    until_effective(client, namespace, lease.as_deref()).await
}

/// Name of the Lease that a Role among these objects is about; none without an election.
fn lease(objects: &[Value]) -> Option<String> {
    let rules = objects
        .iter()
        .filter_map(|object| object["rules"].as_array());
    let mut leases = rules
        .flatten()
        .filter(|rule| rule["resources"] == json!(["leases"]));
    let named = leases.find_map(|rule| rule["resourceNames"][0].as_str());
    named.map(str::to_owned)
}

async fn apply<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object)?;
    let name = object.name_any();
    let params = PatchParams::apply("xtask").force();
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
    applied.with_context(|| format!("the API server does not take the role or binding {name}"))?;
    Ok(())
}

/// Waits for what the operator does first in its own namespace and in all.
async fn until_effective(client: &Client, namespace: &str, lease: Option<&str>) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let lease = lease.map(|name| {
        json!({
            "namespace": namespace, "verb": "update",
            "group": "coordination.k8s.io", "resource": "leases", "name": name,
        })
    });
    let first = [
        json!({"namespace": namespace, "verb": "create", "resource": "secrets"}),
        json!({"verb": "list", "group": "zadig-operator.io", "resource": "zadigenvironments"}),
    ];
    let deadline = Instant::now() + PATIENCE;
    for attributes in first.into_iter().chain(lease) {
        let question: SubjectAccessReview = serde_json::from_value(json!({
            "spec": {"user": User::Operator.name(), "resourceAttributes": attributes},
        }))?;
        loop {
            let answer = reviews.create(&PostParams::default(), &question).await?;
            if answer.status.is_some_and(|status| status.allowed) {
                break;
            }
            if Instant::now() > deadline {
                bail!("the operator may not {attributes} although it was granted");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
