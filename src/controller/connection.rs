//! The connections: token and certificates are read here and nowhere else, the server is probed, and the finalizer keeps a
//! connection until the last object that needs it for its clean-up is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::Instant;
use zadig_client::limit::Limits;
use zadig_client::{Client, Config, ErrorClass, Kind, Scope, Token};

use super::context::Context;
use super::driver::{self, Rest};
use super::metrics;
use super::queue::Requeue;
use super::zadig::{ConnectionKey, Intervals, Link, Zadig, identity};
use crate::api::condition::{Condition, ConditionStatus, ConditionType, Reason};
use crate::api::connection::{CaBundle, Server, ZadigConnection, ZadigConnectionStatus};
use crate::api::{CONNECTION_FINALIZER, FIELD_MANAGER, FINALIZER, KeyRef, RECONCILE_ANNOTATION};
use crate::error::{Error, Retry, is_outage};
use crate::plan::{Level, Licence, duration};

/// How soon a connection that cannot be used is tried again.
const DOWN_RETRY: Duration = Duration::from_secs(30);
/// The same in the beginning of an outage: a restart of Zadig takes some seconds.
const FIRST_DOWN_RETRY: Duration = Duration::from_secs(2);
/// An environment key, and a service, that no object can declare: the dot is no part of a label. A reserved word would not be
/// sent by the client, and every server would count as a new one.
const PROBE_KEY: &str = "zadig-operator.probe";

/// Calls that a probe makes.
const PROBE_CALLS: usize = 3;

/// What came of a look at a connection.
struct Probe {
    server: Server,
    projects: i64,
}

/// Why a connection cannot be used, in words, and when to look again.
struct Down(Reason, Words, Duration);

/// What is told of a connection that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Words {
    /// For a person.
    pub(super) text: String,
    /// It is what a call found; otherwise none was sent, as others found nobody.
    pub(super) is_first_hand: bool,
}

impl Words {
    fn found(text: String) -> Self {
        Self {
            text,
            is_first_hand: true,
        }
    }

    /// The words of before, if they are about the same outage. It looks different from one attempt to the next, and every object
    /// behind the connection would tell of each.
    fn or_known(self, reason: Reason, before: Option<&Link>) -> Self {
        match before {
            Some(Link::Down {
                reason: known,
                words,
                ..
            }) if *known == reason
                && is_outage(reason)
                && (words.is_first_hand || !self.is_first_hand) =>
            {
                words.clone()
            }
            _ => self,
        }
    }
}

/// Reconciles one connection.
pub(super) async fn reconcile(object: Arc<ZadigConnection>, ctx: Arc<Context>) -> Requeue {
    let attempt = attempt(object, ctx).await;
    attempt.unwrap_or_else(|error| after_error(&error))
}

async fn attempt(object: Arc<ZadigConnection>, ctx: Arc<Context>) -> Result<Requeue, Error> {
    if let Some(wait) = ctx.written.wait(&*object) {
        return Ok(Requeue::after(wait));
    }
    let started = Instant::now();
    let key = key(&object);
    let users = ctx.users(&key);
    let needed = users
        .iter()
        .any(|user| user.finalizers().iter().any(|name| name == FINALIZER));
    keep(&object, &ctx, needed).await?;
    if object.metadata.deletion_timestamp.is_some() && !needed {
        ctx.hub.remove(&key);
        metrics::reconciled::<ZadigConnection>("released", started);
        return Ok(Requeue::when_asked());
    }
    let before = ctx.hub.link(&key);
    let mut was_refused = false;
    let result = match open(&object, &ctx).await? {
        Ok(zadig) => {
            was_refused = zadig.licence() == Licence::Refused;
            look(&object, zadig).await
        }
        Err(down) => Err(down),
    };
    let result = result.map_err(|Down(reason, words, after)| {
        Down(reason, words.or_known(reason, before.as_ref()), after)
    });
    let was_up = matches!(before, Some(Link::Up(_)));
    let (link, after) = match &result {
        Ok((zadig, _)) => (Link::Up(Arc::clone(zadig)), zadig.intervals.deep),
        Err(Down(reason, words, after)) => {
            let (last, since) = match before {
                Some(Link::Up(zadig)) => (Some(zadig), Instant::now()),
                Some(Link::Down { last, since, .. }) => (last, since),
                None => (None, Instant::now()),
            };
            let after = if is_outage(*reason) {
                since.elapsed().clamp(FIRST_DOWN_RETRY, DOWN_RETRY)
            } else {
                *after
            };
            (
                Link::Down {
                    reason: *reason,
                    words: words.clone(),
                    last,
                    since,
                },
                after,
            )
        }
    };
    let changed = match (&link, ctx.hub.link(&key)) {
        (Link::Up(new), Some(Link::Up(old))) => {
            // A licence that was bought or renewed is what somebody may be waiting for.
            let licensed = was_refused && new.licence() != Licence::Refused;
            licensed || !Arc::ptr_eq(new, &old)
        }
        (Link::Up(_), _) => true,
        (Link::Down { .. }, _) => was_up,
    };
    ctx.hub.set(key.clone(), link);
    if ctx.connection(&key).is_none() || !ctx.has(&key) {
        // Deleted, or given to another shard, while it was looked at.
        ctx.hub.remove(&key);
        return Ok(Requeue::when_asked());
    }
    if changed {
        ctx.wake_users(&key);
    }
    let is_up = result.is_ok();
    write_status(&object, &ctx, result, users.len()).await?;
    let outcome = if is_up { "up" } else { "down" };
    metrics::reconciled::<ZadigConnection>(outcome, started);
    let status = object.status.as_ref();
    let is_reported = status.is_some_and(|status| !status.conditions.is_empty());
    ctx.births.reconciled(&*object, is_reported, is_up, started);
    Ok(Requeue::after(after.mul_f64(1.0 - fastrand::f64() / 10.0)))
}

/// The key of a connection.
pub(super) fn key(object: &ZadigConnection) -> ConnectionKey {
    ConnectionKey {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// When a failed reconcile is tried again.
fn after_error(error: &Error) -> Requeue {
    tracing::warn!(error = error.chain(), "connection not reconciled");
    Requeue::after(match error.retry() {
        Retry::After(after) => after,
        Retry::Backoff => Duration::from_secs(5),
        Retry::Slowly => DOWN_RETRY,
    })
}

/// Sets or removes the finalizer.
async fn keep(object: &ZadigConnection, ctx: &Context, needed: bool) -> Result<(), Error> {
    let has = object
        .finalizers()
        .iter()
        .any(|name| name == CONNECTION_FINALIZER);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if has == needed || (needed && deleting) {
        return Ok(());
    }
    let mut finalizers: Vec<&str> = object
        .finalizers()
        .iter()
        .map(String::as_str)
        .filter(|name| *name != CONNECTION_FINALIZER)
        .collect();
    if needed {
        finalizers.push(CONNECTION_FINALIZER);
    }
    let patch = json!({"metadata": {
        "resourceVersion": object.metadata.resource_version,
        "finalizers": finalizers,
    }});
    match api(object, ctx)
        .patch_metadata(&object.name_any(), &driver::merge(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("set the connection's finalizer")(error)),
    }
}

/// Builds the client, or keeps the one there is when nothing about it changed.
async fn open(object: &ZadigConnection, ctx: &Context) -> Result<Result<Arc<Zadig>, Down>, Error> {
    let spec = &object.spec;
    let namespace = object.namespace().unwrap_or_default();
    let invalid = |message: String| {
        Ok(Err(Down(
            Reason::InvalidSpec,
            Words::found(message),
            DOWN_RETRY * 10,
        )))
    };
    let Ok(url) = spec.url.parse::<url::Url>() else {
        return invalid("spec.url: not a URL".to_owned());
    };
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), &namespace);
    let secret = secrets
        .get_opt(&spec.token_secret_ref.name)
        .await
        .map_err(Error::kubernetes("read the Secret of the token"))?;
    let reference = &spec.token_secret_ref;
    let missing = |what: &str| {
        Ok(Err(Down(
            Reason::CredentialsMissing,
            Words::found(format!(
                "spec.tokenSecretRef: Secret {} {what}",
                reference.name
            )),
            DOWN_RETRY * 10,
        )))
    };
    let Some(secret) = secret else {
        return missing("does not exist in this namespace");
    };
    let Some(bytes) = secret.data.and_then(|mut data| data.remove(&reference.key)) else {
        return missing(&format!("has no key {}", reference.key));
    };
    let Ok(text) = String::from_utf8(bytes.0) else {
        return missing(&format!("holds no text under key {}", reference.key));
    };
    let token_digest = ctx.digests.digest([text.as_str()]);
    let token = match Token::new(text) {
        Ok(token) => token,
        Err(error) => {
            return missing(&format!(
                "holds no token under key {}: {error}",
                reference.key
            ));
        }
    };
    let ca = match &spec.ca_bundle {
        None => Vec::new(),
        Some(bundle) => match certificates(ctx, &namespace, bundle).await? {
            Ok(pem) => pem,
            Err(message) => {
                return Ok(Err(Down(
                    Reason::SourceNotFound,
                    Words::found(message),
                    DOWN_RETRY * 10,
                )));
            }
        },
    };
    let limits = spec.limits.clone().unwrap_or_default();
    let limits = Limits {
        requests_per_second: f64::from(limits.requests_per_second),
        burst: limits.burst,
        max_in_flight: usize::try_from(limits.max_in_flight).unwrap_or(1),
    };
    let intervals = spec.intervals.clone().unwrap_or_default();
    let (Some(list), Some(deep), Some(stuck)) = (
        duration::parse(&intervals.list),
        duration::parse(&intervals.deep),
        duration::parse(&intervals.stuck),
    ) else {
        return invalid("spec.intervals: not durations".to_owned());
    };
    let name = identity(&url);
    let fingerprint = ctx.digests.digest([
        spec.url.as_str(),
        &token_digest,
        &String::from_utf8_lossy(&ca),
        &format!("{intervals:?} {limits:?}"),
    ]);
    let key = key(object);
    if let Some(zadig) = ctx
        .hub
        .known(&key)
        .filter(|zadig| zadig.fingerprint == fingerprint)
    {
        return Ok(Ok(zadig));
    }
    let mut config = Config::new(url, token);
    config.ca_pem = ca;
    concat!("zadig-operator/", env!("CARGO_PKG_VERSION")).clone_into(&mut config.user_agent);
    let server = ctx.hub.server(&name);
    config.mask = Some(Arc::clone(&server.secrets) as _);
    let licence = Arc::default();
    config.observer = Some(Arc::new(metrics::Calls {
        licence: Arc::clone(&licence),
    }));
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            return invalid(format!(
                "the connection cannot be used: {}",
                crate::error::chain(&error)
            ));
        }
    };
    Ok(Ok(Arc::new(Zadig::new(
        &client,
        key,
        (name, server),
        Intervals { list, deep, stuck },
        limits,
        fingerprint,
        licence,
    ))))
}

async fn certificates(
    ctx: &Context,
    namespace: &str,
    bundle: &CaBundle,
) -> Result<Result<Vec<u8>, String>, Error> {
    let CaBundle {
        config_map_ref,
        secret_ref,
        inline,
    } = bundle;
    if let Some(pem) = inline {
        return Ok(Ok(pem.clone().into_bytes()));
    }
    let gone = |field: &str, KeyRef { name, key }: &KeyRef| {
        Ok(Err(format!(
            "spec.caBundle.{field}: {name} has no key {key} in this namespace"
        )))
    };
    if let Some(reference) = config_map_ref {
        let maps: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), namespace);
        let map = maps
            .get_opt(&reference.name)
            .await
            .map_err(Error::kubernetes("read the ConfigMap of the CA bundle"))?;
        return match map.and_then(|map| map.data?.remove(&reference.key)) {
            Some(pem) => Ok(Ok(pem.into_bytes())),
            None => gone("configMapRef", reference),
        };
    }
    let Some(reference) = secret_ref else {
        return Ok(Ok(Vec::new()));
    };
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let secret = secrets
        .get_opt(&reference.name)
        .await
        .map_err(Error::kubernetes("read the Secret of the CA bundle"))?;
    match secret.and_then(|secret| secret.data?.remove(&reference.key)) {
        Some(pem) => Ok(Ok(pem.0)),
        None => gone("secretRef", reference),
    }
}

/// The server as known, or as a new look finds it: after the time of a thorough look, or when a person asks.
async fn look(
    object: &ZadigConnection,
    zadig: Arc<Zadig>,
) -> Result<(Arc<Zadig>, Option<Probe>), Down> {
    let asked = object.annotations().get(RECONCILE_ANNOTATION).cloned();
    let mut probed = zadig.probed.lock().await;
    let fresh = probed.as_mut().is_some_and(|(rest, handled)| {
        *handled == asked && rest.remaining(&zadig.budget, PROBE_CALLS).is_some()
    });
    if fresh {
        drop(probed);
        return Ok((zadig, None));
    }
    *probed = None;
    let found = probe(&zadig).await?;
    // A little less than the time after which the connection comes back for it.
    *probed = Some((Rest::new(zadig.intervals.deep.mul_f64(0.8)), asked));
    drop(probed);
    Ok((zadig, Some(found)))
}

/// Looks at the server: who we are to it, its level and its licence, by reads alone (Z§12, Z§1.3).
async fn probe(zadig: &Zadig) -> Result<Probe, Down> {
    let client = &zadig.client;
    let failed = |error: zadig_client::Error| {
        let is_first_hand = !matches!(error.kind(), Kind::CircuitOpen { .. });
        let error = Error::zadig("list the projects")(error);
        let after = match error.retry() {
            Retry::Slowly => DOWN_RETRY * 4,
            Retry::Backoff | Retry::After(_) => DOWN_RETRY,
        };
        let words = Words {
            text: error.chain(),
            is_first_hand,
        };
        Down(error.reason(), words, after)
    };
    let projects = client.projects().await.map_err(failed)?;
    // Any project serves: both probes are about routes, not about the project.
    let project = projects
        .first()
        .map_or("zadig-operator", |project| project.project_key.as_str());
    let licence = match client.list_environments(Scope::Production, project).await {
        Ok(_) => Licence::Professional,
        Err(error) if error.class() == ErrorClass::LicenceRefused => Licence::Refused,
        Err(_) => Licence::Unknown,
    };
    zadig.set_licence(licence);
    let pods = client.service_pods(Scope::Test, project, PROBE_KEY, PROBE_KEY);
    let answer = pods.await.map(|_| ()).map_err(|error| error.class());
    let level = level_of(answer, zadig.level());
    zadig.set_level(level);
    Ok(Probe {
        server: Server {
            api_level: level.as_str().to_owned(),
            licence: match licence {
                Licence::Professional => "Professional",
                Licence::Refused => "None",
                Licence::Unknown => "Unknown",
            }
            .to_owned(),
        },
        projects: i64::try_from(projects.len()).unwrap_or(i64::MAX),
    })
}

/// The level that an answer of the pods route tells, which came with 4.3; before, the router does not know it (Z§12). One that
/// is not Zadig's tells nothing.
fn level_of(answer: Result<(), ErrorClass>, before: Level) -> Level {
    match answer {
        Err(ErrorClass::NotFoundRoute) => Level::V42,
        Ok(())
        | Err(
            ErrorClass::Rejected
            | ErrorClass::EnvironmentNotFound
            | ErrorClass::Internal
            | ErrorClass::Forbidden,
        ) => Level::V43,
        Err(_) => before,
    }
}

async fn write_status(
    object: &ZadigConnection,
    ctx: &Context,
    result: Result<(Arc<Zadig>, Option<Probe>), Down>,
    users: usize,
) -> Result<(), Error> {
    let old = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let (ready, reason, message) = match &result {
        Ok(_) => (
            ConditionStatus::True,
            Reason::Ready,
            "Zadig answers and knows the token".to_owned(),
        ),
        Err(Down(reason, words, _)) => (ConditionStatus::False, *reason, words.text.clone()),
    };
    let stalled = matches!(
        reason,
        Reason::Unauthorized
            | Reason::CredentialsMissing
            | Reason::InvalidSpec
            | Reason::SourceNotFound
    );
    let mut wanted = vec![(ConditionType::Ready, ready)];
    if stalled {
        wanted.push((ConditionType::Stalled, ConditionStatus::True));
    } else if ready == ConditionStatus::False {
        wanted.push((ConditionType::Reconciling, ConditionStatus::True));
    }
    let now = Timestamp::now();
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let conditions = wanted
        .into_iter()
        .map(|(type_, status)| Condition {
            type_,
            status,
            reason,
            message: message.clone(),
            observed_generation: generation,
            last_transition_time: old
                .conditions
                .iter()
                .find(|known| known.type_ == type_ && known.status == status)
                .map_or_else(|| now.clone(), |known| known.last_transition_time.clone()),
        })
        .collect();
    // Held until the status is written, as a deletion that is counted meanwhile must not be lost.
    let tally = ctx.tallies.of(&key(object), object).await;
    let mut new = ZadigConnectionStatus {
        observed_generation: Some(generation),
        conditions,
        deletions: tally.recorded(),
        environments: Some(i64::try_from(users).unwrap_or(i64::MAX)),
        last_handled_reconcile_at: object.annotations().get(RECONCILE_ANNOTATION).cloned(),
        ..old.clone()
    };
    if let Ok((zadig, probe)) = result {
        if let Some(probe) = probe {
            new.server = Some(probe.server);
            new.projects = Some(probe.projects);
        }
        let real = zadig.budget.round(users, 3);
        new.deep_interval = (real > zadig.intervals.deep).then(|| duration::print(real));
    }
    if object.status.as_ref() == Some(&new) && !ctx.written.is_ahead_of(object) {
        return Ok(());
    }
    let patch = json!({
        "apiVersion": ZadigConnection::api_version(&()),
        "kind": ZadigConnection::kind(&()),
        "status": new,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api(object, ctx)
        .patch_status(&object.name_any(), &params, &Patch::Apply(&patch))
        .await
    {
        Ok(written) => {
            let uid = object.uid().unwrap_or_default();
            ctx.written
                .note(uid, written.metadata.resource_version.as_deref());
        }
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(Error::kubernetes("write the connection's status")(error)),
    }
    drop(tally);
    let before = old
        .conditions
        .iter()
        .find(|c| c.type_ == ConditionType::Ready)
        .map(|c| c.reason);
    if before != Some(reason) {
        let type_ = if ready == ConditionStatus::True {
            EventType::Normal
        } else {
            EventType::Warning
        };
        ctx.event(object, type_, reason.as_str(), "Probe", &message)
            .await;
    }
    Ok(())
}

/// The Secrets and ConfigMaps that a connection reads, by kind and name.
pub(super) fn sources(object: &ZadigConnection) -> BTreeSet<(super::desired::SourceKind, String)> {
    use super::desired::SourceKind::{ConfigMap, Secret};
    let spec = &object.spec;
    let mut names = BTreeSet::from([(Secret, spec.token_secret_ref.name.clone())]);
    if let Some(bundle) = &spec.ca_bundle {
        names.extend(bundle.secret_ref.iter().map(|r| (Secret, r.name.clone())));
        names.extend(
            bundle
                .config_map_ref
                .iter()
                .map(|r| (ConfigMap, r.name.clone())),
        );
    }
    names
}

fn api(object: &ZadigConnection, ctx: &Context) -> Api<ZadigConnection> {
    Api::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_in_the_words_of_its_first_look_for_as_long_as_it_lasts() {
        let seen = |text: &str| (Reason::ZadigUnreachable, Words::found(text.to_owned()));
        let mut not_sent = seen("not sent");
        not_sent.1.is_first_hand = false;
        let refused = (
            Reason::CredentialsMissing,
            Words::found("no key a".to_owned()),
        );
        let other = (
            Reason::CredentialsMissing,
            Words::found("no key b".to_owned()),
        );
        let mut before: Option<Link> = None;
        let mut told = Vec::new();
        for (reason, words) in [
            not_sent.clone(),
            seen("no route"),
            seen("timed out"),
            not_sent,
            refused,
            other,
            seen("timed out"),
        ] {
            let words = words.or_known(reason, before.as_ref());
            told.push(words.text.clone());
            before = Some(Link::Down {
                reason,
                words,
                last: None,
                since: Instant::now(),
            });
        }
        assert_eq!(
            told,
            [
                "not sent",
                "no route",
                "no route",
                "no route",
                "no key a",
                "no key b",
                "timed out"
            ]
        );
    }

    #[test]
    fn z12_the_pods_route_tells_the_level_and_an_outage_tells_nothing() {
        let table = [
            (Err(ErrorClass::NotFoundRoute), [Level::V42; 2]),
            (Err(ErrorClass::Rejected), [Level::V43; 2]),
            (Err(ErrorClass::Internal), [Level::V43; 2]),
            (Err(ErrorClass::Forbidden), [Level::V43; 2]),
            (Ok(()), [Level::V43; 2]),
            (Err(ErrorClass::TimedOut), [Level::V42, Level::V43]),
            (Err(ErrorClass::Unreachable), [Level::V42, Level::V43]),
            (
                Err(ErrorClass::UnexpectedResponse),
                [Level::V42, Level::V43],
            ),
        ];
        for (answer, expected) in table {
            let told = [Level::V42, Level::V43].map(|before| level_of(answer, before));
            assert_eq!(told, expected, "{answer:?}");
        }
    }
}
