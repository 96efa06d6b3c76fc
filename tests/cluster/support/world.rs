//! The world of one scenario: a namespace, a Zadig, the token's Secret and a connection; and its end.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use xtask::controlplane::{User, Write};
use zadig_operator::api::RECONCILE_ANNOTATION;
use zadig_operator::api::condition::Reason;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_sim::{Call, Licence, Options, Pace, Sim};

use super::fixture::{self, EnvironmentFixture};
use super::lab::{Lab, SCENARIO_LABEL, apply_namespace, log_path, release_all};
use super::observe::{Mark, Observed, has_reason, is_ours, is_ready, message};
use super::zadig::{Seeded, Zadig};

/// Zadig's own default of waiting for pods is five minutes; a scenario has pods that start at once.
const REAL_PATIENCE: Duration = Duration::from_mins(3);
/// The simulator needs seconds; a machine that compiles at the same time needs many more.
const PATIENCE: Duration = Duration::from_secs(90);
/// Releasing an object takes one reconcile.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);
/// A scenario may have a thousand objects.
const RELEASED_AT_ONCE: usize = 16;
/// How many of the last calls and events a failed scenario prints.
const LAST_CALLS: usize = 25;

/// How a scenario's world differs from the usual one.
#[derive(Clone)]
pub(crate) struct Setup {
    options: Options,
    seed: Seeded,
    needs_sim: bool,
    connect: bool,
    intervals: Value,
    project: Option<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: Options {
                licence: Some(Licence::Unreachable),
                start_timeout: Some(Duration::from_secs(2)),
                pace: Pace::fast(),
                ..Options::default()
            },
            seed: Seeded::RECORDINGS,
            needs_sim: false,
            connect: true,
            intervals: json!({"list": "1s", "deep": "5s", "stuck": "30s"}),
            project: None,
        }
    }
}

impl Setup {
    /// The simulator behaves in this way; a real Zadig cannot be told to.
    pub(crate) fn simulator(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self.needs_sim = true;
        self
    }

    /// The simulator starts as for the demo: with the project `shop` of the samples, and with a licence.
    pub(crate) fn demo(mut self) -> Self {
        self.seed = Seeded::DEMO;
        self.options.licence = None;
        self.needs_sim = true;
        self
    }

    /// The simulator starts with a project that has a production side, and with a licence.
    pub(crate) fn production(mut self) -> Self {
        self.seed = Seeded::PRODUCTION;
        self.options.licence = None;
        self.needs_sim = true;
        self
    }

    /// The simulator starts with three projects of three teams.
    pub(crate) fn three_projects(mut self) -> Self {
        self.seed = Seeded::DAY;
        self.options.licence = None;
        self.needs_sim = true;
        self
    }

    /// Its environments belong to this project of the simulator's.
    pub(crate) fn project(mut self, project: &'static str) -> Self {
        self.project = Some(project);
        self.needs_sim = true;
        self
    }

    /// There is no Secret and no connection.
    pub(crate) fn without_connection(mut self) -> Self {
        self.connect = false;
        self
    }

    /// The connection looks at Zadig in these intervals.
    pub(crate) fn intervals(mut self, list: &str, deep: &str, stuck: &str) -> Self {
        self.intervals = json!({"list": list, "deep": deep, "stuck": stuck});
        self
    }
}

/// The world of one scenario.
pub(crate) struct World {
    /// The namespace of its objects.
    pub(crate) namespace: String,
    /// A client with the rights of the person at the keyboard.
    pub(crate) client: Client,
    /// The Zadig behind its connection.
    pub(crate) zadig: Zadig,
    lab: &'static Lab,
    tag: String,
    intervals: Value,
}

impl World {
    /// A world, unless it needs what a real Zadig cannot do.
    pub(super) async fn create(lab: &'static Lab, setup: Setup) -> Option<Self> {
        if setup.needs_sim && Zadig::is_real() {
            println!("skipped: needs the simulator");
            return None;
        }
        let tag = format!("t{:06x}", fastrand::u32(..0x100_0000));
        let mut zadig = Zadig::find(setup.options, setup.seed).await;
        if let Some(project) = setup.project {
            project.clone_into(&mut zadig.project);
        }
        let world = Self {
            namespace: format!("scenario-{tag}"),
            client: lab.client.clone(),
            zadig,
            lab,
            tag,
            intervals: setup.intervals,
        };
        apply_namespace(
            &world.client,
            &world.namespace,
            &json!({SCENARIO_LABEL: "true"}),
        )
        .await
        .expect("a namespace can be made");
        if setup.connect {
            world.apply(&world.token_secret(&world.zadig.token)).await;
            world.apply(&world.connection()).await;
        }
        Some(world)
    }

    /// Makes another namespace, of somebody else, with these labels; its name.
    pub(crate) async fn namespace_beside(&self, whose: &str, mut labels: Value) -> String {
        let name = format!("{}-{whose}", self.namespace);
        labels[SCENARIO_LABEL] = "true".into();
        let made = apply_namespace(&self.client, &name, &labels);
        made.await.expect("a namespace can be made");
        name
    }

    /// The simulator, for looking at what it saw and for changing it; none with a real Zadig.
    pub(crate) fn sim(&self) -> Option<&Sim> {
        self.zadig.sim()
    }

    /// The simulator; with a real Zadig it says that the scenario is skipped.
    pub(crate) fn needs_sim(&self) -> Option<&Sim> {
        if self.sim().is_none() {
            println!("skipped: needs the simulator");
        }
        self.sim()
    }

    /// The key in Zadig of the environment that the scenario calls `name`; unique to this scenario and run.
    pub(crate) fn env_key(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    /// An environment object named `name`, with that key.
    pub(crate) fn environment(&self, name: &str) -> ZadigEnvironment {
        let Zadig {
            project,
            cluster_id,
            ..
        } = &self.zadig;
        fixture::environment(
            name,
            &self.namespace,
            project,
            &self.env_key(name),
            cluster_id,
        )
    }

    /// The Secret that the connection names, with this token.
    pub(crate) fn token_secret(&self, token: &str) -> Secret {
        self.secret("zadig-token", "token", token)
    }

    /// A ConfigMap with one key.
    pub(crate) fn config_map(&self, name: &str, key: &str, value: &str) -> ConfigMap {
        self.read(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {key: value},
        }))
    }

    /// A binding named like its service, with this item of the service and these other fields of the spec.
    pub(crate) fn binding(
        &self,
        environment: &str,
        service: &Value,
        fields: Value,
    ) -> ZadigServiceBinding {
        let mut manifest = json!({
            "apiVersion": "zadig-operator.io/v1alpha1",
            "kind": "ZadigServiceBinding",
            "metadata": {"name": service["name"]},
            "spec": {"environmentRef": {"name": environment}, "service": service},
        });
        extend(&mut manifest["spec"], fields);
        self.read(manifest)
    }

    /// An object inside the environment `environment`, of this kind and name, from this source:
    /// `json!({"manifest": {…}})`.
    pub(crate) fn config(
        &self,
        environment: &str,
        type_: &str,
        name: &str,
        source: Value,
    ) -> ZadigEnvConfig {
        let mut manifest = json!({
            "apiVersion": "zadig-operator.io/v1alpha1",
            "kind": "ZadigEnvConfig",
            "metadata": {"name": name},
            "spec": {"environmentRef": {"name": environment}, "type": type_, "name": name},
        });
        extend(&mut manifest["spec"], source);
        self.read(manifest)
    }

    /// A Secret with one key.
    pub(crate) fn secret(&self, name: &str, key: &str, value: &str) -> Secret {
        self.read(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {key: value},
        }))
    }

    /// The connection named `default`, to this scenario's Zadig.
    pub(crate) fn connection(&self) -> ZadigConnection {
        self.read(json!({
            "apiVersion": "zadig-operator.io/v1alpha1",
            "kind": "ZadigConnection",
            "metadata": {"name": "default"},
            "spec": {
                "url": self.zadig.url,
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "intervals": self.intervals,
            },
        }))
    }

    /// Reads a manifest; it belongs to this scenario's namespace.
    pub(crate) fn read<K: DeserializeOwned>(&self, mut manifest: Value) -> K {
        manifest["metadata"]["namespace"] = self.namespace.clone().into();
        serde_json::from_value(manifest).expect("a fixture is a valid manifest")
    }

    /// The kubeconfig of the person at the keyboard.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.lab.access.kubeconfig
    }

    /// The objects of a kind in this scenario's namespace.
    pub(crate) fn api<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies an object as `kubectl apply --server-side` does.
    pub(crate) async fn apply<K: Namespaced>(&self, object: &K) -> K {
        self.try_apply(object)
            .await
            .unwrap_or_else(|error| panic!("the API server refused: {error}"))
    }

    /// Applies an object that may be refused.
    pub(crate) async fn try_apply<K: Namespaced>(&self, object: &K) -> Result<K, kube::Error> {
        let mut manifest = serde_json::to_value(object).expect("a manifest is JSON");
        // As a person's file has them: neither status nor what the server fills in.
        manifest
            .as_object_mut()
            .expect("an object")
            .remove("status");
        let kept = json!({
            "name": object.name_any(),
            "namespace": self.namespace,
            "labels": object.labels(),
            "annotations": object.annotations(),
        });
        manifest["metadata"] = kept;
        manifest["apiVersion"] = K::api_version(&()).into();
        manifest["kind"] = K::kind(&()).into();
        let params = PatchParams::apply("scenario").force();
        self.api::<K>()
            .patch(&object.name_any(), &params, &Patch::Apply(manifest))
            .await
    }

    /// Merges a patch into an object, as `kubectl patch --type merge` does.
    pub(crate) async fn patch<K: Namespaced>(&self, name: &str, patch: Value) -> K {
        let patched = self
            .api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.unwrap_or_else(|error| panic!("the API server refused: {error}"))
    }

    /// Gives the world's namespace these labels.
    pub(crate) async fn label(&self, labels: &Value) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let labels = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let labelled = namespaces
            .patch(&self.namespace, &PatchParams::default(), &labels)
            .await;
        labelled.expect("the API server takes it");
    }

    /// An object as it is now.
    pub(crate) async fn get<K: Namespaced>(&self, name: &str) -> K {
        self.api::<K>()
            .get(name)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Asks for an object's deletion.
    pub(crate) async fn delete<K: Namespaced>(&self, name: &str) {
        let deleted = self
            .api::<K>()
            .delete(name, &DeleteParams::background())
            .await;
        deleted.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Waits until an object is as described; prints the object when it is not in time.
    pub(crate) async fn await_that<K: Namespaced>(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&K) -> bool + Send,
    ) -> K {
        let matches = |object: Option<&K>| object.is_some_and(&condition);
        self.wait::<K>(name, what, matches)
            .await
            .expect("it matched, so it is there")
    }

    /// Applies environment `dev` with ConfigMap `app`, which its creation carries, and service `web`, which a binding owns.
    pub(crate) async fn apply_inhabited(&self, environment: ZadigEnvironment) {
        let environment = environment.field("configRefs", json!([{"name": "app"}]));
        self.apply(&environment).await;
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let config = self.config("dev", "ConfigMap", "app", json!({"manifest": manifest}));
        self.apply(&config).await;
        let binding = self.binding("dev", &json!({"name": "web"}), json!({}));
        self.apply(&binding).await;
    }

    /// Waits until all of them are Ready.
    pub(crate) async fn await_inhabited(&self) {
        self.await_ready("dev").await;
        self.await_that::<ZadigEnvConfig>("app", "Ready", is_ready)
            .await;
        self.await_that::<ZadigServiceBinding>("web", "Ready", is_ready)
            .await;
    }

    /// Waits until an environment is Ready, for its present spec.
    pub(crate) async fn await_ready(&self, name: &str) -> ZadigEnvironment {
        self.await_that(name, "Ready", is_ready).await
    }

    /// Waits until a condition of an object gives this reason, for its present spec; the sentence that goes with it.
    pub(crate) async fn await_reason<K: Namespaced + Observed>(
        &self,
        name: &str,
        reason: Reason,
    ) -> String {
        let found = self
            .await_that::<K>(name, reason.as_str(), |object| has_reason(object, reason))
            .await;
        message(&found, reason).to_owned()
    }

    /// Asks for a reconcile now, as a person does with `kubectl annotate`.
    pub(crate) async fn reconcile_now<K: Namespaced>(&self, name: &str) {
        let now = Timestamp::now().to_string();
        let annotations = json!({RECONCILE_ANNOTATION: now});
        self.patch::<K>(name, json!({"metadata": {"annotations": annotations}}))
            .await;
    }

    /// Waits until an object is gone.
    pub(crate) async fn await_gone<K: Namespaced>(&self, name: &str) {
        self.wait::<K>(name, "gone", |object: Option<&K>| object.is_none())
            .await;
    }

    async fn wait<K: Namespaced>(
        &self,
        name: &str,
        what: &str,
        condition: impl conditions::Condition<K>,
    ) -> Option<K> {
        let patience = self.patience();
        let api = self.api::<K>();
        let wait = tokio::time::timeout(patience, await_condition(api.clone(), name, condition));
        tokio::pin!(wait);
        loop {
            tokio::select! {
                outcome = &mut wait => {
                    if let Ok(found) = outcome {
                        return found.expect("the API server can be watched");
                    }
                    let now = api.get_opt(name).await.expect("the API server answers");
                    let now = serde_saphyr::to_string(&now).unwrap_or_default();
                    panic!("{name} is not {what} after {patience:?}; it is:\n{now}");
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => Lab::check_operator(),
            }
        }
    }

    /// Waits until a question about the world is answered by yes.
    pub(crate) async fn eventually(&self, what: &str, mut question: impl AsyncFnMut() -> bool) {
        let patience = self.patience();
        let asking = async {
            while !question().await {
                Lab::check_operator();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let outcome = tokio::time::timeout(patience, asking).await;
        assert!(outcome.is_ok(), "{what}: not after {patience:?}");
    }

    fn patience(&self) -> Duration {
        if self.sim().is_some() {
            PATIENCE
        } else {
            REAL_PATIENCE
        }
    }

    /// This moment, to count from.
    pub(crate) fn mark(&self) -> Mark {
        let seq = self
            .sim()
            .and_then(|sim| sim.calls().last().map(|call| call.seq));
        Mark {
            time: Timestamp::now(),
            seq: seq.unwrap_or_default(),
        }
    }

    /// What the operator wrote to this scenario's namespace since then, but events.
    pub(crate) fn operator_writes_since(&self, mark: Mark) -> Vec<Write> {
        let mut writes = self.all_operator_writes_since(mark);
        writes.retain(|write| write.resource != "events");
        writes
    }

    /// What the operator wrote to this scenario's namespace since then.
    pub(crate) fn all_operator_writes_since(&self, mark: Mark) -> Vec<Write> {
        let writes = self.lab.access.writes().expect("the audit log is readable");
        let ours = |write: &Write| {
            write.time >= mark.time
                && write.namespace == self.namespace
                && write.user == User::Operator.name()
        };
        writes.into_iter().filter(ours).collect()
    }

    /// What the simulator was asked since then; nothing with a real Zadig.
    pub(crate) fn calls_since(&self, mark: Mark) -> Vec<Call> {
        let calls = self.sim().map(Sim::calls).unwrap_or_default();
        calls
            .into_iter()
            .filter(|call| call.seq > mark.seq)
            .collect()
    }

    /// The operations by which the operator changed something in the simulator since then, or was to, in order.
    pub(crate) fn our_changes_since(&self, mark: Mark) -> Vec<String> {
        let calls = self.calls_since(mark).into_iter();
        calls
            .filter(|call| call.mutating && is_ours(call))
            .map(|call| call.operation)
            .collect()
    }

    /// The operations that changed something in the simulator since then, or were to, in order; nothing with a real Zadig.
    pub(crate) fn changes_since(&self, mark: Mark) -> Vec<String> {
        let calls = self.calls_since(mark).into_iter();
        calls
            .filter(|call| call.mutating)
            .map(|call| call.operation)
            .collect()
    }

    /// The operations that changed something in the simulator since then, in order.
    pub(crate) fn made_since(&self, mark: Mark) -> Vec<String> {
        let calls = self.calls_since(mark).into_iter();
        calls
            .filter(|call| call.mutating && call.changed)
            .map(|call| call.operation)
            .collect()
    }

    /// How often an operation was asked for since then.
    pub(crate) fn count_since(&self, mark: Mark, operation: &str) -> usize {
        let calls = self.calls_since(mark).into_iter();
        calls.filter(|call| call.operation == operation).count()
    }

    /// Waits until Zadig was listed so often, so that a late reaction is seen too.
    pub(crate) async fn await_lists(&self, sim: &Sim, lists: usize) {
        let count = || {
            let calls = sim.calls().into_iter();
            calls
                .filter(|call| call.operation == "environment.list")
                .count()
        };
        let wanted = count() + lists;
        self.eventually("lists", async || count() >= wanted).await;
    }

    /// The operator's events about an object, oldest first: reason and note.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        let mut events = self.all_events().await;
        events.retain(|(of, ..)| of == name);
        events
            .into_iter()
            .map(|(_, reason, note)| (reason, note))
            .collect()
    }

    /// When the operator last told something of an object: time, name of the object, and note.
    pub(crate) async fn timed_events(&self) -> Vec<(Timestamp, String, String)> {
        let list = self.api::<Event>().list(&ListParams::default()).await;
        let events = list.expect("the API server answers").items.into_iter();
        let timed = events.filter_map(|event| {
            let repeated = event.series.map(|series| series.last_observed_time);
            let time = repeated.or(event.event_time)?.0;
            Some((time, event.regarding?.name?, event.note?))
        });
        timed.collect()
    }

    /// The operator's events about all objects, oldest first: name, reason and note.
    async fn all_events(&self) -> Vec<(String, String, String)> {
        let list = self.api::<Event>().list(&ListParams::default()).await;
        let mut events = list.expect("the API server answers").items;
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let text = |text: Option<String>| text.unwrap_or_default();
        events
            .into_iter()
            .map(|event| {
                let name = event.regarding.and_then(|object| object.name);
                (text(name), text(event.reason), text(event.note))
            })
            .collect()
    }

    /// What the operator logged so far, for all scenarios.
    pub(crate) fn operator_log() -> String {
        std::fs::read_to_string(log_path()).expect("the operator's log is readable")
    }

    /// For a scenario that failed: what the operator did last, and where its log is.
    pub(super) async fn tell_what_happened(&self) {
        println!(
            "namespace {}, operator's log {}",
            self.namespace,
            log_path().display()
        );
        if let Some(sim) = self.sim() {
            let calls = sim.calls();
            println!("the last of {} calls of Zadig:", calls.len());
            for call in calls.iter().rev().take(LAST_CALLS).rev() {
                let Call {
                    seq,
                    time,
                    method,
                    path,
                    query,
                    body,
                    status,
                    ..
                } = call;
                println!("{seq} {time} {method} {path}?{query} -> {status} {body}");
            }
        }
        let events = self.all_events().await;
        println!("the last of {} events:", events.len());
        for (name, reason, note) in events.iter().rev().take(LAST_CALLS).rev() {
            println!("{name}: {reason}: {note}");
        }
    }

    /// Removes everything, also what a failed scenario left; a real Zadig has nothing of it afterwards.
    pub(super) async fn clean_up(&self) {
        let envs = self.api::<ZadigEnvironment>();
        let orphan = json!({"metadata": {"annotations": {"zadig-operator.io/deletion": "Orphan"}}});
        let list = envs
            .list_metadata(&ListParams::default())
            .await
            .expect("the API server answers");
        stream::iter(list)
            .for_each_concurrent(RELEASED_AT_ONCE, async |env| {
                let name = env.name_any();
                // Any of them may end by itself at any moment.
                let _ = envs
                    .patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&orphan))
                    .await;
                let _ = envs.delete(&name, &DeleteParams::background()).await;
                let is_gone = |env: Option<&ZadigEnvironment>| env.is_none();
                let gone = await_condition(envs.clone(), &name, is_gone);
                let _ = tokio::time::timeout(RELEASE_PATIENCE, gone).await;
            })
            .await;
        for released in [
            release_all::<ZadigServiceBinding>(&self.client, &self.namespace).await,
            release_all::<ZadigEnvConfig>(&self.client, &self.namespace).await,
            release_all::<ZadigEnvironment>(&self.client, &self.namespace).await,
            release_all::<ZadigConnection>(&self.client, &self.namespace).await,
        ] {
            released.expect("the API server answers");
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let _ = namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await;
        // Last, when nothing is left that would make it again.
        self.zadig.remove_tagged(&self.tag).await;
    }
}

/// Adds fields to an object.
fn extend(object: &mut Value, fields: Value) {
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
}

/// A namespaced kind that can be read and written.
pub(crate) trait Namespaced:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}

impl<K> Namespaced for K where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}
