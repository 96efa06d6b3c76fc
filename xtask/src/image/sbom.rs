//! What is in the program, as a CycloneDX document: every crate that is linked in, the C library, and the roots beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use xtask::paths;

use super::PROGRAM;
use super::oci::hex;
use crate::cargo::cargo;

/// The document.
pub(super) fn write(target: &str, version: &str, time: Timestamp) -> Result<String> {
    let tree = cargo_tree(target)?;
    let lock = fs::read_to_string(paths::workspace().join("Cargo.lock"))?;
    let document = document(
        &Graph::read(&tree)?,
        &checksums(&lock),
        version,
        time,
        c_library().as_ref(),
    );
    Ok(format!("{document:#}\n"))
}

/// What is linked into the program: no build scripts, no macros, no tests.
fn cargo_tree(target: &str) -> Result<String> {
    let mut command = cargo(&["tree", "--locked", "--package", PROGRAM, "--target", target]);
    command.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "depth",
        "--format",
        "\t{p}\t{l}\t",
    ]);
    let output = command.output().context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

type Crate = (String, String);

/// Crates with their licences, and which needs which.
#[derive(Debug, Default, Eq, PartialEq)]
struct Graph {
    licences: BTreeMap<Crate, String>,
    needs: BTreeMap<Crate, BTreeSet<Crate>>,
}

impl Graph {
    /// Reads lines of depth, name with version and place, and licence.
    fn read(tree: &str) -> Result<Self> {
        let mut graph = Self::default();
        let mut above: Vec<Crate> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let parts: Vec<&str> = line.split('\t').collect();
            let [depth, name, licence, _] = parts[..] else {
                bail!("cargo tree prints {line:?}");
            };
            let mut words = name.split_whitespace();
            let (Some(name), Some(version)) = (words.next(), words.next()) else {
                bail!("cargo tree prints {line:?}");
            };
            let found = (name.to_owned(), version.trim_start_matches('v').to_owned());
            above.truncate(depth.parse()?);
            if let Some(parent) = above.last() {
                graph
                    .needs
                    .entry(parent.clone())
                    .or_default()
                    .insert(found.clone());
            }
            // The old way to write a choice.
            let licence = licence.replace('/', " OR ");
            graph.licences.insert(found.clone(), licence);
            above.push(found);
        }
        Ok(graph)
    }
}

/// SHA-256 of every crate from a registry.
fn checksums(lock: &str) -> BTreeMap<Crate, String> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            let start = format!("{key} = \"");
            let mut lines = package.lines();
            lines.find_map(|line| Some(line.strip_prefix(&start)?.strip_suffix('"')?.to_owned()))
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name"), value("version"), value("checksum"))
        {
            found.insert((name, version), sum);
        }
    }
    found
}

/// Name and version of the C library that is linked in.
fn c_library() -> Option<Crate> {
    let output = Command::new("ldd").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.lines().next()?.split_whitespace().last()?.to_owned();
    Some(("glibc".to_owned(), version))
}

fn document(
    graph: &Graph,
    checksums: &BTreeMap<Crate, String>,
    version: &str,
    time: Timestamp,
    c_library: Option<&Crate>,
) -> Value {
    let reference = |(name, version): &Crate| format!("pkg:cargo/{name}@{version}");
    let this = (PROGRAM.to_owned(), version.to_owned());
    let mut components: Vec<Value> = Vec::new();
    for (found, licence) in graph.licences.iter().filter(|(found, _)| **found != this) {
        let mut component = json!({
            "type": "library",
            "bom-ref": reference(found),
            "name": found.0,
            "version": found.1,
            "purl": reference(found),
            "scope": "required",
        });
        if !licence.is_empty() {
            component["licenses"] = json!([{"expression": licence}]);
        }
        if let Some(sum) = checksums.get(found) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
        }
        components.push(component);
    }
    let mut needed: Vec<String> = graph
        .needs
        .get(&this)
        .into_iter()
        .flatten()
        .map(&reference)
        .collect();
    if let Some((name, version)) = c_library {
        let reference = format!("pkg:generic/{name}@{version}");
        components.push(json!({
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": version,
            "purl": reference,
            "scope": "required",
            "licenses": [{"expression": "LGPL-2.1-or-later"}],
        }));
        needed.push(reference);
    }
    let mut dependencies = vec![json!({"ref": reference(&this), "dependsOn": needed})];
    for found in graph.licences.keys().filter(|found| **found != this) {
        let needed: Vec<String> = graph
            .needs
            .get(found)
            .into_iter()
            .flatten()
            .map(&reference)
            .collect();
        dependencies.push(json!({"ref": reference(found), "dependsOn": needed}));
    }
    let content = json!([components, dependencies]).to_string();
    let sum = hex(content.as_bytes());
    // A UUID that says by its version that it was made up by us, from what it names.
    let uuid = format!(
        "{}-{}-8{}-8{}-{}",
        &sum[..8],
        &sum[8..12],
        &sum[13..16],
        &sum[17..20],
        &sum[20..32]
    );
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{uuid}"),
        "version": 1,
        "metadata": {
            "timestamp": time.to_string(),
            "component": {
                "type": "application",
                "bom-ref": reference(&this),
                "name": PROGRAM,
                "version": version,
                "purl": reference(&this),
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0\tzadig-operator v0.1.0 (/src)\tApache-2.0\t\n1\ta v1.0.0\tMIT/Apache-2.0\t\n2\tb v2.0.0\tMIT\t\n1\tb v2.0.0\tMIT\t (*)\n";
    const LOCK: &str = "[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"abc\"\n\n[[package]]\nname = \"zadig-operator\"\nversion = \"0.1.0\"\n";

    #[test]
    fn every_crate_is_named_with_licence_checksum_and_what_needs_it() {
        let graph = Graph::read(TREE).unwrap();
        let time = Timestamp::from_second(1_764_000_000).unwrap();
        let library = Some(("glibc".to_owned(), "2.36".to_owned()));
        let document = document(&graph, &checksums(LOCK), "0.1.0", time, library.as_ref());
        let of = |field: &str| {
            let components = document["components"].as_array().unwrap().iter();
            components
                .map(|component| component[field].clone())
                .collect::<Value>()
        };
        let expected = [
            "pkg:cargo/a@1.0.0",
            "pkg:cargo/b@2.0.0",
            "pkg:generic/glibc@2.36",
        ];
        assert_eq!(of("purl"), json!(expected));
        let licences = ["MIT OR Apache-2.0", "MIT", "LGPL-2.1-or-later"];
        assert_eq!(
            of("licenses"),
            json!(licences.map(|licence| json!([{"expression": licence}])))
        );
        assert_eq!(
            of("hashes"),
            json!([null, [{"alg": "SHA-256", "content": "abc"}], null])
        );
        assert_eq!(
            document["dependencies"],
            json!([
                {"ref": "pkg:cargo/zadig-operator@0.1.0", "dependsOn": expected},
                {"ref": "pkg:cargo/a@1.0.0", "dependsOn": ["pkg:cargo/b@2.0.0"]},
                {"ref": "pkg:cargo/b@2.0.0", "dependsOn": []},
            ])
        );
    }

    #[test]
    fn the_tree_of_the_real_program_can_be_read() {
        let graph = Graph::read(&cargo_tree("x86_64-unknown-linux-gnu").unwrap()).unwrap();
        let names: BTreeSet<&str> = graph
            .licences
            .keys()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(
            names.contains("kube-client") && names.contains("zadig-client"),
            "{names:?}"
        );
        assert!(
            !names.contains("serde_derive") && !names.contains("insta"),
            "{names:?}"
        );
    }
}
