//! What is printed: answers to standard output, complaints to standard error.

use std::io::{self, ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::client::AskError;
use crate::api::card::{Paint, printable_json};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, with colours on a terminal.
    Card,
    /// For programs.
    Json,
}

/// Print an answer. Colours are dropped where nobody sees them, and where `NO_COLOR` asks for that.
pub(super) fn answer<T: Serialize>(
    format: Format,
    shape: &T,
    card: impl FnOnce(&T, Paint) -> String,
) -> Result<(), AskError> {
    let text = match format {
        Format::Card => card(shape, Paint::Colours),
        Format::Json => json(shape)?,
    };
    print(&mut anstream::stdout().lock(), &text).map_err(AskError::Output)
}

fn json<T: Serialize>(shape: &T) -> Result<String, AskError> {
    let json = serde_json::to_string_pretty(shape).map_err(|error| AskError::Output(error.into()))?;
    Ok(printable_json(&json) + "\n")
}

/// A reader that has seen enough, such as `head`, is no failure.
pub(super) fn print(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Say why there is no answer.
pub(super) fn complain(error: &impl std::fmt::Display) {
    // There is nobody left to tell if this cannot be printed.
    let _ = writeln!(anstream::stderr(), "paramedic: {error}");
}

/// Say something beside the answer.
pub(super) fn note(message: &str) {
    let _ = writeln!(anstream::stderr(), "paramedic: {message}");
}

/// Say something that does not keep the answer from coming.
pub(super) fn warn(message: &str) {
    let _ = writeln!(anstream::stderr(), "paramedic: warning: {message}");
}
