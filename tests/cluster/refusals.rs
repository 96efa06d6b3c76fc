//! What Zadig or Kubernetes refuses for a reason of its own: told in its words, and done once the reason is gone.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zadig_operator::api::OWNERSHIP_ANNOTATION;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::Licence;

use crate::support::{
    EnvironmentFixture, Policy, Setup, has_reason, is_ready, message, scenario, simulated_with,
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

#[test]
fn a_claim_that_the_cluster_refuses_is_told_and_zadig_is_not_called() {
    scenario(async |world| {
        let dev = world.environment("dev").service("plain");
        world.apply(&dev.clone().field("suspend", true)).await;
        let expression = format!(
            "!has(object.metadata.annotations) || !('{OWNERSHIP_ANNOTATION}' in object.metadata.annotations)"
        );
        let rule = (&*expression, "the annotations are frozen today");
        let is_refused = async || {
            let params = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let claim = json!({"metadata": {"annotations": {OWNERSHIP_ANNOTATION: "{}"}}});
            let api = world.api::<ZadigEnvironment>();
            let outcome = api.patch("dev", &params, &Patch::Merge(claim)).await;
            outcome.is_err()
        };
        let policy = Policy::install(world, "zadigenvironments", rule, is_refused).await;
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
