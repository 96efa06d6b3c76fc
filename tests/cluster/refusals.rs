//! What Zadig or Kubernetes refuses for a reason of its own: told in its words, and done once the reason is gone.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use zadig_operator::api::OWNERSHIP_ANNOTATION;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::Licence;

use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, message, scenario, simulated_with,
};

#[test]
fn an_ingress_that_the_cluster_refuses_is_told_in_its_words() {
    let setup = Setup::default().simulator(|options| options.licence = Some(Licence::None));
    simulated_with(setup, async |world, _| {
        world.apply(&world.environment("dev").service("web")).await;
        world.await_ready("dev").await;
        let front = |path: serde_json::Value| {
            let manifest = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [path]}}]},
            });
            world.config("dev", "Ingress", "front", json!({"manifest": manifest}))
        };
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        world
            .apply(&front(json!({"path": "/", "backend": backend})))
            .await;
        let told = world
            .await_that::<ZadigEnvConfig>("front", "Rejected", |config| {
                has_reason(config, Reason::Rejected)
            })
            .await;
        let sentence = message(&told, Reason::Rejected);
        assert!(
            sentence.contains("pathType must be specified"),
            "{sentence}"
        );
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        world.apply(&front(path)).await;
        world
            .await_that::<ZadigEnvConfig>("front", "Ready", is_ready)
            .await;
    });
}

/// A policy of the cluster by which nobody writes our annotation in the scenario's namespace.
struct Policy<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Policy<'a> {
    async fn install(world: &'a World) -> Self {
        let name = format!("no-claims-{}", world.namespace);
        let rule = json!({
            "apiGroups": ["zadig-operator.io"], "apiVersions": ["*"],
            "operations": ["UPDATE"], "resources": ["zadigenvironments"],
        });
        let expression = format!(
            "!has(object.metadata.annotations) || !('{OWNERSHIP_ANNOTATION}' in object.metadata.annotations)"
        );
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression, "message": "the annotations are frozen today"}],
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
        Self { world, name }
    }

    fn policies(world: &World) -> Api<ValidatingAdmissionPolicy> {
        Api::all(world.client.clone())
    }

    fn bindings(world: &World) -> Api<ValidatingAdmissionPolicyBinding> {
        Api::all(world.client.clone())
    }

    /// The API server takes a moment until it minds a policy.
    async fn is_in_force(&self, environment: &str) -> bool {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let claim = json!({"metadata": {"annotations": {OWNERSHIP_ANNOTATION: "{}"}}});
        let api = self.world.api::<ZadigEnvironment>();
        let outcome = api.patch(environment, &params, &Patch::Merge(claim)).await;
        outcome.is_err()
    }

    async fn remove(self) {
        let params = DeleteParams::default();
        let gone = Self::bindings(self.world).delete(&self.name, &params).await;
        gone.expect("the binding was there");
        let gone = Self::policies(self.world).delete(&self.name, &params).await;
        gone.expect("the policy was there");
    }
}

#[test]
fn a_claim_that_the_cluster_refuses_is_told_and_zadig_is_not_called() {
    scenario(async |world| {
        let dev = world.environment("dev").service("plain");
        world.apply(&dev.clone().field("suspend", true)).await;
        let policy = Policy::install(world).await;
        world
            .eventually("the policy is in force", async || {
                policy.is_in_force("dev").await
            })
            .await;
        let mark = world.mark();
        world.apply(&dev).await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "KubernetesError", |env| {
                has_reason(env, Reason::KubernetesError)
            })
            .await;
        let sentence = message(&told, Reason::KubernetesError);
        assert!(
            sentence.contains("the annotations are frozen today"),
            "{sentence}"
        );
        assert_eq!(world.our_changes_since(mark), [""; 0]);
        policy.remove().await;
        world
            .eventually("the policy is forgotten", async || {
                world.reconcile_now::<ZadigEnvironment>("dev").await;
                let env = world.get::<ZadigEnvironment>("dev").await;
                is_ready(&env)
            })
            .await;
    });
}
