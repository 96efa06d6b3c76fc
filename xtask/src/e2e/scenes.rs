//! What is applied besides the chart and the samples.

use xtask::paths;

use anyhow::Result;
use kube::core::DynamicObject;
use serde_json::json;

use super::helm::RELEASE;
use crate::objects::{self, CONNECTION};

/// Of the simulator, which is in no released image.
pub(super) const SIMULATOR_IMAGE: &str = "zadig-sim:e2e";
/// Namespace of the simulator.
pub(super) const ZADIG: &str = "zadig";
/// Namespace of the people who use the operator.
pub(super) const TEAM: &str = "team";
/// What pods have to look like to be let in.
const STANDARD: &str = "restricted";
/// Secret with the token, and the one that a config follows.
pub(super) const TOKEN: &str = "zadig-token";
pub(super) const FOLLOWED: &str = "payment-provider";

/// The three namespaces, under the restricted Pod Security Standard.
pub(super) fn namespaces() -> Result<Vec<DynamicObject>> {
    let manifests = [RELEASE, ZADIG, TEAM].map(|name| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    pod-security.kubernetes.io/enforce: {STANDARD}\n"
        )
    });
    objects::parse(&manifests.join("---\n"))
}

/// The simulator and its Service.
pub(super) fn simulator() -> Result<Vec<DynamicObject>> {
    objects::parse(&format!(
        r#"apiVersion: v1
kind: Pod
metadata:
  name: zadig-sim
  labels: {{app: zadig-sim}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext:
    runAsNonRoot: true
    seccompProfile: {{type: RuntimeDefault}}
  containers:
  - name: zadig-sim
    image: {SIMULATOR_IMAGE}
    imagePullPolicy: Never
    args: [--seed, /seed, --listen, "0.0.0.0:8080", --pace, real]
    readinessProbe:
      tcpSocket: {{port: 8080}}
      periodSeconds: 1
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {{drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata:
  name: zadig-sim
spec:
  selector: {{app: zadig-sim}}
  ports:
  - port: 80
    targetPort: 8080
"#
    ))
}

/// The Secret with the token of the connection.
pub(super) fn token(token: &str) -> Result<DynamicObject> {
    secret(TOKEN, "token", token)
}

/// The Secret that the sample of a config follows, with another value.
pub(super) fn followed(value: &str) -> Result<DynamicObject> {
    secret(FOLLOWED, "api-key", value)
}

fn secret(name: &str, key: &str, value: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {key: value},
    }))?)
}

/// The samples that people start with, with the simulator's address in the connection.
pub(super) fn samples() -> Result<Vec<DynamicObject>> {
    let dir = paths::workspace().join("deploy/samples");
    let files = [
        "connection.yaml",
        "environment.yaml",
        "env-config.yaml",
        "service-binding.yaml",
    ];
    let mut samples = Vec::new();
    for file in files {
        samples.extend(objects::read(&dir.join(file))?);
    }
    for sample in &mut samples {
        let types = sample.types.as_ref();
        if types.is_some_and(|types| types.kind == CONNECTION) {
            sample.data["spec"]["url"] = format!("http://zadig-sim.{ZADIG}.svc").into();
        }
    }
    Ok(samples)
}

/// An environment of the samples' project with two services.
pub(super) fn environment(key: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": objects::ENVIRONMENT,
        "metadata": {"name": key},
        "spec": {
            "connectionRef": {"name": "default"},
            "projectKey": "shop",
            "envKey": key,
            "services": [{"name": "api"}, {"name": "web"}],
        },
    }))?)
}
