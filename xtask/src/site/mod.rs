//! The documentation site in `docs/`, as its tests and checks read it: pages with their headings, links and blocks of code.
//!
//! The parser is the one that mdBook uses. What is checked without a network is in [`faults`].

mod anchor;
pub mod faults;
mod outward;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use page::{Block, Heading, Link, Page};

use crate::paths;

/// Path of the site's sources within the workspace.
pub const SOURCES: &str = "docs/src";
/// Name of the table of contents.
pub const SUMMARY: &str = "SUMMARY.md";
/// Documents beside the site, which lead into it.
const DOCUMENTS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "charts/zadig-operator/README.md",
];

/// The pages of the site, by path within its sources.
#[derive(Clone, Debug)]
pub struct Site {
    /// The table of contents.
    pub summary: Page,
    /// All others.
    pub pages: BTreeMap<PathBuf, Page>,
    /// Documents beside the site, by path within the workspace.
    pub documents: BTreeMap<PathBuf, Page>,
}

impl Site {
    /// Reads the site of this workspace.
    ///
    /// # Errors
    /// When a file cannot be read, or includes one that cannot.
    pub fn load() -> Result<Self> {
        let root = paths::workspace().join(SOURCES);
        let mut pages = BTreeMap::new();
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            let entries =
                fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|kind| kind == "md") {
                    let name = path.strip_prefix(&root)?.to_path_buf();
                    pages.insert(name, Page::parse(&with_included(&path)?));
                }
            }
        }
        let summary = pages
            .remove(Path::new(SUMMARY))
            .with_context(|| format!("{SOURCES} has no {SUMMARY}"))?;
        let mut documents = BTreeMap::new();
        for path in DOCUMENTS {
            let text = with_included(&paths::workspace().join(path))?;
            documents.insert(PathBuf::from(path), Page::parse(&text));
        }
        Ok(Self {
            summary,
            pages,
            documents,
        })
    }

    /// Pages and documents, by path within the workspace.
    fn all(&self) -> impl Iterator<Item = (PathBuf, &Page)> {
        let pages = self.pages.iter();
        let pages = pages.map(|(path, page)| (Path::new(SOURCES).join(path), page));
        let documents = self.documents.iter();
        pages.chain(documents.map(|(path, page)| (path.clone(), page)))
    }

    /// The blocks of code of pages and documents in one of these languages, each with where it is.
    pub fn blocks<'a>(
        &'a self,
        languages: &'a [&'a str],
    ) -> impl Iterator<Item = (String, &'a Block)> {
        self.all().flat_map(move |(path, page)| {
            let blocks = page.blocks.iter();
            let wanted = blocks.filter(|block| languages.contains(&block.language.as_str()));
            wanted.map(move |block| (format!("{}:{}", path.display(), block.line), block))
        })
    }

    /// Calls of a program in shell blocks, each with where it is: the words behind its name.
    ///
    /// Read as far as documentation needs it: a line that begins with the name, which may go on after a backslash; what follows a
    /// ` #` is a comment.
    pub fn calls<'a>(
        &'a self,
        program: &'a str,
    ) -> impl Iterator<Item = (String, Vec<String>)> + 'a {
        self.blocks(&["sh"]).flat_map(move |(place, block)| {
            let calls = calls(&block.text, program).into_iter();
            calls.map(move |words| (place.clone(), words))
        })
    }
}

/// Calls of a program in a script, as of [`Site::calls`].
#[must_use]
pub fn calls(script: &str, program: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let rest = line.strip_prefix(program)?;
        let is_whole = rest.is_empty() || rest.starts_with(' ');
        is_whole.then(|| rest.split_whitespace().map(str::to_owned).collect())
    });
    lines.collect()
}

/// The text of a page with what it includes, as mdBook puts it there: whole files, and parts between `ANCHOR` marks.
fn with_included(path: &Path) -> Result<String> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut whole = String::new();
    for line in read(path)?.lines() {
        let included = line
            .trim()
            .strip_prefix("{{#include ")
            .and_then(|rest| rest.strip_suffix("}}"));
        match included.map(|it| it.split_once(':').unwrap_or((it, ""))) {
            Some((file, mark)) => {
                let text = read(&path.parent().unwrap_or(path).join(file))?;
                let part = part(&text, mark)
                    .with_context(|| format!("{}: no {mark} in {file}", path.display()))?;
                whole.push_str(&part);
            }
            None if line.contains("{{#") => {
                bail!(
                    "{}: this is included in no known way: {line}",
                    path.display()
                );
            }
            None => whole.push_str(line),
        }
        whole.push('\n');
    }
    Ok(whole)
}

/// The lines between the marks of a name; all of them without one.
fn part(text: &str, mark: &str) -> Option<String> {
    if mark.is_empty() {
        return Some(text.to_owned());
    }
    let is_mark = |line: &str, kind: &str| {
        let name = line.split_once(kind).map(|(_, rest)| rest.trim());
        name.is_some_and(|name| name.split_whitespace().next() == Some(mark))
    };
    let mut lines = text.lines().skip_while(|line| !is_mark(line, "ANCHOR:"));
    lines.next()?;
    let part: Vec<&str> = lines
        .take_while(|line| !is_mark(line, "ANCHOR_END:"))
        .collect();
    Some(part.join("\n"))
}

/// Where a relative link of a page leads, within the sources; `None` when it leads out of them.
fn resolve(page: &Path, link: &str) -> Option<PathBuf> {
    let mut place: Vec<Component<'_>> = page.parent()?.components().collect();
    for part in Path::new(link).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                place.pop()?;
            }
            Component::Normal(_) => place.push(part),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(place.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_resolved_from_its_page_and_does_not_leave_the_site() {
        let page = Path::new("reference/a.md");
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(resolve(page, "b.md"), path("reference/b.md"));
        assert_eq!(resolve(page, "../start.md"), path("start.md"));
        assert_eq!(resolve(page, "../../README.md"), None);
        assert_eq!(resolve(page, "/etc/hosts"), None);
    }

    #[test]
    fn a_part_is_what_stands_between_its_marks() {
        let text = "a\n<!-- ANCHOR: x -->\nb\nc\n<!-- ANCHOR_END: x -->\nd\n";
        assert_eq!(part(text, "x").as_deref(), Some("b\nc"));
        assert_eq!(part(text, "").as_deref(), Some(text));
        assert_eq!(part(text, "y"), None);
    }

    #[test]
    fn a_call_ends_with_its_line_unless_a_backslash_is_there() {
        let script = "cd x\ncargo xtask demo --keep   # stays\ncargo xtask image \\\n  --repository a\ncargo xtasks\n";
        assert_eq!(
            calls(script, "cargo xtask"),
            [vec!["demo", "--keep"], vec!["image", "--repository", "a"]]
        );
    }
}
