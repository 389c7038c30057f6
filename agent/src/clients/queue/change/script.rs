//! The scripts, put together for the library and the version. Each is one step: what it rests on is compared, and the
//! effect follows, with nobody in between.
//!
//! They do what the library's own operation does, key for key, in our words. What differs on purpose: no list is ever
//! renamed over another one, events are the last thing and cannot fail the rest, and every one of them bounds its work.

use super::super::super::resp::Command;
use super::super::keys::Keys;
use super::super::library::Library;
use super::super::overview::PARTS;

/// Most elements that one script moves, and most jobs that it touches: a few milliseconds of the server's time.
pub(super) const STEP: usize = 500;

/// The keys by name, and what every script compares first.
///
/// The `HDEL` removes nothing. At the memory limit a script may go on once it has written, and this is a write that may
/// come first.
const HEAD: &str = "
local meta, metaPaused, id, wait, paused, active, prioritized, delayed, failed, completed, parents, events, marker =
  unpack(KEYS)
local base = ARGV[1]
if redis.call('EXISTS', unpack(KEYS)) == 0 then return {'missing', 0, 0} end
local opened = string.match(redis.call('HGET', meta, 'version') or '', '^bullmq:(%d+)')
if opened and opened ~= ARGV[2] then return {'version', 0, 0} end
local function isPaused()
  return redis.call('HEXISTS', meta, 'paused') == 1 or redis.call('EXISTS', metaPaused) == 1
end
";

const FIRST_WRITE: &str = "
redis.call('HDEL', meta, '')
";

/// Events of BullMQ. A queue that cannot take one is changed all the same.
const STREAM: &str = "
local most = redis.call('HGET', meta, 'opts.maxLenEvents') or 10000
local function tell(...)
  redis.pcall('XADD', events, 'MAXLEN', '~', most, '*', 'event', ...)
end
";

/// Jobs of the one list behind those of the other, which were there longer and stay at the end that workers take from.
/// Answers `more` when they are too many for one step.
const MERGE: &str = "
local function merge(source, target)
  if redis.call('EXISTS', source) == 0 then return false end
  if redis.call('EXISTS', target) == 0 then
    redis.call('RENAME', source, target)
    return false
  end
  for _ = 1, 500 do
    if not redis.call('LMOVE', source, target, 'LEFT', 'RIGHT') then return false end
  end
  return redis.call('EXISTS', source) == 1
end
";

/// The script that pauses a queue.
///
/// A `paused` list that an earlier pause left behind goes to `wait` first, piece by piece, so that the move to `paused` is one
/// step for everybody.
pub(super) fn pause(library: Library) -> String {
    let check = "if isPaused() then return {'moved', 0, 0} end";
    let move_jobs = "
if redis.call('EXISTS', wait) == 1 and redis.call('EXISTS', paused) == 1 and merge(paused, wait) then
  return {'more', 0, 0}
end
redis.call('HSET', meta, 'paused', 1)
if redis.call('EXISTS', wait) == 1 then redis.call('RENAME', wait, paused) end";
    let rest = match library {
        Library::Bull(_) => {
            "redis.call('SET', metaPaused, 1)
redis.pcall('PUBLISH', paused, 'paused')"
        }
        Library::BullMq(..=4) => "tell('paused')",
        Library::BullMq(5..) => {
            "redis.call('DEL', marker)
tell('paused')"
        }
    };
    let effect = match library {
        Library::Bull(_) | Library::BullMq(..=5) => move_jobs,
        Library::BullMq(6..) => "redis.call('HSET', meta, 'paused', 1)",
    };
    let stream = if library.is_bull() { "" } else { STREAM };
    [HEAD, check, FIRST_WRITE, stream, MERGE, effect, "\n", rest, "\nreturn {'done', 0, 0}\n"].concat()
}

/// The script that resumes a queue which is paused, or takes up what an earlier pause left in a list of one which is not;
/// `ARGV[3]` says which of them was planned. A paused queue stays so until the last piece has moved, so that a stop in
/// between loses nothing and the next resume goes on.
pub(super) fn resume(library: Library) -> String {
    let check = "
if isPaused() ~= (ARGV[3] == 'true') then return {'moved', 0, 0} end
if ARGV[3] ~= 'true' and redis.call('EXISTS', paused) == 0 then return {'moved', 0, 0} end";
    let effect = "
if merge(paused, wait) then return {'more', 0, 0} end
redis.call('HDEL', meta, 'paused')
";
    let wake = match library {
        // Workers block on the list itself.
        Library::Bull(_) => {
            "redis.call('DEL', metaPaused)
redis.pcall('PUBLISH', base .. 'resumed', 'resumed')"
        }
        Library::BullMq(..=3) => "tell('resumed')",
        Library::BullMq(4) => {
            "if redis.call('ZCARD', prioritized) > 0 and redis.call('LLEN', wait) == 0 then
  redis.call('LPUSH', wait, '0:0')
end
tell('resumed')"
        }
        Library::BullMq(5..) => {
            "if redis.call('LLEN', wait) + redis.call('ZCARD', prioritized) > 0 then
  redis.call('ZADD', marker, 0, '0')
else
  local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
  if due then redis.call('ZADD', marker, tonumber(due) / 0x1000, '1') end
end
tell('resumed')"
        }
    };
    let stream = if library.is_bull() { "" } else { STREAM };
    [HEAD, check, FIRST_WRITE, stream, MERGE, effect, wake, "\nreturn {'done', 0, 0}\n"].concat()
}

/// What the scripts about failed jobs share: which of the ids they may still touch.
///
/// A job is one that is still failed, and did so no later than the plan says. A name that another key of the queue has is no
/// job, whatever the set of the failed ones says.
const JOBS: &str = "
local latest = tonumber(ARGV[3])
local names = {}
for _, key in ipairs(KEYS) do names[key] = true end
local function mayTouch(name, job)
  local score = redis.call('ZSCORE', failed, name)
  if not score or tonumber(score) > latest then return false end
  if names[job] then return false end
  return redis.call('EXISTS', job) == 0 or redis.pcall('HEXISTS', job, 'timestamp') == 1
end
local touched, kept = {}, 0
";

/// The script that removes failed jobs.
///
/// A job that a waiting parent still counts on is taken from its list, as the library does. The last one of them stays: with
/// it the parent would begin or be removed, which nobody planned.
pub(super) fn clean(library: Library) -> String {
    let remove = match library {
        Library::Bull(_) => {
            "
local function remove(name, job)
  if redis.call('EXISTS', job .. ':lock') == 1 then return false end
  redis.call('ZREM', base .. 'priority', name)
  redis.call('DEL', job, job .. ':logs')
  local limited = redis.call('HGET', base .. 'limiter:index', name)
  if limited then
    redis.call('SREM', limited, name)
    redis.call('HDEL', base .. 'limiter:index', name)
  end
  return true
end"
        }
        Library::BullMq(_) => {
            "
local function unlink(job)
  local parent = redis.call('HGET', job, 'parentKey')
  if not parent or parent == '' then return true end
  local children = parent .. ':dependencies'
  local counted = redis.pcall('SISMEMBER', children, job)
  if counted == 0 then return true end
  if counted ~= 1 or redis.call('SCARD', children) == 1 then return false end
  return redis.pcall('SREM', children, job) == 1
end
local function remove(name, job)
  if not unlink(job) then return false end
  local once = redis.call('HGET', job, 'deid')
  if once and redis.call('GET', base .. 'de:' .. once) == name then
    redis.call('DEL', base .. 'de:' .. once, base .. 'dn:' .. once)
  end
  redis.call('DEL', job, job .. ':lock', job .. ':logs', job .. ':dependencies', job .. ':processed',
    job .. ':failed', job .. ':unsuccessful')
  return true
end"
        }
    };
    let stream = if library.is_bull() { "" } else { STREAM };
    let told = if library.is_bull() { "" } else { "tell('cleaned', 'count', #touched)" };
    let effect = "
for i = 4, #ARGV do
  local name, job = ARGV[i], base .. ARGV[i]
  if mayTouch(name, job) and remove(name, job) then
    touched[#touched + 1] = name
  else
    kept = kept + 1
  end
end
if #touched > 0 then
  redis.call('ZREM', failed, unpack(touched))
  ";
    [HEAD, stream, JOBS, remove, effect, told, "\nend\nreturn {'done', #touched, kept}\n"].concat()
}

/// The script that puts failed jobs back to work, where a single retry of the library puts them. The attempts that they made
/// stay counted.
pub(super) fn retry(library: Library) -> String {
    let place = match library {
        Library::Bull(_) => {
            "
local list = redis.call('EXISTS', metaPaused) == 1 and paused or wait
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
local function isFree(job) return redis.call('EXISTS', job .. ':lock') == 0 end
local function put(name, job, push)
  redis.call('HSET', job, 'retriedOn', now)
  redis.call(push, list, name)
  redis.pcall('PUBLISH', base .. 'waiting@paramedic', name)
end"
        }
        Library::BullMq(..=4) => {
            "
local list = isPaused() and paused or wait
local function isFree(job) return true end
local function put(name, job, push)
  redis.call(push, list, name)
  tell('waiting', 'jobId', name, 'prev', 'failed')
end"
        }
        Library::BullMq(5..) => {
            "
local function isFree(job) return true end
local function isBusy()
  if isPaused() then return true end
  local width = redis.call('HGET', meta, 'concurrency')
  return width and redis.call('LLEN', active) >= tonumber(width)
end
local function giveBack(job)
  local parent = redis.call('HGET', job, 'parentKey')
  if not parent or redis.pcall('EXISTS', parent) ~= 1 then return end
  if redis.pcall('ZREM', parent .. ':unsuccessful', job) == 1 or redis.pcall('HDEL', parent .. ':failed', job) == 1 then
    redis.pcall('SADD', parent .. ':dependencies', job)
  end
end"
        }
    };
    let put = match library {
        Library::Bull(_) | Library::BullMq(..=4) => "",
        Library::BullMq(5) => {
            "
local list = isPaused() and paused or wait
local function put(name, job, push)
  redis.call(push, list, name)
  if not isBusy() then redis.call('ZADD', marker, 0, '0') end
  giveBack(job)
  tell('waiting', 'jobId', name, 'prev', 'failed')
end"
        }
        Library::BullMq(6..) => {
            "
local function put(name, job, push)
  local priority = tonumber(redis.call('HGET', job, 'priority')) or 0
  if priority == 0 then
    redis.call(push, wait, name)
  else
    local turn = redis.call('INCR', base .. 'pc') % 0x100000000
    redis.call('ZADD', prioritized, priority * 0x100000000 + turn, name)
  end
  if not isBusy() then redis.call('ZADD', marker, 0, '0') end
  giveBack(job)
  tell('waiting', 'jobId', name, 'prev', 'failed')
end"
        }
    };
    let stream = if library.is_bull() { "" } else { STREAM };
    let effect = "
local function pushOf(job)
  local ok, options = pcall(cjson.decode, redis.call('HGET', job, 'opts') or '{}')
  return ok and type(options) == 'table' and options.lifo == true and 'RPUSH' or 'LPUSH'
end
for i = 4, #ARGV do
  local name, job = ARGV[i], base .. ARGV[i]
  if mayTouch(name, job) and redis.call('EXISTS', job) == 1 and isFree(job) then
    redis.call('ZREM', failed, name)
    redis.call('HDEL', job, 'finishedOn', 'processedOn', 'failedReason')
    put(name, job, pushOf(job))
    touched[#touched + 1] = name
  else
    kept = kept + 1
  end
end
return {'done', #touched, kept}
";
    [HEAD, stream, JOBS, place, put, effect].concat()
}

/// The call of a script: all keys that a queue can have, those of jobs being made from the base, and what it is told.
pub(super) fn call(script: &str, keys: &Keys, library: Library) -> Command {
    let major = if library.is_bull() { "bull".to_owned() } else { library.major().to_string() };
    Command::new("EVAL")
        .arg(script)
        .number(u32::try_from(PARTS.len()).unwrap_or(u32::MAX))
        .args(PARTS.map(|part| keys.key(part)))
        .arg(keys.key(""))
        .arg(major)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LIBRARIES: [Library; 5] =
        [Library::Bull(4), Library::BullMq(3), Library::BullMq(4), Library::BullMq(5), Library::BullMq(6)];

    /// All that a script of ours may do.
    const COMMANDS: [&str; 26] = [
        "DEL",
        "EXISTS",
        "GET",
        "HDEL",
        "HEXISTS",
        "HGET",
        "HSET",
        "INCR",
        "LLEN",
        "LMOVE",
        "LPUSH",
        "PUBLISH",
        "RENAME",
        "RPUSH",
        "SADD",
        "SCARD",
        "SET",
        "SISMEMBER",
        "SREM",
        "TIME",
        "XADD",
        "ZADD",
        "ZCARD",
        "ZRANGE",
        "ZREM",
        "ZSCORE",
    ];

    fn scripts() -> Vec<String> {
        LIBRARIES
            .into_iter()
            .flat_map(|library| [pause(library), resume(library), clean(library), retry(library)])
            .collect()
    }

    /// The command of each call in a script; none for one whose command is a variable.
    fn commands(script: &str) -> Vec<Option<String>> {
        let calls = ["redis.call(", "redis.pcall("].into_iter().flat_map(|call| script.split(call).skip(1));
        let name = |rest: &str| rest.strip_prefix('\'')?.split('\'').next().map(str::to_owned);
        calls.map(name).collect()
    }

    #[test]
    fn no_script_uses_a_command_outside_a_small_list() {
        for script in scripts() {
            for command in commands(&script) {
                let Some(command) = command else { continue };
                assert!(COMMANDS.contains(&command.as_str()), "{command} in {script}");
            }
            // The one command that is chosen in a script is one of two.
            let chosen = script.matches("redis.call(push,").count();
            let open = commands(&script).iter().filter(|command| command.is_none()).count();
            assert_eq!(open, chosen, "{script}");
            assert!(!script.contains("loadstring") && !script.contains("KEYS *"), "{script}");
        }
    }

    #[test]
    fn the_documented_rights_are_those_that_the_scripts_use() {
        let rules = super::super::super::doctor::acting_rules("KEY");
        let granted: BTreeSet<&str> = rules.split(' ').filter_map(|rule| rule.strip_prefix('+')).collect();
        let used: BTreeSet<String> = scripts()
            .iter()
            .flat_map(|script| commands(script))
            .flatten()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        for name in &used {
            assert!(granted.contains(name.as_str()), "{name} is not in {rules}");
        }
    }

    #[test]
    fn every_script_first_looks_whether_the_queue_is_there_and_of_this_version() {
        for script in scripts() {
            assert!(script.starts_with(HEAD));
        }
        assert!(MERGE.contains(&format!("1, {STEP} do")), "a step is {STEP} elements");
    }
}
