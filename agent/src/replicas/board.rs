//! What replicas remember together, changed by one writer at a time.
//!
//! All that wants to change something at the same moment goes into one write, at the version that was read. Where somebody else was
//! faster, or nobody knows whether it was written, it is read again and the changes are made anew: each of them has to come to the
//! same when it finds that it was made before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Cluster;
use crate::domain::{CallError, Entries, NotWritten, Revision};

/// How long it is tried to write something.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a write that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// Most changes in one write.
const BATCH: usize = 256;

/// Most that waits.
const QUEUE: usize = 1024;

/// The common memory.
pub(super) struct Board(mpsc::Sender<Box<dyn Update>>);

/// A change that can be made again.
trait Update: Send {
    fn make(&mut self, entries: &mut Entries);
    fn tell(self: Box<Self>, written: Result<(), CallError>);
}

struct Pending<F, T> {
    change: F,
    outcome: Option<T>,
    tell: oneshot::Sender<Result<T, CallError>>,
}

impl<F, T> Update for Pending<F, T>
where
    F: FnMut(&mut Entries) -> T + Send,
    T: Send,
{
    fn make(&mut self, entries: &mut Entries) {
        self.outcome = Some((self.change)(entries));
    }

    fn tell(self: Box<Self>, written: Result<(), CallError>) {
        let Self { outcome, tell, .. } = *self;
        let gone = || CallError::Unavailable("what replicas share was not looked at".to_owned());
        // Whoever asked may have left.
        let _ = tell.send(written.and_then(|()| outcome.ok_or_else(gone)));
    }
}

impl Board {
    /// The memory in `cluster`.
    pub(super) fn of(cluster: Arc<dyn Cluster>) -> Self {
        let (board, mut asked) = mpsc::channel::<Box<dyn Update>>(QUEUE);
        tokio::spawn(async move {
            let mut writer = Writer { cluster, known: None };
            while let Some(first) = asked.recv().await {
                let mut batch = vec![first];
                while batch.len() < BATCH
                    && let Ok(next) = asked.try_recv()
                {
                    batch.push(next);
                }
                let written = writer.write(&mut batch).await;
                batch.into_iter().for_each(|update| update.tell(written.clone()));
            }
        });
        Self(board)
    }

    /// Make a change. When this answers, all replicas see it; after an error it may have been made or not.
    pub(super) async fn change<F, T>(&self, change: F) -> Result<T, CallError>
    where
        F: FnMut(&mut Entries) -> T + Send + 'static,
        T: Send + 'static,
    {
        let ending = || CallError::Unavailable("the agent is ending".to_owned());
        let (tell, told) = oneshot::channel();
        self.0.send(Box::new(Pending { change, outcome: None, tell })).await.map_err(|_| ending())?;
        told.await.unwrap_or_else(|_| Err(ending()))
    }
}

struct Writer {
    cluster: Arc<dyn Cluster>,
    /// What was written last.
    known: Option<(Entries, Revision)>,
}

impl Writer {
    async fn write(&mut self, batch: &mut [Box<dyn Update>]) -> Result<(), CallError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_once(batch).await {
                Ok(()) => return Ok(()),
                Err(NotWritten::Stale) => {}
                Err(NotWritten::Failed(error)) if may_pass(&error) && Instant::now() + PAUSE < deadline => {
                    tracing::debug!(%error, "what replicas share is not written yet");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(NotWritten::Failed(error)) => return Err(error),
            }
        }
    }

    async fn try_once(&mut self, batch: &mut [Box<dyn Update>]) -> Result<(), NotWritten> {
        // What is known is known no more until it is written.
        let (before, revision, is_fresh) = match self.known.take() {
            Some((entries, revision)) => (entries, revision, false),
            None => {
                let (entries, revision) = self.cluster.entries().await.map_err(NotWritten::Failed)?;
                (entries, revision, true)
            }
        };
        let mut entries = before.clone();
        batch.iter_mut().for_each(|update| update.make(&mut entries));
        let changed = difference(&before, &entries);
        if changed.is_empty() {
            // Others may have written since.
            return if is_fresh { Ok(()) } else { Err(NotWritten::Stale) };
        }
        let revision = self.cluster.write_entries(&changed, &revision).await?;
        self.known = Some((entries, revision));
        Ok(())
    }
}

/// What makes `after` of `before`.
fn difference(before: &Entries, after: &Entries) -> BTreeMap<String, Option<String>> {
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), None));
    let new = after.iter().filter(|(name, text)| before.get(*name) != Some(text));
    gone.chain(new.map(|(name, text)| (name.clone(), Some(text.clone())))).collect()
}

/// True for what another attempt may mend.
fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Unavailable(_) | CallError::TimedOut(_) => true,
        CallError::Remote(remote) => remote.retryable,
        CallError::Denied(_)
        | CallError::Invalid(_)
        | CallError::NotFound(_)
        | CallError::Conflict(_)
        | CallError::TooLarge(_)
        | CallError::Exhausted(_) => false,
    }
}
