//! `paramedic run --watch`: a check again and again, its card in place of the one before.
//!
//! ```text
//!   ask ─► card or trouble ─► frame ─► screen: a terminal is redrawn, everything else gets one frame after the other
//!    ▲                                    │
//!    └──── the interval, or longer where the agent says so; Ctrl-C ends it with the verdict that is shown
//! ```
//!
//! What is drawn is a function of what is known ([`frame`], [`fitted`]); only [`Screen`] knows whether there is a terminal.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use unicode_width::UnicodeWidthStr;

use super::UNKNOWN;
use super::client::{AskError, Client};
use super::output::{self, Format};
use super::run::code;
use crate::api::card::{self, Detail, Paint};
use crate::api::shape;
use crate::clock::{Clock, SystemClock};
use crate::domain::Timestamp;

/// The interval where none is given, in seconds.
pub(super) const USUAL: &str = "5";

/// Shortest and longest interval, in seconds.
const SHORTEST: f64 = 0.5;
const LONGEST: f64 = 3600.0;

/// How often a terminal hears that an answer is still awaited.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two frames that are not drawn over each other.
const SEPARATOR: &str = "────────────────────────────────────────";

/// Read an interval.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("expected {SHORTEST} to {LONGEST} seconds"))
}

/// What came of asking once.
enum Answer {
    /// The run has ended.
    Ended(Box<shape::Run>),
    /// There is nothing to show now, and there may be later.
    Trouble(String),
}

/// What is known while watching.
#[derive(Default)]
struct Known {
    /// The last run that ended, and when it was shown first.
    run: Option<(Box<shape::Run>, Timestamp)>,
    /// Why there is none that is newer.
    trouble: Option<String>,
    /// How long an answer has been awaited.
    waiting: Option<Duration>,
}

/// Run the check again and again until somebody presses Ctrl-C. The exit code is that of the last verdict.
pub(super) async fn watch(
    client: &Client,
    request: &shape::RunRequest,
    every: Duration,
    format: Format,
) -> Result<u8, AskError> {
    let mut screen = Screen::new(format);
    let mut known = Known::default();
    let mut stop = pin!(tokio::signal::ctrl_c());
    loop {
        let begun = tokio::time::Instant::now();
        let mut round = pin!(ask(client, request));
        let answered = loop {
            tokio::select! {
                answered = &mut round => break answered,
                _ = &mut stop => return Ok(verdict(&known)),
                () = tokio::time::sleep(PATIENCE), if screen.redraws => {
                    known.waiting = Some(begun.elapsed());
                    screen.show(&request.plugin, every, &known).map_err(AskError::Output)?;
                }
            }
        };
        let pause = known.take_in(answered?, every);
        screen.show(&request.plugin, every, &known).map_err(AskError::Output)?;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut stop => return Ok(verdict(&known)),
        }
    }
}

fn verdict(known: &Known) -> u8 {
    known.run.as_ref().map_or(UNKNOWN, |(run, _)| code(run))
}

/// Ask for one run: what came of it, and how long the agent wants to be left alone.
async fn ask(client: &Client, request: &shape::RunRequest) -> Result<(Answer, Option<Duration>), AskError> {
    match client.post(&["v1", "runs"], &[], request).await {
        Ok(run) => Ok((Answer::Ended(Box::new(run)), None)),
        Err(error) if error.passes() => Ok((Answer::Trouble(error.to_string()), error.retry_after())),
        Err(AskError::Refused { problem, .. }) if problem.r#type.ends_with(":wrong-mode") => {
            let plugin = &request.plugin;
            Err(AskError::Params(format!(
                "--watch is for checks, and `{plugin}` is none; `paramedic plan {plugin}` lists what it would change"
            )))
        }
        Err(error) => Err(error),
    }
}

impl Known {
    /// Take in an answer. Answers how long it is before the next question.
    fn take_in(&mut self, (answer, retry_after): (Answer, Option<Duration>), every: Duration) -> Duration {
        self.waiting = None;
        match answer {
            Answer::Ended(run) => {
                self.trouble = None;
                self.run = Some((run, SystemClock.now()));
            }
            Answer::Trouble(text) => self.trouble = Some(text),
        }
        every.max(retry_after.unwrap_or_default())
    }
}

/// What is shown at `now`.
fn frame(plugin: &str, every: Duration, known: &Known, now: Timestamp) -> String {
    let mut text = format!("{}, every {} s, at {now}; Ctrl-C ends it\n", card::clean_line(plugin), every.as_secs_f64());
    let waiting = known.waiting.filter(|waiting| *waiting > every);
    if let Some(waiting) = waiting {
        text += &format!("no answer yet, after {} s\n", waiting.as_secs());
    }
    if let Some(trouble) = &known.trouble {
        text += &format!("{}; it is tried again\n", card::clean_line(trouble));
    }
    if let Some((run, at)) = &known.run {
        if known.trouble.is_some() || waiting.is_some() {
            text += &format!("this is of {at}:\n");
        }
        text += &format!("\n{}", card::run(run, Detail::Brief, Paint::Colours));
    }
    text
}

/// As much of the text as a terminal of that size shows without moving. What is left out is said in the last line.
fn fitted(text: &str, columns: usize, rows: usize) -> String {
    let height = |line: &str| strip_str(line).to_string().width().max(1).div_ceil(columns.max(1));
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().map(|line| height(line)).sum::<usize>() < rows {
        return text.to_owned();
    }
    let (mut used, mut shown) = (0, String::new());
    for (number, line) in lines.iter().enumerate() {
        used += height(line);
        // One row for the last line, and one for the place where the terminal waits.
        if used + 2 > rows {
            return shown + &format!("… {} more lines\n", lines.len() - number);
        }
        shown += line;
        shown.push('\n');
    }
    shown
}

/// Where frames go.
struct Screen {
    format: Format,
    /// A terminal on which one frame takes the place of the other.
    redraws: bool,
    /// Nothing was shown yet.
    is_first: bool,
}

impl Screen {
    fn new(format: Format) -> Self {
        Self { format, redraws: format == Format::Card && io::stdout().is_terminal(), is_first: true }
    }

    fn show(&mut self, plugin: &str, every: Duration, known: &Known) -> io::Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        if self.format == Format::Json {
            return json(known);
        }
        let frame = frame(plugin, every, known, SystemClock.now());
        let separator = if is_first || self.redraws { String::new() } else { format!("{SEPARATOR}\n") };
        let coloured = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let text = if coloured { separator + &frame } else { separator + &strip_str(&frame).to_string() };
        let text = if self.redraws { drawn_over(&text, is_first) } else { text };
        output::print(&mut io::stdout().lock(), &text)
    }
}

/// The escapes that put a frame in the place of the one before. Line by line, because a terminal that is cleared first flickers.
fn drawn_over(text: &str, is_first: bool) -> String {
    let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
    let fitted = fitted(text, columns.into(), rows.into());
    let clear = if is_first { "\u{1b}[2J" } else { "" };
    format!("{clear}\u{1b}[H{}\u{1b}[J", fitted.replace('\n', "\u{1b}[K\n"))
}

/// A run is printed once, and trouble goes where it does not disturb a program.
fn json(known: &Known) -> io::Result<()> {
    if let Some(trouble) = &known.trouble {
        output::note(&format!("{}; it is tried again", card::clean_line(trouble)));
        return Ok(());
    }
    let Some((run, _)) = &known.run else { return Ok(()) };
    let text = serde_json::to_string(run).map_err(io::Error::from)?;
    output::print(&mut io::stdout().lock(), &(card::printable_json(&text) + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);
    const EVERY: Duration = Duration::from_secs(5);

    fn run(status: &str, summary: &str) -> Box<shape::Run> {
        let run = serde_json::json!({
            "id": "1", "plugin": "k8s-top", "version": "0.1.0", "digest": "", "mode": "check", "trigger": "manual",
            "actor": "alice", "state": status, "params": {}, "started": "then", "calls": [], "log": [],
            "outcome": {
                "status": status, "summary": summary, "metrics": [], "findings": [], "suggestions": [], "labels": []
            },
            "usage": {
                "duration_seconds": 0, "memory_bytes": 0, "calls": 0, "answer_bytes": 0, "dropped_log_lines": 0
            }
        });
        serde_json::from_value(run).unwrap()
    }

    fn shown(known: &Known) -> String {
        strip_str(&frame("k8s-top", EVERY, known, NOW)).to_string()
    }

    #[test]
    fn a_frame_has_the_time_and_the_newest_card() {
        let mut known = Known::default();
        assert_eq!(shown(&known), "k8s-top, every 5 s, at 2026-03-01T03:14:15.926Z; Ctrl-C ends it\n");
        assert_eq!(known.take_in((Answer::Ended(run("critical", "it is full")), None), EVERY), EVERY);
        let card = shown(&known);
        assert!(card.contains("ends it\n\nCRITICAL k8s-top: it is full\n"), "{card}");
        assert_eq!(verdict(&known), 2);
    }

    #[test]
    fn an_agent_that_does_not_answer_is_shown_above_the_card_of_before() {
        let mut known = Known::default();
        assert_eq!(verdict(&known), UNKNOWN);
        known.take_in((Answer::Ended(run("warning", "it is warm")), None), EVERY);
        known.waiting = Some(Duration::from_secs(4));
        assert!(!shown(&known).contains("no answer"), "a run may take its time");
        known.waiting = Some(Duration::from_millis(6200));
        assert!(shown(&known).contains("\nno answer yet, after 6 s\nthis is of 2"), "{}", shown(&known));
        let busy = (Answer::Trouble("all slots\n are taken".to_owned()), Some(Duration::from_secs(30)));
        assert_eq!(known.take_in(busy, EVERY), Duration::from_secs(30));
        let card = shown(&known);
        assert!(card.contains("\nall slots  are taken; it is tried again\nthis is of 2"), "{card}");
        assert!(card.contains("\n\nWARNING k8s-top: it is warm\n"), "{card}");
        assert_eq!(verdict(&known), 1);
        let short = (Answer::Trouble(String::new()), Some(Duration::from_secs(1)));
        assert_eq!(known.take_in(short, EVERY), EVERY);
        known.take_in((Answer::Ended(run("ok", "it is well")), None), EVERY);
        assert!(!shown(&known).contains("tried again") && verdict(&known) == 0);
    }

    #[test]
    fn a_frame_is_never_higher_than_its_terminal() {
        let lines: String = (1..=9).map(|number| format!("line {number}\n")).collect();
        assert_eq!(fitted(&lines, 80, 10), lines);
        let cut = fitted(&lines, 80, 6);
        assert_eq!(cut, "line 1\nline 2\nline 3\nline 4\n… 5 more lines\n");
        // Colours take no room, and a wide line takes two rows.
        let wide = format!("\u{1b}[1m{}\u{1b}[0m\nb\nc\n", "x".repeat(20));
        assert_eq!(fitted(&wide, 10, 5), wide);
        assert_eq!(fitted(&wide, 10, 4), format!("{}\n… 2 more lines\n", wide.lines().next().unwrap()));
        assert_eq!(fitted("a\nb\nc\n", 0, 0), "… 3 more lines\n");
    }

    #[test]
    fn an_interval_is_a_number_of_seconds_within_reason() {
        assert_eq!(interval("2.5"), Ok(Duration::from_millis(2500)));
        for bad in ["0", "0.4", "-1", "3601", "nan", "inf", "5s", "k8s-top"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
