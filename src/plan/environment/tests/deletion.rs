//! The way out: deletion always ends, and never touches what is not ours (design §2, rule 6).

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::super::fixture::{
    ago, allowance, leaving, observed, planned_deletion, planned_protected, service,
};
use super::super::memory::Memory;
use super::super::{Bound, EnvStatus, Moved, Observed, plan};
use crate::api::environment::Deletion;
use crate::plan::Plan;
use crate::plan::budget::{Counted, ENVIRONMENT};

/// Created by this object, with a service of its own and a foreign one.
fn owned() -> Observed {
    observed()
        .present()
        .owned()
        .running("api", &service())
        .foreign("db")
}

#[test]
fn what_was_never_owned_is_released() {
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &observed().present()), @"in sync");
}

#[test]
fn what_this_object_created_is_deleted_after_its_services() {
    assert_snapshot!(planned_deletion(None, &owned()), @r#"
    remove services {"api"}
    delete, keep resources: false
    "#);
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &owned()), @r#"
    remove services {"api"}
    delete, keep resources: false
    "#);
}

#[test]
fn services_that_a_binding_added_go_with_the_environment() {
    let bound = owned().with(|observed| {
        observed.bound = [("db".into(), Bound::Added), ("web".into(), Bound::Adopted)].into();
    });
    assert_snapshot!(planned_deletion(None, &bound), @r#"
    remove services {"api", "db"}
    delete, keep resources: false
    "#);
}

#[test]
fn what_was_adopted_stays_unless_deletion_is_written() {
    let adopted = owned().adopted();
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &adopted), @r#"
    remove services {"api"}
    delete, keep resources: false
    "#);
}

#[test]
fn detaching_keeps_the_workloads() {
    assert_snapshot!(planned_deletion(Some(Deletion::Detach), &owned()), @"delete, keep resources: true");
}

#[test]
fn orphaning_releases_every_stuck_case() {
    let stuck: [Observed; 7] = [
        owned(),
        owned().with(|o| o.connection_suspended = true),
        owned().with(|o| o.moved = Moved::DifferentZadig),
        owned().status(EnvStatus::Deleting, 1_000_000),
        owned().status(EnvStatus::Other("hibernating".to_owned()), 1_000_000),
        observed().owned(),
        observed().pending(),
    ];
    for observed in stuck {
        assert_eq!(
            planned_deletion(Some(Deletion::Orphan), &observed),
            "in sync"
        );
    }
}

#[test]
fn the_younger_of_two_objects_goes_without_a_call() {
    let observed = owned().with(|o| o.rival = Some("team/older".to_owned()));
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &observed), @"in sync");
}

#[test]
fn another_environment_under_the_same_key_is_not_deleted() {
    let elsewhere = owned().present_with(|present| present.namespace = "other".to_owned());
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &elsewhere), @"in sync");
    let elsewhere = owned().present_with(|present| present.cluster_id = "c-far".to_owned());
    assert_snapshot!(planned_deletion(Some(Deletion::Delete), &elsewhere), @"in sync");
}

#[test]
fn nothing_is_deleted_in_another_zadig() {
    let observed = owned().with(|o| o.moved = Moved::DifferentZadig);
    assert_snapshot!(planned_deletion(None, &observed), @"blocked DifferentZadig spec.connectionRef: this environment lives in https://zadig.example.com, the connection now leads to https://zadig.example.com, and not every environment that was made through it is found there as recorded; nothing is written. Point the connection back, or release the objects with deletion: Orphan");
}

#[test]
fn the_end_is_seen_in_two_lists_also_for_the_last_environment_of_a_project() {
    assert_snapshot!(planned_deletion(None, &observed().owned()), @"wait 2s Deleting the environment is no longer listed; looking once more");
    assert_snapshot!(planned_deletion(None, &observed().owned().gone()), @"in sync");
}

#[test]
fn a_suspended_connection_holds_the_deletion_up() {
    let observed = owned().with(|o| o.connection_suspended = true);
    assert_snapshot!(planned_deletion(None, &observed), @"wait 300s ConnectionSuspended the connection is suspended; the environment is deleted when it is resumed");
}

#[test]
fn a_create_whose_answer_was_lost_is_cleaned_up() {
    let observed = observed()
        .present()
        .pending()
        .with(|o| o.memory.known = false);
    assert_snapshot!(planned_deletion(None, &observed), @"delete, keep resources: false");
}

#[test]
fn what_was_declared_goes_first_when_nothing_is_remembered_of_what_this_object_made() {
    // A status that is lost, or an answer of the create call.
    for observed in [owned().forgotten(), owned().pending().forgotten()] {
        assert_eq!(
            planned_deletion(None, &observed),
            "remove services {\"api\"}\ndelete, keep resources: false"
        );
    }
    let adopted = owned().adopted().forgotten();
    assert_eq!(
        planned_deletion(Some(Deletion::Delete), &adopted),
        "delete, keep resources: false"
    );
}

#[test]
fn a_busy_environment_in_its_own_namespace_is_deleted_at_once() {
    for status in [EnvStatus::Creating, EnvStatus::Updating] {
        assert_eq!(
            planned_deletion(None, &owned().status(status, 1)),
            "delete, keep resources: false"
        );
    }
}

#[test]
fn a_busy_environment_elsewhere_is_waited_for_since_its_workloads_would_stay() {
    let foreign: [fn(Observed) -> Observed; 2] = [
        |o| o.present_with(|present| present.neighbours = vec!["dev2".to_owned()]),
        |o| {
            o.with(|o| o.record.as_mut().unwrap().namespace = "team".to_owned())
                .present_with(|present| present.namespace = "team".to_owned())
        },
    ];
    for foreign in foreign {
        let busy = foreign(owned()).status(EnvStatus::Updating, 1);
        assert_eq!(
            planned_deletion(None, &busy),
            "wait 1s Deleting Zadig reports updating"
        );
    }
}

#[test]
fn whatever_word_zadig_has_for_an_idle_environment_it_is_deleted() {
    for status in [
        EnvStatus::Failed,
        EnvStatus::Unstable,
        EnvStatus::Sleeping,
        EnvStatus::Other("hibernating".to_owned()),
    ] {
        let observed = owned().status(status.clone(), 1);
        let plan = planned_deletion(None, &observed);
        assert!(
            plan.ends_with("delete, keep resources: false"),
            "{status:?}: {plan}"
        );
    }
}

#[test]
fn a_deletion_under_way_is_waited_for() {
    assert_snapshot!(planned_deletion(None, &owned().status(EnvStatus::Deleting, 1)), @"wait 1s Deleting Zadig reports deleting");
    let sent = owned().with(|o| o.memory.delete_sent = Some(ago(29)));
    assert_snapshot!(planned_deletion(None, &sent), @"wait 1s Deleting the environment is being deleted");
}

#[test]
fn a_delete_call_without_effect_is_sent_again() {
    let sent = owned().with(|o| o.memory.delete_sent = Some(ago(30)));
    assert_snapshot!(planned_deletion(None, &sent), @r#"
    remove services {"api"}
    delete, keep resources: false
    "#);
}

#[test]
fn a_deletion_that_a_restart_of_zadig_cut_off_is_sent_again() {
    let stuck = owned().status(EnvStatus::Deleting, 600);
    assert_snapshot!(planned_deletion(None, &stuck), @"delete, keep resources: false");
    let sent = stuck.with(|o| o.memory.delete_sent = Some(ago(29)));
    assert_snapshot!(planned_deletion(None, &sent), @"wait 1s Deleting the environment is being deleted");
}

#[test]
fn a_protected_environment_is_not_deleted_however_it_was_to_go() {
    let told = planned_protected(None, &owned());
    assert_snapshot!(told, @"blocked DeletionProtected spec.deletionProtection: environment dev of project shop is protected, so nothing is deleted in Zadig; to delete it, set deletionProtection: false; to release this object and leave the environment there, set the annotation zadig-operator.io/deletion=Orphan");
    let held: [(Option<Deletion>, Observed); 6] = [
        (Some(Deletion::Delete), owned()),
        (Some(Deletion::Detach), owned()),
        (Some(Deletion::Delete), owned().adopted()),
        (None, owned().pending()),
        (None, owned().status(EnvStatus::Creating, 1_000_000)),
        (None, owned().with(|o| o.connection_suspended = true)),
    ];
    for (policy, observed) in held {
        assert_eq!(planned_protected(policy, &observed), told, "{policy:?}");
    }
}

#[test]
fn protection_holds_nothing_up_that_calls_nothing() {
    let released: [(Option<Deletion>, Observed); 6] = [
        (Some(Deletion::Orphan), owned()),
        (None, owned().adopted()),
        (None, observed().present()),
        (None, observed().owned().gone()),
        (
            None,
            owned().with(|o| o.rival = Some("team/older".to_owned())),
        ),
        (
            None,
            owned().present_with(|present| present.namespace = "other".to_owned()),
        ),
    ];
    for (policy, observed) in released {
        assert_eq!(
            planned_protected(policy, &observed),
            "in sync",
            "{policy:?}"
        );
    }
}

#[test]
fn a_deletion_beyond_the_budget_waits_and_says_until_when() {
    let spent = |observed: Observed| observed.with(|o| o.deletions = allowance(60, 0));
    let told = planned_deletion(None, &spent(owned()));
    assert_snapshot!(told, @"wait 1334s DeletionBudget spec.maxDeletionsPerHour of the ZadigConnection: its 60 deletions of this hour were sent; deleting it waits until 2026-09-21T14:33:20Z. Raise it there to go on at once");
    let detached = planned_deletion(Some(Deletion::Detach), &spent(owned()));
    assert_eq!(detached, told);
    let never = owned().with(|o| o.deletions = allowance(0, 0));
    assert_snapshot!(planned_deletion(None, &never), @"wait 3600s DeletionBudget spec.maxDeletionsPerHour of the ZadigConnection: it is 0; deleting it waits. Raise it there to go on at once");
    // What calls nothing waits for nothing, and what was counted goes on.
    for released in [
        spent(owned().adopted()),
        spent(observed().present()),
        spent(observed().owned().gone()),
    ] {
        assert_eq!(planned_deletion(None, &released), "in sync");
    }
    assert_eq!(
        planned_deletion(Some(Deletion::Orphan), &spent(owned())),
        "in sync"
    );
    let counted = spent(owned()).with(|o| {
        o.memory.counted.insert(ENVIRONMENT.to_owned());
    });
    assert_eq!(
        planned_deletion(None, &counted),
        planned_deletion(None, &owned())
    );
}

#[test]
fn an_environment_counts_once_with_all_its_services() {
    let Plan::Act(act) = plan(&leaving(None, false), &owned()) else {
        panic!("it is deleted");
    };
    let counted: BTreeSet<String> = act
        .actions
        .iter()
        .flat_map(|action| Counted::Environment.subjects(action))
        .collect();
    assert_eq!(counted, BTreeSet::from([ENVIRONMENT.to_owned()]));
    let mut memory = Memory::default();
    memory.counted.clone_from(&counted);
    for action in &act.actions {
        memory.sent(action, None, ago(0));
    }
    assert_eq!(
        memory.counted, counted,
        "a second delete call counts no more"
    );
}
