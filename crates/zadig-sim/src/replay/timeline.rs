//! Compares what polling saw with what the simulator went through.
//!
//! Per facet: the order of its values, the last one, and the times. Recorded times are upper bounds, because polling the detail
//! slows the server (Z§8), so the simulator may be earlier, but not earlier than the rules of Z§19 allow. Polling
//! misses short values; the simulator's may be more, as long as they are such as pass.

use serde_json::{Value, json};

use super::Difference;
use super::json::short;
use super::probe::Facets;
use super::rules;

/// Milliseconds by which the simulator may be later than a recorded change: it answers at once, a real server's
/// background part begins at its answer.
const GRACE_MS: i64 = 250;

/// Milliseconds by which readiness may be later: pods of the recordings are ready within a second.
const POD_GRACE_MS: i64 = 1250;

/// Milliseconds by which the recorded server was at most held up by its limit of Kubernetes calls (Z§8, Z§19).
const HELD_UP_MS: i64 = 10_000;

/// A create that waits for workloads takes this long at least (Z§4.6, Z§19).
const CREATE_AT_LEAST_MS: i64 = 1000;

/// A namespace is being removed for this long at least (Z§19).
const NAMESPACE_AT_LEAST_MS: i64 = 5000;

/// One probe, recorded and observed. Times are milliseconds from the beginning of the timeline.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe {
    pub(crate) recorded: Vec<(i64, Facets)>,
    /// The first one is the state before the call that the timeline follows.
    pub(crate) observed: Vec<(i64, Facets)>,
}

/// What is known about a timeline besides its probes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) name: &'a str,
    pub(crate) interval_ms: i64,
    pub(crate) ended_ms: i64,
    /// When the call that the timeline follows was made; before the beginning, so negative.
    pub(crate) anchor_ms: i64,
    /// The K8s YAML environment that this call created.
    pub(crate) created: Option<&'a str>,
    /// That call deleted an environment.
    pub(crate) after_delete: bool,
    /// Seconds by which `update_time` may differ.
    pub(crate) update_tolerance: i64,
}

/// How a facet is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The status of an environment: between its values only transitions may pass.
    Status,
    /// A value that follows the pods.
    Pods,
    /// A value in motion of which only the last one is known.
    Last,
    /// Seconds since 1970.
    Time,
    /// The phase of a namespace.
    Phase,
    /// A value that counts up or down on its way.
    Passing,
    /// A value that nothing but what was recorded may come between.
    Plain,
}

fn class(facet: &str) -> Class {
    if facet.starts_with("list[") || facet == "detail.status" {
        Class::Status
    } else if facet.starts_with("detail.services[") {
        Class::Pods
    } else if facet.ends_with("].ready") || facet == "detail.error" {
        Class::Last
    } else if facet == "update_time" {
        Class::Time
    } else if facet == "ns" {
        Class::Phase
    } else if facet.contains('[') || facet == "detail.http" {
        Class::Passing
    } else {
        Class::Plain
    }
}

type Series = Vec<(i64, Value)>;

/// The differences of all probes of a timeline.
pub(crate) fn compare(setting: &Setting<'_>, probes: &[Probe]) -> Vec<Difference> {
    let mut differences = Vec::new();
    for probe in probes {
        // The facts about a thing follow its name; where the thing itself differs they say nothing more.
        let mut other_thing: Option<String> = None;
        for facet in facets(probe) {
            if other_thing
                .as_ref()
                .is_some_and(|thing| facet.starts_with(thing.as_str()))
            {
                continue;
            }
            let recorded = series(&probe.recorded, &facet);
            let observed = series(&probe.observed, &facet);
            if let Some(text) = compare_facet(setting, &facet, recorded, &observed) {
                other_thing = facet.ends_with(']').then(|| facet.clone()).or(other_thing);
                differences.push(Difference::new(setting.name, facet, text));
            }
        }
    }
    differences
}

/// What was recorded, and things that are there now and were not recorded.
fn facets(probe: &Probe) -> Vec<String> {
    let names = |points: &[(i64, Facets)]| {
        points
            .iter()
            .flat_map(|(_, facets)| facets.keys().cloned())
            .collect::<Vec<_>>()
    };
    let things = names(&probe.observed)
        .into_iter()
        .filter(|facet| facet.ends_with(']'));
    let mut all: Vec<String> = names(&probe.recorded).into_iter().chain(things).collect();
    all.sort();
    all.dedup();
    all
}

/// The values of a facet, without repetitions.
fn series(points: &[(i64, Facets)], facet: &str) -> Series {
    let mut series = Series::new();
    for (time, facets) in points {
        let value = facets
            .get(facet)
            .cloned()
            .unwrap_or_else(|| json!("absent"));
        if series.last().is_none_or(|(_, last)| *last != value) {
            series.push((*time, value));
        }
    }
    series
}

fn compare_facet(
    setting: &Setting<'_>,
    facet: &str,
    mut recorded: Series,
    observed: &Series,
) -> Option<String> {
    let class = class(facet);
    let word = |value: &Value| value != "" && value != "absent";
    if class == Class::Pods && recorded.iter().any(|(_, value)| word(value)) {
        // A status may be empty when a look-up failed inside the server (Z§5.3); in a Helm project it always is.
        recorded.retain(|(_, value)| value != "");
        recorded.dedup_by(|a, b| a.1 == b.1);
    }
    let (_, wanted) = recorded.last()?;
    let Some((_, last)) = observed.last() else {
        return Some(format!("expected {}, got nothing", short(wanted)));
    };
    match (class, wanted.as_i64(), last.as_i64()) {
        (Class::Time, Some(a), Some(b)) if (a - b).abs() <= setting.update_tolerance => {
            return None;
        }
        (Class::Time, Some(a), Some(b)) => {
            return Some(format!(
                "expected {a} within {} s, got {b} ({:+} s)",
                setting.update_tolerance,
                b - a
            ));
        }
        _ => {}
    }
    if let (Class::Last, Some(a), Some(b)) = (class, wanted.as_str(), last.as_str())
        && rules::description(a, b).is_ok()
    {
        return None;
    }
    if wanted != last {
        return Some(format!(
            "expected the end of {}, got {}",
            chain(&recorded),
            chain(observed)
        ));
    }
    if class == Class::Last {
        return None;
    }
    let Some(times) = arrivals(&recorded, observed) else {
        return Some(format!(
            "expected {}, got {}",
            chain(&recorded),
            chain(observed)
        ));
    };
    if let Some((_, extra)) = observed.iter().skip(1).find(|(_, value)| {
        !may_pass(class, value) && recorded.iter().all(|(_, known)| known != value)
    }) {
        return Some(format!(
            "expected {}, got {} on the way: {}",
            chain(&recorded),
            short(extra),
            chain(observed)
        ));
    }
    too_late(setting, class, &recorded, &times)
        .or_else(|| too_early(setting, facet, &recorded, &times))
}

/// When the observed values had gone through the recorded ones, for each of these; `None` if they never do in that order.
fn arrivals(recorded: &Series, observed: &Series) -> Option<Vec<i64>> {
    let mut left = observed.iter();
    recorded
        .iter()
        .map(|(_, value)| {
            left.find(|(_, other)| other == value)
                .map(|(time, _)| *time)
        })
        .collect()
}

/// Whether a value may pass that polling did not see.
fn may_pass(class: Class, value: &Value) -> bool {
    match class {
        Class::Status => ["creating", "updating", "deleting"]
            .iter()
            .any(|transition| value == transition),
        Class::Plain => false,
        Class::Pods | Class::Last | Class::Time | Class::Phase | Class::Passing => true,
    }
}

fn too_late(
    setting: &Setting<'_>,
    class: Class,
    recorded: &Series,
    times: &[i64],
) -> Option<String> {
    recorded
        .iter()
        .zip(times)
        .find_map(|((by, value), arrived)| {
            let limit = match class {
                // When each object goes, and which of them a creation that was cut off had made, is chance.
                Class::Passing if setting.after_delete => setting.ended_ms,
                Class::Pods | Class::Passing => by + POD_GRACE_MS,
                // A namespace takes 6 to 12 s, whatever this one took (Z§19).
                Class::Phase => setting.ended_ms,
                Class::Status | Class::Last | Class::Time | Class::Plain => by + GRACE_MS,
            };
            (*arrived > limit.min(setting.ended_ms)).then(|| {
                format!(
                    "expected {} by {} ms, got it at {arrived} ms",
                    short(value),
                    by
                )
            })
        })
}

fn too_early(
    setting: &Setting<'_>,
    facet: &str,
    recorded: &Series,
    times: &[i64],
) -> Option<String> {
    let status_of_created = setting
        .created
        .is_some_and(|env| facet == format!("list[{env}]"));
    // What was there at the first look may have been there for long.
    recorded
        .iter()
        .zip(times)
        .skip(1)
        .find_map(|((by, value), arrived)| {
            let held_up = by - setting.interval_ms - HELD_UP_MS;
            let rule = if status_of_created && value == "success" {
                setting.anchor_ms + CREATE_AT_LEAST_MS
            } else if setting.after_delete && facet == "ns" && value == "NotFound" {
                setting.anchor_ms + NAMESPACE_AT_LEAST_MS
            } else {
                i64::MIN
            };
            let limit = held_up.max(rule);
            (*arrived < limit).then(|| {
                format!(
                    "expected {} not before {limit} ms, got it at {arrived} ms",
                    short(value)
                )
            })
        })
}

fn chain(series: &Series) -> String {
    let values: Vec<String> = series
        .iter()
        .map(|(_, value)| value.as_str().map_or_else(|| short(value), str::to_owned))
        .collect();
    values.join(" -> ")
}

#[cfg(test)]
mod tests;
