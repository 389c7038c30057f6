//! Text of statements as plugins may see it: literals masked, utility statements hidden, length cut.
//!
//! `pg_stat_activity` shows statements verbatim, with whatever the application put into them: names, addresses, card
//! numbers, and the password of a `CREATE ROLE`. Which statement runs is of use to a plugin; with which values is not.
//! This is a lexer, not a parser, because the server cuts long statements off anywhere.

/// Verbs of statements whose text is shown.
const SHOWN: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE"];

/// Verbs of statements of which only the verb is shown.
const NAMED: [&str; 36] = [
    "ABORT",
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "DO",
    "DROP",
    "END",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "GRANT",
    "LISTEN",
    "LOCK",
    "NOTIFY",
    "PREPARE",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "SHOW",
    "TRUNCATE",
    "VACUUM",
];

/// Verbs of statements that maintain what is stored or change its shape: cut off, hours of work are lost, or an invalid
/// index stays behind.
const MAINTENANCE: [&str; 7] = ["ALTER", "ANALYZE", "CLUSTER", "CREATE", "REFRESH", "REINDEX", "VACUUM"];

/// The first verb of maintenance that one of the statements in `text` begins with.
pub(super) fn maintenance(text: &str) -> Option<&'static str> {
    let mut rest = text;
    while !rest.is_empty() {
        let verb = verb(rest);
        if let Some(found) = MAINTENANCE.iter().find(|known| verb.eq_ignore_ascii_case(known)) {
            return Some(found);
        }
        rest = Masker { rest, shown: String::new() }.after();
    }
    None
}

/// True for a statement whose text may be shown, once its literals are masked.
pub(super) fn is_shown(statement: &str) -> bool {
    let verb = verb(statement);
    SHOWN.iter().any(|shown| verb.eq_ignore_ascii_case(shown))
}

/// `statement` with every literal replaced by `?`, comments left out, and only its verb if it is a utility statement.
/// What follows a first statement is left out as well.
pub(super) fn masked(statement: &str) -> String {
    if statement.trim().is_empty() {
        return String::new();
    }
    if is_shown(statement) {
        return Masker { rest: statement, shown: String::with_capacity(statement.len()) }.run();
    }
    let verb = verb(statement);
    let named = NAMED.iter().find(|named| verb.eq_ignore_ascii_case(named));
    named.map_or_else(|| "…".to_owned(), |verb| format!("{verb} …"))
}

/// The first word, behind comments and opening parentheses.
fn verb(statement: &str) -> &str {
    let mut rest = statement.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    while let Some(after) = skip_comment(rest) {
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// What comes after the comment that `text` begins with, if it does. Block comments nest.
fn skip_comment(text: &str) -> Option<&str> {
    if let Some(line) = text.strip_prefix("--") {
        return Some(line.split_once('\n').map_or("", |(_, after)| after));
    }
    let mut rest = text.strip_prefix("/*")?;
    let mut depth = 1;
    while depth > 0 {
        let Some(next) = rest.find("*/").into_iter().chain(rest.find("/*")).min() else { return Some("") };
        depth = if rest.get(next..).is_some_and(|mark| mark.starts_with("/*")) { depth + 1 } else { depth - 1 };
        rest = rest.get(next + 2..).unwrap_or_default();
    }
    Some(rest)
}

struct Masker<'a> {
    rest: &'a str,
    shown: String,
}

impl<'a> Masker<'a> {
    /// What comes after the semicolon that ends the first statement.
    fn after(mut self) -> &'a str {
        while let Some(c) = self.rest.chars().next() {
            if let Some(after) = skip_comment(self.rest) {
                self.rest = after;
            } else if c == ';' {
                return self.rest.get(1..).unwrap_or_default();
            } else {
                self.step(c);
            }
        }
        ""
    }
}

impl Masker<'_> {
    fn run(mut self) -> String {
        while let Some(c) = self.rest.chars().next() {
            if let Some(after) = skip_comment(self.rest) {
                self.rest = after;
                self.shown.push(' ');
            } else if c == ';' {
                if !self.rest.trim_matches(|c: char| c == ';' || c.is_whitespace()).is_empty() {
                    self.shown.push_str("; …");
                }
                break;
            } else {
                self.step(c);
            }
        }
        self.shown.trim().to_owned()
    }

    fn step(&mut self, c: char) {
        match c {
            '\'' => self.mask_string(false),
            '"' => self.copy_quoted_name(),
            '$' => self.dollar(),
            '0'..='9' => self.mask_number(),
            '.' if self.rest.get(1..).is_some_and(|after| after.starts_with(|d: char| d.is_ascii_digit())) => {
                self.mask_number();
            }
            _ if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.copy(c.len_utf8()),
        }
    }

    fn copy(&mut self, bytes: usize) {
        let (copied, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.shown.push_str(copied);
        self.rest = rest;
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Masks the string whose opening quote is next. One that was cut off hides everything up to the end.
    fn mask_string(&mut self, backslash_escapes: bool) {
        self.shown.push('?');
        let mut chars = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            if backslash_escapes && c == '\\' {
                chars.next();
            } else if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
                end = at + 1;
                break;
            }
        }
        self.skip(end);
    }

    fn copy_quoted_name(&mut self) {
        let end = self.rest.get(1..).and_then(|after| after.find('"')).map_or(self.rest.len(), |at| at + 2);
        self.copy(end);
    }

    /// A parameter such as `$1`, or a string in dollar quotes.
    fn dollar(&mut self) {
        let after = self.rest.get(1..).unwrap_or_default();
        let word = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        if after.starts_with(|c: char| c.is_ascii_digit()) {
            return self.copy(1 + word);
        }
        if !after.get(word..).is_some_and(|mark| mark.starts_with('$')) {
            return self.copy(1);
        }
        let tag = self.rest.get(..word + 2).unwrap_or_default();
        let body = self.rest.get(word + 2..).unwrap_or_default();
        let end = body.find(tag).map_or(self.rest.len(), |at| 2 * tag.len() + at);
        self.shown.push('?');
        self.skip(end);
    }

    fn mask_number(&mut self) {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')).unwrap_or(self.rest.len());
        self.shown.push('?');
        self.skip(end);
    }

    /// A name or keyword, unless it is the prefix of a string such as `E'…'` or `U&'…'`.
    fn word(&mut self) {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let prefix = match (word.to_ascii_lowercase().as_str(), after) {
            ("e", after) if after.starts_with('\'') => Some((1, true)),
            ("b" | "x" | "n", after) if after.starts_with('\'') => Some((1, false)),
            ("u", after) if after.starts_with("&'") => Some((2, false)),
            _ => None,
        };
        match prefix {
            Some((bytes, backslash_escapes)) => {
                self.skip(bytes);
                self.mask_string(backslash_escapes);
            }
            None => self.copy(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_masked_in_every_spelling_and_names_stay() {
        let table: &[(&str, &str)] = &[
            ("SELECT * FROM users WHERE email = 'ann@example.org'", "SELECT * FROM users WHERE email = ?"),
            ("select 'it''s', 4711, 1.5e3, .5, a1, t2.c3", "select ?, ?, ?, ?, a1, t2.c3"),
            ("SELECT E'a\\'b' , 'c'", "SELECT ? , ?"),
            ("SELECT U&'d\\0061t', B'01', X'ff', N'x'", "SELECT ?, ?, ?, ?"),
            ("SELECT $$it's$$, $tag$ $$ 'x' $tag$, $1", "SELECT ?, ?, $1"),
            ("SELECT \"o'clock\" FROM \"T 1\" -- for bob\nWHERE a=1", "SELECT \"o'clock\" FROM \"T 1\"  WHERE a=?"),
            ("SELECT /* user=7 /* nested */ */ 1", "SELECT   ?"),
            ("SELECT 'cut off in the mid", "SELECT ?"),
            ("SELECT E'cut off \\", "SELECT ?"),
            ("SELECT $x$cut off", "SELECT ?"),
            ("SELECT /* cut off", "SELECT"),
            ("SELECT 1; ALTER ROLE a PASSWORD 'p'", "SELECT ?; …"),
            ("SELECT 1 ; ", "SELECT ?"),
            ("(SELECT 1) UNION (SELECT 2)", "(SELECT ?) UNION (SELECT ?)"),
            ("/* app */ with t as (table x) select 'ü'", "with t as (table x) select ?"),
            ("SELECT 'ä' || \"ö\" || 'ü'", "SELECT ? || \"ö\" || ?"),
        ];
        for (statement, expected) in table {
            assert_eq!(masked(statement), *expected, "{statement}");
        }
    }

    #[test]
    fn of_a_utility_statement_only_the_verb_is_shown() {
        let table: &[(&str, &str)] = &[
            ("ALTER ROLE monitor PASSWORD 'secret'", "ALTER …"),
            ("create user u password 'x'", "CREATE …"),
            ("/* c */ vacuum full orders", "VACUUM …"),
            ("BEGIN", "BEGIN …"),
            ("hunter2", "…"),
            ("SELECTED", "…"),
            ("'SELECT'", "…"),
            ("", ""),
        ];
        for (statement, expected) in table {
            assert_eq!(masked(statement), *expected, "{statement}");
        }
    }

    #[test]
    fn maintenance_is_found_at_the_beginning_of_any_statement_and_nowhere_else() {
        let table: &[(&str, Option<&str>)] = &[
            ("CREATE INDEX CONCURRENTLY i ON t (a)", Some("CREATE")),
            ("  /* a /* b */ */ -- c\n reindex table t", Some("REINDEX")),
            ("BEGIN; SELECT 'a;b'; vacuum t", Some("VACUUM")),
            ("SELECT $$;$$; ANALYZE", Some("ANALYZE")),
            ("REFRESH MATERIALIZED VIEW v", Some("REFRESH")),
            ("SELECT 'x; VACUUM t'", None),
            ("SELECT 1 -- ; VACUUM\n", None),
            ("EXPLAIN ANALYZE SELECT 1", None),
            ("SELECT create FROM alter", None),
            ("CREATED", None),
            (";;", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(maintenance(text), *expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_string_never_shows_whatever_surrounds_it(before in "[a-z0-9 (),$_.\"-]{0,20}", secret in "[A-Z]{6}") {
            let before = before.replace(['"', '$', '-'], " ");
            let shown = masked(&format!("SELECT {before} '{secret}' FROM t"));
            proptest::prop_assert!(!shown.contains(&secret), "{shown}");
        }

        #[test]
        fn any_text_can_be_masked(text in ".{0,80}") {
            masked(&format!("SELECT {text}"));
            masked(&text);
            maintenance(&text);
        }
    }
}
