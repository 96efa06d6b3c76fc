//! Walks through a recording: moves the clock, does what happened besides, sends, looks, compares.
//!
//! The simulator is called in the process, on its virtual clock; nothing here waits for real time except to find out that a
//! stream stays silent. Which values count is decided in `rules` and `timeline`.

use std::collections::HashMap;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::accepted::Accepted;
use super::actions::{self, Action, Entry};
use super::caller::Caller;
use super::compare::{self, Answer};
use super::focus::{Focus, Namespaces, deletes_environment};
use super::group::{permutations, simultaneous};
use super::model::{self, Exchange, Record, Timeline};
use super::observe::observe;
use super::rules::{Circumstances, UPDATE_TIME_TOLERANCE};
use super::timeline::{self, Setting};
use super::watch::{self, Anchor, Watch};
use super::{Difference, Input, ReplayError, Report};
use crate::{ClockMode, Level, Licence, Options, Pace, Seed, Sim};

/// After a change, pods come and go for this long: readiness within a second, old ones go then.
const ROLLOUT: SignedDuration = SignedDuration::from_secs(2);

/// For this long a deleted configuration object may still be shown (Z§4.14).
const DELETION: SignedDuration = SignedDuration::from_secs(1);

/// How long kubectl is given to see an object gone: a namespace takes 12 s at most (Z§19).
const KUBECTL_WAITS: SignedDuration = SignedDuration::from_secs(20);

/// Replays a recording against a fresh simulator.
///
/// # Errors
///
/// [`ReplayError`] if a file cannot be used; differences are no error.
pub async fn run(input: &Input) -> Result<Report, ReplayError> {
    let records = model::read(&input.recording)?;
    let entries = actions::read(&input.actions)?;
    let accepted = Accepted::read(&input.accepted)?;
    let seed = Seed::load(&input.seed).map_err(|source| ReplayError::Seed {
        path: input.seed.clone(),
        source,
    })?;
    let start = records.iter().find_map(sent_at).unwrap_or_default();
    let sim = Sim::new(&seed, options(&input.seed, start));
    let mut replay = Replay::new(&records, &entries, &seed, sim);
    replay.walk().await;
    let mut report = replay.report;
    for entry in &entries {
        if records.iter().all(|record| record.name() != entry.before) {
            let what = format!("an action before {}", entry.before);
            report
                .skipped
                .push((what, "no record has that name".to_owned()));
        }
    }
    report.differences = accepted.apply(report.differences);
    Ok(report)
}

fn sent_at(record: &Record) -> Option<Timestamp> {
    match record {
        Record::Exchange(exchange) => Some(exchange.ts),
        Record::Timeline(timeline) => Some(timeline.ts),
        Record::Skipped { .. } | Record::Unknown { .. } => None,
    }
}

/// What the seed says in words that are not the simulator's own: a release and an edition whose licence service is
/// unreachable.
fn options(seed: &std::path::Path, start: Timestamp) -> Options {
    let file = if seed.is_dir() {
        seed.join("seed.yaml")
    } else {
        seed.to_owned()
    };
    let document: Value = std::fs::read_to_string(file)
        .ok()
        .and_then(|text| serde_saphyr::from_str(&text).ok())
        .unwrap_or_default();
    let zadig = &document["zadig"];
    let level = zadig["level"]
        .is_null()
        .then(|| Level::from_str(zadig["version"].as_str()?).ok());
    let unreachable = zadig["licence"].is_null()
        && zadig["edition"]
            .as_str()
            .is_some_and(|text| text.contains("unreachable"));
    Options {
        level: level.flatten(),
        licence: unreachable.then_some(Licence::Unreachable),
        clock: ClockMode::Virtual { start },
        // A recording's delays are in its times already.
        pace: Pace {
            kube_requests_per_second: None,
            ..Pace::default()
        },
        ..Options::default()
    }
}

struct Replay<'a> {
    records: &'a [Record],
    entries: &'a [Entry],
    caller: Caller,
    watches: Vec<Watch>,
    active: Vec<Watch>,
    /// When an environment was last changed, and whole seconds the recorded server took for it.
    changed: HashMap<(String, String), (Timestamp, i64)>,
    /// The last deletion: path and time.
    deleted: Option<(String, Timestamp)>,
    /// When the anchors of the active watches were.
    anchored: HashMap<usize, Timestamp>,
    report: Report,
}

impl<'a> Replay<'a> {
    fn new(records: &'a [Record], entries: &'a [Entry], seed: &Seed, sim: Sim) -> Self {
        let mut seeded = Namespaces::default();
        let snapshot = sim.snapshot();
        for environment in snapshot["environments"].as_array().into_iter().flatten() {
            let field = |key: &str| environment[key].as_str().unwrap_or_default();
            seeded.insert(field("project"), field("env_key"), field("namespace"));
        }
        let mut watches = watch::plan(records, entries, &seeded);
        watches.reverse();
        Self {
            records,
            entries,
            caller: Caller::new(sim, seed),
            watches,
            active: Vec::new(),
            changed: HashMap::new(),
            deleted: None,
            anchored: HashMap::new(),
            report: Report::default(),
        }
    }

    async fn walk(&mut self) {
        let records = self.records;
        let mut index = 0;
        while let Some(record) = records.get(index) {
            match record {
                Record::Exchange(_) => index = self.exchanges(index).await,
                Record::Timeline(timeline) => {
                    self.act_before(index).await;
                    self.timeline(index, timeline).await;
                    index += 1;
                }
                Record::Unknown { name, kind } => {
                    self.act_before(index).await;
                    let text = format!("{kind:?} is no kind of record that is understood");
                    self.report
                        .differences
                        .push(Difference::new(name, "kind", text));
                    index += 1;
                }
                Record::Skipped { name, why } => {
                    self.act_before(index).await;
                    self.report.skipped.push((name.clone(), (*why).to_owned()));
                    index += 1;
                }
            }
        }
    }

    /// Sends the exchange at `index` and those sent at the same time; gives the index after them.
    async fn exchanges(&mut self, index: usize) -> usize {
        let group = simultaneous(self.records, index);
        let [(at, exchange)] = group.as_slice() else {
            return self.simultaneous(&group).await;
        };
        self.act_before(*at).await;
        self.advance(exchange.ts).await;
        let (answer, circumstances) = self.send(*at, exchange).await;
        self.judge(exchange, &answer, &circumstances);
        at + 1
    }

    /// Calls that waited for each other are made when they were answered, in the order of the file: each one's background part
    /// begins at its answer. Which of them was refused is chance.
    async fn simultaneous(&mut self, group: &[(usize, &Exchange)]) -> usize {
        let mut answers = Vec::new();
        for (at, exchange) in group {
            self.act_before(*at).await;
            self.advance(exchange.answered()).await;
            answers.push(self.send(*at, exchange).await);
        }
        let pairings = permutations(group.len());
        let judged = pairings.into_iter().map(|order| {
            let mut differences = Vec::new();
            for ((_, exchange), other) in group.iter().zip(order) {
                let (answer, circumstances) = &answers[other];
                differences.extend(differences_of(exchange, answer.as_ref(), circumstances));
            }
            differences
        });
        let best = judged.min_by_key(Vec::len).unwrap_or_default();
        self.report.exchanges += group.len();
        self.report.differences.extend(best);
        group.last().map_or(0, |(at, _)| at + 1)
    }

    async fn send<'e>(
        &mut self,
        index: usize,
        exchange: &'e Exchange,
    ) -> (Result<Answer, String>, Circumstances<'e>) {
        self.begin(Anchor::Exchange(index)).await;
        let circumstances = self.circumstances(exchange);
        let answer = self.caller.send(self.caller.request(exchange)).await;
        let now = self.caller.sim().now();
        if exchange.is_mutation() {
            if let Some(focus) = Focus::of(exchange) {
                let seconds = exchange.answered().duration_since(exchange.ts).as_secs();
                self.changed
                    .insert((focus.project, focus.env), (now, seconds));
            }
            if exchange.method == "DELETE" {
                self.deleted = Some((exchange.path.clone(), now));
            }
        }
        self.look().await;
        (answer, circumstances)
    }

    fn judge(
        &mut self,
        exchange: &Exchange,
        answer: &Result<Answer, String>,
        circumstances: &Circumstances<'_>,
    ) {
        self.report.exchanges += 1;
        let differences = differences_of(exchange, answer.as_ref(), circumstances);
        self.report.differences.extend(differences);
    }

    fn circumstances<'e>(&self, exchange: &'e Exchange) -> Circumstances<'e> {
        let now = self.caller.sim().now();
        let focus = Focus::of(exchange);
        let last_change = focus.and_then(|focus| self.changed.get(&(focus.project, focus.env)));
        Circumstances {
            path: &exchange.path,
            rolling: last_change.is_some_and(|(time, _)| now.duration_since(*time) < ROLLOUT),
            update_tolerance: self
                .update_tolerance(exchange.query("projectKey").unwrap_or_default()),
            just_deleted: self.deleted.as_ref().is_some_and(|(path, time)| {
                *path == exchange.path && now.duration_since(*time) < DELETION
            }),
        }
    }

    /// Two seconds, and what the recorded server took for the last change.
    fn update_tolerance(&self, project: &str) -> i64 {
        let slowest = self
            .changed
            .iter()
            .filter(|((of, _), _)| of == project)
            .map(|(_, (_, seconds))| *seconds)
            .max();
        UPDATE_TIME_TOLERANCE + slowest.unwrap_or(0)
    }

    /// Does what happened before a record.
    async fn act_before(&mut self, index: usize) {
        let record = &self.records[index];
        let entries = self.entries;
        let mut begun = false;
        for entry in entries.iter().filter(|entry| entry.before == record.name()) {
            if let (Some(lead), Some(at)) = (entry.lead(), sent_at(record)) {
                self.advance(at.checked_sub(lead).unwrap_or(at)).await;
            }
            if !begun {
                self.begin(Anchor::Actions(index)).await;
                begun = true;
            }
            if let Err(what) = self.act(&entry.action).await {
                self.report
                    .differences
                    .push(Difference::new(record.name(), "action", what));
            }
            self.look().await;
        }
    }

    async fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Note => Ok(()),
            Action::Unknown(what) => Err(format!("not understood: {what}")),
            Action::Restart => {
                self.caller.sim().restart();
                Ok(())
            }
            Action::Call {
                method,
                path,
                query,
            } => {
                let answer = self.caller.call(method, path, query).await?;
                if answer.status < 400 {
                    Ok(())
                } else {
                    let body = String::from_utf8_lossy(&answer.body);
                    Err(format!(
                        "{method} {path}: expected success, got {} {body}",
                        answer.status
                    ))
                }
            }
            Action::Kube { action, wait } => {
                self.caller
                    .sim()
                    .kube(action.clone())
                    .map_err(|error| error.to_string())?;
                let now = self.caller.sim().now();
                if let Some(namespace) = watch::namespace_of(&Action::Kube {
                    action: action.clone(),
                    wait: false,
                }) {
                    self.mark_changed(&namespace, now);
                    if *wait {
                        self.wait_until_gone(&namespace, now).await;
                    }
                }
                Ok(())
            }
        }
    }

    fn mark_changed(&mut self, namespace: &str, now: Timestamp) {
        let snapshot = self.caller.sim().snapshot();
        for environment in snapshot["environments"].as_array().into_iter().flatten() {
            if environment["namespace"] == namespace {
                let field = |key: &str| environment[key].as_str().unwrap_or_default().to_owned();
                self.changed
                    .insert((field("project"), field("env_key")), (now, 0));
            }
        }
    }

    async fn wait_until_gone(&mut self, namespace: &str, since: Timestamp) {
        let is_there = |sim: &Sim| !sim.lock().namespaces_named(namespace).is_empty();
        let limit = since.checked_add(KUBECTL_WAITS).unwrap_or(since);
        while is_there(self.caller.sim()) {
            match self.caller.sim().next_due() {
                Some(due) if due <= limit => self.advance(due).await,
                _ => break,
            }
        }
    }

    /// Moves the clock on, looking at everything that happens on the way; the clock never goes back.
    async fn advance(&mut self, to: Timestamp) {
        loop {
            let next = {
                let world = self.caller.sim().lock();
                // A pod becomes ready by the time alone, without an event.
                let watched = !self.active.is_empty();
                let ready = watched.then(|| world.next_readiness()).flatten();
                world.next_due().into_iter().chain(ready).min()
            };
            match next {
                Some(next) if next < to => self.caller.sim().advance_to(next),
                _ => break,
            }
            self.look().await;
        }
        self.caller.sim().advance_to(to);
        self.look().await;
    }

    /// Starts the watches that begin here.
    async fn begin(&mut self, anchor: Anchor) {
        while self
            .watches
            .last()
            .is_some_and(|watch| watch.anchor == anchor)
        {
            if let Some(watch) = self.watches.pop() {
                self.anchored.insert(watch.index, self.caller.sim().now());
                self.active.push(watch);
            }
        }
        self.look().await;
    }

    /// Notes the present values of all probes being watched.
    async fn look(&mut self) {
        let now = self.caller.sim().now().as_millisecond();
        for watch in &mut self.active {
            for probe in &mut watch.probes {
                let facets = observe(
                    &self.caller,
                    &probe.form,
                    &probe.focus,
                    probe.namespace.as_deref(),
                )
                .await;
                // The values before and after a call at the same instant both count.
                if probe
                    .observed
                    .last()
                    .is_none_or(|(_, last)| *last != facets)
                {
                    probe.observed.push((now, facets));
                }
            }
        }
    }

    async fn timeline(&mut self, index: usize, timeline: &Timeline) {
        self.advance(timeline.ts).await;
        // Whatever its anchor was to be, a watch not begun by now begins here.
        while self
            .watches
            .last()
            .is_some_and(|watch| watch.index == index)
        {
            let anchor = self
                .watches
                .last()
                .map_or(Anchor::Start, |watch| watch.anchor);
            self.begin(anchor).await;
        }
        let end = SignedDuration::from_millis(timeline.ended_ms);
        self.advance(timeline.ts.checked_add(end).unwrap_or(timeline.ts))
            .await;
        let Some(place) = self.active.iter().position(|watch| watch.index == index) else {
            return;
        };
        let watch = self.active.remove(place);
        for probe in &watch.unknown {
            let text = "this probe is not understood".to_owned();
            self.report
                .differences
                .push(Difference::new(&timeline.name, probe, text));
        }
        let begin = timeline.ts.as_millisecond();
        let anchored = self.anchored.remove(&index).unwrap_or(timeline.ts);
        self.learn_slowness(&watch, timeline, anchored);
        let project = watch
            .probes
            .first()
            .map_or("", |probe| probe.focus.project.as_str());
        let (created, after_delete) = self.followed(watch.anchor);
        let setting = Setting {
            name: &timeline.name,
            interval_ms: timeline.interval_ms,
            ended_ms: timeline.ended_ms,
            anchor_ms: anchored.as_millisecond() - begin,
            created: created.as_deref(),
            after_delete,
            update_tolerance: self.update_tolerance(project),
        };
        let probes: Vec<_> = watch
            .probes
            .into_iter()
            .map(|probe| probe.into_probe(begin))
            .collect();
        self.report.timelines += 1;
        self.report
            .differences
            .extend(timeline::compare(&setting, &probes));
    }

    /// The recorded server may have taken longer to the end of a change than the simulator; `update_time` follows that end.
    fn learn_slowness(&mut self, watch: &Watch, timeline: &Timeline, anchored: Timestamp) {
        let Some(probe) = watch.probes.first() else {
            return;
        };
        let last = timeline
            .changes
            .iter()
            .filter(|change| change.probe == "list")
            .map(|it| it.t_ms)
            .max();
        let Some(last) = last else { return };
        let took = timeline.ts.as_millisecond() + last - anchored.as_millisecond();
        let key = (probe.focus.project.clone(), probe.focus.env.clone());
        if let Some((_, seconds)) = self.changed.get_mut(&key) {
            // Beyond this it was a time-out, which the simulator has as well.
            *seconds = (*seconds).max((took / 1000).min(5));
        }
    }

    /// The K8s YAML environment that the call before a timeline created, and whether it deleted one.
    fn followed(&self, anchor: Anchor) -> (Option<String>, bool) {
        let Anchor::Exchange(index) = anchor else {
            return (None, false);
        };
        let Some(Record::Exchange(exchange)) = self.records.get(index) else {
            return (None, false);
        };
        let is_creation = exchange.method == "POST" && exchange.path == "/openapi/environments";
        let created = Focus::of(exchange)
            .filter(|_| is_creation)
            .map(|focus| focus.env);
        (created, deletes_environment(exchange))
    }
}

fn differences_of(
    exchange: &Exchange,
    answer: Result<&Answer, &String>,
    circumstances: &Circumstances<'_>,
) -> Vec<Difference> {
    match answer {
        Ok(answer) => compare::compare(exchange, answer, circumstances),
        Err(what) => vec![Difference::new(&exchange.name, "answer", what.as_str())],
    }
}
