//! Text that may be a secret: it can be sent and compared, but not printed.

use std::fmt;

/// A value that came from a Secret, or may have.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text; from here on it prints as a mask.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the request body and the keyed digest only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
