//! Who is next: one line for each tenant, and the tenants take turns.
//!
//! So a tenant with a thousand requests delays another's single request by one turn, not by a
//! thousand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Lines of waiting things, which are found again by a number.
#[derive(Debug)]
pub(super) struct Lines<T> {
    lines: BTreeMap<Arc<str>, VecDeque<(u64, T)>>,
    /// The tenants that wait, in the order of their turns.
    turns: VecDeque<Arc<str>>,
}

impl<T> Lines<T> {
    pub(super) const fn new() -> Self {
        Self {
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.values().map(VecDeque::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn tenants(&self) -> usize {
        self.turns.len()
    }

    /// Puts one at the end of its tenant's line.
    pub(super) fn push(&mut self, tenant: &Arc<str>, number: u64, item: T) {
        let line = self.lines.entry(Arc::clone(tenant)).or_default();
        if line.is_empty() {
            self.turns.push_back(Arc::clone(tenant));
        }
        line.push_back((number, item));
    }

    /// Takes the first one of the tenant whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let tenant = self.turns.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let first = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        first.map(|(_, item)| item)
    }

    /// Takes one out that does not want to wait any longer.
    pub(super) fn remove(&mut self, tenant: &Arc<str>, number: u64) {
        let Some(line) = self.lines.get_mut(tenant) else {
            return;
        };
        line.retain(|(waiting, _)| *waiting != number);
        if line.is_empty() {
            self.lines.remove(tenant);
            self.turns.retain(|waiting| waiting != tenant);
        }
    }
}
