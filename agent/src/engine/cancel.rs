//! Ending a run from outside, in the name of somebody.

use tokio::sync::watch;

use crate::domain::Actor;

/// A run's cancellation and the one who can ask for it.
pub fn cancellation() -> (Canceller, Cancellation) {
    let (ask, asked) = watch::channel(None);
    (Canceller(ask), Cancellation(asked))
}

/// Asks a run to end.
#[derive(Debug)]
pub struct Canceller(watch::Sender<Option<Actor>>);

impl Canceller {
    /// Ask it, in the name of `by`. Whoever asks first is the one who ended it.
    pub fn cancel(&self, by: Actor) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(by);
            first
        });
    }
}

/// Whether a run was asked to end.
#[derive(Clone, Debug)]
pub struct Cancellation(watch::Receiver<Option<Actor>>);

impl Cancellation {
    /// For a run that nobody can end early.
    pub fn never() -> Self {
        cancellation().1
    }

    /// True once somebody asked.
    pub fn is_requested(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Wait until somebody asks, for ever if nobody can any more.
    pub(super) async fn requested(mut self) -> Actor {
        let by = match self.0.wait_for(Option::is_some).await {
            Ok(asked) => asked.clone(),
            Err(_) => None,
        };
        match by {
            Some(by) => by,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn actor(name: &str) -> Actor {
        Actor(name.to_owned())
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_first_one_who_asks_is_the_one_who_did_it() {
        let (canceller, cancellation) = cancellation();
        assert!(poll(cancellation.clone().requested()).is_pending());
        canceller.cancel(actor("alice"));
        canceller.cancel(actor("bob"));
        assert_eq!(poll(cancellation.clone().requested()), Poll::Ready(actor("alice")));
        drop(canceller);
        assert_eq!(poll(cancellation.requested()), Poll::Ready(actor("alice")));
    }

    #[test]
    fn a_run_that_nobody_can_end_goes_on() {
        assert!(poll(Cancellation::never().requested()).is_pending());
    }
}
