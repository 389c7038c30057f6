//! How many checks may be at one target at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Target;

/// A number of places at each target.
pub(super) struct Places {
    each: usize,
    targets: Mutex<HashMap<Target, Arc<Semaphore>>>,
}

impl Places {
    /// `each` places at every target.
    pub(super) fn new(each: usize) -> Self {
        Self { each, targets: Mutex::default() }
    }

    /// A place at each of `targets`, taken in their order: all who take several take them in the same one, so that no two
    /// wait for each other.
    pub(super) async fn take(&self, targets: &[Target]) -> Vec<OwnedSemaphorePermit> {
        let mut taken = Vec::with_capacity(targets.len());
        for target in targets {
            // Nobody closes these.
            taken.extend(self.at(target).acquire_owned().await.ok());
        }
        taken
    }

    fn at(&self, target: &Target) -> Arc<Semaphore> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        match targets.get(target) {
            Some(places) => Arc::clone(places),
            None => Arc::clone(targets.entry(target.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::System;

    fn target(name: &str) -> Target {
        Target { system: System::Postgres, name: name.parse().unwrap() }
    }

    #[test]
    fn each_target_has_its_own_places() {
        let places = Places::new(2);
        let (main, replica) = (target("main"), target("replica"));
        let one = places.take(std::slice::from_ref(&main)).now_or_never().unwrap();
        let both = places.take(&[main.clone(), replica.clone()]).now_or_never().unwrap();
        assert!(places.take(std::slice::from_ref(&main)).now_or_never().is_none());
        assert!(places.take(std::slice::from_ref(&replica)).now_or_never().is_some());
        assert!(places.take(&[]).now_or_never().is_some());
        drop(one);
        assert!(places.take(&[main, replica]).now_or_never().is_some());
        drop(both);
    }
}
