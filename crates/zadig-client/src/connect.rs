//! The HTTP client beneath: trust, proxies, and what is never left to a library's default.
//!
//! Proxies come from the environment, roots from the platform and from the configuration. Redirects
//! are not followed here, as `client.rs` has rules of its own for them.

use std::time::Duration;

use crate::config::Config;
use crate::error::Error;

/// Builds it. Nothing is sent.
pub(crate) fn http_client(config: &Config) -> Result<reqwest::Client, Error> {
    // reqwest takes the provider of the process. Somebody else may have installed it before, or at
    // this moment: then theirs is as good.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let certificates = certificates(&config.ca_pem)?;
    let builder = || {
        reqwest::Client::builder()
            .user_agent(config.user_agent.as_str())
            .connect_timeout(config.timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_keepalive(Duration::from_secs(30))
    };
    let built = match builder().tls_certs_merge(certificates.clone()).build() {
        // A bare image has no platform roots, and plain HTTP needs none.
        Err(_) if config.base_url.scheme() == "http" => {
            builder().tls_certs_only(certificates).build()
        }
        built => built,
    };
    built.map_err(|error| {
        Error::config(
            "the http client cannot be built",
            Some(Box::new(error.without_url())),
        )
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, Error> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
        Error::config(
            "the ca certificates are not valid pem",
            Some(Box::new(error)),
        )
    })?;
    if certificates.is_empty() && !pem.trim_ascii().is_empty() {
        return Err(Error::config("the ca bundle holds no certificate", None));
    }
    Ok(certificates)
}
