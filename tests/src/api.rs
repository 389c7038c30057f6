//! Asks an agent as a program would, and shows all of the answer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Longer than any run that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks one agent with one token, or with none.
#[derive(Clone, Debug)]
pub struct Api {
    address: String,
    token: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Api {
    /// Asks the agent at `address`, such as `127.0.0.1:7117`.
    #[must_use]
    pub fn new(address: &str, token: Option<&str>) -> Self {
        Api { address: address.to_owned(), token: token.map(str::to_owned) }
    }

    /// Looks something up. `fields` are further header fields, such as `accept: text/plain`.
    pub fn get(&self, path: &str, fields: &[&str]) -> anyhow::Result<Answer> {
        self.ask("GET", path, fields, "")
    }

    /// Asks for a run with this body.
    pub fn run(&self, body: &Value, fields: &[&str]) -> anyhow::Result<Answer> {
        let fields = [fields, &["content-type: application/json"]].concat();
        self.ask("POST", "/v1/runs", &fields, &body.to_string())
    }

    /// Delivers a component to `path`, such as `/v1/plugins/noop/versions/0.1.0`.
    pub fn put(&self, path: &str, component: &[u8], fields: &[&str]) -> anyhow::Result<Answer> {
        let fields = [fields, &["content-type: application/wasm"]].concat();
        self.send("PUT", path, &fields, component)
    }

    /// Asks and waits for the answer.
    pub fn ask(&self, method: &str, path: &str, fields: &[&str], body: &str) -> anyhow::Result<Answer> {
        self.send(method, path, fields, body.as_bytes())
    }

    /// The same with a body that may be no text. An agent that answers before it took all of the body is heard.
    pub fn send(&self, method: &str, path: &str, fields: &[&str], body: &[u8]) -> anyhow::Result<Answer> {
        let length = format!("content-length: {}", body.len());
        let mut stream = self.begin(method, path, &[fields, &[&length]].concat())?;
        match stream.write_all(body) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            written => written.context("the agent does not take the body")?,
        }
        Answer::read(stream)
    }

    /// Sends the head of a request and nothing else.
    pub fn begin(&self, method: &str, path: &str, fields: &[&str]) -> anyhow::Result<TcpStream> {
        let address = &self.address;
        let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for field in fields {
            head += &format!("{field}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).context("the agent does not take the request")?;
        Ok(stream)
    }
}

impl Answer {
    /// Reads an answer to its end.
    pub fn read(mut stream: TcpStream) -> anyhow::Result<Self> {
        let mut text = String::new();
        stream.read_to_string(&mut text).context("the answer broke off")?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("no answer, but: {text}") };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("an answer without a status: {head}"))?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// The value of a header field; empty if it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.next().unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}
