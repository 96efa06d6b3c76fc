//! The Zadig of a scenario, seen through its OpenAPI alone and without the client under test.
//!
//! Either a simulator in this process, or the server of `ZADIG_URL` and `ZADIG_TOKEN` with the project `ZADIG_PROJECT`, the
//! cluster `ZADIG_CLUSTER_ID` and the registry `ZADIG_REGISTRY_ID`, seeded as `tests/golden/seed` says. That server is
//! shared by all scenarios, so everything made there carries the scenario's tag and is removed by it.

use std::env;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use zadig_sim::{Options, Running, Seed, Sim};

/// A call that takes longer than this on a quiet Zadig will not be answered any more.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A Zadig and what a scenario needs to know to use it.
pub(crate) struct Zadig {
    /// Address, as a ZadigConnection has it.
    pub(crate) url: String,
    /// An administrator's token.
    pub(crate) token: String,
    /// Key of a project with the services web, db, job and plain.
    pub(crate) project: String,
    /// Id of a cluster that environments may live in.
    pub(crate) cluster_id: String,
    /// Id of a registry.
    pub(crate) registry_id: String,
    simulator: Option<Running>,
    http: reqwest::Client,
}

/// The state that the recordings began with.
pub(crate) fn seed_of_the_recordings() -> Seed {
    Seeded::RECORDINGS.load()
}

/// What a simulator starts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded {
    folder: &'static str,
    /// Key of the project that scenarios use.
    project: &'static str,
}

impl Seeded {
    /// The state of the recordings.
    pub(super) const RECORDINGS: Self = Self {
        folder: "tests/golden/seed",
        project: "golden",
    };
    /// The state of the demo and its samples.
    pub(super) const DEMO: Self = Self {
        folder: "crates/zadig-sim/seeds/demo",
        project: "shop",
    };
    /// The project of the recordings with a production side of its own.
    pub(super) const PRODUCTION: Self = Self {
        folder: "tests/cluster/production",
        project: "golden",
    };
    /// Three projects of three teams.
    pub(super) const DAY: Self = Self {
        folder: "tests/cluster/day",
        project: "shop",
    };

    fn load(self) -> Seed {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder);
        Seed::load(&folder).expect("the seed is readable")
    }
}

impl Zadig {
    /// Whether scenarios run against a server that is not ours.
    pub(crate) fn is_real() -> bool {
        env::var_os("ZADIG_URL").is_some()
    }

    /// The server of the environment variables, else a new simulator.
    pub(super) async fn find(options: Options, seeded: Seeded) -> Self {
        // Fails when another scenario was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .expect("an HTTP client can be built");
        let or = |name: &str, otherwise: &str| env::var(name).unwrap_or(otherwise.to_owned());
        let project = or("ZADIG_PROJECT", seeded.project);
        let cluster_id = or("ZADIG_CLUSTER_ID", "0123456789abcdef12345678");
        let registry_id = or("ZADIG_REGISTRY_ID", "6b04620901383fca57a37f93");
        let (url, token, simulator) = if let Ok(url) = env::var("ZADIG_URL") {
            let token = env::var("ZADIG_TOKEN").expect("ZADIG_URL needs ZADIG_TOKEN beside it");
            (url.trim_end_matches('/').to_owned(), token, None)
        } else {
            let running = zadig_sim::start(&seeded.load(), options)
                .await
                .expect("there is a free port");
            let token = running
                .sim
                .token("admin")
                .expect("the seed has a user admin");
            (running.url.clone(), token, Some(running))
        };
        Self {
            url,
            token,
            project,
            cluster_id,
            registry_id,
            simulator,
            http,
        }
    }

    /// The simulator, if it is one.
    pub(crate) fn sim(&self) -> Option<&Sim> {
        self.simulator.as_ref().map(|running| &running.sim)
    }

    /// The same server, asked about another project.
    pub(crate) fn of_project(&self, project: &str) -> Self {
        Self {
            url: self.url.clone(),
            token: self.token.clone(),
            project: project.to_owned(),
            cluster_id: self.cluster_id.clone(),
            registry_id: self.registry_id.clone(),
            simulator: None,
            http: self.http.clone(),
        }
    }

    /// The environment as the list shows it; none if it is not listed.
    pub(crate) async fn environment(&self, key: &str) -> Option<Value> {
        self.environments()
            .await
            .into_iter()
            .find(|env| env["env_key"] == key)
    }

    /// All environments of the project as the list shows them (Z§4.1).
    pub(crate) async fn environments(&self) -> Vec<Value> {
        let list = self.get("/openapi/environments", &[]).await;
        list.as_array().cloned().unwrap_or_default()
    }

    /// The environment's detail (Z§4.2).
    pub(crate) async fn detail(&self, key: &str) -> Value {
        self.get(&format!("/openapi/environments/{key}"), &[]).await
    }

    /// A service as it runs in the cluster (Z§4.3).
    pub(crate) async fn live_service(&self, key: &str, service: &str) -> Value {
        self.get(
            &format!("/openapi/environments/{key}/services/{service}"),
            &[],
        )
        .await
    }

    /// The image that a container of the Deployment named like its service runs.
    pub(crate) async fn running_image(
        &self,
        key: &str,
        service: &str,
        container: &str,
    ) -> Option<String> {
        let live = self.live_service(key, service).await;
        let images = live["scales"][0]["images"].as_array()?;
        let found = images.iter().find(|image| image["name"] == container)?;
        found["image"].as_str().map(str::to_owned)
    }

    /// How many pods the Deployment named like its service is to have.
    pub(crate) async fn replicas(&self, key: &str, service: &str) -> Option<i64> {
        self.live_service(key, service).await["scales"][0]["replicas"].as_i64()
    }

    /// The names of an environment's services, sorted.
    pub(crate) async fn services(&self, key: &str) -> Vec<String> {
        let detail = self.detail(key).await;
        let services = detail["services"].as_array().into_iter().flatten();
        let names = services.filter_map(|service| service["service_name"].as_str());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// An environment's global variables by key (Z§4.13).
    pub(crate) async fn globals(&self, key: &str) -> Map<String, Value> {
        let path = format!("/openapi/environments/{key}/variable");
        let list = self.get(&path, &[]).await;
        let by_key = |entry: &Value| Some((entry["key"].as_str()?.to_owned(), entry.clone()));
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(by_key)
            .collect()
    }

    /// Adds a service to an environment behind the operator's back (Z§4.10).
    pub(crate) async fn add_service(&self, key: &str, service: &str) {
        let list = json!([{"service_name": service, "variable_kvs": []}]);
        let body = json!({"env_key": key, "service_list": list});
        let path = "/openapi/environments/service/yaml";
        self.change(Method::POST, path, &[], Some(body)).await;
    }

    /// A service as Zadig believes to have applied it (Z§4.4).
    pub(crate) async fn rendered(&self, key: &str, service: &str) -> String {
        let query = [("envName", key), ("serviceName", service)];
        let (status, text) = self
            .call(
                Method::GET,
                "/openapi/environments/service/yaml",
                &query,
                None,
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{text}");
        text
    }

    /// Creates an environment behind the operator's back, in the project's usual namespace (Z§4.6).
    pub(crate) async fn create(&self, key: &str, services: &[&str]) {
        let namespace = format!("{}-env-{key}", self.project);
        self.create_in(key, &namespace, services).await;
    }

    /// Creates an environment behind the operator's back, in this namespace.
    pub(crate) async fn create_in(&self, key: &str, namespace: &str, services: &[&str]) {
        let services: Vec<Value> = services
            .iter()
            .map(|name| json!({"service_name": name, "deploy_strategy": "deploy"}))
            .collect();
        let body = json!({
            "project_key": self.project,
            "env_key": key,
            "cluster_id": self.cluster_id,
            "registry_id": self.registry_id,
            "namespace": namespace,
            "services": services,
        });
        self.change(Method::POST, "/openapi/environments", &[], Some(body))
            .await;
    }

    /// Deletes an environment with its namespace behind the operator's back (Z§4.9).
    pub(crate) async fn delete(&self, key: &str) {
        let path = format!("/openapi/environments/{key}");
        self.change(Method::DELETE, &path, &[("isDelete", "true")], None)
            .await;
    }

    /// Sets the image of a Deployment's container behind the operator's back (Z§4.17).
    pub(crate) async fn set_image(&self, key: &str, service: &str, container: &str, image: &str) {
        let body = json!({
            "product_name": self.project,
            "env_name": key,
            "service_name": service,
            "name": service,
            "container_name": container,
            "image": image,
        });
        let path = format!("/openapi/environments/image/deployment/{key}");
        self.change(Method::POST, &path, &[], Some(body)).await;
    }

    /// Scales a Deployment that is named like its service behind the operator's back (Z§4.15).
    pub(crate) async fn scale(&self, key: &str, service: &str, replicas: i32) {
        let body = json!({
            "project_key": self.project,
            "env_key": key,
            "service_name": service,
            "workload_name": service,
            "workload_type": "Deployment",
            "target_replicas": replicas,
        });
        self.change(Method::POST, "/openapi/environments/scale", &[], Some(body))
            .await;
    }

    /// An object inside an environment, as the cluster has it; none if it is not there (Z§4.14).
    pub(crate) async fn config(&self, key: &str, type_: &str, name: &str) -> Option<Value> {
        let path = format!("/openapi/environments/{key}/envcfg/{name}");
        let (status, text) = self
            .call(Method::GET, &path, &[("type", type_)], None)
            .await;
        if status != StatusCode::OK {
            return None;
        }
        let answer: Value = serde_json::from_str(&text).expect("the detail is JSON");
        let detail = answer.as_object()?.values().next()?;
        let yaml = detail["yaml_data"].as_str().expect("it holds the object");
        Some(serde_saphyr::from_str(yaml).expect("the object is YAML"))
    }

    /// Replaces a ConfigMap inside an environment behind the operator's back (Z§4.14).
    pub(crate) async fn replace_config_map(&self, key: &str, name: &str, data: Value) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
        });
        let body = json!({
            "env_key": key, "name": name, "common_env_cfg_type": "ConfigMap",
            "yaml_data": object.to_string(),
        });
        // Within the second of the last write it is refused, though the cluster is changed; so it is repeated.
        let path = "/openapi/environments/envcfgs";
        loop {
            let (status, text) = self.call(Method::PUT, path, &[], Some(body.clone())).await;
            if status == StatusCode::OK {
                return;
            }
            assert!(text.contains("duplicate key"), "PUT {path}: {text}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Any read whose answer is JSON.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let (status, text) = self.call(Method::GET, path, query, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {error}: {text}"))
    }

    /// Any change, which must succeed.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) {
        let (status, text) = self.call(method.clone(), path, query, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {text}");
    }

    /// Any call; status and body of the answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let url = format!("{}{path}", self.url);
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(&self.token)
            .query(&[("projectKey", self.project.as_str())])
            .query(query);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("Zadig answers");
        let status = answer.status();
        (status, answer.text().await.expect("the answer has a body"))
    }

    /// Removes every environment whose key ends in `tag`; says what cannot be removed.
    pub(super) async fn remove_tagged(&self, tag: &str) {
        if self.simulator.is_some() {
            return;
        }
        for env in self.environments().await {
            let key = env["env_key"].as_str().unwrap_or_default();
            if key.ends_with(tag) {
                self.delete(key).await;
            }
        }
    }
}
