//! Asks a running operator whether it is ready, as `helm test` does: the image holds nothing else that could ask.
//!
//! Plain HTTP to the operator's own endpoints ([`crate::server`]) and nowhere else, so no TLS, no redirects, no proxy.

use std::time::Duration;

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// More of an answer is not read.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Why the answer was no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address that can be asked.
    #[error("not an address such as http://host:8080/readyz")]
    Address,
    /// Nobody listens there, or the name is not known.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// What answers does not speak HTTP, or stopped in the middle.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The body is too long or broken off.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer at all.
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    TimedOut,
    /// The operator says that it is not ready, and why.
    #[error("{status}: {body}")]
    NotReady {
        /// Status of the answer.
        status: StatusCode,
        /// What it says.
        body: String,
    },
}

/// Asks until the answer is yes, and returns its text.
///
/// # Errors
///
/// The last answer, once `wait` is over.
pub async fn ask(url: &Uri, wait: Duration) -> Result<String, Error> {
    let deadline = Instant::now() + wait;
    loop {
        let answer = tokio::time::timeout(PATIENCE, once(url)).await;
        match answer.unwrap_or(Err(Error::TimedOut)) {
            Ok(text) => return Ok(text),
            Err(error @ Error::Address) => return Err(error),
            Err(error) if Instant::now() + PAUSE > deadline => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn once(url: &Uri) -> Result<String, Error> {
    let host = url.host().filter(|_| url.scheme_str() == Some("http"));
    let (Some(host), Some(authority)) = (host, url.authority()) else {
        return Err(Error::Address);
    };
    let port = url.port_u16().unwrap_or(80);
    // A literal IPv6 address stands in brackets in a URL.
    let address = (host.trim_matches(['[', ']']), port);
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Error::Http)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .body(Empty::<Bytes>::new())
        .map_err(|_| Error::Address)?;
    let answer = sender.send_request(request).await.map_err(Error::Http)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(Error::Body)?;
    let body = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
    if status.is_success() {
        Ok(body)
    } else {
        Err(Error::NotReady { status, body })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::{Health, Phase, serve};

    async fn served(health: &Health) -> (Uri, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let metrics = crate::telemetry::metrics().unwrap();
        let server = serve(listener, health.clone(), metrics, CancellationToken::new());
        let server = AbortOnDropHandle::new(tokio::spawn(server));
        (url.parse().unwrap(), server)
    }

    #[tokio::test]
    async fn an_operator_that_is_not_ready_says_why() {
        let health = Health::default();
        let (url, _server) = served(&health).await;
        let error = ask(&url, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), "503 Service Unavailable: starting");
        health.set(Phase::Leading);
        assert_eq!(ask(&url, Duration::ZERO).await.unwrap(), "leading");
    }

    #[tokio::test]
    async fn one_that_becomes_ready_is_waited_for() {
        let health = Health::default();
        let (url, _server) = served(&health).await;
        let later = async {
            tokio::time::sleep(PAUSE / 2).await;
            health.set(Phase::Leading);
        };
        let (answer, ()) = tokio::join!(ask(&url, PATIENCE), later);
        assert_eq!(answer.unwrap(), "leading");
    }

    #[tokio::test]
    async fn other_addresses_are_not_asked() {
        for url in ["https://127.0.0.1/readyz", "/readyz"] {
            let error = ask(&url.parse().unwrap(), PATIENCE).await.unwrap_err();
            assert!(matches!(error, Error::Address), "{url}: {error}");
        }
    }
}
