//! Calls the simulator in the process, as the recorder called the real server.
//!
//! Knows tokens and how a record is turned into a request; does not know what the answer should be.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::Service;

use super::compare::Answer;
use super::model::{Authorization, Exchange};
use crate::{Seed, Sim};

/// How long a stream that must stay silent is listened to, in real time.
const SILENCE: Duration = Duration::from_millis(50);

/// How long an answer may take in real time; on a virtual clock every answer is immediate.
const ANSWER: Duration = Duration::from_secs(30);

/// Calls the simulator in the process.
pub(crate) struct Caller {
    sim: Sim,
    admin: String,
    /// Tokens by user, for the records that another user sent.
    users: HashMap<String, String>,
}

impl Caller {
    /// Calls with the tokens of the seed's users; the first system administrator is the one of `valid`.
    pub(crate) fn new(sim: Sim, seed: &Seed) -> Self {
        let users: HashMap<String, String> = seed
            .document
            .users
            .iter()
            .filter_map(|user| Some((user.name.clone(), sim.token(&user.name)?)))
            .collect();
        let admin = seed
            .document
            .users
            .iter()
            .find(|user| user.system_admin)
            .and_then(|user| users.get(&user.name).cloned())
            .unwrap_or_default();
        Self { sim, admin, users }
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Reads a route as the administrator; a body that is no JSON is null.
    pub(crate) async fn get(&self, path: &str, project: &str) -> (u16, Value) {
        let query = [("projectKey".to_owned(), project.to_owned())];
        match self.call("GET", path, &query).await {
            Ok(answer) => (
                answer.status,
                serde_json::from_slice(&answer.body).unwrap_or_default(),
            ),
            Err(_) => (0, Value::Null),
        }
    }

    /// A call as the administrator.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Answer, String> {
        let request = Request::builder()
            .method(method)
            .uri(uri(path, query))
            .header("authorization", format!("Bearer {}", self.admin))
            .body(Body::empty());
        self.send(request).await
    }

    pub(crate) async fn send(
        &self,
        request: http::Result<Request<Body>>,
    ) -> Result<Answer, String> {
        let request = request.map_err(|error| format!("cannot be sent: {error}"))?;
        let silent = request.uri().path().starts_with(LOG_STREAM);
        tokio::time::timeout(ANSWER, self.exchange(request, silent))
            .await
            .map_err(|_| "no answer".to_owned())?
    }

    async fn exchange(&self, request: Request<Body>, silent: bool) -> Result<Answer, String> {
        let Ok(response) = self.sim.router().call(request).await;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = if silent {
            listen(response.into_body()).await?
        } else {
            let body = response.into_body().collect().await;
            body.map_err(|error| format!("the body broke off: {error}"))?
                .to_bytes()
                .to_vec()
        };
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }

    pub(crate) fn request(
        &self,
        exchange: &Exchange,
    ) -> Result<http::Result<Request<Body>>, String> {
        let admin = &self.admin;
        let query: Vec<(String, String)> = exchange
            .query
            .iter()
            .map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (
                    key.clone(),
                    if text == "<token>" {
                        admin.clone()
                    } else {
                        text
                    },
                )
            })
            .collect();
        let mut request = Request::builder()
            .method(exchange.method.as_str())
            .uri(uri(&exchange.path, &query));
        for (name, value) in &exchange.request_headers {
            request = request.header(name.as_str(), value.as_str().unwrap_or_default());
        }
        if let Some(authorization) = self.authorization(exchange)? {
            request = request.header("authorization", authorization);
        }
        let body = match &exchange.request_body {
            Value::Null => Body::empty(),
            Value::String(text) => Body::from(text.clone()),
            value => Body::from(value.to_string()),
        };
        Ok(request.body(body))
    }

    /// The header of a record; what `other` means is told by the record's name (golden/README.md, "Records").
    fn authorization(&self, exchange: &Exchange) -> Result<Option<String>, String> {
        let admin = &self.admin;
        let name = exchange.name.as_str();
        let of_user = name.split('.').next().and_then(|user| self.users.get(user));
        match (exchange.authorization, of_user) {
            (Authorization::None, _) => Ok(None),
            (Authorization::Valid, _) => Ok(Some(format!("Bearer {admin}"))),
            (Authorization::Other, Some(token)) => Ok(Some(format!("Bearer {token}"))),
            (Authorization::Other, None) if name.contains("garbage") => {
                Ok(Some("Bearer not-a-jwt".to_owned()))
            }
            (Authorization::Other, None) if name.contains("scheme") => {
                Ok(Some(format!("Token {admin}")))
            }
            (Authorization::Other, None) if name.contains("tampered") => {
                let kept = admin.len().saturating_sub(4);
                let end = if admin.ends_with("AAAA") {
                    "BBBB"
                } else {
                    "AAAA"
                };
                Ok(Some(format!("Bearer {}{end}", &admin[..kept])))
            }
            (Authorization::Other, None) => {
                Err("the name of the record does not tell whose token it was sent with".to_owned())
            }
        }
    }
}

/// Routes whose answer never ends (Z§4.20).
const LOG_STREAM: &str = "/openapi/logs/sse/";

/// A stream that must stay open; what comes is the body.
async fn listen(mut body: Body) -> Result<Vec<u8>, String> {
    match tokio::time::timeout(SILENCE, body.frame()).await {
        Err(_) => Ok(Vec::new()),
        Ok(None) => Err("expected a stream that stays open, got its end".to_owned()),
        Ok(Some(Ok(frame))) => Ok(frame
            .into_data()
            .map(|data| data.to_vec())
            .unwrap_or_default()),
        Ok(Some(Err(error))) => Err(format!("the stream broke off: {error}")),
    }
}

/// A request's target with everything escaped that a URI does not hold.
fn uri(path: &str, query: &[(String, String)]) -> String {
    let mut uri = escape(path, b"/-._~!$&'()*+,;=:@%");
    for (index, (key, value)) in query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(&escape(key, b"-._~"));
        uri.push('=');
        uri.push_str(&escape(value, b"-._~"));
    }
    uri
}

fn escape(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            escaped.push('%');
            escaped.push(char::from(DIGITS[usize::from(byte >> 4)]));
            escaped.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_escaped() {
        assert_eq!(
            uri("/pods/<pod>/x", &[("a".to_owned(), "b c&d".to_owned())]),
            "/pods/%3Cpod%3E/x?a=b%20c%26d"
        );
    }
}
