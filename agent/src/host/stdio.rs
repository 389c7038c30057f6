//! Standard output and error of a guest, captured line by line into the log of its run.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::RunLog;
use crate::domain::{LogLevel, LogSource};
use crate::journal::Stop;

/// Longest line; a longer one is written in pieces.
const MAX_LINE: usize = 8 << 10;

/// One of the two streams of a guest. Copies continue the same line.
#[derive(Clone)]
pub(super) struct Capture {
    log: RunLog,
    source: LogSource,
    level: LogLevel,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    pub(super) fn stdout(log: RunLog) -> Self {
        Self { log, source: LogSource::Stdout, level: LogLevel::Info, partial: Arc::default() }
    }

    pub(super) fn stderr(log: RunLog) -> Self {
        Self { log, source: LogSource::Stderr, level: LogLevel::Error, partial: Arc::default() }
    }

    fn push(&self, bytes: &[u8]) -> Result<(), Stop> {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = line;
            while !rest.is_empty() {
                let room = MAX_LINE.saturating_sub(partial.len());
                let (piece, later) = rest.split_at(rest.len().min(room));
                partial.extend_from_slice(piece);
                if piece.ends_with(b"\n") || partial.len() >= MAX_LINE {
                    self.write_line(&std::mem::take(&mut *partial))?;
                }
                rest = later;
            }
        }
        Ok(())
    }

    /// Write what stands without a line end, when the guest is over.
    pub(super) fn finish(&self) {
        let partial = std::mem::take(&mut *self.partial.lock().unwrap_or_else(PoisonError::into_inner));
        if !partial.is_empty() {
            // A flood that begins with the very last line changes nothing any more: the run is over.
            let _ = self.write_line(&partial);
        }
    }

    fn write_line(&self, line: &[u8]) -> Result<(), Stop> {
        let text = String::from_utf8_lossy(line);
        self.log.write(self.level, self.source, text.trim_end_matches(['\r', '\n']), vec![])
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes).map_err(|stop| StreamError::Trap(stop.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.push(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::{Limits, Timestamp};
    use crate::journal::Unobserved;

    fn captured(writes: &[&[u8]]) -> Vec<String> {
        let log =
            RunLog::new(Arc::new(ManualClock::at(Timestamp::from_millis(5))), &Limits::DEFAULT, Arc::new(Unobserved));
        let capture = Capture::stdout(log.clone());
        writes.iter().for_each(|bytes| capture.push(bytes).unwrap());
        capture.finish();
        log.take().0.into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(captured(&[b"one\ntw", b"o\r\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_kept_in_pieces_however_it_was_written() {
        let long = [b'x'; 2 * MAX_LINE + 10];
        let lengths = |writes: &[&[u8]]| captured(writes).iter().map(String::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[&long]), [MAX_LINE, MAX_LINE, 10]);
        assert_eq!(lengths(&[&long[..100], &long[100..]]), [MAX_LINE, MAX_LINE, 10]);
    }
}
