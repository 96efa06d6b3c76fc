//! What this process wrote last of each object's status, so that a store that does not show it yet is not taken for the truth.
//!
//! A watch tells of our own write a moment later, on a busy machine seconds later. Whoever reconciles the object meanwhile
//! sees the status before it: a new one that equals that would not be written at all, and what was written in between would
//! stay until the next look.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::zadig::lock;

/// How soon a store is asked again that is behind.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long it is waited for. A watch that is behind for longer has other troubles, and drift is repaired all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last writes of this process, by the uid of their object.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<String, Write>>);

struct Write {
    version: u64,
    at: Instant,
}

impl Written {
    /// Notes that the object was written, and has this resource version since.
    pub(super) fn note(&self, uid: String, version: Option<&str>) {
        if let Some(version) = version.and_then(number) {
            let at = Instant::now();
            lock(&self.0).insert(uid, Write { version, at });
        }
    }

    /// Whether this object is older than what was written of it.
    pub(super) fn is_ahead_of<K: Resource>(&self, object: &K) -> bool {
        self.newer(object).is_some()
    }

    /// How soon to come back for a newer version of this object, where it is worth to wait for one.
    pub(super) fn wait<K: Resource>(&self, object: &K) -> Option<Duration> {
        let age = self.newer(object)?;
        (age < PATIENCE).then_some(ASK_AGAIN)
    }

    /// The age of the write that this object does not show.
    fn newer<K: Resource>(&self, object: &K) -> Option<Duration> {
        let seen = number(&object.resource_version()?)?;
        let known = lock(&self.0);
        let write = known.get(&object.uid()?)?;
        (seen < write.version).then(|| write.at.elapsed())
    }

    /// Forgets objects that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|uid, _| is_there(uid));
    }
}

/// A resource version that can be compared with another one of the same kind; those of every known store can.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(uid: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_behind_our_own_write_is_waited_for_and_not_for_ever() {
        let written = Written::default();
        assert_eq!(written.wait(&object("a", "9")), None, "nothing was written");
        written.note("a".to_owned(), Some("10"));
        assert_eq!(written.wait(&object("a", "9")), Some(ASK_AGAIN));
        assert_eq!(written.wait(&object("b", "9")), None, "another object");
        for shown in ["10", "11"] {
            assert_eq!(written.wait(&object("a", shown)), None, "{shown}");
            assert!(!written.is_ahead_of(&object("a", shown)));
        }
        tokio::time::advance(PATIENCE).await;
        assert_eq!(written.wait(&object("a", "9")), None);
        assert!(written.is_ahead_of(&object("a", "9")));
        written.keep(|uid| uid != "a");
        assert!(!written.is_ahead_of(&object("a", "9")));
    }

    #[test]
    fn a_version_that_is_no_number_holds_nothing_up() {
        let written = Written::default();
        written.note("a".to_owned(), Some("x10"));
        assert_eq!(written.wait(&object("a", "9")), None);
        written.note("a".to_owned(), Some("10"));
        assert_eq!(written.wait(&object("a", "x9")), None);
    }
}
