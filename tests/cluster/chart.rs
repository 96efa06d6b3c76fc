//! What the Helm chart installs, at the real API server: its objects are taken, its pods meet the restricted standard, and its
//! policy refuses the deletion of a protected environment.
//!
//! The objects are read from `tests/chart/`, which `cargo xtask test --only chart` holds to what Helm renders.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use xtask::controlplane;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::{DELETION_ANNOTATION, FINALIZER};

use crate::support::{
    EnvironmentFixture, Setup, World, is_taken, know_others, place, scenario_with,
};

/// Every object of a file in `tests/chart/`.
fn rendered(case: &str) -> Vec<Value> {
    let mut objects = controlplane::rendered(case).expect("the chart was rendered");
    objects.retain(|object| !object.is_null());
    objects
}

fn is(object: &Value, kind: &str) -> bool {
    object["kind"] == kind
}

#[test]
fn the_api_server_takes_every_object_of_the_chart() {
    scenario_with(Setup::default().without_connection(), async |world| {
        know_others(world).await;
        let mut kinds = BTreeSet::new();
        for case in [
            "default",
            "everything",
            "namespaced",
            "highly-available",
            "monitored",
            "shard",
        ] {
            for object in rendered(case) {
                kinds.insert(object["kind"].as_str().unwrap_or_default().to_owned());
                is_taken(world, object).await;
            }
        }
        let expected = [
            "ClusterRole",
            "ClusterRoleBinding",
            "ConfigMap",
            "Deployment",
            "NetworkPolicy",
            "Pod",
            "PodDisruptionBudget",
            "PrometheusRule",
            "Role",
            "RoleBinding",
            "Service",
            "ServiceAccount",
            "ServiceMonitor",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        assert!(kinds.iter().eq(expected), "{kinds:?}");
    });
}

#[test]
fn the_pods_of_the_chart_meet_the_restricted_standard() {
    scenario_with(Setup::default().without_connection(), async |world| {
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let label =
            json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let labelled = namespaces
            .patch(
                &world.namespace,
                &PatchParams::default(),
                &Patch::Merge(label),
            )
            .await;
        labelled.expect("the namespace can be labelled");
        let try_pod = async |mut pod: Value| {
            let api = place(world, &mut pod);
            let pod = serde_json::from_value(pod).expect("a pod");
            let params = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            api.create(&params, &pod).await
        };
        for case in ["default", "everything"] {
            let mut pods = rendered(case);
            pods.retain(|object| is(object, "Pod") || is(object, "Deployment"));
            for mut pod in pods {
                if is(&pod, "Deployment") {
                    pod = pod["spec"]["template"].take();
                    pod["apiVersion"] = "v1".into();
                    pod["kind"] = "Pod".into();
                    pod["metadata"]["name"] = "pod".into();
                    pod["metadata"]["namespace"] = "replaced".into();
                }
                let taken = try_pod(pod.clone()).await;
                taken.unwrap_or_else(|error| panic!("{case}: {error}"));
                // And it is this standard that decides.
                pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] =
                    true.into();
                let refused = try_pod(pod).await.expect_err("this pod is not restricted");
                assert!(refused.to_string().contains("restricted"), "{refused}");
            }
        }
    });
}

/// Puts the chart's deletion guard in force, in these namespaces alone: other scenarios delete protected environments too.
struct Guard<'a> {
    world: &'a World,
    objects: Vec<(Api<DynamicObject>, String)>,
}

impl<'a> Guard<'a> {
    async fn install(world: &'a World, namespaces: &[&str]) -> Self {
        let mut objects = Vec::new();
        let kinds = [
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        for mut object in rendered("default") {
            if !kinds.iter().any(|kind| is(&object, kind)) {
                continue;
            }
            let name = format!("guard-{}", world.namespace);
            object["metadata"]["name"] = name.clone().into();
            if is(&object, kinds[1]) {
                object["spec"]["policyName"] = name.clone().into();
                object["spec"]["matchResources"] = json!({"namespaceSelector": {"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
                ]}});
            }
            let api = place(world, &mut object);
            let params = PatchParams::apply("scenario").force();
            let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
            applied.expect("the API server takes the policy");
            objects.push((api, name));
        }
        assert_eq!(objects.len(), 2, "a policy and its binding");
        Self { world, objects }
    }

    /// What the API server says of a deletion that is not carried out.
    async fn refusal(&self, namespace: &str, name: &str) -> Option<String> {
        let api: Api<ZadigEnvironment> = Api::namespaced(self.world.client.clone(), namespace);
        let params = DeleteParams {
            dry_run: true,
            ..DeleteParams::default()
        };
        let outcome = api.delete(name, &params).await;
        outcome.err().map(|error| error.to_string())
    }

    async fn remove(self) {
        for (api, name) in self.objects {
            let _ = api.delete(&name, &DeleteParams::default()).await;
        }
    }
}

/// An environment that the operator leaves alone, as one that it made.
async fn made(world: &World, environment: &ZadigEnvironment) {
    world
        .apply(&environment.clone().field("suspend", true))
        .await;
    let finalizers = json!({"metadata": {"finalizers": [FINALIZER]}});
    let name = environment.name_any();
    world.patch::<ZadigEnvironment>(&name, finalizers).await;
}

#[test]
fn the_deletion_of_a_protected_environment_is_refused_with_a_sentence() {
    scenario_with(Setup::default().without_connection(), async |world| {
        let protected = |name: &str| world.environment(name).field("deletionProtection", true);
        made(world, &protected("protected")).await;
        made(world, &world.environment("test")).await;
        made(world, &protected("orphan").field("deletion", "Orphan")).await;
        made(world, &protected("annotated")).await;
        let annotation = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
        world
            .patch::<ZadigEnvironment>("annotated", annotation)
            .await;
        let suspended = protected("never-made").field("suspend", true);
        world.apply(&suspended).await;

        let guard = Guard::install(world, &[&world.namespace]).await;
        let refusal = async |name: &str| guard.refusal(&world.namespace, name).await;
        world
            .eventually("the policy is in force", async || {
                refusal("protected").await.is_some()
            })
            .await;
        let said = refusal("protected").await.unwrap_or_default();
        let sentence = format!(
            "the environment {} of project {} is protected from deletion (spec.deletionProtection, which Production has unless it \
             says false); set spec.deletionProtection to false first, or set the annotation zadig-operator.io/deletion=Orphan to \
             keep it in Zadig",
            world.env_key("protected"),
            world.zadig.project
        );
        assert!(said.contains(&sentence), "{said}");
        for name in ["test", "orphan", "annotated", "never-made"] {
            assert_eq!(refusal(name).await, None, "{name}");
        }
        let off = json!({"spec": {"deletionProtection": false}});
        world.patch::<ZadigEnvironment>("protected", off).await;
        assert_eq!(refusal("protected").await, None, "it was lifted");
        guard.remove().await;
    });
}

#[test]
fn a_namespace_with_a_protected_environment_can_be_deleted() {
    scenario_with(Setup::default().without_connection(), async |world| {
        let other = format!("{}-doomed", world.namespace);
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": other}}));
        let made = namespaces
            .create(&PostParams::default(), &namespace.expect("a namespace"))
            .await;
        made.expect("a namespace can be made");
        let environments: Api<ZadigEnvironment> = Api::namespaced(world.client.clone(), &other);
        let mut environment = world
            .environment("dev")
            .field("deletionProtection", true)
            .field("suspend", false);
        environment.metadata.namespace = Some(other.clone());
        environment.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let made = environments
            .create(&PostParams::default(), &environment)
            .await;
        made.expect("an environment can be made");

        let guard = Guard::install(world, &[&other]).await;
        world
            .eventually("the policy is in force", async || {
                guard.refusal(&other, "dev").await.is_some()
            })
            .await;
        let deleted = namespaces.delete(&other, &DeleteParams::background()).await;
        deleted.expect("a namespace can be deleted");
        world
            .eventually("its environment is marked", async || {
                let found = environments
                    .get_opt("dev")
                    .await
                    .expect("the API server answers");
                found.is_none_or(|found| found.metadata.deletion_timestamp.is_some())
            })
            .await;
        let annotation = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
        // Without a connection the operator may have let go of it already.
        let _ = environments
            .patch("dev", &PatchParams::default(), &Patch::Merge(annotation))
            .await;
        world
            .eventually("the namespace is gone", async || {
                let found = namespaces.get_opt(&other).await;
                found.expect("the API server answers").is_none()
            })
            .await;
        guard.remove().await;
    });
}
