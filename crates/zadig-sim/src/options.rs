//! How a simulator behaves that its seed does not say: level, licence, clock and the durations of everything that takes time.
//!
//! The figures of [`Pace::default`] are those of a quiet Zadig 4.2.1, measured from outside (Z§19).

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The Zadig release whose behaviour is simulated (Z§12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Level {
    /// Zadig 4.2.1.
    #[default]
    #[serde(rename = "4.2")]
    V42,
    /// Zadig 4.3.0.
    #[serde(rename = "4.3")]
    V43,
    /// Zadig 5.0.0.
    #[serde(rename = "5.0")]
    V50,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_start_matches('v');
        match digits {
            _ if digits.starts_with("4.2") => Ok(Self::V42),
            _ if digits.starts_with("4.3") => Ok(Self::V43),
            _ if digits.starts_with("5.0") => Ok(Self::V50),
            _ => Err(format!("unknown level {text:?}: one of 4.2, 4.3, 5.0")),
        }
    }
}

/// What the licence service would say (Z§1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Licence {
    /// Gated routes are 400 with code 7050.
    None,
    /// Professional gates open, enterprise gates do not.
    #[default]
    Professional,
    /// Every gate opens.
    Enterprise,
    /// The licence service does not answer: gated routes are 500.
    Unreachable,
}

impl FromStr for Licence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "professional" => Ok(Self::Professional),
            "enterprise" => Ok(Self::Enterprise),
            "unreachable" => Ok(Self::Unreachable),
            _ => Err(format!(
                "unknown licence {text:?}: one of none, professional, enterprise, unreachable"
            )),
        }
    }
}

/// Where the simulator's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockMode {
    /// The system clock.
    #[default]
    Real,
    /// Time stands still between calls of [`crate::Sim::advance`] and [`crate::Sim::advance_to`].
    ///
    /// Answers are then immediate: what a real server does before its answer takes no virtual time.
    Virtual {
        /// The first instant.
        start: jiff::Timestamp,
    },
}

/// How long things take.
///
/// Every duration is in the simulator's own time, real or virtual.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Until a create has answered.
    pub create_answer: Duration,
    /// Until an add or update of services, or a change of variables, has answered; the project's lock is held meanwhile (Z§7.1).
    pub update_answer: Duration,
    /// Until any other mutation has answered.
    pub other_answer: Duration,
    /// Added to the answer of a service removal for each object it deletes and waits for (Z§4.12).
    pub object_removal: Duration,
    /// From the answer of a create until its services are applied.
    pub create_background: Duration,
    /// How often a creation looks at the readiness of its workloads; nothing succeeds before the first look (Z§4.6).
    pub create_look: Duration,
    /// From there to `failed`, if the API server refuses a manifest.
    pub create_refused: Duration,
    /// From the answer of an add or update to the end of its background part.
    pub update_background: Duration,
    /// From the answer of an environment's deletion until it is off the list.
    pub delete_background: Duration,
    /// From there until its namespace is `Terminating`.
    pub namespace_deletion: Duration,
    /// How long a namespace is `Terminating` (Z§4.9).
    pub namespace_terminating: Duration,
    /// From a pod's creation to its readiness.
    pub pod_ready: Duration,
    /// From the answer of a Helm create to `success`.
    pub helm_create: Duration,
    /// From the answer of a Helm add to the end of its upgrade.
    pub helm_upgrade: Duration,
    /// From the answer of a Helm add whose values cannot be read to `failed`.
    pub helm_refused: Duration,
    /// From the answer of a deletion to the removal of Helm releases.
    pub helm_uninstall: Duration,
    /// How long a deleted configuration object is still listed (Z§4.14).
    pub config_deletion: Duration,
    /// The pause between two attempts at the project's lock (Z§7.1).
    pub lock_retry: Duration,
    /// Requests a second that Zadig's own Kubernetes client may make, beyond a burst of ten (Z§8); `None` is without limit.
    pub kube_requests_per_second: Option<f64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            create_answer: Duration::from_millis(150),
            update_answer: Duration::from_millis(60),
            other_answer: Duration::from_millis(20),
            object_removal: Duration::from_millis(600),
            create_background: Duration::from_millis(40),
            create_look: Duration::from_secs(1),
            create_refused: Duration::from_millis(560),
            update_background: Duration::from_millis(90),
            delete_background: Duration::from_millis(10),
            namespace_deletion: Duration::from_millis(120),
            namespace_terminating: Duration::from_secs(6),
            pod_ready: Duration::from_millis(300),
            helm_create: Duration::from_millis(20),
            helm_upgrade: Duration::from_millis(800),
            helm_refused: Duration::from_millis(10),
            helm_uninstall: Duration::from_millis(40),
            config_deletion: Duration::from_millis(105),
            lock_retry: Duration::from_millis(500),
            kube_requests_per_second: Some(5.0),
        }
    }
}

impl Pace {
    /// Every duration multiplied by `factor`, which must not be negative; the request limit is divided by it.
    #[must_use]
    pub fn scaled(factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 {
            factor
        } else {
            0.0
        };
        let real = Self::default();
        Self {
            create_answer: real.create_answer.mul_f64(factor),
            update_answer: real.update_answer.mul_f64(factor),
            other_answer: real.other_answer.mul_f64(factor),
            object_removal: real.object_removal.mul_f64(factor),
            create_background: real.create_background.mul_f64(factor),
            create_look: real.create_look.mul_f64(factor),
            create_refused: real.create_refused.mul_f64(factor),
            update_background: real.update_background.mul_f64(factor),
            delete_background: real.delete_background.mul_f64(factor),
            namespace_deletion: real.namespace_deletion.mul_f64(factor),
            namespace_terminating: real.namespace_terminating.mul_f64(factor),
            pod_ready: real.pod_ready.mul_f64(factor),
            helm_create: real.helm_create.mul_f64(factor),
            helm_upgrade: real.helm_upgrade.mul_f64(factor),
            helm_refused: real.helm_refused.mul_f64(factor),
            helm_uninstall: real.helm_uninstall.mul_f64(factor),
            config_deletion: real.config_deletion.mul_f64(factor),
            lock_retry: real.lock_retry.mul_f64(factor),
            kube_requests_per_second: real
                .kube_requests_per_second
                .filter(|_| factor > 0.0)
                .map(|limit| limit / factor),
        }
    }

    /// A hundredth of the measured durations and no request limit: for tests.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            kube_requests_per_second: None,
            ..Self::scaled(0.01)
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fast" => Ok(Self::fast()),
            "real" => Ok(Self::default()),
            _ => match text.parse::<f64>() {
                Ok(factor) if factor.is_finite() && factor >= 0.0 => Ok(Self::scaled(factor)),
                _ => Err(format!(
                    "unknown pace {text:?}: fast, real, or a factor such as 0.1"
                )),
            },
        }
    }
}

/// What a simulator is started with besides its seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Overrides the seed's level.
    pub level: Option<Level>,
    /// Overrides the seed's licence.
    pub licence: Option<Licence>,
    /// Overrides the seed's clusters: whether they are meshes.
    pub istio: Option<bool>,
    /// Overrides the seed's service start timeout: how long a creation waits for readiness (Z§4.6).
    pub start_timeout: Option<Duration>,
    /// Real or virtual time.
    pub clock: ClockMode,
    /// How long things take.
    pub pace: Pace,
    /// Added to every answer, as a network would (real clock only).
    pub latency: Duration,
}
