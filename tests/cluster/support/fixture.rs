//! Manifests that read aloud: `world.environment("dev").service("web").image("web", "web", "…/web:v2")`.

use serde_json::{Value, json};
use zadig_operator::api::environment::{Container, Service, Variable, Workload, ZadigEnvironment};

/// An environment that declares a cluster by id and nothing else.
pub(super) fn environment(
    name: &str,
    namespace: &str,
    project: &str,
    env_key: &str,
    cluster_id: &str,
) -> ZadigEnvironment {
    // Read like a manifest, so that whatever it does not name has the API server's default.
    from(json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": "ZadigEnvironment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "connectionRef": {"name": "default"},
            "projectKey": project,
            "envKey": env_key,
            "cluster": {"id": cluster_id},
        },
    }))
}

/// Says more about an environment.
pub(crate) trait EnvironmentFixture: Sized {
    /// It runs this service, as its template says.
    fn service(self, name: &str) -> Self;
    /// A variable of a service has this value.
    fn variable(self, service: &str, key: &str, value: &str) -> Self;
    /// A variable of a service has a value that is kept elsewhere: `{"secretKeyRef": {"name": …, "key": …}}`.
    fn variable_from(self, service: &str, key: &str, source: Value) -> Self;
    /// A variable of a service follows the global variable of the same key.
    fn bound(self, service: &str, key: &str) -> Self;
    /// A global variable has this value.
    fn global(self, key: &str, value: &str) -> Self;
    /// A container of a service runs this image.
    fn image(self, service: &str, container: &str, image: &str) -> Self;
    /// A container of a service runs this image when it is created.
    fn image_once(self, service: &str, container: &str, image: &str) -> Self;
    /// A Deployment that is named like its service has this many pods.
    fn replicas(self, service: &str, replicas: i32) -> Self;
    /// A Deployment that is named like its service has this many pods when it is created.
    fn replicas_once(self, service: &str, replicas: i32) -> Self;
    /// A service is restarted whenever this text changes.
    fn restart_token(self, service: &str, token: &str) -> Self;
    /// A field of the spec has this value, given as in a manifest: `field("deletion", "Orphan")`.
    fn field(self, name: &str, value: impl Into<Value>) -> Self;
}

impl EnvironmentFixture for ZadigEnvironment {
    fn service(mut self, name: &str) -> Self {
        service(&mut self, name);
        self
    }

    fn variable(mut self, of: &str, key: &str, value: &str) -> Self {
        set_variable(&mut self, of, json!({"key": key, "value": value}));
        self
    }

    fn variable_from(mut self, of: &str, key: &str, source: Value) -> Self {
        set_variable(&mut self, of, json!({"key": key, "valueFrom": source}));
        self
    }

    fn bound(mut self, of: &str, key: &str) -> Self {
        set_variable(&mut self, of, json!({"key": key, "useGlobal": true}));
        self
    }

    fn global(mut self, key: &str, value: &str) -> Self {
        let globals = &mut self.spec.global_variables;
        globals.retain(|global| global.key != key);
        globals.push(from(json!({"key": key, "value": value})));
        self
    }

    fn image(mut self, of: &str, container: &str, image: &str) -> Self {
        set_image(&mut self, of, json!({"name": container, "image": image}));
        self
    }

    fn image_once(mut self, of: &str, container: &str, image: &str) -> Self {
        let once = json!({"name": container, "image": image, "policy": "OnCreate"});
        set_image(&mut self, of, once);
        self
    }

    fn replicas(mut self, of: &str, replicas: i32) -> Self {
        let workload = json!({"kind": "Deployment", "name": of, "replicas": replicas});
        set_replicas(&mut self, of, workload);
        self
    }

    fn replicas_once(mut self, of: &str, replicas: i32) -> Self {
        let once =
            json!({"kind": "Deployment", "name": of, "replicas": replicas, "policy": "OnCreate"});
        set_replicas(&mut self, of, once);
        self
    }

    fn restart_token(mut self, of: &str, token: &str) -> Self {
        service(&mut self, of).restart_token = Some(token.to_owned());
        self
    }

    fn field(self, name: &str, value: impl Into<Value>) -> Self {
        let mut object = serde_json::to_value(self).expect("a manifest is JSON");
        object["spec"][name] = value.into();
        from(object)
    }
}

fn set_variable(env: &mut ZadigEnvironment, of: &str, variable: Value) {
    let variable: Variable = from(variable);
    let variables = &mut service(env, of).variables;
    variables.retain(|known| known.key != variable.key);
    variables.push(variable);
}

fn set_image(env: &mut ZadigEnvironment, of: &str, container: Value) {
    let container: Container = from(container);
    let containers = &mut service(env, of).containers;
    containers.retain(|known| known.name != container.name);
    containers.push(container);
}

fn set_replicas(env: &mut ZadigEnvironment, of: &str, workload: Value) {
    let workload: Workload = from(workload);
    let workloads = &mut service(env, of).workloads;
    workloads.retain(|known| (known.kind, &known.name) != (workload.kind, &workload.name));
    workloads.push(workload);
}

fn service<'a>(env: &'a mut ZadigEnvironment, name: &str) -> &'a mut Service {
    let services = &mut env.spec.services;
    let index = services
        .iter()
        .position(|service| service.name == name)
        .unwrap_or_else(|| {
            services.push(from(json!({"name": name})));
            services.len() - 1
        });
    &mut services[index]
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a fixture is a valid manifest")
}
