//! The page that a card is written on: sections with a blank line between them, and colours where they are wanted.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// Whether a card has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text and nothing else.
    Plain,
    /// With the escapes of a terminal.
    Colours,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Needs attention soon.
    Warning,
    /// Needs attention now.
    Bad,
    /// Not known.
    Doubtful,
    /// A heading.
    Heading,
    /// What one can type.
    Command,
    /// What is rarely looked at.
    Faint,
}

impl Tone {
    /// The tone of a verdict, a state or a level.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "ok" | "active" => Self::Good,
            "warning" | "warn" | "waiting" | "quarantined" => Self::Warning,
            "critical" | "error" => Self::Bad,
            "unknown" | "failed" | "interrupted" => Self::Doubtful,
            _ => Self::Faint,
        }
    }

    fn style(self) -> Style {
        let colour = |colour: AnsiColor| colour.on_default();
        match self {
            Self::Good => colour(AnsiColor::Green).bold(),
            Self::Warning => colour(AnsiColor::Yellow).bold(),
            Self::Bad => colour(AnsiColor::Red).bold(),
            Self::Doubtful => colour(AnsiColor::Magenta).bold(),
            Self::Heading => Style::new().bold(),
            Self::Command => colour(AnsiColor::Cyan),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// A card in the making.
pub(crate) struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    pub(crate) fn new(paint: Paint) -> Self {
        Self { text: String::new(), paint }
    }

    /// The text in the colour of `tone`.
    pub(crate) fn tone(&self, tone: Tone, text: impl Display) -> String {
        match self.paint {
            Paint::Plain => text.to_string(),
            Paint::Colours => format!("{style}{text}{style:#}", style = tone.style()),
        }
    }

    /// One line. Spaces at its end are dropped.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref().trim_end());
        self.text.push('\n');
    }

    /// A blank line between what was written and what comes.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A new section with its heading.
    pub(crate) fn section(&mut self, heading: &str) {
        self.gap();
        let heading = self.tone(Tone::Heading, heading);
        self.line(heading);
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
