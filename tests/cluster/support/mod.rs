//! What every scenario stands on: one control plane and one operator for the whole process, a world of its own for each
//! scenario, and clean-up that also happens after a failure.

mod coverage;
mod fixture;
mod kubectl;
mod lab;
mod metrics;
mod observe;
mod policy;
mod trial;
mod world;
pub(crate) mod zadig;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::LazyLock;

use futures::FutureExt;
use tokio::runtime::Runtime;
use zadig_sim::Sim;

use crate::judge::reckless;

pub(crate) use fixture::EnvironmentFixture;
pub(crate) use metrics::{METRIC, Metrics};
#[allow(unused_imports, reason = "words for scenarios, as above")]
pub(crate) use observe::{Mark, Observed, has_reason, is_ours, is_ready, is_stalled, message};
pub(crate) use policy::Policy;
pub(crate) use trial::{is_taken, know_others, place};
#[allow(unused_imports, reason = "words for scenarios, as above")]
pub(crate) use world::{Namespaced, Setup, World};

/// One runtime for all scenarios: clients and the operator live longer than the scenario that used them first.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("scenario")
        .build()
        .expect("a runtime can be built")
});

/// Runs a scenario in a world with a connection named `default` to a Zadig with the project of the recordings.
pub(crate) fn scenario(test: impl AsyncFnOnce(&World)) {
    scenario_with(Setup::default(), test);
}

/// Runs a scenario that makes things go wrong in Zadig or its cluster, which only a simulator lets one do.
pub(crate) fn simulated(test: impl AsyncFnOnce(&World, &Sim)) {
    simulated_with(Setup::default(), test);
}

/// The same in a world that is set up in a particular way.
pub(crate) fn simulated_with(setup: Setup, test: impl AsyncFnOnce(&World, &Sim)) {
    scenario_with(setup.simulator(|_| {}), async |world| {
        let sim = world.sim().expect("it was asked for");
        test(world, sim).await;
    });
}

/// Runs a scenario in a world that is set up in a particular way.
pub(crate) fn scenario_with(setup: Setup, test: impl AsyncFnOnce(&World)) {
    RUNTIME.block_on(async {
        let lab = lab::lab().await;
        let Some(world) = World::create(lab, setup).await else {
            return;
        };
        let test = async {
            test(&world).await;
            if let Some(sim) = world.sim() {
                coverage::check(sim);
                let found = reckless(&sim.calls());
                assert!(found.is_empty(), "{}", found.join("\n"));
            }
        };
        let outcome = AssertUnwindSafe(test).catch_unwind().await;
        if outcome.is_err() {
            world.tell_what_happened().await;
        }
        let cleaned = async {
            world.clean_up().await;
            lab.check_rights();
        };
        let cleaned = AssertUnwindSafe(cleaned).catch_unwind().await;
        // The scenario's own failure says more than what its clean-up met afterwards.
        for result in [outcome, cleaned] {
            if let Err(panic) = result {
                resume_unwind(panic);
            }
        }
    });
}
