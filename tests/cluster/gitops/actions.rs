//! The actions that Argo CD offers on our objects, carried out as Argo CD does: the script's difference as a merge patch.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::Licence;

use super::{ask, entry, raw, with_reason};
use crate::support::{
    EnvironmentFixture, Namespaced, Setup, World, is_ready, scenario, scenario_with,
};

/// The entry of a kind in `argocd-cm`.
#[derive(Deserialize)]
struct Actions {
    #[serde(rename = "discovery.lua")]
    discovery: String,
    definitions: Vec<Definition>,
}

#[derive(Deserialize)]
struct Definition {
    name: String,
    #[serde(rename = "action.lua")]
    script: String,
}

fn actions(object: &Value) -> Actions {
    serde_saphyr::from_str(entry("actions", object)).expect("Argo CD reads it as YAML")
}

/// The actions that can be chosen now.
fn offered(object: &Value) -> Vec<String> {
    let Actions {
        discovery,
        definitions,
    } = actions(object);
    let offered = ask("actions", &discovery, object);
    let offered = offered.as_object().expect("by name");
    for name in offered.keys() {
        let mut defined = definitions.iter();
        assert!(defined.any(|known| known.name == *name), "{name}");
    }
    let enabled = offered.iter().filter(|(_, it)| it["disabled"] != true);
    enabled.map(|(name, _)| name.clone()).collect()
}

/// The merge patch that an action comes to.
fn patch(object: &Value, action: &str) -> Value {
    let definitions = actions(object).definitions;
    let found = definitions.iter().find(|known| known.name == action);
    ask("act", &found.expect("it is defined").script, object)
}

/// Chooses an action on an object; the patch that was sent.
async fn act<K: Namespaced>(world: &World, name: &str, action: &str) -> Value {
    let object = raw::<K>(world, name).await;
    assert!(
        offered(&object).iter().any(|it| it == action),
        "{action} of {object:#}"
    );
    let patch = patch(&object, action);
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let sent = api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    sent.unwrap_or_else(|error| panic!("{action}: {error}"));
    patch
}

/// Asks for a look, and waits until it is answered.
async fn look<K: Namespaced>(world: &World, name: &str) {
    let patch = act::<K>(world, name, "reconcile").await;
    let asked = &patch["metadata"]["annotations"]["zadig-operator.io/reconcile-requested-at"];
    let time: Result<jiff::Timestamp, _> = asked.as_str().unwrap_or_default().parse();
    assert!(time.is_ok(), "{patch}");
    world
        .eventually(&format!("{name} was looked at"), async || {
            raw::<K>(world, name).await["status"]["lastHandledReconcileAt"] == *asked
        })
        .await;
}

#[test]
fn reconcile_has_an_object_of_each_kind_looked_at() {
    scenario(async |world| {
        world
            .apply_inhabited(world.environment("dev").service("plain"))
            .await;
        world.await_inhabited().await;
        look::<ZadigConnection>(world, "default").await;
        look::<ZadigEnvironment>(world, "dev").await;
        look::<ZadigEnvConfig>(world, "app").await;
        look::<ZadigServiceBinding>(world, "web").await;
    });
}

async fn suspends_and_resumes<K: Namespaced>(world: &World, name: &str) {
    let before = offered(&raw::<K>(world, name).await);
    assert_eq!(before, ["reconcile", "suspend"]);
    let patch = act::<K>(world, name, "suspend").await;
    assert_eq!(
        patch,
        json!({"spec": {"suspend": true}}),
        "and nothing else"
    );
    assert_eq!(offered(&raw::<K>(world, name).await), ["resume"]);
    let patch = act::<K>(world, name, "resume").await;
    assert_eq!(patch, json!({"spec": {"suspend": false}}));
    assert_eq!(offered(&raw::<K>(world, name).await), before);
}

#[test]
fn suspend_holds_an_object_of_each_kind_and_resume_lets_it_go_on() {
    scenario(async |world| {
        let image = |tag: &str| format!("registry.example.com/reg-main/plain:{tag}");
        let env = world
            .environment("dev")
            .image("plain", "plain", &image("v1"));
        world.apply_inhabited(env).await;
        world.await_inhabited().await;
        suspends_and_resumes::<ZadigConnection>(world, "default").await;
        suspends_and_resumes::<ZadigEnvConfig>(world, "app").await;
        suspends_and_resumes::<ZadigServiceBinding>(world, "web").await;
        suspends_and_resumes::<ZadigEnvironment>(world, "dev").await;
        world.await_inhabited().await;
        // Nothing is repaired meanwhile.
        act::<ZadigEnvironment>(world, "dev", "suspend").await;
        // The operator hears of it by its watch, and tells nothing of it.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let key = world.env_key("dev");
        let mark = world.mark();
        world
            .zadig
            .set_image(&key, "plain", "plain", &image("hand"))
            .await;
        world.apply(&world.environment("qa").service("plain")).await;
        world.await_ready("qa").await;
        if world.sim().is_some() {
            assert_eq!(world.our_changes_since(mark), ["environment.create"]);
        }
        act::<ZadigEnvironment>(world, "dev", "resume").await;
        world.await_ready("dev").await;
        let runs = world.zadig.running_image(&key, "plain", "plain").await;
        assert_eq!(runs, Some(image("v1")));
    });
}

#[test]
fn approve_has_the_shown_plan_of_each_kind_carried_out() {
    let licensed = Setup::default().simulator(|it| it.licence = Some(Licence::Enterprise));
    scenario_with(licensed, async |world| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("management", "Approve");
        world.apply(&env).await;
        let waiting = with_reason::<ZadigEnvironment>(world, "dev", "AwaitingApproval").await;
        assert_eq!(super::seen(&waiting), ["Suspended", "InProgress"]);
        assert_eq!(offered(&waiting), ["approve", "reconcile", "suspend"]);
        let hash = &waiting["status"]["plan"]["hash"];
        let patch = act::<ZadigEnvironment>(world, "dev", "approve").await;
        assert_eq!(patch, json!({"spec": {"approvedPlan": hash}}));
        world.await_ready("dev").await;
        let ready = raw::<ZadigEnvironment>(world, "dev").await;
        assert_eq!(offered(&ready), ["reconcile", "suspend"]);
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain"]);

        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        world
            .apply(&world.config("dev", "ConfigMap", "app", json!({"manifest": manifest})))
            .await;
        world
            .apply(&world.binding("dev", &json!({"name": "web"}), json!({})))
            .await;
        for waiting in [
            with_reason::<ZadigEnvConfig>(world, "app", "AwaitingApproval").await,
            with_reason::<ZadigServiceBinding>(world, "web", "AwaitingApproval").await,
        ] {
            assert_eq!(super::seen(&waiting), ["Suspended", "InProgress"]);
        }
        act::<ZadigEnvConfig>(world, "app", "approve").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        act::<ZadigServiceBinding>(world, "web", "approve").await;
        world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
    });
}

/// A plan of Observe is shown as well, and approving it would do nothing.
#[test]
fn what_is_only_observed_cannot_be_approved() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["web"]).await;
        let env = world
            .environment("dev")
            .replicas("web", 3)
            .field("creation", "Adopt")
            .field("management", "Observe");
        world.apply(&env).await;
        let shown = with_reason::<ZadigEnvironment>(world, "dev", "ObserveOnly").await;
        assert!(shown["status"]["plan"]["hash"].is_string());
        assert_eq!(offered(&shown), ["reconcile", "suspend"]);
        world.zadig.delete(&key).await;
    });
}
