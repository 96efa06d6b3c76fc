//! Whether a change of variables reached the pods.
//!
//! `success` is no proof: a patch that the cluster refused ends in it too, and Zadig's record and its rendered text agree with
//! the request (Z§14.23). But a workload that was changed gets new pods (Z§4.11). So of each workload whose text changed with
//! our call, all pods have to be newer than those that were there before.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{LiveWorkload, ObservedService};
use crate::api::environment::Rollout;

/// What a service was like when a call was sent that may change it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// Unix seconds.
    sent_at: i64,
    /// By workload: the digest of its text, and when its newest pod was made.
    workloads: BTreeMap<(String, String), (Option<String>, Option<i64>)>,
}

/// How far a roll-out has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// All pods were made after the change.
    Done,
    /// Some were.
    Partial,
    /// None was.
    NotBegun,
    /// The workload was not looked at, or is not there.
    Unseen,
}

impl Before {
    /// What the service is like now, at `now`.
    #[must_use]
    pub fn of(seen: &ObservedService, now: Timestamp) -> Self {
        let newest = |workload: &(String, String)| {
            let live = seen.live.iter().flatten().find(|live| live.is(workload))?;
            live.newest_pod
        };
        Self {
            sent_at: now.as_second(),
            workloads: seen
                .expected
                .iter()
                .flatten()
                .map(|(workload, text)| (workload.clone(), (text.clone(), newest(workload))))
                .collect(),
        }
    }

    /// The workloads that the call has to roll out, now that Zadig has done its part.
    ///
    /// A pod counts as made after the change when it is newer than all that were there before, by the clock of the cluster, or
    /// not older than the call, by ours. Pods tell their age in whole seconds, so a change in the very second of the last pod
    /// is not judged: rather that than to call a good one lost.
    #[must_use]
    pub fn rollouts(&self, seen: &ObservedService) -> Vec<Rollout> {
        seen.expected
            .iter()
            .flatten()
            .filter_map(|(workload, text)| {
                let (before, newest) = self.workloads.get(workload)?;
                let (Some(before), Some(now)) = (before, text) else {
                    return None;
                };
                (before != now).then(|| Rollout {
                    kind: workload.0.clone(),
                    name: workload.1.clone(),
                    after: newest.map_or(self.sent_at, |newest| self.sent_at.min(newest + 1)),
                })
            })
            .collect()
    }
}

/// How far a roll-out has come, as far as the live look tells.
#[must_use]
pub fn progress(rollout: &Rollout, live: Option<&Vec<LiveWorkload>>) -> Progress {
    let found = live
        .into_iter()
        .flatten()
        .find(|live| live.kind == rollout.kind && live.name == rollout.name);
    let Some(live) = found else {
        return Progress::Unseen;
    };
    if live.replicas == Some(0) {
        return Progress::Done;
    }
    let is_new = |made: Option<i64>| made.is_some_and(|made| made >= rollout.after);
    match (is_new(live.newest_pod), is_new(live.oldest_ready_pod)) {
        (_, true) => Progress::Done,
        (true, false) => Progress::Partial,
        (false, false) => Progress::NotBegun,
    }
}
