//! A server on a free port of loopback that answers what a test tells it, and remembers what it was
//! asked.

use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use tokio::net::TcpListener;
use zadig_client::{Client, Config, Token};

/// The token of every test. No output of the client may hold it.
pub(crate) const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.dGVzdA.c2VjcmV0";

/// What a server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: url::Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts one that answers with what `reply` makes of a request and of its number, from 0.
    pub(crate) async fn start<F, R>(reply: F) -> Self
    where
        F: Fn(usize, Asked) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let app = axum::Router::new().fallback(move |request: Request| async move {
            let (head, body) = request.into_parts();
            let asked = Asked {
                method: head.method,
                target: head.uri.to_string(),
                headers: head.headers,
                body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
            };
            let number = {
                let mut log = log.lock().unwrap();
                log.push(asked.clone());
                log.len() - 1
            };
            reply(number, asked).await
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    /// Starts one that gives the same answer to all.
    pub(crate) async fn answering(
        status: u16,
        content_type: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let (content_type, body) = (content_type.map(str::to_owned), body.into());
        Self::start(move |_, _| {
            let (content_type, body) = (content_type.clone(), body.clone());
            async move { answer(status, content_type.as_deref(), body) }
        })
        .await
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        Config::new(self.url.clone(), Token::new(TOKEN).unwrap())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One answer.
pub(crate) fn answer(
    status: u16,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(content_type) = content_type {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    }
    response
}

/// An answer in JSON.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response<Body> {
    answer(
        status,
        Some("application/json; charset=utf-8"),
        body.to_string(),
    )
}
