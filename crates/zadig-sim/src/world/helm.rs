//! What Zadig does with the releases of an environment: the upgrades behind a Helm add, image calls and uninstalls (Z§4.21, Z§4.17,
//! Z§4.12). How Helm itself works is in `helm`.

use std::sync::Arc;

use serde_json::Value;

use super::environment::{Deployed, Environment};
use super::{Event, Key, World};
use crate::helm::chart::Chart;
use crate::helm::{image, release};
use crate::render::Place;

/// A release that fails is tried three times more before the environment is `failed`.
const ATTEMPTS: u32 = 4;

/// Where an environment comes from: which of Zadig's two ways of deploying works in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Source {
    #[default]
    Yaml,
    Helm,
}

/// The work behind a Helm add.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rollout {
    /// The services as they will be recorded.
    services: Vec<Deployed>,
    /// Releases that are still to be deployed.
    pending: Vec<Pending>,
    attempt: u32,
    by: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Pending {
    release: String,
    chart: Arc<Chart>,
    values: Value,
}

impl Environment {
    /// The release of one of its services, if that is a chart (Z§10).
    pub(crate) fn release(&self, service: &Deployed) -> Option<String> {
        let place = Place {
            project: &self.project,
            env: &self.key,
            namespace: &self.namespace,
            service: &service.name,
            cluster: None,
        };
        Some(service.revision.chart.as_ref()?.release_name(place))
    }

    /// The releases that Zadig installed for these services, and so uninstalls.
    pub(super) fn installed(&self, chosen: impl Fn(&Deployed) -> bool) -> Vec<String> {
        self.services
            .iter()
            .filter(|service| service.overrides.deploys() && chosen(service))
            .filter_map(|service| self.release(service))
            .collect()
    }
}

impl World {
    /// Whether a project is one of Helm, which some calls ask instead of the environment.
    pub(crate) fn is_helm_project(&self, project: &str) -> bool {
        self.projects
            .get(project)
            .is_some_and(|project| project.deploy_type == "helm")
    }

    /// Marks an environment as updating and begins to deploy the services, after the answer.
    ///
    /// Values that cannot be read end it before anything is deployed or recorded (Z§4.21).
    pub(crate) fn begin_rollout(&mut self, env: &Key, mut services: Vec<Deployed>, by: &str) {
        let Some(environment) = self.environments.get_mut(env) else {
            return;
        };
        "updating".clone_into(&mut environment.status);
        let life = environment.life;
        let pending = pending(environment, &mut services);
        let readable = pending.is_some();
        let rollout = Rollout {
            services: if readable { services } else { Vec::new() },
            pending: pending.unwrap_or_default(),
            attempt: 1,
            by: by.to_owned(),
        };
        let pace = self.pace();
        let after = if readable {
            pace.update_background
        } else {
            pace.helm_refused
        };
        let after = after + self.answer_time(pace.other_answer);
        let event = if rollout.pending.is_empty() {
            Event::RolledOut {
                env: env.clone(),
                life,
                rollout,
                failed: !readable,
            }
        } else {
            Event::Rollout {
                env: env.clone(),
                life,
                rollout,
            }
        };
        self.plan(after, event);
        self.changes += 1;
    }

    /// Deploys the releases one after the other; those that fail are tried again.
    pub(super) fn roll_out(&mut self, env: &Key, life: u64, mut rollout: Rollout) {
        let Some(environment) = self.alive(env, life) else {
            return;
        };
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let tried = u32::try_from(rollout.pending.len()).unwrap_or(u32::MAX);
        rollout.pending = self
            .in_cluster(&cluster, |kube, cx| {
                let pending = std::mem::take(&mut rollout.pending).into_iter();
                pending
                    .filter(|it| {
                        let Pending {
                            release,
                            chart,
                            values,
                        } = it;
                        release::deploy(kube, cx, &namespace, release, chart, values)
                            // No route tells it (Z§10).
                            .inspect_err(|error| {
                                tracing::warn!(%error, release, "a release was not deployed");
                            })
                            .is_err()
                    })
                    .collect()
            })
            .unwrap_or_default();
        let failed = !rollout.pending.is_empty();
        let env = env.clone();
        let upgrade = self.pace().helm_upgrade;
        if failed && rollout.attempt < ATTEMPTS {
            rollout.attempt += 1;
            // The pause between two attempts is 3.5 s, about four times as long as an upgrade.
            self.plan_always(upgrade * 4, Event::Rollout { env, life, rollout });
            return;
        }
        // It began that much after the answer.
        let after = (upgrade * tried).saturating_sub(self.pace().update_background);
        let done = Event::RolledOut {
            env,
            life,
            rollout,
            failed,
        };
        self.plan_always(after, done);
    }

    /// Ends a Helm add: the services are recorded, also where a release failed.
    pub(super) fn end_rollout(&mut self, env: &Key, life: u64, rollout: Rollout, failed: bool) {
        let Some(environment) = self.alive(env, life) else {
            return;
        };
        let status = if failed { "failed" } else { "success" };
        status.clone_into(&mut environment.status);
        if rollout.services.is_empty() {
            return;
        }
        for service in rollout.services {
            environment.put(service);
        }
        self.touch(env, &rollout.by);
    }

    /// Upgrades the release of a service with another image, before the answer (Z§4.17).
    ///
    /// An image is used where the service has one of the same name; otherwise the upgrade runs without it.
    pub(crate) fn upgrade_image(
        &mut self,
        env: &Key,
        service: &str,
        image: &str,
        by: &str,
    ) -> Result<(), String> {
        let environment = self.environments.get(env);
        let (Some(environment), Some(known)) =
            (environment, environment.and_then(|it| it.service(service)))
        else {
            return Err(format!("failed to find service in product: {service}"));
        };
        let (Some(name), Some(chart)) = (environment.release(known), &known.revision.chart) else {
            return Err(format!("failed to find template service: {service}"));
        };
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let (mut changed, chart) = (known.clone(), Arc::clone(chart));
        "deploy".clone_into(&mut changed.overrides.strategy);
        let values =
            image::deployed_values(&mut changed.overrides, &mut changed.containers, &[image])?;
        self.in_cluster(&cluster, |kube, cx| {
            release::deploy(kube, cx, &namespace, &name, &chart, &values)
        })
        .unwrap_or_else(|| Err("cluster not found".to_owned()))?;
        if let Some(environment) = self.environments.get_mut(env) {
            environment.put(changed);
        }
        self.touch(env, by);
        Ok(())
    }

    /// Uninstalls releases in the background.
    pub(super) fn plan_uninstall(&mut self, cluster: &str, namespace: &str, releases: Vec<String>) {
        if !releases.is_empty() {
            self.plan_always(
                self.pace().helm_uninstall,
                Event::Uninstall {
                    cluster: cluster.to_owned(),
                    namespace: namespace.to_owned(),
                    releases,
                },
            );
        }
    }
}

/// What is to be deployed for the services, whose records become what will be there; `None` if values cannot be read.
fn pending(environment: &Environment, services: &mut [Deployed]) -> Option<Vec<Pending>> {
    let mut pending = Vec::new();
    for service in services {
        let release = environment.release(service)?;
        let chart = Arc::clone(service.revision.chart.as_ref()?);
        let values = image::deployed_values(&mut service.overrides, &mut service.containers, &[])
            .inspect_err(|error| {
                tracing::warn!(%error, release, "values could not be read");
            })
            .ok()?;
        if service.overrides.deploys() {
            pending.push(Pending {
                release,
                chart,
                values,
            });
        }
    }
    Some(pending)
}
