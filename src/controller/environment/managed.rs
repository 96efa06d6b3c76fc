//! What an environment says of itself while its plan is not carried out.

use std::time::Duration;

use jiff::Timestamp;

use super::diagnose::Case;
use super::local::Local;
use super::{Step, Told};
use crate::api::condition::Reason;
use crate::api::environment::ZadigEnvironment;
use crate::api::management::Management;
use crate::controller::context::Context;
use crate::controller::driver;
use crate::controller::management;
use crate::controller::outcome::{Held, Outcome};
use crate::controller::zadig::Zadig;
use crate::plan::environment::{EnvKey, Environment, Present};

/// How soon an environment is looked at again that is not there.
const ABSENT_LOOK: Duration = Duration::from_mins(1);

/// Tells how the services are, and what is not done about them.
pub(super) async fn show(
    object: &ZadigEnvironment,
    (ctx, zadig, key): (&Context, &Zadig, &EnvKey),
    local: &mut Local,
    looked_at: Option<(&Environment, &Present)>,
    held: Option<Held>,
    look_after: Duration,
    mut told: Told,
) -> Step {
    let seen =
        looked_at.and_then(|(environment, present)| Some((environment, present.detail.as_ref()?)));
    let Some((environment, detail)) = seen else {
        local.rest = None;
        let held = held.map(|held| match object.spec.management {
            Management::Observe => Held {
                reason: Reason::EnvironmentNotFound,
                message: format!(
                    "project {} has no environment {}; {}",
                    object.spec.project_key, object.spec.env_key, held.message
                ),
                ..held
            },
            Management::Approve | Management::Enforce => held,
        });
        return match held {
            Some(held) => Step::Tell(Outcome::Held(held), told, ABSENT_LOOK),
            None => Step::Quiet(ABSENT_LOOK),
        };
    };
    let case = Case {
        ctx,
        zadig,
        key,
        home: object,
        binding: None,
        declared: environment,
        detail,
    };
    let was_ready = driver::is_ready(object);
    let judged = case.judge(local, was_ready, look_after, Timestamp::now());
    let (health, diagnosis) = judged.await;
    told.services = Some((health.services, health.ready, environment.services.len()));
    management::held(held, diagnosis, look_after).step(told, look_after)
}
