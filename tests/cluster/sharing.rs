//! Base environments, sub-environments and portals: in any order, through refusals, and out again.

use futures::future::join;
use http::Method;
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::environment::{SharingState, ZadigEnvironment};
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{KubeAction, Licence, Sim};

use crate::support::{EnvironmentFixture, Setup, World, is_ready, simulated_with};

/// A cluster with Istio, and every licence.
pub(crate) fn mesh() -> Setup {
    licensed(Licence::Enterprise)
}

fn licensed(licence: Licence) -> Setup {
    Setup::default().simulator(|options| {
        options.istio = Some(true);
        options.licence = Some(licence);
    })
}

/// An environment of these services that is to be a base, and may go.
fn base(world: &World, services: &[&str]) -> ZadigEnvironment {
    let base = world
        .environment("base")
        .field("sharing", "Enabled")
        .field("deletionProtection", false);
    services.iter().fold(base, |base, name| base.service(name))
}

/// An environment on top of it.
fn sub(world: &World, name: &str, portals: &Value) -> ZadigEnvironment {
    world.environment(name).service("web").field(
        "subEnvironmentOf",
        json!({"name": "base", "portals": portals}),
    )
}

fn portal(service: &str, port: u16) -> Value {
    json!({"service": service, "servers": [{"host": format!("{service}.example.com"), "port": port}]})
}

/// A base and a sub-environment `preview`, both Ready.
async fn both(world: &World, portals: &Value) {
    world.apply(&base(world, &["web", "db"])).await;
    world.apply(&sub(world, "preview", portals)).await;
    world.await_ready("base").await;
    world.await_ready("preview").await;
}

/// How often an operation was asked for.
fn asked(sim: &Sim, operation: &str) -> usize {
    let calls = sim.calls().into_iter();
    calls.filter(|call| call.operation == operation).count()
}

/// The bodies of the portal calls, in order.
fn portal_bodies(sim: &Sim) -> Vec<Value> {
    let calls = sim.calls().into_iter();
    calls
        .filter(|call| call.operation == "share.portal.set")
        .map(|call| serde_json::from_str(&call.body).expect("a body is JSON"))
        .collect()
}

/// The keys of the environments that were to be deleted, in order.
fn deleted(world: &World, sim: &Sim) -> Vec<String> {
    let calls = sim.calls().into_iter();
    let paths = calls
        .filter(|call| call.operation == "environment.delete")
        .map(|call| call.path);
    let name = |path: String| {
        let names = ["base", "preview"];
        let found = names
            .into_iter()
            .find(|name| path.ends_with(&world.env_key(name)));
        found.unwrap_or("another").to_owned()
    };
    paths.map(name).collect()
}

async fn looks_later(world: &World, sim: &Sim) {
    let before = asked(sim, "share.ready");
    world
        .eventually("two thorough looks", async || {
            asked(sim, "share.ready") >= before + 2
        })
        .await;
}

async fn share_by_hand(world: &World, method: Method, name: &str) {
    let path = format!("/openapi/environments/{}/share/enable", world.env_key(name));
    world.zadig.change(method, &path, &[], None).await;
}

#[test]
fn a_base_is_enabled_once_and_silent_afterwards() {
    simulated_with(mesh(), async |world, sim| {
        world.apply(&base(world, &["web", "db"])).await;
        let ready = world.await_ready("base").await;
        let sharing = ready.status.and_then(|status| status.sharing);
        assert_eq!(
            sharing.and_then(|sharing| sharing.state),
            Some(SharingState::Enabled)
        );
        assert_eq!(asked(sim, "share.enable"), 1);
        // One look may still follow the end of what was begun.
        looks_later(world, sim).await;
        let mark = world.mark();
        looks_later(world, sim).await;
        assert_eq!(
            (world.changes_since(mark), world.operator_writes_since(mark)),
            (vec![], vec![])
        );
    });
}

#[test]
fn pods_that_opt_out_are_not_killed_again_and_again() {
    simulated_with(mesh(), async |world, sim| {
        world.apply(&world.environment("base").service("web")).await;
        world.await_ready("base").await;
        sim.kube(KubeAction::Patch {
            kind: "Deployment".to_owned(),
            namespace: Some(format!("golden-env-{}", world.env_key("base"))),
            name: "web".to_owned(),
            patch: json!({"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}}}}),
            cluster: None,
        })
        .expect("it is there");
        world.apply(&base(world, &["web"])).await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::Progressing)
            .await;
        assert_eq!(
            told,
            "sharing is enabled; waiting for pods that have Istio's proxy"
        );
        looks_later(world, sim).await;
        assert_eq!(asked(sim, "share.enable"), 1);
    });
}

#[test]
fn what_speaks_against_sharing_is_told_and_nothing_is_sent() {
    let plain = Setup::default().simulator(|options| options.licence = Some(Licence::Enterprise));
    simulated_with(plain, async |world, sim| {
        world.apply(&base(world, &["web"])).await;
        world
            .await_reason::<ZadigEnvironment>("base", Reason::IstioMissing)
            .await;
        assert_eq!(asked(sim, "share.enable"), 0);
    });
    simulated_with(mesh(), async |world, sim| {
        world.apply(&base(world, &["web", "plain"])).await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::WorkloadWithoutService)
            .await;
        assert!(told.contains("plain.Deployment"), "{told}");
        assert_eq!(asked(sim, "share.enable"), 0);
    });
}

#[test]
fn a_refused_enterprise_licence_is_remembered() {
    simulated_with(licensed(Licence::Professional), async |world, sim| {
        world.apply(&base(world, &["web"])).await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::LicenceRequired)
            .await;
        assert!(told.starts_with("spec.sharing: "), "{told}");
        world.await_lists(sim, 8).await;
        assert_eq!(asked(sim, "share.enable"), 1);
        // A person who asks for it gets another attempt.
        world.reconcile_now::<ZadigEnvironment>("base").await;
        world
            .eventually("another attempt", async || asked(sim, "share.enable") == 2)
            .await;
    });
}

#[test]
fn a_licence_service_that_is_down_is_asked_again_slowly() {
    simulated_with(licensed(Licence::Unreachable), async |world, sim| {
        world.apply(&base(world, &["web"])).await;
        world
            .await_reason::<ZadigEnvironment>("base", Reason::ZadigError)
            .await;
        // Whatever else wakes the object at its beginning is over by then.
        world.await_lists(sim, 3).await;
        let mark = world.mark();
        world.await_lists(sim, 8).await;
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_sub_environment_that_is_applied_first_waits_for_its_base() {
    simulated_with(mesh(), async |world, sim| {
        world.apply(&sub(world, "preview", &json!([]))).await;
        let told = world
            .await_reason::<ZadigEnvironment>("preview", Reason::BaseNotReady)
            .await;
        assert!(told.contains("no ZadigEnvironment base"), "{told}");
        world.apply(&base(world, &["web", "db"])).await;
        world.await_ready("base").await;
        world.await_ready("preview").await;
        let created: Vec<Value> = sim
            .calls()
            .into_iter()
            .filter(|call| call.operation == "environment.create")
            .map(|call| serde_json::from_str::<Value>(&call.body).expect("JSON")["sub_env"].clone())
            .collect();
        let on_top = json!({"enable": true, "base_env": world.env_key("base")});
        assert_eq!(created, [Value::Null, on_top]);
        let key = world.env_key("preview");
        let env = world.zadig.environment(&key).await.expect("it is there");
        assert_eq!(env["status"], "success");
    });
}

#[test]
fn a_sub_environment_runs_what_its_base_runs_and_nothing_else() {
    simulated_with(mesh(), async |world, _| {
        both(world, &json!([])).await;
        world
            .apply(&sub(world, "preview", &json!([])).service("plain"))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("preview", Reason::ServiceNotFound)
            .await;
        assert!(
            told.starts_with("spec.services[plain]: the base base "),
            "{told}"
        );
        let key = world.env_key("preview");
        assert_eq!(world.zadig.services(&key).await, ["web"]);
        world.apply(&base(world, &["web", "db", "plain"])).await;
        world.await_ready("base").await;
        world.await_ready("preview").await;
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
        // What a sub-environment runs stays in its base.
        world.apply(&base(world, &["db", "plain"])).await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::HasSubEnvironments)
            .await;
        assert!(
            told.contains("web cannot be removed") && told.contains("preview"),
            "{told}"
        );
    });
}

#[test]
fn a_service_of_its_own_owner_waits_for_the_base_of_its_sub_environment() {
    simulated_with(mesh(), async |world, _| {
        both(world, &json!([])).await;
        let mark = world.mark();
        let binding = world.binding("preview", &json!({"name": "plain"}), json!({}));
        world.apply(&binding).await;
        let told = world
            .await_reason::<ZadigServiceBinding>("plain", Reason::ServiceNotFound)
            .await;
        assert!(
            told.starts_with("spec.service: the base base does not run it"),
            "{told}"
        );
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
        world.apply(&base(world, &["web", "db", "plain"])).await;
        world
            .await_that::<ZadigServiceBinding>("plain", "Ready", is_ready)
            .await;
        let key = world.env_key("preview");
        assert_eq!(world.zadig.services(&key).await, ["plain", "web"]);
    });
}

#[test]
fn portals_are_set_changed_and_removed() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([portal("web", 80)])).await;
        let server = |port: u16| json!([{"host": "web.example.com", "port_number": port, "port_protocol": "HTTP"}]);
        assert_eq!(portal_bodies(sim), [server(80)]);
        world
            .apply(&sub(world, "preview", &json!([portal("web", 443)])))
            .await;
        world
            .eventually("the portal is changed", async || {
                portal_bodies(sim).len() == 2
            })
            .await;
        world.await_ready("preview").await;
        world.apply(&sub(world, "preview", &json!([]))).await;
        world
            .eventually("the portal is removed", async || {
                portal_bodies(sim).len() == 3
            })
            .await;
        let after = world.await_ready("preview").await;
        assert_eq!(portal_bodies(sim), [server(80), server(443), json!([])]);
        assert_eq!(after.status.and_then(|status| status.sharing), None);
    });
}

#[test]
fn a_portal_that_somebody_else_removed_can_be_taken_out() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([portal("web", 80)])).await;
        let path = format!(
            "/openapi/environments/{}/share/portal/web",
            world.env_key("preview")
        );
        world
            .zadig
            .change(Method::POST, &path, &[], Some(json!([])))
            .await;
        world.apply(&sub(world, "preview", &json!([]))).await;
        world.await_ready("preview").await;
        // The one by hand, and two that Zadig refused.
        let removals = portal_bodies(sim).into_iter().filter(|it| *it == json!([]));
        assert_eq!(removals.count(), 3);
        let events = world.events("preview").await;
        assert!(
            events
                .iter()
                .any(|(_, note)| note.starts_with("gave up to remove the portal of web")),
            "{events:?}"
        );
    });
}

#[test]
fn portals_of_two_environments_do_not_take_each_others_ports() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([portal("web", 8443)])).await;
        world
            .apply(&sub(world, "other", &json!([portal("web", 80)])))
            .await;
        let told = world
            .await_reason::<ZadigEnvironment>("other", Reason::PortalConflict)
            .await;
        assert!(told.contains("/preview has a portal of web"), "{told}");
        assert_eq!(portal_bodies(sim).len(), 1);
    });
}

#[test]
fn a_base_and_what_is_on_top_of_it_are_deleted_in_order() {
    simulated_with(mesh(), life);
}

/// A base and a sub-environment, from their creation to their end.
pub(crate) async fn life(world: &World, sim: &Sim) {
    both(world, &json!([portal("web", 80)])).await;
    join(
        world.delete::<ZadigEnvironment>("base"),
        world.delete::<ZadigEnvironment>("preview"),
    )
    .await;
    world.await_gone::<ZadigEnvironment>("preview").await;
    world.await_gone::<ZadigEnvironment>("base").await;
    assert_eq!(deleted(world, sim), ["preview", "base"]);
    assert_eq!(portal_bodies(sim).last(), Some(&json!([])));
    assert_eq!(world.zadig.environments().await, Vec::<Value>::new());
}

#[test]
fn a_base_that_is_deleted_first_waits_for_what_is_on_top_of_it() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([])).await;
        world.delete::<ZadigEnvironment>("base").await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::HasSubEnvironments)
            .await;
        assert!(told.ends_with(": preview"), "{told}");
        world.await_lists(sim, 3).await;
        assert_eq!(deleted(world, sim), Vec::<String>::new());
        world.delete::<ZadigEnvironment>("preview").await;
        world.await_gone::<ZadigEnvironment>("base").await;
        assert_eq!(deleted(world, sim), ["preview", "base"]);
    });
}

#[test]
fn deleting_a_base_needs_an_explicit_word_also_where_it_was_shared_by_hand() {
    simulated_with(mesh(), async |world, _| {
        world.apply(&world.environment("base").service("web")).await;
        world.await_ready("base").await;
        share_by_hand(world, Method::POST, "base").await;
        world.delete::<ZadigEnvironment>("base").await;
        world
            .await_reason::<ZadigEnvironment>("base", Reason::DeletionProtected)
            .await;
        let key = world.env_key("base");
        assert!(world.zadig.environment(&key).await.is_some());
        let word = json!({"spec": {"deletionProtection": false}});
        world.patch::<ZadigEnvironment>("base", word).await;
        world.await_gone::<ZadigEnvironment>("base").await;
        assert_eq!(world.zadig.environment(&key).await, None);
    });
}

#[test]
fn sub_environments_that_nobody_declared_hold_up_no_deletion() {
    simulated_with(mesh(), async |world, _| {
        world.apply(&base(world, &["web"])).await;
        world.await_ready("base").await;
        let body = json!({
            "env_key": "unseen", "namespace": "unseen", "cluster_id": world.zadig.cluster_id,
            "registry_id": world.zadig.registry_id, "services": [{"service_name": "web"}],
            "sub_env": {"enable": true, "base_env": world.env_key("base")},
        });
        world
            .zadig
            .change(Method::POST, "/openapi/environments", &[], Some(body))
            .await;
        world
            .eventually("it is made", async || {
                let env = world.zadig.environment("unseen").await;
                env.is_some_and(|env| env["status"] == "success")
            })
            .await;
        world.delete::<ZadigEnvironment>("base").await;
        world.await_gone::<ZadigEnvironment>("base").await;
        world
            .eventually("all are gone", async || {
                world.zadig.environments().await.is_empty()
            })
            .await;
    });
}

#[test]
fn unsharing_needs_an_explicit_word_and_waits_for_what_is_on_top() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([])).await;
        let unshared = base(world, &["web", "db"]).field("sharing", "Disabled");
        let protected = unshared.clone().field("deletionProtection", Value::Null);
        world.apply(&protected).await;
        world
            .await_reason::<ZadigEnvironment>("base", Reason::DeletionProtected)
            .await;
        world.apply(&unshared).await;
        world
            .await_reason::<ZadigEnvironment>("base", Reason::HasSubEnvironments)
            .await;
        assert_eq!(asked(sim, "share.disable"), 0);
        world.delete::<ZadigEnvironment>("preview").await;
        world.await_gone::<ZadigEnvironment>("preview").await;
        let ready = world.await_ready("base").await;
        assert_eq!(asked(sim, "share.disable"), 1);
        let sharing = ready.status.and_then(|status| status.sharing);
        assert_eq!(
            sharing.and_then(|sharing| sharing.state),
            Some(SharingState::Disabled)
        );
        // It is no base any more, so nothing is asked of who deletes it.
        world.apply(&protected).await;
        world.delete::<ZadigEnvironment>("base").await;
        world.await_gone::<ZadigEnvironment>("base").await;
    });
}

#[test]
fn sharing_that_somebody_ends_in_zadig_comes_back_with_what_is_on_top() {
    simulated_with(mesh(), async |world, sim| {
        both(world, &json!([portal("web", 80)])).await;
        share_by_hand(world, Method::DELETE, "base").await;
        world
            .eventually("it is enabled again", async || {
                asked(sim, "share.enable") == 2
            })
            .await;
        let key = world.env_key("preview");
        world
            .eventually("the sub-environment is made again", async || {
                let env = world.zadig.environment(&key).await;
                env.is_some_and(|env| env["status"] == "success")
            })
            .await;
        world
            .eventually("its portal is set again", async || {
                portal_bodies(sim).len() == 2
            })
            .await;
        world.await_ready("base").await;
        world.await_ready("preview").await;
        assert_eq!(asked(sim, "share.enable"), 2);
    });
}

#[test]
fn a_lost_status_is_no_second_enabling() {
    simulated_with(mesh(), async |world, _| {
        both(world, &json!([portal("web", 80)])).await;
        let mark = world.mark();
        for (name, object) in [
            (
                "preview",
                sub(world, "preview", &json!([portal("web", 80)])),
            ),
            ("base", base(world, &["web", "db"])),
        ] {
            // As restored from a backup: the annotations are there, the status is not, and no process knows the object.
            let backup = world.get::<ZadigEnvironment>(name).await;
            let orphan =
                json!({"metadata": {"annotations": {"zadig-operator.io/deletion": "Orphan"}}});
            world.patch::<ZadigEnvironment>(name, orphan).await;
            world.delete::<ZadigEnvironment>(name).await;
            world.await_gone::<ZadigEnvironment>(name).await;
            let mut restored = object;
            restored.metadata.annotations = backup.metadata.annotations;
            world.apply(&restored).await;
        }
        for name in ["base", "preview"] {
            let ready = world
                .await_that::<ZadigEnvironment>(name, "Ready", is_ready)
                .await;
            let sharing = ready.status.and_then(|status| status.sharing);
            assert!(sharing.is_some(), "{name} remembers again");
        }
        assert_eq!(world.changes_since(mark), Vec::<String>::new());
    });
}

#[test]
fn a_gateway_that_is_missing_stops_an_unsharing_until_it_is_back() {
    simulated_with(mesh(), async |world, sim| {
        let base = base(world, &["web"]);
        world.apply(&base).await;
        world.await_ready("base").await;
        sim.kube(KubeAction::Delete {
            kind: "Service".to_owned(),
            namespace: Some("istio-system".to_owned()),
            name: "istio-ingressgateway".to_owned(),
            wait: false,
            cluster: None,
        })
        .expect("it is there");
        world.apply(&base.field("sharing", "Disabled")).await;
        let told = world
            .await_reason::<ZadigEnvironment>("base", Reason::ZadigError)
            .await;
        assert!(told.contains("istio-ingressgateway"), "{told}");
        // The way out is open all the same.
        world.delete::<ZadigEnvironment>("base").await;
        world.await_gone::<ZadigEnvironment>("base").await;
    });
}
