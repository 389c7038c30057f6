//! The card of a list of silences.

use super::page::{Page, Paint, Tone};
use super::table::table;
use crate::api::shape::{Silence, SilenceList};

/// The card of `list`.
pub fn silences(list: &SilenceList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.silences.is_empty() {
        page.line("nothing is silenced");
        return page.into_text();
    }
    let columns = ["sweep", "until", "by", "reason", "id"].map(str::to_owned);
    let rows: Vec<_> = list.silences.iter().map(row).collect();
    let mut lines = table(&columns, &rows).into_iter();
    let heading = page.tone(Tone::Faint, lines.next().unwrap_or_default());
    page.line(heading);
    lines.for_each(|line| page.line(line));
    page.into_text()
}

fn row(silence: &Silence) -> Vec<String> {
    let sweep = silence.sweep.clone().unwrap_or_else(|| "all".to_owned());
    let until = if silence.expire_on_resolve { format!("{} or ok", silence.expires) } else { silence.expires.clone() };
    vec![sweep, until, silence.creator.clone(), silence.reason.clone(), silence.id.clone()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_silence_is_a_line_with_an_id_to_copy() {
        let silence = |sweep: Option<&str>, resolve: bool| {
            json!({
                "id": "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "sweep": sweep, "reason": "failover\u{1b}[31m test",
                "creator": "alice", "created": "2026-03-01T03:00:00.000Z", "expires": "2026-03-01T05:00:00.000Z",
                "expire_on_resolve": resolve
            })
        };
        let list = json!({ "silences": [silence(Some("health"), true), silence(None, false)] });
        let card = silences(&serde_json::from_value(list).unwrap(), Paint::Plain);
        let lines: Vec<_> = card.lines().collect();
        assert!(lines[0].starts_with("  sweep   until"), "{card}");
        assert!(
            lines[1].starts_with("  health  2026-03-01T05:00:00.000Z or ok  alice  failover\u{fffd}[31m test"),
            "{card}"
        );
        assert!(lines[1].ends_with("019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b") && lines[2].starts_with("  all "), "{card}");
        assert_eq!(silences(&SilenceList { silences: vec![] }, Paint::Plain), "nothing is silenced\n");
    }
}
