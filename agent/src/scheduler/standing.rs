//! How a sweep stands: from verdicts to a confirmed state, pure.
//!
//! A verdict that speaks against the confirmed ("hard") state is a doubt at first. A sweep that is ok becomes critical,
//! warning or unknown when as many verdicts in a row were not ok as its failure threshold says; it recovers when as many in
//! a row were ok as its success threshold says. A sweep that is not ok goes from one such state to another at once: that
//! something is wrong needs no second confirmation.
//!
//! A sweep whose last twenty verdicts changed too often is flapping. Its state goes on being kept, but nobody needs to be told
//! of each change, until it is steady again.

use std::time::Duration;

use crate::domain::{EventKind, Standing, Status, Timestamp};

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Verdicts in a row that are not ok, until it is believed.
    pub failure_threshold: u32,
    /// Verdicts in a row that are ok, until it is believed.
    pub success_threshold: u32,
    /// How often people are told again that it is critical; never for none.
    pub reminder_interval: Option<Duration>,
    /// Changes in percent below which it is steady again.
    pub low_flap_threshold: f64,
    /// Changes in percent from which on it is flapping.
    pub high_flap_threshold: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            failure_threshold: 3,
            success_threshold: 1,
            reminder_interval: None,
            low_flap_threshold: 25.0,
            high_flap_threshold: 30.0,
        }
    }
}

/// Something that a verdict, or time, brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: EventKind,
    /// The hard state before, where it changed.
    pub from: Option<Status>,
}

/// How the sweep stands after one verdict more, and what that changed.
pub fn judge(standing: Standing, rules: &Rules, verdict: Status, now: Timestamp) -> (Standing, Vec<Change>) {
    let mut next = standing;
    let mut changes = Vec::new();
    next.changes = standing.changes.with(standing.last.is_some_and(|last| last != verdict));
    next.last = Some(verdict);
    flap(&mut next, rules, &mut changes);
    confirm(&mut next, rules, verdict, now, &mut changes);
    changes.extend(remind(&mut next, rules, now));
    (next, changes)
}

/// The reminder that is due at `now`, if one is. Then it is not due for a while.
pub fn remind(standing: &mut Standing, rules: &Rules, now: Timestamp) -> Option<Change> {
    reminder_due(standing, rules).filter(|due| *due <= now)?;
    standing.reminded = Some(now);
    Some(Change { kind: EventKind::Reminder, from: None })
}

/// When the next reminder is due.
pub fn reminder_due(standing: &Standing, rules: &Rules) -> Option<Timestamp> {
    match standing.hard {
        Some(Status::Critical) => Some(standing.reminded?.after(rules.reminder_interval?)),
        Some(Status::Ok | Status::Warning | Status::Unknown) | None => None,
    }
}

fn flap(next: &mut Standing, rules: &Rules, changes: &mut Vec<Change>) {
    let percent = next.changes.percent();
    let now_flapping =
        if next.flapping { percent >= rules.low_flap_threshold } else { percent >= rules.high_flap_threshold };
    if now_flapping != next.flapping {
        let kind = if now_flapping { EventKind::FlappingStarted } else { EventKind::FlappingStopped };
        changes.push(Change { kind, from: None });
        next.flapping = now_flapping;
    }
}

fn confirm(next: &mut Standing, rules: &Rules, verdict: Status, now: Timestamp, changes: &mut Vec<Change>) {
    let hard = next.hard.unwrap_or(Status::Ok);
    let (was_fine, is_fine) = (hard == Status::Ok, verdict == Status::Ok);
    next.streak = if was_fine == is_fine { 0 } else { next.streak.saturating_add(1) };
    let confirmed = match (was_fine, is_fine) {
        (true, true) => next.hard.is_none(),
        (true, false) => next.streak >= rules.failure_threshold,
        (false, true) => next.streak >= rules.success_threshold,
        (false, false) => hard != verdict,
    };
    if !confirmed {
        return;
    }
    let news = hard != verdict;
    *next = Standing { hard: Some(verdict), since: Some(now), streak: 0, reminded: None, ..*next };
    if verdict == Status::Critical {
        next.reminded = Some(now);
    }
    // That a sweep is ok from its first verdict on is no news.
    if news {
        changes.push(Change { kind: EventKind::Changed, from: Some(hard) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// More than all changes weigh.
    const NEVER: f64 = 101.0;

    fn status(letter: char) -> Status {
        match letter {
            'o' => Status::Ok,
            'w' => Status::Warning,
            'c' => Status::Critical,
            'u' => Status::Unknown,
            other => panic!("{other}"),
        }
    }

    fn letter(change: &Change, standing: &Standing) -> String {
        let short = |status: Status| status.as_str()[..1].to_owned();
        match change.kind {
            EventKind::Changed => format!("{}>{}", short(change.from.unwrap()), short(standing.hard.unwrap())),
            EventKind::Reminder => "!".to_owned(),
            EventKind::FlappingStarted => "~".to_owned(),
            EventKind::FlappingStopped => "=".to_owned(),
        }
    }

    /// What each verdict, one a minute, brought about.
    fn played(rules: &Rules, verdicts: &str) -> Vec<String> {
        let mut standing = Standing::default();
        let mut now = Timestamp::from_millis(0);
        let play = |verdict| {
            let changes;
            (standing, changes) = judge(standing, rules, status(verdict), now);
            now = now.after(MINUTE);
            changes.iter().map(|change| letter(change, &standing)).collect::<String>()
        };
        verdicts.chars().map(play).collect()
    }

    fn rules() -> Rules {
        Rules { failure_threshold: 3, success_threshold: 2, high_flap_threshold: NEVER, ..Rules::default() }
    }

    #[test]
    fn a_state_is_believed_after_enough_verdicts_in_a_row() {
        for (name, verdicts, expected) in [
            ("ok from the beginning", "ooo", "||"),
            ("one failure is a doubt", "ocoo", "|||"),
            ("two failures are a doubt", "occocc", "|||||"),
            ("three are believed", "occc", "|||o>c"),
            ("failures of all kinds count together, and the last one names the state", "owuc", "|||o>c"),
            ("also before the first ok", "ccc", "||o>c"),
            ("one success is a doubt", "occcoco", "|||o>c|||"),
            ("two are believed", "occcoo", "|||o>c||c>o"),
            ("from bad to worse at once", "owwwc", "|||o>w|w>c"),
            ("from worse to bad at once", "occcw", "|||o>c|c>w"),
            ("a doubt is forgotten when it recovers", "occcoooccoccc", "|||o>c||c>o|||||||o>c"),
        ] {
            assert_eq!(played(&rules(), verdicts).join("|"), expected, "{name}");
        }
    }

    #[test]
    fn thresholds_of_one_believe_everything() {
        let rules =
            Rules { failure_threshold: 1, success_threshold: 1, high_flap_threshold: NEVER, ..Rules::default() };
        assert_eq!(played(&rules, "ocowuo").join("|"), "|o>c|c>o|o>w|w>u|u>o");
    }

    #[test]
    fn people_are_reminded_while_it_is_critical_and_not_otherwise() {
        let rules = Rules { failure_threshold: 1, reminder_interval: Some(3 * MINUTE), ..rules() };
        assert_eq!(played(&rules, "occccccccoo").join("|"), "|o>c|||!|||!|||c>o");
        assert_eq!(played(&rules, "owwwwww").join("|"), "|o>w|||||");
        // Time alone reminds too.
        let critical = judge(Standing::default(), &rules, Status::Critical, Timestamp::from_millis(0)).0;
        let due = reminder_due(&critical, &rules).unwrap();
        assert_eq!(due, Timestamp::from_millis(180_000));
        let mut standing = critical;
        assert_eq!(remind(&mut standing, &rules, due.before(Duration::from_millis(1))), None);
        assert_eq!(remind(&mut standing, &rules, due).map(|change| change.kind), Some(EventKind::Reminder));
        assert_eq!(remind(&mut standing, &rules, due), None);
    }

    #[test]
    fn a_sweep_that_changes_its_mind_too_often_is_flapping_until_it_is_steady() {
        let rules = Rules { failure_threshold: 1, success_threshold: 1, ..Rules::default() };
        // Six changes in a row weigh a third of all twenty.
        assert_eq!(played(&rules, "ococococ").join("|"), "|o>c|c>o|o>c|c>o|o>c|~c>o|o>c");
        let mut verdicts = "ocococo".to_owned();
        verdicts.push_str(&"o".repeat(20));
        let told = played(&rules, &verdicts);
        let stopped = told.iter().position(|told| told.contains('=')).unwrap();
        // The weight of old changes fades, and they are forgotten after twenty verdicts.
        assert!((15..=22).contains(&stopped), "{told:?}");
        // Never with a threshold that nothing reaches.
        let off = Rules { high_flap_threshold: NEVER, ..rules };
        assert!(played(&off, "ocococococococococ").iter().all(|told| !told.contains('~')));
        // Verdicts change while the state does not: that is flapping too.
        let calm = Rules { failure_threshold: 9, ..rules };
        assert!(played(&calm, "ocococococ").concat().contains('~'));
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let rules = Rules { low_flap_threshold: 5.0, ..Rules::default() };
        let told = played(&rules, &format!("ocococococ{}", "c".repeat(15)));
        assert_eq!(told.concat().matches('~').count(), 1);
        assert!(!told.concat().contains('='), "{told:?}");
    }

    proptest! {
        /// Whatever comes: the state is confirmed by the rules, and each change starts from the state before it.
        #[test]
        fn changes_form_a_chain(verdicts in "[owcu]{0,80}", failures in 1_u32..5, successes in 1_u32..5) {
            let rules = Rules { failure_threshold: failures, success_threshold: successes, ..Rules::default() };
            let mut standing = Standing::default();
            let (mut hard, mut run) = (Status::Ok, 0);
            for verdict in verdicts.chars().map(status) {
                let (next, changes) = judge(standing, &rules, verdict, Timestamp::from_millis(0));
                run = if (verdict == Status::Ok) == (hard == Status::Ok) { 0 } else { run + 1 };
                let changed: Vec<_> = changes.iter().filter(|change| change.kind == EventKind::Changed).collect();
                if let [change] = changed.as_slice() {
                    prop_assert_eq!(change.from, Some(hard));
                    prop_assert_eq!(next.hard, Some(verdict));
                    prop_assert!(verdict != hard);
                    let needed = if hard == Status::Ok { failures } else if verdict == Status::Ok { successes } else { 0 };
                    prop_assert!(run >= needed);
                    (hard, run) = (verdict, 0);
                } else {
                    prop_assert!(changed.is_empty());
                    prop_assert_eq!(next.hard.unwrap_or(Status::Ok), hard);
                }
                standing = next;
            }
        }
    }
}
