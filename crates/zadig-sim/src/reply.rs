//! What a handler answers: the success forms and the error shapes of Z§2.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

/// `application/json`, as every JSON answer has it (Z§1.1).
pub(crate) const JSON: &str = "application/json; charset=utf-8";
/// `text/plain`, for YAML and route errors (Z§1.1).
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// An answer, and how long the server takes for it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Body,
    /// How long the work before the answer takes.
    pub(crate) answer: Duration,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// Sent whole.
    Whole(String),
    /// These pieces are sent, and then nothing, without an end (Z§4.20).
    Endless(Vec<String>),
}

/// Success or one of Zadig's refusals.
pub(crate) type Outcome = Result<Reply, Fail>;

impl Reply {
    /// 200 with a JSON body.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self {
            status: 200,
            content_type: Some(JSON),
            body: Body::Whole(go_json(value)),
            answer: Duration::ZERO,
        }
    }

    /// 200 `{"message":"success"}` (Z§2.1).
    pub(crate) fn success() -> Self {
        Self::json(&json!({ "message": "success" }))
    }

    /// 200 with a text.
    pub(crate) fn text(text: String) -> Self {
        Self {
            status: 200,
            content_type: Some(TEXT),
            body: Body::Whole(text),
            answer: Duration::ZERO,
        }
    }

    /// A status with nothing else (shape C).
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            body: Body::Whole(String::new()),
            answer: Duration::ZERO,
        }
    }

    /// The same answer, after that much work.
    pub(crate) fn after(mut self, answer: Duration) -> Self {
        self.answer = answer;
        self
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fail {
    /// Shape A: a coded error returned directly.
    Coded {
        /// The code.
        code: u16,
        /// The fixed text.
        message: &'static str,
        /// What the handler added.
        description: String,
        /// More, as an object.
        extra: Value,
    },
    /// Shape B: any other error, 500.
    Wrapped(String),
    /// Shape C: a status alone.
    Empty(u16),
    /// The project's lock is taken: to be tried again (Z§7.1).
    LockTaken {
        /// The code of the refusal when the attempts are used up.
        code: u16,
    },
}

impl Fail {
    /// Shape A with the usual text of the code.
    pub(crate) fn code(code: u16, description: impl Into<String>) -> Self {
        Self::Coded {
            code,
            message: message_of(code),
            description: description.into(),
            extra: json!({}),
        }
    }

    /// Shape A with another of the texts that share the code (Z§2.3).
    pub(crate) fn coded(code: u16, message: &'static str, description: impl Into<String>) -> Self {
        Self::Coded {
            code,
            message,
            description: description.into(),
            extra: json!({}),
        }
    }

    /// Shape A for a malformed request: code 400.
    pub(crate) fn bad_request(description: impl Into<String>) -> Self {
        Self::code(400, description)
    }

    /// Shape B.
    pub(crate) fn wrapped(description: impl Into<String>) -> Self {
        Self::Wrapped(description.into())
    }

    /// Shape B with the text of a multi-error that holds one error (Z§2.2, 3).
    pub(crate) fn multi(description: impl AsRef<str>) -> Self {
        Self::Wrapped(format!(
            "1 error occurred:\n\t* {}\n\n",
            description.as_ref()
        ))
    }

    /// Shape B of a recovered panic: 500 without a body.
    pub(crate) fn panicked() -> Self {
        Self::Empty(500)
    }

    /// The answer on the wire.
    pub(crate) fn into_reply(self) -> Reply {
        match self {
            Self::Coded {
                code,
                message,
                description,
                extra,
            } => {
                let status = if (6000..8000).contains(&code) {
                    400
                } else {
                    code
                };
                let body = json!({
                    "type": "error",
                    "message": message,
                    "code": code,
                    "description": description,
                    "extra": extra,
                });
                Reply {
                    status,
                    ..Reply::json(&body)
                }
            }
            Self::Wrapped(description) => {
                let body = json!({
                    "code": 500,
                    "message": "Internal Error: ",
                    "description": description,
                });
                Reply {
                    status: 500,
                    ..Reply::json(&body)
                }
            }
            Self::Empty(status) => Reply::empty(status),
            Self::LockTaken { code } => Self::code(
                code,
                "failed to acquire lock, err: lock already taken, locked nodes: [0]",
            )
            .into_reply(),
        }
    }
}

/// What MongoDB's driver says when nothing was found.
pub(crate) const NO_DOCUMENTS: &str = "mongo: no documents in result";

/// The fixed text of a code (Z§2.3).
fn message_of(code: u16) -> &'static str {
    match code {
        400 => "Bad Request",
        404 => "Request Not Found",
        6061 => "列出项目失败",
        6065 => "列出服务组失败",
        6067 => "获取产品版本失败",
        6074 => "创建环境失败",
        6075 => "列出环境失败",
        6076 => "更新环境失败",
        6077 => "删除环境失败",
        6078 => "获取环境失败",
        6079 => "获取入口服务配置失败",
        6080 => "重启服务失败",
        6081 => "伸缩服务失败",
        6082 => "更新服务镜像失败",
        6083 => "获取服务失败",
        6088 => "列出服务配置失败",
        6089 => "更新服务配置失败",
        6092 => "更新服务失败",
        6093 => "列出服务事件失败",
        6094 => "列出对象资源失败",
        6095 => "更新对象资源失败",
        6096 => "删除对象资源失败",
        6400 => "创建用户namespace失败",
        6401 => "创建secret失败",
        7050 => "用户许可证不可用，请检查许可证后重试",
        _ => "Internal Error: ",
    }
}

/// JSON as Go writes it: with `<`, `>` and `&` escaped (Z§1.1).
pub(crate) fn go_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    // These characters occur in strings alone, so the text can be treated without parsing it.
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_for_html_as_go_does() {
        assert_eq!(go_json(&json!("<a & b>")), r#""\u003ca \u0026 b\u003e""#);
    }

    #[test]
    fn codes_of_domains_are_400_and_others_their_own_status() {
        let statuses: Vec<u16> = [6074, 7050, 404, 400]
            .iter()
            .map(|code| Fail::code(*code, "").into_reply().status)
            .collect();
        assert_eq!(statuses, [400, 400, 404, 400]);
    }
}
