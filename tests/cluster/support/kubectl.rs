//! The program kubectl in a scenario.

use std::process::{Command, Output};

use super::World;

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
