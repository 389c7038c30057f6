//! `paramedic audit`: whether the records of an agent are as they were recorded, and what they are.
//!
//! `check` asks nobody: it knows of the chain what `docs/audit.md` says of it, and shares no code with the agent's own
//! verification.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::{card, shape};
use crate::domain::{Anchor, Digest};

/// Exit code for what is not as it was recorded.
const BROKEN: u8 = 2;

/// Longest line that is read. Nothing that the agent links comes near it.
const MAX_LINE: u64 = 16 << 20;

/// Look whether the records are as they were recorded, or take them elsewhere.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Have an agent compare all of its records; exits with 0 if all is as it was recorded, with 2 if not.
    Verify(Verify),
    /// Print the chain of an agent, one link a line.
    Export(Export),
    /// Print the head of an agent's chain, to be noted elsewhere.
    Head(Head),
    /// Look whether an exported chain is whole, without an agent; exits with 0 if it is, with 2 if not.
    Check(Check),
}

/// Have an agent compare all of its records.
#[derive(Args, Debug)]
pub struct Verify {
    /// A link that was the head once, as the log told it: its number, a colon and its hash.
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Anchor>,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Print the head of an agent's chain.
#[derive(Args, Debug)]
pub struct Head {
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Print the chain of an agent.
#[derive(Args, Debug)]
pub struct Export {
    /// Number of the first link.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
}

/// Look whether an exported chain is whole.
#[derive(Args, Debug)]
pub struct Check {
    /// What `paramedic audit export` printed; `-` for standard input.
    file: PathBuf,
    /// A link that was the head once: its number, a colon and its hash.
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Anchor>,
}

impl Audit {
    /// Ask an agent, or with nobody to ask tell what a file holds.
    pub(super) fn needs_no_agent(self) -> Result<Check, Self> {
        match self {
            Self::Check(check) => Ok(check),
            other => Err(other),
        }
    }

    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self {
            Self::Verify(verify) => verify.execute(client).await,
            Self::Export(export) => export.execute(client).await,
            Self::Head(Head { output }) => {
                let head: shape::ChainHead = client.get(&["v1", "audit", "head"], &[]).await?;
                output::answer(output, &head, card::chain_head)?;
                Ok(0)
            }
            Self::Check(check) => check.execute().map_err(AskError::Output),
        }
    }
}

impl Verify {
    async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let request = shape::AuditRequest { head: self.head.map(|head| head.to_string()) };
        let audit: shape::Audit = client.post(&["v1", "audit", "verify"], &[], &request).await?;
        output::answer(self.output, &audit, card::audit)?;
        Ok(if audit.broken.is_some() { BROKEN } else { 0 })
    }
}

impl Export {
    async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let mut lines = client.lines(&["v1", "audit", "export"], &[("from", &self.from.to_string())]).await?;
        let mut out = io::stdout().lock();
        while let Some(part) = lines.chunk().await.map_err(|_| AskError::Broken)? {
            match out.write_all(&part) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
                result => result.map_err(AskError::Output)?,
            }
        }
        out.flush().map_err(AskError::Output)?;
        Ok(0)
    }
}

impl Check {
    /// Look at all lines, print what was found and tell the exit code.
    pub(super) fn execute(self) -> io::Result<u8> {
        let found = if self.file.as_os_str() == "-" {
            check(io::stdin().lock(), self.head)?
        } else {
            check(BufReader::new(File::open(&self.file)?), self.head)?
        };
        let (text, code) = match found {
            Ok(whole) => (whole, 0),
            Err(broken) => (format!("BROKEN: {broken}"), BROKEN),
        };
        output::print(&mut anstream::stdout().lock(), &(text + "\n"))?;
        Ok(code)
    }
}

/// What is known after some lines.
struct Known {
    first: u64,
    last: Anchor,
    met: bool,
}

/// Whether the lines are a chain: what there is of it, or where it breaks.
fn check(mut file: impl BufRead, head: Option<Anchor>) -> io::Result<Result<String, String>> {
    let mut known: Option<Known> = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let length = io::Read::take(&mut file, MAX_LINE).read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        known = match link(&line, known, head) {
            Ok(known) => Some(known),
            Err(why) => return Ok(Err(format!("line {number}: {why}"))),
        };
    }
    let Some(Known { first, last, met }) = known else { return Ok(Err("there is no link".to_owned())) };
    if let Some(head) = head.filter(|_| !met) {
        return Ok(Err(format!(
            "link {} was the head once, and is not among these links {first} to {}",
            head.seq, last.seq
        )));
    }
    let before = if first > 1 { "; what came before is not among them" } else { "" };
    Ok(Ok(format!("links {first} to {} are as they were recorded{before}\nhead {last}", last.seq)))
}

/// What is known after this line too, or what is wrong with it.
fn link(line: &[u8], known: Option<Known>, head: Option<Anchor>) -> Result<Known, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is no text")?;
    let text = text.strip_suffix('\n').ok_or("it was cut off")?;
    let mut link: Map<String, Value> = serde_json::from_str(text).map_err(|error| format!("it is no link: {error}"))?;
    // Anything else than the one form could say two things at once.
    if canonical(&link)? != text {
        return Err("it is not written as it was exported".to_owned());
    }
    let hash = digest(link.remove("hash"))?;
    if Digest::of(canonical(&link)?.as_bytes()) != hash {
        return Err("it is not as it was recorded: its hash is another".to_owned());
    }
    let seq = link.get("seq").and_then(Value::as_u64).filter(|seq| *seq > 0).ok_or("it has no number")?;
    let prev = digest(link.remove("prev"))?;
    let begins = link.get("kind").and_then(Value::as_str) == Some("genesis") && prev == Digest::from_bytes([0; 32]);
    match &known {
        Some(Known { last, .. }) if seq != last.seq + 1 => {
            return Err(format!("link {seq} comes after link {}", last.seq));
        }
        Some(Known { last, .. }) if prev != last.hash => {
            return Err(format!("link {seq} does not belong behind link {}", last.seq));
        }
        None if seq == 1 && !begins => return Err("the first link is not the beginning of a chain".to_owned()),
        Some(_) | None => {}
    }
    let last = Anchor { seq, hash };
    if head.is_some_and(|head| head.seq == seq && head != last) {
        return Err(format!("link {seq} is another one than was the head then: the chain was written anew"));
    }
    let met = head == Some(last) || known.as_ref().is_some_and(|known| known.met);
    Ok(Known { first: known.map_or(seq, |known| known.first), last, met })
}

fn canonical(value: &Map<String, Value>) -> Result<String, String> {
    serde_json_canonicalizer::to_string(value).map_err(|error| format!("it has no canonical form: {error}"))
}

fn digest(value: Option<Value>) -> Result<Digest, String> {
    let text = value.as_ref().and_then(Value::as_str).filter(|text| text.len() == 64);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| "it has no hash".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An export of three links, made as `docs/audit.md` says.
    fn export() -> Vec<String> {
        let mut prev = Digest::from_bytes([0; 32]);
        let mut lines = Vec::new();
        for (seq, kind) in [(1, "genesis"), (2, "run_ended"), (3, "run_ended")] {
            let body = serde_json::json!({ "state": "ok", "é": 2.5 });
            let link = serde_json::json!({
                "body": body, "kind": kind, "prev": prev.hex(), "run": null, "seq": seq, "time": 1_772_323_200_000_u64,
            });
            let mut link = link.as_object().unwrap().clone();
            prev = Digest::of(canonical(&link).unwrap().as_bytes());
            link.insert("hash".to_owned(), prev.hex().into());
            lines.push(canonical(&link).unwrap() + "\n");
        }
        lines
    }

    fn found(lines: &[String], head: Option<Anchor>) -> Result<String, String> {
        check(lines.concat().as_bytes(), head).unwrap()
    }

    #[test]
    fn a_whole_export_is_sound_and_so_is_a_later_part() {
        let lines = export();
        assert!(found(&lines, None).unwrap().starts_with("links 1 to 3 are as they were recorded\nhead 3:"));
        let part = found(&lines[1..], None).unwrap();
        assert!(part.starts_with("links 2 to 3 are as they were recorded; what came before is not among them"));
    }

    #[test]
    fn any_byte_that_is_another_is_found() {
        let text = export().concat().into_bytes();
        for n in 0..text.len() {
            let mut other = text.clone();
            other[n] ^= 1;
            assert!(check(other.as_slice(), None).unwrap().is_err(), "byte {n}");
        }
    }

    #[test]
    fn lines_that_are_gone_or_have_changed_places_are_found() {
        let lines = export();
        let of = |numbers: &[usize]| numbers.iter().map(|n| lines[*n].clone()).collect::<Vec<_>>();
        let cases: [(&[usize], &str); 4] = [
            (&[0, 2], "line 2: link 3 comes after link 1"),
            (&[0, 2, 1], "line 2: link 3 comes after link 1"),
            (&[0, 1, 1], "line 3: link 2 comes after link 2"),
            (&[], "there is no link"),
        ];
        for (numbers, why) in cases {
            assert_eq!(found(&of(numbers), None).unwrap_err(), why);
        }
        let cut = [lines.concat().trim_end().to_owned()];
        assert_eq!(found(&cut, None).unwrap_err(), "line 3: it was cut off");
    }

    #[test]
    fn a_head_that_was_noted_finds_an_end_that_is_missing() {
        let lines = export();
        let whole = found(&lines, None).unwrap();
        let head: Anchor = whole.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(found(&lines, Some(head)).is_ok());
        let why = found(&lines[..2], Some(head)).unwrap_err();
        assert_eq!(why, "link 3 was the head once, and is not among these links 1 to 2");
        let other = Anchor { hash: Digest::of(b""), ..head };
        assert!(found(&lines, Some(other)).unwrap_err().contains("written anew"));
    }
}
