//! `cargo xtask demo`: from nothing to environments in a Zadig, repaired and deleted, with everything real but Zadig.
//!
//! It succeeds only if it saw all of that. With `ZADIG_URL` and `ZADIG_TOKEN` Zadig is real too: environment keys are
//! unique for each run, and nothing is left there, also after a failure.

mod play;
mod script;
mod show;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::time::Instant;
use xtask::console::took;

use crate::cargo::{Profile, build_programs};
use crate::objects;
use crate::stage::{Cluster, Stage};
use crate::zadig::Zadig;
use play::Play;
use script::Script;

/// How to run the demo.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Leave everything running and say how to use and how to stop it
    #[arg(long)]
    keep: bool,
    /// Use the current context of this file instead of a control plane of our own; CRDs stay there
    #[arg(long, value_name = "PATH", conflicts_with = "keep")]
    kubeconfig: Option<PathBuf>,
}

/// Runs the demo.
pub(crate) async fn run(options: Options) -> Result<()> {
    let started = Instant::now();
    let binaries = build_programs(Profile::Dev)?;
    let real = Zadig::real()?;
    let tag = objects::tag();
    let given = options.kubeconfig.is_some();
    let cluster = match options.kubeconfig {
        Some(path) => Cluster::Given(path),
        None if options.keep => Cluster::Kept,
        None => Cluster::Own,
    };
    let namespace = if given {
        format!("zadig-demo-{tag}")
    } else {
        "zadig-demo".to_owned()
    };
    let mut stage = Stage::open(cluster, binaries).await?;
    let is_real = real.is_some();
    let (script, zadig) = if let Some(zadig) = real {
        (Script::for_real(&tag)?, zadig)
    } else {
        let script = Script::for_simulator()?;
        let zadig = stage
            .start_simulator(&script.seed, &["--pace", "real"])
            .await?;
        (script, zadig)
    };
    println!(
        "Zadig is at {} ({})",
        zadig.url,
        if is_real { "real" } else { "simulated" }
    );

    let mut play = Play {
        stage: &mut stage,
        zadig: &zadig,
        script: &script,
        namespace: &namespace,
    };
    let mut outcome = tokio::select! {
        outcome = play.perform() => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    if !options.keep && (given || is_real) {
        println!("Removing what is left ...");
        let removed = tokio::select! {
            removed = play::clean_up(&stage, &zadig, &script, &namespace) => removed,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted again")),
        };
        outcome = outcome.and(removed.context("not everything could be removed"));
    }
    if let Err(error) = &outcome {
        eprintln!("\nThe demo failed: {error:#}\nThe end of the operator's log:");
        eprint!("{}", stage.operator_log(20));
        eprintln!("All logs are in {}", stage.dir().display());
    }
    if options.keep {
        tell_how_to_use(&stage, &zadig, &namespace);
    }
    let succeeded = outcome.is_ok();
    stage.close_unless(options.keep, succeeded);
    match outcome {
        Ok(()) => println!("\nAll of it was seen, in {}.", took(started.elapsed())),
        Err(_) => bail!("the demo did not show everything it should, see above"),
    }
    Ok(())
}

fn tell_how_to_use(stage: &Stage, zadig: &Zadig, namespace: &str) {
    println!("\nEverything is left running. To look around:");
    println!("  export KUBECONFIG={}", stage.kubeconfig.display());
    println!("  kubectl --namespace {namespace} get zadig");
    println!("  kubectl --namespace {namespace} get events");
    if zadig.is_simulated {
        println!(
            "  curl {}/sim/snapshot    # what the simulated Zadig and its cluster hold",
            zadig.url
        );
        println!(
            "  curl {}/sim/calls       # every call it received",
            zadig.url
        );
    }
    println!("Logs are in {}", stage.dir().display());
    println!("To end it: cargo xtask cluster down");
}
