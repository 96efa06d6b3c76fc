//! The values that were sent to one Zadig and that its answers may repeat, to whomever.
//!
//! Zadig's refusals quote what they refuse, and an answer can carry the description of an earlier call, of another tenant too
//! (Z§2.2, 5). So the values are known by the Zadig, not by the call: while a call is on its way, and after it failed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use zadig_client::Mask;

use super::zadig::lock;
use crate::plan::redact::Redactor;
use crate::plan::secret::SecretText;

/// The most that is kept of failed calls, in bytes; the oldest go first.
const KEPT: usize = 4 << 20;

/// The values that one Zadig was sent.
#[derive(Debug, Default)]
pub(super) struct Secrets(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    sending: BTreeMap<u64, Vec<SecretText>>,
    /// Of failed calls, newest last.
    failed: VecDeque<SecretText>,
    bytes: usize,
}

/// Values that are on their way.
#[derive(Debug)]
pub(super) struct Sending {
    secrets: Arc<Secrets>,
    number: u64,
}

impl Secrets {
    /// Knows these values until the call is over.
    #[must_use]
    pub(super) fn sending(self: &Arc<Self>, values: &[&str]) -> Sending {
        let mut known = lock(&self.0);
        known.last += 1;
        let number = known.last;
        let values = values.iter().copied().map(SecretText::new).collect();
        known.sending.insert(number, values);
        Sending {
            secrets: Arc::clone(self),
            number,
        }
    }
}

impl Sending {
    /// Goes on knowing the values if the call failed: what was told of it may be told again.
    pub(super) fn answered<T, E>(self, answer: &Result<T, E>) {
        if answer.is_ok() {
            return;
        }
        let mut known = lock(&self.secrets.0);
        let values = known.sending.remove(&self.number).unwrap_or_default();
        for value in values {
            if !known.failed.iter().any(|it| it == &value) {
                known.bytes += value.expose().len();
                known.failed.push_back(value);
            }
        }
        while known.bytes > KEPT
            && let Some(oldest) = known.failed.pop_front()
        {
            known.bytes -= oldest.expose().len();
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        lock(&self.secrets.0).sending.remove(&self.number);
    }
}

impl Mask for Secrets {
    fn mask(&self, text: &str) -> String {
        let known = lock(&self.0);
        let values = known.sending.values().flatten().chain(&known.failed);
        let values: Vec<&str> = values.map(SecretText::expose).collect();
        Redactor::new(values).line(text, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_to_all_while_they_are_on_their_way_and_after_they_were_refused() {
        let secrets = Arc::new(Secrets::default());
        let said = "refused: hunter22 in\n  one: hunter2\n  two: hunter3";
        let known = |count: usize| assert_eq!(secrets.mask(said).matches("***").count(), count);
        known(0);
        let mine = secrets.sending(&["hunter22", "one: hunter2\ntwo: hunter3\n"]);
        let theirs = secrets.sending(&["refused"]);
        assert_eq!(secrets.mask(said), "***: *** in   ***   ***");
        theirs.answered(&Ok::<(), ()>(()));
        known(3);
        mine.answered(&Err::<(), ()>(()));
        known(3);
        let given_up = secrets.sending(&["refused"]);
        drop(given_up);
        known(3);
    }

    #[test]
    fn no_more_is_kept_of_failed_calls_than_the_bound() {
        let secrets = Arc::new(Secrets::default());
        for letter in 'a'..='h' {
            let value = letter.to_string().repeat(1 << 20);
            for _ in 0..2 {
                secrets
                    .sending(&[value.as_str()])
                    .answered(&Err::<(), ()>(()));
            }
        }
        let known = lock(&secrets.0);
        assert_eq!((known.failed.len(), known.bytes), (4, KEPT));
        assert!(known.failed[0].expose().starts_with('e'));
    }
}
