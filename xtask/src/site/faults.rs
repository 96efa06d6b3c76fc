//! What is wrong with the site: pages that nobody finds, links and file names that lead nowhere, translations that went apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Page, SOURCES, SUMMARY, Site, outward, resolve};
use crate::paths;

/// Pages that say the same in another language, by path within the sources.
pub const TRANSLATED: [(&str, &str); 2] = [
    ("start.md", "zh/start.md"),
    ("concepts.md", "zh/concepts.md"),
];

/// Directories whose files are named in the text.
const NAMED: [&str; 8] = [
    "charts/", "crates/", "crds/", "deploy/", "docs/", "src/", "tests/", "xtask/",
];

/// Everything that is wrong, each as a sentence that begins with the file.
#[must_use]
pub fn faults(site: &Site) -> Vec<String> {
    let mut faults = contents(site);
    for (path, page) in &site.pages {
        faults.extend(links(site, path, page));
        faults.extend(names(path, page));
        let html = page.html.iter();
        faults.extend(html.map(|line| said(path, *line, "is HTML, where text was meant")));
        if page.headings.first().map(|first| first.level) != Some(1) {
            faults.push(said(path, 1, "begins with no heading"));
        }
    }
    for (path, document) in &site.documents {
        faults.extend(leads(paths::workspace(), path, document));
    }
    match outward::unserved(paths::workspace()) {
        Ok(unserved) => faults.extend(unserved),
        Err(error) => faults.push(format!("not all files can be read: {error:#}")),
    }
    for (original, translation) in TRANSLATED {
        faults.extend(apart(site, original, translation));
    }
    faults
}

fn said(path: &Path, line: usize, what: &str) -> String {
    format!("{SOURCES}/{}:{line}: {what}", path.display())
}

/// Every page is in the table of contents, once, and nothing else is.
fn contents(site: &Site) -> Vec<String> {
    let mut listed: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for link in &site.summary.links {
        *listed.entry(PathBuf::from(&link.target)).or_default() += 1;
    }
    let twice = listed
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|(page, _)| format!("{SOURCES}/{SUMMARY}: lists {} twice", page.display()));
    let missing = listed
        .keys()
        .filter(|page| !site.pages.contains_key(*page))
        .map(|page| format!("{SOURCES}/{SUMMARY}: there is no {}", page.display()));
    let unlisted = site
        .pages
        .keys()
        .filter(|page| !listed.contains_key(*page))
        .map(|page| format!("{SOURCES}/{}: is not in {SUMMARY}", page.display()));
    twice.chain(missing).chain(unlisted).collect()
}

fn links(site: &Site, path: &Path, page: &Page) -> Vec<String> {
    let wrong = page.links.iter().filter_map(|link| {
        let problem = match link.target.split_once(':') {
            Some(("https" | "mailto", _)) => outward::problem(&link.target)?.to_owned(),
            Some(_) => "is neither a page nor https".to_owned(),
            None => problem(site, path, page, &link.target)?,
        };
        Some(said(path, link.line, &format!("{} {problem}", link.target)))
    });
    wrong.collect()
}

fn problem(site: &Site, path: &Path, page: &Page, link: &str) -> Option<String> {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let target = if file.is_empty() {
        page
    } else {
        let Some(place) = resolve(path, file) else {
            return Some("leads out of the site".to_owned());
        };
        match site.pages.get(&place) {
            Some(target) => target,
            None => return Some("is no page".to_owned()),
        }
    };
    let anchor = anchor?;
    let found = target
        .headings
        .iter()
        .any(|heading| heading.anchor == anchor);
    (!found).then(|| "names no heading there".to_owned())
}

/// Links of a document lead to files of the repository, and to headings where they are pages.
fn leads(root: &Path, path: &Path, document: &Page) -> Vec<String> {
    let wrong = document.links.iter().filter_map(|link| {
        let (file, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
        let (place, line) = (path.display(), link.line);
        if file.contains(':') {
            let problem = outward::problem(&link.target)?;
            return Some(format!("{place}:{line}: {} {problem}", link.target));
        }
        let target = match file {
            "" => root.join(path),
            file => root.join(path).parent()?.join(file),
        };
        let is_there = if anchor.is_empty() {
            target.exists()
        } else {
            let text = fs::read_to_string(&target).unwrap_or_default();
            let headings = Page::parse(&text).headings;
            headings.iter().any(|heading| heading.anchor == anchor)
        };
        let target = &link.target;
        (!is_there).then(|| format!("{place}:{line}: {target} leads nowhere"))
    });
    wrong.collect()
}

/// Files of the repository that a page names are there.
fn names(path: &Path, page: &Page) -> Vec<String> {
    let words = page.headings.iter().flat_map(|heading| &heading.words);
    let missing = words.filter(|word| {
        let is_named = NAMED.iter().any(|dir| word.starts_with(dir));
        let is_pattern = word.contains(['*', '{', '<', ' ', '…']);
        is_named && !is_pattern && !paths::workspace().join(word).exists()
    });
    missing
        .map(|word| {
            said(
                path,
                1,
                &format!("names {word}, which is not in the repository"),
            )
        })
        .collect()
}

/// A translation has the same headings by level, the same blocks of code but for comments, and the same words of code below each heading.
fn apart(site: &Site, original: &str, translation: &str) -> Vec<String> {
    let both = (
        site.pages.get(Path::new(original)),
        site.pages.get(Path::new(translation)),
    );
    let (Some(one), Some(other)) = both else {
        return vec![format!(
            "{SOURCES}: {original} and {translation} go together"
        )];
    };
    let fault = |what: String| format!("{SOURCES}/{translation}: unlike {original}, {what}");
    let mut faults = Vec::new();
    let levels = |page: &Page| page.headings.iter().map(|it| it.level).collect::<Vec<_>>();
    if levels(one) != levels(other) {
        faults.push(fault("it has other headings".to_owned()));
        return faults;
    }
    for (one, other) in one.headings.iter().zip(&other.headings) {
        let difference: BTreeSet<&String> = one.words.symmetric_difference(&other.words).collect();
        if !difference.is_empty() {
            let at = &one.text;
            faults.push(fault(format!(
                "below \"{at}\" only one names {difference:?}"
            )));
        }
    }
    if one.blocks.len() != other.blocks.len() {
        faults.push(fault("it has more or fewer blocks of code".to_owned()));
    }
    for (one, other) in one.blocks.iter().zip(&other.blocks) {
        let same = one.language == other.language
            && without_comments(&one.text) == without_comments(&other.text);
        if !same {
            let (at, here) = (one.line, other.line);
            faults.push(fault(format!(
                "the block of line {at} is another one in line {here}"
            )));
        }
    }
    faults
}

fn without_comments(code: &str) -> Vec<&str> {
    let lines = code.lines().map(|line| match line.split_once('#') {
        Some((before, _)) if before.is_empty() || before.ends_with(' ') => before.trim_end(),
        _ => line.trim_end(),
    });
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(summary: &str, pages: &[(&str, &str)]) -> Site {
        Site {
            summary: Page::parse(summary),
            pages: pages
                .iter()
                .map(|(path, text)| (PathBuf::from(path), Page::parse(text)))
                .collect(),
            documents: BTreeMap::new(),
        }
    }

    #[test]
    fn this_site_is_whole() {
        let site = Site::load().unwrap();
        assert_eq!(faults(&site), [""; 0]);
        assert!(
            site.pages.len() > 10,
            "{} pages were found",
            site.pages.len()
        );
    }

    #[test]
    fn a_page_is_listed_once_and_what_is_listed_is_there() {
        let site = site(
            "- [a](a.md)\n- [a](a.md)\n- [c](c.md)\n",
            &[("a.md", "# A"), ("b.md", "# B")],
        );
        assert_eq!(
            contents(&site),
            [
                "docs/src/SUMMARY.md: lists a.md twice",
                "docs/src/SUMMARY.md: there is no c.md",
                "docs/src/b.md: is not in SUMMARY.md",
            ]
        );
    }

    #[test]
    fn a_link_leads_to_a_page_and_to_a_heading_of_it() {
        let text = "# A\n\n[](b.md#b) [](#a) [](https://github.com) [](#c)\n\n[](b.md#c) [](c.md) [](../../README.md)\n\n[](http://github.com) [](https://zadig)\n";
        let site = site("", &[("a.md", text), ("b.md", "# B")]);
        let path = Path::new("a.md");
        assert_eq!(
            links(&site, path, &site.pages[path]),
            [
                "docs/src/a.md:3: #c names no heading there",
                "docs/src/a.md:5: b.md#c names no heading there",
                "docs/src/a.md:5: c.md is no page",
                "docs/src/a.md:5: ../../README.md leads out of the site",
                "docs/src/a.md:7: http://github.com is neither a page nor https",
                "docs/src/a.md:7: https://zadig leads to nobody on the internet",
            ]
        );
    }

    #[test]
    fn a_document_leads_to_files_and_headings() {
        let text = "# A\n\n[](docs/src/concepts.md#helm) [](LICENSE) [](#a) [](https://github.com) [](http://github.com)\n\n[](docs/none.md) [](docs/src/concepts.md#none)\n";
        assert_eq!(
            leads(
                paths::workspace(),
                Path::new("README.md"),
                &Page::parse(text)
            ),
            [
                "README.md:3: #a leads nowhere",
                "README.md:3: http://github.com is not written as an address is",
                "README.md:5: docs/none.md leads nowhere",
                "README.md:5: docs/src/concepts.md#none leads nowhere",
            ]
        );
    }

    #[test]
    fn a_file_that_is_named_is_there() {
        let page = Page::parse("# A\n\n`crds/` `tests/none.rs` `deploy/*.yaml` `none/at/all`\n");
        assert_eq!(
            names(Path::new("a.md"), &page),
            ["docs/src/a.md:1: names tests/none.rs, which is not in the repository"]
        );
    }

    #[test]
    fn a_translation_has_the_same_headings_words_and_blocks() {
        let one = "# A\n\n`x` `y`\n\n```sh\n# say\nls  # all\n```\n\n```sh\nrm\n```\n";
        let other = "# 甲\n\n`x`\n\n```sh\nls  # 全部\n```\n\n```sh\nmv\n```\n";
        let both = site("", &[("start.md", one), ("zh/start.md", other)]);
        assert_eq!(
            apart(&both, "start.md", "zh/start.md"),
            [
                "docs/src/zh/start.md: unlike start.md, below \"A\" only one names {\"y\"}",
                "docs/src/zh/start.md: unlike start.md, the block of line 10 is another one in line 9",
            ]
        );
        let more = site("", &[("start.md", one), ("zh/start.md", "# 甲\n## 乙\n")]);
        assert_eq!(
            apart(&more, "start.md", "zh/start.md"),
            ["docs/src/zh/start.md: unlike start.md, it has other headings"]
        );
    }
}
