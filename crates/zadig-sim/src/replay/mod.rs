//! Replays a recording of a real Zadig against a fresh simulator and tells the differences.
//!
//! Decides what counts as a difference. It does not know any recording: records are told apart by their
//! path and fields, so that a recording with other names is judged by the same rules. The form of a recording and
//! what in it is bound to the setting it was made in are described in `tests/golden/README.md` ("Replay",
//! "Bound to the setting"); the facts about Zadig are those of Z§4, Z§17 and Z§19.

mod accepted;
mod actions;
mod caller;
mod compare;
mod focus;
mod group;
mod json;
mod model;
mod observe;
mod probe;
mod rules;
mod run;
mod timeline;
mod watch;
mod yaml;

use std::fmt;
use std::path::PathBuf;

pub use self::run::run;

/// What to replay: a recording, the state it starts from and what happened besides.
#[derive(Debug, Clone)]
pub struct Input {
    /// The recording: one JSON object a line.
    pub recording: PathBuf,
    /// The state before the first record: a `seed.yaml` or the folder that holds it.
    pub seed: PathBuf,
    /// What happened outside the exchanges; a missing file means nothing did.
    pub actions: PathBuf,
    /// Differences in which the recording is right and the simulator differs by choice; a missing file means none.
    pub accepted: PathBuf,
}

impl Input {
    /// A recording with `seed/`, `actions.yaml` and `accepted.yaml` beside it.
    #[must_use]
    pub fn beside(recording: impl Into<PathBuf>) -> Self {
        let recording = recording.into();
        let folder = recording.parent().map(PathBuf::from).unwrap_or_default();
        Self {
            seed: folder.join("seed"),
            actions: folder.join("actions.yaml"),
            accepted: folder.join("accepted.yaml"),
            recording,
        }
    }
}

/// One thing in which the simulator did not do what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The record, by its unique name.
    pub name: String,
    /// Where in the answer: `status`, `content-type`, `body.services[web].status`, or a probe of a timeline.
    pub path: String,
    /// Expected against got, in one line.
    pub text: String,
}

impl Difference {
    pub(crate) fn new(name: &str, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            path: path.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.name, self.path, self.text)
    }
}

/// The outcome of a replay.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many exchanges were sent and compared.
    pub exchanges: usize,
    /// How many timelines were compared.
    pub timelines: usize,
    /// Records that were left out, with the reason.
    pub skipped: Vec<(String, String)>,
    /// The differences, in the order of the recording.
    pub differences: Vec<Difference>,
}

impl fmt::Display for Report {
    /// One line per difference, then the summary line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        write!(
            f,
            "{} exchanges, {} differences",
            self.exchanges,
            self.differences.len()
        )
    }
}

/// The input cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of the recording is not a record.
    #[error("{path}, line {line}: not a record: {what}", path = path.display())]
    Record {
        /// The recording.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The recording has no record that can be replayed.
    #[error("{path}: holds no exchange", path = path.display())]
    Empty {
        /// The recording.
        path: PathBuf,
    },
    /// The actions or the list of accepted differences cannot be understood.
    #[error("{path}: {what}", path = path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The seed cannot be loaded.
    #[error("cannot load the seed {path}", path = path.display())]
    Seed {
        /// The seed.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::SeedError,
    },
}
