//! What can go wrong with a call, and what class of trouble it is.
//!
//! Classes follow from the operation, the HTTP status and the shape of the body (Z§2.2), never from
//! the words of a message: Zadig's descriptions can be swapped between callers (Z§2.2, 5). An error
//! says what happened on the wire and decides nothing; above all it never says that something does
//! not exist.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::class::ErrorClass;
use crate::routes::{Effect, Route};
use crate::token::Token;

/// The longest description or excerpt an error carries, in bytes. Long enough for Zadig's own
/// sentences; a condition or an event has to hold it.
const MAX_TEXT: usize = 512;

/// A call that failed: which one, and how.
///
/// Its text names the operation and the path, is bounded, and holds no token. It does not repeat its
/// [source](StdError::source). Cloning is cheap, so that all who wait for one answer can be told.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    route: Option<&'static Route>,
    path: String,
    kind: Kind,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {
    /// The arguments cannot be sent. Nothing was.
    Invalid(String),
    /// The client cannot be built as configured. Nothing was sent.
    Config(String, Option<Box<dyn StdError + Send + Sync>>),
    /// The circuit breaker is open: recent calls found no Zadig. Nothing was sent.
    CircuitOpen {
        /// When the next call will be let through.
        retry_in: Duration,
    },
    /// The [gate](crate::Gate) was closed when the turn of the call had come. Nothing was sent.
    Withheld,
    /// No connection. Nothing was sent.
    Connect(Box<dyn StdError + Send + Sync>),
    /// The connection ended before the answer began.
    Lost(Box<dyn StdError + Send + Sync>),
    /// No complete answer in time.
    TimedOut(Duration),
    /// The answer ended before it was complete.
    Truncated(Box<dyn StdError + Send + Sync>),
    /// The server answered with an error.
    Refused(Refusal),
    /// The answer is larger than the configured bound, given here in bytes.
    TooLarge(usize),
    /// The server sent us elsewhere: to another server, too often, or with a call that changes
    /// something. The target was not called.
    Redirect {
        /// The status of the answer.
        status: u16,
    },
    /// The answer is not what this route answers.
    Undecodable {
        /// What is wrong with it.
        reason: String,
        /// The beginning of the body; empty where it may hold Secrets.
        excerpt: String,
    },
}

/// A refusal by the server, in one of the shapes of Z§2.2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The shape of the body.
    pub shape: Shape,
    /// Zadig's code; a domain code such as 6076 only in [`Shape::Coded`].
    pub code: Option<i64>,
    /// Zadig's fixed text for the code; often Chinese, never to be matched.
    pub message: String,
    /// Zadig's explanation, bounded. It may belong to another caller's call (Z§2.2, 5).
    pub description: String,
    /// Zadig's details, an object that is usually empty. Removing a service that sub-environments
    /// still have says which they are (Z§4.12).
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// How long the server asks to wait, if it does.
    pub retry_after: Option<Duration>,
}

/// The shapes of an error body (Z§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A: an object with `type`, `message`, `code`, `description`.
    Coded,
    /// B: an object with `code` 500 and a `description`, for any other error of a handler.
    Wrapped,
    /// C: no body.
    Empty,
    /// D: plain text of the router.
    Route,
    /// E: an object with `reason`, since 4.3.
    Mfa,
    /// None of them: not Zadig, but something in front of it.
    Foreign,
}

impl Error {
    pub(crate) fn new(route: &'static Route, path: impl Into<String>, kind: Kind) -> Self {
        Self(Arc::new(Inner {
            route: Some(route),
            path: path.into(),
            kind,
        }))
    }

    pub(crate) fn config(
        what: impl Into<String>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let kind = Kind::Config(what.into(), source);
        Self(Arc::new(Inner {
            route: None,
            path: String::new(),
            kind,
        }))
    }

    /// The route that was called; `None` for an error of the configuration.
    #[must_use]
    pub fn route(&self) -> Option<&'static Route> {
        self.0.route
    }

    /// The operation that failed, by the name of its method.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0
            .route
            .map_or("configuration", |route| route.operation)
    }

    /// The path and query of the request. The token is never part of it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The refusal, where the server answered with an error.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.0.kind {
            Kind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The class, by operation, status and shape.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match &self.0.kind {
            Kind::Invalid(_) | Kind::Config(..) | Kind::Withheld => ErrorClass::InvalidRequest,
            Kind::CircuitOpen { .. } | Kind::Connect(_) | Kind::Lost(_) => ErrorClass::Unreachable,
            Kind::TimedOut(_) => ErrorClass::TimedOut,
            Kind::Truncated(_) | Kind::Undecodable { .. } => ErrorClass::UnexpectedResponse,
            Kind::TooLarge(_) => ErrorClass::BodyTooLarge,
            Kind::Redirect { .. } => ErrorClass::RedirectRefused,
            Kind::Refused(refusal) => self.refusal_class(refusal),
        }
    }

    fn refusal_class(&self, refusal: &Refusal) -> ErrorClass {
        // A refused licence is 400 with this one code on every route (Z§1.3).
        const LICENCE: i64 = 7050;
        match (refusal.status, refusal.shape) {
            (401, _) => ErrorClass::Unauthorized,
            (403, Shape::Mfa) => ErrorClass::MfaRequired,
            (403, _) => ErrorClass::Forbidden,
            (400, Shape::Coded) if refusal.code == Some(LICENCE) => ErrorClass::LicenceRefused,
            (404, Shape::Coded)
                if matches!(self.operation(), "add_services" | "update_services") =>
            {
                ErrorClass::EnvironmentNotFound
            }
            (404 | 405, Shape::Route | Shape::Empty | Shape::Foreign) => ErrorClass::NotFoundRoute,
            (429, _) => ErrorClass::Throttled,
            (502..=504, _) => ErrorClass::Unreachable,
            (_, Shape::Foreign | Shape::Mfa) => ErrorClass::UnexpectedResponse,
            (500..=599, _) => ErrorClass::Internal,
            (_, Shape::Coded | Shape::Wrapped | Shape::Empty | Shape::Route) => {
                ErrorClass::Rejected
            }
        }
    }

    /// How long the server, or the open breaker, asks to wait before the next call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0.kind {
            Kind::CircuitOpen { retry_in } => Some(*retry_in),
            Kind::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Whether a call that changes something may have taken effect although it failed.
    ///
    /// Then the next step is to observe, never to send it again. Also where this is false a refused
    /// call may have left something behind, such as a namespace (Z§2.2, 7).
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        if self
            .0
            .route
            .is_none_or(|route| route.effect == Effect::Read)
        {
            return false;
        }
        match &self.0.kind {
            Kind::Invalid(_)
            | Kind::Config(..)
            | Kind::CircuitOpen { .. }
            | Kind::Withheld
            | Kind::Connect(_)
            | Kind::Redirect { .. } => false,
            // Handlers keep running when the client is gone (Z§8).
            Kind::Lost(_)
            | Kind::TimedOut(_)
            | Kind::Truncated(_)
            | Kind::TooLarge(_)
            | Kind::Undecodable { .. } => true,
            // A gateway gave up on a handler that may still run; a panic after who knows which
            // step; words that are not Zadig's.
            Kind::Refused(refusal) => matches!(
                (refusal.status, refusal.shape),
                (502..=504, _) | (500..=599, Shape::Empty | Shape::Foreign)
            ),
        }
    }

    /// Whether this is how Zadig answers when the environment asked for is missing.
    ///
    /// True for the detail's 500 with a wrapped body (Z§2.4), by operation, status and shape alone.
    /// It is evidence, not proof: any other failure inside that handler looks the same. Absence needs
    /// the list as a second witness.
    #[must_use]
    pub fn is_absence_shape(&self) -> bool {
        self.operation() == "environment"
            && self
                .refusal()
                .is_some_and(|refusal| refusal.status == 500 && refusal.shape == Shape::Wrapped)
    }

    /// Whether the same read may be sent again at once: it found nobody, or nobody who could answer.
    pub(crate) fn is_retryable_read(&self) -> bool {
        if self
            .0
            .route
            .is_none_or(|route| route.effect == Effect::Write)
        {
            return false;
        }
        match &self.0.kind {
            Kind::Connect(_) | Kind::Lost(_) | Kind::TimedOut(_) | Kind::Truncated(_) => true,
            Kind::Refused(refusal) => matches!(refusal.status, 429 | 502..=504),
            // An open breaker asks for patience that only the caller has.
            Kind::CircuitOpen { .. }
            | Kind::Withheld
            | Kind::Invalid(_)
            | Kind::Config(..)
            | Kind::TooLarge(_)
            | Kind::Redirect { .. }
            | Kind::Undecodable { .. } => false,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("operation", &self.operation())
            .field("path", &self.path())
            .field("kind", &self.0.kind)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.route {
            Some(route) => {
                write!(
                    f,
                    "{} ({} {}): {}",
                    route.operation, route.verb, self.0.path, self.0.kind
                )
            }
            None => write!(f, "{}", self.0.kind),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            Kind::Connect(source) | Kind::Lost(source) | Kind::Truncated(source) => {
                Some(source.as_ref())
            }
            Kind::Config(_, Some(source)) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "not sent, as {what}"),
            Self::Config(what, _) => f.write_str(what),
            // Without the time, which differs at each attempt: whoever tells of one would tell of each.
            Self::CircuitOpen { .. } => f.write_str("not sent, as recent calls found no zadig"),
            Self::Withheld => f.write_str("not sent, as it may not be sent any more"),
            Self::Connect(_) => f.write_str("could not connect"),
            Self::Lost(_) => f.write_str("the connection ended before the answer"),
            Self::TimedOut(after) => {
                write!(f, "no complete answer within {:.1} s", after.as_secs_f64())
            }
            Self::Truncated(_) => f.write_str("the answer ended before it was complete"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
            Self::Redirect { status } => {
                write!(f, "refused to follow a redirect (status {status})")
            }
            Self::Undecodable { reason, excerpt } if excerpt.is_empty() => {
                write!(f, "unexpected answer: {reason}")
            }
            Self::Undecodable { reason, excerpt } => {
                write!(f, "unexpected answer: {reason}; it begins with {excerpt:?}")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with status {}", self.status)?;
        if let Some(code) = self.code.filter(|code| *code != i64::from(self.status)) {
            write!(f, ", code {code}")?;
        }
        for text in [self.message.trim_end_matches([':', ' ']), &self.description] {
            if !text.is_empty() {
                write!(f, ": {text}")?;
            }
        }
        Ok(())
    }
}

/// Makes a text from outside fit to be shown: without the token, on one line, bounded.
pub(crate) fn presentable(text: &str, token: &Token) -> String {
    // The token is taken out before the text is cut, so that no part of it is left at the end.
    let scrubbed = token.scrub(text);
    let mut line = String::with_capacity(scrubbed.len().min(MAX_TEXT + 4));
    for word in scrubbed.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_TEXT {
            line.truncate(line.floor_char_boundary(MAX_TEXT));
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_without_a_part_of_the_token() {
        let token = Token::new("s3cr3t-t0ken").unwrap();
        let long = "环".repeat(400);
        let shown = presentable(&long, &token);
        assert_eq!(shown, format!("{}…", "环".repeat(MAX_TEXT / 3)));
        let edge = format!("{}s3cr3t-t0ken", "x".repeat(MAX_TEXT - 4));
        assert!(!presentable(&edge, &token).contains("s3cr"));
        assert_eq!(
            presentable("a\n\t* b  s3cr3t-t0ken\n", &token),
            "a * b [redacted]"
        );
    }
}
