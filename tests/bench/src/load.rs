//! The load generator: connections that are kept and ask for the same thing again as soon as they were answered.
//!
//! It has threads of its own and shares the cores with the server, as the goals want it. It reads of an answer what it must
//! to know that the answer is whole and good, because everything that it does is missing at the server.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use crate::samples::micros;

/// Answers that are not counted at the beginning, for connections to be made and caches to be filled.
const WARM_UP: Duration = Duration::from_millis(50);

/// What is asked for, and what the answer must hold.
#[derive(Clone)]
pub struct Question {
    address: SocketAddr,
    request: Arc<[u8]>,
    expected: &'static str,
}

/// What came of it.
pub struct Load {
    /// Answers in a second.
    pub rate: f64,
    /// Time of each answer, in microseconds.
    pub latencies: Vec<f64>,
}

/// When a connection has asked enough.
#[derive(Clone, Copy)]
enum Enough {
    Until { counted: Instant, end: Instant },
    After(u32),
}

impl Question {
    /// `GET path`.
    pub fn get(address: SocketAddr, path: &str, expected: &'static str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        Self { address, request: request.into_bytes().into(), expected }
    }

    /// `POST /v1/runs` for a run of `plugin` without parameters.
    pub fn run(address: SocketAddr, plugin: &str, token: &str, expected: &'static str) -> Self {
        let body = serde_json::json!({ "plugin": plugin, "params": {} }).to_string();
        let request = format!(
            "POST /v1/runs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address, request: request.into_bytes().into(), expected }
    }

    /// Ask on that many connections for that long.
    pub fn for_time(&self, generator: &Runtime, connections: usize, time: Duration) -> anyhow::Result<Load> {
        let counted = Instant::now() + WARM_UP;
        let latencies = self.ask(generator, connections, Enough::Until { counted, end: counted + time })?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand")]
        let count = latencies.len() as f64;
        Ok(Load { rate: count / time.as_secs_f64(), latencies })
    }

    /// Ask so often on one connection.
    pub fn times(&self, generator: &Runtime, count: u32) -> anyhow::Result<Load> {
        let began = Instant::now();
        let latencies = self.ask(generator, 1, Enough::After(count))?;
        Ok(Load { rate: f64::from(count) / began.elapsed().as_secs_f64(), latencies })
    }

    /// Ask on one connection, once in each `period` until `end`, and tell the time of each answer in microseconds. What takes
    /// longer than the period is not followed by what was left out meanwhile.
    pub async fn at_a_pace(self, period: Duration, end: Instant) -> anyhow::Result<Vec<f64>> {
        let mut connection = Connection::open(self.address).await?;
        let mut latencies = Vec::new();
        let mut pace = tokio::time::interval(period);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while Instant::now() < end {
            pace.tick().await;
            let began = Instant::now();
            let body = connection.ask(&self.request).await?;
            latencies.push(micros(began.elapsed()));
            let body = String::from_utf8_lossy(connection.bytes(body)?);
            ensure!(body.contains(self.expected), "the answer lacks {:?}: {body}", self.expected);
        }
        Ok(latencies)
    }

    fn ask(&self, generator: &Runtime, connections: usize, enough: Enough) -> anyhow::Result<Vec<f64>> {
        let ask = |_| {
            let question = self.clone();
            generator.spawn(async move { question.ask_on_one(enough).await })
        };
        let asking: Vec<_> = (0..connections).map(ask).collect();
        let answered = generator.block_on(try_join_all(asking)).context("the load generator panicked")?;
        Ok(answered.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    async fn ask_on_one(self, enough: Enough) -> anyhow::Result<Vec<f64>> {
        let mut connection = Connection::open(self.address).await?;
        let mut latencies = Vec::with_capacity(1 << 12);
        let mut asked = 0;
        loop {
            let began = Instant::now();
            let body = connection.ask(&self.request).await?;
            let ended = Instant::now();
            if asked == 0 {
                let body = String::from_utf8_lossy(connection.bytes(body)?);
                ensure!(body.contains(self.expected), "the answer lacks {:?}: {body}", self.expected);
            }
            asked += 1;
            match enough {
                Enough::Until { counted, end } if began >= counted && ended <= end => {
                    latencies.push(micros(ended - began))
                }
                Enough::Until { end, .. } if ended > end => return Ok(latencies),
                Enough::Until { .. } => {}
                Enough::After(count) => {
                    latencies.push(micros(ended - began));
                    if asked >= count {
                        return Ok(latencies);
                    }
                }
            }
        }
    }
}

/// A kept connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8 << 10) })
    }

    /// Where the body of the answer is, which must be one of success.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Range<usize>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let body = loop {
            self.receive().await?;
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = std::str::from_utf8(self.bytes(0..end)?).context("a head that is no text")?;
                let start = end + 4;
                break start..start + content_length(head)?;
            }
        };
        while self.buffer.len() < body.end {
            self.receive().await?;
        }
        if !self.buffer.starts_with(b"HTTP/1.1 2") {
            bail!("refused: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(body)
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        let received = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(received > 0, "the server closed the connection");
        Ok(())
    }

    fn bytes(&self, range: Range<usize>) -> anyhow::Result<&[u8]> {
        self.buffer.get(range).context("an answer shorter than it says")
    }
}

fn content_length(head: &str) -> anyhow::Result<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut length =
        fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
    length.next_back().context("an answer without a length")?.parse().context("an answer with a strange length")
}

#[cfg(test)]
mod tests {
    use paramedic_tests::http::Endpoint;

    use super::*;

    #[test]
    fn the_length_of_an_answer_is_found_in_any_case() {
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nContent-Length: 12").unwrap(), 12);
        assert!(content_length("HTTP/1.1 200 OK\r\ndate: now").is_err());
    }

    #[test]
    fn an_answer_that_is_no_success_is_an_error() {
        let endpoint = Endpoint::start("503 Service Unavailable", "no").unwrap();
        let address = endpoint.url().strip_prefix("http://").unwrap().parse().unwrap();
        let generator = crate::runtime("generator").unwrap();
        let error = Question::get(address, "/", "no").times(&generator, 1).err().unwrap();
        assert!(error.to_string().contains("503"), "{error}");
    }
}
