//! The classes of trouble, a closed set for callers and metrics.
//!
//! Which error is of which class is said in `error.rs`; what to do about a class is up to the caller.

/// The class of an error: what it means to a caller, whatever the call was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No Zadig answered: no connection, 502 to 504, or the circuit breaker is open.
    Unreachable,
    /// No complete answer in time.
    TimedOut,
    /// 429.
    Throttled,
    /// 401: no token, or one that is not valid.
    Unauthorized,
    /// 403: not permitted; can be transient (Z§1.2).
    Forbidden,
    /// 403 that asks for a second factor (4.3 and later).
    MfaRequired,
    /// 400 with code 7050: the licence does not cover this route.
    LicenceRefused,
    /// Any other refusal that concerns the request: 400, and 4xx in general.
    Rejected,
    /// 500 of a handler: no sign of bad health, often a refusal (Z§2.2, 1).
    Internal,
    /// 404 or 405 of the router: this Zadig does not have the route.
    NotFoundRoute,
    /// 404 of add or update services: no such environment (Z§2.4).
    EnvironmentNotFound,
    /// HTML, a truncated body, or JSON of another form.
    UnexpectedResponse,
    /// The answer exceeds the bound.
    BodyTooLarge,
    /// A redirect that was not followed.
    RedirectRefused,
    /// Refused by the client itself, before anything was sent.
    InvalidRequest,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::Unreachable,
        Self::TimedOut,
        Self::Throttled,
        Self::Unauthorized,
        Self::Forbidden,
        Self::MfaRequired,
        Self::LicenceRefused,
        Self::Rejected,
        Self::Internal,
        Self::NotFoundRoute,
        Self::EnvironmentNotFound,
        Self::UnexpectedResponse,
        Self::BodyTooLarge,
        Self::RedirectRefused,
        Self::InvalidRequest,
    ];

    /// The word for metrics; one of a closed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Throttled => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::MfaRequired => "mfa_required",
            Self::LicenceRefused => "licence_refused",
            Self::Rejected => "rejected",
            Self::Internal => "internal",
            Self::NotFoundRoute => "route_not_found",
            Self::EnvironmentNotFound => "environment_not_found",
            Self::UnexpectedResponse => "unexpected_response",
            Self::BodyTooLarge => "body_too_large",
            Self::RedirectRefused => "redirect_refused",
            Self::InvalidRequest => "invalid_request",
        }
    }
}
