//! `cargo xtask cluster up|down|status`.

use anyhow::Result;
use clap::Subcommand;
use xtask::controlplane::{self, Started};

/// What to do with the shared control plane.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start it and leave it running; built once if it cannot be found (KUBEBUILDER_ASSETS, PATH, cache)
    Up,
    /// End it and remove its data
    Down,
    /// Say what runs
    Status,
}

/// Runs the command.
pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up => {
            let (access, started) = controlplane::up().await?;
            match started {
                Started::Before => println!("The control plane was running already."),
                Started::Now => {
                    println!("The control plane runs until `cargo xtask cluster down`.");
                }
            }
            println!("export KUBECONFIG={}", access.kubeconfig.display());
        }
        Command::Down => {
            if controlplane::down()? {
                println!("The control plane has ended and its data is removed.");
            } else {
                println!("No control plane was running.");
            }
        }
        Command::Status => {
            for (name, pid) in controlplane::status() {
                println!("{name} runs as process {pid}");
            }
            match controlplane::shared().await {
                Some(access) => {
                    println!("ready: export KUBECONFIG={}", access.kubeconfig.display());
                }
                None => println!("No control plane answers."),
            }
        }
    }
    Ok(())
}
