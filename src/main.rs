//! Reads the command line, wires the parts and runs them; no logic.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zadig_operator::config::{Cli, Command, CrdsConfig, ProbeConfig, RunConfig};
use zadig_operator::{crds, probe, process, telemetry};

/// How long the API server may be silent within an answer: longer than any watch lasts, so that none is cut off.
const SILENCE: Duration = Duration::from_mins(6);

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(config) => run(config),
        Command::Crds(config) => print_crds(&config),
        Command::Metrics => print(&telemetry::document()),
        Command::Probe(config) => ask(&config),
    }
}

#[tokio::main]
async fn run(config: RunConfig) -> anyhow::Result<()> {
    // One provider for the whole process; who installed one before has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = telemetry::begin(config.log_format, &config.log_level)?;
    let shutdown = CancellationToken::new();
    stop_on_signals(shutdown.clone())?;
    let result = process::run(config, client().await?, shutdown).await;
    match &result {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(error = error as &dyn std::error::Error, "stopped"),
    }
    if let Some(traces) = traces {
        traces.stop().await;
    }
    Ok(result?)
}

async fn client() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer()
        .await
        .context("cannot find the API server: neither in a Pod, nor is KUBECONFIG usable")?;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    kube::Client::try_from(config).context("cannot use what is known of the API server")
}

/// The first signal asks for a graceful stop, the second one does not wait for it.
fn stop_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                tracing::warn!("stopping at once");
                std::process::exit(1);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn ask(config: &ProbeConfig) -> anyhow::Result<()> {
    let answer = probe::ask(&config.url, config.wait).await;
    println!(
        "{}",
        answer.context(format!("{} is not ready", config.url))?
    );
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `zadig-operator crds | head` is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

fn print_crds(config: &CrdsConfig) -> anyhow::Result<()> {
    let Some(folder) = &config.output_dir else {
        return print(&crds::documents()?);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in crds::files()? {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
