//! Manifests that read aloud: `world.environment("dev").service("web").image("web", "web", "…/web:v2")`.

use serde_json::{Value, json};
use zadig_operator::api::environment::{
    Container, Service, Variable, Workload, WorkloadKind, ZadigEnvironment,
};

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
    /// A container of a service runs this image.
    fn image(self, service: &str, container: &str, image: &str) -> Self;
    /// A Deployment that is named like its service has this many pods.
    fn replicas(self, service: &str, replicas: i32) -> Self;
    /// A field of the spec has this value, given as in a manifest: `field("deletion", "Orphan")`.
    fn field(self, name: &str, value: impl Into<Value>) -> Self;
}

impl EnvironmentFixture for ZadigEnvironment {
    fn service(mut self, name: &str) -> Self {
        service(&mut self, name);
        self
    }

    fn variable(mut self, of: &str, key: &str, value: &str) -> Self {
        let variables = &mut service(&mut self, of).variables;
        variables.retain(|variable| variable.key != key);
        variables.push(from::<Variable>(json!({"key": key, "value": value})));
        self
    }

    fn image(mut self, of: &str, container: &str, image: &str) -> Self {
        let containers = &mut service(&mut self, of).containers;
        containers.retain(|found| found.name != container);
        containers.push(from::<Container>(
            json!({"name": container, "image": image}),
        ));
        self
    }

    fn replicas(mut self, of: &str, replicas: i32) -> Self {
        let workloads = &mut service(&mut self, of).workloads;
        workloads
            .retain(|found| (found.kind, found.name.as_str()) != (WorkloadKind::Deployment, of));
        let workload = json!({"kind": "Deployment", "name": of, "replicas": replicas});
        workloads.push(from::<Workload>(workload));
        self
    }

    fn field(self, name: &str, value: impl Into<Value>) -> Self {
        let mut object = serde_json::to_value(self).expect("a manifest is JSON");
        object["spec"][name] = value.into();
        from(object)
    }
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
