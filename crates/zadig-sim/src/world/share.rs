//! Sub-environments: sharing, its checks, portals (Z§4.19, Z§11). What is written in a mesh is in `kube::istio`.

use super::{Event, Key, World};
use crate::kube::istio::{ENVOY_FILTER, INJECTION, OURS, SYSTEM, Server, virtual_service_name};
use crate::scope::Scope;

/// What an environment has to do with others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Share {
    #[default]
    Alone,
    /// Others may be made on top of it.
    Base,
    /// It is made on top of the environment of this key.
    Of(String),
}

/// What has to hold for an environment to be shared.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a check of its own on the wire"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checks {
    pub(crate) labelled: bool,
    pub(crate) virtual_services: bool,
    pub(crate) proxies: bool,
    pub(crate) workloads: bool,
    pub(crate) services: bool,
}

impl World {
    /// The sub-environments of a base, by key.
    pub(crate) fn subs_of(&self, base: &Key) -> Vec<Key> {
        let of_base = Share::Of(base.1.clone());
        let cluster = self.environments.get(base).map(|it| &it.cluster_id);
        self.environments
            .iter()
            .filter(|(env, environment)| {
                env.0 == base.0
                    && environment.share == of_base
                    && environment.scope == Scope::Test
                    && Some(&environment.cluster_id) == cluster
            })
            .map(|(env, _)| env.clone())
            .collect()
    }

    /// Lets an environment's namespace, new or not, give its pods proxies.
    pub(crate) fn label_for_proxies(&mut self, cluster: &str, namespace: &str) {
        let found = self
            .clusters
            .get_mut(cluster)
            .and_then(|kube| kube.namespaces.get_mut(namespace));
        if let Some(found) = found {
            found
                .labels
                .insert(INJECTION.to_owned(), "enabled".to_owned());
        }
    }

    /// Makes an environment a base; the error is the text of the step that failed, and earlier ones stay done.
    pub(crate) fn share(&mut self, env: &Key, by: &str) -> Result<(), String> {
        let (cluster, namespace) = self.place_of(env)?;
        self.in_cluster(&cluster, |kube, cx| {
            let found = kube.namespaces.get_mut(&namespace).ok_or_else(|| {
                format!("failed to ensure istio label on namespace `{namespace}`: failed to query ns `{namespace}`: namespaces \"{namespace}\" not found")
            })?;
            found
                .labels
                .insert(INJECTION.to_owned(), "enabled".to_owned());
            // Also pods that opt out of injection, in every call (Z§14.13).
            kube.replace_pods(cx, &namespace, false);
            for service in kube.services_of(&namespace) {
                let name = virtual_service_name(&service);
                kube.lead(cx, &namespace, &service, &[], &namespace)
                    .map_err(|error| {
                        format!("failed to ensure VirtualServices in namespace `{namespace}`: failed to ensure VirtualService `{name}` in ns `{namespace}`: {error}")
                    })?;
            }
            kube.ensure_envoy_filter(cx).map_err(|error| {
                format!("failed to ensure EnvoyFilter in namespace `{SYSTEM}`: {error}")
            })
        })
        .unwrap_or_else(|| Err("failed to get kube client".to_owned()))?;
        self.set_share(env, Share::Base, by);
        self.reroute(env);
        Ok(())
    }

    /// Ends the sharing of an environment and deletes its sub-environments.
    pub(crate) fn unshare(&mut self, env: &Key, by: &str) -> Result<(), String> {
        let (cluster, namespace) = self.place_of(env)?;
        for sub in self.subs_of(env) {
            self.begin_delete(&sub, true);
        }
        let another = self.environments.iter().any(|(other, environment)| {
            other != env && environment.cluster_id == cluster && environment.share == Share::Base
        });
        self.in_cluster(&cluster, |kube, cx| {
            if !another {
                kube.remove(SYSTEM, "EnvoyFilter", ENVOY_FILTER);
            }
            // Z§4.19: without it the call stops here.
            kube.forget_gateways(cx, &namespace)
                .map_err(|error| format!("failed to delete EnvoyFilter: {error}"))?;
            kube.leave_mesh(cx, &namespace);
            Ok(())
        })
        .unwrap_or_else(|| Err("failed to get kube client".to_owned()))?;
        self.set_share(env, Share::Alone, by);
        Ok(())
    }

    /// Moves `update_time` only when the flag changes (Z§6.3).
    fn set_share(&mut self, env: &Key, share: Share, by: &str) {
        if let Some(environment) = self.environments.get_mut(env)
            && environment.share != share
        {
            environment.share = share;
            self.touch(env, by);
        }
    }

    fn place_of(&self, env: &Key) -> Result<(String, String), String> {
        let environment = self.environments.get(env).ok_or("environment not found")?;
        Ok((
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        ))
    }

    /// Whether an update of an environment applies a service: a sub-environment's only if its base has the service (Z§11).
    pub(crate) fn has_in_base(&self, env: &Key, service: &str) -> bool {
        let share = self.environments.get(env).map(|it| &it.share);
        let Some(Share::Of(base)) = share else {
            return true;
        };
        self.environment(&env.0, base)
            .is_some_and(|base| base.service(service).is_some())
    }

    /// The last step of a sub-environment's creation: services and routes of the base in both namespaces. Whether it worked.
    pub(crate) fn route(&mut self, env: &Key) -> bool {
        match self.environments.get(env).map(|it| it.share.clone()) {
            Some(Share::Of(base)) => self.lead_all(&(env.0.clone(), base)).is_ok(),
            Some(Share::Alone | Share::Base) => true,
            None => false,
        }
    }

    /// Lets the routes of a base follow its Services and those of its sub-environments.
    fn lead_all(&mut self, base: &Key) -> Result<(), String> {
        let (cluster, home) = self.place_of(base)?;
        let of_base = Share::Of(base.1.clone());
        let subs: Vec<(String, String)> = self
            .environments
            .iter()
            .filter(|(env, sub)| {
                env.0 == base.0 && sub.share == of_base && sub.cluster_id == cluster
            })
            .map(|(env, sub)| (env.1.clone(), sub.namespace.clone()))
            .collect();
        self.in_cluster(&cluster, |kube, cx| {
            let services = kube.services_of(&home);
            for service in &services {
                for (_, namespace) in &subs {
                    kube.copy_service(cx, &home, namespace, service)?;
                }
                let own: Vec<(&str, &str)> = subs
                    .iter()
                    .filter(|(_, namespace)| kube.has_workload(namespace, service))
                    .map(|(env, namespace)| (env.as_str(), namespace.as_str()))
                    .collect();
                kube.lead(cx, &home, service, &own, &home)?;
                for (env, namespace) in &subs {
                    let is_own = own.iter().any(|(own, _)| own == env);
                    let rest = if is_own { namespace } else { &home };
                    kube.lead(cx, namespace, service, &[], rest)?;
                }
            }
            for namespace in subs.iter().map(|(_, namespace)| namespace).chain([&home]) {
                kube.forget_routes(namespace, &services);
            }
            Ok(())
        })
        .unwrap_or_else(|| Err("failed to get kube client".to_owned()))
    }

    /// Lets routes follow what has changed in an environment; nothing where nothing is shared.
    pub(crate) fn reroute(&mut self, env: &Key) {
        let base = match self.environments.get(env).map(|it| it.share.clone()) {
            Some(Share::Base) => env.clone(),
            Some(Share::Of(base)) => (env.0.clone(), base),
            Some(Share::Alone) | None => return,
        };
        // Outside a mesh this is refused, and nobody is told.
        self.lead_all(&base).ok();
    }

    /// The same for the environments of a namespace.
    pub(crate) fn reroute_in(&mut self, cluster: &str, namespace: &str) {
        let touched: Vec<Key> = self
            .environments
            .iter()
            .filter(|(_, it)| {
                it.share != Share::Alone && it.cluster_id == cluster && it.namespace == namespace
            })
            .map(|(env, _)| env.clone())
            .collect();
        for env in touched {
            self.reroute(&env);
        }
    }

    /// Takes the routes to a sub-environment that is gone out of its base, as long as that is one.
    pub(crate) fn unroute(&mut self, base: &Key) {
        if self
            .environments
            .get(base)
            .is_some_and(|base| base.share == Share::Base)
        {
            self.reroute(base);
        }
    }

    /// Takes a grayscale environment of production out of its mesh; others are left alone (Z§4.9).
    pub(crate) fn leave_grayscale(&mut self, env: &Key) {
        let Some(environment) = self.environments.get(env) else {
            return;
        };
        if matches!(environment.share, Share::Of(_)) {
            let (cluster, namespace) = (
                environment.cluster_id.clone(),
                environment.namespace.clone(),
            );
            self.in_cluster(&cluster, |kube, cx| kube.leave_mesh(cx, &namespace));
        }
    }

    /// Begins the deletion of an environment, as the test route does: the record goes first (Z§4.9).
    pub(crate) fn begin_delete(&mut self, env: &Key, with_resources: bool) {
        let Some(environment) = self.environments.get_mut(env) else {
            return;
        };
        "deleting".clone_into(&mut environment.status);
        let life = environment.life;
        self.plan(
            self.answer_time(self.pace().other_answer) + self.pace().delete_background,
            Event::Delete {
                env: env.clone(),
                life,
                with_resources,
            },
        );
        self.changes += 1;
    }

    /// What holds in a namespace.
    pub(crate) fn share_checks(&self, cluster: &str, namespace: &str) -> Result<Checks, String> {
        let kube = self
            .clusters
            .get(cluster)
            .ok_or("failed to get kube client")?;
        let found = kube.namespaces.get(namespace).ok_or_else(|| {
            format!("failed to check whether namespace `{namespace}` has labeled `istio-injection=enabled`: failed to query ns `{namespace}`: namespaces \"{namespace}\" not found")
        })?;
        let now = self.now();
        let pods = || {
            kube.workloads(namespace)
                .flat_map(|(.., object)| &object.pods)
        };
        Ok(Checks {
            labelled: found
                .labels
                .get(INJECTION)
                .is_some_and(|it| it == "enabled"),
            virtual_services: kube.services_of(namespace).iter().all(|service| {
                let name = virtual_service_name(service);
                kube.object(namespace, "VirtualService", &name).is_some()
            }),
            proxies: pods().all(|pod| pod.proxied),
            workloads: pods().all(|pod| pod.is_ready(now)),
            services: kube.workloads_without_service(namespace).is_empty(),
        })
    }

    /// Sets the servers of a service's portal, or takes the portal away where there are none.
    pub(crate) fn set_portal(
        &mut self,
        env: &Key,
        service: &str,
        servers: &[Server],
    ) -> Result<(), String> {
        let (cluster, namespace) = self.place_of(env)?;
        let objects = self
            .environments
            .get(env)
            .and_then(|environment| environment.service(service))
            .map(|service| service.applied.clone());
        let gateway = format!("{OURS}-gateway-{service}");
        self.in_cluster(&cluster, |kube, cx| {
            if servers.is_empty() {
                if !kube.remove(&namespace, "Gateway", &gateway) {
                    return Err(format!("failed to clean istio ingress gateway service, err: failed to delete gateway {gateway} in namespace {namespace}, err: gateways.networking.istio.io \"{gateway}\" not found"));
                }
            } else {
                kube.ingress_gateway().map_err(|error| {
                    format!("failed to check istio ingress gateway's load balancing, err: {error}")
                })?;
                kube.put_gateway(cx, &namespace, &gateway, servers)
                    .map_err(|error| format!("failed to create gateway {gateway} in namespace {namespace}, err: {error}"))?;
            }
            // Only this request's ports stay: the last writer wins in the whole cluster (Z§14.14).
            kube.set_gateway_ports(cx, servers)?;
            let objects = objects.ok_or_else(|| {
                format!("failed to parse k8s project services, err: can't find {service} in env {}", env.1)
            })?;
            for object in objects.iter().filter(|object| object["kind"] == "Service") {
                let name = object["metadata"]["name"].as_str().unwrap_or("");
                kube.set_virtual_service_gateway(cx, &namespace, name, &gateway, servers)
                    .map_err(|error| format!("failed to update virtualservice for portal service, err: {error}"))?;
            }
            Ok(())
        })
        .unwrap_or_else(|| Err("failed to get kube client".to_owned()))
    }
}
