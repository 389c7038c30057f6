//! The file that the last kill left, without an agent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use paramedic::clock::SystemClock;
use paramedic::domain::Actor;
use paramedic::store::{Page, RunFilter, SqliteStore, Store, StoreOptions, SweepStore};

use crate::sweeps;

/// The file is whole, and no check of a sweep ran twice in one execution.
#[tokio::main(flavor = "current_thread")]
pub async fn assert_sound(file: &Path) {
    let store = SqliteStore::open(file, Arc::new(SystemClock), StoreOptions::default()).unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    for actor in ["schedule"].into_iter().chain(sweeps::CALLERS) {
        assert_each_check_ran_once(&store, actor).await;
    }
    store.close().await.unwrap();
}

async fn assert_each_check_ran_once(store: &SqliteStore, actor: &str) {
    let filter = RunFilter { actor: Some(Actor(actor.to_owned())), ..RunFilter::default() };
    let (mut after, mut runs) = (None, BTreeMap::new());
    loop {
        let page = store.runs(filter.clone(), Page::new(200, after).unwrap()).await.unwrap();
        for listed in &page.runs {
            let run = store.run(listed.id).await.unwrap().unwrap();
            assert!(run.ending.is_some(), "it has no end: {run:?}");
            let execution = run.sweep_run.unwrap();
            assert!(store.sweep_run(execution).await.is_ok(), "it belongs to nothing that can be read: {run:?}");
            let check = (execution.to_string(), run.plugin.to_string());
            if let Some(other) = runs.insert(check, run.id) {
                panic!("a check ran twice in one execution: {} and {other}", run.id);
            }
        }
        after = page.next;
        if after.is_none() {
            return;
        }
    }
}
