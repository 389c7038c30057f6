//! The shape of a line: what differs from case to case becomes a star, so that lines that say the same are one group.

use paramedic_sdk::human;
use serde_json::Value;

/// A word that has digits and is at least this long is taken for an id.
const ID_CHARS: usize = 8;
/// Of a line that is looked at.
const LINE_CHARS: usize = 2_048;
/// A shape that is longer differs in its end for no good reason.
const SHAPE_CHARS: usize = 160;
/// Names under which loggers write the message, the most telling first.
const MESSAGES: [&str; 7] = ["msg", "message", "err", "error", "exception", "event", "text"];
/// Names under which they write the level.
const LEVELS: [&str; 4] = ["level", "lvl", "severity", "levelname"];

/// The shape of a line.
pub(crate) fn of(line: &str) -> String {
    let plain = without_colours(line);
    let plain: String = plain.chars().take(LINE_CHARS).collect();
    let said = of_json(&plain).unwrap_or(plain);
    human::shorten(&starred(&said), SHAPE_CHARS)
}

/// Level and message of a line that is a JSON object. Its other fields differ from case to case.
fn of_json(line: &str) -> Option<String> {
    let start = line.find('{')?;
    let object: Value = serde_json::from_str(line.get(start..)?.trim()).ok()?;
    let level = LEVELS.iter().find_map(|name| object.get(name)?.as_str()).unwrap_or_default();
    let message = MESSAGES.iter().find_map(|name| text(object.get(name)?))?;
    Some(format!("{level} {message}").trim().to_owned())
}

/// A text, or the message of an error that is an object itself.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => MESSAGES.iter().find_map(|name| fields.get(*name)?.as_str().map(str::to_owned)),
        _ => None,
    }
}

/// Terminals are told colours by `ESC [ … letter`.
fn without_colours(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.peek() == Some(&'[') {
            rest.by_ref().skip(1).find(|c| c.is_ascii_alphabetic());
        } else {
            kept.push(c);
        }
    }
    kept
}

fn starred(text: &str) -> String {
    let (mut shape, mut rest, mut before) = (String::with_capacity(text.len()), text, ' ');
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' | '`' | '\'' if !before.is_alphanumeric() => quoted(rest, first),
            _ if is_word(first) => word(rest),
            _ => None,
        };
        let (length, shown) = taken.unwrap_or_else(|| (first.len_utf8(), first.to_string()));
        let (part, after) = rest.split_at(length);
        before = part.chars().last().unwrap_or(' ');
        if !(shown == "*" && shape.ends_with('*')) {
            shape.push_str(&shown);
        }
        rest = after;
    }
    shape
}

/// A quoted text, up to the sign that ends it before something that is no word.
fn quoted(text: &str, sign: char) -> Option<(usize, String)> {
    let ends = text.char_indices().skip(1).filter(|(_, c)| *c == sign).map(|(place, _)| place + sign.len_utf8());
    let is_end =
        |end: &usize| text.get(*end..).and_then(|rest| rest.chars().next()).is_none_or(|c| !c.is_alphanumeric());
    ends.into_iter().find(is_end).map(|end| (end, format!("{sign}*{sign}")))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@')
}

/// A word with what joins its parts: `api-7d4b9c-x2x`, `10.0.0.1:5432`, `03:14:15.926Z`.
fn word(text: &str) -> Option<(usize, String)> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let joins = |c: char| matches!(c, '-' | '.') || (is_number && matches!(c, ':' | ',' | '+'));
    let end = text.find(|c: char| !is_word(c) && !joins(c)).unwrap_or(text.len());
    let word = text.get(..end)?.trim_end_matches(|c: char| !is_word(c));
    (!word.is_empty()).then(|| (word.len(), starred_word(word, is_number)))
}

fn starred_word(word: &str, is_number: bool) -> String {
    let has_digit = word.chars().any(|c| c.is_ascii_digit());
    let is_long = word.chars().count() >= ID_CHARS;
    let is_hex = is_long && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_number || (has_digit && is_long) || (is_hex && has_digit) || word.contains('@') {
        return "*".to_owned();
    }
    let mut starred = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            '0'..='9' if starred.ends_with('*') => {}
            '0'..='9' => starred.push('*'),
            _ => starred.push(c),
        }
    }
    starred
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_case_to_case_becomes_a_star() {
        let table = [
            ("ERROR order 17 failed", "ERROR order * failed"),
            ("order id=17: no stock", "order id=*: no stock"),
            ("2026-03-01T03:14:15.926Z ERROR at 10.0.0.1:5432", "* ERROR at *"),
            ("03:14:15,926 error 9f8a7c6b5d4e", "* error *"),
            ("pod api-7d4b9c-x2x: panic", "pod *: panic"),
            ("user \"bob smith\" can't log in", "user \"*\" can't log in"),
            ("no column 'total' in `orders`", "no column '*' in `*`"),
            ("mail to bob@example.com: fatal", "mail to *: fatal"),
            ("HTTP2 error after 30s", "HTTP* error after *"),
            ("\u{1b}[31mERROR\u{1b}[0m 5 lost", "ERROR * lost"),
            ("uuid 123e4567-e89b-12d3-a456-426614174000 error", "uuid * error"),
            ("<n> of <n> failed with <text>", "<n> of <n> failed with <text>"),
            ("an open \"quote error", "an open \"quote error"),
            ("error: größe 12 ﬁt", "error: größe * ﬁt"),
            ("", ""),
            ("...", "..."),
        ];
        for (line, expected) in table {
            assert_eq!(of(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_of_json_count_by_their_level_and_message() {
        let table = [
            (r#"{"time":1,"level":"error","msg":"order 17 failed","trace":"a"}"#, "error order * failed"),
            (r#"{"severity":"ERROR","error":{"message":"no stock for 3"}}"#, "ERROR no stock for *"),
            (r#"2026-03-01 {"message":"panic at 7"}"#, "panic at *"),
            (r#"{"level":"error","code":7}"#, r#"{"*":"*","*":*}"#),
            (r#"{"level":"error""#, r#"{"*":"*""#),
        ];
        for (line, expected) in table {
            assert_eq!(of(line), expected, "{line}");
        }
    }

    #[test]
    fn a_shape_is_short_whatever_the_line_is() {
        for line in ["x".repeat(100_000), "'\"`".repeat(30_000), "\u{1f4a5}9".repeat(30_000), "a@".repeat(9_000)] {
            assert!(of(&line).chars().count() <= SHAPE_CHARS);
        }
    }
}
