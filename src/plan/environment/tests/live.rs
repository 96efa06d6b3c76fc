//! What is done about objects that the cluster lost (design §3, Z§6.5).

use insta::assert_snapshot;

use super::super::fixture::{
    environment, health_of, looked_at, observed, planned, sent, sent_first, service,
};
use super::super::health::{Trouble, health};
use super::super::{Desired, EnvStatus, Environment, Observed, RecordedWorkload, Service, plan};
use crate::api::environment::{LiveDrift, Scope};
use crate::plan::Plan;
use crate::plan::repairs::REPAIRS;

/// Every variable of the template is declared.
fn whole() -> Service {
    service()
        .variable("LOG", "debug")
        .variable("MODE", "slow")
        .variable("TRACE", "true")
}

/// The cluster lost the Deployment of a service.
fn lost(api: &Service) -> (Environment, Observed) {
    let declared = environment()
        .live_drift(LiveDrift::Repair)
        .service("api", api.clone());
    let seen = observed()
        .present()
        .owned()
        .running("api", api)
        .seen_with("api", |seen| seen.live = Some(Vec::new()));
    (declared, seen)
}

fn told(declared: &Environment, seen: &Observed) -> String {
    let health = health(declared, seen.detail().unwrap(), &seen.memory);
    health
        .trouble
        .map(|(_, message)| message)
        .unwrap_or_default()
}

#[test]
fn it_is_only_named_unless_repair_is_asked_for() {
    let (declared, seen) = lost(&whole());
    let declared = declared.live_drift(LiveDrift::Report);
    assert_eq!(planned(&declared, &seen), "in sync");
    assert_eq!(health_of(&declared, &seen), (0, Some(Trouble::LiveDrift)));
    assert_snapshot!(told(&declared, &seen), @"api: Deployment/api missing in the cluster: deleted, or never accepted by it; Zadig does not bring it back by itself. Set spec.liveDrift: Repair, remove the service from the spec and add it again, or repair the template");
}

#[test]
fn another_template_that_comes_with_the_repair_is_announced() {
    let (declared, seen) = lost(&whole());
    let noted = sent(&declared, &seen);
    let taken_out = |seen: &Observed| {
        let plan = planned(&declared, seen);
        plan.lines().next().unwrap_or_default().to_owned()
    };
    let same = taken_out(&noted);
    assert!(same.starts_with("take out api, "), "{same}");
    let newer = noted.clone().seen_with("api", |seen| {
        seen.template_digest = Some("template-2".to_owned());
    });
    assert_eq!(taken_out(&newer), format!("{same} and its template"));
    let unknown = noted.with(|o| o.memory.applied.get_mut("api").unwrap().template = None);
    assert_eq!(
        taken_out(&unknown),
        format!("{same} and maybe its template")
    );
}

#[test]
fn what_is_not_declared_is_noted_before_the_service_is_taken_out_and_put_back_after_it_was_added() {
    let api = whole();
    let (declared, seen) = lost(&api);
    let seen = seen.seen_with("api", |seen| {
        seen.images.insert("api".to_owned(), "api:hand".to_owned());
        for recorded in seen.record.values_mut() {
            recorded.replicas = 4;
        }
    });
    assert_snapshot!(planned(&declared, &seen), @r#"note of api: ours true, bound [], ["api=api:hand"], ["Deployment/api=4"]"#);
    let noted = sent(&declared, &seen);
    assert_snapshot!(planned(&declared, &noted), @r#"
    take out api, missing {"Deployment/api"}, ours true, bound [], ["api=api:hand"], ["Deployment/api=4"]
    add services
      api [LOG:string=debug, MODE:enum=slow, TRACE:bool=true]
    "#);
    // Added anew, with all that its template says.
    let added = sent(&declared, &noted)
        .running_as_before("api", &api)
        .runs_replicas("api", 1);
    assert_snapshot!(planned(&declared, &added), @r#"
    image api Deployment/api/api Some("api:template") -> api:hand
    scale api Deployment/api 1 -> 4
    "#);
    let back = added
        .seen_with("api", |seen| {
            seen.images.insert("api".to_owned(), "api:hand".to_owned());
        })
        .runs_image("api", "api:hand")
        .runs_replicas("api", 4);
    assert_eq!(planned(&declared, &back), "in sync");
    // From here on it is nobody's business again.
    let settled = looked_at(&declared, &back).runs_replicas("api", 7);
    assert_eq!(planned(&declared, &settled), "in sync");
}

#[test]
fn an_add_whose_answer_was_lost_carries_the_bindings_too() {
    let api = service().variable("MODE", "slow").variable("TRACE", "true");
    let (declared, seen) = lost(&api);
    let seen = seen.stored_global("LOG", "info", &["api"]);
    let noted = sent(&declared, &seen);
    let taken_out = "add services\n  api [LOG:string=(global), MODE:enum=slow, TRACE:bool=true]";
    assert!(planned(&declared, &noted).ends_with(taken_out));
    // Zadig took it out, and the process ended.
    let out = sent_first(1, &declared, &noted)
        .stored_global("LOG", "info", &[])
        .detail_with(|detail| detail.services.clear());
    assert_eq!(planned(&declared, &out), taken_out);
}

#[test]
fn a_service_that_was_not_ours_does_not_become_so() {
    let (declared, seen) = lost(&whole());
    let foreign = seen.with(|seen| seen.memory.services.clear());
    let after = sent(&declared, &sent(&declared, &foreign));
    assert_eq!(after.memory.services.len(), 0);
    let (declared, ours) = lost(&whole());
    let after = sent(&declared, &sent(&declared, &ours));
    assert_eq!(after.memory.services.len(), 1);
}

#[test]
fn it_waits_for_everything_else_and_for_a_cluster_that_is_only_late() {
    let api = whole();
    let (declared, seen) = lost(&api);
    let registry = declared.clone().registry_at("registry.example.com/shop");
    let other = seen
        .clone()
        .detail_with(|detail| "r-other".clone_into(&mut detail.registry_id));
    assert_eq!(planned(&registry, &other), "registry r-default");
    let fresh = seen.clone().status(EnvStatus::Success, 4);
    assert_eq!(planned(&declared, &fresh), "in sync");
    // It came back by itself after it was noted.
    let noted = sent(&declared, &seen).running_as_before("api", &api);
    assert_eq!(planned(&declared, &noted), "in sync");
    let forgotten =
        looked_at(&declared, &noted).seen_with("api", |seen| seen.live = Some(Vec::new()));
    assert!(planned(&declared, &forgotten).starts_with("note of api: "));
}

#[test]
fn what_cannot_be_put_back_is_not_taken_out() {
    type Change = fn(Observed) -> Observed;
    let cases: [(Service, Change, &str); 5] = [
        (
            service().variable("LOG", "debug"),
            |seen| seen,
            "Zadig does not show the values of variables, so all have to be declared; these are not: MODE, TRACE",
        ),
        (
            whole(),
            |seen| {
                seen.seen_with("api", |seen| {
                    for recorded in seen.record.values_mut() {
                        recorded.init_containers.insert("migrate".to_owned());
                    }
                })
            },
            "no call sets the images of init containers: migrate",
        ),
        (
            whole(),
            |seen| {
                seen.seen_with("api", |seen| {
                    let workload = ("CloneSet".to_owned(), "api".to_owned());
                    seen.record.insert(workload, RecordedWorkload::default());
                })
            },
            "no call sets the image of a CloneSet: api",
        ),
        (
            whole(),
            |seen| {
                seen.seen_with("api", |seen| {
                    seen.images.insert("seed".to_owned(), "seed:1".to_owned());
                })
            },
            "no call sets the image of what is in no workload, such as a Job: seed",
        ),
        (
            whole(),
            |seen| {
                seen.seen_with("api", |seen| {
                    let many = (0..65).map(|n| (format!("c{n}"), "x:1".to_owned()));
                    seen.images = many.collect();
                    for recorded in seen.record.values_mut() {
                        recorded.containers = seen.images.keys().cloned().collect();
                    }
                })
            },
            "it has more than 64 containers or workloads",
        ),
    ];
    for (api, change, why) in cases {
        let (declared, seen) = lost(&api);
        let seen = change(seen);
        assert_eq!(planned(&declared, &seen), "in sync", "{why}");
        let told = told(&declared, &seen);
        let says = format!("spec.liveDrift: Repair does not bring it back, as {why}");
        assert!(told.ends_with(&says), "{told}");
    }
}

#[test]
fn what_zadig_would_not_add_again_is_not_taken_out() {
    let (declared, seen) = lost(&whole());
    let gone = seen.clone().with(|seen| seen.catalog.services.clear());
    assert_snapshot!(planned(&declared, &gone), @"blocked LiveDrift spec.services[api]: objects are missing in the cluster and cannot be brought back: the project has no template of it any more");
    let in_production = seen.clone().with(|seen| seen.key.scope = Scope::Production);
    assert_snapshot!(planned(&declared, &in_production), @"blocked LiveDrift spec.services[api]: objects are missing in the cluster and cannot be brought back: its images and replicas would be the template's then, and Zadig has no call that sets them in production");
    let shared = seen.present_with(|present| present.neighbours.push("qa".to_owned()));
    assert_snapshot!(planned(&declared, &shared), @"blocked LiveDrift spec.services[api]: objects are missing in the cluster and cannot be brought back: other environments use the namespace, and Zadig adds no service whose objects another one applied");
}

#[test]
fn a_repair_that_does_not_last_ends_in_a_condition() {
    let (declared, mut seen) = lost(&whole());
    let mut repairs = 0;
    while let Plan::Act(_) = plan(&Desired::Present(declared.clone()), &seen) {
        repairs += 1;
        assert!(repairs < 100, "it goes on for ever");
        // Each is answered well, and the cluster loses the Deployment again.
        seen = sent(&declared, &seen);
    }
    // Each time noted and carried out, but for the note, which stands.
    assert_eq!(repairs, 1 + REPAIRS);
    assert_snapshot!(planned(&declared, &seen), @"blocked DriftDoesNotConverge spec.services[api] in the cluster: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at");
}
