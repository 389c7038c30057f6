//! What people order at one replica and all have to follow: freezes of changes, and silences of sweeps.
//!
//! What was taken back stays known until it would have been over by itself, so that no replica brings it in again.

use serde::{Deserialize, Serialize};

use super::entries::{self, Unreadable};
use crate::domain::{Actor, Entries, Freeze, FreezeId, Scope, Silence, SilenceId, Timestamp};

const FREEZE: &str = "freeze.";
const SILENCE: &str = "silence.";

/// A freeze, and who lifted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFreeze {
    /// The freeze.
    pub freeze: Freeze,
    /// Who lifted it, if somebody did.
    pub lifted_by: Option<Actor>,
}

/// A silence, and whether it was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSilence {
    /// The silence.
    pub silence: Silence,
    /// Whether somebody ended it, or its sweep recovered.
    pub has_ended: bool,
}

#[derive(Serialize, Deserialize)]
struct FreezeEntry {
    target: Option<String>,
    plugin: Option<String>,
    reason: String,
    creator: String,
    created: u64,
    expires: u64,
    lifted_by: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SilenceEntry {
    sweep: Option<String>,
    reason: String,
    creator: String,
    created: u64,
    expires: u64,
    expire_on_resolve: bool,
    has_ended: bool,
}

/// Share a freeze; one that is known stays as it is.
pub(super) fn freeze(entries: &mut Entries, freeze: &Freeze) {
    let key = format!("{FREEZE}{}", freeze.id);
    if entries.contains_key(&key) {
        return;
    }
    let (target, plugin) = match &freeze.scope {
        Scope::All => (None, None),
        Scope::Target(target) => (Some(target.to_string()), None),
        Scope::Plugin(plugin) => (None, Some(plugin.to_string())),
    };
    let entry = FreezeEntry {
        target,
        plugin,
        reason: freeze.reason.clone(),
        creator: freeze.creator.0.clone(),
        created: freeze.created.as_millis(),
        expires: freeze.expires.as_millis(),
        lifted_by: None,
    };
    entries::write(entries, key, &entry);
}

/// Lift a freeze, if it is shared.
pub(super) fn lift(entries: &mut Entries, id: FreezeId, by: &Actor) -> Result<(), Unreadable> {
    let key = format!("{FREEZE}{id}");
    if let Some(entry) = entries::read::<FreezeEntry>(entries, &key)? {
        let lifted_by = entry.lifted_by.clone().or_else(|| Some(by.0.clone()));
        entries::write(entries, key, &FreezeEntry { lifted_by, ..entry });
    }
    Ok(())
}

/// All freezes. One that cannot be read holds nothing, and is logged.
pub(super) fn freezes(entries: &Entries) -> Vec<SharedFreeze> {
    let all = entries.keys().filter_map(|key| Some((key, key.strip_prefix(FREEZE)?.parse::<FreezeId>().ok()?)));
    let read = |(key, id): (&String, FreezeId)| {
        let FreezeEntry { target, plugin, reason, creator, created, expires, lifted_by } = readable(entries, key)?;
        let scope = match (target, plugin) {
            (None, None) => Scope::All,
            (Some(target), _) => Scope::Target(target.parse().ok()?),
            (None, Some(plugin)) => Scope::Plugin(plugin.parse().ok()?),
        };
        let (creator, created, expires) =
            (Actor(creator), Timestamp::from_millis(created), Timestamp::from_millis(expires));
        let freeze = Freeze { id, scope, reason, creator, created, expires };
        Some(SharedFreeze { freeze, lifted_by: lifted_by.map(Actor) })
    };
    all.filter_map(read).collect()
}

/// Share a silence; one that is known stays as it is.
pub(super) fn silence(entries: &mut Entries, silence: &Silence) {
    let key = format!("{SILENCE}{}", silence.id);
    if entries.contains_key(&key) {
        return;
    }
    let entry = SilenceEntry {
        sweep: silence.sweep.as_ref().map(ToString::to_string),
        reason: silence.reason.clone(),
        creator: silence.creator.0.clone(),
        created: silence.created.as_millis(),
        expires: silence.expires.as_millis(),
        expire_on_resolve: silence.expire_on_resolve,
        has_ended: false,
    };
    entries::write(entries, key, &entry);
}

/// End a silence, if it is shared. Tells whether it is.
pub(super) fn end_silence(entries: &mut Entries, id: SilenceId) -> Result<bool, Unreadable> {
    let key = format!("{SILENCE}{id}");
    let Some(entry) = entries::read::<SilenceEntry>(entries, &key)? else { return Ok(false) };
    let held = !entry.has_ended;
    entries::write(entries, key, &SilenceEntry { has_ended: true, ..entry });
    Ok(held)
}

/// All silences. One that cannot be read silences nothing, and is logged.
pub(super) fn silences(entries: &Entries) -> Vec<SharedSilence> {
    let all = entries.keys().filter_map(|key| Some((key, key.strip_prefix(SILENCE)?.parse::<SilenceId>().ok()?)));
    let read = |(key, id): (&String, SilenceId)| {
        let entry: SilenceEntry = readable(entries, key)?;
        let silence = Silence {
            id,
            sweep: entry.sweep.map(|sweep| sweep.parse()).transpose().ok()?,
            reason: entry.reason,
            creator: Actor(entry.creator),
            created: Timestamp::from_millis(entry.created),
            expires: Timestamp::from_millis(entry.expires),
            expire_on_resolve: entry.expire_on_resolve,
        };
        Some(SharedSilence { silence, has_ended: entry.has_ended })
    };
    all.filter_map(read).collect()
}

/// Take away what is over.
pub(super) fn prune(entries: &mut Entries, now: Timestamp) {
    let freezes =
        freezes(entries).into_iter().map(|shared| (shared.freeze.expires, format!("{FREEZE}{}", shared.freeze.id)));
    let silences =
        silences(entries).into_iter().map(|shared| (shared.silence.expires, format!("{SILENCE}{}", shared.silence.id)));
    for (_, key) in freezes.chain(silences).filter(|(expires, _)| *expires <= now) {
        entries.remove(&key);
    }
}

fn readable<T: serde::de::DeserializeOwned>(entries: &Entries, key: &str) -> Option<T> {
    entries::read(entries, key).unwrap_or_else(|error| {
        tracing::error!(%error, "what somebody ordered at another replica is not followed");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(2_000);

    #[test]
    fn a_freeze_goes_round_whole_and_once_it_is_lifted_stays_so() {
        let mut entries = Entries::new();
        let scopes =
            [Scope::All, Scope::Target("redis/cache".parse().unwrap()), Scope::Plugin("noop".parse().unwrap())];
        for scope in scopes {
            let (id, reason, creator) = (FreezeId::new(NOW), "a migration".to_owned(), Actor("alice".to_owned()));
            let wanted = Freeze { id, scope, reason, creator, created: NOW, expires: LATER };
            freeze(&mut entries, &wanted);
            assert!(freezes(&entries).contains(&SharedFreeze { freeze: wanted.clone(), lifted_by: None }));
            lift(&mut entries, id, &Actor("bob".to_owned())).unwrap();
            lift(&mut entries, id, &Actor("carol".to_owned())).unwrap();
            // A replica that did not hear of it yet.
            freeze(&mut entries, &wanted);
            let lifted_by = Some(Actor("bob".to_owned()));
            assert!(freezes(&entries).contains(&SharedFreeze { freeze: wanted, lifted_by }));
        }
        lift(&mut entries, FreezeId::new(NOW), &Actor("bob".to_owned())).unwrap();
        assert_eq!(freezes(&entries).len(), 3);
        prune(&mut entries, NOW);
        assert_eq!(freezes(&entries).len(), 3);
        prune(&mut entries, LATER);
        assert_eq!(entries, Entries::new());
    }

    #[test]
    fn a_silence_goes_round_whole_and_once_it_is_ended_stays_so() {
        let mut entries = Entries::new();
        for sweep in [None, Some("health".parse().unwrap())] {
            let (id, reason, creator) = (SilenceId::new(NOW), "known".to_owned(), Actor("alice".to_owned()));
            let wanted = Silence { id, sweep, reason, creator, created: NOW, expires: LATER, expire_on_resolve: true };
            silence(&mut entries, &wanted);
            assert!(silences(&entries).contains(&SharedSilence { silence: wanted.clone(), has_ended: false }));
            assert_eq!(end_silence(&mut entries, id), Ok(true));
            assert_eq!(end_silence(&mut entries, id), Ok(false));
            silence(&mut entries, &wanted);
            assert!(silences(&entries).contains(&SharedSilence { silence: wanted, has_ended: true }));
        }
        entries.insert(format!("{SILENCE}{}", SilenceId::new(NOW)), "{}".to_owned());
        assert_eq!(silences(&entries).len(), 2, "one that cannot be read takes none with it");
    }
}
