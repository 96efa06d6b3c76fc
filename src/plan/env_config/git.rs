//! Zadig's own source of an object in Git. It is taken only inside the creation of an environment (Z§4.6): the routes for one
//! object know no source, and a write by them ends one (Z§4.14). So it is never sent on its own, and the content is not compared.

use super::{Action, Config, Observed, Source};
use crate::api::condition::Reason;
use crate::api::env_config::GitFile;
use crate::plan::Plan;

/// Why an object cannot wait for the environment: nothing would give it its source then.
pub(super) fn not_listed(config: &Config, observed: &Observed) -> Option<Plan<Action>> {
    (config.git.is_some() && !observed.listed).then(|| {
        only_at_creation(&format!(
            "name this object under spec.configRefs of the ZadigEnvironment, or {config} is never made from it"
        ))
    })
}

/// Why an object that the environment has not is not created: it would be one without its source.
pub(super) fn not_carried(config: &Config) -> Option<Plan<Action>> {
    config.git.is_some().then(|| {
        only_at_creation(&format!(
            "the environment exists and has no {config}; create the environment anew with this object under its spec.configRefs, or create a new ZadigEnvConfig without git"
        ))
    })
}

/// Whether the live object has the declared source; nothing else of it is compared.
pub(super) fn judge(git: &GitFile, config: &Config, live: Option<&Source>) -> Plan<Action> {
    let GitFile {
        codehost_id: _,
        owner,
        repo,
        branch,
        path,
        auto_sync: _,
    } = git;
    let shown = match live {
        Some(live)
            if (&live.owner, &live.repo, &live.branch, &live.path)
                == (owner, repo, branch, path) =>
        {
            return Plan::InSync;
        }
        Some(live) => format!(
            "{} on {} of {}/{}",
            live.path, live.branch, live.owner, live.repo
        ),
        None => "none".to_owned(),
    };
    only_at_creation(&format!(
        "the source that Zadig shows of {config} is {shown}; create the environment anew with this object under its spec.configRefs, or create a new ZadigEnvConfig without git"
    ))
}

fn only_at_creation(what: &str) -> Plan<Action> {
    Plan::blocked(
        Reason::OnlyAtCreation,
        format!(
            "spec.git: Zadig takes a source in Git only inside the creation of an environment: {what}"
        ),
    )
}
