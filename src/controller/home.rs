//! Where the environment stands that an object inside it, or a service of its own owner, belongs to.

use jiff::Timestamp;
use kube::runtime::events::EventType;
use tokio::time::Instant;
use zadig_client::EnvironmentSummary;

use super::context::Context;
use super::desired;
use super::driver::Managed;
use super::environment::{owner, time_is_over};
use super::outcome::Outcome;
use super::zadig::{Zadig, env_status};
use crate::api::condition::Reason;
use crate::api::environment::{Ownership, OwnershipState, ZadigEnvironment};
use crate::api::management::Management;
use crate::error::Error;
use crate::plan::environment::EnvKey;
use crate::plan::home::{Home, Place, left_behind};

/// Where an environment stands.
pub(super) enum Found {
    /// It is there, and its ZadigEnvironment's own.
    Here(Box<Place>),
    /// It is not (yet) its ZadigEnvironment's own; why, for a person, and what that has on record of this very place.
    Other(String, Option<Ownership>),
    /// It does not exist; what is waited for, for a person.
    Missing(String),
}

/// The key of an environment in Zadig.
pub(super) fn key(environment: &ZadigEnvironment) -> EnvKey {
    EnvKey {
        project: environment.spec.project_key.clone(),
        env: environment.spec.env_key.clone(),
        scope: environment.spec.scope,
    }
}

/// Why what is inside an environment is not cared for any longer, for a person: the environment's time is over.
pub(super) fn over(environment: &ZadigEnvironment, ctx: &Context) -> Option<Outcome> {
    time_is_over(environment, ctx).then(|| {
        Outcome::Working(
            Reason::EnvironmentNotReady,
            "spec.environmentRef: the ttl of the ZadigEnvironment is over; make it longer there, or delete this object"
                .to_owned(),
        )
    })
}

/// Looks for an environment in the list of its project, as of `since` or later.
///
/// # Errors
/// What the calls answer. With `deleting`, an empty list is checked against the detail before anything is taken for gone
/// (design §2, rule 5).
pub(super) async fn find(
    environment: &ZadigEnvironment,
    key: &EnvKey,
    zadig: &Zadig,
    since: Instant,
    deleting: bool,
) -> Result<Found, Error> {
    if environment.metadata.deletion_timestamp.is_some() && !deleting {
        let why = "spec.environmentRef: the ZadigEnvironment is being deleted";
        return Ok(Found::Other(why.to_owned(), None));
    }
    let list = zadig.list(key.scope, &key.project, since).await?;
    Ok(match (list.environments.get(&key.env), owner(environment)) {
        (Some(entry), Some(record)) if is_own(entry, &record, zadig) => {
            Found::Here(Box::new(place(environment, entry, record, zadig)))
        }
        (Some(entry), None) if is_observed(environment, entry) => {
            // What is only observed is nobody's own, and nothing is written inside it either.
            let identity = Ownership {
                zadig: zadig.identity.clone(),
                project: key.project.clone(),
                env: key.env.clone(),
                cluster_id: entry.cluster_id.clone(),
                namespace: entry.namespace.clone(),
                state: OwnershipState::Adopted,
            };
            Found::Here(Box::new(place(environment, entry, identity, zadig)))
        }
        (Some(entry), record) => Found::Other(
            "spec.environmentRef: the environment in Zadig is not (yet) that of the ZadigEnvironment; see there".to_owned(),
            record.filter(|record| is_at(entry, record)),
        ),
        (None, _) => {
            if deleting {
                zadig.require_absent(key).await?;
            }
            Found::Missing(
                "spec.environmentRef: waiting for the environment to be created".to_owned(),
            )
        }
    })
}

/// Whether the environment can be changed at this moment, by a list that is sent now.
pub(super) async fn can_change(zadig: &Zadig, key: &EnvKey) -> Result<bool, Error> {
    let list = zadig.list(key.scope, &key.project, Instant::now()).await?;
    let entry = list.environments.get(&key.env);
    Ok(entry.is_some_and(|entry| env_status(&entry.status).can_change()))
}

fn is_observed(environment: &ZadigEnvironment, entry: &EnvironmentSummary) -> bool {
    let spec = &environment.spec;
    let namespace =
        desired::target_namespace(spec.namespace.as_ref(), &spec.project_key, &spec.env_key);
    spec.management == Management::Observe && entry.namespace == namespace
}

fn is_own(entry: &EnvironmentSummary, record: &Ownership, zadig: &Zadig) -> bool {
    record.state != OwnershipState::Pending
        && record.zadig == zadig.identity
        && is_at(entry, record)
}

fn is_at(entry: &EnvironmentSummary, record: &Ownership) -> bool {
    record.cluster_id == entry.cluster_id && record.namespace == entry.namespace
}

/// Tells that an object goes and `what` stays, if it does because of where its environment stands.
pub(super) async fn tell_left_behind<K: Managed>(
    object: &K,
    ctx: &Context,
    record: Option<&Ownership>,
    home: &Home,
    what: &str,
) {
    let Some(why) = record.and_then(|record| left_behind(record, home)) else {
        return;
    };
    let reason = Reason::EnvironmentNotReady.as_str();
    let note = format!("deleted while {why}: {what} stays in Zadig");
    ctx.event(object, EventType::Normal, reason, "Release", &note)
        .await;
}

fn place(
    environment: &ZadigEnvironment,
    entry: &EnvironmentSummary,
    identity: Ownership,
    zadig: &Zadig,
) -> Place {
    let status = env_status(&entry.status);
    let known = environment.status.as_ref().and_then(|known| {
        (known.zadig_status.as_deref() == Some(status.as_str()))
            .then_some(known.zadig_status_since.as_ref()?.0)
    });
    Place {
        identity,
        scope: environment.spec.scope,
        status,
        since: known.unwrap_or_else(Timestamp::now),
        stuck_after: zadig.intervals.stuck,
    }
}
