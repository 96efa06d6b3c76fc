//! Which timelines are being watched when, and about what.
//!
//! A timeline begins after the answer of the call it follows; the simulator may by then have gone through what polling
//! still saw. So looking begins just before that call, which also tells what was the case before.

use super::actions::{Action, Entry};
use super::focus::{Focus, Namespaces};
use super::model::{Exchange, Record, Timeline};
use super::probe::{Facets, Form};
use super::timeline::Probe;

/// Where looking begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Before this record is sent.
    Exchange(usize),
    /// Before the actions are done that precede this record.
    Actions(usize),
    /// At the timeline itself.
    Start,
}

/// A timeline with all that is needed to watch it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The timeline's place in the recording.
    pub(crate) index: usize,
    pub(crate) anchor: Anchor,
    pub(crate) probes: Vec<Watched>,
    /// Probes that are not understood.
    pub(crate) unknown: Vec<String>,
}

/// One probe of a timeline.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) form: Form,
    pub(crate) focus: Focus,
    pub(crate) namespace: Option<String>,
    pub(crate) recorded: Vec<(i64, Facets)>,
    /// Milliseconds since 1970 and what was seen.
    pub(crate) observed: Vec<(i64, Facets)>,
}

impl Watched {
    /// Recorded and observed, with times from the beginning of the timeline.
    pub(crate) fn into_probe(self, begin_ms: i64) -> Probe {
        let observed = self
            .observed
            .into_iter()
            .map(|(time, facets)| (time - begin_ms, facets))
            .collect();
        Probe {
            recorded: self.recorded,
            observed,
        }
    }
}

/// The watches of a recording, in its order.
pub(crate) fn plan(records: &[Record], entries: &[Entry], seeded: &Namespaces) -> Vec<Watch> {
    let mut namespaces = seeded.clone();
    let mut focus = Focus::default();
    let mut watches = Vec::new();
    for (index, record) in records.iter().enumerate() {
        for entry in entries.iter().filter(|entry| entry.before == record.name()) {
            if let Some(namespace) = namespace_of(&entry.action)
                && let Some((project, env)) = namespaces.environment_in(&namespace)
                && focus.env != env
            {
                focus = Focus {
                    project: project.to_owned(),
                    env: env.to_owned(),
                    ..Focus::default()
                };
            }
        }
        match record {
            Record::Exchange(exchange) => {
                learn(&mut namespaces, exchange);
                if exchange.is_mutation()
                    && let Some(next) = Focus::of(exchange)
                {
                    focus = next;
                }
            }
            Record::Timeline(timeline) => {
                watches.push(watch(
                    index,
                    timeline,
                    anchor(records, entries, index),
                    &focus,
                    &namespaces,
                ));
            }
            Record::Skipped { .. } | Record::Unknown { .. } => {}
        }
    }
    watches
}

/// A creation tells its namespace; a refused one only if no other is known.
fn learn(namespaces: &mut Namespaces, exchange: &Exchange) {
    let known = Focus::of(exchange)
        .is_some_and(|focus| namespaces.of(&focus.project, &focus.env).is_some());
    if exchange.status < 400 || !known {
        namespaces.learn(exchange);
    }
}

/// The namespace that an action touches.
pub(crate) fn namespace_of(action: &Action) -> Option<String> {
    let Action::Kube { action, .. } = action else {
        return None;
    };
    let value = serde_json::to_value(action).ok()?;
    let field = |key: &str| value.get(key)?.as_str().map(str::to_owned);
    field("namespace").or_else(|| {
        (field("kind")? == "Namespace")
            .then(|| field("name"))
            .flatten()
    })
}

fn watch(
    index: usize,
    timeline: &Timeline,
    anchor: Anchor,
    focus: &Focus,
    namespaces: &Namespaces,
) -> Watch {
    let mut names: Vec<&str> = Vec::new();
    for change in &timeline.changes {
        if !names.contains(&change.probe.as_str()) {
            names.push(&change.probe);
        }
    }
    let mut probes = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        match watched(name, timeline, focus, namespaces) {
            Some(probe) => probes.push(probe),
            None => unknown.push(name.to_owned()),
        }
    }
    Watch {
        index,
        anchor,
        probes,
        unknown,
    }
}

fn watched(
    name: &str,
    timeline: &Timeline,
    focus: &Focus,
    namespaces: &Namespaces,
) -> Option<Watched> {
    let changes: Vec<_> = timeline
        .changes
        .iter()
        .filter(|change| change.probe == name)
        .collect();
    let (form, env) = Form::of(name, &changes.first()?.value)?;
    let focus = Focus {
        env: env.unwrap_or_else(|| focus.env.clone()),
        ..focus.clone()
    };
    let recorded = changes
        .iter()
        .map(|change| Some((change.t_ms, form.facets(&change.value, &focus)?)))
        .collect::<Option<Vec<_>>>()?;
    let namespace = namespaces.of(&focus.project, &focus.env).map(str::to_owned);
    Some(Watched {
        form,
        focus,
        namespace,
        recorded,
        observed: Vec::new(),
    })
}

/// The last thing before a timeline that changed something; a refused call only if there is nothing else.
fn anchor(records: &[Record], entries: &[Entry], timeline: usize) -> Anchor {
    let done_before = |index: usize| {
        entries
            .iter()
            .any(|entry| entry.before == records[index].name() && entry.action != Action::Note)
    };
    if done_before(timeline) {
        return Anchor::Actions(timeline);
    }
    let mut refused = None;
    for index in (0..timeline).rev() {
        match &records[index] {
            Record::Timeline(_) => break,
            Record::Exchange(exchange) if exchange.is_mutation() => {
                if exchange.status < 400 {
                    return Anchor::Exchange(index);
                }
                refused = refused.or(Some(index));
            }
            Record::Exchange(_) | Record::Skipped { .. } | Record::Unknown { .. } => {}
        }
        if done_before(index) {
            return Anchor::Actions(index);
        }
    }
    refused.map_or(Anchor::Start, Anchor::Exchange)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn exchange(name: &str, method: &str, status: u16, body: &Value) -> Record {
        let exchange = json!({
            "name": name, "method": method, "path": "/openapi/environments", "query": {"projectKey": "p"},
            "status": status, "request_body": body, "ts": "2026-01-01T00:00:00Z"
        });
        Record::Exchange(Box::new(serde_json::from_value(exchange).unwrap()))
    }

    fn timeline(name: &str) -> Record {
        let timeline = json!({
            "name": name, "ts": "2026-01-01T00:00:01Z", "ended_ms": 100,
            "changes": [{"t_ms": 1, "probe": "ns", "value": "Active"}, {"t_ms": 1, "probe": "mood", "value": "good"}]
        });
        Record::Timeline(serde_json::from_value(timeline).unwrap())
    }

    fn create(name: &str, status: u16) -> Record {
        exchange(
            name,
            "POST",
            status,
            &json!({"env_key": "dev", "namespace": "ns"}),
        )
    }

    fn anchors(records: &[Record], entries: &[Entry]) -> Vec<Anchor> {
        plan(records, entries, &Namespaces::default())
            .iter()
            .map(|watch| watch.anchor)
            .collect()
    }

    #[test]
    fn looking_begins_before_the_last_call_that_changed_something() {
        let records = [
            create("a", 200),
            create("b", 500),
            exchange("c", "GET", 200, &Value::Null),
            timeline("d"),
            timeline("e"),
            create("f", 500),
            timeline("g"),
        ];
        assert_eq!(
            anchors(&records, &[]),
            [Anchor::Exchange(0), Anchor::Start, Anchor::Exchange(5)]
        );
    }

    #[test]
    fn an_action_is_a_beginning_too() {
        let records = [create("a", 200), timeline("b")];
        let restart = Entry {
            before: "b".to_owned(),
            action: Action::Restart,
        };
        assert_eq!(anchors(&records, &[restart]), [Anchor::Actions(1)]);
    }

    #[test]
    fn a_timeline_is_about_the_environment_of_the_call_before_and_tells_what_it_does_not_understand()
     {
        let watches = plan(
            &[create("a", 200), timeline("b")],
            &[],
            &Namespaces::default(),
        );
        let [watch] = watches.as_slice() else {
            panic!("one watch")
        };
        let probe = &watch.probes[0];
        assert_eq!(
            (
                probe.focus.env.as_str(),
                probe.namespace.as_deref(),
                watch.unknown.as_slice()
            ),
            ("dev", Some("ns"), ["mood".to_owned()].as_slice())
        );
    }
}
