//! Cancelling a statement and ending a session, as changes.
//!
//! ```text
//! preview   look (seen) ─► protected? ─► within the grant? ─► summary, differences, ground
//! perform   look ─► protected? ─► within the grant? ─► ground as planned? ─► one statement that finds the session only
//!           if it is still exactly what was looked at, and signals it (signal) ─► look until it shows
//! settle    look: gone, still there, or at something else
//! ```
//!
//! A process number says little: the server gives it out again. So a session is its number with its start, and what it
//! does is part of the ground, because a session that has gone on to another statement is another matter. Between the
//! look and the signal nothing is assumed: the statement that signals names everything that was judged.

mod protection;
mod seen;
mod signal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::read::{Param, Read, Time};
use super::sessions::SessionKey;
use super::{Postgres, Signaller};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Done, Fact, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled, canonical};
use crate::policy::op::{PostgresCancelQuery, PostgresTerminateSession, Sessions};
use crate::policy::{ChangeOp, Permit};
pub use protection::PROTECTED;
use seen::Seen;
use signal::Sent;

/// How long the effect of a signal is waited for. A backend notices it at its next interrupt check, which is soon
/// unless it waits for a disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where nobody knows whether a signal is on its way at all.
const SETTLING: Duration = Duration::from_secs(1);

/// Pause between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(50);

/// The server cuts what it shows of a statement itself, at 1 KiB as it is delivered and at 1 MiB at most.
const ALLOWANCE: usize = 4 << 20;

/// Starts beyond this cannot be told in JSON exactly, and lie in the year 2255.
const LAST_START: u64 = 1 << 53;

/// What is done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Cancel,
    Terminate,
}

/// A session that is to be signalled.
struct Ending<O: ChangeOp<Bounds = Sessions>> {
    postgres: Arc<Postgres>,
    permit: Permit<O>,
    session: SessionKey,
    effect: Effect,
}

pub(super) fn cancel(
    postgres: &Arc<Postgres>,
    permit: Permit<PostgresCancelQuery>,
    session: SessionKey,
) -> Result<Arc<dyn Change>, CallError> {
    Ending { postgres: postgres.clone(), permit, session, effect: Effect::Cancel }.checked()
}

pub(super) fn terminate(
    postgres: &Arc<Postgres>,
    permit: Permit<PostgresTerminateSession>,
    session: SessionKey,
) -> Result<Arc<dyn Change>, CallError> {
    Ending { postgres: postgres.clone(), permit, session, effect: Effect::Terminate }.checked()
}

/// The session in the arguments of a change that was recorded.
pub(super) fn recorded_session(call: &ChangeCall) -> Result<SessionKey, CallError> {
    serde_json::from_str(&call.arguments).map_err(|error| {
        tracing::warn!(%error, "the recorded arguments of a change cannot be read");
        CallError::Invalid("the recorded arguments name no session".to_owned())
    })
}

impl Postgres {
    fn signaller(&self) -> Result<&Signaller, CallError> {
        self.signaller.as_ref().ok_or_else(|| {
            CallError::Unavailable(format!(
                "the target has no `signal_url`, without which no statement is cancelled and no session ended; as a \
                 superuser: {}, and put its URL into targets.postgres.{}.signal_url",
                super::login::SIGNAL,
                self.name
            ))
        })
    }
}

impl Signaller {
    /// One statement of ours, which reads.
    pub(super) async fn read(
        &self,
        limits: &CallLimits,
        time: Time,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, CallError> {
        let flight = Read { sql, params, time, allowance: ALLOWANCE, names: &self.names };
        self.pool.run(limits, &flight).await
    }
}

#[async_trait]
impl<O: ChangeOp<Bounds = Sessions>> Change for Ending<O> {
    fn call(&self) -> ChangeCall {
        ChangeCall {
            operation: O::OPERATION,
            target: self.permit.target().clone(),
            arguments: canonical(&self.session),
        }
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let Some(seen) = self.look(limits).await? else {
            return Ok(self.nothing_to_do(format!("session {} is over", self.session.pid)));
        };
        self.admit(&seen)?;
        if self.effect == Effect::Cancel && !seen.is_at_work() {
            let mut preview = self.nothing_to_do(format!("{} runs no statement", seen.name()));
            if seen.has_transaction() {
                preview.notes.push("only ending the session ends the transaction that it keeps open".to_owned());
            }
            return Ok(preview);
        }
        Ok(Preview {
            summary: self.summary(&seen),
            objects: 1,
            differences: self.differences(&seen),
            ground: seen.ground(),
            scope: "{}".to_owned(),
            undo: self.undo(),
            doubt: None,
            notes: self.notes(&seen),
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        let seen = match self.look(limits).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Performed::Done(nothing_done()),
            Err(error) => return Performed::Nothing(error),
        };
        if let Err(error) = self.admit(&seen) {
            return Performed::Nothing(error);
        }
        if let Some(moved) = moved(&planned.ground, &seen.ground()) {
            return Performed::Nothing(CallError::Conflict(moved));
        }
        if halt.is_asked() {
            return Performed::Nothing(CallError::TimedOut(
                "the run ended before the session was signalled".to_owned(),
            ));
        }
        match self.signal(&seen, limits).await {
            Ok(Sent::Yes) => Performed::Done(self.wait(planned, limits, halt).await),
            Ok(Sent::NotFound) => self.missed(planned, limits).await,
            Ok(Sent::Perhaps(error)) => Performed::Unknown(error),
            Err(error) => Performed::Nothing(error),
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        match self.ended(planned, limits, &Halt::default(), SETTLING).await {
            Ok(false) => Settled::NotDone,
            // Whether by the signal or by itself nobody can tell any more; what was asked for is so.
            Ok(true) => Settled::Done(done(planned)),
            Err(error) => Settled::Unknown(format!(
                "the server does not tell ({error}); look for process {} in pg_stat_activity",
                self.session.pid
            )),
        }
    }
}

impl<O: ChangeOp<Bounds = Sessions>> Ending<O> {
    /// Refuses what no server could have, and targets that have no login for it.
    fn checked(self) -> Result<Arc<dyn Change>, CallError> {
        self.postgres.signaller()?;
        if self.session.pid <= 0 || self.session.started_micros == 0 || self.session.started_micros > LAST_START {
            return Err(CallError::Invalid("a session has a process number and a start above zero".to_owned()));
        }
        Ok(Arc::new(self))
    }

    async fn look(&self, limits: &CallLimits) -> Result<Option<Seen>, CallError> {
        seen::look(self.postgres.signaller()?, self.postgres.time(limits), limits, self.session).await
    }

    async fn signal(&self, seen: &Seen, limits: &CallLimits) -> Result<Sent, CallError> {
        signal::send(self.postgres.signaller()?, self.postgres.time(limits), limits, self.effect, seen).await
    }

    /// The host's own rules first: they hold whatever the grant says.
    fn admit(&self, seen: &Seen) -> Result<(), CallError> {
        if let Some(rule) = protection::rule(seen, &self.postgres.settings.protected) {
            return Err(self.permit.protected(rule).into());
        }
        Ok(self.permit.admit_session(&seen.user, &seen.application)?)
    }

    /// The statement that signals found no session: it ended or went on in that very moment.
    async fn missed(&self, planned: &Preview, limits: &CallLimits) -> Performed {
        let seen = match self.look(limits).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Performed::Done(nothing_done()),
            Err(error) => return Performed::Nothing(error),
        };
        if let Err(error) = self.admit(&seen) {
            return Performed::Nothing(error);
        }
        let moved = moved(&planned.ground, &seen.ground());
        let moved = moved.unwrap_or_else(|| "the session went on while it was about to be signalled".to_owned());
        Performed::Nothing(CallError::Conflict(moved))
    }

    /// The signal is out.
    async fn wait(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Done {
        match self.ended(planned, limits, halt, PATIENCE).await {
            Ok(true) => done(planned),
            Ok(false) => incomplete(planned, "it had no effect yet; the server acts on it when it can".to_owned()),
            Err(error) => incomplete(planned, format!("what came of it could not be seen: {error}")),
        }
    }

    /// Looks until what was to end has ended, or for as long as `patience`.
    async fn ended(
        &self,
        planned: &Preview,
        limits: &CallLimits,
        halt: &Halt,
        patience: Duration,
    ) -> Result<bool, CallError> {
        let until = limits.deadline.min(Instant::now() + patience);
        loop {
            match self.look(limits).await? {
                Some(seen) if self.stands(planned, &seen) => {}
                Some(_) | None => return Ok(true),
            }
            if halt.is_asked() || Instant::now() + PAUSE >= until {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// True while what was to end has not ended.
    fn stands(&self, planned: &Preview, seen: &Seen) -> bool {
        match self.effect {
            Effect::Terminate => true,
            Effect::Cancel => moved(&planned.ground, &seen.ground()).is_none(),
        }
    }

    fn summary(&self, seen: &Seen) -> String {
        let what = match self.effect {
            Effect::Cancel => "cancel the statement of",
            Effect::Terminate => "end",
        };
        format!("{what} {}: {}", seen.name(), seen.age())
    }

    fn differences(&self, seen: &Seen) -> Vec<Difference> {
        let (field, after) = match self.effect {
            Effect::Cancel => ("statement", "cancelled"),
            Effect::Terminate => ("session", "ended"),
        };
        vec![Difference { field: field.to_owned(), before: Some(seen.doing()), after: Some(after.to_owned()) }]
    }

    fn notes(&self, seen: &Seen) -> Vec<String> {
        let mut notes = Vec::new();
        match self.effect {
            Effect::Cancel => notes.push("the statement fails, and a transaction around it with it".to_owned()),
            Effect::Terminate if seen.has_transaction() => {
                notes.push("its open transaction is rolled back, and what it did is lost".to_owned());
            }
            Effect::Terminate => {}
        }
        match seen.waiters {
            0 => {}
            1 => notes.push("one session waits for its locks".to_owned()),
            several => notes.push(format!("{several} sessions wait for its locks")),
        }
        notes
    }

    fn undo(&self) -> Undo {
        let why = match self.effect {
            Effect::Cancel => "the statement has to be run again",
            Effect::Terminate => "a session cannot be brought back; its client has to connect again",
        };
        Undo::Impossible(why.to_owned())
    }

    fn nothing_to_do(&self, summary: String) -> Preview {
        Preview {
            summary,
            objects: 0,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: self.undo(),
            doubt: None,
            notes: Vec::new(),
        }
    }
}

/// What is not as it was planned, in words.
fn moved(planned: &[Fact], now: &[Fact]) -> Option<String> {
    let is = |name: &str| now.iter().find(|fact| fact.name == name).map_or("gone", |fact| fact.value.as_str());
    let different = planned.iter().filter(|was| is(&was.name) != was.value);
    let moved: Vec<_> = different.map(|was| format!("{} was {}, is {}", was.name, was.value, is(&was.name))).collect();
    (!moved.is_empty()).then(|| moved.join("; "))
}

fn done(planned: &Preview) -> Done {
    Done { objects: 1, differences: planned.differences.clone(), answer: None, incomplete: None, inverse: None }
}

fn incomplete(planned: &Preview, why: String) -> Done {
    Done { incomplete: Some(format!("the signal was sent; {why}")), ..done(planned) }
}

fn nothing_done() -> Done {
    Done { objects: 0, differences: Vec::new(), answer: None, incomplete: None, inverse: None }
}
