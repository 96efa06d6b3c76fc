//! Zadig as somebody else uses it: the hand that changes things behind the operator's back, and the eye that sees
//! whether the operator repaired them. Z§n is the description of Zadig's API that the project was written from.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::objects;
use crate::stage::variable;

const TIMEOUT: Duration = Duration::from_mins(1);

/// A Zadig to talk to.
pub(crate) struct Zadig {
    /// Address, as a ZadigConnection has it.
    pub(crate) url: String,
    /// An administrator's token.
    pub(crate) token: String,
    /// Whether it is a simulator, which can be asked for more than Zadig tells.
    pub(crate) is_simulated: bool,
    http: Client,
}

impl fmt::Debug for Zadig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zadig")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Zadig {
    /// The simulator that listens there.
    pub(crate) async fn simulated(url: &str) -> Result<Self> {
        let mut zadig = Self {
            url: url.to_owned(),
            token: String::new(),
            is_simulated: true,
            http: http()?,
        };
        zadig.token = zadig.token_of("admin").await?;
        Ok(zadig)
    }

    /// The API token of a user of the simulator.
    pub(crate) async fn token_of(&self, user: &str) -> Result<String> {
        let query = [("user", user)];
        let answer = self.send(Method::GET, "/sim/token", &query, None).await?;
        objects::text(&answer, &["token"]).context("the simulator gives no token")
    }

    /// Makes calls to the simulator go wrong, as the rule says.
    pub(crate) async fn fault(&self, rule: Value) -> Result<()> {
        self.send(Method::POST, "/sim/fault", &[], Some(rule))
            .await?;
        Ok(())
    }

    /// Everything that the simulated Zadig and its cluster hold.
    pub(crate) async fn snapshot(&self) -> Result<Value> {
        self.send(Method::GET, "/sim/snapshot", &[], None).await
    }

    /// The server of `ZADIG_URL` and `ZADIG_TOKEN`, if they are set.
    pub(crate) fn real() -> Result<Option<Self>> {
        let Some(url) = variable("ZADIG_URL") else {
            return Ok(None);
        };
        let token = variable("ZADIG_TOKEN").context("ZADIG_URL needs ZADIG_TOKEN beside it")?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Some(Self {
            url,
            token,
            is_simulated: false,
            http: http()?,
        }))
    }

    /// The environment as the list shows it (Z§4.1).
    pub(crate) async fn environment(&self, project: &str, key: &str) -> Result<Option<Value>> {
        let list = self.environments(project).await?;
        Ok(list
            .into_iter()
            .find(|environment| environment["env_key"] == key))
    }

    /// All environments of a project.
    pub(crate) async fn environments(&self, project: &str) -> Result<Vec<Value>> {
        let query = [("projectKey", project)];
        let list = self
            .send(Method::GET, "/openapi/environments", &query, None)
            .await?;
        Ok(list.as_array().cloned().unwrap_or_default())
    }

    /// The image of a container as Zadig records it (Z§4.2).
    pub(crate) async fn image(&self, at: &Place<'_>) -> Result<Option<String>> {
        let Place {
            project,
            env,
            service,
            container,
        } = at;
        let path = format!("/openapi/environments/{env}");
        let detail = self
            .send(Method::GET, &path, &[("projectKey", project)], None)
            .await?;
        let named = |list: &Value, key: &str, name: &str| {
            list.as_array()?
                .iter()
                .find(|item| item[key] == name)
                .cloned()
        };
        let image = named(&detail["services"], "service_name", service)
            .and_then(|found| named(&found["containers"], "name", container))
            .and_then(|found| found["image"].as_str().map(ToOwned::to_owned));
        Ok(image)
    }

    /// Sets the image of a container of the Deployment that is named like its service (Z§4.17).
    pub(crate) async fn set_image(&self, at: &Place<'_>, image: &str) -> Result<()> {
        let Place {
            project,
            env,
            service,
            container,
        } = at;
        let body = json!({
            "product_name": project,
            "env_name": env,
            "service_name": service,
            "name": service,
            "container_name": container,
            "image": image,
        });
        let path = format!("/openapi/environments/image/deployment/{env}");
        self.send(Method::POST, &path, &[("projectKey", project)], Some(body))
            .await?;
        Ok(())
    }

    /// Removes an environment with its namespace (Z§4.9).
    pub(crate) async fn delete(&self, project: &str, key: &str) -> Result<()> {
        let path = format!("/openapi/environments/{key}");
        let query = [("projectKey", project), ("isDelete", "true")];
        self.send(Method::DELETE, &path, &query, None).await?;
        Ok(())
    }

    /// Whether the simulator's cluster has a namespace.
    pub(crate) async fn has_namespace(&self, name: &str) -> Result<bool> {
        let state = self.snapshot().await?;
        let namespaces = state["namespaces"]
            .as_array()
            .context("the simulator has namespaces")?;
        Ok(namespaces.iter().any(|namespace| namespace["name"] == name))
    }

    /// Every call that the simulator received.
    pub(crate) async fn calls(&self) -> Result<Vec<Value>> {
        let calls = self.send(Method::GET, "/sim/calls", &[], None).await?;
        Ok(calls.as_array().cloned().unwrap_or_default())
    }

    /// Makes the simulator forget the calls so far.
    pub(crate) async fn clear_calls(&self) -> Result<()> {
        self.send(Method::DELETE, "/sim/calls", &[], None).await?;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.url));
        request = request.bearer_auth(&self.token).query(query);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{method} {path} was not answered"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON"))
    }
}

/// A container in an environment.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) env: &'a str,
    pub(crate) service: &'a str,
    pub(crate) container: &'a str,
}

fn http() -> Result<Client> {
    Ok(Client::builder().timeout(TIMEOUT).build()?)
}
