//! Making a text from outside presentable: what failed jobs say for themselves, and the keys of slow commands.
//!
//! Such texts hold addresses, tokens and whatever an attacker typed into a form. Two texts that differ only in these
//! should also count as one. So each is cut, stripped of everything that a terminal or a page could obey, and the
//! parts that can tell on somebody are replaced by a word in angle brackets, in the order of the table: a later rule
//! sees what an earlier one left.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::cut_bytes;

/// Most bytes of a text that are looked at. What follows is a stack, a page or an attack, not a reason.
const READ_BYTES: usize = 2_048;

/// Most bytes of a masked text.
const SHOWN_BYTES: usize = 240;

/// What is replaced, and by what. `$1` keeps what the first group matched.
type Rule = (&'static str, &'static str);

/// A header that authenticates, with its value, which is in quotes or not.
const HEADER: Rule = (
    r#"(?i)\b(authorization|proxy-authorization|cookie|set-cookie)["']?\s*[:=]\s*["']?(?:(?:basic|bearer|digest|negotiate)\s+)?[^\s"',;]+"#,
    "$1: <secret>",
);

/// A setting that is a secret by its name, with its value.
const SETTING: Rule = (
    r#"(?i)\b([\w.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential|signature|session[_-]?id|sid)s?)["']?\s*[:=]\s*(?:"[^"]*"|'[^']*'|[^\s"',;&]+)"#,
    "$1=<secret>",
);

const SCHEME: Rule = (r"(?i)\b(basic|bearer)\s+[a-z0-9._~+/=-]{6,}", "$1 <secret>");
const PEM: Rule = (r"-----BEGIN [A-Z ]+-----.*", "<secret>");
const JWT: Rule = (r"(?i)\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?", "<token>");

/// Keys of well-known services.
const KEY: Rule =
    (r"(?i)\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[a-z]|akia|asia|aiza|npm|shpat|sg)[_.-]?[a-z0-9_.-]{10,}", "<token>");

/// In this order: a later rule sees what an earlier one left.
const TABLE: &[Rule] = &[
    // Before anything that could match a part of one.
    (r#"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s"'<>`]+"#, "<url>"),
    HEADER,
    SETTING,
    SCHEME,
    PEM,
    (r#"(?i)[\p{L}\p{N}._%+'-]+@(?:[\p{L}\p{N}-]+\.)*[\p{L}\p{N}-]+"#, "<email>"),
    JWT,
    (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?(?:/\d+)?\b", "<ip>"),
    (r"(?i)\[?\b(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})+(?:%\w+)?\b\]?(?::\d+)?", "<ip>"),
    (r"(?i)\[?(?:\b[0-9a-f]{1,4})?(?::[0-9a-f]{1,4})*::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)\b\]?(?::\d+)?", "<ip>"),
    (
        r"(?i)\b(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+(?:com|net|org|io|dev|app|cloud|local|internal|intranet|lan|corp|home|svc|cluster|info|biz|eu|de|uk|fr|nl|ch|at|us|ca|au|jp|cn|in|br)\b(?::\d+)?",
        "<host>",
    ),
    (r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE) [^\s<>]+", "$1 <host>"),
    (r#"(?:[A-Za-z]:)?(?:[/\\][\w.@+~%-]+){2,}[/\\]?(?::\d+)*"#, "<path>"),
    // What somebody quotes is what somebody entered.
    (r#""[^"]*"|“[^”]*”|«[^»]*»|`[^`]*`"#, "<text>"),
    (r#"(^|[^\w])'[^']*'"#, "$1<text>"),
    KEY,
    (r"(?i)\b0x[0-9a-f]+\b", "<hex>"),
    (r"(?i)\b[0-9a-f]{12,}\b", "<hex>"),
    (r"(?i)\b[0-9a-f]*(?:[0-9][a-f]|[a-f][0-9])[0-9a-f]*\b", "<hex>"),
    (r"[A-Za-z0-9+/_-]{32,}={0,2}", "<token>"),
    (r"\b[A-Za-z_-]*[0-9][A-Za-z0-9_-]{15,}={0,2}", "<token>"),
    (r"[+-]?\p{Nd}+(?:[.,:\p{Nd}]*\p{Nd})?", "<n>"),
];

static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile = |pattern: &str| Regex::new(pattern).expect("the table is constant and a test compiles all of it");
    TABLE.iter().map(|(pattern, replacement)| (compile(pattern), *replacement)).collect()
});

/// The masked form of `text`. Takes time linear in what it looks at, whatever that is.
pub fn mask(text: &str) -> String {
    let (seen, cut) = (cut_bytes(text, READ_BYTES), text.len() > READ_BYTES);
    let mut masked = plain(seen);
    for (rule, replacement) in RULES.iter() {
        if let std::borrow::Cow::Owned(changed) = rule.replace_all(&masked, *replacement) {
            masked = changed;
        }
    }
    shorten(&masked, SHOWN_BYTES, cut)
}

/// What is taken out of a text that is otherwise shown as it is: credentials, and addresses of people.
const SECRETS: &[Rule] = &[
    (r#"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@"'<>]*@"#, "$1<secret>@"),
    HEADER,
    SETTING,
    SCHEME,
    PEM,
    (r#"(?i)[\p{L}\p{N}._%+'-]+@(?:[\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]+"#, "<email>"),
    JWT,
    KEY,
    (r"[A-Za-z0-9+/_-]{40,}={0,2}", "<token>"),
];

/// `text` on one line and without what could be a credential, but with its numbers, names and paths; not longer than
/// `most_bytes`.
pub fn hide_secrets(text: &str, most_bytes: usize) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let compile = |pattern: &str| Regex::new(pattern).expect("the table is constant and a test compiles all of it");
        SECRETS.iter().map(|(pattern, replacement)| (compile(pattern), *replacement)).collect()
    });
    let looked_at = cut_bytes(text, READ_BYTES.max(most_bytes));
    let mut shown = plain(looked_at);
    for (rule, replacement) in RULES.iter() {
        if let std::borrow::Cow::Owned(changed) = rule.replace_all(&shown, *replacement) {
            shown = changed;
        }
    }
    shorten(&shown, most_bytes, text.len() > looked_at.len())
}

/// `text` on one line, without anything that is an order rather than a sign, and not longer than `most_bytes`.
pub fn clean(text: &str, most_bytes: usize) -> String {
    let looked_at = cut_bytes(text, READ_BYTES.max(most_bytes));
    shorten(&plain(looked_at), most_bytes, text.len() > looked_at.len())
}

fn shorten(text: &str, most_bytes: usize, already_cut: bool) -> String {
    if text.len() <= most_bytes && !already_cut {
        return text.to_owned();
    }
    let room = most_bytes.saturating_sub('…'.len_utf8());
    format!("{}…", cut_bytes(text, room).trim_end())
}

/// Words with one space between them. Escape sequences go as a whole; other control and formatting characters, those
/// that turn the direction of writing or hide themselves among them, become spaces or nothing.
fn plain(text: &str) -> String {
    static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
        let sequences = r"\x{1b}\[[0-?]*[ -/]*[@-~]|\x{1b}[\]PX^_][^\x{07}\x{1b}]*(?:\x{07}|\x{1b}\\)?|\x{1b}[ -/]*[0-~]|\x{9b}[0-?]*[ -/]*[@-~]";
        Regex::new(sequences).expect("the pattern is constant and a test uses it")
    });
    let without_escapes = ESCAPES.replace_all(text, "");
    let mut line = String::with_capacity(without_escapes.len());
    for word in without_escapes.split(|c: char| c.is_whitespace() || c.is_control()) {
        let visible = word.chars().filter(|c| !is_invisible(*c));
        if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        line.extend(visible);
    }
    line.trim_end().to_owned()
}

/// Characters that show nothing themselves and change how others show, or that carry hidden text.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
    )
}

#[cfg(test)]
mod tests;
