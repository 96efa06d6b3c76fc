//! Helm environments on a real API server: their releases, from values and Secrets to revisions, and their end.

use http::Method;
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{FaultAction, FaultRule, Level, Sim};

use crate::support::{
    EnvironmentFixture, Mark, Setup, World, has_reason, is_ready, is_stalled, simulated_with,
};

const PROJECT: &str = "golden-helm";
const DEPLOY: &str = "helm.service.add";
const VALUES: &str = "/openapi/environments/service/values";

/// A scenario in the recordings' project of charts, which has the service `hweb`.
fn helm(test: impl AsyncFnOnce(&World, &Sim)) {
    simulated_with(charts(), test);
}

pub(crate) fn charts() -> Setup {
    Setup::default().project(PROJECT)
}

/// A Helm environment with these services.
fn environment(world: &World, services: Value) -> ZadigEnvironment {
    world
        .environment("dev")
        .field("deployType", "Helm")
        .field("services", services)
}

/// A Helm environment in which `hweb` is deployed like this.
fn hweb(world: &World, helm: Value) -> ZadigEnvironment {
    let mut service = json!({"name": "hweb"});
    service["helm"] = helm;
    environment(world, json!([service]))
}

async fn ready(world: &World) {
    world.await_ready("dev").await;
}

/// The computed values of the release.
async fn values(world: &World) -> Value {
    let key = world.env_key("dev");
    let query = [("envName", key.as_str()), ("serviceName", "hweb")];
    let (_, text) = world.zadig.call(Method::GET, VALUES, &query, None).await;
    serde_saphyr::from_str(&text).unwrap_or(Value::Null)
}

fn objects(sim: &Sim, namespace: &str, kind: &str) -> Vec<Value> {
    let snapshot = sim.snapshot();
    let namespaces = snapshot["namespaces"].as_array().cloned();
    let found = namespaces.unwrap_or_default().into_iter();
    let found = found.filter(|it| it["name"] == namespace);
    let objects = found.flat_map(|it| it["objects"].as_array().cloned().unwrap_or_default());
    objects.filter(|object| object["kind"] == kind).collect()
}

/// The namespace of the environment.
fn home(world: &World) -> String {
    format!("{PROJECT}-env-{}", world.env_key("dev"))
}

/// How many revisions of the release there are.
fn revisions(world: &World, sim: &Sim) -> usize {
    let secrets = objects(sim, &home(world), "Secret");
    let names = secrets
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    names
        .filter(|name| name.starts_with("sh.helm.release.v1.hweb."))
        .count()
}

fn deployment(world: &World, sim: &Sim) -> Value {
    let found = objects(sim, &home(world), "Deployment");
    found.into_iter().next().unwrap_or(Value::Null)
}

/// Somebody deploys the service in Zadig.
async fn deploy(world: &World, values: &str) {
    let body = json!({
        "env_name": world.env_key("dev"), "production": false,
        "services": [{"service_name": "hweb", "deploy_strategy": "deploy", "values_yaml": values}],
    });
    let path = "/openapi/environments/helm/any/services";
    world
        .zadig
        .change(Method::POST, path, &[], Some(body))
        .await;
}

/// Somebody creates the environment in Zadig.
async fn create(world: &World) {
    let key = world.env_key("dev");
    let body = json!({
        "env_name": key, "cluster_id": world.zadig.cluster_id, "registry_id": world.zadig.registry_id,
        "namespace": home(world), "production": false,
    });
    let path = "/openapi/environments/helm";
    world
        .zadig
        .change(Method::POST, path, &[], Some(body))
        .await;
    settled(world).await;
}

async fn settled(world: &World) {
    let key = world.env_key("dev");
    world
        .eventually("Zadig is done", async || {
            let found = world.zadig.environment(&key).await;
            found.is_some_and(|it| it["status"] == "success" || it["status"] == "failed")
        })
        .await;
}

fn changes(world: &World, mark: Mark) -> Vec<String> {
    world.changes_since(mark)
}

#[test]
fn an_environment_is_created_with_its_release_and_each_change_is_one_upgrade() {
    helm(life);
}

/// A Helm environment is created, its release upgraded, and then nothing is left to do.
pub(crate) async fn life(world: &World, sim: &Sim) {
    let mark = world.mark();
    let two = json!({
        "values": {"replicaCount": 2}, "overrides": [{"key": "port", "value": "9090"}],
    });
    let dev = hweb(world, two).field("alias", "Dev");
    world.apply(&dev).await;
    ready(world).await;
    assert_eq!(changes(world, mark), ["helm.environment.create", DEPLOY]);
    let found = world.zadig.environment(&world.env_key("dev")).await;
    assert_eq!(found.map(|it| it["envName"].clone()), Some(json!("Dev")));
    let found = values(world).await;
    assert_eq!(
        (&found["replicaCount"], &found["port"]),
        (&json!(2), &json!(9090))
    );
    assert_eq!(revisions(world, sim), 1);

    // The override goes, and with it its value, which only the digest tells.
    let mark = world.mark();
    let dev = hweb(world, json!({"values": {"replicaCount": 3}})).field("alias", "Dev");
    world.apply(&dev).await;
    ready(world).await;
    assert_eq!(
        (changes(world, mark), revisions(world, sim)),
        (vec![DEPLOY.to_owned()], 2)
    );
    let found = values(world).await;
    assert_eq!(
        (&found["replicaCount"], &found["port"]),
        (&json!(3), &json!(8080))
    );

    let mark = world.mark();
    world.await_lists(sim, 12).await;
    let written = world.operator_writes_since(mark);
    assert_eq!(
        (changes(world, mark), written.len()),
        (vec![], 0),
        "{written:?}"
    );
}

#[test]
fn values_come_from_secrets_and_follow_them_and_are_told_nowhere() {
    helm(async |world, sim| {
        let file = "replicaCount: 2\nauth: {password: hunter22}\n";
        world
            .apply(&world.secret("values", "values.yaml", file))
            .await;
        world.apply(&world.config_map("port", "port", "9090")).await;
        let helm = json!({
            "valuesFrom": [{"secretKeyRef": {"name": "values", "key": "values.yaml"}}],
            "values": {"auth": {"user": "shop"}},
            "overrides": [{"key": "port", "valueFrom": {"configMapKeyRef": {"name": "port", "key": "port"}}}],
        });
        world.apply(&hweb(world, helm)).await;
        ready(world).await;
        let found = values(world).await;
        let auth = json!({"user": "shop", "password": "hunter22"});
        assert_eq!((&found["auth"], &found["port"]), (&auth, &json!(9090)));

        let mark = world.mark();
        let file = "replicaCount: 2\nauth: {password: hunter23}\n";
        world
            .apply(&world.secret("values", "values.yaml", file))
            .await;
        world
            .eventually("the rotated password is deployed", async || {
                values(world).await["auth"]["password"] == "hunter23"
            })
            .await;
        ready(world).await;
        assert_eq!(
            (changes(world, mark), revisions(world, sim)),
            (vec![DEPLOY.to_owned()], 2)
        );

        let broken = world.secret("values", "values.yaml", "just hunter24");
        world.apply(&broken).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::InvalidSpec)
            .await;
        let field = "spec.services[hweb].helm.valuesFrom[0]";
        assert!(
            told.starts_with(field) && !told.contains("hunter"),
            "{told}"
        );
        let dev = world.get::<ZadigEnvironment>("dev").await;
        let status = serde_json::to_string(&dev.status).unwrap();
        assert!(!status.contains("hunter"), "{status}");
        let events = world.events("dev").await;
        assert!(!format!("{events:?}").contains("hunter"), "{events:?}");
    });
}

#[test]
fn what_somebody_changes_in_zadig_is_repaired_and_what_is_not_declared_is_left() {
    helm(async |world, _sim| {
        world
            .apply(&hweb(world, json!({"values": {"replicaCount": 2}})))
            .await;
        ready(world).await;
        let mark = world.mark();
        deploy(world, "replicaCount: 5").await;
        world
            .eventually("it is repaired", async || {
                values(world).await["replicaCount"] == 2
            })
            .await;
        ready(world).await;
        assert_eq!(world.count_since(mark, DEPLOY), 2, "theirs and ours");
        let mark = world.mark();
        deploy(world, "{replicaCount: 2, port: 7070}").await;
        settled(world).await;
        ready(world).await;
        assert_eq!(world.count_since(mark, DEPLOY), 1, "theirs alone");
        assert_eq!(values(world).await["port"], 7070);
    });
}

#[test]
fn z4_21_a_lone_image_tag_reaches_the_release() {
    helm(async |world, _sim| {
        world.apply(&hweb(world, json!({}))).await;
        ready(world).await;
        let mark = world.mark();
        world
            .apply(&hweb(world, json!({"values": {"image": {"tag": "v2"}}})))
            .await;
        ready(world).await;
        assert_eq!(values(world).await["image"]["tag"], "v2");
        assert_eq!(changes(world, mark), [DEPLOY]);
        world
            .apply(&hweb(
                world,
                json!({"values": {"image": {"tag": "20261127"}}}),
            ))
            .await;
        ready(world).await;
        assert_eq!(values(world).await["image"]["tag"], "20261127");
        assert_eq!(world.count_since(mark, DEPLOY), 2);
    });
}

#[test]
fn z4_21_a_release_that_fails_is_told_once_and_a_better_one_mends_it() {
    helm(async |world, sim| {
        world
            .apply(&hweb(world, json!({"values": {"port": 9090}})))
            .await;
        ready(world).await;
        let mark = world.mark();
        world
            .apply(&hweb(world, json!({"values": {"port": 99999}})))
            .await;
        world
            .await_that::<ZadigEnvironment>("dev", "ReleaseFailed", |dev| {
                has_reason(dev, Reason::ReleaseFailed) && is_stalled(dev)
            })
            .await;
        world.await_lists(sim, 8).await;
        assert_eq!(changes(world, mark), [DEPLOY], "it is not sent again");
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world
            .eventually("a person has it sent again", async || {
                world.count_since(mark, DEPLOY) == 2
            })
            .await;
        world
            .apply(&hweb(world, json!({"values": {"port": 9091}})))
            .await;
        ready(world).await;
        assert_eq!(values(world).await["port"], 9091);
    });
}

#[test]
fn z4_21_a_service_that_the_project_lacks_does_not_hold_up_the_others() {
    helm(async |world, _sim| {
        let services = json!([{"name": "hweb", "helm": {}}, {"name": "nope", "helm": {}}]);
        world.apply(&environment(world, services)).await;
        world
            .eventually("the other is deployed", async || {
                values(world).await["replicaCount"] == 1
            })
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigError)
            .await;
        assert!(told.contains("nope in product template"), "{told}");
        world.apply(&hweb(world, json!({}))).await;
        ready(world).await;
    });
}

#[test]
fn z4_21_an_answer_without_an_environment_counts_as_nothing() {
    helm(async |world, sim| {
        world.apply(&hweb(world, json!({}))).await;
        ready(world).await;
        sim.fault(
            FaultRule::always(FaultAction::Refuse {
                status: 200,
                body: "[]".to_owned(),
            })
            .on(DEPLOY)
            .nth(1),
        );
        let mark = world.mark();
        world
            .apply(&hweb(world, json!({"values": {"port": 9090}})))
            .await;
        ready(world).await;
        assert_eq!(values(world).await["port"], 9090);
        assert_eq!(world.count_since(mark, DEPLOY), 2);
    });
}

#[test]
fn a_lost_answer_is_looked_into() {
    helm(async |world, sim| {
        sim.fault(FaultRule::always(FaultAction::DropAnswer).on(DEPLOY).nth(1));
        world
            .apply(&hweb(world, json!({"values": {"port": 9090}})))
            .await;
        ready(world).await;
        assert_eq!(values(world).await["port"], 9090);
        assert_eq!(revisions(world, sim), 1, "the install is not repeated");
    });
}

#[test]
fn a_pruned_service_is_uninstalled_and_an_imported_one_is_not() {
    helm(async |world, sim| {
        world.apply(&hweb(world, json!({}))).await;
        ready(world).await;
        world.apply(&environment(world, json!([]))).await;
        world
            .eventually("it is uninstalled", async || {
                deployment(world, sim).is_null()
            })
            .await;
        ready(world).await;

        deploy(world, "replicaCount: 1").await;
        settled(world).await;
        let import = json!({"strategy": "Import", "values": {"replicaCount": 7}});
        world.apply(&hweb(world, import.clone())).await;
        ready(world).await;
        world.apply(&environment(world, json!([]))).await;
        ready(world).await;
        world.await_lists(sim, 3).await;
        assert_eq!(deployment(world, sim)["spec"]["replicas"], 1);
    });
}

#[test]
fn z12_a_draft_is_refused_by_a_zadig_that_does_not_know_it() {
    let of = |level| {
        let setup = Setup::default().project(PROJECT);
        setup.simulator(|options| options.level = Some(level))
    };
    simulated_with(of(Level::V42), async |world, sim| {
        world
            .apply(&hweb(world, json!({"strategy": "Draft"})))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::NeedsNewerZadig)
            .await;
        assert!(
            told.starts_with("spec.services[hweb].helm.strategy"),
            "{told}"
        );
        world
            .apply(&hweb(world, json!({"strategy": "Deploy"})))
            .await;
        ready(world).await;
        assert_eq!(revisions(world, sim), 1);
    });
    simulated_with(of(Level::V43), async |world, sim| {
        world
            .apply(&hweb(world, json!({"strategy": "Draft"})))
            .await;
        ready(world).await;
        assert_eq!(deployment(world, sim), Value::Null);
        world
            .apply(&hweb(world, json!({"strategy": "Deploy"})))
            .await;
        ready(world).await;
        assert_eq!(revisions(world, sim), 1);
    });
}

#[test]
fn an_environment_is_adopted_without_an_upgrade() {
    helm(async |world, sim| {
        create(world).await;
        deploy(world, "{replicaCount: 2, port: 9090}").await;
        settled(world).await;
        let mark = world.mark();
        let two = hweb(world, json!({"values": {"replicaCount": 2}}));
        world.apply(&two).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::EnvironmentExists)
            .await;
        world
            .apply(&two.clone().field("creation", "CreateOrAdopt"))
            .await;
        ready(world).await;
        assert_eq!((changes(world, mark), revisions(world, sim)), (vec![], 1));
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert!(!deployment(world, sim).is_null(), "adopted, so it stays");
    });
}

#[test]
fn an_environment_goes_with_its_object() {
    helm(async |world, sim| {
        world.apply(&hweb(world, json!({}))).await;
        ready(world).await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
        world
            .eventually("nothing is left in the cluster", async || {
                deployment(world, sim).is_null()
            })
            .await;
    });
}

#[test]
fn z15_a_project_of_another_type_is_told_before_anything_is_created() {
    helm(async |world, _sim| {
        let mark = world.mark();
        world.apply(&world.environment("dev")).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::InvalidSpec)
            .await;
        assert!(
            told.starts_with("spec.deployType: KubernetesYAML, but"),
            "{told}"
        );
        assert_eq!(changes(world, mark), [""; 0]);
    });
    simulated_with(Setup::default().simulator(|_| {}), async |world, _sim| {
        let mark = world.mark();
        world.apply(&hweb(world, json!({}))).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::InvalidSpec)
            .await;
        assert!(told.starts_with("spec.deployType: Helm, but"), "{told}");
        assert_eq!(changes(world, mark), [""; 0]);
    });
}

#[test]
fn a_service_moves_to_its_team_and_back_without_an_upgrade() {
    helm(async |world, sim| {
        let service = json!({"name": "hweb", "helm": {"values": {"replicaCount": 2}}});
        let inline = environment(world, json!([service]));
        world.apply(&inline).await;
        ready(world).await;
        world
            .apply(&world.binding("dev", &service, json!({})))
            .await;
        world.apply(&environment(world, json!([]))).await;
        bound(world).await;
        ready(world).await;
        assert_eq!(revisions(world, sim), 1);

        let three = json!({"name": "hweb", "helm": {"values": {"replicaCount": 3}}});
        world.apply(&world.binding("dev", &three, json!({}))).await;
        world
            .eventually("the team's value is deployed", async || {
                values(world).await["replicaCount"] == 3
            })
            .await;
        bound(world).await;
        assert_eq!(revisions(world, sim), 2);

        world.apply(&environment(world, json!([three]))).await;
        world
            .await_that::<ZadigServiceBinding>("hweb", "Conflict", |binding| {
                has_reason(binding, Reason::Conflict)
            })
            .await;
        ready(world).await;
        world.delete::<ZadigServiceBinding>("hweb").await;
        world.await_gone::<ZadigServiceBinding>("hweb").await;
        ready(world).await;
        assert_eq!(revisions(world, sim), 2);
    });
}

async fn bound(world: &World) {
    world
        .await_that::<ZadigServiceBinding>("hweb", "Ready", is_ready)
        .await;
}

#[test]
fn a_team_adds_its_release_and_takes_it_away() {
    helm(async |world, sim| {
        world.apply(&environment(world, json!([]))).await;
        ready(world).await;
        let fields = json!({"name": "hweb", "variables": [{"key": "a", "value": "b"}]});
        world.apply(&world.binding("dev", &fields, json!({}))).await;
        let told = world
            .await_reason::<ZadigServiceBinding>("hweb", Reason::InvalidSpec)
            .await;
        assert!(
            told.starts_with("spec.service.variables: the environment deploys by Helm"),
            "{told}"
        );
        let service = json!({"name": "hweb", "helm": {"values": {"port": 9090}}});
        world
            .apply(&world.binding("dev", &service, json!({})))
            .await;
        bound(world).await;
        assert_eq!(values(world).await["port"], 9090);
        world.delete::<ZadigServiceBinding>("hweb").await;
        world.await_gone::<ZadigServiceBinding>("hweb").await;
        world
            .eventually("it is uninstalled", async || {
                deployment(world, sim).is_null()
            })
            .await;
    });
}
