//! What the demo applies: the samples of `deploy/samples`, or for a real Zadig the project of the recordings.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::json;
use xtask::paths;

use crate::objects::{self, ENVIRONMENT};
use crate::stage::variable;

/// Environments for a project seeded as `tests/golden/seed` says.
const FOR_REAL: &str = include_str!("golden.yaml");

/// What is played.
#[derive(Debug)]
pub(super) struct Script {
    /// Where the simulator starts from.
    pub(super) seed: PathBuf,
    /// The environments.
    pub(super) environments: Vec<DynamicObject>,
    /// Key of their project.
    pub(super) project: String,
    /// What the keys of environments end in that nobody else uses; empty in a simulator.
    pub(super) tag: String,
}

/// A container whose image is declared, where somebody may set another one.
#[derive(Debug)]
pub(super) struct Target {
    /// Name of the environment object.
    pub(super) object: String,
    /// Key of the environment.
    pub(super) env: String,
    /// Name of the service and of its Deployment.
    pub(super) service: String,
    /// Name of the container.
    pub(super) container: String,
    /// The declared image.
    pub(super) image: String,
}

impl Script {
    /// The samples, in the simulator's demo project.
    pub(super) fn for_simulator() -> Result<Self> {
        let root = paths::workspace();
        let samples = objects::read(&root.join("deploy/samples"))?;
        Self::new(
            samples,
            root.join("crates/zadig-sim/seeds/demo"),
            String::new(),
        )
    }

    /// The project of the recordings, or the one of `ZADIG_PROJECT`.
    pub(super) fn for_real(tag: &str) -> Result<Self> {
        let mut environments = objects::parse(FOR_REAL)?;
        for environment in &mut environments {
            let spec = &mut environment.data["spec"];
            if let Some(project) = variable("ZADIG_PROJECT") {
                spec["projectKey"] = project.into();
            }
            if let Some(id) = variable("ZADIG_CLUSTER_ID") {
                spec["cluster"] = json!({"id": id});
            }
            if let Some(id) = variable("ZADIG_REGISTRY_ID") {
                spec["registry"] = json!({"id": id});
            }
            let key = objects::text(spec, &["envKey"]).context("an environment has a key")?;
            spec["envKey"] = format!("{key}-{tag}").into();
        }
        Self::new(environments, PathBuf::new(), format!("-{tag}"))
    }

    fn new(objects: Vec<DynamicObject>, seed: PathBuf, tag: String) -> Result<Self> {
        // What is only observed would have to be there already, and what is approved waits for a person.
        let is_environment = |object: &DynamicObject| {
            let types = object.types.as_ref();
            types.is_some_and(|types| types.kind == ENVIRONMENT)
                && object.data["spec"]["management"].is_null()
        };
        // One that needs objects of other kinds, or a namespace of its own, is none of the demo's.
        let stands_alone = |object: &DynamicObject| {
            let spec = &object.data["spec"];
            spec["configRefs"].is_null()
                && !spec.to_string().contains("\"valueFrom\":")
                && object.metadata.namespace.is_none()
        };
        let mut environments: Vec<DynamicObject> = objects
            .into_iter()
            .filter(|object| is_environment(object) && stands_alone(object))
            .collect();
        let first = environments
            .first()
            .context("there is no environment to show")?;
        let project_of =
            |object: &DynamicObject| objects::text(&object.data, &["spec", "projectKey"]);
        let project = project_of(first).context("no project")?;
        // One project is shown.
        environments.retain(|environment| project_of(environment).as_ref() == Some(&project));
        Ok(Self {
            seed,
            environments,
            project,
            tag,
        })
    }

    /// The first container with a declared image.
    pub(super) fn target(&self) -> Result<Target> {
        let found = self.environments.iter().find_map(|environment| {
            let spec = &environment.data["spec"];
            let service = spec["services"].as_array()?.iter().find(|service| {
                service["containers"]
                    .as_array()
                    .is_some_and(|c| !c.is_empty())
            })?;
            let container = &service["containers"][0];
            Some(Target {
                object: environment.name_any(),
                env: objects::text(spec, &["envKey"])?,
                service: objects::text(service, &["name"])?,
                container: objects::text(container, &["name"])?,
                image: objects::text(container, &["image"])?,
            })
        });
        found.context("no environment declares an image")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_on_a_real_zadig_are_those_of_one_run() {
        let script = Script::for_real("abc").unwrap();
        let keys: Vec<String> = script
            .environments
            .iter()
            .filter_map(|environment| objects::text(&environment.data, &["spec", "envKey"]))
            .collect();
        assert_eq!(keys, ["dev-abc", "qa-abc"]);
        assert_eq!(script.target().unwrap().env, "dev-abc");
    }
}
