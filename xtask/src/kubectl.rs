//! kubectl: what a person types is proven with what a person types it into. It is not built or fetched: a person has one.

use std::process::Command;
use std::sync::LazyLock;

static FOUND: LazyLock<bool> = LazyLock::new(|| {
    let version = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    version.is_ok_and(|output| output.status.success())
});

/// Whether there is one on `PATH` that runs. Tests that need it pass without it, and `cargo xtask test` tells that they did.
#[must_use]
pub fn is_there() -> bool {
    *FOUND
}
