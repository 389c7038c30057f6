//! A Redis server: its own figures, and its slow commands without what they were given. No key is read.

use paramedic_sdk::redis::{self, SlowEntry};
use paramedic_sdk::{File, human};
use serde_json::{Value, json};

use crate::capture::Capture;
use crate::lines;
use crate::params::{Extra, Params};

/// What it asks for, and why.
pub const USES: &[(&str, &str)] = &[
    ("redis/info", "to capture memory, clients, persistence, replication and load of the server"),
    ("redis/slow-log", "to capture which commands were slow, without what they were given"),
];

/// Sections of `INFO`, those that matter most first.
const SECTIONS: [&str; 11] = [
    "memory",
    "clients",
    "stats",
    "replication",
    "persistence",
    "keyspace",
    "server",
    "cpu",
    "errorstats",
    "commandstats",
    "latencystats",
];

/// Slow commands.
const SLOW: u32 = 128;

/// Capture a server.
pub fn capture(capture: &mut Capture, target: &str, params: &Params) {
    let base = format!("redis/{target}");
    let (mut text, mut lost) = (String::new(), Vec::new());
    for section in SECTIONS {
        match capture.attempt(|| redis::info(target, section)) {
            Ok(info) => {
                text += &format!("# {section}\n");
                for (field, value) in info.fields().filter_map(|field| Some((field, info.text(field)?))) {
                    text += &format!("{field}:{}\n", human::shorten(value, 500));
                }
                text.push('\n');
            }
            Err(why) => lost.push((section, why)),
        }
    }
    if !text.is_empty() {
        capture.had();
        capture.list(File::whole(format!("{base}/info.txt"), text));
    }
    if let Some((_, why)) = lost.first() {
        let sections: Vec<&str> = lost.iter().map(|(section, _)| *section).collect();
        capture.miss(&format!("{base}/info"), &format!("{why} (sections {})", sections.join(", ")));
    }
    if params.wants(Extra::SlowLog) {
        let part = format!("{base}/slow-log");
        if let Some(entries) = capture.ask(&part, || redis::slow_log(target, SLOW)) {
            capture.list(File::whole(format!("{part}.jsonl"), lines::of(entries.iter().map(of_entry))));
        }
    }
}

fn of_entry(entry: &SlowEntry) -> Value {
    json!({ "seconds_ago": entry.age.round(), "seconds": entry.duration, "command": entry.command.join(" ") })
}
