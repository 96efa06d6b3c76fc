//! No difference is repaired for ever (Z§14.4): one row for each kind of repair.

use super::super::fixture::{environment, observed, planned, service};
use super::super::{Action, Desired, Environment, Observed, Service, plan};
use crate::api::environment::{LiveDrift, Prune};
use crate::plan::Plan;
use crate::plan::repairs::REPAIRS;

fn api(service: Service) -> Environment {
    environment().service("api", service)
}

fn running(service: &Service) -> Observed {
    observed().present().owned().running("api", service)
}

/// Somebody else changed a variable since our last call.
fn edit(seen: &mut Observed) {
    if let Some(api) = seen.memory.applied.get_mut("api") {
        api.rendered = Some("rendered-0".to_owned());
    }
    seen.memory.seen_update_time = Some(0);
}

/// What is told in the end, what is declared, what is seen, and how that comes back after each repair.
type Row = (&'static str, Environment, Observed, fn(&mut Observed));

#[test]
fn every_kind_of_difference_that_comes_back_is_left_to_a_person() {
    let variable = service().variable("LOG", "debug");
    let bound = service().global_variable("LOG");
    let image = service().image("api", "api:1");
    let whole = variable
        .clone()
        .variable("MODE", "slow")
        .variable("TRACE", "true");
    let same: fn(&mut Observed) = |_| {};
    let rows: [Row; 10] = [
        (
            "spec.registry",
            environment().registry_at("registry.example.com/shop"),
            observed()
                .present()
                .owned()
                .detail_with(|detail| "r-other".clone_into(&mut detail.registry_id)),
            same,
        ),
        (
            "spec.globalVariables[LOG]",
            environment().global("LOG", "debug"),
            observed()
                .present()
                .owned()
                .stored_global("LOG", "info", &[]),
            same,
        ),
        (
            "spec.services[db] removed",
            environment().prune(Prune::All),
            observed().present().owned().foreign("db"),
            same,
        ),
        (
            "spec.services[api]",
            api(service()),
            observed().present().owned(),
            same,
        ),
        (
            "spec.services[api].variables",
            api(variable.clone()),
            running(&variable),
            edit,
        ),
        (
            "spec.services[api].variables",
            api(bound.clone()),
            running(&bound).stored_global("LOG", "info", &[]),
            same,
        ),
        (
            "spec.services[api].containers[api].image in Deployment/api",
            api(image.clone()),
            running(&image).runs_image("api", "api:0"),
            same,
        ),
        (
            "spec.services[api].containers[api].image in Deployment/api",
            api(image.clone()),
            running(&image).seen_with("api", |seen| {
                seen.images.insert("api".to_owned(), "api:0".to_owned());
            }),
            same,
        ),
        (
            "spec.services[api].workloads[Deployment/api].replicas",
            api(service().replicas("api", 2)),
            running(&service().replicas("api", 2)).runs_replicas("api", 1),
            same,
        ),
        (
            "spec.services[api] in the cluster",
            api(whole.clone()).live_drift(LiveDrift::Repair),
            running(&whole).seen_with("api", |seen| seen.live = Some(Vec::new())),
            same,
        ),
    ];
    for (field, declared, mut seen, undo) in rows {
        let mut calls = 0;
        undo(&mut seen);
        while let Plan::Act(act) = plan(&Desired::Present(declared.clone()), &seen) {
            for action in &act.actions {
                calls += u32::from(!matches!(
                    action,
                    Action::NoteRestore { .. } | Action::AddServices { .. }
                ));
                calls += u32::from(
                    matches!(action, Action::AddServices { .. }) && act.actions.len() == 1,
                );
                seen.memory.sent(action, Some(&declared), seen.now);
            }
            assert!(calls < 100, "{field} goes on for ever");
            // Zadig answers well each time, and a while later somebody has changed it back.
            seen.now += std::time::Duration::from_mins(2);
            undo(&mut seen);
        }
        let end = planned(&declared, &seen);
        let says = format!("blocked DriftDoesNotConverge {field}: repaired 3 times");
        assert!(end.starts_with(&says), "{field}: {end}");
        assert_eq!(calls, REPAIRS, "{field}");
        // However long it is left alone.
        let wrote_at = Some(seen.now);
        for _ in 0..24 {
            seen.now += std::time::Duration::from_hours(1);
            undo(&mut seen);
            seen.memory.repairs.fade(wrote_at, seen.now);
            assert_eq!(planned(&declared, &seen), end);
            seen.memory.repairs.looked(false, seen.now);
        }
    }
}
