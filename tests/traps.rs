//! Each trap of Zadig's API has a test by its number: `z14_07_…` for the dangers of Z§14, `z9_03_…` for the quirks of production.
//!
//! The sources are read, not a list of names: whoever takes the last test of a trap away is told here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The dangers that Z§14 numbers.
const DANGERS: u32 = 29;

/// The quirks of production environments that Z§9 numbers.
const QUIRKS: u32 = 16;

/// Names of the test functions in all sources of the workspace.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["src", "crates", "tests", "xtask/src"] {
        collect(Path::new(folder), &mut found);
    }
    assert!(found.len() > 500, "only {} tests were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.extend(in_source(&fs::read_to_string(&path).expect("a source")));
        }
    }
}

/// The functions that carry an attribute for tests.
fn in_source(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let name = line.trim_start_matches("async ").strip_prefix("fn ");
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let (true, Some(name)) = (is_test, name) {
            let name = name.split('(').next();
            found.extend(name.map(str::to_owned));
            is_test = false;
        }
    }
    found
}

/// The numbers under a section that tests are named after, with one of the tests.
fn numbers(tests: &BTreeSet<String>, section: &str) -> BTreeMap<u32, String> {
    let numbered = tests.iter().filter_map(|name| {
        let rest = name.strip_prefix(section)?;
        let number = rest.split('_').next()?.parse().ok()?;
        Some((number, name.clone()))
    });
    numbered.collect()
}

/// That every number up to `last` has a test, and no other number has one.
fn are_covered(section: &str, last: u32) {
    let found = numbers(&tests(), section);
    let missing: Vec<u32> = (1..=last)
        .filter(|number| !found.contains_key(number))
        .collect();
    assert_eq!(
        missing, [0_u32; 0],
        "no test is named {section}NN_… after these"
    );
    let unknown: Vec<&String> = found
        .iter()
        .filter(|(number, _)| !(1..=last).contains(number))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(
        unknown,
        Vec::<&String>::new(),
        "the list has no such number"
    );
}

#[test]
fn every_danger_has_a_test_by_its_number() {
    are_covered("z14_", DANGERS);
}

#[test]
fn every_quirk_of_production_has_a_test_by_its_number() {
    are_covered("z9_", QUIRKS);
}

#[test]
fn a_test_is_found_by_its_attribute_and_nothing_else_is() {
    let text = "#[test]\n#[should_panic]\nfn z14_03_a() {}\nfn z14_04_b() {}\n#[tokio::test]\nasync fn z14_05_c() {}\n// fn z14_06_d()\n";
    assert_eq!(in_source(text), ["z14_03_a", "z14_05_c"]);
    let tests = in_source(text).into_iter().collect();
    assert_eq!(
        numbers(&tests, "z14_").into_keys().collect::<Vec<_>>(),
        [3, 5]
    );
}
