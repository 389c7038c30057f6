//! Which processor cores the benchmark runs on.
//!
//! The goals were found on two cores that server, guests, databases and load generator share. A larger machine gives up the
//! others, or its ratios would mean something else.

use std::fs;

use anyhow::Context;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// The two cores of this run.
#[derive(Clone, Copy, Debug)]
pub struct Cores([usize; 2]);

impl Cores {
    /// Confine this process, and all that it starts, to two of the cores that it may use. For the main thread, before there
    /// are others.
    pub fn take() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot ask for the processor cores")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (Some(first), Some(second)) = (usable.next(), usable.next()) else {
            anyhow::bail!("the measures need two processor cores");
        };
        let cores = Self([first, second]);
        sched_setaffinity(None, &set(&cores.0)).context("cannot choose the processor cores")?;
        Ok(cores)
    }

    /// Do `work` with every thread of this process on the first core alone.
    pub fn on_one<T>(self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let [first, _] = self.0;
        confine(&[first])?;
        let done = work();
        confine(&self.0)?;
        done
    }

    /// Their numbers.
    pub fn numbers(self) -> [usize; 2] {
        self.0
    }
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    set
}

/// Threads that are started meanwhile inherit the cores of whoever starts them.
fn confine(cores: &[usize]) -> anyhow::Result<()> {
    for thread in fs::read_dir("/proc/self/task").context("cannot list threads")? {
        let name = thread.context("cannot list threads")?.file_name();
        let id = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let result = sched_setaffinity(Some(id.context("a thread has no number")?), &set(cores));
        // A thread that ended since it was listed.
        if result != Err(rustix::io::Errno::SRCH) {
            result.context("cannot move a thread to another core")?;
        }
    }
    Ok(())
}
