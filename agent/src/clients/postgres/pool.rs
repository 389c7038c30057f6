//! A few connections to one server, one of which is always kept.
//!
//! The kept one is for the hour in which the server has no slot left: whoever has to connect then comes too late, and
//! that is when a plugin has to tell which application took the slots. A keeper opens it with the first call and again
//! whenever it is lost. Calls that get no connection of their own wait for it.
//!
//! A connection goes back only when its call ended in good order. A call that fails half-way or is dropped leaves its
//! connection to a farewell task, which cancels the statement and closes the connection; the call's slot of the pool
//! stays taken until then, so that the server never sees more connections than allowed.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Connector};
use super::error::Failure;
use crate::domain::{CallError, CallLimits};

/// Connections beyond the kept one are closed after this time without work.
const IDLE: Duration = Duration::from_secs(30);

/// Shortest and longest pause between attempts to get the kept connection back.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Work on one connection, which can be done again on another.
pub(super) trait Flight: Sync {
    /// What it brings.
    type Answer: Send;

    /// Most bytes that the server may send.
    fn allowance(&self) -> usize;

    /// Does the work. The inner result is the server's word on it, after which the connection is as before; the outer
    /// error means that the connection cannot be used any more.
    fn fly(
        &self,
        connection: &Connection,
    ) -> impl Future<Output = Result<Result<Self::Answer, CallError>, Failure>> + Send;
}

/// The connections to one server.
pub(super) struct Pool {
    shared: Arc<Shared>,
    keeper: OnceLock<AbortHandle>,
}

struct Shared {
    connector: Connector,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    open: AtomicUsize,
    /// A connection came back or left: calls that wait for one look again.
    changed: Notify,
    /// A connection ended: the keeper looks whether one is left.
    ended: Arc<Notify>,
}

struct Idle {
    member: Member,
    since: Instant,
}

/// A connection that counts as open.
struct Member {
    connection: Connection,
    _count: Count,
}

/// Counts a connection as open from before it is made: the server may have given it the last slot long before the
/// login is through.
struct Count(Weak<Shared>);

impl Count {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::downgrade(shared))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.open.fetch_sub(1, Ordering::SeqCst);
            shared.changed.notify_waiters();
            // One that never came to be is missed by nobody else.
            shared.ended.notify_waiters();
        }
    }
}

impl Pool {
    pub(super) fn new(connector: Connector, size: usize) -> Self {
        let shared = Shared {
            connector,
            slots: Arc::new(Semaphore::new(size.max(1))),
            idle: Mutex::default(),
            open: AtomicUsize::new(0),
            changed: Notify::new(),
            ended: Arc::default(),
        };
        Self { shared: Arc::new(shared), keeper: OnceLock::new() }
    }

    /// From now on one connection is kept. Needs a runtime.
    pub(super) fn keep_warm(&self) {
        self.keeper.get_or_init(|| tokio::spawn(keep(Arc::downgrade(&self.shared))).abort_handle());
    }

    /// Does `flight` within the time of the call.
    pub(super) async fn run<F: Flight>(&self, limits: &CallLimits, flight: &F) -> Result<F::Answer, CallError> {
        let answer = timeout_at(Instant::from_std(limits.deadline), self.attempt(flight)).await;
        // Afterwards, so that the first call and the keeper do not both open a connection.
        self.keep_warm();
        answer
            .unwrap_or_else(|_| Err(CallError::TimedOut("the server gave no answer within the call's time".to_owned())))
    }

    async fn attempt<F: Flight>(&self, flight: &F) -> Result<F::Answer, CallError> {
        loop {
            let lease = self.lease().await.map_err(Failure::into_error)?;
            lease.connection().allow(flight.allowance());
            match flight.fly(lease.connection()).await {
                Ok(answer) => {
                    lease.give_back();
                    return answer;
                }
                // Found dead on arrival; each turn removes one such, and the last is a fresh connection.
                Err(Failure::Stale(_)) if lease.was_idle => {}
                Err(_) if lease.connection().is_overrun() => {
                    return Err(CallError::TooLarge("the server sent more than one answer may hold".to_owned()));
                }
                Err(failure) => return Err(failure.into_error()),
            }
        }
    }

    /// A connection and the right to use it.
    async fn lease(&self) -> Result<Lease, Failure> {
        let slots = Arc::clone(&self.shared.slots);
        let Ok(slot) = slots.acquire_owned().await else {
            return Err(CallError::Unavailable("the agent is shutting down".to_owned()).into());
        };
        let (member, was_idle) = self.shared.idle_or_open().await?;
        Ok(Lease {
            member: Some(member),
            slot: Some(slot),
            was_idle,
            shared: Arc::clone(&self.shared),
            runtime: Handle::current(),
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // The lock is held for single steps on a vector, which leave it whole even in a panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection, the last used first; the second part tells whether it is one.
    async fn idle_or_open(self: &Arc<Self>) -> Result<(Member, bool), Failure> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(member) = self.take_idle() {
                return Ok((member, true));
            }
            match self.open().await {
                Ok(member) => return Ok((member, false)),
                // Others of ours are in use or log in just now: wait for the first to come back.
                Err(Failure::NoSlot(_)) if self.open.load(Ordering::SeqCst) > 0 => changed.await,
                Err(failure) => return Err(failure),
            }
        }
    }

    fn take_idle(&self) -> Option<Member> {
        let mut closed = Vec::new();
        let mut idle = self.idle();
        let found = loop {
            match idle.pop() {
                Some(candidate) if candidate.member.connection.is_closed() => closed.push(candidate),
                found => break found,
            }
        };
        // Ended connections are dropped without the lock, because that notifies others.
        drop(idle);
        drop(closed);
        found.map(|found| found.member)
    }

    async fn open(self: &Arc<Self>) -> Result<Member, Failure> {
        let count = Count::new(self);
        let connection = self.connector.open(Arc::clone(&self.ended)).await?;
        Ok(Member { connection, _count: count })
    }

    fn put_back(&self, member: Member) {
        self.idle().push(Idle { member, since: Instant::now() });
        self.changed.notify_waiters();
    }

    /// Takes out what has no use any more: ended connections, and all but one of those without work.
    fn take_surplus(&self) -> Vec<Member> {
        let mut idle = self.idle();
        let (closed, alive): (Vec<_>, Vec<_>) = idle.drain(..).partition(|one| one.member.connection.is_closed());
        let last = alive.len().saturating_sub(1);
        let (stay, surplus): (Vec<_>, Vec<_>) =
            alive.into_iter().enumerate().partition(|(at, one)| *at == last || one.since.elapsed() < IDLE);
        idle.extend(stay.into_iter().map(|(_, one)| one));
        drop(idle);
        closed.into_iter().chain(surplus.into_iter().map(|(_, one)| one)).map(|one| one.member).collect()
    }
}

/// Keeps one connection open for as long as the pool lives, and closes those that nobody needs.
async fn keep(pool: Weak<Shared>) {
    let mut pause = PAUSE_MIN;
    loop {
        let Some(shared) = pool.upgrade() else { return };
        let notify = Arc::clone(&shared.ended);
        let ended = notify.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        for member in shared.take_surplus() {
            member.connection.close().await;
        }
        let kept = shared.keep_one().await;
        drop(shared);
        match kept {
            Ok(()) => {
                pause = PAUSE_MIN;
                // Too late or too early does no harm; the time is for the surplus.
                drop(tokio::time::timeout(IDLE, ended).await);
            }
            Err(failure) => {
                tracing::debug!(error = %failure.into_error(), "cannot keep a connection to postgres");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

impl Shared {
    async fn keep_one(self: &Arc<Self>) -> Result<(), Failure> {
        if self.open.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
        // No slot free means that calls are connecting already.
        let Ok(_slot) = Arc::clone(&self.slots).try_acquire_owned() else { return Ok(()) };
        let member = self.open().await?;
        self.put_back(member);
        Ok(())
    }
}

/// A connection in use. Dropped, it takes the connection out of service.
struct Lease {
    member: Option<Member>,
    slot: Option<OwnedSemaphorePermit>,
    was_idle: bool,
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Lease {
    #[expect(clippy::expect_used, reason = "only `give_back` and `drop` take it out, and both end the lease")]
    fn connection(&self) -> &Connection {
        &self.member.as_ref().expect("a lease holds its connection until it ends").connection
    }

    fn give_back(mut self) {
        if let Some(member) = self.member.take() {
            self.shared.put_back(member);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(Member { connection, _count }) = self.member.take() else { return };
        let (shared, slot) = (Arc::clone(&self.shared), self.slot.take());
        self.runtime.spawn(async move {
            shared.connector.abandon(connection).await;
            drop((_count, slot));
        });
    }
}
