//! Helm environments: the rows of the decision table, and every trap of Z§4.21 and Z§10 by its number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::fixture::{
    environment, health_of, looked_at, observed, planned, sent, sent_first, service,
};
use super::super::health::Trouble;
use super::super::helm::values::Values;
use super::super::helm::{Helm, ObservedHelm, Release, Source};
use super::super::memory::Retry;
use super::super::{Action, EnvStatus, Environment, Observed, ObservedService, Service};
use crate::api::condition::Reason;
use crate::api::environment::{
    AppliedService, Creation, DeployType, GitValues, HelmStrategy, Prune,
};
use crate::plan::Level;
use crate::plan::secret::SecretText;

fn tree(values: Value) -> Values {
    match values {
        Value::Object(map) => Values::new(map),
        other => panic!("no map: {other}"),
    }
}

/// A declared Helm environment, still without services.
fn helm_environment() -> Environment {
    Environment {
        deploy_type: DeployType::Helm,
        ..environment()
    }
}

/// A service with these values.
fn with_values(values: Value) -> Service {
    with(|helm| helm.source = Source::Values(tree(values)))
}

fn with(change: impl FnOnce(&mut Helm)) -> Service {
    let mut helm = Helm::default();
    change(&mut helm);
    Service {
        helm: Some(digested(helm)),
        ..service()
    }
}

/// With what stands for the keyed digest.
fn digested(helm: Helm) -> Helm {
    let Helm {
        strategy,
        source,
        overrides,
        digest: _,
    } = &helm;
    let source = match source {
        Source::Values(values) => Value::Object(values.expose().clone()).to_string(),
        Source::Git(git) => format!("{git:?}"),
    };
    let overrides: Vec<_> = overrides
        .iter()
        .map(|(key, text)| format!("{key}={}", text.expose()))
        .collect();
    let digest = format!("{strategy:?} {source} {overrides:?}");
    Helm { digest, ..helm }
}

impl Service {
    fn changed(mut self, change: impl FnOnce(&mut Helm)) -> Self {
        let mut helm = self.helm.take().unwrap_or_default();
        change(&mut helm);
        self.helm = Some(digested(helm));
        self
    }

    fn overridden(self, key: &str, value: &str) -> Self {
        self.changed(|helm| {
            helm.overrides
                .insert(key.to_owned(), SecretText::new(value));
        })
    }

    fn strategy(self, strategy: HelmStrategy) -> Self {
        self.changed(|helm| helm.strategy = strategy)
    }
}

/// What a look at a release finds. Its chart has an image with a repository and a tag.
fn seen(release: Option<Release>) -> ObservedService {
    ObservedService {
        helm: Some(ObservedHelm {
            images: vec![BTreeSet::from([
                "image.repository".to_owned(),
                "image.tag".to_owned(),
            ])],
            release,
        }),
        ..ObservedService::default()
    }
}

impl Observed {
    /// The service is in the environment, with these computed values.
    fn has_values(self, name: &str, values: Value) -> Self {
        self.has_release(name, Some(Release::Values(tree(values))))
    }

    fn has_release(self, name: &str, release: Option<Release>) -> Self {
        self.detail_with(|detail| {
            detail.services.insert(name.to_owned(), seen(release));
        })
    }

    /// This object sent the service, as declared here.
    fn was_sent(self, name: &str, declared: &Service) -> Self {
        let entry = AppliedService {
            name: name.to_owned(),
            helm: declared.helm.as_ref().map(|helm| helm.digest.clone()),
            ..AppliedService::default()
        };
        self.with(|observed| {
            observed.memory.services.insert(name.to_owned());
            observed.memory.applied.insert(name.to_owned(), entry);
        })
    }

    fn failed(self) -> Self {
        self.status(EnvStatus::Failed, 60)
    }
}

/// The chart's own values.
fn chart() -> Value {
    json!({"image": {"repository": "r/web", "tag": "v1"}, "port": 8080, "replicaCount": 1})
}

/// The chart's values with others over them.
fn over_chart(values: Value) -> Value {
    let mut all = tree(chart());
    all.lay_over(tree(values).expose().clone());
    Value::Object(all.expose().clone())
}

/// An environment of ours in which `web` runs as declared.
fn running(declared: &Service, values: Value) -> Observed {
    observed()
        .present()
        .owned()
        .has_values("web", over_chart(values))
        .was_sent("web", declared)
}

fn two() -> Service {
    with_values(json!({"replicaCount": 2}))
}

const SEND_TWO: &str = "deploy releases\n  web Deploy {\"replicaCount\":2} []";
const FAILED: &str = "could not be deployed with the last values: Zadig reports failed and keeps the reason to itself, its page shows it. Change the values, or set the annotation zadig-operator.io/reconcile-requested-at to send them again";

#[test]
fn z4_21_a_helm_environment_begins_without_services_and_with_its_alias() {
    let desired = Environment {
        alias: Some("Dev".to_owned()),
        ..helm_environment().service("web", two())
    };
    assert_eq!(
        planned(&desired, &observed()),
        "record Pending: https://zadig.example.com shop/dev in c-local/shop-env-dev\n\
         create for Helm in c-local/shop-env-dev with r-default as Dev"
    );
    let there = observed().present().owned();
    let there = there.detail_with(|detail| "Dev".clone_into(&mut detail.alias));
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  web new Deploy {\"replicaCount\":2} []"
    );
}

#[test]
fn z4_8_an_alias_that_cannot_be_changed_is_told_and_the_rest_goes_on() {
    let desired = Environment {
        alias: Some("Dev".to_owned()),
        ..helm_environment().service("web", two())
    };
    assert_eq!(
        planned(
            &desired,
            &observed().present().owned().has_values("web", chart())
        ),
        format!(
            "{SEND_TWO}\nblocked InvalidSpec spec.alias: the environment is called \"\" in Zadig, not \"Dev\", and Zadig has no call that changes it; leave alias out, or change it in Zadig"
        )
    );
}

#[test]
fn a_service_without_helm_is_installed_once_and_its_values_are_left_alone() {
    let desired = helm_environment().service("web", service());
    let there = observed().present().owned();
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  web new Deploy {} []"
    );
    let there = there.has_values("web", over_chart(json!({"replicaCount": 7})));
    assert_eq!(planned(&desired, &there), "in sync");
}

#[test]
fn z14_17_nothing_is_sent_while_the_release_holds_what_is_declared() {
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let mut there = running(&declared, json!({"replicaCount": 2.0, "port": 9090}));
    assert_eq!(planned(&desired, &there), "in sync");
    for _ in 0..3 {
        there = looked_at(&desired, &there);
        assert_eq!(planned(&desired, &there), "in sync");
    }
}

#[test]
fn z14_17_one_change_is_one_upgrade() {
    let before = with_values(json!({"replicaCount": 1}));
    let desired = helm_environment().service("web", two());
    let there = running(&before, json!({}));
    assert_eq!(planned(&desired, &there), SEND_TWO);
    let after = sent(&desired, &there).has_values("web", over_chart(json!({"replicaCount": 2})));
    assert_eq!(planned(&desired, &after), "in sync");
}

#[test]
fn z10_a_key_that_is_no_longer_declared_is_seen_by_the_digest() {
    let before = with_values(json!({"replicaCount": 2, "port": 9090}));
    let desired = helm_environment().service("web", two());
    let there = running(&before, json!({"replicaCount": 2, "port": 9090}));
    assert_eq!(planned(&desired, &there), SEND_TWO);
}

#[test]
fn z10_overrides_are_sent_whole_since_those_left_out_go() {
    let before = two().overridden("port", "9090").overridden("debug", "true");
    let declared = two().overridden("port", "9090");
    let desired = helm_environment().service("web", declared);
    let there = running(
        &before,
        json!({"replicaCount": 2, "port": 9090, "debug": true}),
    );
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  web Deploy {\"replicaCount\":2} [\"port=9090\"]"
    );
}

#[test]
fn z10_an_override_stands_above_the_values_and_is_typed_as_helm_does() {
    let declared = with_values(json!({"port": 1, "name": "a"}))
        .overridden("port", "9090")
        .overridden("list[0].on", "true");
    let desired = helm_environment().service("web", declared.clone());
    let live = json!({"port": 9090, "name": "a", "list": [{"on": true}]});
    assert_eq!(planned(&desired, &running(&declared, live)), "in sync");
    let live = json!({"port": 1, "name": "a", "list": [{"on": true}]});
    let there = running(&declared, live);
    assert!(planned(&desired, &there).starts_with("deploy releases"));
}

#[test]
fn an_override_that_helm_could_not_set_is_told_and_not_sent() {
    let declared = two().overridden("replicaCount.max", "3");
    let desired = helm_environment().service("web", declared.clone());
    assert_eq!(
        planned(&desired, &running(&declared, json!({}))),
        "blocked InvalidSpec spec.services[web].helm.overrides[replicaCount.max]: something on its path is neither a map nor a list in the values, so Helm cannot set it; mend the path or the values"
    );
}

#[test]
fn what_others_set_in_a_declared_value_is_repaired_and_what_they_set_beside_it_is_not() {
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({"replicaCount": 5}));
    assert_eq!(planned(&desired, &there), SEND_TWO);
    let there = running(&declared, json!({"replicaCount": 2, "port": 1}));
    assert_eq!(planned(&desired, &there), "in sync");
}

#[test]
fn z14_17_a_difference_that_comes_back_each_time_is_left_to_a_person() {
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let mut there = running(&declared, json!({"replicaCount": 5}));
    for _ in 0..3 {
        assert_eq!(planned(&desired, &there), SEND_TWO);
        there = sent(&desired, &there);
    }
    let told = planned(&desired, &there);
    assert!(
        told.starts_with("blocked DriftDoesNotConverge spec.services[web].helm: repaired 3 times"),
        "{told}"
    );
}

#[test]
fn a_lost_memory_is_recorded_and_sends_nothing() {
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({"replicaCount": 2, "port": 9090})).forgotten();
    assert_eq!(planned(&desired, &there), "in sync");
    let after = looked_at(&desired, &there);
    let entry = &after.memory.applied["web"];
    assert_eq!(entry.helm, declared.helm.map(|helm| helm.digest));
    assert_eq!(planned(&desired, &after), "in sync");
}

#[test]
fn a_service_of_ours_that_is_declared_again_is_sent_once_as_its_values_were_left_alone() {
    let desired = helm_environment().service("web", two());
    let there = running(&two(), json!({"replicaCount": 2, "port": 9090}))
        .with(|it| it.memory.applied = BTreeMap::new());
    assert_eq!(planned(&desired, &there), SEND_TWO);
    let after = sent(&desired, &there);
    assert_eq!(planned(&desired, &after), "in sync");
}

#[test]
fn an_adopted_environment_is_upgraded_only_where_it_differs() {
    let declared = two();
    let desired = helm_environment()
        .creation(Creation::Adopt)
        .service("web", declared.clone())
        .service("db", with_values(json!({"disk": "1Gi"})));
    let there = observed()
        .present()
        .has_values("web", over_chart(json!({"replicaCount": 2})))
        .has_values("db", json!({"disk": "5Gi"}));
    let owned = sent(&desired, &there.forgotten()).adopted();
    assert_eq!(
        planned(&desired, &owned),
        "deploy releases\n  db Deploy {\"disk\":\"1Gi\"} []"
    );
}

#[test]
fn a_lost_answer_is_looked_into_and_sent_again_only_where_nothing_tells() {
    // A new value is seen in the release; but whether a removed one is gone cannot be told apart from the chart's own.
    let before = with_values(json!({"replicaCount": 2, "port": 9090}));
    let desired = helm_environment().service("web", two());
    let there = running(&before, json!({"replicaCount": 2}));
    let after = sent_first(0, &desired, &there);
    assert!(after.memory.applied["web"].helm_in_doubt);
    assert_eq!(planned(&desired, &after), SEND_TWO);
    let after = sent(&desired, &after);
    assert!(!after.memory.applied["web"].helm_in_doubt);
    assert_eq!(planned(&desired, &after), "in sync");
    // What was not there before cannot hold anything else.
    let there = observed().present().owned();
    let after = sent_first(0, &desired, &there);
    let after = after.has_values("web", over_chart(json!({"replicaCount": 2})));
    assert_eq!(planned(&desired, &after), "in sync");
    // It is this object's, with what it was sent with, also when something else is declared by then.
    let emptied = helm_environment().service("web", with_values(json!({})));
    assert_eq!(
        planned(&emptied, &after),
        "deploy releases\n  web Deploy {} []"
    );
    assert_eq!(
        planned(&helm_environment(), &after),
        "remove services {\"web\"}"
    );
}

#[test]
fn z10_an_import_is_compared_by_nothing_but_what_was_sent() {
    let declared = two().strategy(HelmStrategy::Import);
    let desired = helm_environment().service("web", declared.clone());
    let there = observed().present().owned();
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  web new Import {\"replicaCount\":2} []"
    );
    let there = there.has_release("web", None).was_sent("web", &declared);
    assert_eq!(planned(&desired, &there), "in sync");
    assert_eq!(health_of(&desired, &there), (1, None));
    // A changed strategy is a change like any other.
    let desired = helm_environment().service("web", two());
    let there = there.has_values("web", chart());
    assert_eq!(planned(&desired, &there), SEND_TWO);
}

#[test]
fn z12_a_draft_needs_a_zadig_that_knows_it() {
    let declared = two().strategy(HelmStrategy::Draft);
    let desired = helm_environment()
        .service("web", declared)
        .service("db", with_values(json!({})));
    let there = observed().present().owned();
    assert_eq!(
        planned(&desired, &there.clone().with(|it| it.level = Level::V42)),
        "deploy releases\n  db new Deploy {} []\n\
         blocked NeedsNewerZadig spec.services[web].helm.strategy: Draft needs Zadig 4.3 or later, and this one is older: it would take the word for Import; use Deploy or Import"
    );
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  db new Deploy {} []\n  web new Draft {\"replicaCount\":2} []"
    );
}

#[test]
fn z10_values_in_a_repository_are_not_compared_and_overrides_beside_them_are() {
    let git = |branch: &str| {
        let (text, branch) = (|text: &str| text.to_owned(), branch.to_owned());
        Source::Git(GitValues {
            codehost: text("gitlab"),
            owner: text("team"),
            repo: text("values"),
            branch,
            path: text("web.yaml"),
        })
    };
    let declared = with(|helm| helm.source = git("main")).overridden("port", "9090");
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({"port": 9090, "replicaCount": 3}));
    assert_eq!(planned(&desired, &there), "in sync");
    let there = running(&declared, json!({"port": 1}));
    assert!(planned(&desired, &there).starts_with("deploy releases\n  web Deploy GitValues"));
    let moved = declared.changed(|helm| helm.source = git("release"));
    let desired = helm_environment().service("web", moved);
    let there = there.has_values("web", over_chart(json!({"port": 9090})));
    assert!(planned(&desired, &there).starts_with("deploy releases\n  web Deploy GitValues"));
}

#[test]
fn z4_21_the_parts_of_an_image_go_as_single_values_which_zadig_puts_none_over() {
    let declared = with_values(json!({"image": {"tag": "v2"}}));
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({}));
    assert_eq!(
        planned(&desired, &there),
        "deploy releases\n  web Deploy {\"image\":{\"tag\":\"v2\"}} [\"image.tag=v2\"]"
    );
    let after = sent(&desired, &there);
    let after = after.has_values("web", over_chart(json!({"image": {"tag": "v2"}})));
    assert_eq!(planned(&desired, &after), "in sync");
}

#[test]
fn z4_21_a_tag_that_helm_would_read_as_a_number_is_completed_instead() {
    let declared = with_values(json!({"image": {"tag": "20261127"}}));
    let desired = helm_environment().service("web", declared.clone());
    assert_eq!(
        planned(&desired, &running(&declared, json!({}))),
        "deploy releases\n  web Deploy {\"image\":{\"repository\":\"r/web\",\"tag\":\"20261127\"}} []"
    );
}

#[test]
fn z4_21_values_that_failed_are_not_sent_again_and_better_ones_are() {
    let declared = with_values(json!({"port": "x"}));
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({})).failed();
    assert_eq!(
        planned(&desired, &there),
        format!("blocked ReleaseFailed the release of spec.services[web].helm {FAILED}")
    );
    // After a restart of this process as well.
    let restarted = there.clone().with(|it| it.memory.repairs.forget());
    assert_eq!(planned(&desired, &restarted), planned(&desired, &there));
    let asked = there.clone().with(|it| it.memory.retry = Retry::Now);
    assert!(planned(&desired, &asked).starts_with("deploy releases"));
    let better = helm_environment().service("web", two());
    assert_eq!(planned(&better, &there), SEND_TWO);
}

#[test]
fn z10_a_failure_that_the_values_do_not_show_is_told_too() {
    // Helm computes values of a release that the cluster refused.
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({"replicaCount": 2})).failed();
    assert_eq!(
        planned(&desired, &there),
        format!("blocked ReleaseFailed at least one release {FAILED}")
    );
    let asked = there.with(|it| it.memory.retry = Retry::Now);
    assert_eq!(planned(&desired, &asked), SEND_TWO);
    let again = sent(&desired, &asked);
    assert!(planned(&desired, &again).starts_with("blocked ReleaseFailed"));
    // Where no values are declared there are none to send again, and it is told all the same.
    let desired = helm_environment().service("web", service());
    assert!(planned(&desired, &asked).starts_with("blocked ReleaseFailed"));
}

#[test]
fn a_release_that_cannot_be_read_is_told_and_sent_again_only_when_asked() {
    let declared = two();
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({})).has_release("web", Some(Release::Unreadable));
    assert_eq!(planned(&desired, &there), "in sync");
    assert_eq!(health_of(&desired, &there), (0, Some(Trouble::LiveDrift)));
    let asked = there.with(|it| it.memory.retry = Retry::Now);
    assert_eq!(planned(&desired, &asked), SEND_TWO);
}

#[test]
fn z4_21_a_refused_call_is_repeated_service_by_service() {
    let desired = helm_environment()
        .service("good", two())
        .service("nope", two());
    let there = observed().present().owned();
    let together = "deploy releases\n  good new Deploy {\"replicaCount\":2} []\n  nope new Deploy {\"replicaCount\":2} []";
    assert_eq!(planned(&desired, &there), together);
    let refused = there.with(|it| {
        let action = Action::DeployReleases {
            services: ["good", "nope"]
                .map(|name| (name.to_owned(), deployment()))
                .into(),
        };
        it.memory.was_refused(&action);
    });
    assert_eq!(
        planned(&desired, &refused),
        "deploy releases\n  good new Deploy {\"replicaCount\":2} []\n\
         deploy releases\n  nope new Deploy {\"replicaCount\":2} []"
    );
}

fn deployment() -> super::super::helm::Deployment {
    super::super::helm::Deployment {
        strategy: HelmStrategy::Deploy,
        source: Source::default(),
        overrides: BTreeMap::new(),
        is_new: true,
    }
}

#[test]
fn pruning_removes_the_releases_that_this_object_added() {
    let desired = helm_environment().service("web", two());
    let there = running(&two(), json!({"replicaCount": 2}))
        .has_values("old", json!({}))
        .was_sent("old", &two())
        .has_values("theirs", json!({}));
    assert_eq!(planned(&desired, &there), "remove services {\"old\"}");
    let desired = desired.prune(Prune::None);
    assert_eq!(planned(&desired, &there), "in sync");
}

#[test]
fn z10_no_call_of_kubernetes_yaml_is_sent_to_a_helm_environment_nor_the_other_way_round() {
    let yaml = environment().service("web", service().variable("LOG", "info"));
    let there = running(&two(), json!({}));
    assert_eq!(
        planned(&yaml, &there),
        "blocked InvalidSpec spec.deployType: services of the environment are deployed by Helm charts (web); it cannot be changed, so create a new ZadigEnvironment with the other value"
    );
    let helm = helm_environment().service("api", two());
    let there = observed().present().owned().foreign("api");
    assert_eq!(
        planned(&helm, &there),
        "blocked InvalidSpec spec.deployType: services of the environment are deployed by Kubernetes YAML (api); it cannot be changed, so create a new ZadigEnvironment with the other value"
    );
}

#[test]
fn z10_what_a_release_keeps_nothing_of_is_refused_for_a_binding_too() {
    let field = |service: Service| {
        let desired = helm_environment().service("web", service);
        let told = planned(&desired, &observed().present().owned());
        told.split(':').next().unwrap_or_default().to_owned()
    };
    for (service, expected) in [
        (service().variable("LOG", "info"), "variables"),
        (service().image("web", "r/web:1"), "containers"),
        (service().replicas("web", 2), "workloads"),
        (service().restart_token("1"), "restartToken"),
    ] {
        let expected = format!(
            "blocked {:?} spec.services[web].{expected}",
            Reason::InvalidSpec
        );
        assert_eq!(field(service), expected);
    }
    let desired = environment().service("web", two());
    let told = planned(&desired, &observed().present().owned());
    assert!(
        told.starts_with("blocked InvalidSpec spec.services[web].helm: the environment deploys by Kubernetes YAML"),
        "{told}"
    );
}

#[test]
fn no_value_is_printed() {
    let declared = with_values(json!({"password": "hunter22"})).overridden("token", "hunter23");
    let desired = helm_environment().service("web", declared.clone());
    let there = running(&declared, json!({"password": "hunter24"}));
    let crate::plan::Plan::Act(act) =
        super::super::plan(&super::super::Desired::Present(desired.clone()), &there)
    else {
        panic!("it differs");
    };
    let printed = format!("{desired:?} {there:?} {act:?} {}", act.actions[0].summary());
    // The digest stands for one that tells nothing, and holds the values in these tests.
    let digest = format!("{:?}", declared.helm.unwrap_or_default().digest);
    let printed = printed.replace(&digest, "");
    assert!(!printed.contains("hunter"), "{printed}");
}
