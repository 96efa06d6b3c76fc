//! Addresses on the internet. Nobody asks them here, as a check is to pass without a network; what is wrong with many of them can be
//! seen without.

use std::fs;
use std::path::Path;

use anyhow::Result;
use reqwest::Url;

/// Host of our API group, annotations and labels, which nobody serves.
const GROUP: &str = "zadig-operator.io";
/// Ends of names that lead nowhere: for examples (RFC 2606), for machines of one network.
const NOWHERE: [&str; 7] = [
    "example",
    "example.com",
    "example.org",
    "invalid",
    "local",
    "localhost",
    "svc",
];

/// What is read by people or handed to them, in files and directories of the workspace; what is made from it is not looked at again.
const HANDED_OUT: [&str; 6] = [
    "charts",
    "crates",
    "deploy",
    "docs",
    "src",
    "tests/alerts.yaml",
];

/// What is wrong with the address that a link leads to, if anything is.
pub(super) fn problem(address: &str) -> Option<&'static str> {
    if address.starts_with("mailto:") {
        return None;
    }
    let Ok(url) = Url::parse(address) else {
        return Some("is no address");
    };
    let Some(name) = url.domain() else {
        return Some("names no host by a name");
    };
    // A parser forgives much that a reader cannot follow.
    let strange = |letter: char| letter.is_whitespace() || "<>{}|\\^`\"".contains(letter);
    if address.contains(strange) || !address.starts_with("https://") {
        return Some("is not written as an address is");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("names a user");
    }
    if is_within(name, GROUP) {
        return Some("is on a host of ours that nobody serves");
    }
    if !name.contains('.') || NOWHERE.iter().any(|end| is_within(name, end)) {
        return Some("leads to nobody on the internet");
    }
    None
}

/// Whether a name is a domain or one beneath it.
fn is_within(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Addresses on the host of our API group in what is handed out: link or not, somebody will ask there.
pub(super) fn unserved(root: &Path) -> Result<Vec<String>> {
    let names = HANDED_OUT.iter().chain(&super::DOCUMENTS);
    let mut rest: Vec<_> = names.map(|name| root.join(name)).collect();
    let mut faults = Vec::new();
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path)?.map(|entry| Ok(entry?.path()));
            rest.extend(entries.collect::<Result<Vec<_>>>()?);
        } else if let Ok(text) = String::from_utf8(fs::read(&path)?) {
            let shown = path.strip_prefix(root)?.display();
            let lines = text.lines().enumerate();
            let wrong = lines.filter(|(_, line)| asks_us(line));
            faults.extend(wrong.map(|(number, line)| {
                let (number, line) = (number + 1, line.trim());
                format!("{shown}:{number}: is on a host of ours that nobody serves: {line}")
            }));
        }
    }
    faults.sort();
    // A document may lie in a directory that is looked at anyway.
    faults.dedup();
    Ok(faults)
}

/// Whether a line has an address on our host: behind `//`, it or a name beneath it.
fn asks_us(line: &str) -> bool {
    let hosts = line.split("//").skip(1).map(|rest| {
        let end =
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !".-".contains(letter));
        &rest[..end.unwrap_or(rest.len())]
    });
    let mut hosts = hosts.map(|host| host.trim_end_matches('.'));
    hosts.any(|host| is_within(host, GROUP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_asking_it() {
        for (address, expected) in [
            ("https://github.com/koderover/zadig", None),
            ("https://keepachangelog.com/en/1.1.0/#a", None),
            ("https://", Some("is no address")),
            ("https://192.0.2.1/x", Some("names no host by a name")),
            ("https:github.com", Some("is not written as an address is")),
            (
                "https://github.com/a b",
                Some("is not written as an address is"),
            ),
            (
                "https://github.com/{tag}",
                Some("is not written as an address is"),
            ),
            ("mailto:us@github.com", None),
            ("https://me@github.com", Some("names a user")),
            (
                "https://zadig-operator.io/docs",
                Some("is on a host of ours that nobody serves"),
            ),
            (
                "https://www.zadig-operator.io",
                Some("is on a host of ours that nobody serves"),
            ),
            ("https://my-zadig-operator.io", None),
            (
                "https://zadig.example.com",
                Some("leads to nobody on the internet"),
            ),
            ("https://zadig", Some("leads to nobody on the internet")),
            (
                "https://kubernetes.default.svc",
                Some("leads to nobody on the internet"),
            ),
        ] {
            assert_eq!(problem(address), expected, "{address}");
        }
    }

    #[test]
    fn our_host_is_found_where_it_is_asked_and_not_where_it_names_a_group() {
        for line in [
            "see https://zadig-operator.io/runbooks/X.html",
            "`http://docs.zadig-operator.io`",
            "https://example.com and https://zadig-operator.io.",
        ] {
            assert!(asks_us(line), "{line}");
        }
        for line in [
            "apiVersion: zadig-operator.io/v1alpha1",
            "// zadig-operator.io/cleanup",
            "http://zadig-operator.zadig-operator.svc:8080/readyz",
            "https://zadig-operator.io.example.com",
            "https://github.com/example/zadig-operator.io",
        ] {
            assert!(!asks_us(line), "{line}");
        }
    }
}
