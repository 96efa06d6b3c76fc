//! What was seen, step by step, in a file that both processes write.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use xtask::console::took;

/// The steps so far.
#[derive(Debug)]
pub(super) struct Record {
    file: PathBuf,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Step {
    name: String,
    passed: bool,
    seconds: f64,
    note: String,
}

impl Record {
    /// An empty record in `dir`.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            file: dir.join("steps.json"),
            steps: Vec::new(),
        }
    }

    /// The record that another process began.
    pub(super) fn continued(dir: &Path) -> Result<Self> {
        let mut record = Self::new(dir);
        record.read_again()?;
        Ok(record)
    }

    /// Reads what another process has added.
    pub(super) fn read_again(&mut self) -> Result<()> {
        self.steps = serde_json::from_slice(&fs::read(&self.file)?)?;
        Ok(())
    }

    /// Does a step; its note is for the table.
    pub(super) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(T, String)>,
    ) -> Result<T> {
        let begun = Instant::now();
        let outcome = work();
        self.add(name, begun, outcome)
    }

    /// The same for work that waits.
    pub(super) async fn wait<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Result<(T, String)>>,
    ) -> Result<T> {
        let begun = Instant::now();
        let outcome = work.await;
        self.add(name, begun, outcome)
    }

    fn add<T>(&mut self, name: &str, begun: Instant, outcome: Result<(T, String)>) -> Result<T> {
        let seconds = begun.elapsed().as_secs_f64();
        let (passed, note) = match &outcome {
            Ok((_, note)) => (true, note.clone()),
            Err(_) => (false, String::new()),
        };
        let word = if passed { "ok" } else { "FAILED" };
        println!("{word:6}  {name}  ({seconds:.1} s)  {note}");
        self.steps.push(Step {
            name: name.to_owned(),
            passed,
            seconds,
            note,
        });
        fs::write(&self.file, serde_json::to_vec(&self.steps)?)?;
        let (value, _) = outcome.with_context(|| name.to_owned())?;
        Ok(value)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let mut total = Duration::ZERO;
        for step in &self.steps {
            let time = Duration::from_secs_f64(step.seconds);
            total += time;
            let word = if step.passed { "ok" } else { "FAILED" };
            table.add_row([&step.name, word, &took(time), &step.note]);
        }
        table.add_row(["total", "", &took(total), ""]);
        write!(f, "{table}")
    }
}
