//! Texts that are meant to break something come back as they are, and rows that make no sense are named.

use super::*;

const NASTY: [&str; 8] = [
    "\u{0}",
    "before\u{0}after",
    "'; DROP TABLE runs; --",
    "\"]}\\u0000",
    "\u{202e}\u{feff}𝕊\u{10ffff}",
    "%_?1:name@x$y",
    "\r\n\t\u{1b}[2J",
    "",
];

#[tokio::test]
async fn nasty_texts_come_back_as_they_are() {
    let place = Place::new();
    let store = place.open();
    for text in NASTY {
        let own = || text.to_owned();
        let base = run_at(MARCH);
        let start = Run { version: own(), actor: Actor(own()), ..base };
        store.start_run(start.clone()).await.unwrap();
        let mut run = concluded(&start, Status::Critical);
        if let Some(Ending::Concluded(outcome)) = &mut run.ending {
            (outcome.summary, outcome.details) = (own(), Some(own()));
            outcome.metrics[0].name = own();
            outcome.findings[0].rows = vec![vec![own(), own()]];
            outcome.suggestions[0].params = own();
            outcome.labels = vec![label(text, text), label(text, text)];
        }
        run.log[0].message = own();
        run.log[0].fields = vec![label(text, text)];
        (run.calls[0].operation, run.calls[0].target, run.calls[0].error) = (own(), own(), Some(own()));
        store.finish_run(run.clone()).await.unwrap();
        assert_eq!(store.run(run.id).await.unwrap(), Some(run.clone()));

        let by_actor = RunFilter { actor: Some(Actor(own())), ..RunFilter::default() };
        let found = store.runs(by_actor, page(9)).await.unwrap().runs;
        assert_eq!(found.iter().map(|summary| summary.id).collect::<Vec<_>>(), [run.id]);

        let failure = Failure { kind: FailureKind::Plugin, message: own() };
        let failed = Run { ending: Some(Ending::Failed(failure)), finished: Some(MARCH), ..run_at(MARCH) };
        store.start_run(Run { ending: None, finished: None, ..failed.clone() }).await.unwrap();
        store.finish_run(failed.clone()).await.unwrap();
        assert_eq!(store.run(failed.id).await.unwrap(), Some(failed));
    }
}

#[tokio::test]
async fn nasty_state_comes_back_as_it_is() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin("pg-ready"));
    for text in NASTY.into_iter().filter(|text| !text.is_empty()) {
        store.state_put(&name, text, text.to_owned(), None).await.unwrap();
    }
    for text in NASTY.into_iter().filter(|text| !text.is_empty()) {
        assert_eq!(store.state_get(&name, text).await.unwrap().unwrap().value, text);
        assert!(store.state_keys(&name, text).await.unwrap().contains(&text.to_owned()));
    }
}

/// Change a stored run by hand and read it: the error names the column.
async fn assert_named(sql: &str, place_named: &str) {
    let place = Place::new();
    let store = place.open();
    let [run] = fill(&store, MARCH, 1).await.try_into().unwrap();
    store.close().await.unwrap();
    assert!(place.by_hand().execute(sql, []).unwrap() > 0, "{sql}");
    let store = place.open();
    let error = store.run(run.id).await.expect_err(sql);
    assert_eq!(error.to_string(), format!("the store is damaged: {place_named} cannot be read"), "{sql}");
    // One bad row is no reason to refuse others.
    fill(&store, MARCH, 1).await;
    assert!(store.health().await.is_writable());
}

#[tokio::test]
async fn a_stored_value_that_makes_no_sense_is_named() {
    for (sql, place) in [
        ("UPDATE runs SET state = 'splendid'", "runs.state"),
        ("UPDATE runs SET mode = 'chaos'", "runs.mode"),
        ("UPDATE runs SET \"trigger\" = ''", "runs.trigger"),
        ("UPDATE runs SET plugin = '../../etc'", "runs.plugin"),
        ("UPDATE runs SET version = CAST(x'ff' AS TEXT)", "runs.version"),
        ("UPDATE runs SET digest = x'00'", "runs.digest"),
        ("UPDATE runs SET started = -1", "runs.started"),
        ("UPDATE runs SET finished = -1", "runs.finished"),
        ("UPDATE runs SET finished = NULL", "runs.finished"),
        ("UPDATE runs SET calls = 4294967296", "runs.calls"),
        ("UPDATE runs SET duration_ns = -1", "runs.duration_ns"),
        ("UPDATE runs SET params = '{'", "runs.params"),
        ("UPDATE runs SET params = '{} {}'", "runs.params"),
        ("UPDATE runs SET outcome = NULL", "runs.outcome"),
        ("UPDATE runs SET outcome = 'null'", "runs.outcome"),
        ("UPDATE runs SET outcome = '{\"details\":null}'", "runs.outcome"),
        ("UPDATE runs SET outcome = json_set(outcome, '$.verdict', 'ok')", "runs.outcome"),
        ("UPDATE runs SET outcome = json_set(outcome, '$.metrics[0].value', '1')", "runs.outcome"),
        ("UPDATE runs SET outcome = replace(hex(zeroblob(9999)), '00', '[')", "runs.outcome"),
        ("UPDATE runs SET summary = NULL", "runs.summary"),
        ("UPDATE runs SET state = 'failed'", "runs.failure_kind"),
        ("UPDATE runs SET state = 'failed', failure_kind = 'bored', failure_message = ''", "runs.failure_kind"),
        ("UPDATE runs SET state = 'failed', failure_kind = 'trap'", "runs.failure_message"),
        ("UPDATE calls SET decision = 'perhaps'", "calls.decision"),
        ("UPDATE calls SET arguments = 'select 1'", "calls.arguments"),
        ("UPDATE calls SET answer_digest = x'' WHERE sequence = 2", "calls.answer_digest"),
        ("UPDATE calls SET answer_bytes = -1", "calls.answer_bytes"),
        ("UPDATE calls SET sequence = -sequence", "calls.sequence"),
        ("UPDATE log_lines SET level = 'loud'", "log_lines.level"),
        ("UPDATE log_lines SET source = 'printer'", "log_lines.source"),
        ("UPDATE log_lines SET fields = '{}' WHERE n = 0", "log_lines.fields"),
        ("UPDATE log_lines SET message = CAST(x'c328' AS TEXT)", "log_lines.message"),
        ("UPDATE log_lines SET time = -5", "log_lines.time"),
    ] {
        assert_named(sql, place).await;
    }
}

#[tokio::test]
async fn rows_that_belong_to_nothing_are_found() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 1).await;
    store.close().await.unwrap();
    place.by_hand().execute("DELETE FROM runs", []).unwrap();
    let defects = place.open().verify().await.unwrap();
    assert!(defects.iter().any(|defect| defect == "a row of calls belongs to nothing in runs"), "{defects:?}");
    assert!(defects.iter().any(|defect| defect == "a row of log_lines belongs to nothing in runs"), "{defects:?}");
}
