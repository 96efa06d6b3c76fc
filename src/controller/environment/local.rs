//! What this process remembers of one object between reconciles. All of it may be lost; nothing that may not is kept here alone.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::environment::Ownership;
use crate::controller::driver::{Failures, Rest};
use crate::plan::environment::memory::Memory;

/// How long a repaired difference counts towards "does not converge".
const REPAIRS_FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// What is remembered of one object.
pub(in crate::controller) struct Local {
    /// The remembered part of its status. Taken from the status once; afterwards this is newer than any copy of the object
    /// that a watch may still hold.
    pub(super) memory: Memory,
    /// Whose environment it is; like `memory`.
    pub(super) record: Option<Ownership>,
    /// Whether `memory` and `record` were taken.
    pub(super) loaded: bool,
    /// What was declared at the last complete look: generation, digest of the resolved values, reconcile-now annotation.
    pub(super) declared: Option<(i64, String, Option<String>)>,
    /// Zadig's status and `update_time` at the last complete look.
    pub(super) seen: Option<(String, i64)>,
    /// Nothing is under way: the next look is due when something changes, or when the rest is over.
    pub(super) rest: Option<Rest>,
    /// What a thorough look costs, in calls.
    pub(super) calls_per_look: usize,
    /// The last plan was blocked: what was looked up by name is looked up again.
    pub(super) blocked: bool,
    /// Failed attempts in a row.
    pub(super) failures: Failures,
    /// When the environment was first missed in a list.
    pub(super) absent_since: Option<Instant>,
    /// Lists must be younger than this: the moment of our last write.
    pub(super) wrote: Option<Instant>,
    /// The moment of our last write, for people.
    pub(super) wrote_at: Option<Timestamp>,
    /// Since when a service is unhealthy without a write of ours.
    pub(super) unhealthy_since: Option<Timestamp>,
    /// Zadig's word, and since when.
    word: Option<(String, Timestamp)>,
    repaired: Option<Instant>,
}

impl Local {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::default(),
            record: None,
            loaded: false,
            declared: None,
            seen: None,
            rest: None,
            calls_per_look: 3,
            blocked: false,
            failures: Failures::default(),
            absent_since: None,
            wrote: None,
            wrote_at: None,
            unhealthy_since: None,
            word: None,
            repaired: None,
        }
    }

    /// Takes over the word and its time from a status, once.
    pub(super) fn load_word(&mut self, word: &str, since: Timestamp) {
        self.word.get_or_insert_with(|| (word.to_owned(), since));
    }

    /// Since when Zadig says `word`, as far as was seen.
    pub(super) fn status_since(&mut self, word: &str, now: Timestamp) -> Timestamp {
        match &self.word {
            Some((known, since)) if known == word => *since,
            _ => {
                self.word = Some((word.to_owned(), now));
                now
            }
        }
    }

    /// Notes a write.
    pub(super) fn wrote(&mut self, now: Timestamp) {
        self.wrote = Some(Instant::now());
        self.wrote_at = Some(now);
        self.repaired = Some(Instant::now());
        self.unhealthy_since = None;
        self.rest = None;
    }

    /// Forgets repairs that are long ago, and all of them when a person spoke.
    pub(super) fn forget_repairs(&mut self, person_spoke: bool) {
        let old = self
            .repaired
            .is_some_and(|at| at.elapsed() >= REPAIRS_FORGOTTEN_AFTER);
        if old || person_spoke {
            self.memory.repairs.clear();
        }
    }
}
