//! Writing to the store with patience.

use std::time::Duration;

use crate::store::StoreError;

/// Pauses between attempts: together as long as a burst of writes or a slow disk takes. What lasts longer is for people.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(3)];

/// Try `write` until it works, fails in a way that does not pass, or has failed too often.
pub(super) async fn patiently<T, W>(mut write: impl FnMut() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut pauses = PAUSES.iter();
    loop {
        match (write().await, pauses.next()) {
            (Err(error), Some(pause)) if error.may_pass() => {
                tracing::warn!(%error, "a sweep is not recorded yet");
                tokio::time::sleep(*pause).await;
            }
            (result, _) => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again_and_what_does_not_is_told_at_once() {
        for (failures, expected, attempts) in [(0, true, 1), (3, true, 4), (4, false, 4)] {
            let mut tried = 0;
            let written = patiently(|| {
                tried += 1;
                std::future::ready(if tried > failures { Ok(()) } else { Err(StoreError::Busy) })
            })
            .await;
            assert_eq!((written.is_ok(), tried), (expected, attempts));
        }
        let mut tried = 0;
        let closed = patiently(|| {
            tried += 1;
            std::future::ready(Err::<(), _>(StoreError::Closed))
        });
        assert!(closed.await.is_err());
        assert_eq!(tried, 1);
    }
}
