//! Who lets changes through: observed, approved, suspended.

use serde_json::{Value, json};
use zadig_operator::api::OWNERSHIP_ANNOTATION;
use zadig_operator::api::condition::{ConditionStatus, ConditionType, Reason};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::management::ProposedPlan;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::Licence;

use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, is_stalled, scenario, scenario_with,
    simulated,
};

const V7: &str = "registry.example.com/reg-main/web:v7";
const HAND: &str = "registry.example.com/reg-main/web:hand";

fn status_of(env: &ZadigEnvironment, type_: ConditionType) -> Option<ConditionStatus> {
    let status = env.status.as_ref()?;
    let mut conditions = status.conditions.iter();
    Some(conditions.find(|found| found.type_ == type_)?.status)
}

fn is_drifted(env: &ZadigEnvironment) -> bool {
    status_of(env, ConditionType::Drifted) == Some(ConditionStatus::True)
}

/// The image that service `web` runs.
async fn web_image(world: &World, key: &str) -> Option<String> {
    world.zadig.running_image(key, "web", "web").await
}

fn plan_of(env: &ZadigEnvironment) -> Option<&ProposedPlan> {
    env.status.as_ref()?.plan.as_ref()
}

/// Waits until exactly these changes are shown; the hash of the plan.
async fn shows(world: &World, name: &str, reason: Reason, summary: &[&str]) -> String {
    let env = world
        .await_that::<ZadigEnvironment>(name, "shown", |env| {
            has_reason(env, reason) && plan_of(env).is_some_and(|plan| plan.summary == summary)
        })
        .await;
    plan_of(&env).expect("it is shown").hash.clone()
}

async fn approve(world: &World, name: &str, hash: &str) {
    let patch = json!({"spec": {"approvedPlan": hash}});
    world.patch::<ZadigEnvironment>(name, patch).await;
}

async fn manage(world: &World, name: &str, management: &str) {
    let patch = json!({"spec": {"management": management}});
    world.patch::<ZadigEnvironment>(name, patch).await;
}

#[test]
fn an_observed_environment_is_shown_and_never_written() {
    scenario(async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["web"]).await;
        world
            .eventually("it runs", async || {
                world
                    .zadig
                    .running_image(&key, "web", "web")
                    .await
                    .is_some()
            })
            .await;
        let mark = world.mark();
        let env = world
            .environment("dev")
            .image("web", "web", V7)
            .field("creation", "Adopt")
            .field("management", "Observe");
        world.apply(&env).await;
        let shown = world
            .await_that::<ZadigEnvironment>("dev", "Drifted and Ready", |env| {
                is_drifted(env) && is_ready(env)
            })
            .await;
        let plan = plan_of(&shown).expect("it differs");
        assert_eq!(plan.actions, 1);
        assert!(
            plan.summary[0].starts_with("set image web/web "),
            "{plan:?}"
        );
        assert!(plan.steps.len() == 1 && !plan.approved, "{plan:?}");
        assert_eq!(
            status_of(&shown, ConditionType::Synced),
            Some(ConditionStatus::False)
        );
        assert_eq!(shown.metadata.finalizers, None);
        let annotations = shown.metadata.annotations.clone().unwrap_or_default();
        assert!(!annotations.contains_key(OWNERSHIP_ANNOTATION));
        assert!(!is_stalled(&shown));
        // Once it is as declared, nothing is left to be shown; and it stays nobody's.
        world.zadig.set_image(&key, "web", "web", V7).await;
        let same = world
            .await_that::<ZadigEnvironment>("dev", "Ready and not Drifted", |env| {
                is_ready(env) && !is_drifted(env)
            })
            .await;
        assert_eq!(plan_of(&same), None);
        assert_eq!(same.metadata.finalizers, None);
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert!(world.zadig.environment(&key).await.is_some());
        let ours = world.changes_since(mark);
        let image = usize::from(world.sim().is_some());
        assert_eq!(ours.len(), image, "the scenario's own call alone: {ours:?}");
        world.zadig.delete(&key).await;
    });
}

#[test]
fn observing_holds_repairs_back_until_it_is_enforced_again() {
    scenario(async |world| {
        let env = world.environment("dev").image("web", "web", V7);
        world.apply(&env).await;
        let ready = world.await_ready("dev").await;
        let key = world.env_key("dev");
        manage(world, "dev", "Observe").await;
        world.await_ready("dev").await;
        world.zadig.set_image(&key, "web", "web", HAND).await;
        let shown = format!("set image web/web {HAND} → {V7}");
        shows(world, "dev", Reason::ObserveOnly, &[&shown]).await;
        let seen = world.get::<ZadigEnvironment>("dev").await;
        assert!(is_ready(&seen), "Ready follows the services");
        let inventory =
            |env: &ZadigEnvironment| env.status.as_ref().and_then(|it| it.inventory.clone());
        assert_eq!(inventory(&seen), inventory(&ready));
        assert_eq!(seen.metadata.annotations, ready.metadata.annotations);
        manage(world, "dev", "Enforce").await;
        world
            .eventually("the image is repaired", async || {
                world
                    .zadig
                    .running_image(&key, "web", "web")
                    .await
                    .as_deref()
                    == Some(V7)
            })
            .await;
        let repaired = world.await_ready("dev").await;
        assert_eq!(plan_of(&repaired), None);
        // What is only observed is released without a call, though it is ours.
        manage(world, "dev", "Observe").await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert!(world.zadig.environment(&key).await.is_some());
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        let event = (
            "ObserveOnly".to_owned(),
            "deleted while only observed: the environment stays in Zadig".to_owned(),
        );
        let told = world.events("dev").await;
        assert!(told.contains(&event), "{told:?}");
        world.zadig.delete(&key).await;
    });
}

#[test]
fn an_observed_environment_that_is_not_there_is_told_and_not_created() {
    simulated(async |world, sim| {
        let env = world
            .environment("dev")
            .service("web")
            .field("management", "Observe");
        world.apply(&env).await;
        let told = world
            .await_that::<ZadigEnvironment>("dev", "told", |env| {
                has_reason(env, Reason::EnvironmentNotFound) && is_drifted(env) && !is_stalled(env)
            })
            .await;
        let plan = plan_of(&told).expect("it is to be created");
        assert!(plan.summary[0].starts_with("create the environment in namespace "));
        let mark = world.mark();
        world.await_lists(sim, 3).await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(told.metadata.finalizers, None);
        manage(world, "dev", "Enforce").await;
        world.await_ready("dev").await;
    });
}

#[test]
fn nothing_happens_before_an_approval_and_everything_approved_afterwards() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .variable("web", "logLevel", "debug")
            .image("web", "web", V7)
            .replicas("web", 2)
            .field("management", "Approve");
        world.apply(&env).await;
        let waiting = world
            .await_that::<ZadigEnvironment>("dev", "AwaitingApproval", |env| {
                has_reason(env, Reason::AwaitingApproval) && is_drifted(env)
            })
            .await;
        assert_eq!(
            status_of(&waiting, ConditionType::Ready),
            Some(ConditionStatus::False)
        );
        assert!(!is_stalled(&waiting));
        let key = world.env_key("dev");
        assert_eq!(world.zadig.environment(&key).await, None);
        assert_eq!(waiting.metadata.finalizers, None);
        let plan = plan_of(&waiting).expect("it is shown").clone();
        // Another hash approves nothing.
        approve(world, "dev", "another").await;
        world
            .await_that::<ZadigEnvironment>("dev", "still waiting", |env| {
                has_reason(env, Reason::AwaitingApproval)
                    && plan_of(env).is_some_and(|shown| shown.hash == plan.hash)
            })
            .await;
        assert_eq!(world.zadig.environment(&key).await, None);
        // The creation cannot carry the number of pods, but its approval covers it.
        approve(world, "dev", &plan.hash).await;
        let ready = world.await_ready("dev").await;
        assert_eq!(plan_of(&ready), None);
        assert_eq!(world.zadig.replicas(&key, "web").await, Some(2));
        // A repair waits again, and what was approved once is not approved for ever.
        let shown = format!("set image web/web {HAND} → {V7}");
        let mut hashes = vec![plan.hash];
        for _ in 0..2 {
            world.zadig.set_image(&key, "web", "web", HAND).await;
            let hash = shows(world, "dev", Reason::AwaitingApproval, &[&shown]).await;
            assert!(!hashes.contains(&hash));
            assert_eq!(web_image(world, &key).await.as_deref(), Some(HAND));
            approve(world, "dev", &hash).await;
            world.await_ready("dev").await;
            assert_eq!(web_image(world, &key).await.as_deref(), Some(V7));
            hashes.push(hash);
        }
        // Who deletes the object has said so.
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn an_approval_is_for_what_was_seen() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .image("web", "web", V7)
            .service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        manage(world, "dev", "Approve").await;
        world.await_ready("dev").await;
        world.zadig.set_image(&key, "web", "web", HAND).await;
        let shown = format!("set image web/web {HAND} → {V7}");
        let first = shows(world, "dev", Reason::AwaitingApproval, &[&shown]).await;
        let other = "registry.example.com/reg-main/web:other";
        world.zadig.set_image(&key, "web", "web", other).await;
        approve(world, "dev", &first).await;
        let shown = format!("set image web/web {other} → {V7}");
        let second = shows(world, "dev", Reason::AwaitingApproval, &[&shown]).await;
        assert_ne!(first, second);
        assert_eq!(web_image(world, &key).await.as_deref(), Some(other));
        approve(world, "dev", &second).await;
        world.await_ready("dev").await;
    });
}

fn config_map(data: &Value) -> Value {
    json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "data": data}})
}

fn licensed() -> Setup {
    Setup::default().simulator(|options| options.licence = Some(Licence::Enterprise))
}

#[test]
fn what_is_inside_an_observed_environment_is_not_written_either() {
    scenario_with(licensed(), async |world| {
        let Some(sim) = world.needs_sim() else { return };
        let key = world.env_key("dev");
        world.zadig.create(&key, &["plain"]).await;
        world
            .eventually("it is there", async || {
                world.zadig.services(&key).await == ["plain"]
            })
            .await;
        let env = world
            .environment("dev")
            .field("creation", "Adopt")
            .field("management", "Observe");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world
            .apply(&world.config("dev", "ConfigMap", "app", config_map(&json!({"a": "1"}))))
            .await;
        world
            .apply(&world.binding("dev", &json!({"name": "web"}), json!({})))
            .await;
        let scaled = json!({"creation": "Adopt", "replicas": 3});
        world
            .apply(&world.binding("dev", &json!({"name": "plain"}), scaled))
            .await;
        let config = world
            .await_that::<ZadigEnvConfig>("app", "shown", |it| has_reason(it, Reason::ObserveOnly))
            .await;
        let web = world
            .await_that::<ZadigServiceBinding>("web", "shown", |it| {
                has_reason(it, Reason::ObserveOnly)
            })
            .await;
        let plain = world
            .await_that::<ZadigServiceBinding>("plain", "shown and Ready", |it| {
                has_reason(it, Reason::ObserveOnly) && is_ready(it)
            })
            .await;
        let summary = |plan: Option<&ProposedPlan>| plan.map(|plan| plan.summary.join("; "));
        assert_eq!(
            [
                summary(config.status.and_then(|it| it.plan).as_ref()),
                summary(web.status.and_then(|it| it.plan).as_ref()),
                summary(plain.status.and_then(|it| it.plan).as_ref()),
            ],
            [
                Some("create ConfigMap app".to_owned()),
                Some("add services web".to_owned()),
                Some("scale Deployment/plain 1 → 3".to_owned()),
            ]
        );
        for finalizers in [
            config.metadata.finalizers,
            web.metadata.finalizers,
            plain.metadata.finalizers,
        ] {
            assert_eq!(finalizers, None);
        }
        world.await_lists(sim, 3).await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        manage(world, "dev", "Enforce").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        for name in ["web", "plain"] {
            world
                .await_that::<ZadigServiceBinding>(name, "Ready", is_ready)
                .await;
        }
        assert_eq!(world.zadig.replicas(&key, "plain").await, Some(3));
    });
}

#[test]
fn what_is_inside_an_environment_with_approvals_needs_its_own() {
    scenario_with(licensed(), async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        manage(world, "dev", "Approve").await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        world
            .apply(&world.config("dev", "ConfigMap", "app", config_map(&json!({"a": "1"}))))
            .await;
        world
            .apply(&world.binding("dev", &json!({"name": "web"}), json!({})))
            .await;
        let config = world
            .await_that::<ZadigEnvConfig>("app", "AwaitingApproval", |it| {
                has_reason(it, Reason::AwaitingApproval)
            })
            .await;
        let binding = world
            .await_that::<ZadigServiceBinding>("web", "AwaitingApproval", |it| {
                has_reason(it, Reason::AwaitingApproval)
            })
            .await;
        assert_eq!(world.zadig.config(&key, "ConfigMap", "app").await, None);
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        let approved = |plan: Option<ProposedPlan>| json!({"spec": {"approvedPlan": plan.expect("it is shown").hash}});
        let plan = config.status.and_then(|status| status.plan);
        world.patch::<ZadigEnvConfig>("app", approved(plan)).await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        let plan = binding.status.and_then(|status| status.plan);
        world
            .patch::<ZadigServiceBinding>("web", approved(plan))
            .await;
        world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
    });
}

#[test]
fn a_suspended_environment_holds_up_what_is_inside_it_and_reports_nothing_new() {
    scenario_with(licensed(), async |world| {
        let Some(sim) = world.needs_sim() else { return };
        let env = world.environment("dev").image("web", "web", V7);
        world.apply(&env).await;
        world.await_ready("dev").await;
        // Another environment tells how time passes.
        world.apply(&world.environment("qa").service("plain")).await;
        world.await_ready("qa").await;
        let key = world.env_key("dev");
        let config = |value: &str| {
            let data = json!({"a": value});
            world.config("dev", "ConfigMap", "app", config_map(&data))
        };
        let binding = |replicas: i32| {
            let plain = json!({"name": "plain"});
            world.binding("dev", &plain, json!({"replicas": replicas}))
        };
        world.apply(&config("1")).await;
        world.apply(&binding(1)).await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        world
            .await_that::<ZadigServiceBinding>("plain", "Ready", is_ready)
            .await;
        world.await_ready("dev").await;
        world.apply(&env.clone().field("suspend", true)).await;
        let status = world.get::<ZadigEnvironment>("dev").await.status;
        let mark = world.mark();
        world.zadig.set_image(&key, "web", "web", HAND).await;
        world.apply(&config("2")).await;
        world.apply(&binding(2)).await;
        world.reconcile_now::<ZadigEnvironment>("dev").await;
        world.await_lists(sim, 5).await;
        assert_eq!(
            world.changes_since(mark),
            ["image.deployment"],
            "the scenario's own"
        );
        let suspended = world.get::<ZadigEnvironment>("dev").await;
        assert_eq!(
            suspended.status, status,
            "as before, observedGeneration too"
        );
        let inside = world.get::<ZadigServiceBinding>("plain").await;
        let observed = inside.status.and_then(|status| status.observed_generation);
        assert_ne!(observed, inside.metadata.generation);
        world.apply(&env.field("suspend", false)).await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        world
            .await_that::<ZadigServiceBinding>("plain", "Ready", is_ready)
            .await;
        assert_eq!(world.zadig.replicas(&key, "plain").await, Some(2));
        assert_eq!(web_image(world, &key).await.as_deref(), Some(V7));
    });
}

#[test]
fn a_suspended_connection_holds_up_every_change_behind_it_and_names_it() {
    scenario_with(licensed(), async |world| {
        let env = world.environment("dev").image("web", "web", V7);
        world.apply(&env).await;
        world.await_ready("dev").await;
        let config = |value: &str| {
            let data = json!({"a": value});
            world.config("dev", "ConfigMap", "app", config_map(&data))
        };
        world.apply(&config("1")).await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
        world
            .patch::<ZadigConnection>("default", suspend(true))
            .await;
        let mark = world.mark();
        world.apply(&env.clone().image("web", "web", HAND)).await;
        world.apply(&config("2")).await;
        world
            .apply(&world.binding("dev", &json!({"name": "plain"}), json!({})))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionSuspended)
            .await;
        assert_eq!(
            told,
            format!("the connection is suspended; waiting: set image web/web {V7} → {HAND}")
        );
        world
            .await_reason::<ZadigEnvConfig>("app", Reason::ConnectionSuspended)
            .await;
        world
            .await_reason::<ZadigServiceBinding>("plain", Reason::ConnectionSuspended)
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world
            .patch::<ZadigConnection>("default", suspend(false))
            .await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        world
            .await_that::<ZadigServiceBinding>("plain", "Ready", is_ready)
            .await;
    });
}

#[test]
fn what_only_shows_a_plan_is_silent() {
    scenario_with(licensed(), async |world| {
        let Some(sim) = world.needs_sim() else { return };
        for name in ["seen", "asked"] {
            world
                .apply(&world.environment(name).image("web", "web", V7))
                .await;
        }
        for (name, management) in [("seen", "Observe"), ("asked", "Approve")] {
            world.await_ready(name).await;
            manage(world, name, management).await;
            world.await_ready(name).await;
            let key = world.env_key(name);
            world.zadig.set_image(&key, "web", "web", HAND).await;
        }
        let shown = format!("set image web/web {HAND} → {V7}");
        shows(world, "seen", Reason::ObserveOnly, &[&shown]).await;
        shows(world, "asked", Reason::AwaitingApproval, &[&shown]).await;
        world.await_lists(sim, 3).await;
        let looks = || {
            let calls = sim.calls().into_iter();
            calls
                .filter(|call| call.operation == "environment.get")
                .count()
        };
        let (mark, settled) = (world.mark(), looks());
        world
            .eventually("thorough looks later", async || looks() > settled + 3)
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        assert_eq!(world.all_operator_writes_since(mark), vec![]);
    });
}
