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
    use xtask::site::Site;

    use super::*;

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
