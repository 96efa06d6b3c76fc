//! Looks into services that are not healthy: the last event of the suspect, and the end of its log, without secrets.
//!
//! Which suspect, and when, is decided in [`crate::plan::environment::diagnosis`]. Nothing here can fail a reconcile: what
//! cannot be read is not told. No turn of the environment is held meanwhile, and each call has a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{join, join_all};
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::timeout;
use zadig_client::LogRequest;

use super::local::{Diagnosis as Verdict, Local};
use crate::api::environment::{Diagnosis, ZadigEnvironment};
use crate::api::service_binding::ZadigServiceBinding;
use crate::controller::context::Context;
use crate::controller::desired::{self, SourceKind};
use crate::controller::outcome::Outcome;
use crate::controller::zadig::Zadig;
use crate::controller::{env_config, service_binding};
use crate::error::Error;
use crate::plan::environment::diagnosis::{Event, Found, LOG_LINES, Suspect, due, last};
use crate::plan::environment::health::{Health, health};
use crate::plan::environment::{Detail, EnvKey, Environment};
use crate::plan::redact::Redactor;
use crate::plan::secret::SecretText;

/// How long a call may take. The log has a shorter deadline of its own, as its stream never ends (Z§4.20).
const PATIENCE: Duration = Duration::from_secs(4);

/// Services that nothing is left to be sent for, and everything that is needed to tell how they are.
pub(in crate::controller) struct Case<'a> {
    pub(in crate::controller) ctx: &'a Context,
    pub(in crate::controller) zadig: &'a Zadig,
    pub(in crate::controller) key: &'a EnvKey,
    /// The environment that they are in.
    pub(in crate::controller) home: &'a ZadigEnvironment,
    /// The binding that declares them, where it is not the environment itself.
    pub(in crate::controller) binding: Option<&'a ZadigServiceBinding>,
    pub(in crate::controller) declared: &'a Environment,
    pub(in crate::controller) detail: &'a Detail,
}

impl Case<'_> {
    /// How the services are, and what is told of them. What is not healthy, and new, is looked into.
    pub(in crate::controller) async fn judge(
        &self,
        local: &mut Local,
        was_ready: bool,
        look_after: Duration,
        now: Timestamp,
    ) -> (Health, Verdict) {
        let seen = health(self.declared, self.detail, &local.memory);
        let in_trouble = |name: &String| {
            let mut services = seen.services.iter();
            services.any(|it| &it.name == name && it.message.is_some())
        };
        local.memory.diagnoses.retain(|name, _| in_trouble(name));
        let told = local.diagnose(seen.trouble.clone(), was_ready, look_after, now);
        if !matches!(told, Verdict::Tell(Outcome::Unhealthy(..), _)) {
            return (seen, told);
        }
        let suspects = due(&seen, self.detail, &local.memory);
        if suspects.is_empty() {
            return (seen, told);
        }
        local
            .memory
            .diagnoses
            .extend(self.look_into(suspects).await);
        let seen = health(self.declared, self.detail, &local.memory);
        let told = local.diagnose(seen.trouble.clone(), was_ready, look_after, now);
        (seen, told)
    }

    /// What is found out about each suspect; nothing when it cannot be told what has to be masked.
    async fn look_into(&self, suspects: Vec<(String, Suspect)>) -> BTreeMap<String, Diagnosis> {
        let redactor = match redactor(self.ctx, self.home, self.binding).await {
            Ok(redactor) => redactor,
            Err(error) => {
                tracing::debug!(error = error.chain(), "unhealthy services not looked into");
                return BTreeMap::new();
            }
        };
        let redactor = &redactor;
        join_all(suspects.into_iter().map(async |(service, suspect)| {
            let found = read(self.zadig, self.key, &suspect).await;
            (service, suspect.diagnosis(found, redactor))
        }))
        .await
        .into_iter()
        .collect()
    }
}

async fn read(zadig: &Zadig, key: &EnvKey, suspect: &Suspect) -> Found {
    // Neither route tells test from production environments (Z§9, 16).
    let EnvKey { project, env, .. } = key;
    let (kind, name) = suspect.object();
    let events = timeout(PATIENCE, zadig.client.events(project, env, kind, name));
    let event = async {
        let events = events.await.ok()?.ok()?;
        last(events.into_iter().map(|event| Event {
            is_warning: event.kind == "Warning",
            last_seen: event.last_seen,
            reason: event.reason,
            message: event.message,
        }))
    };
    let log = async {
        let (pod, container) = suspect.log()?;
        let request = LogRequest::tail(pod, container, LOG_LINES);
        let log = timeout(PATIENCE, zadig.client.pod_log(project, env, &request));
        Some(log.await.ok()?.ok()?.lines)
    };
    let (event, log) = join(event, log).await;
    Found {
        event,
        log: log.unwrap_or_default(),
    }
}

/// One that knows the values of every Secret that the environment, the objects inside it and the binding refer to.
async fn redactor(
    ctx: &Context,
    environment: &ZadigEnvironment,
    binding: Option<&ZadigServiceBinding>,
) -> Result<Redactor, Error> {
    let home = environment.namespace().unwrap_or_default();
    let mut wanted = BTreeMap::from([(home.clone(), desired::sources(&environment.spec))]);
    for config in ctx.configs.state() {
        let here = config.metadata.namespace.as_ref() == Some(&home)
            && config.spec.environment_ref.name == environment.name_any();
        if here {
            wanted
                .entry(home.clone())
                .or_default()
                .extend(env_config::sources(&config.spec));
        }
    }
    if let Some(binding) = binding {
        wanted
            .entry(binding.namespace().unwrap_or_default())
            .or_default()
            .extend(service_binding::sources(&binding.spec));
    }
    let mut values = Vec::new();
    for (namespace, wanted) in wanted {
        let secrets: BTreeSet<_> = wanted
            .into_iter()
            .filter(|(kind, _)| *kind == SourceKind::Secret)
            .collect();
        let found = desired::read_sources(&ctx.client, &namespace, secrets).await?;
        values.extend(
            found
                .into_values()
                .flatten()
                .flat_map(BTreeMap::into_values),
        );
    }
    Ok(Redactor::new(values.iter().map(SecretText::expose)))
}
