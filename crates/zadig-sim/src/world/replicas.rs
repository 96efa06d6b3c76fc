//! Where a workload's number of replicas comes from, found out by rendering with other values (Z§4.15).

use serde_json::{Value, json};

use super::environment::{Deployed, Environment};
use crate::render::id_of;

/// Numbers that no template has by itself; the second one serves where the first one is the number.
const PROBES: [i64; 2] = [7919, 7907];

/// The origin of a number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The template's own text.
    Literal,
    /// A variable of the service, as it is.
    Variable(String),
    /// Something that is calculated, or made of several variables.
    Expression,
    /// A variable that other workloads of the service take their number from as well.
    Shared(String),
}

impl Environment {
    /// Where the replicas of a workload (`Kind/name`) of the service come from.
    pub(crate) fn replicas_origin(&self, service: &Deployed, id: &str) -> Origin {
        let before = self.numbers(service);
        let number = |numbers: &[(String, Value)]| {
            let found = numbers.iter().find(|(known, _)| known == id);
            found.map(|(_, number)| number.clone()).unwrap_or_default()
        };
        let old = number(&before);
        let probe = PROBES
            .into_iter()
            .find(|probe| old != *probe)
            .unwrap_or(PROBES[0]);
        let mut origin = Origin::Literal;
        for at in 0..service.variables.len() {
            let rendered_with = |value: Value| {
                let mut changed = service.clone();
                changed.variables[at].variable.value = value;
                self.numbers(&changed)
            };
            let mut after = rendered_with(json!(probe.to_string()));
            if after.is_empty() {
                // The template wants a text there.
                after = rendered_with(json!("probe"));
            }
            let new = number(&after);
            if new == old || after.is_empty() {
                continue;
            }
            if origin != Origin::Literal || new != probe {
                return Origin::Expression;
            }
            let key = service.variables[at].variable.key.clone();
            let is_shared = before.iter().any(|(other, number)| {
                other != id
                    && after
                        .iter()
                        .any(|(known, new)| known == other && new != number)
            });
            origin = if is_shared {
                Origin::Shared(key)
            } else {
                Origin::Variable(key)
            };
        }
        origin
    }

    /// The numbers that the template gives, without overrides; none if it cannot be rendered.
    fn numbers(&self, service: &Deployed) -> Vec<(String, Value)> {
        let mut bare = service.clone();
        bare.replicas.clear();
        let objects = self.objects(&bare);
        objects
            .iter()
            .map(|object| (id_of(object), object["spec"]["replicas"].clone()))
            .collect()
    }
}
