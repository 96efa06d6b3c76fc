//! Who may use a connection, for which projects, scopes and target namespaces (design §2, ZadigConnection).
//!
//! The token is usually an administrator's and Zadig accepts any namespace, so these grants are the only fence.

use std::collections::BTreeMap;

use crate::api::connection::{AccessGrant, NamespaceGrant, NamespacesFrom};
use crate::api::environment::Scope;

/// One use of a connection, to be judged.
#[derive(Clone, Debug)]
pub struct Use<'a> {
    /// Namespace of the object that refers to the connection.
    pub from: &'a str,
    /// Labels of that namespace.
    pub from_labels: &'a BTreeMap<String, String>,
    /// Project it wants to work in.
    pub project: &'a str,
    /// Test or Production.
    pub scope: Scope,
    /// Namespace in which the environment is to live.
    pub target: &'a str,
    /// Namespace of the operator itself.
    pub operator: &'a str,
}

/// What the grants say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Some grant admits the use.
    Admitted,
    /// No grant is for this namespace: the answer must not tell whether the connection exists.
    Unknown,
    /// A grant is for this namespace, but not for this project, scope or target.
    Refused(&'static str),
}

/// Judges one use of the connection that lives in `home` and has these grants.
#[must_use]
pub fn judge(home: &str, grants: Option<&[AccessGrant]>, wanted: &Use<'_>) -> Verdict {
    let fallback = [AccessGrant::default()];
    let mut verdict = Verdict::Unknown;
    for grant in grants.unwrap_or(&fallback) {
        let AccessGrant {
            namespaces,
            projects,
            scopes,
            target_namespaces,
        } = grant;
        let ours = admits(namespaces, home, wanted.from, wanted.from_labels);
        if !ours {
            continue;
        }
        let project_ok = projects
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|p| matches(p, wanted.project)));
        let scope_ok = scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&wanted.scope));
        let target_ok = match target_namespaces {
            Some(patterns) => patterns.iter().any(|p| matches(p, wanted.target)),
            None => !is_system_namespace(wanted.target) && wanted.target != wanted.operator,
        };
        verdict = match (project_ok, scope_ok, target_ok) {
            (true, true, true) => return Verdict::Admitted,
            (false, _, _) => Verdict::Refused("spec.projectKey"),
            (true, false, _) => Verdict::Refused("spec.scope"),
            (true, true, false) => Verdict::Refused("spec.namespace"),
        };
    }
    verdict
}

/// Whether a grant that is given in namespace `home` is for the namespace `from` with these labels.
#[must_use]
pub fn admits(
    grant: &NamespaceGrant,
    home: &str,
    from: &str,
    from_labels: &BTreeMap<String, String>,
) -> bool {
    match grant.from {
        NamespacesFrom::Same => from == home,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => grant.selector.as_ref().is_some_and(|selector| {
            selector
                .match_labels
                .iter()
                .all(|(key, value)| from_labels.get(key) == Some(value))
        }),
    }
}

/// Namespaces that no environment may live in unless a grant names them.
fn is_system_namespace(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace == "istio-system" || namespace == "default"
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters, also none.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return text.is_empty();
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connection::{LabelSelector, NamespaceGrant};

    fn wanted<'a>(
        from: &'a str,
        labels: &'a BTreeMap<String, String>,
        project: &'a str,
        target: &'a str,
    ) -> Use<'a> {
        Use {
            from,
            from_labels: labels,
            project,
            scope: Scope::Test,
            target,
            operator: "operators",
        }
    }

    #[test]
    fn without_grants_only_the_own_namespace_and_no_system_namespace() {
        let none = BTreeMap::new();
        let verdict = |from, target| judge("team", None, &wanted(from, &none, "shop", target));
        assert_eq!(verdict("team", "shop-env-dev"), Verdict::Admitted);
        assert_eq!(verdict("other", "shop-env-dev"), Verdict::Unknown);
        for target in ["kube-system", "istio-system", "default", "operators"] {
            assert_eq!(
                verdict("team", target),
                Verdict::Refused("spec.namespace"),
                "{target}"
            );
        }
    }

    #[test]
    fn a_grant_fences_projects_and_targets_and_a_later_one_may_admit() {
        let labels = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        let grants = [
            AccessGrant {
                namespaces: NamespaceGrant {
                    from: NamespacesFrom::Selector,
                    selector: Some(LabelSelector {
                        match_labels: labels.clone(),
                    }),
                },
                projects: Some(vec!["shop*".to_owned()]),
                scopes: None,
                target_namespaces: Some(vec!["shop-*".to_owned()]),
            },
            AccessGrant {
                namespaces: NamespaceGrant {
                    from: NamespacesFrom::All,
                    selector: None,
                },
                projects: Some(vec!["open".to_owned()]),
                scopes: Some(vec![Scope::Test]),
                target_namespaces: None,
            },
        ];
        let none = BTreeMap::new();
        let judged = |labels, project, target| {
            judge(
                "home",
                Some(&grants),
                &wanted("blue", labels, project, target),
            )
        };
        assert_eq!(judged(&labels, "shop-eu", "shop-eu-1"), Verdict::Admitted);
        assert_eq!(judged(&none, "open", "anything"), Verdict::Admitted);
        assert_eq!(
            judged(&none, "shop-eu", "shop-eu-1"),
            Verdict::Refused("spec.projectKey")
        );
        assert_eq!(
            judged(&labels, "open", "kube-system"),
            Verdict::Refused("spec.namespace")
        );
    }

    #[test]
    fn a_grant_fences_scopes_and_a_refusal_names_the_field_alone() {
        let none = BTreeMap::new();
        let grants = |scopes: Option<&[Scope]>| {
            [AccessGrant {
                scopes: scopes.map(<[Scope]>::to_vec),
                ..AccessGrant::default()
            }]
        };
        let judged = |grants: &[AccessGrant], from, scope| {
            let wanted = Use {
                scope,
                ..wanted(from, &none, "shop", "shop-env-dev")
            };
            judge("team", Some(grants), &wanted)
        };
        let refused = Verdict::Refused("spec.scope");
        for (scopes, test, production) in [
            (None, Verdict::Admitted, Verdict::Admitted),
            (Some(&[Scope::Test][..]), Verdict::Admitted, refused),
            (Some(&[Scope::Production]), refused, Verdict::Admitted),
            (
                Some(&[Scope::Test, Scope::Production]),
                Verdict::Admitted,
                Verdict::Admitted,
            ),
        ] {
            let grants = grants(scopes);
            assert_eq!(judged(&grants, "team", Scope::Test), test, "{scopes:?}");
            assert_eq!(
                judged(&grants, "team", Scope::Production),
                production,
                "{scopes:?}"
            );
            assert_eq!(
                judged(&grants, "other", Scope::Production),
                Verdict::Unknown,
                "{scopes:?}"
            );
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("shop*", "shop", true),
            ("shop-*", "shop", false),
            ("*-dev", "shop-dev", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("shop", "shop2", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
