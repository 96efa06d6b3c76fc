//! Specs that cannot be carried out: what a person reads, that nothing is begun, and that a mended spec is.

use futures::future::join_all;
use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{
    EnvironmentFixture, World, has_reason, is_ready, is_stalled, message, scenario, simulated,
};

/// A spec with a mistake, and what is said of it.
struct Mistake {
    name: &'static str,
    object: ZadigEnvironment,
    reason: Reason,
    /// How the sentence begins.
    says: String,
}

fn mistake(
    object: ZadigEnvironment,
    name: &'static str,
    reason: Reason,
    says: impl Into<String>,
) -> Mistake {
    Mistake {
        name,
        object,
        reason,
        says: says.into(),
    }
}

/// Waits until the mistake is told; nothing was begun, in Zadig or on the object.
async fn told_and_nothing_begun(world: &World, mistake: &Mistake) {
    let Mistake {
        name,
        object,
        reason,
        says,
    } = mistake;
    world.apply(object).await;
    let told = world
        .await_that::<ZadigEnvironment>(name, reason.as_str(), |env| {
            has_reason(env, *reason) && is_stalled(env)
        })
        .await;
    let sentence = message(&told, *reason);
    assert!(sentence.starts_with(says), "{name}: {sentence}");
    let begun = (
        told.metadata.finalizers,
        told.metadata.annotations,
        world.zadig.environment(&object.spec.env_key).await,
    );
    assert_eq!(begun, (None, None, None), "{name}");
}

#[test]
fn mistakes_in_a_new_spec_are_told_nothing_is_begun_and_a_mended_one_is_carried_out() {
    scenario(async |world| {
        let env = |name: &str| world.environment(name);
        let mark = world.mark();
        let mistakes = [
            mistake(
                env("service").service("nope"),
                "service",
                Reason::ServiceNotFound,
                "spec.services[nope]: the project has no such service; it has: db, job, plain, web",
            ),
            mistake(
                env("container").image("plain", "nope", "registry.example.com/x:1"),
                "container",
                Reason::ContainerNotFound,
                "spec.services[plain].containers[nope]: the service has no such container; it has: plain",
            ),
            mistake(
                env("workload").service("plain").field(
                    "services",
                    json!([{"name": "plain", "workloads": [{"kind": "StatefulSet", "name": "plain", "replicas": 1}]}]),
                ),
                "workload",
                Reason::WorkloadNotFound,
                "spec.services[plain].workloads[StatefulSet/plain]: the service has no such workload; it has: Deployment/plain",
            ),
            mistake(
                env("variable").variable("db", "nope", "x"),
                "variable",
                Reason::VariableInvalid,
                "spec.services[db].variables[nope]: the service's template has no such variable; it has: cpuLimit, storage",
            ),
            mistake(
                env("enum").variable("web", "logLevel", "loud"),
                "enum",
                Reason::VariableInvalid,
                "spec.services[web].variables[logLevel]: the value is none of the options debug, info, warn",
            ),
            mistake(
                env("bool").variable("web", "debug", "yes"),
                "bool",
                Reason::VariableInvalid,
                "spec.services[web].variables[debug]: the value must be \"true\" or \"false\"",
            ),
            mistake(
                env("global").service("plain").global("nope", "x"),
                "global",
                Reason::VariableInvalid,
                "spec.globalVariables[nope]: the project declares no such global variable",
            ),
            mistake(
                env("unbound").bound("web", "logLevel"),
                "unbound",
                Reason::VariableInvalid,
                "spec.services[web].variables[logLevel].useGlobal: the environment has no global variable of this key; declare it under spec.globalVariables",
            ),
            mistake(
                env("registry")
                    .service("plain")
                    .field("registry", json!({"id": "ffffffffffffffffffffffff"})),
                "registry",
                Reason::RegistryNotFound,
                "spec.registry: Zadig knows no such registry; it knows: registry.example.com/reg-",
            ),
            mistake(
                env("registries")
                    .service("plain")
                    .field("registry", json!({"address": "https://registry.example.com/"})),
                "registries",
                Reason::RegistryNotFound,
                "spec.registry: 2 registries fit; use spec.registry.id with one of ",
            ),
        ];
        join_all(
            mistakes
                .iter()
                .map(|mistake| told_and_nothing_begun(world, mistake)),
        )
        .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());

        join_all(mistakes.iter().map(async |mistake| {
            world
                .apply(&world.environment(mistake.name).service("plain"))
                .await;
            world.await_ready(mistake.name).await;
        }))
        .await;
    });
}

#[test]
fn mistakes_that_cannot_be_mended_are_told_and_the_object_goes_at_once() {
    scenario(async |world| {
        let env = |name: &str| world.environment(name).service("plain");
        let project = |name: &str, key: &str| env(name).field("projectKey", key);
        let mark = world.mark();
        let mistakes = [
            mistake(
                project("project", "no-such-project"),
                "project",
                Reason::ProjectNotFound,
                "zadig shows no project no-such-project to this token",
            ),
            mistake(
                env("cluster").field("cluster", json!({"id": "ffffffffffffffffffffffff"})),
                "cluster",
                Reason::ClusterNotFound,
                "spec.cluster: Zadig knows no such cluster; it knows: ",
            ),
            mistake(
                env("cluster-name").field("cluster", json!({"name": "no-such-cluster"})),
                "cluster-name",
                Reason::ClusterNotFound,
                "spec.cluster: Zadig knows no such cluster; it knows: ",
            ),
            mistake(
                env("system").field("namespace", "kube-system"),
                "system",
                Reason::AccessDenied,
                "spec.namespace: no grant under spec.access of the connection admits this value",
            ),
        ];
        join_all(mistakes.iter().map(async |mistake| {
            told_and_nothing_begun(world, mistake).await;
            world.delete::<ZadigEnvironment>(mistake.name).await;
            world.await_gone::<ZadigEnvironment>(mistake.name).await;
        }))
        .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_project_that_deploys_in_another_way_is_told() {
    // A real Zadig need not have a second project.
    simulated(async |world, _| {
        let object = world.environment("helm").field("projectKey", "golden-helm");
        let says =
            "spec.deployType: KubernetesYAML, but project golden-helm is of Zadig's type helm";
        let mistake = mistake(object, "helm", Reason::InvalidSpec, says);
        told_and_nothing_begun(world, &mistake).await;
    });
}

#[test]
fn a_connection_that_is_not_there_is_told_and_does_not_reveal_others() {
    scenario(async |world| {
        let elsewhere = json!({"name": "default", "namespace": "kube-system"});
        for (name, reference, namespace) in [
            (
                "nowhere",
                json!({"name": "nowhere"}),
                world.namespace.as_str(),
            ),
            ("elsewhere", elsewhere, "kube-system"),
        ] {
            let env = world
                .environment(name)
                .field("connectionRef", reference.clone());
            world.apply(&env).await;
            let told = world
                .await_reason::<ZadigEnvironment>(name, Reason::ConnectionNotFound)
                .await;
            let connection = reference["name"].as_str().unwrap_or_default();
            let expected = format!(
                "spec.connectionRef: there is no ZadigConnection {connection} in namespace {namespace} that may be used from here"
            );
            assert_eq!(told, expected);
        }
    });
}

#[test]
fn a_mistake_in_a_change_loses_nothing_and_does_not_hold_up_the_rest() {
    scenario(async |world| {
        let image = |tag: &str| format!("registry.example.com/reg-main/plain:{tag}");
        let env = world
            .environment("dev")
            .image("plain", "plain", &image("v1"));
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let before = world.zadig.environment(&key).await;

        let mistaken = env
            .image("plain", "plain", &image("v2"))
            .image("plain", "nope", &image("v2"))
            .service("nope");
        world.apply(&mistaken).await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "Stalled", is_stalled)
            .await;
        let expected = "spec.services[nope]: the project has no such service; it has: db, job, plain, web; \
             spec.services[plain].containers[nope]: the service has no such container; it has: plain";
        assert_eq!(message(&told, Reason::ServiceNotFound), expected);
        assert_eq!(
            world.zadig.running_image(&key, "plain", "plain").await,
            Some(image("v2")),
            "the rest of the change is there"
        );
        let after = world.zadig.environment(&key).await;
        let identity = |env: &Option<serde_json::Value>| {
            let env = env.as_ref().expect("it is there");
            (env["namespace"].clone(), env["registry_id"].clone())
        };
        assert_eq!(identity(&after), identity(&before));

        world
            .apply(
                &world
                    .environment("dev")
                    .image("plain", "plain", &image("v3")),
            )
            .await;
        world
            .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
            .await;
        assert_eq!(
            world.zadig.running_image(&key, "plain", "plain").await,
            Some(image("v3"))
        );
    });
}
