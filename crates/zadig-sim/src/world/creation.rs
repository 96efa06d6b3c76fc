//! The work behind the creation of an environment (Z§4.6).

use jiff::Timestamp;

use super::environment::{Environment, kind_and_name};
use super::helm::Source;
use super::{Event, Key, World};
use crate::clock::later;
use crate::kube::workload;
use crate::render;

impl World {
    /// Stores a new environment and begins the work behind its creation (Z§4.6).
    pub(crate) fn begin_create(&mut self, environment: Environment) {
        let env = (environment.project.clone(), environment.key.clone());
        let (life, source) = (environment.life, environment.source);
        self.environments.insert(env.clone(), environment);
        let after = self.answer_time(self.pace().create_answer);
        if source == Source::Helm && self.is_helm_project(&env.0) {
            // There is nothing to be applied (Z§4.21).
            let until = later(self.now(), self.start_timeout);
            self.plan(
                after + self.pace().helm_create,
                Event::CreateLook { env, life, until },
            );
        } else {
            let after = after + self.pace().create_background;
            self.plan(after, Event::Create { env, life });
        }
        self.changes += 1;
    }

    /// Applies all services of a new environment at once; readiness is looked at once a second from here on.
    pub(super) fn apply_created(&mut self, env: &Key, life: u64) {
        let Some(environment) = self.alive(env, life) else {
            return;
        };
        let services: Vec<String> = environment
            .services
            .iter()
            .map(|s| s.name.clone())
            .collect();
        let mut ok = true;
        for service in &services {
            ok &= self.apply_service(env, service);
        }
        let env = env.clone();
        if ok {
            let until = later(self.now(), self.start_timeout);
            self.plan_always(
                self.pace().create_look,
                Event::CreateLook { env, life, until },
            );
        } else {
            self.plan_always(
                self.pace().create_refused,
                Event::CreateFailed { env, life },
            );
        }
    }

    pub(super) fn look_at_created(
        &mut self,
        env: &Key,
        life: u64,
        until: Timestamp,
        at: Timestamp,
    ) {
        let Some(environment) = self.environments.get(env).filter(|e| e.life == life) else {
            return;
        };
        let source = environment.source;
        let ready = self
            .clusters
            .get(&environment.cluster_id)
            .is_some_and(|kube| {
                environment
                    .services
                    .iter()
                    .flat_map(|service| &service.applied)
                    .all(|object| {
                        let (kind, name) = kind_and_name(object);
                        !matches!(kind.as_str(), "Deployment" | "StatefulSet" | "Job")
                            || kube
                                .object(&environment.namespace, &kind, &name)
                                .is_some_and(|object| workload::is_ready(object, at))
                    })
            });
        // A creation of Helm never fails (Z§4.21).
        if ready && !self.route(env) && source == Source::Yaml {
            if let Some(environment) = self.environments.get_mut(env) {
                "failed".clone_into(&mut environment.status);
            }
        } else if ready {
            if let Some(environment) = self.environments.get_mut(env) {
                "success".clone_into(&mut environment.status);
                environment.update_time = at.as_second();
                for service in &mut environment.services {
                    service.containers = render::containers(&service.applied);
                }
                // Written anew, and not in the order of the request (Z§4.2).
                self.rng.shuffle(&mut environment.services);
            }
        } else if at >= until {
            if let Some(environment) = self.environments.get_mut(env) {
                "failed".clone_into(&mut environment.status);
            }
        } else {
            self.plan_always(
                self.pace().create_look,
                Event::CreateLook {
                    env: env.clone(),
                    life,
                    until,
                },
            );
        }
    }
}
