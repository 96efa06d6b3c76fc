//! The simulator as a program.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use zadig_sim::{FaultRule, Level, Licence, Options, Pace, Seed, Sim, serve};

/// A Zadig that fits in a test: answers Zadig's environment OpenAPI from memory.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The state at the start: a seed.yaml, or the folder that holds one.
    #[arg(long)]
    seed: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The release to behave like: 4.2, 4.3 or 5.0. Default: the seed's, else 4.2.
    #[arg(long)]
    level: Option<Level>,
    /// The licence: none, professional, enterprise or unreachable. Default: the seed's, else professional.
    #[arg(long)]
    licence: Option<Licence>,
    /// Added to each answer, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// How fast transitions are: fast, real, or a factor such as 0.1.
    #[arg(long, default_value = "real")]
    pace: Pace,
    /// A fault rule as JSON; may be repeated.
    #[arg(long)]
    fault: Vec<String>,
    /// Print a token of this user of the seed as the second line.
    #[arg(long)]
    print_token: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let seed = Seed::load(&cli.seed)?;
    let options = Options {
        level: cli.level,
        licence: cli.licence,
        pace: cli.pace,
        latency: Duration::from_millis(cli.latency_ms),
        ..Options::default()
    };
    let sim = Sim::new(&seed, options);
    for rule in &cli.fault {
        let rule: FaultRule = serde_json::from_str(rule)
            .with_context(|| format!("cannot read the fault rule {rule}"))?;
        sim.fault(rule);
    }
    let token = match &cli.print_token {
        Some(user) => Some(
            sim.token(user)
                .with_context(|| format!("the seed has no user {user}"))?,
        ),
        None => None,
    };
    let listener = TcpListener::bind(cli.listen)
        .await
        .with_context(|| format!("cannot listen on {}", cli.listen))?;
    let mut running = serve(listener, sim)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", running.url)?;
    if let Some(token) = token {
        writeln!(out, "{token}")?;
    }
    out.flush()?;
    tokio::select! {
        () = running.ended() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
