//! What Zadig notes of each write of a configuration object; nothing ever prunes it (Z§4.14).

use std::collections::BTreeMap;

use super::{ConfigKind, GitFile};
use crate::world::Key;

/// Records of one object.
type Records = Vec<Record>;

/// A write that Zadig has noted.
#[derive(Debug, Clone, PartialEq)]
struct Record {
    at: i64,
    by: String,
    deleted: bool,
    source: Option<GitFile>,
}

/// All that Zadig has noted about configuration objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigRecords {
    by_object: BTreeMap<(Key, ConfigKind, String), Records>,
}

/// The unique index on object and second (Z§4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuplicateKey;

impl ConfigRecords {
    /// Notes a write.
    pub(crate) fn note(
        &mut self,
        env: &Key,
        kind: ConfigKind,
        name: &str,
        by: &str,
        at: i64,
    ) -> Result<(), DuplicateKey> {
        let records = self
            .by_object
            .entry((env.clone(), kind, name.to_owned()))
            .or_default();
        if records.iter().any(|record| record.at == at) {
            return Err(DuplicateKey);
        }
        records.push(Record {
            at,
            by: by.to_owned(),
            deleted: false,
            source: None,
        });
        Ok(())
    }

    /// Notes where the last write came from.
    pub(crate) fn note_source(&mut self, env: &Key, kind: ConfigKind, name: &str, source: GitFile) {
        let records = self
            .by_object
            .get_mut(&(env.clone(), kind, name.to_owned()));
        if let Some(record) = records.and_then(|records| records.last_mut()) {
            record.source = Some(source);
        }
    }

    /// Notes a deletion: the last write does not count any more.
    pub(crate) fn note_deletion(&mut self, env: &Key, kind: ConfigKind, name: &str) {
        let records = self
            .by_object
            .get_mut(&(env.clone(), kind, name.to_owned()));
        if let Some(record) = records.and_then(|records| records.last_mut()) {
            record.deleted = true;
        }
    }

    /// Who wrote it last, as far as the object was not deleted since.
    pub(crate) fn writer(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<&str> {
        Some(&self.active(env, kind, name)?.by)
    }

    /// Where in Git that write came from.
    pub(crate) fn source(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<&GitFile> {
        self.active(env, kind, name)?.source.as_ref()
    }

    fn active(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<&Record> {
        let records = self.by_object.get(&(env.clone(), kind, name.to_owned()))?;
        records.iter().rfind(|record| !record.deleted)
    }

    /// The last write whether or not the object was deleted since: time and writer.
    pub(crate) fn last(&self, env: &Key, kind: ConfigKind, name: &str) -> Option<(i64, &str)> {
        let records = self.by_object.get(&(env.clone(), kind, name.to_owned()))?;
        records.last().map(|record| (record.at, record.by.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_takes_the_last_record_alone_out_of_force() {
        let env = ("shop".to_owned(), "dev".to_owned());
        let mut records = ConfigRecords::default();
        let kind = ConfigKind::Secret;
        assert_eq!(records.note(&env, kind, "s", "ann", 1), Ok(()));
        assert_eq!(records.note(&env, kind, "s", "bob", 1), Err(DuplicateKey));
        assert_eq!(records.note(&env, kind, "s", "bob", 2), Ok(()));
        records.note_deletion(&env, kind, "s");
        assert_eq!(records.writer(&env, kind, "s"), Some("ann"));
        assert_eq!(records.last(&env, kind, "s"), Some((2, "bob")));
        assert_eq!(records.writer(&env, ConfigKind::ConfigMap, "s"), None);
    }
}
