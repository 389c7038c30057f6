//! A bounded look at the keys: some steps through them, each measured in one round trip. Where a walk through all keys
//! begins is a matter of hashes, so its first steps are as good a sample as any.

use crate::Params;
use paramedic_sdk::redis::{self, KeyUsage};
use paramedic_sdk::{Error, Outcome, Seconds, clock, log};
use std::collections::BTreeSet;

/// Keys asked for in one step: more would keep the server from others for longer than a millisecond or two.
const STEP: u32 = 500;
/// Steps of one pattern, whether they found anything or not. A run has some 500 calls for everything.
const MAX_STEPS: usize = 100;
/// Time that the rest of the run needs.
const RESERVE: Seconds = 3.0;

/// Keys with what they take up.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) keys: Vec<KeyUsage>,
    /// True when it is all there is, and so no sample.
    pub(crate) complete: bool,
    /// True when it is drawn from all keys, so that what holds for it can be said of all.
    pub(crate) unbiased: bool,
    pub(crate) ended_by: Option<Error>,
}

pub(crate) fn draw(params: &Params) -> Sample {
    let mut sample =
        Sample { unbiased: params.patterns == ["*"], complete: params.sample_keys > 0, ..Sample::default() };
    let quota = params.sample_keys / params.patterns.len().max(1);
    let mut seen = BTreeSet::new();
    for pattern in &params.patterns {
        match walk(&params.target, pattern, quota, &mut seen, &mut sample.keys) {
            Ok(complete) => sample.complete &= complete,
            Err(error) => {
                log::warn(&format!("the sample of {pattern} ended early: {error}"));
                sample.complete = false;
                sample.ended_by = Some(error);
            }
        }
    }
    sample
}

/// Collect up to `quota` keys. Returns whether these are all that match.
fn walk(
    target: &str,
    pattern: &str,
    quota: usize,
    seen: &mut BTreeSet<String>,
    keys: &mut Vec<KeyUsage>,
) -> Result<bool, Error> {
    let (mut after, mut left) = (None::<String>, quota);
    for _ in 0..MAX_STEPS {
        if left == 0 || clock::remaining() < RESERVE {
            return Ok(false);
        }
        let page = redis::scan(target, pattern, after.as_deref(), STEP)?;
        // The same key can come twice, and a page can be larger than was asked for.
        let mut new: Vec<String> = page.keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
        let cut = new.len() > left;
        new.truncate(left);
        left -= new.len();
        for chunk in new.chunks(STEP as usize) {
            keys.extend(redis::usage(target, chunk)?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(!cut),
        }
    }
    Ok(false)
}

impl Sample {
    /// What a reader has to know about the sample.
    pub(crate) fn explain(&self, outcome: &mut Outcome) {
        if let Some(error) = &self.ended_by {
            outcome.note(format!("Keys were sampled in part only: {error}."));
        } else if !self.keys.is_empty() && !self.complete {
            outcome.note(format!("What is said of key groups rests on a sample of {} keys.", self.keys.len()));
        }
    }
}
