//! A command of a plugin's choosing, compared with the [`list`]: its name, its arguments, its keys and its cost.

pub(super) mod list;

use super::super::resp::Command;
use super::scan::check_pattern;
use crate::domain::{CallError, cut_bytes};
use list::{Arg, LIST, Opt, Part, Size, Spec};

/// Most elements in one answer.
pub(super) const ELEMENTS: u64 = 1_000;

/// Most words of a command, and most bytes of all of them.
const WORDS: usize = 128;
const BYTES: usize = 64 << 10;

/// Most elements that a range by score may skip.
const OFFSET: i64 = 100_000;

/// Longest piece of a string, in bytes.
const PIECE: i64 = 64 << 10;

/// A command that may be sent, if its keys are granted.
#[derive(Debug)]
pub(super) struct Request {
    /// What to send.
    pub(super) command: Command,
    /// The keys it names, as far as the list knows.
    pub(super) keys: Vec<String>,
    /// How large the answer can be.
    pub(super) size: Estimate,
    /// Whether the host, not the plugin, limited the number of elements to one more than allowed.
    pub(super) is_capped: bool,
}

/// What to ask before the command is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Estimate {
    /// Nothing.
    Small,
    /// The size of all keys.
    Whole,
    /// The size of the key and, with this command, the number of its elements.
    WholeOf(&'static str),
    /// The size of the key, only to know how long the server will work.
    Work,
    /// The sizes of these fields.
    Fields(Vec<String>),
    /// The size of the key, the number of its elements, and then the share of so many.
    Part(&'static str, Span),
}

/// How many elements of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// At most so many.
    AtMost(u64),
    /// From one index to another, either counted from the end when negative.
    Indexes(i64, i64),
}

impl Span {
    /// How many of `length` elements that are.
    pub(super) fn of(self, length: u64) -> u64 {
        match self {
            Self::AtMost(most) => most.min(length),
            Self::Indexes(first, last) => {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                let place = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
                let (first, last) = (place(first).max(0), place(last).min(length.saturating_sub(1)));
                u64::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(0)
            }
        }
    }
}

/// Find `words` on the list and check all of them.
pub(super) fn parse(words: &[String]) -> Result<Request, CallError> {
    if words.len() > WORDS || words.iter().map(String::len).sum::<usize>() > BYTES {
        return Err(CallError::Invalid(format!("a command has at most {WORDS} words and {BYTES} bytes")));
    }
    let (spec, rest) = find(words).ok_or_else(|| not_listed(words))?;
    spec.parse(rest).map_err(|reason| CallError::Invalid(format!("{}: {reason}", spec.name)))
}

fn find(words: &[String]) -> Option<(&'static Spec, &[String])> {
    let (first, rest) = words.split_first()?;
    let single = LIST.iter().find(|spec| spec.name.eq_ignore_ascii_case(first) && !spec.name.contains(' '));
    if let Some(spec) = single {
        return Some((spec, rest));
    }
    let (second, rest) = rest.split_first()?;
    let is_it = |name: &str| {
        let parts = name.split_once(' ');
        parts.is_some_and(|(one, two)| one.eq_ignore_ascii_case(first) && two.eq_ignore_ascii_case(second))
    };
    LIST.iter().find(|spec| is_it(spec.name)).map(|spec| (spec, rest))
}

fn not_listed(words: &[String]) -> CallError {
    let name: String = words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let shown: String = cut_bytes(&name, 40).chars().filter(|c| !c.is_control()).collect();
    CallError::Invalid(format!("`{shown}` is not among the commands that can be read with, whatever the grant says"))
}

/// What the options of one command were.
#[derive(Debug, Default)]
struct Given {
    flags: Vec<&'static str>,
    count: Option<u64>,
    limit: Option<u64>,
    sample: Option<u64>,
}

impl Given {
    fn by_value(&self) -> bool {
        self.flags.contains(&"BYSCORE") || self.flags.contains(&"BYLEX")
    }
}

impl Spec {
    fn parse(&self, words: &[String]) -> Result<Request, String> {
        let (fixed, options) = self.divide(words)?;
        let mut given = Given::default();
        let mut sent = self.read_options(options, &mut given)?;
        let is_capped = self.impose(&given, &mut sent);
        let mut name = self.name.split(' ');
        let command = Command::new(name.next().unwrap_or_default()).args(name).args(fixed).args(&sent);
        let keys = if self.has_many_keys() { fixed } else { fixed.get(..self.key_count()).unwrap_or_default() };
        Ok(Request { command, keys: keys.to_vec(), size: self.estimate(fixed, &given)?, is_capped })
    }

    /// The words at fixed places, checked, and the rest.
    fn divide<'a>(&self, words: &'a [String]) -> Result<(&'a [String], &'a [String]), String> {
        let has_tail = matches!(self.arguments.last(), Some(Arg::Keys | Arg::Texts));
        let least = self.arguments.len();
        if words.len() < least || (has_tail && words.len() > ELEMENTS as usize) {
            return Err(format!("it takes {}", self.usage()));
        }
        let (fixed, options) = if has_tail { (words, &[][..]) } else { words.split_at(least) };
        for (argument, word) in self.arguments.iter().zip(fixed) {
            argument.check(word)?;
        }
        Ok((fixed, options))
    }

    /// The options in the form in which they are sent.
    fn read_options(&self, mut words: &[String], given: &mut Given) -> Result<Vec<String>, String> {
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        while !words.is_empty() {
            let usage = || format!("it takes {}", self.usage());
            let fits = |option: &&Opt| !seen.contains(*option) && option.matches(words, seen.is_empty());
            let option = *self.options.iter().find(fits).ok_or_else(usage)?;
            let (own, rest) = words.split_at_checked(option.width()).ok_or_else(usage)?;
            option.read(own, given)?;
            seen.push(option);
            sent.extend(own.iter().cloned());
            words = rest;
        }
        Ok(sent)
    }

    /// Add the limit that the plugin left out, one above what is allowed, so that excess shows.
    fn impose(&self, given: &Given, sent: &mut Vec<String>) -> bool {
        let beyond = (ELEMENTS + 1).to_string();
        let added = match self.size {
            Size::Part(_, Part::Count) if given.count.is_none() => vec!["COUNT".to_owned(), beyond],
            Size::Part(_, Part::Limit) if given.limit.is_none() => vec!["LIMIT".to_owned(), "0".to_owned(), beyond],
            Size::Part(_, Part::IndexesOrValues) if given.by_value() && given.limit.is_none() => {
                vec!["LIMIT".to_owned(), "0".to_owned(), beyond]
            }
            _ => Vec::new(),
        };
        let is_capped = !added.is_empty();
        sent.extend(added);
        is_capped
    }

    fn estimate(&self, fixed: &[String], given: &Given) -> Result<Estimate, String> {
        Ok(match self.size {
            Size::Small => {
                self.check_piece(fixed)?;
                Estimate::Small
            }
            Size::Whole => Estimate::Whole,
            Size::WholeOf(count) => Estimate::WholeOf(count),
            Size::Work => Estimate::Work,
            Size::Fields => Estimate::Fields(fixed.get(1..).unwrap_or_default().to_vec()),
            Size::Part(count, part) => Estimate::Part(count, part.span(fixed, given)?),
        })
    }

    /// A piece of a string is as large as its two places say.
    fn check_piece(&self, fixed: &[String]) -> Result<(), String> {
        let [_, first, last] = fixed else { return Ok(()) };
        if self.name != "GETRANGE" {
            return Ok(());
        }
        let (first, last) = (number(first)?, number(last)?);
        let is_small = first >= 0 && last >= 0 && last.saturating_sub(first) < PIECE;
        if is_small { Ok(()) } else { Err(format!("give two places from 0, at most {PIECE} bytes apart")) }
    }

    /// The command in its shortest form about `key`, to see whether a login may run it.
    pub(super) fn probe(&self, key: &str) -> Command {
        let mut words = self.name.split(' ');
        let command = Command::new(words.next().unwrap_or_default()).args(words);
        self.arguments.iter().fold(command, |command, argument| match argument {
            Arg::Key | Arg::Keys => command.arg(key),
            Arg::Text | Arg::Texts | Arg::Number | Arg::Cursor => command.arg("0"),
        })
    }

    fn has_many_keys(&self) -> bool {
        self.arguments.contains(&Arg::Keys)
    }

    fn key_count(&self) -> usize {
        self.arguments.iter().filter(|argument| **argument == Arg::Key).count()
    }

    fn usage(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.word().to_owned());
        let options = self.options.iter().map(|option| format!("[{}]", option.words()));
        let all: Vec<String> = arguments.chain(options).collect();
        if all.is_empty() { "no arguments".to_owned() } else { all.join(" ") }
    }
}

impl Arg {
    fn check(self, word: &str) -> Result<(), String> {
        match self {
            Self::Key | Self::Keys | Self::Text | Self::Texts => Ok(()),
            Self::Number => number(word).map(drop),
            Self::Cursor => word.parse::<u64>().map(drop).map_err(|_| "a cursor is a number from 0".to_owned()),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Keys => "key…",
            Self::Text => "text",
            Self::Texts => "text…",
            Self::Number => "number",
            Self::Cursor => "cursor",
        }
    }
}

impl Opt {
    /// True when `words` begin with it.
    fn matches(self, words: &[String], is_first: bool) -> bool {
        let begins = |name: &str| words.first().is_some_and(|word| word.eq_ignore_ascii_case(name));
        match self {
            Self::Flag(name) => begins(name),
            Self::Count => begins("COUNT"),
            Self::Match => begins("MATCH"),
            Self::Limit => begins("LIMIT"),
            Self::Samples => begins("SAMPLES"),
            Self::Sample | Self::Places => is_first && words.first().is_some_and(|word| number(word).is_ok()),
        }
    }

    const fn width(self) -> usize {
        match self {
            Self::Flag(_) | Self::Sample => 1,
            Self::Count | Self::Match | Self::Samples | Self::Places => 2,
            Self::Limit => 3,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Flag(name) => name,
            Self::Count => "COUNT number",
            Self::Match => "MATCH pattern",
            Self::Limit => "LIMIT number number",
            Self::Samples => "SAMPLES number",
            Self::Sample => "number",
            Self::Places => "number number",
        }
    }

    fn read(self, words: &[String], given: &mut Given) -> Result<(), String> {
        let value = |at: usize| words.get(at).map_or(Err(String::new()), |word| number(word));
        match self {
            Self::Flag(name) => given.flags.push(name),
            Self::Count => given.count = Some(amount(value(1)?)?),
            Self::Match => {
                let pattern = words.get(1).map_or("", String::as_str);
                check_pattern(pattern).map_err(|error| error.to_string())?;
            }
            Self::Limit => {
                if !(0..=OFFSET).contains(&value(1)?) {
                    return Err(format!("LIMIT may skip 0 to {OFFSET} elements"));
                }
                given.limit = Some(amount(value(2)?)?);
            }
            Self::Samples if !(1..=5).contains(&value(1)?) => return Err("SAMPLES may be 1 to 5".to_owned()),
            Self::Samples => {}
            Self::Sample => given.sample = Some(amount(value(0)?.saturating_abs())?),
            Self::Places => {
                value(0)?;
                value(1)?;
            }
        }
        Ok(())
    }
}

impl Part {
    fn span(self, fixed: &[String], given: &Given) -> Result<Span, String> {
        let at = |place: usize| fixed.get(place).map_or(Err(String::new()), |word| number(word));
        Ok(match self {
            Self::One => Span::AtMost(1),
            Self::Indexes => Span::Indexes(at(1)?, at(2)?),
            Self::IndexesOrValues if given.by_value() => Span::AtMost(given.limit.unwrap_or(ELEMENTS)),
            Self::IndexesOrValues if given.limit.is_some() => {
                return Err("LIMIT needs BYSCORE or BYLEX".to_owned());
            }
            Self::IndexesOrValues => Span::Indexes(at(1)?, at(2)?),
            Self::Limit => Span::AtMost(given.limit.unwrap_or(ELEMENTS)),
            Self::Count => Span::AtMost(given.count.unwrap_or(ELEMENTS)),
            Self::Step => Span::AtMost(given.count.unwrap_or(10)),
            Self::Sample => Span::AtMost(given.sample.unwrap_or(1)),
        })
    }
}

/// A whole number in the one way to write it.
fn number(word: &str) -> Result<i64, String> {
    let number = word.parse::<i64>().ok().filter(|number| number.to_string() == word);
    number.ok_or_else(|| format!("`{}` is no whole number", cut_bytes(word, 20).escape_debug()))
}

/// A number of elements that an answer may hold.
fn amount(number: i64) -> Result<u64, String> {
    let amount = u64::try_from(number).ok().filter(|amount| *amount <= ELEMENTS);
    amount.ok_or_else(|| format!("the number of elements must be 0 to {ELEMENTS}"))
}

#[cfg(test)]
mod tests;
