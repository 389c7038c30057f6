//! Versions of plugins: kept whole or not at all, bounded, and never the active one or the one before removed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::{Arrival, CapabilityRequest, Interface, Kind, Metadata, Origin, Profile, Risk};
use crate::store::{KeepBounds, KeptQuarantine, KeptVersion, PluginStore, Waiting};

const WIDE: KeepBounds = KeepBounds { versions: 10, bytes: 64 << 20 };

fn version(text: &str) -> semver::Version {
    text.parse().unwrap()
}

fn profile(name: &PluginName, version: &semver::Version) -> Profile {
    let functions = BTreeSet::from(["query".to_owned(), "inspect".to_owned()]);
    let metadata = Metadata {
        name: name.clone(),
        version: version.clone(),
        kind: Kind::Check,
        title: "Outbox".to_owned(),
        description: "Looks at it.\nTwice.".to_owned(),
        runbook: Some("outbox".to_owned()),
        params_schema: "{}".to_owned(),
        capabilities: vec![CapabilityRequest {
            operation: "postgres/query".to_owned(),
            target: "{target}".to_owned(),
            reason: "to count".to_owned(),
            optional: true,
        }],
        time_limit: Duration::from_secs(30),
        risk: Risk::Low,
        idempotent: true,
        labels: vec![label("team", "mail")],
    };
    Profile { imports: BTreeMap::from([(Interface::Postgres, functions)]), metadata: Some(metadata) }
}

fn arrival(component: &[u8], at: u64, profile: Profile) -> Arrival {
    Arrival {
        digest: Digest::of(component),
        size: component.len() as u64,
        origin: Origin::Upload,
        actor: Some(Actor("alice".to_owned())),
        signer: Some("release".to_owned()),
        signature: Some("untrusted comment: …\nRW…".to_owned()),
        at: MARCH.after(Duration::from_secs(at)),
        profile,
    }
}

fn kept(text: &str, component: &[u8], at: u64) -> KeptVersion {
    let version = version(text);
    let profile = profile(&plugin("pg-outbox"), &version);
    KeptVersion { arrival: arrival(component, at, profile), version }
}

async fn keep(store: &SqliteStore, text: &str, component: &[u8], at: u64, bounds: KeepBounds) {
    let version = kept(text, component, at);
    store.keep_active(&plugin("pg-outbox"), version, component.into(), bounds).await.unwrap();
}

async fn names(store: &SqliteStore) -> Vec<String> {
    let kept = store.kept_plugin(&plugin("pg-outbox")).await.unwrap();
    kept.versions.iter().map(|kept| kept.version.to_string()).collect()
}

#[tokio::test]
async fn what_was_active_is_there_after_a_restart_with_all_that_is_known_of_it() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    assert_eq!(store.kept_plugin(&name).await.unwrap(), crate::store::KeptPlugin::default());
    // Two parts and a bit.
    let large: Vec<u8> = (0..1_200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    keep(&store, "0.1.0", b"first", 1, WIDE).await;
    keep(&store, "0.2.0", &large, 2, WIDE).await;
    store.close().await.unwrap();

    let store = place.open();
    let found = store.kept_plugin(&name).await.unwrap();
    assert_eq!(found.versions, [kept("0.2.0", &large, 2), kept("0.1.0", b"first", 1)]);
    assert_eq!((found.active, found.previous), (Some(version("0.2.0")), Some(version("0.1.0"))));
    assert_eq!((found.waiting, found.delivered, found.quarantine), (None, None, None));
    assert_eq!(store.component(Digest::of(&large)).await.unwrap(), Some(large));
    assert_eq!(store.component(Digest::of(b"unknown")).await.unwrap(), None);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn going_back_and_forth_keeps_the_one_before() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    keep(&store, "0.1.0", b"first", 1, WIDE).await;
    keep(&store, "0.2.0", b"second", 2, WIDE).await;
    for (to, active, previous) in
        [("0.1.0", "0.1.0", "0.2.0"), ("0.1.0", "0.1.0", "0.2.0"), ("0.2.0", "0.2.0", "0.1.0")]
    {
        store.activate(&name, &version(to), None).await.unwrap();
        let kept = store.kept_plugin(&name).await.unwrap();
        assert_eq!((kept.active, kept.previous), (Some(version(active)), Some(version(previous))));
    }
    let error = store.activate(&name, &version("0.3.0"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "version 0.3.0 of pg-outbox is not kept");
}

#[tokio::test]
async fn the_oldest_go_but_never_the_active_one_and_the_one_before() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    let three = KeepBounds { versions: 3, ..WIDE };
    for n in 1..=5_u64 {
        keep(&store, &format!("0.{n}.0"), format!("component {n}").as_bytes(), n, three).await;
    }
    assert_eq!(names(&store).await, ["0.5.0", "0.4.0", "0.3.0"]);
    // Back to the oldest: it is active now, and what ran before it is the newest.
    store.activate(&name, &version("0.3.0"), None).await.unwrap();
    let tight = KeepBounds { versions: 2, bytes: 1 };
    keep(&store, "0.6.0", b"component 6", 6, tight).await;
    assert_eq!(names(&store).await, ["0.6.0", "0.3.0"]);
    for (gone, bytes) in [("1", false), ("4", false), ("5", false), ("3", true), ("6", true)] {
        let digest = Digest::of(format!("component {gone}").as_bytes());
        assert_eq!(store.component(digest).await.unwrap().is_some(), bytes, "component {gone}");
    }
    let bytes = KeepBounds { versions: 10, bytes: 33 };
    keep(&store, "0.7.0", b"component 7", 7, bytes).await;
    assert_eq!(names(&store).await, ["0.7.0", "0.6.0", "0.3.0"]);
    keep(&store, "0.8.0", b"component 8", 8, bytes).await;
    assert_eq!(names(&store).await, ["0.8.0", "0.7.0", "0.6.0"]);
}

#[tokio::test]
async fn what_waits_is_kept_until_something_becomes_active() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    let waiting = |component: &[u8], version: Option<semver::Version>| Waiting {
        version,
        arrival: arrival(component, 1, Profile::default()),
        reason: "add a line".to_owned(),
    };
    store.keep_waiting(&name, waiting(b"early", None), b"early".as_slice().into()).await.unwrap();
    let late = waiting(b"late", Some(version("0.9.0")));
    store.keep_waiting(&name, late.clone(), b"late".as_slice().into()).await.unwrap();
    store.close().await.unwrap();

    let store = place.open();
    assert_eq!(store.kept_plugin(&name).await.unwrap().waiting, Some(late));
    assert_eq!(store.component(Digest::of(b"early")).await.unwrap(), None, "nothing refers to it any more");
    assert!(store.component(Digest::of(b"late")).await.unwrap().is_some());
    keep(&store, "0.1.0", b"first", 2, WIDE).await;
    assert_eq!(store.kept_plugin(&name).await.unwrap().waiting, None);
    assert!(!store.forget_waiting(&name).await.unwrap());
}

#[tokio::test]
async fn a_version_is_forgotten_by_hand_unless_it_is_active() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    keep(&store, "0.1.0", b"first", 1, WIDE).await;
    keep(&store, "0.2.0", b"second", 2, WIDE).await;
    let error = store.forget_version(&name, &version("0.2.0")).await.unwrap_err();
    assert_eq!(error.to_string(), "version 0.2.0 of pg-outbox is active");
    assert!(store.forget_version(&name, &version("0.1.0")).await.unwrap());
    assert!(!store.forget_version(&name, &version("0.1.0")).await.unwrap());
    let kept = store.kept_plugin(&name).await.unwrap();
    assert_eq!((kept.versions.len(), kept.previous), (1, None));
    assert_eq!(store.component(Digest::of(b"first")).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_or_a_folder_leaves_its_mark_and_an_upload_does_not() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    let mut from_folder = kept("0.1.0", b"first", 1);
    from_folder.arrival.origin = Origin::Folder;
    store.keep_active(&name, from_folder, b"first".as_slice().into(), WIDE).await.unwrap();
    keep(&store, "0.2.0", b"second", 2, WIDE).await;
    assert_eq!(store.kept_plugin(&name).await.unwrap().delivered, Some(Digest::of(b"first")));
    store.activate(&name, &version("0.1.0"), Some(Digest::of(b"second"))).await.unwrap();
    assert_eq!(store.kept_plugin(&name).await.unwrap().delivered, Some(Digest::of(b"second")));
}

#[tokio::test]
async fn a_quarantine_is_remembered_and_forgotten() {
    let place = Place::new();
    let store = place.open();
    let name = plugin("pg-outbox");
    let quarantine = KeptQuarantine {
        digest: Digest::of(b"first"),
        since: MARCH,
        until: MARCH.after(Duration::from_secs(60)),
        round: 3,
        reason: "it trapped".to_owned(),
    };
    store.set_quarantine(&name, Some(quarantine.clone())).await.unwrap();
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.kept_plugin(&name).await.unwrap().quarantine, Some(quarantine));
    store.set_quarantine(&name, None).await.unwrap();
    assert_eq!(store.kept_plugin(&name).await.unwrap().quarantine, None);
}

#[tokio::test]
async fn a_component_that_was_damaged_is_found_and_not_given() {
    let place = Place::new();
    let store = place.open();
    keep(&store, "0.1.0", b"first", 1, WIDE).await;
    store.writer.write(|db| Ok(db.execute("UPDATE component_parts SET bytes = x'00'", [])?)).await.unwrap();
    let error = store.component(Digest::of(b"first")).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is damaged: component_parts.bytes cannot be read");
    let defects = store.verify().await.unwrap();
    assert_eq!(defects, [format!("the component {} is damaged", Digest::of(b"first"))]);
}

#[tokio::test]
async fn parts_that_a_crash_left_are_removed_by_the_next_delivery() {
    let place = Place::new();
    let store = place.open();
    let leave = |db: &rusqlite::Connection| {
        Ok(db.execute("INSERT INTO component_parts (digest, n, bytes) VALUES (x'01', 0, x'02')", [])?)
    };
    store.writer.write(leave).await.unwrap();
    keep(&store, "0.1.0", b"first", 1, WIDE).await;
    let count = |db: &rusqlite::Connection| {
        Ok(db.query_row("SELECT count(*) FROM component_parts", [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(store.readers.read(count).await.unwrap(), 1);
}

#[tokio::test]
async fn components_do_not_push_runs_out() {
    let place = Place::new();
    let store = place.open();
    let large = vec![7_u8; 3 << 20];
    keep(&store, "0.1.0", &large, 1, WIDE).await;
    fill(&store, MARCH, 3).await;
    let policy = RetentionPolicy { max_age: None, max_bytes: Some(1 << 20) };
    assert_eq!(store.retain(policy).await.unwrap().runs, 0);
    assert_eq!(store.runs(RunFilter::default(), page(9)).await.unwrap().runs.len(), 3);
}
