//! Environments that are there from the start: created as by a call some time before, and settled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use crate::auth::User;
use crate::clock::later;
use crate::options::{ClockMode, Licence};
use crate::reply::Outcome;
use crate::request::Request;
use crate::routes;
use crate::scope::Scope;
use crate::seed::{EnvironmentSeed, Seed};

/// Longer than any creation takes that succeeds.
const BEFORE: Duration = Duration::from_mins(5);

impl World {
    /// Makes the seed's environments; one that is refused is left out, with a warning.
    ///
    /// They were made by the first system administrator, whatever the licence allows now.
    pub(super) fn make_seeded(&mut self, seed: &Seed) {
        let wanted: Vec<(&str, &EnvironmentSeed)> = seed
            .document
            .projects
            .iter()
            .flat_map(|project| {
                let key = project.project_key.as_str();
                project.environments.iter().map(move |it| (key, it))
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let (clock, licence) = (self.options.clock, self.licence);
        let start = self.now();
        self.clock = start.checked_sub(BEFORE).unwrap_or(start);
        self.options.clock = ClockMode::Virtual { start: self.clock };
        self.licence = Licence::Enterprise;
        for (project, environment) in wanted {
            self.make(project, environment);
            self.advance_to(later(self.now(), Duration::from_secs(1)));
        }
        self.advance_to(start);
        (self.options.clock, self.licence) = (clock, licence);
    }

    fn make(&mut self, project: &str, environment: &EnvironmentSeed) {
        let scope = if environment.production {
            Scope::Production
        } else {
            Scope::Test
        };
        let administrator = self.users.iter().find(|user| user.system_admin).cloned();
        let user = administrator.unwrap_or_else(|| {
            Arc::new(User {
                system_admin: true,
                ..User::default()
            })
        });
        let request = Request {
            params: Vec::new(),
            query: vec![("projectKey".to_owned(), project.to_owned())],
            body: json!(environment.body).to_string(),
            user,
            scope,
        };
        let made = match scope {
            _ if self.is_helm_project(project) => self.make_helm(request, environment),
            Scope::Test => routes::create::create(self, &request),
            Scope::Production => routes::create::create_production(self, &request),
        };
        if let Err(refused) = made {
            let key = environment.body.get("env_key").unwrap_or(&Value::Null);
            tracing::warn!(project, %key, ?refused, "an environment of the seed is left out");
        }
    }

    /// A Helm environment is created empty; its services are deployed by a call of their own (Z§4.21).
    fn make_helm(&mut self, mut request: Request, environment: &EnvironmentSeed) -> Outcome {
        let mut body = environment.body.clone();
        // These routes call the key `env_name`.
        if let Some(key) = body.remove("env_key") {
            body.insert("env_name".to_owned(), key);
        }
        body.insert("production".to_owned(), json!(environment.production));
        request.body = json!(body).to_string();
        routes::helm::create(self, &request)?;
        self.advance_to(later(self.now(), Duration::from_secs(1)));
        routes::helm::add(self, &request)
    }
}
