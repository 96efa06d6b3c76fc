//! The API token: a value that can be sent and compared but not printed.
//!
//! Nothing here logs, formats or serialises it; the only way out is [`Token::authorization`], whose
//! header value is marked sensitive. What a token is and how it is sent: Z§1.2.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

/// What takes the place of a token in any text that would hold it.
const REDACTED: &str = "[redacted]";

/// A Zadig API token, which no formatting shows.
///
/// # Guarantees
///
/// It is not empty, has no blanks, and can be sent in a header.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// Takes a token as it stands in a file or a Secret: blanks and newlines around it are removed.
    ///
    /// # Errors
    ///
    /// When nothing is left, or when what is left cannot be a token. The error does not repeat it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TokenError> {
        let text = text.as_ref().trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        // The gateway wants exactly two words, "Bearer" and the token (Z§1.2).
        if text.contains(char::is_whitespace) {
            return Err(TokenError::Blank);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.into()))
    }

    /// The value of the `Authorization` header, marked sensitive.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, TokenError> {
        // Any first word passes; `Bearer` is what every proxy in between understands (Z§1.2).
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .map_err(|_| TokenError::Characters)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Removes every occurrence of the token from a text that came from outside.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&*self.0, REDACTED)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but blanks.
    #[error("the token is empty")]
    Empty,
    /// Blanks inside, as in `Bearer eyJ…`.
    #[error("the token contains blanks; give the token alone, without a word before it")]
    Blank,
    /// Characters that no header can carry.
    #[error("the token contains characters that cannot be sent in a header")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_trimmed_and_never_printed() {
        let token = Token::new(" \n eyJhbGciOi.J9\r\n").unwrap();
        assert_eq!(token, Token::new("eyJhbGciOi.J9").unwrap());
        assert_eq!(format!("{token} {token:?}"), "[redacted] Token([redacted])");
        let header = token.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer eyJhbGciOi.J9");
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert_eq!(token.scrub("a eyJhbGciOi.J9 b"), "a [redacted] b");
    }

    #[test]
    fn text_that_is_no_token_is_refused_without_being_repeated() {
        for (text, expected) in [
            ("", TokenError::Empty),
            (" \n", TokenError::Empty),
            ("Bearer abc", TokenError::Blank),
            ("abc\ndef", TokenError::Blank),
            ("geheim\u{7f}", TokenError::Characters),
            ("schlüssel", TokenError::Characters),
        ] {
            let error = Token::new(text).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("geheim"));
        }
    }
}
