//! Sends a request and reads the answer; every call of every file goes through [`Client::governed`].
//!
//! Here are the bounds: time, body size, redirects, repetition of reads, turns at the governor. What
//! a call means is elsewhere. A call that changes something is sent once, whatever happens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use url::Url;

use crate::answer::Answer;
use crate::call::Call;
use crate::class::ErrorClass;
use crate::config::{Config, Timeouts};
use crate::connect::http_client;
use crate::error::{Error, Kind};
use crate::gate::Gate;
use crate::limit::{Governor, Permit, ProjectTurn, Verdict};
use crate::mask::Mask;
use crate::observer::Observer;
use crate::routes::{Effect, Route, TimeoutClass};
use crate::token::Token;

/// Redirects of a read that are followed within one server: one for a trailing slash (Z§1.4), and
/// some for a gateway's own.
const MAX_REDIRECTS: usize = 3;

/// Repetition of reads: enough to get over a restart of a gateway's upstream, short enough that a
/// caller who waits does not notice.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LAST_DELAY: Duration = Duration::from_secs(2);

/// The longest `Retry-After` that is waited for here; above it the caller is told.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Marks that no server has told its time yet.
const NO_SKEW: i64 = i64::MIN;

/// A client of one Zadig, with one token.
///
/// Cloning is cheap, and clones share connections. All methods take names as they are, without
/// encoding, and refuse an empty project, environment or service before anything is sent.
///
/// # Errors
///
/// Every method fails with [`Error`]; [`Error::class`] says what it means. Methods that change
/// something are sent once: after [`Error::outcome_unknown`] look before you repeat.
///
/// # Cancellation
///
/// Dropping the future of a read is harmless. Dropping that of a write leaves its outcome unknown:
/// Zadig goes on (Z§8).
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    governor: Option<Arc<Governor>>,
    all: Option<Arc<Governor>>,
    gate: Option<Arc<dyn Gate>>,
    tenant: Arc<str>,
}

#[derive(Clone)]
struct Shared {
    http: reqwest::Client,
    base: Url,
    token: Token,
    authorization: HeaderValue,
    timeouts: Timeouts,
    max_body_bytes: usize,
    max_read_attempts: usize,
    mask: Option<Arc<dyn Mask>>,
    observer: Option<Arc<dyn Observer>>,
    /// Seconds that the server's clock is ahead of ours.
    skew: Arc<AtomicI64>,
}

impl Client {
    /// Builds a client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for a URL, certificate or token that cannot be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        let base = config.checked_url()?;
        let http = http_client(&config)?;
        let authorization = authorization(&config.token)?;
        let Config {
            token,
            timeouts,
            max_body_bytes,
            max_read_attempts,
            mask,
            observer,
            ..
        } = config;
        let shared = Shared {
            http,
            base,
            token,
            authorization,
            timeouts,
            max_body_bytes,
            max_read_attempts,
            mask,
            observer,
            skew: Arc::new(AtomicI64::new(NO_SKEW)),
        };
        Ok(Self {
            shared: Arc::new(shared),
            governor: None,
            all: None,
            gate: None,
            tenant: Arc::from(""),
        })
    }

    /// The same client with another token; connections are kept.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn with_token(&self, token: Token) -> Result<Self, Error> {
        let authorization = authorization(&token)?;
        let shared = Shared {
            token,
            authorization,
            ..(*self.shared).clone()
        };
        Ok(Self {
            shared: Arc::new(shared),
            ..self.clone()
        })
    }

    /// The same client, each request of which first waits for its turn at the governor.
    #[must_use]
    pub fn with_governor(&self, governor: Arc<Governor>) -> Self {
        Self {
            governor: Some(governor),
            ..self.clone()
        }
    }

    /// The same client, each request of which waits for its turn at this governor too, after its own: that of all who call the same
    /// server. What is found of the server is told to the client's own governor alone, as another client's way there, or its
    /// certificates, may be better; the turns of projects are those of this one, as the server has one lock for all.
    #[must_use]
    pub fn within(&self, all: Arc<Governor>) -> Self {
        Self {
            all: Some(all),
            ..self.clone()
        }
    }

    /// The same client, whose calls that change something ask this gate when nothing is left to wait for.
    #[must_use]
    pub fn behind(&self, gate: Arc<dyn Gate>) -> Self {
        Self {
            gate: Some(gate),
            ..self.clone()
        }
    }

    /// The same client, whose requests wait in this tenant's own line at the governor.
    #[must_use]
    pub fn for_tenant(&self, tenant: impl Into<Arc<str>>) -> Self {
        Self {
            tenant: tenant.into(),
            ..self.clone()
        }
    }

    /// The URL this client was built with.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        &self.shared.base
    }

    /// Whether this is the token in use.
    #[must_use]
    pub fn uses_token(&self, token: &Token) -> bool {
        self.shared.token == *token
    }

    /// How far the server's clock was ahead of ours at its last answer, in whole seconds.
    ///
    /// `update_time` and its like are written with that clock (Z§6.3).
    #[must_use]
    pub fn clock_skew(&self) -> Option<jiff::SignedDuration> {
        let seconds = self.shared.skew.load(Ordering::Relaxed);
        (seconds != NO_SKEW).then(|| jiff::SignedDuration::from_secs(seconds))
    }

    /// Sends a call whose answer is JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        self.run(call, Answer::json).await
    }

    /// Sends a call whose answer is plain text.
    pub(crate) async fn text(&self, call: Call) -> Result<String, Error> {
        self.run(call, Answer::text).await
    }

    /// Sends a call that answers success or an error.
    pub(crate) async fn done(&self, call: Call) -> Result<(), Error> {
        self.run(call, Answer::done).await
    }

    /// The bound of a body.
    pub(crate) fn max_body_bytes(&self) -> usize {
        self.shared.max_body_bytes
    }

    async fn run<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Kind>,
    ) -> Result<T, Error> {
        let url = call.url(&self.shared.base)?;
        let time = self.shared.timeouts.of(call.route.timeout);
        let _turn = self.turn(&call).await;
        let attempt = || {
            self.governed(call.route, &url, async {
                timeout(time, self.exchange(&call, &url, &read))
                    .await
                    .unwrap_or(Err(Kind::TimedOut(time)))
            })
        };
        if call.route.effect == Effect::Write {
            return attempt().await;
        }
        let begun = Instant::now();
        attempt
            .retry(
                ExponentialBuilder::default()
                    .with_min_delay(FIRST_DELAY)
                    .with_max_delay(LAST_DELAY)
                    .with_max_times(self.shared.max_read_attempts.saturating_sub(1))
                    .with_jitter(),
            )
            // One repetition after a time-out, not more: a caller waits twice the time at most, and
            // the governor's queue.
            .when(|error| error.is_retryable_read() && begun.elapsed() < time * 3 / 2)
            .adjust(|error, delay| match (delay, error.retry_after()) {
                (Some(_), Some(after)) if after > MAX_RETRY_AFTER => None,
                (Some(delay), Some(after)) => Some(delay.max(after)),
                (delay, _) => delay,
            })
            .notify(|error, delay| {
                tracing::debug!(
                    operation = call.route.operation,
                    outcome = error.class().as_str(),
                    delay_ms = delay.as_millis(),
                    "repeating a read"
                );
            })
            .await
    }

    /// Waits for a turn, makes one exchange, and tells the governor and the observer how it went.
    pub(crate) async fn governed<T>(
        &self,
        route: &'static Route,
        url: &Url,
        exchange: impl Future<Output = Result<T, Kind>>,
    ) -> Result<T, Error> {
        let path = shown(url);
        // The one of all is given back by dropping it, which tells nothing of how it went.
        let (permit, _all) = self
            .admission(route)
            .await
            .map_err(|kind| Error::new(route, &*path, kind))?;
        // Nothing is waited for between this and the first byte.
        let shut = |gate: &Arc<dyn Gate>| route.effect == Effect::Write && !gate.is_open();
        if self.gate.as_ref().is_some_and(shut) {
            return Err(Error::new(route, path, Kind::Withheld));
        }
        // What the span bears is from the table of routes and the classes of answers, nothing of what is sent.
        let span = tracing::info_span!(
            "zadig",
            operation = route.operation,
            otel.kind = "client",
            outcome = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        );
        let begun = Instant::now();
        let result = exchange
            .instrument(span.clone())
            .await
            .map_err(|kind| Error::new(route, path, kind));
        let class = result.as_ref().err().map(Error::class);
        span.record("outcome", class.map_or("ok", ErrorClass::as_str));
        if class.is_some() {
            span.record("otel.status_code", "error");
        }
        if let Some(permit) = permit {
            match class {
                // A stream that does not begin tells nothing of the server: it may be the pod that does not answer.
                Some(ErrorClass::TimedOut) if route.timeout == TimeoutClass::Stream => drop(permit),
                Some(ErrorClass::Unreachable | ErrorClass::TimedOut) => {
                    permit.finish(Verdict::Unreachable);
                }
                _ => permit.finish(Verdict::Reached),
            }
        }
        if let Some(observer) = &self.shared.observer {
            observer.called(
                route,
                class.map_or("ok", ErrorClass::as_str),
                begun.elapsed(),
            );
        }
        result
    }

    /// Waits for the project's turn where Zadig would make the call wait.
    async fn turn(&self, call: &Call) -> Option<ProjectTurn> {
        let project = call.project.as_ref().filter(|_| call.route.locks_project)?;
        let governor = self.all.as_ref().or(self.governor.as_ref())?;
        Some(governor.turn_of(project).await)
    }

    /// The right to one request: of this client, and of all who call the server.
    async fn admission(
        &self,
        route: &'static Route,
    ) -> Result<(Option<Permit>, Option<Permit>), Kind> {
        let begun = Instant::now();
        let own = self.admitted(self.governor.as_ref()).await?;
        let all = self.admitted(self.all.as_ref()).await?;
        if let Some(observer) = &self.shared.observer
            && (own.is_some() || all.is_some())
        {
            observer.waited(route, begun.elapsed());
        }
        Ok((own, all))
    }

    async fn admitted(&self, governor: Option<&Arc<Governor>>) -> Result<Option<Permit>, Kind> {
        let Some(governor) = governor else {
            return Ok(None);
        };
        let permit = governor.admit(&self.tenant).await;
        permit.map(Some).map_err(|open| Kind::CircuitOpen {
            retry_in: open.retry_in,
        })
    }

    async fn exchange<T>(
        &self,
        call: &Call,
        url: &Url,
        read: impl Fn(&Answer) -> Result<T, Kind>,
    ) -> Result<T, Kind> {
        let mut response = self.open(call, url.clone()).await?;
        let body = self.body(&mut response).await?;
        read(&self.answer(call.route, &mut response, body))
    }

    /// Sends the request and returns once the head of a success has arrived.
    pub(crate) async fn open(&self, call: &Call, url: Url) -> Result<reqwest::Response, Kind> {
        let mut url = url;
        let mut redirects = 0;
        loop {
            let mut response = self.send(call, &url).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !status.is_redirection() {
                let body = self.body(&mut response).await?;
                return Err(Kind::Refused(
                    self.answer(call.route, &mut response, body).refusal(),
                ));
            }
            url = redirect_target(call.route, &url, &response)
                .filter(|_| redirects < MAX_REDIRECTS)
                .ok_or(Kind::Redirect {
                    status: status.as_u16(),
                })?;
            redirects += 1;
        }
    }

    async fn send(&self, call: &Call, url: &Url) -> Result<reqwest::Response, Kind> {
        let shared = &self.shared;
        let mut request = shared
            .http
            .request(call.route.verb.into(), url.clone())
            .header(header::AUTHORIZATION, shared.authorization.clone());
        if let Some(body) = &call.body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = request.send().await.map_err(|error| {
            let (connect, error) = (error.is_connect(), Box::new(error.without_url()));
            if connect {
                Kind::Connect(error)
            } else {
                Kind::Lost(error)
            }
        })?;
        self.note_time(&response);
        Ok(response)
    }

    /// Reads a body within the bound, which counts what comes out of the decompression.
    async fn body(&self, response: &mut reqwest::Response) -> Result<Bytes, Kind> {
        let limit = self.shared.max_body_bytes;
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(Kind::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(truncated)? {
            if body.len() + chunk.len() > limit {
                return Err(Kind::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn answer(
        &self,
        route: &'static Route,
        response: &mut reqwest::Response,
        body: Bytes,
    ) -> Answer {
        Answer {
            route,
            token: self.shared.token.clone(),
            mask: self.shared.mask.clone(),
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        }
    }

    fn note_time(&self, response: &reqwest::Response) {
        let date = response
            .headers()
            .get(header::DATE)
            .and_then(|value| value.to_str().ok());
        let Some(date) = date else { return };
        if let Ok(time) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date) {
            let skew = time.as_second() - jiff::Timestamp::now().as_second();
            self.shared.skew.store(skew, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.shared.base.as_str())
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// The error of a body that broke off.
pub(crate) fn truncated(error: reqwest::Error) -> Kind {
    Kind::Truncated(Box::new(error.without_url()))
}

/// Path and query, as an error shows them.
fn shown(url: &Url) -> String {
    url[url::Position::BeforePath..].to_owned()
}

/// Where a redirect leads, if it may be followed: a read, within the same server.
///
/// Anything else could carry the token, or a change, to somebody else.
fn redirect_target(route: &Route, from: &Url, response: &reqwest::Response) -> Option<Url> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let target = from.join(location).ok()?;
    let same_server = target.origin() == from.origin()
        && target.username().is_empty()
        && target.password().is_none();
    (route.effect == Effect::Read && same_server).then_some(target)
}

fn authorization(token: &Token) -> Result<HeaderValue, Error> {
    token
        .authorization()
        .map_err(|error| Error::config("the token cannot be sent", Some(Box::new(error))))
}
