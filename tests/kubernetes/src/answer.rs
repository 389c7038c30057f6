//! What goes back to the client, before it becomes bytes.

use serde_json::Value;

use crate::watch::Watch;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type; none where there is no body.
    pub content_type: Option<String>,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
    /// Seconds of a `Retry-After` header.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Lines that come as the cluster changes.
    Watch(Box<Watch>),
}

impl Answer {
    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, document: Value) -> Self {
        Self::whole(status, Some("application/json"), document.to_string().into_bytes())
    }

    /// Plain text, as health checks and some errors are.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self::whole(status, Some("text/plain; charset=utf-8"), text.as_bytes().to_vec())
    }

    /// Lines of a log.
    #[must_use]
    pub fn log(text: Vec<u8>) -> Self {
        Self::whole(200, Some("text/plain"), text)
    }

    /// Nothing.
    #[must_use]
    pub fn nothing(status: u16) -> Self {
        Self::whole(status, None, Vec::new())
    }

    /// What the server says outside all groups: not a Status.
    #[must_use]
    pub fn page_not_found() -> Self {
        Self::text(404, "404 page not found\n")
    }

    /// A stream of changes.
    #[must_use]
    pub fn watch(watch: Watch) -> Self {
        let content_type = Some("application/json".to_owned());
        let body = Body::Watch(Box::new(watch));
        Answer { status: 200, content_type, warnings: Vec::new(), retry_after: None, body }
    }

    /// The same with another content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.to_owned());
        self
    }

    /// The same with warnings.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    fn whole(status: u16, content_type: Option<&str>, body: Vec<u8>) -> Self {
        let content_type = content_type.map(str::to_owned);
        Answer { status, content_type, warnings: Vec::new(), retry_after: None, body: Body::Whole(body) }
    }
}
