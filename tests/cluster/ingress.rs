//! Ingresses and volume claims inside an environment: how they come, with and without a licence, and how they go.

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{KubeAction, Licence, Sim};

use crate::support::{
    EnvironmentFixture, Setup, World, is_ready, is_stalled, message, simulated_with,
};

fn licensed(licence: Licence, test: impl AsyncFnOnce(&World, &Sim)) {
    let setup = Setup::default().simulator(|options| options.licence = Some(licence));
    simulated_with(setup, test);
}

/// An Ingress that leads this host to the service `web`.
fn ingress(world: &World, name: &str, host: &str) -> ZadigEnvConfig {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    });
    world.config("dev", "Ingress", name, json!({"manifest": manifest}))
}

/// A claim, whole from the beginning, as Kubernetes lets nothing of it change.
fn claim(world: &World, name: &str, labels: &Value) -> ZadigEnvConfig {
    let manifest = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"labels": labels},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    world.config("dev", "PVC", name, json!({"manifest": manifest}))
}

async fn ready(world: &World, name: &str) {
    world
        .await_that::<ZadigEnvConfig>(name, "Ready", is_ready)
        .await;
}

async fn host(world: &World, name: &str) -> Option<Value> {
    let key = world.env_key("dev");
    let found = world.zadig.config(&key, "Ingress", name).await?;
    Some(found["spec"]["rules"][0]["host"].clone())
}

async fn tier(world: &World, name: &str) -> Option<Value> {
    let key = world.env_key("dev");
    let found = world.zadig.config(&key, "PVC", name).await?;
    Some(found["metadata"]["labels"]["tier"].clone())
}

/// Somebody changes an object in the cluster.
fn change_in_the_cluster(world: &World, sim: &Sim, kind: &str, name: &str, patch: Value) {
    let namespace = format!("{}-env-{}", world.zadig.project, world.env_key("dev"));
    let changed = sim.kube(KubeAction::Patch {
        kind: kind.to_owned(),
        namespace: Some(namespace),
        name: name.to_owned(),
        patch,
        cluster: None,
    });
    changed.expect("it is there");
}

async fn gone(world: &World, type_: &str, name: &str) {
    world.delete::<ZadigEnvConfig>(name).await;
    world.await_gone::<ZadigEnvConfig>(name).await;
    let key = world.env_key("dev");
    assert_eq!(world.zadig.config(&key, type_, name).await, None, "{name}");
}

/// An environment whose creation carries `front` and `files`; that takes no licence.
async fn carried(world: &World) {
    let refs = json!([{"name": "front"}, {"name": "files"}]);
    let dev = world.environment("dev").service("web");
    world.apply(&dev.field("configRefs", refs)).await;
    world.apply(&ingress(world, "front", "a.example.com")).await;
    world
        .apply(&claim(world, "files", &json!({"tier": "fast"})))
        .await;
    world
        .await_that::<ZadigEnvironment>("dev", "Ready", is_ready)
        .await;
    ready(world, "front").await;
    ready(world, "files").await;
    assert_eq!(host(world, "front").await, Some("a.example.com".into()));
    assert_eq!(tier(world, "files").await, Some("fast".into()));
}

#[test]
fn an_ingress_and_a_claim_are_carried_or_come_later_are_repaired_and_go() {
    licensed(Licence::Professional, async |world, sim| {
        let mark = world.mark();
        carried(world).await;
        assert_eq!(world.made_since(mark), ["environment.create"]);

        let mark = world.mark();
        world.apply(&ingress(world, "late", "b.example.com")).await;
        ready(world, "late").await;
        world
            .apply(&claim(world, "more", &json!({"tier": "slow"})))
            .await;
        ready(world, "more").await;
        assert_eq!(world.made_since(mark), ["config.create", "config.create"]);

        let mark = world.mark();
        let rules = json!({"spec": {"rules": [{"host": "by-hand.example.com"}]}});
        change_in_the_cluster(world, sim, "Ingress", "late", rules);
        let labels = json!({"metadata": {"labels": {"tier": "by-hand"}}});
        change_in_the_cluster(world, sim, "PersistentVolumeClaim", "more", labels);
        world
            .eventually("both are repaired", async || {
                host(world, "late").await == Some("b.example.com".into())
                    && tier(world, "more").await == Some("slow".into())
            })
            .await;
        ready(world, "late").await;
        ready(world, "more").await;
        assert_eq!(world.our_changes_since(mark), ["config.update"; 2]);

        for (type_, name) in [("Ingress", "front"), ("PVC", "files"), ("Ingress", "late")] {
            gone(world, type_, name).await;
        }
        gone(world, "PVC", "more").await;
    });
}

#[test]
fn without_a_licence_an_ingress_comes_later_and_a_claim_says_what_else_helps() {
    licensed(Licence::None, async |world, _| {
        carried(world).await;
        let mark = world.mark();
        world.apply(&ingress(world, "late", "b.example.com")).await;
        ready(world, "late").await;
        world.apply(&claim(world, "more", &json!({}))).await;
        let told = world
            .await_that::<ZadigEnvConfig>("more", "LicenceRequired", is_stalled)
            .await;
        let sentence = message(&told, Reason::LicenceRequired);
        assert!(sentence.contains("under spec.configRefs"), "{sentence}");
        assert_eq!(world.made_since(mark), ["config.update"]);
        gone(world, "Ingress", "late").await;
        world.delete::<ZadigEnvConfig>("more").await;
        world.await_gone::<ZadigEnvConfig>("more").await;
    });
}
