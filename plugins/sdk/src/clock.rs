//! Time as the host records it. A replay gives the same answers again, and a test sets them.

#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::clock as host;
use crate::{Error, Instant, Seconds};

/// The current time.
pub fn now() -> Instant {
    #[cfg(target_arch = "wasm32")]
    return host::now();
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::now()
}

/// Pause the run. Fails at once if the run's limit would be passed while sleeping.
pub fn sleep(seconds: Seconds) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    return host::sleep(seconds).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::sleep(seconds)
}

/// Time left until the run's limit.
pub fn remaining() -> Seconds {
    #[cfg(target_arch = "wasm32")]
    return host::remaining();
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::remaining()
}

/// Time that has passed since an instant; 0 for one in the future.
pub fn age(instant: Instant) -> Seconds {
    now().saturating_sub(instant) as f64 / 1000.0
}
