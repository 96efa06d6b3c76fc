//! What a client is built from: where Zadig is, whose token is used, and the bounds of a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::mask::Mask;
use crate::observer::Observer;
use crate::routes::TimeoutClass;
use crate::token::Token;

/// Configuration of a [`Client`](crate::Client).
///
/// Proxies come from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where Zadig is. A path is kept: `https://example.com/zadig/` is called at
    /// `https://example.com/zadig/openapi/…`.
    pub base_url: Url,
    /// The token of every call.
    pub token: Token,
    /// Certificates, in PEM, that are trusted besides those of the platform.
    pub ca_pem: Vec<u8>,
    /// How we introduce ourselves.
    pub user_agent: String,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// The largest body that is read, after decompression; of a log, the largest part that is kept.
    pub max_body_bytes: usize,
    /// How often a read is sent at most, the first time included.
    pub max_read_attempts: usize,
    /// Who takes secrets out of what the server says. The token is taken out anyway.
    pub mask: Option<Arc<dyn Mask>>,
    /// Who is told about each request.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Config {
    /// A configuration with defaults for all but these two.
    #[must_use]
    pub fn new(base_url: Url, token: Token) -> Self {
        Self {
            base_url,
            token,
            ca_pem: Vec::new(),
            user_agent: concat!("zadig-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
            // A list of 10,000 environments has some 3 MB; no other answer comes near.
            max_body_bytes: 8 << 20,
            max_read_attempts: 3,
            mask: None,
            observer: None,
        }
    }

    /// The base URL, checked: nothing in it may take part in a request but scheme, host and path.
    pub(crate) fn checked_url(&self) -> Result<Url, Error> {
        let url = &self.base_url;
        let wrong = match url.scheme() {
            "http" | "https" if url.host_str().is_none_or(str::is_empty) => "has no host",
            "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
                "must not hold credentials"
            }
            "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
                "must not have a query or a fragment"
            }
            "http" | "https" => return Ok(url.clone()),
            _ => "must begin with http:// or https://",
        };
        Err(Error::config(format!("the url of zadig {wrong}"), None))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL that is still unchecked may hold a password, so only its host is shown.
        f.debug_struct("Config")
            .field("host", &self.base_url.host_str())
            .field("timeouts", &self.timeouts)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}

/// How long calls may take, from the first byte sent to the last one read.
///
/// Zadig's handlers have no deadline and go on when the client is gone (Z§8), so a call that changes
/// something and runs out of time has an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection to be made; part of the others.
    pub connect: Duration,
    /// For reads of Zadig's database.
    pub list: Duration,
    /// For reads of a cluster.
    pub detail: Duration,
    /// For writes that are finished in the background.
    pub write: Duration,
    /// For writes that wait for the cluster.
    pub slow: Duration,
}

impl Default for Timeouts {
    /// The times of Z§8.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            list: Duration::from_secs(10),
            detail: Duration::from_secs(30),
            write: Duration::from_mins(1),
            slow: Duration::from_mins(2),
        }
    }
}

impl Timeouts {
    /// The time of one class. A stream has no time of its own: its caller sets one.
    pub(crate) const fn of(&self, class: TimeoutClass) -> Duration {
        match class {
            TimeoutClass::List => self.list,
            TimeoutClass::Detail | TimeoutClass::Stream => self.detail,
            TimeoutClass::Write => self.write,
            TimeoutClass::Slow => self.slow,
        }
    }
}
