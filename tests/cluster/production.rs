//! Production environments (Z§9), which no recording shows: on a simulator whose project has a production side of its own.

use reqwest::Method;
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Call, FaultAction, FaultRule, Licence, Sim};

use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, is_stalled, message, simulated_with,
};

const ROOT: &str = "/openapi/environments/production";
/// A licence that is refused, and a licence service that does not answer (Z§1.3).
const UNLICENSED: &str = r#"{"code": 7050, "description": "", "extra": {}, "message": "用户许可证不可用，请检查许可证后重试", "type": "error"}"#;
const LICENCE_DOWN: &str = r#"{"code": 500, "description": "failed to validate zadig license status, error: connection refused", "message": "Internal Error: "}"#;

pub(crate) fn setup() -> Setup {
    Setup::default().production()
}

fn production(test: impl AsyncFnOnce(&World, &Sim)) {
    simulated_with(setup(), test);
}

fn named(world: &World, name: &str) -> ZadigEnvironment {
    world
        .environment(name)
        .field("scope", "Production")
        .field("deletionProtection", false)
}

fn prod(world: &World) -> ZadigEnvironment {
    named(world, "prod")
}

/// The environment as the list of production environments shows it.
async fn listed(world: &World, name: &str) -> Option<Value> {
    let list = world.zadig.get(ROOT, &[]).await;
    let key = world.env_key(name);
    let found = list.as_array()?.iter().find(|env| env["env_key"] == key);
    found.cloned()
}

async fn detail(world: &World, name: &str) -> Value {
    let path = format!("{ROOT}/{}", world.env_key(name));
    world.zadig.get(&path, &[]).await
}

async fn services(world: &World, name: &str) -> Vec<String> {
    let detail = detail(world, name).await;
    let services = detail["services"].as_array().into_iter().flatten();
    let mut names: Vec<String> = services
        .filter_map(|service| service["service_name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

async fn rendered(world: &World, name: &str, service: &str) -> String {
    let key = world.env_key(name);
    let query = [("envName", key.as_str()), ("serviceName", service)];
    let path = format!("{ROOT}/service/yaml");
    world.zadig.call(Method::GET, &path, &query, None).await.1
}

async fn global(world: &World, name: &str, key: &str) -> Value {
    let path = format!("{ROOT}/{}/variable", world.env_key(name));
    let list = world.zadig.get(&path, &[]).await;
    let mut globals = list.as_array().into_iter().flatten();
    let found = globals.find(|global| global["key"] == key);
    found.cloned().unwrap_or_default()
}

/// Makes a production environment behind the operator's back.
async fn create(world: &World, name: &str, alias: &str) {
    let key = world.env_key(name);
    let body = json!({
        "project_key": world.zadig.project, "env_key": key, "env_name": alias,
        "cluster_id": world.zadig.cluster_id, "registry_id": world.zadig.registry_id,
        "namespace": format!("{}-env-{key}", world.zadig.project),
    });
    world
        .zadig
        .change(Method::POST, ROOT, &[], Some(body))
        .await;
    world
        .eventually("it is made", async || {
            listed(world, name).await.unwrap_or_default()["status"] == "success"
        })
        .await;
}

/// Adds a service to it.
async fn add(world: &World, name: &str, service: &str) {
    let list = json!([{"service_name": service, "variable_kvs": []}]);
    let body = json!({"env_key": world.env_key(name), "service_list": list});
    let path = format!("{ROOT}/service/yaml");
    world
        .zadig
        .change(Method::POST, &path, &[], Some(body))
        .await;
}

async fn set_alias(world: &World, name: &str, alias: &str) {
    let path = format!("{ROOT}/{}", world.env_key(name));
    let body = json!({"env_name": alias});
    world
        .zadig
        .change(Method::PUT, &path, &[], Some(body))
        .await;
}

/// An object in the cluster, past all routes.
fn object(world: &World, sim: &Sim, name: &str, kind: &str, object: &str) -> Option<Value> {
    let namespace = format!("{}-env-{}", world.zadig.project, world.env_key(name));
    let snapshot = sim.snapshot();
    let mut namespaces = snapshot["namespaces"].as_array().into_iter().flatten();
    let found = namespaces.find(|found| found["name"] == namespace);
    let found = found.expect("the namespace stays, whatever happens");
    let mut objects = found["objects"].as_array().into_iter().flatten();
    let found = objects.find(|it| it["kind"] == kind && it["metadata"]["name"] == object);
    found.cloned()
}

fn refuse(status: u16, body: &str, operation: &str) -> FaultRule {
    FaultRule::always(FaultAction::Refuse {
        status,
        body: body.to_owned(),
    })
    .on(operation)
}

async fn blocked(world: &World, name: &str, reason: Reason) -> String {
    let told = world
        .await_that::<ZadigEnvironment>(name, reason.as_str(), |env| {
            has_reason(env, reason) && is_stalled(env)
        })
        .await;
    message(&told, reason).to_owned()
}

#[test]
fn z9_02_it_is_created_filled_changed_and_deleted() {
    production(life);
}

/// Everything that a user does with a production environment, from its creation to its end.
pub(crate) async fn life(world: &World, sim: &Sim) {
    let mark = world.mark();
    let env = prod(world)
        .field("alias", "Shop")
        .global("logLevel", "loud")
        .bound("web", "logLevel")
        .variable("web", "replicas", "2")
        .service("plain");
    world.apply(&env).await;
    let ready = world.await_ready("prod").await;
    let page = format!("{}/v1/projects/detail/golden/detail", world.zadig.url);
    assert_eq!(ready.status.and_then(|status| status.url), Some(page));
    assert_eq!(
        world.made_since(mark),
        [
            "production.environment.create",
            "production.variable.update",
            "production.service.add"
        ]
    );
    let found = listed(world, "prod").await.expect("it is there");
    assert_eq!(
        (&found["envName"], &found["production"]),
        (&json!("Shop"), &json!(true))
    );
    assert_eq!(services(world, "prod").await, ["plain", "web"]);
    let text = rendered(world, "prod", "web").await;
    assert!(
        text.contains("replicas: 2") && text.contains("loud"),
        "{text}"
    );

    // A variable, a global variable and a restart: one call each.
    let mark = world.mark();
    world
        .apply(&env.clone().variable("web", "replicas", "3"))
        .await;
    world
        .eventually("the variable is set", async || {
            rendered(world, "prod", "web").await.contains("replicas: 3")
        })
        .await;
    world.await_ready("prod").await;
    let env = env.variable("web", "replicas", "3");
    world.apply(&env.clone().global("logLevel", "quiet")).await;
    world
        .eventually("the global variable is set", async || {
            global(world, "prod", "logLevel").await["value"] == "quiet"
        })
        .await;
    world.await_ready("prod").await;
    let env = env.global("logLevel", "quiet");
    world.apply(&env.clone().restart_token("plain", "1")).await;
    world
        .eventually("the service is restarted", async || {
            world.count_since(mark, "production.service.restart") == 1
        })
        .await;
    world.await_ready("prod").await;
    assert_eq!(
        world.made_since(mark),
        [
            "production.service.update",
            "production.variable.update",
            "production.service.restart"
        ]
    );

    // What is no longer declared goes, with its workload.
    let fewer = prod(world)
        .field("alias", "Shop")
        .global("logLevel", "quiet")
        .service("plain");
    world.apply(&fewer).await;
    world
        .eventually("the service is pruned", async || {
            services(world, "prod").await == ["plain"]
        })
        .await;
    world.await_ready("prod").await;
    assert_eq!(object(world, sim, "prod", "Deployment", "web"), None);

    // Somebody else's service stays, and so does the namespace.
    add(world, "prod", "web").await;
    world.await_ready("prod").await;
    let mark = world.mark();
    world.delete::<ZadigEnvironment>("prod").await;
    world.await_gone::<ZadigEnvironment>("prod").await;
    assert_eq!(
        world.changes_since(mark),
        ["production.service.delete", "production.environment.delete"]
    );
    assert_eq!(listed(world, "prod").await, None);
    assert_eq!(object(world, sim, "prod", "Deployment", "plain"), None);
    assert!(object(world, sim, "prod", "Deployment", "web").is_some());
}

#[test]
fn it_is_protected_against_deletion_unless_the_opposite_is_spelt_out() {
    production(async |world, _| {
        let env = world
            .environment("prod")
            .field("scope", "Production")
            .service("plain");
        world.apply(&env).await;
        world.await_ready("prod").await;
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("prod").await;
        blocked(world, "prod", Reason::DeletionProtected).await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world
            .patch::<ZadigEnvironment>("prod", json!({"spec": {"deletionProtection": false}}))
            .await;
        world.await_gone::<ZadigEnvironment>("prod").await;
        assert_eq!(listed(world, "prod").await, None);
    });
}

#[test]
fn z9_01_a_service_without_a_production_template_is_told() {
    production(async |world, _| {
        world.apply(&prod(world).service("db")).await;
        assert_eq!(
            blocked(world, "prod", Reason::ServiceNotFound).await,
            "spec.services[db]: the project has no such service in production; it has: plain, web"
        );
        assert_eq!(
            listed(world, "prod").await,
            None,
            "told before it is created"
        );
        // The test side has it, at the same time.
        world.apply(&world.environment("dev").service("db")).await;
        world.await_ready("dev").await;
    });
}

#[test]
fn z9_03_a_change_of_the_registry_keeps_the_alias_whoever_gave_it() {
    production(async |world, _| {
        world.apply(&prod(world).service("plain")).await;
        world.await_ready("prod").await;
        set_alias(world, "prod", "By hand").await;
        let alias = async || listed(world, "prod").await.unwrap_or_default()["envName"].clone();
        let registry = async || detail(world, "prod").await["registry_id"].clone();
        let at = |address: &str| {
            prod(world)
                .service("plain")
                .field("registry", json!({"address": address}))
        };
        let mark = world.mark();
        let before = registry().await;
        world.apply(&at("registry.example.com/reg-alt")).await;
        world
            .eventually("the registry is changed", async || {
                registry().await != before
            })
            .await;
        world.await_ready("prod").await;
        assert_eq!(alias().await, "By hand");
        // Declared from now on, and together with another registry.
        world
            .apply(&at("registry.example.com/reg-main").field("alias", "Shop"))
            .await;
        world
            .eventually("both are as declared", async || {
                registry().await == before && alias().await == "Shop"
            })
            .await;
        world.await_ready("prod").await;
        // Alone, and repaired.
        world
            .apply(&at("registry.example.com/reg-main").field("alias", "Store"))
            .await;
        world
            .eventually("the alias is as declared", async || {
                alias().await == "Store"
            })
            .await;
        world.await_ready("prod").await;
        assert_eq!(
            world.made_since(mark),
            ["production.environment.edit"; 3],
            "one call for each change"
        );
        set_alias(world, "prod", "Mine").await;
        world.reconcile_now::<ZadigEnvironment>("prod").await;
        world
            .eventually("the alias is repaired", async || alias().await == "Store")
            .await;
        assert_eq!(registry().await, before);
    });
}

#[test]
fn one_that_is_there_is_taken_over_and_left_in_place() {
    production(async |world, sim| {
        create(world, "prod", "Old one").await;
        add(world, "prod", "plain").await;
        let env = prod(world).service("plain").service("web");
        world.apply(&env).await;
        assert!(
            blocked(world, "prod", Reason::EnvironmentExists)
                .await
                .contains("\"creation\":\"CreateOrAdopt\"")
        );
        let mark = world.mark();
        world.apply(&env.field("creation", "Adopt")).await;
        world.await_ready("prod").await;
        assert_eq!(services(world, "prod").await, ["plain", "web"]);
        assert_eq!(world.made_since(mark), ["production.service.add"]);
        let found = listed(world, "prod").await.expect("it is there");
        assert_eq!(found["envName"], "Old one", "not declared, not touched");
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("prod").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert!(object(world, sim, "prod", "Deployment", "plain").is_some());
    });
}

#[test]
fn z9_16_a_key_that_the_other_scope_has_is_told_both_ways() {
    production(async |world, _| {
        world.zadig.create(&world.env_key("a"), &["plain"]).await;
        create(world, "b", "").await;
        let mark = world.mark();
        let a = named(world, "a")
            .field("creation", "CreateOrAdopt")
            .service("plain");
        world.apply(&a).await;
        world.apply(&world.environment("b").service("plain")).await;
        for (name, other) in [("a", "test"), ("b", "production")] {
            let told = blocked(world, name, Reason::EnvironmentExists).await;
            let key = world.env_key(name);
            assert_eq!(
                told,
                format!(
                    "spec.envKey: {key} is the key of a {other} environment of project golden, and Zadig keeps one key for both scopes; create another ZadigEnvironment with another envKey or with that scope"
                )
            );
        }
        assert_eq!(world.made_since(mark), Vec::<String>::new());
        // A test environment learns it from one refused creation; neither asks for ever.
        assert_eq!(
            world.changes_since(mark),
            ["environment.create"],
            "and the other creation was never sent"
        );
        // Two objects for one key are rivals whatever their scopes are.
        let rival = world
            .environment("a")
            .field("scope", "Test")
            .field("creation", "Adopt");
        let mut rival = rival;
        rival.metadata.name = Some("younger".to_owned());
        world.apply(&rival).await;
        assert!(
            blocked(world, "younger", Reason::Conflict)
                .await
                .contains("/a is older and owns environment ")
        );
        for name in ["a", "b", "younger"] {
            world.delete::<ZadigEnvironment>(name).await;
            world.await_gone::<ZadigEnvironment>(name).await;
        }
        assert!(listed(world, "b").await.is_some());
        assert!(world.zadig.environment(&world.env_key("a")).await.is_some());
    });
}

#[test]
fn a_refused_licence_is_told_with_its_remedy_and_remembered() {
    let unlicensed = setup().simulator(|options| options.licence = Some(Licence::None));
    simulated_with(unlicensed, async |world, sim| {
        let mark = world.mark();
        world.apply(&prod(world).service("plain")).await;
        let told = blocked(world, "prod", Reason::LicenceRequired).await;
        assert!(
            told.starts_with(
                "spec.scope: production environments need Zadig's professional licence"
            ),
            "{told}"
        );
        // Test environments go on, and nothing asks again but the connection's own look.
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let production = |call: &Call| call.operation.starts_with("production.");
        let asked = |mark| {
            world
                .calls_since(mark)
                .iter()
                .filter(|c| production(c))
                .count()
        };
        let before = asked(mark);
        world.await_lists(sim, 10).await;
        assert!(asked(mark) <= before + 5, "a probe every few seconds");
        assert!(
            world
                .changes_since(mark)
                .iter()
                .all(|operation| operation == "environment.create")
        );
        // What was never made is gone at once.
        world.delete::<ZadigEnvironment>("prod").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
    });
}

#[test]
fn a_licence_that_runs_out_holds_up_everything_until_there_is_one_again() {
    production(async |world, sim| {
        let env = prod(world).service("plain");
        world.apply(&env).await;
        world.await_ready("prod").await;
        sim.fault(refuse(400, UNLICENSED, "production.environment.list"));
        world.apply(&env.clone().service("web")).await;
        blocked(world, "prod", Reason::LicenceRequired).await;
        world.delete::<ZadigEnvironment>("prod").await;
        let told = world
            .await_reason::<ZadigEnvironment>("prod", Reason::LicenceRequired)
            .await;
        let told = if told.ends_with("=Orphan") {
            told
        } else {
            world.reconcile_now::<ZadigEnvironment>("prod").await;
            let told = world
                .await_that::<ZadigEnvironment>("prod", "told how it is released", |env| {
                    message(env, Reason::LicenceRequired).ends_with("=Orphan")
                })
                .await;
            message(&told, Reason::LicenceRequired).to_owned()
        };
        assert!(
            told.ends_with(
                "or release this object with the annotation zadig-operator.io/deletion=Orphan"
            ),
            "{told}"
        );
        sim.clear_faults();
        world.reconcile_now::<ZadigConnection>("default").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
        assert_eq!(listed(world, "prod").await, None);
    });
}

#[test]
fn a_licence_service_that_does_not_answer_is_told_and_nothing_is_remembered() {
    production(async |world, sim| {
        sim.fault(refuse(500, LICENCE_DOWN, "production.environment.list"));
        world.apply(&prod(world).service("plain")).await;
        let told = blocked(world, "prod", Reason::ZadigError).await;
        assert!(
            told.contains("failed to validate zadig license status"),
            "{told}"
        );
        let mark = world.mark();
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        world.await_lists(sim, 10).await;
        let asked = world.count_since(mark, "production.environment.list");
        assert!(asked <= 5, "slowly: {asked}");
        sim.clear_faults();
        world.reconcile_now::<ZadigEnvironment>("prod").await;
        world.await_ready("prod").await;
    });
}

#[test]
fn z9_10_an_object_inside_is_taken_over_compared_and_deleted_but_never_written() {
    production(async |world, sim| {
        world.apply(&prod(world).service("web")).await;
        world.await_ready("prod").await;
        let key = world.env_key("prod");
        let namespace = format!("golden-env-{key}");
        let mark = world.mark();
        let told = async |name: &str, reason: Reason| {
            let told = world
                .await_that::<ZadigEnvConfig>(name, reason.as_str(), |config| {
                    has_reason(config, reason) && is_stalled(config)
                })
                .await;
            message(&told, reason).to_owned()
        };
        let object_of = |name: &str, data: Value| {
            let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
            world.config("prod", "ConfigMap", name, json!({"manifest": manifest}))
        };
        // Z§9, 8 and 13: nothing makes it.
        world.apply(&object_of("mine", json!({"a": "b"}))).await;
        assert_eq!(
            told("mine", Reason::InvalidSpec).await,
            format!(
                "spec.environmentRef: Zadig has no call that makes ConfigMap mine in a production environment; create it in namespace {namespace} of its cluster, and set creation: Adopt to have it compared"
            )
        );
        // Z§9, 10: it is read.
        let greeting = format!("hello from {key} in {namespace} (golden/web)");
        let mut config = object_of("web-config", json!({"GREETING": greeting}));
        config.spec.creation = serde_json::from_value(json!("Adopt")).expect("a value");
        world.apply(&config).await;
        world
            .await_that::<ZadigEnvConfig>("web-config", "Ready", is_ready)
            .await;
        // Z§9, 9: nothing writes it.
        let mut other = object_of("web-config", json!({"GREETING": "hi"}));
        other.spec.creation = config.spec.creation;
        world.apply(&other).await;
        assert!(
            told("web-config", Reason::InvalidSpec)
                .await
                .starts_with("data[GREETING]: ConfigMap web-config is not as declared")
        );
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        // It is deleted where that is asked for.
        other.spec.deletion = serde_json::from_value(json!("Delete")).expect("a value");
        world.apply(&other).await;
        world.delete::<ZadigEnvConfig>("web-config").await;
        world.await_gone::<ZadigEnvConfig>("web-config").await;
        world.delete::<ZadigEnvConfig>("mine").await;
        world.await_gone::<ZadigEnvConfig>("mine").await;
        assert_eq!(world.changes_since(mark), ["production.config.delete"]);
        assert_eq!(object(world, sim, "prod", "ConfigMap", "web-config"), None);
    });
}

#[test]
fn z9_13_objects_are_not_declared_with_the_creation() {
    production(async |world, _| {
        let refused = prod(world).field("configRefs", json!([{"name": "settings"}]));
        let told = world.try_apply(&refused).await.expect_err("refused");
        assert!(
            told.to_string()
                .contains("create the objects in its namespace by other means"),
            "{told}"
        );
        // Z§9, 11: no more than images and replicas.
        for env in [
            prod(world).image("web", "web", "registry.example.com/reg-main/web:v7"),
            prod(world).replicas("web", 2),
        ] {
            let told = world.try_apply(&env).await.expect_err("refused");
            assert!(told.to_string().contains("production template"), "{told}");
        }
    });
}

#[test]
fn z9_11_a_bound_service_gets_its_variables_and_its_image_is_told() {
    production(async |world, _| {
        world.apply(&prod(world).service("plain")).await;
        world.await_ready("prod").await;
        let web = json!({
            "name": "web",
            "variables": [{"key": "logLevel", "value": "loud"}],
            "containers": [{"name": "web", "image": "registry.example.com/reg-main/web:v7"}],
        });
        world.apply(&world.binding("prod", &web, json!({}))).await;
        let told = world
            .await_that::<ZadigServiceBinding>("web", "InvalidSpec", |binding| {
                has_reason(binding, Reason::InvalidSpec) && is_stalled(binding)
            })
            .await;
        assert_eq!(
            message(&told, Reason::InvalidSpec),
            "spec.service.containers: Zadig has no call that sets images of a production service; make them variables of its production template, or set them there, and remove the field"
        );
        assert!(rendered(world, "prod", "web").await.contains("loud"));
        let web = json!({"name": "web", "variables": [{"key": "logLevel", "value": "loud"}]});
        world.apply(&world.binding("prod", &web, json!({}))).await;
        let ready = world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        let status = ready.status.expect("it was told");
        assert_eq!(status.selector, None, "Z§9, 14");
        world.delete::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        assert_eq!(services(world, "prod").await, ["plain"]);
    });
}

#[test]
fn z9_05_a_token_that_may_not_view_the_test_side_cannot_read_what_is_rendered() {
    production(async |world, sim| {
        let token = sim.token("releaser").expect("the seed has a user releaser");
        world.apply(&world.token_secret(&token)).await;
        let env = prod(world).service("plain");
        world.apply(&env).await;
        // Variables alone need the rendered text.
        world.await_ready("prod").await;
        let mark = world.mark();
        world
            .apply(&prod(world).service("plain").variable("web", "port", "9090"))
            .await;
        let told = blocked(world, "prod", Reason::Unauthorized).await;
        assert!(
            told.starts_with("failed to read the YAML of service web in "),
            "{told}"
        );
        assert_eq!(world.made_since(mark), ["production.service.add"]);
    });
}

#[test]
fn z9_06_a_refused_permission_is_told_and_loses_nothing() {
    production(async |world, sim| {
        let env = prod(world).service("plain");
        world.apply(&env).await;
        world.await_ready("prod").await;
        // The routes that add and remove ask a collaboration mode for the verb of the test side: 403 without a body.
        sim.fault(refuse(403, "", "production.service.add"));
        sim.fault(refuse(403, "", "production.service.delete"));
        world.apply(&env.clone().service("web")).await;
        blocked(world, "prod", Reason::Unauthorized).await;
        world.apply(&env).await;
        world.await_ready("prod").await;
        world.delete::<ZadigEnvironment>("prod").await;
        world
            .await_reason::<ZadigEnvironment>("prod", Reason::Unauthorized)
            .await;
        assert!(listed(world, "prod").await.is_some(), "services go first");
        sim.clear_faults();
        world.reconcile_now::<ZadigEnvironment>("prod").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
    });
}

#[test]
fn z9_07_an_addition_that_fails_for_a_broken_test_environment_is_sent_again() {
    production(async |world, sim| {
        let broken = r#"{"code": 6061, "description": "failed to find service of env dev", "extra": {}, "message": "列出项目失败", "type": "error"}"#;
        sim.fault(refuse(400, broken, "production.service.add").times(2));
        let mark = world.mark();
        world.apply(&prod(world).service("plain")).await;
        world.await_ready("prod").await;
        assert_eq!(
            world.made_since(mark),
            ["production.environment.create", "production.service.add"]
        );
        assert_eq!(world.count_since(mark, "production.service.add"), 3);
    });
}

#[test]
fn an_answer_that_is_lost_is_no_second_call_and_leaves_nothing_behind() {
    production(async |world, sim| {
        for operation in [
            "production.environment.create",
            "production.service.add",
            "production.service.delete",
            "production.environment.delete",
        ] {
            sim.fault(
                FaultRule::always(FaultAction::DropAnswer)
                    .on(operation)
                    .times(1),
            );
        }
        let mark = world.mark();
        world.apply(&prod(world).service("plain")).await;
        world.await_ready("prod").await;
        world.delete::<ZadigEnvironment>("prod").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
        for operation in [
            "production.environment.create",
            "production.environment.delete",
        ] {
            assert_eq!(world.count_since(mark, operation), 1, "{operation}");
        }
        assert_eq!(listed(world, "prod").await, None);
        assert_eq!(object(world, sim, "prod", "Deployment", "plain"), None);
    });
}

#[test]
fn one_list_for_each_scope_serves_all_and_idle_is_silent() {
    production(async |world, sim| {
        for index in 0..5 {
            let name = |scope: &str| format!("{scope}{index}");
            let test = world.environment(&name("t")).service("plain");
            world.apply(&test).await;
            let prod = named(world, &name("p"))
                .field("alias", "Shop")
                .variable("web", "logLevel", "loud");
            world.apply(&prod).await;
        }
        for index in 0..5 {
            world.await_ready(&format!("t{index}")).await;
            world.await_ready(&format!("p{index}")).await;
        }
        world.await_lists(sim, 5).await;
        let mark = world.mark();
        world.await_lists(sim, 15).await;
        let test = world.count_since(mark, "environment.list");
        let production = world.count_since(mark, "production.environment.list");
        // The connection's own look costs one of the latter now and then.
        assert!(
            production <= test + test / 2 + 2,
            "{production} lists of production beside {test}"
        );
        assert!(test <= 20, "{test} lists of the test side");
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(world.operator_writes_since(mark), []);
    });
}

#[test]
fn a_connection_can_be_closed_to_one_scope() {
    production(async |world, _| {
        let mut connection = world.connection();
        let access = json!([{"scopes": ["Test"]}]);
        connection.spec.access = serde_json::from_value(access).expect("grants");
        world.apply(&connection).await;
        world.apply(&prod(world).service("plain")).await;
        assert_eq!(
            blocked(world, "prod", Reason::AccessDenied).await,
            "spec.scope: no grant under spec.access of the connection admits this value"
        );
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        assert_eq!(listed(world, "prod").await, None);
        let access = json!([{"scopes": ["Test", "Production"]}]);
        connection.spec.access = serde_json::from_value(access).expect("grants");
        world.apply(&connection).await;
        world.await_ready("prod").await;
    });
}

#[test]
fn a_helm_environment_is_managed_in_production_too() {
    simulated_with(setup().project("golden-helm"), async |world, sim| {
        let with = |replicas: i32| {
            let helm = json!({"values": {"replicaCount": replicas}});
            prod(world)
                .field("deployType", "Helm")
                .field("alias", "Shop")
                .field("services", json!([{"name": "hweb", "helm": helm}]))
        };
        let values = async || {
            let key = world.env_key("prod");
            let query = [("envName", key.as_str()), ("serviceName", "hweb")];
            let path = format!("{ROOT}/service/values");
            let (_, text) = world.zadig.call(Method::GET, &path, &query, None).await;
            let values: Value = serde_saphyr::from_str(&text).unwrap_or_default();
            values["replicaCount"].clone()
        };
        let mark = world.mark();
        world.apply(&with(2)).await;
        world.await_ready("prod").await;
        assert_eq!(values().await, 2);
        let found = listed(world, "prod").await.expect("it is there");
        assert_eq!(
            (&found["envName"], &found["production"]),
            (&json!("Shop"), &json!(true))
        );
        world.apply(&with(3)).await;
        world
            .eventually("the value is set", async || values().await == 3)
            .await;
        world.await_ready("prod").await;
        // The registry goes with the alias here too.
        let address = json!({"address": "registry.example.com/reg-alt"});
        world.apply(&with(3).field("registry", address)).await;
        world
            .eventually("the registry is changed", async || {
                world.count_since(mark, "production.environment.edit") == 1
            })
            .await;
        world.await_ready("prod").await;
        let found = listed(world, "prod").await.expect("it is there");
        assert_eq!(found["envName"], "Shop");
        assert_eq!(
            world.made_since(mark),
            [
                "helm.environment.create",
                "helm.service.add",
                "helm.service.add",
                "production.environment.edit"
            ]
        );
        world.delete::<ZadigEnvironment>("prod").await;
        world.await_gone::<ZadigEnvironment>("prod").await;
        assert_eq!(listed(world, "prod").await, None);
        world
            .eventually("the release is gone", async || {
                object(world, sim, "prod", "Deployment", "hweb").is_none()
            })
            .await;
    });
}
