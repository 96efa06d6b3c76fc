//! Istio's objects as Zadig writes them (Z§4.19). A mesh is a cluster that takes them; nothing here carries traffic.

use serde_json::{Value, json};

use super::{Cluster, Cx, entry};

/// The label that makes pods of a namespace get a proxy.
pub(crate) const INJECTION: &str = "istio-injection";
/// Where Istio lives.
pub(crate) const SYSTEM: &str = "istio-system";
/// The Service in front of a mesh.
const INGRESS_GATEWAY: &str = "istio-ingressgateway";
/// What leads requests to the sub-environment that their header names.
pub(crate) const ENVOY_FILTER: &str = "zadig-share-env";
/// How names of what Zadig makes in a mesh begin.
pub(crate) const OURS: &str = "zadig";

/// A server of a portal.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    host: String,
    port_number: u32,
    port_protocol: String,
}

/// The name of the VirtualService that belongs to a Service.
pub(crate) fn virtual_service_name(service: &str) -> String {
    format!("{OURS}-{service}")
}

/// What an API server says about a kind that it does not know.
fn no_such_resource(verb: &str, plural: &str) -> String {
    format!(
        "the server could not find the requested resource ({verb} {plural}.networking.istio.io)"
    )
}

fn host(service: &str, namespace: &str) -> Value {
    json!([{ "destination": { "host": format!("{service}.{namespace}.svc.cluster.local") } }])
}

impl Cluster {
    /// Prepares a mesh: Istio's namespace and the Service at its entrance.
    pub(crate) fn install_istio(&mut self, cx: &mut Cx<'_>) {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": INGRESS_GATEWAY },
            "spec": {
                "type": "LoadBalancer",
                "ports": [
                    { "name": "http2", "port": 80, "protocol": "TCP" },
                    { "name": "https", "port": 443, "protocol": "TCP" },
                ],
            },
        });
        // A new cluster takes both.
        if self.create_namespace(cx, SYSTEM, &[]).is_ok() {
            self.create(cx, SYSTEM, &service).ok();
        }
    }

    /// The names of the Services in a namespace.
    pub(crate) fn services_of(&self, namespace: &str) -> Vec<String> {
        self.of_kind(namespace, "Service")
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// `NAME.KIND` of the workloads that no Service selects. Each Service accounts for one workload at most, and one without a
    /// selector for any (Z§4.19).
    pub(crate) fn workloads_without_service(&self, namespace: &str) -> Vec<String> {
        let mut left: Vec<(String, &Value)> = self
            .workloads(namespace)
            .filter(|(kind, ..)| matches!(*kind, "Deployment" | "StatefulSet"))
            .map(|(kind, name, object)| {
                let labels = &object.template()["metadata"]["labels"];
                (format!("{name}.{kind}"), labels)
            })
            .collect();
        for (_, service) in self.of_kind(namespace, "Service") {
            let selector = &service.manifest["spec"]["selector"];
            let selected = left
                .iter()
                .position(|(_, labels)| selects(selector, labels));
            if let Some(at) = selected {
                left.remove(at);
            }
        }
        left.into_iter().map(|(name, _)| name).collect()
    }

    /// Whether a Service of the namespace has a workload behind it.
    pub(crate) fn has_workload(&self, namespace: &str, service: &str) -> bool {
        let Some(service) = self.object(namespace, "Service", service) else {
            return false;
        };
        let selector = &service.manifest["spec"]["selector"];
        self.workloads(namespace)
            .any(|(.., object)| selects(selector, &object.template()["metadata"]["labels"]))
    }

    /// Deletes the pods of a namespace that have a proxy, or those that have none.
    pub(crate) fn replace_pods(&mut self, cx: &mut Cx<'_>, namespace: &str, proxied: bool) {
        let owners: Vec<(&'static str, String)> = self
            .workloads(namespace)
            .map(|(kind, name, _)| (kind, name.clone()))
            .collect();
        for (kind, name) in owners {
            self.delete_pods(cx, namespace, kind, &name, |pod| pod.proxied == proxied);
        }
    }

    /// Takes everything of Zadig's out of a namespace that made it part of a mesh.
    pub(crate) fn leave_mesh(&mut self, cx: &mut Cx<'_>, namespace: &str) {
        self.remove_ours(namespace, "VirtualService");
        if let Some(found) = self.namespaces.get_mut(namespace) {
            found.labels.remove(INJECTION);
        }
        self.replace_pods(cx, namespace, true);
    }

    fn remove_ours(&mut self, namespace: &str, kind: &str) {
        if let Some(objects) = self
            .namespaces
            .get_mut(namespace)
            .and_then(|found| found.objects.get_mut(kind))
        {
            objects.retain(|name, _| !name.starts_with(OURS));
        }
    }

    pub(crate) fn ensure_envoy_filter(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        if !self.istio {
            return Err(no_such_resource("post", "envoyfilters"));
        }
        if self.object(SYSTEM, "EnvoyFilter", ENVOY_FILTER).is_some() {
            return Ok(());
        }
        let filter = istio_object("EnvoyFilter", ENVOY_FILTER, &json!({}));
        self.create(cx, SYSTEM, &filter)
    }

    /// Makes the VirtualService of a Service, or changes where it leads: requests for an environment by their header, and all
    /// others to the last namespace. Its portal stays.
    pub(crate) fn lead(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        service: &str,
        subs: &[(&str, &str)],
        rest: &str,
    ) -> Result<(), String> {
        if !self.istio {
            return Err(no_such_resource("post", "virtualservices"));
        }
        let mut http: Vec<Value> = subs
            .iter()
            .map(|(env, to)| {
                json!({
                    "match": [{ "headers": { "x-env": { "exact": env } } }],
                    "route": host(service, to),
                })
            })
            .collect();
        http.push(json!({ "route": host(service, rest) }));
        let name = virtual_service_name(service);
        if self.object(namespace, "VirtualService", &name).is_some() {
            return self.edit(cx, namespace, "VirtualService", &name, |live| {
                entry(live, "spec").insert("http".to_owned(), json!(http));
            });
        }
        let spec = json!({ "hosts": [service], "http": http });
        self.create(cx, namespace, &istio_object("VirtualService", &name, &spec))
    }

    /// Takes away what leads to Services that are gone.
    pub(crate) fn forget_routes(&mut self, namespace: &str, services: &[String]) {
        let kept: Vec<String> = services.iter().map(|it| virtual_service_name(it)).collect();
        if let Some(objects) = self
            .namespaces
            .get_mut(namespace)
            .and_then(|found| found.objects.get_mut("VirtualService"))
        {
            objects.retain(|name, _| !name.starts_with(OURS) || kept.contains(name));
        }
    }

    /// Makes a Service of the base in a sub-environment that has none of that name.
    pub(crate) fn copy_service(
        &mut self,
        cx: &mut Cx<'_>,
        from: &str,
        to: &str,
        name: &str,
    ) -> Result<(), String> {
        if self.object(to, "Service", name).is_some() {
            return Ok(());
        }
        let Some(original) = self.object(from, "Service", name) else {
            return Ok(());
        };
        let copy = original.manifest.clone();
        self.create(cx, to, &copy)
    }

    /// The Service at the entrance of a mesh.
    pub(crate) fn ingress_gateway(&self) -> Result<(), String> {
        match self.object(SYSTEM, "Service", INGRESS_GATEWAY) {
            Some(_) => Ok(()),
            None => Err(format!(
                "failed to get istio default ingress gateway {INGRESS_GATEWAY} in ns {SYSTEM}, err: services \"{INGRESS_GATEWAY}\" not found"
            )),
        }
    }

    pub(crate) fn forget_gateways(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
    ) -> Result<(), String> {
        if !self.istio {
            return Err(format!(
                "failed to list gateways in ns `{namespace}`: {}",
                no_such_resource("get", "gateways")
            ));
        }
        self.remove_ours(namespace, "Gateway");
        self.set_gateway_ports(cx, &[])
    }

    /// Ports of Zadig at the entrance: all of these and no others.
    pub(crate) fn set_gateway_ports(
        &mut self,
        cx: &mut Cx<'_>,
        servers: &[Server],
    ) -> Result<(), String> {
        self.ingress_gateway()?;
        self.edit(cx, SYSTEM, "Service", INGRESS_GATEWAY, |live| {
            let Some(ports) = live["spec"]["ports"].as_array_mut() else {
                return;
            };
            ports.retain(|port| !port["name"].as_str().unwrap_or("").starts_with(OURS));
            for server in servers {
                let number = server.port_number;
                if ports.iter().all(|port| port["port"] != number) {
                    let name = format!("{OURS}-http-{number}");
                    ports.push(json!({ "name": name, "port": number, "protocol": "TCP" }));
                }
            }
        })
    }

    pub(crate) fn put_gateway(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        name: &str,
        servers: &[Server],
    ) -> Result<(), String> {
        if !self.istio {
            return Err(no_such_resource("post", "gateways"));
        }
        let servers: Vec<Value> = servers
            .iter()
            .map(|server| {
                let Server {
                    host,
                    port_number,
                    port_protocol,
                } = server;
                json!({
                    "hosts": [host],
                    "port": {
                        "name": format!("{host}:{port_protocol}:{port_number}"),
                        "number": port_number,
                        "protocol": port_protocol,
                    },
                })
            })
            .collect();
        let spec = json!({ "selector": { "istio": "ingressgateway" }, "servers": servers });
        let object = istio_object("Gateway", name, &spec);
        if self.object(namespace, "Gateway", name).is_some() {
            self.replace(cx, namespace, object)
        } else {
            self.create(cx, namespace, &object)
        }
    }

    pub(crate) fn set_virtual_service_gateway(
        &mut self,
        cx: &mut Cx<'_>,
        namespace: &str,
        service: &str,
        gateway: &str,
        servers: &[Server],
    ) -> Result<(), String> {
        let name = virtual_service_name(service);
        if self.object(namespace, "VirtualService", &name).is_none() {
            self.lead(cx, namespace, service, &[], namespace)?;
        }
        let hosts: Vec<&str> = std::iter::once(service)
            .chain(servers.iter().map(|server| server.host.as_str()))
            .collect();
        self.edit(cx, namespace, "VirtualService", &name, |live| {
            let spec = entry(live, "spec");
            spec.insert("hosts".to_owned(), json!(hosts));
            if servers.is_empty() {
                spec.remove("gateways");
            } else {
                spec.insert("gateways".to_owned(), json!([gateway]));
            }
        })
    }
}

fn istio_object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": kind,
        "metadata": { "name": name },
        "spec": spec,
    })
}

/// Whether all labels that a selector names are there; an empty one selects everything here.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| &labels[key] == value)
}
