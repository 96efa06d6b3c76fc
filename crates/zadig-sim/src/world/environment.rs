//! Environments: their records, what is rendered for them and applied to a cluster (Z§4.4, Z§4.11).

use std::collections::BTreeMap;

use serde_json::Value;

use super::helm::Source;
use super::sleep::Asleep;
use super::{Key, Revision, Service, World};
use crate::helm::Overrides;
use crate::kube::validate;
use crate::render::{self, Container, Input, Place, id_of};
use crate::reply::Fail;
use crate::scope::Scope;
use crate::variables::{self, Bound, EnumCheck, Global, Variable};
use crate::world::share::Share;

/// The words for "this environment cannot be changed now" (Z§2.3).
const BUSY: &str = "更新环境失败: 环境正处于不能更新的状态";

/// An environment as Zadig records it.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) life: u64,
    pub(crate) project: String,
    pub(crate) key: String,
    pub(crate) scope: Scope,
    pub(crate) source: Source,
    pub(crate) share: Share,
    /// The display name; empty is none.
    pub(crate) alias: String,
    pub(crate) cluster_id: String,
    /// What `$ClusterName$` stands for, from 5.0 on (Z§12).
    pub(crate) cluster_name: Option<String>,
    pub(crate) namespace: String,
    pub(crate) registry_id: String,
    pub(crate) status: String,
    pub(crate) update_by: String,
    pub(crate) update_time: i64,
    pub(crate) globals: Vec<Global>,
    pub(crate) services: Vec<Deployed>,
    /// What waking puts back.
    pub(crate) asleep: Option<Asleep>,
}

/// A service in an environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployed {
    pub(crate) name: String,
    pub(crate) revision: Revision,
    pub(crate) variables: Vec<Bound>,
    /// Images that differ from the revision's, by container.
    pub(crate) images: BTreeMap<String, String>,
    /// Replicas that scaling set, by `Kind/name` (Z§4.15).
    pub(crate) replicas: BTreeMap<String, i64>,
    /// Containers as the detail shows them; empty until a creation ends well (Z§4.2).
    pub(crate) containers: Vec<Container>,
    /// What was last applied.
    pub(crate) applied: Vec<Value>,
    /// What a chart is deployed with.
    pub(crate) overrides: Overrides,
}

impl Deployed {
    /// A service of this template revision, as it is before anything is set or applied.
    pub(crate) fn of(name: &str, revision: Revision) -> Self {
        Self {
            name: name.to_owned(),
            revision,
            variables: Vec::new(),
            images: BTreeMap::new(),
            replicas: BTreeMap::new(),
            containers: Vec::new(),
            applied: Vec::new(),
            overrides: Overrides::default(),
        }
    }
}

impl Environment {
    pub(crate) fn service(&self, name: &str) -> Option<&Deployed> {
        self.services.iter().find(|service| service.name == name)
    }

    pub(crate) fn service_mut(&mut self, name: &str) -> Option<&mut Deployed> {
        self.services
            .iter_mut()
            .find(|service| service.name == name)
    }

    /// Records a service, in place of what was recorded under its name.
    pub(crate) fn put(&mut self, service: Deployed) {
        match self.service_mut(&service.name) {
            Some(known) => *known = service,
            None => self.services.push(service),
        }
    }

    /// The objects of one of its services.
    pub(crate) fn render(
        &self,
        service: &Deployed,
        check: EnumCheck,
    ) -> Result<Vec<Value>, String> {
        let variables = service.values();
        let place = Place {
            project: &self.project,
            env: &self.key,
            namespace: &self.namespace,
            service: &service.name,
            cluster: self.cluster_name.as_deref(),
        };
        let input = Input {
            text: &service.revision.text,
            variables: &variables,
            images: &service.images,
            replicas: &service.replicas,
        };
        render::objects(place, input, check)
    }

    /// The objects of one of its services as far as they can be rendered: what Zadig looks for in the cluster (Z§4.3).
    pub(crate) fn objects(&self, service: &Deployed) -> Vec<Value> {
        self.render(service, EnumCheck::Lenient).unwrap_or_default()
    }
}

impl Deployed {
    fn values(&self) -> Vec<Variable> {
        let variables = self.variables.iter();
        variables.map(|bound| bound.variable.clone()).collect()
    }

    /// Whether the values fit the types of the variables.
    ///
    /// The error names the variable.
    pub(crate) fn check_values(&self, check: EnumCheck) -> Result<(), String> {
        variables::values(&self.values(), check).map(drop)
    }

    /// Copies the values of global variables to the variables that are bound to them (Z§4.11 rule 4).
    ///
    /// The copy is what is rendered: a later change of the global variable has to be copied anew.
    pub(crate) fn bind(&mut self, globals: &[Global]) {
        for bound in self.variables.iter_mut().filter(|b| b.use_global_variable) {
            let key = &bound.variable.key;
            if let Some(global) = globals.iter().find(|g| &g.variable.key == key) {
                bound.variable.value.clone_from(&global.variable.value);
            }
        }
    }
}

impl World {
    /// A project's environment of one kind; the routes of the other kind do not find it (Z§9 no. 16).
    pub(crate) fn environment_in(
        &self,
        scope: Scope,
        project: &str,
        env: &str,
    ) -> Option<&Environment> {
        self.environment(project, env)
            .filter(|environment| environment.scope == scope)
    }

    /// The same, to be changed.
    pub(crate) fn environment_in_mut(
        &mut self,
        scope: Scope,
        project: &str,
        env: &str,
    ) -> Option<&mut Environment> {
        self.environment_mut(project, env)
            .filter(|environment| environment.scope == scope)
    }

    /// A project's environment, whichever its kind; `None` for an unknown one.
    pub(crate) fn environment(&self, project: &str, env: &str) -> Option<&Environment> {
        self.environments.get(&(project.to_owned(), env.to_owned()))
    }

    /// An environment by project and name. An empty one is no condition, so the first one in storage is found (Z§2.2 no. 8).
    ///
    /// Without a scope the kind does not count.
    pub(crate) fn environment_or_first(
        &self,
        scope: Option<Scope>,
        project: &str,
        env: &str,
    ) -> Option<&Environment> {
        let fits = |environment: &&Environment| {
            (project.is_empty() || environment.project == project)
                && (env.is_empty() || environment.key == env)
                && scope.is_none_or(|scope| environment.scope == scope)
        };
        let all = self.environments.values().filter(fits);
        all.min_by_key(|environment| environment.life)
    }

    pub(crate) fn environment_mut(&mut self, project: &str, env: &str) -> Option<&mut Environment> {
        self.environments
            .get_mut(&(project.to_owned(), env.to_owned()))
    }

    /// A service of a fresh environment or an added one: template values, then the sent ones over them.
    pub(crate) fn fresh_service(
        templates: &BTreeMap<String, Service>,
        name: &str,
        sent: &[Bound],
        images: BTreeMap<String, String>,
        keep_unknown: bool,
    ) -> Option<Deployed> {
        let revision = templates.get(name)?.revisions.last()?.clone();
        let mut variables: Vec<Bound> = revision
            .variables
            .iter()
            .map(
                |template| match sent.iter().find(|bound| bound.variable.key == template.key) {
                    Some(bound) => Bound {
                        variable: Variable {
                            value: bound.variable.value.clone(),
                            ..template.clone()
                        },
                        use_global_variable: bound.use_global_variable,
                    },
                    None => Bound {
                        variable: template.clone(),
                        use_global_variable: false,
                    },
                },
            )
            .collect();
        if keep_unknown {
            let unknown = sent.iter().filter(|bound| {
                revision
                    .variables
                    .iter()
                    .all(|template| template.key != bound.variable.key)
            });
            variables.extend(unknown.cloned());
        }
        Some(Deployed {
            variables,
            images,
            ..Deployed::of(name, revision)
        })
    }

    /// Applies a service's objects: those whose text changed since the last time, as a patch (Z§4.11). Whether all were taken.
    pub(crate) fn apply_service(&mut self, env: &Key, service: &str) -> bool {
        let Some(environment) = self.environments.get(env) else {
            return false;
        };
        let Some(deployed) = environment.service(service) else {
            return false;
        };
        let Ok(objects) = environment.render(deployed, EnumCheck::Lenient) else {
            return false;
        };
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let before = deployed.applied.clone();
        let seconds = self.now().as_second();
        let (project, key) = (env.0.clone(), env.1.clone());
        let scope = environment.scope;
        let dress = |object: &Value| {
            let mut object = object.clone();
            if scope == Scope::Test {
                render::inject(&mut object, &project, service, Some(&key));
            }
            render::inject_pull_secret(&mut object);
            object
        };
        let ok = self
            .in_cluster(&cluster, |kube, cx| {
                let mut ok = true;
                for object in &objects {
                    let old = before.iter().find(|old| id_of(old) == id_of(object));
                    if old == Some(object) {
                        continue;
                    }
                    let mut new = dress(object);
                    render::stamp(&mut new, seconds);
                    let old = old.map(dress);
                    let (kind, name) = kind_and_name(object);
                    if kind == "Job" {
                        // Jobs cannot be changed: they are made anew (Z§5.5).
                        kube.remove(&namespace, &kind, &name);
                    }
                    ok &= kube
                        .create_or_patch(cx, &namespace, old.as_ref(), &new)
                        .is_ok();
                }
                for old in &before {
                    if objects.iter().all(|object| id_of(object) != id_of(old)) {
                        let (kind, name) = kind_and_name(old);
                        kube.remove(&namespace, &kind, &name);
                    }
                }
                ok
            })
            .unwrap_or(false);
        if let Some(deployed) = self
            .environments
            .get_mut(env)
            .and_then(|e| e.service_mut(service))
        {
            deployed.applied = objects;
        }
        ok
    }

    /// Whether add and update are taken now (Z§7.2).
    pub(crate) fn check_updatable(environment: &Environment) -> Result<(), Fail> {
        match environment.status.as_str() {
            "creating" | "updating" | "deleting" => Err(Fail::multi(BUSY)),
            "sleeping" => Err(Fail::multi("更新环境失败: environment is sleeping")),
            _ => Ok(()),
        }
    }

    /// Every workload of the environment has to decode before anything is stored (Z§4.11).
    pub(crate) fn check_decodable(environment: &Environment) -> Result<(), Fail> {
        for service in &environment.services {
            let objects = environment
                .render(service, EnumCheck::Lenient)
                .map_err(|error| Fail::multi(format!("更新环境失败: {error}")))?;
            for object in &objects {
                let (kind, _) = kind_and_name(object);
                if matches!(kind.as_str(), "Deployment" | "StatefulSet" | "CloneSet") {
                    validate::decode(&kind, object).map_err(|error| {
                        Fail::multi(format!(
                            "更新环境失败: failed to reconcile replica overrides for service {}: unmarshal {kind} error: {error}",
                            service.name
                        ))
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Kind and name of an object.
pub(crate) fn kind_and_name(object: &Value) -> (String, String) {
    (
        object["kind"].as_str().unwrap_or("").to_owned(),
        object["metadata"]["name"].as_str().unwrap_or("").to_owned(),
    )
}
