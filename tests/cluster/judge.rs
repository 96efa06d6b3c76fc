//! Whether every write was one that a careful person would have made: a function over the simulator's journal and nothing else.
//!
//! What others did is in the journal too, so that a call which they made necessary, or refused, is not held against us.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use zadig_sim::Call;

use crate::support::is_ours;

/// The words of Zadig for an environment that it works on (Z§5.1).
const BUSY: [&str; 3] = ["creating", "updating", "deleting"];

/// What is judged.
pub(crate) struct Day<'a> {
    /// Everything that Zadig was asked, by whomever, in order.
    pub(crate) calls: &'a [Call],
    /// When something changed that an environment (`project/key`) follows: its declaration or what that refers to, or its cluster.
    /// Between two of these the order of its writes is judged.
    pub(crate) edits: &'a [(Timestamp, String)],
    /// Upgrades of templates that an event told: when, environment as `project/key`, and service.
    pub(crate) told: &'a [(Timestamp, String, String)],
}

/// What a careful person would not have done, each with the call.
pub(crate) fn complaints(day: &Day<'_>) -> Vec<String> {
    let found = judge(day).into_iter();
    found.map(|(call, problem)| show(call, &problem)).collect()
}

/// What nobody may do on any day, whatever goes wrong in it: a second creation, a change of a busy environment, and two writes of
/// one configuration object within a second.
pub(crate) fn reckless(calls: &[Call]) -> Vec<String> {
    let day = Day {
        calls,
        edits: &[],
        told: &[],
    };
    let found = judge(&day).into_iter();
    found
        .filter(|(_, problem)| {
            problem == TWICE || problem == SAME_SECOND || problem.starts_with(WHILE_BUSY)
        })
        .map(|(call, problem)| show(call, &problem))
        .collect()
}

const TWICE: &str = "it was created before and not deleted since";
const WHILE_BUSY: &str = "the environment was ";
const SAME_SECOND: &str = "the same object was written less than a second before";

/// Two writes of a configuration object within one second break a unique index of Zadig's, after the cluster was changed (Z§4.14).
const BETWEEN_WRITES: SignedDuration = SignedDuration::from_secs(1);

/// How long the event of an upgrade may take. It follows the call, as it tells what was done: with `management: Enforce` nobody is
/// asked before. Its time matters all the same, as each upgrade is to be told, and not one of them.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(60);

fn judge<'a>(day: &Day<'a>) -> Vec<(&'a Call, String)> {
    let mut seen = Seen::default();
    let mut found = Vec::new();
    for call in day.calls {
        if is_ours(call) && call.mutating {
            let problems = seen.judge(call, day);
            found.extend(problems.into_iter().map(|problem| (call, problem)));
        }
        seen.note(call);
    }
    found
}

fn show(call: &Call, problem: &str) -> String {
    let Call {
        seq,
        time,
        operation,
        environment,
        body,
        ..
    } = call;
    let environment = environment.as_deref().unwrap_or("?");
    format!("{seq} {time} {operation} {environment}: {problem}; {body}")
}

/// What is known of one environment from the calls so far.
#[derive(Default)]
struct Known {
    /// Our create call was answered well and nobody deleted it since.
    created: bool,
    /// When our delete call was answered well, if it was not created since.
    deleted: Option<Timestamp>,
    /// When somebody else last wrote to it.
    foreign: Option<Timestamp>,
    /// Our writes since then: what was asked, for the same thing again.
    writes: Vec<(Timestamp, String)>,
    /// The latest step of the order that our writes have come to since then, by what they are about.
    steps: Vec<(Timestamp, String, u8)>,
    /// Services whose template is older than the project's.
    outdated: BTreeSet<String>,
    /// Services that it was seen to have.
    services: BTreeSet<String>,
    /// Our writes of configuration objects that changed something.
    configs: Vec<(Timestamp, String)>,
}

#[derive(Default)]
struct Seen {
    environments: BTreeMap<String, Known>,
    /// When we last listed the environments of a project.
    listed: BTreeMap<String, Timestamp>,
}

impl Seen {
    fn judge(&self, call: &Call, day: &Day<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(environment) = &call.environment else {
            return vec!["it names no environment".to_owned()];
        };
        let nothing = Known::default();
        let known = self.environments.get(environment).unwrap_or(&nothing);
        let of_this = day.edits.iter().filter(|(_, of)| of == environment);
        let edited = of_this
            .map(|(at, _)| *at)
            .filter(|at| *at <= call.time)
            .max();
        let since = edited.max(known.foreign);
        let lately = |time: &Timestamp| since.is_none_or(|since| *time >= since);

        let project = environment.split('/').next().unwrap_or_default();
        let looked = self.listed.get(project);
        // Somebody was faster than our look: nobody can know that.
        let overtaken = known
            .foreign
            .is_some_and(|foreign| looked.is_none_or(|at| *at <= foreign));
        if call.status >= 400 || call.status == 0 {
            if !overtaken {
                problems.push(format!("it was refused with {}", call.status));
            }
        } else if !call.changed {
            problems.push("it had no effect".to_owned());
        }
        let is_deletion = call.operation.ends_with("environment.delete");
        if let Some(status) = call.found.as_deref()
            && BUSY.contains(&status)
            && !is_deletion
            && !overtaken
        {
            problems.push(format!("{WHILE_BUSY}{status}"));
        }
        // One that is lost in Zadig may be made anew; one that is there may not.
        if is_creation(call) && known.created && call.found.is_some() {
            problems.push(TWICE.to_owned());
        }
        if let Some(deleted) = known.deleted {
            if !is_creation(call) {
                problems.push("we deleted the environment before".to_owned());
            } else if edited.is_none_or(|edited| edited < deleted) {
                problems.push("we deleted it before and nobody asked for it again".to_owned());
            }
        }
        let asked = asked(call);
        if known
            .writes
            .iter()
            .any(|(time, before)| lately(time) && *before == asked)
        {
            problems.push("the same was said before and nobody else wrote since".to_owned());
        }
        for (about, step) in steps(call) {
            let later = known
                .steps
                .iter()
                .find(|(time, what, done)| lately(time) && *what == about && *done > step);
            if let Some((_, _, done)) = later {
                problems.push(format!("{about}: step {step} after step {done}"));
            }
        }
        if call.operation.ends_with("service.update") {
            for service in services(call) {
                let outdated = known.outdated.contains(&service);
                let is_told = day.told.iter().any(|(at, of, what)| {
                    of == environment
                        && *what == service
                        && (call.time..call.time + TOLD_WITHIN).contains(at)
                });
                if outdated && !is_told {
                    problems.push(format!("it upgrades the template of {service} untold"));
                }
            }
        }
        if let Some(config) = config(call) {
            let mut before = known.configs.iter().filter(|(_, name)| *name == config);
            if before.any(|(time, _)| call.time.duration_since(*time) < BETWEEN_WRITES) {
                problems.push(SAME_SECOND.to_owned());
            }
        }
        problems
    }

    fn note(&mut self, call: &Call) {
        let ours = is_ours(call);
        let well = (200..300).contains(&call.status);
        if call.operation.ends_with("environment.list") {
            if let (true, Some(project)) = (ours, query(call, "projectKey")) {
                self.listed.insert(project, call.time);
            }
            return;
        }
        if let Some((project, service)) = changed_template(call) {
            let of_project = format!("{project}/");
            for (key, known) in &mut self.environments {
                if key.starts_with(&of_project) && known.services.contains(&service) {
                    known.outdated.insert(service.clone());
                }
            }
            return;
        }
        let Some(environment) = call.environment.as_ref().filter(|_| call.mutating) else {
            return;
        };
        let known = self.environments.entry(environment.clone()).or_default();
        if ours {
            known.writes.push((call.time, asked(call)));
            let steps = steps(call).into_iter();
            known
                .steps
                .extend(steps.map(|(about, step)| (call.time, about, step)));
            let config = config(call).filter(|_| call.changed);
            known.configs.extend(config.map(|name| (call.time, name)));
        } else {
            known.foreign = Some(call.time);
        }
        if !well {
            return;
        }
        if call.operation.ends_with("environment.delete") {
            *known = Known {
                deleted: ours.then_some(call.time),
                foreign: known.foreign,
                ..Known::default()
            };
        } else if is_creation(call) {
            known.created = ours;
            known.deleted = None;
        }
        for service in services(call) {
            known.outdated.remove(&service);
            known.services.insert(service);
        }
    }
}

fn is_creation(call: &Call) -> bool {
    call.operation.ends_with("environment.create")
}

/// A write of a service's template, with its project.
fn changed_template(call: &Call) -> Option<(String, String)> {
    let operation = call.operation.trim_start_matches("production.");
    if !call.changed || !matches!(operation, "template.update" | "template.variables") {
        return None;
    }
    let mut segments = call.path.rsplit('/');
    let last = segments.next()?;
    let service = if last == "variable" {
        segments.next()?
    } else {
        last
    };
    Some((query(call, "projectKey")?, service.to_owned()))
}

fn query(call: &Call, name: &str) -> Option<String> {
    let mut pairs = call
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned())
}

/// What a call asks for, so that two that ask for the same are equal.
fn asked(call: &Call) -> String {
    format!("{} {}?{} {}", call.method, call.path, call.query, call.body)
}

fn body(call: &Call) -> Value {
    serde_json::from_str(&call.body).unwrap_or_default()
}

/// The configuration object that a call makes or replaces, by type and name.
fn config(call: &Call) -> Option<String> {
    let operation = call.operation.trim_start_matches("production.");
    if !matches!(operation, "config.create" | "config.update") {
        return None;
    }
    let body = body(call);
    let text = |field: &str| Some(body[field].as_str()?.to_owned());
    Some(format!(
        "{} {}",
        text("common_env_cfg_type")?,
        text("name")?
    ))
}

/// The services that a call creates, adds or updates.
fn services(call: &Call) -> Vec<String> {
    let body = body(call);
    let lists = ["services", "service_list"].into_iter();
    let items = lists.flat_map(|list| body[list].as_array().cloned().unwrap_or_default());
    let named = items.filter_map(|item| Some(item["service_name"].as_str()?.to_owned()));
    if call.operation.ends_with("service.delete") {
        return Vec::new();
    }
    named.collect()
}

/// Where a call stands in the order of design §3, and what has to keep that order: the environment as a whole, or one service.
/// Configuration objects are none of it: nothing of a plan comes before or after them, as each is an object with a plan of its own. What
/// holds for them is the time between two writes.
fn steps(call: &Call) -> Vec<(String, u8)> {
    let environment = |step| vec![("environment".to_owned(), step)];
    let one_service = |step| {
        let body = body(call);
        let named = body["service_name"].as_str().map(str::to_owned);
        let in_path = || {
            let mut segments = call
                .path
                .split('/')
                .skip_while(|segment| *segment != "service");
            segments.nth(1).map(str::to_owned)
        };
        let service = named.or_else(in_path).unwrap_or_default();
        vec![(format!("service {service}"), step)]
    };
    match call.operation.trim_start_matches("production.") {
        "environment.edit" => environment(0),
        "variable.update" => environment(1),
        "service.add" | "service.update" | "helm.service.add" => {
            let services = services(call).into_iter();
            services
                .map(|name| (format!("service {name}"), 2))
                .collect()
        }
        "image.deployment" | "image.statefulset" | "image.cronjob" => one_service(3),
        "workload.scale" => one_service(4),
        "service.restart" => one_service(5),
        "share.enable" | "share.disable" => environment(6),
        "share.portal.set" => environment(7),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).expect("a time")
    }

    /// A call of ours about `shop/dev`, which is idle, that changes something.
    fn ours(second: i64, operation: &str, body: &Value) -> Call {
        Call {
            seq: u64::try_from(second).unwrap_or_default(),
            time: at(second),
            method: "POST".to_owned(),
            path: format!("/openapi/{operation}"),
            query: "projectKey=shop".to_owned(),
            body: body.to_string(),
            user: Some("admin".to_owned()),
            agent: "zadig-operator/0.1.0".to_owned(),
            operation: operation.to_owned(),
            environment: Some("shop/dev".to_owned()),
            found: Some("success".to_owned()),
            status: 200,
            mutating: !operation.ends_with("list"),
            changed: true,
        }
    }

    fn theirs(second: i64, operation: &str, body: &Value) -> Call {
        Call {
            agent: "a person".to_owned(),
            ..ours(second, operation, body)
        }
    }

    fn create(second: i64) -> Call {
        Call {
            found: None,
            ..ours(
                second,
                "environment.create",
                &json!({"env_key": "dev", "services": [{"service_name": "api"}]}),
            )
        }
    }

    fn create_again(second: i64) -> Call {
        Call {
            found: Some("success".to_owned()),
            body: String::new(),
            ..create(second)
        }
    }

    fn update(second: i64, value: &str) -> Call {
        let list = json!([{"service_name": "api", "variable_kvs": [{"key": "a", "value": value}]}]);
        ours(second, "service.update", &json!({"service_list": list}))
    }

    fn image(second: i64, image: &str) -> Call {
        ours(
            second,
            "image.deployment",
            &json!({"service_name": "api", "image": image}),
        )
    }

    fn delete(second: i64) -> Call {
        ours(second, "environment.delete", &json!({}))
    }

    fn judged(calls: &[Call]) -> Vec<String> {
        judged_with(calls, &[])
    }

    fn judged_with(calls: &[Call], edits: &[(Timestamp, String)]) -> Vec<String> {
        let told = &[];
        complaints(&Day { calls, edits, told })
    }

    fn edit(second: i64, environment: &str) -> (Timestamp, String) {
        (at(second), environment.to_owned())
    }

    /// One complaint, which says this.
    fn assert_caught(found: &[String], what: &str) {
        assert!(
            found.len() == 1 && found[0].contains(what),
            "{what}: {found:#?}"
        );
    }

    #[test]
    fn a_careful_day_gives_no_reason_to_complain() {
        let globals = ours(2, "variable.update", &json!({"global_variables": []}));
        let scale = ours(
            5,
            "workload.scale",
            &json!({"service_name": "api", "target_replicas": 2}),
        );
        let calls = [
            create(1),
            globals,
            update(3, "x"),
            image(4, "api:1"),
            scale,
            delete(6),
            create(7),
            delete(8),
        ];
        assert_eq!(
            judged_with(&calls, &[edit(7, "shop/dev")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_environment_that_comes_back_by_itself_is_caught() {
        assert_caught(&judged(&[create(1), delete(2), create(3)]), "nobody asked");
    }

    #[test]
    fn a_second_creation_is_caught() {
        assert_caught(&judged(&[create(1), create_again(2)]), "created before");
    }

    #[test]
    fn on_the_worst_of_days_a_second_creation_and_a_change_of_a_busy_environment_are_caught() {
        let busy = Call {
            found: Some("updating".to_owned()),
            ..image(3, "api:1")
        };
        let refused = Call {
            status: 500,
            ..image(4, "api:1")
        };
        let found = reckless(&[create(1), create_again(2), busy, refused]);
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    #[test]
    fn a_call_without_effect_is_caught() {
        let idle = Call {
            changed: false,
            ..update(1, "x")
        };
        assert_caught(&judged(&[idle]), "no effect");
    }

    #[test]
    fn a_refused_call_is_caught_unless_somebody_was_faster_than_the_look() {
        let list = ours(1, "environment.list", &json!(null));
        let refused = Call {
            status: 500,
            changed: false,
            ..update(3, "x")
        };
        assert_caught(
            &judged(&[list.clone(), refused.clone()]),
            "refused with 500",
        );
        let other = theirs(2, "service.update", &json!({}));
        assert_eq!(judged(&[list, other, refused]), Vec::<String>::new());
    }

    #[test]
    fn a_change_of_a_busy_environment_is_caught_and_its_deletion_is_not() {
        let found = Some("updating".to_owned());
        let busy = Call {
            found: found.clone(),
            ..image(1, "api:1")
        };
        assert_caught(&judged(&[busy]), "was updating");
        assert_eq!(judged(&[Call { found, ..delete(1) }]), Vec::<String>::new());
    }

    #[test]
    fn a_change_after_our_own_deletion_is_caught() {
        assert_caught(
            &judged(&[delete(1), image(2, "api:1")]),
            "deleted the environment",
        );
    }

    #[test]
    fn the_same_call_again_is_caught_unless_somebody_wrote_or_the_declaration_changed() {
        let calls = [image(1, "api:1"), image(3, "api:1")];
        assert_caught(&judged(&calls), "said before");
        let drift = theirs(
            2,
            "image.deployment",
            &json!({"service_name": "api", "image": "api:0"}),
        );
        let [first, second] = calls;
        assert_eq!(
            judged(&[first.clone(), drift, second.clone()]),
            Vec::<String>::new()
        );
        let twice = [first, second];
        assert_eq!(
            judged_with(&twice, &[edit(2, "shop/dev")]),
            Vec::<String>::new()
        );
        assert_caught(
            &judged_with(&twice, &[edit(2, "shop/qa"), edit(4, "shop/dev")]),
            "said before",
        );
    }

    #[test]
    fn an_image_before_the_variables_of_its_service_is_caught_and_that_of_another_is_not() {
        assert_caught(
            &judged(&[image(1, "api:1"), update(2, "x")]),
            "step 2 after step 3",
        );
        let other = ours(
            1,
            "image.deployment",
            &json!({"service_name": "web", "image": "web:1"}),
        );
        assert_eq!(judged(&[other, update(2, "x")]), Vec::<String>::new());
        let registry = ours(2, "environment.edit", &json!({"registry_id": "r"}));
        let globals = ours(1, "variable.update", &json!({}));
        assert_caught(
            &judged(&[globals, registry]),
            "environment: step 0 after step 1",
        );
    }

    #[test]
    fn an_upgrade_of_a_template_that_no_event_tells_is_caught() {
        let changed = Call {
            path: "/openapi/service/yaml/api".to_owned(),
            environment: None,
            ..theirs(2, "template.update", &json!({}))
        };
        let calls = [create(1), changed, update(3, "x")];
        assert_caught(&judged(&calls), "upgrades the template of api");
        let told_at = |second: i64| {
            let told = (at(second), "shop/dev".to_owned(), "api".to_owned());
            complaints(&Day {
                calls: &calls,
                edits: &[],
                told: &[told],
            })
        };
        assert_eq!(told_at(4), Vec::<String>::new());
        // The event of another upgrade, before or long after.
        for second in [2, 64] {
            assert_caught(&told_at(second), "upgrades the template of api");
        }
    }

    /// A write of a ConfigMap so many milliseconds later.
    fn write(milliseconds: i64, operation: &str, name: &str, content: &str) -> Call {
        let body = json!({"name": name, "common_env_cfg_type": "ConfigMap", "yaml_data": content});
        Call {
            time: at(0) + SignedDuration::from_millis(milliseconds),
            ..ours(0, operation, &body)
        }
    }

    #[test]
    fn two_writes_of_one_object_within_a_second_are_caught_on_any_day() {
        let first = write(0, "config.create", "app", "a");
        let soon = [first.clone(), write(999, "config.update", "app", "b")];
        assert_caught(&judged(&soon), "less than a second before");
        assert_caught(&reckless(&soon), "less than a second before");
        let refused = Call {
            changed: false,
            ..first.clone()
        };
        for (before, after) in [
            (&first, write(1000, "config.update", "app", "b")),
            (&first, write(1, "config.update", "other", "b")),
            (&first, write(1, "config.delete", "app", "b")),
            (&refused, write(1, "config.update", "app", "b")),
        ] {
            assert_eq!(reckless(&[before.clone(), after]), Vec::<String>::new());
        }
    }
}
