//! Replays a recording against a fresh simulator and prints one line per difference and a summary.
//!
//! Ends with 0 without differences, 1 with some, 2 if the input cannot be used. What counts as a difference is decided in
//! `zadig_sim::replay`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use zadig_sim::replay::{self, Input};

/// Replays a recording of a real Zadig against a fresh simulator.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Arguments {
    /// The recording: one JSON object a line.
    file: PathBuf,
    /// The folder with the state before the first record [default: seed beside FILE].
    #[arg(long, value_name = "DIR")]
    seed: Option<PathBuf>,
    /// What happened outside the exchanges [default: actions.yaml beside FILE].
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments {
        file,
        seed,
        actions,
    } = Arguments::parse();
    let mut input = Input::beside(file);
    if let Some(actions) = &actions
        && !actions.is_file()
    {
        eprintln!("error: no such file: {}", actions.display());
        return ExitCode::from(2);
    }
    input.seed = seed.unwrap_or(input.seed);
    input.actions = actions.unwrap_or(input.actions);
    match replay::run(&input).await {
        Ok(report) => {
            for (name, why) in &report.skipped {
                eprintln!("note: {name} is left out: {why}");
            }
            println!("{report}");
            if report.differences.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with all its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
