//! Paths and queries as a plugin writes them, brought to the one form that is compared with the grant and sent.
//!
//! The two must be the same text, and mean the same to every server and proxy on the way: a path that one of them reads
//! as another path would walk out of the grant. So what has a single meaning is normalised (escapes of letters, digits
//! and `-._~`, case of the others, dot segments), and what is read in more than one way is refused.

use std::fmt;

const MAX_BYTES: usize = 4096;

/// Path and query below a target's base, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath {
    path: String,
    query: Option<String>,
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It names a whole URL, a host or nothing.
    #[error("the path must begin with one `/`")]
    NotAbsolute,
    /// It is longer than any honest one.
    #[error("the path is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A byte that has to be escaped, or that has no place in a path.
    #[error("the path must hold no spaces, control characters, `@`, `\\`, `#` or other characters that need an escape")]
    Character,
    /// The same for the query.
    #[error("the query must hold no spaces, control characters or other characters that need an escape")]
    QueryCharacter,
    /// `%` without two digits, or bytes that are no UTF-8.
    #[error("the path has a broken percent escape")]
    BrokenEscape,
    /// An escape of `/`, `\`, NUL or a control character, or of an escape.
    #[error("the path must hold no escaped slash, backslash, control character or escape")]
    HiddenCharacter,
    /// `//` within it.
    #[error("the path must hold no empty segment")]
    EmptySegment,
    /// `..` above the base, or a segment that some servers read as `..`.
    #[error("the path must not climb above the target's base")]
    Climbs,
}

impl RequestPath {
    /// Read what a plugin sent, or what a server named in a redirect.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text.len() > MAX_BYTES {
            return Err(InvalidPath::TooLong);
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let query = query.map(check_query).transpose()?;
        Ok(Self { path: normalise(path)?, query: query.map(str::to_owned) })
    }

    /// The path without its query, which is what a grant speaks of.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.query.iter().try_for_each(|query| write!(f, "?{query}"))
    }
}

fn normalise(path: &str) -> Result<String, InvalidPath> {
    let rest = path.strip_prefix('/').ok_or(InvalidPath::NotAbsolute)?;
    if rest.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    let mut segments: Vec<String> = Vec::new();
    let mut ends_open = false;
    let mut raw_segments = rest.split('/').peekable();
    while let Some(raw) = raw_segments.next() {
        let is_last = raw_segments.peek().is_none();
        let segment = Segment::read(raw)?;
        match segment {
            Segment::Empty if is_last => {}
            Segment::Empty => return Err(InvalidPath::EmptySegment),
            Segment::Here => {}
            Segment::Up => segments.pop().map(drop).ok_or(InvalidPath::Climbs)?,
            Segment::Name(name) => {
                segments.push(name);
                continue;
            }
        }
        ends_open = is_last;
    }
    let end = if ends_open && !segments.is_empty() { "/" } else { "" };
    Ok(format!("/{}{end}", segments.join("/")))
}

/// What stands between two slashes.
enum Segment {
    Empty,
    Here,
    Up,
    Name(String),
}

impl Segment {
    fn read(raw: &str) -> Result<Self, InvalidPath> {
        let mut written = String::with_capacity(raw.len());
        let mut meant = Vec::with_capacity(raw.len());
        let mut rest = raw.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            if *first == b'%' {
                let byte = escaped(tail).ok_or(InvalidPath::BrokenEscape)?;
                rest = tail.get(2..).unwrap_or_default();
                refuse_separator(byte)?;
                meant.push(byte);
                if is_unreserved(byte) {
                    written.push(char::from(byte));
                } else {
                    written.push_str(&format!("%{byte:02X}"));
                }
            } else if is_path_character(*first) {
                meant.push(*first);
                written.push(char::from(*first));
            } else {
                return Err(InvalidPath::Character);
            }
        }
        // A proxy that decodes twice would turn an escape of an escape into any of the refused bytes.
        if meant
            .windows(3)
            .any(|bytes| bytes.first() == Some(&b'%') && escaped(bytes.get(1..).unwrap_or_default()).is_some())
        {
            return Err(InvalidPath::HiddenCharacter);
        }
        let meant = String::from_utf8(meant).map_err(|_| InvalidPath::BrokenEscape)?;
        Self::classify(&meant, written)
    }

    fn classify(meant: &str, written: String) -> Result<Self, InvalidPath> {
        match meant {
            "" => Ok(Self::Empty),
            "." => Ok(Self::Here),
            ".." => Ok(Self::Up),
            _ => {
                // Java servers cut `;parameters` off before they look at dots, Windows cuts spaces off the end.
                let bare = meant.split(';').next().unwrap_or_default().trim_end();
                if matches!(bare, "." | "..") { Err(InvalidPath::Climbs) } else { Ok(Self::Name(written)) }
            }
        }
    }
}

/// The byte that two hexadecimal digits stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// Refuse escapes of what a second reader would split or end the path at.
fn refuse_separator(byte: u8) -> Result<(), InvalidPath> {
    let separates = matches!(byte, b'/' | b'\\') || byte.is_ascii_control();
    if separates { Err(InvalidPath::HiddenCharacter) } else { Ok(()) }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delimiter(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 3986 allows `@` as well; it is refused because sloppy readers see user and host around it.
const fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delimiter(byte) || byte == b':'
}

/// A query is data for the server, compared with nothing, so that it only has to survive the way there unchanged.
fn check_query(query: &str) -> Result<&str, InvalidPath> {
    let mut rest = query.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match *first {
            b'%' if escaped(tail).is_none() => return Err(InvalidPath::BrokenEscape),
            b'%' | b'/' | b'?' | b':' | b'@' | b'[' | b']' => {}
            // `'` is the one delimiter that URL parsers escape by themselves.
            byte if byte != b'\'' && (is_unreserved(byte) || is_sub_delimiter(byte)) => {}
            _ => return Err(InvalidPath::QueryCharacter),
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_have_one_form() {
        for (text, normal) in [
            ("/", "/"),
            ("/health", "/health"),
            ("/health/", "/health/"),
            ("/%68ealth", "/health"),
            ("/he%61lth", "/health"),
            ("/%7euser/%2D%5f", "/~user/-_"),
            ("/./health", "/health"),
            ("/./", "/"),
            ("/%2e/health", "/health"),
            ("/a/../health", "/health"),
            ("/a/%2e%2E/health", "/health"),
            ("/a/.%2e/health", "/health"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%3ab;c=d,e", "/a%3Ab;c=d,e"),
            ("/a:b/!$&'()*+,;=", "/a:b/!$&'()*+,;="),
            ("/100%25", "/100%25"),
            ("/users/%40me", "/users/%40me"),
            ("/a%20b", "/a%20b"),
            ("/...", "/..."),
            ("/..a/a..", "/..a/a.."),
            ("/health?full=1", "/health?full=1"),
            ("/health?", "/health?"),
            ("/%68?a=%2e%2e/..//@:[x]?&%00", "/h?a=%2e%2e/..//@:[x]?&%00"),
        ] {
            let path = RequestPath::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(path.to_string(), normal, "{text}");
        }
    }

    #[test]
    fn hostile_spellings_are_refused() {
        use InvalidPath::*;
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for (text, reason) in [
            ("", NotAbsolute),
            ("health", NotAbsolute),
            ("?a=1", NotAbsolute),
            ("http://evil.example/", NotAbsolute),
            ("HTTP:/evil.example", NotAbsolute),
            ("@evil.example/", NotAbsolute),
            (":80@evil.example/", NotAbsolute),
            (".evil.example/", NotAbsolute),
            ("//evil.example/", NotAbsolute),
            ("///evil.example", NotAbsolute),
            (" /health", NotAbsolute),
            ("\\\\evil.example", NotAbsolute),
            ("/\\evil.example", Character),
            ("/a\\..\\b", Character),
            ("/a//b", EmptySegment),
            ("/a/b//", EmptySegment),
            ("/..", Climbs),
            ("/../admin", Climbs),
            ("/a/../../admin", Climbs),
            ("/%2e%2e/admin", Climbs),
            ("/.%2E/admin", Climbs),
            ("/a/..;/admin", Climbs),
            ("/a/..;x=1/admin", Climbs),
            ("/a/%2e%2e;/admin", Climbs),
            ("/a/..%3B/admin", Climbs),
            ("/a/.;/b", Climbs),
            ("/a/..%20/admin", Climbs),
            ("/a/..%C2%A0/admin", Climbs),
            ("/a%2fb", HiddenCharacter),
            ("/a/..%2Fadmin", HiddenCharacter),
            ("/a%5c..%5cadmin", HiddenCharacter),
            ("/a%00", HiddenCharacter),
            ("/a%0d%0aHost:%20evil", HiddenCharacter),
            ("/a%7f", HiddenCharacter),
            ("/%252e%252e/admin", HiddenCharacter),
            ("/a%252fadmin", HiddenCharacter),
            ("/%25%32%65", HiddenCharacter),
            ("/a%c0%af..%c0%afadmin", BrokenEscape),
            ("/%c0%ae%c0%ae/admin", BrokenEscape),
            ("/%ff", BrokenEscape),
            ("/a%", BrokenEscape),
            ("/a%4", BrokenEscape),
            ("/a%zz", BrokenEscape),
            ("/a%+1", BrokenEscape),
            ("/%u002e%u002e/", BrokenEscape),
            ("/a b", Character),
            ("/a\tb", Character),
            ("/a\r\nHost: evil", Character),
            ("/a\0", Character),
            ("/user@host", Character),
            ("/a#b", Character),
            ("/a\"b", Character),
            ("/a<b>", Character),
            ("/{a}", Character),
            ("/a|b^`", Character),
            ("/[a]", Character),
            ("/café", Character),
            ("/．．/admin", Character),
            ("/a?b c", QueryCharacter),
            ("/a?b#c", QueryCharacter),
            ("/a?b\r\nHost: evil", QueryCharacter),
            ("/a?b\\c", QueryCharacter),
            ("/a?é", QueryCharacter),
            ("/a?'", QueryCharacter),
            ("/a?%", BrokenEscape),
            (long.as_str(), TooLong),
        ] {
            assert_eq!(RequestPath::parse(text), Err(reason), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form_and_climbs_nowhere(text in "/[a.%2eE5cCfF/;:@ ?\\\\]{0,16}") {
            if let Ok(path) = RequestPath::parse(&text) {
                proptest::prop_assert_eq!(RequestPath::parse(&path.to_string()), Ok(path.clone()));
                proptest::prop_assert!(path.path().split('/').all(|segment| segment != "." && segment != ".."));
            }
        }

        #[test]
        fn a_normal_form_survives_the_url_parser_unchanged(text in "/[ -~]{0,16}") {
            if let Ok(path) = RequestPath::parse(&text) {
                let mut url = url::Url::parse("http://example.com/").unwrap();
                url.set_path(path.path());
                url.set_query(path.query());
                proptest::prop_assert_eq!(url.path(), path.path());
                proptest::prop_assert_eq!(url.query(), path.query());
            }
        }
    }
}
