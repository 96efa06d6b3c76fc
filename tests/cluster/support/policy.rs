//! A policy of the cluster by which the API server refuses some updates in a scenario's namespace.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::world::World;

/// A policy that is in force until it is removed.
pub(crate) struct Policy<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Policy<'a> {
    /// Has updates of a resource of ours refused with this message unless the expression holds; returns once `is_refused` finds it so.
    pub(crate) async fn install(
        world: &'a World,
        resource: &str,
        (expression, message): (&str, &str),
        is_refused: impl AsyncFnMut() -> bool,
    ) -> Self {
        let name = format!("refuses-{}", world.namespace);
        let rule = json!({
            "apiGroups": ["zadig-operator.io"], "apiVersions": ["*"],
            "operations": ["UPDATE"], "resources": [resource],
        });
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression, "message": message}],
            },
        }))
        .expect("a policy");
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": world.namespace}});
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        }))
        .expect("a binding");
        let params = PatchParams::apply("scenario");
        Self::policies(world)
            .patch(&name, &params, &Patch::Apply(policy))
            .await
            .expect("the API server takes the policy");
        Self::bindings(world)
            .patch(&name, &params, &Patch::Apply(binding))
            .await
            .expect("the API server takes the binding");
        // It takes a moment until the API server minds it.
        world.eventually("the policy is in force", is_refused).await;
        Self { world, name }
    }

    fn policies(world: &World) -> Api<ValidatingAdmissionPolicy> {
        Api::all(world.client.clone())
    }

    fn bindings(world: &World) -> Api<ValidatingAdmissionPolicyBinding> {
        Api::all(world.client.clone())
    }

    pub(crate) async fn remove(self) {
        let params = DeleteParams::default();
        let gone = Self::bindings(self.world).delete(&self.name, &params).await;
        gone.expect("the binding was there");
        let gone = Self::policies(self.world).delete(&self.name, &params).await;
        gone.expect("the policy was there");
    }
}
