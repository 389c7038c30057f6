//! Text that is safe to print, and its width.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// True for what a terminal would obey instead of showing it: controls, and signs that turn the direction of text.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with its line ends and tabs, everything else that a terminal would obey replaced.
pub(super) fn clean(text: &str) -> String {
    let shown = |c: char| if is_hostile(c) && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// The same in one line.
pub(crate) fn one_line(text: &str) -> String {
    clean(text.trim()).replace(['\n', '\t'], " ")
}

/// JSON in which nothing is left that a terminal would obey. Outside of strings JSON has no such sign but the line end,
/// and inside of strings it may be written as an escape.
pub fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hostile(c) && c != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text if it takes at most `max` columns; else its beginning with `…`.
pub(super) fn clip(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > max {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text, filled with spaces to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The text, filled with spaces from the left.
pub(super) fn pad_left(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_the_text_and_does_not_obey_it() {
        let hostile = "a\u{1b}[2Jb\u{7}\u{9b}31m\u{202e}c\r\nd\te\rf";
        assert_eq!(clean(hostile), "a\u{fffd}[2Jb\u{fffd}\u{fffd}31m\u{fffd}c\nd\te\u{fffd}f");
        assert_eq!(one_line(" a\n\tb "), "a  b");
    }

    #[test]
    fn json_keeps_its_meaning_without_its_controls() {
        let value = serde_json::json!({ "a": "x\u{1b}\u{9b}\u{202e}\u{7f}\n\"é漢" });
        let json = printable_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(json.chars().all(|c| !is_hostile(c) || c == '\n'), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn widths_are_those_of_the_terminal() {
        for (text, max, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字", 4, "漢字"),
            ("漢字漢", 4, "漢…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(clip(text, max), expected, "{text} to {max}");
            assert!(width(&clip(text, max)) <= max);
        }
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(pad_left("漢", 4), "  漢");
    }
}
