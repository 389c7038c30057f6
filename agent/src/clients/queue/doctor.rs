//! What is wrong with a queue target: told to its operator, never to a plugin.

use super::super::resp::Command;
use super::super::resp::doctor::{Examination, Excess};
use super::{Queue, overview};
use crate::domain::{CallError, Diagnosis};

/// The line that makes a user with just the rights that looking takes.
pub(super) fn rules(keys: &str) -> String {
    format!(
        "ACL SETUSER paramedic reset on >PASSWORD ~{keys} +exists +hget +hmget +hstrlen +llen +lrange +zcard +zrange \
         +zrevrange +get +pttl +time +info +client|list +acl|whoami"
    )
}

/// What the scripts use beyond looking. Each command within a script is judged like one that was sent.
pub(super) const ACTING: &str = "+eval +hset +hdel +hexists +rename +lmove +lpush +rpush +set +del +zadd +zrem +zscore \
     +zcount +zrangebyscore +incr +srem +sadd +scard +sismember +xadd +publish +ping";

/// The line that makes a user with just the rights that looking and changing take.
pub(super) fn acting_rules(keys: &str) -> String {
    format!("{} &{keys} {ACTING}", rules(keys))
}

pub(super) async fn examine(queue: &Queue) -> Vec<Diagnosis> {
    let mut examination = Examination::new(&queue.server);
    let keys = queue.keys.key("*");
    let rules = rules(&keys);
    let Some((_, user)) = examination.login(&rules).await else { return examination.finish() };
    let refused = examination.refused(&probes(queue)).await;
    if !refused.is_empty() {
        let grants: Vec<String> = refused.iter().map(|name| format!("+{name}")).collect();
        let message = format!("the login may not run {}", refused.join(", "));
        examination.warn(message, format!("ACL SETUSER {user} {}", grants.join(" ")));
    }
    let probe = format!("paramedic:doctor:{:016x}", rand::random::<u64>());
    examination.excess(&excesses(&probe), &rules).await;
    state(queue, &mut examination, &user).await;
    policy(queue, &mut examination).await;
    examination.finish()
}

fn probes(queue: &Queue) -> Vec<Command> {
    let job = queue.keys.key("paramedic-doctor");
    let mut probes = overview::questions(&queue.keys);
    probes.extend([
        Command::new("HGET").arg(&job).arg("timestamp"),
        Command::new("HSTRLEN").arg(&job).arg("name"),
        Command::new("ZREVRANGE").arg(queue.keys.key("failed")).arg("0").arg("0"),
        Command::new("INFO").arg("memory"),
    ]);
    probes
}

/// None of them would do anything if it ran.
fn excesses(probe: &str) -> [Excess; 3] {
    [
        Excess { what: "list all keys at once", command: Command::new("KEYS").arg(probe) },
        Excess { what: "see the configuration", command: Command::new("CONFIG").arg("GET").arg(probe) },
        Excess { what: "administer users", command: Command::new("ACL").arg("USERS") },
    ]
}

/// Whether the queue is there and is what the target says.
async fn state(queue: &Queue, examination: &mut Examination<'_>, user: &str) {
    match overview::inspect(queue, examination.limits()).await {
        Ok(overview) => {
            let jobs: u64 = overview.counts.iter().map(|count| count.count).sum();
            examination.well(format!("{} of {} has {jobs} jobs", queue.keys.title(), queue.library));
            leftovers(queue, examination).await;
        }
        Err(CallError::NotFound(text)) => examination.fail(text, "correct prefix, name or server of the target"),
        Err(CallError::Remote(error)) if error.code == "VERSION_MISMATCH" => {
            examination.fail(error.message, "set bullmq: or bull: of the target to the major version of the workers");
        }
        // Whatever it was: the command, which was named before, or the keys.
        Err(CallError::Remote(error)) if error.code == "NOPERM" => {
            let remedy = format!("allow what is missing; for the keys: ACL SETUSER {user} ~{}", queue.keys.key("*"));
            examination.fail(error.message, remedy);
        }
        Err(error) => examination.fail(error.to_string(), "look at the server's log"),
    }
}

/// BullMQ 6 does not see the jobs that an older version left in the list of the paused ones until it resumes.
async fn leftovers(queue: &Queue, examination: &mut Examination<'_>) {
    if queue.library.moves_paused_jobs() {
        return;
    }
    let question = [Command::new("LLEN").arg(queue.keys.key("paused"))];
    let asked = queue.server.ask(examination.limits(), &question, overview::ANSWER_BYTES).await;
    match asked.and_then(|mut answers| answers.take::<u64>()) {
        Ok(0) => {}
        Ok(hidden) => examination.warn(
            format!("{hidden} jobs are in the list of an older version's pause, where {} counts none", queue.library),
            "resume the queue with BullMQ 6, which takes them up",
        ),
        Err(error) => {
            examination.warn(format!("whether jobs are hidden is unknown: {error}"), "look at the server's log")
        }
    }
}

/// A server that evicts keys drops jobs without a word.
async fn policy(queue: &Queue, examination: &mut Examination<'_>) {
    let question = [Command::new("INFO").arg("memory")];
    let asked = queue.server.ask(examination.limits(), &question, overview::ANSWER_BYTES).await;
    let Ok(Ok(memory)) = asked.and_then(|mut answers| answers.try_take::<String>()) else {
        // That INFO is not allowed was said before.
        return;
    };
    let policy = memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
    if let Some(policy) = policy.filter(|policy| *policy != "noeviction") {
        examination.warn(
            format!("the server may drop jobs when memory runs out: its policy is {policy}"),
            "set maxmemory-policy to noeviction, and keep caches on another server",
        );
    }
}
