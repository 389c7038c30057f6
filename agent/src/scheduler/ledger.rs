//! What a sweep's runs amount to: its standing, kept in the store, and the events that follow.
//!
//! Verdicts are entered one after the other. What is at hand is the truth for this process; the store gets all of it with
//! every entry, so one that could not be written is made good by the next.

use std::sync::{Arc, Mutex, PoisonError};

use super::retry::patiently;
use super::silences::Silences;
use super::standing::{self, Change, Rules};
use crate::clock::Clock;
use crate::domain::{
    EventKind, Muted, SilenceId, Standing, Status, SweepEvent, SweepName, SweepRun, SweepRunId, SweepRunState,
    Timestamp,
};
use crate::store::{News, StoreError, SweepStore};
use crate::telemetry::Metrics;

/// Name of the actor for whom scheduled runs are recorded.
pub const SCHEDULE: &str = "schedule";

/// The standing of one sweep.
pub(super) struct Ledger {
    sweep: SweepName,
    rules: Mutex<Rules>,
    standing: Mutex<Standing>,
    /// The last run with a verdict.
    last: Mutex<Option<Arc<SweepRun>>>,
    /// Held while an entry is made, so that entries are written in their order.
    turn: tokio::sync::Mutex<()>,
}

/// What a ledger writes to.
pub(super) struct Books {
    pub(super) store: Arc<dyn SweepStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) silences: Silences,
}

impl Ledger {
    /// The ledger of `sweep`, as far as it is known.
    pub(super) fn new(sweep: SweepName, rules: Rules, standing: Standing, last: Option<SweepRun>) -> Self {
        let (standing, last) = (Mutex::new(standing), Mutex::new(last.map(Arc::new)));
        Self { sweep, rules: Mutex::new(rules), standing, last, turn: tokio::sync::Mutex::default() }
    }

    /// From now on verdicts are judged by `rules`.
    pub(super) fn follow(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Rules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the sweep stands.
    pub(super) fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It stands like this, as others found.
    pub(super) fn stand(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Its last run with a verdict.
    pub(super) fn last(&self) -> Option<Arc<SweepRun>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When people are to be reminded.
    pub(super) fn reminder_due(&self) -> Option<Timestamp> {
        standing::reminder_due(&self.standing(), &self.rules())
    }

    /// Enter the end of a run. Only one that was concluded says anything about the sweep.
    pub(super) async fn enter(&self, run: SweepRun, books: &Books) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let verdict = run.status.filter(|_| run.state == SweepRunState::Concluded);
        let Some(verdict) = verdict else {
            return patiently(|| books.store.finish_sweep_run(run.clone(), None)).await;
        };
        let now = books.clock.now();
        let (next, changes) = standing::judge(self.standing(), &self.rules(), verdict, now);
        let news = self.news(next, &changes, Some(run.id), books);
        let written = patiently(|| books.store.finish_sweep_run(run.clone(), Some(news.clone()))).await;
        books.metrics.sweeps.concluded(&run);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(run));
        self.adopt(&news, books);
        written
    }

    /// Remind people, if that is due.
    pub(super) async fn remind(&self, books: &Books) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let mut next = self.standing();
        let Some(change) = standing::remind(&mut next, &self.rules(), books.clock.now()) else { return Ok(()) };
        let news = self.news(next, &[change], None, books);
        let written = patiently(|| books.store.keep_standing(&self.sweep, news.clone())).await;
        self.adopt(&news, books);
        written
    }

    fn news(&self, standing: Standing, changes: &[Change], run: Option<SweepRunId>, books: &Books) -> News {
        let silences = books.silences.of(&self.sweep);
        let recovered = |change: &Change| change.kind == EventKind::Changed && standing.hard == Some(Status::Ok);
        let ended_silences: Vec<SilenceId> = if changes.iter().any(recovered) {
            // That all is well with one sweep says nothing about the others.
            let own = silences.iter().filter(|silence| silence.expire_on_resolve && silence.sweep.is_some());
            own.map(|silence| silence.id).collect()
        } else {
            Vec::new()
        };
        let event = |change: &Change| SweepEvent {
            time: books.clock.now(),
            sweep: self.sweep.clone(),
            kind: change.kind,
            from: change.from,
            status: standing.hard.unwrap_or(Status::Ok),
            muted: muted(change.kind, &standing, !silences.is_empty()),
            run,
        };
        News { standing, events: changes.iter().map(event).collect(), ended_silences }
    }

    fn adopt(&self, news: &News, books: &Books) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = news.standing;
        books.silences.forget(&news.ended_silences);
        books.metrics.sweeps.stands(&self.sweep, &news.standing);
        for event in &news.events {
            books.metrics.sweeps.event(&self.sweep, event.kind);
            announce(event);
        }
    }
}

/// That a sweep is flapping is worth telling once; what it does meanwhile is not.
fn muted(kind: EventKind, standing: &Standing, silenced: bool) -> Option<Muted> {
    match kind {
        _ if silenced => Some(Muted::Silenced),
        EventKind::Changed | EventKind::Reminder if standing.flapping => Some(Muted::Flapping),
        EventKind::Changed | EventKind::Reminder | EventKind::FlappingStarted | EventKind::FlappingStopped => None,
    }
}

fn announce(event: &SweepEvent) {
    let (sweep, kind, status) = (&event.sweep, event.kind.as_str(), event.status.as_str());
    let from = event.from.map_or("", Status::as_str);
    let muted = event.muted.map_or("", Muted::as_str);
    match (event.status, event.muted) {
        (Status::Critical | Status::Unknown | Status::Warning, None) => {
            tracing::warn!(sweep.name = %sweep, event = kind, status, from, muted, "sweep event");
        }
        (Status::Ok, _) | (_, Some(_)) => {
            tracing::info!(sweep.name = %sweep, event = kind, status, from, muted, "sweep event");
        }
    }
}
