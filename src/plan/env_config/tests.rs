//! The decision table of an object inside an environment, row by row.

use std::time::Duration;

use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::carried::may_be_carried;
use super::{Action, Config, Desired, Existence, Memory, Object, Observed, Source, plan};
use crate::api::env_config::{ConfigDeletion, ConfigType, GitFile};
use crate::api::environment::{Creation, Ownership, OwnershipState, Scope};
use crate::plan::environment::EnvStatus;
use crate::plan::home::{Home, Place, left_behind};
use crate::plan::repairs::REPAIRS;
use crate::plan::{Licence, Plan};

const NOW: i64 = 1_790_000_000;

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds).unwrap()
}

fn ownership(state: OwnershipState) -> Ownership {
    Ownership {
        zadig: "https://zadig.example.com:443".to_owned(),
        project: "shop".to_owned(),
        env: "dev".to_owned(),
        cluster_id: "c-local".to_owned(),
        namespace: "shop-env-dev".to_owned(),
        state,
    }
}

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": data})
}

fn config(kind: ConfigType) -> Config {
    Config {
        kind,
        name: "app".to_owned(),
        object: Object(config_map(&json!({"level": "debug"}))),
        git: None,
        creation: Creation::Create,
    }
}

/// The same with a source in Git.
fn from_git() -> Config {
    Config {
        git: Some(GitFile {
            codehost_id: 7,
            owner: "shop".to_owned(),
            repo: "config".to_owned(),
            branch: "main".to_owned(),
            path: "dev/app.yaml".to_owned(),
            auto_sync: true,
        }),
        ..config(ConfigType::ConfigMap)
    }
}

/// A settled environment without the object.
fn observed() -> Observed {
    Observed {
        now: ago(0),
        environment: Home::Present(Box::new(Place {
            identity: ownership(OwnershipState::Created),
            scope: Scope::Test,
            status: EnvStatus::Success,
            since: ago(3600),
            stuck_after: Duration::from_mins(10),
        })),
        rival: None,
        record: None,
        live: Existence::Absent,
        source: None,
        listed: false,
        licence: Licence::Professional,
        connection_suspended: false,
        memory: Memory::default(),
    }
}

impl Observed {
    fn holding(mut self, data: &Value) -> Self {
        self.live = Existence::Present(Object(config_map(data)));
        self
    }

    fn owned_as(mut self, state: OwnershipState) -> Self {
        self.record = Some(ownership(state));
        self
    }

    fn licence(mut self, licence: Licence) -> Self {
        self.licence = licence;
        self
    }

    fn in_production(mut self) -> Self {
        if let Home::Present(home) = &mut self.environment {
            home.scope = Scope::Production;
        }
        self
    }

    fn zadig_says(mut self, status: EnvStatus) -> Self {
        if let Home::Present(home) = &mut self.environment {
            home.status = status;
        }
        self
    }
}

fn text(planned: Plan<Action>) -> String {
    match planned {
        Plan::InSync => "in sync".to_owned(),
        Plan::Act(act) => {
            assert!(act.blocked.is_empty());
            let lines = act.actions.iter().map(|action| match action {
                Action::Create {
                    by_update: true, ..
                } => {
                    format!("{} by the route that updates", action.summary())
                }
                action => action.summary(),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Plan::Wait(wait) => format!("wait {:?} {}", wait.reason, wait.message),
        Plan::Blocked(blocked) => blocked
            .iter()
            .map(|blocked| format!("blocked {:?} {}", blocked.reason, blocked.message))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn planned(config: Config, observed: &Observed) -> String {
    text(plan(&Desired::Present(config), observed))
}

fn planned_deletion(policy: Option<ConfigDeletion>, observed: &Observed) -> String {
    let protected = false;
    text(plan(&Desired::Absent { policy, protected }, observed))
}

#[test]
fn a_missing_object_is_claimed_and_created() {
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed()), @r"
    record the object as pending
    create ConfigMap app
    ");
}

#[test]
fn without_a_licence_a_secret_or_an_ingress_is_made_by_the_route_that_updates() {
    let unlicensed = observed().licence(Licence::Refused);
    assert_snapshot!(planned(config(ConfigType::Secret), &unlicensed), @r"
    record the object as pending
    create Secret app by the route that updates
    ");
    assert_snapshot!(planned(config(ConfigType::Ingress), &unlicensed.licence(Licence::Unknown)), @r"
    record the object as pending
    create Ingress app by the route that updates
    ");
}

#[test]
fn without_a_licence_a_config_map_is_blocked_with_the_remedy() {
    let unlicensed = observed().licence(Licence::Refused);
    assert_snapshot!(planned(config(ConfigType::Pvc), &unlicensed), @"blocked LicenceRequired creating PVC app in an environment that exists needs Zadig's professional licence (Zadig refused with code 7050); without it, name this object under spec.configRefs of the ZadigEnvironment before that is created, or create the object in the cluster and set creation: CreateOrAdopt");
}

#[test]
fn z14_01_an_equal_object_is_not_written() {
    let observed = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({"level": "debug"}));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"in sync");
}

#[test]
fn z14_02_what_the_server_adds_is_no_difference() {
    let mut observed = observed().owned_as(OwnershipState::Created);
    observed.live = Existence::Present(Object(json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "data": {"level": "debug"},
        "metadata": {
            "name": "app", "namespace": "shop-env-dev", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"s-product": "shop"},
        },
    })));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"in sync");
}

#[test]
fn a_difference_is_replaced_and_named() {
    let observed = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({"level": "info", "more": "x"}));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"replace ConfigMap app (data[level], data[more]); what refers to it restarts");
}

#[test]
fn two_writes_are_seconds_apart() {
    let mut observed = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({"level": "info"}));
    observed.memory.wrote_at = Some(ago(1));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"wait Applying written a moment ago; looking again before it is written anew");
}

#[test]
fn a_difference_that_comes_back_is_left_to_a_person() {
    let mut observed = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({"level": "info"}));
    let desired = Desired::Present(config(ConfigType::ConfigMap));
    let mut writes = 0;
    while let Plan::Act(act) = plan(&desired, &observed) {
        writes += act.actions.len();
        observed.memory.sent(&act.actions[0], observed.now);
        observed.now += Duration::from_mins(1);
        assert!(writes < 10, "it goes on for ever");
    }
    assert_eq!(writes, usize::try_from(REPAIRS).unwrap());
    assert!(
        text(plan(&desired, &observed)).starts_with("blocked DriftDoesNotConverge data[level]:")
    );
    // Each write deletes pods, so it is left alone for good, not for a while.
    let end = plan(&desired, &observed);
    for _ in 0..24 {
        observed.now += Duration::from_hours(1);
        let wrote_at = observed.memory.wrote_at;
        observed.memory.repairs.fade(wrote_at, observed.now);
        assert_eq!(plan(&desired, &observed), end);
        observed.memory.repairs.looked(false, observed.now);
    }
    observed.memory.repairs.forget();
    assert!(
        matches!(plan(&desired, &observed), Plan::Act(_)),
        "a person asked"
    );
}

#[test]
fn differences_that_take_turns_at_coming_back_end_too() {
    let mut observed = observed().owned_as(OwnershipState::Created);
    let desired = Desired::Present(config(ConfigType::ConfigMap));
    let turns = [
        json!({"level": "info"}),
        json!({"level": "debug", "more": "x"}),
    ];
    let mut writes = 0;
    for holds in turns.iter().cycle() {
        observed = observed.holding(holds);
        let Plan::Act(act) = plan(&desired, &observed) else {
            break;
        };
        writes += 1;
        observed.memory.sent(&act.actions[0], observed.now);
        observed.now += Duration::from_mins(1);
        assert!(writes < 10, "it goes on for ever");
    }
    assert_eq!(writes, 2 * REPAIRS);
}

#[test]
fn an_object_that_was_there_is_taken_over_only_when_asked() {
    let observed = observed().holding(&json!({"level": "info"}));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @r#"blocked ConfigExists ConfigMap app exists in the environment and was not made by this object; to take it over: kubectl patch zadigenvconfig <name> --type merge -p '{"spec":{"creation":"CreateOrAdopt"}}'"#);
    let adopting = Config {
        creation: Creation::CreateOrAdopt,
        ..config(ConfigType::ConfigMap)
    };
    assert_snapshot!(planned(adopting, &observed), @"record the object as adopted");
}

#[test]
fn an_object_to_adopt_that_is_missing_is_waited_for() {
    let adopting = Config {
        creation: Creation::Adopt,
        ..config(ConfigType::ConfigMap)
    };
    assert_snapshot!(planned(adopting, &observed()), @"wait ConfigNotFound spec.creation: Adopt, but the environment has no ConfigMap app; set creation: CreateOrAdopt");
}

#[test]
fn what_the_creation_of_the_environment_carries_is_claimed_before_and_confirmed_after() {
    let mut before = observed();
    before.environment = Home::Missing {
        why: "the environment is not created yet".to_owned(),
        carried: Some(ownership(OwnershipState::Pending)),
    };
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &before), @"record the object as pending");
    let claimed = before.owned_as(OwnershipState::Pending);
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &claimed), @"wait EnvironmentNotReady the environment is not created yet");
    let after = observed()
        .owned_as(OwnershipState::Pending)
        .holding(&json!({"level": "debug"}));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &after), @"record the object as created");
}

/// The creation of an environment in a namespace that may be there already is going to carry the object (Z§4.6).
fn carried_into_another_namespace() -> Observed {
    let legacy = Ownership {
        namespace: "shop-legacy".to_owned(),
        ..ownership(OwnershipState::Pending)
    };
    Observed {
        environment: Home::Missing {
            why: "the environment is not created yet".to_owned(),
            carried: Some(legacy),
        },
        listed: true,
        ..observed()
    }
}

#[test]
fn what_may_be_there_before_its_environment_is_overwritten_only_when_asked_and_counts_as_taken_over()
 {
    let by = |creation| Config {
        creation,
        ..config(ConfigType::Secret)
    };
    let before = carried_into_another_namespace();
    assert_snapshot!(planned(by(Creation::Create), &before), @r#"blocked ConfigExists spec.creation: Create, but Secret app may be there before the environment: spec.namespace of the ZadigEnvironment is shop-legacy, and in a namespace that exists the creation overwrites it (spec.configRefs). If it may: kubectl patch zadigenvconfig <name> --type merge -p '{"spec":{"creation":"CreateOrAdopt"}}', and it counts as taken over. Else leave spec.namespace out there, so that Zadig makes one"#);
    assert_snapshot!(planned(by(Creation::CreateOrAdopt), &before), @"record the object as adopted");
    // Claimed before the declaration said otherwise: nothing was made by then.
    let mut pending = before.clone();
    let Home::Missing { carried, .. } = &before.environment else {
        unreachable!()
    };
    pending.record.clone_from(carried);
    assert_eq!(
        planned(by(Creation::Create), &pending),
        planned(by(Creation::Create), &before)
    );
    assert_snapshot!(planned(by(Creation::CreateOrAdopt), &pending), @"record the object as adopted");
    // What was ours in an environment that is to be made anew is ours.
    for state in [OwnershipState::Created, OwnershipState::Adopted] {
        let mut ours = pending.clone();
        ours.record = ours.record.map(|record| record.in_state(state));
        for creation in [Creation::Create, Creation::CreateOrAdopt, Creation::Adopt] {
            assert!(planned(by(creation), &ours).starts_with("wait EnvironmentNotReady"));
            assert!(may_be_carried(creation, &ours.record.clone().unwrap()));
        }
    }
}

#[test]
fn what_may_never_be_created_is_not_carried_by_a_creation_either() {
    let adopting = Config {
        creation: Creation::Adopt,
        ..config(ConfigType::Secret)
    };
    let told = "blocked ConfigNotFound spec.creation: Adopt, but the ZadigEnvironment names this object under spec.configRefs, and its creation would make Secret app; set creation: CreateOrAdopt, or take it out of configRefs there";
    assert_eq!(
        planned(adopting.clone(), &carried_into_another_namespace()),
        told
    );
    let mut before = carried_into_another_namespace();
    before.environment = Home::Missing {
        why: "the environment is not created yet".to_owned(),
        carried: Some(ownership(OwnershipState::Pending)),
    };
    assert_eq!(planned(adopting, &before), told);
    let pending = ownership(OwnershipState::Pending);
    assert!(!may_be_carried(Creation::Adopt, &pending));
    assert!(may_be_carried(Creation::Create, &pending));
}

#[test]
fn a_busy_or_sleeping_environment_is_left_alone() {
    let differing = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({"level": "info"}));
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &differing.clone().zadig_says(EnvStatus::Updating)), @"wait Updating Zadig reports the environment as updating");
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &differing.zadig_says(EnvStatus::Sleeping)), @"wait Sleeping the environment sleeps; nothing is changed until somebody wakes it in Zadig");
}

#[test]
fn the_younger_of_two_owners_writes_nothing() {
    let mut observed = observed();
    observed.rival = Some("team/older".to_owned());
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"blocked Conflict spec.name: team/older is older and owns ConfigMap app of this environment; delete one of the two");
}

#[test]
fn nothing_is_written_while_suspended() {
    let mut observed = observed();
    observed.connection_suspended = true;
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"wait ConnectionSuspended the connection is suspended; waiting: record the object as pending; create ConfigMap app");
}

#[test]
fn the_same_zadig_under_another_address_is_noted() {
    let mut observed = observed()
        .owned_as(OwnershipState::Adopted)
        .holding(&json!({"level": "debug"}));
    if let Some(record) = &mut observed.record {
        record.zadig = "https://old.example.com:443".to_owned();
    }
    assert_snapshot!(planned(config(ConfigType::ConfigMap), &observed), @"record the object as adopted");
}

#[test]
fn deletion_removes_what_was_created_and_leaves_what_was_adopted() {
    let created = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({}));
    let adopted = observed()
        .owned_as(OwnershipState::Adopted)
        .holding(&json!({}));
    let foreign = observed().holding(&json!({}));
    assert_snapshot!(planned_deletion(None, &created), @"delete the object");
    assert_snapshot!(planned_deletion(Some(ConfigDeletion::Orphan), &created), @"in sync");
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(Some(ConfigDeletion::Delete), &adopted), @"delete the object");
    assert_snapshot!(planned_deletion(Some(ConfigDeletion::Delete), &foreign), @"in sync");
}

#[test]
fn deletion_waits_while_the_environment_is_in_doubt_and_leaves_what_is_in_another() {
    let mut doubtful = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({}));
    let other = |recorded: Option<Ownership>| Home::Other {
        why: "spec.environmentRef: not (yet) that of the ZadigEnvironment".to_owned(),
        recorded,
    };
    // Its Zadig is reached under another address, which the ZadigEnvironment did not record yet.
    let here = Ownership {
        zadig: "https://old.example.com:443".to_owned(),
        ..ownership(OwnershipState::Created)
    };
    doubtful.environment = other(Some(here.clone()));
    assert_snapshot!(planned_deletion(None, &doubtful), @"wait EnvironmentNotReady spec.environmentRef: not (yet) that of the ZadigEnvironment. What is inside is deleted once it is; to release this object and leave it there, set the annotation zadig-operator.io/deletion=Orphan");
    assert_snapshot!(planned_deletion(Some(ConfigDeletion::Orphan), &doubtful), @"in sync");
    let record = doubtful.record.clone().unwrap();
    assert!(
        left_behind(&record, &doubtful.environment).is_some(),
        "if it is released"
    );
    for recorded in [
        None,
        Some(Ownership {
            namespace: "elsewhere".to_owned(),
            ..here
        }),
    ] {
        doubtful.environment = other(recorded);
        assert_eq!(planned_deletion(None, &doubtful), "in sync");
        assert!(left_behind(&record, &doubtful.environment).is_some());
    }
    assert_eq!(left_behind(&record, &observed().environment), None);
}

#[test]
fn deletion_waits_until_the_object_is_gone_and_ends_with_its_environment() {
    let mut sent = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({}));
    sent.memory.delete_sent = Some(ago(1));
    assert_snapshot!(planned_deletion(None, &sent), @"wait Deleting the object is being deleted");
    sent.live = Existence::Absent;
    assert_snapshot!(planned_deletion(None, &sent), @"in sync");
    let mut alone = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({}));
    alone.environment = Home::Missing {
        why: "the environment is gone".to_owned(),
        carried: None,
    };
    assert_snapshot!(planned_deletion(None, &alone), @"in sync");
}

#[test]
fn deletion_waits_for_a_busy_environment_but_not_for_a_stuck_one() {
    let mut busy = observed()
        .owned_as(OwnershipState::Created)
        .holding(&json!({}))
        .zadig_says(EnvStatus::Updating);
    assert_snapshot!(planned_deletion(None, &busy), @"delete the object");
    if let Home::Present(home) = &mut busy.environment {
        home.since = ago(10);
    }
    assert_snapshot!(planned_deletion(None, &busy), @"wait Updating Zadig reports the environment as updating");
}

mod comparison {
    use super::super::compare::differences;
    use super::*;

    fn pvc(spec: &Value) -> Value {
        json!({"spec": spec})
    }

    #[test]
    fn labels_and_annotations_are_compared_as_far_as_declared() {
        let declared = json!({"metadata": {"labels": {"team": "a"}}});
        let live =
            |team: &str| json!({"metadata": {"labels": {"team": team, "s-product": "shop"}}});
        assert!(differences(ConfigType::ConfigMap, &declared, &live("a")).is_empty());
        assert_eq!(
            differences(ConfigType::ConfigMap, &declared, &live("b")),
            ["metadata.labels.team"]
        );
    }

    #[test]
    fn a_secret_differs_in_type_and_in_each_key() {
        let declared = json!({"data": {"a": "eA==", "b": "eQ=="}});
        let live = json!({"type": "kubernetes.io/tls", "data": {"a": "eA==", "c": "eQ=="}});
        assert_eq!(
            differences(ConfigType::Secret, &declared, &live),
            ["type", "data[b]", "data[c]"]
        );
        let equal = json!({"type": "Opaque", "data": {"b": "eQ==", "a": "eA=="}});
        assert!(differences(ConfigType::Secret, &declared, &equal).is_empty());
    }

    #[test]
    fn what_the_cluster_fills_in_is_left_alone() {
        let declared = pvc(&json!({
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}},
        }));
        let live = pvc(&json!({
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "standard", "volumeMode": "Filesystem", "volumeName": "pvc-1",
        }));
        assert!(differences(ConfigType::Pvc, &declared, &live).is_empty());
        let grown = pvc(&json!({"resources": {"requests": {"storage": "2Gi"}}}));
        assert_eq!(
            differences(ConfigType::Pvc, &grown, &live),
            ["spec.resources.requests.storage"]
        );
    }

    #[test]
    fn rules_of_an_ingress_are_as_many_as_declared() {
        let ingress = |hosts: &[&str]| {
            let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
            json!({"spec": {"rules": rules}})
        };
        assert_eq!(
            differences(ConfigType::Ingress, &ingress(&["a"]), &ingress(&["a", "b"])),
            ["spec.rules"]
        );
        assert_eq!(
            differences(
                ConfigType::Ingress,
                &ingress(&["a", "c"]),
                &ingress(&["a", "b"])
            ),
            ["spec.rules[1].host"]
        );
    }

    #[test]
    fn an_empty_and_a_missing_map_are_the_same() {
        let declared = json!({"data": {}});
        assert!(differences(ConfigType::ConfigMap, &declared, &json!({})).is_empty());
    }
}

#[test]
fn an_object_in_a_protected_environment_goes_only_when_its_own_object_says_so() {
    let held = |policy, observed: &Observed| {
        let protected = true;
        text(plan(&Desired::Absent { policy, protected }, observed))
    };
    let there = observed()
        .holding(&json!({"level": "debug"}))
        .owned_as(OwnershipState::Created);
    assert_snapshot!(held(None, &there), @"blocked DeletionProtected spec.deletion: deletionProtection of the ZadigEnvironment holds for what is inside too, so the object stays; to delete it, set deletion: Delete here; to release this object and leave it there, set the annotation zadig-operator.io/deletion=Orphan");
    let busy = there.clone().zadig_says(EnvStatus::Updating);
    assert_eq!(held(None, &busy), held(None, &there));
    assert_snapshot!(held(Some(ConfigDeletion::Delete), &there), @"delete the object");
    assert_snapshot!(held(Some(ConfigDeletion::Orphan), &there), @"in sync");
    let adopted = there.owned_as(OwnershipState::Adopted);
    assert_snapshot!(held(None, &adopted), @"in sync");
    let gone = observed().owned_as(OwnershipState::Created);
    assert_snapshot!(held(None, &gone), @"in sync");
}

/// A file of the repository that is declared.
fn source(path: &str) -> Source {
    Source {
        owner: "shop".to_owned(),
        repo: "config".to_owned(),
        branch: "main".to_owned(),
        path: path.to_owned(),
    }
}

#[test]
fn an_object_from_git_is_made_by_the_creation_of_its_environment_or_not_at_all() {
    let desired = Desired::Present(from_git());
    let waiting = |carried: Option<Ownership>, listed| Observed {
        environment: Home::Missing {
            why: "waiting for the environment".to_owned(),
            carried,
        },
        listed,
        ..observed()
    };
    assert_snapshot!(text(plan(&desired, &waiting(None, false))), @"blocked OnlyAtCreation spec.git: Zadig takes a source in Git only inside the creation of an environment: name this object under spec.configRefs of the ZadigEnvironment, or ConfigMap app is never made from it");
    let carried = waiting(Some(ownership(OwnershipState::Pending)), true);
    assert_snapshot!(text(plan(&desired, &carried)), @"record the object as pending");
    // It can be a moment until the environment is known as that of its object; nothing is told of it before.
    let unknown = Observed {
        environment: Home::Other {
            why: "not (yet) that of the ZadigEnvironment".to_owned(),
            recorded: None,
        },
        ..observed()
    };
    assert_snapshot!(text(plan(&desired, &unknown)), @"wait EnvironmentNotReady not (yet) that of the ZadigEnvironment");
    // The cluster cannot be told yet, which the environment says.
    assert_snapshot!(text(plan(&desired, &waiting(None, true))), @"wait EnvironmentNotReady waiting for the environment");
    assert_snapshot!(text(plan(&desired, &observed())), @"blocked OnlyAtCreation spec.git: Zadig takes a source in Git only inside the creation of an environment: the environment exists and has no ConfigMap app; create the environment anew with this object under its spec.configRefs, or create a new ZadigEnvConfig without git");
}

#[test]
fn of_an_object_from_git_the_source_is_compared_and_never_the_content() {
    let desired = Desired::Present(from_git());
    let live = |source: Option<Source>| Observed {
        source,
        ..observed()
            .owned_as(OwnershipState::Created)
            .holding(&json!({"level": "by a later commit"}))
    };
    assert_snapshot!(text(plan(&desired, &live(Some(source("dev/app.yaml"))))), @"in sync");
    assert_snapshot!(text(plan(&desired, &live(Some(source("qa/app.yaml"))))), @"blocked OnlyAtCreation spec.git: Zadig takes a source in Git only inside the creation of an environment: the source that Zadig shows of ConfigMap app is qa/app.yaml on main of shop/config; create the environment anew with this object under its spec.configRefs, or create a new ZadigEnvConfig without git");
    assert_snapshot!(text(plan(&desired, &live(None))), @"blocked OnlyAtCreation spec.git: Zadig takes a source in Git only inside the creation of an environment: the source that Zadig shows of ConfigMap app is none; create the environment anew with this object under its spec.configRefs, or create a new ZadigEnvConfig without git");
    let plain = Desired::Present(config(ConfigType::ConfigMap));
    assert_snapshot!(text(plan(&plain, &live(Some(source("dev/app.yaml"))))), @"replace ConfigMap app (data[level]); what refers to it restarts");
}

#[test]
fn a_refused_call_is_no_repair_however_often_it_is_made() {
    let desired = Desired::Present(config(ConfigType::ConfigMap));
    let mut observed = observed().owned_as(OwnershipState::Created);
    for round in 1..=2 * i64::from(REPAIRS) {
        observed.now = ago(-100 * round);
        let Plan::Act(act) = plan(&desired, &observed) else {
            panic!("given up at attempt {round}");
        };
        for action in &act.actions {
            observed.memory.sent(action, observed.now);
            observed.memory.was_refused(action);
        }
    }
}

#[test]
fn z9_08_what_is_missing_in_production_is_told_and_never_sent() {
    let missing = observed().in_production();
    for licence in [Licence::Professional, Licence::Unknown] {
        for kind in [
            ConfigType::ConfigMap,
            ConfigType::Secret,
            ConfigType::Ingress,
            ConfigType::Pvc,
        ] {
            let planned = planned(config(kind), &missing.clone().licence(licence));
            let expected = format!(
                "blocked InvalidSpec spec.environmentRef: Zadig has no call that makes {} app in a production environment; create it in namespace shop-env-dev of its cluster, and set creation: Adopt to have it compared",
                kind.as_str()
            );
            assert_eq!(planned, expected);
        }
    }
    let lost = missing.clone().owned_as(OwnershipState::Adopted);
    assert!(planned(config(ConfigType::ConfigMap), &lost).starts_with("blocked InvalidSpec "));
    let adopts = Config {
        creation: Creation::Adopt,
        ..config(ConfigType::ConfigMap)
    };
    assert_snapshot!(planned(adopts, &missing), @"wait ConfigNotFound spec.creation: Adopt, but the environment has no ConfigMap app; create it in namespace shop-env-dev of its cluster");
}

#[test]
fn z9_09_what_differs_in_production_is_told_and_never_written() {
    for state in [OwnershipState::Created, OwnershipState::Adopted] {
        let other = observed()
            .in_production()
            .holding(&json!({"level": "info"}))
            .owned_as(state);
        let planned = planned(config(ConfigType::ConfigMap), &other);
        assert_eq!(
            planned,
            "blocked InvalidSpec data[level]: ConfigMap app is not as declared, and Zadig has no call that writes it in a production environment; change it in namespace shop-env-dev of its cluster, or declare what is there"
        );
    }
}

#[test]
fn z9_10_what_is_there_in_production_is_taken_over_compared_and_deleted() {
    let there = observed()
        .in_production()
        .holding(&json!({"level": "debug"}));
    assert!(planned(config(ConfigType::ConfigMap), &there).starts_with("blocked ConfigExists "));
    let adopts = Config {
        creation: Creation::Adopt,
        ..config(ConfigType::ConfigMap)
    };
    assert_snapshot!(planned(adopts.clone(), &there), @"record the object as adopted");
    let adopted = there.owned_as(OwnershipState::Adopted);
    assert_snapshot!(planned(adopts, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(Some(ConfigDeletion::Delete), &adopted), @"delete the object");
}
