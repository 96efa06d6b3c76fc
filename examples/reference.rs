//! Writes the pages of the documentation that follow from the operator's own types into a folder: `cargo xtask generate` calls it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use zadig_operator::api::condition::Reason;
use zadig_operator::config::Cli;
use zadig_operator::crds;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("name the folder to write into")?;
    let definitions = crds::files()?
        .iter()
        .map(|file| serde_saphyr::from_str(&file.text))
        .collect::<Result<Vec<_>, _>>()?;
    let reasons = serde_json::to_value(schemars::schema_for!(Reason))?;
    for (name, text) in xtask::reference::pages(&definitions, Cli::command(), &reasons)? {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
