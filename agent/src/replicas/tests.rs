//! Several replicas over one cluster in memory, which can be cut off from each of them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::domain::{SweepName, SweepRun, SweepRunId, SweepRunState};
use crate::store::{Claim, Claimed, SqliteStore, StoreOptions, SweepStore};

const TERM: Duration = Duration::from_secs(15);

/// The two objects, as a server keeps them.
#[derive(Default)]
struct Server {
    office: Mutex<Option<Office>>,
    entries: Mutex<Entries>,
    revision: AtomicU64,
}

/// One replica's way to them.
struct Line {
    server: Arc<Server>,
    is_cut: AtomicBool,
    /// Answers get lost, and what was asked for is done.
    is_deaf: AtomicBool,
}

fn nobody() -> Office {
    Office { holder: None, term: TERM, acquired: None, renewed: None, transitions: 0 }
}

fn lost() -> CallError {
    CallError::TimedOut("the API server did not answer in time".to_owned())
}

impl Line {
    fn to(server: &Arc<Server>) -> Arc<Self> {
        Arc::new(Self { server: server.clone(), is_cut: AtomicBool::new(false), is_deaf: AtomicBool::new(false) })
    }

    fn passes(&self) -> Result<(), CallError> {
        if self.is_cut.load(Ordering::SeqCst) { Err(lost()) } else { Ok(()) }
    }

    fn written(&self) -> Result<Revision, NotWritten> {
        let revision = self.server.revision.fetch_add(1, Ordering::SeqCst) + 1;
        if self.is_deaf.load(Ordering::SeqCst) {
            return Err(NotWritten::Failed(lost()));
        }
        Ok(Revision(revision.to_string()))
    }

    fn revision(&self) -> Revision {
        Revision(self.server.revision.load(Ordering::SeqCst).to_string())
    }
}

#[async_trait]
impl Cluster for Line {
    async fn office(&self) -> Result<(Office, Revision), CallError> {
        self.passes()?;
        let office = self.server.office.lock().unwrap().clone();
        Ok((office.unwrap_or_else(nobody), self.revision()))
    }

    async fn write_office(&self, office: &Office, revision: &Revision) -> Result<Revision, NotWritten> {
        self.passes().map_err(NotWritten::Failed)?;
        let mut held = self.server.office.lock().unwrap();
        if *revision != self.revision() {
            return Err(NotWritten::Stale);
        }
        *held = Some(office.clone());
        self.written()
    }

    async fn entries(&self) -> Result<(Entries, Revision), CallError> {
        self.passes()?;
        Ok((self.server.entries.lock().unwrap().clone(), self.revision()))
    }

    async fn write_entries(
        &self,
        changed: &BTreeMap<String, Option<String>>,
        revision: &Revision,
    ) -> Result<Revision, NotWritten> {
        self.passes().map_err(NotWritten::Failed)?;
        let mut entries = self.server.entries.lock().unwrap();
        if *revision != self.revision() {
            return Err(NotWritten::Stale);
        }
        for (name, text) in changed {
            match text {
                Some(text) => drop(entries.insert(name.clone(), text.clone())),
                None => drop(entries.remove(name)),
            }
        }
        self.written()
    }
}

/// A replica that tries to lead.
struct Candidate {
    replicas: Arc<Replicas>,
    line: Arc<Line>,
    stop: watch::Sender<bool>,
    leading: JoinHandle<()>,
}

impl Candidate {
    fn new(name: &str, server: &Arc<Server>) -> Self {
        let (line, clock) = (Line::to(server), Arc::new(ManualClock::at(Timestamp::from_millis(1_772_323_200_000))));
        let replicas = Replicas::new(name.to_owned(), TERM, line.clone(), clock, Arc::default());
        let (replicas, (stop, stopping)) = (Arc::new(replicas), watch::channel(false));
        let leader = replicas.clone();
        let leading = tokio::spawn(async move { leader.keep_office(stopping).await });
        Self { replicas, line, stop, leading }
    }

    fn leads(&self) -> bool {
        self.replicas.leads()
    }
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_another_when_that_is_gone() {
    let server = Arc::default();
    let first = Candidate::new("a", &server);
    after(1).await;
    let second = Candidate::new("b", &server);
    after(60).await;
    assert_eq!((first.leads(), second.leads()), (true, false));
    assert_eq!(second.replicas.standing().leader.as_deref(), Some("a"));
    // It dies without a word.
    first.leading.abort();
    after(11).await;
    assert_eq!((first.leads(), second.leads()), (false, false), "neither may lead while the other might");
    after(10).await;
    assert!(second.leads());
    assert_eq!(second.replicas.term(), Some(1));
    // It is told to end, and the next one need not wait.
    let third = Candidate::new("c", &server);
    after(6).await;
    second.stop.send_replace(true);
    second.leading.await.unwrap();
    after(6).await;
    assert!(third.leads());
}

#[tokio::test(start_paused = true)]
async fn at_no_time_do_two_lead_whatever_is_cut_off() {
    let server = Arc::default();
    let all: Vec<_> = ["a", "b", "c"].iter().map(|name| Candidate::new(name, &server)).collect();
    let mut led = BTreeSet::new();
    for step in 0_usize..4_000 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let leaders: Vec<_> = all.iter().filter(|one| one.leads()).map(|one| one.replicas.name().to_owned()).collect();
        assert!(leaders.len() <= 1, "step {step}: {leaders:?}");
        led.extend(leaders.iter().cloned());
        // Whoever leads is cut off for a minute, or hears no answers.
        if step % 400 == 100 {
            for one in all.iter().filter(|one| leaders.iter().any(|name| name == one.replicas.name())) {
                let flag = if step % 800 == 100 { &one.line.is_cut } else { &one.line.is_deaf };
                flag.store(true, Ordering::SeqCst);
            }
        } else if step % 400 == 340 {
            for flag in all.iter().flat_map(|one| [&one.line.is_cut, &one.line.is_deaf]) {
                flag.store(false, Ordering::SeqCst);
            }
        }
    }
    assert!(led.len() >= 2, "{led:?}");
}

fn sweep() -> SweepName {
    "health".parse().unwrap()
}

fn run_at(slot: Timestamp) -> SweepRun {
    SweepRun {
        id: SweepRunId::new(slot),
        sweep: sweep(),
        slot: Some(slot),
        actor: crate::domain::Actor("schedule".to_owned()),
        started: slot,
        finished: None,
        state: SweepRunState::Running,
        status: None,
        checks: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_taken_by_whoever_leads_and_by_nobody_after_it() {
    let server = Arc::default();
    let (first, second) = (Candidate::new("a", &server), Candidate::new("b", &server));
    after(10).await;
    let (leader, other) = if first.leads() { (first, second) } else { (second, first) };
    let store = |one: &Candidate| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let own =
            SqliteStore::open(&path, Arc::new(ManualClock::at(Timestamp::from_millis(0))), StoreOptions::default());
        (SharedSweeps::new(Arc::new(own.unwrap()), one.replicas.clone()), folder)
    };
    let ((led, _led_folder), (followed, _other_folder)) = (store(&leader), store(&other));
    let slot = Timestamp::from_millis(1_772_323_260_000);
    let claim = Claim { sweep: sweep(), slot, before: None };
    assert_eq!(followed.claim_slot(claim.clone(), Some(run_at(slot))).await.unwrap(), Claimed::NotOurs);
    // The answer gets lost, and it is the leader's all the same.
    leader.line.is_deaf.store(true, Ordering::SeqCst);
    let (line, run) = (leader.line.clone(), run_at(slot));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        line.is_deaf.store(false, Ordering::SeqCst);
    });
    assert_eq!(led.claim_slot(claim.clone(), Some(run)).await.unwrap(), Claimed::Now);
    // It stops for a while, and does not know yet that another one leads.
    leader.leading.abort();
    after(40).await;
    assert!(other.leads() && !leader.leads());
    assert_eq!(followed.claim_slot(claim.clone(), Some(run_at(slot))).await.unwrap(), Claimed::NotOurs);
    assert_eq!(followed.sweep(&sweep(), slot.after(TERM)).await.unwrap().claimed, Some(slot));
    let next = slot.after(Duration::from_secs(60));
    let claim = Claim { sweep: sweep(), slot: next, before: Some(slot) };
    assert_eq!(followed.claim_slot(claim, Some(run_at(next))).await.unwrap(), Claimed::Now);
}

#[tokio::test(start_paused = true)]
async fn what_one_took_and_another_took_over_is_the_others() {
    let server = Arc::default();
    let (first, second) = (Candidate::new("a", &server), Candidate::new("b", &server));
    after(10).await;
    let (leader, other) = if first.leads() { (first, second) } else { (second, first) };
    let (run, until) = (RunId::new(Timestamp::from_millis(1)), Timestamp::from_millis(5));
    other.replicas.lend(run, until, "planned".to_owned()).await.unwrap();
    other.replicas.report(run, "done".to_owned()).await.unwrap();
    assert_eq!(leader.replicas.take(run).await, Ok(Taken::Mine));
    assert_eq!(leader.replicas.still_mine(run).await, Ok(true));
    assert_eq!(other.replicas.take(run).await, Ok(Taken::Busy(leader.replicas.process.clone())));
    leader.leading.abort();
    after(40).await;
    let loans = other.replicas.loans().await.unwrap();
    let [(_, seen)] = loans.as_slice() else { panic!("{loans:?}") };
    assert_eq!(&*seen.record, "done");
    assert_eq!(other.replicas.take_over(run, seen.clone()).await, Ok(true));
    assert_eq!(leader.replicas.still_mine(run).await, Ok(false));
    assert_eq!(leader.replicas.returned(run, None).await, Ok(false), "it does not speak for what it lost");
    assert_eq!(other.replicas.returned(run, Some(run)).await, Ok(true));
    let loans = leader.replicas.loans().await.unwrap();
    assert!(loans.iter().all(|(_, loan)| loan.is_over()), "{loans:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_cluster_nothing_is_shared_and_it_is_said() {
    let server = Arc::default();
    let alone = Candidate::new("a", &server);
    after(1).await;
    alone.line.is_cut.store(true, Ordering::SeqCst);
    let refused = alone.replicas.lend(RunId::new(Timestamp::from_millis(1)), Timestamp::from_millis(5), String::new());
    assert_eq!(refused.await, Err(lost()));
    after(20).await;
    let standing = alone.replicas.standing();
    assert_eq!((standing.leads, standing.leader, standing.trouble), (false, None, Some(lost().to_string())));
    assert!(!standing.is_cut_off, "another one may lead");
    after(60).await;
    assert!(alone.replicas.is_cut_off());
    alone.line.is_cut.store(false, Ordering::SeqCst);
    after(5).await;
    assert_eq!(alone.replicas.standing().trouble, None);
    assert!(!alone.replicas.is_cut_off());
    assert_eq!(alone.replicas.term(), Some(2), "what is due then begins with what others did meanwhile");
}
