//! What WASI shows of time and chance: the agent's clock, and for a run that is recorded clocks and random numbers that can be
//! shown again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use crate::clock::Clock;
use crate::domain::Digest;
use crate::recording::{Dial, Dials};

/// Clocks count milliseconds.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Nanoseconds of one.
const NANOS: u64 = 1_000_000;

/// The time of day.
struct Wall {
    clock: Arc<dyn Clock>,
    dials: Option<Dials>,
}

/// What has passed since the run began.
struct Monotonic {
    began: Instant,
    dials: Dials,
}

/// Set the clocks of an instance, and for a run that is recorded or replayed the beginning of its random numbers.
pub(super) fn set(wasi: &mut WasiCtxBuilder, clock: &Arc<dyn Clock>, recorded: Option<(&Dials, [u8; 32])>) {
    wasi.wall_clock(Wall { clock: clock.clone(), dials: recorded.map(|(dials, _)| dials.clone()) });
    if let Some((dials, seed)) = recorded {
        wasi.monotonic_clock(Monotonic { began: Instant::now(), dials: dials.clone() })
            .secure_random(StdRng::from_seed(seed))
            .insecure_random(StdRng::from_seed(seed.map(|byte| !byte)))
            .insecure_random_seed(table_seed(&seed));
    }
}

/// Tables of a guest are seeded with it. It tells nothing of what the other two begin with.
fn table_seed(seed: &[u8; 32]) -> u128 {
    let digest = Digest::of(seed);
    digest.as_bytes().iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        MILLISECOND
    }

    fn now(&self) -> Duration {
        let now = || self.clock.now().as_millis();
        Duration::from_millis(self.dials.as_ref().map_or_else(now, |dials| dials.read(Dial::Wall, now)))
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        NANOS
    }

    fn now(&self) -> u64 {
        let passed = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.dials.read(Dial::Monotonic, passed).saturating_mul(NANOS)
    }
}
