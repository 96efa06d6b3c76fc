//! What is generated equals what the code says: `crds/` and its copies in the chart and in `deploy/`, what Argo CD is told of our
//! kinds, pages of the manual, and `docs/coverage.md` with what it is made from.
//!
//! `cargo xtask generate` writes the files; here a stale one fails with what is different.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use similar::TextDiff;
use xtask::argocd;
use xtask::coverage::{self, Coverage};
use xtask::reference;
use xtask::site::Site;
use zadig_client::ROUTES;
use zadig_operator::api::condition::Reason;
use zadig_operator::config::Cli;
use zadig_operator::{crds, telemetry};

#[test]
fn the_definitions_are_those_of_the_types_wherever_they_are() {
    let wanted: BTreeMap<String, String> = crds::files()
        .unwrap()
        .into_iter()
        .map(|file| (file.name, file.text))
        .collect();
    for dir in [
        "crds",
        "charts/zadig-operator/files/crds",
        "deploy/base/crds",
    ] {
        let found: BTreeMap<String, String> = fs::read_dir(Path::new(dir))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .filter(|(name, _)| {
                Path::new(name)
                    .extension()
                    .is_some_and(|kind| kind == "yaml")
            })
            .collect();
        assert!(
            wanted == found,
            "{dir}/ is stale; run `cargo xtask generate`\n{}",
            difference(&found, &wanted)
        );
    }
}

fn difference(found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .map(|name| {
            let text = |files: &BTreeMap<String, String>| files.get(name).cloned();
            TextDiff::from_lines(
                text(found).unwrap_or_default(),
                text(wanted).unwrap_or_default(),
            )
            .unified_diff()
            .header(name, "what is generated")
            .to_string()
        })
        .collect()
}

#[test]
fn what_argo_cd_is_told_is_that_of_its_scripts() {
    let definitions = crds::files().unwrap();
    let wanted = argocd::files(definitions.iter().map(|file| file.text.as_str())).unwrap();
    let named = |(path, text): (PathBuf, String)| (path.display().to_string(), text);
    let wanted: BTreeMap<String, String> = wanted.into_iter().map(named).collect();
    let mut found = BTreeMap::new();
    let mut folders = vec![argocd::customizations()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.extend([named((path.clone(), fs::read_to_string(&path).unwrap()))]);
            }
        }
    }
    let map = argocd::config_map();
    found.extend([named((map.clone(), fs::read_to_string(&map).unwrap()))]);
    assert!(
        wanted == found,
        "deploy/argocd is stale; run `cargo xtask generate`\n{}",
        difference(&found, &wanted)
    );
}

#[test]
fn a_stale_file_is_shown_line_by_line() {
    let file = |text: &str| BTreeMap::from([("a.yaml".to_owned(), text.to_owned())]);
    assert_eq!(
        difference(&file("a: 1\nb: 2\n"), &file("a: 1\nb: 3\n")),
        "--- a.yaml\n+++ what is generated\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
    );
}

#[test]
fn the_document_of_the_metrics_is_that_of_their_table() {
    let found = fs::read_to_string("docs/src/reference/metrics.md").unwrap_or_default();
    let wanted = telemetry::document();
    let file = |text: &str| BTreeMap::from([("metrics.md".to_owned(), text.to_owned())]);
    assert!(
        wanted == found,
        "docs/src/reference/metrics.md is stale; run `cargo xtask generate`\n{}",
        difference(&file(&found), &file(&wanted))
    );
}

#[test]
fn the_document_of_the_coverage_is_that_of_its_table() {
    let wanted = Coverage::load().unwrap().document();
    let found = fs::read_to_string(coverage::DOCUMENT).unwrap_or_default();
    let file = |text: &str| BTreeMap::from([("coverage.md".to_owned(), text.to_owned())]);
    assert!(
        wanted == found,
        "{} is stale; run `cargo xtask generate`\n{}",
        coverage::DOCUMENT,
        difference(&file(&found), &file(&wanted))
    );
}

#[test]
fn the_pages_of_the_manual_are_those_of_the_types_and_every_reason_is_explained() {
    let definitions: Vec<serde_json::Value> = crds::files()
        .unwrap()
        .iter()
        .map(|file| serde_saphyr::from_str(&file.text).unwrap())
        .collect();
    let reasons = serde_json::to_value(schemars::schema_for!(Reason)).unwrap();
    let wanted = reference::pages(&definitions, Cli::command(), &reasons).unwrap();
    let found: BTreeMap<String, String> = wanted
        .keys()
        .map(|name| {
            let path = Path::new(reference::DIRECTORY).join(name);
            (name.clone(), fs::read_to_string(path).unwrap_or_default())
        })
        .collect();
    assert!(
        wanted == found,
        "{}/ is stale; run `cargo xtask generate`\n{}",
        reference::DIRECTORY,
        difference(&found, &wanted)
    );
}

#[test]
fn every_call_of_the_operator_in_the_manual_is_one() {
    let site = Site::load().unwrap();
    let mut count = 0;
    for (place, words) in site.calls("zadig-operator") {
        count += 1;
        let words = ["zadig-operator".to_owned()].into_iter().chain(words);
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{place}: {error}");
        }
    }
    assert!(count > 0, "none was found");
}

#[test]
fn the_coverage_is_about_the_routes_of_the_client() {
    let read: Vec<(u8, String, String, String)> = Coverage::load()
        .unwrap()
        .0
        .into_iter()
        .map(|(route, _)| (route.number, route.verb, route.path, route.operation))
        .collect();
    let known: Vec<(u8, String, String, String)> = ROUTES
        .iter()
        .map(|route| {
            let [verb, path, operation] = [route.verb.as_str(), route.path, route.operation];
            (
                route.number,
                verb.to_owned(),
                path.to_owned(),
                operation.to_owned(),
            )
        })
        .collect();
    assert_eq!(read, known);
}

#[test]
fn every_scenario_that_the_coverage_names_is_there() {
    let missing: Vec<String> = Coverage::load()
        .unwrap()
        .0
        .into_iter()
        .filter_map(|(_, entry)| entry.test)
        .filter(|test| {
            let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
            let file = format!("tests/cluster/{}.rs", module.replace("::", "/"));
            let text = fs::read_to_string(file).unwrap_or_default();
            !text.contains(&format!("\n#[test]\nfn {name}()"))
        })
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
