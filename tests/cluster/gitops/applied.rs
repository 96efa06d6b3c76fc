//! Nothing is left to be done for whoever applies the same manifests again: the operator writes no field that they hold.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use xtask::kubectl;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use super::raw;
use crate::support::{Namespaced, Setup, World, is_ready, scenario_with};

fn manifest(world: &World, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": spec,
    })
}

/// As they lie in Git: one of each kind; the binding leaves the number of its pods to others.
struct InGit {
    connection: Value,
    environment: Value,
    config: Value,
    binding: Value,
}

impl InGit {
    fn new(world: &World) -> Self {
        let connection = json!({
            "url": world.zadig.url,
            "tokenSecretRef": {"name": "zadig-token", "key": "token"},
            "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
        });
        let environment = json!({
            "connectionRef": {"name": "default"},
            "projectKey": world.zadig.project,
            "envKey": world.env_key("dev"),
            "cluster": {"id": world.zadig.cluster_id},
            "configRefs": [{"name": "app"}],
            "services": [{
                "name": "plain",
                "containers": [{"name": "plain", "image": "registry.example.com/reg-main/plain:v7"}],
            }],
        });
        let config = json!({
            "environmentRef": {"name": "dev"},
            "type": "ConfigMap",
            "name": "app",
            "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
        });
        let binding = json!({
            "environmentRef": {"name": "dev"},
            "service": {"name": "web"},
            "scaleTarget": {"kind": "Deployment", "name": "web"},
        });
        Self {
            connection: manifest(world, "ZadigConnection", "default", &connection),
            environment: manifest(world, "ZadigEnvironment", "dev", &environment),
            config: manifest(world, "ZadigEnvConfig", "app", &config),
            binding: manifest(world, "ZadigServiceBinding", "web", &binding),
        }
    }
}

/// Applies without forcing anything, as a GitOps tool does.
async fn applied<K: Namespaced>(
    world: &World,
    manager: &str,
    manifest: &Value,
    dry_run: bool,
) -> Value {
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let name = manifest["metadata"]["name"].as_str().expect("it has one");
    let mut params = PatchParams::apply(manager);
    params.dry_run = dry_run;
    let applied = api.patch(name, &params, &Patch::Apply(manifest)).await;
    let applied =
        applied.unwrap_or_else(|error| panic!("{manager} and others are in conflict: {error}"));
    serde_json::to_value(applied).expect("an object is JSON")
}

/// Applying it again would change nothing at all: not the spec, and neither generation nor resourceVersion.
async fn is_clean<K: Namespaced>(world: &World, manager: &str, manifest: &Value) {
    let name = manifest["metadata"]["name"].as_str().expect("it has one");
    let live = raw::<K>(world, name).await;
    let again = applied::<K>(world, manager, manifest, true).await;
    assert_eq!(again, live, "{manager}");
}

async fn scale(world: &World, replicas: i32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let scaled = world
        .api::<ZadigServiceBinding>()
        .patch_scale("web", &PatchParams::default(), &patch)
        .await;
    scaled.expect("it has a scale");
    let key = world.env_key("dev");
    world
        .eventually("so many pods are asked for", async || {
            world.zadig.replicas(&key, "web").await == Some(replicas.into())
        })
        .await;
}

async fn await_all(world: &World) {
    world
        .await_that::<ZadigConnection>("default", "Ready", is_ready)
        .await;
    world.await_inhabited().await;
}

#[test]
fn applying_the_same_manifests_again_changes_nothing() {
    for manager in ["argocd-controller", "kustomize-controller"] {
        scenario_with(Setup::default().without_connection(), async |world| {
            world.apply(&world.token_secret(&world.zadig.token)).await;
            let git = InGit::new(world);
            applied::<ZadigConnection>(world, manager, &git.connection, false).await;
            applied::<ZadigEnvironment>(world, manager, &git.environment, false).await;
            applied::<ZadigEnvConfig>(world, manager, &git.config, false).await;
            applied::<ZadigServiceBinding>(world, manager, &git.binding, false).await;
            await_all(world).await;
            let counted = async || {
                let connection = raw::<ZadigConnection>(world, "default").await;
                connection["status"]["environments"] == 1
            };
            world.eventually("its user is counted", counted).await;
            // As kubectl and an autoscaler do.
            scale(world, 3).await;
            await_all(world).await;
            is_clean::<ZadigConnection>(world, manager, &git.connection).await;
            is_clean::<ZadigEnvironment>(world, manager, &git.environment).await;
            is_clean::<ZadigEnvConfig>(world, manager, &git.config).await;
            is_clean::<ZadigServiceBinding>(world, manager, &git.binding).await;
            let binding = world.get::<ZadigServiceBinding>("web").await;
            assert_eq!(binding.spec.replicas, Some(3), "nobody took it back");
        });
    }
}

#[test]
fn kubectl_diff_shows_nothing_once_it_is_ready() {
    if !kubectl::is_there() {
        return;
    }
    scenario_with(Setup::default().without_connection(), async |world| {
        world.apply(&world.token_secret(&world.zadig.token)).await;
        let git = InGit::new(world);
        let list = json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [git.connection, git.environment, git.config, git.binding],
        });
        let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        std::fs::write(file.path(), list.to_string()).expect("it can be written");
        let path = file.path().to_str().expect("a path");
        world.kubectl(&["apply", "-f", path]).await.expect("taken");
        await_all(world).await;
        scale(world, 2).await;
        await_all(world).await;
        let shown = world.kubectl(&["diff", "-f", path]).await;
        assert_eq!(shown.as_deref(), Ok(""));
        // It does tell a difference.
        let mut changed = list;
        changed["items"][1]["spec"]["services"][0]["containers"][0]["image"] =
            "registry.example.com/reg-main/plain:v8".into();
        std::fs::write(file.path(), changed.to_string()).expect("it can be written");
        world
            .kubectl(&["diff", "-f", path])
            .await
            .expect_err("a difference is an exit code of its own");
    });
}
