//! The acts of the demo, each of which ends only when what it promises was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use kube::api::DeleteParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::script::{Script, Target};
use super::show::Show;
use crate::objects::{self, ENVIRONMENT, is_ready, message, text};
use crate::stage::Stage;
use crate::zadig::{Place, Zadig};

/// The simulator's pods start at once; what takes long is the machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// A real Zadig waits up to five minutes for pods.
const REAL_PATIENCE: Duration = Duration::from_mins(8);
const LOOK: Duration = Duration::from_millis(200);

/// What is played, and on what.
pub(super) struct Play<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) zadig: &'a Zadig,
    pub(super) script: &'a Script,
    pub(super) namespace: &'a str,
}

impl Play<'_> {
    /// All acts, in order.
    pub(super) async fn perform(&mut self) -> Result<()> {
        self.prepare().await?;
        println!(
            "\n1. {} environments are declared.",
            self.script.environments.len()
        );
        let mut show = Show::new(&self.stage.client, self.namespace);
        for environment in &self.script.environments {
            objects::apply(&self.stage.client, Some(self.namespace), environment).await?;
        }
        self.all_ready(&mut show).await?;
        show.table().await?;

        let target = self.script.target()?;
        println!(
            "2. Behind the operator's back somebody sets another image for container {} of service {} in {}.",
            target.container, target.service, target.env
        );
        self.drift_is_repaired(&target, &mut show).await?;

        let last = self
            .script
            .environments
            .iter()
            .rev()
            // What a production environment leaves in the cluster is meant to stay.
            .find(|environment| environment.data["spec"]["scope"] != "Production")
            .context("there is a test environment")?;
        println!("\n3. kubectl delete zenv {}", last.name_any());
        self.deleted_is_gone(last, &mut show).await?;
        show.table().await
    }

    /// The operator, its namespace, the token and the connection.
    async fn prepare(&mut self) -> Result<()> {
        objects::create_namespace(&self.stage.client, self.namespace).await?;
        objects::forget(&self.stage.client, self.namespace).await?;
        self.stage.start_operator(self.namespace).await?;
        let objects = [
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "zadig-token"},
                "stringData": {"token": self.zadig.token},
            }),
            json!({
                "apiVersion": "zadig-operator.io/v1alpha1",
                "kind": "ZadigConnection",
                "metadata": {"name": "default"},
                "spec": {
                    "url": self.zadig.url,
                    "tokenSecretRef": {"name": "zadig-token", "key": "token"},
                    // Thirty seconds, the default, would only make the demo longer.
                    "intervals": {"list": "2s"},
                },
            }),
        ];
        for object in objects {
            let object = serde_json::from_value(object)?;
            objects::apply(&self.stage.client, Some(self.namespace), &object).await?;
        }
        Ok(())
    }

    async fn all_ready(&mut self, show: &mut Show) -> Result<()> {
        let deadline = self.deadline();
        loop {
            let now = show.look().await?;
            let names = self.script.environments.iter().map(ResourceExt::name_any);
            let waiting: Vec<String> = names
                .filter(|name| !now.get(name).is_some_and(is_ready))
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            self.pause(deadline, &format!("{} not Ready", waiting.join(", ")), &now)
                .await?;
        }
    }

    async fn drift_is_repaired(&mut self, target: &Target, show: &mut Show) -> Result<()> {
        let Target {
            object,
            env,
            service,
            container,
            image,
        } = target;
        let place = Place {
            project: &self.script.project,
            env,
            service,
            container,
        };
        let foreign = foreign_image(image);
        let since = Timestamp::now();
        self.zadig.set_image(&place, &foreign).await?;
        println!(
            "   Zadig runs {}",
            self.zadig.image(&place).await?.unwrap_or_default()
        );
        let deadline = self.deadline();
        loop {
            let now = show.look().await?;
            let change = now
                .get(object)
                .and_then(|object| last_change(object, since));
            let runs = self.zadig.image(&place).await?;
            if let Some(action) = change
                && runs.as_ref() == Some(image)
                && now.get(object).is_some_and(is_ready)
            {
                println!("   the operator saw it: {action}");
                println!("   Zadig runs {image} again, {env} is Ready");
                return Ok(());
            }
            let what = format!("{service} of {env} runs {}", runs.unwrap_or_default());
            self.pause(deadline, &what, &now).await?;
        }
    }

    async fn deleted_is_gone(
        &mut self,
        environment: &DynamicObject,
        show: &mut Show,
    ) -> Result<()> {
        let name = environment.name_any();
        let env = text(&environment.data, &["spec", "envKey"]).context("it has a key")?;
        let project = &self.script.project;
        let namespace = text(&environment.data, &["spec", "namespace"])
            .unwrap_or_else(|| format!("{project}-env-{env}"));
        objects::api(&self.stage.client, self.namespace, ENVIRONMENT)
            .delete(&name, &DeleteParams::background())
            .await?;
        let deadline = self.deadline();
        loop {
            let now = show.look().await?;
            let in_zadig = self.zadig.environment(project, &env).await?.is_some();
            // A real Zadig tells nothing about namespaces.
            let in_cluster =
                self.zadig.is_simulated && self.zadig.has_namespace(&namespace).await?;
            match (now.contains_key(&name), in_zadig, in_cluster) {
                (false, false, false) => break,
                (object, zadig, cluster) => {
                    let what = format!(
                        "not gone yet: object {object}, environment in Zadig {zadig}, namespace {cluster}"
                    );
                    self.pause(deadline, &what, &now).await?;
                }
            }
        }
        println!("   Zadig knows no environment {env} any more");
        if self.zadig.is_simulated {
            println!("   namespace {namespace} is gone from its cluster");
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        Instant::now()
            + if self.zadig.is_simulated {
                PATIENCE
            } else {
                REAL_PATIENCE
            }
    }

    async fn pause(
        &mut self,
        deadline: Instant,
        what: &str,
        now: &BTreeMap<String, DynamicObject>,
    ) -> Result<()> {
        self.stage.check()?;
        if Instant::now() > deadline {
            let messages = now.iter().filter_map(|(name, object)| {
                Some(format!("{name}: {}", message(object, "Ready")?))
            });
            bail!("{what}; {}", messages.collect::<Vec<_>>().join("; "));
        }
        sleep(LOOK).await;
        Ok(())
    }
}

/// The action of the last change, if it was made after `since`. The API server keeps whole seconds.
fn last_change(object: &DynamicObject, since: Timestamp) -> Option<String> {
    let change = &object.data["status"]["lastChange"];
    let time: Timestamp = change["time"].as_str()?.parse().ok()?;
    (time.as_second() >= since.as_second()).then(|| text(change, &["action"]))?
}

/// The same image with another tag.
fn foreign_image(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    let slash = name.rfind('/').unwrap_or(0);
    let end = name[slash..]
        .find(':')
        .map_or(name.len(), |colon| slash + colon);
    format!("{}:by-hand", &name[..end])
}

/// Removes what the demo made where it is not ours: environments by the operator, and by hand what it left.
pub(super) async fn clean_up(
    stage: &Stage,
    zadig: &Zadig,
    script: &Script,
    namespace: &str,
) -> Result<()> {
    let patience = if zadig.is_simulated {
        PATIENCE
    } else {
        REAL_PATIENCE
    };
    let released = objects::delete_environments(&stage.client, namespace, patience).await;
    if !zadig.is_simulated {
        for environment in zadig.environments(&script.project).await? {
            let key = environment["env_key"].as_str().unwrap_or_default();
            if key.ends_with(&script.tag) {
                zadig.delete(&script.project, key).await?;
            }
        }
    }
    let resource = kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&());
    let namespaces: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
    namespaces
        .delete(namespace, &DeleteParams::background())
        .await?;
    released
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foreign_image_differs_in_its_tag_alone() {
        let images = [
            "r.example.com:5000/a/b:1.2",
            "r.example.com:5000/a/b",
            "a/b:1@sha256:00",
        ];
        let expected = [
            "r.example.com:5000/a/b:by-hand",
            "r.example.com:5000/a/b:by-hand",
            "a/b:by-hand",
        ];
        assert_eq!(images.map(foreign_image), expected);
    }
}
