//! The only step that reads Zadig for an object inside an environment: where the environment stands, and the live object.

use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;
use zadig_client::SourceDetail;

use super::act::kind;
use crate::api::env_config::ZadigEnvConfig;
use crate::api::environment::{Ownership, OwnershipState, ZadigEnvironment};
use crate::controller::desired::target_namespace;
use crate::controller::home::{self, Found};
use crate::controller::zadig::Zadig;
use crate::error::Error;
use crate::plan::env_config::{Existence, Object, Source};
use crate::plan::environment::decide::resolve_cluster;
use crate::plan::environment::{Catalog, EnvKey};
use crate::plan::home::Home;

/// How old the list of clusters may be. They change by hand, rarely.
const CLUSTERS_AGE: Duration = Duration::from_mins(5);

/// What one look found.
pub(super) struct Seen {
    pub(super) home: Home,
    pub(super) live: Existence,
    /// Where in Git it comes from, if it does.
    pub(super) source: Option<Source>,
    /// Workloads that refer to the object; `None` where it was not looked at.
    pub(super) used_by: Option<Vec<String>>,
}

/// Looks at the environment in a list as of `since` or later, and at the object when the environment is there.
pub(super) async fn look(
    object: &ZadigEnvConfig,
    environment: &ZadigEnvironment,
    zadig: &Zadig,
    since: Instant,
    deleting: bool,
) -> Result<Seen, Error> {
    let key = home::key(environment);
    let home = match home::find(environment, &key, zadig, since, deleting).await? {
        Found::Here(place) => Home::Present(place),
        Found::Other(why, recorded) => Home::Other { why, recorded },
        Found::Missing(why) => Home::Missing {
            why,
            carried: carried(object, environment, zadig).await?,
        },
    };
    let (live, source, used_by) = match &home {
        Home::Present(home) if deleting || home.can_change() => {
            existence(object, &key, zadig).await?
        }
        _ => (Existence::Absent, None, None),
    };
    Ok(Seen {
        home,
        live,
        source,
        used_by,
    })
}

/// Whether the environment's creation is to carry this object.
pub(super) fn is_listed(object: &ZadigEnvConfig, environment: &ZadigEnvironment) -> bool {
    let name = object.name_any();
    let mut listed = environment.spec.config_refs.iter();
    listed.any(|config| config.name == name)
}

/// The identity of the environment whose creation will carry this object, if it will.
async fn carried(
    object: &ZadigEnvConfig,
    environment: &ZadigEnvironment,
    zadig: &Zadig,
) -> Result<Option<Ownership>, Error> {
    let spec = &environment.spec;
    if !is_listed(object, environment) {
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
    EnvKey {
        project,
        env,
        scope,
    }: &EnvKey,
    zadig: &Zadig,
) -> Result<(Existence, Option<Source>, Option<Vec<String>>), Error> {
    let (kind, name) = (kind(object.spec.type_), object.spec.name.as_str());
    let client = &zadig.client;
    let failure = match client
        .env_config((*scope).into(), project, env, kind, name)
        .await
    {
        Ok(detail) => {
            let content =
                serde_saphyr::from_str(&detail.yaml_data).map_err(|_| Error::ConfigUnreadable {
                    kind: kind.as_str(),
                    name: name.to_owned(),
                })?;
            let source = detail.source_detail.and_then(source);
            let live = Existence::Present(Object(content));
            return Ok((live, source, Some(detail.services)));
        }
        Err(error) => error,
    };
    let listed = client
        .env_configs((*scope).into(), project, env, kind)
        .await
        .map_err(Error::zadig(format!(
            "list the objects of type {kind} in {env}"
        )))?;
    if listed.iter().any(|config| config.name == name) {
        return Err(Error::zadig(format!("read {kind} {name} in {env}"))(
            failure,
        ));
    }
    Ok((Existence::Absent, None, None))
}

fn source(detail: SourceDetail) -> Option<Source> {
    let SourceDetail {
        git_repo_config,
        load_path,
    } = detail;
    git_repo_config.map(|git| Source {
        owner: git.owner,
        repo: git.repo,
        branch: git.branch,
        path: load_path,
    })
}
