//! The token's Secret: missing, empty, wrong, mended, rotated, and gone when it is needed most.

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::{FINALIZER, OWNERSHIP_ANNOTATION};

use crate::support::{
    EnvironmentFixture, Setup, World, is_ready, is_stalled, scenario, scenario_with, simulated,
};

/// What the connection says of its token, and that it waits for a person.
async fn told(world: &World, reason: Reason) -> String {
    let sentence = world
        .await_reason::<ZadigConnection>("default", reason)
        .await;
    world
        .await_that::<ZadigConnection>("default", "Stalled", is_stalled)
        .await;
    sentence
}

#[test]
fn a_token_that_cannot_be_used_is_told_and_a_mended_one_is_noticed() {
    scenario_with(Setup::default().without_connection(), async |world| {
        world.apply(&world.connection()).await;
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        assert_eq!(
            told(world, Reason::CredentialsMissing).await,
            "spec.tokenSecretRef: Secret zadig-token does not exist in this namespace"
        );
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionNotReady)
                .await,
            "the connection cannot be used: spec.tokenSecretRef: Secret zadig-token does not exist in this namespace"
        );
        let unusable = [
            (
                world.secret("zadig-token", "password", "x"),
                "spec.tokenSecretRef: Secret zadig-token has no key token",
            ),
            (
                world.secret("zadig-token", "token", ""),
                "spec.tokenSecretRef: Secret zadig-token holds no token under key token: ",
            ),
            (
                world.secret("zadig-token", "token", "two words"),
                "spec.tokenSecretRef: Secret zadig-token holds no token under key token: ",
            ),
        ];
        for (secret, says) in unusable {
            world.apply(&secret).await;
            world
                .eventually(says, async || {
                    let sentence = told(world, Reason::CredentialsMissing).await;
                    sentence.starts_with(says) && !sentence.contains("two words")
                })
                .await;
        }
        world.apply(&world.token_secret("not-a-token")).await;
        let refused = told(world, Reason::Unauthorized).await;
        assert!(
            refused.ends_with("refused with status 401") && !refused.contains("not-a-token"),
            "{refused}"
        );
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);

        world.apply(&world.token_secret(&world.zadig.token)).await;
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        world.await_ready("dev").await;
    });
}

#[test]
fn a_rotated_token_is_used_at_once_and_nothing_is_written_for_it() {
    simulated(async |world, sim| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mark = world.mark();
        // Another user's token, so that the journal tells which one is used.
        let viewer = sim.token("viewer").expect("the seed has a user viewer");
        world.apply(&world.token_secret(&viewer)).await;
        world
            .eventually("the other token is used", async || {
                let calls = world.calls_since(mark).into_iter();
                calls
                    .rev()
                    .take(1)
                    .any(|call| call.user.as_deref() == Some("viewer"))
            })
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::Unauthorized)
            .await;
        world.apply(&world.token_secret(&world.zadig.token)).await;
        world.await_ready("dev").await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_token_that_is_lost_later_changes_nothing_in_zadig() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.apply(&world.token_secret("not-a-token")).await;
        told(world, Reason::Unauthorized).await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::ConnectionNotReady)
            .await;
        world.delete::<Secret>("zadig-token").await;
        told(world, Reason::CredentialsMissing).await;
        world.apply(&world.token_secret(&world.zadig.token)).await;
        world.await_ready("dev").await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn an_object_that_is_deleted_after_its_secret_is_cleaned_up_with_the_token_last_read() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        world.delete::<Secret>("zadig-token").await;
        told(world, Reason::CredentialsMissing).await;
        world.delete::<ZadigEnvironment>("dev").await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&world.env_key("dev")).await, None);
    });
}

#[test]
fn an_object_that_is_deleted_without_any_token_says_so_and_ends_when_there_is_one() {
    scenario_with(Setup::default().without_connection(), async |world| {
        let key = world.env_key("dev");
        world.zadig.create(&key, &["plain"]).await;
        world.apply(&world.connection()).await;
        told(world, Reason::CredentialsMissing).await;
        world.apply(&restored(world, "dev").await).await;
        add_finalizer(world, "dev").await;
        world.delete::<ZadigEnvironment>("dev").await;
        assert_eq!(
            world
                .await_reason::<ZadigEnvironment>("dev", Reason::CredentialsGone)
                .await,
            "the connection cannot be used: spec.tokenSecretRef: Secret zadig-token does not exist in this namespace; \
             restore it, or release this object with the annotation zadig-operator.io/deletion=Orphan"
        );
        assert!(world.zadig.environment(&key).await.is_some());
        world.apply(&world.token_secret(&world.zadig.token)).await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

/// An environment object as a backup restores it: its record says that it made the environment.
async fn restored(world: &World, name: &str) -> ZadigEnvironment {
    let mut env = world.environment(name).service("plain");
    let key = world.env_key(name);
    let found = world.zadig.environment(&key).await.expect("it is there");
    let url = world.zadig.url.parse::<reqwest::Url>().expect("a URL");
    let port = url.port_or_known_default().unwrap_or_default();
    let zadig = format!(
        "{}://{}:{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path().trim_end_matches('/')
    );
    let record = json!({
        "zadig": zadig,
        "project": world.zadig.project,
        "env": key,
        "clusterId": found["cluster_id"],
        "namespace": found["namespace"],
        "state": "created",
    });
    let annotations = [(OWNERSHIP_ANNOTATION.to_owned(), record.to_string())];
    env.metadata.annotations = Some(annotations.into());
    env
}

async fn add_finalizer(world: &World, name: &str) {
    let patch = json!({"metadata": {"finalizers": [FINALIZER]}});
    world.patch::<ZadigEnvironment>(name, patch).await;
}
