//! The rules themselves (`plan/mod.rs`, design §2 and §3).

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use zadig_operator::api::environment::{Deletion, FieldPolicy, OwnershipState, Prune, Scope};
use zadig_operator::plan::Plan;
use zadig_operator::plan::environment::health::health;
use zadig_operator::plan::environment::helm::values::contains;
use zadig_operator::plan::environment::memory::Memory;
use zadig_operator::plan::environment::variables::is_bound;
use zadig_operator::plan::environment::{
    Action, Desired, EnvStatus, Existence, Observed, Service, Variable, plan,
};

use crate::object::{Object, Step};
use crate::zadig::{Release, Running, Zadig};

/// What holds for every single plan.
pub(crate) fn hold(
    desired: &Desired,
    observed: &Observed,
    planned: &Plan<Action>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        planned,
        &plan(desired, observed),
        "the same input, the same plan"
    );
    let Plan::Act(act) = planned else {
        return Ok(());
    };
    prop_assert!(!act.actions.is_empty());
    let calls = || {
        act.actions
            .iter()
            .filter(|action| !matches!(action, Action::RecordOwnership(_)))
    };
    match &observed.existence {
        Existence::Absent { confirmed } => {
            prop_assert!(
                *confirmed || observed.record.is_none(),
                "created on one list alone"
            );
        }
        Existence::Present(present) => {
            let busy = matches!(
                present.status,
                EnvStatus::Creating
                    | EnvStatus::Updating
                    | EnvStatus::Deleting
                    | EnvStatus::Sleeping
                    | EnvStatus::Other(_)
            );
            if busy && matches!(desired, Desired::Present(_)) {
                prop_assert_eq!(calls().count(), 0, "{:?} while {:?}", act, present.status);
            }
            if calls().count() > 0 {
                let record = observed.record.as_ref();
                prop_assert!(
                    record
                        .is_some_and(|r| r.namespace == present.namespace
                            && r.cluster_id == present.cluster_id),
                    "not ours: {:?}",
                    act
                );
            }
        }
    }
    for action in calls() {
        let creates = matches!(action, Action::CreateEnvironment(_));
        let absent = matches!(observed.existence, Existence::Absent { .. });
        prop_assert_eq!(creates, absent, "{:?}", action);
        let deletes = matches!(action, Action::DeleteEnvironment { .. });
        let wanted = matches!(desired, Desired::Absent { .. });
        prop_assert!(wanted || !deletes, "deleted without being asked");
        if let (Desired::Present(environment), Action::RemoveServices { services }) =
            (desired, action)
        {
            for name in services {
                let since = observed.memory.undeclared.get(name);
                let stayed = since.is_some_and(|since| {
                    let age = observed.now.duration_since(*since);
                    Duration::try_from(age).is_ok_and(|age| age >= environment.grace)
                });
                prop_assert!(stayed, "{} was removed at once", name);
            }
        }
    }
    Ok(())
}

/// What one call may change: declared fields of declared services, and what the object owns.
pub(crate) fn only_what_is_ours_changed(
    desired: &Desired,
    memory: &Memory,
    created: bool,
    action: &Action,
    before: &Zadig,
    after: &Zadig,
) -> Result<(), TestCaseError> {
    let (scope, revisions) = (before.scope, &before.revisions);
    let (Some(before), Some(after)) = (&before.env, &after.env) else {
        return Ok(());
    };
    let environment = match desired {
        Desired::Present(environment) => Some(environment),
        Desired::Absent { .. } => None,
    };
    for (name, was) in &before.services {
        let declared = environment.and_then(|environment| environment.services.get(name));
        let Some(is) = after.services.get(name) else {
            let owned = match desired {
                Desired::Absent { declared, .. } if !memory.known => declared.contains(name),
                // Nothing else would ever remove the workloads.
                Desired::Absent { declared, .. } if created && scope == Scope::Production => {
                    declared.contains(name) || memory.services.contains(name)
                }
                _ => memory.services.contains(name),
            };
            if let Action::TakeOut { upgrade, .. } = action {
                let announced = upgrade.is_some() || was.revision == revisions[name];
                prop_assert!(announced, "{name} will be upgraded by {action:?}");
                // It is added anew, with what was noted before.
                prop_assert!(
                    memory.applied[name].restore.is_some(),
                    "{name} is not noted"
                );
                continue;
            }
            let all = environment.is_some_and(|environment| environment.prune == Prune::All);
            prop_assert!(
                declared.is_none() && (owned || all),
                "{name} removed by {action:?}"
            );
            continue;
        };
        let bound = |key: &str| is_bound(name, key, &after.globals);
        let mut undone = is.clone();
        // What runs follows from the rest.
        undone.effective.clone_from(&was.effective);
        undone.pods = was.pods;
        if let Some(declared) = declared {
            if declared.helm.is_some() {
                undone.release.clone_from(&was.release);
            }
            for key in declared.variables.keys() {
                undone.values.insert(key.clone(), was.values[key].clone());
            }
            let known = memory.applied.get(name);
            let restores = known.is_some_and(|known| known.restore.is_some());
            if !declared.containers.is_empty() || restores {
                undone.image.clone_from(&was.image);
                undone.recorded.clone_from(&was.recorded);
            }
            if !declared.workloads.is_empty() || restores {
                undone.replicas = was.replicas;
                undone.recorded_replicas = was.recorded_replicas;
            }
            if declared.restart_token.is_some() {
                undone.restarts = was.restarts;
            }
            if let Action::UpdateServices { upgrades, .. } = action {
                let announced = upgrades.contains_key(name) || is.revision == was.revision;
                prop_assert!(announced, "{name} is upgraded by {action:?}");
                // Zadig offers no way without it (Z§4.11).
                undone.revision = was.revision;
                undone.replicas = was.replicas;
                undone.recorded_replicas = was.recorded_replicas;
            }
        }
        undone.lost = was.lost;
        for key in is.values.keys().filter(|key| bound(key)) {
            undone.values.insert(key.clone(), was.values[key].clone());
        }
        prop_assert_eq!(&undone, was, "{} changed by {:?}", name, action);
        for (key, global) in &before.globals {
            let left_alone = declared.is_none_or(|d| !d.variables.contains_key(key))
                && after.services.contains_key(name);
            if left_alone && global.related.contains(name) {
                prop_assert!(bound(key), "{} of {} unbound by {:?}", key, name, action);
            }
        }
    }
    for (key, was) in &before.globals {
        let declared = environment.is_some_and(|e| e.global_variables.contains_key(key));
        let is = after.globals.get(key).map(|global| &global.value);
        prop_assert!(
            declared || is == Some(&was.value),
            "{key} changed by {action:?}"
        );
    }
    if environment.is_none_or(|environment| environment.registry.is_none()) {
        prop_assert_eq!(&before.registry, &after.registry);
    }
    if environment.is_none_or(|environment| environment.alias.is_none()) {
        prop_assert_eq!(&before.alias, &after.alias);
    }
    Ok(())
}

/// In sync means: every declared field that can be told is as declared.
pub(crate) fn everything_declared_is_so(
    object: &Object,
    zadig: &Zadig,
) -> Result<(), TestCaseError> {
    let (Some(environment), Some(env)) = (object.environment(), &zadig.env) else {
        return Err(TestCaseError::fail("in sync without an environment"));
    };
    if environment.registry.is_some() {
        prop_assert_eq!(env.registry.as_str(), "r-default");
    }
    if let Some(alias) = &environment.alias {
        prop_assert_eq!(&env.alias, alias);
    }
    for (key, value) in &environment.global_variables {
        prop_assert_eq!(env.globals[key].value.as_str(), Some(value.expose()));
    }
    for (name, declared) in &environment.services {
        let Some(Running {
            values,
            image,
            recorded,
            replicas,
            release,
            ..
        }) = env.services.get(name)
        else {
            return Err(TestCaseError::fail(format!("{name} is missing")));
        };
        if let (Some(helm), Some(release)) = (&declared.helm, release) {
            let Ok(expected) = helm.expected() else {
                return Err(TestCaseError::fail("nothing declared here is wrong"));
            };
            prop_assert!(contains(&release.show(), &expected), "values of {name}");
            if !object.forgot && !release.theirs {
                // A key that is no longer declared is the chart's again.
                let wanted = Release::of(&expected).show();
                prop_assert!(release.show() == wanted, "{name} holds {:?}", release.sent);
            }
        }
        for (key, variable) in &declared.variables {
            match variable {
                Variable::Global => prop_assert!(is_bound(name, key, &env.globals)),
                Variable::Value(value) if !object.forgot => {
                    prop_assert_eq!(&values[key], value.expose(), "{} of {}", key, name);
                }
                Variable::Value(_) => {}
            }
        }
        for wanted in declared.containers.values() {
            if wanted.policy == FieldPolicy::Enforce {
                prop_assert_eq!((&wanted.image, &wanted.image), (image, recorded));
            }
        }
        for wanted in declared.workloads.values() {
            if wanted.policy == FieldPolicy::Enforce {
                prop_assert_eq!(wanted.replicas, *replicas);
            }
        }
    }
    for name in env.services.keys() {
        let declared = environment.services.contains_key(name);
        prop_assert!(
            declared || environment.prune != Prune::All,
            "{name} is left"
        );
    }
    Ok(())
}

/// Success is no proof: where the cluster refused our last change, that is told, and nothing else is.
pub(crate) fn what_the_cluster_refused_is_told(
    object: &mut Object,
    zadig: &mut Zadig,
) -> Result<(), TestCaseError> {
    let observed = object.observe(zadig);
    let (Some(environment), Some(detail)) = (object.environment(), observed.detail()) else {
        return Err(TestCaseError::fail("in sync without a look"));
    };
    let Some(env) = &zadig.env else { return Ok(()) };
    let health = health(environment, detail, &object.memory);
    for status in health.services {
        let service = &env.services[&status.name];
        let runs = service.effective == service.values;
        if object.refused(&status.name) {
            // A refused way back to what runs is told too: that it makes no difference cannot be seen.
            prop_assert!(
                runs || service.replicas == 0 || status.message.is_some(),
                "{} is not told",
                status.name
            );
        } else if runs {
            prop_assert_eq!(status.message, None);
        }
    }
    Ok(())
}

/// A repaired service is as it was, whatever of it is declared.
pub(crate) fn it_is_back_as_it_was(
    declared: &Service,
    was: &Running,
    is: &Running,
) -> Result<(), TestCaseError> {
    prop_assert!(!is.lost);
    prop_assert_eq!(&is.values, &was.values);
    let is_held = |policy: FieldPolicy| policy == FieldPolicy::Enforce;
    if !declared.containers.values().any(|it| is_held(it.policy)) {
        prop_assert_eq!(&is.recorded, &was.recorded);
        prop_assert_eq!(&is.image, &was.recorded);
    }
    if !declared.workloads.values().any(|it| is_held(it.policy)) {
        prop_assert_eq!(is.replicas, was.recorded_replicas);
    }
    Ok(())
}

/// Idle is silent.
pub(crate) fn nothing_is_sent_while_nothing_happens(
    object: &mut Object,
    zadig: &mut Zadig,
) -> Result<(), TestCaseError> {
    let before = zadig.env.clone();
    for _ in 0..5 {
        prop_assert!(matches!(object.reconcile(zadig)?, Step::InSync));
    }
    prop_assert_eq!(&before, &zadig.env);
    Ok(())
}

/// A lost status, and a lost annotation, lead to no call; and what is filled in again leads to none either.
pub(crate) fn a_lost_memory_is_no_change(
    object: &Object,
    zadig: &Zadig,
) -> Result<(), TestCaseError> {
    let losses: [fn(&mut Object); 3] = [
        Object::lose_status,
        Object::lose_annotation,
        Object::restart,
    ];
    // Either of the two is enough, but one it takes.
    let skipped = usize::from(!object.has_annotation());
    for lose in &losses[skipped..] {
        let (mut object, mut zadig) = (object.clone(), zadig.clone());
        lose(&mut object);
        object.restart();
        nothing_is_sent_while_nothing_happens(&mut object, &mut zadig)?;
    }
    Ok(())
}

/// Deleting the object deletes what it made, if it says so, and nothing else.
pub(crate) fn the_way_out_takes_only_what_is_ours(
    object: &Object,
    before: &Zadig,
    after: &Zadig,
) -> Result<(), TestCaseError> {
    let Desired::Absent {
        policy, declared, ..
    } = &object.desired
    else {
        return Ok(());
    };
    let ours = object.owns(before);
    let state = object.record.as_ref().map(|record| record.state);
    let policy = policy.unwrap_or(match state {
        Some(OwnershipState::Created | OwnershipState::Pending) => Deletion::Delete,
        Some(OwnershipState::Adopted) | None => Deletion::Orphan,
    });
    if ours && policy != Deletion::Orphan {
        prop_assert_eq!(&after.env, &None);
        let created = state != Some(OwnershipState::Adopted);
        if created && policy == Deletion::Delete {
            let left: Vec<&String> = after.left.intersection(declared).collect();
            prop_assert_eq!(left, Vec::<&String>::new(), "they run on for ever");
        }
    } else {
        prop_assert_eq!(&before.env, &after.env);
    }
    Ok(())
}
