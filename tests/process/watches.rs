//! An operator that watches some namespaces and no others.

use kube::Api;
use kube::api::DeleteParams;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{eventually, test};

#[test]
fn objects_of_every_watched_namespace_are_kept_and_those_of_others_are_not() {
    test("watches-one", async |one| {
        let two = one.another("watches-two").await;
        let other = one.another("watches-other").await;
        for place in [one, &two, &other] {
            place.declare().await;
        }
        // What is there before it starts, and what comes later.
        let operator = one.operator("only", &["--watch-namespaces", "watches-two"]);
        operator.says("leading").await;
        for place in [one, &two] {
            place.ready().await;
        }
        for place in [one, &two] {
            place.change().await;
            place.ready().await;
        }
        for place in [one, &two] {
            let environments: Api<ZadigEnvironment> = place.api();
            let deleted = environments.delete("dev", &DeleteParams::default()).await;
            deleted.expect("it is there");
            eventually("it is gone", async || {
                let found = environments.get_opt("dev").await;
                found.expect("the API server answers").is_none()
            })
            .await;
        }
        assert_eq!(other.changes(), Vec::<String>::new());
    });
}
