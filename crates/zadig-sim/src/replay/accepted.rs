//! The list of differences in which the recording is right and the simulator differs by choice.
//!
//! Every entry needs a reason; an entry that no longer matches is itself a difference, so the list cannot rot.

use std::path::Path;

use serde::Deserialize;

use super::{Difference, ReplayError};

/// One accepted difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The record.
    name: String,
    /// Where, exactly as the tool prints it.
    path: String,
    /// Why the simulator differs all the same.
    reason: String,
}

/// The accepted differences of a recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepted(Vec<Entry>);

impl Accepted {
    /// Reads the list; a missing file is an empty one.
    pub(crate) fn read(path: &Path) -> Result<Self, ReplayError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => {
                return Err(ReplayError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::parse(&text).map_err(|what| ReplayError::Beside {
            path: path.to_owned(),
            what,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let entries: Option<Vec<Entry>> =
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let entries = entries.unwrap_or_default();
        match entries.iter().find(|entry| entry.reason.trim().is_empty()) {
            Some(entry) => Err(format!("{}: {}: no reason", entry.name, entry.path)),
            None => Ok(Self(entries)),
        }
    }

    /// Removes what is accepted and adds what is listed without need.
    pub(crate) fn apply(&self, differences: Vec<Difference>) -> Vec<Difference> {
        let matches = |entry: &Entry, difference: &Difference| {
            entry.name == difference.name && entry.path == difference.path
        };
        let stale: Vec<_> = self
            .0
            .iter()
            .filter(|entry| {
                !differences
                    .iter()
                    .any(|difference| matches(entry, difference))
            })
            .map(|entry| {
                Difference::new(
                    &entry.name,
                    &entry.path,
                    "is listed as accepted but does not differ: remove the entry",
                )
            })
            .collect();
        differences
            .into_iter()
            .filter(|difference| !self.0.iter().any(|entry| matches(entry, difference)))
            .chain(stale)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_difference_is_left_out_and_another_one_stays() {
        let accepted = Accepted::parse("- {name: a, path: status, reason: by choice}\n").unwrap();
        let other = Difference::new("a", "body", "expected 1, got 2");
        assert_eq!(
            accepted.apply(vec![
                Difference::new("a", "status", "expected 1, got 2"),
                other.clone()
            ]),
            vec![other]
        );
    }

    #[test]
    fn an_entry_that_is_not_needed_is_a_difference() {
        let accepted = Accepted::parse("- {name: a, path: status, reason: by choice}\n").unwrap();
        assert_eq!(
            accepted.apply(Vec::new()),
            vec![Difference::new(
                "a",
                "status",
                "is listed as accepted but does not differ: remove the entry"
            )]
        );
    }

    #[test]
    fn an_entry_needs_a_reason() {
        let refused =
            Accepted::parse("- {name: a, path: status, reason: ''}\n").map(|it| it.0.len());
        assert_eq!(refused, Err("a: status: no reason".to_owned()));
    }

    #[test]
    fn a_list_of_comments_alone_is_empty() {
        assert_eq!(Accepted::parse("# nothing\n").map(|it| it.0.len()), Ok(0));
    }
}
