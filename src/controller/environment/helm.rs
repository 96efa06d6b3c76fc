//! Helm services on the wire: the look at a release (#9), and the calls that make the environment and its releases (#51, #52).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zadig_client::{
    Container, CreateHelmEnvironment, ErrorClass, HelmService, ImagePath, Mask as _, OverrideValue,
    ServiceDetail, ValuesFromGit,
};

use super::observe::Looker;
use crate::api::environment::HelmStrategy;
use crate::controller::zadig::Zadig;
use crate::error::Error;
use crate::plan::environment::helm::values::Values;
use crate::plan::environment::helm::{Deployment, ObservedHelm, Release, Source};
use crate::plan::environment::{CreateEnvironment, EnvKey, ObservedService, Service};
use crate::plan::secret::SecretText;

/// Whether Zadig deploys the service by Helm: from a template, or straight from a chart repository (Z§4.2).
pub(super) fn is_helm(found: &ServiceDetail) -> bool {
    found.kind.starts_with("helm")
}

impl Looker<'_> {
    /// A service that is deployed by Helm. Its release is looked at where its values are declared.
    pub(super) async fn release(
        &self,
        found: ServiceDetail,
        declared: Option<&Service>,
    ) -> Result<(String, ObservedService, usize), Error> {
        let helm = declared.and_then(|service| service.helm.as_ref());
        let compares = helm.is_some_and(|helm| helm.strategy == HelmStrategy::Deploy);
        let release = if compares {
            Some(self.values(&found.service_name).await?)
        } else {
            None
        };
        let service = ObservedService {
            status: found.status.as_str().to_owned(),
            helm: Some(ObservedHelm {
                images: found.containers.iter().filter_map(paths).collect(),
                release,
            }),
            ..ObservedService::default()
        };
        Ok((found.service_name, service, usize::from(compares)))
    }

    async fn values(&self, service: &str) -> Result<Release, Error> {
        let EnvKey {
            project,
            env,
            scope,
        } = self.key;
        let failed = Error::zadig(format!("read the values of service {service} in {env}"));
        let values = self
            .zadig
            .client
            .helm_values((*scope).into(), project, env, service);
        match values.await {
            Ok(text) => Ok(match serde_saphyr::from_str(&text) {
                Ok(Value::Object(map)) => Release::Values(Values::new(map)),
                Ok(Value::Null) => Release::Values(Values::default()),
                Ok(_) | Err(_) => Release::Unreadable,
            }),
            // Any problem is a 500, above all a release that is not there (Z§4.5).
            Err(error) if error.class() == ErrorClass::Internal => Ok(Release::Unreadable),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Where the chart's values name the parts of a container's image.
fn paths(container: &Container) -> Option<BTreeSet<String>> {
    let ImagePath {
        repo,
        namespace,
        image,
        tag,
    } = container.image_path.as_ref()?;
    let named = [repo, namespace, image, tag].into_iter();
    Some(named.filter(|path| !path.is_empty()).cloned().collect())
}

/// Creates a Helm environment, which begins without services.
pub(super) async fn create(
    zadig: &Zadig,
    key: &EnvKey,
    create: &CreateEnvironment,
) -> Result<(), zadig_client::Error> {
    let body = CreateHelmEnvironment {
        env_key: key.env.clone(),
        alias: create.alias.clone().unwrap_or_default(),
        cluster_id: create.cluster_id.clone(),
        namespace: create.namespace.clone(),
        registry_id: create.registry_id.clone(),
        sub_env: None,
    };
    zadig
        .client
        .create_helm_environment(key.scope.into(), &key.project, &body)
        .await
}

/// Installs or upgrades releases.
///
/// # Errors
/// What the call answers, and what it does not call an error: that nothing was done.
pub(super) async fn deploy(
    zadig: &Zadig,
    key: &EnvKey,
    services: &BTreeMap<String, Deployment>,
    operation: String,
) -> Result<(), Error> {
    let EnvKey {
        project,
        env,
        scope,
    } = key;
    let services: Vec<HelmService> = services.iter().map(wire).collect();
    let outcomes = zadig
        .client
        .apply_helm_services((*scope).into(), project, env, &services)
        .await
        .map_err(Error::zadig(&*operation))?;
    if outcomes.is_empty() {
        return Err(Error::NothingDone { operation });
    }
    match outcomes.into_iter().find(|it| it.status == "failed") {
        Some(failed) => {
            let message = zadig.server().secrets.mask(&failed.err_message);
            Err(Error::ReleaseRefused { operation, message })
        }
        None => Ok(()),
    }
}

fn wire((name, deployment): (&String, &Deployment)) -> HelmService {
    let (values_yaml, import_values_from_git) = match &deployment.source {
        Source::Values(values) if values.expose().is_empty() => (String::new(), None),
        // JSON is YAML in every version of it (docs/adr/0002).
        Source::Values(values) => {
            let text = serde_json::to_string_pretty(values.expose());
            (text.unwrap_or_default(), None)
        }
        Source::Git(git) => {
            let git = ValuesFromGit {
                codehost_name: git.codehost.clone(),
                namespace: git.owner.clone(),
                repo: git.repo.clone(),
                branch: git.branch.clone(),
                value_path: git.path.clone(),
                // Zadig would change values by itself then (Z§10).
                auto_sync: false,
            };
            (String::new(), Some(git))
        }
    };
    HelmService {
        service_name: name.clone(),
        deploy_strategy: match deployment.strategy {
            HelmStrategy::Deploy => "deploy",
            HelmStrategy::Import => "import",
            HelmStrategy::Draft => "draft",
        }
        .to_owned(),
        values_yaml,
        overrides: deployment
            .overrides
            .iter()
            .map(|(key, value)| OverrideValue {
                key: key.clone(),
                value: Value::String(plain(value)),
            })
            .collect(),
        import_values_from_git,
    }
}

/// A value in which nothing has a meaning for `helm --set`: Zadig strings the pairs together with commas and lets it take them
/// apart again.
fn plain(value: &SecretText) -> String {
    let mut text = String::new();
    for char in value.expose().chars() {
        if matches!(char, ',' | '\\' | '{' | '}') {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

/// The values that a call sends and that may be secrets.
pub(super) fn secrets(deployment: &Deployment) -> Vec<&str> {
    let mut texts = match &deployment.source {
        Source::Values(values) => values.texts(),
        Source::Git(_) => Vec::new(),
    };
    texts.extend(deployment.overrides.values().map(SecretText::expose));
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::environment::GitValues;

    fn sent(deployment: &Deployment) -> Value {
        serde_json::to_value(wire((&"web".to_owned(), deployment))).unwrap()
    }

    fn deployment(source: Source) -> Deployment {
        Deployment {
            strategy: HelmStrategy::Deploy,
            source,
            overrides: BTreeMap::from([("a.b".to_owned(), SecretText::new("x,y={z}\\"))]),
            is_new: true,
        }
    }

    #[test]
    fn values_are_sent_as_json_and_overrides_as_plain_text() {
        let Value::Object(values) = json!({"on": "yes", "n": 1}) else {
            panic!("a map");
        };
        assert_eq!(
            sent(&deployment(Source::Values(Values::new(values)))),
            json!({
                "service_name": "web", "deploy_strategy": "deploy",
                "values_yaml": "{\n  \"n\": 1,\n  \"on\": \"yes\"\n}",
                "override_kvs": [{"key": "a.b", "value": "x\\,y=\\{z\\}\\\\"}],
            })
        );
    }

    #[test]
    fn values_in_a_repository_are_named_and_not_followed() {
        let text = |text: &str| text.to_owned();
        let git = GitValues {
            codehost: text("gitlab"),
            owner: text("team"),
            repo: text("values"),
            branch: text("main"),
            path: text("dev/web.yaml"),
        };
        assert_eq!(
            sent(&deployment(Source::Git(git)))["import_values_from_git"],
            json!({
                "codehost_name": "gitlab", "namespace": "team", "repo": "values", "branch": "main",
                "value_path": "dev/web.yaml", "auto_sync": false,
            })
        );
    }

    #[test]
    fn every_text_that_is_sent_is_known_to_the_mask() {
        let Value::Object(values) = json!({"db": {"password": "hunter22"}, "list": ["item"]})
        else {
            panic!("a map");
        };
        let deployment = deployment(Source::Values(Values::new(values)));
        assert_eq!(secrets(&deployment), ["hunter22", "item", "x,y={z}\\"]);
    }
}
