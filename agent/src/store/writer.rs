//! The one thread that writes.
//!
//! It blocks on a bounded queue, takes what is there into one transaction, and what comes while that is written, without
//! waiting for more, commits, and only then answers. Under load one fsync thus serves many callers; alone a caller waits
//! for nothing but its own.
//!
//! Each job of a group runs in a savepoint, so that one that fails undoes only itself. When the group as a whole
//! cannot be committed, because the disk is full or failing, its jobs are done again one by one: each then gets the
//! answer that is true for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::log::Log;
use super::{StoreError, log};

/// Most jobs of one transaction. Bounds how long the first of a group waits for the last.
const GROUP_JOBS: usize = 512;

/// The sending side of the queue.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    condition: Arc<Condition>,
}

/// What the thread tells the outside about itself.
#[derive(Default)]
pub(super) struct Condition {
    commits: AtomicU64,
    records: AtomicU64,
    /// The last failure of the storage, until a transaction succeeds.
    problem: Mutex<Option<String>>,
}

/// What the thread owns. The guard is let go after the connection is closed, so that nobody opens the file too early.
pub(super) struct Writing<G> {
    pub(super) db: Connection,
    pub(super) log: Log,
    pub(super) guard: G,
}

enum Message {
    Job(Box<dyn Job>),
    Order(Order, Reply),
}

/// What is done between transactions.
enum Order {
    Checkpoint,
    Close,
}

/// Jobs that share a transaction, and the order that came after them.
#[derive(Default)]
struct Group {
    jobs: Vec<Box<dyn Job>>,
    order: Option<(Order, Reply)>,
}

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// One write: performed in a transaction that it may share, perhaps twice, and answered once.
trait Job: Send {
    fn perform(&mut self, db: &Connection) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Work<F, T> {
    function: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Work<F, T>
where
    F: FnMut(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn perform(&mut self, db: &Connection) -> Result<(), StoreError> {
        self.value = Some((self.function)(db)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        let answer = result.and_then(|()| value.ok_or(StoreError::Closed));
        // A caller that went away has no use for the answer; the write stands.
        let _ = reply.send(answer);
    }
}

impl Writer {
    /// Start the thread.
    pub(super) fn start<G: Send + 'static>(writing: Writing<G>, capacity: usize) -> Result<Self, std::io::Error> {
        let (queue, jobs) = mpsc::channel(capacity);
        let condition = Arc::new(Condition::default());
        let thread = Thread { jobs, condition: Arc::clone(&condition), db: writing.db, log: writing.log };
        let guard = writing.guard;
        thread::Builder::new().name("store-writer".to_owned()).spawn(move || thread.serve(guard))?;
        Ok(Self { queue, condition })
    }

    /// Do `function` in a transaction and answer when it is durable. `Busy` at once when the queue is full.
    ///
    /// The function may be called a second time, after its first effects were undone.
    pub(super) async fn write<F, T>(&self, function: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (message, answer) = job(function);
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The same for work that can wait for a place in the queue.
    pub(super) async fn write_patiently<F, T>(&self, function: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (message, answer) = job(function);
        self.queue.send(message).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Copy the write-ahead log into the file, which lets the file shrink.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        self.tell(Order::Checkpoint).await
    }

    /// Do what waits, close the file and end the thread.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.tell(Order::Close).await
    }

    async fn tell(&self, order: Order) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Message::Order(order, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Jobs that wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Jobs that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.queue.max_capacity()
    }

    /// What the thread tells about itself.
    pub(super) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// True when nothing can be written any more.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

fn job<F, T>(function: F) -> (Message, oneshot::Receiver<Result<T, StoreError>>)
where
    F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Message::Job(Box::new(Work { function, value: None, reply })), answer)
}

impl Condition {
    /// Transactions so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Jobs that were committed so far.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Why the last transaction failed, if it did.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn committed(&self, records: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(u64::try_from(records).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.replace_problem(None) {
            tracing::info!("the store can be written again");
        }
    }

    fn failed(&self, error: &StoreError) {
        if !self.replace_problem(Some(chain(error))) {
            tracing::error!(error = chain(error), "the store cannot be written");
        }
    }

    /// Returns whether there was one before.
    fn replace_problem(&self, problem: Option<String>) -> bool {
        let mut place = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, problem).is_some()
    }
}

/// The error and its causes in one line.
fn chain(error: &StoreError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

struct Thread {
    jobs: mpsc::Receiver<Message>,
    condition: Arc<Condition>,
    db: Connection,
    log: Log,
}

impl Thread {
    fn serve<G>(mut self, guard: G) {
        let mut closer = None;
        while let Some(first) = self.jobs.blocking_recv() {
            let mut group = Group::default();
            group.add(first);
            group.fill(&mut self.jobs);
            let order = self.commit(group);
            self.log.committed(&self.db);
            match order {
                Some((Order::Checkpoint, reply)) => {
                    let _ = reply.send(self.log.copy(&self.db));
                }
                Some((Order::Close, reply)) => {
                    // From here on nobody can add to the queue; what is in it is still done.
                    self.jobs.close();
                    closer.get_or_insert(reply);
                }
                None => {}
            }
        }
        self.log.end();
        let result = close(self.db);
        drop(guard);
        if let Some(reply) = closer {
            let _ = reply.send(result);
        } else if let Err(error) = result {
            tracing::error!(error = chain(&error), "the store was not closed cleanly");
        }
    }

    /// Do the jobs of a group and answer them. What is left of it is its order.
    fn commit(&mut self, mut group: Group) -> Option<(Order, Reply)> {
        if group.jobs.len() > 1
            && let Ok(results) = self.together(&mut group)
        {
            group.jobs.into_iter().zip(results).for_each(|(job, result)| job.answer(result));
            return group.order;
        }
        for mut job in group.jobs {
            let result = self.alone(job.as_mut());
            job.answer(result);
        }
        group.order
    }

    /// The result of each job when the group was committed, with those that came meanwhile; an error when nothing was.
    fn together(&mut self, group: &mut Group) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let transaction = Transaction::begin(&self.db)?;
        let mut results = Vec::with_capacity(group.jobs.len());
        while let Some(job) = group.jobs.get_mut(results.len()) {
            results.push(in_savepoint(&self.db, job.as_mut())?);
            if results.len() == group.jobs.len() {
                group.fill(&mut self.jobs);
            }
        }
        transaction.commit()?;
        self.condition.committed(results.iter().filter(|result| result.is_ok()).count());
        Ok(results)
    }

    fn alone(&mut self, job: &mut dyn Job) -> Result<(), StoreError> {
        let result = in_transaction(&self.db, job);
        match &result {
            Ok(()) => self.condition.committed(1),
            Err(error) if error.is_storage() => self.condition.failed(error),
            Err(_) => {}
        }
        result
    }
}

impl Group {
    fn add(&mut self, message: Message) {
        match message {
            Message::Job(job) => self.jobs.push(job),
            Message::Order(order, reply) => self.order = Some((order, reply)),
        }
    }

    /// Take what waits, up to the first order or the most that a group holds.
    fn fill(&mut self, queue: &mut mpsc::Receiver<Message>) {
        while self.order.is_none()
            && self.jobs.len() < GROUP_JOBS
            && let Ok(message) = queue.try_recv()
        {
            self.add(message);
        }
    }
}

/// One that is under way. The statements are kept, which those of the library's own are not.
struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    fn begin(db: &'a Connection) -> Result<Self, StoreError> {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(db))
    }

    fn commit(self) -> Result<(), StoreError> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// What was not committed is undone.
impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction cannot be undone");
        }
    }
}

fn in_transaction(db: &Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    let transaction = Transaction::begin(db)?;
    job.perform(db)?;
    transaction.commit()
}

/// The result of the job, or an error when it took the whole transaction with it.
fn in_savepoint(db: &Connection, job: &mut dyn Job) -> Result<Result<(), StoreError>, StoreError> {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = job.perform(db);
    if let Err(error) = result {
        // SQLite gives up the transaction by itself after some errors of the disk.
        if db.is_autocommit() {
            return Err(error);
        }
        db.prepare_cached("ROLLBACK TO job")?.execute([])?;
        db.prepare_cached("RELEASE job")?.execute([])?;
        return Ok(Err(error));
    }
    db.prepare_cached("RELEASE job")?.execute([])?;
    Ok(Ok(()))
}

fn close(db: Connection) -> Result<(), StoreError> {
    log::checkpoint(&db, "TRUNCATE")?;
    db.close().map_err(|(_, error)| error.into())
}
