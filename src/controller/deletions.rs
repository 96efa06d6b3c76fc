//! The deletions behind each connection, counted by the hour for all its objects together (`spec.maxDeletionsPerHour`).
//!
//! The count is stored in the connection's status before a deletion is sent, so that a restart begins no new hour. Within the
//! process an hour is time that passes, whatever the clock says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::Patch;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::context::Context;
use super::driver;
use super::outcome::time;
use super::write::Writer;
use super::zadig::{ConnectionKey, lock};
use crate::api::connection::{Deletions, ZadigConnection};
use crate::error::Error;
use crate::plan::budget::{Allowance, HOUR};
use crate::plan::environment::memory::Memory;

/// The tallies of all connections of this process.
#[derive(Default)]
pub(super) struct Tallies(Mutex<HashMap<ConnectionKey, Arc<tokio::sync::Mutex<Tally>>>>);

impl Tallies {
    /// The tally of a connection, which nobody else reads or changes meanwhile.
    pub(super) async fn of(
        &self,
        key: &ConnectionKey,
        connection: &ZadigConnection,
    ) -> OwnedMutexGuard<Tally> {
        let slot = Arc::clone(lock(&self.0).entry(key.clone()).or_default());
        let mut tally = slot.lock_owned().await;
        let stored = connection.status.as_ref();
        tally.load(
            stored.and_then(|status| status.deletions.as_ref()),
            Timestamp::now(),
        );
        tally
    }

    /// Forgets a connection that is gone.
    pub(super) fn remove(&self, key: &ConnectionKey) {
        lock(&self.0).remove(key);
    }
}

/// The deletions behind one connection.
#[derive(Debug, Default)]
pub(super) struct Tally {
    loaded: bool,
    hour: Option<Hour>,
}

#[derive(Clone, Debug)]
struct Hour {
    since: Timestamp,
    /// How much of it had passed when this process saw it first.
    before: Duration,
    seen: Instant,
    count: u32,
}

impl Hour {
    fn remaining(&self) -> Duration {
        HOUR.saturating_sub(self.before + self.seen.elapsed())
    }
}

impl Tally {
    /// Takes over what the status holds, once.
    fn load(&mut self, stored: Option<&Deletions>, now: Timestamp) {
        if std::mem::replace(&mut self.loaded, true) {
            return;
        }
        self.hour = stored.map(|Deletions { since, count }| {
            // From a clock that was ahead of ours: the hour begins now, so that it ends.
            let since = since.0.min(now);
            Hour {
                since,
                before: Duration::try_from(now.duration_since(since)).unwrap_or_default(),
                seen: Instant::now(),
                count: *count,
            }
        });
    }

    fn current(&self) -> Option<&Hour> {
        let hour = self.hour.as_ref();
        hour.filter(|hour| !hour.remaining().is_zero())
    }

    /// What may still be deleted, of so many within an hour.
    pub(super) fn allowance(&self, most: u32) -> Allowance {
        let hour = self.current();
        Allowance {
            most,
            left: most.saturating_sub(hour.map_or(0, |hour| hour.count)),
            until: hour.and_then(|hour| hour.since.checked_add(HOUR).ok()),
            remaining: hour.map_or(Duration::ZERO, Hour::remaining),
        }
    }

    /// What the status holds. An hour that is over stays there until the next one begins: nothing happens then.
    pub(super) fn recorded(&self) -> Option<Deletions> {
        self.hour.as_ref().map(|hour| Deletions {
            since: time(hour.since),
            count: hour.count,
        })
    }

    /// The same after so many more.
    fn after(&self, more: u32, now: Timestamp) -> Self {
        let hour = self.current().cloned().unwrap_or_else(|| Hour {
            since: time(now).0,
            before: Duration::ZERO,
            seen: Instant::now(),
            count: 0,
        });
        Self {
            loaded: true,
            hour: Some(Hour {
                count: hour.count.saturating_add(more),
                ..hour
            }),
        }
    }
}

/// What may still be deleted behind a connection; nothing behind one that is gone.
pub(super) async fn allowance(ctx: &Context, key: &ConnectionKey) -> Allowance {
    match ctx.connection(key) {
        Some(connection) => {
            let tally = ctx.tallies.of(key, &connection).await;
            tally.allowance(connection.spec.max_deletions_per_hour)
        }
        None => Tally::default().allowance(0),
    }
}

/// Counts the deletions with these subjects before they are sent; one that was counted and is sent again is not counted again.
/// Whether they fit: if not, other objects were faster, and it has to be planned anew.
///
/// # Errors
/// When the count cannot be stored. Then nothing is counted, and nothing may be sent.
pub(super) async fn count<K>(
    writer: &Writer<'_, K>,
    memory: &mut Memory,
    subjects: Vec<String>,
) -> Result<bool, Error> {
    let new: Vec<String> = subjects
        .into_iter()
        .filter(|subject| !memory.counted.contains(subject))
        .collect();
    let Ok(more) = u32::try_from(new.len()) else {
        return Ok(false);
    };
    if more == 0 {
        return Ok(true);
    }
    let (ctx, key) = (writer.ctx, &writer.zadig.connection);
    let Some(connection) = ctx.connection(key) else {
        return Ok(false);
    };
    let mut tally = ctx.tallies.of(key, &connection).await;
    if tally.allowance(connection.spec.max_deletions_per_hour).left < more {
        return Ok(false);
    }
    let after = tally.after(more, Timestamp::now());
    let patch = json!({"status": {"deletions": after.recorded()}});
    let connections: Api<ZadigConnection> = Api::namespaced(ctx.client.clone(), &key.namespace);
    connections
        .patch_status(&key.name, &driver::merge(), &Patch::Merge(&patch))
        .await
        .map_err(Error::kubernetes("count a deletion"))?;
    *tally = after;
    memory.counted.extend(new);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    fn loaded(since: i64, count: u32) -> Tally {
        let mut tally = Tally::default();
        let since = time(at(since));
        tally.load(Some(&Deletions { since, count }), at(0));
        tally
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_begins_with_its_first_deletion_and_the_next_one_after_it() {
        let tally = Tally::default();
        assert_eq!(
            tally.allowance(3),
            Allowance {
                most: 3,
                left: 3,
                until: None,
                remaining: Duration::ZERO
            }
        );
        let tally = tally.after(2, at(0));
        tokio::time::advance(Duration::from_mins(20)).await;
        let tally = tally.after(1, at(1200));
        assert_eq!(
            tally.allowance(3),
            Allowance {
                most: 3,
                left: 0,
                until: Some(at(3600)),
                remaining: Duration::from_mins(40)
            }
        );
        assert_eq!(tally.allowance(5).left, 2, "a raised limit counts at once");
        assert_eq!(tally.allowance(1).left, 0, "so does a lowered one");
        let before = tally.recorded();
        tokio::time::advance(Duration::from_mins(40)).await;
        assert_eq!(tally.allowance(3).left, 3);
        assert_eq!(
            tally.recorded(),
            before,
            "an idle connection is not written"
        );
        let tally = tally.after(1, at(3600));
        let next = Deletions {
            since: time(at(3600)),
            count: 1,
        };
        assert_eq!(tally.recorded(), Some(next));
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_goes_on_with_the_hour_that_is_stored() {
        let mut tally = loaded(-600, 2);
        assert_eq!(tally.allowance(3).remaining, Duration::from_mins(50));
        assert_eq!(tally.allowance(3).left, 1);
        let late = Deletions {
            since: time(at(0)),
            count: 9,
        };
        tally.load(Some(&late), at(0));
        assert_eq!(tally.allowance(3).left, 1, "taken over once");
        assert_eq!(loaded(-3600, 3).allowance(3).left, 3, "that one is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_neither_ends_an_hour_nor_makes_it_last() {
        let tally = Tally::default().after(1, at(0));
        tokio::time::advance(Duration::from_mins(10)).await;
        let tally = tally.after(1, at(1_000_000));
        assert_eq!(tally.allowance(3).left, 1);
        assert_eq!(tally.allowance(3).remaining, Duration::from_mins(50));
        // Stored by a clock that was a day ahead.
        let tally = loaded(86_400, 3);
        assert_eq!(tally.allowance(3).remaining, HOUR);
        assert_eq!(tally.allowance(3).until, Some(at(3600)));
    }
}
