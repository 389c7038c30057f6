//! Waits until a file of the configuration is another one.
//!
//! Files are looked at now and then, because network volumes give no events and the kubelet swaps whole folders.

use std::time::Duration;

use crate::config::Files;

/// How often files are looked at. Whoever edits one by hand does not want to wait much longer.
const PERIOD: Duration = Duration::from_secs(1);

/// Wait until one of `read` is another one than when it was read, and stays like that for a moment: most programs write files
/// in several steps.
pub(super) async fn differ(read: &Files) {
    let mut seen = read.clone();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = look(seen.clone()).await;
        if now == seen && seen != *read {
            return;
        }
        seen = now;
    }
}

async fn look(files: Files) -> Files {
    // A volume that hangs must not hold up others.
    tokio::task::spawn_blocking(move || files.now()).await.unwrap_or_default()
}
