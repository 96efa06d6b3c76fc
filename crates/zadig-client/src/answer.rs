//! Reading an answer: what is a success of which type, what is a refusal of which shape.
//!
//! Pure functions of status, content type and body (Z§2). No part of a confidential answer, nor any
//! parser's quotation from one, gets into an error.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::error::{Kind, Refusal, Shape, presentable};
use crate::mask::Mask;
use crate::routes::Route;
use crate::token::Token;

/// The longest body that is looked through for an excerpt, in bytes. So much more than is shown of it that no value which is cut at
/// its end comes into sight.
const MAX_QUOTED: usize = 64 << 10;

/// An answer that arrived whole and within its bounds.
pub(crate) struct Answer {
    pub(crate) route: &'static Route,
    pub(crate) token: Token,
    pub(crate) mask: Option<Arc<dyn Mask>>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A body in JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Kind> {
        self.not_a_page()?;
        serde_json::from_slice(&self.body).map_err(|error| {
            let reason = if self.route.confidential {
                // The parser quotes the value it did not expect.
                let category = match error.classify() {
                    serde_json::error::Category::Data => "json of another form",
                    serde_json::error::Category::Eof => "json that ends too early",
                    serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
                        "no json"
                    }
                };
                format!(
                    "{category}, line {} column {}",
                    error.line(),
                    error.column()
                )
            } else {
                self.shown(&error.to_string())
            };
            self.undecodable(reason)
        })
    }

    /// The body of a call that answers nothing but success.
    pub(crate) fn done(&self) -> Result<(), Kind> {
        // Usually {"message":"success"} (Z§2.1); some handlers answer a bare string.
        match self.json::<serde_json::Value>()? {
            serde_json::Value::Object(fields) if fields.contains_key("message") => Ok(()),
            serde_json::Value::String(_) => Ok(()),
            _ => Err(self.undecodable("no message of success".to_owned())),
        }
    }

    /// A body in plain text.
    pub(crate) fn text(&self) -> Result<String, Kind> {
        self.not_a_page()?;
        // Zadig sends text/plain (Z§4.4); JSON here would be another handler's answer (Z§1.4).
        if !self.body.is_empty() && self.content_type() != "text/plain" {
            return Err(self.undecodable("no plain text".to_owned()));
        }
        match std::str::from_utf8(&self.body) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.undecodable("no utf-8".to_owned())),
        }
    }

    /// The refusal that this answer is.
    pub(crate) fn refusal(&self) -> Refusal {
        let fields = match serde_json::from_slice(&self.body) {
            Ok(serde_json::Value::Object(fields)) if !self.is_page() => Some(fields),
            _ => None,
        };
        let text = |name: &str| {
            let value = fields.as_ref().and_then(|fields| fields.get(name));
            self.shown(
                value
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or_default(),
            )
        };
        let code = fields
            .as_ref()
            .and_then(|fields| fields.get("code")?.as_i64());
        let shape = match &fields {
            _ if self.body.is_empty() => Shape::Empty,
            Some(fields) if code.is_some() && fields.contains_key("type") => Shape::Coded,
            Some(_) if code == Some(500) => Shape::Wrapped,
            Some(fields) if fields.contains_key("reason") => Shape::Mfa,
            None if self.content_type() == "text/plain" => Shape::Route,
            _ => Shape::Foreign,
        };
        let description = match shape {
            Shape::Coded | Shape::Wrapped => text("description"),
            Shape::Mfa => text("reason"),
            Shape::Empty => String::new(),
            Shape::Route | Shape::Foreign => self.excerpt(),
        };
        let message = match shape {
            Shape::Coded | Shape::Wrapped => text("message"),
            Shape::Mfa | Shape::Empty | Shape::Route | Shape::Foreign => String::new(),
        };
        let extra = match fields.and_then(|mut fields| fields.remove("extra")) {
            Some(serde_json::Value::Object(extra)) if shape == Shape::Coded => extra,
            _ => serde_json::Map::new(),
        };
        Refusal {
            status: self.status.as_u16(),
            shape,
            code,
            message,
            description,
            extra,
            retry_after: self.retry_after(),
        }
    }

    fn not_a_page(&self) -> Result<(), Kind> {
        if self.is_page() {
            return Err(self.undecodable("a web page, so this is not zadig".to_owned()));
        }
        Ok(())
    }

    fn undecodable(&self, reason: String) -> Kind {
        Kind::Undecodable {
            reason,
            excerpt: self.excerpt(),
        }
    }

    /// The beginning of the body, where it may be shown.
    fn excerpt(&self) -> String {
        let by_zadig = !self.is_page() && self.status.is_success();
        if self.route.confidential && by_zadig {
            return String::new();
        }
        let beginning = &self.body[..self.body.len().min(MAX_QUOTED)];
        self.shown(&String::from_utf8_lossy(beginning))
    }

    /// A text of the server as it may be shown.
    fn shown(&self, text: &str) -> String {
        match &self.mask {
            Some(mask) if !text.is_empty() => presentable(&mask.mask(text), &self.token),
            _ => presentable(text, &self.token),
        }
    }

    fn is_page(&self) -> bool {
        self.content_type() == "text/html"
    }

    /// The content type without parameters; empty if there is none.
    fn content_type(&self) -> &str {
        let value = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        value
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
    }

    /// Zadig never sends it (Z§1.1), a gateway may. The form with a date is not worth its parsing.
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}
