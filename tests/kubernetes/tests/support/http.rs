//! The least of HTTP clients: it sends the headers it is told to send and no other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// An answer that does not come is a failure, not a test that never ends.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status.
    pub status: u64,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, with its chunks put together.
    pub body: Vec<u8>,
}

/// What is sent.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Token; none if it is empty.
    pub token: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Accept`.
    pub accept: Option<String>,
    /// Body: JSON, or a string where the bytes themselves matter.
    pub body: Value,
}

impl Call {
    /// Sends it to `url` and waits for the whole answer.
    pub fn send(&self, url: &str) -> anyhow::Result<Response> {
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).context("cannot set a timeout")?;
        let body = match &self.body {
            Value::Null => String::new(),
            Value::String(bytes) => bytes.clone(),
            json => json.to_string(),
        };
        let (method, path) = (&self.method, &self.path);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        let mut header = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self.token.is_empty() {
            header("authorization", &format!("Bearer {}", self.token));
        }
        self.content_type.iter().for_each(|value| header("content-type", value));
        self.accept.iter().for_each(|value| header("accept", value));
        header("content-length", &body.len().to_string());
        write!(stream, "{head}\r\n{body}").context("cannot send")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).context("cannot receive")?;
        parse(&bytes)
    }
}

impl Response {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as the record would have it.
    pub fn value(&self, is_watch: bool) -> Value {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        if is_watch {
            return text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::from(line))).collect();
        }
        match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or(Value::from(text)),
        }
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("an answer without a head")?;
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        .collect();
    let body = rest.get(4..).unwrap_or_default().to_vec();
    let mut response = Response { status: status.context("an answer without a status")?, headers, body };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunk(&response.body)?;
    }
    Ok(response)
}

fn unchunk(mut bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").context("a chunk without its size")?;
        let (size, rest) = bytes.split_at(end);
        let size = usize::from_str_radix(std::str::from_utf8(size).context("a size")?, 16).context("a size")?;
        if size == 0 {
            return Ok(whole);
        }
        let chunk = rest.get(2..2 + size).context("a chunk that is cut")?;
        whole.extend_from_slice(chunk);
        bytes = rest.get(4 + size..).context("a chunk without its end")?;
    }
}
