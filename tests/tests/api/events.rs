//! Watching a run while it goes on.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use paramedic_tests::api::Api;
use serde_json::{Value, json};

use crate::fixture::{TOKEN, VIEWER_TOKEN, agent, api, settled};

/// One event.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// A stream of events as it comes.
struct Stream {
    source: BufReader<TcpStream>,
    text: String,
}

impl Stream {
    fn open(api: &Api, location: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("last-event-id: {last}"));
        let fields: Vec<&str> = last.as_deref().into_iter().collect();
        let stream = api.begin("GET", &format!("{location}/events"), &fields).unwrap();
        let mut source = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(source.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        Self { source, text: String::new() }
    }

    /// The next event; none after the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.starts_with(':') {
                    return Some(parsed(&event));
                }
                continue;
            }
            let mut size = String::new();
            self.source.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.source.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return None;
            }
            self.text += std::str::from_utf8(&chunk[..size]).unwrap();
        }
    }

    fn rest(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

fn parsed(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
    Event { id: field("id"), name: field("event"), data: serde_json::from_str(&field("data")).unwrap() }
}

fn begin(plugin: &str, params: &Value) -> String {
    let answer = api().run(&json!({ "plugin": plugin, "params": params }), &["prefer: respond-async"]).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.field("location").to_owned()
}

#[test]
fn lines_come_while_the_run_goes_on_and_a_reader_goes_on_where_it_was() {
    let location = begin("trouble", &json!({ "do": "log-and-wait", "lines": 3, "seconds": 25.0 }));
    let viewer = agent().api(Some(VIEWER_TOKEN));
    let mut stream = Stream::open(&viewer, &location, None);
    let live: Vec<Event> = (0..3).map(|_| stream.next().unwrap()).collect();
    for (n, event) in (1..).zip(&live) {
        assert_eq!((event.id.as_str(), event.name.as_str()), (format!("{n}-0").as_str(), "log"));
        assert_eq!(event.data["message"], format!("line {n}"));
    }
    let mut late = Stream::open(&viewer, &location, Some("2-0"));
    assert_eq!(late.next().as_ref(), live.last());

    // What it wrote stays when it is cancelled, and whoever watches is told who did it.
    assert_eq!(api().ask("DELETE", &location, &[], "").unwrap().status, 200);
    for stream in [stream, late] {
        let [end] = stream.rest().try_into().unwrap();
        assert_eq!((end.id.as_str(), end.name.as_str()), ("end", "end"));
        assert_eq!(end.data["failure"], json!({ "kind": "cancelled", "message": "cancelled by `alice`" }));
    }
    let run = api().get(&location, &[]).unwrap().json().unwrap();
    let lines: Vec<&Value> = live.iter().map(|event| &event.data).collect();
    assert_eq!(run["log"].as_array().unwrap().iter().collect::<Vec<_>>(), lines);

    // Told again from the record, it is the same.
    let again = Stream::open(&viewer, &location, None).rest();
    assert_eq!(again[..3], live);
    assert_eq!((again.len(), again[3].name.as_str()), (4, "end"));
    let over = viewer.get(&format!("{location}/events"), &["last-event-id: end"]).unwrap();
    assert_eq!((over.status, over.body.as_str()), (204, ""));
}

#[test]
fn calls_come_as_they_stand_in_the_record() {
    let location = begin("redis-ping", &json!({ "target": "cache" }));
    let told = Stream::open(&api(), &location, None).rest();
    let run = settled(&api(), &location).unwrap();
    let calls: Vec<&Value> = told.iter().filter(|event| event.name == "call").map(|event| &event.data).collect();
    assert!(!calls.is_empty());
    assert_eq!(calls, run["calls"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(told.last().unwrap().data["outcome"]["status"], "ok");
    let sequences: Vec<_> = calls.iter().map(|call| call["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
}

#[test]
fn a_flood_is_bounded_for_those_who_do_not_keep_up() {
    // Opened before it begins to matter and read only after the run is over.
    let location = begin("trouble", &json!({ "do": "log-and-wait", "lines": 5_000, "seconds": 0.5 }));
    let stream = Stream::open(&agent().api(Some(TOKEN)), &location, None);
    let run = settled(&api(), &location).unwrap();
    let kept = run["log"].as_array().unwrap().len() as u64;
    let told = stream.rest();
    let seen = told.iter().filter(|event| event.name == "log").count() as u64;
    let missed: u64 = told.iter().filter(|event| event.name == "missed").filter_map(|e| e.data["lines"].as_u64()).sum();
    assert_eq!(seen + missed, kept, "every line was shown or said to be missed");
    assert_eq!(told.last().unwrap().name, "end");
}
