//! What is still to happen, and when.
//!
//! The same queue serves real and virtual time: whoever moves the time forward lets everything due by then happen, in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Things to come, earliest first; those of the same instant in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Due<E>>,
    next: u64,
}

#[derive(Debug)]
struct Due<E> {
    at: Timestamp,
    seq: u64,
    event: E,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            next: 0,
        }
    }
}

impl<E> Queue<E> {
    pub(crate) fn push(&mut self, at: Timestamp, event: E) {
        self.heap.push(Due {
            at,
            seq: self.next,
            event,
        });
        self.next += 1;
    }

    /// The earliest event that is due by `now`, with its time.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, E)> {
        if self.heap.peek()?.at > now {
            return None;
        }
        self.heap.pop().map(|due| (due.at, due.event))
    }

    /// When the next event is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.heap.peek().map(|due| due.at)
    }

    /// Forgets the events for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&E) -> bool) {
        self.heap.retain(|due| keep(&due.event));
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    /// Reversed: the standard heap gives its greatest element first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

/// `at` moved on by `duration`, or the end of time.
pub(crate) fn later(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// A duration as Go writes it, such as `1h30m`.
///
/// The error is Go's.
pub(crate) fn go_duration(text: &str) -> Result<SignedDuration, String> {
    // The library takes words and other forms as well.
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || "+-.hmnsuµ".contains(c));
    match text {
        "0" => Ok(SignedDuration::ZERO),
        _ => text
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| format!("time: invalid duration {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[test]
    fn events_come_in_the_order_of_their_times_and_then_of_their_arrival() {
        let mut queue = Queue::default();
        queue.push(second(3), "c");
        queue.push(second(1), "a");
        queue.push(second(1), "b");
        queue.push(second(9), "later");
        let mut seen = Vec::new();
        while let Some((at, event)) = queue.pop_due(second(5)) {
            seen.push((at.as_second(), event));
        }
        assert_eq!(seen, [(1, "a"), (1, "b"), (3, "c")]);
    }

    #[test]
    fn forgotten_events_never_come() {
        let mut queue = Queue::default();
        queue.push(second(1), 1);
        queue.push(second(2), 2);
        queue.retain(|event| *event != 1);
        assert_eq!(queue.pop_due(second(5)), Some((second(2), 2)));
        assert_eq!(queue.pop_due(second(5)), None);
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let read: Vec<Option<i64>> = [
            "5m",
            "1h30m",
            "1.5h",
            "0",
            "-2s",
            "5",
            "5 minutes",
            "PT5M",
            "",
        ]
        .map(|text| go_duration(text).ok().map(|duration| duration.as_secs()))
        .to_vec();
        let expected = [
            Some(300),
            Some(5400),
            Some(5400),
            Some(0),
            Some(-2),
            None,
            None,
            None,
            None,
        ];
        assert_eq!(read, expected);
    }
}
