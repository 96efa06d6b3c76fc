//! `cargo xtask test`: everything CI checks, in the order that fails soonest. Nothing in CI is spelled anywhere else.

use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde::Deserialize;
use xtask::console::took;
use xtask::{controlplane, definitions, gitops, kubectl, paths, prometheus};

use crate::cargo::{Tool, cargo, run};
use crate::{chart, docs, generate};

/// The targets whose tests need a control plane.
const CLUSTER_TARGETS: [&str; 2] = ["cluster", "process"];

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: None,
    arguments: &[],
};

/// Which of the checks to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Leave out what needs a control plane or another tool: cluster, chart, monitoring, docs, deny
    #[arg(long)]
    fast: bool,
    /// Run this step alone (may be given more than once)
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Rewrite stale generated files instead of failing
    #[arg(long)]
    fix: bool,
    /// Fail where a check, or a part of it, would be skipped because this machine cannot do it
    #[arg(long)]
    require: bool,
}

/// One check of CI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Step {
    /// cargo fmt --check
    Format,
    /// clippy with warnings denied, on every target
    Clippy,
    /// rustdoc with warnings denied
    Doc,
    /// unit, property, contract and simulator tests
    Test,
    /// files that are made from code are up to date
    Generated,
    /// licences, sources and duplicates of dependencies; advisories where their database can be reached
    Deny,
    /// the Helm chart and the plain manifests: rendered as kept, refusing what they should, equal to each other
    Chart,
    /// alert rules and dashboard of the chart: each alert with its runbook and, with promtool, its cases
    Monitoring,
    /// the documentation site builds, and its headings are where links look for them
    Docs,
    /// the programs of the control plane, and those that judge as GitOps tools do, are there; built if need be
    Controlplane,
    /// tests against a real API server and the simulator (or ZADIG_URL)
    Cluster,
}

impl Step {
    const NEEDS_MORE: [Self; 6] = [
        Self::Deny,
        Self::Chart,
        Self::Monitoring,
        Self::Docs,
        Self::Controlplane,
        Self::Cluster,
    ];

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    fn run(self, options: &Options) -> Result<Outcome> {
        match self {
            Self::Format => run(cargo(&["fmt", "--all", "--check"]))?,
            Self::Clippy => run(cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]))?,
            Self::Doc => {
                let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
                command.env("RUSTDOCFLAGS", "-D warnings");
                run(command)?;
            }
            Self::Test => {
                let mut command = cargo(&["test", "--workspace", "--lib", "--bins", "--examples"]);
                for target in test_targets()?
                    .iter()
                    .filter(|name| !CLUSTER_TARGETS.contains(&name.as_str()))
                {
                    command.args(["--test", target]);
                }
                run(command)?;
                run(cargo(&["test", "--workspace", "--doc"]))?;
            }
            Self::Generated if options.fix => generate::write()?,
            Self::Generated => generate::check()?,
            Self::Deny => return deny(),
            Self::Chart if options.fix => {
                generate::write()?;
                chart::check()?;
            }
            Self::Chart => {
                generate::check_rendered()?;
                chart::check()?;
            }
            Self::Monitoring => return monitoring(),
            Self::Docs => return docs(),
            Self::Controlplane => {
                let found = controlplane::find()?;
                println!("{}", found.apiserver.display());
                gitops::Judge::find()?;
                gitops::setters()?;
                definitions::find()?;
            }
            Self::Cluster => return cluster(options),
        }
        Ok(Outcome::Passed)
    }
}

enum Outcome {
    Passed,
    /// What was not looked at, and why.
    PassedWithout(String),
}

/// Runs the steps and stops at the first that fails; a table at the end says how far it came.
pub(crate) fn all(options: &Options) -> Result<()> {
    let steps: Vec<Step> = Step::value_variants()
        .iter()
        .copied()
        .filter(|step| options.only.is_empty() || options.only.contains(step))
        .filter(|step| !options.fast || !Step::NEEDS_MORE.contains(step))
        .collect();
    let started = Instant::now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut failure = None;
    for step in &steps {
        let name = step.name();
        if failure.is_some() {
            table.add_row([name, "not run".to_owned(), String::new()]);
            continue;
        }
        eprintln!("\n=== {name}");
        let begun = Instant::now();
        let outcome = match step.run(options) {
            Ok(Outcome::PassedWithout(what)) if options.require => Err(anyhow!("{what}")),
            outcome => outcome,
        };
        let time = took(begun.elapsed());
        let word = match &outcome {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::PassedWithout(what)) => format!("ok, but {what}"),
            Err(_) => "FAILED".to_owned(),
        };
        eprintln!("=== {name}: {word} ({time})");
        table.add_row([name, word, time]);
        failure = outcome
            .err()
            .map(|error| error.context(format!("step {}", step.name())));
    }
    eprintln!("\n{table}\n\ntotal {}", took(round(started.elapsed())));
    failure.map_or(Ok(()), Err)
}

fn round(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Names of the integration tests of all members, but those that are only run by name (`test = false`).
fn test_targets() -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        kind: Vec<String>,
        name: String,
        test: bool,
    }
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let targets = metadata
        .packages
        .into_iter()
        .flat_map(|package| package.targets);
    let mut names: Vec<String> = targets
        .filter(|target| target.test && target.kind.iter().any(|kind| kind == "test"))
        .map(|target| target.name)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The tests find the same programs as are looked for here; one that lacks its program passes, and nobody would see what it prints.
fn cluster(options: &Options) -> Result<Outcome> {
    let prometheus = prometheus::find();
    if let Err(error) = &prometheus {
        eprintln!("Prometheus: SKIPPED, {error:#}");
    }
    let lacking = lacking(
        kubectl::is_there(),
        prometheus.is_ok(),
        env::var_os("ZADIG_URL").is_some(),
    );
    if options.require
        && let Some(lacking) = &lacking
    {
        bail!("{lacking}");
    }
    let mut command = cargo(&["test", "--workspace"]);
    for target in CLUSTER_TARGETS {
        command.args(["--test", target]);
    }
    run(command)?;
    Ok(lacking.map_or(Outcome::Passed, Outcome::PassedWithout))
}

/// What the tests on a real API server leave out; nothing where this machine has it all.
fn lacking(has_kubectl: bool, has_prometheus: bool, has_real_zadig: bool) -> Option<String> {
    let mut lacking = Vec::new();
    if !has_kubectl {
        lacking.push(
            "what kubectl diff, explain and scale do was skipped: there is no kubectl on PATH",
        );
    }
    if !has_prometheus {
        lacking.push(
            "the queries of dashboard and alerts were skipped: there is no Prometheus to be had",
        );
    }
    if has_real_zadig {
        lacking.push("what needs the simulator was skipped: ZADIG_URL is set");
    }
    (!lacking.is_empty()).then(|| lacking.join("; "))
}

fn monitoring() -> Result<Outcome> {
    chart::monitoring::check()?;
    match prometheus::find() {
        Ok(tools) => {
            chart::monitoring::check_rules(&tools)?;
            Ok(Outcome::Passed)
        }
        Err(error) => {
            eprintln!("promtool: SKIPPED, {error:#}");
            Ok(Outcome::PassedWithout(
                "the cases of the alerts were skipped: there is no Prometheus to be had".to_owned(),
            ))
        }
    }
}

fn docs() -> Result<Outcome> {
    // Its links and names are held by a unit test, which needs no other program.
    match docs::mdbook() {
        Ok(mdbook) => {
            docs::build_with(&mdbook)?;
            Ok(Outcome::Passed)
        }
        Err(error) => {
            eprintln!("docs: SKIPPED, there is no mdbook: {error:#}");
            Ok(Outcome::PassedWithout(
                "the site was not built: mdbook is not here and cannot be installed".to_owned(),
            ))
        }
    }
}

fn deny() -> Result<Outcome> {
    let program = CARGO_DENY.found_or_installed()?;
    let deny = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).current_dir(paths::workspace());
        command
    };
    run(deny(&["check", "bans", "licenses", "sources"]))?;
    // The database is a git repository that is not reachable from everywhere; being offline is no fault of the code.
    let fetched = deny(&["fetch", "db"])
        .output()
        .context("cannot run cargo-deny")?;
    if fetched.status.success() {
        run(deny(&["check", "--disable-fetch", "advisories"]))?;
        Ok(Outcome::Passed)
    } else {
        eprintln!("advisories: SKIPPED, their database cannot be fetched from here");
        Ok(Outcome::PassedWithout(
            "advisories were skipped: no access to their database".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_lacks_is_told_and_what_it_has_is_not() {
        assert_eq!(lacking(true, true, false), None);
        for (kubectl, prometheus, zadig, word) in [
            (false, true, false, "kubectl"),
            (true, false, false, "Prometheus"),
            (true, true, true, "ZADIG_URL"),
        ] {
            let told = lacking(kubectl, prometheus, zadig).unwrap();
            assert!(told.contains(word) && !told.contains(';'), "{told}");
        }
        let all = lacking(false, false, true).unwrap();
        assert_eq!(all.split("; ").count(), 3, "{all}");
    }
}
