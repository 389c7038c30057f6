//! One run at a time changes a target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::PlanRefusal;
use crate::domain::{Plan, RunId, Target};

/// The targets that runs are changing.
#[derive(Default)]
pub(super) struct BusyTargets(Mutex<HashMap<Target, RunId>>);

/// The targets of one plan, which nobody else changes meanwhile. They are free again when this is dropped.
pub(super) struct Hold {
    all: Arc<BusyTargets>,
    targets: Vec<Target>,
}

impl BusyTargets {
    /// Take all targets of `plan`, or none of them.
    pub(super) fn hold(self: &Arc<Self>, plan: &Plan) -> Result<Hold, PlanRefusal> {
        let targets = plan.targets();
        let mut busy = self.lock();
        if let Some((target, run)) = targets.iter().find_map(|target| Some((target, busy.get(target)?))) {
            return Err(PlanRefusal::TargetBusy { target: target.clone(), run: *run });
        }
        busy.extend(targets.iter().map(|target| (target.clone(), plan.run)));
        drop(busy);
        Ok(Hold { all: self.clone(), targets })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Say which run it is for.
    pub(super) fn is_for(&self, run: RunId) {
        let mut busy = self.all.lock();
        for target in &self.targets {
            busy.insert(target.clone(), run);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut busy = self.all.lock();
        for target in &self.targets {
            busy.remove(target);
        }
    }
}
