//! The report of `paramedic doctor`: one line for each finding, and how to mend it.

use std::process::ExitCode;

use super::{UNKNOWN, output};
use crate::api::card::{Page, Paint, Tone, clean_line};
use crate::domain::{Diagnosis, Severity};

/// Print the report, the worst first, and tell the exit code: 0 when all is well, 1 with a warning, 2 with an error.
pub fn report(findings: &[Diagnosis]) -> ExitCode {
    let text = text(findings, Paint::Colours);
    match output::print(&mut anstream::stdout().lock(), &text) {
        Ok(()) => ExitCode::from(code(findings)),
        Err(error) => {
            output::complain(&super::client::AskError::Output(error));
            ExitCode::from(UNKNOWN)
        }
    }
}

fn code(findings: &[Diagnosis]) -> u8 {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Ok) => 0,
        Some(Severity::Warning) => 1,
        Some(Severity::Error) => 2,
    }
}

fn text(findings: &[Diagnosis], paint: Paint) -> String {
    let mut page = Page::new(paint);
    let mut sorted: Vec<&Diagnosis> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in sorted {
        let word = word(finding.severity);
        let shown = page.tone(Tone::of(word), format!("{word:7}"));
        page.line(format!("{shown}  {}: {}", clean_line(&finding.subject), clean_line(&finding.message)));
        if let Some(remedy) = &finding.remedy {
            page.line(format!("         to mend it: {}", clean_line(remedy)));
        }
    }
    page.gap();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, ok) = (count(Severity::Error), count(Severity::Warning), count(Severity::Ok));
    page.line(format!("{}, {}, {ok} ok", some(errors, "error"), some(warnings, "warning")));
    page.into_text()
}

fn some(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, subject: &str, message: &str, remedy: Option<&str>) -> Diagnosis {
        let remedy = remedy.map(str::to_owned);
        Diagnosis { severity, subject: subject.to_owned(), message: message.to_owned(), remedy }
    }

    #[test]
    fn the_worst_comes_first_and_says_how_to_mend_it() {
        let findings = [
            finding(Severity::Ok, "postgres/main", "reachable", None),
            finding(Severity::Warning, "redis/cache", "it may do more than look", Some("use an ACL user")),
            finding(Severity::Error, "http/api", "no such\u{1b}[2J host", Some("look at base_url")),
        ];
        let expected = "\
error    http/api: no such\u{fffd}[2J host
         to mend it: look at base_url
warning  redis/cache: it may do more than look
         to mend it: use an ACL user
ok       postgres/main: reachable

1 error, 1 warning, 1 ok
";
        assert_eq!(text(&findings, Paint::Plain), expected);
        assert_eq!(text(&[], Paint::Plain), "0 errors, 0 warnings, 0 ok\n");
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let (ok, warning, error) = (Severity::Ok, Severity::Warning, Severity::Error);
        for (severities, expected) in
            [(&[] as &[Severity], 0), (&[ok], 0), (&[ok, warning], 1), (&[error, ok, warning], 2)]
        {
            let findings: Vec<_> = severities.iter().map(|severity| finding(*severity, "x", "y", None)).collect();
            assert_eq!(code(&findings), expected, "{severities:?}");
        }
    }
}
