//! The life of every twin, in phases that all go through together, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zadig_operator::api::{GROUP, VERSION};
use zadig_sim::{FaultAction, FaultRule, KubeAction, Sim};

use super::Twin;
use super::bases::{Others, STUCK};
use crate::support::{EnvironmentFixture, World, is_ours};

const KINDS: [&str; 4] = [
    "ZadigConnection",
    "ZadigEnvironment",
    "ZadigEnvConfig",
    "ZadigServiceBinding",
];
const AT_ONCE: usize = 8;
/// Nothing is asked and nothing told for this long: longer than anything waits that is on its way (`LIVE_LAG`, polls).
const CALM: Duration = Duration::from_secs(7);
/// How often it is looked whether that is so.
const LOOK: Duration = Duration::from_millis(500);
/// Phases after which some object of these lives is still not settled are a failure of their own.
const PATIENCE: Duration = Duration::from_mins(4);

/// What came of a life, with the twin's own name taken out.
#[derive(Debug, PartialEq)]
pub(crate) struct Effects {
    /// The changes that were asked of Zadig.
    asked: BTreeSet<String>,
    /// What was told of the object and of those beside it after each phase.
    told: Vec<String>,
}

/// The lives of all twins, in their order.
pub(crate) async fn live(world: &World, sim: &Sim, twins: &[Twin]) -> Vec<Effects> {
    let lives = Lives {
        world,
        sim,
        began: Instant::now(),
        guests: world
            .namespace_beside("guests", json!({"team": "blue"}))
            .await,
        certificate: certificate(),
    };
    lives.prepare().await;
    let tags: Vec<String> = (0..twins.len())
        .map(|index| format!("t{index:03}q"))
        .collect();
    let mut told = vec![Vec::new(); twins.len()];
    let each = |twin: &'_ Twin, tag: &str| lives.filled(&twin.object.spec, tag);

    lives
        .for_each(twins, &tags, async |twin, tag| {
            for (kind, name, spec) in &twin.object.beside {
                let name = name.replace("TAG", tag);
                lives.apply(kind, &name, &lives.filled(spec, tag)).await?;
            }
            lives.apply(twin.object.kind, tag, &each(twin, tag)).await?;
            lives.guest(tag).await
        })
        .await
        .into_iter()
        .zip(&mut told)
        .for_each(|(refused, told)| told.extend(refused));
    lives.calm("they are applied").await;
    lives.note(&tags, &mut told).await;

    lives.others_at_work(twins, &tags).await;
    lives
        .for_each(twins, &tags, async |twin, tag| {
            for (kind, name, spec) in &twin.object.beside {
                if waits_for_approval(spec) {
                    let name = name.replace("TAG", tag);
                    let spec = lives.approved(kind, &name, lives.filled(spec, tag)).await;
                    lives.apply(kind, &name, &spec).await?;
                }
            }
            Ok(())
        })
        .await;
    lives.calm("others were at work").await;
    lives.note(&tags, &mut told).await;

    lives
        .for_each(twins, &tags, async |twin, tag| {
            let mut spec = each(twin, tag);
            if waits_for_approval(&spec) {
                spec = lives.approved(twin.object.kind, tag, spec).await;
            } else {
                later(&mut spec);
            }
            if twin.object.kind == "ZadigConnection" {
                for (kind, name, spec) in &twin.object.beside {
                    let mut spec = lives.filled(spec, tag);
                    later(&mut spec);
                    lives.apply(kind, &name.replace("TAG", tag), &spec).await?;
                }
            }
            lives.apply(twin.object.kind, tag, &spec).await
        })
        .await;
    lives.calm("the declarations changed").await;
    lives.note(&tags, &mut told).await;

    lives
        .for_each(twins, &tags, async |twin, tag| {
            let api = lives.api(twin.object.kind, &world.namespace);
            let _ = api.delete(tag, &DeleteParams::background()).await;
            Ok(())
        })
        .await;
    lives.calm("they are deleted").await;
    lives.note(&tags, &mut told).await;

    println!(
        "{} lives are over at {:.0?}",
        tags.len(),
        lives.began.elapsed()
    );
    let asked = lives.asked(&tags);
    tags.iter()
        .zip(told)
        .map(|(tag, told)| Effects {
            asked: asked.get(tag).cloned().unwrap_or_default(),
            told,
        })
        .collect()
}

/// What a declaration says in the evening: a restart is asked for, and the last service is gone.
fn later(spec: &mut Value) {
    if let Some(services) = spec.get_mut("services").and_then(Value::as_array_mut) {
        services.truncate(1);
    }
    for path in ["/services/0", "/service"] {
        if let Some(service) = spec.pointer_mut(path)
            && service.get("helm").is_none()
        {
            service["restartToken"] = "evening".into();
        }
    }
}

/// Whether the plan of an object is to be approved.
fn waits_for_approval(spec: &Value) -> bool {
    spec.get("approvedPlan").is_some()
}

struct Lives<'a> {
    world: &'a World,
    sim: &'a Sim,
    began: Instant,
    /// Another namespace, with the label `team: blue`.
    guests: String,
    /// A certificate as text.
    certificate: String,
}

impl Lives<'_> {
    fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
        Api::namespaced_with(self.world.client.clone(), namespace, &resource)
    }

    /// A spec with everything filled in that the bases leave open.
    fn filled(&self, spec: &Value, tag: &str) -> Value {
        let text = spec
            .to_string()
            .replace("TAG", tag)
            .replace("NAMESPACE", &self.world.namespace)
            .replace("\"URL\"", &json!(self.world.zadig.url).to_string())
            .replace("\"PEM\"", &json!(self.certificate).to_string());
        serde_json::from_str(&text).expect("it stays JSON")
    }

    /// Applies an object; what the API server has against it.
    async fn apply(&self, kind: &str, name: &str, spec: &Value) -> Result<(), String> {
        self.apply_in(&self.world.namespace, kind, name, spec).await
    }

    async fn apply_in(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        spec: &Value,
    ) -> Result<(), String> {
        let manifest = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PatchParams::apply("scenario").force();
        let applied = self
            .api(kind, namespace)
            .patch(name, &params, &Patch::Apply(manifest))
            .await;
        match applied {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 422 => Err("refused".to_owned()),
            Err(error) => panic!("{kind} {name}: {error}"),
        }
    }

    /// A spec with the hash of the plan that is shown of its object, where it is to be approved.
    async fn approved(&self, kind: &str, name: &str, mut spec: Value) -> Value {
        let found = self.api(kind, &self.world.namespace).get_opt(name).await;
        let found = found.expect("the API server answers");
        if let (Some(object), true) = (found, spec["approvedPlan"] == "HASH") {
            spec["approvedPlan"] = object.data["status"]["plan"]["hash"].clone();
        }
        spec
    }

    /// A binding from the other namespace, to a service that the environment does not declare.
    async fn guest(&self, tag: &str) -> Result<(), String> {
        let spec = json!({
            "environmentRef": {"name": tag, "namespace": self.world.namespace}, "service": {"name": "db"},
        });
        let _ = self
            .apply_in(&self.guests, "ZadigServiceBinding", tag, &spec)
            .await;
        Ok(())
    }

    async fn prepare(&self) {
        let world = self.world;
        let sticks = FaultRule {
            contains: Some(format!("-{STUCK}\"")),
            ..FaultRule::always(FaultAction::Stick).on("environment.create")
        };
        self.sim.fault(sticks);
        world.apply(&world.token_secret(&world.zadig.token)).await;
        world
            .apply(&world.secret("login", "password", "in-secret"))
            .await;
        world
            .apply(&world.config_map("settings", "level", "in-public"))
            .await;
        let file = "port: 9090\n";
        world
            .apply(&world.secret("values", "values.yaml", file))
            .await;
        let ca = self.certificate.as_str();
        world.apply(&world.secret("ca", "ca.crt", ca)).await;
        world.apply(&world.config_map("ca", "ca.crt", ca)).await;
        world
            .apply(&world.config_map("values", "values.yaml", file))
            .await;
        let default = json!({
            "url": "URL", "tokenSecretRef": {"name": "zadig-token", "key": "token"},
            "access": [{"namespaces": {"from": "All"}}],
            "intervals": {"list": "1s", "deep": "1h", "stuck": "30s"},
            "limits": {"requestsPerSecond": 500, "burst": 500, "maxInFlight": 64},
            "maxDeletionsPerHour": 100_000,
        });
        let default = self.filled(&default, "");
        let applied = self.apply("ZadigConnection", "default", &default).await;
        applied.expect("the connection is valid");
        world.apply(&world.environment("home").service("web")).await;
        world.await_ready("home").await;
    }

    /// Does something for each twin; what was refused.
    async fn for_each(
        &self,
        twins: &[Twin],
        tags: &[String],
        what: impl AsyncFn(&Twin, &str) -> Result<(), String>,
    ) -> Vec<Option<String>> {
        stream::iter(twins.iter().zip(tags))
            .map(async |(twin, tag)| what(twin, tag).await.err())
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Other people set images and pods in Zadig, and write configuration objects.
    async fn others_at_work(&self, twins: &[Twin], tags: &[String]) {
        let zadig = &self.world.zadig;
        let there = self.keys().await;
        let home = self.world.env_key("home");
        stream::iter(twins.iter().zip(tags))
            .for_each_concurrent(AT_ONCE, async |(twin, tag)| {
                let has_api =
                    there.contains(tag) && zadig.services(tag).await.contains(&"api".to_owned());
                if has_api {
                    let namespace = format!("{tag}-ns");
                    match twin.object.others {
                        Others::SetInZadig => {}
                        Others::ScaleInCluster => {
                            // A twin may live in another namespace, which the cluster then does not know.
                            let _ = self.sim.kube(KubeAction::Scale {
                                kind: "Deployment".to_owned(),
                                namespace,
                                name: "api".to_owned(),
                                replicas: 5,
                                cluster: None,
                            });
                            return;
                        }
                        Others::LoseInCluster => {
                            let _ = self.sim.kube(KubeAction::Delete {
                                kind: "Deployment".to_owned(),
                                namespace: Some(namespace),
                                name: "web".to_owned(),
                                wait: false,
                                cluster: None,
                            });
                        }
                    }
                    let by_hand = "registry.example.com/shop/api:by-hand";
                    zadig.set_image(tag, "api", "api", by_hand).await;
                    zadig.scale(tag, "api", 5).await;
                }
                for key in [tag, &home] {
                    let is_there =
                        there.contains(key) && zadig.config(key, "ConfigMap", tag).await.is_some();
                    if is_there {
                        zadig
                            .replace_config_map(key, tag, json!({"by": "hand"}))
                            .await;
                    }
                }
            })
            .await;
    }

    /// Waits until nothing was asked of Zadig and nothing told for a while.
    async fn calm(&self, after: &str) {
        let done = self.began.elapsed();
        let waiting = async {
            let mut before = self.state().await;
            let mut since = Instant::now();
            while since.elapsed() < CALM {
                tokio::time::sleep(LOOK).await;
                let now = self.state().await;
                let settles = since.elapsed() >= CALM && self.something_is_applied().await;
                if now != before || settles {
                    (before, since) = (now, Instant::now());
                }
            }
        };
        let calm = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(calm.is_ok(), "no calm {PATIENCE:?} after {after}");
        let calm = self.began.elapsed();
        println!("{after} at {done:.0?}, calm at {calm:.0?}");
    }

    async fn state(&self) -> (usize, BTreeMap<String, Option<String>>) {
        let calls = self.sim.calls();
        let writes = calls.iter().filter(|call| is_ours(call) && call.mutating);
        (writes.count(), self.versions().await)
    }

    /// Whether an object tells of a call that was sent, and not yet of what came of it.
    async fn something_is_applied(&self) -> bool {
        let objects = self.objects().await;
        objects.iter().any(|(_, object)| {
            let conditions = object.data["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|it| it["reason"] == "Applying")
        })
    }

    /// The version of every object of ours, by what it is.
    async fn versions(&self) -> BTreeMap<String, Option<String>> {
        let mut found = BTreeMap::new();
        for namespace in [&self.world.namespace, &self.guests] {
            for kind in KINDS {
                let api = self.api(kind, namespace);
                let list = api.list_metadata(&ListParams::default()).await;
                let list = list.expect("the API server answers").into_iter();
                found.extend(list.map(|object| {
                    let of = format!("{namespace} {kind} {}", object.name_any());
                    (of, object.metadata.resource_version)
                }));
            }
        }
        found
    }

    /// Every object of ours, by where and what it is.
    async fn objects(&self) -> Vec<(String, DynamicObject)> {
        let mut found = Vec::new();
        for namespace in [&self.world.namespace, &self.guests] {
            for kind in KINDS {
                let list = self.api(kind, namespace).list(&ListParams::default()).await;
                let list = list.expect("the API server answers");
                let whose = if *namespace == self.guests {
                    "guest "
                } else {
                    ""
                };
                found.extend(
                    list.into_iter()
                        .map(|object| (format!("{whose}{kind} {}", object.name_any()), object)),
                );
            }
        }
        found
    }

    /// Notes what runs of each twin now, and what is told of it.
    async fn note(&self, tags: &[String], told: &mut [Vec<String>]) {
        let objects = self.objects().await;
        let running = self.running(tags).await;
        for ((tag, told), runs) in tags.iter().zip(told).zip(running) {
            told.push(format!("then: {runs}"));
            for (what, object) in objects
                .iter()
                .filter(|(_, object)| object.name_any() == *tag)
            {
                let conditions = object.data["status"]["conditions"].as_array();
                let mut lines: Vec<String> = conditions
                    .into_iter()
                    .flatten()
                    .map(|it| format!("{} {} {}", it["type"], it["status"], it["reason"]))
                    .collect();
                lines.sort();
                told.push(format!(
                    "{}: {}",
                    what.replace(tag, "TAG"),
                    lines.join(", ")
                ));
            }
        }
    }

    /// Image and pods of the service `api` of each twin's environment, where there are such.
    async fn running(&self, tags: &[String]) -> Vec<String> {
        let there = self.keys().await;
        let zadig = &self.world.zadig;
        stream::iter(tags)
            .map(async |tag| {
                let has_api =
                    there.contains(tag) && zadig.services(tag).await.contains(&"api".to_owned());
                if !has_api {
                    return "no api".to_owned();
                }
                let image = zadig.running_image(tag, "api", "api").await;
                let pods = zadig.replicas(tag, "api").await;
                format!("api {image:?} {pods:?}")
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Keys of the environments that Zadig has.
    async fn keys(&self) -> BTreeSet<String> {
        let environments = self.world.zadig.environments().await;
        let keys = environments
            .iter()
            .filter_map(|env| env["env_key"].as_str());
        keys.map(str::to_owned).collect()
    }

    /// The changes that were asked of Zadig, by the twin whose name they hold.
    fn asked(&self, tags: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let calls = self.sim.calls().into_iter();
        for call in calls.filter(|call| is_ours(call) && call.mutating) {
            let text = format!(
                "{} {}?{} {}",
                call.operation, call.path, call.query, call.body
            );
            if let Some(tag) = tags.iter().find(|tag| text.contains(tag.as_str())) {
                let entry = found.entry(tag.clone()).or_default();
                entry.insert(text.replace(tag.as_str(), "TAG"));
            }
        }
        found
    }
}

fn certificate() -> String {
    let names = vec!["zadig.example.com".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
    certified.cert.pem()
}
