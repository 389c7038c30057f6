//! What became of the changes that a mitigation asked for, told as an outcome.
//!
//! A mitigation asks for the same changes whether a plan is made or carried out, and learns from each answer what became of
//! it. One that touches many things gathers the answers in [`Work`]; one that makes a single call hands its answer to
//! [`Outcome::of_change`]. Either way the sentence is in the tense of what happened, and the verdict is
//!
//! - `ok` when all that was needed was done, or planned;
//! - `warning` when some of it had changed meanwhile, or lies outside the bounds of the grant;
//! - `unknown` when nothing was done because it was refused;
//! - `critical` when something failed, or a part was done and the rest refused.

use crate::table::Rows;
use crate::{DenialReason, Disposition, Error, Metric, Outcome, Receipt, Status, Table, cells, human};

/// The words by which a piece of work is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    /// What is done to a thing, as in `would end 3 sessions`.
    pub plain: &'a str,
    /// The same in the past, as in `ended 3 sessions`.
    pub past: &'a str,
    /// One of the things, such as `session`.
    pub thing: &'a str,
    /// Where they are: the target.
    pub of: &'a str,
    /// What a thing is to which nothing needed to be done, as in `1 was over already`.
    pub already: &'a str,
}

/// What a mitigation does to one thing after the other.
#[derive(Debug, Clone)]
pub struct Work<'a, const COLUMNS: usize> {
    words: Words<'a>,
    became: Vec<Became>,
    rows: Rows<COLUMNS>,
    untried: u64,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Became {
    Planned,
    Applied,
    Unchanged,
    /// It was not as it had been when the plugin looked.
    Changed(String),
    /// It came up after the plan was made, so that nobody said yes to it.
    NotInPlan,
    /// The grant covers others, but not this one.
    OutOfBounds(String),
    /// The agent does not let it happen.
    Refused(String),
    /// No answer came, so that it may have happened.
    Unanswered(String),
    Failed(String),
}

impl<'a, const COLUMNS: usize> Work<'a, COLUMNS> {
    /// Begin, with the columns that tell one thing from another.
    pub fn new(words: Words<'a>, columns: [&str; COLUMNS]) -> Self {
        let rows = Table::new(heading(words.thing), columns);
        Self { words, became: Vec::new(), rows, untried: 0 }
    }

    /// Ask for the change of each thing, in order. A refusal that holds for all of them ends it.
    pub fn each<T>(
        &mut self,
        things: &[T],
        cells: impl Fn(&T) -> [String; COLUMNS],
        change: impl Fn(&T) -> Result<Receipt, Error>,
    ) {
        for (done, thing) in things.iter().enumerate() {
            let answer = change(thing);
            let for_all = answer.as_ref().is_err_and(refuses_all);
            self.rows.row(cells(thing));
            self.became.push(match answer {
                // What is gone needs nothing any more.
                Err(Error::NotFound(_)) => Became::Unchanged,
                answer => answer.into(),
            });
            if for_all {
                self.untried += (things.len() - done - 1) as u64;
                break;
            }
        }
    }

    /// Tell what became of it; `nothing` is the sentence for when there was nothing to do.
    pub fn outcome(self, nothing: &str) -> Outcome {
        let mut outcome = Outcome::ok(if self.became.is_empty() { nothing.to_owned() } else { self.sentence() });
        outcome.find(self.status(), self.sentence());
        for word in Became::WORDS {
            let count = self.became.iter().filter(|became| became.word() == word).count();
            if count > 0 {
                outcome.metric(Metric::count("changes", count as u64).label("became", word));
            }
        }
        let mut table = Table::from(self.rows);
        table.columns.push("result".to_owned());
        for (row, became) in table.rows.iter_mut().zip(&self.became) {
            row.push(human::shorten(&became.describe(&self.words), 300));
        }
        outcome.table(table);
        outcome
    }

    /// How many changes were done or planned.
    pub fn count(&self) -> u64 {
        self.count_of("planned") + self.count_of("applied")
    }

    fn status(&self) -> Status {
        let begun = self.count() > 0;
        self.became.iter().map(|became| became.status(begun)).max().unwrap_or(Status::Ok)
    }

    fn count_of(&self, word: &str) -> u64 {
        self.became.iter().filter(|became| became.word() == word).count() as u64
    }

    fn sentence(&self) -> String {
        let Words { plain, past, thing, of, already } = self.words;
        let things = |count| human::plural(count, thing);
        let mut parts = vec![match (self.count_of("planned"), self.count_of("applied")) {
            (0, 0) => format!("no {thing} of {of} was {past}"),
            (0, applied) => format!("{past} {} of {of}", things(applied)),
            (planned, _) => format!("would {plain} {} of {of}", things(planned)),
        }];
        let mut tell = |word: &str, one: &str, many: &str| match (self.count_of(word), self.reason(word)) {
            (0, _) => {}
            (1, reason) => parts.push(format!("1 {one}{reason}")),
            (count, reason) => parts.push(format!("{count} {many}{reason}")),
        };
        tell("unchanged", &format!("was {already} already"), &format!("were {already} already"));
        tell("not in the plan", "is not in the plan", "are not in the plan");
        tell("changed", "had changed meanwhile and was left alone", "had changed meanwhile and were left alone");
        tell("out of bounds", "is outside the bounds of the grant", "are outside the bounds of the grant");
        tell("failed", "failed", "failed");
        let look = "got no answer in time, so look before you run it again";
        tell("unanswered", look, look);
        tell("refused", "was refused", "were refused");
        if self.untried > 0 {
            parts.push(format!("{} more not tried", self.untried));
        }
        parts.join(", ")
    }

    /// The first reason that explains such a fate, where it is worth a place in the sentence.
    fn reason(&self, word: &str) -> String {
        let of_word = self.became.iter().filter(|became| became.word() == word);
        let reason = of_word.filter_map(Became::reason).next().filter(|_| word != "changed");
        reason.map_or_else(String::new, |reason| format!(" ({reason})"))
    }
}

impl Outcome {
    /// Tell what became of the one change that a mitigation makes. `done` tells it in the past; `nothing` tells that nothing
    /// needed to change.
    pub fn of_change(change: Result<Receipt, Error>, done: impl FnOnce(&Receipt) -> String, nothing: &str) -> Self {
        let mut changes = Table::new("Changes", ["what", "before", "after"]);
        let mut sentence = String::new();
        if let Ok(receipt) = &change {
            sentence = match receipt.disposition {
                Disposition::Planned => format!("would {}", receipt.summary),
                Disposition::Applied => done(receipt),
                Disposition::Unchanged => nothing.to_owned(),
            };
            for change in &receipt.changes {
                let value = |value: &Option<String>| value.clone().unwrap_or_default();
                changes.row(cells![change.field, value(&change.before), value(&change.after)]);
            }
        }
        let became = Became::from(change);
        let sentence = match became.reason() {
            Some(reason) if matches!(became, Became::Unanswered(_)) => {
                format!("no answer came in time, so look before you run it again: {reason}")
            }
            Some(reason) => format!("nothing was done: {reason}"),
            None if sentence.is_empty() => format!("nothing was done: it is {}", became.word()),
            None => sentence,
        };
        let mut outcome = Self::ok(sentence.clone());
        outcome.find(became.status(false), sentence);
        outcome.table(changes);
        outcome
    }
}

impl Became {
    /// Names of all of them, for sentences, metrics and tests.
    const WORDS: [&'static str; 9] = [
        "planned",
        "applied",
        "unchanged",
        "changed",
        "not in the plan",
        "out of bounds",
        "refused",
        "unanswered",
        "failed",
    ];

    fn word(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Changed(_) => "changed",
            Self::NotInPlan => "not in the plan",
            Self::OutOfBounds(_) => "out of bounds",
            Self::Refused(_) => "refused",
            Self::Unanswered(_) => "unanswered",
            Self::Failed(_) => "failed",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Planned | Self::Applied | Self::Unchanged | Self::NotInPlan => None,
            Self::Changed(reason)
            | Self::OutOfBounds(reason)
            | Self::Refused(reason)
            | Self::Unanswered(reason)
            | Self::Failed(reason) => Some(reason),
        }
    }

    /// Its weight, where something else of the same run was done or planned, or not.
    fn status(&self, begun: bool) -> Status {
        match self {
            Self::Planned | Self::Applied | Self::Unchanged => Status::Ok,
            Self::NotInPlan if begun => Status::Ok,
            Self::Changed(_) => Status::Warning,
            Self::OutOfBounds(_) if begun => Status::Warning,
            Self::Refused(_) if begun => Status::Critical,
            Self::NotInPlan | Self::OutOfBounds(_) | Self::Refused(_) => Status::Unknown,
            Self::Unanswered(_) | Self::Failed(_) => Status::Critical,
        }
    }

    fn describe(&self, words: &Words<'_>) -> String {
        match self {
            Self::Planned => format!("to be {}", words.past),
            Self::Applied => words.past.to_owned(),
            Self::Unchanged => format!("{} already", words.already),
            Self::NotInPlan => "not in the plan".to_owned(),
            Self::Changed(reason)
            | Self::OutOfBounds(reason)
            | Self::Refused(reason)
            | Self::Unanswered(reason)
            | Self::Failed(reason) => format!("{}: {reason}", self.word()),
        }
    }
}

impl From<Result<Receipt, Error>> for Became {
    fn from(answer: Result<Receipt, Error>) -> Self {
        let error = match answer {
            Ok(receipt) => {
                return match receipt.disposition {
                    Disposition::Planned => Self::Planned,
                    Disposition::Applied => Self::Applied,
                    Disposition::Unchanged => Self::Unchanged,
                };
            }
            Err(error) => error,
        };
        match error {
            Error::Conflict(reason) => Self::Changed(reason),
            Error::Denied(denial) if denial.reason == DenialReason::NotInPlan => Self::NotInPlan,
            Error::Denied(denial) if denial.reason == DenialReason::OutOfBounds => Self::OutOfBounds(denial.message),
            Error::TimedOut(reason) => Self::Unanswered(reason),
            error if error.is_ours() => Self::Refused(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Whether the next change would be refused just as well.
fn refuses_all(error: &Error) -> bool {
    match error {
        Error::Denied(denial) => match denial.reason {
            DenialReason::NotGranted | DenialReason::Frozen | DenialReason::NotApproved => true,
            DenialReason::OutOfBounds | DenialReason::NotInPlan => false,
        },
        Error::Exhausted(_) => true,
        Error::Invalid(_)
        | Error::NotFound(_)
        | Error::Conflict(_)
        | Error::Unavailable(_)
        | Error::TimedOut(_)
        | Error::TooLarge(_)
        | Error::Remote(_)
        | Error::Other(_) => false,
    }
}

/// `failed job` as the heading of a table: `Failed jobs`.
fn heading(thing: &str) -> String {
    let things = human::bend(thing);
    let mut letters = things.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{denied, out_of_bounds, receipt};

    const WORDS: Words<'_> = Words { plain: "end", past: "ended", thing: "session", of: "main", already: "over" };

    fn with(disposition: Disposition) -> Result<Receipt, Error> {
        Ok(Receipt { disposition, ..receipt("end a session") })
    }

    fn outcome(answers: &[Result<Receipt, Error>]) -> Outcome {
        let mut work = Work::new(WORDS, ["pid"]);
        work.each(answers, |_| cells![17], Clone::clone);
        work.outcome("no session is idle")
    }

    #[test]
    fn the_sentence_has_the_tense_of_what_happened_and_the_verdict_its_weight() {
        let planned = || with(Disposition::Planned);
        let applied = || with(Disposition::Applied);
        let over = || with(Disposition::Unchanged);
        let changed = || Err(Error::Conflict("statement was A, is B".to_owned()));
        let refused = || Err(denied("postgres-actions/terminate-session", "main"));
        let bounds = || Err(out_of_bounds("postgres-actions/terminate-session", "main", "not this role"));
        let failed = || Err(Error::Unavailable("gone".to_owned()));
        let table = [
            (vec![], Status::Ok, "no session is idle"),
            (vec![planned(), planned(), over()], Status::Ok, "would end 2 sessions of main, 1 was over already"),
            (vec![applied(), over(), over()], Status::Ok, "ended 1 session of main, 2 were over already"),
            (vec![over()], Status::Ok, "no session of main was ended, 1 was over already"),
            (
                vec![applied(), changed()],
                Status::Warning,
                "ended 1 session of main, 1 had changed meanwhile and was left alone",
            ),
            (
                vec![planned(), bounds()],
                Status::Warning,
                "would end 1 session of main, 1 is outside the bounds of the grant (not this role)",
            ),
            (
                vec![bounds()],
                Status::Unknown,
                "no session of main was ended, 1 is outside the bounds of the grant (not this role)",
            ),
            (
                vec![refused(), planned(), planned()],
                Status::Unknown,
                "no session of main was ended, 1 was refused (postgres-actions/terminate-session on main is denied: the \
                 grant of this plugin lacks it), 2 more not tried",
            ),
            (
                vec![applied(), Err(Error::Exhausted("60 an hour".to_owned())), applied()],
                Status::Critical,
                "ended 1 session of main, 1 was refused (exhausted: 60 an hour), 1 more not tried",
            ),
            (vec![failed(), applied()], Status::Critical, "ended 1 session of main, 1 failed (unavailable: gone)"),
            (
                vec![Err(Error::TimedOut("10 s".to_owned()))],
                Status::Critical,
                "no session of main was ended, 1 got no answer in time, so look before you run it again (10 s)",
            ),
        ];
        for (answers, status, sentence) in table {
            let outcome = outcome(&answers);
            assert_eq!((outcome.summary().as_str(), outcome.status()), (sentence, status));
        }
    }

    #[test]
    fn each_thing_has_a_row_that_says_what_became_of_it() {
        let outcome = outcome(&[
            with(Disposition::Applied),
            with(Disposition::Unchanged),
            Err(Error::Conflict("moved".to_owned())),
        ]);
        let table = &outcome.tables()[0];
        assert_eq!(
            (table.title.as_str(), &table.columns[..]),
            ("Sessions", &["pid".to_owned(), "result".to_owned()][..])
        );
        assert_eq!(table.rows, [["17", "ended"], ["17", "over already"], ["17", "changed: moved"]]);
        let counted: Vec<_> = outcome.metrics().iter().map(|metric| metric.labels[0].value.as_str()).collect();
        assert_eq!(counted, ["applied", "unchanged", "changed"]);
    }

    #[test]
    fn what_came_up_since_the_plan_is_told_and_no_fault_beside_what_was_done() {
        let mut denial = denied("postgres-actions/terminate-session", "main");
        if let Error::Denied(denial) = &mut denial {
            denial.reason = DenialReason::NotInPlan;
        }
        let followed = outcome(&[with(Disposition::Applied), Err(denial.clone())]);
        assert_eq!(followed.summary(), "ended 1 session of main, 1 is not in the plan");
        assert_eq!(followed.status(), Status::Ok);
        assert_eq!(outcome(&[Err(denial)]).status(), Status::Unknown);
    }

    #[test]
    fn one_change_is_told_by_its_receipt() {
        let told = |change| {
            let outcome = Outcome::of_change(change, |_| "paused email".to_owned(), "email is paused already");
            (outcome.status(), outcome.summary())
        };
        let pause = |disposition| Ok(Receipt { disposition, ..receipt("pause email (BullMQ 5)") });
        let text = str::to_owned;
        assert_eq!(told(pause(Disposition::Planned)), (Status::Ok, text("would pause email (BullMQ 5)")));
        assert_eq!(told(pause(Disposition::Applied)), (Status::Ok, text("paused email")));
        assert_eq!(told(pause(Disposition::Unchanged)), (Status::Ok, text("email is paused already")));
        let conflict = Err(Error::Conflict(text("paused was no, is yes")));
        assert_eq!(told(conflict), (Status::Warning, text("nothing was done: paused was no, is yes")));
        let (status, summary) = told(Err(denied("queue-actions/pause", "email")));
        assert_eq!(status, Status::Unknown);
        assert!(summary.starts_with("nothing was done: queue-actions/pause on email is denied"), "{summary}");
        let (status, summary) = told(Err(Error::Unavailable(text("refused"))));
        assert_eq!((status, summary), (Status::Critical, text("nothing was done: unavailable: refused")));
        let (status, summary) = told(Err(Error::TimedOut(text("5 s"))));
        assert!(status == Status::Critical && summary.starts_with("no answer came in time"), "{summary}");
    }
}
