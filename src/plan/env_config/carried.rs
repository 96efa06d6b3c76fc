//! Objects that the creation of their environment carries (`spec.configRefs`).
//!
//! The call makes each of them, or overwrites the one that is there, and nothing shows beforehand which it will be (Z§4.6): no route
//! reads a namespace that is no environment's. Only a namespace of Zadig's own naming is taken for one that the call makes.

use super::Config;
use crate::api::condition::Reason;
use crate::api::environment::{Creation, Ownership, OwnershipState};
use crate::plan::Blocked;
use crate::plan::environment::is_own_namespace;

/// How an object is claimed before the creation of the environment carries it: as ours where the namespace is made with it, and as
/// taken over where it may have been there before.
///
/// # Errors
/// What speaks against its being carried, as long as it is not ours.
pub(super) fn claim(config: &Config, environment: &Ownership) -> Result<OwnershipState, Blocked> {
    claimed_as(config.creation, environment).map_err(|reason| {
        let message = match config.creation {
            Creation::Adopt => format!(
                "spec.creation: Adopt, but the ZadigEnvironment names this object under spec.configRefs, and its creation would make {config}; set creation: CreateOrAdopt, or take it out of configRefs there"
            ),
            Creation::Create | Creation::CreateOrAdopt => format!(
                "spec.creation: Create, but {config} may be there before the environment: spec.namespace of the ZadigEnvironment is {}, and in a namespace that exists the creation overwrites it (spec.configRefs). If it may: kubectl patch zadigenvconfig <name> --type merge -p '{{\"spec\":{{\"creation\":\"CreateOrAdopt\"}}}}', and it counts as taken over. Else leave spec.namespace out there, so that Zadig makes one",
                environment.namespace
            ),
        };
        Blocked::new(reason, message)
    })
}

/// Whether a claim still lets the creation of the environment carry the object.
#[must_use]
pub fn may_be_carried(creation: Creation, record: &Ownership) -> bool {
    match record.state {
        OwnershipState::Pending => claimed_as(creation, record) == Ok(OwnershipState::Pending),
        OwnershipState::Created | OwnershipState::Adopted => true,
    }
}

fn claimed_as(creation: Creation, environment: &Ownership) -> Result<OwnershipState, Reason> {
    let Ownership {
        project,
        env,
        namespace,
        ..
    } = environment;
    match (creation, is_own_namespace(project, env, namespace)) {
        (Creation::Adopt, _) => Err(Reason::ConfigNotFound),
        (Creation::Create, false) => Err(Reason::ConfigExists),
        (Creation::CreateOrAdopt, false) => Ok(OwnershipState::Adopted),
        (Creation::Create | Creation::CreateOrAdopt, true) => Ok(OwnershipState::Pending),
    }
}
