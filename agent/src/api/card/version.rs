//! The cards of versions.

use super::page::{Page, Paint, Tone};
use super::quantity::quantity;
use super::table::table;
use super::text::one_line;
use crate::api::shape::{Delivered, Difference, Version, VersionCandidate, VersionDiff, VersionList, VersionSide};

/// The card of the versions of a plugin.
pub fn versions(list: &VersionList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.versions.is_empty() {
        page.line(format!("no version of {} is kept", one_line(&list.plugin)));
    }
    let rows: Vec<_> = list.versions.iter().map(row).collect();
    let columns = ["version", "state", "size", "from", "signed by", "since"].map(str::to_owned);
    if !rows.is_empty() {
        table(&columns, &rows).into_iter().for_each(|line| page.line(line));
    }
    for version in &list.versions {
        if let Some(reason) = &version.reason {
            page.gap();
            page.line(format!("{} waits: {}", name(version.version.as_deref(), &version.digest), one_line(reason)));
        }
    }
    candidates(&mut page, &list.candidates);
    page.into_text()
}

fn row(version: &Version) -> Vec<String> {
    let origin = version.origin.as_str();
    let from = version.actor.as_ref().map_or(origin.to_owned(), |actor| format!("{origin} by {actor}"));
    vec![
        name(version.version.as_deref(), &version.digest),
        version.state.as_str().to_owned(),
        size(version.size_bytes),
        from,
        version.signer.clone().unwrap_or_else(|| "-".to_owned()),
        version.added.clone(),
    ]
}

/// Versions that were refused or wait, each with its reason. The reason is not clipped: it may hold the line to add.
pub(super) fn candidates(page: &mut Page, candidates: &[VersionCandidate]) {
    if candidates.is_empty() {
        return;
    }
    page.section("Not taken");
    for candidate in candidates {
        let digest = candidate.digest.as_deref().unwrap_or("a component");
        let word = if candidate.waits { "waits" } else { "refused" };
        let word = page.tone(Tone::Warning, word);
        let name = name(candidate.version.as_deref(), digest);
        let (step, reason) = (one_line(candidate.step.as_str()), one_line(&candidate.reason));
        page.line(format!("  {name} {word} at {}, {step}: {reason}", one_line(&candidate.at)));
    }
}

/// The card of what became of a version.
pub fn delivered(delivered: &Delivered, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let state = one_line(delivered.state.as_str());
    let word = page.tone(Tone::of(&state), state.to_uppercase());
    let name = name(delivered.version.as_deref(), &delivered.digest);
    let plugin = one_line(&delivered.plugin);
    let told = match (delivered.state.as_str(), &delivered.previous, &delivered.reason) {
        (_, _, Some(reason)) => one_line(reason),
        ("active", Some(previous), _) => format!("it runs from now on, in place of {}", one_line(previous)),
        ("active", None, _) => "it runs from now on".to_owned(),
        ("unchanged", _, _) => "it runs already".to_owned(),
        ("kept", _, _) => {
            format!("it is kept and another version runs; paramedic plugins activate {plugin} {name} makes it run")
        }
        (_, _, _) => String::new(),
    };
    page.line(format!("{word} {plugin} {name}: {told}"));
    page.into_text()
}

/// The card of two versions.
pub fn version_diff(diff: &VersionDiff, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let (from, to) = (side(&diff.from), side(&diff.to));
    page.line(format!("{}: from {from} to {to}", one_line(&diff.plugin)));
    for version in &diff.undescribed {
        let why = "could not be asked what it is: its grants lack an interface; only imports and sizes are compared";
        page.line(format!("{} {why}", one_line(version)));
    }
    let sections = [
        ("Interfaces", &diff.interfaces),
        ("Asks for", &diff.capabilities),
        ("Parameters", &diff.params),
        ("Description", &diff.facts),
    ];
    for (heading, differences) in sections.iter().filter(|(_, differences)| !differences.is_empty()) {
        page.section(heading);
        differences.iter().for_each(|difference| self::difference(&mut page, difference));
    }
    if sections.iter().all(|(_, differences)| differences.is_empty()) {
        page.gap();
        page.line("nothing that is compared is different");
    }
    if !diff.not_granted.is_empty() {
        page.gap();
        let interfaces = diff.not_granted.iter().map(|interface| one_line(interface)).collect::<Vec<_>>().join(", ");
        let warning = page.tone(Tone::Warning, format!("nothing is granted of {interfaces}"));
        page.line(warning);
    }
    page.into_text()
}

fn difference(page: &mut Page, difference: &Difference) {
    let what = difference.what.as_ref().map_or(String::new(), |what| format!("{}: ", one_line(what)));
    if let Some(from) = &difference.from {
        let line = page.tone(Tone::Bad, format!("- {what}{}", one_line(from)));
        page.line(format!("  {line}"));
    }
    if let Some(to) = &difference.to {
        let line = page.tone(Tone::Good, format!("+ {what}{}", one_line(to)));
        page.line(format!("  {line}"));
    }
}

fn side(side: &VersionSide) -> String {
    let signed =
        side.signer.as_ref().map_or("not signed".to_owned(), |signer| format!("signed by {}", one_line(signer)));
    format!("{} ({}, {signed})", name(side.version.as_deref(), &side.digest), size(side.size_bytes))
}

/// The version, or the beginning of the digest where that is not known.
fn name(version: Option<&str>, digest: &str) -> String {
    match version {
        Some(version) => one_line(version),
        None => one_line(crate::domain::cut_bytes(digest, "sha256:".len() + 12)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn size(bytes: u64) -> String {
    quantity(bytes as f64, "By")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> VersionList {
        let digest = format!("sha256:{}", "ab".repeat(32));
        serde_json::from_value(json!({
            "plugin": "pg-outbox", "active": "0.2.0", "previous": "0.1.0",
            "versions": [
                {
                    "state": "waiting", "reason": "add a\nline", "digest": digest, "size_bytes": 300_000,
                    "origin": "upload", "actor": "ci", "added": "2026-03-01T03:00:00.000Z"
                },
                {
                    "version": "0.2.0", "state": "active", "digest": digest, "size_bytes": 262_144, "origin": "upload",
                    "actor": "ci", "signer": "release", "added": "2026-03-01T02:00:00.000Z"
                },
                {
                    "version": "0.1.0", "state": "previous", "digest": digest, "size_bytes": 1024, "origin": "folder",
                    "added": "2026-03-01T01:00:00.000Z"
                }
            ],
            "candidates": [{
                "version": "0.3.0", "origin": "upload", "at": "2026-03-01T03:00:00.000Z", "step": "signature",
                "waits": false, "reason": "it is not signed\u{1b}[2J"
            }]
        }))
        .unwrap()
    }

    #[test]
    fn versions_stand_below_each_other_and_reasons_are_not_clipped() {
        let expected = "  version              state        size  from          signed by  since
  sha256:abababababab  waiting   293 KiB  upload by ci  -          2026-03-01T03:00:00.000Z
  0.2.0                active    256 KiB  upload by ci  release    2026-03-01T02:00:00.000Z
  0.1.0                previous    1 KiB  folder        -          2026-03-01T01:00:00.000Z

sha256:abababababab waits: add a line

Not taken
  0.3.0 refused at 2026-03-01T03:00:00.000Z, signature: it is not signed\u{fffd}[2J
";
        assert_eq!(versions(&list(), Paint::Plain), expected);
        let none = VersionList { versions: vec![], candidates: vec![], ..list() };
        assert_eq!(versions(&none, Paint::Plain), "no version of pg-outbox is kept\n");
    }

    #[test]
    fn what_became_of_a_version_is_one_line() {
        let told = |state: &str, previous: Option<&str>, reason: Option<&str>| {
            let shape = json!({
                "plugin": "pg-outbox", "state": state, "version": "0.2.0", "digest": "sha256:00", "previous": previous,
                "reason": reason
            });
            delivered(&serde_json::from_value(shape).unwrap(), Paint::Plain)
        };
        for (text, expected) in [
            (told("active", Some("0.1.0"), None), "ACTIVE pg-outbox 0.2.0: it runs from now on, in place of 0.1.0\n"),
            (told("active", None, None), "ACTIVE pg-outbox 0.2.0: it runs from now on\n"),
            (told("unchanged", None, None), "UNCHANGED pg-outbox 0.2.0: it runs already\n"),
            (told("waiting", None, Some("add a line")), "WAITING pg-outbox 0.2.0: add a line\n"),
        ] {
            assert_eq!(text, expected);
        }
        assert!(told("kept", None, None).contains("paramedic plugins activate pg-outbox 0.2.0"));
    }

    #[test]
    fn differences_are_told_by_section() {
        let diff = json!({
            "plugin": "pg-outbox",
            "from": {"version": "0.1.0", "digest": "sha256:00", "size_bytes": 1024},
            "to": {"version": "0.2.0", "digest": "sha256:01", "size_bytes": 2048, "signer": "release"},
            "interfaces": [{"to": "postgres/query"}, {"from": "postgres/inspect"}],
            "capabilities": [],
            "params": [{"what": "limit", "from": "5", "to": "10"}],
            "facts": [],
            "not_granted": ["postgres"],
            "undescribed": []
        });
        let expected = "\
pg-outbox: from 0.1.0 (1 KiB, not signed) to 0.2.0 (2 KiB, signed by release)

Interfaces
  + postgres/query
  - postgres/inspect

Parameters
  - limit: 5
  + limit: 10

nothing is granted of postgres
";
        let diff: VersionDiff = serde_json::from_value(diff).unwrap();
        assert_eq!(version_diff(&diff, Paint::Plain), expected);
        let same = VersionDiff { interfaces: vec![], params: vec![], not_granted: vec![], ..diff };
        assert!(version_diff(&same, Paint::Plain).ends_with("\n\nnothing that is compared is different\n"));
    }
}
