//! Deletion always ends: while Zadig is at work or stuck, without the connection, suspended, and by orphaning in every case.
//!
//! The table of design §2, rule 6, row by row:
//!
//! | while deleting | scenario |
//! |---|---|
//! | suspended | [`deleting_a_suspended_object_calls_nothing`] |
//! | protected | `lifetime::a_protected_environment_outlives_…`, `lifetime::what_is_inside_a_protected_environment_stays_…` |
//! | budget used up | `lifetime::deletions_beyond_the_hours_budget_…`, `lifetime::a_service_of_a_deleted_binding_counts_too_…` |
//! | connection suspended | [`deleting_behind_a_suspended_connection_waits_for_it`] |
//! | configs and bindings inside | [`a_namespace_ends_with_all_that_is_in_it`], `env_config::an_object_ends_with_its_environment_in_any_order` |
//! | Secret gone, namespace terminating | [`a_namespace_ends_with_all_that_is_in_it`], [`orphan_releases_an_object_from_every_case_it_may_hang_in`] |
//! | connection forced away, Zadig gone | [`a_connection_that_was_forced_away_is_missed_and_used_when_it_is_back`], and the same |

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_operator::api::{CONNECTION_FINALIZER, DELETION_ANNOTATION};
use zadig_sim::{FaultAction, FaultRule, KubeAction, Options, Sim};

use crate::support::zadig::seed_of_the_recordings;
use crate::support::{
    EnvironmentFixture, Setup, World, has_reason, is_ready, scenario, simulated, simulated_with,
};

#[test]
fn an_object_that_is_deleted_while_its_environment_is_created_takes_it_along() {
    scenario(async |world| {
        world.apply(&world.environment("dev").service("web")).await;
        let key = world.env_key("dev");
        world
            .eventually("the creation began", async || {
                world.zadig.environment(&key).await.is_some()
            })
            .await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn a_stuck_environment_is_told_and_deleting_helps() {
    let setup = Setup::default().intervals("1s", "5s", "2s");
    simulated_with(setup, async |world, sim| {
        let stuck = |operation: &str| FaultRule::always(FaultAction::Stick).on(operation);
        let updated = world
            .environment("updated")
            .variable("web", "logLevel", "info");
        world.apply(&updated).await;
        world.await_ready("updated").await;
        sim.fault(stuck("environment.create"));
        sim.fault(stuck("service.update"));
        world
            .apply(&updated.variable("web", "logLevel", "debug"))
            .await;
        world
            .apply(&world.environment("created").service("web"))
            .await;
        for (name, word) in [("created", "creating"), ("updated", "updating")] {
            let told = world
                .await_reason::<ZadigEnvironment>(name, Reason::ZadigStuck)
                .await;
            assert!(
                told.starts_with(&format!("Zadig has reported {word} since "))
                    && told.ends_with("Only deleting the environment helps: delete this object, or the environment in Zadig"),
                "{told}"
            );
        }
        for name in ["created", "updated"] {
            world.delete::<ZadigEnvironment>(name).await;
            world.await_gone::<ZadigEnvironment>(name).await;
            assert_eq!(
                world.zadig.environment(&world.env_key(name)).await,
                None,
                "{name}"
            );
        }
    });
}

#[test]
fn a_connection_that_is_deleted_first_stays_until_its_objects_are_cleaned_up() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigConnection>("default", "held", |connection| {
                connection.metadata.finalizers == Some(vec![CONNECTION_FINALIZER.to_owned()])
            })
            .await;
        world.delete::<ZadigConnection>("default").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigConnection>("default").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn a_connection_that_was_forced_away_is_missed_and_used_when_it_is_back() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        force_away(world).await;
        world.delete::<ZadigEnvironment>("dev").await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionGone)
            .await;
        assert_eq!(
            told,
            format!(
                "spec.connectionRef: there is no ZadigConnection default in namespace {} that may be used from here; \
                 restore it, or release this object with the annotation zadig-operator.io/deletion=Orphan",
                world.namespace
            )
        );
        let key = world.env_key("dev");
        assert!(world.zadig.environment(&key).await.is_some());
        world.apply(&world.connection()).await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn a_connection_that_is_gone_is_not_used_any_more() {
    simulated(async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        // Another connection, with another user's token, tells how time passes.
        let viewer = sim.token("viewer").expect("the seed has a user viewer");
        world.apply(&world.secret("viewer", "token", &viewer)).await;
        let mut other = world.connection();
        other.metadata.name = Some("other".to_owned());
        other.spec.token_secret_ref.name = "viewer".to_owned();
        world.apply(&other).await;
        let env = world
            .environment("qa")
            .field("connectionRef", json!({"name": "other"}));
        world.apply(&env).await;
        force_away(world).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionNotFound)
            .await;
        // A look that was under way is over by then.
        world.await_lists(sim, 2).await;
        let mark = world.mark();
        world.await_lists(sim, 5).await;
        let calls = world.calls_since(mark).into_iter();
        let ours: Vec<_> = calls
            .filter(|call| call.user.as_deref() == Some("admin"))
            .collect();
        assert_eq!(ours, []);
    });
}

#[test]
fn deleting_a_suspended_object_calls_nothing() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.apply(&env.field("suspend", true)).await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        let key = world.env_key("dev");
        assert!(world.zadig.environment(&key).await.is_some());
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        let told = world.events("dev").await;
        let event = (
            "Suspended".to_owned(),
            "deleted while suspended: the environment stays in Zadig".to_owned(),
        );
        assert!(told.contains(&event), "{told:?}");
        world.zadig.delete(&key).await;
    });
}

#[test]
fn deleting_behind_a_suspended_connection_waits_for_it() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
        world
            .patch::<ZadigConnection>("default", suspend(true))
            .await;
        world.delete::<ZadigEnvironment>("dev").await;
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionSuspended)
                .await,
            "the connection is suspended; the environment is deleted when it is resumed"
        );
        let key = world.env_key("dev");
        assert!(world.zadig.environment(&key).await.is_some());
        world
            .patch::<ZadigConnection>("default", suspend(false))
            .await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn a_namespace_ends_with_all_that_is_in_it() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain");
        world.apply_inhabited(env).await;
        world.await_inhabited().await;
        // The token's Secret has no finalizer and goes with the first.
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let deleted = namespaces
            .delete(&world.namespace, &DeleteParams::default())
            .await;
        deleted.expect("it is there");
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigConnection>("default").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn services_go_first_from_a_namespace_that_was_there_before() {
    simulated(async |world, sim| {
        let namespace = format!("{}-target", world.namespace);
        sim.kube(KubeAction::Create {
            kind: "Namespace".to_owned(),
            namespace: None,
            name: namespace.clone(),
            manifest: None,
            cluster: None,
        })
        .expect("a namespace can be made");
        let env = world
            .environment("dev")
            .service("plain")
            .service("web")
            .field("namespace", namespace.as_str());
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(
            world.changes_since(mark),
            ["service.delete", "environment.delete"]
        );
        let left = KubeAction::Delete {
            kind: "Deployment".to_owned(),
            namespace: Some(namespace),
            name: "plain".to_owned(),
            wait: false,
            cluster: None,
        };
        assert!(
            sim.kube(left).is_err(),
            "the namespace stays, without workloads"
        );
    });
}

/// How an object comes to hang in its deletion, and what it then says.
struct Stuck {
    name: &'static str,
    reason: Reason,
    cause: fn(&Sim, &str) -> Cause,
}

/// What is done to the world before the object is deleted.
enum Cause {
    Fault(FaultRule),
    Connection(Value),
    ConnectionGone,
    SecretGone,
}

#[test]
fn orphan_releases_an_object_from_every_case_it_may_hang_in() {
    let cases = [
        Stuck {
            name: "zadig-is-down",
            reason: Reason::ZadigUnreachable,
            cause: |_, _| Cause::Fault(FaultRule::always(FaultAction::DropRequest)),
        },
        Stuck {
            name: "permission-is-lost",
            reason: Reason::Unauthorized,
            cause: |_, _| Cause::Fault(FaultRule::always(FaultAction::ForgetPermission)),
        },
        Stuck {
            name: "the-delete-call-is-refused",
            reason: Reason::ZadigError,
            cause: |_, _| {
                let action = FaultAction::Refuse {
                    status: 500,
                    body: r#"{"code": 500, "description": "this is a base environment, collaborations:[x] is related", "message": "Internal Error: "}"#
                        .to_owned(),
                };
                Cause::Fault(FaultRule::always(action).on("environment.delete"))
            },
        },
        Stuck {
            name: "zadig-hangs-in-deleting",
            reason: Reason::Deleting,
            cause: |_, _| {
                Cause::Fault(FaultRule::always(FaultAction::Stick).on("environment.delete"))
            },
        },
        Stuck {
            name: "the-connection-is-suspended",
            reason: Reason::ConnectionSuspended,
            cause: |_, _| Cause::Connection(json!({"spec": {"suspend": true}})),
        },
        Stuck {
            name: "the-connection-leads-elsewhere",
            reason: Reason::DifferentZadig,
            cause: |_, other| Cause::Connection(json!({"spec": {"url": other}})),
        },
        Stuck {
            name: "the-grant-was-taken-back",
            reason: Reason::ConnectionNotFound,
            cause: |_, _| Cause::Connection(json!({"spec": {"access": []}})),
        },
        Stuck {
            name: "the-connection-is-gone",
            reason: Reason::ConnectionGone,
            cause: |_, _| Cause::ConnectionGone,
        },
        Stuck {
            name: "the-token-is-refused-and-gone",
            reason: Reason::Unauthorized,
            cause: |_, _| Cause::SecretGone,
        },
    ];
    for case in cases {
        simulated(async |world, sim| released_by_orphan(world, sim, &case).await);
    }
}

async fn released_by_orphan(world: &World, sim: &Sim, case: &Stuck) {
    let names = ["by-annotation", "by-field"];
    join_all(names.map(async |name| {
        world.apply(&world.environment(name).service("plain")).await;
        world.await_ready(name).await;
    }))
    .await;
    let other = zadig_sim::start(&seed_of_the_recordings(), Options::default())
        .await
        .expect("there is a free port");
    match (case.cause)(sim, &other.url) {
        Cause::Fault(rule) => sim.fault(rule),
        Cause::Connection(patch) => {
            world.patch::<ZadigConnection>("default", patch).await;
        }
        Cause::ConnectionGone => force_away(world).await,
        Cause::SecretGone => {
            sim.fault(FaultRule::always(FaultAction::Unauthorized));
            world.delete::<Secret>("zadig-token").await;
            world
                .await_reason::<ZadigConnection>("default", Reason::CredentialsMissing)
                .await;
        }
    }
    for name in names {
        world.delete::<ZadigEnvironment>(name).await;
    }
    join_all(names.map(async |name| {
        world
            .await_that::<ZadigEnvironment>(name, case.name, |env| has_reason(env, case.reason))
            .await;
    }))
    .await;
    let annotation = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
    world
        .patch::<ZadigEnvironment>("by-annotation", annotation)
        .await;
    world
        .patch::<ZadigEnvironment>("by-field", json!({"spec": {"deletion": "Orphan"}}))
        .await;
    for name in names {
        world.await_gone::<ZadigEnvironment>(name).await;
    }
}

/// Somebody deletes the connection and takes its finalizer away.
async fn force_away(world: &World) {
    world
        .await_that::<ZadigConnection>("default", "in use", |connection| {
            is_ready(connection) && connection.metadata.finalizers.is_some()
        })
        .await;
    world.delete::<ZadigConnection>("default").await;
    let none = json!({"metadata": {"finalizers": null}});
    world.patch::<ZadigConnection>("default", none).await;
    world.await_gone::<ZadigConnection>("default").await;
}
