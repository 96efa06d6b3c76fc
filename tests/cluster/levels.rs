//! Every release of Zadig that is supported, and every licence it can have (Z§12, Z§1.3).

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Level, Licence, Sim};

use crate::support::{EnvironmentFixture, Setup, World, has_reason, is_ready, simulated_with};
use crate::{helm, production, sharing};

const IMAGE: &str = "registry.example.com/reg-main/web:v7";

/// What the connection says of its server, once it is Ready.
async fn server(world: &World) -> (String, String) {
    let connection = world
        .await_that::<ZadigConnection>("default", "Ready", is_ready)
        .await;
    let status = connection.status.unwrap_or_default();
    let server = status.server.expect("it was probed");
    (server.api_level, server.licence)
}

async fn pods(world: &World, key: &str, service: &str) -> Vec<Value> {
    let live = world.zadig.live_service(key, service).await;
    let pods = live["scales"][0]["pods"].as_array().cloned();
    let names = pods.unwrap_or_default().into_iter();
    names.map(|pod| pod["name"].clone()).collect()
}

/// Everything that a user does with a test environment, from its creation to its end.
async fn everything(world: &World) {
    let dev = world
        .environment("dev")
        .global("logLevel", "debug")
        .service("plain")
        .service("web")
        .bound("web", "logLevel")
        .service("db");
    world.apply(&dev).await;
    world.await_ready("dev").await;
    let key = world.env_key("dev");
    assert!(world.zadig.rendered(&key, "web").await.contains("debug"));

    let dev = dev
        .variable("web", "port", "9090")
        .image("web", "web", IMAGE)
        .replicas("web", 2);
    world.apply(&dev).await;
    world
        .eventually("the change has arrived", async || {
            world.zadig.rendered(&key, "web").await.contains("9090")
                && world
                    .zadig
                    .running_image(&key, "web", "web")
                    .await
                    .as_deref()
                    == Some(IMAGE)
                && world.zadig.replicas(&key, "web").await == Some(2)
        })
        .await;
    world.await_ready("dev").await;

    let before = pods(world, &key, "plain").await;
    let dev = dev.restart_token("plain", "monday");
    world.apply(&dev).await;
    world
        .eventually("another pod runs", async || {
            let now = pods(world, &key, "plain").await;
            now != before && now.len() == before.len()
        })
        .await;
    world.await_ready("dev").await;

    let secret = world.secret("app", "password", "hunter22");
    world.apply(&secret).await;
    let source = json!({"secretRef": {"name": "app"}});
    world
        .apply(&world.config("dev", "Secret", "app", source))
        .await;
    world
        .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
        .await;
    assert!(world.zadig.config(&key, "Secret", "app").await.is_some());

    let job = json!({"name": "job"});
    world.apply(&world.binding("dev", &job, json!({}))).await;
    world
        .await_that::<ZadigServiceBinding>("job", "Ready", is_ready)
        .await;
    assert_eq!(
        world.zadig.services(&key).await,
        ["db", "job", "plain", "web"]
    );
    world.delete::<ZadigServiceBinding>("job").await;
    world.await_gone::<ZadigServiceBinding>("job").await;
    world.delete::<ZadigEnvConfig>("app").await;
    world.await_gone::<ZadigEnvConfig>("app").await;

    let mark = world.mark();
    world
        .apply(&dev.clone().restart_token("db", "monday"))
        .await;
    if server(world).await.0 == "4.2" {
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::NeedsNewerZadig)
            .await;
        assert!(
            told.starts_with("spec.services[db].restartToken: "),
            "{told}"
        );
        assert_eq!(world.changes_since(mark), [""; 0]);
        world.apply(&dev).await;
    } else {
        let restarted = async || world.made_since(mark) == ["pod.restart"];
        world.eventually("the pod is replaced", restarted).await;
    }
    world.await_ready("dev").await;

    world.delete::<ZadigEnvironment>("dev").await;
    world.await_gone::<ZadigEnvironment>("dev").await;
    assert_eq!(world.zadig.environment(&key).await, None);
}

fn on(level: Level, licence: Licence, test: impl AsyncFnOnce(&World, &Sim)) {
    let setup = Setup::default().simulator(|options| {
        options.level = Some(level);
        options.licence = Some(licence);
    });
    simulated_with(setup, test);
}

#[test]
fn everything_works_on_4_2_without_a_licence() {
    on(Level::V42, Licence::None, async |world, _| {
        assert_eq!(server(world).await, ("4.2".to_owned(), "None".to_owned()));
        Box::pin(everything(world)).await;
    });
}

#[test]
fn everything_works_on_4_3() {
    on(Level::V43, Licence::Professional, async |world, _| {
        let expected = ("4.3+".to_owned(), "Professional".to_owned());
        assert_eq!(server(world).await, expected);
        Box::pin(everything(world)).await;
    });
}

#[test]
fn everything_works_on_5_0() {
    on(Level::V50, Licence::Enterprise, async |world, _| {
        let expected = ("4.3+".to_owned(), "Professional".to_owned());
        assert_eq!(server(world).await, expected);
        Box::pin(everything(world)).await;
    });
}

/// The releases beside the one that scenarios run on unless they say otherwise.
fn on_later_levels(setup: fn() -> Setup, life: &impl AsyncFn(&World, &Sim)) {
    for level in [Level::V43, Level::V50] {
        let setup = setup().simulator(|options| options.level = Some(level));
        simulated_with(setup, async |world, sim| Box::pin(life(world, sim)).await);
    }
}

#[test]
fn production_works_on_4_3_and_5_0_as_on_4_2() {
    on_later_levels(production::setup, &production::life);
}

#[test]
fn sharing_works_on_4_3_and_5_0_as_on_4_2() {
    on_later_levels(sharing::mesh, &sharing::life);
}

#[test]
fn releases_work_on_4_3_and_5_0_as_on_4_2() {
    on_later_levels(helm::charts, &helm::life);
}

#[test]
fn an_upgrade_of_zadig_and_a_new_licence_are_noticed_without_a_restart() {
    on(Level::V42, Licence::None, async |world, sim| {
        let dev = world.environment("dev").service("db");
        world.apply(&dev).await;
        world.await_ready("dev").await;
        world
            .apply(&dev.clone().restart_token("db", "monday"))
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::NeedsNewerZadig)
            .await;
        sim.set_level(Level::V43);
        sim.set_licence(Licence::Professional);
        world.reconcile_now::<ZadigConnection>("default").await;
        let expected = ("4.3+".to_owned(), "Professional".to_owned());
        let noticed = async || server(world).await == expected;
        world.eventually("the upgrade is noticed", noticed).await;
        let mark = world.mark();
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_ready("dev").await;
        assert_eq!(world.made_since(mark), ["pod.restart"]);
    });
}

#[test]
fn a_change_of_global_variables_is_told_where_the_licence_does_not_admit_it() {
    for (licence, word) in [
        (Licence::None, "None"),
        (Licence::Professional, "Professional"),
        (Licence::Enterprise, "Professional"),
        (Licence::Unreachable, "Unknown"),
    ] {
        on(Level::V42, licence, async |world, _| {
            assert_eq!(server(world).await.1, word);
            // The creation carries global variables without any licence (Z§1.3).
            let dev = world
                .environment("dev")
                .service("web")
                .bound("web", "logLevel");
            world.apply(&dev.clone().global("logLevel", "debug")).await;
            world.await_ready("dev").await;
            let key = world.env_key("dev");
            let mark = world.mark();
            world.apply(&dev.clone().global("logLevel", "warn")).await;
            let refused = match licence {
                Licence::None => Reason::LicenceRequired,
                // It may be a moment's trouble: nothing is remembered, and it is tried again, slowly.
                Licence::Unreachable => Reason::ZadigError,
                Licence::Professional | Licence::Enterprise => {
                    world
                        .eventually("it is sent", async || {
                            world.zadig.rendered(&key, "web").await.contains("warn")
                        })
                        .await;
                    world.await_ready("dev").await;
                    return;
                }
            };
            let told = |env: &ZadigEnvironment| has_reason(env, refused);
            world.await_that("dev", refused.as_str(), told).await;
            if licence == Licence::None {
                // Known by the probe: not even tried.
                assert_eq!(world.changes_since(mark), [""; 0]);
            }
            assert_eq!(world.made_since(mark), [""; 0]);
            assert!(world.zadig.rendered(&key, "web").await.contains("debug"));
            world.apply(&dev.global("logLevel", "debug")).await;
            world.await_ready("dev").await;
        });
    }
}
