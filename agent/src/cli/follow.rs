//! `paramedic run --follow`: prints what a run writes while it goes on.

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;

use super::client::{AskError, Client};
use crate::api::card::{self, Paint};
use crate::api::{Missed, shape};

/// How often a stream that broke is taken up again without anything new, and the pause before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Longest event that is read, in bytes: more than the longest line that an agent keeps. What is longer comes from no agent.
const MAX_EVENT: usize = 1 << 20;

/// How following a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// The run has ended.
    ToTheEnd,
    /// The person does not want to wait any longer.
    Left,
}

/// Print the log of the run to standard error as it comes, until the run has ended or somebody presses Ctrl-C.
pub(super) async fn follow(client: &Client, id: &str) -> Result<Followed, AskError> {
    tokio::select! {
        followed = to_the_end(client, id) => followed.map(|()| Followed::ToTheEnd),
        // Without a signal handler Ctrl-C ends the program, which is as good.
        Ok(()) = tokio::signal::ctrl_c() => Ok(Followed::Left),
    }
}

async fn to_the_end(client: &Client, id: &str) -> Result<(), AskError> {
    let mut reader = Reader::default();
    let mut attempts = 0;
    loop {
        let before = reader.last.clone();
        match pass(client, id, &mut reader).await {
            Ok(Pass::Ended) => return Ok(()),
            Ok(Pass::Broke) => {}
            Err(error @ (AskError::Silent { .. } | AskError::Unreachable { .. })) if attempts == ATTEMPTS => {
                return Err(error);
            }
            Err(AskError::Silent { .. } | AskError::Unreachable { .. }) => {}
            Err(error) => return Err(error),
        }
        // Whoever gets on has all attempts again.
        attempts = if reader.last == before { attempts + 1 } else { 0 };
        if attempts > ATTEMPTS {
            return Err(AskError::Broken);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How one stream ended.
enum Pass {
    /// With the run.
    Ended,
    /// Before it.
    Broke,
}

async fn pass(client: &Client, id: &str, reader: &mut Reader) -> Result<Pass, AskError> {
    let Some(response) = client.events(&["v1", "runs", id, "events"], reader.last.as_deref()).await? else {
        return Ok(Pass::Ended);
    };
    reader.rest.clear();
    let mut bytes = response.bytes_stream();
    while let Some(Ok(part)) = bytes.next().await {
        for event in reader.read(&part)? {
            if event.name == "end" {
                return Ok(Pass::Ended);
            }
            print(&event).map_err(AskError::Output)?;
        }
    }
    Ok(Pass::Broke)
}

/// Print what is worth a line.
fn print(event: &Event) -> std::io::Result<()> {
    let text = match event.name.as_str() {
        "log" => {
            serde_json::from_str::<shape::LogLine>(&event.data).ok().map(|line| card::log_line(&line, Paint::Colours))
        }
        "missed" => serde_json::from_str::<Missed>(&event.data).ok().filter(|missed| missed.lines > 0).map(|missed| {
            format!("… {} lines came too fast to be shown here; they are in the record of the run\n", missed.lines)
        }),
        // A later agent may have more.
        _ => None,
    };
    let Some(text) = text else { return Ok(()) };
    let mut out = anstream::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Puts events together from the parts in which they arrive.
#[derive(Debug, Default)]
struct Reader {
    /// What has no end yet.
    rest: Vec<u8>,
    /// Id of the last event that was complete.
    last: Option<String>,
}

impl Reader {
    /// The events that `part` completes.
    fn read(&mut self, part: &[u8]) -> Result<Vec<Event>, AskError> {
        // What was there before has no end in it, but may have its first half.
        let mut seen = self.rest.len().saturating_sub(1);
        self.rest.extend_from_slice(part);
        let mut events = Vec::new();
        while let Some(end) = end_of_event(self.rest.get(seen..).unwrap_or_default()) {
            let block: Vec<u8> = self.rest.drain(..seen + end).collect();
            seen = 0;
            events.extend(self.event(&String::from_utf8_lossy(&block)));
        }
        if self.rest.len() > MAX_EVENT { Err(AskError::Broken) } else { Ok(events) }
    }

    /// The event of a block of lines; none for a comment, such as a heartbeat.
    fn event(&mut self, block: &str) -> Option<Event> {
        let mut event = Event::default();
        let (mut data, mut id) = (Vec::new(), None);
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event.name),
                "data" => data.push(value),
                "id" => id = Some(value.to_owned()),
                _ => {}
            }
        }
        if data.is_empty() {
            return None;
        }
        self.last = id.or(self.last.take());
        event.data = data.join("\n");
        Some(event)
    }
}

/// Behind the empty line that ends an event.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    const STREAM: &str =
        ": still here\n\nevent: log\nid: 1-0\ndata: {\"a\":\ndata: 1}\n\nevent: end\nid: end\ndata:{}\n\nevent: cut";

    #[test]
    fn events_are_read_however_they_are_cut_into_parts() {
        for size in 1..STREAM.len() {
            let mut reader = Reader::default();
            let parts = STREAM.as_bytes().chunks(size);
            let events: Vec<_> = parts.flat_map(|part| reader.read(part).unwrap()).collect();
            assert_eq!(events, [event("log", "{\"a\":\n1}"), event("end", "{}")], "{size}");
            assert_eq!(reader.last.as_deref(), Some("end"));
            assert_eq!(reader.rest, b"event: cut");
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut reader = Reader::default();
        assert!((0..=MAX_EVENT >> 10).any(|_| reader.read(&[b'x'; 1 << 10]).is_err()));
    }
}
