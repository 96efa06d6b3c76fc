//! Objects inside production environments: Zadig shows them and deletes them, and has no working call that makes or writes one.
//!
//! The route that creates looks for a test environment (Z§9, 8), and so does the one that updates, which would even change the
//! objects of a *test* environment (Z§9, 9). What is there can be taken over, compared and deleted (Z§9, 10).

use super::{Config, LATER};
use crate::api::condition::Reason;
use crate::api::environment::Creation;
use crate::plan::Plan;
use crate::plan::environment::join;
use crate::plan::home::Place;

/// The object is not there.
pub(super) fn missing<A>(config: &Config, home: &Place, ours: bool) -> Plan<A> {
    let namespace = &home.identity.namespace;
    if config.creation == Creation::Adopt && !ours {
        return Plan::wait(
            Reason::ConfigNotFound,
            format!(
                "spec.creation: Adopt, but the environment has no {config}; create it in namespace {namespace} of its cluster"
            ),
            LATER,
        );
    }
    Plan::blocked(
        Reason::InvalidSpec,
        format!(
            "spec.environmentRef: Zadig has no call that makes {config} in a production environment; create it in namespace {namespace} of its cluster, and set creation: Adopt to have it compared"
        ),
    )
}

/// The object is there and differs in these fields.
pub(super) fn differs<A>(config: &Config, home: &Place, fields: &[String]) -> Plan<A> {
    Plan::blocked(
        Reason::InvalidSpec,
        format!(
            "{}: {config} is not as declared, and Zadig has no call that writes it in a production environment; change it in namespace {} of its cluster, or declare what is there",
            join(fields),
            home.identity.namespace
        ),
    )
}
