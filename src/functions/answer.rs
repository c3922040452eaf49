//! An answer, before it becomes HTTP or the envelope of the host.

use serde::Serialize;
use warp::http::StatusCode;

use super::accept::MediaType;
use super::problem::{Problem, internal};

/// Status, headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// A text of the given content type.
    pub fn text(status: StatusCode, content_type: &str, body: String) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body,
        }
    }

    /// A page for people. A browser does no more with it than `policy` allows, shows it within no other page, and tells
    /// nobody its address, which may hold a key.
    pub fn page(html: String, policy: &str) -> Self {
        Self::text(StatusCode::OK, MediaType::Html.content_type(), html)
            .with_header(
                "content-security-policy",
                format!("{policy}; frame-ancestors 'none'"),
            )
            .with_header("referrer-policy", "no-referrer")
    }

    fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, Problem> {
        match serde_json::to_string(value) {
            Ok(body) => Ok(Self::text(status, MediaType::Json.content_type(), body)),
            Err(error) => Err(internal(format!(
                "an answer could not be written as JSON: {error}"
            ))),
        }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers, names in lower case.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The value of a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The body without the rest.
    pub fn into_body(self) -> String {
        self.body
    }
}

/// 200 with JSON.
pub fn ok(value: &impl Serialize) -> Result<Answer, Problem> {
    Answer::json(StatusCode::OK, value)
}

/// 201 with JSON.
pub fn created(value: &impl Serialize) -> Result<Answer, Problem> {
    Answer::json(StatusCode::CREATED, value)
}

/// 202 with JSON.
pub fn accepted(value: &impl Serialize) -> Result<Answer, Problem> {
    Answer::json(StatusCode::ACCEPTED, value)
}

/// 503 with JSON that is no problem: the state of an app that is not well.
pub fn unwell(value: &impl Serialize) -> Result<Answer, Problem> {
    Answer::json(StatusCode::SERVICE_UNAVAILABLE, value)
}
