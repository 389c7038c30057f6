//! The runs under way: whoever has the id of one can wait for its end, or ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Started;
use super::feed::Feed;
use crate::domain::{Actor, Run, RunId};
use crate::engine::{Cancellation, Canceller, cancellation};

/// The end of a run that is awaited. None once the run is gone without one.
pub(super) type Awaited = watch::Receiver<Option<Arc<Run>>>;

/// The runs under way.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashMap<RunId, Handle>>);

/// What is known about one of them.
struct Handle {
    /// As it was recorded, without an end.
    begun: Arc<Run>,
    canceller: Canceller,
    ended: Awaited,
    feed: Arc<Feed>,
}

/// A run's place among those under way. It is taken out when this is dropped, however the run ends.
pub(super) struct Place {
    all: Arc<UnderWay>,
    id: RunId,
    tell: watch::Sender<Option<Arc<Run>>>,
    /// Whether somebody wants the run to end.
    pub(super) cancellation: Cancellation,
    /// Where the run tells what it does.
    pub(super) feed: Arc<Feed>,
}

impl UnderWay {
    /// Add a run.
    pub(super) fn enter(self: &Arc<Self>, begun: Arc<Run>) -> Place {
        let (canceller, cancellation) = cancellation();
        let (tell, ended) = watch::channel(None);
        let (id, feed) = (begun.id, Arc::<Feed>::default());
        self.lock().insert(id, Handle { begun, canceller, ended, feed: feed.clone() });
        Place { all: self.clone(), id, tell, cancellation, feed }
    }

    /// Follow a run to its end. None when it is not under way.
    pub(super) fn follow(&self, id: RunId) -> Option<Started> {
        self.lock().get(&id).map(Handle::follow)
    }

    /// Ask a run to end, and follow it there. None when it is not under way.
    pub(super) fn cancel(&self, id: RunId, by: Actor) -> Option<Started> {
        let runs = self.lock();
        let handle = runs.get(&id)?;
        tracing::info!(run.id = %id, by = by.0, "a run is cancelled");
        handle.canceller.cancel(by);
        Some(handle.follow())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    fn follow(&self) -> Started {
        started(self.begun.clone(), self.ended.clone(), &self.feed)
    }
}

fn started(run: Arc<Run>, ended: Awaited, feed: &Arc<Feed>) -> Started {
    Started { run, ended, feed: feed.clone(), changes: feed.changes() }
}

impl Place {
    /// Follow the run, which began like that, to its end.
    pub(super) fn follow(&self, begun: Arc<Run>) -> Started {
        started(begun, self.tell.subscribe(), &self.feed)
    }

    /// The end is recorded: tell everybody who waits for it.
    pub(super) fn tell(&self, run: Run) {
        self.tell.send_replace(Some(Arc::new(run)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, LogLevel, LogLine, LogSource, Mode, Timestamp, Trigger, Usage};
    use crate::engine::Observer;
    use crate::runner::{News, Position};

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

    fn begun() -> Arc<Run> {
        Arc::new(Run {
            id: RunId::new(NOW),
            plugin: "noop".parse().unwrap(),
            version: "0.1.0".to_owned(),
            digest: Digest::of(b""),
            mode: Mode::Check,
            sweep_run: None,
            trigger: Trigger::Manual,
            actor: Actor("alice".to_owned()),
            params: "{}".to_owned(),
            started: NOW,
            finished: None,
            ending: None,
            usage: Usage::default(),
            log: Vec::new(),
            calls: Vec::new(),
            changes: crate::domain::RunChanges::default(),
        })
    }

    fn line() -> LogLine {
        let (level, source) = (LogLevel::Info, LogSource::Plugin);
        LogLine { time: NOW, level, source, message: "a line".to_owned(), fields: Vec::new() }
    }

    #[tokio::test]
    async fn whoever_follows_a_run_hears_all_of_it_before_its_end() {
        let (all, run) = (Arc::<UnderWay>::default(), begun());
        let place = all.enter(run.clone());
        let mut follower = all.follow(run.id).unwrap();
        let waiting = tokio::spawn(async move {
            let News::Happened(batch) = follower.news(Position::default()).await else { panic!("no line") };
            let position = batch.events[0].position;
            assert_eq!((batch.events.len(), position), (1, Position { lines: 1, calls: 0 }));
            (follower.news(position).await, follower.finished().await)
        });
        place.feed.line(&line());
        place.tell(Run::clone(&run));
        drop(place);
        let (News::Ended(told), Some(finished)) = waiting.await.unwrap() else { panic!("no end") };
        assert_eq!((told.id, finished.id), (run.id, run.id));
        assert!(all.follow(run.id).is_none() && all.cancel(run.id, Actor("bob".to_owned())).is_none());
    }

    #[tokio::test]
    async fn a_run_that_is_gone_without_an_end_keeps_nobody_waiting() {
        let (all, run) = (Arc::<UnderWay>::default(), begun());
        let place = all.enter(run.clone());
        let (mut follower, waiter) = (all.follow(run.id).unwrap(), all.follow(run.id).unwrap());
        place.feed.line(&line());
        drop(place);
        assert!(matches!(follower.news(Position::default()).await, News::Happened(_)));
        assert!(matches!(follower.news(Position { lines: 1, calls: 0 }).await, News::Lost));
        assert!(waiter.finished().await.is_none());
    }

    #[tokio::test]
    async fn a_run_hears_that_it_is_cancelled() {
        let (all, run) = (Arc::<UnderWay>::default(), begun());
        let place = all.enter(run.clone());
        assert_eq!(all.cancel(run.id, Actor("bob".to_owned())).unwrap().run.id, run.id);
        assert!(all.cancel(RunId::new(NOW), Actor("bob".to_owned())).is_none());
        assert!(place.cancellation.is_requested());
    }
}
