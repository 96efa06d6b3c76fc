//! How often differences of one object were repaired and came back, so that none is repaired for ever (Z§14.4).
//!
//! Some repairs cost pods (Z§14.1), so what came back too often is left to a person for good, not for a while. Kept in the process
//! only: a new one tries again, as it cannot know.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::environment::decide::elapsed;

/// Repairs of one difference after which it is left to a person.
pub const REPAIRS: u32 = 3;

/// How long nothing is written until fewer repairs no longer count, and how long nothing differs until any no longer do.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The repairs of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repairs {
    /// By subject.
    counts: BTreeMap<String, u32>,
    /// Every look since then found nothing to do.
    settled_since: Option<Timestamp>,
}

impl Repairs {
    /// A difference was repaired.
    pub fn note(&mut self, subject: String) {
        *self.counts.entry(subject).or_default() += 1;
    }

    /// The last one was none.
    pub fn take_back(&mut self, subject: &str) {
        if let Some(count) = self.counts.get_mut(subject) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a difference came back too often.
    #[must_use]
    pub fn exhausted(&self, subject: &str) -> bool {
        let count = self.counts.get(subject);
        count.is_some_and(|count| *count >= REPAIRS)
    }

    /// A person changed something, or asked: all begins anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Before a look: what came back now and then, with long times between our writes, is no loop.
    pub fn fade(&mut self, wrote_at: Option<Timestamp>, now: Timestamp) {
        if wrote_at.is_some_and(|at| elapsed(at, now) >= FORGOTTEN_AFTER) {
            self.counts.retain(|_, count| *count >= REPAIRS);
        }
    }

    /// After a look: `is_so` tells that it found nothing to do.
    ///
    /// A field that flaps is as declared now and then, so one such look is no proof that whoever wrote it has stopped.
    pub fn looked(&mut self, is_so: bool, now: Timestamp) {
        if !is_so {
            self.settled_since = None;
            return;
        }
        let since = *self.settled_since.get_or_insert(now);
        if elapsed(since, now) >= FORGOTTEN_AFTER {
            self.counts.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "image";

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minutes.unsigned_abs())
    }

    fn repaired(times: u32) -> Repairs {
        let mut repairs = Repairs::default();
        for _ in 0..times {
            repairs.note(IMAGE.to_owned());
        }
        repairs
    }

    #[test]
    fn fewer_repairs_are_forgotten_an_hour_after_the_last_write() {
        let mut repairs = repaired(REPAIRS - 1);
        repairs.fade(Some(at(0)), at(59));
        let mut again = repairs.clone();
        again.note(IMAGE.to_owned());
        assert!(again.exhausted(IMAGE), "they counted after 59 minutes");
        repairs.fade(Some(at(0)), at(60));
        repairs.note(IMAGE.to_owned());
        assert!(!repairs.exhausted(IMAGE));
    }

    #[test]
    fn what_came_back_too_often_stays_so_however_long_it_is_left_alone() {
        let mut repairs = repaired(REPAIRS);
        for hour in 1..100 {
            repairs.fade(Some(at(0)), at(60 * hour));
            repairs.looked(false, at(60 * hour));
            assert!(repairs.exhausted(IMAGE), "forgotten after {hour} hours");
        }
        repairs.forget();
        assert!(!repairs.exhausted(IMAGE), "a person spoke");
    }

    #[test]
    fn what_came_back_too_often_is_forgotten_once_nothing_differed_for_an_hour() {
        let mut repairs = repaired(REPAIRS);
        for (minute, is_so) in [(0, true), (50, true), (55, false), (60, true), (119, true)] {
            repairs.looked(is_so, at(minute));
            assert!(repairs.exhausted(IMAGE), "forgotten at minute {minute}");
        }
        repairs.looked(true, at(120));
        assert!(!repairs.exhausted(IMAGE));
    }

    #[test]
    fn a_refused_repair_is_none() {
        let mut repairs = repaired(REPAIRS);
        repairs.take_back(IMAGE);
        repairs.take_back("unknown");
        assert_eq!(repairs, repaired(REPAIRS - 1));
    }
}
