//! HTTP requests: those that by their method ask for no change, and those that may change something. The operator
//! configured where a target is and which credentials go with it.

use crate::Seconds;
#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::http as host;
use crate::bindings::paramedic::plugin::http_actions as actions;

pub use crate::bindings::paramedic::plugin::http_types::{Request, Response};
pub use actions::Exchange;

host_function! {
    /// Send a GET request.
    "http/get" as GET,
    fn get(request: &Request) -> Response = host::get(request)
}

host_function! {
    /// Send a HEAD request.
    "http/head" as HEAD,
    fn head(request: &Request) -> Response = host::head(request)
}

changing_function! {
    /// Send a request with any method that the grant lists. Only one that was sent has a response.
    "http-actions/send" as SEND,
    fn send(method: &str, request: &Request, body: &[u8]) -> Exchange = actions::send(method, request, body)
}

impl Request {
    /// A request without header fields, with the host's own time limit.
    pub fn new(target: &str, path: &str) -> Self {
        Self { target: target.to_owned(), path: path.to_owned(), headers: Vec::new(), timeout: None }
    }

    /// Set the time limit for the whole exchange.
    #[must_use]
    pub fn timeout(mut self, seconds: Seconds) -> Self {
        self.timeout = Some(seconds);
        self
    }
}

impl Response {
    /// The body as text; what is no UTF-8 shows as replacement characters.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &Request {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.target.clone());
        to.push(self.path.clone());
    }
}
