//! `cargo xtask`: every command a developer of zadig-operator needs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cargo;
mod cluster;
mod generate;
mod test;

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
    /// The control plane (etcd, kube-apiserver, kube-controller-manager) for tests and play
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Everything CI checks; stops at the first failure
    Test(test::Options),
    /// Write the files that are made from code (crds/)
    Generate,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Cluster(command) => cluster::run(command).await,
        Command::Test(options) => test::all(&options),
        Command::Generate => generate::write(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
