//! The card of a configuration that was read again.

use super::page::{Page, Paint, Tone};
use crate::api::shape::Reloaded;

/// The card of `reloaded`.
pub fn reloaded(reloaded: &Reloaded, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let count = reloaded.changed.len();
    page.line(match count {
        0 => format!("the configuration is in force since {}; nothing is different", reloaded.at),
        1 => format!("the configuration is in force since {}; 1 thing is different:", reloaded.at),
        _ => format!("the configuration is in force since {}; {count} things are different:", reloaded.at),
    });
    reloaded.changed.iter().for_each(|change| page.line(format!("  {change}")));
    if !reloaded.needs_restart.is_empty() {
        let told = format!("only after a restart: {}", reloaded.needs_restart.join(", "));
        let told = page.tone(Tone::Warning, told);
        page.line(told);
    }
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_different_and_what_waits_for_a_restart() {
        let told = |changed: &[&str], needs_restart: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let at = "2026-03-01T03:00:00.000Z".to_owned();
            let reloaded = Reloaded { at, changed: owned(changed), needs_restart: owned(needs_restart) };
            super::reloaded(&reloaded, Paint::Plain)
        };
        assert_eq!(
            told(&[], &[]),
            "the configuration is in force since 2026-03-01T03:00:00.000Z; nothing is different\n"
        );
        assert_eq!(
            told(&["changed auth.tokens", "added sweeps.health"], &["server.listen", "store.path"]),
            "the configuration is in force since 2026-03-01T03:00:00.000Z; 2 things are different:\n  changed \
             auth.tokens\n  added sweeps.health\nonly after a restart: server.listen, store.path\n"
        );
    }
}
