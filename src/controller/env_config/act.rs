//! The only step that writes to Zadig for an object inside an environment: one call per action, with the payload it was given.

use zadig_client::{EnvConfigKind, NewEnvConfig};

use crate::api::env_config::{ConfigType, ZadigEnvConfigSpec};
use crate::controller::zadig::Zadig;
use crate::error::Error;
use crate::plan::env_config::{Action, Config};
use crate::plan::environment::EnvKey;

/// Sends one action.
///
/// # Errors
/// What the call answers, without the values that were sent.
pub(super) async fn send(
    zadig: &Zadig,
    key: &EnvKey,
    spec: &ZadigEnvConfigSpec,
    action: &Action,
) -> Result<(), Error> {
    let EnvKey {
        project,
        env,
        scope,
    } = key;
    let scope = (*scope).into();
    let client = &zadig.client;
    let mut values: Vec<&str> = Vec::new();
    if let Action::Create { config, .. } | Action::Replace { config, .. } = action {
        values.extend(config.values());
    }
    let sending = zadig.server().secrets.sending(&values);
    let sent = match action {
        // Written to Kubernetes by the driver.
        Action::RecordOwnership(_) => Ok(()),
        Action::Create {
            config,
            by_update: false,
        } => {
            let body = wire(config);
            client.create_env_config(scope, project, env, &body).await
        }
        Action::Create { config, .. } | Action::Replace { config, .. } => {
            let body = wire(config);
            client.update_env_config(scope, project, env, &body).await
        }
        Action::Delete => {
            let kind = kind(spec.type_);
            client
                .delete_env_config(scope, project, env, kind, &spec.name)
                .await
        }
    };
    sending.answered(&sent);
    sent.map_err(Error::zadig(action.summary()))
}

/// Zadig's word for a kind.
pub(in crate::controller) fn kind(type_: ConfigType) -> EnvConfigKind {
    match type_ {
        ConfigType::ConfigMap => EnvConfigKind::ConfigMap,
        ConfigType::Secret => EnvConfigKind::Secret,
        ConfigType::Ingress => EnvConfigKind::Ingress,
        ConfigType::Pvc => EnvConfigKind::Pvc,
    }
}

fn wire(config: &Config) -> NewEnvConfig {
    NewEnvConfig {
        name: config.name.clone(),
        kind: kind(config.kind),
        yaml_data: config.text(),
    }
}
