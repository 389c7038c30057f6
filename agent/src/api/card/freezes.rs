//! The card of a list of freezes.

use super::page::{Page, Paint, Tone};
use super::table::table;
use crate::api::shape::{Freeze, FreezeList, Scope};

/// The card of `list`.
pub fn freezes(list: &FreezeList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.freezes.is_empty() {
        page.line("nothing is frozen");
        return page.into_text();
    }
    let columns = ["frozen", "until", "by", "reason", "id"].map(str::to_owned);
    let rows: Vec<_> = list.freezes.iter().map(row).collect();
    let mut lines = table(&columns, &rows).into_iter();
    let heading = page.tone(Tone::Faint, lines.next().unwrap_or_default());
    page.line(heading);
    lines.for_each(|line| page.line(line));
    page.into_text()
}

fn row(freeze: &Freeze) -> Vec<String> {
    let frozen = match &freeze.scope {
        Scope { target: Some(target), .. } => target.clone(),
        Scope { plugin: Some(plugin), .. } => format!("plugin {plugin}"),
        Scope { .. } => "all".to_owned(),
    };
    vec![frozen, freeze.expires.clone(), freeze.creator.clone(), freeze.reason.clone(), freeze.id.clone()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_freeze_is_a_line_with_an_id_to_copy() {
        let freeze = |scope: serde_json::Value| {
            json!({
                "id": "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "scope": scope, "reason": "migration\u{1b}[31m",
                "creator": "alice", "created": "2026-03-01T03:00:00.000Z", "expires": "2026-03-01T05:00:00.000Z"
            })
        };
        let scopes = [json!({ "all": true }), json!({ "target": "queue/email" }), json!({ "plugin": "queue-pause" })];
        let list = json!({ "freezes": scopes.map(freeze) });
        let card = freezes(&serde_json::from_value(list).unwrap(), Paint::Plain);
        let lines: Vec<_> = card.lines().map(str::trim_start).collect();
        assert!(lines[0].starts_with("frozen "), "{card}");
        for (line, frozen) in lines[1..].iter().zip(["all ", "queue/email ", "plugin queue-pause "]) {
            assert!(line.starts_with(frozen), "{card}");
            assert!(line.contains("2026-03-01T05:00:00.000Z  alice  migration\u{fffd}[31m"), "{card}");
            assert!(line.ends_with("019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"), "{card}");
        }
        assert_eq!(freezes(&FreezeList { freezes: vec![] }, Paint::Plain), "nothing is frozen\n");
    }
}
