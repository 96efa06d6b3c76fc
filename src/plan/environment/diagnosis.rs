//! What keeps a service from being healthy: which pod and which container to name, what to ask for, and what to say of it.
//!
//! The live look (Z§4.3) tells the pods of each workload. The first of those that are not ready is the suspect; the events of
//! its pod (Z§4.18) and the end of its container's log (Z§4.20) are read once, when the suspect or what it suffers from
//! changes. In between the words stay the same: a status must not move with the times in a log.

use std::cmp::Reverse;

use super::health::Health;
use super::memory::Memory;

use super::rollout::{self, Progress};
use super::{Detail, LivePod, LiveWorkload, ObservedService};
use crate::api::environment::{Diagnosis, LastEvent, Rollout};
use crate::error::bounded_bytes;
use crate::plan::redact::Redactor;

/// Most services of one object that are looked into: more help nobody, and each costs calls and room in the status.
pub const SERVICES: usize = 8;
/// Last lines of a log that are shown.
pub const LOG_LINES: u32 = 10;
/// Longest line of a log, in characters.
const LOG_LINE: usize = 240;
/// Longest message of Kubernetes, in characters.
const MESSAGE: usize = 400;
/// Longest word of Kubernetes, in characters.
const WORD: usize = 63;

/// Where the trouble of a service shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspect {
    /// Kind of the workload.
    pub kind: String,
    /// Its name.
    pub workload: String,
    /// The pod; `None` where the workload has none that is not ready.
    pub pod: Option<String>,
    /// The container; `None` where the pod runs none yet.
    pub container: Option<String>,
    /// Why it waits or ended, in one word; empty where that is not told.
    pub reason: String,
    /// The same in Kubernetes' words.
    pub message: String,
    /// Whether the container has ever run, so that it may have written something.
    pub has_run: bool,
}

/// The services that have to be looked into: the first of those in trouble, as far as nothing is known of what they suffer
/// from.
#[must_use]
pub fn due(health: &Health, detail: &Detail, memory: &Memory) -> Vec<(String, Suspect)> {
    let services = health
        .services
        .iter()
        .filter(|service| service.message.is_some());
    services
        .take(SERVICES)
        .filter_map(|service| {
            let known = memory.diagnoses.get(&service.name);
            let seen = detail.services.get(&service.name)?;
            let suspect = suspect(seen, rollouts(memory, &service.name), known)?;
            let is_known = known.is_some_and(|known| suspect.is_subject_of(known));
            (!is_known).then(|| (service.name.clone(), suspect))
        })
        .collect()
}

/// What is known of the trouble that a service is in, if it still is the same.
#[must_use]
pub(super) fn known<'a>(
    name: &str,
    seen: &ObservedService,
    memory: &'a Memory,
) -> Option<&'a Diagnosis> {
    let known = memory.diagnoses.get(name)?;
    suspect(seen, rollouts(memory, name), Some(known))?
        .is_subject_of(known)
        .then_some(known)
}

fn rollouts<'a>(memory: &'a Memory, name: &str) -> &'a [Rollout] {
    memory
        .applied
        .get(name)
        .map_or(&[], |entry| entry.rollouts.as_slice())
}

/// The suspect of a service that is not healthy. Whoever was it before remains it for as long as it is not ready.
#[must_use]
pub fn suspect(
    seen: &ObservedService,
    rollouts: &[Rollout],
    known: Option<&Diagnosis>,
) -> Option<Suspect> {
    let live = seen.live.as_deref().unwrap_or_default();
    let mut pods: Vec<Suspect> = live
        .iter()
        .flat_map(|workload| {
            let mut pods: Vec<&LivePod> = workload.pods.iter().filter(|pod| !pod.ready).collect();
            pods.sort_by_key(|pod| (Reverse(pod.created), &pod.name));
            pods.into_iter().flat_map(|pod| of_pod(workload, pod))
        })
        .collect();
    pods.sort_by_key(|suspect| {
        let same = known.is_some_and(|known| suspect.is_place_of(known));
        (!same, weight(&suspect.reason), suspect.container.is_none())
    });
    let stuck = |workload: &&LiveWorkload| {
        let mut mine = rollouts
            .iter()
            .filter(|it| it.kind == workload.kind && it.name == workload.name);
        mine.any(|rollout| rollout::progress(rollout, seen.live.as_ref()) != Progress::Done)
    };
    let short = |workload: &&LiveWorkload| workload.replicas.is_some_and(|n| workload.ready < n);
    pods.into_iter().next().or_else(|| {
        let workload = live
            .iter()
            .find(stuck)
            .or_else(|| live.iter().find(short))?;
        Some(Suspect {
            kind: workload.kind.clone(),
            workload: workload.name.clone(),
            pod: None,
            container: None,
            reason: String::new(),
            message: String::new(),
            has_run: false,
        })
    })
}

/// The containers of a pod that are not ready, or the pod itself where it runs none.
fn of_pod(workload: &LiveWorkload, pod: &LivePod) -> Vec<Suspect> {
    let of = |container, reason: &str, message: &str, has_run| Suspect {
        kind: workload.kind.clone(),
        workload: workload.name.clone(),
        pod: Some(pod.name.clone()),
        container,
        reason: reason.to_owned(),
        message: message.to_owned(),
        has_run,
    };
    let containers: Vec<Suspect> = pod
        .unready
        .iter()
        .map(|container| {
            let name = Some(container.name.clone());
            let has_run = container.restarts > 0
                || container.state != "waiting"
                || cause(&container.reason) == "crash";
            of(name, &container.reason, &container.message, has_run)
        })
        .collect();
    if containers.is_empty() {
        // Not on a node yet, or held up by something that is no container: a readiness gate.
        vec![of(None, "", &pod.message, false)]
    } else {
        containers
    }
}

/// How much a reason tells: what has failed comes before what may still be on its way.
fn weight(reason: &str) -> u8 {
    match reason {
        "" => 1,
        "ContainerCreating" | "PodInitializing" => 2,
        _ => 0,
    }
}

/// What a container suffers from: one that fails again and again goes through several reasons in turn.
fn cause(reason: &str) -> &str {
    match reason {
        "CrashLoopBackOff" | "Error" | "Completed" | "OOMKilled" | "StartError"
        | "RunContainerError" | "ContainerCannotRun" | "DeadlineExceeded" => "crash",
        "ErrImagePull" | "ImagePullBackOff" => "pull",
        other => other,
    }
}

impl Suspect {
    fn is_place_of(&self, known: &Diagnosis) -> bool {
        known.workload == self.path() && known.pod == self.pod && known.container == self.container
    }

    /// Whether what is known says what there is to say: the same place, and the same cause or none that could be told now,
    /// as between two attempts. That memory ran out tells more than that it crashes.
    fn is_subject_of(&self, known: &Diagnosis) -> bool {
        let before = known.reason.as_deref().unwrap_or_default();
        let tells_more = self.reason == "OOMKilled" && before != "OOMKilled";
        self.is_place_of(known)
            && (self.reason.is_empty() || (cause(before) == cause(&self.reason) && !tells_more))
    }

    /// Kind and name of the object whose events are to be read.
    #[must_use]
    pub fn object(&self) -> (&str, &str) {
        match &self.pod {
            Some(pod) => ("Pod", pod),
            None => (&self.kind, &self.workload),
        }
    }

    /// Pod and container whose log is to be read; `None` where there can be none.
    #[must_use]
    pub fn log(&self) -> Option<(&str, &str)> {
        let place = (self.pod.as_deref()?, self.container.as_deref()?);
        self.has_run.then_some(place)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.kind, self.workload)
    }

    /// What is said of it, with the last event and the end of the log as they were read.
    #[must_use]
    pub fn diagnosis(&self, found: Found, redactor: &Redactor) -> Diagnosis {
        let Found { event, log } = found;
        let some = |text: &str, max| {
            let text = redactor.line(text, max);
            (!text.is_empty()).then_some(text)
        };
        let before = log.len().saturating_sub(LOG_LINES as usize);
        Diagnosis {
            workload: self.path(),
            pod: self.pod.clone(),
            container: self.container.clone(),
            reason: some(&self.reason, WORD),
            message: some(&self.message, MESSAGE),
            event: event.map(|(reason, message)| LastEvent {
                reason: redactor.line(&reason, WORD),
                message: redactor.line(&message, MESSAGE),
            }),
            log: log
                .iter()
                .skip(before)
                .filter_map(|line| {
                    // As Zadig sends a carriage return (Z§4.20).
                    some(line.trim_end_matches("\\r"), LOG_LINE)
                })
                .collect(),
        }
    }
}

/// An event of Kubernetes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// It tells of trouble.
    pub is_warning: bool,
    /// Unix seconds.
    pub last_seen: i64,
    /// Why, in one word.
    pub reason: String,
    /// The same in words.
    pub message: String,
}

/// The event to show: the last warning, else the last one; its reason and message.
pub fn last(events: impl IntoIterator<Item = Event>) -> Option<(String, String)> {
    let last = events
        .into_iter()
        .max_by_key(|event| (event.is_warning, event.last_seen))?;
    Some((last.reason, last.message))
}

/// What was read of a suspect.
#[derive(Default)]
pub struct Found {
    /// Reason and message of the last event.
    pub event: Option<(String, String)>,
    /// The last lines of the log, oldest first.
    pub log: Vec<String>,
}

impl Diagnosis {
    /// It in one line, without the log: conditions are copied to many places.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = match (&self.pod, &self.container) {
            (Some(pod), Some(container)) => format!("pod {pod}, container {container}"),
            (Some(pod), None) => format!("pod {pod}"),
            (None, _) => self.workload.clone(),
        };
        for part in [&self.reason, &self.message].into_iter().flatten() {
            text.push_str(": ");
            text.push_str(part);
        }
        if let Some(LastEvent { reason, message }) = &self.event {
            text.push_str(&format!("; last event {reason}: {message}"));
        }
        text
    }
}

/// What an event says of services that are not healthy: the condition's sentence, and as many of the last lines of the first
/// log as there is room for.
#[must_use]
pub fn note<'a>(
    message: &str,
    found: impl IntoIterator<Item = &'a Diagnosis>,
    max_bytes: usize,
) -> String {
    let with_log = found.into_iter().find(|it| !it.log.is_empty());
    let Some(shown) = with_log else {
        return bounded_bytes(message, max_bytes);
    };
    // The log gets what the sentence leaves, half of it at least.
    let head = bounded_bytes(message, max_bytes / 2);
    let mut lines = Vec::new();
    let title = format!(
        "\nlog of {}:",
        shown.container.as_deref().unwrap_or(&shown.workload)
    );
    let mut room = max_bytes.saturating_sub(head.len() + title.len());
    for line in shown.log.iter().rev() {
        let Some(left) = room.checked_sub(line.len() + 1) else {
            break;
        };
        room = left;
        lines.push(format!("\n{line}"));
    }
    if lines.is_empty() {
        return bounded_bytes(message, max_bytes);
    }
    lines.reverse();
    let spare = room + head.len();
    format!("{}{title}{}", bounded_bytes(message, spare), lines.concat())
}
