//! One action, one call: nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use zadig_client::{
    Client, Container, CreateEnvironment, EditEnvironment, ErrorClass, GlobalVariable,
    InitialEnvConfig, NewGitSource, NewGlobalVariable, NewService, Portal, Resources, Scale,
    ServiceChange, SubEnvironment, UpdateImage, Variable as WireVariable, VariableType,
    WorkloadKind,
};

use super::helm;
use crate::api::env_config::GitFile;
use crate::api::environment::{DeployType, PortalServer, WorkloadKind as DeclaredKind};
use crate::controller::env_config;
use crate::controller::zadig::Zadig;
use crate::error::Error;
use crate::plan::env_config::Config;
use crate::plan::environment::variables::typed;
use crate::plan::environment::{Action, EnvKey, Variable, VariableValue};
use crate::plan::secret::SecretText;

/// Sends one action to Zadig.
///
/// # Errors
/// What the call answers. [`Error::outcome_unknown`] tells whether it may have taken effect.
pub(super) async fn send(zadig: &Zadig, key: &EnvKey, action: &Action) -> Result<(), Error> {
    let EnvKey {
        project,
        env,
        scope,
    } = key;
    let scope = (*scope).into();
    let client = &zadig.client;
    let failed = Error::zadig(action.summary());
    let sending = zadig.server().secrets.sending(&values(action));
    let sent = match action {
        // Written to Kubernetes by the driver.
        Action::RecordOwnership(_) | Action::NoteRestore { .. } => Ok(()),
        Action::CreateEnvironment(create) if create.deploy_type == DeployType::Helm => {
            helm::create(zadig, key, create).await
        }
        Action::CreateEnvironment(create) => {
            let body = CreateEnvironment {
                env_key: env.clone(),
                alias: create.alias.clone().unwrap_or_default(),
                cluster_id: create.cluster_id.clone(),
                namespace: create.namespace.clone(),
                registry_id: create.registry_id.clone(),
                global_variables: create
                    .global_variables
                    .iter()
                    .map(|(key, value)| NewGlobalVariable {
                        key: key.clone(),
                        value: value.expose().into(),
                    })
                    .collect(),
                services: create
                    .services
                    .iter()
                    .map(|(name, (variables, images))| NewService {
                        service_name: name.clone(),
                        containers: images
                            .iter()
                            .map(|(container, image)| Container {
                                name: container.clone(),
                                image: image.clone(),
                                ..Container::default()
                            })
                            .collect(),
                        variables: variables.iter().map(wire).collect(),
                    })
                    .collect(),
                env_configs: create.configs.iter().map(initial).collect(),
                sub_env: create.base.as_ref().map(|base| SubEnvironment {
                    enable: true,
                    base_env: base.clone(),
                }),
            };
            client.create_environment(scope, project, &body).await
        }
        Action::SetRegistry { registry_id, alias } => {
            let edit = EditEnvironment {
                registry_id: Some(registry_id.clone()),
                alias: alias.clone(),
            };
            client.edit_environment(scope, project, env, &edit).await
        }
        Action::SetAlias { alias } => {
            let edit = EditEnvironment {
                registry_id: None,
                alias: Some(alias.clone()),
            };
            client.edit_environment(scope, project, env, &edit).await
        }
        Action::PutGlobalVariables { variables, .. } => {
            let all: Vec<GlobalVariable> = variables
                .iter()
                .map(|(key, variable)| GlobalVariable {
                    key: key.clone(),
                    value: variable.value.clone(),
                    kind: kind(&variable.kind),
                    options: variable.options.clone(),
                    desc: variable.description.clone(),
                    related_services: variable.related.iter().cloned().collect(),
                })
                .collect();
            client.put_global_variables(scope, project, env, &all).await
        }
        Action::RemoveServices { services } => {
            let names: Vec<&String> = services.iter().collect();
            client
                .delete_services(scope, project, env, &names, Resources::Delete)
                .await
        }
        Action::TakeOut { service, .. } => {
            client
                .delete_services(scope, project, env, &[service], Resources::Keep)
                .await
        }
        Action::UpdateServices { services, .. } => {
            client
                .update_services(scope, project, env, &changes(services))
                .await
        }
        Action::AddServices { services, .. } => {
            client
                .add_services(scope, project, env, &changes(services))
                .await
        }
        Action::DeployReleases { services } => {
            let operation = action.summary();
            let sent = helm::deploy(zadig, key, services, operation).await;
            sending.answered(&sent);
            return sent;
        }
        Action::SetImage {
            service,
            kind,
            workload,
            container,
            image,
            ..
        } => {
            let kind = match kind.parse::<WorkloadKind>() {
                Ok(kind) => kind,
                // The name came from Zadig's answer; a kind that has no image route is never planned for.
                Err(_) => WorkloadKind::Deployment,
            };
            let update = UpdateImage {
                env_key: env.clone(),
                service_name: service.clone(),
                workload_name: workload.clone(),
                container_name: container.clone(),
                image: image.clone(),
            };
            client.update_image(kind, project, &update).await
        }
        Action::ScaleWorkload {
            service,
            kind,
            workload,
            replicas,
            ..
        } => {
            let scale = Scale {
                env_key: env.clone(),
                service_name: service.clone(),
                workload_name: workload.clone(),
                workload_kind: match kind {
                    DeclaredKind::Deployment => WorkloadKind::Deployment,
                    DeclaredKind::StatefulSet => WorkloadKind::StatefulSet,
                },
                replicas: u32::try_from(*replicas).unwrap_or_default(),
            };
            client.scale(project, &scale).await
        }
        Action::RestartService { service, pods, .. } if pods.is_empty() => {
            client.restart_service(scope, project, env, service).await
        }
        Action::RestartService { service, pods, .. } => restart(client, key, service, pods).await,
        Action::EnableSharing => client.enable_sharing(project, env).await,
        Action::DisableSharing => client.disable_sharing(project, env).await,
        Action::SetPortal { service, servers } => {
            let servers: Vec<Portal> = servers.iter().map(portal).collect();
            client.set_portal(project, env, service, &servers).await
        }
        Action::DeleteEnvironment { keep_resources } => {
            let resources = if *keep_resources {
                Resources::Keep
            } else {
                Resources::Delete
            };
            client
                .delete_environment(scope, project, env, resources)
                .await
        }
    };
    sending.answered(&sent);
    sent.map_err(failed)
}

/// Restarts the pods of a service. One that is gone meanwhile needs no restart.
async fn restart(
    client: &Client,
    EnvKey {
        project,
        env,
        scope,
    }: &EnvKey,
    service: &str,
    pods: &BTreeSet<String>,
) -> Result<(), zadig_client::Error> {
    for pod in pods {
        let restarted = client.restart_pod((*scope).into(), project, env, service, pod);
        match restarted.await {
            Err(error) if error.class() == ErrorClass::Rejected => {}
            answer => answer?,
        }
    }
    Ok(())
}

fn initial(config: &Config) -> InitialEnvConfig {
    InitialEnvConfig {
        name: config.name.clone(),
        kind: env_config::kind(config.kind),
        yaml_data: config.text(),
        auto_sync: config.git.as_ref().is_some_and(|git| git.auto_sync),
        git_repo_config: config.git.as_ref().map(git_source),
    }
}

fn git_source(git: &GitFile) -> NewGitSource {
    let GitFile {
        codehost_id,
        owner,
        repo,
        branch,
        path,
        auto_sync: _,
    } = git.clone();
    NewGitSource {
        codehost_id,
        owner,
        repo,
        branch,
        values_paths: vec![path],
    }
}

fn portal(server: &PortalServer) -> Portal {
    Portal {
        host: server.host.clone(),
        port: u32::try_from(server.port).unwrap_or_default(),
        protocol: server.protocol.as_str().to_owned(),
    }
}

/// The values that an action sends and that may be secrets: Zadig's refusals can repeat them.
fn values(action: &Action) -> Vec<&str> {
    fn of(variables: &[VariableValue]) -> impl Iterator<Item = &str> {
        variables
            .iter()
            .filter_map(|variable| match &variable.value {
                Variable::Value(text) => Some(text.expose()),
                Variable::Global => None,
            })
    }
    match action {
        Action::CreateEnvironment(create) => {
            let globals = create.global_variables.values().map(SecretText::expose);
            globals
                .chain(
                    create
                        .services
                        .values()
                        .flat_map(|(variables, _)| of(variables)),
                )
                .chain(create.configs.iter().flat_map(Config::values))
                .collect()
        }
        Action::PutGlobalVariables { variables, .. } => variables
            .values()
            .filter_map(|variable| variable.value.as_str())
            .collect(),
        Action::UpdateServices { services, .. } | Action::AddServices { services, .. } => services
            .values()
            .flat_map(|variables| of(variables))
            .collect(),
        Action::DeployReleases { services } => services.values().flat_map(helm::secrets).collect(),
        Action::RecordOwnership(_)
        | Action::NoteRestore { .. }
        | Action::TakeOut { .. }
        | Action::SetRegistry { .. }
        | Action::SetAlias { .. }
        | Action::RemoveServices { .. }
        | Action::SetImage { .. }
        | Action::ScaleWorkload { .. }
        | Action::RestartService { .. }
        | Action::EnableSharing
        | Action::DisableSharing
        | Action::SetPortal { .. }
        | Action::DeleteEnvironment { .. } => Vec::new(),
    }
}

fn changes(services: &BTreeMap<String, Vec<VariableValue>>) -> Vec<ServiceChange> {
    services
        .iter()
        .map(|(name, variables)| ServiceChange {
            service_name: name.clone(),
            variables: variables.iter().map(wire).collect(),
        })
        .collect()
}

fn wire(variable: &VariableValue) -> WireVariable {
    match &variable.value {
        Variable::Value(text) => WireVariable::own(
            &variable.key,
            typed(text, &variable.kind),
            kind(&variable.kind),
        ),
        Variable::Global => WireVariable::global(&variable.key, kind(&variable.kind)),
    }
}

fn kind(word: &str) -> VariableType {
    match word {
        "string" => VariableType::String,
        "bool" => VariableType::Bool,
        "enum" => VariableType::Enum,
        "yaml" => VariableType::Yaml,
        other => VariableType::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_values_are_known_to_the_mask() {
        let variable = |key: &str, text: &str| VariableValue {
            key: key.to_owned(),
            kind: "string".to_owned(),
            value: Variable::Value(SecretText::new(text)),
        };
        let action = Action::AddServices {
            services: BTreeMap::from([(
                "api".to_owned(),
                vec![variable("PASSWORD", "hunter22"), variable("replicas", "2")],
            )]),
            templates: BTreeMap::new(),
        };
        assert_eq!(values(&action), ["hunter22", "2"]);
    }
}
