//! The only step that reads Zadig for an environment: from wire types to [`Observed`], or an error when the view is doubtful.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use tokio::time::Instant;
use zadig_client::{EnvironmentSummary, LiveService, Pod, ServiceDetail};

use super::helm;
use super::local::Local;
use crate::api::environment::{DeployType, LiveDrift, Scope};
use crate::controller::digest::DigestKey;
use crate::controller::rendered;
use crate::controller::zadig::{Zadig, env_status, template_variable};
use crate::error::Error;
use crate::plan::environment::{
    Catalog, Desired, Detail, EnvKey, EnvStatus, Environment, Existence, GlobalVariable,
    LiveContainer, LivePod, LiveWorkload, ObservedService, Present, Service, health, live,
    memory::Memory, subject, variables,
};

/// Age at which a looked-up cluster, registry or project still counts. They change by hand, rarely.
const CATALOG_AGE: Duration = Duration::from_mins(5);
/// The same while something was not found: a person is at work.
const CATALOG_AGE_WHEN_BLOCKED: Duration = Duration::from_secs(3);
/// Age of templates: a whole project that is created at once reads them once.
const TEMPLATE_AGE: Duration = Duration::from_secs(10);
/// Time between the two lists that confirm an absence (design §2, rule 5).
const CONFIRM_AFTER: Duration = Duration::from_secs(2);

/// What one look found.
pub(in crate::controller) struct View {
    pub(in crate::controller) existence: Existence,
    pub(in crate::controller) catalog: Catalog,
}

impl Default for View {
    fn default() -> Self {
        Self {
            existence: Existence::Absent { confirmed: false },
            catalog: Catalog::default(),
        }
    }
}

/// Who looks, and for whom.
pub(in crate::controller) struct Looker<'a> {
    pub(in crate::controller) zadig: &'a Zadig,
    pub(in crate::controller) key: &'a EnvKey,
    pub(in crate::controller) digests: &'a DigestKey,
    /// Services are looked at live also where nothing is declared that only that look shows.
    pub(in crate::controller) always_live: bool,
}

impl Looker<'_> {
    /// Looks at the environment: existence always, everything that is declared when it can be changed.
    pub(in crate::controller) async fn look(
        &self,
        desired: &Desired,
        entry: Option<&EnvironmentSummary>,
        neighbours: Vec<String>,
        local: &mut Local,
        now: Timestamp,
    ) -> Result<View, Error> {
        let Some(entry) = entry else {
            return self.absent(desired, local).await;
        };
        local.absent_since = None;
        let mut word = env_status(&entry.status);
        let environment = match desired {
            Desired::Present(environment) => Some(environment),
            Desired::Absent { .. } => None,
        };
        if environment.is_some_and(|it| it.deploy_type == DeployType::Helm) {
            // Helm calls are answered with success in a project of another type, too (Z§4.21).
            let age = self.catalog_age(local);
            let project = &self.key.project;
            self.zadig
                .require_project(project, DeployType::Helm, age)
                .await?;
        }
        let mut detail = None;
        if word.can_change() || environment.is_none() {
            let looked = self.detail(environment, local).await;
            if looked.as_ref().is_err_and(Error::is_absence_shape) && !self.is_listed().await? {
                // It went between the list and the detail.
                return self.absent(desired, local).await;
            }
            let (newer, found) = looked?;
            // The list may be older than the detail: somebody else may have begun an update since.
            word = newer;
            detail = (word.can_change() || environment.is_none()).then_some(found);
        }
        let since = local.status_since(word.as_str(), now);
        let catalog = match (environment, &detail) {
            (Some(environment), Some(detail)) => {
                self.catalog(environment, Some(detail), local).await?
            }
            (Some(environment), None) if environment.cluster.is_some() => Catalog {
                clusters: self.zadig.clusters(self.catalog_age(local)).await?.to_vec(),
                ..Catalog::default()
            },
            _ => Catalog::default(),
        };
        Ok(View {
            existence: Existence::Present(Box::new(Present {
                status: word,
                since,
                cluster_id: entry.cluster_id.clone(),
                namespace: entry.namespace.clone(),
                update_time: entry.update_time,
                neighbours,
                detail,
            })),
            catalog,
        })
    }

    /// Whether a list that is sent now shows the environment.
    async fn is_listed(&self) -> Result<bool, Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = self.key;
        let list = self.zadig.list(*scope, project, Instant::now()).await?;
        Ok(list.environments.contains_key(env))
    }

    /// Not listed. That is absence only when the detail is missing too: any valid token may read it, while a list without
    /// permission is empty (Z§1.2, Z§14.9).
    async fn absent(&self, desired: &Desired, local: &mut Local) -> Result<View, Error> {
        let EnvKey { project, .. } = self.key;
        self.zadig.require_absent(self.key).await?;
        let first = *local.absent_since.get_or_insert_with(Instant::now);
        let confirmed = first.elapsed() >= CONFIRM_AFTER;
        let catalog = match desired {
            Desired::Present(environment) => {
                self.zadig
                    .require_project(project, environment.deploy_type, self.catalog_age(local))
                    .await?;
                let mut catalog = self.catalog(environment, None, local).await?;
                catalog.key_taken = self.is_key_taken(local).await?;
                catalog
            }
            Desired::Absent { .. } => Catalog::default(),
        };
        Ok(View {
            existence: Existence::Absent { confirmed },
            catalog,
        })
    }

    /// Whether the key stands for an environment of the other scope. A test environment asks only when its creation was refused:
    /// there are thousands of those, and the refusal does no harm.
    async fn is_key_taken(&self, local: &Local) -> Result<bool, Error> {
        if self.key.scope == Scope::Production || local.memory.is_refused(subject::ENVIRONMENT) {
            self.zadig.is_key_taken(self.key).await
        } else {
            Ok(false)
        }
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the looker")]
    fn catalog_age(&self, local: &Local) -> Duration {
        if local.blocked {
            CATALOG_AGE_WHEN_BLOCKED
        } else {
            CATALOG_AGE
        }
    }

    /// What has to be looked up by name, and nothing else.
    async fn catalog(
        &self,
        environment: &Environment,
        detail: Option<&Detail>,
        local: &Local,
    ) -> Result<Catalog, Error> {
        let EnvKey { project, scope, .. } = self.key;
        let scope = *scope;
        let age = self.catalog_age(local);
        let creating = detail.is_none();
        let mut catalog = Catalog::default();
        if creating || environment.cluster.is_some() {
            catalog.clusters = self.zadig.clusters(age).await?.to_vec();
        }
        if creating || environment.registry.is_some() {
            catalog.registries = self.zadig.registries(age).await?.to_vec();
        }
        let stored = detail.map(|detail| &detail.global_variables);
        let unknown_global = environment
            .global_variables
            .keys()
            .any(|key| stored.is_none_or(|stored| !stored.contains_key(key)));
        // In production the stored ones show the options of test variables (Z§9, 15).
        let untold = scope == Scope::Production && !environment.global_variables.is_empty();
        if unknown_global || untold {
            let declared = self.zadig.declared_variables(scope, project, age).await?;
            catalog.global_variables = declared.to_vec();
        }
        if detail.is_some_and(|detail| has_lost(environment, detail)) {
            // A service that is taken out has to be addable again.
            let known = self.zadig.templates(scope, project, age).await?;
            catalog.services = known.keys().cloned().collect();
        }
        // The catalogue has no charts (Z§15): an unknown one is refused by the call itself (Z§4.21).
        let has_templates = environment.deploy_type == DeployType::KubernetesYaml;
        let new: Vec<&String> = environment
            .services
            .keys()
            .filter(|_| has_templates)
            .filter(|name| detail.is_none_or(|detail| !detail.services.contains_key(*name)))
            .collect();
        if !new.is_empty() {
            let age = age.min(TEMPLATE_AGE);
            let known = self.zadig.templates(scope, project, age).await?;
            catalog.services = known.keys().cloned().collect();
            for name in new {
                // A name that the project does not have is not asked for: the answer would be an error like any other.
                let Some(containers) = known.get(name) else {
                    continue;
                };
                let found = self.zadig.template(scope, project, name, age).await?;
                let mut template = found.template.clone();
                template.containers.extend(containers.iter().cloned());
                template.digest = self.digests.digest([found.yaml.as_str()]);
                catalog.templates.insert(name.clone(), template);
            }
        }
        Ok(catalog)
    }

    /// The thorough look: one call for the environment, and one or two for each service of which something is declared that
    /// only they show.
    async fn detail(
        &self,
        environment: Option<&Environment>,
        local: &mut Local,
    ) -> Result<(EnvStatus, Detail), Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = self.key;
        let found = self
            .zadig
            .client
            .environment((*scope).into(), project, env)
            .await
            .map_err(Error::zadig(format!(
                "read environment {env} of project {project}"
            )))?;
        let word = env_status(&found.status);
        let mut detail = Detail {
            alias: found.alias,
            creation_failed: word == EnvStatus::Failed
                && found
                    .services
                    .iter()
                    .all(|it| !helm::is_helm(it) && it.containers.is_empty()),
            registry_id: found.registry_id,
            global_variables: found
                .global_variables
                .into_iter()
                .map(|variable| {
                    let stored = GlobalVariable {
                        value: variable.value,
                        kind: variable.kind.as_str().to_owned(),
                        options: variable.options,
                        description: variable.desc,
                        related: variable.related_services.into_iter().collect(),
                    };
                    (variable.key, stored)
                })
                .collect(),
            services: BTreeMap::new(),
            sharing: None,
        };
        let mut calls = 1;
        let (memory, globals) = (&local.memory, &detail.global_variables);
        let services = found.services.into_iter().map(|service| {
            let declared =
                environment.and_then(|environment| environment.services.get(&service.service_name));
            let live_drift = environment.map(|it| it.live_drift).unwrap_or_default();
            let place = (found.namespace.as_str(), globals);
            self.service(service, declared, place, memory, live_drift)
        });
        let services = try_join_all(services).await?;
        for (name, service, spent) in services {
            calls += spent;
            detail.services.insert(name, service);
        }
        local.calls_per_look = calls;
        Ok((word, detail))
    }

    async fn service(
        &self,
        found: ServiceDetail,
        declared: Option<&Service>,
        (namespace, globals): (&str, &BTreeMap<String, GlobalVariable>),
        memory: &Memory,
        live_drift: LiveDrift,
    ) -> Result<(String, ObservedService, usize), Error> {
        if helm::is_helm(&found) {
            return self.release(found, declared).await;
        }
        let name = found.service_name;
        let status = found.status.as_str().to_owned();
        let mut service = ObservedService {
            images: found
                .containers
                .into_iter()
                .filter(|container| container.kind.is_empty())
                .map(|container| (container.name, container.image))
                .collect(),
            template: found
                .template_variables
                .iter()
                .map(template_variable)
                .collect(),
            status,
            ..ObservedService::default()
        };
        let mut calls = 0;
        let Some(declared) = declared else {
            return Ok((name, service, calls));
        };
        let unhealthy = !health::is_healthy_word(&service.status);
        let known = memory.applied.get(&name);
        let rolling = memory.before.contains_key(&name)
            || known.is_some_and(|known| !known.rollouts.is_empty());
        let repairs = live_drift == LiveDrift::Repair;
        // How it is restarted depends on its workloads.
        let restarts = known.is_some_and(|known| known.restart_token != declared.restart_token)
            && declared.restart_token.is_some();
        if self.always_live
            || repairs
            || unhealthy
            || rolling
            || restarts
            || !declared.containers.is_empty()
            || !declared.workloads.is_empty()
        {
            service.live = Some(self.live(&name).await?);
            calls += 1;
        }
        let lost = service
            .live
            .as_ref()
            .is_some_and(|live| missing(declared, live) || unhealthy);
        let mut yaml = None;
        if lost || repairs || !declared.variables.is_empty() {
            calls += 1;
            yaml = self.yaml(&name).await?;
            if let Some(rendered) = yaml.as_deref().and_then(rendered::read) {
                let digest = |text: String| self.digests.digest([text.as_str()]);
                service.record = rendered.record;
                service.expected = Some(
                    rendered
                        .workloads
                        .into_iter()
                        .map(|(workload, text)| (workload, text.map(digest)))
                        .collect(),
                );
                if !declared.variables.is_empty() {
                    service.rendered = Some(
                        self.digests
                            .digest(rendered.normal.iter().map(String::as_str)),
                    );
                }
            }
        }
        let may_send = !declared.variables.is_empty()
            && (variables::bindings_differ(&name, declared, globals)
                || known.is_none_or(|known| {
                    known.variables != declared.digest
                        || (known.rendered.is_some() && known.rendered != service.rendered)
                }));
        let brings_back = repairs && !live::missing(&service).is_empty();
        if may_send || brings_back {
            // Either also moves the service to the newest template (Z§4.11): the plan says so.
            let template = self
                .zadig
                .template(self.key.scope, &self.key.project, &name, TEMPLATE_AGE)
                .await?;
            service.template_digest = Some(self.digests.digest([template.yaml.as_str()]));
            if !may_send {
                return Ok((name, service, calls));
            }
            // Or it is not needed, as the values are as declared already.
            let EnvKey { project, env, .. } = self.key;
            let place = rendered::Place {
                project,
                env,
                namespace,
                service: &name,
            };
            service.told = yaml
                .map(|yaml| rendered::values(&template.yaml, &yaml, place))
                .unwrap_or_default();
            if service.live.is_none() && !variables::are_so(declared, &service) {
                // Whether what is sent reaches the pods is judged by those that are there before.
                service.live = Some(self.live(&name).await?);
                calls += 1;
            }
        }
        Ok((name, service, calls))
    }

    async fn yaml(&self, service: &str) -> Result<Option<String>, Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = self.key;
        self.zadig
            .client
            .service_yaml((*scope).into(), project, env, service)
            .await
            .map_err(Error::zadig(format!(
                "read the YAML of service {service} in {env}"
            )))
    }

    async fn live(&self, service: &str) -> Result<Vec<LiveWorkload>, Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = self.key;
        let found = self
            .zadig
            .client
            .service((*scope).into(), project, env, service, None)
            .await
            .map_err(Error::zadig(format!("read service {service} in {env}")))?;
        Ok(live_workloads(found))
    }
}

/// Whether the cluster lost something that is to be repaired.
fn has_lost(environment: &Environment, detail: &Detail) -> bool {
    let mut services = environment.services.keys();
    environment.live_drift == LiveDrift::Repair
        && services.any(|name| {
            let seen = detail.services.get(name);
            seen.is_some_and(|seen| !live::missing(seen).is_empty())
        })
}

/// Whether a declared container or workload is not to be seen.
fn missing(declared: &Service, live: &[LiveWorkload]) -> bool {
    declared
        .containers
        .keys()
        .any(|name| !live.iter().any(|w| w.images.contains_key(name)))
        || declared.workloads.keys().any(|(kind, name)| {
            !live
                .iter()
                .any(|w| w.kind == format!("{kind:?}") && &w.name == name)
        })
}

fn live_workloads(found: LiveService) -> Vec<LiveWorkload> {
    let scalable = found.workloads.into_iter().map(|workload| LiveWorkload {
        kind: workload.kind,
        name: workload.name,
        replicas: Some(workload.replicas),
        ready: i32::try_from(workload.pods.iter().filter(|pod| pod.pod_ready).count())
            .unwrap_or(i32::MAX),
        pods: workload
            .pods
            .iter()
            .filter(|pod| pod.status != "Succeeded")
            .map(live_pod)
            .collect(),
        newest_pod: workload.pods.iter().map(|pod| pod.create_time).max(),
        oldest_ready_pod: workload
            .pods
            .iter()
            .filter(|pod| pod.pod_ready)
            .map(|pod| pod.create_time)
            .min(),
        images: workload
            .images
            .into_iter()
            .map(|c| (c.name, c.image))
            .collect(),
    });
    let jobs = found.cron_jobs.into_iter().map(|job| LiveWorkload {
        kind: "CronJob".to_owned(),
        name: job.name,
        replicas: None,
        ready: 0,
        pods: Vec::new(),
        newest_pod: None,
        oldest_ready_pod: None,
        images: job.images.into_iter().map(|c| (c.name, c.image)).collect(),
    });
    scalable.chain(jobs).collect()
}

fn live_pod(pod: &Pod) -> LivePod {
    let unready = pod.containers.iter().filter(|it| !it.ready);
    LivePod {
        name: pod.name.clone(),
        ready: pod.pod_ready,
        created: pod.create_time,
        unready: unready
            .map(|container| LiveContainer {
                name: container.name.clone(),
                state: container.status.clone(),
                restarts: container.restart_count,
                reason: container.reason.clone(),
                message: container.message.clone(),
            })
            .collect(),
        message: pod.containers_message.clone(),
    }
}

/// Other environments of the project in the same cluster and namespace.
pub(in crate::controller) fn neighbours(
    list: &BTreeMap<String, EnvironmentSummary>,
    entry: &EnvironmentSummary,
) -> Vec<String> {
    let others: BTreeSet<&String> = list
        .values()
        .filter(|other| {
            other.env_key != entry.env_key
                && other.cluster_id == entry.cluster_id
                && other.namespace == entry.namespace
        })
        .map(|other| &other.env_key)
        .collect();
    others.into_iter().cloned().collect()
}

/// Where the environment lives in Zadig's pages; in production, its project.
pub(in crate::controller) fn page(zadig: &Arc<Zadig>, key: &EnvKey) -> String {
    let base = zadig
        .client
        .base_url()
        .as_str()
        .trim_end_matches('/')
        .to_owned();
    let project = format!("{base}/v1/projects/detail/{}", key.project);
    match key.scope {
        Scope::Test => format!("{project}/envs/detail?envName={}", key.env),
        Scope::Production => format!("{project}/detail"),
    }
}
