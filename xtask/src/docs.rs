//! `cargo xtask docs`: the documentation site, built by mdBook into `target/docs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::paths;
use xtask::site::Site;
use xtask::site::faults::faults;

use crate::cargo::{Tool, run};

/// Pinned, as another version may name headings in another way.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: Some("0.5.4"),
    arguments: &["--no-default-features", "--features", "search"],
};

/// Builds the site and says where it is.
pub(crate) fn build() -> Result<()> {
    build_with(&mdbook()?)
}

/// mdBook, installed if need be.
pub(crate) fn mdbook() -> Result<PathBuf> {
    MDBOOK.found_or_installed()
}

/// Builds the site with this mdBook.
pub(crate) fn build_with(mdbook: &Path) -> Result<()> {
    let site = Site::load()?;
    let faults = faults(&site);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    let output = paths::target().join("docs");
    let mut command = Command::new(mdbook);
    command
        .arg("build")
        .arg(paths::workspace().join("docs"))
        .arg("--dest-dir")
        .arg(&output);
    run(command)?;
    check_anchors(&site, &output)?;
    println!("{}", output.join("index.html").display());
    Ok(())
}

/// Links are checked against names of headings that we make as mdBook does; here it shows whether it did.
fn check_anchors(site: &Site, output: &Path) -> Result<()> {
    let mut missing = Vec::new();
    for (path, page) in &site.pages {
        let file = output.join(path).with_extension("html");
        let html = fs::read_to_string(&file)
            .with_context(|| format!("mdbook made no {}", file.display()))?;
        let anchors = page.headings.iter().map(|heading| &heading.anchor);
        let lost = anchors.filter(|anchor| !html.contains(&format!("id=\"{anchor}\"")));
        missing.extend(lost.map(|anchor| format!("{}#{anchor}", path.display())));
    }
    if !missing.is_empty() {
        bail!(
            "mdbook names headings in another way: {}",
            missing.join(", ")
        );
    }
    Ok(())
}
