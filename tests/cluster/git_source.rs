//! An object inside an environment whose source is a file in Git that Zadig follows.

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_sim::KubeAction;

use crate::support::{EnvironmentFixture, Setup, World, is_ready, simulated_with};

/// The code host of the demo's seed.
const CODEHOST: u32 = 7;

fn from_git(world: &World, codehost: u32) -> ZadigEnvConfig {
    let source = json!({
        "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"level": "info"}},
        "git": {
            "codehostId": codehost, "owner": "shop", "repo": "config", "branch": "main",
            "path": "dev/app.yaml", "autoSync": true,
        },
    });
    world.config("dev", "ConfigMap", "app", source)
}

/// The configuration objects of the create calls so far.
fn carried(world: &World) -> Vec<Value> {
    let calls = world.sim().map(zadig_sim::Sim::calls).unwrap_or_default();
    let creations = calls
        .iter()
        .filter(|call| call.operation == "environment.create");
    creations
        .flat_map(|call| {
            let body: Value = serde_json::from_str(&call.body).expect("a create call has a body");
            body["env_configs"].as_array().cloned().unwrap_or_default()
        })
        .collect()
}

#[test]
fn the_creation_tells_zadig_the_source_and_the_content_is_left_to_it_from_there() {
    simulated_with(Setup::default().demo(), async |world, sim| {
        world.apply(&from_git(world, CODEHOST)).await;
        let told = world.await_reason::<ZadigEnvConfig>("app", Reason::EnvironmentNotFound);
        told.await;
        let env = world.environment("dev").service("web");
        world
            .apply(&env.clone().field("configRefs", json!([{"name": "app"}])))
            .await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        let [sent] = &carried(world)[..] else {
            panic!("one object is carried");
        };
        assert_eq!(sent["auto_sync"], true);
        let file = json!({
            "codehost_id": CODEHOST, "owner": "shop", "repo": "config", "branch": "main",
            "values_paths": ["dev/app.yaml"],
        });
        assert_eq!(sent["git_repo_config"], file);

        // A later commit: Zadig writes the object itself, and the source stays.
        let key = world.env_key("dev");
        let namespace = format!("{}-env-{key}", world.zadig.project);
        let commit = KubeAction::Patch {
            kind: "ConfigMap".to_owned(),
            namespace: Some(namespace),
            name: "app".to_owned(),
            patch: json!({"data": {"level": "debug"}}),
            cluster: None,
        };
        sim.kube(commit).expect("it is there");
        let mark = world.mark();
        world.reconcile_now::<ZadigEnvConfig>("app").await;
        world
            .eventually("the object was looked at", async || {
                world.count_since(mark, "config.get") > 0
            })
            .await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());

        // A write through Zadig's API ends the source; no call brings it back.
        let data = json!({"level": "warn"});
        world.zadig.replace_config_map(&key, "app", data).await;
        world.reconcile_now::<ZadigEnvConfig>("app").await;
        let told = world
            .await_reason::<ZadigEnvConfig>("app", Reason::OnlyAtCreation)
            .await;
        assert!(told.contains("is none"), "{told}");
        assert_eq!(world.our_changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn an_object_that_comes_after_its_environment_cannot_have_a_source() {
    simulated_with(Setup::default().demo(), async |world, _| {
        world.apply(&world.environment("dev").service("web")).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.apply(&from_git(world, CODEHOST)).await;
        let told = world
            .await_reason::<ZadigEnvConfig>("app", Reason::OnlyAtCreation)
            .await;
        assert!(told.contains("under its spec.configRefs"), "{told}");
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_code_host_that_zadig_does_not_know_is_told() {
    simulated_with(Setup::default().demo(), async |world, _| {
        world.apply(&from_git(world, CODEHOST + 1)).await;
        let env = world.environment("dev").service("web");
        world
            .apply(&env.field("configRefs", json!([{"name": "app"}])))
            .await;
        let told = world
            .await_reason::<ZadigEnvConfig>("app", Reason::ZadigError)
            .await;
        assert!(told.contains("failed to get codehost"), "{told}");
    });
}
