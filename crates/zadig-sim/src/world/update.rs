//! The work behind adding and updating services and behind a change of variables (Z§4.10, Z§4.11, Z§4.13).
//!
//! At the answer only the status has changed; the record is written in the background, from what was read before it.

use super::environment::{Deployed, Environment};
use super::{Event, Key, World};
use crate::options::Level;
use crate::render;
use crate::variables::Global;

/// What an update writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    /// The services to be applied, as they will be recorded.
    pub(crate) services: Vec<Deployed>,
    pub(crate) globals: Vec<Global>,
    /// Who asked for it.
    pub(crate) by: String,
}

impl World {
    /// Marks an environment as updating and begins the work behind the answer; `names` are the services of `changed` to be applied.
    pub(crate) fn begin_update(&mut self, changed: Environment, names: &[String], by: &str) {
        let env = (changed.project, changed.key);
        let life = changed.life;
        let Some(environment) = self.alive(&env, life) else {
            return;
        };
        "updating".clone_into(&mut environment.status);
        let services = changed
            .services
            .into_iter()
            .filter(|service| names.contains(&service.name))
            .collect();
        let update = Update {
            services,
            globals: changed.globals,
            by: by.to_owned(),
        };
        let answer = self.answer_time(self.pace().update_answer);
        let background = self.pace().update_background;
        let done = Event::Updated {
            env: env.clone(),
            life,
            by: by.to_owned(),
        };
        self.plan(answer + background / 2, Event::Update { env, life, update });
        self.plan(answer + background, done);
        self.changes += 1;
    }

    /// Writes and applies the services; `update_time` moves (Z§6.3).
    pub(super) fn apply_update(&mut self, env: &Key, life: u64, update: Update) {
        let names: Vec<String> = update.services.iter().map(|s| s.name.clone()).collect();
        let Some(environment) = self.alive(env, life) else {
            return;
        };
        for service in update.services {
            environment.put(service);
        }
        environment.globals = update.globals;
        self.forget_without_template(env);
        for name in &names {
            if self.has_in_base(env, name) {
                self.apply_service(env, name);
            }
        }
        self.reroute(env);
        self.touch(env, &update.by);
        let Some(environment) = self.environments.get_mut(env) else {
            return;
        };
        for service in &mut environment.services {
            if names.contains(&service.name) {
                service.containers = render::containers(&service.applied);
            }
        }
        // Both are rebuilt from maps (Z§4.2, Z§4.13).
        self.rng.shuffle(&mut environment.services);
        self.rng.shuffle(&mut environment.globals);
    }

    /// A service whose template is gone from the project disappears with the next write (Z§6.1).
    fn forget_without_template(&mut self, env: &Key) {
        let Some(environment) = self.environments.get_mut(env) else {
            return;
        };
        if let Some(project) = self.projects.get(&environment.project) {
            let templates = project.templates(environment.scope);
            environment
                .services
                .retain(|service| templates.contains_key(&service.name));
        }
    }

    /// Ends an update. Errors of single services are stored and shown nowhere (Z§4.11).
    pub(super) fn end_update(&mut self, env: &Key, life: u64, by: &str) {
        let Some(environment) = self.alive(env, life) else {
            return;
        };
        "success".clone_into(&mut environment.status);
        self.touch(env, by);
    }

    /// Notes a change of an environment's record.
    pub(crate) fn touch(&mut self, env: &Key, by: &str) {
        let now = self.now().as_second();
        let maintained = self.level >= Level::V50;
        if let Some(environment) = self.environments.get_mut(env) {
            environment.update_time = now;
            if maintained {
                by.clone_into(&mut environment.update_by);
            }
        }
        self.changes += 1;
    }
}
