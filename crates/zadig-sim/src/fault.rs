//! Faults: which calls go wrong, and how.
//!
//! A rule never decides what a call would have answered; that is the business of the routes.

use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// One rule; the first one that matches a call decides.
///
/// All conditions that are given must hold. Without conditions a rule matches every call of the OpenAPI.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A regular expression searched for in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The operation's name as the journal shows it, such as `environment.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Text that the request's body or query contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// The user who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only calls that change something (`true`) or only reads (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutating: Option<bool>,
    /// The first matching call that goes wrong, counted from 1; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How many go wrong from there; if absent, one with `nth` and all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens.
    pub action: FaultAction,
}

impl FaultRule {
    /// A rule for every call.
    #[must_use]
    pub fn always(action: FaultAction) -> Self {
        Self {
            method: None,
            path: None,
            operation: None,
            contains: None,
            user: None,
            mutating: None,
            nth: None,
            times: None,
            action,
        }
    }

    /// Only calls of this operation.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only calls with this method and a path in which `path` is found.
    #[must_use]
    pub fn at(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// Only the `n`-th matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// Only that many matching calls.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Answer with this status and body instead of doing anything.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The body; empty if absent.
        #[serde(default)]
        body: String,
    },
    /// Do it, but later: when the time is over or the rules are removed, whichever is first.
    Delay {
        /// How long to wait at most before anything is done.
        milliseconds: u64,
    },
    /// Do it, then close the connection without an answer.
    DropAnswer,
    /// Do nothing and close the connection.
    DropRequest,
    /// Do it, but nothing that would go on after the answer ever happens: the status sticks.
    Stick,
    /// Answer with a web page, as a gateway without its backend does, instead of doing anything.
    Html,
    /// Do it, and answer with the first half of the body alone.
    Truncated,
    /// Do it, and answer with a body of that many bytes.
    HugeBody {
        /// The size.
        bytes: usize,
    },
    /// Answer with a redirect instead of doing anything.
    Redirect {
        /// Where to.
        location: String,
    },
    /// Do it, and replace a text in the answer, as shared error objects do (Z§2.2, 5).
    SwapText {
        /// What is replaced, everywhere.
        from: String,
        /// By what.
        to: String,
    },
    /// Answer as if the user had lost its permission: lists are 200 `[]`, the rest is 403 without a body (Z§1.2).
    ForgetPermission,
    /// Answer 401 without a body.
    Unauthorized,
    /// Lose all data first, as a Zadig that comes back on an empty database, and answer from that.
    RestartEmpty,
    /// Do it, then kill and start the process: what would go on after the answer is lost, and so is the answer.
    Crash,
}

/// The rules in force, with what each has seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Armed>,
    cleared: watch::Sender<()>,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    path: Option<Regex>,
    seen: u64,
}

/// What a rule is matched against.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) mutating: bool,
}

impl Faults {
    /// Adds a rule; a path that is no regular expression matches as plain text.
    pub(crate) fn add(&mut self, rule: FaultRule) {
        let path = rule.path.as_deref().and_then(|text| {
            Regex::new(text)
                .or_else(|_| Regex::new(&regex::escape(text)))
                .ok()
        });
        self.rules.push(Armed {
            rule,
            path,
            seen: 0,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.cleared.send_replace(());
    }

    /// Changes when the rules are removed.
    pub(crate) fn cleared(&self) -> watch::Receiver<()> {
        self.cleared.subscribe()
    }

    /// The action for this call; every rule that matches counts it, the first one that is due decides.
    pub(crate) fn decide(&mut self, subject: &Subject<'_>) -> Option<FaultAction> {
        let mut decided = None;
        for armed in &mut self.rules {
            if !armed.matches(subject) {
                continue;
            }
            armed.seen += 1;
            if decided.is_none() && armed.is_due() {
                decided = Some(armed.rule.action.clone());
            }
        }
        decided
    }
}

impl Armed {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let rule = &self.rule;
        rule.method
            .as_deref()
            .is_none_or(|method| method.eq_ignore_ascii_case(subject.method))
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.is_match(subject.path))
            && rule
                .operation
                .as_deref()
                .is_none_or(|operation| operation == subject.operation)
            && rule
                .contains
                .as_deref()
                .is_none_or(|text| subject.body.contains(text) || subject.query.contains(text))
            && rule
                .user
                .as_deref()
                .is_none_or(|user| subject.user == Some(user))
            && rule
                .mutating
                .is_none_or(|mutating| mutating == subject.mutating)
    }

    fn is_due(&self) -> bool {
        let first = self.rule.nth.unwrap_or(1);
        let times = match (self.rule.times, self.rule.nth) {
            (Some(times), _) => times,
            (None, Some(_)) => 1,
            (None, None) => u64::MAX,
        };
        self.seen >= first && self.seen - first < times
    }
}

impl FaultAction {
    /// How long the call waits before anything is done.
    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Delay { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(faults: &mut Faults, operation: &str) -> Option<FaultAction> {
        faults.decide(&Subject {
            method: "GET",
            path: "/openapi/environments/dev",
            query: "",
            body: "",
            operation,
            user: None,
            mutating: false,
        })
    }

    #[test]
    fn the_nth_matching_call_alone_goes_wrong() {
        let mut faults = Faults::default();
        faults.add(FaultRule::always(FaultAction::Html).on("a").nth(2));
        let seen: Vec<bool> = ["a", "b", "a", "a"]
            .iter()
            .map(|name| decide(&mut faults, name).is_some())
            .collect();
        assert_eq!(seen, [false, false, true, false]);
    }

    #[test]
    fn a_path_is_searched_for_as_a_regular_expression() {
        let mut faults = Faults::default();
        faults.add(FaultRule::always(FaultAction::Html).at("get", "environments/d.v$"));
        assert_eq!(decide(&mut faults, "a"), Some(FaultAction::Html));
        assert_eq!(decide(&mut faults, "a"), Some(FaultAction::Html));
    }
}
