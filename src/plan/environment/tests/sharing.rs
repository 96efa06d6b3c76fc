//! Base environments, sub-environments and portals: one row per fact of Z§4.19 and Z§11 that the plan relies on.

use insta::{allow_duplicates, assert_snapshot};

use super::super::fixture::{
    ago, allowance, environment, looked_at, observed, planned, planned_deletion, sent, service,
};
use super::super::memory::Memory;
use super::super::sharing::{Around, Base, Checks, Declared, OtherPortal, Remembered};
use super::super::{Action, Desired, Environment, Observed, plan};
use crate::api::environment::{
    Deletion, PortalProtocol, PortalServer, Sharing, SharingState, SubEnvironmentOf,
};
use crate::plan::Plan;
use crate::plan::budget::Counted;

const OFF: Checks = Checks {
    labelled: false,
    routed: false,
    proxied: false,
    running: true,
};
const ON: Checks = Checks {
    labelled: true,
    routed: true,
    proxied: true,
    running: true,
};
/// Enabled, and pods are on their way.
const COMING: Checks = Checks {
    proxied: false,
    running: false,
    ..ON
};

fn wants(sharing: Sharing) -> Environment {
    let mut environment = environment();
    environment.sharing.sharing = Some(sharing);
    environment
}

/// Created by this object and idle, in a cluster with Istio; its namespace looks like this.
fn looks(checks: Checks) -> Observed {
    observed()
        .present()
        .owned()
        .detail_with(|detail| detail.sharing = Some(checks))
        .with(|observed| observed.around.istio = Some(true))
}

impl Observed {
    fn around(self, change: impl FnOnce(&mut Around)) -> Self {
        self.with(|observed| change(&mut observed.around))
    }

    fn remembers(self, state: SharingState, seconds: i64) -> Self {
        self.with(|observed| {
            observed.memory.sharing.state = Some(state);
            observed.memory.sharing.since = Some(ago(seconds));
        })
    }

    fn with_sub(self, name: &str, services: &[&str]) -> Self {
        let services = services.iter().map(|&name| name.to_owned()).collect();
        self.around(|around| {
            around.subs.insert(name.to_owned(), services);
        })
    }
}

fn refused(observed: &mut Observed, action: &Action) {
    observed.memory.sending(action, None, None, observed.now);
    observed.memory.was_refused(action);
}

#[test]
fn sharing_that_is_not_declared_is_left_alone() {
    for checks in [ON, OFF, COMING] {
        assert_eq!(planned(&environment(), &looks(checks)), "in sync");
    }
}

#[test]
fn z14_13_enabling_is_sent_once_and_never_where_it_is_enabled() {
    let desired = wants(Sharing::Enabled);
    let off = looks(OFF);
    assert_snapshot!(planned(&desired, &off), @"enable sharing");
    let opts_out = Checks {
        proxied: false,
        ..ON
    };
    // Whatever is remembered, lost memory and a lost answer included: a second call replaces every pod without a proxy.
    for checks in [ON, opts_out, COMING] {
        assert_eq!(planned(&desired, &looks(checks)), "in sync");
        assert_eq!(planned(&desired, &looks(checks).forgotten()), "in sync");
        for state in [SharingState::Enabled, SharingState::Disabled] {
            let observed = looks(checks).remembers(state, 600);
            assert_eq!(planned(&desired, &observed), "in sync");
        }
        for state in [SharingState::Enabling, SharingState::Restarting] {
            for seconds in [0, 60, 6000] {
                let observed = looks(checks).remembers(state, seconds);
                let planned = planned(&desired, &observed);
                assert!(!planned.contains("enable sharing"), "{planned}");
            }
        }
    }
}

#[test]
fn what_was_enabled_is_remembered_once_all_pods_have_a_proxy() {
    let desired = wants(Sharing::Enabled);
    let after = sent(&desired, &looks(OFF));
    assert_eq!(after.memory.sharing.state, Some(SharingState::Restarting));
    let coming = after
        .clone()
        .detail_with(|detail| detail.sharing = Some(COMING));
    assert_snapshot!(planned(&desired, &coming), @"wait 1s Progressing sharing is enabled; waiting for pods that have Istio's proxy, pods that run");
    assert_eq!(
        looked_at(&desired, &coming).memory.sharing.state,
        Some(SharingState::Restarting)
    );
    let late = coming.with(|observed| observed.now = ago(-301));
    assert_snapshot!(planned(&desired, &late), @"blocked SharingNotReady spec.sharing: enabled 5 minutes ago and still without pods that have Istio's proxy, pods that run; look at the pods of the namespace: those that opt out of Istio's injection never get a proxy");
    let done = late.detail_with(|detail| detail.sharing = Some(ON));
    assert_eq!(planned(&desired, &done), "in sync");
    let done = looked_at(&desired, &done);
    assert_eq!(done.memory.sharing.state, Some(SharingState::Enabled));
    // Pods that come and go later are no news, with or without a proxy.
    let later = done.detail_with(|detail| detail.sharing = Some(COMING));
    assert_eq!(planned(&desired, &later), "in sync");
}

#[test]
fn what_was_enabled_before_is_taken_into_memory_and_a_removed_field_stops_managing() {
    let after = looked_at(&wants(Sharing::Enabled), &looks(ON).forgotten());
    assert_eq!(after.memory.sharing.state, Some(SharingState::Enabled));
    let after = looked_at(&environment(), &after);
    assert_eq!(after.memory.sharing.state, None);
}

#[test]
fn what_speaks_against_sharing_is_told_before_anything_is_sent() {
    let desired = wants(Sharing::Enabled);
    let plain = looks(OFF).around(|around| around.istio = Some(false));
    assert_snapshot!(planned(&desired, &plain), @"blocked IstioMissing spec.sharing: the cluster of this environment has no Istio (istiod); install it, or remove the field");
    let bare = looks(OFF).around(|around| {
        around.without_service = ["plain.Deployment".to_owned()].into();
    });
    assert_snapshot!(planned(&desired, &bare), @"blocked WorkloadWithoutService spec.sharing: plain.Deployment have no Kubernetes Service, so no request could be led to them; add one to the template of each");
    let unlicensed = looks(OFF).around(|around| around.licence_refused = true);
    assert_snapshot!(planned(&desired, &unlicensed), @"blocked LicenceRequired spec.sharing: sharing needs Zadig's enterprise licence (Zadig refused with code 7050); get it and set the annotation zadig-operator.io/reconcile-requested-at, or remove the field");
}

#[test]
fn sharing_that_somebody_ended_is_repaired_three_times() {
    let desired = wants(Sharing::Enabled);
    let mut observed = looks(OFF).remembers(SharingState::Enabled, 6000);
    for _ in 0..3 {
        assert_eq!(planned(&desired, &observed), "enable sharing");
        observed = sent(&desired, &observed);
    }
    assert_snapshot!(planned(&desired, &observed), @"blocked DriftDoesNotConverge spec.sharing: repaired 3 times and different again; something else writes it, or Zadig does not keep it, so it is left alone. Settle who owns it, then set the annotation zadig-operator.io/reconcile-requested-at");
}

#[test]
fn an_enabling_that_stops_half_way_is_sent_again_but_not_for_ever() {
    let desired = wants(Sharing::Enabled);
    // The label and the routes are the first steps, so the namespace looks shared after a later one failed.
    let mut observed = looks(COMING);
    for _ in 0..3 {
        refused(&mut observed, &Action::EnableSharing);
        let planned = planned(&desired, &observed);
        if planned != "enable sharing" {
            break;
        }
    }
    assert_snapshot!(planned(&desired, &observed), @"blocked DriftDoesNotConverge spec.sharing: Zadig stopped half-way 3 times, and each attempt replaces the pods that have no proxy; missing: pods that have Istio's proxy, pods that run. Find out what refuses it in the cluster, then set the annotation zadig-operator.io/reconcile-requested-at");
    assert_eq!(
        looked_at(&desired, &observed).memory.sharing.state,
        Some(SharingState::Enabling)
    );
    // While nothing at all was done, as with a licence service that is down, nothing is lost by another attempt.
    let nothing = observed.detail_with(|detail| detail.sharing = Some(OFF));
    assert_eq!(planned(&desired, &nothing), "enable sharing");
}

#[test]
fn the_end_of_a_sharing_counts_as_one_deletion_and_waits_for_the_hours_budget() {
    let desired = wants(Sharing::Disabled);
    let allowed = looks(ON).around(|around| around.unprotected = true);
    assert_snapshot!(planned(&desired, &allowed), @"disable sharing");
    let spent = allowed.with(|o| o.deletions = allowance(2, 0));
    assert_snapshot!(planned(&desired, &spent), @"wait 300s DeletionBudget spec.maxDeletionsPerHour of the ZadigConnection: its 2 deletions of this hour were sent; disabling sharing waits until 2026-09-21T14:33:20Z. Raise it there to go on at once");
    // It was counted, and its answer was lost.
    let counted = Counted::Parts.subjects(&Action::DisableSharing);
    assert_eq!(counted.len(), 1);
    let again = spent.with(|o| o.memory.counted.extend(counted));
    assert_snapshot!(planned(&desired, &again), @"disable sharing");
}

#[test]
fn unsharing_needs_an_explicit_word_and_waits_for_objects_on_top() {
    let desired = wants(Sharing::Disabled);
    assert_snapshot!(planned(&desired, &looks(ON)), @"blocked DeletionProtected spec.sharing: Disabled deletes all sub-environments with their namespaces, also those that Zadig does not show; to allow it, write deletionProtection: false as well");
    let allowed = looks(ON).around(|around| around.unprotected = true);
    assert_snapshot!(planned(&desired, &allowed), @"disable sharing");
    let held = allowed.clone().with_sub("preview", &["api"]);
    assert_snapshot!(planned(&desired, &held), @"wait 60s HasSubEnvironments waiting until the sub-environments are deleted: preview");
    let after = sent(&desired, &allowed).detail_with(|detail| detail.sharing = Some(OFF));
    assert_eq!(planned(&desired, &after), "in sync");
    assert_eq!(after.memory.sharing.state, Some(SharingState::Disabled));
}

#[test]
fn an_unsharing_that_stopped_half_way_is_sent_again() {
    // Its last steps, the pods and Zadig's own record, are shown by no check.
    let desired = wants(Sharing::Disabled);
    let mut observed = looks(OFF).around(|around| around.unprotected = true);
    assert_eq!(planned(&desired, &observed), "in sync");
    refused(&mut observed, &Action::DisableSharing);
    assert_eq!(planned(&desired, &observed), "disable sharing");
    assert_eq!(
        looked_at(&desired, &observed).memory.sharing.state,
        Some(SharingState::Disabling)
    );
}

#[test]
fn a_service_that_sub_environments_run_stays_in_the_base() {
    let base = observed()
        .present()
        .owned()
        .running("api", &service())
        .running("db", &service())
        .with_sub("preview", &["api"])
        .with_sub("other", &[]);
    assert_snapshot!(planned(&environment(), &base), @r#"
    remove services {"db"}
    blocked HasSubEnvironments spec.services: api cannot be removed from the base while sub-environments run it: preview; remove it there first, or declare it here again
    "#);
}

/// Declared on top of `dev-base`, with the service `api`.
fn sub() -> Environment {
    let mut environment = environment().service("api", service());
    environment.sharing.base = Some("dev-base".to_owned());
    environment
}

/// On top of a base that runs these.
fn base_runs(observed: Observed, services: &[&str]) -> Observed {
    let services = services.iter().map(|&name| name.to_owned()).collect();
    observed.around(|around| {
        around.is_sub = true;
        around.base = Some(Base::Ready {
            env: "base".to_owned(),
            cluster_id: "c-local".to_owned(),
            services,
        });
    })
}

#[test]
fn a_sub_environment_is_created_on_its_base() {
    let observed = base_runs(observed(), &["api", "db"]);
    assert_snapshot!(planned(&sub(), &observed), @r"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    create on base in c-local/shop-env-dev with r-default
      api [] {}
    ");
}

#[test]
fn a_sub_environment_waits_for_its_base() {
    // Zadig would answer 200 and end in `failed`.
    let not_yet = observed().around(|around| {
        around.base = Some(Base::NotReady("dev-base is not shared".to_owned()));
    });
    assert_snapshot!(planned(&sub(), &not_yet), @"wait 10s BaseNotReady spec.subEnvironmentOf.name: waiting for the base: dev-base is not shared");
    let never = observed().around(|around| {
        around.base = Some(Base::Unfit(
            "dev-base is a sub-environment itself".to_owned(),
        ));
    });
    assert_snapshot!(planned(&sub(), &never), @"blocked InvalidSpec spec.subEnvironmentOf.name: dev-base is a sub-environment itself");
}

#[test]
fn a_sub_environment_does_not_differ_from_its_base_in_what_it_cannot() {
    let elsewhere = base_runs(observed(), &["db"]).around(|around| {
        if let Some(Base::Ready { cluster_id, .. }) = &mut around.base {
            "c-other".clone_into(cluster_id);
        }
    });
    assert_snapshot!(planned(&sub(), &elsewhere), @r"
    blocked InvalidSpec spec.cluster: the base dev-base lives in cluster c-other, this environment is to live in c-local; a sub-environment shares the cluster of its base
    blocked ServiceNotFound spec.services[api]: the base dev-base does not run it, and Zadig applies nothing in a sub-environment that its base does not have; add it there first. The base runs: db
    ");
}

#[test]
fn a_service_that_the_base_does_not_run_is_not_sent() {
    let idle = || observed().present().owned();
    let adds = base_runs(idle(), &["db"]);
    assert_snapshot!(planned(&sub(), &adds), @"blocked ServiceNotFound spec.services[api]: the base dev-base does not run it, and Zadig applies nothing in a sub-environment that its base does not have; add it there first. The base runs: db");
    let mut desired = sub().service("api", service().variable("LOG", "debug"));
    let updates = |services| base_runs(idle().running("api", &service()), services);
    assert_snapshot!(planned(&desired, &updates(&["api"])), @r"
    update services
      api [LOG:string=debug]
    ");
    assert_snapshot!(planned(&desired, &updates(&[])), @"blocked ServiceNotFound spec.services[api]: the base dev-base does not run it, and Zadig applies nothing in a sub-environment that its base does not have; add it there first. The base runs: ");
    let unknown = updates(&[]).around(|around| {
        around.base = Some(Base::NotReady("dev-base is not there".to_owned()));
    });
    assert_snapshot!(planned(&desired, &unknown), @"blocked BaseNotReady spec.subEnvironmentOf.name: dev-base is not there; until then it is not known whether the base runs api");
    desired.sharing = Declared::default();
    assert!(planned(&desired, &updates(&[])).starts_with("update services"));
}

fn servers(port: i32) -> Vec<PortalServer> {
    vec![PortalServer {
        host: "a.example.com".to_owned(),
        port,
        protocol: PortalProtocol::Http,
    }]
}

/// A sub-environment that runs `api` and `db`, with portals on these ports.
fn with_portals(portals: &[(&str, i32)]) -> Environment {
    let mut environment = sub().service("db", service());
    for (service, port) in portals {
        let servers = servers(*port);
        environment
            .sharing
            .portals
            .insert((*service).to_owned(), servers);
    }
    environment
}

fn running_sub() -> Observed {
    let observed = observed()
        .present()
        .owned()
        .running("api", &service())
        .running("db", &service());
    base_runs(observed, &["api", "db"])
}

#[test]
fn portals_are_set_once_changed_and_removed() {
    let desired = with_portals(&[("api", 80), ("db", 443)]);
    assert_snapshot!(planned(&desired, &running_sub()), @r#"
    portal api ["HTTP://a.example.com:80"]
    portal db ["HTTP://a.example.com:443"]
    "#);
    let after = sent(&desired, &running_sub());
    assert_eq!(planned(&desired, &after), "in sync");
    let other = with_portals(&[("api", 443)]);
    // The removal comes first: Zadig looks for the service, which may go as well.
    assert_snapshot!(planned(&other, &after), @r#"
    portal db []
    portal api ["HTTP://a.example.com:443"]
    "#);
    let after = sent(&other, &after);
    assert_eq!(planned(&other, &after), "in sync");
}

#[test]
fn a_lost_memory_of_portals_is_not_a_change_and_only_what_was_set_is_removed() {
    let desired = with_portals(&[("api", 80)]);
    let lost = running_sub().forgotten();
    assert_eq!(planned(&desired, &lost), "in sync");
    let after = looked_at(&desired, &lost);
    assert_eq!(planned(&desired, &after), "in sync");
    let none = with_portals(&[]);
    assert_snapshot!(planned(&none, &after), @"portal api []");
    assert_eq!(planned(&none, &running_sub()), "in sync");
}

#[test]
fn a_portal_needs_a_service_of_the_environment_and_a_licence() {
    let desired = with_portals(&[("web", 80)]);
    assert_snapshot!(planned(&desired, &running_sub()), @"blocked ServiceNotFound spec.subEnvironmentOf.portals[web]: this environment does not run such a service; it runs: api, db");
    let unlicensed = running_sub().around(|around| around.licence_refused = true);
    assert_snapshot!(planned(&with_portals(&[("api", 80)]), &unlicensed), @"blocked LicenceRequired spec.subEnvironmentOf.portals[api]: a portal needs Zadig's enterprise licence (Zadig refused with code 7050); get it and set the annotation zadig-operator.io/reconcile-requested-at, or remove the field");
}

#[test]
fn z14_14_portals_do_not_take_each_others_ports() {
    let other = |own_port, set, older| OtherPortal {
        owner: "team/other".to_owned(),
        service: "web".to_owned(),
        own_port,
        set,
        older,
    };
    let mut sent = Vec::new();
    for port in [80, 8443] {
        for own_port in [false, true] {
            for set in [false, true] {
                for older in [false, true] {
                    let observed = running_sub().around(|around| {
                        around.portals = vec![other(own_port, set, older)];
                    });
                    let planned = planned(&with_portals(&[("api", port)]), &observed);
                    if planned.starts_with("portal") {
                        sent.push((port, own_port, set, older));
                    } else {
                        assert!(planned.starts_with("blocked PortalConflict"), "{planned}");
                    }
                }
            }
        }
    }
    assert_eq!(
        sent,
        [
            // Standard ports stand in nobody's way, but for one that would lose a port that it has.
            (80, false, false, false),
            (80, false, false, true),
            (80, false, true, false),
            (80, false, true, true),
            (80, true, false, false),
            (80, true, false, true),
            // A port of one's own needs a cluster without any other portal; of two that want one, the older gets it.
            (8443, true, false, false),
        ]
    );
    let observed = running_sub().around(|around| {
        around.portals = vec![other(false, true, true)];
    });
    assert_snapshot!(planned(&with_portals(&[("api", 8443)]), &observed), @"blocked PortalConflict spec.subEnvironmentOf.portals[api]: Zadig keeps ports other than 80 and 443 of one service of the whole cluster at a time, and team/other has a portal of web; use the ports 80 and 443, or remove one of the two");
}

#[test]
fn deleting_a_base_needs_an_explicit_word_however_it_is_known_to_be_one() {
    let plain = || looks(OFF).running("api", &service());
    let bases: [Observed; 4] = [
        plain().around(|around| around.sharing = Some(Sharing::Enabled)),
        plain().remembers(SharingState::Restarting, 60),
        plain().remembers(SharingState::Disabling, 60),
        looks(ON).running("api", &service()),
    ];
    allow_duplicates! {
        for base in bases {
            assert_snapshot!(planned_deletion(None, &base), @r#"blocked DeletionProtected the environment is a base, and deleting it deletes all sub-environments with their namespaces, also those that Zadig does not show; to allow it: kubectl patch zadigenvironment <name> --type merge -p '{"spec":{"deletionProtection":false}}', or release the object with the annotation zadig-operator.io/deletion=Orphan"#);
            let allowed = base.around(|around| around.unprotected = true);
            assert_snapshot!(planned_deletion(None, &allowed), @r#"
            remove services {"api"}
            delete, keep resources: false
            "#);
            let held = allowed.with_sub("preview", &[]);
            assert_snapshot!(planned_deletion(None, &held), @"wait 60s HasSubEnvironments waiting until the sub-environments are deleted: preview");
            // Nothing else goes with it then.
            for policy in [Deletion::Orphan, Deletion::Detach] {
                let planned = planned_deletion(Some(policy), &held);
                assert!(!planned.contains("HasSub"), "{planned}");
            }
            let gone = held.gone();
            assert_eq!(planned_deletion(None, &gone), "in sync");
        }
    }
    let sub = looks(ON).around(|around| around.is_sub = true);
    assert_snapshot!(planned_deletion(None, &sub), @"delete, keep resources: false");
    assert!(planned_deletion(None, &plain()).starts_with("remove services"));
}

#[test]
fn a_base_whose_services_unseen_sub_environments_hold_can_be_deleted_all_the_same() {
    let mut base = looks(ON)
        .running("api", &service())
        .around(|around| around.unprotected = true);
    let Plan::Act(act) = plan(
        &Desired::Absent {
            policy: None,
            declared: ["api".to_owned()].into(),
            protected: false,
            expired: false,
        },
        &base,
    ) else {
        panic!("it is allowed")
    };
    let removal = act.actions.into_iter().next().unwrap();
    refused(&mut base, &removal);
    assert_snapshot!(planned_deletion(None, &base), @"delete, keep resources: false");
}

#[test]
fn portals_go_before_their_environment_and_hold_nothing_up() {
    let desired = with_portals(&[("api", 80)]);
    let set = sent(&desired, &running_sub());
    assert_snapshot!(planned_deletion(None, &set), @r#"
    portal api []
    remove services {"api", "db"}
    delete, keep resources: false
    "#);
    let mut refusing = set.clone();
    let removal = Action::SetPortal {
        service: "api".to_owned(),
        servers: Vec::new(),
    };
    refused(&mut refusing, &removal);
    let unlicensed = set.around(|around| around.licence_refused = true);
    for observed in [refusing, unlicensed] {
        assert!(planned_deletion(None, &observed).starts_with("remove services"));
    }
}

#[test]
fn an_environment_that_is_made_anew_remembers_nothing_of_the_old_one() {
    let desired = sub();
    let mut memory = Memory {
        known: true,
        ..Memory::default()
    };
    memory.sharing.state = Some(SharingState::Enabled);
    memory.sharing.portals.insert("api".to_owned(), servers(80));
    let gone = base_runs(observed(), &["api"])
        .owned()
        .gone()
        .with(|observed| observed.memory = memory);
    let after = sent(&desired, &gone);
    assert_eq!(after.memory.sharing, Remembered::default());
}

#[test]
fn a_spec_is_read_as_it_is_written() {
    let sub: SubEnvironmentOf = serde_json::from_value(serde_json::json!({
        "name": "dev-base",
        "portals": [{"service": "api", "servers": [{"host": "a.example.com", "port": 80}]}],
    }))
    .unwrap();
    let declared = Declared::of(None, Some(&sub));
    assert_eq!(declared.base.as_deref(), Some("dev-base"));
    assert_eq!(declared.portals, [("api".to_owned(), servers(80))].into());
}
