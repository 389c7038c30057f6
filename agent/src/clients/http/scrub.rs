//! Finds echoes of a target's credentials in an answer and replaces them, before a plugin sees it.
//!
//! Debug pages, error messages and echo services give back what was sent to them, as it was or in another spelling. All
//! spellings of all secrets become one regular expression, whose time is linear in the answer whatever a server sends:
//!
//! - the text itself, each character plain or escaped as a URL, JSON or HTML would;
//! - its hexadecimal digits;
//! - its base64, alone or within the base64 of something larger, in either alphabet.
//!
//! This guards against accidents. A server that works together with a plugin can always find a spelling of its own; it
//! was given the credential anyway.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::bytes::{NoExpand, Regex, RegexBuilder};

use super::InvalidSettings;
use crate::domain::Secret;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter pieces of base64 would be found by accident.
const MIN_BASE64_CHARACTERS: usize = 6;

/// Several credentials of the greatest length fit.
const MAX_EXPRESSION_BYTES: usize = 128 << 20;

/// Knows the secrets of one target in all spellings.
#[derive(Clone)]
pub struct Scrubber(Option<Regex>);

impl Scrubber {
    /// Prepare for `secrets`; none means that nothing is replaced.
    pub fn new(secrets: &[Secret]) -> Result<Self, InvalidSettings> {
        if secrets.is_empty() {
            return Ok(Self(None));
        }
        let mut secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        // The first alternative wins, so that a secret is not cut short by another that begins like it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let alternatives: Vec<String> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
        RegexBuilder::new(&alternatives.join("|"))
            .unicode(false)
            .size_limit(MAX_EXPRESSION_BYTES)
            .build()
            .map(|expression| Self(Some(expression)))
            // Its error would print the expression, which holds the secrets.
            .map_err(|_| InvalidSettings::TooManyCredentials)
    }

    /// `bytes` with every echo replaced.
    pub fn scrub<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.0 {
            Some(expression) => expression.replace_all(bytes, NoExpand(REDACTED.as_bytes())),
            None => Cow::Borrowed(bytes),
        }
    }
}

fn spellings(secret: &str) -> Vec<String> {
    let plain = secret.chars().map(character).collect();
    let hexadecimal = secret.bytes().map(|byte| format!("(?i:{byte:02x})")).collect();
    [plain, hexadecimal].into_iter().chain((0..3).filter_map(|offset| base64_at(secret, offset))).collect()
}

/// One character, plain or in any of its escapes.
fn character(c: char) -> String {
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).as_bytes();
    let code = u32::from(c);
    let mut forms = vec![
        bytes.iter().copied().map(literal).collect::<String>(),
        bytes.iter().map(|byte| format!("%(?i:{byte:02x})")).collect(),
        c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!(r"\\u(?i:{unit:04x})")).collect(),
        format!("&#(?:0*{code}|[xX]0*(?i:{code:x}));"),
    ];
    match c {
        ' ' => forms.push(r"\+".to_owned()),
        '&' => forms.push("&amp;".to_owned()),
        '<' => forms.push("&lt;".to_owned()),
        '>' => forms.push("&gt;".to_owned()),
        '"' => forms.extend(["&quot;".to_owned(), r#"\\""#.to_owned()]),
        '\'' => forms.extend(["&apos;".to_owned(), r"\\'".to_owned()]),
        '/' => forms.push(r"\\/".to_owned()),
        '\\' => forms.push(r"\\\\".to_owned()),
        _ => {}
    }
    // Longer forms first: `\\` is one escaped backslash, not two plain ones.
    forms.reverse();
    format!("(?:{})", forms.join("|"))
}

/// A byte that stands for itself whatever it means in an expression.
fn literal(byte: u8) -> String {
    format!(r"\x{byte:02x}")
}

/// The base64 of `secret` when it stands `offset` bytes after a boundary of three, without the characters that its
/// neighbours have a part in.
fn base64_at(secret: &str, offset: usize) -> Option<String> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = STANDARD_NO_PAD.encode(&bytes);
    let shared_in_front = [0, 2, 3].get(offset)?;
    let shared_behind = usize::from(!bytes.len().is_multiple_of(3));
    let core = encoded.get(*shared_in_front..encoded.len() - shared_behind)?;
    if core.len() < MIN_BASE64_CHARACTERS {
        return None;
    }
    let core: String = core.chars().map(base64_character).collect();
    // The end of it, if the secret was encoded alone.
    Some(format!("{core}(?:[A-Za-z0-9+/_-]?(?:=|%3[Dd]){{1,2}})?"))
}

/// Letters and digits are never escaped; the other two depend on the alphabet and on what the text is put into.
fn base64_character(c: char) -> String {
    match c {
        '+' => format!("(?:{}|-)", character('+')),
        '/' => format!("(?:{}|_)", character('/')),
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;

    const SECRET: &str = r#"tök/en+ä"b'c\d&e<f>g h?%41"#;

    fn scrub(secrets: &[&str], text: impl AsRef<[u8]>) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let scrubber = Scrubber::new(&secrets).unwrap();
        String::from_utf8_lossy(&scrubber.scrub(text.as_ref())).into_owned()
    }

    fn percent(text: &str, is_escaped: impl Fn(u8) -> bool) -> String {
        text.bytes()
            .map(|byte| if is_escaped(byte) { format!("%{byte:02X}") } else { char::from(byte).to_string() })
            .collect()
    }

    #[test]
    fn every_spelling_of_a_secret_is_found() {
        let json = serde_json::to_string(SECRET).unwrap();
        let json_ascii: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let html = SECRET
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
        for spelled in [
            SECRET.to_owned(),
            percent(SECRET, |byte| !byte.is_ascii_alphanumeric()),
            percent(SECRET, |byte| !byte.is_ascii_alphanumeric()).to_lowercase(),
            percent(SECRET, |_| true),
            percent(SECRET, |byte| !byte.is_ascii_alphanumeric()).replace("%20", "+"),
            json.trim_matches('"').to_owned(),
            json.trim_matches('"').replace('/', "\\/"),
            json_ascii,
            html,
            SECRET.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect(),
            SECRET.chars().map(|c| format!("&#{:04};", u32::from(c))).collect(),
            SECRET.bytes().map(|byte| format!("{byte:02x}")).collect(),
            SECRET.bytes().map(|byte| format!("{byte:02X}")).collect(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD.encode(SECRET).replace('/', "\\/"),
            percent(&STANDARD.encode(SECRET), |byte| !byte.is_ascii_alphanumeric()),
        ] {
            assert_eq!(scrub(&[SECRET], format!("<{spelled}>")), "<[redacted]>", "{spelled}");
        }
    }

    #[test]
    fn a_secret_within_something_larger_in_base64_leaves_no_byte_of_itself() {
        let secret = "hunter2-hunter2";
        for before in ["", "a", "ab", "abc", "Authorization: Bearer "] {
            for after in ["", "x", "xy", "xyz"] {
                for encoded in [
                    STANDARD.encode(format!("{before}{secret}{after}")),
                    URL_SAFE_NO_PAD.encode(format!("{before}{secret}{after}")),
                ] {
                    let scrubbed = scrub(&[secret], &encoded);
                    assert!(scrubbed.contains(REDACTED), "{before} {after}: {scrubbed}");
                    // What is left beside it is the neighbours' and at most one character on each side.
                    let left = scrubbed.len() - REDACTED.len();
                    assert!(left <= (before.len() + after.len()) * 4 / 3 + 4, "{before} {after}: {scrubbed}");
                }
            }
        }
    }

    #[test]
    fn the_longer_of_two_secrets_is_replaced_whole() {
        assert_eq!(scrub(&["hunter", "hunter2-long"], "hunter2-long hunter"), "[redacted] [redacted]");
        assert_eq!(scrub(&["hunter"], "hunterhunter"), "[redacted][redacted]");
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let bytes = [0, 159, 146, 150, b'h', b'u', b'n', b't', 0xff];
        let scrubber = Scrubber::new(&[Secret::new("hunter2")]).unwrap();
        assert_eq!(&*scrubber.scrub(&bytes), bytes);
        assert_eq!(scrub(&["a.c*"], "abc aXcc a.c* A.C*"), "abc aXcc [redacted] A.C*");
        assert_eq!(scrub(&["cost$1"], "cost$1"), "[redacted]");
        assert_eq!(scrub(&[], "hunter2"), "hunter2");
    }

    #[test]
    fn credentials_of_the_greatest_length_are_prepared_and_found_in_a_large_answer() {
        let secret: String = (0..4096_u32).map(|i| char::from(b'a' + u8::try_from(i * 7 % 26).unwrap())).collect();
        let mut answer = "a".repeat(1 << 20);
        answer.push_str(&secret);
        assert!(scrub(&[&secret, "another-one"], answer).ends_with("a[redacted]"));
    }

    proptest::proptest! {
        #[test]
        fn no_secret_survives(secret in "[ -Z^-~äß€]{4,12}", before in "[ -~]{0,8}", after in "[ -~]{0,8}") {
            let scrubbed = scrub(&[&secret], format!("{before}{secret}{after}"));
            proptest::prop_assert!(!scrubbed.contains(&secret), "{}", scrubbed);
        }
    }
}
