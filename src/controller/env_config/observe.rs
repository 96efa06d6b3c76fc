//! The only step that reads Zadig for an object inside an environment: where the environment stands, and the live object.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;
use zadig_client::{EnvironmentSummary, Scope};

use super::act::kind;
use super::desired::key;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::environment::{Ownership, OwnershipState, ZadigEnvironment};
use crate::controller::desired::target_namespace;
use crate::controller::environment::owner;
use crate::controller::zadig::{Zadig, env_status};
use crate::error::Error;
use crate::plan::env_config::{Environment, Existence, Home, Object};
use crate::plan::environment::decide::resolve_cluster;
use crate::plan::environment::{Catalog, EnvKey};

/// How old a list may be: everybody who waits for the same environment shares it.
const LIST_AGE: Duration = Duration::from_millis(500);
/// How old the list of clusters may be. They change by hand, rarely.
const CLUSTERS_AGE: Duration = Duration::from_mins(5);

/// What one look found.
pub(super) struct Seen {
    pub(super) home: Home,
    pub(super) live: Existence,
    /// Workloads that refer to the object; `None` where it was not looked at.
    pub(super) used_by: Option<Vec<String>>,
}

/// Looks at the environment, and at the object when the environment is there.
pub(super) async fn look(
    object: &ZadigEnvConfig,
    environment: &ZadigEnvironment,
    zadig: &Zadig,
    deleting: bool,
) -> Result<Seen, Error> {
    let key = key(environment);
    let now = Instant::now();
    let since = now.checked_sub(LIST_AGE).unwrap_or(now);
    let list = zadig.list(&key.project, since).await?;
    let entry = list.environments.get(&key.env);
    let home = match (entry, owner(environment)) {
        _ if environment.metadata.deletion_timestamp.is_some() && !deleting => Home::NotReady {
            why: "spec.environmentRef: the ZadigEnvironment is being deleted".to_owned(),
            carried: None,
        },
        (Some(entry), Some(record)) if is_there(entry, &record, zadig) => {
            Home::Present(Box::new(present(environment, entry, record, zadig)))
        }
        (Some(_), _) => Home::NotReady {
            why: "spec.environmentRef: the environment in Zadig is not (yet) that of the ZadigEnvironment; see there".to_owned(),
            carried: None,
        },
        (None, _) => {
            if deleting {
                // The way out ends here only if it is really gone (design §2, rule 5).
                zadig.require_absent(&key).await?;
            }
            Home::NotReady {
                why: "spec.environmentRef: waiting for the environment to be created".to_owned(),
                carried: carried(object, environment, zadig).await?,
            }
        }
    };
    let (live, used_by) = match &home {
        Home::Present(home) if deleting || home.can_change() => {
            existence(object, &key, zadig).await?
        }
        _ => (Existence::Absent, None),
    };
    Ok(Seen {
        home,
        live,
        used_by,
    })
}

/// Whether the environment can be changed at this moment, by a list that is sent now.
pub(super) async fn can_change(zadig: &Zadig, key: &EnvKey) -> Result<bool, Error> {
    let list = zadig.list(&key.project, Instant::now()).await?;
    let entry = list.environments.get(&key.env);
    Ok(entry.is_some_and(|entry| env_status(&entry.status).can_change()))
}

fn is_there(entry: &EnvironmentSummary, record: &Ownership, zadig: &Zadig) -> bool {
    record.state != OwnershipState::Pending
        && record.zadig == zadig.identity
        && record.cluster_id == entry.cluster_id
        && record.namespace == entry.namespace
}

fn present(
    environment: &ZadigEnvironment,
    entry: &EnvironmentSummary,
    identity: Ownership,
    zadig: &Zadig,
) -> Environment {
    let status = env_status(&entry.status);
    let known = environment.status.as_ref().and_then(|known| {
        (known.zadig_status.as_deref() == Some(status.as_str()))
            .then_some(known.zadig_status_since.as_ref()?.0)
    });
    Environment {
        identity,
        status,
        since: known.unwrap_or_else(Timestamp::now),
        stuck_after: zadig.intervals.stuck,
    }
}

/// The identity of the environment whose creation will carry this object, if it will.
async fn carried(
    object: &ZadigEnvConfig,
    environment: &ZadigEnvironment,
    zadig: &Zadig,
) -> Result<Option<Ownership>, Error> {
    let spec = &environment.spec;
    let name = object.name_any();
    if !spec.config_refs.iter().any(|config| config.name == name) {
        return Ok(None);
    }
    let catalog = Catalog {
        clusters: zadig.clusters(CLUSTERS_AGE).await?.to_vec(),
        ..Catalog::default()
    };
    // A cluster that is not found is told by the environment itself.
    let Ok(cluster_id) = resolve_cluster(spec.cluster.as_ref(), &catalog) else {
        return Ok(None);
    };
    Ok(Some(Ownership {
        zadig: zadig.identity.clone(),
        project: spec.project_key.clone(),
        env: spec.env_key.clone(),
        cluster_id,
        namespace: target_namespace(spec.namespace.as_ref(), &spec.project_key, &spec.env_key),
        state: OwnershipState::Pending,
    }))
}

/// The live object. A missing one is answered like other trouble, so the list of its kind tells (Z§4.14).
async fn existence(
    object: &ZadigEnvConfig,
    EnvKey { project, env }: &EnvKey,
    zadig: &Zadig,
) -> Result<(Existence, Option<Vec<String>>), Error> {
    let (kind, name) = (kind(object.spec.type_), object.spec.name.as_str());
    let client = &zadig.client;
    let failure = match client
        .env_config(Scope::Test, project, env, kind, name)
        .await
    {
        Ok(detail) => {
            let content =
                serde_saphyr::from_str(&detail.yaml_data).map_err(|_| Error::ConfigUnreadable {
                    kind: kind.as_str(),
                    name: name.to_owned(),
                })?;
            return Ok((Existence::Present(Object(content)), Some(detail.services)));
        }
        Err(error) => error,
    };
    let listed = client
        .env_configs(Scope::Test, project, env, kind)
        .await
        .map_err(Error::zadig(format!(
            "list the objects of type {kind} in {env}"
        )))?;
    if listed.iter().any(|config| config.name == name) {
        return Err(Error::zadig(format!("read {kind} {name} in {env}"))(
            failure,
        ));
    }
    Ok((Existence::Absent, None))
}
