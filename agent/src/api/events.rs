//! `/v1/runs/{id}/events`: a run as it goes on, as server-sent events.
//!
//! An event's id says how many lines of the log and how many calls there were up to it. That is true of the run under way
//! and of its record, so a reader whose connection broke goes on after what it had, wherever the run is by then.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::problem::{ApiError, Problems};
use super::runs::{recorded, run_id};
use super::{Segment, Shared, shape};
use crate::domain::Run;
use crate::runner::{Event, News, Position, Started, What};

/// Streams at the same time. Each holds one of the connections, of which others need some.
pub(super) const MAX_STREAMS: usize = 128;

/// How often a reader is told that the stream lives, so that nothing in between takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Asks proxies to pass on what comes when it comes.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Id of the last event.
const END: &str = "end";

/// How much a reader has missed because it was too slow. The record of the run has all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missed {
    /// Lines of the log.
    pub lines: u32,
    /// Calls.
    pub calls: u32,
}

/// Watch a run.
///
/// A stream of server-sent events: `log` with a line of the log, `call` with a host call that is over, `end` with the run in
/// brief, after which the stream ends. A reader that is too slow gets `missed` with how much it missed. With `Last-Event-ID`
/// it begins after that event. A run that has ended is told from its record.
#[utoipa::path(
    get, path = "/v1/runs/{id}/events", operation_id = "watchRun", tag = "runs",
    params(
        ("id" = String, Path, description = "Id of the run."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.")
    ),
    responses(
        (status = 200, description = "The events. The data of each is JSON: `LogLine`, `Call`, `Missed`, `RunSummary`.",
            body = String, content_type = "text/event-stream"),
        (status = 204, description = "The last event was received already."),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, headers: HeaderMap, Segment(id): Segment) -> Result<Response, ApiError> {
    let id = run_id(&id)?;
    let Some(position) = position(&headers)? else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let permit = app.streams.clone().try_acquire_owned().map_err(|_| ApiError::TooManyStreams { most: MAX_STREAMS })?;
    let source = match app.parts.runner.follow(id) {
        Some(started) => Source::UnderWay(started),
        None => {
            let run = recorded(&app, id).await?;
            if run.ending.is_none() {
                return Err(ApiError::EndUnknown(id));
            }
            Source::Ended(Arc::new(run))
        }
    };
    let reader = Reader { source: Some(source), position, waiting: VecDeque::new(), _permit: permit };
    Ok(reader.into_response())
}

/// Where a reader begins; none where it has everything.
fn position(headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(Some(Position::default())) };
    let text = value.to_str().unwrap_or_default();
    if text == END {
        return Ok(None);
    }
    let refusal =
        ApiError::InvalidHeader { name: LAST_EVENT_ID, message: "it is no id of an event of a run".to_owned() };
    Id::read(text).map(|Id(position)| Some(position)).ok_or(refusal)
}

/// The id of an event: `<lines>-<calls>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(Position);

impl Id {
    fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (lines, calls) = text.split_once('-')?;
        Some(Self(Position { lines: number(lines)?, calls: number(calls)? }))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.lines, self.0.calls)
    }
}

/// One who watches a run.
struct Reader {
    /// None once all is told.
    source: Option<Source>,
    position: Position,
    waiting: VecDeque<sse::Event>,
    _permit: OwnedSemaphorePermit,
}

/// Where events come from.
enum Source {
    UnderWay(Started),
    Ended(Arc<Run>),
}

impl IntoResponse for Reader {
    fn into_response(self) -> Response {
        let events = stream::unfold(self, async |mut reader| {
            let event = reader.next().await?;
            Some((Ok::<_, Infallible>(event), reader))
        });
        let alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
        ([NO_BUFFERING], Sse::new(events).keep_alive(alive)).into_response()
    }
}

impl Reader {
    /// The next event; none after the last.
    async fn next(&mut self) -> Option<sse::Event> {
        while self.waiting.is_empty() {
            match self.source.as_mut()? {
                Source::UnderWay(started) => match started.news(self.position).await {
                    News::Happened(batch) => {
                        self.missed(batch.missed);
                        self.happened(&batch.events);
                    }
                    News::Ended(run) => self.end(&run),
                    // Its end is not recorded, so there is none to tell. Who asks again is told why.
                    News::Lost => self.source = None,
                },
                Source::Ended(run) => {
                    let run = run.clone();
                    self.happened(&story(&run, self.position));
                    self.end(&run);
                }
            }
        }
        self.waiting.pop_front()
    }

    fn missed(&mut self, missed: Position) {
        let Position { lines, calls } = missed;
        if missed != Position::default() {
            self.position.lines = self.position.lines.saturating_add(lines);
            self.position.calls = self.position.calls.saturating_add(calls);
            self.waiting.push_back(event("missed", &Id(self.position), &Missed { lines, calls }));
        }
    }

    fn happened(&mut self, events: &[Event]) {
        for happened in events {
            self.position = self.position.max(happened.position);
            let id = Id(self.position);
            self.waiting.push_back(match &happened.what {
                What::Line(line) => event("log", &id, &shape::LogLine::from(line.as_ref().clone())),
                What::Call(call) => event("call", &id, &shape::Call::from(call.as_ref().clone())),
            });
        }
    }

    fn end(&mut self, run: &Run) {
        self.waiting.push_back(event("end", &END, &shape::RunSummary::of(run)));
        self.source = None;
    }
}

fn event(name: &str, id: &impl fmt::Display, data: &impl Serialize) -> sse::Event {
    let event = sse::Event::default().event(name).id(id.to_string());
    event.json_data(data).expect("the shapes of the API are JSON")
}

/// What a run did after `position`, from its record. There the log and the calls stand apart, so they are put together by
/// the time at which they were kept; each keeps its own order, whatever the clock did meanwhile.
fn story(run: &Run, position: Position) -> Vec<Event> {
    let (mut lines, mut calls) = (run.log.iter().peekable(), run.calls.iter().peekable());
    let next = move || {
        let line_first = match (lines.peek(), calls.peek()) {
            (Some(line), Some(call)) => line.time <= call.started.after(call.duration),
            (line, _) => line.is_some(),
        };
        if line_first {
            lines.next().map(|line| What::Line(Arc::new(line.clone())))
        } else {
            calls.next().map(|call| What::Call(Arc::new(call.clone())))
        }
    };
    let mut told = Position::default();
    let number = |what: What| {
        told = told.after(&what);
        Event { position: told, what }
    };
    std::iter::from_fn(next).map(number).filter(|event| event.is_new_at(position)).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::{LogLevel, LogLine, LogSource, Timestamp};

    fn reader(position: Position) -> Reader {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Reader { source: None, position, waiting: VecDeque::new(), _permit: permit }
    }

    #[tokio::test]
    async fn a_reader_that_was_too_slow_is_told_how_much_it_missed_and_goes_on_behind_it() {
        let mut reader = reader(Position { lines: 3, calls: 1 });
        reader.missed(Position::default());
        reader.missed(Position { lines: 10, calls: 2 });
        let (level, source) = (LogLevel::Info, LogSource::Plugin);
        let time = Timestamp::from_millis(1_772_334_855_926);
        let line = LogLine { time, level, source, message: "two\nlines".to_owned(), fields: Vec::new() };
        let position = Position { lines: 14, calls: 3 };
        reader.happened(&[Event { position, what: What::Line(Arc::new(line)) }]);
        let body = reader.into_response().into_body().collect().await.unwrap().to_bytes();
        let expected = "event: missed\nid: 13-3\ndata: {\"lines\":10,\"calls\":2}\n\n\
            event: log\nid: 14-3\ndata: {\"time\":\"2026-03-01T03:14:15.926Z\",\"level\":\"info\",\"source\":\"plugin\",\
            \"message\":\"two\\nlines\",\"fields\":[]}\n\n";
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }

    #[test]
    fn the_record_keeps_the_order_of_calls_also_when_the_clock_was_set_back() {
        let call = |sequence: u32, started: u64| crate::domain::CallRecord {
            sequence,
            operation: "redis/ping".to_owned(),
            target: "redis/cache".to_owned(),
            arguments: "{}".to_owned(),
            decision: crate::domain::Decision::Permitted,
            started: Timestamp::from_millis(started),
            duration: Duration::ZERO,
            answer_bytes: 0,
            answer_digest: None,
            error: None,
        };
        let run = Run {
            id: crate::domain::RunId::new(Timestamp::from_millis(0)),
            plugin: "noop".parse().unwrap(),
            version: String::new(),
            digest: crate::domain::Digest::of(b""),
            mode: crate::domain::Mode::Check,
            sweep_run: None,
            trigger: crate::domain::Trigger::Manual,
            actor: crate::domain::Actor(String::new()),
            params: "{}".to_owned(),
            started: Timestamp::from_millis(0),
            finished: None,
            ending: None,
            usage: crate::domain::Usage::default(),
            log: Vec::new(),
            calls: vec![call(1, 5_000), call(2, 1_000), call(3, 6_000)],
            changes: crate::domain::RunChanges::default(),
        };
        let sequences = |after: u32| {
            let told = story(&run, Position { lines: 0, calls: after });
            let sequence = |event: &Event| match &event.what {
                What::Call(call) => (event.position.calls, call.sequence),
                What::Line(_) => panic!("there is no line"),
            };
            told.iter().map(sequence).collect::<Vec<_>>()
        };
        assert_eq!(sequences(0), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(sequences(2), [(3, 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_that_it_lives() {
        let pending = stream::pending::<Result<sse::Event, Infallible>>();
        let alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
        let mut body = Sse::new(pending).keep_alive(alive).into_response().into_body();
        for _ in 0..3 {
            let frame = tokio::time::timeout(2 * HEARTBEAT, body.frame()).await.unwrap().unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().as_ref(), b": still here\n\n");
        }
    }

    fn read(text: &str) -> Result<Option<Position>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(LAST_EVENT_ID, HeaderValue::from_str(text).unwrap());
        position(&headers).map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_is_read_as_it_was_written() {
        assert_eq!(position(&HeaderMap::new()).unwrap(), Some(Position::default()));
        let position = Position { lines: 12, calls: 3 };
        assert_eq!(Id(position).to_string(), "12-3");
        assert_eq!(read("12-3"), Ok(Some(position)));
        assert_eq!(read("end"), Ok(None));
        for bad in ["", "12", "12-", "-3", "+1-2", "1-2-3", "1.5-2", "4294967296-0", "END"] {
            let told = read(bad).unwrap_err();
            assert_eq!(told, "the header `last-event-id` is not understood: it is no id of an event of a run", "{bad}");
        }
    }
}
