//! Which template a service was made from, and what its next change of variables makes of that.
//!
//! No call sets a variable without moving the service to the newest template (Z§4.11), and no read tells which one it has. So
//! the one that was the newest just before each write of ours is remembered. That errs on the safe side: a template that
//! changed in between is announced with the next change, although it came with the last.

use std::fmt::Write as _;

use super::{join, memory::Memory};

/// Whether a change of variables brings a service another template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upgrade {
    /// The newest one is not the one of our last write.
    Certain,
    /// It is not known which one the service has, as it was never written by this object, or that was forgotten.
    Possible,
}

/// What sending variables to the service makes of its template, where `newest` is the digest of the newest one.
#[must_use]
pub(super) fn upgrade(memory: &Memory, service: &str, newest: Option<&String>) -> Option<Upgrade> {
    let known = memory.applied.get(service);
    match (known.and_then(|known| known.template.as_ref()), newest) {
        (Some(known), Some(newest)) => (known != newest).then_some(Upgrade::Certain),
        (None, _) | (_, None) => Some(Upgrade::Possible),
    }
}

/// What the summary of an action says of the templates of services.
pub(super) fn summary<'a>(upgrades: impl Iterator<Item = (&'a String, Upgrade)>) -> String {
    let (mut certain, mut possible) = (Vec::new(), Vec::new());
    for (service, upgrade) in upgrades {
        match upgrade {
            Upgrade::Certain => certain.push(service),
            Upgrade::Possible => possible.push(service),
        }
    }
    let mut text = String::new();
    for (how, services) in [("also upgrades", certain), ("may also upgrade", possible)] {
        if !services.is_empty() {
            let _ = write!(text, "; {how} the template of {}", join(services));
        }
    }
    text
}
