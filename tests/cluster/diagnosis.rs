//! What a person is told of a service that does not run: which pod, which container, why, and what it wrote last.

use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::{Diagnosis, LastEvent, ServiceStatus, ZadigEnvironment};
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Ailment, FaultAction, FaultRule, Sim};

use crate::support::{EnvironmentFixture, World, has_reason, is_ready, message, simulated};

const BROKEN: &str = "registry.example.com/reg-main/web:broken";
const PASSWORD: &str = "hunter22-of-the-shop";

fn service(env: &ZadigEnvironment, name: &str) -> ServiceStatus {
    let status = env.status.as_ref().expect("it has a status");
    let found = status.services.iter().find(|service| service.name == name);
    found.expect("it is a declared one").clone()
}

fn diagnosis(env: &ZadigEnvironment, name: &str) -> Diagnosis {
    service(env, name).diagnosis.expect("it was looked into")
}

/// The lines without the time that the simulator's programs begin them with.
fn lines(diagnosis: &Diagnosis) -> Vec<&str> {
    let lines = diagnosis.log.iter();
    lines
        .map(|line| line.split_once(' ').map_or("", |(_, text)| text))
        .collect()
}

async fn not_ready(world: &World, name: &str) -> ZadigEnvironment {
    world
        .await_that(name, "NotReady", |env: &ZadigEnvironment| {
            has_reason(env, Reason::NotReady)
        })
        .await
}

/// The notes of the events that tell of services that are not ready, once there is one: it follows the status.
async fn told(world: &World, name: &str) -> Vec<String> {
    let notes = async || {
        let events = world.events(name).await.into_iter();
        let notes = events.filter(|(reason, _)| reason == "NotReady");
        notes.map(|(_, note)| note).collect::<Vec<_>>()
    };
    let is_told = async || !notes().await.is_empty();
    world.eventually("it is told in an event", is_told).await;
    notes().await
}

/// Somebody makes an environment in Zadig whose `web` runs an image that fails.
async fn environment_in_zadig(world: &World, sim: &Sim, name: &str, ailment: &Ailment) -> String {
    let key = world.env_key(name);
    world.zadig.create(&key, &["web"]).await;
    let created = async || {
        let found = world.zadig.environment(&key).await;
        found.is_some_and(|env| env["status"] == "success")
    };
    world.eventually("it is created", created).await;
    sim.ail(BROKEN, Some(ailment));
    world.zadig.set_image(&key, "web", "web", BROKEN).await;
    key
}

#[test]
fn a_service_that_crashes_is_told_once_with_its_log_and_without_its_secrets() {
    simulated(async |world, sim| {
        let cause = format!("panic: no route to the database of {}", world.namespace);
        let login = format!("login as app with {PASSWORD} on port 18080");
        sim.ail(BROKEN, Some(&Ailment::crash_loop(&[&login, &cause])));
        world.apply(&world.secret("db", "password", PASSWORD)).await;
        world.apply(&world.secret("web", "port", "18080")).await;
        let source = json!({"secretRef": {"name": "db"}});
        world
            .apply(&world.config("dev", "Secret", "db", source))
            .await;
        let port = json!({"secretKeyRef": {"name": "web", "key": "port"}});
        let dev = world
            .environment("dev")
            .service("plain")
            .service("web")
            .variable_from("web", "port", port)
            .image("web", "web", BROKEN);
        world.apply(&dev).await;
        let env = not_ready(world, "dev").await;
        let found = diagnosis(&env, "web");
        let (workload, container) = (found.workload.as_str(), found.container.as_deref());
        assert_eq!((workload, container), ("Deployment/web", Some("web")));
        assert_eq!(found.reason.as_deref(), Some("CrashLoopBackOff"));
        let event = LastEvent {
            reason: "BackOff".to_owned(),
            message: "back-off 5m0s restarting failed container".to_owned(),
        };
        assert_eq!(found.event, Some(event));
        let masked = ["login as app with *** on port ***", &cause];
        assert_eq!(lines(&found), masked);
        assert_eq!(service(&env, "plain").diagnosis, None);
        let sentence = message(&env, Reason::NotReady);
        let pod = found.pod.as_deref().unwrap_or_default();
        assert!(
            sentence.contains(&format!("pod {pod}, container web: CrashLoopBackOff")),
            "{sentence}"
        );
        assert!(!sentence.contains(&cause), "{sentence}");

        let notes = told(world, "dev").await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with(sentence), "{notes:?}");
        assert!(notes[0].ends_with(&cause), "{notes:?}");
        let everything = serde_json::to_string(&env).unwrap() + &notes[0];
        assert!(!everything.contains(PASSWORD), "{everything}");
        let log = World::operator_log();
        assert!(!log.contains(&cause) && !log.contains(PASSWORD));

        world
            .await_that::<ZadigEnvConfig>("db", "Ready", is_ready)
            .await;
        // Its event is sent after its status is written.
        world.await_lists(sim, 2).await;

        // The log goes on with other times; neither it nor the looks at it are repeated.
        let mark = world.mark();
        world.await_lists(sim, 8).await;
        assert_eq!(world.all_operator_writes_since(mark), []);
        for _ in 0..2 {
            world.reconcile_now::<ZadigEnvironment>("dev").await;
            let again = |env: &ZadigEnvironment| {
                let handled =
                    |env: &ZadigEnvironment| env.status.as_ref()?.last_handled_reconcile_at.clone();
                let asked =
                    env.metadata.annotations.as_ref().and_then(|all| {
                        all.get("zadig-operator.io/reconcile-requested-at").cloned()
                    });
                handled(env) == asked
            };
            let env = world.await_that("dev", "looked at again", again).await;
            assert_eq!(diagnosis(&env, "web"), found);
        }
        assert_eq!(world.count_since(mark, "pod.log"), 0);
        assert_eq!(told(world, "dev").await.len(), 1);

        sim.ail(BROKEN, None);
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        let env = world.await_ready("dev").await;
        assert_eq!(service(&env, "web").diagnosis, None);
    });
}

#[test]
fn a_log_or_an_event_that_does_not_come_holds_up_nothing() {
    simulated(async |world, sim| {
        let hang = FaultAction::Delay {
            milliseconds: 60_000,
        };
        let refused = FaultAction::Refuse {
            status: 500,
            body: String::new(),
        };
        let cases = [
            ("hanging", hang.clone(), hang),
            ("page", FaultAction::Html, FaultAction::Html),
            ("lost", FaultAction::DropRequest, refused),
        ];
        let ailment = Ailment::crash_loop(&["panic: nobody reads this"]);
        for (name, log, events) in cases {
            environment_in_zadig(world, sim, name, &ailment).await;
            sim.fault(FaultRule::always(log).on("pod.log"));
            sim.fault(FaultRule::always(events).on("events.list"));
            let env = world.environment(name).service("web");
            let mark = world.mark();
            world.apply(&env.field("creation", "Adopt")).await;
            let env = not_ready(world, name).await;
            let found = diagnosis(&env, "web");
            assert_eq!(found.reason.as_deref(), Some("CrashLoopBackOff"), "{name}");
            assert_eq!((found.event, found.log.len()), (None, 0), "{name}");
            assert_eq!(told(world, name).await.len(), 1, "{name}");
            // One that hangs until the client gives up is not in the journal.
            assert!(world.count_since(mark, "pod.log") <= 1, "{name}");
            sim.clear_faults();
        }
        let connection = world.get::<ZadigConnection>("default").await;
        assert!(is_ready(&connection), "it is no outage: {connection:?}");
        let qa = world.environment("qa").service("plain");
        world.apply(&qa).await;
        world.await_ready("qa").await;
    });
}

#[test]
fn a_service_whose_plan_is_only_shown_is_looked_into_too() {
    simulated(async |world, sim| {
        let ailment = Ailment::crash_loop(&["panic: nobody repairs this"]);
        let key = environment_in_zadig(world, sim, "dev", &ailment).await;
        let mark = world.mark();
        let dev = world
            .environment("dev")
            .image("web", "web", "registry.example.com/reg-main/web:v7")
            .field("creation", "Adopt")
            .field("management", "Observe");
        world.apply(&dev).await;
        let looked_into = |env: &ZadigEnvironment| {
            let status = env.status.as_ref();
            let mut services = status.into_iter().flat_map(|status| &status.services);
            services.any(|it| it.diagnosis.is_some())
        };
        let env = world.await_that("dev", "looked into", looked_into).await;
        assert_eq!(
            lines(&diagnosis(&env, "web")),
            ["panic: nobody repairs this"]
        );
        assert!(env.status.is_some_and(|status| status.plan.is_some()));
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(world.count_since(mark, "pod.log"), 1);
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.zadig.delete(&key).await;
    });
}

#[test]
fn an_image_that_cannot_be_pulled_has_no_log_to_ask_for() {
    simulated(async |world, sim| {
        environment_in_zadig(world, sim, "dev", &Ailment::missing(BROKEN)).await;
        let dev = world.environment("dev").service("web");
        world.apply(&dev.field("creation", "Adopt")).await;
        let env = not_ready(world, "dev").await;
        let found = diagnosis(&env, "web");
        assert_eq!(found.reason.as_deref(), Some("ImagePullBackOff"));
        let message = found.message.unwrap_or_default();
        assert!(message.contains(BROKEN), "{message}");
        let calls = sim.calls();
        assert!(calls.iter().all(|call| call.operation != "pod.log"));
    });
}

#[test]
fn a_bound_service_tells_the_same_of_itself() {
    simulated(async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world.zadig.add_service(&key, "web").await;
        let added = async || world.zadig.services(&key).await.len() == 2;
        world.eventually("it is added", added).await;
        let line = format!("login with {PASSWORD}");
        sim.ail(BROKEN, Some(&Ailment::crash_loop(&[&line])));
        world.zadig.set_image(&key, "web", "web", BROKEN).await;
        world.apply(&world.secret("port", "port", PASSWORD)).await;
        let source = json!({"secretRef": {"name": "port"}});
        world
            .apply(&world.config("dev", "Secret", "port", source))
            .await;
        let fields: Value = json!({"creation": "Adopt"});
        let web = json!({"name": "web"});
        world.apply(&world.binding("dev", &web, fields)).await;
        let is_told = |binding: &ZadigServiceBinding| has_reason(binding, Reason::NotReady);
        let binding = world.await_that("web", "NotReady", is_told).await;
        let status = binding.status.unwrap_or_default();
        let found = status.service.and_then(|service| service.diagnosis);
        let found = found.expect("it was looked into");
        assert_eq!(lines(&found), ["login with ***"]);
        let notes = told(world, "web").await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].ends_with("login with ***"), "{notes:?}");

        sim.ail(BROKEN, None);
        world.reconcile_now::<ZadigServiceBinding>("web").await;
        let binding = world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        let service = binding.status.and_then(|status| status.service);
        assert_eq!(service.and_then(|service| service.diagnosis), None);
    });
}
