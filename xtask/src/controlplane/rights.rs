//! The operator's user gets the rights of the Helm chart and no others, so that a test which passes shows that they suffice.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::audit::Request;
use super::run::User;
use crate::paths;

/// The API server's authorizer learns of a role within milliseconds; a loaded machine takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The namespace that the chart is rendered for.
pub const RELEASE: &str = "zadig-operator";

/// Grants an operator whose own objects are in `namespace` what the chart's default grants; may be repeated for other namespaces.
///
/// # Errors
/// When the chart was not rendered, or the API server does not take its roles.
pub async fn grant(client: &Client, namespace: &str) -> Result<()> {
    grant_rendered(client, namespace, "default").await
}

/// Grants what a rendering of the chart grants, which is `tests/chart/CASE.yaml`: the rights of its own namespace in the one given,
/// those of other namespaces there.
///
/// # Errors
/// As of [`grant`].
pub async fn grant_rendered(client: &Client, namespace: &str, case: &str) -> Result<()> {
    let objects = in_namespace(rendered(case)?, namespace);
    let operator = Subject {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "User".to_owned(),
        name: User::Operator.name().to_owned(),
        namespace: None,
    };
    let rights = rights(&objects);
    for mut object in objects {
        if object["subjects"].is_array() {
            object["subjects"] = json!([operator]);
        }
        let home = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let home = home.to_owned();
        match object["kind"].as_str().unwrap_or_default() {
            "ClusterRole" => apply::<ClusterRole>(Api::all(client.clone()), object).await?,
            "ClusterRoleBinding" => {
                apply::<ClusterRoleBinding>(Api::all(client.clone()), object).await?;
            }
            "Role" => apply::<Role>(Api::namespaced(client.clone(), &home), object).await?,
            "RoleBinding" => {
                apply::<RoleBinding>(Api::namespaced(client.clone(), &home), object).await?;
            }
            _ => {}
        }
    }
    until_effective(client, &rights).await
}

/// The objects of a rendering of the chart, which is `tests/chart/CASE.yaml`.
///
/// # Errors
/// When it was not rendered.
pub fn rendered(case: &str) -> Result<Vec<Value>> {
    let file = paths::workspace().join(format!("tests/chart/{case}.yaml"));
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_saphyr::from_multiple(&text)?)
}

/// The same objects for a release in another namespace.
fn in_namespace(mut objects: Vec<Value>, namespace: &str) -> Vec<Value> {
    for object in &mut objects {
        if object["metadata"]["namespace"] == RELEASE {
            object["metadata"]["namespace"] = namespace.into();
        }
    }
    objects
}

/// One thing that a role allows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural name of the resource, with the subresource.
    pub resource: String,
    /// As of [`Request`].
    pub verb: String,
    /// The only namespace it is for; everywhere without one.
    pub namespace: Option<String>,
    /// The only object it is for; all without one.
    pub name: Option<String>,
}

impl Right {
    /// Whether a request needs no other right than this.
    #[must_use]
    pub fn allows(&self, request: &Request) -> bool {
        let Self {
            group,
            resource,
            verb,
            namespace,
            name,
        } = self;
        let is_within = |limit: &Option<String>, value: &String| {
            limit.as_ref().is_none_or(|limit| limit == value)
        };
        (group, resource, verb) == (&request.group, &request.resource, &request.verb)
            && is_within(namespace, &request.namespace)
            && is_within(name, &request.name)
    }

    /// Whether it allows less than another one, and nothing besides.
    fn is_narrower_than(&self, other: &Self) -> bool {
        let is_within =
            |limit: &Option<String>, wider: &Option<String>| wider.is_none() || limit == wider;
        self != other
            && (&self.group, &self.resource, &self.verb)
                == (&other.group, &other.resource, &other.verb)
            && is_within(&self.namespace, &other.namespace)
            && is_within(&self.name, &other.name)
    }
}

/// The rights that are for nothing: none of the requests needed them, or a narrower one would have done for all that did.
#[must_use]
pub fn unneeded(rights: &BTreeSet<Right>, requests: &[Request]) -> Vec<Right> {
    let is_needed = |right: &Right| {
        let narrower = rights.iter().filter(|other| other.is_narrower_than(right));
        let narrower: Vec<&Right> = narrower.collect();
        requests.iter().any(|request| {
            !request.is_forbidden
                && right.allows(request)
                && !narrower.iter().any(|other| other.allows(request))
        })
    };
    let unneeded = rights.iter().filter(|right| !is_needed(right));
    unneeded.cloned().collect()
}

/// What roles that are bound allow. A role that only people are given is not among them.
#[must_use]
pub fn rights(objects: &[Value]) -> BTreeSet<Right> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().into_iter().flatten();
        words.filter_map(word).collect()
    };
    let mut rights = BTreeSet::new();
    for binding in objects
        .iter()
        .filter(|object| object["subjects"].is_array())
    {
        let namespace = word(&binding["metadata"]["namespace"]);
        let role = objects.iter().find(|object| {
            let home = word(&object["metadata"]["namespace"]);
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && (home.is_none() || home == namespace)
        });
        let rules = role.and_then(|role| role["rules"].as_array());
        for rule in rules.into_iter().flatten() {
            let mut only: Vec<Option<String>> = words(&rule["resourceNames"])
                .into_iter()
                .map(Some)
                .collect();
            if only.is_empty() {
                only.push(None);
            }
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        rights.extend(only.iter().map(|name| Right {
                            group: group.clone(),
                            resource: resource.clone(),
                            verb: verb.clone(),
                            namespace: namespace.clone(),
                            name: name.clone(),
                        }));
                    }
                }
            }
        }
    }
    rights
}

async fn apply<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object)?;
    let name = object.name_any();
    let params = PatchParams::apply("xtask").force();
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
    applied.with_context(|| format!("the API server does not take the role or binding {name}"))?;
    Ok(())
}

/// Waits until the API server knows of every one.
async fn until_effective(client: &Client, rights: &BTreeSet<Right>) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let deadline = Instant::now() + PATIENCE;
    for right in rights {
        let (resource, subresource) = right
            .resource
            .split_once('/')
            .unwrap_or((&right.resource, ""));
        let question: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": User::Operator.name(),
            "resourceAttributes": {
                "group": right.group, "resource": resource, "subresource": subresource,
                "verb": right.verb, "namespace": right.namespace, "name": right.name,
            },
        }}))?;
        loop {
            let answer = reviews.create(&PostParams::default(), &question).await?;
            if answer.status.is_some_and(|status| status.allowed) {
                break;
            }
            if Instant::now() > deadline {
                bail!("it was granted, and the operator does not have it: {right:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(namespace: Option<&str>, name: Option<&str>) -> Right {
        Right {
            group: String::new(),
            resource: "secrets".to_owned(),
            verb: "get".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    fn request(namespace: &str, name: &str) -> Request {
        Request {
            group: String::new(),
            resource: "secrets".to_owned(),
            verb: "get".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            code: 200,
            is_forbidden: false,
        }
    }

    #[test]
    fn a_right_is_of_the_roles_that_are_bound_and_as_wide_as_the_binding() {
        let objects: Vec<Value> = serde_saphyr::from_multiple(
            r#"
kind: ClusterRole
metadata: {name: all}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
kind: ClusterRole
metadata: {name: of-people}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
kind: Role
metadata: {name: own, namespace: a}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [key], verbs: [get]}]
---
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {kind: ClusterRole, name: all}
subjects: []
---
kind: RoleBinding
metadata: {name: own, namespace: a}
roleRef: {kind: Role, name: own}
subjects: []
---
kind: RoleBinding
metadata: {name: all, namespace: b}
roleRef: {kind: ClusterRole, name: all}
subjects: []
"#,
        )
        .unwrap();
        let expected = [
            right(None, None),
            right(Some("a"), Some("key")),
            right(Some("b"), None),
        ];
        assert_eq!(rights(&objects), BTreeSet::from(expected));
    }

    #[test]
    fn a_wider_right_needs_a_request_that_a_narrower_one_does_not_allow() {
        let (all, own) = (right(None, None), right(Some("a"), Some("key")));
        let rights = BTreeSet::from([all.clone(), own.clone()]);
        let (key, other) = (request("a", "key"), request("b", "key"));
        assert_eq!(unneeded(&rights, &[]).len(), 2);
        assert_eq!(
            unneeded(&rights, std::slice::from_ref(&key)),
            std::slice::from_ref(&all)
        );
        assert_eq!(unneeded(&rights, std::slice::from_ref(&other)), [own]);
        assert_eq!(unneeded(&rights, &[key.clone(), other.clone()]), []);
        let refused = Request {
            is_forbidden: true,
            ..other
        };
        assert_eq!(unneeded(&rights, &[key, refused]), [all]);
        // Neither is narrower than the other, and both are used.
        let (space, name) = (right(Some("a"), None), right(None, Some("key")));
        let both = BTreeSet::from([space, name]);
        assert_eq!(unneeded(&both, &[request("a", "key")]), []);
    }
}
