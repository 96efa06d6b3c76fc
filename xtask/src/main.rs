//! `cargo xtask`: every command a developer of zadig-operator needs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cargo;
mod chart;
mod cluster;
mod demo;
mod docs;
mod e2e;
mod generate;
mod image;
mod objects;
mod stage;
mod test;
mod zadig;

/// Every command a developer of zadig-operator needs.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A running system on this machine, from manifests to Ready, repaired and deleted; ZADIG_URL and ZADIG_TOKEN make it use that server
    Demo(demo::Options),
    /// The control plane (etcd, kube-apiserver, kube-controller-manager) for tests and play
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Everything CI checks; stops at the first failure
    Test(test::Options),
    /// Measure memory, latency and calls with many environments in a simulated Zadig; prints tables for the README
    Bench(bench::Options),
    /// Build the container image, without a container engine: OCI layout, archive for `docker load`, SBOM
    Image(image::Options),
    /// The chart and the image on a real node (kubelet, containerd): installed, upgraded, crashed, rotated, removed; needs root
    E2e(e2e::Options),
    /// Write the files that are made from others: definitions, pages of the manual, what the chart renders, plain manifests
    Generate,
    /// Build the documentation site into target/docs
    Docs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // kube and reqwest ask the process for its TLS provider; nobody else has chosen one before the first line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Cluster(command) => cluster::run(command).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Test(options) => test::all(&options),
        Command::Bench(options) => bench::run(&options).await,
        Command::Image(options) => image::build(&options),
        Command::E2e(options) => e2e::run(&options).await,
        Command::Generate => generate::write(),
        Command::Docs => docs::build(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use xtask::paths;
    use xtask::site::{Site, calls};

    use super::*;

    /// The steps of all jobs of all workflows.
    fn steps() -> Vec<Value> {
        let dir = paths::workspace().join(".github/workflows");
        let mut steps = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let workflow: Value = serde_saphyr::from_str(&text).unwrap();
            for job in workflow["jobs"].as_object().unwrap().values() {
                steps.extend(job["steps"].as_array().unwrap().iter().cloned());
            }
        }
        steps
    }

    #[test]
    fn every_command_of_a_workflow_is_one_and_its_tests_leave_nothing_out() {
        let steps = steps();
        let scripts = steps.iter().filter_map(|step| step["run"].as_str());
        let mut tests = 0;
        for words in scripts.flat_map(|script| calls(script, "cargo xtask")) {
            let command = ["cargo xtask".to_owned()].into_iter().chain(words.clone());
            if let Err(error) = Cli::try_parse_from(command) {
                panic!("{error}");
            }
            if words[0] == "test" {
                tests += 1;
                assert!(words.contains(&"--require".to_owned()), "{words:?}");
            }
        }
        assert_ne!(tests, 0, "a release is tested");
    }

    #[test]
    fn a_workflow_takes_one_version_of_what_others_wrote() {
        let steps = steps();
        let uses = steps.iter().filter_map(|step| step["uses"].as_str());
        for action in uses {
            let version = action.split_once('@').map_or("", |(_, version)| version);
            let is_commit =
                version.len() == 40 && version.chars().all(|digit| digit.is_ascii_hexdigit());
            let is_whole = version.starts_with('v') && version.split('.').count() == 3;
            assert!(is_commit || is_whole, "{action}");
        }
    }

    #[test]
    fn every_command_in_the_documentation_is_one() {
        let site = Site::load().unwrap();
        let mut count = 0;
        for (place, words) in site.calls("cargo xtask") {
            count += 1;
            let words = ["cargo xtask".to_owned()].into_iter().chain(words);
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{place}: {error}");
            }
        }
        assert!(count > 3, "only {count} were found");
    }
}
