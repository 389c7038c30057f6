//! Misbehaves in the way it is told to, through the raw bindings: the SDK would not let most of it happen.

// The bindings reach a host only there.
#![cfg(target_arch = "wasm32")]

mod answers;

use std::hint::black_box;
use std::time::Duration;

use paramedic_sdk::bindings;
use paramedic_sdk::bindings::exports::paramedic::plugin::plugin::{
    Failure, Guest, Kind, Metadata, Outcome, Risk, RunContext,
};
use paramedic_sdk::bindings::paramedic::plugin::{clock, log, state};
use serde::Deserialize;

/// What to do.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Behaviour {
    /// Compute and never end.
    Spin,
    /// Take memory until there is none.
    Allocate,
    /// Call itself without end.
    Recurse,
    /// Write to the log without end.
    FloodLog,
    /// Write to standard output without end.
    FloodOutput,
    /// Write one line without end to standard error.
    FloodLine,
    /// Pass the host a message of that many bytes.
    LongMessage { bytes: usize },
    /// Sleep that many seconds through the standard library.
    Sleep { seconds: u64 },
    /// Write so many lines to the log, then ask the host to sleep that many seconds.
    LogAndWait { lines: u32, seconds: f64 },
    /// Ask the host to sleep that many seconds.
    SleepInHost { seconds: f64 },
    /// Write to the memory without end.
    Remember,
    /// Panic with that message.
    Panic { message: String },
    /// Panic with that message when the log is already full.
    PanicAfterAFlood { message: String },
    /// Execute the instruction that must not be reached.
    Trap,
    /// Leave through `exit`.
    Exit,
    /// Give up with that reason.
    Fail { message: String },
    /// Find the parameters wrong.
    RefuseParams { message: String },
    /// Conclude with an outcome that no plugin should.
    Answer { wrong: answers::Wrong },
}

struct Trouble;

bindings::export_component!(Trouble with_types_in bindings);

impl Guest for Trouble {
    fn describe() -> Metadata {
        Metadata {
            name: "trouble".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: Kind::Check,
            title: "Trouble".to_owned(),
            description: String::new(),
            runbook: None,
            params_schema: r#"{"type":"object","required":["do"]}"#.to_owned(),
            capabilities: Vec::new(),
            time_limit: 600.0,
            risk: Risk::Low,
            idempotent: true,
            labels: Vec::new(),
        }
    }

    fn run(_: RunContext, params: String) -> Result<Outcome, Failure> {
        let behaviour = serde_json::from_str(&params).map_err(|error| Failure::BadParams(error.to_string()))?;
        match behaviour {
            Behaviour::Spin => spin(),
            Behaviour::Allocate => allocate(),
            Behaviour::Recurse => Ok(answers::fine(recurse(1).to_string())),
            Behaviour::FloodLog => loop {
                log::emit(log::Level::Info, "again", &[]);
            },
            Behaviour::FloodOutput => loop {
                println!("again");
            },
            Behaviour::FloodLine => {
                let part = "and on ".repeat(100);
                loop {
                    eprint!("{part}");
                }
            }
            Behaviour::LongMessage { bytes } => {
                log::emit(log::Level::Info, &"x".repeat(bytes), &[]);
                Ok(answers::fine("sent"))
            }
            Behaviour::Sleep { seconds } => {
                std::thread::sleep(Duration::from_secs(seconds));
                Ok(answers::fine("slept"))
            }
            Behaviour::LogAndWait { lines, seconds } => {
                for n in 1..=lines {
                    log::emit(log::Level::Info, &format!("line {n}"), &[]);
                }
                clock::sleep(seconds).map_err(Failure::Host)?;
                Ok(answers::fine("slept"))
            }
            Behaviour::SleepInHost { seconds } => {
                clock::sleep(seconds).map_err(Failure::Host)?;
                Ok(answers::fine("slept"))
            }
            Behaviour::Remember => loop {
                // Whatever the host says.
                let _ = state::put("key", "value", None);
            },
            #[expect(clippy::panic, reason = "that is what it was told to do")]
            Behaviour::Panic { message } => panic!("{message}"),
            #[expect(clippy::panic, reason = "that is what it was told to do")]
            Behaviour::PanicAfterAFlood { message } => {
                for _ in 0..5_000 {
                    log::emit(log::Level::Info, "nothing yet", &[]);
                }
                panic!("{message}")
            }
            Behaviour::Trap => core::arch::wasm32::unreachable(),
            Behaviour::Exit => std::process::exit(3),
            Behaviour::Fail { message } => Err(Failure::Other(message)),
            Behaviour::RefuseParams { message } => Err(Failure::BadParams(message)),
            Behaviour::Answer { wrong } => Ok(answers::wrong(wrong)),
        }
    }
}

fn spin() -> ! {
    let mut steps = 0_u64;
    loop {
        steps = black_box(steps.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Deeper with each call, and nothing to keep in linear memory, so that it is the native stack that ends.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    let below = recurse(depth.wrapping_add(1));
    below.rotate_left(1) ^ depth
}
