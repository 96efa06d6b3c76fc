//! The plan for an object inside an environment as it is put before a person.

use std::collections::BTreeSet;

use super::{Action, Config, Desired, Existence, Object, Observed, plan};
use crate::plan::Plan;
use crate::plan::home::Home;
use crate::plan::management::{self, Draft};
use crate::plan::secret::SecretText;

/// The parts of a live object that hold content; the others move by themselves.
const CONTENT: [&str; 5] = ["type", "immutable", "data", "binaryData", "spec"];

/// The plan with what follows from it, as it would be sent.
#[must_use]
pub fn ahead(desired: &Desired, observed: &Observed) -> Plan<Action> {
    let mut observed = Observed {
        connection_suspended: false,
        ..observed.clone()
    };
    management::ahead(plan(desired, &observed), |actions| {
        let [Action::RecordOwnership(ownership)] = actions else {
            return None;
        };
        observed.record = Some(ownership.clone());
        Some(plan(desired, &observed))
    })
}

/// What is put before a person.
#[must_use]
pub fn draft(config: &Config, observed: &Observed, actions: &[Action]) -> Draft {
    let declared = [format!("{config:?}"), config.object.0.to_string()];
    let mut seen = vec![
        // When it was last written: an approval is for once.
        observed
            .memory
            .wrote_at
            .map_or_else(String::new, |at| at.as_second().to_string()),
    ];
    if let Home::Present(home) = &observed.environment {
        seen.push(home.identity.zadig.clone());
        seen.push(home.identity.cluster_id.clone());
        seen.push(home.identity.namespace.clone());
    }
    if let Existence::Present(Object(live)) = &observed.live {
        seen.extend(CONTENT.map(|part| live[part].to_string()));
    }
    Draft {
        declared: declared.map(SecretText::new).into(),
        seen: seen.into_iter().map(SecretText::new).collect(),
        summary: actions
            .iter()
            .filter(|action| !matches!(action, Action::RecordOwnership(_)))
            .map(Action::summary)
            .collect(),
        steps: actions.iter().flat_map(steps).collect(),
    }
}

/// What an action does, one by one. Content is part of what is declared.
fn steps(action: &Action) -> BTreeSet<String> {
    match action {
        // Written to Kubernetes, and wanted by whoever declared `creation`.
        Action::RecordOwnership(_) => BTreeSet::new(),
        Action::Create { .. } => ["object".to_owned()].into(),
        Action::Replace { fields, .. } => fields.iter().cloned().collect(),
        Action::Delete => ["object deleted".to_owned()].into(),
    }
}
