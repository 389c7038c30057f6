//! Takes the Lease when it is free, renews it while it is held, and gives it back at the end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::election::{Election, Step, reign};
use super::{Replicas, name_of};
use crate::domain::{CallError, NotWritten, Office, Revision};

/// Parts of a term: it is renewed twice before it is over, and once more while others still wait.
const PARTS: u32 = 3;

/// What an attempt came to.
enum Attempt {
    /// The Lease is ours, and was written at this version.
    Held(Office, Revision),
    /// It is somebody else's, for at least this long.
    Theirs(Duration),
}

impl Replicas {
    /// Lead when nobody else does, until `stopping` says so. What leads then is free for others at once.
    pub async fn keep_office(&self, mut stopping: watch::Receiver<bool>) {
        let mut election = Election::of(self.process.clone());
        let mut held = None;
        loop {
            let pause = self.attend(&mut election, &mut held).await;
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.duty().until = None;
        self.metrics.replicas.leads(false);
        if let Some((office, revision)) = held {
            let free = Office { holder: None, renewed: Some(self.clock.now()), ..office };
            if let Err(error) = self.cluster.write_office(&free, &revision).await {
                tracing::warn!(%error, "the Lease is not given back; others wait until it runs out");
            }
        }
    }

    /// Look once, and tell when to look again.
    async fn attend(&self, election: &mut Election, held: &mut Option<(Office, Revision)>) -> Duration {
        let asked = Instant::now();
        let led = self.leads();
        let attempt = self.attempt(election, held.take(), asked).await;
        let pause = match attempt {
            Ok(Attempt::Held(office, revision)) => {
                self.lead(asked);
                *held = Some((office, revision));
                self.term / PARTS
            }
            Ok(Attempt::Theirs(rest)) => {
                self.duty().until = None;
                rest.min(self.term / PARTS)
            }
            Err(error) => {
                self.metrics.replicas.failed();
                let mut duty = self.duty();
                if duty.trouble.is_none() {
                    tracing::warn!(%error, "who leads cannot be found out; what is due waits, checks that are asked for run");
                }
                duty.trouble = Some(error.to_string());
                duty.lost.get_or_insert(asked);
                self.term / (2 * PARTS)
            }
        };
        let leads = self.leads();
        self.metrics.replicas.leads(leads);
        if led && !leads {
            tracing::warn!(replica = self.name, "this replica leads no more");
        }
        pause
    }

    async fn attempt(
        &self,
        election: &mut Election,
        held: Option<(Office, Revision)>,
        asked: Instant,
    ) -> Result<Attempt, CallError> {
        if let Some((office, revision)) = held {
            match self.renew(office, &revision).await {
                Err(NotWritten::Stale) => {}
                Err(NotWritten::Failed(error)) => return Err(error),
                Ok((office, revision)) => return Ok(Attempt::Held(office, revision)),
            }
        }
        let (office, revision) = self.cluster.office().await?;
        let step = election.judge(&office, &revision, asked);
        {
            let mut duty = self.duty();
            duty.leader.clone_from(&office.holder);
            (duty.trouble, duty.lost) = (None, None);
        }
        let written = match step {
            Step::Wait(rest) => return Ok(Attempt::Theirs(rest)),
            Step::Renew => self.renew(office, &revision).await,
            Step::Take => {
                if let Some(holder) = &office.holder {
                    tracing::warn!(holder = name_of(holder), "the leader is gone");
                }
                let now = Some(self.clock.now());
                let (holder, transitions) = (Some(self.process.clone()), office.transitions.saturating_add(1));
                let mine = Office { holder, term: self.term, acquired: now, renewed: now, transitions };
                self.cluster.write_office(&mine, &revision).await.map(|revision| (mine, revision))
            }
        };
        match written {
            Ok((office, revision)) => Ok(Attempt::Held(office, revision)),
            // Somebody was faster, and is seen with the next look.
            Err(NotWritten::Stale) => Ok(Attempt::Theirs(self.term / PARTS)),
            Err(NotWritten::Failed(error)) => Err(error),
        }
    }

    async fn renew(&self, office: Office, revision: &Revision) -> Result<(Office, Revision), NotWritten> {
        let office = Office { renewed: Some(self.clock.now()), term: self.term, ..office };
        let revision = self.cluster.write_office(&office, revision).await?;
        Ok((office, revision))
    }

    /// This replica leads, because of what it asked for at `asked`.
    fn lead(&self, asked: Instant) {
        let was_leading = self.leads();
        let mut duty = self.duty();
        duty.until = Some(asked + reign(self.term));
        duty.leader = Some(self.process.clone());
        (duty.trouble, duty.lost) = (None, None);
        if !was_leading {
            duty.terms += 1;
            self.metrics.replicas.began();
            tracing::info!(replica = self.name, "this replica leads");
        }
    }
}
