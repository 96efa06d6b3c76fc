//! Zadig's answers at their worst: what a person reads, that nothing is lost or made twice, and that it goes on afterwards.

use futures::future::join_all;
use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{FaultAction, FaultRule, Licence, Options};

use crate::support::zadig::seed_of_the_recordings;
use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_stalled, message, scenario, simulated,
    simulated_with,
};

const MIB: usize = 1 << 20;

/// Zadig's words for an environment that exists already and for one that is busy (Z§16, E13 and E28).
const EXISTS: &str = r#"{"code": 500, "description": "1 error occurred:\n\t* 创建环境失败: 创建环境失败: 环境已存在\n\n", "message": "Internal Error: "}"#;
const BUSY: &str = r#"{"code": 500, "description": "1 error occurred:\n\t* 更新环境失败: 环境正处于不能更新的状态\n\n", "message": "Internal Error: "}"#;
/// For a licence that is refused, and for a licence service that does not answer (Z§1.3).
const UNLICENSED: &str = r#"{"code": 7050, "description": "", "extra": {}, "message": "用户许可证不可用，请检查许可证后重试", "type": "error"}"#;
const LICENCE_DOWN: &str = r#"{"code": 500, "description": "failed to validate zadig license status, error: connection refused", "message": "Internal Error: "}"#;

fn refuse(status: u16, body: &str) -> FaultAction {
    FaultAction::Refuse {
        status,
        body: body.to_owned(),
    }
}

/// A call of one environment goes wrong.
fn of_environment(world: &World, name: &str, operation: &str, action: FaultAction) -> FaultRule {
    let mut rule = FaultRule::always(action).on(operation);
    rule.contains = Some(world.env_key(name));
    rule
}

#[test]
fn a_list_that_is_no_list_is_told_and_nothing_is_lost() {
    let setup = Setup::default().intervals("1s", "1s", "30s");
    simulated_with(setup, async |world, sim| {
        let other_host = zadig_sim::start(&seed_of_the_recordings(), Options::default())
            .await
            .expect("there is a free port");
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let project = &world.zadig.project;
        let list = format!(
            "failed to list the environments of project {project}: \
             list_environments (GET /openapi/environments?projectKey={project}): "
        );
        let elsewhere = format!("{}/openapi/environments", other_host.url);
        let cases = [
            (
                FaultAction::Html,
                Reason::UnexpectedResponse,
                "unexpected answer: ",
            ),
            (
                FaultAction::Truncated,
                Reason::UnexpectedResponse,
                "unexpected answer: ",
            ),
            (
                FaultAction::HugeBody { bytes: 10 * MIB },
                Reason::UnexpectedResponse,
                "the answer is larger than 8388608 bytes",
            ),
            (
                FaultAction::Redirect {
                    location: elsewhere,
                },
                Reason::UnexpectedResponse,
                "refused to follow a redirect (status 302)",
            ),
            (
                FaultAction::Unauthorized,
                Reason::Unauthorized,
                "refused with status 401",
            ),
            (
                refuse(403, ""),
                Reason::Unauthorized,
                "refused with status 403",
            ),
        ];
        for (action, reason, says) in cases {
            let what = format!("{action:?}");
            sim.fault(FaultRule::always(action).on("environment.list"));
            let told = world
                .await_that::<ZadigEnvironment>("dev", &what, |env| {
                    has_reason(env, reason) && is_stalled(env)
                })
                .await;
            let sentence = message(&told, reason);
            assert!(
                sentence.starts_with(&format!("{list}{says}")),
                "{what}: {sentence}"
            );
            sim.clear_faults();
            world.reconcile_now::<ZadigEnvironment>("dev").await;
            world.await_ready("dev").await;
        }
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(
            other_host.sim.calls(),
            [],
            "nothing, above all no token, went there"
        );
    });
}

#[test]
fn a_create_that_is_answered_badly_makes_one_environment() {
    simulated(async |world, sim| {
        let cases = [
            ("html", FaultAction::Html),
            ("truncated", FaultAction::Truncated),
            ("huge", FaultAction::HugeBody { bytes: 10 * MIB }),
            ("lost-answer", FaultAction::DropAnswer),
            ("lost-request", FaultAction::DropRequest),
            ("exists", refuse(500, EXISTS)),
            ("forbidden", refuse(403, "")),
            ("panic", refuse(500, "")),
            ("gateway", refuse(502, "<html>bad gateway</html>")),
        ];
        let mark = world.mark();
        for (name, action) in &cases {
            let rule = of_environment(world, name, "environment.create", action.clone());
            sim.fault(rule.times(1));
        }
        join_all(cases.iter().map(async |(name, _)| {
            world.apply(&world.environment(name).service("plain")).await;
            world
                .eventually("the create call was sent", async || {
                    let calls = world.calls_since(mark).into_iter();
                    calls
                        .filter(|call| call.operation == "environment.create")
                        .any(|call| call.body.contains(&world.env_key(name)))
                })
                .await;
            // Some are retried slowly, as only a person can help in general.
            world.reconcile_now::<ZadigEnvironment>(name).await;
            world.await_ready(name).await;
            let calls = world.calls_since(mark).into_iter();
            let made = calls
                .filter(|call| call.operation == "environment.create" && call.changed)
                .filter(|call| call.body.contains(&world.env_key(name)))
                .count();
            assert_eq!(made, 1, "{name}");
        }))
        .await;
    });
}

#[test]
fn an_environment_that_somebody_else_creates_meanwhile_is_not_taken_over() {
    simulated(async |world, sim| {
        let mut slow = FaultRule::always(FaultAction::Delay {
            milliseconds: 30_000,
        });
        slow.contains = Some("plain".to_owned());
        sim.fault(slow.on("environment.create"));
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        // The object is claimed just before the call, which then takes its time.
        world
            .await_that::<ZadigEnvironment>("dev", "claimed", |env| {
                env.metadata.finalizers.is_some()
            })
            .await;
        world.zadig.create(&world.env_key("dev"), &["web"]).await;
        sim.clear_faults();
        let told = world
            .await_that::<ZadigEnvironment>("dev", "EnvironmentExists", |env| {
                has_reason(env, Reason::EnvironmentExists) && is_stalled(env)
            })
            .await;
        let sentence = message(&told, Reason::EnvironmentExists);
        assert!(
            sentence.contains(r#"-p '{"spec":{"creation":"CreateOrAdopt"}}'"#),
            "{sentence}"
        );
        assert_eq!(
            (told.metadata.finalizers, told.metadata.annotations),
            (None, None),
            "the claim is taken back"
        );
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["web"], "left as it was");
    });
}

#[test]
fn an_empty_list_beside_a_readable_detail_is_lost_permission_and_not_absence() {
    let setup = Setup::default().intervals("1s", "1s", "30s");
    simulated_with(setup, async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world
            .apply(&world.environment("going").service("plain"))
            .await;
        world.await_ready("dev").await;
        world.await_ready("going").await;
        let mark = world.mark();
        sim.fault(FaultRule::always(FaultAction::ForgetPermission));
        let hidden = async |name: &str| {
            let told = world
                .await_reason::<ZadigEnvironment>(name, Reason::Unauthorized)
                .await;
            let expected = format!(
                "zadig does not list environment {} of project {} but shows its detail: \
                 the token may not view the project's environments",
                world.env_key(name),
                world.zadig.project
            );
            assert_eq!(told, expected);
        };
        hidden("dev").await;
        world.delete::<ZadigEnvironment>("going").await;
        world
            .await_that::<ZadigEnvironment>("going", "being deleted", |env| {
                env.metadata.deletion_timestamp.is_some()
            })
            .await;
        world.reconcile_now::<ZadigEnvironment>("going").await;
        hidden("going").await;
        world.await_lists(sim, 3).await;
        assert_eq!(world.made_since(mark), Vec::<String>::new());

        sim.clear_faults();
        for name in ["dev", "going"] {
            world.reconcile_now::<ZadigEnvironment>(name).await;
        }
        world.await_ready("dev").await;
        world.await_gone::<ZadigEnvironment>("going").await;
        let made = world.made_since(mark);
        assert_eq!(made, ["service.delete", "environment.delete"]);
    });
}

#[test]
fn a_forbidden_change_is_told_and_the_rest_stays_as_it_is() {
    simulated(async |world, sim| {
        let env = world.environment("dev").variable("web", "logLevel", "info");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let before = world.zadig.rendered(&key, "web").await;
        sim.fault(FaultRule::always(refuse(403, "")).on("service.update"));
        let changed = env.variable("web", "logLevel", "debug");
        world.apply(&changed).await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "Unauthorized", |env| {
                has_reason(env, Reason::Unauthorized) && is_stalled(env)
            })
            .await;
        let expected = format!(
            "failed to set variables of web: update_services \
             (PUT /openapi/environments/{key}/services?projectKey={}): refused with status 403",
            world.zadig.project
        );
        assert_eq!(message(&told, Reason::Unauthorized), expected);
        assert_eq!(world.zadig.rendered(&key, "web").await, before);
        sim.clear_faults();
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_ready("dev").await;
        assert!(world.zadig.rendered(&key, "web").await.contains("debug"));
    });
}

#[test]
fn a_busy_environment_is_asked_again_and_the_change_is_made_once() {
    simulated(async |world, sim| {
        let env = world.environment("dev").variable("web", "logLevel", "info");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        sim.fault(
            FaultRule::always(refuse(500, BUSY))
                .on("service.update")
                .times(2),
        );
        world.apply(&env.variable("web", "logLevel", "debug")).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigError)
            .await;
        assert!(
            told.ends_with("更新环境失败: 环境正处于不能更新的状态"),
            "{told}"
        );
        world.await_ready("dev").await;
        let calls = world.calls_since(mark).into_iter();
        let outcomes: Vec<(u16, bool)> = calls
            .filter(|call| call.operation == "service.update")
            .map(|call| (call.status, call.changed))
            .collect();
        assert_eq!(outcomes, [(500, false), (500, false), (200, true)]);
    });
}

#[test]
fn a_licence_that_is_refused_is_known_before_anything_is_tried() {
    let setup = Setup::default().simulator(|options| options.licence = Some(Licence::None));
    simulated_with(setup, async |world, sim| {
        let image = "registry.example.com/reg-main/web:v9";
        let env = world
            .environment("dev")
            .global("logLevel", "info")
            .bound("web", "logLevel");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let changed = env
            .clone()
            .global("logLevel", "debug")
            .image("web", "web", image);
        world.apply(&changed).await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "LicenceRequired", |env| {
                has_reason(env, Reason::LicenceRequired) && is_stalled(env)
            })
            .await;
        assert_eq!(
            message(&told, Reason::LicenceRequired),
            "spec.globalVariables[logLevel]: changing a global variable after creation needs Zadig's professional \
             licence (Zadig refused with code 7050); without it, set the value per service under spec.services[].variables"
        );
        world.await_lists(sim, 3).await;
        assert_eq!(world.changes_since(mark), ["image.deployment"]);
    });
}

#[test]
fn a_licence_that_is_refused_later_is_remembered_after_one_call() {
    let setup = Setup::default().simulator(|options| options.licence = Some(Licence::Professional));
    simulated_with(setup, async |world, sim| {
        let env = world
            .environment("dev")
            .global("logLevel", "info")
            .service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        let production = "production.environment.list";
        for operation in ["variable.update", production] {
            sim.fault(FaultRule::always(refuse(400, UNLICENSED)).on(operation));
        }
        world.apply(&env.global("logLevel", "debug")).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::LicenceRequired)
            .await;
        world.await_lists(sim, 3).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_lists(sim, 3).await;
        assert_eq!(world.changes_since(mark), ["variable.update"]);
    });
}

#[test]
fn a_licence_service_that_is_down_holds_up_nothing_else_and_is_not_taken_for_a_refusal() {
    let setup = Setup::default().simulator(|options| options.licence = Some(Licence::Professional));
    simulated_with(setup, async |world, sim| {
        let image = "registry.example.com/reg-main/web:v9";
        let env = world
            .environment("dev")
            .global("logLevel", "info")
            .service("web");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        sim.fault(FaultRule::always(refuse(500, LICENCE_DOWN)).on("variable.update"));
        let changed = env
            .clone()
            .global("logLevel", "debug")
            .image("web", "web", image);
        world.apply(&changed).await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigError)
            .await;
        assert!(
            told.ends_with("failed to validate zadig license status, error: connection refused"),
            "{told}"
        );
        world
            .eventually("the image is there all the same", async || {
                let key = world.env_key("dev");
                let running = world.zadig.running_image(&key, "web", "web").await;
                running.as_deref() == Some(image)
            })
            .await;
        world.await_lists(sim, 5).await;
        let tried = world.count_since(mark, "variable.update");
        // At once, beside the image, and when the list showed the image.
        assert!(tried <= 3, "retried slowly: {tried} calls");

        sim.clear_faults();
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_ready("dev").await;
        let variables = world.zadig.globals(&world.env_key("dev")).await;
        assert_eq!(variables["logLevel"]["value"], json!("debug"));
    });
}

#[test]
fn what_the_licence_service_keeps_from_being_changed_is_told_and_the_rest_is_changed() {
    // Any Zadig whose licence service does not answer, as that of the recordings.
    scenario(async |world| {
        let image = "registry.example.com/reg-main/web:v9";
        let env = world
            .environment("dev")
            .global("logLevel", "info")
            .service("web");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let changed = env
            .clone()
            .global("logLevel", "debug")
            .image("web", "web", image);
        world.apply(&changed).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::ZadigError)
            .await;
        world
            .eventually("the image is there", async || {
                let running = world.zadig.running_image(&key, "web", "web").await;
                running.as_deref() == Some(image)
            })
            .await;
        let variables = world.zadig.globals(&key).await;
        assert_eq!(variables["logLevel"]["value"], json!("info"));
        world.apply(&env.image("web", "web", image)).await;
        world.await_ready("dev").await;
    });
}
