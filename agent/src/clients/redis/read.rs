//! One command of a plugin's choosing, from the list, about keys that the server itself names.
//!
//! ```text
//! words ─► on the list? ─► keys as the list sees them: granted? ─┐
//!   ┌───────────────────────────────────────────────────────────┘
//!   └► one round trip: the server's own view of the keys, and how large the answer would be
//!        └► the same keys, all only read, all granted, small enough? ─► the command ─► one form of answer
//! ```
//!
//! Our list could be wrong about where a command's keys are; the server cannot. Its errors count as a no, whatever
//! their reason.

use ::redis::Value;

use super::super::resp::{Answers, Command, Server};
use super::commands::{self, ELEMENTS, Estimate, Request, Span};
use super::reply::{self, Reply};
use super::{SMALL_ANSWER_BYTES, USAGE_SAMPLES};
use crate::domain::{CallError, CallLimits};
use crate::policy::{Permit, op};

/// A key takes up more than the text in it: this many times as much may be found before an answer is refused unseen.
const OVERHEAD: usize = 4;

/// Largest string that is counted through.
const WORK_BYTES: u64 = 16 << 20;

/// Judge `words`, send them, and give the answer its form.
pub(super) async fn run(
    server: &Server,
    permit: &Permit<op::RedisRead>,
    limits: &CallLimits,
    words: &[String],
) -> Result<Reply, CallError> {
    let request = commands::parse(words)?;
    for key in &request.keys {
        permit.admit_key(key.as_bytes())?;
    }
    if !request.keys.is_empty() {
        let mut answers = server.ask(limits, &questions(&request), SMALL_ANSWER_BYTES).await?;
        judge_keys(permit, &request, &mut answers)?;
        judge_size(&request, limits, &mut answers)?;
    }
    let most_bytes = limits.answer_bytes.saturating_mul(OVERHEAD).max(SMALL_ANSWER_BYTES);
    let value: Value = server.ask(limits, std::slice::from_ref(&request.command), most_bytes).await?.take()?;
    if request.is_capped && reply::elements(&value) > ELEMENTS {
        return Err(CallError::TooLarge(format!("there are more than {ELEMENTS} elements; limit their number")));
    }
    let reply = Reply::new(value)?;
    if reply.size() > limits.answer_bytes {
        return Err(too_large(reply.size() as u64));
    }
    Ok(reply)
}

fn too_large(bytes: u64) -> CallError {
    CallError::TooLarge(format!("the answer would have {bytes} bytes"))
}

/// What to ask first: the keys of the command, then what its [`Estimate`] needs.
fn questions(request: &Request) -> Vec<Command> {
    let mut questions = vec![Command::new("COMMAND").arg("GETKEYSANDFLAGS").args(request.command.words())];
    let usage = |key: &String| Command::new("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").number(USAGE_SAMPLES);
    let first = request.keys.first().map_or("", String::as_str);
    match &request.size {
        Estimate::Small => {}
        Estimate::Whole | Estimate::Work => questions.extend(request.keys.iter().map(usage)),
        Estimate::WholeOf(count) | Estimate::Part(count, _) => {
            questions.extend(request.keys.iter().map(usage));
            questions.push(Command::new(count).arg(first));
        }
        Estimate::Fields(fields) => {
            questions.extend(fields.iter().map(|field| Command::new("HSTRLEN").arg(first).arg(field)));
        }
    }
    questions
}

/// The server must name the keys that our list names, and say of each that it is only read.
fn judge_keys(permit: &Permit<op::RedisRead>, request: &Request, answers: &mut Answers) -> Result<(), CallError> {
    let named: Vec<(Vec<u8>, Vec<String>)> = match answers.try_take() {
        Ok(Ok(named)) => named,
        Ok(Err(error)) if error.code() == "NOPERM" => {
            return Err(error.to_call_error(crate::domain::System::Redis));
        }
        Ok(Err(_)) | Err(_) => {
            let text = "the server does not tell which keys the command touches (Redis 7.0 or later does)";
            return Err(CallError::Invalid(text.to_owned()));
        }
    };
    for (key, _) in &named {
        permit.admit_key(key)?;
    }
    let is_read = |flags: &Vec<String>| {
        flags.iter().any(|flag| flag == "RO") && flags.iter().all(|flag| flag == "RO" || flag == "access")
    };
    let is_same = named.iter().map(|(key, _)| key.as_slice()).eq(request.keys.iter().map(String::as_bytes));
    if is_same && named.iter().all(|(_, flags)| is_read(flags)) {
        return Ok(());
    }
    Err(CallError::Invalid("the server says that the command does more than read the keys it names".to_owned()))
}

fn judge_size(request: &Request, limits: &CallLimits, answers: &mut Answers) -> Result<(), CallError> {
    let allowed = (limits.answer_bytes as u64).saturating_mul(OVERHEAD as u64);
    let (bytes, elements) = match &request.size {
        Estimate::Small => (0, 0),
        Estimate::Whole => (sum(request.keys.len(), answers)?, 0),
        Estimate::Work => {
            let bytes = sum(request.keys.len(), answers)?;
            if bytes > WORK_BYTES {
                return Err(CallError::TooLarge(format!("the server would have to read {bytes} bytes")));
            }
            (0, 0)
        }
        Estimate::Fields(fields) => (sum(fields.len(), answers)?, 0),
        Estimate::WholeOf(_) => (sum(request.keys.len(), answers)?, answers.take::<u64>()?),
        Estimate::Part(_, span) => share(sum(request.keys.len(), answers)?, answers.take()?, *span),
    };
    if elements > ELEMENTS && !matches!(request.size, Estimate::WholeOf(_)) {
        return Err(CallError::TooLarge(format!("{elements} elements are more than the {ELEMENTS} of one answer")));
    }
    if elements > ELEMENTS * 10 {
        return Err(CallError::TooLarge(format!("the key has {elements} elements; walk over it instead")));
    }
    if bytes > allowed { Err(too_large(bytes)) } else { Ok(()) }
}

/// Sizes of so many keys or fields; those that do not exist have none.
fn sum(count: usize, answers: &mut Answers) -> Result<u64, CallError> {
    (0..count).try_fold(0_u64, |sum, _| Ok(sum.saturating_add(answers.take::<Option<u64>>()?.unwrap_or(0))))
}

/// Bytes and number of the elements in `span`, if all are alike.
fn share(bytes: u64, length: u64, span: Span) -> (u64, u64) {
    let elements = span.of(length);
    let bytes = u128::from(bytes) * u128::from(elements) / u128::from(length.max(1));
    (u64::try_from(bytes).unwrap_or(u64::MAX), elements)
}
