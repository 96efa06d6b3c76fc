//! What a team does with its service in somebody else's environment.

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use crate::support::{
    EnvironmentFixture, World, has_reason, is_ready, is_stalled, message, scenario,
};

async fn ready(world: &World, name: &str) {
    world
        .await_that::<ZadigServiceBinding>(name, "Ready", is_ready)
        .await;
}

async fn environment_ready(world: &World) {
    world
        .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
        .await;
}

/// An environment `dev` that runs `plain` and is Ready.
async fn environment(world: &World) -> String {
    world
        .apply(&world.environment("dev").service("plain"))
        .await;
    environment_ready(world).await;
    world.env_key("dev")
}

/// An environment `dev` that runs `plain`, and `web` with a variable, and is Ready.
async fn with_inline_web(world: &World) -> (ZadigEnvironment, String) {
    let inline = world
        .environment("dev")
        .service("plain")
        .service("web")
        .variable("web", "logLevel", "debug");
    world.apply(&inline).await;
    environment_ready(world).await;
    (inline, world.env_key("dev"))
}

async fn services(world: &World, key: &str) -> Vec<String> {
    let detail = world.zadig.detail(key).await;
    let services = detail["services"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = services
        .iter()
        .filter_map(|service| service["service_name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn replicas(live: &Value) -> &Value {
    &live["scales"][0]["replicas"]
}

/// Calls that changed a service since the scenario began, by the name of the operation.
fn service_writes(world: &World) -> Vec<String> {
    let calls = world.sim().map(zadig_sim::Sim::calls).unwrap_or_default();
    calls
        .iter()
        .filter(|call| call.mutating && call.operation != "environment.create")
        .map(|call| call.operation.clone())
        .collect()
}

#[test]
fn a_service_is_added_kept_and_removed_apart_from_its_environment() {
    scenario(async |world| {
        let key = environment(world).await;
        let web = json!({
            "name": "web",
            "variables": [{"key": "logLevel", "value": "debug"}],
            "containers": [{"name": "web", "image": "registry.example.com/reg-main/web:v7"}],
        });
        world.apply(&world.binding("dev", &web, json!({}))).await;
        ready(world, "web").await;
        assert_eq!(services(world, &key).await, ["plain", "web"]);
        assert!(world.zadig.rendered(&key, "web").await.contains("debug"));
        environment_ready(world).await;
        world
            .zadig
            .set_image(&key, "web", "web", "registry.example.com/reg-main/web:hand")
            .await;
        world
            .eventually("the image is repaired", async || {
                let live = world.zadig.live_service(&key, "web").await.to_string();
                live.contains("reg-main/web:v7") && !live.contains("web:hand")
            })
            .await;
        ready(world, "web").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(services(world, &key).await, ["plain"]);
        environment_ready(world).await;
    });
}

#[test]
fn a_service_moves_to_its_team_and_back_without_a_write_to_it() {
    scenario(async |world| {
        let (inline, key) = with_inline_web(world).await;
        let web = json!({"name": "web", "variables": [{"key": "logLevel", "value": "debug"}]});
        let binding = world.binding("dev", &web, json!({}));
        world.apply(&binding).await;
        world
            .await_that::<ZadigServiceBinding>("web", "Conflict", |binding| {
                has_reason(binding, Reason::Conflict) && is_stalled(binding)
            })
            .await;
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        ready(world, "web").await;
        environment_ready(world).await;
        world.apply(&inline).await;
        world
            .await_that::<ZadigServiceBinding>("web", "Conflict", |binding| {
                has_reason(binding, Reason::Conflict)
            })
            .await;
        environment_ready(world).await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        environment_ready(world).await;
        assert_eq!(services(world, &key).await, ["plain", "web"]);
        assert_eq!(service_writes(world), [""; 0]);
    });
}

#[test]
fn a_service_moves_to_its_team_and_back_in_the_unsafe_order_too() {
    scenario(async |world| {
        let (inline, key) = with_inline_web(world).await;
        // As one commit arrives whose objects are applied in this order.
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world
            .await_that::<ZadigEnvironment>("dev", "told of what is about to be removed", |env| {
                let told = message(env, Reason::Applying);
                told.contains("removed in a moment") && told.ends_with(": web")
            })
            .await;
        let web = json!({"name": "web", "variables": [{"key": "logLevel", "value": "debug"}]});
        world.apply(&world.binding("dev", &web, json!({}))).await;
        ready(world, "web").await;
        environment_ready(world).await;
        let owned = world.get::<ZadigServiceBinding>("web").await;
        let inventory = owned.status.and_then(|status| status.inventory);
        assert!(
            inventory.is_some_and(|it| it.created),
            "it is the binding's"
        );
        world.delete::<ZadigServiceBinding>("web").await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.apply(&inline).await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        environment_ready(world).await;
        assert_eq!(services(world, &key).await, ["plain", "web"]);
        assert_eq!(service_writes(world), [""; 0]);
        // And one that does not come back goes.
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world
            .eventually("it is removed", async || {
                services(world, &key).await == ["plain"]
            })
            .await;
        environment_ready(world).await;
    });
}

#[test]
fn kubectl_scale_sets_the_pods_of_a_service_and_starts_from_what_runs() {
    scenario(async |world| {
        let key = environment(world).await;
        let fields = json!({"scaleTarget": {"kind": "Deployment", "name": "web"}});
        let binding = world.binding("dev", &json!({"name": "web"}), fields);
        world.apply(&binding).await;
        ready(world, "web").await;
        let seeded = world
            .await_that::<ZadigServiceBinding>("web", "seeded", |binding| {
                binding.spec.replicas.is_some() && is_ready(binding)
            })
            .await;
        let api = world.api::<ZadigServiceBinding>();
        let scale = api.get_scale("web").await.unwrap();
        let status = scale.status.unwrap_or_default();
        assert_eq!(Some(status.replicas), seeded.spec.replicas);
        let selector = format!("s-product={},s-service=web", world.zadig.project);
        assert_eq!(status.selector, Some(selector));
        let patch = json!({"spec": {"replicas": 3}});
        api.patch_scale("web", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        world
            .eventually("three pods are asked for", async || {
                let live = world.zadig.live_service(&key, "web").await;
                *replicas(&live) == json!(3)
            })
            .await;
        world
            .await_that::<ZadigServiceBinding>("web", "scaled", |binding| {
                is_ready(binding) && binding.status.as_ref().and_then(|it| it.replicas) == Some(3)
            })
            .await;
    });
}

#[test]
fn a_binding_from_a_namespace_that_is_not_admitted_learns_nothing() {
    scenario(async |world| {
        environment(world).await;
        let mut elsewhere = world.binding("dev", &json!({"name": "web"}), json!({}));
        elsewhere.spec.environment_ref.namespace = Some("default".to_owned());
        world.apply(&elsewhere).await;
        let refused = world
            .await_that::<ZadigServiceBinding>("web", "EnvironmentNotFound", |binding| {
                has_reason(binding, Reason::EnvironmentNotFound)
            })
            .await;
        let status = refused.status.unwrap_or_default();
        assert_eq!(
            status.conditions[0].message,
            "spec.environmentRef: waiting for a ZadigEnvironment dev in namespace default that admits this one under its bindings"
        );
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
    });
}

#[test]
fn an_older_binding_that_is_not_admitted_claims_nothing() {
    scenario(async |world| {
        environment(world).await;
        let outside = world.namespace_beside("outsider", json!({})).await;
        let mut older = world.binding("dev", &json!({"name": "web"}), json!({}));
        older.metadata.namespace = Some(outside.clone());
        older.spec.environment_ref.namespace = Some(world.namespace.clone());
        let api: Api<ZadigServiceBinding> = Api::namespaced(world.client.clone(), &outside);
        let made = api.create(&PostParams::default(), &older).await;
        made.expect("anybody may try");
        let ours = world.binding("dev", &json!({"name": "web"}), json!({}));
        world.apply(&ours).await;
        ready(world, "web").await;
        let gone = api.delete("web", &DeleteParams::default()).await;
        gone.expect("it is there");
    });
}

#[test]
fn a_service_that_somebody_added_in_zadig_is_taken_over_only_when_asked() {
    scenario(async |world| {
        let key = environment(world).await;
        let body =
            json!({"env_key": key, "service_list": [{"service_name": "web", "variable_kvs": []}]});
        let path = "/openapi/environments/service/yaml";
        world
            .zadig
            .change(http::Method::POST, path, &[], Some(body))
            .await;
        let service = json!({"name": "web"});
        world
            .apply(&world.binding("dev", &service, json!({})))
            .await;
        world
            .await_that::<ZadigServiceBinding>("web", "ServiceExists", |binding| {
                has_reason(binding, Reason::ServiceExists) && is_stalled(binding)
            })
            .await;
        let adopting = json!({"creation": "CreateOrAdopt"});
        world.apply(&world.binding("dev", &service, adopting)).await;
        ready(world, "web").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(services(world, &key).await, ["plain", "web"], "it stays");
    });
}

#[test]
fn a_teams_broken_service_does_not_fail_the_environment() {
    scenario(async |world| {
        environment(world).await;
        let broken = json!({"name": "web", "variables": [{"key": "logLevel", "value": "loud"}]});
        world.apply(&world.binding("dev", &broken, json!({}))).await;
        world
            .await_that::<ZadigServiceBinding>("web", "VariableInvalid", |binding| {
                has_reason(binding, Reason::VariableInvalid) && is_stalled(binding)
            })
            .await;
        environment_ready(world).await;
    });
}

#[test]
fn a_binding_restored_from_a_backup_owns_its_service() {
    scenario(async |world| {
        let key = environment(world).await;
        let binding = world.binding("dev", &json!({"name": "web"}), json!({}));
        world.apply(&binding).await;
        ready(world, "web").await;
        let backup = world.get::<ZadigServiceBinding>("web").await;
        let orphan = json!({"metadata": {"annotations": {"zadig-operator.io/deletion": "Orphan"}}});
        world.patch::<ZadigServiceBinding>("web", orphan).await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        let mark = world.mark();
        let mut restored = binding;
        restored.metadata.annotations = backup.metadata.annotations;
        world.apply(&restored).await;
        ready(world, "web").await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(services(world, &key).await, ["plain"]);
    });
}

#[test]
fn a_binding_that_is_not_admitted_any_more_is_released_and_its_service_stays() {
    scenario(async |world| {
        let admitting = |team: &str| {
            let selector = json!({"matchLabels": {"team": team}});
            world.environment("dev").service("plain").field(
                "bindings",
                json!({"from": "Selector", "selector": selector}),
            )
        };
        world.label(&json!({"team": "blue"})).await;
        world.apply(&admitting("blue")).await;
        let binding = world.binding("dev", &json!({"name": "web"}), json!({}));
        world.apply(&binding).await;
        ready(world, "web").await;
        environment_ready(world).await;
        world.apply(&admitting("green")).await;
        world
            .await_reason::<ZadigServiceBinding>("web", Reason::EnvironmentNotFound)
            .await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        let event = (
            "EnvironmentNotFound".to_owned(),
            format!(
                "deleted while no ZadigEnvironment dev in namespace {} admits this namespace: \
                 where its environment is there, service web stays in it",
                world.namespace
            ),
        );
        let told = world.events("web").await;
        assert!(told.contains(&event), "{told:?}");
        let key = world.env_key("dev");
        assert_eq!(services(world, &key).await, ["plain", "web"]);
    });
}
