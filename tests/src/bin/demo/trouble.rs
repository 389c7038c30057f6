//! The trouble makers: real services, and what goes wrong in them.

use std::time::Duration;

use anyhow::Context;
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::http::Endpoint;
use paramedic_tests::postgres::{self, Database, Postgres, Settings};
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;
use redis::InfoDict;
use tokio_postgres::Client;

/// The application that forgets to give its connections back, how many it takes, and what there is to take.
pub const LEAKY_APPLICATION: &str = "checkout-api";
const LEAKED_CONNECTIONS: usize = 42;
const MAX_CONNECTIONS: usize = 50;

/// From this age on, in seconds, an idle connection is a leak in the demo. In real life it would be ten minutes.
pub const LEAK_AGE_SECONDS: u32 = 1;

/// A report that scans a table without an index that would help, and waits on top so that the machine's speed does not
/// matter.
const SLOW_REPORT: &str = "SELECT customer, sum(total) FROM orders, pg_sleep(0.2) GROUP BY customer ORDER BY 2 DESC";
const REPORTS: usize = 5;

/// The key prefix under which somebody stores carts without letting them expire.
pub const IMMORTAL_KEYS: &str = "cart:";
const MAX_MEMORY: &str = "16mb";
const FULL_ENOUGH: f64 = 0.93;

/// Why most mail fails.
pub const COMMON_FAILURE: &str = "mailbox unavailable";

/// Everything that runs for the demo. Dropping it stops all of it.
pub struct Troubled {
    _postgres: Postgres,
    pub database: Database,
    pub redis: Redis,
    pub shop: Endpoint,
    pub queue: Bullmq,
    _leak: Vec<Client>,
}

impl Troubled {
    /// Starts the services and makes the trouble, telling each step.
    pub async fn start(tell: impl Fn(&str)) -> anyhow::Result<Self> {
        tell("starting a Postgres, a Redis and a web shop");
        let postgres = Postgres::start(&Settings::default().with("max_connections", &MAX_CONNECTIONS.to_string()))?;
        let redis = Redis::start(&["--maxmemory", MAX_MEMORY, "--maxmemory-policy", "noeviction"])?;
        let shop = Endpoint::start("503 Service Unavailable", "no connection to the database\n")?;
        let database = postgres.database()?;
        database.track_statements()?;
        let application = database.application()?;

        tell(&format!("running a slow report, {REPORTS} times"));
        slow_statements(&application).await?;
        tell(&format!("leaking {LEAKED_CONNECTIONS} of {MAX_CONNECTIONS} connections from {LEAKY_APPLICATION}"));
        let leak = leak_connections(&database, &application).await?;
        tell("sending mail through a BullMQ queue whose worker hangs");
        let queue = failing_queue(&redis)?;
        tell("filling Redis with carts that never expire");
        fill(&redis)?;
        Ok(Troubled { _postgres: postgres, database, redis, shop, queue, _leak: leak })
    }
}

async fn slow_statements(url: &str) -> anyhow::Result<()> {
    let client = postgres::connect(url, "reporting").await?;
    let orders = "CREATE TABLE orders AS
        SELECT n AS id, 'customer-' || n % 500 AS customer, (n % 97)::numeric AS total FROM generate_series(1, 20000) n";
    client.batch_execute(orders).await.context("cannot make orders")?;
    for _ in 0..REPORTS {
        client.query(SLOW_REPORT, &[]).await.context("the report failed")?;
    }
    Ok(())
}

async fn leak_connections(database: &Database, url: &str) -> anyhow::Result<Vec<Client>> {
    let clients = postgres::connect_many(url, LEAKY_APPLICATION, LEAKED_CONNECTIONS).await?;
    for client in &clients {
        client.batch_execute("SELECT total FROM orders WHERE id = 7").await.context("checkout-api cannot read")?;
    }
    let old = format!(
        "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = '{LEAKY_APPLICATION}' AND state = 'idle'
            AND now() - state_change > interval '{LEAK_AGE_SECONDS} s'"
    );
    let all = LEAKED_CONNECTIONS.to_string();
    wait::until("the leaked connections to grow old", || Ok((database.sql(&old)? == all).then_some(())))?;
    Ok(clients)
}

fn failing_queue(redis: &Redis) -> anyhow::Result<Bullmq> {
    let queue = Bullmq::start(Version::V5, &redis.admin_url(), "bull", "email")?;
    queue.work(2)?;
    queue.add(&mail(40, |job, n| job.failing(&format!("550 {COMMON_FAILURE}: customer-{n}@example.org"))))?;
    queue.add(&mail(5, |job, _| job.failing("connect ECONNREFUSED 192.0.2.7:25")))?;
    queue.add(&mail(60, |job, _| job))?;
    queue.until("failed", 45)?;
    queue.until("completed", 60)?;
    queue.add(&mail(2, |job, _| job.hanging()))?;
    queue.until("active", 2)?;
    queue.add(&mail(120, |job, _| job.aged(Duration::from_secs(25 * 60))))?;
    Ok(queue)
}

fn mail(count: usize, what: impl Fn(Job, usize) -> Job) -> Vec<Job> {
    (0..count).map(|number| what(Job::named("order-confirmation"), number)).collect()
}

fn fill(redis: &Redis) -> anyhow::Result<()> {
    let mut connection = redis.connect()?;
    let cart = "one more item in the cart, ".repeat(40);
    for batch in 0_u32.. {
        if memory_used(redis)? >= FULL_ENOUGH {
            break;
        }
        let mut pipe = redis::pipe();
        for number in 0..100 {
            pipe.set(format!("{IMMORTAL_KEYS}{}", batch * 100 + number), &cart).ignore();
        }
        pipe.set_ex(format!("session:{batch}"), &cart, 3600).ignore();
        pipe.query::<()>(&mut connection).context("Redis takes no more carts")?;
    }
    Ok(())
}

/// Between 0 and 1.
fn memory_used(redis: &Redis) -> anyhow::Result<f64> {
    let info: InfoDict = redis.command(&["INFO", "memory"])?;
    let used: f64 = info.get("used_memory").context("Redis does not tell its memory")?;
    let most: f64 = info.get("maxmemory").context("Redis does not tell its limit")?;
    Ok(used / most)
}
