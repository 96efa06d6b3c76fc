//! What the operator asks of Kubernetes and what the Helm chart lets it do are the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xtask::controlplane::{Private, RELEASE, grant_rendered, rendered, rights, unneeded};
use zadig_operator::api::SHARD_LABEL;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::service_binding::ZadigServiceBinding;

use crate::support::{Operator, Place, arguments, eventually, test, test_alone};

/// The operator looks at everything within seconds; a machine that compiles at the same time needs more.
const PATIENCE: Duration = Duration::from_mins(1);

/// A release of the chart as `tests/chart/CASE.yaml` has it, and teams that use it.
struct Release {
    /// The namespace of the operator.
    home: Place,
    teams: Vec<Place>,
    objects: Vec<Value>,
}

impl Release {
    /// Installs its roles, and no other ones.
    async fn install(control_plane: &Arc<Private>, case: &str, teams: &[&str]) -> Self {
        let home = Place::create(control_plane, RELEASE).await;
        let mut places = Vec::new();
        for team in teams {
            places.push(Place::create(control_plane, team).await);
        }
        let granted = grant_rendered(&home.client, RELEASE, case).await;
        granted.expect("the API server takes the roles");
        Self {
            home,
            teams: places,
            objects: rendered(case).expect("the chart was rendered"),
        }
    }

    /// What the program is started with, but for address and name, of which there are others for each process here.
    fn arguments(&self) -> Vec<&str> {
        let own = ["--health-addr=", "--pod-name="];
        arguments(&self.objects)
            .skip(1)
            .filter(|argument| !own.iter().any(|own| argument.starts_with(own)))
            .collect()
    }

    fn operator(&self, name: &str) -> Operator {
        self.home.program(name, &self.arguments(), &[])
    }

    /// The shard that it is.
    fn shard(&self) -> Option<&str> {
        let mut arguments = self.arguments().into_iter();
        arguments.find_map(|argument| argument.strip_prefix("--shard="))
    }
}

/// A release can do all of its work with what the chart grants it, and needs all of that.
fn grants_what_is_used_and_no_more(case: &str, teams: &[&str]) {
    test_alone(async |control_plane| {
        let release = Release::install(control_plane, case, teams).await;
        let leader = release.operator("leader");
        leader.says("leading").await;
        let other = release.operator("other");
        other.says("standing by").await;
        for team in &release.teams {
            declare_everything(team, release.shard()).await;
        }
        for team in &release.teams {
            team.ready().await;
        }
        let rights = rights(&release.objects);
        let unused = || unneeded(&rights, &release.home.requests());
        let deadline = Instant::now() + PATIENCE;
        while !unused().is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(200)).await;
        }
        let mut refused = release.home.requests();
        refused.retain(|request| request.is_forbidden);
        assert_eq!(refused, [], "rights that the chart lacks");
        assert_eq!(unused(), [], "rights that nothing needs, or not so wide");
    });
}

/// Objects of every kind, that use whatever takes a right of its own.
async fn declare_everything(place: &Place, shard: Option<&str>) {
    let labels = shard.map(|shard| json!({SHARD_LABEL: shard}));
    place.declare().await;
    // Admitted by label, which is read from the namespace.
    place
        .apply::<ZadigConnection>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigConnection",
            "metadata": {"name": "default", "labels": labels},
            "spec": {
                "url": place.zadig.url,
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "access": [{"namespaces": {"from": "Selector", "selector": {
                    "matchLabels": {"kubernetes.io/metadata.name": place.namespace},
                }}}],
                "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
            },
        }))
        .await;
    place
        .apply::<ConfigMap>(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"},
            "data": {"new-basket": "true"},
        }))
        .await;
    place
        .apply::<ZadigEnvConfig>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvConfig",
            "metadata": {"name": "flags"},
            "spec": {
                "environmentRef": {"name": "dev"}, "type": "ConfigMap", "name": "flags",
                "configMapRef": {"name": "flags"},
            },
        }))
        .await;
    // Its number of pods is taken over from what runs.
    place
        .apply::<ZadigServiceBinding>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigServiceBinding",
            "metadata": {"name": "plain"},
            "spec": {
                "environmentRef": {"name": "dev"}, "service": {"name": "plain"},
                "scaleTarget": {"kind": "Deployment", "name": "plain"},
            },
        }))
        .await;
}

#[test]
fn the_chart_grants_what_is_used_and_no_more() {
    grants_what_is_used_and_no_more("default", &["team"]);
}

#[test]
fn a_release_for_some_namespaces_has_rights_there_and_nowhere_else() {
    grants_what_is_used_and_no_more("namespaced", &["shop-environments", "shop-previews"]);
}

#[test]
fn a_release_that_reads_the_secrets_of_some_namespaces_works_in_these() {
    grants_what_is_used_and_no_more("everything", &["platform", "shop-environments"]);
}

#[test]
fn without_watching_secrets_a_rotated_one_is_noticed_at_the_next_thorough_look() {
    test("unwatched", async |place| {
        let operator = place.operator("only", &["--watch-secrets", "false"]);
        operator.says("leading").await;
        place.declare().await;
        place.ready().await;
        let before = place.changes().len();
        place
            .apply::<Secret>(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"},
                "stringData": {"cpu": "2468m"},
            }))
            .await;
        eventually("the new value is sent", async || {
            place.changes().len() > before
        })
        .await;
        let mut looks = place.requests();
        looks.retain(|request| {
            request.resource == "secrets" && request.namespace == place.namespace
        });
        let verbs: BTreeSet<String> = looks.into_iter().map(|request| request.verb).collect();
        let expected = ["create", "get"].map(str::to_owned);
        assert_eq!(
            verbs,
            BTreeSet::from(expected),
            "by name alone; one is made for the digests"
        );
    });
}
