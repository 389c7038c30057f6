//! The conversation with `driver.js`: a line of JSON for each request and each answer.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;

use crate::wait::PATIENCE;

/// A running driver. Its end of stdin is its end, so it stops when we do.
#[derive(Debug)]
pub(super) struct Driver {
    process: Child,
    conversation: Mutex<Conversation>,
}

#[derive(Debug)]
struct Conversation {
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Driver {
    /// Starts the driver and waits until it is connected.
    pub(super) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bullmq");
        ensure!(
            folder.join("node_modules").exists(),
            "the queue libraries are missing; run `npm ci` in {}",
            folder.display()
        );
        let mut process = Command::new("node")
            .arg(folder.join("driver.js"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start node")?;
        let answers = read_lines(process.stdout.take().context("node has no stdout")?);
        let conversation = Conversation { requests: process.stdin.take(), answers };
        let driver = Driver { process, conversation: Mutex::new(conversation) };
        driver.lock().answer().context("the driver did not start")?;
        Ok(driver)
    }

    /// Sends a request and waits for its answer. The fields of the request are those of an object.
    pub(super) fn ask(&self, operation: &str, mut request: Value) -> anyhow::Result<Value> {
        let fields = request.as_object_mut().context("a request is an object")?;
        fields.insert("op".to_owned(), operation.into());
        let mut conversation = self.lock();
        conversation.send(&request).and_then(|()| conversation.answer()).with_context(|| format!("cannot {operation}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.lock().requests.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the queue driver did not stop: {error}");
        }
    }
}

impl Conversation {
    fn send(&mut self, request: &Value) -> anyhow::Result<()> {
        let requests = self.requests.as_mut().context("the driver was told to stop")?;
        writeln!(requests, "{request}").context("the driver is gone")
    }

    fn answer(&mut self) -> anyhow::Result<Value> {
        let line = self.answers.recv_timeout(PATIENCE).context("the driver does not answer")?;
        let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("not an answer: {line}"))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(message) => Err(anyhow!("{message}")),
            None => Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default()),
        }
    }
}

/// A pipe cannot be read with a deadline, a channel can.
fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(16);
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
    });
    receiver
}
