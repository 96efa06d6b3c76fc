//! What all scenarios share: the control plane with our CRDs, and the operator.

use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use xtask::controlplane::{Access, Exclusive, Refusals, User, exclusive, grant};
use xtask::paths;
use zadig_operator::api;
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::env_config::ZadigEnvConfig;
use zadig_operator::api::environment::ZadigEnvironment;
use zadig_operator::api::service_binding::ZadigServiceBinding;
use zadig_operator::controller::{self, Settings};
use zadig_operator::leader::Tenure;

use super::metrics;

/// Label on the namespaces of scenarios, by which a later run finds what a killed one left.
pub(super) const SCENARIO_LABEL: &str = "zadig-operator.io/scenario";
/// Namespace of the operator's own objects.
const OPERATOR_NAMESPACE: &str = "zadig-operator";
const CRD_PATIENCE: Duration = Duration::from_secs(30);

/// Why the operator is not there any more, once it is not.
static OPERATOR_ENDED: OnceLock<String> = OnceLock::new();

/// What all scenarios share.
pub(super) struct Lab {
    /// A client with the rights of the person at the keyboard.
    pub(super) client: Client,
    /// The API server's audit log, among others.
    pub(super) access: Access,
    refusals: Mutex<Refusals>,
    _control_plane: Exclusive,
}

/// The lab, set up at the first call.
pub(super) async fn lab() -> &'static Lab {
    static LAB: OnceCell<Result<Lab, String>> = OnceCell::const_new();
    let start = async || Lab::start().await.map_err(|error| format!("{error:#}"));
    match LAB.get_or_init(start).await {
        Ok(lab) => lab,
        Err(reason) => panic!("there is no control plane with an operator to test on: {reason}"),
    }
}

impl Lab {
    async fn start() -> Result<Self> {
        let control_plane = exclusive().await?;
        let access = control_plane.access.clone();
        let client = access.client(User::Admin).await?;
        for crd in api::custom_resource_definitions() {
            install(&client, &crd).await?;
        }
        if !control_plane.is_fresh() {
            remove_leftovers(&client).await?;
        }
        apply_namespace(&client, OPERATOR_NAMESPACE, &json!({})).await?;
        grant(&client, OPERATOR_NAMESPACE).await?;
        start_log()?;
        let refusals = Mutex::new(access.refusals()?);
        tokio::spawn(run_operator(access.client(User::Operator).await?));
        Ok(Self {
            client,
            access,
            refusals,
            _control_plane: control_plane,
        })
    }

    /// Fails if the operator asked for anything that the chart's roles do not allow, in this scenario or in an earlier one.
    pub(super) fn check_rights(&self) {
        // One that failed here has told it; the others are to say what they found.
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let found = refusals.so_far().expect("the audit log is readable");
        assert!(found.is_empty(), "rights that the chart lacks: {found:#?}");
    }

    /// Fails a scenario at once when the operator is not there any more, instead of at its time-out.
    pub(super) fn check_operator() {
        assert_eq!(OPERATOR_ENDED.get(), None, "the operator ended");
    }
}

async fn run_operator(client: Client) {
    let settings = Settings {
        namespace: OPERATOR_NAMESPACE.to_owned(),
        watch_namespaces: Vec::new(),
        shard: None,
        watch_secrets: true,
        // Dozens of worlds share this operator, and one that is slow by design must not hold up the others.
        concurrency: 128,
    };
    // It is never told to stop: it ends with the process.
    let running = tokio::spawn(controller::run(
        client,
        settings,
        Tenure::default(),
        CancellationToken::new(),
        || {},
    ));
    let reason = match running.await {
        Ok(Ok(())) => "nobody asked it to".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.to_string(),
    };
    OPERATOR_ENDED.get_or_init(|| reason);
}

/// The operator's log goes to a file: mixed into the output of parallel scenarios it would help nobody.
fn start_log() -> Result<()> {
    let path = log_path();
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,zadig_operator=debug,zadig_client=debug"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .init();
    Ok(())
}

/// Where the operator's log of this run is.
pub(super) fn log_path() -> PathBuf {
    paths::cluster().join("operator-under-test.log")
}

/// Applies a definition and waits until the API server has taken it up.
pub(super) async fn install(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.name_any();
    let params = PatchParams::apply("scenarios").force();
    crds.patch(&name, &params, &Patch::Apply(crd))
        .await
        .with_context(|| format!("the API server does not take the CRD {name}"))?;
    let established = await_condition(crds, &name, conditions::is_crd_established());
    tokio::time::timeout(CRD_PATIENCE, established)
        .await
        .with_context(|| format!("the CRD {name} was not established"))??;
    Ok(())
}

/// Namespaces of a run that was killed: this run's operator must not work on their objects.
async fn remove_leftovers(client: &Client) -> Result<()> {
    metrics::remove(client).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let params = ListParams::default().labels(SCENARIO_LABEL);
    for namespace in namespaces.list(&params).await? {
        let name = namespace.name_any();
        release_all::<ZadigServiceBinding>(client, &name).await?;
        release_all::<ZadigEnvConfig>(client, &name).await?;
        release_all::<ZadigEnvironment>(client, &name).await?;
        release_all::<ZadigConnection>(client, &name).await?;
        namespaces
            .delete(&name, &DeleteParams::background())
            .await?;
    }
    Ok(())
}

/// Takes the finalizers of every object of a kind away and deletes it.
pub(super) async fn release_all<K>(client: &Client, namespace: &str) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    for object in api.list_metadata(&ListParams::default()).await? {
        let name = object.name_any();
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        // It may end by itself at any moment.
        let _ = api.delete(&name, &DeleteParams::background()).await;
        let _ = api
            .patch_metadata(&name, &PatchParams::default(), &none)
            .await;
    }
    Ok(())
}

/// Makes sure that a namespace is there.
pub(super) async fn apply_namespace(client: &Client, name: &str, labels: &Value) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    });
    let params = PatchParams::apply("scenarios").force();
    api.patch(name, &params, &Patch::Apply(namespace)).await?;
    Ok(())
}
