//! Leases where there are several replicas: shared before anything is changed, and given back by whoever leads when their time comes.
//!
//! What all replicas see decides; the store of each follows it. A change that this replica made and another one gave back is marked
//! here as soon as that is seen.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::leases::LeaseRefusal;
use super::{Application, PlanRefusal, Refusal, Runner};
use crate::domain::{
    Actor, CallError, ChangeRecord, Freeze, FreezeId, Lease, LeaseState, Plan, PlannedChange, Run, RunChanges, RunId,
    Timestamp,
};
use crate::replicas::{Loan, LoanState, Replicas, SharedFreeze, Taken, name_of};
use crate::store::{StoreError, lent_record, read_lent};

/// What is held on a lease.
pub struct Holding {
    /// The lease.
    pub lease: Lease,
    /// The run whose changes it holds, as far as it is known here.
    pub run: Run,
    /// The replica that made them, where it is another one.
    pub replica: Option<String>,
}

/// Loans that somebody took, and since when they were seen like this.
pub(super) type Seen = HashMap<RunId, (Loan, Instant)>;

impl Runner {
    /// From now on this agent is one of several.
    pub fn join(&self, replicas: Arc<Replicas>) {
        let _ = self.replicas.set(replicas);
        self.lease_changed.notify_one();
    }

    /// The replica that this agent is, if it is one of several.
    pub fn replica(&self) -> Option<&Arc<Replicas>> {
        self.replicas.get()
    }

    /// Let all replicas know what `run` is about to change by `plan` and for how long, if it does so on a lease.
    pub(super) async fn lend(&self, run: &Run, plan: &Plan) -> Result<(), Refusal> {
        let (Some(replicas), Some(lease)) = (self.replica(), &run.changes.lease) else { return Ok(()) };
        let made = plan.changes.iter().map(|planned| not_yet(planned, run.started)).collect();
        let lent = Run { changes: RunChanges { made, ..run.changes.clone() }, ..run.clone() };
        let record = lent_record(&lent).map_err(Refusal::Store)?;
        let shared = replicas.lend(run.id, lease.until, record).await;
        shared.map_err(|error| PlanRefusal::NotShared { why: error.to_string() }.into())
    }

    /// The apply `run` did not begin: what it was about to share is shared no more, and what it took is let go.
    pub(super) async fn did_not_begin(&self, run: RunId, asked: &Application, undone: Option<RunId>) {
        let Some(replicas) = self.replica() else { return };
        if asked.lease.is_some()
            && let Err(error) = replicas.withdraw(run).await
        {
            tracing::warn!(%error, run.id = %run, "a lease of a run that did not begin stays shared; it holds nothing");
        }
        if let Some(undone) = undone
            && self.is_lent(undone).await.unwrap_or(true)
        {
            self.settle_lent(undone, Err(None)).await;
        }
    }

    /// Let all replicas know what came of a run that made changes on a lease.
    pub(super) async fn report_lent(&self, run: &Run) {
        let (Some(replicas), Some(lease)) = (self.replica(), &run.changes.lease) else { return };
        let told = match (lease.state, lent_record(run)) {
            (LeaseState::Ended, _) => replicas.withdraw(run.id).await,
            (LeaseState::Held | LeaseState::Stuck, Ok(record)) => replicas.report(run.id, record).await,
            (LeaseState::Held | LeaseState::Stuck, Err(error)) => Err(CallError::Invalid(error.to_string())),
        };
        if let Err(error) = told {
            // They would look at the targets then.
            tracing::warn!(%error, run.id = %run.id, "other replicas do not know what came of the changes on a lease");
        }
    }

    /// Take what `undone` changed from the other replicas, to give it back here.
    pub(super) async fn take_lent(&self, undone: RunId) -> Result<(), Refusal> {
        let Some(replicas) = self.replica() else { return Ok(()) };
        if !self.is_lent(undone).await.map_err(Refusal::Store)? {
            return Ok(());
        }
        let taken = replicas.take(undone).await;
        match taken.map_err(|error| PlanRefusal::NotShared { why: error.to_string() })? {
            Taken::Mine | Taken::NotShared => Ok(()),
            Taken::Busy(by) => Err(PlanRefusal::BeingGivenBack { run: undone, by: name_of(&by).to_owned() }.into()),
            Taken::Over(loan) => {
                self.follow_end(undone, &loan).await.map_err(Refusal::Store)?;
                let why = "all of it was given back".to_owned();
                Err(PlanRefusal::NothingToGiveBack { run: undone, why }.into())
            }
        }
    }

    /// Whether others know the changes of `run`, and may give them back.
    pub(super) async fn is_lent(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(self.store.lease(run).await?.is_some_and(|lease| lease.state != LeaseState::Ended))
    }

    /// Let all replicas know how giving back what `undone` changed ended.
    pub(super) async fn settle_lent(&self, undone: RunId, ended: Result<Option<RunId>, Option<String>>) {
        let Some(replicas) = self.replica() else { return };
        let told = match ended {
            Ok(undo) => replicas.returned(undone, undo).await,
            Err(Some(why)) => replicas.stuck(undone, why).await,
            Err(None) => replicas.let_go(undone).await,
        };
        match told {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(run.id = %undone, "another replica took the changes meanwhile, and tells what becomes of them");
            }
            Err(error) => {
                tracing::warn!(%error, run.id = %undone, "other replicas do not know how giving back a lease ended");
            }
        }
    }

    /// What is held on leases here and by other replicas, the next one to end first.
    pub async fn holdings(&self) -> Result<Vec<Holding>, StoreError> {
        let mut holdings = Vec::new();
        for lease in self.store.leases().await? {
            // One whose run is gone meanwhile holds nothing.
            if let Some(run) = self.store.run(lease.run).await? {
                holdings.push(Holding { lease, run, replica: None });
            }
        }
        let Some(replicas) = self.replica() else { return Ok(holdings) };
        match replicas.loans().await {
            Ok(loans) => {
                let is_new = |run: RunId| holdings.iter().all(|holding| holding.lease.run != run);
                let others: Vec<_> = loans.into_iter().filter(|(run, loan)| !loan.is_over() && is_new(*run)).collect();
                holdings.extend(others.into_iter().filter_map(|(run, loan)| of_another(run, &loan)));
                holdings.sort_by_key(|holding| holding.lease.until);
            }
            Err(error) => tracing::warn!(%error, "the leases of other replicas cannot be seen"),
        }
        Ok(holdings)
    }

    /// Let a lease that replicas share end at another time; none where they share none of that run.
    pub(super) async fn extend_lent(&self, run: RunId, until: Timestamp) -> Result<Option<Lease>, LeaseRefusal> {
        let Some(replicas) = self.replica() else { return Ok(None) };
        let not_shared = |error: CallError| LeaseRefusal::NotShared { why: error.to_string() };
        if !replicas.extend(run, until).await.map_err(not_shared)? {
            return Ok(None);
        }
        Ok(Some(Lease { run, until, state: LeaseState::Held, detail: None, ended_by: None }))
    }

    /// Record the changes of another replica here, so that they can be given back from here. Does nothing where they are known.
    pub(super) async fn adopt_lent(&self, run: RunId) -> Result<(), LeaseRefusal> {
        let Some(replicas) = self.replica() else { return Ok(()) };
        if self.store.lease(run).await?.is_some() {
            return Ok(());
        }
        let loans = replicas.loans().await.map_err(|error| LeaseRefusal::NotShared { why: error.to_string() })?;
        match loans.into_iter().find(|(of, loan)| *of == run && !loan.is_over()) {
            Some((_, loan)) => Ok(self.adopt(&loan).await?),
            None => Ok(()),
        }
    }

    async fn adopt(&self, loan: &Loan) -> Result<(), StoreError> {
        let run = read_lent(&loan.record, &loan.owner)?;
        tracing::info!(run.id = %run.id, replica = loan.owner, "a run of another replica is recorded, to give back what it changed");
        self.store.adopt_lent(run, loan.until()).await
    }

    /// Follow what other replicas did, and give back what is due if this one leads. Answers with the end of the next one.
    pub(super) async fn end_due_together(
        &self,
        replicas: &Replicas,
        seen: &mut Seen,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (loans, freezes) = match replicas.look().await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(%error, "the leases that replicas share cannot be seen, and wait");
                return Ok(None);
            }
        };
        self.keep_up(replicas, &loans).await?;
        self.follow_freezes(replicas, &freezes).await?;
        let now = self.clock.now();
        seen.retain(|run, (was, _)| loans.iter().any(|(of, loan)| of == run && loan == was));
        for (run, loan) in &loans {
            if !replicas.leads() || self.is_stopping() {
                return Ok(None);
            }
            if is_due(loan, now) || self.is_left_alone(replicas, *run, loan, seen).await {
                self.end_lent(*run, loan).await;
            }
        }
        let held = loans.iter().filter(|(_, loan)| loan.state == LoanState::Held);
        Ok(held.map(|(_, loan)| loan.until()).filter(|until| *until > now).min())
    }

    /// Give it back, wherever it was made.
    async fn end_lent(&self, run: RunId, loan: &Loan) {
        let ended = async {
            if self.store.lease(run).await?.is_none() {
                self.adopt(loan).await?;
            }
            self.end(run).await
        };
        if let Err(error) = ended.await {
            tracing::error!(%error, run.id = %run, "the changes of a lease cannot be given back");
        }
    }

    /// True where whoever took it is gone, and it is this process's now.
    async fn is_left_alone(&self, replicas: &Replicas, run: RunId, loan: &Loan, seen: &mut Seen) -> bool {
        let LoanState::Ending { as_leader, by } = &loan.state else { return false };
        let (_, since) = seen.entry(run).or_insert_with(|| (loan.clone(), Instant::now()));
        if since.elapsed() < replicas.patience(*as_leader) {
            return false;
        }
        tracing::warn!(run.id = %run, replica = name_of(by), "a replica began to give back a lease and is gone");
        match replicas.take_over(run, loan.clone()).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, run.id = %run, "what a replica left is not taken over yet");
                false
            }
        }
    }

    /// Let the store of this replica say of its leases what all replicas see.
    async fn keep_up(&self, replicas: &Replicas, loans: &[(RunId, Loan)]) -> Result<(), StoreError> {
        for lease in self.store.leases().await? {
            match loans.iter().find(|(run, _)| *run == lease.run).map(|(_, loan)| loan) {
                None => self.lend_again(replicas, &lease).await?,
                Some(loan) => match &loan.state {
                    LoanState::Ended { .. } => self.follow_end(lease.run, loan).await?,
                    LoanState::Stuck { why, .. } if lease.state == LeaseState::Held => {
                        self.store.settle_lease(lease.run, LeaseState::Stuck, Some(why.clone()), None).await?;
                    }
                    LoanState::Held if lease.until != loan.until() || lease.state == LeaseState::Stuck => {
                        self.store.extend_lease(lease.run, loan.until()).await?;
                    }
                    LoanState::Held | LoanState::Ending { .. } | LoanState::Stuck { .. } => {}
                },
            }
        }
        Ok(())
    }

    /// Freeze changes here and at all replicas. Where the others cannot be told now, they are with the next look.
    pub async fn freeze(&self, freeze: Freeze) -> Result<(), StoreError> {
        self.store.add_freeze(freeze.clone()).await?;
        if let Some(replicas) = self.replica()
            && let Err(error) = replicas.freeze(freeze).await
        {
            tracing::warn!(%error, "other replicas do not know of a freeze yet");
        }
        Ok(())
    }

    /// Lift a freeze in the name of `by`, here and at all replicas. None when none of that id holds.
    pub async fn lift_freeze(&self, id: FreezeId, by: &Actor) -> Result<Option<Freeze>, Refusal> {
        if let Some(replicas) = self.replica() {
            // First: what the others still know would come back.
            let lifted = replicas.lift(id, by.clone()).await;
            lifted.map_err(|error| PlanRefusal::NotShared { why: error.to_string() })?;
        }
        self.store.lift_freeze(id, by).await.map_err(Refusal::Store)
    }

    /// Let the store of this replica say of freezes what all replicas see.
    async fn follow_freezes(&self, replicas: &Replicas, shared: &[SharedFreeze]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let own = self.store.freezes(now).await?;
        for SharedFreeze { freeze, lifted_by } in shared {
            let is_known = own.iter().any(|known| known.id == freeze.id);
            match (lifted_by, is_known) {
                (Some(by), true) => drop(self.store.lift_freeze(freeze.id, by).await?),
                (None, false) if now < freeze.expires => self.store.add_freeze(freeze.clone()).await?,
                (Some(_), false) | (None, _) => {}
            }
        }
        for freeze in own {
            if shared.iter().all(|known| known.freeze.id != freeze.id)
                && let Err(error) = replicas.freeze(freeze).await
            {
                tracing::warn!(%error, "other replicas do not know of a freeze yet");
            }
        }
        Ok(())
    }

    async fn follow_end(&self, run: RunId, loan: &Loan) -> Result<(), StoreError> {
        let LoanState::Ended { by, undo, .. } = &loan.state else { return Ok(()) };
        let undo = undo.as_deref().and_then(|undo| undo.parse().ok());
        let detail = match undo {
            Some(undo) => format!("given back by run {undo} of the replica {by}"),
            None => format!("the replica {by} found nothing to give back"),
        };
        self.store.returned_elsewhere(run, undo, detail).await
    }

    /// A lease from before there were several replicas, or one that somebody took out of what they share.
    async fn lend_again(&self, replicas: &Replicas, lease: &Lease) -> Result<(), StoreError> {
        // One that just ended is not in what was looked at.
        if !self.is_lent(lease.run).await? {
            return Ok(());
        }
        let Some(run) = self.store.run(lease.run).await?.filter(|run| run.finished.is_some()) else { return Ok(()) };
        if let Err(error) = replicas.lend(run.id, lease.until, lent_record(&run)?).await {
            tracing::warn!(%error, run.id = %run.id, "a lease is not shared with other replicas");
        }
        Ok(())
    }
}

fn is_due(loan: &Loan, now: Timestamp) -> bool {
    loan.state == LoanState::Held && loan.until() <= now
}

/// A change that a run will make, as far as anybody else knows.
fn not_yet(planned: &PlannedChange, now: Timestamp) -> ChangeRecord {
    ChangeRecord {
        position: planned.position,
        sequence: 0,
        planned: planned.clone(),
        intended: now,
        settled: None,
        fate: None,
        undone_by: None,
    }
}

fn of_another(run: RunId, loan: &Loan) -> Option<Holding> {
    let (state, detail) = match &loan.state {
        LoanState::Held => (LeaseState::Held, None),
        LoanState::Ending { by, .. } => (LeaseState::Held, Some(format!("the replica {} gives it back", name_of(by)))),
        LoanState::Stuck { why, .. } => (LeaseState::Stuck, Some(why.clone())),
        LoanState::Ended { .. } => return None,
    };
    let lease = Lease { run, until: loan.until(), state, detail, ended_by: None };
    match read_lent(&loan.record, &loan.owner) {
        Ok(run) => Some(Holding { lease, run, replica: Some(loan.owner.clone()) }),
        Err(error) => {
            tracing::warn!(%error, run.id = %run, "a lease of another replica cannot be read");
            None
        }
    }
}
