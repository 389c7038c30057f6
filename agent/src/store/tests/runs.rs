//! Runs come back as they went in, are listed by every filter, and never change their end.

use super::*;
use crate::domain::{File, Missing};

#[tokio::test]
async fn a_run_comes_back_as_it_went_in() {
    let place = Place::new();
    let store = place.open();
    let run = run_at(MARCH);
    store.start_run(run.clone()).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap(), Some(run.clone()));

    let run = concluded(&run, Status::Warning);
    assert_eq!(store.finish_run(run.clone()).await.unwrap(), Finish::Recorded);
    assert_eq!(store.run(run.id).await.unwrap(), Some(run.clone()));
    store.close().await.unwrap();
    assert_eq!(place.open().run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn files_of_a_run_come_back_as_they_went_in() {
    let place = Place::new();
    let store = place.open();
    let mut run = concluded(&run_at(MARCH), Status::Warning);
    let Some(Ending::Concluded(outcome)) = &mut run.ending else { panic!("it concluded") };
    let file = |path: &str, text: &str, cut: Option<&str>| File {
        path: path.parse().unwrap(),
        text: text.to_owned(),
        cut: cut.map(str::to_owned),
    };
    let kept =
        vec![file("a.log", "", Some("the last line")), file("redis/cache/info.txt", "# memory\n\u{1b}é\n", None)];
    let missing = vec![Missing { part: "queue/email".to_owned(), why: "it is not there".to_owned() }];
    outcome.files = Files::new(kept, missing).unwrap();
    store.start_run(Run { finished: None, ending: None, ..run.clone() }).await.unwrap();
    store.finish_run(run.clone()).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(place.open().run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn every_kind_of_end_comes_back() {
    let place = Place::new();
    let store = place.open();
    let by_status = Status::ALL.map(|status| concluded(&run_at(MARCH), status));
    let by_failure = FailureKind::ALL.map(|kind| failed(&run_at(MARCH), kind));
    for run in by_status.into_iter().chain(by_failure) {
        store.start_run(Run { finished: None, ending: None, ..run.clone() }).await.unwrap();
        store.finish_run(run.clone()).await.unwrap();
        assert_eq!(store.run(run.id).await.unwrap(), Some(run));
    }
}

#[tokio::test]
async fn every_kind_of_call_and_log_line_comes_back() {
    let place = Place::new();
    let store = place.open();
    let decisions =
        DenialReason::ALL.map(Decision::Denied).into_iter().chain([Decision::Permitted, Decision::Exhausted]);
    let run = run_at(MARCH);
    store.start_run(run.clone()).await.unwrap();
    let run = Run {
        calls: (1..).zip(decisions).map(|(n, decision)| call(n, decision)).collect(),
        log: LogLevel::ALL.into_iter().zip(LogSource::ALL).map(|(level, source)| log_line(level, source, 1)).collect(),
        ..concluded(&run, Status::Ok)
    };
    store.finish_run(run.clone()).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn an_unknown_run_is_none() {
    assert_eq!(Place::new().open().run(RunId::new(MARCH)).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_run_of_the_same_id_is_refused_and_the_first_stays() {
    let place = Place::new();
    let store = place.open();
    let run = run_at(MARCH);
    store.start_run(run.clone()).await.unwrap();
    let other = Run { plugin: plugin("redis-ping"), ..run.clone() };
    let error = store.start_run(other).await.unwrap_err();
    assert!(matches!(error, StoreError::DuplicateRun(id) if id == run.id), "{error}");
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn a_run_with_an_end_keeps_it() {
    let place = Place::new();
    let store = place.open();
    let [run] = fill(&store, MARCH, 1).await.try_into().unwrap();
    let again = Run { finished: Some(run.started), ..failed(&run, FailureKind::Trap) };
    assert_eq!(store.finish_run(again).await.unwrap(), Finish::AlreadyFinished);
    assert_eq!(store.finish_run(run.clone()).await.unwrap(), Finish::AlreadyFinished);
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn a_run_that_never_started_cannot_finish() {
    let place = Place::new();
    let run = concluded(&run_at(MARCH), Status::Ok);
    let error = place.open().finish_run(run.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownRun(id) if id == run.id), "{error}");
}

#[tokio::test]
async fn what_could_not_be_read_back_is_refused() {
    let place = Place::new();
    let store = place.open();
    let run = run_at(MARCH);
    store.start_run(run.clone()).await.unwrap();
    let mut infinite = concluded(&run, Status::Ok);
    if let Some(Ending::Concluded(outcome)) = &mut infinite.ending {
        outcome.metrics[0].warn = Some(f64::INFINITY);
    }
    for refused in [run.clone(), infinite] {
        let error = store.finish_run(refused).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    }
    let error = store.start_run(concluded(&run_at(MARCH), Status::Ok)).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

/// Runs that differ in all that a filter looks at, the newest last.
async fn assorted(store: &SqliteStore) -> Vec<Run> {
    let mut runs = Vec::new();
    for (n, state) in (0..).zip(RunState::ALL) {
        for (m, (name, actor)) in (0..).zip([("pg-ready", "oncall"), ("redis-ping", "cron"), ("pg-ready", "cron")]) {
            let started = MARCH.after(Duration::from_secs(n * 10 + m));
            let run = Run { plugin: plugin(name), actor: Actor(actor.to_owned()), ..run_at(started) };
            store.start_run(run.clone()).await.unwrap();
            let ended = match state {
                RunState::Running => run,
                RunState::Concluded(status) => concluded(&run, status),
                RunState::Failed => failed(&run, FailureKind::Deadline),
                RunState::Interrupted => failed(&run, FailureKind::Interrupted),
            };
            if ended.ending.is_some() {
                store.finish_run(ended.clone()).await.unwrap();
            }
            runs.push(ended);
        }
    }
    runs
}

fn filters() -> Vec<RunFilter> {
    let all = RunFilter::default();
    let mut filters = vec![
        all.clone(),
        RunFilter { plugin: Some(plugin("redis-ping")), ..all.clone() },
        RunFilter { plugin: Some(plugin("nobody-ran-it")), ..all.clone() },
        RunFilter { actor: Some(Actor("cron".to_owned())), ..all.clone() },
        RunFilter { since: Some(MARCH.after(Duration::from_secs(12))), ..all.clone() },
        RunFilter { until: Some(MARCH.after(Duration::from_secs(12))), ..all.clone() },
        RunFilter {
            plugin: Some(plugin("pg-ready")),
            state: Some(RunState::Failed),
            actor: Some(Actor("cron".to_owned())),
            since: Some(MARCH),
            until: Some(MARCH.after(Duration::from_secs(3600))),
        },
    ];
    filters.extend(RunState::ALL.map(|state| RunFilter { state: Some(state), ..all.clone() }));
    filters
}

fn wants(filter: &RunFilter, run: &Run) -> bool {
    filter.plugin.as_ref().is_none_or(|plugin| *plugin == run.plugin)
        && filter.actor.as_ref().is_none_or(|actor| *actor == run.actor)
        && filter.state.is_none_or(|state| state == RunState::of(run.ending.as_ref()))
        && filter.since.is_none_or(|since| run.started >= since)
        && filter.until.is_none_or(|until| run.started < until)
}

#[tokio::test]
async fn every_filter_finds_its_runs_the_newest_first() {
    let place = Place::new();
    let store = place.open();
    let runs = assorted(&store).await;
    for filter in filters() {
        let expected: Vec<_> = runs.iter().rev().filter(|run| wants(&filter, run)).map(|run| run.id).collect();
        for limit in [1, 2, 7, 200] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.runs(filter.clone(), Page::new(limit, after).unwrap()).await.unwrap();
                assert!(page.runs.len() <= usize::try_from(limit).unwrap());
                found.extend(page.runs.iter().map(|run| run.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_summary_says_what_the_run_says() {
    let place = Place::new();
    let store = place.open();
    let runs = assorted(&store).await;
    let summaries = store.runs(RunFilter::default(), page(200)).await.unwrap().runs;
    for (run, summary) in runs.iter().rev().zip(summaries) {
        let (text, failure) = match run.ending.clone() {
            None => (None, None),
            Some(Ending::Concluded(outcome)) => (Some(outcome.summary), None),
            Some(Ending::Failed(failure)) => (None, Some(failure)),
        };
        assert_eq!((summary.id, &summary.plugin, &summary.actor), (run.id, &run.plugin, &run.actor));
        assert_eq!((summary.started, summary.finished), (run.started, run.finished));
        assert_eq!((summary.state, summary.usage), (RunState::of(run.ending.as_ref()), run.usage));
        assert_eq!((summary.summary, summary.failure), (text, failure));
        assert_eq!((summary.version, summary.digest), (run.version.clone(), run.digest));
    }
}

#[tokio::test]
async fn pages_stay_as_they_were_while_runs_are_added_and_removed() {
    let place = Place::new();
    let store = place.open();
    // All in the same millisecond: only the order of recording tells them apart.
    let mut ids = Vec::new();
    for _ in 0..10 {
        let run = run_at(MARCH);
        store.start_run(run.clone()).await.unwrap();
        ids.push(run.id);
    }
    ids.reverse();
    let first = store.runs(RunFilter::default(), page(4)).await.unwrap();
    fill(&store, MARCH.after(Duration::from_secs(1)), 3).await;
    fill(&store, MARCH.before(Duration::from_secs(60)), 1).await;
    // The run that the first page ended with is gone when the second is asked for.
    store.close().await.unwrap();
    place.by_hand().execute("DELETE FROM runs WHERE id = ?1", [ids[3].as_bytes()]).unwrap();
    let store = place.open();
    let second = store.runs(RunFilter::default(), Page::new(4, first.next).unwrap()).await.unwrap();
    let third = store.runs(RunFilter::default(), Page::new(4, second.next).unwrap()).await.unwrap();

    let found = |page: &RunPage| page.runs.iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(found(&first), ids[..4]);
    assert_eq!(found(&second), ids[4..8]);
    assert_eq!(found(&third)[..2], ids[8..]);
    assert_eq!((third.runs.len(), third.next), (3, None));
}

#[tokio::test]
async fn no_list_sorts_or_walks_through_all_runs() {
    let place = Place::new();
    let store = place.open();
    let after = store.runs(RunFilter::default(), page(1)).await.unwrap().next;
    assert_eq!(after, None);
    for filter in filters() {
        for after in [None, Some(Cursor { started: 1, seq: 1 })] {
            let page = Page::new(50, after).unwrap();
            let filter = filter.clone();
            let plan = store.readers.read(move |db| super::super::runs::explain(db, &filter, page)).await.unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains("USING INDEX runs_by_") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
