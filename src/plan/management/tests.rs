//! What each way of managing makes of a plan, and what an approval covers.

use insta::assert_snapshot;

use super::*;
use crate::api::environment::{Creation, Deletion, Prune};
use crate::plan::environment::fixture::{ago, environment, observed, sent_first, service, show};
use crate::plan::environment::lifetime::Lifetime;
use crate::plan::environment::{Action, Desired, EnvStatus, Environment, Observed, plan, proposal};

/// What stands for the keyed digest: equal for equal parts.
fn digest(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn propose(declared: &Environment, observed: &Observed) -> Option<ProposedPlan> {
    let desired = Desired::Present(declared.clone());
    let Plan::Act(act) = proposal::ahead(&desired, observed) else {
        return None;
    };
    proposal::draft(declared, observed, &act.actions, None).propose(digest)
}

fn ruling(
    management: Management,
    approved: Option<&str>,
    known: Option<&ProposedPlan>,
    (declared, observed): (&Environment, &Observed),
) -> Ruling<Action> {
    let desired = Desired::Present(declared.clone());
    let rules = Rules {
        management,
        approved,
        known,
    };
    judge(
        rules,
        plan(&desired, observed),
        || proposal::ahead(&desired, observed),
        |actions| proposal::draft(declared, observed, actions, None).propose(digest),
    )
}

fn text(ruling: &Ruling<Action>) -> String {
    match ruling {
        Ruling::Free(plan, None) => show(plan),
        Ruling::Free(plan, Some(kept)) if kept.approved => {
            format!("approved, {} steps\n{}", kept.steps.len(), show(plan))
        }
        Ruling::Free(plan, Some(kept)) => {
            format!("still shown: {}\n{}", kept.summary.join("; "), show(plan))
        }
        Ruling::Shown(Shown {
            reason,
            plan,
            blocked,
        }) => format!(
            "{reason:?} {}: {}",
            plan.actions,
            plan.summary
                .iter()
                .chain(blocked.iter().map(|blocked| &blocked.message))
                .cloned()
                .collect::<Vec<_>>()
                .join("; "),
        ),
    }
}

/// `api` is declared, and runs another image with one pod too many.
fn differs() -> (Environment, Observed) {
    let api = service().image("api", "api:2").replicas("api", 2);
    let seen = observed()
        .present()
        .owned()
        .running("api", &api)
        .runs_image("api", "api:1")
        .runs_replicas("api", 3);
    (environment().service("api", api), seen)
}

#[test]
fn enforce_sends_at_once_and_shows_nothing() {
    let (declared, seen) = differs();
    assert_snapshot!(text(&ruling(Management::Enforce, Some("x"), None, (&declared, &seen))), @r#"
    image api Deployment/api/api Some("api:1") -> api:2
    scale api Deployment/api 3 -> 2
    "#);
}

#[test]
fn observe_sends_nothing_whatever_is_approved() {
    let (declared, seen) = differs();
    let hash = propose(&declared, &seen).unwrap().hash;
    for approved in [None, Some(hash.as_str())] {
        assert_eq!(
            text(&ruling(
                Management::Observe,
                approved,
                None,
                (&declared, &seen)
            )),
            "ObserveOnly 2: set image api/api api:1 → api:2; scale Deployment/api 3 → 2"
        );
    }
}

#[test]
fn observe_does_not_even_record_whose_environment_it_is() {
    let api = service().image("api", "api:2");
    let declared = environment()
        .creation(Creation::Adopt)
        .service("api", api.clone());
    let same = observed()
        .present()
        .running_as_before("api", &api)
        .forgotten();
    assert_eq!(
        text(&ruling(Management::Observe, None, None, (&declared, &same))),
        "in sync"
    );
    let other = same.runs_image("api", "api:1");
    assert_eq!(
        text(&ruling(
            Management::Observe,
            None,
            None,
            (&declared, &other)
        )),
        "ObserveOnly 1: set image api/api api:1 → api:2"
    );
    // Once it were ours, it would be waited for.
    let asleep = observed()
        .present()
        .pending()
        .status(EnvStatus::Sleeping, 9);
    let told = text(&ruling(
        Management::Observe,
        None,
        None,
        (&declared, &asleep),
    ));
    assert!(told.starts_with("wait 300s Sleeping "), "{told}");
    let recorded = text(&ruling(
        Management::Approve,
        None,
        None,
        (&declared, &asleep),
    ));
    assert!(recorded.starts_with("record Created: "), "{recorded}");
    // A create call whose answer was lost before the mode was changed.
    let (declared, seen) = differs();
    let pending = seen.pending();
    assert_eq!(
        text(&ruling(
            Management::Observe,
            None,
            None,
            (&declared, &pending)
        )),
        "ObserveOnly 2: set image api/api api:1 → api:2; scale Deployment/api 3 → 2"
    );
}

#[test]
fn an_adoption_announces_the_variables_that_it_has_to_send() {
    let api = service().variable("LOG", "debug");
    let declared = environment()
        .creation(Creation::Adopt)
        .service("api", api.clone());
    let foreign = observed()
        .present()
        .running_as_before("api", &api)
        .forgotten();
    let shown = ruling(Management::Approve, None, None, (&declared, &foreign));
    assert_eq!(
        text(&shown),
        "AwaitingApproval 1: set variables of api; may also upgrade the template of api"
    );
}

#[test]
fn approve_waits_for_the_hash_of_this_very_plan() {
    let (declared, seen) = differs();
    let hash = propose(&declared, &seen).unwrap().hash;
    let waits = "AwaitingApproval 2: set image api/api api:1 → api:2; scale Deployment/api 3 → 2";
    for approved in [None, Some(""), Some("another")] {
        assert_eq!(
            text(&ruling(
                Management::Approve,
                approved,
                None,
                (&declared, &seen)
            )),
            waits
        );
    }
    assert_snapshot!(text(&ruling(Management::Approve, Some(&hash), None, (&declared, &seen))), @r#"
    approved, 2 steps
    image api Deployment/api/api Some("api:1") -> api:2
    scale api Deployment/api 3 -> 2
    "#);
}

#[test]
fn an_approved_plan_runs_to_its_end_and_takes_nothing_else_along() {
    let (declared, seen) = differs();
    let shown = propose(&declared, &seen).unwrap();
    let known = ProposedPlan {
        approved: true,
        ..shown.clone()
    };
    let ask = |known: &ProposedPlan, seen: &Observed| {
        let hash = Some(shown.hash.as_str());
        text(&ruling(
            Management::Approve,
            hash,
            Some(known),
            (&declared, seen),
        ))
    };
    // The first call was answered; what is left was approved.
    let after = seen.clone().runs_image("api", "api:2");
    assert_eq!(
        ask(&known, &after),
        "approved, 2 steps\nscale api Deployment/api 3 -> 2"
    );
    // It was only shown so far, and is not what would be done now.
    assert_eq!(
        ask(&shown, &after),
        "AwaitingApproval 1: scale Deployment/api 3 → 2"
    );
    // Something else came to differ meanwhile.
    let extra = declared.clone().prune(Prune::All);
    let more = after.clone().foreign("db");
    assert_eq!(
        text(&ruling(
            Management::Approve,
            Some(&shown.hash),
            Some(&known),
            (&extra, &more)
        )),
        "AwaitingApproval 2: remove services db; scale Deployment/api 3 → 2"
    );
    // Another plan was approved meanwhile, and this one is not it.
    assert_eq!(
        text(&ruling(
            Management::Approve,
            Some("other"),
            Some(&known),
            (&declared, &after)
        )),
        "AwaitingApproval 1: scale Deployment/api 3 → 2"
    );
    // Done.
    assert_eq!(ask(&known, &after.runs_replicas("api", 2)), "in sync");
}

/// What becomes of the end of an environment whose time was over so many seconds ago.
fn end_of(
    management: Management,
    rules: (Option<&str>, Option<&ProposedPlan>),
    seconds: i64,
    seen: &Observed,
) -> Ruling<Action> {
    let expired = Desired::Absent {
        policy: Some(Deletion::Delete),
        declared: ["api".to_owned()].into(),
        protected: false,
        expired: true,
    };
    let over = Lifetime {
        ends: ago(seconds),
        warn: ago(seconds + 60),
    };
    let (approved, known) = rules;
    judge(
        Rules {
            management,
            approved,
            known,
        },
        plan(&expired, seen),
        || proposal::ahead(&expired, seen),
        |actions| proposal::ending(&over, seen, actions, None).propose(digest),
    )
}

#[test]
fn an_environment_whose_time_is_over_is_deleted_with_approve_once_that_is_approved() {
    let seen = observed().present().owned().running("api", &service());
    let sent = "remove services {\"api\"}\ndelete, keep resources: false";
    let none = (None, None);
    assert_eq!(text(&end_of(Management::Enforce, none, 5, &seen)), sent);
    let Ruling::Shown(Shown { plan: shown, .. }) = end_of(Management::Approve, none, 5, &seen)
    else {
        panic!("it is deleted unasked");
    };
    assert_eq!(
        shown.summary,
        [
            "remove services api",
            "delete the environment, as its ttl is over"
        ]
    );
    let approved = |seconds| {
        let hash = Some(shown.hash.as_str());
        text(&end_of(Management::Approve, (hash, None), seconds, &seen))
    };
    assert_eq!(approved(5), format!("approved, 2 steps\n{sent}"));
    assert!(
        approved(4).starts_with("AwaitingApproval"),
        "another ttl, another end"
    );
    // The services are gone, and the second call is still to be sent.
    let under_way = ProposedPlan {
        approved: true,
        ..shown.clone()
    };
    let rest = observed().present().owned();
    let known = (Some(shown.hash.as_str()), Some(&under_way));
    assert_eq!(
        text(&end_of(Management::Approve, known, 5, &rest)),
        "approved, 2 steps\ndelete, keep resources: false"
    );
}

#[test]
fn another_declaration_ends_an_approval() {
    let (declared, seen) = differs();
    let shown = propose(&declared, &seen).unwrap();
    let known = ProposedPlan {
        approved: true,
        ..shown.clone()
    };
    let other = environment().service("api", service().image("api", "api:3").replicas("api", 2));
    let after = seen.runs_replicas("api", 2);
    assert_eq!(
        text(&ruling(
            Management::Approve,
            Some(&shown.hash),
            Some(&known),
            (&other, &after)
        )),
        "AwaitingApproval 1: set image api/api api:1 → api:3"
    );
}

#[test]
fn what_was_shown_stays_while_zadig_works() {
    let (declared, seen) = differs();
    let shown = propose(&declared, &seen).unwrap();
    let busy = seen.status(EnvStatus::Updating, 1);
    assert_snapshot!(text(&ruling(Management::Approve, None, Some(&shown), (&declared, &busy))), @"
    still shown: set image api/api api:1 → api:2; scale Deployment/api 3 → 2
    wait 1s Updating Zadig reports updating
    ");
}

#[test]
fn a_suspended_connection_does_not_hide_what_is_to_be_approved_but_holds_it_up() {
    let (declared, seen) = differs();
    let seen = seen.with(|observed| observed.connection_suspended = true);
    let hash = propose(&declared, &seen).unwrap().hash;
    assert!(
        text(&ruling(Management::Approve, None, None, (&declared, &seen)))
            .starts_with("AwaitingApproval 2: ")
    );
    let held = text(&ruling(
        Management::Approve,
        Some(&hash),
        None,
        (&declared, &seen),
    ));
    assert!(held.contains("wait 300s ConnectionSuspended"), "{held}");
}

#[test]
fn a_creation_covers_what_it_cannot_carry() {
    let api = service().variable("LOG", "debug").replicas("api", 2);
    let declared = environment().service("api", api.clone());
    let absent = observed();
    let shown = propose(&declared, &absent).unwrap();
    let known = ProposedPlan {
        approved: true,
        ..shown.clone()
    };
    let made = sent_first(9, &declared, &absent)
        .present()
        .owned()
        .running_as_before("api", &api)
        .runs_replicas("api", 1);
    assert_eq!(
        text(&ruling(
            Management::Approve,
            Some(&shown.hash),
            Some(&known),
            (&declared, &made)
        )),
        "approved, 2 steps\nscale api Deployment/api 1 -> 2"
    );
}

/// Something that changes, and whether that makes another plan of it.
type Change = (&'static str, fn(Observed) -> Observed, bool);

#[test]
fn a_hash_stands_for_the_declaration_what_was_seen_of_it_and_the_calls() {
    let (declared, seen) = differs();
    let hash = |declared: &Environment, seen: &Observed| propose(declared, seen).unwrap().hash;
    let first = hash(&declared, &seen);
    let other = |declared: Environment| assert_ne!(hash(&declared, &seen), first);
    other(declared.clone().global("LOG", "info"));
    other(declared.clone().prune(Prune::All));
    let changes: [Change; 7] = [
        (
            "another image runs",
            |seen| seen.runs_image("api", "api:0"),
            true,
        ),
        (
            "another number of pods",
            |seen| seen.runs_replicas("api", 4),
            true,
        ),
        (
            "another image is recorded",
            |seen| {
                seen.seen_with("api", |api| {
                    api.images.insert("api".to_owned(), "api:7".to_owned());
                })
            },
            true,
        ),
        (
            "another service is there",
            |seen| seen.foreign("web"),
            false,
        ),
        (
            "time passes",
            |seen| seen.with(|seen| seen.now = ago(-60)),
            false,
        ),
        (
            "update_time moves",
            |seen| seen.present_with(|present| present.update_time += 1),
            false,
        ),
        (
            "pods come and go",
            |seen| {
                seen.seen_with("api", |api| {
                    for live in api.live.iter_mut().flatten() {
                        live.ready = 0;
                        live.newest_pod = Some(1);
                    }
                })
            },
            false,
        ),
    ];
    for (what, change, is_other) in changes {
        assert_eq!(
            hash(&declared, &change(seen.clone())) != first,
            is_other,
            "{what}"
        );
    }
}

#[test]
fn a_change_of_ours_makes_the_same_difference_another_plan() {
    let (declared, seen) = differs();
    let Plan::Act(act) = proposal::ahead(&Desired::Present(declared.clone()), &seen) else {
        panic!("it differs");
    };
    let hash = |changed_at| {
        let draft = proposal::draft(&declared, &seen, &act.actions, changed_at);
        draft.propose(digest).unwrap().hash
    };
    assert_ne!(hash(None), hash(Some(ago(60))));
    assert_ne!(hash(Some(ago(30))), hash(Some(ago(60))));
}

#[test]
fn a_secret_value_counts_and_is_shown_nowhere() {
    let of = |value: &str| {
        let api = service().variable("LOG", value);
        let declared = environment().service("api", api).global("LOG", value);
        let seen = observed().present().owned();
        let desired = Desired::Present(declared.clone());
        let Plan::Act(act) = proposal::ahead(&desired, &seen) else {
            panic!("it differs");
        };
        proposal::draft(&declared, &seen, &act.actions, None)
    };
    let (one, two) = (of("hunter22"), of("hunter23"));
    let proposed = one.propose(digest).unwrap();
    assert_ne!(proposed.hash, two.propose(digest).unwrap().hash);
    assert!(!format!("{one:?} {proposed:?}").contains("hunter"));
}

#[test]
fn a_plan_that_is_too_long_to_be_remembered_needs_another_approval_for_the_rest() {
    let draft = |steps: usize| Draft {
        summary: vec!["x".repeat(1000); 40],
        steps: (0..steps).map(|step| format!("{step:04}")).collect(),
        ..Draft::default()
    };
    let long = draft(600).propose(digest).unwrap();
    assert_eq!(
        (long.steps.len(), long.summary.len(), long.actions),
        (512, 16, 40)
    );
    assert_eq!(long.summary[0].chars().count(), 300);
    assert!(!covers(&long, &draft(600).propose(digest).unwrap()));
    assert!(covers(&long, &draft(500).propose(digest).unwrap()));
}
