//! A control plane and a Zadig for these tests, and operators as child processes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use xtask::controlplane::{Private, Request, User, grant, private};
use zadig_operator::api::condition::{ConditionStatus, ConditionType};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_sim::{Call, Options, Pace, Running, Seed};

/// The program under test.
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_zadig-operator");
const PATIENCE: Duration = Duration::from_mins(1);
/// A value from a Secret that must not be told anywhere; a quantity, as the template wants one.
pub(super) const SECRET: &str = "1357924680m";
const NEW: &str = "registry.example.com/reg-main/web:new";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("a runtime can be built"));

/// Runs a test in a place of its own; none with a real Zadig, whose calls nobody counts.
pub(super) fn test(name: &str, test: impl AsyncFnOnce(&Place)) {
    run(async || {
        static CONTROL_PLANE: OnceCell<Arc<Private>> = OnceCell::const_new();
        let control_plane = CONTROL_PLANE.get_or_init(control_plane).await;
        let place = Place::create_granted(control_plane, name).await;
        test(&place).await;
        let mut refused = place.requests();
        refused.retain(|request| request.is_forbidden && request.namespace == name);
        assert_eq!(refused, [], "rights that the chart lacks");
    });
}

/// Runs a test on a control plane of its own, where the operator's user has no right yet.
pub(super) fn test_alone(test: impl AsyncFnOnce(&Arc<Private>)) {
    run(async || test(&control_plane().await).await);
}

fn run(test: impl AsyncFnOnce()) {
    if std::env::var_os("ZADIG_URL").is_some() {
        println!("skipped: needs the simulator");
        return;
    }
    RUNTIME.block_on(test());
}

async fn control_plane() -> Arc<Private> {
    let control_plane = private().await.expect("a control plane");
    let client = control_plane.access.client(User::Admin).await;
    install_crds(&client.expect("a client")).await;
    Arc::new(control_plane)
}

async fn install_crds(client: &Client) {
    let printed = Command::new(PROGRAM).arg("crds").output();
    let printed = printed.expect("the program starts").stdout;
    let printed = String::from_utf8(printed).expect("text");
    let crds: Vec<CustomResourceDefinition> =
        serde_saphyr::from_multiple(&printed).expect("definitions");
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crds {
        let params = PatchParams::apply("test").force();
        let name = crd.name_any();
        let applied = api.patch(&name, &params, &Patch::Apply(crd)).await;
        applied.expect("the API server takes it");
        let there = await_condition(api.clone(), &name, conditions::is_crd_established());
        there.await.expect("the API server can be watched");
    }
}

/// Namespace, Lease and Zadig of one test.
pub(super) struct Place {
    /// The operators' namespace, the only one they watch.
    pub(super) namespace: String,
    /// A client with the rights of the person at the keyboard.
    pub(super) client: Client,
    /// The Zadig behind the connection.
    pub(super) zadig: Running,
    control_plane: Arc<Private>,
    logs: tempfile::TempDir,
}

impl Place {
    /// A namespace with a Zadig.
    pub(super) async fn create(control_plane: &Arc<Private>, name: &str) -> Self {
        let seed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/seed");
        let seed = Seed::load(&seed).expect("the seed is readable");
        let options = Options {
            pace: Pace::fast(),
            ..Options::default()
        };
        let place = Self {
            namespace: name.to_owned(),
            client: control_plane
                .access
                .client(User::Admin)
                .await
                .expect("a client"),
            zadig: zadig_sim::start(&seed, options).await.expect("a free port"),
            control_plane: Arc::clone(control_plane),
            logs: tempfile::tempdir().expect("a directory"),
        };
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
        });
        let params = PatchParams::apply("test").force();
        let made = namespaces
            .patch(name, &params, &Patch::Apply(namespace))
            .await;
        made.expect("a namespace can be made");
        place
    }

    /// The same where operators have the rights of the chart.
    async fn create_granted(control_plane: &Arc<Private>, name: &str) -> Self {
        let place = Self::create(control_plane, name).await;
        let granted = grant(&place.client, name).await;
        granted.expect("the operator gets the rights of the chart");
        place
    }

    /// Another place beside this one.
    pub(super) async fn another(&self, name: &str) -> Self {
        Self::create_granted(&self.control_plane, name).await
    }

    /// Starts an operator.
    pub(super) fn operator(&self, name: &str, arguments: &[&str]) -> Operator {
        self.operator_with(name, arguments, &[])
    }

    /// Starts an operator with these environment variables.
    pub(super) fn operator_with(
        &self,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Operator {
        let here = ["--watch-namespaces", &self.namespace];
        self.program(name, &[&here, arguments].concat(), variables)
    }

    /// Starts an operator that watches what these arguments say.
    pub(super) fn program(
        &self,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Operator {
        let log = self.logs.path().join(name);
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let health = format!("127.0.0.1:{port}");
        let child = Command::new(PROGRAM)
            .args(["run", "--namespace", &self.namespace])
            .args(["--pod-name", name, "--health-addr", &health])
            .args(arguments)
            .env("KUBECONFIG", &self.control_plane.access.operator_kubeconfig)
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("the program starts");
        Operator { child, health, log }
    }

    /// Declares the connection and an environment with a variable from a Secret.
    pub(super) async fn declare(&self) {
        let token = self.zadig.sim.token("admin").expect("an administrator");
        for (name, key, value) in [
            ("zadig-token", "token", token),
            ("web", "cpu", SECRET.to_owned()),
        ] {
            self.apply::<Secret>(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                "stringData": {key: value},
            }))
            .await;
        }
        self.apply::<ZadigConnection>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigConnection",
            "metadata": {"name": "default"},
            "spec": {
                "url": self.zadig.url,
                "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                "intervals": {"list": "1s", "deep": "5s", "stuck": "30s"},
            },
        }))
        .await;
        self.apply::<ZadigEnvironment>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvironment",
            "metadata": {"name": "dev"},
            "spec": {
                "connectionRef": {"name": "default"}, "projectKey": "golden", "envKey": "dev",
                "services": [{
                    "name": "web",
                    "variables": [{
                        "key": "cpuLimit",
                        "valueFrom": {"secretKeyRef": {"name": "web", "key": "cpu"}},
                    }],
                    "containers": [{"name": "web", "image": "registry.example.com/reg-main/web:old"}],
                }],
            },
        }))
        .await;
    }

    /// Declares one more environment, with one service.
    pub(super) async fn declare_other(&self, name: &str, service: &str) {
        self.apply::<ZadigEnvironment>(json!({
            "apiVersion": "zadig-operator.io/v1alpha1", "kind": "ZadigEnvironment",
            "metadata": {"name": name},
            "spec": {
                "connectionRef": {"name": "default"}, "projectKey": "golden", "envKey": name,
                "services": [{"name": service}],
            },
        }))
        .await;
    }

    /// Declares another image.
    pub(super) async fn change(&self) {
        let environments: Api<ZadigEnvironment> = self.api();
        let mut environment = environments.get("dev").await.expect("it is there");
        NEW.clone_into(&mut environment.spec.services[0].containers[0].image);
        let patch = Patch::Merge(json!({"spec": {"services": environment.spec.services}}));
        let patched = environments
            .patch("dev", &PatchParams::default(), &patch)
            .await;
        patched.expect("the API server takes it");
    }

    /// Waits until the environment is Ready as it is declared now.
    pub(super) async fn ready(&self) {
        self.is_ready("dev").await;
    }

    /// Waits until an environment is Ready as it is declared now.
    pub(super) async fn is_ready(&self, name: &str) {
        let is_ready = |environment: Option<&ZadigEnvironment>| {
            environment.is_some_and(|environment| {
                environment.status.as_ref().is_some_and(|status| {
                    status.observed_generation == environment.metadata.generation
                        && status.conditions.iter().any(|condition| {
                            condition.type_ == ConditionType::Ready
                                && condition.status == ConditionStatus::True
                        })
                })
            })
        };
        let waiting = await_condition(self.api(), name, is_ready);
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        let now = self.api::<ZadigEnvironment>().get(name).await;
        assert!(outcome.is_ok(), "not Ready after {PATIENCE:?}: {now:?}");
    }

    /// The changes that Zadig was asked for, by operation.
    pub(super) fn changes(&self) -> Vec<String> {
        let calls = self.zadig.sim.calls().into_iter();
        calls
            .filter(|call: &Call| call.mutating)
            .map(|call| call.operation)
            .collect()
    }

    /// What operators asked the API server for, in every place.
    pub(super) fn requests(&self) -> Vec<Request> {
        let requests = self.control_plane.access.operator_requests();
        requests.expect("the audit log is readable")
    }

    /// Who holds the Lease, without the random part, and how often it changed hands.
    pub(super) async fn lease(&self) -> (String, i32) {
        let lease = self.api::<Lease>().get("zadig-operator").await;
        let spec = lease.expect("it is there").spec.unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let name = holder.split('_').next().unwrap_or_default().to_owned();
        (name, spec.lease_transitions.unwrap_or_default())
    }

    /// The objects of a kind in this place.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a manifest.
    pub(super) async fn apply<K>(&self, manifest: Value)
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let name = manifest["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let params = PatchParams::apply("test").force();
        let applied = self
            .api::<K>()
            .patch(&name, &params, &Patch::Apply(manifest))
            .await;
        applied.expect("the API server takes it");
    }
}

/// The arguments that the Deployment of a rendering of the chart starts the program with, its command first.
pub(super) fn arguments(rendering: &[Value]) -> impl Iterator<Item = &str> {
    let mut objects = rendering.iter();
    let deployment = objects.find(|object| object["kind"] == "Deployment");
    let deployment = deployment.expect("the chart has one");
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().expect("a list").iter();
    arguments.map(|argument| argument.as_str().expect("a word"))
}

/// Waits until a question is answered by yes.
pub(super) async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, asking).await;
    assert!(outcome.is_ok(), "{what}: not after {PATIENCE:?}");
}

/// A process of the operator; it is killed when this is dropped.
pub(super) struct Operator {
    child: Child,
    health: String,
    log: PathBuf,
}

impl Operator {
    /// Where it answers.
    pub(super) fn address(&self) -> &str {
        &self.health
    }

    /// Status and body of what an endpoint answers; nothing while nobody listens.
    pub(super) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://{}{path}", self.health))
            .await
            .ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Waits until the process is ready and says so with these words.
    pub(super) async fn says(&self, words: &str) {
        eventually(words, async || {
            let answer = self.get("/readyz").await;
            answer.is_some_and(|(status, text)| status == 200 && text.starts_with(words))
        })
        .await;
    }

    /// The value of a metric that counts, summed over its labels.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let Some((_, text)) = self.get("/metrics").await else {
            return 0;
        };
        let values = text.lines().filter_map(|line| {
            let (metric, value) = line.rsplit_once(' ')?;
            let is_it = metric.split('{').next() == Some(name);
            is_it.then(|| value.parse::<u64>().ok())?
        });
        values.sum()
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill can be run").success());
    }

    /// Waits until the process ends.
    pub(super) async fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", async || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is readable")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{}:\n{}", self.health, self.log());
        }
    }
}
