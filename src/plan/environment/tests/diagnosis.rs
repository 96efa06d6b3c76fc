//! Which pod and container are named of a service that is not healthy, when they are looked into, and what is said.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::super::diagnosis::{Event, Found, Suspect, due, last, note, suspect};
use super::super::fixture::{NOW, environment, observed, service};
use super::super::health::{Outlook, Trouble, health, judge};
use super::super::{LiveContainer, LivePod, LiveWorkload, Observed, ObservedService};
use crate::api::environment::{Diagnosis, Rollout};
use crate::plan::redact::Redactor;

fn container(name: &str, state: &str, reason: &str) -> LiveContainer {
    LiveContainer {
        name: name.to_owned(),
        state: state.to_owned(),
        restarts: 0,
        reason: reason.to_owned(),
        message: String::new(),
    }
}

fn pod(name: &str, created: i64, unready: Vec<LiveContainer>) -> LivePod {
    LivePod {
        name: name.to_owned(),
        ready: false,
        created,
        unready,
        message: "containers with unready status".to_owned(),
    }
}

fn ready(name: &str) -> LivePod {
    LivePod {
        name: name.to_owned(),
        ready: true,
        ..LivePod::default()
    }
}

fn workload(kind: &str, name: &str, pods: Vec<LivePod>) -> LiveWorkload {
    LiveWorkload {
        kind: kind.to_owned(),
        name: name.to_owned(),
        replicas: Some(i32::try_from(pods.len()).unwrap()),
        ready: i32::try_from(pods.iter().filter(|pod| pod.ready).count()).unwrap(),
        pods,
        ..LiveWorkload::default()
    }
}

fn api(pods: Vec<LivePod>) -> ObservedService {
    live(vec![workload("Deployment", "api", pods)])
}

fn live(workloads: Vec<LiveWorkload>) -> ObservedService {
    ObservedService {
        status: "unstable".to_owned(),
        live: Some(workloads),
        ..ObservedService::default()
    }
}

fn crashing(pod_name: &str) -> ObservedService {
    api(vec![pod(
        pod_name,
        NOW,
        vec![container("api", "waiting", "CrashLoopBackOff")],
    )])
}

fn known(seen: &ObservedService) -> Diagnosis {
    found(seen, Found::default())
}

fn found(seen: &ObservedService, found: Found) -> Diagnosis {
    let redactor = Redactor::new(["hunter22"]);
    suspect(seen, &[], None)
        .unwrap()
        .diagnosis(found, &redactor)
}

/// Workload, pod, container and reason, and whether there can be a log.
fn named(suspect: Option<Suspect>) -> String {
    let Some(it) = suspect else {
        return "nobody".to_owned();
    };
    let log = if it.log().is_some() { ", log" } else { "" };
    let of = |part: &Option<String>| part.clone().unwrap_or_default();
    format!(
        "{}/{} {} {} {}{log}",
        it.kind,
        it.workload,
        of(&it.pod),
        of(&it.container),
        it.reason
    )
}

#[test]
fn the_pod_and_container_that_tell_most_are_named() {
    let creating = || container("api", "waiting", "ContainerCreating");
    let table = [
        ("all is well", api(vec![ready("api-1")]), "nobody"),
        (
            "a crash",
            crashing("api-1"),
            "Deployment/api api-1 api CrashLoopBackOff, log",
        ),
        (
            "an image that is not there has written nothing",
            api(vec![pod(
                "api-1",
                NOW,
                vec![container("api", "waiting", "ImagePullBackOff")],
            )]),
            "Deployment/api api-1 api ImagePullBackOff",
        ),
        (
            "running, and its probe fails",
            api(vec![pod(
                "api-1",
                NOW,
                vec![container("api", "running", "")],
            )]),
            "Deployment/api api-1 api , log",
        ),
        (
            "what failed comes before what is on its way",
            api(vec![
                pod("api-1", NOW, vec![creating()]),
                pod(
                    "api-2",
                    NOW - 9,
                    vec![
                        container("side", "waiting", "PodInitializing"),
                        container("api", "terminated", "OOMKilled"),
                    ],
                ),
            ]),
            "Deployment/api api-2 api OOMKilled, log",
        ),
        (
            "the newest of several that fail",
            api(vec![
                pod(
                    "api-1",
                    NOW - 9,
                    vec![container("api", "waiting", "CrashLoopBackOff")],
                ),
                pod(
                    "api-2",
                    NOW,
                    vec![container("api", "waiting", "CrashLoopBackOff")],
                ),
            ]),
            "Deployment/api api-2 api CrashLoopBackOff, log",
        ),
        (
            "a pod that no node takes runs no container",
            api(vec![ready("api-1"), pod("api-2", NOW, vec![])]),
            "Deployment/api api-2  ",
        ),
        (
            "the workload that fails, not the first",
            live(vec![
                workload("Deployment", "web", vec![ready("web-1")]),
                workload(
                    "StatefulSet",
                    "db",
                    vec![pod("db-0", NOW, vec![creating()])],
                ),
            ]),
            "StatefulSet/db db-0 api ContainerCreating",
        ),
        (
            "no pod can be made",
            live(vec![LiveWorkload {
                replicas: Some(2),
                ..workload("Deployment", "api", vec![])
            }]),
            "Deployment/api   ",
        ),
        (
            "nothing was looked at",
            ObservedService::default(),
            "nobody",
        ),
    ];
    for (what, seen, expected) in table {
        assert_eq!(named(suspect(&seen, &[], None)), expected, "{what}");
    }
}

#[test]
fn a_change_that_made_no_pod_names_the_workload_it_was_for() {
    let seen = live(vec![
        workload("Deployment", "web", vec![ready("web-1")]),
        workload("Deployment", "api", vec![ready("api-1")]),
    ]);
    let rollout = Rollout {
        kind: "Deployment".to_owned(),
        name: "api".to_owned(),
        after: NOW,
    };
    let named = named(suspect(&seen, &[rollout], None));
    assert_eq!(named, "Deployment/api   ");
}

#[test]
fn what_is_known_stands_until_the_pod_or_the_cause_is_another() {
    let of = |pods| {
        let desired = environment().service("api", service());
        let observed = observed().present().owned().running("api", &service());
        (desired, observed.seen_with("api", |seen| *seen = api(pods)))
    };
    let one = |name: &str, state: &str, reason: &str| {
        vec![pod(name, NOW, vec![container("api", state, reason)])]
    };
    let before = known(&crashing("api-1"));
    let table = [
        (
            "the same",
            one("api-1", "waiting", "CrashLoopBackOff"),
            false,
        ),
        ("between two attempts", one("api-1", "running", ""), false),
        (
            "at the end of one",
            one("api-1", "terminated", "Error"),
            false,
        ),
        (
            "another pod",
            one("api-2", "waiting", "CrashLoopBackOff"),
            true,
        ),
        (
            "another cause",
            one("api-1", "waiting", "ImagePullBackOff"),
            true,
        ),
        (
            "one that tells more",
            one("api-1", "terminated", "OOMKilled"),
            true,
        ),
        (
            "a younger pod beside it",
            [
                one("api-9", "waiting", "CrashLoopBackOff"),
                one("api-1", "waiting", "CrashLoopBackOff"),
            ]
            .concat(),
            false,
        ),
    ];
    for (what, pods, is_due) in table {
        let (desired, observed) = of(pods);
        let observed = observed.with(|o| {
            o.memory.diagnoses = BTreeMap::from([("api".to_owned(), before.clone())]);
        });
        let seen = health(&desired, observed.detail().unwrap(), &observed.memory);
        let due = due(&seen, observed.detail().unwrap(), &observed.memory);
        assert_eq!(!due.is_empty(), is_due, "{what}");
        let told = seen.services[0].diagnosis.as_ref();
        assert_eq!(
            told.is_some(),
            !is_due,
            "{what}: what is not so is not told"
        );
    }
}

#[test]
fn a_container_that_ran_out_of_memory_does_not_go_back_to_crashing() {
    let killed = api(vec![pod(
        "api-1",
        NOW,
        vec![container("api", "terminated", "OOMKilled")],
    )]);
    let (desired, observed) = unhealthy(crashing("api-1"), &known(&killed));
    let detail = observed.detail().unwrap();
    let seen = health(&desired, detail, &observed.memory);
    assert_eq!(due(&seen, detail, &observed.memory), []);
}

fn unhealthy(seen: ObservedService, known: &Diagnosis) -> (super::super::Environment, Observed) {
    let observed = observed().present().owned().running("api", &service());
    let observed = observed.seen_with("api", |it| *it = seen).with(|o| {
        o.memory.diagnoses.insert("api".to_owned(), known.clone());
    });
    (environment().service("api", service()), observed)
}

#[test]
fn the_sentence_names_the_place_and_the_cause_and_the_note_the_log() {
    let mut seen = crashing("api-1");
    seen.live.as_mut().unwrap()[0].pods[0].unready[0].message =
        "back-off 5m0s restarting failed container".to_owned();
    let lines = (1..=12).map(|n| format!("{n} login with hunter22 failed\\r"));
    let diagnosis = found(
        &seen,
        Found {
            event: Some(("BackOff".to_owned(), "Back-off restarting".to_owned())),
            log: lines.collect(),
        },
    );
    let (desired, observed) = unhealthy(seen, &diagnosis);
    let health = health(&desired, observed.detail().unwrap(), &observed.memory);
    let (trouble, message) = health.trouble.unwrap();
    assert_eq!(trouble, Trouble::NotReady);
    assert_snapshot!(message, @r#"api: Zadig reports "unstable", 0 of 1 pods are ready; pod api-1, container api: CrashLoopBackOff: back-off 5m0s restarting failed container; last event BackOff: Back-off restarting"#);
    assert_eq!(health.services[0].diagnosis, Some(diagnosis.clone()));
    assert_eq!(diagnosis.log.len(), 10);
    assert_snapshot!(note(&message, [&diagnosis], 300), @r#"
    api: Zadig reports "unstable", 0 of 1 pods are ready; pod api-1, container api: CrashLoopBackOff: back-off 5m0s restarting failed container; last event BackOff: B…
    log of api:
    8 login with *** failed
    9 login with *** failed
    10 login with *** failed
    11 login with *** failed
    12 login with *** failed
    "#);
    assert_eq!(note(&message, [&known(&crashing("api-1"))], 300), message);
    for room in 0..300 {
        let note = note(&message, [&diagnosis], room);
        assert!(note.len() <= room.max(3), "{room}: {note}");
    }
}

#[test]
fn the_last_warning_is_shown_before_anything_that_is_normal() {
    let event = |is_warning, last_seen, reason: &str| Event {
        is_warning,
        last_seen,
        reason: reason.to_owned(),
        message: "m".to_owned(),
    };
    let reason = |events: Vec<Event>| last(events).map(|(reason, _)| reason);
    let started = event(false, 9, "Started");
    assert_eq!(
        reason(vec![
            event(true, 3, "Unhealthy"),
            event(true, 5, "BackOff"),
            started.clone(),
        ]),
        Some("BackOff".to_owned())
    );
    assert_eq!(reason(vec![started]), Some("Started".to_owned()));
    assert_eq!(reason(vec![]), None);
}

#[test]
fn a_creation_that_failed_is_told_at_once() {
    let (desired, observed) = unhealthy(crashing("api-1"), &known(&crashing("api-2")));
    let observed = observed.detail_with(|detail| detail.creation_failed = true);
    let told = health(&desired, observed.detail().unwrap(), &observed.memory).trouble;
    let (trouble, message) = told.unwrap();
    assert_eq!(
        message,
        "api: Zadig reports \"unstable\", 0 of 1 pods are ready; Zadig has given up waiting for them, its creation failed"
    );
    let outlook = judge(
        Some(trouble),
        std::time::Duration::ZERO,
        std::time::Duration::ZERO,
        false,
    );
    assert_eq!(outlook, Outlook::Unhealthy);
}
