//! Walking over the keys, page by page.
//!
//! The server's cursor is the whole state of a walk; a mark is that cursor together with a fingerprint of the pattern,
//! so that it cannot be continued with another one by mistake. A forged mark gains nothing: it leads to keys that
//! the same walk would have found.

use std::time::Duration;

use super::super::resp::{Command, Server};
use super::KeyPage;
use crate::domain::{CallError, CallLimits, Digest};
use crate::policy::{Permit, op};

/// Most keys that the server looks at in one step: about a millisecond of its time.
const STEP_KEYS: u32 = 1_000;

/// Most steps of one call. A pattern that matches nothing would otherwise walk over the whole server.
const STEPS: usize = 10;

/// Others are served between two steps.
const PAUSE: Duration = Duration::from_millis(2);

/// Longest pattern, and most stars in one: the server compares it with every key that it walks over.
const PATTERN_BYTES: usize = 256;
const PATTERN_STARS: usize = 4;

/// What to look for.
pub(super) struct Request<'a> {
    pub(super) pattern: &'a str,
    pub(super) after: Option<&'a str>,
    pub(super) count: u32,
}

/// Steps until the page is full, the walk is over, or the call has done its share.
pub(super) async fn page(
    server: &Server,
    permit: &Permit<op::RedisScan>,
    limits: &CallLimits,
    request: &Request<'_>,
) -> Result<KeyPage, CallError> {
    check_pattern(request.pattern)?;
    let mut cursor = request.after.map_or(Ok(0), |mark| read_mark(mark, request.pattern))?;
    let wanted = request.count.clamp(1, STEP_KEYS);
    let (mut keys, mut bytes) = (Vec::new(), 0);
    for step in 0..STEPS {
        if step > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let (next, found) = walk(server, limits, cursor, request.pattern, wanted).await?;
        let found: Vec<String> = found.into_iter().filter_map(|key| covered(permit, key)).collect();
        bytes += found.iter().map(|key| key.len() + 3).sum::<usize>();
        if bytes > limits.answer_bytes {
            // What this step found is found again from the same cursor.
            return if keys.is_empty() { Err(too_large(found.len())) } else { Ok(page_with(keys, cursor, request)) };
        }
        keys.extend(found);
        cursor = next;
        if cursor == 0 || keys.len() >= wanted as usize {
            break;
        }
    }
    Ok(page_with(keys, cursor, request))
}

fn page_with(keys: Vec<String>, cursor: u64, request: &Request<'_>) -> KeyPage {
    KeyPage { keys, next: (cursor != 0).then(|| write_mark(cursor, request.pattern)) }
}

fn too_large(keys: usize) -> CallError {
    CallError::TooLarge(format!("{keys} keys in one step exceed the limit; ask for a smaller count"))
}

/// The key as text if the permit covers it.
fn covered(permit: &Permit<op::RedisScan>, key: Vec<u8>) -> Option<String> {
    if permit.covers_key(&key) { String::from_utf8(key).ok() } else { None }
}

async fn walk(
    server: &Server,
    limits: &CallLimits,
    cursor: u64,
    pattern: &str,
    count: u32,
) -> Result<(u64, Vec<Vec<u8>>), CallError> {
    let command = Command::new("SCAN").number(cursor).arg("MATCH").arg(pattern).arg("COUNT").number(count);
    let most_bytes = limits.answer_bytes.saturating_mul(4);
    server.ask(limits, &[command], most_bytes).await?.take()
}

/// A pattern that the server can compare quickly.
pub(super) fn check_pattern(pattern: &str) -> Result<(), CallError> {
    if pattern.len() > PATTERN_BYTES {
        return Err(CallError::Invalid(format!("a pattern has at most {PATTERN_BYTES} bytes")));
    }
    if pattern.matches('*').count() > PATTERN_STARS {
        return Err(CallError::Invalid(format!("a pattern has at most {PATTERN_STARS} `*`")));
    }
    Ok(())
}

fn write_mark(cursor: u64, pattern: &str) -> String {
    format!("{cursor}.{}", fingerprint(pattern))
}

fn read_mark(mark: &str, pattern: &str) -> Result<u64, CallError> {
    let invalid = || CallError::Invalid("the mark is not one that a page with this pattern gave".to_owned());
    let (cursor, print) = mark.split_once('.').ok_or_else(invalid)?;
    let number: u64 = cursor.parse().map_err(|_| invalid())?;
    let is_ours = number != 0 && number.to_string() == cursor && print == fingerprint(pattern);
    if is_ours { Ok(number) } else { Err(invalid()) }
}

fn fingerprint(pattern: &str) -> String {
    Digest::of(pattern.as_bytes()).hex().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_leads_back_to_its_cursor() {
        for cursor in [1, 42, u64::MAX] {
            assert_eq!(read_mark(&write_mark(cursor, "cache:*"), "cache:*"), Ok(cursor));
        }
    }

    #[test]
    fn a_mark_that_was_not_given_is_refused() {
        let good = write_mark(42, "cache:*");
        let print = fingerprint("cache:*");
        for bad in [
            String::new(),
            "42".to_owned(),
            format!("0.{print}"),
            format!("042.{print}"),
            format!("+42.{print}"),
            format!("-1.{print}"),
            format!("18446744073709551616.{print}"),
            format!("42 MATCH *.{print}"),
            format!("42.{print}0"),
            good.to_uppercase(),
            write_mark(42, "session:*"),
        ] {
            assert!(matches!(read_mark(&bad, "cache:*"), Err(CallError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn patterns_that_cost_the_server_dear_are_refused() {
        assert_eq!(check_pattern("cache:*:user:*"), Ok(()));
        assert!(check_pattern(&"a".repeat(257)).is_err());
        assert!(check_pattern("*a*b*c*d*").is_err());
    }
}
