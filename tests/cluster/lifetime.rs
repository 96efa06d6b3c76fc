//! How long an environment lives: what protects it against deletion, and what ends it.

use serde_json::json;
use zadig_operator::api::DELETION_ANNOTATION;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use crate::support::{EnvironmentFixture, is_ready, is_stalled, scenario};

#[test]
fn a_protected_environment_outlives_the_deletion_of_its_object_until_it_is_unprotected() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("deletionProtection", true);
        world.apply(&env).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.delete::<ZadigEnvironment>("dev").await;
        let told = world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletionProtected)
            .await;
        let key = world.env_key("dev");
        let project = &world.zadig.project;
        assert_eq!(
            told,
            format!(
                "spec.deletionProtection: environment {key} of project {project} is protected, so nothing is deleted in Zadig; \
                 to delete it, set deletionProtection: false; to release this object and leave the environment there, \
                 set the annotation zadig-operator.io/deletion=Orphan"
            )
        );
        assert!(is_stalled(&world.get::<ZadigEnvironment>("dev").await));
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world
            .patch::<ZadigEnvironment>("dev", json!({"spec": {"deletionProtection": false}}))
            .await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn what_is_inside_a_protected_environment_stays_when_everything_is_deleted_at_once() {
    scenario(async |world| {
        let env = world
            .environment("dev")
            .service("plain")
            .field("configRefs", json!([{"name": "app"}]))
            .field("deletionProtection", true);
        world.apply(&env).await;
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let config = world.config("dev", "ConfigMap", "app", json!({"manifest": manifest}));
        world.apply(&config).await;
        let binding = world.binding("dev", &json!({"name": "web"}), json!({}));
        world.apply(&binding).await;
        world.await_ready("dev").await;
        world
            .await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        world
            .await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
        let mark = world.mark();
        world.delete::<ZadigEnvConfig>("app").await;
        world.delete::<ZadigServiceBinding>("web").await;
        world.delete::<ZadigEnvironment>("dev").await;
        world
            .await_reason::<ZadigEnvConfig>("app", Reason::DeletionProtected)
            .await;
        world
            .await_reason::<ZadigServiceBinding>("web", Reason::DeletionProtected)
            .await;
        world
            .await_reason::<ZadigEnvironment>("dev", Reason::DeletionProtected)
            .await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        let key = world.env_key("dev");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        // Each goes its own way: by its own word, released, and unprotected.
        let delete = json!({"spec": {"deletion": "Delete"}});
        world.patch::<ZadigServiceBinding>("web", delete).await;
        world.await_gone::<ZadigServiceBinding>("web").await;
        let orphan = json!({"metadata": {"annotations": {DELETION_ANNOTATION: "Orphan"}}});
        world.patch::<ZadigEnvConfig>("app", orphan.clone()).await;
        world.await_gone::<ZadigEnvConfig>("app").await;
        world.patch::<ZadigEnvironment>("dev", orphan).await;
        world.await_gone::<ZadigEnvironment>("dev").await;
        assert_eq!(world.zadig.services(&key).await, ["plain"]);
        assert!(world.zadig.config(&key, "ConfigMap", "app").await.is_some());
        world.zadig.delete(&key).await;
    });
}
