//! Pausing and resuming, over and over, under real workers and jobs that are added all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;

use crate::{apply, named, open, pause, resume};

/// Who pauses and who resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// The agent's client.
    Ours,
    /// The library, as a person does it.
    Theirs,
}

/// Each order, and each after each other one.
const ROUNDS: [(Hand, Hand); 12] = {
    use Hand::{Ours, Theirs};
    [
        (Ours, Ours),
        (Ours, Ours),
        (Ours, Theirs),
        (Theirs, Ours),
        (Theirs, Theirs),
        (Ours, Ours),
        (Theirs, Ours),
        (Theirs, Ours),
        (Ours, Theirs),
        (Ours, Theirs),
        (Theirs, Theirs),
        (Ours, Ours),
    ]
};

/// Jobs that are added while the queue stands still.
const MEANWHILE: u64 = 60;

/// Somebody who adds jobs until told to stop.
struct Feeder {
    added: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feeder {
    fn start(server: &Redis, version: Version, name: &str) -> Self {
        let bullmq = Bullmq::start(version, &server.admin_url(), "bull", name).unwrap();
        let (added, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, told) = (added.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let jobs: Vec<Job> = (0..20).map(|_| Job::named("send")).collect();
            while !told.load(Ordering::SeqCst) {
                count.fetch_add(bullmq.add(&jobs).unwrap().len() as u64, Ordering::SeqCst);
            }
        });
        Self { added, is_over, thread }
    }

    /// Waits until so many more have been added.
    fn until_more(&self, jobs: u64) {
        let before = self.added.load(Ordering::SeqCst);
        let has_more = || (self.added.load(Ordering::SeqCst) >= before + jobs).then_some(());
        wait::until("more jobs to be added", || Ok(has_more())).unwrap();
    }

    fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.added.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_job_is_worked_once_whoever_pauses_and_resumes() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "load");
        let (bullmq, queue) = open(server, version, &name);
        bullmq.work(8).unwrap();
        let feeder = Feeder::start(server, version, &name);
        for (round, (pauses, resumes)) in ROUNDS.into_iter().enumerate() {
            feeder.until_more(MEANWHILE);
            match pauses {
                Hand::Ours => drop(apply(&pause(&queue)).await),
                Hand::Theirs => bullmq.pause().unwrap(),
            }
            // What a worker had in hand it brings to its end; then all stand still, however many jobs come.
            bullmq.until("active", 0).unwrap();
            let standing = bullmq.handled().unwrap();
            feeder.until_more(MEANWHILE);
            assert_eq!(bullmq.handled().unwrap(), standing, "{version:?}, round {round}: a worker works on");
            match resumes {
                Hand::Ours => drop(apply(&resume(&queue)).await),
                Hand::Theirs => bullmq.resume().unwrap(),
            }
            wait::until("the workers to wake up", || Ok((bullmq.handled()? > standing).then_some(()))).unwrap();
        }
        let added = feeder.stop();
        bullmq.until("completed", added).unwrap();
        let handled = bullmq.handled().unwrap();
        assert_eq!((handled.jobs, handled.times), (added, added), "{version:?}");
        let rest = bullmq.counts().unwrap().into_iter().filter(|(state, count)| state != "completed" && *count > 0);
        assert_eq!(rest.collect::<Vec<_>>(), [], "{version:?}");
        println!("{version:?}: {added} jobs, each worked once, through {} pauses", ROUNDS.len());
    }
}
