//! Versions of plugins: pushed, activated, rolled back and forgotten. What was acknowledged is there after the kill; what was
//! under way is done or not done, and never half done; a version is the same bytes whenever it is there.
//!
//! Each plugin has one caller, so what is kept of it follows from what that one asked for: see [`Shelf`].

use std::collections::BTreeMap;

use anyhow::Context;
use paramedic::domain::Digest;
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::components;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Subject, Successor, list, once, text, whole};
use crate::ledger::Totals;

/// The plugins that are pushed. Their names are as long as that of the guest program that they are made of.
pub const PLUGINS: [&str; 2] = ["ship", "boat"];

/// Versions that are kept of one plugin. Few, so that old ones go all the time.
pub const KEPT: usize = 4;

/// So many versions are pushed over and over. Each has to be compiled once.
const VERSIONS: usize = 8;

/// More than one part of what the store writes at once.
const LARGE: usize = 1_200_000;

/// The one who ships a plugin.
pub struct Shipper {
    plugin: &'static str,
    /// The components by their versions.
    components: BTreeMap<String, Vec<u8>>,
    /// What follows from all answers.
    shelf: Shelf,
    /// What was asked for and not answered.
    unanswered: Option<Op>,
    /// The last activation that was answered in this round: where, with which key, and how.
    activated: Option<(String, String, Value)>,
    totals: Totals,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    Push(String),
    /// Other bytes under a version that is kept, which are refused.
    Forge(String),
    Activate(String),
    Rollback,
    Forget(String),
}

/// What is kept of a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shelf {
    /// When each version came in, as far as that was told.
    kept: BTreeMap<String, Option<String>>,
    active: Option<String>,
    previous: Option<String>,
}

impl Shelf {
    fn allows(&self, op: &Op) -> bool {
        match op {
            Op::Push(_) => true,
            Op::Forge(version) | Op::Activate(version) => self.kept.contains_key(version),
            Op::Rollback => self.previous.is_some(),
            Op::Forget(version) => self.kept.contains_key(version) && self.active.as_ref() != Some(version),
        }
    }

    /// What it becomes.
    fn after(&self, op: &Op) -> Self {
        let mut shelf = self.clone();
        match op {
            Op::Push(version) if !self.kept.contains_key(version) => {
                shelf.kept.insert(version.clone(), None);
                shelf.activate(version);
                shelf.prune();
            }
            Op::Push(_) | Op::Forge(_) => {}
            Op::Activate(version) => shelf.activate(version),
            Op::Rollback => shelf.activate(&self.previous.clone().unwrap_or_default()),
            Op::Forget(version) => {
                shelf.kept.remove(version);
                shelf.previous.take_if(|previous| previous == version);
            }
        }
        shelf
    }

    fn activate(&mut self, version: &str) {
        if self.active.as_deref() != Some(version) {
            self.previous = self.active.replace(version.to_owned());
        }
    }

    /// The oldest go, but neither the active version nor the one before.
    fn prune(&mut self) {
        while self.kept.len() > KEPT {
            let spare = |version: &&String| ![&self.active, &self.previous].contains(&&Some((*version).clone()));
            let oldest = self.kept.keys().filter(spare).min_by_key(|version| (&self.kept[*version], *version)).cloned();
            self.kept.remove(&oldest.unwrap_or_default());
        }
    }

    /// What the API shows.
    fn shown(versions: &Value) -> Self {
        let word = |member: &str| versions[member].as_str().map(str::to_owned);
        let kept = list(versions, "versions")
            .iter()
            .map(|version| (text(version, "version").to_owned(), Some(text(version, "added").to_owned())));
        Shelf { kept: kept.collect(), active: word("active"), previous: word("previous") }
    }

    /// Whether this can be what is shown.
    fn is(&self, shown: &Shelf) -> bool {
        let same_time = |(version, added): (&String, &Option<String>)| {
            shown.kept.get(version).is_some_and(|shown| added.is_none() || shown == added)
        };
        (&self.active, &self.previous, self.kept.len()) == (&shown.active, &shown.previous, shown.kept.len())
            && self.kept.iter().all(same_time)
    }
}

impl Caller for Shipper {
    fn name(&self) -> &str {
        self.plugin
    }

    fn subject(&self) -> Subject {
        Subject::Uploads
    }

    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        let op = self.choose(&mut asker.rng);
        let key = asker.key();
        self.unanswered = Some(op.clone());
        let answer = whole(self.send(&asker.api, &op, &key)?)?;
        let status = if matches!(op, Op::Forge(_)) { 409 } else { 200 };
        assert_eq!(answer.status, status, "{op:?} on {:?}: {}", self.shelf, answer.body);
        self.shelf = self.shelf.after(&op);
        self.unanswered = None;
        self.note(&op, &key, &answer)?;
        self.shelf = self.look(&asker.api)?;
        if asker.rng.random_bool(0.3) { self.run(&asker.api) } else { Ok(()) }
    }

    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()> {
        let api = &successor.api;
        if let Some((path, key, told)) = self.activated.take() {
            let again = api.ask("POST", &path, &[&once(&key)], "")?;
            assert_eq!((again.field("idempotency-replayed"), &again.json()?), ("true", &told), "{path} with {key}");
        }
        self.shelf = self.look(api)?;
        self.run(api)
    }

    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()> {
        self.unanswered = None;
        self.shelf = self.look(api)?;
        self.run(api)
    }

    fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Shipper {
    /// The one of that plugin.
    pub fn new(plugin: &'static str) -> anyhow::Result<Self> {
        let noop = std::fs::read(components::guest("noop")?).context("cannot read a component")?;
        let component = |number: usize| {
            let version = format!("0.{number}.0");
            let named = components::replaced(&noop, b"noop0.1.0", format!("{plugin}{version}").as_bytes())?;
            Ok((version, if number.is_multiple_of(2) { padded(&named, LARGE) } else { named }))
        };
        Ok(Shipper {
            plugin,
            components: (1..=VERSIONS).map(component).collect::<anyhow::Result<_>>()?,
            shelf: Shelf::default(),
            unanswered: None,
            activated: None,
            totals: Totals::default(),
        })
    }

    /// What was not answered comes first, as a person would have it.
    fn choose(&mut self, rng: &mut StdRng) -> Op {
        if let Some(op) = self.unanswered.take().filter(|op| self.shelf.allows(op)) {
            return op;
        }
        let any: Vec<_> = self.components.keys().cloned().collect();
        let kept: Vec<_> = self.shelf.kept.keys().cloned().collect();
        let version = any.choose(rng).cloned().unwrap_or_default();
        let kept = kept.choose(rng).cloned().unwrap_or_default();
        let op = match rng.random_range(0..10) {
            0..=4 => Op::Push(version.clone()),
            5 => Op::Forge(kept),
            6..=7 => Op::Activate(kept),
            8 => Op::Rollback,
            _ => Op::Forget(kept),
        };
        if self.shelf.allows(&op) { op } else { Op::Push(version) }
    }

    fn send(&self, api: &Api, op: &Op, key: &str) -> anyhow::Result<Answer> {
        let activate = |which: &str| api.ask("POST", &self.path_to_activate(which), &[&once(key)], "");
        match op {
            Op::Push(version) => api.put(&self.path(version), self.component(version), &[]),
            Op::Forge(version) => {
                api.put(&self.path(version), &components::with_note(self.component(version), "forged"), &[])
            }
            Op::Activate(version) => activate(version),
            Op::Rollback => activate("previous"),
            Op::Forget(version) => api.ask("DELETE", &self.path(version), &[&once(key)], ""),
        }
    }

    /// Takes note of an answer.
    fn note(&mut self, op: &Op, key: &str, answer: &Answer) -> anyhow::Result<()> {
        let mut activated =
            |which: &str, told| self.activated = Some((self.path_to_activate(which), key.to_owned(), told));
        match op {
            Op::Push(_) => self.totals.count("uploads acknowledged"),
            Op::Forge(_) => self.totals.count("forged uploads refused"),
            Op::Activate(version) => activated(version, answer.json()?),
            Op::Rollback => activated("previous", answer.json()?),
            Op::Forget(_) => self.totals.count("versions forgotten"),
        }
        Ok(())
    }

    /// What is kept, which has to follow from what was asked for, each version with its own bytes.
    fn look(&mut self, api: &Api) -> anyhow::Result<Shelf> {
        let versions = whole(api.get(&format!("/v1/plugins/{}/versions", self.plugin), &[])?)?.json()?;
        let (shown, expected) = (Shelf::shown(&versions), &self.shelf);
        let done = self.unanswered.as_ref().map(|op| expected.after(op));
        let fits = expected.is(&shown) || done.as_ref().is_some_and(|done| done.is(&shown));
        assert!(fits, "expected {expected:?}, or {done:?} by {:?}; there is {versions}", self.unanswered);
        for version in list(&versions, "versions") {
            let digest = self.digest(text(version, "version"));
            assert_eq!(text(version, "digest"), digest, "a version has other bytes: {version}");
        }
        self.totals.count("looks at versions");
        Ok(shown)
    }

    /// The active version runs, if there is one.
    fn run(&mut self, api: &Api) -> anyhow::Result<()> {
        let Some(active) = &self.shelf.active else { return Ok(()) };
        let run = whole(api.run(&json!({ "plugin": self.plugin }), &[])?)?.json()?;
        let expected = (&json!("ok"), &json!(active), &json!(self.digest(active)));
        assert_eq!((&run["outcome"]["status"], &run["version"], &run["digest"]), expected, "{run}");
        self.totals.count("runs of what was uploaded");
        Ok(())
    }

    fn component(&self, version: &str) -> &[u8] {
        &self.components[version]
    }

    fn digest(&self, version: &str) -> String {
        Digest::of(self.component(version)).to_string()
    }

    fn path(&self, version: &str) -> String {
        format!("/v1/plugins/{}/versions/{version}", self.plugin)
    }

    fn path_to_activate(&self, which: &str) -> String {
        format!("{}/activate", self.path(which))
    }
}

/// A component with so many bytes more that mean nothing.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    // A custom section (0) is its size, the length of its name, the name and what it holds. Sizes have seven bits a byte.
    let size = bytes + 4;
    let size: Vec<u8> = (0..4).map(|n| (size >> (7 * n) & 0x7f) as u8 | if n < 3 { 0x80 } else { 0 }).collect();
    [component, &[0], &size, b"\x03pad", &vec![0x55; bytes]].concat()
}
