//! The reconcile error: `reason()` for people, `retry()` for the queue.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use zadig_client::{ErrorClass, Scope};

use crate::api::condition::Reason;

/// Longest text of an error chain that is shown, in characters; an event holds 1 KiB.
const SHOWN: usize = 800;

/// How long a server that asks for patience is left alone at most. What it says may be a mistake, and an object that waits for days
/// looks like one that is forgotten.
const LONGEST_PATIENCE: Duration = Duration::from_mins(5);

/// Why one step of a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to Zadig failed.
    #[error("failed to {operation}")]
    Zadig {
        /// What was tried, as an infinitive.
        operation: String,
        /// What happened.
        #[source]
        source: zadig_client::Error,
    },
    /// Zadig's answers contradict each other: it lists nothing, yet shows the environment. That is how it answers a token
    /// without permission (Z§1.2).
    #[error(
        "zadig does not list environment {env} of project {project} but shows its detail: the token may not view the project's environments"
    )]
    Hidden {
        /// Project key.
        project: String,
        /// Environment key.
        env: String,
    },
    /// The connection found no Zadig when it last looked.
    #[error("the connection cannot be used: {message}")]
    ConnectionDown {
        /// Why, as the connection tells it: an outage.
        reason: Reason,
        /// The same for a person.
        message: String,
    },
    /// The project is not there, or the token may not see it.
    #[error("zadig shows no project {project} to this token")]
    ProjectNotFound {
        /// Project key.
        project: String,
        /// What Zadig answered.
        #[source]
        source: zadig_client::Error,
    },
    /// The project deploys in another way.
    #[error(
        "spec.deployType: {declared}, but project {project} is of Zadig's type {found}; it cannot be changed, so create a new ZadigEnvironment that fits the project"
    )]
    DeployType {
        /// Project key.
        project: String,
        /// The declared way.
        declared: &'static str,
        /// Zadig's word.
        found: String,
    },
    /// Zadig answers a Helm call with success and has done nothing: it has no such environment, or one of the other scope
    /// (Z§4.21).
    #[error(
        "failed to {operation}: zadig answered that it did nothing, as it finds no such environment; it is looked at again"
    )]
    NothingDone {
        /// What was tried, as an infinitive.
        operation: String,
    },
    /// Zadig answers a Helm call with success and tells of a failure within (Z§5.4).
    #[error("failed to {operation}: {message}")]
    ReleaseRefused {
        /// What was tried, as an infinitive.
        operation: String,
        /// Zadig's own words.
        message: String,
    },
    /// Zadig shows an object that is no object.
    #[error("zadig shows {kind} {name} in a form that cannot be read")]
    ConfigUnreadable {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The system gives no random numbers.
    #[error("failed to make a digest key: the system gives no random numbers")]
    Randomness,
    /// A request to Kubernetes failed.
    #[error("failed to {operation}")]
    Kubernetes {
        /// What was tried, as an infinitive.
        operation: &'static str,
        /// What happened.
        #[source]
        source: Box<kube::Error>,
    },
}

/// When to try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// With growing, jittered delay.
    Backoff,
    /// After this time.
    After(Duration),
    /// Rarely: a change of the spec, the Secret or the connection is the real retry.
    Slowly,
}

impl Error {
    /// A failed call to Zadig.
    pub fn zadig(operation: impl Into<String>) -> impl FnOnce(zadig_client::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Zadig { operation, source }
    }

    /// A failed request to Kubernetes.
    pub fn kubernetes(operation: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Kubernetes {
            operation,
            source: Box::new(source),
        }
    }

    /// The reason shown to people.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Zadig { source, .. } => class_reason(source.class()),
            Self::Hidden { .. } => Reason::Unauthorized,
            Self::ConnectionDown { reason, .. } => *reason,
            Self::ProjectNotFound { source, .. } => match source.class() {
                class @ (ErrorClass::Unauthorized
                | ErrorClass::MfaRequired
                | ErrorClass::Unreachable
                | ErrorClass::TimedOut
                | ErrorClass::Throttled
                | ErrorClass::UnexpectedResponse
                | ErrorClass::BodyTooLarge
                | ErrorClass::RedirectRefused) => class_reason(class),
                ErrorClass::Forbidden
                | ErrorClass::LicenceRefused
                | ErrorClass::Rejected
                | ErrorClass::Internal
                | ErrorClass::NotFoundRoute
                | ErrorClass::EnvironmentNotFound
                | ErrorClass::InvalidRequest => Reason::ProjectNotFound,
            },
            Self::DeployType { .. } => Reason::InvalidSpec,
            Self::NothingDone { .. } => Reason::ZadigError,
            Self::ReleaseRefused { .. } => Reason::Rejected,
            Self::ConfigUnreadable { .. } => Reason::UnexpectedResponse,
            Self::Kubernetes { .. } | Self::Randomness => Reason::KubernetesError,
        }
    }

    /// When to try again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Zadig { source, .. } => class_retry(source),
            // The connection's next look wakes its users; this one is for the end of their patience.
            Self::ConnectionDown { .. } => Retry::After(Duration::from_secs(30)),
            // A 403 or an empty list can be transient: the user service was restarting (Z§1.2).
            Self::Hidden { .. }
            | Self::ProjectNotFound { .. }
            | Self::DeployType { .. }
            | Self::ConfigUnreadable { .. } => Retry::Slowly,
            Self::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => {
                    Retry::After(Duration::from_millis(200))
                }
                _ => Retry::Backoff,
            },
            Self::NothingDone { .. } | Self::ReleaseRefused { .. } | Self::Randomness => {
                Retry::Backoff
            }
        }
    }

    /// Whether it tells of an outage of Zadig, not of this object.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        is_outage(self.reason())
    }

    /// Whether a change may have taken effect although the call failed.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Zadig { source, .. } if source.outcome_unknown())
    }

    /// Whether a change was not sent, as it might not be any more when its turn had come.
    #[must_use]
    pub fn was_withheld(&self) -> bool {
        matches!(self, Self::Zadig { source, .. } if matches!(source.kind(), zadig_client::Kind::Withheld))
    }

    /// Whether Zadig answered as it does for an environment that is missing, among other trouble.
    #[must_use]
    pub fn is_absence_shape(&self) -> bool {
        matches!(self, Self::Zadig { source, .. } if source.is_absence_shape())
    }

    /// Whether the licence was refused (code 7050).
    #[must_use]
    pub fn is_licence_refused(&self) -> bool {
        matches!(self, Self::Zadig { source, .. } if source.class() == ErrorClass::LicenceRefused)
    }

    /// Whether the licence may be what a list of production environments failed for: it is refused, or its service does not answer,
    /// which is told like any trouble inside Zadig (Z§1.3).
    #[must_use]
    pub fn may_be_licence(&self) -> bool {
        matches!(self, Self::Zadig { source, .. } if is_licensed_list(source)
            && matches!(source.class(), ErrorClass::LicenceRefused | ErrorClass::Internal))
    }

    /// The whole chain in one line, for a condition or a log line.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line, bounded.
#[must_use]
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    bounded(&text, SHOWN)
}

/// At most `max` characters of a text, with a mark where it was cut.
#[must_use]
pub fn bounded(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A text of at most so many bytes.
#[must_use]
pub fn bounded_bytes(text: &str, max: usize) -> String {
    const MARK: char = '…';
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub(MARK.len_utf8()));
    format!("{}{MARK}", &text[..end])
}

/// Whether a reason tells of an outage of Zadig.
#[must_use]
pub fn is_outage(reason: Reason) -> bool {
    matches!(reason, Reason::ZadigUnreachable | Reason::Throttled)
}

fn class_reason(class: ErrorClass) -> Reason {
    match class {
        ErrorClass::Unreachable | ErrorClass::TimedOut => Reason::ZadigUnreachable,
        ErrorClass::Throttled => Reason::Throttled,
        ErrorClass::Unauthorized | ErrorClass::Forbidden | ErrorClass::MfaRequired => {
            Reason::Unauthorized
        }
        ErrorClass::LicenceRefused => Reason::LicenceRequired,
        ErrorClass::Rejected | ErrorClass::EnvironmentNotFound => Reason::Rejected,
        ErrorClass::Internal => Reason::ZadigError,
        ErrorClass::NotFoundRoute
        | ErrorClass::UnexpectedResponse
        | ErrorClass::BodyTooLarge
        | ErrorClass::RedirectRefused => Reason::UnexpectedResponse,
        ErrorClass::InvalidRequest => Reason::InvalidSpec,
    }
}

fn is_gated(operation: &str) -> bool {
    matches!(
        operation,
        "put_global_variables" | "enable_sharing" | "disable_sharing" | "set_portal"
    )
}

/// Whether it is about a list of production environments, the first of the calls that ask for a licence.
fn is_licensed_list(error: &zadig_client::Error) -> bool {
    let is_production = |route: &zadig_client::Route| route.scope == Some(Scope::Production);
    error.operation() == "list_environments" && error.route().is_some_and(is_production)
}

fn class_retry(error: &zadig_client::Error) -> Retry {
    match error.class() {
        ErrorClass::Unreachable | ErrorClass::TimedOut | ErrorClass::Throttled => {
            let asked = error.retry_after();
            asked.map_or(Retry::Backoff, |after| {
                Retry::After(after.min(LONGEST_PATIENCE))
            })
        }
        // Most likely the licence service, which is asked for these calls (Z§1.3), is down.
        ErrorClass::Internal if is_gated(error.operation()) || is_licensed_list(error) => {
            Retry::Slowly
        }
        ErrorClass::Internal | ErrorClass::Rejected | ErrorClass::EnvironmentNotFound => {
            Retry::Backoff
        }
        ErrorClass::Unauthorized
        | ErrorClass::Forbidden
        | ErrorClass::MfaRequired
        | ErrorClass::LicenceRefused
        | ErrorClass::NotFoundRoute
        | ErrorClass::UnexpectedResponse
        | ErrorClass::BodyTooLarge
        | ErrorClass::RedirectRefused
        | ErrorClass::InvalidRequest => Retry::Slowly,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use zadig_client::{Client, Config, Token};

    use super::*;

    /// What a restart comes to that is answered with this status, line of the head, and JSON body.
    async fn refused(status: u16, header: &'static str, body: &'static str) -> Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            let head = format!(
                "HTTP/1.1 {status} x\r\n{header}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        });
        let config = Config::new(url.parse().unwrap(), Token::new("t0ken").unwrap());
        let client = Client::new(config).unwrap();
        let error = client
            .restart_service(Scope::Test, "shop", "dev", "api")
            .await
            .unwrap_err();
        answer.await.unwrap();
        Error::zadig("restart api")(error)
    }

    #[tokio::test]
    async fn a_server_that_asks_for_patience_gets_five_minutes_at_most() {
        for (header, seconds) in [
            ("retry-after: 7", 7),
            ("retry-after: 300", 300),
            ("retry-after: 31536000", 300),
            ("retry-after: 18446744073709551615", 300),
        ] {
            let error = refused(429, header, "{}").await;
            let expected = Retry::After(Duration::from_secs(seconds));
            assert_eq!(error.retry(), expected, "{header}");
        }
    }

    #[tokio::test]
    async fn z14_08_a_500_is_told_as_an_answer_and_not_as_an_outage() {
        let body = r#"{"code":500,"message":"Internal Error: ","description":"busy"}"#;
        let error = refused(500, "x: y", body).await;
        assert_eq!(
            (error.reason(), error.retry(), error.is_outage()),
            (Reason::ZadigError, Retry::Backoff, false)
        );
        assert!(!error.outcome_unknown());
        assert!(error.chain().ends_with("busy"), "{}", error.chain());
    }

    /// What is not tried again by itself is Stalled, which has an alert of its own.
    #[tokio::test]
    async fn what_is_tried_again_has_a_reason_that_the_alert_of_failing_reconciles_names() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("charts/zadig-operator/files/alerts.yaml");
        let alerts: Vec<serde_json::Value> =
            serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let alert = alerts
            .iter()
            .find(|alert| alert["alert"] == "ZadigReconcileErrors");
        let query = alert.unwrap()["expr"].as_str().unwrap();
        let (_, reasons) = query.split_once("reason=~\"").unwrap();
        let (reasons, _) = reasons.split_once('"').unwrap();
        let named: Vec<&str> = reasons.split('|').collect();

        let forbidden = kube::core::Status::failure("no", "Forbidden").with_code(403);
        let kubernetes = Error::kubernetes("read a Secret")(kube::Error::Api(forbidden.boxed()));
        let nobody = Error::ConnectionDown {
            reason: Reason::ZadigUnreachable,
            message: "no answer".to_owned(),
        };
        let answers = [
            (500, r#"{"code":500,"description":"busy"}"#),
            (400, r#"{"code":400,"description":"no"}"#),
            (401, r#"{"code":401,"description":"who"}"#),
            (403, r#"{"code":403,"description":"you may not"}"#),
            (404, r#"{"code":404,"description":"no route"}"#),
        ];
        let mut errors = vec![kubernetes, nobody];
        for (status, body) in answers {
            errors.push(refused(status, "x: y", body).await);
        }
        let (mut again, mut never) = (0, 0);
        for error in errors {
            let is_named = named.contains(&error.reason().as_str());
            let is_tried = error.retry() != Retry::Slowly;
            assert_eq!(is_named, is_tried, "{}", error.chain());
            *(if is_tried { &mut again } else { &mut never }) += 1;
        }
        assert!(again > 2 && never > 1, "{again} {never}");
    }
}
