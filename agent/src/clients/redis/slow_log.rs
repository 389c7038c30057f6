//! The server's log of slow commands, without what the commands carried.
//!
//! An entry holds the arguments as the application sent them: passwords in `AUTH`, mail in `LPUSH`. What helps an
//! operator is the command, and the key that it hit, with its particulars masked. The rest is counted.

use ::redis::Value;

use super::super::mask;
use super::super::resp::{Command, Server};
use super::SlowEntry;
use crate::domain::{CallError, CallLimits};

/// Most entries of one call; servers keep 128 unless told otherwise.
const ENTRIES: u32 = 1_000;

/// Commands whose first argument is a key, or for `KEYS` a pattern of keys. No other argument of any command is shown.
const KEY_FIRST: &str = "\
    APPEND BITCOUNT BITFIELD BITPOS BLPOP BRPOP BRPOPLPUSH BZPOPMAX BZPOPMIN COPY DECR DECRBY DEL DUMP \
    EXISTS EXPIRE EXPIREAT GEOADD GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HGET \
    HGETALL HINCRBY HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HVALS INCR INCRBY INCRBYFLOAT KEYS \
    LINDEX LINSERT LLEN LMOVE LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MGET MSET MSETNX PERSIST PEXPIRE \
    PEXPIREAT PFADD PFCOUNT PFMERGE PSETEX PTTL RENAME RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD \
    SCARD SDIFF SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER \
    SMOVE SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUNION SUNIONSTORE TOUCH TTL TYPE UNLINK XACK XADD \
    XCLAIM XDEL XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZDIFFSTORE ZINCRBY ZINTERSTORE ZLEXCOUNT \
    ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX \
    ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNIONSTORE";

/// The newest entries.
pub(super) async fn entries(server: &Server, limits: &CallLimits, limit: u32) -> Result<Vec<SlowEntry>, CallError> {
    let commands = [Command::new("TIME"), Command::new("SLOWLOG").arg("GET").number(limit.min(ENTRIES))];
    // The server cuts what it remembers to 32 arguments of 128 bytes.
    let most_bytes = limits.answer_bytes.saturating_mul(4).max(super::SMALL_ANSWER_BYTES);
    let mut answers = server.ask(limits, &commands, most_bytes).await?;
    let (now, _microseconds): (u64, u64) = answers.take()?;
    let entries = answers.take::<Vec<Value>>()?;
    let read = |entry| read_entry(entry, now).ok_or_else(unexpected);
    let entries: Vec<SlowEntry> = entries.into_iter().map(read).collect::<Result<_, _>>()?;
    let bytes: usize = entries.iter().flat_map(|entry| &entry.command).map(String::len).sum();
    if bytes > limits.answer_bytes {
        return Err(CallError::TooLarge(format!("{} entries exceed the limit; ask for fewer", entries.len())));
    }
    Ok(entries)
}

fn unexpected() -> CallError {
    CallError::Unavailable("the server's slow log has an unknown form".to_owned())
}

/// An entry is: number, time in seconds, duration in microseconds, command; then who sent it, which stays here.
fn read_entry(entry: Value, now: u64) -> Option<SlowEntry> {
    let Value::Array(fields) = entry else { return None };
    let mut fields = fields.into_iter().skip(1);
    let time: u64 = ::redis::from_redis_value(fields.next()?).ok()?;
    let microseconds: u64 = ::redis::from_redis_value(fields.next()?).ok()?;
    let words: Vec<Vec<u8>> = ::redis::from_redis_value(fields.next()?).ok()?;
    let seconds = |count: u64| std::time::Duration::from_secs(count).as_secs_f64();
    Some(SlowEntry {
        command: shown(&words),
        duration: std::time::Duration::from_micros(microseconds).as_secs_f64(),
        age: seconds(now.saturating_sub(time)),
    })
}

fn shown(words: &[Vec<u8>]) -> Vec<String> {
    let mut words = words.iter().map(|word| String::from_utf8_lossy(word));
    let Some(name) = words.next() else { return Vec::new() };
    let mut shown = vec![mask::clean(&name, 64)];
    if KEY_FIRST.split(' ').any(|known| known.eq_ignore_ascii_case(&name)) {
        shown.extend(words.next().map(|key| mask::mask(&key)));
    }
    let hidden = words.count();
    if hidden > 0 {
        shown.push(format!("… {hidden} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(command: &[&str]) -> String {
        shown(&command.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn a_slow_command_shows_its_key_and_nothing_that_it_carried() {
        let table: &[(&[&str], &str)] = &[
            (&["KEYS", "session:*"], "KEYS session:*"),
            (&["lrange", "jobs", "0", "-1"], "lrange jobs … 2 more"),
            (&["SET", "greeting", "dear Jane"], "SET greeting … 1 more"),
            (&["GET", "session:9f86d081884c7d659a2feaa0c55ad015"], "GET session:<hex>"),
            (&["GET", "mail:jane@example.com"], "GET mail:<email>"),
            (&["AUTH", "monitor", "hunter2"], "AUTH … 2 more"),
            (&["HELLO", "3", "AUTH", "monitor", "hunter2"], "HELLO … 4 more"),
            (&["CONFIG", "SET", "requirepass", "hunter2"], "CONFIG … 3 more"),
            (&["ACL", "SETUSER", "bob", ">hunter2"], "ACL … 3 more"),
            (&["MIGRATE", "10.0.0.7", "6379", "key", "0", "5000", "AUTH", "hunter2"], "MIGRATE … 7 more"),
            (&["EVAL", "return 'hunter2'", "0"], "EVAL … 2 more"),
            (&["SCAN", "0", "MATCH", "secret:*"], "SCAN … 3 more"),
            (&["SUBSCRIBE", "secret-channel"], "SUBSCRIBE … 1 more"),
            (&["my\u{1b}[31mcommand", "x"], "mycommand … 1 more"),
            (&["DBSIZE"], "DBSIZE"),
            (&[], ""),
        ];
        for (command, expected) in table {
            assert_eq!(show(command), *expected, "{command:?}");
        }
    }
}
