//! Which runs are recorded, and how a recording comes to the store.

use super::guard::Rules;
use crate::catalog::Plugin;
use crate::domain::Run;
use crate::recording::{self, Circumstances, Recording, Reel, Taped};
use crate::store::KeptRecording;

/// What takes down the run that begins, if the operator wants that.
pub(super) fn reel(rules: &Rules, run: &Run) -> Option<Reel> {
    rules.record(run).then(|| Reel::taking(rand::random()))
}

/// The recording of a run that is over, ready to be kept. Compressing it takes a while, and is done on a thread of its own.
pub(super) async fn pack(run: &Run, plugin: &Plugin, taped: Taped) -> Option<KeptRecording> {
    let around =
        Circumstances { limits: plugin.limits, grants: plugin.grants.lines(), settings: &plugin.context.settings };
    let recording = Recording::of(run, &around, taped);
    if recording.cut {
        tracing::warn!(run.id = %run.id, "the run was told more than fits into a recording; it cannot be replayed");
    }
    let packed = tokio::task::spawn_blocking(move || recording::pack(&recording)).await;
    match packed.map_err(std::io::Error::other).flatten() {
        Ok(packed) => Some(KeptRecording { size: packed.size, bytes: packed.bytes }),
        Err(error) => {
            tracing::error!(%error, run.id = %run.id, "the recording of a run is lost");
            None
        }
    }
}
