//! Certificates and proxies.

use std::process::Command;

use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::server::TlsStream;
use zadig_client::{Client, Config, ErrorClass, Kind, Scope, Token};

use crate::server::{Server, TOKEN};

/// Takes connections with TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not like the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Starts a server whose certificate is signed by a CA that nobody knows, and returns its URL and
/// that CA.
async fn private_server() -> (url::Url, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    let app = axum::Router::new().fallback(|| async { axum::Json(serde_json::json!([])) });
    tokio::spawn(async move { axum::serve(Tls { listener, acceptor }, app).await });
    (
        format!("https://localhost:{port}").parse().unwrap(),
        ca.pem(),
    )
}

fn config(url: url::Url) -> Config {
    Config::new(url, Token::new(TOKEN).unwrap())
}

#[tokio::test]
async fn a_private_ca_is_trusted_when_it_is_given_and_not_else() {
    let (url, ca) = private_server().await;
    let mut trusting = config(url.clone());
    trusting.ca_pem = ca.into_bytes();
    let client = Client::new(trusting).unwrap();
    assert_eq!(
        client.list_environments(Scope::Test, "shop").await.unwrap(),
        []
    );

    let (_, other) = private_server().await;
    for ca in [String::new(), other] {
        let mut distrusting = config(url.clone());
        distrusting.ca_pem = ca.into_bytes();
        distrusting.max_read_attempts = 1;
        let client = Client::new(distrusting).unwrap();
        let error = client
            .list_environments(Scope::Test, "shop")
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), Kind::Connect(_)), "{error:?}");
        assert_eq!(error.class(), ErrorClass::Unreachable);
    }
}

/// Set for the process that this test starts, which makes the calls: the variables that name proxies
/// belong to a whole process.
const TARGETS: &str = "ZADIG_CLIENT_TEST_TARGETS";

#[tokio::test]
async fn proxies_are_taken_from_the_environment_with_their_exceptions() {
    if let Ok(targets) = std::env::var(TARGETS) {
        for target in targets.split(' ') {
            let client = Client::new(config(target.parse().unwrap())).unwrap();
            client.list_environments(Scope::Test, "shop").await.unwrap();
        }
        return;
    }
    let proxy = Server::answering(200, Some("application/json"), "[]").await;
    let direct = Server::answering(200, Some("application/json"), "[]").await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "tls::proxies_are_taken_from_the_environment_with_their_exceptions",
        ])
        .env_clear()
        .env("HTTP_PROXY", proxy.url.as_str())
        .env("http_proxy", proxy.url.as_str())
        .env("NO_PROXY", "127.0.0.1")
        // No such host: only the proxy can answer for it.
        .env(TARGETS, format!("http://zadig.invalid {}", direct.url));
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let targets = |server: &Server| -> Vec<String> {
        server
            .asked()
            .into_iter()
            .map(|asked| asked.target)
            .collect()
    };
    assert_eq!(
        targets(&proxy),
        ["http://zadig.invalid/openapi/environments?projectKey=shop"]
    );
    assert_eq!(targets(&direct), ["/openapi/environments?projectKey=shop"]);
}
