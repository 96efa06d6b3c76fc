//! What can be wrong with an image, so that containers of it do not run.

use serde::{Deserialize, Serialize};

/// What is wrong with an image: each container of it fails in this way, in every cluster, until the image is mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ailment {
    /// Why the container waits, in Kubernetes' one word.
    pub reason: String,
    /// The same in words; also what the pod's event says.
    pub message: String,
    /// How often the container was started again.
    #[serde(default)]
    pub restarts: i32,
    /// What the container writes before it ends, each time; nothing if it never starts.
    #[serde(default)]
    pub log: Vec<String>,
}

impl Ailment {
    /// A program that writes this and ends, again and again.
    #[must_use]
    pub fn crash_loop(log: &[&str]) -> Self {
        Self {
            reason: "CrashLoopBackOff".to_owned(),
            message: "back-off 5m0s restarting failed container".to_owned(),
            restarts: 6,
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    /// An image that no registry has.
    #[must_use]
    pub fn missing(image: &str) -> Self {
        Self {
            reason: "ImagePullBackOff".to_owned(),
            message: format!("Back-off pulling image \"{image}\""),
            ..Self::default()
        }
    }

    /// Whether containers get as far as to run.
    pub(crate) fn runs(&self) -> bool {
        !self.log.is_empty()
    }

    /// The reason of the pod's event.
    pub(crate) fn event(&self) -> &'static str {
        if self.runs() { "BackOff" } else { "Failed" }
    }
}
