//! The memory of plugins: revisions, times to live, bounds and races.

use super::*;

const NAME: &str = "pg-ready";

fn entry(value: &str, revision: u64) -> Option<StateEntry> {
    Some(StateEntry { value: value.to_owned(), revision })
}

async fn put(store: &SqliteStore, key: &str, value: &str) -> Result<u64, StoreError> {
    store.state_put(&plugin(NAME), key, value.to_owned(), None).await
}

#[tokio::test]
async fn a_value_is_kept_with_a_growing_revision() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    assert_eq!(store.state_get(&name, "seen").await.unwrap(), None);
    let first = put(&store, "seen", "1").await.unwrap();
    let second = put(&store, "seen", "").await.unwrap();
    assert!(second > first && first > 0);
    assert_eq!(store.state_get(&name, "seen").await.unwrap(), entry("", second));
    store.close().await.unwrap();
    assert_eq!(place.open().state_get(&name, "seen").await.unwrap(), entry("", second));
}

#[tokio::test]
async fn plugins_do_not_see_each_other() {
    let place = Place::new();
    let store = place.open();
    put(&store, "seen", "1").await.unwrap();
    let other = plugin("pg-ready-too");
    assert_eq!(store.state_get(&other, "seen").await.unwrap(), None);
    assert_eq!(store.state_keys(&other, "").await.unwrap(), Vec::<String>::new());
    assert!(!store.state_remove(&other, "seen").await.unwrap());
    assert_eq!(store.state_get(&plugin(NAME), "seen").await.unwrap(), entry("1", 1));
}

#[tokio::test]
async fn a_swap_needs_the_revision_that_the_key_has() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    let swap = async |revision: u64| store.state_swap(&name, "mark", revision.to_string(), revision, None).await;
    let absent = swap(7).await.unwrap_err();
    assert!(matches!(absent, StoreError::Conflict { expected: 7, found: 0, .. }), "{absent}");
    let first = swap(0).await.unwrap();
    let taken = swap(0).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict { expected: 0, found, .. } if found == first), "{taken}");
    let second = swap(first).await.unwrap();
    assert!(matches!(swap(first).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.state_get(&name, "mark").await.unwrap(), entry(&first.to_string(), second));
}

#[tokio::test]
async fn a_revision_from_before_a_removal_fits_nothing_after_it() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    let old = put(&store, "mark", "old").await.unwrap();
    assert!(store.state_remove(&name, "mark").await.unwrap());
    assert!(!store.state_remove(&name, "mark").await.unwrap());
    let new = put(&store, "mark", "new").await.unwrap();
    assert!(new > old);
    assert!(store.state_swap(&name, "mark", "swapped".to_owned(), old, None).await.is_err());
}

#[tokio::test]
async fn a_value_disappears_when_its_time_is_over() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    let minute = Some(Duration::from_secs(60));
    let revision = store.state_put(&name, "cooling", "1".to_owned(), minute).await.unwrap();
    place.clock.advance(Duration::from_millis(59_999));
    assert_eq!(store.state_get(&name, "cooling").await.unwrap(), entry("1", revision));
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(store.state_get(&name, "cooling").await.unwrap(), None);
    assert_eq!(store.state_keys(&name, "").await.unwrap(), Vec::<String>::new());
    assert!(!store.state_remove(&name, "cooling").await.unwrap());

    let again = store.state_swap(&name, "cooling", "2".to_owned(), 0, minute).await.unwrap();
    assert!(again > revision);
    // A write without a time to live takes the old one away.
    let forever = put(&store, "cooling", "3").await.unwrap();
    place.clock.advance(Duration::from_secs(3600));
    assert_eq!(store.state_get(&name, "cooling").await.unwrap(), entry("3", forever));
}

#[tokio::test]
async fn a_time_to_live_beyond_all_time_is_none() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    let revision = store.state_put(&name, "k", "v".to_owned(), Some(Duration::MAX)).await.unwrap();
    place.clock.advance(Duration::from_secs(1 << 32));
    assert_eq!(store.state_get(&name, "k").await.unwrap(), entry("v", revision));
}

#[tokio::test]
async fn a_plugin_keeps_so_many_keys_and_no_more() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin(NAME));
    store.state_put(&name, "short", "1".to_owned(), Some(Duration::from_secs(1))).await.unwrap();
    for n in 1..STATE_KEYS {
        put(&store, &format!("key-{n}"), "1").await.unwrap();
    }
    let error = put(&store, "one-more", "1").await.unwrap_err();
    assert_eq!(error.to_string(), "pg-ready keeps 64 keys already, the most it may");
    put(&store, "key-1", "a key that exists can be written").await.unwrap();
    store.state_put(&plugin("redis-ping"), "theirs", "1".to_owned(), None).await.unwrap();
    // What disappeared makes room.
    place.clock.advance(Duration::from_secs(1));
    put(&store, "one-more", "1").await.unwrap();
    assert!(matches!(put(&store, "two-more", "1").await, Err(StoreError::StateFull(_))));
}

#[tokio::test]
async fn two_runs_cannot_pass_the_bound_together() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let writes: Vec<_> = (0..STATE_KEYS * 2)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { put(&store, &format!("key-{n}"), "1").await.is_ok() })
        })
        .collect();
    let mut stored = 0;
    for write in writes {
        stored += usize::from(write.await.unwrap());
    }
    assert_eq!(stored, STATE_KEYS);
    assert_eq!(store.state_keys(&plugin(NAME), "").await.unwrap().len(), STATE_KEYS);
}

#[tokio::test]
async fn keys_and_values_have_a_longest_form() {
    let place = Place::new();
    let store = place.open();
    let (long_key, long_value) = ("k".repeat(STATE_KEY_BYTES), "v".repeat(STATE_VALUE_BYTES));
    put(&store, &long_key, &long_value).await.unwrap();
    assert_eq!(store.state_get(&plugin(NAME), &long_key).await.unwrap(), entry(&long_value, 1));
    for (key, value) in [("", ""), (&*format!("{long_key}k"), ""), ("key", &*format!("{long_value}v"))] {
        let error = put(&store, key, value).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    }
}

#[tokio::test]
async fn keys_are_found_by_prefix_in_order() {
    let place = Place::new();
    let store = place.open();
    for key in ["b/2", "a", "b/10", "b", "b\u{0}", "b%", "é"] {
        put(&store, key, key).await.unwrap();
    }
    let keys = async |prefix| store.state_keys(&plugin(NAME), prefix).await.unwrap();
    assert_eq!(keys("").await, ["a", "b", "b\u{0}", "b%", "b/10", "b/2", "é"]);
    assert_eq!(keys("b/").await, ["b/10", "b/2"]);
    assert_eq!(keys("b\u{0}").await, ["b\u{0}"]);
    assert_eq!(keys("b%").await, ["b%"]);
    assert_eq!(keys("_").await, Vec::<String>::new());
}

#[tokio::test]
async fn of_many_that_swap_at_once_one_wins_each_round() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let mut revision = 0;
    for round in 0..10 {
        let swaps: Vec<_> = (0..16)
            .map(|n| {
                let store = Arc::clone(&store);
                let value = format!("{round}-{n}");
                tokio::spawn(async move { store.state_swap(&plugin(NAME), "lock", value, revision, None).await })
            })
            .collect();
        let mut won = Vec::new();
        for swap in swaps {
            match swap.await.unwrap() {
                Ok(revision) => won.push(revision),
                Err(StoreError::Conflict { found, .. }) => assert!(found > revision),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        revision = won[0];
    }
}
