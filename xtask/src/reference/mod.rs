//! Pages of the site that follow from code: one for each kind from its definition, the commands from clap, the reasons from
//! their type and `docs/reasons.yaml`.
//!
//! The operator's example `reference` calls [`pages`] with its own types and writes what comes of it; a test does the same and
//! compares. So this knows definitions, commands and schemas, and not the operator.

mod commands;
mod kind;
mod reasons;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

/// First line of every page.
const HEADER: &str = "<!-- Made by `cargo xtask generate`; do not edit. -->\n\n";

/// Directory of the generated pages within the workspace.
pub const DIRECTORY: &str = "docs/src/reference";

/// The pages by name, each as its text.
///
/// # Errors
/// When a definition has no form that can be told, when samples or reasons cannot be read, or when they do not fit the types.
pub fn pages(
    definitions: &[Value],
    command: clap::Command,
    reasons: &Value,
) -> Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::from([
        ("commands.md".to_owned(), commands::page(command)),
        ("reasons.md".to_owned(), reasons::page(reasons)?),
    ]);
    for definition in definitions {
        let (name, text) = kind::page(definition)?;
        pages.insert(name, text);
    }
    for text in pages.values_mut() {
        text.insert_str(0, HEADER);
    }
    Ok(pages)
}

/// A row of a table; what is in the cells cannot end them.
fn row(table: &mut String, cells: &[&str]) {
    for cell in cells {
        let cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(table, "| {} ", cell.replace('|', "\\|"));
    }
    table.push_str("|\n");
}

/// The head of a table.
fn head(table: &mut String, cells: &[&str]) {
    row(table, cells);
    row(table, &vec!["---"; cells.len()]);
}

/// A sentence of a doc comment as Markdown: what looks like HTML outside of code is text.
fn prose(text: &str) -> String {
    let mut shown = String::new();
    for (number, part) in text.split('`').enumerate() {
        if number > 0 {
            shown.push('`');
        }
        if number % 2 == 0 {
            shown.push_str(&part.replace('<', "&lt;"));
        } else {
            shown.push_str(part);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_bars_lines_and_angle_brackets() {
        let mut table = String::new();
        head(&mut table, &["a", "b"]);
        row(&mut table, &[&prose("`<x>` <y>"), "one\n| two"]);
        assert_eq!(
            table,
            "| a | b |\n| --- | --- |\n| `<x>` &lt;y> | one \\| two |\n"
        );
    }
}
