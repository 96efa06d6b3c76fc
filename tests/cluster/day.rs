//! A day in the life: three projects of ten environments, three teams, a cluster full of other people, and nothing left to do
//! in the evening. What was sent to Zadig meanwhile is read by a [judge](crate::judge).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join;
use futures::stream::{self, StreamExt};
use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Call, KubeAction, Sim};

use crate::judge::{self, complaints};
use crate::support::{
    Mark, Namespaced, Observed, Setup, World, has_reason, is_ours, is_ready, simulated_with,
};

const PROJECTS: [&str; 3] = ["shop", "blog", "bank"];
const ENVIRONMENTS: usize = 10;
/// The order of the morning is repeated with this seed.
const SEED: &str = "ZADIG_DAY_SEED";
/// Lists of each project after which silence is believed.
const QUIET_LISTS: usize = 12;
const APPLIED_AT_ONCE: usize = 8;
/// An environment whose time is over at noon, and one that is kept longer than was meant.
const SHORT_LIVED: (&str, usize) = ("shop", 0);
const PROLONGED: (&str, usize) = ("shop", 4);
/// Environments in which two owners change something at once.
const TWO_OWNERS: [(&str, usize); 3] = [("blog", 1), ("blog", 3), ("bank", 2)];

/// The name of an environment's object.
fn name(project: &str, index: usize) -> String {
    format!("{project}-{index}")
}

fn image(service: &str, tag: &str) -> String {
    format!("registry.example.com/shop/{service}:{tag}")
}

/// What the day's people do, with the moments at which they do it.
struct Day<'a> {
    world: &'a World,
    sim: &'a Sim,
    /// A namespace of a team of its own.
    team: String,
    /// What changed for which environment (`project/key`).
    edits: Mutex<Vec<(Timestamp, String)>>,
    /// The time of the short-lived one is over.
    noon: AtomicBool,
}

impl Day<'_> {
    /// Somebody is about to change what an environment follows.
    fn edit(&self, project: &str, index: usize) {
        let mut edits = self.edits.lock().expect("nobody panicked");
        edits.push((Timestamp::now(), format!("{project}/e{index}")));
    }

    /// The same of all these, in every project.
    fn edit_all(&self, indices: &[usize]) {
        for project in PROJECTS {
            for index in indices {
                self.edit(project, *index);
            }
        }
    }

    fn environment(&self, project: &str, index: usize) -> ZadigEnvironment {
        let mut api = json!({
            "name": "api",
            "containers": [{"name": "api", "image": image("api", "1.0.1")}],
        });
        let mut spec = json!({
            "connectionRef": {"name": "default"},
            "projectKey": project,
            "envKey": format!("e{index}"),
            "bindings": {"from": "All"},
        });
        if index.is_multiple_of(2) {
            spec["globalVariables"] = json!([{"key": "LOG_LEVEL", "value": "debug"}]);
            spec["configRefs"] = json!([{"name": name(project, index)}]);
            api["variables"] = json!([{"key": "LOG_LEVEL", "useGlobal": true}]);
        } else {
            let password = json!({"secretKeyRef": {"name": "login", "key": "password"}});
            api["variables"] = json!([{"key": "DB_PASSWORD", "valueFrom": password}]);
        }
        if index.is_multiple_of(3) {
            api["workloads"] = json!([{"kind": "Deployment", "name": "api", "replicas": 2}]);
        }
        if [SHORT_LIVED, PROLONGED].contains(&(project, index)) {
            spec["ttl"] = "1h".into();
        }
        spec["services"] = json!([api, {"name": "web"}]);
        self.object("ZadigEnvironment", &name(project, index), &spec)
    }

    /// A ConfigMap that the creation carries, or a Secret that comes later.
    fn config(&self, project: &str, index: usize) -> ZadigEnvConfig {
        let mut spec = json!({
            "environmentRef": {"name": name(project, index)}, "name": "settings", "type": "ConfigMap",
        });
        if index.is_multiple_of(2) {
            spec["manifest"] = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"env": "$EnvName$"},
            });
        } else {
            spec["type"] = "Secret".into();
            spec["secretRef"] = json!({"name": "login"});
        }
        self.object("ZadigEnvConfig", &name(project, index), &spec)
    }

    fn binding(&self, project: &str, index: usize) -> ZadigServiceBinding {
        let spec = json!({
            "environmentRef": {"name": name(project, index), "namespace": self.world.namespace},
            "service": {"name": "db"},
            "scaleTarget": {"kind": "StatefulSet", "name": "db"},
        });
        self.object("ZadigServiceBinding", &name(project, index), &spec)
    }

    fn object<K: serde::de::DeserializeOwned>(&self, kind: &str, name: &str, spec: &Value) -> K {
        self.world.read(json!({
            "apiVersion": "zadig-operator.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }))
    }

    /// The bindings of the team whose namespace is its own.
    fn of_the_team(&self) -> Api<ZadigServiceBinding> {
        Api::namespaced(self.world.client.clone(), &self.team)
    }

    /// Everything, in one order of the many that there are.
    async fn morning(&self) {
        let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("{SEED}={seed} repeats this order");
        let mut order: Vec<(&str, usize, usize)> = PROJECTS
            .iter()
            .flat_map(|project| (0..ENVIRONMENTS).map(move |index| (*project, index)))
            .flat_map(|(project, index)| (0..3).map(move |what| (project, index, what)))
            .collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        self.world
            .apply(&self.world.secret("login", "password", "in-the-morning"))
            .await;
        stream::iter(order)
            .for_each_concurrent(APPLIED_AT_ONCE, async |(project, index, what)| {
                self.edit(project, index);
                match (what, index) {
                    (0, _) => {
                        self.world.apply(&self.environment(project, index)).await;
                    }
                    (1, _) => {
                        self.world.apply(&self.config(project, index)).await;
                    }
                    (_, 1..=3) => {
                        self.world.apply(&self.binding(project, index)).await;
                    }
                    (_, 4) => {
                        let mut binding = self.binding(project, index);
                        binding.metadata.namespace = Some(self.team.clone());
                        let made = self
                            .of_the_team()
                            .create(&PostParams::default(), &binding)
                            .await;
                        made.expect("the team makes a binding");
                    }
                    _ => {}
                }
            })
            .await;
    }

    /// Waits until everything of a kind is Ready, but what is over.
    async fn all_ready<K: Namespaced + Observed>(&self, api: &Api<K>) {
        let is_over = |object: &K| {
            let (project, index) = SHORT_LIVED;
            self.noon.load(Ordering::Relaxed)
                && object.name_any() == name(project, index)
                && (has_reason(object, Reason::Expired)
                    || has_reason(object, Reason::EnvironmentNotReady))
        };
        let ready = async || {
            let list = api.list(&ListParams::default()).await;
            let list = list.expect("the API server answers");
            list.iter().all(|it| is_ready(it) || is_over(it))
        };
        self.world.eventually("all are Ready", ready).await;
    }

    async fn settled(&self) {
        self.all_ready(&self.world.api::<ZadigEnvironment>()).await;
        self.all_ready(&self.world.api::<ZadigEnvConfig>()).await;
        self.all_ready(&self.world.api::<ZadigServiceBinding>())
            .await;
        self.all_ready(&self.of_the_team()).await;
    }

    /// Waits until nothing was asked of Zadig but lists and looks for so many lists.
    async fn silent(&self) {
        for round in 0.. {
            let mark = self.world.mark();
            self.lists(QUIET_LISTS).await;
            let writes = self.writes_since(mark);
            if writes.is_empty() {
                return;
            }
            assert!(round < 5, "it goes on writing: {writes:#?}");
        }
    }

    async fn lists(&self, lists: usize) {
        self.world
            .await_lists(self.sim, lists * PROJECTS.len())
            .await;
    }

    fn writes_since(&self, mark: Mark) -> Vec<Call> {
        let mut calls = self.world.calls_since(mark);
        calls.retain(|call| is_ours(call) && call.mutating);
        calls
    }

    async fn change(&self, project: &str, index: usize, spec: Value) {
        self.edit(project, index);
        let patch = json!({"spec": spec});
        self.world
            .patch::<ZadigEnvironment>(&name(project, index), patch)
            .await;
    }

    /// Versions, values and numbers of pods, by those whose they are.
    async fn teams_at_work(&self) {
        let services = |tag: &str, port: &str| {
            json!({"services": [
                {"name": "api", "containers": [{"name": "api", "image": image("api", tag)}]},
                {"name": "web", "variables": [{"key": "PORT", "value": port}]},
            ]})
        };
        self.change("shop", 7, services("1.1.0", "9090")).await;
        self.change("blog", 7, services("1.1.0", "9191")).await;
        self.change(
            "bank",
            8,
            json!({"globalVariables": [{"key": "LOG_LEVEL", "value": "warn"}]}),
        )
        .await;
        let restart =
            json!({"services": [{"name": "api"}, {"name": "web", "restartToken": "noon"}]});
        self.change("bank", 7, restart).await;
        self.two_owners_at_once().await;
        for replicas in [3, 2, 4] {
            // An autoscaler that cannot make up its mind.
            self.edit("shop", 1);
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let scaled = self
                .world
                .api::<ZadigServiceBinding>()
                .patch_scale("shop-1", &PatchParams::default(), &patch)
                .await;
            scaled.expect("the scale subresource takes it");
            self.lists(1).await;
        }
        // Its users are all of an odd number: by a variable, or by the Secret inside.
        self.edit_all(&[1, 3, 5, 7, 9]);
        self.world
            .apply(&self.world.secret("login", "password", "in-the-evening"))
            .await;
    }

    /// One commit changes what is declared inline and what a binding of the same environment declares.
    async fn two_owners_at_once(&self) {
        for (project, index) in TWO_OWNERS {
            let services = json!({"services": [
                {"name": "api", "containers": [{"name": "api", "image": image("api", "2.0.0")}]},
                {"name": "web", "variables": [{"key": "PORT", "value": "9393"}]},
            ]});
            let bound = json!({"spec": {"service": {
                "name": "db", "containers": [{"name": "db", "image": image("db", "16.2")}],
            }}});
            let name = name(project, index);
            let binding = self.world.patch::<ZadigServiceBinding>(&name, bound);
            join(self.change(project, index, services), binding).await;
        }
    }

    /// One environment ends soon, and another one would, if nobody had wanted it longer.
    async fn times_end(&self) {
        for (project, index) in [PROLONGED, SHORT_LIVED] {
            let name = name(project, index);
            let env = self.world.get::<ZadigEnvironment>(&name).await;
            let created = env.metadata.creation_timestamp.expect("it was made");
            let age = Timestamp::now().as_second() - created.0.as_second();
            self.change(project, index, json!({"ttl": format!("{}s", age + 5)}))
                .await;
        }
        let (project, index) = PROLONGED;
        self.change(project, index, json!({"ttl": "100h"})).await;
        self.noon.store(true, Ordering::Relaxed);
        let (project, index) = SHORT_LIVED;
        self.world
            .await_that::<ZadigEnvironment>(&name(project, index), "Expired", |env| {
                has_reason(env, Reason::Expired)
            })
            .await;
    }

    /// What people do in Zadig's own pages, and in the cluster.
    async fn others_at_work(&self) {
        let zadig = &self.world.zadig;
        zadig
            .set_image("e2", "api", "api", &image("api", "by-hand"))
            .await;
        zadig
            .set_image("e5", "web", "web", &image("web", "by-hand"))
            .await;
        zadig.scale("e3", "api", 5).await;
        zadig.add_service("e6", "db").await;
        let pods = KubeAction::Scale {
            kind: "Deployment".to_owned(),
            namespace: "shop-env-e9".to_owned(),
            name: "api".to_owned(),
            replicas: 1,
            cluster: None,
        };
        self.edit("shop", 9);
        self.sim.kube(pods).expect("it is there");
    }

    async fn a_new_revision(&self, service: &str) {
        let path = format!("/openapi/service/yaml/{service}");
        let template = self.world.zadig.get(&path, &[]).await;
        let yaml = template["yaml"].as_str().expect("a template has a text");
        let begin = format!("metadata:\n  name: {service}\n");
        let changed = yaml.replacen(&begin, &format!("{begin}  annotations: {{by: hand}}\n"), 1);
        assert_ne!(changed, yaml);
        let body = json!({"type": "k8s", "yaml": changed});
        self.world
            .zadig
            .change(Method::PUT, &path, &[], Some(body))
            .await;
    }

    /// New revisions of templates, and then changes that cannot leave them out: one of variables that were declared before, and
    /// one of a service that had none.
    async fn new_templates(&self) {
        self.a_new_revision("api").await;
        self.a_new_revision("web").await;
        let first = json!([{"key": "PORT", "value": "9292"}]);
        let services = json!([{"name": "api"}, {"name": "web", "variables": first}]);
        self.change("shop", 6, json!({"services": services})).await;
        let variables = json!([
            {"key": "LOG_LEVEL", "useGlobal": true}, {"key": "DB_PASSWORD", "value": "changed"},
        ]);
        let services = json!([{"name": "api", "variables": variables}, {"name": "web"}]);
        self.change("shop", 8, json!({"services": services})).await;
    }

    /// A team goes, an environment goes.
    async fn some_leave(&self) {
        self.edit_all(&[4]);
        self.edit("blog", 9);
        self.edit("bank", 0);
        let namespaces: Api<Namespace> = Api::all(self.world.client.clone());
        let deleted = namespaces
            .delete(&self.team, &DeleteParams::background())
            .await;
        deleted.expect("a namespace can be deleted");
        self.world.delete::<ZadigEnvironment>("blog-9").await;
        self.world.delete::<ZadigEnvConfig>("bank-0").await;
        self.world.await_gone::<ZadigEnvironment>("blog-9").await;
        self.world.await_gone::<ZadigEnvConfig>("bank-0").await;
        self.world
            .eventually("the team's namespace is gone", async || {
                let found = namespaces.get_opt(&self.team).await;
                found.expect("the API server answers").is_none()
            })
            .await;
        // Its environment is gone, and that is what it says from now on.
        self.world
            .await_that::<ZadigEnvConfig>("blog-9", "EnvironmentNotFound", |config| {
                has_reason(config, Reason::EnvironmentNotFound)
            })
            .await;
        self.world.delete::<ZadigEnvConfig>("blog-9").await;
        self.world.await_gone::<ZadigEnvConfig>("blog-9").await;
    }

    /// Upgrades of templates that an event told.
    async fn told(&self) -> Vec<(Timestamp, String, String)> {
        let mut found = Vec::new();
        for (time, of, note) in self.world.timed_events().await {
            let Some((project, index)) = of.split_once('-') else {
                continue;
            };
            let (_, services) = note.split_once(" the template of ").unwrap_or_default();
            let services = services.split(&[',', ';'][..]).map(str::trim);
            for service in services.filter(|service| !service.is_empty()) {
                found.push((time, format!("{project}/e{index}"), service.to_owned()));
            }
        }
        found
    }

    async fn judge(&self) {
        let told = self.told().await;
        for upgraded in [("shop/e8", "api"), ("shop/e6", "web")] {
            let mut told_of = told
                .iter()
                .map(|(_, of, what)| (of.as_str(), what.as_str()));
            assert!(told_of.any(|it| it == upgraded), "{upgraded:?}: {told:?}");
        }
        let calls = self.sim.calls();
        let edits = self.edits.lock().expect("nobody panicked").clone();
        let found = complaints(&judge::Day {
            calls: &calls,
            edits: &edits,
            told: &told,
        });
        let writes = calls.iter().filter(|call| is_ours(call) && call.mutating);
        let writes = writes.count();
        assert!(
            writes > PROJECTS.len() * ENVIRONMENTS,
            "only {writes} writes to judge"
        );
        assert!(
            found.is_empty(),
            "of {writes} writes:\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn a_day_of_three_teams_ends_in_silence_and_holds_no_careless_write() {
    simulated_with(Setup::default().three_projects(), async |world, sim| {
        let day = Day {
            world,
            sim,
            team: world.namespace_beside("team", json!({})).await,
            edits: Mutex::default(),
            noon: AtomicBool::default(),
        };
        let limits = json!({"requestsPerSecond": 200, "burst": 200, "maxInFlight": 32});
        world
            .patch::<ZadigConnection>("default", json!({"spec": {"limits": limits}}))
            .await;
        day.morning().await;
        day.settled().await;
        day.silent().await;

        day.teams_at_work().await;
        day.times_end().await;
        day.settled().await;
        day.silent().await;
        day.others_at_work().await;
        day.settled().await;
        day.silent().await;
        day.new_templates().await;
        day.settled().await;
        day.some_leave().await;
        day.settled().await;
        day.silent().await;

        let zadig = &world.zadig;
        let in_the_evening = async || {
            let secret = zadig.config("e7", "Secret", "settings").await;
            [
                zadig.running_image("e2", "api", "api").await == Some(image("api", "1.0.1")),
                zadig.replicas("e3", "api").await == Some(2),
                zadig.replicas("e9", "api").await == Some(2),
                secret.is_some_and(|it| it["data"]["password"] == "aW4tdGhlLWV2ZW5pbmc="),
            ]
        };
        let what = "what is declared is put back: an image, pods twice, a password";
        world
            .eventually(what, async || in_the_evening().await == [true; 4])
            .await;
        let by_hand = zadig.running_image("e5", "web", "web").await;
        assert_eq!(
            by_hand,
            Some(image("web", "by-hand")),
            "not declared, so left"
        );
        assert_eq!(
            zadig.services("e6").await,
            ["api", "db", "web"],
            "nobody's here"
        );
        for (project, index) in TWO_OWNERS {
            let zadig = &world.zadig.of_project(project);
            let key = format!("e{index}");
            let images = [
                zadig.running_image(&key, "api", "api").await,
                zadig.running_image(&key, "db", "db").await,
            ];
            let both = [image("api", "2.0.0"), image("db", "16.2")].map(Some);
            assert_eq!(images, both, "neither change is lost in {project}/{key}");
        }
        for ((project, index), is_there) in [(SHORT_LIVED, false), (PROLONGED, true)] {
            let env = world.get::<ZadigEnvironment>(&name(project, index)).await;
            assert_eq!(is_ready(&env), is_there, "{project}/e{index}");
            let known = zadig.environment(&format!("e{index}")).await;
            assert_eq!(known.is_some(), is_there, "{known:?}");
        }
        assert_eq!(
            zadig.services("e4").await,
            ["api", "web"],
            "the team took its own along"
        );
        day.silent().await;
        day.judge().await;
    });
}
