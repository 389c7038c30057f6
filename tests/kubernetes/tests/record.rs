//! Every line of the record, held against the stand-in.
//!
//! It is done twice. First the whole record is played again, in its order, on one cluster that starts from the same
//! seed: the objects that the answers show come from the stand-in's own controllers, and whatever is random in the
//! record (names, uids, versions) is replaced by what took its place here; what is not random has to be equal. Then every line that says on which answers
//! it rests is sent by itself, word for word, to a cluster into which just these were loaded.

#![expect(clippy::indexing_slicing, reason = "the helpers of a test may")]

#[path = "record/alone.rs"]
mod alone;
#[path = "record/exceptions.rs"]
mod exceptions;
#[path = "record/exchange.rs"]
mod exchange;
#[path = "record/facts.rs"]
mod facts;
#[path = "support/http.rs"]
mod http;
#[path = "record/replay.rs"]
mod replay;
#[path = "record/shape.rs"]
mod shape;
#[path = "record/translation.rs"]
mod translation;

use std::collections::BTreeMap;

use exchange::Exchange;

#[tokio::test]
async fn every_line_of_the_record_is_held() {
    let exchanges = exchange::all();
    let mut failures: BTreeMap<&str, String> = BTreeMap::new();
    for (id, failure) in replay::run(&exchanges).await {
        failures.insert(id, format!("in the course of the record: {failure}"));
    }
    for (id, failure) in alone::run(&exchanges).await {
        failures.entry(id).or_insert_with(|| format!("by itself: {failure}"));
    }
    let mut complaints = exceptions::complaints(&exchanges, &failures);
    let known = exceptions::ids();
    let unheld = failures.iter().filter(|(id, _)| !known.iter().any(|known| known == *id));
    complaints.extend(unheld.map(|(id, failure)| format!("{id}: {failure}")));
    println!("held: {} of {}", exchanges.len() - failures.len(), exchanges.len());
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn the_record_is_complete() {
    let exchanges = exchange::all();
    assert_eq!(exchanges.len(), 317);
    assert_eq!(exchanges.iter().filter(|exchange| exchange.is_core).count(), 184);
    let known = |id: &String| exchanges.iter().any(|exchange: &Exchange| exchange.id == *id);
    assert!(exchanges.iter().flat_map(|exchange| &exchange.given).all(known));
}
