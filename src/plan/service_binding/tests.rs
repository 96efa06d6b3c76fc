//! The decision table of a service that is owned apart from its environment.

use std::time::Duration;

use insta::assert_snapshot;

use super::{Action, Binding, Desired, Observed, plan};
use crate::api::environment::{
    Creation, DeployType, Ownership, OwnershipState, Prune, Scope, WorkloadKind,
};
use crate::api::service_binding::{BindingDeletion, ScaleTarget};
use crate::plan::Plan;
use crate::plan::environment::fixture::{
    ago, environment, observed as environments, service, show_action,
};
use crate::plan::environment::sharing::Base;
use crate::plan::environment::{EnvStatus, Existence, Service};
use crate::plan::home::{Home, Place};

fn ownership(state: OwnershipState) -> Ownership {
    Ownership {
        zadig: "https://zadig.example.com".to_owned(),
        project: "shop".to_owned(),
        env: "dev".to_owned(),
        cluster_id: "c-local".to_owned(),
        namespace: "shop-env-dev".to_owned(),
        state,
    }
}

fn binding(service: Service) -> Binding {
    Binding {
        environment: environment().service("api", service).prune(Prune::None),
        replicas: None,
        scale_target: None,
    }
}

impl Binding {
    fn creation(mut self, creation: Creation) -> Self {
        self.environment.creation = creation;
        self
    }

    fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = Some(replicas);
        self
    }

    fn scales(mut self, name: &str) -> Self {
        self.scale_target = Some(ScaleTarget {
            kind: WorkloadKind::Deployment,
            name: name.to_owned(),
        });
        self
    }
}

/// A settled environment without the service.
fn observed() -> Observed {
    let mut inner = environments().present();
    inner.record = None;
    Observed {
        service: "api".to_owned(),
        home: Home::Present(Box::new(Place {
            identity: ownership(OwnershipState::Created),
            scope: Scope::Test,
            status: EnvStatus::Success,
            since: ago(3600),
            stuck_after: Duration::from_mins(10),
        })),
        inline: false,
        taken_back: true,
        handed_over: false,
        rival: None,
        inner,
    }
}

impl Observed {
    fn running(mut self, service: &Service) -> Self {
        self.inner = self.inner.running("api", service);
        self
    }

    fn owned_as(mut self, state: OwnershipState) -> Self {
        self.inner.record = Some(ownership(state));
        self
    }

    fn in_production(mut self) -> Self {
        if let Home::Present(home) = &mut self.home {
            home.scope = Scope::Production;
        }
        self.inner.key.scope = Scope::Production;
        self
    }

    fn zadig_says(mut self, status: EnvStatus) -> Self {
        if let Home::Present(home) = &mut self.home {
            home.status = status;
        }
        self
    }
}

fn text(planned: Plan<Action>) -> String {
    match planned {
        Plan::InSync => "in sync".to_owned(),
        Plan::Act(act) => {
            let actions = act.actions.iter().map(|action| match action {
                Action::Environment(action) => show_action(action),
                seed @ Action::SeedReplicas(_) => seed.summary(),
            });
            let blocked = act.blocked.iter();
            let blocked = blocked.map(|it| format!("blocked {:?} {}", it.reason, it.message));
            actions.chain(blocked).collect::<Vec<_>>().join("\n")
        }
        Plan::Wait(wait) => format!("wait {:?} {}", wait.reason, wait.message),
        Plan::Blocked(blocked) => {
            let lines = blocked.iter();
            let lines = lines.map(|it| format!("blocked {:?} {}", it.reason, it.message));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

fn planned(binding: Binding, observed: &Observed) -> String {
    text(plan(&Desired::Present(Box::new(binding)), observed))
}

fn planned_deletion(policy: Option<BindingDeletion>, observed: &Observed) -> String {
    planned_deletion_asked(policy, 60, observed)
}

fn planned_deletion_asked(
    policy: Option<BindingDeletion>,
    seconds: i64,
    observed: &Observed,
) -> String {
    let absent = Desired::Absent {
        policy,
        protected: false,
        asked: Some(ago(seconds)),
    };
    text(plan(&absent, observed))
}

#[test]
fn a_missing_service_is_claimed_and_added() {
    let api = service().variable("MODE", "fast");
    assert_snapshot!(planned(binding(api), &observed()), @r"
    record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev
    add services
      api [MODE:enum=fast]
    ");
}

#[test]
fn a_service_that_was_there_is_taken_over_only_when_asked() {
    let observed = observed().running(&service());
    assert_snapshot!(planned(binding(service()), &observed), @r#"blocked ServiceExists service api is in the environment and was not added by this object; to take it over: kubectl patch zadigservicebinding <name> --type merge -p '{"spec":{"creation":"CreateOrAdopt"}}'"#);
    let adopting = binding(service()).creation(Creation::CreateOrAdopt);
    assert_snapshot!(planned(adopting, &observed), @"record Adopted: https://zadig.example.com shop/dev in c-local/shop-env-dev");
}

#[test]
fn a_service_that_the_environment_hands_over_is_taken_without_a_question() {
    let mut observed = observed().running(&service());
    observed.handed_over = true;
    assert_snapshot!(planned(binding(service()), &observed), @"record Created: https://zadig.example.com shop/dev in c-local/shop-env-dev");
}

#[test]
fn a_service_that_the_environment_declares_itself_is_left_to_it() {
    let mut observed = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    observed.inline = true;
    assert_snapshot!(planned(binding(service()), &observed), @"blocked Conflict spec.service.name: the ZadigEnvironment declares service api itself; remove it from spec.services there, and it is taken over without a restart");
    assert_snapshot!(planned_deletion(None, &observed), @"in sync");
}

#[test]
fn an_owned_service_that_is_as_declared_is_left_alone() {
    let api = service().variable("LOG", "debug");
    let observed = observed().running(&api).owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(api), &observed), @"in sync");
}

#[test]
fn the_scaled_workload_follows_replicas_and_the_only_one_needs_no_name() {
    let api = service().replicas("api", 1);
    let observed = observed().running(&api).owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(service()).replicas(4), &observed), @"scale api Deployment/api 1 -> 4");
    assert_snapshot!(planned(binding(service()).scales("api").replicas(4), &observed), @"scale api Deployment/api 1 -> 4");
}

#[test]
fn an_autoscaler_is_given_the_present_number_to_start_with() {
    let api = service().replicas("api", 3);
    let observed = observed().running(&api).owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(service()).scales("api"), &observed), @"take over 3 replicas");
    assert_snapshot!(planned(binding(service()), &observed), @"in sync");
}

#[test]
fn z4_15_pods_of_a_release_are_left_to_its_values() {
    let helm = |mut binding: Binding| {
        binding.environment.deploy_type = DeployType::Helm;
        planned(binding, &observed())
    };
    assert_snapshot!(helm(binding(service()).replicas(2)), @"blocked InvalidSpec spec.replicas: the environment deploys by Helm, and the next upgrade of the release would undo it; use spec.service.helm.values");
    assert_snapshot!(helm(binding(service()).scales("api")), @"blocked InvalidSpec spec.scaleTarget: the environment deploys by Helm, and the next upgrade of the release would undo it; use spec.service.helm.values");
}

#[test]
fn replicas_that_are_declared_twice_are_refused() {
    let api = service().replicas("api", 3);
    let observed = observed().running(&api).owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(api).replicas(2), &observed), @"blocked InvalidSpec spec.replicas: spec.service.workloads declares the replicas of the same workload; remove one of the two");
}

#[test]
fn z11_a_sub_environment_takes_only_services_that_its_base_runs() {
    let in_sub = |base: Base| {
        let mut observed = observed();
        observed.inner.around.base = Some(base);
        observed
    };
    let runs = |services: &[&str]| {
        in_sub(Base::Ready {
            env: "base".to_owned(),
            cluster_id: "c-local".to_owned(),
            services: services.iter().map(|&name| name.to_owned()).collect(),
        })
    };
    let sub = || {
        let mut binding = binding(service());
        binding.environment.sharing.base = Some("base".to_owned());
        binding
    };
    assert_snapshot!(planned(sub(), &runs(&["web"])), @"blocked ServiceNotFound spec.service: the base base does not run it, and Zadig applies nothing in a sub-environment that its base does not have; add it there first. The base runs: web");
    assert_snapshot!(planned(sub(), &in_sub(Base::NotReady("base is not there".to_owned()))), @"blocked BaseNotReady subEnvironmentOf.name of the ZadigEnvironment: base is not there; until then it is not known whether the base runs api");
    let there = planned(sub(), &runs(&["api", "web"]));
    assert_eq!(there, planned(binding(service()), &observed()));
}

#[test]
fn what_is_wrong_is_said_of_our_own_field() {
    let observed = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(service().variable("NOPE", "x")), &observed), @"blocked VariableInvalid spec.service.variables[NOPE]: the service's template has no such variable; it has: LOG, MODE, TRACE");
}

#[test]
fn a_busy_or_sleeping_environment_is_left_alone() {
    let api = service().image("api", "api:2");
    let differing = observed()
        .running(&service().image("api", "api:1"))
        .owned_as(OwnershipState::Created);
    assert_snapshot!(planned(binding(api.clone()), &differing.clone().zadig_says(EnvStatus::Updating)), @"wait Updating Zadig reports the environment as updating");
    assert_snapshot!(planned(binding(api.clone()), &differing.clone().zadig_says(EnvStatus::Sleeping)), @"wait Sleeping the environment sleeps; nothing is changed until somebody wakes it in Zadig");
    assert_snapshot!(planned(binding(api), &differing), @r#"image api Deployment/api/api Some("api:1") -> api:2"#);
}

#[test]
fn deletion_removes_what_was_added_and_leaves_what_was_adopted() {
    let added = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    let adopted = observed()
        .running(&service())
        .owned_as(OwnershipState::Adopted);
    assert_snapshot!(planned_deletion(None, &added), @r#"remove services {"api"}"#);
    assert_snapshot!(planned_deletion(Some(BindingDeletion::Orphan), &added), @"in sync");
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    assert_snapshot!(planned_deletion(Some(BindingDeletion::Delete), &adopted), @r#"remove services {"api"}"#);
}

#[test]
fn deletion_ends_when_the_service_or_the_environment_is_gone() {
    let gone = observed().owned_as(OwnershipState::Created);
    assert_snapshot!(planned_deletion(None, &gone), @"in sync");
    let mut without = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    without.home = Home::Missing {
        why: "the environment is gone".to_owned(),
        carried: None,
    };
    without.inner.existence = Existence::Absent { confirmed: true };
    assert_snapshot!(planned_deletion(None, &without), @"in sync");
}

#[test]
fn a_service_stays_for_a_moment_in_case_that_the_environment_declares_it_itself() {
    let added = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    assert_snapshot!(planned_deletion_asked(None, 3, &added), @"wait Deleting the service is removed in a moment, unless the ZadigEnvironment declares it itself by then");
    assert_snapshot!(planned_deletion_asked(None, 10, &added), @r#"remove services {"api"}"#);
    // The clock of the API server is ahead.
    assert!(planned_deletion_asked(None, -3, &added).starts_with("wait Deleting"));
    let absent = Desired::Absent {
        policy: None,
        protected: false,
        asked: None,
    };
    assert_snapshot!(text(plan(&absent, &added)), @r#"remove services {"api"}"#);
}

#[test]
fn what_is_remembered_of_a_service_goes_back_to_the_environment_before_its_binding_ends() {
    let mut inline = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    inline.inline = true;
    inline.taken_back = false;
    assert_snapshot!(planned_deletion_asked(None, 3, &inline), @"wait Deleting the ZadigEnvironment declares the service itself, and takes over first what is remembered of it");
    assert_snapshot!(planned_deletion_asked(None, 30, &inline), @"in sync");
    inline.taken_back = true;
    assert_snapshot!(planned_deletion_asked(None, 3, &inline), @"in sync");
}

#[test]
fn the_removal_of_a_service_waits_while_its_environment_is_in_doubt() {
    let mut doubtful = observed().owned_as(OwnershipState::Created);
    doubtful.home = Home::Other {
        why: "spec.environmentRef: not (yet) that of the ZadigEnvironment".to_owned(),
        recorded: Some(ownership(OwnershipState::Created)),
    };
    assert!(planned_deletion(None, &doubtful).starts_with("wait EnvironmentNotReady"));
    let adopted = doubtful.clone().owned_as(OwnershipState::Adopted);
    assert_snapshot!(planned_deletion(None, &adopted), @"in sync");
    doubtful.inline = true;
    assert_snapshot!(planned_deletion(None, &doubtful), @"in sync");
}

#[test]
fn a_service_of_a_protected_environment_goes_only_when_its_own_object_says_so() {
    let held = |policy, observed: &Observed| {
        let absent = Desired::Absent {
            policy,
            protected: true,
            asked: Some(ago(60)),
        };
        text(plan(&absent, observed))
    };
    let added = observed()
        .running(&service())
        .owned_as(OwnershipState::Created);
    assert_snapshot!(held(None, &added), @"blocked DeletionProtected spec.deletion: deletionProtection of the ZadigEnvironment holds for what is inside too, so service api stays; to delete it, set deletion: Delete here; to release this object and leave it there, set the annotation zadig-operator.io/deletion=Orphan");
    let busy = added.clone().zadig_says(EnvStatus::Updating);
    assert_eq!(held(None, &busy), held(None, &added));
    assert_snapshot!(held(Some(BindingDeletion::Delete), &added), @r#"remove services {"api"}"#);
    assert_snapshot!(held(Some(BindingDeletion::Orphan), &added), @"in sync");
    let adopted = added.clone().owned_as(OwnershipState::Adopted);
    assert_snapshot!(held(None, &adopted), @"in sync");
    let gone = observed().owned_as(OwnershipState::Created);
    assert_snapshot!(held(None, &gone), @"in sync");
    let mut inline = added;
    inline.inline = true;
    assert_snapshot!(held(None, &inline), @"in sync");
}

#[test]
fn z9_11_images_and_replicas_of_a_production_service_are_told_and_the_rest_is_sent() {
    let api = service().image("api", "api:2").replicas("api", 3);
    let running = observed()
        .in_production()
        .running(&service().variable("LOG", "info"))
        .owned_as(OwnershipState::Created);
    let declared = binding(api.variable("LOG", "debug")).replicas(2);
    assert_snapshot!(planned(declared, &running), @r"
    update services
      api [LOG:string=debug]
    blocked InvalidSpec spec.service.containers: Zadig has no call that sets images of a production service; make them variables of its production template, or set them there, and remove the field
    blocked InvalidSpec spec.service.workloads: Zadig has no call that sets replicas of a production service; make them variables of its production template, or set them there, and remove the field
    blocked InvalidSpec spec.replicas, spec.scaleTarget: Zadig has no call that scales a production service; make the number a variable of its production template, or set it there, and remove the fields
    ");
    // An autoscaler cannot work there, so nothing is taken over for it.
    let scaled = binding(service().variable("LOG", "info")).scales("api");
    assert_snapshot!(planned(scaled, &running), @"blocked InvalidSpec spec.replicas, spec.scaleTarget: Zadig has no call that scales a production service; make the number a variable of its production template, or set it there, and remove the fields");
}
