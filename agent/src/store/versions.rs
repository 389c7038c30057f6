//! The SQL about versions of plugins: which there are, which runs, which waits, and quarantines.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, collect, integer, millis};
use super::profile::Profile;
use super::{KeepBounds, KeptPlugin, KeptQuarantine, KeptVersion, StoreError, Waiting, components};
use crate::domain::{Actor, Arrival, Digest, Origin, PluginName};

const KEEP: &str = "INSERT OR REPLACE INTO plugin_versions \
     (plugin, version, digest, size, origin, actor, signer, signature, added, profile) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const WAIT: &str = "INSERT OR REPLACE INTO plugin_waiting \
     (plugin, version, digest, size, origin, actor, signer, signature, added, profile, reason) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// The one that ran becomes the previous one, unless it is the same. What was delivered stays known where nothing new was.
const ACTIVATE: &str = "INSERT INTO plugins (plugin, active, previous, delivered) VALUES (?1, ?2, NULL, ?3) \
     ON CONFLICT (plugin) DO UPDATE SET \
     previous = CASE WHEN active IS NULL OR active = ?2 THEN previous ELSE active END, \
     active = ?2, delivered = coalesce(?3, delivered)";

const SPARE: &str = "SELECT version, size FROM plugin_versions WHERE plugin = ?1 \
     AND version NOT IN (SELECT active FROM plugins WHERE plugin = ?1 AND active IS NOT NULL \
     UNION SELECT previous FROM plugins WHERE plugin = ?1 AND previous IS NOT NULL) \
     ORDER BY added, version";

const KEEP_QUARANTINE: &str = "INSERT OR REPLACE INTO plugin_quarantines (plugin, digest, since, until, round, reason) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// A version ready to be written.
pub(super) struct Row {
    plugin: PluginName,
    version: Option<String>,
    arrival: Arrival,
    profile: String,
}

impl Row {
    /// A version that was admitted.
    pub(super) fn of_version(plugin: &PluginName, version: KeptVersion) -> Result<Self, StoreError> {
        Self::new(plugin, Some(version.version.to_string()), version.arrival)
    }

    /// A component that waits.
    pub(super) fn of_waiting(plugin: &PluginName, waiting: &Waiting) -> Result<Self, StoreError> {
        Self::new(plugin, waiting.version.as_ref().map(ToString::to_string), waiting.arrival.clone())
    }

    fn new(plugin: &PluginName, version: Option<String>, arrival: Arrival) -> Result<Self, StoreError> {
        let profile = serde_json::to_string(&Profile::from(arrival.profile.clone()))
            .map_err(|error| StoreError::Invalid(format!("the description of {plugin} cannot be kept: {error}")))?;
        Ok(Self { plugin: plugin.clone(), version, arrival, profile })
    }

    /// Digest of the component.
    pub(super) const fn digest(&self) -> Digest {
        self.arrival.digest
    }

    /// What the file or the folder brought, if it came from there.
    fn delivered(&self) -> Option<Digest> {
        match self.arrival.origin {
            Origin::File | Origin::Folder => Some(self.arrival.digest),
            Origin::Upload => None,
        }
    }
}

/// Everything about one plugin.
pub(super) fn kept(db: &Connection, plugin: &PluginName) -> Result<KeptPlugin, StoreError> {
    let name = plugin.as_str();
    let sql = "SELECT * FROM plugin_versions WHERE plugin = ?1 ORDER BY added DESC, version DESC";
    let versions = collect(db.prepare_cached(sql)?.query([name])?, "plugin_versions", |row| {
        Ok(KeptVersion { version: row.parsed("version")?, arrival: arrival(row)? })
    })?;
    let mut waiting = collect(
        db.prepare_cached("SELECT * FROM plugin_waiting WHERE plugin = ?1")?.query([name])?,
        "plugin_waiting",
        |row| Ok(Waiting { version: version(row, "version")?, arrival: arrival(row)?, reason: row.get("reason")? }),
    )?;
    let mut standing =
        collect(db.prepare_cached("SELECT * FROM plugins WHERE plugin = ?1")?.query([name])?, "plugins", |row| {
            let delivered: Option<[u8; 32]> = row.get("delivered")?;
            Ok((version(row, "active")?, version(row, "previous")?, delivered.map(Digest::from_bytes)))
        })?;
    let (active, previous, delivered) = standing.pop().unwrap_or_default();
    Ok(KeptPlugin {
        versions,
        active,
        previous,
        waiting: waiting.pop(),
        delivered,
        quarantine: quarantine(db, plugin)?,
    })
}

fn version(row: &Columns<'_>, column: &str) -> Result<Option<semver::Version>, StoreError> {
    row.get::<Option<String>>(column)?.map(|_| row.parsed(column)).transpose()
}

fn arrival(row: &Columns<'_>) -> Result<Arrival, StoreError> {
    let profile: Profile = row.json("profile")?;
    Ok(Arrival {
        digest: Digest::from_bytes(row.bytes("digest")?),
        size: row.unsigned("size")?,
        origin: row.label("origin", |label| Origin::ALL.into_iter().find(|origin| origin.as_str() == label))?,
        actor: row.get::<Option<String>>("actor")?.map(Actor),
        signer: row.get("signer")?,
        signature: row.get("signature")?,
        at: row.time("added")?,
        profile: profile.try_into().map_err(|error| row.damaged("profile", error))?,
    })
}

fn quarantine(db: &Connection, plugin: &PluginName) -> Result<Option<KeptQuarantine>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM plugin_quarantines WHERE plugin = ?1")?;
    let mut found = collect(statement.query([plugin.as_str()])?, "plugin_quarantines", |row| {
        Ok(KeptQuarantine {
            digest: Digest::from_bytes(row.bytes("digest")?),
            since: row.time("since")?,
            until: row.time("until")?,
            round: row.unsigned("round")?,
            reason: row.get("reason")?,
        })
    })?;
    Ok(found.pop())
}

/// Keep a version, make it the active one, and remove what is beyond the bounds.
pub(super) fn keep_active(db: &Connection, row: &Row, bounds: KeepBounds) -> Result<(), StoreError> {
    let (plugin, arrival) = (row.plugin.as_str(), &row.arrival);
    db.prepare_cached(KEEP)?.execute(params![
        plugin,
        row.version,
        arrival.digest.as_bytes(),
        integer(arrival.size),
        arrival.origin.as_str(),
        arrival.actor.as_ref().map(|actor| actor.0.as_str()),
        arrival.signer,
        arrival.signature,
        millis(arrival.at),
        row.profile,
    ])?;
    let delivered = row.delivered();
    db.prepare_cached(ACTIVATE)?.execute(params![plugin, row.version, delivered.as_ref().map(Digest::as_bytes)])?;
    db.prepare_cached("DELETE FROM plugin_waiting WHERE plugin = ?1")?.execute([plugin])?;
    prune(db, plugin, bounds)
}

/// Keep a component that waits.
pub(super) fn keep_waiting(db: &Connection, row: &Row, reason: &str) -> Result<(), StoreError> {
    let arrival = &row.arrival;
    db.prepare_cached(WAIT)?.execute(params![
        row.plugin.as_str(),
        row.version,
        arrival.digest.as_bytes(),
        integer(arrival.size),
        arrival.origin.as_str(),
        arrival.actor.as_ref().map(|actor| actor.0.as_str()),
        arrival.signer,
        arrival.signature,
        millis(arrival.at),
        row.profile,
        reason,
    ])?;
    Ok(())
}

/// Remove the oldest versions until the bounds hold. The active one and the one before count, and stay.
fn prune(db: &Connection, plugin: &str, bounds: KeepBounds) -> Result<(), StoreError> {
    let total = "SELECT count(*), coalesce(sum(size), 0) FROM plugin_versions WHERE plugin = ?1";
    let (mut count, mut bytes): (i64, i64) =
        db.prepare_cached(total)?.query_row([plugin], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement = db.prepare_cached(SPARE)?;
    let spare = collect(statement.query([plugin])?, "plugin_versions", |row| {
        Ok((row.get::<String>("version")?, row.get::<i64>("size")?))
    })?;
    for (version, size) in spare {
        if count <= integer(bounds.versions) && bytes <= integer(bounds.bytes) {
            break;
        }
        remove(db, plugin, &version)?;
        (count, bytes) = (count - 1, bytes.saturating_sub(size));
    }
    Ok(())
}

fn remove(db: &Connection, plugin: &str, version: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM plugin_versions WHERE plugin = ?1 AND version = ?2";
    Ok(db.prepare_cached(sql)?.execute([plugin, version])? > 0)
}

/// Make a kept version the active one.
pub(super) fn activate(
    db: &Connection,
    plugin: &PluginName,
    version: &str,
    delivered: Option<Digest>,
) -> Result<(), StoreError> {
    let known = "SELECT 1 FROM plugin_versions WHERE plugin = ?1 AND version = ?2";
    if !db.prepare_cached(known)?.exists([plugin.as_str(), version])? {
        return Err(StoreError::UnknownVersion { plugin: plugin.clone(), version: version.to_owned() });
    }
    let delivered = delivered.as_ref().map(Digest::as_bytes);
    db.prepare_cached(ACTIVATE)?.execute(params![plugin.as_str(), version, delivered])?;
    Ok(())
}

/// Forget a version, unless it is the active one.
pub(super) fn forget(db: &Connection, plugin: &PluginName, version: &str) -> Result<bool, StoreError> {
    let name = plugin.as_str();
    let active: Option<Option<String>> = db
        .prepare_cached("SELECT active FROM plugins WHERE plugin = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if active.flatten().as_deref() == Some(version) {
        return Err(StoreError::Invalid(format!("version {version} of {plugin} is active")));
    }
    let removed = remove(db, name, version)?;
    let sql = "UPDATE plugins SET previous = NULL WHERE plugin = ?1 AND previous = ?2";
    db.prepare_cached(sql)?.execute([name, version])?;
    components::forget_unused(db)?;
    Ok(removed)
}

/// Forget what waits.
pub(super) fn forget_waiting(db: &Connection, plugin: &PluginName) -> Result<bool, StoreError> {
    let sql = "DELETE FROM plugin_waiting WHERE plugin = ?1";
    let removed = db.prepare_cached(sql)?.execute([plugin.as_str()])? > 0;
    components::forget_unused(db)?;
    Ok(removed)
}

/// Remember a quarantine, or forget it.
pub(super) fn set_quarantine(
    db: &Connection,
    plugin: &PluginName,
    quarantine: Option<&KeptQuarantine>,
) -> Result<(), StoreError> {
    match quarantine {
        None => {
            db.prepare_cached("DELETE FROM plugin_quarantines WHERE plugin = ?1")?.execute([plugin.as_str()])?;
        }
        Some(KeptQuarantine { digest, since, until, round, reason }) => {
            let values = params![plugin.as_str(), digest.as_bytes(), millis(*since), millis(*until), round, reason];
            db.prepare_cached(KEEP_QUARANTINE)?.execute(values)?;
        }
    }
    Ok(())
}
