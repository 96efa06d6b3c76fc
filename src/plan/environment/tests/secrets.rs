//! What may come from a Secret is sent, and never printed.

use super::super::fixture::{environment, observed, planned, service};
use super::super::{Action, Desired, plan};
use crate::plan::Plan;

const SECRET: &str = "hunter2";

#[test]
fn no_value_of_a_variable_is_printed() {
    let desired = environment()
        .global("LOG", SECRET)
        .service("api", service().variable("LOG", SECRET));
    let created = observed();
    let changed = observed()
        .present()
        .owned()
        .stored_global("LOG", "old", &[])
        .stored_global("OTHER", SECRET, &[])
        .running("api", &service().variable("LOG", "old"))
        .with(|o| o.memory.applied.get_mut("api").unwrap().variables = None);
    for observed in [created, changed] {
        let sent = planned(&desired, &observed);
        assert!(sent.contains(SECRET), "{sent}");
        let wanted = Desired::Present(desired.clone());
        let plan = plan(&wanted, &observed);
        let Plan::Act(act) = &plan else {
            panic!("nothing is sent: {sent}");
        };
        let summaries: Vec<String> = act.actions.iter().map(Action::summary).collect();
        let subjects: Vec<String> = act.actions.iter().map(Action::subject).collect();
        let mut memory = observed.memory.clone();
        // The fixture's digest is no digest; the real one is keyed.
        for action in &act.actions {
            memory.sent(action, None, observed.now);
        }
        let printed = format!(
            "{plan:?} {summaries:?} {subjects:?} {memory:?} {desired_in:?}",
            desired_in = (&desired.global_variables, &observed.existence)
        );
        assert!(!printed.contains(SECRET), "{printed}");
    }
}

#[test]
fn no_refusal_repeats_the_refused_value() {
    let desired = environment().global("TRACE", SECRET).service(
        "api",
        service()
            .variable("MODE", SECRET)
            .variable("TRACE", SECRET)
            .variable("NONE", SECRET),
    );
    let refused = planned(&desired, &observed());
    assert_eq!(refused.matches("VariableInvalid").count(), 4, "{refused}");
    assert!(!refused.contains(SECRET), "{refused}");
}
