//! `cargo xtask bench`: what the operator costs and how fast it is with many environments, as tables for the README.
//!
//! The operator is the released program, the API server is real, Zadig is the simulator without artificial delays.
//! Latency is counted from before the request that applies an object to the first call that names its environment in the
//! simulator's journal; both clocks are this machine's.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xtask::console::{Task, took};
use xtask::controlplane::Write;
use xtask::paths;

use crate::cargo::{Profile, build_programs};
use crate::objects::{self, ENVIRONMENT, is_ready, text};
use crate::stage::{Cluster, Stage};
use crate::zadig::Zadig;

const NAMESPACE: &str = "zadig-bench";
const PROJECT: &str = "golden";
/// As many as `kubectl apply` of a large file or Argo CD send at once.
const APPLIED_AT_ONCE: usize = 16;
/// `spec.limits.requestsPerSecond` where a connection does not name it.
const DEFAULT_RATE: u32 = 20;
const LOOK: Duration = Duration::from_millis(500);
/// Between two single changes, so that each one is measured alone.
const PAUSE: Duration = Duration::from_millis(300);

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Environments to declare, all in one project
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    environments: usize,
    /// Single changes to measure once all are Ready
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    changes: usize,
    /// How long to watch the idle operator
    #[arg(long, default_value_t = 3, value_name = "MINUTES")]
    idle_minutes: u64,
    /// spec.limits.requestsPerSecond of the connection (default of the operator if absent); burst is twice as many
    #[arg(long, value_name = "NUMBER")]
    requests_per_second: Option<u32>,
    /// How long the environments may take to become Ready
    #[arg(long, default_value_t = 30, value_name = "MINUTES")]
    patience_minutes: u64,
    /// Use the development build, which is larger and slower
    #[arg(long)]
    debug: bool,
}

/// Runs all measurements.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let profile = if options.debug {
        Profile::Dev
    } else {
        Profile::Release
    };
    let mut stage = Stage::open(Cluster::Own, build_programs(profile)?).await?;
    let seed = paths::workspace().join("tests/golden/seed");
    let arguments = ["--pace", "fast", "--licence", "professional"];
    let zadig = stage.start_simulator(&seed, &arguments).await?;
    objects::create_namespace(&stage.client, NAMESPACE).await?;
    stage.start_operator(NAMESPACE).await?;
    let before = memory(&stage)?;
    connect(&stage, &zadig, options).await?;

    let outcome = measure(&mut stage, &zadig, options, before).await;
    if outcome.is_err() {
        eprint!("{}", stage.operator_log(20));
        eprintln!("Logs are in {}", stage.dir().display());
    }
    stage.close_unless(false, outcome.is_ok());
    outcome
}

async fn measure(
    stage: &mut Stage,
    zadig: &Zadig,
    options: &Options,
    before: Memory,
) -> Result<()> {
    let count = options.environments;
    let task = Task::start(format!("{count} environments are applied and become Ready"));
    let started = Instant::now();
    let applied = apply_all(stage, count).await?;
    let apply_time = started.elapsed();
    all_ready(stage, count, Duration::from_mins(options.patience_minutes)).await?;
    let ready_time = started.elapsed();
    task.done();
    let burst_calls = zadig.calls().await?;
    let burst = Latencies::new(&applied, &burst_calls)?;
    let burst_writes = stage.operator_writes()?;

    let task = Task::start(format!("{} single changes", options.changes));
    zadig.clear_calls().await?;
    let changed = change_one_by_one(stage, count, options.changes).await?;
    all_ready(stage, count, Duration::from_mins(options.patience_minutes)).await?;
    let single = Latencies::new(&changed, &zadig.calls().await?)?;
    task.done();

    let task = Task::start(format!("{} idle minutes", options.idle_minutes));
    // The last event of the last change is written after its status.
    sleep(PAUSE * 10).await;
    let writes_before = stage.operator_writes()?.len();
    zadig.clear_calls().await?;
    let idle = Duration::from_mins(options.idle_minutes);
    sleep(idle).await;
    let calls = zadig.calls().await?;
    let after = memory(stage)?;
    let writes = stage.operator_writes()?.split_off(writes_before);
    task.done();
    stage.check()?;

    let (events, writes_each) = per_object(&burst_writes, count);
    let is_list = |call: &&Value| call["operation"] == "environment.list";
    let lists = calls.iter().filter(is_list).count();
    let looks = calls.len() - lists;
    let zadig_writes = calls.iter().filter(|call| call["mutating"] == true).count();
    let leases = writes
        .iter()
        .filter(|write| write.resource == "leases")
        .count();
    let rate = options.requests_per_second.unwrap_or(DEFAULT_RATE);
    println!("\n{}\n", setting());
    println!("| {count} environments in one project, at most {rate} calls a second | |\n|---|---|");
    println!(
        "| resident memory: just started, idle, highest | {}, {}, {} |",
        before.resident, after.resident, after.highest
    );
    println!("| apply to first call, one at a time: p50, p99 | {single} |");
    println!("| apply to first call, all at once: p50, p99 | {burst} |");
    println!(
        "| applying all at once, until all are Ready | {}, {} |",
        took(apply_time),
        took(ready_time)
    );
    println!(
        "| calls of Zadig for each of them until then | {} |",
        tenths(burst_calls.len(), count)
    );
    println!("| writes to Kubernetes for each of them, events besides | {writes_each}, {events} |");
    println!(
        "| idle: list calls a minute | {} |",
        per_minute(lists, idle)
    );
    println!(
        "| idle: calls of thorough looks a minute, and at most | {}, {} |",
        per_minute(looks, idle),
        rate * 60 / 10
    );
    println!(
        "| idle: writes to Zadig, to Kubernetes but the Lease | {zadig_writes}, {} |",
        writes.len() - leases
    );
    Ok(())
}

/// Writes to Kubernetes for each environment: events, and all others.
fn per_object(writes: &[Write], count: usize) -> (String, String) {
    let of = |resource: &str| {
        writes
            .iter()
            .filter(|write| write.resource == resource)
            .count()
    };
    let events = of("events");
    let others = of("zadigenvironments") + of("zadigenvironments/status");
    (tenths(events, count), tenths(others, count))
}

/// When, by what command and on what machine was measured.
fn setting() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or_default();
    format!(
        "`cargo xtask {}` on {}, {cores} cores ({model}), {} GB, which also run the API server, etcd and the simulated Zadig:",
        arguments.join(" "),
        Timestamp::now().strftime("%Y-%m-%d"),
        memory.div_ceil(1 << 20),
    )
}

async fn connect(stage: &Stage, zadig: &Zadig, options: &Options) -> Result<()> {
    let mut spec = json!({
        "url": zadig.url,
        "tokenSecretRef": {"name": "zadig-token", "key": "token"},
    });
    if let Some(rate) = options.requests_per_second {
        spec["limits"] = json!({"requestsPerSecond": rate, "burst": rate.saturating_mul(2)});
    }
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "zadig-token"},
        "stringData": {"token": zadig.token},
    });
    let connection = json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": "ZadigConnection",
        "metadata": {"name": "default"},
        "spec": spec,
    });
    for object in [secret, connection] {
        let object = serde_json::from_value(object)?;
        objects::apply(&stage.client, Some(NAMESPACE), &object).await?;
    }
    Ok(())
}

fn key(index: usize) -> String {
    format!("bench-{index:05}")
}

fn environment(index: usize, image: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zadig-operator.io/v1alpha1",
        "kind": ENVIRONMENT,
        "metadata": {"name": key(index)},
        "spec": {
            "connectionRef": {"name": "default"},
            "projectKey": PROJECT,
            "envKey": key(index),
            "services": [{
                "name": "plain",
                "containers": [{"name": "plain", "image": image}],
            }],
        },
    }))?)
}

/// When each environment was applied, by key.
type Applied = BTreeMap<String, Timestamp>;

async fn apply_all(stage: &Stage, count: usize) -> Result<Applied> {
    let applying = stream::iter(0..count).map(async |index| {
        let object = environment(index, "registry.example.com/reg-main/plain:v1")?;
        let time = Timestamp::now();
        objects::apply(&stage.client, Some(NAMESPACE), &object).await?;
        anyhow::Ok((key(index), time))
    });
    applying
        .buffer_unordered(APPLIED_AT_ONCE)
        .try_collect()
        .await
}

async fn change_one_by_one(stage: &Stage, count: usize, changes: usize) -> Result<Applied> {
    let api = objects::api(&stage.client, NAMESPACE, ENVIRONMENT);
    let mut applied = Applied::new();
    for change in 0..changes.min(count) {
        // Spread over all of them.
        let key = key(change * count / changes.min(count));
        let image = "registry.example.com/reg-main/plain:v2";
        let containers = json!([{"name": "plain", "image": image}]);
        let services = json!([{"name": "plain", "containers": containers}]);
        let patch = Patch::Merge(json!({"spec": {"services": services}}));
        applied.insert(key.clone(), Timestamp::now());
        api.patch(&key, &PatchParams::default(), &patch).await?;
        sleep(PAUSE).await;
    }
    Ok(applied)
}

async fn all_ready(stage: &mut Stage, count: usize, patience: Duration) -> Result<()> {
    let api = objects::api(&stage.client, NAMESPACE, ENVIRONMENT);
    let deadline = Instant::now() + patience;
    loop {
        let list = api.list(&ListParams::default()).await?.items;
        let ready = list.iter().filter(|object| is_ready(object)).count();
        if ready == count {
            return Ok(());
        }
        stage.check()?;
        if Instant::now() > deadline {
            let example = list.iter().find(|object| !is_ready(object));
            let why = example.and_then(|object| objects::message(object, "Ready"));
            bail!(
                "{ready} of {count} are Ready after {patience:?}; one says: {}",
                why.unwrap_or_default()
            );
        }
        sleep(LOOK).await;
    }
}

/// Times from an apply to the first call for it, sorted.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn new(applied: &Applied, calls: &[Value]) -> Result<Self> {
        let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut times = Vec::with_capacity(calls.len());
        for call in calls {
            let time: Timestamp = call["time"]
                .as_str()
                .context("a call has a time")?
                .parse()?;
            let words =
                ["path", "query", "body"].map(|field| text(call, &[field]).unwrap_or_default());
            times.push((time, words.join(" ")));
        }
        // The journal is in order, so the first that names a key is the earliest.
        for (time, words) in &times {
            for key in words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
                if let Some((key, since)) = applied.get_key_value(key)
                    && time >= since
                {
                    first.entry(key).or_insert(*time);
                }
            }
        }
        let mut latencies = Vec::with_capacity(applied.len());
        for (key, since) in applied {
            let call = first
                .get(key.as_str())
                .with_context(|| format!("no call names {key}"))?;
            latencies.push(Duration::try_from(call.duration_since(*since))?);
        }
        latencies.sort_unstable();
        Ok(Self(latencies))
    }

    fn percentile(&self, percent: usize) -> Duration {
        let index = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, high] = [50, 99].map(|percent| self.percentile(percent).as_secs_f64());
        write!(f, "{median:.3} s, {high:.3} s")
    }
}

fn per_minute(number: usize, time: Duration) -> String {
    tenths(
        number * 60_000,
        usize::try_from(time.as_millis()).unwrap_or(usize::MAX),
    )
}

/// A quotient with one decimal, rounded.
fn tenths(number: usize, by: usize) -> String {
    let tenths = (number * 10 + by / 2) / by.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the kernel says of a process's memory.
struct Memory {
    resident: String,
    highest: String,
}

fn memory(stage: &Stage) -> Result<Memory> {
    let pid = stage.operator_pid().context("the operator does not run")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .context("memory is measured on Linux only")?;
    let megabytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(format!("{} MB", kilobytes.div_ceil(1024)))
    };
    Ok(Memory {
        resident: megabytes("VmRSS:").context("no VmRSS")?,
        highest: megabytes("VmHWM:").context("no VmHWM")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_that_names_an_environment_after_its_apply_counts() {
        let time = |second: i64| Timestamp::from_second(second).unwrap();
        let applied = Applied::from([
            ("bench-1".to_owned(), time(100)),
            ("bench-10".to_owned(), time(200)),
        ]);
        let call =
            |second, path| json!({"time": time(second), "path": path, "query": "", "body": ""});
        let calls = [
            call(99, "/openapi/environments/bench-1"),
            call(103, "/openapi/environments/bench-1"),
            call(104, "/openapi/environments/bench-1"),
            call(201, "/openapi/environments/bench-10/services/plain"),
        ];
        let latencies = Latencies::new(&applied, &calls).unwrap();
        assert_eq!(latencies.0, [1, 3].map(Duration::from_secs));
        assert_eq!(latencies.percentile(50), Duration::from_secs(1));
        assert_eq!(latencies.percentile(99), Duration::from_secs(3));
    }

    #[test]
    fn calls_a_minute_have_one_decimal() {
        assert_eq!(per_minute(7, Duration::from_mins(3)), "2.3");
        assert_eq!(per_minute(8, Duration::from_mins(3)), "2.7");
    }
}
