//! What outlives the process: an end that was told, and the deletions of the hour.

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{Place, eventually, test};

const SHORT_LEASE: [&str; 2] = ["--lease-duration", "3s"];

async fn patch(place: &Place, name: &str, patch: &Value) {
    let environments: Api<ZadigEnvironment> = place.api();
    let params = PatchParams::default();
    let patched = environments
        .patch(name, &params, &Patch::Merge(patch))
        .await;
    patched.expect("the API server takes it");
}

async fn delete(place: &Place, name: &str) {
    let environments: Api<ZadigEnvironment> = place.api();
    let deleted = environments.delete(name, &DeleteParams::default()).await;
    deleted.expect("it is there");
}

/// The reason of an environment's first condition; nothing of one that is gone.
async fn reason(place: &Place, name: &str) -> Option<Reason> {
    let environments: Api<ZadigEnvironment> = place.api();
    let found = environments
        .get_opt(name)
        .await
        .expect("the API server answers");
    Some(found?.status?.conditions.first()?.reason)
}

async fn says(place: &Place, name: &str, wanted: Reason) {
    let what = format!("{name} says {}", wanted.as_str());
    eventually(&what, async || reason(place, name).await == Some(wanted)).await;
}

async fn gone(place: &Place, name: &str) {
    let environments: Api<ZadigEnvironment> = place.api();
    eventually("it is gone", async || {
        let found = environments.get_opt(name).await;
        found.expect("the API server answers").is_none()
    })
    .await;
}

async fn allow(place: &Place, most: u32) {
    let connections: Api<ZadigConnection> = place.api();
    let limit = Patch::Merge(json!({"spec": {"maxDeletionsPerHour": most}}));
    let patched = connections
        .patch("default", &PatchParams::default(), &limit)
        .await;
    patched.expect("the API server takes it");
}

#[test]
fn a_restart_neither_brings_an_expired_environment_back_nor_begins_a_new_hour() {
    test("lifetime", async |place| {
        let mut first = place.operator("first", &SHORT_LEASE);
        first.says("leading").await;
        place.declare().await;
        for name in ["one", "two"] {
            place.declare_other(name, "plain").await;
            says(place, name, Reason::Ready).await;
        }
        place.ready().await;
        patch(place, "dev", &json!({"spec": {"ttl": "1s"}})).await;
        says(place, "dev", Reason::Expired).await;
        allow(place, 1).await;
        delete(place, "one").await;
        gone(place, "one").await;
        delete(place, "two").await;
        says(place, "two", Reason::DeletionBudget).await;
        first.signal("TERM");
        first.ends().await;
        // The end follows from the creation and the ttl, so a lost status is no loss.
        let environments: Api<ZadigEnvironment> = place.api();
        let none = Patch::Merge(json!({"status": null}));
        let lost = environments
            .patch_status("dev", &PatchParams::default(), &none)
            .await;
        lost.expect("the API server takes it");
        assert_eq!(reason(place, "dev").await, None);
        let changes = place.changes();

        let second = place.operator("second", &SHORT_LEASE);
        second.says("leading").await;
        says(place, "dev", Reason::Expired).await;
        let looks = "zadig_operator_reconciles_total";
        eventually("every object was looked at", async || {
            second.metric(looks).await >= 4
        })
        .await;
        assert_eq!(reason(place, "two").await, Some(Reason::DeletionBudget));
        assert_eq!(place.changes(), changes);

        allow(place, 2).await;
        gone(place, "two").await;
        patch(place, "dev", &json!({"spec": {"ttl": "1h"}})).await;
        place.ready().await;
    });
}
