//! One call at a time for each project, for the calls that Zadig serves one after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// The locks of the projects that somebody holds or waits for.
#[derive(Debug, Default)]
pub(super) struct Projects(Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>);

/// The right to the one call of a project that may be in flight; dropping it lets the next one go.
#[derive(Debug)]
#[must_use = "the next call of the project goes as soon as this is dropped"]
pub struct ProjectTurn {
    _held: OwnedMutexGuard<()>,
}

impl Projects {
    /// Waits until no other call of the project is in flight; in the order of asking.
    pub(super) async fn turn(&self, project: &str) -> ProjectTurn {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            if let Some(lock) = locks.get(project).and_then(Weak::upgrade) {
                lock
            } else {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                locks.insert(project.to_owned(), Arc::downgrade(&lock));
                lock
            }
        };
        ProjectTurn {
            _held: lock.lock_owned().await,
        }
    }
}
