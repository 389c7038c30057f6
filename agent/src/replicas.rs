//! Several replicas of the agent: one of them leads, and does what is due.
//!
//! ```text
//!  Lease        who leads                          ─► election   judged by our own clock        pure
//!                                                     office     takes it, renews it, gives it back
//!  ConfigMap    slots of sweeps, leases of changes ─► board      one writer at a time
//!               freezes, silences                     slots, loans, orders  what may be done     pure
//! ```
//!
//! Who leads decides who begins; that nothing is done twice rests on the ConfigMap, which is written at the version that was read. A
//! leader that was stopped for a while and does not know yet that it leads no more finds there what others did.
//!
//! Each replica has a store of its own. Without the API server no slot is taken, nothing is given back by itself and no change is lent;
//! checks run as ever, those of sweeps at each replica that is cut off for long, for itself.

mod board;
mod election;
mod entries;
mod loans;
mod office;
mod orders;
mod slots;
mod sweeps;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

pub use loans::{Loan, LoanState, Taken};
pub use orders::{SharedFreeze, SharedSilence};
pub use sweeps::SharedSweeps;

use crate::clock::Clock;
use crate::domain::{
    Actor, CallError, Entries, Freeze, FreezeId, NotWritten, Office, Revision, RunId, Silence, SilenceId, Timestamp,
};
use crate::telemetry::Metrics;
use board::Board;

/// For how long it is remembered that a lease is over, for a replica that was away: longer than any lease holds.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// After so many terms without a word of the cluster a replica is cut off.
const CUT_OFF: u32 = 4;

/// The two objects of a cluster that replicas share.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Who leads.
    async fn office(&self) -> Result<(Office, Revision), CallError>;

    /// Write who leads.
    async fn write_office(&self, office: &Office, revision: &Revision) -> Result<Revision, NotWritten>;

    /// What is remembered.
    async fn entries(&self) -> Result<(Entries, Revision), CallError>;

    /// Write those entries; one without a text is taken away.
    async fn write_entries(
        &self,
        entries: &BTreeMap<String, Option<String>>,
        revision: &Revision,
    ) -> Result<Revision, NotWritten>;
}

/// One replica among others.
pub struct Replicas {
    /// Its name, which is the same after a restart.
    name: String,
    /// This process of it.
    process: String,
    term: Duration,
    cluster: Arc<dyn Cluster>,
    board: Board,
    duty: Mutex<Duty>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What this replica knows about who leads.
#[derive(Clone, Debug, Default)]
struct Duty {
    /// It leads until then, unless it says so again.
    until: Option<Instant>,
    /// How often it began to lead.
    terms: u64,
    /// Who leads, as far as is known.
    leader: Option<String>,
    /// Why nothing is known.
    trouble: Option<String>,
    /// Since when.
    lost: Option<Instant>,
    /// Why nothing can be remembered together.
    forgetful: Option<String>,
}

/// Who leads, as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its own name.
    pub name: String,
    /// Whether it leads.
    pub leads: bool,
    /// Who leads; none where nobody does or that is not known.
    pub leader: Option<String>,
    /// Why it is not known, or what is due cannot be done.
    pub trouble: Option<String>,
    /// Whether it runs its sweeps for itself, because nobody may be leading.
    pub is_cut_off: bool,
}

impl Replicas {
    /// The replica `name`, which leads for as long as `term` without a word of it. It does not lead before
    /// [`Replicas::keep_office`].
    pub fn new(
        name: String,
        term: Duration,
        cluster: Arc<dyn Cluster>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let process = format!("{name}_{}", RunId::new(clock.now()));
        let board = Board::of(cluster.clone());
        Self { name, process, term, cluster, board, duty: Mutex::default(), clock, metrics }
    }

    fn duty(&self) -> MutexGuard<'_, Duty> {
        self.duty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the term in which this replica leads now; none where it does not.
    pub fn term(&self) -> Option<u64> {
        let duty = self.duty();
        duty.until.filter(|until| Instant::now() < *until).map(|_| duty.terms)
    }

    /// Whether nothing was heard of the cluster for so long that nobody may be leading.
    pub fn is_cut_off(&self) -> bool {
        let lost = self.duty().lost;
        lost.is_some_and(|lost| lost.elapsed() >= self.term * CUT_OFF)
    }

    /// Whether this replica leads now.
    pub fn leads(&self) -> bool {
        self.term().is_some()
    }

    /// How the replica is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who leads.
    pub fn standing(&self) -> Standing {
        let (leads, is_cut_off, duty) = (self.leads(), self.is_cut_off(), self.duty().clone());
        let leader = duty.leader.as_deref().map(|process| name_of(process).to_owned());
        // Whoever led until a moment ago is no leader for having been one.
        let leader = leader.filter(|name| leads || *name != self.name);
        Standing { name: self.name.clone(), leads, leader, trouble: duty.trouble.or(duty.forgetful), is_cut_off }
    }

    /// Share the changes of `run` until `until`, before they are made. Fails where they cannot be shared, and then nobody but this
    /// replica would ever give them back.
    pub async fn lend(&self, run: RunId, until: Timestamp, record: String) -> Result<(), CallError> {
        let loan = Loan::new(until, &self.name, record);
        match self.board.change(move |entries| loans::lend(entries, run, &loan)).await? {
            true => Ok(()),
            false => Err(CallError::TooLarge(
                "what replicas share has no room for one more lease: end some that are not needed".to_owned(),
            )),
        }
    }

    /// Say what came of the changes of `run`.
    pub async fn report(&self, run: RunId, record: String) -> Result<(), CallError> {
        let me = self.name.clone();
        Ok(self.board.change(move |entries| loans::report(entries, run, &me, &record)).await??)
    }

    /// Share the changes of `run` no more: there is nothing to give back, or everybody who has to know it knows that it was.
    pub async fn withdraw(&self, run: RunId) -> Result<(), CallError> {
        self.board.change(move |entries| loans::remove(entries, run)).await
    }

    /// All loans that are shared.
    pub async fn loans(&self) -> Result<Vec<(RunId, Loan)>, CallError> {
        Ok(self.look().await?.0)
    }

    /// All loans and freezes that are shared.
    pub async fn look(&self) -> Result<(Vec<(RunId, Loan)>, Vec<SharedFreeze>), CallError> {
        let seen = self.cluster.entries().await;
        self.duty().forgetful = seen.as_ref().err().map(ToString::to_string);
        let (entries, _) = seen?;
        Ok((loans::all(&entries), orders::freezes(&entries)))
    }

    /// Let all replicas follow a freeze.
    pub async fn freeze(&self, freeze: Freeze) -> Result<(), CallError> {
        self.order(move |entries| orders::freeze(entries, &freeze)).await
    }

    /// Let no replica follow it any more.
    pub async fn lift(&self, id: FreezeId, by: Actor) -> Result<(), CallError> {
        Ok(self.order(move |entries| orders::lift(entries, id, &by)).await??)
    }

    async fn silence(&self, silence: Silence) -> Result<(), CallError> {
        self.order(move |entries| orders::silence(entries, &silence)).await
    }

    /// Tells whether it held.
    async fn end_silence(&self, id: SilenceId) -> Result<bool, CallError> {
        Ok(self.order(move |entries| orders::end_silence(entries, id)).await??)
    }

    async fn order<T: Send + 'static>(
        &self,
        mut order: impl FnMut(&mut Entries) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let now = self.clock.now();
        let order = move |entries: &mut Entries| {
            orders::prune(entries, now);
            order(entries)
        };
        self.board.change(order).await
    }

    /// Let the changes of `run` be given back at another time. False where nobody shares them, or they are being given back.
    pub async fn extend(&self, run: RunId, until: Timestamp) -> Result<bool, CallError> {
        Ok(self.board.change(move |entries| loans::extend(entries, run, until)).await??)
    }

    /// Take the changes of `run`, to give them back.
    pub async fn take(&self, run: RunId) -> Result<Taken, CallError> {
        let (me, leads) = (self.process.clone(), self.leads());
        Ok(self.board.change(move |entries| loans::take(entries, run, &me, leads)).await??)
    }

    /// Take them from a process that is gone. False where it is not, or something happened since they were `seen`.
    pub async fn take_over(&self, run: RunId, seen: Loan) -> Result<bool, CallError> {
        let me = self.process.clone();
        Ok(self.board.change(move |entries| loans::take_over(entries, run, &seen, &me)).await??)
    }

    /// Whether the changes of `run`, which this process took, are still its own to give back.
    pub async fn still_mine(&self, run: RunId) -> Result<bool, CallError> {
        let (entries, _) = self.cluster.entries().await?;
        let state = loans::of(&entries, run)?.map(|loan| loan.state);
        Ok(match state {
            Some(LoanState::Ending { by, as_leader }) => by == self.process && (!as_leader || self.leads()),
            Some(LoanState::Held | LoanState::Ended { .. } | LoanState::Stuck { .. }) => false,
            // Nobody shares them.
            None => true,
        })
    }

    /// Say that the changes of `run` were given back by `undo`. Where somebody else had taken them meanwhile, they say it.
    pub async fn returned(&self, run: RunId, undo: Option<RunId>) -> Result<bool, CallError> {
        let (by, undo, at) = (self.name.clone(), undo.map(|undo| undo.to_string()), self.clock.now().as_millis());
        self.settle(run, LoanState::Ended { by, undo, at }).await
    }

    /// Say why the changes of `run` could not be given back.
    pub async fn stuck(&self, run: RunId, why: String) -> Result<bool, CallError> {
        self.settle(run, LoanState::Stuck { by: self.name.clone(), why }).await
    }

    /// Let go of changes that this process took and did not give back.
    pub async fn let_go(&self, run: RunId) -> Result<bool, CallError> {
        self.settle(run, LoanState::Held).await
    }

    async fn settle(&self, run: RunId, state: LoanState) -> Result<bool, CallError> {
        let (me, before) = (self.process.clone(), self.clock.now().before(REMEMBERED));
        let settle = move |entries: &mut Entries| {
            loans::prune(entries, before);
            loans::settle(entries, run, &me, &state)
        };
        Ok(self.board.change(settle).await??)
    }

    /// How often to look for what others did.
    pub fn pace(&self) -> Duration {
        self.term / 3
    }

    /// For how long a loan that a leader took has to stay the same until it is thought to be gone.
    pub const fn patience(&self, as_leader: bool) -> Duration {
        // Whoever asked for it may be watching a long undo.
        if as_leader { self.term } else { Duration::from_secs(300) }
    }
}

/// The name of the replica whose process that is.
pub fn name_of(process: &str) -> &str {
    process.rsplit_once('_').map_or(process, |(name, _)| name)
}
