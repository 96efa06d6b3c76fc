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

    pub(crate) fn request(&self, exchange: &Exchange) -> http::Result<Request<Body>> {
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
        if let Some(authorization) = self.authorization(exchange) {
            request = request.header("authorization", authorization);
        }
        let body = match &exchange.request_body {
            Value::Null => Body::empty(),
            Value::String(text) => Body::from(text.clone()),
            value => Body::from(value.to_string()),
        };
        request.body(body)
    }

    /// The header of a record; what `other` means is told by the record's name and note (golden/README.md, "Records").
    fn authorization(&self, exchange: &Exchange) -> Option<String> {
        let admin = &self.admin;
        let name = exchange.name.as_str();
        let of_user = name.split('.').next().and_then(|user| self.users.get(user));
        match (exchange.authorization, of_user) {
            (Authorization::None, _) => None,
            (Authorization::Valid, _) => Some(format!("Bearer {admin}")),
            (Authorization::Other, Some(token)) => Some(format!("Bearer {token}")),
            (Authorization::Other, None) => Some(other_header(exchange, admin)),
        }
    }
}

/// The header that name and note describe; what they do not describe is told by whether it was let in.
fn other_header(exchange: &Exchange, valid: &str) -> String {
    let told = format!("{} {}", exchange.name, exchange.note).to_lowercase();
    let tells = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if tells(&["tampered", "signature"]) {
        let kept = valid.len().saturating_sub(4);
        let end = if valid.ends_with("AAAA") {
            "BBBB"
        } else {
            "AAAA"
        };
        format!("Bearer {}{end}", &valid[..kept])
    } else if tells(&["garbage", "expired", "malformed", "not-a-jwt"]) {
        "Bearer not-a-jwt".to_owned()
    } else if tells(&[
        "no-bearer",
        "no-scheme",
        "no-word",
        "without",
        "bare",
        "alone",
    ]) {
        valid.to_owned()
    } else if tells(&["scheme", "word"]) || exchange.status != 401 {
        format!("Token {valid}")
    } else {
        "Bearer not-a-jwt".to_owned()
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

    fn header(name: &str, note: &str, status: u16) -> String {
        let exchange = serde_json::json!({
            "name": name, "note": note, "method": "GET", "path": "/", "status": status, "ts": "2026-01-01T00:00:00Z"
        });
        other_header(&serde_json::from_value(exchange).unwrap(), "the-token")
    }

    #[test]
    fn another_header_is_what_name_and_note_tell() {
        let told = [
            header("auth.garbage-token", "", 401),
            header("auth.tampered-token", "", 401),
            header(
                "auth.other-scheme-word",
                "only the second part is read",
                200,
            ),
            header("auth.x", "the token without a word before it", 401),
            header("auth.y", "", 401),
            header("auth.z", "", 200),
        ];
        assert_eq!(
            told,
            [
                "Bearer not-a-jwt",
                "Bearer the-tAAAA",
                "Token the-token",
                "the-token",
                "Bearer not-a-jwt",
                "Token the-token",
            ]
        );
    }

    #[test]
    fn a_target_is_escaped() {
        assert_eq!(
            uri("/pods/<pod>/x", &[("a".to_owned(), "b c&d".to_owned())]),
            "/pods/%3Cpod%3E/x?a=b%20c%26d"
        );
    }
}
