//! A simulator behind HTTP, and what the tests say about it: requests, whole answers, and the state seen from outside.
//!
//! Time is virtual: nothing happens between two calls unless a test lets it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use zadig_sim::{ClockMode, Options, Running, Seed, Sim};

pub(crate) const CLUSTER: &str = "0123456789abcdef12345678";
pub(crate) const MESH: &str = "0123456789abcdef12345679";
pub(crate) const REGISTRY: &str = "6b04620901383fca57a37f93";
pub(crate) const OTHER_REGISTRY: &str = "6b04620901383fca57a37f94";
/// Well-formed, and nothing has it.
pub(crate) const UNKNOWN_ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";

const JSON: &str = "application/json; charset=utf-8";

/// The description while an environment may not be changed (Z§7.2).
pub(crate) const BUSY: &str = "1 error occurred:\n\t* 更新环境失败: 环境正处于不能更新的状态\n\n";

/// The description of a second creation (Z§4.6).
pub(crate) const EXISTS: &str = "1 error occurred:\n\t* 创建环境失败: 创建环境失败: 环境已存在\n\n";

/// A served simulator; it is called as the system administrator.
pub(crate) struct Zadig {
    pub(crate) sim: Sim,
    pub(crate) url: String,
    admin: Caller,
    _running: Running,
}

impl Deref for Zadig {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.admin
    }
}

/// The folder with the seed of these tests.
pub(crate) fn seed_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/z17/seed")
}

/// An HTTP client that follows no redirect.
pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

/// Virtual time, from a fixed instant on.
pub(crate) fn virtual_time() -> Options {
    let start = "2026-01-05T08:00:00Z".parse().unwrap();
    Options {
        clock: ClockMode::Virtual { start },
        ..Options::default()
    }
}

impl Zadig {
    /// Zadig 4.2 with an enterprise licence on virtual time.
    pub(crate) async fn start() -> Self {
        Self::with(virtual_time()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let seed = Seed::load(&seed_folder()).unwrap();
        let running = zadig_sim::start(&seed, options).await.unwrap();
        let (sim, url) = (running.sim.clone(), running.url.clone());
        let admin = Caller::new(&url, sim.token("admin"));
        Self {
            sim,
            url,
            admin,
            _running: running,
        }
    }

    /// The same server, called by another user.
    pub(crate) fn user(&self, name: &str) -> Caller {
        Caller::new(&self.url, Some(self.sim.token(name).unwrap()))
    }

    /// The same server, called with this header, or none.
    pub(crate) fn authorization(&self, header: Option<&str>) -> Caller {
        Caller {
            authorization: header.map(str::to_owned),
            ..Caller::new(&self.url, None)
        }
    }

    /// Lets virtual time pass.
    pub(crate) fn advance(&self, milliseconds: u64) {
        self.sim.advance(Duration::from_millis(milliseconds));
    }

    /// Lets everything end that is under way, but no time-out strike.
    pub(crate) fn settle(&self) {
        self.advance(20_000);
    }

    /// Makes an environment of `shop` with these services and lets it become ready; its namespace is `shop-env-ENV`.
    pub(crate) async fn create(&self, env: &str, services: &[&str]) {
        self.create_with(creation(env, services)).await;
    }

    /// Makes an environment of `shop` and lets it end, however it ends.
    pub(crate) async fn create_with(&self, body: Value) {
        let answer = self.post("/environments?projectKey=shop", &body).await;
        assert_eq!(answer.whole(), success(), "{body}");
        self.settle();
    }

    /// Updates services of an environment of `shop` and lets the update end.
    pub(crate) async fn update(&self, env: &str, services: Value) {
        let answer = self.put_services(env, services).await;
        assert_eq!(answer.whole(), success());
        self.settle();
    }

    pub(crate) async fn put_services(&self, env: &str, services: Value) -> Answer {
        let path = format!("/environments/{env}/services?projectKey=shop");
        self.put(&path, &json!({"service_list": services})).await
    }

    /// Updates one service of an environment of `shop` with these variables and lets the update end.
    pub(crate) async fn set(&self, env: &str, service: &str, variables: Value) {
        self.update(
            env,
            json!([{"service_name": service, "variable_kvs": variables}]),
        )
        .await;
    }

    /// The status of an environment of `shop` in the list, or `absent`.
    pub(crate) async fn status(&self, env: &str) -> String {
        self.listed(env).await["status"]
            .as_str()
            .unwrap_or("absent")
            .to_owned()
    }

    /// `update_time` of an environment of `shop` in the list.
    pub(crate) async fn update_time(&self, env: &str) -> i64 {
        self.listed(env).await["update_time"].as_i64().unwrap()
    }

    /// The item of an environment of `shop` in the list, or null.
    pub(crate) async fn listed(&self, env: &str) -> Value {
        let list = self.get("/environments?projectKey=shop").await.json();
        let items = list.as_array().unwrap();
        items
            .iter()
            .find(|item| item["env_key"] == env)
            .cloned()
            .unwrap_or_default()
    }

    /// The detail of an environment of `shop`.
    pub(crate) async fn detail(&self, env: &str) -> Value {
        self.get(&format!("/environments/{env}?projectKey=shop"))
            .await
            .ok()
    }

    /// The detail's entry of a service.
    pub(crate) async fn detail_of(&self, env: &str, service: &str) -> Value {
        let detail = self.detail(env).await;
        let services = detail["services"].as_array().unwrap();
        services
            .iter()
            .find(|item| item["service_name"] == service)
            .cloned()
            .unwrap_or_default()
    }

    /// The status of each service in the detail.
    pub(crate) async fn services(&self, env: &str) -> BTreeMap<String, String> {
        let detail = self.detail(env).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let services = detail["services"].as_array().unwrap();
        services
            .iter()
            .map(|it| (text(&it["service_name"]), text(&it["status"])))
            .collect()
    }

    /// The live view of a service of `shop`.
    pub(crate) async fn service(&self, env: &str, service: &str) -> Value {
        self.get(&format!(
            "/environments/{env}/services/{service}?projectKey=shop"
        ))
        .await
        .ok()
    }

    /// Live images of the only workload of a service, by container.
    pub(crate) async fn images(&self, env: &str, service: &str) -> Vec<(String, String)> {
        let view = self.service(env, service).await;
        let images = view["scales"][0]["images"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        images
            .iter()
            .map(|it| (text(&it["name"]), text(&it["image"])))
            .collect()
    }

    /// The rendered documents of a service of `shop`.
    pub(crate) async fn yaml(&self, env: &str, service: &str) -> Vec<Value> {
        let path = format!(
            "/environments/service/yaml?projectKey=shop&envName={env}&serviceName={service}"
        );
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200);
        serde_saphyr::from_multiple(&answer.text).unwrap()
    }

    /// Global variables of an environment of `shop`, by key.
    pub(crate) async fn globals(&self, env: &str) -> BTreeMap<String, Value> {
        let list = self
            .get(&format!("/environments/{env}/variable?projectKey=shop"))
            .await
            .ok();
        let items = list.as_array().unwrap();
        items
            .iter()
            .map(|it| (it["key"].as_str().unwrap().to_owned(), it.clone()))
            .collect()
    }

    /// The namespace as the cluster shows it, or null.
    pub(crate) fn namespace(&self, name: &str) -> Value {
        let snapshot = self.sim.snapshot();
        let namespaces = snapshot["namespaces"].as_array().unwrap();
        namespaces
            .iter()
            .find(|it| it["name"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// All objects of a kind in a namespace.
    pub(crate) fn objects(&self, namespace: &str, kind: &str) -> Vec<Value> {
        let namespace = self.namespace(namespace);
        if namespace.is_null() {
            return Vec::new();
        }
        let objects = namespace["objects"]
            .as_array()
            .expect("the snapshot shows whole objects");
        objects
            .iter()
            .filter(|it| it["kind"] == kind)
            .cloned()
            .collect()
    }

    /// An object in the cluster, or null.
    pub(crate) fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let objects = self.objects(namespace, kind);
        objects
            .into_iter()
            .find(|it| it["metadata"]["name"] == name)
            .unwrap_or_default()
    }

    /// Names of the pods whose name begins so.
    pub(crate) fn pods(&self, namespace: &str, prefix: &str) -> Vec<String> {
        let names = self.objects(namespace, "Pod").into_iter();
        let names = names.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    /// Does something with kubectl.
    pub(crate) fn kubectl(&self, action: Value) {
        self.sim
            .kube(serde_json::from_value(action).unwrap())
            .unwrap();
    }
}

/// Calls a server as one user.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    authorization: Option<String>,
}

impl Caller {
    pub(crate) fn new(url: &str, token: Option<String>) -> Self {
        let authorization = token.map(|token| format!("Bearer {token}"));
        Self {
            http: http(),
            url: url.to_owned(),
            authorization,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, String::new()).await
    }

    pub(crate) async fn delete_with(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::DELETE, path, body.to_string()).await
    }

    /// Sends a request to a path beneath `/openapi` and reads the whole answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    /// Like [`Caller::send`], where no whole answer may come.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> reqwest::Result<Answer> {
        let response = self.request(method, path).body(body).send().await?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (content_type, location) = (header("content-type"), header("location"));
        Ok(Answer {
            status,
            content_type,
            location,
            text: response.text().await?,
        })
    }

    /// A request to a path beneath `/openapi`.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/openapi{path}", self.url));
        match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which must be announced as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.content_type.as_deref(), Some(JSON), "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    /// The body of a 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// Status and JSON body.
    pub(crate) fn whole(&self) -> (u16, Value) {
        (self.status, self.json())
    }

    /// Status, content type and text of an answer that is not JSON.
    pub(crate) fn bare(&self) -> (u16, Option<&str>, &str) {
        (self.status, self.content_type.as_deref(), &self.text)
    }

    /// The description of a refusal.
    pub(crate) fn description(&self) -> String {
        self.json()["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// 200 `{"message":"success"}` (Z§2.1).
pub(crate) fn success() -> (u16, Value) {
    (200, json!({"message": "success"}))
}

/// Shape B of Z§2.2.
pub(crate) fn wrapped(description: &str) -> (u16, Value) {
    (
        500,
        json!({"code": 500, "message": "Internal Error: ", "description": description}),
    )
}

/// Shape A of Z§2.2 with the usual message of the code (Z§2.3).
pub(crate) fn coded(code: u16, description: &str) -> (u16, Value) {
    let message = match code {
        400 => "Bad Request",
        404 => "Request Not Found",
        6065 => "列出服务组失败",
        6074 => "创建环境失败",
        6076 => "更新环境失败",
        6077 => "删除环境失败",
        6078 => "获取环境失败",
        6081 => "伸缩服务失败",
        6082 => "更新服务镜像失败",
        6083 => "获取服务失败",
        6088 => "列出服务配置失败",
        6089 => "更新服务配置失败",
        6092 => "更新服务失败",
        6095 => "更新对象资源失败",
        6096 => "删除对象资源失败",
        6401 => "创建secret失败",
        7050 => "用户许可证不可用，请检查许可证后重试",
        other => panic!("no message known for {other}"),
    };
    coded_as(code, message, description)
}

/// Shape A of Z§2.2.
pub(crate) fn coded_as(code: u16, message: &str, description: &str) -> (u16, Value) {
    let status = if code >= 6000 { 400 } else { code };
    let body = json!({
        "type": "error", "code": code, "message": message, "description": description, "extra": {}
    });
    (status, body)
}

/// Shape C of Z§2.2: no body and no content type.
pub(crate) fn empty(status: u16) -> (u16, Option<&'static str>, &'static str) {
    (status, None, "")
}

/// The body that creates an environment with these services and their defaults.
pub(crate) fn creation(env: &str, services: &[&str]) -> Value {
    let services: Vec<Value> = services
        .iter()
        .map(|name| json!({"service_name": name}))
        .collect();
    json!({
        "env_key": env, "cluster_id": CLUSTER, "namespace": format!("shop-env-{env}"), "registry_id": REGISTRY,
        "services": services
    })
}

/// `creation` with other fields on top.
pub(crate) fn creation_with(env: &str, services: &[&str], fields: &Value) -> Value {
    let mut body = creation(env, services);
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// An image of the main registry.
pub(crate) fn image(name_and_tag: &str) -> String {
    format!("registry.example.com/main/{name_and_tag}")
}

/// A map of names and words, for comparing with [`Zadig::services`].
pub(crate) fn words<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(name, word)| (name.to_owned(), word.to_owned()))
        .into()
}
