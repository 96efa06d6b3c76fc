//! The program kubectl, where there is one: what a person types is proven with what a person types it into.

use std::process::{Command, Output};
use std::sync::LazyLock;

use super::World;

static FOUND: LazyLock<bool> = LazyLock::new(|| {
    let version = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    version.is_ok_and(|output| output.status.success())
});

/// Whether there is a kubectl; says that something is skipped otherwise.
pub(crate) fn has_kubectl() -> bool {
    if !*FOUND {
        println!("skipped: there is no kubectl on PATH");
    }
    *FOUND
}

impl World {
    /// Runs kubectl in the scenario's namespace; what it prints, or says of what it cannot do.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(["--namespace", &self.namespace])
            .args(arguments);
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let Output {
            status,
            stdout,
            stderr,
        } = ran.expect("it ends").expect("kubectl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if status.success() {
            Ok(text(&stdout))
        } else {
            Err(format!("kubectl {arguments:?}: {}", text(&stderr)))
        }
    }
}
