//! Directories of the user's cache that are made once: complete or not there, whoever is killed and whoever comes at the same time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::console::Task;
use crate::paths;

/// A directory of the cache.
pub(crate) struct Once<'a> {
    /// Whose it is: name of the lock, and of drafts.
    pub(crate) name: &'a str,
    /// Name of the directory; what it is made from is part of it, so that an old one is never taken for a new one.
    pub(crate) key: &'a str,
    /// What a person would call what is in it.
    pub(crate) shown: &'a str,
}

impl Once<'_> {
    /// The directory, which is `made` in a draft beside it unless one `is_complete`.
    ///
    /// # Errors
    /// What making it says, or the cache cannot be written.
    pub(crate) fn found_or(
        &self,
        is_complete: impl Fn(&Path) -> bool,
        made: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let Self { name, key, shown } = self;
        let cache = paths::cache()?;
        let dir = cache.join(key);
        if is_complete(&dir) {
            return Ok(dir);
        }
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        if lock.try_lock().is_err() {
            let waiting = format!("Waiting for another process that makes {shown}");
            let task = Task::start(waiting);
            lock.lock()?;
            task.done();
        }
        // Somebody else may have made it while we waited.
        if !is_complete(&dir) {
            let draft = format!(".building-{name}-");
            remove_leftovers(&cache, &draft)?;
            let draft = tempfile::Builder::new().prefix(&draft).tempdir_in(&cache)?;
            made(draft.path())?;
            if dir.exists() {
                fs::remove_dir_all(&dir)?;
            }
            fs::rename(draft.keep(), &dir)?;
        }
        Ok(dir)
    }
}

/// While we hold the lock, a directory in the making belongs to a process that was killed.
fn remove_leftovers(cache: &Path, draft: &str) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(draft) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
