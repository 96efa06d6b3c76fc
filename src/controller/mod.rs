//! The only module that touches the network.

use tokio_util::sync::CancellationToken;

/// What the controllers need to know of their process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the operator's own objects (Lease, digest key).
    pub namespace: String,
    /// Namespaces to watch; empty: all.
    pub watch_namespaces: Vec<String>,
    /// Reconciles of one kind at the same time.
    pub concurrency: u16,
}

/// Why the controllers could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// Runs the controllers until `shutdown`.
pub async fn run(
    _client: kube::Client,
    _settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    shutdown.cancelled().await;
    Ok(())
}
