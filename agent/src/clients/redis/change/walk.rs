//! Walking over the keys that match a pattern, in steps of about a millisecond of the server's time.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use super::super::super::resp::{Command, Server};
use crate::domain::{CallError, CallLimits};

/// Most keys that the server looks at in one step.
const STEP_KEYS: u32 = 1_000;

/// Others are served between two steps.
const PAUSE: Duration = Duration::from_millis(2);

/// Most bytes of the keys of one step, or of the figures about them.
pub(super) const ANSWER_BYTES: usize = 16 << 20;

pub(super) struct Walk<'a> {
    server: &'a Server,
    pattern: &'a str,
    /// None when the walk is over.
    cursor: Option<u64>,
    is_under_way: bool,
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl<'a> Walk<'a> {
    pub(super) fn new(server: &'a Server, pattern: &'a str) -> Self {
        let (seen, hasher) = (HashSet::new(), RandomState::new());
        Self { server, pattern, cursor: Some(0), is_under_way: false, seen, hasher }
    }

    /// The keys of the next step; none at the end. A key can come twice.
    pub(super) async fn next(&mut self, limits: &CallLimits) -> Result<Option<Vec<Vec<u8>>>, CallError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        if self.is_under_way {
            tokio::time::sleep(PAUSE).await;
        }
        self.is_under_way = true;
        let step = Command::new("SCAN").number(cursor).arg("MATCH").arg(self.pattern).arg("COUNT").number(STEP_KEYS);
        let (next, keys): (u64, Vec<Vec<u8>>) = self.server.ask(limits, &[step], ANSWER_BYTES).await?.take()?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(keys))
    }

    /// The same without keys that came before.
    pub(super) async fn next_new(&mut self, limits: &CallLimits) -> Result<Option<Vec<Vec<u8>>>, CallError> {
        let Some(mut keys) = self.next(limits).await? else { return Ok(None) };
        keys.retain(|key| self.seen.insert(self.hasher.hash_one(key)));
        Ok(Some(keys))
    }
}
