//! Helm services: what is declared of a release, whether the live one has it, and the call that sets it right.
//!
//! Zadig shows nothing of what it has stored of a service, only the computed values of the live release (Z§4.5, Z§10). So what is
//! declared is looked for in those, and a keyed digest of what was last sent tells what they cannot: a key that is no longer
//! declared, another strategy. Every call makes a revision of the release, an equal one too (Z§14.17), so none is sent without a
//! difference. The trees themselves are in [`values`].

pub mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::values::{Values, contains, get, put, typed};
use super::diff::Diff;
use super::memory::Retry;
use super::{
    Action, Detail, EnvStatus, Environment, Observed, ObservedService, Present, Service, join,
    subject,
};
use crate::api::RECONCILE_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::{AppliedService, DeployType, GitValues, HelmStrategy};
use crate::plan::secret::SecretText;
use crate::plan::{Blocked, Level};

/// A Helm service as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Helm {
    /// Whether the release is installed.
    pub strategy: HelmStrategy,
    /// Where its values come from.
    pub source: Source,
    /// Single values above those, by path.
    pub overrides: BTreeMap<String, SecretText>,
    /// Keyed digest over all of it.
    pub digest: String,
}

/// Where the values of a release come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// From the declaration.
    Values(Values),
    /// From a code repository, which Zadig reads.
    Git(GitValues),
}

impl Default for Source {
    fn default() -> Self {
        Self::Values(Values::default())
    }
}

/// A service as it is deployed by Helm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedHelm {
    /// Of each container: the paths in the values that name the parts of its image (Z§4.2).
    pub images: Vec<BTreeSet<String>>,
    /// The live release, where it was looked at.
    pub release: Option<Release>,
}

/// A live release.
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// Its computed values.
    Values(Values),
    /// Zadig answers with an error, which is all that a release that is not there does (Z§4.5).
    Unreadable,
}

/// What is sent of one service (#52).
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Whether the release is installed.
    pub strategy: HelmStrategy,
    /// Where its values come from.
    pub source: Source,
    /// Single values above those, by path.
    pub overrides: BTreeMap<String, SecretText>,
    /// The service is not in the environment yet.
    pub is_new: bool,
}

/// What is to be done about one service that is there.
enum Verdict {
    /// Nothing.
    Same,
    /// It is sent.
    Send,
    /// It was sent, and did not work: it is not sent again before something changes.
    Failed,
}

/// What does not fit the environment's way to deploy. Then nothing of it may be touched, as Zadig takes the calls of one way in an
/// environment of the other, and does nothing, with success (Z§10).
pub(super) fn misfits(desired: &Environment, detail: &Detail) -> Vec<Blocked> {
    let deploy_type = desired.deploy_type;
    let services = desired.services.iter();
    let fields = services.filter_map(|(name, service)| unfit(deploy_type, name, service));
    other_deploy_type(deploy_type, detail)
        .into_iter()
        .chain(fields)
        .collect()
}

fn other_deploy_type(deploy_type: DeployType, detail: &Detail) -> Option<Blocked> {
    let is_helm = deploy_type == DeployType::Helm;
    let others = detail
        .services
        .iter()
        .filter(|(_, seen)| seen.helm.is_some() != is_helm)
        .map(|(name, _)| name);
    let others = join(others);
    let found = if is_helm {
        "Kubernetes YAML"
    } else {
        "Helm charts"
    };
    (!others.is_empty()).then(|| {
        Blocked::new(
            Reason::InvalidSpec,
            format!(
                "spec.deployType: services of the environment are deployed by {found} ({others}); it cannot be changed, so create a new ZadigEnvironment with the other value"
            ),
        )
    })
}

/// A field of a service that its environment's way to deploy knows nothing of. A binding cannot be told at `kubectl apply`.
fn unfit(deploy_type: DeployType, name: &str, service: &Service) -> Option<Blocked> {
    let Service {
        variables,
        digest: _,
        containers,
        workloads,
        restart_token,
        helm,
    } = service;
    let (field, why) = match deploy_type {
        DeployType::KubernetesYaml if helm.is_some() => (
            "helm",
            "the environment deploys by Kubernetes YAML; use variables, containers and workloads",
        ),
        DeployType::KubernetesYaml => return None,
        DeployType::Helm => {
            let fields = [
                ("variables", !variables.is_empty()),
                ("containers", !containers.is_empty()),
                ("workloads", !workloads.is_empty()),
                ("restartToken", restart_token.is_some()),
            ];
            let (field, _) = fields.into_iter().find(|(_, is_set)| *is_set)?;
            (
                field,
                "the environment deploys by Helm, and Zadig keeps nothing of this for a release; use helm.values",
            )
        }
    };
    Some(Blocked::new(
        Reason::InvalidSpec,
        format!("spec.services[{name}].{field}: {why}"),
    ))
}

/// Compares the declared Helm services with what is there.
pub(super) fn releases(
    diff: &mut Diff,
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
    present: &Present,
) {
    let has_failed = present.status == EnvStatus::Failed;
    let asked = observed.memory.retry == Retry::Now;
    let nothing = Helm::default();
    let (mut calls, mut failed) = (BTreeMap::new(), Vec::new());
    for (name, service) in &desired.services {
        let seen = detail.services.get(name);
        let (helm, seen) = match (&service.helm, seen) {
            (Some(helm), seen) => (helm, seen),
            (None, None) => (&nothing, None),
            // Its values are nobody's business.
            (None, Some(_)) => continue,
        };
        let expected = match check(name, helm, observed) {
            Ok(expected) => expected,
            Err(blocked) => {
                diff.blocked.push(blocked);
                continue;
            }
        };
        let entry = observed.memory.applied.get(name);
        let verdict = match seen {
            None => Verdict::Send,
            Some(seen) => {
                // Its values were sent by this object, and were then left alone for a while.
                let ours = observed.memory.known && observed.memory.services.contains(name);
                let is_unsettled = entry.is_some_and(|entry| entry.helm_in_doubt)
                    || (ours && entry.is_none_or(|entry| entry.helm.is_none()));
                if is_unsettled {
                    Verdict::Send
                } else {
                    verdict(helm, &expected, seen, entry, has_failed, asked)
                }
            }
        };
        match verdict {
            Verdict::Same => {}
            Verdict::Failed => failed.push(name),
            Verdict::Send if diff.is_loop(&subject::helm(name), observed) => {}
            Verdict::Send => {
                calls.insert(name.clone(), deployment(helm, seen));
            }
        }
    }
    if has_failed && calls.is_empty() && !desired.services.is_empty() {
        if asked {
            calls = again(desired, detail, observed);
        }
        if calls.is_empty() {
            diff.blocked.push(has_failed_in(&failed));
        }
    }
    push(diff, calls, observed);
}

/// What was declared, as far as it can be sent: the values that the release has to have.
fn check(name: &str, helm: &Helm, observed: &Observed) -> Result<Values, Blocked> {
    if helm.strategy == HelmStrategy::Draft && observed.level < Level::V43 {
        return Err(Blocked::new(
            Reason::NeedsNewerZadig,
            format!(
                "spec.services[{name}].helm.strategy: Draft needs Zadig 4.3 or later, and this one is older: it would take the word for Import; use Deploy or Import"
            ),
        ));
    }
    helm.expected().map_err(|key| {
        Blocked::new(
            Reason::InvalidSpec,
            format!(
                "spec.services[{name}].helm.overrides[{key}]: something on its path is neither a map nor a list in the values, so Helm cannot set it; mend the path or the values"
            ),
        )
    })
}

impl Helm {
    /// What has to be so in the release: the values with the overrides in them. Of values in a repository nothing is known.
    ///
    /// # Errors
    /// The path that does not fit the values.
    pub fn expected(&self) -> Result<Values, String> {
        let mut expected = match &self.source {
            Source::Values(values) => values.clone(),
            Source::Git(_) => Values::default(),
        };
        for (key, text) in &self.overrides {
            if !put(&mut expected, key, typed(text.expose())) {
                return Err(key.clone());
            }
        }
        Ok(expected)
    }

    /// Whether everything declared is seen to be so in the live release. Of what is only recorded nothing can be seen.
    #[must_use]
    pub fn is_so(&self, seen: &ObservedService) -> bool {
        let live = seen.helm.as_ref().and_then(|helm| helm.release.as_ref());
        match (self.strategy, live) {
            (HelmStrategy::Import | HelmStrategy::Draft, _) => true,
            (HelmStrategy::Deploy, Some(Release::Values(live))) => self
                .expected()
                .is_ok_and(|expected| contains(live, &expected)),
            (HelmStrategy::Deploy, Some(Release::Unreadable) | None) => false,
        }
    }
}

/// Whether a service that is there has to be sent.
///
/// A lost digest is no change: then what can be seen decides. Nor is a release that cannot be read, which may be for a moment only; but
/// a person who asks has it sent.
fn verdict(
    helm: &Helm,
    expected: &Values,
    seen: &ObservedService,
    entry: Option<&AppliedService>,
    has_failed: bool,
    asked: bool,
) -> Verdict {
    let sent = entry.and_then(|entry| entry.helm.as_ref());
    if sent.is_some_and(|sent| sent != &helm.digest) {
        return Verdict::Send;
    }
    let release = seen.helm.as_ref().and_then(|helm| helm.release.as_ref());
    let differs = match (helm.strategy, release) {
        (HelmStrategy::Deploy, Some(Release::Values(live))) => !contains(live, expected),
        (HelmStrategy::Deploy, Some(Release::Unreadable)) => asked,
        (HelmStrategy::Deploy, None) | (HelmStrategy::Import | HelmStrategy::Draft, _) => false,
    };
    match (differs, has_failed && sent.is_some() && !asked) {
        (false, _) => Verdict::Same,
        (true, true) => Verdict::Failed,
        (true, false) => Verdict::Send,
    }
}

/// What is sent of a service.
///
/// Zadig puts the image that it has recorded over the values unless they spell a complete one of the same name, so a tag alone
/// would change nothing (Z§4.21); it puts it over no single value. So the declared parts of an image go as single values too. Helm
/// reads those as numbers where they look like one: then the image is completed instead, by what the release has.
fn deployment(helm: &Helm, seen: Option<&ObservedService>) -> Deployment {
    let Helm {
        strategy,
        source,
        overrides,
        digest: _,
    } = helm;
    let mut deployment = Deployment {
        strategy: *strategy,
        source: source.clone(),
        overrides: overrides.clone(),
        is_new: seen.is_none(),
    };
    let Some(seen) = seen.and_then(|seen| seen.helm.as_ref()) else {
        return deployment;
    };
    let Source::Values(values) = &mut deployment.source else {
        return deployment;
    };
    for paths in &seen.images {
        let declared: Vec<(&String, &Value)> = paths
            .iter()
            .filter_map(|path| Some((path, get(values, path)?)))
            .filter(|(_, part)| !part.is_null())
            .collect();
        let as_single: Option<Vec<(String, SecretText)>> = declared
            .iter()
            .map(|(path, part)| {
                let text = values::scalar(part)?;
                let survives = values::equal(&typed(&text), part);
                survives.then(|| ((*path).clone(), SecretText::new(text)))
            })
            .collect();
        if let Some(parts) = as_single {
            for (path, part) in parts {
                deployment.overrides.entry(path).or_insert(part);
            }
        } else if let Some(Release::Values(live)) = &seen.release {
            let missing: Vec<&String> = paths
                .iter()
                .filter(|path| get(values, path).is_none())
                .collect();
            for path in missing {
                if let Some(part) = get(live, path) {
                    put(values, path, part.clone());
                }
            }
        }
    }
    deployment
}

/// All declared services once more, as a person asks for it and nothing tells which of them failed.
fn again(
    desired: &Environment,
    detail: &Detail,
    observed: &Observed,
) -> BTreeMap<String, Deployment> {
    desired
        .services
        .iter()
        .filter_map(|(name, service)| {
            let helm = service.helm.as_ref()?;
            let seen = detail.services.get(name)?;
            let is_fit = check(name, helm, observed).is_ok();
            is_fit.then(|| (name.clone(), deployment(helm, Some(seen))))
        })
        .collect()
}

fn has_failed_in(failed: &[&String]) -> Blocked {
    let which = if failed.is_empty() {
        "at least one release".to_owned()
    } else {
        let fields = failed
            .iter()
            .map(|name| format!("spec.services[{name}].helm"));
        format!("the release of {}", join(fields))
    };
    Blocked::new(
        Reason::ReleaseFailed,
        format!(
            "{which} could not be deployed with the last values: Zadig reports failed and keeps the reason to itself, its page shows it. Change the values, or set the annotation {RECONCILE_ANNOTATION} to send them again"
        ),
    )
}

/// All in one call; but one that Zadig refused for one of its services is refused whole, so what was refused goes one by one.
fn push(diff: &mut Diff, calls: BTreeMap<String, Deployment>, observed: &Observed) {
    let mut together = BTreeMap::new();
    for (name, deployment) in calls {
        if observed.memory.refused.contains_key(&subject::helm(&name)) {
            diff.actions.push(Action::DeployReleases {
                services: BTreeMap::from([(name, deployment)]),
            });
        } else {
            together.insert(name, deployment);
        }
    }
    if !together.is_empty() {
        diff.actions
            .push(Action::DeployReleases { services: together });
    }
}

/// The call in one line: never a value.
pub(super) fn summary(services: &BTreeMap<String, Deployment>) -> String {
    let names = |what: &str, chosen: &dyn Fn(&Deployment) -> bool| {
        let names = services.iter().filter(|(_, it)| chosen(it));
        let names = join(names.map(|(name, _)| name));
        (!names.is_empty()).then(|| format!("{what} {names}"))
    };
    let deploys = |it: &Deployment| it.strategy == HelmStrategy::Deploy;
    let parts = [
        names("install the releases of", &|it| deploys(it) && it.is_new),
        names("upgrade the releases of", &|it| deploys(it) && !it.is_new),
        names("record without deploying", &|it| !deploys(it)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("; ")
}

/// What is wrong with a service of which Zadig shows no status: nothing, or that its release is not to be seen.
#[must_use]
pub(super) fn trouble(seen: &ObservedHelm) -> Option<String> {
    match seen.release {
        Some(Release::Unreadable) => Some(format!(
            "Zadig cannot read its release: uninstalled outside Zadig, or never installed. Set the annotation {RECONCILE_ANNOTATION} to have it deployed again"
        )),
        Some(Release::Values(_)) | None => None,
    }
}
