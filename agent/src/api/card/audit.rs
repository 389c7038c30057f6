//! The cards of the chain of records.

use super::page::{Page, Paint, Tone};
use crate::api::shape::{Audit, ChainHead};

/// The card of the head.
pub fn chain_head(head: &ChainHead, paint: Paint) -> String {
    let mut page = Page::new(paint);
    page.line(format!("{}:{}", head.seq, head.hash));
    page.line(format!("recorded at {}", head.time));
    page.into_text()
}

/// The card of what was compared.
pub fn audit(audit: &Audit, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let verdict = match &audit.broken {
        None => page.tone(Tone::Good, format!("all is as it was recorded ({} links)", audit.links)),
        Some(broken) => page.tone(Tone::Bad, format!("BROKEN at link {}: {}", broken.seq, broken.why)),
    };
    page.line(verdict);
    if let Some(head) = &audit.verified_to {
        let word = if audit.broken.is_some() { "sound up to" } else { "head" };
        page.line(format!("{word} {}:{}, recorded at {}", head.seq, head.hash, head.time));
    }
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::shape::Broken;

    #[test]
    fn it_says_what_is_broken_and_how_far_it_is_sound() {
        let head = ChainHead { seq: 7, hash: "ab".to_owned(), time: "2026-03-01T03:00:00.000Z".to_owned() };
        let sound = Audit { links: 7, verified_to: Some(head), broken: None };
        let expected = "all is as it was recorded (7 links)\nhead 7:ab, recorded at 2026-03-01T03:00:00.000Z\n";
        assert_eq!(audit(&sound, Paint::Plain), expected);
        let broken = Some(Broken { seq: 8, why: "link 8 is missing".to_owned() });
        let expected = "BROKEN at link 8: link 8 is missing\nsound up to 7:ab, recorded at 2026-03-01T03:00:00.000Z\n";
        assert_eq!(audit(&Audit { broken, ..sound }, Paint::Plain), expected);
    }
}
